//! What a worker's sessions say: messages in channels of neighbouring accounts, to all devices of each.
//!
//! Owns which session writes what, and what goes out again after a refusal or a loss. What came where is the ledger's
//! (`messages`). A session that is told to watch asks once.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, HashMap, VecDeque};

use schema::command::Connected;
use schema::{ClientMsgId, Command, ErrorReply, Message, Reply, Request, Seq, UnixMs, UserId};

use super::messages::{Arrival, Messages};
use super::protocol::Room;
use crate::report::{Latencies, Recorder};
use crate::run::random;
use crate::session::{Talk, not_asked_for, send};
use crate::stamp::{BODY_CHARS_MIN, Stamp};

/// Pause before a message goes out again after a temporary refusal, unless the server names a longer one.
const AGAIN_NS: u64 = 100_000_000;
/// The request that asks for presence. Requests that send have greater ids.
const WATCH_ID: u32 = 2;
/// No time.
const NEVER: u64 = u64::MAX;
/// What is timed: until a session is there and until it is back, acknowledgements, deliveries, those to slow readers.
const LATENCIES: [&str; 5] = ["in", "back", "ack", "delivery", "slow delivery"];

/// One session's part.
#[derive(Debug, Clone)]
struct Member {
    /// When it was dialled first, or told to go and come back; [`NEVER`] once it is connected.
    since_ns: u64,
    /// It was connected before.
    returns: bool,
    connected: bool,
    /// It reads slowly, so that what comes to it is told by itself.
    slow: bool,
    next_request: u32,
    watch: Watch,
    /// The newest message that was pushed to it.
    last: Seq,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Watch {
    No,
    Wanted,
    Asked,
    Watching,
}

/// Requests of one session that wait for an answer, and messages that wait to go out. Few sessions have one.
#[derive(Debug, Default)]
struct Outbox {
    asked: Vec<(u32, u64)>,
    waiting: VecDeque<u64>,
    /// Nothing goes out before this.
    again_ns: u64,
}

/// All of a worker's sessions.
pub(super) struct Crowd {
    devices: usize,
    users: Vec<UserId>,
    members: Vec<Member>,
    rooms: Vec<Room>,
    /// By account.
    room_of: Vec<Option<u32>>,
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
    pub(super) latencies: BTreeMap<&'static str, Recorder>,
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
}

impl Crowd {
    /// Sessions of these accounts, so many of each.
    pub(super) fn new(users: Vec<UserId>, sessions: usize, devices: u32, size: u32, rooms: Vec<Room>) -> Self {
        let member = Member {
            since_ns: NEVER,
            returns: false,
            connected: false,
            slow: false,
            next_request: WATCH_ID + 1,
            watch: Watch::No,
            last: Seq::ZERO,
        };
        let mut room_of = vec![None; users.len()];
        for (at, room) in rooms.iter().enumerate() {
            room_of[room.account as usize..(room.account + room.accounts) as usize].fill(Some(at as u32));
        }
        Self {
            devices: devices as usize,
            rooms,
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
            latencies: LATENCIES.map(|what| (what, Recorder::new())).into(),
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
        let room = self.rooms.get(at)?;
        let from = room.account + fastrand::u32(0..room.accounts);
        self.write_from(at, from as usize, intended_ns, now_ns).map(|(_, by)| by)
    }

    /// The session that is to be pumped for a message to `session`, from another account of its room.
    pub(super) fn probe(&mut self, session: usize, now_ns: u64) -> Option<usize> {
        let account = session / self.devices;
        let at = self.room_of.get(account).copied().flatten()? as usize;
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
        let wanted = |place: usize| members[first + place].connected;
        let number = self.messages.write((at, places), by, id, intended_ns, wanted);
        self.outboxes.entry(by).or_default().waiting.push_back(number);
        Some((number, by))
    }

    fn record(&mut self, what: &'static str, latency_ns: u64) {
        self.latencies.get_mut(what).expect("it is one of those made").record(latency_ns);
    }

    /// All latencies since this was asked last.
    pub(super) fn told(&mut self) -> BTreeMap<&'static str, Latencies> {
        let fresh = |recorder: &mut Recorder| std::mem::replace(recorder, Recorder::new()).all();
        self.latencies.iter_mut().map(|(&what, recorder)| (what, fresh(recorder))).collect()
    }

    /// The accounts that a session watches: its group without its own.
    fn watched(&self, session: usize) -> Vec<UserId> {
        let account = session / self.devices;
        let first = account / self.group * self.group;
        let others = (first..(first + self.group).min(self.users.len())).filter(|&other| other != account);
        others.map(|other| self.users[other]).collect()
    }
}

impl Talk for Crowd {
    fn connected(&mut self, connection: usize, connected: &Connected, now_ns: u64) {
        if self.origin_ms == 0 {
            self.origin_ms = connected.server_time_ms.0.saturating_sub(now_ns / 1_000_000);
        }
        let member = &mut self.members[connection];
        member.connected = true;
        let since_ns = std::mem::replace(&mut member.since_ns, NEVER);
        let what = if std::mem::replace(&mut member.returns, true) { "back" } else { "in" };
        if since_ns != NEVER {
            self.record(what, now_ns.saturating_sub(since_ns));
        }
    }

