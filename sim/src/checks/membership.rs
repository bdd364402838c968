//! I10, in part: whoever wrote a message, and whoever is told of it, was a member when it was committed.

use schema::record::SeqRange;
use schema::{EventBody, Seq};

use super::store::Log;
use super::{Check, violated};

/// At this many ranges the oldest has been forgotten, and nothing can be said of what lies before.
const RANGES_MAX: usize = schema::limits::MEMBER_RANGES_MAX as usize;

fn is_within(ranges: &[SeqRange], seq: Seq) -> bool {
    let forgotten = ranges.len() == RANGES_MAX && ranges.first().is_some_and(|range| seq <= range.after);
    forgotten || ranges.iter().any(|range| seq > range.after && range.through.is_none_or(|through| seq <= through))
}

pub(super) fn check(log: &Log) -> Check {
    for channel in &log.groups {
        for message in &log.channels[channel] {
            let ranges = &log.ranges[&(*channel, message.from)];
            if !is_within(ranges, message.seq) {
                let (from, seq) = (message.from, message.seq);
                return violated(
                    "I10",
                    format!("{from} wrote {seq} of channel {channel}, and was in it for {ranges:?}"),
                );
            }
        }
    }
    for (user, (_, events)) in &log.inboxes {
        for event in events {
            let EventBody::Message(message) = &event.body else { continue };
            let Some(ranges) = log.ranges.get(&(event.channel, *user)) else { continue };
            if !is_within(ranges, message.seq) {
                let (seq, channel) = (message.seq, event.channel);
                return violated("I10", format!("{user} is told of {seq} of channel {channel}, and saw {ranges:?}"));
            }
        }
    }
    Ok(())
}
