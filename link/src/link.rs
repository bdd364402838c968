//! One end of a link between two lives of nodes.
//!
//! Owns the numbers of frames in both directions, which outlive the connections that carry them; what is sent again
//! after a connection broke; word of what is lost, to both ends; and the beat of a connection. Upholds I11 and I12.
//!
//! Each frame has a number in its direction. One that is left out has one too, so that the peer sees numbers missing.
//! After a connection is made both ends say what they have received: frames that must arrive go on behind it, with
//! the numbers that they had, and the others that were under way are lost. Where a frame that must arrive cannot be
//! kept, or cannot be read, the end begins a new generation, in which numbers begin again and nothing is owed; the
//! peer follows it as soon as it is told. The two have one generation between them: what comes from a peer that is not
//! yet in it is left out, so that behind [`LinkEvent::PeerLost`] nothing arrives that was sent before the peer's own.

use std::collections::VecDeque;
use std::fmt;

use schema::limits::{BEAT_MS, NODE_LINK_SILENCE_MS};
use schema::mesh::{MeshError, MeshFrame};
use schema::{Incarnation, Instant};

use crate::error::LinkError;
use crate::event::{Figures, LinkEvent};
use crate::record::{Reader, Record};
use crate::resend::kept_bytes;
use crate::sending::{Bounds, Sending};

/// Generations of a peer beyond this cannot be meant: each is counted up from 1.
const GENERATION_MAX: u64 = 1 << 62;

/// Both ends of a link, for logs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LinkName {
    /// The life of this node.
    pub me: Incarnation,
    /// The life of the other node.
    pub peer: Incarnation,
    /// Which of the links between the two.
    pub link: u16,
}

impl fmt::Display for LinkName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}-{:x}/{}", self.me.0, self.peer.0, self.link)
    }
}

/// See [the module](self).
///
/// Whoever drives it calls [`Self::poll_event`] until there is none after every call, [`Self::transmit`] at the end of
/// every turn, and [`Self::tick`] when [`Self::poll_timeout`] says so. It reads the connection without a pause: who
/// hears nothing for [`NODE_LINK_SILENCE_MS`] gives it up.
#[derive(Debug)]
pub struct Link {
    name: LinkName,
    birth: u64,
    peer_birth: Option<u64>,
    generation: u64,
    sending: Sending,
    receiving: Receiving,
    connection: Option<Connection>,
    /// Frames were lost since a gap was told.
    is_gap_owed: bool,
    /// The next gap is told from here on.
    gap_at: Instant,
    events: VecDeque<LinkEvent>,
    counts: Figures,
}

/// The direction from the peer.
#[derive(Debug, Default)]
struct Receiving {
    /// The last number that came.
    through: u64,
    /// Memory that the peer keeps of what came and was not acknowledged yet.
    unacknowledged_bytes: usize,
    /// Frames that came and were not understood.
    skipped: u64,
    /// What the peer has said of the same.
    peer_skipped: u64,
}

#[derive(Debug)]
struct Connection {
    since: Instant,
    heard_at: Instant,
    beat_at: Instant,
    /// A beat is to be sent as soon as there is room.
    is_beat_due: bool,
    /// The generation in which the peer is, as far as it has said.
    peer: Option<u64>,
    reader: Reader,
}

impl Link {
    /// An end without a connection, that nothing was sent on.
    ///
    /// `now` becomes its birth: no other end of the same two lives and the same number may have the same. An end that
    /// is made anew, while the other is not, is noticed by the other when they meet, and both begin afresh.
    #[must_use]
    pub fn new(now: Instant, name: LinkName, bounds: Bounds) -> Self {
        Self {
            name,
            birth: now.0,
            peer_birth: None,
            generation: 1,
            sending: Sending::new(bounds),
            receiving: Receiving::default(),
            connection: None,
            is_gap_owed: false,
            gap_at: now,
            events: VecDeque::new(),
            counts: Figures::default(),
        }
    }

    /// A connection has been made whose handshake is done. An earlier one counts no longer.
    pub fn connected(&mut self, now: Instant) {
        self.disconnected();
        self.counts.connections += 1;
        self.connection = Some(Connection {
            since: now,
            heard_at: now,
            beat_at: now.plus_ms(BEAT_MS),
            is_beat_due: false,
            peer: None,
            reader: Reader::default(),
        });
        self.put_resume();
    }

    /// The connection is gone. Without one this does nothing.
    pub fn disconnected(&mut self) {
        if self.connection.take().is_some() {
            self.sending.disconnected();
        }
    }

    /// Sends a frame, or keeps it until it can be sent, or leaves it out.
    ///
    /// `version` is the version of the store below which the receiver may read nothing for it.
    pub fn send(&mut self, frame: &MeshFrame, version: u64) {
        self.counts.sent += 1;
        let is_open = self.is_open();
        if frame.body.must_arrive() {
            if !self.sending.keep(frame, version, is_open) {
                tracing::warn!(link = %self.name, figures = ?self.figures(), "a frame that must arrive has no room");
                self.begin_afresh(self.generation + 1);
            }
        } else if !self.sending.pass(frame, version, is_open) {
            tracing::debug!(link = %self.name, "a frame found no room and is left out");
            self.counts.dropped += 1;
            self.is_gap_owed = true;
        }
    }

