//! Sources in, configuration or mistakes out; nothing here touches the process.

use std::path::{Path, PathBuf};

use super::*;

/// What the four sources say, in a form that a test can write down in one line each.
#[derive(Default)]
struct Sources<'a> {
    flags: &'a [(&'static str, &'a str)],
    env: &'a [(&'a str, &'a str)],
    dotenv: Option<&'a str>,
    toml: Option<&'a str>,
}

const TOML_PATH: &str = "/etc/systemx.toml";

impl Sources<'_> {
    fn load(&self) -> Result<(Config, Vec<Warning>), Vec<ConfigError>> {
        let values = self.flags.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
        let env = self.env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let toml = self.toml.map(|text| (Path::new(TOML_PATH), text));
        Config::load(RawFlags { values, config_file: None }, env, self.dotenv, toml)
    }

    fn config(&self) -> Config {
        self.load().expect("the sources are right").0
    }

    /// What an operator is told, apart from the warning about the public default address.
    fn warnings(&self) -> Vec<String> {
        let (_, warnings) = self.load().expect("the sources are right");
        let other = |warning: &Warning| !matches!(warning, Warning::OpenToTheNetwork { .. });
        warnings.iter().filter(|warning| other(warning)).map(Warning::to_string).collect()
    }

    fn errors(&self) -> Vec<String> {
        let errors = self.load().expect_err("the sources are wrong");
        errors.iter().map(ConfigError::to_string).collect()
    }
}

fn env<'a>(env: &'a [(&'a str, &'a str)]) -> Sources<'a> {
    Sources { env, ..Sources::default() }
}

#[test]
fn without_any_source_the_defaults_of_the_specification_hold() {
    let config = env(&[]).config();
    assert_eq!(config.listen, "0.0.0.0:8080".parse().expect("an address"));
    assert_eq!((config.heartbeat_interval_ms, config.heartbeat_timeout_ms), (30_000, 60_000));
    assert_eq!((config.call_timeout_ms, config.stop_timeout_ms), (30_000, 5_000));
    assert_eq!(config.dial_rate, Some(DialRate { attempts_max: 10, window_ms: 60_000 }));
    assert_eq!(
        (config.log_level, config.log_format, config.log_stream),
        (LogLevel::Info, LogFormat::Text, true)
    );
    assert_eq!((config.message_bytes_max, config.unregistered_message_bytes_max), (16 << 20, 1 << 20));
    assert_eq!((config.unregistered_bytes_total, config.input_bytes_total), (256 << 20, 1 << 30));
    assert_eq!((config.output_bytes_max, config.output_bytes_total), (1 << 20, 1 << 30));
    assert_eq!((config.output_high_water_bytes, config.output_low_water_bytes), (256 << 10, 64 << 10));
    assert_eq!((config.connections_max, config.connections_per_ip_max, config.call_log), (None, None, None));
    assert_eq!(
        (config.spawn_policy, config.echo_endpoint, config.pin),
        (SpawnPolicy::Disabled, false, false)
    );
    assert!((1..=64).contains(&config.shards));
}

#[test]
fn every_default_is_a_value_that_could_be_given() {
    for setting in SETTINGS.iter().filter(|setting| !setting.default.is_empty()) {
        let given = [(setting.env, setting.default)];
        assert_eq!(env(&given).config(), env(&[]).config(), "{}", setting.env);
    }
}

/// What has to be set besides for a setting to be looked at: those of traces are other programs' too.
fn with<'a>(setting: &Setting, value: &'a str) -> Vec<(&'static str, &'a str)> {
    let endpoint = settings::OTEL_EXPORTER_OTLP_ENDPOINT.env;
    let needs_endpoint = setting.env.starts_with("OTEL_") && setting.kind != settings::Kind::Url;
    let endpoint = needs_endpoint.then_some((endpoint, "http://127.0.0.1:4318"));
    endpoint.into_iter().chain([(setting.env, value)]).collect()
}

/// Whether this build looks at a setting at all, and refuses to start for it.
fn is_strict(setting: &Setting) -> bool {
    let is_known = cfg!(feature = "otlp") || !setting.env.starts_with("OTEL_");
    is_known && !setting.is_of_federation()
}

