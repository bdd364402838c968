//! Flags and parsers that several subcommands have: where to connect, whose sessions, how much is said, where the report goes.
//!
//! Owns their defaults and bounds.

use std::num::{NonZeroU32, NonZeroU64};
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use schema::Encoding;
use schema::limits::DEVICES_OF_USER_MAX;

use crate::condition::Condition;
use crate::report::Load;

/// Longest `--seconds` and `--warmup`: a day. A soak longer than that is better run as several.
const SECONDS_MAX: f64 = 86_400.0;

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

    #[command(flatten)]
    pub(crate) report: ReportArgs,
}

/// Where the report goes, and what is held against it.
#[derive(Debug, Clone, Args)]
pub(crate) struct ReportArgs {
    /// Exit with 1 if this is so of the report, or cannot be known: a number of --json by its path (latencies without
    /// `latencies_us.`, a phase's by its name: `storm.ack.p99`), a comparison, a figure with its unit. May be repeated
    #[arg(long, value_name = "METRIC>FIGURE")]
    pub(crate) fail_if: Vec<Condition>,

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
