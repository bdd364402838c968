//! The baseline of the fan-out: tokio and tokio-tungstenite, a task and a queue for each connection, one thread.

use std::cell::Cell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::mpsc::Sender;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use bytes::Bytes;
use futures_util::SinkExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::{LocalSet, spawn_local};
use tokio_tungstenite::accept_async;
use tokio_tungstenite::tungstenite::Message;

use crate::{FanOut, thread_time};

/// A round that is under way.
#[derive(Default)]
struct Round {
    began: Cell<Duration>,
    outstanding: Cell<usize>,
}

/// Serves until no more commands come.
pub(crate) fn start(
    sockets: usize,
    opened: Sender<()>,
    spent: Sender<Duration>,
) -> anyhow::Result<(SocketAddr, UnboundedSender<FanOut>, JoinHandle<()>)> {
    let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
    listener.set_nonblocking(true)?;
    let address = listener.local_addr()?;
    let (commands, inbox) = unbounded_channel();
    let thread = thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let listener = runtime.block_on(async { TcpListener::from_std(listener) }).expect("a listener");
        LocalSet::new().block_on(&runtime, serve(listener, sockets, opened, spent, inbox));
    });
    Ok((address, commands, thread))
}

async fn serve(
    listener: TcpListener,
    sockets: usize,
    opened: Sender<()>,
    spent: Sender<Duration>,
    mut inbox: UnboundedReceiver<FanOut>,
) {
    let round = Rc::new(Round::default());
    let mut queues = Vec::new();
    for _ in 0..sockets {
        let (stream, _) = listener.accept().await.expect("a client");
        let (queue, messages) = unbounded_channel();
        queues.push(queue);
        spawn_local(send(stream, messages, opened.clone(), spent.clone(), Rc::clone(&round)));
    }
    while let Some(FanOut { payload_bytes, frames }) = inbox.recv().await {
        round.began.set(thread_time());
        round.outstanding.set(frames * queues.len());
        let payload = Bytes::from(vec![7; payload_bytes]);
        for _ in 0..frames {
            for queue in &queues {
                queue.send(Message::Binary(payload.clone())).expect("its task lives");
            }
        }
    }
}

/// One connection: what is queued is sent, and flushed when nothing is.
async fn send(
    stream: TcpStream,
    mut messages: UnboundedReceiver<Message>,
    opened: Sender<()>,
    spent: Sender<Duration>,
    round: Rc<Round>,
) {
    stream.set_nodelay(true).expect("a socket");
    let mut socket = accept_async(stream).await.expect("a handshake");
    opened.send(()).expect("the main thread counts");
    while let Some(message) = messages.recv().await {
        socket.feed(message).await.expect("a client that reads");
        let mut fed = 1;
        while let Ok(message) = messages.try_recv() {
            socket.feed(message).await.expect("a client that reads");
            fed += 1;
        }
        socket.flush().await.expect("a client that reads");
        round.outstanding.set(round.outstanding.get() - fed);
        if round.outstanding.get() == 0 {
            spent.send(thread_time() - round.began.get()).expect("the main thread waits");
        }
    }
}