/// Whether it says that this setting's value is none: with some that is no reason not to start.
fn is_about(warning: &Warning, setting: &Setting) -> bool {
    match warning {
        Warning::UnknownLogLevel { .. } => setting.env == settings::LOG_LEVEL.env,
        Warning::NoTraces { setting: named, .. } => named.env == setting.env,
        _ => false,
    }
}

#[test]
fn every_setting_is_read_and_checked() {
    use settings::Kind::{File, Hidden, Text};
    let is_checked = |setting: &Setting| !matches!(setting.kind, File | Hidden | Text) && is_strict(setting);
    for setting in SETTINGS.iter().filter(|setting| is_checked(setting)) {
        let refused = env(&with(setting, "no-such/value")).load();
        let is_noticed = match refused {
            Err(errors) => {
                matches!(&errors[..], [ConfigError::Value { setting: named, .. }] if named.env == setting.env)
            }
            Ok((_, warnings)) => warnings.iter().any(|warning| is_about(warning, setting)),
        };
        assert!(is_noticed, "{} is not checked", setting.env);
    }
    let call_log = env(&[("SYSTEMX_CALL_LOG", "calls.jsonl")]).config().call_log;
    assert_eq!(call_log, Some(PathBuf::from("calls.jsonl")));
}

#[test]
fn numbers_outside_their_range_are_refused_and_the_ends_allowed() {
    for setting in SETTINGS.iter().filter(|setting| is_strict(setting)) {
        let settings::Kind::Integer { min, max } = setting.kind else { continue };
        let is_refused = |value: i128| match env(&with(setting, &value.to_string())).load() {
            Err(errors) => errors.iter().any(|error| matches!(error, ConfigError::Value { .. })),
            Ok((_, warnings)) => warnings.iter().any(|warning| is_about(warning, setting)),
        };
        assert!(!is_refused(min.into()) && !is_refused(max.into()), "{}", setting.env);
        assert!(is_refused(i128::from(min) - 1) && is_refused(i128::from(max) + 1), "{}", setting.env);
    }
}

#[test]
fn flags_win_over_environment_over_dotenv_over_toml() {
    let mut sources = Sources { toml: Some("port = 1\nhost = \"127.0.0.1\""), ..Sources::default() };
    assert_eq!(sources.config().listen.port(), 1);
    sources.dotenv = Some("SYSTEMX_PORT=2\n");
    assert_eq!(sources.config().listen.port(), 2);
    sources.env = &[("SYSTEMX_PORT", "3")];
    assert_eq!(sources.config().listen.port(), 3);
    sources.flags = &[("port", "4")];
    assert_eq!(sources.config().listen, "127.0.0.1:4".parse().expect("an address"));
}

#[test]
fn an_empty_value_means_the_default_and_hides_lesser_sources() {
    let sources = Sources {
        env: &[("SYSTEMX_WAKE_SPAWN", ""), ("SYSTEMX_SHARDS", "  ")],
        dotenv: Some("SYSTEMX_WAKE_SPAWN=*"),
        ..Sources::default()
    };
    assert_eq!(sources.config().spawn_policy, SpawnPolicy::Disabled);
}

#[test]
fn toml_values_have_their_own_types() {
    let toml = Some(
        "shards = 3\npin = true\nlog_format = \"json\"\nwake_spawn = [\"/bin/a\", \"/bin/b\"]\ndial_window_ms = -1",
    );
    let config = Sources { toml, ..Sources::default() }.config();
    assert_eq!(
        (config.shards, config.pin, config.log_format, config.dial_rate),
        (3, true, LogFormat::Json, None)
    );
    let listed = SpawnPolicy::AllowedList(vec![PathBuf::from("/bin/a"), PathBuf::from("/bin/b")]);
    assert_eq!(config.spawn_policy, listed);
    let toml = Some("otel_traces_sampler_arg = 0.5\notel_exporter_otlp_endpoint = \"http://127.0.0.1:4318\"");
    let sources = Sources { toml, ..Sources::default() };
    if cfg!(feature = "otlp") {
        assert!(sources.config().traces.is_some());
    }
}

