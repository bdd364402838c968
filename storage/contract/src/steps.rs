//! Rows in which rules are written: steps of transactions by name, one after the other, each with what it returns.
//!
//! `[A.get("k").none(), put("k", "1"), A.ends("conflict")]`. A name begins a fresh transaction when it is first used,
//! and again after its commit, and learns its read version there, unless its first step is `blind`: then when the
//! engine wants it. What a read returns is compared as text: `b=1 c=2`, with `…` if there is more.

use std::collections::BTreeMap;

use futures_lite::future::block_on;
use kv::Error;
use kv::transaction::{Atomic, Begin, Engine, RangeRequest, Transaction};

use crate::{Subject, ended};

/// What a transaction does, here and in random histories.
#[derive(Debug, Clone)]
pub(crate) enum Op {
    Get {
        key: Vec<u8>,
        snapshot: bool,
    },
    Range {
        range: RangeRequest,
        snapshot: bool,
    },
    Set {
        key: Vec<u8>,
        value: Vec<u8>,
    },
    Clear {
        key: Vec<u8>,
    },
    ClearRange {
        begin: Vec<u8>,
        end: Vec<u8>,
    },
    Change {
        op: Atomic,
        key: Vec<u8>,
        operand: Vec<u8>,
    },
    StampedKey {
        prefix: Vec<u8>,
        suffix: Vec<u8>,
        value: Vec<u8>,
    },
    /// The value is the stamp between `<` and `>`.
    StampedValue {
        key: Vec<u8>,
    },
    Reads {
        begin: Vec<u8>,
        end: Vec<u8>,
    },
}

/// What an operation returned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Seen {
    /// It was not a read, or one that was refused as unreadable.
    Nothing,
    Value(Option<Vec<u8>>),
    /// Rows, and whether a limit ended the page.
    Rows(Vec<(Vec<u8>, Vec<u8>)>, bool),
}

impl Op {
    /// Does it in `tx`.
    ///
    /// # Errors
    /// The read's.
    pub(crate) fn perform(&self, tx: &mut impl Transaction) -> Result<Seen, Error> {
        match self {
            Self::Get { key, snapshot } => {
                let value = if *snapshot { block_on(tx.snapshot_get(key)) } else { block_on(tx.get(key)) };
                return Ok(Seen::Value(value?.map(|value| value.to_vec())));
            }
            Self::Range { range, snapshot } => {
                let page =
                    if *snapshot { block_on(tx.snapshot_get_range(range)) } else { block_on(tx.get_range(range)) }?;
                let rows = page.rows.iter().map(|row| (row.key.to_vec(), row.value.to_vec()));
                return Ok(Seen::Rows(rows.collect(), page.more));
            }
            Self::Set { key, value } => tx.set(key, value),
            Self::Clear { key } => tx.clear(key),
            Self::ClearRange { begin, end } => tx.clear_range(begin, end),
            Self::Change { op, key, operand } => tx.atomic(*op, key, operand),
            Self::StampedKey { prefix, suffix, value } => tx.set_versionstamped_key(prefix, suffix, value),
            Self::StampedValue { key } => tx.set_versionstamped_value(key, b"<", b">"),
            Self::Reads { begin, end } => tx.add_read_conflict(begin, end),
        }
        Ok(Seen::Nothing)
    }
}

impl Seen {
    fn text(&self) -> String {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        match self {
            Self::Nothing => "ok".to_owned(),
            Self::Value(value) => value.as_ref().map_or("none".to_owned(), |value| text(value)),
            Self::Rows(rows, more) => {
                let rows = rows.iter().map(|(key, value)| format!("{}={}", text(key), text(value)));
                rows.chain(more.then(|| "…".to_owned())).collect::<Vec<_>>().join(" ")
            }
        }
    }
}

/// One step of a row.
#[derive(Debug)]
pub(crate) struct Step {
    who: By,
    what: What,
    expected: String,
}

#[derive(Debug)]
enum What {
    /// Begins without a read version.
    Blind,
    Do(Op),
    Commit,
    /// Writes `x`, so that there is something to commit, and commits.
    End,
    /// Writes a row and commits.
    Put(&'static str, &'static str),
}

/// A transaction's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct By(&'static str);

pub(crate) const A: By = By("A");
pub(crate) const B: By = By("B");
pub(crate) const C: By = By("C");
pub(crate) const D: By = By("D");

/// A transaction of its own that writes one row.
pub(crate) fn put(key: &'static str, value: &'static str) -> Step {
    By("put").step(What::Put(key, value))
}

impl By {
    fn step(self, what: What) -> Step {
        Step { who: self, what, expected: "ok".to_owned() }
    }

    fn op(self, op: Op) -> Step {
        self.step(What::Do(op))
    }

    pub(crate) fn blind(self) -> Step {
        self.step(What::Blind)
    }

    pub(crate) fn get(self, key: &str) -> Step {
        self.op(Op::Get { key: key.into(), snapshot: false })
    }

