//! One test for each fault that somebody has met, named after what they saw.

use std::io::Read;
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;

use systemx::config::{Config, RawFlags};
use systemx::shell::operator::start;

use crate::support::phone::id_of;
use crate::support::{Process, Rig, address_on, eventually};

/// More than one connection's output limit, and more than the system's buffers take at once.
const LARGE_BYTES: usize = 8 << 20;

/// The large message alone was allowed to wait, but whatever came behind it cut the receiver off as a slow consumer.
#[test]
fn a_client_that_reads_a_large_message_is_not_cut_off_by_what_comes_behind_it() {
    for (from, to) in [(0, 0), (0, 1)] {
        let rig = Rig::new();
        let (caller_name, callee_name) = (address_on(from, 2, "caller"), address_on(to, 2, "callee"));
        let mut caller = rig.registered(&caller_name);
        let mut callee = rig.registered_with(&callee_name, json!({"concurrency": "parallel"}));
        let call = caller.call(&caller_name, &mut callee, &callee_name);
        caller.say(&call, "x".repeat(LARGE_BYTES));
        caller.hang_up(&call);
        // Its first byte shows that the exchange has queued all of it.
        callee.stream().peek(&mut [0]).expect("the message comes");
        let mut second = rig.registered(&address_on(from, 2, "second"));
        second.dial(&callee_name);
        // The callee has not read a byte so far; a heartbeat's answer comes behind all of it.
        callee.send(json!({"type": "HEARTBEAT"}));
        assert_eq!(callee.next()["data"].as_str().map(str::len), Some(LARGE_BYTES));
        let rest: Vec<_> = (0..3).map(|_| callee.next()["type"].clone()).collect();
        for kind in ["HANGUP", "RING", "HEARTBEAT_ACK"] {
            assert!(rest.contains(&json!(kind)), "{kind} in {rest:?}");
        }
        callee.expect_nothing();
    }
}

/// The word for a call that is given up while it rings belongs to the extension; old clients never saw it.
#[test]
fn a_caller_without_a_reference_that_hangs_up_while_it_rings_says_normal() {
    let rig = Rig::new();
    let (a_name, b_name) = (address_on(0, 2, "a"), address_on(1, 2, "b"));
    let (mut a, mut b) = (rig.registered(&a_name), rig.registered(&b_name));
    a.dial(&b_name);
    let call = id_of(&b.expect(json!({"type": "RING", "from": a_name})));
    a.hang_up(&call);
    b.expect_hangup(&call, "normal");
}

/// A line that is not read because of its own unread answers goes home to another shard. Found by reading: nothing there
/// said that it could be read again; the poller's next event usually hid it.
#[test]
fn a_line_that_moves_while_its_answers_wait_is_read_again_once_it_has_taken_them() {
    const CROWD: usize = 120;
    let rig = Rig::new();
    let filling = "m".repeat(60_000);
    let crowd: Vec<_> = (0..CROWD)
        .map(|n| rig.registered_with(&format!("crowd{n}@x.test"), json!({"metadata": {"filling": filling}})))
        .collect();
    let (peer_name, guest_name) = (address_on(0, 2, "peer"), address_on(0, 2, "guest"));
    let (mut peer, mut guest) = (rig.registered(&peer_name), rig.registered(&guest_name));
    // Whoever has other business is not held back by a partner that is slow.
    peer.send(json!({"type": "JOIN", "party": "party@x.test"}));
    peer.expect(json!({"type": "JOINED"}));
    let call = peer.call(&peer_name, &mut guest, &guest_name);
    // With a call up it cannot move to the home of its new address yet.
    guest.register(&address_on(1, 2, "guest"));
    guest.send(json!({"type": "PRESENCE"}));
    guest.stream().peek(&mut [0]).expect("the answer comes");
    for _ in 0..3 {
        guest.send(json!({"type": "HEARTBEAT"}));
        peer.expect_nothing();
    }
    peer.hang_up(&call);
    peer.expect_nothing();
    assert!(guest.next()["addresses"].as_array().is_some_and(|found| found.len() > CROWD));
    let rest: Vec<_> = (0..4).map(|_| guest.next()["type"].clone()).collect();
    assert_eq!(rest.iter().filter(|kind| **kind == json!("HEARTBEAT_ACK")).count(), 3, "{rest:?}");
    drop(crowd);
}

/// Sockets are read many at a time, and what came is handled afterwards. A line that goes home because of what its
/// partner said has to take along what was read of it in the same batch.
#[test]
fn what_was_read_of_a_line_goes_with_it_when_its_partner_sends_it_home() {
    const ROUNDS: usize = 40;
    let rig = Rig::new();
    let peer_name = address_on(0, 2, "peer");
    let mut peer = rig.registered(&peer_name);
    for round in 0..ROUNDS {
        let (old, new) = (address_on(0, 2, &format!("old{round}")), address_on(1, 2, &format!("new{round}")));
        let mut guest = rig.registered(&old);
        let call = peer.call(&peer_name, &mut guest, &old);
        guest.register(&new);
        // Both are in one batch more often than not.
        peer.hang_up(&call);
        let beats: Vec<_> = (0..3).map(|_| json!({"type": "HEARTBEAT"})).collect();
        guest.send_together(&beats);
        let mut heard = Vec::new();
        while heard.len() < 4 {
            heard.push(guest.next()["type"].as_str().expect("frames have a type").to_owned());
        }
        assert_eq!(
            heard.iter().filter(|kind| *kind == "HEARTBEAT_ACK").count(),
            3,
            "round {round}: {heard:?}"
        );
        peer.expect_nothing();
    }
}

