//! Operations that a device draws: messages, changes of messages and of members, marks, typing.

use std::sync::Arc;

use schema::event::Role;
use schema::op::{ChannelKind, EditOp, ReactOp, SendOp};
use schema::{ChannelId, ChannelOp, ClientMsgId, MessageKind, Seq, UserId, message};

use super::{Device, Pending, What};

/// Operations that a device has under way.
const PENDING_MAX: usize = 6;
/// Emojis that devices react with.
const EMOJIS: [&str; 2] = ["👍", "❤️"];

impl Device {
    /// Something to do, or several things.
    pub(super) fn want(&mut self) {
        for _ in 0..self.rng.within(1..=3) {
            if self.pending.len() >= PENDING_MAX {
                return;
            }
            if let Some(pending) = self.draw() {
                self.world.done.borrow_mut().operations += 1;
                self.pending.push(pending);
            }
        }
    }

    fn draw(&mut self) -> Option<Pending> {
        let rooms = match self.rng.chance(self.world.plan.strange_permille) {
            true => self.world.rooms.iter().collect(),
            false => self.world.rooms_of(self.user),
        };
        if rooms.is_empty() {
            return None;
        }
        let room = (*self.rng.pick(&rooms)).clone();
        let channel = room.id;
        if self.rng.chance(self.world.plan.churn_permille)
            && let Some(what) = self.change(&room.members, room.kind, channel)
        {
            return Some(Pending { channel, what });
        }
        let what = match self.rng.below(100) {
            0..60 => self.message(),
            60..71 => return self.edit(),
            71..75 => return self.delete(),
            75..87 => return self.react(),
            87..95 => {
                let before = self.world.marks.borrow().get(&(self.user, channel)).copied().unwrap_or_default();
                What::Mark(Seq(self.rng.within(1..=30)), before)
            }
            _ => What::Typing,
        };
        Some(Pending { channel, what })
    }

    fn id(&mut self) -> ClientMsgId {
        let entropy = (u128::from(self.rng.bits()) << 64) | u128::from(self.rng.bits());
        ClientMsgId::new(self.world.wall(), entropy)
    }

    fn message(&mut self) -> What {
        let id = self.id();
        let body = format!("{} {}", self.name, self.rng.bits());
        What::Message(SendOp {
            from: self.user,
            client_msg_id: id,
            kind: MessageKind::Text,
            body: body.into(),
            reply_to: None,
            mentions: message::no_mentions(),
            ruling: None,
            audience: None,
            media: Vec::new(),
        })
    }

    /// One of its own messages, mostly a late one.
    fn own(&mut self) -> Option<(ChannelId, Seq, u32)> {
        let from = self.own.len().saturating_sub(4);
        (!self.own.is_empty()).then(|| *self.rng.pick(&self.own[from..]))
    }

    fn edit(&mut self) -> Option<Pending> {
        let (channel, seq, base_revision) = self.own()?;
        let (op_id, body) = (self.id(), Arc::from(format!("{} edits {}", self.name, self.rng.bits())));
        let op = ChannelOp::Edit(EditOp { by: self.user, seq, op_id, base_revision, body, ruling: None });
        Some(Pending { channel, what: What::Operation(op_id, op) })
    }

    fn delete(&mut self) -> Option<Pending> {
        let ((channel, seq, _), op_id) = (self.own()?, self.id());
        Some(Pending { channel, what: What::Operation(op_id, ChannelOp::Delete { by: self.user, seq, op_id }) })
    }

    fn react(&mut self) -> Option<Pending> {
        let from = self.seen.len().saturating_sub(6);
        let &(channel, seq) = (!self.seen.is_empty()).then(|| self.rng.pick(&self.seen[from..]))?;
        let (op_id, on) = (self.id(), self.rng.chance(700));
        let emoji = self.rng.pick(&EMOJIS).parse().expect("an emoji");
        let op = ChannelOp::React(ReactOp { by: self.user, seq, op_id, emoji, on });
        Some(Pending { channel, what: What::Operation(op_id, op) })
    }

    /// Who made a group adds and removes others; they leave now and then.
    fn change(&mut self, members: &[UserId], kind: ChannelKind, channel: ChannelId) -> Option<What> {
        let by = self.user;
        if kind == ChannelKind::Direct {
            return None;
        }
        let (user, adds) = match members.first() {
            Some(&maker) if maker == by => {
                let others: Vec<UserId> = self.world.users.iter().copied().filter(|&user| user != by).collect();
                (*self.rng.pick(&others), self.rng.chance(600))
            }
            _ if self.rng.chance(300) => (by, false),
            _ => return None,
        };
        let change = self.world.facts.borrow_mut().change_asked(channel, user, adds);
        Some(What::Change(
            change,
            match adds {
                true => ChannelOp::AddMember { by, user, role: Role::Member },
                false => ChannelOp::RemoveMember { by, user },
            },
        ))
    }
}
