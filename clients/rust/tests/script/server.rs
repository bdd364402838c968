//! The server of a row: takes any path, and says what it is told to, on the newest connection or one that is named.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::Value;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_tungstenite::accept_hdr_async;
use tokio_tungstenite::tungstenite::Message as Frame;
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;

/// A frame of the client's.
#[derive(Debug)]
pub(super) struct Heard {
    pub(super) connection: usize,
    pub(super) text: String,
}

#[derive(Debug)]
enum Say {
    Text(String),
    Close(u16, String),
}

struct Connection {
    path: String,
    /// Dropped, the connection is cut.
    say: Option<mpsc::Sender<Say>>,
    ids: BTreeSet<u64>,
}

pub(super) struct Server {
    /// `ws://HOST:PORT`.
    pub(super) url: String,
    connections: Arc<Mutex<Vec<Connection>>>,
    /// Frames, and `None` for each connection that was made.
    heard: mpsc::UnboundedReceiver<Option<Heard>>,
    accepting: JoinHandle<()>,
}

impl Server {
    pub(super) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let url = format!("ws://{}", listener.local_addr().expect("it has an address"));
        let connections: Arc<Mutex<Vec<Connection>>> = Arc::default();
        let (tell, heard) = mpsc::unbounded_channel();
        let all = Arc::clone(&connections);
        let accepting = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, Arc::clone(&all), tell.clone()));
            }
        });
        Self { url, connections, heard, accepting }
    }

    /// The number of the newest connection.
    pub(super) fn newest(&self) -> usize {
        self.connections.lock().expect("no row panics there").len()
    }

    pub(super) fn path(&self, connection: usize) -> String {
        self.connections.lock().expect("no row panics there")[connection - 1].path.clone()
    }

    /// The next frame of any connection.
    pub(super) async fn frame(&mut self) -> Heard {
        loop {
            if let Some(heard) = self.heard.recv().await.expect("it accepts as long as the row runs") {
                return heard;
            }
        }
    }

    /// Of all that came on the newest connection no frame is left, but for echoes, which no row asks for.
    pub(super) fn nothing_left(&mut self) -> Result<(), String> {
        let newest = self.newest();
        let is_echo = |text: &str| serde_json::from_str::<Value>(text).is_ok_and(|frame| frame.get("echo").is_some());
        while let Ok(heard) = self.heard.try_recv() {
            if let Some(Heard { connection, text }) = heard
                && connection == newest
                && !is_echo(&text)
            {
                return Err(format!("a frame is left: {text}"));
            }
        }
        Ok(())
    }

    pub(super) fn check_id(&self, connection: usize, id: &Value, command: &str) -> Result<(), String> {
        let ids = &mut self.connections.lock().expect("no row panics there")[connection - 1].ids;
        match id.as_u64() {
            None | Some(0) if command == "typing" => Ok(()),
            Some(id) if (1..1 << 32).contains(&id) && ids.insert(id) => Ok(()),
            _ => Err(format!("the id of {command} is {id}, which is none or was there before")),
        }
    }

    pub(super) async fn say(&self, connection: usize, text: String) -> Result<(), String> {
        self.tell(connection, Say::Text(text)).await
    }

    pub(super) async fn say_newest(&self, text: String) -> Result<(), String> {
        self.say(self.newest(), text).await
    }

    async fn tell(&self, connection: usize, say: Say) -> Result<(), String> {
        let sender = {
            let connections = self.connections.lock().expect("no row panics there");
            connections.get(connection.wrapping_sub(1)).and_then(|connection| connection.say.clone())
        };
        let sender = sender.ok_or("there is no connection to say it on")?;
        sender.send(say).await.map_err(|_| "the connection is gone".to_owned())
    }

    pub(super) async fn close(&self, code: u16, reason: &str) -> Result<(), String> {
        self.tell(self.newest(), Say::Close(code, reason.to_owned())).await
    }

    pub(super) fn cut(&self) -> Result<(), String> {
        let mut connections = self.connections.lock().expect("no row panics there");
        connections.last_mut().ok_or("there is no connection to cut")?.say = None;
        Ok(())
    }

    /// In that time nobody connects, and nothing is sent.
    pub(super) async fn quiet(&mut self, time: Duration) -> Result<(), String> {
        match tokio::time::timeout(time, self.heard.recv()).await {
            Err(_) => Ok(()),
            Ok(heard) => Err(heard.flatten().map_or("the client connects".to_owned(), |heard| heard.text)),
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

#[expect(clippy::result_large_err, reason = "it is the handshake's own type")]
async fn serve(stream: TcpStream, all: Arc<Mutex<Vec<Connection>>>, tell: mpsc::UnboundedSender<Option<Heard>>) {
    let mut path = String::new();
    let upgrade = accept_hdr_async(stream, |request: &Request, mut response: Response| {
        path = request.uri().path().to_owned();
        let offered = request.headers().get("sec-websocket-protocol");
        if offered.is_none_or(|offered| offered != "rookery.json.v1") {
            return Err(ErrorResponse::new(Some("no rookery.json.v1".to_owned())));
        }
        response.headers_mut().insert("sec-websocket-protocol", HeaderValue::from_static("rookery.json.v1"));
        Ok(response)
    });
    let Ok(socket) = upgrade.await else { return };
    let (say, mut says) = mpsc::channel(64);
    let number = {
        let mut all = all.lock().expect("no row panics there");
        all.push(Connection { path, say: Some(say), ids: BTreeSet::new() });
        all.len()
    };
    // A row that has ended hears nothing.
    let _ = tell.send(None);
    let (mut sink, mut source) = socket.split();
    let mut open = true;
    loop {
        tokio::select! {
            say = says.recv() => match say {
                Some(Say::Text(text)) => {
                    if sink.send(Frame::text(text)).await.is_err() {
                        return;
                    }
                }
                Some(Say::Close(code, reason)) => {
                    let frame = CloseFrame { code: code.into(), reason: reason.into() };
                    if sink.send(Frame::Close(Some(frame))).await.is_err() {
                        return;
                    }
                    open = false;
                }
                // Cut.
                None => return,
            },
            frame = source.next() => match frame {
                Some(Ok(Frame::Text(text))) if open => {
                    let _ = tell.send(Some(Heard { connection: number, text: text.as_str().to_owned() }));
                }
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return,
            },
        }
    }
}
