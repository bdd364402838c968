//! The network: one thread for all sockets, all timers and all callbacks of the process.
//!
//! Owns the runtime: it is set up once, run once by the thread that the caller lends, and stopped.

use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};

use tokio::runtime::{Builder, Handle, Runtime};
use tokio::sync::Notify;
use tokio::task::AbortHandle;

use crate::code::Code;

static NETWORK: OnceLock<Network> = OnceLock::new();

struct Network {
    handle: Handle,
    /// Until it is run.
    runtime: Mutex<Option<Runtime>>,
    stop: Notify,
    runs: AtomicBool,
}

/// Sets it up. Once in a process.
///
/// # Errors
/// 2009 if it was; 1500 if the system has no event queue left.
pub(super) fn set_up() -> Result<(), Code> {
    let runtime = Builder::new_current_thread().enable_all().build().map_err(|_| Code::PLATFORM_ERROR)?;
    let network = Network {
        handle: runtime.handle().clone(),
        runtime: Mutex::new(Some(runtime)),
        stop: Notify::new(),
        runs: AtomicBool::new(false),
    };
    NETWORK.set(network).map_err(|_| Code::NETWORK_ALREADY_SETUP)
}

fn get() -> Result<&'static Network, Code> {
    NETWORK.get().ok_or(Code::NETWORK_NOT_SETUP)
}

/// Runs it on this thread until it is stopped.
///
/// # Errors
/// 2008 if it is not set up; 2025 if it ran before.
pub(super) fn run() -> Result<(), Code> {
    let network = get()?;
    let runtime = network.runtime.lock().unwrap_or_else(PoisonError::into_inner).take();
    let runtime = runtime.ok_or(Code::NETWORK_CANNOT_BE_RESTARTED)?;
    network.runs.store(true, Ordering::Release);
    runtime.block_on(network.stop.notified());
    // What is left is forgotten: nothing of it is answered any more.
    drop(runtime);
    network.runs.store(false, Ordering::Release);
    Ok(())
}

/// Ends [`run`], now or when it begins.
///
/// # Errors
/// 2008 if it is not set up.
pub(super) fn stop() -> Result<(), Code> {
    get()?.stop.notify_one();
    Ok(())
}

/// Whether its thread is still there.
pub(super) fn runs() -> bool {
    get().is_ok_and(|network| network.runs.load(Ordering::Acquire))
}

/// Runs `work` on the network thread.
///
/// # Errors
/// 2008 if there is none.
pub(super) fn spawn(work: impl Future<Output = ()> + Send + 'static) -> Result<AbortHandle, Code> {
    Ok(get()?.handle.spawn(work).abort_handle())
}
