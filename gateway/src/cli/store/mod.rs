//! `rookery store`: a look into a store at rest.
//!
//! Owns the opening of a store that must be there. Each command is in its file.

mod check;
mod push;

use futures_lite::future;

use crate::config::Config;
use crate::store::{self, NodeStore, Source, WithStore};

pub(super) use check::check;
pub(super) use push::push;

/// A look into a store.
trait Look {
    /// Reads what it wants, and tells it.
    async fn look<S: NodeStore>(self, store: &S) -> anyhow::Result<()>;
}

/// Opens the store of a node that is stopped, and looks into it.
fn open<L: Look>(config: &Config, look: L) -> anyhow::Result<()> {
    store::with(config, Opening { config, look })
}

struct Opening<'a, L> {
    config: &'a Config,
    look: L,
}

impl<L: Look> WithStore for Opening<'_, L> {
    type Output = ();

    fn run<O: Source>(self, source: O) -> anyhow::Result<()> {
        source.must_exist(self.config)?;
        let store = future::block_on(source.open())?;
        future::block_on(self.look.look(&store))?;
        source.close(Some(store));
        Ok(())
    }
}
