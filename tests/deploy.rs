//! The files of docs/deploy: what they name exists, what has to fit together does, and the tools that will read them find no
//! fault. Those tools come from Debian and PyPI; `tests/all.sh` installs them.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use serde_json::Value;
use systemx::config::settings::by_env;

use crate::support::certificates::Authority;
use crate::support::http::get;
use crate::support::{Process, Scratch, eventually};

const ALERTS: &str = "docs/deploy/prometheus/alerts.yaml";
const DASHBOARD: &str = "docs/deploy/grafana-dashboard.json";
const KUBERNETES: &str = "docs/deploy/kubernetes/systemx.yaml";
const COMPOSE: [&str; 2] = ["docs/deploy/compose.yaml", "docs/deploy/compose.monitoring.yaml"];

fn read(path: &str) -> String {
    let full = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    std::fs::read_to_string(&full).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The metrics that a text names.
fn metrics_in(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    let is_metric = |word: &&str| word.starts_with("systemx_") || word.starts_with("process_");
    words.filter(is_metric).map(str::to_owned).collect()
}

/// The samples that an exchange exports which does everything, histograms by all their names.
fn exported() -> BTreeSet<String> {
    let folder = Scratch::new();
    Authority::new().server().write(&folder);
    let path = |name: &str| folder.path().join(name).to_str().expect("text").to_owned();
    let (certificate, key, records) = (path("cert.pem"), path("key.pem"), path("calls.db"));
    let tls = ["--tls-enabled=true", "--tls-cert-path", &certificate, "--tls-key-path", &key];
    let exchange = Process::start(&[&tls[..], &["--call-records", &records, "--shards", "2"]].concat());
    // Shards have trunks once they have reported.
    let page = eventually("all shards report", || {
        let page = get(exchange.admin(), "/metrics").body;
        page.contains("systemx_trunk_full_total{").then_some(page)
    });
    let samples = page.lines().filter(|line| !line.starts_with('#'));
    samples.filter_map(|line| line.split(['{', ' ']).next()).map(str::to_owned).collect()
}

#[test]
fn alerts_and_dashboard_name_only_metrics_that_are_exported() {
    let exported = exported();
    for file in [ALERTS, DASHBOARD] {
        let named = metrics_in(&read(file));
        assert!(named.len() > 10, "{file} names metrics");
        let unknown: Vec<_> = named.difference(&exported).collect();
        assert!(unknown.is_empty(), "{file} names {unknown:?}, which nothing exports");
    }
}

#[test]
fn each_alert_says_what_to_do() {
    let operations = read("docs/OPERATIONS.md");
    let rules = read(ALERTS);
    let alerts: Vec<&str> = rules.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")).collect();
    assert!(alerts.len() >= 10);
    for alert in alerts {
        assert!(operations.contains(&format!("### {alert}\n")), "docs/OPERATIONS.md explains {alert}");
        assert!(
            rules.contains(&format!("docs/OPERATIONS.md#{}\n", alert.to_lowercase())),
            "{alert} leads there"
        );
    }
}

#[test]
fn a_dashboard_can_be_imported() {
    let dashboard: Value = serde_json::from_str(&read(DASHBOARD)).expect("it is JSON");
    let panels = dashboard["panels"].as_array().expect("it has panels");
    let ids: BTreeSet<u64> = panels.iter().filter_map(|panel| panel["id"].as_u64()).collect();
    assert_eq!(ids.len(), panels.len(), "each panel has an id of its own");
    for panel in panels.iter().filter(|panel| panel["type"] != "row") {
        let targets = panel["targets"].as_array().expect("a panel asks for something");
        assert!(!targets.is_empty() && panel["description"].is_string(), "{}", panel["title"]);
    }
}

#[test]
fn deploy_files_set_only_variables_the_program_knows() {
    for file in [KUBERNETES, COMPOSE[0], COMPOSE[1]] {
        for name in read(file).split(|c: char| !c.is_ascii_alphanumeric() && c != '_') {
            let is_unknown = name.starts_with("SYSTEMX_") && by_env(name).is_none();
            assert!(!is_unknown, "{file} names {name}, which is no setting");
        }
    }
}

/// The number behind the last place where a text says `key`.
fn number(text: &str, key: &str) -> u64 {
    let (_, rest) = text.rsplit_once(key).unwrap_or_else(|| panic!("nothing says {key}"));
    let digits = rest.trim_start_matches(|c: char| !c.is_ascii_digit()).chars();
    digits.take_while(char::is_ascii_digit).collect::<String>().parse().expect("digits are a number")
}

/// Else the exchange would be killed in the middle of its drain.
#[test]
fn who_stops_an_exchange_waits_longer_than_it_takes() {
    const MS_PER_SECOND: u64 = 1000;
    let text = read(KUBERNETES);
    let most = number(&text, "SYSTEMX_DRAIN_SECONDS: ")
        + number(&text, "SYSTEMX_STOP_TIMEOUT_MS: ").div_ceil(MS_PER_SECOND)
        + number(&text, "sleep: {seconds: ");
    assert!(number(&text, "terminationGracePeriodSeconds: ") > most + 5, "{most} s and some to spare");
    let text = read(COMPOSE[0]);
    let stop_ms: u64 =
        by_env("SYSTEMX_STOP_TIMEOUT_MS").and_then(|setting| setting.default.parse().ok()).expect("a number");
    let most = number(&text, "SYSTEMX_DRAIN_SECONDS:-") + stop_ms.div_ceil(MS_PER_SECOND);
    assert!(number(&text, "stop_grace_period: ") > most + 5, "{most} s and some to spare");
}

/// Runs a linter in the project's folder; it has to be content.
fn lint(program: &str, arguments: &[&str]) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let ours = root.join("target/lint/bin").join(program);
    let program = if ours.exists() { ours } else { program.into() };
    let output = Command::new(&program).args(arguments).current_dir(root).output();
    let output =
        output.unwrap_or_else(|error| panic!("{}: {error}; tests/all.sh installs it", program.display()));
    let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{arguments:?}: {}{}", said(&output.stdout), said(&output.stderr));
}

#[test]
fn prometheus_takes_the_alerts_and_they_fire_when_they_should() {
    lint("promtool", &["check", "rules", "--lint-fatal", ALERTS]);
    lint("promtool", &["test", "rules", "docs/deploy/prometheus/alerts_test.yaml"]);
}

#[test]
fn kubernetes_takes_the_manifests() {
    lint("kubernetes-validate", &["--strict", "--quiet", KUBERNETES]);
}

#[test]
fn compose_takes_its_files() {
    for file in COMPOSE {
        lint("check-jsonschema", &["--builtin-schema", "vendor.compose-spec", file]);
    }
}
