//! How users are reached: addresses that are proved by codes, and what of all the user wants.

use std::collections::BTreeSet;

use chat::arrivals;
use chat::keys;
use chat::notices::accept::{self, Wanted};
use chat::notices::apps::App;
use chat::notices::cache::STALE_MS;
use chat::notices::codes::{self, Asking};
use chat::notices::contacts::{self, Contact};
use chat::notices::jobs::{self, End};
use chat::notices::settings::{self, bit};
use chat::notices::{Reach, Said, Scan, Worker, instances, plan, say};
use futures_lite::future::block_on;
use kv::memory::CommitFault::{UnknownCommitted, UnknownLost};
use kv::memory::MemoryEngine;
use schema::limits::{CODE_KEPT_MS, PUSH_GRACE_MS, SETTINGS_CATEGORIES_MAX};
use schema::record::{AppRecord, AppSecret, Choice, NoticeRecord, PushItem, SettingsRecord};
use schema::{Medium, NoticeId, Seq, Stamp, UnixMs, UserId};

use crate::contacts::register;
use crate::notices_of_apps;
use crate::world::{WALL, World, channel, faulty, first_shard, scripted, store, words};

/// Who is told in all of these.
const USER: UserId = UserId(2);

/// A world in which user 2 has a phone, a worker that sends by all media, and an application.
struct Desk {
    world: World<MemoryEngine>,
    worker: Worker,
    items: Scan,
    due: Scan,
    reach: Reach,
    app: App,
    drawn: u128,
    now: UnixMs,
}

impl Desk {
    fn open(engine: MemoryEngine) -> Self {
        register(&engine, 2, "phone", Medium::Apns, "phone").expect("registered");
        let world = World::current(engine);
        let worker = block_on(Worker::current(&world.engine, world.life)).expect("readable").expect("in the view");
        let record = AppRecord {
            name: "shop".into(),
            created_ms: WALL,
            scopes: 3,
            secrets: vec![AppSecret { hash: "h".into(), created_ms: WALL }],
            ..AppRecord::default()
        };
        Self {
            world,
            worker,
            items: Scan::of(keys::Queue::Pushes),
            due: Scan::of(keys::Queue::Notices),
            reach: Reach::by(Medium::ALL).with_critical(BTreeSet::from(["alarm".to_owned()])),
            app: App { id: 7, record },
            drawn: 0,
            now: WALL.plus_ms(PUSH_GRACE_MS),
        }
    }

    fn step(&mut self, step: &str) -> String {
        let engine = self.world.engine.clone();
        let mut parts = step.split(' ');
        let (word, mut next) = (parts.next().expect("a word"), || parts.next().unwrap_or_default());
        self.drawn += 1;
        let drawn = NoticeId::new(self.now, self.drawn);
        match word {
            // `ask mail a@example.com 123456`
            "ask" => {
                let (medium, address, code) = (medium(next()), next(), next());
                let asking = Asking { user: USER, medium, address, locale: "de", code, notice: drawn };
                words(block_on(codes::ask(&engine, &asking, self.now)).map(|()| String::new()))
            }
            "prove" => {
                let (medium, code) = (medium(next()), next());
                words(block_on(codes::prove(&engine, USER, medium, code, self.now)).map(|()| "proved".into()))
            }
            "remove" => {
                block_on(codes::remove(&engine, USER, medium(next()))).map_or("failed".into(), |any| any.to_string())
            }
            // `wants messages +mail -apns`
            "wants" => {
                let (category, media): (_, Vec<_>) = (next().to_owned(), parts.collect());
                let of = |sign| {
                    media
                        .iter()
                        .filter_map(|word| word.strip_prefix(sign))
                        .fold(0, |bits, word| bits | bit(medium(word)))
                };
                let mut record = block_on(settings::get(&engine, USER)).expect("readable");
                record.choices.retain(|choice| choice.category != category);
                record.choices.push(Choice { category, on: of('+'), off: of('-') });
                words(block_on(settings::put(&engine, USER, &record)).map(|()| String::new()))
            }
            "off" => {
                let (category, medium) = (next(), medium(next()));
                let off = block_on(settings::turn_off(&engine, USER, category, medium, self.now));
                words(off.map(|changed| format!("{changed}")))
            }
            "wait" => {
                self.now = self.now.plus_ms(next().parse().expect("milliseconds"));
                String::new()
            }
            // A message comes while the user is away.
            "message" => {
                self.world.run(&format!("1 sends m{}", self.drawn));
                let seq = Seq(next().parse().expect("a seq"));
                let item = PushItem::new(USER, (channel("g"), seq), UserId(1), WALL);
                block_on(arrivals::clear(&engine, first_shard(2), Stamp::default(), &[item])).expect("written");
                self.plan()
            }
            // `notice shipping mail+sms`: an application's, by these media or by none that it names.
            "notice" => {
                let (category, by) = (next().to_owned(), next());
                let media = by.split('+').filter(|word| !word.is_empty()).map(|word| medium(word) as u16).collect();
                let record = NoticeRecord {
                    category,
                    media,
                    send_ms: self.now,
                    expires_ms: 1 << 40,
                    ..notices_of_apps::notice("", 0, 0)
                };
                let wanted = Wanted { id: drawn, record, to: vec![USER], content_hash: 1 };
                block_on(accept::accept(&engine, &self.app, &wanted, self.now)).expect("accepted");
                self.plan()
            }
            "delete" => {
                self.world.run(&format!("1 deletes x of {}", next()));
                String::new()
            }
            "told" => self.told(),
            "contacts" => {
                let one = |Contact { medium, device, record }: Contact| {
                    let proof = if record.verified_ms.is_some() { "+" } else { "" };
                    format!("{medium} {device}{proof}={}", record.address)
                };
                let all = block_on(contacts::list(&engine, USER)).expect("readable");
                all.into_iter().map(one).collect::<Vec<_>>().join(", ")
            }
            _ => panic!("{step} is no step"),
        }
    }

