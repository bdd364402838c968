//! Where everything lies: the keys of every table, by hand, fixed width, big-endian.
//!
//! Owns the layout of keys and of ranges. Values are `schema::record`. Part of the stored format: what is here changes only
//! with the format version of the data directory.
//! Keys of one table order as their fields do, in the order in which a function names them.
//!
//! ```text
//! arrival · epoch · home incarnation · home shard · stamp     batch · incarnation · shard          body · channel · seq · revision · part
//! block · by · user   device · user · device    friend · user · other                               presence · user
//! channel · id        dedup · hash byte · day · channel · user · client_msg_id     dedup floor     direct · low user · high user
//! edited · channel · seq     family · user · family     fence · hash byte · incarnation     former · channel · user           head · channel
//! heartbeat · incarnation    node · incarnation
//! idempotency · day · user · key     import     inbox · user · stamp · ordinal      inbox floor · user                 indexed · channel
//! joined · user              large · user · channel              left · user · channel
//! member · channel · user    membership · user · channel         mention · user · time · channel · seq
//! message · channel · seq    officer · channel · user            partition · number
//! posting · channel · segment · row              push · partition of user · due · user · channel · seq
//! reaction · channel · seq · emoji · user        read · user · channel      refresh · hash      refresh due · time · hash
//! segments · channel · page  set aside · key            tallies · channel · seq
//! user · id                  username · name     view
//! ```

mod account;
mod channel;
mod dedup;
mod inbox;
mod layout;
mod message;
mod moved;
mod ownership;
mod people;
mod push;
mod search;
#[cfg(test)]
mod tests;

use schema::UserId;
use schema::record::RecordError;
use xxhash_rust::xxh3::xxh3_64;

pub use account::{families, family, refresh, refresh_due, refresh_hash, refreshes_due, user, username};
pub use channel::{
    body_part, body_parts, channel, channel_id, channels_after, direct, former, head, joined, large, large_of, larges,
    left, left_newest, left_of, member, member_of, members_after, membership, membership_of, memberships_after,
    memberships_of_users_after, message, message_place, messages, messages_after, officer, officer_of, officers, read,
};
pub use dedup::{DedupKey, day, dedup_floor, dedups_after, dedups_before, idempotencies_before, idempotency};
pub use inbox::{inbox, inbox_after, inbox_floor, inbox_place, inbox_prefix, inbox_through, inboxes_after};
pub use layout::{Field, Layout, layouts};
pub use message::{
    MentionKey, edited, edited_place, edits, mentions_after, mentions_before, reaction, reaction_of, reactions,
    reactions_after, tallies, tallies_after, tallies_place, tallies_within,
};
pub use moved::{Moved, import, moved, moved_after, set_aside, sets_aside, table_name};
pub use ownership::{
    arrival_place, arrival_prefix, arrival_stamp, arrivals_after, arrivals_before, arrivals_through, batch, batches,
    fence, heartbeat, node, node_of, nodes, partition, partitions, view,
};
pub use people::{
    block, block_of, blocks_after, device, device_of, devices, friend, friend_of, friends_after, presence,
};
pub use push::{push, push_item, pushes_due, pushes_of};
pub use search::{indexed, posting, postings, segments};

use kv::transaction::{RangeRequest, key_after, prefix_end};

macro_rules! tables {
    ($($table:ident = $number:literal,)*) => {
        /// The first byte of a key. Numbers are never reused.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        #[repr(u8)]
        pub(crate) enum Table {
            $($table = $number,)*
        }

        impl Table {
            /// Every table, in the order of numbers.
            const ALL: &'static [Self] = &[$(Self::$table,)*];

            /// The table that a key is of. `None` if this program has no such table.
            pub(crate) fn of_key(key: &[u8]) -> Option<Self> {
                let first = *key.first()?;
                Self::ALL.iter().copied().find(|&table| table as u8 == first)
            }
        }
    };
}

