//! Polls: a session for as long as nothing happens, answered with the lines of the first turn in which something does.

use schema::CloseCode;

use super::Outcome;
use super::answer::Answers;
use super::request::{Line, lines, refused};

#[derive(Debug)]
pub(super) struct Poll {
    /// The first line, until it is said.
    pub(super) connect: Vec<u8>,
    /// The lines behind it, until it is answered.
    follows: Option<Vec<u8>>,
    /// What it is answered, as it has come. Nothing of it has left as far as the router knows, so its budget bounds it.
    lines: Vec<u8>,
    /// Whether there is more than answers to what it said itself.
    is_ready: bool,
}

impl Poll {
    pub(super) fn new(connect: Vec<u8>, follows: Vec<u8>) -> Self {
        Self { connect, follows: Some(follows), lines: Vec::new(), is_ready: false }
    }

    pub(super) fn is_ready(&self) -> bool {
        self.is_ready
    }

    pub(super) fn said(&mut self, answers: &Answers, payload: &[u8]) -> Outcome {
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
