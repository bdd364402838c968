//! Nodes that are there, and the sessions that workers hold on them: what `storm`, `churn`, `fanout` and `slow-readers` begin
//! with.
//!
//! Owns the accounts and channels, and the form of their report.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::ops::Range;
use std::time::{Duration, Instant};

use anyhow::ensure;
use schema::{ChannelId, UserId};
use serde::Serialize;

use super::{Fleet, Outcome, shares};
use crate::accounts::read_users;
use crate::api::Api;
use crate::cli::TargetArgs;
use crate::crowd::protocol::{Order, Room, Setup, Status};
use crate::engine::dialer::{connections_of_source, connections_of_worker};
use crate::interrupt::Interrupt;
use crate::machine::{self, GENERATOR_BOUND_PERCENT};
use crate::parallel::in_parallel;
use crate::report::{Latencies, percent_of};
use crate::token::Signer;

/// How long tokens have to be good for.
const SPAN: Duration = Duration::from_secs(6 * 3600);
/// How long sessions may take to be there, and messages to arrive once no more are written.
pub(crate) const OPENING_MAX: Duration = Duration::from_secs(600);
pub(crate) const SETTLE_MAX: Duration = Duration::from_secs(60);

/// Nodes and accounts that are there.
pub(crate) struct Target<'a> {
    args: &'a TargetArgs,
    users: Vec<UserId>,
    pub(crate) interrupt: Interrupt,
}

impl<'a> Target<'a> {
    /// Reads accounts for so many sessions.
    pub(crate) fn prepare(args: &'a TargetArgs, sessions: u32) -> anyhow::Result<Self> {
        let interrupt = Interrupt::install()?;
        let users = read_users(&args.users, sessions.div_ceil(args.devices))?;
        Ok(Self { args, users, interrupt })
    }

    /// Channels of `accounts` accounts each, of the accounts of these sessions: two are direct channels, more groups.
    pub(crate) fn rooms(&self, sessions: Range<u32>, accounts: u32) -> anyhow::Result<Vec<Room>> {
        let devices = self.args.devices;
        let first = sessions.start / devices;
        let count = (sessions.end / devices - first) / accounts;
        ensure!(
            count > 0,
            "{} sessions of --devices {devices} each are less than one channel of {accounts} accounts",
            sessions.end - sessions.start
        );
        self.made(first..sessions.end / devices, accounts, accounts)
    }

    fn made(&self, all: Range<u32>, accounts: u32, apart: u32) -> anyhow::Result<Vec<Room>> {
        let (api, signer) = (Api::new(&self.args.api), Signer::load(&self.args.token_key, SPAN)?);
        let room = |at: usize| all.start + at as u32 * apart;
        let done = in_parallel("channels", ((all.end - all.start) / apart) as usize, &self.interrupt, |at| {
            let account = room(at) as usize;
            let token = signer.token(self.users[account]);
            match &self.users[account + 1..account + accounts as usize] {
                &[other] => api.direct(&token, other),
                others => api.group(&token, &format!("loadgen {at}"), others),
            }
        });
        let made = |(at, channel): (usize, ChannelId)| Room { channel, account: room(at), accounts };
        let rooms = done.finished.into_iter().map(made).collect();
        done.failed.map_or(Ok(rooms), Err)
    }

    /// Groups of `accounts` accounts each, of every `apart` accounts the first so many.
    pub(crate) fn groups(&self, sessions: Range<u32>, accounts: u32, apart: u32) -> anyhow::Result<Vec<Room>> {
        let devices = self.args.devices;
        self.made(sessions.start / devices..sessions.end / devices, accounts, apart)
    }

