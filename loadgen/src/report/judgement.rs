//! Judgements in a report: whose its figures are, and what came of what `--fail-if` asked.

use serde::Serialize;

use super::Second;
use crate::machine::GENERATOR_BOUND_PERCENT;

/// Of ten seconds of a run one may be at the generator's limit before the whole run is.
const BOUND_SECONDS_TENTH: usize = 10;

/// Whose rates and latencies a report has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum FiguresOf {
    #[default]
    Server,
    /// It was the bottleneck: the server may be capable of more.
    Generator,
}

impl FiguresOf {
    /// By what the generator's thread took of its core: over the whole run, and in its seconds, since a mean hides the
    /// stretch in which it had none left.
    pub(crate) fn new(cpu_percent: f64, seconds: &[Second]) -> Self {
        let bound = seconds.iter().filter(|second| second.cpu_percent > GENERATOR_BOUND_PERCENT).count();
        let is_bound = cpu_percent > GENERATOR_BOUND_PERCENT || bound * BOUND_SECONDS_TENTH > seconds.len();
        if is_bound { Self::Generator } else { Self::Server }
    }
}

/// What came of a condition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Outcome {
    /// It is not so: the run passes.
    Held,
    /// It is so.
    Failed,
    /// Nobody can say, so the run does not pass.
    NotKnown,
}

/// One condition, judged.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Judgement {
    pub(crate) condition: String,
    pub(crate) outcome: Outcome,
    /// As the report has it.
    pub(crate) figure: Option<f64>,
    /// Why.
    pub(crate) said: String,
}

impl Judgement {
    pub(crate) fn passes(&self) -> bool {
        match self.outcome {
            Outcome::Held => true,
            Outcome::Failed | Outcome::NotKnown => false,
        }
    }

    /// In words.
    pub(crate) fn row(&self) -> String {
        let Self { condition, outcome, said, .. } = self;
        match outcome {
            Outcome::Held => format!("held: not {condition}, {said}"),
            Outcome::Failed => format!("FAILED: {condition}, {said}"),
            Outcome::NotKnown => format!("NOT KNOWN: {condition}, {said}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_generator_at_its_limit_is_seen_in_the_mean_and_in_the_seconds() {
        check(90.0, "", FiguresOf::Server);
        check(90.1, "", FiguresOf::Generator);
        check(50.0, "50 50 50", FiguresOf::Server);
        check(60.0, "50 95 50 50 50 50 50 50 50 50", FiguresOf::Server);
        check(60.0, "50 95 50 50 50 50 50 50 95 50", FiguresOf::Generator);
        check(80.0, "95 50", FiguresOf::Generator);
    }

    fn check(cpu_percent: f64, seconds: &str, expected: FiguresOf) {
        let second = |percent: &str| Second { cpu_percent: percent.parse().unwrap(), ..Second::default() };
        let seconds: Vec<_> = seconds.split_whitespace().map(second).collect();
        assert_eq!(FiguresOf::new(cpu_percent, &seconds), expected, "{cpu_percent} {seconds:?}");
    }
}
