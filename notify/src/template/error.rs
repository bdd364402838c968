//! Faults of a template: when it is compiled, its author's; when its parameters are checked, whoever's gives them; when it is
//! rendered, of either.

use schema::Medium;
use schema::limits::{TEMPLATE_BYTES_MAX, TEMPLATE_PARAMETERS_MAX, TEMPLATE_VARIANT_BYTES_MAX, TEMPLATE_VARIANTS_MAX};
use schema::template::Kind;

use super::{FUEL, NAME_BYTES_MAX, PARAMS_BYTES_MAX, Part, RENDERED_BYTES_MAX};

/// Its author's mistake in a template. Nothing was stored.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// Of its parameters.
    #[error(transparent)]
    Parameters(#[from] CompileError),
    /// A locale.
    #[error("locale {0:?} is none: write it as pt or pt-BR")]
    Locale(String),
    /// Of variants.
    #[error("there are {len} variants, the limit is {TEMPLATE_VARIANTS_MAX}")]
    TooMany {
        /// How many.
        len: usize,
    },
    /// All variants together, as they are written.
    #[error("the variants are {len_bytes} bytes together, the limit is {TEMPLATE_BYTES_MAX}")]
    TooLong {
        /// Their length.
        len_bytes: usize,
    },
    /// Two of one language and medium.
    #[error("there are two variants {locale}{}", by(.medium))]
    Twice {
        /// Their language.
        locale: String,
        /// Their medium.
        medium: Option<Medium>,
    },
    /// Nothing for who is told in no other.
    #[error("no variant {0} is for all media, and it is the default: who has another language is told it")]
    NoDefault(String),
    /// Of one variant.
    #[error("variant {locale}{}: {error}", by(.medium))]
    Variant {
        /// Its language.
        locale: String,
        /// Its medium.
        medium: Option<Medium>,
        /// What is wrong.
        #[source]
        error: CompileError,
    },
}

fn by(medium: &Option<Medium>) -> String {
    medium.map_or_else(String::new, |medium| format!(" for {medium}"))
}

/// Its author's mistake in a variant, or in what all take.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CompileError {
    /// Of a parameter.
    #[error(
        "parameter {0:?} is no name: write 1 to {NAME_BYTES_MAX} letters, digits and _, no digit first, no word of Jinja"
    )]
    Name(String),
    /// Two of one name.
    #[error("parameter {0} is there twice")]
    Twice(String),
    /// Of parameters.
    #[error("there are {len} parameters, the limit is {TEMPLATE_PARAMETERS_MAX}")]
    TooManyParameters {
        /// How many.
        len: usize,
    },
    /// As it is written.
    #[error("its title, body and html are {len_bytes} bytes together, the limit is {TEMPLATE_VARIANT_BYTES_MAX}")]
    TooLong {
        /// Their length.
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
    #[error("{part}, line {line}: it uses {}, no parameter of the template", .names.join(", "))]
    Undeclared {
        /// Which part.
        part: Part,
        /// Of the first use of any, from 1 on.
        line: usize,
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
/// the first [`TEMPLATE_PARAMETERS_MAX`] that it does not take.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
pub struct ParamsError(pub Vec<ParamProblem>);

/// Why a target cannot be told by a template with these parameters.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PreviewError {
    /// Of what was stored before a rule that there is now.
    #[error("its template has no variant for all media in its default language")]
    NoVariant,
    /// Likewise.
    #[error(transparent)]
    Compile(#[from] CompileError),
    /// It cannot be rendered.
    #[error(transparent)]
    Render(#[from] RenderError),
}

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
