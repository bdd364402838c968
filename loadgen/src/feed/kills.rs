//! Kills of the node in the middle of fan-outs, and its return.
//!
//! Owns when: while posts of authors with many readers are on their way into feeds, which the node's own count of rows
//! shows as far as it answers.

use std::time::{Duration, Instant};

use anyhow::ensure;
use fastrand::Rng;

use super::load::Load;
use super::node::Node;
use super::{ROWS, pause};
use crate::report::KillReport;

/// Posts that are on their way at a kill.
const POSTS: usize = 2;
/// How long after the first of them is asked for a node is killed, at most: 5,000 rows take a tenth of a second.
const DELAY_MS_MAX: u64 = 150;
/// How long the first rows are waited for.
const FIRST_ROWS_MAX: Duration = Duration::from_secs(2);
/// How long authors may take until their limits let them post again.
const LIMITS: Duration = Duration::from_secs(90);

/// Kills the node so often, evenly over a span, and starts it again each time.
pub(super) fn run(
    load: &Load,
    node: &mut Node,
    kills: u32,
    span: Duration,
    rng: &mut Rng,
) -> anyhow::Result<KillReport> {
    let mut report = KillReport::default();
    let began = Instant::now();
    for kill in 0..kills {
        // Those after the first rows are in the middle of a fan-out, the others before, at and behind its beginning.
        let moment = if kill.is_multiple_of(2) {
            Moment::FirstRows
        } else {
            Moment::After(Duration::from_millis(rng.u64(2..=DELAY_MS_MAX)))
        };
        let at = span * (kill + 1) / (kills + 1);
        pause(load, at.saturating_sub(began.elapsed()));
        if load.interrupted() {
            break;
        }
        one(load, node, moment, rng, &mut report)?;
    }
    Ok(report)
}

/// When a node is killed.
#[derive(Debug, Clone, Copy)]
enum Moment {
    /// As soon as the node counts rows.
    FirstRows,
    /// So long after posts were asked for.
    After(Duration),
}

fn one(load: &Load, node: &mut Node, moment: Moment, rng: &mut Rng, report: &mut KillReport) -> anyhow::Result<()> {
    let rows = |node: &Node| node.metrics().map(|samples| samples.sum(ROWS, ""));
    let until = Instant::now() + LIMITS;
    let stars = &load.graph.stars;
    let has_room = || {
        let (model, now_us) = (load.model(), load.now_us());
        stars.iter().filter(|&&star| model.may_post(star, now_us)).count() >= POSTS.min(stars.len())
    };
    while !has_room() {
        ensure!(Instant::now() < until, "authors may not post any more; have more of them with --stars");
        pause(load, Duration::from_millis(100));
        if load.interrupted() {
            return Ok(());
        }
    }
    let before = rows(node);
    let seeds: Vec<u64> = (0..POSTS).map(|_| rng.u64(..)).collect();
    std::thread::scope(|scope| -> anyhow::Result<()> {
        for seed in seeds {
            // Asked again under its id until the next life has answered.
            scope.spawn(move || load.publish_of(&load.graph.stars, Instant::now(), &mut Rng::with_seed(seed)));
        }
        let asked = Instant::now();
        let mut after = rows(node);
        match moment {
            Moment::After(delay) => {
                std::thread::sleep(delay);
                after = rows(node);
            }
            Moment::FirstRows => {
                while after <= before && asked.elapsed() < FIRST_ROWS_MAX {
                    after = rows(node);
                }
            }
        }
        let killed = Instant::now();
        node.kill();
        node.start()?;
        let away = killed.elapsed();
        report.kills += 1;
        report.away_max_seconds = report.away_max_seconds.max(away.as_secs_f64());
        if let (Some(before), Some(after)) = (before, after) {
            // All of these posts, had their fan-out been over.
            let readers = load.graph.friends.iter().filter(|pair| stars.contains(&pair.0)).count();
            let all = POSTS * readers / stars.len().max(1);
            let written = after - before;
            report.in_the_middle += u64::from(written > 0.0 && written < all as f64);
            report.rows_written.push(written as u64);
        }
        Ok(())
    })
}
