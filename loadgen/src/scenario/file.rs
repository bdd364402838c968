//! Scenario file of `loadgen chat --scenario`: what is done in which shares, and how much of it when.
//!
//! Owns the form (TOML) and the words for what is wrong in it: the line, and the nearest key that there is.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use schema::limits::GROUP_MEMBERS_MAX;
use serde::Deserialize;

use crate::report::Phase;

/// Longest stage: a day.
const SECONDS_MAX: f64 = 86_400.0;
/// Stages of one scenario.
const STAGES_MAX: usize = 1_000;

/// The file.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Scenario {
    /// Where it was read.
    #[serde(skip)]
    pub(super) path: PathBuf,
    #[serde(default)]
    pub(super) arrivals: Arrivals,
    pub(super) mix: Mix,
    /// Accounts in each group.
    #[serde(default = "group_default")]
    pub(super) group_members: u32,
    #[serde(rename = "stage")]
    pub(super) stages: Vec<Stage>,
}

fn group_default() -> u32 {
    20
}

/// How actions follow each other.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Arrivals {
    /// Independent of each other, as those of many people are: some at once, and pauses.
    #[default]
    Poisson,
    /// At equal distances.
    Even,
}

/// Shares of all that is done; what they are shares of is their sum.
#[derive(Debug, Clone, Copy, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Mix {
    /// Messages in direct channels, and in groups.
    pub(super) direct: f64,
    pub(super) group: f64,
    /// Questions for the presence of the other account of a direct channel.
    pub(super) presence: f64,
    /// Searches for a word that messages have.
    pub(super) search: f64,
    /// Sessions that go without a word and come back.
    pub(super) churn: f64,
}

impl Mix {
    pub(super) fn shares(&self) -> [f64; 5] {
        let Self { direct, group, presence, search, churn } = *self;
        [direct, group, presence, search, churn]
    }
}

/// A stretch of time.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Stage {
    #[serde(default)]
    pub(super) name: String,
    pub(super) seconds: f64,
    /// Actions a second, at its end if it is a ramp.
    pub(super) rate: f64,
    /// The rate rises or falls evenly from that of the stage before, or from none.
    #[serde(default)]
    pub(super) ramp: bool,
}

impl Scenario {
    /// Reads the file at `path`.
    ///
    /// # Errors
    /// What is wrong in it, and where.
    pub(crate) fn read(path: &Path) -> anyhow::Result<Self> {
        let shown = path.display();
        let text = fs::read_to_string(path).with_context(|| format!("cannot read --scenario {shown}"))?;
        let scenario = Self::parse(&text).with_context(|| format!("--scenario {shown}"))?;
        Ok(Self { path: path.to_owned(), ..scenario })
    }

    fn parse(text: &str) -> anyhow::Result<Self> {
        let scenario: Self = toml::from_str(text).map_err(|error| anyhow::anyhow!(said(text, &error)))?;
        let Self { mix, group_members, stages, .. } = &scenario;
        let shares = mix.shares();
        ensure!(shares.iter().all(|share| (0.0..=1e9).contains(share)), "mix: a share is a number from 0 on");
        ensure!(
            shares.iter().sum::<f64>() > 0.0,
            "mix: at least one of direct, group, presence, search and churn is above 0"
        );
        ensure!((3..=GROUP_MEMBERS_MAX).contains(group_members), {
            format!("group_members is {group_members}, a group has 3 to {GROUP_MEMBERS_MAX}")
        });
        ensure!(
            (1..=STAGES_MAX).contains(&stages.len()),
            "there are {} stages, 1 to {STAGES_MAX} are taken",
            stages.len()
        );
        for (number, Stage { name, seconds, rate, .. }) in stages.iter().enumerate() {
            let number = number + 1;
            ensure!(
                (0.001..=SECONDS_MAX).contains(seconds),
                "stage {number} {name}: seconds is {seconds}, a stage has up to {SECONDS_MAX}"
            );
            ensure!((0.0..=1e9).contains(rate), "stage {number} {name}: rate is {rate}, not from 0 to 1e9 a second");
            let others = stages[..number - 1].iter().map(|stage| Phase::slug(&stage.name));
            let slug = Phase::slug(name);
            ensure!(
                slug.is_empty() || others.into_iter().all(|other| other != slug),
                "stage {number} {name}: an earlier stage has that name, by which its figures are asked for"
            );
        }
        Ok(scenario)
    }

