//! A client at the other end of a connection: says commands, reads frames back and tells them in a word or two.
//!
//! Owns what it has asked and not heard of, and what it was told. Every reply must answer a question, once (I12).

use std::collections::BTreeMap;

use router::ConnId;
use schema::{
    ChannelId, ClientMsgId, Command, Cursor, Encoding, PresenceEntry, PresenceState, Push, Reply, Request, Seq,
    ServerFrame, SessionId, UnixMs, UserId,
};
use wire::SharedFrame;

use crate::world::Names;

/// What one connection was told of its inbox.
#[derive(Default)]
pub(crate) struct Followed {
    /// The cursor in the reply to `connect`.
    pub(crate) start: Option<Cursor>,
    pub(crate) told: Vec<Heard>,
    /// Large channels that are open, and the last message of each.
    pub(crate) logs: BTreeMap<ChannelId, Seq>,
    /// Sends that were answered for the first time, by the numbers of their commands.
    pub(crate) sent: BTreeMap<ChannelId, Vec<(u32, Seq)>>,
    /// What it was told of the users whom it watches.
    pub(crate) seen: BTreeMap<UserId, PresenceState>,
}

pub(crate) enum Heard {
    /// An event, by the cursor after it, and a message's text.
    Event(Cursor, Option<String>),
    /// A page of a snapshot; the last bears a cursor.
    Snapshot(Vec<ChannelId>, Option<Cursor>),
}

pub(crate) struct Client {
    pub(crate) name: String,
    pub(crate) shard: usize,
    pub(crate) conn: ConnId,
    pub(crate) encoding: Encoding,
    /// Whether what is sent to it leaves at once.
    pub(crate) reading: bool,
    /// Whether it answers pings.
    pub(crate) silent: bool,
    pub(crate) undrained_bytes: u32,
    pub(crate) reads_on: bool,
    pub(crate) closed: Option<u16>,
    /// The last cursor that it was given.
    pub(crate) cursor: Option<String>,
    /// Bodies of messages that were pushed, in order.
    pub(crate) pushed: Vec<String>,
    pub(crate) followed: Followed,
    pub(crate) told: Vec<String>,
    pub(crate) session: Option<SessionId>,
    /// What is not answered, as far as this protocol knows it.
    pub(crate) asked: BTreeMap<u32, Option<Command>>,
    next_id: u32,
}

impl Client {
    pub(crate) fn new(name: &str, shard: usize, conn: ConnId, encoding: Encoding) -> Self {
        Self {
            name: name.to_owned(),
            shard,
            conn,
            encoding,
            reading: true,
            silent: false,
            undrained_bytes: 0,
            reads_on: true,
            closed: None,
            cursor: None,
            pushed: Vec::new(),
            followed: Followed::default(),
            told: Vec::new(),
            session: None,
            asked: BTreeMap::new(),
            next_id: 0,
        }
    }

    /// The bytes of a command under the next number.
    pub(crate) fn ask(&mut self, command: Command) -> Vec<u8> {
        if let Command::Close { channel_id } = &command {
            self.followed.logs.remove(channel_id);
        }
        let request = Request { id: self.number(), command };
        let mut bytes = Vec::new();
        self.encoding.put_request(&request, &mut bytes);
        self.asked.insert(request.id, Some(request.command));
        bytes
    }

    /// The next number, under which an answer is expected.
    pub(crate) fn number(&mut self) -> u32 {
        self.next_id += 1;
        self.asked.insert(self.next_id, None);
        self.next_id
    }

    pub(crate) fn socket(&self) -> (usize, ConnId) {
        (self.shard, self.conn)
    }

    pub(crate) fn hear(&mut self, frame: &SharedFrame, names: &Names) {
        for frame in self.encoding.server_frames(payload(frame)).expect("a frame of this protocol") {
            let told = match frame {
                ServerFrame::Reply { id, reply } => self.answered(id, reply, names),
                ServerFrame::Push(push) => self.pushed(push, names),
            };
            self.told.push(told);
        }
    }

