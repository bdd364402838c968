//! HTTP before the frames, and in the place of frames; tungstenite and httparse read it, this module decides.

pub(crate) mod client;
pub(crate) mod plain;
pub(crate) mod server;

use tungstenite::http::HeaderMap;

/// The members of a comma-separated list over all lines of a header, without the blanks and tabs around them (RFC 9110,
/// section 5.6.1). Empty members do not count.
fn tokens<'a>(headers: &'a HeaderMap, name: &str) -> impl Iterator<Item = &'a [u8]> {
    let lines = headers.get_all(name).iter().map(|line| line.as_bytes());
    lines.flat_map(|line| line.split(|&byte| byte == b',')).map(trim).filter(|token| !token.is_empty())
}

/// Whether `token` is a member of a header's list, as HTTP compares tokens: in any case.
fn has_token(headers: &HeaderMap, name: &str, token: &str) -> bool {
    tokens(headers, name).any(|member| member.eq_ignore_ascii_case(token.as_bytes()))
}

fn trim(mut bytes: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = bytes {
        bytes = rest;
    }
    bytes
}
