//! The numbers of enums in FlatBuffers and packed records, which never change.
//!
//! Owns the mapping from and to the values. A number that this version gives no meaning is refused, never guessed.

use crate::event::{MemberChange, Role};
use crate::flat::{Builder, Illegal, Put, Take};
use crate::generated::rookery as fb;
use crate::media::MediaKind;
use crate::message::MessageKind;
use crate::op::{Audience, ChannelKind, PastAccess};
use crate::packed::packed_enums;
use crate::presence::PresenceState;

/// Enums of the schemas, which have their numbers there.
macro_rules! flat_enums {
    ($($name:ident { $($variant:ident),* })*) => {pastey::paste! {
        $(
            impl Put for $name {
                type Stored = fb::$name;

                fn put(&self, _: &mut Builder) -> fb::$name {
                    match self {
                        $(Self::$variant => fb::$name::[<$variant:snake>],)*
                    }
                }
            }

            impl Take<fb::$name> for $name {
                fn take(stored: fb::$name) -> Result<Self, Illegal> {
                    match stored {
                        $(fb::$name::[<$variant:snake>] => Ok(Self::$variant),)*
                        fb::$name(number) => Err(Illegal::new(format!("{number} has no meaning"))),
                    }
                }
            }

            impl Put for Option<$name> {
                type Stored = Option<fb::$name>;

                fn put(&self, builder: &mut Builder) -> Option<fb::$name> {
                    self.map(|value| value.put(builder))
                }
            }

            impl Take<Option<fb::$name>> for Option<$name> {
                fn take(stored: Option<fb::$name>) -> Result<Self, Illegal> {
                    stored.map($name::take).transpose()
                }
            }
        )*
        packed_enums! { $($name { $($variant = fb::$name::[<$variant:snake>].0),* })* }
    }};
}

flat_enums! {
    MessageKind { Text, Media }
    MediaKind { Image, Video, Audio, File }
    ChannelKind { Direct, Group, Large, Feed }
    Audience { Friends, Public }
    PastAccess { Joined, All }
    PresenceState { Offline, Away, Online }
    Role { Member, Admin, Owner }
    MemberChange { Created, Added, Removed, Left, Role, Title }
}
