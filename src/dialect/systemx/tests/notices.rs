//! The form of every notice, and that every cause can be said.

use super::*;

#[test]
fn what_a_peer_sent_is_shown_cut() {
    let json = format!(r#"{{"type":"{}"}}"#, "x".repeat(100_000));
    let Err(WireError::Refuse(refusal)) = decode(&json) else { panic!() };
    assert!(refusal.to_string().len() < 400);
}

#[test]
fn refusals_of_the_core_have_the_words_of_the_protocol() {
    for (verb, cause, expected) in [
        (
            Verb::Dial,
            Cause::RateLimited,
            r#""rate_limited","context":"DIAL","detail":"Too many dial attempts""#,
        ),
        (
            Verb::Dial,
            Cause::NotRegistered,
            r#""not_registered","context":"DIAL","detail":"Registration is required""#,
        ),
        (
            Verb::Register,
            Cause::SpawnDisabled,
            r#""invalid_payload","context":"REGISTER","detail":"spawn wake handlers are disabled on this exchange""#,
        ),
        (
            Verb::Register,
            Cause::WakeForbidden,
            r#""invalid_payload","context":"REGISTER","detail":"wake handlers of this type are not allowed for this address""#,
        ),
        (
            Verb::Status,
            Cause::InvalidAutoSleep,
            r#""invalid_payload","context":"STATUS","detail":"Invalid auto_sleep payload""#,
        ),
        (
            Verb::SleepAck,
            Cause::NotRegistered,
            r#""invalid_payload","context":"SLEEP_ACK","detail":"Registration required before sleeping""#,
        ),
        (
            Verb::SleepAck,
            Cause::WakeNotConfigured,
            r#""invalid_payload","context":"SLEEP_ACK","detail":"Wake-on-ring mode must be configured before sleeping""#,
        ),
        (
            Verb::Presence,
            Cause::NotRegistered,
            r#""not_registered","context":"PRESENCE","detail":"Registration is required before requesting presence""#,
        ),
        (
            Verb::Join,
            Cause::NoSuchParty,
            r#""no_such_party","context":"JOIN","detail":"There is no such party""#,
        ),
        (
            Verb::Leave,
            Cause::NotInParty,
            r#""not_in_party","context":"LEAVE","detail":"Join the party first""#,
        ),
        (
            Verb::Join,
            Cause::PartyFull,
            r#""limit_reached","context":"JOIN","detail":"The party has as many members as it may""#,
        ),
        (
            Verb::Join,
            Cause::TooManyParties,
            r#""limit_reached","context":"JOIN","detail":"This link takes part in as many parties as it may""#,
        ),
    ] {
        let expected = format!(r#"{{"type":"ERROR","reason":{expected}}}"#);
        assert_eq!(encoded(&Notice::Refused { verb, cause }), expected);
    }
}

#[test]
fn every_cause_can_be_said_in_every_notice_that_carries_one() {
    for cause in Cause::ALL {
        let call = a_call();
        let notices = [
            Notice::Busy { to: Name::Given("b".into()), reason: cause.into(), reference: None },
            Notice::HungUp { call, reason: Reason::Cause(cause), from: None },
            Notice::RegisterRefused(cause),
            Notice::Refused { verb: Verb::Join, cause },
        ];
        for notice in notices {
            let json: serde_json::Value = serde_json::from_str(&encoded(&notice)).unwrap();
            assert!(json["reason"].as_str().is_some_and(|reason| !reason.is_empty()), "{json}");
        }
    }
}

/// One of every notice, with everything optional and without, and its exact text. `ID` stands for the call's id.
fn notices() -> Vec<(Notice<'static>, &'static str)> {
    let call = a_call();
    let (a, b) = (address("a@x.test"), address("b@x.test"));
    let entry = |address: &Address, status, metadata: Option<&'static [u8]>| PresenceEntry {
        address: address.clone(),
        status,
        metadata: metadata.map(Bytes::from_static),
    };
    let to = || Name::Address(address("b@x.test"));
    vec![
        (
            Notice::Registered { address: a.clone(), session: SessionId::mint(0) },
            r#"{"type":"REGISTERED","address":"a@x.test","session_id":"00000000-0000-4000-8000-000000000000"}"#,
        ),
        (
            Notice::RegisterRefused(Cause::AddressInUse),
            r#"{"type":"REGISTER_FAILED","reason":"address_in_use"}"#,
        ),
        (
            Notice::HeartbeatHeard { wall_ms: 1_763_000_000_000 },
            r#"{"type":"HEARTBEAT_ACK","timestamp":1763000000000}"#,
        ),
        (
            Notice::Dialling { reference: "r".into(), call, to: to() },
            r#"{"type":"DIALING","ref":"r","call_id":"ID","to":"b@x.test"}"#,
        ),
        (
            Notice::Ring { from: a.clone(), call, metadata: Payload::Borrowed(b"[1, 2]"), listener: None },
            r#"{"type":"RING","from":"a@x.test","call_id":"ID","metadata":[1, 2]}"#,
        ),
        (
            Notice::Ring {
                from: a.clone(),
                call,
                metadata: Payload::Absent,
                listener: Some(crate::exchange::LineId(Handle::new(ShardId::new(0), 1, 1))),
            },
            r#"{"type":"RING","from":"a@x.test","call_id":"ID"}"#,
        ),
        (
            Notice::Connected { call, to: b.clone(), reference: None },
            r#"{"type":"CONNECTED","call_id":"ID","to":"b@x.test"}"#,
        ),
        (
            Notice::Connected { call, to: b.clone(), reference: Some("r".into()) },
            r#"{"type":"CONNECTED","call_id":"ID","to":"b@x.test","ref":"r"}"#,
        ),
        (
            Notice::Busy { to: to(), reason: Cause::Dnd.into(), reference: None },
            r#"{"type":"BUSY","to":"b@x.test","reason":"dnd"}"#,
        ),
        (
            Notice::Busy { to: to(), reason: Cause::Timeout.into(), reference: Some(("r".into(), call)) },
            r#"{"type":"BUSY","to":"b@x.test","reason":"timeout","ref":"r","call_id":"ID"}"#,
        ),
        (
            Notice::HungUp { call, reason: Cause::Normal.into(), from: None },
            r#"{"type":"HANGUP","call_id":"ID","reason":"normal"}"#,
        ),
        (
            Notice::HungUp { call, reason: Reason::Given("bye".into()), from: Some(a.clone()) },
            r#"{"type":"HANGUP","call_id":"ID","from":"a@x.test","reason":"bye"}"#,
        ),
        (
            Notice::Message {
                call,
                from: a.clone(),
                data: Payload::Owned(b"1.0".into()),
                content_type: ContentType::Json,
            },
            r#"{"type":"MSG","call_id":"ID","from":"a@x.test","data":1.0,"content_type":"json"}"#,
        ),
        (
            Notice::Message { call, from: a.clone(), data: Payload::Absent, content_type: ContentType::Text },
            r#"{"type":"MSG","call_id":"ID","from":"a@x.test","content_type":"text"}"#,
        ),
        (
            Notice::Presence {
                entries: vec![entry(&a, Status::Available, None), entry(&b, Status::Busy, Some(b"null"))],
                truncated: true,
            },
            r#"{"type":"PRESENCE_RESULT","addresses":[{"address":"a@x.test","status":"available","metadata":{}},{"address":"b@x.test","status":"busy","metadata":null}],"truncated":true}"#,
        ),
        (
            Notice::Presence { entries: vec![], truncated: false },
            r#"{"type":"PRESENCE_RESULT","addresses":[]}"#,
        ),
        (
            Notice::AuthExpiring { expires_ms: 1_700_000_000_000 },
            r#"{"type":"AUTH_EXPIRING","expires_at":1700000000000}"#,
        ),
        (
            Notice::SleepPending { seconds: 5 },
            r#"{"type":"SLEEP_PENDING","reason":"idle_timeout","seconds_until_sleep":5}"#,
        ),
        (
            Notice::Joined { party: address("p@x.test"), participants: [a.clone(), b.clone()].into() },
            r#"{"type":"JOINED","party":"p@x.test","participants":["a@x.test","b@x.test"]}"#,
        ),
        (
            Notice::PartyMessage {
                party: address("p@x.test"),
                from: b.clone(),
                data: Payload::Shared(Bytes::from_static(b"{}")),
                content_type: Some(ContentType::Binary),
            },
            r#"{"type":"PARTY_MSG","party":"p@x.test","from":"b@x.test","data":{},"content_type":"binary"}"#,
        ),
        (
            Notice::PartyMessage {
                party: address("p@x.test"),
                from: b,
                data: Payload::Absent,
                content_type: None,
            },
            r#"{"type":"PARTY_MSG","party":"p@x.test","from":"b@x.test"}"#,
        ),
    ]
}

#[test]
fn notices_are_compact_json_in_the_order_of_the_spec_and_their_length_is_known_before() {
    let id = a_call().to_string();
    for (notice, expected) in notices() {
        let expected = expected.replace("ID", &id);
        assert_eq!(encoded(&notice), expected);
        let hint = encoded_len_hint(&notice);
        assert_eq!(hint, expected.len(), "{expected}");
        let mut out = Vec::with_capacity(hint);
        let place = out.as_ptr();
        encode(&notice, &mut out);
        assert_eq!(out.as_ptr(), place, "the buffer has moved: {expected}");
    }
}

#[test]
fn addresses_and_texts_with_quotes_are_escaped() {
    let from = address("a\"\\\u{1}@x.test");
    let notice =
        Notice::HungUp { call: a_call(), reason: Reason::Given("\"\n\u{0}é".into()), from: Some(from) };
    let json: serde_json::Value = serde_json::from_str(&encoded(&notice)).unwrap();
    assert_eq!(json["from"], "a\"\\\u{1}@x.test");
    assert_eq!(json["reason"], "\"\n\u{0}é");
}

#[test]
fn what_one_side_says_reaches_the_other_as_it_was() {
    let json =
        format!(r#"{{"type":"MSG","call_id":"{}","data":{{"π": 3.140}},"content_type":"json"}}"#, a_call());
    let Request::Message { call, data, content_type } = request(&json) else { panic!() };
    let text = encoded(&Notice::Message { call, from: address("a@x.test"), data: data.into(), content_type });
    // A relayed frame is one that a client might have sent, with a `from` that would be ignored.
    let Request::Message { call: again, data: relayed, content_type: kind } = request(&text) else {
        panic!()
    };
    assert_eq!((again, relayed, kind), (call, data, content_type));
}
