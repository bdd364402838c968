//! The home of channels: which operations are taken on, in which order, and who is answered.
//!
//! Owns the operations of this shard's channels that are not durable yet, and their byte budget (I11). The order of a
//! channel is the order in which its operations leave here as [`StoreOp::Apply`] (I2, I4); a seq is only given, and
//! membership only judged, inside the append's transaction, because a retry is answered before membership (rule 1) and
//! only the store knows both. Answers leave when the transaction is durable, never before (I3).
//!
//! Limit: one core orders one channel, so a channel's peak rate is that core's rate.

use std::collections::BTreeMap;

use schema::limits::{PENDING_APPEND_BYTES_MAX, PENDING_APPENDS_MAX};
use schema::mesh::MeshBody;
use schema::{ChannelId, ChannelOp, ErrorCode, Instant, OpReply, Owner, Refusal};

use crate::effects::{Effects, Waiting};
use crate::io::StoreOp;

/// How long a channel goes on refusing after it refused for lack of room.
///
/// What its sessions had sent behind the refused message is under way for a round trip at most; taking one of those in
/// before the retry would turn their order around (rule 7).
const REFUSING_MS: u64 = 50;

/// When a client should ask again while the store takes no writes: disk space does not come back faster.
const WRITES_OFF_RETRY_MS: u32 = 5_000;

/// What each operation occupies beside its text.
const AROUND_BYTES: u32 = 256;

/// An operation that the store has, and who wants its answer.
#[derive(Debug)]
pub(crate) struct Admitted {
    channel: ChannelId,
    bytes: u32,
    asker: Owner,
    ticket: u64,
}

/// One channel with something under way.
#[derive(Debug, Default)]
struct Channel {
    pending: u32,
    refusing_until: Option<Instant>,
}

/// The channels of which this shard is home.
#[derive(Debug, Default)]
pub(crate) struct Channels {
    busy: BTreeMap<ChannelId, Channel>,
    pending: u32,
    pending_bytes: u32,
    /// The store takes no writes now.
    writes_off: bool,
}

impl Channels {
    /// Whether the store takes writes.
    pub(crate) fn set_writes(&mut self, on: bool) {
        self.writes_off = !on;
    }

    /// Takes an operation on, or refuses it.
    pub(crate) fn apply(
        &mut self,
        now: Instant,
        asker: Owner,
        ticket: u64,
        channel: ChannelId,
        op: ChannelOp,
        effects: &mut Effects,
    ) {
        if let Err(refusal) = self.room(now, channel, effects) {
            effects.mesh(asker, MeshBody::Applied { ticket, reply: Err(refusal) });
            return;
        }
        let bytes = weight_bytes(&op);
        self.busy.entry(channel).or_default().pending += 1;
        self.pending += 1;
        self.pending_bytes += bytes;
        let waiting = Waiting::Channel(Admitted { channel, bytes, asker, ticket });
        effects.store(StoreOp::Apply { channel, op }, waiting);
    }

    fn room(&mut self, now: Instant, channel: ChannelId, effects: &Effects) -> Result<(), Refusal> {
        if effects.placement.home_of_channel(channel) != effects.placement.me {
            return Err(Refusal::new(ErrorCode::Moving, "the channel has another home now, send it again"));
        }
        if self.writes_off {
            let message = "the node is short of disk and takes nothing new, try again later";
            return Err(Refusal::new(ErrorCode::StorageUnavailable, message).after_ms(WRITES_OFF_RETRY_MS));
        }
        let full = self.pending >= PENDING_APPENDS_MAX || self.pending_bytes >= PENDING_APPEND_BYTES_MAX;
        let refusing = self.busy.get(&channel).and_then(|busy| busy.refusing_until).is_some_and(|until| now < until);
        if full || refusing {
            self.busy.entry(channel).or_default().refusing_until = Some(now.plus_ms(REFUSING_MS));
            let message = format!(
                "{} operations of {} bytes wait for the store, send it again later",
                self.pending, self.pending_bytes
            );
            let after_ms = u32::try_from(REFUSING_MS * 2).expect("100 ms");
            return Err(Refusal::new(ErrorCode::Overloaded, message).after_ms(after_ms));
        }
        Ok(())
    }

    /// The store has answered.
    pub(crate) fn applied(
        &mut self,
        now: Instant,
        admitted: Admitted,
        reply: Result<OpReply, Refusal>,
        effects: &mut Effects,
    ) {
        let Admitted { channel, bytes, asker, ticket } = admitted;
        self.pending -= 1;
        self.pending_bytes -= bytes;
        let busy = self.busy.get_mut(&channel).expect("I12: an admitted operation keeps its channel");
        busy.pending -= 1;
        if busy.pending == 0 && busy.refusing_until.is_none_or(|until| until <= now) {
            self.busy.remove(&channel);
        }
        effects.mesh(asker, MeshBody::Applied { ticket, reply });
    }

    /// Forgets channels that have nothing under way and refuse no longer.
    pub(crate) fn tick(&mut self, now: Instant) {
        self.busy.retain(|_, busy| busy.pending > 0 || busy.refusing_until.is_some_and(|until| now < until));
    }

    /// Operations that the store has not answered.
    pub(crate) fn pending(&self) -> u32 {
        self.pending
    }
}

fn weight_bytes(op: &ChannelOp) -> u32 {
    let text = match op {
        ChannelOp::Send(send) => send.body.len() + send.mentions.len() * 8,
        ChannelOp::Create(create) => create.title.len() + create.members.len() * 8,
        ChannelOp::Mark { .. } | ChannelOp::AddMember { .. } | ChannelOp::RemoveMember { .. } => 0,
    };
    AROUND_BYTES.saturating_add(u32::try_from(text).unwrap_or(u32::MAX))
}
