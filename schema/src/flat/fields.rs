//! Fields of tables: numbers, texts, structs, vectors, and what may be absent.
//!
//! Owns how each of this crate's small types lies in a field. Enums are in `enums`, tables where they are declared.

use std::sync::Arc;

use flatbuffers::{Follow, ForwardsUOffset, Vector, WIPOffset};

use super::{Builder, FlatTable, Illegal, Put, Take};
use crate::code::ErrorCode;
use crate::emoji::Emoji;
use crate::generated::rookery::{Uuid, mesh, record};
use crate::id::{ChannelId, ClientMsgId, DeviceId, MediaId, Seq, SessionId, UserId};
use crate::place::{MessagePlace, ParsePlaceError};
use crate::position::{Cursor, Position, Stamp};
use crate::time::UnixMs;
use crate::view::{Epoch, Incarnation, Owner, ShardIndex};

/// What was stored as an argument of the generated `create`, which takes structs by reference and all else by value.
pub(crate) trait Lend<'a, Argument> {
    fn lend(&'a self) -> Argument;
}

impl<'a, T: Copy> Lend<'a, T> for T {
    fn lend(&'a self) -> T {
        *self
    }
}

impl<'a, T> Lend<'a, Option<&'a T>> for T {
    fn lend(&'a self) -> Option<&'a T> {
        Some(self)
    }
}

impl<'a, T> Lend<'a, Option<&'a T>> for Option<T> {
    fn lend(&'a self) -> Option<&'a T> {
        self.as_ref()
    }
}

/// Numbers, which are there or, in an optional field, may not be.
macro_rules! numbers {
    ($($type:ty as $number:ty: |$value:ident| $put:expr, $take:expr;)*) => {$(
        impl Put for $type {
            type Stored = $number;

            fn put(&self, _: &mut Builder) -> $number {
                let $value = *self;
                $put
            }
        }

        impl Put for Option<$type> {
            type Stored = Option<$number>;

            fn put(&self, builder: &mut Builder) -> Option<$number> {
                self.map(|value| value.put(builder))
            }
        }

        impl Take<$number> for $type {
            fn take(stored: $number) -> Result<Self, Illegal> {
                Ok($take(stored))
            }
        }

        impl Take<Option<$number>> for Option<$type> {
            fn take(stored: Option<$number>) -> Result<Self, Illegal> {
                Ok(stored.map($take))
            }
        }
    )*};
}

numbers! {
    bool as bool: |on| on, std::convert::identity;
    u32 as u32: |number| number, std::convert::identity;
    u64 as u64: |number| number, std::convert::identity;
    u16 as u16: |number| number, std::convert::identity;
    UserId as u64: |user| user.0, UserId;
    ChannelId as u64: |channel| channel.0, ChannelId;
    MediaId as u64: |media| media.0, MediaId;
    SessionId as u64: |session| session.0, SessionId;
    Seq as u64: |seq| seq.0, Seq;
    UnixMs as u64: |at| at.0, UnixMs;
    Epoch as u64: |epoch| epoch.0, Epoch;
}

impl Put for ErrorCode {
    type Stored = u16;

    fn put(&self, _: &mut Builder) -> u16 {
        (*self).into()
    }
}

impl Take<u16> for ErrorCode {
    fn take(stored: u16) -> Result<Self, Illegal> {
        Self::try_from(stored).map_err(|unknown| Illegal::Unknown { what: "error code", number: unknown.code })
    }
}

/// Texts. One that is required is there; one that is not may be.
macro_rules! texts {
    ($($type:ty: |$text:ident| $as_str:expr, $take:expr;)*) => {$(
        impl Put for $type {
            type Stored = Option<WIPOffset<&'static str>>;

            fn put(&self, builder: &mut Builder) -> Self::Stored {
                let $text = self;
                Some(builder.create_string($as_str))
            }
        }

        impl Put for Option<$type> {
            type Stored = Option<WIPOffset<&'static str>>;

            fn put(&self, builder: &mut Builder) -> Self::Stored {
                self.as_ref().and_then(|text| text.put(builder))
            }
        }

        impl Take<&str> for $type {
            fn take(stored: &str) -> Result<Self, Illegal> {
                $take(stored)
            }
        }

        impl Take<Option<&str>> for Option<$type> {
            fn take(stored: Option<&str>) -> Result<Self, Illegal> {
                stored.map($take).transpose()
            }
        }
    )*};
}

