//! One transaction in a cluster.
//!
//! Owns its read version and its reads. Before the commit FoundationDB sees snapshot reads and nothing else; what is
//! handed over then is [`super::hand_over`]'s. A fresh transaction gets its read version with its first read, so it
//! reads no older than where it began.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use ::foundationdb::options::StreamingMode;
use ::foundationdb::{FdbError, FdbResult, RangeOption, Transaction as Client};
use bytes::Bytes;
use futures_channel::oneshot;

use super::engine::Shared;
use super::errors::{self, After, ClientError};
use super::stats::FoundationDbStats;
use crate::error::Error;
use crate::limits;
use crate::pending::{Entry, Merge, Overlay, Reads, over_overlay};
use crate::transaction::{Begin, Committed, Page, RangeRequest, Transaction, Version, Watch, key_after};

/// Asked for beyond the bytes that a page has room for, so that one round trip fills it mostly: FoundationDB counts 12
/// bytes a row more than we do, and the prefix. A quarter covers rows of 80 bytes.
const TARGET_BYTES_MORE: usize = 64;

/// A transaction that has just begun lives this long.
const LIFE: Duration = Duration::from_millis(limits::TRANSACTION_LIFE_MS);

/// The client's future of a watch.
pub(super) type Watching = Pin<Box<dyn Future<Output = FdbResult<()>> + Send>>;

/// A transaction in a FoundationDB cluster.
pub struct FoundationDbTransaction {
    pub(super) shared: Arc<Shared>,
    /// The client's transaction, or why there is none.
    pub(super) client: Result<Client, Error>,
    begin: Begin,
    /// Where it reads, once that is known; from then on the client reads there too.
    pub(super) version: OnceLock<Version>,
    began: Instant,
    pub(super) reads: Reads,
    pub(super) own: Overlay,
    pub(super) watches: Vec<(Vec<u8>, oneshot::Sender<Watching>)>,
}

impl std::fmt::Debug for FoundationDbTransaction {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FoundationDbTransaction")
            .field("begin", &self.begin)
            .field("read_version", &self.version.get())
            .field("size_bytes", &self.size_bytes())
            .finish_non_exhaustive()
    }
}

impl FoundationDbTransaction {
    pub(super) fn new(shared: Arc<Shared>, begin: Begin) -> Self {
        FoundationDbStats::add(&shared.stats.begun);
        let began = Instant::now();
        let client = shared.database.create_trx().map_err(|error| Error::fatal(ClientError::from(error)));
        let tx = Self {
            client,
            begin,
            version: OnceLock::new(),
            began,
            reads: Reads::default(),
            own: Overlay::new(limits::KEY_BYTES_MAX),
            watches: Vec::new(),
            shared,
        };
        let at_hand = tx.shared.versions.at_hand(begin, tx.shared.moment(began));
        if let (Some(version), Ok(client)) = (at_hand, &tx.client) {
            FoundationDbStats::add(&tx.shared.stats.read_versions_cached);
            tx.pin(client, version);
        }
        tx
    }

    /// Has the client read at `version`, if it does not read anywhere yet. Returns where it reads.
    fn pin(&self, client: &Client, version: Version) -> Version {
        *self.version.get_or_init(|| {
            read_at(client, version);
            version
        })
    }

    fn client(&self) -> Result<&Client, Error> {
        self.client.as_ref().map_err(Clone::clone)
    }

    /// The client, for a read or a write: not after the transaction's life.
    fn alive(&self) -> Result<&Client, Error> {
        if self.began.elapsed() > LIFE {
            self.shared.stats.read_failed(&Error::TooOld);
            return Err(Error::TooOld);
        }
        self.client()
    }

