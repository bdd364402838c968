//! Channels, members and messages.

use kv::memory::MemoryEngine;
use schema::{ClientMsgId, ErrorCode, Ruling};

use crate::world::{Options, START, World};

/// A world with these users.
fn world(users: &[&str]) -> World {
    let mut world = World::new();
    users.iter().for_each(|user| world.sign_up(user));
    world
}

#[test]
fn two_users_have_one_direct_channel() {
    let mut world = world(&["bora", "minsu", "yuna"]);
    world.check(r#"bora POST /v1/channels {"kind":"direct","user_id":"$minsu"} => 201 {"channel_id":"$c","kind":"direct","title":"","peer":{"user_id":"$minsu","username":"minsu"},"role":"member","member_count":2,"head_seq":0,"read_seq":0,"unread":0,"last_message":null}"#);
    world.check(r#"bora POST /v1/channels {"kind":"direct","user_id":"$minsu"} => 200 {"channel_id":"$c"}"#);
    world.check(r#"minsu POST /v1/channels {"kind":"direct","user_id":"$bora"} => 200 {"channel_id":"$c","peer":{"username":"bora"}}"#);
    world.check(r#"bora POST /v1/channels {"kind":"direct","user_id":"$yuna"} => 201 {"channel_id":"$d"}"#);
    world.check(r#"yuna GET /v1/channels/$c => 404 {"code":102}"#);
    world.check(r#"bora POST /v1/channels {"kind":"direct","user_id":"$bora"} => 400 {"code":107}"#);
    world.check(r#"bora POST /v1/channels {"kind":"direct","user_id":"7"} => 404 {"code":102}"#);
    world.check(r#"bora POST /v1/channels {"kind":"direct","user_id":7} => 400 {"code":107}"#);
    world.check(r#"bora POST /v1/channels {"kind":"direct"} => 400 {"code":107}"#);
}

#[test]
fn a_group_has_a_title_an_owner_and_a_limit() {
    let mut world = world(&["bora", "minsu", "yuna", "jiho", "sora", "hana"]);
    world.check(r#"bora POST /v1/channels {"kind":"group","title":" 산책 ","member_ids":["$minsu","$minsu","$bora"]} => 201 {"channel_id":"$g","kind":"group","title":"산책","role":"owner","member_count":2,"peer":null}"#);
    world.check(r#"minsu GET /v1/channels/$g => 200 {"title":"산책","role":"member"}"#);
    world.check(r#"bora POST /v1/channels {"kind":"group","title":""} => 400 {"code":107}"#);
    world.check(r#"bora POST /v1/channels {"kind":"group","title":"x","member_ids":["7"]} => 404 {"code":102}"#);
    world.check(r#"bora POST /v1/channels {"kind":"group","title":"x","member_ids":["$minsu","$yuna","$jiho","$sora"]} => 201 {"member_count":5}"#);
    world.check(r#"bora POST /v1/channels {"kind":"group","title":"x","member_ids":["$minsu","$yuna","$jiho","$sora","$hana"]} => 409 {"code":119}"#);
}

#[test]
fn a_creation_is_repeated_under_its_key() {
    let mut world = world(&["bora", "minsu"]);
    world.check(r#"bora POST /v1/channels idempotency-key=k1 {"kind":"group","title":"a"} => 201 {"channel_id":"$a"}"#);
    world.check(r#"bora POST /v1/channels idempotency-key=k1 {"kind":"group","title":"a"} => 201 {"channel_id":"$a"}"#);
    world.check(r#"bora POST /v1/channels idempotency-key=k1 {"kind":"group","title":"b"} => 409 {"code":121}"#);
    world
        .check(r#"minsu POST /v1/channels idempotency-key=k1 {"kind":"group","title":"a"} => 201 {"channel_id":"$b"}"#);
    assert_ne!(world.value("a"), world.value("b"), "a key is its user's own");
    let long = "k".repeat(129);
    world.check(&format!(
        r#"bora POST /v1/channels idempotency-key={long} {{"kind":"group","title":"a"}} => 400 {{"code":107}}"#
    ));
}

#[test]
fn messages_are_sent_and_read_by_members() {
    let mut world = world(&["bora", "minsu", "yuna"]);
    world.check(r#"bora POST /v1/channels {"kind":"direct","user_id":"$minsu"} => 201 {"channel_id":"$c"}"#);
    let sent = world.check(r#"bora POST /v1/channels/$c/messages {"client_msg_id":"$m1","body":"안녕"} => 201 {"seq":1,"sent_ms":1800000000000,"duplicate":false}"#);
    let again = world.check(
        r#"bora POST /v1/channels/$c/messages {"client_msg_id":"$m1","body":"안녕"} => 200 {"seq":1,"duplicate":true}"#,
    );
    assert_eq!(sent.body.replace("false", "true"), again.body);
    world.check(r#"bora POST /v1/channels/$c/messages {"client_msg_id":"$m1","body":"hello"} => 409 {"code":121}"#);
    world.check(r#"minsu POST /v1/channels/$c/messages {"client_msg_id":"$m2","body":"hi","reply_to":1,"mentions":["$bora"]} => 201 {"seq":2}"#);
    world.check(r#"minsu GET /v1/channels/$c/messages => 200 {"messages":[{"channel_id":"$c","seq":1,"revision":0,"from":"$bora","client_msg_id":"$m1","kind":"text","body":"안녕"},{"seq":2,"from":"$minsu","reply_to":1,"mentions":["$bora"]}],"head_seq":2,"first_seq":1,"more":false}"#);
    world.check(r#"minsu GET /v1/channels/$c/messages?before=2 => 200 {"messages":[{"seq":1}],"more":false}"#);
    world.check(r#"minsu GET /v1/channels/$c/messages?after=1 => 200 {"messages":[{"seq":2}],"more":false}"#);
    world.check(r#"minsu GET /v1/channels/$c/messages?limit=1 => 200 {"messages":[{"seq":2}],"more":true}"#);
    world.check(r#"minsu GET /v1/channels/$c/messages?limit=1000 => 200 {"messages":[{"seq":1},{"seq":2}]}"#);
    world.check(r#"minsu GET /v1/channels/$c/messages?limit=0 => 400 {"code":107}"#);
    world.check(r#"minsu GET /v1/channels/$c/messages?before=1&after=1 => 400 {"code":107}"#);
    world.check(r#"minsu GET /v1/channels/$c/messages?before=x => 400 {"code":107}"#);
    world.check(r#"yuna GET /v1/channels/$c/messages => 404 {"code":102}"#);
    world.check(r#"yuna POST /v1/channels/$c/messages {"client_msg_id":"$m3","body":"hi"} => 404 {"code":102}"#);
    world.check(r#"bora POST /v1/channels/7/messages {"client_msg_id":"$m3","body":"hi"} => 404 {"code":102}"#);
    world.check(r#"bora GET /v1/channels/c/messages => 400 {"code":107}"#);
}

#[test]
fn a_message_that_is_not_legal_is_refused() {
    let mut world = world(&["bora", "minsu", "yuna"]);
    world.check(r#"bora POST /v1/channels {"kind":"direct","user_id":"$minsu"} => 201 {"channel_id":"$c"}"#);
    world.name("old", ClientMsgId::new(schema::UnixMs(START.0 - 31 * 24 * 3600 * 1000), 1));
    world.name("ahead", ClientMsgId::new(START.plus_ms(2 * 24 * 3600 * 1000), 1));
    world.name("limit", "글".repeat(100_000));
    world.name("over", "글".repeat(100_001));
    world.name("ids", vec![r#""1""#; 51].join(","));
    let mut check = |fields: &str, expected: &str| {
        world.check(&format!("bora POST /v1/channels/$c/messages {{{fields}}} => {expected}"));
    };
    check(r#""client_msg_id":"$m1","body":"""#, r#"400 {"code":107}"#);
    check(r#""client_msg_id":"$m1""#, r#"400 {"code":107}"#);
    check(r#""body":"hi""#, r#"400 {"code":107}"#);
    check(r#""client_msg_id":"7","body":"hi""#, r#"400 {"code":107}"#);
    check(r#""client_msg_id":"$m1","body":"$over""#, r#"413 {"code":116}"#);
    check(r#""client_msg_id":"$m1","body":"$limit""#, r#"201 {"seq":1}"#);
    check(r#""client_msg_id":"$m2","body":"hi","mentions":[$ids]"#, r#"400 {"code":106}"#);
    check(r#""client_msg_id":"$m2","body":"hi","mentions":["$yuna"]"#, r#"400 {"code":107}"#);
    check(r#""client_msg_id":"$m2","body":"hi","reply_to":9"#, r#"404 {"code":123}"#);
    check(r#""client_msg_id":"$old","body":"hi""#, r#"409 {"code":124}"#);
    check(r#""client_msg_id":"$ahead","body":"hi""#, r#"409 {"code":124}"#);
    check(r#""client_msg_id":"$m2","body":"hi","kind":"dance""#, r#"400 {"code":107}"#);
    check(r#""client_msg_id":"$m2","body":"hi","later":true"#, r#"201 {"seq":2}"#);
}

#[test]
fn an_application_changes_and_refuses_what_is_sent_and_edited() {
    let mut world = world(&["bora", "minsu"]);
    world.check(r#"bora POST /v1/channels {"kind":"direct","user_id":"$minsu"} => 201 {"channel_id":"$c"}"#);
    let says = |world: &World, ruling| *world.shard.ruling.blocking_lock() = ruling;
    let send = |world: &mut World, id: &str, expected: &str| {
        let body = format!(r#"{{"client_msg_id":"${id}","body":"hi"}}"#);
        world.check(&format!("bora POST /v1/channels/$c/messages {body} => {expected}"));
    };
    says(&world, Some(Ruling::Change("hello".into())));
    send(&mut world, "m1", r#"201 {"seq":1}"#);
    world.check(r#"minsu GET /v1/channels/$c/messages => 200 {"messages":[{"seq":1,"body":"hello"}]}"#);
    says(&world, Some(Ruling::Refuse("be kind".into())));
    // The first answer holds.
    send(&mut world, "m1", r#"200 {"seq":1,"duplicate":true}"#);
    send(&mut world, "m2", r#"403 {"code":125,"detail":"be kind"}"#);
    world.check(
        r#"bora PATCH /v1/channels/$c/messages/1 {"op_id":"$m3","base_revision":0,"body":"x"} => 403 {"code":125,"detail":"be kind"}"#,
    );
    says(&world, Some(Ruling::Change("y".into())));
    world.check(
        r#"bora PATCH /v1/channels/$c/messages/1 {"op_id":"$m3","base_revision":0,"body":"x"} => 200 {"revision":1}"#,
    );
    says(&world, None);
    world.check(
        r#"bora PATCH /v1/channels/$c/messages/1 {"op_id":"$m3","base_revision":0,"body":"x"} => 200 {"revision":1}"#,
    );
    world.check(r#"minsu GET /v1/channels/$c/messages => 200 {"messages":[{"seq":1,"body":"y"}]}"#);
}

#[test]
fn channels_are_listed_by_recent_activity_with_what_is_unread() {
    let mut world = world(&["bora", "minsu", "yuna"]);
    world.check(r#"bora POST /v1/channels {"kind":"direct","user_id":"$minsu"} => 201 {"channel_id":"$a"}"#);
    world.advance_ms(1);
    world.check(r#"bora POST /v1/channels {"kind":"direct","user_id":"$yuna"} => 201 {"channel_id":"$b"}"#);
    world.advance_ms(1);
    world.check(
        r#"bora POST /v1/channels {"kind":"group","title":"c","member_ids":["$minsu"]} => 201 {"channel_id":"$c"}"#,
    );
    world.check(r#"bora GET /v1/channels => 200 {"channels":[{"channel_id":"$c"},{"channel_id":"$b"},{"channel_id":"$a"}],"more":false,"cursor":null}"#);
    world.advance_ms(1);
    world.check(r#"minsu POST /v1/channels/$a/messages {"client_msg_id":"$m1","body":"one"} => 201"#);
    world.check(r#"minsu POST /v1/channels/$a/messages {"client_msg_id":"$m2","body":"two"} => 201"#);
    world.check(r#"bora GET /v1/channels?limit=2 => 200 {"unread_total":2,"channels":[{"channel_id":"$a","head_seq":2,"read_seq":0,"unread":2,"last_message":{"seq":2,"body":"two"},"peer":{"username":"minsu"}},{"channel_id":"$c"}],"more":true,"cursor":"$next"}"#);
    world.check(r#"bora GET /v1/channels?limit=2&cursor=$next => 200 {"channels":[{"channel_id":"$b","peer":{"username":"yuna"}}],"unread_total":2,"more":false,"cursor":null}"#);
    world.check(r#"minsu GET /v1/channels => 200 {"unread_total":0,"channels":[{"channel_id":"$a","read_seq":2,"unread":0},{"channel_id":"$c"}]}"#);
    world.check(r#"bora GET /v1/channels?limit=0 => 400 {"code":107}"#);
    world.check(r#"bora GET /v1/channels?limit=x => 400 {"code":107}"#);
    world.check(r#"bora GET /v1/channels?cursor=x => 400 {"code":107}"#);
}

#[test]
fn pages_reach_channels_that_were_made_in_one_millisecond() {
    let mut world = world(&["bora"]);
    for title in 'a'..='e' {
        world.check(&format!(
            r#"bora POST /v1/channels {{"kind":"large","title":"{title}"}} => 201 {{"channel_id":"${title}"}}"#
        ));
    }
    let mut pages = world.pages("bora GET /v1/channels?limit=2", "channels", "channel_id");
    pages.sort_unstable();
    let mut made: Vec<_> = ["a", "b", "c", "d", "e"].map(|name| world.value(name).to_owned()).into();
    made.sort_unstable();
    assert_eq!(pages, made);
}

#[test]
fn a_read_mark_moves_forward_alone() {
    let mut world = world(&["bora", "minsu", "yuna"]);
    world.check(r#"bora POST /v1/channels {"kind":"direct","user_id":"$minsu"} => 201 {"channel_id":"$c"}"#);
    for number in 1..=3 {
        world.check(&format!(
            r#"minsu POST /v1/channels/$c/messages {{"client_msg_id":"$m{number}","body":"x"}} => 201"#
        ));
    }
    world.check(r#"bora POST /v1/channels/$c/mark {"read_seq":2} => 200 {"read_seq":2,"unread":1}"#);
    world.check(r#"bora POST /v1/channels/$c/mark {"read_seq":1} => 200 {"read_seq":2,"unread":1}"#);
    world.check(r#"bora POST /v1/channels/$c/mark {"read_seq":99} => 200 {"read_seq":3,"unread":0}"#);
    world.check(r#"bora GET /v1/channels/$c => 200 {"read_seq":3,"unread":0}"#);
    world.check(r#"bora POST /v1/channels/$c/mark {"read_seq":"3"} => 400 {"code":107}"#);
    world.check(r#"yuna POST /v1/channels/$c/mark {"read_seq":1} => 404 {"code":102}"#);
}

#[test]
fn members_come_and_go() {
    let mut world = world(&["bora", "minsu", "yuna", "jiho", "sora", "hana"]);
    world.check(
        r#"bora POST /v1/channels {"kind":"group","title":"g","member_ids":["$minsu"]} => 201 {"channel_id":"$g"}"#,
    );
    world.check(r#"bora GET /v1/channels/$g/members?limit=1 => 200 {"members":[{"user_id":"*","joined_ms":1800000000000}],"more":true,"cursor":"$next"}"#);
    world.check(r#"bora GET /v1/channels/$g/members?limit=1&cursor=$next => 200 {"members":[{"user_id":"*"}],"more":false,"cursor":null}"#);
    let both = world.check(r#"minsu GET /v1/channels/$g/members => 200 {"members":["*","*"],"more":false}"#);
    assert!(both.body.contains(r#""username":"bora""#) && both.body.contains(r#""role":"owner""#), "{}", both.body);

    world.check(r#"yuna PUT /v1/channels/$g/members/$yuna {"role":"member"} => 404 {"code":102}"#);
    world.check(r#"minsu PUT /v1/channels/$g/members/$yuna => 403 {"code":103}"#);
    world.check(r#"bora PUT /v1/channels/$g/members/$yuna => 200 {"user_id":"$yuna","role":"member","changed":true}"#);
    world.check(r#"bora PUT /v1/channels/$g/members/$yuna => 200 {"changed":false}"#);
    world.check(r#"bora PUT /v1/channels/$g/members/$yuna {"role":"admin"} => 200 {"role":"admin","changed":true}"#);
    world.check(r#"yuna PUT /v1/channels/$g/members/$jiho => 200 {"changed":true}"#);
    world.check(r#"yuna PUT /v1/channels/$g/members/7 => 404 {"code":102}"#);
    world.check(r#"yuna PUT /v1/channels/$g/members/$sora => 200 {"changed":true}"#);
    world.check(r#"yuna PUT /v1/channels/$g/members/$hana => 409 {"code":119}"#);
    world.check(r#"yuna PUT /v1/channels/$g/members/x => 400 {"code":107}"#);
    world.check(r#"yuna PUT /v1/channels/$g/members/$hana {"role":"king"} => 400 {"code":107}"#);

    world.check(r#"minsu DELETE /v1/channels/$g/members/$jiho => 403 {"code":103}"#);
    world.check(r#"yuna DELETE /v1/channels/$g/members/$jiho => 204"#);
    world.check(r#"yuna DELETE /v1/channels/$g/members/$jiho => 204"#);
    world.check(r#"minsu DELETE /v1/channels/$g/members/me => 204"#);
    world.check(r#"minsu GET /v1/channels/$g => 403 {"code":103}"#);
    world.check(r#"minsu GET /v1/channels/$g/members => 403 {"code":103}"#);
    world.check(r#"minsu POST /v1/channels/$g/messages {"client_msg_id":"$m1","body":"x"} => 403 {"code":103}"#);
    world.check(r#"minsu GET /v1/channels => 200 {"channels":[]}"#);
    world.check(r#"bora POST /v1/channels {"kind":"direct","user_id":"$minsu"} => 201 {"channel_id":"$d"}"#);
    world.check(r#"bora PUT /v1/channels/$d/members/$yuna => 403 {"code":103}"#);
    world.check(r#"bora DELETE /v1/channels/$d/members/me => 403 {"code":103}"#);
}

#[test]
fn a_group_is_named_by_its_owner_and_muted_by_each_for_itself() {
    let mut world = world(&["bora", "minsu", "yuna"]);
    world.check(
        r#"bora POST /v1/channels {"kind":"group","title":"g","member_ids":["$minsu"]} => 201 {"channel_id":"$g","muted":false,"history":"joined"}"#,
    );
    world.check(r#"bora PATCH /v1/channels/$g {"title":" 산책 "} => 200 {"channel_id":"$g","title":"산책"}"#);
    world.check(r#"bora PATCH /v1/channels/$g {} => 200 {"title":"산책"}"#);
    world.check(r#"minsu GET /v1/channels/$g => 200 {"title":"산책"}"#);
    world.check(r#"minsu PATCH /v1/channels/$g {"title":"x"} => 403 {"code":103}"#);
    world.check(r#"yuna PATCH /v1/channels/$g {"title":"x"} => 404 {"code":102}"#);
    world.check(r#"bora PATCH /v1/channels/$g {"title":" "} => 400 {"code":107}"#);
    world.check(r#"bora PATCH /v1/channels/$g {"title":7} => 400 {"code":107}"#);
    world.check(r#"bora PATCH /v1/channels/$g => 400 {"code":107}"#);
    let long = "보".repeat(129);
    world.check(&format!(r#"bora PATCH /v1/channels/$g {{"title":"{long}"}} => 400 {{"code":106}}"#));
    world.check(r#"PATCH /v1/channels/$g {"title":"x"} => 401 {"code":101}"#);

    world.check(r#"minsu PATCH /v1/channels/$g/members/me {"muted":true} => 200 {"muted":true,"changed":true}"#);
    world.check(r#"minsu PATCH /v1/channels/$g/members/$minsu {"muted":true} => 200 {"changed":false}"#);
    world.check(r#"minsu GET /v1/channels => 200 {"channels":[{"channel_id":"$g","muted":true}]}"#);
    world.check(r#"bora GET /v1/channels/$g => 200 {"muted":false}"#);
    world.check(r#"bora PATCH /v1/channels/$g/members/$minsu {"muted":false} => 403 {"code":103}"#);
    world.check(r#"yuna PATCH /v1/channels/$g/members/me {"muted":true} => 404 {"code":102}"#);
    world.check(r#"minsu PATCH /v1/channels/$g/members/me {"muted":1} => 400 {"code":107}"#);
    world.check(r#"minsu PATCH /v1/channels/$g/members/me {} => 400 {"code":107}"#);
    world.check("minsu DELETE /v1/channels/$g/members/me => 204");
    world.check(r#"minsu PATCH /v1/channels/$g/members/me {"muted":false} => 403 {"code":103}"#);

    world.check(r#"bora POST /v1/channels {"kind":"direct","user_id":"$minsu"} => 201 {"channel_id":"$d"}"#);
    world.check(r#"bora PATCH /v1/channels/$d {"title":"x"} => 403 {"code":103}"#);
    world.check(r#"bora PATCH /v1/channels/$d/members/me {"muted":true} => 200 {"changed":true}"#);
}

#[test]
fn the_ends_of_all_numbers_are_numbers() {
    let mut world = world(&["bora", "minsu"]);
    world.check(r#"bora POST /v1/channels {"kind":"direct","user_id":"$minsu"} => 201 {"channel_id":"$c"}"#);
    world.check(r#"bora POST /v1/channels/$c/messages {"client_msg_id":"$m1","body":"x"} => 201"#);
    world.name("max", u64::MAX);
    world.check(r#"bora GET /v1/channels/$c/messages?before=0 => 200 {"messages":[]}"#);
    world.check(r#"bora GET /v1/channels/$c/messages?before=$max => 200 {"messages":[{"seq":1}]}"#);
    world.check(r#"bora GET /v1/channels/$c/messages?after=$max => 200 {"messages":[]}"#);
    world.check(r#"bora GET /v1/channels/$c/messages?around=$max&limit=1 => 200"#);
    world.check(r#"bora GET /v1/channels/$c/messages?around=0 => 200"#);
    world.check(r#"bora GET /v1/channels/$c/messages?after=18446744073709551616 => 400 {"code":107}"#);
    world.check(r#"bora GET /v1/channels/$c/messages?limit=4294967295 => 200 {"messages":[{"seq":1}]}"#);
    world.check(
        r#"bora POST /v1/channels/$c/messages {"client_msg_id":"$m2","body":"x","reply_to":$max} => 404 {"code":123}"#,
    );
    world.check(r#"bora POST /v1/channels/$c/mark {"read_seq":$max} => 200 {"read_seq":1,"unread":0}"#);
    world.check(r#"bora POST /v1/channels/$c/mark {"read_seq":-1} => 400 {"code":107}"#);
    world.check(r#"bora GET /v1/channels/$max => 404 {"code":102}"#);
    world.check(r#"bora GET /v1/users/$max => 404 {"code":102}"#);
    world.check(r#"bora GET /v1/channels/$c/members?cursor=$max&limit=4294967295 => 200 {"members":[],"more":false}"#);
    world.check(r#"bora GET /v1/channels?cursor=$max-$max&limit=4294967295 => 200 {"channels":["*"]}"#);
    world.check(r#"bora GET /v1/channels?cursor=0-0 => 200 {"channels":[]}"#);
}

#[test]
fn every_refusal_of_a_home_has_its_status() {
    let mut world = world(&["bora"]);
    for &code in ErrorCode::ALL {
        *world.shard.refusal.blocking_lock() = Some(code);
        let (status, number, temporary) = (code.http_status(), u16::from(code), code.is_temporary());
        let answer = world.check(&format!(r#"bora POST /v1/channels/7/messages {{"client_msg_id":"$m1","body":"x"}} => {status} {{"code":{number},"temporary":{temporary},"retry_after_ms":1500,"type":"about:blank","title":"*","detail":"as the test wants it"}}"#));
        assert_eq!(answer.header("retry-after"), if temporary { "2" } else { "" }, "{code:?}");
    }
    world.check(r#"bora PUT /v1/channels/7/members/$bora => 403 {"code":125}"#);
    world.check(r#"bora DELETE /v1/channels/7/members/me => 403 {"code":125}"#);
    world.check(r#"bora PATCH /v1/channels/7/members/me {"muted":true} => 403 {"code":125}"#);
    world.check(r#"bora PATCH /v1/channels/7 {"title":"x"} => 403 {"code":125}"#);
    world.check(
        r#"bora PATCH /v1/channels/7/messages/1 {"op_id":"$m1","base_revision":0,"body":"x"} => 403 {"code":125}"#,
    );
    world.check(r#"bora DELETE /v1/channels/7/messages/1?op_id=$m1 => 403 {"code":125}"#);
    world.check(r#"bora POST /v1/channels/7/mark {"read_seq":1} => 403 {"code":125}"#);
    world.check(r#"bora POST /v1/channels {"kind":"group","title":"x"} => 403 {"code":125}"#);
}

/// Every request begins with a fresh look at its login, and nothing that it reads is older than that.
#[test]
fn what_was_acknowledged_at_one_node_is_read_at_every_other() {
    let engine = MemoryEngine::ephemeral();
    let [mut reader, mut sender] = [0, 1].map(|_| World::over(engine.client(), Options::default()));
    sender.sign_up("bora");
    sender.sign_up("minsu");
    sender.check(r#"bora POST /v1/channels {"kind":"direct","user_id":"$minsu"} => 201 {"channel_id":"$c"}"#);
    for name in ["minsu.token", "c"] {
        reader.name(name, sender.value(name));
    }
    for seq in 1..=200 {
        sender.name("id", ClientMsgId::new(START, seq));
        sender.check(r#"bora POST /v1/channels/$c/messages {"client_msg_id":"$id","body":"x"} => 201"#);
        let page = format!(
            r#"minsu GET /v1/channels/$c/messages?limit=1 => 200 {{"head_seq":{seq},"messages":[{{"seq":{seq}}}]}}"#
        );
        reader.check(&page);
    }
}
