//! Options of a run of the storage layers: what its seed decides, and the bug that is to be caught.

use clap::ValueEnum;
use kv::memory::{Durability, FaultRates};
use lies::Lie;

use crate::options::flag;
use crate::rng::Rng;

/// One run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// Everything that happens follows from it.
    pub seed: u64,
    /// Whether appends read at the version of their shard's last commit. By default those of even seeds do.
    pub chained: Option<bool>,
    /// Whether users are notified. By default they are in two of four seeds, and where a bug of notifications is planted.
    pub notices: Option<bool>,
    /// Whether applications have webhooks. By default they have in one of three seeds, and where a bug of webhooks is planted.
    pub hooks: Option<bool>,
    /// Whether users post and read their feeds. By default they do in two of five seeds, and where a bug of feeds is planted.
    pub posts: Option<bool>,
    /// A bug to be caught.
    pub broken: Option<Broken>,
    /// Whether every line of the trace is printed as it happens.
    pub trace: bool,
}

impl Options {
    /// A run of `seed` as it should be.
    #[must_use]
    pub fn of_seed(seed: u64) -> Self {
        Self { seed, chained: None, notices: None, hooks: None, posts: None, broken: None, trace: false }
    }

    /// Whether appends read at the version of their shard's last commit.
    #[must_use]
    pub fn is_chained(&self) -> bool {
        self.chained.unwrap_or(self.seed.is_multiple_of(2))
    }

    /// Whether users are notified.
    #[must_use]
    pub fn has_notices(&self) -> bool {
        self.notices.unwrap_or_else(|| self.broken.map_or(self.seed % 4 >= 2, Broken::is_of_notices))
    }

    /// Whether applications have webhooks.
    #[must_use]
    pub fn has_hooks(&self) -> bool {
        let by_seed = || self.broken.map_or(self.seed.is_multiple_of(3), Broken::is_of_hooks);
        self.hooks.unwrap_or_else(by_seed)
    }

    /// Whether users post and read their feeds.
    #[must_use]
    pub fn has_posts(&self) -> bool {
        self.posts.unwrap_or_else(|| self.broken.map_or(self.seed % 5 < 2, Broken::is_of_posts))
    }

    /// The command that repeats this run.
    #[must_use]
    pub fn command(&self) -> String {
        let broken = flag("broken", self.broken);
        let chained = self.chained.map(|chained| format!(" --chained {chained}")).unwrap_or_default();
        let notices = self.notices.map(|notices| format!(" --notices {notices}")).unwrap_or_default();
        let hooks = self.hooks.map(|hooks| format!(" --hooks {hooks}")).unwrap_or_default();
        let posts = self.posts.map(|posts| format!(" --posts {posts}")).unwrap_or_default();
        format!("cargo run --release -p sim -- storage --seed {}{broken}{chained}{notices}{hooks}{posts}", self.seed)
    }
}

/// A bug, which the checkers have to see: as a lie of the engine, or in how the simulator drives the layers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Broken {
    /// A batch finds its fence standing, whatever became of it.
    NoFence,
    /// The fence is read in a transaction of its own, before that of the batch.
    FenceReadBefore,
    /// The fence is compared without its epoch.
    FenceWithoutEpoch,
    /// A takeover leaves the fence of the node that it takes from.
    FenceLeftStanding,
    /// A shard has several batches in flight.
    SeveralInFlight,
    /// Seqs are counted in memory.
    SeqInMemory,
    /// A commit whose result is unknown counts as failed.
    UnknownIsFailure,
    /// First replies are looked for only if the last attempt ended unknown.
    DedupByLastFlag,
    /// A list of members is used without comparing its epoch.
    CachedMembership,
    /// Reads at a version at hand are above the durable one.
    ReadAboveDurable,
    /// Commits are answered before they are durable.
    AcknowledgeBeforeDurable,
    /// A page that is cut claims to reach the end.
    CursorAheadOfUnreadRow,
    /// What a chained read found is answered without a commit that proves it. Only with chained reads.
    AnswersFromThePast,
    /// A view rewrites the fences of those nodes alone that gain or lose partitions.
    FenceOfMoversOnly,
    /// A view clears the batch rows of nodes that stay.
    BatchRowsClearedAtEveryView,
    /// What arrived at living nodes is adopted as if they were over.
    AdoptTakesTheLiving,
    /// A user who has moved is served from memory before the view's version.
    ServesBeforeTheView,
    /// A user who was another home's between two views that a life has met is served as if never gone.
    ReturnsUnnoticed,
    /// A home goes on at a view's version, and leaves what arrived before it unread.
    ArrivalsOfTheOldEpochUnread,
    /// A home reads what arrives beyond the view that it knows.
    ArrivalsBeyondTheView,
    /// A job is ended as sent before it is sent.
    EndedBeforeItIsSent,
    /// A worker of notifications works on without a look at its fence.
    WorkersUnfenced,
    /// Push items are cleared, and no jobs are made of them.
    ItemsWithoutJobs,
    /// It is not stored up to where a user was told.
    ToldUnwritten,
    /// A lane of a webhook goes on before what it tells was taken.
    LaneMovesBeforeItIsTaken,
    /// A lane of a webhook is let rest whatever is appended meanwhile.
    LaneRestsUnread,
    /// Posts of a step are noted as fanned out, and some have no rows.
    FanOutLost,
    /// Posts come into timelines at two places.
    FanOutTwice,
    /// A feed is not due any more whatever is posted meanwhile.
    FeedRestsUnread,
}

