//! Bytes to a mesh frame.
//!
//! Owns the mapping from `mesh.fbs` to values. The whole frame is verified before a field of it is read, and a value
//! that means nothing here refuses the whole frame: no frame must arrive.

use flatbuffers::{ForwardsUOffset, Vector, VerifierOptions};

use super::{MeshBody, MeshError, MeshFrame, More, SnapshotPlace, Target};
use crate::code::ErrorCode;
use crate::enums::Numbered as _;
use crate::event::{Event, EventBody, MemberChange, Role};
use crate::flat::{self, Illegal, VERIFIER};
use crate::generated::rookery::mesh as fb;
use crate::id::{ChannelId, Seq, SessionId, UserId};
use crate::message::MessageKind;
use crate::op::{ChannelKind, ChannelOp, CreateOp, OpReply, Refusal, SendOp};
use crate::position::{Cursor, Position, Stamp};
use crate::time::UnixMs;
use crate::view::{Epoch, Incarnation, Owner, ShardIndex};

/// Peers are nodes of the same cluster, so these guard against damage rather than malice.
///
/// Tables: a delivery has at most 65,536 events, since its targets count them in 16 bits, of 3 tables each, and about
/// as many targets. Apparent size: a home's content kept from hints, four times over.
const LIMITS: VerifierOptions = VerifierOptions {
    max_tables: 4 * 65_536,
    max_apparent_size: 4 * crate::limits::HINT_BYTES_MAX as usize,
    ..VERIFIER
};

/// What is wrong with a verified frame.
enum Wrong {
    Unknown { what: &'static str, number: u16 },
    Illegal(Illegal),
}

impl From<Illegal> for Wrong {
    fn from(illegal: Illegal) -> Self {
        Self::Illegal(illegal)
    }
}

fn unknown(what: &'static str, number: u8) -> Wrong {
    Wrong::Unknown { what, number: number.into() }
}

pub(super) fn frame(bytes: &[u8]) -> Result<MeshFrame, MeshError> {
    let damaged = |why| MeshError::Damaged { bytes: bytes.len(), why };
    let table = flatbuffers::root_with_opts::<fb::MeshFrame<'_>>(&LIMITS, bytes)
        .map_err(|error| damaged(flat::one_line(&error)))?;
    let from = Owner { incarnation: Incarnation(table.from().incarnation()), shard: ShardIndex(table.from().shard()) };
    match body(table) {
        Ok(body) => Ok(MeshFrame { from, epoch: Epoch(table.epoch()), body }),
        Err(Wrong::Unknown { what, number }) => Err(MeshError::Unknown { what, number }),
        Err(Wrong::Illegal(illegal)) => Err(damaged(illegal.to_string())),
    }
}

fn body(frame: fb::MeshFrame<'_>) -> Result<MeshBody, Wrong> {
    if let Some(apply) = frame.body_as_apply() {
        Ok(MeshBody::Apply { ticket: apply.ticket(), channel: ChannelId(apply.channel()), op: channel_op(apply)? })
    } else if let Some(applied) = frame.body_as_applied() {
        Ok(MeshBody::Applied { ticket: applied.ticket(), reply: op_result(applied)? })
    } else if let Some(hint) = frame.body_as_hint() {
        let stamp = Stamp { version: hint.stamp().version(), batch: hint.stamp().batch() };
        Ok(MeshBody::Hint { stamp, events: events(hint.events())? })
    } else if let Some(register) = frame.body_as_register() {
        Ok(MeshBody::Register {
            session: SessionId(register.session()),
            user: UserId(register.user()),
            device: register.device().parse().map_err(|_| Illegal::new("device", "no legal name"))?,
            cursor: register.cursor().map(cursor),
        })
    } else if let Some(registered) = frame.body_as_registered() {
        let start = match (registered.cursor(), registered.refused()) {
            (Some(from), None) => Ok(cursor(from)),
            (None, Some(why)) => Err(refusal(why)?),
            (Some(_), Some(_)) | (None, None) => {
                return Err(Illegal::new("registered", "not exactly one of cursor and refused").into());
            }
        };
        Ok(MeshBody::Registered { session: SessionId(registered.session()), start })
    } else if let Some(unregister) = frame.body_as_unregister() {
        let (session, user) = (SessionId(unregister.session()), UserId(unregister.user()));
        Ok(MeshBody::Unregister { session, user })
    } else if let Some(more) = frame.body_as_more() {
        Ok(MeshBody::More(asked_more(more)))
    } else if let Some(deliver) = frame.body_as_deliver() {
        let events = events(deliver.events())?;
        let target = |one| target(one, events.len());
        let targets = deliver.targets().into_iter().flatten().map(target).collect::<Result<_, _>>()?;
        Ok(MeshBody::Deliver { events, targets })
    } else if let Some(snapshot) = frame.body_as_snapshot() {
        Ok(MeshBody::Snapshot {
            session: SessionId(snapshot.session()),
            after: position(snapshot.after()),
            channels: snapshot.channels().map(flat::snapshot_channels).transpose()?.unwrap_or_default(),
            more: snapshot.more(),
            through: position(snapshot.through()),
        })
    } else if let Some(replaced) = frame.body_as_replaced() {
        Ok(MeshBody::Replaced { session: SessionId(replaced.session()) })
    } else {
        Err(unknown("body", frame.body_type().0))
    }
}

fn asked_more(more: fb::More<'_>) -> More {
    let place = |place: fb::SnapshotPlace<'_>| SnapshotPlace {
        through: position(place.through()),
        last: ChannelId(place.last()),
    };
    More {
        session: SessionId(more.session()),
        user: UserId(more.user()),
        after: position(more.after()),
        credit_bytes: more.credit_bytes(),
        snapshot: more.snapshot().map(place),
    }
}

