//! `cargo xtask arrows`: arrows between crates and between the folders of each, and where they run in circles.
//!
//! Owns the reading of `use` lines and of paths that begin with `crate::`. A path names the file that its item is
//! written in, behind re-exports. A module with modules below it lies in their folder. Tests may look anywhere, and are
//! not read.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use anyhow::Result;

use crate::sources::{self, Line, Source};

/// A module's path below its crate: `["lifecycle", "phase"]`; the crate's root is empty.
type Module = Vec<String>;

/// One crate's modules and their arrows.
#[derive(Debug, Default)]
pub(crate) struct Rooms {
    modules: BTreeMap<Module, Text>,
    arrows: BTreeSet<(Module, Module)>,
}

/// What is read of a module.
#[derive(Debug, Default)]
struct Text {
    /// Paths of its `use` lines, and whether others see them.
    uses: Vec<(Vec<String>, bool)>,
    /// Paths within its code.
    paths: Vec<Vec<String>>,
}

/// Every crate of the workspace, by its folder.
///
/// # Errors
/// Of git.
pub(crate) fn workspace() -> Result<BTreeMap<String, Rooms>> {
    let mut crates: BTreeMap<String, Rooms> = BTreeMap::new();
    for source in sources::all(None, &["rs"])? {
        let package = source.package();
        let Some(file) = source.path.strip_prefix(&format!("{package}/src/")).map(str::to_owned) else { continue };
        // Generated code is one module, whatever it says of itself.
        if file.starts_with("generated/")
            || file.starts_with("bin/")
            || source.lines().all(|(line, _)| line != Line::Product)
        {
            continue;
        }
        // A program beside a library is its door; `lib.rs` comes first.
        crates.entry(package).or_default().modules.entry(module(&file)).or_insert_with(|| Text::read(&source));
    }
    for rooms in crates.values_mut() {
        rooms.draw();
    }
    Ok(crates)
}

/// The arrows and circles of the workspace, for people.
///
/// # Errors
/// Of git and cargo.
pub(crate) fn print() -> Result<String> {
    let mut text = "crates\n".to_owned();
    let metadata = cargo_metadata::MetadataCommand::new().no_deps().exec()?;
    let members: BTreeSet<&str> = metadata.packages.iter().map(|package| package.name.as_str()).collect();
    for package in &metadata.packages {
        let normal = package.dependencies.iter().filter(|of| of.kind == cargo_metadata::DependencyKind::Normal);
        let to: Vec<&str> = normal.map(|of| of.name.as_str()).filter(|name| members.contains(name)).collect();
        writeln!(text, "  {} -> {}", package.name, to.join(" "))?;
    }
    for (package, rooms) in workspace()? {
        writeln!(text, "{package}")?;
        let mut arrows: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for (from, to) in &rooms.arrows {
            let (from, to) = (rooms.folder(from), rooms.folder(to));
            if from != to {
                arrows.entry(shown(&from)).or_default().insert(shown(&to));
            }
        }
        for (from, to) in arrows {
            writeln!(text, "  {from} -> {}", to.into_iter().collect::<Vec<_>>().join(" "))?;
        }
        for circle in rooms.circles() {
            writeln!(text, "  in a circle: {circle}")?;
            let within = |module: &Module| circle.split(' ').any(|folder| folder == shown(&rooms.folder(module)));
            for (from, to) in &rooms.arrows {
                if within(from) && within(to) && rooms.folder(from) != rooms.folder(to) {
                    writeln!(text, "    {} -> {}", shown(from), shown(to))?;
                }
            }
        }
    }
    Ok(text)
}

fn shown(module: &[String]) -> String {
    if module.is_empty() { ".".to_owned() } else { module.join("/") }
}

/// The module that a file below `src` is.
fn module(file: &str) -> Module {
    let mut path: Module = file.trim_end_matches(".rs").split('/').map(str::to_owned).collect();
    if path.last().is_some_and(|last| last == "mod") || ["lib", "main"].contains(&path.join("/").as_str()) {
        path.pop();
    }
    path
}

