//! The process of a node: lives one after the other, stood still now and then, and connections that come meanwhile.
//!
//! Owns what an operating system does for it. A process that stands still has its connections accepted all the same,
//! its timers late and its bytes waiting; it does not know of it. One that has been fenced is started again.

use std::cell::Cell;
use std::future::{Future, pending};
use std::net::Ipv4Addr;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::runtime::UnhandledPanic;
use tokio::sync::Notify;
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};
use tokio::task::LocalSet;
use tokio::time::{Sleep, sleep};
use turmoil::net::{TcpListener, TcpStream};

use crate::trace::note;
use crate::world::World;

use super::{Ended, run_life};

/// How long a supervisor waits before it starts a node again that has ended by itself, at most.
const AGAIN_MS: u64 = 1_000;

/// One port of a host.
#[derive(Debug)]
pub(super) struct Port {
    number: u16,
    listens: Cell<bool>,
    changed: Notify,
}

impl Port {
    fn new(number: u16) -> Rc<Self> {
        Rc::new(Self { number, listens: Cell::default(), changed: Notify::new() })
    }

    /// Takes connections from here on, or none any more.
    pub(super) fn listen(&self, on: bool) {
        self.listens.set(on);
        self.changed.notify_one();
    }

    /// Accepts connections whenever the port listens.
    async fn accept(&self, accepted: UnboundedSender<TcpStream>) -> turmoil::Result {
        loop {
            if !self.listens.get() {
                self.changed.notified().await;
                continue;
            }
            let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, self.number)).await?;
            while self.listens.get() {
                tokio::select! {
                    biased;
                    () = self.changed.notified() => {}
                    came = listener.accept() => {
                        // A life that is over takes nothing.
                        let _ = accepted.send(came?.0);
                    }
                }
            }
        }
    }
}

/// A port as a life has it, with the connections that come there.
pub(super) struct Door {
    pub(super) port: Rc<Port>,
    pub(super) streams: UnboundedReceiver<TcpStream>,
}

/// Runs the lives of a node until its host is killed.
pub(crate) async fn run(world: Rc<World>, at: usize) -> turmoil::Result {
    let mut rng = world.rng.part(&format!("process {at} after {}", world.lives.get()));
    loop {
        let [clients, peers] = [super::PORT, super::PEER_PORT].map(Port::new);
        let (from_client, client_streams) = mpsc::unbounded_channel();
        let (from_peer, peer_streams) = mpsc::unbounded_channel();
        let door = |port: &Rc<Port>, streams| Door { port: Rc::clone(port), streams };
        let life = run_life(Rc::clone(&world), at, door(&clients, client_streams), door(&peers, peer_streams));
        let tasks = async move {
            let mut tasks = LocalSet::new();
            tasks.unhandled_panic(UnhandledPanic::ShutdownRuntime);
            tasks.run_until(life).await
        };
        let standing = Standing { world: Rc::clone(&world), at, still: None, process: Box::pin(tasks) };
        let ended = tokio::select! {
            biased;
            ended = standing => ended?,
            failed = clients.accept(from_client) => return failed,
            failed = peers.accept(from_peer) => return failed,
        };
        world.end_life(at);
        match ended {
            Ended::Fenced => sleep(Duration::from_millis(rng.within(1..=AGAIN_MS))).await,
            // A host whose software has ended is not polled any more, and would never let go of its sockets.
            Ended::Drained => pending().await,
        }
    }
}

/// A process that is not run while the world has it stand still.
struct Standing<F> {
    world: Rc<World>,
    at: usize,
    still: Option<Pin<Box<Sleep>>>,
    process: Pin<Box<F>>,
}

impl<F: Future> Future for Standing<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        loop {
            if let Some(still) = &mut self.still {
                if still.as_mut().poll(cx).is_pending() {
                    return Poll::Pending;
                }
                self.still = None;
                note!(self.world.trace, "n{}: goes on", self.at + 1);
            }
            let until_ms = self.world.nodes[self.at].stands_until_ms.get();
            let now_ms = self.world.trace.now_ms();
            if until_ms <= now_ms {
                return self.process.as_mut().poll(cx);
            }
            self.still = Some(Box::pin(sleep(Duration::from_millis(until_ms - now_ms))));
        }
    }
}
