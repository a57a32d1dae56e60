//! Who may register, dial and be woken, from outside: tokens in frames and in the handshake, signed tokens of every
//! algorithm, their end, rules read anew on SIGHUP, and nothing secret in what an exchange writes.

use std::net::{SocketAddr, TcpStream};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rcgen::PublicKeyData as _;
use rustix::process::Signal;
use serde_json::{Value, json};

use super::support::process::systemx;
use super::support::{Phone, Process, Rig, Scratch, Webhooks, eventually};

const SECRET_KEYS: &str =
    r#"{"keys":[{"kty":"oct","kid":"k","k":"CQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQk"}]}"#;
const RSA_PRIVATE: &str = include_str!("../src/identity/tests/rsa.pem");
const RSA_PUBLIC: &str = include_str!("../src/identity/tests/rsa.pub");

fn refused(phone: &mut Phone, address: &str, fields: Value) {
    phone.send(super::support::phone::register_frame(address, fields));
    phone.expect_exactly(json!({"type": "REGISTER_FAILED", "reason": "auth_failed"}));
}

/// An exchange with these rules; the folder has to live as long as it does.
fn ruled(file: &Value) -> (Rig, Scratch) {
    let folder = Scratch::new();
    folder.write("keys.json", SECRET_KEYS);
    let path = folder.write("auth.json", &file.to_string());
    let rig = Rig::with(&[("auth_file", path.to_str().expect("a path")), ("auth_grace_seconds", "1")]);
    (rig, folder)
}

/// A token by `systemx token make`.
fn make(folder: &Scratch, key: &str, more: &[&str]) -> String {
    let arguments = [&["token", "make", "--key", key][..], more].concat();
    let made = systemx(&arguments, folder.path()).output().expect("the program can be run");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    String::from_utf8(made.stdout).expect("a token is text").trim().to_owned()
}

/// A client whose handshake carries this token.
fn bearer(address: SocketAddr, token: &str) -> Phone {
    let stream = TcpStream::connect(address).expect("the exchange accepts");
    let mut opening = super::support::phone::handshake_request();
    opening.truncate(opening.len() - b"\r\n".len());
    opening.extend_from_slice(format!("Authorization: Bearer {token}\r\n\r\n").as_bytes());
    let wire = super::support::wire::Wire::Plain(stream);
    Phone::opening(wire, std::iter::once(&opening[..])).expect("it shakes hands")
}

#[test]
fn the_file_says_who_may_register() {
    let (rig, _folder) = ruled(&json!({
        "register": [{"pattern": "*@corp.test", "tokens": ["t1", "t2"]}],
        "default": "allow",
    }));
    let mut a = rig.phone();
    refused(&mut a, "a@corp.test", json!({}));
    refused(&mut a, "a@corp.test", json!({"auth": "wrong"}));
    refused(&mut a, "a@corp.test", json!({"auth": 7}));
    a.register_with("a@corp.test", json!({"auth": "t1"}));
    a.register("a@corp.test");
    rig.registered_with("b@corp.test", json!({"auth": "t2"}));
    rig.registered("a@other.test");
}

#[test]
fn the_short_form_says_who_may_register() {
    let rig = Rig::with(&[("auth_tokens", "t1=*@corp.test,t2=boss@corp.test")]);
    let mut a = rig.phone();
    refused(&mut a, "a@corp.test", json!({"auth": "t2"}));
    a.register_with("a@corp.test", json!({"auth": "t1"}));
    rig.registered_with("boss@corp.test", json!({"auth": "t2"}));
}

/// Without configuration everything is open, whatever is shown.
#[test]
fn without_rules_a_token_is_ignored() {
    let rig = Rig::new();
    rig.registered_with("a@corp.test", json!({"auth": "t"}));
    let mut b = bearer(rig.address(), "t");
    b.register("b@corp.test");
}

/// A token of the handshake stands in for one that is not in the frame, until the line holds an address.
#[test]
fn a_token_in_the_handshake_counts_for_the_first_registration() {
    let rig = Rig::with(&[("auth_tokens", "t1=*@corp.test,t2=*@lab.test")]);
    for name in ["a", "b", "c", "d"] {
        let mut phone = bearer(rig.address(), "t1");
        let address = format!("{name}@corp.test");
        refused(&mut phone, &address, json!({"auth": "t2"}));
        phone.register(&address);
        phone.register(&address);
        refused(&mut phone, &format!("other-{name}@corp.test"), json!({}));
        phone.register_with(&format!("{name}@lab.test"), json!({"auth": "t2"}));
    }
}

