//! The types that a key's value may have, and how each reads what a layer gave.
//!
//! Owns parsing and showing of single values. Knows no key's name and no layer; bounds of numbers are the key's.

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use schema::limits::NODE_URL_BYTES_MAX;
use tracing_subscriber::EnvFilter;

/// Bytes of the key that signs access tokens.
pub const SECRET_BYTES: usize = 32;

/// What a layer gave for a key, before the key's type has judged it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Given {
    /// From the environment or a flag: its type is whatever the key's is.
    Text(String),
    /// A TOML string.
    Quoted(String),
    /// A TOML integer; `None` where it exceeds 64 bits.
    Integer(Option<i64>),
    /// A TOML boolean.
    Boolean(bool),
    /// A TOML value of a type that no key has, by its name.
    Other(&'static str),
}

impl fmt::Display for Given {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) | Self::Quoted(text) => write!(f, "{text:?}"),
            Self::Integer(Some(number)) => number.fmt(f),
            Self::Integer(None) => f.write_str("a number beyond 64 bits"),
            Self::Boolean(truth) => truth.fmt(f),
            Self::Other(kind) => write!(f, "a TOML {kind}"),
        }
    }
}

impl Given {
    /// The text of a value whose type is written as a string.
    pub(super) fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) | Self::Quoted(text) => Some(text),
            Self::Integer(_) | Self::Boolean(_) | Self::Other(_) => None,
        }
    }
}

/// One field of [`super::Config`], as the table of keys sees it.
pub(crate) trait Setting {
    /// What stands for a value in help: `IP:PORT`.
    fn placeholder(&self) -> &'static str;
    /// What the value must be, to follow "expected".
    fn expected(&self) -> &'static str;
    /// Takes what was given. `None`, and no change, where it does not fit.
    fn set(&mut self, given: &Given) -> Option<()>;
    /// The value as TOML. `None` where there is none.
    fn show(&self) -> Option<String>;
    /// The value, if it is a number, for the key's bounds.
    fn number(&self) -> Option<u64> {
        None
    }
    /// Whether the value may be printed.
    fn is_secret(&self) -> bool {
        false
    }
}

/// A TOML string. Rust's escapes of printable text are TOML's.
pub(super) fn quoted(text: &str) -> String {
    format!("{text:?}")
}

impl Setting for SocketAddr {
    fn placeholder(&self) -> &'static str {
        "IP:PORT"
    }
    fn expected(&self) -> &'static str {
        "an address and a port, such as 127.0.0.1:8000 or [::]:8000"
    }
    fn set(&mut self, given: &Given) -> Option<()> {
        let text = given.text()?;
        *self = match text.strip_prefix("localhost:") {
            Some(port) => SocketAddr::from((Ipv4Addr::LOCALHOST, port.parse().ok()?)),
            None => text.parse().ok()?,
        };
        Some(())
    }
    fn show(&self) -> Option<String> {
        Some(quoted(&self.to_string()))
    }
}

impl Setting for PathBuf {
    fn placeholder(&self) -> &'static str {
        "PATH"
    }
    fn expected(&self) -> &'static str {
        "a path"
    }
    fn set(&mut self, given: &Given) -> Option<()> {
        let text = given.text().filter(|text| !text.is_empty())?;
        *self = PathBuf::from(text);
        Some(())
    }
    fn show(&self) -> Option<String> {
        (!self.as_os_str().is_empty()).then(|| quoted(&self.to_string_lossy()))
    }
}

impl Setting for String {
    fn placeholder(&self) -> &'static str {
        "TEXT"
    }
    fn expected(&self) -> &'static str {
        "a text of 1 to 64 characters"
    }
    fn set(&mut self, given: &Given) -> Option<()> {
        let text = given.text().filter(|text| (1..=64).contains(&text.chars().count()))?;
        text.clone_into(self);
        Some(())
    }
    fn show(&self) -> Option<String> {
        Some(quoted(self))
    }
}

macro_rules! number {
    ($($type:ty),*) => {$(
        impl Setting for $type {
            fn placeholder(&self) -> &'static str {
                "N"
            }
            fn expected(&self) -> &'static str {
                "a whole number"
            }
            fn set(&mut self, given: &Given) -> Option<()> {
                *self = match given {
                    Given::Text(text) => text.replace('_', "").parse().ok()?,
                    Given::Integer(number) => <$type>::try_from((*number)?).ok()?,
                    Given::Quoted(_) | Given::Boolean(_) | Given::Other(_) => return None,
                };
                Some(())
            }
            fn show(&self) -> Option<String> {
                Some(self.to_string())
            }
            fn number(&self) -> Option<u64> {
                Some(u64::from(*self))
            }
        }
    )*};
}
number!(u16, u32, u64);

