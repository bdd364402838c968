//! Bytes to a mesh frame.
//!
//! Owns the mapping from `mesh.fbs` to values. The whole frame is verified before a field of it is read, and a value
//! that means nothing here refuses the whole frame.

use flatbuffers::{ForwardsUOffset, Vector, VerifierOptions};

use super::{
    FeedStart, Kicked, LiveBody, LiveEvent, MeshBody, MeshError, MeshFrame, More, SnapshotPlace, Target, Telling,
};
use crate::code::ErrorCode;
use crate::enums::Numbered as _;
use crate::event::{Event, EventBody, MemberChange, Role};
use crate::flat::{self, Illegal, VERIFIER};
use crate::generated::rookery::mesh as fb;
use crate::id::{ChannelId, Seq, SessionId, UserId};
use crate::limits::EMOJIS_OF_MESSAGE_MAX;
use crate::message::MessageKind;
use crate::op::{ChannelKind, ChannelOp, CreateOp, EditOp, OpReply, PastAccess, ReactOp, Refusal, SendOp};
use crate::position::{Cursor, Position, Stamp};
use crate::time::UnixMs;
use crate::view::{Epoch, Incarnation, Owner, ShardIndex};

/// Peers are nodes of the same cluster, so these guard against damage rather than malice.
///
/// Tables: a delivery has at most 65,536 events, since its targets count them in 16 bits, of 3 tables each and a tally of
/// each of a message's 32 emojis, and about as many targets. Apparent size: a home's content kept from hints, four times
/// over.
const LIMITS: VerifierOptions = VerifierOptions {
    max_tables: (3 + EMOJIS_OF_MESSAGE_MAX as usize + 1) * 65_536,
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
            family: register.family(),
            client: register.client().map(str::to_owned),
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
        later_body(frame)
    }
}

/// What is said beside messages: presence, what is told live, large channels.
fn later_body(frame: fb::MeshFrame<'_>) -> Result<MeshBody, Wrong> {
    if let Some(kick) = frame.body_as_kick() {
        let whose = match kick.device() {
            Some(device) => Kicked::Device(device.parse().map_err(|_| Illegal::new("device", "no legal name"))?),
            None => Kicked::Family(kick.family()),
        };
        Ok(MeshBody::Kick { user: UserId(kick.user()), whose })
    } else if let Some(kicked) = frame.body_as_kicked() {
        Ok(MeshBody::Kicked { session: SessionId(kicked.session()) })
    } else if let Some(live) = frame.body_as_live() {
        let events = live.events().into_iter().flatten().map(live_event).collect::<Result<_, _>>()?;
        Ok(MeshBody::Live { events })
    } else if let Some(tell) = frame.body_as_tell() {
        let sessions = tell.sessions().into_iter().flatten().map(SessionId).collect();
        Ok(MeshBody::Tell { sessions, what: telling(tell)? })
    } else if let Some(active) = frame.body_as_active() {
        Ok(MeshBody::Active { session: SessionId(active.session()), user: UserId(active.user()) })
    } else if let Some(watch) = frame.body_as_watch() {
        Ok(MeshBody::Watch {
            session: SessionId(watch.session()),
            watcher: UserId(watch.watcher()),
            number: watch.number(),
            users: users(watch.users()),
        })
    } else if let Some(watched) = frame.body_as_watched() {
        let entries = watched.entries().map(flat::presence).transpose()?.unwrap_or_default();
        Ok(MeshBody::Watched { session: SessionId(watched.session()), number: watched.number(), entries })
    } else if let Some(ask) = frame.body_as_presence_ask() {
        Ok(MeshBody::PresenceAsk {
            ticket: ask.ticket(),
            asker: UserId(ask.asker()),
            users: users(ask.users()),
            fellows: ask.fellows(),
        })
    } else if let Some(answer) = frame.body_as_presence_answer() {
        let entries = match answer.refused() {
            Some(why) => Err(refusal(why)?),
            None => Ok(answer.entries().map(flat::presence).transpose()?.unwrap_or_default()),
        };
        Ok(MeshBody::PresenceAnswer { ticket: answer.ticket(), entries })
    } else if let Some(subscribe) = frame.body_as_subscribe() {
        let (session, user) = (SessionId(subscribe.session()), UserId(subscribe.user()));
        Ok(MeshBody::Subscribe { session, user, channel: ChannelId(subscribe.channel()) })
    } else if let Some(subscribed) = frame.body_as_subscribed() {
        let start = match subscribed.refused() {
            Some(why) => Err(refusal(why)?),
            None => Ok(FeedStart { head_seq: Seq(subscribed.head_seq()), open: subscribed.open() }),
        };
        let (session, channel) = (SessionId(subscribed.session()), ChannelId(subscribed.channel()));
        Ok(MeshBody::Subscribed { session, channel, start })
    } else if let Some(unsubscribe) = frame.body_as_unsubscribe() {
        let (session, channel) = (SessionId(unsubscribe.session()), ChannelId(unsubscribe.channel()));
        Ok(MeshBody::Unsubscribe { session, channel })
    } else if let Some(feed) = frame.body_as_feed() {
        let events = events(feed.events())?.into_iter().map(|event| event.body).collect();
        Ok(MeshBody::Feed { channel: ChannelId(feed.channel()), events })
    } else if let Some(interest) = frame.body_as_interest() {
        Ok(MeshBody::Interest { channels: interest.channels().into_iter().flatten().map(ChannelId).collect() })
    } else if let Some(heads) = frame.body_as_heads() {
        let head = |head: fb::Head<'_>| (ChannelId(head.channel()), Seq(head.seq()));
        Ok(MeshBody::Heads { heads: heads.heads().into_iter().flatten().map(head).collect() })
    } else if let Some(index) = frame.body_as_index() {
        Ok(MeshBody::Index { channel: ChannelId(index.channel()) })
    } else {
        Err(unknown("body", frame.body_type().0))
    }
}

