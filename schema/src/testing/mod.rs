//! Any value of this crate's types, as proptest strategies.
//!
//! Owns what is drawn of each type of field, and what is legal: ids of the right version, ranges that ascend, indices
//! within their lists. What consists of fields is drawn field by field, by the declaration that its bytes have too
//! (`flat_tables!`, `flat_unions!`, `packed_records!`, `packed_enums!`), unless it has rules of its own. Values are
//! small, so that thousands of cases are quick; limits have tests of their own.

mod field;
mod record;
mod wire;

use std::fmt::Debug;

use proptest::prelude::*;

pub(crate) use wire::mesh_frames;

/// A type of which any value can be drawn.
pub(crate) trait Any: Debug + Sized + 'static {
    fn any() -> BoxedStrategy<Self>;
}

/// Any value.
pub(crate) fn any_value<T: Any>() -> BoxedStrategy<T> {
    T::any()
}

/// What `make` makes of any fields.
pub(crate) fn from_any<Fields: Any, T: Debug + 'static>(make: impl Fn(Fields) -> T + 'static) -> BoxedStrategy<T> {
    Fields::any().prop_map(make).boxed()
}

/// Draws a struct field by field: `any_fields! { Typing { channel_id, on } }`. One with rules of its own is drawn
/// elsewhere.
macro_rules! any_fields {
    ($name:ident { $($field:ident),* $(,)? }) => {
        impl $crate::testing::Any for $name {
            fn any() -> proptest::strategy::BoxedStrategy<Self> {
                $crate::testing::from_any(|$crate::testing::nested!($($field)*)| Self { $($field),* })
            }
        }
    };
    ($name:ident { $($field:ident),* $(,)? } but $rules:ident) => {};
}

/// Draws an enum: any variant, field by field. A field `0` stands for that of a tuple variant.
macro_rules! any_variants {
    ($name:ident { $($variant:ident { $(($inner:ident))? $($field:ident)* })* }) => {
        impl $crate::testing::Any for $name {
            fn any() -> proptest::strategy::BoxedStrategy<Self> {
                let variants = [$($crate::testing::from_any(|$crate::testing::nested!($($inner)? $($field)*)| {
                    Self::$variant { $(0: $inner,)? $($field,)* }
                }),)*];
                proptest::strategy::Strategy::boxed(proptest::strategy::Union::new(variants))
            }
        }
    };
}

/// Pairs in pairs, so that there may be any number of fields.
macro_rules! nested {
    () => { () };
    ($first:ident $($rest:ident)*) => { ($first, $crate::testing::nested!($($rest)*)) };
}

pub(crate) use {any_fields, any_variants, nested};
