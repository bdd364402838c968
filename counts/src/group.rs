//! A group's sessions on one shard, which is the home of all, over a store that answers at once.
//!
//! Owns what the store says. A router without sockets: what would leave for a client is counted.

use std::collections::BTreeMap;
use std::sync::Arc;

use router::{Answered, Claims, Config, ConnId, Identity, Input, Output, Purpose, Question, Shard};
use schema::command::Connect;
use schema::limits::{PARTITIONS, PING_MS};
use schema::message::{no_mentions, no_reactions};
use schema::page::{Arrival, ArrivalsPage, InboxPage, SessionStart};
use schema::record::{ArrivalEvent, ArrivalRecord, EventRecord, EventRecordBody};
use schema::{
    ChannelId, ClientMsgId, Command, Cursor, Encoding, Epoch, Event, EventBody, Incarnation, Instant, Member, Message,
    MessageKind, Now, Owner, Position, Request, Seq, ShardIndex, Stamp, Standing, UnixMs, UserId, View,
};

const CHANNEL: ChannelId = ChannelId(1);
const ME: Owner = Owner { incarnation: Incarnation(9), shard: ShardIndex(0) };
const SINCE: UnixMs = UnixMs(1_767_225_600_000);
const FOREVER_MS: u64 = 1_000_000_000_000;

/// See the module.
pub(crate) struct Group {
    shard: Shard,
    now: Now,
    /// The newest transaction, and what it brought.
    newest: Stamp,
    arrived: Vec<Arrival>,
    /// Those who have come.
    users: Vec<UserId>,
    /// Bytes on their way to each socket.
    pub(crate) queued: BTreeMap<ConnId, u32>,
}

impl Group {
    pub(crate) fn new() -> Self {
        let now = Now { mono: Instant(5_000_000_000), wall: SINCE };
        let member = Member { incarnation: ME.incarnation, shards: 1, weight: 1, standing: Standing::Home };
        let view = Arc::new(View::new(Epoch(1), vec![member], vec![ME; usize::from(PARTITIONS)]));
        Self {
            shard: Shard::new(Config { me: ME, view, ping_ms: PING_MS }, now),
            now,
            newest: Stamp { version: 1_000, batch: 0 },
            arrived: Vec::new(),
            users: Vec::new(),
            queued: BTreeMap::new(),
        }
    }

    /// The shard without what is beside it here.
    pub(crate) fn into_shard(self) -> Shard {
        self.shard
    }

    /// Another account comes.
    pub(crate) fn connect(&mut self) {
        let number = self.users.len() as u64 + 1;
        // Ids of accounts are in no order, those of connections are.
        let user = UserId(number.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 16);
        self.users.push(user);
        let (conn, encoding) = (ConnId(number), Encoding::Json);
        self.input(Input::Accepted { conn, purpose: Purpose::Session(encoding) });
        let command = Command::Connect(Connect {
            token: user.0.to_string(),
            device_id: "phone".parse().expect("a device's name"),
            cursor: None,
            client: None,
        });
        let mut payload = Vec::new();
        encoding.put_request(&Request { id: 1, command }, &mut payload);
        self.input(Input::Message { conn, text: true, payload: &payload });
        // As many as a shard lets in.
        self.later(2);
    }

    /// Time passes.
    pub(crate) fn later(&mut self, ms: u64) {
        self.now = Now { mono: self.now.mono.plus_ms(ms), wall: self.now.wall.plus_ms(ms) };
        self.input(Input::Tick);
    }

