//! What the FlatBuffers forms share: this thread's builder, the verifier's limits, and the tables that are in several.
//!
//! Owns none of the forms themselves. Whatever is read here was verified by the caller.

mod tables;

use std::cell::RefCell;

use flatbuffers::{FlatBufferBuilder, InvalidFlatbuffer, VerifierOptions};

pub(crate) use tables::{
    emoji, message, presence, put_message, put_presence, put_snapshot_channels, put_users, snapshot_channels, users,
    uuid,
};

/// What builds a buffer, from its end to its beginning.
pub(crate) type Builder = FlatBufferBuilder<'static>;

/// How deep and how large a buffer may be that someone else made.
///
/// Depth: the deepest of ours, a tally of a message in an event in a delivery in a frame, is 6; the rest is room to grow.
/// Tables: a request has 2, the rest is room to grow; what is made of many tables has a larger limit where it is read.
/// Apparent size: what the buffer would be if nothing in it were shared, which bounds the verifier's own work to a small
/// multiple of the largest message.
pub(crate) const VERIFIER: VerifierOptions = VerifierOptions {
    max_depth: 16,
    max_tables: 64,
    max_apparent_size: 4 * crate::limits::MESSAGE_BYTES_MAX as usize,
    ignore_missing_null_terminator: false,
};

/// Bytes of a builder that are kept for the next use: a page of history. A larger one is given back.
const KEPT_BYTES_MAX: usize = 512 * 1024;

/// Lends out this thread's builder, empty.
///
/// Must not be nested: what is built inside is built with the one lent.
pub(crate) fn with_builder<R>(build: impl FnOnce(&mut Builder) -> R) -> R {
    thread_local! {
        static BUILDER: RefCell<Builder> = RefCell::new(Builder::new());
    }
    BUILDER.with_borrow_mut(|builder| {
        builder.reset();
        let built = build(builder);
        if builder.mut_finished_buffer().0.len() > KEPT_BYTES_MAX {
            *builder = Builder::new();
        }
        built
    })
}

/// A verifier's complaint, whose own text has a line for each level.
pub(crate) fn one_line(error: &InvalidFlatbuffer) -> String {
    let text = error.to_string();
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    lines.join(", ")
}

/// A verified field whose value this version gives no meaning.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {why}")]
pub(crate) struct Illegal {
    field: &'static str,
    why: String,
}

impl Illegal {
    pub(crate) fn new(field: &'static str, why: impl Into<String>) -> Self {
        Self { field, why: why.into() }
    }
}
