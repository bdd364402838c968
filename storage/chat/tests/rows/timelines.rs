//! Timelines against a plain model: once nothing goes wrong any more, each reader's pages hold exactly the posts of its
//! friends and of those whom it follows, newest first, however they came (I15).

use std::collections::{BTreeMap, BTreeSet};

use chat::notices::Worker;
use chat::people;
use chat::share::Share;
use chat::timelines::{self, Active, Limits, Place};
use chat::{LayerError, accounts, keys};
use futures_lite::future::block_on;
use kv::memory::{FaultRates, MemoryEngine, MemoryStore, SeededFaults};
use schema::op::{CreateOp, PastAccess, SendOp};
use schema::{Audience, ChannelId, ChannelOp, ClientMsgId, MessageKind, OpReply, UnixMs, UserId, message};

use crate::world::{DAY_MS, WALL, World, is_temporary, open, quiet, rows, store};

const USERS: u64 = 7;

/// Bounds so small that every one of them is met.
const SMALL: Limits = Limits {
    step_readers: 2,
    read_fanout_from: 3,
    heavy_max: 2,
    dormant_days: 2,
    backfill_posts: 2,
    rebuilt_rows: 3,
    rows_max: 4,
    kept_days: 3,
    kept_rows: 1,
};

/// What users did, as they meant it.
#[derive(Default)]
struct Model {
    posts: BTreeMap<Place, Audience>,
    friends: BTreeSet<(u64, u64)>,
    follows: BTreeSet<(u64, u64)>,
    blocks: BTreeSet<(u64, u64)>,
    public: BTreeSet<u64>,
}

impl Model {
    fn feed(&self, reader: u64) -> Vec<Place> {
        let shown = |(place, audience): (&Place, &Audience)| {
            let author = place.author.0;
            let is_blocked = self.blocks.contains(&(reader, author)) || self.blocks.contains(&(author, reader));
            let is_friend = self.friends.contains(&pair(reader, author));
            let by_follow = self.follows.contains(&(reader, author))
                && *audience == Audience::Public
                && self.public.contains(&author);
            (!is_blocked && (is_friend || by_follow)).then_some(*place)
        };
        self.posts.iter().filter_map(shown).collect()
    }
}

fn pair(one: u64, other: u64) -> (u64, u64) {
    (one.min(other), one.max(other))
}

/// SplitMix64.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, below: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (bits ^ (bits >> 31)) % below
    }
}

/// A store with users, of whom all but the last have feeds.
struct Feeds {
    world: World<MemoryEngine>,
    model: Model,
    active: Active,
    wall: UnixMs,
    ids: u64,
}

fn channel_of(user: u64) -> ChannelId {
    ChannelId(1_000 + user)
}

/// Again, until it is known what came of it.
fn surely<T>(mut once: impl FnMut() -> Result<T, LayerError>) -> Result<T, LayerError> {
    loop {
        match once() {
            Err(LayerError::Store(_)) => {}
            result => return result,
        }
    }
}

impl Feeds {
    fn new(seed: u64, rates: FaultRates) -> Self {
        let store: MemoryStore = store();
        World::claim(quiet(&store), 2, 1);
        let current = || open(&store, SeededFaults::new(seed, rates));
        let world = World::current(current());
        let mut feeds = Self { world, model: Model::default(), active: Active::default(), wall: WALL, ids: 0 };
        for user in 1..USERS {
            let create = CreateOp {
                kind: schema::op::ChannelKind::Feed,
                title: "".into(),
                creator: UserId(user),
                members: Vec::new(),
                idempotency_key: None,
                past: PastAccess::Joined,
            };
            feeds.apply(channel_of(user), ChannelOp::Create(create)).expect("made");
        }
        feeds
    }

    fn apply(&mut self, channel: ChannelId, op: ChannelOp) -> Result<OpReply, schema::Refusal> {
        self.world.wall = self.wall;
        loop {
            let ticket = self.world.push_op(channel, op.clone());
            self.world.drain();
            let reply = self.world.outcome(ticket).expect("answered");
            if !is_temporary(reply) {
                return reply.clone();
            }
        }
    }

    fn id(&mut self) -> ClientMsgId {
        self.ids += 1;
        ClientMsgId::new(self.wall, self.ids.into())
    }

