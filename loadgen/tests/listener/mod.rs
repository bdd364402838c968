//! A listener on loopback, for servers that `loadgen` runs against.

use std::net::{SocketAddr, TcpListener, TcpStream};

/// Serves each connection in a thread of its own, for as long as the test process lives; where.
pub(crate) fn serve(handler: impl Fn(TcpStream) + Clone + Send + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
    let address = listener.local_addr().expect("a bound listener has an address");
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let (stream, handler) = (stream.expect("accept"), handler.clone());
            std::thread::spawn(move || handler(stream));
        }
    });
    address
}
