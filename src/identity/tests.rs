//! The rulebook as a whole: a file in, answers out; and signed tokens of each algorithm, made by ring and broken by hand.
//!
//! The RSA key beside this file was made for these tests and opens nothing; ring makes the others anew in each run.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _};
use serde_json::{Map, Value, json};

use super::*;
use crate::exchange::pattern::Pattern;

const NOW_MS: u64 = 1_700_000_000_000;
const NOW_S: u64 = NOW_MS / 1000;
const GRACE_MS: u64 = 30_000;
const RSA: &str = include_str!("tests/rsa.pem");
const RSA_PUBLIC: &str = include_str!("tests/rsa.pub");

fn rulebook(file: Value) -> Rulebook {
    with_keys(file, KeySet::default())
}

fn with_keys(file: Value, keys: KeySet) -> Rulebook {
    let (rules, _) = parse_file(&file.to_string()).unwrap_or_else(|error| panic!("{error}"));
    Rulebook::new(rules, keys, GRACE_MS)
}

fn shown(token: &str) -> Credentials {
    Credentials { token: Token::new(token), ..Credentials::default() }
}

fn may(book: &Rulebook, token: &str, address: &str) -> Result<Option<Proof>, Denial> {
    book.may_register(NOW_MS, &shown(token), address)
}

const PROVEN: Result<Option<Proof>, Denial> = Ok(Some(Proof { expiry: None }));
const OPEN: Result<Option<Proof>, Denial> = Ok(None);
const REFUSED: Result<Option<Proof>, Denial> = Err(Denial::Refused);

/// Section 23, `register`: address matches, so one of the tokens is needed.
#[test]
fn register_an_address_that_a_rule_names_needs_one_of_its_tokens() {
    let book = rulebook(json!({"register": [
        {"pattern": "*@corp.test", "tokens": ["t1", "t2"]},
        {"pattern": "boss@corp.test", "tokens": ["t3"]},
    ]}));
    for (token, address, expected) in [
        ("t1", "a@corp.test", PROVEN),
        ("t2", "A@CORP.test", PROVEN),
        ("t3", "a@corp.test", REFUSED),
        ("t3", "boss@corp.test", PROVEN),
        ("t1", "boss@corp.test", PROVEN),
        ("T1", "a@corp.test", REFUSED),
        ("", "a@corp.test", REFUSED),
        ("t1", "a@other.test", OPEN),
        ("", "a@other.test", OPEN),
    ] {
        assert_eq!(may(&book, token, address), expected, "{token} for {address}");
    }
}

/// Section 23, `default`.
#[test]
fn default_holds_for_whoever_no_rule_names() {
    let book =
        rulebook(json!({"default": "deny", "register": [{"pattern": "*@corp.test", "tokens": ["t"]}]}));
    assert_eq!(may(&book, "t", "a@other.test"), REFUSED);
    assert_eq!(may(&book, "t", "a@corp.test"), PROVEN);
    assert!(!book.may_dial("a@x.test", "b@x.test") && !book.may_tie("x.test", &[], None));
    assert!(book.may_webhook("a@x.test"), "there is no section about wake handlers");
    let book = rulebook(json!({"default": "allow"}));
    assert!(book.may_dial("a@x.test", "b@x.test") && book.may_tie("x.test", &[], None));
    assert_eq!(may(&book, "", "a@x.test"), OPEN);
}

/// Section 23, `dial`: the first rule that matches decides.
#[test]
fn dial_is_decided_by_the_first_rule_that_matches() {
    let book = rulebook(json!({"dial": [
        {"from": "vip@guest.test", "to": "*", "allow": true},
        {"from": "*@guest.test", "to": "*@corp.test", "allow": false},
        {"from": "*@guest.test", "to": "desk@corp.test", "allow": true},
        {"from": "*", "to": "secret-*@*", "allow": false},
    ]}));
    for (from, to, expected) in [
        ("vip@guest.test", "a@corp.test", true),
        ("Bob@GUEST.test", "a@corp.test", false),
        ("bob@guest.test", "desk@corp.test", false),
        ("bob@guest.test", "a@other.test", true),
        ("bob@guest.test", "secret-1@other.test", false),
        ("vip@guest.test", "secret-1@other.test", true),
        ("a@corp.test", "bob@guest.test", true),
    ] {
        assert_eq!(book.may_dial(from, to), expected, "{from} to {to}");
    }
    assert!(!book.dialler("x@y.test").may_dial_anybody());
    assert!(rulebook(json!({})).dialler("x@y.test").may_dial_anybody());
}

