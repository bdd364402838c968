//! Options of a run, and the bugs that can be planted in it. What a seed makes of them is its [`Plan`](crate::Plan).
//!
//! Some bugs of clusters are not planted, since nobody would see them: another defence makes them good before. Shards that
//! hear of no gap ask again all the same, within 20 s at most, and so do those that a frame of a newer view is lost to. A feed of a home that was not asked brings seqs that its
//! reader has passed. Who is offline at a move is back within a second, when its sessions say that they are there. And
//! the list of a channel's members does not outlive the channel's stay at a shard: the rows of `chat` have one that does.
//!
//! Of these sixty seeds showed nothing. A link that sends again under new numbers (the tests of `link` see it) tells a whole
//! past once more, in its order, so that all ends as it was. Where what is asked again comes behind what was asked after it,
//! the answer to that gives the earlier back to its client, which sends it again. A session of a device that is
//! not its newest is told to end before a view moves its user, so that two hardly ever come back together. What a home stores
//! of a user's presence after its time is set right when the next home is first asked of the user.

use clap::ValueEnum;
use lies::Lie;

/// One run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// Everything that happens follows from it.
    pub seed: u64,
    /// What there is most of.
    pub workload: Workload,
    /// A bug to be caught.
    pub planted: Option<Planted>,
    /// Whether every line of the trace is printed as it happens.
    pub trace: bool,
}

/// What there is most of in a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Workload {
    /// Whatever the seed draws.
    #[default]
    Drawn,
    /// Members who are removed from groups and added again all the time, while others write there.
    Removals,
    /// Several nodes that share a view.
    Cluster,
    /// Shards that stand still now and then, and whose mailboxes are soon full.
    Crowded,
}

/// A bug planted to prove that a checker sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Planted {
    /// The store answers a commit before it is durable (I3).
    AcknowledgeBeforeDurable,
    /// A page of an inbox that is cut claims to reach the end (I6).
    CursorAheadOfUnreadRow,
    /// Seqs are counted in memory, so an attempt that fails leaves a hole (I2).
    SeqInMemory,
    /// A commit whose result is unknown counts as failed (I5).
    UnknownIsFailure,
    /// The API acknowledges a removal before anybody has carried it out (I10).
    RemovalAcknowledgedEarly,
    /// The node forgets one answer of a hundred (I12).
    AnswerForgotten,
    /// A node from which another has taken over goes on (I12).
    FencedGoesOn,
    /// A shard's mailbox that was full once is not tried again (I12).
    FullMailboxForever,
    /// A frame that found a shard's mailbox full is overtaken by the next one, and no send says behind which it comes (I4).
    FullMailboxOvertaken,
    /// A batch finds in its node's fence the epoch that the node goes by (I6).
    FenceWithoutEpoch,
    /// A home reads none of what arrived before the view that its node goes by (I6).
    ArrivalsOfTheOldEpochUnread,
    /// Shards are not told at which version their view stood, so that users moved in are served from before (I6).
    ServesBeforeTheView,
    /// A link between two nodes loses one of two frames that must arrive, and says that it came (I8).
    LinkForgetsAFrameThatMustArrive,
    /// Members are added and removed again, long after that was asked for and done (I10).
    RetriesWhatHasNoReply,
    /// What earlier lives of a node were told is taken for this one's (I6).
    OldLifeAccepted,
    /// A node takes what others have told it for no word of how new the store is (I3).
    ResumeFromAStaleRead,
    /// The API takes a session for ended whose home was this node's when it started (I10).
    KickToTheOldHome,
    /// A link keeps whatever the other end does not acknowledge (I11).
    ResendUnbounded,
    /// The first user's sessions are not told what comes next, for a while, and the others stay busy as long (I13).
    OneIsForgotten,
}

impl Planted {
    /// What the engine lies about, if that has the effect.
    pub(crate) fn lie(self) -> Option<Lie> {
        match self {
            Self::CursorAheadOfUnreadRow => Some(Lie::CursorAheadOfUnreadRow),
            Self::SeqInMemory => Some(Lie::SeqInMemory),
            Self::UnknownIsFailure => Some(Lie::UnknownIsFailure),
            Self::AcknowledgeBeforeDurable
            | Self::RemovalAcknowledgedEarly
            | Self::AnswerForgotten
            | Self::FencedGoesOn
            | Self::FullMailboxForever
            | Self::FullMailboxOvertaken
            | Self::FenceWithoutEpoch
            | Self::ArrivalsOfTheOldEpochUnread
            | Self::ServesBeforeTheView
            | Self::LinkForgetsAFrameThatMustArrive
            | Self::RetriesWhatHasNoReply
            | Self::OldLifeAccepted
            | Self::ResumeFromAStaleRead
            | Self::KickToTheOldHome
            | Self::ResendUnbounded
            | Self::OneIsForgotten => None,
        }
    }
}

impl Options {
    /// A run of `seed` as it should be.
    #[must_use]
    pub fn of_seed(seed: u64) -> Self {
        Self { seed, workload: Workload::Drawn, planted: None, trace: false }
    }

    /// The command that repeats this run.
    #[must_use]
    pub fn command(&self) -> String {
        let workload = Some(self.workload).filter(|workload| *workload != Workload::default());
        let flags = flag("workload", workload) + &flag("planted", self.planted);
        format!("cargo run --release -p sim -- --seed {}{flags}", self.seed)
    }
}

/// A flag of the command line and its value, behind a space; nothing where it is not given.
pub(crate) fn flag(name: &str, value: Option<impl ValueEnum>) -> String {
    let value = value.and_then(|value| value.to_possible_value());
    value.map(|value| format!(" --{name} {}", value.get_name())).unwrap_or_default()
}
