//! FlatBuffers tables, each declared once for both directions.
//!
//! Owns this thread's builder, the verifier's limits, and the two macros that declare how a value lies in a buffer: its
//! bytes never change, since clients, nodes and stores of other ages have them. Whatever is taken was verified before.
//!
//! ```text
//! flat_tables! { Edit as Edit { channel_id, seq, op_id, base_revision, body } }     a struct and its table
//!                          text as body                          the table's field has another name
//!                          window as (before, after, around)     one value in several fields
//!                          op as [union op]                      a union, whose members are declared below
//!                          kind as [beside media]                a message's kind, which its media tell if it has any
//!
//! flat_unions! { Push as Push in ServerFrame.push_ by push_type {                       an enum and its union
//!     Head { channel_id, head_seq } as HeadPush,                 a variant and its table
//!     Send(send) or SendMedia if sends_media,                    the same table under another number, for some values
//!     Message(message) as MessageEvent,                          a tuple variant, and the field that holds it
//!     History(page),                                             a struct that has a table of its own
//! } }
//! ```
//!
//! Tables are named as in a module `fb` of whoever declares them, members of unions after their variants. What is
//! written where in a buffer follows the order in which fields are listed, so a list is never sorted anew. Tests draw
//! any value of a type by the same declaration.

mod fields;
mod tables;

use std::cell::RefCell;

use flatbuffers::{FlatBufferBuilder, InvalidFlatbuffer, UnionWIPOffset, VerifierOptions, WIPOffset};

pub(crate) use fields::{Element, Lend};

/// The builder of a buffer, which grows from its end to its beginning.
pub(crate) type Builder = FlatBufferBuilder<'static>;

/// The verifier's limits for a buffer that someone else made.
///
/// Depth: the deepest of ours, a tally of a message in an event in a delivery in a frame, is 6; the rest is room to
/// grow. Tables: a request has 2, the rest is room to grow; what is made of many tables has a larger limit where it is
/// read. Apparent size: what the buffer would be if nothing in it were shared, which bounds the verifier's own work to
/// a small multiple of the largest message.
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

/// A verified buffer that says what this version cannot take.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Illegal {
    /// A member of a union, or a code, of a later version.
    #[error("{what} number {number} is not known to this version")]
    Unknown { what: &'static str, number: u16 },
    /// A value that no version gives a meaning, and the fields that lead to it.
    #[error("{path}{why}")]
    Value { path: String, why: String },
}

impl Illegal {
    pub(crate) fn new(why: impl Into<String>) -> Self {
        Self::Value { path: String::new(), why: why.into() }
    }

    /// The same, found in this field.
    #[cold]
    pub(crate) fn at(self, field: &str) -> Self {
        match self {
            Self::Value { path, why } => Self::Value { path: format!("{field}: {path}"), why },
            unknown @ Self::Unknown { .. } => unknown,
        }
    }
}

/// A value of a table's field, on its way into a buffer.
pub(crate) trait Put {
    /// What the generated `create` takes of it: see [`Lend`].
    type Stored;

    /// Writes what lies outside the table, such as a text.
    fn put(&self, builder: &mut Builder) -> Self::Stored;
}

/// A value out of a verified buffer, from what a generated accessor returns.
pub(crate) trait Take<Stored>: Sized {
    fn take(stored: Stored) -> Result<Self, Illegal>;
}

/// A value that is a table.
pub(crate) trait FlatTable {
    /// The generated table.
    type Table<'a>: 'a;
    /// Whether a vector of these that is empty is left out. What is on the wire so stays so.
    const OMITTED_IF_EMPTY: bool = false;

    fn put_table(&self, builder: &mut Builder) -> WIPOffset<Self::Table<'static>>;
}

/// A value that is a union: it is taken with [`Take`] from the one table that has the union.
pub(crate) trait FlatUnion {
    /// The generated numbers of its members.
    type Member;

    fn put_union(&self, builder: &mut Builder) -> (Self::Member, WIPOffset<UnionWIPOffset>);
}

/// Declares structs and their tables. The module's head shows the forms.
macro_rules! flat_tables {
    ($($type:ident as $table:ident $(omitted if $empty:ident)? $(but $rules:ident)? {
        $($name:ident $(as $to:tt)?),* $(,)?
    })*) => {$(
        $crate::flat::flat_table! { $type as $table $(omitted if $empty)? { $($name $(as $to)?),* } }
        #[cfg(test)]
        $crate::testing::any_fields! { $type { $($name),* } $(but $rules)? }
    )*};
}

/// One struct's table, in both directions.
macro_rules! flat_table {
    ($type:ident as $table:ident $(omitted if $empty:ident)? { $($name:ident $(as $to:tt)?),* }) => {
        impl $crate::flat::FlatTable for $type {
            type Table<'a> = fb::$table<'a>;
            $(const OMITTED_IF_EMPTY: bool = { stringify!($empty); true };)?

            fn put_table(&self, builder: &mut $crate::flat::Builder) -> flatbuffers::WIPOffset<fb::$table<'static>> {
                let Self { $($name),* } = self;
                $crate::flat::flat_fields!(put builder $table { $($name $(as $to)?),* })
            }
        }

        impl<'a> $crate::flat::Take<fb::$table<'a>> for $type {
            fn take(table: fb::$table<'a>) -> Result<Self, $crate::flat::Illegal> {
                Ok(Self { $($name: $crate::flat::flat_fields!(take table $name $($to)?)),* })
            }
        }
    };
}

