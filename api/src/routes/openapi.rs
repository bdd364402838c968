//! The API's description of itself, and the client protocol's.
//!
//! Owns what the OpenAPI document has beside what each handler says of itself, and how both documents are served. The AsyncAPI
//! document is `schema::asyncapi`.

use std::collections::BTreeMap;

use axum::body::Bytes;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use kv::Engine;
use serde::Deserialize;
use serde_json::Value;
use utoipa::openapi::OpenApi as Document;
use utoipa::openapi::path::Operation;
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};
use utoipa::openapi::{Content, HttpMethod, PathItem, Ref, RefOr, ResponseBuilder};
use utoipa::{Modify, OpenApi, Path as _};

use super::{
    addresses, auth, backend_channels, backend_messages, backend_users, channels, contacts, dev, devices, events, feed,
    follows, hooks, media, members, mentions, messages, notifications, people, posts, reports, revisions, search,
    servers, settings, templates, users, with_operations,
};
use crate::problem::ProblemBody;
use crate::shards::Shards;
use crate::state::Api;

macro_rules! described {
    ($($family:ident::$handler:ident)*) => {
        #[derive(OpenApi)]
        #[openapi(
            info(title = "Rookery", description = "Accounts, channels, history and discovery, beside the WebSocket, whose messages `/asyncapi.json` describes. \
                    Event streams and polls (PROTOCOL, section 11) have these messages too."),
            paths($($family::$handler,)* dev::login, document, asyncapi),
            components(schemas(ProblemBody)),
            modifiers(&Bearer, &Errors, &Names, &Examples)
        )]
        struct Described;

        /// The path of each operation, its method, and its name in the document.
        fn names() -> Vec<(String, Vec<HttpMethod>, String)> {
            pastey::paste! { vec![$((
                $family::[<__path_ $handler>]::path(),
                $family::[<__path_ $handler>]::methods(),
                concat!(stringify!($family), "_", stringify!($handler)).replace("backend_", "server_"),
            ),)*] }
        }
    };
}

with_operations!(described);

/// Users' access tokens and applications' secrets as security schemes.
struct Bearer;

impl Modify for Bearer {
    fn modify(&self, document: &mut Document) {
        let scheme = SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer));
        let components = document.components.get_or_insert_default();
        components.add_security_scheme("bearer", scheme);
        let basic = Http::builder().scheme(HttpAuthScheme::Basic).description(Some("An application's key and secret"));
        components.add_security_scheme("app", SecurityScheme::Http(basic.build()));
    }
}

/// A name of each operation that no other has, as generators of clients want it.
struct Names;

impl Modify for Names {
    fn modify(&self, document: &mut Document) {
        for (path, methods, name) in names() {
            let item = document.paths.paths.get_mut(&path).expect("what is described has its path");
            for method in methods {
                if let Some(operation) = operation(item, &method) {
                    operation.operation_id = Some(name.clone());
                }
            }
        }
    }
}

/// A request and an answer of each operation, by its name, as `examples.json` has them.
struct Examples;

impl Modify for Examples {
    fn modify(&self, document: &mut Document) {
        let mut examples: BTreeMap<String, Example> =
            serde_json::from_str(include_str!("examples.json")).expect("it was read in a test");
        for item in document.paths.paths.values_mut() {
            for operation in operations(item) {
                let name = operation.operation_id.as_deref().unwrap_or_default();
                let Example { request, response } = examples.remove(name).unwrap_or_default();
                if let Some(RefOr::T(body)) = &mut operation.request_body {
                    body.content.values_mut().for_each(|content| show(content, request.as_ref()));
                }
                let answers = operation.responses.responses.iter_mut();
                for (_, answer) in answers.filter(|(status, _)| status.starts_with('2')) {
                    if let RefOr::T(answer) = answer {
                        answer.content.values_mut().for_each(|content| show(content, response.as_ref()));
                    }
                }
            }
        }
    }
}

fn show(content: &mut RefOr<Content>, example: Option<&Value>) {
    if let RefOr::T(content) = content {
        content.example = example.cloned();
    }
}

/// A request of an operation and what it answers, if they have bodies.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Example {
    request: Option<Value>,
    response: Option<Value>,
}

/// The operations of a path.
fn operations(item: &mut PathItem) -> impl Iterator<Item = &mut Operation> {
    [&mut item.get, &mut item.post, &mut item.put, &mut item.patch, &mut item.delete, &mut item.head]
        .into_iter()
        .flatten()
}

/// The operation of a path that has this method.
fn operation<'a>(item: &'a mut PathItem, method: &HttpMethod) -> Option<&'a mut Operation> {
    let operation = match method {
        HttpMethod::Get => &mut item.get,
        HttpMethod::Put => &mut item.put,
        HttpMethod::Post => &mut item.post,
        HttpMethod::Delete => &mut item.delete,
        HttpMethod::Options => &mut item.options,
        HttpMethod::Head => &mut item.head,
        HttpMethod::Patch => &mut item.patch,
        HttpMethod::Trace => &mut item.trace,
    };
    operation.as_mut()
}

/// The errors that every operation may answer.
struct Errors;

