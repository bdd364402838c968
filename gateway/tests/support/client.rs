//! A client of the JSON protocol.

use std::collections::VecDeque;
use std::io::ErrorKind;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tungstenite::client::IntoClientRequest;
use tungstenite::protocol::frame::Frame;
use tungstenite::protocol::frame::coding::{Data, OpCode};
use tungstenite::{Error, Message, WebSocket};

use super::{PATIENCE, message};

/// A socket of this subprotocol, before `connect`. `None` if nobody serves there.
pub(crate) fn socket(ws: &str, subprotocol: &str, patience: Duration) -> Option<WebSocket<TcpStream>> {
    let address = ws.trim_start_matches("ws://").parse().expect("an address");
    let stream = TcpStream::connect_timeout(&address, patience).ok()?;
    stream.set_read_timeout(Some(patience)).expect("a socket takes a timeout");
    let mut request = format!("{ws}/connection/websocket").into_client_request().expect("a legal address");
    request.headers_mut().insert("Sec-WebSocket-Protocol", subprotocol.parse().expect("a legal header"));
    Some(tungstenite::client(request, stream).ok()?.0)
}

/// Why a connection says nothing.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Gone {
    /// Nothing came in time.
    Silent,
    /// The node closed it with this code.
    Closed(u16),
    /// It ended without a word.
    Ended,
}

pub(crate) struct Client {
    socket: WebSocket<TcpStream>,
    next_id: u32,
    /// Lines of a frame that were not looked at.
    said: VecDeque<Value>,
    /// Pushes that came while a reply was waited for.
    pub(crate) pushes: VecDeque<Value>,
    /// Replies that came while another was waited for.
    replies: Vec<Value>,
}

impl Client {
    /// Opens a socket without `connect`.
    pub(crate) fn open(ws: &str) -> Self {
        Self::try_open(ws, PATIENCE).expect("the node listens")
    }

    /// The same; whatever is waited for afterwards is waited for so long.
    pub(crate) fn try_open(ws: &str, patience: Duration) -> Option<Self> {
        let socket = socket(ws, "rookery.json.v1", patience)?;
        let (said, pushes) = (VecDeque::new(), VecDeque::new());
        Some(Self { socket, next_id: 1, said, pushes, replies: Vec::new() })
    }

    /// Opens a socket and connects; the reply to `connect`.
    pub(crate) fn connect(ws: &str, token: &str, device: &str, cursor: Option<&str>) -> (Self, Value) {
        let mut client = Self::open(ws);
        let reply = client.try_connect(token, device, cursor);
        (client, reply.expect("the node answers"))
    }

    /// The reply to `connect`.
    pub(crate) fn try_connect(&mut self, token: &str, device: &str, cursor: Option<&str>) -> Result<Value, Gone> {
        let mut fields = json!({"token": token, "device_id": device});
        if let Some(cursor) = cursor {
            fields["cursor"] = json!(cursor);
        }
        let id = self.try_tell("connect", fields)?;
        self.try_reply(id)
    }

    /// Sends a command without waiting; its number.
    pub(crate) fn tell(&mut self, command: &str, fields: Value) -> u32 {
        self.try_tell(command, fields).expect("the socket takes it")
    }

    pub(crate) fn try_tell(&mut self, command: &str, fields: Value) -> Result<u32, Gone> {
        let id = self.next_id;
        self.next_id += 1;
        self.try_send_text(&json!({"id": id, command: fields}).to_string())?;
        Ok(id)
    }

    /// Sends any text, in frames of 4 KiB: a long one in many, cut within characters.
    pub(crate) fn send_text(&mut self, text: &str) {
        self.try_send_text(text).expect("the socket takes it");
    }

    fn try_send_text(&mut self, text: &str) -> Result<(), Gone> {
        let mut rest = text.as_bytes().chunks(4096).peekable();
        let mut opcode = Data::Text;
        while let Some(piece) = rest.next() {
            let frame = Frame::message(piece.to_vec(), OpCode::Data(opcode), rest.peek().is_none());
            self.socket.send(Message::Frame(frame)).map_err(|_| Gone::Ended)?;
            opcode = Data::Continue;
        }
        Ok(())
    }

    /// Sends any bytes.
    pub(crate) fn send_binary(&mut self, bytes: &[u8]) {
        self.socket.send(Message::binary(bytes.to_vec())).expect("the socket takes it");
    }

    /// Sends a command and waits for its reply.
    pub(crate) fn ask(&mut self, command: &str, fields: Value) -> Value {
        let id = self.tell(command, fields);
        self.reply(id)
    }

    /// Sends a message and waits for the reply.
    pub(crate) fn send(&mut self, channel: &str, id: &str, body: &str) -> Value {
        self.ask("send", message(channel, id, body))
    }

    /// The reply to a number.
    pub(crate) fn reply(&mut self, id: u32) -> Value {
        self.try_reply(id).unwrap_or_else(|gone| panic!("the node says something in time: {gone:?}"))
    }

    pub(crate) fn try_reply(&mut self, id: u32) -> Result<Value, Gone> {
        loop {
            if let Some(at) = self.replies.iter().position(|reply| reply["id"] == id) {
                return Ok(self.replies.remove(at));
            }
            self.take()?;
        }
    }

    /// The next push.
    pub(crate) fn push(&mut self) -> Value {
        while self.pushes.is_empty() {
            self.take().unwrap_or_else(|gone| panic!("the node says something in time: {gone:?}"));
        }
        self.pushes.pop_front().expect("there is one")
    }

    /// The next push, if one comes in time.
    pub(crate) fn push_within(&mut self, most: Duration) -> Option<Value> {
        let until = Instant::now() + most;
        while self.pushes.is_empty() {
            self.patience(until.checked_duration_since(Instant::now()).filter(|left| !left.is_zero())?);
            let taken = self.take();
            self.patience(PATIENCE);
            match taken {
                Ok(()) => {}
                Err(Gone::Silent) => return None,
                Err(gone) => panic!("the connection ended: {gone:?}"),
            }
        }
        self.pushes.pop_front()
    }

    /// How long whatever is waited for is waited for.
    pub(crate) fn patience(&self, most: Duration) {
        self.socket.get_ref().set_read_timeout(Some(most)).expect("a socket takes a timeout");
    }

    fn take(&mut self) -> Result<(), Gone> {
        let said = self.next()?;
        if said["push"].is_object() {
            self.pushes.push_back(said["push"].clone());
        } else {
            self.replies.push(said);
        }
        Ok(())
    }

    /// What the node says next: a reply or a push.
    pub(crate) fn next(&mut self) -> Result<Value, Gone> {
        while self.said.is_empty() {
            match self.socket.read() {
                Ok(Message::Text(text)) => {
                    self.said
                        .extend(text.lines().map(|line| serde_json::from_str(line).expect("a server speaks JSON")));
                }
                Ok(Message::Close(frame)) => return Err(Gone::Closed(frame.map_or(1005, |frame| frame.code.into()))),
                Ok(Message::Ping(_) | Message::Pong(_)) => {}
                Ok(other) => panic!("the node said {other:?}"),
                Err(Error::Io(error)) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                    return Err(Gone::Silent);
                }
                Err(_) => return Err(Gone::Ended),
            }
        }
        Ok(self.said.pop_front().expect("there is one"))
    }

    /// Reads until the close frame; its code. What comes before it is dropped.
    pub(crate) fn closed(mut self) -> u16 {
        loop {
            match self.next() {
                Ok(_) => {}
                Err(Gone::Closed(code)) => return code,
                Err(gone) => panic!("the connection has no close frame: {gone:?}"),
            }
        }
    }
}
