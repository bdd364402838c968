//! Templates of applications: stored in versions, tried out, deleted, and named by notifications.

use serde_json::{Value, json};

use crate::notifications::{App, ask, made, notify};
use crate::world::World;

/// What an application asks; the status, and the answer.
fn asked(world: &mut World, app: &App, method: &str, path: &str, body: &Value) -> (u16, Value) {
    let body = if body.is_null() { String::new() } else { body.to_string() };
    let answer = ask(world, app, method, path, &body, &[]);
    (answer.status, serde_json::from_str(&answer.body).unwrap_or(Value::Null))
}

/// Of two languages, with a variant for mail in one of them.
fn template() -> Value {
    json!({
        "default_locale": "en",
        "parameters": [
            {"name": "name", "kind": "text", "required": true, "max_chars": 20},
            {"name": "parcels", "kind": "list"},
        ],
        "variants": [
            {"locale": "en", "title": "For {{ name }}", "body": "{% for p in parcels %}{{ p }};{% endfor %}"},
            {"locale": "pt", "title": "Para {{ name }}", "body": ""},
            {"locale": "en", "medium": "mail", "title": "Dear {{ name }}", "body": "", "html": "<b>{{ name }}</b>"},
        ],
    })
}

#[test]
fn a_template_is_stored_in_versions_and_the_same_again_is_the_same_version() {
    let mut world = World::new();
    let (app, other) = (made(&world, &json!({"name": "shop"})), made(&world, &json!({"name": "other"})));
    let put = |world: &mut World, app: &App, name: &str, template: &Value| {
        let (status, answer) = asked(world, app, "PUT", &format!("/v1/templates/{name}"), template);
        assert_eq!((status, &answer["name"]), (200, &json!(name)), "{answer}");
        answer["version"].as_u64().expect("a number")
    };
    let mut turned = template();
    turned["variants"].as_array_mut().expect("a list").reverse();
    let mut second = template();
    second["variants"][1]["body"] = json!("Hoje.");
    let versions = [template(), template(), turned, second.clone(), template()].map(|template| {
        world.advance_ms(10);
        put(&mut world, &app, "parcel.sent", &template)
    });
    assert_eq!(versions, [1, 1, 1, 2, 3]);
    assert_eq!(put(&mut world, &other, "parcel.sent", &second), 1, "another application's is another");
    assert_eq!(put(&mut world, &app, "bill", &second), 1);

    let get = |world: &mut World, app: &App, path: &str| asked(world, app, "GET", path, &Value::Null);
    let (status, shown) = get(&mut world, &app, "/v1/templates/parcel.sent?version=2");
    assert_eq!((status, &shown["version"]), (200, &json!(2)));
    assert_eq!(shown["variants"][2], json!({"locale": "pt", "title": "Para {{ name }}", "body": "Hoje."}));
    assert_eq!(shown["parameters"][0], template()["parameters"][0]);
    assert_eq!(get(&mut world, &app, "/v1/templates/parcel.sent").1["version"], 3);
    for path in ["parcel.sent?version=4", "parcel.sent?version=0", "parcel", "x"] {
        let (status, refused) = get(&mut world, &app, &format!("/v1/templates/{path}"));
        assert_eq!((status, &refused["code"]), (404, &json!(102)), "{path}");
    }
    let (_, list) = get(&mut world, &app, "/v1/templates?limit=1");
    assert_eq!(list, json!({"templates": [{"name": "bill", "version": 1}], "more": true, "cursor": "bill"}));
    let (_, list) = get(&mut world, &app, "/v1/templates?limit=1&cursor=bill");
    assert_eq!(list, json!({"templates": [{"name": "parcel.sent", "version": 3}], "more": false}));

    let delete = |world: &mut World| asked(world, &app, "DELETE", "/v1/templates/parcel.sent", &Value::Null).0;
    assert_eq!([delete(&mut world), delete(&mut world)], [204, 404]);
    assert_eq!(get(&mut world, &app, "/v1/templates/parcel.sent?version=2").0, 404);
    assert_eq!(get(&mut world, &other, "/v1/templates/parcel.sent").0, 200);
    assert_eq!(put(&mut world, &app, "parcel.sent", &second), 4, "no version is there twice");
    let reads = made(&world, &json!({"name": "board", "scopes": ["read"]}));
    assert_eq!(get(&mut world, &reads, "/v1/templates").0, 403);
    world.check("GET /v1/templates => 401 {\"code\":101}");
}

