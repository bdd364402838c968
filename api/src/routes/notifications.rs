//! Notifications of applications: asked for by their backends, looked up, cancelled.
//!
//! Owns what of a request is checked, and that its key gives the same notification for 30 days. Who asks is an
//! application by its key and secret ([`AppCaller`]), not a user.

use std::collections::{BTreeMap, BTreeSet};

use axum::Json;
use axum::http::{HeaderMap, StatusCode};
use chat::notices::accept::{self, Report, Wanted};
use chat::notices::apps::Scope;
use chat::notices::codes::VERIFICATION;
use chat::notices::settings::MESSAGES;
use chat::notices::templates;
use kv::Engine;
use schema::limits::{JOB_KEPT_MS, NOTICE_AHEAD_MS_MAX, NOTICE_BYTES_MAX, NOTICE_EVERY_MS_MIN, NOTICE_RECIPIENTS_MAX};
use schema::record::NoticeRecord;
use schema::{ErrorCode, Medium, NoticeId, UnixMs, UserId};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};
use utoipa::ToSchema;

use crate::extract::{AppCaller, JsonBody, UrlPath, idempotency_key};
use crate::problem::{Answer, Problem};
use crate::shards::Shards;
use crate::state::{Api, entropy};

/// Characters of a category and of what later notifications take the place of.
const WORD_CHARS_MAX: usize = 64;
/// Characters of a title.
const TITLE_CHARS_MAX: usize = 200;
/// Notifications that may wait at a node: ten minutes' work at 2,000 a second.
const BACKLOG_MAX: u64 = 1_200_000;
/// When to ask again beyond it: the backlog is looked at each 10 s.
const BACKLOG_RETRY_MS: u32 = 10_000;
/// Deliveries that a report lists one by one.
const DELIVERIES_SHOWN: usize = 100;
/// The application of what operators ask to be told.
const OPERATOR: u64 = 0;
/// How far in the past a time may lie, for clocks that differ.
const PAST_MS_MAX: u64 = 60_000;

/// What is to be told to whom.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NotifyRequest {
    /// Users, 1,000 at most; who is named twice is told once.
    to: Vec<UserId>,
    /// What kind of notification it is, in the application's words: `shipping`.
    category: String,
    /// One line; not beside a template.
    #[serde(default)]
    title: String,
    /// The text.
    #[serde(default)]
    body: String,
    /// The same as HTML, for mail.
    html: Option<String>,
    /// The template that has the title, the text and the HTML.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    template: String,
    /// A JSON object of texts for the application on the device; with a template, its parameters, of which texts go along.
    #[schema(value_type = Option<Object>)]
    data: Option<Box<RawValue>>,
    /// By which media; by those of devices unless given.
    #[serde(default)]
    media: Vec<Medium>,
    /// Later notifications with the same take the place of this one.
    #[serde(default)]
    collapse: String,
    /// Whether it is worth waking a device for.
    #[serde(default)]
    urgent: bool,
    /// When, in Unix milliseconds; at once unless given.
    send_at: Option<UnixMs>,
    /// How long after that again, and again, in milliseconds: a minute at least.
    every: Option<u64>,
    /// How long after its time it is of no use, in milliseconds; a day unless given.
    expires_ms: Option<u64>,
    /// Whether links in it tell that they were followed, and mails that they were opened.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    track: bool,
}

/// What was accepted.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Accepted {
    id: NoticeId,
    /// How many users it is for.
    recipients: u32,
    /// Whether the same request was accepted before under its key.
    duplicate: bool,
}

/// Whether something may be the name of a category.
pub(super) fn is_category(name: &str) -> bool {
    !name.is_empty() && is_word(name)
}

/// Whether a text is one of at most [`WORD_CHARS_MAX`] characters of `[A-Za-z0-9._-]`.
pub(super) fn is_word(word: &str) -> bool {
    word.len() <= WORD_CHARS_MAX && word.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte))
}

/// What an operator has to say, and to whom.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct OperatorRequest {
    /// Ids of users, or their names.
    pub(super) to: Vec<String>,
    category: String,
    title: String,
    #[serde(default)]
    body: String,
    #[serde(default)]
    media: Vec<Medium>,
    #[serde(default)]
    urgent: bool,
}