    fn disconnected(&mut self, connection: usize, _now_ns: u64) {
        let member = &mut self.members[connection];
        member.connected = false;
        if member.watch == Watch::Watching {
            self.counts.watching -= 1;
        }
        if member.watch != Watch::No {
            member.watch = Watch::Wanted;
        }
        if let Some(outbox) = self.outboxes.get_mut(&connection) {
            // In their order, before what is newer.
            let asked = std::mem::take(&mut outbox.asked);
            asked.into_iter().rev().for_each(|(_, number)| outbox.waiting.push_front(number));
        }
    }

    fn waits(&self, connection: usize) -> bool {
        self.outboxes.get(&connection).is_some_and(|outbox| !outbox.asked.is_empty())
    }

    fn woken(&mut self, now_ns: u64) -> Option<usize> {
        let &Reverse((at_ns, connection)) = self.wakes.peek()?;
        if at_ns > now_ns {
            return None;
        }
        self.wakes.pop();
        Some(connection)
    }

    fn answered(&mut self, connection: usize, id: u32, reply: Reply, now_ns: u64) -> Result<(), String> {
        match reply {
            Reply::Send { .. } => {
                let outbox = self.outboxes.get_mut(&connection);
                let number = outbox.and_then(|outbox| {
                    let at = outbox.asked.iter().position(|&(asked, _)| asked == id)?;
                    Some(outbox.asked.remove(at).1)
                });
                let number =
                    number.ok_or_else(|| format!("an acknowledgement came for request {id}, which is not open"))?;
                if let Some(intended_ns) = self.messages.acked(number) {
                    self.counts.acked += 1;
                    self.record("ack", now_ns.saturating_sub(intended_ns));
                }
                Ok(())
            }
            Reply::PresenceWatch { .. } if id == WATCH_ID => {
                self.members[connection].watch = Watch::Watching;
                self.counts.watching += 1;
                Ok(())
            }
            other => not_asked_for(id, &other),
        }
    }

    fn refused(&mut self, connection: usize, id: u32, error: &ErrorReply, now_ns: u64) -> Result<(), String> {
        let fatal = || Err(format!("request {id} was refused with {}: {}", error.code, error.message));
        if !error.temporary {
            return fatal();
        }
        let again_ns = now_ns + AGAIN_NS.max(u64::from(error.retry_after_ms) * 1_000_000);
        let outbox = self.outboxes.entry(connection).or_default();
        outbox.again_ns = again_ns;
        if id == WATCH_ID {
            self.members[connection].watch = Watch::Wanted;
        } else {
            let Some(at) = outbox.asked.iter().position(|&(asked, _)| asked == id) else { return fatal() };
            // What was sent after it is refused too, and follows it: PROTOCOL keeps a session's order so.
            let number = outbox.asked.remove(at).1;
            let place = outbox.waiting.partition_point(|&waiting| waiting < number);
            outbox.waiting.insert(place, number);
            self.counts.retried += 1;
        }
        self.wakes.push(Reverse((again_ns, connection)));
        Ok(())
    }

    fn delivered(&mut self, connection: usize, message: &Message, now_ns: u64) -> Result<(), String> {
        let account = connection / self.devices;
        let room = self.room_of.get(account).copied().flatten().map(|at| self.rooms[at as usize]);
        let Some(room) = room.filter(|room| room.channel == message.channel_id) else {
            return Err(format!("a message of channel {} came, which nobody writes to", message.channel_id));
        };
        let Some(stamp) = Stamp::of(&message.body) else {
            return Err(format!("message {} of channel {} is none of this run", message.seq, message.channel_id));
        };
        let place = connection - self.first_of(&room);
        let member = &mut self.members[connection];
        self.counts.out_of_order += u64::from(message.seq < member.last);
        member.last = member.last.max(message.seq);
        let what = if member.slow { "slow delivery" } else { "delivery" };
        match self.messages.came(stamp.number, place) {
            Arrival::New { intended_ns } => {
                self.counts.delivered += 1;
                self.record(what, now_ns.saturating_sub(intended_ns));
            }
            Arrival::CaughtUp => {}
            Arrival::Again => self.counts.duplicated += 1,
            Arrival::Unknown => {
                return Err(format!("message {} of channel {} was never written", message.seq, message.channel_id));
            }
        }
        Ok(())
    }

    fn next(&mut self, connection: usize, now_ns: u64) -> Option<Request> {
        if self.outboxes.get(&connection).is_some_and(|outbox| now_ns < outbox.again_ns) {
            return None;
        }
        if self.members[connection].watch == Watch::Wanted {
            self.members[connection].watch = Watch::Asked;
            return Some(Request {
                id: WATCH_ID,
                command: Command::PresenceWatch { user_ids: self.watched(connection) },
            });
        }
        let outbox = self.outboxes.get_mut(&connection)?;
        let number = outbox.waiting.pop_front()?;
        let member = &mut self.members[connection];
        let id = member.next_request;
        // The first ids are `connect`'s and that of the watch.
        member.next_request = id.checked_add(1).unwrap_or(WATCH_ID + 1);
        outbox.asked.push((id, number));
        let written = self.messages.get(number).expect("what was not acknowledged is in the ledger");
        let stamp = Stamp { intended_ns: written.intended_ns, connection: written.by, number };
        let command = send(self.rooms[written.room].channel, written.id, stamp.body(&self.filler));
        Some(Request { id, command })
    }
}

#[cfg(test)]
mod tests;
