//! Drain of a shard: its sessions are told where to go, and those that stay are closed one after the other.
//!
//! Owns when each is closed, and which address it is told. A client has the jitter to go by itself, so that it misses
//! nothing but the moment between two connections; whoever is left then is closed over as long again. Where there is
//! no other node to go to, waiting would help nobody.

use std::collections::VecDeque;
use std::sync::Arc;

use schema::limits::RETRY_BASE_MS;
use schema::{Instant, Now, Push, UnixMs};

use crate::io::ConnId;

/// The end of a node, as it is to be brought to its sessions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Drain {
    /// When what is left is closed all the same.
    pub deadline_ms: UnixMs,
    /// Time over which clients are to connect elsewhere, each at a moment of its own.
    pub jitter_ms: u32,
    /// Addresses of other nodes, told in turn. None if there is no other: then sessions close as soon as they are idle.
    pub urls: Arc<[String]>,
}

impl Drain {
    /// Of a node that knows no other.
    #[must_use]
    pub fn alone(deadline_ms: UnixMs) -> Self {
        Self { deadline_ms, jitter_ms: RETRY_BASE_MS, urls: Arc::default() }
    }

    /// What the client of this place among all is told.
    pub(crate) fn push(&self, place: usize) -> Push {
        let url = self.urls.get(place % self.urls.len().max(1)).cloned();
        Push::Drain { deadline_ms: self.deadline_ms, jitter_ms: self.jitter_ms, url }
    }
}

/// A drain under way.
#[derive(Debug)]
pub(crate) struct Leaving {
    deadline: Instant,
    /// When each of those that were there is closed, in order.
    due: VecDeque<(Instant, ConnId)>,
}

impl Leaving {
    /// Of these connections, in this order.
    pub(crate) fn new(drain: &Drain, now: Now, conns: &[ConnId]) -> Self {
        let jitter_ms = if drain.urls.is_empty() { 0 } else { u64::from(drain.jitter_ms) };
        let of = |place: usize| now.mono.plus_ms(jitter_ms + jitter_ms * place as u64 / conns.len() as u64);
        let due = conns.iter().enumerate().map(|(place, &conn)| (of(place), conn)).collect();
        Self { deadline: now.mono.plus_ms(drain.deadline_ms.since_ms(now.wall)), due }
    }

    /// One that is to be closed now.
    pub(crate) fn next_due(&mut self, now: Instant) -> Option<ConnId> {
        let (_, conn) = self.due.pop_front_if(|(at, _)| *at <= now)?;
        Some(conn)
    }

    /// Whether what is left is closed all the same.
    pub(crate) fn is_over(&self, now: Instant) -> bool {
        now >= self.deadline
    }

    /// When something is next to be done.
    pub(crate) fn wanted(&self) -> Instant {
        self.due.front().map_or(self.deadline, |&(at, _)| at.min(self.deadline))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Connections close at these milliseconds after the order.
    fn check(conns: u64, jitter_ms: u32, urls: &[&str], expected_ms: &[u64]) {
        let now = Now { mono: Instant(7_000_000_000), wall: UnixMs(1_000_000) };
        let urls: Arc<[String]> = urls.iter().map(|&url| url.to_owned()).collect();
        let drain = Drain { deadline_ms: now.wall.plus_ms(60_000), jitter_ms, urls };
        let conns: Vec<ConnId> = (0..conns).map(ConnId).collect();
        let mut leaving = Leaving::new(&drain, now, &conns);
        let mut closed = Vec::new();
        loop {
            let at = leaving.wanted();
            while let Some(conn) = leaving.next_due(at) {
                assert_eq!(conn.0, closed.len() as u64, "in order");
                closed.push((at.0 - now.mono.0) / 1_000_000);
            }
            if leaving.is_over(at) {
                break;
            }
        }
        assert_eq!(closed, expected_ms);
    }

    #[test]
    fn whoever_does_not_go_by_itself_within_the_jitter_is_closed_over_as_long_again() {
        check(4, 1_000, &["a"], &[1_000, 1_250, 1_500, 1_750]);
        check(1, 500, &["a"], &[500]);
        check(0, 500, &["a"], &[]);
        check(3, 500, &[], &[0, 0, 0]);
    }

    #[test]
    fn other_nodes_are_told_in_turn() {
        let url = |urls: &[&str], place| {
            let urls = urls.iter().map(|&url| url.to_owned()).collect();
            match (Drain { urls, ..Drain::alone(UnixMs(1)) }).push(place) {
                Push::Drain { url, .. } => url,
                push => panic!("{push:?}"),
            }
        };
        assert_eq!(url(&[], 3), None);
        assert_eq!([0, 1, 2].map(|place| url(&["a", "b"], place)), ["a", "b", "a"].map(|url| Some(url.to_owned())));
    }
}
