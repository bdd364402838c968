//! A mesh frame to bytes.
//!
//! Owns the mapping from values to `mesh.fbs`. Text is copied once into this thread's builder and once out of it.

use flatbuffers::{ForwardsUOffset, UnionWIPOffset, Vector, WIPOffset};

use super::{MeshBody, MeshFrame, More, Target};
use crate::enums::Numbered as _;
use crate::event::{Event, EventBody};
use crate::flat::{self, Builder};
use crate::generated::rookery::Uuid;
use crate::generated::rookery::mesh as fb;
use crate::op::{ChannelOp, OpReply, Refusal};
use crate::position::{Cursor, Position};

type Union = Option<WIPOffset<UnionWIPOffset>>;

pub(super) fn frame(frame: &MeshFrame, out: &mut Vec<u8>) {
    flat::with_builder(|builder| {
        let (body_type, body) = body(builder, &frame.body);
        let fields = fb::MeshFrameArgs {
            from: Some(&fb::Owner::new(frame.from.incarnation.0, frame.from.shard.0)),
            epoch: frame.epoch.0,
            body_type,
            body,
        };
        let root = fb::MeshFrame::create(builder, &fields);
        builder.finish_minimal(root);
        out.extend_from_slice(builder.finished_data());
    });
}

fn union<T>(table: WIPOffset<T>) -> Union {
    Some(table.as_union_value())
}

fn body(builder: &mut Builder, body: &MeshBody) -> (fb::MeshBody, Union) {
    match body {
        MeshBody::Apply { ticket, channel, op } => {
            let (op_type, op) = channel_op(builder, op);
            let fields = fb::ApplyArgs { ticket: *ticket, channel: channel.0, op_type, op };
            (fb::MeshBody::apply, union(fb::Apply::create(builder, &fields)))
        }
        MeshBody::Applied { ticket, reply } => {
            let (result_type, result) = op_result(builder, reply);
            let fields = fb::AppliedArgs { ticket: *ticket, result_type, result };
            (fb::MeshBody::applied, union(fb::Applied::create(builder, &fields)))
        }
        MeshBody::Hint { stamp, events: list } => {
            let events = Some(events(builder, list));
            let fields = fb::HintArgs { stamp: Some(&fb::Stamp::new(stamp.version, stamp.batch)), events };
            (fb::MeshBody::hint, union(fb::Hint::create(builder, &fields)))
        }
        MeshBody::Register { session, user, device, cursor: from } => {
            let device = Some(builder.create_string(device.as_str()));
            let from = from.map(cursor);
            let fields = fb::RegisterArgs { session: session.0, user: user.0, device, cursor: from.as_ref() };
            (fb::MeshBody::register, union(fb::Register::create(builder, &fields)))
        }
        MeshBody::Registered { session, start } => {
            let from = start.as_ref().ok().copied().map(cursor);
            let refused = start.as_ref().err().map(|why| refusal(builder, why));
            let fields = fb::RegisteredArgs { session: session.0, cursor: from.as_ref(), refused };
            (fb::MeshBody::registered, union(fb::Registered::create(builder, &fields)))
        }
        MeshBody::Unregister { session, user } => {
            let fields = fb::UnregisterArgs { session: session.0, user: user.0 };
            (fb::MeshBody::unregister, union(fb::Unregister::create(builder, &fields)))
        }
        MeshBody::More(more) => (fb::MeshBody::more, union(ask_more(builder, more))),
        MeshBody::Deliver { events: list, targets } => {
            let targets: Vec<_> = targets.iter().map(|one| target(builder, one, list.len())).collect();
            let targets = Some(builder.create_vector(&targets));
            let fields = fb::DeliverArgs { events: Some(events(builder, list)), targets };
            (fb::MeshBody::deliver, union(fb::Deliver::create(builder, &fields)))
        }
        MeshBody::Snapshot { session, after, channels, more, through } => {
            let fields = fb::SnapshotArgs {
                session: session.0,
                after: Some(&position(*after)),
                channels: Some(flat::put_snapshot_channels(builder, channels)),
                more: *more,
                through: Some(&position(*through)),
            };
            (fb::MeshBody::snapshot, union(fb::Snapshot::create(builder, &fields)))
        }
        MeshBody::Replaced { session } => {
            (fb::MeshBody::replaced, union(fb::Replaced::create(builder, &fb::ReplacedArgs { session: session.0 })))
        }
    }
}

fn ask_more<'b>(builder: &mut Builder, more: &More) -> WIPOffset<fb::More<'b>> {
    let snapshot = more.snapshot.map(|place| {
        let fields = fb::SnapshotPlaceArgs { through: Some(&position(place.through)), last: place.last.0 };
        fb::SnapshotPlace::create(builder, &fields)
    });
    let fields = fb::MoreArgs {
        session: more.session.0,
        user: more.user.0,
        after: Some(&position(more.after)),
        credit_bytes: more.credit_bytes,
        snapshot,
    };
    fb::More::create(builder, &fields)
}

fn target<'b>(builder: &mut Builder, target: &Target, events: usize) -> WIPOffset<fb::Target<'b>> {
    let within = target.events.last().is_none_or(|&last| usize::from(last) < events);
    assert!(within && target.events.is_sorted(), "I6: {:?} of {events} events", target.events);
    let fields = fb::TargetArgs {
        session: target.session.0,
        after: Some(&position(target.after)),
        through: Some(&position(target.through)),
        events: Some(builder.create_vector(&target.events)),
    };
    fb::Target::create(builder, &fields)
}

