//! `systemx check-config`: what would hold if the exchange were started here and now, setting by setting with its origin, then
//! what is odd; or everything that is wrong, with the links to other exchanges too, which `serve` would go on without. Starts nothing and changes nothing.

use std::fmt::Write;
use std::process::ExitCode;

use super::{EXIT_USAGE, complain, print};
use crate::config::federation::PeerUrl;
use crate::config::records::shown_receiver;
use crate::config::settings::Kind;
use crate::config::{
    Config, ConfigError, Origin, RawConfig, RawFlags, SETTINGS, Setting, Warning, process, settings,
};
use crate::shell::{admin, operator};
use crate::store;
use crate::tls;

/// Prints the table; exit code 2 if the exchange would not start.
pub fn run(flags: RawFlags) -> ExitCode {
    match report(process::gather(flags)) {
        Ok((text, config)) => {
            let mistakes = mistakes_in_files(&config);
            if mistakes.is_empty() {
                return print(&text);
            }
            complain(mistakes);
            ExitCode::from(EXIT_USAGE)
        }
        Err(errors) => {
            complain(errors);
            ExitCode::from(EXIT_USAGE)
        }
    }
}

/// The table and the warnings, or every mistake.
fn report(raw: RawConfig) -> Result<(String, Config), Vec<ConfigError>> {
    let effective: Vec<_> = SETTINGS.iter().map(|setting| (*setting, raw.effective(setting))).collect();
    let (config, warnings) = Config::check(raw)?;
    if !config.federation.mistakes.is_empty() {
        return Err(config.federation.mistakes.into_iter().map(ConfigError::Federation).collect());
    }
    let rows: Vec<_> = effective
        .into_iter()
        .map(|(setting, (value, origin))| row(setting, value, origin, &config))
        .collect();
    Ok((render(&rows, &warnings), config))
}

/// What is wrong with the files that the settings name: rules, certificates and keys of the listener, and those of links.
fn mistakes_in_files(config: &Config) -> Vec<String> {
    let rules = operator::rule_sources(config).map_or(Ok(()), |sources| sources.check());
    let listener = config.tls.as_ref().map_or(Ok(()), tls::check);
    let links = &config.federation;
    let is_secure = links.peers.iter().any(|peer| peer.url.is_secure);
    let links = if is_secure { tls::link_config(&links.tls).map(drop) } else { Ok(()) };
    let admin = config.admin.as_ref().map_or(Ok(()), admin::check);
    let records = config.records.file.as_deref().map_or(Ok(()), store::records::check);
    let mistakes = [
        admin.err().map(|error| error.to_string()),
        records.err().map(|error| format!("SYSTEMX_CALL_RECORDS: {error}")),
        rules.err().map(|error| error.to_string()),
        listener.err().map(|error| format!("TLS_ENABLED is true, but {error}")),
        links.err().map(|error| format!("links by wss:// cannot be set up: {error}")),
    ];
    mistakes.into_iter().flatten().collect()
}

fn row(setting: &Setting, value: String, origin: Origin, config: &Config) -> [String; 3] {
    let value = match (value.as_str(), setting.unit.name()) {
        // The one default that is computed is shown as the number it came to.
        ("", _) if setting.name == settings::SHARDS.name => config.shards.to_string(),
        ("", _) => "-".to_owned(),
        _ if matches!(setting.kind, Kind::Hidden | Kind::Tokens) => "(hidden)".to_owned(),
        (url, _) if setting.kind == Kind::Url && setting.is_of_federation() => {
            PeerUrl::parse(url).map_or_else(|_| "(no URL)".to_owned(), |url| url.to_string())
        }
        (url, _) if setting.kind == Kind::Url => shown_receiver(url).unwrap_or_else(|| "(no URL)".to_owned()),
        (value, "") => value.to_owned(),
        (value, unit) => format!("{value} {unit}"),
    };
    [setting.env.to_owned(), value, origin.to_string()]
}

/// Columns as wide as their widest cell; the last one is not padded.
fn render(rows: &[[String; 3]], warnings: &[Warning]) -> String {
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let (names, values) = (width(0), width(1));
    let mut text = String::new();
    for [name, value, origin] in rows {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{name:names$}  {value:values$}  {origin}");
    }
    for warning in warnings {
        let _ = writeln!(text, "warning: {warning}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn raw(port: &str) -> RawConfig {
        let env = [("SYSTEMX_PROT", "1"), ("SYSTEMX_CALL_TIMEOUT", "5000"), ("SYSTEMX_HOST", "::1")];
        let env = env.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let flags = RawFlags { values: BTreeMap::from([("port", port.to_owned())]), config_file: None };
        RawConfig::gather(flags, env.into_iter(), Some("SYSTEMX_SHARDS=2\n"), None)
    }

    #[test]
    fn every_setting_is_listed_with_value_unit_and_origin() {
        let (text, _) = report(raw("9000")).expect("the sources are right");
        let lines: Vec<String> =
            text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
        assert_eq!(lines.len(), SETTINGS.len() + 1);
        for expected in [
            "SYSTEMX_PORT 9000 flag",
            "SYSTEMX_CALL_TIMEOUT 5000 ms environment",
            "SYSTEMX_SHARDS 2 .env line 1",
            "SYSTEMX_LOG_LEVEL info default",
            "SYSTEMX_CALL_LOG - default",
            "warning: unknown variable SYSTEMX_PROT (environment); did you mean SYSTEMX_PORT?",
        ] {
            assert!(lines.iter().any(|line| line == expected), "{expected:?} is not in\n{text}");
        }
    }

    #[test]
    fn mistakes_take_the_place_of_the_table() {
        assert_eq!(report(raw("x")).expect_err("the port is wrong").len(), 1);
    }
}
