//! One accepted socket: from its upgrade request to its end.
//!
//! Owns what the ring does for the gateway: frames and their faults, pongs, close frames. What is served, and what a
//! message means, is the shard's.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use host::driver::Upgrade;
use router::ConnId;
use schema::limits::{HANDSHAKE_BYTES_MAX, HANDSHAKE_MS, MESSAGE_BYTES_MAX};
use tokio::sync::Notify;
use tokio::sync::mpsc::{self, UnboundedSender};
use tokio::sync::oneshot;
use turmoil::net::TcpStream;
use turmoil::net::tcp::OwnedReadHalf;
use wire::{Decoder, HandshakeProgress, Opcode, Role, Rules, ServerHandshake};

use crate::chaos::{Chaos, Outgoing};
use crate::rng::Rng;
use crate::world::World;

use super::shard::Event;

/// What is taken from clients.
const RULES: Rules = Rules { role: Role::Server, message_bytes_max: MESSAGE_BYTES_MAX };
/// How long a socket may take to end once its close frame is queued.
const LINGER: Duration = Duration::from_secs(2);

/// Whether a socket is read.
#[derive(Debug, Default)]
pub(super) struct Gate {
    shut: Cell<bool>,
    opened: Notify,
}

impl Gate {
    pub(super) fn set(&self, open: bool) {
        self.shut.set(!open);
        if open {
            self.opened.notify_one();
        }
    }

    async fn open(&self) {
        while self.shut.get() {
            self.opened.notified().await;
        }
    }
}

pub(super) async fn run(world: Rc<World>, stream: TcpStream, conn: ConnId, shard: UnboundedSender<Event>, rng: Rng) {
    let (mut reader, writer) = stream.into_split();
    let mut chaos = Chaos::new(rng.part("read"), world.plan.piece_bytes);
    let (out, queue) = mpsc::unbounded_channel();
    let writes = Chaos::new(rng.part("write"), world.plan.piece_bytes);
    let drained = shard.clone();
    let writing = tokio::task::spawn_local(writes.write(writer, queue, move |bytes| {
        let bytes = u32::try_from(bytes).expect("a piece is short");
        // A shard that has stopped counts nothing.
        let _ = drained.send(Event::Drained { conn, bytes });
    }));
    let upgraded = upgrade(&mut reader, &mut chaos, conn, &shard, &out);
    if let Ok(Some(rest)) = tokio::time::timeout(Duration::from_millis(HANDSHAKE_MS), upgraded).await {
        let gate = Rc::new(Gate::default());
        let opened = Event::Opened { conn, out: out.clone(), gate: Rc::clone(&gate) };
        if shard.send(opened).is_ok() {
            serve(&mut reader, &mut chaos, conn, &shard, &out, &gate, rest).await;
            let _ = shard.send(Event::Gone { conn });
        }
    }
    let _ = out.send(Outgoing::End);
    // What the peer still sends is read and dropped: a socket that is closed with bytes unread resets the connection,
    // and the close frame would be lost. A peer that neither reads nor ends is given up.
    let stop = writing.abort_handle();
    let rest = async { while chaos.read(&mut reader).await.is_some() {} };
    let ended = tokio::time::timeout(LINGER, async { tokio::join!(writing, rest) }).await;
    if ended.is_err() {
        stop.abort();
    }
}

/// The upgrade: bytes that came behind the request, if the shard agreed to it.
async fn upgrade(
    reader: &mut OwnedReadHalf,
    chaos: &mut Chaos,
    conn: ConnId,
    shard: &UnboundedSender<Event>,
    out: &UnboundedSender<Outgoing>,
) -> Option<Vec<u8>> {
    let mut handshake = ServerHandshake::new();
    loop {
        let mut bytes = chaos.read(reader).await?;
        let (answer, agreed) = match handshake.feed(&bytes, HANDSHAKE_BYTES_MAX as usize) {
            HandshakeProgress::More => continue,
            HandshakeProgress::Refused(refusal) => (refusal.to_bytes(), None),
            HandshakeProgress::Plain { .. } => (wire::Refusal::no_websocket().to_bytes(), None),
            HandshakeProgress::Request { request, consumed } => {
                let request: Rc<wire::Request> = Rc::from(request);
                let (answer, decided) = oneshot::channel();
                shard.send(Event::Request { conn, request: Rc::clone(&request), answer }).ok()?;
                match decided.await.ok()? {
                    Ok(Upgrade::Session { protocol, .. }) => {
                        (request.accept(protocol), Some(bytes.split_off(consumed)))
                    }
                    Ok(Upgrade::Echo { .. }) => unreachable!("no simulated node serves echoes"),
                    Err(refusal) => (refusal.to_bytes(), None),
                }
            }
        };
        let _ = out.send(Outgoing::Plain(Bytes::from(answer)));
        return agreed;
    }
}

/// Frames until one side ends it.
async fn serve(
    reader: &mut OwnedReadHalf,
    chaos: &mut Chaos,
    conn: ConnId,
    shard: &UnboundedSender<Event>,
    out: &UnboundedSender<Outgoing>,
    gate: &Gate,
    rest: Vec<u8>,
) {
    let mut decoder = Decoder::new();
    let mut next = Some(rest);
    while let Some(mut bytes) = next {
        let mut input = &mut bytes[..];
        let _ = shard.send(Event::Heard { conn });
        loop {
            let event = match decoder.next(&RULES, &mut input) {
                Ok(Some(wire::Event::Text(text))) => {
                    Event::Message { conn, text: true, payload: text.into_owned().into_bytes() }
                }
                Ok(Some(wire::Event::Binary(bytes))) => {
                    Event::Message { conn, text: false, payload: bytes.into_owned() }
                }
                Ok(Some(wire::Event::Ping(payload))) => {
                    let _ = out.send(Outgoing::frame(Opcode::Pong, &payload, None));
                    continue;
                }
                Ok(Some(wire::Event::Pong(_))) => continue,
                Ok(Some(wire::Event::Close { code, .. })) => {
                    let _ = out.send(Outgoing::close(code, "", None));
                    return;
                }
                Ok(None) => break,
                Err(fault) => {
                    let _ = out.send(Outgoing::close(Some(fault.close_code()), &fault.to_string(), None));
                    return;
                }
            };
            if shard.send(event).is_err() {
                return;
            }
        }
        gate.open().await;
        next = chaos.read(reader).await;
    }
}
