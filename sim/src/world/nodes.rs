//! The nodes as the world knows them: which of them run, stand still, are to stop, and what their shards wait for.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

use schema::Incarnation;
use schema::mesh::MeshFrame;

use crate::plan::NODES_MAX;
use crate::rng::Rng;

/// Frames that are remembered of a node's lives.
const HEARD_MAX: usize = 4_096;

/// Names of the nodes on the simulated network. A world has the first few.
pub(crate) const HOSTS: [&str; NODES_MAX] = ["n1", "n2", "n3", "n4", "n5"];

/// One node, over all its lives.
#[derive(Debug)]
pub(crate) struct Node {
    /// Its name on the network.
    pub(crate) host: &'static str,
    /// Whether its process runs, or is to.
    pub(crate) is_up: Cell<bool>,
    /// Whether its present life takes clients: where discovery sends them.
    pub(crate) serves: Cell<bool>,
    /// Until when its process stands still.
    pub(crate) stands_until_ms: Cell<u64>,
    /// Its present life; none between two.
    life: Cell<Option<u64>>,
    /// The life that was asked to stop.
    drains: Cell<Option<u64>>,
    /// Operations of the present life without an answer, by shard.
    pending: RefCell<BTreeMap<u16, u64>>,
    /// Frames that its lives were told, for a planted bug.
    heard: RefCell<VecDeque<MeshFrame>>,
    /// Its lives, as its data directory names them: who starts there knows that those before it are over.
    lives: RefCell<BTreeSet<Incarnation>>,
}

impl Node {
    pub(super) fn new(host: &'static str, is_up: bool) -> Self {
        Self {
            host,
            is_up: Cell::new(is_up),
            serves: Cell::default(),
            stands_until_ms: Cell::default(),
            life: Cell::default(),
            drains: Cell::default(),
            pending: RefCell::default(),
            heard: RefCell::default(),
            lives: RefCell::default(),
        }
    }

    /// A frame came to its present life. The oldest makes room.
    pub(crate) fn hear(&self, frame: MeshFrame) {
        let mut heard = self.heard.borrow_mut();
        heard.push_back(frame);
        if heard.len() > HEARD_MAX {
            heard.pop_front();
        }
    }

    /// Any frame that a life of it was told.
    pub(crate) fn heard(&self, rng: &mut Rng) -> Option<MeshFrame> {
        let heard = self.heard.borrow();
        (!heard.is_empty()).then(|| heard[rng.index(heard.len())].clone())
    }

    pub(super) fn begin_life(&self, life: u64) {
        self.pending.borrow_mut().clear();
        self.life.set(Some(life));
    }

    /// A life begins in its data directory. Those that were there before.
    pub(crate) fn note_life(&self, incarnation: Incarnation) -> BTreeSet<Incarnation> {
        let mut lives = self.lives.borrow_mut();
        let before = lives.clone();
        lives.insert(incarnation);
        before
    }

    /// Its present life is over, or was killed. The life, if there was one.
    pub(super) fn end_life(&self) -> Option<u64> {
        self.pending.borrow_mut().clear();
        self.serves.set(false);
        self.stands_until_ms.set(0);
        self.life.take()
    }

    /// Whether a life of it goes on.
    pub(crate) fn is_alive(&self) -> bool {
        self.life.get().is_some()
    }

    /// What a shard of a life waits for.
    pub(crate) fn set_pending(&self, life: u64, shard: u16, operations: u64) {
        if self.life.get() == Some(life) {
            self.pending.borrow_mut().insert(shard, operations);
        }
    }

    /// Operations that the shards of the present life have not answered.
    pub(crate) fn pending(&self) -> u64 {
        self.pending.borrow().values().sum()
    }

    /// The present life is to stop, as by a signal.
    pub(crate) fn ask_to_drain(&self) {
        self.drains.set(self.life.get());
    }

    pub(crate) fn is_asked_to_drain(&self, life: u64) -> bool {
        self.drains.get() == Some(life)
    }
}