    fn answered(&mut self, id: u32, reply: Result<Reply, schema::ErrorReply>, names: &Names) -> String {
        let asked = self.asked.remove(&id);
        // Number 0 is what could not be read, and those above a million are a row's own.
        let is_asked = asked.is_some() || !(1..1_000_000).contains(&id);
        assert!(is_asked, "I12: {} was answered {id} without or twice: {reply:?}", self.name);
        match reply {
            Ok(Reply::Connect(connected)) => {
                self.session = Some(connected.session_id);
                // A call follows nothing.
                if !connected.cursor.is_empty() {
                    self.followed.start = Some(connected.cursor.parse().expect("a cursor"));
                    self.cursor.get_or_insert(connected.cursor);
                }
                "connected".to_owned()
            }
            Ok(Reply::Refresh { .. }) => "refreshed".to_owned(),
            Ok(Reply::Send { seq, duplicate, .. }) => {
                if let Some(Some(Command::Send(send))) = asked.filter(|_| !duplicate) {
                    let sent = self.followed.sent.entry(send.channel_id).or_default();
                    sent.push((id, seq));
                    // Answers may come in any order.
                    sent.sort_by_key(|&(id, _)| id);
                }
                format!("{seq}{}", if duplicate { " again" } else { "" })
            }
            Ok(Reply::History(page)) => {
                let bodies: Vec<&str> = page.messages.iter().map(|message| names.short(&message.body)).collect();
                format!("history {}", bodies.join(" ")).trim_end().to_owned()
            }
            Ok(Reply::Mark { read_seq, unread }) => format!("marked {read_seq} {unread}"),
            Ok(Reply::Echo { data }) => format!("echo {}", names.short(&data)),
            Ok(Reply::Edit { revision }) => format!("edited {revision}"),
            Ok(Reply::Delete { revision }) => format!("deleted {revision}"),
            Ok(Reply::React { count }) => format!("reacted {count}"),
            Ok(Reply::Typing {}) => "told".to_owned(),
            Ok(Reply::Open(opened)) => {
                if let Some(Some(Command::Open(open))) = asked
                    && names.is_large(open.channel_id)
                {
                    let after = open.after_seq.unwrap_or(opened.head_seq);
                    self.followed.logs.insert(open.channel_id, after.min(opened.head_seq));
                }
                format!("open {} read {} online {}", opened.head_seq, opened.read_seq, opened.online)
            }
            Ok(Reply::Close {}) => "closed".to_owned(),
            Ok(Reply::PresenceGet { entries }) => format!("sees {}", presence(&entries, names)).trim_end().to_owned(),
            Ok(Reply::PresenceWatch { entries }) => {
                self.followed.seen = entries.iter().map(|entry| (entry.user_id, entry.state)).collect();
                format!("sees {}", presence(&entries, names)).trim_end().to_owned()
            }
            Ok(Reply::Search(page)) => format!("found {}", page.hits.len()),
            Err(error) => {
                match asked {
                    // An earlier one may have ended with it.
                    Some(Some(Command::Open(open))) => drop(self.followed.logs.remove(&open.channel_id)),
                    Some(Some(Command::PresenceWatch { .. })) => self.followed.seen.clear(),
                    _ => {}
                }
                assert_eq!(error.temporary, matches!(error.code, 100 | 111 | 113..=115), "{error:?}");
                format!("!{}", error.code)
            }
        }
    }

