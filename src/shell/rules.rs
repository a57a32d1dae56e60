//! Keeps the rulebook: reads its files, fetches the keys of signed tokens, and spreads a new rulebook over the shards.
//!
//! All of it on a thread of its own: a slow disk or a key server that does not answer keeps nobody waiting. What cannot be read
//! or understood stops a start; later it changes nothing, so the rules that hold go on holding. Invariant: no
//! error and no log line here holds a token or a key.

mod fetch;
mod pace;
#[cfg(test)]
mod tests;

use std::fmt;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tracing::{info, warn};

use crate::config::Secret;
use crate::identity::{
    AUTH_FILE_BYTES_MAX, KEY_FILE_BYTES_MAX, KeyError, KeySet, RuleError, Rulebook, Rules, parse_file,
    parse_short,
};
use fetch::Fetcher;
use pace::Pace;

/// Commands that may wait: each is as good as one of its kind.
const COMMANDS_MAX: usize = 16;
/// How long the start waits for keys; the exchange has to be up within 5 s, with these keys or without.
const START_FETCH_MAX: Duration = Duration::from_secs(3);
/// How long a later fetch may take.
const FETCH_MAX: Duration = Duration::from_secs(10);

/// What the keeper of the rules is told.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RuleCommand {
    /// Read everything anew.
    Reload,
    /// A token names a key that is not known.
    KeysWanted,
    /// End.
    Stop,
}

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

/// The way to the thread that keeps the rules.
pub struct RuleDesk {
    commands: SyncSender<RuleCommand>,
    thread: JoinHandle<()>,
}

impl RuleDesk {
    /// Reads the rules and starts the thread that keeps them. `spread` is told of every later rulebook.
    ///
    /// # Errors
    /// If the rules cannot be read or understood. Keys that a URL does not give now are fetched later.
    pub fn start(sources: RuleSources, spread: Spread) -> Result<(Arc<Rulebook>, Self), RulesError> {
        let mut keeper = Keeper::new(sources, spread)?;
        keeper.fetch_keys(START_FETCH_MAX);
        let book = keeper.book.clone();
        let (commands, orders) = sync_channel(COMMANDS_MAX);
        let thread = std::thread::Builder::new().name("rules".into());
        let thread = thread.spawn(move || keeper.run(&orders)).map_err(RulesError::Thread)?;
        Ok((book, Self { commands, thread }))
    }

    /// For those who want keys.
    pub fn commands(&self) -> SyncSender<RuleCommand> {
        self.commands.clone()
    }

    /// Has everything read anew.
    pub fn reload(&self) {
        // A full queue has one of its kind in it, or will be empty soon and the operator asks again.
        if self.commands.try_send(RuleCommand::Reload).is_err() {
            warn!("rules not reloaded: the last reload is not done");
        }
    }

    /// Tells the thread to end; it does after what it is at.
    pub fn stop(self) -> JoinHandle<()> {
        // If there is no room the thread ends with its last sender.
        let _ = self.commands.try_send(RuleCommand::Stop);
        self.thread
    }
}

struct Keeper {
    sources: RuleSources,
    book: Arc<Rulebook>,
    file_keys: KeySet,
    url: Option<String>,
    fetcher: Fetcher,
    pace: Pace,
    spread: Spread,
}

impl Keeper {
    fn new(sources: RuleSources, spread: Spread) -> Result<Self, RulesError> {
        let Loaded { rules, keys, url } = sources.load()?;
        let book = Arc::new(Rulebook::new(rules, keys.clone(), sources.grace_ms));
        let fetcher = Fetcher::new().map_err(RulesError::Thread)?;
        Ok(Self { sources, book, file_keys: keys, url, fetcher, pace: Pace::new(Instant::now()), spread })
    }

    fn run(mut self, orders: &Receiver<RuleCommand>) {
        loop {
            match orders.recv_timeout(self.pace.wait(Instant::now())) {
                Ok(RuleCommand::Reload) => self.reload(),
                Ok(RuleCommand::KeysWanted) => self.pace.want(Instant::now()),
                Ok(RuleCommand::Stop) | Err(RecvTimeoutError::Disconnected) => return,
                Err(RecvTimeoutError::Timeout) => {
                    if self.fetch_keys(FETCH_MAX) {
                        (self.spread)(&self.book);
                    }
                }
            }
        }
    }

    /// Everything anew. If anything is wrong with it, everything stays.
    fn reload(&mut self) {
        let Loaded { rules, keys, url } = match self.sources.load() {
            Ok(loaded) => loaded,
            Err(error) => return warn!(%error, "rules not reloaded: the old ones hold"),
        };
        let is_same_place = self.url == url;
        let old = std::mem::replace(
            &mut self.book,
            Arc::new(Rulebook::new(rules, keys.clone(), self.sources.grace_ms)),
        );
        (self.file_keys, self.url) = (keys, url);
        if !self.fetch_keys(FETCH_MAX) && is_same_place && self.url.is_some() {
            // A key server that is down now gave these before.
            self.book = Arc::new(self.book.with_keys(old.keys().clone()));
        }
        info!("rules reloaded");
        (self.spread)(&self.book);
    }

    /// Fetches keys if there is a place for them; says whether that gave a new rulebook.
    fn fetch_keys(&mut self, limit: Duration) -> bool {
        self.pace.fetched(Instant::now());
        let Some(url) = &self.url else { return false };
        match self.fetcher.fetch(url, limit) {
            Ok(keys) => {
                info!(keys = keys.len(), "keys of signed tokens fetched");
                self.book = Arc::new(self.book.with_keys(self.file_keys.clone().and(keys)));
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