/// However many rules there are, an answer costs what the two addresses touch.
#[test]
fn thousands_of_dial_rules_answer_as_if_they_were_tried_in_order() {
    let rule = |n: usize| json!({"from": format!("*@d{}.test", n % 70), "to": format!("u{}@x.test", n % 110), "allow": n.is_multiple_of(3)});
    let book = rulebook(json!({"dial": (0..5000).map(rule).collect::<Vec<_>>(), "default": "deny"}));
    for (from, to) in [(3, 4), (69, 109), (70, 1), (0, 110), (12, 12)] {
        let first = (0..5000_usize).find(|n| n % 70 == from && n % 110 == to);
        let (from, to) = (format!("a@d{from}.test"), format!("u{to}@x.test"));
        assert_eq!(
            book.may_dial(&from, &to),
            first.is_some_and(|n: usize| n.is_multiple_of(3)),
            "{from} {to}"
        );
    }
}

/// Section 23, `pbx`: domain listed, so a token is needed, and the routes are limited.
#[test]
fn pbx_needs_a_token_and_may_announce_only_its_routes() {
    let book = rulebook(json!({"pbx": [
        {"domain": "home.test", "tokens": ["p1"], "routes": ["*@home.test", "*.lab.home.test"]},
        {"domain": "home.test", "tokens": ["p2"], "routes": ["*"]},
    ]}));
    let token = |text| Token::new(text);
    let routes = |texts: &[&str]| texts.iter().map(|text| Pattern::parse(text).unwrap()).collect::<Vec<_>>();
    for (domain, shown, wanted, expected) in [
        ("home.test", "p1", &["*@home.test"][..], true),
        ("HOME.test", "p1", &["bob@home.test", "*@x.lab.home.test"], true),
        ("home.test", "p1", &["*@home.test", "*"], false),
        ("home.test", "p1", &["*.home.test"], false),
        ("home.test", "p2", &["*"], true),
        ("home.test", "p3", &["*@home.test"], false),
        ("home.test", "", &["*@home.test"], false),
        ("other.test", "", &["*"], true),
    ] {
        assert_eq!(
            book.may_tie(domain, &routes(wanted), token(shown).as_ref()),
            expected,
            "{domain} {wanted:?}"
        );
    }
}

#[test]
fn a_certificate_opens_what_its_name_is_given() {
    let book = rulebook(
        json!({"certificates": [{"name": "agent.corp.test", "pattern": ["*@corp.test", "ops@x.test"]}]}),
    );
    let with =
        |name: &str| Credentials { certificate: Some([Box::from(name)].into()), ..Credentials::default() };
    for (name, address, expected) in [
        ("agent.corp.test", "a@corp.test", PROVEN),
        ("Agent.CORP.test", "ops@x.test", PROVEN),
        ("other.corp.test", "a@corp.test", REFUSED),
        ("other.corp.test", "a@y.test", OPEN),
    ] {
        assert_eq!(book.may_register(NOW_MS, &with(name), address), expected, "{name} for {address}");
    }
    assert_eq!(may(&book, "", "a@corp.test"), REFUSED);
}

#[test]
fn wake_is_decided_by_the_first_rule_that_matches() {
    let book = rulebook(json!({"wake": [
        {"pattern": "ops@corp.test", "webhook": true, "spawn": true},
        {"pattern": "*@corp.test", "webhook": true},
        {"pattern": "ops@corp.test", "spawn": false},
        {"pattern": "*"},
    ]}));
    let kinds = |address| (book.may_webhook(address), book.may_spawn(address));
    assert_eq!(kinds("ops@corp.test"), (true, true));
    assert_eq!(kinds("a@corp.test"), (true, false));
    assert_eq!(kinds("a@x.test"), (false, false));
}

