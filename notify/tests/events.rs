//! Applications that are called with their events: over a real engine and real HTTP to a stand-in of an application's
//! server, which checks the signature.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use chat::notices::accept::{self, Wanted};
use chat::notices::apps::{self, App};
use chat::notices::events;
use chat::view;
use fakes::{Fakes, Profile};
use futures_lite::future::block_on;
use kv::memory::MemoryEngine;
use notify::worker::{self, Parts, Running};
use notify::{Counts, Providers};
use schema::record::{AppRecord, AppSecret, NoticeRecord};
use schema::{Incarnation, NoticeId, Position, UnixMs, UserId};
use serde_json::Value;

const LIFE: Incarnation = Incarnation(1);
const PATIENCE: Duration = Duration::from_secs(30);
const SECRET: &str = "drawn once";

fn wall() -> UnixMs {
    let ms = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_millis();
    UnixMs(u64::try_from(ms).expect("before the year 584 million"))
}

/// A node's workers, and an application that has asked to be called.
struct World {
    engine: MemoryEngine,
    fakes: Fakes,
    app: App,
    counts: Arc<Counts>,
    running: Option<Running>,
    drawn: u128,
    _directory: tempfile::TempDir,
}

impl World {
    fn start(url: impl FnOnce(&Fakes) -> String) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let fakes = Fakes::start(directory.path()).expect("started");
        fakes.expect_events_signed(SECRET);
        let engine = MemoryEngine::ephemeral();
        block_on(view::claim(&engine, LIFE, 1)).expect("claimed");
        let record = AppRecord {
            name: "a".into(),
            created_ms: wall(),
            scopes: 3,
            secrets: vec![AppSecret { hash: "h".into(), created_ms: wall() }],
            ..AppRecord::default()
        };
        let app = block_on(apps::create(&engine, 1, &record)).expect("made").expect("its id is free");
        let url = (url(&fakes), SECRET.to_owned());
        block_on(events::call(&engine, app.id, Some(&url))).expect("stored");
        let counts = Arc::new(Counts::default());
        let mut world = Self { engine, fakes, app, counts, running: None, drawn: 0, _directory: directory };
        world.live();
        world
    }

    /// Starts the workers.
    fn live(&mut self) {
        let view = Arc::new(block_on(view::current(&self.engine)).expect("readable").expect("claimed").view);
        let running = worker::start(Parts {
            engine: self.engine.clone(),
            life: LIFE,
            view: Arc::new(move || Some(Arc::clone(&view))),
            wall,
            providers: Arc::new(
                Providers::load(self.fakes.config_path()).expect("the fakes write what providers read"),
            ),
            counts: Arc::clone(&self.counts),
            links: None,
        });
        self.running = Some(running.expect("started"));
    }

    fn die(&mut self) {
        self.running.take().expect("it runs").join();
    }

    /// Makes so many events.
    fn happen(&mut self, events: u32) {
        for _ in 0..events {
            self.drawn += 1;
            let now = wall();
            // Nobody is told yet: what happens is that it was accepted.
            let later = now.plus_ms(86_400_000);
            let record = NoticeRecord {
                app: self.app.id,
                category: "c".into(),
                title: "t".into(),
                data: "{}".into(),
                created_ms: now,
                send_ms: later,
                expires_ms: 3_600_000,
                recipients: 1,
                ..NoticeRecord::default()
            };
            let wanted = Wanted { id: NoticeId::new(now, self.drawn), record, to: vec![UserId(1)], content_hash: 0 };
            block_on(accept::accept(&self.engine, &self.app, &wanted, now)).expect("accepted");
        }
    }

    /// The cursors of the store's events, and of those that the application has taken, each as often as it was told.
    fn cursors(&self) -> (Vec<String>, Vec<String>) {
        let page = block_on(events::events(&self.engine, self.app.id, Position::START, 10_000)).expect("readable");
        let stored = page.events.iter().map(|(place, _)| events::cursor(&self.engine, *place).to_string()).collect();
        let lines: Vec<String> = self
            .fakes
            .events
            .received()
            .iter()
            .flat_map(|call| call.body.lines().map(str::to_owned).collect::<Vec<_>>())
            .collect();
        let cursor = |line: &String| {
            serde_json::from_str::<Value>(line).expect("JSON")["cursor"].as_str().expect("one").to_owned()
        };
        (stored, lines.iter().map(cursor).collect())
    }

    /// Waits until the application has taken every event.
    fn settles(&self) -> bool {
        self.waits(|| {
            let (stored, taken) = self.cursors();
            let taken: BTreeSet<_> = taken.into_iter().collect();
            stored.iter().all(|cursor| taken.contains(cursor))
        })
    }

    fn waits(&self, until: impl Fn() -> bool) -> bool {
        let end = Instant::now() + PATIENCE;
        while !until() {
            if Instant::now() >= end {
                return false;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        true
    }
}

fn shop(fakes: &Fakes) -> String {
    format!("http://{}/events", fakes.events.address())
}

#[test]
fn an_application_is_told_its_events_in_order_and_once() {
    let mut world = World::start(shop);
    world.happen(1_200);
    assert!(world.settles(), "{:?}", world.fakes.events.fault());
    let (stored, taken) = world.cursors();
    assert_eq!(taken, stored, "in order, each once");
    assert!(world.fakes.events.counts().requests >= 3, "500 lines a call at most");
    assert!(world.waits(|| world.counts.events()[0] == 1_200), "{:?}", world.counts.events());
    assert_eq!(world.counts.events()[1..], [0, 0]);
    world.happen(1);
    assert!(world.settles());
}

#[test]
fn what_is_not_taken_is_told_again_and_nothing_behind_it_before() {
    for profile in [Profile::Unavailable, Profile::Gone, Profile::Throttle { retry_after_s: 1 }] {
        let mut world = World::start(shop);
        world.fakes.events.set_profile(profile);
        world.happen(3);
        assert!(world.waits(|| world.counts.events()[1] >= 2), "{profile}: {:?}", world.counts.events());
        assert!(world.waits(|| world.counts.events()[2] > 0), "how long it waits is counted");
        assert_eq!(world.counts.events()[0], 0);
        world.fakes.events.set_profile(Profile::Ok);
        assert!(world.settles(), "{profile}");
        let (stored, taken) = world.cursors();
        assert_eq!(taken, stored);
        assert!(world.waits(|| world.counts.events()[2] == 0), "nothing waits any more");
    }
}

#[test]
fn an_answer_that_is_lost_makes_it_twice_and_never_less() {
    let mut world = World::start(shop);
    world.fakes.events.set_profile(Profile::Drop);
    world.happen(3);
    assert!(world.waits(|| world.counts.events()[1] >= 1));
    world.fakes.events.set_profile(Profile::Ok);
    let first = world.cursors().0[0].clone();
    assert!(world.waits(|| world.fakes.events.times(&first) >= 2), "the same cursors tell that it is the same");
    assert!(world.settles());
}

#[test]
fn the_next_life_goes_on_where_the_last_was() {
    let mut world = World::start(shop);
    world.happen(10);
    assert!(world.settles() && world.waits(|| world.counts.events()[0] == 10));
    world.die();
    world.happen(10);
    world.live();
    assert!(world.settles());
    let (stored, taken) = world.cursors();
    assert_eq!(taken, stored, "nothing is told again");
}

#[test]
fn who_is_called_no_more_is_told_no_more() {
    let mut world = World::start(shop);
    world.happen(1);
    assert!(world.settles());
    block_on(events::call(&world.engine, world.app.id, None)).expect("stored");
    // The applications are read each five seconds.
    std::thread::sleep(Duration::from_secs(6));
    let before = world.fakes.events.counts().requests;
    world.happen(1);
    std::thread::sleep(Duration::from_secs(3));
    assert_eq!(world.fakes.events.counts().requests, before);
}

#[test]
fn an_application_is_not_called_inside_and_its_signature_is_checked() {
    // Of this machine's private addresses nothing is connected to, whatever an operator was given.
    for url in ["https://10.0.0.1/events", "http://shop.example/events", "https://169.254.169.254/latest"] {
        let mut world = World::start(|_| url.to_owned());
        world.happen(1);
        assert!(world.waits(|| world.counts.events()[1] >= 1), "{url}");
        assert_eq!(world.counts.events()[0], 0);
    }
    let mut world = World::start(shop);
    world.fakes.expect_events_signed("another");
    world.happen(1);
    assert!(world.waits(|| world.counts.events()[1] >= 1));
    assert_eq!(world.fakes.events.fault().as_deref(), Some("the signature is none"));
}
