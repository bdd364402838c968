//! Command line: the subcommands, their arguments and exit codes.
//!
//! Owns what is understood and what is answered where it is not. Every key of the configuration is a flag of every
//! command that reads it ([`crate::config`]).

mod app;
mod ask;
mod gentoken;
mod help;
mod import;
mod nodes;
mod notify;
mod settings;
mod store;

use std::io::{self, Write as _};
use std::path::Path;
use std::process::ExitCode;

use ::notify::Providers;
use clap::error::ErrorKind;
use clap::{Args, Parser, Subcommand};

use crate::config::{self, Mode};
use crate::lifecycle;
use crate::ops::doctor;
use crate::ops::terminal::{fail, print, told};
use crate::telemetry::logs::Logs;

use app::AppCommand;
use gentoken::{GentokenArgs, gentoken};
use import::ImportCommand;
use nodes::{DrainArgs, NodesArgs, drain, nodes};
use notify::NotifyCommand;
use settings::Settings;
use store::StoreCommand;

const LONG_VERSION: &str = concat!(env!("CARGO_PKG_VERSION"), " (commit ", env!("ROOKERY_COMMIT"), ")");

/// The command line was not understood.
const EXIT_USAGE: u8 = 2;

/// A chat gateway: many WebSocket connections on few cores, every channel's history in order, nothing lost that it
/// acknowledged.
#[derive(Debug, Parser)]
#[command(name = "rookery", version = LONG_VERSION, after_help = help::EXAMPLES, subcommand_required = true, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Start everything on loopback: embedded store, two users, a web page; for trying and developing
    #[command(after_help = help::DEV_EXAMPLES)]
    Dev(Settings),
    /// Start a node in production
    #[command(after_help = help::RUN_EXAMPLES)]
    Run(Settings),
    /// Show the configuration in force and who set each key, or what is wrong with it
    #[command(after_help = help::CHECKCONFIG_EXAMPLES)]
    Checkconfig(CheckconfigArgs),
    /// Make an access token for a user, also beside a running node
    #[command(after_help = help::GENTOKEN_EXAMPLES)]
    Gentoken(GentokenArgs),
    /// Show what this machine lacks to run a node, and the remedy
    #[command(after_help = help::DOCTOR_EXAMPLES)]
    Doctor(Settings),
    /// Show every node of a store, and the links of the one that is asked
    #[command(after_help = help::NODES_EXAMPLES)]
    Nodes(NodesArgs),
    /// Have a running node hand over, send its clients to other nodes, and end
    #[command(after_help = help::DRAIN_EXAMPLES)]
    Drain(DrainArgs),
    /// Make, list and end applications: backends that send notifications, use the server API or have webhooks
    #[command(subcommand, after_help = help::APP_EXAMPLES)]
    App(AppCommand),
    /// Show how many notifications wait or were given up, try these again, and have users told something
    #[command(subcommand, after_help = help::NOTIFY_EXAMPLES)]
    Notify(NotifyCommand),
    /// Look into a store that no node has open
    #[command(subcommand)]
    Store(StoreCommand),
    /// Take over users, channels and messages of another chat, with their times, into a store that no node has open
    #[command(subcommand)]
    Import(ImportCommand),
}

#[derive(Debug, Args)]
struct CheckconfigArgs {
    /// Print the documented rookery.toml with every default instead
    #[arg(long)]
    defaults: bool,

    #[command(flatten)]
    settings: Settings,
}

/// Runs the program: the command line of this process, its standard streams, its exit code.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return usage(&error),
    };
    match run(cli.command) {
        Ok(code) => code,
        Err(error) => fail(&told(&error), 1),
    }
}

