//! Questions to the store, each with the type of its reply.
//!
//! Owns the list of questions, and knows none of the machines that ask: each of them declares the type of its waiters.
//! A question leaves the shard as an [`Ask`], which carries its waiter; whoever carries it out turns that waiter into
//! an [`Answer`] with a reply of the right type, and cannot do so twice (I12). The shard hands each answer to its
//! machine by a total match.

use std::collections::BTreeSet;
use std::fmt;

use schema::command::{self, HistoryPage};
use schema::mesh::SnapshotPlace;
use schema::page::{ArrivalsPage, FoundPage, InboxPage, MembersPage, OpenedChannel, SessionStart, SnapshotPage};
use schema::record::{PresenceRecord, PushItem};
use schema::{
    ChannelId, ChannelOp, Cursor, DeviceId, Epoch, OpReply, Position, Refusal, Ruling, Seq, Stamp, UnixMs, UserId,
};

use crate::io::ConnId;

/// Waiters for the answers to one kind of question.
pub trait Waits {
    /// The waiter: a part of the shard. Opaque outside of this crate.
    type Waiter: Send + 'static;
}

/// Declares the waiters of a machine: for the answers to which questions, and of what type.
macro_rules! waiters {
    ($($request:ident => $waiter:ty;)*) => {
        $(impl $crate::store::Waits for $crate::store::$request {
            type Waiter = $waiter;
        })*
    };
}
pub(crate) use waiters;

/// One kind of question to the store.
pub trait Request: Waits + Sized {
    /// The store's reply, unless it refuses.
    type Reply: Send + 'static;

    /// The question among all kinds.
    fn question(ask: Ask<Self>) -> Question;
    /// The answer among all kinds.
    fn answered(answer: Answer<Self>) -> Answered;
}

/// A question on its way to the store, and who waits for its answer.
pub struct Ask<R: Request> {
    /// The question itself.
    pub request: R,
    /// The waiter, to be answered once.
    pub pending: Pending<R>,
}

/// The waiter for the answer to one question. Dropping it loses an answer that the shard counts on (I12).
#[must_use = "I12: every question is answered"]
pub struct Pending<R: Request>(R::Waiter);

impl<R: Request> Pending<R> {
    /// Answers the question.
    pub fn answer(self, reply: Result<R::Reply, Refusal>) -> Answered {
        R::answered(Answer { waiter: self.0, reply })
    }
}

/// A reply on its way back to who waits for it.
pub struct Answer<R: Request> {
    pub(crate) waiter: R::Waiter,
    pub(crate) reply: Result<R::Reply, Refusal>,
}

impl<R: Request> Answer<R> {
    /// The store's reply, or why it refused.
    pub fn reply(&self) -> Result<&R::Reply, &Refusal> {
        self.reply.as_ref()
    }
}

macro_rules! requests {
    ($($name:ident => $reply:ty;)*) => {
        /// A question of any kind.
        pub enum Question {
            $(#[doc = concat!("A question of the kind [`", stringify!($name), "`].")] $name(Ask<$name>),)*
        }

        /// An answer of any kind, for [`Input::Answered`](crate::Input::Answered) of the shard that asked.
        pub enum Answered {
            $(#[doc = concat!("The answer to a question of the kind [`", stringify!($name), "`].")] $name(Answer<$name>),)*
        }

        impl Question {
            pub(crate) fn new<R: Request>(request: R, waiter: R::Waiter) -> Self {
                R::question(Ask { request, pending: Pending(waiter) })
            }

            /// The kind's name.
            #[must_use]
            pub fn kind(&self) -> &'static str {
                match self {
                    $(Self::$name(_) => stringify!($name),)*
                }
            }

            /// Answers the question with a refusal, of whatever kind it is.
            #[must_use]
            pub fn refuse(self, refusal: Refusal) -> Answered {
                match self {
                    $(Self::$name(ask) => ask.pending.answer(Err(refusal)),)*
                }
            }
        }

        impl Answered {
            /// The name of the question's kind.
            #[must_use]
            pub fn kind(&self) -> &'static str {
                match self {
                    $(Self::$name(_) => stringify!($name),)*
                }
            }

            /// The store's refusal, if it refused.
            #[must_use]
            pub fn refusal(&self) -> Option<&Refusal> {
                match self {
                    $(Self::$name(answer) => answer.reply.as_ref().err(),)*
                }
            }
        }

        $(impl Request for $name {
            type Reply = $reply;

            fn question(ask: Ask<Self>) -> Question {
                Question::$name(ask)
            }

            fn answered(answer: Answer<Self>) -> Answered {
                Answered::$name(answer)
            }
        })*
    };
}

requests! {
    Authenticate => Identity;
    Apply => OpReply;
    History => HistoryPage;
    Search => FoundPage;
    OpenChannel => OpenedChannel;
    Members => MembersPage;
    OpenInbox => SessionStart;
    ReadInbox => InboxPage;
    Snapshot => SnapshotPage;
    ReadArrivals => ArrivalsPage;
    ClearArrivals => ();
    TrimInbox => ();
    PutPresence => ();
    Visible => Vec<Option<PresenceRecord>>;
    Subscribe => Seq;
    LargeOf => Vec<ChannelId>;
    Index => schema::page::Indexed;
    FamiliesLive => Vec<bool>;
    Standing => Epoch;
    AskBefore => Judgement;
}

