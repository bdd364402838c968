//! Notices of applications: who may ask for them, what is accepted once, what becomes of it, what recurs.

use chat::notices::accept::{self, Wanted};
use chat::notices::apps::{self, App, Scope};
use chat::notices::jobs::{self, End};
use chat::notices::{self, Reach, Said, Scan, Worker, instances, say};
use chat::share::Share;
use chat::{LayerError, keys};
use futures_lite::future::block_on;
use kv::Transaction;
use kv::memory::CommitFault::{Conflict, UnknownCommitted, UnknownLost};
use kv::memory::MemoryEngine;
use schema::record::{AppRecord, AppSecret, NoticeRecord};
use schema::{Incarnation, Medium, NoticeId, UnixMs, UserId};

use crate::contacts::register;
use crate::world::{DAY_MS, WALL, World, faulty, scripted, store, words, write};

pub(crate) const APP: u64 = 7;
const HOUR_MS: u64 = 3_600_000;

fn secret(text: &str) -> AppSecret {
    AppSecret { hash: apps::hash(text), created_ms: WALL }
}

pub(crate) fn app(quota_a_day: u32) -> AppRecord {
    let scopes = Scope::ALL.iter().fold(0, |bits, scope| bits | scope.bit());
    AppRecord {
        name: "shop".into(),
        created_ms: WALL,
        scopes,
        quota_a_day,
        secrets: vec![secret("first")],
        ..AppRecord::default()
    }
}

/// What is told when: `at` is hours after the start, `every` hours after that again.
pub(crate) fn notice(key: &str, at_hours: u64, every_hours: u64) -> NoticeRecord {
    NoticeRecord {
        app: APP,
        category: "shipping".into(),
        title: "On its way".into(),
        body: "Your parcel has left.".into(),
        data: "{}".into(),
        created_ms: WALL,
        send_ms: WALL.plus_ms(at_hours * HOUR_MS),
        every_ms: every_hours * HOUR_MS,
        expires_ms: HOUR_MS,
        recipients: 2,
        key: key.into(),
        ..NoticeRecord::default()
    }
}

/// A store with the application, in which user 2 has a phone and a browser and user 3 a phone.
pub(crate) struct Shop {
    pub(crate) world: World<MemoryEngine>,
    app: App,
    worker: Worker,
    items: Scan,
    now: UnixMs,
    drawn: u128,
}

impl Shop {
    pub(crate) fn open(quota_a_day: u32) -> Self {
        let engine = faulty(&store(), &[]);
        register(&engine, 2, "phone", Medium::Apns, "two").expect("registered");
        register(&engine, 2, "laptop", Medium::WebPush, "too").expect("registered");
        register(&engine, 3, "phone", Medium::Apns, "three").expect("registered");
        let app = block_on(apps::create(&engine, APP, &app(quota_a_day))).expect("made").expect("its id is free");
        let world = World::current(engine);
        let worker = block_on(Worker::current(&world.engine, world.life)).expect("readable").expect("in the view");
        Self { world, app, worker, items: Scan::of(keys::Queue::Notices), now: WALL, drawn: 0 }
    }

    /// `new 1`, `again 1`, or the code of a refusal.
    pub(crate) fn accept(&mut self, record: NoticeRecord, content_hash: u64) -> String {
        self.drawn += 1;
        let id = NoticeId::new(self.now, self.drawn);
        let wanted = Wanted { id, record, to: vec![UserId(2), UserId(3)], content_hash };
        let accepted = block_on(accept::accept(&self.world.engine, &self.app, &wanted, self.now));
        words(accepted.map(|(id, is_new)| format!("{} {}", if is_new { "new" } else { "again" }, id.0[15])))
    }

    fn id(number: u128) -> NoticeId {
        NoticeId::new(WALL, number)
    }

