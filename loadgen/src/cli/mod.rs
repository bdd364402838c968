//! Command line: subcommands, and the `--help` that teaches them.
//!
//! Owns which subcommands there are. Flags, their defaults and bounds are in `shared` where several subcommands have them, and
//! beside their subcommands else. Opens nothing: the rules for addresses are in `target`.

mod crowds;
mod examples;
mod feed;
mod measure;
mod shared;
mod tools;

use clap::{Parser, Subcommand};

pub(crate) use self::crowds::{
    ChurnArgs, FanoutArgs, FleetCommand, MillionArgs, SlowReadersArgs, StormArgs, TargetArgs,
};
use self::examples::EXAMPLES;
pub(crate) use self::feed::FeedArgs;
pub(crate) use self::measure::{CatchUpArgs, ChatArgs, EchoArgs, IdleArgs, Measurement, PresenceArgs};
pub(crate) use self::shared::{Common, Devices, LoadArgs, ReportArgs, SessionArgs};
pub(crate) use self::tools::{CalibrateArgs, CompareArgs, PlanArgs};

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
    /// Post to, read and like in the feeds of a seeded graph on a node of its own, and compare them with a plain model
    #[command(after_help = feed::EXAMPLES)]
    Feed(Box<FeedArgs>),
    /// Plan a cluster: from a profile of its users to nodes, memory, network and disk, each with its arithmetic
    #[command(after_help = EXAMPLES)]
    Plan(PlanArgs),
    /// Measure a node for a plan: what a message, a member, a session and a connect take on this machine
    #[command(after_help = EXAMPLES)]
    Calibrate(CalibrateArgs),
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
        check("feed", true);
        check("feed --users 20000 --kills 20 --cross --chat 500 --seed 7 --fail-if publish.p99>20ms", true);
        check("feed --friends-of-stars 5001", false);
        check("feed --users 1", false);
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
