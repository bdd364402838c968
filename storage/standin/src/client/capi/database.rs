//! Functions before a transaction: errors, versions, the network and databases.

use std::ffi::{c_char, c_int};
use std::path::Path;
use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::super::connection::{Client, Connection};
use super::super::network::{self, Network};
use super::super::options::{self, Effect};
use super::super::transaction::Transaction;
use super::handles::{Error, Out, bytes, error, path};
use crate::cluster_file::{ClusterFile, ClusterFileError};
use crate::code::Code;

/// The newest version of the C library's interface that is imitated.
const API_VERSION_MAX: c_int = 730;
/// The oldest: before it, versionstamped operands ended otherwise.
const API_VERSION_MIN: c_int = 520;

/// The version that was selected; 0 before.
static API_VERSION: AtomicI32 = AtomicI32::new(0);

fn code(number: Error) -> Code {
    // No error of the C library is negative or that large.
    u16::try_from(number).map_or(Code::INTERNAL_ERROR, Code)
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
        50_000 => code.is_retryable(),
        50_001 => code.is_maybe_committed(),
        50_002 => code.is_retryable_not_committed(),
        _ => false,
    })
}

#[unsafe(no_mangle)]
extern "C" fn fdb_get_max_api_version() -> c_int {
    API_VERSION_MAX
}

#[unsafe(no_mangle)]
extern "C" fn fdb_get_client_version() -> *const c_char {
    concat!(env!("CARGO_PKG_VERSION"), ",standin,standin1\0").as_ptr().cast()
}

#[unsafe(no_mangle)]
extern "C" fn fdb_select_api_version_impl(runtime: c_int, header: c_int) -> Error {
    if header > API_VERSION_MAX || runtime < API_VERSION_MIN {
        return error(Err(Code::API_VERSION_NOT_SUPPORTED));
    }
    if runtime > header {
        return error(Err(Code::API_VERSION_INVALID));
    }
    let selected = API_VERSION.compare_exchange(0, runtime, Ordering::AcqRel, Ordering::Acquire);
    error(selected.map(|_| ()).map_err(|_| Code::API_VERSION_ALREADY_SET))
}

fn selected() -> Result<(), Code> {
    if API_VERSION.load(Ordering::Acquire) == 0 { Err(Code::API_VERSION_UNSET) } else { Ok(()) }
}

#[unsafe(no_mangle)]
extern "C" fn fdb_network_set_option(option: c_int, _value: *const u8, _length: c_int) -> Error {
    error(selected().and_then(|()| options::network(option)))
}

#[unsafe(no_mangle)]
extern "C" fn fdb_setup_network() -> Error {
    error(selected().and_then(|()| network::set_up()))
}

unsafe extern "C" {
    fn atexit(handler: extern "C" fn()) -> c_int;
}

/// Stands for the statics that the true library makes as late as on this thread, and destroys at exit: a thread that runs on
/// would use what is destroyed. So the process ends loudly.
extern "C" fn destroy() {
    if network::get().is_ok_and(Network::runs) {
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
    error(network::get().and_then(Network::run))
}

#[unsafe(no_mangle)]
extern "C" fn fdb_stop_network() -> Error {
    error(network::get().map(Network::stop))
}

/// A database's handle.
struct Database {
    client: Arc<Client>,
    network: &'static Network,
    /// Of transactions that are begun from now on.
    timeout: Mutex<Duration>,
}

/// Reads the cluster file; connecting is the network's, and goes on for ever.
///
/// # Safety
/// `cluster_file` is null or a string that ends with a zero byte.
#[unsafe(no_mangle)]
unsafe extern "C" fn fdb_create_database(cluster_file: *const c_char, out: Out<'_, Box<Database>>) -> Error {
    // SAFETY: the caller's promise.
    let path = unsafe { path(cluster_file) };
    error(open(path).map(|database| {
        out.write(Box::new(database));
    }))
}

fn open(path: Option<&Path>) -> Result<Database, Code> {
    let network = network::get()?;
    // There is no default place: nobody should find a stand-in without having named it.
    let path = path.ok_or(Code::NO_CLUSTER_FILE_FOUND)?;
    let file = ClusterFile::read(path).map_err(|error| match error {
        ClusterFileError::Io(_) => Code::NO_CLUSTER_FILE_FOUND,
        ClusterFileError::Malformed | ClusterFileError::NotOurs { .. } => Code::CONNECTION_STRING_INVALID,
    })?;
    let mut session = [0; 16];
    getrandom::fill(&mut session).map_err(|_| Code::PLATFORM_ERROR)?;
    let connection = Arc::new(Connection::new(network, file.address, session));
    network.add(Arc::clone(&connection));
    Ok(Database { client: Arc::new(Client(connection)), network, timeout: Mutex::default() })
}

#[unsafe(no_mangle)]
extern "C" fn fdb_database_destroy(_database: Box<Database>) {}

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
    error(options::database(option, value).map(|effect| match effect {
        Effect::None | Effect::OnlyWrites => {}
        Effect::Timeout(timeout) => *database.timeout.lock().unwrap_or_else(PoisonError::into_inner) = timeout,
    }))
}

#[unsafe(no_mangle)]
extern "C" fn fdb_database_create_transaction(database: &Database, out: Out<'_, Box<Transaction>>) -> Error {
    let timeout = *database.timeout.lock().unwrap_or_else(PoisonError::into_inner);
    out.write(Box::new(Transaction::new(Arc::clone(&database.client), database.network, timeout)));
    0
}
