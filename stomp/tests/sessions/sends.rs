//! SEND: receipts, refusals, transactions, and the bounds of what is not durable yet.

use std::collections::{BTreeSet, VecDeque};

use stomp::Version;

use crate::table::{Table, check, error, pushed, sent};

const ID: &str = "x-client-msg-id:019b76da-a800-7000-8000-000000000000";

#[test]
fn a_send_is_receipted_once_it_is_durable() {
    let id = r#""client_msg_id":"019b76da-a800-7000-8000-000000000000""#;
    let request =
        |more: &str| format!(r#"? {{"id":2,"send":{{"channel_id":"5",{id},"body":"hi",{more}"kind":"text"}}}}"#);
    for to in ["/channel/5", "/app/send/5"] {
        check(&[
            (&format!("> SEND destination:{to} receipt:r {ID} | hi"), &[&request("")]),
            (&sent(2), &["RECEIPT receipt-id:r x-seq:8 x-sent-ms:99 x-duplicate:false"]),
        ]);
    }
    check(&[(&format!("> SEND destination:/channel/5 {ID} | hi"), &[&request("")]), (&sent(2), &[])]);
    check(&[(
        &format!("> SEND destination:/channel/5 x-reply-to:3 x-mentions:1,2 {ID} | hi"),
        &[&request(r#""reply_to":3,"mentions":["1","2"],"#)],
    )]);
}

#[test]
fn messages_without_an_id_have_one_each() {
    let mut table = Table::connected(Version::V12, "");
    let requests = (0..3).flat_map(|_| table.step("> SEND destination:/channel/5 | x"));
    let ids = requests.map(|line| line.split(r#""client_msg_id":""#).nth(1).expect("an id")[..36].to_owned());
    let ids: BTreeSet<String> = ids.collect();
    assert_eq!(ids.len(), 3, "{ids:?}");
}

#[test]
fn what_is_refused_is_told_with_its_receipt_and_ends_the_connection() {
    check(&[
        ("> SEND destination:/channel/5 receipt:r | hi", &["? *"]),
        (&error(2, 103, false, 0), &["ERROR message:why receipt-id:r x-code:103 x-temporary:false", "x 1000"]),
        ("> SEND destination:/channel/5 | hi", &[]),
        (&pushed(1), &[]),
        ("close 3001", &[]),
    ]);
    for (frame, why) in [
        ("SEND", "SEND needs the header destination"),
        ("SEND destination:/queue/a", "no destination: there are *"),
        ("SEND destination:/user/queue/inbox", "nothing can be sent to /user/queue/inbox"),
        ("SEND destination:/channel/5 x-client-msg-id:7", "x-client-msg-id: expected a UUID*"),
        ("SEND destination:/channel/5 x-mentions:7,x", "x-mentions: expected a user id*"),
        ("SEND destination:/channel/5 x-reply-to:-1", "x-reply-to: invalid digit*"),
        ("SEND destination:/channel/5 transaction:t", "no transaction of this name has begun"),
        ("SUBSCRIBE destination:/channel/5", "SUBSCRIBE needs the header id"),
        ("SUBSCRIBE id:1", "SUBSCRIBE needs the header destination"),
        ("SUBSCRIBE id:1 destination:/channel/05", "no destination: there are *"),
        ("SUBSCRIBE id:1 destination:/app/send/5", "nobody can subscribe to /app/send/5"),
        ("SUBSCRIBE id:1 destination:/channel/5 ack:never", "ack is auto, client or client-individual"),
        ("SUBSCRIBE id:1 destination:/channel/5 x-events:some", "x-events is messages or all"),
        ("SUBSCRIBE id:1 destination:/channel/5 x-prefetch:1001", "x-prefetch is 1 to 1000"),
        ("SUBSCRIBE id:1 destination:/user/queue/inbox ack:client", "/user/queue/inbox has no ack but auto*"),
        ("UNSUBSCRIBE id:1", "there is no subscription of this id"),
        ("UNSUBSCRIBE destination:/channel/5", "UNSUBSCRIBE needs the header id"),
        ("ACK id:1-4", "no subscription that acknowledges*"),
        ("ACK id:x", "no subscription that acknowledges*"),
        ("NACK id:1-4", "no subscription that acknowledges*"),
        ("ACK", "ACK needs the header id"),
        ("BEGIN", "BEGIN needs the header transaction"),
        ("COMMIT transaction:t", "no transaction of this name has begun"),
        ("ABORT transaction:t", "no transaction of this name has begun"),
        ("RECEIPT receipt-id:1", "RECEIPT is a server's frame"),
    ] {
        let error = match why.strip_suffix('*') {
            Some(start) => format!("ERROR message:{start}*"),
            None => format!("ERROR message:{why} receipt-id:r x-code:107 x-temporary:false"),
        };
        check(&[(&format!("> {frame} receipt:r"), &[&error, "x 1000"])]);
    }
}

#[test]
fn a_body_is_text() {
    let mut table = Table::connected(Version::V12, "");
    let mut out = VecDeque::new();
    table.session.receive(table.now(), b"SEND\ndestination:/channel/5\n\n\xff\0", &mut out);
    let seen: Vec<String> = out.into_iter().map(|output| table.shown(output)).collect();
    assert!(seen[0].starts_with("ERROR message:the body is not UTF-8"), "{seen:?}");
}

#[test]
fn a_transaction_goes_at_its_commit() {
    let unknown = "ERROR message:no transaction of this name has begun*";
    check(&[
        ("> BEGIN transaction:t receipt:b", &["RECEIPT receipt-id:b"]),
        ("> SEND destination:/channel/5 transaction:t receipt:s | one", &[]),
        ("> SEND destination:/channel/6 transaction:t | two", &[]),
        (
            "> COMMIT transaction:t receipt:c",
            &[r#"? {"id":2,"send":{"channel_id":"5"*"#, r#"? {"id":3,"send":{"channel_id":"6"*"#],
        ),
        (&sent(2), &["RECEIPT receipt-id:s x-seq:8*"]),
        (&sent(3), &["RECEIPT receipt-id:c"]),
        ("> COMMIT transaction:t", &[unknown, "x 1000"]),
    ]);
    check(&[
        ("> BEGIN transaction:t", &[]),
        ("> SEND destination:/channel/5 transaction:t | one", &[]),
        ("> ABORT transaction:t receipt:a", &["RECEIPT receipt-id:a"]),
        ("> BEGIN transaction:t", &[]),
        ("> COMMIT transaction:t receipt:c", &["RECEIPT receipt-id:c"]),
        ("> BEGIN transaction:t", &[]),
        ("> BEGIN transaction:t", &["ERROR message:the transaction has begun already*", "x 1000"]),
    ]);
    let mut table = Table::connected(Version::V12, "");
    table.check(&[("> BEGIN transaction:t", &[])]);
    let send = "> SEND destination:/channel/5 transaction:t | one";
    for _ in 0..100 {
        table.check(&[(send, &[])]);
    }
    table.check(&[(send, &["ERROR message:transactions hold 100 frames and 1048576 bytes at the most*", "x 1000"])]);
    let mut table = Table::connected(Version::V12, "");
    for number in 0..16 {
        table.check(&[(&format!("> BEGIN transaction:{number}"), &[])]);
    }
    table.check(&[("> BEGIN transaction:t", &["ERROR message:16 transactions have begun, the limit*", "x 1000"])]);
}

/// STOMP cannot say "later".
#[test]
fn what_is_refused_for_now_is_sent_again_in_its_order() {
    let send = |n: u32| format!("> SEND destination:/channel/5 receipt:r{n} {ID} | {n}");
    let asked = |id: u32, n: u32| {
        let uuid = "019b76da-a800-7000-8000-000000000000";
        format!(r#"? {{"id":{id},"send":{{"channel_id":"5","client_msg_id":"{uuid}","body":"{n}","kind":"text"}}}}"#)
    };
    let receipt = |n: u32| format!("RECEIPT receipt-id:r{n} *");
    check(&[
        (&send(1), &[&asked(2, 1)]),
        (&send(2), &[&asked(3, 2)]),
        (&error(2, 114, true, 500), &[]),
        (&send(3), &[]),
        (&error(3, 114, true, 0), &[]),
        ("> DISCONNECT receipt:d", &[]),
        ("+999", &[]),
        ("+1", &[&asked(4, 1), &asked(5, 2), &asked(6, 3)]),
        (&sent(4), &[&receipt(1)]),
        (&error(5, 113, true, 10), &[]),
        (&error(6, 113, true, 10), &[]),
        ("+10", &[&asked(7, 2), &asked(8, 3)]),
        (&sent(7), &[&receipt(2)]),
        (&sent(8), &[&receipt(3), "RECEIPT receipt-id:d", "x 1000"]),
    ]);
    check(&[
        (&send(1), &[&asked(2, 1)]),
        (&error(2, 115, true, 30_000), &[]),
        ("+30000", &[&asked(3, 1)]),
        (
            &error(3, 115, true, 7),
            &["ERROR message:why receipt-id:r1 x-code:115 x-temporary:true x-retry-after-ms:7", "x 3015"],
        ),
    ]);
}

#[test]
fn a_client_is_not_read_while_much_of_it_is_not_durable() {
    let mut table = Table::connected(Version::V12, "");
    table.step(&format!("> SEND destination:/channel/5 | {}", "x".repeat(1024 * 1024)));
    assert!(!table.session.has_room(true));
    table.step(&sent(2));
    assert!(table.session.has_room(false));
    let mut table = Table::connected(Version::V12, "");
    table.step("> SEND destination:/channel/5 | x");
    table.step(&error(2, 111, true, 10));
    for _ in 0..255 {
        assert!(table.session.has_room(true));
        table.step("> SEND destination:/channel/5 | x");
    }
    assert!(!table.session.has_room(true));
    let asked = table.step("+10");
    assert_eq!(asked.len(), 50, "a burst would be refused again");
}

/// The server takes so many without an answer; more in one message it would refuse so often that it closes.
#[test]
fn many_sends_in_one_message_are_asked_for_as_they_are_answered() {
    let mut table = Table::connected(Version::V12, "");
    let frames = "SEND\ndestination:/channel/5\n\nx\0".repeat(3_000);
    let asked = table.step(&format!("bytes {frames}"));
    assert_eq!(asked.len(), 256);
    assert!(!table.session.has_room(true));
    for id in 2..=3_001 {
        let more = table.step(&sent(id));
        assert_eq!(more.len(), usize::from(id + 256 <= 3_001), "{id}: {more:?}");
    }
    assert!(table.session.has_room(false));
}
