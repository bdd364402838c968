//! Types that cross the interface. The layouts are the client library's; the assertions below hold them to its
//! documentation.

#![expect(non_camel_case_types, non_snake_case, reason = "the C interface's names, which its callers use")]

use std::ffi::{c_int, c_void};
use std::marker::{PhantomData, PhantomPinned};

/// 0, or one of FoundationDB's error codes.
pub type fdb_error_t = c_int;

/// 0 is false.
pub type fdb_bool_t = c_int;

/// Called on the network thread, or at once on the calling thread if the future is ready already.
pub type FDBCallback = Option<unsafe extern "C" fn(future: *mut FDBFuture, parameter: *mut c_void)>;

macro_rules! opaque {
    ($($name:ident: $what:literal),* $(,)?) => {
        $(
            #[doc = concat!("The client library's ", $what, ", seen only through pointers.")]
            #[repr(C)]
            pub struct $name {
                _bytes: [u8; 0],
                // Neither Send, Sync nor Unpin follows from nothing.
                _inside: PhantomData<(*mut u8, PhantomPinned)>,
            }
        )*
    };
}

opaque! {
    FDB_future: "future",
    FDB_database: "database",
    FDB_tenant: "tenant",
    FDB_transaction: "transaction",
}

/// A future of the client library.
pub type FDBFuture = FDB_future;
/// A database of the client library.
pub type FDBDatabase = FDB_database;
/// A tenant of the client library.
pub type FDBTenant = FDB_tenant;
/// A transaction of the client library.
pub type FDBTransaction = FDB_transaction;

/// Bytes that belong to a future: a key, or a value.
#[derive(Debug, Clone, Copy)]
#[repr(C, packed(4))]
pub struct FDBKey {
    /// The first.
    pub key: *const u8,
    /// How many.
    pub key_length: c_int,
}

/// A row that belongs to a future.
#[derive(Debug, Clone, Copy)]
#[repr(C, packed(4))]
pub struct FDBKeyValue {
    /// The key's first byte.
    pub key: *const u8,
    /// Bytes of the key.
    pub key_length: c_int,
    /// The value's first byte.
    pub value: *const u8,
    /// Bytes of the value.
    pub value_length: c_int,
}

/// A key selector within a mapped row.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub struct FDBKeySelector {
    /// The key from which it counts.
    pub key: FDBKey,
    /// Whether a key equal to that one is counted.
    pub orEqual: fdb_bool_t,
    /// How many keys on.
    pub offset: c_int,
}

/// The range that a mapped row led to, with what was found there.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub struct FDBGetRangeReqAndResult {
    /// Where it begins.
    pub begin: FDBKeySelector,
    /// Where it ends.
    pub end: FDBKeySelector,
    /// Its rows.
    pub data: *mut FDBKeyValue,
    /// How many there are.
    pub m_size: c_int,
    /// How many there is room for.
    pub m_capacity: c_int,
}

/// A row of an index and the range that it led to. Rookery asks for none; the `foundationdb` crate names the type.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub struct FDBMappedKeyValue {
    /// The index row's key.
    pub key: FDBKey,
    /// The index row's value.
    pub value: FDBKey,
    /// Where it led.
    pub getRange: FDBGetRangeReqAndResult,
    /// The client library's own.
    pub buffer: [u8; 32],
}

/// Sizes and offsets of fields, as the interface documents them for 64 bits.
const _: () = {
    use std::mem::{align_of, offset_of, size_of};
    assert!(size_of::<FDBKey>() == 12 && align_of::<FDBKey>() == 4 && offset_of!(FDBKey, key_length) == 8);
    assert!(size_of::<FDBKeyValue>() == 24 && align_of::<FDBKeyValue>() == 4);
    assert!(offset_of!(FDBKeyValue, key_length) == 8 && offset_of!(FDBKeyValue, value) == 12);
    assert!(offset_of!(FDBKeyValue, value_length) == 20);
    assert!(size_of::<FDBKeySelector>() == 20 && align_of::<FDBKeySelector>() == 4);
    assert!(offset_of!(FDBKeySelector, orEqual) == 12 && offset_of!(FDBKeySelector, offset) == 16);
    assert!(size_of::<FDBGetRangeReqAndResult>() == 56 && align_of::<FDBGetRangeReqAndResult>() == 8);
    assert!(offset_of!(FDBGetRangeReqAndResult, data) == 40 && offset_of!(FDBGetRangeReqAndResult, m_capacity) == 52);
    assert!(size_of::<FDBMappedKeyValue>() == 112 && align_of::<FDBMappedKeyValue>() == 8);
    assert!(offset_of!(FDBMappedKeyValue, getRange) == 24 && offset_of!(FDBMappedKeyValue, buffer) == 80);
};
