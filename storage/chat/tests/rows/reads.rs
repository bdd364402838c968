//! Reads of clients: inboxes, snapshots, histories, lists of channels.

use std::sync::Arc;

use chat::inbox::InboxLimits;
use chat::keys;
use chat::share::Share;
use chat::{channels, dedup, inbox};
use futures_lite::future::block_on;
use kv::Transaction;
use schema::command::HistoryWindow;
use schema::limits::{BODY_CHARS_MAX, CATCH_UP_ROWS_MAX, HISTORY_BYTES_MAX, INBOX_DAYS};
use schema::page::InboxPage;
use schema::{ClientMsgId, EventBody, Position, Seq, Stamp, UnixMs, UserId};

use crate::world::{DAY_MS, WALL, channel, parse, rows, text, words, world, write};

const WHOLE: InboxLimits = InboxLimits { rows: 1_000, bytes: 1 << 30, at_connect: false };

fn events(page: InboxPage) -> (Vec<schema::Event>, Position, bool) {
    match page {
        InboxPage::Events { events, through, exhausted } => (events, through, exhausted),
        InboxPage::Behind => panic!("behind"),
    }
}

/// A page of channel g's history: seqs, then the head, the first and whether there is more.
fn check_history(script: &str, user: u64, window: HistoryWindow, limit: u32, expected: &str) {
    let world = world(script);
    let found = words(world.history(user, "g", window, limit).map(|page| {
        let seqs: Vec<String> = page.messages.iter().map(|message| message.seq.0.to_string()).collect();
        let more = if page.more { " more" } else { "" };
        format!("{} of {}..{}{more}", seqs.join(" "), page.first_seq.0, page.head_seq.0)
    }));
    assert_eq!(found, expected, "{script}: {window:?} {limit} for {user}");
}

#[test]
fn a_page_of_history_is_within_the_ranges_of_its_reader() {
    use HistoryWindow::{After, Around, Before, Newest};
    let five = "1 sends a, 1 sends b, 1 sends c, 1 sends e, 1 sends f";
    check_history(five, 1, Newest, 2, "4 5 of 1..5 more");
    check_history(five, 1, Newest, 5, "1 2 3 4 5 of 1..5");
    check_history(five, 1, Before(Seq(3)), 50, "1 2 of 1..5");
    check_history(five, 1, Before(Seq(4)), 2, "2 3 of 1..5 more");
    check_history(five, 1, Before(Seq(1)), 2, " of 1..5");
    check_history(five, 1, After(Seq(2)), 2, "3 4 of 1..5 more");
    check_history(five, 1, After(Seq(5)), 2, " of 1..5");
    check_history(five, 1, After(Seq(0)), 5, "1 2 3 4 5 of 1..5");
    check_history(five, 1, Around(Seq(3)), 3, "2 3 4 of 1..5 more");
    check_history(five, 1, Around(Seq(1)), 4, "1 2 3 4 of 1..5 more");
    check_history(five, 1, Around(Seq(3)), 9, "1 2 3 4 5 of 1..5");
    check_history(five, 9, Newest, 5, "102");
    check_history("", 1, Newest, 5, " of 1..0");
    let away = "1 sends a, 1 sends b; 1 removes 3; 1 sends c, 1 sends e; 1 adds 3; 1 sends f";
    check_history(away, 3, Newest, 9, "1 2 5 of 1..5");
    check_history(away, 3, Newest, 2, "2 5 of 1..5 more");
    check_history(away, 3, Before(Seq(5)), 9, "1 2 of 1..5");
    check_history(away, 3, After(Seq(2)), 9, "5 of 1..5");
    check_history(away, 3, Around(Seq(4)), 2, "2 5 of 1..5 more");
    let left = "1 sends a; 3 removes 3; 1 sends b";
    check_history(left, 3, Newest, 9, "1 of 1..1");
    check_history("1 sends a; 1 removes 3; 1 sends b; 1 adds 3", 3, Newest, 9, "1 of 1..2");
    check_history("1 sends a; 1 adds 4", 4, Newest, 9, " of 2..1");
    check_history("1 sends a; 1 adds 4; 1 sends b", 4, Newest, 9, "2 of 2..2");
}

