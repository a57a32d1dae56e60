//! Variables or a file in, links or mistakes out.

use super::*;
use crate::config::{Config, RawConfig, RawFlags};

/// What an exchange starts with, given these variables.
fn load(env: &[(&str, &str)]) -> (Federation, Vec<Warning>) {
    load_with(env, None)
}

fn load_with(env: &[(&str, &str)], file: Option<Result<String, FileFault>>) -> (Federation, Vec<Warning>) {
    let env = env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    let mut raw = RawConfig::gather(RawFlags::default(), env.chain(quiet()), None, None);
    raw.federation_file = file;
    let (config, warnings) = Config::check(raw).expect("links never stop the start");
    (config.federation, warnings)
}

fn quiet() -> [(String, String); 1] {
    [("SYSTEMX_HOST".to_owned(), "127.0.0.1".to_owned())]
}

fn load_file(text: &str) -> (Federation, Vec<Warning>) {
    // It wins over the variables, which would be wrong here.
    load_with(&[("FEDERATION_ENABLED", "true")], Some(Ok(text.to_owned())))
}

fn said(mistakes: &[Mistake]) -> Vec<String> {
    mistakes.iter().map(Mistake::to_string).collect()
}

fn texts(patterns: &[Pattern]) -> Vec<&str> {
    patterns.iter().map(Pattern::as_str).collect()
}

const ENABLED: (&str, &str) = ("FEDERATION_ENABLED", "true");
const PEER_URL: (&str, &str) = ("FEDERATION_PEER_URL", "ws://parent.test:8090/up");
const ROUTES: (&str, &str) = ("FEDERATION_ROUTES", " *@parent.test, ,boss@hq.test");

#[test]
fn the_least_description_gets_the_defaults_of_the_specification() {
    let (federation, warnings) = load(&[ENABLED, PEER_URL, ROUTES]);
    assert_eq!((federation.mistakes, warnings, &*federation.domain), (vec![], vec![], "local.systemx"));
    let [peer] = &federation.peers[..] else { panic!("one peer") };
    assert_eq!((&*peer.id, peer.url.to_string().as_str()), ("parent.test:8090", "ws://parent.test:8090/up"));
    assert_eq!((&*peer.domain, &peer.auth), ("local.systemx", &None));
    assert_eq!(texts(&peer.routes), ["*@parent.test", "boss@hq.test"]);
    assert_eq!(texts(&peer.announced), ["*@local.systemx"]);
    assert_eq!(peer.reconnect_delay, Duration::from_millis(5_000));
    assert_eq!(peer.heartbeat, Some(Duration::from_millis(30_000)));
    assert_eq!((peer.protocols.len(), federation.tls), (0, PeerTls::default()));
}

#[test]
fn every_variable_counts() {
    let (federation, warnings) = load(&[
        ENABLED,
        ("FEDERATION_PEER_URL", "wss://parent.test"),
        ROUTES,
        ("FEDERATION_DOMAIN", "home.test"),
        ("FEDERATION_ANNOUNCE_ROUTES", "*.Home.test, me@elsewhere.test"),
        ("FEDERATION_PEER_ID", "parent"),
        ("FEDERATION_AUTH", "s3cret"),
        ("FEDERATION_RECONNECT_DELAY_MS", "250"),
        ("FEDERATION_HEARTBEAT_MS", "-1"),
        ("FEDERATION_CA", "/ca.pem"),
        ("FEDERATION_CERT", "/own.pem"),
        ("FEDERATION_KEY", "/own.key"),
    ]);
    assert_eq!((federation.mistakes.len(), warnings), (0, vec![]));
    let [peer] = &federation.peers[..] else { panic!("one peer") };
    assert!(peer.url.is_secure);
    assert_eq!((&*peer.id, &*peer.domain), ("parent", "home.test"));
    assert_eq!(&*federation.domain, "home.test");
    assert_eq!(texts(&peer.announced), ["*.home.test", "me@elsewhere.test"]);
    assert_eq!(peer.auth.as_ref().map(|auth| auth.reveal().as_str()), Some("s3cret"));
    assert!(!format!("{peer:?}").contains("s3cret"), "{peer:?}");
    assert_eq!((peer.reconnect_delay, peer.heartbeat), (Duration::from_millis(250), None));
    let tls = PeerTls { ca: Some("/ca.pem".into()), identity: Some(("/own.pem".into(), "/own.key".into())) };
    assert_eq!(federation.tls, tls);
}

