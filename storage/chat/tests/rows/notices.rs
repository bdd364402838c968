//! Notifications: items that become jobs, jobs that are leased and end, through crashes and views.

use chat::notices::jobs::{self, End, Job};
use chat::notices::{self, Reach, Said, Scan, Worker, given_up, plan, replay, say};
use chat::push;
use chat::{arrivals, keys, presence};
use futures_lite::future::block_on;
use kv::memory::CommitFault::{Conflict, UnknownCommitted, UnknownLost};
use kv::memory::{MemoryEngine, MemoryStore};
use schema::limits::{DELIVERY_DAYS, PUSH_GRACE_MS};
use schema::record::{DeliveryRecord, PresenceRecord, PushItem};
use schema::{ChannelId, Incarnation, Medium, PresenceState, Seq, Stamp, UnixMs, UserId};

use crate::contacts::{register, told_at};
use crate::world::{DAY_MS, WALL, World, channel, faulty, first_shard, rows, scripted, store, words, write};

/// A node's worker and what it has at hand.
struct Desk {
    world: World<MemoryEngine>,
    store: MemoryStore,
    worker: Worker,
    items: Scan,
    queue: Scan,
    reach: Reach,
    leased: Vec<Job>,
    now: UnixMs,
}

impl Desk {
    /// In the small world: user 2 has a phone and a tablet, user 3 a phone.
    fn open() -> Self {
        let store = store();
        let engine = faulty(&store, &[]);
        register(&engine, 2, "phone", Medium::Apns, "two").expect("registered");
        register(&engine, 2, "tablet", Medium::Apns, "too").expect("registered");
        register(&engine, 3, "phone", Medium::Apns, "three").expect("registered");
        let world = World::current(engine);
        let worker = block_on(Worker::current(&world.engine, world.life)).expect("readable").expect("in the view");
        Self {
            world,
            store,
            worker,
            items: Scan::of(keys::Queue::Pushes),
            queue: Scan::of(keys::Queue::Jobs(Medium::Apns)),
            reach: Reach::by(Medium::ALL),
            leased: Vec::new(),
            now: WALL.plus_ms(PUSH_GRACE_MS),
        }
    }