    fn pushed(&mut self, push: Push, names: &Names) -> String {
        let place = push.cursor().map(|cursor| cursor.parse().expect("a cursor"));
        self.cursor = push.cursor().map(str::to_owned).or(self.cursor.take());
        match (&push, place) {
            (Push::Snapshot { channels, .. }, place) => {
                let ids = channels.iter().map(|channel| channel.channel_id).collect();
                self.followed.told.push(Heard::Snapshot(ids, place));
            }
            (Push::Message { message, .. } | Push::Edited { message, .. }, Some(place)) => {
                self.followed.told.push(Heard::Event(place, Some(message.body.to_string())));
            }
            (_, Some(place)) => self.followed.told.push(Heard::Event(place, None)),
            (Push::Message { message, .. }, None) => self.logged(message.channel_id, message.seq),
            (_, None) => {}
        }
        match push {
            Push::Message { message, .. } => {
                self.pushed.push(message.body.to_string());
                format!("{}{}={}", names.channel(message.channel_id), message.seq, names.short(&message.body))
            }
            Push::Membership { channel_id, .. } => format!("member {}", names.channel(channel_id)),
            Push::Read { channel_id, read_seq, cursor: Some(_), .. } => {
                format!("read {}{read_seq}", names.channel(channel_id))
            }
            Push::Read { channel_id, user_id, read_seq, cursor: None } => {
                format!("{} read {}{read_seq}", names.user(user_id), names.channel(channel_id))
            }
            Push::Snapshot { channels, more, cursor } => {
                assert_eq!(more, cursor.is_none(), "only the last page bears the cursor");
                let listed = channels.iter().map(|of| format!("{}{}", names.channel(of.channel_id), of.head_seq));
                format!("snapshot {}{}", listed.collect::<Vec<_>>().join(" "), if more { " …" } else { "" })
            }
            Push::Edited { message, .. } => {
                format!("edit {}{}={}", names.channel(message.channel_id), message.seq, names.short(&message.body))
            }
            Push::Deleted { channel_id, seq, .. } => format!("delete {}{seq}", names.channel(channel_id)),
            Push::Reaction { channel_id, seq, emoji, count, .. } => {
                format!("reaction {}{seq} {emoji}{count}", names.channel(channel_id))
            }
            Push::Head { channel_id, head_seq } => format!("head {}{head_seq}", names.channel(channel_id)),
            Push::Presence { entries } => {
                self.followed.seen.extend(entries.iter().map(|entry| (entry.user_id, entry.state)));
                format!("presence {}", presence(&entries, names))
            }
            Push::Typing { channel_id, on, .. } => {
                format!("{} {}", if on { "types" } else { "stops" }, names.channel(channel_id))
            }
            Push::FeedHead { count } => format!("feed +{count}"),
            Push::Published { channel_id, event, data } => format!("{event} {} {data}", names.channel(channel_id)),
            Push::TokenExpiring { .. } => "expiring".to_owned(),
            Push::Drain { url: None, .. } => "drain".to_owned(),
            Push::Drain { url: Some(url), .. } => format!("drain to {url}"),
        }
    }

    /// A message of a log comes once, behind the one before it.
    fn logged(&mut self, channel: ChannelId, seq: Seq) {
        let last = self.followed.logs.insert(channel, seq);
        assert!(last.is_none_or(|last| last.next() == seq), "{} has {last:?} of {channel} and gets {seq}", self.name);
    }
}

/// What is in an unmasked frame.
fn payload(frame: &SharedFrame) -> &[u8] {
    let bytes = frame.as_bytes();
    match bytes[1] {
        126 => &bytes[4..],
        127 => &bytes[10..],
        _ => &bytes[2..],
    }
}

/// A message's id, from what it says up to a `!`: saying the same again is a retry, and what differs behind it is
/// another content.
pub(crate) fn id_of(body: &str) -> ClientMsgId {
    let named = body.split('!').next().unwrap_or_default();
    let fnv = |hash: u128, byte: u8| (hash ^ u128::from(byte)).wrapping_mul(0x0000_0000_0100_0000_0000_0000_0000_013b);
    ClientMsgId::new(UnixMs(1_767_225_600_000), named.bytes().fold(0x6c62_272e_07bb_0142, fnv))
}

/// Who is there; of many only how many they are.
fn presence(entries: &[PresenceEntry], names: &Names) -> String {
    if entries.len() > 20 {
        return entries.len().to_string();
    }
    let told = entries.iter().map(|one| format!("{}-{:?}", names.user(one.user_id), one.state).to_lowercase());
    told.collect::<Vec<_>>().join(" ")
}
