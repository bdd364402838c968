//! Clients as the protocol wants them: they connect again by cursor, wherever a node serves, and send again under the
//! same id what was not acknowledged.
//!
//! Owns what each was told: acknowledgements, and pushes, of which none may be missing or come twice (I6).

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock, Mutex};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use schema::{ClientMsgId, UnixMs};
use serde_json::{Value, json};
use tungstenite::client::IntoClientRequest;
use tungstenite::{Message, WebSocket};

use crate::cluster::{PATIENCE, Place};

/// How long a client waits for a reply before it tries elsewhere.
const REPLY: Duration = Duration::from_secs(1);
/// Between two messages of one writer, so that a round has some hundred.
const PAUSE: Duration = Duration::from_millis(40);

/// Where nodes may serve: clients try one after the other.
#[derive(Clone, Default)]
pub(crate) struct Places(Arc<Mutex<Vec<Place>>>);

impl Places {
    pub(crate) fn add(&self, place: &Place) {
        self.0.lock().expect("no client panics here").push(place.clone());
    }

    pub(crate) fn remove(&self, place: &Place) {
        self.0.lock().expect("no client panics here").retain(|other| other != place);
    }

    fn nth(&self, number: usize) -> Option<Place> {
        let places = self.0.lock().expect("no client panics here");
        places.get(number % places.len().max(1)).cloned()
    }
}

/// An account.
#[derive(Debug, Clone)]
pub(crate) struct Account {
    pub(crate) id: String,
    pub(crate) token: String,
}

/// A request to the public API.
pub(crate) fn http(place: &Place, method: &str, path: &str, token: Option<&str>, body: &Value) -> Value {
    let agent: ureq::Agent = ureq::Agent::config_builder().timeout_global(Some(PATIENCE)).build().into();
    let mut request = ureq::http::Request::builder().method(method).uri(format!("{}{path}", place.api));
    if let Some(token) = token {
        request = request.header("authorization", format!("Bearer {token}"));
    }
    let body = if body.is_null() { String::new() } else { body.to_string() };
    let request = request.header("content-type", "application/json").body(body).expect("a legal request");
    let mut answer = agent.run(request).unwrap_or_else(|error| panic!("{method} {path}: {error}"));
    serde_json::from_str(&answer.body_mut().read_to_string().expect("text")).expect("JSON")
}

pub(crate) fn sign_up(place: &Place, name: &str) -> Account {
    let body = json!({"username": name, "password": "correct horse battery"});
    let account = http(place, "POST", "/v1/auth/signup", None, &body);
    let text = |field: &str| account[field].as_str().expect("a string").to_owned();
    Account { id: text("user_id"), token: text("token") }
}

/// Why a connection is of no use any more.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Gone {
    /// It ended, or nothing came in time.
    Silent,
    /// The node closed it with this code.
    Closed(u16),
}

/// A connection of the JSON protocol.
pub(crate) struct Connection {
    socket: WebSocket<TcpStream>,
    pub(crate) place: Place,
    next_id: u32,
}

impl Connection {
    /// Connects one device. `None` if nobody serves there.
    pub(crate) fn open(place: &Place, account: &Account, device: &str, cursor: Option<&str>) -> Option<(Self, Value)> {
        let address = place.ws.trim_start_matches("ws://").parse().expect("an address");
        let stream = TcpStream::connect_timeout(&address, REPLY).ok()?;
        stream.set_read_timeout(Some(REPLY)).expect("a socket takes a timeout");
        let mut request = format!("{}/connection/websocket", place.ws).into_client_request().expect("a legal address");
        let protocol = "rookery.json.v1".parse().expect("a legal header");
        request.headers_mut().insert("Sec-WebSocket-Protocol", protocol);
        let (socket, _) = tungstenite::client(request, stream).ok()?;
        let mut connection = Self { socket, place: place.clone(), next_id: 1 };
        let mut fields = json!({"token": account.token, "device_id": device});
        if let Some(cursor) = cursor {
            fields["cursor"] = json!(cursor);
        }
        let id = connection.tell("connect", fields).ok()?;
        loop {
            let said = connection.next().ok()?;
            if said["id"] == id {
                assert!(said["error"].is_null() || said["error"]["temporary"] == true, "{said}");
                return said["error"].is_null().then_some((connection, said));
            }
        }
    }

    /// Sends a command; its number.
    pub(crate) fn tell(&mut self, command: &str, fields: Value) -> Result<u32, Gone> {
        let id = self.next_id;
        self.next_id += 1;
        let line = json!({"id": id, command: fields}).to_string();
        self.socket.send(Message::text(line)).map_err(|_| Gone::Silent)?;
        Ok(id)
    }

    /// What the node says next: a reply or a push.
    pub(crate) fn next(&mut self) -> Result<Value, Gone> {
        loop {
            match self.socket.read() {
                Ok(Message::Text(text)) => return Ok(serde_json::from_str(&text).expect("one line of JSON a frame")),
                Ok(Message::Close(frame)) => return Err(Gone::Closed(frame.map_or(1005, |frame| frame.code.into()))),
                Ok(_) => {}
                Err(_) => return Err(Gone::Silent),
            }
        }
    }

    pub(crate) fn wait_at_most(&self, most: Duration) {
        self.socket.get_ref().set_read_timeout(Some(most)).expect("a socket takes a timeout");
    }
}

