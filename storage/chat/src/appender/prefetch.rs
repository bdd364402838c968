//! Prefetch of what operations are known to read, all at once.
//!
//! Owns what those of a kind have in common. It is a forecast, which may be wrong: an operation asks for what is
//! missing when it is decided, and that costs a further round.

use schema::{ChannelId, ClientMsgId, Seq, UnixMs, UserId};

use super::draft::sight;
use super::members::Members;
use super::rows::Wanted;
use crate::keys::{self, DedupKey};

/// Where an operation says what it reads: all of it in the ordinary case, in one round.
pub(super) struct Prefetch<'a> {
    pub(super) channel: ChannelId,
    pub(super) wall: UnixMs,
    /// The list of the channel's members that is cached, if one is.
    pub(super) cached: Option<&'a Members>,
    pub(super) wanted: &'a mut Wanted,
}

impl Prefetch<'_> {
    /// Rows on which the decision stands.
    pub(super) fn rows(&mut self, keys: impl IntoIterator<Item = Vec<u8>>) {
        self.wanted.rows.extend(keys);
    }

    /// Rows on which no order depends.
    pub(super) fn loose(&mut self, keys: impl IntoIterator<Item = Vec<u8>>) {
        self.wanted.loose.extend(keys);
    }

    /// A channel that exists, and its members, or those concerned of a large one, whose list is never read.
    pub(super) fn channel(&mut self, concerned: &[UserId]) {
        let channel = self.channel;
        self.rows([keys::channel(channel), keys::head(channel)]);
        match self.cached {
            None => {
                self.wanted.lists.insert(channel);
            }
            Some(members) if members.large => self.rows(concerned.iter().map(|&user| keys::member(channel, user))),
            Some(&Members { author: Some(author), .. }) => {
                self.rows(concerned.iter().filter(|&&user| user != author).flat_map(|&user| sight(author, user)));
            }
            Some(_) => {}
        }
    }

    /// What a change of a message reads: the first reply to its `op_id`, the message and its tallies.
    pub(super) fn change(&mut self, user: UserId, op_id: ClientMsgId, seq: Seq) {
        let channel = self.channel;
        self.channel(&[user]);
        let first_reply = DedupKey { channel, user, id: op_id }.to_key();
        self.rows([first_reply, keys::message(channel, seq), keys::tallies(channel, seq)]);
    }
}
