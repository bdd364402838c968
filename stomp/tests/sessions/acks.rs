//! ACK: read marks, receipts that wait for them, and the window of what is not acknowledged.

use stomp::Version;

use crate::table::{Table, check, error, given, history, marked, opened, page, pushed};

fn mark(id: u32, seq: u64) -> String {
    format!(r#"? {{"id":{id},"mark":{{"channel_id":"5","read_seq":{seq}}}}}"#)
}

/// Subscribed with this `ack`, and given four messages.
fn given_four(ack: &str) -> Table {
    let mut table = Table::connected(Version::V12, "");
    table.check(&[(&format!("> SUBSCRIBE id:s destination:/channel/5 ack:{ack}"), &["? *"]), (&opened(2, 0), &[])]);
    for seq in 1..=4 {
        let with_ack = format!("MESSAGE destination:/channel/5 subscription:s message-id:5-{seq} ack:1-{seq} x-seq*");
        table.check(&[(&pushed(seq), &[&with_ack])]);
    }
    table
}

#[test]
fn an_ack_moves_the_read_mark() {
    given_four("client").check(&[
        ("> ACK id:1-3 receipt:a", &[&mark(3, 3)]),
        ("> ACK id:1-4 receipt:b", &[]),
        (&marked(3), &["RECEIPT receipt-id:a", &mark(4, 4)]),
        (&marked(4), &["RECEIPT receipt-id:b"]),
        ("> ACK id:1-2 receipt:c", &["RECEIPT receipt-id:c"]),
        ("> NACK id:1-2 receipt:n", &["RECEIPT receipt-id:n"]),
    ]);
    given_four("client-individual").check(&[
        ("> ACK id:1-3", &[]),
        ("> ACK id:1-1", &[&mark(3, 1)]),
        ("> ACK id:1-2", &[]),
        (&error(3, 115, true, 200), &[]),
        ("> ACK id:1-4", &[]),
        ("+200", &[&mark(4, 4)]),
        (&marked(4), &[]),
    ]);
    given_four("client").check(&[
        ("> ACK id:1-3", &[&mark(3, 3)]),
        ("> DISCONNECT receipt:d", &[]),
        (&marked(3), &["RECEIPT receipt-id:d", "x 1000"]),
    ]);
    check(&[
        ("> SUBSCRIBE id:s destination:/channel/5", &["? *"]),
        (&opened(2, 0), &[]),
        (&pushed(1), &[&given(1)]),
        ("> ACK id:1-1", &["ERROR message:no subscription that acknowledges*", "x 1000"]),
    ]);
}

#[test]
fn an_ack_counts_though_its_subscription_is_over() {
    let close = r#"? {"id":4,"close":{"channel_id":"5"}}"#;
    let closed = r#"< {"id":4,"close":{}}"#;
    given_four("client").check(&[
        ("> ACK id:1-1", &[&mark(3, 1)]),
        ("> ACK id:1-2 receipt:a", &[]),
        ("> UNSUBSCRIBE id:s receipt:u", &[close]),
        ("> DISCONNECT receipt:d", &[]),
        (closed, &["RECEIPT receipt-id:u"]),
        (&marked(3), &[&mark(5, 2)]),
        (&error(5, 115, true, 200), &[]),
        ("+200", &[&mark(6, 2)]),
        (&marked(6), &["RECEIPT receipt-id:a", "RECEIPT receipt-id:d", "x 1000"]),
    ]);
}

#[test]
fn receipts_that_wait_are_bounded() {
    let mut table = given_four("client");
    table.check(&[("> ACK id:1-1", &[&mark(3, 1)])]);
    let ack = format!("> ACK id:1-2 receipt:{}", "a".repeat(15 * 1024));
    for _ in 0..68 {
        table.check(&[(&ack, &[])]);
    }
    table.check(&[(&ack, &["ERROR message:receipts that wait have 1048576 bytes, the limit*", "x 1000"])]);
}

#[test]
fn earlier_versions_acknowledge_by_message_id() {
    Table::connected(Version::V11, "").check(&[
        ("> SUBSCRIBE id:s destination:/channel/5 ack:client", &["? *"]),
        (&opened(2, 0), &[]),
        (&pushed(1), &["MESSAGE destination:/channel/5 subscription:s message-id:5-1 x-seq:1*"]),
        ("> ACK subscription:s message-id:5-1", &[&mark(3, 1)]),
        ("> ACK message-id:5-1", &["ERROR message:ACK needs the header subscription*", "x 1000"]),
    ]);
    Table::connected(Version::V10, "").check(&[
        ("> SUBSCRIBE destination:/channel/5 ack:client", &["? *"]),
        (&opened(2, 0), &[]),
        (&pushed(1), &["MESSAGE destination:/channel/5 message-id:5-1 x-seq:1*"]),
        ("> ACK message-id:5-1", &[&mark(3, 1)]),
        ("> UNSUBSCRIBE destination:/channel/5", &["? *"]),
    ]);
}

#[test]
fn a_subscription_is_given_no_more_than_it_acknowledges() {
    check(&[
        ("> SUBSCRIBE id:s destination:/channel/5 ack:client x-prefetch:2 x-after-seq:0", &["? *"]),
        (&opened(2, 4), &[&history(3, 0)]),
        (&page(3, 1..=4, 4, false), &[&given(1), &given(2)]),
        (&pushed(5), &[]),
        ("> ACK id:1-1", &[&mark(4, 1), &history(5, 2)]),
        (&page(5, 3..=5, 5, false), &[&given(3)]),
        ("> ACK id:1-3", &[&history(6, 3)]),
        (&marked(4), &[&mark(7, 3)]),
        (&page(6, 4..=5, 5, false), &[&given(4), &given(5)]),
        ("> ACK id:1-5", &[]),
        (&pushed(6), &[&given(6)]),
    ]);
}
