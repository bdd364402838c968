//! Examination of the configured store: whether it can be had from this machine.
//!
//! Owns the look at FoundationDB: its client library, the cluster file, the cluster. Writes nothing there, and needs
//! none of it to say what is missing.

use std::path::{Path, PathBuf};

use futures_lite::future;
use kv::foundationdb::{self, FoundationDb, Probe};

use crate::config::{Config, StoreEngine};
use crate::store;

use super::Finding;

/// What there is of a cluster.
#[derive(Debug, Clone)]
pub(crate) struct Cluster {
    /// The client library and its newest API version, or what is wrong with it.
    pub library: Result<String, String>,
    /// Where the cluster file is looked for.
    pub cluster_file: PathBuf,
    /// What is wrong with it.
    pub cluster_file_is: Result<(), String>,
    /// What the cluster says. `None` if it could not be asked.
    pub cluster: Option<Result<String, String>>,
}

/// Looks at what the configuration names. `None` for the embedded engine, whose store is the data directory.
pub(super) fn measure(config: &Config) -> Option<Cluster> {
    match config.store.engine {
        StoreEngine::Embedded => None,
        StoreEngine::FoundationDb => Some(measure_cluster(config)),
    }
}

fn measure_cluster(config: &Config) -> Cluster {
    let library = foundationdb::load(config.store.client_library.as_deref());
    let library = library
        .map_err(|error| told(&error.into()))
        .map(|library| format!("{}, API version up to {}", library.path().display(), library.max_api_version()));
    let cluster_file = config.store.cluster_file.clone().unwrap_or_else(|| looked_for(&PLACES, Path::exists));
    let cluster_file_is =
        foundationdb::check_cluster_file(&cluster_file).map(drop).map_err(|error| told(&error.into()));
    let cluster = (library.is_ok() && cluster_file_is.is_ok()).then(|| ask(config).map_err(|error| told(&error)));
    Cluster { library, cluster_file, cluster_file_is, cluster }
}

/// Where the client looks for a cluster file that nobody named, in its order; the variable goes before.
const PLACES: [&str; 2] = ["fdb.cluster", "/etc/foundationdb/fdb.cluster"];

fn looked_for(places: &[&str], exists: impl Fn(&Path) -> bool) -> PathBuf {
    let named = std::env::var_os("FDB_CLUSTER_FILE").filter(|path| !path.is_empty()).map(PathBuf::from);
    let mut there = places.iter().map(PathBuf::from).filter(|path| exists(path));
    let last = || PathBuf::from(*places.last().expect("there are places"));
    named.or_else(|| there.next()).unwrap_or_else(last)
}

/// What the cluster says, within the 5 s that a read takes at most.
fn ask(config: &Config) -> anyhow::Result<String> {
    let client = FoundationDb::connect(&store::cluster_options(&config.store)?)?;
    let looked = future::block_on(client.probe());
    client.close();
    let prefix = &config.store.prefix;
    let Probe { version, store } = looked?;
    Ok(match store {
        Some((format, generation)) => {
            format!("at version {version}; store {prefix:?} of format {format}, generation {:x}", generation.0)
        }
        None => format!("at version {version}; no store {prefix:?} yet, the first start makes it"),
    })
}

/// The error and its causes in a line.
fn told(error: &anyhow::Error) -> String {
    format!("{error:#}")
}

/// A row for each, as far as it can be told.
pub(super) fn findings(cluster: Option<&Cluster>) -> Vec<Finding> {
    let Some(Cluster { library, cluster_file, cluster_file_is, cluster }) = cluster else {
        return vec![finding("store", Ok("embedded, in the data directory"), "embedded or foundationdb", None)];
    };
    let is_library = library.as_deref().map_err(|_| "not usable");
    let mut findings = vec![
        finding("store: client library", is_library, "libfdb_c.so 7.3 or later", library.clone().err()),
        Finding {
            what: "store: cluster file".to_owned(),
            found: cluster_file.display().to_string(),
            needed: "readable, description:id@ip:port".to_owned(),
            remedy: cluster_file_is.clone().err(),
        },
    ];
    let (answer, remedy) = match cluster {
        Some(Ok(answer)) => (Ok(answer.as_str()), None),
        Some(Err(error)) => (Err("does not answer as it should"), Some(error.clone())),
        None => (Err("not asked"), Some("first what is lacking above".to_owned())),
    };
    let asked = finding("store: cluster", answer, "answers within 5 s", remedy);
    findings.push(asked);
    findings
}

fn finding(what: &str, found: Result<&str, &str>, needed: &str, remedy: Option<String>) -> Finding {
    let found = found.unwrap_or_else(|lacking| lacking);
    Finding { what: what.to_owned(), found: found.to_owned(), needed: needed.to_owned(), remedy }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(cluster: Option<&Cluster>) -> Vec<String> {
        let row = |finding: Finding| {
            let mark = if finding.remedy.is_some() { "LACKING" } else { "ok" };
            format!("{mark} {}: {} {}", finding.what, finding.found, finding.remedy.unwrap_or_default())
        };
        findings(cluster).into_iter().map(|finding| row(finding).trim_end().to_owned()).collect()
    }

    #[test]
    fn what_cannot_be_asked_waits_for_what_is_lacking() {
        let sound = Cluster {
            library: Ok("libfdb_c.so".to_owned()),
            cluster_file: PathBuf::from("fdb.cluster"),
            cluster_file_is: Ok(()),
            cluster: Some(Ok("at version 7".to_owned())),
        };
        let check = |cluster: Option<&Cluster>, expected: &[&str]| assert_eq!(rows(cluster), expected, "{cluster:?}");
        check(None, &["ok store: embedded, in the data directory"]);
        let (library, file) = ("ok store: client library: libfdb_c.so", "ok store: cluster file: fdb.cluster");
        check(Some(&sound), &[library, file, "ok store: cluster: at version 7"]);
        check(
            Some(&Cluster { cluster: Some(Err("see status".to_owned())), ..sound.clone() }),
            &[library, file, "LACKING store: cluster: does not answer as it should see status"],
        );
        check(
            Some(&Cluster { library: Err("install it".to_owned()), cluster: None, ..sound }),
            &[
                "LACKING store: client library: not usable install it",
                file,
                "LACKING store: cluster: not asked first what is lacking above",
            ],
        );
    }

    #[test]
    fn a_cluster_file_is_looked_for_where_the_client_looks() {
        // What the environment of a test names is not the test's to say.
        if std::env::var_os("FDB_CLUSTER_FILE").is_none() {
            assert_eq!(looked_for(&["a", "b"], |path| path == Path::new("b")), Path::new("b"));
            assert_eq!(looked_for(&["a", "b"], |_| true), Path::new("a"));
            assert_eq!(looked_for(&["a", "b"], |_| false), Path::new("b"));
        }
    }
}
