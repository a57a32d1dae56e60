//! `systemx drain`: has a running exchange let nobody in any more, send its clients away and end itself, by its admin listener.
//!
//! What a deployment runs before it starts the new version (docs/OPERATIONS.md). The token never stands on the command line, where
//! whoever lists processes would see it: it comes from a file, or from the configuration that the exchange itself has.

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST};
use hyper::{Method, Request, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout};

use super::health::reachable;
use super::{complain, print};
use crate::config::{AdminToken, RawFlags, process};
use crate::shell::overseer::DRAIN_SECONDS_MAX;

/// Where the admin listener is if neither a URL nor a readable configuration says it.
const ADMIN_DEFAULT: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8081);
/// The port of `http://` URLs that name none.
const HTTP_PORT: u16 = 80;
/// An exchange that answers later than that is not well.
const ANSWER_LIMIT: Duration = Duration::from_secs(10);
/// Longest answer that is read, in bytes; the real ones have a few dozen.
const ANSWER_BYTES_MAX: usize = 64 << 10;
/// Longest file of a token that is read, in bytes: no header is as long.
const TOKEN_BYTES_MAX: u64 = 4096;
/// How often to look whether it has ended.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// What the stop after the drain may take, before `--wait` gives up.
const STOP_MAX: Duration = Duration::from_secs(60);

/// The arguments of `systemx drain`.
#[derive(Debug, Args)]
pub struct DrainArgs {
    /// The admin listener to ask [default: the one that this directory and environment configure]
    #[arg(long, value_name = "URL")]
    pub admin: Option<String>,
    /// File with the token of the admin listener [default: what is configured]
    #[arg(long, value_name = "FILE")]
    pub token_file: Option<PathBuf>,
    /// How long calls may go on [default: what the exchange is configured with, else 30]
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(..=DRAIN_SECONDS_MAX))]
    pub seconds: Option<u64>,
    /// Wait until the exchange has ended
    #[arg(long)]
    pub wait: bool,
}

/// Orders a drain; exit code 0 if it has begun, or, with `--wait`, if the exchange has ended.
pub fn run(args: DrainArgs) -> ExitCode {
    let (url, token) = match way(&args) {
        Ok(way) => way,
        Err(error) => return fail(&error),
    };
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&DrainError::Runtime(error)),
    };
    let asker = match Asker::new(&url, token) {
        Ok(asker) => asker,
        Err(error) => return fail(&error),
    };
    runtime.block_on(async {
        match asker.drain(args.seconds).await {
            Err(error) => return fail(&error),
            Ok(seconds) => {
                let said = print(&format!("draining: {url} goes within {seconds} s\n"));
                if !args.wait || said != ExitCode::SUCCESS {
                    return said;
                }
                if let Err(error) = asker.wait(Duration::from_secs(seconds) + STOP_MAX).await {
                    return fail(&error);
                }
            }
        }
        print(&format!("drained: {url} has ended\n"))
    })
}

fn fail(error: &DrainError) -> ExitCode {
    complain([error]);
    ExitCode::FAILURE
}

/// Why no drain has begun.
#[derive(Debug)]
enum DrainError {
    Url(String),
    Off,
    TokenFile(PathBuf, io::Error),
    Runtime(io::Error),
    Connect(String, io::Error),
    Http(String, hyper::Error),
    Late(String, Duration),
    Request(hyper::http::Error),
    Answer(String, StatusCode, String),
    StillThere(String),
}

impl fmt::Display for DrainError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Url(url) => write!(f, "--admin: {url} is not of the form http://HOST[:PORT]"),
            Self::Off => f.write_str(
                "the admin listener is configured off: send the exchange SIGTERM, or name another by --admin",
            ),
            Self::TokenFile(path, error) => {
                write!(f, "the token cannot be read from {}: {error}", path.display())
            }
            Self::Runtime(error) => write!(f, "the system refused a runtime: {error}"),
            Self::Connect(url, error) => {
                write!(f, "{url} cannot be reached: {error}; is the exchange up, and SYSTEMX_ADMIN there?")
            }
            Self::Http(url, error) => write!(f, "{url} does not answer as an admin listener does: {error}"),
            Self::Late(url, limit) => write!(f, "{url} did not answer within {} s", limit.as_secs()),
            Self::Request(error) => {
                write!(f, "the request cannot be made: {error}; is the token one line of text?")
            }
            Self::Answer(url, StatusCode::UNAUTHORIZED, _) => write!(
                f,
                "{url} wants its token: name the file by --token-file, or set SYSTEMX_ADMIN_TOKEN or \
                 SYSTEMX_ADMIN_TOKEN_FILE as for the exchange"
            ),
            Self::Answer(url, status, why) => write!(f, "{url} refuses: {status}: {why}"),
            Self::StillThere(url) => write!(f, "{url} is still there: look into its log"),
        }
    }
}

