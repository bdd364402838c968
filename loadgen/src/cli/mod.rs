//! Command line: subcommands, flags, and the `--help` that teaches them.
//!
//! Owns flags, their defaults, bounds and examples. Opens nothing: the rules for addresses are in `target`.

mod crowds;
mod examples;
mod tools;

use std::num::{NonZeroU32, NonZeroU64};
use std::path::PathBuf;
use std::time::Duration;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, Parser, Subcommand};
use schema::Encoding;
use schema::limits::{BODY_CHARS_MAX, DEVICES_OF_USER_MAX, GROUP_MEMBERS_MAX};

pub(crate) use self::crowds::{
    ChurnArgs, FanoutArgs, FleetCommand, MillionArgs, SlowReadersArgs, StormArgs, TargetArgs,
};
use self::examples::EXAMPLES;
pub(crate) use self::tools::{CalibrateArgs, CompareArgs, PlanArgs};
use crate::condition::Condition;
use crate::report::Load;
use crate::stamp::BODY_CHARS_MIN;

/// Longest `--seconds` and `--warmup`: a day. A soak longer than that is better run as several.
const SECONDS_MAX: f64 = 86_400.0;

/// Clients by the hundred thousand against one WebSocket server, and what they measured.
///
/// One thread drives all connections. When that took more than 90 % of a core, on the whole or in more than a tenth of
/// the seconds, rates and latencies are the generator's and not the server's: the report says so, and no --fail-if
/// passes by them.
#[derive(Debug, Parser)]
#[command(name = "loadgen", version, after_help = EXAMPLES)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
#[expect(clippy::large_enum_variant, reason = "a process has one")]
pub(crate) enum Command {
    #[command(flatten)]
    Measure(Measurement),
    /// Compare two saved reports: what is more, what is less, and what is noise
    #[command(after_help = EXAMPLES)]
    Compare(CompareArgs),
    /// What worker processes carry out.
    #[command(flatten)]
    Fleet(FleetCommand),
    /// Plan a cluster: from a profile of its users to nodes, memory, network and disk, each with its arithmetic
    #[command(after_help = EXAMPLES)]
    Plan(PlanArgs),
    /// Measure a node for a plan: what a message, a member, a session and a connect take on this machine
    #[command(after_help = EXAMPLES)]
    Calibrate(CalibrateArgs),
}

/// What is measured against a server, and reported.
#[derive(Debug, Subcommand)]
pub(crate) enum Measurement {
    /// Send messages that come straight back: throughput and round-trip latency
    #[command(after_help = EXAMPLES)]
    Echo(EchoArgs),
    /// Hold connections open and quiet: what each costs, and whether any is lost
    #[command(after_help = EXAMPLES)]
    Idle(IdleArgs),
    /// Chat in channels, one connection an account: durable throughput, delivery, order, resumption
    #[command(after_help = EXAMPLES)]
    Chat(ChatArgs),
    /// Resume a device that was away: how long until it has all that it missed
    #[command(after_help = EXAMPLES)]
    CatchUp(CatchUpArgs),
    /// Have users come and go: how soon those who watch them are told
    #[command(after_help = EXAMPLES)]
    Presence(PresenceArgs),
}

impl Measurement {
    /// The flags that each has.
    pub(crate) fn common(&self) -> &Common {
        match self {
            Self::Echo(args) => &args.common,
            Self::Idle(args) => &args.common,
            Self::Chat(args) => &args.common,
            Self::CatchUp(args) => &args.common,
            Self::Presence(args) => &args.common,
        }
    }
}

/// Flags of what is said in sessions.
#[derive(Debug, Clone, Args)]
pub(crate) struct SessionArgs {
    /// The node's HTTP API, where accounts and channels are made; several are asked in turn while one cannot be reached
    #[arg(long, default_value = "http://127.0.0.1:8000", value_name = "URL")]
    pub(crate) api: Vec<String>,

    /// Where the accounts that were made are kept, to be used again
    #[arg(long, default_value = "loadgen-accounts.json", value_name = "FILE")]
    pub(crate) accounts: PathBuf,

    /// Sign access tokens with this key of the nodes (auth.key_file, or token.key in a data directory) instead of logging
    /// in, which costs a password's hash
    #[arg(long, value_name = "FILE")]
    pub(crate) token_key: Option<PathBuf>,

