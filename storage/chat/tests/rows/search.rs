//! Search of sent messages: by whom they may be read, newest first, whatever the index has of it.

use std::collections::BTreeSet;

use chat::keys;
use chat::search;
use futures_lite::future::{block_on, zip};
use kv::memory::{FaultRates, MemoryEngine, SeededFaults};
use kv::{Begin, Engine, Transaction};
use schema::command::Search;
use schema::record::{BodyRecord, HeadRecord, MessageRecord};
use schema::{ClientMsgId, MessageKind, Seq, UnixMs, UserId};

use crate::world::{WALL, World, channel, open, quiet, store, text, words, world, write};

impl<E: Engine> World<E> {
    /// Sends a text a millisecond after what was sent before.
    pub(crate) fn say(&mut self, at: &str, from: u64, body: &str) {
        self.wall = UnixMs(self.wall.0 + 1);
        let id = ClientMsgId::new(self.wall, u128::from(self.ticket));
        let ticket = self.push_op(channel(at), text(from, id, body));
        self.drain();
        assert!(self.outcome(ticket).is_some_and(Result::is_ok), "{from} says {body} in {at}");
    }

    /// Takes all that is new in a channel into its index.
    pub(crate) fn index(&self, at: &str) {
        while block_on(search::advance(&self.engine, channel(at))).expect("the index follows").more {}
        block_on(search::verify(&self.engine, channel(at))).expect("the index has all");
    }

    /// Hits in words, ` more` if there are more; or the code of a refusal.
    pub(crate) fn search(&self, user: u64, request: &Search) -> String {
        words(block_on(search::query(&self.engine, UserId(user), request)).map(|found| {
            let name = |id: u64| char::from(u8::try_from(id).expect("a letter"));
            let hits = found.page.hits.iter().map(|hit| format!("{}{}", name(hit.channel_id.0), hit.seq));
            let more = found.page.more.then(|| "more".to_owned());
            hits.chain(more).collect::<Vec<_>>().join(" ")
        }))
    }
}

pub(crate) fn asked(query: &str) -> Search {
    Search { query: query.into(), channel_id: None, from: None, before_ms: None, limit: 20, cursor: None }
}

/// The same whether nothing, some or all of it is indexed.
#[track_caller]
fn check(said: &[(&str, u64, &str)], user: u64, request: &Search, expected: &str) {
    for indexed in 0..=said.len() {
        let mut world = world("");
        for (number, &(at, from, body)) in said.iter().enumerate() {
            world.say(at, from, body);
            if number < indexed {
                world.index(at);
            }
        }
        assert_eq!(world.search(user, request), expected, "{request:?} with {indexed} indexed");
    }
}

#[test]
fn hits_are_newest_first_across_channels() {
    let said = [("g", 1, "점심 먹자"), ("d", 2, "Lunch?"), ("d", 1, "오늘 점심은 lunch box"), ("g", 2, "저녁 먹자")];
    check(&said, 1, &asked("점심"), "d#2 g#1");
    check(&said, 1, &asked("LUNCH"), "d#2 d#1");
    check(&said, 1, &asked("먹자"), "g#2 g#1");
    check(&said, 1, &asked("먹"), "g#2 g#1");
    check(&said, 1, &asked("자"), "g#2 g#1");
    check(&said, 1, &asked("lunch 점심"), "d#2");
    check(&said, 1, &asked("아침"), "");
    check(&said, 1, &Search { limit: 1, ..asked("점심") }, "d#2 more");
    check(&said, 1, &Search { limit: 0, ..asked("점심") }, "d#2 more");
    check(&said, 1, &Search { channel_id: Some(channel("g")), ..asked("점심") }, "g#1");
    check(&said, 1, &Search { from: Some(UserId(2)), ..asked("lunch") }, "d#1");
    check(&said, 1, &Search { before_ms: Some(UnixMs(WALL.0 + 3)), ..asked("lunch") }, "d#1");
    check(&said, 3, &asked("점심"), "g#1");
    check(&said, 4, &asked("점심"), "");
    check(&said, 4, &Search { channel_id: Some(channel("g")), ..asked("점심") }, "102");
    check(&said, 1, &asked("?!"), "107");
    check(&said, 1, &asked(&"가".repeat(201)), "106");
}

