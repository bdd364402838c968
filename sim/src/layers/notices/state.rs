//! State of the notifications of a run: who is absent, how the provider fares, and the evidence for I9.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};

use chat::notices::Job;
use chat::notices::apps::App;
use chat::notices::settings::MESSAGES;
use schema::record::NoticeRecord;
use schema::{ChannelId, Medium, NoticeId, Seq, UnixMs, UserId};

use crate::rng::Rng;

/// How much faster time passes for notifications: graces, leases and waits take up to minutes, and a run a second or two.
pub(super) const SPEED: u64 = 300;
/// Those that somebody sends.
pub(super) const MEDIA: &[Medium] = &[Medium::Apns, Medium::Fcm];

/// What all notices of applications are.
pub(super) const NEWS: &str = "news";

/// Notifications of a run.
pub(in super::super) struct Notices {
    /// Users for whom homes write items. Of the others only those are there that are adopted.
    pub(super) absent: BTreeSet<UserId>,
    pub(super) rates: Rates,
    pub(super) app: App,
    pub(super) evidence: RefCell<Evidence>,
    /// Whether nobody changes devices or asks for notices any more.
    pub(super) are_people_done: Cell<bool>,
    pub(super) over: Cell<bool>,
}

/// What is known in the end.
#[derive(Debug, Default)]
pub(super) struct Evidence {
    pub(super) devices: BTreeMap<(UserId, String), Registered>,
    pub(super) requests: Vec<Request>,
    /// What the provider took, by its id.
    pub(super) effects: BTreeMap<u128, Effect>,
    /// Until when a worker has a job, while it has not begun to end it.
    pub(super) leased: BTreeMap<u128, UnixMs>,
    /// Categories that a user wants no more: since when that is stored, in notifications' time; not known while it is asked.
    pub(super) off: BTreeMap<(UserId, &'static str), Option<UnixMs>>,
    /// Jobs that were ended as sent: since when this is known, in polls of the run.
    pub(super) sent: BTreeMap<u128, u64>,
}

/// A device at which a user is told.
#[derive(Debug, Clone)]
pub(super) struct Registered {
    /// Since when at the latest, in the world's time.
    pub(super) since_ms: u64,
    pub(super) address: String,
    /// It may be told no more: it was removed, its address is another's, or the provider said that it is gone.
    pub(super) has_ended: bool,
}

/// What an application asked to be told, once or more often.
#[derive(Debug)]
pub(super) struct Request {
    /// The ids that were drawn, one for each attempt.
    pub(super) ids: Vec<NoticeId>,
    /// The answer, and when it came, in the world's time.
    pub(super) accepted: Option<(NoticeId, u64)>,
    pub(super) record: NoticeRecord,
    pub(super) to: Vec<UserId>,
    pub(super) content_hash: u64,
    /// It was asked to be cancelled.
    pub(super) cancelled: bool,
}

/// What a provider took.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Effect {
    pub(super) user: UserId,
    pub(super) device: String,
    pub(super) notice: NoticeId,
    /// The application's notice; all zero for a message.
    pub(super) origin: NoticeId,
    pub(super) channel: ChannelId,
    /// The message that it told of, and that of its job.
    pub(super) said: Seq,
    pub(super) seq: Seq,
    /// When the worker asked what there was to say that was taken first.
    pub(super) asked: UnixMs,
    /// How often it was taken.
    pub(super) times: u32,
}

impl Effect {
    /// The category by which its user may choose.
    pub(super) fn category(&self) -> &'static str {
        if self.origin == NoticeId::default() { MESSAGES } else { NEWS }
    }
}

impl Notices {
    /// Whether a home has push items for a user.
    pub(in super::super) fn is_absent(&self, user: UserId) -> bool {
        self.absent.contains(&user)
    }
}

impl Evidence {
    /// A worker that asked at `asked`, in polls and by its clock, has jobs.
    pub(super) fn leased(&mut self, (polls, now): (u64, UnixMs), jobs: &[Job]) -> Result<(), String> {
        for job in jobs {
            let id = id(job);
            if let Some(sent) = self.sent.get(&id).filter(|sent| **sent < polls) {
                return Err(format!("{job:?} was leased at poll {polls} after it was sent and noted at {sent}"));
            }
            let before = self.leased.get(&id).copied();
            if before.is_some_and(|until| until > job.due) {
                // A process that stood still hears only now of a lease that has ended meanwhile, and been another's since.
                continue;
            }
            self.leased.insert(id, job.due);
            if let Some(until) = before.filter(|until| *until > now) {
                return Err(format!("{job:?} was leased at {now:?} while a worker had the same until {until:?}"));
            }
        }
        Ok(())
    }

    pub(super) fn registered(&mut self, user: UserId, device: &str) -> Option<&mut Registered> {
        self.devices.get_mut(&(user, device.to_owned()))
    }
}

/// By what a provider knows that it has taken something before.
pub(super) fn id(job: &Job) -> u128 {
    notify::compose::id(job).as_u128()
}

/// How often what goes wrong while the world is busy, of 1,000 attempts.
#[derive(Debug, Clone)]
pub(super) struct Rates {
    /// It is taken, and no answer comes.
    pub(super) lost_permille: u32,
    /// It is not taken, and no answer comes.
    pub(super) unreached_permille: u32,
    /// 503.
    pub(super) transient_permille: u32,
    /// 429, with a time.
    pub(super) quota_permille: u32,
    /// 410.
    pub(super) gone_permille: u32,
    /// An answer takes longer than the job's lease.
    pub(super) slow_permille: u32,
    /// Since when and until when our key does not count.
    pub(super) credential_ms: Option<(u64, u64)>,
    /// How long an answer takes otherwise, at most.
    pub(super) answer_ms: u64,
}

impl Rates {
    pub(super) fn draw(rng: &mut Rng) -> Self {
        // Fields are drawn in this order.
        Self {
            lost_permille: rng.maybe(600, 0..=400) as u32,
            unreached_permille: rng.maybe(400, 0..=200) as u32,
            transient_permille: rng.maybe(600, 0..=400) as u32,
            quota_permille: rng.maybe(400, 0..=200) as u32,
            gone_permille: rng.maybe(300, 0..=100) as u32,
            slow_permille: rng.maybe(400, 0..=300) as u32,
            credential_ms: rng.chance(250).then(|| {
                let from_ms = rng.within(300..=1_200);
                (from_ms, from_ms + rng.within(50..=500))
            }),
            answer_ms: rng.maybe(600, 0..=60),
        }
    }
}
