//! The driver against real clients: tungstenite over TCP, and raw bytes where a client has to misbehave.

mod uring;

use std::io::{Read, Write};
use std::net::Shutdown;
use std::thread::sleep;
use std::time::{Duration, Instant};

use gateway::uring::Closed;
use tungstenite::protocol::CloseFrame;
use tungstenite::protocol::frame::Frame;
use tungstenite::protocol::frame::coding::{Control, Data, OpCode};
use tungstenite::{Error, Message};
use uring::{Driver, Heard, Socket, echoes, within};
use wire::{Opcode, SharedFrame, encode_into};

const FIN: u8 = 0x80;

fn masked(opcode: Opcode, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode_into(&mut bytes, opcode, payload, Some([7, 8, 9, 10]));
    bytes
}

/// The code and reason of the server's close frame, which has to be the next thing that it says.
fn close_frame(socket: &mut Socket) -> Option<(u16, String)> {
    loop {
        match socket.read() {
            Ok(Message::Close(frame)) => return frame.map(|frame| (frame.code.into(), frame.reason.to_string())),
            Ok(Message::Ping(_) | Message::Pong(_)) => {}
            other => panic!("no close frame but {other:?}"),
        }
    }
}

#[test]
fn every_message_comes_back_as_it_went() {
    let driver = Driver::start();
    let mut socket = driver.connect("/debug/echo");
    for len in [0, 1, 125, 126, 2_000, 2_048, 5_000, 65_535, 65_536, 1 << 20] {
        let text = Message::text("x".repeat(len));
        let bytes = Message::binary((0..len).map(|i| i as u8).collect::<Vec<u8>>());
        for message in [text, bytes] {
            socket.send(message.clone()).expect("sent");
            assert!(socket.read().expect("read") == message, "{len} bytes came back changed");
        }
    }
}

#[test]
fn many_messages_in_one_packet_come_back_in_order() {
    let driver = Driver::start();
    let mut socket = driver.connect("/debug/echo");
    for _ in 0..50 {
        for n in 0..100 {
            socket.write(Message::text(n.to_string())).expect("written");
        }
        socket.flush().expect("flushed");
        for n in 0..100 {
            assert_eq!(socket.read().expect("read"), Message::text(n.to_string()));
        }
    }
}

#[test]
fn fragments_are_one_message_and_pings_between_them_are_answered() {
    let driver = Driver::start();
    let mut socket = driver.connect("/debug/echo");
    let piece =
        |text: &str, opcode, last| Message::Frame(Frame::message(text.as_bytes().to_vec(), OpCode::Data(opcode), last));
    socket.send(piece("κόσ", Data::Text, false)).expect("sent");
    socket.send(Message::Ping("between".into())).expect("sent");
    for _ in 0..100 {
        socket.send(piece("a", Data::Continue, false)).expect("sent");
    }
    socket.send(piece("με", Data::Continue, true)).expect("sent");
    assert_eq!(socket.read().expect("read"), Message::Pong("between".into()));
    assert_eq!(socket.read().expect("read"), Message::text(format!("κόσ{}με", "a".repeat(100))));
}

#[test]
fn a_close_frame_is_answered_with_its_code_and_the_connection_ends() {
    let driver = Driver::start();
    for code in [1000u16, 1001, 1014, 3000, 4999] {
        let mut socket = driver.connect("/debug/echo");
        socket.close(Some(CloseFrame { code: code.into(), reason: "bye".into() })).expect("sent");
        assert_eq!(close_frame(&mut socket).map(|(code, _)| code), Some(code));
        check_ended(&driver, socket);
    }
}

/// What a client hears once its connection is closed: the end, and then the shard has forgotten it.
fn check_ended(driver: &Driver, mut socket: Socket) {
    assert!(matches!(socket.read(), Err(Error::ConnectionClosed)), "the server shuts its side");
    drop(socket);
    driver.wait_for_connections(0);
}

/// Sends raw bytes after the handshake and expects a close frame with this code, then the end.
fn check_fault(driver: &Driver, bytes: &[u8], expected: u16) {
    let mut socket = driver.connect("/debug/echo");
    socket.get_mut().write_all(bytes).expect("sent");
    assert_eq!(close_frame(&mut socket).map(|(code, _)| code), Some(expected), "{bytes:02x?}");
    let mut rest = Vec::new();
    socket.get_mut().read_to_end(&mut rest).expect("an orderly end, not a reset");
    assert!(rest.is_empty(), "{rest:02x?} after the close frame");
    drop(socket);
    driver.wait_for_connections(0);
}