/// Section 23, short form.
#[test]
fn the_short_form_pairs_tokens_with_patterns() {
    let short = |text: &str| {
        let mut rules = Rules::default();
        parse_short(text, &mut rules).map(|()| Rulebook::new(rules, KeySet::default(), 0))
    };
    let book = short("s1=*@corp.test, s2==boss@corp.test,s1=a@x.test").unwrap();
    assert_eq!(may(&book, "s1", "a@corp.test"), PROVEN);
    assert_eq!(may(&book, "s2=", "boss@corp.test"), PROVEN);
    assert_eq!(may(&book, "s1", "a@x.test"), PROVEN);
    assert_eq!(may(&book, "s2=", "a@x.test"), REFUSED);
    for text in ["hush", "=a@b.c", "hush="] {
        let error = short(&format!("s=*,{text}")).unwrap_err().to_string();
        assert!(error.starts_with("part 2: ") && !error.contains("hush"), "{error}");
    }
}

#[test]
fn mistakes_name_their_place_and_what_is_allowed_and_no_secret() {
    for (file, expected) in [
        (json!([]), "$: a list is not allowed; it must be an object"),
        (json!({"registers": []}), "$.registers is unknown; allowed are register, pbx"),
        (
            json!({"default": "maybe"}),
            "$.default: \"maybe\" is not allowed; it must be \"allow\" or \"deny\"",
        ),
        (
            json!({"register": [{"pattern": "*"}]}),
            "$.register[0].tokens is missing; it must be a list of tokens",
        ),
        (
            json!({"register": [{"pattern": "", "tokens": []}]}),
            "$.register[0].pattern: a text (hidden) is not allowed; it must be an address pattern",
        ),
        (
            json!({"register": [{"pattern": "*", "tokens": ["a", {"hush": 1}]}]}),
            "$.register[0].tokens[1]: (hidden) is not allowed",
        ),
        (
            json!({"register": [{"pattern": "*", "token": "hush", "tokens": []}]}),
            "$.register[0].token is unknown",
        ),
        (
            json!({"dial": [{"from": "*", "to": "*", "allow": "no"}]}),
            "$.dial[0].allow: \"no\" is not allowed; it must be true or false",
        ),
        (json!({"pbx": [{"domain": "x", "tokens": [7], "routes": []}]}), "$.pbx[0].tokens[0]: (hidden)"),
        (json!({"register": [{"pattern": "*", "tokens": "hush"}]}), "$.register[0].tokens: a text (hidden)"),
        (
            json!({"register": [{"hush": "*"}]}),
            "$.register[0].(hidden) is unknown; allowed are pattern and tokens",
        ),
        (json!({"register": {"hush": "*"}}), "$.register: an object"),
        (json!({"pbx": ["hush"]}), "$.pbx[0]: a text (hidden)"),
        (json!({"jwt": {}}), "$.jwt.keys is missing"),
        (
            json!({"jwt": {"keys": "k", "algorithms": ["none"]}}),
            "$.jwt.algorithms[0]: \"none\" is not allowed; it must be HS256",
        ),
        (json!({"jwt": {"keys": "k", "skew_seconds": -1}}), "$.jwt.skew_seconds: -1 is not allowed"),
        (
            json!({"jwt": {"jwks_url": "http://idp.test/k"}}),
            "$.jwt.jwks_url: \"http://idp.test/k\" is not allowed; it must be an https URL",
        ),
        (json!({"jwt": {"jwks_url": "https://hush:hush@idp.test/k"}}), "$.jwt.jwks_url: (hidden)"),
        (json!({"wake": [{"pattern": "*", "spwan": true}]}), "$.wake[0].spwan is unknown"),
    ] {
        let error = parse_file(&file.to_string()).expect_err("it is wrong").to_string();
        assert!(error.starts_with(expected) && !error.contains("hush"), "{error} for {expected}");
    }
    let error = parse_file("{\n \"default\": hush}").expect_err("it is no JSON").to_string();
    assert_eq!(error, "line 2, column 13: this is not JSON");
}

