//! A node's media: what is written, worked on and read, within the bounds of all of it.
//!
//! Owns how many uploads are under way at once, by account and in all, each with one part in memory (I11), and what a
//! whole file becomes.

use std::collections::HashMap;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::{Bytes, BytesMut};
use futures_util::TryStreamExt as _;
use schema::{MediaId, MediaKind, UserId};
use sha2::{Digest as _, Sha256};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::objects::{Objects, StoreError};
use crate::pictures::{PictureError, PictureLimits};
use crate::sniff::{self, SNIFFED_BYTES};
use crate::turns::{Turn, Turns};
use crate::worker::Worker;

/// Pictures that are in memory at once: the one that is worked on, and the next.
const PICTURES_AT_ONCE: usize = 2;

/// Bounds of uploads and files.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Bytes of a file that comes in one request, and of any picture.
    pub bytes_max: u64,
    /// Bytes of a file that comes in several.
    pub resumable_bytes_max: u64,
    /// Uploads that are under way at once. Each holds a part of 2 MiB in memory.
    pub uploads_max: usize,
    /// Of those, one account's.
    pub uploads_of_user_max: usize,
    /// Of one picture.
    pub picture: PictureLimits,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            bytes_max: 25 << 20,
            resumable_bytes_max: 1 << 30,
            uploads_max: 32,
            uploads_of_user_max: 4,
            picture: PictureLimits::default(),
        }
    }
}

/// Refusal of a whole file.
#[derive(Debug, thiserror::Error)]
pub enum FinishError {
    /// It is not what its sender says.
    #[error("{0}")]
    Contradiction(String),
    /// It is a picture with more bytes than one may have.
    #[error("a picture has at most {0} bytes")]
    PictureBytes(u64),
    /// It is a picture that cannot be taken.
    #[error(transparent)]
    Picture(#[from] PictureError),
    /// The object store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A whole file, once all of it is in the object store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finished {
    /// What it is.
    pub kind: MediaKind,
    /// As a media type.
    pub content_type: &'static str,
    /// Bytes as they are stored: fewer than were sent if metadata was taken out.
    pub bytes: u64,
    /// Pixels from left to right; 0 if it is no picture.
    pub width: u32,
    /// Pixels from top to bottom.
    pub height: u32,
    /// BlurHash; empty if it is no picture.
    pub blurhash: String,
    /// SHA-256 of what is stored.
    pub sha256: [u8; 32],
    /// The bits of its thumbnails.
    pub thumbnails: u32,
    /// Their media type.
    pub thumbnails_type: &'static str,
}

/// Counters, for `/metrics`.
#[derive(Debug, Default)]
pub struct Counts {
    /// Bytes that were written.
    pub bytes_written: AtomicU64,
    /// Files that became media.
    pub finished: AtomicU64,
    /// Files that were refused for what they are.
    pub refused: AtomicU64,
    /// Failures of the object store.
    pub store_errors: AtomicU64,
    /// Media that were removed.
    pub removed: AtomicU64,
    /// Uploads that ended before they were whole.
    pub broken_off: AtomicU64,
}

/// A node's media. Clones share it.
#[derive(Debug, Clone)]
pub struct Library(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    objects: Objects,
    worker: Worker,
    limits: Limits,
    places: Arc<Semaphore>,
    by_user: Arc<Mutex<HashMap<UserId, usize>>>,
    turns: Turns,
    /// Of one place: the picture that is being worked on.
    pictures: Semaphore,
    counts: Counts,
}

impl Library {
    /// Starts the thread that works on pictures.
    ///
    /// # Errors
    /// If that is not possible.
    pub fn start(objects: Objects, limits: Limits) -> io::Result<Self> {
        Ok(Self(Arc::new(Inner {
            objects,
            worker: Worker::start()?,
            places: Arc::new(Semaphore::new(limits.uploads_max)),
            limits,
            by_user: Arc::default(),
            turns: Turns::default(),
            pictures: Semaphore::new(PICTURES_AT_ONCE),
            counts: Counts::default(),
        })))
    }

    /// The object store.
    #[must_use]
    pub fn objects(&self) -> &Objects {
        &self.0.objects
    }

    /// The limits.
    #[must_use]
    pub fn limits(&self) -> &Limits {
        &self.0.limits
    }

    /// The counters.
    #[must_use]
    pub fn counts(&self) -> &Counts {
        &self.0.counts
    }

