//! docs/ADMIN.md against what the API says: every field of every view has its name where that view is described.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::support::http::{get, post};
use crate::support::{Rig, Scratch, address_on, eventually};

/// Names of outcomes and causes, which other documents list.
const OF_THEIR_OWN: [&str; 2] = ["dials", "fields"];

/// Where the fields of call records are described.
const CALL_RECORDS: &str = "the table of OPERATIONS.md";

/// Where it is described what all lists have that come in pages.
const PAGES: &str = "- A list comes in pages";

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

fn document(name: &str) -> String {
    let path = format!("{}/docs/{name}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(path).expect("documents can be read")
}

/// A part of ADMIN.md: the answer in a row of its table of paths, or what stands behind these bold words up to the next ones; of
/// OPERATIONS.md for records.
fn described_in(admin_md: &str, part: &str) -> String {
    if part == CALL_RECORDS {
        let operations = document("OPERATIONS.md");
        let section = operations.split_once("\n## Call records\n").expect("it has this chapter").1;
        let table = section.split("\n\n").find(|text| text.starts_with("| field |"));
        return table.expect("fields are a table").to_owned();
    }
    if part == PAGES {
        let text = admin_md.split_once(PAGES).expect("it is described").1;
        return text.split("\n- ").next().unwrap_or_default().to_owned();
    }
    if part.starts_with("GET ") {
        let row = admin_md.lines().find(|line| line.starts_with(&format!("| {part} |")));
        return row.and_then(|row| row.split(" | ").nth(2)).expect("each path has a row").to_owned();
    }
    let text =
        admin_md.split_once(&format!("**{part}**")).unwrap_or_else(|| panic!("nothing about {part}")).1;
    let end = ["**", "\n## "].iter().filter_map(|end| text.find(end)).min();
    text[..end.unwrap_or(text.len())].to_owned()
}

/// Whether a name stands there as one: by itself, or with a value.
fn is_named(text: &str, name: &str) -> bool {
    text.contains(&format!("`{name}`")) || text.contains(&format!("{{\"{name}\":"))
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
    let views: [(&str, &[&str]); 14] = [
        ("overview", &["The overview"]),
        ("lines", &[PAGES, "GET `lines`", "Lines"]),
        (&line, &["One line", "GET `lines/{address}`", "Lines"]),
        ("calls", &[PAGES, "GET `calls`", "Calls"]),
        (&call, &["Calls"]),
        ("parties", &[PAGES, "GET `parties`", "Parties"]),
        ("links", &["GET `links`", "Links"]),
        ("slow", &["GET `slow`", "Slow"]),
        ("records", &[PAGES, "GET `records`", CALL_RECORDS]),
        ("warnings", &["GET `warnings`", "Warnings"]),
        ("audit", &["GET `audit`"]),
        ("drain", &["GET `drain`"]),
        ("watches", &["GET `watches`", "Watches"]),
        (&watch, &["Ladders"]),
    ];
    eventually("all of it can be seen", || {
        let kept = get(admin, "/api/v1/records").json();
        let seen = get(admin, &format!("/api/v1/{watch}")).json();
        let is_full = |value: &Value| value.as_array().is_some_and(|entries| !entries.is_empty());
        (is_full(&kept["records"]) && is_full(&seen["rungs"])).then_some(())
    });
    let admin_md = document("ADMIN.md");
    let (mut missing, mut count) = (Vec::new(), 0);
    let paths = views.iter().map(|(path, described)| (format!("/api/v1/{path}"), *described));
    let probes = ["/healthz", "/readyz"].map(|path| (path.to_owned(), &["Probes"][..]));
    for (path, described) in paths.chain(probes) {
        let answer = get(admin, &path);
        assert_eq!(answer.status, 200, "{path}: {}", answer.body);
        let text: String = described.iter().map(|part| described_in(&admin_md, part)).collect();
        let mut found = BTreeSet::new();
        names(&answer.json(), &mut found);
        count += found.len();
        missing
            .extend(found.into_iter().filter(|name| !is_named(&text, name)).map(|name| (path.clone(), name)));
    }
    assert!(
        missing.is_empty() && count > 120,
        "not where docs/ADMIN.md describes it, of {count}: {missing:?}"
    );
}