/// A signer of each algorithm and the keys that verify it, as an operator would have them: PEM, and a key set.
fn pairs() -> Vec<(SigningKey, KeySet)> {
    let pem = |label: &str, der: &[u8]| {
        format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", STANDARD.encode(der))
    };
    let signer = |text: &str| SigningKey::of_file(text).unwrap_or_else(|error| panic!("{error}"));
    let keys = |text: &str| KeySet::of_file(text).unwrap_or_else(|error| panic!("{error}"));
    let jwks = |key: Value| keys(&json!({"keys": [key]}).to_string());
    let b64 = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    let random = SystemRandom::new();
    let secret = json!({"keys": [{"kty": "oct", "k": b64(&[9; 32])}]}).to_string();
    let ed = Ed25519KeyPair::generate_pkcs8(&random).unwrap();
    let ed_public = Ed25519KeyPair::from_pkcs8(ed.as_ref()).unwrap().public_key().as_ref().to_vec();
    let ed_spki = [&b"\x30\x2a\x30\x05\x06\x03\x2b\x65\x70\x03\x21\x00"[..], &ed_public].concat();
    let ec = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).unwrap();
    let ec_pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, ec.as_ref(), &random).unwrap();
    let (x, y) = ec_pair.public_key().as_ref()[1..].split_at(32);
    let rsa_public = rsa_public();
    vec![
        (signer(&secret), keys(&secret)),
        (
            signer(RSA),
            jwks(
                json!({"kty": "RSA", "use": "sig", "alg": "RS256", "n": b64(&rsa_public.0), "e": b64(&rsa_public.1)}),
            ),
        ),
        (
            signer(&pem("PRIVATE KEY", ec.as_ref())),
            jwks(json!({"kty": "EC", "crv": "P-256", "x": b64(x), "y": b64(y)})),
        ),
        (signer(&pem("PRIVATE KEY", ed.as_ref())), keys(&pem("PUBLIC KEY", &ed_spki))),
    ]
}

fn rsa_public() -> (Vec<u8>, Vec<u8>) {
    use rustls::pki_types::{PrivatePkcs8KeyDer, pem::PemObject};
    let der = PrivatePkcs8KeyDer::from_pem_slice(RSA.as_bytes()).unwrap();
    let pair = ring::rsa::KeyPair::from_pkcs8(der.secret_pkcs8_der()).unwrap();
    let key: ring::rsa::PublicKeyComponents<Vec<u8>> = pair.public().into();
    (key.n, key.e)
}

fn claims(extra: Value) -> Map<String, Value> {
    let mut claims = json!({"addresses": ["*@corp.test"], "exp": NOW_S + 100});
    for (name, value) in extra.as_object().unwrap() {
        claims[name] = value.clone();
    }
    claims.as_object().unwrap().clone()
}

fn jwt_file() -> Value {
    json!({"jwt": {"keys": "keys.pem"}, "register": [{"pattern": "*@corp.test", "tokens": []}]})
}

#[test]
fn a_token_signed_by_any_algorithm_opens_what_its_claim_lists() {
    for (signer, keys) in pairs() {
        let book = with_keys(jwt_file(), keys);
        let token = signer.sign(&claims(json!({})), None).unwrap();
        let proof =
            may(&book, &token, "Bob@corp.test").unwrap_or_else(|denial| panic!("{signer:?}: {denial:?}"));
        let expires_ms = NOW_MS + 100_000;
        let expiry = Expiry { told_ms: expires_ms - 10_000, expires_ms, ends_ms: expires_ms + GRACE_MS };
        assert_eq!(proof, Some(Proof { expiry: Some(expiry) }), "{signer:?}");
        assert_eq!(may(&book, &token, "bob@other.test"), OPEN);
        let (rest, _) = token.rsplit_once('.').unwrap();
        let forged = claims(json!({"addresses": ["*"]}));
        let payload = URL_SAFE_NO_PAD.encode(Value::Object(forged).to_string());
        let mut parts = token.split('.');
        let (header, signature) = (parts.next().unwrap(), parts.nth(1).unwrap());
        for bad in [
            format!("{rest}."),
            rest.to_owned(),
            format!("{header}.{payload}.{signature}"),
            format!("{token}AA"),
        ] {
            assert_eq!(may(&book, &bad, "bob@corp.test"), REFUSED, "{signer:?}");
        }
    }
}

#[test]
fn an_rsa_key_in_pem_is_the_same_as_in_a_key_set() {
    let token = SigningKey::of_file(RSA).unwrap().sign(&claims(json!({})), None).unwrap();
    let book = with_keys(jwt_file(), KeySet::of_file(RSA_PUBLIC).unwrap());
    assert!(may(&book, &token, "bob@corp.test").is_ok());
}

