//! Messages with media: whose they may be, what holds them and what lets them go, and what readers see of them.

use chat::check::{self, CheckError};
use chat::keys;
use futures_lite::future::block_on;
use kv::memory::CommitFault::{self, Conflict, UnknownCommitted, UnknownLost};
use kv::memory::MemoryEngine;
use kv::{Engine, RangeRequest, Transaction};
use schema::command::HistoryWindow;
use schema::limits::MEDIA_OF_MESSAGE_MAX;
use schema::record::MediaRecord;
use schema::{Attachment, MediaId, MediaKind, Seq, UnixMs, UserId};

use crate::search::asked;
use crate::world::{WALL, World, carried, channel, faulty, rows, store, write};

/// A media of a user. Those of user 1 are 10 to 29, pictures but for 12, a report; those of user 2 are from 30 on.
fn record(id: u64) -> MediaRecord {
    let (kind, content_type, name) = match id {
        12 => (MediaKind::File, "application/pdf", "Quarterly report.pdf".to_owned()),
        13 => (MediaKind::Image, "image/png", String::new()),
        _ => (MediaKind::Image, "image/jpeg", format!("cat{id}.jpg")),
    };
    let attachment = Attachment {
        media_id: MediaId(id),
        kind,
        content_type: content_type.into(),
        name: name.into(),
        bytes: 1_000 + id,
        width: 4,
        height: 3,
        blurhash: "LEHV6nWB2yk8pyo0adR*.7kCMdnj".into(),
        poster: None,
    };
    MediaRecord {
        owner: UserId(if id < 30 { 1 } else { 2 }),
        attachment,
        sha256: [1; 32],
        uploaded_sha256: [1; 32],
        created_ms: WALL,
        reserved_ms: UnixMs(0),
        part_bytes: 1,
        thumbnails: 0,
        thumbnails_type: String::new(),
    }
}

fn with_media(fates: &[CommitFault]) -> World<MemoryEngine> {
    let store = store();
    write(&crate::world::quiet(&store), |tx| {
        (10..35).for_each(|id| tx.set(&keys::media(MediaId(id)), &record(id).encode()));
    });
    World::current(faulty(&store, fates))
}

/// Runs a script in a world with media: it is answered so, its messages hold these and let these go.
fn check(script: &str, replies: &str, held: &str) {
    check_after(&[], script, replies, held);
}

fn check_after(fates: &[CommitFault], script: &str, replies: &str, held: &str) {
    let mut world = with_media(fates);
    assert_eq!(world.run(script), replies, "{script} after {fates:?}");
    assert_eq!(uses(&world), held, "{script} after {fates:?}");
    world.holds();
}

/// Which media which messages hold, and which are due to be looked at: `11 g#1, 12 due`.
fn uses(world: &World<MemoryEngine>) -> String {
    let held = rows(&world.engine, &table(keys::media_use(MediaId(0), channel("g"), Seq(0)))).into_iter().map(|row| {
        let (media, channel, seq) = keys::media_use_of(&row.key).expect("a use");
        format!("{media} {}{seq}", crate::world::name(channel))
    });
    let due = rows(&world.engine, &table(keys::media_due(WALL, MediaId(0)))).into_iter().map(|row| {
        let (due, media) = keys::media_due_of(&row.key).expect("due");
        assert_eq!(due, world.wall, "at once");
        format!("{media} due")
    });
    held.chain(due).collect::<Vec<_>>().join(", ")
}

/// All rows of the table of a key.
fn table(key: Vec<u8>) -> RangeRequest {
    RangeRequest::new(vec![key[0]], vec![key[0] + 1])
}

#[test]
fn a_message_carries_its_senders_media_and_holds_them() {
    check("1 sends a with 11", "#1", "11 g#1");
    check("1 sends a= with 11+12", "#1", "11 g#1, 12 g#1");
    check("1 sends a with 11, d.1 sends b with 11", "#1, #1", "11 d#1, 11 g#1");
    check("l.1 founds 2; l.1 sends a with 11", "made l; #1", "11 l#1");
    check("2 sends a with 31; 1 sends b with 11 re 1; 1 sends c with 12 to 2", "#1; #2; #3", "11 g#2, 12 g#3, 31 g#1");
    check("1 sends a", "#1", "");
}

