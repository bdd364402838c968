//! Transactions of an engine that lies.

use std::borrow::Cow;
use std::cmp::Reverse;
use std::sync::{Arc, Mutex, OnceLock};

use bytes::Bytes;
use chat::{keys, view};
use futures_channel::oneshot;
use kv::{Atomic, Committed, Error, Page, RangeRequest, Row, Transaction, Version, Watch, join};
use schema::record::{ChannelRecord, FenceRecord, HeadRecord, JobRecord};
use schema::{NoticeId, Owner, Seq, ShardIndex, View};

use super::{Batch, Lie, Memory, is_of, lock};

/// A transaction of an engine that lies, or does not.
pub struct LyingTransaction<T> {
    inner: T,
    /// The one in which the fence is read, with [`Lie::FenceReadBefore`].
    before: Option<T>,
    lie: Option<Lie>,
    batch: Option<Batch>,
    /// The fence that a worker is told of, with [`Lie::NoFenceOfWorkers`].
    worker: Option<FenceRecord>,
    memory: Arc<Mutex<Memory>>,
    /// The batch row that this transaction reads, and whether it and first replies are hidden from it.
    batch_row: OnceLock<(Vec<u8>, bool)>,
    /// The row of the view that this transaction read, with [`Lie::FenceOfMoversOnly`], and the fences that it has to
    /// write once it is known who moves.
    view: OnceLock<Option<Bytes>>,
    fences: Vec<(Vec<u8>, Vec<u8>)>,
    writes: bool,
}

impl<T: Transaction> LyingTransaction<T> {
    pub(super) fn new(
        inner: T,
        before: Option<T>,
        lie: Option<Lie>,
        batch: Option<Batch>,
        memory: Arc<Mutex<Memory>>,
    ) -> Self {
        Self {
            inner,
            before,
            lie,
            batch,
            worker: None,
            memory,
            batch_row: OnceLock::new(),
            view: OnceLock::new(),
            fences: Vec::new(),
            writes: false,
        }
    }

    pub(super) fn of_worker(self, worker: Option<FenceRecord>) -> Self {
        Self { worker, ..self }
    }

    /// Where a row lies: the batch row of another lane where that of a shard beyond all others would.
    fn place<'a>(&self, key: &'a [u8]) -> Cow<'a, [u8]> {
        match self.batch {
            Some(Batch { lane, owner, .. }) if lane > 0 && is_of("batch", key) => {
                let shard = ShardIndex(owner.shard.0 | u16::from(lane) << 12);
                Cow::Owned(keys::batch(Owner { shard, ..owner }, key.last().copied().unwrap_or_default()))
            }
            _ => Cow::Borrowed(key),
        }
    }

    /// Notes which batch row this transaction reads.
    fn note_batch_row(&self, key: &[u8]) {
        if is_of("batch", key) {
            self.batch_row.get_or_init(|| (key.to_vec(), lock(&self.memory).hidden.contains(key)));
        }
    }

    fn hides(&self, key: &[u8]) -> bool {
        self.batch_row.get().is_some_and(|(_, hidden)| *hidden) && (is_of("batch", key) || is_of("dedup", key))
    }

    async fn read_fence(&self, key: &[u8], batch: Batch) -> Result<Option<Bytes>, Error> {
        let expected = || Some(Bytes::from(batch.fence().encode()));
        match (self.lie, &self.before) {
            (Some(Lie::NoFence), _) => Ok(expected()),
            (_, Some(before)) => before.snapshot_get(key).await,
            (Some(Lie::FenceWithoutEpoch), _) => {
                let row = self.inner.get(key).await?;
                let fence = row.as_deref().and_then(|row| FenceRecord::decode(row).ok());
                let is_own = fence.is_some_and(|fence| fence.incarnation == batch.owner.incarnation);
                Ok(if is_own { expected() } else { row })
            }
            (Some(Lie::FenceOfMoversOnly), _) => Ok(Self::any_own_fence(self.inner.get(key).await?, batch)),
            _ => self.inner.get(key).await,
        }
    }

    /// A fence that was not rewritten is taken for the one that would have been.
    fn any_own_fence(row: Option<Bytes>, batch: Batch) -> Option<Bytes> {
        let fence = row.as_deref().and_then(|row| FenceRecord::decode(row).ok());
        let expected = batch.fence();
        let is_older =
            fence.is_some_and(|fence| fence.incarnation == expected.incarnation && fence.epoch < expected.epoch);
        if is_older { Some(expected.encode().into()) } else { row }
    }

    /// Writes the fences of nodes to whom `next` gives other partitions than the view before.
    fn write_fences(&mut self, next: &[u8]) {
        let of_row = |row: &[u8]| view::of_row(row).expect("a view");
        let before = self.view.get().cloned().flatten().and_then(|row| of_row(&row));
        let Some(next) = of_row(next) else { return };
        let partitions = |view: &View, node| -> Vec<usize> {
            let owners = view.owners().iter().enumerate();
            owners.filter(|(_, owner)| owner.incarnation == node).map(|(at, _)| at).collect()
        };
        for (key, fence) in std::mem::take(&mut self.fences) {
            let node = FenceRecord::decode(&fence).expect("a fence").incarnation;
            let stays = before.as_ref().filter(|before| before.member(node).is_some());
            if stays.is_none_or(|before| partitions(before, node) != partitions(&next, node)) {
                self.inner.set(&key, &fence);
            }
        }
    }

    /// What a row is said to be.
    fn told(&self, key: &[u8], row: Option<Bytes>) -> Option<Bytes> {
        match (self.lie, self.batch) {
            (Some(Lie::SeqInMemory), _) if is_of("head", key) => {
                let head = row.map_or_else(HeadRecord::default, |row| HeadRecord::decode(&row).expect("a head"));
                let seq = lock(&self.memory).heads.get(key).copied().unwrap_or_default().max(head.seq);
                (seq > Seq::ZERO).then(|| HeadRecord { seq, ..head }.encode().into())
            }
            (Some(Lie::CachedMembership), Some(Batch { owner, .. })) if is_of("channel", key) => {
                let record = ChannelRecord::decode(&row?).expect("a channel");
                let first = record.member_epoch;
                let member_epoch = *lock(&self.memory).member_epochs.entry((owner, key.to_vec())).or_insert(first);
                Some(ChannelRecord { member_epoch, ..record }.encode().into())
            }
            _ => row.filter(|_| !self.hides(key)),
        }
    }
}

