//! `loadgen catch-up`: a device that was away, again and again, and how long it takes until it has all that it missed.
//!
//! Owns the rounds: the device's connection is cut, others send to its channels, it resumes by its cursor. A push that comes twice, out of
//! order or not at all is counted (I6).

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::{Duration, Instant};

use anyhow::ensure;
use schema::command::Send;
use schema::message::no_mentions;
use schema::{ChannelId, ClientMsgId, Command, ErrorReply, MessageKind, Push, Reply, Request, Seq, UnixMs};

use crate::accounts;
use crate::api::Api;
use crate::cli::CatchUpArgs;
use crate::drive::{Measured, Usage};
use crate::engine::Engine;
use crate::progress::Progress;
use crate::report::{Latencies, Load, Report};
use crate::run::{Run, random};
use crate::session::{Sessions, Talk};
use crate::target::SESSION_PATH;

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
    let common = &args.common;
    let (connections, rounds, missed) = (common.connections.get(), args.rounds.get(), args.missed.get());
    ensure!(!common.raw, "catch-up needs sessions: leave out --raw");
    ensure!(connections > 1, "--connections {connections} leaves nobody to send: the first is the device");
    let encoding = common.sessions.encoding();
    let mut run = Run::prepare("catch-up", common, SESSION_PATH, Some(encoding))?;
    let book = accounts::prepare(&common.sessions, connections, SPAN_MAX, &run.interrupt)?;
    let api = Api::new(&common.sessions.api);
    let senders = connections as usize - 1;
    let mut channels = Vec::new();
    let mut progress = Progress::new("channels", u64::from(args.channels.get()));
    for at in 0..args.channels.get() as usize {
        let owner = 1 + at % senders;
        channels.push(api.group(book.token(owner), &format!("catch-up {at}"), &[book.user(DEVICE)])?);
        progress.show(at as u64, || format!("{at} channels"));
    }
    drop(progress);
    let mut sessions = Sessions::new(&run, encoding, &book, CatchUp::new(channels, senders));
    run.open_sessions(&mut sessions)?;

    let started = Instant::now();
    let mut usage = Usage::default();
    usage.begin();
    let mut progress = Progress::new("rounds", u64::from(rounds));
    for round in 0..rounds {
        if run.interrupt.requested() {
            break;
        }
        away(&mut run, &mut sessions, missed as usize)?;
        back(&mut run, &mut sessions)?;
        progress.show(u64::from(round), || format!("{round} rounds"));
    }
    drop(progress);
    let (cpu_ns, wait_ns) = usage.end();
    let CatchUp { catch_up, connect, sent, delivered, duplicated, out_of_order, .. } = &sessions.talk;
    let report = Report {
        load: Load::Rounds { rounds, each: format!("{missed} messages missed in {} channels", args.channels) },
        sent: *sent,
        acked: *sent,
        delivered: *delivered,
        lost: sent.saturating_sub(*delivered),
        duplicated: *duplicated,
        out_of_order: *out_of_order,
        latencies_us: [("catch-up", catch_up.summary()), ("connect", connect.summary())].into(),
        ..Report::default()
    };
    run.finish(&Measured { length: started.elapsed(), cpu_ns, wait_ns }, report)
}

/// The device goes without a word, and is sent `missed` messages.
fn away(run: &mut Run, sessions: &mut Sessions<CatchUp>, missed: usize) -> anyhow::Result<()> {
    run.engine.cut(DEVICE);
    sessions.disconnected(DEVICE);
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
    sent: u64,
    delivered: u64,
    duplicated: u64,
    out_of_order: u64,
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
            sent: 0,
            delivered: 0,
            duplicated: 0,
            out_of_order: 0,
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

    fn reply(
        &mut self,
        connection: usize,
        id: u32,
        reply: Result<Reply, ErrorReply>,
        _now_ns: u64,
    ) -> Result<(), String> {
        let channel = self.unanswered[connection].remove(&id).ok_or_else(|| format!("request {id} is not open"))?;
        match reply {
            Ok(Reply::Send { .. }) => {
                self.sent += 1;
                Ok(())
            }
            Ok(other) => Err(format!("request {id} was answered with {other:?}")),
            Err(error) if error.temporary => {
                self.unsent[connection].push_back(channel);
                Ok(())
            }
            Err(error) => Err(format!("request {id} was refused with {}: {}", error.code, error.message)),
        }
    }

    fn push(&mut self, connection: usize, push: Push, now_ns: u64) -> Result<(), String> {
        if connection != DEVICE {
            return Ok(());
        }
        match push {
            Push::Snapshot { .. } => Err("a snapshot came, though no cursor was old".to_owned()),
            Push::Message { message, .. } => {
                let place = (message.channel_id, message.seq);
                if !self.seen.insert(place) {
                    self.duplicated += 1;
                    return Ok(());
                }
                let head = self.heads.entry(message.channel_id).or_default();
                self.out_of_order += u64::from(message.seq <= *head);
                *head = message.seq.max(*head);
                self.delivered += 1;
                self.missing = self.missing.saturating_sub(1);
                if self.missing == 0 {
                    self.catch_up.record(now_ns - self.dialled_ns);
                }
                Ok(())
            }
            Push::Edited { .. }
            | Push::Deleted { .. }
            | Push::Reaction { .. }
            | Push::Membership { .. }
            | Push::Read { .. }
            | Push::TokenExpiring { .. }
            | Push::Drain { .. }
            | Push::Head { .. }
            | Push::Presence { .. }
            | Push::Typing { .. } => Ok(()),
        }
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
        let command = Command::Send(Send {
            channel_id,
            client_msg_id: ClientMsgId::new(made_at, self.run + u128::from(id)),
            body: "what a device misses while it is away".into(),
            reply_to: None,
            mentions: no_mentions(),
            kind: MessageKind::Text,
        });
        Some(Request { id, command })
    }
}