    async fn version(&self) -> Result<Version, Error> {
        if let Some(version) = self.version.get() {
            return Ok(*version);
        }
        let client = self.client()?;
        match self.begin {
            Begin::Fresh | Begin::Cached => {
                let version = self.ask(client).await?;
                // The client reads there already.
                Ok(*self.version.get_or_init(|| version))
            }
            Begin::AtLeast(asked) => {
                let durable = self.ask(client).await?;
                match durable < asked {
                    true => Err(Error::FutureVersion { asked, durable }),
                    false => Ok(*self.version.get_or_init(|| durable)),
                }
            }
            Begin::At(Version(0)) => Err(Error::TooOld),
            Begin::At(asked) => {
                // This client must not read anywhere else, so another asks.
                let other = self.shared.database.create_trx();
                let other = other.map_err(|error| Error::fatal(ClientError::from(error)))?;
                let durable = self.ask(&other).await?;
                match durable < asked {
                    true => Err(Error::FutureVersion { asked, durable }),
                    false => Ok(self.pin(client, asked)),
                }
            }
        }
    }

    /// The newest version, from the cluster.
    async fn ask(&self, client: &Client) -> Result<Version, Error> {
        let asked = Instant::now();
        FoundationDbStats::add(&self.shared.stats.read_versions_asked);
        match client.get_read_version().await {
            Ok(version) => {
                let version = Version(u64::try_from(version).expect("versions are not negative"));
                self.shared.versions.saw(version, self.shared.moment(asked));
                self.shared.reads_backoff.reset();
                Ok(version)
            }
            Err(error) => Err(self.unread(error, asked).await),
        }
    }

    /// What a failed read is to its caller. Where the cluster wants to be asked less, after a wait of the client's
    /// choice, so that loops of retries need no timer.
    async fn unread(&self, error: FdbError, asked: Instant) -> Error {
        let failed = errors::read(error, asked.elapsed(), self.versions());
        self.shared.stats.read_failed(&failed);
        match After::of(&failed) {
            After::Wait => {
                self.shared.ahead(&failed, self.version.get());
                // `on_error` takes the transaction, which other reads share: another waits in its place.
                if let Ok(other) = self.shared.database.create_trx() {
                    self.shared.reads_backoff.wait(other.on_error(error).await, error).await;
                }
            }
            After::Newer => self.outdated(),
            After::Nothing => {}
        }
        failed
    }

    pub(super) fn versions(&self) -> errors::Versions {
        let durable = self.shared.versions.newest();
        errors::Versions { asked: self.version.get().copied().unwrap_or(durable), durable }
    }

    /// Nobody should begin where this transaction could not end.
    fn outdated(&self) {
        if let Some(version) = self.version.get() {
            self.shared.versions.outdated(*version);
        }
    }

    async fn read(&self, key: &[u8], conflicts: bool) -> Result<Option<Bytes>, Error> {
        self.own.check_key(key, 0)?;
        let client = self.alive()?;
        let entry = self.own.entry(key)?;
        // What the transaction wrote itself does not depend on anybody else.
        if let Some(Entry::Known(value)) = entry {
            return Ok(value.clone());
        }
        if conflicts {
            self.reads.key(key);
        }
        self.version().await?;
        let asked = Instant::now();
        let below = match client.get(&self.shared.prefix.key(key), true).await {
            Ok(value) => {
                self.shared.reads_backoff.reset();
                value.map(|value| Bytes::copy_from_slice(&value))
            }
            Err(error) => return Err(self.unread(error, asked).await),
        };
        Ok(match entry {
            Some(entry) => entry.value(below),
            None => below,
        })
    }

    /// The read version, 0 while it is not known: stamps are younger.
    fn known_version(&self) -> Version {
        self.version.get().copied().unwrap_or(Version(0))
    }

    async fn read_range(&self, range: &RangeRequest, conflicts: bool) -> Result<Page, Error> {
        self.own.check_range(&range.begin, &range.end)?;
        let client = self.alive()?;
        let mut merge = Merge::new(range, &self.own)?;
        if range.begin < range.end {
            self.version().await?;
            self.fill(client, range, &mut merge).await?;
        }
        let page = merge.finish();
        if conflicts {
            self.reads.page(range, &page);
        }
        Ok(page)
    }

