//! Connections to the other nodes: dialled, accepted, authenticated, and handed to the shards that hold them.
//!
//! Owns who is dialled, and the pauses between attempts; of two nodes the one whose life has the smaller number dials.
//! What flows afterwards is the shards' affair: bytes go to the shard as events, no more of them at once than it takes.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use host::driver::StreamId;
use link::Secret;
use link::handshake::{Acceptor, Dialer, Established, HandshakeError, Identity, NONCE_BYTES, Progress, links_between};
use schema::Incarnation;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};
use tokio::sync::{Semaphore, oneshot, watch};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{sleep, timeout};
use turmoil::net::TcpStream;
use turmoil::net::tcp::OwnedReadHalf;

use crate::chaos::{Chaos, Outgoing};
use crate::rng::Rng;
use crate::trace::note;
use crate::world::World;

use super::heartbeat::{Neighbour, Neighbours};
use super::shard::Event;
use super::tap::Tap;
use super::{Life, PEER_PORT};

/// The pauses between attempts: doubled from the first to the last, each up to a half longer by chance.
const PAUSE_MIN_MS: u64 = 100;
const PAUSE_MAX_MS: u64 = 5_000;
/// A connection that lasted that long was good: the next pause is short.
const GOOD_MS: u64 = 10_000;
/// How long a connection may take to be made, and how long its handshake.
const WITHIN: Duration = Duration::from_secs(3);
/// Reads of a stream that its shard has not taken yet.
const UNTAKEN_MAX: usize = 4;
/// Pieces of what nodes say to each other are longer than a slow client's.
const PIECE_BYTES_MIN: u64 = 1_400;

/// What both directions share.
pub(super) struct Peering {
    pub(super) world: Rc<World>,
    pub(super) life: Rc<Life>,
    pub(super) me: Identity,
    pub(super) secret: Secret,
    pub(super) shards: Vec<UnboundedSender<Event>>,
    pub(super) rng: Rng,
    pub(super) streams: Cell<u64>,
}

/// A stream to another node, as its shard holds it. Dropped, it ends at once.
pub(super) struct PeerStream {
    pub(super) out: UnboundedSender<Outgoing>,
    pub(super) tap: Tap,
    tasks: [AbortHandle; 2],
    /// Whoever dialled dials again when this is dropped.
    _alive: oneshot::Sender<()>,
}

impl Drop for PeerStream {
    fn drop(&mut self) {
        self.tasks.iter().for_each(AbortHandle::abort);
    }
}

/// Welcomes whoever connects.
pub(super) async fn accept(peering: Rc<Peering>, mut streams: UnboundedReceiver<TcpStream>) {
    let mut welcomes = JoinSet::new();
    while let Some(mut stream) = streams.recv().await {
        let peering = Rc::clone(&peering);
        welcomes.spawn_local(async move {
            let acceptor = Acceptor::new(peering.secret.clone(), peering.me, peering.nonce("accept"));
            match introduce(&mut stream, acceptor, Acceptor::received, Acceptor::closed).await {
                Ok(established) => drop(peering.hand_over(stream, established)),
                Err(error) => note!(peering.world.trace, "{}: a link is refused: {error}", peering.name()),
            }
        });
        while welcomes.try_join_next().is_some() {}
    }
}

/// Keeps links to those nodes of the view that this one dials.
pub(super) async fn dial(peering: Rc<Peering>, mut watched: watch::Receiver<Neighbours>) {
    let mut dialled: BTreeMap<Incarnation, (Neighbour, JoinSet<()>)> = BTreeMap::new();
    loop {
        let wanted: Neighbours = watched.borrow_and_update().clone();
        dialled.retain(|node, (known, _)| wanted.get(node) == Some(known));
        for (&node, neighbour) in wanted.iter().filter(|(node, _)| **node > peering.me.incarnation) {
            dialled.entry(node).or_insert_with(|| {
                let mut links = JoinSet::new();
                for number in 0..links_between(peering.me.shards, neighbour.shards) {
                    links.spawn_local(keep(Rc::clone(&peering), node, neighbour.host.clone(), number));
                }
                (neighbour.clone(), links)
            });
        }
        if watched.changed().await.is_err() {
            return;
        }
    }
}

/// Keeps one link connected.
async fn keep(peering: Rc<Peering>, peer: Incarnation, host: String, number: u16) {
    let mut rng = peering.rng.part(&format!("to {:x}/{number}", peer.0));
    let mut pause_ms = PAUSE_MIN_MS;
    loop {
        let begun_ms = peering.world.trace.now_ms();
        match connect(&peering, peer, &host, number).await {
            Ok(ended) => {
                note!(peering.world.trace, "{}: link {number} to {host} is connected", peering.name());
                // Nothing is ever sent: it ends when the shard lets go of the connection.
                let _ = ended.await;
                if peering.world.trace.now_ms() - begun_ms >= GOOD_MS {
                    pause_ms = PAUSE_MIN_MS;
                }
            }
            Err(why) => note!(peering.world.trace, "{}: no link {number} to {host}: {why}", peering.name()),
        }
        sleep(Duration::from_millis(pause_ms + rng.within(0..=pause_ms / 2))).await;
        pause_ms = (pause_ms * 2).min(PAUSE_MAX_MS);
    }
}

