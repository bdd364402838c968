//! Tables of mesh frames.
//!
//! Owns the mapping between the values of `mesh` and `mesh.fbs`, in both directions. The whole frame is verified before
//! a field of it is read, and a value that means nothing here refuses the whole frame.

use flatbuffers::{UnionWIPOffset, Vector, VerifierOptions, WIPOffset};

use super::{
    Feed, FeedStart, Kicked, LiveBody, LiveEvent, MeshBody, MeshError, MeshFrame, More, Returning, SnapshotPlace,
    Target, Telling,
};
use crate::event::{Event, EventBody};
use crate::flat::{
    self, Builder, Element, FlatTable, FlatUnion, Illegal, Put, Take, VERIFIER, flat_tables, flat_unions,
};
use crate::id::{ChannelId, DeviceId, Seq};
use crate::limits::{EMOJIS_OF_MESSAGE_MAX, MEDIA_OF_MESSAGE_MAX};
use crate::op::{ChannelOp, CreateOp, EditOp, OpReply, ReactOp, Refusal, Ruling, SendOp};
use crate::page::SessionStart;
use crate::position::{Cursor, Position, Stamp};
use crate::presence::PresenceEntry;

/// The tables of `mesh.fbs`, and those of clients that sessions are told with.
mod fb {
    pub(super) use crate::generated::rookery::mesh::*;
    pub(super) use crate::generated::rookery::{FeedHeadPush, FeedHeadPushArgs, HeadPush, HeadPushArgs};
    pub(super) use crate::generated::rookery::{PresencePush, PresencePushArgs};
    pub(super) use crate::generated::rookery::{ReadPush, ReadPushArgs};
}

/// Peers are nodes of the same cluster, so these guard against damage rather than malice.
///
/// Tables: a delivery has at most 65,536 events, since its targets count them in 16 bits, of 3 tables each, a tally
/// of each of a message's 32 emojis and its 10 media, and about as many targets. Apparent size: a home's content kept from hints, four
/// times over.
const LIMITS: VerifierOptions = VerifierOptions {
    max_tables: (3 + (EMOJIS_OF_MESSAGE_MAX + MEDIA_OF_MESSAGE_MAX) as usize + 1) * 65_536,
    max_apparent_size: 4 * crate::limits::HINT_BYTES_MAX as usize,
    ..VERIFIER
};

pub(super) fn encode(frame: &MeshFrame, out: &mut Vec<u8>) {
    if let Err(why) = indices_ascend(&frame.body) {
        panic!("I6: {why}");
    }
    flat::with_builder(|builder| {
        let root = frame.put_table(builder);
        builder.finish_minimal(root);
        out.extend_from_slice(builder.finished_data());
    });
}

pub(super) fn decode(bytes: &[u8]) -> Result<MeshFrame, MeshError> {
    let damaged = |why| MeshError::Damaged { bytes: bytes.len(), why };
    let table = flatbuffers::root_with_opts::<fb::MeshFrame<'_>>(&LIMITS, bytes)
        .map_err(|error| damaged(flat::one_line(&error)))?;
    let frame = MeshFrame::take(table).map_err(|illegal| match illegal {
        Illegal::Unknown { what, number } => MeshError::Unknown { what, number },
        illegal @ Illegal::Value { .. } => damaged(illegal.to_string()),
    })?;
    indices_ascend(&frame.body).map_err(damaged)?;
    Ok(frame)
}

/// Whether the targets of a delivery name its events in their order.
fn indices_ascend(body: &MeshBody) -> Result<(), String> {
    let MeshBody::Deliver { events, targets } = body else { return Ok(()) };
    let within = |target: &Target| target.events.last().is_none_or(|&last| usize::from(last) < events.len());
    match targets.iter().find(|target| !within(target) || !target.events.is_sorted()) {
        Some(target) => Err(format!("the indices {:?} do not ascend within {} events", target.events, events.len())),
        None => Ok(()),
    }
}

