//! A node's registration: what others know of a process on the same store. Packed.
//!
//! Whether the node lives is told by its heartbeat, which is a row of its own.

use super::packed_records;
use crate::limits::{NODE_NAME_BYTES_MAX, NODE_URL_BYTES_MAX};
use crate::time::UnixMs;

const _: () = assert!(NODE_NAME_BYTES_MAX <= 255 && NODE_URL_BYTES_MAX <= 255, "both are short texts");

/// `node`: a process on this store, active or standing by.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NodeRecord {
    /// The name that its operator gave it, of at most `NODE_NAME_BYTES_MAX` bytes. Several may have the same.
    pub name: String,
    /// Shards that it runs, one a core.
    pub shards: u16,
    /// The address for its clients, of at most `NODE_URL_BYTES_MAX` bytes.
    pub ws_url: String,
    /// When the process registered.
    pub since_ms: UnixMs,
}

packed_records! { NodeRecord "node" format 1 { name, shards, ws_url, since_ms }, check bounded }

impl NodeRecord {
    fn bounded(&self) -> Result<(), String> {
        let (name, url) = (self.name.len(), self.ws_url.len());
        if name > NODE_NAME_BYTES_MAX as usize || url > NODE_URL_BYTES_MAX as usize {
            return Err(format!("a node's name of {name} bytes and address of {url}"));
        }
        Ok(())
    }
}
