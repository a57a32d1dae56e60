//! Calls: DIAL, RING, ANSWER, CONNECTED, HANGUP, and the next. One operation is a whole call.
//!
//! Client `2n` calls client `2n + 1`. Every frame is checked for its type and its call id.

use std::time::Instant;

use crate::fault::{Fault, unexpected};
use crate::fleet::{Fleet, Outgoing};
use crate::frames::{client_text, field};
use crate::scenario::{Kind, Scenario, Target};

/// The id of calls on the floor, which knows none.
const NO_ID: &[u8; 36] = b"00000000-0000-8000-8000-000000000000";

/// Whether the two ends of a pair are at home on the same shard.
#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
pub enum Route {
    /// On the same.
    Same,
    /// On two.
    Cross,
}

/// How pairs are laid over the shards of the server.
#[derive(Clone, Copy, Debug)]
pub struct Layout {
    /// Shards of the server.
    pub shards: usize,
    /// Where the ends of a pair are.
    pub route: Route,
}

/// What the caller of a pair waits for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    Dialled,
    Answered,
    Up,
    HungUp,
}

struct Pair {
    dial: Vec<u8>,
    call: [u8; 36],
    stage: Stage,
    rung: Instant,
}

/// Pairs that call.
pub struct Calls {
    kind: Kind,
    pairs: Vec<Pair>,
    /// Whether a call is ended as soon as it is up, and the next begun.
    again: bool,
    done: u64,
    /// Ring to CONNECTED, as the clients see it, in microseconds.
    pub ring_to_connected_us: Vec<u32>,
}

impl Calls {
    /// Registers pairs that will call again and again.
    pub fn join(fleet: &mut Fleet, target: Target, pairs: usize, layout: Layout) -> Result<Self, Fault> {
        let mut made = Vec::with_capacity(pairs);
        for pair in 0..pairs {
            let home = layout.shards * pair / pairs;
            let other = if layout.route == Route::Same { home } else { (home + 1) % layout.shards };
            // On the floor the names have to agree.
            let (caller, callee) = match target.kind {
                Kind::Hub => (name_at("caller", pair, home, layout), name_at("callee", pair, other, layout)),
                Kind::Floor => (format!("caller-{pair}@load.test"), format!("callee-{pair}@load.test")),
            };
            fleet.join(target.address, &caller, "")?;
            fleet.join(target.address, &callee, "")?;
            made.push(Pair {
                dial: client_text(format!(r#"{{"type":"DIAL","to":"{callee}"}}"#).as_bytes()),
                call: *NO_ID,
                stage: Stage::HungUp,
                rung: Instant::now(),
            });
        }
        Ok(Self { kind: target.kind, pairs: made, again: true, done: 0, ring_to_connected_us: Vec::new() })
    }

    /// Sets up one call for each pair and leaves it standing; gives their ids.
    pub fn establish(mut self, fleet: &mut Fleet) -> Result<Vec<[u8; 36]>, Fault> {
        self.again = false;
        self.start(&mut fleet.out);
        while self.pairs.iter().any(|pair| pair.stage != Stage::Up) {
            fleet.turn(|out, client, payload| self.on_frame(out, client, payload))?;
        }
        Ok(self.pairs.iter().map(|pair| pair.call).collect())
    }

    fn expect(&self, due: &'static str, on_floor: &'static str, came: &[u8]) -> Result<(), Fault> {
        let word = if self.kind == Kind::Hub { due } else { on_floor };
        if field(came, "type") == Some(word.as_bytes()) { Ok(()) } else { Err(unexpected(due, came)) }
    }

    fn on_callee_frame(&mut self, out: &mut Outgoing, client: usize, payload: &[u8]) -> Result<(), Fault> {
        let number = client / 2;
        match self.pairs[number].stage {
            Stage::Dialled => {
                self.expect("RING", "DIAL", payload)?;
                let pair = &mut self.pairs[number];
                if let Some(id) = field(payload, "call_id").and_then(|id| id.try_into().ok()) {
                    pair.call = id;
                }
                (pair.stage, pair.rung) = (Stage::Answered, Instant::now());
                out.send(client, &client_text(&about("ANSWER", &pair.call)));
            }
            Stage::HungUp => {
                self.expect("HANGUP", "HANGUP", payload)?;
                self.expect_id(number, payload)?;
                self.done += 1;
                let pair = &mut self.pairs[number];
                pair.stage = Stage::Dialled;
                out.send(client - 1, &pair.dial);
            }
            Stage::Answered | Stage::Up => return Err(unexpected("nothing", payload)),
        }
        Ok(())
    }

    fn on_caller_frame(&mut self, out: &mut Outgoing, client: usize, payload: &[u8]) -> Result<(), Fault> {
        let number = client / 2;
        if self.pairs[number].stage != Stage::Answered {
            return Err(unexpected("nothing", payload));
        }
        self.expect("CONNECTED", "ANSWER", payload)?;
        self.expect_id(number, payload)?;
        let pair = &mut self.pairs[number];
        self.ring_to_connected_us.push(pair.rung.elapsed().as_micros() as u32);
        pair.stage = if self.again { Stage::HungUp } else { Stage::Up };
        if self.again {
            out.send(client, &client_text(&about("HANGUP", &pair.call)));
        }
        Ok(())
    }

    fn expect_id(&self, number: usize, payload: &[u8]) -> Result<(), Fault> {
        let right = field(payload, "call_id").is_some_and(|id| id == self.pairs[number].call);
        if right { Ok(()) } else { Err(unexpected("another call id", payload)) }
    }
}

impl Scenario for Calls {
    fn start(&mut self, out: &mut Outgoing) {
        for (number, pair) in self.pairs.iter_mut().enumerate() {
            pair.stage = Stage::Dialled;
            out.send(2 * number, &pair.dial);
        }
    }

    fn on_frame(&mut self, out: &mut Outgoing, client: usize, payload: &[u8]) -> Result<(), Fault> {
        if client % 2 == 1 {
            self.on_callee_frame(out, client, payload)
        } else {
            self.on_caller_frame(out, client, payload)
        }
    }

    fn done(&self) -> u64 {
        self.done
    }
}

/// A frame that only names a call.
fn about(kind: &str, call: &[u8; 36]) -> Vec<u8> {
    let mut text = format!(r#"{{"type":"{kind}","call_id":""#).into_bytes();
    text.extend_from_slice(call);
    text.extend_from_slice(br#""}"#);
    text
}

/// A name whose home is a certain shard.
fn name_at(role: &str, pair: usize, shard: usize, layout: Layout) -> String {
    let names = (0..).map(|salt| format!("{role}-{pair}-{salt}@load.test"));
    let fits = |name: &String| systemx::exchange::address::home(name, layout.shards).index() == shard;
    names.into_iter().find(fits).expect("the hash reaches every shard")
}
