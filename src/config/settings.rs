//! The table of settings: one row for each thing an operator can change, with its names, default, unit and range.
//! Flags, environment, `.env`, TOML file, `check-config`, the hints for misspelt names, `.env.example` and the README's
//! table all follow it, so a new setting is one row here and one field in `Config`.
//! Nothing is read and nothing is decided here. A default must pass its own check (a test walks all rows).

/// One setting of the program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Setting {
    /// The TOML key, in snake case; the flag is the same in kebab case.
    pub name: &'static str,
    /// The variable in the environment and in `.env`.
    pub env: &'static str,
    /// What holds when nobody says anything, in the form an operator would write; empty means unset.
    pub default: &'static str,
    /// What the number counts.
    pub unit: Unit,
    /// Which values are allowed.
    pub kind: Kind,
    /// One line for `--help` and the tables.
    pub help: &'static str,
}

/// What the number of a setting counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Words, switches, paths and plain counts.
    None,
    /// Milliseconds.
    Milliseconds,
    /// Microseconds.
    Microseconds,
    /// Bytes.
    Bytes,
    /// Seconds.
    Seconds,
}

/// Which values a setting allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A whole number in `min..=max`; `min` of `i64::MIN` means that 0 and less switch the limit off.
    Integer {
        /// The smallest allowed number.
        min: i64,
        /// The largest allowed number.
        max: i64,
    },
    /// A switch: true/on/yes/1 or false/off/no/0.
    Switch,
    /// A switch that no other words turn than exactly `true` and `false`.
    ExactSwitch,
    /// An IP address to listen on, or `localhost`.
    Host,
    /// An IP address and a port to listen on, or `off`.
    Listener,
    /// A comma list of host names.
    Hosts,
    /// One of these words, in any case.
    Word(&'static [&'static str]),
    /// A comma list of absolute paths, or `*`.
    Commands,
    /// The path of a file.
    File,
    /// Any text.
    Text,
    /// A URL. It may hold a secret, so only a part of it is shown.
    Url,
    /// A number from 0 to 1.
    Ratio,
    /// A text that is never shown, and cannot be given as a flag: whoever lists processes would see it.
    Hidden,
    /// Tokens and what they open: as little shown, and no flag either.
    Tokens,
    /// A comma list of origins of web pages, or `*`.
    Origins,
    /// A comma list of networks and single addresses.
    Networks,
}

impl Setting {
    /// The command line flag with its dashes.
    pub fn flag(&self) -> String {
        format!("--{}", self.name.replace('_', "-"))
    }

    /// What may be written, as the end of the sentence "allowed is ...".
    pub fn allowed(&self) -> String {
        match self.kind {
            Kind::Integer { min: i64::MIN, max } => {
                format!("a whole number up to {max}, 0 or less for no limit")
            }
            Kind::Integer { min, max } => format!("a whole number from {min} to {max}"),
            Kind::Switch => "true or false".to_owned(),
            Kind::ExactSwitch => "exactly true or false".to_owned(),
            Kind::Host => "an IP address or localhost".to_owned(),
            Kind::Listener => "an IP address and a port (127.0.0.1:8081, [::1]:8081), or off".to_owned(),
            Kind::Hosts => "a comma list of host names without ports (console.corp.test, systemx)".to_owned(),
            Kind::Word(words) => format!("one of {}", words.join(", ")),
            Kind::Commands => "a comma list of absolute paths, or *".to_owned(),
            Kind::File => "the path of a file".to_owned(),
            Kind::Text => "a text".to_owned(),
            Kind::Hidden if self.env == ADMIN_TOKEN.env => {
                format!("at least {ADMIN_TOKEN_BYTES_MIN} visible characters of ASCII")
            }
            Kind::Hidden if self.env == OTEL_EXPORTER_OTLP_HEADERS.env => {
                "a comma list of name=value, values percent-encoded".to_owned()
            }
            Kind::Hidden => "a text".to_owned(),
            Kind::Url => "a URL".to_owned(),
            Kind::Ratio => "a number from 0 to 1".to_owned(),
            Kind::Tokens => "a comma list of token=pattern".to_owned(),
            Kind::Origins => "a comma list of origins (https://app.corp.test, https://*.corp.test, null), or *".to_owned(),
            Kind::Networks => {
                "a comma list of networks (10.0.0.0/8, fd00::/8; no bits set beyond the prefix) or single addresses"
                    .to_owned()
            }
        }
    }

