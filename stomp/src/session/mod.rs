//! One STOMP connection, as a session of the client protocol.
//!
//! Owns the frames' order and what waits for replies. `login` gets it to its account, `sends` and `acks` change channels,
//! `subscribing` begins and ends subscriptions, `delivery` writes what they are given, `repeats` asks again. A reply or push is one of the JSON
//! protocol, whose admission, budgets and cursors are those of every session: here is nothing that it could not do
//! by JSON. Every frame is carried out or answered by an ERROR, after which the connection ends (I12).

mod acks;
mod delivery;
mod login;
mod repeats;
mod sends;
mod subscribing;

use std::collections::{BTreeMap, VecDeque};

use schema::command::{ErrorReply, Send};
use schema::{ChannelId, CloseCode, Command, ErrorCode, Instant, Now, Push, Refusal, Reply, Request, Seq, ServerFrame};

use crate::decode::{Decoder, Fault};
use crate::frame::{Frame, FrameWriter, Verb, Version};
use crate::heartbeat::Heartbeats;
use crate::rare::{Idle, Rare};
use crate::subscription::{Marks, Subscription};
use crate::transaction::Transactions;

use login::Login;
use repeats::{Repeated, Repeats, Watch};
use sends::{MessageIds, Sends, Unsent};

/// Time that the rest of a frame may take.
const FRAME_MS: u64 = 30_000;
/// Receipts that wait until what came before them is done.
const BARRIERS_MAX: usize = 100;

/// One effect of a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// A request, as if the client had sent it by JSON.
    Request(Request),
    /// Bytes for the client: a frame, or the end of a line.
    Send(Vec<u8>),
    /// The connection is over, once what was sent has left.
    Close(CloseCode),
}

/// Effects in their order, oldest first.
pub(crate) type Outputs = VecDeque<Output>;

/// See the module.
#[derive(Debug)]
pub struct Session {
    decoder: Decoder,
    version: Version,
    stage: Stage,
    heartbeats: Heartbeats,
    /// Requests without a reply. Bounded as those of every session: beyond 256 its socket is not read.
    pending: BTreeMap<u32, Pending>,
    next_id: u32,
    subscriptions: Vec<Subscription>,
    next_subscription: u32,
    under_way: Rare<UnderWay>,
    message_ids: MessageIds,
    /// Since when part of a frame waits for the rest.
    amid_since: Option<Instant>,
}

const _: () = assert!(size_of::<Session>() <= 200, "200 of the 1,024 bytes that an idle session may take");

/// What most sessions have nothing of, most of the time.
#[derive(Debug, Default)]
struct UnderWay {
    /// The ways of the read marks of subscriptions that are over, by their numbers.
    left: Vec<(u32, ChannelId, Marks)>,
    watch: Watch,
    repeats: Repeats,
    transactions: Transactions,
    sends: Sends,
    /// Receipts that wait until all that came before is done.
    barriers: VecDeque<Barrier>,
}

impl Idle for UnderWay {
    fn idle() -> &'static Self {
        static IDLE: UnderWay = UnderWay {
            left: Vec::new(),
            watch: Watch::NONE,
            repeats: Repeats::NONE,
            transactions: Transactions::NONE,
            sends: Sends::NONE,
            barriers: VecDeque::new(),
        };
        &IDLE
    }

    fn is_idle(&self) -> bool {
        let Self { left, watch, repeats, transactions, sends, barriers } = self;
        let waits = !left.is_empty() || watch.is_any() || repeats.are_any() || sends.are_any();
        // The numbers of SENDs may begin anew once nobody knows an earlier one.
        !waits && transactions.are_none() && barriers.is_empty()
    }
}

#[derive(Debug)]
enum Stage {
    /// Before CONNECT.
    Fresh,
    /// CONNECT waits for its reply.
    Connecting(Box<Login>),
    /// Logged in.
    Live {
        /// Events that wait for the subscription to the inbox, and until when, after a CONNECT that resumes.
        held: Option<Box<(Vec<Push>, Instant)>>,
    },
    /// Nothing counts any more.
    Over,
}

/// Request that waits for a reply.
#[derive(Debug)]
enum Pending {
    Connect,
    Repeated(Box<Repeated>),
    /// The number of a SEND among those of the session, and what it bore.
    Send(Box<(u64, Unsent)>),
    /// Of this subscription, and of those of its channel that were to be opened meanwhile.
    Open {
        number: u32,
        channel_id: ChannelId,
    },
    History {
        number: u32,
        after: Seq,
    },
    Mark {
        number: u32,
    },
}

