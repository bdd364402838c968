//! Templates: what a notification says, in one language, with places for parameters.
//!
//! Owns how they are written (Jinja, by `minijinja`), what parameters they take, and what limits them. Pure: knows nothing of
//! where they are stored or who may write them.
//!
//! A template cannot loop for ever and cannot grow: [`FUEL`] pays for every step and every byte made. It does not pay for what
//! lists hold, so a template makes none: those of its parameters are all that it can look at, and they are bounded. What would
//! make lists is refused when it is compiled (`+`, `*`, lists of what is not constant, filters that are not in [`FILTERS`]).
//! HTML is escaped in the html part, unless the template itself says that something is safe.

mod error;

use std::collections::BTreeSet;
use std::fmt;

use minijinja::machinery::{Instruction, get_compiled_template};
use minijinja::value::{Serde, ValueKind};
use minijinja::{AutoEscape, Environment, ErrorKind, UndefinedBehavior, Value};
use schema::Medium;
use serde_json::{Map, Value as Json};

pub use error::{CompileError, ParamProblem, ParamsError, RenderError};

/// Bytes of each part as it is written.
pub const SOURCE_BYTES_MAX: usize = 64 << 10;

/// Bytes of all parts together as they are rendered.
pub const RENDERED_BYTES_MAX: usize = 64 << 10;

/// Parameters that a template may have.
pub const PARAMETERS_MAX: usize = 64;

/// Bytes of all parameters of one notification, as JSON.
pub const PARAMS_BYTES_MAX: usize = 16 << 10;

/// Bytes of the name of a template or a parameter.
pub const NAME_BYTES_MAX: usize = 64;

/// Bytes of a locale. The longest of BCP 47 without extensions.
pub const LOCALE_BYTES_MAX: usize = 35;

/// Steps that rendering one part may take. Each 64 bytes that are made cost one more, so no part makes more than 320 KB.
/// A list of 100 items with 3 values each takes 2,500. The worst that was found, to compare a list of all parameters with
/// another again and again, takes 0.12 s.
pub const FUEL: u64 = 5_000;

/// What a value can be sent through. Each takes a time that its input bounds.
pub const FILTERS: &[&str] = &[
    "abs",
    "capitalize",
    "count",
    "d",
    "default",
    "e",
    "escape",
    "first",
    "float",
    "int",
    "join",
    "last",
    "length",
    "lower",
    "round",
    "safe",
    "title",
    "truncate",
    "upper",
];

/// What can be asked of a value.
pub const TESTS: &[&str] = &[
    "boolean",
    "defined",
    "divisibleby",
    "even",
    "false",
    "in",
    "mapping",
    "none",
    "number",
    "odd",
    "sequence",
    "string",
    "true",
    "undefined",
];

/// A part of a template.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Part {
    /// One line.
    Title,
    /// The text.
    Body,
    /// The same for mail.
    Html,
}

impl Part {
    const ALL: [Self; 3] = [Self::Title, Self::Body, Self::Html];

    /// Its word in errors and JSON.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Title => "title",
            Self::Body => "body",
            Self::Html => "html",
        }
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}

/// What a parameter is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A string.
    Text,
    /// A number.
    Number,
    /// True or false.
    Boolean,
    /// An array.
    List,
    /// An object.
    Object,
}

impl Kind {
    /// Its word in errors and JSON.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Number => "number",
            Self::Boolean => "boolean",
            Self::List => "list",
            Self::Object => "object",
        }
    }

    /// `None` is null.
    fn of(value: &Json) -> Option<Self> {
        match value {
            Json::Null => None,
            Json::Bool(_) => Some(Self::Boolean),
            Json::Number(_) => Some(Self::Number),
            Json::String(_) => Some(Self::Text),
            Json::Array(_) => Some(Self::List),
            Json::Object(_) => Some(Self::Object),
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}

/// What a template takes.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Parameter {
    /// Letters, digits and `_`, no digit first.
    pub name: String,
    /// What it is.
    pub kind: Kind,
    /// Whether each notification has to have it. One that need not is undefined where it is missing or null, and to use it
    /// then is an error: `{{ name|default("") }}`, `{% if name is defined %}`.
    #[serde(default)]
    pub required: bool,
    /// Characters of a text; of a list or an object, those of its JSON. Without a limit of its own, that of all together holds.
    #[serde(default)]
    pub max_chars: Option<u32>,
}

