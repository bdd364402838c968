//! How a fake behaves, changeable while it runs.

use std::fmt;
use std::str::FromStr;

/// What a fake does with requests that are in order. What is not in order is refused whatever the profile.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Profile {
    /// Takes them.
    #[default]
    Ok,
    /// Refuses them as too many: 429 with this `Retry-After`.
    Throttle {
        /// Seconds.
        retry_after_s: u32,
    },
    /// Says that the target is no more.
    Gone,
    /// Says that the sender's credentials do not count.
    BadCredentials,
    /// Takes them after a while.
    Slow {
        /// Before each answer.
        ms: u64,
    },
    /// Says nothing, and takes nothing.
    Hang,
    /// Takes them and closes the connection instead of answering: the answer is lost.
    Drop,
    /// Answers one of `one_of` with 503, and takes the others.
    Flaky {
        /// At least 1.
        one_of: u32,
    },
    /// Answers 503.
    Unavailable,
}

/// What is no profile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProfileError;

impl std::error::Error for ProfileError {}

impl fmt::Display for ProfileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "a profile is ok, throttle[:seconds], gone, bad-credentials, slow:ms, hang, drop, flaky:n or unavailable",
        )
    }
}

impl FromStr for Profile {
    type Err = ProfileError;

    fn from_str(text: &str) -> Result<Self, ProfileError> {
        let (word, number) = match text.split_once(':') {
            Some((word, number)) => (word, Some(number.parse::<u32>().map_err(|_| ProfileError)?)),
            None => (text, None),
        };
        match (word, number) {
            ("ok", None) => Ok(Self::Ok),
            ("throttle", seconds) => Ok(Self::Throttle { retry_after_s: seconds.unwrap_or(1) }),
            ("gone", None) => Ok(Self::Gone),
            ("bad-credentials", None) => Ok(Self::BadCredentials),
            ("slow", Some(ms)) => Ok(Self::Slow { ms: ms.into() }),
            ("hang", None) => Ok(Self::Hang),
            ("drop", None) => Ok(Self::Drop),
            ("flaky", Some(one_of @ 1..)) => Ok(Self::Flaky { one_of }),
            ("unavailable", None) => Ok(Self::Unavailable),
            _ => Err(ProfileError),
        }
    }
}

impl fmt::Display for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ok => f.write_str("ok"),
            Self::Throttle { retry_after_s } => write!(f, "throttle:{retry_after_s}"),
            Self::Gone => f.write_str("gone"),
            Self::BadCredentials => f.write_str("bad-credentials"),
            Self::Slow { ms } => write!(f, "slow:{ms}"),
            Self::Hang => f.write_str("hang"),
            Self::Drop => f.write_str("drop"),
            Self::Flaky { one_of } => write!(f, "flaky:{one_of}"),
            Self::Unavailable => f.write_str("unavailable"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_profile_reads_as_it_is_shown() {
        let check = |text: &str, shown: Option<&str>| {
            assert_eq!(text.parse::<Profile>().ok().map(|profile| profile.to_string()).as_deref(), shown, "{text}");
        };
        for text in
            ["ok", "throttle:7", "gone", "bad-credentials", "slow:200", "hang", "drop", "flaky:3", "unavailable"]
        {
            check(text, Some(text));
        }
        check("throttle", Some("throttle:1"));
        for text in ["", "OK", "ok:1", "slow", "slow:x", "flaky", "flaky:0", "gone:", "throttle:-1"] {
            check(text, None);
        }
    }
}
