//! Connections that speak STOMP: between their frames and the JSON of the sessions that they are.
//!
//! Owns their translators, the deadlines of these, and the account of bytes: the shard counts those of the frames that it
//! gave, the socket drains those of what they became (I11). Of what has left, the shard is told its share.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use router::ConnId;
use schema::limits::{OUTBOUND_BYTES_MAX, PARTIAL_BYTES_MAX};
use schema::{CloseCode, Encoding, Instant, Now, ServerFrame};
use stomp::{Output, Session, Version};
use wire::{Opcode, SharedFrame};

use super::credit::Credit;

/// Bytes of a frame that is kept as it was read: a message of usual size, not a page of history.
const READ_BYTES_MAX: usize = 64 * 1024;
/// Bytes of frames that have not left at which the socket is not read. The shard knows those alone that are answers of
/// its own: a client that has others made, and does not read them, would otherwise have them queued without a bound.
const UNSENT_BYTES_TARGET: usize = OUTBOUND_BYTES_MAX as usize / 2;

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
    /// The frame that was read last, and what it says: a message goes to many sessions one after the other.
    read: Option<(SharedFrame, Vec<ServerFrame>)>,
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

const _: () = assert!(size_of::<Speaker>() <= 256, "256 of the 1,024 bytes that an idle session may take");

impl Speaker {
    /// Queues a frame of the translator.
    fn send(&mut self, bytes: &[u8]) -> StompOutput {
        let frame = SharedFrame::copied(Opcode::Text, bytes);
        self.queued.sent(frame.len(), 0);
        StompOutput::Send(frame)
    }
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
        let said = self.read(frame);
        let Some(speaker) = self.speakers.get_mut(&conn) else { return };
        speaker.kept_bytes += bytes;
        self.with(conn, now, |session, out| said.into_iter().for_each(|frame| session.told(now, frame, out)));
    }

    /// What a frame says. Each is read once in a row, whoever it is for.
    fn read(&mut self, frame: &SharedFrame) -> Vec<ServerFrame> {
        // While it is kept no other can be at its place.
        if let Some((earlier, said)) = &self.read
            && std::ptr::eq(earlier.as_bytes(), frame.as_bytes())
        {
            return said.clone();
        }
        let said = Encoding::Json.server_frames(frame.payload()).expect("the shard says what its protocol has");
        self.read = (frame.len() <= READ_BYTES_MAX).then(|| (frame.clone(), said.clone()));
        said
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
    pub(super) fn drained(&mut self, conn: ConnId, now: Now, bytes: u32) -> u32 {
        let Some(speaker) = self.speakers.get_mut(&conn) else { return bytes };
        let of_bytes = speaker.queued.left(bytes);
        if !speaker.reads_on {
            self.with(conn, now, |_, _| {});
        }
        of_bytes
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
                Output::Send(bytes) => self.outputs.push_back((conn, speaker.send(&bytes))),
                Output::Close(code) => self.outputs.push_back((conn, StompOutput::Close(code))),
            }
        }
        if !speaker.session.is_holding() {
            let bytes = std::mem::take(&mut speaker.kept_bytes);
            if bytes > 0 && !speaker.queued.join(bytes) {
                self.outputs.push_back((conn, StompOutput::Drained(bytes)));
            }
        }
        // Frames of the shard's count here too, as long as what they became.
        let unsent_bytes = speaker.queued.unsent_bytes();
        if unsent_bytes > OUTBOUND_BYTES_MAX as usize && !speaker.session.is_over() {
            speaker.session.closing(now, CloseCode::Slow, &mut self.translated);
            for output in self.translated.drain(..) {
                let Output::Send(bytes) = output else {
                    unreachable!("a session that is closed says why, and no more")
                };
                self.outputs.push_back((conn, speaker.send(&bytes)));
            }
            self.outputs.push_back((conn, StompOutput::Close(CloseCode::Slow)));
        }
        let unsent_bytes_max = if speaker.reads_on { UNSENT_BYTES_TARGET } else { UNSENT_BYTES_TARGET / 2 };
        let has_room = speaker.session.has_room(speaker.reads_on) && unsent_bytes < unsent_bytes_max;
        let reads_on = speaker.is_wanted && has_room;
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

