//! Functions `fdb_future_…`: whether a result is there, who is told, and what it is.

use std::ffi::{c_int, c_void};
use std::ptr;
use std::sync::Arc;

use serde_bytes::ByteBuf;

use super::super::future::Future;
use super::{Error, Out, error};
use crate::code::Code;
use crate::frame::Reply;

/// `FDBCallback`.
type Callback = extern "C" fn(*const Future, *mut c_void);

/// `FDBKeyValue`.
#[repr(C, packed(4))]
struct KeyValue {
    key: *const u8,
    key_length: c_int,
    value: *const u8,
    value_length: c_int,
}

const _: () = assert!(size_of::<KeyValue>() == 24 && align_of::<KeyValue>() == 4, "as fdb_c.h packs it");

// SAFETY: the pointers point into rows whose bytes are shared and never written, and which live as long as the future
// that keeps both.
unsafe impl Send for KeyValue {}
// SAFETY: as for `Send`.
unsafe impl Sync for KeyValue {}

/// A future and a parameter that a callback is given.
struct Given(*const Future, *mut c_void);

// SAFETY: both are handed back as they came and never read; the C library's contract has them used on its thread.
unsafe impl Send for Given {}

impl Given {
    fn call(self, callback: Callback) {
        callback(self.0, self.1);
    }
}

/// Another kind of result was asked for than the future has.
const OTHER: Code = Code::CLIENT_INVALID_OPERATION;

fn length(bytes: &[u8]) -> c_int {
    c_int::try_from(bytes.len()).expect("a frame is shorter than 2 GiB")
}

/// A callback that is still due is called on the network thread, with 1101.
///
/// # Safety
/// `future` came from here and is not destroyed.
#[unsafe(no_mangle)]
unsafe extern "C" fn fdb_future_destroy(future: *const Future) {
    // SAFETY: the caller's promise.
    unsafe { Arc::from_raw(future) }.give_up();
}

#[unsafe(no_mangle)]
extern "C" fn fdb_future_is_ready(future: &Future) -> c_int {
    c_int::from(future.is_ready())
}

/// Called on the network thread; if the future is ready already, here and now.
#[unsafe(no_mangle)]
extern "C" fn fdb_future_set_callback(future: &Future, callback: Option<Callback>, parameter: *mut c_void) -> Error {
    let Some(callback) = callback else { return error(Err(OTHER)) };
    let given = Given(future, parameter);
    future.set_callback(Box::new(move || given.call(callback)));
    0
}

#[unsafe(no_mangle)]
extern "C" fn fdb_future_get_error(future: &Future) -> Error {
    error(future.outcome().map(|_| ()))
}

#[unsafe(no_mangle)]
extern "C" fn fdb_future_get_int64(future: &Future, out: Out<'_, i64>) -> Error {
    error(future.outcome().and_then(|reply| {
        let Reply::Version(version) = reply else { return Err(OTHER) };
        out.write(version.cast_signed());
        Ok(())
    }))
}

#[unsafe(no_mangle)]
extern "C" fn fdb_future_get_key(future: &Future, out_key: Out<'_, *const u8>, out_length: Out<'_, c_int>) -> Error {
    error(future.outcome().and_then(|reply| {
        let Reply::Committed(stamp) = reply else { return Err(OTHER) };
        out_key.write(stamp.as_ptr());
        out_length.write(c_int::try_from(stamp.len()).expect("10"));
        Ok(())
    }))
}

#[unsafe(no_mangle)]
extern "C" fn fdb_future_get_value(
    future: &Future,
    out_present: Out<'_, c_int>,
    out_value: Out<'_, *const u8>,
    out_length: Out<'_, c_int>,
) -> Error {
    error(future.outcome().and_then(|reply| {
        let Reply::Value(value) = reply else { return Err(OTHER) };
        out_present.write(c_int::from(value.is_some()));
        out_value.write(value.as_ref().map_or(ptr::null(), |value| value.as_ptr()));
        out_length.write(value.as_ref().map_or(0, |value| length(value)));
        Ok(())
    }))
}

#[unsafe(no_mangle)]
extern "C" fn fdb_future_get_keyvalue_array(
    future: &Future,
    out_rows: Out<'_, *const KeyValue>,
    out_count: Out<'_, c_int>,
    out_more: Out<'_, c_int>,
) -> Error {
    error(future.outcome().and_then(|reply| {
        let Reply::Rows(rows, more) = reply else { return Err(OTHER) };
        let row = |(key, value): &(ByteBuf, ByteBuf)| KeyValue {
            key: key.as_ptr(),
            key_length: length(key),
            value: value.as_ptr(),
            value_length: length(value),
        };
        let array = future.keep(|| rows.iter().map(row).collect::<Box<[KeyValue]>>());
        out_rows.write(array.as_ptr());
        out_count.write(c_int::try_from(array.len()).expect("a page has fewer rows"));
        out_more.write(c_int::from(*more));
        Ok(())
    }))
}
