//! Counters of questions to applications before a message is stored.

use notify::before::{AskOutcome, Counts};

use super::text::{Family, Value};

pub(super) fn family(counts: &Counts) -> Family {
    let outcomes = AskOutcome::ALL.iter().map(|&outcome| (outcome.word().to_owned(), counts.of(outcome))).collect();
    let help = "Questions to webhooks that are asked before a message is stored, by their outcome";
    ("rookery_before_asked", help, Value::CounterBy("outcome", outcomes))
}
