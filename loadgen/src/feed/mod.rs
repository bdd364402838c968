//! `loadgen feed`: posts, feeds and likes of a seeded graph on a node of its own, compared with a plain model.
//!
//! Owns the order: the graph, the node, a burst of fan-outs, people who write and read, with kills and an author who crosses
//! the border beside if that is asked, chat beside, the comparison of everything in the end, and pages by themselves.
//!
//! ```text
//! graph     who is whose friend          client   requests             kills, crossing, beside   what troubles the load
//! model     what was asked and answered  load     steps of people      pages    pages by themselves
//! compare   what is wrong with a page    node     the process          (this)   the order
//! ```

mod beside;
mod client;
mod compare;
mod crossing;
mod graph;
mod kills;
mod load;
mod model;
mod node;
mod pages;

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use anyhow::ensure;
use fastrand::Rng;
use schema::UserId;

use self::client::Client;
use self::compare::{Fault, What};
use self::graph::{Account, Graph, Shape};
use self::load::{Load, Mix, Sampled, Tally};
use self::node::{Node, Samples, Settings};
use crate::cli::FeedArgs;
use crate::interrupt::Interrupt;
use crate::parallel::in_parallel;
use crate::report::{
    Burst, CacheReport, Counts, FeedReport, FiguresOf, Latencies, Load as Paced, Provenance, Report, percent_of,
};
use crate::token::Signer;

/// The node's count of feed rows that were written.
const ROWS: &str = "rookery_timeline_rows_total";
/// Its counts of what caches were asked for, each with the label `cache`.
const HITS: &str = "rookery_timeline_cache_hits_total";
const MISSES: &str = "rookery_timeline_cache_misses_total";

/// How long tokens last.
const SPAN: Duration = Duration::from_secs(24 * 3600);
/// How long the count of rows stands still before a fan-out counts as over, and how long that may take.
const STILL: Duration = Duration::from_millis(300);
const REST_MAX: Duration = Duration::from_secs(60);
/// Readers whose feeds tell when a post is everywhere.
const READERS_SAMPLED: usize = 5;
/// How often an author with many readers posts.
const STARS_EVERY: Duration = Duration::from_secs(8);
/// Posts of each author in the burst.
const BURST_POSTS: u32 = 4;

/// What is timed by this run.
pub(crate) fn timed(args: &FeedArgs) -> Vec<&'static str> {
    let pages = pages::TIMED.into_iter().filter(|_| args.lives > 0);
    load::TIMED.into_iter().chain(pages).collect()
}

pub(crate) fn run(args: &FeedArgs) -> anyhow::Result<Report> {
    let interrupt = Interrupt::install()?;
    let seed = args.seed.unwrap_or_else(|| fastrand::u64(..));
    let border = args.border();
    let shape = Shape {
        users: args.users,
        friends: args.friends,
        stars: args.stars,
        readers: args.readers(),
        border: border.filter(|_| args.cross),
        seed,
    };
    let graph = Graph::draw(shape)?;
    ensure!(args.kills == 0 || !graph.stars.is_empty(), "--kills needs --stars, whose fan-outs are cut off");
    let started = SystemTime::now();
    let began = Instant::now();
    say(&format!(
        "seed {seed}: {} accounts, {} friendships, {} follows",
        graph.users,
        graph.friends.len(),
        graph.follows.len()
    ));
    let mut node = Node::new(
        args.rookery.as_deref(),
        args.port,
        Settings { shards: args.shards, read_fanout_from: border, rows_per_second: args.rows_per_second },
    )?;
    let users = node.accounts(graph.users)?;
    node.befriend(&users, &graph.friends)?;
    node.start()?;
    let client = client(&node, users, args.workers.into())?;
    let load = Load::new(client, graph, interrupt.clone());
    prepare(&load, args.workers.into(), &interrupt)?;
    let opening = began.elapsed();
    say(&format!("the graph is there, and everybody has read once, after {:.1} s", opening.as_secs_f64()));

    let mut rng = Rng::with_seed(seed);
    let mut feed = FeedReport { seed, ..described(&load, args) };
    let cpu = own_cpu_ns();
    let measuring = Instant::now();
    if args.kills == 0 {
        feed.burst = burst(&load, &node)?;
    }
    mixed(&load, &mut node, args, &mut rng, &mut feed)?;
    if let Some(rate) = args.chat {
        at_rest(&load, &node);
        feed.chat = Some(beside::run(&load, &node, rate, &mut rng)?);
    }
    let measured = measuring.elapsed();
    let cpu_percent = percent_of(own_cpu_ns() - cpu, measured);
    let samples = node.metrics().unwrap_or_default();
    feed.caches = caches(&samples);
    settle(&load, args, &mut feed);
    pages::run(&load, &mut node, args.lives, &mut rng)?;
    node.must_live()?;
    node.stop()?;
    if !interrupt.requested() {
        node.check()?;
    }
    Ok(report(&load, args, Whole { feed, node: &node, started, opening, measured, cpu_percent, seed }))
}

