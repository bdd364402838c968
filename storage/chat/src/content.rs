//! Messages as they are shown, from their rows, their tallies and the parts of long bodies.
//!
//! Owns reading them, in as few rounds as there are dependencies: rows and tallies, then parts. A message of which a
//! row is missing or cannot be read is none, whatever refers to it.

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;
use schema::media::Attachment;
use schema::message::Tally;
use schema::record::{BodyRecord, EventRecord, EventRecordBody, MessageRecord, RecordError, TalliesRecord};
use schema::{ChannelId, Event, EventBody, Message, Position, Seq, UserId};

use super::{LayerError, body, unreadable};
use crate::keys;
use kv::join;
use kv::transaction::Transaction;

/// A message's rows, and where they are.
#[derive(Debug)]
pub(super) struct Placed {
    pub(super) place: (ChannelId, Seq),
    pub(super) record: MessageRecord,
    pub(super) tallies: TalliesRecord,
}

/// The records of messages, in the order of their places.
pub(super) async fn records<T: Transaction>(
    tx: &T,
    places: &[(ChannelId, Seq)],
) -> Result<Vec<((ChannelId, Seq), Option<MessageRecord>)>, LayerError> {
    let keys: Vec<Vec<u8>> = places.iter().map(|&(channel, seq)| keys::message(channel, seq)).collect();
    let values = tx.get_all(&keys).await?;
    let record = |(key, value): (&Vec<u8>, Option<Bytes>)| match value {
        Some(value) => unreadable::skip(key, MessageRecord::decode(&value)),
        None => {
            unreadable::missing(key, "message");
            None
        }
    };
    Ok(places.iter().copied().zip(keys.iter().zip(values).map(record)).collect())
}

/// The same with their tallies, read at once.
pub(super) async fn rows<T: Transaction>(
    tx: &T,
    places: &[(ChannelId, Seq)],
) -> Result<Vec<Option<Placed>>, LayerError> {
    let keys: Vec<Vec<u8>> = places.iter().map(|&(channel, seq)| keys::tallies(channel, seq)).collect();
    let tallies = async { tx.get_all(&keys).await.map_err(LayerError::from) };
    let (records, tallies) = join::both(records(tx, places), tallies).await?;
    let tallies = keys.iter().zip(tallies);
    let placed = records.into_iter().zip(tallies).map(|((place, record), (key, tallies))| {
        let tallies = unreadable::skip_or_default(key, tallies.as_ref(), TalliesRecord::decode);
        Some(Placed { place, record: record?, tallies })
    });
    Ok(placed.collect())
}

/// Bytes of a message's text.
pub(super) fn text_bytes(record: &MessageRecord) -> usize {
    match &record.body {
        BodyRecord::Inline(text) => text.len(),
        &BodyRecord::Parts { bytes, .. } => bytes as usize,
    }
}

/// Bytes of a message's text and, about, of its reactions and of what it says of its media.
pub(super) fn content_bytes(placed: &Placed) -> usize {
    /// As in [`Event::weight_bytes`].
    const TALLY_BYTES: usize = 64;
    let media: usize = placed.record.media.iter().map(Attachment::weight_bytes).sum();
    text_bytes(&placed.record) + placed.tallies.counts.len() * TALLY_BYTES + media
}

/// The messages of these rows, with the parts of long bodies read from the same version.
pub(super) async fn messages<T: Transaction>(
    tx: &T,
    placed: Vec<Option<Placed>>,
) -> Result<Vec<Option<Arc<Message>>>, LayerError> {
    join::try_all(placed.into_iter().map(|placed| message(tx, placed))).await
}

async fn message<T: Transaction>(tx: &T, placed: Option<Placed>) -> Result<Option<Arc<Message>>, LayerError> {
    let Some(Placed { place, record, tallies }) = placed else { return Ok(None) };
    match text(tx, place, &record).await {
        Ok(body) => Ok(Some(Arc::new(shown(place, record, body, &tallies)))),
        Err(LayerError::Record(_)) => Ok(None),
        Err(error) => Err(error),
    }
}

/// A message of this record, whose text is `body`. Nobody's own reactions are marked.
pub(super) fn shown(
    (channel_id, seq): (ChannelId, Seq),
    record: MessageRecord,
    body: Arc<str>,
    tallies: &TalliesRecord,
) -> Message {
    let MessageRecord {
        revision,
        from,
        sent_ms,
        client_msg_id,
        kind,
        body: _,
        reply_to,
        mentions,
        edited_ms,
        deleted,
        audience: _,
        media,
    } = record;
    let tally = |(emoji, count): &(_, u32)| Tally { emoji: schema::Emoji::clone(emoji), count: *count, mine: false };
    Message {
        channel_id,
        seq,
        revision,
        from,
        sent_ms,
        client_msg_id,
        kind,
        body,
        reply_to,
        mentions: mentions.into(),
        edited_ms,
        deleted,
        reactions: tallies.counts.iter().map(tally).collect(),
        media,
    }
}

/// The same messages with the reader's own reactions marked.
pub(super) async fn with_mine<T: Transaction>(
    tx: &T,
    reader: UserId,
    mut messages: Vec<Arc<Message>>,
) -> Result<Vec<Arc<Message>>, LayerError> {
    let own = |message: &Message, tally: &Tally| keys::reaction(message.channel_id, message.seq, &tally.emoji, reader);
    let wanted: Vec<_> =
        messages.iter().flat_map(|message| message.reactions.iter().map(|tally| own(message, tally))).collect();
    let mut values = tx.get_all(&wanted).await?.into_iter();
    for message in messages.iter_mut().filter(|message| !message.reactions.is_empty()) {
        let mut mine = |tally: &Tally| {
            let mine = values.next().expect("one for each tally").is_some();
            Tally { mine, ..tally.clone() }
        };
        let reactions = message.reactions.iter().map(&mut mine).collect();
        Arc::make_mut(message).reactions = reactions;
    }
    Ok(messages)
}