    /// Use these accounts, a line each that begins with an id, as `rookery store accounts` prints them, instead of making
    /// and keeping some
    #[arg(long, value_name = "FILE", requires = "token_key")]
    pub(crate) users: Option<PathBuf>,

    /// How requests and replies are written: FlatBuffers in binary frames, or JSON in text frames
    #[arg(long, default_value = "fb", value_name = "NAME", value_parser = encodings())]
    pub(crate) encoding: Encoding,
}

pub(crate) fn encodings() -> impl TypedValueParser<Value = Encoding> {
    let named = |name: String| if name == "fb" { Encoding::Fb } else { Encoding::Json };
    PossibleValuesParser::new(["fb", "json"]).map(named)
}

/// Flags of everything that is measured.
#[derive(Debug, Clone, Args)]
pub(crate) struct Common {
    /// Where to connect; without a path: /connection/websocket, or /debug/echo with --raw. Over several, connections
    /// are spread evenly
    #[arg(long, default_value = "ws://127.0.0.1:8001", value_name = "URL")]
    pub(crate) url: Vec<String>,

    /// Bare WebSocket messages, no sessions: works against any WebSocket echo server
    #[arg(long)]
    pub(crate) raw: bool,

    #[command(flatten)]
    pub(crate) sessions: SessionArgs,

    /// How many connections to hold
    #[arg(long, default_value = "100", value_name = "N")]
    pub(crate) connections: NonZeroU32,

    /// How long to measure, once all connections are open and warm
    #[arg(long, default_value = "10", value_name = "SECONDS", value_parser = seconds)]
    pub(crate) seconds: Duration,

    /// Connections that may be opening at one time, or sessions connecting
    #[arg(long, default_value = "100", value_name = "N")]
    pub(crate) opening: NonZeroU32,

    /// The server's process, to measure its resident bytes per connection
    #[arg(long, value_name = "PID")]
    pub(crate) pid: Option<u32>,

    /// Pin the generator's thread to this core
    #[arg(long, value_name = "CORE")]
    pub(crate) cpu: Option<usize>,

    /// Exit with 1 if this is so of the report, or cannot be known: a number of --json by its path (latencies without
    /// `latencies_us.`), a comparison, a figure with its unit. May be repeated
    #[arg(long, value_name = "METRIC>FIGURE")]
    pub(crate) fail_if: Vec<Condition>,

    #[command(flatten)]
    pub(crate) outputs: OutputArgs,
}

/// Where the report goes.
#[derive(Debug, Clone, Args)]
pub(crate) struct OutputArgs {
    /// Report one JSON object on standard output instead of text
    #[arg(long)]
    pub(crate) json: bool,

    /// Keep the report as JSON in this file as well, for `loadgen compare`
    #[arg(long, value_name = "FILE")]
    pub(crate) save: Option<PathBuf>,

    /// Keep the latencies of each second in this file, as HdrHistogram's tools read them (interval log, format 2, in ns)
    #[arg(long, value_name = "FILE")]
    pub(crate) hlog: Option<PathBuf>,

    /// Draw the report on one page in this file: latency by percentile, and rates, latency, memory and processor time
    /// over time. It needs neither network nor script
    #[arg(long, value_name = "FILE")]
    pub(crate) html: Option<PathBuf>,
}

/// How much is said, by `echo` and `chat`.
#[derive(Debug, Clone, Args)]
pub(crate) struct LoadArgs {
    /// Open loop: messages a second over all connections, each timed from when it was due.
    /// Without it a closed loop: a connection sends when an answer frees a place
    #[arg(long, value_name = "PER_SECOND")]
    pub(crate) rate: Option<NonZeroU64>,

    /// Closed loop: unanswered messages of each connection. A node takes 100 chat messages a second of one account
    #[arg(long, default_value = "1", value_name = "N", conflicts_with = "rate")]
    pub(crate) pipeline: NonZeroU32,

    /// Send this long before measuring; losses count from the first message on all the same
    #[arg(long, default_value = "1", value_name = "SECONDS", value_parser = seconds)]
    pub(crate) warmup: Duration,
}

impl LoadArgs {
    /// As the report says it.
    pub(crate) fn paced(&self) -> Load {
        match self.rate {
            Some(rate) => Load::Open { rate: rate.get() },
            None => Load::Closed { pipeline: self.pipeline.get() },
        }
    }
}

