//! Friends and blocks.

use crate::world::World;

/// A world with bora, minsu and yuna.
fn world() -> World {
    let mut world = World::new();
    ["bora", "minsu", "yuna"].iter().for_each(|user| world.sign_up(user));
    world
}

#[test]
fn one_asks_and_the_other_accepts_by_asking_too() {
    let mut world = world();
    world.check(r#"bora PUT /v1/me/friends/$minsu => 200 {"user_id":"$minsu","username":"minsu","display_name":"minsu","state":"requested","since_ms":1800000000000}"#);
    world.advance_ms(5);
    world.check(
        r#"bora PUT /v1/me/friends/$minsu => 200 {"user_id":"$minsu","state":"requested","since_ms":1800000000000}"#,
    );
    world.check(
        r#"minsu GET /v1/me/friends => 200 {"friends":[{"user_id":"$bora","username":"bora","state":"asked"}],"more":false,"cursor":null}"#,
    );
    world.check(
        r#"minsu PUT /v1/me/friends/$bora => 200 {"user_id":"$bora","state":"accepted","since_ms":1800000000005}"#,
    );
    let (bora, minsu) = (world.user("bora"), world.user("minsu"));
    assert_eq!(world.judged(), [(minsu, bora, false)], "who asked without an answer sees nothing yet");
    world.check(r#"bora GET /v1/me/friends => 200 {"friends":[{"user_id":"$minsu","state":"accepted"}]}"#);
    world.check("bora DELETE /v1/me/friends/$minsu => 204");
    assert_eq!(world.judged(), [(bora, minsu, true)]);
    world.check("bora DELETE /v1/me/friends/$minsu => 204");
    assert_eq!(world.judged(), [], "who ends nothing hides nobody");
    world.check(r#"minsu GET /v1/me/friends => 200 {"friends":[]}"#);
}

#[test]
fn friends_come_in_pages() {
    let mut world = world();
    world.check("bora PUT /v1/me/friends/$minsu => 200");
    world.check("bora PUT /v1/me/friends/$yuna => 200");
    world.check(
        r#"bora GET /v1/me/friends?limit=1 => 200 {"friends":[{"user_id":"$first"}],"more":true,"cursor":"$first"}"#,
    );
    world.check(r#"bora GET /v1/me/friends?limit=1&cursor=$first => 200 {"friends":[{"user_id":"$second"}],"more":false,"cursor":null}"#);
    assert_ne!(world.value("first"), world.value("second"));
    for query in ["cursor=x", "cursor=-1", "limit=0", "limit=-1", "limit=x"] {
        world.check(&format!(r#"bora GET /v1/me/friends?{query} => 400 {{"code":107}}"#));
        world.check(&format!(r#"bora GET /v1/me/blocks?{query} => 400 {{"code":107}}"#));
    }
    world.check(
        r#"bora GET /v1/me/friends?cursor=18446744073709551615&limit=4294967295 => 200 {"friends":[],"more":false}"#,
    );
}

#[test]
fn a_block_ends_a_friendship_and_keeps_another_from_beginning() {
    let mut world = world();
    world.check("bora PUT /v1/me/friends/$minsu => 200");
    world.check("minsu PUT /v1/me/friends/$bora => 200");
    world.check(r#"bora PUT /v1/me/blocks/$minsu => 200 {"user_id":"$minsu","changed":true}"#);
    world.check(r#"bora PUT /v1/me/blocks/$minsu => 200 {"user_id":"$minsu","changed":false}"#);
    world.check(r#"bora GET /v1/me/blocks => 200 {"blocks":[{"user_id":"$minsu","username":"minsu","display_name":"minsu","since_ms":1800000000000}],"more":false}"#);
    world.check(r#"minsu GET /v1/me/blocks => 200 {"blocks":[]}"#);
    world.check(r#"minsu GET /v1/me/friends => 200 {"friends":[]}"#);
    world.check(r#"minsu PUT /v1/me/friends/$bora => 403 {"code":117,"temporary":false}"#);
    world.check(r#"bora PUT /v1/me/friends/$minsu => 403 {"code":117}"#);
    world.check("bora DELETE /v1/me/blocks/$minsu => 204");
    world.check("bora DELETE /v1/me/blocks/$minsu => 204");
    world.check(r#"minsu PUT /v1/me/friends/$bora => 200 {"state":"requested"}"#);
}

#[test]
fn a_block_between_two_who_talk_is_known_where_they_talk() {
    let mut world = world();
    world.check("bora PUT /v1/me/friends/$minsu => 200");
    world.check(r#"bora POST /v1/channels {"kind":"direct","user_id":"$minsu"} => 201 {"channel_id":"$c"}"#);
    world.check(r#"minsu POST /v1/channels/$c/messages {"client_msg_id":"$m1","body":"hi"} => 201"#);
    world.check(r#"bora PUT /v1/me/blocks/$minsu => 200 {"changed":true}"#);
    world.check(r#"bora PUT /v1/me/blocks/$minsu => 200 {"changed":false}"#);
    world.check(r#"bora GET /v1/me/blocks => 200 {"blocks":[{"user_id":"$minsu"}]}"#);
    world.check(r#"minsu GET /v1/me/friends => 200 {"friends":[]}"#);
    for user in ["bora", "minsu"] {
        world.check(&format!(
            r#"{user} POST /v1/channels/$c/messages {{"client_msg_id":"$m2","body":"hi"}} => 403 {{"code":117}}"#
        ));
    }
    world.check(
        r#"minsu PATCH /v1/channels/$c/messages/1 {"op_id":"$m3","base_revision":0,"body":"x"} => 403 {"code":117}"#,
    );
    world.check("minsu DELETE /v1/channels/$c/messages/1?op_id=$m4 => 200");
    world.check(r#"minsu POST /v1/channels {"kind":"direct","user_id":"$bora"} => 403 {"code":117}"#);
    world.check("bora DELETE /v1/me/blocks/$minsu => 204");
    world.check(r#"minsu POST /v1/channels/$c/messages {"client_msg_id":"$m2","body":"hi"} => 201 {"seq":2}"#);
    // Without a channel between them a block keeps one from being made.
    world.check("yuna PUT /v1/me/blocks/$bora => 200");
    world.check(r#"bora POST /v1/channels {"kind":"direct","user_id":"$yuna"} => 403 {"code":117}"#);
    *world.shard.refusal.blocking_lock() = Some(schema::ErrorCode::Moving);
    world.check(r#"bora PUT /v1/me/blocks/$minsu => 503 {"code":113}"#);
    world.check("bora PUT /v1/me/blocks/$yuna => 200");
}

#[test]
fn who_is_nobody_or_oneself_is_neither_friend_nor_blocked() {
    let mut world = world();
    for list in ["friends", "blocks"] {
        world.check(&format!(r#"bora PUT /v1/me/{list}/$bora => 400 {{"code":107}}"#));
        world.check(&format!(r#"bora PUT /v1/me/{list}/7 => 404 {{"code":102}}"#));
        world.check(&format!(r#"bora PUT /v1/me/{list}/x => 400 {{"code":107}}"#));
        world.check(&format!(r#"bora DELETE /v1/me/{list}/me => 400 {{"code":107}}"#));
        world.check(&format!(r#"PUT /v1/me/{list}/$bora => 401 {{"code":101}}"#));
        world.check(&format!(r#"GET /v1/me/{list} => 401 {{"code":101}}"#));
    }
}

#[test]
fn a_disk_below_its_reserve_takes_no_friends_and_gives_them_up() {
    let mut world = world();
    world.check("bora PUT /v1/me/friends/$minsu => 200");
    world.check("bora PUT /v1/me/blocks/$yuna => 200");
    world.node.full.store(true, std::sync::atomic::Ordering::Relaxed);
    world.check(r#"bora PUT /v1/me/friends/$yuna => 503 {"code":115}"#);
    world.check(r#"bora PUT /v1/me/blocks/$minsu => 503 {"code":115}"#);
    world.check("bora DELETE /v1/me/friends/$minsu => 204");
    world.check("bora DELETE /v1/me/blocks/$yuna => 204");
}

#[test]
fn asking_for_friends_costs_more_than_asking() {
    let mut world = world();
    let refused = (0..300).find(|_| {
        let answer = world.ask("bora PUT /v1/me/friends/$minsu");
        assert!([200, 429].contains(&answer.status), "{}", answer.body);
        answer.status == 429
    });
    assert!(
        refused.is_some_and(|asked| asked >= 90),
        "of 2,000 each costs 21, and 100 a second come back: {refused:?}"
    );
    world.check("minsu PUT /v1/me/friends/$bora => 200");
}
