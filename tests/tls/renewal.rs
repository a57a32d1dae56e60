//! Certificates that are renewed while calls are up, and files that cannot be used.

use super::*;

#[test]
fn a_new_certificate_is_shown_to_new_connections_and_old_ones_live_on() {
    let exchange = Renewable::start();
    assert!(exchange.process.log.wait_for("certificate in use").contains("cert.pem"));
    assert_eq!(exchange.shown(), exchange.first.der());
    let mut old = phone(exchange.process.address(), &exchange.client);
    old.register("a@homes.test");
    // Found by itself: the key is written first, so that the old certificate holds in between.
    let second = exchange.authority.server();
    second.write(&exchange.folder);
    eventually("the second certificate is shown", || (exchange.shown() == second.der()).then_some(()));
    // On demand.
    let third = exchange.authority.server();
    third.write(&exchange.folder);
    exchange.process.signal(Signal::HUP);
    eventually("the third certificate is shown", || (exchange.shown() == third.der()).then_some(()));
    old.expect_nothing();
}

#[test]
fn a_certificate_that_cannot_be_used_is_told_once_and_the_old_one_is_kept() {
    let exchange = Renewable::start();
    let mut old = phone(exchange.process.address(), &exchange.client);
    old.register("a@homes.test");
    exchange.folder.write("cert.pem", "not a certificate");
    exchange.process.signal(Signal::HUP);
    let warning = exchange.process.log.wait_for("certificate not reloaded");
    assert!(warning.contains("cert.pem holds no certificate") && warning.starts_with("[WARN]"), "{warning}");
    assert_eq!(exchange.shown(), exchange.first.der());
    old.expect_nothing();
    let second = exchange.authority.server();
    second.write(&exchange.folder);
    eventually("the second certificate is shown", || (exchange.shown() == second.der()).then_some(()));
    let log = exchange.process.log.all();
    let told = log.iter().filter(|line| line.contains("holds no certificate")).count();
    assert_eq!(told, 1, "{log:#?}");
}

/// What the program says when it does not start with these.
fn refusal(environment: &[(&str, &str)]) -> String {
    let folder = Scratch::new();
    let mut command = systemx(&["--host", "127.0.0.1", "--port", "0"], folder.path());
    let mut child = command
        .envs(environment.iter().copied())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program is built");
    assert!(!wait_for(&mut child).success(), "it starts with {environment:?}");
    let mut said = String::new();
    child.stderr.take().expect("it is piped").read_to_string(&mut said).expect("it is text");
    said
}

#[test]
fn an_exchange_with_files_that_cannot_be_used_does_not_start_and_says_which_and_why() {
    let (folder, authority) = (Scratch::new(), Authority::new());
    let [certificate, key] = authority.server().write(&folder).map(|path| path.display().to_string());
    let write = |name: &str, text: &str| folder.write(name, text).display().to_string();
    let other = write("other.key", &authority.server().key);
    let (text, empty) = (write("text.pem", "hello"), write("empty.pem", ""));
    let absent = folder.path().join("absent.pem").display().to_string();
    let cases = [
        (&absent, &key, "absent.pem: No such file"),
        (&certificate, &absent, "absent.pem: No such file"),
        (&text, &key, "text.pem holds no certificate"),
        (&certificate, &empty, "empty.pem holds no key"),
        (&certificate, &other, "other.key does not belong to the certificate in"),
        (&key, &certificate, "key.pem holds no certificate"),
    ];
    for (certificate, key, expected) in cases {
        let said = refusal(&[("TLS_ENABLED", "true"), ("TLS_CERT_PATH", certificate), ("TLS_KEY_PATH", key)]);
        assert!(said.contains(expected) && said.contains("TLS_ENABLED"), "{said}");
    }
    let said = refusal(&[
        ("TLS_ENABLED", "true"),
        ("TLS_CERT_PATH", &certificate),
        ("TLS_KEY_PATH", &key),
        ("SYSTEMX_TLS_CLIENT_CA", &text),
    ]);
    assert!(said.contains("text.pem holds no certificate"), "{said}");
    let said = refusal(&[("TLS_ENABLED", "true"), ("TLS_CERT_PATH", &certificate)]);
    assert!(said.contains("TLS_KEY_PATH is not set"), "{said}");
    let said = refusal(&[("TLS_ENABLED", "yes"), ("TLS_CERT_PATH", &certificate), ("TLS_KEY_PATH", &key)]);
    assert!(said.contains("TLS_ENABLED: \"yes\""), "{said}");
}

#[test]
fn an_expired_certificate_is_served_with_a_warning() {
    let (folder, authority) = (Scratch::new(), Authority::new());
    let [certificate, key] = authority.expired_server().write(&folder).map(|path| path.display().to_string());
    let environment =
        [("TLS_ENABLED", "true"), ("TLS_CERT_PATH", certificate.as_str()), ("TLS_KEY_PATH", key.as_str())];
    let process = Process::start_with(&[], &environment);
    let warning = process.log.wait_for("certificate has expired");
    assert!(warning.contains("2020-01-01") && warning.contains("cert.pem"), "{warning}");
    let refused = try_phone(process.address(), &authority.client()).err().expect("clients refuse it");
    assert!(refused.to_string().contains("expired"), "{refused}");
}
