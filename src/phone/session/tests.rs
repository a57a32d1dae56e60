//! The session without sockets: frames, commands and time in, lines and frames out.

use super::*;

const URL: &str = "ws://x";

/// A session with a short way to say what goes in and what must come out.
struct Desk {
    session: Session,
    now: Duration,
}

impl Desk {
    /// A scripted phone at `a@x.test` that is connected and registered.
    fn registered(change: impl FnOnce(&mut Plan)) -> Desk {
        let mut desk = Desk::new(change);
        desk.session.on_open(desk.now, URL);
        desk.check(&[
            "open ws://x",
            r#"> {"type":"HEARTBEAT"}"#,
            r#"> {"type":"REGISTER","address":"a@x.test"}"#,
        ]);
        desk.session.on_frame(desk.now, r#"{"type":"REGISTERED","address":"a@x.test","session_id":"s"}"#);
        desk.expect_first("registered a@x.test s");
        desk
    }

    fn new(change: impl FnOnce(&mut Plan)) -> Desk {
        let heartbeat = Duration::from_secs(30);
        let mut plan =
            Plan { address: Some("a@x.test".into()), heartbeat, scripted: true, ..Plan::default() };
        change(&mut plan);
        Desk { session: Session::new(plan), now: Duration::ZERO }
    }

    fn outputs(&mut self) -> Vec<String> {
        let line = |action| match action {
            Action::Say(report) => report.to_string(),
            Action::Send(frame) => format!("> {}", frame.to_text()),
            Action::Close(code, reason) => format!("close {code} {reason}"),
            Action::Finish(outcome) => format!("{outcome:?}"),
        };
        self.session.actions().into_iter().map(line).collect()
    }

    fn check(&mut self, expected: &[&str]) {
        assert_eq!(self.outputs(), expected);
    }

    /// Checks the first output and gives the rest back, to be checked by the test.
    fn expect_first(&mut self, expected: &str) {
        let mut actions = self.session.actions();
        assert!(matches!(actions.remove(0), Action::Say(report) if report.to_string() == expected));
        self.session.out = actions;
    }

    fn frame(&mut self, text: &str, expected: &[&str]) {
        self.session.on_frame(self.now, text);
        self.check(expected);
    }

    fn typed(&mut self, line: &str, expected: &[&str]) {
        let command = super::super::command::parse(line).expect("a good form").expect("not blank");
        self.session.on_command(command);
        self.check(expected);
    }

    fn after(&mut self, seconds: u64, expected: &[&str]) {
        self.now += Duration::from_secs(seconds);
        self.session.on_tick(self.now);
        self.check(expected);
    }
}

#[test]
fn a_dialled_call_is_greeted_talked_over_and_ends_the_script_with_success() {
    let mut desk = Desk::registered(|plan| {
        plan.dial = Some("b@x.test".into());
        plan.messages = vec!["one".into(), "two".into()];
    });
    desk.check(&["dialing 1 b@x.test", r#"> {"type":"DIAL","to":"b@x.test","ref":"phone-1"}"#]);
    desk.frame(r#"{"type":"DIALING","ref":"phone-1","call_id":"c","to":"b@x.test"}"#, &[]);
    desk.frame(
        r#"{"type":"CONNECTED","call_id":"c","to":"b@x.test","ref":"phone-1"}"#,
        &[
            "connected 1 b@x.test",
            r#"> {"type":"MSG","call_id":"c","data":"one","content_type":"text"}"#,
            r#"> {"type":"MSG","call_id":"c","data":"two","content_type":"text"}"#,
        ],
    );
    desk.frame(
        r#"{"type":"MSG","call_id":"c","from":"b@x.test","data":"hi","content_type":"text"}"#,
        &["message 1 b@x.test text hi"],
    );
    desk.frame(
        r#"{"type":"HANGUP","call_id":"c","reason":"normal"}"#,
        &["hangup 1 b@x.test normal", "close 1000 goodbye", "Success"],
    );
}

#[test]
fn a_refused_or_rejected_dial_ends_the_script_with_failure() {
    let refusals = [
        (r#"{"type":"BUSY","to":"b@x.test","reason":"dnd"}"#, "busy 1 b@x.test dnd"),
        (
            r#"{"type":"BUSY","to":"b@x.test","reason":"dnd","ref":"phone-1","call_id":"c"}"#,
            "busy 1 b@x.test dnd",
        ),
        (r#"{"type":"HANGUP","call_id":"c","reason":"normal"}"#, "hangup 1 b@x.test normal"),
    ];
    for (frame, line) in refusals {
        let mut desk = Desk::registered(|plan| plan.dial = Some("b@x.test".into()));
        desk.outputs();
        desk.frame(r#"{"type":"DIALING","ref":"phone-1","call_id":"c","to":"b@x.test"}"#, &[]);
        desk.frame(frame, &[line, "close 1000 goodbye", "Failure"]);
    }
}

#[test]
fn an_error_about_dial_means_the_oldest_dial_without_an_answer() {
    let mut desk = Desk::registered(|plan| plan.scripted = false);
    desk.typed(
        "dial b@x.test",
        &["dialing 1 b@x.test", r#"> {"type":"DIAL","to":"b@x.test","ref":"phone-1"}"#],
    );
    desk.typed(
        "dial c@x.test",
        &["dialing 2 c@x.test", r#"> {"type":"DIAL","to":"c@x.test","ref":"phone-2"}"#],
    );
    desk.frame(r#"{"type":"DIALING","ref":"phone-1","call_id":"c"}"#, &[]);
    desk.frame(
        r#"{"type":"ERROR","reason":"rate_limited","context":"DIAL","detail":"Too many dial attempts"}"#,
        &["error rate_limited DIAL Too many dial attempts", "busy 2 c@x.test rate_limited"],
    );
    desk.typed("calls", &["call 1 b@x.test dialing"]);
}

#[test]
fn every_call_is_answered_when_asked_to() {
    let mut desk = Desk::registered(|plan| {
        plan.answer = true;
        plan.messages = vec!["hello".into()];
    });
    for (number, id) in [(1, "c"), (2, "d")] {
        desk.session.on_frame(desk.now, &format!(r#"{{"type":"RING","from":"b@x.test","call_id":"{id}"}}"#));
        desk.check(&[
            &format!("ringing {number} b@x.test"),
            &format!(r#"> {{"type":"ANSWER","call_id":"{id}"}}"#),
            &format!("connected {number} b@x.test"),
            &format!(r#"> {{"type":"MSG","call_id":"{id}","data":"hello","content_type":"text"}}"#),
        ]);
    }
    desk.session.stop();
    desk.check(&[
        r#"> {"type":"HANGUP","call_id":"c"}"#,
        r#"> {"type":"HANGUP","call_id":"d"}"#,
        "close 1000 goodbye",
        "Success",
    ]);
}

#[test]
fn text_goes_to_the_current_call_and_switch_changes_it() {
    let mut desk = Desk::registered(|plan| plan.scripted = false);
    desk.typed("hello", &["note no call is connected; `help` lists the commands"]);
    desk.frame(r#"{"type":"RING","from":"b@x.test","call_id":"c"}"#, &["ringing 1 b@x.test"]);
    desk.frame(r#"{"type":"RING","from":"d@x.test","call_id":"d"}"#, &["ringing 2 d@x.test"]);
    desk.typed("answer", &[r#"> {"type":"ANSWER","call_id":"c"}"#, "connected 1 b@x.test"]);
    desk.typed("answer 2", &[r#"> {"type":"ANSWER","call_id":"d"}"#, "connected 2 d@x.test"]);
    desk.typed("hello", &[r#"> {"type":"MSG","call_id":"d","data":"hello","content_type":"text"}"#]);
    desk.typed("switch 1", &["call 1 b@x.test connected current", "call 2 d@x.test connected"]);
    desk.typed("hangup", &[r#"> {"type":"HANGUP","call_id":"c"}"#, "hangup 1 b@x.test normal"]);
    desk.typed("say bye", &[r#"> {"type":"MSG","call_id":"d","data":"bye","content_type":"text"}"#]);
    desk.typed("answer 2", &["note that call does not ring"]);
    desk.typed("hangup 7", &["note there is no such call"]);
}

#[test]
fn hanging_up_before_the_call_id_is_known_cancels_as_soon_as_it_is() {
    let mut desk = Desk::registered(|plan| plan.scripted = false);
    desk.typed(
        "dial b@x.test",
        &["dialing 1 b@x.test", r#"> {"type":"DIAL","to":"b@x.test","ref":"phone-1"}"#],
    );
    desk.typed("hangup", &["hangup 1 b@x.test normal"]);
    desk.frame(
        r#"{"type":"DIALING","ref":"phone-1","call_id":"c"}"#,
        &[r#"> {"type":"HANGUP","call_id":"c"}"#],
    );
    desk.typed("calls", &["note no calls"]);
}

#[test]
fn a_lost_link_ends_the_calls_and_after_reconnecting_address_and_parties_come_back() {
    let mut desk = Desk::registered(|plan| plan.scripted = false);
    desk.typed("join p@x.test", &[r#"> {"type":"JOIN","party":"p@x.test"}"#]);
    desk.frame(
        r#"{"type":"JOINED","party":"p@x.test","participants":["b@x.test","a@x.test"]}"#,
        &["joined p@x.test b@x.test,a@x.test"],
    );
    desk.frame(r#"{"type":"RING","from":"b@x.test","call_id":"c"}"#, &["ringing 1 b@x.test"]);
    desk.session.on_lost(Report::Lost { code: None, reason: "reset".into() }, false);
    desk.check(&["lost - reset", "hangup 1 b@x.test link_lost"]);
    desk.typed("dial b@x.test", &["note not connected to the exchange"]);
    desk.session.on_open(desk.now, URL);
    desk.outputs();
    desk.frame(
        r#"{"type":"REGISTER_FAILED","reason":"address_in_use"}"#,
        &["register_failed a@x.test address_in_use"],
    );
    desk.after(1, &[]);
    desk.after(1, &[r#"> {"type":"REGISTER","address":"a@x.test"}"#]);
    desk.frame(
        r#"{"type":"REGISTERED","address":"a@x.test","session_id":"s2"}"#,
        &["registered a@x.test s2", r#"> {"type":"JOIN","party":"p@x.test"}"#],
    );
}

#[test]
fn without_reconnect_a_lost_link_is_a_failure_for_a_script() {
    let mut desk = Desk::registered(|plan| plan.answer = true);
    desk.session.on_lost(Report::Lost { code: Some(4000), reason: "replaced".into() }, true);
    desk.check(&["lost 4000 replaced", "Failure"]);
}

#[test]
fn heartbeats_go_out_and_their_absence_closes_the_link() {
    let mut desk = Desk::registered(|_| {});
    desk.after(29, &[]);
    desk.after(1, &[r#"> {"type":"HEARTBEAT"}"#]);
    desk.frame(r#"{"type":"HEARTBEAT_ACK","timestamp":1}"#, &[]);
    desk.after(30, &[r#"> {"type":"HEARTBEAT"}"#]);
    desk.after(29, &[]);
    desk.after(1, &["close 4000 heartbeat_timeout"]);
    desk.after(100, &[]);
}

#[test]
fn a_refused_registration_ends_a_script() {
    let mut desk = Desk::new(|_| {});
    desk.session.on_open(desk.now, URL);
    desk.outputs();
    desk.frame(
        r#"{"type":"REGISTER_FAILED","reason":"invalid_address"}"#,
        &["register_failed a@x.test invalid_address", "close 1000 goodbye", "Failure"],
    );
}

#[test]
fn running_out_of_time_before_the_dial_is_answered_is_a_failure() {
    let mut desk = Desk::registered(|plan| plan.dial = Some("b@x.test".into()));
    desk.outputs();
    desk.frame(r#"{"type":"DIALING","ref":"phone-1","call_id":"c"}"#, &[]);
    desk.session.stop();
    desk.check(&[r#"> {"type":"HANGUP","call_id":"c"}"#, "close 1000 goodbye", "Failure"]);
}

#[test]
fn a_presence_list_is_printed_and_ends_a_script_that_wants_no_more() {
    let mut desk = Desk::registered(|plan| plan.presence_domain = Some("x.test".into()));
    desk.check(&[r#"> {"type":"PRESENCE","query":{"domain":"x.test"}}"#]);
    desk.frame(
        r#"{"type":"PRESENCE_RESULT","addresses":[{"address":"b@x.test","status":"busy","metadata":{}}],"truncated":true}"#,
        &["presence b@x.test busy", "presence_end 1 truncated", "close 1000 goodbye", "Success"],
    );
}

#[test]
fn a_broadcaster_sees_listeners_come_and_go() {
    let mut desk = Desk::new(|plan| plan.concurrency = Some(Concurrency::Broadcast));
    desk.session.on_open(desk.now, URL);
    desk.session.on_frame(desk.now, r#"{"type":"REGISTERED","address":"a@x.test","session_id":"s"}"#);
    desk.outputs();
    desk.frame(
        r#"{"type":"RING","from":"l1@x.test","call_id":"c"}"#,
        &["connected 1 a@x.test", "listener 1 l1@x.test"],
    );
    desk.frame(r#"{"type":"RING","from":"l2@x.test","call_id":"c"}"#, &["listener 1 l2@x.test"]);
    desk.typed("news", &[r#"> {"type":"MSG","call_id":"c","data":"news","content_type":"text"}"#]);
    let gone = |from: &str| format!(r#"{{"type":"HANGUP","call_id":"c","from":"{from}","reason":"normal"}}"#);
    desk.frame(&gone("l1@x.test"), &["listener_gone 1 l1@x.test normal"]);
    desk.frame(&gone("l2@x.test"), &["listener_gone 1 l2@x.test normal", "hangup 1 a@x.test normal"]);
}

#[test]
fn the_party_line_of_the_flags_is_greeted_once() {
    let mut desk = Desk::registered(|plan| {
        plan.join = Some("p@x.test".into());
        plan.messages = vec!["hi all".into()];
    });
    desk.check(&[r#"> {"type":"JOIN","party":"p@x.test"}"#]);
    let joined = r#"{"type":"JOINED","party":"p@x.test","participants":["a@x.test"]}"#;
    let greeting = r#"> {"type":"PARTY_MSG","party":"p@x.test","data":"hi all","content_type":"text"}"#;
    desk.frame(joined, &["joined p@x.test a@x.test", greeting]);
    desk.frame(joined, &["joined p@x.test a@x.test"]);
    desk.frame(
        r#"{"type":"PARTY_MSG","party":"p@x.test","from":"b@x.test","data":{"x":1}}"#,
        &[r#"party p@x.test b@x.test text {"x":1}"#],
    );
    desk.typed("leave p@x.test", &[r#"> {"type":"LEAVE","party":"p@x.test"}"#, "left p@x.test"]);
}

#[test]
fn frames_it_does_not_know_or_cannot_read_change_nothing() {
    let mut desk = Desk::registered(|_| {});
    desk.frame("null", &["note a message that is no frame was ignored"]);
    desk.frame(r#"{"type":"NEWS"}"#, &[]);
    for late in [
        r#"{"type":"HANGUP","call_id":"gone","reason":"normal"}"#,
        r#"{"type":"CONNECTED","call_id":"gone","to":"b@x.test"}"#,
        r#"{"type":"BUSY","to":"b@x.test","reason":"dnd"}"#,
        r#"{"type":"RING","call_id":"ring-back","to":"b@x.test"}"#,
        r#"{"type":"MSG","call_id":"gone","from":"b@x.test","data":1}"#,
        r#"{"type":"DIALING","ref":"phone-9","call_id":"gone"}"#,
    ] {
        desk.frame(late, &[]);
    }
}
