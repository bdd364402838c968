//! A device of an account, and how present the account's user is. Packed.
//!
//! Owns both records and their bytes. A device's record ends with the stamp of its last connect, which the store itself
//! writes when it commits, so it is packed and not a FlatBuffers table.

use super::RecordError;
use super::packed::{Reader, Writer};
use crate::enums::Numbered as _;
use crate::limits::{CLIENT_BYTES_MAX, FAMILIES_OF_DEVICE_MAX};
use crate::position::Stamp;
use crate::presence::PresenceState;
use crate::time::UnixMs;

/// The format of both.
const FORMAT: u8 = 1;

const _: () = assert!(CLIENT_BYTES_MAX <= 255, "a client's name is a short text");

/// `device`: one of an account's devices.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceRecord {
    /// When it connected last.
    pub connected_ms: UnixMs,
    /// When its last session before that one was known to be there; for one that never connected before, the same.
    pub last_active_ms: UnixMs,
    /// What its client calls itself, of at most `CLIENT_BYTES_MAX` bytes; empty if it does not say.
    pub client: String,
    /// The logins whose tokens it connected with, the latest last, at most `FAMILIES_OF_DEVICE_MAX`.
    pub families: Vec<u64>,
    /// Of the transaction of its last connect: of two sessions of a device the one with the greater is the newer.
    pub stamp: Stamp,
}

impl DeviceRecord {
    /// All that stands before the stamp in the store, which writes the stamp itself.
    ///
    /// # Panics
    /// If there are more families, or a longer name of the client, than a device may have.
    #[must_use]
    pub fn encode_before_stamp(&self) -> Vec<u8> {
        let (families, client) = (self.families.len(), self.client.len());
        assert!(families <= FAMILIES_OF_DEVICE_MAX as usize, "{families} logins of one device");
        assert!(client <= CLIENT_BYTES_MAX as usize, "a client's name of {client} bytes");
        let mut writer = Writer::new(FORMAT, 1 + 8 + 8 + 1 + client + 2 + families * 8 + Stamp::BYTES);
        writer.u64(self.connected_ms.0).u64(self.last_active_ms.0).short_text(&self.client);
        writer.u16(u16::try_from(families).expect("checked above"));
        for &family in &self.families {
            writer.u64(family);
        }
        writer.finish()
    }

    /// As it lies in the store once the transaction has its stamp.
    ///
    /// # Panics
    /// As [`Self::encode_before_stamp`].
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = self.encode_before_stamp();
        bytes.extend_from_slice(&self.stamp.to_bytes());
        bytes
    }

    /// From what lies in the store.
    ///
    /// # Errors
    /// If it is of a newer format, or damaged: more of anything than a device may have is damage too.
    pub fn decode(bytes: &[u8]) -> Result<Self, RecordError> {
        let mut reader = Reader::new("device", FORMAT, bytes)?;
        let (connected_ms, last_active_ms) = (UnixMs(reader.u64()?), UnixMs(reader.u64()?));
        let client = reader.short_text()?.to_owned();
        if client.len() > CLIENT_BYTES_MAX as usize {
            return Err(reader.damaged(format!("a client's name of {} bytes", client.len())));
        }
        let count = reader.count(8)?;
        if count > FAMILIES_OF_DEVICE_MAX as usize {
            return Err(reader.damaged(format!("{count} logins of one device")));
        }
        let families = (0..count).map(|_| reader.u64()).collect::<Result<_, _>>()?;
        let record = Self { connected_ms, last_active_ms, client, families, stamp: Stamp::from_bytes(reader.take()?) };
        reader.finish().map(|()| record)
    }
}

/// `presence`: how present a user was when its home last had something new to say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PresenceRecord {
    /// How present.
    pub state: PresenceState,
    /// When the user last did something, to within 5 minutes; 0 if that is not known.
    pub last_active_ms: UnixMs,
    /// When the home said so: of two records the later stands.
    pub at_ms: UnixMs,
}

impl PresenceRecord {
    /// Bytes of one.
    pub const BYTES: usize = 1 + 1 + 8 + 8;

    /// As it lies in the store.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::new(FORMAT, Self::BYTES);
        writer.u8(self.state.byte()).u64(self.last_active_ms.0).u64(self.at_ms.0).finish()
    }

    /// From what lies in the store.
    ///
    /// # Errors
    /// If it is of a newer format, or damaged.
    pub fn decode(bytes: &[u8]) -> Result<Self, RecordError> {
        let mut reader = Reader::new("presence", FORMAT, bytes)?;
        let state = reader.u8()?;
        let state = PresenceState::of_byte(state).ok_or_else(|| reader.damaged(format!("no presence is {state}")))?;
        let record = Self { state, last_active_ms: UnixMs(reader.u64()?), at_ms: UnixMs(reader.u64()?) };
        reader.finish().map(|()| record)
    }
}
