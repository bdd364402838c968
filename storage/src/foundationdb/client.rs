//! The client: the library loaded, the API version selected, the network thread running. Once per process.
//!
//! Owns the process's one network thread, from the first connect to [`FoundationDb::close`] or the end of the process.
//! FoundationDB demands that it be stopped before the process exits, so its end hangs on the exit itself too.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};
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
    /// The system has no thread or no room for a handler.
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
}

impl FoundationDb {
    /// Loads the client library, if this process has not yet, starts its network thread, and names the cluster. Does not
    /// wait for the cluster.
    ///
    /// # Errors
    /// [`ConnectError`]. A library that is loaded stays so; after any other error another attempt may succeed.
    pub fn connect(options: &Options) -> Result<Self, ConnectError> {
        let prefix = Prefix::new(&options.prefix)?;
        let cluster_file = options.cluster_file.as_deref().map(cluster_file::check).transpose()?;
        let library = load(options.client_library.as_deref())?;
        start()?;
        let database = Database::new(cluster_file)?;
        // For reads: whoever asked is answered then, if only with that. Commits take it off, see `transaction`.
        let life_ms = i32::try_from(limits::TRANSACTION_LIFE_MS).expect("5 s");
        database.set_option(DatabaseOption::TransactionTimeout(life_ms))?;
        Ok(Self { library, database: Arc::new(database), prefix, new_generation: options.new_generation })
    }

    /// The client library in use.
    #[must_use]
    pub fn library(&self) -> &'static Library {
        self.library
    }

    /// Stops the network thread of the process: from now on nothing of any cluster is answered. To be called at exit, when
    /// no transaction is left that anybody waits for.
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

static NETWORK: Mutex<Network> = Mutex::new(Network::NotStarted);

fn start() -> Result<(), ConnectError> {
    let mut network = NETWORK.lock().unwrap_or_else(PoisonError::into_inner);
    match *network {
        Network::NotStarted => {}
        Network::Running(..) => return Ok(()),
        Network::Stopped => return Err(ConnectError::Stopped),
    }
    // Whatever fails from here on cannot be done again: the API version is selected once per process.
    *network = Network::Stopped;
    let (runner, started) = FdbApiBuilder::default().build()?.build()?;
    // SAFETY: the handler takes no argument, does not unwind, and may run on any thread.
    if unsafe { libc::atexit(stop_at_exit) } != 0 {
        return Err(ConnectError::Thread(io::Error::other("no handler can be registered for the process's exit")));
    }
    let thread = thread::Builder::new().name("fdb-network".to_owned()).spawn(move || {
        // SAFETY: the network has to be stopped before the process exits: `stop_at_exit` does that, and was registered
        // after the library's own exit handlers, so that it runs before them.
        if let Err(error) = unsafe { runner.run() } {
            tracing::error!(code = error.code(), "FoundationDB's network thread failed: {error}");
        }
    });
    let thread = thread.map_err(ConnectError::Thread)?;
    *network = Network::Running(started.wait(), thread);
    Ok(())
}

/// Ends the network thread if it runs. Legal at any time, any number of times.
fn stop() {
    let mut network = NETWORK.lock().unwrap_or_else(PoisonError::into_inner);
    if let Network::Running(stop, thread) = std::mem::replace(&mut *network, Network::Stopped) {
        if let Err(error) = stop.stop() {
            tracing::error!(code = error.code(), "FoundationDB's network thread cannot be stopped: {error}");
            return;
        }
        // A waker that exits the process on the network thread itself cannot await it.
        if thread.thread().id() != thread::current().id() && thread.join().is_err() {
            tracing::error!("FoundationDB's network thread panicked");
        }
    }
}

extern "C" fn stop_at_exit() {
    stop();
}
