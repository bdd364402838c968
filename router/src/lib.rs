//! Router: one shard's logic, without I/O, clock, randomness or threads (I1).
//!
//! Owns sessions, the order of channels, the homes of users, routing between shards, every byte budget and every timer.
//! Knows nothing of sockets, executors or the store's layout: [`Input`]s come in, [`Output`]s and [`Question`]s go out.
//!
//! ```text
//! Input ─► Shard ─► Session   one connection: login, commands, its cursor, its outbound budget
//!            │  ─► Channels  the home of channels: admits operations, answers when they are durable
//!            │  ─► Room      how many of them wait for the store, and for how long
//!            │  ─► Indexer   which channels the index of words is behind of
//!            │  ─► Feeds     the home of large channels: who follows their logs
//!            │  ─► Home      the home of users: reads arrivals, serves sessions that ask, knows who is there
//!            │  ─► Placement which shard is home of what
//!            │  ─► Delivery  an event is encoded once per encoding
//!            │  ─► Tickets   what channels' homes were asked, and for how long they are waited for
//!            │  ─► Before    which operations wait for applications' word, and how many
//!            │  ─► Openers   which sessions have a large channel open
//!            │  ─► Gathers   what one answer takes from several homes
//!            │  ─► Leaving   when each session is closed whose node ends
//!            │  ─► Kicks     whose sessions are to end, until their home has told them
//!            │  ─► Rejoins   live sessions on their way to another home, at a pace
//!            │  ─► Parked    frames that wait for a newer view
//!            └  ─► Timers    a wheel of deadlines
//! Shard ─► Output, Question
//! ```
//!
//! Beside it [`ring`] says which shard is to own what, for whoever proposes a view.

mod before;
#[cfg(test)]
mod bytes;
mod channel;
mod counters;
mod delivery;
mod disruption;
mod drain;
mod effects;
mod feed;
mod gather;
mod home;
mod index;
mod io;
mod kicks;
mod logins;
mod openers;
mod order;
mod ownership;
mod parked;
mod placement;
mod rate;
mod rejoins;
pub mod ring;
mod room;
mod seen;
mod session;
mod shard;
pub mod store;
mod tickets;
mod timers;

pub use counters::{Counter, Counters};
pub use drain::Drain;
pub use io::{ConnId, Input, Output, Purpose};
pub use shard::{Config, Shard, Stats};
pub use store::{Answer, Answered, Ask, Claims, Identity, Judgement, Pending, Question, Request};
