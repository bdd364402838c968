//! A real node and real clients, for tests that need both.
//!
//! Owns a `rookery` process with its data directory, an HTTP client and a WebSocket client that nobody here wrote the
//! protocol parts of: tungstenite frames them, and JSON is read as JSON.

#![expect(dead_code, reason = "each test binary uses its part of this")]

mod starting;

use std::io::{ErrorKind, Read};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, ExitStatus};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
pub(crate) use starting::{Log, Starting};
use tungstenite::client::IntoClientRequest;
use tungstenite::protocol::frame::Frame;
use tungstenite::protocol::frame::coding::{Data, OpCode};
use tungstenite::{Message, WebSocket};

/// How long anything may take here before the test fails.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// A running `rookery`. Killed when dropped.
pub(crate) struct Node {
    child: Child,
    log: Log,
    pub(crate) api: String,
    pub(crate) ws: String,
    pub(crate) internal: String,
}

impl Node {
    /// Starts `rookery` on free ports of loopback and waits until it is ready.
    pub(crate) fn start(mode: &str, data: &Path, extra: &[&str]) -> Self {
        Starting::spawn(mode, data, extra).ready()
    }

    /// One that has said that it is ready.
    fn new(child: Child, ready: &str, log: Log) -> Self {
        let place = |name: &str| {
            let field = ready.split(' ').find_map(|word| word.strip_prefix(&format!("{name}=")));
            field.unwrap_or_else(|| panic!("{name} is in {ready:?}")).to_owned()
        };
        Self { api: place("api"), ws: place("ws"), internal: place("internal"), child, log }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits for a line of its log.
    pub(crate) fn logged(&self, part: &str) -> String {
        self.log.until(part)
    }

    /// kill -9.
    pub(crate) fn kill(mut self) {
        self.child.kill().expect("it runs");
        self.child.wait().expect("it was ours");
    }

    /// SIGTERM, and how it ended.
    pub(crate) fn terminate(mut self) -> ExitStatus {
        terminate(&mut self.child)
    }

    /// A request with a JSON body; the status and the JSON answer.
    pub(crate) fn http(&self, method: &str, path: &str, token: Option<&str>, body: Option<&Value>) -> (u16, Value) {
        let agent: ureq::Agent =
            ureq::Agent::config_builder().http_status_as_error(false).timeout_global(Some(PATIENCE)).build().into();
        let mut request = ureq::http::Request::builder().method(method).uri(format!("{}{path}", self.api));
        if let Some(token) = token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        let body = body.map(Value::to_string).unwrap_or_default();
        let request = request.header("content-type", "application/json").body(body).expect("a legal request");
        let mut answer = agent.run(request).expect("the node answers");
        let text = answer.body_mut().read_to_string().expect("the answer is text");
        let json =
            if text.is_empty() { Value::Null } else { serde_json::from_str(&text).unwrap_or(Value::String(text)) };
        (answer.status().as_u16(), json)
    }

    /// Makes an account; its id and token.
    pub(crate) fn sign_up(&self, username: &str) -> (String, String) {
        let body = json!({"username": username, "password": "correct horse battery"});
        let (status, account) = self.http("POST", "/v1/auth/signup", None, Some(&body));
        assert_eq!(status, 201, "{account}");
        (text(&account["user_id"]), text(&account["token"]))
    }

    /// The direct channel of two accounts.
    pub(crate) fn direct(&self, token: &str, other: &str) -> String {
        let body = json!({"kind": "direct", "user_id": other});
        let (status, channel) = self.http("POST", "/v1/channels", Some(token), Some(&body));
        assert!(matches!(status, 200 | 201), "{status} {channel}");
        text(&channel["channel_id"])
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn terminate(child: &mut Child) -> ExitStatus {
    let status = Command::new("kill").arg("-TERM").arg(child.id().to_string()).status();
    assert!(status.expect("kill runs").success());
    child.wait().expect("it was ours")
}

/// What is at a path: the status and the text.
pub(crate) fn get(url: &str) -> (u16, String) {
    let mut answer = ureq::get(url).config().http_status_as_error(false).build().call().expect("it answers");
    let text = answer.body_mut().read_to_string().expect("the answer is text");
    (answer.status().as_u16(), text)
}

/// A JSON string's text.
pub(crate) fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("{value} is a string")).to_owned()
}

/// A client of the JSON protocol.
pub(crate) struct Client {
    socket: WebSocket<TcpStream>,
    next_id: u32,
    /// Pushes that came while a reply was waited for.
    pub(crate) pushes: Vec<Value>,
    /// Replies that came while another was waited for.
    replies: Vec<Value>,
}

impl Client {
    /// Opens a socket without `connect`.
    pub(crate) fn open(ws: &str) -> Self {
        let stream = TcpStream::connect(ws.trim_start_matches("ws://")).expect("the node listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("a socket takes a timeout");
        let mut request = format!("{ws}/connection/websocket").into_client_request().expect("a legal address");
        let protocol = "rookery.json.v1".parse().expect("a legal header");
        request.headers_mut().insert("Sec-WebSocket-Protocol", protocol);
        let (socket, _) = tungstenite::client(request, stream).expect("the handshake succeeds");
        Self { socket, next_id: 1, pushes: Vec::new(), replies: Vec::new() }
    }

    /// Opens a socket and connects; the reply to `connect`.
    pub(crate) fn connect(ws: &str, token: &str, device: &str, cursor: Option<&str>) -> (Self, Value) {
        let mut client = Self::open(ws);
        let mut fields = json!({"token": token, "device_id": device});
        if let Some(cursor) = cursor {
            fields["cursor"] = json!(cursor);
        }
        let reply = client.ask("connect", fields);
        (client, reply)
    }

    /// Sends a command without waiting; its number.
    pub(crate) fn tell(&mut self, command: &str, fields: Value) -> u32 {
        let id = self.next_id;
        self.next_id += 1;
        self.send_text(&json!({"id": id, command: fields}).to_string());
        id
    }

    /// Sends any text, in frames of 4 KiB: a long one in many, cut within characters.
    pub(crate) fn send_text(&mut self, text: &str) {
        let mut rest = text.as_bytes().chunks(4096).peekable();
        let mut opcode = Data::Text;
        while let Some(piece) = rest.next() {
            let frame = Frame::message(piece.to_vec(), OpCode::Data(opcode), rest.peek().is_none());
            self.socket.send(Message::Frame(frame)).expect("the socket takes it");
            opcode = Data::Continue;
        }
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

    /// The reply to a number.
    pub(crate) fn reply(&mut self, id: u32) -> Value {
        loop {
            if let Some(at) = self.replies.iter().position(|reply| reply["id"] == id) {
                return self.replies.remove(at);
            }
            self.read_frame();
        }
    }

    /// The next push.
    pub(crate) fn push(&mut self) -> Value {
        while self.pushes.is_empty() {
            self.read_frame();
        }
        self.pushes.remove(0)
    }

    /// The next push, if one comes in time.
    pub(crate) fn push_within(&mut self, most: Duration) -> Option<Value> {
        let until = Instant::now() + most;
        while self.pushes.is_empty() {
            let left = until.checked_duration_since(Instant::now()).filter(|left| !left.is_zero())?;
            self.socket.get_ref().set_read_timeout(Some(left)).expect("a socket takes a timeout");
            let read = self.socket.read();
            self.socket.get_ref().set_read_timeout(Some(PATIENCE)).expect("a socket takes a timeout");
            match read {
                Ok(message) => self.take(message),
                Err(tungstenite::Error::Io(error)) if error.kind() == ErrorKind::WouldBlock => return None,
                Err(error) => panic!("the connection ended: {error}"),
            }
        }
        Some(self.pushes.remove(0))
    }

    fn read_frame(&mut self) {
        let message = self.socket.read().expect("the node says something in time");
        self.take(message);
    }

    fn take(&mut self, message: Message) {
        match message {
            Message::Text(text) => {
                for line in text.lines() {
                    let value: Value = serde_json::from_str(line).expect("a server speaks JSON");
                    if value["push"].is_object() {
                        self.pushes.push(value["push"].clone());
                    } else {
                        self.replies.push(value);
                    }
                }
            }
            Message::Ping(_) | Message::Pong(_) => {}
            other => panic!("the node said {other:?}"),
        }
    }

    /// Reads until the close frame; its code. What comes before it is dropped.
    pub(crate) fn closed(mut self) -> u16 {
        loop {
            match self.socket.read() {
                Ok(Message::Close(frame)) => return frame.map_or(1005, |frame| frame.code.into()),
                Ok(_) => {}
                Err(error) => panic!("the connection ended without a close frame: {error}"),
            }
        }
    }

    /// Bytes as they come, for clients that do not read frames.
    pub(crate) fn into_stream(self) -> TcpStream {
        self.socket.into_inner()
    }
}

/// A client_msg_id of now: a UUID of version 7 whose rest counts.
pub(crate) fn client_msg_id(number: u64) -> String {
    let ms = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_millis();
    let ms = u64::try_from(ms).expect("before the year 584 million");
    schema::ClientMsgId::new(schema::UnixMs(ms), u128::from(number)).to_string()
}

/// What is left on a stream, for at most a second.
pub(crate) fn drain(stream: &mut TcpStream) -> usize {
    stream.set_read_timeout(Some(Duration::from_secs(1))).expect("a socket takes a timeout");
    let mut bytes = vec![0; 64 * 1024];
    let mut total = 0;
    while let Ok(count @ 1..) = stream.read(&mut bytes) {
        total += count;
    }
    total
}
