//! Real processes: exit codes, limits, grandchildren, settled agents, and that nothing is left behind.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use rustix::process::{kill_process, test_kill_process};
use tokio::time::sleep;

use super::*;

/// For what must happen: long enough for a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

/// A directory of this test alone, removed at its end.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("systemx-spawn-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        fs::create_dir(&path).expect("a new directory");
        Self(path)
    }

    /// A command that runs `script` in this directory.
    fn sh(&self, script: &str) -> Vec<String> {
        let script = format!("cd '{}' && {{ {script}\n}}", self.0.display());
        ["/bin/sh", "-c", &script].map(str::to_owned).to_vec()
    }

    /// The process id that a script wrote into `name`, once it has.
    async fn pid(&self, name: &str) -> Pid {
        let path = self.0.join(name);
        eventually(|| read_pid(&path).is_some()).await;
        read_pid(&path).expect("just read")
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn read_pid(path: &Path) -> Option<Pid> {
    let text = fs::read_to_string(path).ok()?;
    Pid::from_raw(text.strip_suffix('\n')?.parse().ok()?)
}

/// Whether the process exists, be it as a zombie.
fn exists(pid: Pid) -> bool {
    test_kill_process(pid).is_ok()
}

/// Whether the process runs. A killed grandchild may stay a zombie where nobody plays init, as in containers.
fn runs(pid: Pid) -> bool {
    let zombie = fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero()))
        .is_ok_and(|stat| stat.contains(") Z "));
    exists(pid) && !zombie
}

async fn eventually(mut condition: impl FnMut() -> bool) {
    let met = async {
        while !condition() {
            sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, met).await.expect("the condition is met in time");
}

fn wanted() -> (watch::Sender<Standing>, watch::Receiver<Standing>) {
    watch::channel(Standing::Wanted)
}

async fn run_within(command: Vec<String>, limit: Duration) -> SpawnEnd {
    let (_sender, mut standing) = wanted();
    run(command, &mut standing, Instant::now() + limit).await
}

async fn outcome(command: &[&str]) -> WakeOutcome {
    let command = command.iter().map(|word| (*word).to_owned()).collect();
    run_within(command, PATIENCE).await.outcome
}

#[tokio::test]
async fn exit_code_zero_is_success_and_any_other_a_failure() {
    let exited = |code| WakeOutcome::Failed(WakeFailure::Exited(code));
    assert_eq!(outcome(&["true"]).await, WakeOutcome::Answered);
    assert_eq!(outcome(&["false"]).await, exited(Some(1)));
    assert_eq!(outcome(&["/bin/sh", "-c", "exit 7"]).await, exited(Some(7)));
    assert_eq!(outcome(&["/bin/sh", "-c", "kill -9 $$"]).await, exited(None));
}

#[tokio::test]
async fn what_cannot_be_started_is_a_failure() {
    let not_startable = |kind| WakeOutcome::Failed(WakeFailure::NotStartable(kind));
    assert_eq!(outcome(&["/nonexistent/agent"]).await, not_startable(io::ErrorKind::NotFound));
    assert_eq!(outcome(&["/"]).await, not_startable(io::ErrorKind::PermissionDenied));
    assert_eq!(outcome(&[]).await, not_startable(io::ErrorKind::InvalidInput));
    assert_eq!(outcome(&["a\0b"]).await, not_startable(io::ErrorKind::InvalidInput));
}

#[tokio::test]
async fn arguments_reach_the_program_without_a_shell() {
    let scratch = Scratch::new();
    let file = scratch.0.join("$HOME; *");
    let file = file.to_str().expect("UTF-8");
    assert_eq!(outcome(&["touch", file]).await, WakeOutcome::Answered);
    assert!(Path::new(file).exists());
}

#[tokio::test]
async fn the_limit_kills_the_process_and_its_children() {
    let scratch = Scratch::new();
    let script = "sleep 600 & echo $! > grandchild; echo $$ > leader; wait";
    // Long enough for the script to have written its files by then.
    let end = run_within(scratch.sh(script), Duration::from_secs(2)).await;
    assert_eq!(end.outcome, WakeOutcome::TimedOut);
    let (leader, grandchild) = (scratch.pid("leader").await, scratch.pid("grandchild").await);
    end.survivor.expect("a process to wait for").reap().await;
    assert!(!exists(leader), "the leader is waited for");
    eventually(|| !runs(grandchild)).await;
}

#[tokio::test]
async fn a_settled_process_outlives_limit_and_runner() {
    let scratch = Scratch::new();
    let (sender, mut standing) = wanted();
    let command = scratch.sh("echo $$ > agent; exec sleep 600");
    let settle = async {
        let agent = scratch.pid("agent").await;
        sender.send_replace(Standing::Settled);
        agent
    };
    let (end, agent) = tokio::join!(run(command, &mut standing, Instant::now() + PATIENCE), settle);
    assert_eq!(end.outcome, WakeOutcome::Answered);
    drop(end.survivor);
    assert!(runs(agent), "dropping the survivor leaves it alone");
    kill_process(agent, Signal::KILL).expect("it runs");
    // Tokio's own reaper has it now.
    eventually(|| !exists(agent)).await;
}

#[tokio::test]
async fn news_of_the_registration_at_the_very_limit_saves_the_process() {
    let scratch = Scratch::new();
    let process = WokenProcess::start(&scratch.sh("exec sleep 600")).expect("sh starts");
    let agent = process.group.expect("it runs");
    let (sender, standing) = wanted();
    sender.send_replace(Standing::Settled);
    let end = at_limit(process, &standing).await;
    assert_eq!(end.outcome, WakeOutcome::Answered);
    assert!(runs(agent));
    kill_process(agent, Signal::KILL).expect("it runs");
    end.survivor.expect("it was not waited for").reap().await;
    assert!(!exists(agent));
}

#[tokio::test]
async fn a_dropped_run_kills_its_process() {
    let scratch = Scratch::new();
    let command = scratch.sh("echo $$ > agent; exec sleep 600");
    let task = tokio::spawn(run_within(command, PATIENCE));
    let agent = scratch.pid("agent").await;
    task.abort();
    eventually(|| !exists(agent)).await;
}

#[tokio::test]
async fn an_ended_process_leaves_no_zombie() {
    let scratch = Scratch::new();
    let end = run_within(scratch.sh("echo $$ > agent"), PATIENCE).await;
    assert_eq!(end.outcome, WakeOutcome::Answered);
    assert!(!exists(scratch.pid("agent").await));
}
