//! `loadgen catch-up`: a device that was away, again and again, and how long it takes until it has all that it missed.
//!
//! Owns the rounds: the device's connection is cut, others send to its channels, it resumes by its cursor. A push that
//! comes twice, out of order or not at all is counted (I6).

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::{Duration, Instant};

use anyhow::ensure;
use schema::{ChannelId, ClientMsgId, ErrorReply, Message, Reply, Request, Seq, UnixMs};

use crate::api::Api;
use crate::cli::{CatchUpArgs, Devices};
use crate::engine::Engine;
use crate::progress::Progress;
use crate::report::{Counts, Latencies, Load, Report};
use crate::run::{Run, random};
use crate::session::{Sessions, Talk, not_asked_for, send};

/// The connection of the device that comes and goes; the others send.
const DEVICE: usize = 0;
/// Sends that one account has on the way: below what a session may leave unanswered.
const UNANSWERED_MAX: usize = 64;
/// How long the run may take: tokens are good for an hour, and some of that may have passed.
const SPAN_MAX: Duration = Duration::from_secs(1_800);
/// How long a round's rest is listened for pushes that should not come.
const AFTER: Duration = Duration::from_millis(20);

/// Makes what is missing, connects, and plays the rounds.
pub(crate) fn run(args: &CatchUpArgs) -> anyhow::Result<Report> {
    let (common, connections) = (&args.common, args.common.connections.get());
    let (rounds, missed) = (args.rounds.get(), args.missed.get());
    ensure!(connections > 1, "--connections {connections} leaves nobody to send: the first is the device");
    let senders = connections as usize - 1;
    let (mut run, mut sessions) = Run::connect("catch-up", common, SPAN_MAX, Devices::ONE, false, |book, _| {
        let api = Api::new(&common.sessions.api);
        let mut progress = Progress::new("channels", u64::from(args.channels.get()));
        let channels = (0..args.channels.get() as usize).map(|at| {
            progress.show(at as u64, || format!("{at} channels"));
            api.group(&book.token(1 + at % senders), &format!("catch-up {at}"), &[book.user(DEVICE)])
        });
        Ok(CatchUp::new(channels.collect::<anyhow::Result<_>>()?, senders))
    })?;
    let measured = run.rounds("rounds", u64::from(rounds), |run, _| {
        away(run, &mut sessions, missed as usize)?;
        back(run, &mut sessions)
    })?;
    let CatchUp { catch_up, connect, counts, .. } = &sessions.talk;
    let report = Report {
        load: Load::Rounds { rounds, each: format!("{missed} messages missed in {} channels", args.channels) },
        counts: Counts { acked: counts.sent, lost: counts.sent.saturating_sub(counts.delivered), ..*counts },
        latencies_us: [("catch-up", catch_up.clone()), ("connect", connect.clone())].into(),
        ..Report::default()
    };
    run.finish(measured, report)
}

/// The device goes without a word, and is sent `missed` messages.
fn away(run: &mut Run, sessions: &mut Sessions<CatchUp>, missed: usize) -> anyhow::Result<()> {
    run.engine.cut(DEVICE);
    sessions.disconnected(DEVICE, run.engine.now_ns());
    sessions.talk.write(missed);
    pump_senders(&mut run.engine, sessions);
    run.wait_until("what the device misses to be acknowledged", sessions, |_, sessions| sessions.talk.is_acknowledged())
}

fn pump_senders(engine: &mut Engine, sessions: &mut Sessions<CatchUp>) {
    for connection in 1..engine.connections() {
        engine.pump(connection, sessions);
    }
}

/// The device comes back and is pushed what it missed.
fn back(run: &mut Run, sessions: &mut Sessions<CatchUp>) -> anyhow::Result<()> {
    sessions.talk.dialled_ns = run.engine.now_ns();
    run.engine.redial(DEVICE)?;
    run.wait_until("the device to have what it missed", sessions, |_, sessions| sessions.talk.missing == 0)?;
    let until = Instant::now() + AFTER;
    while Instant::now() < until {
        run.engine.turn(sessions, until.saturating_duration_since(Instant::now()))?;
    }
    Ok(())
}

