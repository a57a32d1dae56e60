//! The spawn handler: starts a command in its own process group and watches how it ends.
//!
//! Runs what it is given; whether spawning is allowed at all was decided at REGISTER. A process is killed, with its
//! whole group, when its limit passes or its run is dropped (the exchange stops), but never once its run is settled:
//! an agent that registered lives on. Every process is waited for by somebody, so none becomes a zombie.
//! Commands and arguments never reach a log.

use std::io;
use std::process::{ExitStatus, Stdio};

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::process::{Child, Command};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout_at};

use super::runner::Standing;
use super::{WakeFailure, WakeOutcome};

/// How a run ended, and its process if that is still to be waited for.
pub(super) struct SpawnEnd {
    pub(super) outcome: WakeOutcome,
    pub(super) survivor: Option<WokenProcess>,
}

/// Starts `command` and waits for its exit, for the run to be settled, or for `deadline`.
pub(super) async fn run(
    command: Vec<String>,
    standing: &mut watch::Receiver<Standing>,
    deadline: Instant,
) -> SpawnEnd {
    // Reading a program from a slow disk would hold up everything else on this thread.
    let start = tokio::task::spawn_blocking(move || WokenProcess::start(&command));
    let mut process = match timeout_at(deadline, start).await {
        Ok(Ok(Ok(process))) => process,
        Ok(Ok(Err(error))) => return SpawnEnd::failed(WakeFailure::NotStartable(error.kind())),
        Ok(Err(_)) => return SpawnEnd::failed(WakeFailure::NotStartable(io::ErrorKind::Other)),
        Err(_) => return SpawnEnd { outcome: WakeOutcome::TimedOut, survivor: None },
    };
    tokio::select! {
        biased;
        () = settled(standing) => SpawnEnd::settled(process),
        exit = process.exit() => SpawnEnd { outcome: outcome_of(exit), survivor: None },
        () = sleep_until(deadline) => at_limit(process, standing).await,
    }
}

/// Kills the process unless it has just been settled.
async fn at_limit(mut process: WokenProcess, standing: &watch::Receiver<Standing>) -> SpawnEnd {
    // The news that the address was registered may already wait in the runner's queue: let the runner go first.
    tokio::task::yield_now().await;
    if *standing.borrow() == Standing::Settled {
        return SpawnEnd::settled(process);
    }
    process.kill();
    SpawnEnd { outcome: WakeOutcome::TimedOut, survivor: Some(process) }
}

async fn settled(standing: &mut watch::Receiver<Standing>) {
    if standing.wait_for(|standing| *standing == Standing::Settled).await.is_err() {
        // The runner is gone and drops this run next; its silence settles nothing.
        std::future::pending::<()>().await;
    }
}

fn outcome_of(exit: io::Result<ExitStatus>) -> WakeOutcome {
    match exit {
        Ok(status) if status.success() => WakeOutcome::Answered,
        Ok(status) => WakeOutcome::Failed(WakeFailure::Exited(status.code())),
        Err(_) => WakeOutcome::Failed(WakeFailure::Exited(None)),
    }
}

impl SpawnEnd {
    fn failed(failure: WakeFailure) -> Self {
        Self { outcome: WakeOutcome::Failed(failure), survivor: None }
    }

    fn settled(mut process: WokenProcess) -> Self {
        process.release();
        Self { outcome: WakeOutcome::Answered, survivor: Some(process) }
    }
}

/// A started process that leads its own group. Dropping it kills the group unless it was released or has exited.
#[derive(Debug)]
pub(super) struct WokenProcess {
    child: Child,
    /// The group to kill on drop. `Some` only while the leader has not been waited for, so that the number cannot have
    /// been given to somebody else.
    group: Option<Pid>,
}

impl WokenProcess {
    /// Starts the program and returns once it runs. Blocks for the time the kernel needs to load it.
    fn start(command: &[String]) -> io::Result<Self> {
        let (program, arguments) = command.split_first().ok_or(io::ErrorKind::InvalidInput)?;
        let child = Command::new(program)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::inherit())
            .process_group(0)
            .kill_on_drop(false)
            .spawn()?;
        let group = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
        Ok(Self { child, group })
    }

    async fn exit(&mut self) -> io::Result<ExitStatus> {
        let exit = self.child.wait().await;
        self.group = None;
        exit
    }

    /// Lets the process live on, whatever happens to this value.
    fn release(&mut self) {
        self.group = None;
    }

    fn kill(&mut self) {
        if let Some(group) = self.group.take() {
            // Fails only when nobody is left to kill.
            let _ = kill_process_group(group, Signal::KILL);
        }
    }

    /// Waits for a killed or released process, so that it leaves no zombie.
    pub(super) async fn reap(mut self) {
        let _ = self.exit().await;
    }
}

impl Drop for WokenProcess {
    fn drop(&mut self) {
        self.kill();
    }
}

#[cfg(test)]
mod tests;
