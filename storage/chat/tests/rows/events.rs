//! Events of applications' notices: one for each change, in order, whatever its transaction meets; and what is heard of a
//! notification once it has left.

use std::collections::BTreeMap;

use chat::keys;
use chat::notices::accept::{self, Wanted};
use chat::notices::apps::{self, App};
use chat::notices::contacts;
use chat::notices::events::{self, EventsPage};
use chat::notices::jobs::{self, End, Job};
use chat::notices::{self, Reach, Scan, Target, Worker, deliveries, given_up, instances, note, replay};
use chat::share::Share;
use futures_lite::future::block_on;
use kv::Transaction;
use kv::memory::CommitFault::{Conflict, UnknownCommitted, UnknownLost};
use kv::memory::{CommitFault, MemoryEngine, MemoryStore};
use schema::record::{DeliveryState, NoticeEventRecord, NoticeRecord};
use schema::{Cursor, Incarnation, Medium, NoticeId, Position, UnixMs, UserId};

use crate::contacts::register;
use crate::notices_of_apps::{APP, app, notice};
use crate::world::{DAY_MS, WALL, World, faulty, scripted, store, words, write};

const HOUR_MS: u64 = 3_600_000;

/// A store with an application, in which user 2 has a phone and a tablet and user 3 a phone.
struct Shop {
    store: MemoryStore,
    world: World<MemoryEngine>,
    app: App,
    worker: Worker,
    items: Scan,
    now: UnixMs,
    leased: BTreeMap<String, Job>,
}

impl Shop {
    fn open() -> Self {
        let store = store();
        let engine = faulty(&store, &[]);
        for (user, name) in [(2, "phone"), (2, "tablet"), (3, "phone")] {
            register(&engine, user, name, Medium::Apns, &format!("{user}{name}")).expect("registered");
        }
        let app = block_on(apps::create(&engine, APP, &app(0))).expect("made").expect("its id is free");
        let world = World::current(engine);
        let worker = block_on(Worker::current(&world.engine, world.life)).expect("readable").expect("in the view");
        let (items, leased) = (Scan::of(keys::Queue::Notices), BTreeMap::new());
        Self { store, world, app, worker, items, now: WALL, leased }
    }

    fn id() -> NoticeId {
        NoticeId::new(WALL, 1)
    }

    /// Carries out a step: `ask`, `ask hourly` for users 2 and 3; `plan`, which leases too; `end TARGET HOW`, `hear TARGET
    /// STATE`, which says whether that was news; `cancel`, `replay` what is dead; `forget TARGET`; `+HOURS`.
    fn step(&mut self, step: &str) -> Option<String> {
        let engine = &self.world.engine;
        let step: Vec<&str> = step.split(' ').collect();
        match step[..] {
            ["ask"] => self.ask(notice("", 0, 0)),
            ["ask", "hourly"] => self.ask(notice("", 0, 1)),
            ["cancel"] => {
                block_on(accept::cancel(engine, APP, Self::id(), self.now)).expect("cancelled");
            }
            ["replay"] => {
                let dead = block_on(given_up(engine, Medium::Apns, 10)).expect("readable");
                block_on(replay(engine, &dead, self.now)).expect("replayed");
            }
            ["forget", target] => {
                let (user, device) = target.split_once('/').expect("user/device");
                let (user, device) = (UserId(user.parse().expect("a user")), device.parse().expect("a device"));
                block_on(contacts::remove_device(engine, user, &device)).expect("forgotten");
            }
            ["plan"] => {
                block_on(instances(engine, &self.worker, &mut self.items, &Reach::by(Medium::ALL), self.now))
                    .expect("planned");
                let mut scan = Scan::of(keys::Queue::Jobs(Medium::Apns));
                let leased = block_on(jobs::lease(engine, &self.worker, &mut scan, self.now, 100)).expect("leased");
                self.leased.extend(leased.jobs.into_iter().map(|job| (target_words(&job.target()), job)));
            }
            ["end", target, how] => {
                let why = || "why".to_owned();
                let end = match how {
                    "sent" => End::Sent { provider: "apple".into(), provider_id: "x".into() },
                    "again" => End::Again { at: self.now.plus_ms(HOUR_MS), counts: true },
                    "withdrawn" => End::Withdrawn { why: why() },
                    "gone" => End::Gone { address: target.replace('/', ""), why: why() },
                    "dead" => End::Dead { why: why() },
                    "expired" => End::Expired { why: why() },
                    _ => panic!("{how} is no end"),
                };
                let job = self.leased.remove(target).expect("it is leased");
                block_on(jobs::settle(engine, &[(job, end)], self.now)).expect("settled");
            }
            ["hear", target, state] => {
                let (user, device) = target.split_once('/').expect("user/device");
                let user = UserId(user.parse().expect("a user"));
                let target = Target { notice: Self::id(), user, medium: Medium::Apns, device: device.into() };
                let state = DeliveryState::ALL.into_iter().find(|known| known.word() == state).expect("a state");
                return Some(format!("{:?}", block_on(note(engine, &target, state, "", self.now)).expect("noted")));
            }
            [hours] => {
                let hours: u64 = hours.strip_prefix('+').and_then(|hours| hours.parse().ok()).expect("hours");
                self.now = self.now.plus_ms(hours * HOUR_MS);
            }
            _ => panic!("{step:?} is no step"),
        }
        None
    }

