//! The load of `append_rate`: one shard on one thread that keeps so many appends queued or in flight.

use std::error::Error;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use chat::appender::Appender;
use chat::keys;
use chat::view;
use futures_lite::future::block_on;
use kv::{Begin, Engine, Transaction};
use schema::op::{ChannelKind, CreateOp, PastAccess, SendOp};
use schema::record::UserRecord;
use schema::{ChannelId, ChannelOp, ClientMsgId, Incarnation, MessageKind, Owner, ShardIndex, UnixMs, UserId, message};

/// So many channels of so many members each.
pub(crate) struct Load {
    pub(crate) name: &'static str,
    channels: u64,
    members: u64,
}

pub(crate) const LOADS: [Load; 2] =
    [Load { name: "direct", channels: 1_000, members: 2 }, Load { name: "group of 100", channels: 50, members: 100 }];
const BODY: &str =
    "a text of some hundred bytes, as people write them to each other: one sentence, and then another one";

/// What came of it.
pub(crate) struct Measured {
    pub(crate) appends: f64,
    pub(crate) batches: f64,
    pub(crate) seconds: f64,
    /// From a batch's begin to its end, ascending.
    pub(crate) waits_ms: Vec<f64>,
    /// Of all threads of the process.
    pub(crate) cpu_us: f64,
}

impl Measured {
    pub(crate) fn appends_per_second(&self) -> f64 {
        self.appends / self.seconds
    }

    /// The wait that so much of all batches have at most.
    pub(crate) fn wait_ms(&self, part: f64) -> f64 {
        self.waits_ms[((self.waits_ms.len() - 1) as f64 * part) as usize]
    }
}

/// Keeps `depth` appends queued or in flight for `span`, in a store that is empty.
pub(crate) fn measure<E: Engine>(
    engine: &E,
    load: &Load,
    depth: usize,
    span: Duration,
) -> Result<Measured, Box<dyn Error>> {
    let owner = Owner { incarnation: Incarnation(1), shard: ShardIndex(0) };
    let view = Arc::new(block_on(view::claim(engine, owner.incarnation, 1))?);
    let mut appender = Appender::new(owner);
    make_users(engine, load.channels * load.members)?;
    for channel in 0..load.channels {
        appender.push(channel, view.epoch, ChannelId(channel), create(load, channel));
        drain(engine, &mut appender, &view);
    }
    let cpu_began_ms = cpu_ms()?;
    let (began, mut sent, mut batches) = (Instant::now(), 0_u64, 0_u32);
    let mut waits_ms = Vec::new();
    while began.elapsed() < span {
        while appender.queued() < depth {
            let channel = sent % load.channels;
            appender.push(sent, view.epoch, ChannelId(channel), send(load, channel, sent));
            sent += 1;
        }
        let batch_began = Instant::now();
        let batch = appender.next_batch(&view, wall()).expect("something is queued");
        let finished = appender.finished(block_on(batch.run(engine.clone())));
        assert!(finished.replies.iter().all(|(_, reply)| reply.is_ok()), "all are sent");
        batches += 1;
        waits_ms.push(batch_began.elapsed().as_secs_f64() * 1e3);
    }
    let appends = (sent - u64::try_from(appender.queued())?) as f64;
    let (seconds, cpu_us) = (began.elapsed().as_secs_f64(), (cpu_ms()? - cpu_began_ms) * 1e3);
    waits_ms.sort_by(f64::total_cmp);
    Ok(Measured { appends, batches: f64::from(batches), seconds, waits_ms, cpu_us })
}

#[expect(clippy::print_stdout, reason = "its output is what an example is for")]
pub(crate) fn println_row(cells: &[&str]) {
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

fn drain<E: Engine>(engine: &E, appender: &mut Appender, view: &Arc<schema::View>) {
    while let Some(batch) = appender.next_batch(view, wall()) {
        let finished = appender.finished(block_on(batch.run(engine.clone())));
        assert!(finished.replies.iter().all(|(_, reply)| reply.is_ok()), "all are made");
    }
}

fn make_users<E: Engine>(engine: &E, users: u64) -> Result<(), kv::Error> {
    let mut tx = engine.begin(Begin::Fresh);
    for user in 0..users {
        let record = UserRecord { username: format!("user{user}"), created_ms: wall(), ..UserRecord::default() };
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
        ruling: None,
        audience: None,
        media: Vec::new(),
    })
}
