//! Routes: the list of operations, and the headers of every answer.
//!
//! Owns the list of operations, which are served and described (`openapi`) as their handlers say; a test compares the
//! two. Every answer bears headers that keep a browser from guessing at it, framing it or storing it.

mod addresses;
mod auth;
mod backend;
mod channels;
mod contacts;
mod dev;
mod devices;
mod events;
mod feed;
mod follows;
mod hooks;
mod internal;
mod links;
mod media;
mod members;
mod mentions;
mod messages;
mod notifications;
pub(crate) mod openapi;
mod paging;
mod people;
mod posts;
mod reports;
mod revisions;
mod search;
mod servers;
mod settings;
mod templates;
mod users;

use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS};
use axum::http::{HeaderName, HeaderValue, Method, StatusCode};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodFilter, delete, get, on, options, post};
use kv::Engine;
use schema::ErrorCode;
use tower_http::CompressionLevel;
use tower_http::compression::CompressionLayer;
use tower_http::compression::predicate::{NotForContentType, Predicate as _, SizeAbove};
use utoipa::Path;
use utoipa::openapi::HttpMethod;

use backend::channels as backend_channels;
use backend::messages as backend_messages;
use backend::users as backend_users;

use crate::away;
use crate::config::Node;
use crate::cors;
use crate::counts::Bound;
use crate::http1;
use crate::page;
use crate::problem::Problem;
use crate::shards::Shards;
use crate::state::Api;

/// Bytes from which an answer is compressed: shorter ones go in one packet anyway.
const COMPRESSED_FROM_BYTES: u64 = 1_024;

/// Hands all operations below `/v1` to a macro. Each handler's description (`#[utoipa::path]`) has its path and its
/// method.
macro_rules! with_operations {
    ($rows:ident) => {
        $rows! {
            auth::sign_in auth::signup auth::login auth::refresh auth::logout
            users::me users::change_me users::by_username users::by_id
            devices::list devices::delete
            contacts::list contacts::put contacts::delete
            addresses::ask addresses::verify addresses::remove settings::get settings::put
            notifications::notify notifications::one notifications::cancel events::list
            reports::report
            hooks::create hooks::list hooks::delete hooks::resume hooks::replay hooks::calls
            templates::put templates::list templates::one templates::delete templates::preview
            people::friends people::put_friend people::delete_friend
            people::blocks people::put_block people::delete_block
            feed::publish feed::mine feed::of_user
            posts::one posts::edit posts::delete posts::like posts::unlike posts::likes posts::replies posts::reply
            follows::follow follows::unfollow
            channels::list channels::create channels::one channels::change channels::mark
            members::list members::put members::change members::delete
            messages::history messages::send
            revisions::edit revisions::delete
            media::upload media::one media::begin_upload media::upload_offset media::upload_part media::delete_upload
            media::fetch media::urls
            mentions::list search::find servers::best
            backend_users::put backend_users::one backend_users::change backend_users::delete
            backend_users::token backend_users::kick
            backend_channels::create backend_channels::one backend_channels::change
            backend_channels::members backend_channels::change_members
            backend_messages::send backend_messages::history backend_messages::broadcast backend_messages::presences
            backend_messages::publish
        }
    };
}

use with_operations;

/// The router for clients.
pub(crate) fn public<E: Engine, S: Shards>(api: Api<E, S>) -> Router {
    macro_rules! routes {
        ($($family:ident::$handler:ident)*) => {pastey::paste! {
            Router::new()$(.route(&$family::[<__path_ $handler>]::path(), {
                on(filter::<$family::[<__path_ $handler>]>(), $family::$handler::<E, S>)
            }))*
        }};
    }
    let v1 = with_operations!(routes);
    let v1 = if api.config.dev_users.is_some() { v1.route("/v1/dev/login", post(dev::login::<E, S>)) } else { v1 };
    v1.route_layer(from_fn_with_state(api.clone(), away::refuse::<E, S>))
        .route("/v1/media/uploads", options(media::tus_options::<E, S>))
        .route("/n/{token}", get(links::follow::<E, S>).post(links::carry_out::<E, S>))
        .route("/openapi.json", get(openapi::document::<E, S>))
        .route("/asyncapi.json", get(openapi::asyncapi::<E, S>))
        .merge(page::routes(&api.ws_origin, &api.node, api.signer.base_url()))
        .fallback(no_such_route)
        .method_not_allowed_fallback(no_such_method)
        .layer(from_fn_with_state(Arc::clone(&api.node), guard))
        .layer(compression())
        .layer(from_fn_with_state(api.clone(), cors::share::<E, S>))
        .with_state(api)
}

/// Whether a request brings a file or part of one, or may have one worked on: it takes longer than others.
pub(crate) fn is_upload(request: &Request) -> bool {
    request.uri().path().starts_with("/v1/media") && request.method() != Method::HEAD
}

/// Compresses answers for who takes that. Lines that are followed go out as they come, and media as they are stored: a range
/// is one of those bytes.
fn compression() -> CompressionLayer<impl tower_http::compression::predicate::Predicate> {
    let worth = SizeAbove::new(COMPRESSED_FROM_BYTES)
        .and(NotForContentType::const_new("application/x-ndjson"))
        .and(NotForContentType::const_new("image/"))
        .and(NotForContentType::const_new("video/"))
        .and(NotForContentType::const_new("audio/"))
        .and(NotForContentType::const_new("application/octet-stream"));
    // One thread serves all: the first tenth of the time gains most of the bytes.
    CompressionLayer::new().quality(CompressionLevel::Fastest).compress_when(worth)
}

/// The one method of a described operation.
fn filter<T: Path>() -> MethodFilter {
    match T::methods()[..] {
        [HttpMethod::Get] => MethodFilter::GET,
        [HttpMethod::Post] => MethodFilter::POST,
        [HttpMethod::Put] => MethodFilter::PUT,
        [HttpMethod::Patch] => MethodFilter::PATCH,
        [HttpMethod::Delete] => MethodFilter::DELETE,
        [HttpMethod::Head] => MethodFilter::HEAD,
        _ => unreachable!("{} is of another method, or several", T::path()),
    }
}

/// The router for probes and scrapers.
pub(crate) fn internal(node: Arc<dyn Node>) -> Router {
    Router::new()
        .route("/health/live", get(internal::live))
        .route("/health/ready", get(internal::ready))
        .route("/metrics", get(internal::metrics))
        .route("/admin/nodes", get(internal::nodes))
        .route("/admin/drain", post(internal::drain))
        .route("/admin/apps", get(internal::apps).post(internal::create_app))
        .route("/admin/apps/{key}/rotate", post(internal::rotate_app))
        .route("/admin/apps/{key}/revoke", post(internal::revoke_app))
        .route("/admin/apps/{key}/events", post(internal::call_app))
        .route("/admin/hooks", get(internal::hooks))
        .route("/admin/hooks/{hook_id}", delete(internal::delete_hook))
        .route("/admin/hooks/{hook_id}/pause", post(internal::pause_hook))
        .route("/admin/hooks/{hook_id}/resume", post(internal::resume_hook))
        .route("/admin/notify", get(internal::queues))
        .route("/admin/notify/send", post(internal::send))
        .route("/admin/notify/notices/{notice_id}", get(internal::notice))
        .route("/admin/notify/notices/{notice_id}/cancel", post(internal::cancel_notice))
        .route("/admin/notify/{medium}/dead", get(internal::dead))
        .route("/admin/notify/{medium}/replay", post(internal::replay))
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

/// Refuses what no request may be, counts what was refused, and sets the headers of every answer that does not say
/// otherwise.
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
