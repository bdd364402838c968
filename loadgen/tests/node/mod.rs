//! A node in a few threads, with faults on demand and a count of those it committed.
//!
//! Speaks as much of the protocol as `loadgen` does, over the encodings of `schema` and the frames of tungstenite:
//! accounts and channels by HTTP, `connect`, `send`, `history` and `echo` in sessions. Keeps everything in memory.

mod http;

use std::collections::{HashMap, HashSet};
use std::io::ErrorKind;
use std::net::{SocketAddr, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use schema::command::{ClientLimits, Connect, Connected, History, HistoryPage, HistoryWindow, Retry, Send};
use schema::message::{no_mentions, no_reactions};
use schema::{
    ChannelId, ClientMsgId, Command, Encoding, ErrorCode, Message, Push, Refusal, Reply, Request, Seq, ServerFrame,
    SessionId, UnixMs, UserId,
};
use tungstenite::handshake::server::{Request as Upgrade, Response};
use tungstenite::{Error, Message as Frame, WebSocket};

use crate::running;

/// How long a session listens before it looks whether there is something to push.
const LISTEN: Duration = Duration::from_millis(2);

/// What the node does wrong, to every fifth message of a channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    None,
    /// Does not push it to the one who did not send it.
    LosePush,
    /// Pushes it twice to that one.
    DoublePush,
    /// Pushes it after the next one to that one.
    SwapPush,
    /// Pushes that one another text.
    ChangePush,
    /// Never acknowledges it.
    LoseAck,
    /// Refuses it for now, and whatever follows it in the session until it comes again.
    Refuse,
    /// Refuses it for good.
    Forbid,
    /// After a resumption pushes what it had pushed before once more.
    ResumeTooEarly,
}

#[derive(Debug, Default)]
pub(crate) struct State {
    pub(crate) users: HashMap<String, (UserId, String)>,
    pub(crate) channels: Vec<Vec<UserId>>,
    messages: HashMap<ChannelId, Vec<Arc<Message>>>,
    seqs: HashMap<(UserId, ClientMsgId), Seq>,
    /// All events in the order of their commits. A cursor is an index into them.
    events: Vec<(ChannelId, Arc<Message>)>,
    refused_once: HashSet<ClientMsgId>,
    attempts: u64,
    faults: u64,
    pub(crate) connects: u64,
}

/// Where the node is, and what it did.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    pub(crate) ws: SocketAddr,
    pub(crate) api: SocketAddr,
    inner: Inner,
}

/// What all its threads share.
#[derive(Debug, Clone)]
struct Inner {
    fault: Fault,
    state: Arc<Mutex<State>>,
}

impl Node {
    pub(crate) fn start(fault: Fault) -> Self {
        let inner = Inner { fault, state: Arc::default() };
        let (sessions, requests) = (inner.clone(), inner.clone());
        // A client that goes away in the middle of anything is no failure of the test.
        let ws = running::serve(move |stream| _ = sessions.serve(stream));
        let api = running::serve(move |stream| http::answer(&stream, &requests));
        Self { ws, api, inner }
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.inner.state()
    }

    pub(crate) fn faults(&self) -> u64 {
        self.state().faults
    }
}

impl Inner {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no thread panics with it")
    }

    fn serve(&self, stream: TcpStream) -> Result<(), Error> {
        stream.set_nodelay(true)?;
        let mut encoding = Encoding::Json;
        #[expect(clippy::result_large_err, reason = "the error is tungstenite's own")]
        let agree = |upgrade: &Upgrade, mut response: Response| {
            let offer = upgrade.headers().get("Sec-WebSocket-Protocol").and_then(|value| value.to_str().ok());
            let named = |it: &Encoding| Some(it.subprotocol()) == offer;
            encoding = Encoding::ALL.into_iter().find(named).expect("loadgen offers one of these");
            let value = encoding.subprotocol().parse().expect("a subprotocol is a header's value");
            response.headers_mut().insert("Sec-WebSocket-Protocol", value);
            Ok(response)
        };
        let socket = tungstenite::accept_hdr(stream, agree).map_err(|_| Error::ConnectionClosed)?;
        socket.get_ref().set_read_timeout(Some(LISTEN))?;
        let mut session =
            Session { node: self, socket, encoding, user: None, next_event: 0, held: None, blocked: None };
        loop {
            let bytes = match session.socket.read() {
                Ok(Frame::Binary(bytes)) if encoding == Encoding::Fb => bytes.to_vec(),
                Ok(Frame::Text(text)) if encoding == Encoding::Json => text.as_bytes().to_vec(),
                Ok(other @ (Frame::Binary(_) | Frame::Text(_))) => panic!("{other:?} in a session of {encoding:?}"),
                Ok(_) => continue,
                Err(Error::Io(error)) if error.kind() == ErrorKind::WouldBlock => {
                    session.push()?;
                    continue;
                }
                Err(error) => return Err(error),
            };
            for request in encoding.requests(&bytes) {
                session.request(request.expect("loadgen's requests are of the protocol"))?;
            }
        }
    }
}

