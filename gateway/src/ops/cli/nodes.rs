//! `rookery nodes`: every node of a store and the links of one, and `rookery drain`, which ends one.
//!
//! Owns the tables and the waiting. What stands in them a running node says, or its store, where none answers.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use api::{LinkShown, LinkState, NodeShown, Nodes, Part};
use clap::Args;
use schema::UnixMs;

use crate::config::{Config, Mode, StoreEngine};
use crate::lifecycle;
use crate::ops::terminal::{print, table};
use crate::runtime::wall;
use crate::store::NodeStore;

use super::ask::ask;
use super::settings::Settings;
use super::store::{StoreTask, open};

/// How often a node that drains is asked how far it is.
const LOOK: Duration = Duration::from_millis(500);
/// Questions in a row that may fail before it is given up.
const FAILURES_MAX: u32 = 10;

#[derive(Debug, Args)]
pub(super) struct NodesArgs {
    /// Print the answer of the node as it is, JSON
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    settings: Settings,
}

#[derive(Debug, Args)]
pub(super) struct DrainArgs {
    /// Wait until the node has ended, and say how far it is
    #[arg(long)]
    wait: bool,

    #[command(flatten)]
    settings: Settings,
}

/// Asks the node at `listen.internal`, and if none answers there looks into a store that is shared.
pub(super) fn nodes(arguments: &NodesArgs) -> anyhow::Result<ExitCode> {
    let config = arguments.settings.load(Mode::Run)?;
    if let Some(text) = ask(config.internal, "GET", "/admin/nodes")? {
        show(&read(&text)?, arguments.json)?;
        return Ok(ExitCode::SUCCESS);
    }
    match config.engine {
        StoreEngine::FoundationDb => open(arguments),
        StoreEngine::Embedded => bail!(nobody(&config)),
    }
}

/// Has the node at `listen.internal` drain and end.
pub(super) fn drain(arguments: &DrainArgs) -> anyhow::Result<ExitCode> {
    let config = arguments.settings.load(Mode::Run)?;
    let nodes = || ask(config.internal, "GET", "/admin/nodes")?.map(|text| read(&text)).transpose();
    let Some(Nodes { asked: drained, .. }) = nodes()? else { bail!(nobody(&config)) };
    if ask(config.internal, "POST", "/admin/drain")?.is_none() {
        bail!(nobody(&config));
    }
    if !arguments.wait {
        print("it drains, and ends by itself; `rookery nodes` shows how far it is\n")?;
        return Ok(ExitCode::SUCCESS);
    }
    let begun = Instant::now();
    let (mut said, mut failures) = (String::new(), 0);
    loop {
        match nodes() {
            Ok(None) => break,
            // Another life at the same address, as a supervisor starts it.
            Ok(Some(Nodes { asked: Some(asked), .. })) if drained.as_ref().is_some_and(|drained| *drained != asked) => {
                break;
            }
            Ok(Some(nodes)) => {
                failures = 0;
                if let Some(left) = left(&nodes).filter(|left| *left != said) {
                    print(&format!("{left}\n"))?;
                    said = left;
                }
            }
            // A node that takes its last steps may close a connection in the middle of an answer.
            Err(_) if failures < FAILURES_MAX => failures += 1,
            Err(error) => return Err(error),
        }
        thread::sleep(LOOK);
    }
    print(&format!("it has ended, after {} s\n", begun.elapsed().as_secs()))?;
    Ok(ExitCode::SUCCESS)
}

fn nobody(config: &Config) -> String {
    let at = config.internal;
    format!("no node answers at {at}; name another with --internal, or a shared store with its --store… flags")
}

fn read(text: &str) -> anyhow::Result<Nodes> {
    serde_json::from_str(text).context("the node's answer is of another version of this program")
}

/// What the node that was asked still has.
fn left(nodes: &Nodes) -> Option<String> {
    let me = nodes.nodes.iter().find(|node| Some(&node.incarnation) == nodes.asked.as_ref())?;
    Some(format!("{} partitions and {} sessions are left", me.partitions, me.sessions.unwrap_or_default()))
}

