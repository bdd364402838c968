//! The services that messages are sent to.
//!
//! Owns the trait that they are behind. Knows no store.
//!
//! ```text
//! registry               which there are, by medium
//! config setup           their configuration: notify.toml
//! apns fcm webpush mail sms webhook      one each
//! dry                    in the place of any of them, where nothing shall be sent
//! http connect guard     the client of those that speak HTTP, and whom it may connect to
//! subscription           where a browser is told, and how it is encrypted for it
//! smtp                   connections to a mail server
//! templates signature    requests by an operator's templates, callbacks that are signed
//! caller                 applications' own servers, told of events
//! fetcher                what an operator's configuration names elsewhere: key sets of issuers, a connect proxy
//! jwt access secret fit  signed tokens, access tokens, keys on disk, payload limits
//! ```

mod access;
mod apns;
mod caller;
mod config;
mod connect;
mod dry;
mod fcm;
mod fetcher;
mod fit;
mod guard;
mod http;
mod jwt;
mod mail;
mod registry;
mod secret;
mod setup;
mod signature;
mod sms;
mod smtp;
mod subscription;
mod templates;
mod webhook;
mod webpush;

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use schema::Medium;
use tokio::time::timeout;

use crate::message::Message;
use crate::outcome::{Fault, Outcome};

pub use caller::{Caller, HookAnswer};
pub use config::ConfigError;
pub use fetcher::Fetcher;
pub use guard::{ENDPOINT_BYTES_MAX, EndpointError, Guard, check_endpoint};
pub use registry::Providers;
pub use signature::is_signed;
pub use subscription::{SUBSCRIPTION_BYTES_MAX, Subscription, SubscriptionError};

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

    /// The host that a message goes to, where users name it: what befalls one host says nothing of others. `None` where the
    /// provider is one service.
    fn service(&self, message: &Message) -> Option<String> {
        let _ = message;
        None
    }

    /// Sends a message. Never fails: what goes wrong is an outcome.
    fn send<'a>(&'a self, message: &'a Message) -> Attempt<'a>;
}

/// An attempt that ends within a time, whatever the service does.
fn bounded<'a>(attempt_ms_max: u64, attempt: impl Future<Output = Outcome> + Send + 'a) -> Attempt<'a> {
    Box::pin(async move {
        let ended = timeout(Duration::from_millis(attempt_ms_max), attempt).await;
        ended.unwrap_or_else(|_| Outcome::failed(Fault::Network, format!("no answer within {attempt_ms_max} ms")))
    })
}
