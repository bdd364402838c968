//! Two ends, the bytes between them, and all that each was told.

use std::collections::VecDeque;

use link::record::{CONTROL_BYTES, Record};
use link::{Bounds, Link, LinkError, LinkEvent, LinkName};
use schema::mesh::{MeshBody, MeshFrame};
use schema::{ChannelId, Epoch, Incarnation, Instant, Owner, SessionId, UserId};

/// A frame that bears a number and has so many bytes more than it needs, of 8 each.
pub(crate) fn frame(number: u64, must_arrive: bool, words: usize) -> MeshFrame {
    let body = match must_arrive {
        true => MeshBody::Unregister { session: SessionId(number), user: UserId(words as u64) },
        false => MeshBody::Interest { channels: vec![ChannelId(number); 1 + words] },
    };
    MeshFrame { from: Owner::default(), to: Owner::default(), epoch: Epoch(1), body }
}

/// The number that a frame bears, and whether it must arrive.
pub(crate) fn number_of(frame: &MeshFrame) -> (u64, bool) {
    match &frame.body {
        MeshBody::Unregister { session, .. } => (session.0, true),
        MeshBody::Interest { channels } => (channels[0].0, false),
        body => panic!("no test sends {body:?}"),
    }
}

/// The version that goes with a number.
pub(crate) fn version_of(number: u64) -> u64 {
    number * 3
}

/// What a driver saw of its end.
#[derive(Debug)]
pub(crate) enum Seen {
    Told(LinkEvent),
    Fault(LinkError),
}

/// A frame that was given to an end.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sent {
    pub(crate) number: u64,
    pub(crate) must_arrive: bool,
    pub(crate) step: u64,
    pub(crate) generation: u64,
}

