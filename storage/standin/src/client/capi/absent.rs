//! Functions that the `foundationdb` crate can call and Rookery never does: they exist, and answer with error 2000.
//!
//! Tenants, mapped ranges, searches by selector, addresses, split points, sizes and the client's state are a cluster's
//! business that a store of one process has no truthful answer to.

use std::ffi::{c_char, c_int, c_void};

use super::super::future::Future;
use super::super::transaction::Transaction;
use super::handles::{Error, Key, Out, error, hand_out};
use crate::code::Code;

fn no() -> Error {
    error(Err(Code::CLIENT_INVALID_OPERATION))
}

fn never() -> *const Future {
    hand_out(Future::ready(Err(Code::CLIENT_INVALID_OPERATION)))
}

#[unsafe(no_mangle)]
extern "C" fn fdb_transaction_get_key(
    _transaction: &Transaction,
    _key: *const u8,
    _length: c_int,
    _or_equal: c_int,
    _offset: c_int,
    _snapshot: c_int,
) -> *const Future {
    never()
}

#[unsafe(no_mangle)]
extern "C" fn fdb_transaction_get_mapped_range(
    _transaction: &Transaction,
    _begin: *const u8,
    _begin_length: c_int,
    _begin_or_equal: c_int,
    _begin_offset: c_int,
    _end: *const u8,
    _end_length: c_int,
    _end_or_equal: c_int,
    _end_offset: c_int,
    _mapper: *const u8,
    _mapper_length: c_int,
    _limit_rows: c_int,
    _limit_bytes: c_int,
    _mode: c_int,
    _iteration: c_int,
    _snapshot: c_int,
    _reverse: c_int,
) -> *const Future {
    never()
}

#[unsafe(no_mangle)]
extern "C" fn fdb_transaction_get_addresses_for_key(
    _transaction: &Transaction,
    _key: *const u8,
    _length: c_int,
) -> *const Future {
    never()
}

#[unsafe(no_mangle)]
extern "C" fn fdb_transaction_get_estimated_range_size_bytes(
    _transaction: &Transaction,
    _begin: *const u8,
    _begin_length: c_int,
    _end: *const u8,
    _end_length: c_int,
) -> *const Future {
    never()
}

#[unsafe(no_mangle)]
extern "C" fn fdb_transaction_get_range_split_points(
    _transaction: &Transaction,
    _begin: *const u8,
    _begin_length: c_int,
    _end: *const u8,
    _end_length: c_int,
    _chunk_bytes: i64,
) -> *const Future {
    never()
}

#[unsafe(no_mangle)]
extern "C" fn fdb_database_get_client_status(_database: *const c_void) -> *const Future {
    never()
}

/// Never busy, as far as it says.
#[unsafe(no_mangle)]
extern "C" fn fdb_database_get_main_thread_busyness(_database: *const c_void) -> f64 {
    0.0
}

#[unsafe(no_mangle)]
extern "C" fn fdb_database_open_tenant(
    _database: *const c_void,
    _name: *const u8,
    _length: c_int,
    _out: *mut *mut c_void,
) -> Error {
    no()
}

#[unsafe(no_mangle)]
extern "C" fn fdb_tenant_create_transaction(_tenant: *const c_void, _out: *mut *mut c_void) -> Error {
    no()
}

/// There is none to destroy.
#[unsafe(no_mangle)]
extern "C" fn fdb_tenant_destroy(_tenant: *const c_void) {}

#[unsafe(no_mangle)]
extern "C" fn fdb_tenant_get_id(_tenant: *const c_void) -> *const Future {
    never()
}

#[unsafe(no_mangle)]
extern "C" fn fdb_future_get_key_array(
    _future: &Future,
    _out_keys: Out<'_, *const Key>,
    _out_count: Out<'_, c_int>,
) -> Error {
    no()
}

#[unsafe(no_mangle)]
extern "C" fn fdb_future_get_mappedkeyvalue_array(
    _future: &Future,
    _out_rows: Out<'_, *const c_void>,
    _out_count: Out<'_, c_int>,
    _out_more: Out<'_, c_int>,
) -> Error {
    no()
}

#[unsafe(no_mangle)]
extern "C" fn fdb_future_get_string_array(
    _future: &Future,
    _out_strings: Out<'_, *const *const c_char>,
    _out_count: Out<'_, c_int>,
) -> Error {
    no()
}
