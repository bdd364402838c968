//! The contract on a real cluster, whenever `ROOKERY_FDB_CLUSTER_FILE` names its cluster file.
//!
//! Every test works in a store of its own under a prefix that nobody else has, and removes it. The client library is
//! found as always: `FDB_CLIENT_LIB`, else the dynamic loader's search. Without the variable each test says so and
//! passes.

use std::env;
use std::path::PathBuf;

use contract::{Subject, cluster};
use kv::foundationdb::{FoundationDbEngine, Options};

const VARIABLE: &str = "ROOKERY_FDB_CLUSTER_FILE";

fn skipped() -> bool {
    let skipped = env::var_os(VARIABLE).is_none();
    if skipped {
        eprintln!("skipped: {VARIABLE} names no cluster file of a FoundationDB to test on");
    }
    skipped
}

fn subject() -> Subject<FoundationDbEngine> {
    let cluster_file = PathBuf::from(env::var_os(VARIABLE).expect("asked before"));
    let prefix = "contract of rookery".to_owned();
    cluster::subject(&Options { cluster_file: Some(cluster_file), client_library: None, prefix, new_generation: 0 })
}

mod foundationdb {
    contract::contract_tests!(super::subject, cases: 40, skip: super::skipped);
}
