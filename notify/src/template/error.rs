//! Faults of a template: when it is compiled, its author's; when its parameters are checked, whoever's gives them; when it is
//! rendered, of either.

use super::{FUEL, Kind, NAME_BYTES_MAX, PARAMETERS_MAX, PARAMS_BYTES_MAX, Part, RENDERED_BYTES_MAX, SOURCE_BYTES_MAX};

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
