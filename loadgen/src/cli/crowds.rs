//! Flags of what worker processes carry out.

use std::ffi::OsString;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};
use schema::Encoding;
use schema::limits::{BODY_CHARS_MAX, DEVICES_OF_USER_MAX, GROUP_MEMBERS_DEFAULT};

use super::shared::{ReportArgs, encodings, per_second, seconds};
use crate::stamp::BODY_CHARS_MIN;

/// Accounts of a channel of `fanout`: their sessions are of one worker.
const MEMBERS_MAX: i64 = 100_000;

const MILLION_EXAMPLES: &str = "\
Examples:
  What this machine holds, by programs that were built beside this one (cargo build --release -p gateway; -p standin):
      loadgen million --sessions 10000

  A million, on a machine with some 24 GB; what it lacks is said before anything is started:
      loadgen million --save million.json --html million.html

  A step of a pipeline:
      loadgen million --sessions 20000 --fail-if 'million.session.nodes_bytes>1.2kB' --fail-if 'talk.ack.p99>50ms'

Starts a stand-in for the store, as many nodes as their file limit asks for, and as many workers; makes accounts without a
password; connects 16 devices of each; is quiet, then writes messages, and in the end one to each of 1,000 sessions drawn at
random. All that it started is gone afterwards, whatever ends it. Nothing of it is kept.

Exit code: 0 when every session was connected and each message came to all devices of its two accounts once; 1 when not, with the
counts in the report; 2 when the run could not be carried out.";

const TARGET_EXAMPLES: &str = "\
Examples:
  Accounts without a password, and a node:
      rookery store accounts --prefix load_ --count 1000 --data DIR > users
      rookery run --data DIR &

  10,000 sessions at once, while 200 others write 500 messages a second:
      loadgen storm --users users --token-key DIR/token.key --sessions 10000 --rate 500

  2,000 sessions, 200 of which go and come back each second:
      loadgen churn --users users --token-key DIR/token.key --churn 200

  A channel of 100 accounts with 16 devices each:
      loadgen fanout --users users --token-key DIR/token.key --rate 20

  A large channel of 625 accounts that 5,000 sessions have open, by JSON:
      loadgen fanout --users users --token-key DIR/token.key --large --members 625 --devices 8 --rate 20 --encoding json

  A tenth of all sessions reads 1,000 bytes a second:
      loadgen slow-readers --users users --token-key DIR/token.key --size 2000

  A step of a pipeline: red if those who are there wait too long, each phase by its name (a blank in it is a hyphen):
      loadgen storm --users users --token-key DIR/token.key --fail-if 'storm.ack.p99>100ms' --fail-if 'storm.in.max>10s'
      loadgen slow-readers --users users --token-key DIR/token.key --fail-if 'some-read-slowly.ack.p99>25ms'

  What a delivery takes of the node, on a page, and beside what it took before:
      loadgen fanout --users users --token-key DIR/token.key --pid $(pidof rookery) --save after.json --html after.html
      loadgen compare before.json after.json

Sessions are held by worker processes, as many as the file limit asks for, or --workers. A session that is lost comes back as
PROTOCOL asks of clients. Each message is known by the sessions that it has to come to. What is reported is of the busiest worker where
it is a worker's processor time, and of all workers else; a phase in which a worker was the bound is told, and not judged.

Exit code: 0 when every session was there in the end and each message came to all for whom it was, once and in order; 1 when not, with
the counts in the report; 2 when the run could not be carried out.";

#[derive(Debug, Subcommand)]
pub(crate) enum FleetCommand {
    /// Hold as many sessions as the machine allows, a million unless told otherwise, on a cluster of its own
    #[command(after_help = MILLION_EXAMPLES)]
    Million(Box<MillionArgs>),

    /// Have many sessions connect at once, and see what those who are there feel of it
    #[command(after_help = TARGET_EXAMPLES)]
    Storm(Box<StormArgs>),

    /// Have sessions go and come back while messages are written: each has to get what it missed
    #[command(after_help = TARGET_EXAMPLES)]
    Churn(Box<ChurnArgs>),

    /// Write in channels of many: every message to thousands of sessions
    #[command(after_help = TARGET_EXAMPLES)]
    Fanout(Box<FanoutArgs>),

    /// Have some sessions read slowly: the others must not feel it, and those must miss nothing
    #[command(after_help = TARGET_EXAMPLES)]
    SlowReaders(Box<SlowReadersArgs>),

    /// Hold sessions and do what standard input says
    #[command(hide = true)]
    Worker,

