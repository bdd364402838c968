//! Figures that nodes give of themselves while they are under load, and what is said of them.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result};

use crate::nodes::name;

/// Of all nodes together.
pub(super) const PARTITIONS: u64 = 4_096;
/// How long a node may take for its metrics.
const PATIENCE: Duration = Duration::from_secs(5);
/// Before the number of partitions that a view moved, in a log.
const MOVES: &str = "\"moves\":";

/// One node's.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Figure {
    partitions: u64,
    sessions: u64,
    /// Messages and changes of them that its channels took since it started.
    appends: u64,
}

/// Those of all nodes that run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Figures(BTreeMap<u16, Figure>);

impl Figures {
    /// Asks the nodes with these internal addresses. One that does not answer is left out.
    pub(super) fn ask(nodes: impl Iterator<Item = (u16, String)>) -> Self {
        Self(nodes.filter_map(|(number, address)| Some((number, Figure::read(&metrics(&address).ok()?)))).collect())
    }

    /// Whether each has its share, more or less, and no partition is on its way.
    pub(super) fn is_even(&self) -> bool {
        let shares = || self.0.values().map(|figure| figure.partitions);
        shares().sum::<u64>() == PARTITIONS && shares().all(|share| share * self.0.len() as u64 * 10 >= PARTITIONS * 9)
    }

    /// Partitions of one.
    pub(super) fn partitions(&self, number: u16) -> u64 {
        self.0.get(&number).map_or(0, |figure| figure.partitions)
    }

    /// What there is, and how what was appended since `before` is spread.
    pub(super) fn spread(&self, before: &Self) -> Spread {
        let since = |(number, now): (&u16, &Figure)| {
            let then = before.0.get(number).map_or(0, |then| then.appends);
            // A node that was started again counts from 0.
            let appends = now.appends.checked_sub(then).unwrap_or(now.appends);
            (*number, Figure { appends, ..*now })
        };
        Spread(self.0.iter().map(since).collect())
    }
}

impl Figure {
    fn read(metrics: &str) -> Self {
        let sum = |name: &str| {
            let values = metrics.lines().filter_map(|line| {
                let rest = line.strip_prefix(name)?;
                let (labels, value) = rest.rsplit_once(' ')?;
                (labels.is_empty() || labels.starts_with('{')).then(|| value.parse::<u64>().ok())?
            });
            values.sum()
        };
        Self {
            partitions: sum("rookery_partitions"),
            sessions: sum("rookery_sessions"),
            appends: sum("rookery_append_seconds_count"),
        }
    }
}

/// Figures of nodes, side by side.
#[derive(Debug)]
pub(super) struct Spread(Vec<(u16, Figure)>);

impl fmt::Display for Spread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all: u64 = self.0.iter().map(|(_, figure)| figure.appends).sum();
        for (at, &(number, Figure { partitions, sessions, appends })) in self.0.iter().enumerate() {
            let part = 100.0 * appends as f64 / all.max(1) as f64;
            let between = if at == 0 { "" } else { " · " };
            write!(
                f,
                "{between}{}: {partitions} partitions, {sessions} sessions, {part:.1} % of appends",
                name(number)
            )?;
        }
        write!(f, " (of {all})")
    }
}

/// How many partitions views have moved where they belong, by the log of a node.
///
/// # Errors
/// There is none.
pub(super) fn moves(log: &Path) -> Result<u64> {
    let text = std::fs::read_to_string(log).with_context(|| log.display().to_string())?;
    Ok(text.lines().filter(|line| line.contains("partitions move to where they belong")).filter_map(moved).sum())
}

fn moved(line: &str) -> Option<u64> {
    let (_, rest) = line.split_once(MOVES)?;
    rest.split(|character: char| !character.is_ascii_digit()).next()?.parse().ok()
}

fn metrics(address: &str) -> Result<String> {
    let address: SocketAddr = address.parse()?;
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    write!(stream, "GET /metrics HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_summed_over_shards() {
        let text = "# HELP rookery_sessions x\nrookery_sessions{shard=\"0\"} 3\nrookery_sessions{shard=\"1\"} 4\n\
                    rookery_partitions 1365\nrookery_append_seconds_count 17\nrookery_append_seconds_sum 1.5\n";
        assert_eq!(Figure::read(text), Figure { partitions: 1_365, sessions: 7, appends: 17 });
    }

    #[test]
    fn shares_are_even_within_a_tenth() {
        check("1366 1365 1365", true);
        check("2048 2048", true);
        check("1500 1400 1196", false);
        check("1366 1365 1300", false);
        check("2048 2048 0", false);
    }

    fn check(partitions: &str, expected: bool) {
        let figure = |partitions: &str| Figure { partitions: partitions.parse().unwrap(), ..Figure::default() };
        let figures = Figures((1..).zip(partitions.split(' ').map(figure)).collect());
        assert_eq!(figures.is_even(), expected, "{partitions}");
    }

    #[test]
    fn what_was_appended_meanwhile_is_spread() {
        let figures = |appends: [u64; 2]| {
            Figures((1..).zip(appends.map(|appends| Figure { partitions: 9, sessions: 2, appends })).collect())
        };
        let said = figures([40, 70]).spread(&figures([10, 60])).to_string();
        let each = "9 partitions, 2 sessions";
        assert_eq!(said, format!("node-1: {each}, 75.0 % of appends · node-2: {each}, 25.0 % of appends (of 40)"));
    }

    #[test]
    fn a_log_says_what_moved() {
        assert_eq!(moved("{\"message\":\"partitions move\",\"epoch\":5,\"moves\":512,\"target\":\"x\"}"), Some(512));
        assert_eq!(moved("{\"message\":\"something else\",\"epoch\":5}"), None);
    }
}
