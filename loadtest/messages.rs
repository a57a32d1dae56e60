//! Messages in standing calls: to and fro, or one way with many in flight. One operation is a message delivered.
//!
//! The call id of every message is checked, and in a flood its number too, so that none is lost, doubled or late.

use crate::calls::{Calls, Layout};
use crate::fault::{Fault, unexpected};
use crate::fleet::{Fleet, Outgoing};
use crate::frames::{client_text, field, find};
use crate::scenario::{Scenario, Target};

/// Room for the number at the head of the data.
const NUMBER_DIGITS: usize = 10;

/// Pairs that talk.
pub struct Messages {
    ids: Vec<[u8; 36]>,
    /// What is sent, for each pair.
    frames: Vec<Vec<u8>>,
    filler: String,
    /// 0: to and fro. Else one way, with so many in flight.
    in_flight: u64,
    sent: Vec<u64>,
    received: Vec<u64>,
    done: u64,
}

impl Messages {
    /// Sets up a call for each pair, for messages with so many bytes of data.
    pub fn join(
        fleet: &mut Fleet,
        target: Target,
        (pairs, bytes, in_flight): (usize, usize, u64),
        layout: Layout,
    ) -> Result<Self, Fault> {
        let ids = Calls::join(fleet, target, pairs, layout)?.establish(fleet)?;
        let filler = "x".repeat(bytes - NUMBER_DIGITS);
        let frames = ids.iter().map(|id| client_text(&message(id, 0, &filler))).collect();
        let none = vec![0; pairs];
        Ok(Self { ids, frames, filler, in_flight, sent: none.clone(), received: none, done: 0 })
    }

    fn flood(&mut self, out: &mut Outgoing, pair: usize) {
        while self.sent[pair] - self.received[pair] < self.in_flight {
            out.send(2 * pair, &client_text(&message(&self.ids[pair], self.sent[pair], &self.filler)));
            self.sent[pair] += 1;
        }
    }
}

impl Scenario for Messages {
    fn start(&mut self, out: &mut Outgoing) {
        for pair in 0..self.ids.len() {
            if self.in_flight > 0 {
                self.flood(out, pair);
            } else {
                out.send(2 * pair, &self.frames[pair]);
            }
        }
    }

    fn on_frame(&mut self, out: &mut Outgoing, client: usize, payload: &[u8]) -> Result<(), Fault> {
        let pair = client / 2;
        let head = &payload[..payload.len().min(256)];
        if field(head, "type") != Some(b"MSG") || field(head, "call_id") != Some(&self.ids[pair]) {
            return Err(unexpected("MSG of this call", payload));
        }
        self.done += 1;
        if self.in_flight == 0 {
            out.send(client, &self.frames[pair]);
            return Ok(());
        }
        let number = find(head, br#""data":""#).and_then(|at| head.get(at + 8..at + 8 + NUMBER_DIGITS));
        if number != Some(format!("{:0NUMBER_DIGITS$}", self.received[pair]).as_bytes()) {
            return Err(unexpected("the next message", payload));
        }
        self.received[pair] += 1;
        // In halves: what is freed is refilled by many frames in one write.
        if self.sent[pair] - self.received[pair] <= self.in_flight / 2 {
            self.flood(out, pair);
        }
        Ok(())
    }

    fn done(&self) -> u64 {
        self.done
    }
}

fn message(id: &[u8; 36], number: u64, filler: &str) -> Vec<u8> {
    let id = String::from_utf8_lossy(id);
    format!(r#"{{"type":"MSG","call_id":"{id}","data":"{number:0NUMBER_DIGITS$}{filler}"}}"#).into_bytes()
}
