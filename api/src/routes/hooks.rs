//! Webhooks of applications: made, listed, ended, resumed, replayed, and what came of their calls.
//!
//! Owns what of a request is checked. What they tell and when is `chat::hooks`' and `notify`'s; who asks is an application
//! ([`AppCaller`]) that may have hooks, and of another's it hears as of none.

use std::collections::BTreeSet;

use axum::Json;
use axum::http::StatusCode;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chat::hooks;
use chat::notices::apps::Scope;
use kv::Engine;
use schema::hook::{BeforeKind, HookKind, channel_kind_bit};
use schema::limits::{BEFORE_MS_DEFAULT, BEFORE_MS_MAX, BEFORE_MS_MIN, HOOK_CALLS_MAX, HOOK_CHANNELS_MAX};
use schema::op::ChannelKind;
use schema::record::HookRecord;
use schema::{ChannelId, ErrorCode, UnixMs};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::paging::rows;
use crate::apps::CallPurpose;
use crate::extract::{AppCaller, JsonBody, UrlPath, UrlQuery};
use crate::problem::{Answer, Problem};
use crate::shards::Shards;
use crate::state::entropy;
use crate::webhooks::{OnFailure, ShownCall, ShownHook, id, no_such};

/// What a filter says that wants all there is.
const EVERYTHING: &str = "*";
/// Calls of an answer, where no number is named.
const CALLS_DEFAULT: u32 = 100;

/// A webhook that is wanted.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct HookRequest {
    /// The URL that is called: https, on no private address.
    url: String,
    /// The kinds of events that it is told: their words (docs/webhooks.md), or `*` for all. None, for one that is only asked
    /// before.
    #[serde(default)]
    #[schema(example = json!(["message.sent", "member.changed"]))]
    events: Vec<String>,
    /// Operations that it is asked about before they are done: `message.send`, `message.edit`. Of applications with the scope `moderate`.
    #[serde(default)]
    #[schema(example = json!(["message.send"]))]
    before: Vec<String>,
    /// Time limit of its answer then, in milliseconds: 50 to 5,000, 1,000 unless given.
    timeout_ms: Option<u32>,
    /// Fate of what it does not answer.
    on_failure: Option<OnFailure>,
    /// The kinds of channels whose events it is told; all unless given.
    #[serde(default)]
    #[schema(value_type = Vec<String>, example = json!(["group"]))]
    channel_kinds: Vec<ChannelKind>,
    /// The channels whose events it is told, up to 100; all unless given.
    #[serde(default)]
    channels: Vec<ChannelId>,
}

/// An application's webhooks.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ShownHooks {
    hooks: Vec<ShownHook>,
}

/// From when on a webhook is told again.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ReplayRequest {
    /// What happened at this time or later, in Unix milliseconds, as far as it is kept: 3 days.
    from_ms: UnixMs,
}

/// What was set back.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Replayed {
    /// Partitions of channels and users of which it is told again.
    lanes: u32,
}

/// Calls of a webhook.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ShownCalls {
    /// The newest first.
    calls: Vec<ShownCall>,
}

/// How many calls are asked for.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct CallsQuery {
    /// 1 to 1,000; 100 unless given.
    limit: Option<u32>,
}

