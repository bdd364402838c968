//! The writing side: parts into an empty store, each in one transaction together with the count of those that are there.

use schema::record::DeviceRecord;
use schema::{Stamp, UserId};

use crate::keys::{self, Moved};
use crate::packed::{self, ImportRow};
use crate::{ATTEMPTS_MAX, LayerError, again, unreadable};
use kv::Error;
use kv::retry::{self, Abort, Failed};
use kv::transaction::{Begin, Engine, RESERVED, RangeRequest, Row, Transaction};

/// Why rows could not be taken in. Nothing of the part in question was written.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// Operator's mistake: there is something in this store.
    #[error("the store is not empty; import into an empty data directory, or under another prefix")]
    NotEmpty,
    /// Operator's mistake: another dump has been begun here.
    #[error("an import of another dump was begun in this store; finish that one, or begin with an empty store")]
    Another,
    /// Nothing has been begun here, or a part before this one is missing.
    #[error("part {asked} was to be written, and the store holds {there}; import again from the beginning of the file")]
    OutOfOrder {
        /// The part's number.
        asked: u64,
        /// How many parts there are.
        there: u64,
    },
    /// A row of a table that this program does not know.
    #[error("the dump holds rows of table {table}, which this program does not know; use the newer program")]
    UnknownTable {
        /// The first byte of the key; 0 for an empty key.
        table: u8,
    },
    /// A row that no export writes.
    #[error("the dump holds a row of table {table}, which does not go along; it was not written by an export")]
    Unmoved {
        /// The first byte of the key.
        table: u8,
    },
    /// The store's, and damage in a row.
    #[error(transparent)]
    Layer(#[from] LayerError),
}

impl From<Error> for ImportError {
    fn from(error: Error) -> Self {
        Self::Layer(error.into())
    }
}

impl From<schema::record::RecordError> for ImportError {
    fn from(error: schema::record::RecordError) -> Self {
        Self::Layer(error.into())
    }
}

impl From<ImportError> for Abort<ImportError> {
    fn from(error: ImportError) -> Self {
        match error {
            ImportError::Layer(LayerError::Store(error)) => Self::Store(error),
            error => Self::Refused(error),
        }
    }
}

impl From<Failed<ImportError>> for ImportError {
    fn from(failed: Failed<ImportError>) -> Self {
        match failed {
            Failed::Refused { reason, .. } => reason,
            Failed::Store { last, .. } => last.into(),
        }
    }
}

/// Begins, or goes on with, the import of a dump. Returns how many of its parts the store holds already.
///
/// # Errors
/// [`ImportError`]: the store has something else in it.
pub async fn begin<E: Engine>(engine: &E, dump: u64) -> Result<u64, ImportError> {
    let (_, parts) = retry::run(engine, Begin::Fresh, ATTEMPTS_MAX, retry::at_once, |mut tx: E::Tx, _| async move {
        if let Some(row) = tx.get(&keys::import()).await.map_err(ImportError::from)? {
            let row = ImportRow::decode(&row).map_err(ImportError::from)?;
            return if row.dump == dump { Ok((tx, row.parts)) } else { Err(ImportError::Another.into()) };
        }
        let anything = tx.get_range(&RangeRequest::new(b"", RESERVED).rows(1)).await.map_err(ImportError::from)?;
        if !anything.rows.is_empty() {
            return Err(ImportError::NotEmpty.into());
        }
        tx.set(&keys::import(), &ImportRow { dump, parts: 0 }.encode());
        Ok::<_, Abort<ImportError>>((tx, 0))
    })
    .await?;
    Ok(parts)
}

/// Writes the part of this number, from 0. Writing it again changes nothing.
///
/// # Errors
/// [`ImportError`].
pub async fn write<E: Engine>(engine: &E, dump: u64, number: u64, rows: &[Row]) -> Result<(), ImportError> {
    retry::run(engine, Begin::Fresh, ATTEMPTS_MAX, retry::at_once, |mut tx: E::Tx, _| async move {
        let there = there(&tx, dump).await?;
        if there == number + 1 {
            return Ok((tx, ()));
        }
        if there != number {
            return Err(ImportError::OutOfOrder { asked: number, there }.into());
        }
        put(&mut tx, rows)?;
        tx.set(&keys::import(), &ImportRow { dump, parts: number + 1 }.encode());
        Ok::<_, Abort<ImportError>>((tx, ()))
    })
    .await?;
    Ok(())
}

/// Ends the import of a dump of so many parts: nodes may open the store from here on.
///
/// # Errors
/// [`ImportError::OutOfOrder`] if a part is missing; the store's.
pub async fn finish<E: Engine>(engine: &E, dump: u64, parts: u64) -> Result<(), ImportError> {
    retry::run(engine, Begin::Fresh, ATTEMPTS_MAX, retry::at_once, |mut tx: E::Tx, attempt| async move {
        if attempt.maybe_committed && tx.get(&keys::import()).await.map_err(ImportError::from)?.is_none() {
            return Ok((tx, ()));
        }
        let there = there(&tx, dump).await?;
        if there != parts {
            return Err(ImportError::OutOfOrder { asked: parts, there }.into());
        }
        tx.clear(&keys::import());
        Ok::<_, Abort<ImportError>>((tx, ()))
    })
    .await?;
    Ok(())
}

/// Whether an import into this store was begun and not finished: no node may open it, since part of its history is missing.
///
/// # Errors
/// The store's.
pub async fn unfinished<E: Engine>(engine: &E) -> Result<bool, LayerError> {
    Ok(again!(async { engine.begin(Begin::Fresh).get(&keys::import()).await })?.is_some())
}

/// How many parts of the dump are in the store.
async fn there<T: Transaction>(tx: &T, dump: u64) -> Result<u64, ImportError> {
    let row = tx.get(&keys::import()).await?;
    let row = row.map(|row| ImportRow::decode(&row)).transpose()?;
    match row {
        Some(row) if row.dump == dump => Ok(row.parts),
        Some(_) => Err(ImportError::Another),
        None => Err(ImportError::OutOfOrder { asked: 0, there: 0 }),
    }
}

fn put<T: Transaction>(tx: &mut T, rows: &[Row]) -> Result<(), ImportError> {
    let mut floored: Option<UserId> = None;
    for Row { key, value } in rows {
        let table = key.first().copied().unwrap_or_default();
        match keys::moved(key).ok_or(ImportError::UnknownTable { table })? {
            Moved::Left => return Err(ImportError::Unmoved { table }),
            Moved::AsItIs => tx.set(key, value),
            Moved::Unstamped => match unreadable::skip(key, DeviceRecord::decode(value)) {
                Some(record) => tx.set(key, &DeviceRecord { stamp: Stamp::default(), ..record }.encode()),
                None => unreadable::keep(tx, key, value),
            },
            Moved::WithFloor => {
                tx.set(key, value);
                let Some((user, _)) = unreadable::skip(key, keys::membership_of(key)) else { continue };
                if floored != Some(user) {
                    floored = Some(user);
                    let (before, after) = packed::floor_row_around_stamp();
                    tx.set_versionstamped_value(&keys::inbox_floor(user), &before, &after);
                }
            }
        }
    }
    Ok(())
}
