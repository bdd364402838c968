//! Time of searches over a million messages of one user, and size of the index beside their texts.
//!
//! `cargo bench -p chat --bench search -- [--json] [--messages 1000000] [--channels 2000] [--queries 200] [--directory D]
//! [--store D]`: in a temporary directory within the first, or in the second itself, where an earlier run's store is used as
//! it is. Messages of 20 to 60 characters, a quarter in English, a quarter mixed, the rest in Korean, whose words follow
//! Zipf's law, spread evenly over the channels, so that no channel can be left out. The index is written in four steps,
//! as it would be behind appends. Each query is one search of the embedded engine on one thread; the texts lie in its
//! cache, in the system's, or on the disk, as they come.

#[path = "search/texts.rs"]
mod texts;

use std::error::Error;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use chat::keys;
use chat::search::{self, IndexSize};
use futures_lite::future::block_on;
use kv::embedded::{EmbeddedEngine, EmbeddedOptions};
use kv::{Begin, Engine, Transaction};
use rustix::time::{ClockId, clock_gettime};
use schema::command::Search;
use schema::event::Role;
use schema::message::MessageKind;
use schema::record::{BodyRecord, HeadRecord, MemberRecord, MessageRecord, SeqRange};
use schema::{ChannelId, ClientMsgId, Seq, UnixMs, UserId};
use texts::{Rank, Texts};

/// Whose messages they are, and with whom.
const USER: UserId = UserId(1);
const OTHER: UserId = UserId(2);
/// When the first was sent; one follows each second.
const SINCE_MS: u64 = 1_790_000_000_000;
/// Up to which part of all messages the index goes after each step.
const STEPS_PERCENT: [u64; 4] = [37, 73, 97, 100];
/// Messages of one transaction that stores them.
const BATCH: u64 = 2_000;

struct Options {
    json: bool,
    messages: u64,
    channels: u64,
    queries: u64,
    directory: Option<PathBuf>,
    store: Option<PathBuf>,
}

fn main() -> Result<(), Box<dyn Error>> {
    let options = options()?;
    let temporary = options.directory.as_ref().map_or_else(tempfile::tempdir, tempfile::tempdir_in)?;
    let path = options.store.as_deref().unwrap_or(temporary.path());
    let mut texts = Texts::new(7);
    if !path.join("store").exists() {
        make(&options, path, &mut texts)?;
    }
    let engine = EmbeddedEngine::open(path, EmbeddedOptions::new(1))?;
    let (mut all, mut all_work) = (Vec::new(), Vec::new());
    for kind in KINDS {
        let (mut times, mut work) = (Vec::new(), Vec::new());
        let mut hits = 0;
        for _query in 0..options.queries {
            let request = request(kind, &mut texts, options.messages);
            let (began, cpu_began) = (Instant::now(), cpu());
            let found = block_on(search::query(&engine, USER, &request))?;
            times.push(began.elapsed());
            work.push(cpu().saturating_sub(cpu_began));
            hits += found.page.hits.len();
        }
        all.extend_from_slice(&times);
        all_work.extend_from_slice(&work);
        print_times(&options, kind, &mut times, &mut work, hits);
    }
    print_times(&options, "all", &mut all, &mut all_work, 0);
    engine.close();
    Ok(())
}

/// A store of these messages and their index, in files, as after a restart.
fn make(options: &Options, path: &Path, texts: &mut Texts) -> Result<(), Box<dyn Error>> {
    let engine = EmbeddedEngine::open(path, EmbeddedOptions::new(1))?;
    let mut took = Duration::ZERO;
    let mut heads = vec![Seq::ZERO; usize::try_from(options.channels)?];
    let mut sent = 0;
    for percent in STEPS_PERCENT {
        sent = send(&engine, texts, &mut heads, sent, options.messages * percent / 100)?;
        let began = cpu();
        for channel in 1..=options.channels {
            while block_on(search::advance(&engine, ChannelId(channel)))?.more {}
        }
        took += cpu().saturating_sub(began);
    }
    let mut size = IndexSize::default();
    for channel in 1..=options.channels {
        let one = block_on(search::verify(&engine, ChannelId(channel)))?;
        size.messages += one.messages;
        size.text_bytes += one.text_bytes;
        size.index_bytes += one.index_bytes;
        size.rows += one.rows;
        size.segments += one.segments;
    }
    engine.close();
    drop(engine);
    print_size(options, size, bytes_of(path)?, took);
    Ok(())
}

/// What is asked for.
const KINDS: [&str; 9] =
    ["common", "middling", "rare", "absent", "two words", "one syllable", "from", "earlier", "one channel"];

fn request(kind: &str, texts: &mut Texts, messages: u64) -> Search {
    let query = match kind {
        "common" | "earlier" | "from" => texts.word(Rank::Common),
        "middling" | "one channel" => texts.word(Rank::Middling),
        "rare" => texts.word(Rank::Rare),
        "absent" => texts.absent(),
        "two words" => format!("{} {}", texts.word(Rank::Common), texts.word(Rank::Middling)),
        "one syllable" => texts.syllable(),
        _ => unreachable!("{kind} is not of KINDS"),
    };
    let before = SINCE_MS + texts.below(messages) * 1_000;
    Search {
        query,
        channel_id: (kind == "one channel").then_some(ChannelId(1)),
        from: (kind == "from").then_some(OTHER),
        before_ms: (kind == "earlier").then_some(UnixMs(before)),
        limit: 20,
        cursor: None,
    }
}

