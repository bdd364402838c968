//! Nodes of a store as this one sees them, for operators and for clients that want another.
//!
//! Owns what is made of the last heartbeat: who has which part, who is silent, where clients may be sent.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use api::{LinkShown, LinkState, NodeShown, Nodes, Part, Peer, Peers};
use chat::LayerError;
use chat::view::{self, Load, Roll};
use host::driver::Clock as _;
use host::membership::{Clocks, Pulse};
use kv::Engine;
use schema::limits::{BEAT_MS, LEASE_MS};
use schema::record::NodeRecord;
use schema::{Incarnation, Standing, View};

use crate::peering::Failure;
use crate::runtime::Clock;
use crate::telemetry::metrics::ShardLinks;

/// How long whoever is no node watches heartbeats: two of each node, of which the second shows its clock.
const WATCH: Duration = Duration::from_millis(2 * BEAT_MS + BEAT_MS / 2);
/// No node: lives are drawn from 64 bits.
const NOBODY: Incarnation = Incarnation(0);
/// How often it looks.
const LOOK: Duration = Duration::from_millis(BEAT_MS / 4);

/// What one look at the nodes saw.
#[derive(Debug)]
pub(crate) struct Sight {
    /// The node that looked; none if it was none.
    me: Option<Incarnation>,
    roll: Arc<Roll>,
    view: Option<Arc<View>>,
    pulses: BTreeMap<Incarnation, Pulse>,
    /// When, by the clock of the pulses and by this process's.
    at: (schema::Instant, Instant),
}

impl Sight {
    /// What a heartbeat of a node saw, at this moment of the node's clock.
    pub(crate) fn new(
        me: Option<Incarnation>,
        roll: Arc<Roll>,
        pulses: BTreeMap<Incarnation, Pulse>,
        at: schema::Instant,
    ) -> Self {
        let view = roll.view.clone().map(Arc::new);
        Self { me, roll, view, pulses, at: (at, Instant::now()) }
    }

    /// Of a node whose store nobody else has.
    pub(crate) fn alone(me: Incarnation, record: NodeRecord, view: &View) -> Self {
        let node = view::Node { record: Some(record), ..view::Node::default() };
        let roll =
            Roll { epoch: view.epoch, view: Some(view.clone()), version: 0, nodes: BTreeMap::from([(me, node)]) };
        Self::new(Some(me), Arc::new(roll), BTreeMap::new(), schema::Instant(0))
    }

    /// Whether there are other members.
    pub(crate) fn has_others(&self) -> bool {
        self.roll.active().any(|node| Some(node) != self.me)
    }

    /// What nodes say of themselves that have said a word within a lease.
    pub(crate) fn records(&self) -> impl Iterator<Item = &NodeRecord> {
        let living = self.roll.nodes.iter().filter(|(node, _)| !self.is_silent(**node));
        living.filter_map(|(_, of)| of.record.as_ref())
    }

    /// All nodes, and the links of this one, which has so much to do now.
    pub(crate) fn shown(
        &self,
        work: Option<Load>,
        links: &[ShardLinks],
        failures: &BTreeMap<(Incarnation, u16), Failure>,
    ) -> Nodes {
        let mut nodes: Vec<NodeShown> = self.roll.nodes.keys().map(|&node| self.node(node, work)).collect();
        nodes.sort_by(|one, other| (&one.name, &one.incarnation).cmp(&(&other.name, &other.incarnation)));
        let links = links.iter().flat_map(|shard| {
            shard.links.iter().map(|&((peer, number), ref figures)| {
                let failure = failures.get(&(peer, number)).filter(|_| !figures.is_open);
                LinkShown {
                    peer: self.name(peer),
                    incarnation: hex(peer),
                    number,
                    state: match (figures.is_open, figures.connected_since) {
                        (true, _) => LinkState::Up,
                        (false, Some(_)) => LinkState::Opening,
                        (false, None) => LinkState::Down,
                    },
                    since_ms: figures.connected_since.map(|at| shard.wall(at)),
                    heard_ms: figures.heard_at.map(|at| shard.wall(at)),
                    unacknowledged: figures.unacknowledged as u64,
                    unsent_bytes: figures.unsent_bytes as u64,
                    sent: figures.sent,
                    received: figures.received,
                    dropped: figures.dropped,
                    resent: figures.resent,
                    gaps: figures.gaps,
                    resets: figures.resets,
                    error: failure.map(|(_, error)| error.clone()),
                    error_ms: failure.map(|(at, _)| milliseconds(at.elapsed())),
                }
            })
        });
        let mut links: Vec<LinkShown> = links.collect();
        links.sort_by(|one, other| {
            (&one.peer, &one.incarnation, one.number).cmp(&(&other.peer, &other.incarnation, other.number))
        });
        Nodes { asked: self.me.map(hex), epoch: self.roll.epoch.0, nodes, links }
    }

