//! What a power loss left at the end of the journal, judged before fjall reads it.
//!
//! Owns whether a journal is whole, and the cut behind its last whole batch if it is not. Pages reach the disk in any
//! order, so groups that were not synced have holes, which read as zeroes. At one hole fjall fails to open, at another it
//! cuts whatever follows, however much that is; so it is given nothing but whole batches.
//!
//! Upholds I3. A group is written once the last but one before it is synced, and answered once it is synced itself
//! ([`super::committer`]). So at most [`UNSYNCED_GROUPS_MAX`] groups, the last ones, can have holes, and neither one that has
//! some nor one behind it was answered: to cut them loses nothing that was acknowledged. Where more groups than that were
//! written from the damage on, the first of them was synced and the disk has lost it: nothing is cut then.
//! Limit: a disk that loses what was synced of just the last two groups looks the same. What is cut is kept for that.
//!
//! After an `fsync` that failed the system has pages in memory that it takes for written and that are not on the disk. A store
//! that is opened again then would go on behind them, and what is acknowledged there would be behind a hole. So the last
//! [`UNSYNCED_GROUPS_MAX`] groups are written once more where they are, before anybody can read them.
//!
//! fjall syncs a file of the journal whole before it begins the next, so holes are in the newest alone.
//!
//! A file is batches of entries, numbers little-endian, and zeroes behind the last (fjall 3.1, `journal/entry.rs`). A group is
//! one batch.
//!
//! ```text
//! start   1 · items u32 · seqno u64
//! item    2 · type u8 · compression u8 · keyspace u64 · key bytes u16 · value bytes u32 · its stored bytes u32 · key · stored value
//! clear   4 · keyspace u64
//! end     3 · xxh3 of items and clears u64 · "FJL" 3
//! ```

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use xxhash_rust::xxh3::Xxh3;

use super::committer::COMMITTING_THREADS;
use super::directory::{OpenError, sync_directory};
use super::journal;

/// Groups that can have been written and not synced: each committing thread has one.
pub(super) const UNSYNCED_GROUPS_MAX: u64 = COMMITTING_THREADS as u64;

const START: u8 = 1;
const ITEM: u8 = 2;
const END: u8 = 3;
const CLEAR: u8 = 4;
/// Of an item, between its tag and its key.
const ITEM_BYTES: usize = 20;
const MAGIC: [u8; 4] = *b"FJL\x03";

/// Tag, checksum, magic.
const END_BYTES: usize = 13;

/// Of the first batch of a file nothing is known but this.
const SEQNO_MAX: u64 = 1 << 40;

/// A start whose number is further from the last whole batch than this is none, but bytes that look like one.
const SEQNOS_BETWEEN_MAX: u64 = 1 << 20;

/// Bytes read at a time.
const CHUNK_BYTES: usize = 64 << 10;

/// Leaves nothing but whole batches, all of them durable, in the journal of the rows in `directory`, which nobody has open.
///
/// # Errors
/// [`OpenError::Journal`] and [`OpenError::Damaged`] if what was acknowledged is damaged; the system's.
pub(super) fn mend(directory: &Path) -> Result<(), OpenError> {
    let io_of = |path: &Path| {
        let path = path.to_owned();
        |source| OpenError::Io { path, source }
    };
    let mut numbers = journal::numbers(directory).map_err(io_of(directory))?;
    numbers.sort_unstable();
    let mut files = Vec::with_capacity(numbers.len());
    for path in numbers.into_iter().map(|number| journal::path(directory, number)) {
        let found = read(&path).map_err(io_of(&path))?;
        files.push((path, found));
    }
    let Some(first) = files.iter().position(|(_, found)| !found.tail.is_empty()) else {
        return files.pop().map_or(Ok(()), |(path, found)| write_again(&path, &found).map_err(io_of(&path)));
    };
    let newer = files.split_off(first + 1);
    let (path, found) = files.swap_remove(first);
    let Found { batches, whole_bytes, seqno, ref tail, .. } = found;
    let Written { groups, has_end } = written(tail, seqno);
    // Cut short, as by a process that was killed while it wrote: nothing that anybody could want.
    let is_unfinished = groups == 1 && !has_end && is_cut_short(tail);
    // A write that failed ends the engine, and fjall may begin another file before that.
    let is_last = newer.is_empty() || is_unfinished && newer.iter().all(|(_, found)| found.is_empty());
    if !is_last {
        return Err(OpenError::Damaged { path, what: "it was synced whole, and is not whole any more" });
    }
    if groups > UNSYNCED_GROUPS_MAX {
        return Err(OpenError::Journal { path, at_bytes: whole_bytes, len_bytes: tail.len() as u64, groups });
    }
    if !is_unfinished {
        let kept = keep(&path, tail).map_err(io_of(directory))?;
        tracing::warn!(
            journal = %path.display(),
            whole_batches = batches,
            at_bytes = whole_bytes,
            cut_bytes = tail.len(),
            cut_batches_min = groups,
            kept = %kept.display(),
            "the last groups of the journal were not synced and are damaged; none was acknowledged, they are cut off"
        );
    }
    cut(&path, whole_bytes).and_then(|()| write_again(&path, &found)).map_err(io_of(&path))
}

