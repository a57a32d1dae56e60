//! The client's half of the handshake (RFC 6455 section 4.1), for links to other exchanges: a key, and whether an answer to it
//! is a good one.
//!
//! Pure: the HTTP library sends the request and parses the answer, the key's random bytes are given.
//! Invariant: an answer that is let through was made by somebody who has read the key and speaks nothing that was not offered.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::handshake::{accept, has_token};

/// Random bytes of a key.
pub const KEY_BYTES: usize = 16;
/// The status that an upgrade is answered with.
const SWITCHING_PROTOCOLS: u16 = 101;

/// The value of `Sec-WebSocket-Key` of one attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key(String);

/// What is wrong with an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadAnswer {
    /// Another status than 101.
    Status(u16),
    /// It does not say that it is a WebSocket now.
    NoUpgrade,
    /// `Sec-WebSocket-Accept` is missing, there twice, or was not made of our key.
    Accept,
    /// It uses an extension; none was offered.
    Extension,
    /// It chose a subprotocol that was not offered.
    Subprotocol,
}

impl fmt::Display for BadAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status(status) => write!(f, "the upgrade was answered with status {status}"),
            Self::NoUpgrade => f.write_str("the answer is no WebSocket upgrade"),
            Self::Accept => f.write_str("the answer's accept key is wrong"),
            Self::Extension => f.write_str("the answer uses an extension that was not offered"),
            Self::Subprotocol => f.write_str("the answer chose a subprotocol that was not offered"),
        }
    }
}

impl std::error::Error for BadAnswer {}

impl Key {
    /// A key of these bytes; they should be random.
    pub fn new(random: [u8; KEY_BYTES]) -> Self {
        Self(STANDARD.encode(random))
    }

    /// Its value in the request.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Judges an answer by its status and headers, given as (name, value); names in any case. `offered` are the
    /// subprotocols of the request; a server may choose none of them.
    ///
    /// # Errors
    /// If it is no good answer to this key.
    pub fn check<'h>(
        &self,
        status: u16,
        headers: impl IntoIterator<Item = (&'h str, &'h [u8])>,
        offered: &[Box<str>],
    ) -> Result<(), BadAnswer> {
        if status != SWITCHING_PROTOCOLS {
            return Err(BadAnswer::Status(status));
        }
        let (mut upgrade, mut connection, mut accepts) = (false, false, Vec::new());
        for (name, value) in headers {
            match name.to_ascii_lowercase().as_str() {
                "upgrade" => upgrade |= has_token(value, b"websocket"),
                "connection" => connection |= has_token(value, b"upgrade"),
                "sec-websocket-accept" => accepts.push(value.trim_ascii()),
                "sec-websocket-extensions" if !value.trim_ascii().is_empty() => {
                    return Err(BadAnswer::Extension);
                }
                "sec-websocket-protocol" => {
                    let is_offered = offered.iter().any(|name| name.as_bytes() == value.trim_ascii());
                    is_offered.then_some(()).ok_or(BadAnswer::Subprotocol)?;
                }
                _ => {}
            }
        }
        if !upgrade || !connection {
            return Err(BadAnswer::NoUpgrade);
        }
        let is_ours = accepts == [accept(self.0.as_bytes()).as_bytes()];
        is_ours.then_some(()).ok_or(BadAnswer::Accept)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: [(&str, &str); 3] = [
        ("Upgrade", "websocket"),
        ("Connection", "Upgrade"),
        ("Sec-WebSocket-Accept", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="),
    ];

    /// The answer to the key of the RFC's example, with these headers instead or besides.
    fn judge(status: u16, changes: &[(&str, &str)]) -> Result<(), BadAnswer> {
        let key = Key("dGhlIHNhbXBsZSBub25jZQ==".to_owned());
        let is_changed = |name: &str| changes.iter().any(|(changed, _)| *changed == name);
        let kept = GOOD.iter().filter(|(name, _)| !is_changed(name));
        let headers = kept.chain(changes).map(|(name, value)| (*name, value.as_bytes()));
        key.check(status, headers, &["systemx".into(), "other".into()])
    }

    #[test]
    fn the_example_of_the_rfc_is_let_through() {
        assert_eq!(judge(101, &[]), Ok(()));
        assert_eq!(judge(101, &[("Sec-WebSocket-Protocol", "other")]), Ok(()));
        assert_eq!(judge(101, &[("Connection", "keep-alive, upgrade"), ("Upgrade", "WebSocket")]), Ok(()));
    }

    #[test]
    fn whoever_has_not_read_the_key_or_speaks_something_else_is_not() {
        assert_eq!(judge(200, &[]), Err(BadAnswer::Status(200)));
        assert_eq!(judge(403, &[]), Err(BadAnswer::Status(403)));
        assert_eq!(judge(101, &[("Upgrade", "h2c")]), Err(BadAnswer::NoUpgrade));
        assert_eq!(judge(101, &[("Connection", "close")]), Err(BadAnswer::NoUpgrade));
        assert_eq!(judge(101, &[("Sec-WebSocket-Accept", "AAAA")]), Err(BadAnswer::Accept));
        let twice = [("sec-websocket-accept", "AAAA")];
        assert_eq!(judge(101, &twice), Err(BadAnswer::Accept));
        let deflate = [("Sec-WebSocket-Extensions", "permessage-deflate")];
        assert_eq!(judge(101, &deflate), Err(BadAnswer::Extension));
        assert_eq!(judge(101, &[("Sec-WebSocket-Protocol", "chat")]), Err(BadAnswer::Subprotocol));
    }

    #[test]
    fn a_key_is_sixteen_bytes_in_base64() {
        assert_eq!(Key::new(*b"the sample nonce").as_str(), "dGhlIHNhbXBsZSBub25jZQ==");
    }
}
