//! Tables that clients and shards share: a message, a snapshot's channels, presence, lists of users.
//!
//! Owns their mapping to the values, both ways.

use std::sync::Arc;

use flatbuffers::{ForwardsUOffset, Vector, WIPOffset};

use super::{Builder, Illegal};
use crate::command::SnapshotChannel;
use crate::emoji::Emoji;
use crate::enums::Numbered as _;
use crate::generated::rookery as fb;
use crate::id::{ChannelId, ClientMsgId, Seq, UserId};
use crate::message::{Message, MessageKind, Tally, no_mentions, no_reactions};
use crate::op::ChannelKind;
use crate::presence::{PresenceEntry, PresenceState};
use crate::time::UnixMs;

type Tables<'a, T> = Vector<'a, ForwardsUOffset<T>>;

/// Builds a message.
pub(crate) fn put_message<'b>(builder: &mut Builder, message: &Message) -> WIPOffset<fb::Message<'b>> {
    let reactions = (!message.reactions.is_empty()).then(|| {
        let mut tallies = Vec::with_capacity(message.reactions.len());
        for Tally { emoji, count, mine } in &*message.reactions {
            let emoji = Some(builder.create_string(emoji.as_str()));
            tallies.push(fb::Tally::create(builder, &fb::TallyArgs { emoji, count: *count, mine: *mine }));
        }
        builder.create_vector(&tallies)
    });
    let fields = fb::MessageArgs {
        channel_id: message.channel_id.0,
        seq: message.seq.0,
        revision: message.revision,
        from: message.from.0,
        sent_ms: message.sent_ms.0,
        client_msg_id: Some(&fb::Uuid::new(&message.client_msg_id.0)),
        kind: message.kind.number(),
        body: Some(builder.create_string(&message.body)),
        reply_to: message.reply_to.map(|seq| seq.0),
        mentions: put_users(builder, &message.mentions),
        edited_ms: message.edited_ms.map(|at| at.0),
        deleted: message.deleted,
        reactions,
    };
    fb::Message::create(builder, &fields)
}

/// Reads a message. Its text is copied once, from the buffer to where it is shared.
pub(crate) fn message(table: fb::Message<'_>) -> Result<Arc<Message>, Illegal> {
    Ok(Arc::new(Message {
        channel_id: ChannelId(table.channel_id()),
        seq: Seq(table.seq()),
        revision: table.revision(),
        from: UserId(table.from()),
        sent_ms: UnixMs(table.sent_ms()),
        client_msg_id: uuid(table.client_msg_id()),
        kind: MessageKind::known(table.kind(), "kind")?,
        body: table.body().into(),
        reply_to: table.reply_to().map(Seq),
        mentions: users(table.mentions()),
        edited_ms: table.edited_ms().map(UnixMs),
        deleted: table.deleted(),
        reactions: match table.reactions() {
            Some(tallies) => tallies.iter().map(tally).collect::<Result<_, _>>()?,
            None => no_reactions(),
        },
    }))
}

fn tally(table: fb::Tally<'_>) -> Result<Tally, Illegal> {
    Ok(Tally { emoji: emoji(table.emoji())?, count: table.count(), mine: table.mine() })
}

/// Reads an emoji.
pub(crate) fn emoji(text: &str) -> Result<Emoji, Illegal> {
    Emoji::accepted(text).map_err(|error| Illegal::new("emoji", format!("{error}")))
}

/// Builds what is said of users' presence.
pub(crate) fn put_presence<'b>(
    builder: &mut Builder,
    entries: &[PresenceEntry],
) -> WIPOffset<Tables<'b, fb::PresenceEntry<'b>>> {
    let mut tables = Vec::with_capacity(entries.len());
    for entry in entries {
        let fields = fb::PresenceEntryArgs {
            user_id: entry.user_id.0,
            state: entry.state.number(),
            last_active_ms: entry.last_active_ms.0,
        };
        tables.push(fb::PresenceEntry::create(builder, &fields));
    }
    WIPOffset::new(builder.create_vector(&tables).value())
}

/// Reads what is said of users' presence.
pub(crate) fn presence(tables: Tables<'_, fb::PresenceEntry<'_>>) -> Result<Vec<PresenceEntry>, Illegal> {
    let entry = |table: fb::PresenceEntry<'_>| {
        Ok(PresenceEntry {
            user_id: UserId(table.user_id()),
            state: PresenceState::known(table.state(), "state")?,
            last_active_ms: UnixMs(table.last_active_ms()),
        })
    };
    tables.iter().map(entry).collect()
}

/// Reads the 16 bytes of a name, without a look at its version.
pub(crate) fn uuid(bytes: &fb::Uuid) -> ClientMsgId {
    ClientMsgId(bytes.bytes().into())
}

/// Builds a list of users; none if it is empty, which is what its absence means.
pub(crate) fn put_users<'b>(builder: &mut Builder, users: &[UserId]) -> Option<WIPOffset<Vector<'b, u64>>> {
    if users.is_empty() {
        return None;
    }
    let list = builder.create_vector_from_iter(users.iter().map(|user| user.0));
    Some(WIPOffset::new(list.value()))
}

/// Reads a list of users that may be absent.
pub(crate) fn users(list: Option<Vector<'_, u64>>) -> Arc<[UserId]> {
    list.map_or_else(no_mentions, |list| list.iter().map(UserId).collect())
}

/// Builds a snapshot's channels.
pub(crate) fn put_snapshot_channels<'b>(
    builder: &mut Builder,
    channels: &[SnapshotChannel],
) -> WIPOffset<Tables<'b, fb::SnapshotChannel<'b>>> {
    let mut tables = Vec::with_capacity(channels.len());
    for channel in channels {
        let fields = fb::SnapshotChannelArgs {
            channel_id: channel.channel_id.0,
            kind: channel.kind.number(),
            head_seq: channel.head_seq.0,
            read_seq: channel.read_seq.0,
            unread: channel.unread,
        };
        tables.push(fb::SnapshotChannel::create(builder, &fields));
    }
    WIPOffset::new(builder.create_vector(&tables).value())
}

/// Reads a snapshot's channels.
pub(crate) fn snapshot_channels(tables: Tables<'_, fb::SnapshotChannel<'_>>) -> Result<Vec<SnapshotChannel>, Illegal> {
    let channel = |table: fb::SnapshotChannel<'_>| {
        Ok(SnapshotChannel {
            channel_id: ChannelId(table.channel_id()),
            kind: ChannelKind::known(table.kind(), "kind")?,
            head_seq: Seq(table.head_seq()),
            read_seq: Seq(table.read_seq()),
            unread: table.unread(),
        })
    };
    tables.iter().map(channel).collect()
}
