//! Intake of a device: replies and pushes become facts, and what no reply may be becomes a complaint.

use std::sync::Arc;

use schema::command::ErrorReply;
use schema::limits::DEDUP_DAYS;
use schema::{ChannelId, Command, Cursor, ErrorCode, Push, Reply, Seq, ServerFrame};

use crate::facts::{Debt, Done, Key};
use crate::trace::note;

use super::{Asked, Device, REMEMBERED_MAX, Session};

/// How long a device waits before it asks again who is there.
const WATCH_AGAIN_MS: u64 = 500;
/// Why an operation may come to nothing: its channel was left or never joined, a limit, a stale base, a message that is
/// gone.
const NOT_OPERATED: [u16; 5] = [
    ErrorCode::UnknownChannel as u16,
    ErrorCode::PermissionDenied as u16,
    ErrorCode::LimitExceeded as u16,
    ErrorCode::StaleRevision as u16,
    ErrorCode::NoSuchMessage as u16,
];

impl Device {
    pub(super) fn heard(&mut self, session: &mut Session, frame: ServerFrame) {
        session.heard_ms = self.world.trace.now_ms();
        self.world.heard();
        if !session.is_proven {
            self.came_on(Debt::Connection);
        }
        match frame {
            ServerFrame::Push(push) => {
                if let Push::Drain { url: Some(url), jitter_ms, .. } = &push {
                    self.sent_on(session, url, u64::from(*jitter_ms));
                }
                self.fed(session, &push);
                self.pushed(&push);
            }
            ServerFrame::Reply { id, reply } => match session.asked.remove(&id) {
                Some((asked, _)) => {
                    session.is_proven |= matches!(asked, Asked::Echo(_)) && !self.world.is_hostile();
                    if !reply.as_ref().is_err_and(|error| error.temporary) {
                        self.came_on(Debt::Answers);
                    }
                    if matches!(asked, Asked::Watch) {
                        session.watch_ms = reply.is_err().then_some(self.world.trace.now_ms() + WATCH_AGAIN_MS);
                    }
                    let unsent = self.outbox.len();
                    match (asked, reply) {
                        (Asked::Open(channel, after), Ok(Reply::Open(opened))) => {
                            self.opened(session, channel, after, Ok(opened));
                        }
                        (Asked::Open(channel, after), Err(error)) => self.opened(session, channel, after, Err(error)),
                        (asked, reply) => self.answered(asked, reply),
                    }
                    if self.outbox.len() < unsent {
                        self.came_on(Debt::Sends);
                    }
                }
                None => {
                    let finding = format!("{} was answered {id}, which it had not asked: {reply:?}", self.name);
                    self.world.facts.borrow_mut().complain("I12", finding);
                }
            },
        }
    }

    /// Its node ends. One device of two goes by itself, the others are closed.
    fn sent_on(&mut self, session: &mut Session, url: &str, jitter_ms: u64) {
        self.sent_to = Some(url.to_owned());
        if self.rng.chance(500) {
            session.goes_ms = Some(self.world.trace.now_ms() + self.rng.within(0..=jitter_ms));
        }
    }

    fn pushed(&mut self, push: &Push) {
        self.learn(push);
        if let Push::Presence { entries } = push {
            self.saw_presence(entries, true);
        }
        let cursor = push.cursor().map(|cursor| cursor.parse::<Cursor>().expect("a server's cursor is one"));
        if let Some(cursor) = cursor {
            note!(self.world.trace, "{}: is pushed {}", self.name, cursor.position);
            self.came_on(Debt::Inbox);
        }
        let mut facts = self.world.facts.borrow_mut();
        if let Push::Snapshot { .. } = push {
            facts.snapshots += 1;
            if let Some(cursor) = cursor {
                facts.started(&self.name, self.user, cursor.position);
            }
        } else if let Some(cursor) = cursor {
            facts.pushed(&self.name, cursor.position, push);
        }
        self.cursor = cursor.or(self.cursor);
    }

    /// What a push says of the newest seq of a channel and of the newest revision of a message.
    fn learn(&mut self, push: &Push) {
        match push {
            Push::Message { message, .. } | Push::Edited { message, .. } => {
                let head = self.heads.entry(message.channel_id).or_default();
                *head = message.seq.max(*head);
                self.saw_revision(message.channel_id, message.seq, message.revision);
            }
            &Push::Deleted { channel_id, seq, revision, .. } => self.saw_revision(channel_id, seq, revision),
            Push::Reaction { .. }
            | Push::Membership { .. }
            | Push::Read { .. }
            | Push::Snapshot { .. }
            | Push::TokenExpiring { .. }
            | Push::Drain { .. }
            | Push::Head { .. }
            | Push::Presence { .. }
            | Push::Typing { .. }
            | Push::Published { .. }
            | Push::FeedHead { .. } => {}
        }
    }

    fn saw_revision(&mut self, channel: ChannelId, seq: Seq, revision: u32) {
        let newest = self.revisions.entry((channel, seq)).or_default();
        *newest = revision.max(*newest);
    }

