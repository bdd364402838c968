//! `cargo xtask counts`: counts instructions, or bytes on the heap, of the loads of `counts/` under valgrind, and writes
//! counts/figures.txt, or checks that it says about the same.
//!
//! Owns how they are counted and compared. Instructions are what a busy machine does not change; they are no time, but
//! whoever makes one of these paths longer sees it here before anybody measures. Another compiler makes other code of the
//! same source: then what is committed says nothing, which is told and is no fault.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, bail, ensure};

use crate::Mode;
use crate::nodes::{Profile, Programs, say};

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
/// Where figures are, from the root.
const FIGURES: &str = "counts/figures.txt";
/// How far a count may be from what is committed, either way.
const TOLERANCE_PERCENT: u64 = 5;

/// What valgrind counts of a run.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Counts {
    Instructions,
    /// Allocated when it ends.
    Bytes,
}

impl Counts {
    fn name(self) -> &'static str {
        match self {
            Self::Instructions => "instructions",
            Self::Bytes => "bytes",
        }
    }
}

/// One load, as `counts` lists it.
struct Load {
    name: String,
    counts: Counts,
    rounds: u64,
    units: u64,
    unit: String,
}

/// What is committed, or would be.
#[derive(Debug, Default, PartialEq)]
struct Figures {
    /// The compiler and the machine that the figures are of.
    compiler: String,
    counts: BTreeMap<String, u64>,
}

/// Counts, and then writes or compares.
///
/// # Errors
/// If something cannot be built or run, or, when checking, if a count differs by more than the tolerance.
pub(crate) fn run(mode: Mode) -> Result<()> {
    let programs = Programs::build(&["counts"], Profile::Ci)?;
    let program = programs.path("counts");
    let loads = listed(&output(&mut Command::new(&program))?.0)?;
    let mut counted = Figures { compiler: compiler()?, counts: BTreeMap::new() };
    for Load { name, counts, rounds, units, .. } in &loads {
        // What both runs do, the loader and the making of accounts, falls out.
        let [less, more] = [*rounds, 2 * rounds].map(|rounds| count(&program, name, *counts, rounds));
        let per_unit = (more? - less?).div_ceil(rounds * units);
        say(&format!("{name}: {per_unit} {}", counts.name()));
        counted.counts.insert(name.clone(), per_unit);
    }
    let path = Path::new(ROOT).join(FIGURES);
    if !mode.check {
        return fs::write(&path, written(&counted, &loads)).with_context(|| format!("write {}", path.display()));
    }
    let text = fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?;
    let committed = read(&text)?;
    if committed.compiler != counted.compiler {
        say(&format!(
            "NOT COMPARED: {FIGURES} is of {}, this is {}; `cargo xtask counts` writes it anew",
            committed.compiler, counted.compiler
        ));
        return Ok(());
    }
    let differences = differences(&committed, &counted);
    ensure!(
        differences.is_empty(),
        "{}\nif that is meant, commit what `cargo xtask counts` writes",
        differences.join("\n")
    );
    Ok(())
}

/// What is beyond the tolerance, in words.
fn differences(committed: &Figures, counted: &Figures) -> Vec<String> {
    let names: BTreeSet<&String> = committed.counts.keys().chain(counted.counts.keys()).collect();
    let one = |name: &String| match (committed.counts.get(name), counted.counts.get(name)) {
        (Some(&before), Some(&now)) => {
            let percent = (now as f64 / before as f64 - 1.0) * 100.0;
            let word = if percent < 0.0 { "better" } else { "worse" };
            (now.abs_diff(before) * 100 > before * TOLERANCE_PERCENT)
                .then(|| format!("{name} takes {now}, {before} are committed: {word} by {:.1} %", percent.abs()))
        }
        (Some(_), None) => Some(format!("{name} is committed, and no load")),
        (None, _) => Some(format!("{name} is a load, and not committed")),
    };
    names.into_iter().filter_map(one).collect()
}

