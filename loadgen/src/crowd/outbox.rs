//! What one session of a crowd has to say, and has asked without an answer yet.
//!
//! Owns the order: messages go out in the order of their numbers, again after a refusal or a loss, questions before them and
//! once. Few sessions have one at a time.

use std::collections::VecDeque;

use schema::Command;

/// A request that waits for its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Asked {
    /// The message of this number.
    Message(u64),
    /// A question that was due then, timed under a name.
    Question { what: &'static str, intended_ns: u64 },
}

/// A question that waits to go out.
#[derive(Debug, PartialEq)]
pub(super) struct Question {
    pub(super) what: &'static str,
    pub(super) intended_ns: u64,
    pub(super) command: Command,
}

#[derive(Debug, Default)]
pub(super) struct Outbox {
    asked: Vec<(u32, Asked)>,
    messages: VecDeque<u64>,
    questions: VecDeque<Question>,
    /// Nothing goes out before this.
    again_ns: u64,
}

impl Outbox {
    pub(super) fn put(&mut self, number: u64) {
        self.messages.push_back(number);
    }

    pub(super) fn ask(&mut self, question: Question) {
        self.questions.push_back(question);
    }

    pub(super) fn waits(&self) -> bool {
        !self.asked.is_empty()
    }

    pub(super) fn pauses(&self, now_ns: u64) -> bool {
        now_ns < self.again_ns
    }

    pub(super) fn pause(&mut self, until_ns: u64) {
        self.again_ns = until_ns;
    }

    /// The next question, which goes out as request `id`.
    pub(super) fn next_question(&mut self, id: u32) -> Option<Command> {
        let Question { what, intended_ns, command } = self.questions.pop_front()?;
        self.asked.push((id, Asked::Question { what, intended_ns }));
        Some(command)
    }

    /// The number of the next message, which goes out as request `id`.
    pub(super) fn next_message(&mut self, id: u32) -> Option<u64> {
        let number = self.messages.pop_front()?;
        self.asked.push((id, Asked::Message(number)));
        Some(number)
    }

    /// Request `id` was answered.
    pub(super) fn answered(&mut self, id: u32) -> Option<Asked> {
        let at = self.asked.iter().position(|&(asked, _)| asked == id)?;
        Some(self.asked.remove(at).1)
    }

    /// The message goes out again, in its place: what was sent after it is refused too, and follows it, which is how
    /// PROTOCOL keeps a session's order.
    pub(super) fn put_back(&mut self, number: u64) {
        let place = self.messages.partition_point(|&waiting| waiting < number);
        self.messages.insert(place, number);
    }

    /// Nothing that was asked will be answered: messages go out again. How many questions are given up.
    pub(super) fn cut_off(&mut self) -> u64 {
        let mut given_up = 0;
        for (_, asked) in std::mem::take(&mut self.asked) {
            match asked {
                Asked::Message(number) => self.put_back(number),
                Asked::Question { .. } => given_up += 1,
            }
        }
        given_up
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_keep_their_order_whatever_becomes_of_them() {
        check("put 1, put 2, send 10 1, send 11 2, refuse 10, refuse 11, send 12 1, send 13 2");
        check("put 1, put 2, send 10 1, send 11 2, refuse 11, refuse 10, send 12 1, send 13 2");
        check("put 1, put 2, put 3, send 10 1, send 11 2, cut 0, send 12 1, send 13 2, send 14 3");
        check("put 1, put 2, send 10 1, send 11 2, ack 10, cut 0, send 12 2, none");
        check("ask, put 1, question 9, send 10 1, cut 1, send 11 1, none");
    }

    fn check(steps: &str) {
        let mut outbox = Outbox::default();
        for step in steps.split(", ") {
            let words: Vec<&str> = step.split(' ').collect();
            let number = |at: usize| words[at].parse::<u64>().unwrap();
            match words[0] {
                "put" => outbox.put(number(1)),
                "ask" => outbox.ask(Question {
                    what: "echo",
                    intended_ns: 0,
                    command: Command::Echo { data: String::new() },
                }),
                "question" => assert!(outbox.next_question(number(1) as u32).is_some(), "{steps}"),
                "send" => assert_eq!(outbox.next_message(number(1) as u32), Some(number(2)), "{step} of {steps}"),
                "none" => assert_eq!(outbox.next_message(99), None, "{steps}"),
                "ack" => assert!(outbox.answered(number(1) as u32).is_some(), "{steps}"),
                "refuse" => match outbox.answered(number(1) as u32) {
                    Some(Asked::Message(number)) => outbox.put_back(number),
                    other => panic!("{other:?} in {steps}"),
                },
                "cut" => assert_eq!(outbox.cut_off(), number(1), "{steps}"),
                other => panic!("{other}"),
            }
        }
    }
}