impl StoreTask for NodesArgs {
    fn settings(&self) -> &Settings {
        &self.settings
    }

    fn beside_nodes(&self) -> bool {
        true
    }

    async fn run<S: NodeStore>(&self, _: &Config, store: &S) -> anyhow::Result<()> {
        let watched = lifecycle::nodes::watch(store).await?;
        show(&watched.sight.shown(None, &[], &BTreeMap::new()), self.json)
    }
}

fn show(nodes: &Nodes, json: bool) -> anyhow::Result<()> {
    if json {
        return print(&format!("{}\n", serde_json::to_string(nodes).expect("it is JSON")));
    }
    print(&shown(nodes, wall()))
}

/// The tables, at this time.
fn shown(nodes: &Nodes, now: UnixMs) -> String {
    let head = [
        "NODE",
        "REGION",
        "STANDING",
        "EPOCH",
        "PARTITIONS",
        "SHARDS",
        "SESSIONS",
        "LOAD",
        "LAST BEAT",
        "CLOCK",
        "INCARNATION",
    ];
    let mut rows = vec![head.map(str::to_owned)];
    rows.extend(nodes.nodes.iter().map(|node| row(node, nodes.asked.as_ref() == Some(&node.incarnation))));
    let count = nodes.nodes.len();
    let mut text = table(&rows);
    text.push_str(&format!("{count} {}, epoch {}", if count == 1 { "node" } else { "nodes" }, nodes.epoch));
    text.push_str(match nodes.asked {
        Some(_) => "; * was asked\n",
        None => "; as the store has it, since no node was asked\n",
    });
    if !nodes.links.is_empty() {
        let head = ["LINK TO", "NUMBER", "STATE", "SINCE", "UNACKNOWLEDGED", "UNSENT", "DROPPED", "LAST ERROR"];
        let mut rows = vec![head.map(str::to_owned)];
        rows.extend(nodes.links.iter().map(|link| link_row(link, now)));
        text.push('\n');
        text.push_str(&table(&rows));
    }
    text
}

fn row(node: &NodeShown, is_asked: bool) -> [String; 11] {
    let or_dash = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
    let standing = match node.standing {
        _ if node.silent => "dead?",
        Part::Home => "home",
        Part::Draining => "draining",
        Part::Guest => "guest",
        Part::Joining => "joining",
        Part::StandingBy => "standing by",
    };
    [
        format!("{}{}", node.name, if is_asked { "*" } else { "" }),
        node.region.clone(),
        standing.to_owned(),
        or_dash(node.epoch.map(|epoch| epoch.to_string())),
        node.partitions.to_string(),
        node.shards.to_string(),
        or_dash(node.sessions.map(|sessions| sessions.to_string())),
        or_dash(node.load.map(|load| format!("{:.0} %", load * 100.0))),
        or_dash(node.beat_ms.map(|ms| format!("{} ago", span(ms)))),
        or_dash(node.clock_ahead_ms.map(|ms| format!("{:+.1} s", ms as f64 / 1_000.0))),
        node.incarnation.clone(),
    ]
}

fn link_row(link: &LinkShown, now: UnixMs) -> [String; 8] {
    let state = match link.state {
        LinkState::Up => "up",
        LinkState::Opening => "opening",
        LinkState::Down => "down",
    };
    let since = match (link.state, link.since_ms, link.heard_ms) {
        (LinkState::Up | LinkState::Opening, Some(since), _) => span(now.since_ms(since)),
        (LinkState::Down, _, Some(heard)) => format!("last heard {} ago", span(now.since_ms(heard))),
        (LinkState::Up | LinkState::Opening | LinkState::Down, _, _) => "-".to_owned(),
    };
    let error = link.error.as_ref().zip(link.error_ms);
    [
        link.peer.clone(),
        link.number.to_string(),
        state.to_owned(),
        since,
        link.unacknowledged.to_string(),
        format!("{} B", link.unsent_bytes),
        link.dropped.to_string(),
        error.map_or_else(|| "-".to_owned(), |(error, ms)| format!("{} ago: {error}", span(ms))),
    ]
}

