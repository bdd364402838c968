//! A small language in which the rules are written: transactions by name, one step after the other.
//!
//! `a get k => 1; b set k 2; b commit; a set x 1; a commit => conflict`. A name begins a fresh transaction when it is
//! first used, and again after its commit, and learns its read version there, unless its first step is `blind`: then when
//! the engine wants it. Steps are separated by `;`. What a step returns is compared with what follows `=>`, which is `ok`
//! where it is left out.
//!
//! Steps: `get k` and `peek k` (a snapshot read): the value or `none` · `range b d [n]`, `reverse b d [n]`, `glance b d
//! [n]` (snapshot), at most n rows: `b=1 c=2`, `…` if there is more · `set k v` · `clear k` · `clear b d` · `add k n` ·
//! `max k n` · `num k`: a number · `stampkey p s v` · `stampvalue k` · `reads b d`: a conflict range ·
//! `commit`. `-` is the empty key or value; `~` the end of all keys.

use std::collections::BTreeMap;

use futures_lite::future::block_on;

use crate::Subject;
use kv::Error;
use kv::transaction::{Atomic, Begin, Engine, Page, RESERVED, RangeRequest, Row, Transaction};

/// Runs `script` in an empty store.
///
/// # Panics
/// If a step returns something else than it says.
pub fn check<E: Engine>(open: &impl Fn() -> Subject<E>, script: &str) {
    let subject = open();
    let mut transactions = BTreeMap::new();
    for step in script.split(';').map(str::trim).filter(|step| !step.is_empty()) {
        let (action, expected) = step.split_once("=>").unwrap_or((step, "ok"));
        let found = perform(&subject, &mut transactions, action).unwrap_or_else(|error| name(&error).to_owned());
        assert_eq!(found, expected.trim(), "`{step}` in `{script}`");
    }
}

fn perform<'a, E: Engine>(
    subject: &Subject<E>,
    transactions: &mut BTreeMap<&'a str, E::Tx>,
    action: &'a str,
) -> Result<String, Error> {
    let words: Vec<&str> = action.split_whitespace().collect();
    let [who, verb, ref args @ ..] = words[..] else {
        panic!("a step is `who verb …`: {action}");
    };
    let args: Vec<&[u8]> = args.iter().map(|word| bytes(word)).collect();
    if verb == "blind" {
        transactions.insert(who, subject.engine.begin(Begin::Fresh));
        return Ok("ok".to_owned());
    }
    let mut tx = transactions.remove(who).map_or_else(|| subject.begin(), Ok)?;
    if verb == "commit" {
        return subject.commit(tx).map(|_| "ok".to_owned());
    }
    let found = step(&mut tx, verb, &args);
    transactions.insert(who, tx);
    found
}

fn step(tx: &mut impl Transaction, verb: &str, args: &[&[u8]]) -> Result<String, Error> {
    match (verb, args) {
        ("get", [key]) => return block_on(tx.get(key)).map(|value| text(value.as_deref())),
        ("peek", [key]) => return block_on(tx.snapshot_get(key)).map(|value| text(value.as_deref())),
        ("num", [key]) => return block_on(tx.get(key)).map(|value| number(value.as_deref())),
        ("range", [begin, end, limit @ ..]) => {
            return block_on(tx.get_range(&request(begin, end, limit))).map(|page| rows(&page));
        }
        ("glance", [begin, end, limit @ ..]) => {
            let request = request(begin, end, limit);
            return block_on(tx.snapshot_get_range(&request)).map(|page| rows(&page));
        }
        ("reverse", [begin, end, limit @ ..]) => {
            let request = request(begin, end, limit).reversed();
            return block_on(tx.get_range(&request)).map(|page| rows(&page));
        }
        ("set", [key, value]) => tx.set(key, value),
        ("clear", [key]) => tx.clear(key),
        ("clear", [begin, end]) => tx.clear_range(begin, end),
        ("add", [key, operand]) => tx.atomic(Atomic::Add, key, &parse(operand).to_le_bytes()),
        ("max", [key, operand]) => tx.atomic(Atomic::Max, key, &parse(operand).to_le_bytes()),
        ("stampkey", [prefix, suffix, value]) => tx.set_versionstamped_key(prefix, suffix, value),
        ("stampvalue", [key]) => tx.set_versionstamped_value(key, b"", b""),
        ("reads", [begin, end]) => tx.add_read_conflict(begin, end),
        _ => panic!("no such step: {verb} of {} words", args.len()),
    }
    Ok("ok".to_owned())
}

fn request(begin: &[u8], end: &[u8], limit: &[&[u8]]) -> RangeRequest {
    let request = RangeRequest::new(begin, end);
    match limit {
        [rows] => request.rows(u32::try_from(parse(rows)).expect("a few rows")),
        _ => request,
    }
}

fn bytes(word: &str) -> &[u8] {
    match word {
        "-" => b"",
        "~" => RESERVED,
        word => word.as_bytes(),
    }
}

fn parse(word: &[u8]) -> u64 {
    str::from_utf8(word).ok().and_then(|word| word.parse().ok()).expect("a number")
}

fn text(value: Option<&[u8]>) -> String {
    match value {
        None => "none".to_owned(),
        Some([]) => "-".to_owned(),
        Some(value) => String::from_utf8_lossy(value).into_owned(),
    }
}

fn number(value: Option<&[u8]>) -> String {
    match value {
        None => "none".to_owned(),
        Some(value) => u64::from_le_bytes(value.try_into().expect("8 bytes were written")).to_string(),
    }
}

fn rows(page: &Page) -> String {
    let row = |row: &Row| format!("{}={}", text(Some(&row.key)), text(Some(&row.value)));
    let more = page.more.then(|| "…".to_owned());
    let rows: Vec<String> = page.rows.iter().map(row).chain(more).collect();
    rows.join(" ")
}

/// The error's name in scripts.
#[must_use]
pub fn name(error: &Error) -> &'static str {
    match error {
        Error::Conflict => "conflict",
        Error::UnknownResult => "unknown",
        Error::TooOld => "too old",
        Error::FutureVersion { .. } => "future version",
        Error::Throttled => "throttled",
        Error::Unavailable => "unavailable",
        Error::WatchCancelled => "watch cancelled",
        Error::KeyTooLarge { .. } => "key too large",
        Error::ValueTooLarge { .. } => "value too large",
        Error::TransactionTooLarge { .. } => "transaction too large",
        Error::InvertedRange => "inverted range",
        Error::ReservedKey => "reserved key",
        Error::Unreadable => "unreadable",
        Error::Fatal(_) => "fatal",
    }
}
