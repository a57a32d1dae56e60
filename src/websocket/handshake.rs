//! Whether an HTTP request is a good WebSocket upgrade (RFC 6455 section 4.2, spec section 1), and what to answer.
//!
//! Pure: the HTTP library parses the request and sends the answer; any path and query is accepted, and no extension
//! is ever negotiated.
//! Invariant: what is accepted can be answered by a 101 that every conforming client takes.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha1::{Digest, Sha1};

/// Appended to the client's key before hashing (RFC 6455 section 1.3).
const ACCEPT_GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
/// A key's length once decoded, in bytes.
const KEY_LEN: usize = 16;
/// The only version there is.
const VERSION: &[u8] = b"13";

/// The request line's part that matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HttpVersion {
    /// HTTP/1.0 or older: cannot be upgraded.
    Before11,
    /// HTTP/1.1 or newer.
    Since11,
}

/// A good upgrade request's answer: status 101 with these headers besides `Upgrade` and `Connection`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// Value of `Sec-WebSocket-Accept`.
    pub accept: String,
    /// Value of `Sec-WebSocket-Protocol`, the first one offered, if any was.
    pub subprotocol: Option<String>,
}

/// Why a request is not upgraded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// It asks for no WebSocket at all.
    NoUpgrade,
    /// It asks for a version other than 13, or for none.
    Version,
    /// Not a GET.
    Method,
    /// Older than HTTP/1.1.
    Http,
    /// No `Host`, or several.
    Host,
    /// `Connection` does not contain `upgrade`.
    Connection,
    /// No `Sec-WebSocket-Key`, several, or not 16 bytes in base64.
    Key,
    /// The first offered subprotocol cannot be a header's value.
    Subprotocol,
    /// It comes from a page of an origin that is not allowed (RFC 6455 section 4.2.2).
    Origin,
    /// The client's address has as many connections as it may have.
    Crowded,
}

impl Refusal {
    /// The HTTP status: 426 if a proper upgrade would help, 403 and 429 if this client may not, 400 if the attempt is
    /// malformed.
    pub const fn status(self) -> u16 {
        match self {
            Self::NoUpgrade | Self::Version => 426,
            Self::Origin => 403,
            Self::Crowded => 429,
            Self::Method | Self::Http | Self::Host | Self::Connection | Self::Key | Self::Subprotocol => 400,
        }
    }

    /// The body, as text/plain.
    pub const fn body(self) -> &'static str {
        match self {
            Self::NoUpgrade => "Upgrade Required",
            Self::Version => "Sec-WebSocket-Version must be 13",
            Self::Method => "WebSocket upgrade must be a GET request",
            Self::Http => "WebSocket upgrade needs HTTP/1.1",
            Self::Host => "WebSocket upgrade needs exactly one Host header",
            Self::Connection => "Connection header must contain upgrade",
            Self::Key => "Sec-WebSocket-Key must be one value of 16 bytes in base64",
            Self::Subprotocol => "Sec-WebSocket-Protocol must start with a printable name",
            Self::Origin => "The Origin of this page is not among the origins that this exchange allows",
            Self::Crowded => "There are too many connections from this address",
        }
    }

    /// A header the answer needs beyond its content's.
    pub const fn header(self) -> Option<(&'static str, &'static str)> {
        match self {
            Self::NoUpgrade => Some(("upgrade", "websocket")),
            Self::Version => Some(("sec-websocket-version", "13")),
            Self::Method
            | Self::Http
            | Self::Host
            | Self::Connection
            | Self::Key
            | Self::Subprotocol
            | Self::Origin
            | Self::Crowded => None,
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.body())
    }
}

impl std::error::Error for Refusal {}

