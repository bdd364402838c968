//! Report of a run, for people and for scripts.
//!
//! Owns the report's form: text, or one JSON object whose top level has the counts on which the exit code rests.
//! What single workloads add is in `parts`, latencies in `latency`, seconds in `series`. Measures nothing itself.

mod beside;
mod crowd;
mod feed;
mod findings;
mod hlog;
mod judgement;
mod latency;
mod million;
mod parts;
mod provenance;
mod series;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use serde::Serialize;

pub(crate) use self::crowd::{CrowdReport, Phase};
pub(crate) use self::feed::{Burst, CacheReport, ChatBeside, CrossReport, FeedReport, KillReport};
pub(crate) use self::findings::Findings;
pub(crate) use self::hlog::write as write_hlog;
pub(crate) use self::judgement::{FiguresOf, Judgement, Outcome};
pub(crate) use self::latency::{Latencies, Packed, Recorder};
pub(crate) use self::million::{Cpu, Memory as SessionMemory, MillionReport, Watch};
pub(crate) use self::parts::{ChatReport, HistoryReport, PresenceReport, ReconnectReport, Stretch};
pub(crate) use self::provenance::Provenance;
pub(crate) use self::series::{Second, time};
use crate::machine::{GENERATOR_BOUND_PERCENT, STARVED_PERCENT};
use crate::process::Memory;

/// Different reasons of one kind, of lost connections or refusals, that are kept apart.
const REASONS_MAX: usize = 16;

/// How the load was paced.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
#[serde(tag = "loop", rename_all = "lowercase")]
pub(crate) enum Load {
    Open {
        rate: u64,
    },
    Closed {
        pipeline: u32,
    },
    /// One after the other, each as its text says.
    Rounds {
        rounds: u32,
        each: String,
    },
    /// By workers, as its text says.
    Crowd {
        does: String,
    },
    #[default]
    None,
}

/// What became of messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub(crate) struct Counts {
    pub(crate) sent: u64,
    /// Messages that were answered, each counted once.
    pub(crate) acked: u64,
    /// Messages that reached whom they were for, each counted once.
    pub(crate) delivered: u64,
    pub(crate) lost: u64,
    pub(crate) duplicated: u64,
    pub(crate) out_of_order: u64,
    /// Messages that were due but could not be sent, because the server did not read.
    pub(crate) unsent: u64,
}

impl Counts {
    fn clean(&self) -> bool {
        self.lost == 0 && self.duplicated == 0 && self.out_of_order == 0
    }
}

/// One run. Counts are of the whole run, warm-up and all; rates, latencies and CPU are of the measured window.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub(crate) struct Report {
    pub(crate) command: &'static str,
    pub(crate) url: String,
    /// By which program, how, when and where.
    pub(crate) run: Provenance,
    /// The subprotocol, of sessions.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) encoding: Option<&'static str>,
    pub(crate) connections: u32,
    #[serde(flatten)]
    pub(crate) load: Load,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) size_bytes: Option<u32>,
    /// Length of the measured window.
    pub(crate) seconds: f64,
    pub(crate) opening_seconds: f64,
    #[serde(flatten)]
    pub(crate) counts: Counts,
    /// Of `chat`: what its channels and resumed device add.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub(crate) chat: Option<ChatReport>,
    /// Of a `chat` whose connections come back: how they did, and what the histories say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) reconnection: Option<ReconnectReport>,
    /// Of `chat`: the first faults, in words.
    #[serde(skip_serializing_if = "Findings::is_empty")]
    pub(crate) findings: Findings,
    /// Of `presence`: how it was told.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub(crate) presence: Option<PresenceReport>,
    /// Of workers: what their sessions did.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub(crate) crowd: Option<CrowdReport>,
    /// Of `million`: what each session took.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) million: Option<MillionReport>,
    /// Of `feed`: what its readers were shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) feed: Option<FeedReport>,
    /// Answers a second.
    pub(crate) per_second: f64,
    pub(crate) latencies_us: BTreeMap<&'static str, Latencies>,
    /// Connections that ended before the run did, and why.
    pub(crate) closed: u64,
    pub(crate) closed_reasons: BTreeMap<String, u64>,
    /// The server's pings that were answered.
    pub(crate) pings: u64,
    /// What the generator's thread took of one core.
    pub(crate) cpu_percent: f64,
    /// Whose rates and latencies these are.
    pub(crate) figures_of: FiguresOf,
    /// How long the generator's thread had work but no core, where the kernel counts it.
    pub(crate) starved_percent: Option<f64>,
    pub(crate) memory: Option<Memory>,
    pub(crate) interrupted: bool,
    /// What came of each `--fail-if`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) judged: Vec<Judgement>,
    /// The same by seconds, of `echo`, `chat` and `idle`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) by_second: Vec<Second>,
}