impl Text {
    fn read(source: &Source) -> Self {
        let mut text = Self::default();
        let mut statement: Option<String> = None;
        for (_, line) in source.lines().filter(|(line, _)| *line == Line::Product) {
            let begins = ["use ", "pub use ", "pub(crate) use ", "pub(super) use "];
            if let Some(begun) = &mut statement {
                begun.push_str(line);
            } else if begins.iter().any(|begin| line.trim_start().starts_with(begin)) {
                statement = Some(line.trim_start().to_owned());
            } else {
                text.paths.extend(paths(line));
            }
            if let Some(whole) = statement.take_if(|begun| begun.trim_end().ends_with(';')) {
                let (seen, tree) = whole.split_once("use ").expect("it begins so");
                let tree: String =
                    tree.replace(" as ", "@").chars().filter(|c| !c.is_whitespace() && *c != ';').collect();
                let mut found = Vec::new();
                branches(&[], &tree, &mut found);
                text.uses.extend(found.into_iter().map(|path| (path, !seen.is_empty())));
            }
        }
        text
    }
}

/// Paths in a line of code that begin at the crate or a parent.
fn paths(line: &str) -> Vec<Vec<String>> {
    let code = line.split(" // ").next().unwrap_or_default();
    let word = |c: char| c.is_alphanumeric() || c == '_' || c == ':';
    let words = code.split(|c| !word(c));
    let is_path = |path: &&str| path.starts_with("crate::") || path.starts_with("super::");
    let seen = code.contains("pub(in ");
    words.filter(|_| !seen).filter(is_path).map(|path| path.split("::").map(str::to_owned).collect()).collect()
}

/// Every path of a tree of `use`.
fn branches(above: &[String], tree: &str, found: &mut Vec<Vec<String>>) {
    let Some((head, group)) = tree.split_once('{') else {
        let path = tree.split("::").map(|part| part.split('@').next().unwrap_or_default().to_owned());
        let renamed = tree.rsplit_once('@').map(|(_, name)| format!("@{name}"));
        found.push(above.iter().cloned().chain(path).chain(renamed).collect());
        return;
    };
    let mut above = above.to_vec();
    above.extend(head.split("::").filter(|part| !part.is_empty()).map(str::to_owned));
    let group = group.strip_suffix('}').unwrap_or(group);
    let (mut depth, mut begin) = (0, 0);
    for (at, c) in group.char_indices().chain([(group.len(), ',')]) {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                if at > begin {
                    branches(&above, &group[begin..at], found);
                }
                begin = at + 1;
            }
            _ => {}
        }
    }
}

impl Rooms {
    fn draw(&mut self) {
        let mut arrows = BTreeSet::new();
        for (from, text) in &self.modules {
            for path in text.uses.iter().map(|(path, _)| path).chain(&text.paths) {
                if let Some(to) = self.resolve(from, path, 0).filter(|to| to != from) {
                    arrows.insert((from.clone(), to));
                }
            }
        }
        self.arrows = arrows;
    }

    /// The module in which the item of a path is written, if it is one of this crate.
    fn resolve(&self, from: &Module, path: &[String], depth: usize) -> Option<Module> {
        let mut at = from.clone();
        let mut parts = path.iter().filter(|part| !part.starts_with('@')).peekable();
        match parts.peek()?.as_str() {
            "crate" => at = Module::new(),
            "self" => {}
            "super" => {
                while parts.peek().is_some_and(|part| *part == "super") {
                    at.pop();
                    parts.next();
                }
            }
            first => {
                at.push(first.to_owned());
                self.modules.contains_key(&at).then_some(())?;
            }
        }
        if path[0] != "super" {
            parts.next();
        }
        for part in parts {
            at.push(part.clone());
            if self.modules.contains_key(&at) {
                continue;
            }
            at.pop();
            // An item: of this module, or one that it shows of another's.
            let shows = |(path, seen): &&(Vec<String>, bool)| {
                *seen && path.last().is_some_and(|last| last.trim_start_matches('@') == part)
            };
            let shown = self.modules.get(&at)?.uses.iter().find(shows).filter(|_| depth < 8);
            return match shown {
                Some((path, _)) => self.resolve(&at, path, depth + 1),
                None => Some(at),
            };
        }
        Some(at)
    }

    /// The folder of a module: its own where modules lie below it, else its parent's.
    fn folder(&self, module: &Module) -> Module {
        let below = |other: &Module| other.len() > module.len() && other.starts_with(module);
        let parent = &module[..module.len().saturating_sub(1)];
        if self.modules.keys().any(below) { module.clone() } else { parent.to_vec() }
    }

