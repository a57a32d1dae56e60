//! Watches by way of the API, and the page's files: what an operator who watches is shown, what he is not, and what is noted of it.

use std::net::SocketAddr;

use serde_json::{Value, json};

use crate::support::http::{Answer, get, post, request};
use crate::support::{Phone, Rig, address_on, eventually};

fn begin(admin: SocketAddr, body: &Value) -> Answer {
    post(admin, "/api/v1/watches", &body.to_string())
}

fn ask(admin: SocketAddr, path: &str) -> Answer {
    get(admin, &format!("/api/v1/watches{path}"))
}

fn end(admin: SocketAddr, id: &str) -> Answer {
    let headers = [("Content-Type", "application/json")];
    request(admin, "DELETE", &format!("/api/v1/watches/{id}"), &headers, "")
}

/// Two who talk, on two shards.
fn pair(rig: &Rig) -> ([String; 2], [Phone; 2]) {
    let names = [address_on(0, 2, "one"), address_on(1, 2, "two")];
    let phones = [rig.registered(&names[0]), rig.registered(&names[1])];
    (names, phones)
}

/// The ladder, once `is_told` of its frames.
fn told(admin: SocketAddr, id: &str, is_told: impl Fn(&[Value]) -> bool) -> Value {
    eventually("the ladder", || {
        let ladder = ask(admin, &format!("/{id}")).json();
        is_told(ladder["rungs"].as_array().expect("a list")).then_some(ladder)
    })
}

#[test]
fn a_watch_is_begun_looked_at_kept_and_ended() {
    let rig = Rig::new();
    let admin = rig.admin();
    let ([from, to], [mut a, mut b]) = pair(&rig);
    let begun = begin(admin, &json!({"address": from}));
    assert_eq!((begun.status, &begun.json()["subject"]), (201, &json!(from)));
    let id = begun.json()["id"].to_string();
    eventually("the shard knows", || {
        a.expect_nothing();
        (ask(admin, "").json()["watches"][0]["steps"] != 0).then_some(())
    });
    let call = a.call(&from, &mut b, &to);
    let is_told = |rungs: &[Value]| rungs.iter().any(|rung| rung["frame"] == "CONNECTED");
    let ladder = told(admin, &id, is_told);
    assert_eq!(ladder["parties"][1], "exchange");
    let newest = &ladder["newest"];
    assert_eq!(ask(admin, &format!("/{id}?newest={newest}")).status, 204);
    a.hang_up(&call);
    eventually("there is more", || {
        (ask(admin, &format!("/{id}?newest={newest}")).status == 200).then_some(())
    });
    let drawn = ask(admin, &format!("/{id}.svg"));
    assert_eq!(drawn.header("content-type"), Some("image/svg+xml"));
    assert!(
        drawn.header("content-security-policy").is_some_and(|policy| policy.contains("style-src 'sha256-"))
    );
    assert!(drawn.body.starts_with("<svg ") && drawn.body.contains("CONNECTED"), "{}", drawn.body);
    let diagram = ask(admin, &format!("/{id}.mmd"));
    assert!(diagram.body.starts_with("sequenceDiagram\n"), "{}", diagram.body);
    assert_eq!(end(admin, &id).status, 200);
    assert_eq!([end(admin, &id).status, ask(admin, &format!("/{id}")).status], [404, 404]);
    assert_eq!(ask(admin, "").json()["watches"], json!([]));
    let audit = get(admin, "/api/v1/audit").json()["audit"].clone();
    let deeds: Vec<_> = audit.as_array().expect("a list").iter().map(|deed| deed["action"].clone()).collect();
    assert_eq!(deeds, ["unwatch", "unwatch", "watch"]);
    assert_eq!((&audit[2]["whom"], &audit[2]["outcome"]), (&json!(from), &json!("done")));
}

#[test]
fn what_is_said_is_shown_only_where_the_configuration_lets_it() {
    for (setting, status) in [("false", 403), ("true", 201)] {
        let rig = Rig::with(&[("admin_payloads", setting)]);
        let admin = rig.admin();
        let ([from, to], [mut a, mut b]) = pair(&rig);
        let call = a.call(&from, &mut b, &to);
        assert_eq!(ask(admin, "").json()["payloads_allowed"], json!(status == 201));
        let begun = begin(admin, &json!({"call_id": call, "payloads": true}));
        assert_eq!(begun.status, status);
        let deed = get(admin, "/api/v1/audit").json()["audit"][0].clone();
        assert_eq!((&deed["action"], &deed["whom"]), (&json!("watch_with_payloads"), &json!(call)));
        if status == 403 {
            let message = begun.json()["error"]["message"].to_string();
            assert!(message.contains("SYSTEMX_ADMIN_PAYLOADS"), "{message}");
            continue;
        }
        let id = begun.json()["id"].to_string();
        eventually("it is heard", || {
            a.say(&call, "secret");
            b.expect_msg(&call, &from, json!("secret"));
            let rungs = ask(admin, &format!("/{id}")).json()["rungs"].clone();
            rungs.as_array()?.iter().any(|rung| rung["payload"] == "\"secret\"").then_some(())
        });
    }
}

