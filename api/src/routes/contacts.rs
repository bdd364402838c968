//! Where the caller's devices are told while nobody is there: registered, removed, listed.
//!
//! Owns what of a contact is asked and shown. An address is never shown again: who has it can send there.

use axum::Json;
use axum::http::StatusCode;
use chat::notices::contacts::{self, Contact};
use kv::Engine;
use schema::limits::CONTACT_BYTES_MAX;
use schema::record::ContactRecord;
use schema::{DeviceId, ErrorCode, Medium, UnixMs};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::ToSchema;

use crate::extract::{Caller, JsonBody, UrlPath};
use crate::problem::{Answer, Problem};
use crate::shards::Shards;

/// Characters of an application's name: APNs' topics and packages of Android are shorter.
const APP_CHARS_MAX: usize = 150;
/// Characters of a locale: BCP 47 asks for 35.
const LOCALE_CHARS_MAX: usize = 35;

/// Whether a device runs a build for users or one for developers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Env {
    #[default]
    Production,
    Development,
}

/// Where a device is told.
#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct Push {
    /// By which service: apns, fcm, webpush, or webhook where the operator has one.
    medium: Medium,
    /// The token that the service gave the device.
    token: Option<String>,
    /// For webpush, in the place of a token: what `PushManager.subscribe` gave, as it is.
    #[schema(value_type = Option<Object>)]
    subscription: Option<Box<RawValue>>,
    /// The application, where the server sends for several: APNs' topic, say.
    #[serde(default)]
    app: String,
    #[serde(default)]
    env: Env,
    /// Language and region for what the server words, as in BCP 47: `pt-BR`.
    #[serde(default)]
    locale: String,
}

impl Push {
    /// The address in it, if it is one of its medium.
    fn address(&self) -> Result<&str, Problem> {
        let given = match (self.medium, &self.token, &self.subscription) {
            (Medium::Mail | Medium::Sms, ..) => {
                return Err(Problem::bad_request(format!("a device is told by no {}", self.medium)));
            }
            (Medium::WebPush, None, Some(subscription)) => Some(subscription.get()),
            (Medium::Apns | Medium::Fcm | Medium::Webhook, Some(token), None) => Some(token.as_str()),
            _ => None,
        };
        let wants =
            if self.medium == Medium::WebPush { "a subscription and no token" } else { "a token and no subscription" };
        let address = given.ok_or_else(|| Problem::bad_request(format!("{} wants {wants}", self.medium)))?;
        if address.is_empty() || address.len() > CONTACT_BYTES_MAX as usize {
            let bytes = address.len();
            return Err(Problem::bad_request(format!("{bytes} bytes are none of 1 to {CONTACT_BYTES_MAX}")));
        }
        Ok(address)
    }

    fn check_words(&self) -> Result<(), Problem> {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-_".contains(&byte);
        if self.app.len() > APP_CHARS_MAX || !self.app.bytes().all(is_plain) {
            let text = format!("an app has at most {APP_CHARS_MAX} characters of [A-Za-z0-9._-]");
            return Err(Problem::bad_request(text));
        }
        check_locale(&self.locale)
    }
}

/// Refuses what is no locale: none is one.
pub(super) fn check_locale(locale: &str) -> Result<(), Problem> {
    if locale.len() <= LOCALE_CHARS_MAX && locale.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') {
        return Ok(());
    }
    let text = format!("a locale has at most {LOCALE_CHARS_MAX} characters of [A-Za-z0-9-], as in BCP 47");
    Err(Problem::bad_request(text))
}

