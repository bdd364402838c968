//! Shards, what travels between them, clients and a store, on one clock.
//!
//! Owns every queue between them, so that a row can have all of it happen at once and a seed in any order. Frames
//! between shards go as bytes.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use router::{Answered, Ask, Config, ConnId, Input, Output, Question, Shard, Stats, ring, store};
use schema::limits::PARTITIONS;
use schema::mesh::{Kicked, MeshBody, MeshFrame};
use schema::{
    ChannelId, Encoding, Epoch, ErrorCode, Incarnation, Instant, Member, Now, Owner, Partition, Refusal, SessionId,
    ShardIndex, Standing, UnixMs, UserId, View,
};

use crate::client::{Client, Followed};
use crate::script::parts;
use crate::store::{Committed, Store};

/// Names of channels, by their ids.
#[derive(Default)]
pub(crate) struct Names {
    channels: BTreeMap<ChannelId, String>,
    users: BTreeMap<UserId, String>,
    /// Whether channels without a name may be spoken of.
    pub(crate) is_odd: bool,
}

impl Names {
    pub(crate) fn channel(&self, id: ChannelId) -> &str {
        match self.channels.get(&id) {
            Some(name) => name,
            None if self.is_odd => "?",
            None => panic!("{id} has no name"),
        }
    }

    pub(crate) fn user(&self, id: UserId) -> &str {
        self.users.get(&id).map_or("?", String::as_str)
    }

    pub(crate) fn is_large(&self, id: ChannelId) -> bool {
        self.channels.get(&id).is_some_and(|name| name.starts_with('L'))
    }

    pub(crate) fn id(&self, channel: &str) -> ChannelId {
        let named = self.channels.iter().find(|(_, name)| *name == channel);
        *named.unwrap_or_else(|| panic!("{channel} is not there")).0
    }

    /// The word that a text begins with: bodies may be filled up to a size.
    pub(crate) fn short<'a>(&self, text: &'a str) -> &'a str {
        text.split('_').next().unwrap_or_default()
    }
}

/// A question to the store without an answer.
pub(crate) struct Asked {
    pub(crate) shard: usize,
    pub(crate) question: Question,
    /// The view of the shard when it was asked.
    pub(crate) epoch: Epoch,
    /// The store's version when it was asked.
    pub(crate) version: u64,
}

impl Asked {
    pub(crate) fn kind(&self) -> &'static str {
        self.question.kind()
    }

    pub(crate) fn is_apply_of(&self, shard: usize) -> bool {
        self.shard == shard && matches!(self.question, Question::Apply(_))
    }
}

