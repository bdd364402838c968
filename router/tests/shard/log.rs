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
    ChannelId, ChannelOp, ClientMsgId, Emoji, ErrorCode, Event, EventBody, Message, Now, OpReply, Refusal, Ruling, Seq,
    Stamp, UserId,
};

/// What a batch of operations writes and says.
pub(crate) struct Transaction {
    pub(crate) now: Now,
    pub(crate) stamp: Stamp,
    /// The channel of the operation that is being carried out.
    pub(crate) channel: ChannelId,
    pub(crate) events: Vec<(Event, Vec<UserId>)>,
    pub(crate) live: Vec<LiveEvent>,
    pub(crate) feeds: Vec<(ChannelId, Vec<EventBody>)>,
}

impl Transaction {
    pub(crate) fn new(now: Now, stamp: Stamp) -> Self {
        let channel = ChannelId(0);
        Self { now, stamp, channel, events: Vec::new(), live: Vec::new(), feeds: Vec::new() }
    }

    fn put(&mut self, users: Vec<UserId>, body: EventBody) {
        let ordinal = u16::try_from(self.events.len()).expect("few");
        self.events.push((Event { position: self.stamp.at(ordinal), channel: self.channel, body }, users));
    }

    fn tell(&mut self, users: Vec<UserId>, body: LiveBody) {
        self.live.push(LiveEvent { channel: self.channel, users, body });
    }
}

pub(crate) struct Log {
    pub(crate) large: bool,
    pub(crate) members: Vec<UserId>,
    pub(crate) messages: Vec<Arc<Message>>,
    pub(crate) marks: BTreeMap<UserId, Seq>,
    /// Replies to what has a name.
    done: BTreeMap<(UserId, ClientMsgId), OpReply>,
    /// What was sent under each name.
    said: BTreeMap<(UserId, ClientMsgId), Arc<str>>,
    reactions: BTreeSet<(Seq, Emoji, UserId)>,
}

impl Log {
    pub(crate) fn new(large: bool, members: Vec<UserId>) -> Self {
        let (messages, marks) = (Vec::new(), BTreeMap::new());
        Self {
            large,
            members,
            messages,
            marks,
            done: BTreeMap::new(),
            said: BTreeMap::new(),
            reactions: BTreeSet::new(),
        }
    }

    pub(crate) fn head(&self) -> Seq {
        Seq(self.messages.len() as u64)
    }