#[utoipa::path(
    put, path = "/v1/me/devices/{device_id}/push", tag = "notifications", security(("bearer" = [])),
    params(("device_id" = schema::DeviceId, Path)), request_body = Push,
    responses(
        (status = 204, description = "The device is told what its user is not there for, in place of what it was told by; \
         whoever was told at this address is not any more"),
    ),
)]
pub(crate) async fn put<E: Engine, S: Shards>(
    Caller { api, user, family, device: bound }: Caller<E, S>,
    UrlPath(device): UrlPath<DeviceId>,
    JsonBody(push): JsonBody<Push>,
) -> Result<StatusCode, Problem> {
    if bound.is_some_and(|bound| bound != device) {
        return Err(Problem::new(ErrorCode::PermissionDenied, "the token is another device's"));
    }
    let address = push.address()?;
    push.check_words()?;
    let media = &api.config.media;
    if !media.sends(push.medium) {
        return Err(Problem::bad_request(format!("this server sends nothing by {}", push.medium)));
    }
    media.check(push.medium, address).map_err(Problem::bad_request)?;
    api.takes_writes()?;
    let record = ContactRecord {
        address: address.to_owned(),
        development: push.env == Env::Development,
        family,
        registered_ms: api.wall(),
        verified_ms: None,
        app: push.app,
        locale: push.locale,
    };
    contacts::put_device(&api.engine, user, &device, push.medium, &record).await?;
    Ok(StatusCode::NO_CONTENT)
}

#[utoipa::path(
    delete, path = "/v1/me/devices/{device_id}/push", tag = "notifications", security(("bearer" = [])),
    params(("device_id" = schema::DeviceId, Path)),
    responses((status = 204, description = "The device is told nothing any more")),
)]
pub(crate) async fn delete<E: Engine, S: Shards>(
    Caller { api, user, .. }: Caller<E, S>,
    UrlPath(device): UrlPath<DeviceId>,
) -> Result<StatusCode, Problem> {
    if contacts::remove_device(&api.engine, user, &device).await? {
        Ok(StatusCode::NO_CONTENT)
    } else {
        Err(Problem::new(ErrorCode::UnknownChannel, "this device is told by nothing"))
    }
}

/// Where the caller is told.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Told {
    medium: Medium,
    /// The device; absent for an address that is the account's own.
    #[serde(skip_serializing_if = "String::is_empty")]
    #[schema(required = false)]
    device_id: String,
    /// The application, where one was named.
    #[serde(skip_serializing_if = "String::is_empty")]
    #[schema(required = false)]
    app: String,
    /// When it was registered last, in Unix milliseconds.
    registered_ms: UnixMs,
    /// Of an address or a number, enough of it to know it by.
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<String>,
    /// Of these, whether its user has proved to read there: nothing is sent there before.
    #[serde(skip_serializing_if = "Option::is_none")]
    verified: Option<bool>,
}

/// The first character of a mail address and its domain, the last three digits of a number.
fn hint(medium: Medium, address: &str) -> Option<String> {
    match medium {
        Medium::Mail => {
            let (local, domain) = address.rsplit_once('@')?;
            Some(format!("{}…@{domain}", local.chars().next()?))
        }
        Medium::Sms => Some(format!("…{}", address.get(address.len().checked_sub(3)?..)?)),
        Medium::Apns | Medium::Fcm | Medium::WebPush | Medium::Webhook => None,
    }
}

/// The ways by which the caller is told, and what a browser needs to become one.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Contacts {
    /// By medium and device.
    contacts: Vec<Told>,
    /// The media by which this server sends.
    media: Vec<Medium>,
    /// The key for `PushManager.subscribe`, in base64url.
    #[serde(skip_serializing_if = "Option::is_none")]
    webpush_key: Option<String>,
}

#[utoipa::path(
    get, path = "/v1/me/contacts", tag = "notifications", security(("bearer" = [])),
    responses((status = 200, description = "Where the caller is told, without the addresses", body = Contacts)),
)]
pub(crate) async fn list<E: Engine, S: Shards>(caller: Caller<E, S>) -> Answer<Contacts> {
    let Caller { api, user, .. } = caller;
    let told = |Contact { medium, device, record }: Contact| Told {
        medium,
        device_id: if medium.is_of_device() { device } else { String::new() },
        app: record.app,
        registered_ms: record.registered_ms,
        hint: hint(medium, &record.address),
        verified: (!medium.is_of_device()).then_some(record.verified_ms.is_some()),
    };
    let contacts = contacts::list(&api.engine, user).await?.into_iter().map(told).collect();
    let media = Medium::ALL.iter().copied().filter(|&medium| api.config.media.sends(medium)).collect();
    Ok(Json(Contacts { contacts, media, webpush_key: api.config.media.webpush_key() }))
}
