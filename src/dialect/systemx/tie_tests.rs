//! Tests of what exchanges say to each other, read and written (spec sections 3, 19).

use std::sync::Arc;

use bytes::Bytes;

use super::*;
use crate::exchange::address::Address;
use crate::exchange::cause::Cause;
use crate::exchange::effect::{Payload, PresenceEntry};
use crate::exchange::event::{ContentType, Location, Near, PresenceQuery, Status};
use crate::exchange::ids::{CALL_TEXT_BYTES_MAX, CallId};
use crate::exchange::limits::ROUTES_PER_TIE_MAX;
use crate::exchange::pattern::Pattern;
use crate::exchange::question::Reply;
use crate::exchange::tie::{
    DialForward, ForwardedDial, Peer, Secret, TieNotice, TiePresence, TieRefusal, TieRegistration, TieReply,
    TieRequest, Vouch,
};
use crate::exchange::tie_party::{PartyTalk, PartyWord};
use crate::exchange::trace::TraceParent;

const BOUNDS: Bounds = Bounds { metadata_bytes_max: 200, traces: true };
const TIE: Standing = Standing { registered: false, tie: true };
const ID: &str = "3f2b6c1e-7d4a-4a55-9c61-0e9d3a7b8c21";

fn read(json: &str, standing: Standing) -> Result<Request<'_>, WireError> {
    Decoder::new(BOUNDS).decode_text(json, standing)
}

#[track_caller]
fn tie(json: &str) -> TieRequest<'_> {
    match read(json, TIE) {
        Ok(Request::Tie(request)) => request,
        other => panic!("{json} gives {other:?}"),
    }
}

#[track_caller]
fn refused(json: &str, standing: Standing, context: &str, detail: &str) {
    let Err(WireError::Refuse(refusal)) = read(json, standing) else { panic!("{json} is no fault") };
    assert_eq!((refusal.context.name(), refusal.to_string().as_str()), (context, detail), "{json}");
}

#[track_caller]
fn registration(json: &str) -> TieRegistration {
    match read(json, Standing::default()) {
        Ok(Request::Tie(TieRequest::Register(registration))) => *registration,
        other => panic!("{json} gives {other:?}"),
    }
}

