//! Plain HTTP as it is written on the wire, and event streams as an `EventSource` reads them.

use std::io::{BufRead as _, BufReader, ErrorKind, Read as _, Write as _};
use std::net::{Shutdown, TcpStream};

use serde_json::Value;

use super::PATIENCE;

/// A request on a connection of its own.
pub(crate) fn request(ws: &str, head: &str, body: &str) -> TcpStream {
    let stream = TcpStream::connect(ws.trim_start_matches("ws://")).expect("the node listens");
    ask(stream, head, body)
}

/// The same on this connection.
pub(crate) fn ask(stream: TcpStream, head: &str, body: &str) -> TcpStream {
    stream.set_read_timeout(Some(PATIENCE)).expect("a socket takes a timeout");
    (&stream).write_all(head.as_bytes()).expect("the socket takes it");
    (&stream).write_all(b"\r\n").expect("the socket takes it");
    (&stream).write_all(body.as_bytes()).expect("the socket takes it");
    stream
}

/// Its answer: the status, the head and the body.
pub(crate) fn answer(stream: TcpStream) -> (u16, String, String) {
    let mut bytes = Vec::new();
    let read = (&stream).read_to_end(&mut bytes);
    let text = String::from_utf8(bytes).expect("an answer is text");
    read.unwrap_or_else(|error| panic!("the answer ends: {error}, after {text:?}"));
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("{text:?} is no answer"));
    assert!(is_http1(head), "{head}");
    let status = head[9..12].parse().expect("a status");
    (status, head.to_owned(), body.to_owned())
}

/// Whether an answer begins as one of HTTP/1; Caddy answers in the version that it was asked in.
fn is_http1(head: &str) -> bool {
    ["HTTP/1.1", "HTTP/1.0"]
        .iter()
        .any(|version| head.get(..8).is_some_and(|begin| begin.eq_ignore_ascii_case(version)))
}

/// The head of a request in HTTP/1.0, so that a proxy too ends the answer with the connection.
pub(crate) fn get(target: &str, headers: &str) -> String {
    format!("GET {target} HTTP/1.0\r\nHost: a\r\n{headers}")
}

pub(crate) fn lines(body: &str) -> Vec<Value> {
    body.lines().map(|line| serde_json::from_str(line).expect("a line is JSON")).collect()
}

/// What a call of these lines is answered.
pub(crate) fn call(ws: &str, token: &str, said: &[Value]) -> (u16, Vec<Value>) {
    let body: String = said.iter().map(|line| format!("{line}\n")).collect();
    let head = format!(
        "POST /connection/command HTTP/1.0\r\nHost: a\r\nAuthorization: Bearer {token}\r\nContent-Length: {}\r\n",
        body.len()
    );
    let (status, _, body) = answer(request(ws, &head, &body));
    (status, lines(&body))
}

/// An event stream as an `EventSource` reads it.
pub(crate) struct Events {
    reader: BufReader<TcpStream>,
    /// The last id, which comes back as `Last-Event-ID`.
    cursor: Option<String>,
}

/// One event: its name, its id and its data.
#[derive(Debug, Default)]
pub(crate) struct Event {
    pub(crate) name: String,
    pub(crate) id: Option<String>,
    pub(crate) data: String,
}

impl Events {
    pub(crate) fn open(ws: &str, query: &str, cursor: Option<&str>) -> Self {
        let last = cursor.map_or_else(String::new, |cursor| format!("Last-Event-ID: {cursor}\r\n"));
        let stream = request(ws, &get(&format!("/connection/sse?{query}"), &last), "");
        let mut reader = BufReader::new(stream);
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            assert_ne!(reader.read_line(&mut head).expect("the node answers"), 0, "the answer ends after {head:?}");
        }
        let head = head.to_ascii_lowercase();
        assert!(is_http1(&head) && head[8..].starts_with(" 200 "), "{head}");
        assert!(head.contains("content-type: text/event-stream\r\n"), "{head}");
        Self { reader, cursor: cursor.map(str::to_owned) }
    }

    /// The next event; none where the stream ends, or says nothing in time.
    pub(crate) fn next(&mut self) -> Option<Event> {
        let mut event = Event::default();
        loop {
            let mut line = String::new();
            match self.reader.read_line(&mut line) {
                Ok(0) => return None,
                Ok(_) => {}
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => return None,
                Err(error) => panic!("{error}"),
            }
            match line.trim_end_matches('\n').split_once(": ") {
                Some(("id", id)) => {
                    event.id = Some(id.to_owned());
                    self.cursor = Some(id.to_owned());
                }
                Some(("event", name)) => event.name = name.to_owned(),
                Some(("data", data)) => event.data = data.to_owned(),
                Some(_) => panic!("{line:?}"),
                None if line == "\n" && !event.data.is_empty() => return Some(event),
                None => assert!(matches!(line.as_str(), "\n" | ":\n"), "{line:?}"),
            }
        }
    }

    pub(crate) fn value(&mut self) -> Value {
        let event = self.next().expect("an event comes in time");
        assert_eq!(event.name, "", "{event:?}");
        serde_json::from_str(&event.data).expect("the data is JSON")
    }

    pub(crate) fn cut(self) -> Option<String> {
        let _ = self.reader.get_ref().shutdown(Shutdown::Both);
        self.cursor
    }
}
