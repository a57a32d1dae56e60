//! Agents that sleep until somebody calls them: real webhooks to a server of this test, real processes for spawn
//! handlers, calls that wait meanwhile, and everything that can go wrong on the way.

use serde_json::{Value, json};

use crate::support::phone::register_frame;
use crate::support::{Phone, Process, Rig, Scratch, Webhooks, address_on, eventually};

const A: &str = "alice@example.test";
const C: &str = "carol@example.test";

fn webhook(url: &str, timeout_seconds: f64) -> Value {
    let handler =
        json!({"type": "webhook", "url": url, "timeout_seconds": timeout_seconds, "payload": {"job": 7}});
    json!({"mode": "wake_on_ring", "wake_handler": handler})
}

fn spawn(command: &[&str], timeout_seconds: f64) -> Value {
    let handler = json!({"type": "spawn", "command": command, "timeout_seconds": timeout_seconds});
    json!({"mode": "wake_on_ring", "wake_handler": handler})
}

/// Registers with these fields and goes to sleep.
fn put_to_sleep(rig: &Rig, address: &str, fields: Value) {
    let mut agent = rig.registered_with(address, fields);
    agent.send(json!({"type": "SLEEP_ACK"}));
    agent.expect_close(4000, "sleep");
}

#[test]
fn dialing_a_sleeping_address_rings_after_it_wakes() {
    let (rig, hooks) = (Rig::new(), Webhooks::start());
    for (caller, agent) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
        let (from, to) = (address_on(caller, 2, "caller"), address_on(agent, 2, "agent"));
        put_to_sleep(&rig, &to, webhook(&hooks.url("/wake?x=1"), 30.0));
        let mut a = rig.registered(&from);
        a.send(json!({"type": "DIAL", "to": to, "metadata": {"subject": "up"}}));
        let hook = hooks.next();
        assert_eq!(hook.line, "POST /wake?x=1 HTTP/1.1");
        assert!(hook.headers.contains(&"content-type: application/json".to_owned()), "{:?}", hook.headers);
        assert_eq!(hook.body["address"], *to);
        assert_eq!(hook.body["payload"], json!({"job": 7}));
        assert_eq!(hook.body["handler"], webhook(&hooks.url("/wake?x=1"), 30.0)["wake_handler"]);
        hook.answer(204, "");
        let mut w = rig.registered(&to);
        let ring = w.expect(json!({"type": "RING", "from": from, "metadata": {"subject": "up"}}));
        let call = crate::support::id_of(&ring);
        w.answer(&call);
        assert_eq!(a.expect_connected(&to), call);
        a.say(&call, "good morning");
        w.expect_msg(&call, &from, json!("good morning"));
        a.close();
        w.expect_hangup(&call, "peer_disconnected");
        // A bare registration took the handler over.
        w.send(json!({"type": "SLEEP_ACK"}));
        w.expect_close(4000, "sleep");
        let mut again = rig.registered(C);
        again.dial(&to);
        hooks.next().answer(500, "");
        again.expect_busy(&to, "wake_failed");
        again.close();
    }
}

#[test]
fn a_caller_that_waits_is_busy_and_may_give_up() {
    let (rig, hooks) = (Rig::new(), Webhooks::start());
    put_to_sleep(&rig, "agent@example.test", webhook(&hooks.url("/"), 30.0));
    let (mut a, mut c) = (rig.registered(A), rig.registered(C));
    a.send(json!({"type": "DIAL", "to": "agent@example.test", "ref": "r"}));
    let call = crate::support::id_of(&a.expect(json!({"type": "DIALING", "ref": "r"})));
    hooks.next().answer(200, "");
    c.dial(A);
    c.expect_busy(A, "already_in_call");
    a.hang_up(&call);
    a.expect_nothing();
    let mut agent = rig.registered("agent@example.test");
    c.call(C, &mut agent, "agent@example.test");
}

#[test]
fn a_handler_that_fails_is_told_and_tried_again() {
    let (rig, hooks) = (Rig::new(), Webhooks::start());
    let to = "agent@example.test";
    put_to_sleep(&rig, to, webhook(&hooks.url("/"), 30.0));
    let mut a = rig.registered(A);
    for _ in 0..3 {
        a.dial(to);
        hooks.next().answer(503, "");
        a.expect_exactly(json!({"type": "BUSY", "to": to, "reason": "wake_failed"}));
    }
    a.dial(to);
    hooks.next().answer(200, "");
    let mut agent = rig.registered(to);
    agent.expect_ring(A);
}