    /// Workers that will hold these sessions, all members of a channel being of one. `source` is the number of the first
    /// local address that they start from.
    pub(crate) fn fleet(
        &self,
        sessions: Range<u32>,
        accounts: u32,
        rooms: &[Room],
        source: u32,
    ) -> anyhow::Result<Fleet> {
        let (args, devices) = (self.args, self.args.devices);
        let (unit, count) = (accounts * devices, sessions.end - sessions.start);
        let starts_apart = args.url.iter().all(|url| url.contains("//127.") || url.contains("//localhost"));
        let ports = machine::local_ports()?;
        let by_ports = if starts_apart { connections_of_worker(ports) } else { connections_of_source(ports) };
        let most = machine::connections_allowed().min(u64::from(by_ports)) as u32;
        ensure!(
            unit <= most,
            "a channel of {accounts} accounts with --devices {devices} each is more than the {most} sessions that one worker holds: \
             raise the file limit (`ulimit -Hn` as root), or have fewer devices"
        );
        let shares = shares(count, unit, most.min(count.div_ceil(args.workers.get()).next_multiple_of(unit)));
        Fleet::start(shares, &self.interrupt, |number, share| {
            let share = sessions.start + share.start..sessions.start + share.end;
            let accounts = share.start / devices..share.end.div_ceil(devices);
            let own = rooms.iter().filter(|room| accounts.contains(&room.account));
            Setup {
                urls: args.url.clone(),
                json: args.encoding.is_text(),
                token_key: args.token_key.clone(),
                span_s: SPAN.as_secs(),
                users: self.users[accounts.start as usize..accounts.end as usize].to_vec(),
                devices,
                first: share.start,
                sessions: share.end - share.start,
                source: starts_apart.then_some(source + number as u32),
                size: args.size,
                rooms: own.map(|&room| Room { account: room.account - accounts.start, ..room }).collect(),
            }
        })
    }

    /// Workers whose sessions are all there and write in channels of `accounts`, so many messages a second, and how long
    /// it took to open them.
    pub(crate) fn talkers(&self, sessions: u32, accounts: u32, rate: f64) -> anyhow::Result<(Fleet, Duration)> {
        let rooms = self.rooms(0..sessions, accounts)?;
        let mut fleet = self.fleet(0..sessions, accounts, &rooms, 0)?;
        let opening = self.open(&mut fleet, sessions)?;
        fleet.rate(rate, |per_second| Order::Talk { per_second })?;
        Ok((fleet, opening))
    }

    /// Opens all sessions of a fleet and waits until they are there; how long that took.
    pub(crate) fn open(&self, fleet: &mut Fleet, sessions: u32) -> anyhow::Result<Duration> {
        let began = Instant::now();
        fleet.open(self.args.opening.get())?;
        let stands = follow(fleet, "opening", OPENING_MAX, |stands| stands.connected == u64::from(sessions))?;
        ensure!(
            stands.connected == u64::from(sessions) || self.interrupt.requested(),
            "{} of {sessions} sessions were connected after {} s: {}",
            stands.connected,
            OPENING_MAX.as_secs(),
            why(&stands)
        );
        Ok(began.elapsed())
    }
}

/// The commonest reason for which sessions are not there.
fn why(stands: &Status) -> String {
    let commonest = stands.failed_tries.iter().chain(&stands.lost).max_by_key(|&(_, count)| count);
    commonest.map_or_else(|| "nothing failed".to_owned(), |(reason, count)| format!("{count} × {reason}"))
}

/// Waits for workers, and says each second where they stand.
pub(crate) fn follow(
    fleet: &mut Fleet,
    what: &str,
    most: Duration,
    done: impl Fn(&Status) -> bool,
) -> anyhow::Result<Status> {
    follow_while(fleet, what, most, || Ok(()), done)
}

/// The same, and ends with the error of `lives`, which is asked each second.
pub(crate) fn follow_while(
    fleet: &mut Fleet,
    what: &str,
    most: Duration,
    mut lives: impl FnMut() -> anyhow::Result<()>,
    done: impl Fn(&Status) -> bool,
) -> anyhow::Result<Status> {
    let began = Instant::now();
    let each_second = |stands: &Status| {
        eprintln!("{what} {:.0} s: {}", began.elapsed().as_secs_f64(), stands.line());
        lives()
    };
    fleet.wait(most, each_second, done)
}

