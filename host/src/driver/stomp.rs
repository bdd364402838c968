//! Connections that speak STOMP: between their frames and the JSON of the sessions that they are.
//!
//! Owns their translators, the deadlines of these, and the account of bytes: the shard counts those of the frames that it
//! gave, the socket drains those of what they became (I11). Of what has left, the shard is told its share.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use router::ConnId;
use schema::limits::PARTIAL_BYTES_MAX;
use schema::{CloseCode, Encoding, Instant, Now};
use stomp::{Output, Session, Version};
use wire::{Opcode, SharedFrame};

use super::credit::Credit;

/// The subprotocol of the newest version of STOMP that is offered.
pub(super) fn subprotocol(offered: &[&str]) -> Option<&'static str> {
    Version::ALL.into_iter().map(Version::subprotocol).find(|known| offered.contains(known))
}

/// One effect on a connection.
pub(super) enum StompOutput {
    /// Put this behind what is queued.
    Send(SharedFrame),
    /// Close, once that has left.
    Close(CloseCode),
    /// Requests, in JSON.
    Requests(Vec<u8>),
    /// Bytes of the shard's frames that count as having left.
    Drained(u32),
    /// Stop reading, or go on.
    Reads(bool),
}

/// The connections of one shard that speak STOMP.
#[derive(Default)]
pub(super) struct Edge {
    speakers: BTreeMap<ConnId, Box<Speaker>>,
    /// When translators want to be called. One that is stale finds nothing due.
    deadlines: BTreeSet<(Instant, ConnId)>,
    outputs: VecDeque<(ConnId, StompOutput)>,
    /// What one call came to; empty between two.
    translated: VecDeque<Output>,
    /// Bytes of incomplete frames over all connections.
    held_bytes: usize,
}

struct Speaker {
    session: Session,
    /// The deadline that is listed.
    armed: Option<Instant>,
    /// Frames that have not left, and the shard's bytes that leave with them.
    queued: Credit,
    /// Bytes of the shard's frames that the translator keeps.
    kept_bytes: u32,
    /// Bytes of its incomplete frame, as they are counted in the shard's.
    held_bytes: usize,
    /// Whether the shard wants the socket read.
    is_wanted: bool,
    /// Whether it is read: if the translator has room, too.
    reads_on: bool,
}

impl Edge {
    /// This subprotocol was agreed with a connection.
    pub(super) fn agreed(&mut self, conn: ConnId, protocol: Option<&str>) {
        if Version::ALL.into_iter().any(|version| Some(version.subprotocol()) == protocol) {
            let (session, queued) = (Session::new(), Credit::default());
            let (is_wanted, reads_on) = (true, true);
            let speaker = Speaker { session, armed: None, queued, kept_bytes: 0, held_bytes: 0, is_wanted, reads_on };
            self.speakers.insert(conn, Box::new(speaker));
        }
    }

    /// Whether a connection speaks STOMP.
    pub(super) fn has(&self, conn: ConnId) -> bool {
        self.speakers.contains_key(&conn)
    }

    /// The connection is gone.
    pub(super) fn closed(&mut self, conn: ConnId) {
        if let Some(speaker) = self.speakers.remove(&conn) {
            self.held_bytes -= speaker.held_bytes;
            if let Some(at) = speaker.armed {
                self.deadlines.remove(&(at, conn));
            }
        }
    }

    pub(super) fn heard(&mut self, conn: ConnId, now: Now) {
        if let Some(speaker) = self.speakers.get_mut(&conn) {
            speaker.session.heard(now);
        }
    }

    /// The shard wants the socket read, or not. Returns whether that is for it to say.
    pub(super) fn reads(&mut self, conn: ConnId, now: Now, on: bool) -> bool {
        let Some(speaker) = self.speakers.get_mut(&conn) else { return true };
        speaker.is_wanted = on;
        self.with(conn, now, |_, _| {});
        false
    }

    /// A message of the client. Returns the requests that it makes, in JSON.
    pub(super) fn received(&mut self, conn: ConnId, now: Now, payload: &[u8]) -> Option<Vec<u8>> {
        self.with(conn, now, |session, out| session.receive(now, payload, out));
        let speaker = self.speakers.get_mut(&conn)?;
        self.held_bytes += speaker.session.held_bytes();
        self.held_bytes -= speaker.held_bytes;
        speaker.held_bytes = speaker.session.held_bytes();
        if self.held_bytes > PARTIAL_BYTES_MAX as usize && speaker.held_bytes > 0 {
            self.with(conn, now, |session, out| {
                session.closing(now, CloseCode::Overloaded, out);
                out.push_back(Output::Close(CloseCode::Overloaded));
            });
        }
        match self.outputs.pop_back() {
            Some((of, StompOutput::Requests(lines))) if of == conn => Some(lines),
            Some(other) => {
                self.outputs.push_back(other);
                None
            }
            None => None,
        }
    }

