//! Clients: devices that send, read, go and come back, over real frames.

pub(crate) mod device;
pub(crate) mod outbox;
pub(crate) mod socket;
