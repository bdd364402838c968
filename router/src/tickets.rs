//! Tickets: operations that this shard has asked of channels' homes, and who waits for each.
//!
//! Owns their numbers, which home was asked last, how long they are waited for, and the operations themselves, which are
//! asked again where a home is another now or has forgotten them, within a bound (I11). An operation counts as done
//! whoever says so; a refusal counts from the home that was asked last alone, since an earlier one knows nothing of the
//! later. What is asked again has its answer from before, if it was done (I5), and the order of one session's sends to
//! one channel stays (rule 7): none is asked before an earlier one that waits. An operation without a first reply could
//! undo another's later change: there the asker decides. A home's answer to a ticket that is not here any more is
//! dropped; the asker has been told to try again.

use std::collections::{BTreeMap, BTreeSet};

use schema::limits::{COMMAND_BYTES_MAX, PENDING_APPENDS_MAX};
use schema::mesh::MeshBody;
use schema::{ChannelId, ChannelOp, ClientMsgId, ErrorCode, Instant, OpReply, Owner, Refusal};

use crate::counters::Counter;
use crate::disruption::Disruption;
use crate::effects::Effects;
use crate::io::ConnId;
use crate::order::Arrival;

/// Time that an answer is waited for. The store is given 10 s to heal, and the home as long again to work off what
/// waits.
const ANSWER_MS: u64 = 20_000;
/// Operations without an answer: twice what one home takes, since a shard's sessions have several homes.
const OPEN_MAX: usize = PENDING_APPENDS_MAX as usize * 2;
/// When to ask again while there are more.
const RETRY_MS: u32 = 100;
/// Bytes that each operation occupies beside its text.
const AROUND_BYTES: u64 = 256;

/// The asker of an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Asker {
    /// A session, under its own number for the request.
    Session {
        /// Its connection.
        conn: ConnId,
        /// The client's number.
        id: u32,
        /// Whether it deletes: edits and deletions are answered alike, and told apart to the client.
        deletes: bool,
        /// When it came, or a send for the first time.
        arrival: Arrival,
    },
    /// The HTTP API, under its number.
    Api(u64),
}

/// A session's send in the order of those to its channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Sent {
    pub(crate) channel: ChannelId,
    pub(crate) id: ClientMsgId,
    pub(crate) arrival: Arrival,
}

impl Sent {
    /// The send that an operation is, if it is one.
    pub(crate) fn of(channel: ChannelId, op: &ChannelOp, arrival: Arrival) -> Option<Self> {
        op.sends().map(|(_, id)| Self { channel, id, arrival })
    }
}

/// A session and the channel that it sends to.
type Line = (ConnId, ChannelId);

#[derive(Debug)]
struct Ticket {
    asker: Asker,
    by: Instant,
    channel: ChannelId,
    op: ChannelOp,
    /// How often it has been asked again.
    attempt: u32,
    /// The home that was asked last; none while the ticket waits to be asked again.
    asked: Option<Owner>,
}

impl Ticket {
    fn sends(&self) -> Option<Sent> {
        match self.asker {
            Asker::Session { arrival, .. } => Sent::of(self.channel, &self.op, arrival),
            Asker::Api(_) => None,
        }
    }

    /// The session and the channel whose order this send is part of.
    fn line(&self) -> Option<Line> {
        match (self.asker, self.op.sends()) {
            (Asker::Session { conn, .. }, Some(_)) => Some((conn, self.channel)),
            (Asker::Session { .. }, None) | (Asker::Api(_), _) => None,
        }
    }

    fn weight_bytes(&self) -> u64 {
        AROUND_BYTES + self.op.text_bytes() as u64
    }
}

/// An answer: whose, of which send, and what it is.
pub(crate) type Answered = (Asker, Option<Sent>, Result<OpReply, Refusal>);

#[derive(Debug, Default)]
pub(crate) struct Tickets {
    /// Ascending by number, and so by the time of asking.
    open: BTreeMap<u64, Ticket>,
    /// Those that wait to be asked again.
    waiting: BTreeSet<u64>,
    /// The open ones of each line.
    lines: BTreeMap<Line, BTreeSet<u64>>,
    next: u64,
    bytes: u64,
}

