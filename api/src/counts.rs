//! Counts of what HTTP's bounds refuse, for `/metrics`.
//!
//! Owns one number for each bound, and their text. Every refusal of a bound is counted where it is answered.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};

/// A bound that refuses requests, or keeps connections waiting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bound {
    /// Failed logins of a name from one address (429).
    LoginAddress,
    /// Failed logins of a name from anywhere (429 instead of 401).
    LoginName,
    /// Requests of a user (429).
    User,
    /// Bytes of a body (413).
    Body,
    /// Bytes of all bodies together (503).
    Bodies,
    /// Time of a body (408).
    BodyTime,
    /// Bytes or lines of a request's head (431, 414).
    Head,
    /// Requests that HTTP/1.1 forbids, or this server does not take (400, 415, 501).
    Request,
    /// Time of a request (503).
    RequestTime,
    /// Passwords that wait to be hashed (503).
    Passwords,
    /// Logins that end at once (503).
    Endings,
    /// The store does not answer (503).
    Store,
    /// The disk is below its reserve (503).
    Disk,
    /// Connections at once: those accepted only after another had ended.
    Connections,
}

const NAMES: [(Bound, &str); 14] = [
    (Bound::LoginAddress, "login_address"),
    (Bound::LoginName, "login_name"),
    (Bound::User, "user"),
    (Bound::Body, "body_bytes"),
    (Bound::Bodies, "bodies_bytes"),
    (Bound::BodyTime, "body_time"),
    (Bound::Head, "head_bytes"),
    (Bound::Request, "request_form"),
    (Bound::RequestTime, "request_time"),
    (Bound::Passwords, "passwords"),
    (Bound::Endings, "logins_ending"),
    (Bound::Store, "store"),
    (Bound::Disk, "disk"),
    (Bound::Connections, "connections"),
];

/// Refusals by bound.
#[derive(Debug, Default)]
pub struct Counts([AtomicU64; NAMES.len()]);

impl Counts {
    pub(crate) fn add(&self, bound: Option<Bound>) {
        if let Some(bound) = bound {
            self.0[bound as usize].fetch_add(1, Ordering::Relaxed);
        }
    }

    /// `text`, in the OpenMetrics format, with these counts before its end.
    #[must_use]
    pub fn within(&self, text: &str) -> String {
        const END: &str = "# EOF\n";
        let (before, end) = text.strip_suffix(END).map_or((text, ""), |before| (before, END));
        let mut out = format!(
            "{before}# HELP rookery_http_refused Requests that a bound refused, and connections that waited for a place.\n\
             # TYPE rookery_http_refused counter\n"
        );
        for ((_, name), count) in NAMES.iter().zip(&self.0) {
            let count = count.load(Ordering::Relaxed);
            writeln!(out, "rookery_http_refused_total{{bound=\"{name}\"}} {count}").expect("a string takes all");
        }
        out + end
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_bound_has_its_own_name_and_place() {
        for (place, (bound, name)) in NAMES.into_iter().enumerate() {
            assert_eq!(bound as usize, place, "{name}");
            let counts = Counts::default();
            counts.add(Some(bound));
            let text = counts.within("x 1\n# EOF\n");
            assert!(text.starts_with("x 1\n# HELP") && text.ends_with("} 0\n# EOF\n") == (place < 13), "{text}");
            assert_eq!(text.matches("} 1\n").count(), 1, "{text}");
            assert!(text.contains(&format!("rookery_http_refused_total{{bound=\"{name}\"}} 1\n")), "{text}");
        }
    }
}
