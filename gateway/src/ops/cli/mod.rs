//! What the operator may ask for, and the `--help` that teaches it.
//!
//! Owns the subcommands, the one-line errors and the exit codes. Every key of the configuration is a flag of every
//! command that reads it, from the table in [`crate::config`].

mod settings;
mod store;

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, bail};
use api::token::{Claims, FAMILY_OPERATOR, TokenKey};
use chat::push::LIST_MAX;
use clap::error::ErrorKind;
use clap::{Args, Parser, Subcommand};
use schema::{DeviceId, UnixMs, UserId};

use crate::config::{self, KEYS, Mode};
use crate::lifecycle;
use crate::ops::doctor;
use crate::telemetry::logs::Logs;

use settings::Settings;

const LONG_VERSION: &str = concat!(env!("CARGO_PKG_VERSION"), " (commit ", env!("ROOKERY_COMMIT"), ")");

/// The command line was not understood.
const EXIT_USAGE: u8 = 2;
/// Longest life of an operator's token: a year.
const TTL_MAX: Duration = Duration::from_secs(366 * 24 * 3600);

const EXAMPLES: &str = "\
Examples:
  See whether this machine has what a node needs:
      rookery doctor

  Write down every key with its default, change some, and see what is in force:
      rookery checkconfig --defaults > rookery.toml
      rookery checkconfig --config rookery.toml

  Chat on this machine, in two browser tabs:
      rookery dev

  A node in production:
      rookery run --config rookery.toml

  Verify the order, the duplicates and the inboxes of a node that is stopped:
      rookery store check --data /var/lib/rookery

  An access token for a user, to try something with curl:
      rookery gentoken --user 81265426874630144 --data /var/lib/rookery

Exit codes: 0 when it did what was asked; 1 when it could not, with one line on standard error that
says why and what to do; 2 when the command line was not understood; 130 or 143 when a second SIGINT
or SIGTERM ended it before it had stopped.";

const CHECKCONFIG_EXAMPLES: &str = "\
Examples:
  rookery checkconfig --config rookery.toml
  rookery checkconfig --config rookery.toml --ws 0.0.0.0:8001
  ROOKERY_NODE__SHARDS=4 rookery checkconfig
  rookery checkconfig --defaults > rookery.toml

Exit code 0 if a node would start with it, 1 with one line that says what is wrong.";

const GENTOKEN_EXAMPLES: &str = "\
Examples:
  A token for one day, with the key of the node whose data directory this is:
      rookery gentoken --user 81265426874630144 --data /var/lib/rookery --ttl 1d

  One that a single device may use, with a key from elsewhere:
      rookery gentoken --user 81265426874630144 --device phone-1 --auth.key_file /etc/rookery/token.key

The token goes to standard output. It is not checked that the user exists. Whoever holds it speaks for
that user until it expires; logging out does not revoke it.";

const DOCTOR_EXAMPLES: &str = "\
Examples:
  rookery doctor
  rookery doctor --config rookery.toml
  rookery doctor --shards 8 --limits.connections 500000

Run it as the user that runs the node, while the node is stopped. Exit code 1 if something is lacking.";

const DEV_EXAMPLES: &str = "\
Examples:
  Everything on this machine, with two users and a page to chat on:
      rookery dev

  On free ports, with a store to throw away, and more in the logs:
      rookery dev --api 127.0.0.1:0 --ws 127.0.0.1:0 --internal 127.0.0.1:0 --data /tmp/try --log debug

The ready line and the links go to standard output, logs to standard error. Ctrl-C stops it. What was
written stays in ./dev.rkdata: remove it to begin anew.";

const RUN_EXAMPLES: &str = "\
Examples:
  rookery run --config /etc/rookery/rookery.toml
  rookery run --data /var/lib/rookery --shards 2
  ROOKERY_LISTEN__WS=0.0.0.0:8001 rookery run --node.ws_url wss://chat.example.org

It is ready when `ready api=URL ws=URL internal=URL` is on standard output; logs go to standard error.
SIGTERM: clients are told (3001), what is under way ends, exit 0 within 10 s. A second one ends it at once.";

const STORE_CHECK_EXAMPLES: &str = "\
Examples:
  rookery store check --data /var/lib/rookery
  rookery store check --config rookery.toml

The node must be stopped: a store has one owner. On a cluster every node must be; one that serves is noticed by its heartbeat,
and checked beside only with --beside-nodes. Nothing is changed. Exit code 1 with the first violation.";

const STORE_EXPORT_EXAMPLES: &str = "\
Examples:
  rookery store export --to chat.dump --data /var/lib/rookery

The node must be stopped. Begun again after an interruption, it goes on with the same file. The dump holds accounts with
their password hashes: keep it as you keep the store. Inboxes are not in it; clients are given a snapshot instead.";

