//! I10: whoever wrote a message, whoever is told of it, and whoever was shown it, was a member when it was committed.

use std::collections::BTreeSet;

use schema::event::MemberChange;
use schema::record::{EventRecordBody, SeqRange};
use schema::{ChannelId, Seq};

use crate::facts::Facts;
use crate::outcome::violated;

use super::Check;
use super::store::Log;

/// At this many ranges the oldest has been forgotten, and nothing can be said of what lies before.
const RANGES_MAX: usize = schema::limits::MEMBER_RANGES_MAX as usize;

fn is_within(ranges: &[SeqRange], seq: Seq) -> bool {
    let forgotten = ranges.len() == RANGES_MAX && ranges.first().is_some_and(|range| seq <= range.after);
    forgotten || ranges.iter().any(|range| seq > range.after && range.through.is_none_or(|through| seq <= through))
}

/// The message that a row is about.
fn message_of(body: &EventRecordBody) -> Option<Seq> {
    match body {
        EventRecordBody::Message { seq, .. }
        | EventRecordBody::Edited { seq, .. }
        | EventRecordBody::Deleted { seq, .. }
        | EventRecordBody::Reaction { seq, .. } => Some(*seq),
        EventRecordBody::Membership { .. } | EventRecordBody::Read { .. } => None,
    }
}

pub(super) fn check(log: &Log, facts: &Facts) -> Check {
    for channel in &log.groups {
        for message in &log.channels[channel] {
            let ranges = &log.ranges[&(*channel, message.from)];
            if !is_within(ranges, message.seq) {
                let (from, seq) = (message.from, message.seq);
                violated!("I10", "{from} wrote {seq} of channel {channel}, and was in it for {ranges:?}");
            }
        }
    }
    for (user, (_, rows)) in &log.inboxes {
        let mut left: BTreeSet<ChannelId> = BTreeSet::new();
        for row in rows {
            let channel = row.event.channel;
            let is_own = |change: &EventRecordBody| match change {
                EventRecordBody::Membership { user: whose, change, .. } if whose == user => Some(*change),
                _ => None,
            };
            match is_own(&row.event.body) {
                Some(MemberChange::Created | MemberChange::Added) => _ = left.remove(&channel),
                Some(MemberChange::Removed | MemberChange::Left) => _ = left.insert(channel),
                Some(MemberChange::Role | MemberChange::Title) | None if left.contains(&channel) => {
                    violated!("I10", "{user}, who has left channel {channel}, is told {:?}", row.event.body);
                }
                Some(MemberChange::Role | MemberChange::Title) | None => {}
            }
            let (Some(seq), Some(ranges)) = (message_of(&row.event.body), log.ranges.get(&(channel, *user))) else {
                continue;
            };
            if !is_within(ranges, seq) {
                let at = row.position;
                violated!("I10", "{user} is told of {seq} of channel {channel} at {at}, and may see {ranges:?}");
            }
        }
    }
    for seen in &facts.sightings {
        let (channel, seq) = (seen.message.channel_id, seen.message.seq);
        let ranges = log.ranges.get(&(channel, seen.user)).map_or(&[][..], Vec::as_slice);
        if !is_within(ranges, seq) {
            let by = &seen.by;
            violated!("I10", "{by} was shown {seq} of channel {channel}, and may see {ranges:?}");
        }
    }
    Ok(())
}
