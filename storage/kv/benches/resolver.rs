//! Cost of conflict checks: the resolver's tables against one ordered map of every key's last version.
//!
//! `cargo bench -p kv --bench resolver`. Transactions of 100 random 24-byte keys written and 10 read, 1,000 a
//! second for 10 simulated seconds, so that up to 600,000 writes are remembered; reads are some versions old.
#![expect(clippy::print_stdout, reason = "a benchmark prints its figures")]

use std::collections::{BTreeMap, VecDeque};
use std::time::Instant;

use bytes::Bytes;
use kv::Version;
use kv::resolver::{CommitRequest, Mutation, Resolver, Span};

const TRANSACTIONS: u64 = 10_000;
const WRITES: u64 = 100;
const READS: u64 = 10;
const KEPT_MS: u64 = 6_000;

fn main() {
    println!("reads at, versions ago     tables µs/tx   ordered map µs/tx   conflicts (equal)");
    for lag in [0, 10, 1_000] {
        let (tables_us, conflicts) = timed(&mut tables(), lag);
        let (map_us, expected) = timed(&mut ordered_map(), lag);
        assert_eq!(conflicts, expected, "both must judge alike");
        println!("{lag:>22} {tables_us:>16.1} {map_us:>19.1} {conflicts:>19}");
    }
}

/// Judges transactions one a millisecond; the average time of one, and how many conflicted.
fn timed(judge: &mut dyn FnMut(u64, CommitRequest) -> bool, lag: u64) -> (f64, u64) {
    let mut conflicts = 0;
    let mut spent = std::time::Duration::ZERO;
    for number in 1..=TRANSACTIONS {
        let request = request(number, lag);
        let began = Instant::now();
        conflicts += u64::from(!judge(number, request));
        spent += began.elapsed();
    }
    (spent.as_secs_f64() * 1e6 / TRANSACTIONS as f64, conflicts)
}

fn request(number: u64, lag: u64) -> CommitRequest {
    let key = |at: u64| {
        let mut bits = at.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9) % 20_000_000;
        let mut key = [0; 24];
        key[..8].copy_from_slice(&bits.to_be_bytes());
        Bytes::copy_from_slice(&key)
    };
    CommitRequest {
        read_version: Version((number - 1).saturating_sub(lag)),
        reads: (0..READS).map(|at| Span::Key(key(number * 1_000_003 + at))).collect(),
        mutations: (0..WRITES).map(|at| Mutation::Set(key(number * WRITES + at), Bytes::new())).collect(),
        size_bytes: 10_000,
    }
}

fn tables() -> impl FnMut(u64, CommitRequest) -> bool {
    let mut resolver: Resolver<()> = Resolver::restart(Version(0));
    move |now_ms, request| {
        let group = resolver.open();
        let admitted = resolver.admit(request).is_ok();
        resolver.seal();
        resolver.release(now_ms, group.version);
        admitted
    }
}

/// What one would write first.
fn ordered_map() -> impl FnMut(u64, CommitRequest) -> bool {
    let mut last: BTreeMap<Bytes, u64> = BTreeMap::new();
    let mut written: VecDeque<(u64, Bytes)> = VecDeque::new();
    move |version, request| {
        let fresh = |read: &Span| match read {
            Span::Key(key) => last.get(key).is_none_or(|version| *version <= request.read_version.0),
            Span::Range(begin, end) => {
                let mut within = last.range(begin.clone()..end.clone());
                within.all(|(_, version)| *version <= request.read_version.0)
            }
        };
        let admitted = request.reads.iter().all(fresh);
        if admitted {
            for mutation in request.mutations {
                if let Mutation::Set(key, _) = mutation {
                    last.insert(key.clone(), version);
                    written.push_back((version, key));
                }
            }
        }
        while let Some((_, key)) = written.pop_front_if(|(at, _)| *at + KEPT_MS < version) {
            if last.get(&key).is_some_and(|at| *at + KEPT_MS < version) {
                last.remove(&key);
            }
        }
        admitted
    }
}
