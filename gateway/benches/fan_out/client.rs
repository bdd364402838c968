//! The clients of one server: sockets that are open and drained, and one of which sends what all get.
//!
//! Owns the arithmetic of a round. Knows nothing of the server but its address, its process, and that it sends what it is sent to
//! all sockets of the path, the sender's included.

use std::fs;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use wire::{Opcode, SharedFrame, encode_into};

/// First byte of a binary message in one frame.
const WHOLE_BINARY: u8 = 0x82;
/// Pause in which a server goes to sleep, so that the kernel has counted all its time.
const REST: Duration = Duration::from_millis(2);
/// Time limit of a round.
const PATIENCE: Duration = Duration::from_secs(30);
/// Any but zero, which would let a server skip the work.
const MASK: [u8; 4] = [0x5a, 0xc3, 0x17, 0x88];

/// Messages of a round: so many of this size at once.
#[derive(Clone, Copy)]
pub(crate) struct Load {
    pub(crate) payload_bytes: usize,
    pub(crate) frames: usize,
}

/// Figures of a round.
#[derive(Clone, Copy)]
pub(crate) struct Round {
    /// Processor time of the server, of all its threads, and of the kernel's work in their calls.
    pub(crate) cpu_ns_per_delivery: f64,
    /// From the first byte sent to the last one read: as fast as these clients drain, if they are the slower ones.
    pub(crate) deliveries_per_second: f64,
}

pub(crate) struct Clients {
    pid: u32,
    sockets: Vec<TcpStream>,
    buffer: Vec<u8>,
}

impl Clients {
    /// So many, all of the server at `url` whose process is `pid`.
    pub(crate) fn connect(url: &str, pid: u32, sockets: usize) -> anyhow::Result<Self> {
        let address = url.strip_prefix("ws://").and_then(|rest| rest.split('/').next());
        let address = address.with_context(|| format!("{url} is not ws://IP:PORT/PATH"))?;
        let connect = |_| {
            let stream = TcpStream::connect(address).with_context(|| format!("cannot connect to {address}"))?;
            let (socket, _) = tungstenite::client(url, stream).with_context(|| format!("no handshake with {url}"))?;
            let stream = socket.into_inner();
            stream.set_nodelay(true)?;
            stream.set_nonblocking(true)?;
            anyhow::Ok(stream)
        };
        let sockets = (0..sockets).map(connect).collect::<anyhow::Result<_>>()?;
        Ok(Self { pid, sockets, buffer: Vec::new() })
    }

    /// Has one send, and drains all.
    pub(crate) fn round(&mut self, load: Load) -> anyhow::Result<Round> {
        let Load { payload_bytes, frames } = load;
        let payload = vec![7; payload_bytes];
        let mut sent = Vec::new();
        (0..frames).for_each(|_| encode_into(&mut sent, Opcode::Binary, &payload, Some(MASK)));
        let round_bytes = SharedFrame::copied(Opcode::Binary, &payload).len() * frames;
        self.buffer.resize(round_bytes, 0);
        let before_ns = cpu_ns(self.pid)?;
        let began = Instant::now();
        self.sockets[0].write_all(&sent)?;
        self.drain(round_bytes)?;
        let length = began.elapsed();
        thread::sleep(REST);
        let deliveries = (self.sockets.len() * frames) as f64;
        Ok(Round {
            cpu_ns_per_delivery: (cpu_ns(self.pid)? - before_ns) as f64 / deliveries,
            deliveries_per_second: deliveries / length.as_secs_f64(),
        })
    }
}

impl Clients {
    /// Reads so many bytes from each socket, in whatever order they come: a server may write in any. Sockets are looked at again
    /// and again, not waited for, since who writes to one that is waited for pays for waking whoever does.
    fn drain(&mut self, each_bytes: usize) -> anyhow::Result<()> {
        let mut left: Vec<(usize, usize)> = (0..self.sockets.len()).map(|number| (number, 0)).collect();
        let until = Instant::now() + PATIENCE;
        while !left.is_empty() {
            ensure!(Instant::now() < until, "{} sockets wait for what is theirs after {PATIENCE:?}", left.len());
            let mut failed = None;
            left.retain_mut(|(number, got)| match self.sockets[*number].read(&mut self.buffer[..each_bytes - *got]) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => true,
                Ok(read) if read > 0 && (*got > 0 || self.buffer[0] == WHOLE_BINARY) => {
                    *got += read;
                    *got < each_bytes
                }
                other => {
                    failed
                        .get_or_insert(format!("socket {number}: {other:?}, the first byte is {:#x}", self.buffer[0]));
                    false
                }
            });
            ensure!(failed.is_none(), "{} (a server that pings?)", failed.unwrap_or_default());
        }
        Ok(())
    }
}

/// Processor time so far of all threads of a process. What a thread takes is counted once it sleeps.
pub(crate) fn cpu_ns(pid: u32) -> anyhow::Result<u64> {
    let mut all_ns = 0;
    for thread in fs::read_dir(format!("/proc/{pid}/task")).with_context(|| format!("--pid {pid}: is it running?"))? {
        let path = thread?.path().join("schedstat");
        let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let ns: Option<u64> = text.split_whitespace().next().and_then(|word| word.parse().ok());
        all_ns += ns.with_context(|| format!("{} says {text:?}", path.display()))?;
    }
    Ok(all_ns)
}