    /// Whether a command line flag may say it.
    pub fn has_flag(&self) -> bool {
        !matches!(self.kind, Kind::Hidden | Kind::Tokens)
    }

    /// Whether it is about links to other exchanges: mistakes there switch the links off and do not stop the start (spec 21).
    pub fn is_of_federation(&self) -> bool {
        self.env.starts_with(FEDERATION_PREFIX)
    }
}

/// What the variables of federation begin with.
pub const FEDERATION_PREFIX: &str = "FEDERATION_";

impl Unit {
    /// The unit as it stands behind a number; empty for none.
    pub fn name(self) -> &'static str {
        match self {
            Unit::None => "",
            Unit::Milliseconds => "ms",
            Unit::Microseconds => "us",
            Unit::Bytes => "bytes",
            Unit::Seconds => "s",
        }
    }
}

/// A day: no interval of this program makes sense beyond it.
const DAY_MS: i64 = 86_400_000;
/// The longest message: frame lengths and offsets inside the program are 32-bit.
const MESSAGE_BYTES_LARGEST: i64 = 1 << 30;
/// The shortest useful limit of a message: a REGISTER with a 255-character address must fit.
const MESSAGE_BYTES_SMALLEST: i64 = 1 << 11;
/// The largest sum of bytes that may be configured: 1 TiB, more than the machines this runs on have.
const TOTAL_BYTES_LARGEST: i64 = 1 << 40;
/// The largest count of anything: ids inside the program are 32-bit.
const COUNT_LARGEST: i64 = 1 << 31;
/// The most shards: home shards and trunks are numbered in a byte, and trunks grow with the square.
const SHARDS_LARGEST: i64 = 64;
/// Spinning longer than this burns a core for nothing; a wake costs 25 us.
const SPIN_US_LARGEST: i64 = 10_000;
/// A trunk shorter than a turn's flush batch would only produce overflow.
const TRUNK_CAPACITY_SMALLEST: i64 = 16;
/// A trunk's slots are allocated at start: 64 shards of this capacity already take 256 GiB.
const TRUNK_CAPACITY_LARGEST: i64 = 1 << 20;
/// A century of call records.
const RECORD_DAYS_LARGEST: i64 = 36_500;
/// The smallest file of call records: empty tables and some thousand calls.
const RECORD_BYTES_SMALLEST: i64 = 1 << 20;
/// Switches the limit off when the number is 0 or less.
const UNLIMITED: i64 = i64::MIN;

/// A row for a number; `range` is its smallest and largest value.
const fn number(
    name: &'static str,
    env: &'static str,
    default: &'static str,
    unit: Unit,
    range: (i64, i64),
    help: &'static str,
) -> Setting {
    Setting { name, env, default, unit, kind: Kind::Integer { min: range.0, max: range.1 }, help }
}

/// A row for anything that is not a number.
const fn word(
    name: &'static str,
    env: &'static str,
    default: &'static str,
    kind: Kind,
    help: &'static str,
) -> Setting {
    Setting { name, env, default, unit: Unit::None, kind, help }
}

