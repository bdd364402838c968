//! A node's registration: what others know of a process on the same store. Packed.
//!
//! Owns its fields and its bytes. Whether the node lives is told by its heartbeat, which is a row of its own.

use super::RecordError;
use super::packed::{Reader, Writer};
use crate::limits::{NODE_NAME_BYTES_MAX, NODE_URL_BYTES_MAX};
use crate::time::UnixMs;

/// The format.
const FORMAT: u8 = 1;

const _: () = assert!(NODE_NAME_BYTES_MAX <= 255 && NODE_URL_BYTES_MAX <= 255, "both are short texts");

/// `node`: a process on this store, active or standing by.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NodeRecord {
    /// What its operator calls it, of at most `NODE_NAME_BYTES_MAX` bytes. Several may have the same.
    pub name: String,
    /// How many shards it runs.
    pub shards: u16,
    /// Where its clients connect, of at most `NODE_URL_BYTES_MAX` bytes.
    pub ws_url: String,
    /// When it registered.
    pub since_ms: UnixMs,
}

impl NodeRecord {
    /// As it lies in the store.
    ///
    /// # Panics
    /// If the name or the address is longer than it may be.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let (name, url) = (self.name.len(), self.ws_url.len());
        assert!(name <= NODE_NAME_BYTES_MAX as usize, "a node's name of {name} bytes");
        assert!(url <= NODE_URL_BYTES_MAX as usize, "a node's address of {url} bytes");
        let mut writer = Writer::new(FORMAT, 1 + 1 + name + 2 + 1 + url + 8);
        writer.short_text(&self.name).u16(self.shards).short_text(&self.ws_url).u64(self.since_ms.0).finish()
    }

    /// From what lies in the store.
    ///
    /// # Errors
    /// If it is of a newer format, or damaged: a longer name or address than a node may have is damage too.
    pub fn decode(bytes: &[u8]) -> Result<Self, RecordError> {
        let mut reader = Reader::new("node", FORMAT, bytes)?;
        let name = reader.short_text()?.to_owned();
        if name.len() > NODE_NAME_BYTES_MAX as usize {
            return Err(reader.damaged(format!("a name of {} bytes", name.len())));
        }
        let shards = reader.u16()?;
        let ws_url = reader.short_text()?.to_owned();
        if ws_url.len() > NODE_URL_BYTES_MAX as usize {
            return Err(reader.damaged(format!("an address of {} bytes", ws_url.len())));
        }
        let record = Self { name, shards, ws_url, since_ms: UnixMs(reader.u64()?) };
        reader.finish().map(|()| record)
    }
}
