//! Templates of applications: stored by their backends, shown, deleted, and tried out.
//!
//! Owns what of a request is checked beside the template itself, which the node's engine of templates judges, on threads
//! that nothing waits for. Who asks is an application ([`AppCaller`]) that may send.

use axum::Json;
use axum::http::StatusCode;
use chat::notices::apps::Scope;
use chat::notices::templates::{self, Stored, TemplatesPage};
use kv::Engine;
use schema::template::{Parameter, Template, Variant};
use schema::{ErrorCode, Medium, UnixMs, UserId};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::notifications::is_word;
use super::paging::{Next, PageQuery};
use crate::extract::{AppCaller, JsonBody, UrlPath, UrlQuery};
use crate::problem::{Answer, Problem};
use crate::shards::Shards;
use crate::templates::Preview;

/// What compiling or rendering a template costs of what an application may ask, beside the request itself: a template of
/// bad will takes some 0.3 s of a core, and an application may ask 100 requests a second.
const WORK_REQUESTS: u32 = 9;

/// A template by its name.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct NamedTemplate {
    name: String,
    /// From 1 on; one more for each content that was stored under the name.
    version: u32,
}

/// A page of an application's templates.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct TemplatePage {
    /// Ascending by name, each with its newest version.
    templates: Vec<NamedTemplate>,
    #[serde(flatten)]
    next: Next,
}

/// A version of a template.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ShownTemplate {
    name: String,
    version: u32,
    /// Time at which it was stored, in Unix milliseconds.
    created_ms: UnixMs,
    // Not flattened: a template as it is put has no other fields, and by its schema nothing may be beside them.
    /// The language of who has none, or one that there is no variant in.
    default_locale: String,
    /// Parameters that the variants take.
    parameters: Vec<Parameter>,
    /// The words, in each language and for each medium.
    variants: Vec<Variant>,
}

#[utoipa::path(
    put, path = "/v1/templates/{name}", tag = "notifications", security(("app" = [])), request_body = Template,
    params(("name" = String, Path, description = "1 to 64 characters of [A-Za-z0-9._-], no dot first")),
    responses((status = 200, description = "It is stored as the newest version, if it is not that already", body = NamedTemplate)),
)]
pub(crate) async fn put<E: Engine, S: Shards>(
    AppCaller { api, app }: AppCaller<E, S>,
    UrlPath(name): UrlPath<String>,
    JsonBody(template): JsonBody<Template>,
) -> Answer<NamedTemplate> {
    AppCaller::<E, S>::may(&app, Scope::Send)?;
    // Clients take `.` and `..` in a path for something else.
    if name.is_empty() || name.starts_with('.') || !is_word(&name) {
        return Err(Problem::bad_request("a template's name has 1 to 64 characters of [A-Za-z0-9._-], no dot first"));
    }
    api.charge(UserId(app.id), WORK_REQUESTS)?;
    let engine = api.config.templates.clone();
    let (template, checked) = api
        .work(move || {
            let checked = engine.check(&template);
            (template, checked)
        })
        .await?;
    checked.map_err(Problem::bad_request)?;
    api.takes_writes()?;
    let version = templates::put(&api.engine, app.id, &name, &template, api.wall()).await?;
    Ok(Json(NamedTemplate { name, version }))
}

#[utoipa::path(
    get, path = "/v1/templates", tag = "notifications", security(("app" = [])), params(PageQuery),
    responses((status = 200, description = "The application's templates", body = TemplatePage)),
)]
pub(crate) async fn list<E: Engine, S: Shards>(
    AppCaller { api, app }: AppCaller<E, S>,
    UrlQuery(query): UrlQuery<PageQuery>,
) -> Answer<TemplatePage> {
    AppCaller::<E, S>::may(&app, Scope::Send)?;
    let after: Option<String> = query.after()?;
    let TemplatesPage { templates, more } =
        templates::list(&api.engine, app.id, after.as_deref(), query.rows()?).await?;
    let next = Next::after(templates.last().filter(|_| more).map(|(name, _)| name));
    let templates = templates.into_iter().map(|(name, version)| NamedTemplate { name, version }).collect();
    Ok(Json(TemplatePage { templates, next }))
}