#[test]
fn pages_have_each_hit_once_though_many_were_sent_at_one_time() {
    /// Messages in `d`, `g` and `d` again that are sent in one millisecond, read in pages of each size.
    fn check(counts: [u64; 3], indexed: bool) {
        let mut world = world("");
        let sent = WALL.0 + 1;
        for (at, count) in ["d", "g", "d"].into_iter().zip(counts) {
            for _message in 0..count {
                world.wall = UnixMs(sent - 1);
                world.say(at, 1, "점심 lunch");
            }
            if indexed {
                world.index(at);
            }
        }
        for limit in [1, 7, 50] {
            let mut request = Search { limit, ..asked("lunch") };
            let mut seen = Vec::new();
            loop {
                let page = block_on(search::query(&world.engine, UserId(1), &request)).expect("found").page;
                assert!(page.hits.iter().all(|hit| hit.sent_ms.0 == sent), "one time for all");
                seen.extend(page.hits.iter().map(|hit| (hit.channel_id, hit.seq)));
                assert_eq!(page.more, page.cursor.is_some());
                match page.cursor {
                    Some(cursor) => request.cursor = Some(cursor),
                    None => break,
                }
            }
            let distinct: BTreeSet<_> = seen.iter().collect();
            assert_eq!(seen.len(), distinct.len(), "none twice, {limit} a page");
            assert_eq!(seen.len() as u64, counts.iter().sum::<u64>(), "all, {limit} a page, indexed {indexed}");
        }
    }
    for indexed in [false, true] {
        check([70, 0, 0], indexed);
        check([0, 70, 0], indexed);
        check([40, 70, 30], indexed);
        check([400, 20, 300], indexed);
    }
}

#[test]
fn one_who_left_finds_what_it_may_read() {
    for indexed in [false, true] {
        let mut world = world("");
        world.say("g", 1, "before 하나");
        world.run("1 adds 4");
        world.say("g", 1, "within 하나");
        world.run("1 removes 4");
        world.say("g", 1, "after 하나");
        if indexed {
            world.index("g");
        }
        assert_eq!(world.search(4, &asked("하나")), "g#2");
        assert_eq!(world.search(4, &Search { channel_id: Some(channel("g")), ..asked("하나") }), "g#2");
        world.run("1 adds 4");
        world.say("g", 1, "again 하나");
        assert_eq!(world.search(4, &asked("하나")), "g#4 g#2");
        assert_eq!(world.search(1, &asked("하나")), "g#4 g#3 g#2 g#1");
    }
}

#[test]
fn two_that_index_at_once_do_nothing_twice() {
    for seed in 0..40 {
        let store = store();
        let mut world = World::current(quiet(&store));
        (0..40).for_each(|number| world.say("g", 1, &format!("회의 {number}")));
        let rates = FaultRates { unknown_permille: 200, yields_max: 4, ..FaultRates::HOSTILE };
        let engine = open(&store, SeededFaults::new(seed, rates));
        let advance = || search::advance(&engine, channel("g"));
        let (one, other) = block_on(zip(advance(), advance()));
        assert!(one.is_ok() || other.is_ok(), "one of two gets through, seed {seed}");
        world.engine = quiet(&store);
        world.index("g");
        let size = block_on(search::verify(&world.engine, channel("g"))).expect("whole");
        let mut alone = crate::world::world("");
        (0..40).for_each(|number| alone.say("g", 1, &format!("회의 {number}")));
        alone.index("g");
        let expected = block_on(search::verify(&alone.engine, channel("g"))).expect("whole");
        assert_eq!(size, expected, "the same index as of one, seed {seed}");
    }
}