fn target(target: fb::Target<'_>, events: usize) -> Result<Target, Illegal> {
    let indices: Vec<u16> = target.events().into_iter().flatten().collect();
    let within = indices.last().is_none_or(|&last| usize::from(last) < events);
    if !within || !indices.is_sorted() {
        return Err(Illegal::new("target", format!("its indices do not ascend within {events} events")));
    }
    Ok(Target {
        session: SessionId(target.session()),
        after: position(target.after()),
        through: position(target.through()),
        events: indices,
    })
}

fn events(tables: Option<Vector<'_, ForwardsUOffset<fb::Event<'_>>>>) -> Result<Vec<Event>, Wrong> {
    tables.into_iter().flatten().map(event).collect()
}

fn event(event: fb::Event<'_>) -> Result<Event, Wrong> {
    let body = if let Some(sent) = event.body_as_message() {
        EventBody::Message(flat::message(sent.message())?)
    } else if let Some(membership) = event.body_as_membership() {
        EventBody::Membership {
            user: UserId(membership.user()),
            change: MemberChange::known(membership.change(), "change")?,
            role: Role::known(membership.role(), "role")?,
        }
    } else if let Some(read) = event.body_as_read() {
        EventBody::Read { user: UserId(read.user()), read_seq: Seq(read.read_seq()) }
    } else {
        return Err(unknown("event", event.body_type().0));
    };
    Ok(Event { position: position(event.position()), channel: ChannelId(event.channel()), body })
}

fn channel_op(apply: fb::Apply<'_>) -> Result<ChannelOp, Wrong> {
    if let Some(send) = apply.op_as_send() {
        Ok(ChannelOp::Send(SendOp {
            from: UserId(send.from()),
            client_msg_id: flat::uuid(send.client_msg_id()),
            kind: MessageKind::known(send.kind(), "kind")?,
            body: send.body().into(),
            reply_to: send.reply_to().map(Seq),
            mentions: flat::users(send.mentions()),
        }))
    } else if let Some(mark) = apply.op_as_mark() {
        Ok(ChannelOp::Mark { user: UserId(mark.user()), read_seq: Seq(mark.read_seq()) })
    } else if let Some(create) = apply.op_as_create() {
        Ok(ChannelOp::Create(CreateOp {
            kind: ChannelKind::known(create.kind(), "kind")?,
            title: create.title().into(),
            creator: UserId(create.creator()),
            members: create.members().into_iter().flatten().map(UserId).collect(),
            idempotency_key: create.idempotency_key().map(Into::into),
        }))
    } else if let Some(add) = apply.op_as_add_member() {
        let role = Role::known(add.role(), "role")?;
        Ok(ChannelOp::AddMember { by: UserId(add.by()), user: UserId(add.user()), role })
    } else if let Some(remove) = apply.op_as_remove_member() {
        Ok(ChannelOp::RemoveMember { by: UserId(remove.by()), user: UserId(remove.user()) })
    } else {
        Err(unknown("operation", apply.op_type().0))
    }
}

fn op_result(applied: fb::Applied<'_>) -> Result<Result<OpReply, Refusal>, Wrong> {
    if let Some(sent) = applied.result_as_sent() {
        let (seq, sent_ms) = (Seq(sent.seq()), UnixMs(sent.sent_ms()));
        Ok(Ok(OpReply::Sent { seq, sent_ms, duplicate: sent.duplicate() }))
    } else if let Some(marked) = applied.result_as_marked() {
        Ok(Ok(OpReply::Marked { read_seq: Seq(marked.read_seq()), unread: marked.unread() }))
    } else if let Some(created) = applied.result_as_created() {
        Ok(Ok(OpReply::Created { channel: ChannelId(created.channel()), existed: created.existed() }))
    } else if let Some(changed) = applied.result_as_member_changed() {
        Ok(Ok(OpReply::MemberChanged { changed: changed.changed() }))
    } else if let Some(refused) = applied.result_as_refused() {
        Ok(Err(refusal(refused)?))
    } else {
        Err(unknown("result", applied.result_type().0))
    }
}

fn refusal(refusal: fb::Refusal<'_>) -> Result<Refusal, Wrong> {
    let code = ErrorCode::try_from(refusal.code())
        .map_err(|unknown| Wrong::Unknown { what: "error code", number: unknown.code })?;
    Ok(Refusal { code, message: refusal.message().to_owned(), retry_after_ms: refusal.retry_after_ms() })
}

fn cursor(cursor: &fb::Cursor) -> Cursor {
    Cursor { generation: cursor.generation(), position: position(cursor.position()) }
}

fn position(position: &fb::Position) -> Position {
    Stamp { version: position.version(), batch: position.batch() }.at(position.ordinal())
}
