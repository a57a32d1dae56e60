//! Certificates, keys and what rustls makes of them: the listener's side, and the side of links to other exchanges.
//!
//! Files are read here and nowhere else. What goes over sockets afterwards is their owners' (`shell/transport.rs`), and who may do
//! what is decided elsewhere.
//! One provider (ring), TLS 1.2 and 1.3, no session tickets and no session cache (design.md, D12).
//! Invariant: a key reaches no log line and no error, only the path of its file does.

mod certificate;
mod client;
mod error;
mod files;
mod server;
#[cfg(test)]
pub(crate) mod testing;
mod watch;

use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use rustls::pki_types::CertificateDer;

pub use certificate::PeerName;
pub(crate) use client::unverified_client_config;
pub use client::{client_config, link_config, shake_hands};
pub use error::TlsError;
pub use server::check;
pub use watch::{Credentials, Look, Watch};

/// The names that a client's certificate proves, once rustls has verified it: `certificate` is the first of its chain.
pub fn names_of(certificate: &CertificateDer<'_>) -> Box<[PeerName]> {
    certificate::names(certificate)
}

/// What every configuration encrypts with.
fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}
