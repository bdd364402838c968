//! What clients say became of notifications on their devices.

use chat::notices::{Target, deliveries};
use schema::{Medium, NoticeId};

use crate::world::{START, World, block_on};

/// A notification that was sent to bora on these devices.
fn told(world: &mut World, number: u128, targets: &[(Medium, &str)]) -> NoticeId {
    let (notice, user) = (NoticeId::new(START, number), world.user("bora"));
    for &(medium, device) in targets {
        world.sent(&Target { notice, user, medium, device: device.to_owned() });
    }
    world.name("n", notice);
    notice
}

fn states(world: &World, notice: NoticeId) -> String {
    let all = block_on(deliveries(&world.engine, notice, world.user("bora"))).expect("readable");
    let shown = all.iter().map(|(target, delivery)| format!("{} {}", target.device, delivery.state.word()));
    shown.collect::<Vec<_>>().join(", ")
}

#[test]
fn a_client_says_what_became_of_a_notification_and_it_never_goes_back() {
    let mut world = World::new();
    world.sign_up("bora");
    let notice = told(&mut world, 1, &[(Medium::Apns, "phone"), (Medium::WebPush, "tablet")]);
    let on = r#"{"device_id":"phone"}"#;
    for (heard, changed, expected) in [
        ("delivered", true, "delivered"),
        ("clicked", true, "clicked"),
        ("opened", false, "clicked"),
        ("clicked", false, "clicked"),
    ] {
        world.check(&format!(r#"bora POST /v1/me/notifications/$n/{heard} {on} => 200 {{"changed":{changed}}}"#));
        assert_eq!(states(&world, notice), format!("phone {expected}, tablet sent"));
    }
}

#[test]
fn who_was_not_told_says_nothing_of_it() {
    let mut world = World::new();
    world.sign_up("bora");
    world.sign_up("minsu");
    let notice = told(&mut world, 1, &[(Medium::Apns, "phone"), (Medium::WebPush, "tablet"), (Medium::Mail, "")]);
    world.check(r#"minsu POST /v1/me/notifications/$n/opened {"device_id":"phone"} => 404 {"code":102}"#);
    world.check(r#"bora POST /v1/me/notifications/$n/opened {"device_id":"watch"} => 404 {"code":102}"#);
    world.check(r#"bora POST /v1/me/notifications/$n/opened => 400 {"code":107}"#);
    world.check(r#"bora POST /v1/me/notifications/$n/opened {"device":"phone"} => 400 {"code":107}"#);
    world.check(r#"bora POST /v1/me/notifications/$n/opened {"device_id":""} => 400 {"code":107}"#);
    world.check(r#"bora POST /v1/me/notifications/$n/dead {"device_id":"phone"} => 400 {"code":107}"#);
    world.check(r#"bora POST /v1/me/notifications/1/opened {"device_id":"phone"} => 400 {"code":107}"#);
    world.check(r#"POST /v1/me/notifications/$n/opened {"device_id":"phone"} => 401 {"code":101}"#);
    assert_eq!(states(&world, notice), "phone sent, tablet sent,  sent");
    // Of one device there is no doubt.
    let notice = told(&mut world, 2, &[(Medium::Apns, "phone"), (Medium::Mail, "")]);
    world.check(r#"bora POST /v1/me/notifications/$n/opened => 200 {"changed":true}"#);
    assert_eq!(states(&world, notice), "phone opened,  sent", "a mail is none of a client's");
}

#[test]
fn a_token_of_a_device_speaks_for_it_alone() {
    let mut world = World::new();
    world.sign_up("bora");
    let notice = told(&mut world, 1, &[(Medium::Apns, "phone"), (Medium::WebPush, "tablet")]);
    let row = r#"POST /v1/auth/login {"username":"bora","password":"correct horse","device_id":"phone"} => 200 {"token":"$phone.token"}"#;
    world.check(row);
    world.check(r#"phone POST /v1/me/notifications/$n/opened {"device_id":"tablet"} => 403 {"code":103}"#);
    world.check(r#"phone POST /v1/me/notifications/$n/opened => 200 {"changed":true}"#);
    assert_eq!(states(&world, notice), "phone opened, tablet sent");
}
