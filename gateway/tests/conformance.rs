//! The simulated node and a real process, held to one list of scenarios: what clients see of both is the same.
//!
//! What holds in simulated worlds says something of the program only as far as the two agree; this is where they are
//! compared.

mod support;

use std::collections::VecDeque;
use std::io::ErrorKind;
use std::net::TcpStream;
use std::path::Path;
use std::time::Duration;

use schema::op::PastAccess;
use schema::{ChannelId, Encoding, UnixMs, UserId};
use serde_json::{Value, json};
use sim::conformance::{ApiCall, Heard, PEOPLE, SimulatedNode, Transport, play, scenarios};
use support::{Node, PATIENCE};
use tungstenite::{Error, Message, WebSocket};

/// A connection, until it is dropped.
struct Connection {
    socket: WebSocket<TcpStream>,
    encoding: Encoding,
    heard: VecDeque<Heard>,
}

/// A `rookery` process with accounts of its own for each scenario.
struct RealNode<'a> {
    data: &'a Path,
    /// Gone only while it restarts.
    node: Option<Node>,
    people: Vec<(UserId, String)>,
    direct: ChannelId,
    connections: Vec<Option<Connection>>,
}

fn start(data: &Path) -> Node {
    Node::start("run", data, &["--shards", "2"])
}

impl<'a> RealNode<'a> {
    fn start(data: &'a Path) -> Self {
        let node = Some(start(data));
        Self { data, node, people: Vec::new(), direct: ChannelId(0), connections: Vec::new() }
    }

    fn node(&self) -> &Node {
        self.node.as_ref().expect("it is away only within a restart")
    }

    /// New accounts, and their direct channel.
    fn set_up(&mut self, scenario: usize) {
        let sign_up = |person: &&str| {
            let (id, token) = self.node().sign_up(&format!("{person}{scenario}"));
            (id.parse().expect("an id"), token)
        };
        let people: Vec<(UserId, String)> = PEOPLE.iter().map(sign_up).collect();
        let direct = self.node().direct(&people[0].1, &people[1].0.to_string());
        self.direct = direct.parse().expect("an id");
        self.people = people;
        self.connections.clear();
    }

    fn person(&self, person: &str) -> &(UserId, String) {
        let at = PEOPLE.iter().position(|known| *known == person);
        &self.people[at.unwrap_or_else(|| panic!("nobody is called {person}"))]
    }

    /// What a person's request is answered, or the code of its error.
    fn asks(&self, by: &str, method: &str, path: &str, body: Option<&Value>) -> Result<Value, u16> {
        let (status, body) = self.node().http(method, path, Some(&self.person(by).1), body);
        if (200..300).contains(&status) {
            return Ok(body);
        }
        let code = body["code"].as_u64().unwrap_or_else(|| panic!("{status} {body} has a code"));
        Err(u16::try_from(code).expect("codes are below 4,000"))
    }
}

impl Connection {
    fn frames(&mut self, payload: &[u8]) {
        let frames = self.encoding.server_frames(payload).expect("a server speaks the protocol");
        self.heard.extend(frames.into_iter().map(Heard::Frame));
    }

    /// Reads a message, if one comes in time. Whether one did.
    fn read(&mut self, patience_ms: u64) -> bool {
        let patience = Some(Duration::from_millis(patience_ms));
        self.socket.get_ref().set_read_timeout(patience).expect("a socket takes a timeout");
        match self.socket.read() {
            Ok(Message::Text(text)) => self.frames(text.as_bytes()),
            Ok(Message::Binary(bytes)) => self.frames(&bytes),
            Ok(Message::Close(frame)) => self.heard.push_back(Heard::Closed(frame.map(|frame| frame.code.into()))),
            Ok(_) => {}
            Err(Error::Io(error)) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                return false;
            }
            Err(_) => self.heard.push_back(Heard::Closed(None)),
        }
        true
    }
}

impl Transport for RealNode<'_> {
    fn user(&self, person: &str) -> UserId {
        self.person(person).0
    }

    fn token(&self, person: &str) -> String {
        self.person(person).1.clone()
    }

    fn direct(&self) -> ChannelId {
        self.direct
    }

    fn call(&mut self, by: &str, call: ApiCall<'_>) -> Result<Option<ChannelId>, u16> {
        let id = |person: &str| self.user(person).to_string();
        let channels = || "/v1/channels".to_owned();
        let member = |channel: ChannelId, person| format!("/v1/channels/{channel}/members/{}", id(person));
        let block = |person| format!("/v1/me/blocks/{}", id(person));
        let (method, path, body) = match call {
            ApiCall::MakeGroup(others) => {
                let members: Vec<String> = others.iter().map(|other| id(other)).collect();
                ("POST", channels(), Some(json!({"kind": "group", "title": "group", "member_ids": members})))
            }
            ApiCall::MakeLarge(past) => {
                let history = match past {
                    PastAccess::Joined => "joined",
                    PastAccess::All => "all",
                };
                ("POST", channels(), Some(json!({"kind": "large", "title": "room", "history": history})))
            }
            ApiCall::Add(channel, person) => ("PUT", member(channel, person), Some(json!({"role": "member"}))),
            ApiCall::Remove(channel, person) => ("DELETE", member(channel, person), None),
            ApiCall::Block(person) => ("PUT", block(person), None),
            ApiCall::Unblock(person) => ("DELETE", block(person), None),
            ApiCall::Revoke(device) => ("DELETE", format!("/v1/me/devices/{device}"), None),
        };
        let answer = self.asks(by, method, &path, body.as_ref())?;
        Ok(answer["channel_id"].as_str().map(|channel| channel.parse().expect("an id")))
    }

    fn wait(&mut self, ms: u64) {
        std::thread::sleep(Duration::from_millis(ms));
    }

    fn wall(&self) -> UnixMs {
        support::wall()
    }

    fn open(&mut self, encoding: Encoding) -> usize {
        let socket = support::socket(&self.node().ws, encoding.subprotocol(), PATIENCE).expect("the node listens");
        self.connections.push(Some(Connection { socket, encoding, heard: VecDeque::new() }));
        self.connections.len() - 1
    }

    fn say(&mut self, connection: usize, text: bool, payload: &[u8]) {
        let Some(connection) = &mut self.connections[connection] else { return };
        let message = match text {
            true => Message::text(String::from_utf8(payload.to_vec()).expect("texts are UTF-8")),
            false => Message::binary(payload.to_vec()),
        };
        // If the node has ended the connection, that is what is heard next.
        let _ = connection.socket.send(message);
    }

    fn hear(&mut self, connection: usize, patience_ms: u64) -> Option<Heard> {
        let connection = self.connections[connection].as_mut()?;
        while connection.heard.is_empty() {
            if !connection.read(patience_ms) {
                return None;
            }
        }
        connection.heard.pop_front()
    }

    fn drop_connection(&mut self, connection: usize) {
        self.connections[connection] = None;
    }

    fn restart(&mut self) {
        self.node.take().expect("it runs").kill();
        self.node = Some(start(self.data));
    }
}

#[test]
fn a_real_process_does_as_the_simulated_node() {
    let data = tempfile::tempdir().expect("a directory");
    let mut real = RealNode::start(data.path());
    for (number, scenario) in scenarios().enumerate() {
        real.set_up(number);
        let of_real = play(scenario, &mut real);
        let of_simulated = play(scenario, &mut SimulatedNode::start(number as u64));
        assert_eq!(
            of_real, of_simulated,
            "a real process on the left, the simulated node on the right: {}",
            scenario.name
        );
        assert_eq!(of_real, scenario.expected(), "{}", scenario.name);
    }
}
