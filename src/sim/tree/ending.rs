//! The end of a run: everything comes to rest, calls that are up are tried, everybody goes, and nothing may be left.
//!
//! What is silent stays silent in some runs, so that exchanges have to find out by themselves. Between the steps everything is
//! delivered, so that the shards' own invariants can be looked at together.

use crate::exchange::event::{Loss, WakeOutcome};
use crate::exchange::shard::Counts;

use crate::sim::judge::Breach;

use super::dial::{CALLEE, CALLER, Stage};
use super::frame::frame;
use super::link;
use super::player::Player;

/// Longer than any silence is borne, any agent waited for and any call rings, one after the other, in ms.
const REST_MS: u64 = 200_000;
/// Long enough for what is left once everybody has gone, in ms.
const LAST_MS: u64 = 60_000;

impl Player {
    /// Lets everything come to its end.
    ///
    /// # Errors
    /// The first rule that was broken.
    pub fn end(&mut self) -> Result<(), Breach> {
        self.rest()?;
        self.try_calls()?;
        self.try_links()?;
        self.everybody_goes()?;
        self.links_go()
    }

    fn rest(&mut self) -> Result<(), Breach> {
        self.world.tell(|| "everything comes to rest".to_owned());
        let is_healed = self.dice.chance(50);
        for conn in 0..self.world.conns.len() {
            self.world.conns[conn].silent &= !is_healed;
        }
        self.drain()?;
        self.world.pass(REST_MS, true)?;
        self.world.deliver_all()?;
        self.check();
        self.world.judge.judge_rest()
    }

    fn drain(&mut self) -> Result<(), Breach> {
        self.world.exchanges.iter_mut().for_each(super::exchange::Exchange::drain_all);
        // What that has made them say is carried on with the next moment.
        self.world.pass(1, true)?;
        self.world.deliver_all()
    }

    fn check(&self) {
        self.world.exchanges.iter().for_each(super::exchange::Exchange::check);
    }

    /// Whoever is in a call is heard by the other side: a call that is up on both sides has its link still.
    fn try_calls(&mut self) -> Result<(), Breach> {
        let dials = self.world.judge.dials.iter().enumerate();
        let is_up = |end: usize| move |dial: &super::dial::Dial| dial.ends[end].stage == Stage::Up;
        let up: Vec<_> = dials
            .filter(|(_, dial)| !dial.is_evil && is_up(CALLER)(dial) && is_up(CALLEE)(dial))
            .map(|(number, _)| number)
            .collect();
        for &dial in &up {
            for end in [CALLER, CALLEE] {
                if let Some(phone) = self.world.judge.dials[dial].ends[end].phone {
                    self.say_as(phone, dial, end)?;
                }
            }
        }
        self.world.deliver_all()?;
        for dial in up {
            let dial = &self.world.judge.dials[dial];
            let has_all = |end: usize| dial.ends[end].heard == dial.ends[1 - end].said.len();
            if !has_all(CALLER) || !has_all(CALLEE) {
                return Err(Breach::new("no call outlives its link", format!("{dial:?}")));
            }
        }
        Ok(())
    }

    /// Links come back, over the old ones if need be, and calls pass again.
    fn try_links(&mut self) -> Result<(), Breach> {
        self.world.tell(|| "the links come back".to_owned());
        for conn in 0..self.world.conns.len() {
            if self.world.conns[conn].silent || self.world.conns[conn].broken {
                self.world.break_off(conn);
                self.world.notice(conn, link::CALLER, Loss::Vanished)?;
            }
        }
        for link in 0..self.world.plan.links.len() {
            self.connect(link)?;
        }
        self.world.deliver_all()?;
        self.check();
        // With second ways, careless announcements may lead anywhere.
        if self.world.plan.has_second_ways {
            return Ok(());
        }
        self.try_dial()?;
        if self.world.plan.is_sociable { self.try_company() } else { Ok(()) }
    }