impl Setting for bool {
    fn placeholder(&self) -> &'static str {
        "true|false"
    }
    fn expected(&self) -> &'static str {
        "true or false"
    }
    fn set(&mut self, given: &Given) -> Option<()> {
        *self = match given {
            Given::Text(text) => text.parse().ok()?,
            Given::Boolean(truth) => *truth,
            Given::Quoted(_) | Given::Integer(_) | Given::Other(_) => return None,
        };
        Some(())
    }
    fn show(&self) -> Option<String> {
        Some(self.to_string())
    }
}

impl<T: Setting + Default> Setting for Option<T> {
    fn placeholder(&self) -> &'static str {
        T::default().placeholder()
    }
    fn expected(&self) -> &'static str {
        T::default().expected()
    }
    fn set(&mut self, given: &Given) -> Option<()> {
        let mut value = T::default();
        value.set(given)?;
        *self = Some(value);
        Some(())
    }
    fn show(&self) -> Option<String> {
        self.as_ref()?.show()
    }
    fn number(&self) -> Option<u64> {
        self.as_ref()?.number()
    }
    fn is_secret(&self) -> bool {
        T::default().is_secret()
    }
}

/// Where clients find the WebSocket endpoint, as they are told it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct WsUrl(String);

impl WsUrl {
    /// `ws://HOST[:PORT]` or `wss://HOST[:PORT]`, without a trailing slash.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Setting for WsUrl {
    fn placeholder(&self) -> &'static str {
        "URL"
    }
    fn expected(&self) -> &'static str {
        "ws://HOST:PORT or wss://HOST, without a path"
    }
    fn set(&mut self, given: &Given) -> Option<()> {
        let text = given.text()?.trim_end_matches('/');
        let host = text.strip_prefix("ws://").or_else(|| text.strip_prefix("wss://"))?;
        let plain = |c: char| c.is_ascii_alphanumeric() || "-._:[]".contains(c);
        if host.is_empty() || text.len() > NODE_URL_BYTES_MAX as usize || !host.chars().all(plain) {
            return None;
        }
        *self = Self(text.to_owned());
        Some(())
    }
    fn show(&self) -> Option<String> {
        Some(quoted(&self.0))
    }
}

/// Which events are logged, in the language of `tracing_subscriber::EnvFilter`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogFilter(String);

impl Default for LogFilter {
    fn default() -> Self {
        Self("info".to_owned())
    }
}

impl LogFilter {
    /// The text, which is known to parse.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Setting for LogFilter {
    fn placeholder(&self) -> &'static str {
        "FILTER"
    }
    fn expected(&self) -> &'static str {
        "a level (error, warn, info, debug, trace) or directives such as info,gateway=debug"
    }
    fn set(&mut self, given: &Given) -> Option<()> {
        let text = given.text().filter(|text| !text.trim().is_empty())?;
        EnvFilter::builder().parse(text).ok()?;
        // A bare word is a target to the filter's grammar, so `--log inof` would silence everything without a word.
        let level = |word: &str| word.eq_ignore_ascii_case("off") || word.parse::<tracing::Level>().is_ok();
        let typo = |word: &str| !word.contains(['=', ':', '[', '_']) && !level(word) && !is_crate(word);
        if text.split(',').map(str::trim).any(typo) {
            return None;
        }
        *self = Self(text.to_owned());
        Some(())
    }
    fn show(&self) -> Option<String> {
        Some(quoted(&self.0))
    }
}

/// Names that may stand alone in a filter, for "everything of this crate".
fn is_crate(word: &str) -> bool {
    ["rookery", "gateway", "api", "host", "router", "kv", "chat", "wire", "schema"].contains(&word)
}

/// The form of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LogFormat {
    /// Text where standard error is a terminal, JSON lines otherwise.
    #[default]
    Auto,
    /// One readable line an event.
    Text,
    /// One JSON object an event.
    Json,
}

impl Setting for LogFormat {
    fn placeholder(&self) -> &'static str {
        "auto|text|json"
    }
    fn expected(&self) -> &'static str {
        "auto, text or json"
    }
    fn set(&mut self, given: &Given) -> Option<()> {
        *self = match given.text()? {
            "auto" => Self::Auto,
            "text" => Self::Text,
            "json" => Self::Json,
            _ => return None,
        };
        Some(())
    }
    fn show(&self) -> Option<String> {
        let word = match self {
            Self::Auto => "auto",
            Self::Text => "text",
            Self::Json => "json",
        };
        Some(quoted(word))
    }
}

/// 32 bytes that nobody may see: no form of this type prints them.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Secret([u8; SECRET_BYTES]);