    /// Uploads that are under way.
    #[must_use]
    pub fn under_way(&self) -> usize {
        self.0.limits.uploads_max - self.0.places.available_permits()
    }

    /// A place for an upload; none if there are too many, of this user or in all.
    #[must_use]
    pub fn enter(&self, user: UserId) -> Option<Place> {
        let permit = Arc::clone(&self.0.places).try_acquire_owned().ok()?;
        let mut by_user = self.0.by_user.lock().unwrap_or_else(PoisonError::into_inner);
        let count = by_user.entry(user).or_default();
        if *count >= self.0.limits.uploads_of_user_max {
            return None;
        }
        *count += 1;
        Some(Place { _permit: permit, user, by_user: Arc::clone(&self.0.by_user) })
    }

    /// The turn of a request that writes to an upload of several, or asks how far it is: the one before is told to end, and
    /// has stored what had come of it.
    pub async fn take_turn(&self, media: MediaId) -> Turn {
        self.0.turns.take(media).await
    }

    /// Begins to write a media, or goes on at `offset` of what has parts of so many bytes.
    ///
    /// # Errors
    /// If the part that is to be gone on with cannot be read, or is not as long as was noted.
    pub async fn write(&self, media: MediaId, part_bytes: u64, offset: u64) -> Result<Writing, StoreError> {
        let (part, begun) = (offset / part_bytes, offset % part_bytes);
        let mut buffer = BytesMut::new();
        if begun > 0 {
            let stored = self.0.objects.part(media, part).await?;
            // A request that broke off may have stored more than was noted.
            buffer.extend_from_slice(stored.get(..begun as usize).ok_or(StoreError::Missing)?);
        }
        Ok(Writing { library: self.clone(), media, part_bytes, part, buffer, hash: Sha256::new(), bytes: offset })
    }

    /// What a whole file is: sniffed, and if it is a picture, worked on. Everything of it is stored when this returns;
    /// where it fails the caller removes the media.
    ///
    /// # Errors
    /// If the file is not taken, or the object store fails.
    pub async fn finish(
        &self,
        media: MediaId,
        part_bytes: u64,
        written: &Written,
        said: Option<&str>,
        name: &str,
    ) -> Result<Finished, FinishError> {
        let finished = self.finish_uncounted(media, part_bytes, written, said, name).await;
        let counts = &self.0.counts;
        let counter = match &finished {
            Ok(_) => &counts.finished,
            Err(FinishError::Store(_)) => &counts.store_errors,
            Err(_) => &counts.refused,
        };
        counter.fetch_add(1, Ordering::Relaxed);
        finished
    }

    async fn finish_uncounted(
        &self,
        media: MediaId,
        part_bytes: u64,
        written: &Written,
        said: Option<&str>,
        name: &str,
    ) -> Result<Finished, FinishError> {
        let Inner { objects, limits, worker, .. } = &*self.0;
        let first = collect(objects, media, part_bytes, written.bytes.min(SNIFFED_BYTES as u64)).await?;
        let found = sniff::sniff(&first);
        if let Some(why) = sniff::contradiction(said, name, found) {
            return Err(FinishError::Contradiction(why));
        }
        let mut finished = Finished {
            kind: found.kind,
            content_type: found.content_type,
            bytes: written.bytes,
            width: 0,
            height: 0,
            blurhash: String::new(),
            sha256: written.sha256,
            thumbnails: 0,
            thumbnails_type: "",
        };
        if found.kind != MediaKind::Image {
            return Ok(finished);
        }
        if written.bytes > limits.bytes_max {
            return Err(FinishError::PictureBytes(limits.bytes_max));
        }
        // One after the other: who waits has nothing in memory yet.
        let _turn = self.0.pictures.acquire().await;
        let bytes = collect(objects, media, part_bytes, written.bytes).await?;
        let picture = worker.picture(bytes, found.content_type, limits.picture).await?;
        if let Some(replacement) = picture.replacement {
            let mut again = self.write(media, part_bytes, 0).await?;
            let replacement = Bytes::from(replacement);
            again.push(replacement.clone()).await?;
            let replaced = again.end().await?;
            let (now, before) = (replaced.bytes.div_ceil(part_bytes), written.bytes.div_ceil(part_bytes));
            if now < before {
                objects.remove_parts(media, now, before).await?;
            }
            finished.bytes = replaced.bytes;
            finished.sha256 = replaced.sha256;
            finished.content_type = sniff::sniff(&replacement).content_type;
        }
        for thumbnail in picture.thumbnails {
            finished.thumbnails |= thumbnail.bit;
            objects.put_thumbnail(media, thumbnail.bit, thumbnail.bytes).await?;
        }
        finished.thumbnails_type = picture.thumbnails_type;
        (finished.width, finished.height, finished.blurhash) = (picture.width, picture.height, picture.blurhash);
        Ok(finished)
    }

