//! Links to other exchanges over real sockets: the frames of spec sections 19 and 24, as another program would see them.

use serde_json::{Value, json};

use crate::support::phone::id_of;
use crate::support::{Phone, Rig, address_on};

const FAR: &str = "h@home.test";

/// A link that has registered these routes.
fn link(rig: &Rig, domain: &str, routes: &[&str]) -> Phone {
    link_over(rig.phone(), domain, routes)
}

fn link_over(mut link: Phone, domain: &str, routes: &[&str]) -> Phone {
    link.send(json!({"type": "REGISTER_PBX", "domain": domain, "routes": routes, "endpoint": "internal"}));
    link.expect_exactly(json!({"type": "REGISTERED_PBX", "domain": domain, "status": "connected"}));
    link
}

/// 24, federated call down: from every shard, by links on every shard.
#[test]
fn a_call_goes_down_a_link_and_is_hung_up() {
    for shard in [0, 1] {
        let rig = Rig::new();
        // The second connection lands on another shard more often than not.
        let (mut first, mut link) =
            (link(&rig, "other.test", &["*@other.test"]), link(&rig, "home.test", &["*.home.test"]));
        let alice = address_on(shard, 2, "alice");
        let mut a = rig.registered(&alice);
        a.send(json!({"type": "DIAL", "to": FAR, "metadata": {"n": 1.0}}));
        let forward =
            link.expect(json!({"type": "DIAL_FORWARD", "from": alice, "to": FAR, "metadata": {"n": 1.0}}));
        let call = id_of(&forward);
        link.send(json!({"type": "RING", "call_id": call, "from": FAR}));
        a.expect_exactly(json!({"type": "RING", "call_id": call, "to": FAR}));
        link.send(json!({"type": "ANSWER", "call_id": call, "from": FAR}));
        a.expect_exactly(json!({"type": "CONNECTED", "call_id": call, "to": FAR}));
        a.say(&call, "hi");
        link.expect_exactly(
            json!({"type": "MSG", "call_id": call, "from": alice, "data": "hi", "content_type": "text"}),
        );
        link.send(
            json!({"type": "MSG", "call_id": call, "from": FAR, "data": {"x": null}, "content_type": "json"}),
        );
        a.expect_exactly(
            json!({"type": "MSG", "call_id": call, "from": FAR, "data": {"x": null}, "content_type": "json"}),
        );
        a.hang_up(&call);
        link.expect_exactly(json!({"type": "HANGUP", "call_id": call, "reason": "normal"}));
        first.expect_nothing();
        a.expect_nothing();
    }
}

/// 24, federated call up, with a call id that is no UUID.
#[test]
fn a_call_comes_up_a_link_by_whatever_name() {
    let rig = Rig::new();
    let mut link = link(&rig, "home.test", &["*@home.test"]);
    let mut b = rig.registered("bob@x.test");
    for call in ["call \"7\"", "3f2b6c1e-7d4a-4a55-9c61-0e9d3a7b8c21"] {
        link.send(json!({"type": "DIAL_FORWARD", "call_id": call, "from": FAR, "to": "bob@x.test", "metadata": null}));
        b.expect_exactly(json!({"type": "RING", "from": FAR, "call_id": call, "metadata": null}));
        link.expect_exactly(json!({"type": "RING", "call_id": call, "from": "bob@x.test", "metadata": null}));
        b.answer(call);
        link.expect_exactly(json!({"type": "ANSWER", "call_id": call, "from": "bob@x.test"}));
        b.say(call, "ho");
        link.expect_msg(call, "bob@x.test", json!("ho"));
        link.send(json!({"type": "HANGUP", "call_id": call}));
        b.expect_hangup(call, "normal");
    }
    link.send(json!({"type": "DIAL_FORWARD", "call_id": "gone", "from": FAR, "to": "nobody@x.test"}));
    link.expect_exactly(
        json!({"type": "BUSY", "call_id": "gone", "to": "nobody@x.test", "reason": "no_such_address"}),
    );
}

