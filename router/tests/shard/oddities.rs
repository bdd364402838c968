//! A client that says anything and a store that answers anything of the right kind: nobody panics, and nothing is left.

use std::collections::BTreeSet;

use proptest::prelude::*;
use router::{Answered, Claims, Identity, Input, Question, Shard};
use schema::command::{HistoryPage, SearchPage, SnapshotChannel};
use schema::event::{MemberChange, Role};
use schema::op::ChannelKind;
use schema::page::{
    Arrival, ArrivalsPage, FoundPage, InboxPage, Indexed, MembersPage, OpenedChannel, SessionStart, SnapshotPage,
};
use schema::record::{ArrivalEvent, ArrivalRecord, EventRecord, EventRecordBody, PresenceRecord};
use schema::{
    ChannelId, Cursor, Epoch, ErrorCode, Event, EventBody, OpReply, Position, PresenceState, Refusal, Ruling, Seq,
    Stamp, UserId,
};

use crate::client::Heard;
use crate::interleavings::{Dice, client_acts};
use crate::world::World;

fn place(dice: &mut Dice) -> Position {
    let version = [0, 1, 999, 1_000, 1_010, 1_020, u64::MAX][dice.roll(7)];
    Stamp { version, batch: [0, 3, u16::MAX][dice.roll(3)] }.at([0, 1, u16::MAX][dice.roll(3)])
}

fn events(dice: &mut Dice, user: UserId) -> Vec<Event> {
    let body = || EventBody::Read { user, read_seq: Seq(1) };
    (0..dice.roll(4)).map(|_| Event { position: place(dice), channel: ChannelId(1), body: body() }).collect()
}

fn arrivals(dice: &mut Dice, users: &[UserId]) -> ArrivalsPage {
    let rows = (0..dice.roll(4)).map(|_| {
        let stamp = place(dice).stamp;
        let event =
            EventRecord { channel: ChannelId(1), body: EventRecordBody::Read { user: users[0], read_seq: Seq(1) } };
        let listed = |dice: &mut Dice| ArrivalEvent {
            ordinal: place(dice).ordinal,
            audience: u16::try_from(dice.roll(3)).expect("small"),
            event: event.clone(),
        };
        let events = (0..dice.roll(4)).map(|_| listed(dice)).collect();
        let record = ArrivalRecord { audiences: vec![users.to_vec(), users[..1].to_vec()], events };
        let contents = (dice.roll(2) == 0).then(|| self::events(dice, users[0]));
        Arrival { stamp, record, contents }
    });
    ArrivalsPage { rows: rows.collect(), through: place(dice).stamp, more: dice.roll(2) == 0, epoch: Epoch(1) }
}

