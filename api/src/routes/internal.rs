//! Probes, metrics and administration: `/health/live`, `/health/ready`, `/metrics`, `/admin/nodes`, `/admin/drain`,
//! `/admin/apps`, `/admin/hooks`, `/admin/notify`.
//!
//! Owns the answers' form. What they say is [`Node`](crate::Node)'s.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::header::{CONTENT_TYPE, ORIGIN};
use axum::http::{HeaderMap, StatusCode};
use axum::response::IntoResponse;
use schema::{ErrorCode, Medium, NoticeId};
use serde::{Deserialize, Serialize};

use crate::apps::{Applications, HookChange, Wanted};
use crate::config::Node;
use crate::extract::{UrlPath, UrlQuery};
use crate::nodes::Nodes;
use crate::problem::Problem;
use crate::queues::Queues;
use crate::routes::notifications::OperatorRequest;

/// Whether the node takes traffic, and if not, why.
#[derive(Debug, Serialize)]
pub(crate) struct Health {
    status: &'static str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    reasons: Vec<String>,
}

/// The thread that serves HTTP runs.
pub(crate) async fn live() -> Json<Health> {
    Json(Health { status: "ok", reasons: Vec::new() })
}

/// 200 or 503 with the reasons.
pub(crate) async fn ready(State(node): State<Arc<dyn Node>>) -> (StatusCode, Json<Health>) {
    match node.ready() {
        Ok(()) => (StatusCode::OK, Json(Health { status: "ok", reasons: Vec::new() })),
        Err(reasons) => (StatusCode::SERVICE_UNAVAILABLE, Json(Health { status: "not ready", reasons })),
    }
}

/// The OpenMetrics text format, which Prometheus reads.
pub(crate) async fn metrics(State(node): State<Arc<dyn Node>>) -> impl IntoResponse {
    (
        [(CONTENT_TYPE, "application/openmetrics-text; version=1.0.0; charset=utf-8")],
        node.http_counts().within(&node.metrics()),
    )
}

/// The nodes of the store, and this one's links.
pub(crate) async fn nodes(State(node): State<Arc<dyn Node>>) -> Json<Nodes> {
    Json(node.nodes())
}

/// Whether a node is on its way out.
#[derive(Debug, Serialize)]
pub(crate) struct Draining {
    status: &'static str,
}

/// A browser says whose page asks, and no page may: whoever has one open on a machine that reaches this port has not asked
/// for that.
fn refuse_pages(headers: &HeaderMap) -> Result<(), Problem> {
    if headers.contains_key(ORIGIN) {
        return Err(Problem::new(ErrorCode::PermissionDenied, "no page may ask for this"));
    }
    Ok(())
}

/// Has the node hand over, send its clients away and end.
pub(crate) async fn drain(State(node): State<Arc<dyn Node>>, headers: HeaderMap) -> Result<impl IntoResponse, Problem> {
    refuse_pages(&headers)?;
    node.drain();
    Ok((StatusCode::ACCEPTED, Json(Draining { status: "draining" })))
}

fn applications(node: &Arc<dyn Node>) -> Result<Arc<dyn Applications>, Problem> {
    let away = || Problem::new(ErrorCode::StorageUnavailable, "the node waits for its store, try again");
    node.applications().ok_or_else(away)
}

/// The applications that may send notifications.
pub(crate) async fn apps(State(node): State<Arc<dyn Node>>) -> Result<impl IntoResponse, Problem> {
    Ok(Json(applications(&node)?.list().await?))
}

/// Carries out a change of the applications.
async fn change_apps(
    node: &Arc<dyn Node>,
    headers: &HeaderMap,
    wanted: Wanted<'_>,
) -> Result<impl IntoResponse + use<>, Problem> {
    refuse_pages(headers)?;
    Ok(Json(applications(node)?.change(wanted, node.wall()).await?))
}

/// Makes an application, whose secret is answered this once.
pub(crate) async fn create_app(
    State(node): State<Arc<dyn Node>>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<impl IntoResponse, Problem> {
    change_apps(&node, &headers, Wanted::Create(&body)).await
}

/// Gives an application a further secret, which is answered this once.
pub(crate) async fn rotate_app(
    State(node): State<Arc<dyn Node>>,
    headers: HeaderMap,
    UrlPath(key): UrlPath<String>,
) -> Result<impl IntoResponse, Problem> {
    change_apps(&node, &headers, Wanted::Rotate(&key)).await
}

/// Ends an application.
pub(crate) async fn revoke_app(
    State(node): State<Arc<dyn Node>>,
    headers: HeaderMap,
    UrlPath(key): UrlPath<String>,
) -> Result<impl IntoResponse, Problem> {
    change_apps(&node, &headers, Wanted::Revoke(&key)).await
}

/// Has an application called with its events, or no more.
pub(crate) async fn call_app(
    State(node): State<Arc<dyn Node>>,
    headers: HeaderMap,
    UrlPath(key): UrlPath<String>,
    body: Bytes,
) -> Result<impl IntoResponse, Problem> {
    change_apps(&node, &headers, Wanted::Call(&key, &body)).await
}

/// Whose webhooks are asked for.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct HooksQuery {
    /// An application's key; all of them unless given.
    app: Option<String>,
}

