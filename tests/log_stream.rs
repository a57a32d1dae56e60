//! The log stream that anybody may dial (spec section 20). It needs the log of a whole process, so each scenario has one.

use serde_json::{Value, json};

use crate::support::phone::register_frame;
use crate::support::{Phone, Process};

const LOGS: &str = "logs@system.local";

fn listen(exchange: &Process, address: &str) -> (Phone, String) {
    let mut phone = exchange.registered(address);
    phone.dial(LOGS);
    let call = phone.expect_connected(LOGS);
    (phone, call)
}

/// The text of the next MSG of the stream.
fn line(phone: &mut Phone) -> String {
    let said = phone.expect(json!({"type": "MSG", "from": LOGS, "content_type": "text"}));
    said["data"].as_str().expect("lines are text").to_owned()
}

/// Welcome, replay and separator; returns the replayed lines.
fn greeting(phone: &mut Phone, address: &str) -> Vec<String> {
    let welcome = line(phone);
    assert!(welcome.contains(address), "{welcome}");
    let count =
        welcome.split_whitespace().find_map(|word| word.parse::<usize>().ok()).expect("it names a number");
    let replayed: Vec<String> = (0..count).map(|_| line(phone)).collect();
    let separator = line(phone);
    assert!(!separator.contains("[INFO]"), "{separator}");
    replayed
}

/// Reads until a line has this in it; returns all until then.
fn lines_until(phone: &mut Phone, part: &str) -> Vec<String> {
    let mut lines = vec![line(phone)];
    while !lines.last().is_some_and(|line| line.contains(part)) {
        lines.push(line(phone));
    }
    lines
}

/// Reads until a line has this in it; returns how many came before.
fn skip_to(phone: &mut Phone, part: &str) -> usize {
    lines_until(phone, part).len() - 1
}

#[test]
fn a_listener_is_greeted_shown_the_past_and_told_what_happens() {
    let exchange = Process::start(&[]);
    let (mut one, _) = listen(&exchange, "one@example.test");
    let replayed = greeting(&mut one, "one@example.test");
    assert!(replayed.iter().any(|line| line.contains("exchange is up")), "{replayed:?}");
    let sample = &replayed[0];
    assert!(sample.starts_with("\x1b[36m[INFO]\x1b[0m \x1b[2m") && sample.ends_with('\n'), "{sample:?}");
    let _marker = exchange.registered("marker@example.test");
    skip_to(&mut one, "marker@example.test");
}

#[test]
fn the_past_is_shown_to_the_new_listener_only() {
    let exchange = Process::start(&[]);
    let (mut one, _) = listen(&exchange, "one@example.test");
    greeting(&mut one, "one@example.test");
    let (mut two, _) = listen(&exchange, "two@example.test");
    let replayed = greeting(&mut two, "two@example.test");
    assert!(replayed.iter().any(|line| line.contains("exchange is up")), "{replayed:?}");
    let _marker = exchange.registered("marker@example.test");
    let heard = lines_until(&mut one, "marker@example.test");
    assert!(!heard.iter().any(|line| line.contains("exchange is up")), "the past, again: {heard:?}");
    let mut sorted = heard.clone();
    sorted.sort();
    sorted.dedup();
    assert_eq!(sorted.len(), heard.len(), "each line once: {heard:?}");
    skip_to(&mut two, "marker@example.test");
}

#[test]
fn what_is_told_to_listeners_makes_no_lines_even_at_debug_level() {
    let exchange = Process::start(&["--log-level", "debug"]);
    let (mut one, _) = listen(&exchange, "one@example.test");
    greeting(&mut one, "one@example.test");
    let _marker = exchange.registered("marker@example.test");
    skip_to(&mut one, "marker@example.test");
    let _other = exchange.registered("other@example.test");
    let before_next = skip_to(&mut one, "other@example.test");
    assert!(before_next < 20, "{before_next} lines for one registration: the stream feeds itself");
}

#[test]
fn lines_below_the_level_are_not_streamed() {
    let exchange = Process::start_quiet("warn");
    let mut phone = exchange.registered("one@example.test");
    phone.dial(LOGS);
    phone.expect_connected(LOGS);
    let replayed = greeting(&mut phone, "one@example.test");
    assert!(
        replayed.iter().all(|line| !line.contains("[INFO]") && !line.contains("[DEBUG]")),
        "{replayed:?}"
    );
}

#[test]
fn the_service_is_listed_and_its_address_cannot_be_taken() {
    let exchange = Process::start(&[]);
    let mut phone = exchange.registered("one@example.test");
    let listed = phone.presence(json!({"domain": "system.local"}));
    assert_eq!(listed.len(), 1);
    assert_eq!(listed[0]["address"], LOGS);
    assert_eq!(listed[0]["metadata"]["service"], "log_stream");
    phone.send(register_frame(LOGS, json!({})));
    phone.expect(json!({"type": "REGISTER_FAILED", "reason": "address_in_use"}));
}

#[test]
fn listeners_may_leave_and_come_back() {
    let exchange = Process::start(&[]);
    for round in 0..3 {
        let name = format!("listener{round}@example.test");
        let (mut one, call) = listen(&exchange, &name);
        greeting(&mut one, &name);
        one.hang_up(&call);
        loop {
            let frame = one.next();
            if frame["type"] == "HANGUP" {
                break assert_eq!(frame["call_id"], Value::from(call.as_str()));
            }
        }
        one.close();
    }
}

#[test]
fn the_service_can_be_switched_off() {
    let exchange = Process::start_with(&[], &[("SYSTEMX_LOG_STREAM", "off")]);
    let mut phone = exchange.registered("one@example.test");
    phone.dial(LOGS);
    phone.expect_busy(LOGS, "no_such_address");
    assert!(phone.presence(json!({})).is_empty());
}
