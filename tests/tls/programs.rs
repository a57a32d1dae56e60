//! The programs beside the exchange over TLS: the phone, the health check, `check-config`.

use super::*;

#[test]
fn the_phone_and_the_health_check_speak_tls() {
    let exchange = Renewable::start();
    let ca = exchange.folder.write("ca.pem", &exchange.authority.pem()).display().to_string();
    let port = exchange.process.address().port().to_string();
    let run = |arguments: &[&str]| {
        let mut command = systemx(arguments, exchange.folder.path());
        let files = [("TLS_CERT_PATH", "cert.pem"), ("TLS_KEY_PATH", "key.pem"), ("TLS_ENABLED", "true")];
        command.env("SYSTEMX_PORT", &port).envs(files).output().expect("it runs")
    };
    let health = run(&["health"]);
    assert!(health.status.success(), "{health:?}");
    // A stranger at a name has to be vouched for.
    let strange = run(&["health", "--url", &format!("wss://127.0.0.1:{port}")]);
    assert!(!strange.status.success(), "{strange:?}");
    let url = format!("wss://127.0.0.1:{port}");
    let phone = [
        "phone",
        "--url",
        &url,
        "--address",
        "a@homes.test",
        "--presence-domain",
        "homes.test",
        "--no-reconnect",
    ];
    let wrong_name = run(&[&phone[..], &["--ca", &ca]].concat());
    assert!(String::from_utf8_lossy(&wrong_name.stdout).contains("failed"), "{wrong_name:?}");
    let local = exchange.authority.issue("localhost", |_| {});
    local.write(&exchange.folder);
    exchange.process.signal(Signal::HUP);
    let url = format!("wss://localhost:{port}");
    let phone = [
        "phone",
        "--url",
        &url,
        "--address",
        "a@homes.test",
        "--presence-domain",
        "homes.test",
        "--no-reconnect",
        "--ca",
        &ca,
    ];
    eventually("the phone is let in", || {
        let said = run(&phone);
        String::from_utf8_lossy(&said.stdout).contains("presence_end").then_some(())
    });
}

#[test]
fn the_health_check_shows_a_certificate_if_it_is_given_one() {
    let authority = Authority::new();
    let exchange = Secure::with(
        |folder, files| {
            files.push(("tls_client_ca", folder.write("ca.pem", &authority.pem()).display().to_string()));
        },
        &[("tls_client_cert_required", "true")],
    );
    let folder = Scratch::new();
    let own = authority.issue("health.test", |params| {
        params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ClientAuth];
    });
    own.write(&folder);
    let port = exchange.rig.address().port().to_string();
    let is_healthy = |arguments: &[&str]| {
        let mut command = systemx(arguments, folder.path());
        let files = [("TLS_CERT_PATH", "cert.pem"), ("TLS_KEY_PATH", "key.pem"), ("TLS_ENABLED", "true")];
        command.env("SYSTEMX_PORT", &port).envs(files).output().expect("it runs").status.success()
    };
    assert!(!is_healthy(&["health"]), "it has nothing to show");
    assert!(is_healthy(&["health", "--cert", "cert.pem", "--key", "key.pem"]));
}

/// What an exchange would only find when it starts, or when it calls another one, is found before.
#[test]
fn check_config_opens_the_files_of_listener_and_links() {
    let (folder, authority) = (Scratch::new(), Authority::new());
    authority.server().write(&folder);
    folder.write("text.pem", "hello");
    folder.write("ca.pem", &authority.pem());
    let listener = |certificate| {
        vec![("TLS_ENABLED", "true"), ("TLS_CERT_PATH", certificate), ("TLS_KEY_PATH", "key.pem")]
    };
    let link = |url, ca, certificate| {
        vec![
            ("FEDERATION_ENABLED", "true"),
            ("FEDERATION_PEER_URL", url),
            ("FEDERATION_ROUTES", "*"),
            ("FEDERATION_CA", ca),
            ("FEDERATION_CERT", certificate),
            ("FEDERATION_KEY", "key.pem"),
        ]
    };
    let cases = [
        (listener("cert.pem"), None),
        (listener("text.pem"), Some("TLS_ENABLED is true, but text.pem holds no certificate")),
        (link("wss://up.test/", "ca.pem", "cert.pem"), None),
        (
            link("wss://up.test/", "none.pem", "cert.pem"),
            Some("links by wss:// cannot be set up: cannot read none.pem"),
        ),
        (link("wss://up.test/", "ca.pem", "text.pem"), Some("text.pem holds no certificate")),
        (link("ws://up.test/", "none.pem", "cert.pem"), None),
    ];
    for (environment, expected) in cases {
        let mut command = systemx(&["check-config"], folder.path());
        let output = command.envs(environment.clone()).output().expect("it runs");
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.success(), expected.is_none(), "{environment:?}: {said}");
        assert!(said.contains(expected.unwrap_or_default()), "{environment:?}: {said}");
    }
}
