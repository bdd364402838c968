//! The `rookery` binary. Everything is in the library, where tests reach it.

use std::process::ExitCode;

/// Appends allocate on one thread what another frees, small and in numbers, and buffers of a megabyte among it: a fifth of a
/// message's processor time was the system's allocator (docs/measurements.md).
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    gateway::ops::cli::main()
}
