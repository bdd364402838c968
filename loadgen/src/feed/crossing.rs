//! An author that crosses the border between fan-out on write and on read, up and down, while it posts.
//!
//! Owns the order: posts below the border, while followers come, beyond it, while they go, and below it again.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use fastrand::Rng;

use super::graph::{Account, Cross};
use super::load::Load;
use super::model::Audience;
use super::pause;
use crate::report::CrossReport;

/// Followers that come or go at a time.
const AT_ONCE: usize = 4;
/// Pause between posts, a little below ten a minute.
const EVERY: Duration = Duration::from_secs(7);

/// Crosses until `is_over`, each way in whole.
pub(super) fn run(load: &Load, cross: &Cross, is_over: impl Fn() -> bool + Sync, rng: &mut Rng) -> CrossReport {
    let mut report = CrossReport {
        below: cross.base.len() as u64,
        beyond: (cross.base.len() + cross.movers.len()) as u64,
        ..CrossReport::default()
    };
    while !is_over() && !load.interrupted() {
        for on in [true, false] {
            post(load, cross.author, rng, &mut report);
            std::thread::scope(|scope| {
                // One post while they come or go.
                let seed = rng.u64(..);
                let posting = scope.spawn(move || {
                    let mut posted = CrossReport::default();
                    post(load, cross.author, &mut Rng::with_seed(seed), &mut posted);
                    posted.posts
                });
                all(load, &cross.movers, cross.author, on);
                report.posts += posting.join().unwrap_or_default();
            });
            post(load, cross.author, rng, &mut report);
            let crossings = if on { &mut report.up } else { &mut report.down };
            *crossings += 1;
        }
    }
    report
}

/// Waits until the author's limits allow it, and posts.
fn post(load: &Load, author: Account, rng: &mut Rng, report: &mut CrossReport) {
    let until = Instant::now() + EVERY * 2;
    loop {
        let may = load.model().may_post(author, load.now_us());
        if may || Instant::now() > until || load.interrupted() {
            break;
        }
        pause(load, Duration::from_millis(100));
    }
    if load.model().may_post(author, load.now_us())
        && load.publish(author, Audience::Public, Instant::now(), rng.u128(..)).is_some()
    {
        report.posts += 1;
    }
}

/// Has all of them follow, or do so no longer.
fn all(load: &Load, followers: &[Account], author: Account, on: bool) {
    let next = AtomicUsize::new(0);
    let worker = || {
        while let Some(&follower) = followers.get(next.fetch_add(1, Ordering::Relaxed)) {
            if load.interrupted() {
                break;
            }
            load.follow(follower, author, on);
        }
    };
    std::thread::scope(|scope| (0..AT_ONCE).for_each(|_| _ = scope.spawn(worker)));
}