/// What the device should have, and when it had it.
struct CatchUp {
    channels: Vec<ChannelId>,
    senders: usize,
    /// The channel that is written to next, so that every round begins elsewhere.
    next_channel: usize,
    /// What each connection has to send.
    unsent: Vec<VecDeque<ChannelId>>,
    unanswered: Vec<BTreeMap<u32, ChannelId>>,
    next_request: u32,
    /// This run's part of every message id.
    run: u128,
    origin_ms: u64,
    /// Messages of this round that the device has not been pushed.
    missing: usize,
    dialled_ns: u64,
    seen: BTreeSet<(ChannelId, Seq)>,
    heads: BTreeMap<ChannelId, Seq>,
    catch_up: Latencies,
    connect: Latencies,
    counts: Counts,
}

impl CatchUp {
    fn new(channels: Vec<ChannelId>, senders: usize) -> Self {
        Self {
            channels,
            senders,
            next_channel: 0,
            unsent: vec![VecDeque::new(); senders + 1],
            unanswered: vec![BTreeMap::new(); senders + 1],
            next_request: 2,
            run: random() << 32,
            origin_ms: 0,
            missing: 0,
            dialled_ns: 0,
            seen: BTreeSet::new(),
            heads: BTreeMap::new(),
            catch_up: Latencies::new(),
            connect: Latencies::new(),
            counts: Counts::default(),
        }
    }

    /// One round's messages, over the channels in turn.
    fn write(&mut self, count: usize) {
        for _ in 0..count {
            let at = self.next_channel;
            self.next_channel = (at + 1) % self.channels.len();
            self.unsent[1 + at % self.senders].push_back(self.channels[at]);
        }
        self.missing = count;
    }

    /// The channel of a send that was on its way.
    fn take(&mut self, connection: usize, id: u32) -> Result<ChannelId, String> {
        self.unanswered[connection].remove(&id).ok_or_else(|| format!("request {id} is not open"))
    }

    fn is_acknowledged(&self) -> bool {
        self.unsent.iter().all(VecDeque::is_empty) && self.unanswered.iter().all(BTreeMap::is_empty)
    }
}

impl Talk for CatchUp {
    fn connected(&mut self, connection: usize, connected: &schema::command::Connected, now_ns: u64) {
        if connection == DEVICE && self.dialled_ns > 0 {
            self.connect.record(now_ns - self.dialled_ns);
        }
        self.origin_ms = connected.server_time_ms.0.saturating_sub(now_ns / 1_000_000);
    }

    fn answered(&mut self, connection: usize, id: u32, reply: Reply, _now_ns: u64) -> Result<(), String> {
        self.take(connection, id)?;
        let Reply::Send { .. } = reply else { return not_asked_for(id, &reply) };
        self.counts.sent += 1;
        Ok(())
    }

    fn refused(&mut self, connection: usize, id: u32, error: &ErrorReply, _now_ns: u64) -> Result<(), String> {
        let channel = self.take(connection, id)?;
        if !error.temporary {
            return Err(format!("request {id} was refused with {}: {}", error.code, error.message));
        }
        self.unsent[connection].push_back(channel);
        Ok(())
    }

    fn delivered(&mut self, connection: usize, message: &Message, now_ns: u64) -> Result<(), String> {
        if connection != DEVICE {
            return Ok(());
        }
        if !self.seen.insert((message.channel_id, message.seq)) {
            self.counts.duplicated += 1;
            return Ok(());
        }
        let head = self.heads.entry(message.channel_id).or_default();
        self.counts.out_of_order += u64::from(message.seq <= *head);
        *head = message.seq.max(*head);
        self.counts.delivered += 1;
        self.missing = self.missing.saturating_sub(1);
        if self.missing == 0 {
            self.catch_up.record(now_ns - self.dialled_ns);
        }
        Ok(())
    }

    fn next(&mut self, connection: usize, now_ns: u64) -> Option<Request> {
        if self.unanswered[connection].len() >= UNANSWERED_MAX {
            return None;
        }
        let channel_id = self.unsent[connection].pop_front()?;
        let id = self.next_request;
        self.next_request += 1;
        self.unanswered[connection].insert(id, channel_id);
        let made_at = UnixMs(self.origin_ms + now_ns / 1_000_000);
        let msg_id = ClientMsgId::new(made_at, self.run + u128::from(id));
        let command = send(channel_id, msg_id, "what a device misses while it is away".into());
        Some(Request { id, command })
    }
}
