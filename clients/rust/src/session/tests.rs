//! The session as time passes, without sockets and without sleeping. What it does beside that is in the conformance list.

use serde_json::{Value, json};

use super::{Answer, Input, Lasting, Node, Now, Output, Session, Settings, Ticket};
use crate::config::{Bounds, Endpoint};
use crate::error::{Error, StoreError};
use crate::events::{Connection, Event, Fill, Place};
use crate::message::{ChannelId, OperationId};
use crate::outbox::{Operation, Progress};
use crate::store::Held;

/// A session, its virtual time, and what it did.
struct World {
    session: Session,
    now: Now,
    socket: u64,
    did: Vec<String>,
    /// Numbers of frames by their command, the last of each.
    asked: Vec<(String, u64)>,
    unstored: Vec<u64>,
    /// The client_msg_id of the last send.
    sent: String,
    /// `true` while the application's queue takes another event.
    room: bool,
    tickets: u64,
}

impl World {
    fn new(endpoint: Endpoint, seed: u64) -> Self {
        let settings = Settings {
            endpoint,
            device_id: "d".to_owned(),
            client: "c".to_owned(),
            bounds: Bounds { operations: 3, ..Bounds::default() },
            seed,
        };
        let now = Now { ms: 0, wall_ms: 1_800_000_000_000 };
        let session = Session::new(settings, Held::default());
        let (did, asked, unstored, sent) = (Vec::new(), Vec::new(), Vec::new(), String::new());
        let mut world = Self { session, now, socket: 0, did, asked, unstored, sent, room: true, tickets: 0 };
        world.give(Input::Wake);
        world
    }

    fn give(&mut self, input: Input) {
        self.session.handle(self.now, input);
        while let Some(output) = self.session.poll_output() {
            if let Some(did) = self.note(output) {
                self.did.push(did);
            }
        }
    }

    fn note(&mut self, output: Output) -> Option<String> {
        Some(match output {
            Output::FindNodes(apis) => format!("find {}", apis.join("|")),
            Output::FetchToken(need) => format!("token {need:?}"),
            Output::Connect { socket, url } => {
                self.socket = socket;
                format!("dial {url}")
            }
            Output::Write(text) => {
                let mut frame: Value = serde_json::from_str(&text).expect("a frame is JSON");
                let id = frame.as_object_mut().and_then(|frame| frame.remove("id"));
                let (name, fields) = frame.as_object().and_then(|frame| frame.iter().next()).expect("a command");
                if let Some(id) = fields["client_msg_id"].as_str() {
                    id.clone_into(&mut self.sent);
                }
                self.asked.push((name.clone(), id.and_then(|id| id.as_u64()).unwrap_or(0)));
                fields["cursor"].as_str().map_or(name.clone(), |cursor| format!("{name} {cursor}"))
            }
            Output::Disconnect => "leave".to_owned(),
            Output::Tell(told) => {
                let place = match told.place {
                    Some(Place::After(cursor)) => format!(" {cursor}"),
                    Some(Place::Nowhere) => " nowhere".to_owned(),
                    None => String::new(),
                };
                match told.event? {
                    Event::Connection(Connection::Connecting) => return None,
                    Event::Connection(Connection::Live { .. }) => format!("live{place}"),
                    Event::Connection(Connection::Waiting { .. }) => "waits".to_owned(),
                    Event::Message(message) => format!("message {}{place}", message.seq),
                    Event::Outgoing(outgoing) => format!("outgoing {}", progress(&outgoing.progress)),
                    Event::Ended(_) => "ended".to_owned(),
                    Event::Reset => format!("reset{place}"),
                    other => format!("{other:?}"),
                }
            }
            Output::Put(entry) => {
                self.unstored.push(entry.order);
                return None;
            }
            Output::Remove { .. } | Output::Over => return None,
            Output::Answer { result: Ok(Answer::Outgoing(all)), .. } => {
                format!("outbox {}", all.iter().map(|each| progress(&each.progress)).collect::<Vec<_>>().join("|"))
            }
            Output::Answer { result: Ok(_), .. } => "answered".to_owned(),
            Output::Answer { result: Err(Error::Offline), .. } => "offline".to_owned(),
            Output::Answer { result: Err(error), .. } => format!("error: {error}"),
            Output::Finish { outgoing, .. } => format!("finished {}", progress(&outgoing.progress)),
        })
    }

