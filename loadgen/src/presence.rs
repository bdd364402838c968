//! `loadgen presence`: users who come and go, and how soon those who watch them are told.
//!
//! Owns the rounds: all watched users lose their connections at once, are offline after the grace, and come back. What
//! is told too early, never, or in more pushes than one in 250 ms is counted (I8).

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::ensure;
use schema::limits::{GROUP_MEMBERS_DEFAULT, PRESENCE_BATCH_MS, PRESENCE_GRACE_MS, WATCHED_MAX};
use schema::{Command, PresenceEntry, PresenceState, Reply, Request, UserId};

use crate::accounts::Book;
use crate::api::Api;
use crate::cli::{Devices, PresenceArgs};
use crate::report::{Counts, Latencies, Load, PresenceReport, Report};
use crate::run::{Run, TURN_MAX};
use crate::session::{Sessions, Talk, not_asked_for};

/// The number of a watcher's one request.
const WATCH_ID: u32 = 2;
/// How long the run may take: tokens are good for an hour, and some of that may have passed.
const SPAN_MAX: Duration = Duration::from_secs(1_800);
/// How long watchers may take to be told of a change.
const TOLD_MAX: Duration = Duration::from_secs(20);
/// What two pushes may seem closer than they left, by the ways that they came.
const JITTER_MS: u64 = 25;

/// Makes what is missing, connects, and plays the rounds.
pub(crate) fn run(args: &PresenceArgs) -> anyhow::Result<Report> {
    let common = &args.common;
    let (connections, rounds, watched) = (common.connections.get(), args.rounds.get(), args.watched.get());
    ensure!(watched < connections, "--watched {watched} of --connections {connections} leaves nobody to watch them");
    ensure!(watched <= WATCHED_MAX, "--watched {watched} is over {WATCHED_MAX}, what one session may watch");
    ensure!(watched < GROUP_MEMBERS_DEFAULT, "--watched {watched} do not fit in a group of {GROUP_MEMBERS_DEFAULT}");
    let (mut run, mut sessions) = Run::connect("presence", common, SPAN_MAX, Devices::ONE, false, |book, _| {
        make_groups(&Api::new(&common.sessions.api), book, watched, connections)?;
        let users = (0..watched as usize).map(|at| book.user(at)).collect();
        Ok(Presence::new(users, connections as usize))
    })?;
    run.wait_until("every watch to be answered", &mut sessions, |_, sessions| sessions.talk.is_watched())?;
    let measured = run.rounds("changes", u64::from(rounds) * 2, |run, step| match step % 2 {
        0 => leave(run, &mut sessions),
        _ => come_back(run, &mut sessions),
    })?;
    let Presence { offline, online, told, missed, presence, .. } = &sessions.talk;
    let report = Report {
        load: Load::Rounds {
            rounds,
            each: format!("{watched} users leave and come back, {} watch", connections - watched),
        },
        counts: Counts {
            sent: told + missed,
            acked: told + missed,
            delivered: *told,
            lost: *missed,
            ..Counts::default()
        },
        latencies_us: [("offline", offline.clone()), ("online", online.clone())].into(),
        presence: Some(presence.clone()),
        ..Report::default()
    };
    run.finish(measured, report)
}

/// Groups of all who are watched and some who watch, so that every watcher may see them.
fn make_groups(api: &Api, book: &Book, watched: u32, connections: u32) -> anyhow::Result<()> {
    let room = (GROUP_MEMBERS_DEFAULT - watched) as usize;
    let watchers: Vec<UserId> = (watched as usize..connections as usize).map(|at| book.user(at)).collect();
    let others: Vec<UserId> = (1..watched as usize).map(|at| book.user(at)).collect();
    for (number, part) in watchers.chunks(room).enumerate() {
        api.group(&book.token(0), &format!("presence {number}"), &[others.as_slice(), part].concat())?;
    }
    Ok(())
}

/// All who are watched go without a word; after the grace they are offline.
fn leave(run: &mut Run, sessions: &mut Sessions<Presence>) -> anyhow::Result<()> {
    sessions.talk.expect(PresenceState::Offline, run.engine.now_ns() + PRESENCE_GRACE_MS * 1_000_000);
    for connection in 0..sessions.talk.users.len() {
        run.engine.cut(connection);
        sessions.disconnected(connection, run.engine.now_ns());
    }
    listen(run, sessions, Duration::from_millis(PRESENCE_GRACE_MS) + TOLD_MAX)
}