#[utoipa::path(
    post, path = "/v1/hooks", tag = "hooks", security(("app" = [])), request_body = HookRequest,
    responses((status = 201, description = "It is told what happens from a second later on, at most", body = ShownHook)),
)]
pub(crate) async fn create<E: Engine, S: Shards>(
    AppCaller { api, app }: AppCaller<E, S>,
    JsonBody(request): JsonBody<HookRequest>,
) -> Result<(StatusCode, Json<ShownHook>), Problem> {
    let HookRequest { url, events, before, timeout_ms, on_failure, channel_kinds, channels } = request;
    AppCaller::<E, S>::may(&app, Scope::Hooks)?;
    if channels.len() > HOOK_CHANNELS_MAX {
        return Err(Problem::bad_request(format!("channels: at most {HOOK_CHANNELS_MAX}")));
    }
    if events.is_empty() && before.is_empty() {
        return Err(Problem::bad_request("events: name at least one, or * for all; or say what it is asked before"));
    }
    let (events, before) = (bits(&events)?, before_bits(&before)?);
    let before_ms = before_ms(before, timeout_ms, on_failure)?;
    if before != 0 {
        AppCaller::<E, S>::may(&app, Scope::Moderate)?;
    }
    let away = || Problem::new(ErrorCode::StorageUnavailable, "the node waits for its store, try again");
    let applications = api.node.applications().ok_or_else(away)?;
    let purpose = if events == 0 { CallPurpose::Before } else { CallPurpose::Events };
    applications.may_call(&url, purpose).map_err(|why| Problem::bad_request(format!("url: {why}")))?;
    api.takes_writes()?;
    let secret = draw()?;
    let record = HookRecord {
        app: app.id,
        url,
        secret: secret.clone(),
        events,
        kinds: channel_kinds.into_iter().fold(0, |bits, kind| bits | channel_kind_bit(kind)),
        channels: channels.into_iter().collect::<BTreeSet<_>>().into_iter().collect(),
        created_ms: api.node.wall(),
        before,
        before_ms,
        failure_refuses: on_failure == Some(OnFailure::Refuse),
        ..HookRecord::default()
    };
    loop {
        // Of 64 random bits: a second time is rare, a third never seen.
        if let Some(hook) = hooks::create(&api.engine, entropy()?, &record).await? {
            return Ok((StatusCode::CREATED, Json(ShownHook::new(hook, Some(secret)))));
        }
    }
}

#[utoipa::path(
    get, path = "/v1/hooks", tag = "hooks", security(("app" = [])),
    responses((status = 200, description = "The application's webhooks", body = ShownHooks)),
)]
pub(crate) async fn list<E: Engine, S: Shards>(AppCaller { api, app }: AppCaller<E, S>) -> Answer<ShownHooks> {
    AppCaller::<E, S>::may(&app, Scope::Hooks)?;
    let all = hooks::list(&api.engine).await?.into_iter();
    let hooks = all.filter(|hook| hook.record.app == app.id).map(|hook| ShownHook::new(hook, None)).collect();
    Ok(Json(ShownHooks { hooks }))
}

#[utoipa::path(
    delete, path = "/v1/hooks/{hook_id}", tag = "hooks", security(("app" = [])), params(("hook_id" = String, Path)),
    responses((status = 204, description = "It is told nothing any more, and what it was told is forgotten")),
)]
pub(crate) async fn delete<E: Engine, S: Shards>(
    AppCaller { api, app }: AppCaller<E, S>,
    UrlPath(hook): UrlPath<String>,
) -> Result<StatusCode, Problem> {
    AppCaller::<E, S>::may(&app, Scope::Hooks)?;
    let was_there = hooks::remove(&api.engine, app.id, id(&hook)?).await?;
    if was_there { Ok(StatusCode::NO_CONTENT) } else { Err(no_such(&hook)) }
}

#[utoipa::path(
    post, path = "/v1/hooks/{hook_id}/resume", tag = "hooks", security(("app" = [])),
    params(("hook_id" = String, Path)),
    responses((status = 200, description = "It is paused no more: a `hook.gap` says what it may have missed", body = ShownHook)),
)]
pub(crate) async fn resume<E: Engine, S: Shards>(
    AppCaller { api, app }: AppCaller<E, S>,
    UrlPath(hook): UrlPath<String>,
) -> Answer<ShownHook> {
    AppCaller::<E, S>::may(&app, Scope::Hooks)?;
    let resumed = hooks::resume(&api.engine, app.id, id(&hook)?, api.node.wall()).await?;
    Ok(Json(ShownHook::new(resumed.ok_or_else(|| no_such(&hook))?, None)))
}

