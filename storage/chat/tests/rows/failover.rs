//! Three nodes on one store, under faults, each stopped, killed and started again at random, and what they append.
//!
//! Every transaction of every node may be interrupted by any other's at each of its reads and its commit, and a node
//! that is stopped stands still wherever it is, in the middle of a commit too, until long after its lease. Checks I7 by
//! the log (once another node's message stands there, none of a node before it follows), I3 and I5 (what was
//! acknowledged is there, once), and that somebody is active within a bounded time of quiet. A failing case prints its
//! seed.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Waker};

use chat::appender::Appender;
use chat::view::{self, Lease, Said};
use chat::{check, history};
use futures_lite::future::{self, block_on};
use kv::Error;
use kv::memory::{CommitFault, FaultRates, Faults, MemoryEngine, SeededFaults};
use schema::command::{History, HistoryWindow};
use schema::limits::{BEAT_MS, LEASE_MS};
use schema::record::NodeRecord;
use schema::{Incarnation, OpReply, Seq, UserId, View};

use crate::world::{WALL, alone, channel, first_shard, open, parse, store};

const RATES: FaultRates = FaultRates {
    read_permille: 4,
    unavailable_permille: 2,
    conflict_permille: 60,
    refused_permille: 30,
    unknown_permille: 80,
    yields_max: 3,
    cached_lag_max: 0,
};
const NODES: usize = 3;
/// One turn of one node.
const TURN_MS: u64 = 5;
const HOSTILE_MS: u64 = 90_000;
/// From quiet to somebody who is active: a lease of whoever held the store, two heartbeats before it counts, and one
/// after.
const ACTIVE_MS: u64 = LEASE_MS + 4 * BEAT_MS;

/// The faults of a seed until it is quiet.
struct Weather {
    faults: SeededFaults,
    quiet: Arc<AtomicBool>,
}

impl Faults for Weather {
    fn read(&mut self) -> Option<Error> {
        self.faults.read().filter(|_| !self.quiet.load(Ordering::Relaxed))
    }

    fn commit(&mut self) -> CommitFault {
        let fate = self.faults.commit();
        if self.quiet.load(Ordering::Relaxed) { CommitFault::None } else { fate }
    }

    fn yields(&mut self) -> u32 {
        self.faults.yields()
    }
}

/// What all nodes share and the test looks at.
struct World {
    engine: MemoryEngine,
    now_ms: Cell<u64>,
    /// What was acknowledged, by its text.
    acknowledged: RefCell<BTreeMap<String, Seq>>,
    active: RefCell<Vec<Incarnation>>,
}

impl World {
    async fn sleep_until(&self, at_ms: u64) {
        poll_fn(|_| if self.now_ms.get() >= at_ms { Poll::Ready(()) } else { Poll::Pending }).await;
    }
}

/// Registers, stands by, takes over, appends, until it is fenced or asked to stop.
async fn life(world: Rc<World>, me: Incarnation, stop: Rc<Cell<bool>>) {
    let record = NodeRecord { name: me.0.to_string(), shards: 1, ..NodeRecord::default() };
    while view::register(&world.engine, me, &record).await.is_err() {}
    let mut lease = Lease::new(me);
    let mut count = 0;
    let view = loop {
        count += 1;
        if let Ok(seen) = view::beat(&world.engine, me, &Said { count, ..Said::default() }).await {
            if !seen.registered {
                return;
            }
            let verdict = lease.observe(world.now_ms.get(), &seen.roll);
            if seen.roll.active().all(|node| verdict.dead.contains_key(&node))
                && let Ok(Some(view)) = view::change(&world.engine, me, &alone(me, &verdict)).await
            {
                break view;
            }
            assert_ne!(
                seen.roll.active().collect::<Vec<_>>(),
                [me],
                "a takeover that was reported lost is met again by whoever tries again"
            );
        }
        world.sleep_until(world.now_ms.get() + BEAT_MS).await;
        if stop.get() {
            while view::leave(&world.engine, me).await.is_err() {}
            return;
        }
    };
    world.active.borrow_mut().push(me);
    let beats = async {
        loop {
            world.sleep_until(world.now_ms.get() + BEAT_MS).await;
            count += 1;
            match view::beat(&world.engine, me, &Said { count, ..Said::default() }).await {
                Ok(seen) if seen.fence != Some(view.epoch) => return,
                Ok(seen) => {
                    let verdict = lease.observe(world.now_ms.get(), &seen.roll);
                    // Tried again with the next heartbeat.
                    let _ = view::forget(&world.engine, &verdict).await;
                }
                Err(_) => {}
            }
        }
    };
    future::or(append(&world, me, &view, &stop), beats).await;
    if stop.get() {
        while view::leave(&world.engine, me).await.is_err() {}
    }
    world.active.borrow_mut().retain(|&node| node != me);
}

