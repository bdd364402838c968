//! Devices of the caller's account: to list them, and to end one.
//!
//! Owns what of a device is shown, and the order in which one is ended: first in the store, so that no token of its
//! logins opens anything, then at its user's home, which closes what is open.

use axum::Json;
use axum::http::StatusCode;
use chat::accounts::FAMILY_OPERATOR;
use chat::devices;
use kv::Engine;
use schema::mesh::Kicked;
use schema::record::DeviceRecord;
use schema::{DeviceId, ErrorCode, UnixMs};
use serde::Serialize;
use utoipa::ToSchema;

use crate::extract::{Caller, UrlPath};
use crate::problem::{Answer, Problem};
use crate::shards::Shards;

/// One device of the caller's account.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Device {
    device_id: DeviceId,
    /// What its client calls itself.
    #[serde(skip_serializing_if = "String::is_empty")]
    #[schema(required = false, example = "rookery-page/1")]
    client: String,
    /// When it connected last, in Unix milliseconds.
    connected_ms: UnixMs,
    /// When it was last known to be there: not before it connected last, and later once it has gone.
    last_active_ms: UnixMs,
    /// Whether it is the caller's: its token is bound to this device, or to none and has connected this one.
    current: bool,
}

/// The devices of an account: at most 16.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Devices {
    /// The one that connected last first.
    devices: Vec<Device>,
}

impl Device {
    fn new<E, S>(device_id: DeviceId, record: DeviceRecord, caller: &Caller<E, S>) -> Self {
        let current = match &caller.device {
            Some(bound) => *bound == device_id,
            None => caller.family != FAMILY_OPERATOR && record.families.contains(&caller.family),
        };
        let DeviceRecord { connected_ms, last_active_ms, client, families: _, stamp: _ } = record;
        Self { device_id, client, connected_ms, last_active_ms: last_active_ms.max(connected_ms), current }
    }
}

#[utoipa::path(
    get, path = "/v1/me/devices", tag = "devices", security(("bearer" = [])),
    responses((status = 200, description = "The caller's devices", body = Devices)),
)]
pub(crate) async fn list<E: Engine, S: Shards>(caller: Caller<E, S>) -> Answer<Devices> {
    let found = devices::list(&caller.api.engine, caller.user).await?;
    let devices = found.into_iter().map(|(device, record)| Device::new(device, record, &caller)).collect();
    Ok(Json(Devices { devices }))
}

#[utoipa::path(
    delete, path = "/v1/me/devices/{device_id}", tag = "devices", security(("bearer" = [])),
    params(("device_id" = schema::DeviceId, Path)),
    responses(
        (status = 204, description = "The device is forgotten, the logins that it came with are over, the caller's too if \
         it is one of them, and their sessions are closed (3503)"),
    ),
)]
pub(crate) async fn delete<E: Engine, S: Shards>(
    Caller { api, user, .. }: Caller<E, S>,
    UrlPath(device): UrlPath<DeviceId>,
) -> Result<StatusCode, Problem> {
    let known = devices::list(&api.engine, user).await?.into_iter().find(|(known, _)| *known == device);
    let all = api.clone();
    let end = async move {
        let revoked = devices::revoke(&all.engine, user, &device).await?;
        // Also where nothing was found: an earlier attempt may have ended the logins, and not have got this far.
        all.shards.kick(user, Kicked::Device(device)).await?;
        // A login that is bound to no device may have sessions on others too.
        let ended = known.map_or_else(Vec::new, |(_, record)| record.families);
        for family in ended.into_iter().filter(|&family| family != FAMILY_OPERATOR) {
            all.shards.kick(user, Kicked::Family(family)).await?;
        }
        Ok(revoked)
    };
    if api.endings.run(end).await? {
        Ok(StatusCode::NO_CONTENT)
    } else {
        Err(Problem::new(ErrorCode::UnknownChannel, "you have no such device"))
    }
}
