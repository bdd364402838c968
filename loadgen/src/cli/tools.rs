//! Flags of what is done beside a measurement: comparing, planning, calibrating.

use std::net::SocketAddr;
use std::num::{NonZeroU32, NonZeroU64};
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use schema::Encoding;

use super::shared::{SessionArgs, seconds};

#[derive(Debug, Args)]
pub(crate) struct CompareArgs {
    /// A report that --save or --json wrote
    #[arg(value_name = "A.json")]
    pub(crate) before: PathBuf,

    /// Another of the same subcommand
    #[arg(value_name = "B.json")]
    pub(crate) after: PathBuf,

    /// Print one JSON object instead of a table
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct PlanArgs {
    /// Who will use it: TOML such as loadgen/plans/fifty-million.toml, which names every figure
    #[arg(long, value_name = "FILE")]
    pub(crate) profile: PathBuf,

    /// Constants that `loadgen calibrate` wrote, in the place of those that were measured for docs/measurements.md
    #[arg(long, value_name = "FILE")]
    pub(crate) constants: Option<PathBuf>,

    /// Print one JSON object instead of lines
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct CalibrateArgs {
    /// Where the node's WebSocket clients connect
    #[arg(long, default_value = "ws://127.0.0.1:8001", value_name = "URL")]
    pub(crate) url: String,

    /// The node's HTTP API, where accounts and channels are made
    #[arg(long, default_value = "http://127.0.0.1:8000", value_name = "URL")]
    pub(crate) api: String,

    /// The node's internal listener, for its metrics
    #[arg(long, default_value = "127.0.0.1:9000", value_name = "IP:PORT")]
    pub(crate) internal: SocketAddr,

    /// The node's process: one of one shard, that was started anew
    #[arg(long, value_name = "PID")]
    pub(crate) pid: u32,

    /// Where the accounts that were made are kept, to be used again
    #[arg(long, default_value = "loadgen-accounts.json", value_name = "FILE")]
    pub(crate) accounts: PathBuf,

    /// Sessions to hold. Memory is told from 1,000 on
    #[arg(long, default_value = "2000", value_name = "N", value_parser = at_least::<20>)]
    pub(crate) connections: NonZeroU32,

    /// Direct messages a second: what a shard is planned to have, since the more come, the less each takes
    #[arg(long, default_value = "2000", value_name = "PER_SECOND")]
    pub(crate) rate: NonZeroU64,

    /// Members of the groups beside which a direct channel is held
    #[arg(long, default_value = "20", value_name = "N", value_parser = clap::value_parser!(u32).range(3..=100))]
    pub(crate) group: u32,

    /// How long sessions idle; two pings are 25 s apart
    #[arg(long, default_value = "30", value_name = "SECONDS", value_parser = seconds)]
    pub(crate) idle_seconds: Duration,

    /// How long each chat is measured
    #[arg(long, default_value = "20", value_name = "SECONDS", value_parser = seconds)]
    pub(crate) seconds: Duration,
}

impl CalibrateArgs {
    /// For the accounts of all its runs.
    pub(crate) fn sessions(&self) -> SessionArgs {
        SessionArgs {
            api: vec![self.api.clone()],
            accounts: self.accounts.clone(),
            token_key: None,
            users: None,
            encoding: Encoding::Fb,
        }
    }
}

/// A count from `LEAST` on.
fn at_least<const LEAST: u32>(text: &str) -> Result<NonZeroU32, String> {
    let number = text.parse().map_err(|_| format!("{text:?} is not a count"))?;
    NonZeroU32::new(number).filter(|number| number.get() >= LEAST).ok_or(format!("{number} is below {LEAST}"))
}
