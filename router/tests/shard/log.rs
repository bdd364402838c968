//! A model of one channel: its log, its members and what its operations do.
//!
//! Owns what each operation answers and whom it concerns. A large channel's messages are in its feed instead of
//! inboxes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use schema::event::{MemberChange, Role};
use schema::mesh::{LiveBody, LiveEvent};
use schema::message::{no_mentions, no_reactions};
use schema::op::{EditOp, ReactOp, SendOp};
use schema::record::EventRecordBody;
use schema::{
    ChannelId, ChannelOp, ClientMsgId, Emoji, ErrorCode, Event, EventBody, Message, Now, OpReply, Refusal, Seq, Stamp,
    UserId,
};

/// What a batch of operations writes and says.
pub(crate) struct Transaction {
    pub(crate) stamp: Stamp,
    pub(crate) events: Vec<(Event, Vec<UserId>)>,
    pub(crate) live: Vec<LiveEvent>,
    pub(crate) feeds: Vec<(ChannelId, Vec<EventBody>)>,
}

impl Transaction {
    pub(crate) fn new(stamp: Stamp) -> Self {
        Self { stamp, events: Vec::new(), live: Vec::new(), feeds: Vec::new() }
    }

    fn put(&mut self, channel: ChannelId, users: Vec<UserId>, body: EventBody) {
        let ordinal = u16::try_from(self.events.len()).expect("few");
        self.events.push((Event { position: self.stamp.at(ordinal), channel, body }, users));
    }
}

pub(crate) struct Log {
    pub(crate) large: bool,
    pub(crate) members: Vec<UserId>,
    pub(crate) messages: Vec<Arc<Message>>,
    pub(crate) marks: BTreeMap<UserId, Seq>,
    /// Replies to what has a name.
    done: BTreeMap<(UserId, ClientMsgId), OpReply>,
    reactions: BTreeSet<(Seq, Emoji, UserId)>,
}

impl Log {
    pub(crate) fn new(large: bool, members: Vec<UserId>) -> Self {
        let (messages, marks) = (Vec::new(), BTreeMap::new());
        Self { large, members, messages, marks, done: BTreeMap::new(), reactions: BTreeSet::new() }
    }

    pub(crate) fn head(&self) -> Seq {
        Seq(self.messages.len() as u64)
    }

    pub(crate) fn apply(
        &mut self,
        now: Now,
        channel: ChannelId,
        op: ChannelOp,
        transaction: &mut Transaction,
    ) -> Result<OpReply, Refusal> {
        match op {
            ChannelOp::Send(send) => self.send(now, channel, send, transaction),
            ChannelOp::Mark { user, read_seq } => self.mark(channel, user, read_seq, transaction),
            ChannelOp::Create(_) => unreachable!("the store makes channels"),
            ChannelOp::Edit(edit) => self.edit(now, channel, edit, transaction),
            ChannelOp::Delete { by, seq, op_id } => self.once(by, op_id, |log| {
                let gone = |message: &mut Message| (message.deleted, message.body) = (true, "".into());
                let revision = log.revise(by, seq, gone)?;
                log.happened(channel, EventBody::Deleted { seq, revision }, transaction);
                Ok(OpReply::Revised { revision })
            }),
            ChannelOp::React(react) => self.react(channel, react, transaction),
            ChannelOp::Typing { user, on } => {
                self.member(user)?;
                let body = LiveBody::Typing { user, on, open_only: self.members.len() > 3 };
                transaction.live.push(LiveEvent { channel, users: self.members.clone(), body });
                Ok(OpReply::Told)
            }
            ChannelOp::RemoveMember { by: _, user } => {
                let changed = self.members.contains(&user);
                if changed {
                    let told = self.members.clone();
                    self.members.retain(|&member| member != user);
                    let body = EventBody::Membership { user, change: MemberChange::Removed, role: Role::Member };
                    self.changed(channel, user, told, body, transaction);
                }
                Ok(OpReply::Changed { changed })
            }
            ChannelOp::AddMember { by: _, user, role } => {
                let is_new = !self.members.contains(&user);
                if is_new {
                    self.members.push(user);
                }
                let change = if is_new { MemberChange::Added } else { MemberChange::Role };
                let body = EventBody::Membership { user, change, role };
                self.changed(channel, user, self.members.clone(), body, transaction);
                Ok(OpReply::Changed { changed: true })
            }
            ChannelOp::Block { by, user, on } => {
                let body = LiveBody::Blocked { by, user, on };
                transaction.live.push(LiveEvent { channel, users: vec![by, user], body });
                Ok(OpReply::Changed { changed: true })
            }
            // What the router does not tell from others.
            _ => Ok(OpReply::Changed { changed: false }),
        }
    }

    fn member(&self, user: UserId) -> Result<(), Refusal> {
        let unknown = || Refusal::new(ErrorCode::UnknownChannel, "no such channel");
        self.members.contains(&user).then_some(()).ok_or_else(unknown)
    }

    /// What is in everybody's inbox, or in the feed.
    fn happened(&self, channel: ChannelId, body: EventBody, transaction: &mut Transaction) {
        if self.large {
            transaction.feeds.push((channel, vec![body]));
        } else {
            transaction.put(channel, self.members.clone(), body);
        }
    }

    /// A membership changed: in a large channel it is in the inbox of the one whom it concerns alone.
    fn changed(
        &self,
        channel: ChannelId,
        user: UserId,
        told: Vec<UserId>,
        body: EventBody,
        transaction: &mut Transaction,
    ) {
        if self.large {
            transaction.feeds.push((channel, vec![body.clone()]));
        }
        transaction.put(channel, if self.large { vec![user] } else { told }, body);
    }