texts! {
    String: |text| text, |text: &str| Ok(text.to_owned());
    Arc<str>: |text| text, |text: &str| Ok(text.into());
    Emoji: |emoji| emoji.as_str(), |text| Emoji::accepted(text).map_err(|error| Illegal::new(error.to_string()));
    DeviceId: |name| name.as_str(), |text: &str| text.parse().map_err(|error| Illegal::new(format!("{error}")));
    MessagePlace: |place| &place.to_string(), |text: &str| {
        text.parse().map_err(|error: ParsePlaceError| Illegal::new(error.to_string()))
    };
}

/// A text whose absence says the same as its being empty.
impl Take<Option<&str>> for String {
    fn take(stored: Option<&str>) -> Result<Self, Illegal> {
        Ok(stored.unwrap_or_default().to_owned())
    }
}

/// The same, shared.
impl Take<Option<&str>> for Arc<str> {
    fn take(stored: Option<&str>) -> Result<Self, Illegal> {
        Ok(stored.unwrap_or_default().into())
    }
}

/// Structs, which lie in the table itself.
macro_rules! structs {
    ($($type:ty as $struct:ty: |$value:ident| $put:expr, |$stored:ident| $take:expr;)*) => {$(
        impl Put for $type {
            type Stored = $struct;

            fn put(&self, _: &mut Builder) -> $struct {
                let $value = self;
                $put
            }
        }

        impl Take<&$struct> for $type {
            fn take($stored: &$struct) -> Result<Self, Illegal> {
                $take
            }
        }
    )*};
}

structs! {
    ClientMsgId as Uuid: |id| Uuid(id.0), |stored| {
        let id = Self(stored.0);
        if id.is_v7() { Ok(id) } else { Err(Illegal::new("expected a UUID of version 7")) }
    };
    [u8; 32] as record::Sha256: |hash| record::Sha256(*hash), |stored| Ok(stored.0);
    Stamp as mesh::Stamp: |at| mesh::Stamp::new(at.version, at.batch),
        |stored| Ok(Self { version: stored.version(), batch: stored.batch() });
    Position as mesh::Position: |at| mesh::Position::new(at.stamp.version, at.stamp.batch, at.ordinal),
        |stored| Ok(Stamp { version: stored.version(), batch: stored.batch() }.at(stored.ordinal()));
    Cursor as mesh::Cursor: |at| {
        let position = at.position;
        mesh::Cursor::new(at.generation, &mesh::Position::new(position.stamp.version, position.stamp.batch, position.ordinal))
    }, |stored| Ok(Self { generation: stored.generation(), position: Position::take(stored.position())? });
    Owner as mesh::Owner: |owner| mesh::Owner::new(owner.incarnation.0, owner.shard.0),
        |stored| Ok(Self { incarnation: Incarnation(stored.incarnation()), shard: ShardIndex(stored.shard()) });
}

impl Put for Option<Cursor> {
    type Stored = Option<mesh::Cursor>;

    fn put(&self, builder: &mut Builder) -> Self::Stored {
        self.map(|cursor| cursor.put(builder))
    }
}

impl Take<Option<&mesh::Cursor>> for Option<Cursor> {
    fn take(stored: Option<&mesh::Cursor>) -> Result<Self, Illegal> {
        stored.map(Take::take).transpose()
    }
}

impl<T: FlatTable> Put for T {
    type Stored = Option<WIPOffset<T::Table<'static>>>;