impl Report {
    /// Nothing lost, doubled, out of order or closed, and in a chat nothing refused and no two views of a channel.
    pub(crate) fn clean(&self) -> bool {
        self.counts.clean()
            && self.closed == 0
            && self.chat.as_ref().is_none_or(ChatReport::clean)
            && self.reconnection.as_ref().is_none_or(ReconnectReport::clean)
            && self.presence.as_ref().is_none_or(PresenceReport::clean)
            && self.feed.as_ref().is_none_or(FeedReport::clean)
            && self.crowd.as_ref().is_none_or(|crowd| crowd.clean(self.connections))
    }

    pub(crate) fn json(&self) -> String {
        serde_json::to_string(self).expect("a report has only strings as keys and no number that JSON lacks")
    }

    pub(crate) fn text(&self) -> String {
        let Self { command, url, connections, opening_seconds, .. } = self;
        let held = match &self.crowd {
            None => format!("{connections} connections"),
            Some(crowd) => format!("{connections} sessions by {} workers", crowd.workers),
        };
        let mut text = format!("{command} {url}: {held}, open in {opening_seconds:.2} s\n");
        for (label, said) in self.rows() {
            writeln!(text, "  {label:<12} {said}").expect("a String takes everything");
        }
        text
    }

    /// What is said, each under its label. A line without one belongs to the line before it.
    pub(crate) fn rows(&self) -> Vec<(&str, String)> {
        let Self { seconds, counts, closed, .. } = self;
        let Counts { sent, acked, delivered, lost, duplicated, out_of_order, unsent } = counts;
        let size = self.size_bytes.map(|bytes| format!(", {bytes} bytes")).unwrap_or_default();
        let per_second = self.per_second;
        let (load, answered) = match &self.load {
            Load::Open { rate } => (format!("open loop, {rate} a second{size}, {seconds:.1} s measured"), Some(true)),
            Load::Closed { pipeline } => {
                let each = format!("{pipeline} outstanding a connection{size}");
                (format!("closed loop, {each}, {seconds:.1} s measured"), Some(true))
            }
            Load::Rounds { rounds, each } => (format!("{rounds} rounds: {each}; {seconds:.1} s"), Some(false)),
            Load::Crowd { does } => (format!("{does}{size}; {seconds:.1} s"), Some(false)),
            Load::None => (format!("none, held {seconds:.1} s, {} pings answered", self.pings), None),
        };
        let mut rows: Vec<(&str, String)> = vec![("load", load)];
        rows.extend(self.disclaimer().map(|disclaimer| ("NOT KNOWN", disclaimer)));
        if let Some(has_rate) = answered {
            let per_second = if has_rate { format!("{per_second:.0} a second; ") } else { String::new() };
            rows.push(("answered", format!("{per_second}sent {sent}, acked {acked}, delivered {delivered}")));
            // Those of workers are told by phase.
            let whole = self.latencies_us.iter().filter(|_| self.crowd.is_none());
            rows.extend(whole.map(|(what, latency)| (*what, latency.summary().to_string())));
        }
        rows.extend(self.million.iter().flat_map(|million| million.rows()));
        rows.extend(self.feed.iter().flat_map(|feed| feed.rows()));
        rows.extend(self.crowd.iter().flat_map(CrowdReport::rows));
        let order = format!("duplicated {duplicated} · out of order {out_of_order}");
        rows.push(("integrity", format!("lost {lost} · {order} · closed {closed}")));
        let each = |(reason, count): (&String, &u64)| format!("{count} × {reason}");
        rows.extend(self.closed_reasons.iter().map(|reason| ("", each(reason))));
        if let Some(chat) = &self.chat {
            let ChatReport { group, delivered_per_second, mismatched, repeated, retried, .. } = chat;
            let deliveries = format!("{delivered_per_second:.0} deliveries a second to others");
            rows.push(("channels", format!("of {group} members; {deliveries}")));
            rows.push(("agreement", format!("mismatched {mismatched} · repeated {repeated} · retried {retried}")));
            rows.extend(chat.refused.iter().map(|reason| ("refused", each(reason))));
            if chat.resumes > 0 {
                let ChatReport { resumes, resumed, compared, .. } = chat;
                let compared = format!("{compared} messages compared with the history");
                rows.push(("resumption", format!("{resumed} of {resumes} times; {compared}")));
            }
        }
        rows.extend(self.reconnection.iter().flat_map(|reconnection| reconnection.rows()));
        rows.extend(self.findings.rows());
        if let Some(PresenceReport { pushes, crowded, early, repeated }) = &self.presence {
            let told = format!("{pushes} pushes · crowded {crowded} · early {early} · repeated {repeated}");
            rows.push(("presence", told));
        }
        if *unsent > 0 {
            rows.push(("unsent", format!("{unsent} messages were due, but the server did not read")));
        }
        if let Some(Memory { pid, base, all, bytes_per_connection }) = &self.memory {
            let each = format!("{bytes_per_connection:.0} resident bytes a connection of process {pid}");
            rows.push(("memory", format!("{each}, from {base} to {all}")));
        }
        // The busiest worker's is told by phase.
        if self.crowd.is_none() {
            rows.push(("own CPU", format!("{:.0} % of one core", self.cpu_percent)));
        }
        if let Some(starved) = self.starved_percent.filter(|&percent| percent > STARVED_PERCENT) {
            let wait = format!("{starved:.0} % of the time there was work but no core: latencies include that wait");
            rows.push(("", wait));
        }
        rows.extend(series::rows(&self.by_second));
        let label = |at| if at == 0 { "judged" } else { "" };
        rows.extend(self.judged.iter().enumerate().map(|(at, judged)| (label(at), judged.row())));
        if self.interrupted {
            let early = "the run was ended early; figures are of what was measured until then";
            rows.push(("interrupted", early.to_owned()));
        }
        rows
    }

