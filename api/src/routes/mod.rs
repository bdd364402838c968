//! Which requests there are.
//!
//! Owns the list of routes; `openapi` holds the same list as a document, and a test compares the two with what is served.
//! Every answer bears headers that keep a browser from guessing at it, framing it or storing it.

mod auth;
mod channels;
mod dev;
mod devices;
mod internal;
mod members;
mod mentions;
mod messages;
mod names;
pub(crate) mod openapi;
mod paging;
mod people;
mod revisions;
mod search;
mod servers;
mod users;

use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS};
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, patch, post, put};
use kv::Engine;
use schema::ErrorCode;

use crate::away;
use crate::config::Node;
use crate::cors;
use crate::counts::Bound;
use crate::http1;
use crate::page;
use crate::problem::Problem;
use crate::shards::Shards;
use crate::state::Api;

/// What clients are served.
pub(crate) fn public<E: Engine, S: Shards>(api: Api<E, S>) -> Router {
    let v1 = Router::new()
        .route("/auth/signup", post(auth::signup::<E, S>))
        .route("/auth/login", post(auth::login::<E, S>))
        .route("/auth/refresh", post(auth::refresh::<E, S>))
        .route("/auth/logout", post(auth::logout::<E, S>))
        .route("/me", get(users::me::<E, S>).patch(users::change_me::<E, S>))
        .route("/me/devices", get(devices::list::<E, S>))
        .route("/me/devices/{device_id}", delete(devices::delete::<E, S>))
        .route("/me/friends", get(people::friends::<E, S>))
        .route("/me/friends/{user_id}", put(people::put_friend::<E, S>).delete(people::delete_friend::<E, S>))
        .route("/me/blocks", get(people::blocks::<E, S>))
        .route("/me/blocks/{user_id}", put(people::put_block::<E, S>).delete(people::delete_block::<E, S>))
        .route("/users", get(users::by_username::<E, S>))
        .route("/users/{user_id}", get(users::by_id::<E, S>))
        .route("/channels", get(channels::list::<E, S>).post(channels::create::<E, S>))
        .route("/channels/{channel_id}", get(channels::one::<E, S>).patch(channels::change::<E, S>))
        .route("/channels/{channel_id}/mark", post(channels::mark::<E, S>))
        .route("/channels/{channel_id}/members", get(members::list::<E, S>))
        .route(
            "/channels/{channel_id}/members/{user_id}",
            put(members::put::<E, S>).patch(members::change::<E, S>).delete(members::delete::<E, S>),
        )
        .route("/channels/{channel_id}/messages", get(messages::history::<E, S>).post(messages::send::<E, S>))
        .route(
            "/channels/{channel_id}/messages/{seq}",
            patch(revisions::edit::<E, S>).delete(revisions::delete::<E, S>),
        )
        .route("/mentions", get(mentions::list::<E, S>))
        .route("/search", get(search::find::<E, S>))
        .route("/servers/best", get(servers::best::<E, S>));
    let v1 = if api.config.dev_users.is_some() { v1.route("/dev/login", post(dev::login::<E, S>)) } else { v1 };
    let v1 = v1.route_layer(from_fn_with_state(api.clone(), away::refuse::<E, S>));
    Router::new()
        .nest("/v1", v1)
        .route("/openapi.json", get(openapi::document::<E, S>))
        .merge(page::routes(&api.ws_origin))
        .fallback(no_such_route)
        .method_not_allowed_fallback(no_such_method)
        .layer(from_fn_with_state(Arc::clone(&api.node), guard))
        .layer(from_fn_with_state(api.clone(), cors::share::<E, S>))
        .with_state(api)
}

/// What probes and scrapers are served.
pub(crate) fn internal(node: Arc<dyn Node>) -> Router {
    Router::new()
        .route("/health/live", get(internal::live))
        .route("/health/ready", get(internal::ready))
        .route("/metrics", get(internal::metrics))
        .fallback(no_such_route)
        .method_not_allowed_fallback(no_such_method)
        .layer(from_fn_with_state(Arc::clone(&node), guard))
        .with_state(node)
}

async fn no_such_route() -> Problem {
    Problem::new(ErrorCode::UnknownCommand, "there is nothing at this path").with_status(StatusCode::NOT_FOUND)
}

async fn no_such_method() -> Problem {
    Problem::new(ErrorCode::UnknownCommand, "this path does not take this method")
        .with_status(StatusCode::METHOD_NOT_ALLOWED)
}

/// Refuses what no request may be, counts what was refused, and sets the headers of every answer that does not say otherwise.
async fn guard(State(node): State<Arc<dyn Node>>, request: Request, next: Next) -> Response {
    const HEADERS: [(HeaderName, HeaderValue); 5] = [
        (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
        (CONTENT_SECURITY_POLICY, HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'")),
        (REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
        (CACHE_CONTROL, HeaderValue::from_static("no-store")),
        (HeaderName::from_static("cross-origin-resource-policy"), HeaderValue::from_static("same-origin")),
    ];
    let mut response = match http1::refusal(&request) {
        Some(problem) => problem.into_response(),
        None => next.run(request).await,
    };
    node.http_counts().add(response.extensions().get::<Bound>().copied());
    for (name, value) in HEADERS {
        response.headers_mut().entry(name).or_insert(value);
    }
    response
}
