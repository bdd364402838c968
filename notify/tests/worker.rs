//! The workers over a real engine, with providers that are told how to behave.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use chat::notices::accept::{self, Wanted};
use chat::notices::apps::{self, App};
use chat::notices::{contacts, settings};
use chat::{accounts, view};
use futures_lite::future::block_on;
use kv::memory::MemoryEngine;
use notify::providers::{Attempt, Provider};
use notify::worker::{self, Parts, Running};
use notify::{Categories, Counts, Fault, Message, Outcome, Providers};
use schema::record::{AppRecord, AppSecret, ContactRecord, DeliveryState, NoticeRecord, SettingsRecord, UserRecord};
use schema::{Incarnation, Medium, NoticeId, UnixMs, UserId};

const LIFE: Incarnation = Incarnation(1);
const PATIENCE: Duration = Duration::from_secs(30);

fn wall() -> UnixMs {
    let ms = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_millis();
    UnixMs(u64::try_from(ms).expect("before the year 584 million"))
}

/// What a provider does with a target.
type Behaviour = fn(&str) -> Option<Outcome>;

/// A provider that keeps the targets it has taken. One for which its behaviour has no outcome gets no answer.
struct Told {
    medium: Medium,
    behaviour: Behaviour,
    taken: Mutex<Vec<String>>,
}

impl Provider for Told {
    fn name(&self) -> &str {
        self.medium.word()
    }

    fn medium(&self) -> Medium {
        self.medium
    }

    fn send<'a>(&'a self, message: &'a Message) -> Attempt<'a> {
        Box::pin(async {
            let Some(outcome) = (self.behaviour)(&message.target.address) else { std::future::pending().await };
            if matches!(outcome, Outcome::Sent { .. }) {
                self.taken.lock().expect("no test panics there").push(message.target.address.clone());
            }
            outcome
        })
    }
}

fn sent() -> Option<Outcome> {
    Some(Outcome::Sent { provider_id: None })
}

/// A node's workers, and `users` with a device by APNs and one by FCM each.
struct World {
    engine: MemoryEngine,
    apns: Arc<Told>,
    fcm: Arc<Told>,
    running: Option<Running>,
    counts: Arc<Counts>,
    app: App,
    users: u64,
}

impl World {
    fn start(users: u64, apns: Behaviour, fcm: Behaviour) -> Self {
        Self::start_with("category = []", users, apns, fcm)
    }

    /// With categories as in notify.toml.
    fn start_with(categories: &str, users: u64, apns: Behaviour, fcm: Behaviour) -> Self {
        let engine = MemoryEngine::ephemeral();
        let view = Arc::new(block_on(view::claim(&engine, LIFE, 1)).expect("claimed"));
        let told = |medium, behaviour| Arc::new(Told { medium, behaviour, taken: Mutex::default() });
        let (apns, fcm) = (told(Medium::Apns, apns), told(Medium::Fcm, fcm));
        for user in 0..users {
            let (id, username) = (UserId(user), format!("user{user}"));
            let record = UserRecord { username, created_ms: wall(), ..UserRecord::default() };
            block_on(accounts::create_user(&engine, id, &record, None)).expect("made");
            for (device, medium) in [("a", Medium::Apns), ("f", Medium::Fcm)] {
                let contact = ContactRecord {
                    address: format!("{medium}-{user}"),
                    app: String::new(),
                    development: false,
                    locale: String::new(),
                    family: accounts::FAMILY_OPERATOR,
                    registered_ms: wall(),
                    verified_ms: None,
                };
                let device = device.parse().expect("a device");
                block_on(contacts::put_device(&engine, id, &device, medium, &contact)).expect("registered");
            }
        }
        let record = AppRecord {
            name: "a".into(),
            created_ms: wall(),
            scopes: 3,
            secrets: vec![AppSecret { hash: "h".into(), created_ms: wall() }],
            ..AppRecord::default()
        };
        let app = block_on(apps::create(&engine, 1, &record)).expect("made").expect("its id is free");
        let list: [Arc<dyn Provider>; 2] = [Arc::<Told>::clone(&apns), Arc::<Told>::clone(&fcm)];
        let counts = Arc::new(Counts::default());
        let running = worker::start(Parts {
            engine: engine.clone(),
            life: LIFE,
            view: Arc::new(move || Some(Arc::clone(&view))),
            wall,
            providers: Arc::new(
                Providers::of_list(list).with_categories(Categories::parse(categories).expect("legal")),
            ),
            counts: Arc::clone(&counts),
            links: None,
        });
        Self { engine, apns, fcm, running: Some(running.expect("started")), counts, app, users }
    }

    /// Everybody is to be told.
    fn notify(&self, number: u128) -> NoticeId {
        self.notify_of("c", number)
    }

    /// The same of a category.
    fn notify_of(&self, category: &str, number: u128) -> NoticeId {
        let now = wall();
        let record = NoticeRecord {
            app: self.app.id,
            category: category.into(),
            title: "t".into(),
            data: "{}".into(),
            created_ms: now,
            send_ms: now,
            expires_ms: 86_400_000,
            recipients: 1,
            ..NoticeRecord::default()
        };
        let to = (0..self.users).map(UserId).collect();
        let wanted = Wanted { id: NoticeId::new(now, number), record, to, content_hash: 0 };
        block_on(accept::accept(&self.engine, &self.app, &wanted, now)).expect("accepted").0
    }