/// How sessions are spread over accounts.
#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct Devices {
    /// Sessions of each account, each of a device of its own
    #[arg(id = "devices", long = "devices", default_value = "1", value_name = "N", value_parser = clap::value_parser!(u32).range(1..=i64::from(DEVICES_OF_USER_MAX)))]
    pub(crate) each: u32,
}

impl Devices {
    /// One session an account.
    pub(crate) const ONE: Self = Self { each: 1 };
}

#[derive(Debug, Clone, Args)]
pub(crate) struct EchoArgs {
    #[command(flatten)]
    pub(crate) common: Common,

    #[command(flatten)]
    pub(crate) devices: Devices,

    #[command(flatten)]
    pub(crate) load: LoadArgs,

    /// Threads that share the connections, with --raw: where one of them is the bound. --cpu is the core of the first, and
    /// the next ones are the others'
    #[arg(long, default_value = "1", value_name = "N")]
    pub(crate) threads: NonZeroU32,

    /// Payload of each message, from 24 bytes (which number it and time it) to 16 MiB
    #[arg(long, default_value = "64", value_name = "BYTES", value_parser = clap::value_parser!(u32).range(24..=16 * 1024 * 1024))]
    pub(crate) size: u32,
}

#[derive(Debug, Args)]
pub(crate) struct IdleArgs {
    #[command(flatten)]
    pub(crate) common: Common,

    #[command(flatten)]
    pub(crate) devices: Devices,
}

#[derive(Debug, Args)]
pub(crate) struct ChatArgs {
    #[command(flatten)]
    pub(crate) common: Common,

    #[command(flatten)]
    pub(crate) load: LoadArgs,

    /// Members of each channel: 2 are direct channels, more are groups
    #[arg(long, default_value = "2", value_name = "N", value_parser = clap::value_parser!(u32).range(2..=i64::from(GROUP_MEMBERS_MAX)))]
    pub(crate) group: u32,

    /// Characters of each message, the first of which number it and time it
    #[arg(long, default_value = "64", value_name = "CHARS", value_parser = clap::value_parser!(u32).range(i64::from(BODY_CHARS_MIN)..=i64::from(BODY_CHARS_MAX)))]
    pub(crate) size: u32,

    /// Drop the first account's device this many times, resume it by its cursor, and compare all that it was pushed
    /// with the channel's history
    #[arg(long, default_value = "0", value_name = "N", conflicts_with = "reconnect")]
    pub(crate) resumes: u32,

    /// Connections that are lost, closed or refused for a time come back: to the next --url (or the one that a drain
    /// names), after the server's random pause, by their cursor, and send again what was not acknowledged. In the end
    /// every channel is compared with its history over HTTP. Several --url imply it; without it a lost connection is
    /// a fault
    #[arg(long)]
    pub(crate) reconnect: bool,

    /// Do what this file says instead, in shares and stages: its form is in loadgen/scenarios/day.toml. Needs --token-key
    /// and --users
    #[arg(long, value_name = "FILE", requires = "users", conflicts_with_all = SCENARIO_HAS)]
    pub(crate) scenario: Option<PathBuf>,

    /// Worker processes at least that carry out a scenario
    #[arg(long, default_value = "1", value_name = "N", requires = "scenario")]
    pub(crate) workers: NonZeroU32,

    /// Count it as a fault if a session ends that its node had not told to go elsewhere, or a try to come back fails:
    /// as nodes are restarted in turn
    #[arg(long)]
    pub(crate) announced_only: bool,
}

/// Flags that a scenario stands for, or whose report is another.
const SCENARIO_HAS: [&str; 14] = [
    "rate",
    "pipeline",
    "warmup",
    "group",
    "resumes",
    "reconnect",
    "announced_only",
    "seconds",
    "pid",
    "cpu",
    "fail_if",
    "html",
    "hlog",
    "save",
];

impl ChatArgs {
    /// Whether a lost connection comes back.
    pub(crate) fn reconnects(&self) -> bool {
        self.reconnect || self.common.url.len() > 1
    }
}

#[derive(Debug, Args)]
pub(crate) struct CatchUpArgs {
    #[command(flatten)]
    pub(crate) common: Common,