#[test]
fn the_longest_bodies_are_kept_and_pages_of_them_are_cut() {
    let mut world = world("");
    let noise = |seed: u32| -> Arc<str> {
        let char = |at: u32| char::from_u32(0x1_0000 + (at ^ seed).wrapping_mul(2_654_435_761) % 0xF_0000);
        (0..BODY_CHARS_MAX).map(|at| char(at).expect("a plane of characters")).collect::<String>().into()
    };
    let bodies: Vec<Arc<str>> = vec![noise(1), "가".repeat(100_000).into(), "a".repeat(8_193).into(), noise(2)];
    for (id, body) in (0..).zip(&bodies) {
        world.push_op(channel("g"), text(1, ClientMsgId::new(WALL, id), Arc::clone(body)));
    }
    world.drain();
    world.holds();
    // Inboxes and histories come in pages of their bytes, and one message always comes.
    let mut after = Position::START;
    let mut told = Vec::new();
    loop {
        let limits = InboxLimits { bytes: 300_000, ..WHOLE };
        let (events, through, exhausted) =
            events(block_on(inbox::read(&world.engine, UserId(2), after, 0, limits)).expect("readable"));
        let texts = events.iter().filter_map(|event| match &event.body {
            EventBody::Message(message) => Some(Arc::clone(&message.body)),
            EventBody::Edited(_)
            | EventBody::Deleted { .. }
            | EventBody::Reaction { .. }
            | EventBody::Membership { .. }
            | EventBody::Read { .. } => None,
        });
        let texts: Vec<_> = texts.collect();
        assert!(texts.len() <= 2, "{} texts of 300 KB and more in a page", texts.len());
        told.extend(texts);
        after = through;
        if exhausted {
            break;
        }
    }
    assert_eq!(told, bodies);
    let page = world.history(2, "g", HistoryWindow::Newest, 200).expect("readable");
    assert_eq!((page.messages.len(), page.more), (1, true), "the newest alone is over {HISTORY_BYTES_MAX} bytes");
    assert_eq!(page.messages[0].body, bodies[3]);
}

#[test]
fn a_page_reaches_as_far_as_it_read_and_the_last_to_the_end_of_its_version() {
    let world = world("1 sends a, 1 sends b; 1 sends c");
    let read = |after, rows| {
        events(
            block_on(inbox::read(&world.engine, UserId(3), after, 0, InboxLimits { rows, ..WHOLE })).expect("readable"),
        )
    };
    let (all, end, exhausted) = read(Position::START, 100);
    assert!(exhausted && end > all.last().expect("four events").position);
    for (count, event) in (1..).zip(&all[..all.len() - 1]) {
        let (page, through, exhausted) = read(Position::START, count);
        assert_eq!((page.len(), through, exhausted), (count as usize, event.position, false));
        assert_eq!(read(through, 100).0, all[count as usize..]);
    }
    let count = u32::try_from(all.len()).expect("four");
    assert!(read(Position::START, count).2, "a page that is just full knows that it is the last");
    assert_eq!(read(end, 100).0, []);
}