    fn post(&mut self, author: u64, audience: Audience) {
        let op = SendOp {
            from: UserId(author),
            client_msg_id: self.id(),
            kind: MessageKind::Text,
            body: "a story".into(),
            reply_to: None,
            mentions: message::no_mentions(),
            ruling: None,
            audience: Some(audience),
            media: Vec::new(),
        };
        match self.apply(channel_of(author), ChannelOp::Send(op)) {
            Ok(OpReply::Sent { seq, sent_ms, .. }) => {
                self.model.posts.insert(Place { sent_ms, author: UserId(author), seq }, audience);
            }
            other => panic!("{other:?}"),
        }
    }

    fn delete(&mut self, place: Place) {
        let (by, op_id) = (place.author, self.id());
        self.apply(channel_of(by.0), ChannelOp::Delete { by, seq: place.seq, op_id }).expect("deleted");
        self.model.posts.remove(&place);
    }

    fn worker(&self) -> Worker {
        Worker::of(&self.world.view, self.world.life).expect("in the view")
    }

    /// One step of a feed; whether there is more to do.
    fn step(&self, engine: &MemoryEngine, author: u64) -> bool {
        let worker = self.worker();
        let step = timelines::fan(engine, &worker, channel_of(author), &self.active, (&SMALL, self.wall));
        block_on(step).is_ok_and(|fanned| fanned.more)
    }

    /// All steps of all feeds that are due.
    fn settle(&self) {
        let (engine, worker) = (&self.world.engine, self.worker());
        for _ in 0..10_000 {
            let due = surely(|| block_on(timelines::due(engine, &worker, None, 100))).expect("read");
            let Some(&channel) = due.first() else { return };
            let step = || timelines::fan(engine, &worker, channel, &self.active, (&SMALL, self.wall));
            let fanned = surely(|| block_on(step())).expect("the worker is in the view");
            assert!(fanned.rows <= u64::from(SMALL.step_readers), "{fanned:?}");
            assert_eq!(fanned.rows, fanned.readers.len() as u64);
        }
        panic!("feeds stay due");
    }

    /// All of a reader's pages of so many posts.
    fn read(&self, engine: &MemoryEngine, reader: u64, limit: u32) -> Result<Vec<Place>, LayerError> {
        let (mut found, mut before) = (Vec::new(), None);
        loop {
            let page = timelines::posts(engine, UserId(reader), before, limit, (&SMALL, self.wall));
            let page = block_on(page)?;
            found.extend(page.posts.iter().map(|post| {
                let (author, sent_ms, seq) = (post.owner, post.message.sent_ms, post.message.seq);
                Place { sent_ms, author, seq }
            }));
            match page.next {
                Some(next) => before = Some(next),
                None => return Ok(found),
            }
        }
    }

    fn holds(&self, dice: &mut Dice, what: &str) {
        self.settle();
        for reader in 1..=USERS {
            let limit = 1 + u32::try_from(dice.roll(5)).expect("small");
            let found = surely(|| self.read(&self.world.engine, reader, limit)).expect("read");
            assert_eq!(found, self.model.feed(reader), "{what}: pages of {limit} of user {reader}");
        }
    }

