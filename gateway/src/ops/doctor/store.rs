//! Examination of the configured store: whether it can be had from this machine, and what was set aside in it.
//!
//! Owns the look at FoundationDB (its client library, the cluster file, the cluster) and into a store that is there.
//! Makes no store and changes no row, but an embedded store has to be opened to look into it, as a node opens it. Needs
//! none of it to say what is missing.

use std::path::{Path, PathBuf};

use chat::unreadable;
use futures_lite::future;
use kv::Engine;
use kv::embedded::{EmbeddedEngine, EmbeddedOptions};
use kv::foundationdb::{self, FoundationDb, Probe};

use crate::config::{Config, StoreEngine};
use crate::lifecycle::nodes::{self, Watched};
use crate::store;

use super::{Finding, Verdict};

/// Rows set aside that are looked for, and those whose keys are shown.
const SET_ASIDE_MAX: u32 = 1_000;
const KEYS_SHOWN: usize = 3;

/// Keys of rows that were set aside because they could not be read, or why nobody can tell.
type SetAside = Result<Vec<String>, String>;

/// What there is of the store.
#[derive(Debug, Clone)]
pub(super) enum Facts {
    /// In the data directory, where there may be none yet.
    Embedded(Option<SetAside>),
    Cluster(Cluster),
}

/// What there is of a cluster.
#[derive(Debug, Clone)]
pub(super) struct Cluster {
    /// The client library and its newest API version, or what is wrong with it.
    library: Result<String, String>,
    /// Where the cluster file is looked for.
    cluster_file: PathBuf,
    /// What is wrong with it.
    cluster_file_is: Result<(), String>,
    /// What the cluster says, and what was set aside if it has a store. `None` if it could not be asked.
    cluster: Option<Result<(String, Option<SetAside>), String>>,
}

/// Looks at what the configuration names, and at the nodes that are on it where this one is to be one of them.
pub(super) fn measure(config: &Config) -> (Facts, Option<Watched>) {
    match config.engine {
        StoreEngine::Embedded => {
            let there = config.data_dir.join("store").exists();
            (Facts::Embedded(there.then(|| look_into(config))), None)
        }
        StoreEngine::FoundationDb => {
            let (cluster, watched) = measure_cluster(config);
            (Facts::Cluster(cluster), watched)
        }
    }
}

fn look_into(config: &Config) -> SetAside {
    let entropy = getrandom::u64().map_err(|error| error.to_string())?;
    let store = EmbeddedEngine::open(&config.data_dir, EmbeddedOptions::new(entropy));
    let store = store.map_err(|error| told(&error.into()))?;
    let kept = future::block_on(set_aside(&store));
    store.close();
    kept
}

async fn set_aside<S: Engine>(store: &S) -> SetAside {
    let kept = unreadable::kept(store, SET_ASIDE_MAX).await.map_err(|error| told(&error.into()))?;
    Ok(kept.iter().map(|key| unreadable::hex(key)).collect())
}

fn measure_cluster(config: &Config) -> (Cluster, Option<Watched>) {
    let library = foundationdb::load(config.client_library.as_deref());
    let library = library
        .map_err(|error| told(&error.into()))
        .map(|library| format!("{}, API version up to {}", library.path().display(), library.max_api_version()));
    let cluster_file = config.cluster_file.clone().unwrap_or_else(|| looked_for(&PLACES, Path::exists));
    let cluster_file_is =
        foundationdb::check_cluster_file(&cluster_file).map(drop).map_err(|error| told(&error.into()));
    let asked = (library.is_ok() && cluster_file_is.is_ok()).then(|| ask(config).map_err(|error| told(&error)));
    let mut watched = None;
    let cluster = asked.map(|asked| {
        asked.map(|(answer, set_aside, nodes)| {
            watched = nodes;
            (answer, set_aside)
        })
    });
    (Cluster { library, cluster_file, cluster_file_is, cluster }, watched)
}

/// Where the client looks for a cluster file that nobody named, in its order; the variable goes before.
const PLACES: [&str; 2] = ["fdb.cluster", "/etc/foundationdb/fdb.cluster"];

fn looked_for(places: &[&str], exists: impl Fn(&Path) -> bool) -> PathBuf {
    let named = std::env::var_os("FDB_CLUSTER_FILE").filter(|path| !path.is_empty()).map(PathBuf::from);
    let mut there = places.iter().map(PathBuf::from).filter(|path| exists(path));
    let last = || PathBuf::from(*places.last().expect("there are places"));
    named.or_else(|| there.next()).unwrap_or_else(last)
}

/// What the cluster says, each within the 5 s that a read takes at most.
fn ask(config: &Config) -> anyhow::Result<(String, Option<SetAside>, Option<Watched>)> {
    let client = FoundationDb::connect(&store::cluster_options(config)?)?;
    let looked = future::block_on(async {
        let Probe { version, store } = client.probe().await?;
        let prefix = &config.store_prefix;
        let Some((format, generation)) = store else {
            let answer = format!("at version {version}; no store {prefix:?} yet, the first start makes it");
            return Ok((answer, None, None));
        };
        let store = client.open().await?;
        let kept = set_aside(&store).await;
        let watched = match config.cluster_secret_file {
            Some(_) => nodes::watch(&store).await.ok(),
            None => None,
        };
        let generation = generation.0;
        Ok((
            format!("at version {version}; store {prefix:?} of format {format}, generation {generation:x}"),
            Some(kept),
            watched,
        ))
    });
    client.close();
    looked
}