    fn plan(&mut self) -> String {
        let engine = &self.world.engine;
        block_on(plan(engine, &self.worker, &mut self.items, &self.reach, self.now)).expect("planned");
        block_on(instances(engine, &self.worker, &mut self.due, &self.reach, self.now)).expect("planned");
        String::new()
    }

    /// Where jobs go that are due, and why others do not.
    fn told(&mut self) -> String {
        let engine = &self.world.engine;
        let mut told = Vec::new();
        for &medium in Medium::ALL {
            let mut scan = Scan::of(keys::Queue::Jobs(medium));
            let leased = block_on(jobs::lease(engine, &self.worker, &mut scan, self.now, 100)).expect("leased").jobs;
            let said = block_on(say(engine, &self.reach, &leased, self.now)).expect("readable");
            for (job, said) in leased.into_iter().zip(said) {
                let (where_to, end) = match said {
                    Said::Something(said) => (format!("g{} at {}", said.seq, said.contact.address), sent()),
                    Said::Notice(notice) => {
                        (format!("{} at {}", notice.record.category, notice.contact.address), sent())
                    }
                    Said::Nothing { why } => (format!("{medium}: {why}"), End::Withdrawn { why: why.into() }),
                    Said::Unreadable => ("unreadable".into(), End::Dead { why: String::new() }),
                };
                block_on(jobs::settle(engine, &[(job, end)], self.now)).expect("settled");
                told.push(where_to);
            }
        }
        if told.is_empty() { "nobody".to_owned() } else { told.join(", ") }
    }
}

fn sent() -> End {
    End::Sent { provider: "p".into(), provider_id: String::new() }
}

fn medium(word: &str) -> Medium {
    word.parse().unwrap_or_else(|_| panic!("{word} is no medium"))
}

#[track_caller]
fn check(steps: &str, expected: &str) {
    check_on(faulty(&store(), &[]), steps, expected);
}

#[track_caller]
fn check_on(engine: MemoryEngine, steps: &str, expected: &str) {
    let mut desk = Desk::open(engine);
    let said = steps.split(';').map(|step| desk.step(step.trim())).filter(|said| !said.is_empty());
    assert_eq!(said.collect::<Vec<_>>().join("; "), expected, "{steps}");
}

/// Has an address proved, its code told.
const PROVED: &str = "ask mail a@x 1; told; prove mail 1";

#[test]
fn an_address_is_told_its_code_and_nothing_else_until_it_is_proved() {
    check("ask mail a@x 1; contacts; told", "apns phone=phone, mail pending=a@x; verification at a@x");
    check("wants messages +mail; ask mail a@x 1; told; message 1; told", "verification at a@x; g#1 at phone");
    check("ask mail a@x 1; told; notice shipping mail; told", "verification at a@x; nobody");
    check("ask mail a@x 1; prove mail 1; contacts", "proved; apns phone=phone, mail +=a@x");
    // The code is of no use any more, and is told nobody.
    check("ask mail a@x 1; prove mail 1; told", "proved; mail: the device is told no more");
}