/// Which version is asked for.
#[derive(Debug, Deserialize)]
pub(crate) struct VersionQuery {
    version: Option<u32>,
}

#[utoipa::path(
    get, path = "/v1/templates/{name}", tag = "notifications", security(("app" = [])),
    params(
        ("name" = String, Path),
        ("version" = Option<u32>, Query, description = "The newest unless given; of older ones the last 50 are kept"),
    ),
    responses((status = 200, description = "The template as it was stored", body = ShownTemplate)),
)]
pub(crate) async fn one<E: Engine, S: Shards>(
    AppCaller { api, app }: AppCaller<E, S>,
    UrlPath(name): UrlPath<String>,
    UrlQuery(query): UrlQuery<VersionQuery>,
) -> Answer<ShownTemplate> {
    AppCaller::<E, S>::may(&app, Scope::Send)?;
    let stored = templates::get(&api.engine, app.id, &name, query.version).await?;
    let Stored { name, version, created_ms, template, .. } = stored.ok_or_else(|| no_such(&name, query.version))?;
    let Template { default_locale, parameters, variants } = template;
    Ok(Json(ShownTemplate { name, version, created_ms, default_locale, parameters, variants }))
}

#[utoipa::path(
    delete, path = "/v1/templates/{name}", tag = "notifications", security(("app" = [])),
    params(("name" = String, Path)),
    responses((status = 204, description = "It is gone with all of its versions; what waits to be told by it is not told")),
)]
pub(crate) async fn delete<E: Engine, S: Shards>(
    AppCaller { api, app }: AppCaller<E, S>,
    UrlPath(name): UrlPath<String>,
) -> Result<StatusCode, Problem> {
    AppCaller::<E, S>::may(&app, Scope::Send)?;
    if templates::delete(&api.engine, app.id, &name).await? {
        Ok(StatusCode::NO_CONTENT)
    } else {
        Err(no_such(&name, None))
    }
}

/// What is to be tried out.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PreviewRequest {
    /// The template's parameters.
    #[serde(default)]
    #[schema(value_type = Object)]
    data: Map<String, Value>,
    /// The target's language, as in BCP 47; the template's default unless given.
    #[serde(default)]
    locale: String,
    /// By which medium; by one without a variant of its own unless given.
    medium: Option<Medium>,
    /// The newest unless given.
    version: Option<u32>,
}

/// What a target would be told.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Previewed {
    version: u32,
    #[serde(flatten)]
    preview: Preview,
}

#[utoipa::path(
    post, path = "/v1/templates/{name}/preview", tag = "notifications", security(("app" = [])),
    request_body = PreviewRequest, params(("name" = String, Path)),
    responses((status = 200, description = "What a target would be told; nothing is sent", body = Previewed)),
)]
pub(crate) async fn preview<E: Engine, S: Shards>(
    AppCaller { api, app }: AppCaller<E, S>,
    UrlPath(name): UrlPath<String>,
    JsonBody(request): JsonBody<PreviewRequest>,
) -> Answer<Previewed> {
    AppCaller::<E, S>::may(&app, Scope::Send)?;
    let PreviewRequest { data, locale, medium, version } = request;
    api.charge(UserId(app.id), WORK_REQUESTS)?;
    let stored = templates::get(&api.engine, app.id, &name, version).await?;
    let Stored { version, template, .. } = stored.ok_or_else(|| no_such(&name, version))?;
    let engine = api.config.templates.clone();
    let preview = api.work(move || engine.preview(&template, &data, &locale, medium)).await?;
    Ok(Json(Previewed { version, preview: preview.map_err(Problem::bad_request)? }))
}

fn no_such(name: &str, version: Option<u32>) -> Problem {
    let version = version.map_or_else(String::new, |version| format!(" of version {version}"));
    Problem::new(ErrorCode::UnknownChannel, format!("there is no template {name:?}{version}"))
}