/// It is kept until its bearer registers, and counts among what strangers have begun to say.
#[test]
fn tokens_in_handshakes_share_the_budget_of_strangers() {
    const LENGTH: usize = 8000;
    let good = "t".repeat(LENGTH);
    let tokens = format!("{good}=*@corp.test");
    let rig = Rig::with(&[("auth_tokens", &tokens), ("unregistered_bytes_total", "1048576")]);
    // Five times what there is room for.
    let mut hoarders: Vec<_> = (0..640).map(|_| bearer(rig.address(), &"x".repeat(LENGTH))).collect();
    let _honest = rig.registered("honest@other.test");
    let is_heard = |phone: &mut Phone| {
        phone.try_send(&json!({"type": "HEARTBEAT"})).is_ok() && phone.try_next().is_some()
    };
    let heard = hoarders.iter_mut().map(is_heard).filter(|heard| *heard).count();
    assert!((64..=133).contains(&heard), "{heard} of {} are kept", hoarders.len());
    drop(hoarders);
    let refused = |phone: &mut Phone| !is_heard(phone);
    eventually("their room is free", || (!refused(&mut bearer(rig.address(), &good))).then_some(()));
    let register = |number| {
        let mut phone = bearer(rig.address(), &good);
        phone.register(&format!("a{number}@corp.test"));
        phone
    };
    let registered: Vec<_> = (0..400).map(register).collect();
    drop(registered);
}

/// HS256, RS256, ES256 and EdDSA, with keys as operators have them; made by `systemx token`.
#[test]
fn signed_tokens_of_each_algorithm_open_what_they_list() {
    let pem = |kind: &str, der: &[u8]| {
        format!("-----BEGIN {kind} KEY-----\n{}\n-----END {kind} KEY-----\n", STANDARD.encode(der))
    };
    let signer = |algorithm: &'static rcgen::SignatureAlgorithm| {
        let pair = rcgen::KeyPair::generate_for(algorithm).expect("a key");
        (pem("PRIVATE", &pair.serialize_der()), pem("PUBLIC", &pair.subject_public_key_info()))
    };
    let (ec, ec_public) = signer(&rcgen::PKCS_ECDSA_P256_SHA256);
    let (ed, ed_public) = signer(&rcgen::PKCS_ED25519);
    let pairs = [
        ("HS256", SECRET_KEYS, SECRET_KEYS),
        ("RS256", RSA_PRIVATE, RSA_PUBLIC),
        ("ES256", &*ec, &*ec_public),
        ("EdDSA", &*ed, &*ed_public),
    ];
    for (algorithm, private, public) in pairs {
        let folder = Scratch::new();
        folder.write("private", private);
        folder.write("public", public);
        let file = json!({
            "register": [{"pattern": "*@corp.test", "tokens": []}],
            "jwt": {"keys": "public", "issuer": "idp", "audience": "exchange", "algorithms": [algorithm]},
        });
        let path = folder.write("auth.json", &file.to_string());
        let rig = Rig::with(&[("auth_file", path.to_str().expect("a path"))]);
        let to = |more: &[&str]| {
            let usual = ["--issuer", "idp", "--audience", "exchange", "--address", "a*@corp.test"];
            make(&folder, "private", &[&usual[..], more].concat())
        };
        let mut a = rig.phone();
        let good = to(&["--expires-in", "600"]);
        for bad in [to(&["--expires-in", "-60"]), to(&["--begins-in", "60"]), to(&["--set", "iss=other"])] {
            refused(&mut a, "a@corp.test", json!({"auth": bad}));
        }
        refused(&mut a, "b@corp.test", json!({"auth": good}));
        a.register_with("a@corp.test", json!({"auth": good}));
        bearer(rig.address(), &good).register("a2@corp.test");
        let seen = systemx(&["token", "inspect", "--keys", "public", &good], folder.path()).output();
        let seen = seen.expect("the program can be run");
        let text = String::from_utf8(seen.stdout).expect("text");
        assert!(seen.status.success() && text.contains(&format!("signature: valid, {algorithm}")), "{text}");
        assert!(text.contains("time: expires in 5") || text.contains("time: expires in 600"), "{text}");
    }
}

