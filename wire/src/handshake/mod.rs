//! The HTTP exchange before the frames; tungstenite and httparse read it, this module decides.

pub(crate) mod client;
pub(crate) mod server;

/// `name` among the comma-separated tokens of a header, as HTTP compares tokens.
fn has_token(value: &str, name: &str) -> bool {
    value.split(',').any(|token| token.trim().eq_ignore_ascii_case(name))
}