    /// Lets time pass, as a driver would.
    fn pass(&mut self, ms: u64) {
        let until = self.now.ms + ms;
        while let Some(at_ms) = self.session.poll_timeout(self.now).filter(|&at_ms| at_ms <= until) {
            let at_ms = at_ms.max(self.now.ms);
            self.now = Now { ms: at_ms, wall_ms: self.now.wall_ms + at_ms - self.now.ms };
            self.give(Input::Wake);
        }
        self.now = Now { ms: until, wall_ms: self.now.wall_ms + until - self.now.ms };
    }

    fn hears(&mut self, envelope: &Value) {
        let (socket, room) = (self.socket, self.room);
        self.give(Input::Heard { socket, text: envelope.to_string(), room });
    }

    fn last(&self, command: &str) -> u64 {
        self.asked.iter().rev().find(|(asked, _)| asked == command).expect("it was asked").1
    }

    fn step(&mut self, step: &str) {
        let mut words = step.split(' ');
        let mut word = || words.next().unwrap_or_default();
        let (verb, one, two) = (word(), word(), word());
        let number = |text: &str| text.parse::<u64>().unwrap_or_else(|_| panic!("{step}: {text:?} is a number"));
        let socket = self.socket;
        match verb {
            "token" => self.give(Input::Token(Ok(one.to_owned()))),
            "nodes" => {
                let node = |name: &str| Node { url: name.to_owned(), api_url: Some(format!("http-{name}")) };
                let nodes = one.split('|').map(node).collect();
                self.give(Input::Nodes(Ok((format!("http-{two}"), nodes))));
            }
            "opened" => self.give(Input::Opened { socket }),
            "joined" => {
                let cursor = if one.is_empty() { "c0" } else { one };
                let reply = json!({
                    "user_id": "1", "server_time_ms": self.now.wall_ms, "ping_ms": 25_000, "cursor": cursor,
                    "limits": {"body_chars_max": 10, "frame_bytes_max": 65_536}, "retry": {"base_ms": 500, "cap_ms": 20_000},
                });
                let id = self.last("connect");
                self.hears(&json!({"id": id, "connect": reply}));
            }
            "refused" => {
                let error =
                    json!({"code": number(two), "message": "", "temporary": true, "retry_after_ms": number(word())});
                let id = self.last(one);
                self.hears(&json!({"id": id, "error": error}));
            }
            // For good.
            "forbidden" => {
                let error = json!({"code": 102, "message": "", "temporary": false, "retry_after_ms": 0});
                let id = self.last(one);
                self.hears(&json!({"id": id, "error": error}));
            }
            "reply" => {
                let id = self.last(one);
                let fields = match one {
                    "send" => json!({"seq": 1, "sent_ms": 1, "duplicate": false}),
                    _ => json!({}),
                };
                self.hears(&json!({"id": id, one: fields}));
            }
            // A message, under the id of what was sent last if it is `mine` or `theirs`, of this user or of another.
            "push" => {
                let id = if two.is_empty() { "00000000-0000-7000-8000-000000000001" } else { &self.sent };
                let message = json!({
                    "channel_id": "7", "seq": number(one), "revision": 0, "from": if two == "mine" { "1" } else { "2" },
                    "sent_ms": 1, "body": "b", "client_msg_id": id,
                });
                self.hears(&json!({"push": {"message": {"message": message, "cursor": format!("c{one}")}}}));
            }
            "drain" => {
                let mut drain = json!({"deadline_ms": 0, "jitter_ms": number(one)});
                if !two.is_empty() {
                    drain["url"] = json!(two);
                }
                self.hears(&json!({"push": {"drain": drain}}));
            }
            "ping" => self.give(Input::Alive { socket }),
            "closed" => {
                self.give(Input::Closed {
                    socket,
                    code: u16::try_from(number(one)).expect("a code"),
                    reason: String::new(),
                });
            }
            "full" => self.room = false,
            "room" => {
                self.room = true;
                self.give(Input::Room);
            }
            "asks" => {
                self.tickets += 1;
                let (fields, ticket) = (json!({"channel_id": "7"}), Ticket(self.tickets));
                self.give(Input::Ask { command: "history", fields, lasting: Lasting::No, ticket });
            }
            "sends" => {
                self.tickets += 1;
                let operation = Operation::Send(one.into());
                let (channel_id, stored) = (ChannelId(7), Some(Ticket(self.tickets)));
                let queue = Fill { outgoing: two.parse().unwrap_or(0), ..Fill::default() };
                self.give(Input::Submit { channel_id, operation, random: [7; 10], queue, stored, done: None });
                self.step("stored");
            }
            // The store answers all that was put, or the first of it.
            "stored" | "unstored" => {
                let first = if one == "first" { 1 } else { self.unstored.len() };
                for order in self.unstored.drain(..first).collect::<Vec<_>>() {
                    let result = if verb == "stored" { Ok(()) } else { Err(StoreError("full".to_owned())) };
                    self.give(Input::Stored { order, result });
                }
            }
            "retries" => {
                self.tickets += 1;
                let id = OperationId(self.sent.parse().expect("a UUID"));
                self.give(Input::Retry { id, ticket: Ticket(self.tickets) });
            }
            "lists" => {
                self.tickets += 1;
                self.give(Input::List { ticket: Ticket(self.tickets) });
            }
            "hurry" => self.give(Input::Hurry),
            ms => self.pass(number(ms)),
        }
    }
}