    /// Nodes to which clients may be sent: the members that live and serve them, if there is another than this one.
    pub(crate) fn peers(&self) -> Peers {
        let Some(me) = self.me.filter(|_| self.has_others()) else { return Peers::default() };
        let nodes = self.roll.active().filter_map(|node| {
            let of = self.roll.nodes.get(&node)?;
            let record = of.record.as_ref()?;
            let standing = self.view.as_ref()?.member(node)?.standing;
            let is_there = if node == me {
                !record.ws_url.is_empty()
            } else {
                !self.is_silent(node) && is_address(&record.ws_url)
            };
            is_there.then(|| Peer {
                incarnation: node,
                name: record.name.clone(),
                region: record.region.clone(),
                ws_url: record.ws_url.clone(),
                api_url: record.api_url.clone(),
                load: of.said.map(|said| f32::from(said.load.permille) / 1_000.0).unwrap_or_default(),
                is_draining: standing == Standing::Draining,
            })
        });
        Peers { me, view: self.view.clone(), nodes: nodes.collect() }
    }

    fn node(&self, node: Incarnation, work: Option<Load>) -> NodeShown {
        let of = &self.roll.nodes[&node];
        let load = work.filter(|_| Some(node) == self.me).or_else(|| of.said.map(|said| said.load));
        let record = of.record.as_ref();
        let text = |field: fn(&NodeRecord) -> &String| record.map(field).cloned().unwrap_or_default();
        let member = self.view.as_ref().and_then(|view| view.member(node));
        let pulse = self.pulses.get(&node);
        NodeShown {
            name: self.name(node),
            region: text(|record| &record.region),
            incarnation: hex(node),
            standing: match member.map(|member| member.standing) {
                Some(Standing::Home) => Part::Home,
                Some(Standing::Draining) => Part::Draining,
                Some(Standing::Guest) => Part::Guest,
                None if self.may_join(record) => Part::Joining,
                None => Part::StandingBy,
            },
            silent: self.is_silent(node),
            epoch: of.said.map(|said| said.epoch.0).filter(|epoch| *epoch > 0),
            partitions: self.view.as_ref().map_or(0, |view| view.owned_by(node) as u32),
            shards: record.map_or_else(|| member.map_or(0, |member| member.shards), |record| record.shards),
            weight: record.map_or_else(|| member.map_or(0, |member| member.weight), |record| record.weight),
            sessions: load.map(|load| load.sessions),
            load: load.map(|load| f32::from(load.permille) / 1_000.0),
            beat_ms: pulse.map(|pulse| self.since_ms(pulse)),
            clock_ahead_ms: pulse.and_then(|pulse| pulse.ahead_ms),
            ws_url: text(|record| &record.ws_url),
            api_url: text(|record| &record.api_url),
            links: text(|record| &record.links),
            since_ms: record.map(|record| record.since_ms),
        }
    }

    fn name(&self, node: Incarnation) -> String {
        let record = self.roll.nodes.get(&node).and_then(|node| node.record.as_ref());
        record.map_or_else(|| hex(node), |record| record.name.clone())
    }

    /// Whether a node that is no member is going to be one: it has links, and so have all members.
    fn may_join(&self, record: Option<&NodeRecord>) -> bool {
        let has_links = |record: Option<&NodeRecord>| record.is_some_and(|record| !record.links.is_empty());
        let of = |node: Incarnation| self.roll.nodes.get(&node).and_then(|node| node.record.as_ref());
        self.roll.active().all(|node| has_links(of(node)) && has_links(record))
    }

    /// Whether it had said nothing for a lease at the last look: while the store is away nobody can say a word.
    fn is_silent(&self, node: Incarnation) -> bool {
        let silent_ms = |pulse: &Pulse| milliseconds(self.at.0.since(pulse.heard_at));
        self.pulses.get(&node).is_some_and(|pulse| silent_ms(pulse) >= LEASE_MS)
    }

    fn since_ms(&self, pulse: &Pulse) -> u64 {
        let (at, taken) = self.at;
        milliseconds(at.since(pulse.heard_at) + taken.elapsed())
    }
}

/// The nodes of a store, as one who is none of them has watched them.
#[derive(Debug)]
pub(crate) struct Watched {
    pub(crate) sight: Sight,
    /// Milliseconds that the median of the members' clocks is ahead of this machine's, behind where negative.
    pub(crate) ahead_ms: Option<i64>,
}

/// Watches the nodes of a store for some two seconds, for whoever is none of them.
///
/// # Errors
/// The store's, and damage in its rows.
pub(crate) async fn watch<S: Engine>(store: &S) -> Result<Watched, LayerError> {
    let (clock, begun) = (Clock::start(), Instant::now());
    let mut clocks = Clocks::default();
    loop {
        let roll = view::look(store).await?;
        let now = clock.now();
        clocks.observe(now, &roll);
        if begun.elapsed() >= WATCH || roll.nodes.is_empty() {
            let ahead_ms = clocks.ahead_ms(NOBODY, &roll);
            let sight = Sight::new(None, Arc::new(roll), clocks.pulses().clone(), now.mono);
            return Ok(Watched { sight, ahead_ms });
        }
        // A command has this thread to itself.
        thread::sleep(LOOK);
    }
}