const STORE_IMPORT_EXAMPLES: &str = "\
Examples:
  Into an empty data directory:
      rookery store import --from chat.dump --data /srv/rookery

  From the embedded store to FoundationDB:
      rookery store export --to chat.dump --data /var/lib/rookery
      rookery store import --from chat.dump --store.engine foundationdb --store.cluster_file /etc/foundationdb/fdb.cluster

The store must be empty. Begun again after an interruption, it goes on; until it has ended, no node opens the store. At its
end the store is checked. It is a new generation: cursors of the old store are refused (112), and what was acknowledged in
the old one is still known to be a repetition. Tokens stay valid if the key does: bring token.key along.";

const STORE_PUSH_EXAMPLES: &str = "\
Examples:
  rookery store push --list --data /var/lib/rookery
  rookery store push --list --json --data /var/lib/rookery | jq -r 'select(.decision == \"push\").username'

An item is a message that a member had no session for. DECISION is what a worker would decide when the item is due, half a
minute after the message, or now if that is past:
  gone     the user may not read the message any more    muted    the user wants no notifications there
  deleted  the message was deleted                       online   somebody uses a device of the user
  read     the user has read it                          push     the phone is told

USER and FROM are names and ids, times are UTC. The node must be stopped, but on a cluster. Nothing is changed. An item
that nobody fetched goes a day after it was due.";

/// A chat gateway: many WebSocket connections on few cores, every channel's history in order, nothing lost that it
/// acknowledged.
#[derive(Debug, Parser)]
#[command(name = "rookery", version = LONG_VERSION, after_help = EXAMPLES, subcommand_required = true, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Start everything on loopback: embedded store, two users, a web page; for trying and developing
    #[command(after_help = DEV_EXAMPLES)]
    Dev(Settings),
    /// Start a node in production
    #[command(after_help = RUN_EXAMPLES)]
    Run(Settings),
    /// Show the configuration in force and who set each key, or what is wrong with it
    #[command(after_help = CHECKCONFIG_EXAMPLES)]
    Checkconfig(CheckconfigArgs),
    /// Make an access token for a user, also beside a running node
    #[command(after_help = GENTOKEN_EXAMPLES)]
    Gentoken(GentokenArgs),
    /// Show what this machine lacks to run a node, and the remedy
    #[command(after_help = DOCTOR_EXAMPLES)]
    Doctor(Settings),
    /// Look into a store that no node has open
    #[command(subcommand)]
    Store(StoreCommand),
}

#[derive(Debug, Subcommand)]
enum StoreCommand {
    /// Walk the history and the inboxes, and verify order (I2), duplicates (I5) and inboxes (I6)
    #[command(after_help = STORE_CHECK_EXAMPLES)]
    Check(CheckArgs),
    /// Write everything into a file, to be imported into another store
    #[command(after_help = STORE_EXPORT_EXAMPLES)]
    Export(ExportArgs),
    /// Put what was exported into an empty store, of whichever engine, and check it
    #[command(after_help = STORE_IMPORT_EXAMPLES)]
    Import(ImportArgs),
    /// Show what the phones of absent users are to be told of
    #[command(after_help = STORE_PUSH_EXAMPLES)]
    Push(PushArgs),
}

#[derive(Debug, Args)]
struct ExportArgs {
    /// The file to write, or to go on with
    #[arg(long, value_name = "FILE")]
    to: PathBuf,

    #[command(flatten)]
    settings: Settings,
}

#[derive(Debug, Args)]
struct ImportArgs {
    /// The file that `rookery store export` wrote
    #[arg(long, value_name = "FILE")]
    from: PathBuf,

    #[command(flatten)]
    settings: Settings,
}

#[derive(Debug, Args)]
struct CheckArgs {
    /// Check a store on a cluster also while a node serves it: what is written meanwhile may look like a violation
    #[arg(long)]
    beside_nodes: bool,

    #[command(flatten)]
    settings: Settings,
}

#[derive(Debug, Args)]
struct PushArgs {
    /// Print the items, the one that is due first at the top
    #[arg(long, required = true)]
    list: bool,

    /// A JSON object a line instead of a table
    #[arg(long)]
    json: bool,

    /// So many items at most
    #[arg(long, value_name = "N", default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..=i64::from(LIST_MAX)))]
    limit: u32,

    #[command(flatten)]
    settings: Settings,
}

#[derive(Debug, Args)]
struct CheckconfigArgs {
    /// Print the documented rookery.toml with every default instead
    #[arg(long)]
    defaults: bool,

    #[command(flatten)]
    settings: Settings,
}

#[derive(Debug, Args)]
struct GentokenArgs {
    /// The user for whom it speaks
    #[arg(long, value_name = "ID")]
    user: UserId,

    /// The one device that may use it; any if left out
    #[arg(long, value_name = "ID")]
    device: Option<DeviceId>,

