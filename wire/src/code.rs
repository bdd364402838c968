//! Opcodes and close codes: the two small number spaces of RFC 6455.

use std::fmt;

use tungstenite::protocol::frame::coding::{Control, Data, OpCode};

/// The opcode of a frame that we send. Messages are never fragmented on the way out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Opcode {
    /// UTF-8.
    Text,
    /// Any bytes.
    Binary,
    /// Closes this direction; see [`encode_close_into`](crate::encode_close_into).
    Close,
    /// Asks for a pong with the same payload.
    Ping,
    /// Answers a ping.
    Pong,
}

impl Opcode {
    pub(crate) fn to_tungstenite(self) -> OpCode {
        match self {
            Opcode::Text => OpCode::Data(Data::Text),
            Opcode::Binary => OpCode::Data(Data::Binary),
            Opcode::Close => OpCode::Control(Control::Close),
            Opcode::Ping => OpCode::Control(Control::Ping),
            Opcode::Pong => OpCode::Control(Control::Pong),
        }
    }

    /// Whether the payload is limited to 125 bytes and may travel between the fragments of a message.
    pub fn is_control(self) -> bool {
        match self {
            Opcode::Text | Opcode::Binary => false,
            Opcode::Close | Opcode::Ping | Opcode::Pong => true,
        }
    }
}

/// The close code of a close frame.
///
/// Codes from 3000 on belong to the application, which builds them with [`CloseCode::new`].
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct CloseCode(u16);

impl CloseCode {
    /// Done, nothing wrong.
    pub const NORMAL: CloseCode = CloseCode(1000);
    /// The endpoint is leaving.
    pub const GOING_AWAY: CloseCode = CloseCode(1001);
    /// The peer broke RFC 6455.
    pub const PROTOCOL: CloseCode = CloseCode(1002);
    /// A text message was not UTF-8.
    pub const INVALID_TEXT: CloseCode = CloseCode(1007);
    /// A message was larger than this endpoint takes.
    pub const TOO_BIG: CloseCode = CloseCode(1009);

    /// The code as a type, or `None` if it may not stand in a close frame: 1004 to 1006 and 1015, which RFC 6455
    /// reserves, and what IANA's registry does not list below 3000. 1012 to 1014 were registered after the RFC.
    pub const fn new(code: u16) -> Option<CloseCode> {
        match code {
            1000..=1003 | 1007..=1014 | 3000..=4999 => Some(CloseCode(code)),
            _ => None,
        }
    }

    /// The number.
    pub const fn get(self) -> u16 {
        self.0
    }
}

impl fmt::Debug for CloseCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

impl fmt::Display for CloseCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_may_be_sent_exactly_if_it_is_registered_or_an_applications() {
        let mut allowed = Vec::new();
        for code in 0..=u16::MAX {
            let starts = code == 0 || CloseCode::new(code - 1).is_none();
            match CloseCode::new(code) {
                Some(found) if starts => allowed.push((found.get(), code)),
                Some(_) => allowed.last_mut().expect("a range is open").1 = code,
                None => {}
            }
        }
        assert_eq!(allowed, [(1000, 1003), (1007, 1014), (3000, 4999)]);
    }
}
