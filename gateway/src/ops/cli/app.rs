//! `rookery app`: the applications that may send notifications through a store, or use its server API, by a node that has it
//! open.
//!
//! Owns the table and what is said of a secret. What they are the node says.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use schema::UnixMs;
use schema::hook::HookKind;
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::ops::terminal::{print, table};
use crate::runtime;

use super::ask::asked;
use super::help;
use super::settings::Settings;

/// Events that a node counts of those that wait for a webhook.
const WAITING_MAX: u64 = 10_000;
/// As many kinds of events as there are.
const EVERY_EVENT: usize = HookKind::ALL.len() - 1;

#[derive(Debug, Subcommand)]
pub(super) enum AppCommand {
    /// Make an application, and show its key and its secret
    Create(CreateArgs),
    /// Show every application
    List(ListArgs),
    /// Give an application a further secret; of those before the newest still counts
    Rotate(KeyArgs),
    /// End an application: none of its secrets counts any more, and what it asked for is told nobody any more
    Revoke(KeyArgs),
    /// Have an application called with what becomes of its notifications, or no more
    Events(EventsArgs),
    /// Show applications' webhooks and how they fare, and pause, resume or end one
    #[command(after_help = help::APP_HOOKS_EXAMPLES)]
    Hooks(HooksArgs),
}

#[derive(Debug, Args)]
pub(super) struct CreateArgs {
    /// What it is called in lists
    name: String,

    /// What it may do: send and read notifications, server for all of the server API, hooks for webhooks, moderate for webhooks that decide on messages; send,read unless given
    #[arg(long, value_name = "SCOPE,…", value_delimiter = ',')]
    scopes: Vec<String>,

    /// Whether it is a backend that uses the server API: send, read and server
    #[arg(long, conflicts_with = "scopes")]
    server: bool,

    /// Users that it may notify a day; not limited unless given
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true)]
    quota: u32,

    #[command(flatten)]
    settings: Settings,
}

#[derive(Debug, Args)]
pub(super) struct ListArgs {
    /// Print the answer of the node as it is, JSON
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    settings: Settings,
}

#[derive(Debug, Args)]
pub(super) struct KeyArgs {
    /// The application's key, as `rookery app list` shows it
    key: String,

    #[command(flatten)]
    settings: Settings,
}

#[derive(Debug, Args)]
pub(super) struct EventsArgs {
    /// The application's key, as `rookery app list` shows it
    key: String,

    /// Where it is called: https, on a public address
    #[arg(long, value_name = "URL", required_unless_present = "off", conflicts_with = "off")]
    url: Option<String>,

    /// Call it no more
    #[arg(long)]
    off: bool,

    #[command(flatten)]
    settings: Settings,
}

#[derive(Debug, Args)]
pub(super) struct HooksArgs {
    /// The key of the application whose webhooks are shown, as `rookery app list` shows it; those of all unless given
    key: Option<String>,

    /// Tell this webhook nothing until it is resumed; what it is asked before a message is stored, it is asked on
    #[arg(long, value_name = "HOOK", group = "change", conflicts_with = "key")]
    pause: Option<String>,

    /// Tell this webhook again: what is still there of before, and a hook.gap that says what may be missing
    #[arg(long, value_name = "HOOK", group = "change", conflicts_with = "key")]
    resume: Option<String>,

    /// End this webhook: it is told and asked nothing any more, and what it was to be told is forgotten
    #[arg(long, value_name = "HOOK", group = "change", conflicts_with = "key")]
    delete: Option<String>,

    /// Print the answer of the node as it is, JSON
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    settings: Settings,
}