/// The count of one whole run.
fn count(program: &Path, load: &str, counts: Counts, rounds: u64) -> Result<u64> {
    let mut valgrind = Command::new("valgrind");
    let before = match counts {
        Counts::Instructions => {
            valgrind.args(["--tool=callgrind", "--callgrind-out-file=/dev/null"]);
            "Collected :"
        }
        Counts::Bytes => {
            valgrind.args(["--tool=memcheck", "--leak-check=no"]);
            "in use at exit:"
        }
    };
    // The environment lies on the stack of whatever runs, so all runs have the same.
    let path = std::env::var_os("PATH").unwrap_or_default();
    valgrind.arg(program).arg(load).arg(rounds.to_string()).env_clear().env("PATH", path);
    let said = output(&mut valgrind).context("valgrind counts: apt-get install valgrind")?.1;
    let word = said.lines().find_map(|line| line.split_once(before)?.1.split_whitespace().next());
    let total = word.and_then(|word| word.replace(',', "").parse().ok());
    total.with_context(|| format!("valgrind says no count of {load}: {said}"))
}

/// What a command prints and says.
fn output(command: &mut Command) -> Result<(String, String)> {
    let output = command.output().with_context(|| format!("cannot run {}", command.get_program().display()))?;
    let [printed, said] = [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes).into_owned());
    ensure!(output.status.success(), "{command:?}: {}: {said}", output.status);
    Ok((printed, said))
}

fn listed(list: &str) -> Result<Vec<Load>> {
    let load = |line: &str| {
        let mut cells = line.split('\t');
        let mut cell = || cells.next().with_context(|| format!("{line:?} is no load"));
        let name = cell()?.to_owned();
        let counts = match cell()? {
            "instructions" => Counts::Instructions,
            "bytes" => Counts::Bytes,
            other => bail!("{line:?} counts {other:?}"),
        };
        let (rounds, units, unit) = (cell()?.parse()?, cell()?.parse()?, cell()?.to_owned());
        Ok(Load { name, counts, rounds, units, unit })
    };
    list.lines().map(load).collect()
}

/// The compiler by its own name, and what it makes code for.
fn compiler() -> Result<String> {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let version = output(Command::new(rustc).arg("--version"))?.0;
    Ok(format!("{} {}", version.trim(), std::env::consts::ARCH))
}

fn written(figures: &Figures, loads: &[Load]) -> String {
    let mut text = format!(
        "# Instructions, and bytes of a session, as valgrind counts them; written by `cargo xtask counts`, compared by `cargo xtask counts --check`.\n\
         compiler: {}\n",
        figures.compiler
    );
    for Load { name, unit, .. } in loads {
        let count = figures.counts.get(name).copied().unwrap_or_default();
        writeln!(text, "\n# {unit}\n{name}: {count}").expect("writing to memory cannot fail");
    }
    text
}

fn read(text: &str) -> Result<Figures> {
    let mut figures = Figures::default();
    for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let (name, value) = line.split_once(": ").with_context(|| format!("{FIGURES}: {line:?} is no figure"))?;
        match name {
            "compiler" => value.clone_into(&mut figures.compiler),
            _ => _ = figures.counts.insert(name.to_owned(), value.parse()?),
        }
    }
    Ok(figures)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figures(counts: &[(&str, u64)]) -> Figures {
        let counts = counts.iter().map(|&(name, count)| (name.to_owned(), count)).collect();
        Figures { compiler: "rustc 1 x86_64".into(), counts }
    }

    #[test]
    fn a_count_beyond_the_tolerance_is_told_either_way() {
        let check = |committed: &[(&str, u64)], counted: &[(&str, u64)], expected: &[&str]| {
            let told = differences(&figures(committed), &figures(counted));
            assert_eq!(told, expected, "{committed:?} and {counted:?}");
        };
        check(&[("parse", 1_000)], &[("parse", 1_050)], &[]);
        check(&[("parse", 1_000)], &[("parse", 950)], &[]);
        check(&[("parse", 1_000)], &[("parse", 1_051)], &["parse takes 1051, 1000 are committed: worse by 5.1 %"]);
        check(&[("parse", 1_000)], &[("parse", 900)], &["parse takes 900, 1000 are committed: better by 10.0 %"]);
        check(&[("parse", 1_000)], &[], &["parse is committed, and no load"]);
        check(&[], &[("parse", 1_000)], &["parse is a load, and not committed"]);
    }

    #[test]
    fn what_is_written_is_read_again() {
        let loads = listed("parse\tinstructions\t10\t1\ta frame\nappend\tbytes\t2\t100\ta message").expect("two loads");
        let counted = figures(&[("parse", 1_234), ("append", 56)]);
        let text = written(&counted, &loads);
        assert!(text.contains("\n# a message\nappend: 56\n"), "{text}");
        assert_eq!(read(&text).expect("it is ours"), counted);
        assert!(read("parse 5").is_err() && listed("parse\tseconds\t1\t1\ta frame").is_err());
    }
}