#[utoipa::path(
    post, path = "/v1/hooks/{hook_id}/replay", tag = "hooks", security(("app" = [])), request_body = ReplayRequest,
    params(("hook_id" = String, Path)),
    responses((status = 200, description = "It is told again what it was told, under the same ids", body = Replayed)),
)]
pub(crate) async fn replay<E: Engine, S: Shards>(
    AppCaller { api, app }: AppCaller<E, S>,
    UrlPath(hook): UrlPath<String>,
    JsonBody(ReplayRequest { from_ms }): JsonBody<ReplayRequest>,
) -> Answer<Replayed> {
    AppCaller::<E, S>::may(&app, Scope::Hooks)?;
    let found = hooks::of_app(&api.engine, app.id, id(&hook)?).await?.ok_or_else(|| no_such(&hook))?;
    api.takes_writes()?;
    Ok(Json(Replayed { lanes: hooks::replay(&api.engine, found.id, from_ms).await? }))
}

#[utoipa::path(
    get, path = "/v1/hooks/{hook_id}/calls", tag = "hooks", security(("app" = [])),
    params(("hook_id" = String, Path), CallsQuery),
    responses((status = 200, description = "What came of its last calls", body = ShownCalls)),
)]
pub(crate) async fn calls<E: Engine, S: Shards>(
    AppCaller { api, app }: AppCaller<E, S>,
    UrlPath(hook): UrlPath<String>,
    UrlQuery(CallsQuery { limit }): UrlQuery<CallsQuery>,
) -> Answer<ShownCalls> {
    AppCaller::<E, S>::may(&app, Scope::Hooks)?;
    let limit = rows(limit, CALLS_DEFAULT, HOOK_CALLS_MAX.into())?;
    let found = hooks::of_app(&api.engine, app.id, id(&hook)?).await?.ok_or_else(|| no_such(&hook))?;
    let calls = hooks::logged(&api.engine, found.id, api.node.wall(), limit as usize).await?;
    Ok(Json(ShownCalls { calls: calls.into_iter().map(ShownCall::new).collect() }))
}

/// The bits of events' words.
fn bits(words: &[String]) -> Result<u64, Problem> {
    words.iter().try_fold(0, |bits, word| {
        if word == EVERYTHING {
            return Ok(HookKind::ALL.iter().fold(bits, |bits, kind| bits | kind.bit()));
        }
        let known = || {
            let words = HookKind::ALL.iter().filter_map(|kind| HookKind::of_word(kind.word()));
            words.map(HookKind::word).collect::<Vec<_>>().join(", ")
        };
        let kind = HookKind::of_word(word)
            .ok_or_else(|| Problem::bad_request(format!("events: no event {word:?}: there are {}", known())))?;
        Ok(bits | kind.bit())
    })
}

/// The bits of what a hook is asked before.
fn before_bits(words: &[String]) -> Result<u32, Problem> {
    words.iter().try_fold(0, |bits, word| {
        let known = || BeforeKind::ALL.map(BeforeKind::word).join(", ");
        let kind = BeforeKind::of_word(word).ok_or_else(|| {
            Problem::bad_request(format!("before: nobody is asked before {word:?}: there are {}", known()))
        })?;
        Ok(bits | kind.bit())
    })
}

/// Time limit of a hook's answer; 0 for one that is asked nothing.
fn before_ms(before: u32, timeout_ms: Option<u32>, on_failure: Option<OnFailure>) -> Result<u32, Problem> {
    if before == 0 {
        if timeout_ms.is_some() || on_failure.is_some() {
            return Err(Problem::bad_request("timeout_ms and on_failure are of a hook that is asked before"));
        }
        return Ok(0);
    }
    let timeout_ms = timeout_ms.unwrap_or(BEFORE_MS_DEFAULT);
    if !(BEFORE_MS_MIN..=BEFORE_MS_MAX).contains(&timeout_ms) {
        let detail = format!("timeout_ms: {timeout_ms} is not {BEFORE_MS_MIN} to {BEFORE_MS_MAX}");
        return Err(Problem::bad_request(detail));
    }
    Ok(timeout_ms)
}

/// A new secret: 256 random bits, as Standard Webhooks writes them.
fn draw() -> Result<String, Problem> {
    let mut bytes = [0; 32];
    for part in bytes.chunks_mut(8) {
        part.copy_from_slice(&entropy()?.to_be_bytes());
    }
    Ok(format!("whsec_{}", STANDARD.encode(bytes)))
}
