//! The API's description of itself.
//!
//! Owns what the document has beside what each handler says of itself.

use axum::body::Bytes;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use kv::Engine;
use utoipa::openapi::OpenApi as Document;
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};
use utoipa::openapi::{Content, Ref, RefOr, ResponseBuilder};
use utoipa::{Modify, OpenApi};

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
            info(title = "Rookery", description = "Accounts, channels, history and discovery, beside the WebSocket."),
            paths($($family::$handler,)* dev::login, document),
            components(schemas(ProblemBody)),
            modifiers(&Bearer, &Errors)
        )]
        struct Described;
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

/// The document, of a server with or without the route for development.
pub(crate) fn render(dev: bool) -> Bytes {
    let mut document = Described::openapi();
    if !dev {
        document.paths.paths.remove("/v1/dev/login");
    }
    serde_json::to_vec(&document).expect("a document is JSON").into()
}
