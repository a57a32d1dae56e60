//! Turns the text of one setting into its type. A value that is refused is noted as an error and replaced by the default, so
//! that the check goes on and all mistakes are reported together. Rules for single values live here; rules between
//! settings live in `config`.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use super::error::{ConfigError, Origin, Warning};
use super::raw::RawConfig;
use super::settings::{Kind, Setting};
use super::{LogFormat, LogLevel, Secret, SpawnPolicy};
use crate::identity::{Rules, parse_short};
use crate::proxy::Networks;
use crate::store::traces::Ratio;
use crate::websocket::origin::AllowedOrigins;

/// Reads settings one after the other and collects what is wrong with them.
pub(super) struct Reader<'a> {
    raw: &'a RawConfig,
    pub(super) errors: Vec<ConfigError>,
    pub(super) warnings: Vec<Warning>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(raw: &'a RawConfig) -> Self {
        Self { raw, errors: Vec::new(), warnings: Vec::new() }
    }

    /// The parsed value: what was given if it is allowed, else the default; `None` where the default is unset.
    fn parsed<T>(&mut self, setting: &'static Setting, parse: impl Fn(&str) -> Option<T>) -> Option<T> {
        if let Some(given) = self.raw.given(setting) {
            if let Some(value) = parse(&given.value) {
                return Some(value);
            }
            let (value, origin) = (given.value.clone(), given.origin.clone());
            self.errors.push(ConfigError::Value { setting, value, origin });
        }
        parse(setting.default)
    }

    /// Whether anybody says anything about one of these.
    pub(super) fn has_said(&self, settings: &[&Setting]) -> bool {
        settings.iter().any(|setting| self.raw.given(setting).is_some())
    }

    /// A whole number within the setting's range; 0 for an unset default.
    pub(super) fn integer(&mut self, setting: &'static Setting) -> i64 {
        self.parsed(setting, |text| integer_in_range(setting, text)).unwrap_or(0)
    }

    /// A number that is never negative, by its range.
    pub(super) fn amount(&mut self, setting: &'static Setting) -> u64 {
        u64::try_from(self.integer(setting)).unwrap_or(0)
    }

    /// A number of things or bytes that fits this machine's memory.
    pub(super) fn count(&mut self, setting: &'static Setting) -> usize {
        usize::try_from(self.integer(setting)).unwrap_or(usize::MAX)
    }

    /// A number where 0 and unset mean "no number".
    pub(super) fn optional_count(&mut self, setting: &'static Setting) -> Option<usize> {
        Some(self.count(setting)).filter(|count| *count > 0)
    }

    pub(super) fn port(&mut self, setting: &'static Setting) -> u16 {
        u16::try_from(self.integer(setting)).unwrap_or(0)
    }

    pub(super) fn switch(&mut self, setting: &'static Setting) -> bool {
        self.parsed(setting, switch).unwrap_or(false)
    }

    pub(super) fn exact_switch(&mut self, setting: &'static Setting) -> bool {
        self.parsed(setting, |text| text.parse().ok()).unwrap_or(false)
    }

    pub(super) fn host(&mut self, setting: &'static Setting) -> IpAddr {
        self.parsed(setting, host).unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST))
    }

    /// `None` if it is off; localhost is 127.0.0.1.
    pub(super) fn listener(&mut self, setting: &'static Setting) -> Option<SocketAddr> {
        self.parsed(setting, listener).flatten()
    }

    pub(super) fn hosts(&mut self, setting: &'static Setting) -> Box<[Box<str>]> {
        self.list(setting, hosts).unwrap_or_default()
    }

    pub(super) fn file(&mut self, setting: &'static Setting) -> Option<PathBuf> {
        self.parsed(setting, |text| (!text.is_empty()).then(|| PathBuf::from(text)))
    }

    /// The short form of the rules. What is wrong with it is told without its text.
    pub(super) fn tokens(&mut self, setting: &'static Setting) -> Option<Secret> {
        let given = self.raw.given(setting).filter(|given| !given.value.is_empty())?;
        if let Err(error) = parse_short(&given.value, &mut Rules::default()) {
            let (value, origin) = (format!("(hidden) {error}"), given.origin.clone());
            self.errors.push(ConfigError::Value { setting, value, origin });
            return None;
        }
        Some(Secret::new(given.value.as_str()))
    }

    /// A text that is never repeated, not even if it is refused.
    pub(super) fn secret(
        &mut self,
        setting: &'static Setting,
        is_allowed: impl Fn(&str) -> bool,
    ) -> Option<Secret> {
        let given = self.raw.given(setting).filter(|given| !given.value.is_empty())?;
        if !is_allowed(&given.value) {
            let (value, origin) = ("(hidden)".to_owned(), given.origin.clone());
            self.errors.push(ConfigError::Value { setting, value, origin });
            return None;
        }
        Some(Secret::new(given.value.as_str()))
    }

    pub(super) fn commands(&mut self, setting: &'static Setting) -> SpawnPolicy {
        self.parsed(setting, commands).unwrap_or(SpawnPolicy::Disabled)
    }

    pub(super) fn origins(&mut self, setting: &'static Setting) -> AllowedOrigins {
        self.list(setting, AllowedOrigins::parse).unwrap_or(AllowedOrigins::Any)
    }

    pub(super) fn networks(&mut self, setting: &'static Setting) -> Networks {
        self.list(setting, Networks::parse).unwrap_or_default()
    }

    /// A list; of one that is refused, the entry that is wrong is named. A list can be long.
    fn list<T>(&mut self, setting: &'static Setting, parse: fn(&str) -> Result<T, &str>) -> Option<T> {
        if let Some(given) = self.raw.given(setting) {
            match parse(&given.value) {
                Ok(list) => return Some(list),
                Err(entry) => {
                    let (value, origin) = (entry.to_owned(), given.origin.clone());
                    self.errors.push(ConfigError::Value { setting, value, origin });
                }
            }
        }
        parse(setting.default).ok()
    }

    /// A word, in lower case.
    pub(super) fn word(&mut self, setting: &'static Setting) -> Option<String> {
        let Kind::Word(words) = setting.kind else { return None };
        let read = |text: &str| words.iter().find(|word| text.eq_ignore_ascii_case(word)).copied();
        self.parsed(setting, read).map(str::to_owned)
    }

    pub(super) fn ratio(&mut self, setting: &'static Setting) -> Ratio {
        self.parsed(setting, |text| Ratio::new(text.parse().ok()?)).unwrap_or(Ratio::ALL)
    }

    /// A text, or its default.
    pub(super) fn text(&mut self, setting: &'static Setting) -> Box<str> {
        self.parsed(setting, |text| Some(text.into())).unwrap_or_default()
    }

    /// Refuses what was given, without repeating it.
    pub(super) fn refuse(&mut self, make: impl FnOnce(Origin) -> ConfigError, setting: &'static Setting) {
        if let Some(given) = self.raw.given(setting) {
            self.errors.push(make(given.origin.clone()));
        }
    }

    pub(super) fn log_format(&mut self, setting: &'static Setting) -> LogFormat {
        self.parsed(setting, log_format).unwrap_or(LogFormat::Text)
    }

    /// Anything that is no level means info (spec 21); that is said, but nobody's start fails over it.
    pub(super) fn log_level(&mut self, setting: &'static Setting) -> LogLevel {
        let Some(given) = self.raw.given(setting) else { return LogLevel::Info };
        log_level(&given.value).unwrap_or_else(|| {
            let (value, origin) = (given.value.clone(), given.origin.clone());
            self.warnings.push(Warning::UnknownLogLevel { value, origin });
            LogLevel::Info
        })
    }
}

