//! The side that is called: what connections of the listener are set up with.

use std::sync::Arc;

use rustls::ServerConfig;
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{NoClientAuth, NoServerSessionStorage, WebPkiClientVerifier};
use rustls::sign::SingleCertAndKey;

use crate::config::TlsFiles;

use super::certificate::Validity;
use super::client::ALPN;
use super::{TlsError, files, provider};

/// A configuration, and how long its certificate counts.
pub(super) struct Loaded {
    pub(super) config: Arc<ServerConfig>,
    pub(super) validity: Validity,
}

/// Whether connections could be set up with what is in the files; nothing is kept.
///
/// # Errors
/// If they could not.
pub fn check(files: &TlsFiles) -> Result<(), TlsError> {
    load(files).map(drop)
}

/// Reads the files and puts them together.
pub(super) fn load(from: &TlsFiles) -> Result<Loaded, TlsError> {
    let identity = files::identity(&from.certificate, &from.key)?;
    let validity =
        Validity::of(&identity.cert).map_err(|why| TlsError::bad_certificate(&from.certificate, &why))?;
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(TlsError::Refused)?
        .with_client_cert_verifier(client_verifier(from)?)
        .with_cert_resolver(Arc::new(SingleCertAndKey::from(identity)));
    config.alpn_protocols = vec![ALPN.to_vec()];
    // Lines last for hours: what would make the next handshake cheaper costs memory for each of them now.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(Loaded { config: Arc::new(config), validity })
}

fn client_verifier(from: &TlsFiles) -> Result<Arc<dyn ClientCertVerifier>, TlsError> {
    let Some(path) = &from.client_ca else { return Ok(Arc::new(NoClientAuth)) };
    let roots = Arc::new(files::roots(path)?);
    let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider());
    let verifier = if from.client_cert_required { verifier } else { verifier.allow_unauthenticated() };
    verifier.build().map_err(|error| TlsError::bad_certificate(path, &error))
}
