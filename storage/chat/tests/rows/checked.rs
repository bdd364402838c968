//! The check of a store finds what is wrong with it. Each row spoils one thing in a store that was right.

use chat::check::{self, CheckError};
use chat::keys::{self, DedupKey};
use futures_lite::future::block_on;
use kv::memory::MemoryBackend;
use kv::{RangeRequest, Row, Transaction};
use schema::record::{ChannelRecord, DedupRecord, EventRecord, EventRecordBody, HeadRecord, MessageRecord};
use schema::{ClientMsgId, Position, Seq, UnixMs, UserId};

use crate::world::{channel, world, write};

type Tx = kv::local::LocalTransaction<MemoryBackend>;

/// Three messages in `g`, one in `d`; user 4 was a member of `g` for the second of them.
const SCRIPT: &str = "1 sends a; 1 adds 4; 2 sends b, d.1 sends c; 1 removes 4; 1 sends e";

/// What the check finds after `spoil`.
fn check(spoil: impl Fn(&mut Tx), expected: &str) {
    check_after(SCRIPT, spoil, expected);
}

fn check_after(script: &str, spoil: impl Fn(&mut Tx), expected: &str) {
    let world = world(script);
    world.holds();
    write(&world.engine, |tx| spoil(tx));
    let found = block_on(check::run(&world.engine, |_| {})).expect_err(expected);
    assert!(found.to_string().contains(expected), "{found:?}, not {expected}");
}

fn get(tx: &Tx, key: &[u8]) -> Vec<u8> {
    block_on(tx.get(key)).expect("readable").expect("there").to_vec()
}

fn rows(tx: &Tx, range: &RangeRequest) -> Vec<Row> {
    block_on(tx.get_range(range)).expect("readable").rows
}

fn message(tx: &mut Tx, seq: u64, change: impl Fn(&mut MessageRecord)) {
    let key = keys::message(channel("g"), Seq(seq));
    let mut record = MessageRecord::decode(&get(tx, &key)).expect("a message");
    change(&mut record);
    tx.set(&key, &record.encode());
}

/// The first reply to the message `seq` of `g`.
fn first_reply(tx: &Tx, seq: u64) -> Vec<u8> {
    let record = MessageRecord::decode(&get(tx, &keys::message(channel("g"), Seq(seq)))).expect("a message");
    DedupKey { channel: channel("g"), user: record.from, id: record.client_msg_id }.to_key()
}

/// The row of `user`'s inbox that tells message `seq` of `g`.
fn told(tx: &Tx, user: u64, seq: u64) -> Row {
    let mut rows = rows(tx, &keys::inbox_after(UserId(user), Position::START)).into_iter();
    let named = |row: &Row| {
        let event = EventRecord::decode(&row.value).expect("an event");
        event.channel == channel("g")
            && matches!(event.body, EventRecordBody::Message { seq: found, .. } if found == Seq(seq))
    };
    rows.find(named).expect("it was told")
}

#[test]
fn seqs_that_are_not_one_to_the_head_are_found() {
    check(|tx| tx.clear(&keys::message(channel("g"), Seq(2))), "I2");
    check(|tx| tx.clear(&keys::message(channel("g"), Seq(3))), "I2: channel 103 has the head #3 and no such message");
    check(|tx| tx.set(&keys::head(channel("g")), &HeadRecord { seq: Seq(2), sent_ms: UnixMs(0) }.encode()), "I2");
    check(|tx| tx.clear(&keys::head(channel("d"))), "I2: channel 100: #1 comes after #0, the head is #0");
    check(|tx| tx.clear(&keys::channel(channel("d"))), "I2: message #1 is of channel 100, which does not exist");
    let later = |tx: &mut Tx| {
        let key = first_reply(tx, 1);
        let first = DedupRecord::decode(&get(tx, &key)).expect("a first reply");
        tx.set(&key, &DedupRecord { sent_ms: UnixMs(first.sent_ms.0 + 1), ..first }.encode());
        message(tx, 1, |record| record.sent_ms.0 += 1);
    };
    check(later, "I2: channel 103: #2 was sent at");
    check(|tx| message(tx, 2, |record| record.reply_to = Some(Seq(2))), "I2: channel 103: #2 answers");
}

#[test]
fn ids_that_do_not_name_one_message_are_found() {
    check(|tx| tx.clear(&first_reply(tx, 1)), "I5: #1 of channel 103 has no first reply");
    let other = |tx: &mut Tx| {
        let key = first_reply(tx, 1);
        let first = DedupRecord::decode(&get(tx, &key)).expect("a first reply");
        tx.set(&key, &DedupRecord { seq: Seq(3), ..first }.encode());
    };
    check(other, "I5");
    let twice = |tx: &mut Tx| {
        let first = MessageRecord::decode(&get(tx, &keys::message(channel("g"), Seq(1)))).expect("a message");
        message(tx, 3, |record| (record.from, record.client_msg_id) = (first.from, first.client_msg_id));
    };
    check(twice, "at #3 and #1");
    let nobody = |tx: &mut Tx| {
        let first = get(tx, &first_reply(tx, 1));
        let id = ClientMsgId::new(UnixMs(1), 1);
        tx.set(&DedupKey { channel: channel("g"), user: UserId(1), id }.to_key(), &first);
    };
    check(nobody, "which is not it");
}

