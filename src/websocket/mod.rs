//! RFC 6455 framing without any I/O: bytes in, messages out, and the other way round. The server's side, and for links to
//! other exchanges the client's.
//!
//! The shell reads sockets and writes them; this folder only says what the bytes mean. No socket, clock, task or
//! lock may appear here, and no meaning of a message's content beyond "text is UTF-8".
//! Invariant: whatever a peer sends, memory grows only with bytes really received, work only with bytes offered,
//! and the result never depends on how the stream was cut into reads.

mod carried;
mod close;
mod decoder;
pub mod encoder;
pub mod fuzz;
pub mod handshake;
mod head;
mod mask;
mod message;
pub mod origin;
mod partial;
#[cfg(test)]
mod testing;
pub mod upgrade;
mod violation;

pub use carried::Carried;
pub use close::CloseCode;
pub use decoder::{Decoder, Incoming, Limits, Sender, Step};
pub use mask::Masks;
pub use message::Message;
pub use violation::Violation;

/// The two kinds of data message. SystemX treats them alike on input and always sends text (spec section 1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MessageKind {
    /// UTF-8 text.
    Text,
    /// Any bytes.
    Binary,
}

/// Largest payload of a ping, pong or close frame, in bytes (RFC 6455 section 5.5).
pub const CONTROL_PAYLOAD_LEN_MAX: usize = 125;
