//! The growing records' bytes: a FlatBuffers table behind the format version.
//!
//! Owns the envelope of both directions. A table is verified before a field of it is read.

use std::ops::Deref;

use flatbuffers::{Follow, Verifiable, WIPOffset};

use super::RecordError;
use crate::flat::{self, Builder, VERIFIER};
use crate::limits::MEMBER_RANGES_MAX;

/// Builds one table behind its format version.
pub(super) fn encode<T>(format: u8, build: impl FnOnce(&mut Builder) -> WIPOffset<T>) -> Vec<u8> {
    flat::with_builder(|builder| {
        let root = build(builder);
        builder.finish_minimal(root);
        let table = builder.finished_data();
        let mut bytes = Vec::with_capacity(1 + table.len());
        bytes.push(format);
        bytes.extend_from_slice(table);
        bytes
    })
}

/// A verified table, and what to call it where it is not what it should be.
pub(super) struct Flat<T> {
    what: &'static str,
    bytes: usize,
    table: T,
}

const _: () =
    assert!(MEMBER_RANGES_MAX < VERIFIER.max_tables as u32, "the record of most tables, a membership, verifies");

impl<'a, T: Follow<'a, Inner = T> + Verifiable + 'a> Flat<T> {
    pub(super) fn read(what: &'static str, known: u8, bytes: &'a [u8]) -> Result<Self, RecordError> {
        let table = super::behind_format(what, known, bytes)?;
        match flatbuffers::root_with_opts::<T>(&VERIFIER, table) {
            Ok(table) => Ok(Self { what, bytes: bytes.len(), table }),
            Err(why) => Err(RecordError::Damaged { what, bytes: bytes.len(), why: flat::one_line(&why) }),
        }
    }
}

impl<T> Flat<T> {
    pub(super) fn damaged(&self, why: impl Into<String>) -> RecordError {
        RecordError::Damaged { what: self.what, bytes: self.bytes, why: why.into() }
    }

    /// The value of a numbered field, which must have a meaning.
    pub(super) fn known<V>(&self, value: Option<V>, field: &str) -> Result<V, RecordError> {
        value.ok_or_else(|| self.damaged(format!("its {field} has no meaning")))
    }
}

impl<T> Deref for Flat<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.table
    }
}
