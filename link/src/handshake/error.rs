//! Faults of a handshake.

use schema::Incarnation;

use super::Versions;
use crate::secret::Fingerprint;

/// Why there is no link. The connection is to be closed, after what is to be written has been: the other end may find
/// the same fault in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HandshakeError {
    /// Whoever is at the other end is no node: the port or the address is another program's.
    #[error("byte {at} is {byte:#04x}, which is not how a link between nodes begins{}", tls_hint(*.at, *.byte))]
    Garbage {
        /// Its place in the stream.
        at: usize,
        /// The byte.
        byte: u8,
    },
    /// The other node's fault, or damage: a hello longer than any version has.
    #[error("a hello of {bytes} bytes is announced, the limit is {bytes_max}")]
    TooLong {
        /// As announced.
        bytes: u16,
        /// The limit.
        bytes_max: u16,
    },
    /// The other node's fault, or damage: a hello that says what cannot be.
    #[error("a hello is malformed: {what}")]
    Malformed {
        /// The first fault that was found.
        what: &'static str,
    },
    /// An operator's fault: the nodes have different secrets, or the hellos were changed on their way.
    #[error("the other node has another cluster secret than this one, whose fingerprint is {fingerprint}")]
    WrongSecret {
        /// That of this node's secret.
        fingerprint: Fingerprint,
    },
    /// Nobody's fault during an upgrade that skips versions: go by one in between.
    #[error("no version is common: the dialing node speaks {dialer}, the accepting one {acceptor}")]
    OtherVersion {
        /// Of the node that dials.
        dialer: Versions,
        /// Of the node that accepts.
        acceptor: Versions,
    },
    /// Nobody's fault: the node has been started again since the dialer learnt of it, or its address has gone to
    /// another. The dialer reads the registrations again.
    #[error("meant for incarnation {:x}, and reached {:x}", meant.0, reached.0)]
    OtherIncarnation {
        /// Whom the dialer means.
        meant: Incarnation,
        /// Who accepts.
        reached: Incarnation,
    },
    /// An operator's fault: the address that a node registers is this node's.
    #[error("incarnation {:x} has dialed itself", incarnation.0)]
    Itself {
        /// Who it is.
        incarnation: Incarnation,
    },
    /// The dialer's fault: it counts the links between the two otherwise.
    #[error("link {link} is none of the {links} between the two nodes")]
    LinkOutOfRange {
        /// As the dialer says.
        link: u16,
        /// Links between the two.
        links: u16,
    },
    /// The other node has closed the connection: if that was after this node's proof, most likely because it has
    /// another secret, and it says so in its log.
    #[error("closed by the other node {} this node's proof, under the secret with fingerprint {fingerprint}",
        if *.is_proven { "after" } else { "before" })]
    Closed {
        /// Whether this node's proof had been sent.
        is_proven: bool,
        /// That of this node's secret.
        fingerprint: Fingerprint,
    },
}

/// TLS begins with these.
fn tls_hint(at: usize, byte: u8) -> &'static str {
    match (at, byte) {
        (0, 0x15 | 0x16) => ", but TLS does: either all nodes have cluster.tls_* set or none",
        (_, _) => "",
    }
}
