//! Whether every row of every table can be read.
//!
//! Owns which record a table's values are. Values that nobody reads, of rows whose keys say it all, are not looked at, nor are
//! the index's, which `search::verify` compares with the messages.

use schema::record::{
    ArrivalRecord, BlockRecord, ChannelRecord, DedupRecord, DeviceRecord, EventRecord, FenceRecord, FriendRecord,
    HeadRecord, IdempotencyRecord, MemberRecord, MessageRecord, NodeRecord, PresenceRecord, ReadMarkRecord,
    RecordError, RefreshRecord, TalliesRecord, UserRecord,
};

use super::{CheckError, Checked, PAGE_ROWS};
use crate::keys::{self, DedupKey, MentionKey, Table};
use crate::packed::{self, BatchRow, ImportRow, ViewRow};
use crate::{again, unreadable};
use kv::transaction::{Begin, Engine, RESERVED, RangeRequest, Row, Transaction};

/// Rows that a report names; the others are counted.
const NAMED_MAX: usize = 20;

/// Reads every row, and counts those that were set aside.
pub(super) async fn rows<E: Engine>(
    engine: &E,
    checked: &mut Checked,
    progress: &mut impl FnMut(&Checked),
) -> Result<(), CheckError> {
    let (mut unread, mut named) = (0, Vec::new());
    let mut next = Some(RangeRequest::new(Vec::new(), RESERVED.to_vec()).rows(PAGE_ROWS));
    while let Some(range) = next {
        let page = again!(async { engine.begin(Begin::Fresh).snapshot_get_range(&range).await })?;
        for row in &page.rows {
            checked.set_aside += u64::from(Table::of_key(&row.key) == Some(Table::SetAside));
            if let Err(error) = read(row) {
                unread += 1;
                let table = keys::table_name(&row.key).unwrap_or("no table");
                named.push(format!("{table} {}: {error}", unreadable::hex(&row.key)));
                named.truncate(NAMED_MAX);
            }
        }
        progress(checked);
        next = RangeRequest::after(range, &page);
    }
    if unread == 0 { Ok(()) } else { Err(CheckError::Unreadable { rows: unread, named }) }
}

/// Whether a row is one of its table.
fn read(Row { key, value }: &Row) -> Result<(), RecordError> {
    let Some(table) = Table::of_key(key) else {
        let why = "its first byte names no table of this version".into();
        return Err(RecordError::Damaged { what: "key", bytes: key.len(), why });
    };
    match table {
        Table::Arrival => keys::arrival_stamp(key).and(ArrivalRecord::decode(value).map(drop)),
        Table::Batch => BatchRow::decode(value).map(drop),
        Table::Channel => keys::channel_id(key).and(ChannelRecord::decode(value).map(drop)),
        Table::Dedup => DedupKey::of_key(key).and(DedupRecord::decode(value).map(drop)),
        Table::DedupFloor => packed::day(Some(value)).map(drop),
        Table::Direct => packed::direct(value).map(drop),
        Table::Fence => FenceRecord::decode(value).map(drop),
        Table::Former => MemberRecord::decode(value).map(drop),
        Table::Head => HeadRecord::decode(value).map(drop),
        Table::Idempotency => IdempotencyRecord::decode(value).map(drop),
        Table::Inbox => keys::inbox_place(key).and(EventRecord::decode(value).map(drop)),
        Table::InboxFloor => packed::floor(Some(value)).map(drop),
        Table::Joined => packed::counter(Some(value)).map(drop),
        Table::Member => keys::member_of(key).and(MemberRecord::decode(value).map(drop)),
        Table::Membership => keys::membership_of(key).and(MemberRecord::decode(value).map(drop)),
        Table::Message => keys::message_place(key).and(MessageRecord::decode(value).map(drop)),
        Table::Partition => packed::owner(value).map(drop),
        Table::Read => ReadMarkRecord::decode(value).map(drop),
        Table::Refresh => RefreshRecord::decode(value).map(drop),
        Table::User => UserRecord::decode(value).map(drop),
        Table::Username => packed::user(value).map(drop),
        Table::View => ViewRow::decode(value).map(drop),
        Table::RefreshDue => keys::refresh_hash(key).map(drop),
        Table::Reaction => keys::reaction_of(key).map(drop),
        Table::Tallies => keys::tallies_place(key).and(TalliesRecord::decode(value).map(drop)),
        Table::Mention => MentionKey::of_key(key).map(drop),
        Table::Edited => keys::edited_place(key).map(drop),
        Table::Large => keys::large_of(key).map(drop),
        Table::Officer => keys::officer_of(key).and(MemberRecord::decode(value).map(drop)),
        Table::Block => keys::block_of(key).and(BlockRecord::decode(value).map(drop)),
        Table::Friend => keys::friend_of(key).and(FriendRecord::decode(value).map(drop)),
        Table::Device => keys::device_of(key).and(DeviceRecord::decode(value).map(drop)),
        Table::Presence => PresenceRecord::decode(value).map(drop),
        Table::Push => keys::push_item(key, value).map(drop),
        Table::Node => keys::node_of(key).and(NodeRecord::decode(value).map(drop)),
        Table::Heartbeat => packed::beat(value).map(drop),
        Table::Left => keys::left_of(key).map(drop),
        Table::Import => ImportRow::decode(value).map(drop),
        Table::Body | Table::Family | Table::Indexed | Table::Posting | Table::Segments | Table::SetAside => Ok(()),
    }
}
