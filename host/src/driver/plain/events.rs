//! Event streams: `text/event-stream`, as `EventSource` reads it.
//!
//! Owns the form. Each line of the protocol is an event's `data`; one that moves the cursor bears it as the event's `id`,
//! which an `EventSource` sends back as `Last-Event-ID` when it connects again by itself.

use schema::CloseCode;
use wire::SharedFrame;

use super::super::credit::Credit;
use super::Outcome;
use super::answer::Answers;
use super::request::{Line, lines, refused};

/// A comment, which no `EventSource` tells of. Whoever reads the stream by itself sees by it that the node is there.
const COMMENT: &[u8] = b":\n\n";

#[derive(Debug)]
pub(super) struct Events {
    /// The first line, until it is said.
    pub(super) connect: Vec<u8>,
    /// The lines behind it, until it is answered.
    follows: Option<Vec<u8>>,
    credit: Credit,
}

impl Events {
    pub(super) fn new(connect: Vec<u8>, follows: Vec<u8>) -> Self {
        Self { connect, follows: Some(follows), credit: Credit::default() }
    }

    /// Whether `connect` is answered, and the stream has begun.
    fn has_begun(&self) -> bool {
        self.follows.is_none()
    }

    pub(super) fn said(&mut self, answers: &Answers, frame: &SharedFrame) -> Outcome {
        let payload = frame.payload();
        let mut outcome = Outcome::default();
        if let Some(follows) = self.follows.take() {
            if let Some(refusal) = refused(payload) {
                return Outcome { bytes: answers.refusal(&refusal), is_over: true, ..outcome };
            }
            outcome.bytes = answers.events();
            outcome.says = follows;
        }
        for line in lines(payload) {
            put(line, &mut outcome.bytes);
        }
        self.credit.sent(outcome.bytes.len(), frame.len());
        outcome
    }

    pub(super) fn pinged(&mut self) -> Vec<u8> {
        if !self.has_begun() {
            return Vec::new();
        }
        self.credit.sent(COMMENT.len(), 0);
        COMMENT.to_vec()
    }

    pub(super) fn closed(&self, answers: &Answers, code: CloseCode) -> Vec<u8> {
        if !self.has_begun() {
            return answers.closed(code);
        }
        format!("event: close\ndata: {{\"code\":{}}}\n\n", u16::from(code)).into_bytes()
    }

    pub(super) fn drained(&mut self, bytes: u32) -> u32 {
        self.credit.left(bytes)
    }
}

/// Appends a line as an event.
fn put(line: &[u8], out: &mut Vec<u8>) {
    if let Some(cursor) = Line::read(line).cursor() {
        out.extend_from_slice(b"id: ");
        out.extend_from_slice(cursor.as_bytes());
        out.push(b'\n');
    }
    out.extend_from_slice(b"data: ");
    out.extend_from_slice(line);
    out.extend_from_slice(b"\n\n");
}