#[test]
fn a_handler_that_nobody_answers_fails() {
    let rig = Rig::new();
    let free = std::net::TcpListener::bind("127.0.0.1:0").expect("loopback can be listened on");
    let url = format!("http://{}/", free.local_addr().expect("it is bound"));
    drop(free);
    let to = "agent@example.test";
    put_to_sleep(&rig, to, webhook(&url, 30.0));
    let mut a = rig.registered(A);
    a.dial(to);
    a.expect_busy(to, "wake_failed");
}

#[test]
fn nobody_waits_longer_than_the_handler_allows() {
    let (rig, hooks) = (Rig::new(), Webhooks::start());
    let to = "agent@example.test";
    put_to_sleep(&rig, to, webhook(&hooks.url("/"), 0.15));
    let mut a = rig.registered(A);
    // Answered, but nobody registers; and not answered at all.
    a.dial(to);
    hooks.next().answer(200, "");
    a.expect_busy(to, "timeout");
    a.dial(to);
    let unanswered = hooks.next();
    a.expect_busy(to, "timeout");
    drop(unanswered);
    a.expect_nothing();
}

#[test]
fn a_redirect_is_followed() {
    let (rig, hooks) = (Rig::new(), Webhooks::start());
    let to = "agent@example.test";
    put_to_sleep(&rig, to, webhook(&hooks.url("/old"), 30.0));
    let mut a = rig.registered(A);
    a.dial(to);
    hooks.next().answer(307, "location: /new\r\n");
    let moved = hooks.next();
    assert_eq!(moved.line, "POST /new HTTP/1.1");
    assert_eq!(moved.body["address"], to);
    moved.answer(200, "");
    rig.registered(to).expect_ring(A);
}

#[test]
fn a_webhook_never_reaches_link_local_addresses_even_by_redirect() {
    let (rig, hooks) = (Rig::new(), Webhooks::start());
    let mut a = rig.registered(A);
    let to = "agent@example.test";
    put_to_sleep(&rig, to, webhook("http://169.254.169.254/latest/meta-data", 30.0));
    a.dial(to);
    a.expect_busy(to, "wake_failed");
    let to = "other@example.test";
    put_to_sleep(&rig, to, webhook(&hooks.url("/"), 30.0));
    a.dial(to);
    hooks.next().answer(307, "location: http://[fe80::1]/\r\n");
    a.expect_busy(to, "wake_failed");
}

#[test]
fn many_callers_wait_for_one_run_and_are_served_in_turn() {
    let (rig, hooks) = (Rig::new(), Webhooks::start());
    let to = "agent@example.test";
    put_to_sleep(&rig, to, webhook(&hooks.url("/"), 30.0));
    let mut callers: Vec<(Phone, String)> = Vec::new();
    for number in 0..3 {
        let address = format!("caller{number}@example.test");
        let mut phone = rig.registered(&address);
        phone.send(json!({"type": "DIAL", "to": to, "ref": "r"}));
        phone.expect(json!({"type": "DIALING"}));
        callers.push((phone, address));
        // In its queue before the next one dials: the shard of the address has handled it.
        callers[number].0.dial("nobody@example.test");
        callers[number].0.expect_busy("nobody@example.test", "no_such_address");
    }
    hooks.next().answer(200, "");
    assert!(hooks.is_idle(), "one run serves all who wait");
    let mut agent = rig.registered(to);
    let mut rung = Vec::new();
    for _ in 0..3 {
        let ring = agent.expect(json!({"type": "RING"}));
        rung.push(ring["from"].as_str().expect("it has one").to_owned());
        agent.hang_up(ring["call_id"].as_str().expect("it has one"));
    }
    agent.expect_nothing();
    rung.sort();
    assert_eq!(rung, callers.iter().map(|(_, address)| address.clone()).collect::<Vec<_>>());
    for (phone, _) in &mut callers {
        phone.expect(json!({"type": "HANGUP", "reason": "normal"}));
    }
}