#[test]
fn inboxes_that_skip_repeat_or_invent_are_found() {
    check(|tx| tx.clear(&told(tx, 1, 2).key), "I6: user 1 was told #3 of channel 103");
    check(|tx| tx.clear(&told(tx, 1, 3).key), "I6: user 1 was not told #3 of channel 103");
    check(|tx| tx.clear(&told(tx, 4, 2).key), "I6: user 4 was not told #2 of channel 103");
    let again = |tx: &mut Tx| {
        let row = told(tx, 1, 2);
        let (user, place) = keys::inbox_place(&row.key).expect("its key");
        tx.set(&keys::inbox(user, place.stamp.at(place.ordinal + 9)), &row.value);
    };
    check(again, "I6: user 1 was told #2 of channel 103");
    let stranger = |tx: &mut Tx| {
        let row = told(tx, 1, 2);
        let (_, place) = keys::inbox_place(&row.key).expect("its key");
        tx.set(&keys::inbox(UserId(9), place), &row.value);
    };
    check(stranger, "I10: user 9 was told of channel 103 and never was in it");
    let after_removal = |tx: &mut Tx| {
        let row = told(tx, 1, 3);
        let (_, place) = keys::inbox_place(&row.key).expect("its key");
        tx.set(&keys::inbox(UserId(4), place), &row.value);
    };
    check(after_removal, "I6: user 4 was told #3 of channel 103");
    let newer = |tx: &mut Tx| {
        let row = told(tx, 1, 2);
        let body = EventRecordBody::Message { seq: Seq(2), revision: 1 };
        tx.set(&row.key, &EventRecord { channel: channel("g"), body }.encode());
    };
    check(newer, "I6: the inbox of user 1 names revision 1 of #2");
    let mark = |tx: &mut Tx| {
        let row = told(tx, 1, 2);
        let body = EventRecordBody::Read { user: UserId(2), read_seq: Seq(1) };
        tx.set(&row.key, &EventRecord { channel: channel("g"), body }.encode());
    };
    check(mark, "I6: the inbox of user 1 has a mark of user 2");
}

#[test]
fn members_that_do_not_count_up_and_damage_are_found() {
    check(|tx| tx.clear(&keys::member(channel("g"), UserId(3))), "I10: channel 103 has 2 members and counts 3");
    let count = |tx: &mut Tx| {
        let key = keys::channel(channel("g"));
        let record = ChannelRecord::decode(&get(tx, &key)).expect("a channel");
        tx.set(&key, &ChannelRecord { member_count: 4, ..record }.encode());
    };
    check(count, "I10: channel 103 has 3 members and counts 4");
    check(|tx| tx.set(&keys::message(channel("g"), Seq(2)), b""), "a message record of 0 bytes is damaged");
}

#[test]
fn how_far_it_is_is_told() {
    let world = world(SCRIPT);
    let mut seen = Vec::new();
    let all = block_on(check::run(&world.engine, |checked| seen.push(*checked))).expect("right");
    assert_eq!((all.channels, all.messages, all.first_replies, all.users), (2, 4, 4, 4));
    assert!(seen.len() > 4 && seen.windows(2).all(|pair| pair[0].messages <= pair[1].messages));
    assert!(matches!(
        CheckError::from(chat::LayerError::Store(kv::Error::Conflict)),
        CheckError::Store(kv::Error::Conflict)
    ));
}

/// User 4 was a member of `g` for the second message, which is deleted; the first is edited, names 2, and has two
/// reactions.
const CHANGED: &str = "1 sends a to 2; 1 adds 4; 2 sends b; 1 removes 4; 2 puts e=👍 on 1, 3 puts e=👍 on 1; \
    1 edits e=x of 1; 2 deletes d of 2; l.1 founds 2+3; l.1 sends a, l.2 sends b";

/// What the check finds after `spoil`, of what became of messages, and of large channels.
fn check_changed(spoil: impl Fn(&mut Tx), expected: &str) {
    check_after(CHANGED, spoil, expected);
}

fn emoji() -> schema::Emoji {
    "👍".parse().expect("an emoji")
}

