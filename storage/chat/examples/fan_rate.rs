//! Rows of timelines a second through `timelines::fan` on the embedded engine, for authors with as many friends as there may be
//! and for many with a few.
//!
//! `cargo run --release -p chat --example fan_rate -- [posts] [directory]`. Each row is one worker that carries out so many
//! feeds' steps at once on a thread each, durably; readers are active, and known to be after the first post. The directory is
//! emptied before and after; by default it is a temporary one, which may be on a disk that forgets. Then the time of a page
//! of 20 from a timeline with all these friends.

use std::error::Error;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

use chat::appender::Appender;
use chat::notices::Worker;
use chat::timelines::{self, Active, Limits};
use chat::{keys, view};
use futures_lite::future::block_on;
use kv::embedded::{EmbeddedEngine, EmbeddedOptions};
use kv::{Begin, Engine, Transaction};
use schema::op::{ChannelKind, CreateOp, PastAccess, SendOp};
use schema::record::{FriendRecord, FriendState, UserRecord};
use schema::{
    Audience, ChannelId, ChannelOp, ClientMsgId, Incarnation, MessageKind, OpReply, Owner, ShardIndex, UnixMs, UserId,
    View, message,
};

/// So many authors of so many friends each, all of them other users.
struct Load {
    name: &'static str,
    authors: u64,
    friends: u64,
}

const LOADS: [Load; 3] = [
    Load { name: "5,000 friends", authors: 4, friends: 5_000 },
    Load { name: "200 friends", authors: 100, friends: 200 },
    Load { name: "20 friends", authors: 500, friends: 20 },
];
/// Feeds at once.
const WORKERS: [u64; 2] = [1, 2];
/// Rows of one transaction that fills the store.
const ROWS_AT_ONCE: u64 = 2_000;
/// Readers have ids from here on.
const READERS: u64 = 1_000_000;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let posts: u64 = arguments.next().map_or(Ok(20), |text| text.parse())?;
    let within: Option<PathBuf> = arguments.next().map(Into::into);
    let directory = within.map_or_else(tempfile::tempdir, tempfile::tempdir_in)?;
    println_row(&["load", "feeds at once", "rows", "rows/s", "steps/s", "cpu us/row", "page p50 ms", "page p99 ms"]);
    for load in LOADS {
        for workers in WORKERS {
            let path = directory.path().join(format!("{}-{workers}", load.friends));
            let engine = EmbeddedEngine::open(&path, EmbeddedOptions::new(1))?;
            measure(&engine, &load, workers, posts)?;
            engine.close();
            std::fs::remove_dir_all(&path)?;
        }
    }
    Ok(())
}

fn measure<E: Engine>(engine: &E, load: &Load, workers: u64, posts: u64) -> Result<(), Box<dyn Error>> {
    let owner = Owner { incarnation: Incarnation(1), shard: ShardIndex(0) };
    let view = Arc::new(block_on(view::claim(engine, owner.incarnation, 1))?);
    let worker = Worker::of(&view, owner.incarnation).ok_or("the life is in its view")?;
    let mut appender = Appender::new(owner);
    make_graph(engine, load)?;
    let create = |author: u64| {
        let (kind, title, creator, past) = (ChannelKind::Feed, "".into(), UserId(author), PastAccess::Joined);
        ChannelOp::Create(CreateOp { kind, title, creator, members: Vec::new(), idempotency_key: None, past })
    };
    append(engine, &mut appender, &view, (1..=load.authors).map(|author| (ChannelId(author), create(author))));
    let (active, limits) = (Active::default(), Limits::default());
    let (rows, steps) = (AtomicU64::new(0), AtomicU64::new(0));
    let (cpu_began_ms, mut fanned) = (cpu_ms()?, Duration::ZERO);
    let mut cpu_of_posts_ms = 0.0;
    for number in 0..posts {
        let cpu_before_ms = cpu_ms()?;
        append(
            engine,
            &mut appender,
            &view,
            (1..=load.authors).map(|author| (ChannelId(author), post(author, number))),
        );
        cpu_of_posts_ms += cpu_ms()? - cpu_before_ms;
        let began = Instant::now();
        std::thread::scope(|scope| {
            for first in 1..=workers {
                let (worker, active, limits, rows, steps) = (&worker, &active, &limits, &rows, &steps);
                scope.spawn(move || {
                    for author in (first..=load.authors).step_by(usize::try_from(workers).expect("a few")) {
                        loop {
                            let at = (limits, wall());
                            let step = block_on(timelines::fan(engine, worker, ChannelId(author), active, at));
                            let step = step.expect("the store is there");
                            rows.fetch_add(step.rows, Ordering::Relaxed);
                            steps.fetch_add(1, Ordering::Relaxed);
                            if !step.more {
                                break;
                            }
                        }
                    }
                });
            }
        });
        fanned += began.elapsed();
    }
    let cpu_us = (cpu_ms()? - cpu_began_ms - cpu_of_posts_ms) * 1e3;
    let (rows, steps) = (rows.into_inner(), steps.into_inner());
    assert_eq!(rows, posts * load.authors * load.friends, "each reader has each post");
    let pages = pages_ms(engine, load)?;
    let at = |part: f64| pages[((pages.len() - 1) as f64 * part) as usize];
    println_row(&[
        load.name,
        &workers.to_string(),
        &rows.to_string(),
        &format!("{:.0}", rows as f64 / fanned.as_secs_f64()),
        &format!("{:.0}", steps as f64 / fanned.as_secs_f64()),
        &format!("{:.1}", cpu_us / rows as f64),
        &format!("{:.2}", at(0.5)),
        &format!("{:.2}", at(0.99)),
    ]);
    Ok(())
}

