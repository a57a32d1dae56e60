//! Keeps the rulebook: reads its files, fetches the keys of signed tokens, and spreads a new rulebook over the shards.
//!
//! All of it on a thread of its own: a slow disk or a key server that does not answer keeps nobody waiting. What cannot be read
//! or understood stops a start; later it changes nothing, so the rules that hold go on holding. Invariant: no
//! error and no log line here holds a token or a key.

mod fetch;
mod orders;
mod pace;
#[cfg(test)]
mod tests;

use std::fmt;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tracing::{info, warn};

use crate::config::Secret;
use crate::identity::{
    AUTH_FILE_BYTES_MAX, KEY_FILE_BYTES_MAX, KeyError, KeySet, RuleError, Rulebook, Rules, parse_file,
    parse_short,
};
use fetch::Fetcher;
pub use orders::Orders;
use orders::Wanted;
use pace::Pace;

/// How long the start waits for keys; the exchange has to be up within 5 s, with these keys or without.
const START_FETCH_MAX: Duration = Duration::from_secs(3);
/// How long a later fetch may take.
const FETCH_MAX: Duration = Duration::from_secs(10);

/// Where rules come from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RuleSources {
    /// The authentication file.
    pub file: Option<PathBuf>,
    /// The short form.
    pub tokens: Option<Secret>,
    /// How long a registration outlives its token, in ms.
    pub grace_ms: u64,
}

/// Why there are no new rules.
#[derive(Debug)]
pub enum RulesError {
    /// A file cannot be read.
    Unreadable {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A file is larger than any that makes sense.
    TooLarge {
        /// Which.
        path: PathBuf,
        /// What it may have, in bytes.
        bytes_max: usize,
    },
    /// The authentication file is wrong.
    File {
        /// Which.
        path: PathBuf,
        /// What is wrong.
        source: RuleError,
    },
    /// The short form is wrong.
    Short(RuleError),
    /// The file with keys is wrong.
    Keys {
        /// Which.
        path: PathBuf,
        /// What is wrong.
        source: KeyError,
    },
    /// The system gave no thread.
    Thread(std::io::Error),
}

impl fmt::Display for RulesError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable { path, source } => write!(f, "cannot read {}: {source}", path.display()),
            Self::TooLarge { path, bytes_max } => {
                write!(f, "{} is larger than {bytes_max} bytes", path.display())
            }
            Self::File { path, source } => write!(f, "{}: {source}", path.display()),
            Self::Short(source) => write!(f, "SYSTEMX_AUTH_TOKENS: {source}"),
            Self::Keys { path, source } => write!(f, "{}: {source}", path.display()),
            Self::Thread(source) => write!(f, "the system refused a thread for the rules: {source}"),
        }
    }
}

impl std::error::Error for RulesError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Unreadable { source, .. } | Self::Thread(source) => Some(source),
            Self::File { source, .. } | Self::Short(source) => Some(source),
            Self::Keys { source, .. } => Some(source),
            Self::TooLarge { .. } => None,
        }
    }
}

/// What was read.
struct Loaded {
    rules: Rules,
    keys: KeySet,
    url: Option<String>,
}

impl RuleSources {
    /// Reads everything and keeps nothing: whether an exchange could start with it.
    ///
    /// # Errors
    /// If it could not.
    pub fn check(&self) -> Result<(), RulesError> {
        self.load().map(drop)
    }

    fn load(&self) -> Result<Loaded, RulesError> {
        let mut loaded = self.file.as_deref().map_or_else(|| Ok(Loaded::nothing()), load_file)?;
        if let Some(tokens) = &self.tokens {
            parse_short(tokens.reveal(), &mut loaded.rules).map_err(RulesError::Short)?;
        }
        Ok(loaded)
    }
}

impl Loaded {
    fn nothing() -> Self {
        Self { rules: Rules::default(), keys: KeySet::default(), url: None }
    }
}

fn load_file(path: &Path) -> Result<Loaded, RulesError> {
    let text = read_bounded(path, AUTH_FILE_BYTES_MAX)?;
    let (rules, sources) =
        parse_file(&text).map_err(|source| RulesError::File { path: path.to_owned(), source })?;
    let keys = sources.file.map_or(Ok(KeySet::default()), |file| {
        let beside = path.parent().unwrap_or(Path::new("")).join(file);
        let text = read_bounded(&beside, KEY_FILE_BYTES_MAX)?;
        KeySet::of_file(&text).map_err(|source| RulesError::Keys { path: beside, source })
    })?;
    Ok(Loaded { rules, keys, url: sources.url })
}

fn read_bounded(path: &Path, bytes_max: usize) -> Result<String, RulesError> {
    let unreadable = |source| RulesError::Unreadable { path: path.to_owned(), source };
    let file = std::fs::File::open(path).map_err(unreadable)?;
    let mut text = String::new();
    file.take(bytes_max as u64 + 1).read_to_string(&mut text).map_err(unreadable)?;
    if text.len() > bytes_max {
        return Err(RulesError::TooLarge { path: path.to_owned(), bytes_max });
    }
    Ok(text)
}