/// Told before, closed after the grace, unless a fresh token comes in time. Only who sent a token is told.
#[test]
fn a_registration_ends_with_its_token_unless_a_fresh_one_comes() {
    let (rig, folder) = ruled(&json!({
        "register": [{"pattern": "*@corp.test", "tokens": ["static"]}],
        "jwt": {"keys": "keys.json"},
    }));
    let token = |span: &str| make(&folder, "keys.json", &["--address", "*", "--expires-in", span]);
    let (short, long) = (token("2"), token("600"));
    let mut ends = rig.registered_with("ends@corp.test", json!({"auth": short}));
    let mut stays = bearer(rig.address(), &short);
    stays.register("stays@corp.test");
    let mut fixed = rig.registered_with("fixed@corp.test", json!({"auth": "static"}));
    let call = fixed.call("fixed@corp.test", &mut ends, "ends@corp.test");
    let told = stays.expect(json!({"type": "AUTH_EXPIRING"}));
    assert!(told["expires_at"].as_u64().is_some_and(|ms| ms > 1_600_000_000_000), "{told}");
    stays.register_with("stays@corp.test", json!({"auth": long}));
    ends.expect(json!({"type": "AUTH_EXPIRING", "expires_at": told["expires_at"]}));
    ends.expect_close(4000, "auth_expired");
    fixed.expect_hangup(&call, "auth_expired");
    stays.expect_nothing();
    fixed.expect_nothing();
}

#[test]
fn dial_rules_decide_who_is_called_and_who_is_seen() {
    let (rig, _folder) =
        ruled(&json!({"dial": [{"from": "*@guest.test", "to": "*@corp.test", "allow": false}]}));
    let mut guest = rig.registered("g@guest.test");
    let mut boss = rig.registered("boss@corp.test");
    let _desk = rig.registered("desk@y.test");
    guest.dial("boss@corp.test");
    guest.expect_busy("boss@corp.test", "forbidden");
    let seen = guest.presence(json!({}));
    assert_eq!(seen.len(), 1, "{seen:?}");
    assert_eq!(boss.presence(json!({})).len(), 2);
    boss.call("boss@corp.test", &mut guest, "g@guest.test");
    guest.send(json!({"type": "JOIN", "party": "meeting@corp.test"}));
    guest.expect(json!({"type": "ERROR", "reason": "forbidden", "context": "JOIN"}));
    boss.send(json!({"type": "JOIN", "party": "meeting@corp.test"}));
    boss.expect(json!({"type": "JOINED", "participants": ["boss@corp.test"]}));
}

/// Whoever may become an exchange, because nothing is said about it, does not get what is protected by that.
#[test]
fn a_strangers_exchange_is_nobody_whom_rules_protect() {
    let (rig, _folder) = ruled(&json!({"register": [{"pattern": "*@corp.test", "tokens": ["t"]}]}));
    let mut stranger = rig.phone();
    stranger.send(
        json!({"type": "REGISTER_PBX", "domain": "evil.test", "routes": ["*@corp.test", "*@evil.test"]}),
    );
    stranger.expect(json!({"type": "REGISTERED_PBX"}));
    let mut caller = rig.registered("a@open.test");
    caller.dial("boss@corp.test");
    caller.expect_busy("boss@corp.test", "no_such_address");
    for (from, answer) in [("boss@corp.test", "BUSY"), ("x@evil.test", "RING")] {
        stranger.send(json!({"type": "DIAL_FORWARD", "call_id": from, "from": from, "to": "a@open.test"}));
        stranger.expect(json!({"type": answer, "call_id": from}));
    }
    caller.expect(json!({"type": "RING", "from": "x@evil.test"}));
    caller.dial("boss@evil.test");
    stranger.expect(json!({"type": "DIAL_FORWARD", "to": "boss@evil.test"}));
}

