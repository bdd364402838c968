//! SUBSCRIBE to channels and the inbox: live messages, replays, several subscriptions of one channel.

use stomp::Version;

use crate::table::{Table, check, error, given, history, message, opened, page, pushed};

#[test]
fn a_subscription_is_given_messages_of_its_channel() {
    let whole = "MESSAGE destination:/channel/5 subscription:s message-id:5-3 x-seq:3 x-from:9 x-sent-ms:3000 \
                 x-client-msg-id:019b76da-a800-7000-8000-000000000000 x-kind:text x-revision:0 x-cursor:c3 \
                 content-type:text/plain;charset=utf-8 | m3";
    check(&[
        ("> SUBSCRIBE id:s destination:/channel/5 receipt:r", &[r#"? {"id":2,"open":{"channel_id":"5"}}"#]),
        (&opened(2, 2), &["RECEIPT receipt-id:r"]),
        (&pushed(3), &[whole]),
        (&pushed(3), &[]),
        (&pushed(2), &[]),
        (&pushed(5), &[&given(5)]),
        (r#"< {"push":{"typing":{"channel_id":"5","user_id":"9","on":true}}}"#, &[]),
        ("> UNSUBSCRIBE id:s receipt:u", &[r#"? {"id":3,"close":{"channel_id":"5"}}"#]),
        (r#"< {"id":3,"close":{}}"#, &["RECEIPT receipt-id:u"]),
        (&pushed(6), &[]),
    ]);
    check(&[("> SUBSCRIBE id:s destination:/channel/6", &["? *"]), (&opened(2, 2), &[]), (&pushed(3), &[])]);
    check(&[
        ("> SUBSCRIBE id:s destination:/channel/5 receipt:r", &["? *"]),
        (&error(2, 102, false, 0), &["ERROR message:why receipt-id:r x-code:102 x-temporary:false", "x 1000"]),
    ]);
}

#[test]
fn two_subscriptions_of_a_channel_are_both_given_and_the_last_closes_it() {
    check(&[
        ("> SUBSCRIBE id:s destination:/channel/5", &["? *"]),
        ("> SUBSCRIBE id:t destination:/channel/5 receipt:t", &[]),
        (&opened(2, 0), &["RECEIPT receipt-id:t"]),
        (&pushed(1), &[&given(1), "MESSAGE destination:/channel/5 subscription:t *"]),
        ("> UNSUBSCRIBE id:s receipt:u", &["RECEIPT receipt-id:u"]),
        (&pushed(2), &["MESSAGE destination:/channel/5 subscription:t *"]),
        ("> SUBSCRIBE id:t destination:/channel/6", &["ERROR message:there is a subscription of this id*", "x 1000"]),
    ]);
    let subscribe = |id: u32| format!("> SUBSCRIBE id:{id} destination:/channel/5");
    let mut table = Table::connected(Version::V12, "");
    table.check(&[(&subscribe(0), &["? *"])]);
    for id in 1..4 {
        table.check(&[(&subscribe(id), &[])]);
    }
    table.check(&[(&subscribe(4), &["ERROR message:4 subscriptions to /channel/5, the limit*", "x 1000"])]);
    let mut table = Table::connected(Version::V12, "");
    for id in 0..100 {
        table.check(&[(&format!("> SUBSCRIBE id:{id} destination:/channel/{id}"), &["? *"])]);
    }
    let one_more = "> SUBSCRIBE id:x destination:/channel/100";
    table.check(&[(one_more, &["ERROR message:100 subscriptions of its kind, the limit*", "x 1000"])]);
}

/// Of a large channel the server tells a session from its last `open` on, and refuses one that another came behind.
#[test]
fn two_subscriptions_of_a_channel_have_one_open_under_way_and_miss_nothing_by_the_second() {
    let open = |id: u32| format!(r#"? {{"id":{id},"open":{{"channel_id":"5"}}}}"#);
    let closed = |id: u32| format!(r#"< {{"id":{id},"close":{{}}}}"#);
    let given_t = "MESSAGE destination:/channel/5 subscription:t *";
    // What came between the two is read.
    for first in ["", " x-after-seq:100"] {
        check(&[
            (&format!("> SUBSCRIBE id:s destination:/channel/5{first}"), &[&open(2)]),
            (&opened(2, 100), &[]),
            ("> SUBSCRIBE id:t destination:/channel/5", &[&open(3)]),
            (&opened(3, 101), &[&history(4, 100)]),
            (&pushed(102), &[given_t]),
            (&page(4, 101..=102, 102, false), &[&given(101), &given(102)]),
            (&pushed(103), &[&given(103), given_t]),
        ]);
    }
    // The second is over before its answer, or while it is refused for now.
    let subscribed = |steps: &[(&str, &[&str])]| {
        let mut table = Table::connected(Version::V12, "");
        table.check(&[
            ("> SUBSCRIBE id:s destination:/channel/5", &[&open(2)]),
            (&opened(2, 100), &[]),
            ("> SUBSCRIBE id:t destination:/channel/5", &[&open(3)]),
        ]);
        table.check(steps);
    };
    subscribed(&[("> UNSUBSCRIBE id:t", &[]), (&opened(3, 101), &[&history(4, 100)])]);
    subscribed(&[
        ("> UNSUBSCRIBE id:t", &[]),
        (&error(3, 115, true, 0), &[]),
        ("+1000", &[&open(4)]),
        (&opened(4, 101), &[&history(5, 100)]),
    ]);
    subscribed(&[
        (&error(3, 115, true, 500), &[]),
        ("> UNSUBSCRIBE id:t", &[]),
        ("+1000", &[&open(4)]),
        (&opened(4, 101), &[&history(5, 100)]),
    ]);
    // The first is over before the answer, which is the second's too; or another comes behind its end.
    check(&[
        ("> SUBSCRIBE id:s destination:/channel/5 receipt:s", &[&open(2)]),
        ("> SUBSCRIBE id:t destination:/channel/5 receipt:t", &[]),
        ("> UNSUBSCRIBE id:s", &[]),
        (&opened(2, 100), &["RECEIPT receipt-id:t"]),
        (&pushed(101), &[given_t]),
    ]);
    check(&[
        ("> SUBSCRIBE id:s destination:/channel/5", &[&open(2)]),
        ("> UNSUBSCRIBE id:s", &["? *"]),
        ("> SUBSCRIBE id:t destination:/channel/5 receipt:t", &[&open(4)]),
        (&error(2, 107, false, 0), &[]),
        (&closed(3), &[]),
        (&opened(4, 100), &["RECEIPT receipt-id:t"]),
    ]);
    // Both are refused for now, and ask once.
    check(&[
        ("> SUBSCRIBE id:s destination:/channel/5 receipt:s", &[&open(2)]),
        ("> SUBSCRIBE id:t destination:/channel/5 receipt:t", &[]),
        (&error(2, 111, true, 20), &[]),
        ("+20", &[&open(3)]),
        (&opened(3, 0), &["RECEIPT receipt-id:s", "RECEIPT receipt-id:t"]),
    ]);
}

/// An edit that comes while an older page is under way is in no page, unless that part is read again.
#[test]
fn a_change_during_a_replay_is_not_missed() {
    let edited = |seq: u64| format!(r#"< {{"push":{{"edited":{{"message":{},"cursor":"c4"}}}}}}"#, message(seq));
    let event = "MESSAGE destination:/channel/5 subscription:s message-id:e1 x-event:edited*";
    check(&[
        ("> SUBSCRIBE id:s destination:/channel/5 x-after-seq:1 x-events:all", &["? *"]),
        (&opened(2, 5), &[&history(3, 1)]),
        (&edited(4), &[]),
        (&edited(5), &[]),
        (&edited(1), &[event]),
        (&page(3, 2..=5, 5, false), &[&given(2), &given(3), &history(4, 3)]),
        (&page(4, 4..=5, 5, false), &[&given(4), &given(5)]),
    ]);
    check(&[
        ("> SUBSCRIBE id:s destination:/channel/5 x-after-seq:1", &["? *"]),
        (&opened(2, 3), &[&history(3, 1)]),
        (&edited(2), &[]),
        (&page(3, 2..=3, 3, false), &[&given(2), &given(3)]),
    ]);
}

#[test]
fn events_come_to_who_wants_all() {
    let edited = format!(r#"{{"edited":{{"message":{},"cursor":"c4"}}}}"#, message(3));
    let event = "MESSAGE destination:/channel/5 subscription:s message-id:e1 x-event:edited x-cursor:c4 \
                 content-type:application/json;charset=utf-8 | ";
    check(&[
        ("> SUBSCRIBE id:s destination:/channel/5 x-events:all", &["? *"]),
        (&opened(2, 3), &[]),
        (&format!(r#"< {{"push":{edited}}}"#), &[&format!("{event}{edited}")]),
        (
            r#"< {"push":{"typing":{"channel_id":"5","user_id":"9","on":true}}}"#,
            &["MESSAGE destination:/channel/5 subscription:s message-id:e2 x-event:typing*"],
        ),
        (r#"< {"push":{"typing":{"channel_id":"6","user_id":"9","on":true}}}"#, &[]),
    ]);
}

#[test]
fn the_inbox_tells_every_event_with_its_cursor() {
    let inbox = "MESSAGE destination:/user/queue/inbox subscription:s";
    let head = r#"{"head":{"channel_id":"5","head_seq":9}}"#;
    check(&[
        ("> SUBSCRIBE id:s destination:/user/queue/inbox receipt:r", &["RECEIPT receipt-id:r"]),
        (&pushed(3), &[&format!("{inbox} message-id:e1 x-event:message x-cursor:c3*")]),
        (&pushed(3).replace(r#","cursor":"c3""#, ""), &[]),
        (
            &format!(r#"< {{"push":{head}}}"#),
            &[&format!("{inbox} message-id:e2 x-event:head content-type:application/json;charset=utf-8 | {head}")],
        ),
        ("> UNSUBSCRIBE id:s receipt:u", &["RECEIPT receipt-id:u"]),
    ]);
}

#[test]
fn a_connect_that_resumes_keeps_events_until_the_inbox_is_subscribed_to() {
    let inbox = "MESSAGE destination:/user/queue/inbox*";
    let mut table = Table::connected(Version::V12, " x-cursor:c2");
    assert!(table.session.is_holding());
    table.check(&[
        (&pushed(3), &[]),
        ("> SUBSCRIBE id:c destination:/channel/5 x-after-seq:3", &["? *"]),
        (&pushed(4), &[]),
        ("> SUBSCRIBE id:s destination:/user/queue/inbox receipt:r", &["RECEIPT receipt-id:r", inbox, inbox]),
    ]);
    assert!(!table.session.is_holding());
    let mut table = Table::connected(Version::V12, " x-cursor:c2");
    table.check(&[(&pushed(3), &[]), ("+9999", &[]), ("+1", &["ERROR message:x-cursor resumes the inbox*", "x 1000"])]);
    assert!(!Table::connected(Version::V12, "").session.is_holding());
}

#[test]
fn a_replay_gives_each_seq_once_and_goes_on_live() {
    check(&[
        ("> SUBSCRIBE id:s destination:/channel/5 x-after-seq:1", &[r#"? {"id":2,"open":{"channel_id":"5"}}"#]),
        (&pushed(4), &[]),
        (&opened(2, 4), &[&history(3, 1)]),
        (&pushed(5), &[]),
        (&page(3, 2..=3, 4, true), &[&given(2), &given(3), &history(4, 3)]),
        (&page(4, 4..=4, 4, false), &[&given(4), &history(5, 4)]),
        (&pushed(6), &[]),
        (&page(5, 5..=6, 6, false), &[&given(5), &given(6)]),
        (&pushed(6), &[]),
        (&pushed(7), &[&given(7)]),
    ]);
    check(&[
        ("> SUBSCRIBE id:s destination:/channel/5 x-after-seq:4", &["? *"]),
        (&opened(2, 4), &[]),
        (&pushed(4), &[]),
        (&pushed(5), &[&given(5)]),
    ]);
    // Of what may not be read any more there is an empty page.
    #[expect(clippy::reversed_empty_ranges, reason = "a page without messages")]
    let empty = page(3, 2..=1, 4, false);
    check(&[
        ("> SUBSCRIBE id:s destination:/channel/5 x-after-seq:1", &["? *"]),
        (&opened(2, 4), &[&history(3, 1)]),
        (&empty, &[]),
        (&pushed(5), &[&given(5)]),
    ]);
    // What was pushed since that page was read is not in it.
    #[expect(clippy::reversed_empty_ranges, reason = "a page without messages")]
    let empty = |id: u32, head: u64| page(id, 2..=1, head, false);
    check(&[
        ("> SUBSCRIBE id:s destination:/channel/5 x-after-seq:0", &["? *"]),
        (&opened(2, 50), &[&history(3, 0)]),
        (&pushed(51), &[]),
        (&empty(3, 50), &[&history(4, 50)]),
        (&page(4, 51..=51, 51, false), &[&given(51)]),
    ]);
    check(&[
        ("> SUBSCRIBE id:s destination:/channel/5 x-after-seq:3", &["? *"]),
        (&opened(2, 4), &[&history(3, 3)]),
        (&empty(3, 3), &[]),
        ("+999", &[]),
        ("+1", &[&history(4, 3)]),
    ]);
    check(&[
        ("> SUBSCRIBE id:s destination:/channel/5 x-after-seq:1", &["? *"]),
        (&opened(2, 4), &[&history(3, 1)]),
        (&error(3, 115, true, 0), &[]),
        ("+999", &[]),
        ("+1", &[&history(4, 1)]),
        (&error(4, 111, true, 50), &[]),
        ("+50", &[&history(5, 1)]),
        (&error(5, 102, false, 0), &["ERROR message:why x-code:102 x-temporary:false", "x 1000"]),
    ]);
}

/// The inbox was trimmed below the session: what is missing is read from history.
#[test]
fn a_snapshot_has_a_subscription_read_what_it_lacks() {
    let channel = r#"{"channel_id":"5","kind":"group","head_seq":9,"read_seq":0,"unread":9}"#;
    let snapshot = format!(r#"< {{"push":{{"snapshot":{{"channels":[{channel}],"more":false,"cursor":"c"}}}}}}"#);
    check(&[
        ("> SUBSCRIBE id:s destination:/channel/5", &["? *"]),
        (&opened(2, 3), &[]),
        (&pushed(4), &[&given(4)]),
        (&snapshot, &[&history(3, 4)]),
        (&page(3, 5..=9, 9, false), &[&given(5), &given(6), &given(7), &given(8), &given(9)]),
    ]);
}

#[test]
fn a_channel_that_cannot_be_opened_now_is_opened_again() {
    let open = |id: u32| format!(r#"? {{"id":{id},"open":{{"channel_id":"5"}}}}"#);
    check(&[
        ("> SUBSCRIBE id:s destination:/channel/5 receipt:r", &[&open(2)]),
        (&error(2, 111, true, 20), &[]),
        ("+20", &[&open(3)]),
        (&error(3, 115, true, 0), &[]),
        ("+1000", &[&open(4)]),
        (&opened(4, 0), &["RECEIPT receipt-id:r"]),
    ]);
    check(&[
        ("> SUBSCRIBE id:s destination:/channel/5 receipt:r", &[&open(2)]),
        (&error(2, 115, true, 30_000), &[]),
        ("+30000", &[&open(3)]),
        (&error(3, 115, true, 0), &["ERROR message:why receipt-id:r x-code:115 x-temporary:true", "x 3015"]),
    ]);
}

#[test]
fn ends_of_subscriptions_and_tokens_that_are_refused_for_now_are_asked_for_again() {
    let close = |id: u32| format!(r#"? {{"id":{id},"close":{{"channel_id":"5"}}}}"#);
    let closed = |id: u32| format!(r#"< {{"id":{id},"close":{{}}}}"#);
    check(&[
        ("> SUBSCRIBE id:s destination:/channel/5", &["? *"]),
        (&opened(2, 0), &[]),
        ("> UNSUBSCRIBE id:s receipt:u", &[&close(3)]),
        ("> DISCONNECT receipt:d", &[]),
        (&error(3, 114, true, 20), &[]),
        ("+20", &[&close(4)]),
        (&closed(4), &["RECEIPT receipt-id:u", "RECEIPT receipt-id:d", "x 1000"]),
    ]);
    // It is subscribed to again meanwhile.
    check(&[
        ("> SUBSCRIBE id:s destination:/channel/5", &["? *"]),
        (&opened(2, 0), &[]),
        ("> UNSUBSCRIBE id:s receipt:u", &[&close(3)]),
        (&error(3, 114, true, 20), &[]),
        ("> SUBSCRIBE id:s destination:/channel/5", &["? *"]),
        ("+20", &["RECEIPT receipt-id:u"]),
    ]);
    check(&[
        ("> SEND destination:/app/refresh receipt:r | d.e.f", &["? *"]),
        (&error(2, 111, true, 0), &[]),
        ("+1000", &[r#"? {"id":3,"refresh":{"token":"d.e.f"}}"#]),
        (&error(3, 101, false, 0), &["ERROR message:why receipt-id:r x-code:101*", "x 3500"]),
    ]);
}