#[test]
fn a_caller_that_is_gone_is_not_connected_to_a_woken_agent() {
    let (rig, hooks) = (Rig::new(), Webhooks::start());
    let to = "agent@example.test";
    put_to_sleep(&rig, to, webhook(&hooks.url("/"), 30.0));
    let (mut a, mut c) = (rig.registered(A), rig.registered(C));
    a.dial(to);
    hooks.next().answer(200, "");
    c.dial(to);
    a.close();
    let mut agent = rig.registered(to);
    agent.expect_ring(C);
    agent.expect_nothing();
}

#[test]
fn a_parallel_agent_takes_all_who_wait_and_a_station_too() {
    let (rig, hooks) = (Rig::new(), Webhooks::start());
    for (to, how) in [("pool@example.test", "parallel"), ("station@example.test", "broadcast")] {
        let mut fields = webhook(&hooks.url("/"), 30.0);
        fields["concurrency"] = json!(how);
        put_to_sleep(&rig, to, fields.clone());
        let (mut a, mut c) = (rig.registered(A), rig.registered(C));
        a.dial(to);
        hooks.next().answer(200, "");
        c.dial(to);
        let mut agent = rig.registered_with(to, json!({"concurrency": how}));
        let mut rung: Vec<Value> =
            (0..2).map(|_| agent.expect(json!({"type": "RING"}))["from"].clone()).collect();
        rung.sort_by_key(Value::to_string);
        assert_eq!(rung, [json!(A), json!(C)]);
        if how == "broadcast" {
            a.expect_connected(to);
            c.expect_connected(to);
        }
        for phone in [a, c, agent] {
            phone.close();
        }
    }
}

#[test]
fn a_closed_connection_forgets_the_handler_and_a_broken_one_keeps_it() {
    let (rig, hooks) = (Rig::new(), Webhooks::start());
    let (to, mut a) = ("agent@example.test", rig.registered(A));
    rig.registered_with(to, webhook(&hooks.url("/"), 30.0)).close();
    a.dial(to);
    a.expect_busy(to, "no_such_address");
    rig.registered_with(to, webhook(&hooks.url("/"), 30.0)).vanish();
    // The end may be noticed a moment later; then the line still rings, and ends.
    eventually("the agent is dialable in its sleep", || {
        a.dial(to);
        hooks.wait_briefly().map(|hook| hook.answer(200, ""))
    });
}

#[test]
fn unregister_keeps_the_handler() {
    let (rig, hooks) = (Rig::new(), Webhooks::start());
    let (to, mut a) = ("agent@example.test", rig.registered(A));
    let mut agent = rig.registered_with(to, webhook(&hooks.url("/"), 30.0));
    agent.send(json!({"type": "UNREGISTER"}));
    agent.expect_close(4000, "client_requested");
    a.dial(to);
    hooks.next().answer(200, "");
    rig.registered(to).expect_ring(A);
}

#[test]
fn a_refresh_without_a_mode_keeps_the_agent_wakeable() {
    let (rig, hooks) = (Rig::new(), Webhooks::start());
    let (to, mut a) = ("agent@example.test", rig.registered(A));
    let mut agent = rig.registered_with(to, webhook(&hooks.url("/"), 30.0));
    agent.register(to);
    agent.send(json!({"type": "SLEEP_ACK"}));
    agent.expect_close(4000, "sleep");
    a.dial(to);
    hooks.next().answer(200, "");
    rig.registered(to).expect_ring(A);
}

#[test]
fn a_pool_wakes_one_more_for_each_caller_up_to_its_size() {
    let (rig, hooks) = (Rig::new(), Webhooks::start());
    let to = "pool@example.test";
    let mut fields = webhook(&hooks.url("/"), 30.0);
    fields["concurrency"] = json!("parallel");
    fields["pool_size"] = json!(2);
    let mut first = rig.registered_with(to, fields);
    let mut callers: Vec<Phone> =
        (0..3).map(|number| rig.registered(&format!("caller{number}@example.test"))).collect();
    callers[0].call("caller0@example.test", &mut first, to);
    callers[1].dial(to);
    hooks.next().answer(200, "");
    let mut second = rig.registered(to);
    let call = second.expect_ring("caller1@example.test");
    second.answer(&call);
    callers[1].expect_connected(to);
    callers[2].dial(to);
    callers[2].expect_busy(to, "max_sessions_reached");
}

