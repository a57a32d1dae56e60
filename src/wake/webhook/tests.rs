//! Webhooks against local servers: bodies, statuses, redirects, refused addresses, TLS.

use std::sync::Arc;

use hyper_rustls::HttpsConnectorBuilder;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use tokio_rustls::rustls::{ClientConfig, RootCertStore, ServerConfig};

use super::*;
use crate::wake::test_server::{Answer, Seen, TestServer, redirect, status};

const BODY: &str = r#"{"address":"a@b","handler":{"type":"webhook"},"payload":{"k":1}}"#;

async fn post(url: &str) -> Result<u16, WakeFailure> {
    let answer = WebhookClient::new().post(url, Bytes::from_static(BODY.as_bytes())).await;
    answer.map(|answer| answer.status().as_u16())
}

fn seen(line: &str, with_body: bool) -> Seen {
    Seen {
        line: line.to_owned(),
        content_type: with_body.then(|| "application/json".to_owned()),
        body: if with_body { BODY.to_owned() } else { String::new() },
    }
}

#[test]
fn the_body_holds_address_handler_and_payload_as_given() {
    let handler = br#"{"type":"webhook", "url":"http://x/","timeout_seconds":1.50}"#;
    assert_eq!(
        body("a\"b@c.d", handler, Some(br#"{ "n": 1e2 }"#)),
        r#"{"address":"a\"b@c.d","handler":{"type":"webhook", "url":"http://x/","timeout_seconds":1.50},"payload":{ "n": 1e2 }}"#
    );
    assert_eq!(body("a@b", b"{}", None), r#"{"address":"a@b","handler":{},"payload":null}"#);
}

#[tokio::test]
async fn a_2xx_answer_to_a_json_post_is_success() {
    for code in [200, 202, 204] {
        let server = match code {
            200 => TestServer::start(|_| status(200)).await,
            202 => TestServer::start(|_| status(202)).await,
            _ => TestServer::start(|_| status(204)).await,
        };
        assert_eq!(post(&server.url("/wake?x=1#fragment")).await, Ok(code));
        assert_eq!(server.seen(), [seen("POST /wake?x=1", true)]);
    }
}

#[tokio::test]
async fn any_other_status_is_a_failure() {
    let server = TestServer::start(|path| match path {
        "/500" => status(500),
        "/404" => status(404),
        "/304" => status(304),
        _ => status(302), // a redirect without a location
    })
    .await;
    for code in [500, 404, 304, 302] {
        assert_eq!(post(&server.url(&format!("/{code}"))).await, Err(WakeFailure::Status(code)));
    }
}

#[tokio::test]
async fn a_refused_connection_is_a_failure() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("bound");
    drop(listener);
    let refused = WakeFailure::Unreachable(std::io::ErrorKind::ConnectionRefused);
    assert_eq!(post(&format!("http://{address}/")).await, Err(refused));
}

#[tokio::test]
async fn a_connection_closed_without_an_answer_is_a_failure() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("bound");
    tokio::spawn(async move { while listener.accept().await.is_ok() {} });
    assert_eq!(post(&format!("http://{address}/")).await, Err(WakeFailure::BrokenAnswer));
}

#[tokio::test]
async fn redirects_301_302_and_303_become_a_get_without_a_body() {
    let server = TestServer::start(|path| match path {
        "/301" => redirect(301, "/end"),
        "/302" => redirect(302, "end"),
        "/303" => redirect(303, "../end"),
        _ => status(200),
    })
    .await;
    for code in [301, 302, 303] {
        assert_eq!(post(&server.url(&format!("/{code}"))).await, Ok(200));
        let last_two = server.seen().split_off(server.seen().len() - 2);
        assert_eq!(last_two, [seen(&format!("POST /{code}"), true), seen("GET /end", false)]);
    }
}

#[tokio::test]
async fn redirects_307_and_308_repeat_the_post() {
    let server = TestServer::start(|path| match path {
        "/307" => redirect(307, "/308?q=1"),
        "/308" => redirect(308, "/end"),
        _ => status(200),
    })
    .await;
    assert_eq!(post(&server.url("/307")).await, Ok(200));
    assert_eq!(
        server.seen(),
        [seen("POST /307", true), seen("POST /308?q=1", true), seen("POST /end", true)]
    );
}

#[tokio::test]
async fn a_get_stays_a_get_over_a_later_307() {
    let server = TestServer::start(|path| match path {
        "/302" => redirect(302, "/307"),
        "/307" => redirect(307, "/end"),
        _ => status(200),
    })
    .await;
    assert_eq!(post(&server.url("/302")).await, Ok(200));
    assert_eq!(server.seen().last(), Some(&seen("GET /end", false)));
}

#[tokio::test]
async fn five_redirects_are_followed_and_a_loop_is_not() {
    let server = TestServer::start(|path| match path.len() {
        1..=5 => redirect(307, &format!("{path}x")),
        6 => status(200),
        _ => redirect(307, "/a-loop-without-end"),
    })
    .await;
    assert_eq!(post(&server.url("/")).await, Ok(200));
    assert_eq!(post(&server.url("/a-loop-without-end")).await, Err(WakeFailure::TooManyRedirects));
    assert_eq!(server.seen().len(), 12);
}

#[tokio::test]
async fn a_redirect_may_not_leave_for_a_forbidden_place() {
    let server = TestServer::start(|path| match path {
        "/metadata" => redirect(302, "http://169.254.169.254/latest/meta-data/"),
        "/decimal" => redirect(307, "http://2852039166/"),
        "/mapped" => redirect(307, "http://[::ffff:a9fe:a9fe]/"),
        "/file" => redirect(302, "file:///etc/passwd"),
        "/login" => redirect(302, "http://me:secret@127.0.0.1/"),
        _ => redirect(302, "http://:0:/"),
    })
    .await;
    for (path, failure) in [
        ("/metadata", WakeFailure::ForbiddenAddress),
        ("/decimal", WakeFailure::ForbiddenAddress),
        ("/mapped", WakeFailure::ForbiddenAddress),
        ("/file", WakeFailure::UnsupportedScheme),
        ("/login", WakeFailure::Credentials),
        ("/nonsense", WakeFailure::InvalidUrl),
    ] {
        assert_eq!(post(&server.url(path)).await, Err(failure), "{path}");
    }
}

#[tokio::test]
async fn unusable_urls_fail_before_anything_is_sent() {
    for (url, failure) in [
        ("", WakeFailure::InvalidUrl),
        ("wake me", WakeFailure::InvalidUrl),
        ("http://", WakeFailure::InvalidUrl),
        ("ftp://127.0.0.1/", WakeFailure::UnsupportedScheme),
        ("unix:/run/docker.sock", WakeFailure::UnsupportedScheme),
        ("http://user@127.0.0.1/", WakeFailure::Credentials),
        ("http://169.254.169.254/", WakeFailure::ForbiddenAddress),
        ("http://2852039166/", WakeFailure::ForbiddenAddress),
        ("http://0xa9.0376.43518/", WakeFailure::ForbiddenAddress),
        ("http://0/", WakeFailure::ForbiddenAddress),
        ("https://[fe80::1]/", WakeFailure::ForbiddenAddress),
        ("https://[64:ff9b::169.254.169.254]/", WakeFailure::ForbiddenAddress),
    ] {
        assert_eq!(post(url).await, Err(failure), "{url}");
    }
}

#[tokio::test]
async fn a_long_answer_is_read_to_a_bound_only() {
    fn endless(_: &str) -> Option<Answer> {
        Some(Response::new(Full::new(Bytes::from(vec![b'x'; 64 * ANSWER_LEN_MAX]))))
    }
    let server = TestServer::start(endless).await;
    let answer = WebhookClient::new().post(&server.url("/"), Bytes::new()).await.expect("an answer");
    discard(answer).await;
}

/// A local https server and its certificate.
async fn https_server() -> (TestServer, CertificateDer<'static>) {
    let identity = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).expect("a certificate");
    let certificate = identity.cert.der().clone();
    let key = PrivatePkcs8KeyDer::from(identity.signing_key.serialize_der());
    let config = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.clone()], key.into())
        .expect("key and certificate match");
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let mut server = TestServer::start(|_| None).await;
    server.address = listener.local_addr().expect("bound");
    let this = server.clone();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            if let Ok(stream) = acceptor.accept(stream).await {
                tokio::spawn(this.clone().serve(stream, |_| status(200)));
            }
        }
    });
    (server, certificate)
}

#[tokio::test]
async fn https_works_with_a_trusted_certificate_and_fails_without() {
    let (server, certificate) = https_server().await;
    let url = format!("https://localhost:{}/wake", server.address.port());
    assert_eq!(post(&url).await, Err(WakeFailure::Tls));
    assert!(server.seen().is_empty());

    let mut roots = RootCertStore::empty();
    roots.add(certificate).expect("a certificate");
    let config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    let https = HttpsConnectorBuilder::new().with_tls_config(config).https_or_http().enable_http1();
    let client = WebhookClient::with_connector(https.wrap_connector(GuardedConnector::new()));
    let answer = client.post(&url, Bytes::from_static(BODY.as_bytes())).await.expect("an answer");
    assert_eq!(answer.status(), 200);
    assert_eq!(server.seen(), [seen("POST /wake", true)]);
}
