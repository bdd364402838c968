//! `rookery notify`: how much waits to be sent, what was given up, to try that again, and to have users told something, by
//! a running node.
//!
//! Owns the tables. What stands in them the node says.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use schema::{Medium, NoticeId};
use serde_json::{Value, json};

use crate::ops::terminal::{print, table};

use super::ask::asked;
use super::help;
use super::settings::Settings;

#[derive(Debug, Subcommand)]
pub(super) enum NotifyCommand {
    /// Show how much waits in each queue, and how much was given up
    Status(StatusArgs),
    /// Show what was given up of a medium, the earliest first
    Dead(DeadArgs),
    /// Try again what was given up of a medium
    Replay(ReplayArgs),
    /// Have users told something
    #[command(after_help = help::NOTIFY_SEND_EXAMPLES)]
    Send(SendArgs),
    /// Show what became of a notification
    Show(ShowArgs),
    /// Have a notification told nobody any more, of whichever application: also one that recurs
    Cancel(CancelArgs),
}

#[derive(Debug, Args)]
pub(super) struct StatusArgs {
    /// Print the answer of the node as it is, JSON
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    settings: Settings,
}

#[derive(Debug, Args)]
pub(super) struct DeadArgs {
    /// apns, fcm, webpush, mail, sms or webhook
    medium: Medium,

    /// So many at most
    #[arg(long, value_name = "N", default_value_t = 100)]
    limit: u32,

    /// Print the answer of the node as it is, JSON
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    settings: Settings,
}

#[derive(Debug, Args)]
pub(super) struct ReplayArgs {
    /// apns, fcm, webpush, mail, sms or webhook
    medium: Medium,

    #[command(flatten)]
    settings: Settings,
}

#[derive(Debug, Args)]
pub(super) struct SendArgs {
    /// Whom: ids of users, or names that are no numbers; 1,000 at most
    #[arg(value_name = "USER", required = true)]
    users: Vec<String>,

    /// One line of at most 200 characters
    #[arg(long)]
    title: String,

    /// The text
    #[arg(long, default_value = "", hide_default_value = true)]
    body: String,

    /// What kind it is: users choose by it what they are told
    #[arg(long, default_value = "operator")]
    category: String,

    /// By what: apns, fcm, webpush, mail, sms or webhook; by those of devices unless given
    #[arg(long = "medium", value_name = "MEDIUM,…", value_delimiter = ',')]
    media: Vec<Medium>,

    /// It is worth waking a device for
    #[arg(long)]
    urgent: bool,

    /// Print the answer of the node as it is, JSON
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    settings: Settings,
}

#[derive(Debug, Args)]
pub(super) struct ShowArgs {
    /// Its id, as `rookery notify send` or an application was told it
    notice: NoticeId,

    /// Print the answer of the node as it is, JSON
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    settings: Settings,
}

#[derive(Debug, Args)]
pub(super) struct CancelArgs {
    /// Its id
    notice: NoticeId,

    #[command(flatten)]
    settings: Settings,
}

pub(super) fn notify(command: &NotifyCommand) -> anyhow::Result<ExitCode> {
    match command {
        NotifyCommand::Status(StatusArgs { json, settings }) => {
            let queues = asked(settings, "GET", "/admin/notify", "")?;
            print(&if *json { format!("{queues}\n") } else { waiting(&queues) })?;
        }
        NotifyCommand::Dead(DeadArgs { medium, limit, json, settings }) => {
            let given_up = asked(settings, "GET", &format!("/admin/notify/{medium}/dead?limit={limit}"), "")?;
            print(&if *json { format!("{given_up}\n") } else { dead(&given_up, *medium) })?;
        }
        NotifyCommand::Replay(ReplayArgs { medium, settings }) => {
            let replayed = asked(settings, "POST", &format!("/admin/notify/{medium}/replay"), "")?;
            print(&format!("{} of {medium} are tried again\n", replayed["replayed"]))?;
        }
        NotifyCommand::Send(SendArgs { users, title, body, category, media, urgent, json, settings }) => {
            let wanted = json!({
                "to": users, "title": title, "body": body, "category": category, "media": media, "urgent": urgent,
            });
            let sent = asked(settings, "POST", "/admin/notify/send", &wanted.to_string())?;
            let (id, users) = (word(&sent["id"]), word(&sent["recipients"]));
            print(&if *json { format!("{sent}\n") } else { format!("notice  {id}\nusers   {users}\n") })?;
        }
        NotifyCommand::Show(ShowArgs { notice, json, settings }) => {
            let shown = asked(settings, "GET", &format!("/admin/notify/notices/{notice}"), "")?;
            print(&if *json { format!("{shown}\n") } else { became(&shown) })?;
        }
        NotifyCommand::Cancel(CancelArgs { notice, settings }) => {
            let cancelled = asked(settings, "POST", &format!("/admin/notify/notices/{notice}/cancel"), "")?;
            let said = if cancelled["changed"] == true { "is told nobody any more" } else { "was cancelled before" };
            print(&format!("{notice} {said}\n"))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// A text, or a number as one.
fn word(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

fn waiting(queues: &Value) -> String {
    let mut rows = vec![["QUEUE", "WAITING", "DUE FOR", "DEAD"].map(str::to_owned)];
    for queue in queues.as_array().into_iter().flatten() {
        let due_for_s = queue["oldest_ms"].as_u64().unwrap_or_default() / 1_000;
        rows.push([
            word(&queue["queue"]),
            word(&queue["waiting"]),
            if due_for_s == 0 { String::new() } else { format!("{due_for_s} s") },
            word(&queue["dead"]),
        ]);
    }
    table(&rows)
}

fn became(notice: &Value) -> String {
    let states = notice["states"].as_object().into_iter().flatten().map(|(state, count)| format!("{count} {state}"));
    let mut states: Vec<String> = states.collect();
    if notice["cancelled_ms"].is_number() {
        states.push("cancelled".to_owned());
    }
    let states = if states.is_empty() { "not due yet, or nobody to tell".to_owned() } else { states.join(", ") };
    let app = if notice["app"].is_null() { "an operator".to_owned() } else { word(&notice["app"]) };
    let mut rows = vec![["USER", "BY", "DEVICE", "STATE", "ATTEMPTS", "WHY"].map(str::to_owned)];
    for target in notice["targets"].as_array().into_iter().flatten() {
        rows.push(["user_id", "medium", "device_id", "state", "attempts", "why"].map(|field| word(&target[field])));
    }
    let targets = if rows.len() > 1 { format!("\n{}", table(&rows)) } else { String::new() };
    let (category, users) = (word(&notice["category"]), word(&notice["recipients"]));
    format!("of        {app}\ncategory  {category}\nusers     {users}\ntargets   {states}\n{targets}")
}

fn dead(given_up: &Value, medium: Medium) -> String {
    let mut rows = vec![["NOTICE", "USER", "DEVICE", "ATTEMPTS", "WHY"].map(str::to_owned)];
    for one in given_up.as_array().into_iter().flatten() {
        rows.push(["notice_id", "user_id", "device_id", "attempts", "why"].map(|field| word(&one[field])));
    }
    if rows.len() == 1 { format!("nothing of {medium} was given up\n") } else { table(&rows) }
}