#[test]
fn a_code_is_right_once_for_a_while_and_few_times_guessed_at() {
    check("prove mail 1", "102");
    check("ask mail a@x 1; prove mail 2; prove mail 1; prove mail 1", "107; proved; 102");
    check("ask mail a@x 1; prove sms 1", "102");
    check(
        "ask mail a@x 1; prove mail 2; prove mail 3; prove mail 4; prove mail 5; prove mail 1",
        "107; 107; 107; 107; proved",
    );
    check(
        "ask mail a@x 1; prove mail 2; prove mail 3; prove mail 4; prove mail 5; prove mail 6; prove mail 1; contacts",
        "107; 107; 107; 107; 107; 102; apns phone=phone",
    );
    let kept = CODE_KEPT_MS;
    check(&format!("ask mail a@x 1; wait {}; prove mail 1", kept - 1), "proved");
    check(&format!("ask mail a@x 1; wait {kept}; prove mail 1"), "102");
    // Another takes the place of the first.
    check(
        "ask mail a@x 1; ask mail b@x 2; prove mail 1; prove mail 2; contacts",
        "107; proved; apns phone=phone, mail +=b@x",
    );
}

#[test]
fn an_address_stays_until_another_is_proved_or_it_is_removed() {
    let wanting = format!("{PROVED}; wants messages +mail");
    let told = "verification at a@x; proved";
    check(
        &format!("{wanting}; ask mail b@x 2; told; message 1; told"),
        &format!("{told}; verification at b@x; g#1 at phone, g#1 at a@x"),
    );
    check(
        &format!("{wanting}; ask mail b@x 2; prove mail 2; contacts"),
        &format!("{told}; proved; apns phone=phone, mail +=b@x"),
    );
    check(&format!("{wanting}; remove mail; remove mail; contacts"), &format!("{told}; true; false; apns phone=phone"));
    check("ask sms +491 1; remove sms; prove sms 1; contacts", "true; 102; apns phone=phone");
}

#[test]
fn who_proves_an_address_takes_it_from_whoever_had_it_and_asking_takes_nothing() {
    let engine = faulty(&store(), &[]);
    let other = |code, prove: bool| {
        let (user, medium, address, locale) = (UserId(3), Medium::Mail, "a@x", "");
        let asking = Asking { user, medium, address, locale, code, notice: NoticeId::new(WALL, 99) };
        block_on(codes::ask(&engine, &asking, WALL)).expect("asked");
        if prove {
            block_on(codes::prove(&engine, user, medium, code, WALL)).expect("proved");
        }
    };
    let mut desk = Desk::open(engine.clone());
    desk.step("ask mail a@x 1");
    assert_eq!(desk.step("prove mail 1"), "proved");
    other("7", false);
    assert_eq!(desk.step("contacts"), "apns phone=phone, mail +=a@x");
    block_on(codes::remove(&engine, UserId(3), Medium::Mail)).expect("removed");
    other("8", true);
    assert_eq!(desk.step("contacts"), "apns phone=phone");
    // What was never proved frees nobody else's address.
    desk.step("ask mail a@x 2");
    desk.step("remove mail");
    desk.step("ask mail a@x 3");
    assert_eq!(desk.step("prove mail 3"), "proved");
    let others = block_on(contacts::list(&engine, UserId(3))).expect("readable");
    assert_eq!(others, []);
}

#[test]
fn messages_go_to_devices_and_to_mail_by_choice() {
    let mail = |steps: &str, expected: &str| {
        check(&format!("{PROVED}; {steps}; message 1; told"), &format!("verification at a@x; proved; {expected}"));
    };
    mail("wait 0", "g#1 at phone");
    mail("wants messages +mail", "g#1 at phone, g#1 at a@x");
    mail("wants messages +mail -apns", "g#1 at a@x");
    mail("wants messages -apns", "nobody");
    mail("wants * +mail", "g#1 at phone, g#1 at a@x");
    mail("wants * +mail; wants messages -mail", "g#1 at phone");
    mail("wants shipping +mail", "g#1 at phone");
}