    pub(crate) fn range(self, begin: &str, end: &str) -> Step {
        self.op(Op::Range { range: RangeRequest::new(begin, end), snapshot: false })
    }

    /// Every row.
    pub(crate) fn all(self) -> Step {
        self.op(Op::Range { range: RangeRequest::new(b"", b"\xFF"), snapshot: false })
    }

    pub(crate) fn set(self, key: &str, value: &str) -> Step {
        self.op(Op::Set { key: key.into(), value: value.into() })
    }

    pub(crate) fn clear(self, key: &str) -> Step {
        self.op(Op::Clear { key: key.into() })
    }

    pub(crate) fn clear_range(self, begin: &str, end: &str) -> Step {
        self.op(Op::ClearRange { begin: begin.into(), end: end.into() })
    }

    pub(crate) fn add(self, key: &str, operand: u64) -> Step {
        self.op(Op::Change { op: Atomic::Add, key: key.into(), operand: operand.to_le_bytes().into() })
    }

    pub(crate) fn max(self, key: &str, operand: u64) -> Step {
        self.op(Op::Change { op: Atomic::Max, key: key.into(), operand: operand.to_le_bytes().into() })
    }

    /// A row with the stamp at the end of its key.
    pub(crate) fn stamped_key(self, prefix: &str) -> Step {
        self.op(Op::StampedKey { prefix: prefix.into(), suffix: Vec::new(), value: b"v".into() })
    }

    pub(crate) fn stamped_value(self, key: &str) -> Step {
        self.op(Op::StampedValue { key: key.into() })
    }

    pub(crate) fn reads(self, begin: &str, end: &str) -> Step {
        self.op(Op::Reads { begin: begin.into(), end: end.into() })
    }

    pub(crate) fn commit(self) -> Step {
        self.step(What::Commit)
    }

    /// Writes `x`, so that there is something to commit, and commits: `ok` or an error.
    pub(crate) fn ends(self, expected: &str) -> Step {
        self.step(What::End).is(expected)
    }
}

impl Step {
    /// It returns this: a value, rows, or an error's name.
    pub(crate) fn is(mut self, expected: &str) -> Self {
        expected.clone_into(&mut self.expected);
        self
    }

    /// There is no such row.
    pub(crate) fn none(self) -> Self {
        self.is("none")
    }

    /// The value is this number in 8 bytes.
    pub(crate) fn number(mut self, expected: u64) -> Self {
        self.expected = Seen::Value(Some(expected.to_le_bytes().into())).text();
        self
    }

    /// At most so many rows.
    pub(crate) fn rows(mut self, rows: u32) -> Self {
        if let What::Do(Op::Range { range, .. }) = &mut self.what {
            range.limit_rows = rows;
        }
        self
    }

    /// From the end downwards.
    pub(crate) fn reversed(mut self) -> Self {
        if let What::Do(Op::Range { range, .. }) = &mut self.what {
            range.reverse = true;
        }
        self
    }

    /// By a snapshot read.
    pub(crate) fn snapshot(mut self) -> Self {
        if let What::Do(Op::Get { snapshot, .. } | Op::Range { snapshot, .. }) = &mut self.what {
            *snapshot = true;
        }
        self
    }
}

/// `first`, and then `more`.
pub(crate) fn then(
    first: impl IntoIterator<Item = Step>,
    more: impl IntoIterator<Item = Step>,
) -> impl Iterator<Item = Step> {
    first.into_iter().chain(more)
}

/// Takes `steps` in an empty store.
///
/// # Panics
/// If a step returns something else than it says.
pub(crate) fn check<E: Engine>(open: &impl Fn() -> Subject<E>, steps: impl IntoIterator<Item = Step>) {
    let subject = open();
    let mut transactions = BTreeMap::new();
    let mut taken = Vec::new();
    for step in steps {
        let found = take(&subject, &mut transactions, &step);
        let found = found.as_ref().map_or_else(|error| ended::<()>(Err(error.clone())).to_owned(), Seen::text);
        taken.push(step);
        let step = taken.last().expect("just taken");
        assert_eq!(found, step.expected, "the last of {taken:#?}");
    }
}

fn take<E: Engine>(
    subject: &Subject<E>,
    transactions: &mut BTreeMap<By, E::Tx>,
    Step { who, what, .. }: &Step,
) -> Result<Seen, Error> {
    if matches!(what, What::Blind) {
        transactions.insert(*who, subject.engine.begin(Begin::Fresh));
        return Ok(Seen::Nothing);
    }
    let mut tx = transactions.remove(who).map_or_else(|| subject.begin(), Ok)?;
    match what {
        What::Do(op) => {
            let seen = op.perform(&mut tx);
            transactions.insert(*who, tx);
            return seen;
        }
        What::End => tx.set(b"x", b"1"),
        What::Put(key, value) => tx.set(key.as_bytes(), value.as_bytes()),
        What::Commit | What::Blind => {}
    }
    subject.commit(tx).map(|_| Seen::Nothing)
}