    /// Folders whose arrows lead back to them: by modules in one circle, or side by side in one folder.
    pub(crate) fn circles(&self) -> Vec<String> {
        let mut circles = BTreeSet::new();
        for modules in knots(&self.arrows) {
            let folders: BTreeSet<Module> = modules.iter().map(|module| self.folder(module)).collect();
            circles.insert(folders);
        }
        // Side by side: each module stands for the room it lies in, as its neighbours see it.
        let mut beside = BTreeSet::new();
        for (from, to) in &self.arrows {
            let (from, to) = (self.folder(from), self.folder(to));
            let common = from.iter().zip(&to).take_while(|(a, b)| a == b).count();
            if from.len() > common && to.len() > common {
                beside.insert((from[..=common].to_vec(), to[..=common].to_vec()));
            }
        }
        circles.extend(knots(&beside));
        let crossing = circles.into_iter().filter(|folders| folders.len() > 1);
        crossing.map(|folders| folders.iter().map(|folder| shown(folder)).collect::<Vec<_>>().join(" ")).collect()
    }
}

/// Sets of two or more from each of which arrows lead to each.
fn knots(arrows: &BTreeSet<(Module, Module)>) -> BTreeSet<BTreeSet<Module>> {
    let reached = |from: &Module| {
        let (mut seen, mut next) = (BTreeSet::new(), vec![from.clone()]);
        while let Some(at) = next.pop() {
            for (_, to) in arrows.range((at.clone(), Module::new())..).take_while(|(from, _)| *from == at) {
                if seen.insert(to.clone()) {
                    next.push(to.clone());
                }
            }
        }
        seen
    };
    let all: BTreeMap<Module, BTreeSet<Module>> =
        arrows.iter().map(|(from, _)| (from.clone(), reached(from))).collect();
    let knot = |(from, to): (&Module, &BTreeSet<Module>)| -> BTreeSet<Module> {
        to.iter().filter(|other| all.get(*other).is_some_and(|back| back.contains(from))).cloned().collect()
    };
    all.iter().map(knot).filter(|modules| modules.len() > 1).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_circle_of_modules_crosses_a_folder() {
        let mut found = Vec::new();
        for (package, rooms) in workspace().expect("git lists the sources") {
            found.extend(rooms.circles().into_iter().map(|circle| format!("{package}: {circle}")));
        }
        assert!(found.is_empty(), "{found:?}: `cargo xtask arrows` shows which module names which");
    }

    /// Circles of a crate with these files, each `file: line; line`.
    fn check(files: &[(&str, &str)], expected: &[&str]) {
        let mut rooms = Rooms::default();
        for (file, text) in files {
            let source = Source { path: format!("x/src/{file}"), text: text.replace("; ", ";\n") };
            let module = module(file);
            for depth in 0..module.len() {
                rooms.modules.entry(module[..depth].to_vec()).or_default();
            }
            rooms.modules.insert(module, Text::read(&source));
        }
        rooms.draw();
        assert_eq!(rooms.circles(), expected, "{files:?}");
    }

    #[test]
    fn circles_are_found_where_they_cross_a_folder() {
        let a = |text| ("a/x.rs", text);
        let b = |text| ("b/y.rs", text);
        check(&[a("use crate::b::y::Y;"), b("use std::fmt;")], &[]);
        check(&[a("use crate::b::y::Y;"), b("use super::super::a::x::X;")], &["a b"]);
        check(&[a("use crate::b::y::Y;"), b("let x = crate::a::x::new();")], &["a b"]);
        check(&[a("use crate::b::y::Y;"), b("pub(in crate::a) struct Y;")], &[]);
        check(&[a("use crate::b::y::Y;"), b("#[cfg(test)]\nmod tests {\nuse crate::a::x::X;\n}")], &[]);
        // Within a folder modules may know each other, and a parent its children.
        check(&[("a/x.rs", "use super::y::Y;"), ("a/y.rs", "use super::x::X;")], &[]);
        check(&[("a/mod.rs", "use x::X;"), ("a/x.rs", "use super::Y;")], &[]);
        // Of two folders side by side, though no module reaches itself.
        check(&[a("use crate::b::y::Y;"), b("struct Y;"), ("b/z.rs", "use crate::a::w::W;"), ("a/w.rs", "")], &["a b"]);
        // A re-export is its item's file, under its new name too.
        let root = ("lib.rs", "pub use b::y::{Y, Z as Q};");
        check(&[root, a("use crate::Y;"), ("b/mod.rs", ""), b("use crate::a::x::X;")], &["a b"]);
        check(&[root, a("use crate::{Q};"), ("b/mod.rs", ""), b("use crate::a::x::X;")], &["a b"]);
        check(&[root, a("use crate::Other;"), ("b/mod.rs", ""), b("use crate::a::x::X;")], &[". a b"]);
    }
}