#[test]
fn what_breaks_the_protocol_is_told_why_and_ended() {
    let driver = Driver::start();
    let check = |bytes: &[u8], expected| check_fault(&driver, bytes, expected);
    check(&[FIN | 0x1, 1, b'a'], 1002);
    check(&[FIN | 0x3, 0x80, 0, 0, 0, 0], 1002);
    check(&[FIN | 0x41, 0x80, 0, 0, 0, 0], 1002);
    check(&masked(Opcode::Text, b"\xFF"), 1007);
    check(&[&[FIN | 0x2, 0xFF][..], &(1u64 << 30).to_be_bytes(), &[0; 4]].concat(), 1009);
    check(&masked(Opcode::Close, &[0x03]), 1002);
    // What follows the fault is read and dropped, or the kernel would reset the connection under the close frame.
    check(&[masked(Opcode::Text, b"\xFF"), vec![b'x'; 200_000]].concat(), 1007);
}

#[test]
fn a_request_is_answered_by_what_to_do() {
    let driver = Driver::start();
    let check = |request: &str, expected: &str| {
        let mut stream = driver.connect_tcp();
        stream.write_all(format!("{request}\r\n\r\n").as_bytes()).expect("sent");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer, then the end");
        assert!(answer.starts_with(&format!("HTTP/1.1 {expected}")), "{request:?} was answered by {answer:?}");
    };
    let upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                   Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==";
    check(&format!("GET /nowhere HTTP/1.1\r\nHost: a\r\n{upgrade}"), "404 Not Found");
    check("GET / HTTP/1.1\r\nHost: a", "426 Upgrade Required");
    check("POST / HTTP/1.1\r\nHost: a", "426 Upgrade Required");
    check(&format!("POST / HTTP/1.1\r\nHost: a\r\n{upgrade}"), "405 Method Not Allowed");
    check("nonsense", "400 Bad Request");
    driver.wait_for_connections(0);
}

#[test]
fn a_request_that_does_not_come_is_not_waited_for() {
    let driver = Driver::start_with(|config| config.handshake_s = 1);
    let mut stream = driver.connect_tcp();
    stream.write_all(b"GET / HTTP/1.1\r\n").expect("sent");
    let began = Instant::now();
    let ended = stream.read(&mut [0; 10]);
    assert!(matches!(ended, Ok(0) | Err(_)), "{ended:?}");
    assert!((Duration::from_millis(500)..Duration::from_secs(4)).contains(&began.elapsed()), "{:?}", began.elapsed());
}

#[test]
fn two_hundred_clients_that_vanish_leave_nothing_behind() {
    let driver = Driver::start();
    let mut sockets: Vec<_> = (0..200).map(|_| driver.connect("/handler")).collect();
    for (n, socket) in sockets.iter_mut().enumerate() {
        // In the middle of a frame, of a message, of nothing, and with an answer under way.
        let bytes = match n % 4 {
            0 => masked(Opcode::Text, &[b'x'; 5000])[..3000].to_vec(),
            1 => vec![0x01, 0x81, 0, 0, 0, 0, b'x'],
            2 => vec![],
            _ => masked(Opcode::Ping, b"x"),
        };
        socket.get_mut().write_all(&bytes).expect("sent");
        if n % 3 == 0 {
            let linger = socket2::SockRef::from(socket.get_ref()).set_linger(Some(Duration::ZERO));
            linger.expect("so that closing resets");
        }
    }
    drop(sockets);
    driver.wait_for_connections(0);
    assert_eq!(driver.ask(|sockets| sockets.held_bytes()), 0);
    let mut closed = 0;
    within(Duration::from_secs(5), || {
        closed += driver.heard().filter(|heard| matches!(heard, Heard::Closed(..))).count();
        closed == 200
    });
    echoes(&mut driver.connect("/debug/echo"), ["still here"]);
}

