//! Uploads: what is being written, from before its first byte.

use schema::limits::MEDIA_UPLOAD_MS;
use schema::record::UploadRecord;
use schema::{MediaId, UnixMs, UserId};

use super::{MARK, look_at};
use crate::{LayerError, commit, keys, read, unreadable};
use kv::transaction::{Begin, Engine, Transaction};

/// An upload that has begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Begun {
    /// What it will be.
    pub media: MediaId,
    /// Until when it may be written.
    pub due: UnixMs,
}

/// Notes that a media is written by one request, which is over within `MEDIA_UPLOAD_MS`. `None` if the id is taken: draw
/// another.
///
/// # Errors
/// The store's.
pub async fn begin<E: Engine>(engine: &E, media: MediaId, now: UnixMs) -> Result<Option<Begun>, LayerError> {
    let begun = Begun { media, due: now.plus_ms(MEDIA_UPLOAD_MS) };
    commit!(engine, Begin::Fresh, |tx, attempt| {
        if is_taken(&tx, media).await? && !attempt.maybe_committed {
            return Ok(None);
        }
        look_at(&mut tx, media, begun.due);
        Ok(Some(begun))
    })
}

/// Begins an upload of several requests. `None` if the id is taken: draw another.
///
/// # Errors
/// The store's.
pub async fn begin_resumable<E: Engine>(
    engine: &E,
    media: MediaId,
    record: &UploadRecord,
) -> Result<Option<Begun>, LayerError> {
    commit!(engine, Begin::Fresh, |tx, attempt| {
        if is_taken(&tx, media).await? && !attempt.maybe_committed {
            return Ok(None);
        }
        tx.set(&keys::upload(media), &record.encode());
        tx.set(&keys::media_of_user(record.owner, media), MARK);
        look_at(&mut tx, media, record.expires_ms);
        Ok(Some(Begun { media, due: record.expires_ms }))
    })
}

async fn is_taken<T: Transaction>(tx: &T, media: MediaId) -> Result<bool, LayerError> {
    let rows = tx.get_all(&[keys::media(media), keys::upload(media)]).await?;
    Ok(rows.iter().any(Option::is_some))
}

/// An upload of several requests that is not whole.
///
/// # Errors
/// The store's, and damage.
pub async fn upload<E: Engine>(engine: &E, media: MediaId) -> Result<Option<UploadRecord>, LayerError> {
    let key = keys::upload(media);
    let row = read!(engine, Begin::Fresh, |tx| Ok(tx.get(&key).await?))?;
    Ok(unreadable::refuse_some(&key, row.as_ref(), UploadRecord::decode)?)
}

/// Notes that bytes up to `offset` are durable, where those up to `from` were. Whether they were: if not, another
/// request has written meanwhile, or the upload is gone.
///
/// # Errors
/// The store's, and damage.
pub async fn advance<E: Engine>(engine: &E, media: MediaId, from: u64, offset: u64) -> Result<bool, LayerError> {
    commit!(engine, Begin::Fresh, |tx, attempt| {
        let key = keys::upload(media);
        let Some(mut record) = unreadable::refuse_some(&key, tx.get(&key).await?.as_ref(), UploadRecord::decode)?
        else {
            return Ok(false);
        };
        if attempt.maybe_committed && record.offset == offset {
            return Ok(true);
        }
        if record.offset != from || offset > record.length {
            return Ok(false);
        }
        record.offset = offset;
        tx.set(&key, &record.encode());
        Ok(true)
    })
}

/// Gives an upload up: nothing of it may be written any more, and what was is the sweep's to remove. Whether there was
/// such an upload of this user.
///
/// # Errors
/// The store's, and damage.
pub async fn abandon<E: Engine>(engine: &E, user: UserId, media: MediaId, now: UnixMs) -> Result<bool, LayerError> {
    commit!(engine, Begin::Fresh, |tx, attempt| {
        let key = keys::upload(media);
        let record = unreadable::refuse_some(&key, tx.get(&key).await?.as_ref(), UploadRecord::decode)?;
        match record {
            Some(record) if record.owner == user => {
                end(&mut tx, media, user);
                tx.clear(&keys::media_due(record.expires_ms, media));
                look_at(&mut tx, media, now);
                Ok(true)
            }
            Some(_) => Ok(false),
            None => Ok(attempt.maybe_committed),
        }
    })
}

/// Leaves word, where an upload of several requests was, of the media that it became: its client knows it by its own id.
/// The word goes when the upload would have expired.
pub(super) async fn note_became<T: Transaction>(tx: &mut T, media: MediaId, became: MediaId) -> Result<(), LayerError> {
    let key = keys::upload(media);
    if let Some(record) = unreadable::refuse_some(&key, tx.get(&key).await?.as_ref(), UploadRecord::decode)? {
        tx.set(&key, &UploadRecord { offset: record.length, became: Some(became), ..record }.encode());
    }
    Ok(())
}

/// Clears what is known of an upload that is not whole.
pub(super) fn end<T: Transaction>(tx: &mut T, media: MediaId, owner: UserId) {
    tx.clear(&keys::upload(media));
    tx.clear(&keys::media_of_user(owner, media));
}
