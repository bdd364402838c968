//! A user's device: it writes, changes messages and members, reads on in its inbox, and repeats what was not answered.
//!
//! Owns what a careful client does: in order, under the same ids, until it is answered for good. What it draws is in
//! `draws`.

mod draws;

use std::rc::Rc;
use std::sync::Arc;

use chat::history;
use chat::inbox::{self, InboxLimits};
use kv::{Begin, Engine as _, Transaction as _};
use schema::command::{Delete, Edit, History, HistoryWindow, React};
use schema::op::{EditOp, ReactOp, SendOp};
use schema::page::InboxPage;
use schema::{
    ChannelId, ChannelOp, ClientMsgId, Command, DeviceId, Epoch, ErrorCode, Event, EventBody, OpReply, Position,
    Refusal, Seq, UserId,
};

use crate::facts::{Done, Key};
use crate::rng::Rng;

use super::homes::Served;
use super::life::Life;
use super::world::{Phase, World};

/// What a device asks for.
#[derive(Debug, Clone)]
enum What {
    Message(SendOp),
    /// An edit, a deletion or a reaction.
    Operation(ClientMsgId, ChannelOp),
    /// Up to where, and what had been answered when it was first asked for.
    Mark(Seq, Seq),
    /// The number of a change of members among the facts.
    Change(usize, ChannelOp),
    Typing,
}

/// What was not answered for good yet.
#[derive(Debug, Clone)]
struct Pending {
    channel: ChannelId,
    what: What,
}

/// See the module.
pub(super) struct Device {
    world: Rc<World>,
    user: UserId,
    name: DeviceId,
    rng: Rng,
    life: Option<Rc<Life>>,
    /// The newest view when it last looked: with another some go elsewhere at once, others when they must.
    heard_of: Option<Epoch>,
    conn: u32,
    pending: Vec<Pending>,
    /// Own messages that were acknowledged, and the newest revision that was answered.
    own: Vec<(ChannelId, Seq, u32)>,
    /// The newest of what was read.
    seen: Vec<(ChannelId, Seq)>,
    cursor: Position,
}

impl Device {
    pub(super) fn new(world: &Rc<World>, user: UserId, number: usize) -> Self {
        let name: DeviceId = format!("device-{number}").parse().expect("legal");
        world.facts.borrow_mut().started(&name, user, Position::START);
        Self {
            world: Rc::clone(world),
            user,
            rng: world.rng.part(name.as_str()),
            name,
            life: None,
            heard_of: None,
            conn: 0,
            pending: Vec::new(),
            own: Vec::new(),
            seen: Vec::new(),
            cursor: Position::START,
        }
    }

    /// Acts until the world settles and all is answered, and reads on until the world is over.
    pub(super) async fn run(mut self) {
        let mut has_finished = false;
        while self.world.phase.get() != Phase::Over {
            let pause_ms = self.rng.within(1..=self.world.plan.pause_ms);
            self.world.tasks.sleep(pause_ms).await;
            if self.world.is_busy() {
                self.want();
            }
            self.ask().await;
            if self.rng.chance(600) {
                self.read_on().await;
            }
            if self.rng.chance(150) {
                self.look_back().await;
            }
            if !self.world.is_busy() && self.pending.is_empty() && !has_finished {
                has_finished = true;
                self.world.busy_devices.set(self.world.busy_devices.get() - 1);
            }
        }
        while !self.read_on().await {
            self.world.tasks.sleep(1).await;
        }
        self.world.readers.set(self.world.readers.get() - 1);
    }

    /// Asks for all that is pending, in order, and waits for a while.
    async fn ask(&mut self) {
        let newest = self.world.views.borrow().newest().map(|view| view.epoch);
        let has_heard = std::mem::replace(&mut self.heard_of, newest) != newest && self.rng.chance(200);
        if self.life.as_ref().is_none_or(|life| life.is_out()) || has_heard || self.rng.chance(20) {
            self.connect().await;
        }
        let Some(life) = self.life.clone() else { return };
        let mut answers = Vec::new();
        for pending in &self.pending {
            self.record_asked(pending);
            answers.push(life.ask(&self.world, pending.channel, self.op(pending)));
        }
        let patience_ms = self.rng.within(20..=400);
        let since_ms = self.world.tasks.now_ms();
        for (pending, answer) in std::mem::take(&mut self.pending).into_iter().zip(answers) {
            let left_ms = (since_ms + patience_ms).saturating_sub(self.world.tasks.now_ms());
            let answer = self.world.tasks.within(left_ms, answer).await.and_then(Result::ok);
            let is_lost = self.world.is_busy() && self.rng.chance(self.world.plan.lost_permille);
            match answer {
                Some(_) if is_lost => {
                    self.world.faults.injected().replies_lost += 1;
                    self.pending.push(pending);
                }
                Some(reply) => {
                    if let Some(pending) = self.answered(pending, reply) {
                        self.pending.push(pending);
                    }
                }
                None => {
                    self.pending.push(pending);
                    if self.rng.chance(500) {
                        self.connect().await;
                    }
                }
            }
        }
    }