    /// Something happens.
    fn happens(&mut self, dice: &mut Dice) {
        let (one, other) = (1 + dice.roll(USERS), 1 + dice.roll(USERS));
        let (user, author) = (UserId(one), UserId(other));
        let (engine, wall) = (self.world.engine.clone(), self.wall);
        match dice.roll(20) {
            0..=5 if one < USERS => {
                let audience = if dice.roll(3) == 0 { Audience::Friends } else { Audience::Public };
                self.post(one, audience);
            }
            6 => {
                let at = dice.roll(self.model.posts.len().max(1) as u64) as usize;
                if let Some(&place) = self.model.posts.keys().nth(at) {
                    self.delete(place);
                }
            }
            7..=8 if one != other => {
                let asked = surely(|| block_on(people::put_friend(&engine, user, author, wall)));
                if asked.is_ok() && surely(|| block_on(people::put_friend(&engine, author, user, wall))).is_ok() {
                    self.model.friends.insert(pair(one, other));
                }
            }
            9 => {
                surely(|| block_on(people::remove_friend(&engine, user, author))).expect("removed");
                self.model.friends.remove(&pair(one, other));
            }
            10..=12 if one != other => {
                if surely(|| block_on(people::follow(&engine, user, author, wall))).is_ok() {
                    self.model.follows.insert((one, other));
                }
            }
            13 => {
                surely(|| block_on(people::unfollow(&engine, user, author))).expect("unfollowed");
                self.model.follows.remove(&(one, other));
            }
            14 if one != other => {
                let on = dice.roll(3) == 0;
                match surely(|| block_on(people::block(&engine, user, author, on, wall))).expect("stored") {
                    people::BlockOutcome::Done { .. } => {}
                    people::BlockOutcome::ThroughChannel(channel) => {
                        let op = ChannelOp::Block { by: user, user: author, on };
                        self.apply(channel, op).expect("stored");
                    }
                }
                if on {
                    self.model.blocks.insert((one, other));
                    self.model.friends.remove(&pair(one, other));
                    self.model.follows.remove(&(one, other));
                    self.model.follows.remove(&(other, one));
                } else {
                    self.model.blocks.remove(&(one, other));
                }
            }
            15 => {
                let public = dice.roll(4) > 0;
                surely(|| block_on(accounts::set_public(&engine, user, public))).expect("stored");
                if public {
                    self.model.public.insert(one)
                } else {
                    self.model.public.remove(&one)
                };
            }
            16 => self.wall = self.wall.plus_ms([0, 1, DAY_MS, 3 * DAY_MS][dice.roll(4) as usize]),
            17..=18 => {
                // A reader comes by while posts are on their way. What it is shown is of the feed as it is now.
                let found = self.read(&engine, one, 2);
                let may: BTreeSet<Place> = self.model.feed(one).into_iter().collect();
                if let Ok(found) = found {
                    assert!(found.is_sorted_by(|one, next| one < next), "I15: {found:?}");
                    assert!(found.iter().all(|place| may.contains(place)), "I15: {found:?} of {may:?}");
                }
            }
            _ => {
                for _ in 0..dice.roll(4) {
                    self.step(&engine, one.min(USERS - 1));
                }
            }
        }
    }
}

/// Stories of this seed.
fn stories(seed: u64, rates: FaultRates) {
    let mut feeds = Feeds::new(seed, rates);
    let mut dice = Dice(seed);
    for user in 1..=USERS {
        if dice.roll(3) > 0 {
            surely(|| block_on(accounts::set_public(&feeds.world.engine, UserId(user), true))).expect("stored");
            feeds.model.public.insert(user);
        }
    }
    for round in 0..6 {
        for _ in 0..40 {
            feeds.happens(&mut dice);
        }
        feeds.holds(&mut dice, &format!("seed {seed}, round {round}"));
    }
}

#[test]
fn each_readers_pages_hold_exactly_the_posts_of_the_model() {
    (0..40).for_each(|seed| stories(seed, FaultRates::default()));
}

#[test]
fn they_do_whatever_goes_wrong() {
    (100..140).for_each(|seed| stories(seed, FaultRates::HOSTILE));
}

/// Rows of a reader's timeline.
fn rows_of(feeds: &Feeds, reader: u64) -> usize {
    rows(&feeds.world.engine, &keys::timeline_of(UserId(reader))).len()
}

/// Readers who are marked to look into an author's posts, and those who have rows in their place.
fn marked(feeds: &Feeds, author: u64) -> (usize, usize) {
    let looks = |reader: &u64| {
        let marks = rows(&feeds.world.engine, &keys::heavies_of(UserId(*reader)));
        marks.iter().any(|row| keys::heavy_of(&row.key).is_ok_and(|(_, of)| of == UserId(author)))
    };
    let rest = rows(&feeds.world.engine, &keys::heavy_rest_after(UserId(author), None));
    ((1..=USERS).filter(looks).count(), rest.len())
}

/// Feeds without faults, all public, whose readers have read theirs today.
fn calm() -> Feeds {
    let mut feeds = Feeds::new(1, FaultRates::default());
    for user in 1..=USERS {
        block_on(accounts::set_public(&feeds.world.engine, UserId(user), true)).expect("stored");
        feeds.model.public.insert(user);
        feeds.read(&feeds.world.engine, user, 5).expect("read");
    }
    feeds
}

fn follow(feeds: &mut Feeds, reader: u64, author: u64) {
    let followed = people::follow(&feeds.world.engine, UserId(reader), UserId(author), feeds.wall);
    assert!(block_on(followed).expect("followed"));
    feeds.model.follows.insert((reader, author));
}