    /// What came cannot be made anything of: nothing that was sent before is owed, in either direction, and both ends
    /// are told.
    pub fn forget(&mut self) {
        self.begin_afresh(self.generation + 1);
    }

    /// Takes all bytes that are to be written now, behind those in `out`.
    pub fn transmit(&mut self, out: &mut Vec<u8>) {
        if self.connection.is_none() {
            return;
        }
        if self.is_open() && self.sending.give_kept() && self.sending.is_to_tell() {
            self.set_beat_due();
        }
        self.put_due_beat();
        self.sending.take(out);
    }

    /// The network has taken so many of the bytes that [`Self::transmit`] gave. Call [`Self::transmit`] again.
    ///
    /// # Panics
    /// If they are more than it gave on this connection.
    pub fn written(&mut self, bytes: usize) {
        if self.connection.is_some() {
            self.sending.written(bytes);
        }
    }

    /// Bytes have come from the peer, cut anywhere. Without a connection they count for nothing.
    ///
    /// # Errors
    /// If they are no records of a link. See [`LinkError`] for the state that is left.
    pub fn received(&mut self, now: Instant, mut bytes: &[u8]) -> Result<(), LinkError> {
        let Some(connection) = &mut self.connection else { return Ok(()) };
        connection.heard_at = now;
        self.counts.heard_at = Some(now);
        let mut reader = std::mem::take(&mut connection.reader);
        let result = self.take_records(&mut reader, &mut bytes);
        if let Err(fault) = &result {
            tracing::warn!(link = %self.name, %fault, "a link's connection brings what is no record");
            self.disconnected();
            self.begin_afresh(self.generation + 1);
        } else if let Some(connection) = &mut self.connection {
            connection.reader = reader;
        }
        self.tell_gap(now);
        result
    }

    /// What has happened, oldest first.
    pub fn poll_event(&mut self) -> Option<LinkEvent> {
        self.events.pop_front()
    }

