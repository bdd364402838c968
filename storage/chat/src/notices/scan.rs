//! What is due in a queue, partition by partition.
//!
//! Owns the order in which a worker's partitions are looked at. Rows lie by partition and then by time, so a partition of
//! which nothing is due costs one read at most, and one that holds nothing none.

use schema::UnixMs;
use schema::limits::PARTITIONS;

use super::Worker;
use crate::keys::Queue;
use crate::{LayerError, read};
use kv::transaction::{Begin, Engine, RangeRequest, Row, Transaction, key_after};

/// Rows of one read: some tens of partitions' that are not due are passed over within it.
const PAGE_ROWS: u32 = 256;

/// A place in a queue, from where to go on: partitions take turns.
#[derive(Debug, Clone)]
pub struct Scan {
    queue: Queue,
    /// The partition to begin with.
    from: usize,
}

impl Scan {
    /// Of a queue, from the first partition on.
    #[must_use]
    pub fn of(queue: Queue) -> Self {
        Self { queue, from: 0 }
    }

    /// Rows of the worker's partitions that are due at `now`, at most `limit`, by partition and then by time; none if
    /// nothing is due. Each page is read in a transaction of its own.
    pub(super) async fn due<E: Engine>(
        &mut self,
        engine: &E,
        worker: &Worker,
        now: UnixMs,
        limit: usize,
    ) -> Result<Vec<Row>, LayerError> {
        let mut due = Vec::new();
        for (first, end) in [(self.from, usize::from(PARTITIONS)), (0, self.from)] {
            let mut begin = self.begin(worker, first, end);
            while let Some(from) = begin.take() {
                let range = RangeRequest::new(from, self.queue.key(end)).rows(PAGE_ROWS);
                let page = read!(engine, Begin::Fresh, |tx| Ok(tx.snapshot_get_range(&range).await?))?;
                // Behind a row that is due, or that nobody can read, the next may be.
                let mut goes_on = true;
                let mut at = first;
                for row in &page.rows {
                    let Some((partition, when)) = self.queue.place(&row.key) else { continue };
                    (at, goes_on) = (partition, when <= now && worker.share().has_partition(partition));
                    if !goes_on {
                        continue;
                    }
                    due.push(row.clone());
                    if due.len() >= limit {
                        self.from = (partition + 1) % usize::from(PARTITIONS);
                        return Ok(due);
                    }
                }
                let last = page.rows.last().filter(|_| page.more);
                begin =
                    last.and_then(
                        |last| {
                            if goes_on { Some(key_after(&last.key)) } else { self.begin(worker, at + 1, end) }
                        },
                    );
            }
        }
        Ok(due)
    }

    /// Where the first of the worker's partitions in `from..end` begins.
    fn begin(&self, worker: &Worker, from: usize, end: usize) -> Option<Vec<u8>> {
        (from..end).find(|&partition| worker.share().has_partition(partition)).map(|first| self.queue.key(first))
    }
}
