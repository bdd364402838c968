//! What clients say became of a notification on their device: it arrived, was seen, was followed.
//!
//! Owns whose it has to be: a notification that the caller was told, on the device that says so.

use axum::Json;
use chat::notices;
use kv::Engine;
use schema::record::DeliveryState;
use schema::{DeviceId, ErrorCode, NoticeId};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::extract::{Caller, OptionalBody, UrlPath};
use crate::problem::{Answer, Problem};
use crate::shards::Shards;

/// What a client says.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Heard {
    Delivered,
    Opened,
    Clicked,
}

/// Who says so.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Report {
    /// On which device, where the token is bound to none and the notification went to several.
    device_id: Option<DeviceId>,
}

/// Whether that was news.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Reported {
    changed: bool,
}

#[utoipa::path(
    post, path = "/v1/me/notifications/{notice_id}/{heard}", tag = "notifications", security(("bearer" = [])),
    params(("notice_id" = schema::NoticeId, Path), ("heard" = inline(Heard), Path)), request_body = Option<Report>,
    responses((status = 200, description = "It is noted, unless more is known already", body = Reported)),
)]
pub(crate) async fn report<E: Engine, S: Shards>(
    Caller { api, user, device, .. }: Caller<E, S>,
    UrlPath((notice, heard)): UrlPath<(NoticeId, Heard)>,
    OptionalBody(report): OptionalBody<Report>,
) -> Answer<Reported> {
    let named = report.and_then(|report| report.device_id);
    if device.is_some() && named.is_some() && device != named {
        return Err(Problem::new(ErrorCode::PermissionDenied, "the token is another device's"));
    }
    let device = device.or(named);
    api.takes_writes()?;
    let mut targets: Vec<_> =
        notices::deliveries(&api.engine, notice, user).await?.into_iter().map(|(target, _)| target).collect();
    targets.retain(|target| {
        target.medium.is_of_device() && device.as_ref().is_none_or(|device| target.device == device.as_str())
    });
    if targets.is_empty() {
        let detail = format!("you were not told a notification {notice} on this device");
        return Err(Problem::new(ErrorCode::UnknownChannel, detail));
    }
    if device.is_none() && targets.iter().any(|target| target.device != targets[0].device) {
        return Err(Problem::bad_request("you were told it on several devices: say on which, as device_id"));
    }
    let state = match heard {
        Heard::Delivered => DeliveryState::Delivered,
        Heard::Opened => DeliveryState::Opened,
        Heard::Clicked => DeliveryState::Clicked,
    };
    let mut changed = false;
    for target in &targets {
        changed |= notices::note(&api.engine, target, state, "", api.wall()).await? == Some(true);
    }
    Ok(Json(Reported { changed }))
}