#[test]
fn an_agent_that_was_woken_and_is_not_here_yet_is_not_woken_again() {
    let (rig, hooks) = (Rig::new(), Webhooks::start());
    let to = address_on(0, 2, "agent");
    put_to_sleep(&rig, &to, webhook(&hooks.url("/"), 30.0));
    let (mut a, mut c) = (rig.registered(A), rig.registered(C));
    a.dial(&to);
    hooks.next().answer(200, "");
    for _ in 0..20 {
        c.send(json!({"type": "DIAL", "to": to, "ref": "r"}));
        let call = crate::support::id_of(&c.expect(json!({"type": "DIALING"})));
        c.hang_up(&call);
    }
    c.dial(&to);
    let mut agent = rig.registered(&to);
    let call = agent.expect_ring(A);
    agent.hang_up(&call);
    agent.expect_ring(C);
    assert!(hooks.is_idle(), "one webhook for all of them");
}

#[test]
fn a_spawned_phone_answers_and_lives_on() {
    let (rig, folder) = (Rig::new(), Scratch::new());
    let pid_file = folder.path().join("pid");
    let program = env!("CARGO_BIN_EXE_systemx");
    let to = "agent@example.test";
    // The phone stays in the foreground of its shell's process: the exchange sees one long-running command.
    let script = format!(
        "echo $$ > '{}'; exec '{program}' phone --url ws://{} --address {to} --answer --run-seconds 20",
        pid_file.display(),
        rig.address()
    );
    put_to_sleep(&rig, to, spawn(&["/bin/sh", "-c", &script], 10.0));
    let mut a = rig.registered(A);
    a.dial(to);
    let call = a.expect_connected(to);
    a.hang_up(&call);
    a.dial(to);
    let call = a.expect_connected(to);
    a.say(&call, "bye");
    let pid: i32 = std::fs::read_to_string(&pid_file).expect("it ran").trim().parse().expect("a number");
    let pid = rustix::process::Pid::from_raw(pid).expect("it is one");
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).expect("the agent runs");
    a.expect_hangup(&call, "peer_disconnected");
}

#[test]
fn a_command_that_fails_or_does_not_exist_is_told() {
    let rig = Rig::new();
    let mut a = rig.registered(A);
    for (number, command) in [&["/bin/sh", "-c", "exit 3"][..], &["/does/not/exist"]].iter().enumerate() {
        let to = format!("agent{number}@example.test");
        put_to_sleep(&rig, &to, spawn(command, 30.0));
        a.dial(&to);
        a.expect_busy(&to, "wake_failed");
    }
}

#[test]
fn a_command_that_hangs_is_ended_at_its_limit() {
    let (rig, folder) = (Rig::new(), Scratch::new());
    let pid_file = folder.path().join("pid");
    let script = format!("echo $$ > '{}'; exec sleep 1000", pid_file.display());
    let to = "agent@example.test";
    put_to_sleep(&rig, to, spawn(&["/bin/sh", "-c", &script], 0.3));
    let mut a = rig.registered(A);
    a.dial(to);
    a.expect_busy(to, "timeout");
    let pid: u32 = std::fs::read_to_string(&pid_file).expect("it ran").trim().parse().expect("a number");
    eventually("the command is gone, and not as a zombie", || {
        (!std::path::Path::new(&format!("/proc/{pid}")).exists()).then_some(())
    });
}

#[test]
fn commands_are_refused_where_others_can_reach_the_exchange() {
    let refused = json!({
        "type": "ERROR", "reason": "invalid_payload", "context": "REGISTER",
        "detail": "spawn wake handlers are disabled on this exchange"
    });
    let exchange = Process::start(&["--host", "0.0.0.0"]);
    let mut agent = exchange.phone();
    agent.send(register_frame("agent@example.test", spawn(&["/bin/true"], 1.0)));
    agent.expect_exactly(refused.clone());
    let exchange = Process::start_with(&["--host", "0.0.0.0"], &[("SYSTEMX_WAKE_SPAWN", "/bin/true")]);
    let mut agent = exchange.phone();
    agent.send(register_frame("agent@example.test", spawn(&["/bin/false"], 1.0)));
    agent.expect_exactly(refused);
    agent.register_with("agent@example.test", spawn(&["/bin/true"], 1.0));
}
