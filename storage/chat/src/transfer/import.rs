//! The writing side: parts into an empty store, each in one transaction together with the count of those that are
//! there.

use schema::record::DeviceRecord;
use schema::{Stamp, UserId};

use crate::keys::{self, Transfer};
use crate::packed::{self, ImportRow};
use crate::{LayerError, commit, read, unreadable};
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

/// Begins, or goes on with, the import of a dump. Returns how many of its parts the store holds already.
///
/// # Errors
/// [`ImportError`]: the store has something else in it.
pub async fn begin<E: Engine>(engine: &E, dump: u64) -> Result<u64, ImportError> {
    commit!(engine, Begin::Fresh, |tx, _| {
        if let Some(row) = begun(&tx).await? {
            return Ok(if row.dump == dump { Ok(row.parts) } else { Err(ImportError::Another) });
        }
        let anything = tx.get_range(&RangeRequest::new(b"", RESERVED).rows(1)).await?;
        if !anything.rows.is_empty() {
            return Ok(Err(ImportError::NotEmpty));
        }
        tx.set(&keys::import(), &packed::row(ImportRow { dump, parts: 0 }));
        Ok(Ok(0))
    })?
}

/// Writes the part of this number, from 0. Writing it again changes nothing.
///
/// # Errors
/// [`ImportError`].
pub async fn write<E: Engine>(engine: &E, dump: u64, number: u64, rows: &[Row]) -> Result<(), ImportError> {
    let transfers = &rows.iter().map(transfer).collect::<Result<Vec<_>, _>>()?;
    commit!(engine, Begin::Fresh, |tx, _| {
        match there(begun(&tx).await?, dump) {
            Ok(there) if there == number + 1 => return Ok(Ok(())),
            Ok(there) if there == number => {}
            Ok(there) => return Ok(Err(ImportError::OutOfOrder { asked: number, there })),
            Err(error) => return Ok(Err(error)),
        }
        put(&mut tx, rows, transfers);
        tx.set(&keys::import(), &packed::row(ImportRow { dump, parts: number + 1 }));
        Ok(Ok(()))
    })?
}

/// Ends the import of a dump of so many parts: nodes may open the store from here on.
///
/// # Errors
/// [`ImportError::OutOfOrder`] if a part is missing; the store's.
pub async fn finish<E: Engine>(engine: &E, dump: u64, parts: u64) -> Result<(), ImportError> {
    commit!(engine, Begin::Fresh, |tx, attempt| {
        let row = begun(&tx).await?;
        if attempt.maybe_committed && row.is_none() {
            return Ok(Ok(()));
        }
        Ok(match there(row, dump) {
            Ok(there) if there == parts => {
                tx.clear(&keys::import());
                Ok(())
            }
            Ok(there) => Err(ImportError::OutOfOrder { asked: parts, there }),
            Err(error) => Err(error),
        })
    })?
}

/// Whether an import into this store was begun and not finished: no node may open it, since part of its history is
/// missing.
///
/// # Errors
/// The store's.
pub async fn unfinished<E: Engine>(engine: &E) -> Result<bool, LayerError> {
    read!(engine, Begin::Fresh, |tx| Ok(tx.get(&keys::import()).await?.is_some()))
}

/// The import that was begun in this store.
async fn begun<T: Transaction>(tx: &T) -> Result<Option<ImportRow>, LayerError> {
    Ok(tx.get(&keys::import()).await?.map(|row| packed::import(&row)).transpose()?)
}

/// How many parts of the dump are in the store.
fn there(row: Option<ImportRow>, dump: u64) -> Result<u64, ImportError> {
    match row {
        Some(row) if row.dump == dump => Ok(row.parts),
        Some(_) => Err(ImportError::Another),
        None => Err(ImportError::OutOfOrder { asked: 0, there: 0 }),
    }
}

/// What becomes of a row of a dump.
fn transfer(row: &Row) -> Result<Transfer, ImportError> {
    let table = row.key.first().copied().unwrap_or_default();
    match keys::transfer(&row.key) {
        None => Err(ImportError::UnknownTable { table }),
        Some(Transfer::Left) => Err(ImportError::Unmoved { table }),
        Some(transfer) => Ok(transfer),
    }
}

fn put<T: Transaction>(tx: &mut T, rows: &[Row], transfers: &[Transfer]) {
    let mut floored: Option<UserId> = None;
    for (Row { key, value }, transfer) in rows.iter().zip(transfers) {
        match transfer {
            Transfer::Left => unreachable!("refused before"),
            Transfer::AsItIs => tx.set(key, value),
            Transfer::Unstamped => match unreadable::skip(key, DeviceRecord::decode(value)) {
                Some(record) => tx.set(key, &DeviceRecord { stamp: Stamp::default(), ..record }.encode()),
                None => unreadable::keep(tx, key, value),
            },
            Transfer::WithFloor => {
                tx.set(key, value);
                let Some((user, _)) = unreadable::skip(key, keys::membership_of(key)) else { continue };
                if floored != Some(user) {
                    floored = Some(user);
                    let (before, after) = packed::floor_around_stamp();
                    tx.set_versionstamped_value(&keys::inbox_floor(user), before, &after);
                }
            }
        }
    }
}