    /// Waits until so many deliveries of a notice are in a state.
    fn until(&self, notice: NoticeId, state: DeliveryState, count: u64) -> bool {
        let until = Instant::now() + PATIENCE;
        while Instant::now() < until {
            let report = block_on(accept::report(&self.engine, self.app.id, notice, 0)).expect("it is there");
            if report.states.get(&state) == Some(&count) {
                return true;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        false
    }

    /// The targets that a provider has taken: how many, and how many different ones.
    fn taken(told: &Told) -> (usize, usize) {
        let taken = told.taken.lock().expect("no test panics there");
        (taken.len(), taken.iter().collect::<BTreeSet<_>>().len())
    }
}

#[test]
fn everybody_is_told_once_by_each_medium() {
    let world = World::start(700, |_| sent(), |_| sent());
    let notice = world.notify(1);
    assert!(world.until(notice, DeliveryState::Sent, 1_400));
    assert_eq!([World::taken(&world.apns), World::taken(&world.fcm)], [(700, 700); 2]);
}

#[test]
fn a_medium_that_hangs_delays_no_other_and_no_end() {
    let mut world = World::start(700, |_| None, |_| sent());
    let notice = world.notify(1);
    assert!(world.until(notice, DeliveryState::Sent, 700), "{:?}", World::taken(&world.fcm));
    assert_eq!(World::taken(&world.fcm), (700, 700));
    let begun = Instant::now();
    world.running.take().expect("it runs").join();
    assert!(begun.elapsed() < Duration::from_secs(12), "{:?}", begun.elapsed());
}

#[test]
fn an_attempt_that_breaks_off_ends_nothing_else() {
    let world = World::start(
        300,
        |target| if target == "apns-7" { panic!("a provider's fault") } else { sent() },
        |target| if target == "fcm-9" { Some(Outcome::failed(Fault::Payload, "too large")) } else { sent() },
    );
    let notice = world.notify(1);
    assert!(world.until(notice, DeliveryState::Sent, 598));
    assert!(world.until(notice, DeliveryState::Dead, 1));
    assert!(world.until(notice, DeliveryState::Planned, 1), "it is due again when its lease ends");
    let again = world.notify(2);
    assert!(world.until(again, DeliveryState::Sent, 598), "the workers go on");
}

#[test]
fn who_has_been_told_enough_is_told_later_or_not() {
    let categories = r#"
        category = [
            { name = "news", limits.apns = { burst = 2, every_s = 600 }, limits.fcm = { burst = 1, every_s = 1 } },
            { name = "ads", beyond = "drop", limits.apns = { burst = 1, every_s = 600 } },
        ]
    "#;
    let world = World::start_with(categories, 3, |_| sent(), |_| sent());
    let sent_of = |category, number| world.until(world.notify_of(category, number), DeliveryState::Sent, 6);
    assert!(sent_of("news", 1) && sent_of("news", 2));
    // By APNs there is no more room for ten minutes.
    let third = world.notify_of("news", 3);
    assert!(world.until(third, DeliveryState::Sent, 3) && world.until(third, DeliveryState::Planned, 3));
    assert_eq!([World::taken(&world.apns), World::taken(&world.fcm)], [(6, 3), (9, 3)]);
    assert!(sent_of("ads", 4));
    let second = world.notify_of("ads", 5);
    assert!(world.until(second, DeliveryState::Sent, 3) && world.until(second, DeliveryState::Withdrawn, 3));
    let apns = world.counts.outcomes().filter(|(medium, ..)| *medium == Medium::Apns);
    let counted: Vec<_> = apns.filter(|(_, word, _)| ["put_off", "dropped"].contains(word)).collect();
    assert_eq!(counted, [(Medium::Apns, "put_off", 3), (Medium::Apns, "dropped", 3)]);
}

#[test]
fn who_wants_to_be_left_alone_is_told_only_what_is_critical() {
    let categories = "category = [{ name = \"alarm\", critical = true }]";
    let world = World::start_with(categories, 2, |_| sent(), |_| sent());
    let hour = (wall().0 / 3_600_000) % 24;
    let settings = SettingsRecord {
        quiet_from: format!("{:02}:00", (hour + 23) % 24),
        quiet_to: format!("{:02}:00", (hour + 2) % 24),
        zone: "UTC".into(),
        ..SettingsRecord::default()
    };
    block_on(settings::put(&world.engine, UserId(0), &settings)).expect("stored");
    let notice = world.notify(1);
    assert!(world.until(notice, DeliveryState::Sent, 2), "the other is told");
    assert!(world.until(world.notify_of("alarm", 2), DeliveryState::Sent, 4));
    assert!(world.until(notice, DeliveryState::Planned, 2), "it waits");
    let queue = chat::keys::Queue::Jobs(Medium::Apns);
    // Until quiet ends, an hour from now at least.
    let depths = block_on(chat::notices::depths(&world.engine, None, wall().plus_ms(3_000_000))).expect("readable");
    let depth = depths.iter().find(|(of, _)| *of == queue).map(|(_, depth)| (depth.rows, depth.oldest));
    assert_eq!(depth, Some((1, None)));
}

#[test]
fn workers_that_nobody_wants_any_more_end() {
    static LOOKED: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);
    use std::sync::atomic::Ordering::Relaxed;
    let engine = MemoryEngine::ephemeral();
    let told = Arc::new(Told { medium: Medium::Apns, behaviour: |_| None, taken: Mutex::default() });
    let list: [Arc<dyn Provider>; 1] = [told];
    let running = worker::start(Parts {
        engine,
        life: LIFE,
        view: Arc::new(|| {
            LOOKED.fetch_add(1, Relaxed);
            None
        }),
        wall,
        providers: Arc::new(Providers::of_list(list)),
        counts: Arc::new(Counts::default()),
        links: None,
    });
    drop(running.expect("started"));
    std::thread::sleep(Duration::from_millis(700));
    let before = LOOKED.load(Relaxed);
    std::thread::sleep(Duration::from_millis(1_500));
    assert_eq!(LOOKED.load(Relaxed), before, "nobody looks any more");
}
