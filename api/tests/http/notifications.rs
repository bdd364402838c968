//! Applications and what they ask to be told.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::client::{Answer, Client};
use crate::world::{World, block_on};

/// An application's key and secret.
pub(crate) type App = (String, String);

pub(crate) fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("{value} is a text")).to_owned()
}

/// What an operator asks the internal listener, and the answer.
pub(crate) fn admin(world: &World, method: &str, path: &str, body: &str) -> (u16, Value) {
    let answer = Client::connect(world.internal).ask(method, path, &[], body);
    (answer.status, serde_json::from_str(&answer.body).unwrap_or(Value::Null))
}

pub(crate) fn made(world: &World, wanted: &Value) -> App {
    let (status, app) = admin(world, "POST", "/admin/apps", &wanted.to_string());
    assert_eq!(status, 200, "{app}");
    (text(&app["key"]), text(&app["secret"]))
}

/// What an application asks, and the answer.
pub(crate) fn ask(
    world: &mut World,
    (key, secret): &App,
    method: &str,
    path: &str,
    body: &str,
    headers: &[(&str, &str)],
) -> Answer {
    let given = format!("Basic {}", STANDARD.encode(format!("{key}:{secret}")));
    let headers: Vec<_> = [("authorization", given.as_str())].iter().chain(headers).copied().collect();
    Client::connect(world.public).ask(method, path, &headers, body)
}

/// Asks for a notification; the status, and its id or the code of a refusal.
pub(crate) fn notify(world: &mut World, app: &App, body: &Value, key: Option<&str>) -> (u16, String) {
    let key: Vec<_> = key.map(|key| ("idempotency-key", key)).into_iter().collect();
    let answer = ask(world, app, "POST", "/v1/notifications", &body.to_string(), &key);
    let json: Value = serde_json::from_str(&answer.body).expect("JSON");
    let said =
        if answer.status == 202 { text(&json["id"]) } else { format!("{} {}", json["code"], text(&json["detail"])) };
    (answer.status, said)
}

pub(crate) fn body(to: &[&str]) -> Value {
    json!({"to": to, "category": "shipping", "title": "On its way"})
}

#[test]
fn an_application_is_made_rotated_and_revoked_by_operators() {
    let mut world = World::new();
    let app = made(&world, &json!({"name": "shop"}));
    let knows = |world: &mut World, secret: &str| {
        notify(world, &(app.0.clone(), secret.to_owned()), &body(&["1"]), None).0 == 202
    };
    assert!(knows(&mut world, &app.1));
    let rotate = format!("/admin/apps/{}/rotate", app.0);
    let (_, second) = admin(&world, "POST", &rotate, "");
    let second = text(&second["secret"]);
    assert!(knows(&mut world, &app.1) && knows(&mut world, &second), "both count");
    let (_, third) = admin(&world, "POST", &rotate, "");
    let third = text(&third["secret"]);
    assert!(!knows(&mut world, &app.1) && knows(&mut world, &second) && knows(&mut world, &third), "two count");
    let (_, all) = admin(&world, "GET", "/admin/apps", "");
    assert_eq!((text(&all[0]["name"]), all[0]["scopes"].clone()), ("shop".to_owned(), json!(["send", "read"])));
    assert!(all[0]["secret"].is_null() && !all.to_string().contains(&third), "a secret is shown once");
    admin(&world, "POST", &format!("/admin/apps/{}/revoke", app.0), "");
    assert!(!knows(&mut world, &second) && !knows(&mut world, &third));
    let (status, none) = admin(&world, "POST", "/admin/apps/app_0000000000000000/revoke", "");
    assert_eq!((status, none["code"].clone()), (404, json!(102)));
    for wrong in [json!({"name": ""}), json!({"name": "x", "scopes": ["fly"]}), json!({"name": "x", "colour": 1})] {
        let (status, refused) = admin(&world, "POST", "/admin/apps", &wrong.to_string());
        assert_eq!((status, refused["code"].clone()), (400, json!(107)), "{wrong}");
    }
}