#[test]
fn notices_go_by_what_they_name_unless_their_user_says_otherwise() {
    let mail = |steps: &str, expected: &str| {
        check(&format!("{PROVED}; {steps}; told"), &format!("verification at a@x; proved; {expected}"));
    };
    mail("notice shipping", "shipping at phone");
    mail("notice shipping mail", "shipping at a@x");
    mail("notice shipping mail+apns", "shipping at phone, shipping at a@x");
    mail("wants shipping +mail; notice shipping", "shipping at phone, shipping at a@x");
    mail("wants shipping +mail; notice shipping apns", "shipping at phone");
    mail("wants shipping -mail; notice shipping mail", "nobody");
    mail("wants * -mail; notice shipping mail", "nobody");
    mail("wants * -mail; wants shipping +mail; notice shipping mail", "shipping at a@x");
    // What is critical is told whatever is chosen, by what it names.
    mail("wants alarm -mail; notice alarm mail", "alarm at a@x");
    mail("wants * -apns -mail; notice alarm", "alarm at phone");
    // A category of an application's own is nobody's code.
    mail("ask mail b@x 2; told; notice verification mail", "verification at b@x; verification at a@x");
}

#[test]
fn what_is_turned_off_meanwhile_is_not_told() {
    let off = "apns: its user wants no more of these";
    check("notice shipping; off shipping apns; told", &format!("true; {}", "shipping at phone"));
    check(&format!("notice shipping; off shipping apns; wait {}; told", STALE_MS + 1), &format!("true; {off}"));
    check(
        &format!("message 1; off messages apns; off messages apns; wait {}; told", STALE_MS + 1),
        &format!("true; false; {off}"),
    );
}

#[test]
fn a_mail_of_a_channel_that_a_later_one_follows_is_not_sent() {
    let wanting = format!("{PROVED}; wants messages +mail -apns");
    let later = "mail: a later message of the channel was told, g#2 at a@x";
    // Unless that was deleted meanwhile.
    let deleted = "g#1 at a@x, mail: the message was deleted";
    let steps = format!("{wanting}; message 1; message 2; delete 2; told");
    check(&steps, &format!("verification at a@x; proved; {deleted}"));
    check(&format!("{wanting}; message 1; message 2; told"), &format!("verification at a@x; proved; {later}"));
    check(
        &format!("{wanting}; message 1; told; message 2; told"),
        "verification at a@x; proved; g#1 at a@x; g#2 at a@x",
    );
}

#[test]
fn settings_are_bounded() {
    let engine = faulty(&store(), &[]);
    let choices = |count: u32| (0..count).map(|at| Choice { category: format!("c{at}"), on: 0, off: 2 }).collect();
    let put = |count| {
        let record = SettingsRecord { choices: choices(count), ..SettingsRecord::default() };
        words(block_on(settings::put(&engine, USER, &record)).map(|()| "ok".into()))
    };
    assert_eq!(put(SETTINGS_CATEGORIES_MAX + 1), "106");
    assert_eq!(put(SETTINGS_CATEGORIES_MAX), "ok");
    let off = |category| {
        words(block_on(settings::turn_off(&engine, USER, category, Medium::Mail, WALL)).map(|any| any.to_string()))
    };
    // Of one more, which its sender has named, all others are turned off.
    assert_eq!([off("c5"), off("new"), off("newer")], ["true", "true", "false"]);
    let settings = block_on(settings::get(&engine, USER)).expect("readable");
    assert_eq!(settings.choices.len(), SETTINGS_CATEGORIES_MAX as usize + 1);
    let wants = |category| settings::wants(&settings, category, Medium::Mail, true);
    assert_eq!([wants("new"), wants("c5"), wants("c6")], [false, false, false]);
    assert_eq!(
        words(block_on(settings::put(&engine, USER, &settings)).map(|()| "ok".into())),
        "ok",
        "what was read is stored"
    );
}

#[test]
fn a_commit_whose_end_is_unknown_asks_and_proves_once() {
    let check = |before: &str, step: &str, expected: &str| {
        for fate in [UnknownLost, UnknownCommitted] {
            let store = store();
            let mut desk = Desk::open(faulty(&store, &[]));
            before.split("; ").for_each(|step| drop(desk.step(step)));
            desk.world.engine = scripted(&store, &[fate]);
            assert_eq!(desk.step(step), expected, "{step} after {before}, {fate:?}");
        }
    };
    check("ask mail a@x 1", "prove mail 1", "proved");
    check("ask mail a@x 1", "prove mail 2", "107");
    check("ask mail a@x 1", "remove mail", "true");
    check("wants shipping +mail", "off messages mail", "true");
    check("wait 0", "ask mail a@x 1", "");
}
