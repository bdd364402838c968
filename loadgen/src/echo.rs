//! `loadgen echo --raw`: messages that a server sends straight back.
//!
//! Owns what is in a message (its number, its due time, its connection) and the proof that each came back unchanged,
//! once and in order. Frames are made once, masked; a send copies one and exchanges three words.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use wire::{Opcode, encode_into};

use crate::cli::EchoArgs;
use crate::engine::{FILL_BYTES, Message, Workload};
use crate::machine::thread_cpu_ns;
use crate::pace::Pace;
use crate::progress::Progress;
use crate::report::{Latencies, Load, Report, cpu_percent};
use crate::run::{Run, TURN_MAX};
use crate::sequence::{Sequence, Verdict};
use crate::target::ECHO_PATH;

/// What stands at the start of each payload: number, due time and connection, 8 bytes each.
const STAMP_BYTES: usize = 24;

/// After the last send, echoes are waited for until none has come for this long,
const DRAIN_QUIET: Duration = Duration::from_secs(3);
/// and no longer than this in all. What is missing then is lost.
const DRAIN_MAX: Duration = Duration::from_secs(15);

/// Connections that get their first message between two turns, so that the first echoes do not wait for the last sends.
const STARTS_PER_TURN: usize = 64;

/// One message's frame, as it goes out but for its stamp.
struct Template {
    frame: Vec<u8>,
    payload: Vec<u8>,
    stamp_at: usize,
    mask: u64,
}

impl Template {
    fn new(payload_bytes: usize, mask: [u8; 4]) -> Self {
        let payload: Vec<u8> =
            (0..payload_bytes).map(|at| if at < STAMP_BYTES { 0 } else { b'a' + (at % 26) as u8 }).collect();
        let mut frame = Vec::new();
        encode_into(&mut frame, Opcode::Binary, &payload, Some(mask));
        let [a, b, c, d] = mask;
        let stamp_at = frame.len() - payload_bytes;
        Self { frame, payload, stamp_at, mask: u64::from_ne_bytes([a, b, c, d, a, b, c, d]) }
    }

    #[inline]
    fn put(&self, out: &mut Vec<u8>, stamp: [u64; 3]) {
        let at = out.len() + self.stamp_at;
        out.extend_from_slice(&self.frame);
        for (word, field) in out[at..at + STAMP_BYTES].chunks_exact_mut(8).zip(stamp) {
            word.copy_from_slice(&(field ^ self.mask).to_ne_bytes());
        }
    }

    /// The stamp of a message that came back, if the rest of it is what went out.
    #[inline]
    fn read(&self, message: &[u8]) -> Result<[u64; 3], String> {
        let (Some((stamp, filler)), true) =
            (message.split_at_checked(STAMP_BYTES), message.len() == self.payload.len())
        else {
            return Err(format!("an echo has {} bytes, {} were sent", message.len(), self.payload.len()));
        };
        if filler != &self.payload[STAMP_BYTES..] {
            return Err("an echo differs from what was sent".to_owned());
        }
        let word = |at: usize| u64::from_ne_bytes(stamp[at..at + 8].try_into().expect("8 bytes of 24"));
        Ok([word(0), word(8), word(16)])
    }
}

/// The workload and all that it counts.
struct Echo {
    template: Template,
    pace: Pace,
    sequences: Vec<Sequence>,
    /// The measured window, on the engine's clock. Nothing is due from its end on.
    window_ns: std::ops::Range<u64>,
    running: bool,
    latencies: Latencies,
    sent: u64,
    acked: u64,
    acked_in_window: u64,
    duplicated: u64,
    out_of_order: u64,
}

impl Workload for Echo {
    #[inline]
    fn message(&mut self, connection: usize, message: Message<'_>, now_ns: u64) -> Result<(), String> {
        let Message::Binary(message) = message else {
            return Err("the echo of a binary message came as text".to_owned());
        };
        let [seq, intended_ns, sent_on] = self.template.read(message)?;
        if sent_on != connection as u64 {
            return Err(format!("connection {connection} got the echo of a message of connection {sent_on}"));
        }
        let Some(latency_ns) = now_ns.checked_sub(intended_ns) else {
            return Err("an echo's time is in the future: it was changed on the way".to_owned());
        };
        match self.sequences[connection].receive(seq) {
            Verdict::New => {}
            Verdict::Late => self.out_of_order += 1,
            Verdict::Duplicate => {
                self.duplicated += 1;
                return Ok(());
            }
            Verdict::Unknown => return Err(format!("an echo has number {seq}, which was never sent")),
        }
        self.acked += 1;
        if self.window_ns.contains(&now_ns) {
            self.acked_in_window += 1;
        }
        if self.window_ns.contains(&intended_ns) {
            self.latencies.record(latency_ns);
        }
        Ok(())
    }

