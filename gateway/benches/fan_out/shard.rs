//! A shard of the driver that publishes: what one client sends goes to all, its sender included.

use std::net::{SocketAddr, TcpListener};
use std::time::Instant;

use futures_lite::future::block_on;
use gateway::uring::{Config, ConnId, Decision, Endpoint, Frame, Handler, Sockets, run, sleep_and_wake};
use wire::{Opcode, Request, SharedFrame};

struct Shard {
    conns: Vec<ConnId>,
}

impl Handler for Shard {
    fn on_request(&mut self, _: &mut Sockets, _: ConnId, _: &Request) -> Decision {
        let endpoint = Endpoint::Handler { message_bytes_max: 1 << 20 };
        Decision::Accept { protocol: None, endpoint }
    }

    fn on_open(&mut self, _: &mut Sockets, conn: ConnId) {
        self.conns.push(conn);
    }

    fn on_frame(&mut self, sockets: &mut Sockets, _: ConnId, frame: Frame<'_>) {
        let frame = match frame {
            Frame::Text(text) => SharedFrame::copied(Opcode::Text, text.as_bytes()),
            Frame::Binary(bytes) => SharedFrame::copied(Opcode::Binary, &bytes),
        };
        for conn in &self.conns {
            sockets.send(*conn, &frame);
        }
    }

    fn on_turn(&mut self, _: &mut Sockets, _: Instant) -> Option<Instant> {
        None
    }
}

/// Serves until the process is ended.
pub(crate) fn serve(sockets: usize, ready: impl FnOnce(SocketAddr)) -> anyhow::Result<()> {
    let listener: TcpListener = gateway::uring::listen("127.0.0.1:0".parse()?, 4096)?;
    ready(listener.local_addr()?);
    let (sleeper, _waker) = sleep_and_wake()?;
    let handler = |_: &mut Sockets| Shard { conns: Vec::new() };
    block_on(run(Config::new("fan-out", 2 * sockets), listener, sleeper, handler))?;
    Ok(())
}