impl OperatorRequest {
    /// To be told at once, and of no application; the users are not counted yet.
    pub(super) fn record(self, now: UnixMs) -> Result<NoticeRecord, Problem> {
        let Self { to: _, category, title, body, media, urgent } = self;
        if category == VERIFICATION {
            return Err(bad("the category `verification` is that of codes"));
        }
        let request = NotifyRequest {
            to: Vec::new(),
            category,
            title,
            body,
            html: None,
            template: String::new(),
            data: None,
            media,
            collapse: String::new(),
            urgent,
            send_at: None,
            every: None,
            expires_ms: None,
            track: false,
        };
        request.check_but_users(now)?;
        Ok(request.record(OPERATOR, String::new(), 0, 0, now))
    }
}

fn bad(detail: impl Into<String>) -> Problem {
    Problem::bad_request(detail)
}

impl NotifyRequest {
    fn check(&self, now: UnixMs) -> Result<(), Problem> {
        let recipients = self.to.len();
        if recipients == 0 || recipients > NOTICE_RECIPIENTS_MAX as usize {
            let text = format!("`to` names 1 to {NOTICE_RECIPIENTS_MAX} users, not {recipients}");
            return Err(Problem::new(ErrorCode::LimitExceeded, text));
        }
        self.check_but_users(now)
    }

    fn check_but_users(&self, now: UnixMs) -> Result<(), Problem> {
        if !is_category(&self.category) || !is_word(&self.collapse) {
            return Err(bad(format!(
                "`category` has 1 to {WORD_CHARS_MAX} characters of [A-Za-z0-9._-], and `collapse` as many at most"
            )));
        }
        if self.category == MESSAGES {
            return Err(bad("the category `messages` is that of channels"));
        }
        self.check_words()?;
        self.check_times(now)
    }

    /// Whether it says something, of itself or by a template.
    fn check_words(&self) -> Result<(), Problem> {
        let data = self.data.as_ref().map_or("{}", |data| data.get());
        for (what, bytes) in
            [("body", self.body.len()), ("html", self.html.as_ref().map_or(0, String::len)), ("data", data.len())]
        {
            if bytes > NOTICE_BYTES_MAX as usize {
                return Err(bad(format!("`{what}` has {bytes} bytes, the limit is {NOTICE_BYTES_MAX}")));
            }
        }
        if !self.template.is_empty() {
            if self.title.is_empty() && self.body.is_empty() && self.html.is_none() {
                return Ok(());
            }
            return Err(bad("`title`, `body` and `html` are the template's, name none of them beside `template`"));
        }
        let title_chars = self.title.chars().count();
        if title_chars == 0 || title_chars > TITLE_CHARS_MAX || self.title.chars().any(char::is_control) {
            return Err(bad(format!("`title` is one line of 1 to {TITLE_CHARS_MAX} characters")));
        }
        serde_json::from_str::<BTreeMap<String, String>>(data).map_err(|_| bad("`data` is an object of texts"))?;
        Ok(())
    }

    /// Whether it can be accepted now, by this server and at this load. The version of its template; 0 without one.
    async fn check_now<E: Engine, S: Shards>(&self, api: &Api<E, S>, app: u64, now: UnixMs) -> Result<u32, Problem> {
        self.check(now)?;
        let unknown = self.media.iter().find(|&&medium| !api.config.media.sends(medium));
        if let Some(medium) = unknown {
            return Err(bad(format!("this server sends nothing by {medium}")));
        }
        if api.config.media.backlog() >= BACKLOG_MAX {
            let text = format!("{BACKLOG_MAX} notifications and more wait at this node, try again later");
            return Err(Problem::new(ErrorCode::RateLimited, text).after_ms(BACKLOG_RETRY_MS));
        }
        api.takes_writes()?;
        self.check_template(api, app).await
    }

