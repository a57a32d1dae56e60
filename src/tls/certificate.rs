//! What a certificate says, as far as the exchange wants to know: until when it is valid, and whose it is.
//!
//! Nothing is checked here. Whoever is believed has been verified by rustls before.

use std::fmt;

use rustls::pki_types::CertificateDer;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer;

/// Most names taken from one certificate; who has more is known by these.
const NAMES_MAX: usize = 64;

/// Days of warning before a certificate ends.
const WARN_DAYS: i64 = 30;
const SECONDS_PER_DAY: i64 = 86_400;

/// From when until when a certificate counts, in seconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Validity {
    from_unix_s: i64,
    until_unix_s: i64,
}

/// How a certificate stands at some time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// Its time has not come.
    Early,
    /// It counts, for so many whole days.
    Good(i64),
    /// It counts, for fewer days than it takes to be sure of a new one.
    Ending(i64),
    /// Its time is over.
    Expired,
}

/// A name that a verified client certificate proves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PeerName {
    /// The common name of the subject (CN).
    CommonName(Box<str>),
    /// An alternative name that is a host's.
    Dns(Box<str>),
    /// An alternative name that is a mail address.
    Email(Box<str>),
    /// An alternative name that is a URI.
    Uri(Box<str>),
}

impl PeerName {
    /// The name as it is written in the certificate.
    pub fn as_str(&self) -> &str {
        match self {
            Self::CommonName(name) | Self::Dns(name) | Self::Email(name) | Self::Uri(name) => name,
        }
    }
}

impl fmt::Display for PeerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Validity {
    /// Of a whole chain: it counts no longer than the first of its certificates does.
    pub(super) fn of(chain: &[CertificateDer<'_>]) -> Result<Self, String> {
        let mut whole = Self { from_unix_s: i64::MIN, until_unix_s: i64::MAX };
        for certificate in chain {
            let (_, parsed) = X509Certificate::from_der(certificate).map_err(|error| error.to_string())?;
            let (from, until) = (parsed.validity().not_before, parsed.validity().not_after);
            whole.from_unix_s = whole.from_unix_s.max(from.timestamp());
            whole.until_unix_s = whole.until_unix_s.min(until.timestamp());
        }
        Ok(whole)
    }

    /// Its end, in milliseconds since 1970.
    pub(super) fn until_unix_ms(self) -> u64 {
        const MS_PER_SECOND: u64 = 1000;
        u64::try_from(self.until_unix_s).unwrap_or(0).saturating_mul(MS_PER_SECOND)
    }

    pub(super) fn standing(self, now_unix_s: i64) -> Standing {
        let days_left = (self.until_unix_s - now_unix_s) / SECONDS_PER_DAY;
        match now_unix_s {
            now if now > self.until_unix_s => Standing::Expired,
            now if now < self.from_unix_s => Standing::Early,
            _ if days_left < WARN_DAYS => Standing::Ending(days_left),
            _ => Standing::Good(days_left),
        }
    }
}

/// The names in a client's certificate. What cannot be read is left out, and so are names with control characters, which
/// are only ever meant to be read differently by two readers.
pub(super) fn names(certificate: &CertificateDer<'_>) -> Box<[PeerName]> {
    let Ok((_, parsed)) = X509Certificate::from_der(certificate) else { return Box::default() };
    let common = parsed.subject().iter_common_name().filter_map(|name| name.as_str().ok());
    let mut names: Vec<PeerName> = common.map(|name| PeerName::CommonName(name.into())).collect();
    if let Ok(Some(extension)) = parsed.subject_alternative_name() {
        names.extend(extension.value.general_names.iter().filter_map(alternative_name));
    }
    names.retain(|name| !name.as_str().is_empty() && !name.as_str().contains(char::is_control));
    names.truncate(NAMES_MAX);
    names.into()
}

fn alternative_name(name: &GeneralName<'_>) -> Option<PeerName> {
    match *name {
        GeneralName::DNSName(name) => Some(PeerName::Dns(name.into())),
        GeneralName::RFC822Name(name) => Some(PeerName::Email(name.into())),
        GeneralName::URI(name) => Some(PeerName::Uri(name.into())),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{SanType, date_time_ymd};
    use rustls::pki_types::pem::PemObject;

    use super::super::testing::{Authority, Issued};
    use super::*;

    fn der(issued: &Issued) -> CertificateDer<'static> {
        CertificateDer::from_pem_slice(issued.chain.as_bytes()).expect("it is PEM")
    }

    #[test]
    fn the_names_of_a_client_are_told_apart_by_kind() {
        let issued = Authority::new("ca").issue("alice", |params| {
            params.subject_alt_names = vec![
                SanType::DnsName("alice.test".try_into().expect("ASCII")),
                SanType::Rfc822Name("alice@x.test".try_into().expect("ASCII")),
                SanType::URI("spiffe://x.test/alice".try_into().expect("ASCII")),
                SanType::IpAddress([127, 0, 0, 1].into()),
                SanType::Rfc822Name("bob@x.test\0.evil".try_into().expect("ASCII")),
            ];
        });
        let expected = [
            PeerName::CommonName("alice".into()),
            PeerName::Dns("alice.test".into()),
            PeerName::Email("alice@x.test".into()),
            PeerName::Uri("spiffe://x.test/alice".into()),
        ];
        assert_eq!(*names(&der(&issued)), expected);
        assert!(names(&CertificateDer::from(vec![1, 2, 3])).is_empty());
    }

    #[test]
    fn a_chain_counts_as_long_as_the_first_of_it() {
        let authority = Authority::new("ca");
        let long = der(&authority.issue("a.test", |params| params.not_after = date_time_ymd(2040, 1, 1)));
        let short = der(&authority.issue("b.test", |params| params.not_after = date_time_ymd(2030, 1, 1)));
        let validity = Validity::of(&[long, short]).expect("they are certificates");
        let end_unix_s = 1_893_456_000;
        assert_eq!(validity.until_unix_ms(), end_unix_s as u64 * 1000);
        let standings = [
            (1, Standing::Expired),
            (-SECONDS_PER_DAY, Standing::Ending(1)),
            (-31 * SECONDS_PER_DAY, Standing::Good(31)),
        ];
        for (after_s, expected) in standings {
            assert_eq!(validity.standing(end_unix_s + after_s), expected);
        }
        assert_eq!(Validity { from_unix_s: 10, until_unix_s: 20 }.standing(9), Standing::Early);
    }
}
