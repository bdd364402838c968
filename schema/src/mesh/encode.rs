//! A mesh frame to bytes.
//!
//! Owns the mapping from values to `mesh.fbs`. Text is copied once into this thread's builder and once out of it.

use flatbuffers::{ForwardsUOffset, UnionWIPOffset, Vector, WIPOffset};

use super::{Kicked, LiveBody, LiveEvent, MeshBody, MeshFrame, More, Target, Telling};
use crate::enums::Numbered as _;
use crate::event::{Event, EventBody};
use crate::flat::{self, Builder};
use crate::generated::rookery::mesh as fb;
use crate::generated::rookery::{self as client, Uuid};
use crate::id::{ChannelId, Seq};
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
        MeshBody::Register { session, user, device, family, client, cursor: from } => {
            let from = from.map(cursor);
            let fields = fb::RegisterArgs {
                session: session.0,
                user: user.0,
                device: Some(builder.create_string(device.as_str())),
                cursor: from.as_ref(),
                family: *family,
                client: client.as_ref().map(|client| builder.create_string(client)),
            };
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
        MeshBody::Kick { user, whose } => {
            let (device, family) = match whose {
                Kicked::Device(device) => (Some(builder.create_string(device.as_str())), 0),
                Kicked::Family(family) => (None, *family),
            };
            let fields = fb::KickArgs { user: user.0, device, family };
            (fb::MeshBody::kick, union(fb::Kick::create(builder, &fields)))
        }
        MeshBody::Kicked { session } => {
            (fb::MeshBody::kicked, union(fb::Kicked::create(builder, &fb::KickedArgs { session: session.0 })))
        }
        MeshBody::Live { events } => {
            let events: Vec<_> = events.iter().map(|one| live_event(builder, one)).collect();
            let events = Some(builder.create_vector(&events));
            (fb::MeshBody::live, union(fb::Live::create(builder, &fb::LiveArgs { events })))
        }
        MeshBody::Tell { sessions, what } => {
            let (what_type, what) = telling(builder, what);
            let sessions = Some(builder.create_vector_from_iter(sessions.iter().map(|session| session.0)));
            (fb::MeshBody::tell, union(fb::Tell::create(builder, &fb::TellArgs { sessions, what_type, what })))
        }
        MeshBody::Active { session, user } => {
            let fields = fb::ActiveArgs { session: session.0, user: user.0 };
            (fb::MeshBody::active, union(fb::Active::create(builder, &fields)))
        }
        MeshBody::Watch { session, watcher, number, users } => {
            let users = flat::put_users(builder, users);
            let fields = fb::WatchArgs { session: session.0, watcher: watcher.0, number: *number, users };
            (fb::MeshBody::watch, union(fb::Watch::create(builder, &fields)))
        }
        MeshBody::Watched { session, number, entries } => {
            let entries = Some(flat::put_presence(builder, entries));
            let fields = fb::WatchedArgs { session: session.0, number: *number, entries };
            (fb::MeshBody::watched, union(fb::Watched::create(builder, &fields)))
        }
        MeshBody::PresenceAsk { ticket, asker, users, fellows } => {
            let users = flat::put_users(builder, users);
            let fields = fb::PresenceAskArgs { ticket: *ticket, asker: asker.0, users, fellows: *fellows };
            (fb::MeshBody::presence_ask, union(fb::PresenceAsk::create(builder, &fields)))
        }
        MeshBody::PresenceAnswer { ticket, entries } => {
            let refused = entries.as_ref().err().map(|why| refusal(builder, why));
            let entries = entries.as_ref().ok().map(|entries| flat::put_presence(builder, entries));
            let fields = fb::PresenceAnswerArgs { ticket: *ticket, entries, refused };
            (fb::MeshBody::presence_answer, union(fb::PresenceAnswer::create(builder, &fields)))
        }
        MeshBody::Subscribe { session, user, channel } => {
            let fields = fb::SubscribeArgs { session: session.0, user: user.0, channel: channel.0 };
            (fb::MeshBody::subscribe, union(fb::Subscribe::create(builder, &fields)))
        }
        MeshBody::Subscribed { session, channel, start } => {
            let refused = start.as_ref().err().map(|why| refusal(builder, why));
            let (head_seq, open) = start.as_ref().map_or((0, 0), |start| (start.head_seq.0, start.open));
            let fields = fb::SubscribedArgs { session: session.0, channel: channel.0, head_seq, open, refused };
            (fb::MeshBody::subscribed, union(fb::Subscribed::create(builder, &fields)))
        }
        MeshBody::Unsubscribe { session, channel } => {
            let fields = fb::UnsubscribeArgs { session: session.0, channel: channel.0 };
            (fb::MeshBody::unsubscribe, union(fb::Unsubscribe::create(builder, &fields)))
        }
        MeshBody::Feed { channel, events: bodies } => {
            let bodies: Vec<_> = bodies.iter().map(|body| event(builder, Position::START, *channel, body)).collect();
            let fields = fb::FeedArgs { channel: channel.0, events: Some(builder.create_vector(&bodies)) };
            (fb::MeshBody::feed, union(fb::Feed::create(builder, &fields)))
        }
        MeshBody::Interest { channels } => {
            let channels = Some(builder.create_vector_from_iter(channels.iter().map(|channel| channel.0)));
            (fb::MeshBody::interest, union(fb::Interest::create(builder, &fb::InterestArgs { channels })))
        }
        MeshBody::Heads { heads } => {
            let head = |&(channel, seq): &(ChannelId, Seq)| fb::HeadArgs { channel: channel.0, seq: seq.0 };
            let heads: Vec<_> = heads.iter().map(|one| fb::Head::create(builder, &head(one))).collect();
            let heads = Some(builder.create_vector(&heads));
            (fb::MeshBody::heads, union(fb::Heads::create(builder, &fb::HeadsArgs { heads })))
        }
        MeshBody::Index { channel } => {
            (fb::MeshBody::index, union(fb::Index::create(builder, &fb::IndexArgs { channel: channel.0 })))
        }
    }
}