pub(super) fn app(command: &AppCommand) -> anyhow::Result<ExitCode> {
    match command {
        AppCommand::Create(CreateArgs { name, scopes, server, quota, settings }) => {
            let all = ["send", "read", "server"].map(str::to_owned).to_vec();
            let scopes = if *server { &all } else { scopes };
            let wanted = json!({"name": name, "scopes": scopes, "quota_a_day": quota});
            let made = asked(settings, "POST", "/admin/apps", &wanted.to_string())?;
            print(&with_secret(&made))?;
        }
        AppCommand::List(ListArgs { json, settings }) => {
            let apps = asked(settings, "GET", "/admin/apps", "")?;
            print(&if *json { format!("{apps}\n") } else { listed(&apps) })?;
        }
        AppCommand::Rotate(KeyArgs { key, settings }) => {
            let rotated = asked(settings, "POST", &format!("/admin/apps/{key}/rotate"), "")?;
            print(&with_secret(&rotated))?;
        }
        AppCommand::Revoke(KeyArgs { key, settings }) => {
            let revoked = asked(settings, "POST", &format!("/admin/apps/{key}/revoke"), "")?;
            print(&format!("{} ({}) may do nothing any more\n", word(&revoked["key"]), word(&revoked["name"])))?;
        }
        AppCommand::Events(EventsArgs { key, url, off: _, settings }) => {
            let app = asked(settings, "POST", &format!("/admin/apps/{key}/events"), &json!({"url": url}).to_string())?;
            print(&called(&app))?;
        }
        AppCommand::Hooks(arguments) => hooks(arguments)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn hooks(HooksArgs { key, pause, resume, delete, json, settings }: &HooksArgs) -> anyhow::Result<()> {
    let changes = [
        (pause, "POST", "/pause", "is paused"),
        (resume, "POST", "/resume", "is told again"),
        (delete, "DELETE", "", "is ended"),
    ];
    for (hook, method, path, came) in changes {
        let Some(hook) = hook else { continue };
        let state = asked(settings, method, &format!("/admin/hooks/{hook}{path}"), "")?;
        let told = || format!("{hook} of {} ({}) {came}\n", word(&state["app_name"]), word(&state["url"]));
        return print(&if *json { format!("{state}\n") } else { told() });
    }
    let of = key.as_ref().map(|key| format!("?app={key}")).unwrap_or_default();
    let hooks = asked(settings, "GET", &format!("/admin/hooks{of}"), "")?;
    print(&if *json { format!("{hooks}\n") } else { hooks_listed(&hooks, runtime::wall()) })
}

/// A text, or nothing.
fn word(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// The key and the secret on lines of their own, for whoever pipes them on.
fn with_secret(app: &Value) -> String {
    let (name, key, secret) = (word(&app["name"]), word(&app["key"]), word(&app["secret"]));
    let secrets = app["secrets_ms"].as_array().map_or(0, Vec::len);
    let counts = if secrets > 1 { "; the one before it counts until the next is drawn" } else { "" };
    format!("key     {key}\nsecret  {secret}\n\n{name}: the secret is not shown again{counts}\n")
}

/// Where an application is called from now on, and what calls are signed with.
fn called(app: &Value) -> String {
    let (name, key, url) = (word(&app["name"]), word(&app["key"]), word(&app["events_url"]));
    if url.is_empty() {
        return format!("{key} ({name}) is called no more\n");
    }
    let secret = word(&app["events_secret"]);
    format!(
        "url     {url}\nsecret  {secret}\n\n{name} is called with what happens from now on; the secret is not shown again\n"
    )
}

fn listed(apps: &Value) -> String {
    let mut rows = vec![["KEY", "NAME", "SCOPES", "A DAY", "SECRETS", "SINCE", "EVENTS TO"].map(str::to_owned)];
    for app in apps.as_array().into_iter().flatten() {
        let scopes: Vec<&str> = app["scopes"].as_array().into_iter().flatten().map(word).collect();
        let quota = app["quota_a_day"].as_u64().unwrap_or_default();
        let secrets = app["secrets_ms"].as_array().map_or(0, Vec::len);
        rows.push([
            word(&app["key"]).to_owned(),
            word(&app["name"]).to_owned(),
            scopes.join(","),
            if quota == 0 { "any".to_owned() } else { quota.to_string() },
            if secrets == 0 { "revoked".to_owned() } else { secrets.to_string() },
            day(app["created_ms"].as_u64().unwrap_or_default()),
            app["events_url"].as_str().unwrap_or("-").to_owned(),
        ]);
    }
    if rows.len() == 1 { "no applications; make one with `rookery app create NAME`\n".to_owned() } else { table(&rows) }
}

fn hooks_listed(hooks: &Value, now: UnixMs) -> String {
    let mut rows =
        vec![["HOOK", "APP", "TELLS", "ASKED", "WAITS", "SINCE", "LAST CALL", "STATE", "URL"].map(str::to_owned)];
    for hook in hooks.as_array().into_iter().flatten() {
        let words = |field: &str| {
            let words: Vec<&str> = hook[field].as_array().into_iter().flatten().map(word).collect();
            if words.is_empty() { "-".to_owned() } else { words.join(",") }
        };
        let waiting = hook["waiting"].as_u64().unwrap_or_default();
        rows.push([
            word(&hook["id"]).to_owned(),
            word(&hook["app_name"]).to_owned(),
            if hook["events"].as_array().is_some_and(|events| events.len() >= EVERY_EVENT) {
                "*".to_owned()
            } else {
                words("events")
            },
            words("before"),
            if waiting >= WAITING_MAX { format!("{waiting}+") } else { waiting.to_string() },
            hook["oldest_ms"].as_u64().map_or_else(|| "-".to_owned(), |oldest| ago(now.since_ms(UnixMs(oldest)))),
            last_call(&hook["last_call"], now),
            match word(&hook["paused_why"]) {
                "" => "told".to_owned(),
                why => format!("paused: {why}"),
            },
            word(&hook["url"]).to_owned(),
        ]);
    }
    if rows.len() == 1 {
        "no webhooks; an application makes one with POST /v1/hooks\n".to_owned()
    } else {
        table(&rows)
    }
}

/// What its last call came to, and when.
fn last_call(call: &Value, now: UnixMs) -> String {
    let Some(at) = call["at_ms"].as_u64() else { return "-".to_owned() };
    let came = match (call["status"].as_u64().unwrap_or_default(), word(&call["error"])) {
        (0, why) => why.to_owned(),
        (status, _) => status.to_string(),
    };
    format!("{came}, {}", ago(now.since_ms(UnixMs(at))))
}

/// How long ago, in the largest unit of which it is at least two.
fn ago(ms: u64) -> String {
    let seconds = ms / 1_000;
    match seconds {
        0..120 => format!("{seconds} s ago"),
        120..7_200 => format!("{} min ago", seconds / 60),
        7_200..172_800 => format!("{} h ago", seconds / 3_600),
        _ => format!("{} days ago", seconds / 86_400),
    }
}

/// The day of a time.
fn day(ms: u64) -> String {
    let at = OffsetDateTime::from_unix_timestamp(i64::try_from(ms / 1_000).unwrap_or(i64::MAX));
    let text = at.ok().and_then(|at| at.format(&Rfc3339).ok()).unwrap_or_default();
    text.split('T').next().unwrap_or_default().to_owned()
}
