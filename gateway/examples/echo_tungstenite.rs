//! The baseline that most would begin with: tokio and tokio-tungstenite, a task a connection, one thread.
//!
//! `cargo run --release -p gateway --example echo_tungstenite -- --addr 127.0.0.1:8001`. `cargo xtask bench` compares with it.

use std::net::SocketAddr;

use clap::Parser;
use futures_util::{SinkExt as _, StreamExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::accept_async;
use tokio_tungstenite::tungstenite::{Error, Message};

#[derive(Parser)]
struct Options {
    /// Address to listen at.
    #[arg(long, default_value = "127.0.0.1:8001")]
    addr: SocketAddr,
}

fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async move {
        let listener = TcpListener::bind(options.addr).await?;
        eprintln!("echo ws=ws://{}/ pid={}", options.addr, std::process::id());
        loop {
            let (stream, _) = listener.accept().await?;
            tokio::spawn(async move {
                // A client that goes away ends its task; there is nobody to tell.
                if let Err(error) = serve(stream).await {
                    tracing::debug!(%error, "a connection failed");
                }
            });
        }
    })
}

async fn serve(stream: TcpStream) -> Result<(), Error> {
    stream.set_nodelay(true)?;
    let mut socket = accept_async(stream).await?;
    while let Some(message) = socket.next().await {
        match message? {
            message @ (Message::Text(_) | Message::Binary(_)) => socket.send(message).await?,
            // Both are answered by the crate.
            Message::Ping(_) | Message::Pong(_) | Message::Close(_) | Message::Frame(_) => {}
        }
    }
    Ok(())
}
