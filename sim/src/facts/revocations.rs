//! Devices that were revoked, as the API knows them, and the connections that they had.

use schema::DeviceId;

use super::Facts;

/// One of them.
#[derive(Debug, Clone)]
pub(crate) struct Revocation {
    pub(crate) device: DeviceId,
    pub(crate) asked: u64,
    /// When it was acknowledged, and at which millisecond.
    pub(crate) done: Option<(u64, u64)>,
}

/// A connection whose `connect` was answered.
#[derive(Debug, Clone)]
pub(crate) struct Connection {
    pub(crate) device: DeviceId,
    pub(crate) since: u64,
    pub(crate) ended_ms: Option<u64>,
}

impl Facts {
    /// The API is asked to revoke a device. The revocation's number.
    pub(crate) fn revocation_asked(&mut self, device: &DeviceId) -> usize {
        let asked = self.number();
        self.revocations.push(Revocation { device: device.clone(), asked, done: None });
        self.revocations.len() - 1
    }

    /// The device is revoked, and its session was told.
    pub(crate) fn revocation_done(&mut self, revocation: usize, now_ms: u64) {
        let now = self.number();
        self.revocations[revocation].done = Some((now, now_ms));
    }

    /// Whether anybody has asked to revoke the device.
    pub(crate) fn is_revoked(&self, device: &DeviceId) -> bool {
        self.revocations.iter().any(|revocation| revocation.device == *device)
    }

    /// A device's `connect` was answered.
    pub(crate) fn connected(&mut self, device: &DeviceId) {
        let since = self.number();
        self.connects += 1;
        self.present.insert(device.clone(), self.connections.len());
        self.connections.push(Connection { device: device.clone(), since, ended_ms: None });
    }

    /// Its connection has ended.
    pub(crate) fn disconnected(&mut self, device: &DeviceId, now_ms: u64) {
        if let Some(connection) = self.present.remove(device) {
            self.connections[connection].ended_ms = Some(now_ms);
        }
    }

    /// When the present connection of a device began.
    pub(super) fn connected_since(&self, device: &DeviceId) -> Option<u64> {
        self.present.get(device).map(|&connection| self.connections[connection].since)
    }
}
