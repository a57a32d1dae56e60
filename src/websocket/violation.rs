//! Everything a peer can do wrong in framing, with the close code and the words that answer it.
//!
//! Always the peer's fault and always the end of the connection; nothing here is about a message's content.
//! Invariant: the list is closed, so the shell can count violations by name.

use std::fmt;

use super::CloseCode;

/// A breach of RFC 6455 by the peer, or of this server's cap on message size.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Violation {
    /// A client's frame without the mask bit (section 5.1).
    Unmasked,
    /// A server's frame with the mask bit (section 5.1).
    Masked,
    /// A reserved bit is set though no extension was negotiated (5.2).
    ReservedBits,
    /// Opcode 3-7 or 11-15 (5.2).
    ReservedOpcode,
    /// A control frame with more than 125 bytes (5.5).
    ControlTooLong,
    /// A control frame without the FIN bit (5.5).
    ControlFragmented,
    /// A length written in more bytes than it needs (5.2).
    LengthNotMinimal,
    /// A 64-bit length with its top bit set (5.2).
    LengthTopBit,
    /// A continuation frame while no message is open (5.4).
    ContinuationWithoutStart,
    /// A text or binary frame while a fragmented message is open (5.4).
    MessageInsideMessage,
    /// A close frame with a body of one byte (5.5.1).
    CloseBodyOfOneByte,
    /// A close code that may not travel (7.4).
    CloseCodeInvalid,
    /// A text message that is not UTF-8 (8.1).
    TextNotUtf8,
    /// A close reason that is not UTF-8 (5.5.1).
    CloseReasonNotUtf8,
    /// The whole message would exceed [`Limits::message_len_max`](super::Limits::message_len_max).
    MessageTooBig,
}

impl Violation {
    /// The code of the close frame that answers it: 1002, 1007 or 1009.
    pub const fn close_code(self) -> CloseCode {
        match self {
            Self::TextNotUtf8 | Self::CloseReasonNotUtf8 => CloseCode::INVALID_DATA,
            Self::MessageTooBig => CloseCode::TOO_BIG,
            Self::Unmasked
            | Self::Masked
            | Self::ReservedBits
            | Self::ReservedOpcode
            | Self::ControlTooLong
            | Self::ControlFragmented
            | Self::LengthNotMinimal
            | Self::LengthTopBit
            | Self::ContinuationWithoutStart
            | Self::MessageInsideMessage
            | Self::CloseBodyOfOneByte
            | Self::CloseCodeInvalid => CloseCode::PROTOCOL,
        }
    }

    /// The reason text of that close frame, short enough for one.
    pub const fn reason(self) -> &'static str {
        match self {
            Self::Unmasked => "client frame is not masked",
            Self::Masked => "server frame is masked",
            Self::ReservedBits => "reserved bits are set",
            Self::ReservedOpcode => "reserved opcode",
            Self::ControlTooLong => "control frame exceeds 125 bytes",
            Self::ControlFragmented => "control frame is fragmented",
            Self::LengthNotMinimal => "payload length is not minimally encoded",
            Self::LengthTopBit => "payload length has its top bit set",
            Self::ContinuationWithoutStart => "continuation without a started message",
            Self::MessageInsideMessage => "new message inside a fragmented message",
            Self::CloseBodyOfOneByte => "close body of one byte",
            Self::CloseCodeInvalid => "invalid close code",
            Self::TextNotUtf8 => "text message is not UTF-8",
            Self::CloseReasonNotUtf8 => "close reason is not UTF-8",
            Self::MessageTooBig => "message is too big",
        }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.reason())
    }
}

impl std::error::Error for Violation {}