#[test]
fn what_was_trimmed_is_behind_and_a_snapshot_stands_for_it() {
    let mut world = world("1 sends a, 1 sends b");
    world.wall = UnixMs(WALL.0 + INBOX_DAYS * DAY_MS + 1);
    let (before, ..) =
        events(block_on(inbox::read(&world.engine, UserId(3), Position::START, 0, WHOLE)).expect("readable"));
    let last_old = before.last().expect("three events").position;
    let cursor_before = before[1].position;
    world.run("1 sends c@30");
    assert_eq!(block_on(inbox::trim(&world.engine, UserId(3), WALL)).expect("nothing is old yet"), 0);
    assert_eq!(block_on(inbox::trim(&world.engine, UserId(3), world.wall)).expect("trimmed"), 3);
    assert_eq!(block_on(inbox::trim(&world.engine, UserId(3), world.wall)).expect("trimmed"), 0);
    let read = |after| block_on(inbox::read(&world.engine, UserId(3), after, 0, WHOLE)).expect("readable");
    assert_eq!(read(cursor_before), InboxPage::Behind);
    assert_eq!(read(Position::START), InboxPage::Behind);
    let (left, ..) = events(read(last_old));
    assert_eq!(left.iter().map(crate::world::event_words).collect::<Vec<_>>(), ["g#3=c"]);
    world.holds();

    let page = block_on(inbox::snapshot(&world.engine, UserId(3), None)).expect("readable");
    let channels: Vec<_> = page.channels.iter().map(|c| (c.channel_id, c.head_seq, c.read_seq, c.unread)).collect();
    assert_eq!(channels, [(channel("g"), Seq(3), Seq(0), 3)]);
    assert!(!page.more && inbox::snapshot_place(&page).is_none());
    let (after, ..) = events(read(page.through));
    assert!(after.is_empty(), "the snapshot showed it all");
}

#[test]
fn who_is_too_far_behind_at_connect_gets_a_snapshot() {
    let world = world("1 sends a");
    let row = rows(&world.engine, &keys::inbox_after(UserId(1), Position::START)).pop().expect("the message");
    let (_, newest) = keys::inbox_place(&row.key).expect("its key");
    let fill = |from: u32, to: u32| {
        write(&world.engine, |tx| {
            for at in from..to {
                let place = Stamp { version: newest.stamp.version + u64::from(at), batch: 0 }.at(0);
                tx.set(&keys::inbox(UserId(9), place), &row.value);
            }
        });
    };
    let connect = |at_connect| {
        let limits = InboxLimits { rows: 256, bytes: 1 << 20, at_connect };
        block_on(inbox::read(&world.engine, UserId(9), Position::START, 0, limits)).expect("readable")
    };
    fill(0, CATCH_UP_ROWS_MAX);
    assert_eq!(events(connect(true)).0.len(), 256);
    fill(CATCH_UP_ROWS_MAX, CATCH_UP_ROWS_MAX + 1);
    assert_eq!(connect(true), InboxPage::Behind);
    assert_eq!(events(connect(false)).0.len(), 256);
}

#[test]
fn a_snapshot_comes_in_pages_of_one_cursor() {
    let mut world = world("");
    for at in 0..schema::limits::SNAPSHOT_CHANNELS_MAX + 3 {
        let (_, op) = parse("x.4 makes 5");
        world.push_op(schema::ChannelId(1_000 + u64::from(at)), op);
    }
    world.drain();
    let first = block_on(inbox::snapshot(&world.engine, UserId(4), None)).expect("readable");
    let place = inbox::snapshot_place(&first).expect("there is more");
    world.run("x.4 makes 5");
    let second = block_on(inbox::snapshot(&world.engine, UserId(4), Some(place))).expect("readable");
    assert_eq!((first.channels.len(), second.channels.len(), second.more), (500, 3, false));
    assert_eq!(second.through, first.through);
}