pub(crate) fn hex(node: Incarnation) -> String {
    format!("{:016x}", node.0)
}

/// Whether clients elsewhere can reach it: a node that listens on every address and was told no other is found by its own
/// clients, and by nobody that it is named to.
fn is_address(url: &str) -> bool {
    let host = url.split_once("://").map(|(_, host)| host);
    host.is_some_and(|host| !host.is_empty() && !host.starts_with("0.0.0.0:") && !host.starts_with("[::]:"))
}

fn milliseconds(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use chat::view::{Node, Said};
    use schema::limits::PARTITIONS;
    use schema::{Epoch, Member, Owner, ShardIndex, UnixMs};

    use super::*;

    const ME: Incarnation = Incarnation(1);

    fn record(name: &str, links: &str, ws_url: &str) -> NodeRecord {
        NodeRecord {
            name: name.to_owned(),
            shards: 2,
            weight: 2,
            region: "here".to_owned(),
            ws_url: ws_url.to_owned(),
            api_url: String::new(),
            links: links.to_owned(),
            links_oldest: 1,
            links_newest: 1,
            secret: 1,
            token_key: 1,
            since_ms: UnixMs(1),
        }
    }

    /// Nodes from 1 on, as `standing silence_ms ws_url`; what operators are shown of each, and where clients are sent.
    fn check(nodes: &str, shown: &[(Part, bool)], sent: &[u64]) {
        let mut roll = Roll { epoch: Epoch(3), ..Roll::default() };
        let (mut members, mut pulses) = (Vec::new(), BTreeMap::new());
        let at = schema::Instant(100_000_000_000);
        for (number, words) in (1..).zip(nodes.split(", ")) {
            let [standing, silence_ms, ws_url] = words.split(' ').collect::<Vec<_>>()[..] else { panic!("{words}") };
            let node = Incarnation(number);
            let links = if standing == "unlinked" { "" } else { "a:1" };
            let said = Said { count: 1, epoch: Epoch(3), load: Load { sessions: 5, permille: 250 }, ..Said::default() };
            let of = Node {
                registered: true,
                record: Some(record(&format!("node-{number}"), links, ws_url)),
                beat: Some(1),
                said: Some(said),
            };
            roll.nodes.insert(node, of.clone());
            let silence_ms: u64 = silence_ms.parse().expect("milliseconds");
            let mut clocks = Clocks::default();
            let alone = Roll { nodes: BTreeMap::from([(node, of)]), ..Roll::default() };
            let heard = schema::Now { mono: schema::Instant(at.0 - silence_ms * 1_000_000), wall: UnixMs(0) };
            clocks.observe(heard, &alone);
            pulses.extend(clocks.pulses().clone());
            let member = |standing| Member { incarnation: node, shards: 2, weight: 2, standing };
            match standing {
                "home" => members.push(member(Standing::Home)),
                "draining" => members.push(member(Standing::Draining)),
                "guest" => members.push(member(Standing::Guest)),
                _ => {}
            }
        }
        let owner = Owner { incarnation: ME, shard: ShardIndex(0) };
        roll.view = Some(View::new(Epoch(3), members, vec![owner; usize::from(PARTITIONS)]));
        let sight = Sight::new(Some(ME), Arc::new(roll), pulses, at);
        let found = sight.shown(None, &[], &BTreeMap::new());
        let parts: Vec<_> = found.nodes.iter().map(|node| (node.standing, node.silent)).collect();
        assert_eq!(parts, shown, "{nodes}");
        assert_eq!((found.nodes[0].partitions, found.nodes[0].sessions), (u32::from(PARTITIONS), Some(5)), "{nodes}");
        let peers: Vec<_> = sight.peers().nodes.iter().map(|peer| peer.incarnation.0).collect();
        assert_eq!(peers, sent, "{nodes}");
    }

    #[test]
    fn operators_see_every_node_and_clients_those_that_they_can_reach() {
        check("home 0 ws://a:1", &[(Part::Home, false)], &[]);
        check("home 0 ws://a:1, draining 900 ws://b:1", &[(Part::Home, false), (Part::Draining, false)], &[1, 2]);
        check("home 0 ws://a:1, guest 900 ws://0.0.0.0:1", &[(Part::Home, false), (Part::Guest, false)], &[1]);
        check("home 0 ws://0.0.0.0:1, home 5000 ws://b:1", &[(Part::Home, false), (Part::Home, true)], &[1]);
        check("home 0 ws://a:1, joining 0 ws://b:1", &[(Part::Home, false), (Part::Joining, false)], &[]);
        check("home 0 ws://a:1, unlinked 0 ws://b:1", &[(Part::Home, false), (Part::StandingBy, false)], &[]);
    }
}
