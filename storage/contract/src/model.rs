//! Random transactions side by side must come out as if run one at a time, in the order of their stamps.
//!
//! The model is a map and the transactions that committed, applied to it one after the other. Checked of every
//! transaction: what it read is the state at its read version with its own writes on top; and of one that committed:
//! what it read with conflicts is still so at its place in the order. At the end the store is what the model is.

use std::collections::BTreeMap;
use std::pin::Pin;

use futures_lite::future::{block_on, poll_once};
use proptest::prelude::{Just, ProptestConfig, Strategy, TestCaseError, any, prop, prop_assert_eq, prop_oneof};
use proptest::test_runner::TestRunner;

use crate::Subject;
use crate::steps::{Op, Seen};
use kv::Error;
use kv::transaction::{Atomic, Begin, Committed, Engine, RangeRequest, Stamp, Transaction, Version};

/// Transactions open at the same time.
const SLOTS: usize = 4;

type State = BTreeMap<Vec<u8>, Vec<u8>>;

#[derive(Debug, Clone)]
enum Step {
    Begin {
        slot: usize,
        read: Read,
    },
    Op {
        slot: usize,
        op: Op,
    },
    Commit {
        slot: usize,
    },
    /// Whatever was committed is durable and answered after this.
    Sync,
}

#[derive(Debug, Clone, Copy)]
enum Read {
    Fresh,
    Cached,
    /// At the version of a commit that was answered, so many back.
    At(usize),
}

/// What one transaction did.
#[derive(Debug)]
struct Run {
    ops: Vec<(Op, Seen)>,
    read_version: Version,
    stamp: Option<Stamp>,
}

/// Runs `cases` random histories, each in an empty store.
///
/// # Panics
/// If one is not as the model says; the message holds the shrunk history.
pub fn check<E: Engine>(open: &impl Fn() -> Subject<E>, cases: u32) {
    let config = ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() };
    let steps = prop::collection::vec(step(), 1..120);
    let result = TestRunner::new(config).run(&steps, |steps| {
        let mut world = World::new(open());
        steps.into_iter().for_each(|step| world.step(step));
        world.finish()
    });
    if let Err(failure) = result {
        panic!("{failure}");
    }
}

fn step() -> impl Strategy<Value = Step> {
    let slot = 0..SLOTS;
    prop_oneof![
        1 => (slot.clone(), read()).prop_map(|(slot, read)| Step::Begin { slot, read }),
        12 => (slot.clone(), op()).prop_map(|(slot, op)| Step::Op { slot, op }),
        4 => slot.prop_map(|slot| Step::Commit { slot }),
        1 => Just(Step::Sync),
    ]
}

fn read() -> impl Strategy<Value = Read> {
    prop_oneof![Just(Read::Fresh), Just(Read::Cached), (0..3_usize).prop_map(Read::At)]
}

fn key() -> impl Strategy<Value = Vec<u8>> {
    (b'a'..=b'h').prop_map(|key| vec![key])
}

fn value() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(any::<u8>(), 0..4)
}

fn range() -> impl Strategy<Value = RangeRequest> {
    let end = prop_oneof![4 => key(), 1 => Just(vec![b's', 0x80]), 1 => Just(vec![0xFF])];
    (key(), end, 1..6_u32, 1..40_u32, any::<bool>()).prop_map(|(begin, end, rows, bytes, reverse)| {
        let (begin, end) = if begin <= end { (begin, end) } else { (end, begin) };
        RangeRequest { reverse, ..RangeRequest::new(begin, end).rows(rows).bytes(bytes) }
    })
}

fn op() -> impl Strategy<Value = Op> {
    let change = prop_oneof![Just(Atomic::Add), Just(Atomic::Max)];
    prop_oneof![
        6 => (key(), any::<bool>()).prop_map(|(key, snapshot)| Op::Get { key, snapshot }),
        6 => (range(), any::<bool>()).prop_map(|(range, snapshot)| Op::Range { range, snapshot }),
        6 => (key(), value()).prop_map(|(key, value)| Op::Set { key, value }),
        2 => key().prop_map(|key| Op::Clear { key }),
        2 => range().prop_map(|range| Op::ClearRange { begin: range.begin, end: range.end }),
        3 => (change, key(), value()).prop_map(|(op, key, operand)| Op::Change { op, key, operand }),
        1 => (Just(vec![b's']), value(), value())
            .prop_map(|(prefix, suffix, value)| Op::StampedKey { prefix, suffix, value }),
        1 => key().prop_map(|key| Op::StampedValue { key }),
    ]
}

type Committing = Pin<Box<dyn Future<Output = Result<Committed, Error>> + Send>>;

struct World<E: Engine> {
    subject: Subject<E>,
    open: [Option<(E::Tx, Run)>; SLOTS],
    committing: Vec<(Committing, Run)>,
    done: Vec<Run>,
    /// A store whose time is its own was late or busy: this history says nothing.
    discarded: Option<Error>,
}

