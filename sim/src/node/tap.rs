//! Tap on what comes from another node, before the shard that holds the stream hears it: frames are counted, and planted
//! bugs of links change what is heard.

use std::borrow::Cow;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use host::driver::{Mail, Orders};
use link::record::{Reader, Record};
use schema::mesh::{MeshBody, MeshFrame};
use schema::{ChannelOp, ShardIndex, Stamp};
use tokio::time::sleep;

use crate::options::Planted;
use crate::rng::Rng;
use crate::world::World;

use super::mailbox::Mailbox;
use super::peering::Peering;

/// Of 1,000 frames that must arrive those that a link forgets.
const FORGOTTEN_PERMILLE: u32 = 500;
/// How often a frame of an earlier life is heard again.
const AGAIN: Duration = Duration::from_millis(3);

/// The records of one stream.
pub(super) struct Tap {
    world: Rc<World>,
    /// The node that hears.
    at: usize,
    rng: Rng,
    reader: Reader,
}

impl Tap {
    pub(super) fn new(world: Rc<World>, at: usize, rng: Rng) -> Self {
        Self { world, at, rng, reader: Reader::default() }
    }

    /// What a shard hears of what came.
    pub(super) fn pass(&mut self, came: Vec<u8>) -> Vec<u8> {
        let (mut input, mut heard, mut frames) = (&came[..], Vec::new(), 0);
        while let Ok(Some(content)) = self.reader.next(&mut input) {
            match Record::take(content).expect("nodes of this program send records") {
                Record::Frame { seq, version, frame } => {
                    frames += 1;
                    self.world.trace.aside(|| {
                        let MeshFrame { from, to, epoch, body } = decoded(frame);
                        format!("n{}: hears #{seq} of {from} for {to}, epoch {}: {body:?}", self.at + 1, epoch.0)
                    });
                    let frame = take(&self.world, self.at, &mut self.rng, frame);
                    Record::Frame { seq, version, frame: &frame }.put(&mut heard);
                }
                record @ (Record::Resume { .. } | Record::Beat { .. }) => record.put(&mut heard),
            }
        }
        self.world.met.borrow_mut().frames_between_nodes += frames;
        if self.is_tapped() { heard } else { came }
    }

    /// Whether what is heard is not simply what came. A record is heard once it is whole.
    fn is_tapped(&self) -> bool {
        let planted = self.world.options.planted;
        matches!(planted, Some(Planted::LinkForgetsAFrameThatMustArrive | Planted::OneIsForgotten))
    }
}

fn decoded(frame: &[u8]) -> MeshFrame {
    MeshFrame::decode(frame).expect("nodes of this program send frames")
}

/// The frame that is heard for one that came, and that a planted bug may come back to.
fn take<'a>(world: &World, at: usize, rng: &mut Rng, came: &'a [u8]) -> Cow<'a, [u8]> {
    match world.options.planted {
        Some(Planted::LinkForgetsAFrameThatMustArrive) => {
            let frame = decoded(came);
            let is_forgotten = frame.body.must_arrive() && rng.chance(FORGOTTEN_PERMILLE);
            if is_forgotten { Cow::Owned(nothing(frame)) } else { Cow::Borrowed(came) }
        }
        Some(Planted::OneIsForgotten) => {
            let frame = decoded(came);
            if is_forgotten(world, &frame.body) { Cow::Owned(nothing(frame)) } else { Cow::Borrowed(came) }
        }
        Some(Planted::OldLifeAccepted | Planted::RetriesWhatHasNoReply) => {
            let frame = decoded(came);
            if is_kept(world.options.planted, &frame.body) {
                world.nodes[at].hear(frame);
            }
            Cow::Borrowed(came)
        }
        Some(_) | None => Cow::Borrowed(came),
    }
}

/// Whether a planted bug may come back to such a frame.
fn is_kept(planted: Option<Planted>, body: &MeshBody) -> bool {
    match (planted, body) {
        (Some(Planted::OldLifeAccepted), _) => true,
        (Some(Planted::RetriesWhatHasNoReply), MeshBody::Apply { op, .. }) => {
            matches!(op, ChannelOp::AddMember { .. } | ChannelOp::RemoveMember { .. })
        }
        _ => false,
    }
}

/// In the place of a frame whose number must not be missed: an old hint, of which nothing follows.
fn nothing(frame: MeshFrame) -> Vec<u8> {
    let body = MeshBody::Hint { stamp: Stamp::default(), events: Vec::new() };
    let mut bytes = Vec::new();
    MeshFrame { body, ..frame }.encode(&mut bytes);
    bytes
}

/// Planted bug: what the first user's home does not hear for a while, after nothing goes wrong any more.
pub(super) fn is_forgotten(world: &World, body: &MeshBody) -> bool {
    world.is_one_forgotten() && matches!(body, MeshBody::More(more) if more.user == world.users[0])
}

/// Planted bugs: what was heard before is heard again, as if it were meant for now.
pub(super) async fn hear_again(peering: Rc<Peering>, orders: Arc<Orders>, shards: Vec<Mailbox>) {
    let (world, at, me) = (&peering.world, peering.life.at, peering.life.incarnation);
    let mut rng = peering.rng.part("again");
    loop {
        sleep(AGAIN).await;
        // Once all is well nothing comes that nobody sent, or it would never be quiet.
        if !world.is_hostile() {
            continue;
        }
        let (Some(mut frame), Some(view)) = (world.nodes[at].heard(&mut rng), orders.view()) else { continue };
        match (world.options.planted, &frame.body) {
            // By an earlier life of the node.
            (Some(Planted::OldLifeAccepted), _) if frame.to.incarnation != me => frame.to.incarnation = me,
            // To whoever is the home now.
            (Some(Planted::RetriesWhatHasNoReply), MeshBody::Apply { channel, .. }) => {
                let home = view.home_of_channel(*channel);
                if home.incarnation != me {
                    continue;
                }
                (frame.to, frame.epoch) = (home, view.epoch);
            }
            _ => continue,
        }
        let shard = usize::from(frame.to.shard.0) % shards.len();
        frame.to.shard = ShardIndex(u16::try_from(shard).expect("shards are few"));
        // One that finds no room is as good as lost.
        let _ = shards[shard].push(Mail::Mesh(frame));
    }
}