tables! {
    Arrival = 1,
    Batch = 2,
    Body = 3,
    Channel = 4,
    Dedup = 5,
    DedupFloor = 6,
    Direct = 7,
    Family = 8,
    Fence = 9,
    Former = 10,
    Head = 11,
    Idempotency = 12,
    Inbox = 13,
    InboxFloor = 14,
    Joined = 15,
    Member = 16,
    Membership = 17,
    Message = 18,
    Partition = 19,
    Read = 20,
    Refresh = 21,
    User = 22,
    Username = 23,
    View = 24,
    RefreshDue = 25,
    Reaction = 26,
    Tallies = 27,
    Mention = 28,
    Edited = 29,
    Large = 30,
    Officer = 31,
    Block = 36,
    Friend = 37,
    Device = 38,
    Presence = 39,
    Push = 40,
    Node = 41,
    Heartbeat = 42,
    Indexed = 50,
    Posting = 51,
    Segments = 52,
    Left = 53,
    Import = 60,
    SetAside = 61,
}

/// A key in the making.
struct Key(Vec<u8>);

impl Key {
    /// Bytes that hold most keys without growing: the longest of fixed width has 42, a reaction's some 10 less or up to 90.
    const CAPACITY: usize = 48;

    fn of(table: Table) -> Self {
        let mut bytes = Vec::with_capacity(Self::CAPACITY);
        bytes.push(table as u8);
        Self(bytes)
    }

    fn u8(mut self, value: u8) -> Self {
        self.0.push(value);
        self
    }

    fn u16(self, value: u16) -> Self {
        self.bytes(&value.to_be_bytes())
    }

    fn u32(self, value: u32) -> Self {
        self.bytes(&value.to_be_bytes())
    }

    fn u64(self, value: u64) -> Self {
        self.bytes(&value.to_be_bytes())
    }

    fn bytes(mut self, bytes: &[u8]) -> Self {
        self.0.extend_from_slice(bytes);
        self
    }

    fn all(&self) -> RangeRequest {
        RangeRequest::prefix(&self.0)
    }

    /// What begins with this key and comes after `last` of them; all of it if there is none.
    fn all_after(&self, last: Option<Vec<u8>>) -> RangeRequest {
        match last {
            Some(last) => RangeRequest::new(key_after(&last), prefix_end(&self.0)),
            None => self.all(),
        }
    }
}

/// A key being read: fields in order, `None` once it is too short.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn of(table: Table, key: &'a [u8]) -> Option<Self> {
        let (&first, rest) = key.split_first()?;
        (first == table as u8).then_some(Self(rest))
    }

    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (field, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*field)
    }

    fn slice(&mut self, length: usize) -> Option<&'a [u8]> {
        let (field, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(field)
    }

    fn u32(&mut self) -> Option<u32> {
        self.take().map(u32::from_be_bytes)
    }

    fn u64(&mut self) -> Option<u64> {
        self.take().map(u64::from_be_bytes)
    }

    /// All that is left of the key.
    fn rest(self) -> &'a [u8] {
        self.0
    }

    /// `value` if nothing is left of the key.
    fn end<T>(self, value: T) -> Option<T> {
        self.0.is_empty().then_some(value)
    }
}

fn damaged(what: &'static str, key: &[u8]) -> RecordError {
    RecordError::Damaged { what, bytes: key.len(), why: format!("the key is {key:02x?}") }
}

/// Spreads neighbours over the store's servers.
fn hash_byte(id: u64) -> u8 {
    xxh3_64(&id.to_be_bytes()).to_be_bytes()[0]
}

/// What comes after all rows of a user in a table that is by user.
fn next_user(table: Table, last: Option<UserId>) -> RangeRequest {
    let table = Key::of(table);
    match last {
        Some(UserId(last)) => {
            let end = prefix_end(&table.0);
            RangeRequest::new(prefix_end(&table.u64(last).0), end)
        }
        None => table.all(),
    }
}
