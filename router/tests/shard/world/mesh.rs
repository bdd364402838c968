//! Frames between shards: what is under way, what is lost or comes too late, and what shards hear of their links.

use std::collections::VecDeque;

use router::Input;
use schema::mesh::{LiveBody, LiveEvent, MeshBody, MeshFrame};
use schema::{ChannelId, Epoch, ErrorCode, Incarnation, Owner, Refusal, SessionId, ShardIndex, UserId};

use super::World;
use crate::script::parts;

/// What a shard hears of its links to another node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum News {
    PeerLost(Incarnation),
    Gap(Incarnation),
}

impl World {
    /// Whether two shards are of different nodes.
    pub(crate) fn is_far(&self, (from, to): (usize, usize)) -> bool {
        self.owners[from].incarnation != self.owners[to].incarnation
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

    pub(super) fn mesh_out(&mut self, shard: usize, frame: MeshFrame) {
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

    /// The oldest frame between two shards arrives.
    pub(crate) fn carry(&mut self, pair: (usize, usize)) {
        let frame = self.mesh.get_mut(&pair).and_then(VecDeque::pop_front).expect("a frame is under way");
        self.input(pair.1, Input::Mesh { frame });
    }

    /// Two shards between which a frame is under way.
    pub(crate) fn busy_pair(&self) -> Option<(usize, usize)> {
        let may_go =
            |pair: &(usize, usize), frames: &VecDeque<_>| !frames.is_empty() && !self.held_pairs.contains(pair);
        self.mesh.iter().find(|(pair, frames)| may_go(pair, frames)).map(|(&pair, _)| pair)
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

    /// Posts come into the feeds of users: a node's fan-out tells its first shard, whoever their homes are.
    pub(crate) fn feeds_grow(&mut self, users: &str, count: u32) {
        let users = users.chars().map(|user| self.user(&user.to_string())).collect();
        let event = LiveEvent { channel: ChannelId(0), users, body: LiveBody::FeedHead { count } };
        let (me, body) = (self.owners[0], MeshBody::Live { events: vec![event] });
        self.input(0, Input::Mesh { frame: MeshFrame { from: me, to: me, epoch: self.view.epoch, body } });
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
}