/// What is in a file of the journal.
#[derive(Debug)]
struct Found {
    batches: u64,
    /// Where the last [`UNSYNCED_GROUPS_MAX`] whole batches begin.
    unsynced_bytes: u64,
    /// Where the last whole batch ends.
    whole_bytes: u64,
    /// The number of the last whole batch.
    seqno: Option<u64>,
    /// What is behind it, without the zeroes at its end. As much as the whole file at most, which fjall is about to hold in memory.
    tail: Vec<u8>,
}

impl Found {
    fn is_empty(&self) -> bool {
        self.batches == 0 && self.tail.is_empty()
    }
}

fn read(path: &Path) -> io::Result<Found> {
    let mut file = Reader { file: BufReader::with_capacity(CHUNK_BYTES, File::open(path)?), at_bytes: 0 };
    let (mut batches, mut whole_bytes, mut seqno) = (0, 0, None);
    let mut begins_bytes = [0; UNSYNCED_GROUPS_MAX as usize];
    while let Some(number) = file.batch()? {
        batches += 1;
        begins_bytes.rotate_left(1);
        begins_bytes[UNSYNCED_GROUPS_MAX as usize - 1] = whole_bytes;
        whole_bytes = file.at_bytes;
        seqno = Some(number);
    }
    let mut file = file.file;
    file.seek(SeekFrom::Start(whole_bytes))?;
    let tail = without_zeroes_at_end(file)?;
    Ok(Found { batches, unsynced_bytes: begins_bytes[0], whole_bytes, seqno, tail })
}

/// A new file of the journal is 64 MiB of zeroes, of which none is kept.
fn without_zeroes_at_end(mut file: BufReader<File>) -> io::Result<Vec<u8>> {
    static ZEROES: [u8; CHUNK_BYTES] = [0; CHUNK_BYTES];
    let mut bytes = Vec::new();
    let mut zeroes_len = 0;
    loop {
        let chunk = file.fill_buf()?;
        if chunk.is_empty() {
            break;
        }
        let len = chunk.len();
        if *chunk == ZEROES[..len] {
            zeroes_len += len;
        } else {
            bytes.resize(bytes.len() + std::mem::take(&mut zeroes_len), 0);
            bytes.extend_from_slice(chunk);
        }
        file.consume(len);
    }
    let len = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    bytes.truncate(len);
    Ok(bytes)
}

/// Reads batch by batch.
struct Reader<R> {
    file: R,
    at_bytes: u64,
}

impl<R: BufRead> Reader<R> {
    /// The number of the next batch; `None` if there is none that is whole.
    fn batch(&mut self) -> io::Result<Option<u64>> {
        match self.parse() {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
            parsed => parsed,
        }
    }

    fn parse(&mut self) -> io::Result<Option<u64>> {
        if self.take()? != [START] {
            return Ok(None);
        }
        let items = u32::from_le_bytes(self.take()?);
        let seqno = u64::from_le_bytes(self.take()?);
        let mut hash = Xxh3::new();
        for _ in 0..items {
            let [tag] = self.take()?;
            hash.update(&[tag]);
            let rest_bytes = match tag {
                ITEM => {
                    let head: [u8; ITEM_BYTES] = self.take()?;
                    hash.update(&head);
                    let [.., k0, k1, _, _, _, _, s0, s1, s2, s3] = head;
                    u64::from(u16::from_le_bytes([k0, k1])) + u64::from(u32::from_le_bytes([s0, s1, s2, s3]))
                }
                CLEAR => 8,
                _ => return Ok(None),
            };
            self.hash(rest_bytes, &mut hash)?;
        }
        let is_end =
            self.take()? == [END] && u64::from_le_bytes(self.take()?) == hash.digest() && self.take()? == MAGIC;
        Ok(is_end.then_some(seqno))
    }