#[test]
fn readers_that_vanish_amid_a_long_frame_leave_nothing_to_the_next() {
    let driver = Driver::start();
    let sockets: Vec<_> = (0..8).map(|_| driver.connect("/handler")).collect();
    for conn in sockets.iter().map(|_| driver.wait_for_open()).collect::<Vec<_>>() {
        for _ in 0..80 {
            driver.send(conn, vec![1; 99_000]);
        }
    }
    // Until no more fits into the sockets, and of some frame a part.
    sleep(Duration::from_millis(200));
    for socket in &sockets {
        let linger = socket2::SockRef::from(socket.get_ref()).set_linger(Some(Duration::ZERO));
        linger.expect("so that closing resets");
    }
    drop(sockets);
    driver.wait_for_connections(0);
    for len in [100, 99_000].repeat(8) {
        let mut socket = driver.connect("/debug/echo");
        echoes(&mut socket, ["x".repeat(len)]);
    }
}

#[test]
fn a_slow_reader_gets_everything_and_holds_no_more_than_it_was_handed() {
    let driver = Driver::start();
    let mut slow = driver.connect("/handler");
    let mut other = driver.connect("/debug/echo");
    let conn = driver.wait_for_open();
    const FRAMES: usize = 400;
    const FRAME_BYTES: usize = 20_000;
    for n in 0..FRAMES {
        driver.send(conn, vec![n as u8; FRAME_BYTES]);
    }
    let handed_bytes = FRAMES * (FRAME_BYTES + 4);
    sleep(Duration::from_millis(200));
    let queued_bytes = driver.ask(move |sockets| sockets.queued_bytes(conn));
    assert!((1..handed_bytes).contains(&queued_bytes), "{queued_bytes} bytes are queued, {handed_bytes} were handed");
    // Others do not feel it.
    echoes(&mut other, 0..100);
    for n in 0..FRAMES {
        let Message::Binary(payload) = slow.read().expect("read") else { panic!("frame {n} is not binary") };
        assert!(payload.len() == FRAME_BYTES && payload.iter().all(|byte| *byte == n as u8), "frame {n}");
    }
    let mut drained_bytes = 0;
    within(Duration::from_secs(5), || {
        let drained = |heard| if let Heard::Writable(id, bytes) = heard { (id == conn).then_some(bytes) } else { None };
        drained_bytes += driver.heard().filter_map(drained).sum::<usize>();
        drained_bytes == handed_bytes
    });
    assert_eq!(driver.ask(move |sockets| sockets.queued_bytes(conn)), 0);
}

#[test]
fn an_echo_that_does_not_read_is_not_read() {
    let driver = Driver::start();
    let mut socket = driver.connect("/debug/echo");
    let stream = socket.get_ref().try_clone().expect("a second handle");
    stream.set_write_timeout(Some(Duration::from_millis(300))).expect("set");
    let frame = masked(Opcode::Binary, &[b'x'; 50_000]);
    let mut sent_bytes = 0usize;
    // Until the socket takes no more: what both kernels buffer is some 10 MB, what the driver takes is bounded.
    const ENOUGH_BYTES: usize = 400 * 1024 * 1024;
    while sent_bytes < ENOUGH_BYTES {
        match (&stream).write(&frame[sent_bytes % frame.len()..]) {
            Ok(bytes) => sent_bytes += bytes,
            Err(_) => break,
        }
    }
    assert!(sent_bytes < ENOUGH_BYTES, "the driver took {sent_bytes} bytes and was not stopped by anything");
    let whole_frames = sent_bytes / frame.len();
    for n in 0..whole_frames {
        let Message::Binary(payload) = socket.read().expect("read") else { panic!("frame {n} is not binary") };
        assert_eq!(payload.len(), 50_000);
    }
}

#[test]
fn a_paused_connection_is_read_when_it_is_resumed() {
    let driver = Driver::start();
    let mut socket = driver.connect("/handler");
    let conn = driver.wait_for_open();
    for round in 0..20 {
        driver.tell(move |sockets| sockets.pause_reads(conn));
        driver.settle();
        for n in 0..100 {
            socket.send(Message::text(format!("{round} {n}"))).expect("sent");
        }
        if round % 2 == 0 {
            sleep(Duration::from_millis(20));
        }
        assert_eq!(driver.heard().filter(|heard| matches!(heard, Heard::Text(..))).count(), 0, "while paused");
        driver.tell(move |sockets| sockets.resume_reads(conn));
        for n in 0..100 {
            assert_eq!(driver.wait_for_text(), (conn, format!("{round} {n}")));
        }
    }
}

