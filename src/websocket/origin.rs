//! Which web pages may open a connection: the list of origins that an operator allows, and a handshake's `Origin`.
//!
//! Browsers let any page open a WebSocket anywhere, and say which page it is (RFC 6455 section 10.2). Programs send no
//! `Origin` and are not meant. Pure: text in, yes or no out.
//! Invariant: what cannot be read as exactly one origin matches nothing but the list that allows everything.

use std::net::Ipv6Addr;

/// An `Origin` that stands for none: sandboxed frames, pages from files.
const OPAQUE: &str = "null";
/// A whole list that allows everything.
const ANY: &str = "*";
/// What a host with more labels before it begins with.
const WILD_LABELS: &str = "*.";
/// The ports that go without saying.
const DEFAULT_PORTS: [(&str, u16); 4] = [("http", 80), ("https", 443), ("ws", 80), ("wss", 443)];

/// The origins that are allowed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AllowedOrigins {
    /// All of them.
    Any,
    /// These.
    Listed(Vec<Rule>),
}

/// One entry of the list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rule {
    /// `null`.
    Opaque,
    /// This origin.
    Exactly(Origin),
    /// All origins of this scheme and port whose host has one or more labels before this host.
    Below(Origin),
}

/// Scheme, host and port, as they are compared: lower case, an IPv6 address in its short form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    scheme: String,
    host: String,
    /// `None`: the scheme's own, also if it was written.
    port: Option<u16>,
}

impl AllowedOrigins {
    /// Reads a comma list; empty items are skipped, and `*` among them allows everything.
    ///
    /// # Errors
    /// The first item that is no origin.
    pub fn parse(list: &str) -> Result<Self, &str> {
        let items = list.split(',').map(str::trim).filter(|item| !item.is_empty());
        let named = items.clone().filter(|item| *item != ANY);
        let rules = named.map(|item| Rule::parse(item).ok_or(item)).collect::<Result<_, _>>()?;
        Ok(if items.into_iter().any(|item| item == ANY) { Self::Any } else { Self::Listed(rules) })
    }

    /// Whether a handshake with these `Origin` headers may go on. Without any it comes from no browser, and may.
    pub fn allow<'h>(&self, mut headers: impl Iterator<Item = &'h [u8]>) -> bool {
        let Self::Listed(rules) = self else { return true };
        match (headers.next(), headers.next()) {
            (None, _) => true,
            (Some(origin), None) => std::str::from_utf8(origin).is_ok_and(|origin| is_listed(rules, origin)),
            (Some(_), Some(_)) => false,
        }
    }
}

fn is_listed(rules: &[Rule], origin: &str) -> bool {
    if origin == OPAQUE {
        return rules.contains(&Rule::Opaque);
    }
    Origin::parse(origin).is_some_and(|origin| rules.iter().any(|rule| rule.allows(&origin)))
}

impl Rule {
    fn parse(item: &str) -> Option<Self> {
        if item == OPAQUE {
            return Some(Self::Opaque);
        }
        let (scheme, place) = item.split_once("://")?;
        match place.strip_prefix(WILD_LABELS) {
            // An address in brackets has no labels.
            Some(below) if below.starts_with('[') => None,
            Some(below) => Origin::of(scheme, below).map(Self::Below),
            None => Origin::of(scheme, place).map(Self::Exactly),
        }
    }

    fn allows(&self, origin: &Origin) -> bool {
        match self {
            Self::Opaque => false,
            Self::Exactly(allowed) => allowed == origin,
            Self::Below(allowed) => {
                let labels = origin.host.strip_suffix(&allowed.host).and_then(|rest| rest.strip_suffix('.'));
                let is_below = labels.is_some_and(|labels| !labels.is_empty());
                is_below && (&allowed.scheme, allowed.port) == (&origin.scheme, origin.port)
            }
        }
    }
}

impl Origin {
    fn parse(text: &str) -> Option<Self> {
        let (scheme, place) = text.split_once("://")?;
        Self::of(scheme, place)
    }

    /// Of a scheme and what follows it: a host and maybe a port; no path, user or anything else.
    fn of(scheme: &str, place: &str) -> Option<Self> {
        let is_scheme = scheme.starts_with(|first: char| first.is_ascii_alphabetic())
            && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte));
        let scheme = is_scheme.then(|| scheme.to_ascii_lowercase())?;
        let (host, port) = match place.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            Some((ip, behind)) => (format!("[{}]", ip.parse::<Ipv6Addr>().ok()?), behind),
            None => {
                let (host, port) = place.split_at(place.find(':').unwrap_or(place.len()));
                (is_name(host).then(|| host.to_ascii_lowercase())?, port)
            }
        };
        let port = if port.is_empty() { None } else { Some(number(port.strip_prefix(':')?)?) };
        let port = port.filter(|port| !DEFAULT_PORTS.contains(&(scheme.as_str(), *port)));
        Some(Self { scheme, host, port })
    }
}