fn events<'b>(builder: &mut Builder, events: &[Event]) -> WIPOffset<Vector<'b, ForwardsUOffset<fb::Event<'b>>>> {
    let events: Vec<_> = events.iter().map(|one| event(builder, one)).collect();
    WIPOffset::new(builder.create_vector(&events).value())
}

fn event<'b>(builder: &mut Builder, event: &Event) -> WIPOffset<fb::Event<'b>> {
    let (body_type, body) = match &event.body {
        EventBody::Message(message) => {
            let message = Some(flat::put_message(builder, message));
            let table = fb::MessageEvent::create(builder, &fb::MessageEventArgs { message });
            (fb::EventBody::message, union(table))
        }
        EventBody::Membership { user, change, role } => {
            let fields = fb::MembershipEventArgs { user: user.0, change: change.number(), role: role.number() };
            (fb::EventBody::membership, union(fb::MembershipEvent::create(builder, &fields)))
        }
        EventBody::Read { user, read_seq } => {
            let fields = fb::ReadEventArgs { user: user.0, read_seq: read_seq.0 };
            (fb::EventBody::read, union(fb::ReadEvent::create(builder, &fields)))
        }
    };
    let fields = fb::EventArgs { position: Some(&position(event.position)), channel: event.channel.0, body_type, body };
    fb::Event::create(builder, &fields)
}

fn channel_op(builder: &mut Builder, op: &ChannelOp) -> (fb::ChannelOp, Union) {
    match op {
        ChannelOp::Send(send) => {
            let fields = fb::SendOpArgs {
                from: send.from.0,
                client_msg_id: Some(&Uuid::new(&send.client_msg_id.0)),
                kind: send.kind.number(),
                body: Some(builder.create_string(&send.body)),
                reply_to: send.reply_to.map(|seq| seq.0),
                mentions: flat::put_users(builder, &send.mentions),
            };
            (fb::ChannelOp::send, union(fb::SendOp::create(builder, &fields)))
        }
        ChannelOp::Mark { user, read_seq } => {
            let fields = fb::MarkOpArgs { user: user.0, read_seq: read_seq.0 };
            (fb::ChannelOp::mark, union(fb::MarkOp::create(builder, &fields)))
        }
        ChannelOp::Create(create) => {
            let fields = fb::CreateOpArgs {
                kind: create.kind.number(),
                title: Some(builder.create_string(&create.title)),
                creator: create.creator.0,
                members: flat::put_users(builder, &create.members),
                idempotency_key: create.idempotency_key.as_ref().map(|key| builder.create_string(key)),
            };
            (fb::ChannelOp::create, union(fb::CreateOp::create(builder, &fields)))
        }
        ChannelOp::AddMember { by, user, role } => {
            let fields = fb::AddMemberOpArgs { by: by.0, user: user.0, role: role.number() };
            (fb::ChannelOp::add_member, union(fb::AddMemberOp::create(builder, &fields)))
        }
        ChannelOp::RemoveMember { by, user } => {
            let fields = fb::RemoveMemberOpArgs { by: by.0, user: user.0 };
            (fb::ChannelOp::remove_member, union(fb::RemoveMemberOp::create(builder, &fields)))
        }
    }
}

fn op_result(builder: &mut Builder, reply: &Result<OpReply, Refusal>) -> (fb::OpResult, Union) {
    match reply {
        Ok(OpReply::Sent { seq, sent_ms, duplicate }) => {
            let fields = fb::SentReplyArgs { seq: seq.0, sent_ms: sent_ms.0, duplicate: *duplicate };
            (fb::OpResult::sent, union(fb::SentReply::create(builder, &fields)))
        }
        Ok(OpReply::Marked { read_seq, unread }) => {
            let fields = fb::MarkedReplyArgs { read_seq: read_seq.0, unread: *unread };
            (fb::OpResult::marked, union(fb::MarkedReply::create(builder, &fields)))
        }
        Ok(OpReply::Created { channel, existed }) => {
            let fields = fb::CreatedReplyArgs { channel: channel.0, existed: *existed };
            (fb::OpResult::created, union(fb::CreatedReply::create(builder, &fields)))
        }
        Ok(OpReply::MemberChanged { changed }) => {
            let fields = fb::MemberChangedReplyArgs { changed: *changed };
            (fb::OpResult::member_changed, union(fb::MemberChangedReply::create(builder, &fields)))
        }
        Err(why) => (fb::OpResult::refused, union(refusal(builder, why))),
    }
}

fn refusal<'b>(builder: &mut Builder, refusal: &Refusal) -> WIPOffset<fb::Refusal<'b>> {
    let fields = fb::RefusalArgs {
        code: refusal.code.into(),
        message: Some(builder.create_string(&refusal.message)),
        retry_after_ms: refusal.retry_after_ms,
    };
    fb::Refusal::create(builder, &fields)
}

fn cursor(cursor: Cursor) -> fb::Cursor {
    fb::Cursor::new(cursor.generation, &position(cursor.position))
}

fn position(position: Position) -> fb::Position {
    fb::Position::new(position.stamp.version, position.stamp.batch, position.ordinal)
}