#[test]
fn a_close_by_the_handler_comes_after_what_was_sent_and_waits_for_the_answer() {
    let driver = Driver::start();
    let mut socket = driver.connect("/handler");
    let conn = driver.wait_for_open();
    driver.send(conn, b"last words".to_vec());
    driver.close(conn, 3001);
    assert_eq!(socket.read().expect("read"), Message::binary(b"last words".to_vec()));
    // What the client says before it reads the close frame is not handed on.
    socket.get_mut().write_all(&masked(Opcode::Text, b"too late")).expect("sent");
    assert_eq!(close_frame(&mut socket), Some((3001, "as told".to_owned())));
    check_ended(&driver, socket);
    let heard: Vec<Heard> = driver.heard().filter(|heard| !matches!(heard, Heard::Writable(..))).collect();
    assert_eq!(heard, [Heard::Closed(conn, Closed::ByHandler)]);
}

#[test]
fn a_client_that_half_closes_is_gone_but_gets_what_was_queued() {
    let driver = Driver::start();
    let mut socket = driver.connect("/debug/echo");
    socket.send(Message::binary(vec![1; 100_000])).expect("sent");
    socket.get_ref().shutdown(Shutdown::Write).expect("shut");
    assert_eq!(socket.read().expect("read"), Message::binary(vec![1; 100_000]));
    drop(socket);
    driver.wait_for_connections(0);
}

#[test]
fn whatever_a_client_sends_is_heard() {
    let driver = Driver::start();
    let mut socket = driver.connect("/handler");
    let conn = driver.wait_for_open();
    let heard = |driver: &Driver| {
        within(Duration::from_secs(5), || driver.heard().any(|heard| heard == Heard::Something(conn)));
    };
    driver.tell(move |sockets| sockets.ping(conn));
    assert_eq!(socket.read().expect("read"), Message::Ping("".into()));
    socket.flush().expect("the pong is sent");
    heard(&driver);
    socket.send(Message::Ping("".into())).expect("sent");
    heard(&driver);
    let text = masked(Opcode::Text, b"in pieces");
    socket.get_mut().write_all(&text[..9]).expect("sent");
    heard(&driver);
    socket.get_mut().write_all(&text[9..]).expect("sent");
    assert_eq!(driver.wait_for_text(), (conn, "in pieces".to_owned()));
}

#[test]
fn a_connection_that_the_handler_drops_at_its_request_is_never_open() {
    let driver = Driver::start();
    let stream = driver.connect_tcp();
    assert!(tungstenite::client(format!("ws://{}/unwanted", stream.peer_addr().expect("connected")), stream).is_err());
    driver.wait_for_connections(0);
    assert_eq!(driver.heard().count(), 0);
    assert_eq!(driver.ask(|sockets| sockets.held_bytes()), 0);
}

#[test]
fn an_idle_connection_waits_by_a_poll_and_comes_back() {
    let driver = Driver::start_with(|config| config.idle_after_s = 1);
    let mut socket = driver.connect("/debug/echo");
    let long = "more than a buffer holds ".repeat(10_000);
    for texts in [&["one"][..], &["a", "few", "at", "once"], &[&long], &["last"]] {
        sleep(Duration::from_millis(2200));
        echoes(&mut socket, texts.iter().map(ToString::to_string));
    }
    sleep(Duration::from_millis(2200));
    drop(socket);
    driver.wait_for_connections(0);
}

#[test]
fn a_connection_that_says_a_few_words_stays_idle_and_one_that_goes_on_is_busy() {
    let driver = Driver::start_with(|config| config.idle_after_s = 1);
    let mut few = driver.connect("/debug/echo");
    let mut many = driver.connect("/debug/echo");
    let busy = || driver.ask(|sockets| sockets.counters().promoted);
    echoes(&mut few, ["one", "two", "three"]);
    assert_eq!(busy(), 0);
    for _ in 0..2 {
        echoes(&mut many, (0..20).map(|at| at.to_string()));
        sleep(Duration::from_millis(2200));
    }
    echoes(&mut few, ["four"]);
    assert_eq!(busy(), 2, "it was idle in between");
}

