//! Benchmark of fan-out: processor time of a shard's thread for one frame to one of a thousand sockets, beside a baseline's.
//!
//! Thread time rather than rate, so that the clients in the same process and whatever else the machine does count
//! little; the two take turns, round by round. `cargo bench -p gateway --bench fan_out -- [SOCKETS]`

mod baseline;

use std::io::Read as _;
use std::net::{SocketAddr, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_lite::future::block_on;
use gateway::uring::{
    Config, ConnId, Decision, Endpoint, Handler, Inbox, Sockets, listen, mailbox, run, sleep_and_wake,
};
use rustix::time::{ClockId, clock_gettime};
use wire::{Opcode, Request, SharedFrame};

/// Without an argument.
const SOCKETS: usize = 1000;
const ROUNDS: usize = 21;
/// Bytes of a frame's payload, and frames to each socket in one turn.
const LOADS: [(usize, usize); 9] =
    [(100, 1), (300, 1), (300, 4), (300, 16), (600, 4), (1000, 4), (2000, 4), (4000, 4), (8000, 1)];

/// Sends as many frames of this size to each socket in one turn.
#[derive(Clone, Copy)]
struct FanOut {
    payload_bytes: usize,
    frames: usize,
}

enum Command {
    FanOut(FanOut),
    Stop,
}

struct Shard {
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

impl Handler for Shard {
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
                Command::FanOut(FanOut { payload_bytes, frames }) => {
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

/// Clients of one of the two, and what it tells of itself.
struct Side {
    clients: Vec<TcpStream>,
    spends: Receiver<Duration>,
    order: Box<dyn Fn(FanOut) -> bool>,
}

impl Side {
    /// Thread time a delivery, in nanoseconds.
    fn round(&mut self, fan_out: FanOut, buffer: &mut [u8]) -> anyhow::Result<usize> {
        let FanOut { payload_bytes, frames } = fan_out;
        anyhow::ensure!((self.order)(fan_out), "it has ended");
        let round_bytes = SharedFrame::copied(Opcode::Binary, &vec![7; payload_bytes]).len() * frames;
        for client in &mut self.clients {
            client.read_exact(&mut buffer[..round_bytes])?;
        }
        Ok(self.spends.recv()?.as_nanos() as usize / (self.clients.len() * frames))
    }
}

fn clients(address: SocketAddr, sockets: usize, opens: &Receiver<()>) -> anyhow::Result<Vec<TcpStream>> {
    let mut clients = Vec::new();
    for _ in 0..sockets {
        let (socket, _) = tungstenite::client(format!("ws://{address}/"), TcpStream::connect(address)?)?;
        opens.recv()?;
        clients.push(socket.get_ref().try_clone()?);
    }
    Ok(clients)
}

fn main() -> anyhow::Result<()> {
    // Cargo says `--bench` to every benchmark.
    let sockets = std::env::args().skip(1).find(|argument| argument != "--bench");
    let sockets = sockets.map_or(Ok(SOCKETS), |sockets| sockets.parse())?;
    let listener = listen("127.0.0.1:0".parse()?, 4096)?;
    let address = listener.local_addr()?;
    let (sleeper, waker) = sleep_and_wake()?;
    let (commands, inbox) = mailbox(&waker, 16);
    let (opened, opens) = channel();
    let (spent, spends) = channel();
    let shard = thread::spawn(move || {
        let handler = |_: &mut Sockets| Shard {
            commands: inbox,
            conns: Vec::new(),
            opened,
            spent,
            began: Duration::ZERO,
            outstanding_bytes: 0,
        };
        block_on(run(Config::new("fan-out", 2 * sockets), listener, sleeper, handler)).map(drop)
    });
    let commands = std::rc::Rc::new(commands);
    let orders = std::rc::Rc::clone(&commands);
    let order = Box::new(move |fan_out| orders.push(Command::FanOut(fan_out)).is_ok());
    let mut ours = Side { clients: clients(address, sockets, &opens)?, spends, order };
    let (opened, opens) = channel();
    let (spent, spends) = channel();
    let (address, orders, thread) = baseline::start(sockets, opened, spent)?;
    let order = Box::new(move |fan_out| orders.send(fan_out).is_ok());
    let mut theirs = Side { clients: clients(address, sockets, &opens)?, spends, order };
    let mut buffer = vec![0; 1 << 20];
    eprintln!("{sockets} sockets, ns of processor time a delivery, medians of {ROUNDS} rounds in alternation");
    eprintln!("{:>8} {:>12} {:>12} {:>20} {:>8}", "payload", "frames/turn", "shard", "tokio-tungstenite", "ratio");
    for (payload_bytes, frames) in LOADS {
        let (mut of_ours, mut of_theirs) = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            of_ours.push(ours.round(FanOut { payload_bytes, frames }, &mut buffer)?);
            of_theirs.push(theirs.round(FanOut { payload_bytes, frames }, &mut buffer)?);
        }
        of_ours.sort_unstable();
        of_theirs.sort_unstable();
        let (shard, baseline) = (of_ours[ROUNDS / 2], of_theirs[ROUNDS / 2]);
        let ratio = baseline as f64 / shard as f64;
        eprintln!("{payload_bytes:>8} {frames:>12} {shard:>12} {baseline:>20} {ratio:>8.2}");
    }
    anyhow::ensure!(commands.push(Command::Stop).is_ok(), "the shard has ended");
    shard.join().expect("the shard does not panic")?;
    drop(theirs);
    thread.join().expect("the baseline does not panic");
    Ok(())
}