#[test]
fn calls_with_names_from_elsewhere_are_watched_by_these_names() {
    const NAME: &str = "their call <1>";
    let rig = Rig::new();
    let callee = address_on(1, 2, "here");
    let mut here = rig.registered(&callee);
    let mut link = rig.phone();
    link.send(json!({"type": "REGISTER_PBX", "domain": "far.test", "routes": ["*@far.test"]}));
    link.expect(json!({"type": "REGISTERED_PBX"}));
    let begun = begin(rig.admin(), &json!({"call_id": NAME}));
    assert_eq!((begun.status, &begun.json()["subject"]), (201, &json!(NAME)));
    let id = begun.json()["id"].to_string();
    link.send(json!({"type": "DIAL_FORWARD", "call_id": NAME, "from": "a@far.test", "to": callee}));
    assert_eq!(here.expect_ring("a@far.test"), NAME);
    here.answer(NAME);
    link.expect(json!({"type": "RING", "call_id": NAME}));
    link.expect(json!({"type": "ANSWER", "call_id": NAME}));
    let of = |rungs: &[Value], frame: &str| rungs.iter().filter(|rung| rung["frame"] == frame).count();
    eventually("both shards know what is watched", || {
        here.say(NAME, "x");
        link.expect(json!({"type": "MSG", "call_id": NAME}));
        let rungs = ask(rig.admin(), &format!("/{id}")).json()["rungs"].clone();
        (of(rungs.as_array()?, "MSG") > 1).then_some(())
    });
    here.hang_up(NAME);
    link.expect(json!({"type": "HANGUP", "call_id": NAME}));
    let ladder = told(rig.admin(), &id, |rungs| of(rungs, "HANGUP") == 2);
    assert_eq!(ladder["subject"], NAME);
}

#[test]
fn orders_that_make_no_sense_are_refused() {
    let rig = Rig::new();
    for body in [
        json!({}),
        json!({"address": "nonsense"}),
        json!({"address": "a@x.test", "call_id": "1"}),
        json!({"call_id": ""}),
        json!({"address": "a@x.test", "payloads": "yes"}),
    ] {
        assert_eq!(begin(rig.admin(), &body).status, 400, "{body}");
    }
    for _ in 0..16 {
        assert_eq!(begin(rig.admin(), &json!({"address": "a@x.test"})).status, 201);
    }
    let refused = begin(rig.admin(), &json!({"address": "a@x.test"}));
    assert_eq!((refused.status, &refused.json()["error"]["code"]), (409, &json!("too_many_watches")));
    assert_eq!(ask(rig.admin(), "/1?newest=x").status, 400);
    let untyped = request(rig.admin(), "DELETE", "/api/v1/watches/1", &[], "");
    assert_eq!(untyped.status, 415, "a page of another origin could send it");
}

#[test]
fn the_page_is_kept_by_browsers_until_it_changes_and_may_do_little() {
    let rig = Rig::with(&[("admin_token", "0123456789abcdef-token")]);
    let page = get(rig.admin(), "/");
    assert_eq!((page.status, page.header("content-type")), (200, Some("text/html; charset=utf-8")));
    let policy = page.header("content-security-policy").expect("there is one");
    for rule in ["default-src 'none'", "script-src 'self'", "style-src 'self'", "frame-ancestors 'none'"] {
        assert!(policy.contains(rule), "{policy}");
    }
    assert!(!policy.contains("unsafe"), "{policy}");
    assert_eq!(page.header("x-content-type-options"), Some("nosniff"));
    assert_eq!(page.header("referrer-policy"), Some("no-referrer"));
    assert_eq!(page.header("cache-control"), Some("no-cache"));
    let tag = page.header("etag").expect("it has a tag");
    let again = request(rig.admin(), "GET", "/", &[("If-None-Match", tag)], "");
    assert_eq!((again.status, again.body.as_str()), (304, ""));
    assert_eq!(request(rig.admin(), "GET", "/", &[("If-None-Match", "\"other\"")], "").status, 200);
    assert_eq!(request(rig.admin(), "GET", "/", &[("Host", "evil.test")], "").status, 421);
    assert_eq!(get(rig.admin(), "/api/v1/watches").status, 401, "the page is open, what it shows is not");
}
