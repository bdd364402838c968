//! Resources of the machine: a directory, disk space, files, ports and signals.
//!
//! Owns the checks before anything starts, each refusal with its remedy. Knows no shard, no store and no HTTP.

pub(crate) mod datadir;
pub(crate) mod disk;
pub(crate) mod files;
pub(crate) mod listen;
pub(crate) mod lives;
pub(crate) mod media;
pub(crate) mod secret;
pub(crate) mod signals;
