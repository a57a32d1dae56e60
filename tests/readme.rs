//! Every command that README.md and docs/ show in a `sh` block is known here and does what it should: most run for real,
//! with another port or folder; the few that cannot run inside a test are checked as far as possible. A new
//! command in a document fails this test until it has a line in [`check`].

use std::path::{Path, PathBuf};

use crate::support::process::systemx;
use crate::support::{Process, Scratch};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// README.md and the Markdown files of docs/.
fn documents() -> Vec<PathBuf> {
    let entries = std::fs::read_dir(root().join("docs")).expect("docs/ is readable");
    let paths = entries.map(|entry| entry.expect("readable").path());
    let pages = paths.filter(|path| path.extension().is_some_and(|end| end == "md"));
    std::iter::once(root().join("README.md")).chain(pages).collect()
}

/// The commands of the `sh` blocks of a document, continued lines joined.
fn commands(path: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(path).expect("it is readable").replace("\\\n", " ");
    let mut inside = false;
    let mut commands = Vec::new();
    for line in text.lines().map(str::trim) {
        match line {
            "```sh" => inside = true,
            line if line.starts_with("```") => inside = false,
            line if inside && !line.is_empty() && !line.starts_with('#') => commands.push(line.to_owned()),
            _ => {}
        }
    }
    commands
}

/// The arguments that a command gives to systemx, if that is what it runs.
fn arguments_of(command: &str) -> Option<Vec<&str>> {
    let rest = command.strip_prefix("cargo run --release").or_else(|| command.strip_prefix("systemx"))?;
    let rest = rest.strip_prefix(" --").unwrap_or(rest);
    Some(rest.split_whitespace().collect())
}

#[test]
fn every_command_in_the_documents_works() {
    let exchange = Process::start(&[]);
    let mut count = 0;
    for path in documents() {
        for command in commands(&path) {
            check(&command, &exchange);
            count += 1;
        }
    }
    assert!(count >= 5, "the blocks are found");
}

fn check(command: &str, exchange: &Process) {
    match arguments_of(command) {
        Some(arguments) => check_systemx(command, &arguments, exchange),
        None => check_tool(command),
    }
}

fn check_systemx(command: &str, arguments: &[&str], exchange: &Process) {
    let folder = Scratch::new();
    match arguments.first().copied() {
        None | Some("serve") => drop(Process::start(arguments.get(1..).unwrap_or(&[]))),
        Some(flag) if flag.starts_with("--") => drop(Process::start(arguments)),
        Some("phone") => {
            // The flags as shown; somebody to talk to, and an end, are the test's.
            let url = exchange.url();
            let shown = arguments.iter().copied().chain(["--help"]);
            let parsed = systemx(&shown.collect::<Vec<_>>(), folder.path()).output().expect("it runs");
            assert!(parsed.status.success(), "{command}: {parsed:?}");
            let address = format!("reader{}@example.test", command.len());
            let ends = ["phone", "--url", &url, "--address", &address, "--presence-domain", "example.test"];
            let ran = systemx(&ends, folder.path()).output().expect("it runs");
            assert!(ran.status.success(), "{command}: {ran:?}");
        }
        Some("health") => {
            let port = exchange.address().port().to_string();
            let ran = systemx(arguments, folder.path()).env("SYSTEMX_PORT", port).output().expect("it runs");
            assert!(ran.status.success(), "{command}: {ran:?}");
        }
        Some(_) => {
            let ran = systemx(arguments, folder.path()).output().expect("it runs");
            assert!(ran.status.success(), "{command}: {ran:?}");
        }
    }
}

/// Commands of others: what they are given must exist.
fn check_tool(command: &str) {
    let words: Vec<&str> = command.split_whitespace().collect();
    match words.as_slice() {
        ["docker", "build", ..] => assert!(root().join("Dockerfile").exists(), "{command}"),
        ["docker", "run", .., image] => assert_eq!(*image, "systemx", "{command}"),
        ["docker", "compose", "-f", file, ..] => assert!(root().join(file).exists(), "{command}"),
        ["cargo", "test" | "bench" | "doc" | "clippy" | "fmt" | "build", ..] => {}
        ["tests/all.sh"] => {
            let checked =
                std::process::Command::new("bash").arg("-n").arg(root().join("tests/all.sh")).status();
            assert!(checked.expect("bash is there").success(), "{command}");
        }
        _ => panic!("{command}: nothing here knows how to check this command"),
    }
}
