//! What proxies say about the connections they pass on: PROXY protocol headers and HTTP's forwarded headers.
//!
//! Pure functions on bytes: no socket, no clock, no setting. Whether the one who says it is believed is asked of
//! [`Networks`]; who reads the bytes is the shell's affair.
//! Invariant: whatever the bytes are, parsing returns, and never claims a byte that is not the header's.

pub mod forwarded;
pub mod fuzz;
mod networks;
mod v1;
mod v2;

use std::fmt;
use std::net::SocketAddr;

pub use networks::Networks;
pub use v2::LOCAL_HEADER;

/// Most bytes of a header. The largest addresses take 232 bytes; the rest is for extensions (TLVs: a host name, the subject
/// of a certificate, a cloud's endpoint id). nginx allows 4096 as well.
pub const HEADER_LEN_MAX: usize = 4096;

/// A PROXY protocol header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Its length in bytes; what comes after belongs to TLS or HTTP.
    pub len: usize,
    /// Where the connection comes from; `None` if the proxy speaks for itself (health checks), or does not know.
    pub source: Option<SocketAddr>,
}

/// Why bytes are no PROXY protocol header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Malformed {
    /// They do not begin as one.
    NoHeader,
    /// It is longer than it may be.
    TooLong,
    /// Its version, command, or kind of address is none that is served.
    Unsupported,
    /// Its addresses cannot be read.
    Addresses,
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoHeader => "it does not begin with a PROXY protocol header",
            Self::TooLong => "its PROXY protocol header is too long",
            Self::Unsupported => {
                "its PROXY protocol header has an unknown version, command or kind of address"
            }
            Self::Addresses => "its PROXY protocol header has unreadable addresses",
        })
    }
}

impl std::error::Error for Malformed {}

/// The header that a stream begins with, version 1 or 2. `None`: it is not complete, and all of `bytes` belongs to it.
///
/// # Errors
/// If it is none, or not one that is served. That is said as early as the bytes show it.
pub fn parse(bytes: &[u8]) -> Result<Option<Header>, Malformed> {
    match bytes.first() {
        None => Ok(None),
        Some(&v2::FIRST) => v2::parse(bytes),
        Some(_) => v1::parse(bytes),
    }
}