/// A message's text, wherever it lies.
pub(super) async fn text<T: Transaction>(
    tx: &T,
    (channel, seq): (ChannelId, Seq),
    record: &MessageRecord,
) -> Result<Arc<str>, LayerError> {
    match &record.body {
        BodyRecord::Inline(text) => Ok(Arc::clone(text)),
        &BodyRecord::Parts { parts, bytes } => {
            let range = keys::body_parts(channel, seq, record.revision).rows(body::PARTS_MAX);
            let page = tx.get_range(&range).await?;
            let values: Vec<_> = page.rows.into_iter().map(|row| row.value).collect();
            let text = if values.len() == parts as usize {
                body::join(&values, bytes)
            } else {
                let why = format!("{} of {parts} parts of {seq} in channel {channel}", values.len());
                Err(RecordError::Damaged { what: "body", bytes: bytes as usize, why })
            };
            Ok(unreadable::refuse(&range.begin, text)?)
        }
    }
}

/// What a message is found by: its text, and behind it the names of its files, a line each.
pub(super) fn searched<'a>(text: &'a str, record: &MessageRecord) -> Cow<'a, str> {
    let mut searched = Cow::Borrowed(text);
    for name in record.media.iter().map(|media| &*media.name).filter(|name| !name.is_empty()) {
        let searched = searched.to_mut();
        if !searched.is_empty() {
            searched.push('\n');
        }
        searched.push_str(name);
    }
    searched
}

/// The message that an event is about, if it is about one.
pub(super) fn message_of(event: &EventRecord) -> Option<(ChannelId, Seq)> {
    match event.body {
        EventRecordBody::Message { seq, .. } | EventRecordBody::Edited { seq, .. } => Some((event.channel, seq)),
        EventRecordBody::Deleted { .. }
        | EventRecordBody::Reaction { .. }
        | EventRecordBody::Membership { .. }
        | EventRecordBody::Read { .. } => None,
    }
}

/// The events with their contents, those whose message can be read. `messages` are those that [`message_of`] names, in
/// the order of the events.
pub(super) fn events(
    records: impl IntoIterator<Item = (Position, EventRecord)>,
    messages: impl IntoIterator<Item = Option<Arc<Message>>>,
) -> Vec<Event> {
    let mut messages = messages.into_iter();
    let with_content = |(position, event): (Position, EventRecord)| {
        let body = event_body(event.body, |seq, revision| {
            let message = messages.next().expect("one for each event that names one")?;
            if message.revision < revision {
                let why = format!("{seq} of channel {} has revision {}", event.channel, message.revision);
                let error = RecordError::Damaged { what: "message", bytes: message.body.len(), why };
                unreadable::note(&keys::message(event.channel, seq), &error);
                return None;
            }
            Some(message)
        })?;
        Some(Event { position, channel: event.channel, body })
    };
    records.into_iter().filter_map(with_content).collect()
}

/// What an event tells, with the message of that seq and revision where it names one. `None` if there is none.
pub(super) fn event_body(
    body: EventRecordBody,
    message: impl FnOnce(Seq, u32) -> Option<Arc<Message>>,
) -> Option<EventBody> {
    Some(match body {
        EventRecordBody::Message { seq, revision } => EventBody::Message(message(seq, revision)?),
        EventRecordBody::Edited { seq, revision } => EventBody::Edited(message(seq, revision)?),
        EventRecordBody::Deleted { seq, revision } => EventBody::Deleted { seq, revision },
        EventRecordBody::Reaction { seq, emoji, count, user, on } => {
            EventBody::Reaction { seq, emoji, count, user, on }
        }
        EventRecordBody::Membership { user, change, role } => EventBody::Membership { user, change, role },
        EventRecordBody::Read { user, read_seq } => EventBody::Read { user, read_seq },
    })
}

/// The messages that the first rows name, each so many, and how many rows fit into `bytes` by [`Event::weight_bytes`]
/// of an event with each message, and of one for a row without any: one row does.
pub(super) async fn fitting<T: Transaction>(
    tx: &T,
    named: impl Iterator<Item = Vec<(ChannelId, Seq)>>,
    bytes: usize,
) -> Result<(Vec<Option<Arc<Message>>>, usize), LayerError> {
    /// As in [`Event::weight_bytes`].
    const AROUND_BYTES: usize = 256;
    let named: Vec<_> = named.collect();
    let mut rows = rows(tx, &named.concat()).await?.into_iter();
    let (mut kept, mut fitting, mut weight) = (Vec::new(), 0, 0);
    for places in &named {
        let of_row: Vec<_> = rows.by_ref().take(places.len()).collect();
        let content = of_row.iter().flatten().map(|placed| content_bytes(placed) + placed.record.mentions.len() * 8);
        weight += AROUND_BYTES * places.len().max(1) + content.sum::<usize>();
        if fitting > 0 && weight > bytes {
            break;
        }
        kept.extend(of_row);
        fitting += 1;
    }
    Ok((messages(tx, kept).await?, fitting))
}
