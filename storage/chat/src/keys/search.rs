//! Keys of the index of what was written.

use schema::ChannelId;

use super::{Key, Table};
use kv::transaction::RangeRequest;

/// `indexed`: up to where a channel is indexed, and its newest segments.
#[must_use]
pub fn indexed(channel: ChannelId) -> Vec<u8> {
    Key::of(Table::Indexed).u64(channel.0).0
}

/// `posting`: one row of a segment.
#[must_use]
pub fn posting(channel: ChannelId, segment: u32, row: u16) -> Vec<u8> {
    Key::of(Table::Posting).u64(channel.0).u32(segment).u16(row).0
}

/// Every row of a segment, in order.
#[must_use]
pub fn postings(channel: ChannelId, segment: u32) -> RangeRequest {
    Key::of(Table::Posting).u64(channel.0).u32(segment).all()
}

/// `segments`: a page of the list of a channel's older segments.
#[must_use]
pub fn segments(channel: ChannelId, page: u32) -> Vec<u8> {
    Key::of(Table::Segments).u64(channel.0).u32(page).0
}
