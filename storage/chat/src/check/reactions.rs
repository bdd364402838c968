//! I5 over reactions: what is counted of a message is what its users put there. And what is kept of mentions.

use schema::record::{MessageRecord, TalliesRecord};
use schema::{ChannelId, Seq};

use super::{CheckError, Checked, PAGE_ROWS, violated};
use crate::again;
use crate::keys;
use kv::transaction::{Begin, Engine, Transaction};

/// The reactions to one message that the walk has met so far.
#[derive(Debug, Clone)]
struct Counted {
    place: (ChannelId, Seq),
    /// In the order of their keys.
    tallies: TalliesRecord,
}

/// Every reaction is to a message that was not deleted, and is counted once.
pub(super) async fn reactions<E: Engine>(
    engine: &E,
    checked: &mut Checked,
    progress: &mut impl FnMut(&Checked),
) -> Result<(), CheckError> {
    let mut last = None;
    let mut counted = None;
    loop {
        let (rows, next, now) = again!(reactions_page(engine, last.clone(), counted.clone()))?;
        checked.reactions += rows;
        progress(checked);
        (last, counted) = (next, now);
        if last.is_none() {
            break;
        }
    }
    match counted {
        Some(counted) => again!(async { compare(&engine.begin(Begin::Fresh), &counted).await }),
        None => Ok(()),
    }
}

/// A page of reactions: how many, the last key if there are more, and the message in whose reactions it ended.
async fn reactions_page<E: Engine>(
    engine: &E,
    last: Option<Vec<u8>>,
    mut counted: Option<Counted>,
) -> Result<(u64, Option<Vec<u8>>, Option<Counted>), CheckError> {
    let tx = engine.begin(Begin::Fresh);
    let page = tx.snapshot_get_range(&keys::reactions_after(last).rows(PAGE_ROWS)).await?;
    for row in &page.rows {
        let (channel, seq, emoji, _) = keys::reaction_of(&row.key)?;
        let place = (channel, seq);
        if let Some(done) = counted.take_if(|counted| counted.place != place) {
            compare(&tx, &done).await?;
        }
        let counts = &mut counted.get_or_insert(Counted { place, tallies: TalliesRecord::default() }).tallies.counts;
        match counts.last_mut() {
            Some((last, count)) if *last == emoji => *count += 1,
            Some(_) | None => counts.push((emoji, 1)),
        }
    }
    let next = page.rows.last().filter(|_| page.more).map(|row| row.key.to_vec());
    Ok((page.rows.len() as u64, next, counted))
}

/// What is counted of a message is what was found.
async fn compare<T: Transaction>(tx: &T, Counted { place, tallies }: &Counted) -> Result<(), CheckError> {
    let (channel, seq) = *place;
    let keys = [keys::message(channel, seq), keys::tallies(channel, seq)];
    let mut rows = tx.get_all(&keys).await?.into_iter();
    let mut next = || rows.next().expect("two were asked for");
    let (message, counted) = (next(), next());
    let message = message.map(|row| MessageRecord::decode(&row)).transpose()?;
    if message.is_none_or(|record| record.deleted) {
        return violated("I5", format!("{seq} of channel {channel} has reactions, and is gone"));
    }
    let mut counted = counted.map_or(Ok(TalliesRecord::default()), |row| TalliesRecord::decode(&row))?.counts;
    let mut found = tallies.counts.clone();
    counted.sort();
    found.sort();
    if counted != found {
        return violated("I5", format!("{seq} of channel {channel} counts {counted:?}, its users put {found:?} there"));
    }
    Ok(())
}

/// Nothing is counted of a message to which nobody reacted.
pub(super) async fn tallies<E: Engine>(engine: &E) -> Result<(), CheckError> {
    let mut last = None;
    loop {
        last = again!(tallies_page(engine, last))?;
        if last.is_none() {
            return Ok(());
        }
    }
}

async fn tallies_page<E: Engine>(
    engine: &E,
    last: Option<(ChannelId, Seq)>,
) -> Result<Option<(ChannelId, Seq)>, CheckError> {
    let tx = engine.begin(Begin::Fresh);
    let page = tx.snapshot_get_range(&keys::tallies_after(last).rows(PAGE_ROWS)).await?;
    let mut place = None;
    for row in &page.rows {
        let (channel, seq) = keys::tallies_place(&row.key)?;
        let counts = TalliesRecord::decode(&row.value)?.counts;
        if tx.snapshot_get_range(&keys::reactions(channel, seq).rows(1)).await?.rows.is_empty() {
            return violated(
                "I5",
                format!("{seq} of channel {channel} counts {counts:?}, its users put nothing there"),
            );
        }
        place = Some((channel, seq));
    }
    Ok(place.filter(|_| page.more))
}

/// Every mention is in a message that names its user. Messages were asked the reverse.
pub(super) async fn mentions<E: Engine>(engine: &E) -> Result<(), CheckError> {
    let mut last = None;
    loop {
        last = again!(mentions_page(engine, last))?;
        if last.is_none() {
            return Ok(());
        }
    }
}

async fn mentions_page<E: Engine>(
    engine: &E,
    last: Option<keys::MentionKey>,
) -> Result<Option<keys::MentionKey>, CheckError> {
    let tx = engine.begin(Begin::Fresh);
    let page = tx.snapshot_get_range(&keys::mentions_after(last).rows(PAGE_ROWS)).await?;
    let mentions = page.rows.iter().map(|row| keys::MentionKey::of_key(&row.key)).collect::<Result<Vec<_>, _>>()?;
    let messages: Vec<_> = mentions.iter().map(|mention| keys::message(mention.channel, mention.seq)).collect();
    for (mention, row) in mentions.iter().zip(tx.get_all(&messages).await?) {
        let message = row.map(|row| MessageRecord::decode(&row)).transpose()?;
        let named =
            message.is_some_and(|record| record.sent_ms == mention.sent_ms && record.mentions.contains(&mention.user));
        if !named {
            let keys::MentionKey { user, channel, seq, .. } = mention;
            return violated(
                "I6",
                format!("user {user} has a row of {seq} of channel {channel}, which does not name it"),
            );
        }
    }
    Ok(mentions.last().copied().filter(|_| page.more))
}
