//! Turns at an upload of several requests: one request writes at a time, and gives way to the next.
//!
//! A client whose network broke sends its next request before the server has noticed: what had come of the one before is
//! stored first, and nothing of it afterwards, since it would lie over what the next has stored.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use schema::MediaId;
use tokio::sync::{OwnedMutexGuard, watch};

/// Turns of all uploads of a node. Clones share them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Turns(Arc<Mutex<HashMap<MediaId, Arc<Slot>>>>);

#[derive(Debug, Default)]
struct Slot {
    holder: Arc<tokio::sync::Mutex<()>>,
    /// Requests that wait for it.
    waiting: watch::Sender<u32>,
}

/// A turn, until it is dropped.
#[derive(Debug)]
pub struct Turn {
    /// Absent once it is over.
    held: Option<OwnedMutexGuard<()>>,
    media: MediaId,
    slot: Arc<Slot>,
    turns: Turns,
}

impl Turns {
    /// The turn of a request, after the one before was told to end and did.
    pub(crate) async fn take(&self, media: MediaId) -> Turn {
        let slot = {
            let mut slots = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(slots.entry(media).or_default())
        };
        let mut turn = Turn { held: None, media, slot: Arc::clone(&slot), turns: self.clone() };
        let waiting = Waiting::new(&slot.waiting);
        turn.held = Some(Arc::clone(&slot.holder).lock_owned().await);
        drop(waiting);
        turn
    }
}

/// A request that waits, until it is dropped.
struct Waiting<'a>(&'a watch::Sender<u32>);

impl<'a> Waiting<'a> {
    fn new(count: &'a watch::Sender<u32>) -> Self {
        count.send_modify(|count| *count += 1);
        Self(count)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count -= 1);
    }
}

impl Turn {
    /// Ends when another request waits for its turn.
    pub async fn is_wanted(&self) {
        let mut waiting = self.slot.waiting.subscribe();
        // The sender is in the slot, which this holds.
        let _gone = waiting.wait_for(|&count| count > 0).await;
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        drop(self.held.take());
        let mut slots = self.turns.0.lock().unwrap_or_else(PoisonError::into_inner);
        // The map's and this one's.
        if Arc::strong_count(&self.slot) == 2 {
            slots.remove(&self.media);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;

    #[test]
    fn the_next_has_its_turn_once_the_one_before_gave_way() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
        runtime.block_on(async {
            let turns = Turns::default();
            let first = turns.take(MediaId(1)).await;
            let soon = Duration::from_millis(20);
            assert!(timeout(soon, first.is_wanted()).await.is_err(), "nobody waits");
            drop(timeout(soon, turns.take(MediaId(2))).await.expect("another upload"));
            let of_next = turns.clone();
            let next = tokio::spawn(async move { of_next.take(MediaId(1)).await });
            timeout(Duration::from_secs(5), first.is_wanted()).await.expect("the next waits");
            assert!(!next.is_finished());
            drop(first);
            let next = next.await.expect("no panic");
            assert!(timeout(soon, next.is_wanted()).await.is_err(), "nobody waits any more");
            // One that waits and gives up is not waited for.
            assert!(timeout(soon, turns.take(MediaId(1))).await.is_err());
            assert!(timeout(soon, next.is_wanted()).await.is_err());
            drop(next);
            assert!(turns.0.lock().expect("no panic").is_empty(), "nothing is left");
        });
    }
}
