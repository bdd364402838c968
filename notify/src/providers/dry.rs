//! A provider that sends nothing and says that it has: to look at what would be sent, and how much.

use schema::Medium;

use super::{Attempt, Provider};
use crate::message::Message;
use crate::outcome::Outcome;

/// In the place of a provider.
pub(super) struct DryRun {
    pub(super) name: String,
    pub(super) medium: Medium,
}

impl Provider for DryRun {
    fn name(&self) -> &str {
        &self.name
    }

    fn medium(&self) -> Medium {
        self.medium
    }

    fn send<'a>(&'a self, message: &'a Message) -> Attempt<'a> {
        let Message { notice, id, collapse, is_urgent, .. } = message;
        tracing::info!(provider = self.name, medium = %self.medium, %notice, %id, collapse, is_urgent, "dry run: not sent");
        Box::pin(async { Outcome::Sent { provider_id: Some("dry-run".to_owned()) } })
    }
}
