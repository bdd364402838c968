//! What applications said of messages before they were stored.

use notify::before::{Came, Counts};

use super::text::{Family, Value};

pub(super) fn family(counts: &Counts) -> Family {
    let came = Came::ALL.iter().map(|&came| (came.word().to_owned(), counts.of(came))).collect();
    let help = "Questions to webhooks that are asked before a message is stored, by what came of them";
    ("rookery_before_asked", help, Value::CounterBy("came", came))
}