/// Somebody who asks for all accounts.
fn client(node: &Node, users: Vec<UserId>, threads: usize) -> anyhow::Result<Client> {
    let signer = Signer::load(&node.token_key(), SPAN)?;
    let tokens = users.iter().map(|&user| signer.token(user)).collect();
    // Samplers, kills and a crossing author ask as well.
    Ok(Client::new(&node.api(), users, tokens, threads + 16))
}

/// Follows, which go by requests; and everybody reads once, since nothing comes into the feed of who was never there.
fn prepare(load: &Load, threads: usize, interrupt: &Interrupt) -> anyhow::Result<()> {
    let (public, follows) = (&load.graph.public, &load.graph.follows);
    let done = in_parallel("public accounts", public.len(), interrupt, |at| {
        load.client.publish_account(public[at]).map_err(anyhow::Error::from)
    });
    done.failed.map_or(Ok(()), Err)?;
    let done = in_parallel("follows", follows.len(), interrupt, |at| {
        let (follower, author) = follows[at];
        load.client.follow(follower, author, true).map_err(anyhow::Error::from)
    });
    done.failed.map_or(Ok(()), Err)?;
    let (next, failed) = (AtomicUsize::new(0), Mutex::new(None));
    let worker = || {
        loop {
            let reader = next.fetch_add(1, Ordering::Relaxed) as Account;
            if reader >= load.graph.users || load.interrupted() {
                break;
            }
            if load.read(reader, What::Feed, load::PAGE, 1).is_none() {
                next.store(load.graph.users as usize, Ordering::Relaxed);
                *failed.lock().unwrap_or_else(PoisonError::into_inner) = Some(reader);
            }
        }
    };
    std::thread::scope(|scope| (0..threads).for_each(|_| _ = scope.spawn(worker)));
    let failed = failed.into_inner().unwrap_or_else(PoisonError::into_inner);
    let refused = load.tally().refused.keys().next().cloned().unwrap_or_default();
    ensure!(failed.is_none(), "account {} cannot read its feed: {refused}", failed.unwrap_or_default());
    Ok(())
}

/// All authors with many readers post at once, a few times: how fast feeds are written.
fn burst(load: &Load, node: &Node) -> anyhow::Result<Option<Burst>> {
    let stars = &load.graph.stars;
    if stars.is_empty() {
        return Ok(None);
    }
    let (before, began) = (rows(node), Instant::now());
    std::thread::scope(|scope| {
        for &star in stars {
            scope.spawn(move || {
                for _ in 0..BURST_POSTS {
                    _ = load.publish(star, model::Audience::Friends, Instant::now(), fastrand::u128(..));
                }
            });
        }
    });
    // From the first post to the last row, not to when it is known that none follows.
    let seconds = at_rest(load, node).saturating_duration_since(began).as_secs_f64();
    let written = rows(node) - before;
    Ok(Some(Burst {
        posts: stars.len() as u64 * u64::from(BURST_POSTS),
        rows: written as u64,
        seconds,
        rows_per_second: (written / seconds.max(0.001)).round(),
    }))
}

