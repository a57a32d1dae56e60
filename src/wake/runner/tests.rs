//! The loop as a whole: commands in, exactly one result for each run out.

use std::time::Duration;

use bytes::Bytes;
use tokio::sync::mpsc::{Sender, UnboundedReceiver};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::*;
use crate::wake::channel;
use crate::wake::test_server::{TestServer, status};

/// For what must happen: long enough for a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

/// A running loop and the results it gave.
struct Rig {
    commands: Sender<WakeCommand>,
    results: UnboundedReceiver<WakeResult>,
    task: JoinHandle<()>,
}

impl Rig {
    fn new() -> Self {
        let (commands, receiver) = channel();
        let (report, results) = mpsc::unbounded_channel();
        let report: Report = Arc::new(move |result| {
            let _ = report.send(result);
        });
        Self { commands, results, task: tokio::spawn(run(receiver, report)) }
    }

    async fn send(&self, command: WakeCommand) {
        self.commands.send(command).await.expect("the runner runs");
    }

    async fn wake(&self, run: u64, handler: WakeHandler, limit: Duration) {
        self.send(WakeCommand::Run(WakeJob {
            run,
            address: "agent@test".into(),
            handler,
            limit,
            registered_by: None,
        }))
        .await;
    }

    async fn expect(&mut self, run: u64, outcome: WakeOutcome) {
        let result = timeout(PATIENCE, self.results.recv()).await.expect("a result in time");
        assert_eq!(result, Some(WakeResult { run, outcome }));
    }

    /// Stops the runner and takes what else it reports.
    async fn stop(self) -> Vec<WakeResult> {
        let Self { commands, mut results, task } = self;
        drop(commands);
        timeout(PATIENCE, task).await.expect("the runner stops").expect("it does not panic");
        let mut rest = Vec::new();
        while let Some(result) = timeout(PATIENCE, results.recv()).await.expect("the runner is gone") {
            rest.push(result);
        }
        rest
    }
}

fn webhook(url: String) -> WakeHandler {
    WakeHandler::Webhook { url, payload: None, source: Bytes::from_static(b"{\"type\":\"webhook\"}") }
}

fn spawn(command: &[&str]) -> WakeHandler {
    WakeHandler::Spawn { command: command.iter().map(|word| (*word).to_owned()).collect() }
}

#[tokio::test]
async fn each_run_ends_in_one_result() {
    let server = TestServer::start(|path| status(if path == "/ok" { 200 } else { 500 })).await;
    let mut rig = Rig::new();
    rig.wake(1, webhook(server.url("/ok")), PATIENCE).await;
    rig.expect(1, WakeOutcome::Answered).await;
    rig.wake(2, webhook(server.url("/bad")), PATIENCE).await;
    rig.expect(2, WakeOutcome::Failed(WakeFailure::Status(500))).await;
    rig.wake(3, spawn(&["true"]), PATIENCE).await;
    rig.expect(3, WakeOutcome::Answered).await;
    let body = r#"{"address":"agent@test","handler":{"type":"webhook"},"payload":null}"#;
    assert_eq!(server.seen()[0].body, body);
    assert_eq!(rig.stop().await, []);
}

#[tokio::test]
async fn a_server_without_an_answer_times_out() {
    let server = TestServer::start(|_| None).await;
    let mut rig = Rig::new();
    rig.wake(1, webhook(server.url("/")), Duration::from_millis(100)).await;
    rig.expect(1, WakeOutcome::TimedOut).await;
}

#[tokio::test]
async fn a_process_beyond_its_limit_times_out() {
    let mut rig = Rig::new();
    rig.wake(1, spawn(&["sleep", "600"]), Duration::from_millis(100)).await;
    rig.expect(1, WakeOutcome::TimedOut).await;
    assert_eq!(rig.stop().await, []);
}

#[tokio::test]
async fn a_settled_process_is_a_success_at_once() {
    let mut rig = Rig::new();
    rig.wake(1, spawn(&["sleep", "2"]), Duration::MAX).await;
    rig.send(WakeCommand::Settled { run: 1 }).await;
    rig.send(WakeCommand::Abandoned { run: 1 }).await;
    rig.send(WakeCommand::Settled { run: 99 }).await;
    rig.expect(1, WakeOutcome::Answered).await;
    assert_eq!(rig.stop().await, []);
}

#[tokio::test]
async fn runs_beyond_the_bound_wait_with_their_limit_counting() {
    let server = TestServer::start(|_| None).await;
    let mut rig = Rig::new();
    let last = RUNNING_MAX as u64;
    for run in 0..last {
        rig.wake(run, webhook(server.url("/")), PATIENCE).await;
    }
    rig.wake(last, spawn(&["true"]), Duration::from_millis(50)).await;
    rig.expect(last, WakeOutcome::TimedOut).await;
    rig.wake(last + 1, spawn(&["true"]), PATIENCE).await;
    rig.send(WakeCommand::Abandoned { run: last + 1 }).await;
    rig.expect(last + 1, WakeOutcome::Failed(WakeFailure::Abandoned)).await;
    rig.wake(last + 2, spawn(&["true"]), PATIENCE).await;
    rig.send(WakeCommand::Settled { run: last + 2 }).await;
    rig.expect(last + 2, WakeOutcome::Answered).await;
    assert_eq!(rig.stop().await.len(), RUNNING_MAX);
}

#[tokio::test]
async fn an_abandoned_run_that_has_started_goes_on() {
    let go = std::env::temp_dir().join(format!("systemx-abandoned-{}", std::process::id()));
    let script = format!("until test -e {}; do sleep 0.01; done; exit 3", go.display());
    let mut rig = Rig::new();
    rig.wake(1, spawn(&["/bin/sh", "-c", &script]), PATIENCE).await;
    rig.wake(2, spawn(&["true"]), PATIENCE).await;
    rig.expect(2, WakeOutcome::Answered).await;
    rig.send(WakeCommand::Abandoned { run: 1 }).await;
    std::fs::write(&go, "").expect("the temporary folder can be written to");
    rig.expect(1, WakeOutcome::Failed(WakeFailure::Exited(Some(3)))).await;
    std::fs::remove_file(&go).expect("the file is ours");
}

#[tokio::test]
async fn a_stop_reports_what_it_cuts_off() {
    let server = TestServer::start(|_| None).await;
    let rig = Rig::new();
    rig.wake(7, webhook(server.url("/")), PATIENCE).await;
    let stopped = WakeResult { run: 7, outcome: WakeOutcome::Failed(WakeFailure::Stopped) };
    assert_eq!(rig.stop().await, [stopped]);
}

#[tokio::test]
async fn a_run_number_in_use_is_refused() {
    let server = TestServer::start(|_| None).await;
    let rig = Rig::new();
    rig.wake(7, webhook(server.url("/")), PATIENCE).await;
    rig.wake(7, spawn(&["true"]), PATIENCE).await;
    assert_eq!(rig.stop().await.len(), 1);
}

#[test]
fn debug_output_of_a_job_shows_nothing_private() {
    let handler = WakeHandler::Webhook {
        url: "http://private/".to_owned(),
        payload: Some(Bytes::from_static(b"\"private\"")),
        source: Bytes::from_static(b"\"private\""),
    };
    let jobs = [handler, spawn(&["private", "private"])];
    assert!(!format!("{jobs:?}").contains("private"));
}
