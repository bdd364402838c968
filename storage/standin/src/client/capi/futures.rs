//! Functions `fdb_future_…`: whether a result is there, who is told, and what it is.

use std::ffi::{c_int, c_void};

use super::super::future::{Call, Future, Value};
use super::super::network;
use super::handles::{Callback, CallbackFunction, Error, KeyValue, Out, borrowed, borrowed_row, error, take_back};
use crate::code::Code;

/// A callback that is still due is called on the network thread, with 1101.
///
/// # Safety
/// `future` came from here and is not destroyed.
#[unsafe(no_mangle)]
unsafe extern "C" fn fdb_future_destroy(future: *const Future) {
    // SAFETY: the caller's promise.
    let future = unsafe { take_back(future) };
    if let Some(callback) = future.cancel() {
        network::defer(Call::new(callback, future));
    }
}

#[unsafe(no_mangle)]
extern "C" fn fdb_future_cancel(future: &Future) {
    if let Some(callback) = future.cancel() {
        callback.call(future);
    }
}

#[unsafe(no_mangle)]
extern "C" fn fdb_future_release_memory(future: &Future) {
    future.release();
}

#[unsafe(no_mangle)]
extern "C" fn fdb_future_block_until_ready(future: &Future) -> Error {
    future.block_until_ready();
    0
}

#[unsafe(no_mangle)]
extern "C" fn fdb_future_is_ready(future: &Future) -> c_int {
    c_int::from(future.is_ready())
}

/// Called on the network thread; if the future is ready already, here and now.
#[unsafe(no_mangle)]
extern "C" fn fdb_future_set_callback(
    future: &Future,
    function: Option<CallbackFunction>,
    parameter: *mut c_void,
) -> Error {
    let Some(function) = function else {
        return error(Err(Code::CLIENT_INVALID_OPERATION));
    };
    if let Some(callback) = future.set_callback(Callback::new(function, parameter)) {
        callback.call(future);
    }
    0
}

#[unsafe(no_mangle)]
extern "C" fn fdb_future_get_error(future: &Future) -> Error {
    error(future.look(|_| Ok(())))
}

#[unsafe(no_mangle)]
extern "C" fn fdb_future_get_int64(future: &Future, out: Out<'_, i64>) -> Error {
    let number = |value: &Value| match value {
        Value::Number(number) => Ok(*number),
        Value::Nothing | Value::Key(_) | Value::Row(_) | Value::Rows(_) => Err(Code::CLIENT_INVALID_OPERATION),
    };
    error(future.look(number).map(|number| {
        out.write(number);
    }))
}

#[unsafe(no_mangle)]
extern "C" fn fdb_future_get_key(future: &Future, out_key: Out<'_, *const u8>, out_length: Out<'_, c_int>) -> Error {
    let key = |value: &Value| match value {
        Value::Key(key) => Ok(borrowed(key)),
        Value::Nothing | Value::Number(_) | Value::Row(_) | Value::Rows(_) => Err(Code::CLIENT_INVALID_OPERATION),
    };
    error(future.look(key).map(|(start, length)| {
        out_key.write(start);
        out_length.write(length);
    }))
}

#[unsafe(no_mangle)]
extern "C" fn fdb_future_get_value(
    future: &Future,
    out_present: Out<'_, c_int>,
    out_value: Out<'_, *const u8>,
    out_length: Out<'_, c_int>,
) -> Error {
    error(future.look(borrowed_row).map(|(present, start, length)| {
        out_present.write(c_int::from(present));
        out_value.write(start);
        out_length.write(length);
    }))
}

#[unsafe(no_mangle)]
extern "C" fn fdb_future_get_keyvalue_array(
    future: &Future,
    out_rows: Out<'_, *const KeyValue>,
    out_count: Out<'_, c_int>,
    out_more: Out<'_, c_int>,
) -> Error {
    let rows = |value: &Value| match value {
        Value::Rows(rows) => Ok(rows.array()),
        Value::Nothing | Value::Number(_) | Value::Key(_) | Value::Row(_) => Err(Code::CLIENT_INVALID_OPERATION),
    };
    error(future.look(rows).map(|(start, count, more)| {
        out_rows.write(start);
        out_count.write(count);
        out_more.write(c_int::from(more));
    }))
}
