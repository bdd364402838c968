//! Chat beside fan-outs: what messages take while posts go into thousands of feeds, and while none do, in alternation.
//!
//! Owns the windows. In each a `loadgen chat` of its own measures, over WebSockets as clients do.

use std::fs;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use fastrand::Rng;
use serde_json::Value;

use super::load::Load;
use super::node::Node;
use super::{at_rest, pause, rows};
use crate::report::ChatBeside;

/// Pairs of windows.
const ROUNDS: u32 = 6;
/// Length of a window. A quiet one and one with fan-outs are two to a round, in which an author posts at most twice: six
/// rounds take more than a minute.
const WINDOW_S: u32 = 6;
/// Sessions that chat, the last accounts.
const SESSIONS: usize = 100;
/// Posts of each author in a window.
const POSTS_EACH: u32 = 2;

/// Measures `rate` messages a second in windows of both kinds.
pub(super) fn run(load: &Load, node: &Node, rate: u32, rng: &mut Rng) -> anyhow::Result<ChatBeside> {
    let users = load.client.users();
    let last = &users[users.len().saturating_sub(SESSIONS)..];
    let lines: String = last.iter().map(|user| format!("{user} load\n")).collect();
    fs::write(node.file("chat-users"), lines).context("cannot write the accounts that chat")?;
    let (mut quiet, mut busy) = (Vec::new(), Vec::new());
    let mut report = ChatBeside { rate, rounds: ROUNDS, ..ChatBeside::default() };
    for _ in 0..ROUNDS {
        if load.interrupted() {
            break;
        }
        quiet.push(window(node, rate, last.len())?);
        let (is_over, before) = (AtomicBool::new(false), rows(node));
        let seed = rng.u64(..);
        let measured = std::thread::scope(|scope| {
            let is_over = &is_over;
            scope.spawn(move || publish(load, is_over, &mut Rng::with_seed(seed)));
            let measured = window(node, rate, last.len());
            is_over.store(true, Ordering::Relaxed);
            measured
        });
        busy.push(measured?);
        report.rows += (rows(node) - before) as u64;
        at_rest(load, node);
    }
    report.quiet_p99_us = median(&quiet, |window| window.ack_us);
    report.busy_p99_us = median(&busy, |window| window.ack_us);
    report.quiet_delivery_p99_us = median(&quiet, |window| window.delivery_us);
    report.busy_delivery_p99_us = median(&busy, |window| window.delivery_us);
    report.ratio = report.busy_p99_us / report.quiet_p99_us.max(1.0);
    report.delivery_ratio = report.busy_delivery_p99_us / report.quiet_delivery_p99_us.max(1.0);
    Ok(report)
}

/// The 99th percentiles of one window.
#[derive(Debug, Clone, Copy)]
struct Window {
    ack_us: f64,
    delivery_us: f64,
}

fn median(windows: &[Window], of: impl Fn(&Window) -> f64) -> f64 {
    let mut all: Vec<f64> = windows.iter().map(of).collect();
    all.sort_by(f64::total_cmp);
    let middle = all.len() / 2;
    match all.len() {
        0 => 0.0,
        odd if odd % 2 == 1 => all[middle],
        _ => f64::midpoint(all[middle - 1], all[middle]),
    }
}

/// Posts of all authors with many readers, evenly over a window.
fn publish(load: &Load, is_over: &AtomicBool, rng: &mut Rng) {
    let posts = POSTS_EACH * load.graph.stars.len() as u32;
    let every = Duration::from_secs(u64::from(WINDOW_S)) / posts.max(1);
    while !is_over.load(Ordering::Relaxed) && !load.interrupted() {
        // None whose author may not post yet.
        _ = load.publish_of(&load.graph.stars, Instant::now(), rng);
        pause(load, every);
    }
}

fn window(node: &Node, rate: u32, sessions: usize) -> anyhow::Result<Window> {
    let own = std::env::current_exe().context("cannot find this program, to chat")?;
    let mut command = Command::new(own);
    command.args(["chat", "--json", "--url", &node.url(), "--api", &node.api(), "--token-key"]).arg(node.token_key());
    command.arg("--users").arg(node.file("chat-users")).args(["--connections", &sessions.to_string()]);
    command.args(["--rate", &rate.to_string(), "--seconds", &WINDOW_S.to_string(), "--warmup", "0.5"]);
    let output = command.stdin(Stdio::null()).output().context("cannot run loadgen chat")?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "chat beside the feeds failed: {}", said.trim());
    let report: Value = serde_json::from_slice(&output.stdout).context("loadgen chat reports something else")?;
    let p99 = |what: &str| {
        let figure = report["latencies_us"][what]["p99"].as_f64();
        figure.with_context(|| format!("loadgen chat reports no {what}"))
    };
    Ok(Window { ack_us: p99("ack")?, delivery_us: p99("delivery")? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_middle_of_windows_is_told() {
        let check = |acks: &[f64], expected: f64| {
            let windows: Vec<_> = acks.iter().map(|&ack_us| Window { ack_us, delivery_us: 0.0 }).collect();
            assert_eq!(median(&windows, |window| window.ack_us), expected, "{acks:?}");
        };
        check(&[], 0.0);
        check(&[5.0], 5.0);
        check(&[9.0, 1.0, 5.0], 5.0);
        check(&[9.0, 1.0, 5.0, 7.0], 6.0);
    }
}