    pub(crate) fn apply(&mut self, op: ChannelOp, transaction: &mut Transaction) -> Result<OpReply, Refusal> {
        match op {
            ChannelOp::Send(send) => self.send(send, transaction),
            ChannelOp::Mark { user, read_seq } => self.mark(user, read_seq, transaction),
            ChannelOp::Create(_) => unreachable!("the store makes channels"),
            ChannelOp::Edit(EditOp { by, seq, op_id, base_revision: _, body, ruling }) => self.once(by, op_id, |log| {
                let body = judged(&body, ruling)?;
                let edited_ms = Some(transaction.now.wall);
                let message = log.revise(by, seq, |message| (message.body, message.edited_ms) = (body, edited_ms))?;
                log.happened(EventBody::Edited(Arc::clone(&message)), transaction);
                Ok(OpReply::Revised { revision: message.revision })
            }),
            ChannelOp::Delete { by, seq, op_id } => self.once(by, op_id, |log| {
                let gone = |message: &mut Message| (message.deleted, message.body) = (true, "".into());
                let revision = log.revise(by, seq, gone)?.revision;
                log.happened(EventBody::Deleted { seq, revision }, transaction);
                Ok(OpReply::Revised { revision })
            }),
            ChannelOp::React(ReactOp { by, seq, op_id, emoji, on }) => self.once(by, op_id, |log| {
                let row = (seq, emoji.clone(), by);
                let changed = if on { log.reactions.insert(row) } else { log.reactions.remove(&row) };
                let count = log.reactions.iter().filter(|(of, with, _)| (of, with) == (&seq, &emoji)).count();
                let count = u32::try_from(count).expect("few");
                if changed {
                    log.happened(EventBody::Reaction { seq, emoji, count, user: by, on }, transaction);
                }
                Ok(OpReply::Reacted { count })
            }),
            ChannelOp::Typing { user, on } => {
                self.member(user)?;
                let open_only = self.members.len() > 3;
                transaction.tell(self.members.clone(), LiveBody::Typing { user, on, open_only });
                Ok(OpReply::Told)
            }
            ChannelOp::Publish { by: _, event, data } => {
                let open_only = self.members.len() > 3;
                transaction.tell(self.members.clone(), LiveBody::Published { event, data, open_only });
                Ok(OpReply::Told)
            }
            ChannelOp::RemoveMember { by: _, user } => {
                let changed = self.members.contains(&user);
                if changed {
                    let told = self.members.clone();
                    self.members.retain(|&member| member != user);
                    self.changed(user, told, MemberChange::Removed, Role::Member, transaction);
                }
                Ok(OpReply::Changed { changed })
            }
            ChannelOp::AddMember { by: _, user, role } => {
                let is_new = !self.members.contains(&user);
                if is_new {
                    self.members.push(user);
                }
                let change = if is_new { MemberChange::Added } else { MemberChange::Role };
                self.changed(user, self.members.clone(), change, role, transaction);
                Ok(OpReply::Changed { changed: true })
            }
            ChannelOp::Block { by, user, on } => {
                transaction.tell(vec![by, user], LiveBody::Blocked { by, user, on });
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
    fn happened(&self, body: EventBody, transaction: &mut Transaction) {
        if self.large {
            transaction.feeds.push((transaction.channel, vec![body]));
        } else {
            transaction.put(self.members.clone(), body);
        }
    }

    /// A membership changed: in a large channel it is in the inbox of the one whom it concerns alone.
    fn changed(
        &self,
        user: UserId,
        told: Vec<UserId>,
        change: MemberChange,
        role: Role,
        transaction: &mut Transaction,
    ) {
        let body = EventBody::Membership { user, change, role };
        if self.large {
            transaction.feeds.push((transaction.channel, vec![body.clone()]));
        }
        transaction.put(if self.large { vec![user] } else { told }, body);
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

    fn revise(&mut self, by: UserId, seq: Seq, change: impl FnOnce(&mut Message)) -> Result<Arc<Message>, Refusal> {
        let at = usize::try_from(seq.0.wrapping_sub(1)).expect("64 bits");
        let message = self.messages.get_mut(at).filter(|message| !message.deleted);
        let message = message.ok_or_else(|| Refusal::new(ErrorCode::NoSuchMessage, "no such message"))?;
        if message.from != by {
            return Err(Refusal::new(ErrorCode::PermissionDenied, "another's message"));
        }
        let revised = Arc::make_mut(message);
        revised.revision += 1;
        change(revised);
        Ok(Arc::clone(message))
    }

    fn mark(&mut self, user: UserId, read_seq: Seq, transaction: &mut Transaction) -> Result<OpReply, Refusal> {
        self.member(user)?;
        let head = self.head();
        let mark = self.marks.entry(user).or_default();
        if read_seq.min(head) > *mark {
            *mark = read_seq.min(head);
            transaction.put(vec![user], EventBody::Read { user, read_seq: *mark });
            transaction.tell(self.members.clone(), LiveBody::Read { user, read_seq: *mark });
        }
        Ok(OpReply::Marked { read_seq: *mark, unread: head.0 - mark.0 })
    }

    fn send(&mut self, send: SendOp, transaction: &mut Transaction) -> Result<OpReply, Refusal> {
        let key = (send.from, send.client_msg_id);
        if let Some(&OpReply::Sent { seq, sent_ms, .. }) = self.done.get(&key) {
            let is_same = self.said[&key] == send.body;
            let reply = OpReply::Sent { seq, sent_ms, duplicate: true };
            return is_same.then_some(reply).ok_or_else(|| Refusal::new(ErrorCode::IdReused, "other content"));
        }
        self.member(send.from)?;
        let body = judged(&send.body, send.ruling)?;
        let seq = Seq(self.head().0 + 1);
        let message = Arc::new(Message {
            channel_id: transaction.channel,
            seq,
            revision: 0,
            from: send.from,
            sent_ms: transaction.now.wall,
            client_msg_id: send.client_msg_id,
            kind: send.kind,
            body,
            reply_to: None,
            mentions: no_mentions(),
            edited_ms: None,
            deleted: false,
            reactions: no_reactions(),
            media: Vec::new(),
        });
        let reply = OpReply::Sent { seq, sent_ms: transaction.now.wall, duplicate: false };
        self.done.insert(key, reply.clone());
        self.said.insert(key, send.body);
        self.messages.push(Arc::clone(&message));
        self.happened(EventBody::Message(message), transaction);
        Ok(reply)
    }
}

/// What is stored of a text that applications have judged.
fn judged(body: &Arc<str>, ruling: Option<Ruling>) -> Result<Arc<str>, Refusal> {
    match ruling {
        None => Ok(Arc::clone(body)),
        Some(Ruling::Change(text)) => Ok(text),
        Some(Ruling::Unasked) => Err(Refusal::new(ErrorCode::Overloaded, "not asked")),
        Some(Ruling::Refuse(reason)) => Err(Refusal::new(ErrorCode::Rejected, &*reason)),
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