/// Times of pages of 20, ascending, each of another reader.
fn pages_ms<E: Engine>(engine: &E, load: &Load) -> Result<Vec<f64>, Box<dyn Error>> {
    let mut times = Vec::new();
    let limits = Limits::default();
    for reader in (READERS..READERS + load.friends).take(200) {
        let began = Instant::now();
        let page = block_on(timelines::posts(engine, UserId(reader), None, 20, (&limits, wall())))?;
        times.push(began.elapsed().as_secs_f64() * 1e3);
        assert!(!page.posts.is_empty(), "there are posts");
    }
    times.sort_by(f64::total_cmp);
    Ok(times)
}

/// Authors and their friends, past the layers, and readers who have read their feeds today.
fn make_graph<E: Engine>(engine: &E, load: &Load) -> Result<(), Box<dyn Error>> {
    let record = FriendRecord { state: FriendState::Accepted, since_ms: wall() }.encode();
    for author in 1..=load.authors {
        let account = UserRecord { username: format!("author{author}"), created_ms: wall(), ..UserRecord::default() };
        let mut tx = engine.begin(Begin::Fresh);
        tx.set(&keys::user(UserId(author)), &account.encode());
        block_on(tx.commit())?;
        let readers: Vec<u64> = (READERS..READERS + load.friends).collect();
        for readers in readers.chunks(usize::try_from(ROWS_AT_ONCE)?) {
            let mut tx = engine.begin(Begin::Fresh);
            for &reader in readers {
                tx.set(&keys::friend(UserId(author), UserId(reader)), &record);
                tx.set(&keys::friend(UserId(reader), UserId(author)), &record);
            }
            block_on(tx.commit())?;
        }
    }
    for reader in READERS..READERS + load.friends {
        block_on(timelines::refresh(engine, UserId(reader), &Limits::default(), wall()))?;
    }
    Ok(())
}

fn post(author: u64, number: u64) -> ChannelOp {
    ChannelOp::Send(SendOp {
        from: UserId(author),
        client_msg_id: ClientMsgId::new(wall(), u128::from(number)),
        kind: MessageKind::Text,
        body: "a story of some words, as people tell them to their friends".into(),
        reply_to: None,
        mentions: message::no_mentions(),
        ruling: None,
        audience: Some(Audience::Friends),
        media: Vec::new(),
    })
}

fn append<E: Engine>(
    engine: &E,
    appender: &mut Appender,
    view: &Arc<View>,
    ops: impl Iterator<Item = (ChannelId, ChannelOp)>,
) {
    for (ticket, (channel, op)) in (1..).zip(ops) {
        appender.push(ticket, view.epoch, channel, op);
    }
    while let Some(batch) = appender.next_batch(view, wall()) {
        let finished = appender.finished(block_on(batch.run(engine.clone())));
        let is_done = |reply: &Result<OpReply, _>| reply.is_ok();
        assert!(finished.replies.iter().all(|(_, reply)| is_done(reply)), "all are done");
    }
}

#[expect(clippy::print_stdout, reason = "its output is what an example is for")]
fn println_row(cells: &[&str]) {
    let cells: Vec<String> = cells.iter().map(|cell| format!("{cell:>14}")).collect();
    println!("{}", cells.concat());
}

/// What the process has used of all cores so far, in steps of 10 ms: the figure that a busy machine does not spoil.
fn cpu_ms() -> Result<f64, Box<dyn Error>> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let after_name = stat.rsplit_once(") ").ok_or("/proc/self/stat names a command")?.1;
    let ticks = after_name.split(' ').skip(11).take(2).map(str::parse::<f64>).sum::<Result<f64, _>>()?;
    Ok(ticks * 10.0)
}

fn wall() -> UnixMs {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    UnixMs(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}
