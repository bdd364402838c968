//! The object store: files in parts, thumbnails, their removal, and how much room there is.
//!
//! Owns the names of objects. A media has a folder of its own, below one of 256 so that no directory grows without end:
//!
//! ```text
//! 3f/4711/o0 o1 …    the original, in parts of one size but the last: what is stored of an upload is whole parts and
//!                    one that is written anew, in any store, without a state of its own that could be left behind
//! 3f/4711/t1 t2 t4   thumbnails, by their bits
//! ```
//!
//! A part is one `put`, which is there whole or not at all, and durable once it is answered.

use std::error::Error as _;
use std::io;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::{self, Stream, StreamExt as _, TryStreamExt as _};
use object_store::aws::AmazonS3Builder;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{ClientOptions, ObjectStore, ObjectStoreExt as _, PutPayload, RetryConfig};
use schema::MediaId;

/// Bytes of a part. Each upload holds one in memory; 1 GiB has 512.
pub const PART_BYTES: u64 = 2 << 20;
/// Bytes that are read of a file at a time: what a connection buffers of an answer.
const READ_BYTES: u64 = 64 * 1024;
/// Longest time of a request to S3, and of its retries.
const REMOTE_TIME: Duration = Duration::from_secs(20);

/// One form of a media.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Variant {
    /// As it was uploaded, without metadata.
    Original,
    /// At most 160 pixels wide and high.
    Small,
    /// At most 480.
    Medium,
    /// At most 1,280.
    Large,
    /// What stands for a video: another media's.
    Poster,
}

impl Variant {
    /// Every one.
    pub const ALL: [Self; 5] = [Self::Original, Self::Small, Self::Medium, Self::Large, Self::Poster];

    /// Its word in a URL.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Original => "original",
            Self::Small => "small",
            Self::Medium => "medium",
            Self::Large => "large",
            Self::Poster => "poster",
        }
    }

    /// The one of a word.
    #[must_use]
    pub fn of_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|variant| variant.word() == word)
    }

    /// Its bit among the thumbnails; 0 if it is none.
    #[must_use]
    pub fn thumbnail_bit(self) -> u32 {
        match self {
            Self::Original | Self::Poster => 0,
            Self::Small => 1,
            Self::Medium => 2,
            Self::Large => 4,
        }
    }
}

/// Failure of the object store.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// No room: the disk is full, or below what is kept free.
    #[error("the object store has no room")]
    Full,
    /// An object that should be there is not.
    #[error("an object is missing")]
    Missing,
    /// Anything else; the same may work later.
    #[error("object store")]
    Other(#[source] object_store::Error),
    /// The same, of a directory.
    #[error("object store")]
    Io(#[source] io::Error),
}

impl From<object_store::Error> for StoreError {
    fn from(error: object_store::Error) -> Self {
        if matches!(error, object_store::Error::NotFound { .. }) {
            return Self::Missing;
        }
        let mut cause = error.source();
        while let Some(error) = cause {
            if error.downcast_ref::<io::Error>().is_some_and(is_full) {
                return Self::Full;
            }
            cause = error.source();
        }
        Self::Other(error)
    }
}

impl From<io::Error> for StoreError {
    fn from(error: io::Error) -> Self {
        if is_full(&error) { Self::Full } else { Self::Io(error) }
    }
}

/// One may stand within another, and is not its source then.
fn is_full(error: &io::Error) -> bool {
    let within = || error.get_ref().and_then(|within| within.downcast_ref()).is_some_and(is_full);
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded) || within()
}

/// A bucket of S3 or of what speaks like it.
#[derive(Clone)]
pub struct S3 {
    /// The bucket.
    pub bucket: String,
    /// The region; `us-east-1` for most that are not Amazon's.
    pub region: String,
    /// `https://HOST[:PORT]`, where it is not Amazon's.
    pub endpoint: Option<String>,
    /// Prefix of objects' names; may be empty.
    pub prefix: String,
    /// The key's id; with neither, what the environment or the machine's role gives.
    pub access_key_id: Option<String>,
    /// The key.
    pub secret_access_key: Option<String>,
}

impl std::fmt::Debug for S3 {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("S3")
            .field("bucket", &self.bucket)
            .field("region", &self.region)
            .field("endpoint", &self.endpoint)
            .field("prefix", &self.prefix)
            .finish_non_exhaustive()
    }
}

