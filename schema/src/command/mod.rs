//! Requests, replies, errors and pushes of the client protocol.
//!
//! Owns the meaning of PROTOCOL sections 1 to 3. The two encodings in `codec` carry these same values.

mod push;
mod reply;
mod request;

pub use push::{Push, SnapshotChannel};
pub use reply::{
    ClientLimits, Connected, ErrorReply, HistoryPage, Opened, ReadMark, Reply, Retry, SearchHit, SearchPage,
    ServerFrame,
};
pub use request::{
    AmbiguousWindow, Command, Connect, Delete, Edit, History, HistoryWindow, Open, PresenceGet, React, Request, Search,
    Send, Typing,
};
