//! `rookery store`: a look into a store at rest.
//!
//! Owns the opening of a store that must be there. Each command is in its file.

mod check;
mod push;

use storage::embedded::{EmbeddedEngine, EmbeddedOptions};

use crate::config::{Config, Origin};

pub(super) use check::check;
pub(super) use push::push;

/// Opens the store of a node that is stopped.
fn open(config: &Config) -> anyhow::Result<EmbeddedEngine> {
    let path = &config.data.dir;
    if !path.join("store").exists() {
        // Whoever looks into a store wants the one that is there; opening would make an empty one, and find nothing in it.
        let origin = match config.origin("data.dir") {
            Origin::Default => "name the node's directory with --data".to_owned(),
            origin => origin.to_string(),
        };
        anyhow::bail!("there is no store in {} ({origin})", path.display());
    }
    Ok(EmbeddedEngine::open(path, EmbeddedOptions::new(getrandom::u64()?))?)
}
