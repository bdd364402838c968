//! The devices of an account, and the end of one.

use chat::devices::{self, Connecting};
use schema::mesh::Kicked;

use crate::world::{World, block_on};

/// A device of a user connects with the login that `name` has the token of.
fn connect(world: &World, user: &str, name: &str, device: &str) {
    let Kicked::Family(family) = world.family(name) else { panic!("a token is of a login") };
    let connecting = Connecting {
        user: world.user(user),
        device: device.parse().expect("a device id"),
        family,
        client: "rows/1".to_owned(),
        cursor: None,
    };
    block_on(devices::open(&world.engine, &connecting, world.wall())).expect("the login lives");
}

fn device(name: &str) -> Kicked {
    Kicked::Device(name.parse().expect("a device id"))
}

/// bora on three devices: a phone and a tablet of one login, a laptop of another that is bound to it.
fn world() -> World {
    let mut world = World::new();
    world.sign_up("bora");
    world.check(r#"POST /v1/auth/login {"username":"bora","password":"correct horse","device_id":"laptop"} => 200 {"token":"$laptop.token"}"#);
    connect(&world, "bora", "bora", "phone");
    world.advance_ms(1_000);
    connect(&world, "bora", "bora", "tablet");
    world.advance_ms(1_000);
    connect(&world, "bora", "laptop", "laptop");
    world
}

#[test]
fn an_owners_device_gets_in_though_somebody_at_its_address_guesses() {
    let mut world = world();
    let mut check = |password: &str, device: &str, expected: &str| {
        world.check(&format!(
            r#"POST /v1/auth/login {{"username":"bora","password":"{password}"{device}}} => {expected}"#
        ));
    };
    for _ in 0..10 {
        check("wrong horse", "", "401");
    }
    check("correct horse", "", "429");
    check("correct horse", r#","device_id":"another""#, "429");
    check("correct horse", r#","device_id":"phone""#, "200");
    for _ in 0..10 {
        check("wrong horse", r#","device_id":"phone""#, "401");
    }
    check("correct horse", r#","device_id":"phone""#, "429");
    check("correct horse", r#","device_id":"tablet""#, "200");
}

#[test]
fn devices_are_listed_by_their_last_connect_and_one_knows_ones_own() {
    let mut world = world();
    world.check(r#"laptop GET /v1/me/devices => 200 {"devices":[{"device_id":"laptop","client":"rows/1","connected_ms":1800000002000,"last_active_ms":1800000002000,"current":true},{"device_id":"tablet","current":false},{"device_id":"phone","connected_ms":1800000000000,"current":false}]}"#);
    // A login that is bound to no device does not tell which of its devices asks.
    world.check(r#"bora GET /v1/me/devices => 200 {"devices":[{"device_id":"laptop","current":false},{"device_id":"tablet","current":true},{"device_id":"phone","current":true}]}"#);
    world.sign_up("minsu");
    world.check(r#"minsu GET /v1/me/devices => 200 {"devices":[]}"#);
    world.check(r#"GET /v1/me/devices => 401 {"code":101}"#);
}

#[test]
fn ending_a_device_ends_its_logins_and_closes_what_they_opened() {
    let mut world = world();
    world.check("laptop DELETE /v1/me/devices/phone => 204");
    assert_eq!(
        world.kicked(),
        [(world.user("bora"), device("phone")), (world.user("bora"), world.family("bora"))],
        "the tablet came with the same login"
    );
    world.check(r#"bora GET /v1/me => 401 {"code":101}"#);
    world.check(r#"POST /v1/auth/refresh {"refresh_token":"$bora.refresh"} => 401 {"code":101}"#);
    world.check(r#"laptop GET /v1/me/devices => 200 {"devices":[{"device_id":"laptop"},{"device_id":"tablet"}]}"#);
    // One's own too.
    world.check("laptop DELETE /v1/me/devices/laptop => 204");
    world.check(r#"laptop GET /v1/me => 401 {"code":101}"#);
}

#[test]
fn a_device_that_is_not_there_is_closed_all_the_same() {
    let mut world = world();
    world.sign_up("minsu");
    world.check(r#"minsu DELETE /v1/me/devices/phone => 404 {"code":102}"#);
    assert_eq!(world.kicked(), [(world.user("minsu"), device("phone"))], "of one's own account alone");
    world.check("bora GET /v1/me => 200");
    world.check(r#"minsu DELETE /v1/me/devices/a%20b => 400 {"code":107}"#);
    let long = "a".repeat(65);
    world.check(&format!(r#"minsu DELETE /v1/me/devices/{long} => 400 {{"code":107}}"#));
    world.check(r#"DELETE /v1/me/devices/phone => 401 {"code":101}"#);
    assert_eq!(world.kicked(), []);
}