#[test]
fn an_application_is_called_with_its_events_as_operators_say() {
    let world = World::new();
    let (key, _) = made(&world, &json!({"name": "shop"}));
    let path = format!("/admin/apps/{key}/events");
    let (status, called) = admin(&world, "POST", &path, r#"{"url":"https://shop.example/events"}"#);
    let secret = text(&called["events_secret"]);
    assert_eq!((status, text(&called["events_url"]).as_str(), secret.len()), (200, "https://shop.example/events", 43));
    let (_, all) = admin(&world, "GET", "/admin/apps", "");
    assert_eq!(text(&all[0]["events_url"]), "https://shop.example/events");
    assert!(!all.to_string().contains(&secret), "it is shown once");
    let (_, again) = admin(&world, "POST", &path, r#"{"url":"https://shop.example/events"}"#);
    assert_ne!(text(&again["events_secret"]), secret, "each time another");
    for wrong in [r#"{"url":"http://shop.example/"}"#, r#"{"url":7}"#, r#"{"uri":null}"#, "", "{"] {
        let (status, refused) = admin(&world, "POST", &path, wrong);
        assert_eq!((status, refused["code"].clone()), (400, json!(107)), "{wrong}");
    }
    let (status, none) = admin(&world, "POST", "/admin/apps/app_0000000000000000/events", r#"{"url":null}"#);
    assert_eq!((status, none["code"].clone()), (404, json!(102)));
    let (_, off) = admin(&world, "POST", &path, r#"{"url":null}"#);
    assert_eq!([&off["events_url"], &off["events_secret"]], [&Value::Null; 2]);
}

#[test]
fn who_is_no_application_notifies_nobody() {
    let mut world = World::new();
    world.sign_up("bora");
    let (key, secret) = made(&world, &json!({"name": "shop"}));
    let mut check = |key: &str, secret: &str| {
        let (status, said) = notify(&mut world, &(key.to_owned(), secret.to_owned()), &body(&["1"]), None);
        assert!(status == 401 && said.starts_with("101"), "{key} {said}");
    };
    check(&key, "");
    check(&key, &secret[1..]);
    check("app_0000000000000000", &secret);
    check("shop", &secret);
    world.check(r#"POST /v1/notifications {"to":["1"],"category":"a","title":"b"} => 401 {"code":101}"#);
    world.check(r#"bora POST /v1/notifications {"to":["1"],"category":"a","title":"b"} => 401 {"code":101}"#);
    let reads = made(&world, &json!({"name": "board", "scopes": ["read"]}));
    assert_eq!(notify(&mut world, &reads, &body(&["1"]), None).0, 403);
}

#[test]
fn a_notification_is_accepted_once_under_its_key_and_can_be_cancelled() {
    let mut world = World::new();
    let app = made(&world, &json!({"name": "shop"}));
    let (status, id) = notify(&mut world, &app, &body(&["1", "2", "1"]), Some("k"));
    assert_eq!(status, 202);
    assert_eq!(notify(&mut world, &app, &body(&["1", "2", "1"]), Some("k")), (202, id.clone()));
    assert_eq!(notify(&mut world, &app, &body(&["1"]), Some("k")).0, 409);
    assert_ne!(notify(&mut world, &app, &body(&["1"]), None).1, id);
    // It stays accepted when it could be no more: its time is past, too many others wait.
    let mut timed = body(&["1"]);
    timed["send_at"] = json!(world.wall().0 + 1_000);
    let (_, timed_id) = notify(&mut world, &app, &timed, Some("t"));
    world.advance_ms(3_600_000);
    assert_eq!(notify(&mut world, &app, &timed, Some("u")).0, 400);
    assert_eq!(notify(&mut world, &app, &timed, Some("t")), (202, timed_id));
    world.backlog.store(1_200_000, std::sync::atomic::Ordering::Relaxed);
    assert_eq!(notify(&mut world, &app, &body(&["1", "2", "1"]), Some("k")), (202, id.clone()));
    assert_eq!(notify(&mut world, &app, &body(&["1"]), Some("k")).0, 409);
    assert_eq!(notify(&mut world, &app, &body(&["1"]), Some("u")).0, 429);
    world.backlog.store(0, std::sync::atomic::Ordering::Relaxed);
    let path = format!("/v1/notifications/{id}");
    let read = |world: &mut World, app: &App| {
        let answer = ask(world, app, "GET", &path, "", &[]);
        (answer.status, serde_json::from_str::<Value>(&answer.body).expect("JSON"))
    };
    let (_, shown) = read(&mut world, &app);
    assert_eq!((shown["recipients"].clone(), shown["states"].clone()), (json!(2), json!({})));
    let other = made(&world, &json!({"name": "other"}));
    assert_eq!(read(&mut world, &other).0, 404, "it is another's");
    let cancel = |world: &mut World| ask(world, &app, "POST", &format!("{path}/cancel"), "", &[]).body;
    assert_eq!([cancel(&mut world), cancel(&mut world)], [r#"{"changed":true}"#, r#"{"changed":false}"#]);
    assert!(read(&mut world, &app).1["cancelled_ms"].is_number());
}

#[test]
fn a_backlog_that_is_too_deep_is_not_made_deeper() {
    let mut world = World::new();
    let app = made(&world, &json!({"name": "shop"}));
    let mut check = |waiting: u64, expected: u16| {
        world.backlog.store(waiting, std::sync::atomic::Ordering::Relaxed);
        assert_eq!(notify(&mut world, &app, &body(&["1"]), None).0, expected, "{waiting}");
    };
    check(1_199_999, 202);
    check(1_200_000, 429);
    check(0, 202);
}

#[test]
fn what_cannot_be_told_is_refused_in_words() {
    let mut world = World::new();
    let app = made(&world, &json!({"name": "shop", "quota_a_day": 3}));
    let mut check = |field: &str, value: Value, expected: &str| {
        let mut wanted = body(&["1"]);
        wanted[field] = value;
        let (status, said) = notify(&mut world, &app, &wanted, None);
        assert!(said.contains(expected) && status == 400, "{field}: {status} {said}");
    };
    let many: Vec<String> = (0..1_001).map(|user| user.to_string()).collect();
    check("to", json!(many), "106 `to` names 1 to 1000 users, not 1001");
    check("to", json!([]), "106");
    check("to", json!(["+15551234567"]), "107");
    check("category", json!("two words"), "107 `category`");
    check("category", json!(""), "107 `category`");
    check("category", json!("messages"), "107 the");
    check("collapse", json!("x".repeat(65)), "107");
    check("title", json!(""), "107 `title`");
    check("title", json!("two\nlines"), "107 `title`");
    check("body", json!("x".repeat(16 * 1024 + 1)), "107 `body`");
    check("data", json!([1]), "107 `data`");
    check("data", json!({"a": 1}), "107 `data`");
    check("media", json!(["pigeon"]), "107");
    check("media", json!(["sms"]), "107 this server sends nothing by sms");
    check("send_at", json!(1), "107 `send_at` is in the past");
    check("send_at", json!(u64::MAX), "107 `send_at` is more than a year ahead");
    check("every", json!(59_999), "107 `every`");
    check("expires_ms", json!(0), "107 `expires_ms`");
    check("colour", json!("red"), "107");
    let (status, said) = notify(&mut world, &app, &body(&["1"]), Some(&"k".repeat(129)));
    assert_eq!((status, said.starts_with("107")), (400, true), "{said}");
    // Nothing of it was stored or counted: the quota is whole.
    assert_eq!(notify(&mut world, &app, &body(&["1", "2", "3"]), None).0, 202);
    let (status, said) = notify(&mut world, &app, &body(&["1"]), None);
    assert!(status == 429 && said.contains("may notify 3 users a day"), "{said}");
}

#[test]
fn an_operator_has_users_told_by_their_ids_or_names() {
    let mut world = World::new();
    let users = ["bora", "minsu"].map(|name| {
        world.sign_up(name);
        world.value(name).to_owned()
    });
    let send = |world: &World, wanted: Value| {
        let (status, said) = admin(world, "POST", "/admin/notify/send", &wanted.to_string());
        (status, if status == 202 { said["recipients"].to_string() } else { said["detail"].to_string() })
    };
    let to = |to: &[&str]| json!({"to": to, "category": "operator", "title": "Maintenance"});
    assert_eq!(send(&world, to(&["bora", &users[1], "BORA", &users[0]])), (202, "2".to_owned()), "each once");
    let notices = || {
        let rows = block_on(chat::notices::depths(&world.engine, None, world.wall())).expect("readable");
        rows.iter().map(|(_, depth)| depth.rows).sum::<u64>()
    };
    assert_eq!(notices(), 2, "one for each");
    let (_, sent) = admin(&world, "POST", "/admin/notify/send", &to(&["bora"]).to_string());
    let (status, shown) = admin(&world, "GET", &format!("/admin/notify/notices/{}", text(&sent["id"])), "");
    assert_eq!((status, &shown["recipients"], &shown["app"]), (200, &json!(1), &Value::Null), "{shown}");
    assert_eq!((&shown["states"], &shown["targets"]), (&json!({}), &json!([])), "it is not due yet");
    let none = "/admin/notify/notices/019357e5-5a3c-7000-8000-000000000001";
    assert_eq!(admin(&world, "GET", none, "").0, 404);
    assert_eq!(admin(&world, "GET", "/admin/notify/notices/x", "").0, 400);
    let check = |wanted: Value, expected: &str| {
        let (status, said) = send(&world, wanted);
        assert!(status == 400 && said.contains(expected), "{status} {said}");
    };
    check(to(&[]), "`to` names 1 to 1000 users, not 0");
    check(to(&vec!["bora"; 1_001]), "`to` names 1 to 1000 users, not 1001");
    check(to(&["bora", "nobody", "1"]), r#"there is no user \"nobody\", \"1\""#);
    let with = |field: &str, value: Value| {
        let mut wanted = to(&["bora"]);
        wanted[field] = value;
        wanted
    };
    check(with("title", json!("")), "`title` is one line");
    check(with("title", json!("a\nb")), "`title` is one line");
    check(with("body", json!("x".repeat(16 * 1024 + 1))), "`body` has 16385 bytes");
    check(with("category", json!("two words")), "`category` has 1 to 64 characters");
    check(with("category", json!("messages")), "that of channels");
    check(with("category", json!("verification")), "that of codes");
    check(with("media", json!(["pigeon"])), "unknown variant `pigeon`");
    check(with("media", json!(["apns", "sms"])), "sends nothing by sms; it sends by apns, webpush");
    check(with("colour", json!(1)), "unknown field `colour`");
    assert_eq!(notices(), 3, "nothing of it was stored");
    let headers = [("origin", "https://a.example")];
    let from_page =
        Client::connect(world.internal).ask("POST", "/admin/notify/send", &headers, &to(&["bora"]).to_string());
    assert_eq!(from_page.status, 403);
}
