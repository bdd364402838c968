//! Shards, what travels between them, clients and a store, on one clock.
//!
//! Owns every queue between them, so that a row can have all of it happen at once and a seed in any order. Frames
//! between shards go as bytes. What happens in one kind of queue is one file each: [`clients`], [`mesh`], [`questions`],
//! [`views`]; [`time`] has all of it happen.

mod clients;
mod mesh;
mod names;
mod questions;
mod time;
mod views;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use router::{Answered, Config, ConnId, Input, Output, Shard};
use schema::limits::{PARTITIONS, PING_MS};
use schema::mesh::MeshFrame;
use schema::{Epoch, ErrorCode, Incarnation, Instant, Member, Now, Owner, ShardIndex, Standing, UnixMs, View};

use crate::client::{Client, Followed};
use crate::store::Store;

pub(crate) use mesh::News;
pub(crate) use names::Names;
pub(crate) use questions::Asked;

pub(crate) struct World {
    pub(crate) now: Now,
    pub(crate) shards: Vec<Shard>,
    owners: Vec<Owner>,
    /// The view that stands.
    pub(crate) view: Arc<View>,
    /// The first one, by which users are named.
    first: Arc<View>,
    /// What each shard goes by.
    pub(crate) known: Vec<Epoch>,
    /// Shards that do not hear of newer views for now.
    pub(crate) unaware: BTreeSet<usize>,
    /// Shards whose node is dead.
    pub(crate) dead: BTreeSet<usize>,
    /// What shards are yet to hear of other nodes, in order.
    pub(crate) news: VecDeque<(usize, News)>,
    /// Frames between nodes that need not arrive are lost.
    pub(crate) lose_frames: bool,
    /// Frames between these shards are held back.
    pub(crate) held_pairs: BTreeSet<(usize, usize)>,
    pub(crate) names: Names,
    pub(crate) store: Store,
    pub(crate) asked: VecDeque<Asked>,
    pub(crate) mesh: BTreeMap<(usize, usize), VecDeque<MeshFrame>>,
    /// By name, the ones that were closed too.
    pub(crate) clients: BTreeMap<String, Client>,
    /// What earlier connections of the clients were told.
    pub(crate) earlier: Vec<(String, Followed)>,
    by_conn: BTreeMap<(usize, ConnId), String>,
    next_conn: u64,
    /// Kinds of questions to the store that are not answered for now.
    pub(crate) held: BTreeSet<String>,
    /// Kinds of questions that are refused.
    pub(crate) refused: BTreeMap<String, ErrorCode>,
    /// Kinds of questions, or `Hint`, that are told.
    pub(crate) watched: BTreeSet<String>,
    /// Kinds of questions that are carried out and answered later.
    pub(crate) delayed: BTreeSet<String>,
    pub(crate) late: Vec<(usize, Answered)>,
    pub(crate) seen: Vec<String>,
    pub(crate) replies: Vec<String>,
    /// Kicks that the API has asked for.
    pub(crate) kicks: u64,
    pub(crate) lose_hints: bool,
    pub(crate) lose_feeds: bool,
    late_hints: Vec<(usize, MeshFrame)>,
}

impl World {
    /// One node.
    pub(crate) fn new(shards: u16) -> Self {
        Self::cluster(1, shards)
    }

    /// Nodes of so many shards each, which own the partitions in turn.
    pub(crate) fn cluster(nodes: u64, shards: u16) -> Self {
        Self::pinging(nodes, shards, PING_MS)
    }

    /// The same, where a client is pinged after so much silence.
    pub(crate) fn pinging(nodes: u64, shards: u16, ping_ms: u64) -> Self {
        let now = Now { mono: Instant(5_000_000_000), wall: UnixMs(1_767_225_600_000) };
        let lives = (9..9 + nodes).map(Incarnation);
        let of = |incarnation| (0..shards).map(move |shard| Owner { incarnation, shard: ShardIndex(shard) });
        let owners: Vec<Owner> = lives.clone().flat_map(of).collect();
        let members = lives.map(|incarnation| Member { incarnation, shards, weight: shards, standing: Standing::Home });
        let table = (0..usize::from(PARTITIONS)).map(|at| owners[at % owners.len()]).collect();
        let view = Arc::new(View::new(Epoch(1), members.collect(), table));
        let shard = |&me: &Owner| Shard::new(Config { me, view: Arc::clone(&view), ping_ms }, now);
        Self {
            now,
            shards: owners.iter().map(shard).collect(),
            store: Store::new(Arc::clone(&view)),
            known: vec![Epoch(1); owners.len()],
            unaware: BTreeSet::new(),
            dead: BTreeSet::new(),
            news: VecDeque::new(),
            lose_frames: false,
            held_pairs: BTreeSet::new(),
            owners,
            first: Arc::clone(&view),
            view,
            names: Names::default(),
            asked: VecDeque::new(),
            mesh: BTreeMap::new(),
            clients: BTreeMap::new(),
            earlier: Vec::new(),
            by_conn: BTreeMap::new(),
            next_conn: 1,
            held: BTreeSet::new(),
            refused: BTreeMap::new(),
            watched: BTreeSet::new(),
            delayed: BTreeSet::new(),
            late: Vec::new(),
            seen: Vec::new(),
            replies: Vec::new(),
            kicks: 0,
            lose_hints: false,
            lose_feeds: false,
            late_hints: Vec::new(),
        }
    }

