//! wss: the load generator through a proxy that ends TLS, with a certificate it trusts and without.

use std::net::SocketAddr;
use std::sync::Arc;

use base64::Engine as _;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::PrivatePkcs8KeyDer;

use crate::support::{Process, Scratch};

/// Ends TLS for an exchange, on a thread that nothing waits for. Gives its address and its certificate as PEM.
fn proxy(exchange: SocketAddr) -> (SocketAddr, String) {
    let identity = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).expect("a certificate");
    let certificate = identity.cert.der().clone();
    let text = base64::engine::general_purpose::STANDARD.encode(&certificate);
    let pem = format!("-----BEGIN CERTIFICATE-----\n{text}\n-----END CERTIFICATE-----\n");
    let key = PrivatePkcs8KeyDer::from(identity.signing_key.serialize_der());
    let config = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key.into())
        .expect("key and certificate match");
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("loopback can be listened on");
    let address = listener.local_addr().expect("it is bound");
    listener.set_nonblocking(true).expect("a socket takes the option");
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async move {
            let listener = TcpListener::from_std(listener).expect("it is a listener");
            while let Ok((stream, _)) = listener.accept().await {
                let acceptor = acceptor.clone();
                tokio::spawn(async move {
                    let Ok(mut stream) = acceptor.accept(stream).await else { return };
                    let mut inner = TcpStream::connect(exchange).await.expect("the exchange accepts");
                    // How a connection ends is the clients' business.
                    let _ = tokio::io::copy_bidirectional(&mut stream, &mut inner).await;
                });
            }
        });
    });
    (address, pem)
}

#[test]
fn calls_and_large_messages_go_through_tls() {
    let (exchange, scratch) = (Process::start(&[]), Scratch::new());
    let (address, pem) = proxy(exchange.address());
    let ca = scratch.write("ca.pem", &pem);
    let (ca, url) = (ca.display().to_string(), format!("wss://localhost:{}/any/path", address.port()));
    for scenario in [&["ring"][..], &["msg", "--mode", "flood", "--bytes", "40000", "--in-flight", "8"]] {
        let (found, output) =
            super::results(&[scenario, &["--url", &url, "--ca", &ca, "--pairs", "3"]].concat());
        assert!(output.status.success() && found["operations"].as_u64() > Some(0), "{found:#}");
        assert_eq!((&found["faults_total"], &found["errors"]), (&0.into(), &serde_json::json!({})));
    }
}

#[test]
fn a_certificate_that_nobody_vouches_for_is_refused() {
    let exchange = Process::start(&[]);
    let (address, _) = proxy(exchange.address());
    let url = format!("wss://localhost:{}", address.port());
    let output = super::loadtest(&["ring", "--url", &url, "--pairs", "1", "--quiet"]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && said.contains("tls:") && said.contains("UnknownIssuer"), "{said}");
}