impl Broken {
    /// Whether it is one of notifications.
    pub(super) fn is_of_notices(self) -> bool {
        use Broken::{EndedBeforeItIsSent, ItemsWithoutJobs, ToldUnwritten, WorkersUnfenced};
        matches!(self, EndedBeforeItIsSent | WorkersUnfenced | ItemsWithoutJobs | ToldUnwritten)
    }

    /// Whether it is one of webhooks.
    pub(super) fn is_of_hooks(self) -> bool {
        matches!(self, Self::LaneMovesBeforeItIsTaken | Self::LaneRestsUnread)
    }

    /// Whether it is one of feeds.
    pub(super) fn is_of_posts(self) -> bool {
        matches!(self, Self::FanOutLost | Self::FanOutTwice | Self::FeedRestsUnread)
    }

    /// What the engine lies about, if that has the effect.
    pub(super) fn lie(self) -> Option<Lie> {
        match self {
            Self::NoFence => Some(Lie::NoFence),
            Self::FenceReadBefore => Some(Lie::FenceReadBefore),
            Self::FenceWithoutEpoch => Some(Lie::FenceWithoutEpoch),
            Self::FenceLeftStanding => Some(Lie::FenceLeftStanding),
            Self::SeqInMemory => Some(Lie::SeqInMemory),
            Self::UnknownIsFailure => Some(Lie::UnknownIsFailure),
            Self::DedupByLastFlag => Some(Lie::DedupByLastFlag),
            Self::CachedMembership => Some(Lie::CachedMembership),
            Self::CursorAheadOfUnreadRow => Some(Lie::CursorAheadOfUnreadRow),
            Self::AnswersFromThePast => Some(Lie::AnswersFromThePast),
            Self::ReadAboveDurable => Some(Lie::ReadAboveDurable),
            Self::FenceOfMoversOnly => Some(Lie::FenceOfMoversOnly),
            Self::BatchRowsClearedAtEveryView => Some(Lie::BatchRowsClearedAtEveryView),
            Self::AdoptTakesTheLiving => Some(Lie::AdoptTakesTheLiving),
            Self::WorkersUnfenced => Some(Lie::NoFenceOfWorkers),
            Self::ItemsWithoutJobs => Some(Lie::ItemsWithoutJobs),
            Self::ToldUnwritten => Some(Lie::ToldUnwritten),
            Self::LaneRestsUnread | Self::FeedRestsUnread => Some(Lie::MarkersReadLoosely),
            Self::FanOutLost => Some(Lie::TimelineRowsLost),
            Self::FanOutTwice => Some(Lie::TimelineRowsTwice),
            Self::SeveralInFlight
            | Self::EndedBeforeItIsSent
            | Self::LaneMovesBeforeItIsTaken
            | Self::AcknowledgeBeforeDurable
            | Self::ServesBeforeTheView
            | Self::ReturnsUnnoticed
            | Self::ArrivalsOfTheOldEpochUnread
            | Self::ArrivalsBeyondTheView => None,
        }
    }

    /// When commits are durable, where a sync takes time.
    pub(super) fn durability(self) -> Durability {
        match self {
            Self::AcknowledgeBeforeDurable | Self::ReadAboveDurable => Durability::Deferred,
            _ => Durability::Stepped,
        }
    }
}

/// What befalls the nodes at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Hardship {
    /// A new life takes everything, while one of the old ones stands still for so long, in the middle of a batch or with
    /// nothing under way.
    Steal { stopped_ms: u64, idle: bool },
    /// Two propose a view at once.
    Duel,
    /// A life comes, and is given partitions, or none yet.
    Join,
    /// Partitions move between the lives that are there.
    Step,
    /// Partitions move back to where they were under the view before.
    Back,
    /// A group moves away for so long, and comes back before the life that had it hears of anything.
    Excursion { for_ms: u64 },
    /// A life hands over what it has, in one view or several, and goes.
    Drain,
    /// A life ends where it is, and is declared dead a while later.
    Death { found_ms: u64 },
    /// A life is declared dead that stands still for so long, or not at all.
    Verdict { stopped_ms: u64 },
    /// A life stands still for so long.
    Pause { for_ms: u64 },
    /// The database's process ends with all nodes: what it wrote stays, synced or not.
    Kill,
    /// The machine loses power: what was not synced is gone.
    PowerLoss,
    /// The database answers no reads for so long.
    Away { for_ms: u64 },
}

