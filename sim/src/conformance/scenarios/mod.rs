//! The scenarios, in the words of `script`.

mod basics;
mod large;
mod messages;
mod people;

/// A scenario: its rule, and its lines.
#[derive(Debug, Clone, Copy)]
pub struct Scenario {
    /// The rule that it shows.
    pub name: &'static str,
    /// Steps with what is seen, `step => saw`, one a line.
    pub lines: &'static str,
}

impl Scenario {
    /// Each step, and what should be seen.
    pub(super) fn steps(&self) -> impl Iterator<Item = (&'static str, &'static str)> {
        let lines = self.lines.lines().map(str::trim).filter(|line| !line.is_empty());
        lines.map(|line| {
            let (step, saw) = line.split_once(" => ").unwrap_or_else(|| panic!("{line:?} is `step => saw`"));
            (step.trim(), saw.trim())
        })
    }

    /// What [`play`](super::play) should return.
    #[must_use]
    pub fn expected(&self) -> String {
        self.steps().map(|(step, saw)| format!("{step} => {saw}")).collect::<Vec<_>>().join("\n")
    }
}

/// Those that any node can be held to.
pub fn scenarios() -> impl Iterator<Item = &'static Scenario> {
    [basics::SCENARIOS, messages::SCENARIOS, people::SCENARIOS, large::SCENARIOS].into_iter().flatten()
}

/// Those in which more time passes than a test of a real process should take.
pub const SLOW_SCENARIOS: &[Scenario] = people::SLOW_SCENARIOS;