/// A message that was acknowledged.
#[derive(Debug, Clone)]
pub(crate) struct Acknowledged {
    pub(crate) text: String,
    pub(crate) seq: u64,
    pub(crate) by: Place,
    pub(crate) at: Instant,
}

/// What the sends of a client came to, as they come.
pub(crate) type Ledger = Arc<Mutex<Vec<Acknowledged>>>;

/// The fields of a send. One text is one message, whoever sends it again.
pub(crate) fn send(channel: &str, text: &str) -> Value {
    // Of the start, so that a retry has the same.
    static MADE: LazyLock<UnixMs> = LazyLock::new(|| {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
        UnixMs(u64::try_from(since.as_millis()).expect("before the year 584 million"))
    });
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    let number = u128::from(hasher.finish());
    json!({"channel_id": channel, "client_msg_id": ClientMsgId::new(*MADE, number).to_string(), "body": text})
}

/// One who writes all the time.
pub(crate) struct Writer {
    pub(crate) account: Account,
    pub(crate) channel: String,
    pub(crate) places: Places,
    pub(crate) ledger: Ledger,
    pub(crate) end: Arc<End>,
}

/// How writers end: each acknowledges its last message, then all are pushed what the log ends with.
#[derive(Default)]
pub(crate) struct End {
    /// No writer begins another message.
    pub(crate) stop: AtomicBool,
    /// Writers whose last message is acknowledged.
    pub(crate) written: AtomicUsize,
    /// The last seq of the log once nobody writes any more, 0 before.
    pub(crate) last: AtomicU64,
}

impl Writer {
    /// Writes until it is stopped, and reads until it was pushed the last message of all. The seqs and texts that it
    /// was pushed, in their order.
    pub(crate) fn run(self) -> Vec<(u64, String)> {
        let mut pushed = Vec::new();
        let mut cursor: Option<String> = None;
        let mut connection: Option<Connection> = None;
        let mut tries = 0;
        for number in 0.. {
            if self.end.stop.load(Ordering::Relaxed) {
                break;
            }
            let text = format!("{}-{number}", self.account.id);
            while !self.sent(&text, &mut connection, &mut cursor, &mut pushed) {
                connection = self.connected(&mut tries, &mut cursor);
            }
            thread::sleep(PAUSE);
        }
        self.end.written.fetch_add(1, Ordering::Relaxed);
        let until = Instant::now() + PATIENCE;
        loop {
            let last = self.end.last.load(Ordering::Relaxed);
            let seen = pushed.last().map_or(0, |(seq, _)| *seq);
            if last > 0 && seen >= last {
                return pushed;
            }
            assert!(Instant::now() < until, "I6: {} was pushed up to {seen} of {last}", self.account.id);
            match connection.as_mut().map(Connection::next) {
                Some(Ok(said)) => self.take(&said["push"], &mut cursor, &mut pushed),
                Some(Err(_)) | None => connection = self.connected(&mut tries, &mut cursor),
            }
        }
    }

    /// A connection to the next place, if a node serves there.
    fn connected(&self, tries: &mut usize, cursor: &mut Option<String>) -> Option<Connection> {
        *tries += 1;
        let open = self.places.nth(*tries);
        let open = open.and_then(|place| Connection::open(&place, &self.account, "phone", cursor.as_deref()));
        if open.is_none() {
            thread::sleep(Duration::from_millis(20));
        }
        let (connection, said) = open?;
        cursor.get_or_insert_with(|| said["connect"]["cursor"].as_str().expect("a cursor").to_owned());
        Some(connection)
    }

    /// Whether the message was acknowledged on this connection.
    fn sent(
        &self,
        text: &str,
        connection: &mut Option<Connection>,
        cursor: &mut Option<String>,
        pushed: &mut Vec<(u64, String)>,
    ) -> bool {
        let Some(connection) = connection else { return false };
        loop {
            let Ok(id) = connection.tell("send", send(&self.channel, text)) else { return false };
            let reply = loop {
                let Ok(said) = connection.next() else { return false };
                if said["id"] == id {
                    break said;
                }
                self.take(&said["push"], cursor, pushed);
            };
            if reply["error"].is_null() {
                let seq = reply["send"]["seq"].as_u64().expect("a seq");
                let (text, by, at) = (text.to_owned(), connection.place.clone(), Instant::now());
                self.ledger.lock().expect("nobody panics here").push(Acknowledged { text, seq, by, at });
                return true;
            }
            assert_eq!(reply["error"]["temporary"], true, "{reply}");
            thread::sleep(Duration::from_millis(reply["error"]["retry_after_ms"].as_u64().unwrap_or(50)));
        }
    }

    fn take(&self, push: &Value, cursor: &mut Option<String>, pushed: &mut Vec<(u64, String)>) {
        assert!(push["snapshot"].is_null(), "I6: the cursor is not too old: {push}");
        let message = &push["message"]["message"];
        if message["channel_id"] == self.channel.as_str() {
            let seq = message["seq"].as_u64().expect("a seq");
            if let Some((last, _)) = pushed.last() {
                assert_eq!(seq, last + 1, "I6: {} is pushed the next message, across nodes", self.account.id);
            }
            pushed.push((seq, message["body"].as_str().expect("a text").to_owned()));
        }
        for (_, fields) in push.as_object().into_iter().flatten() {
            if let Some(after) = fields["cursor"].as_str() {
                *cursor = Some(after.to_owned());
            }
        }
    }
}