    fn once(
        &mut self,
        by: UserId,
        op_id: ClientMsgId,
        act: impl FnOnce(&mut Self) -> Result<OpReply, Refusal>,
    ) -> Result<OpReply, Refusal> {
        if let Some(first) = self.done.get(&(by, op_id)) {
            return Ok(first.clone());
        }
        self.member(by)?;
        let reply = act(self)?;
        self.done.insert((by, op_id), reply.clone());
        Ok(reply)
    }

    fn revise(&mut self, by: UserId, seq: Seq, change: impl FnOnce(&mut Message)) -> Result<u32, Refusal> {
        let at = usize::try_from(seq.0.wrapping_sub(1)).expect("64 bits");
        let message = self.messages.get_mut(at).filter(|message| !message.deleted);
        let message = message.ok_or_else(|| Refusal::new(ErrorCode::NoSuchMessage, "no such message"))?;
        if message.from != by {
            return Err(Refusal::new(ErrorCode::PermissionDenied, "another's message"));
        }
        let message = Arc::make_mut(message);
        message.revision += 1;
        change(message);
        Ok(message.revision)
    }

    fn edit(
        &mut self,
        now: Now,
        channel: ChannelId,
        edit: EditOp,
        transaction: &mut Transaction,
    ) -> Result<OpReply, Refusal> {
        let EditOp { by, seq, op_id, base_revision: _, body } = edit;
        self.once(by, op_id, |log| {
            let edited_ms = Some(now.wall);
            let revision = log.revise(by, seq, |message| (message.body, message.edited_ms) = (body, edited_ms))?;
            let at = usize::try_from(seq.0 - 1).expect("it was found");
            log.happened(channel, EventBody::Edited(Arc::clone(&log.messages[at])), transaction);
            Ok(OpReply::Revised { revision })
        })
    }

    fn react(&mut self, channel: ChannelId, react: ReactOp, transaction: &mut Transaction) -> Result<OpReply, Refusal> {
        let ReactOp { by, seq, op_id, emoji, on } = react;
        self.once(by, op_id, |log| {
            let row = (seq, emoji.clone(), by);
            let changed = if on { log.reactions.insert(row) } else { log.reactions.remove(&row) };
            let count = log.reactions.iter().filter(|(of, with, _)| (of, with) == (&seq, &emoji)).count();
            let count = u32::try_from(count).expect("few");
            if changed {
                log.happened(channel, EventBody::Reaction { seq, emoji, count, user: by, on }, transaction);
            }
            Ok(OpReply::Reacted { count })
        })
    }

    fn mark(
        &mut self,
        channel: ChannelId,
        user: UserId,
        read_seq: Seq,
        transaction: &mut Transaction,
    ) -> Result<OpReply, Refusal> {
        self.member(user)?;
        let head = self.head();
        let mark = self.marks.entry(user).or_default();
        if read_seq.min(head) > *mark {
            *mark = read_seq.min(head);
            transaction.put(channel, vec![user], EventBody::Read { user, read_seq: *mark });
            let body = LiveBody::Read { user, read_seq: *mark };
            transaction.live.push(LiveEvent { channel, users: self.members.clone(), body });
        }
        Ok(OpReply::Marked { read_seq: *mark, unread: head.0 - mark.0 })
    }

    fn send(
        &mut self,
        now: Now,
        channel_id: ChannelId,
        send: SendOp,
        transaction: &mut Transaction,
    ) -> Result<OpReply, Refusal> {
        let key = (send.from, send.client_msg_id);
        if let Some(&OpReply::Sent { seq, sent_ms, .. }) = self.done.get(&key) {
            let at = usize::try_from(seq.0 - 1).expect("few");
            let is_same = self.messages[at].body == send.body || self.messages[at].revision > 0;
            let reply = OpReply::Sent { seq, sent_ms, duplicate: true };
            return is_same.then_some(reply).ok_or_else(|| Refusal::new(ErrorCode::IdReused, "other content"));
        }
        self.member(send.from)?;
        let seq = Seq(self.head().0 + 1);
        let message = Arc::new(Message {
            channel_id,
            seq,
            revision: 0,
            from: send.from,
            sent_ms: now.wall,
            client_msg_id: send.client_msg_id,
            kind: send.kind,
            body: send.body,
            reply_to: None,
            mentions: no_mentions(),
            edited_ms: None,
            deleted: false,
            reactions: no_reactions(),
        });
        let reply = OpReply::Sent { seq, sent_ms: now.wall, duplicate: false };
        self.done.insert(key, reply.clone());
        self.messages.push(Arc::clone(&message));
        self.happened(channel_id, EventBody::Message(message), transaction);
        Ok(reply)
    }
}

/// An event as a row holds it.
pub(crate) fn record_of(body: &EventBody) -> EventRecordBody {
    match body {
        EventBody::Message(message) => EventRecordBody::Message { seq: message.seq, revision: message.revision },
        EventBody::Edited(message) => EventRecordBody::Edited { seq: message.seq, revision: message.revision },
        &EventBody::Deleted { seq, revision } => EventRecordBody::Deleted { seq, revision },
        EventBody::Reaction { seq, emoji, count, user, on } => {
            let (seq, emoji, count) = (*seq, emoji.clone(), *count);
            EventRecordBody::Reaction { seq, emoji, count, user: *user, on: *on }
        }
        &EventBody::Membership { user, change, role } => EventRecordBody::Membership { user, change, role },
        &EventBody::Read { user, read_seq } => EventRecordBody::Read { user, read_seq },
    }
}