/// What a notification says, in one language.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Template {
    /// Letters, digits, `.`, `_` and `-`.
    pub name: String,
    /// Its language, and its region if that matters: BCP 47.
    pub locale: String,
    /// The medium that it is written for; `None` for all that have no template of their own.
    #[serde(default)]
    pub medium: Option<Medium>,
    /// Its line breaks become blanks once it is rendered.
    pub title: String,
    /// The text.
    pub body: String,
    /// The same for mail.
    #[serde(default)]
    pub html: Option<String>,
    /// What it takes, and nothing else.
    #[serde(default)]
    pub parameters: Vec<Parameter>,
}

/// What a target is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rendered {
    /// One line, without control characters.
    pub title: String,
    /// The text.
    pub body: String,
    /// The same for mail.
    pub html: Option<String>,
}

/// A template that can be rendered, as often as one likes.
#[derive(Debug)]
pub struct Compiled {
    parameters: Vec<Parameter>,
    environment: Environment<'static>,
    has_html: bool,
}

impl Template {
    /// Reads its parts.
    ///
    /// # Errors
    /// [`CompileError`], of what is wrong first.
    pub fn compile(&self) -> Result<Compiled, CompileError> {
        self.check()?;
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        environment.set_fuel(Some(FUEL));
        environment.set_auto_escape_callback(|part| {
            if part == Part::Html.word() { AutoEscape::Html } else { AutoEscape::None }
        });
        let globals: Vec<String> = environment.globals().map(|(name, _)| name.to_owned()).collect();
        globals.iter().for_each(|name| environment.remove_global(name));
        environment.add_filter("truncate", truncate);
        for (part, source) in self.parts() {
            let added = environment.add_template_owned(part.word(), source.to_owned());
            added.map_err(|error| syntax(part, &error))?;
            self.check_part(part, &environment)?;
        }
        Ok(Compiled { parameters: self.parameters.clone(), environment, has_html: self.html.is_some() })
    }

    fn parts(&self) -> impl Iterator<Item = (Part, &str)> {
        let sources = [Some(&self.title), Some(&self.body), self.html.as_ref()];
        Part::ALL.into_iter().zip(sources).filter_map(|(part, source)| Some((part, source?.as_str())))
    }

    /// All but the language that its parts are written in.
    fn check(&self) -> Result<(), CompileError> {
        if !is_name(&self.name, b"._-") {
            return Err(CompileError::Name { what: "template", found: shown(&self.name), also: "._-" });
        }
        if self.locale.len() > LOCALE_BYTES_MAX || !is_name(&self.locale, b"-") {
            return Err(CompileError::Locale(shown(&self.locale)));
        }
        if self.parameters.len() > PARAMETERS_MAX {
            return Err(CompileError::TooManyParameters { len: self.parameters.len() });
        }
        let mut names = BTreeSet::new();
        for Parameter { name, .. } in &self.parameters {
            // What Jinja takes for a word of its own.
            let is_taken = matches!(
                name.as_str(),
                "true"
                    | "True"
                    | "false"
                    | "False"
                    | "none"
                    | "None"
                    | "loop"
                    | "self"
                    | "not"
                    | "in"
                    | "is"
                    | "and"
                    | "or"
                    | "if"
                    | "else"
            );
            if !is_name(name, b"_") || name.starts_with(|first: char| first.is_ascii_digit()) || is_taken {
                return Err(CompileError::Name {
                    what: "parameter",
                    found: shown(name),
                    also: "_, no digit first, no word of Jinja",
                });
            }
            if !names.insert(name) {
                return Err(CompileError::Twice(name.clone()));
            }
        }
        let too_long = self.parts().find(|(_, source)| source.len() > SOURCE_BYTES_MAX);
        too_long.map_or(Ok(()), |(part, source)| Err(CompileError::TooLong { part, len_bytes: source.len() }))
    }