    fn ask(&self, record: NoticeRecord) {
        let wanted = Wanted { id: Self::id(), record, to: vec![UserId(2), UserId(3)], content_hash: 0 };
        block_on(accept::accept(&self.world.engine, &self.app, &wanted, self.now)).expect("accepted");
    }

    fn run(&mut self, script: &str) -> Vec<String> {
        script.split(", ").filter_map(|step| self.step(step)).collect()
    }

    fn page(&self, after: Position, limit: u32) -> EventsPage {
        block_on(events::events(&self.world.engine, APP, after, limit)).expect("readable")
    }

    /// All events in words.
    fn told(&self) -> String {
        let page = self.page(Position::START, 100);
        page.events.iter().map(|(_, event)| event_words(event)).collect::<Vec<_>>().join(", ")
    }

    /// The state of every delivery.
    fn states(&self) -> String {
        let of = |user| block_on(deliveries(&self.world.engine, Self::id(), UserId(user))).expect("readable");
        let all = [2, 3].into_iter().flat_map(of);
        let shown = all.map(|(target, delivery)| format!("{} {}", target_words(&target), delivery.state.word()));
        shown.collect::<Vec<_>>().join(", ")
    }
}

fn target_words(target: &Target) -> String {
    format!("{}/{}", target.user, target.device)
}

fn event_words(event: &NoticeEventRecord) -> String {
    assert_eq!(event.notice, Shop::id(), "the application's own name for it");
    if event.medium == 0 {
        let user = if event.user == UserId(0) { String::new() } else { format!("{} ", event.user) };
        return format!("{user}{} {}", event.state.word(), event.why).trim_end().to_owned();
    }
    format!("{}/{} {}", event.user, event.device, event.state.word())
}

/// What an application is told of what a script does, and what of its deliveries is known then.
fn check(script: &str, told: &str, states: &str) {
    let mut shop = Shop::open();
    shop.run(&format!("ask, plan, {script}"));
    const PLANNED: &str = "accepted, 3/phone planned, 2/phone planned, 2/tablet planned";
    let expected = if told.is_empty() { PLANNED.to_owned() } else { format!("{PLANNED}, {told}") };
    assert_eq!(shop.told(), expected, "{script}");
    assert_eq!(shop.states(), states, "{script}");
}

#[test]
fn every_change_of_a_delivery_is_an_event() {
    check("end 3/phone sent", "3/phone sent", "2/phone planned, 2/tablet planned, 3/phone sent");
    check("end 3/phone again", "", "2/phone planned, 2/tablet planned, 3/phone planned");
    check(
        "end 2/phone withdrawn, end 2/tablet gone, end 3/phone dead",
        "2/phone withdrawn, 2/tablet gone, 3/phone dead",
        "2/phone withdrawn, 2/tablet gone, 3/phone dead",
    );
    check("end 3/phone expired", "3/phone expired", "2/phone planned, 2/tablet planned, 3/phone expired");
    check(
        "end 3/phone sent, hear 3/phone delivered, hear 3/phone opened, hear 3/phone clicked",
        "3/phone sent, 3/phone delivered, 3/phone opened, 3/phone clicked",
        "2/phone planned, 2/tablet planned, 3/phone clicked",
    );
}

#[test]
fn of_each_user_something_is_told_whatever_becomes_of_it() {
    let check = |script: &str, expected: &str| {
        let mut shop = Shop::open();
        shop.run(script);
        assert_eq!(shop.told(), format!("accepted, {expected}"), "{script}");
    };
    check("ask, cancel, plan", "3 withdrawn it was cancelled, 2 withdrawn it was cancelled");
    check(
        "ask, forget 3/phone, plan",
        "3 withdrawn its user has no target that it may go to, 2/phone planned, 2/tablet planned",
    );
    let late = "expired nobody had planned it before it was of no use";
    check("ask, +1, plan", &format!("3 {late}, 2 {late}"));
}

