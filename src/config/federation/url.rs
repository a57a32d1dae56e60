//! The URL of another exchange, taken apart once. Its query may hold a token, so no way of printing shows it.

use std::fmt;

use url::{Host, Url};

const PORT_OF_WS: u16 = 80;
const PORT_OF_WSS: u16 = 443;

/// A checked `ws://` or `wss://` URL.
#[derive(Clone, PartialEq, Eq)]
pub struct PeerUrl {
    /// Whether it is spoken to through TLS.
    pub is_secure: bool,
    /// A name or an address, the latter without brackets.
    pub host: Box<str>,
    /// Given or usual.
    pub port: u16,
    /// The host as it stands in a URL, in brackets if it is an IPv6 address.
    bracketed: Box<str>,
    path: Box<str>,
    query: Option<Box<str>>,
}

/// Why a text is no such URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UrlFault {
    /// No URL at all.
    Unreadable,
    /// Neither `ws` nor `wss`.
    Scheme,
    /// It holds a user or a password, which would reach logs; there is a place for tokens.
    Credentials,
}

impl fmt::Display for UrlFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unreadable => "not a URL",
            Self::Scheme => "the URL must begin with ws:// or wss://",
            Self::Credentials => "the URL must not hold a user or a password; give a token as auth",
        })
    }
}

impl PeerUrl {
    /// Takes a URL apart.
    ///
    /// # Errors
    /// If it is none that can be called.
    pub fn parse(text: &str) -> Result<Self, UrlFault> {
        let url = Url::parse(text.trim()).map_err(|_| UrlFault::Unreadable)?;
        let is_secure = match url.scheme() {
            "ws" => false,
            "wss" => true,
            _ => return Err(UrlFault::Scheme),
        };
        if !url.username().is_empty() || url.password().is_some() {
            return Err(UrlFault::Credentials);
        }
        let host = url.host().ok_or(UrlFault::Unreadable)?;
        let bracketed = host.to_string().into();
        let host = match host {
            Host::Domain(name) => name.into(),
            Host::Ipv4(address) => address.to_string().into(),
            Host::Ipv6(address) => address.to_string().into(),
        };
        let port = url.port().unwrap_or(if is_secure { PORT_OF_WSS } else { PORT_OF_WS });
        let (path, query) = (url.path().into(), url.query().map(Box::from));
        Ok(Self { is_secure, host, port, bracketed, path, query })
    }

    /// Host and port, as the name of a link has them.
    pub fn authority(&self) -> String {
        format!("{}:{}", self.bracketed, self.port)
    }

    /// The value of a `Host` header: the usual port is left out, as browsers do.
    pub fn host_header(&self) -> String {
        let usual = if self.is_secure { PORT_OF_WSS } else { PORT_OF_WS };
        if self.port == usual { self.bracketed.to_string() } else { self.authority() }
    }

    /// What is asked for: path and query. May hold a secret.
    pub fn target(&self) -> String {
        self.query.as_ref().map_or_else(|| self.path.to_string(), |query| format!("{}?{query}", self.path))
    }
}

impl fmt::Display for PeerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.is_secure { "wss" } else { "ws" };
        write!(f, "{scheme}://{}{}", self.authority(), self.path)
    }
}

impl fmt::Debug for PeerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_taken_apart_and_shown_without_what_may_be_secret() {
        let url = PeerUrl::parse("wss://Parent.test/up?token=s3cret").expect("it is fine");
        assert_eq!((url.is_secure, &*url.host, url.port), (true, "parent.test", 443));
        assert_eq!(
            (url.authority().as_str(), url.target().as_str()),
            ("parent.test:443", "/up?token=s3cret")
        );
        assert_eq!(format!("{url} {url:?}"), "wss://parent.test:443/up wss://parent.test:443/up");
        assert_eq!(url.host_header(), "parent.test");
        let url = PeerUrl::parse("ws://[::1]:8080").expect("it is fine");
        assert_eq!(url.host_header(), "[::1]:8080");
        let url = PeerUrl::parse("ws://[::1]").expect("it is fine");
        assert_eq!((&*url.host, url.authority().as_str(), url.target().as_str()), ("::1", "[::1]:80", "/"));
    }

    #[test]
    fn what_cannot_be_called_is_refused() {
        for (text, fault) in [
            ("", UrlFault::Unreadable),
            ("parent.test", UrlFault::Unreadable),
            ("ws://", UrlFault::Unreadable),
            ("ws://parent.test:99999", UrlFault::Unreadable),
            ("http://parent.test", UrlFault::Scheme),
            ("parent.test:8080", UrlFault::Scheme),
            ("ws://user:s3cret@parent.test", UrlFault::Credentials),
        ] {
            assert_eq!(PeerUrl::parse(text), Err(fault), "{text}");
        }
    }
}
