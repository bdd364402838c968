//! What operators and their machines ask: does it live, is it ready, what did it count.
//!
//! Owns the answers' form. What they say is [`Node`](crate::Node)'s.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use serde::Serialize;
use storage::Engine;

use crate::shards::Shards;
use crate::state::Api;

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
pub(crate) async fn ready<E: Engine, S: Shards>(State(api): State<Api<E, S>>) -> (StatusCode, Json<Health>) {
    match api.node.ready() {
        Ok(()) => (StatusCode::OK, Json(Health { status: "ok", reasons: Vec::new() })),
        Err(reasons) => (StatusCode::SERVICE_UNAVAILABLE, Json(Health { status: "not ready", reasons })),
    }
}

/// The OpenMetrics text format, which Prometheus reads.
pub(crate) async fn metrics<E: Engine, S: Shards>(State(api): State<Api<E, S>>) -> impl IntoResponse {
    ([(CONTENT_TYPE, "application/openmetrics-text; version=1.0.0; charset=utf-8")], api.node.metrics())
}
