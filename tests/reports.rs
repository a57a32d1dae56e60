//! What shards say about themselves, seen by whoever runs the exchange: every count is caused here by a client over a real
//! socket and must come out once.

use serde_json::json;
use systemx::console::{Report, TrunkReport};

use crate::support::{Rig, address_on, eventually};

/// A sum over all shards.
fn sum(reports: &[Report], of: impl Fn(&Report) -> u64) -> u64 {
    reports.iter().map(of).sum()
}

/// What every shard says after all that the clients have seen so far.
fn fresh_reports(rig: &Rig) -> Vec<Report> {
    let before = rig.reports();
    eventually("new reports", || {
        let now = rig.reports();
        let are_new = now.iter().zip(&before).all(|(new, old)| new.at > old.at);
        are_new.then_some(now)
    })
}

#[test]
fn a_call_across_shards_shows_in_their_reports() {
    let rig = Rig::new();
    let (from, to) = (address_on(0, 2, "caller"), address_on(1, 2, "callee"));
    let (mut a, mut b) = (rig.registered(&from), rig.registered(&to));
    let call = a.call(&from, &mut b, &to);
    a.say(&call, "soup?");
    b.expect_msg(&call, &from, json!("soup?"));
    let during = fresh_reports(&rig);
    assert_eq!(sum(&during, |report| report.counts.connected_calls as u64), 1);
    assert_eq!(sum(&during, |report| report.tally.delivered.messages), 1);
    assert_eq!(sum(&during, |report| report.connections as u64), 2);
    assert_eq!(sum(&during, |report| report.meter.opened), 2);
    assert_eq!(sum(&during, |report| report.handshakes.accepted), 2);
    assert_eq!(sum(&during, |report| report.tally.delivered.bytes), r#""soup?""#.len() as u64);
    assert_eq!(sum(&during, |report| report.meter.messages_in), 5, "REGISTER twice, DIAL, ANSWER, MSG");
    assert!(sum(&during, |report| report.meter.bytes_in) > 5 * 20);
    assert!(sum(&during, |report| report.meter.bytes_out) > 5 * 20);
    a.hang_up(&call);
    b.expect_hangup(&call, "normal");
    let after = fresh_reports(&rig);
    assert_eq!(sum(&after, |report| report.tally.ended.total()), 1);
    assert_eq!(sum(&after, |report| report.counts.connected_calls as u64), 0);
    assert_eq!(sum(&after, |report| report.tally.ringing.len()), 1);
    assert_eq!(sum(&after, |report| report.tally.answering.len()), 1);
    let trunk = |from: usize, to: usize| -> TrunkReport { after[from].trunks[to] };
    assert!(trunk(0, 1).sent > 0 && trunk(1, 0).sent > 0);
    assert_eq!(trunk(0, 1).sent, trunk(1, 0).received);
    assert!(sum(&after, |report| report.meter.queue_wait.len()) > 0, "a signal's way was timed");
}

#[test]
fn bad_input_and_refused_clients_are_counted_by_what_they_did() {
    let rig = Rig::new();
    let mut a = rig.phone();
    a.send(json!({"type": "NONSENSE"}));
    a.next();
    a.send_raw(&[0xff, 0x80, 0, 0, 0, 0]);
    a.next_close();
    use std::io::{Read as _, Write as _};
    let mut stranger = std::net::TcpStream::connect(rig.address()).unwrap();
    stranger.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    stranger.read_to_end(&mut Vec::new()).unwrap();
    let reports = fresh_reports(&rig);
    assert_eq!(sum(&reports, |report| report.handshakes.other), 1);
    assert_eq!(sum(&reports, |report| report.meter.violations.protocol), 1);
    assert_eq!(sum(&reports, |report| report.meter.bad_messages), 1);
}
