//! Rules about drains: who is sent away when, at what pace, and with which word of when to come back.
//!
//! They hold in any weather and for any number of shards, so they ask for what every client can know by itself. The
//! pace is a range: how many go in a step is the shard's choice, how many go in any time is not. Exact words and the
//! moment by which somebody must have gone are the model's (`model/drain.rs`).

use std::collections::BTreeMap;

use crate::exchange::Tick;
use crate::exchange::cause::Cause;
use crate::exchange::event::DrainOrder;
use crate::exchange::ids::ShardId;
use crate::sim::client::{ClientNo, Heard};

use super::calls::Calls;
use super::parties::Parties;
use super::{Breach, must};

/// Lines of a shard that may go in a second however few there are.
const PACE_MIN: u64 = 50;
/// What may have been saved up before a line goes: the time of two steps, in ms, and one line.
const SAVED_MS: u64 = 20;
const MS_PER_SECOND: u64 = 1000;
/// Among so many hints there are two different ones, unless nobody has thrown dice.
const HINTS_ENOUGH: usize = 8;

/// Whether the exchange is about to stop, and who went so far.
#[derive(Default, Debug)]
pub struct Drain {
    stage: Stage,
    shards: BTreeMap<usize, Departures>,
    hints: Vec<u64>,
}

#[derive(Clone, Copy, Default, Debug)]
enum Stage {
    #[default]
    None,
    UnderWay {
        order: DrainOrder,
        begun: Tick,
    },
    Over(Option<DrainOrder>),
}

/// Who went from one shard.
#[derive(Default, Debug)]
struct Departures {
    /// Lines that may go in a second.
    pace: u64,
    at: Vec<Tick>,
}

impl Drain {
    /// It begins, with so many lines on each shard.
    pub fn begin(&mut self, order: DrainOrder, lines: &[usize], now: Tick) {
        self.stage = Stage::UnderWay { order, begun: now };
        for (shard, &lines) in lines.iter().enumerate() {
            let evenly = (lines as u64 * MS_PER_SECOND).div_ceil(order.spread_ms);
            let departures = Departures { pace: evenly.max(PACE_MIN), at: Vec::new() };
            self.shards.insert(shard, departures);
        }
    }

    /// The exchange stops.
    pub fn end(&mut self) {
        self.stage = match self.stage {
            Stage::UnderWay { order, .. } => Stage::Over(Some(order)),
            Stage::None | Stage::Over(_) => Stage::Over(None),
        };
    }

    /// A shard sends a line away.
    ///
    /// # Errors
    /// If too many go at a time, nobody is to go, or what the line is told is wrong.
    pub fn note_departure(
        &mut self,
        client: ClientNo,
        shard: ShardId,
        retry_after_ms: u64,
        now: Tick,
    ) -> Result<(), Breach> {
        let (Stage::UnderWay { order, .. } | Stage::Over(Some(order))) = self.stage else {
            return Err(Breach::new("nobody is sent away but in a drain", format!("client {client}")));
        };
        let hints = order.retry_ms..=2 * order.retry_ms;
        must(hints.contains(&retry_after_ms), "a hint is within its bounds", || {
            format!("client {client} is to come back after {retry_after_ms} ms, {order:?}")
        })?;
        self.hints.push(retry_after_ms);
        let is_spread =
            self.hints.len() < HINTS_ENOUGH || self.hints.iter().any(|&hint| hint != self.hints[0]);
        must(is_spread, "hints are spread", || format!("all are {retry_after_ms} ms"))?;
        let Stage::UnderWay { begun, .. } = self.stage else { return Ok(()) };
        let departures = self.shards.entry(shard.index()).or_default();
        departures.at.push(now);
        departures.judge(begun, now)
    }

    /// A client hears something.
    ///
    /// # Errors
    /// If it is in a call, and would lose it; if it goes before its time; if it is told what no drain says.
    pub fn judge(
        &self,
        client: ClientNo,
        heard: &Heard,
        calls: &Calls,
        parties: &Parties,
        now: Tick,
    ) -> Result<(), Breach> {
        let told = |rule: &'static str, holds: bool| {
            must(holds, rule, || format!("client {client} hears {heard:?}, {:?}", self.stage))
        };
        match (self.stage, heard) {
            (Stage::Over(_), _) => Ok(()),
            (Stage::None, Heard::Closed(Cause::Restarting)) => {
                told("nobody is sent away but in a drain", false)
            }
            (Stage::UnderWay { order, begun }, Heard::Closed(Cause::Restarting)) => {
                told("a drain waits for calls", !calls.talks(client))?;
                let is_late = now >= begun.plus_millis(order.spread_ms);
                let stands = parties.seats(client) || calls.broadcasts(client);
                told("parties and broadcasts go after the idle", is_late || !stands)
            }
            (_, Heard::HungUp { call, reason, .. }) if reason == Cause::Shutdown.name() => {
                told("a drain waits for calls", !calls.is_of_two(client, *call))
            }
            _ => Ok(()),
        }
    }

    /// A wake handler is started.
    ///
    /// # Errors
    /// If whom it wakes would not be let in.
    pub fn judge_wake(&self) -> Result<(), Breach> {
        let is_open = matches!(self.stage, Stage::None);
        must(is_open, "nobody is woken in a drain", || format!("{:?}", self.stage))
    }
}

impl Departures {
    /// Whether the last one went no sooner than the pace allows, counted from any one before.
    fn judge(&self, begun: Tick, now: Tick) -> Result<(), Breach> {
        let since = |from: Tick| self.pace * (now.millis() - from.millis());
        let all = self.at.len() as u64 * MS_PER_SECOND;
        must(all <= MS_PER_SECOND + since(begun), "a drain keeps its pace", || {
            format!("{self:?} since {begun:?}")
        })?;
        let most = self.pace * SAVED_MS + MS_PER_SECOND;
        for (nth, &from) in self.at.iter().enumerate() {
            let gone = (self.at.len() - nth) as u64 * MS_PER_SECOND;
            must(gone <= most + since(from), "a drain keeps its pace", || {
                format!("{self:?} since {from:?}")
            })?;
        }
        Ok(())
    }
}
