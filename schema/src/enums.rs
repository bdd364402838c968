//! The numbers of enums in FlatBuffers and packed records, which never change.
//!
//! Owns the mapping from and to the values. A number that this version gives no meaning is refused, never guessed.

use crate::event::{MemberChange, Role};
use crate::flat::Illegal;
use crate::generated::rookery as fb;
use crate::message::MessageKind;
use crate::op::{ChannelKind, PastAccess};
use crate::presence::PresenceState;

macro_rules! numbered {
    ($($name:ident { $($variant:ident = $number:ident,)* })*) => {$(
        impl Numbered for $name {
            type Number = fb::$name;

            fn number(self) -> fb::$name {
                match self {
                    $(Self::$variant => fb::$name::$number,)*
                }
            }

            fn of_number(number: fb::$name) -> Option<Self> {
                match number {
                    $(fb::$name::$number => Some(Self::$variant),)*
                    _ => None,
                }
            }

            fn byte(self) -> u8 {
                self.number().0
            }

            fn of_byte(byte: u8) -> Option<Self> {
                Self::of_number(fb::$name(byte))
            }
        }
    )*};
}

/// An enum whose values have numbers.
pub(crate) trait Numbered: Sized {
    /// The number as the generated code holds it.
    type Number;
    /// This value's number.
    fn number(self) -> Self::Number;
    /// The value with this number.
    fn of_number(number: Self::Number) -> Option<Self>;
    /// The value with this number, or that `field` holds none.
    fn known(number: Self::Number, field: &'static str) -> Result<Self, Illegal> {
        Self::of_number(number).ok_or_else(|| Illegal::new(field, "a number without a meaning"))
    }
    /// This value's number, bare.
    fn byte(self) -> u8;
    /// The value with this bare number.
    fn of_byte(byte: u8) -> Option<Self>;
}

numbered! {
    MessageKind { Text = text, }
    ChannelKind { Direct = direct, Group = group, Large = large, }
    PastAccess { Joined = joined, All = all, }
    PresenceState { Offline = offline, Away = away, Online = online, }
    Role { Member = member, Admin = admin, Owner = owner, }
    MemberChange { Created = created, Added = added, Removed = removed, Left = left, Role = role, Title = title, }
}