    /// Channels that the device's account is in
    #[arg(long, default_value = "200", value_name = "N", value_parser = clap::value_parser!(NonZeroU32))]
    pub(crate) channels: NonZeroU32,

    /// Messages that it misses in each round, spread over the channels
    #[arg(long, default_value = "100", value_name = "N")]
    pub(crate) missed: NonZeroU32,

    /// How often it goes and comes back. A node takes 100 messages a second of one account, after a burst of 2,000
    #[arg(long, default_value = "200", value_name = "N")]
    pub(crate) rounds: NonZeroU32,
}

#[derive(Debug, Args)]
pub(crate) struct PresenceArgs {
    #[command(flatten)]
    pub(crate) common: Common,

    /// Users who come and go, the first of --connections; all others watch them
    #[arg(long, default_value = "1", value_name = "N")]
    pub(crate) watched: NonZeroU32,

    /// How often they leave and come back, each time for longer than the grace of 30 s
    #[arg(long, default_value = "2", value_name = "N")]
    pub(crate) rounds: NonZeroU32,
}

/// A rate that may be a fraction, such as 0.5.
pub(crate) fn per_second(text: &str) -> Result<f64, String> {
    let number: f64 = text.parse().map_err(|_| format!("{text:?} is not a number"))?;
    if (0.0..=1e9).contains(&number) { Ok(number) } else { Err(format!("{number} is not between 0 and 1e9 a second")) }
}

pub(crate) fn seconds(text: &str) -> Result<Duration, String> {
    let number: f64 = text.parse().map_err(|_| format!("{text:?} is not a number of seconds"))?;
    if !(0.0..=SECONDS_MAX).contains(&number) {
        return Err(format!("{number} is not between 0 and {SECONDS_MAX} seconds"));
    }
    Ok(Duration::from_secs_f64(number))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_flags_do_not_contradict_each_other() {
        use clap::CommandFactory;
        Cli::command().debug_assert();
    }

    #[test]
    fn flags_have_bounds() {
        check("echo --raw", true);
        check("echo --raw --rate 1000 --size 24 --seconds 0.5", true);
        check("echo --raw --threads 2", true);
        check("echo --raw --threads 0", false);
        check("echo --raw --connections 0", false);
        check("echo --raw --size 23", false);
        check("echo --raw --rate 0", false);
        check("echo --raw --rate 5 --pipeline 2", false);
        check("echo --raw --seconds -1", false);
        check("echo --raw --seconds 1e9", false);
        check("echo --raw --seconds NaN", false);
        check("idle --raw --pid 17", true);
        check("idle --raw --pipeline 3", false);
        check("idle --devices 16 --token-key k --users u", true);
        check("idle --devices 17", false);
        check("idle --users u", false);
        check("chat --devices 2", false);
        check("million --sessions 5000 --devices 8 --rate 0.5 --quiet 1", true);
        check("million --devices 17", false);
        check("million --rate -1", false);
        check("worker", true);
        check("chat --group 100 --rate 50 --resumes 3 --encoding json", true);
        check("chat --url ws://a --url ws://b --api http://a --api http://b", true);
        check("chat --reconnect --group 4", true);
        check("chat --reconnect --resumes 3", false);
        check("chat --reconnect --announced-only", true);
        check("chat --fail-if ack.p99>25ms --fail-if lost>0", true);
        check("chat --fail-if ack.p99", false);
        check("chat --save a.json --hlog a.hlog --html a.html", true);
        check("compare a.json b.json", true);
        check("compare a.json", false);
        check("chat --token-key k --users u --scenario s --connections 40 --workers 2", true);
        check("chat --scenario s", false);
        check("chat --token-key k --users u --scenario s --rate 5", false);
        check("plan --profile a.toml --constants b.toml --json", true);
        check("plan", false);
        check("calibrate --pid 5", true);
        check("calibrate --pid 5 --connections 19", false);
        check("chat --group 1", false);
        check("chat --group 501", false);
        check("chat --size 10", false);
        check("chat --encoding xml", false);
    }

    fn check(arguments: &str, accepted: bool) {
        let words = std::iter::once("loadgen").chain(arguments.split(' '));
        let parsed = Cli::try_parse_from(words);
        assert_eq!(parsed.is_ok(), accepted, "{arguments}: {parsed:?}");
    }
}
