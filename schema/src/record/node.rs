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
    /// The name that its operator gave it, of at most `NODE_NAME_BYTES_MAX` bytes. Of those that live no two have the same.
    pub name: String,
    /// Shards that it runs, one a core.
    pub shards: u16,
    /// The share of the partitions that it is to have, beside others' weights. 0 is none: sessions and HTTP only.
    pub weight: u16,
    /// The region that it is in, of at most `NODE_NAME_BYTES_MAX` bytes. Clients of the same one are sent there first.
    pub region: String,
    /// The address for its clients, of at most `NODE_URL_BYTES_MAX` bytes, as are those below.
    pub ws_url: String,
    /// The address of its HTTP API.
    pub api_url: String,
    /// The address of its links, for other nodes: a host and a port. Empty if it has none, and can only be alone.
    pub links: String,
    /// The oldest version of the links' protocol that it speaks.
    pub links_oldest: u16,
    /// The newest one.
    pub links_newest: u16,
    /// A fingerprint of the cluster's secret, by which nodes with another are told apart.
    pub secret: u64,
    /// The same of the key that signs tokens.
    pub token_key: u64,
    /// When the process registered.
    pub since_ms: UnixMs,
}

packed_records! { NodeRecord "node" format 2 {
    name, shards, weight, region, ws_url, api_url, links, links_oldest, links_newest, secret, token_key, since_ms
}, check bounded }

impl NodeRecord {
    fn bounded(&self) -> Result<(), String> {
        let names = [&self.name, &self.region].map(String::len);
        let urls = [&self.ws_url, &self.api_url, &self.links].map(String::len);
        let fits = |bytes: &[usize], most: u32| bytes.iter().all(|&bytes| bytes <= most as usize);
        if fits(&names, NODE_NAME_BYTES_MAX) && fits(&urls, NODE_URL_BYTES_MAX) {
            return Ok(());
        }
        Err(format!("a node's name and region of {names:?} bytes and addresses of {urls:?}"))
    }
}
