//! The configuration: everything an operator can change, checked, with units in the names. [`Config::load`] is pure (sources in,
//! configuration or all mistakes out); [`process`] is the only part that reads the environment and files, once, at start.
//! No other module may read an environment variable or repeat a default, and a `Config` never changes after the start.
//! Adding a setting: one row in [`settings`], one field here, one line in [`Config::check`].

pub mod admin;
mod doorway;
pub mod error;
pub mod federation;
mod later;
pub mod process;
pub mod raw;
mod reader;
pub mod records;
pub mod settings;
#[cfg(test)]
mod tests;
mod tls;
pub mod traces;

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::thread::available_parallelism;

pub use crate::exchange::tie::Secret;
pub use crate::logging::{LogFormat, LogLevel};
pub use admin::{Admin, AdminToken};
pub use error::{ConfigError, Origin, Warning};
pub use federation::Federation;
pub use raw::{RawConfig, RawFlags};
pub use records::RecordSettings;
pub use settings::{SETTINGS, Setting};
pub use tls::TlsFiles;
pub use traces::TraceSettings;

use reader::Reader;

use crate::proxy::Networks;
use crate::websocket::origin::AllowedOrigins;

/// The shortest period of the heartbeat check (spec 7); a shorter interval is checked this often all the same.
const HEARTBEAT_CHECK_MS_MIN: u64 = 5_000;

/// A checked configuration. Every field is explained by its row in [`settings`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Where to listen; port 0 lets the system choose.
    pub listen: SocketAddr,
    /// Shard threads, 1 to 64.
    pub shards: usize,
    /// Whether each shard thread is bound to one core.
    pub pin: bool,
    /// Whether frames are sent in batches where the system has io_uring.
    pub io_uring: bool,
    /// How long an idle shard spins before it sleeps.
    pub spin_us: u64,

    /// What connections are encrypted with; `None`: they are not.
    pub tls: Option<TlsFiles>,

    /// How often clients are expected to send HEARTBEAT (spec 7).
    pub heartbeat_interval_ms: u64,
    /// Silence after which a line is disconnected (spec 7).
    pub heartbeat_timeout_ms: u64,
    /// How long a call may ring (spec 9).
    pub call_timeout_ms: u64,
    /// The limit on dials of one line; `None`: unlimited (spec 9).
    pub dial_rate: Option<DialRate>,
    /// Which spawn wake handlers are accepted (spec 15).
    pub spawn_policy: SpawnPolicy,

    /// The authentication file (spec 23).
    pub auth_file: Option<PathBuf>,
    /// Its short form.
    pub auth_tokens: Option<Secret>,
    /// How long a registration outlives its token.
    pub auth_grace_seconds: u64,

    /// The admin listener; `None`: there is none.
    pub admin: Option<Admin>,

    /// Least level that is logged.
    pub log_level: LogLevel,
    /// Form of log lines.
    pub log_format: LogFormat,
    /// Whether `logs@system.local` exists (spec 20).
    pub log_stream: bool,
    /// File that gets one JSON line per ended call (spec 22).
    pub call_log: Option<PathBuf>,
    /// Where call records are kept and sent besides.
    pub records: RecordSettings,
    /// Where calls are sent to as traces, and which; `None`: none are.
    pub traces: Option<TraceSettings>,
    /// Whether the path `/echo` echoes.
    pub echo_endpoint: bool,

    /// Longest message of a registered line.
    pub message_bytes_max: usize,
    /// Longest message before REGISTER; at most `message_bytes_max`.
    pub unregistered_message_bytes_max: usize,
    /// Unfinished messages of all unregistered lines together.
    pub unregistered_bytes_total: usize,
    /// Unfinished messages of all registered lines together.
    pub input_bytes_total: usize,
    /// Unsent bytes kept for one connection.
    pub output_bytes_max: usize,
    /// Unsent bytes kept for all connections together.
    pub output_bytes_total: usize,
    /// Unsent bytes at which the peer of a call is no longer read; at most `output_bytes_max`.
    pub output_high_water_bytes: usize,
    /// Unsent bytes at which the peer is read again; less than `output_high_water_bytes`.
    pub output_low_water_bytes: usize,
    /// Time without progress after which a connection that does not read is closed.
    pub slow_consumer_ms: u64,
    /// Longest metadata of a registration.
    pub metadata_bytes_max: usize,
    /// Calls one line may hold at a time.
    pub calls_per_line_max: usize,
    /// Party lines one line may be on at a time.
    pub parties_per_line_max: usize,
    /// Members of one party line.
    pub party_members_max: usize,
    /// Most entries of one PRESENCE_RESULT.
    pub presence_limit: usize,

    /// The web pages that may connect.
    pub allowed_origins: AllowedOrigins,
    /// The proxies that are believed whose connection it is.
    pub trusted_proxies: Networks,
    /// Whether connections from them begin with a PROXY protocol header.
    pub proxy_protocol: bool,
    /// Time a connection has to finish its WebSocket handshake.
    pub handshake_timeout_ms: u64,
    /// Unfinished handshakes per shard.
    pub handshakes_max: usize,
    /// Connections in all; `None`: bounded by the descriptor limit alone.
    pub connections_max: Option<usize>,
    /// Connections per client address; `None`: unlimited.
    pub connections_per_ip_max: Option<usize>,
    /// Signals that fit on the way from one shard to another.
    pub trunk_capacity: usize,
    /// Connections let in in the first second of a storm; `None`: no limit.
    pub accept_per_second: Option<usize>,
    /// How long SIGTERM lets calls go on; 0: it stops at once.
    pub drain_seconds: u64,
    /// After how long clients that are sent away are told to come back, at least.
    pub drain_retry_ms: u64,
    /// Longest orderly stop.
    pub stop_timeout_ms: u64,

    /// The exchanges to link with (spec 19.9), and what is wrong with them: none of that stops the start.
    pub federation: Federation,
}