#[test]
fn wake_rules_refuse_handlers_and_every_run_is_logged_with_its_owner() {
    let hooks = Webhooks::start();
    let folder = Scratch::new();
    let file = json!({"wake": [{"pattern": "*@corp.test", "webhook": true}, {"pattern": "*"}]});
    let path = folder.write("auth.json", &file.to_string());
    let exchange = Process::start(&["--auth-file", path.to_str().expect("a path")]);
    let wake = |kind: Value| json!({"mode": "wake_on_ring", "wake_handler": kind});
    let webhook = || {
        wake(
            json!({"type": "webhook", "url": hooks.url("/wake?key=hush-url"), "timeout_seconds": 5, "payload": {"key": "hush-payload"}}),
        )
    };
    let mut guest = exchange.phone();
    for (address, handler) in [
        ("g@guest.test", webhook()),
        ("a@corp.test", wake(json!({"type": "spawn", "command": ["/bin/true"], "timeout_seconds": 5}))),
    ] {
        guest.send(super::support::phone::register_frame(address, handler));
        guest.expect(json!({"type": "ERROR", "reason": "invalid_payload", "context": "REGISTER"}));
    }
    let mut agent = exchange.phone();
    let session = agent.register_with("a@corp.test", webhook());
    agent.send(json!({"type": "SLEEP_ACK"}));
    agent.expect_close(4000, "sleep");
    guest.register("g@guest.test");
    guest.dial("a@corp.test");
    hooks.next().answer(200, "");
    let line = exchange.log.wait_for("wake handler ended");
    assert!(line.contains(&session) && line.contains("a@corp.test") && line.contains("answered"), "{line}");
    assert!(line.contains("webhook"), "{line}");
    assert!(exchange.log.wait_for("wake handler started").contains(&session));
    assert!(!exchange.log.all().iter().any(|line| line.contains("hush")), "{:#?}", exchange.log.all());
}