/// A receipt that waits for what came before it.
#[derive(Debug)]
struct Barrier {
    /// The last SEND before it.
    sends: u64,
    /// The last request before it.
    requests: u32,
    receipt: Option<String>,
    /// `true` if the client goes then.
    leaves: bool,
}

impl Session {
    /// A connection before its CONNECT.
    #[must_use]
    pub fn new() -> Self {
        Self {
            decoder: Decoder::default(),
            version: Version::default(),
            stage: Stage::Fresh,
            heartbeats: Heartbeats::default(),
            pending: BTreeMap::new(),
            next_id: 1,
            subscriptions: Vec::new(),
            next_subscription: 1,
            under_way: Rare::default(),
            message_ids: MessageIds::default(),
            amid_since: None,
        }
    }

    /// Bytes of an incomplete frame that it holds.
    #[must_use]
    pub fn held_bytes(&self) -> usize {
        self.decoder.held_bytes()
    }

    /// `true` while it keeps pushes back: what the server has queued for it is to count as queued still.
    #[must_use]
    pub fn is_holding(&self) -> bool {
        matches!(&self.stage, Stage::Live { held: Some(_) })
    }

    /// `true` once nothing counts any more.
    #[must_use]
    pub fn is_over(&self) -> bool {
        matches!(self.stage, Stage::Over)
    }

    /// Room for more of the client's messages. The driver reads the socket only while there is some.
    #[must_use]
    pub fn has_room(&self, reads_on: bool) -> bool {
        self.under_way.sends.has_room(reads_on)
    }

    /// Notice of the driver that the socket is read from now on, or is not.
    pub fn reads(&mut self, now: Now, on: bool) {
        self.heartbeats.reads(now.mono, on);
    }

    /// Bytes came that make no message of the WebSocket.
    pub fn heard(&mut self, now: Now) {
        self.heartbeats.heard(now.mono);
    }

    /// A message of the WebSocket came.
    pub fn receive(&mut self, now: Now, bytes: &[u8], out: &mut Outputs) {
        if matches!(self.stage, Stage::Over) {
            return;
        }
        self.heartbeats.heard(now.mono);
        self.decoder.take(bytes);
        loop {
            match self.decoder.next(self.version) {
                Ok(Some(frame)) => self.frame(now, frame, out),
                Ok(None) => break,
                Err(fault) => return self.faulty(now, &fault, out),
            }
            if matches!(self.stage, Stage::Over) {
                return;
            }
        }
        self.amid_since = self.decoder.is_amid_frame().then(|| self.amid_since.unwrap_or(now.mono));
        self.under_way.settle();
    }

    /// One frame of the client.
    fn frame(&mut self, now: Now, frame: Frame, out: &mut Outputs) {
        let receipt = frame.header("receipt").map(str::to_owned);
        let done = match (&self.stage, frame.verb) {
            (Stage::Fresh, Verb::Connect | Verb::Stomp) => self.connect(now, &frame, out),
            (Stage::Fresh | Stage::Connecting(_), _) => {
                Err(Refusal::new(ErrorCode::Unauthenticated, "send CONNECT first, and wait for CONNECTED"))
            }
            (Stage::Over, _) => Ok(()),
            (Stage::Live { .. }, Verb::Send | Verb::Ack | Verb::Nack) => {
                match frame.header("transaction").map(str::to_owned) {
                    Some(name) => self.under_way.transactions.keep(&name, frame),
                    None => self.carry_out(now, &frame, out),
                }
            }
            (Stage::Live { .. }, Verb::Subscribe) => self.subscribe(now, &frame, out),
            (Stage::Live { .. }, Verb::Unsubscribe) => self.unsubscribe(now, &frame, out),
            (Stage::Live { .. }, Verb::Begin) => {
                required(&frame, "transaction").and_then(|name| self.under_way.transactions.begin(name)).map(|()| {
                    self.receipt(now, receipt.as_deref(), out);
                })
            }
            (Stage::Live { .. }, Verb::Abort) => {
                required(&frame, "transaction").and_then(|name| self.under_way.transactions.end(name)).map(|_| {
                    self.receipt(now, receipt.as_deref(), out);
                })
            }
            (Stage::Live { .. }, Verb::Commit) => self.commit(now, &frame, out),
            (Stage::Live { .. }, Verb::Disconnect) => self.barrier(now, receipt.clone(), true, out),
            (Stage::Live { .. }, Verb::Connect | Verb::Stomp) => {
                Err(Refusal::new(ErrorCode::BadRequest, "the session is connected already"))
            }
            (Stage::Live { .. }, Verb::Connected | Verb::Message | Verb::Receipt | Verb::Error) => {
                let message = format!("{} is a server's frame", frame.verb.text());
                Err(Refusal::new(ErrorCode::BadRequest, message))
            }
        };
        if let Err(refusal) = done {
            self.fail(now, &refusal.into(), receipt.as_deref(), out);
        }
    }