    /// Goes to one of the lives that take clients, which looks at the store as it is then.
    async fn connect(&mut self) {
        self.conn += 1;
        self.life = None;
        let members = self.world.members();
        if members.is_empty() {
            return;
        }
        let life = Rc::clone(self.rng.pick(&members));
        let looks = async { life.engine.begin(Begin::Fresh).read_version().await };
        if let Some(Ok(_)) = self.world.tasks.within(100, looks).await {
            self.life = Some(life);
        }
    }

    fn op(&self, pending: &Pending) -> ChannelOp {
        match &pending.what {
            What::Message(op) => ChannelOp::Send(op.clone()),
            What::Operation(_, op) | What::Change(_, op) => op.clone(),
            &What::Mark(read_seq, _) => ChannelOp::Mark { user: self.user, read_seq },
            What::Typing => ChannelOp::Typing { user: self.user, on: true },
        }
    }

    fn key(&self, channel: ChannelId, id: ClientMsgId) -> Key {
        Key { user: self.user, channel, id }
    }

    /// An operation leaves.
    fn record_asked(&self, pending: &Pending) {
        let (channel, mut facts) = (pending.channel, self.world.facts.borrow_mut());
        match &pending.what {
            What::Message(op) => {
                let conn = (self.name.clone(), self.conn);
                facts.sent(self.key(channel, op.client_msg_id), &op.body, conn, self.world.tasks.now_ms());
            }
            What::Operation(id, op) => facts.asked(self.key(channel, *id), &command(channel, op)),
            What::Mark(..) | What::Change(..) | What::Typing => {}
        }
    }

    /// A reply came. What has to be asked again.
    fn answered(&mut self, pending: Pending, reply: Result<OpReply, Refusal>) -> Option<Pending> {
        let (world, channel) = (Rc::clone(&self.world), pending.channel);
        let reply = match reply {
            Err(refusal) if refusal.code.is_temporary() && refusal.code != ErrorCode::Internal => return Some(pending),
            reply => reply,
        };
        world.note(format_args!("{}: {:?} of {channel} is answered {reply:?}", self.name, pending.what));
        world.done.borrow_mut().answered += 1;
        let mut facts = world.facts.borrow_mut();
        match (pending.what, reply) {
            (What::Message(op), Ok(OpReply::Sent { seq, duplicate, .. })) => {
                let key = self.key(channel, op.client_msg_id);
                if duplicate && facts.written[&key].attempts == 1 {
                    facts.complain("I3", format!("{key:?} was sent once, and is answered as if it had been before"));
                }
                facts.acknowledged(key, seq, duplicate);
                self.own.push((channel, seq, 0));
            }
            (What::Message(op), Err(refusal)) => {
                let since = facts.written[&self.key(channel, op.client_msg_id)].first;
                let room = world.rooms.iter().find(|room| room.id == channel).expect("drawn from the rooms");
                let was_there = room.members.contains(&self.user);
                if matches!(refusal.code, ErrorCode::UnknownChannel | ErrorCode::PermissionDenied)
                    && facts.is_member_since(channel, self.user, was_there, since)
                {
                    let finding =
                        format!("{}: {op:?} to {channel}, whose member it is, was refused: {refusal}", self.name);
                    facts.complain("I10", finding);
                }
                _ = facts.refused.insert(self.key(channel, op.client_msg_id), u16::from(refusal.code));
            }
            (What::Operation(id, op), Ok(reply)) => {
                let done = match reply {
                    OpReply::Revised { revision } => Done::Revised(revision),
                    OpReply::Reacted { count } => Done::Reacted(count),
                    other => panic!("{op:?} was answered {other:?}"),
                };
                if let Some(first) = facts.done(self.key(channel, id), done)
                    && first != done
                {
                    facts.complain("I5", format!("{op:?} was answered {first:?}, and then {done:?}"));
                }
                self.revised(channel, &op, done);
            }
            (What::Mark(asked, before), Ok(OpReply::Marked { read_seq, .. })) => {
                if read_seq < before {
                    let finding =
                        format!("{}: the mark in {channel} was {before}, and {asked} made it {read_seq}", self.name);
                    facts.complain("I3", finding);
                }
                let mut marks = world.marks.borrow_mut();
                let mark = marks.entry((self.user, channel)).or_default();
                *mark = read_seq.max(*mark);
            }
            (What::Change(change, _), Ok(OpReply::Changed { changed })) => {
                facts.change_answered(change, Some(changed), world.tasks.now_ms());
            }
            (What::Change(change, _), Err(_)) => facts.change_answered(change, None, world.tasks.now_ms()),
            (What::Operation(..) | What::Mark(..), Err(_)) | (What::Typing, _) => {}
            (what, reply) => panic!("{what:?} was answered {reply:?}"),
        }
        None
    }