    /// Refuses what is not bounded and what nobody declared.
    fn check_part(&self, part: Part, environment: &Environment<'static>) -> Result<(), CompileError> {
        let template = environment.get_template(part.word()).map_err(|error| syntax(part, &error))?;
        let instructions = &get_compiled_template(&template).instructions;
        for (at, instruction) in (0..).map_while(|at| Some((at, instructions.get(at)?))) {
            if let Some(detail) = refused(instruction) {
                return Err(CompileError::Syntax { part, line: instructions.get_line(at).unwrap_or(1), detail });
            }
        }
        let declared = |name: &String| self.parameters.iter().any(|parameter| parameter.name == *name);
        let mut names: Vec<_> =
            template.undeclared_variables(false).into_iter().filter(|name| !declared(name)).collect();
        names.sort();
        if names.is_empty() { Ok(()) } else { Err(CompileError::Undeclared { part, names }) }
    }
}

impl Compiled {
    /// Whether a notification with these parameters can be told, as far as their kinds and lengths say.
    ///
    /// # Errors
    /// [`ParamsError`], with all that is wrong.
    pub fn check(&self, params: &Map<String, Json>) -> Result<(), ParamsError> {
        let mut problems: Vec<_> =
            self.parameters.iter().filter_map(|parameter| problem(parameter, params.get(&parameter.name))).collect();
        let is_known = |name: &str| self.parameters.iter().any(|parameter| parameter.name == name);
        let unknown = params.keys().filter(|name| !is_known(name)).take(PARAMETERS_MAX);
        problems.extend(unknown.map(|name| ParamProblem::Unknown { name: shown(name) }));
        let len_bytes = json_len(params, str::len);
        if len_bytes > PARAMS_BYTES_MAX {
            problems.push(ParamProblem::AllTooLong { len_bytes });
        }
        if problems.is_empty() { Ok(()) } else { Err(ParamsError(problems)) }
    }

    /// What a target is told.
    ///
    /// # Errors
    /// [`RenderError`].
    pub fn render(&self, params: &Map<String, Json>) -> Result<Rendered, RenderError> {
        self.check(params)?;
        let given = params.iter().filter(|(_, value)| !value.is_null());
        let given = Value::from_pairs(given.map(|(name, value)| (name.as_str(), Value::from(Serde(value)))));
        let mut len_bytes = 0;
        let mut render = |part: Part| {
            let rendered = self.environment.get_template(part.word()).and_then(|template| template.render(&given));
            let rendered = rendered.map_err(|error| failed(part, &error))?;
            len_bytes += rendered.len();
            if len_bytes > RENDERED_BYTES_MAX { Err(RenderError::TooLong { len_bytes }) } else { Ok(rendered) }
        };
        let title = one_line(&render(Part::Title)?);
        let body = render(Part::Body)?;
        let html = if self.has_html { Some(render(Part::Html)?) } else { None };
        Ok(Rendered { title, body, html })
    }
}

/// Of several languages and media, the template for one: `pt-BR` is told in it, else in `pt`, else in `default`. A language
/// that is understood comes before a medium that fits.
#[must_use]
pub fn pick<'a>(templates: &'a [Template], locale: &str, medium: Medium, default: &str) -> Option<&'a Template> {
    locales(locale, default).find_map(|locale| {
        let is_of = |template: &&Template, wanted: Option<Medium>| {
            template.medium == wanted && template.locale.eq_ignore_ascii_case(&locale)
        };
        let found = |wanted| templates.iter().find(|template| is_of(template, wanted));
        found(Some(medium)).or_else(|| found(None))
    })
}

