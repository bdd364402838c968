//! Messages with media: sent, read in pages, found by the names of their files.

use crate::world::World;

fn world() -> World {
    let mut world = World::new();
    for user in ["bora", "minsu"] {
        world.sign_up(user);
    }
    world.check(r#"bora POST /v1/channels {"kind":"direct","user_id":"$minsu"} => 201 {"channel_id":"$c"}"#);
    world.picture("bora", "pier", "pier at nine.jpg");
    world.picture("bora", "crab", "");
    world.picture("minsu", "other", "other.jpg");
    world
}

#[test]
fn what_a_message_carries_is_on_every_page_until_it_is_deleted() {
    let mut world = world();
    world.check(
        r#"bora POST /v1/channels/$c/messages {"client_msg_id":"$m1","kind":"media","media":["$pier","$crab"]} => 201 {"seq":1,"duplicate":false}"#,
    );
    world.check(
        r#"bora POST /v1/channels/$c/messages {"client_msg_id":"$m1","media":["$pier","$crab"]} => 200 {"seq":1,"duplicate":true}"#,
    );
    world.check(r#"bora POST /v1/channels/$c/messages {"client_msg_id":"$m1","media":["$crab"]} => 409 {"code":121}"#);
    world.check(r#"bora POST /v1/channels/$c/messages {"client_msg_id":"$m2","body":"text"} => 201 {"seq":2}"#);
    let page = world.check(
        r#"minsu GET /v1/channels/$c/messages => 200 {"messages":[{"seq":1,"kind":"media","body":"","media":[
        {"media_id":"$pier","kind":"image","content_type":"image/jpeg","name":"pier at nine.jpg","bytes":482113,"width":1920,"height":1280,"blurhash":"LEHV6nWB2yk8pyo0adR*.7kCMdnj"},
        {"media_id":"$crab"}]},{"seq":2,"kind":"text","body":"text"}]}"#,
    );
    assert_eq!(page.body.matches("\"media\":").count(), 1, "what has none says nothing of it: {}", page.body);
    world.check(
        r#"bora PATCH /v1/channels/$c/messages/1 {"op_id":"$m3","base_revision":0,"body":"hi"} => 200 {"revision":1}"#,
    );
    world.check(
        r#"bora PATCH /v1/channels/$c/messages/1 {"op_id":"$m4","base_revision":1,"body":""} => 200 {"revision":2}"#,
    );
    world.check(
        r#"bora PATCH /v1/channels/$c/messages/2 {"op_id":"$m5","base_revision":0,"body":""} => 400 {"code":107}"#,
    );
    world.check(r#"minsu GET /v1/search?q=nine => 200 {"hits":[{"seq":1,"snippet":"pier at nine.jpg"}]}"#);
    world.check(r#"bora DELETE /v1/channels/$c/messages/1?op_id=$m6 => 200 {"revision":3}"#);
    let page =
        world.check(r#"minsu GET /v1/channels/$c/messages => 200 {"messages":[{"seq":1,"deleted":true},{"seq":2}]}"#);
    assert!(!page.body.contains("media"), "{}", page.body);
    world.check(r#"minsu GET /v1/search?q=nine => 200 {"hits":[]}"#);
}

#[test]
fn media_that_may_not_be_sent_are_refused() {
    let mut world = world();
    let mut check = |fields: &str, expected: &str| {
        world
            .check(&format!("bora POST /v1/channels/$c/messages {{\"client_msg_id\":\"$m1\",{fields}}} => {expected}"));
    };
    check(r#""body":"hi","media":["$other"]"#, r#"400 {"code":107}"#);
    check(r#""body":"hi","media":["7"]"#, r#"400 {"code":107}"#);
    check(r#""body":"hi","media":["$pier","$pier"]"#, r#"400 {"code":107}"#);
    check(r#""body":"hi","media":["pier"]"#, r#"400 {"code":107}"#);
    check(r#""body":"hi","media":[7]"#, r#"400 {"code":107}"#);
    check(r#""body":"hi","kind":"media""#, r#"400 {"code":107}"#);
    check(r#""body":"","media":[]"#, r#"400 {"code":107}"#);
    check(r#""body":"hi","media":["1","2","3","4","5","6","7","8","9","10","11"]"#, r#"400 {"code":106}"#);
    check(r#""body":"hi","media":["$pier"]"#, r#"201 {"seq":1}"#);
}
