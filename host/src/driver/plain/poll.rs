//! Polls: a session for as long as nothing happens, answered with the lines of the first turn in which something does.

use schema::CloseCode;
use wire::SharedFrame;

use super::Outcome;
use super::answer::Answers;
use super::request::{Line, lines, refused};

#[derive(Debug)]
pub(super) struct Poll {
    /// The first line, until it is said.
    pub(super) connect: Vec<u8>,
    /// The lines behind it, until it is answered.
    follows: Option<Vec<u8>>,
    /// What it is answered, as it has come. Of what is news nothing has left as far as the router knows, so its budget bounds
    /// that; of answers to what the poll said there are as many as it may say.
    lines: Vec<u8>,
    /// Whether there is more than answers to what it said itself.
    is_ready: bool,
}

impl Poll {
    pub(super) fn new(connect: Vec<u8>, follows: Vec<u8>) -> Self {
        Self { connect, follows: Some(follows), lines: Vec::new(), is_ready: false }
    }

    pub(super) fn is_connected(&self) -> bool {
        self.follows.is_none()
    }

    pub(super) fn is_ready(&self) -> bool {
        self.is_ready
    }

    pub(super) fn said(&mut self, answers: &Answers, frame: &SharedFrame) -> Outcome {
        let payload = frame.payload();
        let mut outcome = Outcome::default();
        if let Some(follows) = self.follows.take() {
            if let Some(refusal) = refused(payload) {
                return Outcome { bytes: answers.refusal(&refusal), is_over: true, ..outcome };
            }
            outcome.says = follows;
        }
        for line in lines(payload) {
            self.is_ready |= Line::read(line).is_news();
            self.lines.extend_from_slice(line);
            self.lines.push(b'\n');
        }
        if !self.is_ready {
            // It may wait for longer than a client may take to read.
            outcome.drained = u32::try_from(frame.len()).expect("a frame is below 4 GB");
        }
        outcome
    }

    /// Answers with what there is; one that could not connect in its time is told so.
    pub(super) fn answer(&mut self, answers: &Answers) -> Outcome {
        let bytes = match &self.follows {
            Some(_) => answers.closed(CloseCode::Internal),
            None => answers.lines(&self.lines),
        };
        Outcome { bytes, is_over: true, ..Outcome::default() }
    }

    /// What has come is told: the next poll learns why this one ended.
    pub(super) fn closed(&mut self, answers: &Answers, code: CloseCode) -> Vec<u8> {
        if self.is_ready { answers.lines(&self.lines) } else { answers.closed(code) }
    }
}