    /// Carries out a step: one of these words, or else a script of the small world.
    fn step(&mut self, step: &str) -> String {
        let engine = &self.world.engine;
        let (word, rest) = step.split_once(' ').unwrap_or((step, ""));
        match word {
            // `away 1+2`: user 2 and 3 were away when messages 1 and 2 of the group came.
            "away" => {
                let seqs: Vec<u64> = rest.split('+').map(|seq| seq.parse().expect("a seq")).collect();
                let item = |user, seq| PushItem::new(UserId(user), (channel("g"), Seq(seq)), UserId(1), WALL);
                let items: Vec<_> = seqs.iter().flat_map(|&seq| [item(2, seq), item(3, seq)]).collect();
                block_on(arrivals::clear(engine, first_shard(2), Stamp::default(), &items)).expect("written");
                String::new()
            }
            "plan" => match block_on(plan(engine, &self.worker, &mut self.items, &self.reach, self.now)) {
                Ok(planned) => format!("{} of {}", planned.jobs, planned.items),
                refused => words(refused.map(|_| String::new())),
            },
            "lease" => match block_on(jobs::lease(engine, &self.worker, &mut self.queue, self.now, 100)) {
                Ok(leased) => {
                    self.leased = leased.jobs;
                    self.leased.sort_by(|one, other| (one.user, &one.device).cmp(&(other.user, &other.device)));
                    self.leased.iter().map(|job| self.of_job(job)).collect::<Vec<_>>().join(", ")
                }
                refused => words(refused.map(|_| String::new())),
            },
            "say" => {
                let said = block_on(say(engine, &self.reach, &self.leased, self.now)).expect("readable");
                let one = |said| match said {
                    Said::Something(said) => {
                        format!(
                            "{}: {} ({} of {})",
                            said.contact.address,
                            said.text,
                            said.unread,
                            said.unread_total.unwrap_or_default()
                        )
                    }
                    Said::Nothing { why } => why.to_owned(),
                    Said::Unreadable => "unreadable".to_owned(),
                    Said::Notice(notice) => panic!("it is of a message: {notice:?}"),
                };
                said.into_iter().map(one).collect::<Vec<_>>().join(", ")
            }
            "sent" => self.settle(|_| End::Sent { provider: "a".into(), provider_id: "p".into() }),
            "again" => {
                let at = self.now.plus_ms(1_000 * rest.parse::<u64>().expect("seconds"));
                self.settle(|_| End::Again { at, counts: true })
            }
            "put-off" => {
                let at = self.now.plus_ms(1_000);
                self.settle(|_| End::Again { at, counts: false })
            }
            "gone" => self.settle(|_| End::Gone { address: rest.to_owned(), why: "410".into() }),
            "dead" => self.settle(|_| End::Dead { why: "x".repeat(1_000) }),
            "withdrawn" => self.settle(|_| End::Withdrawn { why: "read".into() }),
            "replay" => {
                let dead = block_on(given_up(engine, Medium::Apns, 100)).expect("readable");
                assert!(dead.iter().all(|dead| dead.record.why.len() == 250));
                format!("{}", block_on(replay(engine, &dead, self.now)).expect("replayed"))
            }
            "wait" => {
                self.now = self.now.plus_ms(1_000 * rest.parse::<u64>().expect("seconds"));
                String::new()
            }
            "online" | "offline" => {
                let state = if word == "online" { PresenceState::Online } else { PresenceState::Offline };
                let record = PresenceRecord { state, last_active_ms: self.now, at_ms: self.now };
                let user = UserId(rest.parse().expect("a user"));
                block_on(presence::put(engine, &self.world.view, first_shard(2), user, record)).expect("stored");
                String::new()
            }
            "blocks" => {
                let (by, user) = rest.split_once(' ').expect("two users");
                let key = keys::block(UserId(by.parse().expect("an id")), UserId(user.parse().expect("an id")));
                write(engine, |tx| kv::Transaction::set(tx, &key, &[1, 0, 0, 0, 0, 0, 0, 0, 0]));
                String::new()
            }
            "takeover" => {
                block_on(chat::view::claim(engine, Incarnation(9), 1)).expect("claimed");
                String::new()
            }
            "look" => {
                let life = block_on(chat::view::current(engine)).expect("readable").expect("claimed").view.owners()[0];
                self.worker = block_on(Worker::current(engine, life.incarnation)).expect("readable").expect("in it");
                String::new()
            }
            // What became of everything, by user and device.
            "deliveries" => {
                let mut all: Vec<_> = rows(engine, &keys::deliveries_before(u32::MAX))
                    .iter()
                    .map(|row| {
                        let (_, _, user, _, device) = keys::delivery_fields(&row.key).expect("a key");
                        let record = DeliveryRecord::decode(&row.value).expect("a record");
                        format!("{user} {device} {} {}", record.state.word(), record.attempts)
                    })
                    .collect();
                all.sort();
                all.join(", ")
            }
            "queues" => {
                let depths = block_on(notices::depths(engine, Some(&self.worker), self.now)).expect("readable");
                let apns = depths
                    .iter()
                    .filter(|(queue, _)| matches!(queue, keys::Queue::Pushes | keys::Queue::Jobs(Medium::Apns)));
                apns.map(|(_, depth)| depth.rows.to_string()).collect::<Vec<_>>().join("+")
            }
            _ => {
                self.world.run(step);
                String::new()
            }
        }
    }

    fn settle(&mut self, end: impl Fn(&Job) -> End) -> String {
        let ends: Vec<_> = self.leased.iter().map(|job| (job.clone(), end(job))).collect();
        block_on(jobs::settle(&self.world.engine, &ends, self.now)).expect("settled").to_string()
    }

    /// `2 phone g#3 try 1`.
    fn of_job(&self, job: &Job) -> String {
        let name = char::from(u8::try_from(job.record.channel.0).expect("a letter"));
        format!("{} {} {name}{} try {}", job.user, job.device, job.record.seq, job.record.attempts)
    }
}

/// Steps, and what those that say something say.
#[track_caller]
fn check(steps: &str, expected: &str) {
    check_on(Desk::open(), steps, expected);
}

#[track_caller]
fn check_on(mut desk: Desk, steps: &str, expected: &str) {
    let said: Vec<String> =
        steps.split(';').map(|step| desk.step(step.trim())).filter(|said| !said.is_empty()).collect();
    assert_eq!(said.join("; "), expected, "{steps}");
}

const SENT: &str = "1 sends a; away 1";

#[test]
fn an_item_becomes_a_job_for_each_device() {
    check(
        &format!("{SENT}; plan; queues; lease"),
        "3 of 2; 0+3; 2 phone g#1 try 1, 2 tablet g#1 try 1, 3 phone g#1 try 1",
    );
    check(
        &format!("{SENT}; plan; plan; lease; lease"),
        "3 of 2; 0 of 0; 2 phone g#1 try 1, 2 tablet g#1 try 1, 3 phone g#1 try 1",
    );
    check("plan; lease", "0 of 0");
}

