//! The only place that reads the environment, `.env` and the TOML file of this process, once, at start. It decides nothing:
//! what it finds goes to [`RawConfig::gather`]. It never changes the environment.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::raw::{self, CONFIG_FILE_ENV};
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
    raw
}

/// Gathers and checks. What `serve` starts with.
pub fn load(flags: RawFlags) -> Result<(Config, Vec<Warning>), Vec<ConfigError>> {
    Config::check(gather(flags))
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