#[test]
fn toml_mistakes_name_the_file_and_what_was_meant() {
    let errors = |toml| Sources { toml: Some(toml), ..Sources::default() }.errors();
    assert_eq!(errors("prot = 1"), ["unknown key \"prot\" in /etc/systemx.toml; did you mean \"port\"?"]);
    assert_eq!(errors("zebra = 1"), ["unknown key \"zebra\" in /etc/systemx.toml"]);
    let [wrong_number] = &errors("port = 1.5")[..] else { panic!("one mistake") };
    assert!(wrong_number.starts_with("SYSTEMX_PORT: \"1.5\" (file /etc/systemx.toml)"), "{wrong_number}");
    let [wrong_type] = &errors("port = 1979-05-27")[..] else { panic!("one mistake") };
    assert!(
        wrong_type.starts_with("SYSTEMX_PORT: \"a TOML datetime\" (file /etc/systemx.toml) is not allowed"),
        "{wrong_type}"
    );
    let [syntax] = &errors("port = 1\nhost = \n")[..] else { panic!("one mistake") };
    assert!(syntax.starts_with("/etc/systemx.toml line 2: "), "{syntax}");
}

#[test]
fn all_mistakes_are_reported_at_once_with_value_origin_and_what_is_allowed() {
    let sources = Sources {
        flags: &[("shards", "65")],
        env: &[("SYSTEMX_LOG_FORMAT", "xml"), ("SYSTEMX_HOST", "example.com")],
        dotenv: Some("# a comment\n\nOTHER='two\nlines'\nexport SYSTEMX_PORT=80800 # too big\n"),
        toml: Some("pin = \"maybe\""),
    };
    let mut errors = sources.errors();
    errors.sort();
    assert_eq!(
        errors,
        [
            "SYSTEMX_HOST: \"example.com\" (environment) is not allowed; it must be an IP address or localhost",
            "SYSTEMX_LOG_FORMAT: \"xml\" (environment) is not allowed; it must be one of text, json",
            "SYSTEMX_PIN: \"maybe\" (file /etc/systemx.toml) is not allowed; it must be true or false",
            "SYSTEMX_PORT: \"80800\" (.env line 5) is not allowed; it must be a whole number from 0 to 65535",
            "SYSTEMX_SHARDS: \"65\" (flag) is not allowed; it must be a whole number from 1 to 64",
        ]
    );
}

#[test]
fn of_a_list_the_entry_that_is_wrong_is_named() {
    let sources = Sources {
        env: &[("SYSTEMX_ALLOWED_ORIGINS", "https://a.test,b.test")],
        toml: Some("trusted_proxies = [\"10.0.0.0/8\", \"10.0.0.1/8\"]"),
        ..Sources::default()
    };
    assert_eq!(
        sources.errors(),
        [
            "SYSTEMX_ALLOWED_ORIGINS: \"b.test\" (environment) is not allowed; it must be a comma list of origins \
             (https://app.corp.test, https://*.corp.test, null), or *",
            "SYSTEMX_TRUSTED_PROXIES: \"10.0.0.1/8\" (file /etc/systemx.toml) is not allowed; it must be a comma list of \
             networks (10.0.0.0/8, fd00::/8; no bits set beyond the prefix) or single addresses",
        ]
    );
    let config = env(&[("SYSTEMX_TRUSTED_PROXIES", "10.0.0.0/8"), ("SYSTEMX_PROXY_PROTOCOL", "on")]).config();
    assert!(config.proxy_protocol && config.trusted_proxies.contains([10, 1, 2, 3].into()));
    assert_eq!(config.allowed_origins, AllowedOrigins::Any);
}

#[test]
fn proxies_that_are_nobody_or_everybody_are_warned_about() {
    let nobody = env(&[("SYSTEMX_PROXY_PROTOCOL", "on")]).warnings();
    assert!(nobody[0].contains("SYSTEMX_TRUSTED_PROXIES is not set"), "{nobody:?}");
    let everybody = env(&[("SYSTEMX_TRUSTED_PROXIES", "10.0.0.0/8,0.0.0.0/0")]).warnings();
    assert!(everybody[0].contains("may claim to be any client"), "{everybody:?}");
    assert!(env(&[("SYSTEMX_TRUSTED_PROXIES", "10.0.0.0/8")]).warnings().is_empty());
}

