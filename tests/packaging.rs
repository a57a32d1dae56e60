//! The container files are not built by the tests, which need no container engine; what can go wrong in them
//! without one is checked here: sources that do not exist, settings nobody knows, a check nobody answers.

use std::collections::BTreeSet;
use std::path::Path;

use systemx::config::settings::{STOP_TIMEOUT_MS, by_env};

use crate::support::Scratch;

fn read(path: &str) -> String {
    let full = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    std::fs::read_to_string(&full).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The words of each Dockerfile instruction of one kind, with continued lines joined.
fn instructions(kind: &str) -> Vec<Vec<String>> {
    let text = read("Dockerfile").replace("\\\n", " ");
    let words = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    text.lines().map(words).filter(|words| words.first().is_some_and(|word| word == kind)).collect()
}

/// What is copied from the project into the image: every argument of COPY but the last.
fn copied() -> BTreeSet<String> {
    let copies = instructions("COPY").into_iter().filter(|words| !words[1].starts_with("--from="));
    copies.flat_map(|words| words[1..words.len() - 1].to_vec()).collect()
}

#[test]
fn the_image_copies_only_what_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let copied = copied();
    assert!(copied.contains("src"), "the source must be among {copied:?}");
    for source in copied {
        assert!(root.join(&source).exists(), "COPY {source}: there is no such file");
    }
}

#[test]
fn the_builder_is_sent_exactly_what_is_copied() {
    let text = read(".dockerignore");
    let rules: BTreeSet<&str> =
        text.lines().filter(|line| !line.starts_with('#') && !line.is_empty()).collect();
    assert!(rules.contains("*"), "everything is left out first");
    let sent: BTreeSet<String> =
        rules.iter().filter_map(|rule| rule.strip_prefix('!')).map(str::to_owned).collect();
    assert_eq!(sent, copied());
}

#[test]
fn what_the_image_runs_is_what_it_installs() {
    let copies = instructions("COPY");
    let installed = |path: &str| copies.iter().any(|words| words.last().is_some_and(|last| last == path));
    for kind in ["ENTRYPOINT", "HEALTHCHECK"] {
        let words = instructions(kind).concat().join(" ");
        let program = words.split('"').nth(1).expect("the exec form, so that no shell is needed").to_owned();
        assert!(installed(&program), "{kind} starts {program}, which is not installed");
    }
    let stages = instructions("FROM");
    assert!(stages.len() == 2 && stages[0].ends_with(&["AS".to_owned(), "build".to_owned()]), "{stages:?}");
    let user = instructions("USER").concat();
    assert!(
        user[1].split(':').all(|id| id.parse().is_ok_and(|id: u32| id != 0)),
        "a number, and not root: {user:?}"
    );
}

#[test]
fn the_toolchain_of_the_image_is_the_one_the_manifest_asks_for() {
    let manifest: toml::Table = read("Cargo.toml").parse().expect("it is TOML");
    let version = manifest["package"]["rust-version"].as_str().expect("it says a version");
    assert!(instructions("FROM")[0][1].starts_with(&format!("rust:{version}")));
}

#[test]
fn container_files_set_only_variables_the_program_knows() {
    for file in [
        "Dockerfile",
        "docs/deploy/compose.yaml",
        "docs/deploy/systemx.service",
        "docs/deploy/systemx.socket",
    ] {
        for line in read(file).lines().filter(|line| !line.trim_start().starts_with('#')) {
            for name in line.split(|c: char| !c.is_ascii_alphanumeric() && c != '_') {
                let unknown = name.starts_with("SYSTEMX_") && by_env(name).is_none();
                assert!(!unknown, "{file} sets {name}, which is no setting");
            }
        }
    }
}

/// systemd's own tool, on copies of the units that start the program of these tests. tests/all.sh installs it.
#[cfg(target_os = "linux")]
fn systemd_analyze(arguments: &[&str]) -> (bool, String) {
    let folder = Scratch::new();
    let program = env!("CARGO_BIN_EXE_systemx");
    let copy = |name: &str| {
        let text = read(&format!("docs/deploy/{name}")).replace("/usr/local/bin/systemx", program);
        folder.write(name, &text).to_str().expect("it is text").to_owned()
    };
    let units = [copy("systemx.service"), copy("systemx.socket")];
    let count = if arguments.contains(&"verify") { 2 } else { 1 };
    let mut command = std::process::Command::new("systemd-analyze");
    let output = command.args(arguments).args(&units[..count]).output();
    let output = output.expect("systemd-analyze is installed (Debian package systemd)");
    let said = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&said).into_owned())
}

#[cfg(target_os = "linux")]
#[test]
fn systemd_finds_nothing_wrong_with_the_units() {
    let (is_good, said) = systemd_analyze(&["verify"]);
    let of_units: Vec<_> = said.lines().filter(|line| line.contains("systemx.")).collect();
    assert!(is_good && of_units.is_empty(), "{said}");
}

/// systemd's scale ends at 10, for a service that may do everything; it calls less than 2 safe enough for anybody.
#[cfg(target_os = "linux")]
#[test]
fn the_unit_lets_the_exchange_do_little() {
    let (is_good, said) = systemd_analyze(&["security", "--offline=true", "--threshold=20", "--no-pager"]);
    assert!(is_good, "{said}");
}

#[test]
fn systemd_waits_for_the_drain_and_the_stop() {
    let unit = read("docs/deploy/systemx.service");
    let value = |key: &str| -> u64 {
        let line = unit.lines().find_map(|line| line.strip_prefix(key)).expect("the unit says it");
        line.parse().expect("it is a number")
    };
    let stop_ms: u64 = STOP_TIMEOUT_MS.default.parse().expect("it is a number");
    let drain_s = value("Environment=SYSTEMX_DRAIN_SECONDS=");
    assert!(value("TimeoutStopSec=") > drain_s + stop_ms.div_ceil(1000));
}

#[test]
fn links_in_the_documents_lead_to_files_that_exist() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for file in ["README.md", "docs/PROTOCOL.md"] {
        let text = read(file);
        let folder = root.join(file).parent().expect("a file is in a folder").to_owned();
        let targets = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
        for target in targets.filter(|target| !target.contains("://") && !target.starts_with('#')) {
            assert!(folder.join(target).exists(), "{file} links to {target}, which does not exist");
        }
    }
}