fn progress(progress: &Progress) -> &'static str {
    match progress {
        Progress::Pending => "pending",
        Progress::Done(_) => "done",
        Progress::Failed(_) => "failed",
        Progress::Discarded => "discarded",
    }
}

/// Steps, and after `=>` what the session does from the last of these marks on.
#[track_caller]
fn check(endpoint: Endpoint, row: &str) {
    let (steps, expected) = row.split_once(" => ").expect("a row has steps and what is done");
    let mut world = World::new(endpoint, 7);
    for step in steps.split(", ") {
        match step {
            "live" => ["token t", "opened", "joined"].into_iter().for_each(|step| world.step(step)),
            "now" => world.did.clear(),
            step => world.step(step),
        }
    }
    assert_eq!(world.did.join(", "), expected, "{row}");
}

fn one() -> Endpoint {
    Endpoint::Fixed("a".to_owned())
}

#[test]
fn a_node_that_says_nothing_is_asked_for_an_echo_and_then_given_up() {
    let check = |row: &str| check(one(), row);
    // Pings are due each 25 s; 10 s more are for the way.
    check("live, now, 34999 => ");
    check("live, now, 35000 => echo");
    check("live, 34999, ping, now, 34999 => ");
    check("live, 35000, now, 9999, ping, 34999 => ");
    check("live, 35000, now, 10000 => leave, waits");
    // Whoever waits for an answer wants to know sooner.
    check("live, asks, now, 3000 => echo");
    check("live, asks, 3000, now, 10000 => leave, offline, waits");
    check("live, asks, 2000, push 1, now, 34999 => ");
    check("live, now, hurry => echo");
}

#[test]
fn a_socket_that_does_not_open_is_given_up() {
    let check = |row: &str| check(one(), row);
    check("token t, now, 14999 => ");
    check("token t, now, 15000 => leave, waits");
    check("token t, 5000, opened, now, 14999 => ");
    check("token t, 5000, opened, now, 15000 => leave, waits");
    check("token t, closed 1006, now, hurry => dial a");
}

#[test]
fn connect_is_said_again_on_the_same_socket_where_there_is_time() {
    let check = |row: &str| check(one(), row);
    check("token t, opened, refused connect 114 3000, now, 2999 => ");
    check("token t, opened, refused connect 114 3000, now, 3000 => connect");
    check("token t, opened, refused connect 114 9000, now, 8999 => ");
    check("token t, opened, now, refused connect 114 9000 => leave, waits");
}

#[test]
fn a_new_token_that_is_refused_ends_the_client_and_an_old_one_does_not() {
    let check = |row: &str| check(one(), row);
    check("token t, opened, now, refused connect 109 0, 500 => leave, waits, token Refused");
    check("token t, opened, refused connect 109 0, 500, token u, opened, now, refused connect 109 0 => leave, ended");
    check("token t, closed 3500, 500, token u, now, closed 3500 => leave, ended");
    // There was no node to take it for an hour: it has expired since.
    let outage = "token t, opened, refused connect 109 0, 500, token u, 3600000, hurry, opened";
    check(&format!("{outage}, now, refused connect 109 0 => leave, waits"));
    // One that was refused in a live session was renewed there.
    check(
        "live, asks, refused history 109 0, token u, closed 3001, 500, opened, now, refused connect 109 0 => leave, waits",
    );
}

