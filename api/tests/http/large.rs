//! Large channels: their members, and what each may read of their past.

use crate::world::World;

/// A world with eight users, more than a group of these rows may have.
fn world() -> World {
    let mut world = World::new();
    USERS.iter().for_each(|user| world.sign_up(user));
    world
}

const USERS: [&str; 8] = ["bora", "minsu", "yuna", "jiho", "sora", "hana", "juno", "mina"];

#[test]
fn a_large_channel_takes_more_members_than_a_group() {
    let mut world = world();
    world.check(r#"bora POST /v1/channels idempotency-key=k {"kind":"large","title":" 광장 ","history":"all"} => 201 {"channel_id":"$l","kind":"large","title":"광장","role":"owner","history":"all","member_count":1}"#);
    world.check(
        r#"bora POST /v1/channels idempotency-key=k {"kind":"large","title":"광장","history":"all"} => 201 {"channel_id":"$l"}"#,
    );
    world.check(r#"bora POST /v1/channels idempotency-key=k {"kind":"large","title":"광장"} => 409 {"code":121}"#);
    for user in &USERS[1..] {
        world.check(&format!(r#"bora PUT /v1/channels/$l/members/${user} => 200 {{"changed":true}}"#));
    }
    world.check(r#"mina GET /v1/channels/$l => 200 {"kind":"large","role":"member","member_count":8}"#);
    world.check(r#"mina GET /v1/channels/$l/members?limit=5 => 200 {"members":["*","*","*","*","*"],"more":true,"cursor":"$next"}"#);
    world.check(
        r#"mina GET /v1/channels/$l/members?limit=5&cursor=$next => 200 {"members":["*","*","*"],"more":false}"#,
    );
    world.check(r#"mina PATCH /v1/channels/$l {"title":"x"} => 403 {"code":103}"#);
    world.check(r#"bora PUT /v1/channels/$l/members/$mina {"role":"admin"} => 200 {"role":"admin","changed":true}"#);
    world.check(r#"mina PATCH /v1/channels/$l {"title":"x"} => 200 {"title":"x"}"#);
    world.check("mina DELETE /v1/channels/$l/members/$minsu => 204");
    world.check(r#"minsu GET /v1/channels/$l => 403 {"code":103}"#);
    world.check(r#"bora POST /v1/channels {"kind":"large","title":" "} => 400 {"code":107}"#);
    world.check(r#"bora POST /v1/channels {"kind":"large"} => 400 {"code":107}"#);
    world.check(r#"bora POST /v1/channels {"kind":"large","title":"x","history":"some"} => 400 {"code":107}"#);
}

#[test]
fn its_past_is_every_members_or_what_was_sent_since_it_joined() {
    let mut world = world();
    for (name, history, first, seen) in [("all", r#","history":"all""#, 1, 2), ("since", "", 2, 1)] {
        world.check(&format!(
            r#"bora POST /v1/channels {{"kind":"large","title":"x"{history}}} => 201 {{"channel_id":"${name}"}}"#
        ));
        world.check(&format!(
            r#"bora POST /v1/channels/${name}/messages {{"client_msg_id":"$m1","body":"one"}} => 201"#
        ));
        world.check(&format!("bora PUT /v1/channels/${name}/members/$minsu => 200"));
        world.check(&format!(r#"bora POST /v1/channels/${name}/messages {{"client_msg_id":"$m2","body":"two","mentions":["$minsu"]}} => 201"#));
        world.check(&format!(r#"bora POST /v1/channels/${name}/messages {{"client_msg_id":"$m3","body":"x","mentions":["$yuna"]}} => 400 {{"code":107}}"#));
        let messages = vec![r#""*""#; seen].join(",");
        world.check(&format!(
            r#"minsu GET /v1/channels/${name}/messages => 200 {{"messages":[{messages}],"first_seq":{first},"head_seq":2}}"#
        ));
        world.check(&format!(r#"minsu GET /v1/channels/${name} => 200 {{"head_seq":2,"unread":1}}"#));
    }
    world.check(r#"minsu GET /v1/channels => 200 {"channels":["*","*"],"unread_total":2}"#);
    world.check(r#"minsu GET /v1/mentions => 200 {"messages":[{"seq":2},{"seq":2}]}"#);
}
