//! The storage layers of one to five nodes in a hostile world: the invariants hold, each broken variant is caught by few
//! seeds, and a run is its seed.

use std::process::Command;

use sim::layers::{Broken, Options, run};

/// Seeds that hold, half of them with chained reads. Without optimisation a seed takes ten times as long.
const SEEDS: std::ops::RangeInclusive<u64> = if cfg!(debug_assertions) { 1..=30 } else { 1..=300 };

#[test]
fn the_invariants_hold() {
    for seed in SEEDS {
        let options = Options::of_seed(seed);
        let outcome = run(options);
        if let Some(violation) = outcome.violation {
            panic!("{}\n{violation}\nrepeat with: {}", outcome.last.join("\n"), options.command());
        }
    }
}

/// The bug is caught by one of these seeds, as a violation of one of these invariants. They begin shortly before the
/// first that caught it once, so that few are run.
fn check(broken: Broken, seeds: std::ops::RangeInclusive<u64>, invariants: &[&str]) {
    let chained = (broken == Broken::AnswersFromThePast).then_some(true);
    let caught = seeds.clone().find_map(|seed| {
        let options = Options { chained, broken: Some(broken), ..Options::of_seed(seed) };
        Some((seed, run(options).violation?))
    });
    let (seed, violation) = caught.unwrap_or_else(|| panic!("no seed of {seeds:?} catches {broken:?}"));
    assert!(invariants.contains(&&*violation.invariant), "seed {seed} takes {broken:?} for {violation}");
}

#[test]
fn broken_variants_are_caught() {
    check(Broken::NoFence, 1..=30, &["I7", "I6"]);
    check(Broken::FenceReadBefore, 8..=60, &["I7", "I6"]);
    check(Broken::FenceWithoutEpoch, 1..=30, &["I7", "I6"]);
    check(Broken::FenceLeftStanding, 1..=30, &["I7", "I6"]);
    check(Broken::SeveralInFlight, 1..=30, &["I4"]);
    check(Broken::SeqInMemory, 1..=10, &["I2", "I13"]);
    check(Broken::UnknownIsFailure, 4..=20, &["I5"]);
    check(Broken::DedupByLastFlag, 6..=40, &["I5"]);
    check(Broken::CachedMembership, 105..=500, &["I10", "I6"]);
    check(Broken::ReadAboveDurable, 29..=100, &["I2", "I3", "I6", "I7"]);
    check(Broken::AcknowledgeBeforeDurable, 16..=60, &["I2", "I3", "I6", "I7"]);
    check(Broken::CursorAheadOfUnreadRow, 1..=10, &["I6"]);
    check(Broken::AnswersFromThePast, 15..=40, &["I7", "I10"]);
    check(Broken::FenceOfMoversOnly, 5..=30, &["I6", "I7"]);
    check(Broken::BatchRowsClearedAtEveryView, 18..=76, &["I3"]);
    check(Broken::AdoptTakesTheLiving, 1..=20, &["I6"]);
    check(Broken::ServesBeforeTheView, 1..=20, &["I6"]);
    check(Broken::ReturnsUnnoticed, 15..=200, &["I6"]);
    check(Broken::ArrivalsOfTheOldEpochUnread, 1..=20, &["I6"]);
    check(Broken::ArrivalsBeyondTheView, 8..=200, &["I6"]);
    check(Broken::EndedBeforeItIsSent, 1..=20, &["I9"]);
    check(Broken::WorkersUnfenced, 20..=60, &["I9"]);
    check(Broken::ItemsWithoutJobs, 1..=20, &["I9"]);
    check(Broken::ToldUnwritten, 1..=20, &["I9"]);
    check(Broken::LaneMovesBeforeItIsTaken, 1..=40, &["I14"]);
    check(Broken::LaneRestsUnread, 1..=40, &["I14"]);
    check(Broken::FanOutLost, 1..=20, &["I15"]);
    check(Broken::FanOutTwice, 1..=20, &["I15"]);
    check(Broken::FeedRestsUnread, 85..=200, &["I15"]);
}

/// What the program prints, and whether it ended well.
fn printed(arguments: &[&str]) -> (bool, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_sim")).arg("storage").args(arguments).output().expect("it runs");
    (output.status.success(), String::from_utf8(output.stdout).expect("it prints text"))
}

#[test]
fn two_processes_do_the_same_with_one_seed() {
    let mut hashes = Vec::new();
    for seed in 1..=4 {
        let here = run(Options::of_seed(seed)).hash;
        assert_eq!(run(Options::of_seed(seed)).hash, here, "seed {seed}, twice in this process");
        let (holds, said) = printed(&["--seed", &seed.to_string()]);
        assert!(holds, "{said}");
        assert!(said.contains(&format!("hash {here:016x}")), "seed {seed} in another process: {said}");
        hashes.push(here);
    }
    hashes.sort_unstable();
    hashes.dedup();
    assert_eq!(hashes.len(), 4, "seeds differ: {hashes:x?}");
}

#[test]
fn a_failure_says_how_to_repeat_it() {
    let (holds, said) = printed(&["--seeds", "3", "--broken", "seq-in-memory"]);
    assert!(!holds, "{said}");
    for part in ["violates I2: ", "cargo run --release -p sim -- storage --seed ", " --broken seq-in-memory"] {
        assert!(said.contains(part), "{part:?} is not in {said}");
    }
    let (holds, said) = printed(&["--seeds", "3", "--json"]);
    assert!(holds && said.contains("\"violated\":0"), "{said}");
}
