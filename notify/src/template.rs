//! Templates: what a notification says, in one language, with places for parameters.
//!
//! Owns how they are written (Jinja, by `minijinja`), what parameters they take, and what limits them. Pure: knows nothing of
//! where they are stored or who may write them.
//!
//! A template cannot loop for ever and cannot grow: [`FUEL`] pays for every step and every byte made. It does not pay for what
//! lists hold, so a template makes none: those of its parameters are all that it can look at, and they are bounded. What would
//! make lists is refused when it is compiled (`+`, `*`, lists of what is not constant, filters that are not in [`FILTERS`]).
//! HTML is escaped in the html part, unless the template itself says that something is safe.

use std::collections::BTreeSet;
use std::fmt;

use minijinja::machinery::{Instruction, get_compiled_template};
use minijinja::value::{Serde, ValueKind};
use minijinja::{AutoEscape, Environment, ErrorKind, UndefinedBehavior, Value};
use schema::Medium;
use serde_json::{Map, Value as Json};

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

/// Its author's mistake. Nothing was stored.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CompileError {
    /// Of the template, or a parameter of it.
    #[error("{what} {found:?} is no name: write 1 to {NAME_BYTES_MAX} letters, digits and {also}")]
    Name {
        /// Whose name.
        what: &'static str,
        /// As it came, cut off.
        found: String,
        /// What a name may have beside letters and digits.
        also: &'static str,
    },
    /// The locale.
    #[error("locale {0:?} is none: write it as pt or pt-BR")]
    Locale(String),
    /// Two of one name.
    #[error("parameter {0} is there twice")]
    Twice(String),
    /// Of parameters.
    #[error("there are {len} parameters, the limit is {PARAMETERS_MAX}")]
    TooManyParameters {
        /// How many.
        len: usize,
    },
    /// As it is written.
    #[error("{part} is {len_bytes} bytes, the limit is {SOURCE_BYTES_MAX}")]
    TooLong {
        /// Which part.
        part: Part,
        /// Its length.
        len_bytes: usize,
    },
    /// Not Jinja.
    #[error("{part}, line {line}: {detail}")]
    Syntax {
        /// Which part.
        part: Part,
        /// From 1 on.
        line: usize,
        /// What is wrong.
        detail: String,
    },
    /// What it uses and does not take.
    #[error("{part} uses {}, which are no parameters of the template", .names.join(", "))]
    Undeclared {
        /// Which part.
        part: Part,
        /// In their order.
        names: Vec<String>,
    },
}

/// What is wrong with one parameter of a notification.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParamProblem {
    /// It has to be there.
    #[error("{name} is missing")]
    Missing {
        /// The parameter.
        name: String,
    },
    /// It is something else.
    #[error("{name} is a {found}, not a {expected}")]
    Kind {
        /// The parameter.
        name: String,
        /// What it has to be.
        expected: Kind,
        /// What it is.
        found: Kind,
    },
    /// It is too long.
    #[error("{name} is {len_chars} characters, the limit is {limit_chars}")]
    TooLong {
        /// The parameter.
        name: String,
        /// Its length.
        len_chars: usize,
        /// What its template says.
        limit_chars: u32,
    },
    /// The template does not take it.
    #[error("{name} is no parameter of the template")]
    Unknown {
        /// As it came, cut off.
        name: String,
    },
    /// All of them together.
    #[error("the parameters are {len_bytes} bytes of JSON, the limit is {PARAMS_BYTES_MAX}")]
    AllTooLong {
        /// Their length.
        len_bytes: usize,
    },
}

/// Sender's mistake: everything that is wrong with a notification's parameters, at most one for each of the template's, and
/// the first [`PARAMETERS_MAX`] that it does not take.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
pub struct ParamsError(pub Vec<ParamProblem>);

