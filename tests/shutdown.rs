//! How the exchange goes: SIGTERM and SIGINT to the real program, idle, in calls, under load, with clients that do not read.
//! Whatever the clients do, it ends within its limit with status 0, and everybody who reads is told.

use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::json;

use crate::support::phone::register_frame;
use crate::support::process::{Lines, Scratch};
use crate::support::{Phone, Process, Rig, address_on, eventually};

#[test]
fn calls_are_hung_up_and_connections_closed_at_a_signal() {
    for signal in [Signal::TERM, Signal::INT] {
        let mut exchange = Process::start(&[]);
        let names: Vec<String> = (0..2).map(|shard| address_on(shard, 2, "name")).collect();
        let (mut a, mut b) = (exchange.registered(&names[0]), exchange.registered(&names[1]));
        let mut ringing = exchange.registered("caller@example.test");
        let mut stranger = exchange.phone();
        let call = a.call(&names[0], &mut b, &names[1]);
        let mut rung = exchange.registered("rung@example.test");
        ringing.dial("rung@example.test");
        let unanswered = rung.expect_ring("caller@example.test");
        exchange.signal(signal);
        // Who is closed itself before it would hear of the other end's fate, hears of it by that.
        for (phone, call) in [(&mut a, &call), (&mut b, &call), (&mut rung, &unanswered)] {
            let (code, _, said) = phone.read_until_close();
            assert_eq!(code, 1001);
            let hangup = json!({"type": "HANGUP", "call_id": call, "reason": "shutdown"});
            assert!(said.is_empty() || said == [hangup], "{said:?}");
        }
        let (code, _, said) = ringing.read_until_close();
        assert_eq!(code, 1001);
        assert!(said.len() <= 1, "{said:?}");
        assert_eq!(stranger.next_close().0, 1001);
        assert_eq!(exchange.wait().code(), Some(0));
        exchange.log.wait_for("exchange is down");
    }
}

#[test]
fn clients_that_do_not_read_do_not_hold_it_up() {
    let mut exchange = Process::start(&["--stop-timeout-ms", "500"]);
    let mut deaf = exchange.registered("deaf@example.test");
    let mut loud = exchange.registered("loud@example.test");
    loud.dial("deaf@example.test");
    let call = deaf.expect_ring("loud@example.test");
    deaf.answer(&call);
    loud.expect_connected("deaf@example.test");
    let flood = std::thread::spawn(move || {
        let frame = crate::support::text_frame(
            &json!({"type": "MSG", "call_id": call, "data": "x".repeat(60_000)}).to_string(),
        );
        // Until the exchange is gone; it will not take all of this.
        while std::io::Write::write_all(loud.stream(), &frame).is_ok() {}
    });
    // The exchange is busy with the flood when this has been answered.
    exchange.registered("marker@example.test").expect_nothing();
    let from = Instant::now();
    exchange.signal(Signal::TERM);
    assert_eq!(exchange.wait().code(), Some(0));
    assert!(from.elapsed() < Duration::from_secs(4), "it took {:?}", from.elapsed());
    flood.join().expect("the flood ends");
    drop(deaf);
}

#[test]
fn it_stops_under_load() {
    let mut exchange = Process::start(&[]);
    let (started, running) = std::sync::mpsc::channel();
    let clients: Vec<_> = (0..6)
        .map(|number| {
            let (from, to) = (address_on(number % 2, 2, "from"), address_on(number / 2 % 2, 2, "to"));
            let (from, to) = (format!("{number}{from}"), format!("{number}{to}"));
            let (mut a, mut b) = (exchange.registered(&from), exchange.registered(&to));
            let call = a.call(&from, &mut b, &to);
            let (message, started) =
                (json!({"type": "MSG", "call_id": call, "data": number}), started.clone());
            std::thread::spawn(move || {
                // Talks until the exchange goes; what it hears then is the reason, or the end of the connection.
                let mut heard = 0;
                while a.try_send(&message).is_ok() {
                    let Some(frame) = b.try_next().filter(|frame| frame["type"] == "MSG") else { break };
                    assert_eq!(frame["data"], number);
                    heard += 1;
                    if heard == 10 {
                        started.send(()).expect("the test waits for it");
                    }
                }
                a.read_until_close().0
            })
        })
        .collect();
    for _ in &clients {
        running.recv_timeout(crate::support::LIMIT).expect("everybody talks");
    }
    exchange.signal(Signal::TERM);
    assert_eq!(exchange.wait().code(), Some(0));
    for client in clients {
        assert_eq!(client.join().expect("the client has seen nothing wrong"), 1001);
    }
    exchange.log.wait_for("exchange is down");
    assert!(!exchange.log.all().iter().any(|line| line.contains("panick")), "{:#?}", exchange.log.all());
}

