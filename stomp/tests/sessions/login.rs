//! Connections: CONNECT, tokens, heart-beats, and frames that end them.

use stomp::Version;

use crate::table::{CONNECTED, Table, check, check_login, error, sent};

#[test]
fn connect_bears_a_token_and_agrees_on_a_version() {
    check_login(&[
        (
            "> CONNECT accept-version:1.0,1.2 host:x passcode:a.b.c login:phone client:me",
            &[r#"? {"id":1,"connect":{"token":"a.b.c","device_id":"phone","client":"me"}}"#],
        ),
        (CONNECTED, &["CONNECTED version:1.2 session:2a server:rookery/0.1.0 heart-beat:0,0 user-name:7 x-cursor:c0"]),
    ]);
    for (bearer, device) in [
        ("token:a.b.c passcode:x", "stomp"),
        ("token:a.b.c login:no/device", "stomp"),
        ("passcode:a.b.c device-id:d login:phone", "d"),
    ] {
        let fields = format!(r#"{{"token":"a.b.c","device_id":"{device}","client":"v12.stomp"}}"#);
        let request = format!(r#"? {{"id":1,"connect":{fields}}}"#);
        check_login(&[(&format!("> CONNECT accept-version:1.2 {bearer}"), &[&request])]);
    }
    check_login(&[(
        "bytes STOMP\naccept-version:1.2\nAuthorization:Bearer a.b.c\nx-cursor:c9\n\n\0",
        &[r#"? {"id":1,"connect":{"token":"a.b.c","device_id":"stomp","cursor":"c9","client":"v12.stomp"}}"#],
    )]);
}

#[test]
fn what_cannot_log_in_is_told_why() {
    check_login(&[(
        "> CONNECT accept-version:2.0 passcode:a.b.c",
        &["ERROR message:none of these versions is spoken here version:1.0,1.1,1.2 x-code:107", "x 1000"],
    )]);
    let no_token = "ERROR message:no access token*";
    check_login(&[("> CONNECT accept-version:1.2 login:ann passcode:secret", &[no_token, "x 3500"])]);
    check_login(&[("> CONNECT accept-version:1.2", &[no_token, "x 3500"])]);
    check_login(&[("> SEND destination:/channel/5 | x", &["ERROR message:send CONNECT first*", "x 3500"])]);
    check_login(&[(
        "> CONNECT accept-version:1.2 passcode:a.b.c device-id:a/b",
        &["ERROR message:device-id: expected a device_id*", "x 1000"],
    )]);
    check_login(&[
        ("> CONNECT accept-version:1.2 passcode:a.b.c", &["? *"]),
        (&error(1, 101, false, 0), &["ERROR message:why x-code:101 x-temporary:false", "x 3500"]),
        ("> CONNECT accept-version:1.2 passcode:a.b.c", &[]),
    ]);
    check_login(&[
        ("> CONNECT accept-version:1.2 passcode:a.b.c", &["? *"]),
        ("> SEND destination:/channel/5 | x", &["ERROR message:send CONNECT first*", "x 3500"]),
    ]);
    let again = "ERROR message:the session is connected already*";
    check(&[("> CONNECT accept-version:1.2 passcode:a.b.c", &[again, "x 1000"])]);
}

/// Logins beyond what the store takes are put off, each to a moment of its own.
#[test]
fn a_login_that_is_put_off_is_made_again_on_the_same_connection() {
    let connect = r#"{"token":"a.b.c","device_id":"stomp","client":"v12.stomp"}}"#;
    check_login(&[
        ("> CONNECT accept-version:1.2 passcode:a.b.c", &[&format!(r#"? {{"id":1,"connect":{connect}"#)]),
        (&error(1, 114, true, 700), &[]),
        ("+699", &[]),
        ("+1", &[&format!(r#"? {{"id":2,"connect":{connect}"#)]),
        ("close 3015", &["ERROR message:the connection is closed with 3015 x-close-code:3015 x-temporary:true"]),
    ]);
}

#[test]
fn what_is_no_frame_ends_the_connection() {
    let code = "x-code:107 x-temporary:false";
    check(&[("bytes DANCE\n\n\0", &[&format!("ERROR message:unknown command \"DANCE\" {code}"), "x 3501"])]);
    check(&[("bytes SEND\na:\\t\n\n\0", &["ERROR message:the header \"a:\\\\t\" has an escape*", "x 3501"])]);
    check(&[
        ("bytes SEND\ndestination:/channel/5\n\nhalf a fra", &[]),
        ("+29999", &[]),
        ("+1", &[&format!("ERROR message:the rest of a frame did not come in time {code}"), "x 1000"]),
    ]);
    check(&[
        ("bytes SEND\ndestination:/chan", &[]),
        ("+29000", &[]),
        ("bytes nel/5\n\nx\0", &["? *"]),
        ("+60000", &[]),
    ]);
}

#[test]
fn a_token_is_refreshed_by_a_send() {
    check(&[
        ("> SEND destination:/app/refresh receipt:r | d.e.f", &[r#"? {"id":2,"refresh":{"token":"d.e.f"}}"#]),
        (r#"< {"id":2,"refresh":{"expires_ms":9}}"#, &["RECEIPT receipt-id:r"]),
    ]);
}

#[test]
fn heart_beats_hold_and_lapse() {
    let agreed = |header: &str| Table::connected(Version::V12, &format!(" heart-beat:{header}"));
    agreed("0,0").check(&[("+600000", &[])]);
    // The client wants to hear each second, and is told by the server's `heart-beat` that it will each five.
    agreed("0,1000").check(&[("+4374", &[]), ("+1", &["~"]), ("+4375", &["~"]), ("+10000", &["~", "~"])]);
    agreed("0,8000").check(&[("+6999", &[]), ("+1", &["~"])]);
    // What is said to it is a beat too.
    agreed("0,8000").check(&[
        ("+6000", &[]),
        ("> BEGIN transaction:t receipt:r", &["RECEIPT receipt-id:r"]),
        ("+6999", &[]),
        ("+1", &["~"]),
    ]);
    let over = ["ERROR message:no heart-beat came in time x-temporary:true", "x 3012"];
    agreed("1000,0").check(&[("+10999", &[]), ("+1", &over)]);
    agreed("20000,0").check(&[("+40000", &[]), ("bytes \n", &[]), ("+40999", &[]), ("+1", &over)]);
    for wrong in ["x", "1", "1,x", "-1,0"] {
        let connect = format!("> CONNECT accept-version:1.2 passcode:a.b.c heart-beat:{wrong}");
        check_login(&[(&connect, &["ERROR message:heart-beat is two numbers*", "x 1000"])]);
    }
    // A socket that is not read is not silent.
    let mut table = agreed("1000,0");
    table.session.reads(table.now(), false);
    table.check(&[("+100000", &[])]);
    table.session.reads(table.now(), true);
    table.check(&[("+10999", &[]), ("+1", &over)]);
}

#[test]
fn a_disconnect_is_answered_once_what_came_before_it_is() {
    check(&[
        ("> SEND destination:/channel/5 receipt:s | one", &["? *"]),
        ("> DISCONNECT receipt:d", &[]),
        (&sent(2), &["RECEIPT receipt-id:s*", "RECEIPT receipt-id:d", "x 1000"]),
    ]);
    check(&[("> DISCONNECT receipt:d", &["RECEIPT receipt-id:d", "x 1000"])]);
    check(&[("> DISCONNECT", &["x 1000"]), ("> SEND destination:/channel/5 | x", &[])]);
}