/// Names the kind only: what is asked may hold a token or a text.
impl fmt::Debug for Question {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Question::{}", self.kind())
    }
}

/// Names the kind and a refusal's code only.
impl fmt::Debug for Answered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Answered::{} refused {:?}", self.kind(), self.refusal().map(|refusal| refusal.code))
    }
}

/// Asks whose token this is.
pub struct Authenticate {
    /// The token's text.
    pub token: String,
    /// Which connection shows it.
    pub conn: ConnId,
}

/// Whose token it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Identity {
    /// It is verified.
    Known(Claims),
    /// Whoever must say that cannot now, which says nothing of the store: a refusal that passes.
    Later(Refusal),
}

/// Claims of a verified token about its bearer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claims {
    /// The account.
    pub user: UserId,
    /// The login that the token is of, which can be revoked as a whole.
    pub family: u64,
    /// The one device that may use it; none if any may.
    pub device: Option<DeviceId>,
    /// The end of the token's validity.
    pub expires_ms: UnixMs,
}

/// Changes a channel. The order in which these leave the shard is the channel's order; the reply says that the change
/// is durable, a refusal that nothing changed.
pub struct Apply {
    /// The view under which this shard is the channel's home, without a break until the change is decided.
    pub epoch: Epoch,
    /// The channel.
    pub channel: ChannelId,
    /// The change.
    pub op: ChannelOp,
}

/// Reads a page of history.
pub struct History {
    /// The reader.
    pub user: UserId,
    /// The page.
    pub request: command::History,
}

/// Finds messages by their words.
pub struct Search {
    /// The reader.
    pub user: UserId,
    /// The query.
    pub request: command::Search,
}

/// Opens a channel for a member.
pub struct OpenChannel {
    /// The member.
    pub user: UserId,
    /// The channel.
    pub channel: ChannelId,
}

/// Reads a page of a channel's members.
pub struct Members {
    /// The reader, who has to be one of them.
    pub user: UserId,
    /// The channel.
    pub channel: ChannelId,
    /// The number of the page, of 200 members each, from 0.
    pub page: u32,
}

/// Notes that a device connects, and asks where its session starts.
pub struct OpenInbox {
    /// The account.
    pub user: UserId,
    /// The device.
    pub device: DeviceId,
    /// The login that its token is of.
    pub family: u64,
    /// The client's name for itself.
    pub client: Option<String>,
    /// The cursor at which it stopped.
    pub cursor: Option<Cursor>,
}

/// Reads an inbox after a place.
pub struct ReadInbox {
    /// The account.
    pub user: UserId,
    /// The place.
    pub after: Position,
    /// The store's version that the read is no older than.
    pub at_least: u64,
    /// Bytes of events at most; one event always fits.
    pub bytes: u32,
    /// Whether this is a session's first read, which is worth a snapshot if it is very far behind.
    pub first: bool,
}

/// Reads a page of an account's channels.
pub struct Snapshot {
    /// The account.
    pub user: UserId,
    /// The place that it came to.
    pub place: Option<SnapshotPlace>,
}

/// Reads what arrived for the users of this shard.
pub struct ReadArrivals {
    /// The transaction after which to read.
    pub after: Stamp,
    /// The store's version that the read is no older than.
    pub at_least: u64,
    /// Transactions whose content is here already.
    pub have: BTreeSet<Stamp>,
}

/// Forgets arrivals.
pub struct ClearArrivals {
    /// The last transaction to forget.
    pub through: Stamp,
    /// Push items that are kept in the same transaction for members who were not there.
    pub pushes: Vec<PushItem>,
}

/// Forgets what an inbox keeps beyond its limits.
pub struct TrimInbox {
    /// The account.
    pub user: UserId,
}

/// Keeps how present a user is.
pub struct PutPresence {
    /// The user.
    pub user: UserId,
    /// The user's presence now.
    pub record: PresenceRecord,
}

/// Asks who of these may be seen by whom. The reply has for each user what is stored of its presence, or none if it may
/// not be seen.
pub struct Visible {
    /// The user who wants to know.
    pub watcher: UserId,
    /// The users of whom.
    pub users: Vec<UserId>,
    /// They are all in a direct channel or group with the watcher: only blocks can hide them.
    pub fellows: bool,
}

/// Asks whether a user may follow a large channel's log. The reply is the channel's newest seq.
pub struct Subscribe {
    /// The user.
    pub user: UserId,
    /// The channel.
    pub channel: ChannelId,
}

/// Lists a user's large channels.
pub struct LargeOf {
    /// The user.
    pub user: UserId,
}

/// Indexes some of what was written to a channel.
pub struct Index {
    /// The channel.
    pub channel: ChannelId,
}

/// Asks which logins count still. The reply has one for each.
pub struct FamiliesLive {
    /// The accounts and their logins.
    pub families: Vec<(UserId, u64)>,
}

/// Asks for the epoch in which this life stands, as of now.
pub struct Standing;

/// What applications say of an operation; nothing, if it passes as it is. Or a refusal that passes: they cannot be asked now, which
/// says nothing of the store.
pub type Judgement = Result<Option<Ruling>, Refusal>;

/// Asks applications what they think of an operation before it is carried out. They have some seconds at most.
pub struct AskBefore {
    /// The channel.
    pub channel: ChannelId,
    /// The operation.
    pub op: ChannelOp,
}
