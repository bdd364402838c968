//! Signing in without a password, for development alone.
//!
//! Owns a route that exists only where the configuration names users for it. It answers only requests that were made to
//! a loopback name, so that no page of another site reaches it by having its own name resolve to this machine.

use std::net::IpAddr;

use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use chat::accounts;
use kv::Engine;
use schema::{DeviceId, ErrorCode};
use serde::Deserialize;
use utoipa::ToSchema;

use super::auth::{self, Tokens};
use crate::extract::JsonBody;
use crate::names;
use crate::origin::host;
use crate::problem::{Answer, Problem};
use crate::shards::Shards;
use crate::state::Api;

/// One of the users that the node was started with.
#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct DevLoginRequest {
    username: String,
    /// Binds the tokens to one device.
    device_id: Option<DeviceId>,
}

#[utoipa::path(
    post, path = "/v1/dev/login", tag = "dev", operation_id = "dev_login", request_body = DevLoginRequest,
    responses((status = 200, description = "Signed in", body = Tokens)),
)]
pub(crate) async fn login<E: Engine, S: Shards>(
    State(api): State<Api<E, S>>,
    headers: HeaderMap,
    JsonBody(request): JsonBody<DevLoginRequest>,
) -> Answer<Tokens> {
    if !names_loopback(&headers) {
        return Err(Problem::new(ErrorCode::PermissionDenied, "ask for localhost or a loopback address"));
    }
    let refused = || Problem::new(ErrorCode::PermissionDenied, "not one of the users that this node was started with");
    let username = names::username(&request.username).map_err(|_| refused())?;
    if !api.config.dev_users.iter().flatten().any(|seeded| *seeded == username) {
        return Err(refused());
    }
    let (user, _) = accounts::by_username(&api.engine, &username).await?.ok_or_else(refused)?;
    Ok(Json(auth::open(&api, user, request.device_id).await?))
}

fn names_loopback(headers: &HeaderMap) -> bool {
    let name = host(headers).unwrap_or_default().trim_matches(['[', ']']);
    name.eq_ignore_ascii_case("localhost") || name.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use axum::http::header::HOST;

    use super::*;

    #[test]
    fn only_loopback_names_are_loopback() {
        let check = |host: &'static str, expected| {
            let headers = HeaderMap::from_iter([(HOST, axum::http::HeaderValue::from_static(host))]);
            assert_eq!(names_loopback(&headers), expected, "{host:?}");
        };
        check("localhost:8000", true);
        check("127.0.0.1:8000", true);
        check("127.0.0.1", true);
        check("[::1]:8000", true);
        check("localhost.example.com:8000", false);
        check("127.0.0.1.example.com", false);
        check("192.168.0.1:8000", false);
        check("", false);
    }
}