    /// A message to everybody is committed.
    pub(crate) fn send(&mut self, round: u32) {
        self.newest.version += 10;
        let seq = Seq(round.into());
        let message = Message {
            channel_id: CHANNEL,
            seq,
            revision: 0,
            from: self.users[0],
            sent_ms: self.now.wall,
            client_msg_id: ClientMsgId::new(SINCE, round.into()),
            kind: MessageKind::Text,
            body: "a text of some hundred bytes, as people write them to each other: a sentence, and another".into(),
            reply_to: None,
            mentions: no_mentions(),
            edited_ms: None,
            deleted: false,
            reactions: no_reactions(),
            media: Vec::new(),
        };
        let body = EventBody::Message(Arc::new(message));
        let event = Event { position: self.newest.at(0), channel: CHANNEL, body };
        let record = EventRecord { channel: CHANNEL, body: EventRecordBody::Message { seq, revision: 0 } };
        let mut audience = self.users.clone();
        audience.sort_unstable();
        self.arrived = vec![Arrival {
            stamp: self.newest,
            record: ArrivalRecord {
                audiences: vec![audience],
                events: vec![ArrivalEvent { ordinal: 0, audience: 0, event: record }],
            },
            contents: None,
        }];
        let hints = vec![(ME, self.newest, vec![event])];
        self.input(Input::Committed { hints, live: Vec::new(), feeds: Vec::new() });
    }

    /// The end of all sends under way.
    pub(crate) fn drain(&mut self) {
        for (conn, bytes) in std::mem::take(&mut self.queued) {
            self.input(Input::Drained { conn, bytes });
        }
    }

    /// One input, and all that comes of it.
    fn input(&mut self, input: Input<'_>) {
        self.shard.handle(self.now, input);
        while let Some(question) = self.shard.poll_question() {
            let answered = self.answer(question);
            self.shard.handle(self.now, Input::Answered(answered));
        }
        let mut pinged = Vec::new();
        while let Some(output) = self.shard.poll_output() {
            match output {
                Output::Ping { conn } => pinged.push(conn),
                Output::Send { conn, frame } => {
                    *self.queued.entry(conn).or_default() += u32::try_from(frame.len()).expect("a frame is small");
                }
                Output::Close { .. }
                | Output::Reads { .. }
                | Output::Mesh { .. }
                | Output::Outdated { .. }
                | Output::Lost { .. }
                | Output::Reply { .. } => panic!("not in this load: {output:?}"),
            }
        }
        for conn in pinged {
            self.shard.handle(self.now, Input::Heard { conn });
        }
    }

    fn answer(&mut self, question: Question) -> Answered {
        let through = Position::end_of(self.newest.version);
        match question {
            Question::Authenticate(ask) => {
                let user = UserId(ask.request.token.parse().expect("an account's number"));
                let expires_ms = SINCE.plus_ms(FOREVER_MS);
                ask.pending.answer(Ok(Identity::Known(Claims { user, family: 1, device: None, expires_ms })))
            }
            Question::OpenInbox(ask) => {
                let cursor = Cursor { generation: 7, position: through };
                ask.pending.answer(Ok(SessionStart { cursor, stamp: self.newest }))
            }
            Question::ReadInbox(ask) => {
                ask.pending.answer(Ok(InboxPage::Events { events: Vec::new(), through, exhausted: true }))
            }
            Question::ReadArrivals(ask) => {
                let mut rows = std::mem::take(&mut self.arrived);
                rows.retain(|row| row.stamp > ask.request.after);
                ask.pending.answer(Ok(ArrivalsPage { rows, through: through.stamp, more: false, epoch: Epoch(1) }))
            }
            Question::ClearArrivals(ask) => ask.pending.answer(Ok(())),
            Question::TrimInbox(ask) => ask.pending.answer(Ok(())),
            Question::PutPresence(ask) => ask.pending.answer(Ok(())),
            Question::LargeOf(ask) => ask.pending.answer(Ok(Vec::new())),
            Question::Apply(_)
            | Question::History(_)
            | Question::Search(_)
            | Question::OpenChannel(_)
            | Question::Members(_)
            | Question::Snapshot(_)
            | Question::Visible(_)
            | Question::Subscribe(_)
            | Question::Index(_)
            | Question::FamiliesLive(_)
            | Question::Standing(_)
            | Question::AskBefore(_) => panic!("not in this load: {question:?}"),
        }
    }
}
