//! PEM files: chains of certificates, keys, and authorities to trust.
//!
//! What is read is checked as far as that can be done without a connection: each certificate can be parsed, the key can sign,
//! and it belongs to the first certificate.

use std::path::Path;

use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use rustls::{Error, InconsistentKeys, RootCertStore};

use super::{TlsError, provider};

/// The largest file that is read, in bytes: a bundle of all public authorities has a fifth of that.
const FILE_BYTES_MAX: u64 = 4 << 20;

/// A certificate with its chain, and its key.
pub(super) fn identity(certificate: &Path, key: &Path) -> Result<CertifiedKey, TlsError> {
    let chain = certificates(certificate)?;
    let secret = private_key(key)?;
    CertifiedKey::from_der(chain, secret, &provider()).map_err(|error| match error {
        Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => {
            TlsError::KeyMismatch { certificate: certificate.to_owned(), key: key.to_owned() }
        }
        Error::InvalidCertificate(why) => TlsError::bad_certificate(certificate, &why),
        other => TlsError::BadKey { path: key.to_owned(), why: other.to_string() },
    })
}

/// The authorities in a file; at least one.
pub(super) fn roots(path: &Path) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(path)? {
        roots.add(certificate).map_err(|error| TlsError::bad_certificate(path, &error))?;
    }
    Ok(roots)
}

/// The certificates in a file, in their order; at least one.
pub(super) fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let text = read(path)?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    let found = found.map_err(|error| not_pem(path, &error))?;
    if found.is_empty() {
        return Err(TlsError::NoCertificate { path: path.to_owned() });
    }
    Ok(found)
}

fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    match PrivateKeyDer::from_pem_slice(&read(path)?) {
        Ok(key) => Ok(key),
        Err(pem::Error::NoItemsFound) => Err(TlsError::NoKey { path: path.to_owned() }),
        Err(error) => Err(not_pem(path, &error)),
    }
}

fn read(path: &Path) -> Result<Vec<u8>, TlsError> {
    let unreadable = |source| TlsError::Unreadable { path: path.to_owned(), source };
    let file = std::fs::File::open(path).map_err(unreadable)?;
    let mut text = Vec::new();
    std::io::Read::read_to_end(&mut std::io::Read::take(file, FILE_BYTES_MAX), &mut text)
        .map_err(unreadable)?;
    Ok(text)
}

/// The parser's own words may quote the file; these do not.
fn not_pem(path: &Path, error: &pem::Error) -> TlsError {
    let why = match error {
        pem::Error::MissingSectionEnd { .. } => "a section has no end",
        pem::Error::IllegalSectionStart { .. } => "a section begins badly",
        pem::Error::Base64Decode(_) => "a section is not base64",
        _ => "it cannot be read as such",
    };
    TlsError::NotPem { path: path.to_owned(), why: why.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Authority, Folder};
    use super::*;

    #[test]
    fn a_file_that_cannot_be_used_is_named_with_the_reason() {
        let (folder, authority) = (Folder::new(), Authority::new("ca"));
        let (one, other) = (authority.server("a.test"), authority.server("b.test"));
        let certificate = folder.write("cert.pem", &one.chain);
        let key = folder.write("key.pem", &one.key);
        assert!(identity(&certificate, &key).is_ok());
        let broken = one.chain.replacen("MII", "M**", 1);
        let truncated = one.key.split("-----END").next().expect("it has a beginning");
        let refusals = [
            (folder.path("absent.pem"), key.clone(), "cannot read"),
            (folder.write("text.pem", "hello"), key.clone(), "holds no certificate"),
            (folder.write("empty.pem", ""), key.clone(), "holds no certificate"),
            (folder.write("broken.pem", &broken), key.clone(), "is not PEM: a section is not base64"),
            (key.clone(), key.clone(), "holds no certificate"),
            (certificate.clone(), folder.write("cut.pem", truncated), "is not PEM: a section has no end"),
            (certificate.clone(), certificate.clone(), "holds no key"),
            (certificate.clone(), folder.path("."), "cannot read"),
            (
                certificate.clone(),
                folder.write("other.pem", &other.key),
                "does not belong to the certificate",
            ),
        ];
        for (certificate, key, expected) in refusals {
            let said = identity(&certificate, &key).err().map(|error| error.to_string()).unwrap_or_default();
            assert!(said.contains(expected), "{said:?} instead of {expected:?}");
            assert!(said.contains(&folder.path("").display().to_string()), "{said:?} names no file");
        }
    }

    #[test]
    fn der_that_is_no_certificate_and_no_key_is_refused() {
        let (folder, authority) = (Folder::new(), Authority::new("ca"));
        let one = authority.server("a.test");
        let junk = "AAAA";
        let certificate = folder
            .write("c.pem", &format!("-----BEGIN CERTIFICATE-----\n{junk}\n-----END CERTIFICATE-----\n"));
        let key = folder
            .write("k.pem", &format!("-----BEGIN PRIVATE KEY-----\n{junk}\n-----END PRIVATE KEY-----\n"));
        let (good, its_key) = (folder.write("cert.pem", &one.chain), folder.write("key.pem", &one.key));
        assert!(matches!(identity(&certificate, &its_key), Err(TlsError::BadCertificate { .. })));
        assert!(matches!(identity(&good, &key), Err(TlsError::BadKey { .. })));
        assert!(matches!(roots(&certificate), Err(TlsError::BadCertificate { .. })));
    }
}
