//! Media of notifications, as the HTTP API asks for them: which there are, and what an address of each looks like.
//!
//! Owns no way itself: whoever starts the server hands over one of these. It is asked so that what can never be sent to
//! is refused when it is registered, and not each time something is sent.

use std::fmt;

use schema::Medium;
use serde::Serialize;
use utoipa::ToSchema;

/// A category of notifications, as users may choose by it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Category {
    /// As applications name it.
    pub name: String,
    /// A title to show in its place; absent if nobody said.
    #[serde(skip_serializing_if = "String::is_empty")]
    #[schema(required = false)]
    pub title: String,
    /// Whether it is told whatever is chosen, and at any hour.
    pub critical: bool,
}

/// The ways by which a server tells users who are away. Called on the thread that serves HTTP: answers come from memory.
pub trait Media: Send + Sync + 'static {
    /// Whether anything is sent by this medium.
    fn sends(&self, medium: Medium) -> bool;

    /// Whether an address is one of this medium, and one that may be sent to.
    ///
    /// # Errors
    /// The reason, for whoever registers it.
    fn check(&self, medium: Medium, address: &str) -> Result<(), String>;

    /// The categories that an operator names, by name.
    fn categories(&self) -> Vec<Category>;

    /// Whether these are quiet hours: two times of a day, `HH:MM`, and a time zone.
    ///
    /// # Errors
    /// The reason, for whoever wants them.
    fn check_quiet(&self, from: &str, to: &str, zone: &str) -> Result<(), String>;

    /// Notifications that are due and wait at this node, as of the last seconds.
    fn backlog(&self) -> u64;

    /// Whether a service of text messages has signed what it says became of one: the path that it called, below this
    /// server's public URL, the fields of its form, and `X-Twilio-Signature`.
    fn is_sms_callback(&self, path: &str, form: &[(String, String)], signature: &str) -> bool;

    /// The key that browsers subscribe with (VAPID), in base64url; none where nothing is sent to browsers.
    fn webpush_key(&self) -> Option<String>;
}

impl fmt::Debug for dyn Media {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Media")
    }
}
