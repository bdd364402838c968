//! Check of a store's invariants: `store check`.
//!
//! Owns the walk over ranges of rows, a page at a time, so that a store of any size is checked in bounded memory.
//! Changes nothing. Names every row that cannot be read; where there is none it checks I2 (seqs are exactly 1 to the
//! head, times never decrease, bodies are whole, media are held by who carries them), I5 (a message and its first reply name each other, and a reaction
//! counts once) and I6 (an inbox tells each visible message once and in order, and what became of it to nobody else).
//! Of a store at rest: what changes between pages may look like a violation.

mod inboxes;
mod media;
mod messages;
mod reactions;
mod rows;

use std::future::Future;

use schema::record::RecordError;

use super::{LayerError, again};
use crate::keys::{self, Table};
use kv::transaction::{Begin, Engine, RESERVED, RangeRequest, Row, Transaction};

/// Rows of a page. With bodies of up to 8 KB a page of messages ends at its bytes first.
const PAGE_ROWS: u32 = 1_000;

/// How much was checked so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Checked {
    /// Channels.
    pub channels: u64,
    /// Messages, with their bodies.
    pub messages: u64,
    /// First replies.
    pub first_replies: u64,
    /// Reactions.
    pub reactions: u64,
    /// Users with an inbox or a membership.
    pub users: u64,
    /// Rows of inboxes.
    pub inbox_rows: u64,
    /// Rows that could not be read once and are kept aside ([`super::unreadable`]).
    pub set_aside: u64,
}

/// The first thing that is not as it should be.
#[derive(Debug, thiserror::Error)]
pub enum CheckError {
    /// An invariant does not hold.
    #[error("{invariant}: {found}")]
    Violated {
        /// Which.
        invariant: &'static str,
        /// Where, what was found and what was expected.
        found: String,
    },
    /// Rows are damaged, or of a newer version. The invariants were not looked at.
    #[error("{rows} rows cannot be read: {}", named.join("; "))]
    Unreadable {
        /// How many.
        rows: u64,
        /// The first of them: the table, the key in hex, and why.
        named: Vec<String>,
    },
    /// A record is damaged, or became so meanwhile.
    #[error(transparent)]
    Damaged(RecordError),
    /// The store could not be read.
    #[error("the store could not be read")]
    Store(#[source] kv::Error),
}

impl From<LayerError> for CheckError {
    fn from(error: LayerError) -> Self {
        match error {
            LayerError::Store(error) => Self::Store(error),
            LayerError::Record(error) => Self::Damaged(error),
            LayerError::Refused(refusal) => unreachable!("reading rows refuses nothing: {refusal}"),
        }
    }
}

impl From<kv::Error> for CheckError {
    fn from(error: kv::Error) -> Self {
        Self::Store(error)
    }
}

impl From<RecordError> for CheckError {
    fn from(error: RecordError) -> Self {
        Self::Damaged(error)
    }
}

impl CheckError {
    fn is_retryable(&self) -> bool {
        match self {
            Self::Store(error) => error.is_retryable(),
            Self::Violated { .. } | Self::Unreadable { .. } | Self::Damaged(_) => false,
        }
    }
}

fn violated<T>(invariant: &'static str, found: String) -> Result<T, CheckError> {
    Err(CheckError::Violated { invariant, found })
}

/// What is checked of the rows of a range, in the order of their keys.
trait Check: Clone + Send + Sync {
    /// Checks a page of rows, in the transaction that read them, and counts them.
    fn page<T: Transaction>(
        &mut self,
        tx: &T,
        rows: &[Row],
        checked: &mut Checked,
    ) -> impl Future<Output = Result<(), CheckError>> + Send;
}

/// The walk over a store, which reports how far it is after each page.
struct Walk<'a, E, P> {
    engine: &'a E,
    checked: Checked,
    progress: P,
}

impl<E: Engine, P: FnMut(&Checked) + Send> Walk<'_, E, P> {
    /// Goes over a range, each page in a transaction of its own. Returns what the check knows at its end.
    async fn over<C: Check>(&mut self, range: RangeRequest, mut check: C) -> Result<C, CheckError> {
        let mut next = Some(range.rows(PAGE_ROWS));
        while let Some(range) = next {
            let page;
            (page, check, self.checked) = again!(async {
                let tx = self.engine.begin(Begin::Fresh);
                let page = tx.snapshot_get_range(&range).await?;
                let (mut check, mut checked) = (check.clone(), self.checked);
                check.page(&tx, &page.rows, &mut checked).await?;
                Ok::<_, CheckError>((page, check, checked))
            })?;
            (self.progress)(&self.checked);
            next = RangeRequest::after(range, &page);
        }
        Ok(check)
    }

    /// Goes over all rows of a table.
    async fn table<C: Check>(&mut self, table: Table, check: C) -> Result<C, CheckError> {
        self.over(keys::all(table, ()), check).await
    }
}

/// Checks all of it, and reports how far it is after each page.
///
/// # Errors
/// The rows that cannot be read, or the first violation; the store's.
pub async fn run<E: Engine>(engine: &E, progress: impl FnMut(&Checked) + Send) -> Result<Checked, CheckError> {
    let mut walk = Walk { engine, checked: Checked::default(), progress };
    walk.over(RangeRequest::new(Vec::new(), RESERVED), rows::Rows::default()).await?.end()?;
    walk.table(Table::Channel, messages::Channels).await?;
    walk.table(Table::Message, messages::Messages::default()).await?.end()?;
    walk.table(Table::Dedup, messages::FirstReplies).await?;
    let last = walk.table(Table::Reaction, reactions::Reactions::default()).await?;
    again!(async { last.compare(&engine.begin(Begin::Fresh)).await })?;
    walk.table(Table::Tallies, reactions::Tallies).await?;
    walk.table(Table::Mention, reactions::Mentions).await?;
    walk.table(Table::MediaUse, media::Uses).await?;
    inboxes::inboxes(&mut walk).await?;
    Ok(walk.checked)
}