/// Stores messages up to the last, each in a channel drawn at random.
fn send(
    engine: &EmbeddedEngine,
    texts: &mut Texts,
    heads: &mut [Seq],
    first: u64,
    last: u64,
) -> Result<u64, Box<dyn Error>> {
    let mut next = first;
    while next < last {
        let mut tx = engine.begin(Begin::Fresh);
        for number in next..last.min(next + BATCH) {
            let place = usize::try_from(texts.below(heads.len() as u64))?;
            let channel = ChannelId(place as u64 + 1);
            if heads[place] == Seq::ZERO {
                let ranges = vec![SeqRange { after: Seq::ZERO, through: None }];
                let member = MemberRecord { role: Role::Member, muted: false, joined_ms: UnixMs(SINCE_MS), ranges };
                tx.set(&keys::membership(USER, channel), &member.encode());
                tx.set(&keys::member(channel, USER), &member.encode());
            }
            heads[place] = heads[place].next();
            let sent_ms = UnixMs(SINCE_MS + number * 1_000);
            let record = MessageRecord {
                revision: 0,
                from: if texts.below(2) == 0 { USER } else { OTHER },
                sent_ms,
                client_msg_id: ClientMsgId::new(sent_ms, number.into()),
                kind: MessageKind::Text,
                body: BodyRecord::Inline(texts.message().into()),
                reply_to: None,
                mentions: Vec::new(),
                edited_ms: None,
                deleted: false,
                audience: None,
                media: Vec::new(),
            };
            tx.set(&keys::message(channel, heads[place]), &record.encode());
            tx.set(&keys::head(channel), &HeadRecord { seq: heads[place], sent_ms }.encode());
        }
        block_on(tx.commit())?;
        next = last.min(next + BATCH);
    }
    Ok(last)
}

fn options() -> Result<Options, Box<dyn Error>> {
    let mut options =
        Options { json: false, messages: 1_000_000, channels: 2_000, queries: 200, directory: None, store: None };
    let mut arguments = std::env::args().skip(1);
    while let Some(name) = arguments.next() {
        let mut value = || arguments.next().ok_or_else(|| format!("{name} wants a value"));
        match name.as_str() {
            "--json" => options.json = true,
            "--messages" => options.messages = value()?.parse()?,
            "--channels" => options.channels = value()?.parse()?,
            "--queries" => options.queries = value()?.parse()?,
            "--store" => options.store = Some(value()?.into()),
            "--directory" => options.directory = Some(value()?.into()),
            // What cargo says to every benchmark.
            "--bench" => {}
            _ => return Err(format!("{name} is no option").into()),
        }
    }
    Ok(options)
}

fn bytes_of(path: &Path) -> std::io::Result<u64> {
    let mut bytes = 0;
    for entry in std::fs::read_dir(path)? {
        let entry = entry?;
        let metadata = entry.metadata()?;
        bytes += if metadata.is_dir() { bytes_of(&entry.path())? } else { metadata.len() };
    }
    Ok(bytes)
}

#[expect(clippy::print_stdout, reason = "a benchmark prints its figures")]
fn print_size(options: &Options, size: IndexSize, disk_bytes: u64, took: Duration) {
    let IndexSize { messages, text_bytes, index_bytes, rows, segments } = size;
    let part = index_bytes as f64 / text_bytes as f64;
    let us = took.as_secs_f64() * 1e6 / messages as f64;
    let channels = options.channels;
    if options.json {
        println!(
            r#"{{"channels":{channels},"messages":{messages},"text_bytes":{text_bytes},"index_bytes":{index_bytes},"index_of_text":{part:.3},"rows":{rows},"segments":{segments},"disk_bytes":{disk_bytes},"index_cpu_us_a_message":{us:.1}}}"#
        );
    } else {
        println!(
            "{messages} messages in {channels} channels: {text_bytes} bytes of text, {index_bytes} of index ({:.1} %) in {rows} rows \
             and {segments} segments, {us:.1} us of this thread a message; {disk_bytes} bytes on disk with all else",
            part * 100.0
        );
    }
}

/// Processor time of this thread, on which searches run: the figure that a busy machine does not spoil.
fn cpu() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(u64::try_from(time.tv_sec).unwrap_or_default(), u32::try_from(time.tv_nsec).unwrap_or_default())
}

#[expect(clippy::print_stdout, reason = "a benchmark prints its figures")]
fn print_times(options: &Options, kind: &str, times: &mut [Duration], work: &mut [Duration], hits: usize) {
    times.sort_unstable();
    work.sort_unstable();
    let at = |times: &[Duration], percent: usize| {
        let place = (times.len() * percent / 100).min(times.len().saturating_sub(1));
        times.get(place).map_or(f64::NAN, |time| time.as_secs_f64() * 1e3)
    };
    let [p50, p90, p99, worst] = [50, 90, 99, 100].map(|percent| at(times, percent));
    let [cpu_p50, cpu_p99] = [50, 99].map(|percent| at(work, percent));
    let hits = hits as f64 / times.len() as f64;
    if options.json {
        println!(
            r#"{{"query":"{kind}","count":{},"hits":{hits:.1},"p50_ms":{p50:.2},"p90_ms":{p90:.2},"p99_ms":{p99:.2},"max_ms":{worst:.2},"cpu_p50_ms":{cpu_p50:.2},"cpu_p99_ms":{cpu_p99:.2}}}"#,
            times.len()
        );
    } else {
        println!(
            "{kind:>12} {hits:>6.1} hits  p50 {p50:>7.2}  p90 {p90:>7.2}  p99 {p99:>7.2}  max {worst:>7.2} ms  processor p50 {cpu_p50:>7.2}  p99 {cpu_p99:>7.2} ms"
        );
    }
}
