//! Where the load goes: URLs to addresses, paths and certificates.
//!
//! Invariant: no address outside 127.0.0.0/8 and ::1 is ever driven unless the user says that the target is theirs;
//! it is the resolved address that counts, not the name.

use std::net::{SocketAddr, ToSocketAddrs};
use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use url::Url;

use crate::fault::Fault;
use crate::token::Token;

/// One address of the target and how to ask for it.
#[derive(Clone, Debug)]
pub struct Place {
    /// Where it listens.
    pub address: SocketAddr,
    /// What the upgrade says, up to the empty line.
    pub upgrade: Vec<u8>,
    /// For wss: whose certificate is due.
    pub server_name: Option<ServerName<'static>>,
}

/// Everything that is driven.
#[derive(Clone, Debug)]
pub struct Target {
    /// Never empty. Clients are spread over them.
    pub places: Vec<Place>,
    /// For wss.
    pub tls: Option<Arc<ClientConfig>>,
}

impl Target {
    /// Resolves the URLs (each may be a comma list) and refuses what is not loopback unless `owned`.
    /// `bearer` is shown in each handshake.
    pub fn resolve(
        urls: &[String],
        ca: Option<&Path>,
        bearer: Option<&Token>,
        owned: bool,
    ) -> Result<Self, Fault> {
        let mut places = Vec::new();
        for url in urls.iter().flat_map(|list| list.split(',')).map(str::trim).filter(|url| !url.is_empty()) {
            places.extend(resolve(url, bearer)?.into_iter().map(|place| (url, place)));
        }
        for (url, place) in &places {
            check_loopback(url, place.address, owned)?;
        }
        let places: Vec<Place> = places.into_iter().map(|(_, place)| place).collect();
        if places.is_empty() {
            return Err(Fault::BadUrl { url: "--url".to_owned(), why: "no URL is given".to_owned() });
        }
        let secure = places.iter().any(|place| place.server_name.is_some());
        let tls = if secure { Some(Arc::new(client_config(ca)?)) } else { None };
        Ok(Self { places, tls })
    }

    /// Whether one process may need many source addresses, and has them.
    pub fn is_loopback_v4(&self) -> bool {
        self.places.iter().all(|place| place.address.is_ipv4() && place.address.ip().is_loopback())
    }
}

/// Refuses an address that is not this machine's own, unless the user owns it.
pub fn check_loopback(url: &str, address: SocketAddr, owned: bool) -> Result<(), Fault> {
    if owned || address.ip().is_loopback() {
        return Ok(());
    }
    Err(Fault::NotLoopback { url: url.to_owned(), address })
}

/// All addresses of one URL: those of version 4 if it has any, because a server on `localhost` often has only those.
fn resolve(text: &str, bearer: Option<&Token>) -> Result<Vec<Place>, Fault> {
    let bad = |why: &str| Fault::BadUrl { url: text.to_owned(), why: why.to_owned() };
    let full = if text.contains("://") { text.to_owned() } else { format!("ws://{text}") };
    let url = Url::parse(&full).map_err(|error| bad(&error.to_string()))?;
    let secure = match url.scheme() {
        "ws" => false,
        "wss" => true,
        _ => return Err(bad("only ws:// and wss:// can be driven")),
    };
    let host = url.host_str().ok_or_else(|| bad("it names no host"))?;
    let port = url.port_or_known_default().ok_or_else(|| bad("it names no port"))?;
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let found = (bare, port).to_socket_addrs().map_err(|error| bad(&error.to_string()))?;
    let (v4, v6): (Vec<_>, Vec<_>) = found.partition(SocketAddr::is_ipv4);
    let addresses = if v4.is_empty() { v6 } else { v4 };
    if addresses.is_empty() {
        return Err(bad("its name has no address"));
    }
    let server_name = if secure {
        let name = ServerName::try_from(bare.to_owned());
        Some(name.map_err(|_| bad("its name cannot be in a certificate"))?)
    } else {
        None
    };
    let authority = url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"));
    let upgrade = upgrade(&url[url::Position::BeforePath..url::Position::AfterQuery], &authority, bearer);
    let place = |address| Place { address, upgrade: upgrade.clone(), server_name: server_name.clone() };
    Ok(addresses.into_iter().map(place).collect())
}

/// The request that asks for the upgrade. The key is the sample of RFC 6455, section 1.3: it is no secret, and one key
/// for all saves a hash for each connection.
fn upgrade(path: &str, authority: &str, bearer: Option<&Token>) -> Vec<u8> {
    let bearer = bearer.map(|token| format!("Authorization: Bearer {}\r\n", token.text()));
    let bearer = bearer.unwrap_or_default();
    format!(
        "GET {path} HTTP/1.1\r\nHost: {authority}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{bearer}\r\n"
    )
    .into_bytes()
}

/// The answer to that key.
pub const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

/// Trusts the roots of `ca` instead of the public ones.
fn client_config(ca: Option<&Path>) -> Result<ClientConfig, Fault> {
    let mut roots = RootCertStore::empty();
    match ca {
        None => roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned()),
        Some(path) => {
            let bad = |why: String| Fault::BadRoots(format!("{}: {why}", path.display()));
            let found = CertificateDer::pem_file_iter(path).map_err(|error| bad(error.to_string()))?;
            for certificate in found {
                let certificate = certificate.map_err(|error| bad(error.to_string()))?;
                roots.add(certificate).map_err(|error| bad(error.to_string()))?;
            }
            if roots.is_empty() {
                return Err(bad("it holds no certificate".to_owned()));
            }
        }
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| Fault::BadRoots(error.to_string()))?;
    Ok(config.with_root_certificates(roots).with_no_client_auth())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(urls: &[&str]) -> Result<Target, Fault> {
        let urls: Vec<String> = urls.iter().map(|&url| url.to_owned()).collect();
        Target::resolve(&urls, None, None, false)
    }

    #[test]
    fn urls_may_be_repeated_and_listed_and_keep_their_path() {
        let found =
            target(&["ws://127.0.0.1:8080/a/b?c=d, 127.0.0.2:81", "wss://localhost"]).expect("all fine");
        let addresses: Vec<String> = found.places.iter().map(|place| place.address.to_string()).collect();
        assert_eq!(addresses, ["127.0.0.1:8080", "127.0.0.2:81", "127.0.0.1:443"]);
        let upgrade = String::from_utf8_lossy(&found.places[0].upgrade).into_owned();
        assert!(upgrade.starts_with("GET /a/b?c=d HTTP/1.1\r\nHost: 127.0.0.1:8080\r\n"), "{upgrade}");
        assert!(found.places[1].server_name.is_none() && found.places[2].server_name.is_some());
        assert!(found.tls.is_some() && found.is_loopback_v4());
    }

    #[test]
    fn an_address_of_another_machine_is_refused_by_name_and_flag() {
        for url in ["ws://192.0.2.7:8080", "ws://[2001:db8::1]/", "ws://0.0.0.0:1"] {
            let refused = target(&["ws://127.0.0.1:1", url]).expect_err("it is not loopback").to_string();
            assert!(refused.contains(url) && refused.contains("--i-own-this-target"), "{refused}");
        }
        assert!(Target::resolve(&["ws://192.0.2.7:8080".to_owned()], None, None, true).is_ok());
        assert!(target(&["ws://[::1]:9"]).is_ok());
    }

    #[test]
    fn what_is_no_url_of_a_websocket_is_refused() {
        for url in ["http://127.0.0.1", "ws://", "ws://127.0.0.1:99999", ""] {
            assert!(matches!(target(&[url]), Err(Fault::BadUrl { .. })), "{url:?}");
        }
    }
}