    /// The version of the template that it is told by, for which it has all parameters; 0 without one.
    async fn check_template<E: Engine, S: Shards>(&self, api: &Api<E, S>, app: u64) -> Result<u32, Problem> {
        if self.template.is_empty() {
            return Ok(0);
        }
        let data = self.data.as_ref().map_or("{}", |data| data.get());
        let data = serde_json::from_str::<Map<String, Value>>(data).map_err(|_| bad("`data` is an object"))?;
        let found = templates::takes(&api.engine, app, &self.template).await?;
        let (version, parameters) = found.ok_or_else(|| bad(format!("there is no template {:?}", self.template)))?;
        let checked = api.config.templates.check_params(&parameters, &data);
        checked.map_err(|problems| bad(format!("`data`: {problems}")))?;
        Ok(version)
    }

    fn check_times(&self, now: UnixMs) -> Result<(), Problem> {
        let send_at = self.send_at.unwrap_or(now);
        if now.since_ms(send_at) > PAST_MS_MAX {
            return Err(bad("`send_at` is in the past"));
        }
        if send_at.since_ms(now) > NOTICE_AHEAD_MS_MAX {
            return Err(bad("`send_at` is more than a year ahead"));
        }
        if self.every.is_some_and(|every| !(NOTICE_EVERY_MS_MIN..=NOTICE_AHEAD_MS_MAX).contains(&every)) {
            return Err(bad(format!("`every` is {NOTICE_EVERY_MS_MIN} ms at least and a year at most")));
        }
        if self.expires_ms.is_some_and(|expires| expires == 0 || expires > NOTICE_AHEAD_MS_MAX) {
            return Err(bad("`expires_ms` is 1 ms at least and a year at most"));
        }
        Ok(())
    }

    fn record(self, app: u64, key: String, recipients: u32, template_version: u32, now: UnixMs) -> NoticeRecord {
        NoticeRecord {
            app,
            category: self.category,
            title: self.title,
            body: self.body,
            html: self.html,
            template: self.template,
            data: self.data.map_or_else(|| "{}".to_owned(), |data| data.get().to_owned()),
            media: self.media.iter().map(|&medium| medium as u16).collect(),
            collapse: self.collapse,
            urgent: self.urgent,
            created_ms: now,
            send_ms: self.send_at.unwrap_or(now).max(now),
            every_ms: self.every.unwrap_or(0),
            expires_ms: self.expires_ms.unwrap_or(JOB_KEPT_MS),
            recipients,
            key,
            cancelled_ms: None,
            template_version,
            track: self.track,
        }
    }
}

#[utoipa::path(
    post, path = "/v1/notifications", tag = "notifications", security(("app" = [])), request_body = NotifyRequest,
    params(("Idempotency-Key" = Option<String>, Header, description = "The same key gives the same notification for 30 days")),
    responses((status = 202, description = "It is stored and will be sent", body = Accepted)),
)]
pub(crate) async fn notify<E: Engine, S: Shards>(
    AppCaller { api, app }: AppCaller<E, S>,
    headers: HeaderMap,
    JsonBody(request): JsonBody<NotifyRequest>,
) -> Result<(StatusCode, Json<Accepted>), Problem> {
    AppCaller::<E, S>::may(&app, Scope::Send)?;
    let now = api.wall();
    let key = idempotency_key(&headers)?.unwrap_or_default();
    let digest = Sha256::digest(serde_json::to_vec(&request).expect("what was read from JSON is JSON again"));
    let content_hash = u64::from_be_bytes(digest[..8].try_into().expect("8 of 32 bytes"));
    let to: Vec<UserId> = request.to.iter().copied().collect::<BTreeSet<_>>().into_iter().collect();
    let recipients = u32::try_from(to.len()).unwrap_or(u32::MAX);
    let template_version = match request.check_now(&api, app.id, now).await {
        Ok(version) => version,
        // What was accepted stays so, though its time is past by now, or its template another.
        Err(refused) => match accept::again(&api.engine, app.id, &key, content_hash, now).await? {
            Some(id) => return Ok((StatusCode::ACCEPTED, Json(Accepted { id, recipients, duplicate: true }))),
            None => return Err(refused),
        },
    };
    let id = NoticeId::new(now, u128::from(entropy()?) << 64 | u128::from(entropy()?));
    let record = request.record(app.id, key, recipients, template_version, now);
    let wanted = Wanted { id, record, to, content_hash };
    let (id, is_new) = accept::accept(&api.engine, &app, &wanted, now).await?;
    Ok((StatusCode::ACCEPTED, Json(Accepted { id, recipients, duplicate: !is_new })))
}

