//! Examination of what a node of a cluster shares with the others: the secret, the token key, its address, the time.
//!
//! Owns the comparison with the nodes that are on the store. What they say of themselves the store's examination brings.

use std::io;
use std::net::{SocketAddr, TcpStream, ToSocketAddrs as _};
use std::time::Duration;

use api::TokenKey;
use schema::limits::{CLOCK_OFF_MS_MAX, CLOCK_OFF_WARN_MS};

use crate::config::{Config, StoreEngine};
use crate::lifecycle::links_fingerprint;
use crate::lifecycle::nodes::Watched;
use crate::machine::listen;

use super::{Finding, Verdict};

/// How long a connection to this machine's own address may take.
const CONNECT_WITHIN: Duration = Duration::from_secs(3);

/// What there is to compare.
#[derive(Debug, Clone)]
pub(super) struct Facts {
    /// The fingerprint of the secret and the authority of certificates, or what is wrong with them.
    secret: Result<u64, String>,
    /// The token key's; none if there is no key yet.
    token_key: Result<Option<u64>, String>,
    /// The address of the links, as others are told it, and what is wrong with it.
    address: (String, Result<(), String>),
    /// Who is on the store, and how many milliseconds the median of their clocks is ahead of this machine's. None where
    /// the store does not say.
    others: Option<(Vec<Other>, Option<i64>)>,
}

/// Another node.
#[derive(Debug, Clone)]
struct Other {
    name: String,
    secret: u64,
    token_key: u64,
}

/// Looks at what the configuration names; nothing, where the node would be none of a cluster.
pub(super) fn measure(config: &Config, watched: Option<&Watched>) -> Option<Facts> {
    let (Some(path), StoreEngine::FoundationDb) = (&config.cluster_secret_file, config.engine) else { return None };
    let others = watched.map(|watched| {
        let records = watched.sight.records().filter(|record| !record.links.is_empty());
        let other = |record: &schema::record::NodeRecord| Other {
            name: record.name.clone(),
            secret: record.secret,
            token_key: record.token_key,
        };
        (records.map(other).collect(), watched.ahead_ms)
    });
    Some(Facts {
        secret: links_fingerprint(config, path).map_err(|error| format!("{error:#}")),
        token_key: token_key(config),
        address: address(config),
        others,
    })
}

fn token_key(config: &Config) -> Result<Option<u64>, String> {
    if let Some(secret) = &config.key {
        return Ok(Some(TokenKey::new(secret.bytes()).fingerprint()));
    }
    let path = config.key_file();
    if !path.exists() {
        return Ok(None);
    }
    TokenKey::load(&path).map(|key| Some(key.fingerprint())).map_err(|error| error.to_string())
}

/// What others are told, and whether a connection to it arrives: by this machine's own way, which is the best that it can
/// say.
fn address(config: &Config) -> (String, Result<(), String>) {
    let listener = match listen::open("listen.links", config.links, Duration::ZERO) {
        Ok(listener) => listener,
        Err(error) => return (config.links.to_string(), Err(error.to_string())),
    };
    let told = match (&config.links_address, listener.local_addr()) {
        (Some(told), _) => told.clone(),
        (None, Ok(bound)) if bound.ip().is_unspecified() => {
            let remedy = "it listens on every address: tell others one with node.links_address".to_owned();
            return (bound.to_string(), Err(remedy));
        }
        (None, Ok(bound)) => bound.to_string(),
        (None, Err(error)) => return (config.links.to_string(), Err(error.to_string())),
    };
    let reached = connect(&told).map_err(|error| {
        format!("a connection to it does not arrive: {error}; see node.links_address, the network and its firewalls")
    });
    (told, reached)
}