/// Declares each row under its constant's name and lists it in [`SETTINGS`], so that no row can be forgotten.
macro_rules! table {
    ($($key:ident = $row:expr;)+) => {
        $(#[doc = concat!("The row of the setting `", stringify!($key), "`.")] pub const $key: Setting = $row;)+
        /// Every setting, in the order of the documents.
        pub const SETTINGS: &[&Setting] = &[$(&$key),+];
    };
}

use Unit::{Bytes, Microseconds, Milliseconds, Seconds};

table! {
    HOST = word("host", "SYSTEMX_HOST", "0.0.0.0", Kind::Host, "address to listen on");
    PORT = number("port", "SYSTEMX_PORT", "8080", Unit::None, (0, 65_535), "port to listen on; 0 lets the system choose");
    SHARDS = number("shards", "SYSTEMX_SHARDS", "", Unit::None, (1, SHARDS_LARGEST),
        "shard threads; unset: the cores this process may use");
    PIN = word("pin", "SYSTEMX_PIN", "false", Kind::Switch, "bind each shard thread to one core");
    SPIN_US = number("spin_us", "SYSTEMX_SPIN_US", "0", Microseconds, (0, SPIN_US_LARGEST),
        "how long an idle shard spins before it sleeps");
    IO_URING = word("io_uring", "SYSTEMX_IO_URING", "true", Kind::Switch,
        "send many frames in one system call where the system has io_uring");

    TLS_ENABLED = word("tls_enabled", "TLS_ENABLED", "false", Kind::ExactSwitch,
        "serve wss:// instead of ws://; only exactly true switches it on");
    TLS_CERT_PATH = word("tls_cert_path", "TLS_CERT_PATH", "", Kind::File,
        "certificate of the exchange, with its chain (PEM)");
    TLS_KEY_PATH = word("tls_key_path", "TLS_KEY_PATH", "", Kind::File, "key of that certificate (PEM)");
    TLS_CLIENT_CA = word("tls_client_ca", "SYSTEMX_TLS_CLIENT_CA", "", Kind::File,
        "authorities whose certificates clients may show (PEM)");
    TLS_CLIENT_CERT_REQUIRED = word("tls_client_cert_required", "SYSTEMX_TLS_CLIENT_CERT_REQUIRED", "false", Kind::Switch,
        "let in only clients that show such a certificate");

    HEARTBEAT_INTERVAL = number("heartbeat_interval", "SYSTEMX_HEARTBEAT_INTERVAL", "30000", Milliseconds, (1, DAY_MS),
        "how often clients are expected to send HEARTBEAT");
    HEARTBEAT_TIMEOUT = number("heartbeat_timeout", "SYSTEMX_HEARTBEAT_TIMEOUT", "60000", Milliseconds, (1, DAY_MS),
        "silence after which a line is disconnected");
    CALL_TIMEOUT = number("call_timeout", "SYSTEMX_CALL_TIMEOUT", "30000", Milliseconds, (1, DAY_MS),
        "how long a call may ring");
    DIAL_MAX_ATTEMPTS = number("dial_max_attempts", "SYSTEMX_DIAL_MAX_ATTEMPTS", "10", Unit::None, (UNLIMITED, COUNT_LARGEST),
        "dials a line may start within the window; 0 or less: no limit");
    DIAL_WINDOW_MS = number("dial_window_ms", "SYSTEMX_DIAL_WINDOW_MS", "60000", Milliseconds, (UNLIMITED, DAY_MS),
        "length of the dial window; 0 or less: no limit");
    WAKE_SPAWN = word("wake_spawn", "SYSTEMX_WAKE_SPAWN", "", Kind::Commands,
        "programs that spawn wake handlers may run when not bound to loopback: absolute paths, or * for any");

    AUTH_FILE = word("auth_file", "SYSTEMX_AUTH_FILE", "", Kind::File,
        "file that says who may register, dial, connect exchanges and be woken; read again on SIGHUP");
    AUTH_TOKENS = word("auth_tokens", "SYSTEMX_AUTH_TOKENS", "", Kind::Tokens,
        "tokens and the addresses they open: token=pattern, separated by commas");
    AUTH_GRACE_SECONDS = number("auth_grace_seconds", "SYSTEMX_AUTH_GRACE_SECONDS", "30", Seconds, (0, DAY_MS / 1000),
        "how long a registration outlives the token it was made with");

    ADMIN = word("admin", "SYSTEMX_ADMIN", "127.0.0.1:8081", Kind::Listener,
        "address and port of the admin listener: health, metrics, console; off for none");
    ADMIN_TOKEN = word("admin_token", "SYSTEMX_ADMIN_TOKEN", "", Kind::Hidden,
        "token that whoever uses the admin listener has to show; required if it is not on loopback");
    ADMIN_TOKEN_FILE = word("admin_token_file", "SYSTEMX_ADMIN_TOKEN_FILE", "", Kind::File,
        "file that holds this token, instead of the variable");
    ADMIN_HOSTS = word("admin_hosts", "SYSTEMX_ADMIN_HOSTS", "", Kind::Hosts,
        "names by which the admin listener may be called, besides localhost and IP addresses");
    ADMIN_PAYLOADS = word("admin_payloads", "SYSTEMX_ADMIN_PAYLOADS", "false", Kind::Switch,
        "let operators watch what parties say to each other, if they ask for it; otherwise only who sends what when");

    LOG_LEVEL = word("log_level", "SYSTEMX_LOG_LEVEL", "info", Kind::Word(&["debug", "info", "warn", "error"]),
        "least level that is logged");
    LOG_FORMAT = word("log_format", "SYSTEMX_LOG_FORMAT", "text", Kind::Word(&["text", "json"]), "form of log lines");
    LOG_STREAM = word("log_stream", "SYSTEMX_LOG_STREAM", "on", Kind::Switch,
        "offer the log stream at logs@system.local");
    CALL_LOG = word("call_log", "SYSTEMX_CALL_LOG", "", Kind::File, "file that gets one JSON line per ended call");
    CALL_RECORDS = word("call_records", "SYSTEMX_CALL_RECORDS", "", Kind::File,
        "SQLite file that keeps call records for `systemx calls`; unset: none are kept");
    CALL_RECORDS_DAYS = number("call_records_days", "SYSTEMX_CALL_RECORDS_DAYS", "90", Unit::None, (1, RECORD_DAYS_LARGEST),
        "days after which a call record is deleted from that file");
    CALL_RECORDS_MAX_BYTES = number("call_records_max_bytes", "SYSTEMX_CALL_RECORDS_MAX_BYTES", "1073741824", Bytes,
        (RECORD_BYTES_SMALLEST, TOTAL_BYTES_LARGEST), "size of that file beyond which the oldest records are deleted");
    CALL_RECORDS_WEBHOOK = word("call_records_webhook", "SYSTEMX_CALL_RECORDS_WEBHOOK", "", Kind::Url,
        "http:// or https:// URL that call records are posted to; unset: none");
    CALL_RECORDS_WEBHOOK_TOKEN = word("call_records_webhook_token", "SYSTEMX_CALL_RECORDS_WEBHOOK_TOKEN", "", Kind::Hidden,
        "bearer token that goes along with them");
    OTEL_SDK_DISABLED = word("otel_sdk_disabled", "OTEL_SDK_DISABLED", "false", Kind::Word(&["true", "false"]),
        "true: no traces are sent, whatever else is set");
    OTEL_TRACES_EXPORTER = word("otel_traces_exporter", "OTEL_TRACES_EXPORTER", "otlp", Kind::Word(&["otlp", "none"]),
        "none: no traces are sent, whatever else is set");
    OTEL_EXPORTER_OTLP_ENDPOINT = word("otel_exporter_otlp_endpoint", "OTEL_EXPORTER_OTLP_ENDPOINT", "", Kind::Url,
        "http:// or https:// URL of an OpenTelemetry collector that calls are sent to as traces, below /v1/traces; unset: none");
    OTEL_EXPORTER_OTLP_TRACES_ENDPOINT = word("otel_exporter_otlp_traces_endpoint", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "", Kind::Url,
        "the same with its whole path; wins over the one before");
    OTEL_EXPORTER_OTLP_HEADERS = word("otel_exporter_otlp_headers", "OTEL_EXPORTER_OTLP_HEADERS", "", Kind::Hidden,
        "headers that go along with traces: name=value, separated by commas");
    OTEL_EXPORTER_OTLP_PROTOCOL = word("otel_exporter_otlp_protocol", "OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf",
        Kind::Word(&["http/protobuf"]), "how traces are sent; there is no other way");
    OTEL_EXPORTER_OTLP_TIMEOUT = number("otel_exporter_otlp_timeout", "OTEL_EXPORTER_OTLP_TIMEOUT", "10000", Milliseconds, (1, DAY_MS),
        "how long the collector may take for a batch of traces");
    OTEL_SERVICE_NAME = word("otel_service_name", "OTEL_SERVICE_NAME", "systemx", Kind::Text,
        "what this program is called in traces");
    OTEL_TRACES_SAMPLER = word("otel_traces_sampler", "OTEL_TRACES_SAMPLER", "parentbased_traceidratio", Kind::Word(&SAMPLERS),
        "which calls are sent as traces; those that begin with parentbased leave it to callers that say a traceparent");
    OTEL_TRACES_SAMPLER_ARG = word("otel_traces_sampler_arg", "OTEL_TRACES_SAMPLER_ARG", "1", Kind::Ratio,
        "the share of traces that is sent by samplers with traceidratio in their name");
    ECHO_ENDPOINT = word("echo_endpoint", "SYSTEMX_ECHO_ENDPOINT", "false", Kind::Switch,
        "echo messages on the path /echo, for conformance suites");

    MESSAGE_BYTES_MAX = number("message_bytes_max", "SYSTEMX_MESSAGE_BYTES_MAX", "16777216", Bytes,
        (MESSAGE_BYTES_SMALLEST, MESSAGE_BYTES_LARGEST), "longest message of a registered line");
    UNREGISTERED_MESSAGE_BYTES_MAX = number("unregistered_message_bytes_max", "SYSTEMX_UNREGISTERED_MESSAGE_BYTES_MAX", "1048576",
        Bytes, (MESSAGE_BYTES_SMALLEST, MESSAGE_BYTES_LARGEST), "longest message before REGISTER");
    UNREGISTERED_BYTES_TOTAL = number("unregistered_bytes_total", "SYSTEMX_UNREGISTERED_BYTES_TOTAL", "268435456", Bytes,
        (MESSAGE_BYTES_SMALLEST, TOTAL_BYTES_LARGEST), "unfinished messages of all unregistered lines together");
    INPUT_BYTES_TOTAL = number("input_bytes_total", "SYSTEMX_INPUT_BYTES_TOTAL", "1073741824", Bytes,
        (MESSAGE_BYTES_SMALLEST, TOTAL_BYTES_LARGEST), "unfinished messages of all registered lines together");
    OUTPUT_BYTES_MAX = number("output_bytes_max", "SYSTEMX_OUTPUT_BYTES_MAX", "1048576", Bytes,
        (MESSAGE_BYTES_SMALLEST, MESSAGE_BYTES_LARGEST), "unsent bytes kept for one connection");
    OUTPUT_BYTES_TOTAL = number("output_bytes_total", "SYSTEMX_OUTPUT_BYTES_TOTAL", "1073741824", Bytes,
        (MESSAGE_BYTES_SMALLEST, TOTAL_BYTES_LARGEST), "unsent bytes kept for all connections together");
    OUTPUT_HIGH_WATER = number("output_high_water", "SYSTEMX_OUTPUT_HIGH_WATER", "262144", Bytes,
        (1, MESSAGE_BYTES_LARGEST), "unsent bytes at which the peer of a call is no longer read");
    OUTPUT_LOW_WATER = number("output_low_water", "SYSTEMX_OUTPUT_LOW_WATER", "65536", Bytes,
        (0, MESSAGE_BYTES_LARGEST), "unsent bytes at which the peer of a call is read again");
    SLOW_CONSUMER_MS = number("slow_consumer_ms", "SYSTEMX_SLOW_CONSUMER_MS", "10000", Milliseconds, (1, DAY_MS),
        "time without progress after which a connection that does not read is closed");
    METADATA_BYTES_MAX = number("metadata_bytes_max", "SYSTEMX_METADATA_BYTES_MAX", "65536", Bytes,
        (0, MESSAGE_BYTES_LARGEST), "longest metadata of a registration");
    CALLS_PER_LINE = number("calls_per_line", "SYSTEMX_CALLS_PER_LINE", "10000", Unit::None, (1, COUNT_LARGEST),
        "calls one line may hold at a time");
    PARTIES_PER_LINE = number("parties_per_line", "SYSTEMX_PARTIES_PER_LINE", "256", Unit::None, (1, COUNT_LARGEST),
        "party lines one line may be on at a time");
    PARTY_MEMBERS_MAX = number("party_members_max", "SYSTEMX_PARTY_MEMBERS_MAX", "10000", Unit::None, (1, COUNT_LARGEST),
        "members of one party line");
    PRESENCE_LIMIT = number("presence_limit", "SYSTEMX_PRESENCE_LIMIT", "10000", Unit::None, (1, COUNT_LARGEST),
        "most entries of one PRESENCE_RESULT");

    ALLOWED_ORIGINS = word("allowed_origins", "SYSTEMX_ALLOWED_ORIGINS", "*", Kind::Origins,
        "web pages that may connect, by their origins: https://app.corp.test, https://*.corp.test; * for any");
    TRUSTED_PROXIES = word("trusted_proxies", "SYSTEMX_TRUSTED_PROXIES", "", Kind::Networks,
        "networks of the proxies that are believed whose connection it is: 10.0.0.0/8, fd00::/8; unset: none");
    PROXY_PROTOCOL = word("proxy_protocol", "SYSTEMX_PROXY_PROTOCOL", "off", Kind::Switch,
        "connections from trusted proxies begin with a PROXY protocol header, version 1 or 2");
    HANDSHAKE_TIMEOUT_MS = number("handshake_timeout_ms", "SYSTEMX_HANDSHAKE_TIMEOUT_MS", "10000", Milliseconds, (1, DAY_MS),
        "time a connection has to finish its WebSocket handshake");
    HANDSHAKES_MAX = number("handshakes_max", "SYSTEMX_HANDSHAKES_MAX", "4096", Unit::None, (1, COUNT_LARGEST),
        "unfinished handshakes per shard");
    CONNECTIONS_MAX = number("connections_max", "SYSTEMX_CONNECTIONS_MAX", "0", Unit::None, (0, COUNT_LARGEST),
        "connections in all; 0: as many as the descriptor limit allows");
    CONNECTIONS_PER_IP = number("connections_per_ip", "SYSTEMX_CONNECTIONS_PER_IP", "0", Unit::None, (0, COUNT_LARGEST),
        "connections per client address, of IPv6 per network of 64 bits; 0: no limit");
    TRUNK_CAPACITY = number("trunk_capacity", "SYSTEMX_TRUNK_CAPACITY", "1024", Unit::None,
        (TRUNK_CAPACITY_SMALLEST, TRUNK_CAPACITY_LARGEST), "signals that fit on the way from one shard to another");
    ACCEPT_PER_SECOND = number("accept_per_second", "SYSTEMX_ACCEPT_PER_SECOND", "4000", Unit::None, (0, COUNT_LARGEST),
        "connections let in in the first second of a storm while there are calls, by as many more in each further one; 0: no limit");
    DRAIN_SECONDS = number("drain_seconds", "SYSTEMX_DRAIN_SECONDS", "0", Seconds, (0, DAY_MS / 1000),
        "how long SIGTERM lets calls go on while idle clients are sent away; 0: it stops at once");
    DRAIN_RETRY_MS = number("drain_retry_ms", "SYSTEMX_DRAIN_RETRY_MS", "5000", Milliseconds, (0, DAY_MS),
        "after how long clients that are sent away are told to come back, up to twice that");
    STOP_TIMEOUT_MS = number("stop_timeout_ms", "SYSTEMX_STOP_TIMEOUT_MS", "5000", Milliseconds, (0, DAY_MS),
        "longest orderly stop before the process ends anyway");

    FEDERATION_CONFIG = word("federation_config", "FEDERATION_CONFIG", "", Kind::File,
        "JSON file with the exchanges to link with; wins over the variables below");
    FEDERATION_ENABLED = word("federation_enabled", "FEDERATION_ENABLED", "", Kind::Text,
        "exactly true: link with the one exchange that the variables below describe");
    FEDERATION_PEER_URL = word("federation_peer_url", "FEDERATION_PEER_URL", "", Kind::Url,
        "ws:// or wss:// URL of that exchange; required");
    FEDERATION_ROUTES = word("federation_routes", "FEDERATION_ROUTES", "", Kind::Text,
        "comma list of patterns of the addresses that are called there; required");
    FEDERATION_DOMAIN = word("federation_domain", "FEDERATION_DOMAIN", DOMAIN_DEFAULT, Kind::Text,
        "domain by which this exchange introduces itself");
    FEDERATION_ANNOUNCE_ROUTES = word("federation_announce_routes", "FEDERATION_ANNOUNCE_ROUTES", "", Kind::Text,
        "comma list of patterns of the addresses that are called here; unset: those of the domain");
    FEDERATION_PEER_ID = word("federation_peer_id", "FEDERATION_PEER_ID", "", Kind::Text,
        "name of that exchange in logs; unset: host and port of its URL");
    FEDERATION_AUTH = word("federation_auth", "FEDERATION_AUTH", "", Kind::Hidden,
        "token that this exchange introduces itself with");
    FEDERATION_RECONNECT_DELAY_MS = number("federation_reconnect_delay_ms", "FEDERATION_RECONNECT_DELAY_MS", "5000", Milliseconds,
        (0, DAY_MS), "wait before a lost link is called again");
    FEDERATION_HEARTBEAT_MS = number("federation_heartbeat_ms", "FEDERATION_HEARTBEAT_MS", "30000", Milliseconds,
        (UNLIMITED, DAY_MS), "how often a link says that it is alive; 0 or less: never");
    FEDERATION_CA = word("federation_ca", "FEDERATION_CA", "", Kind::File,
        "PEM file with the authorities that wss:// exchanges must be vouched for by; unset: those of this machine");
    FEDERATION_CERT = word("federation_cert", "FEDERATION_CERT", "", Kind::File,
        "PEM file with the certificate chain that is shown to wss:// exchanges that ask for one");
    FEDERATION_KEY = word("federation_key", "FEDERATION_KEY", "", Kind::File, "PEM file with its key");
}

/// The samplers, by the names that OpenTelemetry has given them.
pub const SAMPLERS: [&str; 6] = [
    "parentbased_traceidratio",
    "parentbased_always_on",
    "parentbased_always_off",
    "traceidratio",
    "always_on",
    "always_off",
];

/// The shortest token of the admin listener, in bytes: with fewer it could be guessed.
pub const ADMIN_TOKEN_BYTES_MIN: usize = 16;

/// The domain of an exchange that was given none (spec 21).
pub const DOMAIN_DEFAULT: &str = "local.systemx";

/// The row of an environment variable.
pub fn by_env(env: &str) -> Option<&'static Setting> {
    SETTINGS.iter().copied().find(|setting| setting.env == env)
}