flat_tables! {
    MeshFrame as MeshFrame { from, to, epoch, body as [union body] }
    More as More { session, user, after, credit_bytes, snapshot }
    SnapshotPlace as SnapshotPlace { through, last }
    Returning as Returning { session, user, device, family, stamp, cursor, used_ms, credit_bytes, snapshot, attempt }
    Target as Target { session, after, through, events }
    Event as Event { position, channel, body as [union body] }
    LiveEvent as LiveEvent { channel, body as [union body], users }
    SendOp as SendOp { from, client_msg_id, kind, body, reply_to, mentions, ruling, audience, media }
    CreateOp as CreateOp { kind, title, creator, members, idempotency_key, past }
    EditOp as EditOp { by, seq, op_id, base_revision, body, ruling }
    ReactOp as ReactOp { by, seq, op_id, emoji, on }
    Refusal as Refusal { code, message, retry_after_ms }
}

flat_unions! {
    MeshBody as MeshBody in MeshFrame.body by body_type {
        Apply { ticket, channel, op as [union op], attempt, behind } as Apply,
        Applied { ticket, reply as [union result], attempt } as Applied,
        Hint { stamp, events } as Hint,
        Register { session, user, device, family, client, cursor, attempt } as Register,
        Registered { session, start as (cursor, stamp, refused), attempt } as Registered,
        Unregister { session, user } as Unregister,
        More(more),
        Deliver { targets, events } as Deliver,
        Snapshot { session, after, channels, more, through } as Snapshot,
        Replaced { session } as Replaced,
        Kick { user, whose as (device, family, account), ticket } as Kick,
        Kicked { session, erased } as Kicked,
        Live { events } as Live,
        Tell { what as [union what], sessions } as Tell,
        Active { session, user } as Active,
        Watch { session, watcher, number, users, visible } as Watch,
        Watched { session, number, entries } as Watched,
        PresenceAsk { ticket, asker, users, fellows } as PresenceAsk,
        PresenceAnswer { ticket, entries as (entries, refused) } as PresenceAnswer,
        Subscribe { session, user, channel, number } as Subscribe,
        Subscribed { session, channel, start as (head_seq, open, refused), number } as Subscribed,
        Unsubscribe { session, channel } as Unsubscribe,
        Feed(feed),
        Interest { channels } as Interest,
        Heads { heads } as Heads,
        Index { channel } as Index,
        RegisterMany { sessions } as RegisterMany,
        KickDone { ticket, refused } as KickDone,
    }
    EventBody as EventBody in Event.body by body_type {
        Message(message) as MessageEvent,
        Edited(message) as EditedEvent,
        Deleted { seq, revision } as DeletedEvent,
        Reaction { seq, emoji, count, user, on } as ReactionEvent,
        Membership { user, change, role } as MembershipEvent,
        Read { user, read_seq } as ReadEvent,
    }
    ChannelOp as ChannelOp in Apply.op by op_type {
        Send(send) or SendMedia if sends_media,
        Mark { user, read_seq } as MarkOp,
        Create(create),
        AddMember { by, user, role } as AddMemberOp,
        RemoveMember { by, user } as RemoveMemberOp,
        Edit(edit),
        Delete { by, seq, op_id } as DeleteOp,
        React(react),
        Typing { user, on } as TypingOp,
        SetTitle { by, title } as SetTitleOp,
        SetMuted { user, muted } as SetMutedOp,
        Block { by, user, on } as BlockOp,
        Publish { by, event, data } as PublishOp,
    }
    OpReply as OpResult in Applied.result by result_type {
        Sent { seq, sent_ms, duplicate } as SentReply,
        Marked { read_seq, unread } as MarkedReply,
        Created { channel, existed } as CreatedReply,
        Changed { changed } as ChangedReply,
        Revised { revision } as RevisedReply,
        Reacted { count } as ReactedReply,
        Told {} as ToldReply,
    }
    LiveBody as LiveBody in LiveEvent.body by body_type {
        Typing { user, on, open_only } as LiveTyping,
        Read { user, read_seq } as LiveRead,
        Blocked { by, user, on } as LiveBlocked,
        Published { event, data, open_only } as LivePublished,
        FeedHead { count } as LiveFeedHead,
    }
    Telling as Telling in Tell.what by what_type {
        Typing { channel, user, on, open_only } as TellTyping,
        Read { channel as channel_id, user as user_id, read_seq } as ReadPush,
        Head { channel as channel_id, head_seq } as HeadPush,
        Presence { entries } as PresencePush,
        Published { channel, event, data, open_only } as TellPublished,
        FeedHead { count } as FeedHeadPush,
    }
}

