//! One session of a node, and all that may go wrong in it.

use std::io::ErrorKind;
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use schema::command::{ClientLimits, Connect, Connected, History, HistoryPage, Retry, Send};
use schema::message::{no_mentions, no_reactions};
use schema::{
    ClientMsgId, Command, Encoding, ErrorCode, Message, Push, Refusal, Reply, Request, Seq, ServerFrame, SessionId,
    UnixMs, UserId,
};
use tungstenite::handshake::server::{Request as Upgrade, Response};
use tungstenite::protocol::CloseFrame;
use tungstenite::protocol::frame::coding::CloseCode;
use tungstenite::{Error, Message as Frame, WebSocket};

use super::{Fault, Inner};

/// How long a session listens before it looks whether there is something to push.
const LISTEN: Duration = Duration::from_millis(2);

/// Sends after which a restless node ends a session.
const RESTLESS_SENDS: u32 = 25;

pub(super) fn serve(node: &Inner, stream: TcpStream) -> Result<(), Error> {
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
        Session { node, socket, encoding, user: None, next_event: 0, held: None, blocked: None, sends: 0, skip: false };
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
    sends: u32,
    /// The next push of another's message is left out.
    skip: bool,
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
            Command::Connect(connect) => Some(self.connect(&connect).map(Reply::Connect)),
            Command::Send(send) => {
                self.before_send()?;
                let reply = self.send(&send);
                self.after_send()?;
                reply
            }
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

    /// Whether a restless node has had enough of the session, which counts as ended then.
    fn is_over(&mut self) -> bool {
        let over = self.node.restless && self.sends >= RESTLESS_SENDS;
        self.node.state().ended += u64::from(over);
        over
    }

    fn before_send(&mut self) -> Result<(), Error> {
        self.sends += 1;
        if self.node.fault == Fault::FallSilent && self.sends == 10 {
            let first = {
                let mut state = self.node.state();
                state.faults += 1;
                state.faults == 1
            };
            if first {
                std::thread::sleep(Duration::from_secs(20));
                return Err(Error::ConnectionClosed);
            }
        }
        if self.node.fault == Fault::Drain && self.node.place == 0 && self.sends == 10 {
            let url = {
                let mut state = self.node.state();
                state.faults += 1;
                Some(format!("ws://{}", state.places[1].0))
            };
            let deadline_ms = UnixMs(1_800_000_060_000);
            self.say(&ServerFrame::Push(Push::Drain { deadline_ms, jitter_ms: 200, url }))?;
        }
        if self.node.place > 0 && self.is_over() { Err(Error::ConnectionClosed) } else { Ok(()) }
    }

    fn after_send(&mut self) -> Result<(), Error> {
        if self.node.place > 0 || !self.is_over() {
            return Ok(());
        }
        let (code, reason) = (CloseCode::from(3001), "node going away".into());
        self.socket.close(Some(CloseFrame { code, reason }))?;
        Err(Error::ConnectionClosed)
    }

    fn connect(&mut self, connect: &Connect) -> Result<Connected, Refusal> {
        let mut state = self.node.state();
        if self.node.restless && connect.cursor.is_some() && state.connects.is_multiple_of(2) {
            state.connects += 1;
            state.refused += 1;
            return Err(Refusal::new(ErrorCode::Moving, "moving"));
        }
        let user =
            *state.users.values().find(|(_, token)| *token == connect.token).map(|(user, _)| user).expect("a token");
        self.user = Some(user);
        self.skip = self.node.fault == Fault::ResumeTooLate && connect.cursor.is_some();
        state.connects += 1;
        state.places[self.node.place].1 += 1;
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
        Ok(Connected {
            user_id: user,
            session_id: SessionId(1),
            server_time_ms: UnixMs(1_800_000_000_000),
            ping_ms: 25_000,
            limits: ClientLimits::default(),
            cursor: self.next_event.to_string(),
            retry: Retry { base_ms: 50, cap_ms: 500 },
        })
    }

    fn send(&mut self, send: &Send) -> Option<Result<Reply, Refusal>> {
        let from = self.user.expect("connected before it sends");
        let mut state = self.node.state();
        assert!(state.is_in(from, send.channel_id), "{from} sends to a channel of others");
        let sent_ms = UnixMs(1_800_000_000_000);
        if let Some(&seq) = state.seqs.get(&(from, send.client_msg_id)) {
            if self.node.fault == Fault::CommitTwice {
                state.faults += 1;
                let again = state.messages[&send.channel_id][seq.0 as usize - 1].clone();
                let again = Arc::new(Message { seq: Seq(state.head(send.channel_id) + 1), ..(*again).clone() });
                state.append(again);
            }
            return Some(Ok(Reply::Send { seq, sent_ms, duplicate: true }));
        }
        let head = state.head(send.channel_id);
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
            media: Vec::new(),
        });
        state.append(message);
        state.seqs.insert((from, send.client_msg_id), seq);
        if self.node.fault == Fault::LoseAck && faulty {
            state.faults += 1;
            return None;
        }
        Some(Ok(Reply::Send { seq, sent_ms, duplicate: false }))
    }

    fn history(&self, history: &History) -> HistoryPage {
        self.node.state().history(history)
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
                Fault::ResumeTooLate if self.skip && message.from != user => {
                    self.skip = false;
                    self.node.state().faults += 1;
                }
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
