//! Conformance scenarios, which any node can be held to: the simulated one here, a real process in the gateway's
//! tests.
//!
//! Owns the list of scenarios, the words they are written in, and the simulated node as a [`Transport`]. A scenario is
//! its own expectation: each line is a step and, behind the arrow, what the client saw. Ids, times and cursors are told
//! by name.

mod names;
mod scenarios;
mod script;
mod simulated;

use schema::op::PastAccess;
use schema::{ChannelId, DeviceId, Encoding, ServerFrame, UnixMs, UserId};

pub use scenarios::{SLOW_SCENARIOS, Scenario, scenarios};
pub use script::play;
pub use simulated::SimulatedNode;

/// The people of a scenario. `d` is the direct channel of the first two.
pub const PEOPLE: [&str; 3] = ["ann", "bob", "eve"];

/// What a connection heard.
#[derive(Debug, Clone)]
pub enum Heard {
    /// A reply or a push.
    Frame(ServerFrame),
    /// The end, with the code of the close frame if there was one.
    Closed(Option<u16>),
}

/// What a person has the HTTP API do. Others are named.
#[derive(Debug, Clone)]
pub enum ApiCall<'a> {
    /// Makes a group of itself and others.
    MakeGroup(&'a [&'a str]),
    /// Makes a large channel.
    MakeLarge(PastAccess),
    /// Adds another to a group or large channel.
    Add(ChannelId, &'a str),
    /// Removes another; itself, to leave.
    Remove(ChannelId, &'a str),
    /// Blocks another.
    Block(&'a str),
    /// Blocks it no longer.
    Unblock(&'a str),
    /// Revokes a device of its own.
    Revoke(DeviceId),
}

/// A node, and connections to it. One scenario has one, with [`PEOPLE`] and their direct channel.
pub trait Transport {
    /// A person's account.
    fn user(&self, person: &str) -> UserId;

    /// A token of that account.
    fn token(&self, person: &str) -> String;

    /// The direct channel of the first two.
    fn direct(&self) -> ChannelId;

    /// Has a person call the HTTP API; the channel, if it made one.
    ///
    /// # Errors
    /// The error's code.
    fn call(&mut self, by: &str, call: ApiCall<'_>) -> Result<Option<ChannelId>, u16>;

    /// Lets time pass.
    fn wait(&mut self, ms: u64);

    /// The node's wall clock, about.
    fn wall(&self) -> UnixMs;

    /// Opens a connection; its number.
    fn open(&mut self, encoding: Encoding) -> usize;

    /// Sends one WebSocket message.
    fn say(&mut self, connection: usize, text: bool, payload: &[u8]);

    /// What comes next, if anything does within `patience_ms`.
    fn hear(&mut self, connection: usize, patience_ms: u64) -> Option<Heard>;

    /// Ends a connection without a word.
    fn drop_connection(&mut self, connection: usize);

    /// Kills the node and starts it again on the same store. Connections to it end.
    fn restart(&mut self);
}