/// A span in the unit that fits.
fn span(ms: u64) -> String {
    match ms / 1_000 {
        0..=9 => format!("{:.1} s", ms as f64 / 1_000.0),
        seconds @ 10..=119 => format!("{seconds} s"),
        seconds @ 120..=7_199 => format!("{} min", seconds / 60),
        seconds @ 7_200..=172_799 => format!("{} h", seconds / 3_600),
        seconds => format!("{} d", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(name: &str, standing: Part, silent: bool) -> NodeShown {
        NodeShown {
            name: name.to_owned(),
            region: "here".to_owned(),
            incarnation: format!("{name}-1"),
            standing,
            silent,
            epoch: Some(7),
            partitions: 2_048,
            shards: 2,
            weight: 2,
            sessions: Some(12),
            load: Some(0.034),
            beat_ms: Some(412),
            clock_ahead_ms: Some(-1_230),
            ws_url: String::new(),
            api_url: String::new(),
            links: String::new(),
            since_ms: None,
        }
    }

    #[test]
    fn nodes_and_links_are_a_table_each() {
        let link = LinkShown {
            peer: "b".to_owned(),
            incarnation: "b-1".to_owned(),
            number: 1,
            state: LinkState::Down,
            since_ms: None,
            heard_ms: Some(UnixMs(88_000)),
            unacknowledged: 3,
            unsent_bytes: 0,
            sent: 9,
            received: 8,
            dropped: 2,
            resent: 0,
            gaps: 0,
            resets: 0,
            error: Some("b:8004: connection refused".to_owned()),
            error_ms: Some(2_500),
        };
        let up = LinkShown {
            number: 0,
            state: LinkState::Up,
            since_ms: Some(UnixMs(40_000)),
            error: None,
            error_ms: None,
            dropped: 0,
            unacknowledged: 0,
            ..link.clone()
        };
        let unknown = NodeShown {
            epoch: None,
            partitions: 0,
            sessions: None,
            load: None,
            beat_ms: None,
            clock_ahead_ms: None,
            ..node("c", Part::StandingBy, false)
        };
        let nodes = Nodes {
            asked: Some("a-1".to_owned()),
            epoch: 7,
            nodes: vec![node("a", Part::Home, false), node("b", Part::Home, true), unknown],
            links: vec![up, link],
        };
        let expected = "\
NODE  REGION  STANDING     EPOCH  PARTITIONS  SHARDS  SESSIONS  LOAD  LAST BEAT  CLOCK   INCARNATION
a*    here    home         7      2048        2       12        3 %   0.4 s ago  -1.2 s  a-1
b     here    dead?        7      2048        2       12        3 %   0.4 s ago  -1.2 s  b-1
c     here    standing by  -      0           2       -         -     -          -       c-1
3 nodes, epoch 7; * was asked

LINK TO  NUMBER  STATE  SINCE                UNACKNOWLEDGED  UNSENT  DROPPED  LAST ERROR
b        0       up     60 s                 0               0 B     0        -
b        1       down   last heard 12 s ago  3               0 B     2        2.5 s ago: b:8004: connection refused
";
        assert_eq!(shown(&nodes, UnixMs(100_000)), expected);
        let again = serde_json::to_string(&nodes).expect("it is JSON");
        assert_eq!(read(&again).expect("what was written"), nodes);
        assert_eq!(left(&nodes).as_deref(), Some("2048 partitions and 12 sessions are left"));
    }

    #[test]
    fn a_span_has_the_unit_that_fits() {
        let check = |ms, expected: &str| assert_eq!(span(ms), expected);
        check(0, "0.0 s");
        check(9_940, "9.9 s");
        check(10_000, "10 s");
        check(120_000, "2 min");
        check(7_200_000, "2 h");
        check(172_800_000, "2 d");
    }
}
