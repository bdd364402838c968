//! The API's description of itself, and the client protocol's.
//!
//! Owns what the OpenAPI document has beside what each handler says of itself, and how both documents are served. The AsyncAPI
//! document is `schema::asyncapi`.

use axum::body::Bytes;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use kv::Engine;
use utoipa::openapi::OpenApi as Document;
use utoipa::openapi::path::Operation;
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};
use utoipa::openapi::{Content, HttpMethod, PathItem, Ref, RefOr, ResponseBuilder};
use utoipa::{Modify, OpenApi, Path as _};

use super::{
    addresses, auth, backend_channels, backend_messages, backend_users, channels, contacts, dev, devices, events,
    hooks, members, mentions, messages, notifications, people, reports, revisions, search, servers, settings,
    templates, users, with_operations,
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
            modifiers(&Bearer, &Errors, &Names)
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
            let operations = [&mut item.get, &mut item.post, &mut item.put, &mut item.patch, &mut item.delete];
            for operation in operations.into_iter().flatten() {
                operation.responses.responses.insert("default".to_owned(), RefOr::T(problem.clone()));
            }
        }
    }
}

#[utoipa::path(
    get, path = "/openapi.json", tag = "openapi",
    responses((status = 200, description = "This document", body = Object)),
)]
pub(crate) async fn document<E: Engine, S: Shards>(State(api): State<Api<E, S>>) -> impl IntoResponse {
    ([(CONTENT_TYPE, "application/json")], api.document.clone())
}

#[utoipa::path(
    get, path = "/asyncapi.json", tag = "openapi",
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