    #[inline]
    fn fill(&mut self, connection: usize, now_ns: u64, out: &mut Vec<u8>) {
        let sequence = &mut self.sequences[connection];
        let due_ns = now_ns.min(self.window_ns.end - 1);
        let allowance = match self.pace {
            Pace::Closed { .. } if !self.running => 0,
            Pace::Closed { .. } | Pace::Open { .. } => self.pace.allowance(connection, sequence.unanswered(), due_ns),
        };
        while sequence.sent() < allowance && out.len() < FILL_BYTES {
            let seq = sequence.send();
            let intended_ns = self.pace.intended_ns(connection, seq, now_ns);
            self.template.put(out, [seq, intended_ns, connection as u64]);
            self.sent += 1;
        }
    }
}

/// Opens the connections, echoes, waits for what is outstanding, and reports.
pub(crate) fn run(args: &EchoArgs) -> anyhow::Result<Report> {
    let connections = args.common.connections;
    let mut run = Run::prepare("echo", &args.common, ECHO_PATH)?;
    let mut echo = Echo {
        template: Template::new(args.size as usize, run.mask),
        pace: Pace::Closed { pipeline: args.pipeline },
        sequences: (0..connections.get()).map(|_| Sequence::default()).collect(),
        window_ns: 0..1,
        running: false,
        latencies: Latencies::new(),
        sent: 0,
        acked: 0,
        acked_in_window: 0,
        duplicated: 0,
        out_of_order: 0,
    };
    run.open(&mut echo)?;
    let memory = run.memory()?;

    let start_ns = run.engine.now_ns();
    let window_start_ns = start_ns + args.warmup.as_nanos() as u64;
    echo.window_ns = window_start_ns..window_start_ns + (args.common.seconds.as_nanos() as u64).max(1);
    if let Some(rate) = args.rate {
        echo.pace = Pace::Open { rate, connections, start_ns };
    }
    let cpu_ns = measure(&mut run, &mut echo, start_ns)?;
    let unsent = echo.pace.due(echo.window_ns.end - 1).saturating_sub(echo.sent);

    let measured = Duration::from_nanos(echo.window_ns.end.saturating_sub(echo.window_ns.start));
    let (cpu_percent, generator_bound) = cpu_percent(cpu_ns, measured);
    let counts = run.engine.counts();
    let report = Report {
        command: "echo",
        url: run.url.clone(),
        connections: connections.get(),
        load: match args.rate {
            Some(rate) => Load::Open { rate: rate.get() },
            None => Load::Closed { pipeline: args.pipeline.get() },
        },
        size_bytes: Some(args.size),
        seconds: measured.as_secs_f64(),
        opening_seconds: run.opening.as_secs_f64(),
        sent: echo.sent,
        acked: echo.acked,
        delivered: echo.acked,
        lost: echo.sent - echo.acked,
        duplicated: echo.duplicated,
        out_of_order: echo.out_of_order,
        unsent,
        per_second: (echo.acked_in_window as f64 / measured.as_secs_f64().max(1e-9)).round(),
        latencies_us: BTreeMap::from([("echo", echo.latencies.summary())]),
        closed: counts.closed,
        closed_reasons: counts.reasons.clone(),
        pings: counts.pings,
        cpu_percent,
        generator_bound,
        memory,
        interrupted: run.interrupt.requested(),
    };
    run.engine.close()?;
    Ok(report)
}