    /// A frame that changes something, at once or at its COMMIT.
    fn carry_out(&mut self, now: Now, frame: &Frame, out: &mut Outputs) -> Result<(), Refusal> {
        match frame.verb {
            Verb::Send => self.send(now, frame, out),
            Verb::Ack => self.ack(now, frame, out),
            Verb::Nack => self.nack(now, frame, out),
            verb => unreachable!("{verb:?} is in no transaction"),
        }
    }

    fn commit(&mut self, now: Now, frame: &Frame, out: &mut Outputs) -> Result<(), Refusal> {
        for kept in self.under_way.transactions.end(required(frame, "transaction")?)? {
            if let Err(refusal) = self.carry_out(now, &kept, out) {
                self.fail(now, &refusal.into(), kept.header("receipt").or(frame.header("receipt")), out);
                return Ok(());
            }
        }
        match frame.header("receipt") {
            Some(receipt) => self.barrier(now, Some(receipt.to_owned()), false, out),
            None => Ok(()),
        }
    }

    /// A receipt once all that came before is done.
    fn barrier(&mut self, now: Now, receipt: Option<String>, leaves: bool, out: &mut Outputs) -> Result<(), Refusal> {
        if self.under_way.barriers.len() == BARRIERS_MAX {
            let message = format!("{BARRIERS_MAX} receipts wait for what came before them, the limit");
            return Err(Refusal::new(ErrorCode::LimitExceeded, message));
        }
        let (sends, requests) = (self.under_way.sends.last(), self.next_id - 1);
        self.under_way.barriers.push_back(Barrier { sends, requests, receipt, leaves });
        self.settle(now, out);
        Ok(())
    }

    /// Answers what waited for earlier requests, once they are answered.
    fn settle(&mut self, now: Now, out: &mut Outputs) {
        while let Some(barrier) = self.under_way.barriers.front() {
            // What the server asks of the session itself is no request of the client's.
            let is_done = |pending: &Pending| matches!(pending, Pending::Repeated(of) if !of.holds_barriers());
            let requests = self.pending.range(..=barrier.requests).all(|(_, pending)| is_done(pending));
            let marks = self.under_way.left.is_empty() && self.subscriptions.iter().all(|found| found.marks.is_idle());
            let is_idle =
                requests && marks && self.under_way.watch.is_idle() && !self.under_way.repeats.hold_barriers();
            if !is_idle || !self.under_way.sends.are_done(barrier.sends) {
                return;
            }
            let Barrier { receipt, leaves, .. } = self.under_way.barriers.pop_front().expect("there is a first");
            self.receipt(now, receipt.as_deref(), out);
            if leaves {
                self.close(CloseCode::Normal, out);
                return;
            }
        }
    }

    /// Frame of the server: the reply to a request of this session, or a push.
    pub fn told(&mut self, now: Now, frame: ServerFrame, out: &mut Outputs) {
        if matches!(self.stage, Stage::Over) {
            return;
        }
        match frame {
            ServerFrame::Push(push) => self.pushed(now, push, out),
            ServerFrame::Reply { id, reply } => match taken(&mut self.pending, &id) {
                Some(pending) => self.replied(now, pending, reply, out),
                None => {
                    let refusal = Refusal::new(ErrorCode::Internal, "the server answered what was not asked");
                    self.fail(now, &refusal.into(), None, out);
                }
            },
        }
        self.settle(now, out);
        self.under_way.settle();
    }

