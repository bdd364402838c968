//! Where a worker stands, and all of them together: counts of sessions and messages.
//!
//! Owns how they add up and how they are said: to whoever watches a run, and in the report, which knows no workers.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Where a worker stands. Counts are of its whole life.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Status {
    /// Orders that it has taken: what was counted before one may be older than the order.
    pub(crate) orders: u64,
    /// Sessions that are connected now.
    pub(crate) connected: u64,
    /// Times that a `connect` was refused for a time, by code.
    pub(crate) refusals: BTreeMap<u16, u64>,
    /// Sessions that were lost, and tries that came to none, by reason.
    pub(crate) lost: BTreeMap<String, u64>,
    pub(crate) failed_tries: BTreeMap<String, u64>,
    /// Sessions that went because they were told to.
    pub(crate) churned: u64,
    pub(crate) watching: u64,
    /// Sessions that have their large channel open.
    #[serde(default)]
    pub(crate) opened: u64,
    pub(crate) pings: u64,
    pub(crate) sent: u64,
    pub(crate) acked: u64,
    /// Sends that were refused for a time and went out again.
    pub(crate) retried: u64,
    /// Messages that reached a session for which they were, and those on their way there.
    pub(crate) delivered: u64,
    pub(crate) missing: u64,
    pub(crate) duplicated: u64,
    pub(crate) out_of_order: u64,
    /// Sessions that were written to by `Probe`, and those that got it.
    pub(crate) probed: u64,
    pub(crate) arrived: u64,
    /// Messages that were due and could not be written, since no session of the account was connected.
    pub(crate) unwritten: u64,
    /// Questions that were answered, and those that were given up.
    pub(crate) answered: u64,
    pub(crate) given_up: u64,
    /// Processor time of its thread, and its resident bytes.
    pub(crate) cpu_ns: u64,
    pub(crate) resident_bytes: u64,
}

impl Status {
    /// Counts of another worker as well.
    pub(crate) fn add(&mut self, other: &Self) {
        let Self { refusals, lost, failed_tries, .. } = other;
        refusals.iter().for_each(|(&code, count)| *self.refusals.entry(code).or_default() += count);
        for (all, these) in [(&mut self.lost, lost), (&mut self.failed_tries, failed_tries)] {
            these.iter().for_each(|(reason, count)| *all.entry(reason.clone()).or_default() += count);
        }
        self.orders += other.orders;
        self.connected += other.connected;
        self.churned += other.churned;
        self.watching += other.watching;
        self.opened += other.opened;
        self.pings += other.pings;
        self.sent += other.sent;
        self.acked += other.acked;
        self.retried += other.retried;
        self.delivered += other.delivered;
        self.missing += other.missing;
        self.duplicated += other.duplicated;
        self.out_of_order += other.out_of_order;
        self.probed += other.probed;
        self.arrived += other.arrived;
        self.unwritten += other.unwritten;
        self.answered += other.answered;
        self.given_up += other.given_up;
        self.cpu_ns += other.cpu_ns;
        self.resident_bytes += other.resident_bytes;
    }

    /// In a line, for the progress.
    pub(crate) fn line(&self) -> String {
        let Self { connected, sent, acked, delivered, pings, churned, watching, opened, .. } = self;
        let refused: u64 = self.refusals.values().sum();
        let lost: u64 = self.lost.values().chain(self.failed_tries.values()).sum();
        let also = |count: &u64, what| if *count > 0 { format!(", {count} {what}") } else { String::new() };
        let more = also(churned, "sent away") + &also(watching, "watching") + &also(opened, "with their channel open");
        format!(
            "{connected} connected, {refused} refused for now, {lost} lost or failed{more}, {pings} pings, sent {sent}, acked {acked}, \
             delivered {delivered}"
        )
    }

    /// In lines, each under its label, for the report, which has the counts of messages. Sessions that were lost are told
    /// here where that is no fault.
    pub(crate) fn rows(&self, may_lose: bool) -> Vec<(&'static str, String)> {
        let Self { connected, retried, unwritten, .. } = self;
        let mut rows =
            vec![("sessions", format!("connected {connected} · retried {retried} · not written {unwritten}"))];
        if self.opened > 0 {
            rows.push(("open", format!("{} sessions have their large channel open", self.opened)));
        }
        if self.probed > 0 {
            let (arrived, probed) = (self.arrived, self.probed);
            rows.push(("probe", format!("{arrived} of {probed} sessions drawn at random got their message")));
        }
        if self.answered + self.given_up > 0 {
            rows.push(("questions", format!("answered {} · given up {}", self.answered, self.given_up)));
        }
        if self.churned > 0 {
            rows.push(("sent away", format!("{} sessions, which came back", self.churned)));
        }
        let each = |(reason, count): (&String, &u64)| format!("{count} × {reason}");
        rows.extend(self.lost.iter().filter(|_| may_lose).map(|reason| ("lost", each(reason))));
        rows.extend(self.failed_tries.iter().map(|reason| ("failed tries", each(reason))));
        let refusals = self.refusals.iter();
        rows.extend(refusals.map(|(code, count)| ("refused", format!("{count} × {code}, and connected later"))));
        rows
    }

    /// Whether all that was written is acknowledged and has reached everyone.
    pub(crate) fn is_settled(&self) -> bool {
        self.sent == self.acked && self.missing == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_of_workers_add_up() {
        let one = Status {
            connected: 2,
            sent: 3,
            acked: 3,
            refusals: [(114, 5)].into(),
            lost: [("end".to_owned(), 1)].into(),
            ..Status::default()
        };
        let mut all = Status { missing: 1, ..one.clone() };
        all.add(&one);
        assert_eq!((all.connected, all.sent, all.refusals[&114], all.lost["end"]), (4, 6, 10, 2));
        assert!(one.is_settled() && !all.is_settled());
    }
}