    /// Two who were not there before call each other.
    fn try_dial(&mut self) -> Result<(), Breach> {
        let mut phones = [0; 2];
        for (name, phone) in ["first", "second"].iter().zip(&mut phones) {
            let exchange = self.below(self.world.exchanges.len());
            let address = format!("{name}@{}", self.world.plan.exchanges[exchange].domain);
            self.open_for(exchange, address, 0)?;
            *phone = self.world.phones.len() - 1;
        }
        self.world.deliver_all()?;
        let to = self.world.phones[phones[1]].address.clone();
        let dial = self.dial_to(phones[0], &to)?;
        self.world.deliver_all()?;
        self.answer_as(phones[1], dial, CALLEE)?;
        self.world.deliver_all()?;
        let dial = &self.world.judge.dials[dial];
        let is_up = dial.ends.iter().all(|end| end.stage == Stage::Up);
        let breach = || Breach::new("links that come back carry calls", format!("{dial:?}"));
        if is_up { Ok(()) } else { Err(breach()) }
    }

    fn everybody_goes(&mut self) -> Result<(), Breach> {
        self.world.tell(|| "everybody goes".to_owned());
        self.world.lose_evil()?;
        let manner = self.dice.below(3);
        for phone in self.world.alive() {
            match manner {
                0 => self.world.lose_phone(phone, Loss::Closed)?,
                1 => self.world.ask(phone, frame("UNREGISTER", &[]))?,
                _ => self.end_calls(phone)?,
            }
        }
        self.drain()?;
        for exchange in 0..self.world.exchanges.len() {
            while !self.world.exchanges[exchange].wakes.is_empty() {
                self.world.end_wake(exchange, 0, WakeOutcome::Failed)?;
            }
        }
        self.world.deliver_all()?;
        self.world.pass(LAST_MS, true)?;
        self.check();
        self.judge_leftovers(manner == 2)
    }

    fn end_calls(&mut self, phone: usize) -> Result<(), Breach> {
        let stages = [Stage::Dialling, Stage::Ringing, Stage::Up];
        let calls = super::dial::calls_in(&self.world.phones[phone], &self.world.judge.dials, &stages);
        calls.into_iter().try_for_each(|(dial, end)| self.hang_up_as(phone, dial, end))
    }

    /// Nothing of any call may be left anywhere.
    fn judge_leftovers(&self, phones_stay: bool) -> Result<(), Breach> {
        for (number, exchange) in self.world.exchanges.iter().enumerate() {
            let ends = self.world.conns.iter().flat_map(|conn| conn.ends);
            let open = ends.filter(|end| end.open && end.exchange == number).count();
            let outbound = self.world.conns.iter().map(|conn| conn.ends[link::CALLER]);
            let heartbeats = outbound.filter(|end| end.open && end.exchange == number).count();
            let sum = |count: fn(&Counts) -> usize| -> usize {
                exchange.shards().iter().map(|shard| count(&shard.counts())).sum()
            };
            let found = [
                sum(|counts| counts.legs),
                sum(|counts| counts.records),
                sum(|counts| counts.runs),
                sum(|counts| counts.timers),
            ];
            let lines = sum(|counts| counts.lines);
            let company = sum(|counts| counts.parties + counts.audiences);
            let fits = found == [0, 0, 0, heartbeats] && (phones_stay || (lines, company) == (open, 0));
            if !fits || !exchange.knows_no_names() {
                let named = !exchange.knows_no_names();
                let detail = format!(
                    "exchange {number} has [legs, records, wakes, timers] {found:?} with {heartbeats} outbound links; \
                     {lines} lines for {open} ends of links; {company} parties and audiences; names of calls: {named}"
                );
                return Err(Breach::new("nothing is left of calls that are over", detail));
            }
        }
        Ok(())
    }

    fn links_go(&mut self) -> Result<(), Breach> {
        self.world.tell(|| "the links go".to_owned());
        for phone in self.world.alive() {
            self.world.lose_phone(phone, Loss::Closed)?;
        }
        for conn in 0..self.world.conns.len() {
            self.world.break_off(conn);
            self.world.notice(conn, 0, Loss::Closed)?;
            self.world.notice(conn, 1, Loss::Vanished)?;
        }
        self.world.deliver_all()?;
        self.world.pass(LAST_MS, true)?;
        self.check();
        self.judge_leftovers(false)
    }
}
