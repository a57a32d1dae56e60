//! The course of a run as the main thread sees it: start the workers, wait until all are ready, give the start, gather
//! what they count, look at the server at both ends of the window.
//!
//! The main thread sleeps nearly always, so that it takes nothing away from the workers.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use mio::Waker;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustix::thread::{CpuSet, sched_setaffinity};

use super::interrupt;
use super::timers::{MILLISECOND, Nanos, SECOND};
use super::worker::{Report, Shared, Worker};
use super::{Context, Plan, Scenario, Share};
use crate::fault::Fault;
use crate::measure::ledger::Ledger;
use crate::measure::probe::{Probe, Sample};
use crate::measure::procfs::{self, Cpu};
use crate::measure::progress::Progress;

/// From the decision to start to the start: every worker has woken up by then.
const LEAD: Nanos = 20 * MILLISECOND;
/// The main thread looks at least so often whether it is to act.
const LOOK: Duration = Duration::from_millis(50);
/// Files that the process needs beside its sockets.
const OTHER_FILES: u64 = 64;
/// If nobody gets in and there are errors, the set-up is given up after this.
const HOPELESS_LIMIT: Duration = Duration::from_secs(3);
/// What a look at a server that does not answer may take.
const REACH_LIMIT: Duration = Duration::from_secs(10);

/// What is watched during a run.
pub struct Watch {
    /// The server.
    pub probe: Option<Probe>,
    /// The user.
    pub progress: Progress,
}

/// What a run gave.
pub struct Outcome {
    /// Counts and times.
    pub ledger: Ledger,
    /// The server before the first connection.
    pub before: Option<Sample>,
    /// The server at both ends of the window.
    pub window: Option<(Sample, Sample)>,
    /// Between those two looks, in seconds: the main thread may be woken late.
    pub looked_s: f64,
    /// The generator's own processor time between them.
    pub own_cpu: Cpu,
    /// What all programs of this machine have used between them, if it could be read.
    pub all_cpu: Option<Duration>,
    /// Clients that were registered at the end of the set-up.
    pub connections: u64,
    /// When the measured part began.
    pub began: Nanos,
    /// What the scenario itself has to say about what it found.
    pub notes: Vec<String>,
}

/// Runs a scenario; `make` gives each worker its instance. `clients` is how many will be connected at most.
pub fn run<S: Scenario + 'static>(
    plan: &Arc<Plan>,
    watch: Watch,
    clients: u64,
    make: impl Fn(Share, &Plan) -> S,
) -> Result<Outcome, Fault> {
    allow_sockets(clients)?;
    reach(plan)?;
    let before = watch.probe.as_ref().map(Probe::sample).transpose()?;
    let shared = Arc::new(Shared::default());
    let interrupted = Arc::clone(&shared);
    interrupt::watch(move || interrupted.end_now.swap(true, Ordering::Relaxed))?;
    let (tell, reports) = channel();
    let (mut wakers, mut threads) = (Vec::new(), Vec::new());
    let mut figures = None;
    for worker in 0..plan.threads {
        let scenario = make(Share { worker, workers: plan.threads }, plan);
        let context = Context::new(plan, *figures.insert(scenario.figures()), worker)?;
        let waker = context.waker();
        let worker = Worker::new(context, scenario, Arc::clone(&shared), tell.clone());
        wakers.push(waker);
        threads.push(spawn(plan, threads.len(), worker)?);
    }
    drop::<Sender<_>>(tell);
    let Some(figures) = figures else { return Err(Fault::BadOption("--threads 0 runs nothing".to_owned())) };
    let mut course = Course {
        plan: Arc::clone(plan),
        watch,
        ledger: Ledger::new(figures, plan.threads),
        shared,
        wakers,
        reports,
        connections: vec![0; plan.threads],
    };
    let result = course.follow();
    course.watch.progress.end();
    course.end(threads);
    if result.is_ok() {
        course.look_for_server();
    }
    let Found { window, looked_s, own_cpu, all_cpu, connections, began } = result?;
    let notes = Vec::new();
    Ok(Outcome {
        ledger: course.ledger,
        before,
        window,
        looked_s,
        own_cpu,
        all_cpu,
        connections,
        began,
        notes,
    })
}

