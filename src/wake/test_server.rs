//! A local HTTP server for the tests of this module: answers by a function, remembers what it was asked.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, LOCATION};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;

pub(super) type Answer = Response<Full<Bytes>>;

/// One request as the server saw it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) line: String,
    pub(super) content_type: Option<String>,
    pub(super) body: String,
}

/// A server on a free local port; lives as long as the test's runtime.
#[derive(Clone)]
pub(super) struct TestServer {
    pub(super) address: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl TestServer {
    /// Answers each path by `answer`; `None` never answers.
    pub(super) async fn start(answer: fn(&str) -> Option<Answer>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let server = Self { address: listener.local_addr().expect("bound"), seen: Arc::default() };
        let this = server.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(this.clone().serve(stream, answer));
            }
        });
        server
    }

    /// Serves one connection that is already open.
    pub(super) async fn serve<S>(self, stream: S, answer: fn(&str) -> Option<Answer>)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let service = service_fn(|request| self.clone().handle(request, answer));
        let _ =
            hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
    }

    async fn handle(
        self,
        request: Request<Incoming>,
        answer: fn(&str) -> Option<Answer>,
    ) -> Result<Answer, Infallible> {
        let path = request.uri().path().to_owned();
        let line = format!("{} {}", request.method(), request.uri());
        let content_type =
            request.headers().get(CONTENT_TYPE).map(|value| value.to_str().expect("ASCII").to_owned());
        let body = request.into_body().collect().await.expect("the whole body").to_bytes();
        let body = String::from_utf8(body.to_vec()).expect("UTF-8");
        self.seen.lock().expect("not poisoned").push(Seen { line, content_type, body });
        match answer(&path) {
            Some(answer) => Ok(answer),
            None => std::future::pending().await,
        }
    }

    pub(super) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub(super) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().expect("not poisoned").clone()
    }
}

/// An empty answer with this status.
pub(super) fn status(status: u16) -> Option<Answer> {
    Some(Response::builder().status(status).body(Full::default()).expect("a valid answer"))
}

/// A redirect.
pub(super) fn redirect(status: u16, location: &str) -> Option<Answer> {
    let answer = Response::builder().status(status).header(LOCATION, location);
    Some(answer.body(Full::default()).expect("a valid answer"))
}
