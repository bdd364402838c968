//! The API's description of itself.
//!
//! Owns the document's list of operations, which a test compares with what is served.

use axum::Json;
use axum::extract::State;
use storage::Engine;
use utoipa::openapi::OpenApi as Document;
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};
use utoipa::{Modify, OpenApi};

use super::{auth, channels, dev, members, messages, servers, users};
use crate::shards::Shards;
use crate::state::Api;

#[derive(OpenApi)]
#[openapi(
    info(title = "Rookery", description = "Accounts, channels, history and discovery, beside the WebSocket."),
    paths(
        auth::signup,
        auth::login,
        auth::refresh,
        auth::logout,
        users::me,
        users::change_me,
        users::by_username,
        users::by_id,
        channels::list,
        channels::create,
        channels::one,
        channels::mark,
        members::list,
        members::put,
        members::delete,
        messages::history,
        messages::send,
        servers::best,
        dev::login,
        document
    ),
    components(schemas(messages::HistoryBody, messages::MessageBody)),
    modifiers(&Bearer)
)]
struct Described;

/// The access token as a security scheme.
struct Bearer;

impl Modify for Bearer {
    fn modify(&self, document: &mut Document) {
        let scheme = SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer));
        document.components.get_or_insert_default().add_security_scheme("bearer", scheme);
    }
}

#[utoipa::path(
    get, path = "/openapi.json", tag = "openapi",
    responses((status = 200, description = "This document", body = Object)),
)]
pub(crate) async fn document<E: Engine, S: Shards>(State(api): State<Api<E, S>>) -> Json<Document> {
    let mut document = Described::openapi();
    if api.config.dev_users.is_none() {
        document.paths.paths.remove("/v1/dev/login");
    }
    Json(document)
}