/// Any answer that fits the question.
fn odd(dice: &mut Dice, world: &World, question: Question) -> Answered {
    let users: Vec<UserId> = world.store.users.values().copied().collect();
    if dice.roll(4) == 0 {
        return question.refuse(Refusal::new(ErrorCode::ALL[dice.roll(ErrorCode::ALL.len())], "odd"));
    }
    match question {
        Question::Authenticate(q) if q.request.token.is_empty() => {
            q.pending.answer(Err(Refusal::new(ErrorCode::Unauthenticated, "odd")))
        }
        Question::Authenticate(q) => q.pending.answer(Ok(Identity::Known(Claims {
            user: users[dice.roll(users.len())],
            device: (dice.roll(2) == 0).then(|| "d1".parse().expect("legal")),
            family: 1 + dice.roll(2) as u64,
            expires_ms: world.now.wall.plus_ms([0, 1, 70_000, u64::MAX][dice.roll(4)]),
        }))),
        Question::AskBefore(q) => q.pending.answer(Ok(match dice.roll(4) {
            0 => Err(Refusal::new(ErrorCode::ALL[dice.roll(ErrorCode::ALL.len())], "odd")),
            1 => Ok(Some(Ruling::Change("odd".into()))),
            2 => Ok(Some(Ruling::Refuse("odd".into()))),
            _ => Ok(None),
        })),
        Question::Apply(q) => q.pending.answer(Ok(match dice.roll(4) {
            0 => OpReply::Created { channel: ChannelId(1), existed: true },
            1 => OpReply::Changed { changed: true },
            2 => OpReply::Marked { read_seq: Seq(1), unread: 0 },
            _ => OpReply::Sent { seq: Seq(1), sent_ms: world.now.wall, duplicate: false },
        })),
        Question::History(q) => {
            let page = HistoryPage { messages: Vec::new(), head_seq: Seq(0), first_seq: Seq(9), more: true };
            q.pending.answer(Ok(page))
        }
        Question::OpenInbox(q) => {
            let cursor = Cursor { generation: dice.roll(2) as u64, position: place(dice) };
            q.pending.answer(Ok(SessionStart { cursor, stamp: place(dice).stamp }))
        }
        Question::ReadInbox(q) => q.pending.answer(Ok(match dice.roll(3) {
            0 => InboxPage::Behind,
            _ => {
                let (events, through) = (events(dice, q.request.user), place(dice));
                InboxPage::Events { events, through, exhausted: dice.roll(2) == 0 }
            }
        })),
        Question::Snapshot(q) => {
            // Names are known of this one only.
            let channel_id = world.names.id("ab");
            let (kind, head_seq, read_seq) = (ChannelKind::Group, Seq(0), Seq(9));
            let channel = |_| SnapshotChannel { channel_id, kind, head_seq, read_seq, unread: 1 };
            let channels = (0..dice.roll(2)).map(channel).collect();
            q.pending.answer(Ok(SnapshotPage { channels, more: dice.roll(2) == 0, through: place(dice) }))
        }
        Question::ReadArrivals(q) => q.pending.answer(Ok(arrivals(dice, &users))),
        Question::OpenChannel(q) => q.pending.answer(Ok(OpenedChannel {
            kind: [ChannelKind::Direct, ChannelKind::Group, ChannelKind::Large][dice.roll(3)],
            head_seq: Seq(9),
            read_seq: Seq(99),
            ranges: Vec::new(),
            members: users,
            reads: Vec::new(),
        })),
        Question::Members(q) => q.pending.answer(Ok(MembersPage { users, fellows: dice.roll(2) == 0 })),
        Question::Subscribe(q) => q.pending.answer(Ok(Seq([0, 1, 9, u64::MAX][dice.roll(4)]))),
        Question::LargeOf(q) => q.pending.answer(Ok(vec![world.names.id("ab"), world.names.id("bc")])),
        Question::Search(q) => {
            let page = SearchPage { hits: Vec::new(), more: true, cursor: None };
            q.pending.answer(Ok(FoundPage { page, behind: vec![world.names.id("ab"), ChannelId(7)] }))
        }
        Question::Index(q) => q.pending.answer(Ok(Indexed { through: Seq(1), head: Seq(9), more: dice.roll(2) == 0 })),
        Question::Visible(q) => {
            let stored = |_| {
                (dice.roll(3) > 0).then_some(PresenceRecord {
                    state: [PresenceState::Offline, PresenceState::Away, PresenceState::Online][dice.roll(3)],
                    ..PresenceRecord::default()
                })
            };
            let mut found: Vec<_> = q.request.users.iter().map(stored).collect();
            found.truncate(dice.roll(9));
            q.pending.answer(Ok(found))
        }
        Question::ClearArrivals(q) => q.pending.answer(Ok(())),
        Question::TrimInbox(q) => q.pending.answer(Ok(())),
        Question::PutPresence(q) => q.pending.answer(Ok(())),
        Question::Standing(q) => q.pending.answer(Ok(Epoch([0, 1, u64::MAX][dice.roll(3)]))),
        Question::FamiliesLive(q) => {
            let mut live: Vec<bool> = q.request.families.iter().map(|_| dice.roll(2) == 0).collect();
            live.truncate(dice.roll(9));
            q.pending.answer(Ok(live))
        }
    }
}

fn feeds(dice: &mut Dice, world: &World) -> Vec<(ChannelId, Vec<EventBody>)> {
    let user = *world.store.users.values().next().expect("a user");
    let event = |dice: &mut Dice| match dice.roll(3) {
        0 => EventBody::Deleted { seq: Seq([0, 1, u64::MAX][dice.roll(3)]), revision: 1 },
        1 => EventBody::Membership { user, change: MemberChange::Left, role: Role::Member },
        _ => EventBody::Read { user, read_seq: Seq(1) },
    };
    let events = (0..dice.roll(4)).map(|_| event(dice)).collect();
    vec![(world.names.id(dice.pick(&["ab", "bc"])), events)]
}

