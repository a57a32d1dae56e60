//! Who may use the admin listener, and from where: tokens, the names by which it is called, and the pages that ask.
//!
//! A browser lets any page send requests to this machine; what such a page cannot choose are the headers `Host` and `Origin`.
//! A name that leads here only because somebody else's name server says so (DNS rebinding) is refused, and so is whatever
//! changes something and comes from another page. Nothing is ever allowed to other origins. On headers only; pure.

use std::net::{IpAddr, Ipv6Addr};

use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST, HeaderMap, HeaderValue, ORIGIN};
use ring::digest::{SHA256, digest};
use subtle::ConstantTimeEq as _;

/// Why a request is turned down.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Denial {
    /// There is no token, or it is another.
    Token,
    /// It is called by a name that is none of its own.
    Host,
    /// A page of another origin asks.
    Origin,
    /// What changes something has to be JSON, which no page can send elsewhere without being asked first.
    ContentType,
}

/// Who may come in.
#[derive(Debug)]
pub struct Access {
    /// SHA-256 of the token: compared in constant time whatever its length is, and nothing can print it.
    token: Option<[u8; 32]>,
    /// In lower case.
    hosts: Box<[Box<str>]>,
}

impl Access {
    /// With this token, if there is one, and these names besides localhost and addresses, in lower case.
    pub fn new(token: Option<&str>, hosts: Box<[Box<str>]>) -> Self {
        Self { token: token.map(hash), hosts }
    }

    /// What holds for every request: the name by which this listener is called.
    ///
    /// # Errors
    /// If it is none of its own, or there are several.
    pub fn check_host(&self, headers: &HeaderMap) -> Result<(), Denial> {
        let mut hosts = headers.get_all(HOST).iter();
        let (Some(host), None) = (hosts.next(), hosts.next()) else { return Err(Denial::Host) };
        let host = host.to_str().map_err(|_| Denial::Host)?;
        if self.is_own(name_of(host)) { Ok(()) } else { Err(Denial::Host) }
    }

    /// Whoever asks has shown the token, or there is none.
    ///
    /// # Errors
    /// If not.
    pub fn check_token(&self, headers: &HeaderMap) -> Result<(), Denial> {
        let Some(wanted) = &self.token else { return Ok(()) };
        let shown = headers.get(AUTHORIZATION).and_then(bearer).map(hash).ok_or(Denial::Token)?;
        if bool::from(shown.ct_eq(wanted)) { Ok(()) } else { Err(Denial::Token) }
    }

    /// What holds for requests that change something.
    ///
    /// # Errors
    /// If another page may have sent it.
    pub fn check_action(&self, headers: &HeaderMap) -> Result<(), Denial> {
        let kind = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let kind = kind.split(';').next().unwrap_or_default().trim();
        if !kind.eq_ignore_ascii_case("application/json") {
            return Err(Denial::ContentType);
        }
        let Some(origin) = headers.get(ORIGIN) else { return Ok(()) };
        let host = headers.get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
        let origin = origin.to_str().unwrap_or_default();
        let origin = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"));
        match origin {
            Some(origin) if !host.is_empty() && origin.eq_ignore_ascii_case(host) => Ok(()),
            _ => Err(Denial::Origin),
        }
    }

    fn is_own(&self, name: &str) -> bool {
        let bare = name.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
        let is_address = match bare {
            Some(bare) => bare.parse::<Ipv6Addr>().is_ok(),
            None => name.parse::<IpAddr>().is_ok_and(|ip| ip.is_ipv4()),
        };
        let name = name.to_ascii_lowercase();
        is_address || name == "localhost" || self.hosts.iter().any(|own| **own == name)
    }
}

fn hash(token: &str) -> [u8; 32] {
    let mut bytes = [0; 32];
    bytes.copy_from_slice(digest(&SHA256, token.as_bytes()).as_ref());
    bytes
}

