//! Mail addresses and phone numbers of the caller: a code is sent there, and proves who reads it.
//!
//! Owns which addresses are asked for and how often. A code is drawn here, and shown to nobody but who reads there.

use axum::Json;
use axum::http::StatusCode;
use chat::notices::codes::{self, Asking};
use kv::Engine;
use schema::limits::CODE_KEPT_MS;
use schema::{ErrorCode, Medium, NoticeId, UnixMs};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::counts::Bound;
use crate::extract::{Caller, JsonBody, UrlPath};
use crate::problem::Problem;
use crate::shards::Shards;
use crate::state::{Api, entropy};

use super::contacts::check_locale;

/// Digits of a code.
const CODE_DIGITS: usize = 6;

/// A mail address or phone number of the caller.
#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct Address {
    /// mail or sms.
    medium: Medium,
    /// A mail address, or a phone number with its country: `+4915112345678`.
    address: String,
    /// Language and region for what the server words, as in BCP 47: `pt-BR`.
    #[serde(default)]
    locale: String,
}

/// A code that is on its way.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct CodeSent {
    medium: Medium,
    /// The end of its time, in Unix milliseconds.
    expires_ms: UnixMs,
}

#[utoipa::path(
    put, path = "/v1/me/contacts", tag = "notifications", security(("bearer" = [])), request_body = Address,
    responses(
        (status = 202, description = "A code is sent there; the address counts once it is proved by that", body = CodeSent),
    ),
)]
pub(crate) async fn ask<E: Engine, S: Shards>(
    Caller { api, user, .. }: Caller<E, S>,
    JsonBody(Address { medium, address, locale }): JsonBody<Address>,
) -> Result<(StatusCode, Json<CodeSent>), Problem> {
    own(medium)?;
    check_locale(&locale)?;
    if !api.config.media.sends(medium) {
        return Err(Problem::bad_request(format!("this server sends nothing by {medium}")));
    }
    let address = same(medium, address.trim());
    api.config.media.check(medium, &address).map_err(Problem::bad_request)?;
    api.takes_writes()?;
    charge(&api, ("user", user.0, ""))?;
    charge(&api, ("address", medium as u64, &address))?;
    let now = api.wall();
    let code = format!("{:0CODE_DIGITS$}", entropy()? % 10_u64.pow(CODE_DIGITS as u32));
    let notice = NoticeId::new(now, u128::from(entropy()?) << 64 | u128::from(entropy()?));
    let asking = Asking { user, medium, address: &address, locale: &locale, code: &code, notice };
    codes::ask(&api.engine, &asking, now).await?;
    Ok((StatusCode::ACCEPTED, Json(CodeSent { medium, expires_ms: now.plus_ms(CODE_KEPT_MS) })))
}

/// The code that was read there.
#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct Code {
    /// Six digits; blanks among them do not count.
    code: String,
}

#[utoipa::path(
    post, path = "/v1/me/contacts/{medium}/verify", tag = "notifications", security(("bearer" = [])),
    params(("medium" = Medium, Path)), request_body = Code,
    responses((status = 204, description = "The address counts, in place of the one before it")),
)]
pub(crate) async fn verify<E: Engine, S: Shards>(
    Caller { api, user, .. }: Caller<E, S>,
    UrlPath(medium): UrlPath<Medium>,
    JsonBody(Code { code }): JsonBody<Code>,
) -> Result<StatusCode, Problem> {
    own(medium)?;
    let code: String = code.chars().filter(|char| !char.is_whitespace()).take(CODE_DIGITS + 1).collect();
    if code.len() != CODE_DIGITS || !code.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(Problem::bad_request(format!("a code has {CODE_DIGITS} digits")));
    }
    codes::prove(&api.engine, user, medium, &code, api.wall()).await?;
    Ok(StatusCode::NO_CONTENT)
}

#[utoipa::path(
    delete, path = "/v1/me/contacts/{medium}", tag = "notifications", security(("bearer" = [])),
    params(("medium" = Medium, Path)),
    responses((status = 204, description = "Nothing is sent there any more")),
)]
pub(crate) async fn remove<E: Engine, S: Shards>(
    Caller { api, user, .. }: Caller<E, S>,
    UrlPath(medium): UrlPath<Medium>,
) -> Result<StatusCode, Problem> {
    own(medium)?;
    if codes::remove(&api.engine, user, medium).await? {
        Ok(StatusCode::NO_CONTENT)
    } else {
        Err(Problem::new(ErrorCode::UnknownChannel, format!("nothing is told by {medium}")))
    }
}

/// Refuses media whose targets are devices.
fn own(medium: Medium) -> Result<(), Problem> {
    if medium.is_of_device() {
        let text = format!("{medium} is a device's: PUT /v1/me/devices/{{device_id}}/push");
        return Err(Problem::bad_request(text));
    }
    Ok(())
}

/// An address as it is stored: two ways to write the same are one.
fn same(medium: Medium, address: &str) -> String {
    match address.rsplit_once('@') {
        Some((local, domain)) if medium == Medium::Mail => format!("{local}@{}", domain.to_ascii_lowercase()),
        _ if medium == Medium::Sms => address.chars().filter(|char| !" -()".contains(*char)).collect(),
        _ => address.to_owned(),
    }
}

/// Takes from the codes that one may have sent: they go to people who may not have asked, and text messages cost money.
fn charge<E, S>(api: &Api<E, S>, key: (&str, u64, &str)) -> Result<(), Problem> {
    let refused = |wait_ms| {
        let text = "too many codes were asked for, wait for one that is on its way";
        Problem::new(ErrorCode::RateLimited, text).after_ms(wait_ms).because(Bound::User)
    };
    api.codes.take(key).map(drop).map_err(refused)
}