impl<T: Transaction> Transaction for LyingTransaction<T> {
    async fn read_version(&self) -> Result<Version, Error> {
        self.inner.read_version().await
    }

    async fn get(&self, key: &[u8]) -> Result<Option<Bytes>, Error> {
        self.note_batch_row(key);
        let read = match self.batch {
            _ if self.worker.is_some() && is_of("fence", key) => Ok(self.worker.map(|fence| fence.encode().into())),
            Some(batch) if is_of("fence", key) => self.read_fence(key, batch).await,
            _ if self.lie == Some(Lie::MarkersReadLoosely) && (is_of("hook due", key) || is_of("fan due", key)) => {
                self.inner.snapshot_get(key).await
            }
            _ => self.inner.get(&self.place(key)).await,
        };
        match read {
            Ok(row) => {
                if self.lie == Some(Lie::FenceOfMoversOnly) && is_of("view", key) {
                    self.view.get_or_init(|| row.clone());
                }
                Ok(self.told(key, row))
            }
            Err(error) => {
                if let Some((row, _)) = self.batch_row.get() {
                    note_outcome(self.lie, &self.memory, row, Some(&error));
                }
                Err(error)
            }
        }
    }

    async fn snapshot_get(&self, key: &[u8]) -> Result<Option<Bytes>, Error> {
        self.inner.snapshot_get(key).await
    }

    async fn get_all<K: AsRef<[u8]> + Sync>(&self, keys: &[K]) -> Result<Vec<Option<Bytes>>, Error> {
        if self.lie.is_none() && self.batch.is_none_or(|batch| batch.lane == 0) {
            return self.inner.get_all(keys).await;
        }
        keys.iter().for_each(|key| self.note_batch_row(key.as_ref()));
        join::try_all(keys.iter().map(|key| self.get(key.as_ref()))).await
    }

    async fn get_range(&self, range: &RangeRequest) -> Result<Page, Error> {
        self.inner.get_range(range).await
    }

    async fn snapshot_get_range(&self, range: &RangeRequest) -> Result<Page, Error> {
        let mut page = self.inner.snapshot_get_range(range).await?;
        let is_told = is_of("inbox", &range.begin) || is_of("arrival", &range.begin);
        if self.lie == Some(Lie::CursorAheadOfUnreadRow) && is_told {
            if page.rows.len() > 1 {
                page.rows.pop();
            }
            page.more = false;
        }
        if self.lie == Some(Lie::AdoptTakesTheLiving) && is_of("ended", &range.begin) {
            let living = self.inner.snapshot_get_range(&keys::nodes()).await?.rows;
            let lives = living.iter().filter_map(|row| keys::node_of(&row.key).ok());
            page.rows.extend(lives.map(|life| Row { key: keys::ended(life).into(), value: Bytes::new() }));
        }
        Ok(page)
    }