/// Sends one message after the other, each again until it is acknowledged.
async fn append(world: &World, me: Incarnation, view: &View, stop: &Cell<bool>) {
    let view = Arc::new(view.clone());
    let mut appender = Appender::new(first_shard(me.0));
    for number in 0.. {
        let text = format!("{}-{number}", me.0);
        let mut open = true;
        while open {
            if stop.get() {
                return;
            }
            world.sleep_until(world.now_ms.get() + 10).await;
            let (channel, op) = parse(&format!("1 sends {text}"));
            appender.push(number, view.epoch, channel, op);
            while let Some(batch) = appender.next_batch(&view, WALL) {
                let finished = appender.finished(batch.run(world.engine.clone()).await);
                if finished.fenced.is_some() {
                    return;
                }
                for (_, reply) in finished.replies {
                    match reply {
                        Ok(OpReply::Sent { seq, .. }) => {
                            world.acknowledged.borrow_mut().insert(text.clone(), seq);
                            open = false;
                        }
                        Ok(other) => panic!("a send was answered {other:?}"),
                        Err(refusal) => assert!(refusal.code.is_temporary(), "{refusal:?}"),
                    }
                }
            }
        }
    }
}

/// A process: its life, until when it stands still, and the switch that asks it to stop.
struct Process {
    life: Pin<Box<dyn Future<Output = ()>>>,
    still_until_ms: u64,
    stop: Rc<Cell<bool>>,
}

impl Process {
    fn start(world: &Rc<World>, incarnation: u64) -> Self {
        let stop = Rc::new(Cell::new(false));
        let life = Box::pin(life(Rc::clone(world), Incarnation(incarnation), Rc::clone(&stop)));
        Self { life, still_until_ms: 0, stop }
    }
}

/// What a run saw of what it is about.
#[derive(Debug, Default)]
struct Told {
    takeovers: usize,
    fenced: usize,
    acknowledged: usize,
}

fn run(seed: u64) -> Told {
    let quiet = Arc::new(AtomicBool::new(false));
    let weather = Weather { faults: SeededFaults::new(seed, RATES), quiet: Arc::clone(&quiet) };
    let engine = open(&store(), weather);
    let world =
        Rc::new(World { engine, now_ms: Cell::new(0), acknowledged: RefCell::default(), active: RefCell::default() });
    let mut state = seed;
    let mut draw = move |below: u64| {
        // An odd multiplier and the upper bits of a 64-bit congruential generator.
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % below
    };
    let mut incarnation = 10;
    let mut start = |world: &Rc<World>| {
        incarnation += 1;
        Process::start(world, incarnation)
    };
    let mut processes: Vec<Process> = (0..NODES).map(|_| start(&world)).collect();
    let mut told = Told::default();
    let mut turn = |processes: &mut [Process], told: &mut Told, hostile: bool| {
        let now_ms = world.now_ms.get() + TURN_MS / NODES as u64;
        world.now_ms.set(now_ms);
        let at = draw(NODES as u64) as usize;
        if hostile {
            match draw(16_000) {
                0..6 => processes[at].still_until_ms = now_ms + draw(3 * LEASE_MS),
                6 => processes[at] = start(&world),
                7 => processes[at].stop.set(true),
                _ => {}
            }
        }
        let process = &mut processes[at];
        if process.still_until_ms <= now_ms
            && process.life.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready()
        {
            told.fenced += usize::from(!process.stop.get());
            *process = start(&world);
        }
    };
    while world.now_ms.get() < HOSTILE_MS {
        turn(&mut processes, &mut told, true);
    }

    quiet.store(true, Ordering::Relaxed);
    processes.iter_mut().for_each(|process| process.still_until_ms = 0);
    let before = world.acknowledged.borrow().len();
    let active_by = world.now_ms.get() + ACTIVE_MS;
    while world.now_ms.get() < active_by {
        turn(&mut processes, &mut told, false);
    }
    told.acknowledged = world.acknowledged.borrow().len();
    assert!(told.acknowledged > before, "seed {seed}: nobody is active {ACTIVE_MS} ms after all is quiet");
    // The quiet of the store, not of the nodes: dropping them ends what they had under way.
    drop(processes);
    told.takeovers = verify(&world, seed);
    told
}

/// Returns how often the log goes from one node to another.
fn verify(world: &World, seed: u64) -> usize {
    block_on(check::run(&world.engine, |_| {})).unwrap_or_else(|error| panic!("seed {seed}: {error}"));
    let mut stored = BTreeMap::new();
    let mut authors: Vec<String> = Vec::new();
    let mut after = Seq::ZERO;
    loop {
        let request = History { channel_id: channel("g"), window: HistoryWindow::After(after), limit: 200 };
        let page = block_on(history::page(&world.engine, UserId(1), &request)).expect("readable");
        for message in &page.messages {
            after = message.seq;
            let text = message.body.to_string();
            let author = text.split('-').next().expect("who sent it").to_owned();
            if authors.last() != Some(&author) {
                assert!(!authors.contains(&author), "I7: seed {seed}: {text} at {after} comes after a takeover");
                authors.push(author);
            }
            assert!(stored.insert(text, message.seq).is_none(), "I5: seed {seed}: a message is there twice");
        }
        if !page.more {
            break;
        }
    }
    for (text, seq) in &*world.acknowledged.borrow() {
        assert_eq!(stored.get(text), Some(seq), "I3: seed {seed}: {text} was acknowledged");
    }
    authors.len()
}

#[test]
fn whoever_is_stopped_and_comes_back_appends_nothing_after_a_takeover() {
    let seeds = 12;
    let mut all = Told::default();
    for seed in 1..=seeds {
        let told = run(seed);
        all.takeovers += told.takeovers;
        all.fenced += told.fenced;
        all.acknowledged += told.acknowledged;
    }
    assert!(
        all.takeovers > 2 * seeds as usize && all.fenced > seeds as usize / 2,
        "there is something to see: {all:?}"
    );
}