/// What a shard hears of its links to another node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum News {
    PeerLost(Incarnation),
    Gap(Incarnation),
}

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
        let now = Now { mono: Instant(5_000_000_000), wall: UnixMs(1_767_225_600_000) };
        let lives = (9..9 + nodes).map(Incarnation);
        let of = |incarnation| (0..shards).map(move |shard| Owner { incarnation, shard: ShardIndex(shard) });
        let owners: Vec<Owner> = lives.clone().flat_map(of).collect();
        let members = lives.map(|incarnation| Member { incarnation, shards, weight: shards, standing: Standing::Home });
        let table = (0..usize::from(PARTITIONS)).map(|at| owners[at % owners.len()]).collect();
        let view = Arc::new(View::new(Epoch(1), members.collect(), table));
        let shard = |&me: &Owner| Shard::new(Config { me, view: Arc::clone(&view) }, now);
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

    /// Whether two shards are of different nodes.
    pub(crate) fn is_far(&self, (from, to): (usize, usize)) -> bool {
        self.owners[from].incarnation != self.owners[to].incarnation
    }

    /// The partition of a user, which is a letter, or of a channel.
    pub(crate) fn partition(&mut self, name: &str) -> Partition {
        if name.len() == 1 { Partition::of_user(self.user(name)) } else { Partition::of_channel(self.channel(name)) }
    }

    /// Another view is committed, in which these partitions have other owners. Nobody knows of it yet.
    pub(crate) fn change(&mut self, moved: impl IntoIterator<Item = (Partition, usize)>) {
        let mut table = self.view.owners().to_vec();
        for (partition, to) in moved {
            table[partition.index()] = self.owners[to];
        }
        let members = self.view.members().to_vec();
        self.set_view(self.view.next(members, table));
    }

    fn set_view(&mut self, view: View) {
        self.view = Arc::new(view);
        self.store.change(Arc::clone(&self.view));
    }

    pub(crate) fn moves(&mut self, names: &str, to: usize) {
        let moved: Vec<(Partition, usize)> = names.split('+').map(|name| (self.partition(name), to)).collect();
        self.change(moved);
    }

    /// A shard hears of the view that stands.
    pub(crate) fn learn(&mut self, shard: usize) {
        if self.known[shard] < self.view.epoch {
            self.known[shard] = self.view.epoch;
            let view = Arc::clone(&self.view);
            self.input(shard, Input::View { view, version: self.store.version });
        }
    }

    /// A shard that may hear of a newer view.
    pub(crate) fn behind(&self) -> Option<usize> {
        let is_behind = |shard: &usize| {
            self.known[*shard] < self.view.epoch && !self.unaware.contains(shard) && !self.dead.contains(shard)
        };
        (0..self.shards.len()).find(is_behind)
    }

    /// A node dies, with its sessions and all that is on its way to it or from it; the others share what it had.
    pub(crate) fn die(&mut self, shard: usize) {
        let life = self.owners[shard].incarnation;
        let of_node: Vec<usize> = (0..self.shards.len()).filter(|&one| self.owners[one].incarnation == life).collect();
        self.dead.extend(&of_node);
        self.mesh.retain(|(from, to), _| !of_node.contains(from) && !of_node.contains(to));
        self.asked.retain(|asked| !of_node.contains(&asked.shard));
        self.late.retain(|(shard, _)| !of_node.contains(shard));
        self.news.retain(|(shard, _)| !of_node.contains(shard));
        for client in self.clients.values_mut().filter(|client| of_node.contains(&client.shard)) {
            client.closed.get_or_insert(0);
        }
        let members: Vec<Member> =
            self.view.members().iter().copied().filter(|member| member.incarnation != life).collect();
        let table = ring::propose(Some(&self.view), &members, 0).expect("somebody is left");
        self.set_view(self.view.next(members, table));
    }

    /// All that two nodes were to tell each other is lost, and their shards are yet to hear it.
    pub(crate) fn lose_peers(&mut self, one: usize, other: usize) {
        let (one, other) = (self.owners[one].incarnation, self.owners[other].incarnation);
        let between = |from: Incarnation, to: Incarnation| (from, to) == (one, other) || (from, to) == (other, one);
        for (&(from, to), frames) in &mut self.mesh {
            if between(self.owners[from].incarnation, self.owners[to].incarnation) {
                frames.clear();
            }
        }
        self.tell_both(one, other, News::PeerLost);
    }

    /// Some frames between two nodes were lost, and their shards are yet to hear it.
    pub(crate) fn tell_gap(&mut self, one: usize, other: usize) {
        let (one, other) = (self.owners[one].incarnation, self.owners[other].incarnation);
        self.tell_both(one, other, News::Gap);
    }

    fn tell_both(&mut self, one: Incarnation, other: Incarnation, news: impl Fn(Incarnation) -> News) {
        for shard in (0..self.shards.len()).filter(|shard| !self.dead.contains(shard)) {
            match self.owners[shard].incarnation {
                life if life == one => self.news.push_back((shard, news(other))),
                life if life == other => self.news.push_back((shard, news(one))),
                _ => {}
            }
        }
    }

    /// The API at a shard has ended a login that nobody has.
    pub(crate) fn kicks(&mut self, user: &str, shard: usize) {
        let user = self.user(user);
        self.kicks += 1;
        let (ticket, whose) = (1_000_000 + self.kicks, Kicked::Family(99));
        self.input(shard, Input::Kick { ticket, user, whose });
    }

    /// A shard hears of its links.
    pub(crate) fn hear(&mut self, at: usize) {
        let (shard, news) = self.news.remove(at).expect("it is to be heard");
        self.input(
            shard,
            match news {
                News::PeerLost(incarnation) => Input::PeerLost { incarnation },
                News::Gap(incarnation) => Input::Gap { incarnation },
            },
        );
    }

    /// A user by name. The homes of `a`, `c`, … and of `b`, `d`, … differ if there are two shards.
    pub(crate) fn user(&mut self, name: &str) -> UserId {
        let shards = self.shards.len();
        let view = &self.first;
        let number = name.bytes().fold(0, |sum, byte| sum * 256 + u64::from(byte));
        let home = self.owners[usize::try_from(number).expect("short") % shards];
        let id = (number << 16..).map(UserId).find(|&id| view.home_of_user(id) == home);
        let id = *self.store.users.entry(name.to_owned()).or_insert(id.expect("half of them are"));
        self.names.users.insert(id, name.to_owned());
        id
    }

    /// The shard that is a user's home.
    pub(crate) fn home_of(&mut self, name: &str) -> usize {
        let user = self.user(name);
        let home = self.view.home_of_user(user);
        self.shard_of(home).expect("a view names shards that there are")
    }

    /// A channel, named by its members, who are letters; a large one has an `L` before them.
    pub(crate) fn channel(&mut self, name: &str) -> ChannelId {
        let (large, letters) = name.strip_prefix('L').map_or((false, name), |letters| (true, letters));
        let members = letters.chars().map(|letter| self.user(&letter.to_string())).collect();
        self.channel_of(name, large, members)
    }

    pub(crate) fn channel_of(&mut self, name: &str, large: bool, members: Vec<UserId>) -> ChannelId {
        let number = name.bytes().fold(0, |sum: u64, byte| sum.wrapping_mul(31).wrapping_add(u64::from(byte)));
        let id = ChannelId(number);
        self.names.channels.insert(id, name.to_owned());
        self.store.channel(id, large, members);
        id
    }

    pub(crate) fn open(&mut self, name: &str, shard: usize, encoding: Encoding) {
        let conn = ConnId(self.next_conn);
        self.next_conn += 1;
        self.by_conn.insert((shard, conn), name.to_owned());
        let mut client = Client::new(name, shard, conn, encoding);
        if let Some(earlier) = self.clients.remove(name) {
            assert!(earlier.closed.is_some(), "{name} is open");
            // The same client comes back: it remembers what it was told.
            client.cursor = earlier.cursor;
            self.earlier.push((earlier.name, earlier.followed));
            client.pushed = earlier.pushed;
            client.told = earlier.told;
        }
        self.clients.insert(name.to_owned(), client);
        self.input(shard, Input::Accepted { conn, encoding });
    }

    pub(crate) fn client(&mut self, name: &str) -> &mut Client {
        self.clients.get_mut(name).unwrap_or_else(|| panic!("{name} was never opened"))
    }

    /// A message of a client arrives.
    pub(crate) fn message(&mut self, name: &str, payload: &[u8]) {
        let client = self.client(name);
        let ((shard, conn), text) = (client.socket(), client.encoding.is_text());
        self.input(shard, Input::Message { conn, text, payload });
    }

    pub(crate) fn leave(&mut self, name: &str) {
        let client = self.client(name);
        if client.closed.is_some() {
            return;
        }
        client.closed = Some(0);
        let (shard, conn) = client.socket();
        self.input(shard, Input::Closed { conn });
    }

    /// Bytes leave for a client.
    pub(crate) fn drain(&mut self, name: &str, bytes: u32) {
        let client = self.client(name);
        let bytes = bytes.min(client.undrained_bytes);
        client.undrained_bytes -= bytes;
        let (shard, conn) = client.socket();
        if client.closed.is_none() && bytes > 0 {
            self.input(shard, Input::Drained { conn, bytes });
        }
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

    fn mesh_out(&mut self, shard: usize, frame: MeshFrame) {
        let to = self.shard_of(frame.to).expect("frames go to shards that there are");
        if self.dead.contains(&to) || (self.lose_frames && self.is_far((shard, to)) && !frame.body.must_arrive()) {
            return;
        }
        if let MeshBody::Hint { .. } = frame.body {
            self.see("Hint");
        }
        if self.watched.contains("far") && self.is_far((shard, to)) {
            let body = format!("{:?}", frame.body);
            let kind = body.split(|c: char| !c.is_alphanumeric()).next().unwrap_or_default();
            self.seen.extend(["far".to_owned(), format!("far {kind}")]);
        }
        if self.lose_feeds && matches!(frame.body, MeshBody::Feed(_)) {
            return;
        }
        if self.lose_hints && matches!(frame.body, MeshBody::Hint { .. }) {
            self.late_hints.push((to, frame));
            return;
        }
        self.mesh.entry((shard, to)).or_default().push_back(frame);
    }

    fn see(&mut self, kind: &str) {
        if self.watched.contains(kind) {
            self.seen.push(kind.to_owned());
        }
    }

    fn at(&mut self, shard: usize, conn: ConnId) -> &mut Client {
        at(&mut self.clients, &self.by_conn, (shard, conn))
    }

    /// The oldest frame between two shards arrives.
    pub(crate) fn carry(&mut self, pair: (usize, usize)) {
        let frame = self.mesh.get_mut(&pair).and_then(VecDeque::pop_front).expect("a frame is under way");
        self.input(pair.1, Input::Mesh { frame });
    }

    /// Hints that were lost come after all, and may come again.
    pub(crate) fn late_hints_come(&mut self) {
        for (shard, frame) in self.late_hints.clone() {
            self.input(shard, Input::Mesh { frame });
        }
    }

    /// A session's home loses it.
    pub(crate) fn home_forgets(&mut self, name: &str) {
        let (shard, home, session, user) = self.session(name);
        self.frame(shard, home, Epoch(1), MeshBody::Unregister { session, user });
    }

    /// A session's home says that it does not know it.
    pub(crate) fn home_denies(&mut self, name: &str) {
        let (shard, home, session, _) = self.session(name);
        let start = Err(Refusal::new(ErrorCode::Moving, "denied by the test"));
        self.frame(home, shard, Epoch(1), MeshBody::Registered { session, attempt: 0, start });
    }

    /// A session is told something by a life that is in no view any more.
    pub(crate) fn stray_frame(&mut self, name: &str) {
        let (shard, _, session, _) = self.session(name);
        let stranger = Owner { incarnation: Incarnation(1), shard: ShardIndex(0) };
        let (from, to) = (stranger, self.owners[shard]);
        let frame = MeshFrame { from, to, epoch: Epoch(1), body: MeshBody::Replaced { session } };
        self.input(shard, Input::Mesh { frame });
    }

    /// An earlier life of a client's node is told something that a session of this one has the number of.
    pub(crate) fn strayed_frame(&mut self, name: &str) {
        let (shard, _, session, _) = self.session(name);
        let (from, to) = (self.owners[shard], Owner { incarnation: Incarnation(1), ..self.owners[shard] });
        let frame = MeshFrame { from, to, epoch: self.view.epoch, body: MeshBody::Replaced { session } };
        self.input(shard, Input::Mesh { frame });
    }

    /// A client's shard, the shard that is its user's home, its session and its user.
    fn session(&mut self, name: &str) -> (usize, usize, SessionId, UserId) {
        let user = self.user(parts(name, 1).0);
        let client = &self.clients[name];
        let home = self.shard_of(self.view.home_of_user(user)).expect("an owner is a shard");
        (client.shard, home, client.session.expect("it is connected"), user)
    }

    fn frame(&mut self, from: usize, to: usize, epoch: Epoch, body: MeshBody) {
        let frame = MeshFrame { from: self.owners[from], to: self.owners[to], epoch, body };
        self.input(to, Input::Mesh { frame });
    }

    /// How often a kind that is watched was seen.
    pub(crate) fn seen(&self, kind: &str) -> usize {
        self.seen.iter().filter(|seen| *seen == kind).count()
    }

    /// Events that all shards have encoded.
    pub(crate) fn encoded(&self) -> u64 {
        self.shards.iter().map(|shard| shard.stats().events_encoded).sum()
    }

    /// Everybody whose connection is open goes.
    pub(crate) fn all_leave(&mut self) {
        let open = self.clients.values().filter(|client| client.closed.is_none());
        let names: Vec<String> = open.map(|client| client.name.clone()).collect();
        for name in names {
            self.leave(&name);
        }
    }

    /// Two shards between which a frame is under way.
    pub(crate) fn busy_pair(&self) -> Option<(usize, usize)> {
        let may_go =
            |pair: &(usize, usize), frames: &VecDeque<_>| !frames.is_empty() && !self.held_pairs.contains(pair);
        self.mesh.iter().find(|(pair, frames)| may_go(pair, frames)).map(|(&pair, _)| pair)
    }

    /// Whatever the store held back is answered, everybody goes, and after a while nothing must be left of it.
    pub(crate) fn everybody_leaves(&mut self) {
        self.refused.clear();
        self.unaware.clear();
        self.held_pairs.clear();
        self.lose_frames = false;
        self.step("store releases");
        self.settle();
        self.all_leave();
        self.wait(25_000);
        let live = self.shards.iter().map(Shard::stats).enumerate().filter(|(shard, _)| !self.dead.contains(shard));
        for (shard, stats) in live {
            let Stats { events_encoded, live_dropped, pushes_written, logins, logins_per_s, counters, .. } = stats;
            let rest = Stats {
                events_encoded,
                live_dropped,
                pushes_written,
                logins,
                logins_per_s,
                counters,
                ..Stats::default()
            };
            assert_eq!(stats, rest, "I11: left on shard {shard}");
        }
    }

    /// Answers one question, at this version. An append takes those of its shard behind it along, up to `batch_max`.
    pub(crate) fn answer(&mut self, at: usize, version: u64, refuse: Option<ErrorCode>, batch_max: usize) {
        let Asked { shard, question, epoch, .. } = self.asked.remove(at).expect("it was asked");
        let refuse = refuse.map(|code| Refusal::new(code, "refused by the test"));
        if let Question::Apply(first) = question {
            return self.answer_appends(shard, first, refuse, batch_max);
        }
        let answered = match refuse {
            Some(refusal) => question.refuse(refusal),
            None => self.store.execute(self.now, (self.owners[shard], epoch), question, version),
        };
        if self.delayed.contains(answered.kind()) {
            self.late.push((shard, answered));
        } else {
            self.input(shard, Input::Answered(answered));
        }
    }

    fn answer_appends(&mut self, shard: usize, first: Ask<store::Apply>, refuse: Option<Refusal>, batch_max: usize) {
        let mut batch = vec![first];
        while batch.len() < batch_max
            && let Some(at) = self.asked.iter().position(|asked| asked.is_apply_of(shard))
            && let Some(Asked { question: Question::Apply(next), .. }) = self.asked.remove(at)
        {
            batch.push(next);
        }
        let (ops, pending): (Vec<_>, Vec<_>) = batch.into_iter().map(|ask| (ask.request, ask.pending)).unzip();
        let Committed { replies, hints, live, feeds } = match refuse {
            Some(refusal) => Committed { replies: vec![Err(refusal); ops.len()], ..Committed::default() },
            None => {
                let ops = ops.into_iter().map(|store::Apply { channel, op }| (channel, op));
                self.store.commit_by(self.now, self.owners[shard], ops)
            }
        };
        for (pending, reply) in pending.into_iter().zip(replies) {
            self.input(shard, Input::Answered(pending.answer(reply)));
        }
        self.input(shard, Input::Committed { hints, live, feeds });
    }

    /// Whether it is an append of a shard that goes by an old view: its appender keeps it until that has learnt of the
    /// view that stands.
    pub(crate) fn is_fenced(&self, asked: &Asked) -> bool {
        matches!(asked.question, Question::Apply(_)) && self.known[asked.shard] < self.view.epoch
    }

    /// Everything that can happen without time passing happens, in the order in which it was asked for.
    pub(crate) fn settle(&mut self) {
        for _ in 0..100_000 {
            let waiting = |asked: &Asked| !self.held.contains(asked.kind()) && !self.is_fenced(asked);
            if !self.news.is_empty() {
                self.hear(0);
            } else if let Some(shard) = self.behind() {
                self.learn(shard);
            } else if let Some(pair) = self.busy_pair() {
                self.carry(pair);
            } else if let Some(name) =
                self.clients.values().find(|c| c.reading && c.undrained_bytes > 0 && c.closed.is_none())
            {
                let (name, bytes) = (name.name.clone(), name.undrained_bytes);
                self.drain(&name, bytes);
            } else if let Some(at) = self.asked.iter().position(waiting) {
                let refuse = self.refused.get(self.asked[at].kind()).copied();
                self.answer(at, self.store.version, refuse, usize::MAX);
            } else {
                return;
            }
        }
        panic!("it never becomes quiet: {:?}", self.asked.front().map(Asked::kind));
    }

    /// Time passes, with a tick whenever a shard asked for one, and all that comes of it.
    pub(crate) fn wait(&mut self, ms: u64) {
        let end = self.now.mono.plus_ms(ms);
        self.settle();
        for _ in 0..1_000_000 {
            let live = (0..self.shards.len()).filter(|shard| !self.dead.contains(shard));
            let due = live.map(|shard| self.shards[shard].poll_timeout()).min().expect("a shard");
            if due > end {
                self.set_clock(end);
                return;
            }
            self.set_clock(due.max(self.now.mono));
            self.tick();
            self.settle();
        }
        panic!("shards want to be woken too often");
    }

    /// Time passes, and nothing happens but the ticks that are due then.
    pub(crate) fn pass(&mut self, ms: u64) {
        self.set_clock(self.now.mono.plus_ms(ms));
        self.tick();
    }

    fn tick(&mut self) {
        for shard in (0..self.shards.len()).filter(|shard| !self.dead.contains(shard)).collect::<Vec<_>>() {
            if self.shards[shard].poll_timeout() <= self.now.mono {
                self.input(shard, Input::Tick);
                let next = self.shards[shard].poll_timeout();
                assert!(next > self.now.mono, "I12: shard {shard} spins at {:?}", self.now.mono);
            }
        }
    }

    fn set_clock(&mut self, mono: Instant) {
        let ms = mono.0 / 1_000_000 - self.now.mono.0 / 1_000_000;
        self.now = Now { mono, wall: self.now.wall.plus_ms(ms) };
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