#[cfg(test)]
mod tests {
    use schema::UnixMs;

    use super::*;

    const CONN: ConnId = ConnId(1);
    const CONNECTED: &str = r#"{"id":1,"connect":{"user_id":"7","session_id":"2a","server_time_ms":5,"ping_ms":25000,"limits":{"body_chars_max":1,"frame_bytes_max":2},"cursor":"c0","retry":{"base_ms":1,"cap_ms":2}}}"#;
    const HEAD: &str = r#"{"push":{"head":{"channel_id":"5","head_seq":9}}}"#;

    /// A connection, and what the socket and the shard have of it.
    #[derive(Default)]
    struct Table {
        edge: Edge,
        /// Bytes that the socket has not let go.
        socket: usize,
        /// Bytes that count at the shard as queued.
        shard: usize,
        now_ms: u64,
    }

    impl Table {
        fn new() -> Self {
            let mut table = Self::default();
            table.edge.agreed(CONN, Some("v12.stomp"));
            table
        }

        fn now(&self) -> Now {
            Now { mono: Instant(self.now_ms * 1_000_000), wall: UnixMs(self.now_ms) }
        }

        /// Takes steps, with commas between: `> FRAME` of the client, its lines between blanks; `< JSON` of the shard; `left`: all
        /// that is queued leaves the socket; `left N`: so many bytes; `+MS`; `deaf` and `hears` of the shard. What comes of them
        /// is `asks`, `says`, `closes`, `stops`, `reads`; behind it whether bytes are queued at the socket and at the shard.
        fn check(&mut self, steps: &[&str], expected: &str) {
            let mut seen = Vec::new();
            for step in steps {
                match step.split_once(' ').unwrap_or((step, "")) {
                    (">", frame) => {
                        let frame = format!("{}\n\n\0", frame.replace(' ', "\n"));
                        let asked = self.edge.received(CONN, self.now(), frame.as_bytes());
                        seen.extend(asked.map(|_| "asks"));
                    }
                    ("<", json) => {
                        let frame = SharedFrame::copied(Opcode::Text, json.as_bytes());
                        self.shard += frame.len();
                        self.edge.told(CONN, self.now(), &frame);
                    }
                    ("left", bytes) => {
                        let bytes = bytes.parse().unwrap_or(self.socket);
                        self.socket -= bytes;
                        self.shard -= self.edge.drained(CONN, self.now(), bytes as u32) as usize;
                    }
                    ("deaf", _) => assert!(!self.edge.reads(CONN, self.now(), false)),
                    ("hears", _) => assert!(!self.edge.reads(CONN, self.now(), true)),
                    (ms, _) => {
                        self.now_ms += ms.strip_prefix('+').expect("a step").parse::<u64>().expect("a time");
                        self.edge.tick(self.now());
                        assert!(self.edge.poll_timeout().is_none_or(|at| at > self.now().mono), "due again at once");
                    }
                }
                while let Some((conn, output)) = self.edge.poll_output() {
                    assert_eq!(conn, CONN);
                    seen.push(match output {
                        StompOutput::Send(frame) => {
                            self.socket += frame.len();
                            "says"
                        }
                        StompOutput::Close(_) => "closes",
                        StompOutput::Requests(_) => "asks",
                        StompOutput::Drained(bytes) => {
                            self.shard -= bytes as usize;
                            continue;
                        }
                        StompOutput::Reads(true) => "reads",
                        StompOutput::Reads(false) => "stops",
                    });
                }
            }
            let queued = format!("{} {}", u8::from(self.socket > 0), u8::from(self.shard > 0));
            assert_eq!(format!("{} {queued}", seen.join(" ")).trim_start(), expected, "{steps:?}");
        }

