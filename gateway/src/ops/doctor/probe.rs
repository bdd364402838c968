//! Probe of the driver: one shard is started and stopped, to see whether it starts on this machine.
//!
//! Owns a handler without clients. Settings and limits say what should be; a container's filter of system calls shows
//! only in the attempt.

use std::net::{Ipv4Addr, SocketAddr};
use std::thread;
use std::time::{Duration, Instant};

use wire::Request;

use crate::runtime::executor;
use crate::uring::{self, ConnId, Decision, Handler, Sockets};

/// Starts one shard without connections on a free port of loopback, stops it, and waits for its end.
///
/// # Errors
/// What kept it from starting, with the remedy.
pub(super) fn driver() -> anyhow::Result<()> {
    let listener = uring::listen(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), 1)?;
    let (sleeper, _waker) = uring::sleep_and_wake()?;
    let shard = thread::Builder::new().name("doctor".to_owned()).spawn(move || {
        let nobody = |sockets: &mut Sockets| {
            sockets.stop(Duration::ZERO);
            Nobody
        };
        executor::run(None, uring::run(uring::Config::new("doctor", 1), listener, sleeper, nobody))
    })?;
    shard.join().expect("a shard without clients breaks no promise")?;
    Ok(())
}

/// Serves nobody: the driver stops before its first client.
struct Nobody;

impl Handler for Nobody {
    fn on_request(&mut self, _sockets: &mut Sockets, _conn: ConnId, _request: &Request) -> Decision {
        Decision::Refuse(wire::Refusal::new(503, "this is a test of the machine\n"))
    }

    fn on_turn(&mut self, _sockets: &mut Sockets, now: Instant) -> Option<Instant> {
        Some(now)
    }
}
