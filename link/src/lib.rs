//! One link between two nodes of a cluster, without I/O, clock or randomness (I1).
//!
//! Owns the handshake of a new connection ([`handshake`]) and what flows on it afterwards ([`Link`]): frames between
//! shards in the order sent, those that must arrive again after each connection that broke, and word to both ends of
//! whatever is lost. Knows nothing of sockets, addresses or who should be linked: bytes come in, bytes and events come
//! out.
//! Upholds I11 (what is unsent and what is kept to be sent again is bounded) and I12 (whatever waits for time is in
//! [`Link::poll_timeout`]).
//!
//! ```text
//! bytes of a new connection ─► Dialer, Acceptor ─► Established, and the bytes behind it
//!                                                          │
//! MeshFrame ─► Link::send ─► transmit ─► bytes    bytes ─► Link::received ─► LinkEvent
//!                │ keeps what must arrive                    │ numbers: drops what came twice, tells what is missing
//! ```

mod error;
mod event;
pub mod handshake;
mod link;
mod outbox;
pub mod record;
mod resend;
mod secret;
mod sending;

pub use error::LinkError;
pub use event::{Figures, LinkEvent};
pub use link::{Link, LinkName};
pub use secret::{Fingerprint, SECRET_BYTES_MIN, Secret, SecretTooShort};
pub use sending::Bounds;
