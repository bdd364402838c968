//! Faults in a peer's frames, and the code that each closes with.

use crate::CloseCode;

/// The peer's fault, each of which ends the connection with [`Fault::close_code`].
///
/// The decoder has dropped what it held and the input has been emptied; the decoder is not to be used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// A bit that only an extension may set; none was negotiated.
    #[error("a reserved bit is set and no extension was negotiated")]
    ReservedBit,
    /// Opcodes 3 to 7 and 11 to 15 have no meaning.
    #[error("opcode {0} is not defined")]
    UnknownOpcode(u8),
    /// A client must mask.
    #[error("a client's frame is not masked")]
    Unmasked,
    /// A server must not mask.
    #[error("a server's frame is masked")]
    Masked,
    /// Control frames come in one piece.
    #[error("a control frame is fragmented")]
    ControlFragmented,
    /// Control frames are short.
    #[error("a control frame has {len_bytes} bytes of payload, the limit is 125")]
    ControlTooLong {
        /// As declared in the header.
        len_bytes: u64,
    },
    /// The length was not written in the fewest bytes, or has its top bit set.
    #[error("the frame length {len_bytes} is not encoded as RFC 6455 demands")]
    LengthEncoding {
        /// As declared in the header.
        len_bytes: u64,
    },
    /// A continuation without a beginning.
    #[error("a continuation frame outside of a fragmented message")]
    ContinuationUnexpected,
    /// A new message inside a fragmented one.
    #[error("a new message begins inside a fragmented one")]
    ContinuationExpected,
    /// A close payload of one byte has half a code.
    #[error("a close frame with one byte of payload")]
    CloseHalfCode,
    /// Codes that must not stand in a close frame.
    #[error("close code {0} must not be sent")]
    CloseCodeInvalid(u16),
    /// A text message or a close reason; reported at the first byte that cannot belong to UTF-8.
    #[error("text is not UTF-8")]
    NotUtf8,
    /// Reported at the header that passes the limit, before the payload is taken in.
    #[error("a message of at least {len_bytes} bytes, the limit is {limit_bytes}")]
    MessageTooBig {
        /// What had been announced up to this header.
        len_bytes: u64,
        /// [`Rules::message_bytes_max`](crate::Rules::message_bytes_max).
        limit_bytes: u32,
    },
}

impl Fault {
    /// The code to close with: 1002, 1007 or 1009.
    pub fn close_code(&self) -> CloseCode {
        match self {
            Fault::ReservedBit
            | Fault::UnknownOpcode(_)
            | Fault::Unmasked
            | Fault::Masked
            | Fault::ControlFragmented
            | Fault::ControlTooLong { .. }
            | Fault::LengthEncoding { .. }
            | Fault::ContinuationUnexpected
            | Fault::ContinuationExpected
            | Fault::CloseHalfCode
            | Fault::CloseCodeInvalid(_) => CloseCode::PROTOCOL,
            Fault::NotUtf8 => CloseCode::INVALID_TEXT,
            Fault::MessageTooBig { .. } => CloseCode::TOO_BIG,
        }
    }
}
