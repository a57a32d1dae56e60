//! The webhook of call records against a real server: what it is sent, again and again if need be, and what it is not.

use super::*;
use crate::support::Webhooks;

fn header<'h>(headers: &'h [String], name: &str) -> Option<&'h str> {
    headers.iter().find_map(|header| header.strip_prefix(name)?.strip_prefix(": "))
}

#[test]
fn a_batch_is_sent_under_one_name_until_it_is_taken_and_then_no_more() {
    let (folder, server) = (Scratch::new(), Webhooks::start());
    let file = file_in(&folder);
    let url = server.url("/records?key=1");
    let environment = [
        ("SYSTEMX_CALL_RECORDS", text(&file)),
        ("SYSTEMX_CALL_RECORDS_WEBHOOK", &*url),
        ("SYSTEMX_CALL_RECORDS_WEBHOOK_TOKEN", "SeCrEt"),
        ("FEDERATION_DOMAIN", "hub.test"),
    ];
    let mut exchange = Process::start_with(&[], &environment);
    let (mut a, mut b) = (exchange.registered(A), exchange.registered(B));
    brief_call(&mut a, &mut b);
    let first = server.next();
    assert_eq!(first.line, "POST /records?key=1 HTTP/1.1");
    assert_eq!(header(&first.headers, "authorization"), Some("bearer secret"), "{:?}", first.headers);
    assert_eq!(header(&first.headers, "content-type"), Some("application/json"));
    let name = header(&first.headers, "idempotency-key").expect("it has a name").to_owned();
    let (body, bytes) = (first.body.clone(), first.bytes.clone());
    assert_eq!((&body["batch"], &body["node"]), (&json!(name), &json!("hub.test")));
    first.answer(503, "retry-after: 0\r\n");
    // Calls go on while the receiver thinks about it.
    brief_call(&mut a, &mut b);
    let again = server.next();
    assert_eq!(header(&again.headers, "idempotency-key"), Some(&*name));
    assert_eq!(again.bytes, bytes);
    again.answer(302, "location: /elsewhere\r\n");
    let third = server.next();
    assert_eq!(third.line, "POST /records?key=1 HTTP/1.1", "no redirect is followed");
    assert_eq!(third.bytes, bytes);
    third.answer(204, "");
    exchange.log.wait_for("they are taken again");
    let next = server.next();
    assert_ne!(header(&next.headers, "idempotency-key"), Some(&*name));
    let mut delivered = body["records"].as_array().expect("a list").clone();
    delivered.extend(next.body["records"].as_array().expect("a list").clone());
    next.answer(200, "");
    drop((a, b));
    exchange.signal(Signal::TERM);
    exchange.wait();
    assert_eq!(by_call(delivered), by_call(all(&file)), "the same as in the file");
    assert!(server.is_idle());
    let log = exchange.log.all().join("\n");
    assert!(!log.contains("SeCrEt") && !log.contains("key=1"), "{log}");
}

#[test]
fn a_batch_that_is_refused_for_its_content_is_lost_and_does_not_block_the_next() {
    let server = Webhooks::start();
    let url = server.url("/");
    let rig = Rig::with(&[("call_records_webhook", &url)]);
    let (mut a, mut b) = (rig.registered(A), rig.registered(B));
    brief_call(&mut a, &mut b);
    server.next().answer(422, "");
    eventually("it is counted", || (rig.sinks().webhook?.lost == 1).then_some(()));
    let call = brief_call(&mut a, &mut b);
    let next = server.next();
    assert_eq!(id_of(&next.body["records"][0]), call);
    next.answer(200, "");
    eventually("it is counted", || (rig.sinks().webhook?.delivered == 1).then_some(()));
    let state = rig.sinks().webhook.expect("it is on");
    assert_eq!((state.lost, state.failures, state.waiting, state.trouble), (1, 1, 0, None));
}

#[test]
fn a_receiver_that_is_away_costs_neither_calls_nor_the_file_nor_the_stop() {
    let folder = Scratch::new();
    let file = file_in(&folder);
    let away = Webhooks::away();
    let url = away.url("/");
    let environment = [("SYSTEMX_CALL_RECORDS", text(&file)), ("SYSTEMX_CALL_RECORDS_WEBHOOK", &*url)];
    let mut exchange = Process::start_with(&[], &environment);
    let (mut a, mut b) = (exchange.registered(A), exchange.registered(B));
    let calls: Vec<String> = (0..30).map(|_| brief_call(&mut a, &mut b)).collect();
    let line = exchange.log.wait_for("webhook of call records: they are not taken");
    assert!(line.contains("cannot be reached"), "{line}");
    eventually("the file has all of them", || (all(&file).len() == calls.len()).then_some(()));
    drop((a, b));
    exchange.signal(Signal::TERM);
    assert_eq!(exchange.wait().code(), Some(0));
    let line = exchange.log.wait_for("webhook of call records closed");
    assert!(line.contains("\"lost\":30"), "{line}");
}

#[test]
fn what_a_receiver_that_never_answers_has_not_taken_at_the_stop_is_lost() {
    let server = Webhooks::start();
    let url = server.url("/");
    let environment = [("SYSTEMX_CALL_RECORDS_WEBHOOK", &*url)];
    let mut exchange = Process::start_with(&["--stop-timeout-ms", "500"], &environment);
    let (mut a, mut b) = (exchange.registered(A), exchange.registered(B));
    brief_call(&mut a, &mut b);
    let unanswered = server.next();
    (0..9).for_each(|_| drop(brief_call(&mut a, &mut b)));
    drop((a, b));
    exchange.signal(Signal::TERM);
    assert_eq!(exchange.wait().code(), Some(0));
    let line = exchange.log.wait_for("webhook of call records closed");
    assert!(line.contains("\"delivered\":0") && line.contains("\"lost\":10"), "{line}");
    drop(unanswered);
}

#[test]
fn a_url_or_token_that_cannot_be_used_stops_the_start_and_is_not_repeated() {
    let folder = Scratch::new();
    for (name, value) in [
        ("SYSTEMX_CALL_RECORDS_WEBHOOK", "ftp://secret.test/"),
        ("SYSTEMX_CALL_RECORDS_WEBHOOK", "https://user:secret@x.test/"),
        ("SYSTEMX_CALL_RECORDS_WEBHOOK", "secret"),
        ("SYSTEMX_CALL_RECORDS_WEBHOOK_TOKEN", "secret with spaces"),
    ] {
        let output = systemx(&["serve", "--port", "0"], folder.path()).env(name, value).output();
        let output = output.expect("the program can be run");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{value}: {said}");
        assert!(said.contains(name) && !said.contains("secret"), "{said}");
    }
    let url = [
        ("SYSTEMX_CALL_RECORDS_WEBHOOK", "http://hooks.test/secret"),
        ("SYSTEMX_CALL_RECORDS_WEBHOOK_TOKEN", "secret"),
    ];
    let output = systemx(&["check-config"], folder.path()).envs(url).output().expect("it runs");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(said.contains("http://hooks.test/...") && said.contains("use https://"), "{said}");
    assert!(!said.contains("secret"), "{said}");
}
