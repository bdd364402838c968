//! Webhooks: made, shown, ended by their application, and what is refused.

use serde_json::{Value, json};

use crate::notifications::{App, admin, ask, made, text};
use crate::world::{World, block_on};

/// What an application asks: the status, and the JSON of the answer.
fn asked(world: &mut World, app: &App, method: &str, path: &str, body: &str) -> (u16, Value) {
    let answer = ask(world, app, method, path, body, &[("content-type", "application/json")]);
    (answer.status, serde_json::from_str(&answer.body).unwrap_or(Value::Null))
}

fn wanted() -> Value {
    json!({"url": "https://shop.example/hooks", "events": ["message.sent", "read"]})
}

fn make(world: &mut World, app: &App) -> String {
    let (status, hook) = asked(world, app, "POST", "/v1/hooks", &wanted().to_string());
    assert_eq!(status, 201, "{hook}");
    text(&hook["id"])
}

#[test]
fn an_application_makes_lists_and_ends_hooks() {
    let mut world = World::new();
    let app = made(&world, &json!({"name": "shop", "scopes": ["hooks"]}));
    let mut body = wanted();
    body["channel_kinds"] = json!(["group", "direct"]);
    body["channels"] = json!(["9", "7", "9"]);
    let (status, hook) = asked(&mut world, &app, "POST", "/v1/hooks", &body.to_string());
    let (id, secret) = (text(&hook["id"]), text(&hook["secret"]));
    assert_eq!((status, id.len(), secret.len()), (201, 21, 50), "{hook}");
    assert!(id.starts_with("hook_") && secret.starts_with("whsec_"), "{hook}");
    assert_eq!(
        (hook["channel_kinds"].clone(), hook["channels"].clone()),
        (json!(["direct", "group"]), json!(["7", "9"]))
    );
    assert_eq!(hook["events"], json!(["message.sent", "read"]));
    let (status, all) = asked(&mut world, &app, "GET", "/v1/hooks", "");
    assert_eq!((status, all["hooks"][0]["id"].clone(), all["hooks"][1].clone()), (200, json!(id), Value::Null));
    assert!(!all.to_string().contains(&secret), "it is shown once");
    let (status, calls) = asked(&mut world, &app, "GET", &format!("/v1/hooks/{id}/calls"), "");
    assert_eq!((status, calls), (200, json!({"calls": []})));
    let replay = format!("/v1/hooks/{id}/replay");
    assert_eq!(asked(&mut world, &app, "POST", &replay, r#"{"from_ms":0}"#), (200, json!({"lanes": 0})));
    let (status, resumed) = asked(&mut world, &app, "POST", &format!("/v1/hooks/{id}/resume"), "");
    assert_eq!((status, resumed["id"].clone(), resumed["paused_ms"].clone()), (200, json!(id), Value::Null));
    assert_eq!(asked(&mut world, &app, "DELETE", &format!("/v1/hooks/{id}"), "").0, 204);
    assert_eq!(asked(&mut world, &app, "DELETE", &format!("/v1/hooks/{id}"), "").0, 404);
    let (_, all) = asked(&mut world, &app, "GET", "/v1/hooks", "");
    assert_eq!(all, json!({"hooks": []}));
    let everything = json!({"url": "https://shop.example/hooks", "events": ["*"]}).to_string();
    let (_, hook) = asked(&mut world, &app, "POST", "/v1/hooks", &everything);
    assert_eq!(hook["events"].as_array().map(Vec::len), Some(10), "{hook}");
}

#[test]
fn a_hook_that_is_asked_before_says_how_long_it_has_and_what_becomes_of_no_answer() {
    let mut world = World::new();
    let app = made(&world, &json!({"name": "shop", "scopes": ["hooks", "moderate"]}));
    let mut check = |more: Value, expected: Value| {
        let mut body = json!({"url": "https://shop.example/asked"});
        more.as_object().expect("fields").iter().for_each(|(name, value)| body[name] = value.clone());
        let (status, hook) = asked(&mut world, &app, "POST", "/v1/hooks", &body.to_string());
        let found = if status == 201 {
            json!([hook["events"], hook["before"], hook["timeout_ms"], hook["on_failure"]])
        } else {
            json!([status, hook["code"]])
        };
        assert_eq!(found, expected, "{more} {hook}");
    };
    check(json!({"before": ["message.send"]}), json!([[], ["message.send"], 1000, "allow"]));
    check(
        json!({"before": ["message.edit", "message.send"], "timeout_ms": 50, "on_failure": "refuse", "events": ["read"]}),
        json!([["read"], ["message.send", "message.edit"], 50, "refuse"]),
    );
    check(json!({"before": ["message.send"], "timeout_ms": 5000}), json!([[], ["message.send"], 5000, "allow"]));
    check(json!({"events": ["read"]}), json!([["read"], null, null, null]));
    check(json!({"before": ["message.send"], "timeout_ms": 49}), json!([400, 107]));
    check(json!({"before": ["message.send"], "timeout_ms": 5001}), json!([400, 107]));
    check(json!({"before": ["message.sent"]}), json!([400, 107]));
    check(json!({"before": ["message.send"], "on_failure": "wait"}), json!([400, 107]));
    check(json!({"before": []}), json!([400, 107]));
    check(json!({"events": ["read"], "timeout_ms": 100}), json!([400, 107]));
    check(json!({"events": ["read"], "on_failure": "allow"}), json!([400, 107]));
    // Who is asked alone needs nobody who tells of events.
    let url = "https://untold.example/";
    check(json!({"url": url, "before": ["message.edit"], "events": ["read"]}), json!([400, 107]));
    check(json!({"url": url, "before": ["message.edit"]}), json!([[], ["message.edit"], 1000, "allow"]));
    // All applications together have four.
    check(json!({"before": ["message.edit"]}), json!([400, 106]));
    check(json!({"events": ["read"]}), json!([["read"], null, null, null]));
}

#[test]
fn to_be_asked_before_is_a_scope_of_its_own() {
    let mut world = World::new();
    for (scopes, status) in [(json!(["hooks"]), 403), (json!(["moderate"]), 403), (json!(["hooks", "moderate"]), 201)] {
        let app = made(&world, &json!({"name": "shop", "scopes": scopes}));
        let body = json!({"url": "https://shop.example/asked", "before": ["message.send"]});
        let (found, hook) = asked(&mut world, &app, "POST", "/v1/hooks", &body.to_string());
        assert_eq!(found, status, "{scopes} {hook}");
    }
}

#[test]
fn hooks_end_with_their_application() {
    let mut world = World::new();
    let app = made(&world, &json!({"name": "shop", "scopes": ["hooks"]}));
    make(&mut world, &app);
    let other = made(&world, &json!({"name": "other", "scopes": ["hooks"]}));
    make(&mut world, &other);
    let count = |world: &World| block_on(chat::hooks::list(&world.engine)).expect("readable").len();
    assert_eq!(count(&world), 2);
    let (status, _) = admin(&world, "POST", &format!("/admin/apps/{}/revoke", app.0), "");
    assert_eq!((status, count(&world)), (200, 1));
}

#[test]
fn an_operator_sees_how_hooks_fare_pauses_resumes_and_ends_them() {
    let mut world = World::new();
    let app = made(&world, &json!({"name": "shop", "scopes": ["hooks"]}));
    let other = made(&world, &json!({"name": "other", "scopes": ["hooks"]}));
    let (id, theirs) = (make(&mut world, &app), make(&mut world, &other));
    let ids = |world: &World, query: &str| {
        let (status, hooks) = admin(world, "GET", &format!("/admin/hooks{query}"), "");
        assert_eq!(status, 200, "{hooks}");
        let mut ids: Vec<String> = hooks.as_array().expect("a list").iter().map(|hook| text(&hook["id"])).collect();
        ids.sort();
        ids
    };
    let mut both = vec![id.clone(), theirs.clone()];
    both.sort();
    assert_eq!(ids(&world, ""), both);
    assert_eq!(ids(&world, &format!("?app={}", app.0)), [id.as_str()]);
    assert_eq!(admin(&world, "GET", "/admin/hooks?app=app_0000000000000000", "").0, 404);
    let (_, shown) = admin(&world, "GET", &format!("/admin/hooks?app={}", app.0), "");
    let hook = &shown[0];
    assert_eq!(
        (&hook["app"], &hook["app_name"], &hook["waiting"]),
        (&json!(app.0), &json!("shop"), &json!(0)),
        "{hook}"
    );
    assert!(hook["paused_ms"].is_null() && hook["secret"].is_null() && hook["last_call"].is_null(), "{hook}");
    let change = |world: &World, method: &str, path: &str| admin(world, method, &format!("/admin/hooks/{path}"), "");
    let (status, paused) = change(&world, "POST", &format!("{id}/pause"));
    assert_eq!((status, &paused["paused_why"]), (200, &json!("an operator has paused it")), "{paused}");
    let (_, seen) = asked(&mut world, &app, "GET", "/v1/hooks", "");
    assert_eq!(seen["hooks"][0]["paused_why"], "an operator has paused it", "{seen}");
    let (status, resumed) = change(&world, "POST", &format!("{id}/resume"));
    // A `hook.gap` says what it may have missed.
    assert_eq!((status, &resumed["paused_ms"], &resumed["waiting"]), (200, &Value::Null, &json!(1)), "{resumed}");
    assert_eq!(change(&world, "DELETE", &theirs).0, 200);
    assert_eq!(ids(&world, ""), [id.as_str()]);
    for path in [theirs.as_str(), "hook_1"] {
        assert_eq!(change(&world, "DELETE", path).0, 404, "{path}");
        assert_eq!(change(&world, "POST", &format!("{path}/pause")).0, 404, "{path}");
        assert_eq!(change(&world, "POST", &format!("{path}/resume")).0, 404, "{path}");
    }
}

#[test]
fn what_is_no_hook_is_refused_in_words() {
    let mut world = World::new();
    let app = made(&world, &json!({"name": "shop", "scopes": ["hooks"]}));
    let mut check = |change: Value, expected: &str| {
        let mut body = wanted();
        change.as_object().expect("fields").iter().for_each(|(name, value)| body[name] = value.clone());
        let (status, problem) = asked(&mut world, &app, "POST", "/v1/hooks", &body.to_string());
        let detail = problem["detail"].as_str().unwrap_or_default();
        assert_eq!((status, problem["code"].clone()), (400, json!(107)), "{change} {problem}");
        assert!(detail.contains(expected), "{change}: {detail}");
    };
    check(json!({"url": "http://shop.example/hooks"}), "url: it is not https");
    check(json!({"url": 7}), "expected a string");
    check(json!({"events": ["message.gone"]}), "no event \"message.gone\": there are message.sent, message.edited");
    check(json!({"events": ["hook.gap"]}), "no event");
    check(json!({"events": []}), "name at least one");
    check(json!({"channel_kinds": ["forum"]}), "forum");
    check(json!({"channels": (0..101).map(|id| id.to_string()).collect::<Vec<_>>()}), "at most 100");
    check(json!({"channels": ["x"]}), "body");
    check(json!({"secret": "mine"}), "secret");
}

#[test]
fn an_application_has_twenty_hooks_and_hears_nothing_of_anothers() {
    let mut world = World::new();
    let app = made(&world, &json!({"name": "shop", "scopes": ["hooks"]}));
    let id = make(&mut world, &app);
    for _ in 1..20 {
        make(&mut world, &app);
    }
    let (status, problem) = asked(&mut world, &app, "POST", "/v1/hooks", &wanted().to_string());
    assert_eq!((status, problem["code"].clone()), (400, json!(106)), "{problem}");
    let other = made(&world, &json!({"name": "other", "scopes": ["hooks"]}));
    make(&mut world, &other);
    let sends = made(&world, &json!({"name": "bot"}));
    let mut check = |app: &App, id: &str, status: u16, code: u16| {
        for (method, path, body) in [
            ("DELETE", "", ""),
            ("POST", "/resume", ""),
            ("POST", "/replay", r#"{"from_ms":0}"#),
            ("GET", "/calls", ""),
        ] {
            let (found, problem) = asked(&mut world, app, method, &format!("/v1/hooks/{id}{path}"), body);
            assert_eq!((found, problem["code"].clone()), (status, json!(code)), "{method} {path} {problem}");
        }
    };
    check(&other, &id, 404, 102);
    check(&app, "hook_0000000000000000", 404, 102);
    check(&app, "hook_", 404, 102);
    check(&app, "7", 404, 102);
    check(&app, &id.to_uppercase(), 404, 102);
    check(&sends, &id, 403, 103);
    check(&(app.0.clone(), "wrong".to_owned()), &id, 401, 101);
    let (status, _) = asked(&mut world, &sends, "GET", "/v1/hooks", "");
    assert_eq!(status, 403);
    let (status, _) = asked(&mut world, &app, "GET", &format!("/v1/hooks/{id}/calls?limit=0"), "");
    assert_eq!(status, 400);
    let (status, _) = asked(&mut world, &app, "POST", &format!("/v1/hooks/{id}/replay"), "{}");
    assert_eq!(status, 400);
    world.check("GET /v1/hooks => 401 {\"code\":101}");
}