impl Modify for Errors {
    fn modify(&self, document: &mut Document) {
        let problem = ResponseBuilder::new()
            .description("An error: `code` says which (PROTOCOL, section 6), and the status follows from it")
            .content("application/problem+json", Content::new(Some(Ref::from_schema_name("Problem"))))
            .build();
        for item in document.paths.paths.values_mut() {
            for operation in operations(item) {
                operation.responses.responses.insert("default".to_owned(), RefOr::T(problem.clone()));
            }
        }
    }
}

#[utoipa::path(
    get, path = "/openapi.json", tag = "openapi", operation_id = "openapi",
    responses((status = 200, description = "This document", body = Object)),
)]
pub(crate) async fn document<E: Engine, S: Shards>(State(api): State<Api<E, S>>) -> impl IntoResponse {
    ([(CONTENT_TYPE, "application/json")], api.document.clone())
}

#[utoipa::path(
    get, path = "/asyncapi.json", tag = "openapi", operation_id = "asyncapi",
    responses((status = 200, description = "The messages of the WebSocket, as AsyncAPI 3.0 describes them", body = Object)),
)]
pub(crate) async fn asyncapi<E: Engine, S: Shards>(
    State(api): State<Api<E, S>>,
    headers: HeaderMap,
) -> impl IntoResponse {
    let document = schema::asyncapi::document(&api.ws_origin.for_client(&headers));
    ([(CONTENT_TYPE, "application/json")], document.to_string())
}

/// The document, of a server with or without the route for development.
pub(crate) fn render(dev: bool) -> Bytes {
    let mut document = Described::openapi();
    if !dev {
        document.paths.paths.remove("/v1/dev/login");
    }
    serde_json::to_vec(&document).expect("a document is JSON").into()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use jsonschema::Draft;
    use serde_json::json;

    use super::*;

    /// Allows no properties in objects but those described, so that a misspelt one in an example is seen. What others take in
    /// with `allOf` stays open: they are closed as a whole.
    fn close(schema: &mut Value, taken_in: &BTreeSet<String>, name: &str) {
        let Value::Object(fields) = schema else {
            schema.as_array_mut().into_iter().flatten().for_each(|item| close(item, taken_in, ""));
            return;
        };
        let has_fields = fields.contains_key("allOf") || fields.get("type").is_some_and(|kind| kind == "object");
        if has_fields && !taken_in.contains(name) && (fields.contains_key("properties") || fields.contains_key("allOf"))
        {
            fields.insert("unevaluatedProperties".to_owned(), json!(false));
        }
        for (key, inner) in fields.iter_mut().filter(|(key, _)| *key != "allOf") {
            close(inner, taken_in, key);
        }
    }

    /// The names of the schemas that an `allOf` refers to.
    fn taken_in(schema: &Value, found: &mut BTreeSet<String>) {
        let all = schema["allOf"].as_array().into_iter().flatten();
        let names = all.filter_map(|part| part["$ref"].as_str()?.rsplit('/').next());
        found.extend(names.map(str::to_owned));
        let inner = schema.as_object().into_iter().flat_map(|fields| fields.values());
        inner.chain(schema.as_array().into_iter().flatten()).for_each(|inner| taken_in(inner, found));
    }

    #[test]
    fn every_request_and_every_answer_has_an_example_of_its_schema() {
        let mut document: Value = serde_json::from_slice(&render(true)).expect("a document is JSON");
        let mut open = BTreeSet::new();
        taken_in(&document["components"], &mut open);
        close(&mut document["components"], &open, "");
        let paths = document["paths"].take();
        let bodies = |of: &Value| {
            of["content"].as_object().into_iter().flat_map(|all| all.values()).cloned().collect::<Vec<_>>()
        };
        let (mut names, mut wanted) = (BTreeSet::new(), BTreeSet::new());
        let mut check = |place: String, content: &Value| {
            let mut schema = document.clone();
            schema["allOf"] = json!([content["schema"]]);
            let validator = jsonschema::options().with_draft(Draft::Draft202012).build(&schema).expect("a JSON Schema");
            let example = &content["example"];
            let wrong: Vec<_> = validator.iter_errors(example).map(|error| error.to_string()).collect();
            assert!(wrong.is_empty(), "{place}: {wrong:?} in {example}");
            wanted.insert(place);
        };
        for item in paths.as_object().expect("paths").values() {
            for operation in item.as_object().expect("a path").values() {
                let name = operation["operationId"].as_str().expect("each has a name");
                assert!(names.insert(name.to_owned()), "two operations are called {name}");
                for content in bodies(&operation["requestBody"]) {
                    check(format!("{name} request"), &content);
                }
                let answers = operation["responses"].as_object().expect("answers");
                for content in
                    answers.iter().filter(|(status, _)| status.starts_with('2')).flat_map(|(_, answer)| bodies(answer))
                {
                    check(format!("{name} response"), &content);
                }
            }
        }
        let all: BTreeMap<String, BTreeMap<String, Value>> =
            serde_json::from_str(include_str!("examples.json")).expect("examples");
        let given = all.iter().flat_map(|(name, parts)| parts.keys().map(move |part| format!("{name} {part}")));
        assert_eq!(given.collect::<BTreeSet<_>>(), wanted, "those of the file against those of the document");
    }
}
