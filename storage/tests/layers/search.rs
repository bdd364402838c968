//! What is sent is found: by whom it may be read, newest first, whatever the index has of it.

use futures_lite::future::block_on;
use schema::command::Search;
use schema::op::SendOp;
use schema::{ChannelOp, ClientMsgId, MessageKind, UnixMs, UserId, message};
use storage::Engine;
use storage::layers::{LayerError, search};
use storage::memory::MemoryEngine;

use crate::world::{World, channel, faulty, store};

fn world() -> World<MemoryEngine> {
    World::current(faulty(&store(), &[]))
}

impl<E: Engine> World<E> {
    /// Sends a text a millisecond after what was sent before.
    pub(crate) fn say(&mut self, at: &str, from: u64, body: &str) {
        self.wall = UnixMs(self.wall.0 + 1);
        let op = SendOp {
            from: UserId(from),
            client_msg_id: ClientMsgId::new(self.wall, self.wall.0.into()),
            kind: MessageKind::Text,
            body: body.into(),
            reply_to: None,
            mentions: message::no_mentions(),
        };
        let ticket = self.push_op(channel(at), ChannelOp::Send(op));
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
        match block_on(search::query(&self.engine, UserId(user), request)) {
            Ok(found) => {
                let name = |id: u64| char::from(u8::try_from(id).expect("a letter"));
                let hits = found.page.hits.iter().map(|hit| format!("{}{}", name(hit.channel_id.0), hit.seq));
                let more = found.page.more.then(|| "more".to_owned());
                hits.chain(more).collect::<Vec<_>>().join(" ")
            }
            Err(LayerError::Refused(refusal)) => u16::from(refusal.code).to_string(),
            Err(error) => panic!("{error}"),
        }
    }
}

pub(crate) fn asked(query: &str) -> Search {
    Search { query: query.into(), channel_id: None, from: None, before_ms: None, limit: 20 }
}

/// The same whether nothing, some or all of it is indexed.
#[track_caller]
fn check(said: &[(&str, u64, &str)], user: u64, request: &Search, expected: &str) {
    for indexed in 0..=said.len() {
        let mut world = world();
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
    check(&said, 1, &Search { before_ms: Some(UnixMs(crate::world::WALL.0 + 3)), ..asked("lunch") }, "d#1");
    check(&said, 3, &asked("점심"), "g#1");
    check(&said, 4, &asked("점심"), "");
    check(&said, 4, &Search { channel_id: Some(channel("g")), ..asked("점심") }, "102");
    check(&said, 1, &asked("?!"), "107");
    check(&said, 1, &asked(&"가".repeat(201)), "106");
}

#[test]
fn one_who_left_finds_what_it_may_read() {
    for indexed in [false, true] {
        let mut world = world();
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
