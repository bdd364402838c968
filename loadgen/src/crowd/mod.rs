//! `loadgen worker`: a process that holds sessions and does with them what it is told.
//!
//! Owns the loop: orders as they come, what is due by the clock, a status each second. What sessions say is `talk`'s, which
//! come and go `reconnect`'s, how orders and answers are written `protocol`'s.

mod due;
mod messages;
mod outbox;
pub(crate) mod protocol;
mod talk;

use std::io::Write;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, TryRecvError};
use std::time::Duration;

use anyhow::{Context, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use schema::Encoding;

use self::due::Due;
use self::protocol::{Order, Said, Setup};
use self::talk::{Act, Crowd};
use crate::accounts::Logins;
use crate::cli::Devices;
use crate::engine::Engine;
use crate::engine::dialer::Dialer;
use crate::interrupt::Interrupt;
use crate::machine;
use crate::pace::SECOND_NS;
use crate::process;
use crate::reconnect::Reconnect;
use crate::report::Packed;
use crate::run::random;
use crate::session::{Sessions, Who};
use crate::status::Status;
use crate::target::{SESSION_PATH, Target};
use crate::token::Signer;

/// Longest wait in one turn: how late an order may be taken.
const TURN_MAX: Duration = Duration::from_millis(20);
/// What is done by the clock in one turn at most, so that answers to the first do not wait for the last.
const DUE_OF_TURN: usize = 256;
/// How often slow sessions read.
const SIP_NS: u64 = SECOND_NS / 10;

/// Serves whoever started this process, until its end.
pub(crate) fn run() -> ! {
    let ended = serve();
    if let Err(error) = &ended {
        say(&Said::Failed(format!("{error:#}")));
    }
    std::process::exit(i32::from(ended.is_err()));
}

fn serve() -> anyhow::Result<()> {
    // Whoever started this decides when it ends. A signal that it gets all the same ends it as the end of orders does.
    let interrupt = Interrupt::install()?;
    let (tell, orders) = mpsc::channel();
    let setup = std::io::stdin().lines().next().context("no setup came")??;
    let setup: Setup = serde_json::from_str(&setup).context("the setup is of another version of this program")?;
    std::thread::spawn(move || {
        // Ends with the input, and then the channel does.
        for line in std::io::stdin().lines().map_while(Result::ok) {
            if tell.send(serde_json::from_str::<Order>(&line)).is_err() {
                break;
            }
        }
    });
    let mut worker = Worker::new(setup)?;
    worker.say_status();
    while !interrupt.requested() && worker.turn(&orders)? {}
    worker.engine.close()?;
    Ok(())
}

struct Worker {
    engine: Engine,
    sessions: Sessions<Crowd>,
    /// Sessions that are to be there, and how many may be on their way.
    wanted: usize,
    opening: usize,
    dialled: usize,
    talk: Due,
    churn: Due,
    /// What is done in the shares of a mix.
    acts: Due,
    mix: [f64; 5],
    churned: u64,
    /// Sessions that read slowly, what each takes at a time, and when they read again.
    slow: Vec<usize>,
    sip_bytes: usize,
    sip_ns: u64,
    written: u64,
    orders: u64,
    status_ns: u64,
}

impl Worker {
    fn new(setup: Setup) -> anyhow::Result<Self> {
        let Setup { urls, json, token_key, span_s, users, devices, first, sessions, source, size, rooms } = setup;
        let allowed = machine::connections_allowed();
        machine::ensure_files(sessions, allowed)?;
        machine::sharpen_timers()?;
        let targets = urls.iter().map(|url| Target::parse(url, SESSION_PATH).map(Arc::new));
        let targets = targets.collect::<anyhow::Result<Vec<_>>>()?;
        let encoding = if json { Encoding::Json } else { Encoding::Fb };
        let key = random().to_be_bytes();
        let dialer =
            Dialer::new(targets.clone(), Some(encoding.subprotocol()), sessions, machine::local_ports()?, key)?;
        let dialer = match source {
            Some(worker) => dialer.of_worker(worker),
            None => dialer,
        };
        let signer = Box::new(Signer::load(&token_key, Duration::from_secs(span_s))?);
        let count = sessions as usize;
        let talk = Crowd::new(users.clone(), count, devices, size, rooms);
        let who = Who::new(Logins::Signed { signer, users }, Devices { each: devices }, first as usize);
        let reconnect = Reconnect::new(targets, count, random() as u64);
        // Never all zero, which would let a server skip the work.
        let mask = (random() as u32 | 1).to_be_bytes();
        Ok(Self {
            engine: Engine::new(dialer, sessions, mask)?,
            sessions: Sessions::new(count, mask, encoding, who, talk, Some(reconnect)),
            wanted: 0,
            opening: 1,
            dialled: 0,
            talk: Due::default(),
            churn: Due::default(),
            acts: Due::default(),
            mix: [0.0; 5],
            churned: 0,
            slow: Vec::new(),
            sip_bytes: 0,
            sip_ns: u64::MAX,
            written: 0,
            orders: 0,
            status_ns: 0,
        })
    }

    /// Takes orders, does what is due, waits for sockets. `false` once it is to end.
    fn turn(&mut self, orders: &Receiver<serde_json::Result<Order>>) -> anyhow::Result<bool> {
        loop {
            match orders.try_recv() {
                Ok(order) => {
                    if !self.take(order.context("an order is of another version of this program")?)? {
                        return Ok(false);
                    }
                }
                Err(TryRecvError::Empty) => break,
                // Nobody is left to hold sessions for.
                Err(TryRecvError::Disconnected) => return Ok(false),
            }
        }
        self.open()?;
        let now_ns = self.engine.now_ns();
        for _ in 0..DUE_OF_TURN {
            let Some(intended_ns) = self.talk.take(now_ns) else { break };
            let by = self.sessions.talk.write(self.written, intended_ns, now_ns);
            self.written += 1;
            if let Some(by) = by {
                self.engine.pump(by, &mut self.sessions);
            }
        }
        for _ in 0..DUE_OF_TURN {
            if self.churn.take(now_ns).is_none() {
                break;
            }
            if let Some(session) = self.sessions.talk.any_connected() {
                self.send_away(session, now_ns);
            }
        }
        for _ in 0..DUE_OF_TURN {
            let Some(intended_ns) = self.acts.take(now_ns) else { break };
            let act = drawn(&self.mix);
            match self.sessions.talk.act(act, intended_ns, now_ns) {
                Some(session) if act == Act::Churn => self.send_away(session, now_ns),
                Some(session) => self.engine.pump(session, &mut self.sessions),
                None => {}
            }
        }
        if now_ns >= self.sip_ns {
            self.sip_ns = now_ns + SIP_NS;
            for &session in &self.slow {
                self.engine.sip(session, self.sip_bytes, &mut self.sessions);
            }
        }
        if now_ns >= self.status_ns {
            self.status_ns = now_ns + SECOND_NS;
            self.say_status();
        }
        let next_ns =
            self.talk.next_ns().min(self.churn.next_ns()).min(self.acts.next_ns()).min(self.sip_ns).min(self.status_ns);
        let wait = Duration::from_nanos(next_ns.saturating_sub(self.engine.now_ns()));
        self.engine.turn(&mut self.sessions, wait.min(TURN_MAX))?;
        if let Some((reason, _)) = self.engine.counts().reasons.first_key_value() {
            bail!("{} sessions ended for good: {reason}", self.engine.counts().closed);
        }
        Ok(true)
    }

    /// Dials as many as may be on their way.
    fn open(&mut self) -> anyhow::Result<()> {
        let here = self.sessions.connected();
        let room = self.opening.saturating_sub(self.dialled.saturating_sub(here));
        let until = self.wanted.min(self.dialled + room);
        if until > self.dialled {
            let now_ns = self.engine.now_ns();
            self.sessions.talk.dialled(self.dialled..until, now_ns);
            self.dialled = self.engine.dial_next(until, &mut self.sessions)?.end;
        }
        Ok(())
    }

    /// A session goes without a word, and comes back.
    fn send_away(&mut self, session: usize, now_ns: u64) {
        self.sessions.talk.sent_away(session, now_ns);
        self.engine.cut(session);
        self.sessions.leave(session, now_ns);
        self.churned += 1;
    }

    /// From now on so many of each hundred sessions, by their number, read slowly.
    fn slow_down(&mut self, percent: usize, bytes_per_second: u64) {
        self.slow = (0..self.engine.connections()).filter(|session| session % 100 < percent).collect();
        self.sip_bytes = (bytes_per_second * SIP_NS / SECOND_NS).max(1) as usize;
        self.sip_ns = self.engine.now_ns();
        for &session in &self.slow {
            self.sessions.talk.slow_down(session);
            self.engine.slow_down(session);
        }
    }

    fn take(&mut self, order: Order) -> anyhow::Result<bool> {
        let now_ns = self.engine.now_ns();
        self.orders += 1;
        match order {
            Order::Open { sessions, opening } => {
                (self.wanted, self.opening) =
                    ((sessions as usize).min(self.engine.connections()), opening.max(1) as usize);
            }
            Order::Talk { per_second } => self.talk = Due::evenly(per_second, now_ns),
            Order::Churn { per_second } => self.churn = Due::evenly(per_second, now_ns),
            Order::Act { mix, from, to, seconds, poisson } => {
                self.mix = mix;
                self.acts = Due::stage(from, to, seconds, poisson, now_ns);
            }
            Order::Probe { sessions } => {
                for session in sessions {
                    if let Some(by) = self.sessions.talk.probe(session as usize, now_ns) {
                        self.engine.pump(by, &mut self.sessions);
                    }
                }
            }
            Order::Slow { percent, bytes_per_second } => self.slow_down(percent as usize, bytes_per_second),
            Order::Watch { group } => {
                self.sessions.talk.watch(group);
                for session in 0..self.engine.connections() {
                    self.engine.pump(session, &mut self.sessions);
                }
            }
            Order::Tell => {
                let said = |(what, packed): (&str, Packed)| (what.to_owned(), STANDARD.encode(packed.bytes()));
                say(&Said::Latencies(self.sessions.talk.told().into_iter().map(said).collect()));
            }
            Order::End => return Ok(false),
        }
        self.say_status();
        Ok(true)
    }

    fn say_status(&self) {
        let (talk, counts) = (&self.sessions.talk, &self.sessions.talk.counts);
        let reconnect = self.sessions.reconnect.as_ref().expect("sessions of a worker come back");
        let (probed, arrived) = talk.probed();
        say(&Said::Status(Box::new(Status {
            orders: self.orders,
            connected: self.sessions.connected() as u64,
            refusals: reconnect.refusals.clone(),
            lost: reconnect.lost.clone(),
            failed_tries: reconnect.failed.clone(),
            churned: self.churned,
            watching: counts.watching,
            opened: counts.opened,
            pings: self.engine.counts().pings,
            sent: counts.sent,
            acked: counts.acked,
            retried: counts.retried,
            delivered: counts.delivered,
            missing: talk.missing(),
            duplicated: counts.duplicated,
            out_of_order: counts.out_of_order,
            probed,
            arrived,
            unwritten: counts.unwritten,
            answered: counts.answered,
            given_up: counts.given_up,
            cpu_ns: machine::thread_cpu_ns(),
            resident_bytes: process::resident_bytes(std::process::id()).unwrap_or_default(),
        })));
    }
}

/// One of what may be done, by its share; shares add up to 1.
fn drawn(mix: &[f64; 5]) -> Act {
    let mut left = fastrand::f64();
    let one = Act::ALL.into_iter().zip(mix).find(|&(_, share)| {
        left -= share;
        left < 0.0
    });
    one.map_or(Act::Direct, |(act, _)| act)
}

fn say(said: &Said) {
    let line = serde_json::to_string(said).expect("it has only strings and numbers as keys");
    // Whoever started this is gone if it cannot be told, and then the input has ended too.
    _ = writeln!(std::io::stdout().lock(), "{line}");
}