    /// The stages, each with its name, or else its number, and the rate at its beginning.
    pub(super) fn staged(&self) -> impl Iterator<Item = (&Stage, String, f64)> {
        let mut before = 0.0;
        self.stages.iter().enumerate().map(move |(number, stage)| {
            let from = if stage.ramp { before } else { stage.rate };
            before = stage.rate;
            let name = if stage.name.is_empty() { format!("stage {}", number + 1) } else { stage.name.clone() };
            (stage, name, from)
        })
    }

    /// The names of the stages.
    pub(crate) fn names(&self) -> Vec<String> {
        self.staged().map(|(_, name, _)| name).collect()
    }
}

/// What is wrong, in one line.
fn said(text: &str, error: &toml::de::Error) -> String {
    let line = error.span().map_or(0, |span| text[..span.start.min(text.len())].matches('\n').count()) + 1;
    let message = error.message();
    // `unknown field `rat`, expected one of `seconds`, `rate``: the names are in backticks.
    let mut names = message.split('`').skip(1).step_by(2);
    let nearest = message.starts_with("unknown field").then(|| {
        let wrong = names.next()?;
        names.min_by_key(|known| strsim::damerau_levenshtein(known, wrong))
    });
    match nearest.flatten() {
        Some(known) => format!("line {line}: {message}; the nearest is `{known}`"),
        None => format!("line {line}: {message}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHOLE: &str = "[mix]\ndirect = 3\ngroup = 1\n\n[[stage]]\nname = \"up\"\nseconds = 10\nrate = 100\nramp = true\n\n\
                         [[stage]]\nseconds = 5\nrate = 100\n";

    #[test]
    fn a_scenario_has_shares_and_stages() {
        let scenario = Scenario::parse(WHOLE).unwrap();
        assert_eq!((scenario.mix.shares(), scenario.arrivals), ([3.0, 1.0, 0.0, 0.0, 0.0], Arrivals::Poisson));
        let stages: Vec<_> = scenario.staged().map(|(stage, _, from)| (from, stage.rate, stage.seconds)).collect();
        assert_eq!(stages, [(0.0, 100.0, 10.0), (100.0, 100.0, 5.0)]);
        assert_eq!(scenario.names(), ["up", "stage 2"]);
    }

    #[test]
    fn the_examples_are_scenarios() {
        let examples = fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/scenarios")).unwrap();
        let read: Vec<_> = examples.map(|entry| Scenario::read(&entry.unwrap().path()).unwrap()).collect();
        assert!(!read.is_empty());
    }

    #[test]
    fn what_is_wrong_is_said_with_its_line() {
        check("direct = 3", "dirct = 3", "line 2: unknown field `dirct`");
        check("direct = 3", "dirct = 3", "the nearest is `direct`");
        check("seconds = 5", "second = 5", "line 12: unknown field `second`");
        check("[mix]", "[mixx]", "line 1: unknown field `mixx`");
        check("seconds = 5", "seconds = \"5\"", "line 12: invalid type: string");
        check("seconds = 5", "seconds = 0", "stage 2 : seconds is 0");
        check("rate = 100\nramp", "rate = -1\nramp", "stage 1 up: rate is -1");
        check("direct = 3\ngroup = 1", "direct = 0", "mix: at least one of");
        check("[mix]", "group_members = 2\n[mix]", "group_members is 2, a group has 3 to 500");
        check("[mix]", "arrivals = \"poison\"\n[mix]", "line 1: unknown variant `poison`");
        check(
            "[[stage]]\nseconds = 5",
            "[[stage]]\nname = \"up\"\nseconds = 5",
            "stage 2 up: an earlier stage has that name",
        );
        check("[[stage]]\nseconds = 5", "[[stage]]", "line 11: missing field `seconds`");
    }

    fn check(from: &str, to: &str, expected: &str) {
        let said = format!("{:#}", Scenario::parse(&WHOLE.replace(from, to)).unwrap_err());
        assert!(said.contains(expected), "{from:?} -> {to:?}: {said:?} does not say {expected:?}");
    }
}
