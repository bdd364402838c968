//! Backoff after throttling.
//!
//! Owns how often in a row it said so, over all transactions of a store. The waits are the client's own, which grow
//! with each on one transaction of the client; ours begin anew with each attempt, so the count has to be kept here.

use std::sync::atomic::{AtomicU32, Ordering};

use ::foundationdb::{FdbError, FdbResult, Transaction as Client};

/// Most waits of the client for one attempt. They double from 10 ms, so six are 630 ms at most.
const WAITS_MAX: u32 = 6;

/// Of reads or of commits: a store that is full refuses the one and serves the other.
#[derive(Debug, Default)]
pub(super) struct Backoff {
    in_a_row: AtomicU32,
}

impl Backoff {
    /// A read or a commit was served.
    pub(super) fn reset(&self) {
        // Nearly always it is 0, and every read comes by here.
        if self.in_a_row.load(Ordering::Relaxed) != 0 {
            self.in_a_row.store(0, Ordering::Relaxed);
        }
    }

    /// A read or a commit was refused for load with `error`, and has `waited` once: waits once more for each that was
    /// refused just before.
    pub(super) async fn wait(&self, mut waited: FdbResult<Client>, error: FdbError) {
        let before = self.in_a_row.fetch_add(1, Ordering::Relaxed);
        for _ in 0..before.min(WAITS_MAX - 1) {
            match waited {
                Ok(client) => waited = client.on_error(error).await,
                // The client sees no use in waiting.
                Err(_) => return,
            }
        }
    }
}
