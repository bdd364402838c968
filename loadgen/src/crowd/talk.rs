//! Sessions of a worker and what they say: messages in channels of neighbouring accounts, to all devices of each.
//!
//! Owns which session writes what. What comes to a session and what it sends next is [`session`]'s, what came where the ledger's
//! (`messages`). A session that is told to watch asks once; one of a large channel opens it each time that it is connected, from the
//! last message that it has.

mod session;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, HashMap};

use schema::command::{PresenceGet, Search};
use schema::{ChannelId, ClientMsgId, Command, Seq, UnixMs, UserId};

use super::messages::{Messages, Whose};
use super::outbox::{Outbox, Question};
use super::protocol::{LATENCIES, PRESENCE, Room, SEARCH};
use crate::report::{Latencies, Packed};
use crate::run::random;
use crate::stamp::BODY_CHARS_MIN;

/// Pause before a message goes out again after a temporary refusal, unless the server names a longer one.
const AGAIN_NS: u64 = 100_000_000;
/// Hits of a search.
const SEARCH_HITS: u32 = 20;
/// The requests that ask for presence and that open a large channel. Requests that send have greater ids.
const WATCH_ID: u32 = 2;
const OPEN_ID: u32 = 3;
const SEND_ID_MIN: u32 = OPEN_ID + 1;
/// Kinds of rooms, of each of which an account is in one at most: direct channels, and groups.
const KINDS: usize = 2;
const DIRECT: usize = 0;
const GROUP: usize = 1;
/// No time.
const NEVER: u64 = u64::MAX;
/// What is searched for: the stamp of a message has it, now and then.
const SEARCHED: u64 = 0x1000;

/// One session's part.
#[derive(Debug, Clone)]
struct Member {
    /// When it was dialled first, or told to go and come back; [`NEVER`] once it is connected.
    since_ns: u64,
    /// It was connected before, and, in a large channel, had that open.
    returns: bool,
    /// The first message that was written after that: earlier ones need not come to it, and may.
    from: u64,
    connected: bool,
    /// It reads slowly, so that what comes to it is told by itself.
    slow: bool,
    next_request: u32,
    watch: Watch,
    /// Of its large channel, if it is in one.
    opening: Opening,
    /// The newest message that was pushed to it, of its direct channel and of its group.
    last: [Seq; KINDS],
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Watch {
    No,
    Wanted,
    Asked,
    Watching,
}

/// How far a session is with its large channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Opening {
    /// It is in none, or is not connected.
    No,
    Wanted,
    Asked,
    Open,
}

/// What a session may do beside writing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Act {
    Direct,
    Group,
    Presence,
    Search,
    Churn,
}

impl Act {
    /// In the order of a mix.
    pub(super) const ALL: [Self; 5] = [Self::Direct, Self::Group, Self::Presence, Self::Search, Self::Churn];
}

/// All of a worker's sessions.
pub(super) struct Crowd {
    devices: usize,
    users: Vec<UserId>,
    members: Vec<Member>,
    rooms: Vec<Room>,
    /// Direct channels and groups, by their places among all rooms, and by account.
    kinds: [Vec<usize>; KINDS],
    room_of: Vec<[Option<u32>; KINDS]>,
    messages: Messages,
    outboxes: HashMap<usize, Outbox>,
    /// When an outbox that pauses goes on.
    wakes: BinaryHeap<Reverse<(u64, usize)>>,
    /// Messages to single sessions, each with the session's place in its room.
    probes: Vec<(u64, usize)>,
    /// Accounts that watch each other.
    group: usize,
    filler: String,
    /// The server's wall clock at the start of the engine's, and this run's part of every message id.
    origin_ms: u64,
    run: u128,
    pub(super) counts: Counts,
    pub(super) latencies: BTreeMap<&'static str, Latencies>,
}

/// What a crowd counts beside the ledger.
#[derive(Debug, Default)]
pub(super) struct Counts {
    pub(super) sent: u64,
    pub(super) acked: u64,
    pub(super) retried: u64,
    pub(super) delivered: u64,
    pub(super) duplicated: u64,
    pub(super) out_of_order: u64,
    pub(super) unwritten: u64,
    pub(super) watching: u64,
    pub(super) opened: u64,
    /// Questions that were answered, and those whose session went before, or that were refused for now.
    pub(super) answered: u64,
    pub(super) given_up: u64,
}

