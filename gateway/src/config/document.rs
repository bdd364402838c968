//! The documented `rookery.toml`, written from the table of keys.
//!
//! Owns its layout. A test compares it with the file in the repository.

use super::keys::KEYS;
use super::{Config, Mode};

const HEAD: &str = "\
# Rookery's configuration, for `rookery run --config rookery.toml`.
#
# Every line that is commented out shows the default, or an example where it says so. A key may also be set by an
# environment variable (listen.api: ROOKERY_LISTEN__API) and by a flag (--listen.api); the flag wins, then the
# variable, then this file. A key that does not exist is an error.
# `rookery checkconfig --config rookery.toml` says what is in force and who set it.
# This text is what `rookery checkconfig --defaults` prints.
";

/// Every key with what it means and its default, as TOML that changes nothing.
#[must_use]
pub fn document() -> String {
    let defaults = Config::defaults(Mode::Run);
    let mut text = HEAD.to_owned();
    let mut section = "";
    for key in KEYS {
        let (of, name) = key.parts();
        if of != section {
            section = of;
            text.push_str(&format!("\n[{section}]\n"));
        }
        if !text.ends_with("]\n") {
            text.push('\n');
        }
        for line in key.text.lines() {
            // Help has no full stop after a key's first line; sentences of a text have.
            text.push_str(&format!("# {}.\n", line.trim_end_matches('.')));
        }
        match (key.show(&defaults), key.example) {
            (Some(value), _) => text.push_str(&format!("#{name} = {value}\n")),
            (None, Some(example)) => text.push_str(&format!("# For example:\n#{name} = {example}\n")),
            (None, None) => panic!("{} has neither a default nor an example", key.name),
        }
    }
    text
}
