//! Connections that are read slowly: at their own pace, whatever there is.
//!
//! Owns how little the kernel keeps for them, so that what they do not read waits at the server.

use socket2::SockRef;

use super::connection::Phase;
use super::lost::Lost;
use super::{Engine, Workload};

/// What the kernel keeps for a connection that reads slowly, as far as it lets itself be told.
const SLOW_BUFFER_BYTES: usize = 4 * 1024;

impl Engine {
    /// From now on this connection is read by [`Self::sip`] alone, and little waits for that on this side.
    pub(crate) fn slow_down(&mut self, index: usize) {
        let connection = &mut self.connections[index];
        connection.slow = true;
        if let Some(socket) = &connection.socket {
            // Where it cannot be made smaller a reader is slow somewhat later.
            _ = SockRef::from(socket).set_recv_buffer_size(SLOW_BUFFER_BYTES);
        }
    }

    /// Reads so many bytes at most of an open connection.
    pub(crate) fn sip(&mut self, index: usize, bytes: usize, workload: &mut impl Workload) {
        if self.connections[index].phase != Phase::Open {
            return;
        }
        let most = bytes.min(self.read_buffer.len());
        let read = match self.connections[index].read(&mut self.read_buffer[..most]) {
            Ok(Some(0)) => Err(Lost::End),
            Ok(read) => Ok(read.unwrap_or_default()),
            Err(error) => Err(Lost::Io(error)),
        };
        let mut buffer = std::mem::take(&mut self.read_buffer);
        let understood = read.and_then(|read| self.understand(index, &mut buffer[..read], workload));
        self.read_buffer = buffer;
        match understood {
            Ok(()) => self.pump(index, workload),
            Err(lost) => self.lose(index, &lost, workload),
        }
    }
}