    fn put(&self, builder: &mut Builder) -> Self::Stored {
        Some(self.put_table(builder))
    }
}

impl<T: FlatTable> Put for Option<T> {
    type Stored = Option<WIPOffset<T::Table<'static>>>;

    fn put(&self, builder: &mut Builder) -> Self::Stored {
        self.as_ref().map(|value| value.put_table(builder))
    }
}

impl<Stored, T: FlatTable + Take<Stored>> Take<Option<Stored>> for Option<T> {
    fn take(stored: Option<Stored>) -> Result<Self, Illegal> {
        stored.map(T::take).transpose()
    }
}

impl<T: FlatTable> FlatTable for Arc<T> {
    type Table<'a> = T::Table<'a>;

    fn put_table(&self, builder: &mut Builder) -> WIPOffset<T::Table<'static>> {
        T::put_table(self, builder)
    }
}

impl<Stored, T: Take<Stored>> Take<Stored> for Arc<T> {
    fn take(stored: Stored) -> Result<Self, Illegal> {
        T::take(stored).map(Self::new)
    }
}

/// An element of a vector.
pub(crate) trait Element: Sized {
    /// Its form in a vector.
    type Item<'a>: 'a;
    /// Whether a vector is left out where there are none.
    const OMITTED_IF_EMPTY: bool;

    fn put_all(list: &[Self], builder: &mut Builder) -> WIPOffset<Vector<'static, Self::Item<'static>>>;
}

macro_rules! number_elements {
    ($($type:ty as $number:ty: |$value:ident| $put:expr, omitted $omitted:literal;)*) => {$(
        impl Element for $type {
            type Item<'a> = $number;
            const OMITTED_IF_EMPTY: bool = $omitted;

            fn put_all(list: &[Self], builder: &mut Builder) -> WIPOffset<Vector<'static, $number>> {
                builder.create_vector_from_iter(list.iter().map(|$value| $put))
            }
        }
    )*};
}

number_elements! {
    UserId as u64: |user| user.0, omitted true;
    MediaId as u64: |media| media.0, omitted true;
    ChannelId as u64: |channel| channel.0, omitted false;
    SessionId as u64: |session| session.0, omitted false;
    u16 as u16: |number| *number, omitted false;
}

impl<T: FlatTable> Element for T {
    type Item<'a> = ForwardsUOffset<T::Table<'a>>;
    const OMITTED_IF_EMPTY: bool = T::OMITTED_IF_EMPTY;

    fn put_all(list: &[Self], builder: &mut Builder) -> WIPOffset<Vector<'static, Self::Item<'static>>> {
        let mut tables = Vec::with_capacity(list.len());
        for value in list {
            tables.push(value.put_table(builder));
        }
        builder.create_vector(&tables)
    }
}

/// Lists, which an absent vector and an empty one both make empty.
macro_rules! lists {
    ($($list:ty),*) => {$(
        impl<T: Element> Put for $list {
            type Stored = Option<WIPOffset<Vector<'static, T::Item<'static>>>>;

            fn put(&self, builder: &mut Builder) -> Self::Stored {
                (!T::OMITTED_IF_EMPTY || !self.is_empty()).then(|| T::put_all(self, builder))
            }
        }

        impl<'a, I: Follow<'a> + 'a, T: Element + Take<I::Inner>> Take<Vector<'a, I>> for $list {
            fn take(stored: Vector<'a, I>) -> Result<Self, Illegal> {
                let mut list = Vec::with_capacity(stored.len());
                for item in stored {
                    list.push(T::take(item)?);
                }
                Ok(list.into())
            }
        }

        impl<'a, I: Follow<'a> + 'a, T: Element + Take<I::Inner>> Take<Option<Vector<'a, I>>> for $list {
            fn take(stored: Option<Vector<'a, I>>) -> Result<Self, Illegal> {
                stored.map_or_else(|| Ok(Self::from([])), Take::take)
            }
        }
    )*};
}

lists!(Vec<T>, Arc<[T]>);