#[test]
fn only_exactly_true_switches_the_link_on() {
    for value in ["", "TRUE", "1", "yes", "false"] {
        let (federation, warnings) = load(&[("FEDERATION_ENABLED", value), PEER_URL, ROUTES]);
        assert_eq!((federation, warnings), (Federation::default(), vec![Warning::FederationNotEnabled]));
    }
    assert_eq!(load(&[ROUTES]), (Federation::default(), vec![]));
    // A parent calls nobody, and has a name all the same.
    let (federation, _) = load(&[("FEDERATION_DOMAIN", "corp.test")]);
    assert_eq!((&*federation.domain, federation.peers.len()), ("corp.test", 0));
}

#[test]
fn without_a_url_or_routes_the_link_is_off_and_that_is_said() {
    for (given, said_of_it) in [
        (vec![ENABLED, ROUTES], "FEDERATION_PEER_URL is missing; federation is off"),
        (vec![ENABLED, PEER_URL], "FEDERATION_ROUTES is missing; federation is off"),
        (
            vec![ENABLED, PEER_URL, ("FEDERATION_ROUTES", " , ")],
            "FEDERATION_ROUTES is missing; federation is off",
        ),
        (
            vec![ENABLED, PEER_URL, ROUTES, ("FEDERATION_KEY", "/k")],
            "FEDERATION_CERT is missing; federation is off",
        ),
    ] {
        let (federation, _) = load(&given);
        assert_eq!((said(&federation.mistakes), federation.peers.len()), (vec![said_of_it.to_owned()], 0));
        assert!(federation.mistakes[0].is_omission());
    }
    let (federation, _) = load(&[ENABLED, ("FEDERATION_PEER_URL", "http://:s3cret@parent.test"), ROUTES]);
    let expected = "FEDERATION_PEER_URL: the URL must begin with ws:// or wss://; federation is off";
    assert_eq!(said(&federation.mistakes), [expected]);
    let long = "x".repeat(2_000);
    let (federation, _) = load(&[ENABLED, PEER_URL, ("FEDERATION_ROUTES", &long)]);
    let expected = "FEDERATION_ROUTES: a pattern has at most 1024 bytes; federation is off";
    assert_eq!(said(&federation.mistakes), [expected]);
    assert!(!federation.mistakes[0].is_omission());
}

#[test]
fn a_number_that_is_none_stands_for_its_default_and_ends_no_link() {
    let (federation, _) = load(&[ENABLED, PEER_URL, ROUTES, ("FEDERATION_RECONNECT_DELAY_MS", "soon")]);
    assert_eq!(federation.peers[0].reconnect_delay, Duration::from_secs(5));
    let [mistake] = &federation.mistakes[..] else { panic!("one mistake") };
    let expected = "FEDERATION_RECONNECT_DELAY_MS must be a whole number from 0 to 86400000; 5000 is used";
    assert_eq!(mistake.to_string(), expected);
}

#[test]
fn a_delay_that_would_burn_a_core_is_made_longer() {
    let short = ("FEDERATION_RECONNECT_DELAY_MS", "0");
    let (federation, _) = load(&[ENABLED, PEER_URL, ROUTES, short, ("FEDERATION_HEARTBEAT_MS", "1")]);
    let peer = &federation.peers[0];
    assert_eq!((peer.reconnect_delay, peer.heartbeat), (RECONNECT_DELAY_MIN, Some(HEARTBEAT_MIN)));
}

#[test]
fn what_is_announced_follows_the_domain() {
    for (domain, announced) in [
        ("home.test", "*@home.test"),
        ("*@home.test", "*@home.test"),
        ("*.home.test", "*@home.test"),
        ("me@home.test", "me@home.test"),
    ] {
        let (federation, _) = load(&[ENABLED, PEER_URL, ROUTES, ("FEDERATION_DOMAIN", domain)]);
        assert_eq!(texts(&federation.peers[0].announced), [announced], "{domain}");
    }
}