    /// What has to be said before any figure.
    pub(crate) fn disclaimer(&self) -> Option<String> {
        let bound = self.by_second.iter().filter(|second| second.cpu_percent > GENERATOR_BOUND_PERCENT).count();
        match self.figures_of {
            FiguresOf::Server => None,
            FiguresOf::Generator => Some(format!(
                "what the server can: the generator was the bottleneck (over {GENERATOR_BOUND_PERCENT:.0} % of its \
                 core, in {bound} of {} seconds). Rates and latencies are its own; lower --rate, or give it more cores",
                self.by_second.len()
            )),
        }
    }
}

/// Counts a reason among those of its kind. Beyond 16 different ones a new one counts as "other".
pub(crate) fn count_reason(reasons: &mut BTreeMap<String, u64>, reason: String) {
    count_reasons(reasons, reason, 1);
}

/// The same of so many at once.
fn count_reasons(reasons: &mut BTreeMap<String, u64>, mut reason: String, count: u64) {
    if reasons.len() >= REASONS_MAX && !reasons.contains_key(&reason) {
        "other".clone_into(&mut reason);
    }
    *reasons.entry(reason).or_default() += count;
}

/// `part_ns` as a part of `wall`, in percent with one decimal; 0 of nothing.
pub(crate) fn percent_of(part_ns: u64, wall: Duration) -> f64 {
    (1000.0 * part_ns as f64 / (wall.as_nanos() as f64).max(1.0)).round() / 10.0
}

/// `count` in `wall` as a rate, rounded; 0 when there was no time.
pub(crate) fn counts_per_second(count: u64, wall: Duration) -> f64 {
    if wall.is_zero() { 0.0 } else { (count as f64 / wall.as_secs_f64()).round() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> Report {
        Report {
            command: "echo",
            load: Load::Closed { pipeline: 16 },
            size_bytes: Some(64),
            cpu_percent: 95.0,
            figures_of: FiguresOf::Generator,
            ..Report::default()
        }
    }

    #[test]
    fn json_is_one_object_with_the_counts_at_its_top() {
        let mut latencies = Latencies::new();
        (1..=1000).for_each(|micros| latencies.record(micros * 1_000));
        let report = Report { latencies_us: BTreeMap::from([("echo", latencies)]), ..report() };
        let json: serde_json::Value = serde_json::from_str(&report.json()).unwrap();
        for count in ["acked", "delivered", "lost", "duplicated", "out_of_order"] {
            assert!(json[count].is_u64(), "{count} in {json}");
        }
        assert_eq!((&json["loop"], &json["pipeline"]), (&"closed".into(), &16.into()));
        let p99 = json["latencies_us"]["echo"]["p99"].as_f64().unwrap();
        assert!((989.0..=992.0).contains(&p99), "p99 of 1 to 1,000 µs is {p99}");
    }

    #[test]
    fn the_text_says_when_the_generator_was_the_limit() {
        assert!(report().text().contains("NOT KNOWN    what the server can: the generator"), "{}", report().text());
        assert!(report().json().contains(r#""figures_of":"generator""#), "{}", report().json());
        let idle = Report { cpu_percent: 12.0, figures_of: FiguresOf::Server, ..report() };
        assert!(!idle.text().contains("NOT KNOWN"), "{}", idle.text());
    }
}