struct Session<'a> {
    node: &'a Inner,
    socket: WebSocket<TcpStream>,
    encoding: Encoding,
    user: Option<UserId>,
    next_event: usize,
    /// A push that waits for the next one to overtake it.
    held: Option<Push>,
    /// The message whose refusal the session has not made good yet.
    blocked: Option<ClientMsgId>,
}

impl Session<'_> {
    fn say(&mut self, frame: &ServerFrame) -> Result<(), Error> {
        let mut bytes = Vec::new();
        self.encoding.put_server_frame(frame, &mut bytes);
        self.socket.send(match self.encoding {
            Encoding::Json => Frame::text(String::from_utf8(bytes).expect("JSON is UTF-8")),
            Encoding::Fb => Frame::binary(bytes),
        })
    }

    fn request(&mut self, Request { id, command }: Request) -> Result<(), Error> {
        let reply = match command {
            Command::Connect(connect) => Some(Ok(Reply::Connect(self.connect(&connect)))),
            Command::Send(send) => self.send(&send),
            Command::History(history) => Some(Ok(Reply::History(self.history(&history)))),
            Command::Echo { data } => Some(Ok(Reply::Echo { data })),
            Command::Refresh { .. }
            | Command::Mark { .. }
            | Command::Edit(_)
            | Command::Delete(_)
            | Command::React(_)
            | Command::Typing(_)
            | Command::Open(_)
            | Command::Close { .. }
            | Command::PresenceGet(_)
            | Command::PresenceWatch { .. }
            | Command::Search(_) => panic!("loadgen says no {command:?}"),
        };
        let Some(reply) = reply else { return Ok(()) };
        self.say(&ServerFrame::Reply { id, reply: reply.map_err(|refusal: Refusal| refusal.into()) })
    }

    fn connect(&mut self, connect: &Connect) -> Connected {
        let mut state = self.node.state();
        let user =
            *state.users.values().find(|(_, token)| *token == connect.token).map(|(user, _)| user).expect("a token");
        self.user = Some(user);
        state.connects += 1;
        self.next_event = match &connect.cursor {
            None => state.events.len(),
            Some(cursor) => {
                let next: usize = cursor.parse().expect("a cursor of this node");
                if self.node.fault == Fault::ResumeTooEarly && next > 0 && state.is_in(user, state.events[next - 1].0) {
                    state.faults += 1;
                    next - 1
                } else {
                    next
                }
            }
        };
        Connected {
            user_id: user,
            session_id: SessionId(1),
            server_time_ms: UnixMs(1_800_000_000_000),
            ping_ms: 25_000,
            limits: ClientLimits::default(),
            cursor: self.next_event.to_string(),
            retry: Retry::default(),
        }
    }

    fn send(&mut self, send: &Send) -> Option<Result<Reply, Refusal>> {
        let from = self.user.expect("connected before it sends");
        let mut state = self.node.state();
        assert!(state.is_in(from, send.channel_id), "{from} sends to a channel of others");
        let sent_ms = UnixMs(1_800_000_000_000);
        if let Some(&seq) = state.seqs.get(&(from, send.client_msg_id)) {
            return Some(Ok(Reply::Send { seq, sent_ms, duplicate: true }));
        }
        let head = state.messages.entry(send.channel_id).or_default().len() as u64;
        let faulty = (head + 1).is_multiple_of(5);
        state.attempts += 1;
        match self.node.fault {
            Fault::Forbid if state.attempts.is_multiple_of(5) => {
                state.faults += 1;
                return Some(Err(Refusal::new(ErrorCode::Blocked, "one of the two has blocked the other")));
            }
            Fault::Refuse if self.blocked.is_some_and(|id| id != send.client_msg_id) => {
                state.faults += 1;
                return Some(Err(Refusal::new(ErrorCode::Moving, "an earlier one first")));
            }
            Fault::Refuse if faulty && state.refused_once.insert(send.client_msg_id) => {
                state.faults += 1;
                self.blocked = Some(send.client_msg_id);
                return Some(Err(Refusal::new(ErrorCode::Moving, "moving")));
            }
            _ => self.blocked = None,
        }
        let seq = Seq(head + 1);
        let message = Arc::new(Message {
            channel_id: send.channel_id,
            seq,
            revision: 0,
            from,
            sent_ms,
            client_msg_id: send.client_msg_id,
            kind: send.kind,
            body: Arc::clone(&send.body),
            reply_to: None,
            mentions: no_mentions(),
            edited_ms: None,
            deleted: false,
            reactions: no_reactions(),
        });
        state.messages.entry(send.channel_id).or_default().push(Arc::clone(&message));
        state.seqs.insert((from, send.client_msg_id), seq);
        state.events.push((send.channel_id, message));
        if self.node.fault == Fault::LoseAck && faulty {
            state.faults += 1;
            return None;
        }
        Some(Ok(Reply::Send { seq, sent_ms, duplicate: false }))
    }

    fn history(&self, history: &History) -> HistoryPage {
        let state = self.node.state();
        let all = state.messages.get(&history.channel_id).map_or(&[][..], Vec::as_slice);
        let limit = history.limit as usize;
        let (from, to) = match history.window {
            HistoryWindow::Newest => (all.len().saturating_sub(limit), all.len()),
            HistoryWindow::After(seq) => (seq.0 as usize, all.len().min(seq.0 as usize + limit)),
            HistoryWindow::Before(_) | HistoryWindow::Around(_) => panic!("loadgen asks for no {history:?}"),
        };
        HistoryPage {
            messages: all[from..to].to_vec(),
            head_seq: Seq(all.len() as u64),
            first_seq: Seq(1),
            more: to < all.len(),
        }
    }

    fn push(&mut self) -> Result<(), Error> {
        let Some(user) = self.user else { return Ok(()) };
        loop {
            let state = self.node.state();
            let Some((channel, message)) = state.events.get(self.next_event).cloned() else { break };
            self.next_event += 1;
            let mine = state.is_in(user, channel);
            drop(state);
            if !mine {
                continue;
            }
            let cursor = self.next_event.to_string();
            let push = |message: Arc<Message>| Push::Message { message, cursor: Some(cursor.clone()) };
            let faulty = message.seq.0.is_multiple_of(5) && message.from != user;
            match self.node.fault {
                Fault::LosePush if faulty => self.node.state().faults += 1,
                Fault::DoublePush if faulty => {
                    self.node.state().faults += 1;
                    self.say(&ServerFrame::Push(push(Arc::clone(&message))))?;
                    self.say(&ServerFrame::Push(push(message)))?;
                }
                Fault::SwapPush if faulty => self.held = Some(push(message)),
                Fault::ChangePush if faulty => {
                    self.node.state().faults += 1;
                    let body = format!("{}!", message.body).into();
                    self.say(&ServerFrame::Push(push(Arc::new(Message { body, ..(*message).clone() }))))?;
                }
                _ => {
                    self.say(&ServerFrame::Push(push(message)))?;
                    if let Some(held) = self.held.take() {
                        self.node.state().faults += 1;
                        self.say(&ServerFrame::Push(held))?;
                    }
                    continue;
                }
            }
        }
        // Nothing overtakes it any more.
        if let Some(held) = self.held.take() {
            self.say(&ServerFrame::Push(held))?;
        }
        Ok(())
    }
}

impl State {
    fn is_in(&self, user: UserId, channel: ChannelId) -> bool {
        self.channels[channel.0 as usize].contains(&user)
    }
}
