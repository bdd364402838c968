//! Hand-over of a transaction to FoundationDB: the part of a commit after which there is no way back.
//!
//! Owns the order: the watches, which read at the transaction's version; the timeout taken off; read conflicts, before
//! the writes because the client may leave those out that the transaction's own writes cover; the writes in their
//! order; the question for the stamp, which is answered after the commit.
//!
//! Goes to a second transaction of the client, at the same read version and without the client's own read-your-writes.
//! That would sort the writes, keep a stamped key under a stand-in on which a later clear could fall, and have the
//! commit wait for reads that nobody waits for any more, and fail with them. Only with watches it is the transaction
//! that read.

use std::time::Instant;

use ::foundationdb::options::{ConflictRangeType, MutationType, TransactionOption};
use ::foundationdb::{FdbError, FdbResult, Transaction as Client};
use futures_channel::oneshot;

use super::engine::Shared;
use super::errors::{self, After, ClientError};
use super::prefix::Prefix;
use super::transaction::{FoundationDbTransaction, Watching, read_at};
use crate::error::Error;
use crate::limits;
use crate::pending::check_transaction;
use crate::resolver::{Mutation, Span};
use crate::transaction::{Atomic, Committed, STAMP_BYTES, Stamp, Transaction, Version, key_after};

impl FoundationDbTransaction {
    /// Commits what was read, written and watched. The read version is known where only watches are handed over.
    pub(super) async fn hand_over(self) -> Result<Committed, Error> {
        let (versions, size_bytes) = (self.versions(), self.size_bytes());
        check_transaction(size_bytes)?;
        let Self { shared, client, version, reads, own, watches, .. } = self;
        let (client, wrote) = (client?, !own.is_empty());
        let mutations = own.finish()?;
        let refused = |error: FdbError| Error::fatal(ClientError::from(error));

        let watches: Vec<(oneshot::Sender<Watching>, Watching)> =
            watches.into_iter().map(|(key, sender)| (sender, Box::pin(client.watch(&key)) as Watching)).collect();
        let client = match watches.is_empty() {
            true => {
                drop(client);
                writing(&shared, version.get()).map_err(refused)?
            }
            // They begin where this one read.
            false => client,
        };
        client.set_option(TransactionOption::Timeout(0)).map_err(refused)?;
        if wrote {
            for span in reads.into_spans().spans {
                read_conflict(&client, &shared.prefix, &span).map_err(refused)?;
            }
        }
        for mutation in &mutations {
            write(&client, &shared.prefix, mutation);
        }

        // Asked for before the commit, known after it.
        let stamp = wrote.then(|| client.get_versionstamp());
        let handed_in = Instant::now();
        let failed = match client.commit().await {
            Ok(_committed) => {
                // Whoever has dropped its watch does not wait for it.
                watches.into_iter().for_each(|(sender, watching)| drop(sender.send(watching)));
                let Some(stamp) = stamp else {
                    return Ok(Committed::reads(*version.get().expect("known before only watches are handed over")));
                };
                let stamp = stamp.await.map_err(refused)?;
                let stamp = <[u8; STAMP_BYTES]>::try_from(&stamp[..]).map_err(Error::fatal)?;
                let committed = Committed { version: Stamp(stamp).version(), stamp: Stamp(stamp) };
                shared.versions.saw(committed.version, shared.moment(handed_in));
                shared.stats.committed(handed_in.elapsed());
                shared.commits_backoff.reset();
                return Ok(committed);
            }
            Err(failed) => failed,
        };
        let code = FdbError::from_code(failed.code());
        let error = errors::commit(code, versions, size_bytes);
        shared.stats.commit_failed(&error);
        match After::of(&error) {
            After::Wait => {
                shared.ahead(&error, version.get());
                // The client's own wait, so that loops of retries need no timer.
                shared.commits_backoff.wait(failed.on_error().await, code).await;
            }
            After::Newer => {
                version.get().into_iter().for_each(|version| shared.versions.outdated(*version));
            }
            After::Nothing => {}
        }
        Err(error)
    }
}

/// A transaction of the client that takes writes as they come, checked from `version` on.
fn writing(shared: &Shared, version: Option<&Version>) -> FdbResult<Client> {
    let client = shared.database.create_trx()?;
    client.set_option(TransactionOption::ReadYourWritesDisable)?;
    if let Some(version) = version {
        read_at(&client, *version);
    }
    Ok(client)
}

fn read_conflict(client: &Client, prefix: &Prefix, span: &Span) -> FdbResult<()> {
    let kind = ConflictRangeType::Read;
    match span {
        Span::Key(key) => {
            let key = prefix.key(key);
            client.add_conflict_range(&key, &key_after(&key), kind)
        }
        Span::Range(begin, end) => client.add_conflict_range(&prefix.key(begin), &prefix.key(end), kind),
    }
}

fn write(client: &Client, prefix: &Prefix, mutation: &Mutation) {
    match mutation {
        Mutation::Set(key, value) => client.set(&prefix.key(key), value),
        Mutation::Clear(key) => client.clear(&prefix.key(key)),
        Mutation::ClearRange(begin, end) => client.clear_range(&prefix.key(begin), &prefix.key(end)),
        Mutation::Atomic(op, key, operand) => {
            let op = match op {
                Atomic::Add => MutationType::Add,
                Atomic::Max => MutationType::Max,
            };
            client.atomic_op(&prefix.key(key), operand, op);
        }
        Mutation::StampedKey(before, after, value) => {
            let room_bytes = STAMP_BYTES + after.len() + limits::STAMP_OFFSET_BYTES;
            let key = stamped(prefix.key_with_room(before, room_bytes), after);
            client.atomic_op(&key, value, MutationType::SetVersionstampedKey);
        }
        Mutation::StampedValue(key, before, after) => {
            let value = stamped(before.to_vec(), after);
            client.atomic_op(&prefix.key(key), &value, MutationType::SetVersionstampedValue);
        }
    }
}

/// An operand with room for the stamp between `before` and `after`, and behind it where that room is.
fn stamped(before: Vec<u8>, after: &[u8]) -> Vec<u8> {
    let offset = u32::try_from(before.len()).expect("limits::VALUE_BYTES_MAX");
    let mut operand = before;
    operand.extend_from_slice(&[0xFF; STAMP_BYTES]);
    operand.extend_from_slice(after);
    operand.extend_from_slice(&offset.to_le_bytes());
    operand
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_operand_says_where_in_it_the_stamp_goes() {
        let check = |before: &[u8], after: &[u8], offset: [u8; 4]| {
            let expected = [before, &[0xFF; STAMP_BYTES], after, &offset].concat();
            assert_eq!(stamped(before.to_vec(), after), expected, "{before:?} {after:?}");
        };
        check(b"", b"", [0, 0, 0, 0]);
        check(b"ab", b"c", [2, 0, 0, 0]);
        check(&[b'x'; 300], b"", [44, 1, 0, 0]);
    }
}
