//! Frames between the shards of the node: delayed, in order for each pair, and some lost.
//!
//! Real mailboxes lose frames only when they are full; here it happens at any time, since none has to arrive.

use std::rc::Rc;
use std::time::Duration;

use schema::Owner;
use schema::mesh::{MeshBody, MeshFrame};
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};
use tokio::time::Instant;

use crate::rng::Rng;
use crate::trace::{digest, note};
use crate::world::World;

use super::shard::Event;

type Due = (Instant, MeshFrame);

/// The ways from one shard to all.
pub(super) struct Links {
    world: Rc<World>,
    me: Owner,
    links: Vec<UnboundedSender<Due>>,
    rng: Rng,
}

impl Links {
    pub(super) fn new(world: &Rc<World>, me: Owner, shards: &[UnboundedSender<Event>], rng: &Rng) -> Self {
        let link = |shard: &UnboundedSender<Event>| {
            let (link, frames) = mpsc::unbounded_channel();
            tokio::task::spawn_local(carry(frames, shard.clone()));
            link
        };
        Self { world: Rc::clone(world), me, links: shards.iter().map(link).collect(), rng: rng.part("links") }
    }

    pub(super) fn me(&self) -> Owner {
        self.me
    }

    pub(super) fn send(&mut self, to: Owner, frame: MeshFrame) {
        let loss_permille = match frame.body {
            MeshBody::Hint { .. } => self.world.plan.hint_loss_permille,
            _ => self.world.plan.mesh_loss_permille,
        };
        let mut bytes = Vec::new();
        frame.encode(&mut bytes);
        let (from, to) = (self.me.shard.0, to.shard.0);
        if self.world.is_hostile() && self.rng.chance(loss_permille) {
            note!(self.world.trace, "mesh: {from} to {to} lost {} bytes", bytes.len());
            return;
        }
        note!(self.world.trace, "mesh: {from} to {to} {} bytes {:x}", bytes.len(), digest(&bytes));
        let delay = Duration::from_millis(self.rng.within(0..=self.world.plan.mesh_ms));
        // The other end lives as long as this one: both die with the node.
        let _ = self.links[usize::from(to)].send((Instant::now() + delay, frame));
    }
}

/// One frame after the other, so that none overtakes another.
async fn carry(mut frames: UnboundedReceiver<Due>, shard: UnboundedSender<Event>) {
    while let Some((due, frame)) = frames.recv().await {
        tokio::time::sleep_until(due).await;
        if shard.send(Event::Mesh(frame)).is_err() {
            return;
        }
    }
}
