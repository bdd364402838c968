//! A WebSocket echo server of another make, with faults on demand and a count of those it committed.
//!
//! One thread a connection; lives as long as the test process.

use std::io::ErrorKind;
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tungstenite::protocol::frame::coding::{CloseCode, Data, OpCode};
use tungstenite::protocol::frame::{CloseFrame, Frame};
use tungstenite::{Error, Message, WebSocket};

use crate::listener;

/// How long a connection waits for its client before it sends what it holds back.
const QUIET: Duration = Duration::from_millis(200);

/// Of every ten messages of a connection the server does this to one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    None,
    /// Never echoes it.
    Drop,
    /// Echoes it twice.
    Duplicate,
    /// Echoes it after the next one.
    Swap,
    /// Changes one byte of it.
    Corrupt,
    /// Echoes it in three frames with a ping between.
    Fragment,
    /// Closes the connection with code 1013 instead.
    Close,
    /// Closes the TCP connection instead.
    HangUp,
    /// Sleeps before it echoes it, once.
    Stall(Duration),
    /// Sends a ping before it.
    Ping,
}

/// Where the server is, and what it did.
#[derive(Debug, Clone)]
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    counts: Counts,
}

#[derive(Debug, Clone, Default)]
struct Counts {
    faults: Arc<AtomicU64>,
    pongs: Arc<AtomicU64>,
}

impl Server {
    /// Serves any number of connections.
    pub(crate) fn start(fault: Fault) -> Self {
        let counts = Counts::default();
        let serving = counts.clone();
        // A client that goes away in the middle of anything is no failure of the test.
        Self { address: listener::serve(move |stream| _ = serving.serve(stream, fault)), counts }
    }

    pub(crate) fn url(&self) -> String {
        format!("ws://{}/", self.address)
    }

    pub(crate) fn faults(&self) -> u64 {
        self.counts.faults.load(Ordering::SeqCst)
    }

    pub(crate) fn pongs(&self) -> u64 {
        self.counts.pongs.load(Ordering::SeqCst)
    }
}

impl Counts {
    fn serve(&self, stream: TcpStream, fault: Fault) -> Result<(), Error> {
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(QUIET))?;
        let mut socket = tungstenite::accept(stream).map_err(|_| Error::ConnectionClosed)?;
        let (mut number, mut held) = (0_u64, None);
        if fault == Fault::Ping {
            socket.send(Message::Ping("are you there?".into()))?;
        }
        loop {
            let message = match socket.read() {
                Ok(message @ (Message::Binary(_) | Message::Text(_))) => message,
                Ok(Message::Pong(payload)) => {
                    assert_eq!(&payload[..], if number == 0 { b"are you there?" } else { &payload[..] });
                    self.pongs.fetch_add(1, Ordering::SeqCst);
                    continue;
                }
                Ok(Message::Ping(_) | Message::Close(_) | Message::Frame(_)) => continue,
                Err(Error::Io(error)) if error.kind() == ErrorKind::WouldBlock => {
                    if let Some(message) = held.take() {
                        socket.send(message)?;
                    }
                    continue;
                }
                Err(error) => return Err(error),
            };
            number += 1;
            if number % 10 != 5 {
                socket.send(message)?;
                if let Some(message) = held.take() {
                    socket.send(message)?;
                    self.faults.fetch_add(1, Ordering::SeqCst);
                }
                continue;
            }
            // A swap is one once the next message has overtaken it.
            let committed = !matches!(fault, Fault::None | Fault::Swap);
            self.faults.fetch_add(u64::from(committed), Ordering::SeqCst);
            match fault {
                Fault::None => socket.send(message)?,
                Fault::Drop => {}
                Fault::Duplicate => {
                    socket.send(message.clone())?;
                    socket.send(message)?;
                }
                Fault::Swap => held = Some(message),
                Fault::Corrupt => {
                    let mut bytes = message.into_data().to_vec();
                    let last = bytes.len() - 1;
                    bytes[last] ^= 1;
                    socket.send(Message::binary(bytes))?;
                }
                Fault::Fragment => fragment(&mut socket, &message.into_data())?,
                Fault::Close => {
                    socket.close(Some(CloseFrame { code: CloseCode::Again, reason: "later".into() }))?;
                }
                Fault::HangUp => return Ok(()),
                Fault::Stall(time) => {
                    if number == 5 {
                        let until = Instant::now() + time;
                        std::thread::sleep(until.saturating_duration_since(Instant::now()));
                    }
                    socket.send(message)?;
                }
                Fault::Ping => {
                    socket.send(Message::Ping("still there?".into()))?;
                    socket.send(message)?;
                }
            }
        }
    }
}

fn fragment(socket: &mut WebSocket<TcpStream>, bytes: &[u8]) -> Result<(), Error> {
    let third = bytes.len() / 3;
    let pieces = [&bytes[..third], &bytes[third..2 * third], &bytes[2 * third..]];
    for (at, piece) in pieces.into_iter().enumerate() {
        let opcode = OpCode::Data(if at == 0 { Data::Binary } else { Data::Continue });
        socket.send(Message::Frame(Frame::message(piece.to_vec(), opcode, at == 2)))?;
        if at == 1 {
            socket.send(Message::Ping("between".into()))?;
        }
    }
    Ok(())
}
