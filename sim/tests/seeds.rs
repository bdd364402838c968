//! Simulator on a few seeds: the invariants hold, planted bugs do not pass, and a run is its seed.

use std::process::Command;

use sim::{Met, Options, Planted, Workload};

/// Without optimisation a seed takes ten times as long. Then few are run, and the gate runs the others with optimisation.
const IS_SLOW: bool = cfg!(debug_assertions);

/// What seeds 1 to `last` have met, all of which hold.
fn check(workload: Workload, last: u64) -> Met {
    let mut met = Met::default();
    for seed in 1..=last {
        let options = Options { workload, ..Options::of_seed(seed) };
        let outcome = sim::run(options);
        if let Some(violation) = outcome.violation {
            panic!("{}\n{violation}\nrepeat with: {}", outcome.last.join("\n"), options.command());
        }
        met.add(&outcome.done.met);
    }
    met
}

/// Among them I13: soon after the last fault each device comes on by itself, until all is well.
#[test]
fn the_invariants_hold() {
    let met = check(Workload::Drawn, if IS_SLOW { 2 } else { 60 });
    let is_met = [
        met.views,
        met.takeovers,
        met.fenced_lives,
        met.fenced_batches,
        met.earlier_lives,
        met.held_back,
        met.dropped,
        met.cuts,
    ];
    assert!(IS_SLOW || is_met.iter().all(|&count| count > 0), "{met}");
}

#[test]
fn full_mailboxes_lose_nothing() {
    let met = check(Workload::Crowded, if IS_SLOW { 1 } else { 10 });
    assert!(met.held_back > 1_000, "{met}");
}

#[test]
fn a_removed_member_receives_nothing_sent_after_its_removal() {
    // Seeds, and the races that they come to at least.
    let (last, least) = if IS_SLOW { (1, 100) } else { (20, 1_000) };
    let met = check(Workload::Removals, last);
    assert!(met.races >= least, "{} races, at least {least} are to be seen", met.races);
}

/// The bug is caught by one of the seeds from `first` to 150, as a violation of one of these invariants. The first is
/// known, so that mostly one seed is run.
fn check_planted(workload: Workload, planted: Planted, first: u64, invariants: &[&str]) {
    let caught = (first..=150).find_map(|seed| {
        let options = Options { workload, planted: Some(planted), ..Options::of_seed(seed) };
        let violation = sim::run(options).violation?;
        Some((seed, violation))
    });
    let (seed, violation) = caught.unwrap_or_else(|| panic!("no seed up to 150 catches {planted:?}"));
    assert!(invariants.contains(&&*violation.invariant), "seed {seed} takes {planted:?} for {violation}");
}

#[test]
fn planted_bugs_are_caught() {
    let check = |planted, first, invariants| check_planted(Workload::Drawn, planted, first, invariants);
    check(Planted::CursorAheadOfUnreadRow, 1, &["I6"]);
    check(Planted::UnknownIsFailure, 1, &["I5"]);
    if IS_SLOW {
        return;
    }
    // Whoever looks first after the power loss: the sender, who may send it again, a reader who was shown it, a cursor beyond the
    // store.
    check(Planted::AcknowledgeBeforeDurable, 3, &["I3", "I2", "I5", "I6"]);
    // Whoever does something to a message that is not there asks for ever.
    check(Planted::SeqInMemory, 1, &["I2", "I12"]);
    check(Planted::AnswerForgotten, 1, &["I12", "I6"]);
    // What the driver says of a takeover is passed on to nobody. From the first seed whose nodes stand still for so long.
    check(Planted::FencedGoesOn, 15, &["I12"]);
    check_planted(Workload::Removals, Planted::RemovalAcknowledgedEarly, 1, &["I10"]);
    check_planted(Workload::Crowded, Planted::FullMailboxForever, 1, &["I12"]);
    check_planted(Workload::Crowded, Planted::FullMailboxOvertaken, 1, &["I4"]);
}

#[test]
fn planted_bugs_of_clusters_are_caught() {
    let check = |planted, first, invariants| check_planted(Workload::Cluster, planted, first, invariants);
    check(Planted::FenceWithoutEpoch, 5, &["I6"]);
    check(Planted::KickToTheOldHome, 1, &["I10"]);
    if IS_SLOW {
        return;
    }
    check(Planted::ArrivalsOfTheOldEpochUnread, 2, &["I6"]);
    check(Planted::ServesBeforeTheView, 2, &["I6"]);
    // A user who has gone is there for good, or a device cannot come back: a home was not told.
    check(Planted::LinkForgetsAFrameThatMustArrive, 8, &["I8", "I13"]);
    // A session is told the cursor of another that had its number.
    check(Planted::OldLifeAccepted, 1, &["I6"]);
    check(Planted::RetriesWhatHasNoReply, 1, &["I10"]);
    check(Planted::ResumeFromAStaleRead, 1, &["I3"]);
    // From the first seed whose links are away for so long that what they keep does not fit.
    check(Planted::ResendUnbounded, 25, &["I11"]);
    // The others hear something all the time.
    check(Planted::OneIsForgotten, 3, &["I13"]);
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
    let (first, second) = (printed(&["--seed", "1"]), printed(&["--seed", "1"]));
    assert!(first.0, "{}", first.1);
    assert_eq!(first, second, "seed 1");
    let [one, other] = [1, 2].map(|seed| format!("{:016x}", sim::run(Options::of_seed(seed)).hash));
    assert_eq!(hash(&first.1), one, "seed 1, in this process and in another");
    assert_ne!(one, other, "seeds differ");
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