/// People write and read, with what troubles them.
fn mixed(load: &Load, node: &mut Node, args: &FeedArgs, rng: &mut Rng, feed: &mut FeedReport) -> anyhow::Result<()> {
    // A little below ten posts a minute, with room for those that kills need.
    let every = if args.kills == 0 { STARS_EVERY } else { STARS_EVERY * 2 };
    let mix = Mix::new(args.publish, args.read, args.stars, every);
    let (samples, sampled) = mpsc::sync_channel::<Sampled>(1);
    let is_over = AtomicBool::new(false);
    let [seed, of_samples, of_crossing] = [(); 3].map(|()| rng.u64(..));
    say(&format!("{:.0} steps a second for {} s, {} kills", mix.per_second(), args.seconds.as_secs(), args.kills));
    std::thread::scope(|scope| -> anyhow::Result<()> {
        let is_over = &is_over;
        let sampling = scope.spawn(move || {
            let mut rng = Rng::with_seed(of_samples);
            while let Ok(one) = sampled.recv() {
                load.time_last_feed(one, READERS_SAMPLED, REST_MAX, &mut rng);
            }
        });
        let mixing = scope.spawn(move || load::run(load, &mix, args.seconds, args.workers.into(), seed, &samples));
        let crossing = load.graph.cross.as_ref().map(|cross| {
            let over = move || is_over.load(Ordering::Relaxed);
            scope.spawn(move || crossing::run(load, cross, over, &mut Rng::with_seed(of_crossing)))
        });
        // Here, since a node dies with the thread that starts it.
        let killed = (args.kills > 0).then(|| kills::run(load, node, args.kills, args.seconds, rng)).transpose();
        if killed.is_err() {
            load.give_up();
        }
        while !mixing.is_finished() && node.must_live().is_ok() {
            std::thread::sleep(Duration::from_millis(20));
        }
        is_over.store(true, Ordering::Relaxed);
        if node.must_live().is_err() {
            load.give_up();
        }
        _ = mixing.join();
        feed.crossing = crossing.and_then(|crossing| crossing.join().ok());
        _ = sampling.join();
        feed.kills = killed?;
        node.must_live()
    })
}

/// Compares every feed, and the posts of every author, with all that was answered; what is late is read again.
fn settle(load: &Load, args: &FeedArgs, feed: &mut FeedReport) {
    if load.interrupted() {
        return;
    }
    let authors = load.model().authors();
    let of_feeds = (0..load.graph.users).map(|reader| (reader, What::Feed));
    let of_lists = authors.iter().map(|&author| (author, What::PostsOf(author)));
    let mut pending: Vec<(Account, What)> = of_feeds.chain(of_lists).collect();
    say(&format!("{} feeds and the posts of {} authors are compared", load.graph.users, authors.len()));
    feed.compared = pending.len() as u64;
    let began = Instant::now();
    let mut is_last = false;
    loop {
        let (next, late) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
        let worker = || {
            while let Some(&(reader, what)) = pending.get(next.fetch_add(1, Ordering::Relaxed)) {
                if load.compare_all(reader, what, is_last) {
                    late.lock().unwrap_or_else(PoisonError::into_inner).push((reader, what));
                }
            }
        };
        std::thread::scope(|scope| (0..args.workers).for_each(|_| _ = scope.spawn(worker)));
        pending = late.into_inner().unwrap_or_else(PoisonError::into_inner);
        if pending.is_empty() || is_last {
            break;
        }
        // Once more, and what is missing then is.
        is_last = began.elapsed() > args.settle || load.interrupted();
        std::thread::sleep(Duration::from_millis(200));
    }
    feed.settled_seconds = began.elapsed().as_secs_f64();
}

/// Waits until no row has been written for a while; when the last one had been.
fn at_rest(load: &Load, node: &Node) -> Instant {
    let until = Instant::now() + REST_MAX;
    let (mut count, mut since) = (rows(node), Instant::now());
    while Instant::now() < until && since.elapsed() < STILL && !load.interrupted() {
        std::thread::sleep(Duration::from_millis(5));
        let now = rows(node);
        if now != count {
            (count, since) = (now, Instant::now());
        }
    }
    since
}

