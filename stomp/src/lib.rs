//! STOMP 1.0, 1.1 and 1.2: frames, and a session that is one of the client protocol.
//!
//! Owns the frames' bytes and what each of them means: a client's become requests of [`schema::command`], replies and
//! pushes become frames. Knows no socket, clock or store: bytes and times come in, requests and bytes come out (I1).
//!
//! ```text
//! frame         verbs, headers, versions; one frame as bytes
//! decode        bytes in any pieces -> frames
//! destination   what a destination names
//! heartbeat     intervals and their deadlines
//! rare          memory of what a session has now and then
//! unacked       what a subscription was given and has not acknowledged
//! subscription  one subscription, its place in a channel
//! transaction   frames that wait for their COMMIT
//! session       the machine over all of these
//! ```

mod decode;
mod destination;
mod frame;
mod heartbeat;
mod rare;
mod session;
mod subscription;
mod transaction;
mod unacked;

pub use decode::{Decoder, Fault};
pub use frame::{Frame, FrameWriter, Verb, Version};
pub use session::{Output, Session};