#[test]
fn items_wait_for_their_grace() {
    let mut desk = Desk::open();
    desk.now = UnixMs(desk.now.0 - 1);
    let said: Vec<String> = ["1 sends a", "away 1", "plan", "queues"].map(|step| desk.step(step)).to_vec();
    assert_eq!(said.join("|"), "||0 of 0|2+0");
}

#[test]
fn messages_of_a_channel_become_one_notification() {
    check(
        "1 sends a, 1 sends b, 1 sends c; away 1+2+3; plan; lease; say",
        "3 of 6; \
        2 phone g#3 try 1, 2 tablet g#3 try 1, 3 phone g#3 try 1; \
        two: c (3 of 3), too: c (3 of 3), three: c (3 of 3)",
    );
    // What comes while the first waits is another, and says how many there are now.
    check(
        "1 sends a; away 1; plan; lease; sent; 1 sends b; away 2; plan; lease; say",
        "3 of 2; \
        2 phone g#1 try 1, 2 tablet g#1 try 1, 3 phone g#1 try 1; 3; 3 of 2; \
        2 phone g#2 try 1, 2 tablet g#2 try 1, 3 phone g#2 try 1; two: b (2 of 2), too: b (2 of 2), three: b (2 of 2)",
    );
}

#[test]
fn nobody_is_told_what_is_seen_already_or_not_wanted() {
    let planned = |script: &str, expected| check(&format!("{SENT}; {script}; plan; queues"), expected);
    planned("2 marks 1", "1 of 2; 0+1");
    planned("2 mutes on", "1 of 2; 0+1");
    planned("1 deletes e of 1", "0 of 2; 0+0");
    planned("1 removes 3", "2 of 2; 0+2");
    // Not before it was looked at a second time.
    planned("online 2", "1 of 2; 1+1");
    planned("online 2; plan; wait 44; plan; wait 1", "1 of 2; 0 of 0; 0 of 1; 0+1");
    planned("online 2; plan; offline 2; wait 45", "1 of 2; 2 of 1; 0+3");
    planned("blocks 2 1", "1 of 2; 0+1");
    planned("blocks 1 2", "3 of 2; 0+3");
}

#[test]
fn what_is_seen_while_its_job_waits_is_not_told() {
    let said = |script: &str, expected: &str| {
        let planned = "3 of 2; 2 phone g#1 try 1, 2 tablet g#1 try 1, 3 phone g#1 try 1";
        check(&format!("{SENT}; plan; lease; {script}; say"), &format!("{planned}; {expected}, three: a (1 of 1)"));
    };
    said("2 marks 1", "the message was read, the message was read");
    said("2 mutes on", "the channel is muted, the channel is muted");
    said("online 2", "the user is online, the user is online");
    said("blocks 2 1", "its sender is blocked, its sender is blocked");
    said("1 removes 2", "the message is not there any more, the message is not there any more");
}

#[test]
fn what_a_job_was_to_tell_beside_its_own_message_is_told_without_that() {
    let planned = "3 of 4; 2 phone g#2 try 1, 2 tablet g#2 try 1, 3 phone g#2 try 1";
    let said = |script: &str, expected: &str| {
        check(
            &format!("1 sends a, 1 sends b; away 1+2; plan; lease; {script}; say"),
            &format!("{planned}; {expected}"),
        );
    };
    // The user has not heard of the first either, whose item went with that of the second.
    said("1 deletes e of 2", "two: a (2 of 2), too: a (2 of 2), three: a (2 of 2)");
    said("1 deletes e of 2; 1 deletes f of 1", &["the message was deleted"; 3].join(", "));
    said("1 deletes e of 2; 2 marks 1", "the message was deleted, the message was deleted, three: a (2 of 2)");
    // One that had a job of its own was told with that.
    check(
        "1 sends a; away 1; plan; lease; sent; 1 sends b; away 2; plan; lease; 1 deletes e of 2; say",
        "3 of 2; 2 phone g#1 try 1, 2 tablet g#1 try 1, 3 phone g#1 try 1; 3; \
        3 of 2; 2 phone g#2 try 1, 2 tablet g#2 try 1, 3 phone g#2 try 1; \
        the message was deleted, the message was deleted, the message was deleted",
    );
    // So was one that had it by another medium.
    let mut desk = Desk::open();
    for step in ["1 sends a", "away 1", "plan", "lease", "sent"] {
        desk.step(step);
    }
    register(&desk.world.engine, 2, "phone", Medium::Fcm, "two").expect("registered");
    desk.queue = Scan::of(keys::Queue::Jobs(Medium::Fcm));
    check_on(
        desk,
        "1 sends b; away 2; plan; lease; 1 deletes e of 2; say",
        "3 of 2; 2 phone g#2 try 1; the message was deleted",
    );
}

