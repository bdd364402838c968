//! Nodes that are there, and the sessions that workers hold on them: what `storm`, `churn`, `fanout` and `slow-readers` begin
//! with.
//!
//! Owns the accounts and channels, and what is the same in all their reports.

use std::ops::Range;
use std::time::{Duration, Instant};

use anyhow::ensure;
use schema::{ChannelId, UserId};

use super::recording::Recording;
use super::{Fleet, shares, wait};
use crate::accounts::read_users;
use crate::api::Api;
use crate::cli::TargetArgs;
use crate::crowd::protocol::{Room, Setup};
use crate::engine::dialer::{connections_of_source, connections_of_worker};
use crate::interrupt::Interrupt;
use crate::machine;
use crate::parallel::in_parallel;
use crate::process::Process;
use crate::report::{Load, Report};
use crate::status::Status;
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
    /// The node's, whose memory without any session was read.
    process: Option<Process>,
    pub(crate) interrupt: Interrupt,
}

impl<'a> Target<'a> {
    /// Reads accounts for so many sessions.
    pub(crate) fn prepare(args: &'a TargetArgs, sessions: u32) -> anyhow::Result<Self> {
        let interrupt = Interrupt::install()?;
        let users = read_users(&args.users, sessions.div_ceil(args.devices))?;
        let mut process = args.pid.map(Process::new).transpose()?;
        process.as_mut().map_or(Ok(()), |process| process.measure_base(0))?;
        Ok(Self { args, users, process, interrupt })
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
        let made = |(at, channel): (usize, ChannelId)| Room { channel, account: room(at), accounts, large: false };
        let rooms = done.finished.into_iter().map(made).collect();
        done.failed.map_or(Ok(rooms), Err)
    }

    /// Large channels of `accounts` accounts each, of the accounts of these sessions. All but the first are added one by one.
    pub(crate) fn large_rooms(&self, sessions: Range<u32>, accounts: u32) -> anyhow::Result<Vec<Room>> {
        let devices = self.args.devices;
        let (api, signer) = (Api::new(&self.args.api), Signer::load(&self.args.token_key, SPAN)?);
        let mut rooms = Vec::new();
        for account in (sessions.start / devices..sessions.end / devices).step_by(accounts as usize) {
            let [owner, others @ ..] = &self.users[account as usize..(account + accounts) as usize] else { break };
            let token = signer.token(*owner);
            let channel = api.large(&token, &format!("loadgen {account}"))?;
            let added =
                in_parallel("members", others.len(), &self.interrupt, |at| api.add_member(&token, channel, others[at]));
            added.failed.map_or(Ok(()), Err)?;
            rooms.push(Room { channel, account, accounts, large: true });
        }
        Ok(rooms)
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

    /// Workers whose sessions are all there and may write in channels of `accounts`, and how long it took to open them.
    pub(crate) fn talkers(&self, sessions: u32, accounts: u32) -> anyhow::Result<(Fleet, Duration)> {
        self.talkers_in(&self.rooms(0..sessions, accounts)?, sessions, accounts)
    }

    /// The same in channels that are there. Large ones are opened too.
    pub(crate) fn talkers_in(&self, rooms: &[Room], sessions: u32, accounts: u32) -> anyhow::Result<(Fleet, Duration)> {
        let mut fleet = self.fleet(0..sessions, accounts, rooms, 0)?;
        let opening = self.open(&mut fleet, sessions)?;
        if rooms.iter().any(|room| room.large) {
            let all = u64::from(sessions);
            let stands = follow(&mut fleet, "opening channels", OPENING_MAX, |stands| stands.opened == all)?;
            ensure!(
                stands.opened == all || self.interrupt.requested(),
                "{} of {all} sessions had their channel open after {} s",
                stands.opened,
                OPENING_MAX.as_secs()
            );
        }
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

    /// Begins to record what these workers do.
    pub(crate) fn record(&self, fleets: &mut [&mut Fleet]) -> anyhow::Result<Recording> {
        Recording::begin(fleets, self.args.pid.map(Process::new).transpose()?.into_iter().collect())
    }

    /// The report of a run whose sessions are still there.
    pub(crate) fn report(&self, recording: Recording, fleets: &[&Fleet], told: Told) -> anyhow::Result<Report> {
        let Told { command, sessions, opening, does, status, may_lose } = told;
        let connected = status.connected as u32;
        let process = self.process.as_ref().filter(|_| connected > 0);
        let memory = process.map(|process| process.measure_all(connected)).transpose()?;
        Ok(Report {
            command,
            url: self.args.url.join(", "),
            encoding: Some(self.args.encoding.subprotocol()),
            connections: sessions,
            load: Load::Crowd { does },
            size_bytes: Some(self.args.size),
            opening_seconds: opening.as_secs_f64(),
            memory,
            interrupted: self.interrupt.requested(),
            ..recording.report(fleets.iter().map(|fleet| fleet.len()).sum(), status, may_lose)
        })
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
    wait(&mut [fleet], most, each_second, done)
}

/// What only the command knows of its run.
pub(crate) struct Told {
    pub(crate) command: &'static str,
    pub(crate) sessions: u32,
    pub(crate) opening: Duration,
    /// What was done, in words.
    pub(crate) does: String,
    /// Where all workers stood in the end.
    pub(crate) status: Status,
    /// Whether sessions may be lost: where they come so many at once that they are told to come later.
    pub(crate) may_lose: bool,
}
