//! The glommio executor that hosts a shard, and the processor that it stays on.
//!
//! Owns how executors are made and placed. The first task of each is a shard's loop ([`uring`](crate::uring)), which
//! waits for sockets and calls in its own ring, and between two turns lets the other tasks run that are ready.
//!
//! The loop's task never waits for another part of the executor, so the executor never parks: glommio 0.9 can park
//! although a task is ready, when its preemption timer fires between two of its steps (docs/glommio-parking.md). That
//! timer never fires here, and tasks yield by budgets of ours.

use std::future::Future;
use std::io;
use std::time::Duration;

use glommio::{CpuLocation, CpuSet, GlommioError, LocalExecutorBuilder, Placement, ReactorErrorKind};

use crate::uring::DriverError;

/// The preemption timer: 50 years.
const NEVER: Duration = Duration::from_secs(50 * 365 * 24 * 60 * 60);
/// Entries of each of the executor's own three rings, on which nothing but that timer waits.
const RING_ENTRIES: usize = 8;

/// Runs a shard's loop on this thread, in an executor on this processor, or on any.
///
/// # Errors
/// [`DriverError`]: of the executor, with what the machine lacks, or the loop's own.
pub(crate) fn run<T>(
    processor: Option<usize>,
    shard: impl Future<Output = Result<T, DriverError>>,
) -> Result<T, DriverError> {
    let placement = processor.map_or(Placement::Unbound, Placement::Fixed);
    LocalExecutorBuilder::new(placement)
        .preempt_timer(NEVER)
        .ring_depth(RING_ENTRIES)
        .io_memory(0)
        .make()
        .map_err(|error| refused(error, processor))?
        .run(shard)
}

/// The error of an executor that could not be made, with its remedy.
fn refused(error: GlommioError<()>, processor: Option<usize>) -> DriverError {
    let too_little_memory = matches!(error, GlommioError::ReactorError(ReactorErrorKind::MemLockLimit(..)));
    let source = io::Error::from(error);
    match processor {
        _ if too_little_memory => DriverError::LockedMemory { source },
        Some(cpu) if source.raw_os_error() == Some(rustix::io::Errno::INVAL.raw_os_error()) => {
            DriverError::Processor { cpu, source }
        }
        _ => DriverError::of_ring(source),
    }
}

/// A processor for each of so many shards, or `None` for all: those are left to the scheduler where there are fewer
/// processors than shards, or one alone.
///
/// # Errors
/// The system does not say what processors there are.
pub(crate) fn processors(shards: u16) -> io::Result<Option<Vec<usize>>> {
    let allowed = rustix::thread::sched_getaffinity(None)?;
    let online = CpuSet::online().map_err(io::Error::from)?;
    let may = online.filter(|at| at.cpu < rustix::thread::CpuSet::MAX_CPU && allowed.is_set(at.cpu));
    Ok(placed(may.iter().cloned().collect(), usize::from(shards)))
}

/// The NUMA node with the most processors first, since memory that shards share is near there; in it one processor of
/// each core before the second of any.
fn placed(mut processors: Vec<CpuLocation>, shards: usize) -> Option<Vec<usize>> {
    if processors.len() < shards.max(2) {
        return None;
    }
    processors.sort_by_key(|at| at.cpu);
    let of_node = |node| processors.iter().filter(|at| at.numa_node == node).count();
    let siblings_before = |at: &CpuLocation| {
        let core = |at: &CpuLocation| (at.numa_node, at.package, at.core);
        processors.iter().filter(|other| other.cpu < at.cpu && core(other) == core(at)).count()
    };
    let mut order: Vec<_> = processors
        .iter()
        .map(|at| (usize::MAX - of_node(at.numa_node), at.numa_node, siblings_before(at), at.cpu))
        .collect();
    order.sort_unstable();
    Some(order.into_iter().take(shards).map(|(.., cpu)| cpu).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Processors as `cpu/core/node`, the shards, and where they go.
    fn check(processors: &str, shards: usize, expected: Option<&[usize]>) {
        let at = |text: &str| {
            let mut parts = text.split('/').map(|part| part.parse().expect("a number"));
            let mut next = || parts.next().expect("three numbers");
            let (cpu, core, numa_node) = (next(), next(), next());
            CpuLocation { cpu, core, package: numa_node, numa_node }
        };
        let processors: Vec<_> = processors.split(' ').map(at).collect();
        assert_eq!(placed(processors, shards).as_deref(), expected);
    }

    #[test]
    fn shards_stay_together_and_have_cores_of_their_own() {
        check("0/0/0 1/1/0", 2, Some(&[0, 1]));
        // Those that this process may use need not begin with 0.
        check("6/6/0 7/7/0", 2, Some(&[6, 7]));
        // Two threads a core.
        check("0/0/0 1/0/0 2/1/0 3/1/0", 2, Some(&[0, 2]));
        check("0/0/0 1/0/0 2/1/0 3/1/0", 3, Some(&[0, 2, 1]));
        // Of two nodes the larger, and then the other.
        check("0/0/0 1/1/0 2/0/1 3/1/1 4/2/1", 3, Some(&[2, 3, 4]));
        check("0/0/0 1/1/0 2/0/1 3/1/1 4/2/1", 4, Some(&[2, 3, 4, 0]));
    }

    #[test]
    fn shards_without_a_core_of_their_own_stay_nowhere() {
        check("0/0/0 1/1/0", 3, None);
        check("0/0/0", 1, None);
    }
}
