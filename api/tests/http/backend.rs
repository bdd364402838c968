//! Server API: what a backend does with users, channels and messages, and what it may not.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use schema::mesh::Kicked;
use serde_json::{Value, json};

use crate::notifications::made;
use crate::world::World;

/// A world with an application `shop` that may do everything, and one `teller` that may notify alone.
fn world() -> World {
    let mut world = World::new();
    for (name, wanted) in
        [("shop", json!({"name": "Shop", "scopes": ["server"]})), ("teller", json!({"name": "teller"}))]
    {
        let (key, secret) = made(&world, &wanted);
        world.name(&format!("{name}.basic"), STANDARD.encode(format!("{key}:{secret}")));
    }
    world
}

/// The same with users ann, bob and cho of the shop's: `$ann` is an id.
fn peopled() -> World {
    let mut world = world();
    for name in ["ann", "bob", "cho"] {
        world.check(&format!(r#"shop PUT /v1/server/users/external:{name} {{}} => 201 {{"user_id":"${name}"}}"#));
    }
    world
}

#[test]
fn an_application_needs_the_scope_and_a_user_has_none() {
    let mut world = world();
    world.sign_up("bora");
    for row in [
        "PUT /v1/server/users/external:a {}",
        "GET /v1/server/users/1",
        r#"PATCH /v1/server/users/1 {"deactivated":true}"#,
        "DELETE /v1/server/users/1",
        "POST /v1/server/users/1/tokens {}",
        "POST /v1/server/users/1/kick {}",
        r#"POST /v1/server/channels {"kind":"group","title":"x","owner":"1"}"#,
        "GET /v1/server/channels/1",
        r#"PATCH /v1/server/channels/1 {"title":"x"}"#,
        "GET /v1/server/channels/1/members",
        r#"POST /v1/server/channels/1/members {"add":["1"]}"#,
        r#"POST /v1/server/channels/1/messages {"client_msg_id":"$m1","body":"x"}"#,
        "GET /v1/server/channels/1/messages",
        r#"POST /v1/server/channels/1/publish {"event":"x"}"#,
        r#"POST /v1/server/broadcast {"channels":["1"],"client_msg_id":"$m1","body":"x"}"#,
        r#"POST /v1/server/presence {"users":["1"]}"#,
    ] {
        world.check(&format!(r#"teller {row} => 403 {{"code":103}}"#));
        world.check(&format!(r#"bora {row} => 401 {{"code":101}}"#));
        world.check(&format!(r#"{row} => 401 {{"code":101}}"#));
    }
}

#[test]
fn a_user_is_made_once_and_changed_as_often_as_wanted() {
    let mut world = world();
    world.check(
        r#"shop PUT /v1/server/users/external:ann {"display_name":" Ann 안나 ","picture":"https://example.org/a.png"} => 201 {"user_id":"$ann","external_id":"ann","namespace":"server","display_name":"Ann 안나","picture":"https://example.org/a.png"}"#,
    );
    world.check(
        r#"shop PUT /v1/server/users/external:ann {} => 200 {"user_id":"$ann","display_name":"Ann 안나","picture":"https://example.org/a.png"}"#,
    );
    let answer = world
        .check(r#"shop PUT /v1/server/users/external:ann {"picture":"","username":"Ann"} => 200 {"username":"ann"}"#);
    assert!(!answer.body.contains("picture"), "{}", answer.body);
    world.check(r#"shop GET /v1/server/users/external:ann => 200 {"user_id":"$ann","username":"ann"}"#);
    world.check(r#"shop GET /v1/server/users/$ann => 200 {"external_id":"ann"}"#);
    // Names of others' are taken by any who may bear them.
    world.check(r#"shop PUT /v1/server/users/external:a%2Fb%20c {} => 201 {"external_id":"a/b c"}"#);
    world.sign_up("bora");
    world.check(r#"shop GET /v1/server/users/$bora => 200 {"username":"bora"}"#);
    world.check(r#"shop PUT /v1/server/users/external:other {"username":"bora"} => 409 {"code":107}"#);
    world.check("shop GET /v1/server/users/external:other => 404 {\"code\":102}");
    // What is wrong.
    world.check(r#"shop PUT /v1/server/users/$ann {} => 400 {"code":107}"#);
    for path in ["external:", "ann", "0123", "-1", "external:a%00", &format!("external:{}", "x".repeat(256))] {
        world.check(&format!(r#"shop PUT /v1/server/users/{path} {{}} => 400 {{"code":107}}"#));
    }
    world.check(&format!(r#"shop PUT /v1/server/users/external:{} {{}} => 201"#, "x".repeat(255)));
    world.check(r#"shop PUT /v1/server/users/external:x {"display_name":"a\nb"} => 400 {"code":107}"#);
    world.check(r#"shop PUT /v1/server/users/external:x {"username":"x"} => 400 {"code":107}"#);
    world.check(r#"shop PUT /v1/server/users/external:x {"picture":"http://example.org/a.png"} => 400 {"code":107}"#);
    world.check(r#"shop PUT /v1/server/users/external:x {"colour":"red"} => 400 {"code":107}"#);
    world.check(r#"shop PUT /v1/server/users/external:x => 400 {"code":107}"#);
    world.check(r#"shop GET /v1/server/users/external:x => 404 {"code":102}"#);
    world.check(r#"shop GET /v1/server/users/7 => 404 {"code":102}"#);
}

#[test]
fn a_backend_gives_its_users_tokens_and_takes_them_away() {
    let mut world = peopled();
    world.check(r#"shop POST /v1/server/users/external:ann/tokens => 200 {"user_id":"$ann","token":"$ann.token"}"#);
    world.check(r#"ann GET /v1/me => 200 {"user_id":"$ann"}"#);
    let answer = world.check(
        r#"shop POST /v1/server/users/$ann/tokens {"device_id":"tab","ttl_seconds":60,"refresh":true} => 200 {"token":"$tab.token","refresh_token":"$tab.refresh"}"#,
    );
    let body: Value = serde_json::from_str(&answer.body).expect("JSON");
    assert_eq!(body["expires_ms"], json!(world.wall().0 + 60_000));
    world.check(r#"POST /v1/auth/refresh {"refresh_token":"$tab.refresh"} => 200 {"token":"$tabs.token"}"#);
    world.check(r#"tabs GET /v1/me => 200 {"user_id":"$ann"}"#);
    for wrong in [r#"{"ttl_seconds":59}"#, r#"{"ttl_seconds":86401}"#, r#"{"device_id":"a b"}"#, r#"{"ttl":60}"#] {
        world.check(&format!(r#"shop POST /v1/server/users/external:ann/tokens {wrong} => 400 {{"code":107}}"#));
    }
    world.check(r#"shop POST /v1/server/users/external:nobody/tokens => 404 {"code":102}"#);
    world.check(r#"shop POST /v1/server/users/7/tokens => 404 {"code":102}"#);

    world.check("shop POST /v1/server/users/external:ann/kick => 204");
    assert_eq!(world.kicked(), [(world.user("ann"), Kicked::Account { erased: false })]);
    world.check(r#"ann GET /v1/me => 401 {"code":101}"#);
    world.check(r#"tabs GET /v1/me => 401 {"code":101}"#);
    world.check(r#"shop POST /v1/server/users/external:ann/kick {"device_id":"phone"} => 204"#);
    assert_eq!(world.kicked(), [(world.user("ann"), Kicked::Device("phone".parse().expect("legal")))]);
    world.check(r#"shop POST /v1/server/users/external:nobody/kick => 404 {"code":102}"#);
    world.check(r#"shop POST /v1/server/users/7/kick => 404 {"code":102}"#);
}

#[test]
fn a_deactivated_account_is_let_in_by_nothing_and_an_erased_one_is_gone() {
    let mut world = peopled();
    world.sign_up("bora");
    world.check(r#"shop POST /v1/server/users/external:ann/tokens {"refresh":true} => 200 {"token":"$ann.token","refresh_token":"$ann.refresh"}"#);
    for user in ["ann", "bora"] {
        world.check(&format!(
            r#"shop PATCH /v1/server/users/${user} {{"deactivated":true}} => 200 {{"deactivated_ms":"*"}}"#
        ));
        assert_eq!(world.kicked(), [(world.user(user), Kicked::Account { erased: false })]);
        world.check(&format!(r#"{user} GET /v1/me => 401 {{"code":101}}"#));
        world.check(&format!(r#"POST /v1/auth/refresh {{"refresh_token":"${user}.refresh"}} => 401 {{"code":101}}"#));
        world.check(&format!(r#"shop POST /v1/server/users/${user}/tokens => 403 {{"code":103}}"#));
    }
    world.check(r#"POST /v1/auth/login {"username":"bora","password":"correct horse"} => 401 {"code":101}"#);
    let answer = world.check(r#"shop PATCH /v1/server/users/$bora {"deactivated":false} => 200"#);
    assert!(!answer.body.contains("deactivated"), "{}", answer.body);
    assert_eq!(world.kicked(), []);
    world.check(r#"POST /v1/auth/login {"username":"bora","password":"correct horse"} => 200 {"token":"$back.token"}"#);
    world.check(r#"shop PATCH /v1/server/users/external:nobody {"deactivated":true} => 404 {"code":102}"#);
    world.check(r#"shop PATCH /v1/server/users/$bora {} => 400 {"code":107}"#);

    // Bora owns a group, talks to cho, and is erased.
    world.check(
        r#"back POST /v1/channels {"kind":"group","title":"g","member_ids":["$cho"]} => 201 {"channel_id":"$g"}"#,
    );
    world.check(r#"back POST /v1/channels {"kind":"direct","user_id":"$cho"} => 201 {"channel_id":"$d"}"#);
    world.check(r#"back POST /v1/channels/$d/messages {"client_msg_id":"$m1","body":"hello"} => 201"#);
    world.check("shop DELETE /v1/server/users/$bora => 204");
    assert_eq!(world.kicked(), [(world.user("bora"), Kicked::Account { erased: true })]);
    world.check(r#"back GET /v1/me => 401 {"code":101}"#);
    world.check(r#"POST /v1/auth/login {"username":"bora","password":"correct horse"} => 401 {"code":101}"#);
    world.check(r#"shop GET /v1/server/users/$bora => 404 {"code":102}"#);
    world.check(r#"shop DELETE /v1/server/users/$bora => 404 {"code":102}"#);
    world.check(r#"shop POST /v1/server/users/external:cho/tokens => 200 {"token":"$cho.token"}"#);
    world.check(r#"cho GET /v1/channels/$g/members => 200 {"members":[{"user_id":"$cho","role":"owner"}]}"#);
    world.check(r#"cho GET /v1/channels/$d/messages => 200 {"messages":[{"from":"$bora","body":"hello"}]}"#);
    world.check("cho GET /v1/channels => 200");
    // Its external name is free again, and somebody else's.
    world.check("shop DELETE /v1/server/users/external:ann => 204");
    let before = world.value("ann").to_owned();
    world.check(r#"shop PUT /v1/server/users/external:ann {} => 201 {"user_id":"$again"}"#);
    assert_ne!(world.value("again"), before);
}

#[test]
fn channels_are_made_once_and_their_members_changed_in_bulk() {
    let mut world = peopled();
    const MAKE: &str = r#"shop POST /v1/server/channels idempotency-key=k1 {"kind":"group","title":"Order 17","owner":"external:ann","members":["external:bob","$cho","$ann"]}"#;
    world.check(&format!(r#"{MAKE} => 201 {{"channel_id":"$g","kind":"group","title":"Order 17","member_count":3,"creator":"$ann","head_seq":0}}"#));
    world.check(&format!(r#"{MAKE} => 200 {{"channel_id":"$g"}}"#));
    world.check(&format!(r#"{} => 409 {{"code":121}}"#, MAKE.replace("17", "18")));
    world.check(r#"shop POST /v1/server/channels {"kind":"direct","owner":"external:ann","members":["external:bob"]} => 201 {"channel_id":"$d"}"#);
    world.check(r#"shop POST /v1/server/channels {"kind":"direct","owner":"external:bob","members":["external:ann"]} => 200 {"channel_id":"$d"}"#);
    world.check(r#"shop POST /v1/server/channels {"kind":"large","title":"News","owner":"external:ann","members":["external:bob","external:nobody"],"history":"all"} => 201 {"channel_id":"$l","member_count":2,"history":"all","refused":[{"user":"external:nobody","changed":false,"refused":{"code":102}}]}"#);
    // What is wrong.
    for (body, status, code) in [
        (r#"{"kind":"group","title":"x","owner":"external:nobody"}"#, 404, 102),
        (r#"{"kind":"group","title":"x","owner":"7"}"#, 404, 102),
        (r#"{"kind":"group","title":"x","owner":"external:ann","members":["external:nobody"]}"#, 404, 102),
        (r#"{"kind":"group","title":"x","owner":"external:ann","members":["1","2","3","4","5"]}"#, 409, 119),
        (r#"{"kind":"group","title":"","owner":"external:ann"}"#, 400, 107),
        (r#"{"kind":"group","owner":"external:ann"}"#, 400, 107),
        (r#"{"kind":"small","title":"x","owner":"external:ann"}"#, 400, 107),
        (r#"{"kind":"group","title":"x"}"#, 400, 107),
        (r#"{"kind":"group","title":"x","owner":"ann"}"#, 400, 107),
        (r#"{"kind":"group","title":"x","owner":"external:ann","history":"all"}"#, 400, 107),
        (r#"{"kind":"direct","title":"x","owner":"external:ann","members":["external:bob"]}"#, 400, 107),
        (r#"{"kind":"direct","owner":"external:ann","members":["external:ann"]}"#, 400, 107),
        (r#"{"kind":"direct","owner":"external:ann"}"#, 400, 107),
    ] {
        world.check(&format!(r#"shop POST /v1/server/channels {body} => {status} {{"code":{code}}}"#));
    }
    let many = |count: u64| (1..=count).map(|id| format!("\"{id}\"")).collect::<Vec<_>>().join(",");
    let body = format!(r#"{{"kind":"large","title":"x","owner":"external:ann","members":[{}]}}"#, many(501));
    world.check(&format!(r#"shop POST /v1/server/channels {body} => 400 {{"code":106}}"#));

    world.check(r#"shop GET /v1/server/channels/$g => 200 {"title":"Order 17","member_count":3}"#);
    world.check(r#"shop GET /v1/server/channels/7 => 404 {"code":102}"#);
    world.check(
        r#"shop PATCH /v1/server/channels/$g {"title":" Order 17, shipped "} => 200 {"title":"Order 17, shipped"}"#,
    );
    world.check(r#"shop PATCH /v1/server/channels/$g {"title":" "} => 400 {"code":107}"#);
    world.check(r#"shop PATCH /v1/server/channels/$d {"title":"x"} => 403 {"code":103}"#);
    world.check(r#"shop PATCH /v1/server/channels/7 {"title":"x"} => 404 {"code":102}"#);

    const CHANGE: &str = r#"shop POST /v1/server/channels/$g/members"#;
    world.check(&format!(r#"{CHANGE} {{"remove":["external:bob","external:nobody","7"],"add":["external:cho","8"]}} => 200 {{"outcomes":[{{"user":"external:cho","user_id":"$cho","changed":false}},{{"user":"8","changed":false,"refused":{{"code":102,"temporary":false}}}},{{"user":"external:bob","changed":true}},{{"user":"external:nobody","refused":{{"code":102}}}},{{"user":"7","changed":false}}]}}"#));
    world.check(&format!(r#"{CHANGE} {{"remove":["external:bob"]}} => 200 {{"outcomes":[{{"changed":false}}]}}"#));
    world.check(&format!(r#"{CHANGE} {{"add":["$cho"],"role":"admin"}} => 200 {{"outcomes":[{{"changed":true}}]}}"#));
    world.check(
        r#"shop GET /v1/server/channels/$g/members => 200 {"members":[{"user_id":"*"},{"user_id":"*"}],"more":false}"#,
    );
    world.check(r#"shop GET /v1/server/channels/$g/members?limit=1 => 200 {"more":true}"#);
    world.check(r#"shop GET /v1/server/channels/7/members => 404 {"code":102}"#);
    world.check(&format!(r#"{CHANGE} {{}} => 400 {{"code":106}}"#));
    world.check(&format!(r#"{CHANGE} {{"add":[{}],"remove":["1"]}} => 400 {{"code":106}}"#, many(500)));
    world.check(&format!(r#"{CHANGE} {{"add":["bob"]}} => 400 {{"code":107}}"#));
    world.check(r#"shop POST /v1/server/channels/7/members {"add":["external:bob"]} => 404 {"code":102}"#);
    world.check(r#"shop POST /v1/server/channels/$d/members {"add":["external:cho"]} => 200 {"outcomes":[{"refused":{"code":103}}]}"#);
}

#[test]
fn messages_are_sent_once_in_the_name_of_a_user_or_of_the_application() {
    let mut world = peopled();
    world.check(r#"shop POST /v1/server/channels {"kind":"group","title":"g","owner":"external:ann","members":["external:bob"]} => 201 {"channel_id":"$g"}"#);
    world.check(r#"shop POST /v1/server/channels {"kind":"direct","owner":"external:ann","members":["external:bob"]} => 201 {"channel_id":"$d"}"#);
    world.check(r#"shop POST /v1/server/channels {"kind":"large","title":"l","owner":"external:ann"} => 201 {"channel_id":"$l"}"#);
    const SEND: &str = "shop POST /v1/server/channels/$g/messages";
    world.check(&format!(r#"{SEND} {{"from":"external:ann","client_msg_id":"$m1","body":"a"}} => 201 {{"seq":1,"duplicate":false,"from":"$ann"}}"#));
    world.check(&format!(
        r#"{SEND} {{"from":"external:ann","client_msg_id":"$m1","body":"a"}} => 200 {{"seq":1,"duplicate":true}}"#
    ));
    world.check(&format!(r#"{SEND} {{"from":"external:ann","client_msg_id":"$m1","body":"b"}} => 409 {{"code":121}}"#));
    // The application's own account is in no channel and may speak in every one.
    world.check(&format!(r#"{SEND} {{"client_msg_id":"$m1","body":"s","reply_to":1,"mentions":["external:bob"]}} => 201 {{"seq":2,"from":"$system"}}"#));
    world.check(&format!(r#"{SEND} {{"client_msg_id":"$m1","body":"s","reply_to":1,"mentions":["$bob"]}} => 200 {{"seq":2,"from":"$system"}}"#));
    world.check(r#"shop POST /v1/server/channels/$d/messages {"client_msg_id":"$m1","body":"s"} => 201 {"seq":1,"from":"$system"}"#);
    world.check(r#"shop POST /v1/server/channels/$l/messages {"client_msg_id":"$m1","body":"s"} => 201 {"seq":1,"from":"$system"}"#);
    world.check(r#"shop GET /v1/server/channels/$g => 200 {"member_count":2,"head_seq":2}"#);
    world.check(r#"shop POST /v1/server/users/external:bob/tokens => 200 {"token":"$bob.token"}"#);
    world.check(r#"bob GET /v1/channels/$g/messages => 200 {"messages":[{"seq":1},{"seq":2,"from":"$system","mentions":["$bob"]}]}"#);
    world.check(r#"bob GET /v1/users/$system => 200 {"display_name":"Shop","system":true}"#);
    world.check(r#"bob GET /v1/channels/$g/members => 200 {"members":[{"user_id":"*"},{"user_id":"*"}]}"#);
    // Media are of the one in whose name it is sent.
    world.picture("ann", "pier", "pier.jpg");
    world.check(&format!(
        r#"{SEND} {{"from":"external:bob","client_msg_id":"$m2","media":["$pier"]}} => 400 {{"code":107}}"#
    ));
    world.check(&format!(r#"{SEND} {{"client_msg_id":"$m2","body":"s","media":["$pier"]}} => 400 {{"code":107}}"#));
    world.check(&format!(
        r#"{SEND} {{"from":"external:ann","client_msg_id":"$m2","media":["$pier"]}} => 201 {{"seq":3}}"#
    ));
    world.check(r#"bob GET /v1/channels/$g/messages?limit=1 => 200 {"messages":[{"seq":3,"kind":"media","media":[{"name":"pier.jpg"}]}]}"#);
    // Nobody else speaks in its name, and nobody is it.
    world.check(&format!(r#"{SEND} {{"from":"$system","client_msg_id":"$m2","body":"x"}} => 403 {{"code":103}}"#));
    for (method, path, body) in [("POST", "/tokens", ""), ("PATCH", "", r#"{"deactivated":true}"#), ("DELETE", "", "")]
    {
        world.check(&format!(r#"shop {method} /v1/server/users/$system{path} {body} => 403 {{"code":103}}"#));
    }
    world.check(r#"shop POST /v1/server/channels/$g/members {"add":["$system"]} => 200 {"outcomes":[{"changed":false,"refused":{"code":103}}]}"#);
    world.check(r#"shop POST /v1/server/channels {"kind":"group","title":"x","owner":"$system"} => 403 {"code":103}"#);
    // What is wrong.
    let long = "x".repeat(100_001);
    for (body, status, code) in [
        (r#""from":"external:cho","body":"x""#, 404, 102),
        (r#""from":"external:nobody","body":"x""#, 404, 102),
        (r#""from":"7","body":"x""#, 404, 102),
        (r#""body":"""#, 400, 107),
        (&*format!(r#""body":"{long}""#), 413, 116),
        (r#""body":"x","mentions":["external:cho"]"#, 400, 107),
        (r#""body":"x","mentions":["external:nobody"]"#, 404, 102),
        (r#""body":"x","reply_to":9"#, 404, 123),
        (r#""body":"x","kind":"loud""#, 400, 107),
        (r#""body":"x","colour":"red""#, 400, 107),
    ] {
        world.check(&format!(r#"{SEND} {{"client_msg_id":"$m3",{body}}} => {status} {{"code":{code}}}"#));
    }
    world.check(&format!(r#"{SEND} {{"client_msg_id":"1","body":"x"}} => 400 {{"code":107}}"#));
    world.check(r#"shop POST /v1/server/channels/7/messages {"client_msg_id":"$m3","body":"x"} => 404 {"code":102}"#);

    world.check(r#"shop GET /v1/server/channels/$g/messages?limit=1 => 200 {"messages":[{"seq":3}],"more":true,"head_seq":3,"first_seq":1}"#);
    world.check(r#"shop GET /v1/server/channels/$d/messages?after=0 => 200 {"messages":[{"seq":1}],"more":false}"#);
    world.check(r#"shop GET /v1/server/channels/$l/messages?before=2 => 200 {"messages":[{"seq":1}]}"#);
    world.check(r#"shop GET /v1/server/channels/$g/messages?before=2&after=1 => 400 {"code":107}"#);
    world.check(r#"shop GET /v1/server/channels/7/messages => 404 {"code":102}"#);
    world.check(r#"shop POST /v1/server/presence {"users":["external:ann","external:nobody","$bob"]} => 200 {"entries":[{"user":"external:ann","user_id":"$ann","state":"offline","last_active_ms":0},{"user_id":"$bob"}]}"#);
    let many = (1..=201).map(|id| format!("\"{id}\"")).collect::<Vec<_>>().join(",");
    world.check(&format!(r#"shop POST /v1/server/presence {{"users":[{many}]}} => 400 {{"code":106}}"#));
}

#[test]
fn what_is_published_is_told_to_members_and_kept_nowhere() {
    let mut world = peopled();
    world.check(r#"shop POST /v1/server/channels {"kind":"group","title":"g","owner":"external:ann","members":["external:bob"]} => 201 {"channel_id":"$g"}"#);
    world.check(r#"shop POST /v1/server/channels {"kind":"large","title":"l","owner":"external:ann"} => 201 {"channel_id":"$l"}"#);
    const SAY: &str = "shop POST /v1/server/channels/$g/publish";
    world.check(&format!(r#"{SAY} {{"event":"courier.moved","data":"52.52,13.40"}} => 204"#));
    world.check(&format!(r#"{SAY} {{"event":"courier.moved","data":"{}"}} => 204"#, "x".repeat(4_096)));
    world.check(&format!(r#"{SAY} {{"event":"x"}} => 204"#));
    world.check(r#"shop GET /v1/server/channels/$g => 200 {"head_seq":0}"#);
    world.check(&format!(r#"{SAY} {{"event":"x","data":"{}"}} => 413 {{"code":116}}"#, "x".repeat(4_097)));
    for wrong in [r#"{"event":""}"#, r#"{"event":"a b"}"#, r#"{"data":"x"}"#, r#"{"event":"x","data":7}"#] {
        world.check(&format!(r#"{SAY} {wrong} => 400 {{"code":107}}"#));
    }
    world.check(&format!(r#"{SAY} {{"event":"{}"}} => 400 {{"code":107}}"#, "x".repeat(65)));
    world.check(r#"shop POST /v1/server/channels/7/publish {"event":"x"} => 404 {"code":102}"#);
    world.check(r#"shop POST /v1/server/channels/$l/publish {"event":"x"} => 403 {"code":103}"#);
}

#[test]
fn every_request_of_the_server_api_is_described_with_an_example() {
    let mut world = World::new();
    let answer = world.check("GET /openapi.json => 200");
    let document: Value = serde_json::from_str(&answer.body).expect("JSON");
    let mut described = 0;
    for (path, item) in document["paths"].as_object().expect("paths") {
        for (method, operation) in
            item.as_object().expect("operations").iter().filter(|_| path.starts_with("/v1/server/"))
        {
            if path == "/v1/servers/best" {
                continue;
            }
            let body = &operation["requestBody"]["content"]["application/json"];
            assert!(body.is_null() || body["example"].is_object(), "{method} {path}: {operation}");
            assert_eq!(operation["security"], json!([{"app": []}]), "{method} {path}");
            described += 1;
        }
    }
    assert_eq!(described, 16);
}

#[test]
fn a_broadcast_that_is_repeated_doubles_nothing() {
    let mut world = peopled();
    for name in ["a", "b"] {
        world.check(&format!(r#"shop POST /v1/server/channels {{"kind":"group","title":"{name}","owner":"external:ann"}} => 201 {{"channel_id":"${name}"}}"#));
    }
    const SAY: &str =
        r#"shop POST /v1/server/broadcast {"channels":["$a","7","$b"],"client_msg_id":"$m1","body":"closed"}"#;
    world.check(&format!(r#"{SAY} => 200 {{"from":"$system","outcomes":[{{"channel_id":"$a","seq":1,"duplicate":false,"client_msg_id":"$ida"}},{{"channel_id":"7","refused":{{"code":102}}}},{{"channel_id":"$b","seq":1,"client_msg_id":"$idb"}}]}}"#));
    assert_ne!(world.value("ida"), world.value("idb"));
    world.check(&format!(r#"{SAY} => 200 {{"outcomes":[{{"seq":1,"duplicate":true,"client_msg_id":"$ida"}},{{"channel_id":"7"}},{{"seq":1,"duplicate":true}}]}}"#));
    world.check(&format!(
        r#"{} => 200 {{"outcomes":[{{"refused":{{"code":121}}}},{{"channel_id":"7"}},{{"refused":{{"code":121}}}}]}}"#,
        SAY.replace("closed", "open")
    ));
    world.check(r#"shop POST /v1/server/broadcast {"channels":["$a","$b"],"from":"external:ann","client_msg_id":"$m1","body":"closed"} => 200 {"from":"$ann","outcomes":[{"seq":2},{"seq":2}]}"#);
    world.check(r#"shop POST /v1/server/broadcast {"channels":["$a"],"from":"external:bob","client_msg_id":"$m1","body":"x"} => 200 {"outcomes":[{"refused":{"code":102}}]}"#);
    let many = (1..=1_001).map(|id| format!("\"{id}\"")).collect::<Vec<_>>().join(",");
    world.check(&format!(r#"shop POST /v1/server/broadcast {{"channels":[{many}],"client_msg_id":"$m2","body":"x"}} => 400 {{"code":106}}"#));
    world.check(
        r#"shop POST /v1/server/broadcast {"channels":[],"client_msg_id":"$m2","body":"x"} => 400 {"code":106}"#,
    );
    world.check(
        r#"shop POST /v1/server/broadcast {"channels":["$a"],"client_msg_id":"$m2","body":""} => 400 {"code":107}"#,
    );
    world.check(
        r#"shop POST /v1/server/broadcast {"channels":["x"],"client_msg_id":"$m2","body":"x"} => 400 {"code":107}"#,
    );
}

#[test]
fn an_application_asks_no_more_than_its_bucket_holds() {
    let mut world = peopled();
    let many = (1..=1_000).map(|id| format!("\"{id}\"")).collect::<Vec<_>>().join(",");
    let say = format!(r#"shop POST /v1/server/broadcast {{"channels":[{many}],"client_msg_id":"$m1","body":"x"}}"#);
    world.check(&format!("{say} => 200"));
    let answer = world.ask(&say);
    assert!(matches!(answer.status, 200 | 429), "{}", answer.body);
    world.check(&format!(r#"{say} => 429 {{"code":111}}"#));
}