/// `zh-Hant-TW`, `zh-Hant`, `zh`, `default`.
fn locales(locale: &str, default: &str) -> impl Iterator<Item = String> {
    // As POSIX writes it, pt_BR.UTF-8, too.
    let locale = locale.split(['.', '@']).next().unwrap_or_default().replace('_', "-");
    let locale = if locale.len() > LOCALE_BYTES_MAX { String::new() } else { locale };
    let shorter = |locale: &String| locale.rsplit_once('-').map(|(shorter, _)| shorter.to_owned());
    std::iter::successors(Some(locale), shorter).chain([default.to_owned()]).filter(|locale| !locale.is_empty())
}

fn is_name(name: &str, also: &[u8]) -> bool {
    let is_ok = |byte: u8| byte.is_ascii_alphanumeric() || also.contains(&byte);
    (1..=NAME_BYTES_MAX).contains(&name.len()) && name.bytes().all(is_ok)
}

/// Of what the engine can do, that which fuel does not bound.
fn refused(instruction: &Instruction<'_>) -> Option<String> {
    match instruction {
        Instruction::Mul => Some("* is not available in templates".to_owned()),
        Instruction::Add => Some("+ is not available in templates; texts are joined by ~".to_owned()),
        // To count backwards by the least number that there is ends in a panic.
        Instruction::Slice => Some("slices are not available in templates; texts are cut off by truncate".to_owned()),
        Instruction::BuildList(_) | Instruction::BuildTuple(_) | Instruction::BuildMap(_) => {
            Some("lists and objects of what is not constant are not available in templates".to_owned())
        }
        Instruction::LoadConst(value) if value.kind() == ValueKind::Iterable => {
            Some("lists that are made of others are not available in templates".to_owned())
        }
        Instruction::ApplyFilter(name, ..) if !FILTERS.contains(name) => {
            Some(format!("there is no filter {name}; there are {}", FILTERS.join(", ")))
        }
        Instruction::PerformTest(name, ..) if !TESTS.contains(name) => {
            Some(format!("there is no test {name}; there are {}", TESTS.join(", ")))
        }
        Instruction::CallFunction(name, _) if *name != "loop" => Some(format!("there is no function {name}")),
        _ => None,
    }
}

/// The filter: at most so many characters, the last of which is `…` if there were more.
fn truncate(text: &str, chars: usize) -> String {
    match text.char_indices().nth(chars) {
        None => text.to_owned(),
        Some(_) => text.chars().take(chars.saturating_sub(1)).chain((chars > 0).then_some('…')).collect(),
    }
}

fn problem(parameter: &Parameter, value: Option<&Json>) -> Option<ParamProblem> {
    let Parameter { name, kind, required, max_chars } = parameter;
    let Some((value, found)) = value.and_then(|value| Some((value, Kind::of(value)?))) else {
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

fn json_len(value: &impl serde::Serialize, len: fn(&str) -> usize) -> usize {
    serde_json::to_string(value).map_or(usize::MAX, |text| len(&text))
}

fn syntax(part: Part, error: &minijinja::Error) -> CompileError {
    CompileError::Syntax { part, line: error.line().unwrap_or(1), detail: detail(error) }
}

fn failed(part: Part, error: &minijinja::Error) -> RenderError {
    let line = error.line().unwrap_or(1);
    match error.kind() {
        ErrorKind::OutOfFuel => RenderError::OutOfFuel { part, line },
        _ => RenderError::Failed { part, line, detail: detail(error) },
    }
}

/// Its kind and what it says beside, without the place, which is told apart.
fn detail(error: &minijinja::Error) -> String {
    let text = error.detail().map_or_else(|| error.kind().to_string(), str::to_owned);
    shown(&text)
}

/// Line breaks, as any control characters, become a blank, several in a row one.
fn one_line(text: &str) -> String {
    let is_break = |char: char| char.is_control() || matches!(char, '\u{2028}' | '\u{2029}');
    let mut line = String::with_capacity(text.len());
    for piece in text.split(is_break).filter(|piece| !piece.is_empty()) {
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(piece);
    }
    line
}

/// For an error: what came, without what a terminal would act on.
fn shown(text: &str) -> String {
    text.chars().filter(|char| !char.is_control()).take(200).collect()
}

#[cfg(test)]
mod tests;