/// Labels of letters, digits, hyphens and underlines; names in other scripts are written as browsers send them (`xn--`).
fn is_name(host: &str) -> bool {
    let is_label = |label: &str| {
        !label.is_empty() && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
    };
    host.split('.').all(is_label)
}

/// Digits only: `u16` would take a sign.
fn number(digits: &str) -> Option<u16> {
    digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allows(list: &str, origin: &str) -> bool {
        AllowedOrigins::parse(list).unwrap().allow([origin.as_bytes()].into_iter())
    }

    #[test]
    fn scheme_host_and_port_must_be_the_same() {
        assert!(allows("https://app.corp.test", "https://app.corp.test"));
        assert!(allows("https://a.test, http://app.corp.test:8080,", "http://app.corp.test:8080"));
        for other in [
            "http://app.corp.test",
            "https://app.corp.test:8443",
            "https://corp.test",
            "https://x.app.corp.test",
            "https://app.corp.test.evil.test",
            "https://evilapp.corp.test",
            "wss://app.corp.test",
        ] {
            assert!(!allows("https://app.corp.test", other), "{other}");
        }
    }

    #[test]
    fn case_default_ports_and_spellings_of_an_address_make_no_difference() {
        assert!(allows("HTTPS://App.Corp.Test:443", "https://app.corp.test"));
        assert!(allows("https://app.corp.test", "https://APP.corp.test:443"));
        assert!(allows("http://app.corp.test:80", "http://app.corp.test"));
        assert!(!allows("http://app.corp.test:443", "http://app.corp.test"));
        assert!(allows("http://[2001:DB8:0::1]:8080", "http://[2001:db8::1]:8080"));
        assert!(allows("chrome-extension://abcdef", "chrome-extension://abcdef"));
        assert!(allows("http://127.0.0.1:3000,http://localhost:3000", "http://localhost:3000"));
    }

    #[test]
    fn a_wild_card_stands_for_one_or_more_labels() {
        let list = "https://*.corp.test";
        assert!(allows(list, "https://app.corp.test") && allows(list, "https://a.b.corp.test:443"));
        for other in [
            "https://corp.test",
            "https://.corp.test",
            "https://evilcorp.test",
            "http://app.corp.test",
            "https://app.corp.test:8443",
            "https://app.corp.test.evil.test",
        ] {
            assert!(!allows(list, other), "{other}");
        }
        assert!(allows("http://*.corp.test:8080", "http://a.corp.test:8080"));
    }

    #[test]
    fn null_is_allowed_only_if_it_is_listed() {
        assert!(allows("null", "null") && allows("https://a.test,null", "null"));
        assert!(!allows("https://a.test", "null") && !allows("null", "NULL"));
    }

    #[test]
    fn what_is_not_one_origin_is_not_allowed_unless_all_are() {
        for odd in [
            "",
            "https://a.test/",
            "https://a.test https://a.test",
            "a.test",
            "https://u@a.test",
            "https://a.test:",
            "https://*.a.test",
            "*",
        ] {
            assert!(!allows("https://a.test,https://*.a.test", odd), "{odd}");
            assert!(allows("*", odd) && allows("https://b.test,*", odd), "{odd}");
        }
        let listed = AllowedOrigins::parse("https://a.test").unwrap();
        assert!(!listed.allow([&b"https://a.test"[..]; 2].into_iter()), "said twice");
        assert!(!listed.allow([&b"https://a.test\xff"[..]].into_iter()));
    }

    #[test]
    fn who_sends_no_origin_is_no_browser() {
        let listed = AllowedOrigins::parse("https://a.test").unwrap();
        assert!(listed.allow(std::iter::empty()));
    }

    #[test]
    fn what_is_no_origin_is_named() {
        for bad in [
            "a.test",
            "https://a.test/",
            "https://a.test:443/x",
            "https://*",
            "https://a.*.test",
            "https://*a.test",
            "https://*.*.test",
            "https://*.[::1]",
            "https://",
            "://a.test",
            "https://a..test",
            "https://a.test:65536",
            "https://a.test:+1",
            "https://münchen.test",
            "https://[::1",
            "NULL",
        ] {
            assert_eq!(AllowedOrigins::parse(&format!("https://b.test, {bad},*")), Err(bad));
        }
    }
}