#[test]
fn what_may_not_be_carried_is_refused_and_nothing_is_held() {
    // Another's, one that is not there, and one of several.
    check("1 sends a with 31; 1 sends b with 77; 1 sends c with 11+31; 2 sends e with 11", "107; 107; 107; 107", "");
    check("1 sends a with 11+12+11; 1 sends b with none", "107; 107", "");
    check("9 sends a with 11; 1 sends b with 31 re 7", "102; 123", "");
    // The next is not lost by it.
    check("1 sends a with 31, 1 sends b with 11, 1 sends c with 77, 1 sends e", "107, #1, 107, #2", "11 g#1");
    let many = |last: u64| (10..=last).map(|id| id.to_string()).collect::<Vec<_>>().join("+");
    let most = 9 + u64::from(MEDIA_OF_MESSAGE_MAX);
    let held: Vec<_> = (10..=most).map(|id| format!("{id} g#1")).collect();
    check(&format!("1 sends a with {}", many(most)), "#1", &held.join(", "));
    check(&format!("1 sends a with {}", many(most + 1)), "106", "");
}

#[test]
fn the_same_send_again_has_its_first_reply_and_holds_nothing_twice() {
    check("1 sends a with 11; 1 sends a with 11; 1 sends a with 12; 1 sends a", "#1; #1 again; 121; 121", "11 g#1");
    check("1 sends a with 11+12; 1 sends a with 12+11; 1 sends a; 1 sends b", "#1; 121; 121; #2", "11 g#1, 12 g#1");
    check("1 sends a; 1 sends a with 11", "#1; 121", "");
    // Its media are looked at no more: it is stored.
    check("1 sends a with 11; 1 deletes e of 1; 1 sends a with 11", "#1; revision 1; #1 again", "11 due");
    let script = "1 sends a with 11+12, 1 sends b with 13; 1 deletes e of 1";
    for fates in [&[][..], &[UnknownCommitted; 5], &[UnknownLost, UnknownCommitted, Conflict, UnknownCommitted]] {
        check_after(fates, script, "#1, #2; revision 1", "13 g#2, 11 due, 12 due");
    }
}

#[test]
fn an_edit_keeps_what_is_carried_and_a_deletion_lets_it_go() {
    check("1 sends a with 11; 1 edits e=b of 1", "#1; revision 1", "11 g#1");
    // The text may go where there are media, and only there.
    check("1 sends a with 11; 1 edits e= of 1; 1 sends c; 1 edits f= of 2", "#1; revision 1; #2; 107", "11 g#1");
    check("1 sends a with 11+12; 1 deletes e of 1; 1 deletes e of 1", "#1; revision 1; revision 1", "11 due, 12 due");
    check("1 sends a with 11; 1 deletes e of 1; 1 deletes f of 1", "#1; revision 1; revision 1", "11 due");
    check("2 sends a with 31; 1 deletes e of 1", "#1; revision 1", "31 due");
    // What another message holds stays: who sweeps looks.
    check("1 sends a with 11; d.1 sends b with 11; 1 deletes e of 1", "#1; #1; revision 1", "11 d#1, 11 due");
    check("1 sends a with 11, 1 deletes e of 1, 1 sends b with 11", "#1, revision 1, #2", "11 g#2, 11 due");
}

#[test]
fn what_an_application_changes_keeps_its_media_and_what_it_refuses_holds_none() {
    check("1 sends a with 11 judged as b", "#1", "11 g#1");
    check("1 sends a with 11 judged no; 1 sends b with 12 judged unasked", "125; 114", "");
    check("1 sends a with 11 judged as b; 1 sends a with 11 judged no", "#1; #1 again", "11 g#1");
    let mut world = with_media(&[]);
    world.run("1 sends a= with 11 judged as b; 1 edits e=c of 1 judged as f");
    assert!(world.inbox(2, 9).ends_with("g#1=f [cat11.jpg], g#1 edited=f [cat11.jpg]"), "{}", world.inbox(2, 9));
}

#[test]
fn readers_see_what_a_message_carries_until_it_is_deleted() {
    let mut world = with_media(&[]);
    world.run("1 sends a with 11+12; 1 sends b; 1 edits e=c of 1; 2 puts f=👍 on 1");
    let seen = |world: &World<MemoryEngine>| {
        let page = world.history(2, "g", HistoryWindow::Newest, 9).expect("readable");
        let words = page.messages.iter().map(|message| format!("{}={}{}", message.seq, message.body, carried(message)));
        words.collect::<Vec<_>>().join("; ")
    };
    assert_eq!(seen(&world), "#1=c [cat11.jpg, Quarterly report.pdf]; #2=b");
    let page = world.history(2, "g", HistoryWindow::Newest, 9).expect("readable");
    assert_eq!(page.messages[0].media, [record(11).attachment, record(12).attachment]);
    // Hints bear it too, and inboxes that are read later.
    let hinted = world.hints.iter().flat_map(|(_, _, events)| events).map(crate::world::event_words);
    assert!(hinted.into_iter().any(|event| event == "g#1=a [cat11.jpg, Quarterly report.pdf]"));
    assert!(world.inbox(3, 1).contains("g#1=c [cat11.jpg, Quarterly report.pdf]"), "{}", world.inbox(3, 1));
    world.run("1 deletes h of 1");
    assert_eq!(seen(&world), "#1=; #2=b");
    world.holds();
}

