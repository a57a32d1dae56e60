//! What every closed-loop scenario has in common: clients that answer frames with frames, and a counted operation.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::fault::Fault;
use crate::fleet::{Fleet, Outgoing};
use crate::server::{Cpu, Server};

/// Runs before it is measured: buffers grow, caches fill.
const WARM_UP: Duration = Duration::from_millis(200);

/// Which protocol is to be expected of a server.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// SystemX.
    Hub,
    /// The floor: frames come as they were sent.
    Floor,
}

/// A server that is driven.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Where it listens.
    pub address: SocketAddr,
    /// How it behaves.
    pub kind: Kind,
}

/// A closed loop.
pub trait Scenario {
    /// Says the first words.
    fn start(&mut self, out: &mut Outgoing);
    /// Checks a frame and says what follows from it.
    fn on_frame(&mut self, out: &mut Outgoing, client: usize, payload: &[u8]) -> Result<(), Fault>;
    /// Operations completed so far.
    fn done(&self) -> u64;
}

/// What an operation costs.
#[derive(Clone, Copy, Default, Debug)]
pub struct Cost {
    /// Operations completed.
    pub operations: u64,
    /// Time that took.
    pub wall: Duration,
    /// The server's processor time meanwhile.
    pub cpu: Cpu,
}

impl Cost {
    /// Operations for each second of the server's processor time.
    pub fn per_cpu_second(&self) -> f64 {
        self.operations as f64 / self.cpu.total.as_secs_f64()
    }
}

/// Runs a scenario and measures its middle.
pub fn measure(
    fleet: &mut Fleet,
    scenario: &mut impl Scenario,
    server: &Server,
    seconds: f64,
) -> Result<Cost, Fault> {
    scenario.start(&mut fleet.out);
    run_for(fleet, scenario, WARM_UP)?;
    let (begun, cpu, done) = (Instant::now(), server.cpu()?, scenario.done());
    run_for(fleet, scenario, Duration::from_secs_f64(seconds))?;
    let cpu = server.cpu()? - cpu;
    let operations = scenario.done() - done;
    if operations == 0 {
        return Err(Fault::Stalled);
    }
    Ok(Cost { operations, wall: begun.elapsed(), cpu })
}

fn run_for(fleet: &mut Fleet, scenario: &mut impl Scenario, time: Duration) -> Result<(), Fault> {
    let until = Instant::now() + time;
    while Instant::now() < until {
        fleet.turn(|out, client, payload| scenario.on_frame(out, client, payload))?;
    }
    Ok(())
}
