//! Contract suite of engines: what each one has to pass before anything is built on it.
//!
//! Owns the rules, as rows of steps of transactions (`steps`) and as a random test against running transactions one at
//! a time ([`model`]). [`contract_tests!`](contract_tests) makes a test of each rule for an engine.

pub mod cluster;
pub mod model;
mod rules;
mod steps;

pub use rules::*;

use std::sync::Arc;

use futures_lite::future::{block_on, poll_once};
use kv::transaction::{Begin, Committed, Engine, Transaction};
use kv::{Error, ManualClock};

/// An engine to be tested, over a store that is empty.
pub struct Subject<E: Engine> {
    /// The engine.
    pub engine: E,
    /// What limits its transactions' lives. `None` if that cannot be set: rules of time are skipped.
    pub clock: Option<Arc<ManualClock>>,
    /// The same store as another process has it open, if several may.
    pub other: Option<E>,
    /// Makes what was committed so far durable, where that does not happen by itself.
    pub sync: Box<dyn Fn()>,
}

impl<E: Engine> Subject<E> {
    /// An engine that makes commits durable by itself.
    pub fn new(engine: E, clock: Arc<ManualClock>) -> Self {
        Self { engine, clock: Some(clock), other: None, sync: Box::new(|| {}) }
    }

    /// Begins a fresh transaction whose read version is of this moment: an engine may take one as late as it is needed.
    ///
    /// # Errors
    /// The read version's.
    pub fn begin(&self) -> Result<E::Tx, Error> {
        let tx = self.engine.begin(Begin::Fresh);
        block_on(tx.read_version())?;
        Ok(tx)
    }

    /// Commits and waits until that is durable.
    ///
    /// # Errors
    /// The commit's.
    pub fn commit(&self, tx: E::Tx) -> Result<Committed, Error> {
        let mut committing = Box::pin(tx.commit());
        let early = block_on(poll_once(&mut committing));
        early.unwrap_or_else(|| {
            (self.sync)();
            block_on(committing)
        })
    }
}

/// One test for each rule, for the engine that `$open` opens: a `Fn() -> Subject<_>`. `$cases` random histories. Where
/// `$skip` is given and returns true, the tests pass without doing anything: it has said why.
#[macro_export]
macro_rules! contract_tests {
    ($open:expr, cases: $cases:expr) => {
        $crate::contract_tests!($open, cases: $cases, skip: || false);
    };
    ($open:expr, cases: $cases:expr, skip: $skip:expr) => {
        $crate::contract_tests! {
            $open, $skip,
            a_read_that_changed_fails_the_commit
            only_what_was_read_can_conflict
            a_transaction_sees_its_own_writes
            ranges_come_in_order_and_in_pages
            versionstamped_writes_cannot_be_read_before_commit
            atomic_changes_do_not_conflict
            writes_take_effect_in_their_order
            limits_are_checked_at_commit
            stamps_ascend_and_are_what_rows_bear
            a_transaction_begins_where_it_asked
            what_was_answered_is_seen
            what_another_process_was_answered_is_seen_once_it_is_told
            a_transaction_lives_five_seconds
            a_watch_tells_of_a_change
            many_commits_at_once
        }
        #[test]
        fn committed_transactions_are_as_if_run_one_at_a_time() {
            if !$skip() {
                $crate::model::check(&$open, $cases);
            }
        }
    };
    ($open:expr, $skip:expr, $($rule:ident)*) => {
        $(
            #[test]
            fn $rule() {
                if !$skip() {
                    $crate::$rule(&$open);
                }
            }
        )*
    };
}

/// How a read or a commit ended, in a word or two: `ok`, or the error.
pub fn ended<T>(result: Result<T, Error>) -> &'static str {
    match result {
        Ok(_) => "ok",
        Err(Error::Conflict) => "conflict",
        Err(Error::UnknownResult) => "unknown",
        Err(Error::TooOld) => "too old",
        Err(Error::FutureVersion { .. }) => "future version",
        Err(Error::Throttled) => "throttled",
        Err(Error::Unavailable) => "unavailable",
        Err(Error::WatchCancelled) => "watch cancelled",
        Err(Error::KeyTooLarge { .. }) => "key too large",
        Err(Error::ValueTooLarge { .. }) => "value too large",
        Err(Error::TransactionTooLarge { .. }) => "transaction too large",
        Err(Error::InvertedRange) => "inverted range",
        Err(Error::ReservedKey) => "reserved key",
        Err(Error::Unreadable) => "unreadable",
        Err(Error::Fatal(_)) => "fatal",
    }
}
