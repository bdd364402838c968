//! Where devices are told: registered, listed without their addresses, removed.

use chat::notices::contacts;
use schema::limits::CONTACT_BYTES_MAX;

use crate::world::{World, block_on};

const PUT: &str = "bora PUT /v1/me/devices/phone/push";

/// The addresses of a user.
fn told(world: &World, user: &str) -> Vec<String> {
    let contacts = block_on(contacts::list(&world.engine, world.user(user))).expect("readable");
    contacts.into_iter().map(|contact| contact.record.address).collect()
}

#[test]
fn a_device_is_told_by_what_it_registered_last() {
    let mut world = World::new();
    world.sign_up("bora");
    world.check(
        r#"bora GET /v1/me/contacts => 200 {"contacts":[],"media":["apns","webpush","mail"],"webpush_key":"BKey"}"#,
    );
    world.check(&format!(
        r#"{PUT} {{"medium":"apns","token":"abc","app":"org.example","env":"development","locale":"pt-BR"}} => 204"#
    ));
    world.check(r#"bora GET /v1/me/contacts => 200 {"contacts":[{"medium":"apns","device_id":"phone","app":"org.example","registered_ms":1800000000000}]}"#);
    world.check(&format!(
        r#"{PUT} {{"medium":"webpush","subscription":{{"endpoint":"https://push.example/1","keys":{{"p256dh":"x","auth":"y"}}}}}} => 204"#
    ));
    world.check(r#"bora GET /v1/me/contacts => 200 {"contacts":[{"medium":"webpush","device_id":"phone"}]}"#);
    assert_eq!(told(&world, "bora"), [r#"{"endpoint":"https://push.example/1","keys":{"p256dh":"x","auth":"y"}}"#]);
    world.check("bora DELETE /v1/me/devices/phone/push => 204");
    world.check(r#"bora DELETE /v1/me/devices/phone/push => 404 {"code":102}"#);
    assert_eq!(told(&world, "bora"), [""; 0]);
}

#[test]
fn who_signs_in_on_a_phone_takes_it_over() {
    let mut world = World::new();
    world.sign_up("bora");
    world.sign_up("minsu");
    world.check(r#"bora PUT /v1/me/devices/phone/push {"medium":"apns","token":"abc"} => 204"#);
    world.check(r#"minsu PUT /v1/me/devices/phone/push {"medium":"apns","token":"abc"} => 204"#);
    assert_eq!((told(&world, "bora").len(), told(&world, "minsu").len()), (0, 1));
}

#[test]
fn what_cannot_be_told_is_refused_and_nothing_is_stored() {
    let mut world = World::new();
    world.sign_up("bora");
    world.check(r#"POST /v1/auth/login {"username":"bora","password":"correct horse","device_id":"laptop"} => 200 {"token":"$laptop.token"}"#);
    let mut check = |body: &str, expected: &str| {
        world.check(&format!("{PUT} {body} => {expected}"));
    };
    check(r#"{"medium":"apns"}"#, r#"400 {"code":107,"detail":"apns wants a token and no subscription"}"#);
    check(r#"{"medium":"apns","token":""}"#, r#"400 {"code":107}"#);
    let long = "x".repeat(CONTACT_BYTES_MAX as usize + 1);
    check(&format!(r#"{{"medium":"apns","token":"{long}"}}"#), r#"400 {"code":107}"#);
    check(
        r#"{"medium":"webpush","token":"x"}"#,
        r#"400 {"code":107,"detail":"webpush wants a subscription and no token"}"#,
    );
    check(
        r#"{"medium":"webpush","subscription":{"endpoint":"http://10.0.0.1/"}}"#,
        r#"400 {"code":107,"detail":"the endpoint is no push service's"}"#,
    );
    check(r#"{"medium":"fcm","token":"x"}"#, r#"400 {"code":107,"detail":"this server sends nothing by fcm"}"#);
    check(r#"{"medium":"mail","token":"a@b"}"#, r#"400 {"code":107,"detail":"a device is told by no mail"}"#);
    check(r#"{"medium":"pigeon","token":"x"}"#, r#"400 {"code":107}"#);
    check(r#"{"medium":"apns","token":"x","app":"a\nb"}"#, r#"400 {"code":107}"#);
    check(r#"{"medium":"apns","token":"x","locale":"de DE"}"#, r#"400 {"code":107}"#);
    check(r#"{"medium":"apns","token":"x","env":"staging"}"#, r#"400 {"code":107}"#);
    world.check(r#"bora PUT /v1/me/devices/a%20b/push {"medium":"apns","token":"x"} => 400 {"code":107}"#);
    world.check(r#"laptop PUT /v1/me/devices/phone/push {"medium":"apns","token":"x"} => 403 {"code":103}"#);
    world.check(r#"PUT /v1/me/devices/phone/push {"medium":"apns","token":"x"} => 401 {"code":101}"#);
    assert_eq!(told(&world, "bora"), [""; 0]);
    world.check(r#"laptop PUT /v1/me/devices/laptop/push {"medium":"apns","token":"x"} => 204"#);
}