    /// Jobs that become due, and what they say: `2 phone: On its way`.
    pub(crate) fn told(&mut self, media: &[Medium]) -> String {
        let (engine, reach) = (self.world.engine.clone(), Reach::by(media));
        match block_on(instances(&engine, &self.worker, &mut self.items, &reach, self.now)) {
            Ok(_) => {}
            Err(error) => return words(Err(error)),
        }
        let mut told = Vec::new();
        for &medium in Medium::ALL {
            let mut scan = Scan::of(keys::Queue::Jobs(medium));
            let leased = block_on(jobs::lease(&engine, &self.worker, &mut scan, self.now, 100)).expect("leased").jobs;
            let said = block_on(say(&engine, &reach, &leased, self.now)).expect("readable");
            let ends: Vec<_> = leased.into_iter().map(|job| (job, End::Withdrawn { why: String::new() })).collect();
            told.extend(ends.iter().zip(said).map(|((job, _), said)| match said {
                Said::Notice(notice) => {
                    let by = match &notice.template {
                        _ if notice.record.template.is_empty() => String::new(),
                        Some(by) => format!(" by {}{}={}", by.name, by.version, by.template.variants[0].body),
                        None => " by nothing".to_owned(),
                    };
                    format!("{} {}: {}{by}", job.user, job.device, notice.record.title)
                }
                Said::Nothing { why } => format!("{} {}: {why}", job.user, job.device),
                Said::Unreadable => format!("{} {}: unreadable", job.user, job.device),
                Said::Something(_) => panic!("it is of no channel"),
            }));
            block_on(jobs::settle(&engine, &ends, self.now)).expect("settled");
        }
        told.sort();
        told.join(", ")
    }
}

const BOTH: &str = "2 laptop: On its way, 2 phone: On its way, 3 phone: On its way";

