//! Links from one shard to the other nodes of its view.
//!
//! Owns which link a frame takes, the links that this shard holds, and the streams that carry them at present. Between
//! two nodes there are as many links as the larger has shards; each end of number `n` is held by the shard `n` modulo
//! the shards of its node. Frames from one shard to another always take the same link, which keeps their order, and the
//! shard that receives them mails on what is for another.

use std::collections::{BTreeMap, BTreeSet};

use link::handshake::links_between;
use link::{Bounds, Figures, Link, LinkError, LinkEvent, LinkName};
use schema::mesh::MeshFrame;
use schema::{Incarnation, Instant, Owner, ShardIndex, View};

use super::{StreamId, Streams};

/// A link's name on this node: the life of the peer, and its number between the two.
pub(super) type Name = (Incarnation, u16);

/// What happened on a link.
pub(super) struct Happened {
    pub(super) peer: Incarnation,
    pub(super) event: LinkEvent,
}

/// Sums over the links of one shard to other nodes: what those hold that there are, and what all have done that there
/// were.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PeerTotals {
    /// Links.
    pub links: u64,
    /// Those over which frames go.
    pub up: u64,
    /// Bytes that wait for the network.
    pub unsent_bytes: u64,
    /// Bytes kept to be sent again.
    pub kept_bytes: u64,
    /// Frames given to them.
    pub sent: u64,
    /// Frames that arrived.
    pub received: u64,
    /// Frames left out, since a link was down or its queue full.
    pub dropped: u64,
    /// Frames sent again.
    pub resent: u64,
    /// Gaps that were told.
    pub gaps: u64,
    /// New beginnings.
    pub resets: u64,
    /// Connections.
    pub connections: u64,
    /// Frames to or from lives that are in no view of this shard.
    pub refused: u64,
}

impl PeerTotals {
    /// Adds what one link has done.
    fn count(&mut self, figures: &Figures) {
        self.sent += figures.sent;
        self.received += figures.received;
        self.dropped += figures.dropped;
        self.resent += figures.resent;
        self.gaps += figures.gaps;
        self.resets += figures.resets;
        self.connections += figures.connections;
    }
}

/// See the module.
pub(super) struct Peers {
    me: Owner,
    shards: u16,
    bounds: Bounds,
    /// Shards of each other node of the view.
    nodes: BTreeMap<Incarnation, u16>,
    held: BTreeMap<Name, Held>,
    streams: BTreeMap<StreamId, Name>,
    /// Links that may have bytes to be sent, or events.
    touched: BTreeSet<Name>,
    /// Frames to nodes that are in no view of this shard.
    strangers: u64,
    /// Of links that are no more.
    gone: PeerTotals,
    bytes: Vec<u8>,
}

struct Held {
    link: Link,
    stream: Option<StreamId>,
}

impl Peers {
    pub(super) fn new(me: Owner, shards: u16, bounds: Bounds) -> Self {
        Self {
            me,
            shards,
            bounds,
            nodes: BTreeMap::new(),
            held: BTreeMap::new(),
            streams: BTreeMap::new(),
            touched: BTreeSet::new(),
            strangers: 0,
            gone: PeerTotals::default(),
            bytes: Vec::new(),
        }
    }

    /// Goes by another view: links to its nodes are there from now on, and to no others.
    pub(super) fn set_view(&mut self, view: &View, now: Instant, streams: &mut impl Streams) {
        let others = view.members().iter().filter(|member| member.incarnation != self.me.incarnation);
        self.nodes = others.map(|member| (member.incarnation, member.shards)).collect();
        let nodes = &self.nodes;
        for ((_, number), held) in self.held.extract_if(.., |(peer, _), _| !nodes.contains_key(peer)) {
            self.gone.count(&held.link.figures());
            if let Some(stream) = held.stream {
                tracing::debug!(number, "a link is closed whose node is in the view no more");
                self.streams.remove(&stream);
                streams.close_stream(stream);
            }
        }
        for (&peer, &shards) in &self.nodes {
            for number in numbers(self.me.shard, self.shards, shards) {
                self.held.entry((peer, number)).or_insert_with(|| {
                    let name = LinkName { me: self.me.incarnation, peer, link: number };
                    Held { link: Link::new(now, name, self.bounds), stream: None }
                });
            }
        }
    }