/// SIGHUP brings new rules; a bad file changes nothing and is told.
#[test]
fn rules_are_read_anew_on_sighup_and_a_bad_file_keeps_the_old_ones() {
    let folder = Scratch::new();
    let rules =
        |token: &str| json!({"register": [{"pattern": "*@corp.test", "tokens": [token]}]}).to_string();
    let path = folder.write("auth.json", &rules("old"));
    let exchange = Process::start(&["--auth-file", path.to_str().expect("a path")]);
    let mut a = exchange.phone();
    a.register_with("a@corp.test", json!({"auth": "old"}));
    folder.write("auth.json", r#"{"register": [{"pattern": "*@corp.test", "tokens": ["hush", 7]}]}"#);
    exchange.signal(Signal::HUP);
    let line = exchange.log.wait_for("rules not reloaded: the old ones hold");
    assert!(
        line.starts_with("[WARN]") && line.contains("$.register[0].tokens[1]") && !line.contains("hush"),
        "{line}"
    );
    let mut b = exchange.phone();
    b.register_with("b@corp.test", json!({"auth": "old"}));
    folder.write("auth.json", &rules("new"));
    exchange.signal(Signal::HUP);
    exchange.log.wait_for("rules reloaded");
    // Both shards have been told, the one after the other.
    eventually("the new rules hold", || {
        let mut c = exchange.phone();
        c.send(super::support::phone::register_frame("c@corp.test", json!({"auth": "new"})));
        (c.next()["type"] == "REGISTERED").then_some(())
    });
    let mut d = exchange.phone();
    d.register_with("d@corp.test", json!({"auth": "new"}));
    // Who is registered stays so, and a refresh of who was verified needs no token.
    a.register("a@corp.test");
    refused(&mut b, "b@corp.test", json!({"auth": "old"}));
    b.expect_nothing();
}

#[test]
fn a_bad_file_stops_the_start_and_check_config_with_the_place_of_the_fault() {
    let folder = Scratch::new();
    folder.write("auth.json", r#"{"dial": [{"from": "*", "to": "*", "allow": "hush"}], "register": [{"pattern": "*", "tokens": ["hush"]}]}"#);
    for program in ["serve", "check-config"] {
        let out = systemx(
            &[program, "--host", "127.0.0.1", "--port", "0", "--auth-file", "auth.json"],
            folder.path(),
        );
        let out = { out }.output().expect("the program can be run");
        let said = String::from_utf8_lossy(&out.stderr);
        assert!(!out.status.success() && said.contains("auth.json: $.dial[0].allow: "), "{program}: {said}");
    }
    let short = |arguments: &[&str]| {
        let mut command = systemx(arguments, folder.path());
        command.env("SYSTEMX_AUTH_TOKENS", "hush=*@corp.test").output().expect("the program can be run")
    };
    let flag = short(&["check-config", "--auth-tokens", "hush=*@corp.test"]);
    assert!(!flag.status.success(), "whoever lists processes would see it");
    let out = short(&["check-config"]);
    let text = String::from_utf8_lossy(&out.stdout);
    assert!(out.status.success() && text.contains("(hidden)") && !text.contains("hush"), "{text}");
}

/// Tokens of every kind in every place, and then everything that was written is searched for them.
#[test]
fn nothing_secret_is_written_anywhere() {
    let folder = Scratch::new();
    folder.write("keys.json", SECRET_KEYS);
    let file =
        json!({"register": [{"pattern": "*@corp.test", "tokens": ["hush-1"]}], "jwt": {"keys": "keys.json"}});
    let path = folder.write("auth.json", &file.to_string());
    let calls = folder.path().join("calls.jsonl");
    let signed = make(&folder, "keys.json", &["--address", "*", "--expires-in", "600"]);
    let text = |path: &std::path::Path| path.to_str().expect("a path").to_owned();
    let flags = ["--log-level", "debug", "--auth-file", &text(&path), "--call-log", &text(&calls)];
    let mut exchange = Process::start_with(&flags, &[("SYSTEMX_AUTH_TOKENS", "hush-2=*@lab.test")]);
    let mut listener = exchange.registered("listener@y.test");
    listener.dial("logs@system.local");
    listener.expect(json!({"type": "CONNECTED"}));
    let mut a = exchange.phone();
    refused(&mut a, "a@corp.test", json!({"auth": "hush-wrong"}));
    a.register_with("a@corp.test", json!({"auth": "hush-1"}));
    let mut b = bearer(exchange.address(), "hush-2");
    b.register("b@lab.test");
    let mut c = exchange.phone();
    refused(&mut c, "c@corp.test", json!({"auth": format!("{signed}x")}));
    c.register_with("c@corp.test", json!({"auth": signed}));
    let call = a.call("a@corp.test", &mut b, "b@lab.test");
    a.hang_up(&call);
    b.expect_hangup(&call, "normal");
    folder.write("auth.json", r#"{"register": [{"pattern": "*", "tokens": "hush-3"}]}"#);
    exchange.signal(Signal::HUP);
    exchange.log.wait_for("rules not reloaded");
    exchange.signal(Signal::TERM);
    let (_, _, streamed) = listener.read_until_close();
    exchange.wait();
    let mut written = exchange.log.all().join("\n");
    written.push_str(&std::fs::read_to_string(&calls).expect("a call log"));
    written.push_str(&Value::from(streamed).to_string());
    let signature = signed.rsplit('.').next().expect("a signature");
    let secrets = ["hush", signature, "CQkJ", &signed[..40]];
    for secret in secrets {
        assert!(!written.contains(secret), "{secret} is in what was written:\n{written}");
    }
    assert!(written.contains("a@corp.test") && written.contains("auth_failed"), "it was all looked at");
}

/// Section 23, `pbx`, on the wire.
#[test]
fn an_exchange_is_connected_only_with_its_token_and_its_routes() {
    let (rig, _folder) = ruled(&json!({
        "pbx": [{"domain": "home.test", "tokens": ["p1"], "routes": ["*@home.test"]}],
        "dial": [{"from": "*@home.test", "to": "boss@corp.test", "allow": false}],
    }));
    let mut tie = rig.phone();
    let frame = |auth: Value, route: &str| json!({"type": "REGISTER_PBX", "domain": "home.test", "routes": [route], "auth": auth});
    for (auth, route) in [(Value::Null, "*@home.test"), (json!("p2"), "*@home.test"), (json!("p1"), "*")] {
        tie.send(frame(auth, route));
        tie.expect_exactly(json!({"type": "REGISTER_PBX_FAILED", "reason": "auth_failed"}));
    }
    tie.send(frame(json!("p1"), "*@home.test"));
    tie.expect(json!({"type": "REGISTERED_PBX", "domain": "home.test"}));
    let _boss = rig.registered("boss@corp.test");
    tie.send(
        json!({"type": "DIAL_FORWARD", "call_id": "c-1", "from": "x@home.test", "to": "boss@corp.test"}),
    );
    tie.expect(json!({"type": "BUSY", "call_id": "c-1", "to": "boss@corp.test", "reason": "forbidden"}));
}