#[test]
fn a_template_that_does_not_do_is_refused_with_its_place_and_nothing_is_stored() {
    let mut world = World::new();
    let app = made(&world, &json!({"name": "shop"}));
    let mut check = |place: &str, value: Value, expected: &str| {
        let mut wrong = template();
        *wrong.pointer_mut(place).expect("it is there") = value;
        let (status, refused) = asked(&mut world, &app, "PUT", "/v1/templates/a", &wrong);
        let said = refused["detail"].as_str().unwrap_or_default();
        assert!(status == 400 && refused["code"] == 107 && said.contains(expected), "{place}: {refused}");
    };
    let body = "/variants/0/body";
    check(body, json!("a\n{{ name"), "variant en: body, line 2: unexpected end of input");
    check(body, json!("{{ nam }}"), "variant en: body, line 1: it uses nam, no parameter of the template");
    check(body, json!("\n\n{{ name|pprint }}"), "variant en: body, line 3: there is no filter pprint");
    check(body, json!("{% for a in range(9) %}{% endfor %}"), "variant en: body, line 1: there is no function range");
    check(body, json!("x".repeat(64 * 1024)), "together, the limit is 65536");
    check("/variants/2/html", json!("{% if %}"), "variant en for mail: html, line 1: ");
    check("/variants/1/locale", json!("EN"), "there are two variants EN");
    check("/default_locale", json!("de"), "no variant de is for all media");
    check("/default_locale", json!("de DE"), "locale \"de DE\" is none");
    check("/variants", json!([]), "no variant en is for all media");
    check("/parameters/0/kind", json!("date"), "body: unknown variant `date`");
    check("/parameters/0/name", json!("loop"), "parameter \"loop\" is no name");
    check("/parameters/1/name", json!("name"), "parameter name is there twice");
    check("/variants/0", json!({"locale": "en", "body": "no title"}), "body: missing field `title`");
    let many = |count: usize| json!(vec![json!({"locale": "en", "title": "", "body": "x".repeat(30_000)}); count]);
    check("/variants", many(65), "there are 65 variants, the limit is 64");
    check("/variants", many(40), "the variants are 1200000 bytes together, the limit is 1048576");
    let too_long = "n".repeat(65);
    for name in ["a%20b", "%C3%A4", "a:b", "..", ".a", &too_long] {
        let (status, refused) = asked(&mut world, &app, "PUT", &format!("/v1/templates/{name}"), &template());
        assert_eq!((status, &refused["code"]), (400, &json!(107)), "{name}: {refused}");
    }
    let (_, list) = asked(&mut world, &app, "GET", "/v1/templates", &Value::Null);
    assert_eq!(list["templates"], json!([]));
}