        fn connected(headers: &str) -> Self {
            let mut table = Self::new();
            let connect = format!("> CONNECT accept-version:1.2 passcode:a.b.c{headers}");
            table.check(&[&connect], "asks 0 0");
            table.check(&[&format!("< {CONNECTED}")], "says 1 1");
            let kept = table.edge.speakers[&CONN].session.is_holding();
            table.check(&["left"], if kept { "0 1" } else { "0 0" });
            table
        }
    }

    #[test]
    fn the_shards_bytes_leave_with_what_they_became() {
        let head = format!("< {HEAD}");
        let mut table = Table::connected("");
        // Nobody subscribed: it has left at once, or with what is queued.
        table.check(&[&head], "0 0");
        table.check(&["> SUBSCRIBE id:0 destination:/user/queue/inbox receipt:r"], "says 1 0");
        table.check(&[&head], "says 1 1");
        table.check(&["left 1"], "1 1");
        table.check(&["left"], "0 0");
        table.check(&["> BEGIN transaction:t receipt:r", "> UNSUBSCRIBE id:0", &head], "says 1 1");
        table.check(&["left"], "0 0");
    }

    #[test]
    fn what_is_kept_for_the_inbox_counts_as_queued() {
        let head = format!("< {HEAD}");
        let mut table = Table::connected(" x-cursor:c");
        table.check(&[&head, &head], "0 1");
        table.check(&["> SUBSCRIBE id:0 destination:/user/queue/inbox"], "says says 1 1");
        table.check(&["left"], "0 0");
    }

    #[test]
    fn a_socket_is_read_if_the_shard_and_the_translator_have_room() {
        let mut table = Table::connected("");
        table.check(&["deaf"], "stops 0 0");
        table.check(&["deaf"], "0 0");
        table.check(&["hears"], "reads 0 0");
        let long = format!("> SEND destination:/channel/5  {}", "x".repeat(1024 * 1024));
        table.check(&[&long], "asks stops 0 0");
        table.check(&["deaf", "hears"], "0 0");
        table.check(&[r#"< {"id":2,"send":{"seq":8,"sent_ms":99,"duplicate":false}}"#], "reads 0 0");
    }

    /// RECEIPTs of what is done here are no frames of the shard's: it does not count them.
    #[test]
    fn a_client_that_does_not_read_is_not_read() {
        let receipt = "r".repeat(15 * 1024);
        let (begin, abort) = (format!("> BEGIN transaction:t receipt:{receipt}"), "> ABORT transaction:t");
        let mut table = Table::connected("");
        for _ in 0..68 {
            table.check(&[&begin, abort], "says 1 0");
        }
        table.check(&[&begin, abort], "says stops 1 0");
        let half = table.socket / 2;
        table.check(&[&format!("left {}", half - 10_000)], "1 0");
        table.check(&["left 30000"], "reads 1 0");
        // What was read already is answered, up to the limit of every session.
        table.check(&["left"], "0 0");
        for _ in 0..68 {
            table.check(&[&begin, abort], "says 1 0");
        }
        table.check(&[&begin, abort], "says stops 1 0");
        for _ in 69..136 {
            table.check(&[&begin, abort], "says 1 0");
        }
        table.check(&[&begin, abort], "says says closes 1 0");
        table.check(&[&begin, abort, "+60000"], "1 0");
    }

    #[test]
    fn deadlines_come_in_their_time_and_end_with_the_connection() {
        let mut table = Table::connected(" heart-beat:5000,5000");
        table.check(&["+4374"], "0 0");
        table.check(&["+1"], "says 1 0");
        table.check(&["left", "+6624"], "says 1 0");
        table.check(&["+1"], "says closes 1 0");
        let mut table = Table::connected(" heart-beat:5000,5000");
        table.edge.closed(CONN);
        assert_eq!((table.edge.poll_timeout(), table.edge.held_bytes), (None, 0));
        table.check(&["+100000"], "0 0");
    }
}