/// 19.5: through this exchange, and back is a loop.
#[test]
fn a_call_passes_from_link_to_link() {
    let rig = Rig::new();
    let (mut left, mut right) =
        (link(&rig, "left.test", &["*@left.test"]), link(&rig, "right.test", &["*@right.test"]));
    let forward = |to: &str| json!({"type": "DIAL_FORWARD", "call_id": "c1", "from": "l@left.test", "to": to, "metadata": 5});
    left.send(forward("r@right.test"));
    right.expect_exactly(forward("r@right.test"));
    right.send(forward("l@left.test"));
    right.expect(json!({"type": "BUSY", "call_id": "c1", "reason": "loop_detected"}));
    right.send(json!({"type": "RING", "call_id": "c1", "from": "r@right.test"}));
    left.expect_exactly(json!({"type": "RING", "call_id": "c1", "from": "r@right.test"}));
    right.send(json!({"type": "CONNECTED", "call_id": "c1"}));
    left.expect_exactly(json!({"type": "ANSWER", "call_id": "c1", "from": "r@right.test"}));
    right.vanish();
    left.expect_exactly(json!({"type": "HANGUP", "call_id": "c1", "reason": "error"}));
}

/// 24, route conflict; 3, the errors.
#[test]
fn a_link_is_refused_with_the_reason() {
    let rig = Rig::new();
    let _first = link(&rig, "a.test", &["*.x"]);
    let mut second = rig.phone();
    second.send(json!({"type": "REGISTER_PBX", "domain": "b.test", "routes": ["*.x"]}));
    second.expect_exactly(json!({
        "type": "REGISTER_PBX_FAILED", "reason": "route_conflict", "conflicting_route": "*.x", "claimed_by": "a.test",
    }));
    second.send(json!({"type": "REGISTER_PBX", "domain": "b.test", "routes": []}));
    second.expect(json!({"type": "ERROR", "context": "REGISTER_PBX", "detail": "Field 'routes' must be a non-empty array"}));
    second.send(json!({"type": "DIAL_FORWARD", "call_id": "c", "from": "a@b.c", "to": "b@b.c"}));
    second.expect(json!({"type": "ERROR", "context": "DIAL_FORWARD", "detail": "PBX must register before forwarding calls"}));
}

/// 18.2: the link dies; 27.3.
#[test]
fn both_kinds_of_callers_are_told_when_a_link_dies() {
    let rig = Rig::new();
    let mut link = link(&rig, "home.test", &["*@home.test"]);
    let (mut a, mut b) = (rig.registered(&address_on(0, 2, "a")), rig.registered(&address_on(1, 2, "b")));
    a.dial("x@home.test");
    let up = id_of(&link.expect(json!({"type": "DIAL_FORWARD"})));
    link.answer(&up);
    a.expect_connected("x@home.test");
    b.dial("y@home.test");
    link.expect(json!({"type": "DIAL_FORWARD"}));
    link.vanish();
    a.expect_hangup(&up, "error");
    b.expect_busy("y@home.test", "unavailable");
    a.dial("x@home.test");
    a.expect_busy("x@home.test", "no_such_address");
}

/// 19.1: takeover after a network fault.
#[test]
fn a_newer_link_of_the_same_domain_closes_the_old_one() {
    let rig = Rig::new();
    let mut old = link(&rig, "home.test", &["*@home.test"]);
    let _new = link(&rig, "home.test", &["*@home.test"]);
    old.expect_close(4000, "replaced");
}

/// 19.6.
#[test]
fn presence_is_gathered_from_links() {
    let rig = Rig::new();
    let mut link = link(&rig, "home.test", &["*@home.test"]);
    let mut a = rig.registered("a@x.test");
    let _b = rig.registered("b@x.test");
    a.send(json!({"type": "PRESENCE", "query": {"domain": "home.test", "capabilities": ["chat"]}}));
    let asked = link.expect(json!({"type": "PRESENCE_QUERY", "reply_to": "a@x.test"}));
    assert_eq!(
        (&asked["query"]["domain"], &asked["query"]["capabilities"]),
        (&json!("home.test"), &json!(["chat"]))
    );
    let found = json!([{"address": FAR, "status": "busy", "metadata": {"capabilities": ["chat"]}}]);
    link.send(json!({"type": "PRESENCE_RESULT", "addresses": found, "query_id": asked["query_id"], "reply_to": "a@x.test"}));
    a.expect_exactly(json!({"type": "PRESENCE_RESULT", "addresses": found}));
    link.send(json!({"type": "PRESENCE_QUERY", "query": {"domain": "x.test"}, "reply_to": "z@home.test", "query_id": "9"}));
    let answer: Value =
        link.expect(json!({"type": "PRESENCE_RESULT", "reply_to": "z@home.test", "query_id": "9"}));
    assert_eq!(answer["addresses"].as_array().map(Vec::len), Some(2));
}