    /// Sends a frame to a shard of another node, with the version below which nothing may be read for it.
    pub(super) fn send(&mut self, frame: &MeshFrame, version: u64) {
        let Some(name) = self.way(frame.to) else {
            self.strangers += 1;
            return;
        };
        let held = self.held.get_mut(&name).expect("a link stands for each number of a node of the view");
        held.link.send(frame, version);
        self.touched.insert(name);
    }

    /// The link that frames to a shard take.
    fn way(&self, to: Owner) -> Option<Name> {
        let &shards = self.nodes.get(&to.incarnation)?;
        let numbers = numbers(self.me.shard, self.shards, shards);
        // That which ends at the shard itself, if one of them does.
        let straight = usize::from(to.shard.0 / self.shards);
        let number = numbers.clone().nth(straight).or_else(|| numbers.last())?;
        Some((to.incarnation, number))
    }

    /// Has both nodes hear that all they were to tell each other is lost.
    pub(super) fn begin_afresh(&mut self, peer: Incarnation) {
        if let Some((&name, held)) = self.held.range_mut((peer, 0)..=(peer, u16::MAX)).next() {
            held.link.forget();
            self.touched.insert(name);
        }
    }

    /// A connection has been made and its handshake is done: it carries this link from now on.
    pub(super) fn connected(&mut self, stream: StreamId, name: Name, now: Instant, streams: &mut impl Streams) {
        let Some(held) = self.held.get_mut(&name) else {
            // Of a node that this shard's view does not have, or not any more: it is dialled again.
            return streams.close_stream(stream);
        };
        if let Some(earlier) = held.stream.replace(stream) {
            self.streams.remove(&earlier);
            streams.close_stream(earlier);
        }
        self.streams.insert(stream, name);
        held.link.connected(now);
        self.touched.insert(name);
    }

    /// Bytes came. An error closes the connection, which is made again.
    pub(super) fn received(&mut self, stream: StreamId, bytes: &[u8], now: Instant, streams: &mut impl Streams) {
        let Some(&name) = self.streams.get(&stream) else { return };
        let held = self.held.get_mut(&name).expect("a stream is a link's");
        self.touched.insert(name);
        let outcome: Result<(), LinkError> = held.link.received(now, bytes);
        if let Err(error) = outcome {
            tracing::warn!(peer = format_args!("{:x}", name.0.0), link = name.1, %error, "a link is closed");
            self.close(name, streams);
        }
    }

    /// Bytes of a stream have left.
    pub(super) fn written(&mut self, stream: StreamId, bytes: usize) {
        let Some(&name) = self.streams.get(&stream) else { return };
        self.held.get_mut(&name).expect("a stream is a link's").link.written(bytes);
        self.touched.insert(name);
    }

    /// A stream is gone.
    pub(super) fn closed(&mut self, stream: StreamId) {
        let Some(name) = self.streams.remove(&stream) else { return };
        let held = self.held.get_mut(&name).expect("a stream is a link's");
        held.stream = None;
        held.link.disconnected();
        self.touched.insert(name);
    }

    fn close(&mut self, name: Name, streams: &mut impl Streams) {
        let held = self.held.get_mut(&name).expect("it is held");
        held.link.disconnected();
        if let Some(stream) = held.stream.take() {
            self.streams.remove(&stream);
            streams.close_stream(stream);
        }
    }

