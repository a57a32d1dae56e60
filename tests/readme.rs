//! Every command that README.md and docs/ show in a `sh` block is known here and does what it should: most run for real,
//! with another port or folder; the few that cannot run inside a test are checked as far as possible. A new
//! command in a document fails this test until it has a line in [`check`].

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::support::certificates::Authority;
use crate::support::http::get;
use crate::support::process::systemx;
use crate::support::records::fill;
use crate::support::{Process, Scratch, eventually};

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
            "```sh" | "```console" => inside = true,
            line if line.starts_with("```") => inside = false,
            line if inside && !line.is_empty() && !line.starts_with('#') => {
                commands.push(line.trim_end_matches('&').trim().to_owned());
            }
            _ => {}
        }
    }
    commands
}

/// The arguments that a command gives to systemx, if that is what it runs.
fn arguments_of(command: &str) -> Option<Vec<&str>> {
    // Settings before the program are the test's own affair.
    let command = command.trim_start_matches("SYSTEMX_DIAL_MAX_ATTEMPTS=0 ");
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
    let generator = "cargo run --release --bin systemx-loadtest --";
    let load = command.strip_prefix(generator).or_else(|| command.strip_prefix("systemx-loadtest"));
    if let Some(load) = load {
        return check_loadtest(command, &load.split_whitespace().collect::<Vec<_>>(), exchange);
    }
    match arguments_of(command) {
        Some(arguments) => check_systemx(command, &arguments, exchange),
        None if command.starts_with("curl ") => check_curl(command, exchange),
        None => check_tool(command),
    }
}

/// What the document asks of the admin listener, asked of that of the test, which has whom and what the document names.
fn check_curl(command: &str, exchange: &Process) {
    let (mut alice, mut bob) = (exchange.phone(), exchange.phone());
    alice.register("alice@example.test");
    bob.register("bob@example.test");
    let call = alice.call("alice@example.test", &mut bob, "bob@example.test");
    let address = exchange.admin().to_string();
    let script = command.replace("127.0.0.1:8081", &address).replace("CALL_ID", &call);
    let ran = Command::new("sh").args(["-c", &script]).output().expect("there is a shell");
    const NOT_FOUND: i32 = 127;
    // Not every machine that builds this has it.
    if ran.status.code() != Some(NOT_FOUND) {
        assert!(ran.status.success() && !ran.stdout.is_empty(), "{command}: {ran:?}");
    }
    // The next command wants to find them anew.
    drop((alice, bob));
    for name in ["alice", "bob"] {
        let path = format!("/api/v1/lines/{name}@example.test");
        eventually("they are gone", || (get(exchange.admin(), &path).status == 404).then_some(()));
    }
}

fn check_systemx(command: &str, arguments: &[&str], exchange: &Process) {
    let folder = Scratch::new();
    match arguments.first().copied() {
        Some("serve") if arguments.contains(&"--tls-enabled") => {
            // The files have the names that the document gives them.
            Authority::new().server().write(&folder);
            let loopback = ["--host", "127.0.0.1", "--port", "0"];
            let mut command = systemx(&[arguments, &loopback].concat(), folder.path());
            command.stdout(Stdio::piped()).stderr(Stdio::piped());
            drop(Process::run(command, folder));
        }
        Some("serve") if !cfg!(feature = "otlp") && command.contains("--otel-") => {
            let ran = systemx(arguments, folder.path()).output().expect("it runs");
            let said = String::from_utf8_lossy(&ran.stderr);
            assert!(
                !ran.status.success() && said.contains("build it with --features otlp"),
                "{command}: {said}"
            );
        }
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
        Some("calls") => {
            let ran = systemx(arguments, folder_with_calls(&folder).path())
                .env("SYSTEMX_CALL_RECORDS", "calls.db")
                .output()
                .expect("it runs");
            assert!(ran.status.success() && !ran.stdout.is_empty(), "{command}: {ran:?}");
        }
        Some("token") => check_token(command, arguments, folder.path()),
        Some("health") => {
            let port = exchange.address().port().to_string();
            let ran = systemx(arguments, folder.path()).env("SYSTEMX_PORT", port).output().expect("it runs");
            assert!(ran.status.success(), "{command}: {ran:?}");
        }
        Some("drain") => {
            // It ends the exchange that it is shown with.
            let mut drained = Process::start(&[]);
            let line = drained.log.wait_for("admin listener is up");
            let address = line.split('"').find(|part| part.starts_with("127.0.0.1:")).expect("it says where");
            let ran =
                systemx(arguments, folder.path()).env("SYSTEMX_ADMIN", address).output().expect("it runs");
            assert!(ran.status.success(), "{command}: {ran:?}");
            assert_eq!(drained.wait().code(), Some(0));
        }
        Some(_) => {
            let ran = systemx(arguments, folder.path()).output().expect("it runs");
            assert!(ran.status.success(), "{command}: {ran:?}");
        }
    }
}

