//! The macros that declare a record once for both directions.
//!
//! Owns the `encode` and `decode` of every record. Fields of packed records are `crate::packed`'s, tables are
//! `crate::flat`'s.
//!
//! ```text
//! packed_records! { HeadRecord "head" format 1 { seq, sent_ms } }     fields in the order in which they lie
//! flat_records!   { UserRecord "user" format 1 { username, … } }      the table of that name in `record.fbs`
//!                           …, check its_rules               what `encode` panics for and `decode` calls damage
//! ```

use flatbuffers::{Follow, Verifiable};

use super::RecordError;
use crate::flat::{self, FlatTable, Take, VERIFIER};
use crate::limits::{MEMBER_RANGES_MAX, SETTINGS_CATEGORIES_MAX};
use crate::packed::{self, LittleEndian, Packed, behind_format};

const _: () = {
    let most = if MEMBER_RANGES_MAX > SETTINGS_CATEGORIES_MAX { MEMBER_RANGES_MAX } else { SETTINGS_CATEGORIES_MAX };
    assert!(most + 1 < VERIFIER.max_tables as u32, "the records of most tables, memberships and settings, verify");
};

/// Packed records. This module's head shows the form.
macro_rules! packed_records {
    ($($name:ident $what:literal format $format:literal { $($field:ident),* $(,)? } $(, check $check:ident)?)*) => {$(
        $crate::packed::packed_fields! { $name { $($field),* } }
        $crate::record::record! { $name $what format $format encode_packed decode_packed $($check)? }
        #[cfg(test)]
        $crate::testing::any_fields! { $name { $($field),* } $(but $check)? }
    )*};
}

/// Records that are tables. This module's head shows the form.
macro_rules! flat_records {
    ($($name:ident $what:literal format $format:literal {
        $($field:ident $(as $to:tt)?),* $(,)?
    } $(, check $check:ident)?)*) => {$(
        $crate::flat::flat_table! { $name as $name { $($field $(as $to)?),* } }
        $crate::record::record! { $name $what format $format encode_flat decode_flat $($check)? }
        #[cfg(test)]
        $crate::testing::any_fields! { $name { $($field),* } $(but $check)? }
    )*};
}

macro_rules! record {
    ($name:ident $what:literal format $format:literal $encode:ident $decode:ident $($check:ident)?) => {
        impl $name {
            /// Gives this record's row.
            ///
            /// # Panics
            /// If the record breaks a rule of its own type, or has more of anything than its row can count.
            #[must_use]
            pub fn encode(&self) -> Vec<u8> {
                $(if let Err(why) = self.$check() {
                    panic!("{}: {why}: {self:?}", $what);
                })?
                $crate::record::fields::$encode($format, self)
            }

            /// Reads a row of any format up to this version's.
            ///
            /// # Errors
            /// If the row is of a newer format, or damaged: a record that breaks a rule of its own type is damage too.
            pub fn decode(bytes: &[u8]) -> Result<Self, $crate::record::RecordError> {
                let record: Self = $crate::record::fields::$decode($what, $format, bytes)?;
                $(if let Err(why) = record.$check() {
                    return Err($crate::record::RecordError::Damaged { what: $what, bytes: bytes.len(), why });
                })?
                Ok(record)
            }
        }
    };
}

pub(super) use {flat_records, packed_records, record};

/// Writes a packed record behind its format version.
pub(super) fn encode_packed(format: u8, record: &impl Packed) -> Vec<u8> {
    packed::encode::<LittleEndian>(format, record)
}

/// Reads a packed record, which ends where its last field does.
pub(super) fn decode_packed<T: Packed>(what: &'static str, known: u8, bytes: &[u8]) -> Result<T, RecordError> {
    packed::decode::<LittleEndian, T>(what, known, bytes)
}

/// Writes a table behind its format version.
pub(super) fn encode_flat<T: FlatTable>(format: u8, record: &T) -> Vec<u8> {
    flat::with_builder(|builder| {
        let root = record.put_table(builder);
        builder.finish_minimal(root);
        let table = builder.finished_data();
        let mut bytes = Vec::with_capacity(1 + table.len());
        bytes.push(format);
        bytes.extend_from_slice(table);
        bytes
    })
}

/// Verifies and reads a table.
pub(super) fn decode_flat<'a, T>(what: &'static str, known: u8, bytes: &'a [u8]) -> Result<T, RecordError>
where
    T: FlatTable + Take<T::Table<'a>>,
    T::Table<'a>: Follow<'a, Inner = T::Table<'a>> + Verifiable + 'a,
{
    let table = behind_format(what, known, bytes)?;
    let damaged = |why| RecordError::Damaged { what, bytes: bytes.len(), why };
    let table = flatbuffers::root_with_opts::<T::Table<'a>>(&VERIFIER, table)
        .map_err(|error| damaged(flat::one_line(&error)))?;
    T::take(table).map_err(|illegal| damaged(illegal.to_string()))
}
