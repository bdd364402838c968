//! Discovery: the nodes that a client may connect to.
//!
//! Owns the answer of a node that is alone: itself.

use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use kv::Engine;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::extract::UrlQuery;
use crate::problem::Answer;
use crate::shards::Shards;
use crate::state::Api;

/// How long an answer may be kept.
const TTL_MS: u32 = 60_000;

/// A node to connect to.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Server {
    /// The WebSocket's address.
    #[schema(example = "ws://127.0.0.1:8001/connection/websocket")]
    url: String,
    /// The node's name.
    node: String,
    /// Where it is.
    region: String,
    /// Open connections as a part of the most that it takes, from 0 to 1.
    load: f32,
    /// How long this answer may be kept.
    ttl_ms: u32,
}

/// The client's region.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Near {
    /// Nodes of this region come first.
    #[serde(rename = "region")]
    _region: Option<String>,
}

#[utoipa::path(
    get, path = "/v1/servers/best", tag = "servers", params(Near),
    responses((status = 200, description = "Nodes to connect to, best first", body = Vec<Server>)),
)]
pub(crate) async fn best<E: Engine, S: Shards>(
    State(api): State<Api<E, S>>,
    headers: HeaderMap,
    _near: UrlQuery<Near>,
) -> Answer<Vec<Server>> {
    Ok(Json(vec![Server {
        url: format!("{}/connection/websocket", api.ws_origin.for_client(&headers)),
        node: api.config.node.clone(),
        region: api.config.region.clone(),
        load: api.node.load(),
        ttl_ms: TTL_MS,
    }]))
}