/// A stretch of a run.
#[derive(Debug, Serialize)]
pub(crate) struct Phase {
    pub(crate) name: String,
    pub(crate) seconds: f64,
    pub(crate) latencies_us: BTreeMap<String, Latencies>,
    /// What the busiest worker took of one core.
    pub(crate) cpu_percent: f64,
    pub(crate) generator_bound: bool,
}

/// Times one stretch of what workers do.
pub(crate) struct Stretch {
    began: Instant,
    cpu_ns: Vec<u64>,
}

impl Stretch {
    /// Begins one: latencies so far are not of it.
    pub(crate) fn begin(fleet: &mut Fleet) -> anyhow::Result<Self> {
        fleet.latencies()?;
        Ok(Self { began: Instant::now(), cpu_ns: fleet.cpu_ns() })
    }

    pub(crate) fn end(self, name: &str, fleet: &mut Fleet) -> anyhow::Result<Phase> {
        let wall = self.began.elapsed();
        let latencies_us = fleet.latencies()?;
        let now = fleet.cpu_ns();
        let busiest = self.cpu_ns.iter().zip(&now).map(|(before, now)| now.saturating_sub(*before)).max();
        let cpu_percent = percent_of(busiest.unwrap_or_default(), wall);
        let generator_bound = cpu_percent > GENERATOR_BOUND_PERCENT;
        let latencies_us = latencies_us.into_iter().filter(|(_, latencies)| latencies.summary().count > 0).collect();
        Ok(Phase { name: name.to_owned(), seconds: wall.as_secs_f64(), latencies_us, cpu_percent, generator_bound })
    }
}

/// What such a run says in the end.
#[derive(Debug, Serialize)]
pub(crate) struct TargetReport {
    pub(crate) command: &'static str,
    pub(crate) url: String,
    pub(crate) sessions: u32,
    pub(crate) workers: usize,
    pub(crate) opening_seconds: f64,
    /// What was done, in words.
    pub(crate) load: String,
    pub(crate) phases: Vec<Phase>,
    /// Where all workers stood in the end.
    pub(crate) status: Status,
    /// Whether sessions may be lost: where they are told to go, or to stay behind.
    pub(crate) may_lose: bool,
    pub(crate) interrupted: bool,
}

impl TargetReport {
    fn clean(&self) -> bool {
        let s = &self.status;
        let whole = s.connected == u64::from(self.sessions) && (self.may_lose || s.lost.is_empty());
        whole && s.sent == s.acked && [s.missing, s.duplicated, s.out_of_order].into_iter().all(|count| count == 0)
    }

    fn text(&self) -> String {
        let Self { command, url, sessions, workers, opening_seconds, load, .. } = self;
        let mut text =
            format!("{command} {url}: {sessions} sessions by {workers} workers, open in {opening_seconds:.2} s\n");
        let mut row = |label: &str, said: String| {
            writeln!(text, "  {label:<14} {said}").expect("a String takes everything");
        };
        row("load", load.clone());
        for Phase { name, seconds, latencies_us, cpu_percent, generator_bound } in &self.phases {
            let bound = if *generator_bound { ": generator-bound, the figures are not the server's" } else { "" };
            row(name, format!("{seconds:.1} s, the busiest worker took {cpu_percent:.0} % of one core{bound}"));
            latencies_us
                .iter()
                .for_each(|(what, latencies)| row(&format!("  {what}"), latencies.summary().to_string()));
        }
        self.status.rows().into_iter().for_each(|(label, said)| row(label, said));
        if self.interrupted {
            row("interrupted", "the run was ended early; figures are of what was reached until then".to_owned());
        }
        text
    }

    pub(crate) fn outcome(&self) -> Outcome {
        let json =
            serde_json::to_string(self).expect("a report has only strings as keys and no number that JSON lacks");
        Outcome { text: self.text(), json, clean: self.clean() }
    }
}
