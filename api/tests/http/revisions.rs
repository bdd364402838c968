//! Messages after they were sent: edited, deleted, reacted to, and where one is named.

use schema::{ClientMsgId, UnixMs};

use crate::world::{START, World};

/// A group of bora, who owns it, minsu and yuna, who joins after the first message. minsu wrote both.
fn world() -> World {
    let mut world = World::new();
    ["bora", "minsu", "yuna", "jiho"].iter().for_each(|user| world.sign_up(user));
    world.check(
        r#"bora POST /v1/channels {"kind":"group","title":"g","member_ids":["$minsu"]} => 201 {"channel_id":"$g"}"#,
    );
    world.check(r#"minsu POST /v1/channels/$g/messages {"client_msg_id":"$m1","body":"one"} => 201 {"seq":1}"#);
    world.check("bora PUT /v1/channels/$g/members/$yuna => 200");
    world.check(r#"minsu POST /v1/channels/$g/messages {"client_msg_id":"$m2","body":"two"} => 201 {"seq":2}"#);
    world
}

#[test]
fn an_edit_makes_a_revision_once() {
    let mut world = world();
    world.advance_ms(7);
    let edit = r#"minsu PATCH /v1/channels/$g/messages/2 {"op_id":"$m3","base_revision":0,"body":"둘"} => "#;
    world.check(&format!(r#"{edit}200 {{"revision":1}}"#));
    world.check(r#"bora GET /v1/channels/$g/messages => 200 {"messages":[{"seq":1,"revision":0,"edited_ms":null},{"seq":2,"revision":1,"body":"둘","edited_ms":1800000000007}]}"#);
    world.check(
        r#"minsu PATCH /v1/channels/$g/messages/2 {"op_id":"$m4","base_revision":1,"body":"II"} => 200 {"revision":2}"#,
    );
    world.check(&format!(r#"{edit}200 {{"revision":1}}"#));
    world.check(
        r#"bora GET /v1/channels/$g/messages?around=2&limit=1 => 200 {"messages":[{"revision":2,"body":"II"}]}"#,
    );
    world.check(
        r#"minsu PATCH /v1/channels/$g/messages/2 {"op_id":"$m3","base_revision":0,"body":"zwei"} => 409 {"code":121}"#,
    );
    world.check(r#"minsu PATCH /v1/channels/$g/messages/2 {"op_id":"$m5","base_revision":1,"body":"zwei"} => 409 {"code":122,"temporary":false}"#);
}

#[test]
fn an_edit_that_is_not_legal_changes_nothing() {
    let mut world = world();
    world.name("limit", "글".repeat(100_000));
    world.name("over", "글".repeat(100_001));
    world.name("old", ClientMsgId::new(UnixMs(START.0 - 31 * 24 * 3600 * 1000), 1));
    world.name("max", u64::MAX);
    let mut check = |who: &str, seq: &str, fields: &str, expected: &str| {
        world.check(&format!("{who} PATCH /v1/channels/$g/messages/{seq} {{{fields}}} => {expected}"));
    };
    let legal = r#""op_id":"$m3","base_revision":0,"body":"x""#;
    check("bora", "2", legal, r#"403 {"code":103}"#);
    check("jiho", "2", legal, r#"404 {"code":102}"#);
    check("yuna", "1", legal, r#"404 {"code":123}"#);
    check("minsu", "0", legal, r#"404 {"code":123}"#);
    check("minsu", "3", legal, r#"404 {"code":123}"#);
    check("minsu", "$max", legal, r#"404 {"code":123}"#);
    check("minsu", "-1", legal, r#"400 {"code":107}"#);
    check("minsu", "two", legal, r#"400 {"code":107}"#);
    check("minsu", "2", r#""op_id":"$m3","base_revision":0,"body":"""#, r#"400 {"code":107}"#);
    check("minsu", "2", r#""op_id":"$m3","base_revision":0,"body":"$over""#, r#"413 {"code":116}"#);
    check("minsu", "2", r#""op_id":"$m3","base_revision":-1,"body":"x""#, r#"400 {"code":107}"#);
    check("minsu", "2", r#""op_id":"$m3","base_revision":9,"body":"x""#, r#"409 {"code":122}"#);
    check("minsu", "2", r#""op_id":"$m3","body":"x""#, r#"400 {"code":107}"#);
    check("minsu", "2", r#""op_id":"3","base_revision":0,"body":"x""#, r#"400 {"code":107}"#);
    check("minsu", "2", r#""base_revision":0,"body":"x""#, r#"400 {"code":107}"#);
    check("minsu", "2", r#""op_id":"$old","base_revision":0,"body":"x""#, r#"409 {"code":124}"#);
    world
        .check(r#"bora GET /v1/channels/$g/messages => 200 {"messages":[{"revision":0},{"revision":0,"body":"two"}]}"#);
    world.check(r#"minsu PATCH /v1/channels/$g/messages/2 {"op_id":"$m3","base_revision":0,"body":"$limit"} => 200"#);
}

#[test]
fn a_deletion_leaves_the_seq() {
    let mut world = world();
    world.react("bora", "g", 2, "👍");
    world.react("minsu", "g", 2, "👍");
    world.check(r#"bora GET /v1/channels/$g/messages?after=1 => 200 {"messages":[{"reactions":[{"emoji":"👍","count":2,"mine":true}]}]}"#);
    world.check(r#"yuna GET /v1/channels/$g/messages?after=1 => 200 {"messages":[{"reactions":[{"emoji":"👍","count":2,"mine":null}]}]}"#);

    world.check(r#"yuna DELETE /v1/channels/$g/messages/2?op_id=$m3 => 403 {"code":103}"#);
    world.check(r#"jiho DELETE /v1/channels/$g/messages/2?op_id=$m3 => 404 {"code":102}"#);
    world.check(r#"yuna DELETE /v1/channels/$g/messages/1?op_id=$m3 => 404 {"code":123}"#);
    world.check(r#"minsu DELETE /v1/channels/$g/messages/2 => 400 {"code":107}"#);
    world.check(r#"minsu DELETE /v1/channels/$g/messages/2 {} => 400 {"code":107}"#);
    world.check(r#"minsu DELETE /v1/channels/$g/messages/2?op_id=3 => 400 {"code":107}"#);
    world.check(r#"minsu DELETE /v1/channels/$g/messages/2?op_id=$m3 {"op_id":"$m4"} => 400 {"code":107}"#);

    world.check(r#"minsu DELETE /v1/channels/$g/messages/2?op_id=$m3 {"op_id":"$m3"} => 200 {"revision":1}"#);
    world.check(r#"minsu DELETE /v1/channels/$g/messages/2 {"op_id":"$m3"} => 200 {"revision":1}"#);
    world.check(r#"minsu DELETE /v1/channels/$g/messages/2?op_id=$m4 => 200 {"revision":1}"#);
    world.check(r#"minsu DELETE /v1/channels/$g/messages/1?op_id=$m4 => 409 {"code":121}"#);
    world.check(
        r#"minsu PATCH /v1/channels/$g/messages/2 {"op_id":"$m5","base_revision":1,"body":"x"} => 404 {"code":123}"#,
    );
    // The owner deletes another's.
    world.check("bora DELETE /v1/channels/$g/messages/1?op_id=$m6 => 200");
    world.check(r#"bora GET /v1/channels/$g/messages => 200 {"messages":[{"seq":1,"deleted":true,"body":""},{"seq":2,"revision":1,"deleted":true,"body":"","reactions":null,"edited_ms":null}],"head_seq":2}"#);
}

#[test]
fn pages_reach_mentions_that_were_sent_in_one_millisecond() {
    let mut world = world();
    for id in ["m3", "m4", "m5", "m6", "m7"] {
        world.check(&format!(
            r#"minsu POST /v1/channels/$g/messages {{"client_msg_id":"${id}","body":"x","mentions":["$yuna"]}} => 201"#
        ));
    }
    assert_eq!(world.pages("yuna GET /v1/mentions?limit=2", "messages", "seq"), ["7", "6", "5", "4", "3"]);
}

#[test]
fn mentions_are_listed_newest_first_as_far_as_one_may_read() {
    let mut world = world();
    let mut say = |who: &str, id: &str, named: &str, at_ms: u64| {
        world.advance_ms(at_ms);
        world.check(&format!(
            r#"{who} POST /v1/channels/$g/messages {{"client_msg_id":"${id}","body":"{id}","mentions":["${named}"]}} => 201"#
        ));
    };
    say("minsu", "m3", "yuna", 1);
    say("minsu", "m4", "yuna", 1);
    say("bora", "m5", "minsu", 1);
    say("bora", "m6", "yuna", 1);
    world.check(r#"yuna GET /v1/mentions => 200 {"messages":[{"channel_id":"$g","seq":6,"from":"$bora","mentions":["$yuna"]},{"seq":4},{"seq":3}],"more":false,"cursor":null}"#);
    world.check(
        r#"yuna GET /v1/mentions?limit=2 => 200 {"messages":[{"seq":6},{"seq":4}],"more":true,"cursor":"$next"}"#,
    );
    world.check(r#"yuna GET /v1/mentions?limit=2&cursor=$next => 200 {"messages":[{"seq":3}],"more":false}"#);
    world.check(r#"minsu GET /v1/mentions => 200 {"messages":[{"seq":5}]}"#);
    world.check(r#"jiho GET /v1/mentions => 200 {"messages":[]}"#);
    world.check("minsu DELETE /v1/channels/$g/messages/4?op_id=$m7 => 200");
    world.check("yuna DELETE /v1/channels/$g/members/me => 204");
    world.check(r#"yuna GET /v1/mentions => 200 {"messages":[{"seq":6},{"seq":3}]}"#);
    for query in ["cursor=x", "cursor=1-2", "limit=0", "limit=-1"] {
        world.check(&format!(r#"yuna GET /v1/mentions?{query} => 400 {{"code":107}}"#));
    }
    world.check(r#"GET /v1/mentions => 401 {"code":101}"#);
}