#[test]
fn settings_that_exclude_each_other_are_refused() {
    let errors =
        env(&[("SYSTEMX_OUTPUT_LOW_WATER", "262144"), ("SYSTEMX_OUTPUT_BYTES_MAX", "200000")]).errors();
    assert_eq!(
        errors,
        [
            "SYSTEMX_OUTPUT_LOW_WATER (262144) must be less than SYSTEMX_OUTPUT_HIGH_WATER (262144); change one of them",
            "SYSTEMX_OUTPUT_HIGH_WATER (262144) must be at most SYSTEMX_OUTPUT_BYTES_MAX (200000); change one of them",
        ]
    );
    let conflicts = [
        ("SYSTEMX_MESSAGE_BYTES_MAX", "500000"),
        ("SYSTEMX_UNREGISTERED_BYTES_TOTAL", "500000"),
        ("SYSTEMX_INPUT_BYTES_TOTAL", "500000"),
        ("SYSTEMX_OUTPUT_BYTES_TOTAL", "500000"),
    ];
    for conflict in conflicts {
        let errors = env(&[conflict]).load().expect_err("two settings contradict each other");
        assert!(
            matches!(&errors[..], [ConfigError::Conflict { larger, .. }] if larger.env == conflict.0),
            "{errors:?}"
        );
    }
}

#[test]
fn misspelt_variables_are_named_with_what_was_meant() {
    let sources = Sources {
        env: &[
            ("SYSTEMX_AUT_FILE", "/a"),
            ("SYSTEMX_PROT", "1"),
            ("SYSTEMX_ZEBRA", "1"),
            ("SYSTEMX_URL", "ws://x"),
            ("SYSTEMX_CONFIG", ""),
            ("PATH", "/bin"),
        ],
        dotenv: Some("A=1\nSYSTEMX_HEARTBEAT_TIMOUT=5\n"),
        ..Sources::default()
    };
    assert_eq!(
        sources.warnings(),
        [
            "unknown variable SYSTEMX_HEARTBEAT_TIMOUT (.env line 2); did you mean SYSTEMX_HEARTBEAT_TIMEOUT?",
            "unknown variable SYSTEMX_AUT_FILE (environment); did you mean SYSTEMX_AUTH_FILE?",
            "unknown variable SYSTEMX_PROT (environment); did you mean SYSTEMX_PORT?",
            "unknown variable SYSTEMX_ZEBRA (environment)",
        ]
    );
}

#[test]
fn an_unknown_log_level_means_info_and_a_warning() {
    let sources = env(&[("SYSTEMX_LOG_LEVEL", "loud")]);
    assert_eq!(sources.config().log_level, LogLevel::Info);
    let expected =
        "SYSTEMX_LOG_LEVEL: \"loud\" (environment) is not one of debug, info, warn, error; info is used";
    assert_eq!(sources.warnings(), [expected]);
    assert_eq!(env(&[("SYSTEMX_LOG_LEVEL", "DeBuG")]).config().log_level, LogLevel::Debug);
}

#[test]
fn dotenv_quotes_comments_and_the_last_of_two_lines_count() {
    let dotenv =
        Some("\u{feff}SYSTEMX_PORT=1\nSYSTEMX_CALL_LOG=\"/var/log/my calls\" # here\r\nSYSTEMX_PORT = 2");
    let config = Sources { dotenv, ..Sources::default() }.config();
    assert_eq!((config.listen.port(), config.call_log), (2, Some(PathBuf::from("/var/log/my calls"))));
}

#[test]
fn a_bad_dotenv_line_is_an_error_only_if_it_is_about_this_program() {
    let errors = Sources { dotenv: Some("A=1\nSYSTEMX_PORT 80\n"), ..Sources::default() }.errors();
    assert_eq!(errors, [".env line 2 is not NAME=value; put quotes around values with spaces"]);
    let sources = Sources { dotenv: Some("MOTTO=all is well\nSYSTEMX_PORT=80\n"), ..Sources::default() };
    assert_eq!(sources.warnings(), [".env line 1 is not NAME=value and was skipped"]);
    assert_eq!(sources.config().listen.port(), 80);
    let unfinished =
        Sources { dotenv: Some("A='1\nSYSTEMX_AUTH_TOKENS=t=*\n"), ..Sources::default() }.errors();
    assert_eq!(unfinished.len(), 1);
}

