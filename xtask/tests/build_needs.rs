//! Build requirements that must not come back: headers, libclang, a FoundationDB on the machine.

use std::collections::BTreeMap;

use cargo_metadata::MetadataCommand;

#[test]
fn no_package_generates_bindings_or_links_foundationdb() {
    let metadata = MetadataCommand::new().exec().expect("cargo metadata runs");
    let packages: BTreeMap<&str, _> =
        metadata.packages.iter().map(|package| (package.name.as_str(), package)).collect();
    for unwanted in ["bindgen", "clang-sys"] {
        assert!(!packages.contains_key(unwanted), "{unwanted} came in: `cargo tree --workspace --invert {unwanted}`");
    }
    let ours = packages.get("foundationdb-sys").expect("the foundationdb crate stands on it");
    assert!(ours.source.is_none(), "the registry's foundationdb-sys took the place of storage/fdb-sys");
    assert!(ours.links.is_none() && ours.targets.iter().all(|target| !target.is_custom_build()), "it links");
    let versions = metadata.packages.iter().filter(|package| package.name == "foundationdb-sys").count();
    assert_eq!(versions, 1, "there are {versions} of foundationdb-sys");
}
