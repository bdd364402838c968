//! Messages between the accounts of `loadgen chat`, and the proof that they came: acknowledged once, delivered
//! once to each, in order, and the same to all.
//!
//! Owns every member's place in its channel and its unacknowledged messages. Checks of the server's promises: a seq
//! holds one message whoever is told (I2), a session's messages keep their order, a repeated id gives the first seq
//! (I5), each reader gets each seq once (I6).

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

use schema::command::{Connected, History, HistoryPage, HistoryWindow};
use schema::limits::HISTORY_ROWS_MAX;
use schema::{ClientMsgId, Command, ErrorReply, Message, Reply, Request, Seq, UnixMs};

use super::channel::{Channel, Told, fingerprint};
use super::device::{CONNECTION, Comparison, Device};
use super::history::Comparison as Reading;
use super::member::Member;
use super::outbox::Written;
use super::stretches::Stretches;
use crate::accounts::Book;
use crate::drive::Schedule;
use crate::report::{ChatReport, Counts, Findings, Latencies, Recorder, count_reason};
use crate::run::random;
use crate::sequence::Verdict;
use crate::session::{Talk, not_asked_for, send};
use crate::stamp::{BODY_CHARS_MIN, Stamp};

/// Pause before a message goes out again after a temporary refusal, unless the server names a longer one.
const AGAIN_NS: u64 = 100_000_000;

/// All accounts and channels.
pub(super) struct Chat {
    pub(super) schedule: Schedule,
    pub(super) counts: Counts,
    pub(super) report: ChatReport,
    pub(super) findings: Findings,
    pub(super) acked_in_window: u64,
    pub(super) delivered_in_window: u64,
    /// Messages that were refused for good.
    given_up: u64,
    /// Pushes of messages, each counted once for each member.
    pub(super) received: u64,
    /// What members were told of and have not been pushed.
    pub(super) missing: u64,
    pub(super) ack_latencies: Recorder,
    pub(super) stretches: Stretches,
    pub(super) delivery_latencies: Recorder,
    /// From the loss of a session until it is back and has an acknowledgement.
    pub(super) absences: Latencies,
    /// Messages that were refused for a time, by code.
    pub(super) refusals: BTreeMap<u16, u64>,
    pub(super) device: Option<Device>,
    /// Nodes may come and go, and ask each other again for what was sent once.
    pub(super) nodes_change: bool,
    members: Vec<Member>,
    channels: Vec<Channel>,
    filler: String,
    /// The server's wall clock at the start of the engine's.
    origin_ms: u64,
    /// This run's part of every message id.
    run: u128,
    /// When an outbox that pauses goes on.
    wakes: BinaryHeap<Reverse<(u64, usize)>>,
}

impl Chat {
    pub(super) fn new(schedule: Schedule, book: &Book, connections: u32, group: u32, body_chars: u32) -> Self {
        let member = |at: usize| Member::new(book.user(at), at / group as usize);
        Self {
            schedule,
            counts: Counts::default(),
            report: ChatReport { group, ..ChatReport::default() },
            findings: Findings::default(),
            acked_in_window: 0,
            delivered_in_window: 0,
            given_up: 0,
            received: 0,
            missing: 0,
            ack_latencies: Recorder::new(),
            stretches: Stretches::default(),
            delivery_latencies: Recorder::new(),
            absences: Latencies::new(),
            refusals: BTreeMap::new(),
            device: None,
            nodes_change: false,
            members: (0..connections as usize).map(member).collect(),
            channels: book.channels(group).iter().copied().map(Channel::new).collect(),
            filler: (BODY_CHARS_MIN..=body_chars).map(|at| char::from(b'a' + (at % 26) as u8)).collect(),
            origin_ms: 0,
            run: random() << 32,
            wakes: BinaryHeap::new(),
        }
    }

    /// Whether every member knows where its channel stands.
    pub(super) fn ready(&self) -> bool {
        self.members.iter().all(|member| member.ready)
    }

    /// Messages that were sent and neither acknowledged nor refused for good.
    pub(super) fn unanswered(&self) -> u64 {
        self.counts.sent - self.counts.acked - self.given_up
    }

    /// Ends what is still open, now that all is said: absences that nothing was due to end, and messages that never came.
    pub(super) fn end(&mut self) {
        for (connection, member) in self.members.iter().enumerate() {
            let (channel, base) = (&self.channels[member.channel], self.channels[member.channel].base);
            let base = base.unwrap_or_default().0;
            for seq in member.received.missing(channel.head().0 - base) {
                let id = channel.id;
                self.findings
                    .note(|| format!("account {connection} was never pushed seq {} of channel {id}", base + 1 + seq));
            }
            for number in member.outbox.numbers() {
                self.findings.note(|| format!("message {number} of account {connection} was never acknowledged"));
            }
            member.absence.connected_after().into_iter().for_each(|away_ns| self.absences.record(away_ns));
        }
    }

    /// Channels of the run, each with one of its members.
    pub(super) fn channels(&self) -> impl Iterator<Item = (&Channel, usize)> {
        let group = self.report.group as usize;
        self.channels.iter().zip((0..self.members.len()).step_by(group))
    }

