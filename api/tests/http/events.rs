//! Events of an application's notifications: asked for, followed, bounded.

use std::io::{BufRead, BufReader, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use api::Limits;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use schema::{Cursor, Position};
use serde_json::{Value, json};

use crate::notifications::{App, ask, body, made, notify};
use crate::world::{Options, World};

/// The events that an application is told, in words, and the cursor of the last.
fn told(world: &mut World, app: &App, query: &str) -> (Vec<String>, String) {
    let answer = ask(world, app, "GET", &format!("/v1/notifications/events?{query}"), "", &[]);
    assert_eq!((answer.status, answer.header("content-type")), (200, "application/x-ndjson"), "{}", answer.body);
    let lines: Vec<Value> = answer.body.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let words = |line: &Value| {
        format!("{} {}", line["notification_id"].as_str().expect("an id"), line["state"].as_str().expect("a state"))
    };
    let last = lines.last().map(|line| line["cursor"].as_str().expect("a cursor").to_owned());
    (lines.iter().map(words).collect(), last.unwrap_or_default())
}

#[test]
fn whoever_asks_on_from_a_cursor_is_told_each_event_once() {
    let mut world = World::new();
    let app = made(&world, &json!({"name": "shop"}));
    assert_eq!(told(&mut world, &app, ""), (Vec::new(), String::new()));
    let ids: Vec<_> = (0..3).map(|_| notify(&mut world, &app, &body(&["1"]), None).1).collect();
    let accepted: Vec<_> = ids.iter().map(|id| format!("{id} accepted")).collect();
    let (all, last) = told(&mut world, &app, "");
    assert_eq!(all, accepted);
    let (first, after) = told(&mut world, &app, "limit=2");
    assert_eq!(first, accepted[..2]);
    assert_eq!(told(&mut world, &app, &format!("after={after}")), (accepted[2..].to_vec(), last.clone()));
    assert_eq!(told(&mut world, &app, &format!("after={last}")).0, Vec::<String>::new());
    // A request that is repeated makes none.
    notify(&mut world, &app, &body(&["1"]), Some("k"));
    notify(&mut world, &app, &body(&["1"]), Some("k"));
    assert_eq!(told(&mut world, &app, &format!("after={last}")).0.len(), 1);
    let other = made(&world, &json!({"name": "other"}));
    assert_eq!(told(&mut world, &other, "").0, Vec::<String>::new(), "they are another's");
}

#[test]
fn what_cannot_be_asked_is_refused_in_words() {
    let mut world = World::new();
    let app = made(&world, &json!({"name": "shop"}));
    let sends = made(&world, &json!({"name": "bot", "scopes": ["send"]}));
    let foreign = Cursor { generation: 99, position: Position::START };
    let mut check = |app: &App, query: &str, status: u16, code: u16| {
        let answer = ask(&mut world, app, "GET", &format!("/v1/notifications/events?{query}"), "", &[]);
        let problem: Value = serde_json::from_str(&answer.body).expect("JSON");
        assert_eq!((answer.status, &problem["code"]), (status, &json!(code)), "{query} {problem}");
    };
    check(&app, "after=x", 400, 107);
    check(&app, "after=", 400, 107);
    check(&app, &format!("after={foreign}"), 409, 112);
    check(&app, &format!("after={foreign}&follow=true"), 409, 112);
    check(&app, "limit=0", 400, 107);
    check(&app, "limit=many", 400, 107);
    check(&app, "follow=maybe", 400, 107);
    check(&sends, "", 403, 103);
    check(&(app.0.clone(), "wrong".to_owned()), "", 401, 101);
    world.check("GET /v1/notifications/events => 401 {\"code\":101}");
}

/// An answer that stays open.
struct Followed(BufReader<TcpStream>);

impl Followed {
    fn open(world: &World, (key, secret): &App, query: &str) -> Self {
        let given = STANDARD.encode(format!("{key}:{secret}"));
        let mut stream = TcpStream::connect(world.public).expect("the server listens");
        stream.set_read_timeout(Some(Duration::from_secs(20))).expect("a socket option");
        let head = format!(
            "GET /v1/notifications/events?follow=true{query} HTTP/1.1\r\nhost: a\r\nauthorization: Basic {given}\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).expect("the server reads");
        Self(BufReader::new(stream))
    }

    fn line(&mut self) -> Option<String> {
        let mut line = String::new();
        (self.0.read_line(&mut line).expect("nothing is cut off") > 0).then_some(line)
    }

    fn status(&mut self) -> u16 {
        let status = self.line().expect("an answer");
        while self.line().is_some_and(|line| line != "\r\n") {}
        status.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status")
    }

    /// The state in the next event; nothing at the end of the answer.
    fn next(&mut self) -> Option<String> {
        loop {
            let line = self.line()?;
            if line == "0\r\n" {
                return None;
            }
            if let Ok(Value::Object(event)) = serde_json::from_str(&line) {
                return event["state"].as_str().map(str::to_owned);
            }
        }
    }
}

#[test]
fn an_answer_that_follows_tells_what_comes_and_ends_with_the_server() {
    let mut world = World::new();
    let app = made(&world, &json!({"name": "shop"}));
    notify(&mut world, &app, &body(&["1"]), None);
    let mut followed = Followed::open(&world, &app, "");
    assert_eq!(followed.status(), 200);
    assert_eq!(followed.next().as_deref(), Some("accepted"));
    let asked = Instant::now();
    notify(&mut world, &app, &body(&["1"]), None);
    assert_eq!(followed.next().as_deref(), Some("accepted"));
    assert!(asked.elapsed() < Duration::from_secs(5), "{:?}", asked.elapsed());
    let stopped = Instant::now();
    world.running.take().expect("it runs").join();
    assert!(stopped.elapsed() < Duration::from_secs(1), "a clean end waits for no follower: {:?}", stopped.elapsed());
    assert_eq!(followed.next(), None, "it ends as answers do");
}

#[test]
fn an_answer_that_follows_ends_with_the_age_of_its_connection() {
    let limits = Limits { connection: Duration::from_secs(2), ..Limits::default() };
    let world = World::with(Options { limits, ..Options::default() });
    let app = made(&world, &json!({"name": "shop"}));
    let begun = Instant::now();
    let mut followed = Followed::open(&world, &app, "");
    assert_eq!((followed.status(), followed.next()), (200, None));
    assert!((1..5).contains(&begun.elapsed().as_secs()), "{:?}", begun.elapsed());
}

#[test]
fn few_follow_at_once() {
    let world = World::new();
    let app = made(&world, &json!({"name": "shop"}));
    let mut all: Vec<_> = (0..4).map(|_| Followed::open(&world, &app, "")).collect();
    assert!(all.iter_mut().all(|followed| followed.status() == 200));
    assert_eq!(Followed::open(&world, &app, "").status(), 503);
    world.check_counted("followers", 1);
    all.pop();
    // The server hears of it when it says something, or sees the end of the connection.
    let until = Instant::now() + Duration::from_secs(18);
    while Followed::open(&world, &app, "").status() != 200 {
        assert!(Instant::now() < until, "its place is free again");
        std::thread::sleep(Duration::from_millis(200));
    }
}
