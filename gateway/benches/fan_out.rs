//! Benchmark of fan-out: processor time of a shard's thread for one frame to one of a thousand sockets.
//!
//! Thread time rather than rate, so that the clients in the same process and whatever else the machine does count
//! little. `cargo bench -p gateway --bench fan_out`

use std::io::Read;
use std::net::TcpStream;
use std::sync::mpsc::{Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_lite::future::block_on;
use gateway::uring::{
    Config, ConnId, Decision, Endpoint, Handler, Inbox, Sockets, listen, mailbox, run, sleep_and_wake,
};
use rustix::time::{ClockId, clock_gettime};
use wire::{Opcode, Request, SharedFrame};

const SOCKETS: usize = 1000;

enum Command {
    /// Sends as many frames of this size to each socket in one turn.
    FanOut {
        payload_bytes: usize,
        frames: usize,
    },
    Stop,
}

struct FanOut {
    commands: Inbox<Command>,
    conns: Vec<ConnId>,
    opened: Sender<()>,
    /// Thread time of each round, from the command to the last byte taken by the kernel.
    spent: Sender<Duration>,
    began: Duration,
    outstanding_bytes: usize,
}

fn thread_time() -> Duration {
    clock_gettime(ClockId::ThreadCPUTime).try_into().expect("time is not negative")
}

impl Handler for FanOut {
    fn on_request(&mut self, _: &mut Sockets, _: ConnId, _: &Request) -> Decision {
        let endpoint = Endpoint::Handler { message_bytes_max: 1000 };
        Decision::Accept { protocol: None, endpoint }
    }

    fn on_open(&mut self, _: &mut Sockets, conn: ConnId) {
        self.conns.push(conn);
        self.opened.send(()).expect("the main thread counts");
    }

    fn on_writable(&mut self, _: &mut Sockets, _: ConnId, bytes: usize) {
        self.outstanding_bytes -= bytes;
        if self.outstanding_bytes == 0 {
            self.spent.send(thread_time() - self.began).expect("the main thread waits");
        }
    }

    fn on_turn(&mut self, sockets: &mut Sockets, _: Instant) -> Option<Instant> {
        while let Some(command) = self.commands.pop() {
            match command {
                Command::FanOut { payload_bytes, frames } => {
                    self.began = thread_time();
                    let payload = Bytes::from(vec![7; payload_bytes]);
                    for _ in 0..frames {
                        let frame = SharedFrame::copied(Opcode::Binary, &payload);
                        self.outstanding_bytes += frame.len() * self.conns.len();
                        for conn in &self.conns {
                            sockets.send(*conn, &frame);
                        }
                    }
                }
                Command::Stop => sockets.stop(Duration::ZERO),
            }
        }
        None
    }
}

fn main() -> anyhow::Result<()> {
    let listener = listen("127.0.0.1:0".parse()?, 4096)?;
    let url = format!("ws://{}/", listener.local_addr()?);
    let (sleeper, waker) = sleep_and_wake()?;
    let (commands, inbox) = mailbox(&waker, 16);
    let (opened, opens) = channel();
    let (spent, spends) = channel();
    let shard = thread::spawn(move || {
        let handler = |_: &mut Sockets| FanOut {
            commands: inbox,
            conns: Vec::new(),
            opened,
            spent,
            began: Duration::ZERO,
            outstanding_bytes: 0,
        };
        block_on(run(Config::new("fan-out", 2 * SOCKETS), listener, sleeper, handler)).map(drop)
    });
    let mut clients = Vec::new();
    for _ in 0..SOCKETS {
        let stream = TcpStream::connect(url.trim_start_matches("ws://").trim_end_matches('/'))?;
        let (socket, _) = tungstenite::client(&url, stream)?;
        opens.recv()?;
        clients.push(socket.get_ref().try_clone()?);
    }
    let mut buffer = vec![0; 1 << 20];
    eprintln!("{:>8} {:>12} {:>16} {:>16}", "payload", "frames/turn", "ns/delivery", "min");
    for (payload_bytes, frames) in
        [(100, 1), (300, 1), (300, 4), (300, 16), (600, 4), (1000, 4), (2000, 4), (4000, 4), (8000, 1)]
    {
        let mut rounds = Vec::new();
        for _ in 0..21 {
            anyhow::ensure!(commands.push(Command::FanOut { payload_bytes, frames }).is_ok(), "the shard has ended");
            let round_bytes = SharedFrame::copied(Opcode::Binary, &vec![7; payload_bytes]).len() * frames;
            for client in &mut clients {
                client.read_exact(&mut buffer[..round_bytes])?;
            }
            rounds.push(spends.recv()?.as_nanos() as usize / (SOCKETS * frames));
        }
        rounds.sort_unstable();
        let (median, min) = (rounds[rounds.len() / 2], rounds[0]);
        eprintln!("{payload_bytes:>8} {frames:>12} {median:>16} {min:>16}");
    }
    anyhow::ensure!(commands.push(Command::Stop).is_ok(), "the shard has ended");
    shard.join().expect("the shard does not panic")?;
    Ok(())
}