/// Declares enums and their unions. The module's head shows the forms.
macro_rules! flat_unions {
    ($($type:ident as $union:ident in $container:ident.$field:ident by $number:ident {
        $($variant:ident $(($inner:ident))? $({ $($name:ident $(as $to:tt)?),* $(,)? })? $(as $table:ident)?
            $(or $other:ident if $when:ident)?,)*
    })*) => {pastey::paste! {$(
        impl $crate::flat::FlatUnion for $type {
            type Member = fb::$union;

            fn put_union(
                &self,
                builder: &mut $crate::flat::Builder,
            ) -> (fb::$union, flatbuffers::WIPOffset<flatbuffers::UnionWIPOffset>) {
                match self {
                    $(Self::$variant { $(0: $inner)? $($($name),*)? } => {
                        let table = $crate::flat::flat_fields!(
                            put builder $($table)? { $($inner)? $($($name $(as $to)?),*)? }
                        );
                        $(if self.$when() {
                            return (fb::$union::[<$other:snake>], table.as_union_value());
                        })?
                        (fb::$union::[<$variant:snake>], table.as_union_value())
                    })*
                }
            }
        }

        impl<'a> $crate::flat::Take<fb::$container<'a>> for $type {
            fn take(container: fb::$container<'a>) -> Result<Self, $crate::flat::Illegal> {
                $(let table = container.[<$field _as_ $variant:snake>]();
                $(let table = table.or_else(|| container.[<$field _as_ $other:snake>]());)?
                if let Some(table) = table {
                    let take = || $crate::flat::flat_fields!(
                        take_variant $variant table $($table)? { $($inner)? } { $($($name $(as $to)?),*)? }
                    );
                    return take().map_err(|illegal: $crate::flat::Illegal| illegal.at(stringify!([<$variant:snake>])));
                })*
                let number = container.$number().0.into();
                Err($crate::flat::Illegal::Unknown { what: stringify!($union), number })
            }
        }

        #[cfg(test)]
        $crate::testing::any_variants! { $type { $($variant { $(($inner))? $($($name)*)? })* } }
    )*}};
}

/// The fields of [`flat_tables`] and [`flat_unions`]: `put` makes a table of them, `take` gives the value of one.
macro_rules! flat_fields {
    (put $builder:ident { $inner:ident }) => { $crate::flat::FlatTable::put_table($inner, $builder) };
    (put $builder:ident $table:ident { $($name:ident $(as $to:tt)?),* }) => {pastey::paste! {{
        let args = &mut fb::[<$table Args>]::default();
        $($crate::flat::flat_fields!(put_field $builder args $name $($to)?);)*
        fb::$table::create($builder, args)
    }}};
    (put_field $builder:ident $args:ident $name:ident) => {
        $crate::flat::flat_fields!(put_field $builder $args $name $name);
    };
    (put_field $builder:ident $args:ident $name:ident [union $field:ident]) => {pastey::paste! {
        let (member, value) = $crate::flat::FlatUnion::put_union($name, $builder);
        ($args.[<$field _type>], $args.$field) = (member, Some(value));
    }};
    (put_field $builder:ident $args:ident $name:ident [beside $other:ident]) => {
        if $other.is_empty() {
            $args.$name = $crate::flat::Put::put($name, $builder);
        }
    };
    (put_field $builder:ident $args:ident $name:ident ($($field:ident),+)) => {
        let ($($field),+) = $crate::flat::Put::put($name, $builder);
        $($args.$field = $crate::flat::Lend::lend(&$field);)+
    };
    (put_field $builder:ident $args:ident $name:ident $field:ident) => {
        let $name = $crate::flat::Put::put($name, $builder);
        $args.$field = $crate::flat::Lend::lend(&$name);
    };
    (take_variant $variant:ident $table:ident { $inner:ident } {}) => {
        $crate::flat::Take::take($table).map(Self::$variant)
    };
    (take_variant $variant:ident $table:ident $type:ident { $inner:ident } {}) => {
        Ok(Self::$variant($crate::flat::flat_fields!(take $table $inner)))
    };
    (take_variant $variant:ident $table:ident $type:ident {} { $($name:ident $(as $to:tt)?),* }) => {{
        let _: fb::$type<'a> = $table;
        Ok(Self::$variant { $($name: $crate::flat::flat_fields!(take $table $name $($to)?)),* })
    }};
    (take $table:ident $name:ident) => { $crate::flat::flat_fields!(take $table $name $name) };
    (take $table:ident $name:ident [union $field:ident]) => { $crate::flat::Take::take($table)? };
    (take $table:ident $name:ident [beside $other:ident]) => {{
        let alone: Result<$crate::message::MessageKind, _> = $crate::flat::Take::take($table.$name());
        let alone = alone.map_err(|illegal: $crate::flat::Illegal| illegal.at(stringify!($name)))?;
        if $table.$other().is_some_and(|other| !other.is_empty()) { $crate::message::MessageKind::Media } else { alone }
    }};
    (take $table:ident $name:ident ($($field:ident),+)) => {
        $crate::flat::Take::take(($($table.$field()),+))
            .map_err(|illegal: $crate::flat::Illegal| illegal.at(stringify!($name)))?
    };
    (take $table:ident $name:ident $field:ident) => {
        $crate::flat::Take::take($table.$field())
            .map_err(|illegal: $crate::flat::Illegal| illegal.at(stringify!($field)))?
    };
}

pub(crate) use {flat_fields, flat_table, flat_tables, flat_unions};