    /// The comparison of a channel, of which `first` is the first member, with its history.
    pub(super) fn reading<'a>(&'a self, channel: &'a Channel, first: usize) -> Reading<'a> {
        let members = first..first + self.report.group as usize;
        Reading::new(channel, members.map(|connection| self.members[connection].sender(connection)).collect())
    }

    /// What was pushed to the device is now compared with the history.
    pub(super) fn begin_comparison(&mut self) {
        let base = self.channels[self.members[CONNECTION].channel].base.unwrap_or_default();
        if let Some(device) = &mut self.device {
            device.comparison = Comparison::Ask { after: base };
        }
    }

    fn send(&self, connection: usize, request: u32, written: &Written) -> Request {
        let body = written.stamp(connection).body(&self.filler);
        let channel_id = self.channels[self.members[connection].channel].id;
        Request { id: request, command: send(channel_id, written.id, body) }
    }

    fn acked(&mut self, connection: usize, request: u32, seq: Seq, duplicate: bool, now_ns: u64) -> Result<(), String> {
        let member = &mut self.members[connection];
        let Some(written) = member.outbox.take(request) else {
            return Err(format!("an acknowledgement came for request {request}, which is not open"));
        };
        let ordered = member.last_acked.is_none_or(|(number, at)| (number < written.number) == (at < seq));
        if !ordered {
            self.counts.out_of_order += 1;
            let (before, id) = (member.last_acked, self.channels[member.channel].id);
            self.findings.note(|| {
                let Written { number, sendings, .. } = &written;
                let what = format!("message {number} of account {connection} (sent {sendings} times, {})", written.id);
                let before = before.map(|(number, seq)| (number, seq.0));
                format!("{}: {what} has seq {seq} in channel {id}, message and seq {before:?} came before", at(now_ns))
            });
        }
        member.last_acked = member.last_acked.max(Some((written.number, seq)));
        member.acked += 1;
        if let Some(away_ns) = member.absence.acknowledged(written.intended_ns, now_ns) {
            self.absences.record(away_ns);
        }
        self.counts.acked += 1;
        if duplicate && written.sendings == 1 && !self.nodes_change {
            self.report.mismatched += 1;
        }
        self.report.repeated += u64::from(duplicate);
        if self.schedule.measures(now_ns) {
            self.acked_in_window += 1;
        }
        if self.schedule.measures(written.intended_ns) {
            let latency_ns = now_ns.saturating_sub(written.intended_ns);
            self.ack_latencies.record(latency_ns);
            self.stretches.record(self.schedule.measured_ns(written.intended_ns), latency_ns);
        }
        let (user, channel) = (member.user, member.channel);
        let stamp = written.stamp(connection);
        let fingerprint = fingerprint(user, written.id, &stamp.body(&self.filler));
        self.told(channel, seq, fingerprint, Some(stamp));
        Ok(())
    }

    fn told(&mut self, channel: usize, seq: Seq, fingerprint: u64, stamp: Option<Stamp>) {
        let (risen, told) = self.channels[channel].told(seq, fingerprint);
        self.missing += risen * u64::from(self.report.group);
        match told {
            Told::First => {
                let sender = stamp.and_then(|stamp| Some((self.members.get_mut(stamp.connection)?, stamp.number)));
                let doubled = sender.is_some_and(|(sender, number)| sender.told.receive(number) == Verdict::Duplicate);
                self.counts.duplicated += u64::from(doubled);
                if doubled {
                    let id = self.channels[channel].id;
                    self.findings
                        .note(|| format!("seq {seq} of channel {id} is a message that has another: {stamp:?}"));
                }
            }
            Told::Agreed => {}
            Told::Differs => self.report.mismatched += 1,
        }
    }

    fn history(&mut self, connection: usize, request: u32, page: &HistoryPage) -> Result<(), String> {
        let member = &mut self.members[connection];
        if member.asked == Some(request) && !member.ready {
            member.ready = true;
            if !self.channels[member.channel].stood_at(page.head_seq) {
                return Err("members of one channel were told different heads, though nobody wrote".to_owned());
            }
            return Ok(());
        }
        match &mut self.device {
            Some(device) if device.comparison == (Comparison::Asked { request }) => {
                self.report.mismatched += device.compare(page);
                Ok(())
            }
            Some(_) | None => Err(format!("a page of history came for request {request}, which is not open")),
        }
    }

    fn ask(&mut self, connection: usize, window: HistoryWindow, limit: u32) -> Request {
        let member = &mut self.members[connection];
        let id = member.next_request();
        let channel_id = self.channels[member.channel].id;
        Request { id, command: Command::History(History { channel_id, window, limit }) }
    }
}

/// A time of the engine's clock, in words.
fn at(now_ns: u64) -> String {
    format!("{:.3} s", now_ns as f64 / 1e9)
}