#[test]
fn a_misspelt_variable_is_named_with_what_was_meant() {
    let (_, warnings) = load(&[("FEDERATION_PEER_ULR", "ws://parent.test"), ("FEDERATION_ZEBRA", "1")]);
    let warnings: Vec<_> = warnings.iter().map(Warning::to_string).collect();
    let meant = "unknown variable FEDERATION_PEER_ULR (environment); did you mean FEDERATION_PEER_URL?";
    assert_eq!(warnings, [meant, "unknown variable FEDERATION_ZEBRA (environment)"]);
}

#[test]
fn the_least_file_gets_the_defaults_of_the_specification() {
    let (federation, warnings) =
        load_file(r#"{"domain": "home.test", "peers": [{"url": "ws://parent.test", "routes": ["*"]}]}"#);
    assert_eq!((federation.mistakes.len(), warnings), (0, vec![]));
    let [peer] = &federation.peers[..] else { panic!("one peer") };
    assert_eq!((&*peer.id, &*peer.domain, &peer.auth), ("parent.test:80", "home.test", &None));
    assert_eq!((texts(&peer.routes), texts(&peer.announced)), (vec!["*"], vec!["*@home.test"]));
    assert_eq!(peer.reconnect_delay, Duration::from_secs(5));
    assert_eq!((peer.heartbeat, peer.protocols.len()), (Some(Duration::from_secs(30)), 0));
}

#[test]
fn every_key_of_the_file_counts() {
    let (federation, warnings) = load_file(
        r#"{"domain": "home.test", "exportRoutes": ["*.home.test"], "heartbeatIntervalMs": 1000, "peers": [
            {"id": "up", "url": "ws://parent.test", "routes": ["*"], "auth": "s3cret", "transport": "websocket",
             "reconnectDelayMs": 100, "announceRoutes": ["a@home.test", "B@home.test"], "protocols": "systemx"},
            {"url": "wss://other.test", "routes": ["*@other.test"], "protocols": ["a", "b"], "id": null}]}"#,
    );
    assert_eq!((federation.mistakes, warnings), (vec![], vec![]));
    assert_eq!(&*federation.domain, "home.test");
    let [up, other] = &federation.peers[..] else { panic!("two peers") };
    assert_eq!((&*up.id, &*other.id), ("up", "other.test:443"));
    assert_eq!(up.auth.as_ref().map(|auth| auth.reveal().as_str()), Some("s3cret"));
    assert_eq!(
        (up.reconnect_delay, up.heartbeat),
        (Duration::from_millis(100), Some(Duration::from_secs(1)))
    );
    assert_eq!(texts(&up.announced), ["a@home.test", "b@home.test"]);
    assert_eq!((*up.protocols).len(), 1);
    assert_eq!(texts(&other.announced), ["*.home.test"]);
    assert_eq!(*other.protocols, ["a".into(), "b".into()]);
}