#[test]
fn a_message_is_found_by_the_names_of_its_files_until_it_is_deleted() {
    for indexed in [false, true] {
        let mut world = with_media(&[]);
        world.run("1 sends a=numbers with 12; 1 sends b= with 11; 1 sends c=report; 1 sends e= with 13");
        let index = |world: &World<MemoryEngine>| {
            if indexed {
                world.index("g");
            }
        };
        index(&world);
        let check = |world: &World<MemoryEngine>, query: &str, expected: &str| {
            assert_eq!(world.search(2, &asked(query)), expected, "{query}, indexed: {indexed}");
        };
        check(&world, "report", "g#3 g#1");
        check(&world, "quarterly numbers", "g#1");
        check(&world, "cat11", "g#2");
        check(&world, "pdf", "g#1");
        world.run("1 edits f=figures of 1; 1 deletes h of 2");
        check(&world, "cat11", "");
        index(&world);
        check(&world, "quarterly figures", "g#1");
        check(&world, "quarterly numbers", "");
        check(&world, "cat11", "");
    }
}

#[test]
fn a_media_that_is_removed_meanwhile_is_carried_by_nobody() {
    let mut world = with_media(&[]);
    let shard = usize::from(world.view.home_of_channel(channel("g")).shard.0);
    world.push("1 sends a with 11");
    let batch = world.next_batch(shard).expect("one");
    let engine = world.engine.clone();
    // Between the reads of the batch and its commit: the first attempt fails, the second finds none.
    write(&engine, |tx| tx.clear(&keys::media(MediaId(11))));
    world.run_one(shard, batch);
    world.drain();
    assert_eq!((world.reply(1), uses(&world)), ("107".to_owned(), String::new()));
    world.holds();
}

#[test]
fn a_media_that_cannot_be_read_is_carried_by_nobody_and_what_carries_it_already_is_read() {
    let mut world = with_media(&[]);
    world.run("1 sends a with 11");
    write(&world.engine, |tx| tx.set(&keys::media(MediaId(11)), &[0xEE]));
    assert_eq!(world.run("1 sends b with 11, 1 sends c with 12; 1 sends a with 11"), "100, #2; #1 again");
    assert!(world.inbox(2, 9).ends_with("g#1=a [cat11.jpg], g#2=c [Quarterly report.pdf]"), "{}", world.inbox(2, 9));
    assert_eq!(world.run("1 deletes e of 1"), "revision 1");
    assert_eq!(uses(&world), "12 g#2, 11 due");
}

/// What the check of a store finds after something in it was spoiled.
fn check_spoiled(spoil: impl Fn(&mut <MemoryEngine as Engine>::Tx), expected: &str) {
    let mut world = with_media(&[]);
    world.run("1 sends a with 11; 1 sends b with 12; 1 deletes e of 2");
    world.holds();
    write(&world.engine, |tx| spoil(tx));
    let found: CheckError = block_on(check::run(&world.engine, |_| {})).expect_err(expected);
    assert!(found.to_string().contains(expected), "{found}, not {expected}");
}

#[test]
fn the_check_finds_media_that_nothing_holds_or_that_hold_nothing() {
    let (g, one) = (channel("g"), Seq(1));
    check_spoiled(|tx| tx.clear(&keys::media_use(MediaId(11), g, one)), "#1 of channel 103 carries media 11");
    check_spoiled(|tx| tx.set(&keys::media_use(MediaId(12), g, one), &[1]), "media 12 is held by #1 of channel 103");
    check_spoiled(|tx| tx.set(&keys::media_use(MediaId(11), g, Seq(2)), &[1]), "media 11 is held by #2 of channel 103");
    check_spoiled(|tx| tx.clear(&keys::media(MediaId(11))), "media 11 is held by #1 of channel 103");
}
