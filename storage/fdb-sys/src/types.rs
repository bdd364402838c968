//! What crosses the interface. The layouts are the client library's; the tests below hold them to its documentation.

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

#[cfg(test)]
mod tests {
    use std::mem::{align_of, offset_of, size_of};

    use super::*;

    /// The size, the alignment and the offsets of fields, as the interface documents them for 64 bits.
    #[test]
    fn layouts_are_the_documented_ones() {
        let check = |name: &str, found: (usize, usize, &[usize]), documented: (usize, usize, &[usize])| {
            assert_eq!(found, documented, "{name}");
        };
        let offsets = [offset_of!(FDBKey, key), offset_of!(FDBKey, key_length)];
        check("FDBKey", (size_of::<FDBKey>(), align_of::<FDBKey>(), &offsets), (12, 4, &[0, 8]));
        let offsets = [
            offset_of!(FDBKeyValue, key),
            offset_of!(FDBKeyValue, key_length),
            offset_of!(FDBKeyValue, value),
            offset_of!(FDBKeyValue, value_length),
        ];
        check("FDBKeyValue", (size_of::<FDBKeyValue>(), align_of::<FDBKeyValue>(), &offsets), (24, 4, &[0, 8, 12, 20]));
        let offsets =
            [offset_of!(FDBKeySelector, key), offset_of!(FDBKeySelector, orEqual), offset_of!(FDBKeySelector, offset)];
        let selector = (size_of::<FDBKeySelector>(), align_of::<FDBKeySelector>(), offsets.as_slice());
        check("FDBKeySelector", selector, (20, 4, &[0, 12, 16]));
        let offsets = [
            offset_of!(FDBGetRangeReqAndResult, begin),
            offset_of!(FDBGetRangeReqAndResult, end),
            offset_of!(FDBGetRangeReqAndResult, data),
            offset_of!(FDBGetRangeReqAndResult, m_size),
            offset_of!(FDBGetRangeReqAndResult, m_capacity),
        ];
        let range = (size_of::<FDBGetRangeReqAndResult>(), align_of::<FDBGetRangeReqAndResult>(), offsets.as_slice());
        check("FDBGetRangeReqAndResult", range, (56, 8, &[0, 20, 40, 48, 52]));
        let offsets = [
            offset_of!(FDBMappedKeyValue, key),
            offset_of!(FDBMappedKeyValue, value),
            offset_of!(FDBMappedKeyValue, getRange),
            offset_of!(FDBMappedKeyValue, buffer),
        ];
        let mapped = (size_of::<FDBMappedKeyValue>(), align_of::<FDBMappedKeyValue>(), offsets.as_slice());
        check("FDBMappedKeyValue", mapped, (112, 8, &[0, 12, 24, 80]));
    }
}