fn connect(address: &str) -> io::Result<()> {
    let mut last = io::ErrorKind::AddrNotAvailable.into();
    for at in address.to_socket_addrs()? {
        match TcpStream::connect_timeout(&at, CONNECT_WITHIN) {
            Ok(_) => return Ok(()),
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// A row for each.
pub(super) fn findings(facts: &Facts) -> Vec<Finding> {
    let (others, ahead_ms) = facts.others.as_ref().map_or((&[][..], None), |(others, ahead_ms)| (others, *ahead_ms));
    vec![secret_row(facts, others), token_key_row(facts, others), address_row(facts), clock_row(others, ahead_ms)]
}

fn secret_row(facts: &Facts, others: &[Other]) -> Finding {
    let what = "cluster: secret";
    let needed = "the same on all nodes";
    let (found, lacking) = match &facts.secret {
        Err(error) => ("not usable".to_owned(), Some(error.clone())),
        Ok(mine) => {
            same(others, |other| other.secret == *mine, "cluster.secret_file, and the same cluster.tls_ca_file or none")
        }
    };
    Finding::new(what, found, needed, lacking)
}

fn token_key_row(facts: &Facts, others: &[Other]) -> Finding {
    let what = "cluster: token key";
    let needed = "the same on all nodes";
    match &facts.token_key {
        Err(error) => Finding::new(what, "not usable", needed, Some(error.clone())),
        Ok(Some(mine)) => {
            let (found, lacking) = same(others, |other| other.token_key == *mine, "auth.key_file");
            Finding::new(what, found, needed, lacking)
        }
        Ok(None) => {
            let remedy = "each node makes one of its own: name one file for all with auth.key_file".to_owned();
            let verdict = if others.is_empty() { Verdict::Note(remedy) } else { Verdict::Lacking(remedy) };
            Finding { verdict, ..Finding::new(what, "none yet", needed, None) }
        }
    }
}

/// What is found where a node has the same as others, and the remedy where one has not.
fn same(others: &[Other], is_same: impl Fn(&Other) -> bool, key: &str) -> (String, Option<String>) {
    match (others.len(), others.iter().find(|other| !is_same(other))) {
        (_, Some(other)) => {
            let name = &other.name;
            (format!("not that of node {name}"), Some(format!("give all nodes the same {key}")))
        }
        (0, None) => ("readable; no other node is there".to_owned(), None),
        (1, None) => (format!("that of node {}", others[0].name), None),
        (count, None) => (format!("that of {count} nodes"), None),
    }
}

fn address_row(facts: &Facts) -> Finding {
    let (told, reached) = &facts.address;
    let (what, needed) = ("cluster: links' address", "reachable for other nodes");
    let finding = Finding::new(what, told.clone(), needed, reached.clone().err());
    let is_local = told.parse::<SocketAddr>().is_ok_and(|at| at.ip().is_loopback());
    if reached.is_ok() && is_local {
        let note =
            "only nodes of this machine can connect: name another with --links, or node.links_address".to_owned();
        return Finding { verdict: Verdict::Note(note), ..finding };
    }
    finding
}

fn clock_row(others: &[Other], ahead_ms: Option<i64>) -> Finding {
    let (what, needed) = ("cluster: clock", "within 60 s of the other nodes'");
    const { assert!(CLOCK_OFF_MS_MAX == 60_000, "the text says how far") };
    let Some(ahead_ms) = ahead_ms else { return Finding::new(what, "nobody to compare with", needed, None) };
    let off_s = -ahead_ms as f64 / 1_000.0;
    let found = format!("{off_s:+.1} s from {}", if others.len() == 1 { "the other" } else { "the others" });
    let remedy = || "set this machine's clock right, as by NTP".to_owned();
    let verdict = match ahead_ms.unsigned_abs() {
        0..=CLOCK_OFF_WARN_MS => Verdict::Enough,
        ms if ms <= CLOCK_OFF_MS_MAX => Verdict::Note(remedy()),
        _ => Verdict::Lacking(remedy()),
    };
    Finding { verdict, ..Finding::new(what, found, needed, None) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A machine that fits two others, changed; the rows that are not as they should be.
    fn check(change: impl FnOnce(&mut Facts), expected: &[&str]) {
        let other = |name: &str| Other { name: name.to_owned(), secret: 1, token_key: 2 };
        let mut facts = Facts {
            secret: Ok(1),
            token_key: Ok(Some(2)),
            address: ("chat-3.internal:8004".to_owned(), Ok(())),
            others: Some((vec![other("chat-1"), other("chat-2")], Some(400))),
        };
        change(&mut facts);
        let rows = findings(&facts).into_iter().map(|finding| finding.row());
        let wrong: Vec<String> = rows
            .filter(|row| row[0] != "ok")
            .map(|[mark, what, found, ..]| format!("{mark} {what}: {found}"))
            .collect();
        assert_eq!(wrong, expected, "{facts:?}");
    }

    #[test]
    fn a_node_that_would_not_fit_the_others_is_told_before_it_starts() {
        check(|_| (), &[]);
        check(|facts| facts.secret = Ok(9), &["LACKING cluster: secret: not that of node chat-1"]);
        check(|facts| facts.secret = Err("too short".to_owned()), &["LACKING cluster: secret: not usable"]);
        check(|facts| facts.token_key = Ok(Some(9)), &["LACKING cluster: token key: not that of node chat-1"]);
        check(|facts| facts.token_key = Ok(None), &["LACKING cluster: token key: none yet"]);
        check(
            |facts| (facts.token_key, facts.others) = (Ok(None), Some((Vec::new(), None))),
            &["NOTE cluster: token key: none yet"],
        );
        check(|facts| facts.others = None, &[]);
        check(
            |facts| facts.address = ("127.0.0.1:8004".to_owned(), Ok(())),
            &["NOTE cluster: links' address: 127.0.0.1:8004"],
        );
        check(
            |facts| facts.address.1 = Err("refused".to_owned()),
            &["LACKING cluster: links' address: chat-3.internal:8004"],
        );
    }

    #[test]
    fn a_clock_that_is_off_is_a_note_and_far_off_a_lack() {
        let check = |ahead_ms, expected: &[&str]| {
            check(|facts| facts.others.as_mut().expect("others").1 = Some(ahead_ms), expected);
        };
        check(5_000, &[]);
        check(-5_000, &[]);
        check(5_001, &["NOTE cluster: clock: -5.0 s from the others"]);
        check(-60_000, &["NOTE cluster: clock: +60.0 s from the others"]);
        check(-60_001, &["LACKING cluster: clock: +60.0 s from the others"]);
    }

    #[test]
    fn an_address_is_tried() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        let at = listener.local_addr().expect("bound");
        assert!(connect(&at.to_string()).is_ok());
        drop(listener);
        assert!(connect(&at.to_string()).is_err());
    }
}
