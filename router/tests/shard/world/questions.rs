//! Questions to the store: which are open, and how they are answered.

use router::{Ask, Input, Question, store};
use schema::{Epoch, ErrorCode, Refusal};

use super::World;
use crate::store::Committed;

/// A question to the store without an answer.
pub(crate) struct Asked {
    pub(crate) shard: usize,
    pub(crate) question: Question,
    /// The view of the shard when it was asked.
    pub(crate) epoch: Epoch,
    /// The store's version when it was asked.
    pub(crate) version: u64,
}

impl Asked {
    pub(crate) fn kind(&self) -> &'static str {
        self.question.kind()
    }

    pub(crate) fn is_apply_of(&self, shard: usize) -> bool {
        self.shard == shard && matches!(self.question, Question::Apply(_))
    }
}

impl World {
    /// Answers one question, at this version. An append takes those of its shard behind it along, up to `batch_max`.
    pub(crate) fn answer(&mut self, at: usize, version: u64, refuse: Option<ErrorCode>, batch_max: usize) {
        let Asked { shard, question, epoch, .. } = self.asked.remove(at).expect("it was asked");
        let refuse = refuse.map(|code| Refusal::new(code, "refused by the test"));
        if let Question::Apply(first) = question {
            return self.answer_appends(shard, first, refuse, batch_max);
        }
        let answered = match refuse {
            Some(refusal) => question.refuse(refusal),
            None => self.store.execute(self.now, (self.owners[shard], epoch), question, version),
        };
        if self.delayed.contains(answered.kind()) {
            self.late.push((shard, answered));
        } else {
            self.input(shard, Input::Answered(answered));
        }
    }

    fn answer_appends(&mut self, shard: usize, first: Ask<store::Apply>, refuse: Option<Refusal>, batch_max: usize) {
        let mut batch = vec![first];
        while batch.len() < batch_max
            && let Some(at) = self.asked.iter().position(|asked| asked.is_apply_of(shard))
            && let Some(Asked { question: Question::Apply(next), .. }) = self.asked.remove(at)
        {
            batch.push(next);
        }
        let (ops, pending): (Vec<_>, Vec<_>) = batch.into_iter().map(|ask| (ask.request, ask.pending)).unzip();
        let Committed { replies, hints, live, feeds } = match refuse {
            Some(refusal) => Committed { replies: vec![Err(refusal); ops.len()], ..Committed::default() },
            None => {
                let ops = ops.into_iter().map(|store::Apply { epoch: _, channel, op }| (channel, op));
                self.store.commit_by(self.now, self.owners[shard], ops)
            }
        };
        for (pending, reply) in pending.into_iter().zip(replies) {
            self.input(shard, Input::Answered(pending.answer(reply)));
        }
        self.input(shard, Input::Committed { hints, live, feeds });
    }

    /// Whether it is an append of a shard that goes by an old view: its appender keeps it until that has learnt of the
    /// view that stands.
    pub(crate) fn is_fenced(&self, asked: &Asked) -> bool {
        matches!(asked.question, Question::Apply(_)) && self.known[asked.shard] < self.view.epoch
    }
}
