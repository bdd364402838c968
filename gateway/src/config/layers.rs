//! Layers that name keys: a TOML file, the environment, flags.
//!
//! Owns how each spells a key and a value, and the judgement of a single one with the key's own parser.

use std::error::Error as _;
use std::ffi::OsString;
use std::fs::File;
use std::io::Read as _;
use std::ops::Range;
use std::path::Path;

use anyhow::{anyhow, bail, ensure};
use clap::Arg;
use clap::error::{ContextKind, ContextValue};
use toml::de::{DeTable, DeValue};

use super::{COMMAND, find, flag, keys, variable};

/// Bytes of a configuration file: a hundred times the documented one.
const FILE_BYTES_MAX: u64 = 1 << 20;
/// Prefix of our environment variables.
const PREFIX: &str = "ROOKERY_";
/// Edits between an unknown key and the nearest one beyond which the two have nothing to do with each other.
const TYPO_EDITS_MAX: usize = 3;

/// A key that some layer names, known or not, with its value as text.
pub(super) struct Setting {
    /// Dots between its parts.
    name: String,
    pub(super) text: String,
    /// The value's type, where TOML says it.
    kind: Option<&'static str>,
    /// Source of the value, in an error's words: `rookery.toml:3`.
    pub(super) by: String,
}

impl Setting {
    pub(super) fn flag(key: &'static str, text: &str) -> Self {
        Self { name: key.to_owned(), text: text.to_owned(), kind: None, by: format!("flag --{}", flag(key)) }
    }

    /// The key that it names.
    ///
    /// # Errors
    /// There is no such key; the value does not fit it.
    pub(super) fn judge(&self) -> anyhow::Result<&'static Arg> {
        let Self { name, text, kind, by } = self;
        let Some(key) = find(name) else {
            let remedy = match (nearest(name), kind) {
                (Some(key), Some(_)) => format!("did you mean {key:?}?"),
                (Some(key), None) => format!("did you mean {}?", variable(key)),
                (None, _) => "`rookery checkconfig --defaults` lists the keys".to_owned(),
            };
            bail!("{by}: unknown key {name:?}; {remedy}");
        };
        let expected = match kind.filter(|kind| *kind != kind_of(key)) {
            Some(_) => Some(format!("a TOML {}", kind_of(key))),
            None => rejected(key, text),
        };
        let given = match kind {
            _ if key.is_hide_env_values_set() => "not as it should be".to_owned(),
            None | Some("string") => format!("{text:?}"),
            Some("integer" | "boolean") => text.clone(),
            Some(other) => format!("a TOML {other}"),
        };
        expected.map_or(Ok(key), |expected| Err(anyhow!("{by}: {name} is {given}, expected {expected}")))
    }
}

/// What the key's parser expects, if the text does not fit it.
fn rejected(key: &'static Arg, text: &str) -> Option<String> {
    let error = COMMAND.clone().try_get_matches_from([format!("--{}={text}", key.get_id())]).err()?;
    Some(match (error.source(), error.get(ContextKind::ValidValue)) {
        (Some(expected), _) => expected.to_string(),
        (None, Some(ContextValue::Strings(valid))) => valid.join(" or "),
        (None, _) => panic!("{key:?} refuses {text:?} without a reason: {error}"),
    })
}

/// The TOML type of a key's values, which its placeholder tells.
fn kind_of(key: &Arg) -> &'static str {
    match key.get_value_names().and_then(|names| names.first()).map(|name| name.as_str()) {
        Some("N") => "integer",
        Some("BOOL") => "boolean",
        _ if key.get_value_delimiter().is_some() => "array",
        _ => "string",
    }
}

/// A value of `key` as TOML; a secret's is hidden. Rust's escapes of printable text are TOML's.
pub(super) fn to_toml(key: &Arg, text: &str) -> String {
    match kind_of(key) {
        _ if key.is_hide_env_values_set() => "\"(secret)\"".to_owned(),
        "integer" | "boolean" => text.to_owned(),
        "array" => format!("{:?}", text.split_terminator(',').collect::<Vec<_>>()),
        _ => format!("{text:?}"),
    }
}