#[test]
fn tokens_are_kept_and_never_shown() {
    let config = env(&[("SYSTEMX_AUTH_TOKENS", "s3cret=*@corp.test")]).config();
    assert_eq!(config.auth_tokens.as_ref().map(Secret::reveal), Some("s3cret=*@corp.test"));
    assert!(config.has_rules() && !format!("{config:?}").contains("s3cret"));
    let errors = env(&[("SYSTEMX_AUTH_TOKENS", "a=*,s3cret")]).errors();
    assert!(errors[0].contains("(hidden) part 2") && !errors[0].contains("s3cret"), "{errors:?}");
}

#[test]
fn whoever_has_rules_is_not_told_that_he_has_none() {
    let is_warned = |given: &[(&str, &str)]| {
        let (_, warnings) = env(given).load().expect("the sources are right");
        warnings.iter().any(|warning| matches!(warning, Warning::OpenToTheNetwork { .. }))
    };
    assert!(is_warned(&[]) && !is_warned(&[("SYSTEMX_AUTH_FILE", "/a.json")]));
    assert!(!is_warned(&[("SYSTEMX_AUTH_TOKENS", "t=*")]));
}

#[test]
fn other_variables_of_later_versions_are_warned_about_without_their_values() {
    let given = [("SYSTEMX_REDIS_URL", "redis://:s3cret@h"), ("TLS_CERT_PATH", "/c")];
    let warnings = env(&given).warnings();
    assert_eq!(
        warnings,
        ["SYSTEMX_REDIS_URL (environment) is not supported by this version yet and has no effect",]
    );
}

#[test]
fn tls_is_on_by_exactly_true_and_never_half() {
    const PATHS: [(&str, &str); 2] = [("TLS_CERT_PATH", "/c.pem"), ("TLS_KEY_PATH", "/k.pem")];
    let tls = |more: &[(&str, &str)]| env(&[&PATHS, more].concat()).config().tls;
    assert_eq!((tls(&[]), tls(&[("TLS_ENABLED", "false"), ("TLS_DOMAIN", "x.test")])), (None, None));
    let client_ca = Some(PathBuf::from("/ca.pem"));
    let (certificate, key) = (PathBuf::from("/c.pem"), PathBuf::from("/k.pem"));
    let expected = TlsFiles { certificate, key, client_ca, client_cert_required: false };
    assert_eq!(tls(&[("TLS_ENABLED", "true"), ("SYSTEMX_TLS_CLIENT_CA", "/ca.pem")]), Some(expected));
    for word in ["yes", "TRUE", "1", "on", "no"] {
        let errors = env(&[PATHS[0], PATHS[1], ("TLS_ENABLED", word)]).errors();
        let expected =
            format!("TLS_ENABLED: {word:?} (environment) is not allowed; it must be exactly true or false");
        assert_eq!(errors, [expected]);
    }
    let errors = env(&[("TLS_ENABLED", "true")]).errors();
    let expected = "TLS_ENABLED is true, but TLS_CERT_PATH is not set; set it to the path of a file";
    assert_eq!((errors.len(), errors[0].as_str()), (2, expected));
    assert_eq!(env(&[("SYSTEMX_TLS_CLIENT_CERT_REQUIRED", "true")]).errors().len(), 2);
    let misspelt = env(&[("SYSTEMX_TLS_ENABLED", "true")]).warnings();
    assert!(misspelt[0].ends_with("did you mean TLS_ENABLED?"), "{misspelt:?}");
}

#[test]
fn spawn_handlers_follow_the_address_and_the_list() {
    let policy = |host, commands| {
        env(&[("SYSTEMX_HOST", host), ("SYSTEMX_WAKE_SPAWN", commands)]).config().spawn_policy
    };
    for host in ["127.0.0.1", "127.9.9.9", "localhost", "::1", "[::1]", "::ffff:127.0.0.1"] {
        assert_eq!(policy(host, ""), SpawnPolicy::AllowedAll, "{host}");
    }
    for host in ["0.0.0.0", "::", "10.0.0.1"] {
        assert_eq!(policy(host, ""), SpawnPolicy::Disabled, "{host}");
        assert_eq!(policy(host, "*"), SpawnPolicy::AllowedAll, "{host}");
        let listed = policy(host, "/bin/a, /bin/b");
        assert!(listed.allows("/bin/b") && !listed.allows("b") && !listed.allows("/bin/../bin/b"), "{host}");
    }
    let relative = env(&[("SYSTEMX_WAKE_SPAWN", "/bin/a,agent")]).errors();
    assert!(relative[0].ends_with("it must be a comma list of absolute paths, or *"), "{relative:?}");
}

