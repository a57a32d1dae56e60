//! Registered clients that do nothing: what one costs in memory, and what its heartbeats cost.

use crate::fault::{Fault, unexpected};
use crate::fleet::{Fleet, Outgoing};
use crate::frames::{client_text, field};
use crate::scenario::{Kind, Scenario, Target};
use crate::server::Server;

/// Clients that send a heartbeat as soon as the last was acknowledged.
pub struct Heartbeats {
    kind: Kind,
    clients: usize,
    frame: Vec<u8>,
    done: u64,
}

impl Heartbeats {
    /// Registers the clients.
    pub fn join(fleet: &mut Fleet, target: Target, clients: usize) -> Result<Self, Fault> {
        join_idle(fleet, target, clients)?;
        Ok(Self { kind: target.kind, clients, frame: client_text(br#"{"type":"HEARTBEAT"}"#), done: 0 })
    }
}

impl Scenario for Heartbeats {
    fn start(&mut self, out: &mut Outgoing) {
        (0..self.clients).for_each(|client| out.send(client, &self.frame));
    }

    fn on_frame(&mut self, out: &mut Outgoing, client: usize, payload: &[u8]) -> Result<(), Fault> {
        let due = if self.kind == Kind::Hub { "HEARTBEAT_ACK" } else { "HEARTBEAT" };
        if field(payload, "type") != Some(due.as_bytes()) {
            return Err(unexpected("HEARTBEAT_ACK", payload));
        }
        self.done += 1;
        out.send(client, &self.frame);
        Ok(())
    }

    fn done(&self) -> u64 {
        self.done
    }
}

/// The server's anonymous memory for each of so many registered clients, in bytes.
pub fn idle_bytes(target: Target, server: &Server, clients: usize) -> Result<f64, Fault> {
    let before = server.anonymous_bytes()?;
    let mut fleet = Fleet::new()?;
    join_idle(&mut fleet, target, clients)?;
    let grown = server.anonymous_bytes()?.saturating_sub(before);
    Ok(grown as f64 / clients as f64)
}

/// Addresses of 30 bytes.
fn join_idle(fleet: &mut Fleet, target: Target, clients: usize) -> Result<(), Fault> {
    for number in 0..clients {
        fleet.join(target.address, &format!("idle-{number:08}@clients.load.test"), "")?;
    }
    Ok(())
}