    fn set(&mut self, key: &[u8], value: &[u8]) {
        self.writes = true;
        match (self.lie, self.batch) {
            (Some(Lie::SeqInMemory), _) if is_of("head", key) => {
                let head = HeadRecord::decode(value).expect("a head");
                let mut memory = lock(&self.memory);
                let seq = memory.heads.entry(key.to_vec()).or_default();
                *seq = head.seq.max(*seq);
            }
            (Some(Lie::CachedMembership), Some(Batch { owner, .. })) if is_of("channel", key) => {
                let record = ChannelRecord::decode(value).expect("a channel");
                lock(&self.memory).member_epochs.insert((owner, key.to_vec()), record.member_epoch);
            }
            (Some(Lie::FenceOfMoversOnly), _) if is_of("fence", key) => {
                return self.fences.push((key.to_vec(), value.to_vec()));
            }
            (Some(Lie::FenceOfMoversOnly), _) if is_of("view", key) => self.write_fences(value),
            (Some(Lie::ItemsWithoutJobs), _) if is_of("job", key) && is_first_of_message(key, value) => return,
            (Some(Lie::ToldUnwritten), _) if is_of("told", key) => return,
            (Some(Lie::TimelineRowsLost), _) if is_of("timeline", key) && is_lost(key) => return,
            (Some(Lie::TimelineRowsTwice), _) if is_of("timeline", key) => {
                let (reader, Reverse(sent_ms), author, seq) = keys::timeline_fields(key).expect("a key of a timeline");
                self.inner.set(&keys::timeline(reader, Reverse(sent_ms.plus_ms(1)), author, seq), value);
            }
            (Some(Lie::BatchRowsClearedAtEveryView), _) if is_of("fence", key) => {
                let batches = keys::batches(FenceRecord::decode(value).expect("a fence").incarnation);
                self.inner.clear_range(&batches.begin, &batches.end);
            }
            _ => {}
        }
        self.inner.set(key, value);
    }

    fn clear(&mut self, key: &[u8]) {
        self.writes = true;
        if self.lie != Some(Lie::FenceLeftStanding) || !is_of("fence", key) {
            self.inner.clear(key);
        }
    }

    fn clear_range(&mut self, begin: &[u8], end: &[u8]) {
        self.writes = true;
        self.inner.clear_range(begin, end);
    }

    fn atomic(&mut self, op: Atomic, key: &[u8], operand: &[u8]) {
        self.writes = true;
        self.inner.atomic(op, key, operand);
    }

    fn set_versionstamped_key(&mut self, prefix: &[u8], suffix: &[u8], value: &[u8]) {
        self.writes = true;
        self.inner.set_versionstamped_key(prefix, suffix, value);
    }

    fn set_versionstamped_value(&mut self, key: &[u8], prefix: &[u8], suffix: &[u8]) {
        self.writes = true;
        let place = self.place(key);
        self.inner.set_versionstamped_value(&place, prefix, suffix);
    }

    fn add_read_conflict(&mut self, begin: &[u8], end: &[u8]) {
        self.inner.add_read_conflict(begin, end);
    }

    fn size_bytes(&self) -> usize {
        self.inner.size_bytes()
    }

    fn watch(&mut self, key: &[u8]) -> Watch {
        self.inner.watch(key)
    }

    async fn commit(self) -> Result<Committed, Error> {
        let Self { inner, lie, memory, batch_row, writes, .. } = self;
        if let Some(watched) = &mut lock(&memory).watched {
            watched.commits_bytes.push(inner.size_bytes());
        }
        let result = inner.commit().await;
        if let Some((row, _)) = batch_row.get() {
            note_outcome(lie, &memory, row, result.as_ref().err());
        }
        if lie == Some(Lie::ReadAboveDurable) && writes {
            let (waiting, synced) = oneshot::channel();
            lock(&memory).waiting.push(waiting);
            // The one that would sync is gone with the process: nobody is left to be answered.
            synced.await.map_err(|_gone| Error::UnknownResult)?;
        }
        result
    }
}

/// Whether a row is a job of a message as it is made of an item, and not as it is put off.
fn is_first_of_message(key: &[u8], value: &[u8]) -> bool {
    let (_, _, due, ..) = keys::job_fields(key).expect("a key of a job");
    let JobRecord { origin, planned_ms, leased, .. } = JobRecord::decode(value).expect("a job");
    origin == NoticeId::default() && due == planned_ms && !leased
}

/// Whether the rows of a post in timelines are not there.
fn is_lost(key: &[u8]) -> bool {
    let (.., Reverse(seq)) = keys::timeline_fields(key).expect("a key of a timeline");
    seq.0 % 3 == 1
}

/// An attempt of a batch ended: whether its next one finds its batch row and first replies.
fn note_outcome(lie: Option<Lie>, memory: &Mutex<Memory>, row: &[u8], error: Option<&Error>) {
    let mut memory = lock(memory);
    match (lie, error.map(Error::maybe_committed)) {
        (Some(Lie::UnknownIsFailure), Some(true)) | (Some(Lie::DedupByLastFlag), Some(false)) => {
            memory.hidden.insert(row.to_vec());
        }
        (Some(Lie::UnknownIsFailure), Some(false)) => {}
        _ => {
            memory.hidden.remove(row);
        }
    }
}
