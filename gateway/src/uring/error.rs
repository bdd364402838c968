//! Errors of a shard's driver, each with what the operator can do.

use std::io;

/// The operator's fault or the machine's, never a client's. Nothing was served, or nothing more will be.
#[derive(Debug, thiserror::Error)]
pub enum DriverError {
    /// Rings are charged against the locked-memory limit.
    #[error(
        "the limit for locked memory is too low for this shard's rings; allow at least 512 KiB a shard \
         (`ulimit -l`, LimitMEMLOCK= in a systemd unit, --ulimit memlock= for a container)"
    )]
    LockedMemory {
        /// What the kernel said.
        #[source]
        source: io::Error,
    },
    /// Switched off for this machine or filtered for this process.
    #[error(
        "io_uring is not permitted here; set kernel.io_uring_disabled=0, and let the container's seccomp profile \
         pass io_uring_setup, io_uring_enter and io_uring_register"
    )]
    NotPermitted {
        /// What the kernel said.
        #[source]
        source: io::Error,
    },
    /// The ring needs flags that older kernels do not know.
    #[error("this kernel is too old for the io_uring features that are used; Linux 6.1 or later is needed")]
    KernelTooOld {
        /// What the kernel said.
        #[source]
        source: io::Error,
    },
    /// The processor asked for does not exist or is not allowed for this process.
    #[error("this shard cannot stay on processor {cpu}; see Cpus_allowed_list in /proc/self/status")]
    Processor {
        /// As configured.
        cpu: usize,
        /// What the kernel said.
        #[source]
        source: io::Error,
    },
    /// The kernel refused something that it never refuses in good order.
    #[error("{doing} failed")]
    Io {
        /// What was being done.
        doing: &'static str,
        /// What the kernel said.
        #[source]
        source: io::Error,
    },
}

impl DriverError {
    /// Sorts the ways in which the kernel refuses a ring.
    pub(crate) fn of_ring(source: io::Error) -> Self {
        match source.raw_os_error() {
            Some(libc::ENOMEM) => DriverError::LockedMemory { source },
            Some(libc::EPERM | libc::EACCES) => DriverError::NotPermitted { source },
            Some(libc::EINVAL | libc::ENOSYS) => DriverError::KernelTooOld { source },
            _ => DriverError::Io { doing: "setting up a ring", source },
        }
    }

    pub(super) fn io(doing: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| DriverError::Io { doing, source }
    }
}