fn spawn<S: Scenario + 'static>(
    plan: &Plan,
    number: usize,
    worker: Worker<S>,
) -> Result<JoinHandle<()>, Fault> {
    let core = (!plan.cores.is_empty()).then(|| plan.cores[number % plan.cores.len()]);
    let run = move || {
        if let Some(core) = core {
            let mut set = CpuSet::new();
            set.set(core);
            // The same was granted to the whole process: see `pin`.
            sched_setaffinity(None, &set).ok();
        }
        worker.run();
    };
    Ok(thread::Builder::new().name(format!("worker-{number}")).spawn(run)?)
}

/// Keeps the whole process on these processors.
pub fn pin(cores: &[usize]) -> Result<(), Fault> {
    if cores.is_empty() {
        return Ok(());
    }
    let mut set = CpuSet::new();
    for &core in cores {
        if core >= CpuSet::MAX_CPU {
            return Err(Fault::BadOption(format!("--pin: there is no processor {core}")));
        }
        set.set(core);
    }
    let list = || cores.iter().map(usize::to_string).collect::<Vec<_>>().join(",");
    sched_setaffinity(None, &set).map_err(|error| {
        let error = std::io::Error::from(error);
        Fault::BadOption(format!("--pin {}: this process may not use those processors ({error})", list()))
    })
}

/// Asks for as many sockets as the system grants, and refuses a run that needs more.
fn allow_sockets(clients: u64) -> Result<(), Fault> {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).map_err(std::io::Error::from)?;
    let allowed = maximum.map_or(u64::MAX, |maximum| maximum.saturating_sub(OTHER_FILES));
    if clients > allowed { Err(Fault::TooManyClients { wanted: clients, allowed }) } else { Ok(()) }
}

/// Finds out at once, rather than client by client, that nobody is there.
fn reach(plan: &Plan) -> Result<(), Fault> {
    for place in &plan.target.places {
        let reached = std::net::TcpStream::connect_timeout(&place.address, REACH_LIMIT);
        drop(reached.map_err(|error| Fault::Unreachable(place.address, error))?);
    }
    Ok(())
}

/// A run that is under way.
struct Course {
    plan: Arc<Plan>,
    watch: Watch,
    ledger: Ledger,
    shared: Arc<Shared>,
    wakers: Vec<Arc<Waker>>,
    reports: Receiver<(usize, Report)>,
    /// Of each worker, at its last report.
    connections: Vec<u64>,
}

/// What is known after the window; see [`Outcome`].
struct Found {
    window: Option<(Sample, Sample)>,
    looked_s: f64,
    own_cpu: Cpu,
    all_cpu: Option<Duration>,
    connections: u64,
    began: Nanos,
}

impl Course {
    fn follow(&mut self) -> Result<Found, Fault> {
        self.wait_until_ready()?;
        let connections = self.connections.iter().sum();
        let start = self.plan.clock.now() + LEAD;
        self.shared.start.store(start, Ordering::Release);
        self.wake_all();
        let begin = start + self.plan.warm_up;
        let end = begin + self.plan.duration;
        self.gather_until(begin)?;
        let (first, own, looked) = (self.sample(), procfs::own_cpu()?, Instant::now());
        let all = procfs::all_programs();
        self.gather_until(end)?;
        let (last, looked_s) = (self.sample(), looked.elapsed().as_secs_f64());
        let own_cpu = procfs::own_cpu()? - own;
        let all_cpu = all.zip(procfs::all_programs()).map(|(before, after)| after.saturating_sub(before));
        let mut left = self.plan.threads;
        while left > 0 {
            if self.gather(LOOK, true)? == Some(End::Done) {
                left -= 1;
            }
        }
        Ok(Found { window: first.zip(last), looked_s, own_cpu, all_cpu, connections, began: begin })
    }