/// Rows of feeds that the node has written in its life; 0 where it does not say.
fn rows(node: &Node) -> f64 {
    node.metrics().map_or(0.0, |samples| samples.sum(ROWS, ""))
}

/// Sleeps, unless interrupted.
fn pause(load: &Load, span: Duration) {
    let until = Instant::now() + span;
    while Instant::now() < until && !load.interrupted() {
        std::thread::sleep(until.saturating_duration_since(Instant::now()).min(Duration::from_millis(50)));
    }
}

fn say(text: &str) {
    eprintln!("loadgen feed: {text}");
}

/// Processor time of this process.
fn own_cpu_ns() -> u64 {
    use rustix::time::{ClockId, clock_gettime};
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

fn caches(samples: &Samples) -> Vec<CacheReport> {
    let cache = |name: String| {
        let of = |metric| samples.sum(metric, &format!("cache=\"{name}\"")) as u64;
        let (hits, misses) = (of(HITS), of(MISSES));
        let hit_percent = (1_000.0 * hits as f64 / ((hits + misses).max(1) as f64)).round() / 10.0;
        CacheReport { name, hits, misses, hit_percent }
    };
    samples.values(HITS, "cache").into_iter().map(cache).collect()
}

fn described(load: &Load, args: &FeedArgs) -> FeedReport {
    FeedReport {
        users: load.graph.users,
        friendships: load.graph.friends.len() as u64,
        follows: load.graph.follows.len() as u64,
        stars: args.stars,
        readers: args.readers(),
        ..FeedReport::default()
    }
}

/// What is known at the end.
struct Whole<'a> {
    feed: FeedReport,
    node: &'a Node,
    started: SystemTime,
    opening: Duration,
    measured: Duration,
    cpu_percent: f64,
    seed: u64,
}

fn report(load: &Load, args: &FeedArgs, whole: Whole<'_>) -> Report {
    let Whole { feed, node, started, opening, measured, cpu_percent, seed } = whole;
    let model = load.model();
    let mut tally = load.tally();
    let Tally {
        latencies,
        faults,
        findings,
        refused,
        shown,
        readings,
        repeated,
        limited,
        unread,
        edits,
        deletions,
        replies,
        likes,
        graph_changes,
    } = std::mem::take(&mut *tally);
    let of = |fault| faults.get(&fault).copied().unwrap_or_default();
    let sent = model.posts().len() as u64;
    let acked = model.posts().iter().filter(|post| post.stored.is_some()).count() as u64;
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZeroUsize::get);
    let feed = FeedReport {
        likes,
        replies,
        edits,
        deletions,
        graph_changes,
        readings,
        shown,
        forbidden: of(Fault::Forbidden),
        stale: of(Fault::Stale),
        mismatched: of(Fault::Mismatched),
        miscounted: of(Fault::Miscounted),
        refused,
        unacknowledged: sent - acked,
        repeated,
        limited,
        seed,
        ..feed
    };
    let latencies_us =
        timed(args).into_iter().map(|what| (what, latencies.get(what).cloned().unwrap_or_else(Latencies::new)));
    Report {
        command: "feed",
        url: node.api(),
        run: Provenance::new(started),
        connections: args.workers.into(),
        load: Paced::Crowd {
            does: format!("{} posts and {} pages a second of {} accounts", args.publish, args.read, args.users),
        },
        seconds: measured.as_secs_f64(),
        opening_seconds: opening.as_secs_f64(),
        counts: Counts {
            sent,
            acked,
            delivered: shown,
            lost: of(Fault::Missing),
            duplicated: of(Fault::Doubled),
            out_of_order: of(Fault::OutOfOrder),
            unsent: unread,
        },
        latencies_us: latencies_us.collect(),
        cpu_percent,
        // Its threads wait more than they do, on the cores of the node.
        figures_of: FiguresOf::new(cpu_percent / cores as f64, &[]),
        findings,
        feed: Some(feed),
        interrupted: load.interrupted(),
        ..Report::default()
    }
}
