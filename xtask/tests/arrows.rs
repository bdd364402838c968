//! The arrows in ARCHITECTURE.md are those of the workspace.

use std::collections::{BTreeMap, BTreeSet};

use cargo_metadata::{DependencyKind, MetadataCommand};

type Arrows = BTreeMap<String, BTreeSet<String>>;

/// The lines `a -> b c` of the block with this name.
fn written(block: &str) -> Arrows {
    let text = include_str!("../../ARCHITECTURE.md");
    let fence = format!("```{block}\n");
    let start = text.find(&fence).unwrap_or_else(|| panic!("ARCHITECTURE.md has a block {block}")) + fence.len();
    let end = start + text[start..].find("```").expect("the block ends");
    let arrow = |line: &str| {
        let (from, to) = line.split_once(" -> ").unwrap_or_else(|| panic!("{line:?} is like `a -> b c`"));
        (from.to_owned(), to.split(' ').map(str::to_owned).collect())
    };
    text[start..end].lines().map(arrow).collect()
}

/// The dependencies of workspace members on each other, of one kind.
fn real(kind: DependencyKind) -> Arrows {
    let metadata = MetadataCommand::new().no_deps().exec().expect("cargo metadata runs");
    let members: BTreeSet<String> = metadata.packages.iter().map(|package| package.name.to_string()).collect();
    let mut arrows = Arrows::new();
    for package in &metadata.packages {
        let mine = package.dependencies.iter().filter(|dependency| dependency.kind == kind);
        // A crate's own features for its tests, as `storage` takes with `testing`, are no arrow.
        let inside = mine.filter(|dependency| members.contains(&dependency.name) && dependency.name != *package.name);
        let to: BTreeSet<String> = inside.map(|dependency| dependency.name.clone()).collect();
        if !to.is_empty() {
            arrows.insert(package.name.to_string(), to);
        }
    }
    arrows
}

#[test]
fn normal_dependencies_are_the_arrows_of_the_architecture() {
    assert_eq!(real(DependencyKind::Normal), written("arrows"));
}

/// A development dependency on what is a normal one too only adds features; those that are not are written down.
#[test]
fn development_dependencies_beyond_the_arrows_are_written_down() {
    let normal = written("arrows");
    let mut beyond = real(DependencyKind::Development);
    for (from, to) in &mut beyond {
        to.retain(|name| !normal.get(from).is_some_and(|arrows| arrows.contains(name)));
    }
    beyond.retain(|_, to| !to.is_empty());
    assert_eq!(beyond, written("dev-arrows"));
}