/// The error and its causes in a line.
fn told(error: &anyhow::Error) -> String {
    format!("{error:#}")
}

/// A row for each, as far as it can be told.
pub(super) fn findings(facts: &Facts) -> Vec<Finding> {
    let Cluster { library, cluster_file, cluster_file_is, cluster } = match facts {
        Facts::Embedded(set_aside) => {
            let store = Finding::new("store", "embedded, in the data directory", "embedded or foundationdb", None);
            return [store].into_iter().chain(set_aside.as_ref().map(rows_set_aside)).collect();
        }
        Facts::Cluster(cluster) => cluster,
    };
    let is_library = library.as_deref().unwrap_or("not usable");
    let cluster_file = cluster_file.display().to_string();
    let form = "readable, description:id@ip:port";
    let (answer, remedy) = match cluster {
        Some(Ok((answer, _))) => (answer.as_str(), None),
        Some(Err(error)) => ("does not answer as it should", Some(error.clone())),
        None => ("not asked", Some("first what is lacking above".to_owned())),
    };
    let mut findings = vec![
        Finding::new("store: client library", is_library, "libfdb_c.so 7.3 or later", library.clone().err()),
        Finding::new("store: cluster file", cluster_file, form, cluster_file_is.clone().err()),
        Finding::new("store: cluster", answer, "answers within 5 s", remedy),
    ];
    if let Some(Ok((_, Some(set_aside)))) = cluster {
        findings.push(rows_set_aside(set_aside));
    }
    findings
}

fn rows_set_aside(set_aside: &SetAside) -> Finding {
    let what = "store: rows set aside";
    let keys = match set_aside {
        Ok(keys) if keys.is_empty() => return Finding::new(what, "none", "none", None),
        Ok(keys) => keys,
        // The node that has the store open says so in its own log and metrics.
        Err(error) => {
            return Finding {
                verdict: Verdict::Note(error.clone()),
                ..Finding::new(what, "not looked at", "none", None)
            };
        }
    };
    let more = if keys.len() < SET_ASIDE_MAX as usize { "" } else { " or more" };
    let shown = keys.iter().take(KEYS_SHOWN).map(String::as_str).collect::<Vec<_>>().join(", ");
    let dots = if keys.len() > KEYS_SHOWN { ", …" } else { "" };
    let note = format!("rows that cannot be read are kept and skipped; their keys are in the log: {shown}{dots}");
    let found = format!("{}{more}", keys.len());
    Finding { verdict: Verdict::Note(note), ..Finding::new(what, found, "none", None) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is found, a row each: mark, what, found, remedy.
    fn check(facts: &Facts, expected: &[&str]) {
        let row = |finding: Finding| {
            let [mark, what, found, _, remedy] = finding.row();
            format!("{mark} {what}: {found} {remedy}").trim_end().to_owned()
        };
        assert_eq!(findings(facts).into_iter().map(row).collect::<Vec<_>>(), expected, "{facts:?}");
    }

    #[test]
    fn what_cannot_be_asked_waits_for_what_is_lacking() {
        let cluster = |library: Result<&str, &str>, cluster| {
            Facts::Cluster(Cluster {
                library: library.map(str::to_owned).map_err(str::to_owned),
                cluster_file: PathBuf::from("fdb.cluster"),
                cluster_file_is: Ok(()),
                cluster,
            })
        };
        let (library, file) = ("ok store: client library: libfdb_c.so", "ok store: cluster file: fdb.cluster");
        let answer = |set_aside| Some(Ok(("at version 7".to_owned(), set_aside)));
        let (asked, none) = ("ok store: cluster: at version 7", "ok store: rows set aside: none");
        check(&cluster(Ok("libfdb_c.so"), answer(None)), &[library, file, asked]);
        check(&cluster(Ok("libfdb_c.so"), answer(Some(Ok(Vec::new())))), &[library, file, asked, none]);
        let fails = "LACKING store: cluster: does not answer as it should see status";
        check(&cluster(Ok("libfdb_c.so"), Some(Err("see status".to_owned()))), &[library, file, fails]);
        let (unusable, unasked) = (
            "LACKING store: client library: not usable install it",
            "LACKING store: cluster: not asked first what is lacking above",
        );
        check(&cluster(Err("install it"), None), &[unusable, file, unasked]);
    }

    #[test]
    fn rows_that_were_set_aside_are_a_note_and_no_lack() {
        let embedded = "ok store: embedded, in the data directory";
        let note = "rows that cannot be read are kept and skipped; their keys are in the log:";
        let check = |set_aside: Option<Result<&[&str], &str>>, expected: &[&str]| {
            let owned = |keys: &[&str]| keys.iter().map(|&key| key.to_owned()).collect();
            let facts = Facts::Embedded(set_aside.map(|aside| aside.map(owned).map_err(str::to_owned)));
            check(&facts, &[&[embedded], expected].concat());
        };
        check(None, &[]);
        check(Some(Ok(&[])), &["ok store: rows set aside: none"]);
        check(Some(Ok(&["0a"])), &[&format!("NOTE store: rows set aside: 1 {note} 0a")]);
        check(Some(Ok(&["0a", "0b", "0c", "0d"])), &[&format!("NOTE store: rows set aside: 4 {note} 0a, 0b, 0c, …")]);
        check(Some(Err("in use")), &["NOTE store: rows set aside: not looked at in use"]);
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
