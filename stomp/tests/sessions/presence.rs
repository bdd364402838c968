//! SUBSCRIBE to the presence of users.

use stomp::Version;

use crate::table::{Table, check, error};

#[test]
fn presence_of_all_that_are_subscribed_to_is_watched() {
    let entry = |user: u32, state: &str| format!(r#"{{"user_id":"{user}","state":"{state}","last_active_ms":1}}"#);
    let (nine, eight) = (entry(9, "online"), entry(8, "away"));
    let given = |event: u32, id: &str, user: u32, entry: &str| {
        format!(
            "MESSAGE destination:/topic/presence.{user} subscription:{id} message-id:e{event} x-event:presence \
             content-type:application/json;charset=utf-8 | {entry}"
        )
    };
    let watch = |id: u32, users: &str| format!(r#"? {{"id":{id},"presence_watch":{{"user_ids":[{users}]}}}}"#);
    let watched = |id: u32, entries: &[&str]| {
        format!(r#"< {{"id":{id},"presence_watch":{{"entries":[{}]}}}}"#, entries.join(","))
    };
    check(&[
        ("> SUBSCRIBE id:s destination:/topic/presence.9 receipt:r", &[&watch(2, r#""9""#)]),
        (&watched(2, &[&nine]), &["RECEIPT receipt-id:r", &given(1, "s", 9, &nine)]),
        ("> SUBSCRIBE id:t destination:/topic/presence.8", &[&watch(3, r#""8","9""#)]),
        (&watched(3, &[&eight, &nine]), &[&given(2, "t", 8, &eight)]),
        (&format!(r#"< {{"push":{{"presence":{{"entries":[{nine}]}}}}}}"#), &[&given(3, "s", 9, &nine)]),
        ("> UNSUBSCRIBE id:s receipt:u", &[&watch(4, r#""8""#)]),
        (&watched(4, &[&eight]), &["RECEIPT receipt-id:u"]),
    ]);
    // One is under way at a time, and the next has all.
    let seven = entry(7, "offline");
    check(&[
        ("> SUBSCRIBE id:s destination:/topic/presence.9 receipt:s", &[&watch(2, r#""9""#)]),
        ("> SUBSCRIBE id:t destination:/topic/presence.8 receipt:t", &[]),
        ("> SUBSCRIBE id:u destination:/topic/presence.7", &[]),
        ("> UNSUBSCRIBE id:s receipt:x", &[]),
        ("> DISCONNECT receipt:d", &[]),
        (&watched(2, &[&nine]), &["RECEIPT receipt-id:s", &watch(3, r#""7","8""#)]),
        (&error(3, 115, true, 300), &[]),
        ("+299", &[]),
        ("+1", &[&watch(4, r#""7","8""#)]),
        (
            &watched(4, &[&seven, &eight]),
            &[
                "RECEIPT receipt-id:t",
                "RECEIPT receipt-id:x",
                &given(1, "u", 7, &seven),
                &given(2, "t", 8, &eight),
                "RECEIPT receipt-id:d",
                "x 1000",
            ],
        ),
    ]);
    // What comes while it is refused goes with it.
    check(&[
        ("> SUBSCRIBE id:s destination:/topic/presence.9 receipt:s", &[&watch(2, r#""9""#)]),
        (&error(2, 114, true, 300), &[]),
        ("> SUBSCRIBE id:t destination:/topic/presence.8 receipt:t", &[]),
        ("+300", &[&watch(3, r#""8","9""#)]),
        (&error(3, 114, true, 29_700), &[]),
        ("+29700", &[&watch(4, r#""8","9""#)]),
        (&error(4, 114, true, 10), &["ERROR message:why receipt-id:s x-code:114*", "x 3015"]),
    ]);
}

/// Presence of 500 users is watched once, not once more for each of them.
#[test]
fn presence_of_as_many_as_may_be_is_given_once_to_each() {
    let mut table = Table::connected(Version::V12, "");
    for user in 1..=500 {
        table.step(&format!("> SUBSCRIBE id:{user} destination:/topic/presence.{user} receipt:{user}"));
    }
    let entry = |user: u32| format!(r#"{{"user_id":"{user}","state":"online","last_active_ms":1}}"#);
    let watched = |id: u32, through: u32| {
        let entries: Vec<String> = (1..=through).map(entry).collect();
        format!(r#"< {{"id":{id},"presence_watch":{{"entries":[{}]}}}}"#, entries.join(","))
    };
    assert_eq!(table.step(&watched(2, 1)).len(), 3, "a receipt, the user's presence, and the next watch");
    let said = table.step(&watched(3, 500));
    assert_eq!(said.iter().filter(|said| said.starts_with("RECEIPT")).count(), 499);
    assert_eq!(said.iter().filter(|said| said.starts_with("MESSAGE")).count(), 499);
}