    /// Become a program that ends when the process that asked for it does
    #[command(hide = true)]
    Child {
        /// That process
        parent: i32,
        #[arg(trailing_var_arg = true, allow_hyphen_values = true, required = true)]
        program: Vec<OsString>,
    },
}

#[derive(Debug, Args)]
pub(crate) struct MillionArgs {
    /// How many sessions to hold
    #[arg(long, default_value = "1000000", value_name = "N")]
    pub(crate) sessions: NonZeroU32,

    /// Sessions of each account, each of a device of its own
    #[arg(long, default_value_t = DEVICES_OF_USER_MAX, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=i64::from(DEVICES_OF_USER_MAX)))]
    pub(crate) devices: u32,

    /// Have each session watch so many other users, an odd number, each of whom is watched by as many
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..i64::from(GROUP_MEMBERS_DEFAULT)))]
    pub(crate) watch: Option<u32>,

    /// Nodes to hold them; without it as few as their file limit allows
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) nodes: Option<u16>,

    /// Sessions on their way at a time, in all; without it 64 to each node and at most 1,000
    #[arg(long, value_name = "N")]
    pub(crate) opening: Option<NonZeroU32>,

    /// How long to do nothing but answer pings, once all are connected
    #[arg(long, default_value = "60", value_name = "SECONDS", value_parser = seconds)]
    pub(crate) quiet: Duration,

    /// Silence after which nodes ping a session, their limits.ping_seconds
    #[arg(long, default_value_t = 25, value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(5..=600))]
    pub(crate) ping_seconds: u32,

    /// How long to write messages
    #[arg(long, default_value = "30", value_name = "SECONDS", value_parser = seconds)]
    pub(crate) seconds: Duration,

    /// Messages a second meanwhile, each to all sessions of two accounts
    #[arg(long, default_value = "100", value_name = "PER_SECOND", value_parser = per_second)]
    pub(crate) rate: f64,

    /// Sessions that are drawn at random, to each of which one message has to come in the end; their accounts are those
    /// that are written to before
    #[arg(long, default_value = "1000", value_name = "N")]
    pub(crate) probes: u32,

    /// The first port of the first node on 127.0.0.1; nodes are ten apart
    #[arg(long, default_value = "21000", value_name = "PORT", value_parser = clap::value_parser!(u16).range(1_024..=30_000))]
    pub(crate) port: u16,

    /// The node's program; without it the one beside this
    #[arg(long, value_name = "FILE")]
    pub(crate) rookery: Option<PathBuf>,

    /// The program that stands in for FoundationDB; without it fdb-standin beside this
    #[arg(long, value_name = "FILE")]
    pub(crate) standin: Option<PathBuf>,

    /// The client library of that; without it libfdb_c.so beside this
    #[arg(long, value_name = "FILE")]
    pub(crate) client_library: Option<PathBuf>,

    #[command(flatten)]
    pub(crate) report: ReportArgs,
}

/// Flags of what workers do against nodes that are there.
#[derive(Debug, Args)]
pub(crate) struct TargetArgs {
    /// Where to connect; over several, connections are spread evenly
    #[arg(long, default_value = "ws://127.0.0.1:8001", value_name = "URL")]
    pub(crate) url: Vec<String>,

    /// The nodes' HTTP API, where channels are made
    #[arg(long, default_value = "http://127.0.0.1:8000", value_name = "URL")]
    pub(crate) api: Vec<String>,

    /// The key of the nodes with which access tokens are signed: auth.key_file, or token.key in a data directory
    #[arg(long, value_name = "FILE")]
    pub(crate) token_key: PathBuf,

    /// The accounts, a line each that begins with an id, as `rookery store accounts` prints them
    #[arg(long, value_name = "FILE")]
    pub(crate) users: PathBuf,

    /// Sessions of each account, each of a device of its own
    #[arg(long, default_value_t = DEVICES_OF_USER_MAX, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=i64::from(DEVICES_OF_USER_MAX)))]
    pub(crate) devices: u32,

    /// How requests and replies are written: FlatBuffers in binary frames, or JSON in text frames
    #[arg(long, default_value = "fb", value_name = "NAME", value_parser = encodings())]
    pub(crate) encoding: Encoding,

    /// Characters of each message
    #[arg(long, default_value = "64", value_name = "CHARS", value_parser = clap::value_parser!(u32).range(i64::from(BODY_CHARS_MIN)..=i64::from(BODY_CHARS_MAX)))]
    pub(crate) size: u32,

