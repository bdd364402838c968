//! How much waits to be sent, and what was given up: for operators and metrics.

use schema::limits::{JOB_KEPT_MS, PARTITIONS};
use schema::record::{DeadRecord, DeliveryRecord, DeliveryState, JobRecord, NoticeRecord};
use schema::{Medium, NoticeId, UnixMs, UserId};

use super::events::Events;
use super::links::Target;
use super::{Worker, instance, track};
use crate::keys::{self, Queue};
use crate::{LayerError, commit, read, unreadable};
use kv::transaction::{Begin, Engine, RangeRequest, Row, Transaction};

/// Rows of a queue that are counted: beyond it the depth is told as this many.
const COUNTED_MAX: u64 = 1_000_000;
/// Rows of one read.
const PAGE_ROWS: u32 = 1_000;

/// What waits in a queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Depth {
    /// Rows, counted up to a million.
    pub rows: u64,
    /// Those that are due among them.
    pub due: u64,
    /// When the oldest was due, among those that are.
    pub oldest: Option<UnixMs>,
}

/// What waits for a worker, or for all of them: push items, notices, and the jobs of each medium.
///
/// Reads every row of the queues, so it is for now and then.
///
/// # Errors
/// The store's.
pub async fn depths<E: Engine>(
    engine: &E,
    worker: Option<&Worker>,
    now: UnixMs,
) -> Result<Vec<(Queue, Depth)>, LayerError> {
    let mut count = Count::default();
    while !count.next_page(engine, worker, now).await? {}
    Ok(count.depths)
}

/// The same, page by page, for whoever has other things to do between two of them.
#[derive(Debug, Default)]
pub struct Count {
    /// What was counted; the last one may not be finished.
    pub depths: Vec<(Queue, Depth)>,
    /// Where to go on in the last queue.
    next: Option<RangeRequest>,
}

impl Count {
    /// Counts a page of some thousand rows. Whether that was the last.
    ///
    /// # Errors
    /// The store's. Counting goes on where it stopped.
    pub async fn next_page<E: Engine>(
        &mut self,
        engine: &E,
        worker: Option<&Worker>,
        now: UnixMs,
    ) -> Result<bool, LayerError> {
        if self.next.is_none() {
            let mut queues =
                [Queue::Pushes, Queue::Notices].into_iter().chain(Medium::ALL.iter().copied().map(Queue::Jobs));
            let Some(queue) = queues.nth(self.depths.len()) else { return Ok(true) };
            let all = RangeRequest::new(queue.key(0), queue.key(usize::from(PARTITIONS)));
            self.next = Some(all.rows(PAGE_ROWS));
            self.depths.push((queue, Depth::default()));
        }
        let range = self.next.clone().expect("it was just made");
        let page = read!(engine, Begin::Fresh, |tx| Ok(tx.snapshot_get_range(&range).await?))?;
        let (queue, depth) = self.depths.last_mut().expect("one is counted");
        for (partition, due) in page.rows.iter().filter_map(|row| queue.place(&row.key)) {
            if worker.is_none_or(|worker| worker.share().has_partition(partition)) {
                depth.rows += 1;
                if due <= now {
                    depth.due += 1;
                    depth.oldest = Some(depth.oldest.map_or(due, |oldest| oldest.min(due)));
                }
            }
        }
        self.next = range.after(&page).filter(|_| depth.rows < COUNTED_MAX);
        Ok(false)
    }
}

/// A job that was given up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GivenUp {
    /// By what it was to be sent.
    pub medium: Medium,
    /// When it was given up.
    pub at: UnixMs,
    /// The notice.
    pub notice: NoticeId,
    /// Whom it was to tell.
    pub user: UserId,
    /// On which device.
    pub device: String,
    /// Which message, and why.
    pub record: DeadRecord,
}

/// The jobs of a medium that were given up, the earliest first, at most `limit`.
///
/// # Errors
/// The store's.
pub async fn given_up<E: Engine>(engine: &E, medium: Medium, limit: u32) -> Result<Vec<GivenUp>, LayerError> {
    let range = keys::given_up(medium).rows(limit);
    let page = read!(engine, Begin::Fresh, |tx| Ok(tx.snapshot_get_range(&range).await?))?;
    Ok(unreadable::readable(&page.rows, |row: &Row| {
        let (medium, at, notice, user, device) = keys::dead_fields(&row.key)?;
        Ok(GivenUp { medium, at, notice, user, device, record: DeadRecord::decode(&row.value)? })
    }))
}

/// Makes jobs again of some that were given up, due at `now`, and forgets those that nobody wants any more: that have
/// expired, or were cancelled. Returns how many are tried again.
///
/// # Errors
/// The store's. Replaying again is safe.
pub async fn replay<E: Engine>(engine: &E, dead: &[GivenUp], now: UnixMs) -> Result<u64, LayerError> {
    commit!(engine, Begin::Fresh, |tx, attempt| {
        let keys: Vec<_> =
            dead.iter().map(|dead| keys::dead(dead.medium, dead.at, dead.notice, dead.user, &dead.device)).collect();
        let origins = dead.iter().map(|dead| dead.record.origin).filter(|&origin| origin != NoticeId::default());
        let notices = instance::notices(&tx, origins).await?;
        let (mut replayed, mut events) = (0, Events::default());
        for ((dead, key), row) in dead.iter().zip(&keys).zip(tx.get_all(&keys).await?) {
            if row.is_none() {
                replayed += u64::from(attempt.maybe_committed);
                continue;
            }
            tx.clear(key);
            let DeadRecord { channel, seq, origin, planned_ms, .. } = dead.record;
            let Some(expires_ms) = still_of_use(dead, notices.get(&origin), now) else { continue };
            replayed += 1;
            let job = JobRecord { channel, seq, origin, planned_ms: now, expires_ms, attempts: 0, leased: false };
            tx.set(&keys::job(dead.medium, now, dead.notice, dead.user, &dead.device), &job.encode());
            let delivery = DeliveryRecord {
                state: DeliveryState::Planned,
                planned_ms,
                at_ms: now,
                attempts: 0,
                provider: String::new(),
                provider_id: String::new(),
                why: "it was given up, and an operator had it tried again".to_owned(),
                origin,
            };
            tx.set(&keys::delivery(dead.notice, dead.user, dead.medium, &dead.device), &delivery.encode());
            if let Some(notice) = notices.get(&origin) {
                let (medium, device) = (dead.medium, dead.device.clone());
                let target = Target { notice: dead.notice, user: dead.user, medium, device };
                events.put(&mut tx, notice.app, &track::event(&target, &delivery));
            }
        }
        Ok(replayed)
    })
}

/// Until when a job that was given up may be tried again, if it still may.
fn still_of_use(dead: &GivenUp, notice: Option<&NoticeRecord>, now: UnixMs) -> Option<UnixMs> {
    let kept = now.plus_ms(JOB_KEPT_MS);
    if dead.record.origin == NoticeId::default() {
        return Some(kept);
    }
    let notice = notice.filter(|notice| notice.cancelled_ms.is_none())?;
    // Of one that recurs the time is in its name.
    let due = if notice.every_ms == 0 { notice.send_ms } else { dead.notice.made_at() };
    let until = due.plus_ms(notice.expires_ms).min(kept);
    (until > now).then_some(until)
}
