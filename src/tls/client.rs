//! The side that calls: what links to other exchanges (wss), the phone and the health check are set up with.

use std::io;
use std::path::Path;
use std::sync::Arc;

use rustls::client::WantsClientCert;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, ConfigBuilder, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::config::federation::PeerTls;

use super::{TlsError, files, provider};

/// The one protocol that is spoken through TLS.
pub(super) const ALPN: &[u8] = b"http/1.1";

/// What to connect with: the server's certificate must be vouched for by an authority of the file `ca`, or of this machine if
/// none is named, and be for the name that is given to the session. `identity` (chain, key) is shown to servers that ask.
/// Reads files and, without `ca`, the machine's roots: to be kept and shared, not made for each connection.
///
/// # Errors
/// If a file cannot be used, or there is nobody to trust.
pub fn client_config(
    ca: Option<&Path>,
    identity: Option<(&Path, &Path)>,
) -> Result<Arc<ClientConfig>, TlsError> {
    let roots = ca.map_or_else(system_roots, files::roots)?;
    let builder = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(TlsError::Refused)?
        .with_root_certificates(roots);
    let mut config = showing(identity, builder)?;
    // Each connection is meant to last: nothing is to be remembered for the next.
    config.resumption = rustls::client::Resumption::disabled();
    config.alpn_protocols = vec![ALPN.to_vec()];
    Ok(Arc::new(config))
}

/// What links to other exchanges are set up with.
///
/// # Errors
/// As [`client_config`].
pub fn link_config(files: &PeerTls) -> Result<Arc<ClientConfig>, TlsError> {
    let identity = files.identity.as_ref().map(|(chain, key)| (chain.as_path(), key.as_path()));
    client_config(files.ca.as_deref(), identity)
}

/// The last thing that a configuration needs: what is shown to servers that ask who calls.
fn showing(
    identity: Option<(&Path, &Path)>,
    builder: ConfigBuilder<ClientConfig, WantsClientCert>,
) -> Result<ClientConfig, TlsError> {
    let Some((certificate, key)) = identity else { return Ok(builder.with_no_client_auth()) };
    let identity = Arc::new(files::identity(certificate, key)?);
    Ok(builder.with_client_cert_resolver(Arc::new(rustls::sign::SingleCertAndKey::from(identity))))
}

/// What `systemx health` asks this machine's own exchange with: any certificate will do, because nothing secret is said and
/// nothing that is heard is used, and the certificate is for another name than the loopback's. Never for anything else.
///
/// # Errors
/// If rustls refuses.
pub(crate) fn unverified_client_config(
    identity: Option<(&Path, &Path)>,
) -> Result<Arc<ClientConfig>, TlsError> {
    let builder = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(TlsError::Refused)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Anybody(provider())));
    Ok(Arc::new(showing(identity, builder)?))
}

/// Shakes hands with the server that is called `host` (a name or an address), on the runtime. The session can be taken out
/// afterwards (`into_inner`).
///
/// # Errors
/// If `host` can be in no certificate, or whatever the handshake ends with.
pub async fn shake_hands(
    config: &Arc<ClientConfig>,
    host: &str,
    stream: TcpStream,
) -> io::Result<TlsStream<TcpStream>> {
    let name = ServerName::try_from(host.to_owned())
        .map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
    TlsConnector::from(config.clone()).connect(name, stream).await
}

/// Takes any certificate whose key the server has.
#[derive(Debug)]
struct Anybody(Arc<CryptoProvider>);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

/// Some of a machine's roots may be odd; that there is one that can be used is enough.
fn system_roots() -> Result<RootCertStore, TlsError> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    let (added, _) = roots.add_parsable_certificates(found.certs);
    if added == 0 {
        let why = found.errors.first().map_or("none was found".to_owned(), |error| error.to_string());
        return Err(TlsError::NoSystemRoots { why });
    }
    Ok(roots)
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Authority, Folder};
    use super::*;

    #[test]
    fn a_client_trusts_the_named_file_and_shows_who_it_is() {
        let (folder, authority) = (Folder::new(), Authority::new("ca"));
        let own = authority.client("home.test");
        let ca = folder.write("ca.pem", &authority.pem());
        let (chain, key) = (folder.write("own.pem", &own.chain), folder.write("own.key", &own.key));
        assert!(!client_config(Some(&ca), None).expect("it is fine").client_auth_cert_resolver.has_certs());
        let shown = client_config(Some(&ca), Some((&chain, &key))).expect("it is fine");
        assert!(shown.client_auth_cert_resolver.has_certs());
        assert!(matches!(client_config(Some(&key), None), Err(TlsError::NoCertificate { .. })));
        assert!(matches!(
            client_config(Some(&ca), Some((&key, &chain))),
            Err(TlsError::NoCertificate { .. })
        ));
    }

    #[test]
    fn without_a_file_the_machines_roots_count_if_it_has_any() {
        match client_config(None, None) {
            Ok(_) | Err(TlsError::NoSystemRoots { .. }) => {}
            Err(other) => panic!("{other}"),
        }
    }
}