    /// A server that is gone at the end has failed, however good its answers were: a closed loop that nobody answers has
    /// few errors. Only asked if there were any.
    fn look_for_server(&mut self) {
        if self.ledger.errors.is_empty() {
            return;
        }
        if let Err(gone) = reach(&self.plan) {
            self.ledger.fault(format!("gone: at the end of the run, {gone}"));
        }
    }

    /// A server that is gone by now has no figures; what the clients saw is worth keeping all the same.
    fn sample(&self) -> Option<Sample> {
        self.watch.probe.as_ref()?.sample().ok()
    }

    /// Fails if for too long no client has got further.
    fn wait_until_ready(&mut self) -> Result<(), Fault> {
        let limit = Duration::from_nanos(self.plan.op_limit.max(self.plan.connect_limit) + 2 * SECOND);
        let (mut ready, mut furthest, mut last) = (0, 0, Instant::now());
        while ready < self.plan.threads {
            if self.is_interrupted() {
                return Err(Fault::Interrupted);
            }
            if self.gather(LOOK, false)? == Some(End::Ready) {
                (ready, last) = (ready + 1, Instant::now());
            }
            let connections: u64 = self.connections.iter().sum();
            if connections > furthest {
                (furthest, last) = (connections, Instant::now());
            }
            // Where nobody gets in at all, waiting longer helps nobody.
            let hopeless = connections == 0 && !self.ledger.early_errors.is_empty();
            if last.elapsed() > if hopeless { HOPELESS_LIMIT.min(limit) } else { limit } {
                let errors: Vec<String> =
                    self.ledger.early_errors.iter().map(|(why, count)| format!("{why} {count}")).collect();
                let faults = self.ledger.faults.iter().cloned();
                let errors = errors.into_iter().chain(faults).collect::<Vec<_>>().join(", ");
                return Err(Fault::NotReady { connections, errors });
            }
        }
        Ok(())
    }

    /// The user has had enough. The workers find out by themselves, within a second.
    fn is_interrupted(&self) -> bool {
        let interrupted = self.shared.end_now.load(Ordering::Relaxed);
        if interrupted {
            self.wake_all();
        }
        interrupted
    }

    fn gather_until(&mut self, when: Nanos) -> Result<(), Fault> {
        loop {
            let left = when.saturating_sub(self.plan.clock.now());
            if left == 0 || self.is_interrupted() {
                return Ok(());
            }
            self.gather(LOOK.min(Duration::from_nanos(left)), true)?;
        }
    }

    /// Takes one report, if one comes in time.
    fn gather(&mut self, limit: Duration, started: bool) -> Result<Option<End>, Fault> {
        match self.reports.recv_timeout(limit) {
            Ok((worker, Report::Interval(interval))) => {
                self.connections[worker] = interval.connections;
                self.watch.progress.add(&interval, started);
                if let Some(slot) = self.ledger.add(worker, &interval) {
                    slot.server_anonymous_bytes = self.watch.probe.as_ref().and_then(Probe::memory_for_free);
                }
                Ok(None)
            }
            Ok((_, Report::Ready)) => Ok(Some(End::Ready)),
            Ok((_, Report::Done)) => Ok(Some(End::Done)),
            Ok((_, Report::Broken(fault))) => Err(fault),
            Err(RecvTimeoutError::Timeout) => Ok(None),
            Err(RecvTimeoutError::Disconnected) => Err(Fault::WorkerLost),
        }
    }

    fn wake_all(&self) {
        for waker in &self.wakers {
            // A worker that cannot be woken looks at the clock within a second.
            drop(waker.wake());
        }
    }

    fn end(&self, threads: Vec<JoinHandle<()>>) {
        self.shared.end_now.store(true, Ordering::Relaxed);
        self.wake_all();
        for thread in threads {
            // A worker that panicked has said so itself.
            drop(thread.join());
        }
    }
}

/// Steps that the main thread waits for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Ready,
    Done,
}
