//! Party lines: who is in, who hears whom, and that being in one is no call.

use serde_json::{Value, json};

use crate::support::{Phone, Rig, address_on};

const P: &str = "lunch@parties.test";

fn join(phone: &mut Phone) -> Vec<String> {
    phone.send(json!({"type": "JOIN", "party": P}));
    let joined = phone.expect(json!({"type": "JOINED", "party": P}));
    let names = joined["participants"].as_array().expect("it is a list").iter();
    names.map(|name| name.as_str().expect("they are text").to_owned()).collect()
}

fn say(phone: &mut Phone, data: impl Into<Value>) {
    phone.send(json!({"type": "PARTY_MSG", "party": P, "data": data.into()}));
}

fn hear(phone: &mut Phone, from: &str, data: impl Into<Value>) {
    phone.expect_exactly(json!({"type": "PARTY_MSG", "party": P, "from": from, "data": data.into()}));
}

fn three(rig: &Rig) -> ([Phone; 3], [String; 3]) {
    let names = [address_on(0, 2, "a"), address_on(1, 2, "b"), address_on(0, 2, "c")];
    let phones = [rig.registered(&names[0]), rig.registered(&names[1]), rig.registered(&names[2])];
    (phones, names)
}

#[test]
fn a_party_from_the_first_guest_to_the_last() {
    let rig = Rig::new();
    let ([mut a, mut b, mut c], [an, bn, cn]) = three(&rig);
    assert_eq!(join(&mut a), [an.as_str()]);
    assert_eq!(join(&mut b), [an.as_str(), bn.as_str()]);
    assert_eq!(join(&mut c), [an.as_str(), bn.as_str(), cn.as_str()]);
    say(&mut a, "noon?");
    hear(&mut b, &an, "noon?");
    hear(&mut c, &an, "noon?");
    a.expect_nothing();
    b.send(json!({"type": "LEAVE", "party": P}));
    // LEAVE has no answer: this one comes from the party too, and behind it.
    say(&mut b, "am I still in?");
    b.expect(json!({"type": "ERROR", "reason": "not_in_party", "context": "PARTY_MSG"}));
    say(&mut a, "soup");
    hear(&mut c, &an, "soup");
    b.expect_nothing();
    assert_eq!(join(&mut b), [an.as_str(), cn.as_str(), bn.as_str()]);
}

#[test]
fn joining_again_only_repeats_the_answer() {
    let rig = Rig::new();
    let ([mut a, mut b, _c], [an, bn, _]) = three(&rig);
    join(&mut a);
    join(&mut b);
    assert_eq!(join(&mut a), [an.as_str(), bn.as_str()]);
    say(&mut b, 1);
    hear(&mut a, &bn, 1);
    say(&mut b, 2);
    hear(&mut a, &bn, 2);
}

#[test]
fn a_party_that_nobody_is_in_is_made_only_if_wanted() {
    let rig = Rig::new();
    let mut a = rig.registered("a@example.test");
    a.send(json!({"type": "JOIN", "party": P, "create_if_missing": false}));
    a.expect(json!({"type": "ERROR", "reason": "no_such_party", "context": "JOIN"}));
    join(&mut a);
    let mut b = rig.registered("b@example.test");
    b.send(json!({"type": "JOIN", "party": P, "create_if_missing": false}));
    b.expect(json!({"type": "JOINED"}));
    a.close();
    b.close();
    let mut c = rig.registered("c@example.test");
    // Both have left, whichever shard heard it last.
    crate::support::eventually("the party is over", || {
        c.send(json!({"type": "JOIN", "party": P, "create_if_missing": false}));
        let over = c.next()["type"] == "ERROR";
        if !over {
            c.send(json!({"type": "LEAVE", "party": P}));
        }
        over.then_some(())
    });
}