    fn replied(&mut self, now: Now, pending: Pending, reply: Result<Reply, ErrorReply>, out: &mut Outputs) {
        match (pending, reply) {
            (Pending::Connect, Ok(Reply::Connect(connected))) => self.connected(now, &connected, out),
            (Pending::Connect, Err(error)) => self.connect_refused(now, &error, out),
            (Pending::Send(send), Ok(Reply::Send { seq, sent_ms, duplicate })) => {
                self.sent(now, (send.0, &send.1), (seq, sent_ms, duplicate), out);
            }
            (Pending::Send(send), Err(error)) => self.send_refused(now, send.0, send.1, &error, out),
            (Pending::Repeated(repeated), Ok(reply)) => self.repeated_done(now, *repeated, &reply, out),
            (Pending::Repeated(repeated), Err(error)) => self.repeated_refused(now, repeated, &error, out),
            (Pending::Open { number, channel_id }, Ok(Reply::Open(opened))) => {
                self.opened(now, (number, channel_id), opened.head_seq, out);
            }
            (Pending::Open { number, channel_id }, Err(error)) => {
                self.open_refused(now, (number, channel_id), &error, out);
            }
            (Pending::History { number, after }, Ok(Reply::History(page))) => {
                self.page_read(now, (number, after), &page, out);
            }
            (Pending::History { number, .. }, Err(error)) if error.temporary => {
                if let Some(subscription) = self.subscription_mut(number) {
                    subscription.page_failed(now.mono, error.retry_after_ms);
                }
            }
            (Pending::Mark { number }, Ok(Reply::Mark { .. })) => self.marked(now, number, out),
            (Pending::Mark { number }, Err(error)) if error.temporary => {
                self.mark_failed(now, number, error.retry_after_ms);
            }
            (Pending::History { .. } | Pending::Mark { .. }, Err(error)) => self.fail(now, &error, None, out),
            (pending, Ok(reply)) => unreachable!("{pending:?} was answered by {reply:?}"),
        }
    }

    /// The server closes the connection with this code: the client is told why.
    pub fn closing(&mut self, now: Now, code: CloseCode, out: &mut Outputs) {
        if matches!(self.stage, Stage::Over) {
            return;
        }
        let number = u16::from(code);
        let writer = FrameWriter::new(self.version, Verb::Error)
            .header("message", format_args!("the connection is closed with {number}"))
            .header("x-close-code", number)
            .header("x-temporary", code.may_retry());
        self.say(now, writer.end(), out);
        self.stage = Stage::Over;
    }

    /// Does what is due. To be called at [`Self::poll_timeout`]; at any other time it does nothing.
    pub fn tick(&mut self, now: Now, out: &mut Outputs) {
        if self.amid_since.is_some_and(|since| since.plus_ms(FRAME_MS) <= now.mono) {
            let refusal = Refusal::new(ErrorCode::BadRequest, "the rest of a frame did not come in time");
            return self.fail(now, &refusal.into(), None, out);
        }
        match &self.stage {
            Stage::Over => return,
            Stage::Fresh => {}
            Stage::Connecting(login) => {
                if login.again_at.is_some_and(|at| at <= now.mono) {
                    self.connect_again(out);
                }
            }
            Stage::Live { held: Some(held) } if held.1 <= now.mono => {
                let message = "x-cursor resumes the inbox: subscribe to /user/queue/inbox behind CONNECT";
                let refusal = Refusal::new(ErrorCode::BadRequest, message);
                return self.fail(now, &refusal.into(), None, out);
            }
            Stage::Live { .. } => {
                self.send_again(now, out);
                self.tick_subscriptions(now, out);
                self.tick_left(now, out);
                self.repeat(now, out);
                self.under_way.settle();
                if matches!(self.stage, Stage::Over) {
                    return;
                }
            }
        }
        if self.heartbeats.lapse_at().is_some_and(|at| at <= now.mono) {
            let writer = FrameWriter::new(self.version, Verb::Error).header("message", "no heart-beat came in time");
            self.say(now, writer.header("x-temporary", true).end(), out);
            return self.close(CloseCode::NoLife, out);
        }
        if self.heartbeats.send_at().is_some_and(|at| at <= now.mono) {
            self.say(now, b"\n".to_vec(), out);
        }
    }

