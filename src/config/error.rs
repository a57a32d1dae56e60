//! What can be wrong with a configuration, and what is odd about it. Both are closed lists with the facts an operator needs:
//! which setting, which value, where it was said, and what is allowed. Values of variables that may hold secrets
//! (tokens, passwords in URLs) are never kept here, so no message can print them.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use super::federation::Mistake;
use super::settings::Setting;

/// Where a value was said. Later variants win over earlier ones.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// Nowhere: the table's default.
    Default,
    /// The TOML file.
    File(PathBuf),
    /// The `.env` file in the working directory.
    DotEnv {
        /// Its line, from 1.
        line: usize,
    },
    /// The process's environment.
    Environment,
    /// The command line.
    Flag,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::Default => f.write_str("default"),
            Origin::File(path) => write!(f, "file {}", path.display()),
            Origin::DotEnv { line } => write!(f, ".env line {line}"),
            Origin::Environment => f.write_str("environment"),
            Origin::Flag => f.write_str("flag"),
        }
    }
}

/// A reason not to start. [`Config::load`](super::Config::load) reports all of them at once.
#[derive(Debug)]
pub enum ConfigError {
    /// A value is not among the allowed ones.
    Value {
        /// The setting.
        setting: &'static Setting,
        /// What was given.
        value: String,
        /// Where.
        origin: Origin,
    },
    /// What a setting asks for is not part of this program.
    NotBuiltIn {
        /// The setting.
        setting: &'static Setting,
        /// What was given, as far as it may be shown.
        value: String,
        /// Where.
        origin: Origin,
        /// The cargo feature that it takes.
        feature: &'static str,
    },
    /// Two settings contradict each other.
    Conflict {
        /// The setting that must be the smaller one, or equal.
        smaller: &'static Setting,
        /// Its value.
        smaller_value: u64,
        /// The setting that must be the larger one.
        larger: &'static Setting,
        /// Its value.
        larger_value: u64,
        /// Whether equal values are a contradiction too.
        strictly: bool,
    },
    /// A setting that another one cannot do without is not given.
    Missing {
        /// What is missing.
        setting: &'static Setting,
        /// What needs it.
        needed_by: &'static Setting,
    },
    /// Others can reach the admin listener, and need no token.
    AdminTokenMissing {
        /// Its address.
        listen: SocketAddr,
    },
    /// The token of the admin listener is given twice.
    AdminTokenTwice,
    /// A TOML key that no setting has.
    UnknownKey {
        /// The key.
        key: String,
        /// The file.
        path: PathBuf,
        /// The key that was probably meant.
        nearest: Option<&'static str>,
    },
    /// The TOML file is not TOML.
    FileSyntax {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// The parser's words.
        message: String,
    },
    /// A line of `.env` about this program cannot be understood. Its text is left out: it may be a secret.
    DotEnvSyntax {
        /// The line, from 1.
        line: usize,
    },
    /// A file that was named, or `.env`, cannot be read.
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The links to other exchanges cannot be as they were described. The exchange starts without them; only
    /// `check-config` reports it so.
    Federation(Mistake),
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ConfigError::Value { setting, value, origin } => {
                write!(
                    f,
                    "{}: {value:?} ({origin}) is not allowed; it must be {}",
                    setting.env,
                    setting.allowed()
                )
            }
            ConfigError::NotBuiltIn { setting, value, origin, feature } => write!(
                f,
                "{}: {value:?} ({origin}) is not allowed; this systemx was built without the feature {feature}: build it with \
                 --features {feature}, or unset the variable",
                setting.env
            ),
            ConfigError::Conflict { smaller, smaller_value, larger, larger_value, strictly } => {
                let relation = if *strictly { "less than" } else { "at most" };
                let (smaller, larger) = (smaller.env, larger.env);
                write!(
                    f,
                    "{smaller} ({smaller_value}) must be {relation} {larger} ({larger_value}); change one of them"
                )
            }
            ConfigError::Missing { setting, needed_by } => {
                let (missing, needing) = (setting.env, needed_by.env);
                write!(f, "{needing} is true, but {missing} is not set; set it to {}", setting.allowed())
            }
            ConfigError::AdminTokenMissing { listen } => write!(
                f,
                "SYSTEMX_ADMIN is {listen}, which others can reach, and there is no token; set SYSTEMX_ADMIN_TOKEN or \
                 SYSTEMX_ADMIN_TOKEN_FILE, or a loopback address"
            ),
            ConfigError::AdminTokenTwice => {
                f.write_str("both SYSTEMX_ADMIN_TOKEN and SYSTEMX_ADMIN_TOKEN_FILE are set; set one of them")
            }
            ConfigError::UnknownKey { key, path, nearest } => {
                write!(f, "unknown key {key:?} in {}", path.display())?;
                nearest.map_or(Ok(()), |nearest| write!(f, "; did you mean {nearest:?}?"))
            }
            ConfigError::FileSyntax { path, line, message } => {
                write!(f, "{} line {line}: {message}", path.display())
            }
            ConfigError::DotEnvSyntax { line } => {
                write!(f, ".env line {line} is not NAME=value; put quotes around values with spaces")
            }
            ConfigError::Unreadable { path, source } => write!(f, "cannot read {}: {source}", path.display()),
            ConfigError::Federation(mistake) => mistake.fmt(f),
        }
    }
}