    /// The oldest event of any link.
    pub(super) fn poll_event(&mut self, streams: &mut impl Streams) -> Option<Happened> {
        let touched = self.touched.iter().copied();
        let mut events = touched.filter_map(|name| Some((name, self.held.get_mut(&name)?.link.poll_event()?)));
        let (name, event) = events.next()?;
        if event == LinkEvent::Silent {
            tracing::warn!(
                peer = format_args!("{:x}", name.0.0),
                link = name.1,
                "nothing comes over a link: it is closed"
            );
            self.close(name, streams);
        }
        Some(Happened { peer: name.0, event })
    }

    /// Sends what this turn has brought, each link's in one write.
    pub(super) fn flush(&mut self, streams: &mut impl Streams) {
        for name in std::mem::take(&mut self.touched) {
            let Some(held) = self.held.get_mut(&name) else { continue };
            let Some(stream) = held.stream else { continue };
            held.link.transmit(&mut self.bytes);
            if !self.bytes.is_empty() {
                streams.write(stream, &self.bytes);
                self.bytes.clear();
            }
        }
        self.bytes.shrink_to(KEPT_BYTES);
    }

    /// Runs the timers that are due.
    pub(super) fn tick(&mut self, now: Instant) {
        for (&name, held) in &mut self.held {
            if held.link.poll_timeout().is_some_and(|due| due <= now) {
                held.link.tick(now);
                self.touched.insert(name);
            }
        }
    }

    /// When [`Self::tick`] is next wanted.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.held.values().filter_map(|held| held.link.poll_timeout()).min()
    }

    /// What all links have done, and what they hold.
    pub(super) fn totals(&self) -> PeerTotals {
        let mut totals = PeerTotals { refused: self.strangers, ..self.gone };
        for held in self.held.values() {
            let figures = held.link.figures();
            totals.count(&figures);
            totals.links += 1;
            totals.up += u64::from(figures.is_open);
            totals.unsent_bytes += figures.unsent_bytes as u64;
            totals.kept_bytes += figures.resend_bytes as u64;
        }
        totals
    }

    /// The state of each link.
    pub(super) fn figures(&self) -> impl Iterator<Item = (Name, Figures)> {
        self.held.iter().map(|(&name, held)| (name, held.link.figures()))
    }
}

/// Bytes of the buffer that are kept from turn to turn.
const KEPT_BYTES: usize = 64 * 1024;

/// The numbers of the links to a node of so many shards that a shard holds, of a node that has `of` itself.
fn numbers(shard: ShardIndex, of: u16, shards_of_peer: u16) -> impl Iterator<Item = u16> + Clone {
    (shard.0..links_between(of, shards_of_peer)).step_by(usize::from(of))
}

#[cfg(test)]
mod tests {
    use schema::mesh::MeshBody;
    use schema::{ChannelId, Epoch, Member, Standing};

    use super::*;

    const ME: Incarnation = Incarnation(1);
    const PEER: Incarnation = Incarnation(2);

    #[derive(Default)]
    struct Wires {
        written: BTreeMap<StreamId, Vec<u8>>,
        closed: Vec<StreamId>,
    }

    impl Streams for Wires {
        fn write(&mut self, stream: StreamId, bytes: &[u8]) {
            self.written.entry(stream).or_default().extend_from_slice(bytes);
        }

        fn close_stream(&mut self, stream: StreamId) {
            self.closed.push(stream);
        }
    }

    fn view(epoch: u64, nodes: &[(Incarnation, u16)]) -> View {
        let member = |&(incarnation, shards): &(Incarnation, u16)| Member {
            incarnation,
            shards,
            weight: shards,
            standing: Standing::Home,
        };
        let owners = View::alone(Epoch(1), ME, 1).owners().to_vec();
        View::new(Epoch(epoch), nodes.iter().map(member).collect(), owners)
    }

