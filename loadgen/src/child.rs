//! `loadgen child`: a program that ends when the process that asked for it does, however that ended.

use std::ffi::OsString;
use std::os::unix::process::CommandExt as _;
use std::process::Command;

use anyhow::{Context as _, bail};
use rustix::process::{Pid, Signal, getppid, set_parent_process_death_signal};

/// Becomes `program`, which `parent` asked for.
///
/// # Errors
/// The parent has ended, or the program cannot be started. Otherwise it does not return.
pub(crate) fn become_program<T>(parent: i32, program: &[OsString]) -> anyhow::Result<T> {
    set_parent_process_death_signal(Some(Signal::KILL)).context("cannot be told of the end of the parent")?;
    // It may have ended before that.
    if getppid() != Pid::from_raw(parent) {
        bail!("process {parent} has ended");
    }
    let [program, words @ ..] = program else { bail!("no program was named") };
    Err(Command::new(program).args(words).exec()).with_context(|| format!("cannot start {}", program.display()))
}
