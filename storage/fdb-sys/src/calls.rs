//! Every function of the interface that Rookery calls, each written once: its C name, its arguments, its result.
//!
//! From this list come the table that the loader fills, the names that it looks up, and the functions that call
//! through. A second list has those that the `foundationdb` crate names besides, which are not looked up.

#![expect(clippy::too_many_arguments, reason = "a C function has as many as it has")]

use std::ffi::{c_char, c_int, c_void};

use crate::library::table;
use crate::options::{
    FDBConflictRangeType, FDBDatabaseOption, FDBMutationType, FDBNetworkOption, FDBStreamingMode, FDBTransactionOption,
};
use crate::types::{
    FDBCallback, FDBDatabase, FDBFuture, FDBKey, FDBKeyValue, FDBMappedKeyValue, FDBTenant, FDBTransaction, fdb_bool_t,
    fdb_error_t,
};

macro_rules! calls {
    ($(fn $name:ident($($arg:ident: $ty:ty),* $(,)?) $(-> $result:ty)?;)*) => {
        /// The addresses, all of them.
        pub(crate) struct Table {
            $(pub(crate) $name: unsafe extern "C" fn($($ty),*) $(-> $result)?,)*
        }

        impl Table {
            /// Looks every name up in `library`.
            ///
            /// # Errors
            /// The first name that is missing.
            ///
            /// # Safety
            /// What `library` exports under these names has to be what FoundationDB's client exports, and the library
            /// has to stay loaded for as long as the table is used.
            pub(crate) unsafe fn resolve(
                library: &libloading::Library,
            ) -> Result<Self, (&'static str, libloading::Error)> {
                Ok(Self {
                    $($name: {
                        let name = concat!(stringify!($name), "\0");
                        // SAFETY: the caller vouches that the symbol is this function, and for the library's life.
                        let found = unsafe { library.get(name.as_bytes()) };
                        *found.map_err(|cause| (stringify!($name), cause))?
                    },)*
                })
            }
        }

        /// The names that a client library has to export.
        pub const SYMBOLS: &[&str] = &[$(stringify!($name)),*];

        $(
            #[doc = concat!("Calls `", stringify!($name), "` of the client library.")]
            ///
            /// # Safety
            /// As the C interface documents it for this function.
            ///
            /// # Panics
            /// If no library is loaded.
            pub unsafe fn $name($($arg: $ty),*) $(-> $result)? {
                // SAFETY: the table holds this function of a library that is never closed; the rest is the caller's.
                unsafe { (table().$name)($($arg),*) }
            }
        )*
    };
}

calls! {
    fn fdb_get_max_api_version() -> c_int;
    fn fdb_select_api_version_impl(runtime_version: c_int, header_version: c_int) -> fdb_error_t;
    fn fdb_get_error(code: fdb_error_t) -> *const c_char;
    fn fdb_error_predicate(predicate: c_int, code: fdb_error_t) -> fdb_bool_t;
    fn fdb_setup_network() -> fdb_error_t;
    fn fdb_run_network() -> fdb_error_t;
    fn fdb_stop_network() -> fdb_error_t;
    fn fdb_future_destroy(future: *mut FDBFuture);
    fn fdb_future_is_ready(future: *mut FDBFuture) -> fdb_bool_t;
    fn fdb_future_set_callback(future: *mut FDBFuture, callback: FDBCallback, parameter: *mut c_void) -> fdb_error_t;
    fn fdb_future_get_error(future: *mut FDBFuture) -> fdb_error_t;
    fn fdb_future_get_int64(future: *mut FDBFuture, out: *mut i64) -> fdb_error_t;
    fn fdb_future_get_key(future: *mut FDBFuture, key: *mut *const u8, key_length: *mut c_int) -> fdb_error_t;
    fn fdb_future_get_value(future: *mut FDBFuture, present: *mut fdb_bool_t, value: *mut *const u8,
        value_length: *mut c_int) -> fdb_error_t;
    fn fdb_future_get_keyvalue_array(future: *mut FDBFuture, rows: *mut *const FDBKeyValue, count: *mut c_int,
        more: *mut fdb_bool_t) -> fdb_error_t;
    fn fdb_create_database(cluster_file_path: *const c_char, database: *mut *mut FDBDatabase) -> fdb_error_t;
    fn fdb_database_destroy(database: *mut FDBDatabase);
    fn fdb_database_set_option(database: *mut FDBDatabase, option: FDBDatabaseOption, value: *const u8,
        value_length: c_int) -> fdb_error_t;
    fn fdb_database_create_transaction(database: *mut FDBDatabase,
        transaction: *mut *mut FDBTransaction) -> fdb_error_t;
    fn fdb_transaction_destroy(transaction: *mut FDBTransaction);
    fn fdb_transaction_set_option(transaction: *mut FDBTransaction, option: FDBTransactionOption, value: *const u8,
        value_length: c_int) -> fdb_error_t;
    fn fdb_transaction_set_read_version(transaction: *mut FDBTransaction, version: i64);
    fn fdb_transaction_get_read_version(transaction: *mut FDBTransaction) -> *mut FDBFuture;
    fn fdb_transaction_get(transaction: *mut FDBTransaction, key: *const u8, key_length: c_int,
        snapshot: fdb_bool_t) -> *mut FDBFuture;
    fn fdb_transaction_get_range(transaction: *mut FDBTransaction, begin: *const u8, begin_length: c_int,
        begin_or_equal: fdb_bool_t, begin_offset: c_int, end: *const u8, end_length: c_int, end_or_equal: fdb_bool_t,
        end_offset: c_int, limit: c_int, target_bytes: c_int, mode: FDBStreamingMode, iteration: c_int,
        snapshot: fdb_bool_t, reverse: fdb_bool_t) -> *mut FDBFuture;
    fn fdb_transaction_set(transaction: *mut FDBTransaction, key: *const u8, key_length: c_int, value: *const u8,
        value_length: c_int);
    fn fdb_transaction_clear(transaction: *mut FDBTransaction, key: *const u8, key_length: c_int);
    fn fdb_transaction_clear_range(transaction: *mut FDBTransaction, begin: *const u8, begin_length: c_int,
        end: *const u8, end_length: c_int);
    fn fdb_transaction_atomic_op(transaction: *mut FDBTransaction, key: *const u8, key_length: c_int,
        operand: *const u8, operand_length: c_int, operation: FDBMutationType);
    fn fdb_transaction_add_conflict_range(transaction: *mut FDBTransaction, begin: *const u8, begin_length: c_int,
        end: *const u8, end_length: c_int, kind: FDBConflictRangeType) -> fdb_error_t;
    fn fdb_transaction_watch(transaction: *mut FDBTransaction, key: *const u8, key_length: c_int) -> *mut FDBFuture;
    fn fdb_transaction_commit(transaction: *mut FDBTransaction) -> *mut FDBFuture;
    fn fdb_transaction_get_versionstamp(transaction: *mut FDBTransaction) -> *mut FDBFuture;
    fn fdb_transaction_on_error(transaction: *mut FDBTransaction, code: fdb_error_t) -> *mut FDBFuture;
}

