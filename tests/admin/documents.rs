//! docs/ADMIN.md against what the API says: every field of every view has its name there.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::support::http::{get, post};
use crate::support::{Rig, Scratch, address_on, eventually};

/// Names of outcomes and causes, which other documents list.
const OF_THEIR_OWN: [&str; 2] = ["dials", "fields"];

/// The names of all fields of a value, however deep.
fn names(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                found.insert(name.clone());
                if !OF_THEIR_OWN.contains(&name.as_str()) {
                    names(value, found);
                }
            }
        }
        Value::Array(entries) => entries.iter().for_each(|entry| names(entry, found)),
        _ => {}
    }
}

#[test]
fn every_field_of_every_view_is_in_the_document() {
    let folder = Scratch::new();
    let file = folder.path().join("calls.db");
    let rig = Rig::with(&[
        ("call_records", file.to_str().expect("text")),
        ("federation_enabled", "true"),
        ("federation_peer_url", "ws://127.0.0.1:9/"),
        ("federation_routes", "*@parent.test"),
    ]);
    let admin = rig.admin();
    let (alice, bob) = (address_on(0, 2, "alice"), address_on(1, 2, "bob"));
    let (mut a, mut b) = (rig.registered(&alice), rig.registered(&bob));
    let watch = post(admin, "/api/v1/watches", &json!({"address": alice, "payloads": false}).to_string());
    let watch = format!("watches/{}", watch.json()["id"]);
    a.dial("nobody@gone.test");
    a.expect_busy("nobody@gone.test", "no_such_address");
    let call = a.call(&alice, &mut b, &bob);
    a.say(&call, "hello");
    b.expect_msg(&call, &alice, json!("hello"));
    a.send(json!({"type": "JOIN", "party": "lunch@party.test", "create_if_missing": true}));
    a.expect(json!({"type": "JOINED"}));
    let (line, call) = (format!("lines/{alice}"), format!("calls/{call}"));
    let views = [
        "overview", "lines", &line, "calls", &call, "parties", "links", "slow", "records", "warnings",
        "audit", "drain", "watches", &watch,
    ];
    eventually("all of it can be seen", || {
        let kept = get(admin, "/api/v1/records").json();
        let seen = get(admin, &format!("/api/v1/{watch}")).json();
        let is_full = |value: &Value| value.as_array().is_some_and(|entries| !entries.is_empty());
        (is_full(&kept["records"]) && is_full(&seen["rungs"])).then_some(())
    });
    let mut found = BTreeSet::new();
    for view in views {
        let answer = get(admin, &format!("/api/v1/{view}"));
        assert_eq!(answer.status, 200, "{view}: {}", answer.body);
        names(&answer.json(), &mut found);
    }
    for path in ["/healthz", "/readyz"] {
        names(&get(admin, path).json(), &mut found);
    }
    let text = |name: &str| std::fs::read_to_string(format!("{}/docs/{name}", env!("CARGO_MANIFEST_DIR")));
    let documents = text("ADMIN.md").expect("readable") + &text("OPERATIONS.md").expect("readable");
    let missing: Vec<_> = found.iter().filter(|name| !documents.contains(&format!("`{name}`"))).collect();
    assert!(missing.is_empty() && found.len() > 80, "not in docs/ADMIN.md: {missing:?}");
}
