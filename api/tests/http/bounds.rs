//! Bounds of connections, requests and bodies: their number, their bytes and their time.

use std::time::{Duration, Instant};

use api::Limits;

use crate::client::Client;
use crate::world::{Options, World};

/// A world whose times are so short that a test can wait for them.
fn hasty() -> World {
    let limits = Limits {
        header: Duration::from_millis(300),
        body: Duration::from_millis(300),
        request: Duration::from_millis(600),
        stop: Duration::from_millis(500),
        ..Limits::default()
    };
    World::with(Options { limits, ..Options::default() })
}

#[test]
fn a_head_that_does_not_end_ends_the_connection() {
    let world = hasty();
    let mut client = Client::connect(world.public);
    let begun = Instant::now();
    client.write(b"GET /v1/me HTTP/1.1\r\nhost: x\r\n").expect("the server reads");
    let answer = client.read();
    assert!(answer.is_none() || answer.is_some_and(|answer| answer.status == 408));
    assert!((250..5_000).contains(&begun.elapsed().as_millis()), "{:?}", begun.elapsed());
}

#[test]
fn five_seconds_are_what_a_head_may_take_unless_configured() {
    assert_eq!(Limits::default().header, Duration::from_secs(5));
}

#[test]
fn a_body_that_does_not_end_is_answered() {
    let world = hasty();
    let mut client = Client::connect(world.public);
    client
        .write(
            b"POST /v1/auth/login HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 9\r\n\r\n{",
        )
        .expect("the server reads");
    let answer = client.read().expect("an answer");
    assert_eq!(answer.status, 408);
    assert!(answer.body.contains(r#""code":107"#), "{}", answer.body);
}

#[test]
fn a_body_over_two_mebibytes_is_refused_unread() {
    let world = World::new();
    let ask = |length: usize, sent: usize| {
        let mut client = Client::connect(world.public);
        let head = format!(
            "POST /v1/auth/login HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n"
        );
        client.write(head.as_bytes()).expect("the server reads");
        // The server may close before it has read all: the answer tells.
        let _cut_off = client.write(&vec![b' '; sent]);
        client.read().expect("an answer")
    };
    let at_limit = ask(2 * 1024 * 1024, 2 * 1024 * 1024);
    assert_eq!(at_limit.status, 400, "blanks are no JSON, but they were read: {}", at_limit.body);
    let over = ask(2 * 1024 * 1024 + 1, 0);
    assert_eq!(over.status, 413, "{}", over.body);
    assert!(over.body.contains(r#""code":116"#), "{}", over.body);
    let far_over = ask(5_000_000_000, 0);
    assert_eq!(far_over.status, 413, "{}", far_over.body);
}

#[test]
fn a_body_of_unknown_length_is_counted() {
    let world = World::new();
    let mut client = Client::connect(world.public);
    client
        .write(b"POST /v1/auth/login HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n")
        .expect("the server reads");
    for _ in 0..33 {
        if client.write(format!("10000\r\n{}\r\n", " ".repeat(65_536)).as_bytes()).is_err() {
            break;
        }
    }
    let _cut_off = client.write(b"0\r\n\r\n");
    assert_eq!(client.read().expect("an answer").status, 413);
}

#[test]
fn large_bodies_share_a_budget_and_small_ones_do_not_need_it() {
    const BYTES: usize = 2 * 1024 * 1024;
    let mut world = World::new();
    let head = format!(
        "POST /v1/auth/login HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: {BYTES}\r\n\r\n"
    );
    // What is announced costs nothing: 64 of these alone would be twice the budget.
    let announced: Vec<_> = (0..64)
        .map(|_| {
            let mut client = Client::connect(world.public);
            client.write(head.as_bytes()).expect("the server reads");
            client
        })
        .collect();
    // Of 64 MiB beyond what each has of its own, 33 take nearly all.
    let mut refused = 0;
    let mut open = Vec::new();
    for _ in 0..36 {
        let mut client = Client::connect(world.public);
        client.write(head.as_bytes()).expect("the server reads");
        let _cut_off = client.write(&vec![b' '; BYTES - 1]);
        if client.is_silent_for(Duration::from_millis(50)) {
            open.push(client);
        } else {
            let answer = client.read().expect("an answer");
            assert_eq!(answer.status, 503, "{}", answer.body);
            assert!(answer.body.contains(r#""code":114"#), "{}", answer.body);
            refused += 1;
        }
    }
    assert!((1..=4).contains(&refused), "{refused} of 36 were refused");
    world.check(r#"POST /v1/auth/login {"username":"nobody","password":"correct horse"} => 401 {"code":101}"#);
    // What is given back can be had again.
    drop((announced, open));
    std::thread::sleep(Duration::from_millis(200));
    let mut client = Client::connect(world.public);
    client.write(head.as_bytes()).expect("the server reads");
    client.write(&vec![b' '; BYTES]).expect("the server reads");
    assert_eq!(client.read().expect("an answer").status, 400, "blanks are no JSON");
}

#[test]
fn a_request_that_takes_too_long_is_answered() {
    let mut world = hasty();
    world.sign_up("bora");
    world.shard.stuck.store(true, std::sync::atomic::Ordering::Relaxed);
    world.check(r#"bora POST /v1/channels {"kind":"group","title":"x"} => 503 {"code":114,"temporary":true}"#);
    world.shard.stuck.store(false, std::sync::atomic::Ordering::Relaxed);
    world.check(r#"bora POST /v1/channels {"kind":"group","title":"x"} => 201"#);
}

#[test]
fn connections_over_the_limit_wait_for_a_place() {
    let limits = Limits { connections_max: 4, ..Limits::default() };
    let mut world = World::with(Options { limits, ..Options::default() });
    // The world's own client is the fourth.
    world.check("GET /v1/servers/best => 200");
    let mut open: Vec<_> = (0..3).map(|_| Client::connect(world.public)).collect();
    for client in &mut open {
        assert_eq!(client.ask("GET", "/v1/servers/best", &[], "").status, 200);
    }
    let mut fifth = Client::connect(world.public);
    fifth.write(b"GET /v1/servers/best HTTP/1.1\r\nhost: x\r\n\r\n").expect("the backlog takes it");
    assert!(fifth.is_silent_for(Duration::from_millis(300)), "four are open");
    drop(open.pop());
    assert_eq!(fifth.read().expect("an answer").status, 200);
}

#[test]
fn a_connection_that_is_old_ends_after_its_answer() {
    let limits = Limits { connection: Duration::from_millis(300), ..Limits::default() };
    let world = World::with(Options { limits, ..Options::default() });
    let mut client = Client::connect(world.public);
    assert_eq!(client.ask("GET", "/v1/servers/best", &[], "").status, 200);
    let begun = Instant::now();
    assert!(client.read().is_none(), "closed without being asked");
    assert!(begun.elapsed() < Duration::from_secs(3), "{:?}, before its head was overdue", begun.elapsed());
}

#[test]
fn stopping_lets_open_requests_end_and_no_other_begin() {
    let mut world = World::new();
    let mut busy = Client::connect(world.public);
    busy.write(
        b"POST /v1/auth/login HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{",
    )
    .expect("the server reads");
    let mut idle = Client::connect(world.public);
    assert_eq!(idle.ask("GET", "/v1/servers/best", &[], "").status, 200);

    let running = world.running.take().expect("it runs");
    running.stop();
    assert!(idle.read().is_none(), "an idle connection is closed at once");
    assert!(!running.has_ended(), "a request is open");
    busy.write(b"}").expect("the server reads");
    assert_eq!(busy.read().expect("an answer").status, 400);
    let begun = Instant::now();
    running.join();
    assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
    assert!(std::net::TcpStream::connect(world.public).is_err(), "nobody listens any more");
}

#[test]
fn stopping_does_not_wait_for_ever() {
    let mut world = hasty();
    let mut stuck = Client::connect(world.public);
    stuck.write(b"POST /v1/auth/login HTTP/1.1\r\n").expect("the server reads");
    let begun = Instant::now();
    world.running.take().expect("it runs").join();
    assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
}

#[test]
fn a_user_has_so_many_requests() {
    let mut world = World::new();
    world.sign_up("bora");
    world.sign_up("minsu");
    let mut refused = None;
    for number in 0..4_000 {
        let answer = Client::ask_as(&world, "bora");
        if answer.status != 200 {
            refused = Some((number, answer));
            break;
        }
    }
    let (number, answer) = refused.expect("the burst is 2,000, and 100 a second come back");
    assert!(number >= 2_000, "{number}");
    assert_eq!(answer.status, 429, "{}", answer.body);
    world.check("minsu GET /v1/me => 200");
}

impl Client {
    fn ask_as(world: &World, name: &str) -> crate::client::Answer {
        thread_local! {
            static CLIENT: std::cell::RefCell<Option<Client>> = const { std::cell::RefCell::new(None) };
        }
        let bearer = format!("Bearer {}", world.value(&format!("{name}.token")));
        CLIENT.with_borrow_mut(|client| {
            let client = client.get_or_insert_with(|| Client::connect(world.public));
            client.ask("GET", "/v1/me", &[("authorization", &bearer)], "")
        })
    }
}