fn run(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Dev(settings) => serve(&settings, Mode::Dev),
        Command::Run(settings) => serve(&settings, Mode::Run),
        Command::Checkconfig(arguments) => checkconfig(&arguments),
        Command::Gentoken(arguments) => gentoken(&arguments),
        Command::Doctor(settings) => {
            let report = doctor::examine(&settings.load(Mode::Run)?);
            print(&report.to_string())?;
            Ok(if report.lacks_nothing() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
        }
        Command::Nodes(arguments) => nodes(&arguments),
        Command::Drain(arguments) => drain(&arguments),
        Command::App(command) => app::app(&command),
        Command::Notify(command) => notify::notify(&command),
        Command::Store(command) => command.run(),
        Command::Import(command) => command.run(),
    }
}

fn serve(settings: &Settings, mode: Mode) -> anyhow::Result<ExitCode> {
    let config = settings.load(mode)?;
    // Dropped last, which writes the lines that wait.
    let _logs = Logs::start(&config)?;
    lifecycle::run(&config, mode)
}

fn checkconfig(arguments: &CheckconfigArgs) -> anyhow::Result<ExitCode> {
    if arguments.defaults {
        print(config::DOCUMENT)?;
        return Ok(ExitCode::SUCCESS);
    }
    let config = arguments.settings.load(Mode::Run)?;
    // What it names is read here too, since a node would not start with one that does not do.
    config.providers_file.as_deref().map(notify_providers).transpose()?;
    config.issuers_file.as_deref().map(lifecycle::load_issuers).transpose()?;
    lifecycle::api_tls(&config)?;
    crate::machine::media::place(&config)?;
    let line = |key: &clap::Arg| {
        let name = key.get_id().as_str();
        let value = config.show(key, Mode::Run).unwrap_or_else(|| "(not set)".to_owned());
        format!("{name:<24} {value:<32} {}\n", config.named_by(name).unwrap_or("default"))
    };
    print(&config::keys().map(line).collect::<String>())?;
    for warning in config.warnings(Mode::Run) {
        fail(&format!("warning: {warning}"), 0);
    }
    Ok(ExitCode::SUCCESS)
}

/// Reads a file of providers with all the keys that it names.
fn notify_providers(file: &Path) -> anyhow::Result<()> {
    Providers::load(file).map(drop).map_err(Into::into)
}

/// What clap says, in one line where it is an error.
fn usage(error: &clap::Error) -> ExitCode {
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
            let shown = print(&error.to_string());
            shown.map_or_else(|error| fail(&told(&error), 1), |()| ExitCode::SUCCESS)
        }
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            // As in `fail`.
            let _ = write!(io::stderr().lock(), "{error}");
            ExitCode::from(EXIT_USAGE)
        }
        _ => fail(&one_line(&error.to_string()), EXIT_USAGE),
    }
}

/// Clap's message without the usage, which `--help` shows.
fn one_line(message: &str) -> String {
    let told =
        message.split("Usage:").next().unwrap_or(message).split("For more information").next().unwrap_or(message);
    let parts = told.trim_start_matches("error: ").lines().map(str::trim).filter(|line| !line.is_empty());
    let joined = parts.collect::<Vec<_>>().join(" ").replace(" tip: ", "; ");
    format!("{joined}; see --help")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_does_not_contradict_itself() {
        use clap::CommandFactory as _;
        Cli::command().debug_assert();
    }

    #[test]
    fn a_mistyped_command_is_answered_in_one_line() {
        let check = |words: &str, expected: &str| {
            let error = Cli::try_parse_from(words.split(' ')).expect_err("it is wrong");
            assert_eq!(one_line(&error.to_string()), expected, "{words}");
        };
        check("rookery docter", "unrecognized subcommand 'docter'; a similar subcommand exists: 'doctor'; see --help");
        check("rookery doctor --shard 3", {
            "unexpected argument '--shard' found; a similar argument exists: '--shards'; see --help"
        });
        check("rookery doctor --data", "a value is required for '--data <PATH>' but none was supplied; see --help");
        check("rookery gentoken", "the following required arguments were not provided: --user <ID>; see --help");
        check("rookery gentoken --user x", {
            "invalid value 'x' for '--user <ID>': expected a user id: a decimal string; see --help"
        });
    }
}