/// Objects of all media. Clones share it.
#[derive(Debug, Clone)]
pub struct Objects {
    store: Arc<dyn ObjectStore>,
    prefix: Path,
    /// Where they are, if that is a directory, and bytes of its disk that are kept free.
    directory: Option<(Arc<PathBuf>, u64)>,
}

impl Objects {
    /// Those in a directory, which is made if it is not there. No upload begins that would leave less than
    /// `reserve_bytes` of its disk free.
    ///
    /// # Errors
    /// If it can be neither made nor used.
    pub fn directory(path: PathBuf, reserve_bytes: u64) -> Result<Self, StoreError> {
        std::fs::create_dir_all(&path)?;
        let store = LocalFileSystem::new_with_prefix(&path)?.with_fsync(true);
        Ok(Self { store: Arc::new(store), prefix: Path::default(), directory: Some((Arc::new(path), reserve_bytes)) })
    }

    /// Those in a bucket. Asks nothing of it yet.
    ///
    /// # Errors
    /// If it is named in a way that cannot be.
    pub fn s3(config: &S3) -> Result<Self, StoreError> {
        // Of a process: what another part of it has chosen is as good.
        let _chosen = rustls::crypto::ring::default_provider().install_default();
        let is_plain = config.endpoint.as_ref().is_some_and(|endpoint| endpoint.starts_with("http://"));
        let retry = RetryConfig { max_retries: 3, retry_timeout: REMOTE_TIME, ..RetryConfig::default() };
        let mut builder = AmazonS3Builder::from_env()
            .with_bucket_name(&config.bucket)
            .with_region(&config.region)
            .with_allow_http(is_plain)
            .with_retry(retry)
            .with_client_options(ClientOptions::new().with_timeout(REMOTE_TIME).with_allow_http(is_plain));
        if let Some(endpoint) = &config.endpoint {
            builder = builder.with_endpoint(endpoint);
        }
        if let (Some(id), Some(key)) = (&config.access_key_id, &config.secret_access_key) {
            builder = builder.with_access_key_id(id).with_secret_access_key(key);
        }
        let prefix = Path::parse(&config.prefix).map_err(object_store::Error::from)?;
        Ok(Self { store: Arc::new(builder.build()?), prefix, directory: None })
    }

    /// Whether they are in a directory of this machine.
    #[must_use]
    pub fn is_local(&self) -> bool {
        self.directory.is_some()
    }

    /// Whether there is room for so many bytes more. Of a bucket nothing is known.
    ///
    /// # Errors
    /// [`StoreError::Full`] if there is none.
    pub async fn check_room(&self, bytes: u64) -> Result<(), StoreError> {
        let Some((path, reserve_bytes)) = self.directory.clone() else { return Ok(()) };
        let free = blocking(move || {
            let disk = rustix::fs::statvfs(path.as_path())?;
            Ok(disk.f_bavail.saturating_mul(disk.f_frsize))
        });
        if free.await? < reserve_bytes.saturating_add(bytes) { Err(StoreError::Full) } else { Ok(()) }
    }

    /// Writes, reads and removes an object, to see that all of it works.
    ///
    /// # Errors
    /// Whatever fails.
    pub async fn probe(&self) -> Result<(), StoreError> {
        let name = self.prefix.clone().join("probe");
        self.store.put(&name, PutPayload::from_static(b"probe")).await?;
        let read = self.store.get(&name).await?.bytes().await;
        self.store.delete(&name).await?;
        if read?.as_ref() == b"probe" { Ok(()) } else { Err(StoreError::Missing) }
    }

    fn folder(&self, media: MediaId) -> Path {
        // The random bits of an id are its lowest.
        self.prefix.clone().join(format!("{:02x}", media.0 & 0xFF)).join(media.to_string())
    }

    /// Writes one part of a media, over what there was.
    pub(crate) async fn put_part(&self, media: MediaId, part: u64, bytes: Bytes) -> Result<(), StoreError> {
        self.store.put(&self.folder(media).join(format!("o{part}")), bytes.into()).await?;
        Ok(())
    }

