//! Why TLS cannot be had, with the file that is to blame. No content of a file is ever repeated: it may be a key.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// What is wrong with the files, or with what rustls makes of them.
#[derive(Debug)]
pub enum TlsError {
    /// A file cannot be read.
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// A file begins like PEM and goes on otherwise.
    NotPem {
        /// The file.
        path: PathBuf,
        /// What the reader stumbled on.
        why: String,
    },
    /// No certificate is in a file.
    NoCertificate {
        /// The file.
        path: PathBuf,
    },
    /// No key is in a file.
    NoKey {
        /// The file.
        path: PathBuf,
    },
    /// A certificate cannot be used.
    BadCertificate {
        /// The file.
        path: PathBuf,
        /// Why not.
        why: String,
    },
    /// A key cannot be used.
    BadKey {
        /// The file.
        path: PathBuf,
        /// Why not.
        why: String,
    },
    /// The key is another certificate's.
    KeyMismatch {
        /// The file of the certificate.
        certificate: PathBuf,
        /// The file of the key.
        key: PathBuf,
    },
    /// This machine has no roots to trust, or they cannot be read.
    NoSystemRoots {
        /// What was found instead.
        why: String,
    },
    /// rustls refuses what was put together.
    Refused(rustls::Error),
}

impl TlsError {
    pub(super) fn bad_certificate(path: &Path, why: &impl fmt::Display) -> Self {
        Self::BadCertificate { path: path.to_owned(), why: why.to_string() }
    }
}

impl fmt::Display for TlsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable { path, source } => write!(f, "cannot read {}: {source}", path.display()),
            Self::NotPem { path, why } => write!(f, "{} is not PEM: {why}", path.display()),
            Self::NoCertificate { path } => {
                write!(f, "{} holds no certificate (-----BEGIN CERTIFICATE-----)", path.display())
            }
            Self::NoKey { path } => write!(
                f,
                "{} holds no key that can be used (-----BEGIN PRIVATE KEY-----, not encrypted)",
                path.display()
            ),
            Self::BadCertificate { path, why } => {
                write!(f, "the certificate in {} cannot be used: {why}", path.display())
            }
            Self::BadKey { path, why } => write!(f, "the key in {} cannot be used: {why}", path.display()),
            Self::KeyMismatch { certificate, key } => write!(
                f,
                "the key in {} does not belong to the certificate in {}",
                key.display(),
                certificate.display()
            ),
            Self::NoSystemRoots { why } => {
                write!(f, "this machine has no root certificates to trust ({why}); name a file of them")
            }
            Self::Refused(error) => write!(f, "TLS cannot be set up: {error}"),
        }
    }
}

impl std::error::Error for TlsError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Unreadable { source, .. } => Some(source),
            Self::Refused(error) => Some(error),
            _ => None,
        }
    }
}