/// The row of a TOML key.
pub fn by_name(name: &str) -> Option<&'static Setting> {
    SETTINGS.iter().copied().find(|setting| setting.name == name)
}

/// The candidate that `wanted` is most likely a slip of: at most a third of its letters are wrong.
pub fn nearest<'a>(wanted: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let wrong_max = (wanted.len() / 3).max(1);
    candidates
        .map(|candidate| (strsim::damerau_levenshtein(wanted, candidate), candidate))
        .filter(|(wrong, _)| *wrong <= wrong_max)
        .min_by_key(|(wrong, _)| *wrong)
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn names_and_variables_are_unique_and_match_each_other() {
        let names: BTreeSet<_> = SETTINGS.iter().map(|setting| setting.name).collect();
        assert_eq!(names.len(), SETTINGS.len());
        for setting in SETTINGS {
            // Some names are older than this program: they go without the prefix.
            let bare = setting.env.strip_prefix("SYSTEMX_").unwrap_or(setting.env);
            assert_eq!(bare, setting.name.to_uppercase());
        }
    }

    #[test]
    fn a_slip_finds_the_name_that_was_meant() {
        let names = || SETTINGS.iter().map(|setting| setting.name);
        assert_eq!(nearest("prot", names()), Some("port"));
        assert_eq!(nearest("call_timout", names()), Some("call_timeout"));
        assert_eq!(nearest("zebra_stripes", names()), None);
    }

    /// The row of the README's table for one setting, up to its default.
    fn markdown_row(setting: &Setting) -> String {
        let default =
            if setting.default.is_empty() { "–".to_owned() } else { format!("`{}`", setting.default) };
        format!("| `{}` | {} | {}", setting.env, default, setting.help.replace('*', "\\*"))
    }

    #[test]
    fn the_example_file_names_every_setting_with_its_default() {
        let text = include_str!("../../.env.example");
        for setting in SETTINGS {
            let row = format!("#{}={}", setting.env, setting.default);
            assert!(text.lines().any(|line| line == row), ".env.example lacks the line {row}");
            assert!(
                text.contains(setting.help),
                ".env.example does not explain {}: {}",
                setting.env,
                setting.help
            );
        }
    }

    #[test]
    fn the_readme_names_every_setting_with_its_default() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/README.md");
        let Ok(text) = std::fs::read_to_string(path) else { return };
        let rows: Vec<_> = SETTINGS.iter().map(|setting| markdown_row(setting)).collect();
        let missing: Vec<_> = rows.iter().filter(|row| !text.contains(row.as_str())).collect();
        assert!(missing.is_empty(), "README.md lacks rows; its table should be:\n{}", rows.join(" |\n"));
    }
}