#[test]
fn what_was_told_is_not_replaced_by_something_older() {
    let first = "3 of 2; 2 phone g#1 try 1, 2 tablet g#1 try 1, 3 phone g#1 try 1; 3";
    let second = "3 of 2; 2 phone g#2 try 1, 2 tablet g#2 try 1, 3 phone g#2 try 1";
    let again = "2 phone g#1 try 2, 2 tablet g#1 try 2, 3 phone g#1 try 2";
    let later = "a later message of the channel was told";
    // The first is tried again once the second has been taken.
    check(
        &format!("{SENT}; plan; lease; again 5; 1 sends b; away 2; plan; lease; sent; wait 5; lease; say"),
        &format!("{first}; {second}; 3; {again}; {later}, {later}, {later}"),
    );
    // While the second waits as well, each tells what it has.
    check(
        &format!("{SENT}; plan; lease; again 5; 1 sends b; away 2; plan; lease; again 60; wait 5; lease; say"),
        &format!("{first}; {second}; 3; {again}; two: a (2 of 2), too: a (2 of 2), three: a (2 of 2)"),
    );
}

#[test]
fn an_item_that_is_written_again_is_told_once() {
    check(
        &format!("{SENT}; plan; lease; sent; away 1; plan; lease"),
        "3 of 2; \
        2 phone g#1 try 1, 2 tablet g#1 try 1, 3 phone g#1 try 1; 3; 0 of 2",
    );
    // Of one that comes late, a later one's notification has told.
    check("1 sends a, 1 sends b; away 2; plan; away 1; plan; queues", "3 of 2; 0 of 2; 0+3");
}

#[test]
fn a_job_is_one_workers_until_its_lease_ends() {
    check(
        &format!("{SENT}; plan; lease; lease; wait 59; lease; wait 1; lease"),
        "3 of 2; \
        2 phone g#1 try 1, 2 tablet g#1 try 1, 3 phone g#1 try 1; \
        2 phone g#1 try 2, 2 tablet g#1 try 2, 3 phone g#1 try 2",
    );
    // Who comes late, after another has the job, ends nothing.
    let mut desk = Desk::open();
    for step in ["1 sends a", "away 1", "plan", "lease"] {
        desk.step(step);
    }
    let late = desk.leased.clone();
    desk.step("wait 60");
    assert_eq!(desk.step("lease").split(", ").count(), 3);
    let again = std::mem::replace(&mut desk.leased, late);
    assert_eq!(desk.step("sent"), "0");
    desk.leased = again;
    assert_eq!(desk.step("sent"), "3");
    assert_eq!(desk.step("queues"), "0+0");
}

#[test]
fn a_job_ends_once_and_it_is_known_how() {
    let first = "3 of 2; 2 phone g#1 try 1, 2 tablet g#1 try 1, 3 phone g#1 try 1; 3";
    let ends =
        |end: &str, expected: &str| check(&format!("{SENT}; plan; lease; {end}"), &format!("{first}; {expected}"));
    ends("sent; queues; deliveries", "0+0; 2 phone sent 1, 2 tablet sent 1, 3 phone sent 1");
    ends("sent; sent", "0");
    ends("withdrawn; queues; deliveries", "0+0; 2 phone withdrawn 1, 2 tablet withdrawn 1, 3 phone withdrawn 1");
    ends("again 5; lease; wait 4; lease; wait 1; lease", "2 phone g#1 try 2, 2 tablet g#1 try 2, 3 phone g#1 try 2");
    ends("put-off; wait 1; lease", "2 phone g#1 try 1, 2 tablet g#1 try 1, 3 phone g#1 try 1");
    ends("dead; queues; deliveries", "0+0; 2 phone dead 1, 2 tablet dead 1, 3 phone dead 1");
    ends("dead; replay; replay; queues; lease", "3; 0; 0+3; 2 phone g#1 try 1, 2 tablet g#1 try 1, 3 phone g#1 try 1");
}