    fn take<const N: usize>(&mut self) -> io::Result<[u8; N]> {
        let mut bytes = [0; N];
        self.file.read_exact(&mut bytes)?;
        self.at_bytes += N as u64;
        Ok(bytes)
    }

    fn hash(&mut self, mut len_bytes: u64, hash: &mut Xxh3) -> io::Result<()> {
        while len_bytes > 0 {
            let chunk = self.file.fill_buf()?;
            if chunk.is_empty() {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let len = chunk.len().min(usize::try_from(len_bytes).unwrap_or(usize::MAX));
            hash.update(&chunk[..len]);
            self.file.consume(len);
            self.at_bytes += len as u64;
            len_bytes -= len as u64;
        }
        Ok(())
    }
}

/// What wrote a tail.
#[derive(Debug, PartialEq, Eq)]
struct Written {
    /// There were not fewer.
    groups: u64,
    /// Whether one of them was written to its end.
    has_end: bool,
}

/// Counts by the starts and ends that are left, and by the numbers of the starts: from `before`, that of the last whole batch,
/// each batch has the next, or a later one if rows were moved from memory to disk between them. In doubt there were more.
fn written(tail: &[u8], before: Option<u64>) -> Written {
    let mut written = Written { groups: 0, has_end: false };
    let (mut at, mut begins) = (0, true);
    while at < tail.len() {
        let start = start(&tail[at..], before);
        if begins || start.is_some() {
            written.groups = (written.groups + 1).max(start.unwrap_or(0));
        }
        begins = is_end(&tail[at..]);
        written.has_end |= begins;
        at += if begins { END_BYTES } else { 1 };
    }
    written
}

/// How far behind the batch with the number `before` one is that begins like this; 0 if there is none before.
fn start(bytes: &[u8], before: Option<u64>) -> Option<u64> {
    let [START, _, _, _, _, seqno @ .., ITEM | CLEAR] = bytes.first_chunk::<14>()? else { return None };
    let seqno = u64::from_le_bytes(*seqno);
    match before {
        None => (seqno <= SEQNO_MAX).then_some(0),
        Some(before) => seqno.checked_sub(before).filter(|between| (1..=SEQNOS_BETWEEN_MAX).contains(between)),
    }
}

fn is_end(bytes: &[u8]) -> bool {
    bytes.first() == Some(&END) && bytes.get(9..END_BYTES) == Some(&MAGIC[..])
}

/// Whether it is the beginning of a batch.
fn is_cut_short(tail: &[u8]) -> bool {
    let parsed = Reader { file: tail, at_bytes: 0 }.parse();
    parsed.is_err_and(|error| error.kind() == io::ErrorKind::UnexpectedEof)
}

/// Writes `tail` to a new file beside the journal at `path`, which is durable when this returns.
fn keep(path: &Path, tail: &[u8]) -> io::Result<PathBuf> {
    let mut now_ms = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
    loop {
        let kept = PathBuf::from(format!("{}.cut-{now_ms}", path.display()));
        match File::create_new(&kept) {
            Ok(mut file) => {
                file.write_all(tail)?;
                file.sync_all()?;
                sync_directory(path.parent().unwrap_or(path))?;
                return Ok(kept);
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => now_ms += 1,
            Err(error) => return Err(error),
        }
    }
}

/// Writes the last groups of a file as they were read, so that they are dirty in memory whatever became of them, and syncs them.
fn write_again(path: &Path, found: &Found) -> io::Result<()> {
    let mut file = OpenOptions::new().read(true).write(true).open(path)?;
    let mut bytes = Vec::new();
    file.seek(SeekFrom::Start(found.unsynced_bytes))?;
    (&mut file).take(found.whole_bytes - found.unsynced_bytes).read_to_end(&mut bytes)?;
    file.seek(SeekFrom::Start(found.unsynced_bytes))?;
    file.write_all(&bytes)?;
    file.sync_all()
}

fn cut(path: &Path, at_bytes: u64) -> io::Result<()> {
    let file = OpenOptions::new().write(true).open(path)?;
    file.set_len(at_bytes)?;
    file.sync_all()?;
    sync_directory(path.parent().unwrap_or(path))
}