/// Puts an event behind all others of a user's inbox.
fn told_last(tx: &mut Tx, user: u64, channel_name: &str, body: EventRecordBody) {
    let last = rows(tx, &keys::inbox_after(UserId(1), Position::START)).pop().expect("an event");
    let (_, place) = keys::inbox_place(&last.key).expect("its key");
    let event = EventRecord { channel: channel(channel_name), body };
    tx.set(&keys::inbox(UserId(user), place.stamp.at(place.ordinal + 9)), &event.encode());
}

#[test]
fn counts_that_are_not_their_reactions_are_found() {
    let (g, first) = (channel("g"), Seq(1));
    let of = move |user| keys::reaction(g, first, &emoji(), UserId(user));
    check_changed(|tx| tx.clear(&of(2)), "I5: #1 of channel 103 counts");
    check_changed(|tx| tx.clear(&keys::tallies(g, first)), "I5: #1 of channel 103 counts");
    check_changed(|tx| tx.set(&of(9), &[1]), "I5: #1 of channel 103 counts");
    let both = |tx: &mut Tx| [2, 3].iter().for_each(|&user| tx.clear(&of(user)));
    check_changed(both, "its users put nothing there");
    let deleted = |tx: &mut Tx| tx.set(&keys::reaction(g, Seq(2), &emoji(), UserId(1)), &[1]);
    check_changed(deleted, "I5: #2 of channel 103 has reactions, and is gone");
    let (nowhere, three) = (|tx: &mut Tx| tx.set(&keys::reaction(g, Seq(3), &emoji(), UserId(1)), &[1]), "I5: #3");
    check_changed(nowhere, three);
}

#[test]
fn what_became_of_a_message_is_told_to_its_readers_alone() {
    let reaction =
        |seq| EventRecordBody::Reaction { seq: Seq(seq), emoji: emoji(), count: 1, user: UserId(2), on: true };
    check_changed(|tx| told_last(tx, 4, "g", reaction(1)), "I10: user 4 was told at");
    check_changed(|tx| told_last(tx, 1, "g", reaction(3)), "I10: user 1 was told at");
    check_changed(|tx| told_last(tx, 4, "g", EventRecordBody::Deleted { seq: Seq(1), revision: 1 }), "I10: user 4");
    check_changed(|tx| told_last(tx, 4, "g", EventRecordBody::Edited { seq: Seq(1), revision: 1 }), "I10: user 4");
    let newer = EventRecordBody::Edited { seq: Seq(1), revision: 2 };
    check_changed(|tx| told_last(tx, 1, "g", newer.clone()), "I6: the inbox of user 1 names revision 2 of #1");
}

#[test]
fn a_deletion_that_left_something_and_names_without_a_row_are_found() {
    let says = |tx: &mut Tx| message(tx, 2, |record| record.body = schema::record::BodyRecord::Inline("b".into()));
    check_changed(says, "I2: channel 103: #2 was deleted and still says something");
    check_changed(|tx| message(tx, 2, |record| record.deleted = false), "which is not it");
    check_changed(|tx| message(tx, 1, |record| record.revision = 0), "which is not it");
    let mention = |tx: &Tx, user| rows(tx, &keys::mentions_before(UserId(user), None)).pop().expect("it is named").key;
    check_changed(|tx| tx.clear(&mention(tx, 2)), "I6: user 2 is named in #1 of channel 103 and has no row of it");
    let other = |tx: &mut Tx| {
        let named = keys::MentionKey::of_key(&mention(tx, 2)).expect("its key");
        tx.set(&keys::MentionKey { user: UserId(3), ..named }.to_key(), &[1]);
    };
    check_changed(other, "I6: user 3 has a row of #1 of channel 103, which does not name it");
}

#[test]
fn a_large_channel_that_is_not_dense_or_in_an_inbox_is_found() {
    let l = channel("l");
    check_changed(|tx| tx.clear(&keys::message(l, Seq(1))), "I2: channel 108: #2 comes after #0");
    let sent = EventRecordBody::Message { seq: Seq(1), revision: 0 };
    check_changed(|tx| told_last(tx, 2, "l", sent.clone()), "I6: user 2 was told #1 of channel 108");
    let deleted = EventRecordBody::Deleted { seq: Seq(1), revision: 1 };
    check_changed(|tx| told_last(tx, 2, "l", deleted.clone()), "I10: user 2 was told at");
    check_changed(|tx| tx.clear(&keys::large(UserId(2), l)), "I10: user 2 has the large channels []");
    check_changed(|tx| tx.set(&keys::large(UserId(2), channel("g")), &[1]), "I10: user 2 has the large channels");
    let officer = |tx: &mut Tx| {
        let record = get(tx, &keys::officer(l, UserId(1)));
        tx.set(&keys::officer(l, UserId(2)), &record);
    };
    check_changed(officer, "I10: user 2 has a role in channel 108 that its membership has not");
    check_changed(|tx| tx.clear(&keys::member(l, UserId(3))), "I10: channel 108 has 2 members and counts 3");
}
