//! Files of figures by name: the profile that is planned for, and the constants that it is planned with.
//!
//! Owns their reading: sections of TOML with numbers, each known by its name and within its bounds. A name that there is
//! not is an error with its line and the nearest one, since a figure that is left out silently makes a wrong plan.

use std::collections::BTreeMap;
use std::ops::{Index, Range, RangeInclusive};
use std::path::Path;

use anyhow::{Context, anyhow, bail, ensure};
use serde::Serialize;
use toml::de::{DeTable, DeValue};

/// A figure that a file may have.
#[derive(Debug)]
pub(crate) struct Known {
    /// `section.key`.
    pub(crate) name: &'static str,
    /// Where a file leaves it out; it must not without one.
    pub(crate) default: Option<f64>,
    pub(crate) bounds: RangeInclusive<f64>,
    /// What it is, for people.
    pub(crate) says: &'static str,
    /// Where the default comes from.
    pub(crate) source: &'static str,
}

/// All figures of a kind, each with a value.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(transparent)]
pub(crate) struct Figures(BTreeMap<&'static str, f64>);

impl Index<&str> for Figures {
    type Output = f64;

    /// # Panics
    /// There is no such figure: names are constants of this program.
    fn index(&self, name: &str) -> &f64 {
        self.0.get(name).unwrap_or_else(|| panic!("{name} is no figure of this kind"))
    }
}

impl Figures {
    /// The defaults alone.
    ///
    /// # Panics
    /// One has no default.
    pub(crate) fn defaults(known: &[Known]) -> Self {
        Self(known.iter().map(|known| (known.name, known.default.expect("each has a default"))).collect())
    }

    /// Those of a file.
    ///
    /// # Errors
    /// It cannot be read, a name is unknown or missing, a value is out of its bounds.
    pub(crate) fn read(flag: &str, path: &Path, known: &[Known]) -> anyhow::Result<Self> {
        let place = path.display();
        let text = std::fs::read_to_string(path).with_context(|| format!("{flag} {place}: cannot be read"))?;
        Self::parse(&text, known).with_context(|| format!("{flag} {place}"))
    }

    fn parse(text: &str, known: &[Known]) -> anyhow::Result<Self> {
        let table = DeTable::parse(text).map_err(|error| {
            let line = line_of(text, &error.span().unwrap_or_default());
            anyhow!("line {line}: not TOML: {}", error.message().replace('\n', ", "))
        })?;
        let mut figures = BTreeMap::new();
        for (section, inner) in table.get_ref() {
            let line = line_of(text, &section.span());
            let DeValue::Table(inner) = inner.get_ref() else {
                bail!("line {line}: {} stands outside of a section, such as [{}]", section.get_ref(), first(known));
            };
            for (key, value) in inner {
                let line = line_of(text, &key.span());
                let name = format!("{}.{}", section.get_ref(), key.get_ref());
                let Some(known) = known.iter().find(|known| known.name == name) else {
                    bail!("line {line}: there is no {name}; nearest is {}", nearest(&name, known));
                };
                let figure = number(value.get_ref())
                    .with_context(|| format!("line {line}: {name} is no number, but {}", value.get_ref().type_str()))?;
                ensure!(
                    known.bounds.contains(&figure),
                    "line {line}: {name} is {figure}, which is not between {} and {}",
                    known.bounds.start(),
                    known.bounds.end()
                );
                figures.insert(known.name, figure);
            }
        }
        for known in known {
            if let (None, Some(default)) = (figures.get(known.name), known.default) {
                figures.insert(known.name, default);
            }
            ensure!(figures.contains_key(known.name), "there is no {}: {}", known.name, known.says);
        }
        Ok(Self(figures))
    }
}

fn first(known: &[Known]) -> &'static str {
    known.first().and_then(|known| known.name.split('.').next()).unwrap_or_default()
}

/// The name that was probably meant: with the same last part, or the fewest edits away.
fn nearest(name: &str, known: &[Known]) -> &'static str {
    let last = name.rsplit('.').next().unwrap_or(name);
    let names = || known.iter().map(|known| known.name);
    let same = names().find(|name| name.rsplit('.').next() == Some(last));
    same.or_else(|| names().min_by_key(|near| strsim::damerau_levenshtein(near, name))).unwrap_or_default()
}

fn number(value: &DeValue<'_>) -> Option<f64> {
    match value {
        DeValue::Integer(number) => {
            i64::from_str_radix(number.as_str(), number.radix()).ok().map(|number| number as f64)
        }
        DeValue::Float(number) => number.as_str().parse().ok().filter(|number: &f64| number.is_finite()),
        DeValue::String(_) | DeValue::Boolean(_) | DeValue::Array(_) | DeValue::Datetime(_) | DeValue::Table(_) => None,
    }
}

/// Lines count from 1.
fn line_of(text: &str, span: &Range<usize>) -> usize {
    text.as_bytes()[..span.start.min(text.len())].iter().filter(|byte| **byte == b'\n').count() + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: [Known; 3] = [
        Known { name: "users.daily", default: None, bounds: 1.0..=1e10, says: "users a day", source: "" },
        Known { name: "users.devices", default: Some(1.5), bounds: 1.0..=10.0, says: "of each", source: "" },
        Known { name: "texts.peak", default: Some(3.0), bounds: 1.0..=100.0, says: "over the mean", source: "" },
    ];

    #[test]
    fn a_file_names_figures_that_there_are_within_their_bounds() {
        check("[users]\ndaily = 5", "daily 5, devices 1.5, peak 3");
        check("[users]\ndaily = 1_000\ndevices = 2.5\n[texts]\npeak = 4", "daily 1000, devices 2.5, peak 4");
        check("[users]\n", "there is no users.daily: users a day");
        check("[users]\ndaily = 5\n\ndevcies = 2", "line 4: there is no users.devcies; nearest is users.devices");
        check("[user]\ndaily = 5", "line 2: there is no user.daily; nearest is users.daily");
        check("daily = 5", "line 1: daily stands outside of a section, such as [users]");
        check("[users]\ndaily = \"5\"", "line 2: users.daily is no number, but string");
        check("[users]\ndaily = 0", "line 2: users.daily is 0, which is not between 1 and 10000000000");
        check("[users]\ndaily = inf", "line 2: users.daily is no number, but float");
        check("[users]\n\ndaily 5", "line 3: not TOML");
    }

    fn check(text: &str, expected: &str) {
        let said = match Figures::parse(text, &KNOWN) {
            Ok(of) => {
                format!("daily {}, devices {}, peak {}", of["users.daily"], of["users.devices"], of["texts.peak"])
            }
            Err(error) => error.to_string(),
        };
        assert!(said.starts_with(expected), "{text:?}: {said}");
    }
}