/// 19.8: an exchange speaks for its verified callers by its own domain, and for nobody else.
#[test]
fn a_verified_caller_is_vouched_for_by_the_domain_of_its_exchange() {
    let rig = Rig::with(&[("auth_tokens", "t1=*@corp.test"), ("federation_domain", "corp.test")]);
    let mut link = link(&rig, "home.test", &["*@home.test"]);
    let claims = json!({"n": 1, "authenticated_by": "x.test", "auth_level": "verified", "timestamp": 1});
    let mut a = rig.phone();
    a.register_with("a@corp.test", json!({"auth": "t1"}));
    a.send(json!({"type": "DIAL", "to": FAR, "metadata": claims}));
    let vouched = json!({"n": 1, "authenticated_by": "corp.test", "auth_level": "verified"});
    let forward = link.expect(json!({"type": "DIAL_FORWARD", "metadata": vouched}));
    assert!(forward["metadata"]["timestamp"].is_string(), "{forward}");
    let mut b = rig.registered("b@free.test");
    b.send(json!({"type": "DIAL", "to": FAR, "metadata": claims}));
    let forward = link.expect(json!({"type": "DIAL_FORWARD"}));
    assert_eq!(forward["metadata"], json!({"n": 1}));
}

/// Whatever another exchange complains about, no complaint goes back; the link stays.
#[test]
fn complaints_are_not_answered() {
    let rig = Rig::new();
    let mut link = link(&rig, "home.test", &["*@home.test"]);
    link.send(json!({"type": "ERROR", "reason": "invalid_payload", "context": "MSG", "detail": "what?"}));
    link.send(json!({"type": "HEARTBEAT_ACK", "timestamp": 1}));
    link.send(json!({"type": "HEARTBEAT"}));
    link.expect(json!({"type": "HEARTBEAT_ACK"}));
}

/// A flood of a caller who cannot be held, over a link that reads nothing: it ends its own call, and not those of others.
#[test]
fn a_flood_over_a_link_that_does_not_read_ends_its_own_call_alone() {
    const MESSAGE_BYTES: usize = 32 * 1024;
    /// Far more than a link's output may hold, which is 1 MiB here.
    const MESSAGES: usize = 200;
    let rig = Rig::with(&[
        ("output_bytes_max", "65536"),
        ("output_high_water", "65536"),
        ("output_low_water", "16384"),
    ]);
    let mut link = link_over(Phone::narrow(rig.address()), "home.test", &["*@home.test"]);
    let (flood, friend) = (address_on(0, 2, "flood"), address_on(1, 2, "friend"));
    let (mut flooding, mut quiet) = (rig.registered(&flood), rig.registered(&friend));
    let mut connect = |phone: &mut Phone, to: &str| {
        phone.dial(to);
        let call = id_of(&link.expect(json!({"type": "DIAL_FORWARD", "to": to})));
        link.answer(&call);
        phone.expect_connected(to);
        call
    };
    let loud = connect(&mut flooding, "a@home.test");
    let soft = connect(&mut flooding, "b@home.test");
    // With one call left she would be held, rightly, and could not send on.
    connect(&mut flooding, "d@home.test");
    let other = connect(&mut quiet, "c@home.test");
    flooding.say(&soft, "psst");
    for _ in 0..MESSAGES {
        flooding.say(&loud, "x".repeat(MESSAGE_BYTES));
    }
    flooding.expect_hangup(&loud, "slow_consumer");
    quiet.say(&other, "still here");
    link.expect(json!({"type": "MSG", "call_id": soft, "data": "psst"}));
    let mut arrived = 0;
    let last = loop {
        let frame = link.next();
        if frame["type"] != "MSG" {
            break frame;
        }
        assert_eq!(frame["call_id"], loud.as_str());
        arrived += 1;
    };
    assert_eq!(last, json!({"type": "HANGUP", "call_id": loud, "reason": "slow_consumer"}));
    assert!(arrived > 0 && arrived < MESSAGES, "{arrived} messages got through");
    link.expect(json!({"type": "MSG", "call_id": other, "data": "still here"}));
    flooding.say(&soft, "and we are up");
    link.expect(json!({"type": "MSG", "call_id": soft, "data": "and we are up"}));
}