/// A limit on dials: so many within a sliding window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DialRate {
    /// Dials allowed within the window, at least 1.
    pub attempts_max: u32,
    /// Length of the window, at least 1.
    pub window_ms: u64,
}

/// Which spawn wake handlers REGISTER accepts (spec 15).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SpawnPolicy {
    /// Any command: every listener is bound to loopback, or the operator said `*`.
    AllowedAll,
    /// Commands whose program is one of these absolute paths.
    AllowedList(Vec<PathBuf>),
    /// None.
    Disabled,
}

impl SpawnPolicy {
    /// Whether a handler may run `program`, the first word of its command. Paths are compared as written.
    pub fn allows(&self, program: &str) -> bool {
        match self {
            SpawnPolicy::AllowedAll => true,
            SpawnPolicy::AllowedList(paths) => paths.iter().any(|path| path.as_os_str() == program),
            SpawnPolicy::Disabled => false,
        }
    }
}

impl Config {
    /// Checks what the four sources say; flags win over `env`, that over `dotenv`, that over `toml` (its path and text).
    /// Reports every mistake at once. Reads nothing but its arguments and the number of cores.
    pub fn load(
        flags: RawFlags,
        env: impl Iterator<Item = (String, String)>,
        dotenv: Option<&str>,
        toml: Option<(&Path, &str)>,
    ) -> Result<(Config, Vec<Warning>), Vec<ConfigError>> {
        Config::check(RawConfig::gather(flags, env, dotenv, toml))
    }

    /// Checks what was gathered. The second half of [`Config::load`].
    pub fn check(mut raw: RawConfig) -> Result<(Config, Vec<Warning>), Vec<ConfigError>> {
        let (mut errors, mut warnings) = (std::mem::take(&mut raw.errors), std::mem::take(&mut raw.warnings));
        let later_warnings = later::check(&raw);
        let (federation, federation_warnings) = federation::read(&raw);
        let mut reader = Reader::new(&raw);
        let config = Config { federation, ..Config::read(&mut reader) };
        let said = later_warnings.into_iter().chain(reader.warnings).chain(federation_warnings);
        warnings.extend(said.chain(config.oddities()));
        warnings.extend(doorway::warnings(&raw, &config));
        errors.extend(reader.errors);
        // A contradiction that comes from a value already refused would only confuse.
        if errors.is_empty() {
            errors = config.contradictions();
        }
        if errors.is_empty() { Ok((config, warnings)) } else { Err(errors) }
    }

    /// Whether anybody but this machine can reach the listener.
    pub fn is_public(&self) -> bool {
        !is_loopback(self.listen.ip())
    }