fn users(list: Option<Vector<'_, u64>>) -> Vec<UserId> {
    list.into_iter().flatten().map(UserId).collect()
}

fn live_event(event: fb::LiveEvent<'_>) -> Result<LiveEvent, Wrong> {
    let body = if let Some(typing) = event.body_as_typing() {
        LiveBody::Typing { user: UserId(typing.user()), on: typing.on(), open_only: typing.open_only() }
    } else if let Some(read) = event.body_as_read() {
        LiveBody::Read { user: UserId(read.user()), read_seq: Seq(read.read_seq()) }
    } else if let Some(blocked) = event.body_as_blocked() {
        LiveBody::Blocked { by: UserId(blocked.by()), user: UserId(blocked.user()), on: blocked.on() }
    } else {
        return Err(unknown("live event", event.body_type().0));
    };
    Ok(LiveEvent { channel: ChannelId(event.channel()), users: users(event.users()), body })
}

fn telling(tell: fb::Tell<'_>) -> Result<Telling, Wrong> {
    if let Some(typing) = tell.what_as_typing() {
        let (channel, user) = (ChannelId(typing.channel()), UserId(typing.user()));
        Ok(Telling::Typing { channel, user, on: typing.on(), open_only: typing.open_only() })
    } else if let Some(read) = tell.what_as_read() {
        let (channel, user) = (ChannelId(read.channel_id()), UserId(read.user_id()));
        Ok(Telling::Read { channel, user, read_seq: Seq(read.read_seq()) })
    } else if let Some(head) = tell.what_as_head() {
        Ok(Telling::Head { channel: ChannelId(head.channel_id()), head_seq: Seq(head.head_seq()) })
    } else if let Some(presence) = tell.what_as_presence() {
        Ok(Telling::Presence { entries: flat::presence(presence.entries())? })
    } else {
        Err(unknown("telling", tell.what_type().0))
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
    } else if let Some(edited) = event.body_as_edited() {
        EventBody::Edited(flat::message(edited.message())?)
    } else if let Some(deleted) = event.body_as_deleted() {
        EventBody::Deleted { seq: Seq(deleted.seq()), revision: deleted.revision() }
    } else if let Some(reaction) = event.body_as_reaction() {
        EventBody::Reaction {
            seq: Seq(reaction.seq()),
            emoji: flat::emoji(reaction.emoji())?,
            count: reaction.count(),
            user: UserId(reaction.user()),
            on: reaction.on(),
        }
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
            past: PastAccess::known(create.past(), "past")?,
        }))
    } else if let Some(add) = apply.op_as_add_member() {
        let role = Role::known(add.role(), "role")?;
        Ok(ChannelOp::AddMember { by: UserId(add.by()), user: UserId(add.user()), role })
    } else if let Some(remove) = apply.op_as_remove_member() {
        Ok(ChannelOp::RemoveMember { by: UserId(remove.by()), user: UserId(remove.user()) })
    } else if let Some(edit) = apply.op_as_edit() {
        Ok(ChannelOp::Edit(EditOp {
            by: UserId(edit.by()),
            seq: Seq(edit.seq()),
            op_id: flat::uuid(edit.op_id()),
            base_revision: edit.base_revision(),
            body: edit.body().into(),
        }))
    } else if let Some(delete) = apply.op_as_delete() {
        let (by, seq) = (UserId(delete.by()), Seq(delete.seq()));
        Ok(ChannelOp::Delete { by, seq, op_id: flat::uuid(delete.op_id()) })
    } else if let Some(react) = apply.op_as_react() {
        Ok(ChannelOp::React(ReactOp {
            by: UserId(react.by()),
            seq: Seq(react.seq()),
            op_id: flat::uuid(react.op_id()),
            emoji: flat::emoji(react.emoji())?,
            on: react.on(),
        }))
    } else if let Some(typing) = apply.op_as_typing() {
        Ok(ChannelOp::Typing { user: UserId(typing.user()), on: typing.on() })
    } else if let Some(title) = apply.op_as_set_title() {
        Ok(ChannelOp::SetTitle { by: UserId(title.by()), title: title.title().into() })
    } else if let Some(mute) = apply.op_as_set_muted() {
        Ok(ChannelOp::SetMuted { user: UserId(mute.user()), muted: mute.muted() })
    } else if let Some(block) = apply.op_as_block() {
        Ok(ChannelOp::Block { by: UserId(block.by()), user: UserId(block.user()), on: block.on() })
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
    } else if let Some(changed) = applied.result_as_changed() {
        Ok(Ok(OpReply::Changed { changed: changed.changed() }))
    } else if let Some(revised) = applied.result_as_revised() {
        Ok(Ok(OpReply::Revised { revision: revised.revision() }))
    } else if let Some(reacted) = applied.result_as_reacted() {
        Ok(Ok(OpReply::Reacted { count: reacted.count() }))
    } else if applied.result_as_told().is_some() {
        Ok(Ok(OpReply::Told))
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