#[test]
fn channels_are_listed_by_recent_activity() {
    let mut world = world("g.1 sends a");
    world.wall = UnixMs(WALL.0 + 5);
    world.run("d.2 sends b, d.2 sends c; 1 adds 4");
    let list = |user| -> Vec<String> {
        let list = block_on(channels::list(&world.engine, UserId(user), None, 50)).expect("readable");
        assert_eq!(list.next, None);
        let words = list.channels.iter().map(|summary| {
            let last = summary.last_message.as_ref().map_or("nothing".into(), |message| message.body.to_string());
            let peer = summary.peer.map_or(String::new(), |peer| format!(" with {peer}"));
            format!("{}{peer} {:?} unread {} last {last}", summary.id, summary.role, summary.unread)
        });
        words.collect()
    };
    assert_eq!(list(1), ["100 with 2 Member unread 2 last c", "103 Owner unread 0 last a"]);
    assert_eq!(list(2), ["100 with 1 Member unread 0 last c", "103 Member unread 1 last a"]);
    assert_eq!(list(4), ["103 Member unread 0 last nothing"], "what was before is not its");
    assert_eq!(list(9), Vec::<String>::new());
    let page = |user, after| {
        let page = block_on(channels::list(&world.engine, UserId(user), after, 1)).expect("readable");
        let ids: Vec<_> = page.channels.iter().map(|summary| summary.id.0).collect();
        (ids, page.unread_total, page.next)
    };
    let (first, unread, next) = page(1, None);
    assert_eq!((first, unread, next.is_some()), (vec![100], 2, true));
    assert_eq!(page(1, next), (vec![103], 2, None), "what is unread elsewhere counts on every page");
    let text = next.expect("there is more").to_string();
    assert_eq!(text.parse(), Ok(next.expect("there is more")));
    for bad in ["", "1", "x-1", "1-x", "1-2-3"] {
        assert_eq!(bad.parse::<channels::ChannelPlace>(), Err(channels::ParsePlaceError), "{bad:?}");
    }
    world.run("3 removes 3");
    let head = |user| {
        let got = block_on(channels::get(&world.engine, UserId(user), channel("g")));
        words(got.map(|summary| summary.head.seq.to_string()))
    };
    assert_eq!([2, 9, 3].map(head), ["#1", "102", "103"]);
    let members = |after, limit| {
        let page = block_on(channels::members(&world.engine, UserId(1), channel("g"), after, limit)).expect("a member");
        (page.users.iter().map(|(user, _)| user.0).collect::<Vec<_>>(), page.more)
    };
    assert_eq!(members(None, 2), (vec![1, 2], true));
    assert_eq!(members(Some(UserId(2)), 2), (vec![4], false));
}

/// Places in the list are times and channels, so that none is lost where something happened in many at once.
#[test]
fn channels_of_one_time_are_each_on_one_page() {
    let world = world("x.4 makes 5; y.4 makes 5; z.4 makes 5; y.4 sends a, z.4 sends b");
    for limit in [1, 2, 3, 50] {
        let (mut seen, mut after) = (Vec::new(), None);
        loop {
            let page = block_on(channels::list(&world.engine, UserId(4), after, limit)).expect("readable");
            seen.extend(page.channels.iter().map(|summary| summary.id));
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        assert_eq!(seen, ["x", "y", "z"].map(channel), "{limit} at a time");
    }
}

#[test]
fn a_user_is_in_no_more_channels_than_the_limit() {
    let mut world = world("");
    let joined = u64::from(schema::limits::CHANNELS_OF_USER_MAX - 1);
    write(&world.engine, |tx| tx.set(&keys::joined(UserId(4)), &joined.to_le_bytes()));
    assert_eq!(world.run("x.4 makes 5, y.4 makes 5; g.1 adds 4; z.5 makes 4"), "made x, 106; 106; 106");
    assert_eq!(world.run("x.4 removes 4; g.1 adds 4; y.5 makes 4"), "changed; changed; 106");
}

#[test]
fn first_replies_are_forgotten_when_nobody_may_ask() {
    let mut world = world("1 sends a");
    let later = |days| UnixMs(WALL.0 + days * DAY_MS);
    world.wall = later(30);
    block_on(dedup::clear(&world.engine, world.wall, &Share::whole())).expect("cleared");
    assert_eq!(world.run("1 sends a; 1 sends b"), "#1 again; #2");
    world.wall = later(34);
    block_on(dedup::clear(&world.engine, world.wall, &Share::whole())).expect("cleared");
    assert_eq!(world.run("1 sends a"), "124");
    assert_eq!(world.holds().first_replies, 0);
}
