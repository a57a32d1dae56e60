//! Certificates, keys and what rustls makes of them: the listener's side, and the side of links to other exchanges.
//!
//! Files are read here and nowhere else; sockets are the shell's (`shell/transport.rs`), who is who is decided elsewhere.
//! One provider (ring), TLS 1.2 and 1.3, no session tickets and no session cache (design.md, D12).
//! Invariant: a key reaches no log line and no error, only the path of its file does.

mod client;
mod error;
mod files;
#[cfg(test)]
mod testing;

use std::sync::Arc;

use rustls::crypto::CryptoProvider;

pub use client::client_config;
pub use error::TlsError;

/// What every configuration encrypts with.
fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}
