//! Probes and metrics: `/health/live`, `/health/ready` and `/metrics`.
//!
//! Owns the answers' form. What they say is [`Node`](crate::Node)'s.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use serde::Serialize;

use crate::config::Node;

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
