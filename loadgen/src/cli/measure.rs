//! Flags of what is measured by one process: `echo`, `idle`, `chat`, `catch-up`, `presence`.
//!
//! Owns those that one of them has alone.

use std::num::NonZeroU32;
use std::path::PathBuf;

use clap::{Args, Subcommand};
use schema::limits::{BODY_CHARS_MAX, GROUP_MEMBERS_MAX};

use super::examples::EXAMPLES;
use super::shared::{Common, Devices, LoadArgs};
use crate::stamp::BODY_CHARS_MIN;

/// Flags of what is measured against a server, and reported.
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

/// Flags that a scenario stands for, or that one process alone can have.
const SCENARIO_HAS: [&str; 9] =
    ["rate", "pipeline", "warmup", "group", "resumes", "reconnect", "announced_only", "seconds", "cpu"];

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
