//! Who is there: PRESENCE over lines on all shards, its filters, what it shows, and its limits.

use serde_json::{Value, json};

use crate::support::{Phone, Rig, address_on};

fn addresses(entries: &[Value]) -> Vec<&str> {
    entries.iter().map(|entry| entry["address"].as_str().expect("it is text")).collect()
}

#[test]
fn everybody_but_the_asker_is_listed_with_status_and_metadata() {
    let rig = Rig::new();
    let mut asker = rig.registered("asker@example.test");
    let mut b = rig.registered_with("b@example.test", json!({"metadata": {"name": "Bob", "n": 1.0}}));
    let mut c = rig.registered("c@other.test");
    b.set_status("away");
    b.expect_nothing();
    let listed = asker.presence(json!(null));
    assert_eq!(
        listed,
        [
            json!({"address": "b@example.test", "status": "away", "metadata": {"name": "Bob", "n": 1.0}}),
            json!({"address": "c@other.test", "status": "available", "metadata": {}}),
        ]
    );
    c.call("c@other.test", &mut asker, "asker@example.test");
    assert_eq!(asker.presence(json!({"domain": "other.test"}))[0]["status"], "busy");
    c.close();
    asker.expect(json!({"type": "HANGUP"}));
    assert_eq!(addresses(&asker.presence(json!({}))), ["b@example.test"]);
}

#[test]
fn the_filters_can_be_combined_over_all_shards() {
    let rig = Rig::new();
    let mut asker = rig.registered("asker@else.test");
    let near = json!({"capabilities": ["print", 5, "scan"], "location": {"lat": 50.0, "lon": 8.0}});
    let far = json!({"capabilities": ["print"], "location": {"lat": -50.0, "lon": 8.0}});
    let mut lines: Vec<Phone> = Vec::new();
    for shard in [0, 1] {
        lines.push(rig.registered_with(&address_on(shard, 2, "near"), json!({"metadata": near})));
        lines.push(rig.registered_with(&address_on(shard, 2, "far"), json!({"metadata": far})));
        lines.push(rig.registered(&address_on(shard, 2, "plain")));
    }
    let around = json!({"lat": 50.1, "lon": 8.1, "radius_km": 50});
    let none = Vec::<Value>::new();
    for (query, count) in [
        (json!({"domain": "HOMES.Test"}), 6),
        (json!({"domain": ""}), 6),
        (json!({"domain": "test"}), 0),
        (json!({"capabilities": ["print"]}), 4),
        (json!({"capabilities": ["print", "scan"]}), 2),
        (json!({"capabilities": none}), 6),
        (json!({"near": around}), 2),
        (json!({"near": null}), 6),
        (json!({"domain": "homes.test", "capabilities": ["print"], "near": around}), 2),
        (json!({"domain": "homes.test", "capabilities": ["fly"], "near": around}), 0),
    ] {
        assert_eq!(asker.presence(query.clone()).len(), count, "{query}");
    }
    drop(lines);
}

#[test]
fn mistakes_in_a_query_are_named() {
    let rig = Rig::new();
    let mut asker = rig.registered("asker@example.test");
    for (query, detail) in [
        (json!({"domain": null}), "Field 'domain' must be a string"),
        (json!({"capabilities": null}), "Field 'capabilities' must be an array"),
        (json!({"capabilities": [1]}), "Capabilities must be strings"),
        (json!({"near": {"lat": 1}}), "Invalid near filter"),
        (json!({"near": {"lat": 1, "lon": 1, "radius_km": -1}}), "Invalid near filter"),
    ] {
        asker.send(json!({"type": "PRESENCE", "query": query}));
        asker.expect_exactly(
            json!({"type": "ERROR", "reason": "invalid_payload", "context": "PRESENCE", "detail": detail}),
        );
    }
}

#[test]
fn many_lines_on_many_shards_are_each_listed_once() {
    let rig = Rig::with(&[("shards", "5")]);
    let lines: Vec<Phone> =
        (0..300).map(|number| rig.registered(&format!("line{number:03}@many.test"))).collect();
    let mut asker = rig.registered("asker@example.test");
    for _ in 0..5 {
        let listed = asker.presence(json!({"domain": "many.test"}));
        let expected: Vec<String> = (0..300).map(|number| format!("line{number:03}@many.test")).collect();
        assert_eq!(addresses(&listed), expected);
    }
    drop(lines);
}

#[test]
fn a_limit_cuts_the_list_and_says_so() {
    let rig = Rig::with(&[("presence_limit", "7")]);
    let lines: Vec<Phone> =
        (0..20).map(|number| rig.registered(&format!("line{number}@many.test"))).collect();
    let mut asker = rig.registered("asker@example.test");
    for (limit, count) in [(json!(3), 3), (json!(100), 7), (json!(null), 7)] {
        let mut frame = json!({"type": "PRESENCE", "query": {"domain": "many.test"}});
        if !limit.is_null() {
            frame["limit"] = limit;
        }
        asker.send(frame);
        let result = asker.expect(json!({"type": "PRESENCE_RESULT", "truncated": true}));
        assert_eq!(result["addresses"].as_array().map(Vec::len), Some(count));
    }
    drop(lines);
}

#[test]
fn questions_asked_together_are_answered_in_order() {
    let rig = Rig::new();
    let lines = [rig.registered("one@a.test"), rig.registered("two@b.test")];
    let mut asker = rig.registered("asker@example.test");
    let questions: Vec<Value> = (0..40)
        .map(|number| json!({"type": "PRESENCE", "query": {"domain": if number % 2 == 0 { "a.test" } else { "b.test" }}}))
        .collect();
    asker.send_together(&questions);
    for number in 0..40 {
        let result = asker.expect(json!({"type": "PRESENCE_RESULT"}));
        let expected = if number % 2 == 0 { "one@a.test" } else { "two@b.test" };
        assert_eq!(result["addresses"][0]["address"], expected, "answer {number}");
    }
    drop(lines);
}
