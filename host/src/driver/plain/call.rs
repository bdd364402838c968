//! Calls: a body of requests, answered with their answers as they come.
//!
//! The answer has no length: it begins with the first line and ends with the connection, so that a client which does not read is
//! waited for as a session is. A call that ends before all is answered says so in a last line, under number 0.

use schema::command::ServerFrame;
use schema::{CloseCode, Encoding, ErrorCode, Refusal};
use wire::SharedFrame;

use super::super::credit::Credit;
use super::Outcome;
use super::answer::{Answers, refusal_of};
use super::request::{lines, refused};

/// What a client waits for that has announced its body.
const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

#[derive(Debug)]
pub(super) struct Call {
    /// The first line, until it is said.
    connect: Vec<u8>,
    body: Vec<u8>,
    body_bytes: usize,
    /// Whether its client is to be told that it may send the body.
    continues: bool,
    stage: Stage,
    credit: Credit,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// `connect` is not answered.
    Connecting,
    /// The body is not whole.
    Reading,
    /// The requests are asked.
    Asked,
    /// The head of the answer has gone out.
    Answering,
}

impl Call {
    pub(super) fn new(connect: Vec<u8>, body_bytes: usize, continues: bool) -> Self {
        let (body, credit) = (Vec::new(), Credit::default());
        Self { connect, body, body_bytes, continues, stage: Stage::Connecting, credit }
    }

    /// Bytes that its body has, here or still to come.
    pub(super) fn body_bytes(&self) -> usize {
        self.body_bytes
    }

    /// Whether all of its body has come.
    pub(super) fn is_whole(&self) -> bool {
        matches!(self.stage, Stage::Asked | Stage::Answering) || self.body.len() == self.body_bytes
    }

    pub(super) fn opened(&mut self) -> Outcome {
        let mut bytes = Vec::new();
        if self.continues {
            bytes.extend_from_slice(CONTINUE);
            self.credit.sent(bytes.len(), 0);
        }
        Outcome { bytes, says: std::mem::take(&mut self.connect), ..Outcome::default() }
    }

    pub(super) fn received(&mut self, bytes: &[u8]) -> Outcome {
        if matches!(self.stage, Stage::Asked | Stage::Answering) {
            return Outcome::default();
        }
        let room = self.body_bytes - self.body.len();
        self.body.extend_from_slice(&bytes[..bytes.len().min(room)]);
        self.ask()
    }

    pub(super) fn said(&mut self, answers: &Answers, frame: &SharedFrame) -> Outcome {
        let payload = frame.payload();
        if self.stage == Stage::Connecting {
            if let Some(refusal) = refused(payload) {
                return Outcome { bytes: answers.refusal(&refusal), is_over: true, ..Outcome::default() };
            }
            self.stage = Stage::Reading;
            // Its client is told nothing of it.
            let drained = u32::try_from(frame.len()).expect("a frame is below 4 GB");
            return Outcome { drained, ..self.ask() };
        }
        let mut bytes = self.begin(answers);
        for line in lines(payload) {
            bytes.extend_from_slice(line);
            bytes.push(b'\n');
        }
        self.credit.sent(bytes.len(), frame.len());
        Outcome { bytes, ..Outcome::default() }
    }

    /// The head of the answer, once.
    fn begin(&mut self, answers: &Answers) -> Vec<u8> {
        let is_first = std::mem::replace(&mut self.stage, Stage::Answering) != Stage::Answering;
        if is_first { answers.begun_lines() } else { Vec::new() }
    }

    /// Asks once the bearer is known and the body is whole.
    fn ask(&mut self) -> Outcome {
        if self.stage != Stage::Reading || self.body.len() < self.body_bytes {
            return Outcome::default();
        }
        self.stage = Stage::Asked;
        Outcome { says: std::mem::take(&mut self.body), ..Outcome::default() }
    }

    /// The time for its body is over. What was asked is answered, however long that takes (I12).
    pub(super) fn late(&self, answers: &Answers) -> Outcome {
        let bytes = match self.stage {
            Stage::Asked | Stage::Answering => return Outcome::default(),
            Stage::Reading => answers.late_body(),
            Stage::Connecting => {
                let refusal = Refusal::new(ErrorCode::StorageUnavailable, "the store did not answer in time");
                answers.refusal(&refusal.after_ms(1_000))
            }
        };
        Outcome { bytes, is_over: true, ..Outcome::default() }
    }

    /// All is answered, or its session is over for another reason, which its client is told.
    pub(super) fn closed(&mut self, answers: &Answers, code: CloseCode) -> Vec<u8> {
        match (self.stage, code) {
            (Stage::Asked | Stage::Answering, CloseCode::Normal) => self.begin(answers),
            (Stage::Answering, code) => {
                let last = ServerFrame::Reply { id: 0, reply: Err(refusal_of(code).into()) };
                let mut bytes = Vec::new();
                Encoding::Json.put_server_frame(&last, &mut bytes);
                bytes.push(b'\n');
                bytes
            }
            (Stage::Connecting | Stage::Reading | Stage::Asked, code) => answers.closed(code),
        }
    }

    pub(super) fn drained(&mut self, bytes: u32) -> u32 {
        self.credit.left(bytes)
    }
}