/// The folder, with a file of call records by the name that the documents give it.
fn folder_with_calls(folder: &Scratch) -> &Scratch {
    fill(&folder.path().join("calls.db"), 3, 1_795_219_200_000);
    folder
}

/// Keys of the name that is shown are there, and so is a token where one is to be put in.
fn check_token(command: &str, arguments: &[&str], folder: &Path) {
    for (name, key) in [
        ("private.pem", include_str!("../src/identity/tests/rsa.pem")),
        ("public.pem", include_str!("../src/identity/tests/rsa.pub")),
    ] {
        std::fs::write(folder.join(name), key).expect("the folder can be written");
    }
    let made = systemx(&["token", "make", "--key", "private.pem"], folder).output().expect("it runs");
    let token = String::from_utf8(made.stdout).expect("a token is text");
    let words = arguments.iter().map(|word| if *word == "TOKEN" { token.trim() } else { word });
    let ran = systemx(&words.collect::<Vec<_>>(), folder).output().expect("it runs");
    assert!(ran.status.success(), "{command}: {ran:?}");
}

/// What a test leaves of the load that a document shows.
const SMALL: [(&str, u64); 15] = [
    ("--domains", 4),
    ("--pairs", 4),
    ("--rate", 50),
    ("--connections", 20),
    ("--connects-per-second", 100),
    ("--clients", 4),
    ("--listeners", 8),
    ("--askers", 2),
    ("--idle", 10),
    ("--phones", 20),
    ("--calls-per-second", 20),
    ("--churn", 2),
    ("--threads", 1),
    ("--hold", 1),
    ("--sample", 1),
];
/// What it says instead of what is shown, or besides.
const SHORT: [(&str, &str); 6] = [
    ("--duration", "0.5"),
    ("--warmup", "0"),
    ("--talk-ms", "1..5"),
    ("--deaf-after", "0.1"),
    ("--timeout", "2"),
    ("--heartbeat", "0.2"),
];

/// A run of the load generator as shown, but small, and against an exchange of the test. What reads files or starts
/// servers has tests of its own; here it is only parsed.
fn check_loadtest(command: &str, arguments: &[&str], exchange: &Process) {
    let folder = Scratch::new();
    folder.write("token.txt", "secret\n");
    let mut run = std::process::Command::new(env!("CARGO_BIN_EXE_systemx-loadtest"));
    run.current_dir(folder.path());
    let first = arguments.first().copied().unwrap_or_default();
    // The one that waits for a restart would wait for ever here.
    let waits = arguments.contains(&"--wait-for-restart");
    if waits || ["report", "compare", "profile", "floor", "vs-floor"].contains(&first) {
        run.args(arguments).arg("--help");
    } else {
        run.args(scaled(arguments, exchange));
    }
    let ran = run.output().expect("it runs");
    assert!(ran.status.success(), "{command}: {ran:?}");
}

fn scaled(arguments: &[&str], exchange: &Process) -> Vec<String> {
    let mut words = arguments.iter().copied();
    let mut scaled: Vec<String> = words.next().map(String::from).into_iter().collect();
    while let Some(word) = words.next() {
        let most = SMALL.iter().find(|(name, _)| *name == word).map(|(_, most)| *most);
        let short = SHORT.iter().find(|(name, _)| *name == word).map(|(_, value)| *value);
        let replaced = match word {
            "--url" => Some(exchange.url()),
            "--pid" | "--metrics" => Some(exchange.id().to_string()),
            _ => short.map(String::from),
        };
        let cut = |most: u64| words.clone().next().and_then(|n| n.parse().ok()).unwrap_or(most).min(most);
        let value = replaced.or(most.map(|most| cut(most).to_string()));
        // The process is there; a page of metrics is not.
        scaled.push(word.replace("--metrics", "--pid"));
        if let Some(value) = value {
            words.next();
            scaled.push(value);
        }
    }
    for (name, value) in &SHORT[..2] {
        if !arguments.contains(name) {
            scaled.extend([*name, *value].map(String::from));
        }
    }
    // What would otherwise happen only after the small run's end.
    match arguments.first().copied() {
        Some("storm") => scaled.extend(["--after", "0.1"].map(String::from)),
        Some("idle") if !arguments.contains(&"--heartbeat") => {
            scaled.extend(["--heartbeat", "0.2"].map(String::from));
        }
        _ => {}
    }
    scaled
}