    fn answered(&mut self, asked: Asked, reply: Result<Reply, ErrorReply>) {
        let mut facts = self.world.facts.borrow_mut();
        let now_ms = self.world.trace.now_ms();
        match (asked, reply) {
            (Asked::Send(key), Ok(Reply::Send { seq, duplicate, .. })) => {
                facts.acknowledged(key, seq, duplicate);
                let head = self.heads.entry(key.channel).or_default();
                *head = seq.max(*head);
                let body = Arc::clone(&facts.written[&key].body);
                self.outbox.done(key);
                remember(&mut self.remembered, (key, body, seq));
            }
            (Asked::Operate(key), Ok(Reply::Edit { revision } | Reply::Delete { revision })) => {
                drop(facts);
                self.operated(key, Done::Revised(revision));
            }
            (Asked::Operate(key), Ok(Reply::React { count })) => {
                drop(facts);
                self.operated(key, Done::Reacted(count));
            }
            (Asked::Operate(key), Err(error)) if !error.temporary => {
                self.outbox.done(key);
                let was_done = facts.operations[&key].done.is_some();
                let is_legal = self.is_too_old(key, &error) || !was_done && NOT_OPERATED.contains(&error.code);
                if !is_legal {
                    let finding = format!("{} asked {key:?}, done before: {was_done}, and heard {error:?}", self.name);
                    facts.complain("I5", finding);
                }
            }
            (Asked::Typing, Ok(Reply::Typing {})) => {}
            (Asked::Watch, Ok(Reply::PresenceWatch { entries })) => {
                drop(facts);
                self.saw_presence(&entries, false);
            }
            (Asked::Send(key) | Asked::Operate(key), Err(error)) if error.temporary => {
                note!(self.world.trace, "{}: is to send {} again: {}", self.name, key.id, error.code);
                self.outbox.again(key, now_ms + u64::from(error.retry_after_ms).max(20));
            }
            (Asked::Send(key), Err(error)) => {
                facts.refused.insert(key, error.code);
                self.outbox.done(key);
                let may = [ErrorCode::UnknownChannel, ErrorCode::PermissionDenied].map(u16::from);
                if !may.contains(&error.code) && !self.is_too_old(key, &error) {
                    facts.complain("I5", format!("{} sent {key:?} and was refused: {error:?}", self.name));
                }
            }
            (Asked::Again(key, seq), Ok(Reply::Send { seq: now, duplicate, .. })) => {
                facts.acknowledged(key, now, duplicate);
                if now != seq || !duplicate {
                    let finding = format!("{key:?} was {seq}, sent again it is {now}, duplicate: {duplicate}");
                    facts.complain("I5", finding);
                }
            }
            (Asked::Reuse(_), Err(error)) if error.code == u16::from(ErrorCode::IdReused) => {}
            (Asked::Again(key, _) | Asked::Reuse(key), Err(error)) if self.is_too_old(key, &error) => {}
            (Asked::History(known), Ok(Reply::History(page))) => {
                // Whatever it was told before it asked, by whichever node.
                if let Some(known) = known.filter(|known| page.messages.iter().all(|message| message.seq < *known)) {
                    let newest = page.messages.iter().map(|message| message.seq).max();
                    let finding = format!("{} knew of {known} and was shown a history up to {newest:?}", self.name);
                    facts.complain("I3", finding);
                }
                for message in page.messages {
                    facts.saw(&self.name, self.user, message);
                }
            }
            (Asked::Mark, Ok(Reply::Mark { .. })) => {}
            (Asked::Echo(said), Ok(Reply::Echo { data })) if said == data => {}
            // A channel may be left while it is asked about, and the store may be away.
            (Asked::History(_) | Asked::Mark | Asked::Typing, Err(error)) if matches!(error.code, 102 | 103) => {}
            (_, Err(error)) if error.temporary => {}
            (asked, reply) => {
                facts.complain("I5", format!("{} asked {asked:?} and was answered {reply:?}", self.name));
            }
        }
    }

    /// Rule 6: whatever comes in between, a second reply is the first.
    fn operated(&mut self, key: Key, done: Done) {
        let mut facts = self.world.facts.borrow_mut();
        if let Some(first) = facts.done(key, done).filter(|first| *first != done) {
            facts.complain("I5", format!("{key:?} was answered {first:?}, and asked again {done:?}"));
        }
        let command = facts.operations[&key].command.clone();
        drop(facts);
        if let (Command::Edit(edit), Done::Revised(revision)) = (&command, done) {
            self.saw_revision(edit.channel_id, edit.seq, revision);
        }
        remember(&mut self.operated, (key, command));
        self.outbox.done(key);
    }

    /// Rule 1's other half: an id from before the wall leapt is refused rather than risk a duplicate.
    fn is_too_old(&self, key: Key, error: &ErrorReply) -> bool {
        let has_leapt = self.world.wall().since_ms(key.id.made_at()) > DEDUP_DAYS * 24 * 3600 * 1000;
        error.code == u16::from(ErrorCode::IdTooOld) && has_leapt
    }
}

/// The oldest makes room.
fn remember<T>(all: &mut Vec<T>, newest: T) {
    if all.len() == REMEMBERED_MAX {
        all.remove(0);
    }
    all.push(newest);
}