    /// The hash of a file whose parts came in several requests.
    ///
    /// # Errors
    /// If a part cannot be read.
    pub async fn hash(&self, media: MediaId, part_bytes: u64, bytes: u64) -> Result<Written, StoreError> {
        let mut hash = Sha256::new();
        for part in 0..bytes.div_ceil(part_bytes) {
            let wanted = (bytes - part * part_bytes).min(part_bytes);
            let stored = self.0.objects.part(media, part).await?;
            let stored =
                stored.get(..wanted as usize).map(|bytes| stored.slice_ref(bytes)).ok_or(StoreError::Missing)?;
            hash = tokio::task::spawn_blocking(move || hash.chain_update(&stored)).await.map_err(io::Error::other)?;
        }
        Ok(Written { bytes, sha256: hash.finalize().into() })
    }
}

/// The first bytes of a media.
async fn collect(objects: &Objects, media: MediaId, part_bytes: u64, bytes: u64) -> Result<Bytes, StoreError> {
    let buffer = BytesMut::with_capacity(bytes as usize);
    let all = objects.read(media, part_bytes, 0..bytes).try_fold(buffer, |mut all, piece| async move {
        all.extend_from_slice(&piece);
        Ok(all)
    });
    Ok(all.await?.freeze())
}

/// A place for an upload, until it is dropped.
#[derive(Debug)]
pub struct Place {
    _permit: OwnedSemaphorePermit,
    user: UserId,
    by_user: Arc<Mutex<HashMap<UserId, usize>>>,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut by_user = self.by_user.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = by_user.get_mut(&self.user) {
            *count -= 1;
            if *count == 0 {
                by_user.remove(&self.user);
            }
        }
    }
}

/// All bytes of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Written {
    /// How many.
    pub bytes: u64,
    /// Their SHA-256.
    pub sha256: [u8; 32],
}

/// A file that is being written, part by part.
#[derive(Debug)]
pub struct Writing {
    library: Library,
    media: MediaId,
    part_bytes: u64,
    part: u64,
    buffer: BytesMut,
    hash: Sha256,
    bytes: u64,
}

impl Writing {
    /// Bytes so far, those before it began among them.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Takes more bytes, and stores each part that is full.
    ///
    /// # Errors
    /// If the object store fails; what was stored may be gone on with.
    pub async fn push(&mut self, mut bytes: Bytes) -> Result<(), StoreError> {
        while !bytes.is_empty() {
            let room = self.part_bytes as usize - self.buffer.len();
            let piece = bytes.split_to(bytes.len().min(room));
            self.hash.update(&piece);
            self.bytes += piece.len() as u64;
            self.buffer.extend_from_slice(&piece);
            if self.buffer.len() as u64 == self.part_bytes {
                let part = self.buffer.split().freeze();
                self.put(part).await?;
                self.part += 1;
            }
        }
        Ok(())
    }

    /// Stores what is not yet: then all of it is durable.
    ///
    /// # Errors
    /// If the object store fails.
    pub async fn flush(&mut self) -> Result<(), StoreError> {
        if self.buffer.is_empty() { Ok(()) } else { self.put(self.buffer.clone().freeze()).await }
    }

    /// Stores what is not yet, and ends. The hash is of what came since it began.
    ///
    /// # Errors
    /// If the object store fails.
    pub async fn end(mut self) -> Result<Written, StoreError> {
        self.flush().await?;
        Ok(Written { bytes: self.bytes, sha256: self.hash.finalize().into() })
    }

    async fn put(&self, part: Bytes) -> Result<(), StoreError> {
        let counts = self.library.counts();
        counts.bytes_written.fetch_add(part.len() as u64, Ordering::Relaxed);
        let put = self.library.objects().put_part(self.media, self.part, part).await;
        if put.is_err() {
            counts.store_errors.fetch_add(1, Ordering::Relaxed);
        }
        put
    }
}