impl Member {
    /// The first time that it is told messages it is those from this number on; once it returns it has to get all.
    fn is_told_from(&mut self, next: u64) {
        if !std::mem::replace(&mut self.returns, true) {
            self.from = next;
        }
    }
}

impl Crowd {
    /// Sessions of these accounts, so many of each.
    pub(super) fn new(users: Vec<UserId>, sessions: usize, devices: u32, size: u32, rooms: Vec<Room>) -> Self {
        let member = Member {
            since_ns: NEVER,
            returns: false,
            from: 0,
            connected: false,
            slow: false,
            next_request: SEND_ID_MIN,
            watch: Watch::No,
            opening: Opening::No,
            last: [Seq::ZERO; KINDS],
        };
        let (mut kinds, mut room_of) = ([Vec::new(), Vec::new()], vec![[None; KINDS]; users.len()]);
        for (at, room) in rooms.iter().enumerate() {
            kinds[kind(room)].push(at);
            let accounts = room.account as usize..(room.account + room.accounts) as usize;
            room_of[accounts].iter_mut().for_each(|of| of[kind(room)] = Some(at as u32));
        }
        Self {
            devices: devices as usize,
            rooms,
            kinds,
            room_of,
            users,
            members: vec![member; sessions],
            messages: Messages::default(),
            outboxes: HashMap::new(),
            wakes: BinaryHeap::new(),
            probes: Vec::new(),
            group: 1,
            filler: (BODY_CHARS_MIN..=size).map(|at| char::from(b'a' + (at % 26) as u8)).collect(),
            origin_ms: 0,
            run: random() << 32,
            counts: Counts::default(),
            latencies: LATENCIES.map(|what| (what, Latencies::new())).into(),
        }
    }

    /// These sessions were dialled for the first time.
    pub(super) fn dialled(&mut self, sessions: std::ops::Range<usize>, now_ns: u64) {
        self.members[sessions].iter_mut().for_each(|member| member.since_ns = now_ns);
    }

    /// This session was told to go and come back.
    pub(super) fn sent_away(&mut self, session: usize, now_ns: u64) {
        self.members[session].since_ns = now_ns;
    }

    /// From now on this session reads slowly.
    pub(super) fn slow_down(&mut self, session: usize) {
        self.members[session].slow = true;
    }

    /// The session that is to be pumped for the next message of a room, which was due then; none if no session of the
    /// account is connected.
    pub(super) fn write(&mut self, number: u64, intended_ns: u64, now_ns: u64) -> Option<usize> {
        let at = number as usize % self.rooms.len().max(1);
        self.write_in(at, intended_ns, now_ns)
    }

    fn write_in(&mut self, at: usize, intended_ns: u64, now_ns: u64) -> Option<usize> {
        let room = self.rooms.get(at)?;
        let from = room.account + fastrand::u32(0..room.accounts);
        self.write_from(at, from as usize, intended_ns, now_ns).map(|(_, by)| by)
    }

    /// The session that is to be pumped for something that was due then; none if nobody can do it now. Whoever goes is
    /// cut instead.
    pub(super) fn act(&mut self, act: Act, intended_ns: u64, now_ns: u64) -> Option<usize> {
        let question = match act {
            Act::Direct => return self.write_in(fastrand::choice(&self.kinds[DIRECT]).copied()?, intended_ns, now_ns),
            Act::Group => return self.write_in(fastrand::choice(&self.kinds[GROUP]).copied()?, intended_ns, now_ns),
            Act::Churn => return self.any_connected(),
            Act::Presence | Act::Search => act,
        };
        let session = self.any_connected()?;
        let (what, command) = if question == Act::Presence {
            let account = session / self.devices;
            let room = self.rooms[self.room_of.get(account).and_then(|of| of[DIRECT])? as usize];
            let other = room.account + (account as u32 - room.account + 1) % room.accounts;
            let user_ids = vec![self.users[other as usize]];
            (PRESENCE, Command::PresenceGet(PresenceGet { user_ids, channel_id: None, page: 0 }))
        } else {
            let query = format!("{:016x}", fastrand::u64(0..SEARCHED));
            let (channel_id, from, before_ms, cursor) = (None, None, None, None);
            (SEARCH, Command::Search(Search { query, channel_id, from, before_ms, limit: SEARCH_HITS, cursor }))
        };
        self.outboxes.entry(session).or_default().ask(Question { what, intended_ns, command });
        Some(session)
    }