#[test]
fn each_mistake_of_the_file_is_told_by_its_place() {
    let peer = |fields: &str| {
        format!(r#"{{"domain": "h", "peers": [{{"url": "ws://p", "routes": ["*"]{fields}}}]}}"#)
    };
    for (text, expected) in [
        ("{\"domain\": \n", "no valid JSON at line 2, column 0"),
        ("[]", "the content must be an object"),
        (r#"{"peers": [{"url": "ws://p", "routes": ["*"]}]}"#, "domain must be a text that is not empty"),
        (r#"{"domain": "h"}"#, "peers must be a list of at least one peer"),
        (r#"{"domain": "h", "peers": []}"#, "peers must be a list of at least one peer"),
        (r#"{"domain": "h", "peers": [1]}"#, "peers[0] must be an object"),
        (r#"{"domain": "h", "peers": [{"routes": ["*"]}]}"#, "peers[0].url must be a ws:// or wss:// URL"),
        (
            r#"{"domain": "h", "peers": [{"url": "ws://p"}]}"#,
            "peers[0].routes must be a list of at least one route",
        ),
        (
            r#"{"domain": "h", "peers": [{"url": "ws://p", "routes": ["*", ""]}]}"#,
            "peers[0].routes must be a list of texts that are not empty",
        ),
        (&peer(r#", "transport": "tcp""#), "peers[0].transport must be \"websocket\""),
        (&peer(r#", "auth": 7"#), "peers[0].auth must be a text of at most 4096 bytes"),
        (&peer(r#", "reconnectDelayMs": "5""#), "peers[0].reconnectDelayMs must be a number up to 86400000"),
        (
            &peer(r#", "protocols": ["a b"]"#),
            "peers[0].protocols must be the names of at most 16 subprotocols, without blanks and commas",
        ),
    ] {
        let (federation, _) = load_file(text);
        let expected = format!("FEDERATION_CONFIG: {expected}; federation is off");
        assert_eq!((said(&federation.mistakes), federation.peers.len()), (vec![expected], 0), "{text}");
        assert!(!federation.mistakes[0].is_omission());
    }
}

#[test]
fn a_file_that_cannot_be_had_or_says_too_much_switches_links_off() {
    for (fault, expected) in [
        (
            FileFault::Unreadable("gone".into()),
            "FEDERATION_CONFIG: the file cannot be read: gone; federation is off",
        ),
        (FileFault::TooLarge, "FEDERATION_CONFIG: the file has more than 4194304 bytes; federation is off"),
        (FileFault::NotUtf8, "FEDERATION_CONFIG: the file is not UTF-8; federation is off"),
    ] {
        let (federation, _) = load_with(&[ENABLED, PEER_URL, ROUTES], Some(Err(fault)));
        assert_eq!((said(&federation.mistakes), federation.peers.len()), (vec![expected.to_owned()], 0));
    }
    let file = |peers: usize, routes: usize| {
        let routes = vec!["\"*\""; routes].join(",");
        let peer = format!(r#"{{"url": "ws://p", "routes": [{routes}]}}"#);
        load_file(&format!(r#"{{"domain": "h", "peers": [{}]}}"#, vec![peer; peers].join(","))).0
    };
    assert_eq!(file(PEERS_MAX, 1).peers.len(), PEERS_MAX);
    assert_eq!(said(&file(PEERS_MAX + 1, 1).mistakes), ["peers has more than 64 peers; federation is off"]);
    assert_eq!(file(1, ROUTES_PER_PEER_MAX).peers.len(), 1);
    assert_eq!(file(1, ROUTES_PER_PEER_MAX + 1).peers.len(), 0);
}

#[test]
fn unknown_keys_are_warned_about_and_equal_names_told_apart() {
    let (federation, warnings) = load_file(
        r#"{"domain": "h", "export_routes": [], "peers": [{"url": "ws://p", "routes": ["*"], "reconectDelayMs": 5},
            {"url": "ws://p", "routes": ["*"]}]}"#,
    );
    let warnings: Vec<_> = warnings.iter().map(Warning::to_string).collect();
    assert_eq!(
        warnings,
        [
            "FEDERATION_CONFIG: unknown key export_routes; did you mean \"exportRoutes\"?",
            "FEDERATION_CONFIG: unknown key peers[0].reconectDelayMs; did you mean \"reconnectDelayMs\"?",
            "FEDERATION_CONFIG: two peers are called \"p:80\"; the later one is \"p:80#2\" now",
        ]
    );
    assert_eq!((&*federation.peers[0].id, &*federation.peers[1].id), ("p:80", "p:80#2"));
}

/// The first fenced block of the page about links that begins so.
fn shown(fence: &str) -> &'static str {
    let page = include_str!("../../../docs/FEDERATION.md");
    let block = page.split(&format!("{fence}\n")).nth(1).expect("the page shows it");
    block.split("```").next().expect("a text has a beginning")
}

#[test]
fn the_examples_of_the_document_are_right() {
    let lines: Vec<(&str, &str)> = shown("```").lines().filter_map(|line| line.split_once('=')).collect();
    assert_eq!(lines.len(), 5);
    let (federation, warnings) = load(&lines);
    assert_eq!((federation.mistakes, warnings, federation.peers.len()), (vec![], vec![], 1));
    let (federation, warnings) = load_file(shown("```json"));
    assert_eq!((federation.mistakes, warnings, federation.peers.len()), (vec![], vec![], 1));
}
