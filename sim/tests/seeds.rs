//! Simulator on a few seeds: the invariants hold, planted bugs do not pass, and a run is its seed.

use std::process::Command;

use sim::{Options, Planted, Workload};

/// Seeds that hold. Without optimisation a seed takes ten times as long, so there are fewer.
const SEEDS: std::ops::RangeInclusive<u64> = if cfg!(debug_assertions) { 1..=4 } else { 1..=50 };

#[test]
fn the_invariants_hold() {
    let (mut fenced, mut held_back, mut dropped) = (0, 0, 0);
    for seed in SEEDS {
        let outcome = sim::run(Options::of_seed(seed));
        if let Some(violation) = outcome.violation {
            let command = Options::of_seed(seed).command();
            panic!("{}\n{violation}\nrepeat with: {command}", outcome.last.join("\n"));
        }
        fenced += outcome.done.met.fenced;
        held_back += outcome.done.met.held_back;
        dropped += outcome.done.met.dropped.values().sum::<u64>();
    }
    let met = fenced > 0 && held_back > 0 && dropped > 0;
    assert!(met || cfg!(debug_assertions), "{fenced} fenced nodes, {held_back} frames held back, {dropped} dropped");
}

#[test]
fn a_removed_member_receives_nothing_sent_after_its_removal() {
    // Seeds, and the races that they come to at least.
    let (seeds, least) = if cfg!(debug_assertions) { (1..=3, 100) } else { (1..=40, 1_000) };
    let mut races = 0;
    for seed in seeds {
        let options = Options { workload: Workload::Removals, ..Options::of_seed(seed) };
        let outcome = sim::run(options);
        if let Some(violation) = outcome.violation {
            panic!("{}\n{violation}\nrepeat with: {}", outcome.last.join("\n"), options.command());
        }
        races += outcome.done.races;
    }
    assert!(races >= least, "{races} races, at least {least} are to be seen");
}

/// The bug is caught by one of the seeds from `first` to 60, as a violation of one of these invariants.
fn check_planted(workload: Workload, planted: Planted, first: u64, invariants: &[&str]) {
    let caught = (first..=60).find_map(|seed| {
        let options = Options { workload, planted: Some(planted), ..Options::of_seed(seed) };
        let violation = sim::run(options).violation?;
        Some((seed, violation))
    });
    let (seed, violation) = caught.unwrap_or_else(|| panic!("no seed up to 60 catches {planted:?}"));
    assert!(invariants.contains(&&*violation.invariant), "seed {seed} takes {planted:?} for {violation}");
}

#[test]
fn planted_bugs_are_caught() {
    let check = |planted, invariants| check_planted(Workload::Drawn, planted, 1, invariants);
    // Whoever looks first after the power loss: the sender, a reader who was shown it, a cursor beyond the store.
    check(Planted::AcknowledgeBeforeDurable, &["I3", "I2", "I6"]);
    check(Planted::CursorAheadOfUnreadRow, &["I6"]);
    // Whoever does something to a message that is not there asks for ever.
    check(Planted::SeqInMemory, &["I2", "I12"]);
    check(Planted::UnknownIsFailure, &["I5"]);
    check(Planted::AnswerForgotten, &["I12", "I6"]);
    // What the driver says of a takeover is passed on to nobody. From the first seed whose nodes stand still for so long.
    check_planted(Workload::Drawn, Planted::FencedGoesOn, 56, &["I12"]);
    check_planted(Workload::Removals, Planted::RemovalAcknowledgedEarly, 1, &["I10"]);
    // From the first seed whose mailboxes are ever full.
    check_planted(Workload::Drawn, Planted::FullMailboxForever, 6, &["I12"]);
    check_planted(Workload::Drawn, Planted::FullMailboxOvertaken, 9, &["I4"]);
}

/// What the program prints for a seed.
fn printed(arguments: &[&str]) -> (bool, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_sim")).args(arguments).output().expect("the program runs");
    (output.status.success(), String::from_utf8(output.stdout).expect("it prints text"))
}

fn hash(printed: &str) -> &str {
    printed.lines().find_map(|line| line.strip_prefix("hash ")).unwrap_or_else(|| panic!("no hash in {printed}"))
}

/// I1: the shards of a world take nothing but their inputs.
#[test]
fn two_processes_do_the_same_with_one_seed() {
    let mut hashes = Vec::new();
    for seed in ["1", "2"] {
        let (first, second) = (printed(&["--seed", seed]), printed(&["--seed", seed]));
        assert!(first.0, "{}", first.1);
        assert_eq!(first, second, "seed {seed}");
        let here = sim::run(Options::of_seed(seed.parse().expect("a number"))).hash;
        assert_eq!(hash(&first.1), format!("{here:016x}"), "seed {seed}, in this process and in another");
        hashes.push(here);
    }
    hashes.dedup();
    assert_eq!(hashes.len(), 2, "seeds differ: {hashes:x?}");
}

#[test]
fn a_failure_says_how_to_repeat_it() {
    let (holds, said) = printed(&["--seed", "1", "--planted", "cursor-ahead-of-unread-row"]);
    assert!(!holds, "{said}");
    for part in
        ["violated I6: ", "hash ", "cargo run --release -p sim -- --seed 1 --planted cursor-ahead-of-unread-row"]
    {
        assert!(said.contains(part), "{part:?} is not in {said}");
    }
}
