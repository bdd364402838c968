//! A node in a few threads, with faults on demand and a count of those it committed.
//!
//! Speaks as much of the protocol as `loadgen` does, over the encodings of `schema` and the frames of tungstenite:
//! accounts, channels and histories by HTTP, `connect`, `send`, `history` and `echo` in sessions. Keeps everything in
//! memory, which several nodes may share.

mod http;
mod session;
mod state;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};

use self::state::State;
use crate::listener;

/// What the node does wrong, to every fifth message of a channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    None,
    /// Does not push it to the one who did not send it.
    LosePush,
    /// Pushes it twice to that one.
    DoublePush,
    /// Pushes it after the next one to that one.
    SwapPush,
    /// Pushes that one another text.
    ChangePush,
    /// Never acknowledges it.
    LoseAck,
    /// Refuses it for now, and whatever follows it in the session until it comes again.
    Refuse,
    /// Refuses it for good.
    Forbid,
    /// After a resumption pushes what it had pushed before once more.
    ResumeTooEarly,
    /// After a resumption leaves out the first message of another.
    ResumeTooLate,
    /// Commits what is sent again once more.
    CommitTwice,
    /// Leaves it out of histories that are read over HTTP.
    HideFromHistory,
    /// Holds a connection and says nothing more over it, once.
    FallSilent,
    /// Tells every session at its tenth message to go to the next node.
    Drain,
}

/// Where the node is, and what it did.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    pub(crate) ws: SocketAddr,
    pub(crate) api: SocketAddr,
    inner: Inner,
}

/// What all its threads share.
#[derive(Debug, Clone)]
struct Inner {
    fault: Fault,
    /// Ends every session after some sends: the first node with 3001 once it has committed, others without a word before
    /// that. Refuses every other `connect` that follows.
    restless: bool,
    place: usize,
    state: Arc<Mutex<State>>,
}

impl Node {
    pub(crate) fn start(fault: Fault) -> Self {
        Self::serving(Inner { fault, restless: false, place: 0, state: Arc::default() })
    }

    /// So many nodes that share what they know, and keep no session for long.
    pub(crate) fn restless(fault: Fault, nodes: usize) -> Vec<Self> {
        let state: Arc<Mutex<State>> = Arc::default();
        let inner = |place| Inner { fault, restless: true, place, state: Arc::clone(&state) };
        (0..nodes).map(|place| Self::serving(inner(place))).collect()
    }

    /// Two nodes that share what they know.
    pub(crate) fn pair(fault: Fault) -> Vec<Self> {
        let state: Arc<Mutex<State>> = Arc::default();
        let inner = |place| Inner { fault, restless: false, place, state: Arc::clone(&state) };
        (0..2).map(|place| Self::serving(inner(place))).collect()
    }

    fn serving(inner: Inner) -> Self {
        let (sessions, requests) = (inner.clone(), inner.clone());
        // A client that goes away in the middle of anything is no failure of the test.
        let ws = listener::serve(move |stream| _ = session::serve(&sessions, stream));
        let api = listener::serve(move |stream| http::answer(&stream, &requests));
        inner.state().places.push((ws, 0));
        Self { ws, api, inner }
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.inner.state()
    }

    pub(crate) fn faults(&self) -> u64 {
        self.state().faults()
    }
}

impl Inner {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no thread panics with it")
    }
}