    fn revised(&mut self, channel: ChannelId, op: &ChannelOp, done: Done) {
        let (ChannelOp::Edit(EditOp { seq, .. }) | ChannelOp::Delete { seq, .. }, Done::Revised(newest)) = (op, done)
        else {
            return;
        };
        for (_, _, revision) in self.own.iter_mut().filter(|(at, of, _)| (*at, of) == (channel, seq)) {
            *revision = newest.max(*revision);
        }
    }

    /// Reads a page of its inbox, as a session of its life's does. Whether that was the last.
    async fn read_on(&mut self) -> bool {
        let limits = InboxLimits {
            rows: u32::try_from(self.rng.within(1..=12)).expect("a few"),
            bytes: u32::try_from(self.rng.within(50..=4_000)).expect("a few"),
            at_connect: false,
        };
        if self.world.is_busy() && self.rng.chance(30) {
            let count = self.rng.index(6);
            self.cursor = self.world.facts.borrow_mut().forgot(&self.name, count);
        }
        let after = self.cursor;
        let (served, is_last) = match self.world.phase.get() {
            Phase::Over => self.read_the_rest(limits).await,
            Phase::Busy | Phase::Settling => (self.be_served(limits).await, false),
        };
        let Some((events, through)) = served else { return false };
        self.world.note(format_args!("{}: {} events after {after}, through {through}", self.name, events.len()));
        self.world.done.borrow_mut().pages += 1;
        for event in events {
            self.event_came(event);
        }
        self.cursor = through;
        is_last
    }

    /// The home that its life knows serves it, where neither stands still.
    async fn be_served(&self, limits: InboxLimits) -> Option<Served> {
        let world = &self.world;
        let life = self.life.as_ref().filter(|life| !life.is_out() && !world.tasks.is_stopped(life.part()))?;
        let home = world.life(life.current()?.view.home_of_user(self.user).incarnation)?;
        if home.is_out() || world.tasks.is_stopped(home.part()) {
            return None;
        }
        home.engine.floor(life.engine.newest());
        let served = home.serve(world, self.user, self.cursor, limits).await;
        life.engine.floor(home.engine.newest());
        served
    }

    /// When all is over it reads its inbox to the end.
    async fn read_the_rest(&self, limits: InboxLimits) -> (Option<Served>, bool) {
        let at_least = self.world.last_version.get();
        match inbox::read(&self.world.engine(), self.user, self.cursor, at_least, limits).await {
            Ok(InboxPage::Events { events, through, exhausted }) => (Some((events, through)), exhausted),
            Ok(InboxPage::Behind) => {
                let mut facts = self.world.facts.borrow_mut();
                facts.complain("I6", format!("{}: behind, and nothing was trimmed", self.name));
                (Some((Vec::new(), self.cursor)), true)
            }
            Err(_) => (None, false),
        }
    }

    fn event_came(&mut self, event: Event) {
        if let EventBody::Message(message) = &event.body {
            self.seen.push((event.channel, message.seq));
        }
        self.world.facts.borrow_mut().event_came(&self.name, event);
    }

    /// Reads a page of a channel's history.
    async fn look_back(&mut self) {
        let rooms = self.world.rooms_of(self.user);
        let Some(channel_id) = (!rooms.is_empty()).then(|| self.rng.pick(&rooms).id) else { return };
        let window = match self.rng.chance(500) {
            true => HistoryWindow::Newest,
            false => HistoryWindow::After(Seq(self.rng.below(20))),
        };
        let limit = u32::try_from(self.rng.within(1..=10)).expect("a few");
        let request = History { channel_id, window, limit };
        let Some(life) = self.life.clone().filter(|life| !self.world.tasks.is_stopped(life.part())) else { return };
        if let Ok(page) = history::page(&life.engine, self.user, &request).await {
            self.world.done.borrow_mut().pages += 1;
            for message in page.messages {
                self.seen.push((channel_id, message.seq));
                self.world.facts.borrow_mut().saw(&self.name, self.user, message);
            }
        }
    }
}

/// An operation as a client asks for it.
fn command(channel_id: ChannelId, op: &ChannelOp) -> Command {
    match op {
        ChannelOp::Edit(EditOp { by: _, seq, op_id, base_revision, body, ruling: _ }) => {
            let (seq, op_id, base_revision, body) = (*seq, *op_id, *base_revision, Arc::clone(body));
            Command::Edit(Edit { channel_id, seq, op_id, base_revision, body })
        }
        &ChannelOp::Delete { by: _, seq, op_id } => Command::Delete(Delete { channel_id, seq, op_id }),
        ChannelOp::React(ReactOp { by: _, seq, op_id, emoji, on }) => {
            let (seq, op_id, emoji, on) = (*seq, *op_id, emoji.to_string(), *on);
            Command::React(React { channel_id, seq, op_id, emoji, on })
        }
        other => unreachable!("{other:?} is no operation on a message"),
    }
}