impl std::error::Error for ConfigError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            ConfigError::Unreadable { source, .. } => Some(source),
            _ => None,
        }
    }
}

/// Something odd that does not keep the program from starting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Warning {
    /// A variable of this program that no setting has.
    UnknownVariable {
        /// The variable.
        variable: String,
        /// Where it was said.
        origin: Origin,
        /// The variable that was probably meant.
        nearest: Option<String>,
    },
    /// A variable that this version knows of and ignores.
    NoEffectYet {
        /// The variable; its value may be a secret.
        variable: String,
        /// Where it was said.
        origin: Origin,
    },
    /// A key of the file of links that nothing has.
    UnknownFederationKey {
        /// Where it stands.
        place: String,
        /// The key that was probably meant.
        nearest: Option<&'static str>,
    },
    /// Another exchange is described, and linking with it is not switched on.
    FederationNotEnabled,
    /// Two links have the same name.
    PeerRenamed {
        /// The name.
        id: String,
        /// What the second is called instead.
        renamed: String,
    },
    /// The log level is not a level, so it is info.
    UnknownLogLevel {
        /// What was given.
        value: String,
        /// Where.
        origin: Origin,
    },
    /// A line that sends HEARTBEAT as often as expected would be disconnected all the same.
    HeartbeatTimeoutShort {
        /// The timeout.
        timeout_ms: u64,
        /// The interval.
        interval_ms: u64,
    },
    /// A line of `.env` that is not about this program cannot be understood and was skipped.
    DotEnvLineSkipped {
        /// The line, from 1.
        line: usize,
    },
    /// Whoever reaches the address may register and dial.
    OpenToTheNetwork {
        /// The address.
        listen: SocketAddr,
    },
    /// Whoever reaches the address may run any program on this machine.
    SpawnOpenToTheNetwork,
    /// Clients have to authenticate, and any web page may use what their browsers hold.
    OpenToAnyPage,
    /// PROXY headers are expected, and of nobody.
    ProxyHeadersOfNobody,
    /// Anybody may claim to be anybody.
    TrustsEverybody,
    /// Whoever listens on the way to the webhook of call records hears the token, and the records.
    WebhookTokenInTheClear,
    /// What the environment says about traces, to all programs of the machine, cannot be done: none are sent.
    NoTraces {
        /// The setting.
        setting: &'static Setting,
        /// What was given, as far as it may be shown.
        value: String,
        /// Where.
        origin: Origin,
        /// The cargo feature that it takes; `None`: it cannot be done by any build.
        feature: Option<&'static str>,
    },
    /// Whoever listens on the way to the collector of traces hears the headers, and who calls whom.
    TraceHeadersInTheClear,
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Warning::UnknownVariable { variable, origin, nearest } => {
                write!(f, "unknown variable {variable} ({origin})")?;
                nearest.as_ref().map_or(Ok(()), |nearest| write!(f, "; did you mean {nearest}?"))
            }
            Warning::NoEffectYet { variable, origin } => {
                write!(f, "{variable} ({origin}) is not supported by this version yet and has no effect")
            }
            Warning::UnknownFederationKey { place, nearest } => {
                write!(f, "FEDERATION_CONFIG: unknown key {place}")?;
                nearest.map_or(Ok(()), |nearest| write!(f, "; did you mean {nearest:?}?"))
            }
            Warning::FederationNotEnabled => {
                f.write_str("FEDERATION_PEER_URL is set, but only FEDERATION_ENABLED=true links with it; there is no link")
            }
            Warning::PeerRenamed { id, renamed } => {
                write!(f, "FEDERATION_CONFIG: two peers are called {id:?}; the later one is {renamed:?} now")
            }
            Warning::UnknownLogLevel { value, origin } => {
                write!(f, "SYSTEMX_LOG_LEVEL: {value:?} ({origin}) is not one of debug, info, warn, error; info is used")
            }
            Warning::HeartbeatTimeoutShort { timeout_ms, interval_ms } => write!(
                f,
                "SYSTEMX_HEARTBEAT_TIMEOUT ({timeout_ms} ms) is not longer than SYSTEMX_HEARTBEAT_INTERVAL \
                 ({interval_ms} ms); lines that keep the interval will be disconnected"
            ),
            Warning::DotEnvLineSkipped { line } => write!(f, ".env line {line} is not NAME=value and was skipped"),
            Warning::OpenToTheNetwork { listen } => write!(
                f,
                "listening on {listen} without authentication: whoever can reach it may register any address and dial; \
                 set SYSTEMX_HOST=127.0.0.1 to keep it on this machine"
            ),
            Warning::SpawnOpenToTheNetwork => {
                f.write_str("SYSTEMX_WAKE_SPAWN is * on a public address: whoever can reach it may run any program on this machine")
            }
            Warning::OpenToAnyPage => f.write_str(
                "authentication is on and SYSTEMX_ALLOWED_ORIGINS is not set: any web page that a user visits may connect from \
                 the user's browser; list the origins of your pages, or set it to * if any is meant",
            ),
            Warning::ProxyHeadersOfNobody => f.write_str(
                "SYSTEMX_PROXY_PROTOCOL is on and SYSTEMX_TRUSTED_PROXIES is not set: no connection's PROXY header is read; \
                 set it to the networks of your proxies",
            ),
            Warning::WebhookTokenInTheClear => f.write_str(
                "SYSTEMX_CALL_RECORDS_WEBHOOK is http:// and leaves this machine: its token and who called whom can be read on the \
                 way; use https://",
            ),
            Warning::NoTraces { setting, value, origin, feature } => {
                write!(f, "no traces are sent, for {} is {value:?} ({origin}): ", setting.env)?;
                match feature {
                    Some(feature) => write!(
                        f,
                        "this systemx was built without the feature {feature}; build it with --features {feature}"
                    )?,
                    None => write!(f, "it must be {}", setting.allowed())?,
                }
                f.write_str(", or set OTEL_TRACES_EXPORTER=none if none are wanted")
            }
            Warning::TraceHeadersInTheClear => f.write_str(
                "OTEL_EXPORTER_OTLP_ENDPOINT is http:// and leaves this machine: OTEL_EXPORTER_OTLP_HEADERS and who calls whom can be \
                 read on the way; use https://",
            ),
            Warning::TrustsEverybody => f.write_str(
                "SYSTEMX_TRUSTED_PROXIES has a network of all addresses: whoever can reach the port may claim to be any client; \
                 set it to the networks of your proxies",
            ),
        }
    }
}
