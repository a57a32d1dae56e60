//! The settings of TLS, which only make sense together: half of them must stop the start, or an operator who believes that
//! connections are encrypted would serve them in the clear.
//!
//! The files themselves are read by [`crate::tls`].

use std::path::PathBuf;

use super::error::ConfigError;
use super::reader::Reader;
use super::settings::{self, Setting};

/// The files that a listener with TLS needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// The certificate and its chain.
    pub certificate: PathBuf,
    /// Its key.
    pub key: PathBuf,
    /// Authorities whose certificates clients may show; `None`: nobody is asked for one.
    pub client_ca: Option<PathBuf>,
    /// Whether clients without a certificate are turned away; only with `client_ca`.
    pub client_cert_required: bool,
}

/// `None` if TLS is off, or if something is missing, which is then among the reader's errors.
pub(super) fn read(reader: &mut Reader<'_>) -> Option<TlsFiles> {
    let enabled = reader.exact_switch(&settings::TLS_ENABLED);
    let certificate = reader.file(&settings::TLS_CERT_PATH);
    let key = reader.file(&settings::TLS_KEY_PATH);
    let client_ca = reader.file(&settings::TLS_CLIENT_CA);
    let client_cert_required = reader.switch(&settings::TLS_CLIENT_CERT_REQUIRED);
    let mut demand = |is_there: bool, setting: &'static Setting, needed_by: &'static Setting| {
        if !is_there {
            reader.errors.push(ConfigError::Missing { setting, needed_by });
        }
    };
    if client_cert_required {
        demand(enabled, &settings::TLS_ENABLED, &settings::TLS_CLIENT_CERT_REQUIRED);
        demand(client_ca.is_some(), &settings::TLS_CLIENT_CA, &settings::TLS_CLIENT_CERT_REQUIRED);
    }
    if !enabled {
        return None;
    }
    demand(certificate.is_some(), &settings::TLS_CERT_PATH, &settings::TLS_ENABLED);
    demand(key.is_some(), &settings::TLS_KEY_PATH, &settings::TLS_ENABLED);
    Some(TlsFiles { certificate: certificate?, key: key?, client_ca, client_cert_required })
}
