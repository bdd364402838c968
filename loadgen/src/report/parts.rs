//! What single workloads add to the report.

use std::collections::BTreeMap;

use serde::Serialize;

use super::Latencies;

/// What only `chat` knows.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub(crate) struct ChatReport {
    /// Members of a channel.
    pub(crate) group: u32,
    /// Deliveries to others a second.
    pub(crate) delivered_per_second: f64,
    /// Times that the node said a message had been sent before, to a device that sent it again after it was dropped.
    pub(crate) repeated: u64,
    /// Messages that were sent again after a temporary refusal.
    pub(crate) retried: u64,
    /// Messages that were refused for good, and why.
    pub(crate) refused: BTreeMap<String, u64>,
    /// Times that two readers, or a reader and the history, disagreed about what a seq holds.
    pub(crate) mismatched: u64,
    /// Times that the first device was to be dropped and resumed, and was.
    pub(crate) resumes: u32,
    pub(crate) resumed: u32,
    /// Messages of the resumed device that were compared with the history.
    pub(crate) compared: u64,
}

/// What only `presence` knows.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub(crate) struct PresenceReport {
    /// Pushes of presence, over all watchers.
    pub(crate) pushes: u64,
    /// Those closer than 250 ms to the one before.
    pub(crate) crowded: u64,
    /// Entries that told a change before it was there, or another one.
    pub(crate) early: u64,
    /// Entries that told what was told before.
    pub(crate) repeated: u64,
}

impl PresenceReport {
    pub(super) fn clean(&self) -> bool {
        self.crowded == 0 && self.early == 0
    }
}

impl ChatReport {
    pub(super) fn clean(&self) -> bool {
        self.mismatched == 0 && self.refused.is_empty()
    }
}

/// What only a `chat` whose connections come back knows.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub(crate) struct ReconnectReport {
    /// Sessions that were lost and had to come back, by reason.
    pub(crate) reconnects: BTreeMap<String, u64>,
    /// Tries that came to no session, by reason.
    pub(crate) failed_tries: BTreeMap<String, u64>,
    /// Requests, `connect` among them, that were refused for a time, by code.
    pub(crate) refusals: BTreeMap<u16, u64>,
    /// Those of both that no drain had announced,
    pub(crate) unannounced: u64,
    /// and whether they are faults.
    pub(crate) announced_only: bool,
    /// Sessions that were not back at the end.
    pub(crate) away: u64,
    /// Messages that were not acknowledged until the end. They are among those lost.
    pub(crate) unacknowledged: u64,
    /// The comparison of all channels with their history; none of a run that was interrupted.
    pub(crate) history: Option<HistoryReport>,
    /// Why there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) history_error: Option<String>,
    pub(crate) stretches: Vec<Stretch>,
}

/// A stretch of the measured window: the messages that were due in it, by how long their acknowledgements took.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub(crate) struct Stretch {
    pub(crate) from_seconds: u64,
    pub(crate) acked: u64,
    pub(crate) p50_us: u64,
    pub(crate) p99_us: u64,
    pub(crate) max_us: u64,
}

impl Stretch {
    pub(crate) fn new(from_seconds: u64, latencies: &Latencies) -> Self {
        let all = latencies.summary();
        let [p50_us, p99_us, max_us] = [all.p50, all.p99, all.max].map(|micros| micros as u64);
        Self { from_seconds, acked: all.count, p50_us, p99_us, max_us }
    }

    fn row(&self) -> String {
        let [p50, p99, max] = [self.p50_us, self.p99_us, self.max_us].map(|us| us as f64 / 1_000.0);
        format!(
            "from {} s: {} acked · p50 {p50:.1} ms · p99 {p99:.1} ms · max {max:.1} ms",
            self.from_seconds, self.acked
        )
    }
}

/// What the histories hold, compared with what was acknowledged and pushed. Counts of faults are of messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub(crate) struct HistoryReport {
    pub(crate) channels: u64,
    pub(crate) messages: u64,
    /// Acknowledged, and not there; or told of, and not there.
    pub(crate) lost: u64,
    /// There more than once.
    pub(crate) doubled: u64,
    /// There before an earlier message of the same sender.
    pub(crate) out_of_order: u64,
    /// Other than what was acknowledged or pushed with that seq, or nobody's.
    pub(crate) mismatched: u64,
    /// There, and pushed to nobody who should have been.
    pub(crate) untold: u64,
}

impl HistoryReport {
    pub(crate) fn add(&mut self, other: &Self) {
        let Self { channels, messages, lost, doubled, out_of_order, mismatched, untold } = other;
        self.channels += channels;
        self.messages += messages;
        self.lost += lost;
        self.doubled += doubled;
        self.out_of_order += out_of_order;
        self.mismatched += mismatched;
        self.untold += untold;
    }

    fn clean(&self) -> bool {
        let Self { channels: _, messages: _, lost, doubled, out_of_order, mismatched, untold } = self;
        [lost, doubled, out_of_order, mismatched, untold].into_iter().all(|&count| count == 0)
    }
}

impl ReconnectReport {
    pub(super) fn clean(&self) -> bool {
        let compared = self.history.is_none_or(|history| history.clean()) && self.history_error.is_none();
        let announced = self.unannounced == 0 || !self.announced_only;
        self.away == 0 && self.unacknowledged == 0 && announced && compared
    }

    /// What is said of it, each under its label.
    pub(super) fn rows(&self) -> Vec<(&'static str, String)> {
        let Self { reconnects, failed_tries, refusals, away, unacknowledged, history, history_error, .. } = self;
        let sum = |counts: &BTreeMap<String, u64>| counts.values().sum::<u64>();
        let each = |(reason, count): (&String, &u64)| ("", format!("{count} × {reason}"));
        let unannounced = self.unannounced;
        let not_back =
            format!("unannounced {unannounced} · away at the end {away} · never acknowledged {unacknowledged}");
        let mut rows = vec![("reconnects", format!("{} sessions; {not_back}", sum(reconnects)))];
        rows.extend(reconnects.iter().map(each));
        if !failed_tries.is_empty() {
            rows.push(("failed tries", sum(failed_tries).to_string()));
            rows.extend(failed_tries.iter().map(each));
        }
        if !refusals.is_empty() {
            let each: Vec<_> = refusals.iter().map(|(code, count)| format!("{count} × {code}")).collect();
            rows.push(("refusals", each.join(" · ")));
        }
        let why_not = history_error.as_ref().map_or(String::new(), |error| format!(": {error}"));
        let history = history.map_or(format!("not compared{why_not}"), |history| {
            let HistoryReport { channels, messages, lost, doubled, out_of_order, mismatched, untold } = history;
            format!(
                "{messages} messages of {channels} channels compared: lost {lost} · doubled {doubled} · out of order \
                 {out_of_order} · mismatched {mismatched} · untold {untold}"
            )
        });
        rows.push(("history", history));
        let label = |at| if at == 0 { "ack by time" } else { "" };
        rows.extend(self.stretches.iter().enumerate().map(|(at, stretch)| (label(at), stretch.row())));
        rows
    }
}
