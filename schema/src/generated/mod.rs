//! The code that `flatc` makes of `schema/*.fbs`. Nothing here is written by hand but this file.
//!
//! Owns the way in to it and the lints it does not keep. `cargo xtask flatbuffers` writes `all_generated.rs` and
//! `SCHEMAS.sha256`; a test compares the latter with the schemas.

#[rustfmt::skip]
#[expect(
    clippy::allow_attributes,
    clippy::allow_attributes_without_reason,
    clippy::derivable_impls,
    clippy::extra_unused_lifetimes,
    clippy::undocumented_unsafe_blocks,
    unreachable_pub,
    reason = "the generator knows nothing of this repository's lints"
)]
mod all_generated;

pub(crate) use all_generated::rookery;
