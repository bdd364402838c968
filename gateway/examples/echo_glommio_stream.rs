//! The baseline that the driver is compared with: glommio's own `TcpStream`, a task a connection, the same codec.
//!
//! `cargo run --release -p gateway --example echo_glommio_stream -- --addr 127.0.0.1:8001 --cpu 0`

use std::net::SocketAddr;

use clap::Parser;
use futures_lite::{AsyncReadExt, AsyncWriteExt};
use glommio::net::{TcpListener, TcpStream};
use glommio::{LocalExecutorBuilder, Placement};
use wire::{Decoder, Event, HandshakeProgress, Opcode, Role, Rules, ServerHandshake, encode_close_into, encode_into};

/// Bytes of one read, as in the driver.
const READ_BYTES: usize = 2048;
const RULES: Rules = Rules { role: Role::Server, message_bytes_max: schema::limits::ECHO_MESSAGE_BYTES_MAX };

#[derive(Parser)]
struct Options {
    /// Where to listen.
    #[arg(long, default_value = "127.0.0.1:8001")]
    addr: SocketAddr,
    /// The processor to stay on.
    #[arg(long)]
    cpu: Option<usize>,
}

fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    let placement = options.cpu.map_or(Placement::Unbound, Placement::Fixed);
    let executor = LocalExecutorBuilder::new(placement).name("echo").make().map_err(std::io::Error::from)?;
    executor.run(async move {
        let listener = TcpListener::bind(options.addr).map_err(std::io::Error::from)?;
        eprintln!("echo ws=ws://{}/debug/echo pid={}", options.addr, std::process::id());
        loop {
            let stream = listener.accept().await.map_err(std::io::Error::from)?;
            glommio::spawn_local(async move {
                // A client that goes away ends its task; there is nobody to tell.
                if let Err(error) = serve(stream).await {
                    tracing::debug!(%error, "a connection failed");
                }
            })
            .detach();
        }
    })
}

async fn serve(mut stream: TcpStream) -> std::io::Result<()> {
    stream.set_nodelay(true).map_err(std::io::Error::from)?;
    let mut buffer = vec![0; READ_BYTES];
    let mut out = Vec::new();
    let mut handshake = ServerHandshake::new();
    let mut unread = loop {
        let read_bytes = stream.read(&mut buffer).await?;
        match handshake.feed(&buffer[..read_bytes], schema::limits::HANDSHAKE_BYTES_MAX as usize) {
            HandshakeProgress::More if read_bytes == 0 => return Ok(()),
            HandshakeProgress::More => {}
            HandshakeProgress::Request { request, consumed } => {
                stream.write_all(&request.accept(None)).await?;
                break consumed..read_bytes;
            }
            HandshakeProgress::Plain { .. } => {
                return stream.write_all(&wire::Refusal::no_websocket().to_bytes()).await;
            }
            HandshakeProgress::Refused(refusal) => return stream.write_all(&refusal.to_bytes()).await,
        }
    };
    let mut decoder = Decoder::new();
    loop {
        let mut input = &mut buffer[unread];
        let open = loop {
            match decoder.next(&RULES, &mut input) {
                Ok(Some(Event::Text(text))) => encode_into(&mut out, Opcode::Text, text.as_bytes(), None),
                Ok(Some(Event::Binary(bytes))) => encode_into(&mut out, Opcode::Binary, &bytes, None),
                Ok(Some(Event::Ping(payload))) => encode_into(&mut out, Opcode::Pong, &payload, None),
                Ok(Some(Event::Pong(_))) => {}
                Ok(Some(Event::Close { code, .. })) => {
                    encode_close_into(&mut out, code, "", None);
                    break false;
                }
                Ok(None) => break true,
                Err(fault) => {
                    encode_close_into(&mut out, Some(fault.close_code()), &fault.to_string(), None);
                    break false;
                }
            }
        };
        if !out.is_empty() {
            stream.write_all(&out).await?;
            out.clear();
        }
        if !open {
            return Ok(());
        }
        let read_bytes = stream.read(&mut buffer).await?;
        if read_bytes == 0 {
            return Ok(());
        }
        unread = 0..read_bytes;
    }
}
