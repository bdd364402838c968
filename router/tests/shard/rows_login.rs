//! From the first byte to a live session, and what it is told when that fails.

use crate::script::{check, check_on};

#[test]
fn connect_is_answered_when_the_token_and_the_place_in_the_inbox_are_known() {
    check("a1 joins => a1: connected");
    check("a1 opens fb, a1 connects => a1: connected");
    check("store holds Authenticate, a1 joins => a1:");
    check("store holds OpenInbox, a1 joins => a1:");
    check("store holds OpenInbox, a1 joins, store releases => a1: connected");
}

#[test]
fn a_token_that_is_not_good_closes_with_its_reason() {
    check("a1 joins bad => a1: !101, closed 3500");
    check("a1 joins expired => a1: !109, closed 3005");
    check("a1 joins a/d1 => a1: connected");
    check("a1 joins a/d2 => a1: !101, closed 3500");
}

#[test]
fn after_any_other_refusal_connect_may_be_sent_again() {
    check("a1 joins from elsewhere, a1 connects => a1: !112, connected");
    check("a1 joins from ahead, a1 connects => a1: !112, connected");
    check("a1 joins from nonsense, a1 connects => a1: !112, connected");
    for client in [r"\u3164", r"\u200b", r"a\u202eb", r"a\nb"] {
        let says = format!(r#"{{"id":1000001,"connect":{{"token":"a","device_id":"d1","client":"{client}"}}}}"#);
        check(&format!("a1 opens, a1 says {says}, a1 connects => a1: !107, connected"));
    }
    check("store refuses Authenticate 115, a1 joins, store accepts Authenticate, a1 connects => a1: !115, connected");
    check("store refuses OpenInbox 115, a1 joins, store accepts OpenInbox, a1 connects => a1: !115, connected");
    check(
        "a1 joins from elsewhere, b1 joins, a1 connects, b1 sends ab m1
        => a1: !112, connected, ab#1=m1 | b1: connected, #1, ab#1=m1",
    );
}

#[test]
fn commands_before_the_login_is_done_are_refused() {
    check("a1 opens, a1 echoes x, a1 connects => a1: !101, connected");
    check("a1 opens, a1 sends ab m1, a1 marks ab 1, a1 reads-back ab, a1 refreshes a => a1: !101 ×4");
    check(
        "store holds Authenticate, a1 joins, a1 sends ab m1, a1 connects, store releases => a1: !101, !107, connected",
    );
    check("a1 joins, a1 connects, a1 echoes x => a1: connected, !107, echo x");
}

#[test]
fn a_login_has_ten_seconds() {
    check("a1 opens, wait 9900ms => a1:");
    check("a1 opens, wait 10300ms => a1: closed 3502");
    check("a1 opens, a1 echoes x, wait 10300ms => a1: !101, closed 3502");
    check("a1 joins a from nonsense, wait 10300ms => a1: !112, closed 3502");
}

#[test]
fn a_login_that_is_late_for_the_store_may_be_tried_again_elsewhere() {
    check("store refuses Authenticate 115, a1 joins, wait 10300ms => a1: !115, closed 3004");
    check("store refuses OpenInbox 115, a1 joins, wait 10300ms => a1: !115, closed 3004");
    check(
        "store refuses OpenInbox 115, a1 joins, a1 connects from nonsense, wait 10300ms => a1: !115, !112, closed 3502",
    );
    check("store holds Authenticate, a1 joins, wait 10300ms => a1: !115, closed 3004");
}

#[test]
fn a_store_that_answers_too_late_meets_nobody() {
    check("store holds Authenticate, a1 joins, wait 10300ms, store releases => a1: !115, closed 3004");
    check("store holds OpenInbox, a1 joins, wait 10300ms, store releases => a1: !115, closed 3004");
    check(
        "store holds OpenInbox, a1 joins, wait 10300ms, store releases, a1 joins
        => a1: !115, closed 3004, connected",
    );
    check("store holds Authenticate, a1 joins, a1 leaves, store releases => a1:");
    check("store holds OpenInbox, a1 joins, a1 leaves, store releases => a1:");
    check("store holds History, a1 joins, a1 reads-back ab, a1 leaves, store releases => a1: connected");
    check("store holds Apply, a1 joins, a1 sends ab m1, a1 leaves, store releases => a1: connected");
}

#[test]
fn a_device_has_one_session_and_the_newest_wins() {
    check("a1 joins, a1' joins => a1: connected, closed 3505 | a1': connected");
    check("store holds OpenInbox, a1 joins, a1' joins, store releases => a1: connected, closed 3505 | a1': connected");
    check(
        "store holds OpenInbox, a1 joins, a1' joins, a1' leaves, store releases, a1 echoes x
        => a1: connected, echo x | a1':",
    );
    check(
        "a1 joins, a1' joins, b1 joins, b1 sends ab m1
        => a1: connected, closed 3505 | a1': connected, ab#1=m1 | b1: connected, #1, ab#1=m1",
    );
    check("a1 joins, a2 joins => a1: connected | a2: connected");
}

#[test]
fn of_two_sessions_of_a_device_that_lives_whose_connect_the_store_noted_later() {
    // The second one's connect is noted first.
    check(
        "store holds OpenInbox, a1 joins, a1' joins, store answers OpenInbox last, store releases
        => a1: connected | a1': connected, closed 3505",
    );
    // Both are noted in their order, and told in the other.
    check(
        "store delays OpenInbox, a1 joins, a1' joins, store tells OpenInbox last, store tells OpenInbox last
        => a1: connected, closed 3505 | a1': connected",
    );
}

#[test]
fn a_revoked_device_or_login_ends_its_sessions_also_one_that_is_being_opened() {
    check(
        "a1 joins, a2 joins, b1 joins, api kicks a1 device
        => a1: connected, closed 3503 | a2: connected | b1: connected",
    );
    check(
        "a1 joins a///1, a2 joins a///2, a3 joins a///2, api kicks a family 2
        => a1: connected | a2: connected, closed 3503 | a3: connected, closed 3503",
    );
    check("store holds OpenInbox, a1 joins, api kicks a1 device, store releases => a1: closed 3503");
    check("store holds OpenInbox, a1 joins, api kicks a family 1, store releases => a1: closed 3503");
    // Its token was known before it was revoked, its device is noted after it.
    check("store delays Authenticate, a1 joins, api kicks a family 1, store releases => a1: !101, closed 3500");
}

#[test]
fn a_session_is_of_the_login_that_it_refreshed_to() {
    check("a1 joins, a1 refreshes a///2, api kicks a family 1 => a1: connected, refreshed");
    check("a1 joins, a1 refreshes a///2, api kicks a family 2 => a1: connected, refreshed, closed 3503");
    check(
        "a1 joins, b1 joins, a1 refreshes a///2, b1 sends ab m1
        => a1: connected, refreshed, ab#1=m1 | b1: connected, #1, ab#1=m1",
    );
    check(
        "a1 joins, b1 joins, store refuses OpenInbox 115, a1 refreshes a///2, b1 sends ab m1, store accepts OpenInbox,
        wait 21s => a1: connected, refreshed, ab#1=m1 | b1: connected, #1, ab#1=m1",
    );
}

#[test]
fn a_seventeenth_device_is_turned_away() {
    let devices: Vec<String> = "0123456789ABCDEF".chars().map(|device| format!("a{device}")).collect();
    let joins: Vec<String> = devices.iter().map(|name| format!("{name} joins")).collect();
    let connected: Vec<String> = devices.iter().map(|name| format!("{name}: connected")).collect();
    let (joins, connected) = (joins.join(", "), connected.join(" | "));
    check(&format!("{joins}, aG joins => {connected} | aG: !106, closed 3504"));
    check(&format!("{joins}, aF leaves, aG joins => {connected} | aG: connected"));
    check(&format!("{joins}, bG joins => {connected} | bG: connected"));
    let replaced = connected.replace("aF: connected", "aF: connected, closed 3505 | aF': connected");
    check(&format!("{joins}, aF' joins => {replaced}"));
}

#[test]
fn a_frame_of_the_other_kind_ends_the_session() {
    check("a1 opens, a1 sends-binary => a1: closed 3501");
    check("a1 opens fb, a1 sends-binary => a1: closed 3501");
    check("a1 joins, b1 joins, a1 sends-binary, b1 echoes x => a1: connected, closed 3501 | b1: connected, echo x");
}

#[test]
fn what_does_not_parse_is_told_and_the_twentieth_in_a_row_is_enough() {
    let says = |times: usize| vec!["a1 says nonsense"; times].join(", ");
    check("a1 opens, a1 says nonsense => a1: !107");
    check(&format!("a1 opens, {}, a1 connects => a1: !107 ×19, connected", says(19)));
    check(&format!("a1 opens, {} => a1: !107 ×20, closed 3509", says(20)));
    check(&format!("a1 joins, {}, a1 echoes x, {} => a1: connected, !107 ×19, echo x, !107 ×19", says(19), says(19)));
}

#[test]
fn a_frame_may_hold_several_requests() {
    let echo = |id: u32| format!(r#"{{"id":{id},"echo":{{"data":"{}"}}}}"#, id - 1_000_000);
    check(&format!("a1 joins, a1 says-twice {} {} => a1: connected, echo 1, echo 2", echo(1_000_001), echo(1_000_002)));
    check(&format!("a1 joins, a1 says-twice nonsense {} => a1: connected, !107, echo 1", echo(1_000_001)));
}

#[test]
fn number_0_wants_no_answer_but_is_carried_out() {
    check(r#"a1 joins, a1 says {"echo":{"data":"x"}}, a1 says {"id":0,"dance":{}} => a1: connected"#);
    let send =
        r#"{"send":{"channel_id":"CHANNEL","client_msg_id":"019b76da-a800-7000-8000-000000000001","body":"m1"}}"#;
    let channel = ("ab".bytes().fold(0_u64, |sum, byte| sum * 31 + u64::from(byte))).to_string();
    let send = send.replace("CHANNEL", &channel);
    check(&format!(
        "a1 joins, b1 joins, b1 reads-back ab, a1 says {send}
        => a1: connected, ab#1=m1 | b1: connected, history, ab#1=m1"
    ));
    check(r#"a1 opens, a1 says {"connect":{"token":"a","device_id":"d1"}}, a1 echoes x => a1: echo x"#);
    check(r#"a1 opens, a1 says {"connect":{"token":"bad","device_id":"d1"}} => a1: closed 3500"#);
}

#[test]
fn a_session_is_told_before_its_token_expires_and_closed_when_it_does() {
    check("a1 joins a//90, wait 29s => a1: connected");
    check("a1 joins a//90, wait 31s => a1: connected, expiring");
    check("a1 joins a//90, wait 89s => a1: connected, expiring");
    check("a1 joins a//90, wait 91s => a1: connected, expiring, closed 3005");
    check("a1 joins a//90, wait 31s, a1 refreshes a//600, wait 500s => a1: connected, expiring, refreshed");
    check("a1 joins a//90, wait 31s, a1 refreshes a//600, wait 541s => a1: connected, expiring, refreshed, expiring");
    check("a1 joins a//600, a1 refreshes a//90, wait 91s => a1: connected, refreshed, expiring, closed 3005");
    check("a1 joins a//0, wait 1s => a1: connected, closed 3005");
}

#[test]
fn a_new_token_must_be_of_the_same_user_and_device() {
    check_on(1, "b1 opens, a1 joins, a1 refreshes b, a1 echoes x => a1: connected, !101, echo x | b1:");
    check(
        "a1 joins, a1 refreshes bad, a1 refreshes expired, a1 refreshes a/d2, a1 refreshes a/d1
        => a1: connected, !101, !109, !101, refreshed",
    );
    check(
        "store refuses Authenticate 115, a1 opens, store accepts Authenticate, a1 connects,
        store refuses Authenticate 115, a1 refreshes a => a1: connected, !115",
    );
}