    /// When [`Self::tick`] is wanted next: with a connection always, and at once while there are events (I12), which
    /// sending may have led to at the end of a turn.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        if !self.events.is_empty() {
            return Some(Instant::default());
        }
        self.connection.as_ref().map(|connection| connection.beat_at.min(connection.silent_at()))
    }

    /// Time has passed. At any time, and needed when [`Self::poll_timeout`] says so.
    pub fn tick(&mut self, now: Instant) {
        let Some(connection) = &mut self.connection else { return };
        if now >= connection.silent_at() {
            tracing::info!(link = %self.name, "nothing comes on a link's connection");
            self.events.push_back(LinkEvent::Silent);
            return self.disconnected();
        }
        if now >= connection.beat_at {
            connection.beat_at = now.plus_ms(BEAT_MS);
            connection.is_beat_due = true;
            connection.reader.release();
            self.sending.release();
            self.events.shrink_to_fit();
        }
        self.tell_gap(now);
    }

    /// How the link does.
    #[must_use]
    pub fn figures(&self) -> Figures {
        Figures {
            connected_since: self.connection.as_ref().map(|connection| connection.since),
            is_open: self.is_open(),
            generation: self.generation,
            unsent_bytes: self.sending.unsent_bytes(),
            resend_bytes: self.sending.resend().bytes(),
            unacknowledged: self.sending.resend().len(),
            resent: self.sending.resend().resent(),
            ..self.counts
        }
    }

    /// Whether both ends have said where to resume, in the same generation.
    fn is_open(&self) -> bool {
        self.connection.as_ref().is_some_and(|connection| connection.peer == Some(self.generation))
    }

    // ---- to the peer

    fn set_beat_due(&mut self) {
        if let Some(connection) = &mut self.connection {
            connection.is_beat_due = true;
        }
    }

    /// Sends the beat that is due, if there is room for it.
    fn put_due_beat(&mut self) {
        let is_open = self.is_open();
        let Some(connection) = self.connection.as_mut().filter(|connection| connection.is_beat_due) else { return };
        let Receiving { through, skipped, unacknowledged_bytes, .. } = &mut self.receiving;
        if self.sending.beat(is_open, *through, *skipped) {
            connection.is_beat_due = false;
            *unacknowledged_bytes = 0;
        }
    }

    fn put_resume(&mut self) {
        let Self { birth, generation, receiving: Receiving { through, .. }, .. } = *self;
        self.sending.push(&Record::Resume { birth, generation, received_through: through });
        self.receiving.unacknowledged_bytes = 0;
    }

    // ---- from the peer

    fn take_records(&mut self, reader: &mut Reader, bytes: &mut &[u8]) -> Result<(), LinkError> {
        while let Some(content) = reader.next(bytes)? {
            let peer = self.connection.as_ref().and_then(|connection| connection.peer);
            match (Record::take(content)?, peer) {
                (Record::Resume { birth, generation, received_through }, _) => {
                    self.resume(birth, generation, received_through)?;
                }
                (Record::Frame { .. } | Record::Beat { .. }, None) => return Err(LinkError::NotResumed),
                // From before a new beginning of which the peer has not heard.
                (Record::Frame { .. } | Record::Beat { .. }, Some(peer)) if peer != self.generation => {}
                (Record::Frame { seq, version, frame }, Some(_)) => self.take_frame(seq, version, frame)?,
                (Record::Beat { sent_through, received_through, skipped }, Some(_)) => {
                    self.take_beat(sent_through, received_through, skipped)?;
                }
            }
        }
        Ok(())
    }

    /// The peer says what it has received, in which generation.
    fn resume(&mut self, birth: u64, generation: u64, through: u64) -> Result<(), LinkError> {
        let Some(connection) = &mut self.connection else { return Ok(()) };
        let before = connection.peer.replace(generation).unwrap_or(0);
        if generation <= before || generation > GENERATION_MAX {
            return Err(LinkError::Generation { generation, before });
        }
        let is_other = self.peer_birth.replace(birth).is_some_and(|known| known != birth);
        let newest = self.generation.max(generation);
        if is_other {
            tracing::warn!(link = %self.name, "the other end of a link was made anew");
            self.begin_afresh(newest + 1);
            return Ok(());
        }
        if generation > self.generation {
            self.begin_afresh(generation);
        }
        if generation < self.generation {
            // It has been told or is being told, and will say so.
            return Ok(());
        }
        let Some(is_lost) = self.sending.resume(through) else {
            tracing::warn!(link = %self.name, through, "the other end of a link knows another past");
            self.begin_afresh(newest + 1);
            return Ok(());
        };
        self.is_gap_owed |= is_lost;
        self.events.push_back(LinkEvent::Up);
        Ok(())
    }

    fn take_frame(&mut self, seq: u64, version: u64, bytes: &[u8]) -> Result<(), LinkError> {
        if seq <= self.receiving.through {
            self.counts.duplicates += 1;
            return Ok(());
        }
        self.heard_of(seq - 1);
        self.receiving.through = seq;
        match MeshFrame::decode(bytes) {
            Ok(frame) => {
                self.counts.received += 1;
                if frame.body.must_arrive() {
                    self.owe_acknowledgement(bytes.len());
                }
                self.events.push_back(LinkEvent::Frame { frame, version });
                Ok(())
            }
            // During an upgrade. No frame of a later kind must arrive, so this one is lost as others are.
            Err(MeshError::Unknown { what, number }) => {
                tracing::debug!(link = %self.name, seq, what, number, "a frame of a later version is left out");
                self.counts.skipped += 1;
                self.receiving.skipped += 1;
                self.is_gap_owed = true;
                Ok(())
            }
            Err(why @ MeshError::Damaged { .. }) => Err(LinkError::Frame { seq, why }),
        }
    }

    fn take_beat(&mut self, sent_through: u64, received_through: u64, skipped: u64) -> Result<(), LinkError> {
        self.sending.acknowledge(received_through)?;
        self.is_gap_owed |= std::mem::replace(&mut self.receiving.peer_skipped, skipped) != skipped;
        self.heard_of(sent_through);
        Ok(())
    }

    /// The peer has sent or left out all numbers up to here.
    fn heard_of(&mut self, through: u64) {
        if through > self.receiving.through {
            self.receiving.through = through;
            self.is_gap_owed = true;
        }
    }

    /// Acknowledges at the latest when a quarter of what the peer can keep waits for it.
    fn owe_acknowledgement(&mut self, frame_bytes: usize) {
        self.receiving.unacknowledged_bytes += kept_bytes(frame_bytes);
        if self.receiving.unacknowledged_bytes >= self.sending.bounds().resend_bytes_max / 4 {
            self.set_beat_due();
        }
    }

    // ---- loss

    /// Tells that frames were lost, at most once a beat, and only while what is asked again can go: else each question
    /// would be lost at once and lead to the next.
    fn tell_gap(&mut self, now: Instant) {
        if self.is_gap_owed && now >= self.gap_at && self.sending.is_half_free() && self.is_open() {
            self.is_gap_owed = false;
            self.gap_at = now.plus_ms(BEAT_MS);
            self.counts.gaps += 1;
            self.events.push_back(LinkEvent::Gap);
        }
    }

    /// Begins a generation: nothing that was sent before is owed.
    fn begin_afresh(&mut self, generation: u64) {
        tracing::warn!(link = %self.name, generation, "both ends of a link begin afresh");
        self.counts.resets += 1;
        self.generation = generation;
        self.sending.restart();
        self.receiving = Receiving::default();
        self.is_gap_owed = false;
        self.events.push_back(LinkEvent::PeerLost { generation });
        if self.connection.is_some() {
            self.put_resume();
        }
    }
}

impl Connection {
    /// When it is given up unless something comes.
    fn silent_at(&self) -> Instant {
        self.heard_at.plus_ms(NODE_LINK_SILENCE_MS)
    }
}