#[test]
fn a_frame_for_more_connections_than_the_queues_hold_reaches_all() {
    const CLIENTS: usize = 2500;
    let driver = Driver::start();
    let mut sockets: Vec<_> = (0..CLIENTS).map(|_| driver.connect("/handler")).collect();
    let conns: Vec<_> = sockets.iter().map(|_| driver.wait_for_open()).collect();
    driver.tell(move |sockets| {
        for round in 0..4u8 {
            for frame in [300, 3000].map(|len| SharedFrame::copied(Opcode::Binary, &vec![round; len])) {
                conns.iter().for_each(|conn| sockets.send(*conn, &frame));
            }
        }
    });
    for socket in &mut sockets {
        for round in 0..4u8 {
            assert_eq!(socket.read().expect("read"), Message::binary(vec![round; 300]));
            assert_eq!(socket.read().expect("read"), Message::binary(vec![round; 3000]));
        }
    }
}

#[test]
fn connections_over_the_limit_are_turned_away_and_the_rest_go_on() {
    let driver = Driver::start_with(|config| config.connections_max = 10);
    let mut sockets: Vec<_> = (0..10).map(|_| driver.connect("/debug/echo")).collect();
    let ended = driver.connect_tcp().read(&mut [0; 10]);
    assert!(matches!(ended, Ok(0) | Err(_)), "{ended:?}");
    sockets.iter_mut().for_each(|socket| echoes(socket, ["a"]));
    drop(sockets);
    driver.wait_for_connections(0);
    driver.connect("/debug/echo").send(Message::text("a")).expect("there is room again");
    assert_eq!(driver.ask(|sockets| sockets.counters().turned_away), 1);
}

#[test]
fn large_messages_at_once_are_bounded_over_the_shard() {
    let driver = Driver::start_with(|config| config.held_bytes_max = 1 << 20);
    let half = masked(Opcode::Binary, &[1; 900_000]);
    let mut sockets: Vec<_> = (0..3).map(|_| driver.connect("/debug/echo")).collect();
    for socket in &mut sockets {
        socket.get_mut().write_all(&half[..600_000]).expect("sent");
    }
    let mut overloaded = 0;
    for mut socket in sockets {
        socket.get_mut().set_read_timeout(Some(Duration::from_millis(500))).expect("set");
        match socket.read() {
            Ok(Message::Close(Some(frame))) => {
                assert_eq!(u16::from(frame.code), 3015);
                overloaded += 1;
            }
            Err(Error::Io(_)) => {}
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(overloaded, 2, "one fits, as an assembled message doubles when it grows");
    driver.wait_for_connections(0);
    assert_eq!(driver.ask(|sockets| sockets.held_bytes()), 0);
}

#[test]
fn a_stop_ends_every_connection_and_then_the_shard() {
    let driver = Driver::start();
    let mut echo = driver.connect("/debug/echo");
    let mut handled = driver.connect("/handler");
    let _unfinished = driver.connect_tcp();
    let conn = driver.wait_for_open();
    driver.close(conn, 3001);
    driver.stop(Duration::from_secs(5));
    assert_eq!(close_frame(&mut echo).map(|(code, _)| code), Some(1001));
    assert_eq!(close_frame(&mut handled).map(|(code, _)| code), Some(3001));
    for mut socket in [echo, handled] {
        assert!(matches!(socket.read(), Err(Error::ConnectionClosed)));
    }
    let began = Instant::now();
    driver.join();
    assert!(began.elapsed() < Duration::from_secs(2), "ends as soon as all are gone: {:?}", began.elapsed());
}

#[test]
fn a_stop_does_not_wait_for_those_that_do_not_answer() {
    let driver = Driver::start();
    let mute = driver.connect("/handler");
    let conn = driver.wait_for_open();
    driver.stop(Duration::from_millis(300));
    within(Duration::from_secs(3), || driver.heard().any(|heard| heard == Heard::Closed(conn, Closed::Stopped)));
    driver.join();
    drop(mute);
}

#[test]
fn pongs_nobody_asked_for_are_nothing() {
    let driver = Driver::start();
    let mut socket = driver.connect("/debug/echo");
    let pong = Frame::from_payload(
        tungstenite::protocol::frame::FrameHeader { opcode: OpCode::Control(Control::Pong), ..Default::default() },
        "x".into(),
    );
    socket.send(Message::Frame(pong)).expect("sent");
    echoes(&mut socket, ["a"]);
}
