//! What a user wants to be told: settings by category, and addresses that are proved by codes.

use chat::keys;
use chat::notices::codes;
use kv::{Begin, Engine as _, Transaction as _};
use schema::Medium;
use schema::record::NoticeRecord;

use crate::world::{World, block_on};

const PUT: &str = "bora PUT /v1/me/notification-settings";
const GET: &str = "bora GET /v1/me/notification-settings";

fn world() -> World {
    let mut world = World::new();
    world.sign_up("bora");
    world
}

#[test]
fn settings_are_as_they_were_put_and_may_be_put_back() {
    let mut world = world();
    world.check(&format!(
        r#"{GET} => 200 {{"categories":{{}},"known":[{{"name":"messages","critical":false}},{{"name":"like","critical":false}},{{"name":"reply","critical":false}},{{"name":"mention","critical":false}},{{"name":"alarm","title":"Alarms","critical":true}}]}}"#
    ));
    let settings = r#""language":"de","quiet_hours":{"from":"22:00","to":"07:00","zone":"Europe/Berlin"},"categories":{"*":{"sms":false},"messages":{"mail":true,"apns":false}}"#;
    world.check(&format!("{PUT} {{{settings}}} => 204"));
    world.check(&format!(r#"{GET} => 200 {{{settings},"changed_ms":1800000000000}}"#));
    // As a client that changes one thing of what it got sends it.
    world.check(&format!(r#"{PUT} {{{settings},"known":[{{"name":"x"}}],"changed_ms":1}} => 204"#));
    world.check(&format!(r#"{PUT} {{}} => 204"#));
    world.check(&format!(r#"{GET} => 200 {{"categories":{{}},"changed_ms":1800000000000}}"#));
}

#[test]
fn settings_that_are_none_are_refused_and_nothing_is_stored() {
    let mut world = world();
    let mut check = |body: &str, expected: &str| world.check(&format!("{PUT} {body} => {expected}"));
    check(r#"{"language":"de DE"}"#, r#"400 {"code":107}"#);
    check(r#"{"quiet_hours":{"from":"22:00","to":"07:00"}}"#, r#"400 {"code":107}"#);
    check(
        r#"{"quiet_hours":{"from":"22:00","to":"07:00","zone":"Mars"}}"#,
        r#"400 {"code":107,"detail":"quiet_hours: zone Mars is not known"}"#,
    );
    check(r#"{"quite_hours":null}"#, r#"400 {"code":107}"#);
    check(r#"{"categories":{"a b":{"mail":true}}}"#, r#"400 {"code":107}"#);
    check(r#"{"categories":{"":{"mail":true}}}"#, r#"400 {"code":107}"#);
    check(r#"{"categories":{"news":{"pigeon":true}}}"#, r#"400 {"code":107}"#);
    check(r#"{"categories":{"news":{"mail":"yes"}}}"#, r#"400 {"code":107}"#);
    check(
        r#"{"categories":{"alarm":{"apns":false}}}"#,
        r#"400 {"code":107,"detail":"alarm is critical, and cannot be turned off"}"#,
    );
    let many: Vec<String> = (0..51).map(|at| format!(r#""c{at}":{{"mail":false}}"#)).collect();
    check(&format!(r#"{{"categories":{{{}}}}}"#, many.join(",")), r#"400 {"code":106}"#);
    check(&format!(r#"{{"categories":{{{}}}}}"#, many[..50].join(",")), "204");
    world.check(r#"GET /v1/me/notification-settings => 401 {"code":101}"#);
}

/// The code of the newest notice.
fn code(world: &World) -> String {
    let tx = world.engine.begin(Begin::Fresh);
    let page = block_on(tx.get_range(&keys::notices_before(schema::UnixMs(u64::MAX >> 16)))).expect("readable");
    let newest = page.rows.last().expect("a code was asked for");
    let notice = NoticeRecord::decode(&newest.value).expect("a notice");
    assert!(codes::is_code(&notice), "{notice:?}");
    notice.title.rsplit_once(' ').expect("the code is its last word").1.to_owned()
}

#[test]
fn an_address_is_proved_by_the_code_that_was_sent_there() {
    let mut world = world();
    world.check(r#"bora PUT /v1/me/contacts {"medium":"mail","address":" Bora@EXAMPLE.org","locale":"de"} => 202 {"medium":"mail","expires_ms":1800000600000}"#);
    world.check(r#"bora GET /v1/me/contacts => 200 {"contacts":[{"medium":"mail","registered_ms":1800000000000,"hint":"B…@example.org","verified":false}]}"#);
    let code = code(&world);
    assert!(code.len() == 6 && code.bytes().all(|byte| byte.is_ascii_digit()), "{code}");
    let wrong = if code == "000000" { "000001" } else { "000000" };
    world.check(&format!(
        r#"bora POST /v1/me/contacts/mail/verify {{"code":"{wrong}"}} => 400 {{"code":107,"detail":"the code is wrong, 4 more may be tried"}}"#
    ));
    world.check(&format!(r#"bora POST /v1/me/contacts/mail/verify {{"code":"{} {}"}} => 204"#, &code[..3], &code[3..]));
    world.check(
        r#"bora GET /v1/me/contacts => 200 {"contacts":[{"medium":"mail","hint":"B…@example.org","verified":true}]}"#,
    );
    world.check(&format!(r#"bora POST /v1/me/contacts/mail/verify {{"code":"{code}"}} => 404 {{"code":102}}"#));
    world.check("bora DELETE /v1/me/contacts/mail => 204");
    world.check(r#"bora DELETE /v1/me/contacts/mail => 404 {"code":102}"#);
    world.check(r#"bora GET /v1/me/contacts => 200 {"contacts":[]}"#);
}

#[test]
fn addresses_that_are_none_are_refused_and_nothing_is_sent() {
    let mut world = world();
    let mut check = |body: &str, expected: &str| {
        world.check(&format!("bora PUT /v1/me/contacts {body} => {expected}"));
    };
    check(
        r#"{"medium":"mail","address":"bora@example.com"}"#,
        r#"400 {"code":107,"detail":"this is no mail address"}"#,
    );
    check(r#"{"medium":"sms","address":"+491511"}"#, r#"400 {"code":107,"detail":"this server sends nothing by sms"}"#);
    check(r#"{"medium":"apns","address":"abc"}"#, r#"400 {"code":107}"#);
    check(r#"{"medium":"mail"}"#, r#"400 {"code":107}"#);
    check(r#"{"medium":"mail","address":"b@example.org","locale":"de DE"}"#, r#"400 {"code":107}"#);
    world.check(
        r#"bora POST /v1/me/contacts/mail/verify {"code":"12345"} => 400 {"code":107,"detail":"a code has 6 digits"}"#,
    );
    world.check(r#"bora POST /v1/me/contacts/mail/verify {"code":"12345a"} => 400 {"code":107}"#);
    world.check(r#"bora POST /v1/me/contacts/apns/verify {"code":"123456"} => 400 {"code":107}"#);
    world.check(r#"bora POST /v1/me/contacts/pigeon/verify {"code":"123456"} => 400 {"code":107}"#);
    world.check(r#"bora POST /v1/me/contacts/mail/verify {"code":"123456"} => 404 {"code":102}"#);
    world.check(r#"PUT /v1/me/contacts {"medium":"mail","address":"b@example.org"} => 401 {"code":101}"#);
    let page = block_on(world.engine.begin(Begin::Fresh).get_range(&keys::given_up(Medium::Mail))).expect("readable");
    assert!(page.rows.is_empty());
    let notices = keys::notices_before(schema::UnixMs(u64::MAX >> 16));
    assert!(block_on(world.engine.begin(Begin::Fresh).get_range(&notices)).expect("readable").rows.is_empty());
}

#[test]
fn codes_are_sent_so_often_to_whom_and_for_whom_it_may_be() {
    let mut world = world();
    world.sign_up("minsu");
    let ask = |who: &str, address: &str| {
        format!(r#"{who} PUT /v1/me/contacts {{"medium":"mail","address":"{address}@example.org"}}"#)
    };
    for at in 0..5 {
        world.check(&format!("{} => 202", ask("bora", &format!("a{at}"))));
    }
    world.check(&format!(r#"{} => 429 {{"code":111}}"#, ask("bora", "b")));
    // Another's are others, but not to the same address.
    for _ in 0..4 {
        world.check(&format!("{} => 202", ask("minsu", "a0")));
    }
    world.check(&format!(r#"{} => 429 {{"code":111}}"#, ask("minsu", "a0")));
}