fn says(dice: &mut Dice) -> String {
    let names = ["connect", "send", "history", "mark", "echo", "refresh", "push", "error", "id", ""];
    let values = [
        "2000000",
        "0",
        "-1",
        "4294967296",
        "\"ab\"",
        "{}",
        "[]",
        "null",
        "\u{0}",
        "{\"data\":\"x\"}",
        "{\"token\":\"a\",\"device_id\":\"d1\"}",
    ];
    let mut text = String::from("{");
    let fields: BTreeSet<usize> = (0..dice.roll(4)).map(|_| dice.roll(names.len())).collect();
    for (at, field) in fields.into_iter().enumerate() {
        text += if at == 0 { "\"" } else { ",\"" };
        text += names[field];
        text += "\":";
        text += values[dice.roll(values.len())];
    }
    text + ["}", "", "\n{", "}\n{}"][dice.roll(4)]
}

/// Refuses what is still asked: an odd store would go on for ever.
fn settle(world: &mut World) {
    for _ in 0..10_000 {
        if let Some(pair) = world.busy_pair() {
            world.carry(pair);
        } else if let Some(asked) = world.asked.pop_front() {
            let answered = asked.question.refuse(Refusal::new(ErrorCode::StorageUnavailable, "the end"));
            world.input(asked.shard, Input::Answered(answered));
        }
    }
}

fn run(choices: &[u32]) {
    let mut world = World::new(1 + u16::try_from(choices.len() % 2).expect("1 or 2"));
    for name in ["ab", "ac", "abc", "bc"] {
        world.channel(name);
    }
    world.names.is_odd = true;
    let mut said = 0;
    for &choice in choices {
        let mut dice = Dice::new(choice);
        match dice.roll(8) {
            0..2 if world.shards.len() == 2 => client_acts(&mut world, &mut dice, &mut said),
            0..3 => {
                let name = dice.pick(&["a1", "b1", "c1"]);
                if world.clients.get(name).is_none_or(|client| client.closed.is_some()) {
                    world.step(&format!("{name} opens"));
                } else {
                    world.message(name, says(&mut dice).as_bytes());
                }
            }
            3..6 if !world.asked.is_empty() => {
                let asked = world.asked.remove(dice.roll(world.asked.len())).expect("in range");
                let answered = odd(&mut dice, &world, asked.question);
                world.input(asked.shard, Input::Answered(answered));
            }
            6 => {
                let home = dice.roll(world.shards.len());
                let user = world.user("a");
                let hints = vec![(world.owner(home), place(&mut dice).stamp, events(&mut dice, user))];
                world.input(home, Input::Committed { hints, live: Vec::new(), feeds: feeds(&mut dice, &world) });
            }
            7 => world.pass([0, 100, 1_000, 30_000][dice.roll(4)]),
            _ => {
                if let Some(pair) = world.busy_pair() {
                    world.carry(pair);
                }
            }
        }
    }
    let open = world.clients.iter().map(|(name, client)| (name, &client.followed));
    for (name, followed) in open.chain(world.earlier.iter().map(|(name, followed)| (name, followed))) {
        // A connect under number 0 was not answered, and starts nobody knows where.
        let mut at = followed.start;
        for told in &followed.told {
            let (Heard::Event(cursor, _) | Heard::Snapshot(_, Some(cursor))) = told else { continue };
            assert!(at.is_none_or(|at| at <= *cursor), "I6: {name} went back from {at:?} to {cursor:?}");
            at = Some(*cursor);
        }
    }
    world.all_leave();
    // A second later is when what was put off begins, read marks among it: what it asks is answered too.
    settle(&mut world);
    world.pass(1_000);
    settle(&mut world);
    for stats in world.shards.iter().map(Shard::stats) {
        let left = (stats.sessions, stats.users, stats.outbound_bytes, stats.appends_pending);
        assert_eq!(left, (0, 0, 0, 0), "I11: sessions, users, bytes, appends");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn nothing_that_a_client_says_or_a_store_answers_panics(
        choices in proptest::collection::vec(any::<u32>(), 1..400)
    ) {
        run(&choices);
    }
}
