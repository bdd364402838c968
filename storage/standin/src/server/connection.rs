//! One connection: its socket, from which requests are read and to which replies are written.
//!
//! Owns the order: requests are handled as they come, one after the other, so a transaction's reads find its writes.
//! Commits end whenever the store says so, and their replies come then. While the server is paused nothing is read or
//! written.

use std::io;
use std::sync::Arc;

use kv::Engine;
use tokio::io::{AsyncWrite, AsyncWriteExt, BufReader, BufWriter};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

use super::control::Control;
use super::transactions::Transactions;
use crate::frame::{Hello, Reply, encode, read};

/// Replies that the peer has not taken, beyond which no more of its requests are read: 32 MB if all are pages of the
/// largest size.
const REPLIES_MAX: usize = 16;

/// Where the replies of a connection go: each with its request's id, and when it is due.
pub(super) type Replies = mpsc::Sender<(Instant, u64, Reply)>;

/// Serves `socket` until it breaks or the server ends.
pub(super) async fn serve<E: Engine>(socket: TcpStream, control: Arc<Control>, engine: E) {
    let peer = socket.peer_addr().map_or_else(|_| "gone".to_owned(), |peer| peer.to_string());
    match exchange(socket, control, engine).await {
        Ok(()) => tracing::info!(peer, "a connection was cut"),
        Err(error) if error.kind() == io::ErrorKind::InvalidData => {
            tracing::warn!(peer, %error, "a connection is closed")
        }
        Err(error) => tracing::info!(peer, %error, "a connection has ended"),
    }
}

async fn exchange<E: Engine>(mut socket: TcpStream, control: Arc<Control>, engine: E) -> io::Result<()> {
    socket.set_nodelay(true)?;
    let hello: Hello = read(&mut socket).await?;
    if hello != Hello::of(hello.session) {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "not a hello of this version"));
    }
    control.resumed().await;
    let (cut, alive) = control.take_over(hello.session).await;
    control.state().calls.connections += 1;
    socket.write_all(&encode(&hello)).await?;
    let (reader, writer) = socket.split();
    let (replies, due) = mpsc::channel(REPLIES_MAX);
    let mut transactions = Transactions::new(engine, Arc::clone(&control), replies, alive);
    let requests = async {
        let mut reader = BufReader::new(reader);
        loop {
            let request = read(&mut reader).await?;
            control.resumed().await;
            transactions.handle(request).await?;
        }
    };
    tokio::select! {
        () = cut.notified() => Ok(()),
        ended = requests => ended,
        ended = write(BufWriter::new(writer), due, &control) => ended,
    }
}

/// Writes replies when they are due, until there will be no more.
async fn write(
    mut socket: impl AsyncWrite + Unpin,
    mut replies: mpsc::Receiver<(Instant, u64, Reply)>,
    control: &Control,
) -> io::Result<()> {
    while let Some((due, id, reply)) = replies.recv().await {
        if due > Instant::now() {
            // What is due already goes out first.
            socket.flush().await?;
            sleep_until(due).await;
        }
        control.resumed().await;
        socket.write_all(&encode(&(id, reply))).await?;
        if replies.is_empty() {
            socket.flush().await?;
        }
    }
    Ok(())
}
