//! Opening the store in a cluster: its format and its generation, which are rows of its own.
//!
//! Both rows lie at the prefix, the byte 0xFF and their name, and are written by the one transaction that finds neither.
//! So a store is either complete or not there, and two that open an empty one at once are of one generation.

use std::sync::Arc;

use ::foundationdb::options::TransactionOption;
use ::foundationdb::{FdbError, RangeOption, Transaction};

use super::client::FoundationDb;
use super::engine::{FoundationDbEngine, Shared};
use super::errors::{ClientError, TIMED_OUT};
use super::prefix::Prefix;
use crate::transaction::{Generation, RESERVED};

/// What this program writes, and the newest that it reads.
pub const FORMAT: u32 = 1;

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
    /// Not what this program writes: another's rows under this prefix, or rows that were lost.
    #[error("the rows under this prefix are no store: {what}; name another prefix, or restore them from a backup")]
    NotAStore {
        /// What is wrong.
        what: &'static str,
    },
    /// The cluster, or what lies between it and here: only who looks is told, who opens waits.
    #[error("the cluster does not answer; see `fdbcli --exec status` on one of its machines, and the network to it")]
    NoAnswer,
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
            tx = match attempt(tx, &self.prefix, new).await {
                Ok(generation) => break generation,
                Err((Failed::Open(error), _)) => return Err(error),
                // The cluster does not answer.
                Err((Failed::Client(error), _)) if error.code() == TIMED_OUT => begin(self)?,
                // Whether it committed shows in the rows; what cannot be tried again, `on_error` returns.
                Err((Failed::Client(error), tx)) => match tx.on_error(error).await {
                    Ok(tx) => tx,
                    Err(error) if error.code() == TIMED_OUT => begin(self)?,
                    Err(error) => return Err(ClientError::from(error).into()),
                },
            };
        };
        Ok(FoundationDbEngine(Arc::new(Shared::new(Arc::clone(&self.database), self.prefix.clone(), generation))))
    }
}

/// A transaction without a timeout.
fn begin(to: &FoundationDb) -> Result<Transaction, OpenError> {
    let begun = to.database.create_trx().and_then(|tx| tx.set_option(TransactionOption::Timeout(0)).map(|()| tx));
    begun.map_err(|error| ClientError::from(error).into())
}

/// Reads both rows, or writes them. Returns the transaction with a failure.
async fn attempt(tx: Transaction, prefix: &Prefix, new: Generation) -> Result<Generation, (Failed, Transaction)> {
    match found(&tx, prefix).await {
        Ok(Some((_, generation))) => return Ok(generation),
        Ok(None) => {}
        Err(failed) => return Err((failed, tx)),
    }
    tx.set(&prefix.own("format"), &FORMAT.to_be_bytes());
    tx.set(&prefix.own("generation"), &new.0.to_be_bytes());
    match tx.commit().await {
        Ok(_) => Ok(new),
        Err(failed) => {
            let error = FdbError::from_code(failed.code());
            Err((Failed::Client(error), failed.reset()))
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
    if format > FORMAT {
        return Err(OpenError::NewerFormat { found: format, known: FORMAT }.into());
    }
    let generation = <[u8; 8]>::try_from(&generation[..]);
    let generation = generation.map_err(|_| not_a_store("the row for the generation is damaged"))?;
    Ok(Some((format, Generation(u64::from_be_bytes(generation)))))
}