    /// Whether anything says who may do what.
    pub fn has_rules(&self) -> bool {
        self.auth_file.is_some() || self.auth_tokens.is_some()
    }

    /// The period of the heartbeat check, as the specification gives it (spec 7).
    pub fn heartbeat_check_ms(&self) -> u64 {
        self.heartbeat_interval_ms.max(HEARTBEAT_CHECK_MS_MIN)
    }

    /// One line per field. Refused values are noted in the reader and stand for their defaults until the end of the check.
    fn read(reader: &mut Reader<'_>) -> Config {
        let host = reader.host(&settings::HOST);
        Config {
            listen: SocketAddr::new(host, reader.port(&settings::PORT)),
            shards: reader.optional_count(&settings::SHARDS).unwrap_or_else(cores),
            pin: reader.switch(&settings::PIN),
            io_uring: reader.switch(&settings::IO_URING),
            spin_us: reader.amount(&settings::SPIN_US),
            tls: tls::read(reader),
            heartbeat_interval_ms: reader.amount(&settings::HEARTBEAT_INTERVAL),
            heartbeat_timeout_ms: reader.amount(&settings::HEARTBEAT_TIMEOUT),
            call_timeout_ms: reader.amount(&settings::CALL_TIMEOUT),
            dial_rate: read_dial_rate(reader),
            spawn_policy: read_spawn_policy(reader, host),
            auth_file: reader.file(&settings::AUTH_FILE),
            auth_tokens: reader.tokens(&settings::AUTH_TOKENS),
            auth_grace_seconds: reader.amount(&settings::AUTH_GRACE_SECONDS),
            admin: admin::read(reader),
            log_level: reader.log_level(&settings::LOG_LEVEL),
            log_format: reader.log_format(&settings::LOG_FORMAT),
            log_stream: reader.switch(&settings::LOG_STREAM),
            call_log: reader.file(&settings::CALL_LOG),
            records: records::read(reader),
            traces: traces::read(reader),
            echo_endpoint: reader.switch(&settings::ECHO_ENDPOINT),
            message_bytes_max: reader.count(&settings::MESSAGE_BYTES_MAX),
            unregistered_message_bytes_max: reader.count(&settings::UNREGISTERED_MESSAGE_BYTES_MAX),
            unregistered_bytes_total: reader.count(&settings::UNREGISTERED_BYTES_TOTAL),
            input_bytes_total: reader.count(&settings::INPUT_BYTES_TOTAL),
            output_bytes_max: reader.count(&settings::OUTPUT_BYTES_MAX),
            output_bytes_total: reader.count(&settings::OUTPUT_BYTES_TOTAL),
            output_high_water_bytes: reader.count(&settings::OUTPUT_HIGH_WATER),
            output_low_water_bytes: reader.count(&settings::OUTPUT_LOW_WATER),
            slow_consumer_ms: reader.amount(&settings::SLOW_CONSUMER_MS),
            metadata_bytes_max: reader.count(&settings::METADATA_BYTES_MAX),
            calls_per_line_max: reader.count(&settings::CALLS_PER_LINE),
            parties_per_line_max: reader.count(&settings::PARTIES_PER_LINE),
            party_members_max: reader.count(&settings::PARTY_MEMBERS_MAX),
            presence_limit: reader.count(&settings::PRESENCE_LIMIT),
            allowed_origins: reader.origins(&settings::ALLOWED_ORIGINS),
            trusted_proxies: reader.networks(&settings::TRUSTED_PROXIES),
            proxy_protocol: reader.switch(&settings::PROXY_PROTOCOL),
            handshake_timeout_ms: reader.amount(&settings::HANDSHAKE_TIMEOUT_MS),
            handshakes_max: reader.count(&settings::HANDSHAKES_MAX),
            connections_max: reader.optional_count(&settings::CONNECTIONS_MAX),
            connections_per_ip_max: reader.optional_count(&settings::CONNECTIONS_PER_IP),
            trunk_capacity: reader.count(&settings::TRUNK_CAPACITY),
            accept_per_second: reader.optional_count(&settings::ACCEPT_PER_SECOND),
            drain_seconds: reader.amount(&settings::DRAIN_SECONDS),
            drain_retry_ms: reader.amount(&settings::DRAIN_RETRY_MS),
            stop_timeout_ms: reader.amount(&settings::STOP_TIMEOUT_MS),
            federation: Federation::default(),
        }
    }