#[test]
fn a_public_address_is_warned_about() {
    let warnings = |given: &[(&str, &str)]| env(given).load().expect("the sources are right").1;
    assert!(matches!(warnings(&[])[..], [Warning::OpenToTheNetwork { .. }]));
    assert_eq!(warnings(&[("SYSTEMX_HOST", "127.0.0.1")]), []);
    assert!(warnings(&[("SYSTEMX_WAKE_SPAWN", "*")]).contains(&Warning::SpawnOpenToTheNetwork));
}

#[test]
fn a_heartbeat_timeout_within_the_interval_is_warned_about() {
    let warnings = env(&[("SYSTEMX_HEARTBEAT_TIMEOUT", "30000")]).warnings();
    assert!(warnings[0].contains("lines that keep the interval will be disconnected"), "{warnings:?}");
    assert_eq!(env(&[("SYSTEMX_HEARTBEAT_INTERVAL", "100")]).config().heartbeat_check_ms(), 5_000);
}

#[test]
fn zero_or_less_switches_the_dial_limit_off() {
    for (variable, value) in [("SYSTEMX_DIAL_MAX_ATTEMPTS", "0"), ("SYSTEMX_DIAL_WINDOW_MS", "-5")] {
        assert_eq!(env(&[(variable, value)]).config().dial_rate, None);
    }
}

proptest::proptest! {
    #[test]
    fn any_dotenv_text_is_read_or_refused(text in "(A|SYSTEMX_PORT|export| |=|#|'|\"|\\\\|\\$|\\{|\\}|\n|\r|ä|1){0,40}") {
        let (entries, bad_lines) = raw::parse_dotenv(&text);
        let line_max = text.lines().count();
        let lines = entries.iter().map(|entry| entry.line).chain(bad_lines.iter().map(|bad| bad.0));
        for line in lines {
            assert!((1..=line_max).contains(&line), "line {line} of {text:?}");
        }
    }
}

#[test]
fn the_admin_listener_needs_a_token_where_others_can_reach_it() {
    const TOKEN: (&str, &str) = ("SYSTEMX_ADMIN_TOKEN", "sixteen-letters-");
    const PUBLIC: (&str, &str) = ("SYSTEMX_ADMIN", "0.0.0.0:9000");
    let admin = |given: &[(&str, &str)]| env(given).config().admin;
    let usual = admin(&[]).expect("it is on");
    assert_eq!((usual.listen.to_string().as_str(), usual.token), ("127.0.0.1:8081", AdminToken::None));
    assert_eq!(admin(&[("SYSTEMX_ADMIN", "off")]), None);
    assert_eq!(admin(&[("SYSTEMX_ADMIN", "localhost:1")]).expect("it is on").listen.port(), 1);
    let public = admin(&[PUBLIC, TOKEN, ("SYSTEMX_ADMIN_HOSTS", "Ops.corp.test, hub")]).expect("it is on");
    assert_eq!(public.token, AdminToken::Given(Secret::new(TOKEN.1)));
    assert_eq!(*public.hosts, ["ops.corp.test".into(), "hub".into()]);
    let file = admin(&[PUBLIC, ("SYSTEMX_ADMIN_TOKEN_FILE", "/t")]).expect("it is on");
    assert_eq!(file.token, AdminToken::File(PathBuf::from("/t")));
    let missing = env(&[PUBLIC]).errors();
    assert!(missing.len() == 1 && missing[0].contains("SYSTEMX_ADMIN_TOKEN_FILE"), "{missing:?}");
    assert_eq!(env(&[PUBLIC, TOKEN, ("SYSTEMX_ADMIN_TOKEN_FILE", "/t")]).errors().len(), 1);
    for token in ["fifteen-letters", "with white space in it", "überüberüber"] {
        let errors = env(&[("SYSTEMX_ADMIN_TOKEN", token)]).errors();
        assert!(
            errors.len() == 1 && errors[0].contains("(hidden)") && !errors[0].contains(token),
            "{errors:?}"
        );
    }
    for listen in ["8081", "::1:8081", "name:80", "1.2.3.4:x"] {
        assert_eq!(env(&[("SYSTEMX_ADMIN", listen)]).errors().len(), 1, "{listen}");
    }
}
