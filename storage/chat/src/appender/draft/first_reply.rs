//! First replies: what the same id was answered before.
//!
//! Upholds I5: a first reply is looked up before anything else, membership too, and written in the transaction of what
//! it answers. An id of which nobody can know whether it was answered is refused.

use schema::limits::{DEDUP_DAYS, ID_AHEAD_MS};
use schema::record::{AnsweredOp, DedupRecord};
use schema::{ChannelId, ClientMsgId, Emoji, ErrorCode, Seq, UserId};
use xxhash_rust::xxh3::Xxh3;

use super::{Draft, Step, refuse};
use crate::keys::DedupKey;

/// Milliseconds for which a first reply is given again.
const DEDUP_MS: u64 = DEDUP_DAYS * 24 * 3600 * 1000;

/// Under what an operation is answered, and what it means.
#[derive(Debug, Clone, Copy)]
pub(in crate::appender) struct Asked {
    pub(in crate::appender) key: DedupKey,
    pub(in crate::appender) op: AnsweredOp,
    pub(in crate::appender) content_hash: u64,
}

impl Asked {
    /// A change of a message, by its `op_id`.
    pub(in crate::appender) fn change(
        channel: ChannelId,
        user: UserId,
        id: ClientMsgId,
        seq: Seq,
        change: Change<'_>,
    ) -> Self {
        let (op, content_hash) = change.meaning(seq);
        Self { key: DedupKey { channel, user, id }, op, content_hash }
    }
}

/// What a change of a message is, beside its seq.
pub(in crate::appender) enum Change<'a> {
    Edit { base_revision: u32, body: &'a str },
    Delete,
    React { emoji: &'a Emoji, on: bool },
}

impl Change<'_> {
    /// What it means, whatever its encoding was. Part of the stored format; the first byte is none of a send's.
    fn meaning(&self, seq: Seq) -> (AnsweredOp, u64) {
        let mut hash = Xxh3::new();
        let mut begin = |first: u8| {
            hash.update(&[first]);
            hash.update(&seq.0.to_be_bytes());
        };
        let op = match self {
            Self::Edit { base_revision, body } => {
                begin(0xE0);
                hash.update(&base_revision.to_be_bytes());
                hash.update(body.as_bytes());
                AnsweredOp::Edit
            }
            Self::Delete => {
                begin(0xE1);
                AnsweredOp::Delete
            }
            Self::React { emoji, on } => {
                begin(0xE2);
                hash.update(&[u8::from(*on)]);
                hash.update(emoji.as_str().as_bytes());
                AnsweredOp::React
            }
        };
        (op, hash.digest())
    }
}

impl Draft<'_> {
    /// What the same id was answered before, if it was: also to someone who has left meanwhile. Else the id's age is
    /// judged.
    pub(in crate::appender) fn first_reply(&mut self, asked: &Asked) -> Step<Option<DedupRecord>> {
        if let Some(first) = self.record(asked.key.to_key(), DedupRecord::decode)? {
            if (first.op, first.content_hash) == (asked.op, asked.content_hash) {
                return Ok(Some(first));
            }
            return refuse(ErrorCode::IdReused, format!("this id named other content, {} of the channel", first.seq));
        }
        self.check_age(asked.key.id)?;
        Ok(None)
    }

    /// Refuses an id of which nobody can know whether it was answered.
    fn check_age(&self, id: ClientMsgId) -> Step<()> {
        let (made, wall) = (id.made_at(), self.terms.wall);
        if wall.since_ms(made) > DEDUP_MS {
            return refuse(ErrorCode::IdTooOld, format!("the id is older than {DEDUP_DAYS} days"));
        }
        if made.since_ms(wall) > ID_AHEAD_MS {
            return refuse(ErrorCode::IdTooOld, "the id is more than a day in the future");
        }
        Ok(())
    }

    /// Keeps the first reply to a change of a message.
    pub(in crate::appender) fn answer(&mut self, asked: &Asked, seq: Seq, revision: u32, count: u32) {
        let (op, content_hash, sent_ms) = (asked.op, asked.content_hash, self.terms.wall);
        let first = DedupRecord { op, seq, sent_ms, revision, count, content_hash };
        self.set(asked.key.to_key(), first.encode());
    }
}