    pub(crate) fn owner(&self, shard: usize) -> Owner {
        self.owners[shard]
    }

    /// The shard of a name, if it is one here.
    fn shard_of(&self, owner: Owner) -> Option<usize> {
        self.owners.iter().position(|&one| one == owner)
    }

    /// One input, and all that comes of it into the queues.
    pub(crate) fn input(&mut self, shard: usize, input: Input<'_>) {
        self.shards[shard].handle(self.now, input);
        while let Some(question) = self.shards[shard].poll_question() {
            self.see(question.kind());
            let (epoch, version) = (self.known[shard], self.store.version);
            self.asked.push_back(Asked { shard, question, epoch, version });
        }
        while let Some(output) = self.shards[shard].poll_output() {
            self.output(shard, output);
        }
    }

    /// The same input at every shard.
    pub(crate) fn input_all(&mut self, input: impl Fn() -> Input<'static>) {
        for shard in (0..self.shards.len()).filter(|shard| !self.dead.contains(shard)).collect::<Vec<_>>() {
            self.input(shard, input());
        }
    }

    fn output(&mut self, shard: usize, output: Output) {
        match output {
            Output::Send { conn, frame } => {
                let client = at(&mut self.clients, &self.by_conn, (shard, conn));
                client.undrained_bytes += u32::try_from(frame.len()).expect("small");
                client.hear(&frame, &self.names);
            }
            Output::Ping { conn } => {
                let client = self.at(shard, conn);
                if client.silent {
                    client.told.push("ping".to_owned());
                } else {
                    self.input(shard, Input::Heard { conn });
                }
            }
            Output::Close { conn, code } => {
                let client = self.at(shard, conn);
                client.closed = Some(code.into());
                client.told.push(format!("closed {}", u16::from(code)));
            }
            Output::Reads { conn, on } => {
                let client = self.at(shard, conn);
                assert_ne!(client.reads_on, on, "a change is told once");
                client.reads_on = on;
                client.told.push(format!("reads {}", if on { "on" } else { "off" }));
            }
            Output::Mesh { frame } => self.mesh_out(shard, frame),
            // Whether it hears is the row's to say.
            Output::Outdated { epoch } => self.see(&format!("Outdated{}", epoch.0)),
            Output::Lost { incarnation } => {
                let peer = self.owners.iter().position(|owner| owner.incarnation == incarnation).expect("a node");
                self.lose_peers(shard, peer);
            }
            Output::Reply { ticket, reply } => {
                let reply = reply.map_or_else(|refusal| format!("!{}", u16::from(refusal.code)), |_| "ok".to_owned());
                let ticket = if ticket > 1_000_000 { "kick".to_owned() } else { ticket.to_string() };
                self.replies.push(format!("{ticket} {reply}"));
            }
        }
    }

    fn see(&mut self, kind: &str) {
        if self.watched.contains(kind) {
            self.seen.push(kind.to_owned());
        }
    }

    fn at(&mut self, shard: usize, conn: ConnId) -> &mut Client {
        at(&mut self.clients, &self.by_conn, (shard, conn))
    }

    /// How often a kind that is watched was seen.
    pub(crate) fn seen(&self, kind: &str) -> usize {
        self.seen.iter().filter(|seen| *seen == kind).count()
    }

    /// Events that all shards have encoded.
    pub(crate) fn encoded(&self) -> u64 {
        self.shards.iter().map(|shard| shard.stats().events_encoded).sum()
    }
}

/// The client of a connection that is open.
fn at<'a>(
    clients: &'a mut BTreeMap<String, Client>,
    names: &BTreeMap<(usize, ConnId), String>,
    of: (usize, ConnId),
) -> &'a mut Client {
    clients.get_mut(&names[&of]).filter(|client| client.conn == of.1).expect("not spoken to after its close")
}