/// What becomes of the records that an end hands to the network.
pub(crate) type Tamper = Box<dyn FnMut(Record<'_>, &mut Vec<u8>)>;

pub(crate) struct End {
    pub(crate) link: Link,
    pub(crate) is_connected: bool,
    /// Taken from the link, not written.
    taken: Vec<u8>,
    /// Written, not received by the other end.
    under_way: VecDeque<u8>,
    pub(crate) tamper: Option<Tamper>,
    pub(crate) sent: Vec<Sent>,
    pub(crate) seen: Vec<(u64, Seen)>,
}

pub(crate) struct World {
    pub(crate) ends: [End; 2],
    pub(crate) now: Instant,
    pub(crate) step: u64,
    bounds: Bounds,
    /// Words of the largest frame.
    words_max: usize,
}

fn name(end: usize) -> LinkName {
    let lives = [Incarnation(0xA), Incarnation(0xB)];
    LinkName { me: lives[end], peer: lives[1 - end], link: 0 }
}

impl World {
    pub(crate) fn new(bounds: Bounds, words_max: usize) -> Self {
        let now = Instant(1_000_000_000);
        let end = |index| End {
            link: Link::new(now, name(index), bounds),
            is_connected: false,
            taken: Vec::new(),
            under_way: VecDeque::new(),
            tamper: None,
            sent: Vec::new(),
            seen: Vec::new(),
        };
        Self { ends: [end(0), end(1)], now, step: 0, bounds, words_max }
    }

    pub(crate) fn send(&mut self, end: usize, number: u64, must_arrive: bool, words: usize) {
        assert!(words <= self.words_max, "the bounds are checked for smaller frames");
        self.step += 1;
        let End { link, sent, .. } = &mut self.ends[end];
        let generation = link.figures().generation;
        sent.push(Sent { number, must_arrive, step: self.step, generation });
        link.send(&frame(number, must_arrive, words), version_of(number));
        self.look(end);
    }

    /// The end of a turn.
    pub(crate) fn transmit(&mut self, end: usize) {
        let End { link, taken, under_way, tamper, .. } = &mut self.ends[end];
        let Some(tamper) = tamper else {
            link.transmit(taken);
            return self.look(end);
        };
        let mut records = Vec::new();
        link.transmit(&mut records);
        link.written(records.len());
        let (mut reader, mut rest) = (link::record::Reader::default(), &records[..]);
        let mut tampered = Vec::new();
        while let Some(content) = reader.next(&mut rest).expect("a link sends records") {
            tamper(Record::take(content).expect("a link sends records"), &mut tampered);
        }
        under_way.extend(tampered);
        self.look(end);
    }

    /// The network takes so many bytes of an end. Returns how many there were to take.
    pub(crate) fn write(&mut self, end: usize, bytes_max: usize) -> usize {
        let End { link, taken, under_way, is_connected, .. } = &mut self.ends[end];
        let bytes = bytes_max.min(taken.len());
        under_way.extend(taken.drain(..bytes));
        if *is_connected {
            link.written(bytes);
        }
        self.look(end);
        bytes
    }

    /// So many bytes of an end reach the other. Returns how many there were.
    pub(crate) fn deliver(&mut self, from: usize, bytes_max: usize) -> usize {
        self.step += 1;
        let bytes = bytes_max.min(self.ends[from].under_way.len());
        let piece: Vec<u8> = self.ends[from].under_way.drain(..bytes).collect();
        self.receive(1 - from, &piece);
        bytes
    }

    /// An end receives bytes, whoever has made them.
    pub(crate) fn receive(&mut self, end: usize, bytes: &[u8]) {
        let result = self.ends[end].link.received(self.now, bytes);
        self.look(end);
        if let Err(fault) = result {
            self.ends[end].seen.push((self.step, Seen::Fault(fault)));
            self.disconnect(end);
        }
    }

    pub(crate) fn connect(&mut self) {
        self.step += 1;
        for end in 0..2 {
            self.disconnect(end);
        }
        for end in 0..2 {
            self.ends[end].under_way.clear();
            self.ends[end].is_connected = true;
            self.ends[end].link.connected(self.now);
            self.look(end);
        }
    }

    /// The driver of an end closes its connection, or learns that it is closed.
    pub(crate) fn disconnect(&mut self, end: usize) {
        self.ends[end].is_connected = false;
        self.ends[end].taken.clear();
        self.ends[end].link.disconnected();
        self.look(end);
    }

    /// Forgets an end and makes it anew.
    pub(crate) fn make_anew(&mut self, end: usize) {
        self.pass_ms(1);
        self.ends[end].link = Link::new(self.now, name(end), self.bounds);
        self.disconnect(end);
    }

    pub(crate) fn pass_ms(&mut self, ms: u64) {
        self.step += 1;
        self.now = self.now.plus_ms(ms);
        for end in 0..2 {
            let link = &mut self.ends[end].link;
            assert_eq!(link.poll_timeout().is_some(), link.figures().connected_since.is_some(), "I12: a beat is due");
            if link.poll_timeout().is_some_and(|at| at <= self.now) {
                link.tick(self.now);
            }
            self.look(end);
            let wanted = self.ends[end].link.poll_timeout();
            assert!(wanted.is_none_or(|at| at > self.now), "I12: a timer that is over stays: {wanted:?}");
        }
    }

    /// Passes everything on, until nothing is said any more.
    pub(crate) fn flow(&mut self) {
        for _ in 0..1_000 {
            let mut bytes = 0;
            for end in 0..2 {
                self.transmit(end);
                self.write(end, usize::MAX);
                bytes += self.deliver(end, usize::MAX);
            }
            if bytes == 0 {
                return;
            }
        }
        panic!("the ends do not stop talking");
    }

    /// Notes what an end tells, and looks at its bounds.
    fn look(&mut self, end: usize) {
        let step = self.step;
        let End { link, seen, is_connected, .. } = &mut self.ends[end];
        let due = link.poll_timeout();
        while let Some(event) = link.poll_event() {
            assert!(due.is_some_and(|due| due <= self.now), "I12: nobody is woken for {event:?}: {due:?}");
            *is_connected &= event != LinkEvent::Silent;
            seen.push((step, Seen::Told(event)));
        }
        let (figures, bounds) = (link.figures(), self.bounds);
        let largest_bytes = 200 + 8 * self.words_max;
        let with_largest = bounds.unsent_bytes_max / 2 + largest_bytes;
        let unsent_bytes_max = bounds.unsent_bytes_max.max(with_largest) + 2 * CONTROL_BYTES;
        assert!(figures.unsent_bytes <= unsent_bytes_max, "I11: {figures:?} with {bounds:?}");
        assert!(figures.resend_bytes <= bounds.resend_bytes_max, "I11: {figures:?} with {bounds:?}");
    }
}