    /// How many sessions may be on their way at a time, in all
    #[arg(long, default_value = "200", value_name = "N")]
    pub(crate) opening: NonZeroU32,

    /// Worker processes at least; without it as few as their file limit allows
    #[arg(long, default_value = "1", value_name = "N")]
    pub(crate) workers: NonZeroU32,

    /// The node's process, to measure its processor time, and its resident bytes a session
    #[arg(long, value_name = "PID")]
    pub(crate) pid: Option<u32>,

    #[command(flatten)]
    pub(crate) report: ReportArgs,
}

#[derive(Debug, Args)]
pub(crate) struct StormArgs {
    #[command(flatten)]
    pub(crate) target: TargetArgs,

    /// How many sessions come at once
    #[arg(long, default_value = "10000", value_name = "N")]
    pub(crate) sessions: NonZeroU32,

    /// Sessions that are there before, and write to each other
    #[arg(long, default_value = "200", value_name = "N")]
    pub(crate) others: NonZeroU32,

    /// Messages a second of those others, each to all devices of two accounts
    #[arg(long, default_value = "100", value_name = "PER_SECOND", value_parser = per_second)]
    pub(crate) rate: f64,

    /// How long those write before the storm, for comparison, and how long it is measured at least
    #[arg(long, default_value = "10", value_name = "SECONDS", value_parser = seconds)]
    pub(crate) seconds: Duration,
}

#[derive(Debug, Args)]
pub(crate) struct ChurnArgs {
    #[command(flatten)]
    pub(crate) target: TargetArgs,

    /// How many sessions
    #[arg(long, default_value = "2000", value_name = "N")]
    pub(crate) sessions: NonZeroU32,

    /// How many of them go and come back in a second
    #[arg(long, default_value = "100", value_name = "PER_SECOND", value_parser = per_second)]
    pub(crate) churn: f64,

    /// Messages a second, each to all devices of two accounts
    #[arg(long, default_value = "100", value_name = "PER_SECOND", value_parser = per_second)]
    pub(crate) rate: f64,

    /// How long
    #[arg(long, default_value = "10", value_name = "SECONDS", value_parser = seconds)]
    pub(crate) seconds: Duration,
}

#[derive(Debug, Args)]
pub(crate) struct FanoutArgs {
    #[command(flatten)]
    pub(crate) target: TargetArgs,

    /// Accounts in each channel; in a group nodes allow 100 unless their limits.group_members says more, and 500 then
    #[arg(long, default_value_t = GROUP_MEMBERS_DEFAULT, value_name = "N", value_parser = clap::value_parser!(u32).range(2..=MEMBERS_MAX))]
    pub(crate) members: u32,

    /// Large channels, which every session opens, and no groups: members are added one by one before
    #[arg(long)]
    pub(crate) large: bool,

    /// How many such channels
    #[arg(long, default_value = "1", value_name = "N")]
    pub(crate) channels: NonZeroU32,

    /// Messages a second over all channels, each to all devices of all members
    #[arg(long, default_value = "10", value_name = "PER_SECOND", value_parser = per_second)]
    pub(crate) rate: f64,

    /// How long
    #[arg(long, default_value = "10", value_name = "SECONDS", value_parser = seconds)]
    pub(crate) seconds: Duration,
}

#[derive(Debug, Args)]
pub(crate) struct SlowReadersArgs {
    #[command(flatten)]
    pub(crate) target: TargetArgs,

    /// How many sessions
    #[arg(long, default_value = "800", value_name = "N")]
    pub(crate) sessions: NonZeroU32,

    /// Accounts in each channel
    #[arg(long, default_value = "20", value_name = "N", value_parser = clap::value_parser!(u32).range(2..=i64::from(GROUP_MEMBERS_DEFAULT)))]
    pub(crate) members: u32,

    /// How many of each hundred sessions read slowly
    #[arg(long, default_value = "10", value_name = "PERCENT", value_parser = clap::value_parser!(u32).range(1..=99))]
    pub(crate) slow: u32,

    /// Bytes that each of those reads in a second
    #[arg(long, default_value = "1000", value_name = "BYTES")]
    pub(crate) reads: u64,

    /// Messages a second over all channels, each to all devices of its members
    #[arg(long, default_value = "20", value_name = "PER_SECOND", value_parser = per_second)]
    pub(crate) rate: f64,

    /// How long before, and how long with slow readers
    #[arg(long, default_value = "10", value_name = "SECONDS", value_parser = seconds)]
    pub(crate) seconds: Duration,
}