#[test]
fn outsiders_can_neither_speak_nor_leave() {
    let rig = Rig::new();
    let ([mut a, mut b, mut c], _) = three(&rig);
    join(&mut a);
    for kind in ["PARTY_MSG", "LEAVE"] {
        b.send(json!({"type": kind, "party": P, "data": 1}));
        b.expect(json!({"type": "ERROR", "reason": "not_in_party", "context": kind}));
    }
    for party in [json!(null), json!(5), json!("lunch"), json!("")] {
        c.send(json!({"type": "JOIN", "party": party}));
        c.expect(json!({"type": "ERROR", "reason": "invalid_payload", "context": "JOIN"}));
    }
    let mut stranger = rig.phone();
    for kind in ["JOIN", "PARTY_MSG", "LEAVE"] {
        stranger.send(json!({"type": kind, "party": P}));
        stranger.expect(json!({"type": "ERROR", "reason": "not_registered", "context": kind}));
    }
    a.expect_nothing();
}

#[test]
fn being_in_a_party_is_no_call() {
    let rig = Rig::new();
    let ([mut a, mut b, mut c], [an, bn, _]) = three(&rig);
    join(&mut a);
    join(&mut b);
    let call = c.presence(json!({"domain": "homes.test"}));
    assert!(call.iter().all(|entry| entry["status"] == "available"), "{call:?}");
    let call = a.call(&an, &mut b, &bn);
    say(&mut a, "party");
    a.say(&call, "private");
    // Two ways, no order between them.
    let mut heard = [b.next()["type"].to_string(), b.next()["type"].to_string()];
    heard.sort();
    assert_eq!(heard, ["\"MSG\"", "\"PARTY_MSG\""]);
}

#[test]
fn a_lost_guest_has_left_and_a_renamed_one_has_a_new_name() {
    let rig = Rig::new();
    let ([mut a, mut b, c], [_, bn, _]) = three(&rig);
    let mut c = c;
    join(&mut a);
    join(&mut b);
    join(&mut c);
    c.close();
    crate::support::eventually("the guest has left", || (join(&mut b).len() == 2).then_some(()));
    for shard in [0, 1] {
        let renamed = address_on(shard, 2, "renamed");
        a.register(&renamed);
        say(&mut a, "it is me");
        hear(&mut b, &renamed, "it is me");
        assert_eq!(join(&mut b), [renamed.as_str(), bn.as_str()]);
        say(&mut b, "welcome");
        hear(&mut a, &bn, "welcome");
    }
}

#[test]
fn the_content_type_is_relayed_if_it_is_given() {
    let rig = Rig::new();
    let ([mut a, mut b, _c], [an, ..]) = three(&rig);
    join(&mut a);
    join(&mut b);
    a.send(json!({"type": "PARTY_MSG", "party": P, "data": null, "content_type": "json"}));
    b.expect_exactly(
        json!({"type": "PARTY_MSG", "party": P, "from": an, "data": null, "content_type": "json"}),
    );
}

#[test]
fn what_each_guest_says_arrives_in_order_at_all_others() {
    let rig = Rig::new();
    let names: Vec<String> =
        (0..8).map(|number| address_on(number % 2, 2, &format!("guest{number}-"))).collect();
    let mut guests: Vec<Phone> = names.iter().map(|name| rig.registered(name)).collect();
    guests.iter_mut().for_each(|guest| drop(join(guest)));
    let talk: Vec<Value> = (0..50).map(|n| json!({"type": "PARTY_MSG", "party": P, "data": n})).collect();
    guests[0].send_together(&talk);
    guests[1].send_together(&talk);
    for listener in &mut guests[2..] {
        let mut next = std::collections::HashMap::new();
        for _ in 0..100 {
            let said = listener.expect(json!({"type": "PARTY_MSG"}));
            let due: &mut i64 = next.entry(said["from"].to_string()).or_default();
            assert_eq!(said["data"], *due);
            *due += 1;
        }
    }
}

#[test]
fn the_limits_on_parties_are_told() {
    let rig = Rig::with(&[("parties_per_line", "2"), ("party_members_max", "2")]);
    let ([mut a, mut b, mut c], _) = three(&rig);
    join(&mut a);
    join(&mut b);
    c.send(json!({"type": "JOIN", "party": P}));
    c.expect(json!({"type": "ERROR", "reason": "limit_reached", "context": "JOIN"}));
    a.send(json!({"type": "JOIN", "party": "second@parties.test"}));
    a.expect(json!({"type": "JOINED"}));
    a.send(json!({"type": "JOIN", "party": "third@parties.test"}));
    a.expect(json!({"type": "ERROR", "reason": "limit_reached", "context": "JOIN"}));
}
