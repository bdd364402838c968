//! Webhooks: what happens in chat, told to applications' own servers.
//!
//! Owns the rows `hook`, `hooked`, `hook due`, `hook cursor` and `hook call`. What is to be told is written in the
//! transaction that makes it, so that none is lost and none invented; it lies by hook and by the partition of its channel
//! or user, in the order of commits, and each such lane is told in that order by the owner of the partition. Who calls is
//! `notify`.
//!
//! ```text
//! known      the hooks that count, and which of them want something     registry   making, ending, pausing them
//! lanes      what is to be told, from where, and when a lane rests       calls      what came of telling it
//! before     what applications are asked about first                backlog    how much waits
//! replay     telling again                                              sweep      what is forgotten
//! ```

mod backlog;
mod before;
mod calls;
mod known;
mod lanes;
mod registry;
mod replay;
mod sweep;

pub use backlog::{Backlog, backlog};
pub use before::{Screening, screening, wants_before};
pub use calls::{log, logged};
pub(crate) use known::{Hooks, mark, partition_of_channel, put};
pub use lanes::{LanePage, Told, ToldBody, due, note_told, page, rest};
pub use registry::{Hook, create, get, list, of_app, pause, pause_by_operator, remove, remove_all, resume};
pub use replay::replay;
pub use sweep::sweep;