/// The key that was probably meant by `name`: with the same last part, or a few edits away.
fn nearest(name: &str) -> Option<&'static str> {
    let last = name.rsplit('.').next().unwrap_or(name);
    let names = || keys().map(|key| key.get_id().as_str());
    let same = names().find(|key| key.ends_with(&format!(".{last}")) || flag(key) == last);
    let edits = |key: &&str| strsim::damerau_levenshtein(key, name);
    same.or_else(|| names().min_by_key(edits).filter(|key| edits(key) <= TYPO_EDITS_MAX))
}

/// What the file names, in its order.
pub(super) fn file(path: &Path) -> anyhow::Result<Vec<Setting>> {
    let place = path.display();
    let mut text = String::new();
    let read = File::open(path).and_then(|file| file.take(FILE_BYTES_MAX + 1).read_to_string(&mut text));
    let bytes = read.map_err(|error| {
        anyhow!("cannot read {place}: {error}; name an existing file with --config, or leave it out for the defaults")
    })?;
    ensure!(
        bytes as u64 <= FILE_BYTES_MAX,
        "{place} is larger than {FILE_BYTES_MAX} bytes, which no configuration is; name another file with --config"
    );
    let table = DeTable::parse(&text).map_err(|error| {
        let line = line_of(&text, &error.span().unwrap_or_default());
        anyhow!("{place}:{line}: not TOML: {}", error.message().replace('\n', ", "))
    })?;
    let mut settings = Vec::new();
    flatten(path, &text, "", table.get_ref(), &mut settings);
    Ok(settings)
}

/// Names every value of `table` and of the tables within; the parser bounds their depth.
fn flatten(path: &Path, text: &str, prefix: &str, table: &DeTable<'_>, settings: &mut Vec<Setting>) {
    for (key, value) in table {
        let name = format!("{prefix}{}", key.get_ref());
        let by = format!("{}:{}", path.display(), line_of(text, &key.span()));
        match value.get_ref() {
            DeValue::Table(inner) => flatten(path, text, &format!("{name}."), inner, settings),
            value => settings.push(Setting { name, text: plain(value), kind: Some(value.type_str()), by }),
        }
    }
}

/// A TOML value as a flag would have it: an array's parts stand between commas.
fn plain(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(text) => text.to_string(),
        DeValue::Integer(number) => match i64::from_str_radix(number.as_str(), number.radix()) {
            Ok(number) => number.to_string(),
            Err(_) => number.as_str().to_owned(),
        },
        DeValue::Boolean(truth) => truth.to_string(),
        DeValue::Array(parts) => parts.iter().map(|part| plain(part.get_ref())).collect::<Vec<_>>().join(","),
        DeValue::Float(_) | DeValue::Datetime(_) | DeValue::Table(_) => value.type_str().to_owned(),
    }
}

/// Lines count from 1.
fn line_of(text: &str, span: &Range<usize>) -> usize {
    text.as_bytes()[..span.start.min(text.len())].iter().filter(|byte| **byte == b'\n').count() + 1
}

/// What variables of the form `ROOKERY_SECTION__KEY` name. Others, such as `ROOKERY_COMMIT`, are not configuration.
pub(super) fn environment(variables: impl IntoIterator<Item = (OsString, OsString)>) -> anyhow::Result<Vec<Setting>> {
    let mut settings = Vec::new();
    for (variable, value) in variables {
        let variable = variable.to_string_lossy();
        let Some(name) = variable.strip_prefix(PREFIX).filter(|name| name.contains("__")) else { continue };
        let name = name.replace("__", ".").to_lowercase();
        let by = format!("environment variable {variable}");
        let Ok(text) = value.into_string() else { bail!("{by} is not UTF-8; unset it or write it again") };
        settings.push(Setting { name, text, kind: None, by });
    }
    // The order of an environment is nobody's choice; which of two errors is shown should not depend on it.
    settings.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(settings)
}