impl Talk for Chat {
    fn connected(&mut self, connection: usize, connected: &Connected, now_ns: u64) {
        if self.origin_ms == 0 {
            self.origin_ms = connected.server_time_ms.0.saturating_sub(now_ns / 1_000_000);
        }
        self.members[connection].absence.connected(now_ns);
        if let (CONNECTION, Some(device)) = (connection, &mut self.device) {
            device.resumed += 1;
        }
    }

    fn disconnected(&mut self, connection: usize, now_ns: u64) {
        self.members[connection].disconnected(now_ns);
    }

    fn waits(&self, connection: usize) -> bool {
        self.members[connection].waits()
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
            Reply::Send { seq, duplicate, .. } => self.acked(connection, id, seq, duplicate, now_ns),
            Reply::History(page) => self.history(connection, id, &page),
            other => not_asked_for(id, &other),
        }
    }

    fn refused(&mut self, connection: usize, id: u32, error: &ErrorReply, now_ns: u64) -> Result<(), String> {
        let outbox = &mut self.members[connection].outbox;
        let reason = format!("{}: {}", error.code, error.message);
        let again_ns = now_ns + AGAIN_NS.max(u64::from(error.retry_after_ms) * 1_000_000);
        let was_sent = if error.temporary { outbox.refused(id, again_ns) } else { outbox.take(id).is_some() };
        if !was_sent {
            return Err(format!("request {id} was refused with {reason}"));
        }
        if error.temporary {
            self.report.retried += 1;
            *self.refusals.entry(error.code).or_default() += 1;
            self.wakes.push(Reverse((again_ns, connection)));
        } else {
            self.given_up += 1;
            count_reason(&mut self.report.refused, reason);
        }
        Ok(())
    }

    fn delivered(&mut self, connection: usize, message: &Message, now_ns: u64) -> Result<(), String> {
        let member = &mut self.members[connection];
        let channel = &self.channels[member.channel];
        let (true, Some(base)) = (message.channel_id == channel.id, channel.base) else {
            return Err(format!("a message of channel {} came, which nobody writes to", message.channel_id));
        };
        let verdict = match message.seq.0.checked_sub(base.0 + 1) {
            Some(seq) => member.received.receive(seq),
            None => Verdict::Duplicate,
        };
        match verdict {
            Verdict::New => {}
            Verdict::Late => {
                self.counts.out_of_order += 1;
                let (id, seq) = (channel.id, message.seq);
                self.findings
                    .note(|| format!("{}: account {connection} was pushed seq {seq} of channel {id} late", at(now_ns)));
            }
            Verdict::Duplicate | Verdict::Unknown => {
                self.counts.duplicated += 1;
                let (id, seq) = (channel.id, message.seq);
                self.findings.note(|| {
                    format!("{}: account {connection} was pushed seq {seq} of channel {id} again", at(now_ns))
                });
                return Ok(());
            }
        }
        self.received += 1;
        let fingerprint = fingerprint(message.from, message.client_msg_id, &message.body);
        if let (CONNECTION, Some(device)) = (connection, &mut self.device) {
            device.pushed(message.seq, fingerprint);
        }
        let stamp = Stamp::of(&message.body);
        if message.from != member.user {
            let Some(Stamp { intended_ns, .. }) = stamp else {
                return Err(format!("message {} of channel {} is none of this run", message.seq, message.channel_id));
            };
            self.counts.delivered += 1;
            if self.schedule.measures(now_ns) {
                self.delivered_in_window += 1;
            }
            if self.schedule.measures(intended_ns) {
                self.delivery_latencies.record(now_ns.saturating_sub(intended_ns));
            }
        }
        let channel = member.channel;
        self.told(channel, message.seq, fingerprint, stamp);
        self.missing -= 1;
        Ok(())
    }

    fn next(&mut self, connection: usize, now_ns: u64) -> Option<Request> {
        let member = &mut self.members[connection];
        if !member.ready {
            if member.asked.is_some() {
                return None;
            }
            member.asked = Some(member.next_request);
            return Some(self.ask(connection, HistoryWindow::Newest, 1));
        }
        if let (CONNECTION, Some(device)) = (connection, &mut self.device)
            && let Comparison::Ask { after } = device.comparison
        {
            device.comparison = Comparison::Asked { request: member.next_request };
            return Some(self.ask(connection, HistoryWindow::After(after), HISTORY_ROWS_MAX));
        }
        let request = member.next_request;
        if let Some(written) = member.outbox.again(request, now_ns) {
            member.next_request();
            return Some(self.send(connection, request, &written));
        }
        let unanswered = member.written - member.outbox.len() as u64;
        let allowed = member.written < self.schedule.allowance(connection, unanswered, now_ns);
        if !allowed || !member.outbox.has_room() {
            return None;
        }
        let number = member.written;
        member.written += 1;
        self.counts.sent += 1;
        let written = Written {
            number,
            id: ClientMsgId::new(UnixMs(self.origin_ms + now_ns / 1_000_000), self.run + u128::from(self.counts.sent)),
            intended_ns: self.schedule.intended_ns(connection, number, now_ns),
            sendings: 1,
        };
        member.next_request();
        member.outbox.put(request, written.clone());
        Some(self.send(connection, request, &written))
    }
}
