//! Calls: a body of requests, answered with their answers.

use schema::{CloseCode, ErrorCode, Refusal};

use super::Outcome;
use super::answer::Answers;
use super::request::refused;

#[derive(Debug)]
pub(super) struct Call {
    /// The first line, until it is said.
    pub(super) connect: Vec<u8>,
    body: Vec<u8>,
    body_bytes: usize,
    stage: Stage,
    /// The answers, as they have come.
    lines: Vec<u8>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// `connect` is not answered.
    Connecting,
    /// The body is not whole.
    Reading,
    /// The requests are asked.
    Asked,
}

impl Call {
    pub(super) fn new(connect: Vec<u8>, body_bytes: usize) -> Self {
        Self { connect, body: Vec::new(), body_bytes, stage: Stage::Connecting, lines: Vec::new() }
    }

    /// Bytes that its body has, here or still to come.
    pub(super) fn body_bytes(&self) -> usize {
        self.body_bytes
    }

    pub(super) fn received(&mut self, bytes: &[u8]) -> Outcome {
        let room = self.body_bytes - self.body.len();
        self.body.extend_from_slice(&bytes[..bytes.len().min(room)]);
        self.ask()
    }

    pub(super) fn said(&mut self, answers: &Answers, payload: &[u8]) -> Outcome {
        if self.stage == Stage::Connecting {
            if let Some(refusal) = refused(payload) {
                return Outcome { bytes: answers.refusal(&refusal), is_over: true, ..Outcome::default() };
            }
            self.stage = Stage::Reading;
            return self.ask();
        }
        self.lines.extend_from_slice(payload);
        if !payload.ends_with(b"\n") {
            self.lines.push(b'\n');
        }
        Outcome::default()
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
            Stage::Asked => return Outcome::default(),
            Stage::Reading => answers.late_body(),
            Stage::Connecting => {
                let refusal = Refusal::new(ErrorCode::StorageUnavailable, "the store did not answer in time");
                answers.refusal(&refusal.after_ms(1_000))
            }
        };
        Outcome { bytes, is_over: true, ..Outcome::default() }
    }

    /// All is answered, or its session is over for another reason.
    pub(super) fn closed(&self, answers: &Answers, code: CloseCode) -> Vec<u8> {
        match self.stage {
            Stage::Asked if code == CloseCode::GoingAway || !self.lines.is_empty() => answers.lines(&self.lines),
            Stage::Connecting | Stage::Reading | Stage::Asked => answers.closed(code),
        }
    }
}
