//! Drains of exchanges that others are linked to: links go last, calls that only pass through are calls, and whoever called the
//! exchange comes back when he was told to. Real exchanges as processes of their own, on sockets.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::{Value, json};

use super::{activated, drained_for, hangup};
use crate::support::{Phone, Process, eventually, id_of};

/// What an exchange takes at most to see to something that is due, on a machine that does other things as well.
const SLACK: Duration = Duration::from_secs(3);
/// After how long a neighbour is to come back at the earliest; by itself it would at once.
const RETURN: Duration = Duration::from_secs(2);

/// An exchange that calls `above`, for everybody but its own.
fn linked(above: &Process, domain: &str, id: &str) -> Process {
    let url = above.url();
    let environment = [
        ("FEDERATION_ENABLED", "true"),
        ("FEDERATION_PEER_URL", &*url),
        ("FEDERATION_ROUTES", "*"),
        ("FEDERATION_DOMAIN", domain),
        ("FEDERATION_PEER_ID", id),
        ("FEDERATION_RECONNECT_DELAY_MS", "50"),
    ];
    Process::start_with(&["--log-level", "debug"], &environment)
}

/// Calls somebody beyond a link, which comes up in its own time, and waits until his phone rings.
fn ring_beyond(from: &mut Phone, to: &str, callee: &mut Phone) -> String {
    let call = eventually("there is a way", || {
        from.dial(to);
        let frame = from.next();
        (frame["type"] == "RING").then(|| id_of(&frame))
    });
    callee.expect(json!({"type": "RING", "call_id": call}));
    call
}

fn call_beyond(from: &mut Phone, to: &str, callee: &mut Phone) -> String {
    let call = ring_beyond(from, to, callee);
    callee.answer(&call);
    from.expect_connected(to);
    call
}

/// The fields of the log's lines with `part`, in order.
fn logged(exchange: &Process, part: &str) -> Vec<Value> {
    let lines = exchange.log.all().into_iter().filter(|line| line.contains(part));
    lines.filter_map(|line| serde_json::from_str(&line[line.find('{')?..]).ok()).collect()
}

/// After how long a link that was lost will be tried again, as the log says it.
fn again_in(line: &str) -> Duration {
    let fields: Value = serde_json::from_str(&line[line.find('{').expect("fields")..]).expect("JSON");
    let text = fields["again_in"].as_str().expect("it is text").to_owned();
    let seconds = text.strip_suffix('s').and_then(|seconds| seconds.parse().ok());
    Duration::from_secs_f64(seconds.unwrap_or_else(|| panic!("{text} is in seconds")))
}

#[test]
fn a_neighbour_comes_back_when_it_was_told_to_and_calls_go_over_the_link_again() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback can be listened on");
    let return_ms = RETURN.as_millis().to_string();
    let mut first = activated(&listener, &["--drain-seconds", "60", "--drain-retry-ms", &return_ms]);
    let home = linked(&first, "home.test", "up");
    let (mut ann, mut bob) = (home.registered("ann@home.test"), first.registered("bob@corp.test"));
    let call = call_beyond(&mut ann, "bob@corp.test", &mut bob);
    first.signal(Signal::TERM);
    first.log.wait_for("draining");
    // The link is up until the last call is over.
    bob.say(&call, "still here");
    ann.expect_msg(&call, "bob@corp.test", "still here".into());
    let told = Instant::now();
    ann.hang_up(&call);
    bob.expect_hangup(&call, "normal");
    assert_eq!(bob.next_close().0, 1012);
    drop(bob);
    assert_eq!(first.wait().code(), Some(0));
    let again_in = again_in(&home.log.wait_for("link lost"));
    assert!((RETURN..=2 * RETURN).contains(&again_in), "{again_in:?}");
    // However long this takes: the socket is there all the time, and whoever calls waits in its queue.
    let second = activated(&listener, &[]);
    eventually("the link is up again", || (logged(&home, "link is up").len() > 1).then_some(()));
    let since_told = told.elapsed();
    assert!(since_told >= RETURN, "it comes after {since_told:?}, told {again_in:?}");
    let mut bob = second.registered("bob@corp.test");
    let call = call_beyond(&mut ann, "bob@corp.test", &mut bob);
    ann.say(&call, "hello again");
    bob.expect_msg(&call, "ann@home.test", "hello again".into());
    bob.dial("ann@home.test");
    bob.expect_busy("ann@home.test", "already_in_call");
}

/// Two exchanges, linked by a third one that has no lines of its own, with somebody on each.
fn transit(seconds: u64) -> (Process, [Process; 2], [Phone; 2]) {
    let middle = drained_for(seconds);
    let ends = ["left", "right"].map(|name| linked(&middle, &format!("{name}.test"), name));
    let phones = [ends[0].registered("ann@left.test"), ends[1].registered("rob@right.test")];
    (middle, ends, phones)
}

#[test]
fn calls_that_only_pass_through_are_waited_for_and_end_on_both_sides_at_the_limit() {
    const SECONDS: u64 = 3;
    let (mut middle, [left, right], [mut ann, mut rob]) = transit(SECONDS);
    let call = call_beyond(&mut ann, "rob@right.test", &mut rob);
    let (mut caller, mut callee) = (left.registered("c@left.test"), right.registered("d@right.test"));
    let ringing = ring_beyond(&mut caller, "d@right.test", &mut callee);
    let begun = Instant::now();
    middle.signal(Signal::TERM);
    middle.log.wait_for("draining");
    ann.say(&call, "through");
    rob.expect_msg(&call, "ann@left.test", "through".into());
    let mut frames = [ann.next(), rob.next()];
    let after = begun.elapsed();
    frames.sort_by_key(ToString::to_string);
    assert_eq!(frames, [hangup(&call, "shutdown"), hangup(&call, "shutdown")]);
    let limit = Duration::from_secs(SECONDS);
    assert!(after >= limit && after < limit + SLACK, "they end after {after:?}");
    // What rang has come to nothing.
    assert_eq!(callee.next(), hangup(&ringing, "shutdown"));
    caller.expect_busy("d@right.test", "unavailable");
    assert_eq!(middle.wait().code(), Some(0));
    middle.log.wait_for("the drain has lasted as long as it may");
    // Nobody hears of it twice.
    for phone in [&mut ann, &mut rob, &mut caller, &mut callee] {
        phone.expect_nothing();
    }
    for end in [&left, &right] {
        end.log.wait_for("link lost");
    }
}

#[test]
fn a_drain_is_over_when_the_last_call_that_passes_through_is() {
    let (mut middle, _ends, [mut ann, mut rob]) = transit(600);
    let call = call_beyond(&mut ann, "rob@right.test", &mut rob);
    middle.signal(Signal::TERM);
    middle.log.wait_for("draining");
    rob.say(&call, "still here");
    ann.expect_msg(&call, "rob@right.test", "still here".into());
    assert_eq!(middle.log.all().iter().filter(|line| line.contains("stopping")).count(), 0);
    ann.hang_up(&call);
    rob.expect_hangup(&call, "normal");
    assert_eq!(middle.wait().code(), Some(0));
    middle.log.wait_for("the drain is complete");
}