    /// A frame of the shard's for the client: what it says, in lines of JSON.
    pub(super) fn told(&mut self, conn: ConnId, now: Now, frame: &SharedFrame) {
        let bytes = u32::try_from(frame.len()).expect("a frame is below 4 GB: messages are below 2 MB");
        let said = Encoding::Json.server_frames(frame.payload()).expect("the shard says what its protocol has");
        let Some(speaker) = self.speakers.get_mut(&conn) else { return };
        speaker.kept_bytes += bytes;
        self.with(conn, now, |session, out| said.into_iter().for_each(|frame| session.told(now, frame, out)));
    }

    /// The shard closes the connection.
    pub(super) fn closing(&mut self, conn: ConnId, now: Now, code: CloseCode) {
        self.with(conn, now, |session, out| session.closing(now, code, out));
    }

    /// Calls those whose deadline has come.
    pub(super) fn tick(&mut self, now: Now) {
        let later = self.deadlines.split_off(&(now.mono.plus(Duration::from_nanos(1)), ConnId(0)));
        for (_, conn) in std::mem::replace(&mut self.deadlines, later) {
            if let Some(speaker) = self.speakers.get_mut(&conn) {
                speaker.armed = None;
            }
            self.with(conn, now, |session, out| session.tick(now, out));
        }
    }

    /// When [`Self::tick`] is next wanted.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.deadlines.first().map(|&(at, _)| at)
    }

    /// The next effect, oldest first.
    pub(super) fn poll_output(&mut self) -> Option<(ConnId, StompOutput)> {
        self.outputs.pop_front()
    }

    /// Bytes have left the socket. Returns how many of the shard's left with them; all, of a connection that does not
    /// speak STOMP.
    pub(super) fn drained(&mut self, conn: ConnId, bytes: u32) -> u32 {
        self.speakers.get_mut(&conn).map_or(bytes, |speaker| speaker.queued.left(bytes))
    }

    /// Calls a translator, lists what it came to, and when it wants to be called again.
    fn with(&mut self, conn: ConnId, now: Now, call: impl FnOnce(&mut Session, &mut VecDeque<Output>)) {
        let Some(speaker) = self.speakers.get_mut(&conn) else { return };
        call(&mut speaker.session, &mut self.translated);
        let mut lines = Vec::new();
        for output in self.translated.drain(..) {
            match output {
                Output::Request(request) => {
                    if !lines.is_empty() {
                        lines.push(b'\n');
                    }
                    Encoding::Json.put_request(&request, &mut lines);
                }
                Output::Send(bytes) => {
                    let frame = SharedFrame::copied(Opcode::Text, &bytes);
                    speaker.queued.sent(frame.len(), 0);
                    self.outputs.push_back((conn, StompOutput::Send(frame)));
                }
                Output::Close(code) => self.outputs.push_back((conn, StompOutput::Close(code))),
            }
        }
        if !speaker.session.is_holding() {
            let bytes = std::mem::take(&mut speaker.kept_bytes);
            if bytes > 0 && !speaker.queued.join(bytes) {
                self.outputs.push_back((conn, StompOutput::Drained(bytes)));
            }
        }
        let reads_on = speaker.is_wanted && speaker.session.has_room(speaker.reads_on);
        if reads_on != speaker.reads_on {
            speaker.reads_on = reads_on;
            speaker.session.reads(now, reads_on);
            self.outputs.push_back((conn, StompOutput::Reads(reads_on)));
        }
        // Last, so that whoever brought the message takes them off: the shard hears of them before it hears of more.
        if !lines.is_empty() {
            self.outputs.push_back((conn, StompOutput::Requests(lines)));
        }
        let wanted = speaker.session.poll_timeout();
        if wanted.is_some_and(|at| speaker.armed.is_none_or(|armed| at < armed)) {
            if let Some(armed) = speaker.armed {
                self.deadlines.remove(&(armed, conn));
            }
            speaker.armed = wanted;
            self.deadlines.extend(wanted.map(|at| (at, conn)));
        }
    }
}
