//! Appends a second through `Appender` on the embedded engine, for direct channels and for groups of 100.
//!
//! `cargo run --release -p storage --example append_rate -- [seconds] [directory]`. Each row is one shard on one thread
//! that keeps so many appends queued or in flight; every append is durable before it counts. The directory is emptied
//! before and after; by default it is a temporary one, which may be on a disk that forgets.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use futures_lite::future::block_on;
use schema::op::{ChannelKind, CreateOp, PastAccess, SendOp};
use schema::record::UserRecord;
use schema::{ChannelId, ChannelOp, ClientMsgId, Incarnation, MessageKind, Owner, ShardIndex, UnixMs, UserId, message};
use storage::embedded::{EmbeddedEngine, EmbeddedOptions};
use storage::layers::appender::Appender;
use storage::layers::view;
use storage::{Begin, Engine, Transaction, keys};

/// One load: so many channels of so many members each.
struct Load {
    name: &'static str,
    channels: u64,
    members: u64,
}

const LOADS: [Load; 2] =
    [Load { name: "direct", channels: 1_000, members: 2 }, Load { name: "group of 100", channels: 50, members: 100 }];
/// Appends queued or in flight.
const DEPTHS: [usize; 4] = [1, 32, 500, 2_000];
const BODY: &str =
    "a text of some hundred bytes, as people write them to each other: one sentence, and then another one";

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let seconds: u64 = arguments.next().map_or(Ok(3), |text| text.parse())?;
    let within: Option<PathBuf> = arguments.next().map(Into::into);
    let directory = within.map_or_else(tempfile::tempdir, tempfile::tempdir_in)?;
    println_row(&["load", "depth", "appends/s", "batches/s", "appends/batch", "p50 ms", "p99 ms", "cpu us/append"]);
    for load in LOADS {
        for depth in DEPTHS {
            let path = directory.path().join(format!("{}-{depth}", load.members));
            measure(&path, &load, depth, Duration::from_secs(seconds))?;
            std::fs::remove_dir_all(&path)?;
        }
    }
    Ok(())
}

fn measure(path: &Path, load: &Load, depth: usize, span: Duration) -> Result<(), Box<dyn Error>> {
    let engine = EmbeddedEngine::open(path, EmbeddedOptions::new(1))?;
    let owner = Owner { incarnation: Incarnation(1), shard: ShardIndex(0) };
    let view = Arc::new(block_on(view::claim(&engine, owner.incarnation, 1))?);
    let mut appender = Appender::new(owner);
    make_users(&engine, load.channels * load.members)?;
    for channel in 0..load.channels {
        appender.push(channel, ChannelId(channel), create(load, channel));
        drain(&engine, &mut appender, &view);
    }
    let cpu_began_ms = cpu_ms()?;
    let (began, mut sent, mut batches) = (Instant::now(), 0_u64, 0_u32);
    let mut waits_ms = Vec::new();
    while began.elapsed() < span {
        while appender.queued() < depth {
            let channel = sent % load.channels;
            appender.push(sent, ChannelId(channel), send(load, channel, sent));
            sent += 1;
        }
        let batch_began = Instant::now();
        let batch = appender.next_batch(&view, wall()).expect("something is queued");
        let finished = appender.finished(block_on(batch.run(engine.clone())));
        assert!(finished.replies.iter().all(|(_, reply)| reply.is_ok()), "all are sent");
        batches += 1;
        waits_ms.push(batch_began.elapsed().as_secs_f64() * 1e3);
    }
    let appended = sent - u64::try_from(appender.queued())?;
    let elapsed = began.elapsed().as_secs_f64();
    let cpu_us = (cpu_ms()? - cpu_began_ms) * 1e3;
    waits_ms.sort_by(f64::total_cmp);
    let at = |part: f64| waits_ms[((waits_ms.len() - 1) as f64 * part) as usize];
    println_row(&[
        load.name,
        &depth.to_string(),
        &format!("{:.0}", appended as f64 / elapsed),
        &format!("{:.0}", f64::from(batches) / elapsed),
        &format!("{:.1}", appended as f64 / f64::from(batches)),
        &format!("{:.2}", at(0.5)),
        &format!("{:.2}", at(0.99)),
        &format!("{:.1}", cpu_us / appended as f64),
    ]);
    engine.close();
    Ok(())
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

fn drain(engine: &EmbeddedEngine, appender: &mut Appender, view: &Arc<schema::View>) {
    while let Some(batch) = appender.next_batch(view, wall()) {
        let finished = appender.finished(block_on(batch.run(engine.clone())));
        assert!(finished.replies.iter().all(|(_, reply)| reply.is_ok()), "all are made");
    }
}

fn make_users(engine: &EmbeddedEngine, users: u64) -> Result<(), storage::Error> {
    let mut tx = engine.begin(Begin::Fresh);
    for user in 0..users {
        let record = UserRecord {
            username: format!("user{user}"),
            display_name: String::new(),
            password_hash: String::new(),
            created_ms: wall(),
        };
        tx.set(&keys::user(UserId(user)), &record.encode());
    }
    block_on(tx.commit()).map(|_| ())
}

fn create(load: &Load, channel: u64) -> ChannelOp {
    let first = channel * load.members;
    ChannelOp::Create(CreateOp {
        kind: if load.members == 2 { ChannelKind::Direct } else { ChannelKind::Group },
        title: "".into(),
        creator: UserId(first),
        members: (first + 1..first + load.members).map(UserId).collect(),
        idempotency_key: None,
        past: PastAccess::Joined,
    })
}

fn send(load: &Load, channel: u64, number: u64) -> ChannelOp {
    ChannelOp::Send(SendOp {
        from: UserId(channel * load.members + number / load.channels % load.members),
        client_msg_id: ClientMsgId::new(wall(), u128::from(number)),
        kind: MessageKind::Text,
        body: BODY.into(),
        reply_to: None,
        mentions: message::no_mentions(),
    })
}
