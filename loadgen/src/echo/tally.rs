//! Tally of numbered messages that come straight back: the counts and latencies of `loadgen echo`.

use std::collections::BTreeMap;
use std::num::NonZeroU32;

use crate::drive::{Measured, Schedule};
use crate::report::{Counts, Packed, Recorder, Report, counts_per_second};
use crate::sequence::{Sequence, Verdict};

/// All that is counted, for all connections.
#[derive(Debug)]
pub(super) struct Tally {
    pub(super) schedule: Schedule,
    sequences: Vec<Sequence>,
    latencies: Recorder,
    counts: Counts,
    acked_in_window: u64,
}

/// What a message says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stamp {
    pub(super) seq: u64,
    /// When it was due, on the engine's clock.
    pub(super) intended_ns: u64,
    pub(super) connection: u64,
}

impl Tally {
    pub(super) fn new(connections: u32, pipeline: NonZeroU32) -> Self {
        Self {
            schedule: Schedule::new(pipeline),
            sequences: (0..connections).map(|_| Sequence::default()).collect(),
            latencies: Recorder::new(),
            counts: Counts::default(),
            acked_in_window: 0,
        }
    }

    /// The next message of `connection`, if one may be sent now.
    #[inline]
    pub(super) fn send(&mut self, connection: usize, now_ns: u64) -> Option<Stamp> {
        let sequence = &mut self.sequences[connection];
        if sequence.sent() >= self.schedule.allowance(connection, sequence.unanswered(), now_ns) {
            return None;
        }
        let seq = sequence.send();
        self.counts.sent += 1;
        let intended_ns = self.schedule.intended_ns(connection, seq, now_ns);
        Some(Stamp { seq, intended_ns, connection: connection as u64 })
    }

    /// A message came back on `connection`.
    ///
    /// # Errors
    /// It is none that was sent there.
    #[inline]
    pub(super) fn receive(&mut self, connection: usize, stamp: Stamp, now_ns: u64) -> Result<(), String> {
        let Stamp { seq, intended_ns, connection: sent_on } = stamp;
        if sent_on != connection as u64 {
            return Err(format!("connection {connection} got the echo of a message of connection {sent_on}"));
        }
        let Some(latency_ns) = now_ns.checked_sub(intended_ns) else {
            return Err("an echo's time is in the future: it was changed on the way".to_owned());
        };
        match self.sequences[connection].receive(seq) {
            Verdict::New => {}
            Verdict::Late => self.counts.out_of_order += 1,
            Verdict::Duplicate => {
                self.counts.duplicated += 1;
                return Ok(());
            }
            Verdict::Unknown => return Err(format!("an echo has number {seq}, which was never sent")),
        }
        self.counts.acked += 1;
        if self.schedule.measures(now_ns) {
            self.acked_in_window += 1;
        }
        if self.schedule.measures(intended_ns) {
            self.latencies.record(latency_ns);
        }
        Ok(())
    }

    pub(super) fn outstanding(&self) -> bool {
        self.counts.acked < self.counts.sent || self.counts.sent < self.schedule.due_in_all()
    }

    pub(super) fn acked(&self) -> u64 {
        self.counts.acked
    }

    /// For [`Driven::second`](crate::drive::Driven::second).
    pub(super) fn second(&mut self) -> (Counts, BTreeMap<&'static str, Packed>) {
        (Counts { delivered: self.counts.acked, ..self.counts }, [("echo", self.latencies.turn())].into())
    }

    pub(super) fn describe(&self) -> String {
        let Counts { sent, acked, duplicated, out_of_order, .. } = self.counts;
        format!("sent {sent}, acked {acked}, duplicated {duplicated}, out of order {out_of_order}")
    }

    /// The report's counts.
    pub(super) fn report(self, measured: &Measured, report: Report) -> Report {
        let Counts { sent, acked, .. } = self.counts;
        let unsent = self.schedule.due_in_all().saturating_sub(sent);
        Report {
            counts: Counts { delivered: acked, lost: sent - acked, unsent, ..self.counts },
            per_second: counts_per_second(self.acked_in_window, measured.length),
            latencies_us: [("echo", self.latencies.all())].into(),
            ..report
        }
    }
}