    /// The links that shards of a node hold, of `mine` shards to one of `theirs`.
    fn held(life: Incarnation, mine: u16, peer: Incarnation, theirs: u16) -> Vec<Peers> {
        let shards = (0..mine).map(|shard| {
            let me = Owner { incarnation: life, shard: ShardIndex(shard) };
            let mut peers = Peers::new(me, mine, Bounds::default());
            peers.set_view(&view(1, &[(ME, mine.max(theirs)), (peer, theirs)]), Instant(0), &mut Wires::default());
            peers
        });
        shards.collect()
    }

    #[test]
    fn each_link_is_held_by_one_shard_of_a_node_and_frames_go_straight_where_one_can() {
        for (mine, theirs) in [(1, 1), (2, 2), (1, 4), (4, 1), (3, 2), (2, 5), (16, 16), (4, 16)] {
            let shards = held(ME, mine, PEER, theirs);
            let mut numbers: Vec<u16> = shards.iter().flat_map(|peers| peers.held.keys().map(|name| name.1)).collect();
            numbers.sort_unstable();
            assert_eq!(numbers, (0..mine.max(theirs)).collect::<Vec<_>>(), "{mine} to {theirs}");
            for (peers, to) in shards.iter().flat_map(|peers| (0..theirs).map(move |to| (peers, to))) {
                let (_, number) = peers.way(Owner { incarnation: PEER, shard: ShardIndex(to) }).expect("a member");
                assert!(peers.held.contains_key(&(PEER, number)), "{mine} to {theirs}: {number}");
                let could_be_straight = (0..mine.max(theirs)).any(|n| n % mine == peers.me.shard.0 && n % theirs == to);
                let straight = number % theirs == to;
                assert!(straight || mine > theirs || !could_be_straight, "{mine} to {theirs}: {number} to {to}");
            }
        }
    }

    fn frame(number: u64) -> MeshFrame {
        let owner = |incarnation| Owner { incarnation, shard: ShardIndex(0) };
        let body = MeshBody::Index { channel: ChannelId(number) };
        MeshFrame { from: owner(ME), to: owner(PEER), epoch: Epoch(1), body }
    }

    /// What one end has written goes to the other.
    fn carry(from: &mut Wires, stream: StreamId, to: (&mut Peers, StreamId), wires: &mut Wires) {
        let bytes = from.written.remove(&stream).unwrap_or_default();
        to.0.received(to.1, &bytes, Instant(1), wires);
    }

    #[test]
    fn a_frame_reaches_the_other_node_and_a_node_that_is_gone_is_forgotten() {
        let (mut one, mut other) = (held(ME, 1, PEER, 1).remove(0), held(PEER, 1, ME, 1).remove(0));
        let (mut near, mut far) = (Wires::default(), Wires::default());
        let (here, there) = (StreamId(7), StreamId(8));
        one.connected(here, (PEER, 0), Instant(0), &mut near);
        other.connected(there, (ME, 0), Instant(0), &mut far);
        for _ in 0..3 {
            one.flush(&mut near);
            other.flush(&mut far);
            carry(&mut near, here, (&mut other, there), &mut far);
            carry(&mut far, there, (&mut one, here), &mut near);
        }
        one.send(&frame(5), 99);
        one.flush(&mut near);
        carry(&mut near, here, (&mut other, there), &mut far);
        let mut came = Vec::new();
        while let Some(Happened { peer, event }) = other.poll_event(&mut far) {
            assert_eq!(peer, ME);
            if let LinkEvent::Frame { frame, version } = event {
                came.push((frame, version));
            }
        }
        assert_eq!(came, [(frame(5), 99)]);

        one.set_view(&view(2, &[(ME, 1)]), Instant(2), &mut near);
        assert_eq!((near.closed.as_slice(), one.held.len(), one.streams.len()), ([here].as_slice(), 0, 0));
        one.send(&frame(6), 99);
        assert_eq!(one.strangers, 1);
        // A connection of a node that is in no view is closed.
        one.connected(StreamId(9), (PEER, 0), Instant(3), &mut near);
        assert_eq!(near.closed, [here, StreamId(9)]);
    }
}