/// A refusal is a member of the same union as the replies.
impl FlatUnion for Result<OpReply, Refusal> {
    type Member = fb::OpResult;

    fn put_union(&self, builder: &mut Builder) -> (fb::OpResult, WIPOffset<UnionWIPOffset>) {
        match self {
            Ok(reply) => reply.put_union(builder),
            Err(refusal) => (fb::OpResult::refused, refusal.put_table(builder).as_union_value()),
        }
    }
}

impl<'a> Take<fb::Applied<'a>> for Result<OpReply, Refusal> {
    fn take(applied: fb::Applied<'a>) -> Result<Self, Illegal> {
        match applied.result_as_refused() {
            Some(refused) => Refusal::take(refused).map(Err),
            None => OpReply::take(applied).map(Ok),
        }
    }
}

type Refused = Option<WIPOffset<fb::Refusal<'static>>>;

impl Put for Result<SessionStart, Refusal> {
    type Stored = (Option<fb::Cursor>, Option<fb::Stamp>, Refused);

    fn put(&self, builder: &mut Builder) -> Self::Stored {
        match self {
            Ok(SessionStart { cursor, stamp }) => (Some(cursor.put(builder)), Some(stamp.put(builder)), None),
            Err(refusal) => (None, None, refusal.put(builder)),
        }
    }
}

type Start<'a> = (Option<&'a fb::Cursor>, Option<&'a fb::Stamp>, Option<fb::Refusal<'a>>);

impl<'a> Take<Start<'a>> for Result<SessionStart, Refusal> {
    fn take(stored: Start<'a>) -> Result<Self, Illegal> {
        match stored {
            (Some(cursor), Some(stamp), None) => {
                Ok(Ok(SessionStart { cursor: Cursor::take(cursor)?, stamp: Stamp::take(stamp)? }))
            }
            (None, None, Some(refused)) => Refusal::take(refused).map(Err),
            _ => Err(Illegal::new("neither a cursor with its stamp nor refused")),
        }
    }
}

impl Put for Result<Vec<PresenceEntry>, Refusal> {
    type Stored = (<Vec<PresenceEntry> as Put>::Stored, Refused);

    fn put(&self, builder: &mut Builder) -> Self::Stored {
        match self {
            Ok(entries) => (entries.put(builder), None),
            Err(refusal) => (None, refusal.put(builder)),
        }
    }
}

type Entries<'a> = Option<Vector<'a, <PresenceEntry as Element>::Item<'a>>>;

impl<'a> Take<(Entries<'a>, Option<fb::Refusal<'a>>)> for Result<Vec<PresenceEntry>, Refusal> {
    fn take((entries, refused): (Entries<'a>, Option<fb::Refusal<'a>>)) -> Result<Self, Illegal> {
        match refused {
            Some(refused) => Refusal::take(refused).map(Err),
            None => Vec::take(entries).map(Ok),
        }
    }
}

impl Put for Result<FeedStart, Refusal> {
    type Stored = (u64, u32, Refused);

    fn put(&self, builder: &mut Builder) -> Self::Stored {
        match self {
            Ok(start) => (start.head_seq.0, start.open, None),
            Err(refusal) => (0, 0, refusal.put(builder)),
        }
    }
}