/// 3, 19.1.
#[test]
fn any_line_may_ask_to_be_a_tie_line() {
    let routes = registration(
        r#"{"type":"REGISTER_PBX","domain":"Home.test","routes":["*@Home.test"],"auth":"hush"}"#,
    );
    assert_eq!((&*routes.domain, routes.routes[0].as_str()), ("Home.test", "*@home.test"));
    assert_eq!(routes.auth.as_ref().map(Secret::reveal), Some("hush"));
    assert!(!format!("{routes:?}").contains("hush"), "{routes:?}");
    let plain = registration(r#"{"type":"REGISTER_PBX","domain":"h","routes":["*"],"endpoint":"internal"}"#);
    assert_eq!(plain.auth, None);
}

/// 3: the exact texts.
#[test]
fn register_pbx_wants_a_domain_and_routes() {
    let cases = [
        ("", "Field 'domain' must be a non-empty string"),
        (r#","domain":"","routes":["*"]"#, "Field 'domain' must be a non-empty string"),
        (r#","domain":5,"routes":["*"]"#, "Field 'domain' must be a non-empty string"),
        (r#","domain":"d""#, "Field 'routes' must be a non-empty array"),
        (r#","domain":"d","routes":[]"#, "Field 'routes' must be a non-empty array"),
        (r#","domain":"d","routes":"*""#, "Field 'routes' must be a non-empty array"),
        (r#","domain":"d","routes":["*",""]"#, "Route entries must be non-empty strings"),
        (r#","domain":"d","routes":[7]"#, "Route entries must be non-empty strings"),
    ];
    for (fields, detail) in cases {
        refused(
            &format!(r#"{{"type":"REGISTER_PBX"{fields}}}"#),
            Standing::default(),
            "REGISTER_PBX",
            detail,
        );
    }
    let many = vec![r#""*@a.test""#; ROUTES_PER_TIE_MAX + 1].join(",");
    let json = format!(r#"{{"type":"REGISTER_PBX","domain":"d","routes":[{many}]}}"#);
    refused(&json, Standing::default(), "REGISTER_PBX", "More than 1024 routes");
    let long = format!(r#"{{"type":"REGISTER_PBX","domain":"d","routes":["{}"]}}"#, "a".repeat(1025));
    refused(&long, Standing::default(), "REGISTER_PBX", "A route is longer than any address");
}

/// 3, 19: from others they are unknown types, or refused.
#[test]
fn what_only_tie_lines_may_say_means_nothing_on_others() {
    for kind in ["RING", "BUSY", "CONNECTED", "REGISTERED_PBX", "HEARTBEAT_ACK", "ERROR"] {
        let json = format!(r#"{{"type":"{kind}","call_id":"c"}}"#);
        let detail = format!("Unsupported message type: {kind}");
        refused(&json, Standing::default(), "UNKNOWN", &detail);
        assert!(matches!(read(&json, TIE), Ok(Request::Tie(_) | Request::Answer { .. })), "{kind}");
    }
    let forward = r#"{"type":"DIAL_FORWARD","call_id":"c","from":"a@x.test","to":"b@x.test"}"#;
    let detail = "PBX must register before forwarding calls";
    refused(forward, Standing::default(), "DIAL_FORWARD", detail);
}

/// 19.4.
#[test]
fn dial_forward_keeps_the_name_of_the_call_unless_it_is_an_id() {
    let json =
        r#"{"type":"DIAL_FORWARD","call_id":"c\u0041","from":"a@x.test","to":"b","metadata":{"n":1.0}}"#;
    let TieRequest::DialForward(dial) = tie(json) else { panic!() };
    let DialForward { call, name, from, to, metadata, trace: None } = *dial else { panic!() };
    assert_eq!((call, name.as_deref()), (CallId::parse(b"cA"), Some("cA")));
    assert_eq!((from.as_str(), &*to, metadata), ("a@x.test", "b", Some(&br#"{"n":1.0}"#[..])));
    let json = format!(r#"{{"type":"DIAL_FORWARD","call_id":"{ID}","from":"+49 30 1","to":"b"}}"#);
    let TieRequest::DialForward(dial) = tie(&json) else { panic!() };
    assert_eq!((dial.call.to_string().as_str(), dial.name, dial.from.as_str()), (ID, None, "+49 30 1"));
}

#[test]
fn dial_forward_says_which_trace_the_call_belongs_to() {
    let text = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00";
    let json = format!(
        r#"{{"type":"DIAL_FORWARD","call_id":"c","from":"a@x.test","to":"b","metadata":{{"traceparent":"{text}"}}}}"#
    );
    let TieRequest::DialForward(dial) = tie(&json) else { panic!() };
    assert_eq!(dial.trace.map(|trace| *trace), TraceParent::parse(text));
}

/// 19.4 [F].
#[test]
fn dial_forward_wants_a_call_a_caller_and_a_callee() {
    const FROM: &str = "Field 'from' must be a string of 1 to 255 bytes";
    let long = "x".repeat(CALL_TEXT_BYTES_MAX + 1);
    let cases = [
        (r#""from":"a@x.test","to":"b""#.to_owned(), "Field 'call_id' is required"),
        (r#""call_id":7,"from":"a@x.test","to":"b""#.to_owned(), "Field 'call_id' is required"),
        (format!(r#""call_id":"{long}","from":"a@x.test","to":"b""#), "call_id is longer than 255 bytes"),
        (r#""call_id":"c","from":"a@x.test""#.to_owned(), "Field 'to' is required"),
        (r#""call_id":"c","to":"b@x.test""#.to_owned(), FROM),
        (r#""call_id":"c","from":"","to":"b@x.test""#.to_owned(), FROM),
        (format!(r#""call_id":"c","from":"{}","to":"b@x.test""#, "a".repeat(256)), FROM),
    ];
    for (fields, detail) in cases {
        refused(&format!(r#"{{"type":"DIAL_FORWARD",{fields}}}"#), TIE, "DIAL_FORWARD", detail);
    }
    let large = "1".repeat(BOUNDS.metadata_bytes_max + 1);
    let json =
        format!(r#"{{"type":"DIAL_FORWARD","call_id":"c","from":"a@x.test","to":"b","metadata":{large}}}"#);
    refused(&json, TIE, "DIAL_FORWARD", "metadata is larger than 200 bytes");
}

/// 12, 19.3: ANSWER and CONNECTED mean the same; MSG says whose it is.
#[test]
fn what_a_tie_line_says_about_a_call() {
    let call = CallId::parse(b"c");
    assert!(
        matches!(read(r#"{"type":"ANSWER","call_id":"c"}"#, TIE), Ok(Request::Answer { call: c }) if c == call)
    );
    assert!(
        matches!(read(r#"{"type":"CONNECTED","call_id":"c"}"#, TIE), Ok(Request::Answer { call: c }) if c == call)
    );
    assert!(
        matches!(read(r#"{"type":"HANGUP","call_id":"c"}"#, TIE), Ok(Request::HangUp { call: c, .. }) if c == call)
    );
    let TieRequest::Ring { metadata: Some(b"[1]"), .. } =
        tie(r#"{"type":"RING","call_id":"c","metadata":[1]}"#)
    else {
        panic!()
    };
    let TieRequest::Busy { reason: Some(reason), .. } =
        tie(r#"{"type":"BUSY","call_id":"c","reason":"dnd"}"#)
    else {
        panic!()
    };
    assert_eq!(reason, "dnd");
    assert!(matches!(tie(r#"{"type":"BUSY","call_id":"c"}"#), TieRequest::Busy { reason: None, .. }));
    let json = r#"{"type":"MSG","call_id":"c","from":"a@x.test","data":1}"#;
    let TieRequest::Message { from: Some(from), data: Some(b"1"), content_type: ContentType::Text, .. } =
        tie(json)
    else {
        panic!()
    };
    assert_eq!(from, "a@x.test");
    // 27.2: from a client it is ignored.
    assert!(matches!(read(json, Standing::default()), Ok(Request::Message { .. })));
}

fn written(notice: TieNotice<'_>, names: Option<&CallNames>) -> String {
    let mut out = Vec::new();
    encode_named(&Notice::Tie(notice), names, &mut out);
    let text = String::from_utf8(out).expect("it is JSON");
    let _: serde_json::Value = serde_json::from_str(&text).expect("it is JSON");
    text
}

fn address(text: &str) -> Address {
    Address::parse(text).expect("an address")
}

#[test]
fn every_word_to_an_exchange_has_its_form() {
    let call = CallId::parse(ID.as_bytes());
    let bob = || address("bob@x.test");
    let cases = [
        (TieNotice::Heartbeat, r#"{"type":"HEARTBEAT"}"#),
        (
            TieNotice::Registered { domain: "h\"".into() },
            r#"{"type":"REGISTERED_PBX","domain":"h\"","status":"connected"}"#,
        ),
        (
            TieNotice::Refused(Box::new(TieRefusal::RouteConflict {
                route: "*.x".into(),
                claimed_by: "a".into(),
            })),
            r#"{"type":"REGISTER_PBX_FAILED","reason":"route_conflict","conflicting_route":"*.x","claimed_by":"a"}"#,
        ),
        (
            TieNotice::Refused(Box::new(TieRefusal::AuthFailed)),
            r#"{"type":"REGISTER_PBX_FAILED","reason":"auth_failed"}"#,
        ),
        (
            TieNotice::Refused(Box::new(TieRefusal::TooManyRoutes)),
            r#"{"type":"REGISTER_PBX_FAILED","reason":"limit_reached"}"#,
        ),
        (
            TieNotice::Ring { call, from: bob(), metadata: Some(Bytes::from_static(b"null")) },
            r#"{"type":"RING","call_id":"ID","from":"bob@x.test","metadata":null}"#,
        ),
        (
            TieNotice::Ring { call, from: bob(), metadata: None },
            r#"{"type":"RING","call_id":"ID","from":"bob@x.test"}"#,
        ),
        (
            TieNotice::Answered { call, from: bob() },
            r#"{"type":"ANSWER","call_id":"ID","from":"bob@x.test"}"#,
        ),
        (
            TieNotice::Busy { call, to: "b".into(), reason: Cause::NoSuchAddress.into() },
            r#"{"type":"BUSY","call_id":"ID","to":"b","reason":"no_such_address"}"#,
        ),
    ];
    for (notice, expected) in cases {
        assert_eq!(written(notice, None).replace(ID, "ID"), expected);
    }
}

/// 19.9.
#[test]
fn an_exchange_introduces_itself() {
    let pattern = |text| Pattern::parse(text).expect("a pattern");
    let mut peer = Peer {
        id: "p".into(),
        domain: "home.test".into(),
        auth: Some(Secret::new("tok\"en")),
        routes: [pattern("*")].into(),
        announced: [pattern("*@home.test"), pattern("*.home.test")].into(),
        position: 0,
        heartbeat_ms: None,
    };
    let head = r#"{"type":"REGISTER_PBX","domain":"home.test","routes":["*@home.test","*.home.test"],"endpoint":"internal""#;
    let text = written(TieNotice::Introduction(Arc::new(peer)), None);
    assert_eq!(text, format!(r#"{head},"auth":"tok\"en"}}"#));
    peer = Peer {
        id: "p".into(),
        domain: "home.test".into(),
        auth: None,
        routes: [].into(),
        announced: [pattern("*@home.test"), pattern("*.home.test")].into(),
        position: 0,
        heartbeat_ms: None,
    };
    assert_eq!(written(TieNotice::Introduction(Arc::new(peer)), None), format!("{head}}}"));
}

/// 19.4: a call goes by the name it was given, wherever its parties are told of it.
#[test]
fn calls_are_written_by_the_name_they_were_given() {
    let name: Arc<str> = "call \"1\"".into();
    let call = CallId::parse(name.as_bytes());
    let mut names = CallNames::default();
    names.add(call, name.clone());
    names.add(call, name.clone());
    names.forget(call);
    let bob = address("bob@x.test");
    let notices = [
        Notice::Ring { from: bob.clone(), call, metadata: Payload::Absent, listener: None },
        Notice::Message { call, from: bob.clone(), data: Payload::Absent, content_type: ContentType::Text },
        Notice::HungUp { call, reason: Cause::Normal.into(), from: None },
        Notice::Tie(TieNotice::Answered { call, from: bob.clone() }),
        Notice::Tie(TieNotice::Busy { call, to: "b".into(), reason: Cause::Dnd.into() }),
        Notice::Tie(TieNotice::Ring { call, from: bob, metadata: None }),
        Notice::Tie(TieNotice::DialForward(Box::new(forwarded(None, Vouch::Theirs)))),
    ];
    for notice in notices {
        let mut out = Vec::new();
        encode_named(&notice, Some(&names), &mut out);
        let json: serde_json::Value = serde_json::from_slice(&out).expect("it is JSON");
        assert_eq!(json["call_id"], *name, "{json}");
    }
    names.forget(call);
    assert!(names.is_empty());
}

fn forwarded(metadata: Option<&'static str>, vouch: Vouch) -> ForwardedDial {
    ForwardedDial {
        call: CallId::parse(b"call \"1\""),
        from: address("a@x.test"),
        to: address("b@home.test"),
        metadata: metadata.map(|text| Bytes::from_static(text.as_bytes())),
        vouch,
        domain: "x.test".into(),
        wall_ms: 1_763_000_000_123,
    }
}

/// 19.8.
#[test]
fn only_the_exchange_says_who_was_verified() {
    let metadata = |given, vouch| -> Option<String> {
        let text = written(TieNotice::DialForward(Box::new(forwarded(given, vouch))), None);
        let at = text.find(r#","metadata":"#)?;
        Some(text[at + r#","metadata":"#.len()..text.len() - 1].to_owned())
    };
    let seal =
        r#""authenticated_by":"x.test","auth_level":"verified","timestamp":"2025-11-13T02:13:20.123Z""#;
    let forged =
        r#"{"authenticated_by":"z","n":1.00,"auth\u005flevel":"verified","timestamp":5,"m":{"timestamp":6}}"#;
    assert_eq!(metadata(None, Vouch::Unverified), None);
    assert_eq!(metadata(Some("[1]"), Vouch::Unverified).as_deref(), Some("[1]"));
    assert_eq!(
        metadata(Some(forged), Vouch::Unverified).as_deref(),
        Some(r#"{"n":1.00,"m":{"timestamp":6}}"#)
    );
    assert_eq!(metadata(Some(forged), Vouch::Theirs).as_deref(), Some(forged));
    assert_eq!(metadata(None, Vouch::Verified), Some(format!("{{{seal}}}")));
    assert_eq!(metadata(Some("{}"), Vouch::Verified), Some(format!("{{{seal}}}")));
    let sealed = format!(r#"{{"n":1.00,"m":{{"timestamp":6}},{seal}}}"#);
    assert_eq!(metadata(Some(forged), Vouch::Verified), Some(sealed));
    assert_eq!(metadata(Some("7"), Vouch::Verified).as_deref(), Some("7"));
}

/// 19.6.
#[test]
fn presence_is_asked_and_answered_across_a_link() {
    let json = r#"{"type":"PRESENCE_QUERY","query":{"domain":"Home.Test","capabilities":["a"],"limit":5},"reply_to":"a@x.test","query_id":"z","hops":3}"#;
    let TieRequest::PresenceQuery(asked) = tie(json) else { panic!() };
    assert_eq!((asked.query.domain.as_deref(), asked.query.limit), (Some("home.test"), Some(5)));
    assert_eq!(
        (asked.reply_to.as_deref(), asked.query_id.as_deref(), asked.hops),
        (Some("a@x.test"), Some("z"), 3)
    );
    let bare = r#"{"type":"PRESENCE_QUERY"}"#;
    assert!(
        matches!(tie(bare), TieRequest::PresenceQuery(asked) if asked.reply_to.is_none() && asked.hops == 0)
    );

    let json = r#"{"type":"PRESENCE_RESULT","addresses":[{"address":"b@x.test","status":"dnd","metadata":{"n":1.0}},
        {"address":"nobody"},7,{"address":"c@x.test"}],"reply_to":"a@x.test","query_id":"q-12","truncated":true}"#;
    let TieRequest::PresenceResult(answer) = tie(json) else { panic!() };
    let shown: Vec<_> = answer.entries.iter().map(|entry| (entry.address.as_str(), entry.status)).collect();
    assert_eq!(shown, [("b@x.test", Status::Dnd), ("c@x.test", Status::Available)]);
    assert_eq!(answer.entries[0].metadata.as_deref(), Some(&br#"{"n":1.0}"#[..]));
    assert_eq!((answer.truncated, answer.number), (true, Some(Some(12))));
    let foreign = r#"{"type":"PRESENCE_RESULT","addresses":5,"query_id":"theirs"}"#;
    assert!(matches!(tie(foreign), TieRequest::PresenceResult(answer) if answer.number == Some(None)));
}

/// 19.6: what goes out is read again as what went in.
#[test]
fn questions_and_answers_are_written_as_they_are_read() {
    let near = Near { middle: Location { lat: 52.5, lon: -13.25 }, radius_km: 10.0 };
    let queries = [
        PresenceQuery::default(),
        PresenceQuery { domain: Some("a.test".into()), ..PresenceQuery::default() },
        PresenceQuery {
            asker: None,
            domain: Some("a.test".into()),
            capabilities: vec!["x\"".into(), "y".into()],
            near: Some(near),
            limit: Some(7),
        },
    ];
    for query in queries {
        let asked =
            TiePresence { query: Arc::new(query.clone()), reply_to: "a@x.test".into(), number: 4, hops: 2 };
        let text = written(TieNotice::PresenceQuery(Box::new(asked)), None);
        let TieRequest::PresenceQuery(read) = tie(&text) else { panic!("{text}") };
        assert_eq!((&read.query, read.query_id.as_deref(), read.hops), (&query, Some("q-4"), 2), "{text}");
    }
    let entry = PresenceEntry { address: address("b@x.test"), status: Status::Busy, metadata: None };
    let reply = Reply { to: Some("a@x.test".into()), id: Some("q-4".into()) };
    let answer = TieReply { entries: vec![entry], truncated: true, reply };
    let text = written(TieNotice::PresenceResult(Box::new(answer)), None);
    let TieRequest::PresenceResult(read) = tie(&text) else { panic!("{text}") };
    assert_eq!((read.entries.len(), read.truncated, read.number), (1, true, Some(Some(4))));
}

fn party(json: &str) -> (String, PartyWord) {
    let TieRequest::Party(talk) = tie(json) else { panic!("{json} is not about a party") };
    (talk.party.as_str().to_owned(), talk.word)
}

/// 19.7.
#[test]
fn what_is_said_about_parties_is_read() {
    let (name, word) = party(r#"{"type":"JOIN_FORWARD","from":"a@x.test","party":"p@home.test"}"#);
    assert_eq!(name, "p@home.test");
    assert!(
        matches!(word, PartyWord::Join { from, create_if_missing: true, hops: 1 } if from.as_str() == "a@x.test")
    );
    let (_, word) =
        party(r#"{"type":"JOIN_FORWARD","from":"a@x.test","party":"p@home.test","create_if_missing":false}"#);
    assert!(matches!(word, PartyWord::Join { create_if_missing: false, .. }));

    let (_, word) = party(
        r#"{"type":"JOINED","party":"p@h.test","participants":["b@x.test","nobody",7,"a@x.test"],"to":"a@x.test"}"#,
    );
    let PartyWord::Joined { to, participants } = word else { panic!("{word:?}") };
    let names: Vec<_> = participants.iter().map(Address::as_str).collect();
    assert_eq!((to.as_ref().map(Address::as_str), names), (Some("a@x.test"), vec!["b@x.test", "a@x.test"]));
    let (_, word) = party(r#"{"type":"JOINED","party":"p@h.test","to":null}"#);
    assert!(
        matches!(word, PartyWord::Joined { to: None, participants } if participants.is_empty()),
        "an original says neither"
    );
    for (reason, cause) in
        [(r#""party_full""#, Cause::PartyFull), (r#""sleep""#, Cause::NoSuchParty), ("7", Cause::NoSuchParty)]
    {
        let json =
            format!(r#"{{"type":"JOIN_FAILED","party":"p@h.test","to":"a@x.test","reason":{reason}}}"#);
        assert!(matches!(party(&json).1, PartyWord::Failed { to: Some(_), cause: read } if read == cause));
    }

    let json =
        r#"{"type":"PARTY_MSG","party":"p@h.test","from":"a@x.test","data":{"n":1.0},"content_type":"json"}"#;
    let PartyWord::Says { from, data, content_type } = party(json).1 else { panic!() };
    assert_eq!((from.as_str(), data.as_deref()), ("a@x.test", Some(&br#"{"n":1.0}"#[..])));
    assert_eq!(content_type, Some(ContentType::Json));
    let (_, word) = party(r#"{"type":"LEAVE","party":"p@h.test","from":"a@x.test"}"#);
    assert!(matches!(word, PartyWord::Leave { from } if from.as_str() == "a@x.test"));
}

/// 19.7: without `from` they are the tie line's own; from others `from` means nothing, and the rest is unknown.
#[test]
fn only_a_tie_line_speaks_for_others_in_parties() {
    let own = r#"{"type":"PARTY_MSG","party":"p@h.test","data":1}"#;
    assert!(matches!(read(own, TIE), Ok(Request::PartyMessage { .. })));
    assert!(matches!(read(r#"{"type":"LEAVE","party":"p@h.test"}"#, TIE), Ok(Request::Leave { .. })));
    let line = Standing { registered: true, tie: false };
    let forged = r#"{"type":"PARTY_MSG","party":"p@h.test","from":"a@x.test","data":1}"#;
    assert!(matches!(read(forged, line), Ok(Request::PartyMessage { .. })));
    let forged = r#"{"type":"LEAVE","party":"p@h.test","from":"a@x.test"}"#;
    assert!(matches!(read(forged, line), Ok(Request::Leave { .. })));
    for kind in ["JOIN_FORWARD", "JOINED", "JOIN_FAILED"] {
        let json = format!(r#"{{"type":"{kind}","party":"p@h.test","from":"a@x.test"}}"#);
        refused(&json, line, "UNKNOWN", &format!("Unsupported message type: {kind}"));
    }
}

/// 3, 19.7.
#[test]
fn what_makes_no_sense_about_parties_is_refused() {
    const NAME: &str = "Field 'party' must be a string of the form name@domain";
    const FROM: &str = "Field 'from' must be an address";
    for (json, context, detail) in [
        (r#"{"type":"JOIN_FORWARD","from":"a@x.test"}"#, "JOIN_FORWARD", NAME),
        (r#"{"type":"JOIN_FORWARD","from":"a","party":"p@h.test"}"#, "JOIN_FORWARD", FROM),
        (r#"{"type":"JOINED","party":"p"}"#, "UNKNOWN", NAME),
        (r#"{"type":"JOINED","party":"p@h.test","to":"a"}"#, "UNKNOWN", "Field 'to' must be an address"),
        (r#"{"type":"JOIN_FAILED","party":7}"#, "UNKNOWN", NAME),
        (r#"{"type":"PARTY_MSG","party":"p@h.test","from":7}"#, "PARTY_MSG", FROM),
        (
            r#"{"type":"PARTY_MSG","party":"p@h.test","from":"a@x.test","content_type":"x"}"#,
            "PARTY_MSG",
            "Unsupported content_type: x",
        ),
        (r#"{"type":"LEAVE","party":"p","from":"a@x.test"}"#, "LEAVE", NAME),
        (r#"{"type":"LEAVE","party":"p@h.test","from":""}"#, "LEAVE", FROM),
    ] {
        refused(json, TIE, context, detail);
    }
}

/// 19.7: what goes out is read again as what went in.
#[test]
fn what_is_said_about_parties_is_written_as_it_is_read() {
    let a = || address("a@x.test");
    let data = Some(Bytes::from_static(br#"{"n":1.0}"#));
    for (word, expected) in [
        (
            PartyWord::Join { from: a(), create_if_missing: true, hops: 3 },
            r#"{"type":"JOIN_FORWARD","from":"a@x.test","party":"p@h.test","create_if_missing":true,"hops":3}"#,
        ),
        (
            PartyWord::Join { from: a(), create_if_missing: false, hops: 1 },
            r#"{"type":"JOIN_FORWARD","from":"a@x.test","party":"p@h.test","create_if_missing":false}"#,
        ),
        (
            PartyWord::Joined { to: Some(a()), participants: [address("b@x.test"), a()].into() },
            r#"{"type":"JOINED","party":"p@h.test","participants":["b@x.test","a@x.test"],"to":"a@x.test"}"#,
        ),
        (
            PartyWord::Failed { to: Some(a()), cause: Cause::PartyFull },
            r#"{"type":"JOIN_FAILED","party":"p@h.test","to":"a@x.test","reason":"party_full"}"#,
        ),
        (
            PartyWord::Says { from: a(), data, content_type: Some(ContentType::Binary) },
            r#"{"type":"PARTY_MSG","party":"p@h.test","from":"a@x.test","data":{"n":1.0},"content_type":"binary"}"#,
        ),
        (
            PartyWord::Says { from: a(), data: None, content_type: None },
            r#"{"type":"PARTY_MSG","party":"p@h.test","from":"a@x.test"}"#,
        ),
        (PartyWord::Leave { from: a() }, r#"{"type":"LEAVE","party":"p@h.test","from":"a@x.test"}"#),
    ] {
        let again = format!("{word:?}");
        let talk = PartyTalk { party: address("p@h.test"), word };
        let text = written(TieNotice::Party(Box::new(talk)), None);
        assert_eq!(text, expected);
        assert_eq!(format!("{:?}", party(&text).1), again);
    }
}

/// A list of any length is read, and no more of it is kept than a party may have members.
#[test]
fn a_list_of_participants_is_cut() {
    let names = vec![r#""a@x.test""#; 20_000].join(",");
    let json = format!(r#"{{"type":"JOINED","party":"p@h.test","participants":[{names}]}}"#);
    assert!(matches!(party(&json).1, PartyWord::Joined { participants, .. } if participants.len() == 10_000));
}