fn bearer(value: &HeaderValue) -> Option<&str> {
    let (scheme, token) = value.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// `Host` without its port.
fn name_of(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) && !is_cut_v6(name) => name,
        _ => host,
    }
}

/// Whether the colon was one of the address's own.
fn is_cut_v6(name: &str) -> bool {
    name.starts_with('[') && !name.ends_with(']')
}

#[cfg(test)]
mod tests {
    use hyper::header::HeaderName;

    use super::*;

    fn headers(given: &[(HeaderName, &str)]) -> HeaderMap {
        given.iter().map(|(name, value)| (name.clone(), value.parse().unwrap())).collect()
    }

    #[test]
    fn only_own_names_and_addresses_are_answered() {
        let access = Access::new(None, Box::new(["console.corp.test".into()]));
        let is_let_in = |host: &str| access.check_host(&headers(&[(HOST, host)])).is_ok();
        for host in [
            "localhost",
            "localhost:8081",
            "LocalHost:1",
            "127.0.0.1:8081",
            "10.1.2.3",
            "[::1]:8081",
            "[::1]",
            "console.corp.test",
            "Console.Corp.Test:443",
        ] {
            assert!(is_let_in(host), "{host}");
        }
        for host in [
            "evil.test",
            "evil.test:8081",
            "127.0.0.1.evil.test",
            "localhost.evil.test:8081",
            "",
            "localhost:80x",
            "[::1",
            "::1",
            "corp.test",
            "localhost.",
            "127.1",
            "0x7f000001",
        ] {
            assert!(!is_let_in(host), "{host}");
        }
        assert_eq!(access.check_host(&HeaderMap::new()), Err(Denial::Host));
        let mut twice = headers(&[(HOST, "localhost")]);
        twice.append(HOST, "evil.test".parse().unwrap());
        assert_eq!(access.check_host(&twice), Err(Denial::Host));
    }

    #[test]
    fn the_token_is_needed_if_there_is_one() {
        let shown = |value: &str| headers(&[(AUTHORIZATION, value)]);
        let open = Access::new(None, Box::default());
        assert_eq!(open.check_token(&HeaderMap::new()), Ok(()));
        let access = Access::new(Some("a-token-of-length"), Box::default());
        assert_eq!(access.check_token(&shown("Bearer a-token-of-length")), Ok(()));
        assert_eq!(access.check_token(&shown("bearer  a-token-of-length")), Ok(()));
        for wrong in
            ["Bearer", "Bearer ", "Bearer a-token-of-lengt", "Basic a-token-of-length", "a-token-of-length"]
        {
            assert_eq!(access.check_token(&shown(wrong)), Err(Denial::Token), "{wrong}");
        }
        assert_eq!(access.check_token(&HeaderMap::new()), Err(Denial::Token));
        assert!(!format!("{access:?}").contains("a-token"));
    }

    #[test]
    fn what_changes_something_is_json_from_no_other_page() {
        let access = Access::new(None, Box::default());
        let check = |kind: &str, origin: Option<&str>| {
            let origin = origin.map(|origin| (ORIGIN, origin));
            let given = [(HOST, "localhost:8081"), (CONTENT_TYPE, kind)].into_iter().chain(origin);
            access.check_action(&headers(&given.collect::<Vec<_>>()))
        };
        assert_eq!(check("application/json", None), Ok(()));
        assert_eq!(check("Application/JSON; charset=utf-8", Some("http://localhost:8081")), Ok(()));
        for kind in ["text/plain", "", "application/x-www-form-urlencoded", "application/jsonp"] {
            assert_eq!(check(kind, None), Err(Denial::ContentType), "{kind}");
        }
        for origin in
            ["http://evil.test", "null", "http://localhost", "http://localhost:8080", "localhost:8081"]
        {
            assert_eq!(check("application/json", Some(origin)), Err(Denial::Origin), "{origin}");
        }
    }
}
