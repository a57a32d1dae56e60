//! The only place that reads the environment, `.env`, the TOML file and the file of links of this process, once, at start. It decides nothing:
//! what it finds goes to [`RawConfig::gather`]. It changes nothing in the environment but the names of sockets that it has taken.

use std::ffi::OsString;
use std::fs;
use std::io::{self, Read as _};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::time::Duration;

use listenfd::ListenFd;

use super::federation::{FILE_BYTES_MAX, FileFault};
use super::raw::{self, CONFIG_FILE_ENV};
use super::settings;
use super::{Config, ConfigError, RawConfig, RawFlags, Warning};

/// The file that is read from the working directory, if it is there.
const DOTENV_PATH: &str = ".env";

/// Gathers what this process was given. Files that cannot be read are noted in the result's errors.
pub fn gather(flags: RawFlags) -> RawConfig {
    let env = environment();
    let (dotenv, dotenv_error) = match fs::read_to_string(DOTENV_PATH) {
        Ok(text) => (Some(text), None),
        Err(error) if error.kind() == io::ErrorKind::NotFound => (None, None),
        Err(source) => (None, Some(ConfigError::Unreadable { path: PathBuf::from(DOTENV_PATH), source })),
    };
    let path = config_file(&flags, &env, dotenv.as_deref());
    let (toml, toml_error) = match path.as_deref().map(fs::read_to_string) {
        None => (None, None),
        Some(Ok(text)) => (Some(text), None),
        Some(Err(source)) => {
            (None, Some(ConfigError::Unreadable { path: path.clone().unwrap_or_default(), source }))
        }
    };
    let toml = path.as_deref().zip(toml.as_deref());
    let mut raw = RawConfig::gather(flags, env.into_iter(), dotenv.as_deref(), toml);
    raw.errors.extend(dotenv_error.into_iter().chain(toml_error));
    let federation_file = raw.given(&settings::FEDERATION_CONFIG).map(|given| given.value.clone());
    raw.federation_file = federation_file.map(|path| federation_text(Path::new(&path)));
    raw
}

/// The text of the file that describes the links, up to its limit.
fn federation_text(path: &Path) -> Result<String, FileFault> {
    let unreadable = |error: io::Error| FileFault::Unreadable(error.to_string());
    let mut text = Vec::new();
    let file = fs::File::open(path).map_err(unreadable)?;
    file.take(FILE_BYTES_MAX as u64 + 1).read_to_end(&mut text).map_err(unreadable)?;
    if text.len() > FILE_BYTES_MAX {
        return Err(FileFault::TooLarge);
    }
    String::from_utf8(text).map_err(|_| FileFault::NotUtf8)
}

/// Gathers and checks. What `serve` starts with.
pub fn load(flags: RawFlags) -> Result<(Config, Vec<Warning>), Vec<ConfigError>> {
    Config::check(gather(flags))
}

/// What a service manager has told this process about itself.
#[derive(Clone, Default, Debug)]
pub struct Supervision {
    /// The socket on which it wants to be told how things are (NOTIFY_SOCKET).
    pub notify_socket: Option<OsString>,
    /// How long this process may be silent (WATCHDOG_USEC, if it is meant for this process).
    pub watchdog: Option<Duration>,
}

/// Reads that from the environment.
pub fn supervision() -> Supervision {
    let number = |name| std::env::var(name).ok()?.parse::<u64>().ok();
    let is_ours = number("WATCHDOG_PID").is_none_or(|pid| pid == u64::from(std::process::id()));
    let watchdog_us = number("WATCHDOG_USEC").filter(|&us| us > 0 && is_ours);
    Supervision {
        notify_socket: std::env::var_os("NOTIFY_SOCKET").filter(|name| !name.is_empty()),
        watchdog: watchdog_us.map(Duration::from_micros),
    }
}

/// Sockets that a service manager has opened for this process (LISTEN_FDS), to be served in place of the configured address. To
/// be called once, before there are other threads: it takes the variables out of the environment, so that no child believes
/// that the sockets are its own.
///
/// # Errors
/// If one of them is no listening TCP socket.
pub fn inherited_listeners() -> io::Result<Vec<TcpListener>> {
    let mut inherited = ListenFd::from_env();
    let mut listeners = Vec::new();
    for place in 0..inherited.len() {
        let listener = inherited.take_tcp_listener(place)?;
        listener.into_iter().try_for_each(|listener| {
            listener.set_nonblocking(true)?;
            listeners.push(listener);
            Ok::<_, io::Error>(())
        })?;
    }
    Ok(listeners)
}

/// Variables that are not UTF-8 keep their name and get replacement characters, so that the check refuses them by name.
fn environment() -> Vec<(String, String)> {
    let text = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
        Some((name.into_string().ok()?, value.to_string_lossy().into_owned()))
    };
    std::env::vars_os().filter_map(text).collect()
}

/// The TOML file: the flag wins over the environment, that over `.env`; an empty name means none.
fn config_file(flags: &RawFlags, env: &[(String, String)], dotenv: Option<&str>) -> Option<PathBuf> {
    if let Some(path) = &flags.config_file {
        return Some(path.clone());
    }
    let from_env = env.iter().find(|(name, _)| name == CONFIG_FILE_ENV).map(|(_, value)| value.clone());
    let from_dotenv = || {
        let (entries, _) = raw::parse_dotenv(dotenv?);
        entries.into_iter().rfind(|entry| entry.variable == CONFIG_FILE_ENV).map(|entry| entry.value)
    };
    let path = from_env.or_else(from_dotenv)?;
    (!path.trim().is_empty()).then(|| Path::new(path.trim()).to_owned())
}