#[test]
fn a_node_that_drains_is_left_for_the_one_that_it_names() {
    let check = |row: &str| check(one(), row);
    check("live, now, drain 0 b => leave, dial b");
    check("live, now, drain 0 => leave, dial a");
    // It closes before the wait is over: the rest of it is waited.
    check("live, drain 1000 b, now, closed 3001, 1000 => leave, waits, dial b");
    // The other one cannot be reached: any will do.
    check("live, drain 0 b, now, closed 1006, 500 => leave, waits, dial a");
}

#[test]
fn events_beyond_the_queue_are_asked_for_again_once_there_is_room() {
    let check = |row: &str| check(one(), row);
    check("live, push 1, now, full, push 2, push 3 => ");
    check("live, push 1, full, push 2, now, room, opened => leave, dial a, connect c1");
    check("live, push 1, full, push 2, push 3, now, closed 1006 => leave, waits");
    // Whoever asks is answered first.
    check("live, push 1, asks, full, push 2, now, room => ");
    check("live, push 1, asks, full, push 2, room, now, reply history, opened => answered, leave, dial a, connect c1");
    // Room alone is no reason.
    check("live, push 1, now, room => ");
}

#[test]
fn a_node_that_broke_is_tried_after_the_others() {
    let discover = || Endpoint::Discover(vec!["http-x".to_owned(), "http-y".to_owned()]);
    let check = |row: &str| check(discover(), row);
    check("token t => token Connect, find http-x|http-y");
    check("token t, nodes a|b y, now, closed 1006, 500 => leave, waits, find http-y|http-a|http-b|http-x");
    check("token t, nodes a|b y, closed 1006, 500, now, nodes a|b y => dial b");
    check("token t, nodes a|b y, closed 1006, 500, nodes a|b y, closed 1006, 1000, now, nodes a|b y => dial a");
    // One that closes in order is as good as before.
    check("token t, nodes a|b y, opened, joined, closed 3001, 500, now, nodes a|b y => dial a");
}

#[test]
fn what_is_too_much_or_too_long_is_not_taken() {
    let check = |row: &str| check(one(), row);
    check("live, now, sends 0123456789 => outgoing pending, answered, send");
    let long = "error: refused with 116: the text has 11 characters, the limit is 10";
    check(&format!("live, now, sends 0123456789x => {long}"));
    let full = "error: the outbox holds 3 operations and events, the most that it may";
    check(&format!("live, sends a, sends b, sends c, now, sends d => {full}"));
    check(&format!("live, sends a, now, sends b 2 => {full}"));
    check("live, sends a, sends b, sends c, reply send, now, sends d => outgoing pending, answered");
}

#[test]
fn what_is_refused_for_good_is_told_once_and_stays_whether_the_store_keeps_that_or_not() {
    let check = |row: &str| check(one(), row);
    check("live, sends a, now, forbidden send, stored, lists => finished failed, outbox failed");
    check("live, sends a, forbidden send, now, unstored, lists => outbox failed");
    check("live, sends a, forbidden send, stored, now, retries, stored => outgoing pending, answered, send");
    // It is tried again before the store has answered.
    let again = "live, sends a, forbidden send, retries, now";
    check(&format!("{again}, stored first, lists => outbox pending"));
    check(&format!("{again}, stored => outgoing pending, answered, send"));
    check(&format!("{again}, stored first, unstored, lists => error: the store failed, outbox failed"));
}

#[test]
fn what_another_sends_under_an_id_of_ours_is_not_ours() {
    let check = |row: &str| check(one(), row);
    check("live, sends a, now, push 1 mine, reply send => message 1 c1, finished done");
    check("live, sends a, now, push 1 theirs => message 1 c1");
    check("live, sends a, now, push 1 theirs, reply send => message 1 c1, finished done");
}

#[test]
fn pauses_are_drawn_below_a_bound_that_doubles_to_the_cap() {
    for seed in 0..200 {
        let mut world = World::new(one(), seed);
        world.step("token t");
        for bound_ms in [500, 1_000, 2_000, 4_000, 8_000, 16_000, 20_000, 20_000] {
            world.step("closed 1006");
            let until_ms = world.session.poll_timeout(world.now).expect("it will try again");
            assert!(until_ms - world.now.ms <= bound_ms, "seed {seed}: {} of {bound_ms}", until_ms - world.now.ms);
            world.pass(bound_ms);
        }
    }
}