impl Tickets {
    /// Asks the channel's home to carry an operation out, if there is room for one more.
    pub(crate) fn ask(
        &mut self,
        asker: Asker,
        channel: ChannelId,
        op: ChannelOp,
        effects: &mut Effects,
    ) -> Result<(), Refusal> {
        if self.open.len() >= OPEN_MAX {
            effects.count(Counter::Tickets);
            let message = format!("{OPEN_MAX} operations wait for their channels, send it again later");
            return Err(Refusal::new(ErrorCode::Overloaded, message).after_ms(RETRY_MS));
        }
        if self.bytes >= u64::from(COMMAND_BYTES_MAX) {
            effects.count(Counter::CommandBytes);
            let message = format!("{} bytes of operations wait for their channels, send it again later", self.bytes);
            return Err(Refusal::new(ErrorCode::Overloaded, message).after_ms(RETRY_MS));
        }
        let by = effects.now.mono.plus_ms(ANSWER_MS);
        let ticket = Ticket { asker, by, channel, op, attempt: 0, asked: None };
        let number = self.next;
        self.next += 1;
        let mut waits = false;
        if let Some(line) = ticket.line() {
            let of_line = self.lines.entry(line).or_default();
            // Whoever is behind one that waits waits too, and is asked behind it.
            waits = !self.waiting.is_empty() && !self.waiting.is_disjoint(of_line);
            of_line.insert(number);
        }
        self.bytes += ticket.weight_bytes();
        self.open.insert(number, ticket);
        if waits {
            self.waiting.insert(number);
        } else {
            self.send(number, effects);
        }
        Ok(())
    }

    /// Asks the home of now.
    fn send(&mut self, number: u64, effects: &mut Effects) {
        let ticket = self.open.get_mut(&number).expect("its caller has found it");
        let home = effects.placement.home_of_channel(ticket.channel);
        ticket.asked = Some(home);
        self.waiting.remove(&number);
        let (channel, op, attempt) = (ticket.channel, ticket.op.clone(), ticket.attempt);
        let of_line = ticket.line().and_then(|line| self.lines.get(&line));
        let behind = of_line.and_then(|of_line| of_line.range(..number).next_back()).copied();
        effects.mesh(home, MeshBody::Apply { ticket: number, channel, op, attempt, behind });
    }

    fn send_again(&mut self, numbers: &[u64], effects: &mut Effects) {
        for &number in numbers {
            self.open.get_mut(&number).expect("its caller has found it").attempt += 1;
            self.send(number, effects);
        }
    }

    fn remove(&mut self, number: u64) -> Option<Ticket> {
        let ticket = self.open.remove(&number)?;
        self.waiting.remove(&number);
        self.bytes -= ticket.weight_bytes();
        if let Some(line) = ticket.line() {
            let of_line = self.lines.get_mut(&line).expect("each send is in its line");
            of_line.remove(&number);
            if of_line.is_empty() {
                self.lines.remove(&line);
            }
        }
        Some(ticket)
    }

    /// Takes a home's answer, if somebody waits for it still and it is theirs. A send that is refused for now takes those
    /// along that the same session sent behind it to the same channel: they are to be repeated in their order (rule 7).
    /// One that is done says of those before it, which the same home was asked, that they were decided and that the word
    /// of it is lost: asked again now, one that was refused could be done behind it, so its asker decides.
    pub(crate) fn answered(
        &mut self,
        from: Owner,
        (number, attempt): (u64, u32),
        reply: Result<OpReply, Refusal>,
    ) -> Vec<Answered> {
        let Some(ticket) = self.open.get_mut(&number) else { return Vec::new() };
        if let Err(refusal) = &reply {
            if ticket.asked != Some(from) || ticket.attempt != attempt {
                return Vec::new();
            }
            if refusal.code == ErrorCode::Moving && is_repeatable(&ticket.op) {
                ticket.asked = None;
                self.waiting.insert(number);
                return Vec::new();
            }
        }
        let is_for_now = reply.as_ref().is_err_and(|refusal| refusal.code.is_temporary());
        let is_done = reply.is_ok();
        let ticket = self.remove(number).expect("just found");
        let line = ticket.line();
        let mut answered = vec![(ticket.asker, ticket.sends(), reply)];
        if let Some(line) = line.filter(|_| is_done)
            && let Some(first) = self.first_unheard(line, number, from)
        {
            let lost = self.remove(first).into_iter().chain(self.remove_behind(line, first));
            answered.extend(lost.map(|ticket| {
                let refusal =
                    Refusal::new(ErrorCode::StorageUnavailable, "the answer was lost; sending it again is safe");
                (ticket.asker, ticket.sends(), Err(refusal.after_ms(RETRY_MS)))
            }));
        }
        if let Some(line) = line.filter(|_| is_for_now) {
            answered.extend(self.remove_behind(line, number).into_iter().map(|ticket| {
                let message = "an earlier message to this channel was refused, send both again in their order";
                let refusal = Refusal::new(ErrorCode::Overloaded, message).after_ms(RETRY_MS);
                (ticket.asker, ticket.sends(), Err(refusal))
            }));
        }
        answered
    }