    /// Time at which [`Self::tick`] is next wanted. `None` if only bytes and replies can change anything.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        let own = match &self.stage {
            Stage::Over => return None,
            Stage::Fresh | Stage::Live { held: None } => None,
            Stage::Connecting(login) => login.again_at,
            Stage::Live { held: Some(held) } => Some(held.1),
        };
        let left = self.under_way.left.iter().filter_map(|(_, _, marks)| marks.due());
        let subscriptions = self.subscriptions.iter().filter_map(Subscription::due).chain(left);
        let beats = [self.heartbeats.send_at(), self.heartbeats.lapse_at()].into_iter().flatten();
        let amid = self.amid_since.map(|since| since.plus_ms(FRAME_MS));
        own.into_iter()
            .chain(self.under_way.sends.due())
            .chain(self.under_way.repeats.due())
            .chain(subscriptions)
            .chain(beats)
            .chain(amid)
            .min()
    }

    /// A request of the client, under a number of this session.
    fn ask(&mut self, command: Command, pending: Pending, out: &mut Outputs) {
        let id = self.next_id;
        // 2^32 requests at 100 a second take 500 days; 0 would want no reply.
        self.next_id = self.next_id.checked_add(1).unwrap_or(1);
        self.pending.insert(id, pending);
        out.push_back(Output::Request(Request { id, command }));
    }

    fn say(&mut self, now: Now, bytes: Vec<u8>, out: &mut Outputs) {
        self.heartbeats.sent(now.mono);
        out.push_back(Output::Send(bytes));
    }

    /// RECEIPT, if one was asked for.
    fn receipt(&mut self, now: Now, receipt: Option<&str>, out: &mut Outputs) {
        if let Some(receipt) = receipt {
            let writer = FrameWriter::new(self.version, Verb::Receipt).header("receipt-id", receipt);
            self.say(now, writer.end(), out);
        }
    }

    /// ERROR and the end: STOMP knows no refusal after which a connection goes on.
    fn fail(&mut self, now: Now, error: &ErrorReply, receipt: Option<&str>, out: &mut Outputs) {
        let retry_after_ms = (error.retry_after_ms > 0).then_some(error.retry_after_ms);
        let writer = FrameWriter::new(self.version, Verb::Error)
            .header("message", &error.message)
            .header_if("receipt-id", receipt)
            .header("x-code", error.code)
            .header("x-temporary", error.temporary)
            .header_if("x-retry-after-ms", retry_after_ms);
        self.say(now, writer.end(), out);
        let code = match ErrorCode::try_from(error.code) {
            Ok(ErrorCode::Unauthenticated) => CloseCode::BadToken,
            Ok(ErrorCode::TokenExpired) => CloseCode::TokenExpired,
            Ok(ErrorCode::RateLimited) => CloseCode::Rate,
            Ok(code) if code.is_temporary() => CloseCode::Overloaded,
            Ok(_) | Err(_) => CloseCode::Normal,
        };
        self.close(code, out);
    }

    fn faulty(&mut self, now: Now, fault: &Fault, out: &mut Outputs) {
        let writer = FrameWriter::new(self.version, Verb::Error)
            .header("message", fault)
            .header("x-code", u16::from(ErrorCode::BadRequest))
            .header("x-temporary", false);
        self.say(now, writer.end(), out);
        self.close(CloseCode::BadFrame, out);
    }

    fn close(&mut self, code: CloseCode, out: &mut Outputs) {
        self.stage = Stage::Over;
        self.decoder = Decoder::default();
        self.amid_since = None;
        out.push_back(Output::Close(code));
    }
}

impl Default for Session {
    fn default() -> Self {
        Self::new()
    }
}

/// Takes an entry out. A map that is empty then holds no memory, as most are most of the time.
fn taken<K: Ord, V>(map: &mut BTreeMap<K, V>, key: &K) -> Option<V> {
    let value = map.remove(key);
    if map.is_empty() {
        *map = BTreeMap::new();
    }
    value
}

/// A header that has to be there.
fn required<'a>(frame: &'a Frame, name: &str) -> Result<&'a str, Refusal> {
    frame
        .header(name)
        .ok_or_else(|| Refusal::new(ErrorCode::BadRequest, format!("{} needs the header {name}", frame.verb.text())))
}

/// A header's value, if the header is there.
fn parsed<T: std::str::FromStr<Err: std::fmt::Display>>(frame: &Frame, name: &str) -> Result<Option<T>, Refusal> {
    let Some(text) = frame.header(name) else { return Ok(None) };
    let bad = |error| Refusal::new(ErrorCode::BadRequest, format!("{name}: {error}"));
    text.parse().map(Some).map_err(bad)
}