#[test]
fn an_application_is_known_by_two_secrets_at_most_until_it_is_revoked() {
    let engine = faulty(&store(), &[]);
    let known = || {
        let knows = |text: &&str| block_on(apps::authenticate(&engine, APP, text)).is_ok();
        ["first", "second", "third", ""].iter().copied().filter(knows).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(known(), "");
    block_on(apps::create(&engine, APP, &app(0))).expect("made").expect("its id is free");
    assert_eq!(block_on(apps::create(&engine, APP, &app(1))).expect("asked"), None, "the id is taken");
    assert_eq!(known(), "first");
    block_on(apps::rotate(&engine, APP, &secret("second"))).expect("rotated");
    assert_eq!(known(), "first second");
    block_on(apps::rotate(&engine, APP, &secret("third"))).expect("rotated");
    assert_eq!(known(), "second third");
    block_on(apps::revoke(&engine, APP)).expect("revoked");
    assert_eq!(known(), "");
    assert_eq!(block_on(apps::list(&engine)).expect("readable").len(), 1, "it is remembered");
    assert_eq!(block_on(apps::revoke(&engine, 8)).expect("asked"), None);
    let named = |name: &str| {
        let made = block_on(apps::create(&engine, 9, &AppRecord { name: name.into(), ..app(0) }));
        words(made.map(|_| String::new()))
    };
    assert_eq!([named(""), named("a\nb"), named(&"x".repeat(101))], ["107"; 3]);
}

#[test]
fn a_request_is_accepted_once_under_its_key() {
    let mut shop = Shop::open(0);
    assert_eq!(shop.accept(notice("k", 0, 0), 1), "new 1");
    assert_eq!(shop.accept(notice("k", 0, 0), 1), "again 1");
    assert_eq!(shop.accept(notice("k", 0, 0), 2), "121");
    assert_eq!(shop.accept(notice("l", 0, 0), 2), "new 4");
    assert_eq!(shop.accept(notice("", 0, 0), 1), "new 5");
    assert_eq!(shop.accept(notice("", 0, 0), 1), "new 6");
    shop.now = WALL.plus_ms(30 * DAY_MS);
    assert_eq!(shop.accept(notice("k", 0, 0), 1), "again 1");
    shop.now = WALL.plus_ms(30 * DAY_MS + 1);
    assert_eq!(shop.accept(notice("k", 0, 0), 1), "new 8", "the key is of another time");
}

#[test]
fn what_is_accepted_is_there_however_its_commit_ends() {
    for fates in [&[UnknownCommitted][..], &[UnknownLost], &[Conflict, UnknownCommitted, UnknownLost]] {
        for key in ["k", ""] {
            let store = store();
            let engine = faulty(&store, &[]);
            block_on(apps::create(&engine, APP, &app(0))).expect("made");
            let mut shop = Shop::open(0);
            shop.world.engine = scripted(&store, fates);
            assert_eq!(shop.accept(notice(key, 0, 0), 1), "new 1", "{fates:?}");
            let range = kv::RangeRequest::prefix(&keys::Queue::Notices.key(0)[..1]);
            assert_eq!(crate::world::rows(&shop.world.engine, &range).len(), 2, "a row for each user");
        }
    }
}

#[test]
fn an_application_notifies_no_more_than_its_quota_a_day() {
    let mut shop = Shop::open(5);
    let mut ask = |hours: u64| {
        shop.now = WALL.plus_ms(hours * HOUR_MS);
        shop.accept(notice("", 0, 0), 1)
    };
    assert_eq!([ask(0), ask(1), ask(2)], ["new 1", "new 2", "111"]);
    assert_eq!(ask(24), "new 4");
}

#[test]
fn a_notice_is_told_on_every_device_when_it_is_due() {
    let mut shop = Shop::open(0);
    shop.accept(notice("", 1, 0), 1);
    assert_eq!(shop.told(Medium::ALL), "");
    shop.now = WALL.plus_ms(HOUR_MS);
    assert_eq!(shop.told(Medium::ALL), BOTH);
    assert_eq!(shop.told(Medium::ALL), "");
    let report = block_on(accept::report(&shop.world.engine, APP, Shop::id(1), 2)).expect("it is there");
    assert_eq!((report.states.values().sum::<u64>(), report.deliveries.len()), (3, 2));
    let other = block_on(accept::report(&shop.world.engine, 8, Shop::id(1), 2));
    assert_eq!(words(other.map(|_| String::new())), "102", "another application's");
}

#[test]
fn a_notice_goes_by_the_media_that_it_names_and_somebody_sends() {
    let told = |named: &[Medium], sent: &[Medium]| {
        let mut shop = Shop::open(0);
        let media = named.iter().map(|&medium| medium as u16).collect();
        shop.accept(NoticeRecord { media, ..notice("", 0, 0) }, 1);
        shop.told(sent)
    };
    assert_eq!(told(&[Medium::WebPush], Medium::ALL), "2 laptop: On its way");
    assert_eq!(told(&[Medium::Mail], Medium::ALL), "");
    assert_eq!(told(&[], &[Medium::WebPush]), "2 laptop: On its way");
}

#[test]
fn what_was_cancelled_or_is_over_is_not_told() {
    let mut shop = Shop::open(0);
    let cancel = |shop: &Shop, app, number| {
        let cancelled = block_on(accept::cancel(&shop.world.engine, app, Shop::id(number), shop.now));
        words(cancelled.map(|changed| changed.to_string()))
    };
    shop.accept(notice("", 1, 0), 1);
    assert_eq!(cancel(&shop, 8, 1), "102");
    assert_eq!([cancel(&shop, APP, 1), cancel(&shop, APP, 1), cancel(&shop, APP, 2)], ["true", "false", "102"]);
    shop.now = WALL.plus_ms(HOUR_MS);
    assert_eq!(shop.told(Medium::ALL), "");
    // Nobody worked for its hour and more.
    let mut shop = Shop::open(0);
    shop.accept(notice("", 0, 0), 1);
    shop.now = WALL.plus_ms(HOUR_MS);
    assert_eq!(shop.told(Medium::ALL), "");
    // Its job was made, and waits.
    let mut shop = Shop::open(0);
    shop.accept(notice("", 0, 0), 1);
    block_on(instances(&shop.world.engine, &shop.worker, &mut shop.items, &Reach::by(Medium::ALL), shop.now))
        .expect("planned");
    assert_eq!(cancel(&shop, APP, 1), "true");
    assert_eq!(
        shop.told(Medium::ALL),
        "2 laptop: it was cancelled, 2 phone: it was cancelled, 3 phone: it was cancelled"
    );
}

#[test]
fn what_recurs_is_told_each_time_and_after_an_outage_once() {
    let mut shop = Shop::open(0);
    shop.accept(notice("", 1, 2), 1);
    let mut told = |hours: u64| {
        shop.now = WALL.plus_ms(hours * HOUR_MS);
        shop.told(Medium::ALL)
    };
    assert_eq!([told(0), told(1), told(2), told(3)], ["", BOTH, "", BOTH]);
    // Due at 5, 7 and 9: what is over by then is not told, and the next time is to come.
    assert_eq!([told(9), told(10), told(11)], ["", "", BOTH]);
    shop.now = WALL.plus_ms(12 * HOUR_MS);
    block_on(accept::cancel(&shop.world.engine, APP, Shop::id(1), shop.now)).expect("cancelled");
    shop.now = WALL.plus_ms(13 * HOUR_MS);
    assert_eq!([shop.told(Medium::ALL), shop.told(Medium::ALL)], ["", ""]);
    let depth = block_on(notices::depths(&shop.world.engine, None, shop.now)).expect("readable");
    assert!(depth.iter().all(|(_, depth)| depth.rows == 0), "{depth:?}");
}

#[test]
fn what_an_application_asked_ends_when_it_is_revoked() {
    let mut shop = Shop::open(0);
    shop.accept(notice("", 1, 1), 1);
    shop.now = WALL.plus_ms(HOUR_MS);
    assert_eq!(shop.told(Medium::ALL), BOTH);
    block_on(apps::revoke(&shop.world.engine, APP)).expect("revoked");
    for hours in 2..5 {
        shop.now = WALL.plus_ms(hours * HOUR_MS);
        assert_eq!(shop.told(Medium::ALL), "");
    }
    let depths = block_on(notices::depths(&shop.world.engine, None, shop.now)).expect("readable");
    assert!(depths.iter().all(|(_, depth)| depth.rows == 0), "{depths:?}");
}

#[test]
fn what_becomes_of_a_notice_of_next_quarter_is_known_then() {
    let mut shop = Shop::open(0);
    shop.accept(notice("", 90 * 24, 0), 1);
    shop.now = WALL.plus_ms(90 * DAY_MS);
    assert_eq!(shop.told(Medium::ALL), BOTH);
    block_on(notices::sweep(&shop.world.engine, shop.now, &Share::whole())).expect("swept");
    let report = block_on(accept::report(&shop.world.engine, APP, Shop::id(1), 10)).expect("it is there");
    assert_eq!((report.states.values().sum::<u64>(), report.deliveries.len()), (3, 3));
}

#[test]
fn what_was_given_up_is_tried_again_while_it_is_of_use() {
    let check = |hours: u64, cancels: bool, expected: (u64, usize)| {
        let mut shop = Shop::open(0);
        shop.accept(NoticeRecord { media: vec![Medium::Apns as u16], ..notice("", 0, 0) }, 1);
        let (engine, reach) = (shop.world.engine.clone(), Reach::by(Medium::ALL));
        block_on(instances(&engine, &shop.worker, &mut shop.items, &reach, shop.now)).expect("planned");
        let mut scan = Scan::of(keys::Queue::Jobs(Medium::Apns));
        let leased = block_on(jobs::lease(&engine, &shop.worker, &mut scan, shop.now, 100)).expect("leased").jobs;
        let ends: Vec<_> = leased.into_iter().map(|job| (job, End::Dead { why: String::new() })).collect();
        block_on(jobs::settle(&engine, &ends, shop.now)).expect("settled");
        if cancels {
            block_on(accept::cancel_any(&engine, Shop::id(1), shop.now)).expect("cancelled");
        }
        let dead = block_on(notices::given_up(&engine, Medium::Apns, 10)).expect("readable");
        assert_eq!(dead.len(), 2);
        let replayed = block_on(notices::replay(&engine, &dead, WALL.plus_ms(hours * HOUR_MS))).expect("replayed");
        let left = block_on(notices::given_up(&engine, Medium::Apns, 10)).expect("readable").len();
        assert_eq!((replayed, left), expected, "{hours} {cancels}");
    };
    check(0, false, (2, 0));
    // It expires after an hour.
    check(1, false, (0, 0));
    check(0, true, (0, 0));
}

#[test]
fn a_worker_whose_view_has_ended_makes_no_jobs_of_notices() {
    let mut shop = Shop::open(0);
    shop.accept(notice("", 0, 0), 1);
    block_on(chat::view::claim(&shop.world.engine, Incarnation(9), 1)).expect("claimed");
    assert_eq!(shop.told(Medium::ALL), "113");
}

#[test]
fn a_notice_is_forgotten_a_month_after_its_time_and_with_it_its_key() {
    let mut shop = Shop::open(0);
    assert_eq!(shop.accept(notice("k", 0, 0), 1), "new 1");
    assert_eq!(shop.accept(notice("l", 0, 1), 1), "new 2");
    assert_eq!(shop.accept(notice("m", 40 * 24, 0), 1), "new 3");
    let left = |days: u64| -> Result<usize, LayerError> {
        write(&shop.world.engine, |tx| tx.clear(&keys::clock()));
        block_on(notices::sweep(&shop.world.engine, WALL.plus_ms(days * DAY_MS), &Share::whole()))?;
        let there = (1..=3).filter(|&number| {
            let read = block_on(accept::report(&shop.world.engine, APP, Shop::id(number), 1));
            read.is_ok()
        });
        Ok(there.count())
    };
    assert_eq!([left(30), left(31), left(71)].map(Result::ok), [Some(3), Some(2), Some(1)], "what recurs stays");
}
