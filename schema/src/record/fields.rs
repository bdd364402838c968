//! Fields of records, and the macros that declare a record once for both directions.
//!
//! Owns how each small type lies in a packed record, one after the other without padding, and the `encode` and `decode`
//! of every record. The bytes themselves are `packed`'s, tables are `crate::flat`'s.
//!
//! ```text
//! packed_records! { HeadRecord "head" format 1 { seq, sent_ms } }     fields in the order in which they lie
//! flat_records!   { UserRecord "user" format 1 { username, … } }      the table of that name in `record.fbs`
//!                           …, check its_rules               what `encode` panics for and `decode` calls damage
//! ```

use flatbuffers::{Follow, Verifiable};

use super::RecordError;
use super::packed::{Reader, Writer};
use crate::emoji::Emoji;
use crate::flat::{self, FlatTable, Take, VERIFIER};
use crate::id::{ChannelId, Seq, UserId};
use crate::limits::MEMBER_RANGES_MAX;
use crate::position::Stamp;
use crate::time::UnixMs;
use crate::view::{Epoch, Incarnation};

const _: () =
    assert!(MEMBER_RANGES_MAX < VERIFIER.max_tables as u32, "the record of most tables, a membership, verifies");

/// A value that lies in a packed record.
pub(crate) trait Packed: Sized {
    /// Bytes that are reserved for it: as many as it takes, or a few more.
    fn bytes(&self) -> usize {
        size_of::<Self>()
    }

    /// Writes it behind what is there.
    fn put(&self, writer: &mut Writer);

    /// Reads it from what is next.
    fn take(reader: &mut Reader<'_>) -> Result<Self, RecordError>;
}

/// A value that a record counts.
pub(super) trait Counted: Packed {
    /// Bytes of the shortest, which bound what a damaged count reserves.
    const BYTES_MIN: usize;
}

macro_rules! packed_numbers {
    ($($number:ident),*) => {$(
        impl Packed for $number {
            fn put(&self, writer: &mut Writer) {
                writer.$number(*self);
            }

            fn take(reader: &mut Reader<'_>) -> Result<Self, RecordError> {
                reader.$number()
            }
        }
    )*};
}

packed_numbers!(u8, u16, u32, u64);

macro_rules! packed_ids {
    ($($id:ident),*) => {$(
        impl Packed for $id {
            fn put(&self, writer: &mut Writer) {
                writer.u64(self.0);
            }

            fn take(reader: &mut Reader<'_>) -> Result<Self, RecordError> {
                reader.u64().map(Self)
            }
        }
    )*};
}

packed_ids!(UserId, ChannelId, Seq, UnixMs, Incarnation, Epoch);

impl Counted for u64 {
    const BYTES_MIN: usize = 8;
}

impl Counted for UserId {
    const BYTES_MIN: usize = 8;
}

impl Packed for bool {
    fn put(&self, writer: &mut Writer) {
        writer.u8(u8::from(*self));
    }

    fn take(reader: &mut Reader<'_>) -> Result<Self, RecordError> {
        reader.u8().map(|byte| byte != 0)
    }
}

/// In the order of a versionstamp, since the store itself writes some of them.
impl Packed for Stamp {
    fn put(&self, writer: &mut Writer) {
        self.to_bytes().iter().for_each(|&byte| _ = writer.u8(byte));
    }

    fn take(reader: &mut Reader<'_>) -> Result<Self, RecordError> {
        reader.take().map(Self::from_bytes)
    }
}

/// A text of at most 255 bytes, behind its length.
impl Packed for String {
    fn bytes(&self) -> usize {
        1 + self.len()
    }

    fn put(&self, writer: &mut Writer) {
        writer.short_text(self);
    }

    fn take(reader: &mut Reader<'_>) -> Result<Self, RecordError> {
        reader.short_text().map(str::to_owned)
    }
}

impl Packed for Emoji {
    fn bytes(&self) -> usize {
        1 + self.as_str().len()
    }

    fn put(&self, writer: &mut Writer) {
        writer.short_text(self.as_str());
    }

    fn take(reader: &mut Reader<'_>) -> Result<Self, RecordError> {
        Self::accepted(reader.short_text()?).map_err(|error| reader.damaged(error.to_string()))
    }
}

/// Behind their number.
///
/// `put` panics for more than 65,535: a transaction has 8,000 rows at most.
impl<T: Counted> Packed for Vec<T> {
    fn bytes(&self) -> usize {
        2 + self.iter().map(Packed::bytes).sum::<usize>()
    }