/// A connection that was found dead while it was on its way to another shard was dropped with its luggage: its line stayed
/// for ever, and its address with it.
#[test]
fn a_client_that_dies_on_the_way_to_another_shard_leaves_nothing_behind() {
    const ROUNDS: usize = 60;
    let rig = Rig::new();
    let mut watcher = rig.registered("watcher@x.test");
    for round in 0..ROUNDS {
        let mut traveller = rig.registered(&address_on(0, 2, &format!("old{round}")));
        // A stay, answers that wait to be written, a move, and a reset instead of a farewell.
        let new = address_on(1, 2, &format!("new{round}"));
        let beats = vec![json!({"type": "HEARTBEAT"}); round];
        let register = json!({"type": "REGISTER", "address": new});
        traveller.send_together(&[&beats[..], &[register]].concat());
        traveller.vanish();
        // What one round leaves behind, the next ones find if this look comes too early.
        eventually("only the watcher is there", || (watcher.presence(json!({})).len() <= 1).then_some(()));
    }
}

/// Connections that were refused one after the other used up the accepting task's budget; a shard with other work then
/// never asked the runtime to go on, and whoever came behind them was not let in.
#[test]
fn a_crowd_that_is_refused_does_not_lock_out_those_behind_it() {
    const CROWD: usize = 1500;
    let exchange = Process::start(&["--shards", "1", "--connections-max", "1"]);
    let pid = Pid::from_raw(i32::try_from(exchange.id()).expect("it is small")).expect("it runs");
    let mut chatty = exchange.registered("chatty@x.test");
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                chatty.send(json!({"type": "HEARTBEAT"}));
                chatty.expect(json!({"type": "HEARTBEAT_ACK"}));
                std::thread::sleep(Duration::from_millis(5));
            }
        });
        // Held still, so that all of them are at the door at the same time.
        kill_process(pid, Signal::STOP).expect("it is ours");
        let crowd: Vec<_> = (0..CROWD)
            .map(|_| TcpStream::connect(exchange.address()).expect("the backlog takes it"))
            .collect();
        kill_process(pid, Signal::CONT).expect("it is ours");
        let is_let_go = |mut stream: TcpStream| {
            stream.set_read_timeout(Some(Duration::from_secs(10))).expect("a time limit");
            // The end, or a reset; anything but silence.
            !matches!(stream.read(&mut [0; 64]), Err(error) if error.kind() == std::io::ErrorKind::WouldBlock)
        };
        let all_gone = crowd.into_iter().all(is_let_go);
        over.store(true, Ordering::Relaxed);
        assert!(all_gone, "some are still at the door");
    });
}

/// An exchange that was stopped and continued, as with its machine, cut everybody off for want of heartbeats that lay in its sockets.
#[test]
fn heartbeats_that_came_while_the_process_was_stopped_count() {
    const TIMEOUT: Duration = Duration::from_millis(2000);
    let exchange = Process::start(&["--heartbeat-timeout", "2000"]);
    let mut phones: Vec<_> = (0..8).map(|number| exchange.registered(&format!("a{number}@x.test"))).collect();
    exchange.signal(Signal::STOP);
    let stopped = std::time::Instant::now();
    eventually("the limit is over", || {
        phones.iter_mut().for_each(|phone| phone.send(json!({"type": "HEARTBEAT"})));
        std::thread::park_timeout(Duration::from_millis(100));
        (stopped.elapsed() > 2 * TIMEOUT).then_some(())
    });
    exchange.signal(Signal::CONT);
    for phone in &mut phones {
        phone.expect(json!({"type": "HEARTBEAT_ACK"}));
        phone.expect(json!({"type": "HEARTBEAT_ACK"}));
    }
}

/// Two exchanges on one port took half of the callers each, and nobody was told.
#[test]
fn an_exchange_does_not_share_its_port_with_another() {
    let rig = Rig::new();
    let port = rig.address().port().to_string();
    let values = [("host", "127.0.0.1"), ("port", &port), ("admin", "off"), ("shards", "1")];
    let values = values.map(|(name, value)| (name, value.to_owned())).into_iter().collect();
    let flags = RawFlags { values, config_file: None };
    let (config, _) = Config::load(flags, std::iter::empty(), None, None).expect("the settings are right");
    let refusal = start(&config, None).err().expect("the port is taken").to_string();
    assert!(refusal.starts_with(&format!("cannot listen on 127.0.0.1:{port}: ")), "{refusal}");
}