#[test]
fn what_is_tried_again_is_planned_again() {
    check(
        "end 3/phone dead, replay, plan, end 3/phone sent",
        "3/phone dead, 3/phone planned, 3/phone sent",
        "2/phone planned, 2/tablet planned, 3/phone sent",
    );
}

#[test]
fn what_is_heard_twice_or_late_is_no_event() {
    let rest = "2/phone planned, 2/tablet planned, 3/phone";
    check(
        "end 3/phone sent, hear 3/phone clicked, hear 3/phone opened",
        "3/phone sent, 3/phone clicked",
        &format!("{rest} clicked"),
    );
    check(
        "end 3/phone sent, hear 3/phone clicked, hear 3/phone clicked",
        "3/phone sent, 3/phone clicked",
        &format!("{rest} clicked"),
    );
    check("end 3/phone gone, hear 3/phone delivered", "3/phone gone", &format!("{rest} gone"));
    check("end 3/phone sent, hear 3/phone dead", "3/phone sent, 3/phone dead", &format!("{rest} dead"));
    check(
        "end 3/phone sent, hear 3/phone opened, hear 3/phone dead",
        "3/phone sent, 3/phone opened",
        &format!("{rest} opened"),
    );
}

#[test]
fn what_is_heard_before_the_end_of_its_job_stays() {
    let rest = "2/phone planned, 2/tablet planned, 3/phone";
    check("hear 3/phone delivered, end 3/phone sent", "3/phone delivered, 3/phone sent", &format!("{rest} delivered"));
    // Its answer was lost, and the next attempt is told that there is nobody.
    check("hear 3/phone opened, end 3/phone gone", "3/phone opened", &format!("{rest} opened"));
    check("hear 3/phone dead, end 3/phone sent", "3/phone dead, 3/phone sent", &format!("{rest} dead"));
}

#[test]
fn whether_it_was_news_is_said_and_of_nothing_nothing_is_noted() {
    let mut shop = Shop::open();
    assert_eq!(shop.run("hear 3/phone opened"), ["None"]);
    let heard =
        shop.run("ask, plan, hear 3/phone opened, hear 3/phone opened, hear 3/phone delivered, hear 3/watch opened");
    assert_eq!(heard, ["Some(true)", "Some(false)", "Some(false)", "None"]);
}

#[test]
fn what_recurs_is_told_under_the_name_that_its_application_knows() {
    let mut shop = Shop::open();
    shop.run("ask hourly, plan, end 3/phone sent, +1, plan, end 3/phone dead");
    let planned = "3/phone planned, 2/phone planned, 2/tablet planned";
    assert_eq!(shop.told(), format!("accepted, {planned}, 3/phone sent, {planned}, 3/phone dead"));
}

#[test]
fn an_event_is_there_once_however_its_commit_ends() {
    for fates in [&[UnknownCommitted][..], &[UnknownLost], &[Conflict, UnknownCommitted]] {
        let again = |script: &str, fates: &[CommitFault]| {
            let mut shop = Shop::open();
            let (before, step) = script.rsplit_once(", ").expect("several steps");
            shop.run(before);
            shop.world.engine = scripted(&shop.store, fates);
            let heard = shop.run(step);
            shop.world.engine = faulty(&shop.store, &[]);
            (shop.told(), heard)
        };
        for script in ["ask, plan, end 3/phone sent", "ask, plan, end 3/phone sent, hear 3/phone opened"] {
            let (told, heard) = again(script, fates);
            assert_eq!((told, heard.clone()), (again(script, &[]).0, heard.clone()), "{script} {fates:?}");
            assert!(heard.iter().all(|heard| heard == "Some(true)"), "{heard:?}");
        }
    }
}

