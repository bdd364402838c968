//! What a node is called.
//!
//! Owns which words are names, and the name of a machine as one.

use schema::limits::NODE_NAME_BYTES_MAX;

use super::value::{Given, Setting, quoted};

/// What an operator calls a node: a word, for logs, probes and other nodes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NodeName(String);

impl NodeName {
    /// What this machine is called, as far as that is a name; `node` where it is called nothing.
    #[must_use]
    pub fn of_host() -> Self {
        Self::near(&rustix::system::uname().nodename().to_string_lossy())
    }

    /// The name that is nearest to a text.
    pub(super) fn near(text: &str) -> Self {
        let plain = |c: char| if is_name(c) { c } else { '-' };
        let name: String = text.chars().take(NODE_NAME_BYTES_MAX as usize).map(plain).collect();
        Self(if name.is_empty() { "node".to_owned() } else { name })
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn is_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || "-._".contains(c)
}

impl Setting for NodeName {
    fn placeholder(&self) -> &'static str {
        "NAME"
    }
    fn expected(&self) -> &'static str {
        "a name of 1 to 64 letters, digits, dots, dashes and underscores"
    }
    fn set(&mut self, given: &Given) -> Option<()> {
        let text = given.text().filter(|text| (1..=NODE_NAME_BYTES_MAX as usize).contains(&text.len()))?;
        if !text.chars().all(is_name) {
            return None;
        }
        *self = Self(text.to_owned());
        Some(())
    }
    fn show(&self) -> Option<String> {
        Some(quoted(&self.0))
    }
}
