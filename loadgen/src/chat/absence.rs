//! How long a member was without service: from the loss of its session until it is back and has an acknowledgement.
//!
//! A message that is due only later is no part of that: what is counted is the way back, and then how long the first
//! acknowledgement took from when its message was due.

/// One member's.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Absence {
    lost_ns: Option<u64>,
    connected_ns: Option<u64>,
}

impl Absence {
    /// The session was lost, perhaps before anything was acknowledged on it.
    pub(super) fn lost(&mut self, now_ns: u64) {
        self.lost_ns.get_or_insert(now_ns);
        self.connected_ns = None;
    }

    pub(super) fn connected(&mut self, now_ns: u64) {
        self.connected_ns = self.lost_ns.map(|_| now_ns);
    }

    /// A message that was due at `due_ns` is acknowledged; how long the absence was that ends so.
    pub(super) fn acknowledged(&mut self, due_ns: u64, now_ns: u64) -> Option<u64> {
        let away_ns = self.connected_after()?;
        let asked_ns = self.connected_ns?.max(due_ns);
        *self = Self::default();
        Some(away_ns + now_ns.saturating_sub(asked_ns))
    }

    /// How long it took to be connected again, of an absence that nothing was due to end.
    pub(super) fn connected_after(&self) -> Option<u64> {
        Some(self.connected_ns? - self.lost_ns?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_absence_ends_with_an_acknowledgement_and_a_pause_between_messages_is_none() {
        check("lost 100, connected 300, due 50 acked 350", "250");
        check("lost 100, connected 300, due 900 acked 950", "250");
        check("lost 100, connected 300, lost 400, connected 600, due 350 acked 700", "600");
        check("connected 100, due 50 acked 200", "none");
        check("lost 100, connected 300, due 50 acked 350, due 360 acked 380", "none");
        check("lost 100, due 50 acked 200", "none");
    }

    fn check(steps: &str, expected: &str) {
        let (mut absence, mut got) = (Absence::default(), None);
        for step in steps.split(", ") {
            let number = |at: usize| step.split(' ').nth(at).unwrap().parse().unwrap();
            match step.split(' ').next().unwrap() {
                "lost" => absence.lost(number(1)),
                "connected" => absence.connected(number(1)),
                "due" => got = absence.acknowledged(number(1), number(3)),
                other => panic!("{other}"),
            }
        }
        assert_eq!(got.map_or("none".to_owned(), |ns| ns.to_string()), expected, "{steps}");
    }
}
