//! Types and encodings that every other crate shares.
//!
//! Owns ids, times, limits, error and close codes, the client commands, the operations that travel between
//! shards, the stored records, and the two encodings of each. Knows nothing of sockets, stores or shards' state.
//!
//! ```text
//! id time limits code          numbers with a type
//! uuid                         ids that begin with a time
//! emoji presence               what a reaction bears; who is there
//! text                         names, and characters that show nothing
//! position                     places in an inbox, and cursors as clients hold them
//! place                        places in lists of messages
//! media                        pictures and files that messages carry
//! message command              what clients say and hear       -> codec::{json, fb}, asyncapi
//! op event mesh view           what shards say to each other   -> mesh (FlatBuffers)
//! notice template              what somebody is told outside of a connection, by which media, in which words
//! notice_event                 what applications read of what became of it
//! record                       what the store keeps            -> record (FlatBuffers, packed)
//! packed                       fields without padding, in rows and keys
//! page                         rows as shards ask for them
//! generated flat enums         what the FlatBuffers forms share
//! ```

pub mod asyncapi;
pub mod code;
pub mod codec;
pub mod command;
pub mod emoji;
mod enums;
pub mod event;
mod flat;
mod generated;
pub mod hook;
pub mod id;
pub mod limits;
pub mod media;
pub mod mesh;
pub mod message;
pub mod notice;
pub mod notice_event;
pub mod op;
pub mod packed;
pub mod page;
pub mod place;
pub mod position;
pub mod presence;
pub mod record;
pub mod template;
#[cfg(test)]
mod testing;
pub mod text;
pub mod time;
mod uuid;
pub mod view;

#[cfg(test)]
mod tests;

pub use code::{CloseCode, ErrorCode};
pub use codec::Encoding;
pub use command::{Command, ErrorReply, Push, Reply, Request, ServerFrame};
pub use emoji::Emoji;
pub use event::{Event, EventBody};
pub use id::{ChannelId, ClientMsgId, DeviceId, MediaId, Seq, SessionId, UserId};
pub use media::{Attachment, MediaKind};
pub use message::{Message, MessageKind};
pub use notice::{Medium, NoticeId};
pub use op::{Audience, ChannelOp, OpReply, Refusal, Ruling};
pub use place::MessagePlace;
pub use position::{Cursor, Position, Stamp};
pub use presence::{PresenceEntry, PresenceState};
pub use time::{Instant, Now, UnixMs};
pub use view::{Epoch, Incarnation, Member, Owner, Partition, ShardIndex, Standing, View};
