//! The client: the library loaded, the API version selected, the network thread running. Once per process.
//!
//! Owns the process's one network thread, from the first connect to [`FoundationDb::close`], which is the ordinary way
//! for it to end. FoundationDB demands that it be stopped before the process exits: the library registers destructors
//! as late as on the network thread itself, and a thread that runs on under them crashes. Exit handlers run in reverse
//! order of their registration, so none of ours is sure to come first. Destructors of the exiting thread's own
//! variables do: glibc calls them before all handlers, and one of them, made before `main`, stops the network where the
//! main thread exits ([`StopAtExit`]). Whoever ends the process from another thread has to do it by `_exit`, which runs
//! nothing. A network thread that ends unasked takes the process with it: nothing would be answered any more, not even
//! a commit.

use std::io;
use std::process;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

use ::foundationdb::api::{FdbApiBuilder, NetworkStop};
use ::foundationdb::options::DatabaseOption;
use ::foundationdb::{Database, FdbError};
use foundationdb_sys::{Library, LoadError, load};

use super::Options;
use super::cluster_file::{self, ClusterFileError};
use super::errors::ClientError;
use super::prefix::{Prefix, PrefixError};
use crate::limits;

/// Why there is no client. Each is one line that says what to do.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// Operator's: the client library is missing, or another than is needed.
    #[error(transparent)]
    Library(#[from] LoadError),
    /// Operator's: the cluster file is missing, or none.
    #[error(transparent)]
    ClusterFile(#[from] ClusterFileError),
    /// Operator's: the prefix.
    #[error(transparent)]
    Prefix(#[from] PrefixError),
    /// The client library refused to begin.
    #[error("FoundationDB's client does not start; see whether its version is that of the cluster")]
    Client(#[from] ClientError),
    /// The system has no thread.
    #[error("the thread of FoundationDB's client does not start")]
    Thread(#[source] io::Error),
    /// It was stopped in this process, or failed to start; there is no second time.
    #[error("FoundationDB's client is over in this process; start another process")]
    Stopped,
}

impl From<FdbError> for ConnectError {
    fn from(error: FdbError) -> Self {
        Self::Client(error.into())
    }
}

/// A cluster, and which part of it is the store. Not known to answer before [`Self::open`] has returned.
#[derive(Clone)]
pub struct FoundationDb {
    library: &'static Library,
    pub(super) database: Arc<Database>,
    pub(super) prefix: Prefix,
    pub(super) new_generation: u64,
    pub(super) refusal: Arc<Refusal>,
}

/// What a cluster that answers and does not serve said last to whoever waits for it to open. 0 for nothing.
#[derive(Debug, Default)]
pub(super) struct Refusal(AtomicI32);

impl Refusal {
    pub(super) fn set(&self, error: FdbError) {
        self.0.store(error.code(), Ordering::Relaxed);
    }

    pub(super) fn clear(&self) {
        self.0.store(0, Ordering::Relaxed);
    }
}

impl FoundationDb {
    /// Loads the client library, if this process has not yet, starts its network thread, and names the cluster. Does
    /// not wait for the cluster.
    ///
    /// # Errors
    /// [`ConnectError`]. What is wrong with the prefix, the cluster file or the library can be put right and tried
    /// again, but a library that is loaded stays so. A client that did not start, or whose thread did not, is over in
    /// this process, as after [`Self::close`]: from then on it is [`ConnectError::Stopped`].
    pub fn connect(options: &Options) -> Result<Self, ConnectError> {
        let prefix = Prefix::new(&options.prefix)?;
        let cluster_file = options.cluster_file.as_deref().map(cluster_file::check).transpose()?;
        let library = load(options.client_library.as_deref())?;
        start()?;
        let database = Database::new(cluster_file)?;
        // For reads: whoever asked is answered then, if only with that. Commits take it off, see `transaction`.
        let life_ms = i32::try_from(limits::TRANSACTION_LIFE_MS).expect("5 s");
        database.set_option(DatabaseOption::TransactionTimeout(life_ms))?;
        let (database, new_generation) = (Arc::new(database), options.new_generation);
        Ok(Self { library, database, prefix, new_generation, refusal: Arc::default() })
    }

    /// Why [`Self::open`] still waits, if the cluster has said anything: that it is locked, for one. `None` also while
    /// it does not answer at all.
    #[must_use]
    pub fn refusal(&self) -> Option<ClientError> {
        match self.refusal.0.load(Ordering::Relaxed) {
            0 => None,
            code => Some(FdbError::from_code(code).into()),
        }
    }

    /// The client library in use.
    #[must_use]
    pub fn library(&self) -> &'static Library {
        self.library
    }

    /// Stops the network thread of the process: from now on nothing of any cluster is answered. To be called at exit,
    /// when no transaction is left that anybody waits for.
    pub fn close(self) {
        stop();
    }
}

impl std::fmt::Debug for FoundationDb {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FoundationDb")
            .field("library", &self.library)
            .field("prefix", &self.prefix)
            .finish_non_exhaustive()
    }
}

/// The process's network thread.
enum Network {
    NotStarted,
    Running(NetworkStop, JoinHandle<()>),
    Stopped,
}

/// Held for moments only, since the process's exit looks here too.
static NETWORK: Mutex<Network> = Mutex::new(Network::NotStarted);

/// The network thread's end was asked for.
static STOPPING: AtomicBool = AtomicBool::new(false);

fn network() -> MutexGuard<'static, Network> {
    NETWORK.lock().unwrap_or_else(PoisonError::into_inner)
}

fn start() -> Result<(), ConnectError> {
    static STARTING: Mutex<()> = Mutex::new(());
    let _one_at_a_time = STARTING.lock().unwrap_or_else(PoisonError::into_inner);
    {
        let mut network = network();
        match *network {
            // Whatever fails from here on cannot be done again: the API version is selected once per process.
            Network::NotStarted => *network = Network::Stopped,
            Network::Running(..) => return Ok(()),
            Network::Stopped => return Err(ConnectError::Stopped),
        }
    }
    let (runner, started) = FdbApiBuilder::default().build()?.build()?;
    let thread = thread::Builder::new().name("fdb-network".to_owned()).spawn(move || {
        // SAFETY: the network has to be stopped before the process exits. `FoundationDb::close` does that where the
        // program ends as it should, `StopAtExit` where the main thread exits otherwise, and other threads end the
        // process by `_exit`.
        let ran = unsafe { runner.run() };
        if STOPPING.load(Ordering::Acquire) {
            return;
        }
        match ran {
            Ok(()) => tracing::error!("FoundationDB's network thread ended unasked: the process ends too"),
            Err(error) => {
                let code = error.code();
                tracing::error!(code, "FoundationDB's network thread failed, the process ends too: {error}");
            }
        }
        process::abort();
    });
    let thread = thread.map_err(ConnectError::Thread)?;
    let stop = started.wait();
    *network() = Network::Running(stop, thread);
    Ok(())
}

/// Ends the network thread if it runs. Legal at any time, any number of times.
fn stop() {
    let running = std::mem::replace(&mut *network(), Network::Stopped);
    end(running);
}

/// Not under the lock: what runs on the network thread may exit the process, and then looks there.
fn end(network: Network) {
    let Network::Running(stop, thread) = network else { return };
    STOPPING.store(true, Ordering::Release);
    if let Err(error) = stop.stop() {
        tracing::error!(code = error.code(), "FoundationDB's network thread cannot be stopped: {error}");
        return;
    }
    // A waker that exits the process on the network thread itself cannot await it.
    if thread.thread().id() != thread::current().id() && thread.join().is_err() {
        tracing::error!("FoundationDB's network thread panicked");
    }
}

/// Stops the network when the thread that owns it exits. The main thread's is made before `main`.
struct StopAtExit;

impl Drop for StopAtExit {
    fn drop(&mut self) {
        // Without the lock if another has it: waiting could be for a thread that does not run any more.
        let running = match NETWORK.try_lock() {
            Ok(mut network) => std::mem::replace(&mut *network, Network::Stopped),
            Err(_) => return,
        };
        end(running);
    }
}

thread_local! {
    static STOP_AT_EXIT: StopAtExit = const { StopAtExit };
}

/// Registers the main thread's destructor.
extern "C" fn register() {
    STOP_AT_EXIT.with(|_| {});
}

// SAFETY: the loader calls what is listed here as functions of C, on the thread that loads: before `main`, the main
// thread.
#[used]
#[unsafe(link_section = ".init_array")]
static REGISTER: extern "C" fn() = register;