impl<E: Engine> World<E> {
    fn new(subject: Subject<E>) -> Self {
        Self { subject, open: [const { None }; SLOTS], committing: Vec::new(), done: Vec::new(), discarded: None }
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Begin { slot, read } => {
                let begun = self.begin(read);
                if let Some((_, abandoned)) = self.open[slot].replace(begun) {
                    self.done.push(abandoned);
                }
            }
            Step::Op { slot, op } => {
                let (mut tx, mut run) = self.open[slot].take().unwrap_or_else(|| self.begin(Read::Fresh));
                let seen = match op.perform(&mut tx) {
                    Err(Error::Unreadable) => Seen::Nothing,
                    seen => seen.unwrap_or_else(|error| panic!("{op:?} failed: {error}")),
                };
                run.ops.push((op, seen));
                self.open[slot] = Some((tx, run));
            }
            Step::Commit { slot } => {
                if let Some((tx, run)) = self.open[slot].take() {
                    let mut committing: Committing = Box::pin(tx.commit());
                    match block_on(poll_once(&mut committing)) {
                        Some(result) => self.answered(result, run),
                        None => self.committing.push((committing, run)),
                    }
                }
            }
            Step::Sync => {
                (self.subject.sync)();
                for (committing, run) in std::mem::take(&mut self.committing) {
                    let result = block_on(committing);
                    self.answered(result, run);
                }
            }
        }
    }

    fn begin(&self, read: Read) -> (E::Tx, Run) {
        let mut answered: Vec<Version> = self.done.iter().filter_map(|run| Some(run.stamp?.version())).collect();
        answered.sort();
        let begin = match read {
            Read::Fresh => Begin::Fresh,
            Read::Cached => Begin::Cached,
            Read::At(back) => answered.iter().rev().nth(back).map_or(Begin::Fresh, |v| Begin::At(*v)),
        };
        let tx = self.subject.engine.begin(begin);
        let read_version = block_on(tx.read_version()).expect("nothing is too old yet");
        if let (Begin::Fresh, Some(last)) = (begin, answered.last()) {
            assert!(read_version >= *last, "{last} was answered, but {read_version} is read");
        }
        (tx, Run { ops: Vec::new(), read_version, stamp: None })
    }

    fn answered(&mut self, result: Result<Committed, Error>, mut run: Run) {
        match result {
            Ok(committed) => run.stamp = Some(committed.stamp),
            Err(Error::Conflict) => {}
            Err(error @ (Error::UnknownResult | Error::Throttled | Error::TooOld)) if self.subject.clock.is_none() => {
                self.discarded = Some(error);
            }
            Err(error) => panic!("a commit failed: {error}"),
        }
        self.done.push(run);
    }

    fn finish(mut self) -> Result<(), TestCaseError> {
        self.step(Step::Sync);
        if let Some(error) = self.discarded {
            return Err(TestCaseError::reject(format!("a commit ended so: {error}")));
        }
        self.done.extend(self.open.iter_mut().filter_map(|slot| slot.take()).map(|(_, run)| run));
        let mut order: Vec<&Run> = self.done.iter().filter(|run| run.stamp.is_some()).collect();
        order.sort_by_key(|run| run.stamp);

        let mut state = State::new();
        let mut states = vec![(Stamp::new(Version(0), 0), state.clone())];
        for run in order {
            let stamp = run.stamp.expect("filtered");
            apply(&mut state, run, Some(stamp), |op| match op {
                Op::Get { snapshot, .. } | Op::Range { snapshot, .. } => !snapshot,
                _ => false,
            })?;
            states.push((stamp, state.clone()));
        }
        for run in &self.done {
            let last = states.partition_point(|(stamp, _)| stamp.version() <= run.read_version);
            let mut view = states[last - 1].1.clone();
            apply(&mut view, run, None, |_| true)?;
        }

        let tx = self.subject.engine.begin(Begin::Fresh);
        let page = block_on(tx.get_range(&RangeRequest::new(b"", b"\xFF"))).expect("no fault");
        let stored = page.rows.iter().map(|row| (row.key.to_vec(), row.value.to_vec()));
        prop_assert_eq!(stored.collect::<State>(), state);
        Ok(())
    }
}

/// Applies what `run` wrote to `state`, and compares what it saw on the way in the reads that `checked` names. Without
/// a stamp, writes that bear it are left out: nothing saw them.
fn apply(
    state: &mut State,
    run: &Run,
    stamp: Option<Stamp>,
    checked: impl Fn(&Op) -> bool,
) -> Result<(), TestCaseError> {
    for (op, seen) in &run.ops {
        let mut expected = Seen::Nothing;
        let mut set = |key: &[u8], value: &[u8]| drop(state.insert(key.to_vec(), value.to_vec()));
        match op {
            Op::Get { key, .. } => expected = Seen::Value(state.get(key).cloned()),
            Op::Range { range, .. } => expected = rows(state, range),
            Op::Set { key, value } => set(key, value),
            Op::Clear { key } => drop(state.remove(key)),
            Op::ClearRange { begin, end } => state.retain(|key, _| key < begin || key >= end),
            Op::Change { op, key, operand } => {
                let value = op.apply(state.get(key).map(Vec::as_slice), operand);
                state.insert(key.clone(), value.to_vec());
            }
            Op::StampedKey { prefix, suffix, value } => {
                stamp.into_iter().for_each(|stamp| set(&[prefix.as_slice(), &stamp.0, suffix].concat(), value));
            }
            Op::StampedValue { key } => {
                stamp.into_iter().for_each(|stamp| set(key, &[b"<".as_slice(), &stamp.0, b">"].concat()));
            }
            Op::Reads { .. } => {}
        }
        if *seen != Seen::Nothing && checked(op) {
            prop_assert_eq!(seen, &expected, "{:?} of {:?} at {:?}", op, run, stamp);
        }
    }
    Ok(())
}

fn rows(state: &State, range: &RangeRequest) -> Seen {
    let within = state.range(range.begin.clone()..range.end.clone());
    let rows = within.map(|(key, value)| (key.clone(), value.clone()));
    let rows: Vec<_> = if range.reverse { rows.rev().collect() } else { rows.collect() };
    let mut len_bytes = 0;
    let mut page = Vec::new();
    for (key, value) in rows {
        len_bytes += key.len() + value.len();
        page.push((key, value));
        if page.len() >= range.limit_rows as usize || len_bytes >= range.limit_bytes as usize {
            return Seen::Rows(page, true);
        }
    }
    Seen::Rows(page, false)
}