impl std::error::Error for DrainError {}

/// Whom to ask, and with which token.
fn way(args: &DrainArgs) -> Result<(String, Option<String>), DrainError> {
    let admin = process::load(RawFlags::default()).ok().map(|(config, _)| config.admin);
    let url = match (&args.admin, &admin) {
        (Some(url), _) => url.trim_end_matches('/').to_owned(),
        (None, None) => format!("http://{ADMIN_DEFAULT}"),
        (None, Some(Some(admin))) => format!("http://{}", reachable(admin.listen)),
        (None, Some(None)) => return Err(DrainError::Off),
    };
    let configured = admin.flatten().map_or(AdminToken::None, |admin| admin.token);
    let token = match (&args.token_file, configured) {
        (Some(path), _) => Some(read_token(path)?),
        (None, AdminToken::File(path)) => Some(read_token(&path)?),
        (None, AdminToken::Given(token)) => Some(token.reveal().to_owned()),
        (None, AdminToken::None) => None,
    };
    Ok((url, token))
}

fn read_token(path: &Path) -> Result<String, DrainError> {
    use io::Read as _;
    let mut text = String::new();
    let read =
        std::fs::File::open(path).and_then(|file| file.take(TOKEN_BYTES_MAX).read_to_string(&mut text));
    read.map_err(|error| DrainError::TokenFile(path.to_owned(), error))?;
    Ok(text.trim().to_owned())
}

/// Who asks an admin listener.
struct Asker {
    url: String,
    host: String,
    authority: String,
    port: u16,
    token: Option<String>,
}

impl Asker {
    fn new(url: &str, token: Option<String>) -> Result<Self, DrainError> {
        let wrong = || DrainError::Url(url.to_owned());
        let uri: Uri = url.parse().map_err(|_| wrong())?;
        let (Some("http"), Some(host), Some(authority)) = (uri.scheme_str(), uri.host(), uri.authority())
        else {
            return Err(wrong());
        };
        Ok(Self {
            url: url.to_owned(),
            host: host.trim_start_matches('[').trim_end_matches(']').to_owned(),
            authority: authority.as_str().to_owned(),
            port: uri.port_u16().unwrap_or(HTTP_PORT),
            token,
        })
    }

    /// Orders the drain; how many seconds it lasts at most.
    async fn drain(&self, seconds: Option<u64>) -> Result<u64, DrainError> {
        let body = seconds.map_or_else(|| json!({}), |seconds| json!({ "seconds": seconds }));
        let (status, text) = self.ask(Method::POST, body.to_string()).await?;
        let answer: Value = serde_json::from_str(&text).unwrap_or_default();
        if !status.is_success() {
            let why = answer["error"]["message"].as_str().unwrap_or(&text).to_owned();
            return Err(DrainError::Answer(self.url.clone(), status, why));
        }
        Ok(answer["seconds"].as_u64().or(seconds).unwrap_or_default())
    }

    /// Waits until nobody answers any more.
    async fn wait(&self, limit: Duration) -> Result<(), DrainError> {
        let until = Instant::now() + limit;
        while TcpStream::connect((&*self.host, self.port)).await.is_ok() {
            if Instant::now() >= until {
                return Err(DrainError::StillThere(self.url.clone()));
            }
            sleep(LOOK_EVERY).await;
        }
        Ok(())
    }

    async fn ask(&self, method: Method, body: String) -> Result<(StatusCode, String), DrainError> {
        let late = |_| DrainError::Late(self.url.clone(), ANSWER_LIMIT);
        timeout(ANSWER_LIMIT, self.converse(method, body)).await.map_err(late)?
    }