/// Takes a new rulebook to whoever asks it.
pub type Spread = Box<dyn Fn(&Arc<Rulebook>) + Send>;

/// The thread that keeps the rules. It ends when this is dropped.
pub struct RuleDesk {
    orders: Ender,
    thread: JoinHandle<()>,
}

struct Ender(Orders);

impl Drop for Ender {
    fn drop(&mut self) {
        self.0.stop();
    }
}

impl RuleDesk {
    /// Reads the rules and starts the thread that keeps them. `spread` is told of every later rulebook.
    ///
    /// # Errors
    /// If the rules cannot be read or understood. Keys that a URL does not give now are fetched later.
    pub fn start(sources: RuleSources, spread: Spread) -> Result<(Arc<Rulebook>, Self), RulesError> {
        let orders = Orders::default();
        let mut keeper = Keeper::new(sources, orders.clone(), spread)?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(RulesError::Thread)?;
        runtime.block_on(keeper.fetch_keys(START_FETCH_MAX));
        let book = keeper.book.clone();
        let thread = std::thread::Builder::new().name("rules".into());
        let body = move || {
            runtime.block_on(keeper.run());
            // A name that is being resolved would hold the end up.
            runtime.shutdown_background();
        };
        let thread = thread.spawn(body).map_err(RulesError::Thread)?;
        Ok((book, Self { orders: Ender(orders), thread }))
    }

    /// For those who want something of it.
    pub fn orders(&self) -> Orders {
        self.orders.0.clone()
    }

    /// Tells the thread to end, which it does at once.
    pub fn stop(self) -> JoinHandle<()> {
        self.thread
    }
}

struct Keeper {
    sources: RuleSources,
    orders: Orders,
    book: Arc<Rulebook>,
    file_keys: KeySet,
    /// What the URL gave last; empty if it never gave any.
    url_keys: KeySet,
    url: Option<String>,
    fetcher: Fetcher,
    pace: Pace,
    spread: Spread,
}

impl Keeper {
    fn new(sources: RuleSources, orders: Orders, spread: Spread) -> Result<Self, RulesError> {
        let Loaded { rules, keys, url } = sources.load()?;
        let book = Arc::new(Rulebook::new(rules, keys.clone(), sources.grace_ms));
        let (fetcher, pace) = (Fetcher::default(), Pace::new(Instant::now()));
        let url_keys = KeySet::default();
        Ok(Self { sources, orders, book, file_keys: keys, url_keys, url, fetcher, pace, spread })
    }

    async fn run(mut self) {
        let orders = self.orders.clone();
        loop {
            let wait = self.pace.wait(Instant::now());
            match tokio::time::timeout(wait, orders.next()).await {
                Ok(Wanted { stop: true, .. }) => return,
                Ok(Wanted { reload: true, .. }) => self.reload().await,
                Ok(_) => self.pace.want(Instant::now()),
                Err(_) => self.fetch_and_spread().await,
            }
        }
    }

    /// Everything anew. If anything is wrong with it, everything stays. New rules do not wait for a key server: until it
    /// answers, what it gave before goes on counting.
    async fn reload(&mut self) {
        let Loaded { rules, keys, url } = match self.sources.load() {
            Ok(loaded) => loaded,
            Err(error) => return warn!(%error, "rules not reloaded: the old ones hold"),
        };
        if self.url != url {
            self.url_keys = KeySet::default();
        }
        (self.file_keys, self.url) = (keys, url);
        self.book = Arc::new(Rulebook::new(rules, self.all_keys(), self.sources.grace_ms));
        info!("rules reloaded");
        (self.spread)(&self.book);
        self.fetch_and_spread().await;
    }

    fn all_keys(&self) -> KeySet {
        self.file_keys.clone().and(self.url_keys.clone())
    }

    async fn fetch_and_spread(&mut self) {
        if self.fetch_keys(FETCH_MAX).await {
            (self.spread)(&self.book);
        }
    }

    /// Fetches keys if there is a place for them; says whether that gave a new rulebook.
    async fn fetch_keys(&mut self, limit: Duration) -> bool {
        self.pace.fetched(Instant::now());
        let Some(url) = &self.url else { return false };
        let fetched = tokio::select! {
            fetched = self.fetcher.fetch(url, limit) => fetched,
            // What is wanted now fetches anew, or needs no keys any more.
            () = self.orders.interruption() => return false,
        };
        match fetched {
            Ok(keys) => {
                info!(keys = keys.len(), "keys of signed tokens fetched");
                self.url_keys = keys;
                self.book = Arc::new(self.book.with_keys(self.all_keys()));
                true
            }
            Err(error) => {
                warn!(%error, "keys of signed tokens not fetched: those that are known go on counting");
                self.pace.failed(Instant::now());
                false
            }
        }
    }
}
