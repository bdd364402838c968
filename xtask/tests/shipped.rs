//! Check that what ships holds nothing for tests, and a build of the workspace makes our crates no others.

use std::collections::BTreeMap;
use std::process::Command;

use cargo_metadata::MetadataCommand;

/// Crates that only tests, the simulator and the bench may build.
const FOR_TESTS: [&str; 9] =
    ["contract", "counts", "fakes", "lies", "loadgen", "proptest", "sim", "standin", "turmoil"];

/// What `cargo tree` prints of normal dependencies.
fn tree(arguments: &[&str]) -> String {
    let tree = ["tree", "--locked", "--prefix", "none"];
    let output = Command::new(env!("CARGO")).args(tree).args(arguments).output().expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("names in ASCII")
}

/// The packages that `rookery` is made of, each with its features, as a build of `selected` chooses them.
fn packages(selected: &[&str]) -> BTreeMap<String, String> {
    let tree = tree(&[&["--edges", "normal", "--format", "{p}|{f}"], selected].concat());
    let lines = tree.lines().filter_map(|line| line.trim_end_matches(" (*)").split_once('|'));
    lines.map(|(package, features)| (package.split(' ').next().unwrap_or(package).into(), features.into())).collect()
}

#[test]
fn the_binary_is_made_of_no_crate_for_tests() {
    let packages = packages(&["--package", "gateway"]);
    for unwanted in FOR_TESTS {
        assert!(!packages.contains_key(unwanted), "{unwanted} ships: cargo tree -p gateway --invert {unwanted}");
    }
}

#[test]
fn no_feature_of_the_binary_is_for_tests() {
    let features = tree(&["--package", "gateway", "--edges", "normal,features"]);
    for unwanted in ["testing", "test-util", "planted"] {
        let unwanted = format!("feature \"{unwanted}\"");
        assert!(!features.contains(&unwanted), "{unwanted}: {features}");
    }
}

/// Features of several packages that are built together add up, so crates of the product have none.
#[test]
fn a_build_of_the_workspace_gives_our_crates_no_feature() {
    let metadata = MetadataCommand::new().no_deps().exec().expect("cargo metadata runs");
    let (shipped, together) = (packages(&["--package", "gateway"]), packages(&["--workspace"]));
    for package in &metadata.packages {
        let name = package.name.as_str();
        // The names that the registry's crate of this name has.
        if name == "foundationdb-sys" || !shipped.contains_key(name) {
            continue;
        }
        assert!(package.features.is_empty(), "{name} has features: {:?}", package.features);
        assert_eq!(shipped[name], together[name], "{name} is another where the workspace is built");
    }
}