/// Messages written as the appender writes them, one a millisecond: "회의 N", and of every tenth "room N" too.
fn fill(engine: &MemoryEngine, first: u64, last: u64) {
    for begin in (first..=last).step_by(2_000) {
        write(engine, |tx| {
            for number in begin..=last.min(begin + 1_999) {
                let more = if number.is_multiple_of(10) { format!(" room {number}") } else { String::new() };
                let record = MessageRecord {
                    revision: 0,
                    from: UserId(1 + number % 2),
                    sent_ms: UnixMs(WALL.0 + number),
                    client_msg_id: ClientMsgId::new(WALL, number.into()),
                    kind: MessageKind::Text,
                    body: BodyRecord::Inline(format!("회의 {number}{more}").into()),
                    reply_to: None,
                    mentions: Vec::new(),
                    edited_ms: None,
                    deleted: false,
                    audience: None,
                    media: Vec::new(),
                };
                tx.set(&keys::message(channel("g"), Seq(number)), &record.encode());
                let head = HeadRecord { seq: Seq(number), sent_ms: record.sent_ms };
                tx.set(&keys::head(channel("g")), &head.encode());
            }
        });
    }
}

#[test]
fn a_long_channel_is_found_to_its_beginning() {
    let world = world("");
    for (first, last) in [(1, 300), (301, 330), (331, 5_000), (5_001, 30_000)] {
        fill(&world.engine, first, last);
        world.index("g");
    }
    let size = block_on(search::verify(&world.engine, channel("g"))).expect("whole");
    assert!((14..20).contains(&size.segments), "{size:?}");
    let check = |query: &str, before: u64, expected: &str| {
        let before_ms = Some(UnixMs(WALL.0 + before));
        assert_eq!(
            world.search(1, &Search { before_ms, limit: 2, ..asked(query) }),
            expected,
            "{query} before {before}"
        );
    };
    check("회의", 40_000, "g#30000 g#29999 more");
    check("회의", 3, "g#2 g#1");
    check("17", 40_000, "g#17");
    check("29999", 40_000, "g#29999");
    check("room", 12_345, "g#12340 g#12330 more");
    check("room 12340", 12_340, "");
    check("room 10", 11, "g#10");
    check("의 500", 30_000, "g#500");
    check("실", 30_000, "");
}

#[test]
fn an_index_of_an_earlier_format_is_made_anew() {
    let world = world("");
    fill(&world.engine, 1, 3_000);
    world.index("g");
    let before = block_on(search::verify(&world.engine, channel("g"))).expect("whole");
    let indexed = keys::indexed(channel("g"));
    let earlier = block_on(world.engine.begin(Begin::Fresh).get(&indexed)).expect("readable").expect("indexed");
    assert_eq!(earlier[0], 3, "the format");
    write(&world.engine, |tx| {
        tx.set(&indexed, &[&[1], &earlier[1..]].concat());
        tx.set(&keys::posting(channel("g"), 0, 500), b"a row that its successor does not have");
    });
    assert_eq!(world.search(1, &asked("room 2990")), "g#2990", "found without the index");
    world.index("g");
    assert_eq!(world.search(1, &asked("room 2990")), "g#2990");
    assert_eq!(block_on(search::verify(&world.engine, channel("g"))).expect("whole"), before);
}

#[test]
fn what_was_edited_or_deleted_is_found_as_it_is_now() {
    let mut world = world("");
    world.say("g", 1, "lunch");
    world.say("g", 1, "점심");
    world.index("g");
    assert_eq!(world.run("1 edits dinner of 1; 1 deletes x of 2"), "revision 1; revision 1");
    assert_eq!(world.search(1, &asked("lunch")), "", "at once");
    assert_eq!(world.search(1, &asked("점심")), "", "at once");
    world.index("g");
    assert_eq!(world.search(1, &asked("dinner")), "g#1", "once it is indexed");
    assert_eq!(world.run("1 edits supper of 1 at 1"), "revision 2");
    world.index("g");
    assert_eq!((world.search(1, &asked("dinner")), world.search(1, &asked("supper"))), (String::new(), "g#1".into()));
}