/// Judges a request by its method, version and headers, given as (name, value) in order; names in any case.
pub fn check<'h>(
    method: &str,
    version: HttpVersion,
    headers: impl IntoIterator<Item = (&'h str, &'h [u8])>,
) -> Result<Accepted, Refusal> {
    let offer = Offer::gather(headers);
    let rules = [
        (offer.upgrade, Refusal::NoUpgrade),
        (method == "GET", Refusal::Method),
        (version == HttpVersion::Since11, Refusal::Http),
        (offer.host.count == 1, Refusal::Host),
        (offer.connection, Refusal::Connection),
        (offer.version.only() == Some(VERSION), Refusal::Version),
    ];
    if let Some((_, refusal)) = rules.into_iter().find(|(holds, _)| !holds) {
        return Err(refusal);
    }
    let key = offer.key.only().filter(|key| is_key(key)).ok_or(Refusal::Key)?;
    Ok(Accepted { accept: accept(key), subprotocol: offer.subprotocol.map(printable).transpose()? })
}

/// What the headers say about an upgrade.
#[derive(Default)]
struct Offer<'h> {
    upgrade: bool,
    connection: bool,
    host: Single<'h>,
    version: Single<'h>,
    key: Single<'h>,
    subprotocol: Option<&'h [u8]>,
}

impl<'h> Offer<'h> {
    fn gather(headers: impl IntoIterator<Item = (&'h str, &'h [u8])>) -> Self {
        let mut offer = Self::default();
        headers.into_iter().for_each(|(name, value)| offer.note(name, value));
        offer
    }

    fn note(&mut self, name: &str, value: &'h [u8]) {
        let is = |known: &str| name.eq_ignore_ascii_case(known);
        if is("upgrade") {
            self.upgrade |= has_token(value, b"websocket");
        } else if is("connection") {
            self.connection |= has_token(value, b"upgrade");
        } else if is("host") {
            self.host.note(value);
        } else if is("sec-websocket-version") {
            self.version.note(value);
        } else if is("sec-websocket-key") {
            self.key.note(value);
        } else if is("sec-websocket-protocol") && self.subprotocol.is_none() {
            self.subprotocol = tokens(value).next();
        }
    }
}

/// A header that must be there once.
#[derive(Default)]
struct Single<'h> {
    count: usize,
    value: &'h [u8],
}

impl<'h> Single<'h> {
    fn note(&mut self, value: &'h [u8]) {
        self.count += 1;
        self.value = value.trim_ascii();
    }

    fn only(&self) -> Option<&'h [u8]> {
        (self.count == 1).then_some(self.value)
    }
}

/// The non-empty members of a comma-separated list.
fn tokens(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|&byte| byte == b',').map(<[u8]>::trim_ascii).filter(|token| !token.is_empty())
}

pub(super) fn has_token(value: &[u8], wanted: &[u8]) -> bool {
    tokens(value).any(|token| token.eq_ignore_ascii_case(wanted))
}

fn is_key(key: &[u8]) -> bool {
    STANDARD.decode(key).is_ok_and(|decoded| decoded.len() == KEY_LEN)
}

/// What a server proves with that it has read a key.
pub(super) fn accept(key: &[u8]) -> String {
    STANDARD.encode(Sha1::new().chain_update(key).chain_update(ACCEPT_GUID).finalize())
}

