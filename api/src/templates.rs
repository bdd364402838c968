//! Templates of notifications, as the HTTP API asks for them: whether one can be stored, what it takes, what it makes.
//!
//! Owns no engine of templates itself: whoever starts the server hands one over, the same that notifications are sent
//! with. So what can never be told is refused when it is stored or asked for, and not when it is sent.

use std::fmt;

use schema::Medium;
use schema::template::{Parameter, Template};
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

/// An engine of templates. Pure; what it does with those of bad will takes tenths of a second at most, so it is called
/// where nothing waits for it.
pub trait Templates: Send + Sync + 'static {
    /// Whether a template can be stored: all of its variants compile.
    ///
    /// # Errors
    /// The reason, for its author, with the variant, the part and the line.
    fn check(&self, template: &Template) -> Result<(), String>;

    /// Whether a notification may give these to a template that takes those. Takes no time.
    ///
    /// # Errors
    /// Everything that is wrong, for whoever sends it.
    fn check_params(&self, parameters: &[Parameter], params: &Map<String, Value>) -> Result<(), String>;

    /// What a target of this language is told by this medium.
    ///
    /// # Errors
    /// Why it cannot be, for whoever asks.
    fn preview(
        &self,
        template: &Template,
        params: &Map<String, Value>,
        locale: &str,
        medium: Option<Medium>,
    ) -> Result<Preview, String>;
}

/// What a target would be told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Preview {
    /// The language of the variant that was picked.
    pub locale: String,
    /// The medium that it is written for; absent if it is for all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub medium: Option<Medium>,
    /// One line.
    pub title: String,
    /// The text.
    pub body: String,
    /// The same for mail, where that is asked for or nothing else.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub html: Option<String>,
}

impl fmt::Debug for dyn Templates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Templates")
    }
}
