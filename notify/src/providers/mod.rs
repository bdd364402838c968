//! The services that messages are sent to.
//!
//! Owns the trait that they are behind. Knows no store.

use std::future::Future;
use std::pin::Pin;

use schema::Medium;

use crate::message::Message;
use crate::outcome::Outcome;

/// How long an attempt may take. Below half of the lease of a job, so that no attempt of a worker that lost it is under
/// way when another makes its own.
pub const ATTEMPT_MS_MAX: u64 = 20_000;

/// An attempt that is under way.
pub type Attempt<'a> = Pin<Box<dyn Future<Output = Outcome> + Send + 'a>>;

/// A service that takes messages of one medium.
///
/// An attempt ends by itself, within [`ATTEMPT_MS_MAX`]: a provider that says nothing is a network fault. Any number may
/// be under way at once.
pub trait Provider: Send + Sync {
    /// What the operator calls it: in metrics and reports.
    fn name(&self) -> &str;

    /// What it is for.
    fn medium(&self) -> Medium;

    /// Sends a message. Never fails: what goes wrong is an outcome.
    fn send<'a>(&'a self, message: &'a Message) -> Attempt<'a>;
}
