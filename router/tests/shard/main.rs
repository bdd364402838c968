//! Rows over one and over two shards, with a store that answers on demand, and random interleavings of the same.
//!
//! ```text
//! script ─► World ─► Shards ─► frames, read back by Clients
//!             │        └─► mesh frames, as bytes, from shard to shard
//!             └─► Store: a model of logs, inboxes and arrivals in memory
//! ```

mod client;
mod interleavings;
mod log;
mod oddities;
mod rows_before;
mod rows_bounds;
mod rows_commands;
mod rows_inbox;
mod rows_large;
mod rows_live;
mod rows_login;
mod rows_moves;
mod rows_open;
mod rows_presence;
mod rows_pushes;
mod rows_search;
mod rows_spread;
mod rows_time;
mod script;
mod store;
mod world;
