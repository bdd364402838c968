//! An outage of the links to one node: when it is worth a line in the log, and when it is over.
//!
//! Owns which of these links are down, and whether that was said. Pure. What is back within a moment is not said at all: so
//! it is where a node was restarted, or has just left and this one does not know it yet.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// How long a link may be down before that is said: two heartbeats, by which whoever left is out of the view.
const MOMENT: Duration = Duration::from_secs(2);

/// See the module. Bounded by the links between two nodes.
#[derive(Debug, Default)]
pub(super) struct Outage {
    /// Links that are down, and since when.
    down: BTreeMap<u16, Instant>,
    said: bool,
}

impl Outage {
    /// A link has ended or could not be made. Whether that is to be said.
    pub(super) fn down(&mut self, number: u16, now: Instant) -> bool {
        let since = *self.down.entry(number).or_insert(now);
        let is_news = !self.said && now.saturating_duration_since(since) >= MOMENT;
        self.said |= is_news;
        is_news
    }

    /// A link is connected. Whether it is to be said that all are again.
    pub(super) fn up(&mut self, number: u16) -> bool {
        self.down.remove(&number);
        let is_over = self.said && self.down.is_empty();
        self.said &= !is_over;
        is_over
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What happens to links, each a time in milliseconds, the link's number and `-` or `+`; the times at which something
    /// is said.
    fn check(events: &str, expected: &str) {
        let (mut outage, begun) = (Outage::default(), Instant::now());
        let said = events.split(", ").filter(|event| {
            let [ms, number, what] = event.split(' ').collect::<Vec<_>>()[..] else { panic!("{event}") };
            let number = number.parse().expect("a number");
            match what {
                "-" => outage.down(number, begun + Duration::from_millis(ms.parse().expect("a time"))),
                _ => outage.up(number),
            }
        });
        assert_eq!(said.collect::<Vec<_>>().join(", "), expected, "{events}");
    }

    #[test]
    fn an_outage_is_said_once_when_it_lasts_and_once_when_it_is_over() {
        check("0 0 -, 100 0 -, 2000 0 -, 4000 0 -, 9000 0 -, 9100 0 +", "2000 0 -, 9100 0 +");
        check("0 0 -, 2000 0 -, 2100 0 +, 5000 0 -, 7000 0 -", "2000 0 -, 2100 0 +, 7000 0 -");
        // All links of a node are one outage.
        check("0 0 -, 0 1 -, 2000 1 -, 2100 0 -, 3000 1 +, 3100 0 -, 3200 0 +", "2000 1 -, 3200 0 +");
    }

    #[test]
    fn what_is_back_within_a_moment_is_not_said() {
        check("0 0 +, 10 1 +", "");
        check("0 0 -, 100 0 -, 300 0 -, 1999 0 -, 2000 0 +", "");
        check("0 0 -, 1000 0 +, 1500 0 -, 3000 0 -, 3100 0 +", "");
    }
}