    /// Asks for rows until the page is full or there are no more. Several times if FoundationDB's count of bytes ended
    /// a part before ours ended the page, or if the transaction cleared rows of it.
    async fn fill(&self, client: &Client, range: &RangeRequest, merge: &mut Merge<'_>) -> Result<(), Error> {
        let prefix = &self.shared.prefix;
        let (mut begin, mut end) = (prefix.key(&range.begin), prefix.key(&range.end));
        loop {
            let room_bytes = merge.room_bytes();
            let part = RangeOption {
                limit: Some(merge.room_rows()),
                target_bytes: room_bytes + room_bytes / 4 + TARGET_BYTES_MORE,
                mode: StreamingMode::Exact,
                reverse: range.reverse,
                ..RangeOption::from((begin.as_slice(), end.as_slice()))
            };
            let asked = Instant::now();
            let rows = match client.get_range(&part, 1, true).await {
                Ok(rows) => rows,
                Err(error) => return Err(self.unread(error, asked).await),
            };
            self.shared.reads_backoff.reset();
            for row in rows.iter() {
                let key = Bytes::copy_from_slice(&row.key()[prefix.len_bytes()..]);
                if merge.below(key, Bytes::copy_from_slice(row.value())).is_break() {
                    return Ok(());
                }
            }
            if !rows.more() {
                return Ok(());
            }
            let last = rows.last().ok_or_else(|| Error::fatal(EmptyPart))?;
            match range.reverse {
                false => begin = key_after(last.key()),
                true => end = last.key().to_vec(),
            }
        }
    }
}

impl Transaction for FoundationDbTransaction {
    fn read_version(&self) -> impl Future<Output = Result<Version, Error>> + Send {
        self.version()
    }

    async fn get_all<K: AsRef<[u8]> + Sync>(&self, keys: &[K]) -> Result<Vec<Option<Bytes>>, Error> {
        // Once for all of them.
        self.version().await?;
        crate::join::try_all(keys.iter().map(|key| self.get(key.as_ref()))).await
    }

    async fn snapshot_get_all<K: AsRef<[u8]> + Sync>(&self, keys: &[K]) -> Result<Vec<Option<Bytes>>, Error> {
        if keys.is_empty() {
            // Beside other reads it would ask for a version of its own.
            return Ok(Vec::new());
        }
        self.version().await?;
        crate::join::try_all(keys.iter().map(|key| self.snapshot_get(key.as_ref()))).await
    }

    over_overlay!();

    fn watch(&mut self, key: &[u8]) -> Watch {
        let (sender, committed) = oneshot::channel::<Watching>();
        if !self.own.refuses(self.own.check_key(key, 0)) {
            self.watches.push((self.shared.prefix.key(key), sender));
        }
        Watch::new(async move {
            match committed.await {
                Ok(watching) => watching.await.map_err(errors::watch),
                Err(oneshot::Canceled) => Err(Error::WatchCancelled),
            }
        })
    }

    async fn commit(self) -> Result<Committed, Error> {
        if self.own.is_empty() && self.watches.is_empty() {
            // Reads were good when they were made; there is nothing that could come too late.
            return self.version().await.map(Committed::reads);
        }
        self.alive()?;
        let wrote = !self.own.is_empty();
        match self.begin {
            // Blind writes need no read version: nothing has to be checked from there on.
            Begin::Fresh | Begin::Cached if wrote && self.watches.is_empty() && self.reads.size_bytes() == 0 => {}
            Begin::Fresh | Begin::Cached | Begin::AtLeast(_) | Begin::At(_) => {
                self.version().await?;
            }
        }
        self.hand_over().await
    }
}

/// Has `client` read, and what it commits be checked, from `version` on.
pub(super) fn read_at(client: &Client, version: Version) {
    client.set_read_version(i64::try_from(version.0).expect("not beyond a version that the cluster gave"));
}

/// FoundationDB said that there is more of a range, but gave nothing of it.
#[derive(Debug, thiserror::Error)]
#[error("FoundationDB returned no row of a range and said that there are more")]
struct EmptyPart;
