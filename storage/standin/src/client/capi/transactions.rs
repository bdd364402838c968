//! Functions `fdb_transaction_…`.

use std::ffi::c_int;
use std::sync::Arc;

use super::super::future::Future;
use super::super::transaction::Transaction;
use super::{Error, bytes, code, error, timeout};
use crate::code::Code;
use crate::frame::{PAGE_BYTES_MAX, PAGE_ROWS_MAX, Range, Write};

#[unsafe(no_mangle)]
extern "C" fn fdb_transaction_destroy(_transaction: Box<Transaction>) {}

/// An option that would change what a transaction means is refused rather than ignored.
///
/// # Safety
/// `length` bytes can be read at `value`.
#[unsafe(no_mangle)]
unsafe extern "C" fn fdb_transaction_set_option(
    transaction: &Transaction,
    option: c_int,
    value: *const u8,
    length: c_int,
) -> Error {
    // SAFETY: the caller's promise.
    let value = unsafe { bytes(value, length) };
    error(match option {
        51 => {
            transaction.set_only_writes();
            Ok(())
        }
        500 => timeout(&value).map(|timeout| transaction.set_timeout(timeout)),
        _ => Err(Code::INVALID_OPTION),
    })
}

#[unsafe(no_mangle)]
extern "C" fn fdb_transaction_set_read_version(transaction: &Transaction, version: i64) {
    transaction.set_read_version(version.cast_unsigned());
}

#[unsafe(no_mangle)]
extern "C" fn fdb_transaction_get_read_version(transaction: &Transaction) -> *const Future {
    Arc::into_raw(transaction.get_read_version())
}

/// # Safety
/// `length` bytes can be read at `key`.
#[unsafe(no_mangle)]
unsafe extern "C" fn fdb_transaction_get(
    transaction: &Transaction,
    key: *const u8,
    length: c_int,
    snapshot: c_int,
) -> *const Future {
    // SAFETY: the caller's promise.
    Arc::into_raw(transaction.get(unsafe { bytes(key, length) }, snapshot != 0))
}

/// Both ends must be `first_greater_or_equal`, the selector that needs no search. A mode is a hint, and not taken.
///
/// # Safety
/// So many bytes as it says can be read at `begin` and `end`.
#[unsafe(no_mangle)]
unsafe extern "C" fn fdb_transaction_get_range(
    transaction: &Transaction,
    begin: *const u8,
    begin_length: c_int,
    begin_or_equal: c_int,
    begin_offset: c_int,
    end: *const u8,
    end_length: c_int,
    end_or_equal: c_int,
    end_offset: c_int,
    limit_rows: c_int,
    limit_bytes: c_int,
    _mode: c_int,
    _iteration: c_int,
    snapshot: c_int,
    reverse: c_int,
) -> *const Future {
    // SAFETY: the caller's promise.
    let (begin, end) = unsafe { (bytes(begin, begin_length), bytes(end, end_length)) };
    // 0 is no limit.
    let limit = |asked: c_int, most: u32| u32::try_from(asked).ok().filter(|asked| *asked > 0).unwrap_or(most);
    let (limit_rows, limit_bytes) = (limit(limit_rows, PAGE_ROWS_MAX), limit(limit_bytes, PAGE_BYTES_MAX));
    let range = Range { begin, end, limit_rows, limit_bytes, reverse: reverse != 0, snapshot: snapshot != 0 };
    Arc::into_raw(match [begin_or_equal, begin_offset, end_or_equal, end_offset] {
        [0, 1, 0, 1] => transaction.get_range(range),
        _ => Future::ready(Err(Code::CLIENT_INVALID_OPERATION)),
    })
}

/// # Safety
/// So many bytes as it says can be read at `key` and `value`.
#[unsafe(no_mangle)]
unsafe extern "C" fn fdb_transaction_set(
    transaction: &Transaction,
    key: *const u8,
    key_length: c_int,
    value: *const u8,
    value_length: c_int,
) {
    // SAFETY: the caller's promise.
    transaction.write(Ok(unsafe { Write::Set(bytes(key, key_length), bytes(value, value_length)) }));
}

/// # Safety
/// So many bytes as it says can be read at `key` and `operand`.
#[unsafe(no_mangle)]
unsafe extern "C" fn fdb_transaction_atomic_op(
    transaction: &Transaction,
    key: *const u8,
    key_length: c_int,
    operand: *const u8,
    operand_length: c_int,
    operation: c_int,
) {
    // SAFETY: the caller's promise.
    let (key, operand) = unsafe { (bytes(key, key_length), bytes(operand, operand_length)) };
    transaction.write(Write::atomic(operation, key, operand));
}

/// # Safety
/// `length` bytes can be read at `key`.
#[unsafe(no_mangle)]
unsafe extern "C" fn fdb_transaction_clear(transaction: &Transaction, key: *const u8, length: c_int) {
    // SAFETY: the caller's promise.
    transaction.write(Ok(Write::Clear(unsafe { bytes(key, length) })));
}

/// # Safety
/// So many bytes as it says can be read at `begin` and `end`.
#[unsafe(no_mangle)]
unsafe extern "C" fn fdb_transaction_clear_range(
    transaction: &Transaction,
    begin: *const u8,
    begin_length: c_int,
    end: *const u8,
    end_length: c_int,
) {
    // SAFETY: the caller's promise.
    transaction.write(Ok(unsafe { Write::ClearRange(bytes(begin, begin_length), bytes(end, end_length)) }));
}

/// `kind` is 0 for what was read; 1, for what is written, is nothing that Rookery asks for.
///
/// # Safety
/// So many bytes as it says can be read at `begin` and `end`.
#[unsafe(no_mangle)]
unsafe extern "C" fn fdb_transaction_add_conflict_range(
    transaction: &Transaction,
    begin: *const u8,
    begin_length: c_int,
    end: *const u8,
    end_length: c_int,
    kind: c_int,
) -> Error {
    if kind != 0 {
        return error(Err(Code::CLIENT_INVALID_OPERATION));
    }
    // SAFETY: the caller's promise.
    transaction.write(Ok(unsafe { Write::Reads(bytes(begin, begin_length), bytes(end, end_length)) }));
    0
}

/// # Safety
/// `length` bytes can be read at `key`.
#[unsafe(no_mangle)]
unsafe extern "C" fn fdb_transaction_watch(transaction: &Transaction, key: *const u8, length: c_int) -> *const Future {
    // SAFETY: the caller's promise.
    Arc::into_raw(transaction.watch(unsafe { bytes(key, length) }))
}

#[unsafe(no_mangle)]
extern "C" fn fdb_transaction_commit(transaction: &Transaction) -> *const Future {
    Arc::into_raw(transaction.commit())
}

#[unsafe(no_mangle)]
extern "C" fn fdb_transaction_get_versionstamp(transaction: &Transaction) -> *const Future {
    Arc::into_raw(transaction.get_versionstamp())
}

#[unsafe(no_mangle)]
extern "C" fn fdb_transaction_on_error(transaction: &Transaction, number: Error) -> *const Future {
    Arc::into_raw(transaction.on_error(code(number)))
}