fn come_back(run: &mut Run, sessions: &mut Sessions<Presence>) -> anyhow::Result<()> {
    sessions.talk.expect(PresenceState::Online, run.engine.now_ns());
    for connection in 0..sessions.talk.users.len() {
        run.engine.redial(connection)?;
    }
    listen(run, sessions, TOLD_MAX)
}

/// Until every watcher was told of every change, or for too long.
fn listen(run: &mut Run, sessions: &mut Sessions<Presence>, most: Duration) -> anyhow::Result<()> {
    let give_up = Instant::now() + most;
    while sessions.talk.waiting > 0 && Instant::now() < give_up && !run.interrupt.requested() {
        run.engine.turn(sessions, TURN_MAX)?;
    }
    sessions.talk.missed += sessions.talk.waiting;
    Ok(())
}

/// Who watches, and what they were told.
struct Presence {
    users: Vec<UserId>,
    watchers: Vec<Watcher>,
    expected: PresenceState,
    /// When the change was there to be told.
    changed_ns: u64,
    /// Entries of this change that are not told yet, over all watchers.
    waiting: u64,
    offline: Latencies,
    online: Latencies,
    told: u64,
    missed: u64,
    presence: PresenceReport,
}

#[derive(Clone, Default)]
struct Watcher {
    asked: bool,
    watches: bool,
    states: BTreeMap<UserId, PresenceState>,
    pushed_ns: Option<u64>,
}

impl Presence {
    fn new(users: Vec<UserId>, connections: usize) -> Self {
        Self {
            users,
            watchers: vec![Watcher::default(); connections],
            expected: PresenceState::Online,
            changed_ns: 0,
            waiting: 0,
            offline: Latencies::new(),
            online: Latencies::new(),
            told: 0,
            missed: 0,
            presence: PresenceReport::default(),
        }
    }

    fn is_watched(&self) -> bool {
        self.watchers[self.users.len()..].iter().all(|watcher| watcher.watches)
    }

    fn expect(&mut self, state: PresenceState, changed_ns: u64) {
        self.expected = state;
        self.changed_ns = changed_ns;
        self.waiting = (self.users.len() * (self.watchers.len() - self.users.len())) as u64;
    }
}

impl Talk for Presence {
    fn answered(&mut self, connection: usize, id: u32, reply: Reply, _now_ns: u64) -> Result<(), String> {
        match reply {
            Reply::PresenceWatch { entries } if entries.len() == self.users.len() => {
                let watcher = &mut self.watchers[connection];
                watcher.watches = true;
                watcher.states = entries.iter().map(|entry| (entry.user_id, entry.state)).collect();
                Ok(())
            }
            other => not_asked_for(id, &other),
        }
    }

    fn told_presence(&mut self, connection: usize, entries: &[PresenceEntry], now_ns: u64) {
        self.presence.pushes += 1;
        let watcher = &mut self.watchers[connection];
        if let Some(before_ns) = watcher.pushed_ns.replace(now_ns) {
            let apart_ms = (now_ns - before_ns) / 1_000_000;
            self.presence.crowded += u64::from(apart_ms + JITTER_MS < PRESENCE_BATCH_MS);
        }
        for entry in entries {
            let before = watcher.states.insert(entry.user_id, entry.state);
            if before == Some(entry.state) {
                self.presence.repeated += 1;
            } else if entry.state != self.expected || now_ns < self.changed_ns {
                self.presence.early += 1;
            } else {
                self.told += 1;
                self.waiting = self.waiting.saturating_sub(1);
                let latencies =
                    if self.expected == PresenceState::Offline { &mut self.offline } else { &mut self.online };
                latencies.record(now_ns - self.changed_ns);
            }
        }
    }

    fn next(&mut self, connection: usize, _now_ns: u64) -> Option<Request> {
        let watcher = &mut self.watchers[connection];
        if connection < self.users.len() || watcher.asked {
            return None;
        }
        watcher.asked = true;
        Some(Request { id: WATCH_ID, command: Command::PresenceWatch { user_ids: self.users.clone() } })
    }
}
