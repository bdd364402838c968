//! Functions `fdb_transaction_…`.

use std::ffi::c_int;

use bytes::Bytes;

use super::super::future::{Future, Value};
use super::super::transaction::Transaction;
use super::handles::{Error, Out, bytes, error, hand_out};
use crate::code::Code;
use crate::frame::{PAGE_BYTES_MAX, PAGE_ROWS_MAX, Range};

#[unsafe(no_mangle)]
extern "C" fn fdb_transaction_destroy(_transaction: Box<Transaction>) {}

#[unsafe(no_mangle)]
extern "C" fn fdb_transaction_cancel(transaction: &Transaction) {
    transaction.cancel();
}

#[unsafe(no_mangle)]
extern "C" fn fdb_transaction_reset(transaction: &Transaction) {
    transaction.reset();
}

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
    error(transaction.set_option(option, unsafe { bytes(value, length) }))
}

#[unsafe(no_mangle)]
extern "C" fn fdb_transaction_set_read_version(transaction: &Transaction, version: i64) {
    transaction.set_read_version(version);
}

#[unsafe(no_mangle)]
extern "C" fn fdb_transaction_get_read_version(transaction: &Transaction) -> *const Future {
    hand_out(transaction.get_read_version())
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
    hand_out(transaction.get(unsafe { bytes(key, length) }, snapshot != 0))
}

/// Both ends must be `first_greater_or_equal` or `first_greater_than`: the selectors that need no search.
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
    mode: c_int,
    iteration: c_int,
    snapshot: c_int,
    reverse: c_int,
) -> *const Future {
    // SAFETY: the caller's promise.
    let (begin, end) = unsafe { (bytes(begin, begin_length), bytes(end, end_length)) };
    let range = selected(begin, begin_or_equal, begin_offset).and_then(|begin| {
        let end = selected(end, end_or_equal, end_offset)?;
        let (limit_rows, limit_bytes) = limits(limit_rows, limit_bytes, mode, iteration)?;
        let (reverse, snapshot) = (reverse != 0, snapshot != 0);
        Ok(Range { begin, end, limit_rows, limit_bytes, reverse, snapshot })
    });
    hand_out(transaction.get_range(range))
}

/// The key that a selector stands for, if that is known without a search.
fn selected(key: &[u8], or_equal: c_int, offset: c_int) -> Result<Bytes, Code> {
    match (or_equal != 0, offset) {
        (false, 1) => Ok(Bytes::copy_from_slice(key)),
        (true, 1) => Ok(kv::transaction::key_after(key).into()),
        _ => Err(Code::CLIENT_INVALID_OPERATION),
    }
}

/// Rows and bytes after which a page ends. What was not limited is limited by the mode, as the C library does.
fn limits(rows: c_int, bytes: c_int, mode: c_int, iteration: c_int) -> Result<(u32, u32), Code> {
    let (rows, bytes) = match (u32::try_from(rows), u32::try_from(bytes)) {
        (Ok(rows), Ok(bytes)) => (rows, bytes),
        (Err(_), _) | (_, Err(_)) => return Err(Code::RANGE_LIMITS_INVALID),
    };
    let mode_bytes = match mode {
        // Exact: what was asked for and nothing else.
        0 if rows == 0 && bytes == 0 => return Err(Code::EXACT_MODE_WITHOUT_LIMITS),
        0 => PAGE_BYTES_MAX,
        // Iterator: more with each page.
        -1 => match iteration {
            ..1 => return Err(Code::CLIENT_INVALID_OPERATION),
            1..8 => 4_096 << (iteration - 1),
            8.. => 4_096 << 7,
        },
        // Small, medium, large, serial and all.
        1 => 256,
        2 => 1_000,
        3 => 4_096,
        4 | -2 => 80_000,
        _ => return Err(Code::CLIENT_INVALID_OPERATION),
    };
    Ok((if rows == 0 { PAGE_ROWS_MAX } else { rows }, if bytes == 0 { mode_bytes } else { bytes }))
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
    let (key, value) = unsafe { (bytes(key, key_length), bytes(value, value_length)) };
    transaction.write(|writes| writes.set(key, value));
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
    transaction.write(|writes| writes.atomic(operation, key, operand));
}

/// # Safety
/// `length` bytes can be read at `key`.
#[unsafe(no_mangle)]
unsafe extern "C" fn fdb_transaction_clear(transaction: &Transaction, key: *const u8, length: c_int) {
    // SAFETY: the caller's promise.
    let key = unsafe { bytes(key, length) };
    transaction.write(|writes| writes.clear(key));
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
    let (begin, end) = unsafe { (bytes(begin, begin_length), bytes(end, end_length)) };
    transaction.write(|writes| writes.clear_range(begin, end));
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
    // SAFETY: the caller's promise.
    let (begin, end) = unsafe { (bytes(begin, begin_length), bytes(end, end_length)) };
    error(match kind {
        0 => transaction.add_read_conflict(begin, end),
        _ => Err(Code::CLIENT_INVALID_OPERATION),
    })
}

/// # Safety
/// `length` bytes can be read at `key`.
#[unsafe(no_mangle)]
unsafe extern "C" fn fdb_transaction_watch(transaction: &Transaction, key: *const u8, length: c_int) -> *const Future {
    // SAFETY: the caller's promise.
    hand_out(transaction.watch(unsafe { bytes(key, length) }))
}

#[unsafe(no_mangle)]
extern "C" fn fdb_transaction_commit(transaction: &Transaction) -> *const Future {
    hand_out(transaction.commit())
}

#[unsafe(no_mangle)]
extern "C" fn fdb_transaction_get_committed_version(transaction: &Transaction, out: Out<'_, i64>) -> Error {
    out.write(transaction.committed_version());
    0
}

#[unsafe(no_mangle)]
extern "C" fn fdb_transaction_get_versionstamp(transaction: &Transaction) -> *const Future {
    hand_out(transaction.get_versionstamp())
}

#[unsafe(no_mangle)]
extern "C" fn fdb_transaction_get_approximate_size(transaction: &Transaction) -> *const Future {
    hand_out(Future::ready(Ok(Value::Number(transaction.approximate_size()))))
}

#[unsafe(no_mangle)]
extern "C" fn fdb_transaction_on_error(transaction: &Transaction, number: Error) -> *const Future {
    let code = u16::try_from(number).map_or(Code::INTERNAL_ERROR, Code);
    hand_out(transaction.on_error(code))
}