#[test]
fn a_template_is_tried_out_in_the_language_and_by_the_medium_of_a_target() {
    let mut world = World::new();
    let app = made(&world, &json!({"name": "shop"}));
    asked(&mut world, &app, "PUT", "/v1/templates/a", &template());
    let mut check = |wanted: Value, expected: (u16, Value)| {
        let (status, answer) = asked(&mut world, &app, "POST", "/v1/templates/a/preview", &wanted);
        let answer = if status == 200 { answer } else { answer["detail"].clone() };
        assert_eq!((status, answer), expected, "{wanted}");
    };
    let data = json!({"name": "<Zoë>", "parcels": [7, 8]});
    let english = json!({"version": 1, "locale": "en", "title": "For <Zoë>", "body": "7;8;"});
    check(json!({"data": data}), (200, english.clone()));
    check(json!({"data": data, "locale": "de", "medium": "apns", "version": 1}), (200, english));
    let portuguese = json!({"version": 1, "locale": "pt", "title": "Para <Zoë>", "body": ""});
    check(json!({"data": data, "locale": "pt-BR", "medium": "mail"}), (200, portuguese));
    let mail = json!({"version": 1, "locale": "en", "medium": "mail", "title": "Dear <Zoë>", "body": "",
        "html": "<b>&lt;Zoë&gt;</b>"});
    check(json!({"data": data, "medium": "mail"}), (200, mail));
    check(json!({}), (400, json!("name is missing")));
    check(
        json!({"data": {"name": 1, "to": 2}}),
        (400, json!("name is a number, not a text; to is no parameter of the template")),
    );
    check(json!({"data": {"name": "Zoë"}}), (400, json!("body, line 1: undefined value")));
    let bomb = json!({"name": "Zoë", "parcels": vec![1; 6_000]});
    check(json!({"data": bomb}), (400, json!("body, line 1: it takes more than 5000 steps")));
    check(json!({"data": data, "version": 2}), (404, json!("there is no template \"a\" of version 2")));
    check(
        json!({"data": data, "colour": 2}),
        (
            400,
            json!(
                "body: unknown field `colour`, expected one of `data`, `locale`, `medium`, `version` at line 1 column 9"
            ),
        ),
    );
}

#[test]
fn a_notification_by_a_template_has_its_parameters_and_no_words_of_its_own() {
    let mut world = World::new();
    let app = made(&world, &json!({"name": "shop", "quota_a_day": 2}));
    asked(&mut world, &app, "PUT", "/v1/templates/a", &template());
    let wanted = |data: Value| json!({"to": ["1"], "category": "shipping", "template": "a", "data": data});
    let mut check = |field: &str, value: Value, expected: &str| {
        let mut wanted = wanted(json!({"name": "Zoë", "parcels": [{"id": 7}]}));
        wanted[field] = value;
        let (status, said) = notify(&mut world, &app, &wanted, None);
        assert!(said.contains(expected) && status == 400, "{field}: {status} {said}");
    };
    check("template", json!("b"), "107 there is no template \"b\"");
    check("template", json!(""), "107 `title` is one line");
    check("title", json!("x"), "107 `title`, `body` and `html` are the template's");
    check("body", json!("x"), "107 `title`, `body` and `html` are the template's");
    check("html", json!("x"), "107 `title`, `body` and `html` are the template's");
    check("data", json!([1]), "107 `data` is an object");
    check(
        "data",
        json!({"nam": "Zoë", "parcels": 1}),
        "107 `data`: name is missing; parcels is a number, not a list; nam is no parameter of the template",
    );
    check("data", json!({"name": "Zoë".repeat(7)}), "107 `data`: name is 21 characters, the limit is 20");
    // Nothing of it was stored or counted: the quota is whole.
    let (status, id) = notify(&mut world, &app, &wanted(json!({"name": "Zoë", "parcels": [1]})), Some("k"));
    assert_eq!(status, 202, "{id}");
    let (_, shown) = asked(&mut world, &app, "GET", &format!("/v1/notifications/{id}"), &Value::Null);
    assert_eq!((&shown["template"], &shown["template_version"]), (&json!("a"), &json!(1)));
    // The same request is the same notification, whatever became of its template.
    assert_eq!(asked(&mut world, &app, "DELETE", "/v1/templates/a", &Value::Null).0, 204);
    assert_eq!(notify(&mut world, &app, &wanted(json!({"name": "Zoë", "parcels": [1]})), Some("k")), (202, id));
    assert_eq!(notify(&mut world, &app, &wanted(json!({"name": "Bo"})), Some("k")).0, 409);
    assert_eq!(notify(&mut world, &app, &wanted(json!({"name": "Bo"})), Some("l")).0, 400);
}

#[test]
fn a_store_that_may_not_grow_takes_no_template() {
    let mut world = World::new();
    let app = made(&world, &json!({"name": "shop"}));
    world.node.full.store(true, std::sync::atomic::Ordering::Relaxed);
    assert_eq!(asked(&mut world, &app, "PUT", "/v1/templates/a", &template()).0, 503);
}
