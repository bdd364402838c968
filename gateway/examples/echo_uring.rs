//! The driver alone: every message comes back, on one shard. For measuring the transport by itself.
//!
//! `cargo run --release -p gateway --example echo_uring -- --addr 127.0.0.1:8001 --cpu 0`

use std::net::SocketAddr;
use std::time::Instant;

use anyhow::Context;
use clap::Parser;
use gateway::uring::{
    Closed, Config, ConnId, Decision, Endpoint, Frame, Handler, Sockets, listen, run, sleep_and_wake,
};
use wire::Request;

#[derive(Parser)]
struct Options {
    /// Where to listen.
    #[arg(long, default_value = "127.0.0.1:8001")]
    addr: SocketAddr,
    /// The processor to stay on.
    #[arg(long)]
    cpu: Option<usize>,
}

struct Echo;

impl Handler for Echo {
    fn on_request(&mut self, _: &mut Sockets, _: ConnId, _: &Request) -> Decision {
        let endpoint = Endpoint::Echo { message_bytes_max: schema::limits::ECHO_MESSAGE_BYTES_MAX };
        Decision::Accept { protocol: None, endpoint }
    }

    fn on_open(&mut self, _: &mut Sockets, _: ConnId) {}
    fn on_frame(&mut self, _: &mut Sockets, _: ConnId, _: Frame<'_>) {}
    fn on_heard(&mut self, _: &mut Sockets, _: ConnId) {}
    fn on_writable(&mut self, _: &mut Sockets, _: ConnId, _: usize) {}
    fn on_closed(&mut self, _: &mut Sockets, _: ConnId, _: Closed) {}
    fn on_turn(&mut self, _: &mut Sockets, _: Instant) -> Option<Instant> {
        None
    }
}

fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    let listener = listen(options.addr, 4096).with_context(|| format!("listening on {}", options.addr))?;
    let (sleeper, _waker) = sleep_and_wake()?;
    eprintln!("echo ws=ws://{}/debug/echo pid={}", listener.local_addr()?, std::process::id());
    let config = Config { cpu: options.cpu, ..Config::new("echo", 1_000_000) };
    run(config, listener, sleeper, |_| Echo)?;
    Ok(())
}
