//! The three layers that name keys: a TOML file, the environment, flags.
//!
//! Owns how each spells a key and a value. Whether a key exists and what fits it is for [`super::keys`].

use std::ffi::OsString;
use std::fs::File;
use std::io::Read as _;
use std::ops::Range;
use std::path::Path;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::error::{ConfigError, Origin};
use super::value::Given;

/// Bytes of a configuration file: a hundred times the documented one.
const FILE_BYTES_MAX: u64 = 1 << 20;
/// What the names of our environment variables begin with.
const PREFIX: &str = "ROOKERY_";

/// A key that some layer names, known or not.
pub(super) struct SettingGiven {
    pub(super) name: String,
    pub(super) given: Given,
    pub(super) origin: Origin,
}

/// What the file names, in its order.
pub(super) fn file(path: &Path) -> Result<Vec<SettingGiven>, ConfigError> {
    let unreadable = |source| ConfigError::Unreadable { path: path.to_owned(), source };
    let mut text = String::new();
    let opened = File::open(path).map_err(unreadable)?;
    let read = opened.take(FILE_BYTES_MAX + 1).read_to_string(&mut text).map_err(unreadable)?;
    if read as u64 > FILE_BYTES_MAX {
        return Err(ConfigError::TooLarge { path: path.to_owned(), limit_bytes: FILE_BYTES_MAX });
    }
    parse(path, &text)
}

fn parse(path: &Path, text: &str) -> Result<Vec<SettingGiven>, ConfigError> {
    let table = DeTable::parse(text).map_err(|error| ConfigError::Syntax {
        path: path.to_owned(),
        line: line_of(text, &error.span().unwrap_or_default()),
        message: error.message().replace('\n', ", "),
    })?;
    let mut settings = Vec::new();
    flatten(path, text, "", table.get_ref(), &mut settings);
    Ok(settings)
}

/// Names every value of `table` and of the tables within; the parser bounds their depth.
fn flatten(path: &Path, text: &str, prefix: &str, table: &DeTable<'_>, settings: &mut Vec<SettingGiven>) {
    for (key, value) in table {
        let name = format!("{prefix}{}", key.get_ref());
        match value.get_ref() {
            DeValue::Table(inner) => flatten(path, text, &format!("{name}."), inner, settings),
            _ => settings.push(SettingGiven {
                name,
                given: given(value),
                origin: Origin::File { path: path.to_owned(), line: line_of(text, &key.span()) },
            }),
        }
    }
}

fn given(value: &Spanned<DeValue<'_>>) -> Given {
    match value.get_ref() {
        DeValue::String(text) => Given::Quoted(text.to_string()),
        DeValue::Integer(number) => Given::Integer(i64::from_str_radix(number.as_str(), number.radix()).ok()),
        DeValue::Boolean(truth) => Given::Boolean(*truth),
        other => Given::Other(other.type_str()),
    }
}

/// Lines count from 1.
fn line_of(text: &str, span: &Range<usize>) -> usize {
    let before = &text.as_bytes()[..span.start.min(text.len())];
    before.iter().filter(|byte| **byte == b'\n').count() + 1
}

/// What variables of the form `ROOKERY_SECTION__KEY` name. Others, such as `ROOKERY_COMMIT`, are not configuration.
pub(super) fn environment(
    variables: impl IntoIterator<Item = (OsString, OsString)>,
) -> Result<Vec<SettingGiven>, ConfigError> {
    let mut settings = Vec::new();
    for (variable, value) in variables {
        let shown = variable.to_string_lossy();
        let Some(name) = shown.strip_prefix(PREFIX).filter(|name| name.contains("__")) else { continue };
        let name = name.replace("__", ".").to_lowercase();
        let variable = shown.into_owned();
        let Ok(value) = value.into_string() else { return Err(ConfigError::NotText { variable }) };
        settings.push(SettingGiven { name, given: Given::Text(value), origin: Origin::Environment { variable } });
    }
    // The order of an environment is nobody's choice; which of two errors is shown should not depend on it.
    settings.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(settings)
}

/// What flags name.
pub(super) fn flags(flags: &[(&'static str, String)]) -> Vec<SettingGiven> {
    let setting = |(key, text): &(&'static str, String)| SettingGiven {
        name: (*key).to_owned(),
        given: Given::Text(text.clone()),
        origin: Origin::Flag { key },
    };
    flags.iter().map(setting).collect()
}