#[test]
fn an_author_of_many_is_looked_up_and_one_of_fewer_again_is_written_again() {
    let (mut feeds, mut dice) = (calm(), Dice(1));
    (2..=4).for_each(|reader| follow(&mut feeds, reader, 1));
    feeds.post(1, Audience::Public);
    feeds.holds(&mut dice, "three readers");
    assert_eq!((rows_of(&feeds, 2), marked(&feeds, 1)), (1, (0, 0)));
    follow(&mut feeds, 5, 1);
    feeds.post(1, Audience::Public);
    feeds.holds(&mut dice, "four readers, above the border");
    assert_eq!((rows_of(&feeds, 2), marked(&feeds, 1)), (1, (4, 0)));
    // Whoever comes while readers are marked is marked at once.
    follow(&mut feeds, 6, 1);
    assert_eq!(marked(&feeds, 1), (5, 0));
    feeds.holds(&mut dice, "five readers");
    for reader in 4..=6 {
        block_on(people::unfollow(&feeds.world.engine, UserId(reader), UserId(1))).expect("unfollowed");
        feeds.model.follows.remove(&(reader, 1));
    }
    assert_eq!(marked(&feeds, 1), (2, 0));
    feeds.post(1, Audience::Public);
    feeds.holds(&mut dice, "two readers, below nine tenths of the border");
    assert_eq!((rows_of(&feeds, 2), rows_of(&feeds, 3), rows_of(&feeds, 5)), (2, 2, 0));
    // And up again, where readers are marked already.
    (4..=6).for_each(|reader| follow(&mut feeds, reader, 1));
    feeds.post(1, Audience::Public);
    feeds.holds(&mut dice, "five readers again");
    assert_eq!((rows_of(&feeds, 2), marked(&feeds, 1)), (2, (5, 0)));
}

#[test]
fn a_reader_looks_into_so_many_logs_and_has_rows_of_the_others() {
    let (mut feeds, mut dice) = (calm(), Dice(2));
    for author in 1..=3 {
        (4..=USERS).for_each(|reader| follow(&mut feeds, reader, author));
        feeds.post(author, Audience::Public);
        feeds.holds(&mut dice, "one more author of many");
    }
    assert_eq!([1, 2, 3].map(|author| marked(&feeds, author)), [(4, 0), (4, 0), (0, 4)]);
    assert_eq!(rows_of(&feeds, 4), 1);
}

#[test]
fn who_was_not_seen_for_long_has_no_rows_and_all_posts_when_it_comes_back() {
    let (mut feeds, mut dice) = (calm(), Dice(3));
    follow(&mut feeds, 2, 1);
    follow(&mut feeds, 3, 1);
    feeds.post(1, Audience::Public);
    feeds.holds(&mut dice, "both were seen");
    feeds.wall = feeds.wall.plus_ms(3 * DAY_MS);
    feeds.active = Active::default();
    feeds.read(&feeds.world.engine, 3, 5).expect("read");
    feeds.post(1, Audience::Public);
    feeds.settle();
    assert_eq!((rows_of(&feeds, 2), rows_of(&feeds, 3)), (1, 2));
    feeds.holds(&mut dice, "it comes back");
    feeds.post(1, Audience::Public);
    feeds.settle();
    assert_eq!(rows_of(&feeds, 2), 3);
}

#[test]
fn what_nobody_reads_is_trimmed_and_pages_hold_all_of_it() {
    let (mut feeds, mut dice) = (calm(), Dice(4));
    follow(&mut feeds, 2, 1);
    for _ in 0..7 {
        feeds.post(1, Audience::Public);
        feeds.settle();
    }
    assert_eq!(rows_of(&feeds, 2), 7);
    let trim = |feeds: &Feeds, wall: UnixMs| {
        let all = Share::whole();
        let trimmed = block_on(timelines::trim(&feeds.world.engine, (&SMALL, wall), &all, None));
        trimmed.expect("nothing goes wrong").timelines
    };
    assert_eq!(trim(&feeds, feeds.wall.plus_ms(DAY_MS)), 0, "it was trimmed when it was read");
    assert_eq!(trim(&feeds, feeds.wall.plus_ms(2 * DAY_MS)), USERS);
    assert_eq!(rows_of(&feeds, 2), 4);
    feeds.wall = feeds.wall.plus_ms(5 * DAY_MS);
    feeds.read(&feeds.world.engine, 2, 5).expect("read");
    assert_eq!(rows_of(&feeds, 2), 1, "all of it is old, and the newest is kept");
    assert_eq!(trim(&feeds, feeds.wall), USERS - 1, "the others were not seen for long, and fall asleep");
    assert_eq!(trim(&feeds, feeds.wall.plus_ms(DAY_MS)), 0);
    assert_eq!((trim(&feeds, feeds.wall.plus_ms(4 * DAY_MS)), rows_of(&feeds, 2)), (1, 0));
    feeds.holds(&mut dice, "trimmed");
}
