//! A client's end of one WebSocket over simulated TCP.
//!
//! Owns the upgrade, the frames both ways and the two tasks that carry them. Dropping it is an abrupt end. A client
//! that does not take what came stops reading its socket after a few frames, so that the node feels it.

use std::rc::Rc;

use schema::{Encoding, Request, ServerFrame};
use tokio::sync::mpsc::{self, Receiver, Sender, UnboundedSender};
use tokio::task::JoinHandle;
use turmoil::net::TcpStream;
use turmoil::net::tcp::OwnedReadHalf;
use wire::{ClientHandshake, Decoder, Opcode, Role, Rules};

use crate::chaos::{Chaos, Outgoing};
use crate::node::PORT;
use crate::rng::Rng;
use crate::trace::{digest, note};
use crate::world::World;

/// What is taken from the node.
const RULES: Rules = Rules { role: Role::Client, message_bytes_max: 8 * 1024 * 1024 };
/// Frames that came and were not taken.
const UNTAKEN_MAX: usize = 4;

/// What the node said.
#[derive(Debug)]
pub(crate) enum Incoming {
    Frame(ServerFrame),
    /// The end, with the close frame's code if there was one.
    Closed(Option<u16>),
}

/// An open WebSocket.
pub(crate) struct Socket {
    pub(crate) incoming: Receiver<Incoming>,
    out: UnboundedSender<Outgoing>,
    encoding: Encoding,
    rng: Rng,
    reading: JoinHandle<()>,
    writing: JoinHandle<()>,
}

impl Drop for Socket {
    fn drop(&mut self) {
        self.reading.abort();
        self.writing.abort();
    }
}

impl Socket {
    /// Connects to a node and agrees on an encoding. `None` if it is not there.
    pub(crate) async fn open(world: &Rc<World>, host: &str, who: &str, encoding: Encoding, rng: Rng) -> Option<Self> {
        let stream = TcpStream::connect((host, PORT)).await.ok()?;
        let (mut reader, writer) = stream.into_split();
        let (out, queue) = mpsc::unbounded_channel();
        let writes = Chaos::new(rng.part("write"), world.plan.piece_bytes);
        let writing = tokio::task::spawn_local(writes.write(writer, queue, |_| ()));
        let mut reads = Chaos::new(rng.part("read"), world.plan.piece_bytes);
        let mut rng = rng.part("socket");
        let rest = upgrade(&mut reader, &mut reads, &out, encoding, &mut rng).await;
        let Some(rest) = rest else {
            writing.abort();
            return None;
        };
        let (said, incoming) = mpsc::channel(UNTAKEN_MAX);
        let listener = Listener { world: Rc::clone(world), who: who.to_owned(), encoding, said, out: out.clone() };
        let reading = tokio::task::spawn_local(listener.run(reader, reads, rest));
        Some(Self { incoming, out, encoding, rng, reading, writing })
    }

    /// Sends requests as one message.
    pub(crate) fn say(&mut self, requests: &[Request]) {
        let mut payload = Vec::new();
        for request in requests {
            if self.encoding == Encoding::Json && !payload.is_empty() {
                payload.push(b'\n');
            }
            self.encoding.put_request(request, &mut payload);
        }
        let opcode = if self.encoding.is_text() { Opcode::Text } else { Opcode::Binary };
        self.say_raw(opcode, &payload);
    }

    /// Sends any message.
    pub(crate) fn say_raw(&mut self, opcode: Opcode, payload: &[u8]) {
        let mask = self.rng.bits().to_be_bytes();
        self.send(Outgoing::frame(opcode, payload, Some([mask[0], mask[1], mask[2], mask[3]])));
    }

    /// Closes as RFC 6455 says; the node answers and the end comes.
    pub(crate) fn close(&mut self) {
        self.send(Outgoing::close(Some(wire::CloseCode::NORMAL), "", Some([1, 2, 3, 4])));
    }

    fn send(&self, outgoing: Outgoing) {
        // A writer that is gone has met the end, which is on its way here.
        let _ = self.out.send(outgoing);
    }
}

/// The upgrade: what came behind the answer.
async fn upgrade(
    reader: &mut OwnedReadHalf,
    reads: &mut Chaos,
    out: &UnboundedSender<Outgoing>,
    encoding: Encoding,
    rng: &mut Rng,
) -> Option<Vec<u8>> {
    let mut key = [0; 16];
    key[..8].copy_from_slice(&rng.bits().to_be_bytes());
    key[8..].copy_from_slice(&rng.bits().to_be_bytes());
    let offer = [encoding.subprotocol()];
    let (mut handshake, request) = ClientHandshake::new("node:8001", "/connection/websocket", &offer, key);
    out.send(Outgoing::Plain(request.into())).ok()?;
    loop {
        let mut bytes = reads.read(reader).await?;
        match handshake.feed(&bytes) {
            Ok(Some(agreed)) => return Some(bytes.split_off(agreed.consumed)),
            Ok(None) => {}
            Err(error) => panic!("the node's answer to an upgrade: {error}"),
        }
    }
}

/// Takes frames apart until the end.
struct Listener {
    world: Rc<World>,
    who: String,
    encoding: Encoding,
    said: Sender<Incoming>,
    out: UnboundedSender<Outgoing>,
}

impl Listener {
    async fn run(self, mut reader: OwnedReadHalf, mut reads: Chaos, rest: Vec<u8>) {
        let code = self.listen(&mut reader, &mut reads, rest).await;
        note!(self.world.trace, "{}: closed {code:?}", self.who);
        // Whoever dropped the socket does not want to know.
        let _ = self.said.send(Incoming::Closed(code)).await;
    }

    async fn listen(&self, reader: &mut OwnedReadHalf, reads: &mut Chaos, rest: Vec<u8>) -> Option<u16> {
        let mut decoder = Decoder::new();
        let mut bytes = rest;
        loop {
            let mut frames = Vec::new();
            let mut input = &mut bytes[..];
            let mut closed = None;
            while closed.is_none() {
                match decoder.next(&RULES, &mut input) {
                    Ok(Some(wire::Event::Text(text))) => frames.push(text.into_owned().into_bytes()),
                    Ok(Some(wire::Event::Binary(bytes))) => frames.push(bytes.into_owned()),
                    Ok(Some(wire::Event::Ping(payload))) => {
                        // A writer that is gone has met the end.
                        let _ = self.out.send(Outgoing::frame(Opcode::Pong, &payload, Some([5, 6, 7, 8])));
                    }
                    Ok(Some(wire::Event::Pong(_))) => {}
                    Ok(Some(wire::Event::Close { code, .. })) => closed = Some(code.map(wire::CloseCode::get)),
                    Ok(None) => break,
                    Err(fault) => panic!("the node's frames: {fault}"),
                }
            }
            for frame in frames {
                note!(self.world.trace, "{}: hears {} bytes {:x}", self.who, frame.len(), digest(&frame));
                let said = self.encoding.server_frames(&frame);
                for frame in said.unwrap_or_else(|error| panic!("the node's messages: {error}")) {
                    self.said.send(Incoming::Frame(frame)).await.ok()?;
                }
            }
            if let Some(code) = closed {
                return code;
            }
            bytes = reads.read(reader).await?;
        }
    }
}
