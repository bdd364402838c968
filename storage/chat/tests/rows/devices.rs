//! Devices of an account, in scripts: `phone@1` is the device "phone" that connects with login 1.

use chat::accounts::{self, FAMILY_OPERATOR, NewFamily, NewToken};
use chat::devices::{self, Connecting};
use chat::keys;
use chat::{LayerError, inbox};
use futures_lite::future::block_on;
use kv::memory::CommitFault::{self, Conflict, Throttled, UnknownCommitted, UnknownLost};
use kv::memory::MemoryEngine;
use schema::limits::DEVICES_OF_USER_MAX;
use schema::page::{InboxPage, SessionStart};
use schema::{Cursor, DeviceId, Position, Stamp, UnixMs, UserId};

use crate::world::{self, WALL, faulty, rows, store};

const USER: UserId = UserId(1);

fn device(name: &str) -> DeviceId {
    name.parse().expect("a legal name")
}

fn log_in(engine: &MemoryEngine, family: u64) {
    let hash = [u8::try_from(family).expect("a small number"); 32];
    let token = NewToken { hash, expires_ms: WALL.plus_ms(1 << 40) };
    block_on(accounts::open_family(engine, USER, &NewFamily { family, device: None, token }, WALL)).expect("logged in");
}

fn connecting(name: &str, family: u64, cursor: Option<Cursor>) -> Connecting {
    Connecting { user: USER, device: device(name), family, client: "crab/1.0".to_owned(), cursor }
}

fn open(engine: &MemoryEngine, name: &str, family: u64, wall: UnixMs) -> Result<SessionStart, LayerError> {
    block_on(devices::open(engine, &connecting(name, family, None), wall))
}

/// The devices, the one that connected last first, each with its logins: `phone 1+2`.
fn listed(engine: &MemoryEngine) -> String {
    let devices = block_on(devices::list(engine, USER)).expect("readable");
    let words = devices.iter().map(|(device, record)| {
        let families: Vec<String> = record.families.iter().map(u64::to_string).collect();
        format!("{device} {}", families.join("+"))
    });
    words.collect::<Vec<_>>().join(", ")
}

fn step(engine: &MemoryEngine, words: &str) -> String {
    let number = |text: &str| text.parse().unwrap_or_else(|_| panic!("{text} is no number in {words}"));
    match words.split(' ').collect::<Vec<_>>()[..] {
        ["login", family] => {
            log_in(engine, number(family));
            "done".to_owned()
        }
        ["logout", family] => {
            block_on(accounts::revoke_family(engine, USER, number(family))).expect("revoked");
            "done".to_owned()
        }
        ["live", family] => block_on(accounts::family_is_live(engine, USER, number(family))).expect("read").to_string(),
        ["revoke", name] => block_on(devices::revoke(engine, USER, &device(name))).expect("revoked").to_string(),
        ["list"] => listed(engine),
        [opens] => {
            let (name, family) = opens.split_once('@').expect("a device and its login");
            world::words(open(engine, name, number(family), WALL).map(|_| "open".to_owned()))
        }
        _ => panic!("no such step: {words}"),
    }
}

fn check(fates: &[CommitFault], script: &str) {
    let engine = faulty(&store(), fates);
    for line in script.split("; ") {
        let (words, expected) = line.split_once(" ? ").unwrap_or((line, "done"));
        assert_eq!(step(&engine, words), expected, "{words} in {script} after {fates:?}");
    }
}

#[test]
fn a_device_connects_while_its_login_lives() {
    check(&[], "phone@1 ? 101; login 1; phone@1 ? open; logout 1; phone@1 ? 101; list ? phone 1");
    check(&[], "phone@0 ? open; list ? phone 0");
}

#[test]
fn devices_are_listed_by_their_last_connect_with_the_logins_that_they_came_with() {
    check(&[], "login 1; login 2; phone@1 ? open; tab@1 ? open; list ? tab 1, phone 1");
    check(&[], "login 1; login 2; phone@1 ? open; tab@1 ? open; phone@2 ? open; list ? phone 1+2, tab 1");
    check(&[], "login 1; login 2; phone@1 ? open; phone@2 ? open; phone@1 ? open; list ? phone 2+1");
}

#[test]
fn a_revoked_device_is_gone_with_its_logins() {
    check(&[], "login 1; login 2; phone@1 ? open; tab@2 ? open; revoke phone ? true; live 1 ? false; live 2 ? true");
    check(&[], "login 1; phone@1 ? open; revoke phone ? true; phone@1 ? 101; list ? ; revoke phone ? false");
    check(&[], "revoke phone ? false; phone@0 ? open; revoke phone ? true; live 0 ? true");
    check(&[], "login 1; login 2; phone@1 ? open; phone@2 ? open; revoke phone ? true; live 1 ? false; live 2 ? false");
}

#[test]
fn a_device_keeps_eight_logins_and_the_oldest_beyond_ends() {
    let logins = (1..=9).map(|family| format!("login {family}; phone@{family} ? open")).collect::<Vec<_>>().join("; ");
    check(&[], &format!("{logins}; live 1 ? false; live 2 ? true; list ? phone 2+3+4+5+6+7+8+9"));
    // What has ended makes room first.
    let eight = logins.strip_suffix("; login 9; phone@9 ? open").expect("the ninth is the last");
    check(&[], &format!("{eight}; logout 4; login 9; phone@9 ? open; live 1 ? true; list ? phone 1+2+3+5+6+7+8+9"));
    check(&[], &format!("{eight}; phone@0 ? open; live 1 ? false; list ? phone 2+3+4+5+6+7+8+0"));
    check(&[], &format!("{eight}; phone@0 ? open; login 9; phone@9 ? open; list ? phone 2+3+4+5+6+7+8+9"));
}

