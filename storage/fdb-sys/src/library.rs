//! Finding and opening the client library: once per process, for as long as the process lives.

use std::ffi::OsString;
use std::mem::ManuallyDrop;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, OnceLock, PoisonError};

use libloading::os::unix::{Library as Opened, RTLD_LOCAL, RTLD_NOW};

use crate::FDB_API_VERSION;
use crate::calls::Table;

/// What the dynamic loader searches for if nobody names a path.
pub const LIBRARY_NAME: &str = "libfdb_c.so";

/// The environment variable that names the library if the caller does not.
pub const LIBRARY_VARIABLE: &str = "FDB_CLIENT_LIB";

/// Why there is no client library. Each is one line, with the path, what is needed, and what to do.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// Operator's: a path was named, and nothing is there.
    #[error(
        "{} does not exist; name the path of FoundationDB's client library {LIBRARY_NAME}, version 7.3 or newer",
        path.display()
    )]
    Missing {
        /// The path that was named.
        path: PathBuf,
    },
    /// Operator's: the loader could not open it; it is no library, or for another machine, or not installed.
    #[error(
        "{} cannot be opened as a library; install FoundationDB's client package 7.3 or newer, or name the path of its {LIBRARY_NAME}",
        path.display()
    )]
    NotALibrary {
        /// The path, or the name that was searched for.
        path: PathBuf,
        /// The loader's word.
        #[source]
        source: libloading::Error,
    },
    /// Operator's: it is some other library, or a client that is much too old.
    #[error(
        "{} lacks the symbol {symbol}, so it is not FoundationDB's client library of version 7.3 or newer; name the path of that {LIBRARY_NAME}",
        path.display()
    )]
    NoSymbol {
        /// The library.
        path: PathBuf,
        /// The first symbol that is missing.
        symbol: &'static str,
        /// The loader's word.
        #[source]
        source: libloading::Error,
    },
    /// Operator's: a client of an older FoundationDB.
    #[error(
        "{} offers API version {offered} at most, {FDB_API_VERSION} is needed; install FoundationDB's client package 7.3 or newer",
        path.display()
    )]
    TooOld {
        /// The library.
        path: PathBuf,
        /// The newest API version that it knows.
        offered: i32,
    },
    /// A process has one client library.
    #[error("{} is loaded already and stays so; start another process to load {}", loaded.display(), asked.display())]
    AnotherLoaded {
        /// The one that is loaded.
        loaded: PathBuf,
        /// The one that was asked for.
        asked: PathBuf,
    },
}

/// The client library that this process has loaded.
pub struct Library {
    path: PathBuf,
    max_api_version: i32,
    table: Table,
}

impl Library {
    /// Its path, or the name under which the loader found it.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The newest API version that it knows. At least [`FDB_API_VERSION`].
    #[must_use]
    pub fn max_api_version(&self) -> i32 {
        self.max_api_version
    }
}

impl std::fmt::Debug for Library {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut debug = f.debug_struct("Library");
        debug.field("path", &self.path).field("max_api_version", &self.max_api_version).finish_non_exhaustive()
    }
}

static LOADED: OnceLock<Library> = OnceLock::new();

/// Loads the client library at `path`, else the one that `FDB_CLIENT_LIB` names, else the one that the dynamic loader
/// finds. All symbols are resolved now, so that no call can fail for a missing one later.
///
/// The first success is the process's library: later calls return it. A failure may be followed by another attempt.
///
/// # Errors
/// [`LoadError`], a line that says what to do.
pub fn load(path: Option<&Path>) -> Result<&'static Library, LoadError> {
    static LOADING: Mutex<()> = Mutex::new(());
    let _one_at_a_time = LOADING.lock().unwrap_or_else(PoisonError::into_inner);
    let asked = chosen(path, std::env::var_os(LIBRARY_VARIABLE));
    match LOADED.get() {
        Some(loaded) if loaded.path == asked => Ok(loaded),
        Some(loaded) => Err(LoadError::AnotherLoaded { loaded: loaded.path.clone(), asked }),
        None => open(asked).map(|library| LOADED.get_or_init(|| library)),
    }
}

/// The path, or the bare name to search for.
fn chosen(path: Option<&Path>, variable: Option<OsString>) -> PathBuf {
    let named = path.map(Path::to_owned).or_else(|| variable.filter(|path| !path.is_empty()).map(PathBuf::from));
    named.unwrap_or_else(|| PathBuf::from(LIBRARY_NAME))
}

fn open(path: PathBuf) -> Result<Library, LoadError> {
    let searched = path.components().count() == 1;
    if !searched && !path.exists() {
        return Err(LoadError::Missing { path });
    }
    // SAFETY: the operator named this library, whose initialisers run now; FoundationDB's only set up its own statics.
    let opened = unsafe { Opened::open(Some(&path), RTLD_NOW | RTLD_LOCAL) };
    let opened = match opened {
        Ok(opened) => libloading::Library::from(opened),
        Err(source) => return Err(LoadError::NotALibrary { path, source }),
    };
    // Never closed, not even the wrong one: unloading runs destructors that few libraries bear.
    let opened = ManuallyDrop::new(opened);
    // SAFETY: whoever exports all these names is a FoundationDB client; the library is never closed.
    let table = match unsafe { Table::resolve(&opened) } {
        Ok(table) => table,
        Err((symbol, source)) => return Err(LoadError::NoSymbol { path, symbol, source }),
    };
    // SAFETY: takes nothing, and may be called before anything else.
    let offered = unsafe { (table.fdb_get_max_api_version)() };
    if i64::from(offered) < i64::from(FDB_API_VERSION) {
        return Err(LoadError::TooOld { path, offered });
    }
    Ok(Library { path, max_api_version: offered, table })
}

/// The functions of the loaded library.
///
/// # Panics
/// If there is none.
pub(crate) fn table() -> &'static Table {
    let library = LOADED.get().expect("foundationdb_sys::load succeeds before anything of FoundationDB is called");
    &library.table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_callers_path_goes_before_the_environments_and_that_before_the_search() {
        let check = |path: Option<&str>, variable: Option<&str>, expected: &str| {
            assert_eq!(chosen(path.map(Path::new), variable.map(OsString::from)), Path::new(expected));
        };
        check(Some("/a/libfdb_c.so"), Some("/b/libfdb_c.so"), "/a/libfdb_c.so");
        check(None, Some("/b/libfdb_c.so"), "/b/libfdb_c.so");
        check(None, Some(""), "libfdb_c.so");
        check(None, None, "libfdb_c.so");
    }
}
