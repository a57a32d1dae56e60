//! What does one message to many cost the core and the encoder: a broadcast, a party line, and a party across a link?
//!
//! The speaker's request in, one list of lines and one frame out: a fan-out is encoded once, whatever the number of those
//! who hear it. What is not in here is the writing to each socket. A broadcast goes to 10, 1,000 and 100,000 listeners; a
//! party only to 9,999, because `party_members_max` is 10,000 and every JOINED names all members. Each is checked once:
//! everybody but the speaker is on the list. A word across a link is for one there, in one of many parties: while the link takes
//! what it is sent, and while it does not, so that the speakers are weighed, fewer and more of them than may be.

mod support;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use support::exchange::{Exchange, address, agent, connected_in, dial, registration};
use support::{coarse, is_test, scaled, short};
use systemx::dialect::systemx::{encode, encoded_len_hint};
use systemx::exchange::Limits;
use systemx::exchange::effect::{Effect, Notice};
use systemx::exchange::event::{Concurrency, ContentType, Event, Registration, Request};
use systemx::exchange::ids::{CallId, LineId};
use systemx::exchange::limits::PRESSING_SPEAKERS_MAX;
use systemx::exchange::tie::{TieNotice, TieRegistration, TieRequest};
use systemx::exchange::tie_party::{PartyTalk, PartyWord};
use systemx::websocket::{MessageKind, encoder};

const SPEAKER: &str = "speaker@studio.test";
const PARTY: &str = "everybody@studio.test";
const DATA: &[u8] = br#""sixty-four bytes of an announcement that everybody has to hear.""#;

/// Makes the frame of a fan-out, as the shell does, and says for how many lines.
fn publish(effect: &Effect<'_>, frame: &mut Vec<u8>) -> usize {
    let Effect::Publish { lines, notice } = effect else { return 0 };
    frame.clear();
    let len = encoded_len_hint(notice);
    let mark = encoder::begin_expecting(frame, len);
    encode(notice, frame);
    mark.finish(frame, MessageKind::Text);
    lines.len()
}

fn broadcast_to(listeners: usize) -> (Exchange, LineId, CallId) {
    let mut exchange = Exchange::new(1);
    let concurrency = Concurrency::Broadcast { max_listeners: None };
    let speaker = exchange.registered(Registration { concurrency, ..registration(SPEAKER) });
    let mut session = None;
    for number in 0..listeners {
        let line = exchange.registered(registration(&agent(number)));
        exchange.ask(line, dial(SPEAKER), |effect| session = session.or(connected_in(effect)));
    }
    let (_, call) = session.expect("listeners are connected");
    (exchange, speaker, call)
}

fn broadcast(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("broadcast");
    coarse(&mut group);
    for listeners in sizes([10, 1000, 100_000]) {
        let (mut exchange, speaker, call) = broadcast_to(listeners);
        let mut frame = Vec::new();
        let mut speak = || {
            let request = Request::Message { call, data: Some(DATA), content_type: ContentType::Text };
            let mut heard = 0;
            exchange.ask(speaker, request, |effect| heard += publish(effect, &mut frame));
            heard
        };
        assert_eq!(speak(), listeners, "everybody hears it");
        group.throughput(Throughput::Elements(listeners as u64));
        group.bench_function(BenchmarkId::from_parameter(listeners), |bencher| bencher.iter(&mut speak));
    }
    group.finish();
}

fn party_of(members: usize) -> (Exchange, LineId) {
    let mut exchange = Exchange::new(1);
    let lines: Vec<LineId> =
        (0..members).map(|number| exchange.registered(registration(&agent(number)))).collect();
    for &line in &lines {
        let request = Request::Join { party: address(PARTY), create_if_missing: true };
        exchange.ask(line, request, |_| {});
    }
    (exchange, lines[0])
}

fn party(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("party_line");
    coarse(&mut group);
    for others in sizes([10, 1000, 9999]) {
        let (mut exchange, speaker) = party_of(others + 1);
        let mut frame = Vec::new();
        let mut speak = || {
            let content_type = Some(ContentType::Text);
            let request = Request::PartyMessage { party: PARTY.into(), data: Some(DATA), content_type };
            let mut heard = 0;
            exchange.ask(speaker, request, |effect| heard += publish(effect, &mut frame));
            heard
        };
        assert_eq!(speak(), others, "everybody else hears it");
        group.throughput(Throughput::Elements(others as u64));
        group.bench_function(BenchmarkId::from_parameter(others), |bencher| bencher.iter(&mut speak));
    }
    group.finish();
}

fn hall(number: usize) -> String {
    format!("hall-{number}@studio.test")
}

/// A link, and a client here who is in so many parties with somebody there.
fn parties_across(parties: usize) -> (Exchange, LineId, LineId) {
    let limits = Limits { parties_per_line_max: parties, ..support::exchange::limits() };
    let mut exchange = Exchange::with(1, limits);
    let (speaker, tie) = (exchange.registered(registration(SPEAKER)), exchange.cores[0].open());
    let registration = TieRegistration { domain: "home.test".into(), routes: Box::default(), auth: None };
    exchange.ask(tie, Request::Tie(TieRequest::Register(Box::new(registration))), |_| {});
    for number in 0..parties {
        let party = address(&hall(number));
        exchange.ask(speaker, Request::Join { party: party.clone(), create_if_missing: true }, |_| {});
        let word = PartyWord::Join { from: address("x@home.test"), create_if_missing: false, hops: 1 };
        let talk = Box::new(PartyTalk { party, word });
        exchange.ask(tie, Request::Tie(TieRequest::Party(talk)), |_| {});
    }
    (exchange, speaker, tie)
}

fn is_party_talk(effect: &Effect<'_>) -> bool {
    matches!(effect, Effect::Notify { notice: Notice::Tie(TieNotice::Party(_)), .. })
}

fn party_across(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("party_across_a_link");
    short(&mut group);
    let (few, many) = (scaled(500, 10), scaled(5000, PRESSING_SPEAKERS_MAX + 10));
    for (name, parties, congested) in
        [("taken_5000", many, false), ("weighed_500", few, true), ("weighed_5000", many, true)]
    {
        let (mut exchange, speaker, tie) = parties_across(parties);
        if congested {
            exchange.happen(tie, Event::Congested(tie), |_| {});
        }
        let halls: Vec<String> = (0..parties).map(hall).collect();
        let mut turns = halls.iter().cycle();
        let mut speak = || {
            let party = turns.next().expect("there are parties").into();
            let content_type = Some(ContentType::Text);
            let request = Request::PartyMessage { party, data: Some(DATA), content_type };
            let mut heard = 0;
            exchange.ask(speaker, request, |effect| heard += usize::from(is_party_talk(effect)));
            heard
        };
        assert_eq!((0..parties).map(|_| speak()).sum::<usize>(), parties, "every word goes across");
        group.throughput(Throughput::Elements(1));
        group.bench_function(name, |bencher| bencher.iter(&mut speak));
        let mut lost = 0;
        exchange.happen(tie, Event::Pressed { line: tie, is_over: false }, |effect| {
            lost += usize::from(matches!(effect, Effect::Notify { line, .. } if *line == speaker));
        });
        assert_eq!(lost > 0, congested, "who has been weighed, and nobody else, loses seats");
    }
    group.finish();
}

/// The largest is left out in a test.
fn sizes(all: [usize; 3]) -> impl Iterator<Item = usize> {
    all.into_iter().take(if is_test() { 2 } else { 3 })
}

criterion_group!(benches, broadcast, party, party_across);
criterion_main!(benches);
