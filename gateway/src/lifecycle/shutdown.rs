//! Shutdown of a node: its causes, and waiting for anything else until there is one.
//!
//! Owns the runtime of the node's own thread, which has timers and nothing else, and the queue of causes. Whatever a
//! node waits for, a signal ends the waiting at once.

use std::future::Future;
use std::io;
use std::pin::pin;
use std::process::ExitCode;
use std::time::Duration;

use tokio::runtime::{self, Runtime};
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};
use tokio::time::{MissedTickBehavior, interval, timeout};

use crate::machine::signals::{self, Signal};
use crate::runtime::ShardEnd;
use crate::uring::DriverError;

use super::phase::Active;
use host::membership::{Misfit, Refused};

/// How often a node that waits does its housekeeping.
const HOUSEKEEPING: Duration = Duration::from_secs(1);

/// The cause of a shutdown.
pub(crate) enum End {
    /// Somebody asked for it.
    Asked(By),
    /// A shard's driver failed.
    Shard(u16, Option<DriverError>),
    /// The others have taken this life for dead.
    Fenced,
    /// This node must not join those that are there.
    Refused(Refused),
    /// This one has, as it was found.
    TakenOver(Active),
    /// This node's clock is so many milliseconds ahead of the other nodes', or behind where negative.
    Clock(i64),
}

/// Who asked for an end, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum By {
    Signal(Signal),
    /// By the internal listener.
    Operator,
}

impl By {
    /// For logs.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Signal(signal) => signal.name(),
            Self::Operator => "drain",
        }
    }
}

impl From<ShardEnd> for End {
    fn from(end: ShardEnd) -> Self {
        let ShardEnd(shard, error) = end;
        Self::Shard(shard, error)
    }
}

impl End {
    /// What the process says of it: nothing where it was asked to.
    ///
    /// # Errors
    /// What it was, if nobody asked for it.
    pub(crate) fn into_result(self) -> anyhow::Result<ExitCode> {
        match self {
            Self::Asked(_) => Ok(ExitCode::SUCCESS),
            Self::Shard(shard, Some(error)) => Err(anyhow::Error::new(error).context(format!("shard {shard} failed"))),
            Self::Shard(shard, None) => anyhow::bail!("shard {shard} ended by itself"),
            Self::Refused(refused) => anyhow::bail!(refusal(&refused)),
            Self::Fenced => {
                anyhow::bail!("this node was silent for too long and the others go on without it; start it again")
            }
            Self::Clock(off_ms) => anyhow::bail!(
                "this node's clock is {} s {} the other nodes'; set it right, as by NTP, then start it again",
                off_ms.unsigned_abs() / 1_000,
                if off_ms > 0 { "ahead of" } else { "behind" }
            ),
            Self::TakenOver(by) => anyhow::bail!(
                "this node was silent for too long and was taken over: {by}, incarnation {:x}; start this one again",
                by.incarnation.0
            ),
        }
    }
}

/// The line in which a node says why it must not join, with the remedy.
fn refusal(refused: &Refused) -> String {
    let node = &refused.node;
    match refused.misfit {
        Misfit::SameName => format!(
            "another node {node} is on this store, and lives: give each a node.name of its own, then start this one again"
        ),
        Misfit::OtherSecret => format!(
            "node {node} on this store has another cluster.secret_file or cluster.tls_ca_file: give all nodes the same, then start this one again"
        ),
        Misfit::OtherTokenKey => format!(
            "node {node} on this store signs tokens with another key: give all nodes the same auth.key or auth.key_file, then start this one again"
        ),
        Misfit::OtherVersions => format!(
            "node {node} on this store speaks none of the versions of the links' protocol that this one does: upgrade by one version at a time"
        ),
    }
}

/// The queue of causes, and the runtime that waits for them.
///
/// The queue is bounded by those who tell: one signal, one operator, two ends a shard, and two of the heartbeats.
pub(crate) struct Shutdown {
    runtime: Runtime,
    tell: UnboundedSender<End>,
    told: UnboundedReceiver<End>,
}

impl Shutdown {
    /// From here on the first SIGTERM or SIGINT is an end of this node, and the second ends the process.
    ///
    /// # Errors
    /// The system's: no timer, no thread or no handler.
    pub(crate) fn listen() -> io::Result<Self> {
        let runtime = runtime::Builder::new_current_thread().enable_time().build()?;
        let (tell, told) = mpsc::unbounded_channel();
        let asked = tell.clone();
        // Once the node has stopped by itself nobody listens any more.
        signals::on_signal(move |signal| drop(asked.send(End::Asked(By::Signal(signal)))))?;
        Ok(Self { runtime, tell, told })
    }

    /// For whoever may end the node.
    pub(crate) fn teller(&self) -> UnboundedSender<End> {
        self.tell.clone()
    }

    /// Waits for `work`, and calls `housekeep` now and each second until then.
    ///
    /// # Errors
    /// What has ended the node before. `work` is dropped then.
    pub(crate) fn wait<T>(&mut self, work: impl Future<Output = T>, mut housekeep: impl FnMut()) -> Result<T, End> {
        let told = &mut self.told;
        self.runtime.block_on(async {
            let mut work = pin!(work);
            let mut seconds = interval(HOUSEKEEPING);
            // After a stop of the whole machine one tick makes good for all that were missed.
            seconds.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                tokio::select! {
                    biased;
                    end = told.recv() => return Err(end.expect("a sender is kept beside the receiver")),
                    done = work.as_mut() => return Ok(done),
                    _ = seconds.tick() => housekeep(),
                }
            }
        })
    }

    /// Waits for `work` at the end of a node, whatever else ends it, at most so long.
    pub(crate) fn finish<T>(&self, work: impl Future<Output = T>, within: Duration) -> Option<T> {
        // A timer needs the runtime around it when it is made.
        self.runtime.block_on(async { timeout(within, work).await }).ok()
    }
}
