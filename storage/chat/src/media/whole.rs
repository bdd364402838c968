//! Media that are whole: made, found again by their bytes, read.

use schema::record::{MediaRecord, UploadRecord};
use schema::{ChannelId, ErrorCode, MediaId, MediaKind, Refusal, Seq, UnixMs, UserId};

use super::uploads::{self, Begun};
use super::{MARK, look_at, unused_at};
use crate::{LayerError, commit, keys, packed, read, unreadable};
use kv::transaction::{Begin, Engine, Transaction};

/// What an upload became.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Completed {
    /// A media of its own.
    New(MediaRecord),
    /// The one that the account's earlier upload of the same bytes made, which stays for a day more. The new objects are
    /// the caller's to remove.
    Same(MediaRecord),
    /// Nothing: it took longer than it may, or was given up, and may be removed by now.
    Over,
}

/// Makes a media of what was uploaded: all its objects are durable.
///
/// # Errors
/// 102 if its poster is no picture of its owner's; the store's, and damage. Completing again is safe.
pub async fn complete<E: Engine>(
    engine: &E,
    begun: Begun,
    record: &MediaRecord,
    now: UnixMs,
) -> Result<Completed, LayerError> {
    let Begun { media, due } = begun;
    commit!(engine, Begin::Fresh, |tx, _| {
        let (owner, key) = (record.owner, keys::media(media));
        let rows = tx.get_all(&[key.clone(), keys::media_due(due, media)]).await?;
        if let Some(record) = unreadable::refuse_some(&key, rows[0].as_ref(), MediaRecord::decode)? {
            // An attempt before, or another request that found it whole.
            return Ok(if record.owner == owner { Completed::New(record) } else { Completed::Over });
        }
        if rows[1].is_none() {
            return Ok(Completed::Over);
        }
        if let Some(same) = find_same(&tx, owner, record.uploaded_sha256).await? {
            uploads::note_became(&mut tx, media, same.attachment.media_id).await?;
            return Ok(Completed::Same(reserve(&mut tx, same, now)));
        }
        if let Some(poster) = record.attachment.poster {
            let key = keys::media(poster);
            let found = unreadable::refuse_some(&key, tx.get(&key).await?.as_ref(), MediaRecord::decode)?;
            if !found.is_some_and(|found| found.owner == owner && found.attachment.kind == MediaKind::Image) {
                return Err(Refusal::new(ErrorCode::UnknownChannel, "the poster is no picture of the account").into());
            }
            tx.set(&keys::media_use(poster, ChannelId(0), Seq(media.0)), MARK);
        }
        tx.clear(&keys::upload(media));
        tx.clear(&keys::media_due(due, media));
        tx.set(&key, &record.encode());
        tx.set(&keys::media_hash(owner, record.uploaded_sha256), &packed::media_row(media));
        tx.set(&keys::media_of_user(owner, media), MARK);
        look_at(&mut tx, media, unused_at(now));
        Ok(Completed::New(record.clone()))
    })
}

/// The media that the user's earlier upload of bytes of this SHA-256 made, if it is still there. It stays for a day more.
///
/// # Errors
/// The store's, and damage.
pub async fn same<E: Engine>(
    engine: &E,
    user: UserId,
    uploaded_sha256: [u8; 32],
    now: UnixMs,
) -> Result<Option<MediaRecord>, LayerError> {
    commit!(engine, Begin::Fresh, |tx, _| {
        let found = find_same(&tx, user, uploaded_sha256).await?;
        Ok(found.map(|found| reserve(&mut tx, found, now)))
    })
}

async fn find_same<T: Transaction>(
    tx: &T,
    user: UserId,
    uploaded_sha256: [u8; 32],
) -> Result<Option<MediaRecord>, LayerError> {
    let key = keys::media_hash(user, uploaded_sha256);
    let Some(media) = unreadable::refuse_some(&key, tx.get(&key).await?.as_ref(), packed::media)? else {
        return Ok(None);
    };
    let key = keys::media(media);
    Ok(unreadable::refuse_some(&key, tx.get(&key).await?.as_ref(), MediaRecord::decode)?)
}

/// Keeps a media for as long as one that was uploaded now, whatever ends meanwhile.
fn reserve<T: Transaction>(tx: &mut T, mut record: MediaRecord, now: UnixMs) -> MediaRecord {
    record.reserved_ms = record.reserved_ms.max(unused_at(now));
    let media = record.attachment.media_id;
    tx.set(&keys::media(media), &record.encode());
    look_at(tx, media, record.reserved_ms);
    record
}

/// A media that is whole. One that another process made within a quarter of a second is looked for anew.
///
/// # Errors
/// The store's, and damage.
pub async fn get<E: Engine>(engine: &E, media: MediaId) -> Result<Option<MediaRecord>, LayerError> {
    let key = keys::media(media);
    let mut row = read!(engine, crate::recent(engine), |tx| Ok(tx.snapshot_get(&key).await?))?;
    if row.is_none() {
        row = read!(engine, Begin::Fresh, |tx| Ok(tx.snapshot_get(&key).await?))?;
    }
    Ok(unreadable::refuse_some(&key, row.as_ref(), MediaRecord::decode)?)
}

/// An account's media of an id, or the upload that it will be: as a whole one or as far as it is.
///
/// # Errors
/// The store's, and damage.
pub async fn get_either<E: Engine>(
    engine: &E,
    user: UserId,
    media: MediaId,
) -> Result<(Option<MediaRecord>, Option<UploadRecord>), LayerError> {
    let keys = [keys::media(media), keys::upload(media)];
    let rows = read!(engine, Begin::Fresh, |tx| Ok(tx.get_all(&keys).await?))?;
    let whole = unreadable::refuse_some(&keys[0], rows[0].as_ref(), MediaRecord::decode)?;
    let upload = unreadable::refuse_some(&keys[1], rows[1].as_ref(), UploadRecord::decode)?;
    Ok((whole.filter(|whole| whole.owner == user), upload.filter(|upload| upload.owner == user)))
}