    /// The first of a line before `number` that this home was asked last and has not answered.
    fn first_unheard(&self, line: Line, number: u64, home: Owner) -> Option<u64> {
        let mut before = self.lines.get(&line)?.range(..number);
        before.find(|other| self.open[*other].asked == Some(home)).copied()
    }

    fn remove_behind(&mut self, line: Line, number: u64) -> Vec<Ticket> {
        let of_line = self.lines.get(&line).into_iter().flatten();
        let behind: Vec<u64> = of_line.copied().filter(|&other| other > number).collect();
        behind.into_iter().filter_map(|number| self.remove(number)).collect()
    }

    /// Homes are others now, or have forgotten what they were asked, or may not have heard it: what can be asked again
    /// is, in its order. Returns the answers to the rest.
    pub(crate) fn disrupted(&mut self, disruption: Disruption, effects: &mut Effects) -> Vec<Answered> {
        let concerned = |ticket: &Ticket| disruption.concerns_channel(&effects.placement, ticket.channel);
        let concerned = self.open.iter().filter(|(_, ticket)| concerned(ticket));
        let (again, rest): (Vec<_>, Vec<_>) =
            concerned.map(|(&number, ticket)| (number, is_repeatable(&ticket.op))).partition(|&(_, again)| again);
        let again: Vec<u64> = again.into_iter().map(|(number, _)| number).collect();
        self.send_again(&again, effects);
        let given_up = rest.into_iter().filter_map(|(number, _)| self.remove(number)).map(|ticket| {
            let message = "the channel's home is another now, or may not have heard; look whether it is done";
            (ticket.asker, ticket.sends(), Err(Refusal::new(ErrorCode::Moving, message)))
        });
        given_up.collect()
    }

    /// A second has passed: what homes have refused as moved is asked again, in its order.
    pub(crate) fn tick(&mut self, effects: &mut Effects) {
        let waiting: Vec<u64> = self.waiting.iter().copied().collect();
        self.send_again(&waiting, effects);
    }

    /// Takes the askers that have waited for too long, and with a send those that the same session sent behind it to
    /// the same channel: they are to be repeated in their order (rule 7).
    pub(crate) fn overdue(&mut self, now: Instant) -> Vec<(Asker, Option<Sent>)> {
        let mut overdue = Vec::new();
        while let Some((&number, _)) = self.open.first_key_value().filter(|(_, oldest)| oldest.by <= now) {
            let ticket = self.remove(number).expect("it was found");
            overdue.push((ticket.asker, ticket.sends()));
            let behind = ticket.line().map(|line| self.remove_behind(line, number)).unwrap_or_default();
            overdue.extend(behind.into_iter().map(|ticket| (ticket.asker, ticket.sends())));
        }
        overdue
    }

    /// Operations without an answer.
    pub(crate) fn open(&self) -> usize {
        self.open.len()
    }

    /// Bytes of operations that are kept to be asked again.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }
}

/// Whether an operation that is asked twice is done once, whatever was done in between: it has a first reply, only ever
/// goes forward, or makes what has been given its name.
fn is_repeatable(op: &ChannelOp) -> bool {
    match op {
        ChannelOp::Send(_)
        | ChannelOp::Edit(_)
        | ChannelOp::Delete { .. }
        | ChannelOp::React(_)
        | ChannelOp::Mark { .. }
        | ChannelOp::Create(_) => true,
        ChannelOp::AddMember { .. }
        | ChannelOp::RemoveMember { .. }
        | ChannelOp::Typing { .. }
        | ChannelOp::Publish { .. }
        | ChannelOp::SetTitle { .. }
        | ChannelOp::SetMuted { .. }
        | ChannelOp::Block { .. } => false,
    }
}
