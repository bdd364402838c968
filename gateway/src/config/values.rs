//! Parsers of single values, each of which says what it expects.
//!
//! Owns what fits each type of key. Knows no key's name and no layer.

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use clap::ValueEnum;
use kv::foundationdb::PREFIX_BYTES_MAX;
use schema::limits::{NODE_NAME_BYTES_MAX, NODE_URL_BYTES_MAX};
use tracing_subscriber::EnvFilter;

/// What keeps the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "lowercase")]
pub(crate) enum StoreEngine {
    /// This machine, in the data directory.
    Embedded,
    /// A cluster of FoundationDB, by its client library.
    FoundationDb,
}

/// Something that a node may do beside others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "lowercase")]
pub(crate) enum Role {
    /// It serves WebSocket clients and owns its share of the partitions.
    Gateway,
    /// It serves the HTTP API and the page.
    Api,
    /// It sends notifications to users who are away, as far as its partitions are theirs.
    Notify,
}

/// Whose tokens count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "lowercase")]
pub(crate) enum TokensOf {
    /// Our own: accounts sign up and log in by a password.
    Own,
    /// Those of issuers.
    External,
    /// Both.
    Both,
}

/// The form of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    /// Text where standard error is a terminal, JSON lines otherwise.
    Auto,
    /// One readable line an event.
    Text,
    /// One JSON object an event.
    Json,
}

/// A key of 32 bytes that nobody may see: no form of this type prints it.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Secret([u8; 32]);

impl Secret {
    /// The bytes, for whoever signs with them.
    pub(crate) fn bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(secret)")
    }
}

/// A value, or what was expected in its place.
type Parsed<T> = Result<T, &'static str>;

/// A whole number within bounds; underscores may part its digits, as in TOML.
pub(super) fn whole<T: TryFrom<u64>>(min: u64, max: u64) -> impl Fn(&str) -> Result<T, String> + Clone {
    move |text| {
        let number = text.replace('_', "").parse().ok().filter(|number| (min..=max).contains(number));
        let number = number.filter(|_| text.starts_with(|first: char| first.is_ascii_digit()));
        let number = number.and_then(|number| T::try_from(number).ok());
        number.ok_or_else(|| format!("a whole number from {min} to {max}"))
    }
}

pub(super) fn address(text: &str) -> Parsed<SocketAddr> {
    let address = match text.strip_prefix("localhost:") {
        Some(port) => port.parse().ok().map(|port| SocketAddr::from((Ipv4Addr::LOCALHOST, port))),
        None => text.parse().ok(),
    };
    address.ok_or("an address and a port, such as 127.0.0.1:8000 or [::]:8000")
}

pub(super) fn network(text: &str) -> Parsed<api::Network> {
    text.parse().map_err(|_| "addresses and networks, such as 10.0.0.1 and 10.0.0.0/8")
}

pub(super) fn origin(text: &str) -> Parsed<api::AllowedOrigin> {
    text.parse().map_err(|_| "origins as a browser writes them, such as https://app.example.com, or *")
}

pub(super) fn path(text: &str) -> Parsed<PathBuf> {
    checked(text, !text.is_empty(), "a path").map(PathBuf::from)
}

pub(super) fn region(text: &str) -> Parsed<String> {
    const { assert!(NODE_NAME_BYTES_MAX == 64, "the text says how many") };
    checked(text, (1..=NODE_NAME_BYTES_MAX as usize).contains(&text.len()), "a text of 1 to 64 bytes")
}

pub(super) fn store_prefix(text: &str) -> Parsed<String> {
    const { assert!(PREFIX_BYTES_MAX == 59, "the text says how many") };
    let fits = (1..=PREFIX_BYTES_MAX).contains(&text.len()) && !text.contains('\0');
    checked(text, fits, "a text of 1 to 59 bytes, none of them zero")
}

pub(super) fn node_name(text: &str) -> Parsed<String> {
    let fits = (1..=NODE_NAME_BYTES_MAX as usize).contains(&text.len()) && text.chars().all(is_name);
    checked(text, fits, "a name of 1 to 64 letters, digits, dots, dashes and underscores")
}

/// The name of a machine as a node's: the nearest that is legal, `node` where the machine is called nothing.
pub(super) fn host_name(host: &str) -> String {
    let plain = |c: char| if is_name(c) { c } else { '-' };
    let name: String = host.chars().take(NODE_NAME_BYTES_MAX as usize).map(plain).collect();
    if name.is_empty() { "node".to_owned() } else { name }
}

fn is_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || "-._".contains(c)
}

/// `ws://HOST[:PORT]` or `wss://HOST[:PORT]`, whose trailing slash goes.
pub(super) fn ws_url(text: &str) -> Parsed<String> {
    url(text, ["ws://", "wss://"], "ws://HOST:PORT or wss://HOST, without a path")
}

/// The same of HTTP.
pub(super) fn api_url(text: &str) -> Parsed<String> {
    url(text, ["http://", "https://"], "http://HOST:PORT or https://HOST, without a path")
}

fn url(text: &str, schemes: [&str; 2], expected: &'static str) -> Parsed<String> {
    let text = text.trim_end_matches('/');
    let host = schemes.iter().find_map(|scheme| text.strip_prefix(scheme)).unwrap_or_default();
    let plain = |c: char| c.is_ascii_alphanumeric() || "-._:[]".contains(c);
    let fits = !host.is_empty() && text.len() <= NODE_URL_BYTES_MAX as usize && host.chars().all(plain);
    checked(text, fits, expected)
}

/// `HOST:PORT`.
pub(super) fn host_port(text: &str) -> Parsed<String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-._:[]".contains(c);
    let (host, port) = text.rsplit_once(':').unwrap_or_default();
    let fits = !host.is_empty() && port.parse::<u16>().is_ok_and(|port| port > 0) && host.chars().all(plain);
    checked(text, fits && text.len() <= NODE_URL_BYTES_MAX as usize, "HOST:PORT")
}

pub(super) fn log_filter(text: &str) -> Parsed<String> {
    // Crates whose name may stand alone, for "everything of it". Any other bare word is a target to the filter's
    // grammar too, so `--log inof` would silence everything without a word.
    let crates = ["rookery", "gateway", "api", "host", "router", "kv", "chat", "wire", "schema"];
    let level = |word: &str| word.eq_ignore_ascii_case("off") || word.parse::<tracing::Level>().is_ok();
    let known = |word: &str| word.contains(['=', ':', '[', '_']) || level(word) || crates.contains(&word);
    let fits = !text.trim().is_empty()
        && EnvFilter::builder().parse(text).is_ok()
        && text.split(',').map(str::trim).all(known);
    checked(text, fits, "a level (error, warn, info, debug, trace) or directives such as info,gateway=debug")
}

pub(super) fn secret(text: &str) -> Parsed<Secret> {
    // `from_str_radix` would take a sign.
    if text.len() != 64 || !text.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return Err("64 hexadecimal digits, as `openssl rand -hex 32` prints");
    }
    let byte = |at| u8::from_str_radix(&text[2 * at..2 * at + 2], 16).expect("two hexadecimal digits");
    Ok(Secret(std::array::from_fn(byte)))
}

fn checked(text: &str, fits: bool, expected: &'static str) -> Parsed<String> {
    if fits { Ok(text.to_owned()) } else { Err(expected) }
}