    /// How long it is valid: seconds, or with a unit: 90s, 30m, 12h, 7d
    #[arg(long, value_name = "TIME", default_value = "1h", value_parser = ttl)]
    ttl: Duration,

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

/// The error and its causes, each once: some name theirs in their own words.
fn told(error: &anyhow::Error) -> String {
    let mut told = String::new();
    for cause in error.chain().map(ToString::to_string) {
        if !told.contains(&cause) {
            told.push_str(if told.is_empty() { "" } else { ": " });
            told.push_str(&cause);
        }
    }
    told
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
        Command::Store(StoreCommand::Check(arguments)) => {
            store::check(&arguments.settings.load(Mode::Run)?, arguments.beside_nodes)
        }
        Command::Store(StoreCommand::Export(arguments)) => {
            store::export(&arguments.settings.load(Mode::Run)?, &arguments.to)
        }
        Command::Store(StoreCommand::Import(arguments)) => {
            store::import(&arguments.settings.load(Mode::Run)?, &arguments.from)
        }
        Command::Store(StoreCommand::Push(arguments)) => {
            // `--list` is all that there is yet, and clap requires it.
            store::push(&arguments.settings.load(Mode::Run)?, arguments.limit, arguments.json)
        }
    }
}

fn serve(settings: &Settings, mode: Mode) -> anyhow::Result<ExitCode> {
    let config = settings.load(mode)?;
    // Dropped last, which writes the lines that wait.
    let _logs = Logs::start(&config.log)?;
    lifecycle::run(&config, mode)
}

fn checkconfig(arguments: &CheckconfigArgs) -> anyhow::Result<ExitCode> {
    if arguments.defaults {
        print(&config::document())?;
        return Ok(ExitCode::SUCCESS);
    }
    let config = arguments.settings.load(Mode::Run)?;
    let line = |key: &config::Key| {
        let value = key.show(&config).unwrap_or_else(|| "(not set)".to_owned());
        format!("{:<24} {value:<32} {}\n", key.name, config.origin(key.name))
    };
    print(&KEYS.iter().map(line).collect::<String>())?;
    for warning in config.warnings(Mode::Run) {
        fail(&format!("warning: {warning}"), 0);
    }
    Ok(ExitCode::SUCCESS)
}

fn gentoken(arguments: &GentokenArgs) -> anyhow::Result<ExitCode> {
    let config = arguments.settings.load(Mode::Run)?;
    let key = match &config.auth.key {
        Some(secret) => TokenKey::new(secret.bytes()),
        None => TokenKey::load(&config.key_file()).context(
            "no key to sign with; name a node's directory with --data (rookery dev: --data dev.rkdata) or a key with \
             --auth.key_file",
        )?,
    };
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let now_ms = since.context("the clock is before 1970; set it")?.as_millis();
    let ttl_ms = u64::try_from(arguments.ttl.as_millis()).expect("a year in milliseconds");
    let claims = Claims {
        user: arguments.user,
        family: FAMILY_OPERATOR,
        device: arguments.device.clone(),
        expires_ms: UnixMs(u64::try_from(now_ms).expect("milliseconds since 1970")).plus_ms(ttl_ms),
    };
    print(&format!("{}\n", key.issue(&claims)))?;
    Ok(ExitCode::SUCCESS)
}

fn ttl(text: &str) -> anyhow::Result<Duration> {
    let (number, unit_s) = match text.char_indices().last() {
        Some((at, 's')) => (&text[..at], 1),
        Some((at, 'm')) => (&text[..at], 60),
        Some((at, 'h')) => (&text[..at], 3600),
        Some((at, 'd')) => (&text[..at], 24 * 3600),
        _ => (text, 1),
    };
    let ttl_s = number.parse::<u64>().ok().map(|number| number.saturating_mul(unit_s));
    match ttl_s.map(Duration::from_secs) {
        Some(ttl) if !ttl.is_zero() && ttl <= TTL_MAX => Ok(ttl),
        _ => bail!("expected a time from 1s to 366d, such as 90s, 30m, 12h or 7d"),
    }
}

/// Standard output, whose end may be a pager that was closed.
fn print(text: &str) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    let written = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    written.context("cannot write to standard output")
}

/// One line on standard error.
fn fail(message: &str, code: u8) -> ExitCode {
    let line = message.split('\n').map(str::trim).filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" ");
    // Where standard error is closed there is nobody to tell.
    let _ = writeln!(io::stderr().lock(), "rookery: {line}");
    ExitCode::from(code)
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
    fn a_tokens_life_has_a_unit_and_a_bound() {
        let check = |text: &str, seconds: Option<u64>| {
            assert_eq!(ttl(text).ok(), seconds.map(Duration::from_secs), "{text}");
        };
        check("90", Some(90));
        check("90s", Some(90));
        check("30m", Some(1_800));
        check("1h", Some(3_600));
        check("366d", Some(31_622_400));
        check("367d", None);
        check("0s", None);
        check("-1h", None);
        check("1w", None);
        check("1hd", None);
        check("99999999999999999999d", None);
        check("", None);
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
