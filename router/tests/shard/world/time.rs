//! Time in the world: what happens without any, what happens as it passes, and that nothing is left in the end.

use router::{Input, Shard, Stats};
use schema::{Instant, Now};

use super::World;
use super::questions::Asked;

impl World {
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
}