#[test]
fn whoever_reads_on_from_a_place_misses_none_and_sees_each_once() {
    let mut shop = Shop::open();
    shop.run("ask, plan, end 2/phone sent, end 2/tablet sent");
    let (mut after, mut seen) = (Position::START, Vec::new());
    loop {
        let EventsPage { events, through, more } = shop.page(after, 2);
        assert!(events.windows(2).all(|pair| pair[0].0 < pair[1].0));
        seen.extend(events.iter().map(|(_, event)| event_words(event)));
        after = through;
        if !more {
            break;
        }
    }
    assert_eq!(seen.join(", "), shop.told());
    assert_eq!(shop.page(after, 2), EventsPage { events: Vec::new(), through: after, more: false });
    shop.run("end 3/phone sent");
    let page = shop.page(after, 2);
    assert_eq!(page.events.iter().map(|(_, event)| event_words(event)).collect::<Vec<_>>(), ["3/phone sent"]);
    let other = block_on(events::events(&shop.world.engine, APP + 1, Position::START, 9)).expect("readable");
    assert!(other.events.is_empty(), "another application's");
    let engine = &shop.world.engine;
    let cursor = events::cursor(engine, after);
    assert_eq!(events::place(engine, Some(cursor)), Ok(after));
    assert_eq!(events::place(engine, None), Ok(Position::START));
    let foreign = Cursor { generation: cursor.generation + 1, ..cursor };
    assert_eq!(words(events::place(engine, Some(foreign)).map(|_| String::new()).map_err(Into::into)), "112");
}

#[test]
fn an_application_is_called_from_where_it_was_and_by_one_worker() {
    let mut shop = Shop::open();
    let (engine, worker) = (shop.world.engine.clone(), shop.worker.clone());
    let url = |path: &str| (format!("https://shop.example/{path}"), "secret".to_owned());
    let call = |url: Option<&(String, String)>| block_on(events::call(&engine, APP, url)).expect("stored");
    let called = || block_on(events::called(&engine, &worker, APP)).expect("readable").expect("it is to be called");
    shop.run("ask");
    let newest = shop.page(Position::START, 9).through;
    let app = call(Some(&url("a"))).expect("it is there");
    assert_eq!(app.record.events_url.as_deref(), Some("https://shop.example/a"));
    assert_eq!(called(), newest, "of what was before it is not told");
    shop.run("plan");
    let next = shop.page(newest, 1).through;
    let note = |from, through| {
        let noted = block_on(events::note_called(&engine, &shop.worker, APP, from, through));
        words(noted.map(|noted| noted.to_string()))
    };
    assert_eq!(note(newest, next), "true");
    assert_eq!(note(newest, next), "false", "somebody was faster");
    assert_eq!(called(), next);
    call(Some(&url("b")));
    assert_eq!(called(), next, "another URL goes on");
    // In another store its place is none, and it begins with what is there.
    write(&engine, |tx| tx.clear(&keys::event_cursor(APP)));
    assert_eq!([called(), called()], [Position::START; 2]);
    call(None);
    assert_eq!(block_on(events::called(&engine, &worker, APP)).expect("readable"), None);
    call(Some(&url("b")));
    let next = called();
    assert_eq!(call(None).expect("it is there").record.events_secret, None);
    assert_eq!(note(next, newest), "false", "it is called no more");
    call(Some(&url("a")));
    assert_eq!(called(), shop.page(Position::START, 99).through, "it begins anew with what comes");
    assert_eq!(block_on(events::call(&engine, APP + 1, None)).expect("asked"), None);
    block_on(chat::view::claim(&engine, Incarnation(9), 1)).expect("claimed");
    assert_eq!(note(called(), next), "113");
}

#[test]
fn events_are_forgotten_after_a_month() {
    let mut shop = Shop::open();
    shop.run("ask, plan, +24, end 3/phone sent");
    let left = |days: u64| {
        write(&shop.world.engine, |tx| tx.clear(&keys::clock()));
        block_on(notices::sweep(&shop.world.engine, WALL.plus_ms(days * DAY_MS), &Share::whole())).expect("swept");
        shop.page(Position::START, 9).events.len()
    };
    assert_eq!([left(30), left(31), left(32)], [5, 1, 0]);
}

#[test]
fn what_an_application_hears_of_a_notification_costs_two_rows_a_target_and_one() {
    let mut shop = Shop::open();
    shop.run("ask, plan, end 2/phone sent, end 2/tablet sent, end 3/phone sent");
    let range = kv::RangeRequest::prefix(&keys::notice_events_prefix(APP));
    let rows = crate::world::rows(&shop.world.engine, &range);
    assert_eq!(rows.len(), 1 + 2 * 3);
    // 21 of the key, 38 of the value and its words: a device's name and a provider's.
    let bytes: Vec<usize> = rows.iter().map(|row| row.key.len() + row.value.len()).collect();
    assert!(bytes.iter().all(|&bytes| bytes <= 80), "{bytes:?}");
}
