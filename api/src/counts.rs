//! Counts of what HTTP's bounds refuse, for `/metrics`.
//!
//! Owns one number for each bound, and their text. Every refusal of a bound is counted where it is answered.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};

macro_rules! bounds {
    ($($(#[$doc:meta])* $bound:ident = $name:literal,)*) => {
        /// A bound that refuses requests, or keeps connections waiting.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(crate) enum Bound { $($(#[$doc])* $bound,)* }

        /// Names of the bounds in `/metrics`, in their order.
        const NAMES: &[&str] = &[$($name),*];
    };
}

bounds! {
    /// Failed logins of a name from one address (429).
    LoginAddress = "login_address",
    /// Failed logins of a name from anywhere (429 instead of 401).
    LoginName = "login_name",
    /// Requests of a user (429).
    User = "user",
    /// Posts of a user (429).
    Posts = "posts",
    /// Bytes of a body (413).
    Body = "body_bytes",
    /// Bytes of all bodies together (503).
    Bodies = "bodies_bytes",
    /// Uploads at once, of a user or of all (503).
    Uploads = "uploads",
    /// Time of a body (408).
    BodyTime = "body_time",
    /// Bytes or lines of a request's head (431, 414).
    Head = "head_bytes",
    /// Requests that HTTP/1.1 forbids, or this server does not take (400, 415, 501).
    Request = "request_form",
    /// Time of a request (503).
    RequestTime = "request_time",
    /// Passwords that wait to be hashed (503).
    Passwords = "passwords",
    /// Requests that follow events at once (503).
    Followers = "followers",
    /// Logins that end at once (503).
    Endings = "logins_ending",
    /// The store does not answer (503).
    Store = "store",
    /// The disk is below its reserve (503).
    Disk = "disk",
    /// Connections at once: those accepted only after another had ended.
    Connections = "connections",
    /// Pages of origins that are not allowed, whose browsers asked whether they may (405).
    Origin = "origin",
}

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
        for (name, count) in NAMES.iter().zip(&self.0) {
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
    fn counts_stand_before_the_end_of_the_text() {
        let counts = Counts::default();
        counts.add(Some(Bound::Origin));
        counts.add(None);
        let text = counts.within("x 1\n# EOF\n");
        assert!(text.starts_with("x 1\n# HELP") && text.ends_with("{bound=\"origin\"} 1\n# EOF\n"), "{text}");
        assert_eq!(text.matches("} 0\n").count(), NAMES.len() - 1, "{text}");
    }
}