#[test]
fn a_contact_goes_when_its_address_does_and_no_later_one() {
    let mut desk = Desk::open();
    for step in ["1 sends a", "away 1", "plan", "lease"] {
        desk.step(step);
    }
    register(&desk.world.engine, 2, "tablet", Medium::Apns, "new").expect("registered");
    assert_eq!(desk.step("gone too"), "3");
    assert_eq!(told_at(&desk.world.engine, 2), "apns phone=two, apns tablet=new", "the tablet has another by now");
    // What went to the one before is told at the new one.
    assert_eq!(desk.step("lease"), "", "not while the one before may be gone by");
    desk.step("wait 3");
    assert_eq!(desk.step("lease"), "2 phone g#1 try 2, 2 tablet g#1 try 2, 3 phone g#1 try 2");
    assert_eq!(desk.step("say").split(", ").nth(1), Some("new: a (1 of 1)"));
    let mut desk = Desk::open();
    for step in ["1 sends a", "away 1", "plan", "lease", "gone two"] {
        desk.step(step);
    }
    assert_eq!(told_at(&desk.world.engine, 2), "apns tablet=too");
    register(&desk.world.engine, 3, "phone", Medium::Apns, "two").expect("its address is free");
}

#[test]
fn a_worker_whose_view_has_ended_does_nothing() {
    check(&format!("{SENT}; takeover; plan; queues; look; plan"), "113; 2+0; 3 of 2");
    check(
        &format!("{SENT}; plan; takeover; lease; queues; look; lease"),
        "3 of 2; 113; 0+3; \
        2 phone g#1 try 1, 2 tablet g#1 try 1, 3 phone g#1 try 1",
    );
    // What it has sent counts all the same, while nobody else has begun.
    check(
        &format!("{SENT}; plan; lease; takeover; sent; queues"),
        "3 of 2; \
        2 phone g#1 try 1, 2 tablet g#1 try 1, 3 phone g#1 try 1; 3; 0+0",
    );
}

#[test]
fn nothing_is_lost_or_doubled_by_commits_of_unknown_outcome() {
    for fates in [
        &[UnknownCommitted][..],
        &[UnknownLost],
        &[Conflict, UnknownCommitted],
        &[UnknownCommitted, UnknownLost, UnknownCommitted],
        &[UnknownCommitted, UnknownCommitted, UnknownCommitted],
    ] {
        let mut desk = Desk::open();
        SENT.split("; ").for_each(|step| drop(desk.step(step)));
        desk.world.engine = scripted(&desk.store, fates);
        // What it says may be of a second attempt, which finds nothing left to plan.
        desk.step("plan");
        check_on(
            desk,
            "lease; sent; queues; deliveries",
            "\
            2 phone g#1 try 1, 2 tablet g#1 try 1, 3 phone g#1 try 1; 3; 0+0; \
            2 phone sent 1, 2 tablet sent 1, 3 phone sent 1",
        );
    }
}

#[test]
fn many_items_are_planned_in_rounds_and_partitions_take_turns() {
    let desk = Desk::open();
    let engine = &desk.world.engine;
    let users = 1_000..1_450_u64;
    desk.world.make_users(users.clone());
    // None is a member, so nothing comes of them: what is looked at is that each is, once.
    let items: Vec<_> =
        users.map(|user| PushItem::new(UserId(user), (ChannelId(1), Seq(1)), UserId(1), WALL)).collect();
    block_on(arrivals::clear(engine, first_shard(2), Stamp::default(), &items)).expect("written");
    let mut scan = Scan::of(keys::Queue::Pushes);
    let mut round = || block_on(plan(engine, &desk.worker, &mut scan, &desk.reach, desk.now)).expect("planned");
    assert_eq!(
        [round(), round(), round(), round()].map(|planned| (planned.items, planned.more)),
        [(200, true), (200, true), (50, false), (0, false)]
    );
    assert_eq!(block_on(push::list(engine, 1_000)).expect("readable").items.len(), 0);
}

#[test]
fn what_became_of_a_notification_is_known_for_thirty_days() {
    let mut desk = Desk::open();
    for step in ["1 sends a", "away 1", "plan", "lease", "sent"] {
        desk.step(step);
    }
    let share = chat::share::Share::whole();
    let sweep = |days: u64| {
        let wall = WALL.plus_ms(days * DAY_MS);
        write(&desk.world.engine, |tx| kv::Transaction::clear(tx, &keys::clock()));
        block_on(notices::sweep(&desk.world.engine, wall, &share)).expect("swept")
    };
    assert_eq!([sweep(DELIVERY_DAYS), sweep(DELIVERY_DAYS + 1)], [0, 3]);
}
