//! What nothing holds any more.
//!
//! Owns when a media goes: a day after its upload if no message took it, at once if the last that held it is gone, and
//! with its account. The rows go first, then, by whoever has the object store, the objects, and last the `media due`: so
//! whatever breaks off in between is begun again.

use schema::record::{MediaRecord, UploadRecord};
use schema::{ChannelId, MediaId, Seq, UnixMs, UserId};

use super::{look_at, uploads};
use crate::{LayerError, clock, commit, keys, read, unreadable};
use kv::transaction::{Begin, Engine, Transaction};

/// Uses that are read to see whether there is any.
const USES_READ: u32 = 1;
/// Media of an account that one transaction lets go.
const RELEASED_AT_ONCE: u32 = 100;

/// A media that is to be looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Due {
    /// Since when.
    pub at: UnixMs,
    /// Which.
    pub media: MediaId,
}

/// What looking at a media came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Looked {
    /// It stays, and there is nothing more to do.
    Stays,
    /// It is known no more: remove its objects, then [`forget`] that it is due, which it is again later.
    Goes(Due),
}

/// How much later a media is looked at again whose objects were not removed at once.
const AGAIN_MS: u64 = 600_000;
/// How much later one is whose rows cannot be read.
const UNREADABLE_AGAIN_MS: u64 = 3_600_000;

/// Media that are due at `wall`, the earliest first, at most so many. By the clock that upkeep believes: one that has leapt
/// removes nothing.
///
/// # Errors
/// The store's.
pub async fn due<E: Engine>(engine: &E, wall: UnixMs, limit: u32) -> Result<Vec<Due>, LayerError> {
    let wall = clock::believed(&engine.begin(Begin::Fresh), wall).await?;
    let range = keys::media_due_before(wall.plus_ms(1)).rows(limit);
    let page = read!(engine, Begin::Fresh, |tx| Ok(tx.snapshot_get_range(&range).await?))?;
    Ok(unreadable::readable(&page.rows, |row| {
        let (at, media) = keys::media_due_of(&row.key)?;
        Ok(Due { at, media })
    }))
}

/// Looks whether a media that is due stays: where a message holds it, where it is reserved, where it is still being uploaded.
/// Otherwise its rows go.
///
/// # Errors
/// The store's, and damage. Looking again is safe.
pub async fn look<E: Engine>(engine: &E, due: Due, wall: UnixMs) -> Result<Looked, LayerError> {
    let wall = clock::believed(&engine.begin(Begin::Fresh), wall).await?;
    let again = Due { at: wall.plus_ms(AGAIN_MS), media: due.media };
    commit!(engine, Begin::Fresh, |tx, _| {
        let (media, keys) = (due.media, [keys::media(due.media), keys::upload(due.media)]);
        // Whoever completes this upload reads the row that goes here: of the two one fails.
        tx.clear(&keys::media_due(due.at, media));
        let rows = tx.get_all(&keys).await?;
        let whole = unreadable::refuse_some(&keys[0], rows[0].as_ref(), MediaRecord::decode)?;
        let upload = unreadable::refuse_some(&keys[1], rows[1].as_ref(), UploadRecord::decode)?;
        if let Some(record) = whole {
            let uses = tx.get_range(&keys::media_uses(media).rows(USES_READ)).await?;
            if !uses.rows.is_empty() || record.reserved_ms > wall {
                return Ok(Looked::Stays);
            }
            remove(&mut tx, &record, wall).await?;
            look_at(&mut tx, media, again.at);
            return Ok(Looked::Goes(again));
        }
        match upload {
            Some(upload) if upload.expires_ms > wall => {
                look_at(&mut tx, media, upload.expires_ms);
                Ok(Looked::Stays)
            }
            Some(upload) => {
                uploads::end(&mut tx, media, upload.owner);
                look_at(&mut tx, media, again.at);
                Ok(Looked::Goes(again))
            }
            None => {
                look_at(&mut tx, media, again.at);
                Ok(Looked::Goes(again))
            }
        }
    })
}

/// Clears the rows of a media but for its `media due`.
async fn remove<T: Transaction>(tx: &mut T, record: &MediaRecord, wall: UnixMs) -> Result<(), LayerError> {
    let media = record.attachment.media_id;
    tx.clear(&keys::media(media));
    tx.clear(&keys::media_of_user(record.owner, media));
    let hash = keys::media_hash(record.owner, record.uploaded_sha256);
    if tx.get(&hash).await?.is_some_and(|row| *row == media.0.to_be_bytes()) {
        tx.clear(&hash);
    }
    if let Some(poster) = record.attachment.poster {
        tx.clear(&keys::media_use(poster, ChannelId(0), Seq(media.0)));
        look_at(tx, poster, wall);
    }
    Ok(())
}

/// Puts off a media whose rows cannot be read, so that those behind it are looked at.
///
/// # Errors
/// The store's.
pub async fn put_off<E: Engine>(engine: &E, due: Due, wall: UnixMs) -> Result<(), LayerError> {
    commit!(engine, Begin::Fresh, |tx, _| {
        tx.clear(&keys::media_due(due.at, due.media));
        look_at(&mut tx, due.media, wall.plus_ms(UNREADABLE_AGAIN_MS));
        Ok(())
    })
}

/// Forgets that a media was due whose objects are gone.
///
/// # Errors
/// The store's. Forgetting again is safe.
pub async fn forget<E: Engine>(engine: &E, due: Due) -> Result<(), LayerError> {
    commit!(engine, Begin::Fresh, |tx, _| {
        tx.clear(&keys::media_due(due.at, due.media));
        Ok(())
    })
}

/// Lets go of some of an account's media and uploads, whoever holds them: the sweep removes them. Whether there are more.
///
/// # Errors
/// The store's. Asking again is safe.
pub async fn release_some<E: Engine>(engine: &E, user: UserId) -> Result<bool, LayerError> {
    let range = &keys::media_of_users(user).rows(RELEASED_AT_ONCE);
    commit!(engine, Begin::Fresh, |tx, _| {
        let page = tx.get_range(range).await?;
        for row in &page.rows {
            let (_, media) = keys::media_of_user_fields(&row.key)?;
            let key = keys::media(media);
            // One that cannot be read is still no longer the account's, and its objects go.
            let record = tx.get(&key).await?.map(|row| unreadable::skip(&key, MediaRecord::decode(&row)));
            if let Some(Some(record)) = record {
                remove(&mut tx, &record, UnixMs(0)).await?;
            }
            for key in [key, keys::upload(media), row.key.to_vec()] {
                tx.clear(&key);
            }
            let uses = keys::media_uses(media);
            tx.clear_range(&uses.begin, &uses.end);
            look_at(&mut tx, media, UnixMs(0));
        }
        Ok(page.more)
    })
}
