//! Layers that name keys: a TOML file, the environment, flags.
//!
//! Owns how each spells a key and a value, and the judgement of a single one with the key's own parser.

use std::error::Error as _;
use std::ffi::OsString;
use std::fs::File;
use std::io::Read as _;
use std::ops::Range;
use std::path::Path;

use clap::Arg;
use clap::error::{ContextKind, ContextValue};
use toml::de::{DeTable, DeValue};

use super::error::{ConfigError, Origin};
use super::{COMMAND, find, keys};

/// Bytes of a configuration file: a hundred times the documented one.
const FILE_BYTES_MAX: u64 = 1 << 20;
/// Prefix of our environment variables.
const PREFIX: &str = "ROOKERY_";
/// Edits between an unknown key and the nearest one beyond which the two have nothing to do with each other.
const TYPO_EDITS_MAX: usize = 3;

/// A key that some layer names, known or not, with its value as text.
pub(super) struct Setting {
    name: String,
    text: String,
    /// The value's type where TOML says it.
    kind: Option<&'static str>,
    origin: Origin,
}

impl Setting {
    /// The key it names, its text and who named it.
    ///
    /// # Errors
    /// There is no such key; the value does not fit it.
    pub(super) fn judge(self) -> Result<(&'static Arg, String, Origin), ConfigError> {
        let Self { name, text, kind, origin } = self;
        let Some(key) = find(&name) else {
            return Err(ConfigError::UnknownKey { nearest: nearest(&name), name, origin });
        };
        let expected = match kind.filter(|kind| *kind != kind_of(key)) {
            Some(_) => Some(format!("a TOML {}", kind_of(key))),
            None => rejected(key, &text),
        };
        let Some(expected) = expected else { return Ok((key, text, origin)) };
        let given = match kind {
            _ if key.is_hide_env_values_set() => "not as it should be".to_owned(),
            None | Some("string") => format!("{text:?}"),
            Some("integer" | "boolean") => text,
            Some(other) => format!("a TOML {other}"),
        };
        Err(ConfigError::Value { key: key.get_id().as_str(), origin, given, expected })
    }
}

/// What the key's parser expects, if the text does not fit it.
fn rejected(key: &'static Arg, text: &str) -> Option<String> {
    let error = COMMAND.clone().try_get_matches_from([format!("--{}={text}", key.get_id())]).err()?;
    Some(match (error.source(), error.get(ContextKind::ValidValue)) {
        (Some(expected), _) => expected.to_string(),
        (None, Some(ContextValue::Strings(valid))) => match valid.split_last() {
            Some((last, rest)) => format!("{} or {last}", rest.join(", ")),
            None => panic!("{key:?} takes no value"),
        },
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
    let same = keys().find(|key| key.get_id().as_str().ends_with(&format!(".{last}")) || key.get_long() == Some(last));
    let edits = |key: &&str| strsim::damerau_levenshtein(key, name);
    let close = || names().min_by_key(edits).filter(|key| edits(key) <= TYPO_EDITS_MAX);
    same.map(|key| key.get_id().as_str()).or_else(close)
}

/// What the file names, in its order.
pub(super) fn file(path: &Path) -> Result<Vec<Setting>, ConfigError> {
    let unreadable = |source| ConfigError::Unreadable { path: path.to_owned(), source };
    let mut text = String::new();
    let opened = File::open(path).map_err(unreadable)?;
    let read = opened.take(FILE_BYTES_MAX + 1).read_to_string(&mut text).map_err(unreadable)?;
    if read as u64 > FILE_BYTES_MAX {
        return Err(ConfigError::TooLarge { path: path.to_owned(), limit_bytes: FILE_BYTES_MAX });
    }
    let table = DeTable::parse(&text).map_err(|error| ConfigError::Syntax {
        path: path.to_owned(),
        line: line_of(&text, &error.span().unwrap_or_default()),
        message: error.message().replace('\n', ", "),
    })?;
    let mut settings = Vec::new();
    flatten(path, &text, "", table.get_ref(), &mut settings);
    Ok(settings)
}

/// Names every value of `table` and of the tables within; the parser bounds their depth.
fn flatten(path: &Path, text: &str, prefix: &str, table: &DeTable<'_>, settings: &mut Vec<Setting>) {
    for (key, value) in table {
        let name = format!("{prefix}{}", key.get_ref());
        let value = value.get_ref();
        match value {
            DeValue::Table(inner) => flatten(path, text, &format!("{name}."), inner, settings),
            _ => settings.push(Setting {
                name,
                text: plain(value),
                kind: Some(value.type_str()),
                origin: Origin::File { path: path.to_owned(), line: line_of(text, &key.span()) },
            }),
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
pub(super) fn environment(
    variables: impl IntoIterator<Item = (OsString, OsString)>,
) -> Result<Vec<Setting>, ConfigError> {
    let mut settings = Vec::new();
    for (variable, value) in variables {
        let shown = variable.to_string_lossy();
        let Some(name) = shown.strip_prefix(PREFIX).filter(|name| name.contains("__")) else { continue };
        let name = name.replace("__", ".").to_lowercase();
        let variable = shown.into_owned();
        let Ok(text) = value.into_string() else { return Err(ConfigError::NotText { variable }) };
        settings.push(Setting { name, text, kind: None, origin: Origin::Environment { variable } });
    }
    // The order of an environment is nobody's choice; which of two errors is shown should not depend on it.
    settings.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(settings)
}

/// What flags name.
pub(super) fn flags(flags: &[(&'static str, String)]) -> impl Iterator<Item = Setting> {
    flags.iter().map(|(key, text)| Setting {
        name: (*key).to_owned(),
        text: text.clone(),
        kind: None,
        origin: Origin::Flag { key },
    })
}