impl Secret {
    /// The bytes, for whoever signs with them.
    #[must_use]
    pub fn bytes(&self) -> &[u8; SECRET_BYTES] {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(secret)")
    }
}

impl Setting for Secret {
    fn placeholder(&self) -> &'static str {
        "HEX"
    }
    fn expected(&self) -> &'static str {
        "64 hexadecimal digits, as `openssl rand -hex 32` prints"
    }
    fn set(&mut self, given: &Given) -> Option<()> {
        let text = given.text().filter(|text| text.is_ascii() && text.len() == SECRET_BYTES * 2)?;
        let mut bytes = [0; SECRET_BYTES];
        for (byte, digits) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
            // `from_str_radix` would take a sign.
            let digit = |at: usize| char::from(digits[at]).to_digit(16);
            *byte = u8::try_from(digit(0)? * 16 + digit(1)?).ok()?;
        }
        self.0 = bytes;
        Some(())
    }
    fn show(&self) -> Option<String> {
        Some(quoted("(secret)"))
    }
    fn is_secret(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Both sources must agree, except that TOML has types of its own.
    fn check<T: Setting>(mut value: T, text: &str, shown: Option<&str>) {
        let fits = value.set(&Given::Text(text.to_owned())).is_some();
        assert_eq!(fits.then(|| value.show().expect("it was set")).as_deref(), shown, "{text:?}");
    }

    #[test]
    fn a_value_is_read_as_its_keys_type() {
        let address = SocketAddr::from(([0, 0, 0, 0], 0));
        check(address, "127.0.0.1:8000", Some("\"127.0.0.1:8000\""));
        check(address, "[::1]:0", Some("\"[::1]:0\""));
        check(address, "localhost:9", Some("\"127.0.0.1:9\""));
        check(address, "127.0.0.1", None);
        check(address, ":8000", None);
        check(address, "127.0.0.1:70000", None);
        check(0_u16, "65535", Some("65535"));
        check(0_u16, "65536", None);
        check(0_u64, "1_000", Some("1000"));
        check(0_u64, "-1", None);
        check(0_u64, "1e3", None);
        check(false, "true", Some("true"));
        check(false, "yes", None);
        check(PathBuf::new(), "a b", Some("\"a b\""));
        check(PathBuf::new(), "", None);
        check(String::new(), "서울", Some("\"서울\""));
        check(String::new(), "", None);
        check(String::new(), &"a".repeat(65), None);
        check(LogFormat::Auto, "json", Some("\"json\""));
        check(LogFormat::Auto, "yaml", None);
        check(LogFilter::default(), "warn,gateway::uring=trace", Some("\"warn,gateway::uring=trace\""));
        check(LogFilter::default(), "OFF", Some("\"OFF\""));
        check(LogFilter::default(), "inof", None);
        check(LogFilter::default(), "a=b=c", None);
        check(LogFilter::default(), " ", None);
        check(WsUrl::default(), "wss://chat.example.org", Some("\"wss://chat.example.org\""));
        check(WsUrl::default(), "ws://[::1]:8001/", Some("\"ws://[::1]:8001\""));
        check(WsUrl::default(), "https://chat.example.org", None);
        check(WsUrl::default(), "ws://chat.example.org/path", None);
        check(WsUrl::default(), "ws://", None);
        check(Secret::default(), &"0a".repeat(32), Some("\"(secret)\""));
        check(Secret::default(), &"+a".repeat(32), None);
        check(Secret::default(), &"0a".repeat(31), None);
        check(Secret::default(), &"é".repeat(32), None);
        check(None::<u16>, "3", Some("3"));
    }

    #[test]
    fn a_toml_value_of_another_type_is_no_value() {
        assert_eq!(0_u16.set(&Given::Quoted("2".to_owned())), None);
        assert_eq!(0_u16.set(&Given::Integer(Some(-2))), None);
        assert_eq!(0_u64.set(&Given::Integer(None)), None);
        assert_eq!(false.set(&Given::Quoted("true".to_owned())), None);
        assert_eq!(PathBuf::new().set(&Given::Integer(Some(3))), None);
        assert_eq!(PathBuf::new().set(&Given::Other("array")), None);
    }

    #[test]
    fn a_secret_prints_nothing_of_itself() {
        let mut secret = Secret::default();
        secret.set(&Given::Text("ab".repeat(32))).expect("64 digits");
        assert_eq!(secret.bytes(), &[0xab; 32]);
        let printed = format!("{secret:?} {}", secret.show().expect("it is set"));
        assert!(!printed.contains("ab") && !printed.contains("171"), "{printed}");
    }
}
