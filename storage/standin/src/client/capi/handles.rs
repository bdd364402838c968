//! Handles that cross the C interface as pointers: byte strings, paths, rows and callbacks.

use std::ffi::{CStr, OsStr, c_char, c_int, c_void};
use std::mem::MaybeUninit;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::ptr;
use std::sync::Arc;

use bytes::Bytes;

use super::super::future::{Future, Value};
use crate::code::Code;

/// The C library's numbers of errors.
pub(super) type Error = c_int;

/// Where a function leaves what it found.
pub(super) type Out<'a, T> = &'a mut MaybeUninit<T>;

/// 0, or the error's number.
pub(super) fn error(result: Result<(), Code>) -> Error {
    result.map_or_else(|code| code.0.into(), |()| 0)
}

/// A future that the caller holds from now on.
pub(super) fn hand_out(future: Arc<Future>) -> *const Future {
    Arc::into_raw(future)
}

/// A future that the caller gives back.
///
/// # Safety
/// It came from [`hand_out`] and was not taken back before.
pub(super) unsafe fn take_back(future: *const Future) -> Arc<Future> {
    // SAFETY: the caller's promise.
    unsafe { Arc::from_raw(future) }
}

/// A byte string that the caller lends.
///
/// # Safety
/// `start` is null, or `len` bytes can be read there until the function that was called returns.
pub(super) unsafe fn bytes<'a>(start: *const u8, len: c_int) -> &'a [u8] {
    match usize::try_from(len) {
        // SAFETY: the caller's promise.
        Ok(len_bytes) if len_bytes > 0 && !start.is_null() => unsafe { std::slice::from_raw_parts(start, len_bytes) },
        Ok(_) | Err(_) => &[],
    }
}

/// A path that the caller lends. `None` for null.
///
/// # Safety
/// `start` is null, or a string that ends with a zero byte, until the function that was called returns.
pub(super) unsafe fn path<'a>(start: *const c_char) -> Option<&'a Path> {
    if start.is_null() {
        return None;
    }
    // SAFETY: the caller's promise.
    let text = unsafe { CStr::from_ptr(start) };
    Some(Path::new(OsStr::from_bytes(text.to_bytes())))
}

/// `FDBKeyValue`.
#[derive(Debug)]
#[repr(C, packed(4))]
pub(super) struct KeyValue {
    key: *const u8,
    key_length: c_int,
    value: *const u8,
    value_length: c_int,
}

/// `FDBKey`.
#[derive(Debug)]
#[repr(C, packed(4))]
pub(super) struct Key {
    key: *const u8,
    key_length: c_int,
}

const _: () = assert!(size_of::<KeyValue>() == 24 && align_of::<KeyValue>() == 4, "as fdb_c.h packs it");
const _: () = assert!(size_of::<Key>() == 12 && align_of::<Key>() == 4, "as fdb_c.h packs it");

/// A page of rows, and the array of pointers by which the caller reads them.
#[derive(Debug)]
pub(crate) struct KeyValues {
    array: Box<[KeyValue]>,
    more: bool,
    /// What the pointers point to.
    _rows: Vec<(Bytes, Bytes)>,
}

// SAFETY: the pointers point into `_rows`, whose bytes are shared and never written, and which lives as long as they.
unsafe impl Send for KeyValues {}

impl KeyValues {
    pub(crate) fn new(rows: Vec<(Bytes, Bytes)>, more: bool) -> Self {
        let row = |(key, value): &(Bytes, Bytes)| KeyValue {
            key: key.as_ptr(),
            key_length: length(key),
            value: value.as_ptr(),
            value_length: length(value),
        };
        Self { array: rows.iter().map(row).collect(), more, _rows: rows }
    }

    pub(super) fn array(&self) -> (*const KeyValue, c_int, bool) {
        let count = c_int::try_from(self.array.len()).expect("a page has fewer rows");
        (self.array.as_ptr(), count, self.more)
    }
}

/// Where a byte string begins, and its length.
pub(super) fn borrowed(bytes: &Bytes) -> (*const u8, c_int) {
    (bytes.as_ptr(), length(bytes))
}

/// Where the value of a row begins that may be absent.
pub(super) fn borrowed_row(value: &Value) -> Result<(bool, *const u8, c_int), Code> {
    match value {
        Value::Row(None) => Ok((false, ptr::null(), 0)),
        Value::Row(Some(value)) => {
            let (start, length) = borrowed(value);
            Ok((true, start, length))
        }
        Value::Nothing | Value::Number(_) | Value::Key(_) | Value::Rows(_) => Err(Code::CLIENT_INVALID_OPERATION),
    }
}

fn length(bytes: &Bytes) -> c_int {
    c_int::try_from(bytes.len()).expect("a frame is shorter than 2 GiB")
}

/// `FDBCallback`.
pub(super) type CallbackFunction = extern "C" fn(*const Future, *mut c_void);

/// What to call when a future is ready.
#[derive(Debug)]
pub(crate) struct Callback {
    function: CallbackFunction,
    parameter: *mut c_void,
}

// SAFETY: the parameter is handed back as it came and never read; the C library's contract has it used on its thread.
unsafe impl Send for Callback {}

impl Callback {
    pub(super) fn new(function: CallbackFunction, parameter: *mut c_void) -> Self {
        Self { function, parameter }
    }

    /// Must be called without any lock of ours: it may call anything here.
    pub(crate) fn call(self, future: &Future) {
        (self.function)(future, self.parameter);
    }
}