    /// Removes the parts from `from` to before `to`.
    pub(crate) async fn remove_parts(&self, media: MediaId, from: u64, to: u64) -> Result<(), StoreError> {
        let names = (from..to).map(|part| Ok(self.folder(media).join(format!("o{part}")))).collect::<Vec<_>>();
        self.store.delete_stream(stream::iter(names).boxed()).try_for_each(|_| async { Ok(()) }).await?;
        Ok(())
    }

    /// One part of a media.
    pub(crate) async fn part(&self, media: MediaId, part: u64) -> Result<Bytes, StoreError> {
        Ok(self.store.get(&self.folder(media).join(format!("o{part}"))).await?.bytes().await?)
    }

    /// Writes a thumbnail.
    pub(crate) async fn put_thumbnail(&self, media: MediaId, bit: u32, bytes: Vec<u8>) -> Result<(), StoreError> {
        self.store.put(&self.folder(media).join(format!("t{bit}")), bytes.into()).await?;
        Ok(())
    }

    /// A thumbnail, by its bit.
    ///
    /// # Errors
    /// [`StoreError::Missing`] if there is none.
    pub async fn thumbnail(&self, media: MediaId, bit: u32) -> Result<Bytes, StoreError> {
        Ok(self.store.get(&self.folder(media).join(format!("t{bit}"))).await?.bytes().await?)
    }

    /// Bytes of an original whose parts have `part_bytes`, as they are taken: no more than one piece is in memory.
    ///
    /// # Panics
    /// If `part_bytes` is 0.
    pub fn read(
        &self,
        media: MediaId,
        part_bytes: u64,
        range: Range<u64>,
    ) -> impl Stream<Item = Result<Bytes, StoreError>> + Send + 'static {
        assert!(part_bytes > 0, "a part has bytes");
        let objects = self.clone();
        stream::try_unfold((range, None), move |(range, open)| {
            let objects = objects.clone();
            async move { objects.next(media, part_bytes, range, open).await }
        })
    }

    /// The next bytes of a range. From a directory some are read at a time; of a bucket, each part is asked for once.
    async fn next(
        &self,
        media: MediaId,
        part_bytes: u64,
        range: Range<u64>,
        open: Option<Open>,
    ) -> Result<Option<(Bytes, (Range<u64>, Option<Open>))>, StoreError> {
        if range.is_empty() {
            return Ok(None);
        }
        let (part, at) = (range.start / part_bytes, range.start % part_bytes);
        let wanted = (range.end - range.start).min(part_bytes - at);
        let name = || self.folder(media).join(format!("o{part}"));
        let (bytes, open) = if self.is_local() {
            (self.store.get_range(&name(), at..at + wanted.min(READ_BYTES)).await?, None)
        } else {
            let mut open = match open {
                Some(open) => open,
                None => {
                    let options = object_store::GetOptions::new().with_range(Some(at..at + wanted));
                    self.store.get_opts(&name(), options).await?.into_stream()
                }
            };
            let bytes = open.next().await.ok_or(StoreError::Missing)??;
            let is_over = bytes.len() as u64 >= wanted;
            (bytes, (!is_over).then_some(open))
        };
        if bytes.is_empty() {
            return Err(StoreError::Missing);
        }
        let start = range.start + bytes.len() as u64;
        Ok(Some((bytes, (start..range.end, open))))
    }

    /// Removes everything of a media, also what an interrupted write left.
    ///
    /// # Errors
    /// If something may be left. What is not there is no error.
    pub async fn remove(&self, media: MediaId) -> Result<(), StoreError> {
        let folder = self.folder(media);
        if let Some((directory, _)) = self.directory.clone() {
            let folder = directory.join(folder.as_ref());
            return blocking(move || match std::fs::remove_dir_all(folder) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
                removed => removed,
            })
            .await
            .map_err(StoreError::from);
        }
        let names = self.store.list(Some(&folder)).map_ok(|object| object.location).boxed();
        self.store.delete_stream(names).try_for_each(|_| async { Ok(()) }).await?;
        Ok(())
    }
}

type Open = stream::BoxStream<'static, object_store::Result<Bytes>>;

/// Does what waits for a disk beside the thread that asks, where there is a runtime.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    match tokio::runtime::Handle::try_current() {
        Ok(runtime) => runtime.spawn_blocking(work).await.map_err(io::Error::other)?,
        Err(_) => work(),
    }
}
