//! Which tables go along when rows move to another store.
//!
//! Owns one decision for each table. What names versions of its own store, or who owns what in it, means nothing in
//! another; all else is the same rows under the same keys.

use super::{Key, Table};
use kv::transaction::{RangeRequest, key_after, prefix_end};

/// What becomes of a row in another store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moved {
    /// It is the same there.
    AsItIs,
    /// It goes along without the stamp in its value, which is of its own store.
    Unstamped,
    /// It goes along, and its user's inbox begins anew there.
    WithFloor,
    /// It stays behind.
    Left,
}

impl Table {
    fn moved(self) -> Moved {
        match self {
            // Positions are of their store: an inbox begins anew, and clients are given a snapshot in its place.
            Self::Arrival | Self::Inbox | Self::InboxFloor => Moved::Left,
            // Nobody owns anything of a store that has just been made.
            Self::Batch | Self::Fence | Self::Partition | Self::View | Self::Import => Moved::Left,
            // Nor is anybody there.
            Self::Node | Self::Heartbeat => Moved::Left,
            Self::Device => Moved::Unstamped,
            Self::Membership => Moved::WithFloor,
            Self::Body
            | Self::Channel
            | Self::Dedup
            | Self::DedupFloor
            | Self::Direct
            | Self::Family
            | Self::Former
            | Self::Head
            | Self::Idempotency
            | Self::Joined
            | Self::Member
            | Self::Message
            | Self::Read
            | Self::Refresh
            | Self::User
            | Self::Username
            | Self::RefreshDue
            | Self::Reaction
            | Self::Tallies
            | Self::Mention
            | Self::Edited
            | Self::Large
            | Self::Officer
            | Self::Block
            | Self::Friend
            | Self::Presence
            | Self::Push
            | Self::Indexed
            | Self::Posting
            | Self::Segments
            | Self::Left
            | Self::SetAside => Moved::AsItIs,
        }
    }
}

/// What becomes of the row under this key. `None` if no table of this program has it.
#[must_use]
pub fn moved(key: &[u8]) -> Option<Moved> {
    Table::of_key(key).map(Table::moved)
}

/// The next rows that go along after a key, of one table; of the first without one. `None` behind the last table.
#[must_use]
pub fn moved_after(last: Option<&[u8]>) -> Option<RangeRequest> {
    let begin = last.map(key_after).unwrap_or_default();
    let tables = Table::ALL.iter().copied().filter(|table| table.moved() != Moved::Left);
    let ranges = tables.map(|table| (Key::of(table).0, prefix_end(&[table as u8])));
    ranges.map(|(first, end)| RangeRequest::new(first.max(begin.clone()), end)).find(|range| range.begin < range.end)
}

/// The name of the table that a key is of. `None` if this program has no such table.
#[must_use]
pub fn table_name(key: &[u8]) -> Option<&'static str> {
    Table::of_key(key).map(Table::name)
}

/// `set aside`: a row that cannot be read, behind the key that it had.
#[must_use]
pub fn set_aside(key: &[u8]) -> Vec<u8> {
    Key::of(Table::SetAside).bytes(key).0
}

/// Every row that was set aside.
#[must_use]
pub fn sets_aside() -> RangeRequest {
    Key::of(Table::SetAside).all()
}

/// `import`: that rows of another store are being written into this one, and how far that is.
#[must_use]
pub fn import() -> Vec<u8> {
    Key::of(Table::Import).0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_listed_by_number() {
        let numbers: Vec<u8> = Table::ALL.iter().map(|&table| table as u8).collect();
        assert!(numbers.is_sorted_by(|one, next| one < next), "{numbers:?}");
    }

    #[test]
    fn ranges_hold_the_tables_that_go_along() {
        let check = |last: Option<&[u8]>, expected: Option<(&[u8], &[u8])>| {
            let found = moved_after(last).map(|range| (range.begin, range.end));
            assert_eq!(found.as_ref().map(|(begin, end)| (&**begin, &**end)), expected, "after {last:?}");
        };
        check(None, Some((&[Table::Body as u8], &[Table::Body as u8 + 1])));
        check(Some(&[Table::Body as u8, 7]), Some((&[Table::Body as u8, 7, 0], &[Table::Body as u8 + 1])));
        // Fences stay behind.
        check(Some(&[Table::Fence as u8]), Some((&[Table::Former as u8], &[Table::Former as u8 + 1])));
        check(Some(&[Table::SetAside as u8 + 1]), None);
    }

    #[test]
    fn what_no_table_has_is_known_as_such() {
        let check = |key: &[u8], expected: Option<Moved>| assert_eq!(moved(key), expected, "{key:?}");
        check(&[], None);
        check(&[0], None);
        check(&[250, 1], None);
        check(&[Table::Inbox as u8, 1], Some(Moved::Left));
        check(&[Table::Device as u8], Some(Moved::Unstamped));
        check(&[Table::Message as u8, 9], Some(Moved::AsItIs));
    }
}
