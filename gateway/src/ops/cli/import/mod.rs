//! `rookery import`: users, channels and messages of another chat, with the times that they had there.
//!
//! Owns the two commands. What a source says is [`slack`]'s or [`lines`]'s, in the words of [`history`]; who writes it, and
//! where it goes on after an interruption, is [`writer`]'s.
//!
//! ```text
//! slack, lines ─► history: users, channels, messages ─► writer ─► chat::imports
//! ```

mod history;
mod lines;
mod slack;
mod writer;

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use chat::accounts::SYSTEM_NAMESPACE;
use clap::{Args, Subcommand};

use crate::config::Config;
use crate::ops::cli::help;
use crate::ops::cli::settings::Settings;
use crate::ops::terminal;
use crate::store::NodeStore;

use super::store::{StoreTask, Wanted, open};
use writer::Writer;

#[derive(Debug, Subcommand)]
pub(super) enum ImportCommand {
    /// Take over what Slack has exported, as a ZIP file or unpacked
    #[command(after_help = help::IMPORT_SLACK_EXAMPLES)]
    Slack(Slack),
    /// Take over what is written as JSON, a line each for a user, a channel, a message
    #[command(after_help = help::IMPORT_LINES_EXAMPLES)]
    Lines(Lines),
}

impl ImportCommand {
    pub(super) fn run(&self) -> anyhow::Result<ExitCode> {
        match self {
            Self::Slack(task) => open(task),
            Self::Lines(task) => open(task),
        }
    }
}

#[derive(Debug, Args)]
pub(super) struct Slack {
    /// The ZIP file of the export, or the directory that it was unpacked into
    #[arg(value_name = "EXPORT")]
    export: PathBuf,

    /// Whose users these are: the namespace of the issuer whose tokens will speak for them; `server` is the server API's
    #[arg(long, value_name = "NAME", default_value = "server", value_parser = namespace)]
    namespace: String,

    #[command(flatten)]
    who: Who,

    #[command(flatten)]
    settings: Settings,
}

#[derive(Debug, Args)]
pub(super) struct Lines {
    /// The file
    #[arg(value_name = "FILE")]
    file: PathBuf,

    /// Whose users these are: the namespace of the issuer whose tokens will speak for them; `server` is the server API's
    #[arg(long, value_name = "NAME", default_value = "server", value_parser = namespace)]
    namespace: String,

    #[command(flatten)]
    who: Who,

    #[command(flatten)]
    settings: Settings,
}

/// A namespace that users may be of. Nobody but applications has accounts in that of their own, which may do everything.
fn namespace(text: &str) -> Result<String, String> {
    if text == SYSTEM_NAMESPACE {
        return Err("it is that of the applications' own accounts: name another".to_owned());
    }
    Ok(text.to_owned())
}

#[derive(Debug, Args)]
struct Who {
    /// A file for who is who: a line each, the id there, a tab, the id here
    #[arg(long = "users-to", value_name = "FILE")]
    users_to: Option<PathBuf>,
}

impl StoreTask for Slack {
    const WANTED: Wanted = Wanted::Any;

    fn settings(&self) -> &Settings {
        &self.settings
    }

    async fn run<S: NodeStore>(&self, _: &Config, store: &S) -> anyhow::Result<()> {
        let place = || format!("cannot import {}", self.export.display());
        let export = slack::Export::open(&self.export).with_context(place)?;
        let mut writer = Writer::new(store, &self.namespace);
        export.read(&mut writer).await.with_context(place)?;
        done(writer, &self.who).await.with_context(place)
    }
}

impl StoreTask for Lines {
    const WANTED: Wanted = Wanted::Any;

    fn settings(&self) -> &Settings {
        &self.settings
    }

    async fn run<S: NodeStore>(&self, _: &Config, store: &S) -> anyhow::Result<()> {
        let place = || format!("cannot import {}", self.file.display());
        let mut writer = Writer::new(store, &self.namespace);
        lines::read(&self.file, &mut writer).await.with_context(place)?;
        done(writer, &self.who).await.with_context(place)
    }
}

/// Writes what is left, and says what became of all.
async fn done<S: NodeStore>(writer: Writer<'_, S>, who: &Who) -> anyhow::Result<()> {
    if let Some(file) = &who.users_to {
        fs::write(file, writer.users()).with_context(|| format!("cannot write {}", file.display()))?;
    }
    let (report, all_written) = writer.finish().await?;
    terminal::print(&report)?;
    anyhow::ensure!(all_written, "some channels were left out, for the reasons above");
    Ok(())
}
