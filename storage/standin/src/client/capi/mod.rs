//! The functions of FoundationDB's C library that Rookery calls, by their names, and the only `unsafe` code of the
//! stand-in.
//!
//! Owns the pointers. A database and a transaction are a `Box` that the caller holds, a future is one count of an
//! `Arc`. Callers keep the contract of the C library: a pointer that they hand in came from here and was not destroyed,
//! bytes are as long as they say, and results are read before their future is destroyed. Each function borrows what it
//! is given only until it returns.

mod futures;
mod transactions;

use std::ffi::{CStr, OsStr, c_char, c_int};
use std::mem::MaybeUninit;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_bytes::ByteBuf;

use super::connection::Client;
use super::network;
use super::transaction::Transaction;
use crate::cluster_file::ClusterFile;
use crate::code::Code;

/// The version of the C library's interface that is imitated.
const API_VERSION: c_int = 730;

/// The C library's numbers of errors; 0 is none.
type Error = c_int;

/// Where a function leaves what it found.
type Out<'a, T> = &'a mut MaybeUninit<T>;

/// 0, or the error's number.
fn error(result: Result<(), Code>) -> Error {
    result.map_or_else(|code| code.0.into(), |()| 0)
}

/// The error of that number. None of the C library's is negative or larger than it can hold.
fn code(number: Error) -> Code {
    u16::try_from(number).map_or(Code::INTERNAL_ERROR, Code)
}

/// A byte string that the caller lends, copied.
///
/// # Safety
/// `start` is null, or `len` bytes can be read there.
unsafe fn bytes(start: *const u8, len: c_int) -> ByteBuf {
    match usize::try_from(len) {
        // SAFETY: the caller's promise.
        Ok(len @ 1..) if !start.is_null() => ByteBuf::from(unsafe { std::slice::from_raw_parts(start, len) }),
        Ok(_) | Err(_) => ByteBuf::new(),
    }
}

/// Milliseconds, as 8 bytes, little-endian.
fn timeout(value: &[u8]) -> Result<Duration, Code> {
    let bytes = value.try_into().map_err(|_| Code::INVALID_OPTION_VALUE)?;
    let ms = u64::try_from(i64::from_le_bytes(bytes)).map_err(|_| Code::INVALID_OPTION_VALUE)?;
    Ok(Duration::from_millis(ms))
}

#[unsafe(no_mangle)]
extern "C" fn fdb_get_error(number: Error) -> *const c_char {
    code(number).text().as_ptr()
}

/// Of a predicate that there is not, no.
#[unsafe(no_mangle)]
extern "C" fn fdb_error_predicate(predicate: c_int, number: Error) -> c_int {
    let code = code(number);
    c_int::from(match predicate {
        50_000 => code.is_maybe_committed() || code.is_retryable_not_committed(),
        50_001 => code.is_maybe_committed(),
        50_002 => code.is_retryable_not_committed(),
        _ => false,
    })
}

#[unsafe(no_mangle)]
extern "C" fn fdb_get_max_api_version() -> c_int {
    API_VERSION
}

#[unsafe(no_mangle)]
extern "C" fn fdb_select_api_version_impl(runtime: c_int, header: c_int) -> Error {
    error(if (runtime, header) == (API_VERSION, API_VERSION) { Ok(()) } else { Err(Code::API_VERSION_NOT_SUPPORTED) })
}

#[unsafe(no_mangle)]
extern "C" fn fdb_setup_network() -> Error {
    error(network::set_up())
}

unsafe extern "C" {
    fn atexit(handler: extern "C" fn()) -> c_int;
}

/// Stands for the statics that the true library makes as late as on this thread, and destroys at exit: a thread that
/// runs on would use what is destroyed. So the process ends loudly.
extern "C" fn destroy() {
    if network::runs() {
        eprintln!("fdb_c: the process exits while its network thread runs");
        std::process::abort();
    }
}

/// Returns when the network was stopped. All callbacks are called on this thread.
#[unsafe(no_mangle)]
extern "C" fn fdb_run_network() -> Error {
    // SAFETY: the handler takes no argument, does not unwind, and may run on any thread.
    let registered = unsafe { atexit(destroy) };
    assert_eq!(registered, 0, "the system has room for a handler");
    error(network::run())
}

#[unsafe(no_mangle)]
extern "C" fn fdb_stop_network() -> Error {
    error(network::stop())
}

/// A database's handle.
struct Database {
    client: Arc<Client>,
    /// Of transactions that are begun from now on.
    timeout: Mutex<Duration>,
}

/// Reads the cluster file; connecting is the network's, and goes on for ever. There is no default place: nobody should
/// find a stand-in without having named it.
///
/// # Safety
/// `cluster_file` is null or a string that ends with a zero byte.
#[unsafe(no_mangle)]
unsafe extern "C" fn fdb_create_database(cluster_file: *const c_char, out: Out<'_, Box<Database>>) -> Error {
    if cluster_file.is_null() {
        return error(Err(Code::NO_CLUSTER_FILE_FOUND));
    }
    // SAFETY: the caller's promise.
    let path = unsafe { CStr::from_ptr(cluster_file) };
    error(open(Path::new(OsStr::from_bytes(path.to_bytes()))).map(|database| {
        out.write(Box::new(database));
    }))
}

fn open(path: &Path) -> Result<Database, Code> {
    let file = ClusterFile::read(path).map_err(|_| Code::NO_CLUSTER_FILE_FOUND)?;
    let file = file.ok_or(Code::CONNECTION_STRING_INVALID)?;
    Ok(Database { client: Arc::new(Client::new(file.address)?), timeout: Mutex::default() })
}

#[unsafe(no_mangle)]
extern "C" fn fdb_database_destroy(_database: Box<Database>) {}

/// An option that would change what a transaction means is refused rather than ignored.
///
/// # Safety
/// `length` bytes can be read at `value`.
#[unsafe(no_mangle)]
unsafe extern "C" fn fdb_database_set_option(
    database: &Database,
    option: c_int,
    value: *const u8,
    length: c_int,
) -> Error {
    // SAFETY: the caller's promise.
    let value = unsafe { bytes(value, length) };
    error(match option {
        500 => {
            timeout(&value).map(|timeout| *database.timeout.lock().unwrap_or_else(PoisonError::into_inner) = timeout)
        }
        _ => Err(Code::INVALID_OPTION),
    })
}

#[unsafe(no_mangle)]
extern "C" fn fdb_database_create_transaction(database: &Database, out: Out<'_, Box<Transaction>>) -> Error {
    let timeout = *database.timeout.lock().unwrap_or_else(PoisonError::into_inner);
    out.write(Box::new(Transaction::new(Arc::clone(&database.client), timeout)));
    0
}