/// `systemx` as it is run in a container, or as somebody else: here, with the file that is there.
fn check_elsewhere(command: &str, shown: &[&str]) {
    let folder = Scratch::new();
    let until_output = shown.iter().take_while(|word| **word != ">");
    let arguments: Vec<&str> = until_output
        .map(|word| if word.starts_with("/var/lib/systemx/") { "calls.db" } else { word })
        .collect();
    let ran = systemx(&arguments, folder_with_calls(&folder).path())
        .env("SYSTEMX_CALL_RECORDS", "calls.db")
        .output()
        .expect("it runs");
    assert!(ran.status.success() && !ran.stdout.is_empty(), "{command}: {ran:?}");
}

/// Commands of others: what they are given must exist.
fn check_tool(command: &str) {
    let words: Vec<&str> = command.split_whitespace().collect();
    match words.as_slice() {
        ["docker", "build", ..] => assert!(root().join("Dockerfile").exists(), "{command}"),
        ["docker", "run", .., image] => assert_eq!(*image, "systemx", "{command}"),
        ["docker", "compose", "-f", file, "exec", "-T", "systemx", "systemx", shown @ ..]
        | ["docker", "compose", "-f", file, "exec", "systemx", "systemx", shown @ ..] => {
            let compose = std::fs::read_to_string(root().join(file)).expect("it is there");
            assert!(
                compose.contains("\n  systemx:\n") && compose.contains("SYSTEMX_CALL_RECORDS:"),
                "{command}"
            );
            check_elsewhere(command, shown);
        }
        ["kubectl", "exec", "systemx-0", "--", "systemx", shown @ ..] => {
            let path = root().join("docs/deploy/kubernetes/systemx.yaml");
            let manifest = std::fs::read_to_string(path).expect("it is there");
            let set = manifest.split("\n---").find(|part| part.contains("kind: StatefulSet"));
            assert!(set.is_some_and(|set| set.contains("\n  name: systemx\n")), "{command}");
            assert!(manifest.contains("SYSTEMX_CALL_RECORDS:"), "{command}");
            check_elsewhere(command, shown);
        }
        ["sudo", "systemx", shown @ ..] => check_elsewhere(command, shown),
        ["sudo", "install", "-d", ..] => {}
        ["sudo", "install", "-m", _, files @ .., _] => {
            let is_there = |file: &&str| (*file).eq("target/release/systemx") || root().join(file).exists();
            assert!(!files.is_empty() && files.iter().all(is_there), "{command}");
        }
        ["sudo", "systemctl", "daemon-reload"] => {}
        ["sudo", "systemctl", .., unit] | ["systemctl", "status", unit] | ["journalctl", "-u", unit] => {
            assert!(root().join("docs/deploy").join(unit).exists(), "{command}");
        }
        ["echo", setting, "|", "sudo", "tee", file] => {
            let name = setting.split('=').next().unwrap_or_default();
            let known = std::fs::read_to_string(root().join(".env.example")).expect("it is there");
            assert!(known.contains(&format!("{name}=")), "{command}");
            let unit =
                std::fs::read_to_string(root().join("docs/deploy/systemx.service")).expect("it is there");
            assert!(unit.contains(&format!("EnvironmentFile=-{file}\n")), "{command}");
        }
        ["docker", "compose", "-f", file, ..] => assert!(root().join(file).exists(), "{command}"),
        // They show what a machine allows; nothing depends on what they say.
        ["sysctl", ..] | ["ulimit", "-n", ..] => {}
        ["sqlite3", ..] => {
            let folder = Scratch::new();
            let mut run = Command::new("sh");
            run.args(["-c", command]).current_dir(folder_with_calls(&folder).path());
            let ran = run.output().expect("a shell is there");
            // Not every machine that builds this has it.
            let is_missing = ran.status.code() == Some(127);
            assert!(is_missing || (ran.status.success() && ran.stderr.is_empty()), "{command}: {ran:?}");
            let copies = command.contains("copy.db");
            assert!(is_missing || !copies || folder.path().join("copy.db").exists(), "{command}");
        }
        ["openssl", arguments @ ..] => {
            let folder = Scratch::new();
            let run = Command::new("openssl").args(arguments).current_dir(folder.path()).output();
            // Not every machine that builds this has it.
            let Ok(ran) = run else { return };
            assert!(ran.status.success(), "{command}: {ran:?}");
            let made = ["cert.pem", "key.pem"].map(|name| folder.path().join(name).exists());
            assert_eq!(made, [true, true], "{command}");
        }
        ["cargo", "test" | "bench" | "doc" | "clippy" | "fmt" | "build", ..] => {}
        // The tree of three exchanges: `hierarchy.rs` starts it with these very variables.
        [first, .., "systemx"] if first.starts_with("SYSTEMX_PORT=") => {}
        ["tests/all.sh"] => {
            let checked = Command::new("bash").arg("-n").arg(root().join("tests/all.sh")).status();
            assert!(checked.expect("bash is there").success(), "{command}");
        }
        _ => panic!("{command}: nothing here knows how to check this command"),
    }
}
