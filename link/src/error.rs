//! Faults in what an established link brings.

use schema::mesh::MeshError;

/// The peer's fault, or the network's: these bytes are no records of a link.
///
/// What came before them counts. The link has given its connection up, which is to be closed, and has begun afresh
/// with [`PeerLost`](crate::LinkEvent::PeerLost), as the peer will when the two meet again: a frame that cannot be read
/// is never sent again.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LinkError {
    /// The length of a record cannot be meant.
    #[error("a record of {bytes} bytes is announced, from 1 to {bytes_max} are possible")]
    Length {
        /// As announced.
        bytes: u32,
        /// The largest record: that of a frame of the largest size.
        bytes_max: u32,
    },
    /// A kind of record that this version does not know.
    #[error("a record of kind {kind} is not known to this version")]
    UnknownKind {
        /// Its first byte.
        kind: u8,
    },
    /// A record's content is shorter or longer than its kind has.
    #[error("a record of kind {kind} has {bytes} bytes")]
    Malformed {
        /// Its first byte.
        kind: u8,
        /// Bytes behind the kind.
        bytes: usize,
    },
    /// The first record of a connection is always where to resume.
    #[error("a record came before the one that says where to resume")]
    NotResumed,
    /// A further record that says where to resume names a later generation than the one before.
    #[error("generation {generation} is resumed after generation {before}, or cannot be")]
    Generation {
        /// As said now.
        generation: u64,
        /// The last one that it said on this connection.
        before: u64,
    },
    /// A frame is acknowledged that was not sent.
    #[error("frames up to {through} are acknowledged, {sent} have been sent")]
    AcknowledgesUnsent {
        /// As acknowledged.
        through: u64,
        /// The last number that was given.
        sent: u64,
    },
    /// A frame's bytes are none.
    #[error("frame {seq} cannot be read")]
    Frame {
        /// Its number.
        seq: u64,
        /// The fault.
        #[source]
        why: MeshError,
    },
}
