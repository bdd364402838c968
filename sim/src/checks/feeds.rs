//! I6 of large channels: who has one open is pushed its log from where it opened it, in order, each message once, and
//! none left out that it may see; when all is quiet it holds everything up to the head.

use schema::Seq;

use crate::facts::{Facts, Feed};
use crate::outcome::violated;

use super::Check;
use super::store::Log;

pub(super) fn check(log: &Log, facts: &Facts) -> Check {
    for ((device, channel), feed) in &facts.feeds {
        let ranges = log.ranges.get(&(*channel, feed.user)).map_or(&[][..], Vec::as_slice);
        let may_see = |seq: u64| {
            ranges.iter().any(|range| seq > range.after.0 && range.through.is_none_or(|through| seq <= through.0))
        };
        let Feed { base, seqs, is_open, .. } = feed;
        let head = Seq(log.channels.get(channel).map_or(0, |messages| messages.len() as u64));
        let end = is_open.then_some(Seq(head.0 + 1));
        let mut last = *base;
        for seq in seqs.iter().copied().chain(end) {
            if seq <= last {
                violated!("I6", "{device} was pushed {seq} of channel {channel} after {last}");
            }
            if let Some(missed) = (last.0 + 1..seq.0).find(|&missed| may_see(missed)) {
                let pushed = format!("{seq} of channel {channel} after {last}, without #{missed}");
                violated!("I6", "{device} was pushed {pushed}, with the head at {head}, and may see {ranges:?}");
            }
            last = seq;
        }
    }
    Ok(())
}