macro_rules! never_called {
    ($(fn $name:ident($($ty:ty),*) $(-> $result:ty)?;)*) => {$(
        #[doc = concat!("Stands for `", stringify!($name), "`, which is not looked up.")]
        ///
        /// # Safety
        /// There is nothing to keep.
        ///
        /// # Panics
        /// Always: Rookery never calls it.
        pub unsafe fn $name($(_: $ty),*) $(-> $result)? {
            panic!(concat!(stringify!($name), " is not looked up in the client library: move it to the list of calls"))
        }
    )*};
}

never_called! {
    fn fdb_network_set_option(FDBNetworkOption, *const u8, c_int) -> fdb_error_t;
    fn fdb_future_get_mappedkeyvalue_array(*mut FDBFuture, *mut *const FDBMappedKeyValue, *mut c_int,
        *mut fdb_bool_t) -> fdb_error_t;
    fn fdb_future_get_key_array(*mut FDBFuture, *mut *const FDBKey, *mut c_int) -> fdb_error_t;
    fn fdb_future_get_string_array(*mut FDBFuture, *mut *mut *const c_char, *mut c_int) -> fdb_error_t;
    fn fdb_database_open_tenant(*mut FDBDatabase, *const u8, c_int, *mut *mut FDBTenant) -> fdb_error_t;
    fn fdb_database_get_main_thread_busyness(*mut FDBDatabase) -> f64;
    fn fdb_database_get_client_status(*mut FDBDatabase) -> *mut FDBFuture;
    fn fdb_transaction_cancel(*mut FDBTransaction);
    fn fdb_transaction_reset(*mut FDBTransaction);
    fn fdb_transaction_get_key(*mut FDBTransaction, *const u8, c_int, fdb_bool_t, c_int,
        fdb_bool_t) -> *mut FDBFuture;
    fn fdb_transaction_get_addresses_for_key(*mut FDBTransaction, *const u8, c_int) -> *mut FDBFuture;
    fn fdb_transaction_get_mapped_range(*mut FDBTransaction, *const u8, c_int, fdb_bool_t, c_int, *const u8, c_int,
        fdb_bool_t, c_int, *const u8, c_int, c_int, c_int, FDBStreamingMode, c_int, fdb_bool_t,
        fdb_bool_t) -> *mut FDBFuture;
    fn fdb_transaction_get_estimated_range_size_bytes(*mut FDBTransaction, *const u8, c_int, *const u8,
        c_int) -> *mut FDBFuture;
    fn fdb_transaction_get_range_split_points(*mut FDBTransaction, *const u8, c_int, *const u8, c_int,
        i64) -> *mut FDBFuture;
    fn fdb_transaction_get_committed_version(*mut FDBTransaction, *mut i64) -> fdb_error_t;
    fn fdb_transaction_get_approximate_size(*mut FDBTransaction) -> *mut FDBFuture;
}
