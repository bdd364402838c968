//! Notifications of a run: devices that users are told at, applications' notices, workers, and a provider.
//!
//! Owns the evidence for I9: who was registered when, what was asked for, and what the provider took. Users who are absent
//! have push items for all that arrives for them; what the provider does with a notification is drawn, until the world
//! heals. A provider that takes the same id again does nothing, so what counts is which ids it took.
//!
//! ```text
//! people      devices come, go and change hands; applications ask
//! worker      one life's: plans, leases, says, sends, settles
//! provider    takes it, or not, and answers, or not
//! check       what must hold (I9)
//! ```

mod check;
mod people;
mod provider;
mod worker;

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use chat::LayerError;
use chat::notices::accept::cancel;
use chat::notices::apps::App;
use chat::notices::{Count, Job};
use chat::push;
use chat::share::Share;
use kv::memory::MemoryStore;
use schema::record::NoticeRecord;
use schema::{ChannelId, Medium, NoticeId, Seq, UnixMs, UserId};

use crate::rng::Rng;
use crate::world::{Room, WALL};

use super::homes;
use super::world::World;

pub(super) use check::check;
pub(super) use people::live;
pub(super) use provider::Rates;
pub(super) use worker::begin;

/// How much faster time passes for notifications: graces, leases and waits take up to minutes, and a run a second or two.
const SPEED: u64 = 300;
/// How long it may take until nothing is left to be told once nothing goes wrong any more, in the world's time: the
/// waits between attempts and a lease, which are minutes of notifications' time, and some more.
const END_MS: u64 = 20_000;
/// Those that somebody sends.
const MEDIA: &[Medium] = &[Medium::Apns, Medium::Fcm];

/// See the module.
pub(super) struct Notices {
    /// Users for whom homes write items. Of the others only those are there that are adopted.
    absent: BTreeSet<UserId>,
    rates: Rates,
    app: App,
    evidence: RefCell<Evidence>,
    /// Whether nobody changes devices or asks for notices any more.
    are_people_done: Cell<bool>,
    over: Cell<bool>,
}

/// What is known in the end.
#[derive(Debug, Default)]
struct Evidence {
    devices: BTreeMap<(UserId, String), Registered>,
    requests: Vec<Request>,
    /// What the provider took, by its id.
    effects: BTreeMap<u128, Effect>,
    /// Until when a worker has a job, while it has not begun to end it.
    leased: BTreeMap<u128, UnixMs>,
    /// Jobs that were ended as sent: since when this is known, in polls of the run.
    sent: BTreeMap<u128, u64>,
}

/// A device at which a user is told.
#[derive(Debug, Clone)]
struct Registered {
    /// Since when at the latest, in the world's time.
    since_ms: u64,
    address: String,
    /// It may be told no more: it was removed, its address is another's, or the provider said that it is gone.
    has_ended: bool,
}

/// What an application asked to be told, once or more often.
#[derive(Debug)]
struct Request {
    /// The ids that were drawn, one for each attempt.
    ids: Vec<NoticeId>,
    /// The answer, and when it came, in the world's time.
    accepted: Option<(NoticeId, u64)>,
    record: NoticeRecord,
    to: Vec<UserId>,
    content_hash: u64,
    /// It was asked to be cancelled.
    cancelled: bool,
}

/// What a provider took.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Effect {
    user: UserId,
    device: String,
    notice: NoticeId,
    /// The application's notice; all zero for a message.
    origin: NoticeId,
    channel: ChannelId,
    /// The message that it told of, and that of its job.
    said: Seq,
    seq: Seq,
    /// How often it was taken.
    times: u32,
}

impl Notices {
    /// What the store holds of it at the start, before anything goes wrong.
    pub(super) fn begin(store: &MemoryStore, users: &[UserId], rooms: &[Room], rng: &mut Rng) -> Self {
        let absent = users.iter().copied().filter(|_| rng.chance(750)).collect();
        let rates = Rates::draw(rng);
        let (app, devices) = people::begin(store, users, rooms, rng);
        let evidence = RefCell::new(Evidence { devices, ..Evidence::default() });
        Self { absent, rates, app, evidence, are_people_done: Cell::new(false), over: Cell::new(false) }
    }

    /// Whether a home has push items for a user.
    pub(super) fn is_absent(&self, user: UserId) -> bool {
        self.absent.contains(&user)
    }
}

/// The time of notifications.
fn now(world: &World) -> UnixMs {
    WALL.plus_ms(world.tasks.now_ms() * SPEED)
}

/// Nothing goes wrong any more, and nothing arrives: what is left becomes items, and workers go on until nothing waits.
pub(super) async fn finish(world: &Rc<World>) {
    let Some(notices) = &world.notices else { return };
    while !notices.are_people_done.get() {
        world.tasks.sleep(1).await;
    }
    homes::clear_all(world).await;
    let engine = world.engine();
    loop {
        if let Some(life) = world.members().first()
            && homes::note_left(world, life).await.is_ok()
            && let Ok(adopted) = push::adopt(&engine, world.wall(), &Share::whole()).await
            && adopted.arrivals == 0
        {
            break;
        }
        world.tasks.sleep(1).await;
    }
    let recurring = |request: &&mut Request| request.record.every_ms > 0;
    let mut ids = Vec::new();
    for request in notices.evidence.borrow_mut().requests.iter_mut().filter(recurring) {
        request.cancelled = true;
        ids.extend_from_slice(&request.ids);
    }
    for id in ids {
        // Of an attempt that came to nothing there is none.
        while matches!(cancel(&engine, notices.app.id, id, now(world)).await, Err(LayerError::Store(_))) {
            world.tasks.sleep(1).await;
        }
    }
    let until_ms = world.tasks.now_ms() + END_MS;
    while let Some(left) = left(world).await {
        if world.tasks.now_ms() > until_ms {
            let finding = format!("{left} {END_MS} ms after all healed and nothing was sent any more");
            world.facts.borrow_mut().complain("I9", finding);
            break;
        }
        world.tasks.sleep(25).await;
    }
    notices.over.set(true);
}

/// What waits in the queues, if anything does.
async fn left(world: &World) -> Option<String> {
    let (engine, mut count) = (world.engine(), Count::default());
    loop {
        match count.next_page(&engine, None, now(world)).await {
            Ok(true) => break,
            Ok(false) => {}
            Err(error) => return Some(format!("{error}")),
        }
    }
    count.depths.retain(|(_, depth)| depth.rows > 0);
    (!count.depths.is_empty()).then(|| format!("{:?} waits", count.depths))
}

impl Evidence {
    /// A worker that asked at `asked`, in polls and by its clock, has jobs.
    fn leased(&mut self, (polls, now): (u64, UnixMs), jobs: &[Job]) -> Result<(), String> {
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

    fn registered(&mut self, user: UserId, device: &str) -> Option<&mut Registered> {
        self.devices.get_mut(&(user, device.to_owned()))
    }
}

/// By what a provider knows that it has taken something before.
fn id(job: &Job) -> u128 {
    notify::compose::id(job).as_u128()
}