/// The largest number a setting allows; 0 for settings that are no numbers.
pub(super) fn largest(setting: &Setting) -> usize {
    match setting.kind {
        Kind::Integer { max, .. } => usize::try_from(max).unwrap_or(usize::MAX),
        Kind::Switch
        | Kind::ExactSwitch
        | Kind::Host
        | Kind::Listener
        | Kind::Hosts
        | Kind::Word(_)
        | Kind::Commands
        | Kind::File
        | Kind::Text
        | Kind::Url
        | Kind::Ratio
        | Kind::Hidden
        | Kind::Tokens
        | Kind::Origins
        | Kind::Networks => 0,
    }
}

fn integer_in_range(setting: &Setting, text: &str) -> Option<i64> {
    let Kind::Integer { min, max } = setting.kind else { return None };
    text.parse().ok().filter(|number| (min..=max).contains(number))
}

fn switch(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "on" | "yes" | "1" => Some(true),
        "false" | "off" | "no" | "0" => Some(false),
        _ => None,
    }
}

/// Names other than `localhost` are refused: whether they are loopback would depend on the resolver's mood.
fn host(text: &str) -> Option<IpAddr> {
    if text.eq_ignore_ascii_case("localhost") {
        return Some(IpAddr::V4(Ipv4Addr::LOCALHOST));
    }
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    bare.parse().ok()
}

fn listener(text: &str) -> Option<Option<SocketAddr>> {
    if text.eq_ignore_ascii_case("off") {
        return Some(None);
    }
    let (name, port) = text.rsplit_once(':')?;
    // An IPv6 address without brackets would be taken apart at the wrong colon.
    let is_bare_v6 = name.contains(':') && !name.starts_with('[');
    let ip = if is_bare_v6 { None } else { host(name) };
    Some(Some(SocketAddr::new(ip?, port.parse().ok()?)))
}

/// Names as browsers say them in `Host`, in lower case; the one that is wrong otherwise.
fn hosts(text: &str) -> Result<Box<[Box<str>]>, &str> {
    let names = text.split(',').map(str::trim).filter(|name| !name.is_empty());
    let is_letter = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
    names
        .map(
            |name| if name.bytes().all(is_letter) { Ok(name.to_ascii_lowercase().into()) } else { Err(name) },
        )
        .collect()
}

fn commands(text: &str) -> Option<SpawnPolicy> {
    if text.is_empty() {
        return Some(SpawnPolicy::Disabled);
    }
    let items: Vec<&str> = text.split(',').map(str::trim).filter(|item| !item.is_empty()).collect();
    if items.contains(&"*") {
        return Some(SpawnPolicy::AllowedAll);
    }
    let paths: Vec<PathBuf> = items.into_iter().map(PathBuf::from).collect();
    let all_absolute = !paths.is_empty() && paths.iter().all(|path| path.is_absolute());
    all_absolute.then_some(SpawnPolicy::AllowedList(paths))
}

fn log_format(text: &str) -> Option<LogFormat> {
    match text.to_ascii_lowercase().as_str() {
        "text" => Some(LogFormat::Text),
        "json" => Some(LogFormat::Json),
        _ => None,
    }
}

fn log_level(text: &str) -> Option<LogLevel> {
    match text.to_ascii_lowercase().as_str() {
        "debug" => Some(LogLevel::Debug),
        "info" => Some(LogLevel::Info),
        "warn" => Some(LogLevel::Warn),
        "error" => Some(LogLevel::Error),
        _ => None,
    }
}