    /// The session that is to be pumped for a message to `session`, from another account of its room.
    pub(super) fn probe(&mut self, session: usize, now_ns: u64) -> Option<usize> {
        let account = session / self.devices;
        let at = self.room_of.get(account)?.iter().flatten().next().copied()? as usize;
        let room = self.rooms[at];
        let other = (account as u32 - room.account + 1) % room.accounts + room.account;
        let (number, by) = self.write_from(at, other as usize, now_ns, now_ns)?;
        self.probes.push((number, session - self.first_of(&room)));
        Some(by)
    }

    /// Sessions that were written to, and those that got it.
    pub(super) fn probed(&self) -> (u64, u64) {
        let arrived = self.probes.iter().filter(|&&(number, place)| self.messages.has_come(number, place));
        (self.probes.len() as u64, arrived.count() as u64)
    }

    /// Messages that have not come everywhere.
    pub(super) fn missing(&self) -> u64 {
        self.messages.missing
    }

    /// From now on each session watches its group, of so many accounts.
    pub(super) fn watch(&mut self, group: u32) {
        self.group = group.max(1) as usize;
        self.members.iter_mut().for_each(|member| member.watch = Watch::Wanted);
    }

    /// A connected session of all, drawn at random.
    pub(super) fn any_connected(&self) -> Option<usize> {
        // Where nearly none is connected none may be drawn, which the next draw makes good.
        let drawn = |_| fastrand::usize(0..self.members.len());
        (0..64).map(drawn).find(|&session| self.members[session].connected)
    }

    /// The large channel of a session's account.
    fn large_of(&self, session: usize) -> Option<ChannelId> {
        let of = self.room_of.get(session / self.devices)?;
        of[GROUP].map(|at| &self.rooms[at as usize]).filter(|room| room.large).map(|room| room.channel)
    }

    fn first_of(&self, room: &Room) -> usize {
        room.account as usize * self.devices
    }

    fn write_from(&mut self, at: usize, account: usize, intended_ns: u64, now_ns: u64) -> Option<(u64, usize)> {
        let room = self.rooms[at];
        let (first, members) = (self.first_of(&room), &self.members);
        let places = (room.accounts as usize * self.devices).min(members.len().saturating_sub(first));
        let own = account * self.devices..((account + 1) * self.devices).min(members.len());
        let connected: Vec<usize> = own.filter(|&session| members[session].connected).collect();
        let Some(&by) = fastrand::choice(&connected) else {
            self.counts.unwritten += 1;
            return None;
        };
        self.counts.sent += 1;
        let id = ClientMsgId::new(UnixMs(self.origin_ms + now_ns / 1_000_000), self.run + u128::from(self.counts.sent));
        let whose = |place: usize| match &members[first + place] {
            member if member.connected && (!room.large || member.opening == Opening::Open) => Whose::Theirs,
            member if member.returns => Whose::Returning,
            _ => Whose::Nobodys,
        };
        let number = self.messages.write((at, places), by, id, intended_ns, whose);
        self.outboxes.entry(by).or_default().put(number);
        Some((number, by))
    }

    fn record(&mut self, what: &'static str, latency_ns: u64) {
        self.latencies.get_mut(what).expect("it is one of those made").record(latency_ns);
    }

    /// All latencies since this was asked last, packed; nothing of what there were none.
    pub(super) fn told(&mut self) -> BTreeMap<&'static str, Packed> {
        let some = self.latencies.iter_mut().filter(|(_, latencies)| latencies.count() > 0);
        some.map(|(&what, latencies)| (what, latencies.take())).collect()
    }

    /// The accounts that a session watches: its group without its own.
    fn watched(&self, session: usize) -> Vec<UserId> {
        let account = session / self.devices;
        let first = account / self.group * self.group;
        let others = (first..(first + self.group).min(self.users.len())).filter(|&other| other != account);
        others.map(|other| self.users[other]).collect()
    }
}

fn kind(room: &Room) -> usize {
    if room.accounts == 2 && !room.large { DIRECT } else { GROUP }
}

#[cfg(test)]
mod tests;
