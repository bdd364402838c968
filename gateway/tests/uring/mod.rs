//! A driver in a thread, with a handler that reports what it hears and does what it is told.

use std::net::{SocketAddr, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{JoinHandle, sleep};
use std::time::{Duration, Instant};

use futures_lite::future::block_on;
use gateway::uring::{
    Closed, Config, ConnId, Decision, Endpoint, Frame, Handler, Inbox, Mailbox, Sockets, listen, mailbox, run,
    sleep_and_wake,
};
use tungstenite::Message;
use wire::{CloseCode, Opcode, Refusal, Request, SharedFrame};

pub(crate) type Socket = tungstenite::WebSocket<TcpStream>;

/// How long anything that has to happen may take on a machine that does other things too.
const PATIENCE: Duration = Duration::from_secs(20);

/// What the shard is to do in its turn.
type Act = Box<dyn FnOnce(&mut Sockets) + Send>;

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Heard {
    Open(ConnId),
    Text(ConnId, String),
    Something(ConnId),
    Writable(ConnId, usize),
    Closed(ConnId, Closed),
}

struct Reporter {
    acts: Inbox<Act>,
    heard: Sender<Heard>,
}

impl Reporter {
    fn report(&self, heard: Heard) {
        // A test that has ended does not listen any more.
        let _ = self.heard.send(heard);
    }
}

impl Handler for Reporter {
    fn on_request(&mut self, sockets: &mut Sockets, conn: ConnId, request: &Request) -> Decision {
        let endpoint = match request.path() {
            "/debug/echo" => Endpoint::Echo { message_bytes_max: 16 << 20 },
            "/handler" => Endpoint::Handler { message_bytes_max: 2 << 20 },
            "/unwanted" => {
                sockets.abort(conn);
                Endpoint::Handler { message_bytes_max: 100 }
            }
            path => return Decision::Refuse(Refusal::new(404, format!("There is no endpoint {path}."))),
        };
        Decision::Accept { protocol: None, endpoint }
    }

    fn on_open(&mut self, _: &mut Sockets, conn: ConnId) {
        self.report(Heard::Open(conn));
    }

    fn on_frame(&mut self, _: &mut Sockets, conn: ConnId, frame: Frame<'_>) {
        match frame {
            Frame::Text(text) => self.report(Heard::Text(conn, text.into_owned())),
            Frame::Binary(bytes) => panic!("tests send text, not {bytes:?}"),
        }
    }

    fn on_heard(&mut self, _: &mut Sockets, conn: ConnId) {
        self.report(Heard::Something(conn));
    }

    fn on_writable(&mut self, _: &mut Sockets, conn: ConnId, bytes: usize) {
        self.report(Heard::Writable(conn, bytes));
    }

    fn on_closed(&mut self, _: &mut Sockets, conn: ConnId, why: Closed) {
        self.report(Heard::Closed(conn, why));
    }

    fn on_turn(&mut self, sockets: &mut Sockets, _: Instant) -> Option<Instant> {
        while let Some(act) = self.acts.pop() {
            act(sockets);
        }
        None
    }
}

pub(crate) struct Driver {
    addr: SocketAddr,
    acts: Mailbox<Act>,
    heard: Receiver<Heard>,
    thread: Option<JoinHandle<()>>,
}

impl Driver {
    pub(crate) fn start() -> Self {
        Self::start_with(|_| {})
    }

    pub(crate) fn start_with(configure: impl FnOnce(&mut Config)) -> Self {
        let listener = listen("127.0.0.1:0".parse().expect("an address"), 4096).expect("listening");
        let addr = listener.local_addr().expect("bound");
        let (sleeper, waker) = sleep_and_wake().expect("descriptors are left");
        let (acts, inbox) = mailbox(&waker, 10_000);
        let (reports, heard) = channel();
        let mut config = Config::new("test", 10_000);
        configure(&mut config);
        let thread = std::thread::spawn(move || {
            let reporter = |_: &mut Sockets| Reporter { acts: inbox, heard: reports };
            block_on(run(config, listener, sleeper, reporter)).expect("the shard runs");
        });
        Driver { addr, acts, heard, thread: Some(thread) }
    }

    /// A client's socket, before it connects.
    pub(crate) fn socket() -> socket2::Socket {
        socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).expect("descriptors are left")
    }

    pub(crate) fn connect_socket(&self, socket: socket2::Socket) -> TcpStream {
        socket.connect(&self.addr.into()).expect("connected");
        let stream = TcpStream::from(socket);
        stream.set_read_timeout(Some(PATIENCE)).expect("set");
        stream.set_nodelay(true).expect("set");
        stream
    }

    pub(crate) fn connect_tcp(&self) -> TcpStream {
        self.connect_socket(Self::socket())
    }

    pub(crate) fn connect(&self, path: &str) -> Socket {
        self.upgrade(self.connect_tcp(), path)
    }

    pub(crate) fn upgrade(&self, stream: TcpStream, path: &str) -> Socket {
        let config = tungstenite::protocol::WebSocketConfig::default().read_buffer_size(4096);
        let url = format!("ws://{}{path}", self.addr);
        let connected = tungstenite::client::client_with_config(url, stream, Some(config));
        connected.expect("the handshake succeeds").0
    }

    /// Has the shard do something in its next turn.
    pub(crate) fn tell(&self, act: impl FnOnce(&mut Sockets) + Send + 'static) {
        assert!(self.acts.push(Box::new(act)).is_ok(), "the mailbox has room");
    }

    pub(crate) fn send(&self, conn: ConnId, payload: Vec<u8>) {
        self.tell(move |sockets| sockets.send(conn, &SharedFrame::copied(Opcode::Binary, &payload)));
    }

    pub(crate) fn close(&self, conn: ConnId, code: u16) {
        let code = CloseCode::new(code).expect("an application's code");
        self.tell(move |sockets| sockets.close(conn, code, "as told"));
    }

    pub(crate) fn stop(&self, within: Duration) {
        self.tell(move |sockets| sockets.stop(within));
    }

    /// Runs `act` on the shard and returns what it returns.
    pub(crate) fn ask<T: Send + 'static>(&self, act: impl FnOnce(&mut Sockets) -> T + Send + 'static) -> T {
        let (sender, receiver) = channel();
        self.tell(move |sockets| sender.send(act(sockets)).expect("the test waits for it"));
        receiver.recv_timeout(PATIENCE).expect("a shard that is asked answers")
    }

    /// Returns when the shard has done all it was told, and what that completed.
    pub(crate) fn settle(&self) {
        for _ in 0..3 {
            self.ask(|_| ());
        }
    }

    /// Everything heard that was not asked for yet.
    pub(crate) fn heard(&self) -> impl Iterator<Item = Heard> {
        self.heard.try_iter()
    }

    /// The first thing heard that is wanted.
    fn wait_for<T>(&self, mut wanted: impl FnMut(Heard) -> Option<T>) -> T {
        loop {
            if let Some(found) = wanted(self.heard.recv_timeout(PATIENCE).expect("something is heard in time")) {
                return found;
            }
        }
    }

    pub(crate) fn wait_for_open(&self) -> ConnId {
        self.wait_for(|heard| if let Heard::Open(conn) = heard { Some(conn) } else { None })
    }

    pub(crate) fn wait_for_text(&self) -> (ConnId, String) {
        self.wait_for(|heard| match heard {
            Heard::Text(conn, text) => Some((conn, text)),
            Heard::Writable(..) | Heard::Something(_) | Heard::Open(_) => None,
            Heard::Closed(conn, why) => panic!("{conn} was closed: {why:?}"),
        })
    }

    pub(crate) fn wait_for_connections(&self, count: usize) {
        within(PATIENCE, || self.ask(|sockets| sockets.connections()) == count);
    }

    /// Returns when the shard has ended by itself.
    pub(crate) fn join(mut self) {
        self.thread.take().expect("joined once").join().expect("the shard ended in good order");
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        if let Some(thread) = self.thread.take() {
            // It may have ended, by a panic for instance, which the join below shows.
            let _ = self.acts.push(Box::new(|sockets| sockets.stop(Duration::ZERO)));
            if thread.join().is_err() && !std::thread::panicking() {
                panic!("the shard panicked");
            }
        }
    }
}

/// Sends texts one after the other, each of which has to come back.
pub(crate) fn echoes(socket: &mut Socket, texts: impl IntoIterator<Item = impl ToString>) {
    for text in texts {
        let message = Message::text(text.to_string());
        socket.send(message.clone()).expect("sent");
        assert_eq!(socket.read().expect("read"), message);
    }
}

/// Waits until `done`, which is asked every few milliseconds.
pub(crate) fn within(limit: Duration, mut done: impl FnMut() -> bool) {
    let began = Instant::now();
    while !done() {
        assert!(began.elapsed() < limit, "did not happen within {limit:?}");
        sleep(Duration::from_millis(5));
    }
}