/// A key has one algorithm, whatever a header says: no token of one is taken by a key of another, nor one without signature.
#[test]
fn no_header_makes_a_key_serve_another_algorithm() {
    let pairs = pairs();
    for (at, (signer, _)) in pairs.iter().enumerate() {
        for (other, (_, keys)) in pairs.iter().enumerate().filter(|(other, _)| *other != at) {
            let book = with_keys(jwt_file(), keys.clone());
            let token = signer.sign(&claims(json!({})), None).unwrap();
            assert_eq!(may(&book, &token, "bob@corp.test"), REFUSED, "{at} by {other}");
        }
    }
    // The classic: an HMAC with the public key's own text as its secret.
    let (n, _) = rsa_public();
    let secret = json!({"keys": [{"kty": "oct", "k": URL_SAFE_NO_PAD.encode(&n)}]}).to_string();
    let token = SigningKey::of_file(&secret).unwrap().sign(&claims(json!({})), None).unwrap();
    assert_eq!(may(&with_keys(jwt_file(), pairs[1].1.clone()), &token, "bob@corp.test"), REFUSED);
    for header in [
        json!({"alg": "none"}),
        json!({"alg": "NONE"}),
        json!({"typ": "JWT"}),
        json!({"alg": "HS256", "crit": ["b64"]}),
    ] {
        let part = |value: String| URL_SAFE_NO_PAD.encode(value);
        let signed =
            format!("{}.{}", part(header.to_string()), part(Value::Object(claims(json!({}))).to_string()));
        for (_, keys) in &pairs {
            let book = with_keys(jwt_file(), keys.clone());
            assert_eq!(may(&book, &format!("{signed}."), "bob@corp.test"), REFUSED, "{header}");
        }
    }
}

