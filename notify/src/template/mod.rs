//! Templates: what a notification says, by language and medium, with places for parameters.
//!
//! Owns how they are written (Jinja, by `minijinja`), what parameters they take, which variant a target is told, and what
//! limits them. Pure: knows nothing of where they are stored or who may write them.
//!
//! ```text
//! parameters   what a notification gives, against what its template takes
//! variants     the whole of a template, and which variant is of whom
//! ```
//!
//! A template cannot loop for ever and cannot grow: [`FUEL`] pays for every step and every byte made. It does not pay for what
//! lists hold, so a template makes none: those of its parameters are all that it can look at, and they are bounded. What would
//! make lists is refused when it is compiled (`+`, `*`, lists of what is not constant, filters that are not in [`FILTERS`]).
//! HTML is escaped in the html part, unless the template itself says that something is safe.

mod error;
mod parameters;
mod variants;

use std::fmt;

use minijinja::machinery::{Instruction, get_compiled_template};
use minijinja::value::{Serde, ValueKind};
use minijinja::{AutoEscape, Environment, ErrorKind, UndefinedBehavior, Value};
use schema::limits::TEMPLATE_VARIANT_BYTES_MAX;
use schema::template::{Parameter, Variant};
use serde_json::{Map, Value as Json};

pub use error::{CompileError, ParamProblem, ParamsError, PreviewError, RenderError, TemplateError};
pub use parameters::check_params;
pub use variants::{bytes, check, pick, preview};

/// Bytes of all parts together as they are rendered.
pub const RENDERED_BYTES_MAX: usize = 64 << 10;

/// Bytes of all parameters of one notification, as JSON.
pub const PARAMS_BYTES_MAX: usize = 16 << 10;

/// Bytes of the name of a parameter.
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

impl Rendered {
    /// Bytes of all parts together.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.title.len() + self.body.len() + self.html.as_ref().map_or(0, String::len)
    }
}

/// A variant of a template that can be rendered, as often as one likes.
#[derive(Debug)]
pub struct Compiled {
    parameters: Vec<Parameter>,
    environment: Environment<'static>,
    has_html: bool,
}

/// Reads the parts of a variant of a template that takes these parameters.
///
/// # Errors
/// [`CompileError`], of what is wrong first.
pub fn compile(parameters: &[Parameter], variant: &Variant) -> Result<Compiled, CompileError> {
    let len_bytes = bytes(variant);
    if len_bytes > TEMPLATE_VARIANT_BYTES_MAX as usize {
        return Err(CompileError::TooLong { len_bytes });
    }
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_fuel(Some(FUEL));
    environment.set_auto_escape_callback(
        |part| {
            if part == Part::Html.word() { AutoEscape::Html } else { AutoEscape::None }
        },
    );
    let globals: Vec<String> = environment.globals().map(|(name, _)| name.to_owned()).collect();
    globals.iter().for_each(|name| environment.remove_global(name));
    environment.add_filter("truncate", truncate);
    for (part, source) in parts(variant) {
        let added = environment.add_template_owned(part.word(), source.to_owned());
        added.map_err(|error| syntax(part, &error))?;
        check_part(parameters, part, &environment)?;
    }
    Ok(Compiled { parameters: parameters.to_vec(), environment, has_html: variant.html.is_some() })
}

fn parts(variant: &Variant) -> impl Iterator<Item = (Part, &str)> {
    let sources = [Some(&variant.title), Some(&variant.body), variant.html.as_ref()];
    Part::ALL.into_iter().zip(sources).filter_map(|(part, source)| Some((part, source?.as_str())))
}

/// Refuses what is not bounded and what nobody declared.
fn check_part(parameters: &[Parameter], part: Part, environment: &Environment<'static>) -> Result<(), CompileError> {
    let template = environment.get_template(part.word()).map_err(|error| syntax(part, &error))?;
    let instructions = &get_compiled_template(&template).instructions;
    for (at, instruction) in (0..).map_while(|at| Some((at, instructions.get(at)?))) {
        if let Some(detail) = refused(instruction) {
            return Err(CompileError::Syntax { part, line: instructions.get_line(at).unwrap_or(1), detail });
        }
    }
    let declared = |name: &String| parameters.iter().any(|parameter| parameter.name == *name);
    let mut names: Vec<_> = template.undeclared_variables(false).into_iter().filter(|name| !declared(name)).collect();
    names.sort();
    // The first of them in the order of the template.
    let uses = |instruction: &Instruction<'_>| match instruction {
        Instruction::Lookup(name) => names.iter().any(|undeclared| undeclared == name),
        _ => false,
    };
    let at = (0..).map_while(|at| Some((at, instructions.get(at)?))).find(|(_, instruction)| uses(instruction));
    let line = at.and_then(|(at, _)| instructions.get_line(at)).unwrap_or(1);
    if names.is_empty() { Ok(()) } else { Err(CompileError::Undeclared { part, line, names }) }
}

impl Compiled {
    /// What a target is told, with the HTML part for mail alone.
    ///
    /// # Errors
    /// [`RenderError`].
    pub fn render(&self, params: &Map<String, Json>, with_html: bool) -> Result<Rendered, RenderError> {
        check_params(&self.parameters, params)?;
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
        let html = if self.has_html && with_html { Some(render(Part::Html)?) } else { None };
        Ok(Rendered { title, body, html })
    }
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
