//! Peers that do not keep to the protocol, and options that are refused: none of it is anybody else's trouble.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use fdb_c::{Faults, Server, ServerOptions};

/// A frame with this content.
fn frame(content: &[u8]) -> Vec<u8> {
    [&u32::try_from(content.len()).expect("short").to_le_bytes(), content].concat()
}

/// A hello of session `number`.
fn hello(number: u8) -> Vec<u8> {
    frame(&[b"standin2".as_slice(), &[number; 16]].concat())
}

fn connect(server: &Server) -> TcpStream {
    let socket = TcpStream::connect(server.address()).expect("it listens");
    socket.set_read_timeout(Some(Duration::from_secs(10))).expect("a socket");
    socket
}

/// A connection that was greeted.
fn greeted(server: &Server, session: u8) -> TcpStream {
    let mut socket = connect(server);
    socket.write_all(&hello(session)).expect("it is there");
    let mut greeting = vec![0; hello(session).len()];
    socket.read_exact(&mut greeting).expect("a greeting");
    assert_eq!(greeting, hello(session));
    socket
}

/// Sends `bytes` and reads until the server closes the connection, which it does without an answer.
fn check(mut socket: TcpStream, bytes: &[u8]) {
    socket.write_all(bytes).expect("it is there");
    let mut found = Vec::new();
    match socket.read_to_end(&mut found) {
        Ok(_) => {}
        // Closed with bytes that were not read.
        Err(error) => assert_eq!(error.kind(), io::ErrorKind::ConnectionReset, "{error}, after {bytes:?}"),
    }
    assert_eq!(found, b"", "after {bytes:?}");
}

#[test]
fn whoever_does_not_keep_to_the_protocol_is_disconnected() {
    let server = Server::start(ServerOptions::default()).expect("a free port");
    let mut well_behaved = greeted(&server, 1);

    check(connect(&server), b"GET / HTTP/1.1\r\n\r\n");
    check(connect(&server), &frame(b"standin0................"));
    check(connect(&server), &frame(b"standin2"));
    check(connect(&server), &u32::MAX.to_le_bytes());
    check(greeted(&server, 2), &frame(b""));
    check(greeted(&server, 2), &frame(&[0; 100]));
    check(greeted(&server, 2), &u32::MAX.to_le_bytes());
    // A read whose writes are cut, and one of an unknown kind: id, transaction, begin, how many writes, operation.
    check(greeted(&server, 2), &frame(&[1, 2, 1, 1, 0, 0xFF, 0]));
    check(greeted(&server, 2), &frame(&[1, 2, 1, 0, 0x63]));

    // A read version.
    well_behaved.write_all(&frame(&[1, 2, 1, 0, 0])).expect("it is there");
    let mut reply = [0; 5];
    well_behaved.read_exact(&mut reply).expect("the others are served on");
    assert_eq!(reply[4], 1, "the request's id");
}

#[test]
fn more_connections_than_the_limit_are_closed() {
    let server = Server::start(ServerOptions::default()).expect("a free port");
    let kept: Vec<TcpStream> = (0..fdb_c::server::CONNECTIONS_MAX).map(|_| connect(&server)).collect();
    check(connect(&server), b"");
    drop(kept);
}

#[test]
fn options_are_checked_before_anything_is_served() {
    let check = |options: ServerOptions, expected: Option<io::ErrorKind>| {
        let listen = options.listen;
        let found = Server::start(options).err().map(|error| error.kind());
        assert_eq!(found, expected, "{listen}");
    };
    let everywhere = || ServerOptions { listen: ([0, 0, 0, 0], 0).into(), ..ServerOptions::default() };
    check(everywhere(), Some(io::ErrorKind::PermissionDenied));
    check(ServerOptions { beyond_loopback: true, ..everywhere() }, None);
    let faults = Faults { conflict: 600, behind: 600, ..Faults::default() };
    check(ServerOptions { faults, ..ServerOptions::default() }, Some(io::ErrorKind::Other));
}