fn live_event<'b>(builder: &mut Builder, live: &LiveEvent) -> WIPOffset<fb::LiveEvent<'b>> {
    let (body_type, body) = match live.body {
        LiveBody::Typing { user, on, open_only } => {
            let fields = fb::LiveTypingArgs { user: user.0, on, open_only };
            (fb::LiveBody::typing, union(fb::LiveTyping::create(builder, &fields)))
        }
        LiveBody::Read { user, read_seq } => {
            let fields = fb::LiveReadArgs { user: user.0, read_seq: read_seq.0 };
            (fb::LiveBody::read, union(fb::LiveRead::create(builder, &fields)))
        }
        LiveBody::Blocked { by, user, on } => {
            let fields = fb::LiveBlockedArgs { by: by.0, user: user.0, on };
            (fb::LiveBody::blocked, union(fb::LiveBlocked::create(builder, &fields)))
        }
    };
    let users = flat::put_users(builder, &live.users);
    fb::LiveEvent::create(builder, &fb::LiveEventArgs { channel: live.channel.0, users, body_type, body })
}

fn telling(builder: &mut Builder, what: &Telling) -> (fb::Telling, Union) {
    match what {
        Telling::Typing { channel, user, on, open_only } => {
            let fields = fb::TellTypingArgs { channel: channel.0, user: user.0, on: *on, open_only: *open_only };
            (fb::Telling::typing, union(fb::TellTyping::create(builder, &fields)))
        }
        Telling::Read { channel, user, read_seq } => {
            let fields =
                client::ReadPushArgs { channel_id: channel.0, user_id: user.0, read_seq: read_seq.0, cursor: None };
            (fb::Telling::read, union(client::ReadPush::create(builder, &fields)))
        }
        Telling::Head { channel, head_seq } => {
            let fields = client::HeadPushArgs { channel_id: channel.0, head_seq: head_seq.0 };
            (fb::Telling::head, union(client::HeadPush::create(builder, &fields)))
        }
        Telling::Presence { entries } => {
            let fields = client::PresencePushArgs { entries: Some(flat::put_presence(builder, entries)) };
            (fb::Telling::presence, union(client::PresencePush::create(builder, &fields)))
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
    let events: Vec<_> = events.iter().map(|one| event(builder, one.position, one.channel, &one.body)).collect();
    WIPOffset::new(builder.create_vector(&events).value())
}

fn event<'b>(builder: &mut Builder, at: Position, channel: ChannelId, body: &EventBody) -> WIPOffset<fb::Event<'b>> {
    let (body_type, body) = match body {
        EventBody::Message(message) => {
            let message = Some(flat::put_message(builder, message));
            let table = fb::MessageEvent::create(builder, &fb::MessageEventArgs { message });
            (fb::EventBody::message, union(table))
        }
        EventBody::Edited(message) => {
            let message = Some(flat::put_message(builder, message));
            (fb::EventBody::edited, union(fb::EditedEvent::create(builder, &fb::EditedEventArgs { message })))
        }
        EventBody::Deleted { seq, revision } => {
            let fields = fb::DeletedEventArgs { seq: seq.0, revision: *revision };
            (fb::EventBody::deleted, union(fb::DeletedEvent::create(builder, &fields)))
        }
        EventBody::Reaction { seq, emoji, count, user, on } => {
            let fields = fb::ReactionEventArgs {
                seq: seq.0,
                emoji: Some(builder.create_string(emoji.as_str())),
                count: *count,
                user: user.0,
                on: *on,
            };
            (fb::EventBody::reaction, union(fb::ReactionEvent::create(builder, &fields)))
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
    let fields = fb::EventArgs { position: Some(&position(at)), channel: channel.0, body_type, body };
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
                past: create.past.number(),
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
        ChannelOp::Edit(edit) => {
            let fields = fb::EditOpArgs {
                by: edit.by.0,
                seq: edit.seq.0,
                op_id: Some(&Uuid::new(&edit.op_id.0)),
                base_revision: edit.base_revision,
                body: Some(builder.create_string(&edit.body)),
            };
            (fb::ChannelOp::edit, union(fb::EditOp::create(builder, &fields)))
        }
        ChannelOp::Delete { by, seq, op_id } => {
            let fields = fb::DeleteOpArgs { by: by.0, seq: seq.0, op_id: Some(&Uuid::new(&op_id.0)) };
            (fb::ChannelOp::delete, union(fb::DeleteOp::create(builder, &fields)))
        }
        ChannelOp::React(react) => {
            let fields = fb::ReactOpArgs {
                by: react.by.0,
                seq: react.seq.0,
                op_id: Some(&Uuid::new(&react.op_id.0)),
                emoji: Some(builder.create_string(react.emoji.as_str())),
                on: react.on,
            };
            (fb::ChannelOp::react, union(fb::ReactOp::create(builder, &fields)))
        }
        ChannelOp::Typing { user, on } => {
            let fields = fb::TypingOpArgs { user: user.0, on: *on };
            (fb::ChannelOp::typing, union(fb::TypingOp::create(builder, &fields)))
        }
        ChannelOp::SetTitle { by, title } => {
            let fields = fb::SetTitleOpArgs { by: by.0, title: Some(builder.create_string(title)) };
            (fb::ChannelOp::set_title, union(fb::SetTitleOp::create(builder, &fields)))
        }
        ChannelOp::SetMuted { user, muted } => {
            let fields = fb::SetMutedOpArgs { user: user.0, muted: *muted };
            (fb::ChannelOp::set_muted, union(fb::SetMutedOp::create(builder, &fields)))
        }
        ChannelOp::Block { by, user, on } => {
            let fields = fb::BlockOpArgs { by: by.0, user: user.0, on: *on };
            (fb::ChannelOp::block, union(fb::BlockOp::create(builder, &fields)))
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
        Ok(OpReply::Changed { changed }) => {
            let fields = fb::ChangedReplyArgs { changed: *changed };
            (fb::OpResult::changed, union(fb::ChangedReply::create(builder, &fields)))
        }
        Ok(OpReply::Revised { revision }) => {
            let fields = fb::RevisedReplyArgs { revision: *revision };
            (fb::OpResult::revised, union(fb::RevisedReply::create(builder, &fields)))
        }
        Ok(OpReply::Reacted { count }) => {
            let fields = fb::ReactedReplyArgs { count: *count };
            (fb::OpResult::reacted, union(fb::ReactedReply::create(builder, &fields)))
        }
        Ok(OpReply::Told) => (fb::OpResult::told, union(fb::ToldReply::create(builder, &fb::ToldReplyArgs {}))),
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
