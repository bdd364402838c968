//! Parameters: what a template takes, and what a notification gives it.

use std::collections::BTreeSet;

use schema::limits::TEMPLATE_PARAMETERS_MAX;
use schema::template::{Kind, Parameter};
use serde_json::{Map, Value as Json};

use super::error::{CompileError, ParamProblem, ParamsError};
use super::{NAME_BYTES_MAX, PARAMS_BYTES_MAX, shown};

/// What Jinja takes for a word of its own.
const WORDS: [&str; 15] =
    ["true", "True", "false", "False", "none", "None", "loop", "self", "not", "in", "is", "and", "or", "if", "else"];

/// Whether a template may take these parameters.
pub(super) fn check_declared(parameters: &[Parameter]) -> Result<(), CompileError> {
    let len = parameters.len();
    if len > TEMPLATE_PARAMETERS_MAX {
        return Err(CompileError::TooManyParameters { len });
    }
    let mut names = BTreeSet::new();
    for Parameter { name, .. } in parameters {
        let begins_with_digit = name.starts_with(|first: char| first.is_ascii_digit());
        if !is_name(name) || begins_with_digit || WORDS.contains(&name.as_str()) {
            return Err(CompileError::Name(shown(name)));
        }
        if !names.insert(name) {
            return Err(CompileError::Twice(name.clone()));
        }
    }
    Ok(())
}

fn is_name(name: &str) -> bool {
    let is_ok = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    (1..=NAME_BYTES_MAX).contains(&name.len()) && name.bytes().all(is_ok)
}

/// Whether a notification with these parameters can be told by a template that takes those, as far as their kinds and
/// lengths say.
///
/// # Errors
/// [`ParamsError`], with all that is wrong.
pub fn check_params(parameters: &[Parameter], params: &Map<String, Json>) -> Result<(), ParamsError> {
    let mut problems: Vec<_> =
        parameters.iter().filter_map(|parameter| problem(parameter, params.get(&parameter.name))).collect();
    let is_known = |name: &str| parameters.iter().any(|parameter| parameter.name == name);
    let unknown = params.keys().filter(|name| !is_known(name)).take(TEMPLATE_PARAMETERS_MAX);
    problems.extend(unknown.map(|name| ParamProblem::Unknown { name: shown(name) }));
    let len_bytes = json_len(params, str::len);
    if len_bytes > PARAMS_BYTES_MAX {
        problems.push(ParamProblem::AllTooLong { len_bytes });
    }
    if problems.is_empty() { Ok(()) } else { Err(ParamsError(problems)) }
}

fn problem(parameter: &Parameter, value: Option<&Json>) -> Option<ParamProblem> {
    let Parameter { name, kind, required, max_chars } = parameter;
    let Some((value, found)) = value.and_then(|value| Some((value, kind_of(value)?))) else {
        return required.then(|| ParamProblem::Missing { name: name.clone() });
    };
    if found != *kind {
        return Some(ParamProblem::Kind { name: name.clone(), expected: *kind, found });
    }
    let limit_chars = (*max_chars)?;
    let chars = |text: &str| text.chars().count();
    let len_chars = match value {
        Json::String(text) => chars(text),
        Json::Null | Json::Bool(_) | Json::Number(_) => 0,
        Json::Array(_) | Json::Object(_) => json_len(value, chars),
    };
    let is_longer = u32::try_from(len_chars).map_or(true, |len| len > limit_chars);
    is_longer.then(|| ParamProblem::TooLong { name: name.clone(), len_chars, limit_chars })
}

/// `None` is null.
fn kind_of(value: &Json) -> Option<Kind> {
    match value {
        Json::Null => None,
        Json::Bool(_) => Some(Kind::Boolean),
        Json::Number(_) => Some(Kind::Number),
        Json::String(_) => Some(Kind::Text),
        Json::Array(_) => Some(Kind::List),
        Json::Object(_) => Some(Kind::Object),
    }
}

fn json_len(value: &impl serde::Serialize, len: fn(&str) -> usize) -> usize {
    serde_json::to_string(value).map_or(usize::MAX, |text| len(&text))
}
