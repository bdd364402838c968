//! Applications' word on an operation before it is carried out, as far as a shard goes: which operations wait for it, and how many do.
//!
//! Owns the bound on those that wait (I11): each counts as long as its question is under way, and then as long as its session
//! holds it behind another, with the text that an application gave it. Owns also which may concern an application at all. Who is
//! asked, and what it says, is the host's; whose they are, and their order, is their session's. Where no application is to be
//! asked this costs a comparison.

use std::sync::Arc;

use schema::hook::Concerns;
use schema::limits::{BEFORE_BYTES_MAX, BEFORE_WAITING_MAX};
use schema::{ChannelId, ChannelOp, ErrorCode, Refusal};

/// When to send again what found no place: some have their word by then.
const RETRY_MS: u32 = 250;
/// Bytes that each occupies beside its text.
const AROUND_BYTES: u32 = 256;

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Before {
    concerns: Arc<Concerns>,
    waiting: u32,
    bytes: u64,
}

impl Before {
    /// From here on these are asked about.
    pub(crate) fn set(&mut self, concerns: Arc<Concerns>) {
        self.concerns = concerns;
    }

    /// Whether some application may have to be asked first.
    pub(crate) fn concerns(&self, channel: ChannelId, op: &ChannelOp) -> bool {
        self.concerns.has(channel, op)
    }

    /// Whether there is room for one more.
    ///
    /// # Errors
    /// 114: too many wait, or too much text.
    pub(crate) fn check(&self) -> Result<(), Refusal> {
        if self.waiting >= BEFORE_WAITING_MAX || self.bytes >= u64::from(BEFORE_BYTES_MAX) {
            let (waiting, bytes) = (self.waiting, self.bytes);
            let message =
                format!("{waiting} messages of {bytes} bytes wait for an application's word, send it again later");
            return Err(Refusal::new(ErrorCode::Overloaded, message).after_ms(RETRY_MS));
        }
        Ok(())
    }

    /// One more waits, or what is left of one, with nothing of the operation. Returns its bytes, for [`Self::leave`].
    pub(crate) fn enter(&mut self, op: Option<&ChannelOp>) -> u32 {
        let text_bytes = op.map_or(0, ChannelOp::text_bytes);
        let bytes = AROUND_BYTES.saturating_add(u32::try_from(text_bytes).unwrap_or(u32::MAX));
        self.waiting += 1;
        self.bytes += u64::from(bytes);
        bytes
    }

    /// One waits no more: its question is answered, or it has left its session's line.
    pub(crate) fn leave(&mut self, bytes: u32) {
        self.waiting -= 1;
        self.bytes -= u64::from(bytes);
    }

    /// Operations that wait.
    pub(crate) fn waiting(&self) -> u32 {
        self.waiting
    }

    /// Their bytes.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }
}
