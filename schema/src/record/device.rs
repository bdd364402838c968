//! Devices of accounts, and how present a user is. Packed.
//!
//! A device's record ends with the stamp of its last connect, which the store itself writes when it commits, so it is
//! packed and not a FlatBuffers table.

use super::packed_records;
use crate::limits::{CLIENT_BYTES_MAX, FAMILIES_OF_DEVICE_MAX};
use crate::position::Stamp;
use crate::presence::PresenceState;
use crate::time::UnixMs;

const _: () = assert!(CLIENT_BYTES_MAX <= 255, "a client's name is a short text");

/// `device`: one of an account's devices.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceRecord {
    /// When it connected last.
    pub connected_ms: UnixMs,
    /// When its last session before that one was known to be there; for one that never connected before, the same.
    pub last_active_ms: UnixMs,
    /// The name that its client gives itself, of at most `CLIENT_BYTES_MAX` bytes; empty if it does not say.
    pub client: String,
    /// The logins whose tokens it connected with, the latest last, at most `FAMILIES_OF_DEVICE_MAX`.
    pub families: Vec<u64>,
    /// Of the transaction of its last connect: of two sessions of a device the one with the greater is the newer.
    pub stamp: Stamp,
}

/// `presence`: how present a user was when its home last had something new to say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PresenceRecord {
    /// Online, away or offline, over all of the user's devices.
    pub state: PresenceState,
    /// When the user last did something, to within 5 minutes; 0 if that is not known.
    pub last_active_ms: UnixMs,
    /// When the home said so: of two records the later stands.
    pub at_ms: UnixMs,
}

packed_records! {
    DeviceRecord "device" format 1 { connected_ms, last_active_ms, client, families, stamp }, check bounded
    PresenceRecord "presence" format 1 { state, last_active_ms, at_ms }
}

impl DeviceRecord {
    /// All that stands before the stamp in the row, for the store to write the stamp behind it.
    ///
    /// # Panics
    /// As [`Self::encode`].
    #[must_use]
    pub fn encode_before_stamp(&self) -> Vec<u8> {
        let mut bytes = self.encode();
        bytes.truncate(bytes.len() - Stamp::BYTES);
        bytes
    }

    fn bounded(&self) -> Result<(), String> {
        let (families, client) = (self.families.len(), self.client.len());
        if families > FAMILIES_OF_DEVICE_MAX as usize || client > CLIENT_BYTES_MAX as usize {
            return Err(format!("{families} logins of one device, whose client's name has {client} bytes"));
        }
        Ok(())
    }
}