/// Echoes until the window ends, then until nothing is outstanding. Gives the CPU time that the window took.
fn measure(run: &mut Run, echo: &mut Echo, start_ns: u64) -> anyhow::Result<u64> {
    echo.running = true;
    if matches!(echo.pace, Pace::Closed { .. }) {
        for connection in 0..run.engine.connections() {
            run.engine.pump(connection, echo);
            if connection % STARTS_PER_TURN == STARTS_PER_TURN - 1 {
                run.engine.turn(echo, Duration::ZERO)?;
            }
        }
    }
    let length_ms = (echo.window_ns.end - start_ns) / 1_000_000;
    let mut progress = Progress::new("echoing", length_ms);
    let mut cpu_before_ns = None;
    let mut pumped = 0;
    loop {
        let now_ns = run.engine.now_ns();
        if cpu_before_ns.is_none() && now_ns >= echo.window_ns.start {
            cpu_before_ns = Some(thread_cpu_ns());
        }
        if now_ns >= echo.window_ns.end || run.interrupt.requested() || run.engine.open_now() == 0 {
            break;
        }
        let next_ns = pump_due(run, echo, &mut pumped, now_ns);
        let boundary_ns = if cpu_before_ns.is_none() { echo.window_ns.start } else { echo.window_ns.end };
        let wait = Duration::from_nanos(next_ns.min(boundary_ns).saturating_sub(run.engine.now_ns()));
        run.engine.turn(echo, wait.min(TURN_MAX))?;
        progress.show((now_ns - start_ns) / 1_000_000, || {
            let Echo { sent, acked, duplicated, out_of_order, .. } = *echo;
            format!("sent {sent}, acked {acked}, duplicated {duplicated}, out of order {out_of_order}")
        });
    }
    let ended_ns = run.engine.now_ns();
    let cpu_ns = cpu_before_ns.map_or(0, |before_ns| thread_cpu_ns() - before_ns);
    echo.running = false;
    echo.window_ns.end = echo.window_ns.end.min(ended_ns.max(1));
    echo.window_ns.start = echo.window_ns.start.min(echo.window_ns.end);
    drain(run, echo, &mut pumped)?;
    Ok(cpu_ns)
}

/// Sends what is due in an open loop; gives when the next message is.
fn pump_due(run: &mut Run, echo: &mut Echo, pumped: &mut u64, now_ns: u64) -> u64 {
    let (connections, due) = (run.engine.connections() as u64, echo.pace.due(now_ns.min(echo.window_ns.end - 1)));
    // One pump sends all that is due on its connection, so one for each is enough however far behind we are.
    for message in *pumped..due.min(*pumped + connections) {
        run.engine.pump((message % connections) as usize, echo);
    }
    *pumped = due.max(*pumped);
    echo.pace.due_ns(*pumped).unwrap_or(u64::MAX)
}

fn drain(run: &mut Run, echo: &mut Echo, pumped: &mut u64) -> anyhow::Result<()> {
    let started = Instant::now();
    let (mut heard, mut heard_at) = (echo.acked, started);
    let due = echo.pace.due(echo.window_ns.end - 1);
    while (echo.acked < echo.sent || echo.sent < due) && run.engine.open_now() > 0 {
        let now_ns = run.engine.now_ns();
        pump_due(run, echo, pumped, now_ns);
        run.engine.turn(echo, TURN_MAX)?;
        if echo.acked != heard {
            (heard, heard_at) = (echo.acked, Instant::now());
        }
        if heard_at.elapsed() > DRAIN_QUIET || started.elapsed() > DRAIN_MAX {
            break;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_known_again_and_any_change_is_seen() {
        for (payload_bytes, header_bytes) in [(24, 6), (64, 6), (200, 8), (70_000, 14)] {
            let template = Template::new(payload_bytes, [0x12, 0x34, 0x56, 0x78]);
            let mut out = Vec::new();
            template.put(&mut out, [7, 8, 9]);
            assert_eq!(out.len(), header_bytes + payload_bytes);
            let mask = &out[header_bytes - 4..header_bytes];
            let unmasked: Vec<u8> =
                out[header_bytes..].iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask).collect();
            assert_eq!(template.read(&unmasked), Ok([7, 8, 9]));
            assert!(template.read(&unmasked[1..]).is_err());
            if payload_bytes > STAMP_BYTES {
                let mut changed = unmasked;
                changed[STAMP_BYTES] ^= 1;
                assert!(template.read(&changed).unwrap_err().contains("differs"));
            }
        }
    }
}
