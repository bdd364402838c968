//! Operations about which applications are asked before they are carried out.
//!
//! Owns which are worth a question, and what of the channel says whom to ask. What they answer is judged by the operation's own
//! transaction, which alone knows for sure; this is a look before.

use schema::op::ChannelKind;
use schema::record::{ChannelRecord, HookRecord};
use schema::{ChannelId, ChannelOp, ClientMsgId, UserId};

use crate::keys::{self, DedupKey};
use crate::{LayerError, channels, read, recent, unreadable};
use kv::join;
use kv::transaction::{Engine, Transaction};

/// What a look at an operation shows of whether applications are to be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Screening {
    /// They are not: it is nothing that is asked about, or has its first reply already.
    Passes,
    /// Its user is no member, or there is no such channel: the channel's home says so, unless that has changed by then.
    NoMember,
    /// They are, about a channel of this kind.
    Asks(ChannelKind),
}

/// Whether applications are to be asked about an operation.
///
/// # Errors
/// The store's, and damage.
pub async fn screening<E: Engine>(engine: &E, channel: ChannelId, op: &ChannelOp) -> Result<Screening, LayerError> {
    let Some((user, id)) = named(op) else { return Ok(Screening::Passes) };
    let keys = [DedupKey { channel, user, id }.to_key(), keys::channel(channel)];
    read!(engine, recent(engine), |tx| {
        let rows = async { tx.get_all(&keys).await.map_err(LayerError::from) };
        let is_member = async {
            match channels::membership(&tx, user, channel).await {
                Ok(_) => Ok(true),
                Err(LayerError::Refused(_)) => Ok(false),
                Err(error) => Err(error),
            }
        };
        let (rows, is_member) = join::both(rows, is_member).await?;
        if rows[0].is_some() {
            return Ok(Screening::Passes);
        }
        let record = unreadable::refuse_some(&keys[1], rows[1].as_ref(), ChannelRecord::decode)?;
        // Of a feed nobody is a member: its home judges who may do what.
        let may = |record: &ChannelRecord| is_member || record.kind == ChannelKind::Feed;
        Ok(record.filter(may).map_or(Screening::NoMember, |record| Screening::Asks(record.kind)))
    })
}

/// User and name of an operation that is asked about.
fn named(op: &ChannelOp) -> Option<(UserId, ClientMsgId)> {
    if let ChannelOp::Edit(edit) = op { Some((edit.by, edit.op_id)) } else { op.sends() }
}

/// Whether a hook is asked about operations of a channel of this kind.
#[must_use]
pub fn wants_before(record: &HookRecord, channel: ChannelId, kind: ChannelKind) -> bool {
    let HookRecord { kinds, channels, .. } = record;
    (*kinds == 0 || kinds & schema::hook::channel_kind_bit(kind) != 0)
        && (channels.is_empty() || channels.contains(&channel))
}
