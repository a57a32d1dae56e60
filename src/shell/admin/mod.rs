//! The admin listener: health, readiness, metrics and the JSON API, on a thread and a port of its own.
//!
//! Nothing here is on a call's way: shards hang their reports on boards, which are read, and answer bounded questions by mailbox. A
//! client that is slow, blocked or hostile costs a connection, of which there are few, and those that make no progress give way
//! to newcomers. What is asked and answered is in `router.rs` and the files of its routes; who may ask, in `console/access.rs`.

mod actions;
mod connection;
mod inquiries;
mod lists;
mod office;
mod page;
mod pages;
mod parameters;
mod records;
mod reply;
mod router;
mod watches;

use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::LocalSet;
use tracing::{info, warn};

use crate::config::admin::is_good_token;
use crate::config::{self, AdminToken};
use crate::console::access::Access;
use crate::logging::START_TARGET;

use connection::Guests;
pub use office::{Facts, Office};

/// How long accepting pauses when the system refuses it, for want of descriptors most likely.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// How often the counts are noted that rates are made of, and the watches looked after.
const SAMPLE_EVERY: Duration = Duration::from_secs(1);
/// Most bytes that are read of a token's file.
const TOKEN_FILE_BYTES_MAX: u64 = 4096;

/// Why there is no admin listener.
#[derive(Debug)]
pub enum AdminError {
    /// The address cannot be listened on.
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system says.
        source: std::io::Error,
    },
    /// The file of the token cannot be read.
    TokenFile {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// What is in it is no token.
    BadToken {
        /// The file.
        path: PathBuf,
    },
}

impl fmt::Display for AdminError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Listen { address, source } => write!(
                f,
                "the admin listener cannot listen on {address}: {source}; stop what uses the port, or set SYSTEMX_ADMIN to \
                 another address, or to off"
            ),
            Self::TokenFile { path, source } => {
                write!(f, "SYSTEMX_ADMIN_TOKEN_FILE: cannot read {}: {source}", path.display())
            }
            Self::BadToken { path } => write!(
                f,
                "SYSTEMX_ADMIN_TOKEN_FILE: {} holds no token; it must be {}",
                path.display(),
                config::settings::ADMIN_TOKEN.allowed()
            ),
        }
    }
}

impl std::error::Error for AdminError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Listen { source, .. } | Self::TokenFile { source, .. } => Some(source),
            Self::BadToken { .. } => None,
        }
    }
}

/// The listener, before anything is answered.
#[derive(Debug)]
pub struct Bound {
    listener: std::net::TcpListener,
    address: SocketAddr,
    access: Access,
}

impl Bound {
    /// Listens as configured.
    ///
    /// # Errors
    /// If the address is in use, or the token cannot be read.
    pub fn new(config: &config::Admin) -> Result<Self, AdminError> {
        let token = read_token(&config.token)?;
        let address = config.listen;
        let listener = std::net::TcpListener::bind(address).and_then(|listener| {
            listener.set_nonblocking(true)?;
            let address = listener.local_addr()?;
            Ok((listener, address))
        });
        let (listener, address) = listener.map_err(|source| AdminError::Listen { address, source })?;
        let access = Access::new(token.as_deref(), config.hosts.clone());
        Ok(Self { listener, address, access })
    }

    /// Answers from now on.
    ///
    /// # Errors
    /// If the system refuses a runtime or a thread.
    pub fn start(self, facts: Facts) -> std::io::Result<Admin> {
        let Self { listener, address, access } = self;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (stop, stopped) = oneshot::channel();
        let office = Arc::new(Office::new(access, facts));
        let body = move || {
            LocalSet::new().block_on(&runtime, async move {
                match TcpListener::from_std(listener) {
                    Ok(listener) => serve(listener, office, stopped).await,
                    Err(error) => warn!(%error, "the admin listener does not listen"),
                }
            });
            // A search in the file of call records that is under way keeps nothing from ending.
            runtime.shutdown_background();
        };
        let thread = std::thread::Builder::new().name("admin".into()).spawn(body)?;
        info!(target: START_TARGET, %address, "admin listener is up");
        Ok(Admin { address, thread, stop })
    }
}

/// Whether the token can be read; for `check-config`.
///
/// # Errors
/// If not.
pub fn check(config: &config::Admin) -> Result<(), AdminError> {
    read_token(&config.token).map(drop)
}

fn read_token(token: &AdminToken) -> Result<Option<String>, AdminError> {
    match token {
        AdminToken::None => Ok(None),
        AdminToken::Given(token) => Ok(Some(token.reveal().to_owned())),
        AdminToken::File(path) => {
            let text =
                read_bounded(path).map_err(|source| AdminError::TokenFile { path: path.clone(), source })?;
            let token = text.trim();
            match is_good_token(token) {
                true => Ok(Some(token.to_owned())),
                false => Err(AdminError::BadToken { path: path.clone() }),
            }
        }
    }
}

fn read_bounded(path: &Path) -> std::io::Result<String> {
    use std::io::Read as _;
    let mut text = String::new();
    std::fs::File::open(path)?.take(TOKEN_FILE_BYTES_MAX).read_to_string(&mut text)?;
    Ok(text)
}

/// The running listener.
#[derive(Debug)]
pub struct Admin {
    address: SocketAddr,
    thread: JoinHandle<()>,
    stop: oneshot::Sender<()>,
}

impl Admin {
    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Ends it at once, with whatever is being answered. To be joined.
    pub fn stop(self) -> JoinHandle<()> {
        drop(self.stop);
        self.thread
    }
}

async fn serve(listener: TcpListener, office: Arc<Office>, mut stopped: oneshot::Receiver<()>) {
    let mut guests = Guests::default();
    let mut samples = tokio::time::interval(SAMPLE_EVERY);
    samples.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            // Never sent, only dropped.
            _ = &mut stopped => return,
            _ = samples.tick() => {
                office.sample();
                watches::tend(&office);
            }
            accepted = listener.accept() => match accepted {
                Ok((stream, peer)) => guests.take_in(stream, peer, &office),
                Err(error) => {
                    warn!(%error, "the admin listener cannot accept");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            },
        }
    }
}
