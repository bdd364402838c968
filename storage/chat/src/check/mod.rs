//! Whether what is stored keeps the invariants: `store check`.
//!
//! Owns the walk over messages, first replies and inboxes, a page at a time, so that a store of any size is checked in
//! bounded memory. Changes nothing. Names every row that cannot be read; where there is none it checks I2 (seqs are exactly 1 to the head, times never decrease, bodies are whole),
//! I5 (a message and its first reply name each other, and a reaction counts once) and I6 (an inbox tells each visible message
//! once and in order, and what became of it to nobody else).
//! Of a store at rest: what changes between pages may look like a violation.

mod inboxes;
mod messages;
mod reactions;
mod rows;

use schema::record::RecordError;

use super::LayerError;

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

/// Checks all of it, and reports how far it is after each page.
///
/// # Errors
/// The rows that cannot be read, or the first violation; the store's.
pub async fn run<E: kv::Engine>(engine: &E, mut progress: impl FnMut(&Checked) + Send) -> Result<Checked, CheckError> {
    let mut checked = Checked::default();
    rows::rows(engine, &mut checked, &mut progress).await?;
    messages::channels(engine, &mut checked, &mut progress).await?;
    messages::messages(engine, &mut checked, &mut progress).await?;
    messages::first_replies(engine, &mut checked, &mut progress).await?;
    reactions::reactions(engine, &mut checked, &mut progress).await?;
    reactions::tallies(engine).await?;
    reactions::mentions(engine).await?;
    inboxes::inboxes(engine, &mut checked, &mut progress).await?;
    Ok(checked)
}
