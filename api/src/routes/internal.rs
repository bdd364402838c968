//! Probes, metrics and administration: `/health/live`, `/health/ready`, `/metrics`, `/admin/nodes`, `/admin/drain`,
//! `/admin/apps`.
//!
//! Owns the answers' form. What they say is [`Node`](crate::Node)'s.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::header::{CONTENT_TYPE, ORIGIN};
use axum::http::{HeaderMap, StatusCode};
use axum::response::IntoResponse;
use schema::ErrorCode;
use serde::Serialize;

use crate::apps::{Applications, Wanted};
use crate::config::Node;
use crate::extract::UrlPath;
use crate::nodes::Nodes;
use crate::problem::Problem;

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