/// Why a template cannot be rendered with these parameters. It never can.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RenderError {
    /// Sender's mistake.
    #[error(transparent)]
    Params(#[from] ParamsError),
    /// It takes too many steps or makes too much.
    #[error("{part}, line {line}: it takes more than {FUEL} steps")]
    OutOfFuel {
        /// Which part.
        part: Part,
        /// Where it was then, from 1 on.
        line: usize,
    },
    /// What was made.
    #[error("it is {len_bytes} bytes when rendered, the limit is {RENDERED_BYTES_MAX}")]
    TooLong {
        /// Of the parts so far.
        len_bytes: usize,
    },
    /// What only these parameters show: one that is undefined, a text in the place of a number, …
    #[error("{part}, line {line}: {detail}")]
    Failed {
        /// Which part.
        part: Part,
        /// From 1 on.
        line: usize,
        /// What is wrong.
        detail: String,
    },
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
mod tests {
    use std::time::Instant;

    use serde_json::json;

    use super::*;

    fn parameter(name: &str, kind: Kind, required: bool, max_chars: Option<u32>) -> Parameter {
        Parameter { name: name.to_owned(), kind, required, max_chars }
    }

    /// Takes a name, a number of parcels, a list of them, a place and whether it is urgent.
    fn template(title: &str, body: &str, html: Option<&str>) -> Template {
        Template {
            name: "parcel.sent".to_owned(),
            locale: "en".to_owned(),
            medium: None,
            title: title.to_owned(),
            body: body.to_owned(),
            html: html.map(str::to_owned),
            parameters: vec![
                parameter("name", Kind::Text, true, Some(20)),
                parameter("count", Kind::Number, true, None),
                parameter("parcels", Kind::List, false, Some(2_000)),
                parameter("place", Kind::Object, false, Some(100)),
                parameter("urgent", Kind::Boolean, false, None),
            ],
        }
    }

    fn params(json: Json) -> Map<String, Json> {
        let Json::Object(params) = json else { panic!("{json} is no object") };
        params
    }

    /// Two that have to be there.
    fn few() -> Json {
        json!({"name": "Zoë", "count": 3})
    }

    /// What becomes of a body.
    fn check(body: &str, given: Json, expected: Result<&str, &str>) {
        let told: String = format!("{body:?} of {given}").chars().take(500).collect();
        let began = Instant::now();
        let compiled = template("", body, None).compile().unwrap_or_else(|error| panic!("{told}: {error}"));
        let rendered = compiled.render(&params(given)).map(|rendered| rendered.body).map_err(|error| error.to_string());
        assert_eq!(rendered, expected.map(str::to_owned).map_err(str::to_owned), "{told}");
        assert!(began.elapsed().as_secs() < 2, "{told}: {:?}", began.elapsed());
    }

    /// Why a template is refused.
    fn check_refused(change: impl FnOnce(&mut Template), expected: &str) {
        let mut template = template("", "", None);
        change(&mut template);
        let began = Instant::now();
        let error = template.compile().map(|_| ()).expect_err(expected);
        assert_eq!(error.to_string(), expected);
        assert!(began.elapsed().as_secs() < 2, "{expected}: {:?}", began.elapsed());
    }

    fn check_body_refused(body: &str, expected: &str) {
        check_refused(|template| body.clone_into(&mut template.body), expected);
    }

    #[test]
    fn parameters_are_put_in_their_places() {
        check("Hello {{ name }}, {{ count }} parcels", few(), Ok("Hello Zoë, 3 parcels"));
        check("{{ name|upper }} {{ count - 1 }} {{ name ~ count }}", few(), Ok("ZOË 2 Zoë3"));
        check("{% if count == 1 %}one{% else %}{{ count }}{% endif %}", few(), Ok("3"));
        check("{% if name in ['Zoë', 'Bo'] %}you{% endif %}", few(), Ok("you"));
        let many = json!({"name": "Zoë", "count": 3, "parcels": [{"id": 1}, {"id": 2}], "place": {"city": "Łódź"}, "urgent": true});
        check(
            "{% for parcel in parcels %}{{ loop.index }}:{{ parcel.id }} {% endfor %}{{ place.city }}",
            many.clone(),
            Ok("1:1 2:2 Łódź"),
        );
        check("{{ parcels|join(', ', attribute='id') }}{% if urgent %}!{% endif %}", many, Ok("1, 2!"));
        check("{% set who = name %}{% with n = count %}{{ who }}{{ n }}{% endwith %}", few(), Ok("Zoë3"));
        check("{# no #}{% raw %}{{ x * y + [z] }}{% endraw %} 2 * 3 + [4]", few(), Ok("{{ x * y + [z] }} 2 * 3 + [4]"));
        check("", few(), Ok(""));
    }

    #[test]
    fn a_text_is_cut_off_at_a_character() {
        check("{{ name|truncate(3) }}", few(), Ok("Zoë"));
        check("{{ name|truncate(2) }}", few(), Ok("Z…"));
        check("{{ name|truncate(1) }}{{ name|truncate(0) }}", few(), Ok("…"));
        check("{{ name|truncate(18446744073709551615) }}", few(), Ok("Zoë"));
        check("{{ name|truncate(-1) }}", few(), Err("body, line 1: cannot convert number to usize"));
    }

    #[test]
    fn what_is_missing_and_need_not_be_there_is_undefined() {
        check("{{ place|default('nowhere') }}", few(), Ok("nowhere"));
        check("{% if place is defined %}{{ place.city }}{% endif %}.", few(), Ok("."));
        check("{{ place|default('nowhere') }}", json!({"name": "Zoë", "count": 3, "place": null}), Ok("nowhere"));
        check("a\n{{ urgent }}", few(), Err("body, line 2: undefined value"));
        check("{% if urgent %}!{% endif %}", few(), Err("body, line 1: undefined value"));
        check("a\n\n{{ name.first }}", few(), Err("body, line 3: undefined value"));
        check("{% for parcel in parcels %}{% endfor %}", few(), Err("body, line 1: undefined value"));
    }

    #[test]
    fn what_the_engine_calls_the_same_as_a_parameter_is_not_taken_for_it() {
        let mut template = template("", "{{ range|default('none') }} {{ dict|default('none') }}", None);
        template.parameters = ["range", "dict"].map(|name| parameter(name, Kind::List, false, None)).to_vec();
        let rendered = template.compile().expect("a template").render(&Map::new()).expect("it can be rendered");
        assert_eq!(rendered.body, "none none");
    }

    #[test]
    fn everything_that_is_wrong_with_parameters_is_told_at_once() {
        check("", json!({}), Err("name is missing; count is missing"));
        check("", json!({"name": null, "count": "3"}), Err("name is missing; count is a text, not a number"));
        check(
            "",
            json!({"name": ["a"], "count": true, "urgent": 1}),
            Err("name is a list, not a text; count is a boolean, not a number; urgent is a number, not a boolean"),
        );
        check("", json!({"name": "ë".repeat(20), "count": 0}), Ok(""));
        check("", json!({"name": "ë".repeat(21), "count": 0}), Err("name is 21 characters, the limit is 20"));
        let deep = json!({"name": "", "count": 0, "place": {"street": "s".repeat(100)}});
        check("", deep, Err("place is 113 characters, the limit is 100"));
        check(
            "",
            json!({"name": "", "count": 0, "Name": 1, "\u{1b}[2J": 2}),
            Err("[2J is no parameter of the template; Name is no parameter of the template"),
        );
        let huge = json!({"name": "", "count": 0, "x": "x".repeat(PARAMS_BYTES_MAX)});
        check(
            "",
            huge,
            Err("x is no parameter of the template; the parameters are 16412 bytes of JSON, the limit is 16384"),
        );
        let unknown: Map<String, Json> = (0..1_000).map(|number| (number.to_string(), Json::Null)).collect();
        let compiled = template("", "", None).compile().expect("it is empty");
        assert_eq!(compiled.check(&unknown).expect_err("none is known").0.len(), 2 + PARAMETERS_MAX);
    }

    #[test]
    fn a_title_is_one_line() {
        let check = |title: &str, name: &str, expected: &str| {
            let compiled = template(title, "", None).compile().expect("a template");
            let rendered = compiled.render(&params(json!({"name": name, "count": 0}))).expect("it can be rendered");
            assert_eq!(rendered.title, expected, "{title:?} of {name:?}");
        };
        check("To {{ name }}", "Zoë", "To Zoë");
        check("To {{ name }}", "a\r\nBcc: b", "To a Bcc: b");
        check("a\n\nb {{ name }}\n", "\u{2028}c\u{85}\u{0}d", "a b  c d");
        check("{{ name }}", "\n", "");
    }

    #[test]
    fn html_is_escaped_and_text_is_not() {
        let check = |html: &str, name: &str, expected: &str| {
            let compiled = template("{{ name }}", "{{ name }}", Some(html)).compile().expect("a template");
            let rendered = compiled.render(&params(json!({"name": name, "count": 0}))).expect("it can be rendered");
            assert_eq!(rendered.html.as_deref(), Some(expected), "{html:?} of {name:?}");
            assert_eq!((rendered.title.as_str(), rendered.body.as_str()), (name, name));
        };
        check("<b>{{ name }}</b>", "<script>&\"'", "<b>&lt;script&gt;&amp;&quot;&#x27;</b>");
        check("{{ name ~ '<' }}{{ name|upper }}", "<b>", "&lt;b&gt;&lt;&lt;B&gt;");
        check("{{ name|safe }}", "<b>", "<b>");
        let without = template("", "", None).compile().expect("a template").render(&params(few()));
        assert_eq!(without.map(|rendered| rendered.html), Ok(None));
    }

    /// Each of these takes for ever, or all memory, without a bound.
    #[test]
    fn what_would_not_end_ends_with_an_error() {
        let list = json!({"name": "Zoë", "count": 3, "parcels": vec![1; 900]});
        let fuel = "body, line 1: it takes more than 5000 steps";
        let loops =
            "{% for a in parcels %}{% for b in parcels %}{% for c in parcels %}{% endfor %}{% endfor %}{% endfor %}";
        check(loops, list.clone(), Err(fuel));
        check(
            &format!("a\n{}", "{% for a in parcels %}x{% endfor %}".repeat(20)),
            list.clone(),
            Err("body, line 2: it takes more than 5000 steps"),
        );
        check(
            "{% for a in parcels recursive %}{{ loop(parcels) }}{% endfor %}",
            list.clone(),
            Err("body, line 1: recursion limit exceeded"),
        );
        let doubled = format!("{{% set a = 'aaaaaaaa' %}}{}{{{{ a }}}}", "{% set a = a ~ a %}".repeat(60));
        check(&doubled, few(), Err(fuel));
        let captured =
            format!("{{% set a = 'aaaaaaaa' %}}{}{{{{ a }}}}", "{% set a %}{{ a }}{{ a }}{% endset %}".repeat(60));
        check(&captured, few(), Err(fuel));
        check(
            &format!("{{% for a in parcels %}}{}{{% endfor %}}", "x".repeat(75)),
            list.clone(),
            Err("it is 67500 bytes when rendered, the limit is 65536"),
        );
        check(&format!("{{% for a in parcels %}}{}{{% endfor %}}", "x".repeat(60_000)), list.clone(), Err(fuel));
        check("{{ parcels|join('x' ~ parcels) }}", list.clone(), Err(fuel));
        // Equal, and not one: as slow as can be.
        let deep = json!([vec![0; 4_000]]);
        let two = json!({"name": "", "count": 0, "parcels": deep, "place": {"parcels": deep}});
        let mut template =
            template("", &format!("{{{{ {} }}}}", ["parcels == place.parcels"; 2_200].join(" and ")), None);
        template.parameters.iter_mut().for_each(|parameter| parameter.max_chars = None);
        let body = template.compile().expect("a template").render(&params(two)).map(|rendered| rendered.body);
        assert_eq!(body.map_err(|error| error.to_string()), Err(fuel.to_owned()));
        let shown = format!("{{{{ ({})|length }}}}", ["parcels"; 300].join(" ~ "));
        check(&shown, list, Err(fuel));
    }

    #[test]
    fn numbers_that_have_no_answer_are_an_error() {
        check("{{ count / 0 }}", few(), Err("body, line 1: unable to calculate 3 / 0"));
        check("{{ count // 0 }}{{ count % 0 }}", few(), Err("body, line 1: unable to calculate 3 // 0"));
        check("{{ count % 0 }}", few(), Err("body, line 1: unable to calculate 3 % 0"));
        check("{{ count ** 9999 }}", few(), Err("body, line 1: unable to calculate 3 ** 9999"));
        check("{{ count|round(2147483647) }} {{ (count / 7)|round(2147483647) }}", few(), Ok("3 0.42857142857142855"));
        check("{{ (0 - count)|round(-2147483648) }}", few(), Ok("0"));
        check("{{ (-170141183460469231731687303715884105728)|abs }}", few(), Err("body, line 1: overflow on abs"));
        check("{{ name|int }}", few(), Err("body, line 1: invalid float literal"));
        check(
            "{{ name - 1 }}",
            few(),
            Err("body, line 1: tried to use - operator on unsupported types string and number"),
        );
        check("{{ name[-9223372036854775808] }}", few(), Err("body, line 1: undefined value"));
        check("{{ -count }} {{ 1e999 }}", few(), Ok("-3 inf"));
    }

    #[test]
    fn what_would_make_lists_is_no_part_of_a_template() {
        check_body_refused(
            "{{ [1] * 99999999 }}",
            "body, line 1: lists that are made of others are not available in templates",
        );
        check_body_refused("{{ parcels * 99999999 }}", "body, line 1: * is not available in templates");
        check_body_refused("\n{{ name * 9 }}", "body, line 2: * is not available in templates");
        check_body_refused(
            "{{ parcels + parcels }}",
            "body, line 1: + is not available in templates; texts are joined by ~",
        );
        let no_lists = "body, line 1: lists and objects of what is not constant are not available in templates";
        check_body_refused("{% for a in [parcels, parcels] %}{% endfor %}", no_lists);
        check_body_refused("{% for a in (parcels, parcels) %}{% endfor %}", no_lists);
        check_body_refused("{{ {'a': parcels} }}", no_lists);
        check_body_refused("{% for a in [[parcels], 1] %}{% endfor %}", no_lists);
        let filters = "there are abs, capitalize, count, d, default, e, escape, first, float, int, join, last, length, lower, \
                       round, safe, title, truncate, upper";
        for filter in
            ["replace('a', name)", "chain(parcels)", "zip(parcels)", "indent(9)", "trim(name)", "pprint", "nonsense"]
        {
            let name = filter.split('(').next().expect("a name");
            check_body_refused(
                &format!("{{{{ name|{filter} }}}}"),
                &format!("body, line 1: there is no filter {name}; {filters}"),
            );
        }
        check_body_refused("{{ range(9) }}", "body, line 1: there is no function range");
        check_body_refused("{{ namespace() }}", "body, line 1: there is no function namespace");
        check_body_refused("{{ debug() }}", "body, line 1: there is no function debug");
        check_body_refused(
            "{{ parcels|map('replace', 'a', name) }}",
            &format!("body, line 1: there is no filter map; {filters}"),
        );
        check_body_refused(
            "{% if name is nonsense %}{% endif %}",
            "body, line 1: there is no test nonsense; there are boolean, defined, divisibleby, even, false, in, mapping, none, number, \
             odd, sequence, string, true, undefined",
        );
        check_body_refused(
            "{{ name[::-9223372036854775808] }}",
            "body, line 1: slices are not available in templates; texts are cut off by truncate",
        );
    }

    #[test]
    fn a_template_that_cannot_be_read_says_where() {
        check_body_refused("a\nb {{ name", "body, line 2: unexpected end of input, expected end of variable block");
        check_body_refused("{% if name %}", "body, line 1: unexpected end of input, expected end of block");
        check_body_refused("{% include 'x' %}", "body, line 1: unknown statement include");
        check_body_refused("{% macro x() %}{% endmacro %}", "body, line 1: unknown statement macro");
        check_body_refused(
            "\n\n{{ nam }} {{ conut }} {{ name }}",
            "body uses conut, nam, which are no parameters of the template",
        );
        check_refused(
            |template| "{{".clone_into(&mut template.title),
            "title, line 1: unexpected end of input, expected expression",
        );
        check_refused(
            |template| template.html = Some("{{ x }}".to_owned()),
            "html uses x, which are no parameters of the template",
        );
        let deep = format!("{{{{ {}1{} }}}}", "(".repeat(30_000), ")".repeat(30_000));
        check_body_refused(&deep, "body, line 1: template exceeds maximum recursion limits");
        let deep = format!("{}{}", "{% if name %}".repeat(2_000), "{% endif %}".repeat(2_000));
        check_body_refused(&deep, "body, line 1: template exceeds maximum recursion limits");
    }

    #[test]
    fn what_else_is_wrong_with_a_template_is_told() {
        let long = "x".repeat(SOURCE_BYTES_MAX + 1);
        check_refused(|template| template.body = long, "body is 65537 bytes, the limit is 65536");
        check_refused(
            |template| template.name = String::new(),
            "template \"\" is no name: write 1 to 64 letters, digits and ._-",
        );
        check_refused(
            |template| template.name = "a b".to_owned(),
            "template \"a b\" is no name: write 1 to 64 letters, digits and ._-",
        );
        for locale in ["", "pt_BR", "pt BR", &"x-".repeat(20)] {
            check_refused(
                |template| locale.clone_into(&mut template.locale),
                &format!("locale {locale:?} is none: write it as pt or pt-BR"),
            );
        }
        for name in ["", "1st", "a-b", "loop", "not", "näme", "a\u{0}b"] {
            let expected = format!(
                "parameter {:?} is no name: write 1 to 64 letters, digits and _, no digit first, no word of Jinja",
                shown(name)
            );
            check_refused(|template| template.parameters[0].name = name.to_owned(), &expected);
        }
        check_refused(|template| template.parameters[1].name = "name".to_owned(), "parameter name is there twice");
        let many = (0..65).map(|number| parameter(&format!("p{number}"), Kind::Text, false, None)).collect();
        check_refused(|template| template.parameters = many, "there are 65 parameters, the limit is 64");
    }

    #[test]
    fn a_language_falls_back_to_its_root_and_then_to_the_default() {
        let check = |there: &[(&str, Option<Medium>)], locale: &str, expected: Option<usize>| {
            let templates: Vec<_> = there
                .iter()
                .map(|(locale, medium)| Template {
                    locale: (*locale).to_owned(),
                    medium: *medium,
                    ..template("", "", None)
                })
                .collect();
            let picked = pick(&templates, locale, Medium::Sms, "en");
            let picked = picked.map(|picked| {
                templates.iter().position(|template| std::ptr::eq(template, picked)).expect("one of them")
            });
            assert_eq!(picked, expected, "{locale:?} among {there:?}");
        };
        let all = [("en", None), ("pt", None), ("pt-BR", None), ("zh-Hant", None)];
        check(&all, "pt-BR", Some(2));
        check(&all, "pt-br", Some(2));
        check(&all, "pt_BR", Some(2));
        check(&all, "pt_BR.UTF-8", Some(2));
        check(&all, "pt-PT", Some(1));
        check(&all, "pt", Some(1));
        check(&all, "zh-Hant-TW", Some(3));
        check(&all, "zh-TW", Some(0));
        check(&all, "de", Some(0));
        check(&all, "", Some(0));
        check(&all, "-", Some(0));
        check(&all, "ptx", Some(0));
        check(&all, &"pt-".repeat(100_000), Some(0));
        check(&all[1..], "de", None);
        check(&[], "en", None);
        let media = [
            ("en", None),
            ("en", Some(Medium::Sms)),
            ("en", Some(Medium::Mail)),
            ("pt", Some(Medium::Mail)),
            ("fr", None),
        ];
        check(&media, "en-GB", Some(1));
        check(&media, "pt", Some(1));
        check(&media, "fr-CA", Some(4));
        check(&media[2..3], "en", None);
    }

    #[test]
    fn a_template_is_read_from_json_and_what_it_does_not_know_is_refused() {
        let text = json!({"name": "a", "locale": "en", "medium": "mail", "title": "t", "body": "b",
            "parameters": [{"name": "n", "kind": "list", "required": true, "max_chars": 3}]});
        let read: Template = serde_json::from_value(text.clone()).expect("a template");
        assert_eq!(
            (read.medium, &read.parameters[0]),
            (Some(Medium::Mail), &parameter("n", Kind::List, true, Some(3)))
        );
        for (field, value) in
            [("medium", json!("pigeon")), ("parameters", json!([{"name": "n", "kind": "date"}])), ("tilte", json!(""))]
        {
            let mut wrong = text.clone();
            wrong[field] = value;
            assert!(serde_json::from_value::<Template>(wrong).is_err(), "{field}");
        }
    }
}