#[test]
fn a_login_that_only_a_dropped_device_used_ends_with_it() {
    let others = (2..=DEVICES_OF_USER_MAX).map(|at| format!("tab-{at}@2 ? open")).collect::<Vec<_>>().join("; ");
    // The oldest of sixteen goes: its own login ends, one that it shares with others lives.
    check(
        &[],
        &format!(
            "login 1; login 2; phone@1 ? open; phone@2 ? open; {others}; new@2 ? open; live 1 ? false; live 2 ? true"
        ),
    );
    check(&[], &format!("login 1; login 2; phone@1 ? open; {others}; new@1 ? open; live 1 ? true"));
}

#[test]
fn the_devices_that_connected_last_are_kept() {
    let engine = faulty(&store(), &[]);
    for at in 0..DEVICES_OF_USER_MAX {
        open(&engine, &format!("tab-{at}"), FAMILY_OPERATOR, WALL).expect("opened");
    }
    open(&engine, "tab-0", FAMILY_OPERATOR, WALL).expect("opened");
    let names = || -> Vec<String> {
        block_on(devices::list(&engine, USER))
            .expect("readable")
            .into_iter()
            .map(|(name, _)| name.to_string())
            .collect()
    };
    assert_eq!(names().len(), 16, "one that is known needs no room");
    open(&engine, "phone", FAMILY_OPERATOR, WALL).expect("opened");
    let kept = names();
    assert_eq!((kept.len(), kept[0].as_str(), kept[1].as_str()), (16, "phone", "tab-0"));
    assert!(!kept.contains(&"tab-1".to_owned()), "it connected longest ago");
    assert_eq!(rows(&engine, &keys::devices(USER)).len(), 16);
}

#[test]
fn the_later_connect_has_the_greater_stamp() {
    let engine = faulty(&store(), &[]);
    let first = open(&engine, "phone", FAMILY_OPERATOR, WALL).expect("opened");
    let second = open(&engine, "phone", FAMILY_OPERATOR, WALL.plus_ms(5)).expect("opened");
    assert!(first.stamp < second.stamp);
    let devices = block_on(devices::list(&engine, USER)).expect("readable");
    let (name, record) = &devices[0];
    assert_eq!((name.as_str(), record.stamp, record.client.as_str()), ("phone", second.stamp, "crab/1.0"));
    assert_eq!((record.connected_ms, record.last_active_ms), (WALL.plus_ms(5), WALL));
    let again = connecting("phone", FAMILY_OPERATOR, None);
    let at_once = futures_lite::future::zip(devices::open(&engine, &again, WALL), devices::open(&engine, &again, WALL));
    let (one, other) = block_on(at_once);
    let (one, other) = (one.expect("opened").stamp, other.expect("opened").stamp);
    assert_ne!(one, other);
    let stored = block_on(devices::list(&engine, USER)).expect("readable")[0].1.stamp;
    assert_eq!(stored, one.max(other), "the row is the later's");
}

#[test]
fn a_session_starts_where_its_cursor_says_or_at_the_newest() {
    let engine = faulty(&store(), &[]);
    let newest = open(&engine, "tab", FAMILY_OPERATOR, WALL).expect("opened").cursor;
    let limits = inbox::InboxLimits { rows: 100, bytes: 1 << 20, at_connect: true };
    let after = block_on(inbox::read(&engine, USER, newest.position, newest.position.stamp.version, limits));
    let InboxPage::Events { events, exhausted, .. } = after.expect("readable") else { panic!("behind") };
    assert!(events.is_empty() && exhausted, "nothing came since");
    let check = |cursor: Cursor, expected: &str| {
        let opened = block_on(devices::open(&engine, &connecting("phone", FAMILY_OPERATOR, Some(cursor)), WALL));
        let there = |start: SessionStart| if start.cursor == cursor { "there" } else { "elsewhere" }.to_owned();
        assert_eq!(world::words(opened.map(there)), expected, "{cursor:?}");
    };
    check(newest, "there");
    check(Cursor { position: Position::START, ..newest }, "there");
    check(Cursor { generation: newest.generation + 1, ..newest }, "112");
    let ahead = Stamp { version: newest.position.stamp.version + 1_000_000, batch: 0 };
    check(Cursor { position: ahead.at(0), ..newest }, "112");
    let opened = open(&engine, "phone", FAMILY_OPERATOR, WALL).expect("opened");
    assert!(newest < opened.cursor && opened.cursor.position.stamp < opened.stamp, "before its own commit");
}

#[test]
fn an_unknown_outcome_is_found_out() {
    for fates in [
        &[UnknownCommitted][..],
        &[UnknownLost],
        &[Throttled, UnknownLost, Conflict],
        &[Conflict, UnknownCommitted, Conflict],
        &[UnknownLost, UnknownLost, UnknownCommitted],
    ] {
        check(fates, "phone@0 ? open; list ? phone 0; revoke phone ? true; revoke phone ? false");
    }
    let once = store();
    let engine = faulty(&once, &[]);
    log_in(&engine, 1);
    open(&engine, "phone", 1, WALL).expect("opened");
    for fates in [&[UnknownCommitted][..], &[UnknownLost, Conflict], &[Conflict, UnknownCommitted]] {
        let engine = faulty(&once, fates);
        assert!(block_on(devices::revoke(&engine, USER, &device("phone"))).expect("revoked"), "{fates:?}");
        assert_eq!(step(&engine, "live 1"), "false");
        log_in(&engine, 1);
        open(&engine, "phone", 1, WALL).expect("opened");
    }
}
