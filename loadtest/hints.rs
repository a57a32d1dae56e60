//! What to do about errors that keep clients from getting in, for people who meet them the first time.
//!
//! Words only: which error it was has been found out elsewhere. Invariant: a hint never stands in place of the error.

/// A part of an error's name, and what to do about it; the first that fits is told.
const HINTS: &[(&str, &str)] = &[
    (
        "auth_failed",
        "the server has rules: show a token that opens these addresses, with --token or --token-file",
    ),
    (
        "UnknownIssuer",
        "nobody who is trusted vouches for the server's certificate: give --ca the file of who does",
    ),
    ("BadSignature", "the server's certificate is not the one in --ca, or not of the authority in it"),
    (
        "CaUsedAsEndEntity",
        "the server shows the certificate of an authority as its own: make it with basicConstraints=CA:FALSE, \
         or sign one with it",
    ),
    ("not valid for name", "use the name in --url that the certificate is for"),
    ("Expired", "the server's certificate is too old: renew it"),
    ("InvalidContentType", "the server seems not to speak TLS there: use ws://"),
    ("tls:", "wss:// needs a server that speaks TLS there"),
    ("upgrade:401", "the server wants a token in the handshake: --token-in handshake"),
    ("upgrade:403", "the server refuses clients from here: see its lists of allowed origins and addresses"),
    ("upgrade:404", "the server has no WebSocket at this path"),
    ("upgrade:429", "the server limits connections from one address"),
    ("upgrade:503", "the server has as many connections as it takes"),
    ("upgrade:timeout", "the server does not answer: it may be at its limit of open files; its log says so"),
    ("invalid_address", "the server does not take these addresses: another --name-domain"),
    ("upgrade:no HTTP", "this is no WebSocket server"),
    (
        "upgrade:",
        "is it a WebSocket server, and perhaps one that speaks TLS (wss://)? If it has reached a limit, its log says so",
    ),
    ("address_in_use", "somebody else has these addresses: choose another --name-domain"),
    (
        "rate_limited",
        "the server limits how often a line may dial; start it with SYSTEMX_DIAL_MAX_ATTEMPTS=0 to lift that",
    ),
    (
        "no_port_left",
        "no source port is left: repeat --url with further addresses of the server, or wait a minute",
    ),
    (
        "connect:timeout",
        "the server does not take connections fast enough: fewer --connects, or a longer backlog there",
    ),
];

/// What to do about these errors, if that is known.
pub fn hint(errors: &str) -> Option<&'static str> {
    HINTS.iter().find(|(part, _)| errors.contains(part)).map(|&(_, hint)| hint)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_closest_hint_is_given() {
        assert!(hint("register:auth_failed 3").is_some_and(|hint| hint.contains("--token-file")));
        assert!(
            hint("tls:invalid peer certificate: UnknownIssuer 9").is_some_and(|hint| hint.contains("--ca"))
        );
        assert!(hint("upgrade:closed 4").is_some_and(|hint| hint.contains("wss://")));
        assert_eq!(hint("register:strange 1"), None);
    }
}