    fn put(&self, writer: &mut Writer) {
        writer.u16(u16::try_from(self.len()).expect("no more than a transaction has rows"));
        self.iter().for_each(|value| value.put(writer));
    }

    fn take(reader: &mut Reader<'_>) -> Result<Self, RecordError> {
        let count = reader.count(T::BYTES_MIN)?;
        let mut list = Vec::with_capacity(count);
        for _ in 0..count {
            list.push(T::take(reader)?);
        }
        Ok(list)
    }
}

impl<T: Counted> Counted for Vec<T> {
    const BYTES_MIN: usize = 2;
}

macro_rules! packed_tuples {
    ($(($($field:ident),*))*) => {$(
        #[expect(non_snake_case, reason = "a field is called like its type")]
        impl<$($field: Packed),*> Packed for ($($field),*) {
            fn bytes(&self) -> usize {
                let ($($field),*) = self;
                0 $(+ $field.bytes())*
            }

            fn put(&self, writer: &mut Writer) {
                let ($($field),*) = self;
                $($field.put(writer);)*
            }

            fn take(reader: &mut Reader<'_>) -> Result<Self, RecordError> {
                Ok(($($field::take(reader)?),*))
            }
        }
    )*};
}

packed_tuples! { (A, B) (A, B, C) (A, B, C, D, E) }

/// Enums by numbers of one byte, which never change.
macro_rules! packed_enums {
    ($($name:ident { $($variant:ident = $number:expr),* })*) => {$(
        impl $crate::record::Packed for $name {
            fn put(&self, writer: &mut $crate::record::Writer) {
                writer.u8(match self { $(Self::$variant => $number,)* });
            }

            fn take(reader: &mut $crate::record::Reader<'_>) -> Result<Self, $crate::record::RecordError> {
                let byte = reader.u8()?;
                $(if byte == $number {
                    return Ok(Self::$variant);
                })*
                Err(reader.damaged(format!("no {} has number {byte}", stringify!($name))))
            }
        }

        #[cfg(test)]
        $crate::testing::any_variants! { $name { $($variant {})* } }
    )*};
}

/// Structs that lie in packed records field by field.
macro_rules! packed_fields {
    ($($name:ident { $($field:ident),* $(,)? })*) => {$(
        impl $crate::record::Packed for $name {
            fn bytes(&self) -> usize {
                0 $(+ self.$field.bytes())*
            }

            fn put(&self, writer: &mut $crate::record::Writer) {
                $(self.$field.put(writer);)*
            }

            fn take(reader: &mut $crate::record::Reader<'_>) -> Result<Self, $crate::record::RecordError> {
                Ok(Self { $($field: $crate::record::Packed::take(reader)?),* })
            }
        }
    )*};
}

/// Packed records. This module's head shows the form.
macro_rules! packed_records {
    ($($name:ident $what:literal format $format:literal { $($field:ident),* $(,)? } $(, check $check:ident)?)*) => {$(
        $crate::record::packed_fields! { $name { $($field),* } }
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

pub(crate) use packed_enums;
pub(super) use {flat_records, packed_fields, packed_records, record};

/// Writes a packed record behind its format version.
pub(super) fn encode_packed<T: Packed>(format: u8, record: &T) -> Vec<u8> {
    let mut writer = Writer::new(format, 1 + record.bytes());
    record.put(&mut writer);
    writer.finish()
}

/// Reads a packed record, which ends where its last field does.
pub(super) fn decode_packed<T: Packed>(what: &'static str, known: u8, bytes: &[u8]) -> Result<T, RecordError> {
    let mut reader = Reader::new(what, known, bytes)?;
    let record = T::take(&mut reader)?;
    reader.finish().map(|()| record)
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
    let table = super::behind_format(what, known, bytes)?;
    let damaged = |why| RecordError::Damaged { what, bytes: bytes.len(), why };
    let table = flatbuffers::root_with_opts::<T::Table<'a>>(&VERIFIER, table)
        .map_err(|error| damaged(flat::one_line(&error)))?;
    T::take(table).map_err(|illegal| damaged(illegal.to_string()))
}
