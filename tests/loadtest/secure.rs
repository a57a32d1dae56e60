//! wss and tokens: the load generator against exchanges that speak TLS and have rules, with what opens them and without.

use serde_json::json;

use super::{loadtest, results};
use crate::support::certificates::Authority;
use crate::support::{Process, Scratch};

/// Opens every address that the load generator registers, those of its domains too.
const TOKEN: &str = "t0ken-of-the-load=";

/// An exchange with TLS.
struct Secure {
    exchange: Process,
    /// PEM file of the authority that vouches for it.
    ca: String,
    folder: Scratch,
}

impl Secure {
    fn start(environment: &[(&str, &str)]) -> Self {
        let (folder, authority) = (Scratch::new(), Authority::new());
        let paths =
            authority.issue("localhost", |_| {}).write(&folder).map(|path| path.display().to_string());
        let files = [("TLS_ENABLED", "true"), ("TLS_CERT_PATH", &paths[0]), ("TLS_KEY_PATH", &paths[1])];
        let exchange = Process::start_with(&[], &[&files[..], environment].concat());
        let ca = folder.write("ca.pem", &authority.pem()).display().to_string();
        Self { exchange, ca, folder }
    }

    fn with_rules() -> Self {
        let tokens = format!("{TOKEN}=*@load.test,{TOKEN}=*.load.test");
        Self::start(&[("SYSTEMX_AUTH_TOKENS", &tokens)])
    }

    fn url(&self) -> String {
        format!("wss://localhost:{}", self.exchange.address().port())
    }
}

/// What a run that cannot begin says.
fn refusal(arguments: &[&str]) -> String {
    let output = loadtest(&[arguments, &["--quiet"]].concat());
    assert!(!output.status.success(), "{arguments:?}");
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn calls_and_large_messages_go_through_tls() {
    let secure = Secure::start(&[]);
    let url = secure.url() + "/any/path";
    for scenario in [
        &["ring", "--shards", "2", "--route", "cross"][..],
        &["msg", "--mode", "flood", "--bytes", "40000", "--in-flight", "8"],
    ] {
        let (found, output) =
            results(&[scenario, &["--url", &url, "--ca", &secure.ca, "--pairs", "3"]].concat());
        assert!(output.status.success() && found["operations"].as_u64() > Some(0), "{found:#}");
        assert_eq!((&found["faults_total"], &found["errors"]), (&0.into(), &json!({})));
    }
}

#[test]
fn a_server_that_is_not_trusted_or_speaks_otherwise_is_told_with_what_to_do() {
    let (secure, plain) = (Secure::start(&[]), Process::start(&[]));
    let (secure_as_plain, plain_as_secure) =
        (secure.url().replace("wss:", "ws:"), plain.url().replace("ws://127.0.0.1", "wss://localhost"));
    for (arguments, what, hint) in [
        (&["--url", &secure.url()][..], "UnknownIssuer", "--ca"),
        (
            &["--url", &secure.url().replace("localhost", "127.0.0.1"), "--ca", &secure.ca],
            "not valid for name",
            "--url",
        ),
        (&["--url", &secure_as_plain], "upgrade:", "wss://"),
        (&["--url", &plain_as_secure, "--ca", &secure.ca], "tls:", "use ws://"),
    ] {
        let said = refusal(&[&["ring", "--pairs", "1"], arguments].concat());
        assert!(said.contains(what) && said.contains(hint), "{arguments:?}: {said}");
    }
}

#[test]
fn a_token_opens_the_addresses_of_every_scenario() {
    let secure = Secure::with_rules();
    let (url, file) =
        (secure.url(), secure.folder.write("token", &format!("{TOKEN}\n")).display().to_string());
    let way = ["--url", &url, "--ca", &secure.ca, "--token-file", &file];
    std::thread::scope(|scope| {
        for scenario in [
            &["ring", "--pairs", "2"][..],
            &["ring", "--pairs", "2", "--token-in", "handshake"],
            &["msg", "--pairs", "2"],
            &["fanout", "--listeners", "3"],
            &["fanout", "--listeners", "3", "--kind", "party", "--rate", "50"],
            &["presence", "--connections", "8", "--domains", "2", "--askers", "2"],
            &["idle", "--connections", "4", "--heartbeat", "0.1"],
            &["churn", "--clients", "2"],
            &["storm", "--connections", "5", "--after", "0.2"],
            &["mixed", "--idle", "5", "--phones", "10", "--calls-per-second", "50", "--talk-ms", "5..50"],
        ] {
            scope.spawn(move || {
                let (found, output) = results(&[scenario, &way].concat());
                assert!(output.status.success() && found["operations"].as_u64() > Some(0), "{found:#}");
                assert_eq!(found["faults_total"], 0, "{found:#}");
                assert!(!found.to_string().contains("auth_failed"), "{found:#}");
            });
        }
    });
}

#[test]
fn a_token_is_asked_for_by_name_and_stands_in_no_findings() {
    let secure = Secure::with_rules();
    let (url, page) = (secure.url(), secure.folder.path().join("page.html").display().to_string());
    let way = ["ring", "--pairs", "2", "--url", &url, "--ca", &secure.ca];
    for (more, what) in [
        (&[][..], "register:auth_failed"),
        (&["--token", "wrong"], "register:auth_failed"),
        (&["--token-file", "/nowhere/token"], "--token-file /nowhere/token: No such file"),
    ] {
        let said = refusal(&[&way[..], more].concat());
        assert!(said.contains(what) && said.contains("--token"), "{more:?}: {said}");
    }
    let (found, output) = results(&[&way[..], &["--token", TOKEN, "--report", &page]].concat());
    assert!(output.status.success(), "{found:#}");
    let page = std::fs::read_to_string(page).expect("it was written");
    let said = found.to_string() + &page + &String::from_utf8_lossy(&output.stderr);
    assert!(!said.contains(TOKEN) && found["parameters"]["token"] == "TOKEN", "{found:#}");
}
