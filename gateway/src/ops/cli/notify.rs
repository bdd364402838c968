//! `rookery notify`: how much waits to be sent, what was given up, and to try that again, by a running node.
//!
//! Owns the tables. What stands in them the node says.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use schema::Medium;
use serde_json::Value;

use crate::ops::terminal::{print, table};

use super::ask::asked;
use super::settings::Settings;

#[derive(Debug, Subcommand)]
pub(super) enum NotifyCommand {
    /// Show how much waits in each queue, and how much was given up
    Status(StatusArgs),
    /// Show what was given up of a medium, the earliest first
    Dead(DeadArgs),
    /// Try again what was given up of a medium
    Replay(ReplayArgs),
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

fn dead(given_up: &Value, medium: Medium) -> String {
    let mut rows = vec![["NOTICE", "USER", "DEVICE", "ATTEMPTS", "WHY"].map(str::to_owned)];
    for one in given_up.as_array().into_iter().flatten() {
        rows.push(["notice_id", "user_id", "device_id", "attempts", "why"].map(|field| word(&one[field])));
    }
    if rows.len() == 1 { format!("nothing of {medium} was given up\n") } else { table(&rows) }
}
