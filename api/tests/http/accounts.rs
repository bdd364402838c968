//! Signing up and in, tokens and their end, profiles.

use api::token::{Claims, FAMILY_OPERATOR};
use kv::memory::{CommitFault, MemoryEngine, MemoryOptions, MemoryStore, ScriptedFaults};
use schema::UserId;
use serde_json::Value;

use crate::world::{Options, START, World};

const HOUR_MS: u64 = 3600 * 1000;
const DAY_MS: u64 = 24 * HOUR_MS;

#[test]
fn an_account_is_signed_up_and_in() {
    let mut world = World::new();
    world.check(r#"GET /v1/auth => 200 {"mode":"own"}"#);
    world.check(r#"POST /v1/auth/signup {"username":"Bora","password":"correct horse"} => 201 {"user_id":"$bora","token":"$bora.token","expires_ms":1800003600000,"refresh_token":"*"}"#);
    world.check(r#"bora GET /v1/me => 200 {"user_id":"$bora","username":"bora","display_name":"bora","created_ms":1800000000000}"#);
    world.check(r#"POST /v1/auth/login {"username":"BORA","password":"correct horse"} => 200 {"user_id":"$bora","token":"$again.token"}"#);
    world.check(r#"again GET /v1/me => 200 {"user_id":"$bora"}"#);
    world.check(r#"POST /v1/auth/signup {"username":"minsu","password":"비밀번호비밀번호","display_name":" 민수 ","device_id":"tab-1"} => 201 {"user_id":"$minsu"}"#);
    world.check(r#"bora GET /v1/users/$minsu => 200 {"username":"minsu","display_name":"민수"}"#);
    world.check(r#"bora GET /v1/users?username=MinSu => 200 {"user_id":"$minsu"}"#);
}

#[test]
fn a_sign_up_that_is_not_legal_says_why() {
    let mut world = World::new();
    world.sign_up("bora");
    world.check(
        r#"POST /v1/auth/signup {"username":"bora","password":"another one"} => 409 {"code":107,"temporary":false}"#,
    );
    world.check(r#"POST /v1/auth/signup {"username":"BORA","password":"another one"} => 409 {"code":107}"#);
    world.check(r#"POST /v1/auth/signup {"username":"bo","password":"another one"} => 400 {"code":107}"#);
    world.check(r#"POST /v1/auth/signup {"username":"bo ra","password":"another one"} => 400 {"code":107}"#);
    world.check(r#"POST /v1/auth/signup {"username":"minsu","password":"short"} => 400 {"code":107}"#);
    world.check(
        r#"POST /v1/auth/signup {"username":"minsu","password":"another one","device_id":"a b"} => 400 {"code":107}"#,
    );
    world.check(
        r#"POST /v1/auth/signup {"username":"minsu","password":"another one","display_name":" "} => 400 {"code":107}"#,
    );
    for name in [r"\u3164", r"\u200b\u00ad", r"\u2800", r"bo\u2028ra", r"bo\u202era"] {
        world.check(&format!(r#"POST /v1/auth/signup {{"username":"minsu","password":"another one","display_name":"{name}"}} => 400 {{"code":107}}"#));
    }
    world.check(r#"POST /v1/auth/signup {"username":"minsu.","password":"another one"} => 400 {"code":107}"#);
    world.check(r#"POST /v1/auth/signup {"username":"minsu"} => 400 {"code":107}"#);
    world.check(r#"POST /v1/auth/signup {"username" => 400 {"code":107}"#);
    world.check(r#"POST /v1/auth/signup => 400 {"code":107}"#);
    let long = "보".repeat(129);
    world.check(&format!(r#"POST /v1/auth/signup {{"username":"minsu","password":"another one","display_name":"{long}"}} => 400 {{"code":106}}"#));
    // None of these left anything.
    world.check(r#"bora GET /v1/users?username=minsu => 404 {"code":102}"#);
}

#[test]
fn a_refusal_quotes_no_secret() {
    let mut world = World::new();
    let answer = world.check(r#"POST /v1/auth/login {"username":"bora","password":1234567890} => 400 {"code":107}"#);
    assert!(!answer.body.contains("1234567890"), "{}", answer.body);
    let answer =
        world.check(r#"POST /v1/auth/login {"username":"bora","password":"hunter22 hunter22"} => 401 {"code":101}"#);
    assert!(!answer.body.contains("hunter22"), "{}", answer.body);
}

#[test]
fn who_guesses_learns_nothing_and_is_slowed_down() {
    let mut world = World::new();
    world.sign_up("bora");
    let wrong = world.check(r#"POST /v1/auth/login {"username":"bora","password":"wrong horse"} => 401 {"code":101}"#);
    let nobody =
        world.check(r#"POST /v1/auth/login {"username":"nobody","password":"wrong horse"} => 401 {"code":101}"#);
    let illegal = world.check(r#"POST /v1/auth/login {"username":"no body","password":"wrong"} => 401 {"code":101}"#);
    assert_eq!(wrong.body, nobody.body);
    assert_eq!(wrong.body, illegal.body);
    for _ in 0..20 {
        world.check(r#"POST /v1/auth/login {"username":"bora","password":"correct horse"} => 200"#);
    }
    for _ in 0..9 {
        world.check(r#"POST /v1/auth/login {"username":"bora","password":"wrong horse"} => 401 {"code":101}"#);
    }
    let slowed = world.check(
        r#"POST /v1/auth/login {"username":"bora","password":"wrong horse"} => 429 {"code":111,"temporary":true}"#,
    );
    assert!((1..=10).contains(&slowed.header("retry-after").parse().expect("seconds")), "{slowed:?}");
    world.check(r#"POST /v1/auth/login {"username":"bora","password":"correct horse"} => 429 {"code":111}"#);
    // Others are not.
    world.check(r#"POST /v1/auth/login {"username":"minsu","password":"wrong horse"} => 401 {"code":101}"#);
}

#[test]
fn a_refresh_whose_answer_is_lost_is_asked_again() {
    let mut world = World::new();
    world.sign_up("bora");
    let refresh = |world: &mut World, with: &str, expected: &str| {
        world.check(&format!(r#"POST /v1/auth/refresh {{"refresh_token":"{with}"}} => {expected}"#));
    };
    refresh(&mut world, "$bora.refresh", r#"200 {"token":"$lost.token","refresh_token":"$next.refresh"}"#);
    world.advance_ms(60_000);
    refresh(&mut world, "$bora.refresh", r#"200 {"token":"$next.token","refresh_token":"$next.refresh"}"#);
    world.check("lost GET /v1/me => 200");
    world.check("next GET /v1/me => 200");
    // Two tabs at once are the same.
    let ask = |token: &str| {
        let body = format!(r#"{{"refresh_token":"{token}"}}"#);
        let answer = crate::client::Client::connect(world.public).ask("POST", "/v1/auth/refresh", &[], &body);
        let body: serde_json::Value = serde_json::from_str(&answer.body).expect("JSON");
        (answer.status, body["refresh_token"].as_str().map(str::to_owned))
    };
    let token = world.value("next.refresh");
    let both: Vec<_> = std::thread::scope(|scope| {
        let tabs = [scope.spawn(|| ask(token)), scope.spawn(|| ask(token))];
        tabs.into_iter().map(|tab| tab.join().expect("no panic")).collect()
    });
    assert_eq!((both[0].0, &both[0]), (200, &both[1]));
    assert_eq!(world.kicked(), []);
    // Used, and its answer too: somebody else has it.
    refresh(&mut world, "$bora.refresh", r#"401 {"code":101}"#);
    assert_eq!(world.kicked(), [(world.user("bora"), world.family("bora"))]);
    world.check(r#"next GET /v1/me => 401 {"code":101}"#);
}

/// Asks for bora's tokens so often, from an address that the trusted proxy names, and expects the same each time.
fn log_in(world: &mut World, times: u32, from: &str, password: &str, expected: &str) {
    for _ in 0..times {
        world.check(&format!(
            r#"POST /v1/auth/login x-forwarded-for={from} {{"username":"bora","password":"{password}"}} => {expected}"#
        ));
    }
}

#[test]
fn limits_of_logins_count_clients_and_not_their_proxy() {
    let mut world =
        World::with(Options { trusted_proxies: vec!["127.0.0.0/8".parse().expect("a network")], ..Options::default() });
    world.sign_up("bora");
    log_in(&mut world, 10, "1.1.1.1", "wrong horse", "401");
    log_in(&mut world, 1, "1.1.1.1", "wrong horse", "429");
    log_in(&mut world, 1, "6.6.6.6,1.1.1.1", "correct horse", "429");
    log_in(&mut world, 1, "2.2.2.2", "correct horse", "200");
    log_in(&mut world, 1, "2.2.2.2,127.0.0.9", "correct horse", "200");

    // A proxy of another kind says it before the first request.
    let ask = |prelude: &str| {
        let body = r#"{"username":"bora","password":"correct horse"}"#;
        let mut client = crate::client::Client::connect(world.public);
        client.write(prelude.as_bytes()).expect("the server reads");
        client.ask("POST", "/v1/auth/login", &[], body).status
    };
    assert_eq!(ask("PROXY TCP4 1.1.1.1 2.2.2.2 4711 80\r\n"), 429);
    assert_eq!(ask("PROXY TCP4 5.5.5.5 2.2.2.2 4711 80\r\n"), 200);
    assert_eq!(ask(""), 200);

    // Beyond 100 failures from everywhere a wrong password has to wait, and the right one does not.
    let mut failed = 10;
    let refused = (3..50).flat_map(|host| [host; 10]).any(|host| {
        let body = r#"{"username":"bora","password":"wrong horse"}"#;
        let answer = world.ask(&format!("POST /v1/auth/login x-forwarded-for=3.3.3.{host} {body}"));
        failed += u32::from(answer.status == 401);
        answer.status == 429
    });
    assert!(refused && (100..110).contains(&failed), "{failed}");
    log_in(&mut world, 1, "4.4.4.4", "correct horse", "200");
    world.check_counted("login_address", 3);
    world.check_counted("login_name", 1);
}

#[test]
fn who_is_not_trusted_names_no_other_address() {
    let mut world = World::new();
    world.sign_up("bora");
    for host in 1..=10 {
        log_in(&mut world, 1, &format!("1.1.1.{host}"), "wrong horse", "401");
    }
    log_in(&mut world, 1, "2.2.2.2", "correct horse", "429");
    let mut client = crate::client::Client::connect(world.public);
    client.write(b"PROXY TCP4 1.1.1.1 2.2.2.2 4711 80\r\n").expect("the server reads");
    assert_eq!(client.ask("GET", "/v1/servers/best", &[], "").status, 400, "it is no request");
}

#[test]
fn a_refresh_token_is_used_once_and_a_second_use_ends_the_login() {
    let mut world = World::new();
    world.sign_up("bora");
    world.check(r#"POST /v1/auth/refresh {"refresh_token":"$bora.refresh"} => 200 {"user_id":"$bora","token":"$second.token","refresh_token":"$second.refresh"}"#);
    world.check("second GET /v1/me => 200");
    world.advance_ms(60_001);
    world
        .check(r#"POST /v1/auth/login {"username":"bora","password":"correct horse"} => 200 {"token":"$other.token"}"#);
    world.check(r#"POST /v1/auth/refresh {"refresh_token":"$bora.refresh"} => 401 {"code":101}"#);
    assert_eq!(world.kicked(), [(world.user("bora"), world.family("bora"))], "its sessions end too");
    world.check(r#"POST /v1/auth/refresh {"refresh_token":"$second.refresh"} => 401 {"code":101}"#);
    world.check(r#"second GET /v1/me => 401 {"code":101}"#);
    world.check(r#"bora GET /v1/me => 401 {"code":101}"#);
    world.check("other GET /v1/me => 200");
    world.check(r#"POST /v1/auth/refresh {"refresh_token":"never given"} => 401 {"code":101}"#);
    world.check(r#"POST /v1/auth/refresh {} => 400 {"code":107}"#);
}

#[test]
fn tokens_end_with_their_time() {
    let mut world = World::new();
    world.sign_up("bora");
    world.advance_ms(HOUR_MS - 1);
    world.check("bora GET /v1/me => 200");
    world.advance_ms(1);
    let expired = world.check(r#"bora GET /v1/me => 401 {"code":109,"temporary":false}"#);
    assert_eq!(expired.header("www-authenticate"), "Bearer");
    world.check(r#"POST /v1/auth/refresh {"refresh_token":"$bora.refresh"} => 200 {"token":"$next.token","refresh_token":"$next.refresh"}"#);
    world.check("next GET /v1/me => 200");
    world.advance_ms(30 * DAY_MS);
    world.check(r#"POST /v1/auth/refresh {"refresh_token":"$next.refresh"} => 401 {"code":109}"#);
}

#[test]
fn logging_out_ends_the_login_it_names() {
    let mut world = World::new();
    world.sign_up("bora");
    world.check(r#"POST /v1/auth/login {"username":"bora","password":"correct horse"} => 200 {"token":"$other.token","refresh_token":"$other.refresh"}"#);
    world.check("bora POST /v1/auth/logout => 200 {}");
    assert_eq!(world.kicked(), [(world.user("bora"), world.family("bora"))]);
    world.check(r#"bora GET /v1/me => 401 {"code":101}"#);
    world.check(r#"bora POST /v1/auth/logout => 401 {"code":101}"#);
    world.check("other GET /v1/me => 200");
    world.check(r#"POST /v1/auth/logout {"refresh_token":"$other.refresh"} => 200"#);
    assert_eq!(world.kicked(), [(world.user("bora"), world.family("other"))]);
    world.check(r#"other GET /v1/me => 401 {"code":101}"#);
    world.check(r#"POST /v1/auth/logout {"refresh_token":"never given"} => 401 {"code":101}"#);
    world.check(r#"POST /v1/auth/logout => 401 {"code":101}"#);
    assert_eq!(world.kicked(), [], "who ends nothing closes nothing");
}

#[test]
fn a_store_that_is_away_is_not_asked() {
    let mut world = World::new();
    world.sign_up("bora");
    world.node.away.store(true, std::sync::atomic::Ordering::Relaxed);
    for row in ["bora GET /v1/me", "bora GET /v1/channels", r#"POST /v1/auth/refresh {"refresh_token":"x"}"#] {
        world.check(&format!(r#"{row} => 503 {{"code":115,"temporary":true,"retry_after_ms":1000}}"#));
    }
    world.check("GET /openapi.json => 200");
    world.check("GET /v1/absent => 404");
    world.node.away.store(false, std::sync::atomic::Ordering::Relaxed);
    world.check(r#"bora GET /v1/me => 200 {"display_name":"bora"}"#);
}

#[test]
fn a_request_does_not_wait_for_a_store_that_goes_away_meanwhile() {
    let mut world = World::new();
    world.sign_up("bora");
    world.shard.stuck.store(true, std::sync::atomic::Ordering::Relaxed);
    let node = std::sync::Arc::clone(&world.node);
    let goes = std::thread::spawn(move || {
        std::thread::sleep(std::time::Duration::from_millis(100));
        node.away.store(true, std::sync::atomic::Ordering::Relaxed);
    });
    world.check(
        r#"bora POST /v1/channels {"kind":"group","title":"x"} => 503 {"code":115,"temporary":true,"retry_after_ms":1000,"detail":"the store went away; whether this took effect is not known, try again later"}"#,
    );
    goes.join().expect("it only sleeps");
}

#[test]
fn a_disk_below_its_reserve_takes_logins_and_no_accounts() {
    let mut world = World::new();
    world.sign_up("bora");
    world.node.full.store(true, std::sync::atomic::Ordering::Relaxed);
    world.check(r#"POST /v1/auth/signup {"username":"minsu","password":"correct horse"} => 503 {"code":115,"temporary":true,"retry_after_ms":10000}"#);
    world.check(r#"bora PATCH /v1/me {"display_name":"Bora"} => 503 {"code":115}"#);
    world.check(r#"bora GET /v1/me => 200 {"display_name":"bora"}"#);
    world.check(r#"POST /v1/auth/refresh {"refresh_token":"$bora.refresh"} => 200"#);
    world.check(r#"POST /v1/auth/login {"username":"bora","password":"correct horse"} => 200"#);
    world.node.full.store(false, std::sync::atomic::Ordering::Relaxed);
    world.check(r#"bora PATCH /v1/me {"display_name":"Bora"} => 200 {"display_name":"Bora"}"#);
    world.sign_up("minsu");
}

#[test]
fn a_token_carries_the_device_that_it_was_asked_for() {
    let mut world = World::new();
    world.check(r#"POST /v1/auth/signup {"username":"bora","password":"correct horse","device_id":"tab-1"} => 201 {"token":"$bora.token","refresh_token":"$bora.refresh"}"#);
    world.check(r#"POST /v1/auth/refresh {"refresh_token":"$bora.refresh"} => 200 {"token":"$next.token"}"#);
    for name in ["bora.token", "next.token"] {
        let claims = world.key.verify(world.value(name), START).expect("issued here");
        assert_eq!(claims.device.as_ref().map(schema::DeviceId::as_str), Some("tab-1"), "{name}");
    }
}

#[test]
fn an_operators_token_needs_no_login_but_an_account() {
    let mut world = World::new();
    world.sign_up("bora");
    let mut issue = |name: &str, user| {
        let expires_ms = START.plus_ms(HOUR_MS);
        let token = world.key.issue(&Claims { user, family: FAMILY_OPERATOR, device: None, expires_ms });
        world.name(name, token);
    };
    issue("nobody.token", UserId(1));
    let bora = world.value("bora").parse().expect("an id");
    let mut issue = |name: &str, user| {
        let expires_ms = START.plus_ms(HOUR_MS);
        let token = world.key.issue(&Claims { user, family: FAMILY_OPERATOR, device: None, expires_ms });
        world.name(name, token);
    };
    issue("made.token", bora);
    world.check(r#"made GET /v1/me => 200 {"username":"bora"}"#);
    world.check(r#"made POST /v1/auth/logout => 400 {"code":107}"#);
    world.check(r#"nobody GET /v1/me => 401 {"code":101}"#);
}

#[test]
fn what_is_no_token_is_refused() {
    let mut world = World::new();
    world.check(r#"GET /v1/me => 401 {"code":101}"#);
    world.name("junk.token", "junk");
    world.check(r#"junk GET /v1/me => 401 {"code":101}"#);
    world.name("empty.token", " ");
    world.check(r#"empty GET /v1/me => 401 {"code":101}"#);
    for path in [
        "/v1/users/1",
        "/v1/users?username=bora",
        "/v1/channels",
        "/v1/channels/1",
        "/v1/channels/1/members",
        "/v1/channels/1/messages",
    ] {
        world.check(&format!(r#"GET {path} => 401 {{"code":101}}"#));
    }
}

#[test]
fn a_profile_is_changed_by_its_owner() {
    let mut world = World::new();
    world.sign_up("bora");
    world.check(r#"bora PATCH /v1/me {"display_name":" 보라 "} => 200 {"username":"bora","display_name":"보라"}"#);
    world.check(r#"bora PATCH /v1/me {} => 200 {"display_name":"보라"}"#);
    world.check(r#"bora GET /v1/users/$bora => 200 {"display_name":"보라"}"#);
    world.check(r#"bora PATCH /v1/me {"display_name":""} => 400 {"code":107}"#);
    world
        .check(r#"bora PATCH /v1/me [null,null] => 400 {"code":107,"detail":"body: expected an object, and no list"}"#);
    world.check(r#"bora PATCH /v1/me {"display_name":"a\nb"} => 400 {"code":107}"#);
    world.check(r#"bora PATCH /v1/me {"display_name":7} => 400 {"code":107}"#);
    world.check(r#"bora GET /v1/users/7 => 404 {"code":102}"#);
    world.check(r#"bora GET /v1/users/x => 400 {"code":107}"#);
    world.check(r#"bora GET /v1/users?username=no%20body => 404 {"code":102}"#);
    world.check(r#"bora GET /v1/users => 400 {"code":107}"#);
}

#[test]
fn a_password_counts_however_a_keyboard_composes_it() {
    let mut world = World::new();
    world.check(r#"POST /v1/auth/signup {"username":"bora","password":"caf\u00e9 horse"} => 201"#);
    world.check(r#"POST /v1/auth/login {"username":"bora","password":"cafe\u0301 horse"} => 200"#);
    world.check(r#"POST /v1/auth/login {"username":"bora","password":"caf\u00e9\u00a0horse"} => 200"#);
    world.check(r#"POST /v1/auth/login {"username":"bora","password":"cafe horse"} => 401 {"code":101}"#);
    // Seven characters, of two code points each as they are typed.
    let seven = r"\u1107\u1175".repeat(7);
    world.check(&format!(r#"POST /v1/auth/signup {{"username":"minsu","password":"{seven}"}} => 400 {{"code":107}}"#));
}

#[test]
fn the_seeded_users_sign_in_without_a_password_in_development_alone() {
    let mut world = World::new();
    world.check(r#"POST /v1/dev/login {"username":"bora"} => 404 {"code":104}"#);

    let mut world =
        World::with(Options { dev_users: Some(vec!["bora".to_owned(), "gone".to_owned()]), ..Options::default() });
    let seed = || crate::world::block_on(api::seed::user(&world.engine, "bora", "Bora", START)).expect("seeded");
    let bora = seed();
    assert_eq!(seed(), bora, "seeding again finds the same");
    world.name("bora", bora);
    world.sign_up("minsu");
    world.check(r#"POST /v1/dev/login {"username":"Bora","device_id":"tab-1"} => 200 {"user_id":"$bora","token":"$bora.token"}"#);
    world.check(r#"bora GET /v1/me => 200 {"username":"bora","display_name":"Bora"}"#);
    world.check(r#"POST /v1/dev/login {"username":"minsu"} => 403 {"code":103}"#);
    world.check(r#"POST /v1/dev/login {"username":"gone"} => 403 {"code":103}"#);
    for password in ["!!!!!!!!", "        ", "correct horse"] {
        world.check(&format!(
            r#"POST /v1/auth/login {{"username":"bora","password":"{password}"}} => 401 {{"code":101}}"#
        ));
    }
}

#[test]
fn the_seeded_users_find_a_conversation_and_a_group_once() {
    let engine = MemoryEngine::open(&MemoryStore::new(kv::Generation(1)), MemoryOptions::default());
    let dev_users = Some(vec!["ann".to_owned(), "bora".to_owned()]);
    let mut world = World::over(engine.clone(), Options { dev_users, ..Options::default() });
    for _ in 0..2 {
        crate::world::block_on(async {
            let ann = api::seed::user(&engine, "ann", "Ann", START).await?;
            let bora = api::seed::user(&engine, "bora", "Bora", START).await?;
            api::seed::conversations(&engine, &world.shard, [ann, bora], START).await
        })
        .expect("seeded");
    }
    for (name, direct, group) in [("ann", 1, 0), ("bora", 0, 1)] {
        world.check(&format!(
            r#"POST /v1/dev/login {{"username":"{name}","device_id":"tab"}} => 200 {{"token":"${name}.token"}}"#
        ));
        let answer = world.check(&format!(r#"{name} GET /v1/channels => 200 {{"channels":"*"}}"#));
        let listed: Value = serde_json::from_str(&answer.body).expect("JSON");
        let channels = listed["channels"].as_array().expect("a list");
        let found: Vec<_> =
            channels.iter().map(|c| (c["kind"].as_str(), c["head_seq"].as_u64(), c["unread"].as_u64())).collect();
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(found.contains(&(Some("direct"), Some(3), Some(direct))), "{found:?}");
        assert!(found.contains(&(Some("group"), Some(3), Some(group))), "{found:?}");
    }
}

#[test]
fn one_of_many_who_want_a_name_at_once_gets_it() {
    let world = World::new();
    let sign_up = || {
        let body = r#"{"username":"bora","password":"correct horse"}"#;
        crate::client::Client::connect(world.public).ask("POST", "/v1/auth/signup", &[], body).status
    };
    let mut statuses: Vec<u16> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(sign_up)).collect();
        threads.into_iter().map(|thread| thread.join().expect("no panic")).collect()
    });
    statuses.sort_unstable();
    assert_eq!(statuses, [201, 409, 409, 409, 409, 409, 409, 409]);
}

#[test]
fn a_store_that_does_not_answer_is_said_so() {
    let store = MemoryStore::new(kv::Generation(1));
    // The first commit is the claim of the view; those of the sign-up all fail, as often as they are tried.
    let fates = [CommitFault::None].into_iter().chain([CommitFault::Throttled; 5]);
    let faults = Box::new(ScriptedFaults::new(fates));
    let engine = MemoryEngine::open(&store, MemoryOptions { faults, ..MemoryOptions::default() });
    let mut world = World::over(engine, Options::default());
    world.check(
        r#"POST /v1/auth/signup {"username":"bora","password":"correct horse"} => 503 {"code":115,"temporary":true}"#,
    );
    world.sign_up("bora");
}
