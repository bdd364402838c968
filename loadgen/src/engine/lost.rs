//! Ends of open connections: why, whose doing it was, and whether a client comes back after it.

use std::io;

use wire::{CloseCode, Fault};

/// Why an open connection ended before we closed it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Lost {
    #[error("the server closed it {}{}{reason}", code_text(*code), if reason.is_empty() { "" } else { ": " })]
    Closed { code: Option<CloseCode>, reason: String },
    #[error("the server closed it without a close frame")]
    End,
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("the server broke the protocol: {0}")]
    Fault(#[from] Fault),
    #[error("{0}")]
    Message(String),
}

fn code_text(code: Option<CloseCode>) -> String {
    code.map_or("without a code".to_owned(), |code| format!("with code {code}"))
}

impl Lost {
    /// What the server is told, if it listens: the code of our close frame.
    pub(super) fn farewell(&self) -> Option<Option<CloseCode>> {
        match self {
            Self::Closed { code, .. } => Some(*code),
            Self::Fault(fault) => Some(Some(fault.close_code())),
            Self::Message(_) => Some(Some(CloseCode::PROTOCOL)),
            Self::End | Self::Io(_) => None,
        }
    }

    /// Whether a client connects again: not after a close code that says otherwise, and not after what should never
    /// happen.
    pub(crate) fn may_come_back(&self) -> bool {
        match self {
            Self::Closed { code: None, .. } | Self::End | Self::Io(_) => true,
            Self::Closed { code: Some(code), .. } => match code.get() {
                // Those of RFC 6455 and IANA that speak of the server alone: 1003 and 1007 to 1010 are of what we sent.
                1000 | 1001 | 1011..=1014 => true,
                code => schema::CloseCode::try_from(code).is_ok_and(schema::CloseCode::may_retry),
            },
            Self::Fault(_) | Self::Message(_) => false,
        }
    }

    /// Whether the node said that it goes away.
    pub(crate) fn is_going_away(&self) -> bool {
        matches!(self, Self::Closed { code: Some(code), .. } if code.get() == u16::from(schema::CloseCode::GoingAway))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_comes_back_unless_the_code_says_otherwise() {
        check("1000 1001 1011 1012 3001 3004 3011 3015", true);
        check("1002 1007 1009 3500 3503 3505 3511 4000", false);
        assert!(Lost::End.may_come_back() && Lost::Closed { code: None, reason: String::new() }.may_come_back());
        assert!(!Lost::Message("it came twice".to_owned()).may_come_back());
    }

    fn check(codes: &str, expected: bool) {
        for code in codes.split(' ') {
            let code = CloseCode::new(code.parse().unwrap());
            assert_eq!(Lost::Closed { code, reason: String::new() }.may_come_back(), expected, "{code:?}");
        }
    }
}