    async fn converse(&self, method: Method, body: String) -> Result<(StatusCode, String), DrainError> {
        let unreachable = |error| DrainError::Connect(self.url.clone(), error);
        let no_http = |error| DrainError::Http(self.url.clone(), error);
        let stream = TcpStream::connect((&*self.host, self.port)).await.map_err(unreachable)?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(no_http)?;
        let asking = async {
            let answer = sender.send_request(self.request(method, body)?).await.map_err(no_http)?;
            let status = answer.status();
            let bytes = Limited::new(answer.into_body(), ANSWER_BYTES_MAX).collect().await;
            // What cannot be read to its end is no worse than an empty answer: its status has been said.
            let bytes = bytes.map(|body| body.to_bytes()).unwrap_or_default();
            Ok((status, String::from_utf8_lossy(&bytes).into_owned()))
        };
        let driving = async {
            // How it ends is known to whoever asked.
            drop(connection.await);
            std::future::pending::<std::convert::Infallible>().await
        };
        tokio::select! {
            answer = asking => answer,
            never = driving => match never {},
        }
    }

    fn request(&self, method: Method, body: String) -> Result<Request<Full<Bytes>>, DrainError> {
        let mut request = Request::builder()
            .method(method)
            .uri("/api/v1/drain")
            .header(HOST, &self.authority)
            .header(CONTENT_TYPE, "application/json");
        if let Some(token) = &self.token {
            request = request.header(AUTHORIZATION, format!("Bearer {token}"));
        }
        request.body(Full::new(body.into())).map_err(DrainError::Request)
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::TcpListener;
    use std::thread::JoinHandle;

    use super::*;

    /// A server that takes one request, answers it and says what it was.
    fn server(answer: &'static str) -> (String, JoinHandle<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let serve = move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut asked = Vec::new();
            while !asked.ends_with(b"}") {
                let mut bytes = [0; 1024];
                let len = stream.read(&mut bytes).unwrap();
                assert!(len > 0, "it asks to the end");
                asked.extend_from_slice(&bytes[..len]);
            }
            stream.write_all(answer.as_bytes()).unwrap();
            String::from_utf8(asked).unwrap()
        };
        (url, std::thread::spawn(serve))
    }

    fn ask(url: &str, token: Option<&str>, seconds: Option<u64>) -> Result<u64, DrainError> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let asker = Asker::new(url, token.map(str::to_owned))?;
        runtime.block_on(asker.drain(seconds))
    }

    #[test]
    fn a_drain_is_ordered_with_its_seconds_and_the_token() {
        let (url, server) = server(
            "HTTP/1.1 202 Accepted\r\ncontent-length: 35\r\n\r\n{\"state\":\"draining\",\"seconds\":    7}",
        );
        assert_eq!(ask(&url, Some("a-secret-of-16-bytes"), Some(7)).unwrap(), 7);
        let asked = server.join().unwrap();
        assert!(asked.starts_with("POST /api/v1/drain HTTP/1.1\r\n"), "{asked}");
        for line in ["content-type: application/json", "authorization: Bearer a-secret-of-16-bytes"] {
            assert!(asked.contains(line), "{line} in {asked}");
        }
        assert!(asked.ends_with("\r\n\r\n{\"seconds\":7}"), "{asked}");
    }

    #[test]
    fn a_refusal_is_told_with_its_reason() {
        let (url, server) = server(
            "HTTP/1.1 409 Conflict\r\ncontent-length: 56\r\n\r\n{\"error\":{\"message\":\"the exchange is draining already\"}} ",
        );
        let error = ask(&url, None, None).unwrap_err().to_string();
        assert!(error.ends_with("refuses: 409 Conflict: the exchange is draining already"), "{error}");
        assert!(server.join().unwrap().ends_with("\r\n\r\n{}"));
    }

    #[test]
    fn other_urls_are_refused_before_anything_is_sent() {
        for url in ["https://127.0.0.1:1", "127.0.0.1:1", "", "http://"] {
            assert!(matches!(ask(url, None, None), Err(DrainError::Url(_))), "{url}");
        }
    }
}
