//! Opening the store in a cluster: its format and its generation, which are rows of its own.
//!
//! Both rows lie at the prefix, the byte 0xFF and their name, and are written by the one transaction that finds
//! neither. So a store is either complete or not there, and two that open an empty one at once are of one generation.

use std::cmp::Ordering;
use std::sync::Arc;

use ::foundationdb::options::TransactionOption;
use ::foundationdb::{FdbError, RangeOption, Transaction};

use super::client::{FoundationDb, Refusal};
use super::engine::{FoundationDbEngine, Shared};
use super::errors::{ClientError, TIMED_OUT};
use super::prefix::Prefix;
use crate::transaction::{Generation, RESERVED};

/// What this program writes, and all that it reads. The second has views of several nodes.
pub const FORMAT: u32 = 2;

/// Why a store in a cluster could not be opened. Each says what to do.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// A newer program wrote it.
    #[error("the store has format {found}, this program knows {known}; use the newer program")]
    NewerFormat {
        /// Its format.
        found: u32,
        /// [`FORMAT`].
        known: u32,
    },
    /// An older program wrote it. Dumps are read by every program since.
    #[error(
        "the store has format {found}, this program knows {known}; export it with the older program, and import that with \
         this one under another prefix"
    )]
    OlderFormat {
        /// Its format.
        found: u32,
        /// [`FORMAT`].
        known: u32,
    },
    /// Not what this program writes: another's rows under this prefix, or rows that were lost.
    #[error("the rows under this prefix are no store: {what}; name another prefix, or restore them from a backup")]
    NotAStore {
        /// What is wrong.
        what: &'static str,
    },
    /// The cluster, or what lies between it and here: only who looks is told, who opens waits.
    #[error(
        "the cluster does not {}; see `fdbcli --exec status` on one of its machines, and the network to it",
        last.map_or_else(|| "answer".to_owned(), |last| format!("serve: {last}"))
    )]
    NoAnswer {
        /// What it said to the attempt before, if it said anything: that it is locked, for one.
        last: Option<ClientError>,
    },
    /// FoundationDB refused for good.
    #[error("the cluster refuses; see that the cluster file is of this cluster and that it is not locked")]
    Client(#[from] ClientError),
}

/// Why an attempt ended.
pub(super) enum Failed {
    Open(OpenError),
    Client(FdbError),
}

impl From<FdbError> for Failed {
    fn from(error: FdbError) -> Self {
        Self::Client(error)
    }
}

impl From<OpenError> for Failed {
    fn from(error: OpenError) -> Self {
        Self::Open(error)
    }
}

impl FoundationDb {
    /// Opens the store, which is created if nothing lies under the prefix. Waits for the cluster as long as it takes;
    /// dropping the future ends that, and calling again is safe.
    ///
    /// # Errors
    /// [`OpenError`].
    pub async fn open(&self) -> Result<FoundationDbEngine, OpenError> {
        let new = Generation(self.new_generation);
        let mut tx = begin(self)?;
        let generation = loop {
            tx = match attempt(tx, &self.prefix, new, &self.refusal).await {
                Ok(Attempt::Found(generation)) => break generation,
                Ok(Attempt::Again(tx)) => tx,
                Err(Failed::Open(error)) => return Err(error),
                // The cluster does not answer.
                Err(Failed::Client(error)) if error.code() == TIMED_OUT => begin(self)?,
                Err(Failed::Client(error)) => return Err(ClientError::from(error).into()),
            };
        };
        self.refusal.clear();
        Ok(FoundationDbEngine(Arc::new(Shared::new(Arc::clone(&self.database), self.prefix.clone(), generation))))
    }
}

/// A transaction without a timeout.
fn begin(to: &FoundationDb) -> Result<Transaction, OpenError> {
    let begun = to.database.create_trx().and_then(|tx| tx.set_option(TransactionOption::Timeout(0)).map(|()| tx));
    begun.map_err(|error| ClientError::from(error).into())
}

/// What came of an attempt that did not end the opening.
enum Attempt {
    Found(Generation),
    /// After the client's own wait, in a transaction that has kept its options. Whether it committed shows in the rows.
    Again(Transaction),
}

/// Reads both rows, or writes them. Fails with what cannot be tried again.
async fn attempt(tx: Transaction, prefix: &Prefix, new: Generation, refusal: &Refusal) -> Result<Attempt, Failed> {
    match found(&tx, prefix).await {
        Ok(Some((_, generation))) => return Ok(Attempt::Found(generation)),
        Ok(None) => {}
        Err(Failed::Open(error)) => return Err(error.into()),
        Err(Failed::Client(error)) => {
            refusal.set(error);
            return Ok(Attempt::Again(tx.on_error(error).await?));
        }
    }
    tx.set(&prefix.own("format"), &FORMAT.to_be_bytes());
    tx.set(&prefix.own("generation"), &new.0.to_be_bytes());
    match tx.commit().await {
        Ok(_) => Ok(Attempt::Found(new)),
        Err(failed) => {
            refusal.set(FdbError::from_code(failed.code()));
            // Not `reset`, which would give it the database's timeout again.
            Ok(Attempt::Again(failed.on_error().await?))
        }
    }
}

/// The format and the generation of the store that is there. `None` if there is none.
pub(super) async fn found(tx: &Transaction, prefix: &Prefix) -> Result<Option<(u32, Generation)>, Failed> {
    let not_a_store = |what| OpenError::NotAStore { what };
    let format = tx.get(&prefix.own("format"), false).await?;
    let generation = tx.get(&prefix.own("generation"), false).await?;
    let (Some(format), Some(generation)) = (&format, &generation) else {
        if format.is_some() || generation.is_some() {
            return Err(not_a_store("one of the rows for format and generation is missing").into());
        }
        let all = (prefix.key(&[]), prefix.key(RESERVED));
        let any = tx.get_range(&RangeOption { limit: Some(1), ..RangeOption::from(all) }, 1, false).await?;
        return match any.is_empty() {
            true => Ok(None),
            false => Err(not_a_store("there are rows, but none for format and generation").into()),
        };
    };
    let format = <[u8; 4]>::try_from(&format[..]).map_err(|_| not_a_store("the row for the format is damaged"))?;
    let format = u32::from_be_bytes(format);
    match format.cmp(&FORMAT) {
        Ordering::Equal => {}
        Ordering::Greater => return Err(OpenError::NewerFormat { found: format, known: FORMAT }.into()),
        Ordering::Less => return Err(OpenError::OlderFormat { found: format, known: FORMAT }.into()),
    }
    let generation = <[u8; 8]>::try_from(&generation[..]);
    let generation = generation.map_err(|_| not_a_store("the row for the generation is damaged"))?;
    Ok(Some((format, Generation(u64::from_be_bytes(generation)))))
}