/// Webhooks and how they fare.
pub(crate) async fn hooks(
    State(node): State<Arc<dyn Node>>,
    UrlQuery(HooksQuery { app }): UrlQuery<HooksQuery>,
) -> Result<impl IntoResponse, Problem> {
    Ok(Json(applications(&node)?.hooks(app.as_deref(), node.wall()).await?))
}

async fn change_hook(
    node: &Arc<dyn Node>,
    headers: &HeaderMap,
    hook: &str,
    change: HookChange,
) -> Result<impl IntoResponse + use<>, Problem> {
    refuse_pages(headers)?;
    Ok(Json(applications(node)?.change_hook(hook, change, node.wall()).await?))
}

/// Has a webhook told nothing until it is resumed.
pub(crate) async fn pause_hook(
    State(node): State<Arc<dyn Node>>,
    headers: HeaderMap,
    UrlPath(hook): UrlPath<String>,
) -> Result<impl IntoResponse, Problem> {
    change_hook(&node, &headers, &hook, HookChange::Pause).await
}

/// Has a webhook told again.
pub(crate) async fn resume_hook(
    State(node): State<Arc<dyn Node>>,
    headers: HeaderMap,
    UrlPath(hook): UrlPath<String>,
) -> Result<impl IntoResponse, Problem> {
    change_hook(&node, &headers, &hook, HookChange::Resume).await
}

/// Ends a webhook.
pub(crate) async fn delete_hook(
    State(node): State<Arc<dyn Node>>,
    headers: HeaderMap,
    UrlPath(hook): UrlPath<String>,
) -> Result<impl IntoResponse, Problem> {
    change_hook(&node, &headers, &hook, HookChange::Delete).await
}

fn store_queues(node: &Arc<dyn Node>) -> Result<Arc<dyn Queues>, Problem> {
    let away = || Problem::new(ErrorCode::StorageUnavailable, "the node waits for its store, try again");
    node.queues().ok_or_else(away)
}

/// How much waits to be sent.
pub(crate) async fn queues(State(node): State<Arc<dyn Node>>) -> Result<impl IntoResponse, Problem> {
    Ok(Json(store_queues(&node)?.waiting(node.wall()).await?))
}

/// How many are shown.
#[derive(Debug, Deserialize)]
pub(crate) struct DeadQuery {
    limit: Option<u32>,
}

/// What was given up.
pub(crate) async fn dead(
    State(node): State<Arc<dyn Node>>,
    UrlPath(medium): UrlPath<Medium>,
    UrlQuery(query): UrlQuery<DeadQuery>,
) -> Result<impl IntoResponse, Problem> {
    Ok(Json(store_queues(&node)?.dead(medium, query.limit.unwrap_or(100)).await?))
}

/// Has users told what an operator has to say.
pub(crate) async fn send(
    State(node): State<Arc<dyn Node>>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<impl IntoResponse, Problem> {
    refuse_pages(&headers)?;
    let queues = store_queues(&node)?;
    let mut request: OperatorRequest =
        serde_json::from_slice(&body).map_err(|error| Problem::bad_request(format!("body: {error}")))?;
    let to = std::mem::take(&mut request.to);
    let record = request.record(node.wall())?;
    if !node.takes_writes() {
        return Err(Problem::new(ErrorCode::StorageUnavailable, "the store has too little disk left to grow"));
    }
    Ok((StatusCode::ACCEPTED, Json(queues.send(to, record).await?)))
}

/// What became of a notification.
pub(crate) async fn notice(
    State(node): State<Arc<dyn Node>>,
    UrlPath(id): UrlPath<NoticeId>,
) -> Result<impl IntoResponse, Problem> {
    Ok(Json(store_queues(&node)?.notice(id).await?))
}

/// Has a notification told nobody any more.
pub(crate) async fn cancel_notice(
    State(node): State<Arc<dyn Node>>,
    headers: HeaderMap,
    UrlPath(id): UrlPath<NoticeId>,
) -> Result<impl IntoResponse, Problem> {
    refuse_pages(&headers)?;
    Ok(Json(store_queues(&node)?.cancel(id, node.wall()).await?))
}

/// Has what was given up tried again.
pub(crate) async fn replay(
    State(node): State<Arc<dyn Node>>,
    headers: HeaderMap,
    UrlPath(medium): UrlPath<Medium>,
) -> Result<impl IntoResponse, Problem> {
    refuse_pages(&headers)?;
    Ok(Json(store_queues(&node)?.replay(medium, node.wall()).await?))
}