/// Two readers may keep different ones of two, so a section of rules could vanish and a token mean two things.
#[test]
fn a_member_that_stands_twice_is_refused_in_rules_and_tokens() {
    let file = "{\"default\": \"deny\",\n\"default\": \"allow\"}";
    let error = parse_file(file).map(drop).unwrap_err().to_string();
    assert_eq!(error, "line 2, column 19: this member is in its object already");
    let secret = [9; 32];
    let set = json!({"keys": [{"kty": "oct", "k": URL_SAFE_NO_PAD.encode(secret)}]}).to_string();
    let book = with_keys(jwt_file(), KeySet::of_file(&set).unwrap());
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, &secret);
    let good = (r#"{"alg":"HS256"}"#, Value::Object(claims(json!({}))).to_string());
    for (header, claims, is_taken) in [
        (good.0.to_owned(), good.1.clone(), true),
        (good.0.replace('{', r#"{"alg":"none","#), good.1.clone(), false),
        (good.0.to_owned(), good.1.replace('{', r#"{"exp":1,"#), false),
    ] {
        let signed = format!("{}.{}", URL_SAFE_NO_PAD.encode(&header), URL_SAFE_NO_PAD.encode(&claims));
        let signature = URL_SAFE_NO_PAD.encode(ring::hmac::sign(&key, signed.as_bytes()));
        let taken = may(&book, &format!("{signed}.{signature}"), "bob@corp.test").is_ok();
        assert_eq!(taken, is_taken, "{header} {claims}");
    }
}

#[test]
fn claims_about_time_issuer_and_audience_are_all_checked() {
    let (signer, keys) = pairs().remove(0);
    let file = |jwt: Value| {
        let mut file = jwt_file();
        for (name, value) in jwt.as_object().unwrap() {
            file["jwt"][name] = value.clone();
        }
        file
    };
    let ours = json!({"issuer": "idp", "audience": "exchange", "skew_seconds": 10, "claim": "may"});
    let good = json!({"iss": "idp", "aud": ["x", "exchange"], "may": "b*@corp.test"});
    let with = |name: &str, value: Value| {
        let mut claims = good.clone();
        claims[name] = value;
        claims
    };
    let is_ok = |jwt: &Value, extra: Value| {
        let token = signer.sign(&claims(extra), None).unwrap();
        may(&with_keys(file(jwt.clone()), keys.clone()), &token, "bob@corp.test").is_ok()
    };
    for (extra, expected) in [
        (good.clone(), true),
        (with("aud", json!("exchange")), true),
        (with("aud", json!("other")), false),
        (with("aud", json!([])), false),
        (with("iss", json!("other")), false),
        (with("exp", json!(NOW_S - 9)), true),
        (with("exp", json!(NOW_S - 10)), false),
        (with("exp", json!("soon")), false),
        (with("nbf", json!(NOW_S + 10)), true),
        (with("nbf", json!(NOW_S + 11)), false),
        (with("nbf", Value::Null), false),
        (with("may", json!(["a@corp.test"])), false),
        (with("may", json!([7, "BOB@corp.test"])), true),
        (with("may", json!({"bob@corp.test": 1})), false),
        (json!({"may": "*"}), false),
    ] {
        assert_eq!(is_ok(&ours, extra.clone()), expected, "{extra}");
    }
    assert!(!is_ok(&json!({}), json!({"aud": "exchange"})), "a token for somebody named is for nobody else");
    assert!(!is_ok(&json!({"algorithms": ["RS256"]}), json!({})));
}

#[test]
fn a_token_for_a_key_that_is_not_known_says_so() {
    let (signer, _) = pairs().remove(0);
    let known =
        json!({"keys": [{"kty": "oct", "kid": "old", "k": URL_SAFE_NO_PAD.encode([9; 32])}]}).to_string();
    let book = with_keys(jwt_file(), KeySet::of_file(&known).unwrap());
    let sign = |id| signer.sign(&claims(json!({})), id).unwrap();
    assert!(may(&book, &sign(Some("old")), "bob@corp.test").is_ok());
    assert_eq!(may(&book, &sign(Some("new")), "bob@corp.test"), Err(Denial::UnknownKey));
    assert!(may(&book, &sign(None), "bob@corp.test").is_ok());
    assert_eq!(
        may(&book.with_keys(KeySet::default()), &sign(None), "bob@corp.test"),
        Err(Denial::UnknownKey)
    );
}

#[test]
fn keys_that_are_no_use_are_refused_in_a_file_and_left_out_of_a_url() {
    let short = json!({"kty": "oct", "k": URL_SAFE_NO_PAD.encode([9; 31])});
    let secret = json!({"kty": "oct", "k": URL_SAFE_NO_PAD.encode([9; 32])});
    let weak = json!({"kty": "RSA", "n": URL_SAFE_NO_PAD.encode([255; 128]), "e": "AQAB"});
    let other = json!({"kty": "EC", "crv": "P-384", "x": "AA", "y": "AA"});
    let good = json!({"kty": "OKP", "crv": "Ed25519", "x": URL_SAFE_NO_PAD.encode([9; 32])});
    let set = |keys: &[&Value]| json!({"keys": keys}).to_string();
    for bad in [&short, &weak, &other] {
        assert!(
            matches!(KeySet::of_file(&set(&[&good, bad])), Err(KeyError::Key { number: 2, .. })),
            "{bad}"
        );
    }
    let all = set(&[&short, &secret, &weak, &other, &good]);
    assert_eq!(KeySet::of_url(&all).map(|keys| keys.len()), Ok(1));
    assert!(matches!(KeySet::of_url(&set(&[&secret])), Err(KeyError::NoKeys)));
    for text in ["", "hello", "{", "{\"keys\": 1}", RSA] {
        assert!(KeySet::of_file(text).is_err(), "{text:?}");
    }
}

#[test]
fn what_is_shown_of_rules_keys_and_credentials_holds_no_secret() {
    let file = json!({"register": [{"pattern": "*", "tokens": ["hush-1"]}], "pbx": [{"domain": "d", "tokens": ["hush-2"], "routes": ["*"]}]});
    let (signer, keys) = pairs().remove(0);
    let (rules, _) = parse_file(&file.to_string()).unwrap();
    let book = Rulebook::new(rules, keys, 0);
    let shown = format!("{book:?} {:?} {signer:?}", shown("hush-3"));
    assert!(!shown.contains("hush") && !shown.contains("9, 9") && !shown.contains("CQkJ"), "{shown}");
}

#[test]
fn a_token_is_inspected_with_and_without_its_key() {
    let (signer, keys) = pairs().remove(3);
    let token = signer.sign(&claims(json!({"nbf": 5})), Some("k1")).unwrap();
    let seen = inspect(&token, &keys).unwrap();
    assert_eq!((seen.begins_ms, seen.ends_ms), (Some(5000), Some(NOW_MS + 100_000)));
    assert_eq!((seen.signer, &seen.header["kid"]), (Some((Algorithm::EdDsa, None)), &json!("k1")));
    assert!(inspect(&token, &KeySet::default()).unwrap().signer.is_none());
    assert!(inspect("no token", &keys).is_none());
}
