//! What the shards' threads do with the processors: `--pin` binds each to its own, `--spin-us` has them poll for a while
//! before they sleep, and not for ever. Seen from outside, in `/proc` (Linux only).

use std::path::PathBuf;
use std::time::Duration;

use serde_json::json;

use crate::support::{Process, address_on, eventually};

const SHARDS: usize = 2;
const HEARTBEATS: usize = 10;

/// Where the kernel tells about the thread of a shard.
fn thread_of(exchange: &Process, shard: usize) -> PathBuf {
    let name = format!("shard-{shard}");
    let tasks = std::fs::read_dir(format!("/proc/{}/task", exchange.id())).expect("it runs");
    let mut tasks = tasks.filter_map(|task| Some(task.ok()?.path()));
    tasks.find(|task| read(task, "comm").trim() == name).expect("each shard has a thread")
}

fn read(thread: &std::path::Path, file: &str) -> String {
    std::fs::read_to_string(thread.join(file)).expect("the thread lives")
}

/// The processors a thread may run on, as the kernel lists them.
fn processors(thread: &std::path::Path) -> String {
    let status = read(thread, "status");
    let line = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:"));
    line.expect("Linux tells").trim().to_owned()
}

fn time_run(thread: &std::path::Path) -> Duration {
    let text = read(thread, "schedstat");
    let first = text.split_whitespace().next().and_then(|number| number.parse().ok());
    Duration::from_nanos(first.expect("schedstat begins with the time run, in ns"))
}

fn sleeps(thread: &std::path::Path) -> bool {
    let stat = read(thread, "stat");
    let state = stat.rsplit(") ").next().expect("the state follows the name");
    state.starts_with('S')
}

#[test]
fn pinned_shards_run_on_one_processor_each() {
    let pinned = Process::start(&["--pin"]);
    let free = Process::start(&[]);
    let allowed = std::thread::available_parallelism().expect("Linux tells").get();
    let homes = [0, 1].map(|shard| processors(&thread_of(&pinned, shard)));
    assert!(homes.iter().all(|home| home.parse::<usize>().is_ok()), "{homes:?}");
    assert_eq!(homes[0] == homes[1], allowed == 1, "{homes:?}");
    if allowed > 1 {
        let home = processors(&thread_of(&free, 0));
        assert!(home.parse::<usize>().is_err(), "nobody asked for it: {home}");
    }
}

#[test]
fn a_spinning_shard_carries_calls_and_sleeps_in_the_end() {
    const SPIN: Duration = Duration::from_millis(5);
    let exchange = Process::start(&["--spin-us", &SPIN.as_micros().to_string()]);
    let (caller, callee) = (address_on(0, SHARDS, "caller"), address_on(1, SHARDS, "callee"));
    let (mut alice, mut bob) = (exchange.registered(&caller), exchange.registered(&callee));
    let call = alice.call(&caller, &mut bob, &callee);
    bob.say(&call, "hello");
    alice.expect_msg(&call, &callee, json!("hello"));
    let thread = thread_of(&exchange, 0);
    let before = time_run(&thread);
    for _ in 0..HEARTBEATS {
        eventually("the shard sleeps", || sleeps(&thread).then_some(()));
        alice.send(json!({"type": "HEARTBEAT"}));
        alice.expect(json!({"type": "HEARTBEAT_ACK"}));
    }
    eventually("the shard sleeps", || sleeps(&thread).then_some(()));
    // A heartbeat itself takes some 50 us. Who shares the processor takes a part of the spinning away.
    let run = time_run(&thread) - before;
    assert!(run >= SPIN * HEARTBEATS as u32 / 10, "it did not spin: {run:?}");
}