impl Take<(u64, u32, Option<fb::Refusal<'_>>)> for Result<FeedStart, Refusal> {
    fn take((head_seq, open, refused): (u64, u32, Option<fb::Refusal<'_>>)) -> Result<Self, Illegal> {
        match refused {
            Some(refused) => Refusal::take(refused).map(Err),
            None => Ok(Ok(FeedStart { head_seq: Seq(head_seq), open })),
        }
    }
}

impl Put for Kicked {
    type Stored = (Option<WIPOffset<&'static str>>, u64, fb::KickedAccount);

    fn put(&self, builder: &mut Builder) -> Self::Stored {
        match self {
            Self::Device(device) => (device.put(builder), 0, fb::KickedAccount::no),
            Self::Family(family) => (None, *family, fb::KickedAccount::no),
            Self::Account { erased: false } => (None, 0, fb::KickedAccount::deactivated),
            Self::Account { erased: true } => (None, 0, fb::KickedAccount::erased),
        }
    }
}

impl Take<(Option<&str>, u64, fb::KickedAccount)> for Kicked {
    fn take((device, family, account): (Option<&str>, u64, fb::KickedAccount)) -> Result<Self, Illegal> {
        match account {
            fb::KickedAccount::deactivated => Ok(Self::Account { erased: false }),
            fb::KickedAccount::erased => Ok(Self::Account { erased: true }),
            _ => device.map_or(Ok(Self::Family(family)), |device| DeviceId::take(device).map(Self::Device)),
        }
    }
}

impl FlatTable for Ruling {
    type Table<'a> = fb::Ruling<'a>;

    fn put_table(&self, builder: &mut Builder) -> WIPOffset<fb::Ruling<'static>> {
        let (changed, refused) = match self {
            Self::Change(body) => (body.put(builder), None),
            Self::Refuse(reason) => (None, reason.put(builder)),
            Self::Unasked => (None, None),
        };
        fb::Ruling::create(builder, &fb::RulingArgs { changed, refused })
    }
}

impl<'a> Take<fb::Ruling<'a>> for Ruling {
    fn take(ruling: fb::Ruling<'a>) -> Result<Self, Illegal> {
        match (ruling.changed(), ruling.refused()) {
            (Some(body), None) => Ok(Self::Change(body.into())),
            (None, Some(reason)) => Ok(Self::Refuse(reason.into())),
            (None, None) => Ok(Self::Unasked),
            (Some(_), Some(_)) => Err(Illegal::new("a ruling both changes and refuses")),
        }
    }
}

/// Events of a feed are whole events on the wire: their channel is the feed's, and they have no place in an inbox.
impl FlatTable for Feed {
    type Table<'a> = fb::Feed<'a>;

    fn put_table(&self, builder: &mut Builder) -> WIPOffset<fb::Feed<'static>> {
        let mut events = Vec::with_capacity(self.events.len());
        for body in &self.events {
            let (body_type, body) = body.put_union(builder);
            let (position, channel) = (Position::START.put(builder), self.channel.0);
            let fields = fb::EventArgs { position: Some(&position), channel, body_type, body: Some(body) };
            events.push(fb::Event::create(builder, &fields));
        }
        let events = Some(builder.create_vector(&events));
        fb::Feed::create(builder, &fb::FeedArgs { channel: self.channel.0, events })
    }
}

impl<'a> Take<fb::Feed<'a>> for Feed {
    fn take(feed: fb::Feed<'a>) -> Result<Self, Illegal> {
        let events = feed.events().into_iter().flatten().map(EventBody::take).collect::<Result<_, _>>()?;
        Ok(Self { channel: ChannelId(feed.channel()), events })
    }
}

impl FlatTable for (ChannelId, Seq) {
    type Table<'a> = fb::Head<'a>;

    fn put_table(&self, builder: &mut Builder) -> WIPOffset<fb::Head<'static>> {
        fb::Head::create(builder, &fb::HeadArgs { channel: self.0.0, seq: self.1.0 })
    }
}

impl<'a> Take<fb::Head<'a>> for (ChannelId, Seq) {
    fn take(head: fb::Head<'a>) -> Result<Self, Illegal> {
        Ok((ChannelId(head.channel()), Seq(head.seq())))
    }
}