    /// Settings that exclude each other.
    fn contradictions(&self) -> Vec<ConfigError> {
        let not_less = |smaller, smaller_bytes: usize, larger, larger_bytes: usize, strictly: bool| {
            let fits = if strictly { smaller_bytes < larger_bytes } else { smaller_bytes <= larger_bytes };
            let (smaller_value, larger_value) = (smaller_bytes as u64, larger_bytes as u64);
            (!fits).then_some(ConfigError::Conflict {
                smaller,
                smaller_value,
                larger,
                larger_value,
                strictly,
            })
        };
        let (low, high) = (self.output_low_water_bytes, self.output_high_water_bytes);
        let (message, early_message) = (self.message_bytes_max, self.unregistered_message_bytes_max);
        use settings as s;
        [
            not_less(&s::OUTPUT_LOW_WATER, low, &s::OUTPUT_HIGH_WATER, high, true),
            not_less(&s::OUTPUT_HIGH_WATER, high, &s::OUTPUT_BYTES_MAX, self.output_bytes_max, false),
            not_less(
                &s::OUTPUT_BYTES_MAX,
                self.output_bytes_max,
                &s::OUTPUT_BYTES_TOTAL,
                self.output_bytes_total,
                false,
            ),
            not_less(
                &s::UNREGISTERED_MESSAGE_BYTES_MAX,
                early_message,
                &s::MESSAGE_BYTES_MAX,
                message,
                false,
            ),
            // A message that fits by itself must fit beside nothing else.
            not_less(
                &s::UNREGISTERED_MESSAGE_BYTES_MAX,
                early_message,
                &s::UNREGISTERED_BYTES_TOTAL,
                self.unregistered_bytes_total,
                false,
            ),
            not_less(&s::MESSAGE_BYTES_MAX, message, &s::INPUT_BYTES_TOTAL, self.input_bytes_total, false),
        ]
        .into_iter()
        .flatten()
        .collect()
    }

    /// Settings that are allowed and worth a word.
    fn oddities(&self) -> Vec<Warning> {
        let (timeout_ms, interval_ms) = (self.heartbeat_timeout_ms, self.heartbeat_interval_ms);
        let short =
            (timeout_ms <= interval_ms).then_some(Warning::HeartbeatTimeoutShort { timeout_ms, interval_ms });
        let open = (self.is_public() && !self.has_rules())
            .then_some(Warning::OpenToTheNetwork { listen: self.listen });
        let spawns_anything = self.is_public() && self.spawn_policy == SpawnPolicy::AllowedAll;
        let spawn = spawns_anything.then_some(Warning::SpawnOpenToTheNetwork);
        [short, open, spawn].into_iter().flatten().collect()
    }
}

/// An address mapped into IPv6 is as local as the one inside it.
fn is_loopback(ip: IpAddr) -> bool {
    ip.to_canonical().is_loopback()
}

/// The cores this process may use: affinity and the container's quota count. The largest useful number is the table's.
fn cores() -> usize {
    let cores = available_parallelism().map_or(1, |cores| cores.get());
    cores.min(reader::largest(&settings::SHARDS))
}

/// 0 or less in either part switches the limit off (spec 21).
fn read_dial_rate(reader: &mut Reader<'_>) -> Option<DialRate> {
    // Both are read first, so that a mistake in the second is reported even if the first says "unlimited".
    let (attempts, window) =
        (reader.integer(&settings::DIAL_MAX_ATTEMPTS), reader.integer(&settings::DIAL_WINDOW_MS));
    let attempts_max = u32::try_from(attempts).ok().filter(|attempts| *attempts > 0)?;
    let window_ms = u64::try_from(window).ok().filter(|window| *window > 0)?;
    Some(DialRate { attempts_max, window_ms })
}

/// The rule of spec 15: all on a machine of one's own, else what the operator listed.
fn read_spawn_policy(reader: &mut Reader<'_>, host: IpAddr) -> SpawnPolicy {
    let listed = reader.commands(&settings::WAKE_SPAWN);
    if is_loopback(host) { SpawnPolicy::AllowedAll } else { listed }
}