/// What became of it on one target.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Delivery {
    user_id: UserId,
    medium: Medium,
    #[serde(skip_serializing_if = "String::is_empty")]
    #[schema(required = false)]
    device_id: String,
    /// planned, sent, withdrawn, gone, dead, expired, delivered, opened or clicked.
    state: &'static str,
    /// When it came into that state.
    at_ms: UnixMs,
    /// Attempts that were begun.
    attempts: u32,
    #[serde(skip_serializing_if = "String::is_empty")]
    #[schema(required = false)]
    provider: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    #[schema(required = false)]
    why: String,
}

/// A notification and what became of it.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Notification {
    id: NoticeId,
    category: String,
    /// The template that it is told by, if it is.
    #[serde(skip_serializing_if = "String::is_empty")]
    #[schema(required = false)]
    template: String,
    /// The template's version when it was accepted.
    #[serde(skip_serializing_if = "Option::is_none")]
    template_version: Option<u32>,
    created_ms: UnixMs,
    send_ms: UnixMs,
    #[serde(skip_serializing_if = "Option::is_none")]
    every_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cancelled_ms: Option<UnixMs>,
    recipients: u32,
    /// How many targets are in which state; none before its time.
    states: BTreeMap<&'static str, u64>,
    /// The first 100 of them.
    deliveries: Vec<Delivery>,
}

#[utoipa::path(
    get, path = "/v1/notifications/{notice_id}", tag = "notifications", security(("app" = [])),
    params(("notice_id" = schema::NoticeId, Path)),
    responses((status = 200, description = "What became of it so far", body = Notification)),
)]
pub(crate) async fn one<E: Engine, S: Shards>(
    AppCaller { api, app }: AppCaller<E, S>,
    UrlPath(id): UrlPath<NoticeId>,
) -> Answer<Notification> {
    AppCaller::<E, S>::may(&app, Scope::Read)?;
    let Report { record, states, deliveries } = accept::report(&api.engine, app.id, id, DELIVERIES_SHOWN).await?;
    let delivery =
        |(user_id, medium, device_id, record): (UserId, Medium, String, schema::record::DeliveryRecord)| Delivery {
            user_id,
            medium,
            device_id,
            state: record.state.word(),
            at_ms: record.at_ms,
            attempts: record.attempts,
            provider: record.provider,
            why: record.why,
        };
    Ok(Json(Notification {
        id,
        category: record.category,
        template_version: (!record.template.is_empty()).then_some(record.template_version),
        template: record.template,
        created_ms: record.created_ms,
        send_ms: record.send_ms,
        every_ms: (record.every_ms > 0).then_some(record.every_ms),
        cancelled_ms: record.cancelled_ms,
        recipients: record.recipients,
        states: states.into_iter().map(|(state, count)| (state.word(), count)).collect(),
        deliveries: deliveries.into_iter().map(delivery).collect(),
    }))
}

/// Whether that changed anything.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Cancelled {
    changed: bool,
}

#[utoipa::path(
    post, path = "/v1/notifications/{notice_id}/cancel", tag = "notifications", security(("app" = [])),
    params(("notice_id" = schema::NoticeId, Path)),
    responses((status = 200, description = "What was not sent by now is not sent", body = Cancelled)),
)]
pub(crate) async fn cancel<E: Engine, S: Shards>(
    AppCaller { api, app }: AppCaller<E, S>,
    UrlPath(id): UrlPath<NoticeId>,
) -> Answer<Cancelled> {
    AppCaller::<E, S>::may(&app, Scope::Send)?;
    let changed = accept::cancel(&api.engine, app.id, id, api.wall()).await?;
    Ok(Json(Cancelled { changed }))
}
