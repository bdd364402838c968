//! What the caller wants to be told, by what, and when not.
//!
//! Owns the form of settings. What a choice means is `chat::notices::settings`', whether a time zone is one the workers'.

use std::collections::BTreeMap;

use axum::Json;
use axum::http::StatusCode;
use chat::notices::posts::Act;
use chat::notices::settings::{self, MESSAGES, OTHERS, bit};
use kv::Engine;
use schema::limits::SETTINGS_CATEGORIES_MAX;
use schema::record::{Choice, SettingsRecord};
use schema::{ErrorCode, Medium, UnixMs};
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::contacts::Category;
use crate::extract::{Caller, JsonBody};
use crate::problem::{Answer, Problem};
use crate::shards::Shards;

use super::contacts::check_locale;
use super::notifications::is_category;

/// Quiet hours of each day.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Quiet {
    #[schema(example = "22:00")]
    from: String,
    #[schema(example = "07:00")]
    to: String,
    /// A time zone of the IANA database.
    #[schema(example = "Europe/Berlin")]
    zone: String,
}

/// Whether a category is told, by medium; what is not named is as by default.
type ByMedium = BTreeMap<Medium, bool>;

/// Settings of the caller.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Settings {
    /// The language of what is told, as in BCP 47; each device's own unless given.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    language: String,
    /// What is not critical waits until these end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    quiet_hours: Option<Quiet>,
    /// By category: `messages` for messages of channels, what applications name, `*` for all that are not here. By
    /// default devices are told of all, and mail and sms only of what applications send by them.
    #[serde(default)]
    #[schema(value_type = BTreeMap<String, BTreeMap<String, bool>>)]
    categories: BTreeMap<String, ByMedium>,
    /// Not stored: what `GET` shows beside may be sent back.
    #[serde(default, skip_serializing)]
    #[schema(ignore)]
    #[expect(dead_code, reason = "it may be there, and says nothing")]
    known: IgnoredAny,
    #[serde(default, skip_serializing)]
    #[schema(ignore)]
    #[expect(dead_code, reason = "likewise")]
    changed_ms: IgnoredAny,
}

/// Settings of the caller, and the categories to choose by.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Shown {
    /// The language of what is told, as in BCP 47; each device's own unless given.
    #[serde(skip_serializing_if = "String::is_empty")]
    language: String,
    /// What is not critical waits until these end.
    #[serde(skip_serializing_if = "Option::is_none")]
    quiet_hours: Option<Quiet>,
    /// By category and medium, what was chosen.
    #[schema(value_type = BTreeMap<String, BTreeMap<String, bool>>)]
    categories: BTreeMap<String, ByMedium>,
    /// The categories that this server's operator names: those that are critical are told whatever is chosen.
    known: Vec<Category>,
    /// Time of the last change, in Unix milliseconds; absent if there was none.
    #[serde(skip_serializing_if = "Option::is_none")]
    changed_ms: Option<UnixMs>,
}

#[utoipa::path(
    get, path = "/v1/me/notification-settings", tag = "notifications", security(("bearer" = [])),
    responses((status = 200, description = "What the caller wants to be told", body = Shown)),
)]
pub(crate) async fn get<E: Engine, S: Shards>(Caller { api, user, .. }: Caller<E, S>) -> Answer<Shown> {
    let record = settings::get(&api.engine, user).await?;
    let mut known = api.config.media.categories();
    // This server's own are known whether they are declared or not.
    for own in Act::ALL.into_iter().rev().map(Act::category).chain([MESSAGES]) {
        if known.iter().all(|category| category.name != own) {
            known.insert(0, Category { name: own.to_owned(), title: String::new(), critical: false });
        }
    }
    let changed_ms = (record.changed_ms > UnixMs(0)).then_some(record.changed_ms);
    let Settings { language, quiet_hours, categories, .. } = Settings::of(record);
    Ok(Json(Shown { language, quiet_hours, categories, known, changed_ms }))
}

#[utoipa::path(
    put, path = "/v1/me/notification-settings", tag = "notifications", security(("bearer" = [])), request_body = Settings,
    responses((status = 204, description = "It is so within two seconds, in place of all that was chosen before")),
)]
pub(crate) async fn put<E: Engine, S: Shards>(
    Caller { api, user, .. }: Caller<E, S>,
    JsonBody(wanted): JsonBody<Settings>,
) -> Result<StatusCode, Problem> {
    check_locale(&wanted.language)?;
    if let Some(Quiet { from, to, zone }) = &wanted.quiet_hours {
        api.config
            .media
            .check_quiet(from, to, zone)
            .map_err(|why| Problem::bad_request(format!("quiet_hours: {why}")))?;
    }
    // One more may have come by unsubscribing.
    let others = usize::from(wanted.categories.contains_key(OTHERS));
    if wanted.categories.len() > SETTINGS_CATEGORIES_MAX as usize + others {
        let text = format!("settings have {SETTINGS_CATEGORIES_MAX} categories at most");
        return Err(Problem::new(ErrorCode::LimitExceeded, text));
    }
    let known = api.config.media.categories();
    for (name, media) in &wanted.categories {
        if name != OTHERS && !is_category(name) {
            return Err(Problem::bad_request("a category is one of [A-Za-z0-9._-], or *"));
        }
        let is_critical = known.iter().any(|category| category.name == *name && category.critical);
        if is_critical && media.values().any(|on| !on) {
            return Err(Problem::bad_request(format!("{name} is critical, and cannot be turned off")));
        }
    }
    api.takes_writes()?;
    settings::put(&api.engine, user, &wanted.record(api.wall())).await?;
    Ok(StatusCode::NO_CONTENT)
}

impl Settings {
    fn of(record: SettingsRecord) -> Self {
        let SettingsRecord { language, quiet_from, quiet_to, zone, choices, changed_ms: _ } = record;
        let by_medium = |Choice { on, off, category }: Choice| {
            let chosen = |&medium: &Medium| match (on & bit(medium) != 0, off & bit(medium) != 0) {
                (_, true) => Some((medium, false)),
                (true, false) => Some((medium, true)),
                (false, false) => None,
            };
            (category, Medium::ALL.iter().filter_map(chosen).collect())
        };
        let quiet = Quiet { from: quiet_from, to: quiet_to, zone };
        Self {
            language,
            quiet_hours: Some(quiet).filter(|quiet| !quiet.zone.is_empty()),
            categories: choices.into_iter().map(by_medium).collect(),
            known: IgnoredAny,
            changed_ms: IgnoredAny,
        }
    }

    fn record(self, now: UnixMs) -> SettingsRecord {
        let Quiet { from, to, zone } =
            self.quiet_hours.unwrap_or(Quiet { from: String::new(), to: String::new(), zone: String::new() });
        let choice = |(category, media): (String, ByMedium)| {
            let bits =
                |wanted| media.iter().filter(|&(_, &on)| on == wanted).fold(0, |bits, (&medium, _)| bits | bit(medium));
            Choice { on: bits(true), off: bits(false), category }
        };
        SettingsRecord {
            language: self.language,
            quiet_from: from,
            quiet_to: to,
            zone,
            choices: self.categories.into_iter().map(choice).collect(),
            changed_ms: now,
        }
    }
}