/// Wider than an HTTP token, because clients of the original offer whatever they like and get it echoed.
fn printable(subprotocol: &[u8]) -> Result<String, Refusal> {
    match std::str::from_utf8(subprotocol) {
        Ok(text) if text.bytes().all(|byte| byte.is_ascii_graphic()) => Ok(text.to_owned()),
        Ok(_) | Err(_) => Err(Refusal::Subprotocol),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: [(&str, &str); 5] = [
        ("Host", "localhost"),
        ("Upgrade", "websocket"),
        ("Connection", "keep-alive, Upgrade"),
        ("Sec-WebSocket-Version", "13"),
        ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ];

    fn check_headers(headers: &[(&str, &str)]) -> Result<Accepted, Refusal> {
        check("GET", HttpVersion::Since11, headers.iter().map(|(name, value)| (*name, value.as_bytes())))
    }

    fn without(name: &str) -> Vec<(&str, &str)> {
        GOOD.into_iter().filter(|(known, _)| *known != name).collect()
    }

    fn with<'a>(name: &'a str, value: &'a str) -> Vec<(&'a str, &'a str)> {
        let mut headers = without(name);
        headers.push((name, value));
        headers
    }

    #[test]
    fn the_example_of_the_rfc_is_accepted() {
        let accepted = check_headers(&GOOD).expect("a good request");
        assert_eq!(accepted, Accepted { accept: "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=".into(), subprotocol: None });
    }

    #[test]
    fn names_and_tokens_count_in_any_case_and_among_others() {
        let headers = with("UPGRADE", "h2c, WebSocket");
        assert!(check_headers(&headers).is_ok());
    }

    #[test]
    fn a_plain_request_is_told_to_upgrade() {
        let plain = [("Host", "localhost")];
        let refusal = check_headers(&plain).expect_err("no upgrade");
        assert_eq!((refusal.status(), refusal.body()), (426, "Upgrade Required"));
        assert_eq!(check_headers(&with("Upgrade", "h2c")), Err(Refusal::NoUpgrade));
        let posted = check("POST", HttpVersion::Before11, [("Host", &b"localhost"[..])]);
        assert_eq!(posted, Err(Refusal::NoUpgrade));
    }

    #[test]
    fn another_version_is_answered_with_ours() {
        for headers in [without("Sec-WebSocket-Version"), with("Sec-WebSocket-Version", "8")] {
            let refusal = check_headers(&headers).expect_err("wrong version");
            assert_eq!((refusal.status(), refusal.header()), (426, Some(("sec-websocket-version", "13"))));
        }
    }

    #[test]
    fn method_and_http_version_are_checked() {
        let headers = || GOOD.iter().map(|(name, value)| (*name, value.as_bytes()));
        assert_eq!(check("POST", HttpVersion::Since11, headers()), Err(Refusal::Method));
        assert_eq!(check("GET", HttpVersion::Before11, headers()), Err(Refusal::Http));
        assert_eq!((Refusal::Method.status(), Refusal::Method.header()), (400, None));
    }

    #[test]
    fn exactly_one_host_is_demanded() {
        assert_eq!(check_headers(&without("Host")), Err(Refusal::Host));
        let mut twice = GOOD.to_vec();
        twice.push(("host", "other"));
        assert_eq!(check_headers(&twice), Err(Refusal::Host));
    }

    #[test]
    fn the_connection_header_must_name_the_upgrade() {
        assert_eq!(check_headers(&without("Connection")), Err(Refusal::Connection));
        assert_eq!(check_headers(&with("Connection", "keep-alive")), Err(Refusal::Connection));
        assert_eq!(check_headers(&with("Connection", "upgraded")), Err(Refusal::Connection));
    }

    #[test]
    fn the_key_must_be_one_of_sixteen_bytes() {
        assert_eq!(check_headers(&without("Sec-WebSocket-Key")), Err(Refusal::Key));
        for bad in ["", "dGhlIHNhbXBsZSBub25j", "not base64 at all!!!====", "dGhlIHNhbXBsZSBub25jZWU="] {
            assert_eq!(check_headers(&with("Sec-WebSocket-Key", bad)), Err(Refusal::Key), "{bad}");
        }
        let mut twice = GOOD.to_vec();
        twice.push(GOOD[4]);
        assert_eq!(check_headers(&twice), Err(Refusal::Key));
    }

    #[test]
    fn the_first_offered_subprotocol_is_echoed() {
        let mut headers = with("Sec-WebSocket-Protocol", " , chat.v2 , chat.v1");
        headers.push(("Sec-WebSocket-Protocol", "other"));
        let accepted = check_headers(&headers).expect("a good request");
        assert_eq!(accepted.subprotocol.as_deref(), Some("chat.v2"));
        assert_eq!(check_headers(&with("Sec-WebSocket-Protocol", "a b")), Err(Refusal::Subprotocol));
    }
}