#[test]
fn a_second_signal_changes_nothing() {
    let mut exchange = Process::start(&[]);
    let mut phone = exchange.registered("one@example.test");
    exchange.signal(Signal::TERM);
    exchange.signal(Signal::INT);
    assert_eq!(phone.next_close().0, 1001);
    assert_eq!(exchange.wait().code(), Some(0));
}

#[test]
fn connections_on_their_way_between_shards_are_closed_too() {
    for _ in 0..10 {
        let rig = Rig::with(&[("shards", "4")]);
        let mut movers: Vec<Phone> = (0..40).map(|_| rig.phone()).collect();
        for (number, mover) in movers.iter_mut().enumerate() {
            mover.send(register_frame(&address_on(number % 4, 4, &format!("m{number}-")), json!({})));
        }
        let from = Instant::now();
        rig.stop();
        assert!(from.elapsed() < Duration::from_secs(4), "it took {:?}", from.elapsed());
        for mover in &mut movers {
            let (code, _, said) = mover.read_until_close();
            assert_eq!(code, 1001);
            assert!(said.len() <= 1, "{said:?}");
        }
    }
}

#[test]
fn the_port_is_free_as_soon_as_it_has_stopped() {
    let rig = Rig::new();
    let address = rig.address();
    let mut phone = rig.registered("one@example.test");
    rig.stop();
    assert_eq!(phone.next_close().0, 1001);
    assert!(std::net::TcpStream::connect(address).is_err());
    let port = address.port().to_string();
    let again = Rig::with(&[("port", &port)]);
    again.registered("one@example.test");
}

/// The shards that had started waited out the limit for the one that had not.
#[test]
fn an_exchange_that_lacks_descriptors_says_so_at_once() {
    let folder = Scratch::new();
    let mut refused = 0;
    // Fewer are not enough for any program, and with the most it starts.
    for descriptors in 8..100 {
        let script = format!(r#"ulimit -n {descriptors}; exec "$0" "$@""#);
        let mut shell = std::process::Command::new("sh");
        shell.args(["-c", &script, env!("CARGO_BIN_EXE_systemx")]);
        shell.args(["--host", "127.0.0.1", "--port", "0", "--admin", "127.0.0.1:0"]);
        shell.args(["--shards", "4", "--stop-timeout-ms", "60000"]);
        let Some(said) = said_in_vain(shell.current_dir(folder.path())) else { break };
        if said.contains("the system refused") {
            assert!(said.contains("Too many open files"), "{descriptors}: {said}");
            refused += usize::from(said.contains("a shard's runtime"));
        }
    }
    assert!(refused > 0, "some shards start and others do not with some number of descriptors");
}

/// What the exchange says when it cannot start; `None` if it can, and is ended then.
fn said_in_vain(command: &mut std::process::Command) -> Option<String> {
    let piped = || std::process::Stdio::piped();
    let mut child = command.stdout(piped()).stderr(piped()).spawn().expect("there is a shell");
    let lines = Lines::default();
    lines.collect(child.stdout.take().expect("it is piped"));
    lines.collect(child.stderr.take().expect("it is piped"));
    let is_up = eventually("it starts or ends", || {
        let is_up = lines.all().iter().any(|line| line.contains("exchange is up"));
        (is_up || child.try_wait().expect("it is ours").is_some()).then_some(is_up)
    });
    child.kill().expect("it is ours");
    child.wait().expect("it is ours");
    // Its last words may still be on their way to us.
    let words = || lines.all().join("\n");
    (!is_up).then(|| eventually("it says why", || Some(words()).filter(|said| said.contains("ERROR"))))
}
