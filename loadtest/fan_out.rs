//! One broadcaster, many listeners. One operation is a delivery; the next message goes when all have the last.

use crate::fault::{Fault, unexpected};
use crate::fleet::{Fleet, Outgoing};
use crate::frames::{client_text, field};
use crate::scenario::{Kind, Scenario, Target};

const SPEAKER: usize = 0;

/// A broadcaster, client 0, and its listeners.
pub struct FanOut {
    frame: Vec<u8>,
    listeners: usize,
    /// Messages each client has got.
    heard: Vec<u64>,
    said: u64,
    done: u64,
}

impl FanOut {
    /// Registers the broadcaster and has every listener dial it.
    pub fn join(fleet: &mut Fleet, target: Target, listeners: usize) -> Result<Self, Fault> {
        let extra = format!(r#","concurrency":"broadcast","max_listeners":{listeners}"#);
        fleet.join(target.address, "speaker@load.test", &extra)?;
        for number in 0..listeners {
            fleet.join(target.address, &format!("listener-{number}@load.test"), "")?;
        }
        let session = if target.kind == Kind::Hub { dial_in(fleet, listeners)? } else { String::new() };
        let data = "x".repeat(64);
        let frame = format!(r#"{{"type":"MSG","call_id":"{session}","data":"{data}"}}"#);
        let heard = vec![0; listeners + 1];
        Ok(Self { frame: client_text(frame.as_bytes()), listeners, heard, said: 0, done: 0 })
    }
}

/// Every listener dials; the session's id is in each CONNECTED.
fn dial_in(fleet: &mut Fleet, listeners: usize) -> Result<String, Fault> {
    let dial = client_text(br#"{"type":"DIAL","to":"speaker@load.test"}"#);
    for listener in 1..=listeners {
        fleet.out.send(listener, &dial);
    }
    let (mut session, mut frames) = (String::new(), 0);
    // CONNECTED for each listener, RING for each at the broadcaster.
    while frames < 2 * listeners {
        fleet.turn(|_, client, payload| {
            frames += 1;
            let due = if client == SPEAKER { "RING" } else { "CONNECTED" };
            if field(payload, "type") != Some(due.as_bytes()) {
                return Err(unexpected(due, payload));
            }
            if client != SPEAKER {
                session = String::from_utf8_lossy(field(payload, "call_id").unwrap_or_default()).into_owned();
            }
            Ok(())
        })?;
    }
    Ok(session)
}

impl Scenario for FanOut {
    fn start(&mut self, out: &mut Outgoing) {
        self.said += 1;
        out.send(SPEAKER, &self.frame);
    }

    fn on_frame(&mut self, out: &mut Outgoing, client: usize, payload: &[u8]) -> Result<(), Fault> {
        self.heard[client] += 1;
        if client == SPEAKER || self.heard[client] != self.said || field(payload, "type") != Some(b"MSG") {
            return Err(unexpected("one MSG for each listener", payload));
        }
        self.done += 1;
        if self.done == self.said * self.listeners as u64 {
            self.start(out);
        }
        Ok(())
    }

    fn done(&self) -> u64 {
        self.done
    }
}