async fn connect(
    peering: &Peering,
    peer: Incarnation,
    host: &str,
    number: u16,
) -> Result<oneshot::Receiver<()>, String> {
    let connecting = timeout(WITHIN, TcpStream::connect((host, PEER_PORT))).await.map_err(|_| "late".to_owned())?;
    let mut stream = connecting.map_err(|error| error.to_string())?;
    let mut out = Vec::new();
    let (secret, nonce) = (peering.secret.clone(), peering.nonce("dial"));
    let dialer = Dialer::new(secret, peering.me, peer, number, nonce, &mut out);
    stream.write_all(&out).await.map_err(|error| error.to_string())?;
    let established = introduce(&mut stream, dialer, Dialer::received, Dialer::closed).await?;
    Ok(peering.hand_over(stream, established))
}

async fn introduce<End>(
    stream: &mut TcpStream,
    mut end: End,
    received: impl Fn(End, &[u8], &mut Vec<u8>) -> Result<Progress<End>, HandshakeError>,
    closed: impl Fn(End) -> HandshakeError,
) -> Result<Established, String> {
    let talk = async {
        let (mut bytes, mut out) = ([0; 512], Vec::new());
        loop {
            let count = stream.read(&mut bytes).await.map_err(|error| error.to_string())?;
            if count == 0 {
                return Err(closed(end).to_string());
            }
            let progress = received(end, &bytes[..count], &mut out);
            // Also on an error there may be a last word.
            stream.write_all(&out).await.map_err(|error| error.to_string())?;
            out.clear();
            match progress.map_err(|error| error.to_string())? {
                Progress::More(more) => end = more,
                Progress::Done(established) => return Ok(established),
            }
        }
    };
    timeout(WITHIN, talk).await.unwrap_or_else(|_| Err("it does not introduce itself".to_owned()))
}

impl Peering {
    fn name(&self) -> &'static str {
        self.world.nodes[self.life.at].host
    }

    fn number(&self) -> u64 {
        self.streams.set(self.streams.get() + 1);
        self.streams.get()
    }

    fn nonce(&self, label: &str) -> [u8; NONCE_BYTES] {
        let mut rng = self.rng.part(&format!("{label} {}", self.number()));
        let mut nonce = [0; NONCE_BYTES];
        nonce.chunks_mut(8).for_each(|chunk| chunk.copy_from_slice(&rng.bits().to_be_bytes()));
        nonce
    }

    /// Gives a connection to the shard that holds the link. Returns a sign of its end.
    fn hand_over(&self, stream: TcpStream, established: Established) -> oneshot::Receiver<()> {
        let Established { peer, link: number, leftover, .. } = established;
        let (stream_id, (alive, ended)) = (StreamId(self.number()), oneshot::channel());
        let shard = &self.shards[usize::from(number) % self.shards.len()];
        let rng = self.rng.part(&format!("stream {}", stream_id.0));
        let piece_bytes = self.world.plan.piece_bytes.max(PIECE_BYTES_MIN);
        let (reader, writer) = stream.into_split();
        let (out, queue) = mpsc::unbounded_channel();
        let written = shard.clone();
        let writes = Chaos::new(rng.part("write"), piece_bytes).write(writer, queue, move |bytes| {
            // A shard that has stopped counts nothing.
            let _ = written.send(Event::PeerWritten { stream: stream_id, bytes });
        });
        let reads = read(reader, Chaos::new(rng.part("read"), piece_bytes), stream_id, shard.clone());
        let tasks = [tokio::task::spawn_local(writes), tokio::task::spawn_local(reads)].map(|task| task.abort_handle());
        let tap = Tap::new(Rc::clone(&self.world), self.life.at, rng.part("tap"));
        let peer_stream = PeerStream { out, tap, tasks, _alive: alive };
        // A shard that has stopped lets go of it.
        let _ = shard.send(Event::PeerConnected { stream: stream_id, peer, number, peer_stream, leftover });
        ended
    }
}

async fn read(mut reader: OwnedReadHalf, mut chaos: Chaos, stream: StreamId, shard: UnboundedSender<Event>) {
    let room = Arc::new(Semaphore::new(UNTAKEN_MAX));
    while let Some(bytes) = chaos.read(&mut reader).await {
        let place = Arc::clone(&room).acquire_owned().await.expect("nobody closes it");
        if shard.send(Event::PeerReceived { stream, bytes, place }).is_err() {
            return;
        }
    }
    let _ = shard.send(Event::PeerClosed { stream });
}