/// What a seed makes of the world. Printed at the start of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// Accounts, each with one device.
    pub users: usize,
    /// Groups. Every two neighbours share a direct channel.
    pub groups: usize,
    /// Large channels.
    pub larges: usize,
    /// For how long clients are busy and things go wrong.
    pub busy_ms: u64,
    /// Pause of a device between two rounds, at most.
    pub pause_ms: u64,
    /// How long the disk takes for a sync, at most. 0: commits are durable at once.
    pub sync_ms: u64,
    /// Of 1,000 things that a device does those that concern who is in a group, where it may.
    pub churn_permille: u32,
    /// Of 1,000 things that a device does those for which it picks any channel, whether it is in it or not.
    pub strange_permille: u32,
    /// Of 1,000 replies those that no client hears.
    pub lost_permille: u32,
    /// Lives at the start.
    pub lives: u64,
    /// How often a life looks at the view, at most that long between two looks.
    pub beat_ms: u64,
    /// What goes wrong in the database.
    pub faults: FaultRates,
    /// When what befalls the nodes.
    pub(super) hardships: Vec<(u64, Hardship)>,
}

impl Plan {
    /// What `seed` draws. Each hardship is there in some runs and not in others, since all at once hide what one shows.
    #[must_use]
    pub fn draw(seed: u64) -> Self {
        let rng = &mut Rng::new(seed).part("plan");
        let busy_ms = rng.within(600..=1_500);
        // Fields are drawn in this order.
        Self {
            busy_ms,
            users: rng.maybe(800, 2..=4) as usize,
            groups: rng.maybe(700, 1..=2) as usize,
            larges: rng.maybe(300, 0..=1) as usize,
            pause_ms: rng.maybe(700, 10..=120),
            sync_ms: rng.maybe(700, 0..=12),
            churn_permille: rng.maybe(500, 80..=500) as u32,
            strange_permille: rng.maybe(300, 30..=700) as u32,
            lost_permille: rng.maybe(600, 0..=150) as u32,
            lives: rng.maybe(800, 1..=4),
            beat_ms: rng.maybe(700, 30..=300),
            faults: FaultRates {
                read_permille: rng.maybe(500, 0..=15) as u32,
                unavailable_permille: rng.maybe(300, 0..=3) as u32,
                conflict_permille: rng.maybe(600, 0..=250) as u32,
                refused_permille: rng.maybe(400, 0..=100) as u32,
                unknown_permille: rng.maybe(700, 0..=300) as u32,
                yields_max: rng.maybe(900, 0..=3) as u32,
                cached_lag_max: rng.maybe(600, 0..=6),
            },
            hardships: Self::draw_hardships(rng, busy_ms),
        }
    }

    /// What a run is made of: what its seed draws, and for a planted bug that needs an occasion of its own, many of these.
    #[must_use]
    pub fn of(options: &Options) -> Self {
        let drawn = Self::draw(options.seed);
        match options.broken {
            // Partitions move, and come back before everybody has heard of it.
            Some(Broken::ReturnsUnnoticed | Broken::ArrivalsBeyondTheView) => {
                let joins = [(50, Hardship::Join), (60, Hardship::Join)].into_iter();
                let moves = (150..drawn.busy_ms).step_by(80);
                let moves = moves.flat_map(|at_ms| [(at_ms, Hardship::Step), (at_ms + 8, Hardship::Back)]);
                Self { hardships: joins.chain(moves).collect(), churn_permille: drawn.churn_permille.max(200), ..drawn }
            }
            // Members change, and batches that changed them end unknown or after their shard has gone on.
            Some(Broken::CachedMembership) => Self {
                churn_permille: 500,
                faults: FaultRates { unknown_permille: 300, conflict_permille: 250, ..drawn.faults },
                ..drawn
            },
            _ => drawn,
        }
    }

    fn draw_hardships(rng: &mut Rng, busy_ms: u64) -> Vec<(u64, Hardship)> {
        let mut hardships = Vec::new();
        for _ in 0..rng.within(2..=10) {
            let at_ms = rng.within(50..=busy_ms);
            let pause = |rng: &mut Rng| if rng.chance(700) { rng.within(1..=300) } else { 0 };
            let hardship = match rng.below(100) {
                0..18 => Hardship::Join,
                18..35 => Hardship::Step,
                35..45 => Hardship::Excursion { for_ms: rng.within(50..=500) },
                45..52 => Hardship::Drain,
                52..60 => Hardship::Death { found_ms: rng.within(1..=150) },
                60..68 => Hardship::Verdict { stopped_ms: pause(rng) },
                68..74 => Hardship::Pause { for_ms: rng.within(1..=500) },
                74..80 => Hardship::Duel,
                80..86 => Hardship::Steal { stopped_ms: pause(rng), idle: rng.chance(400) },
                86..89 => Hardship::Kill,
                89..96 => Hardship::PowerLoss,
                _ => Hardship::Away { for_ms: rng.within(10..=200) },
            };
            hardships.push((at_ms, hardship));
            // What has moved may move back, before everybody has heard of it.
            if hardship == Hardship::Step && rng.chance(700) {
                hardships.push((at_ms + rng.within(5..=120), Hardship::Back));
            }
        }
        hardships.sort_by_key(|(at_ms, _)| *at_ms);
        hardships
    }
}
