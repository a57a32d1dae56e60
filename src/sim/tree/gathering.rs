//! What phones do together: they join parties, speak there, leave, and ask who is there; and what all of them must see once the links
//! are up again. What is chosen is chosen here; what must be true of it is in `company.rs`.

use crate::sim::judge::Breach;

use super::dial::PhoneNo;
use super::frame::{frame, frame_with};
use super::player::Player;

/// The party of an exchange that everybody in a run may join.
const ROOM: &str = "room";

/// Whoever broadcasts, which is nobody's business but his own exchange's.
pub const RADIO: &str = "radio";

/// While links may be lost.
impl Player {
    /// Somebody joins a party of some exchange, or leaves it, or says something there.
    pub(super) fn gather(&mut self) -> Result<(), Breach> {
        let phones = self.registered();
        if phones.is_empty() {
            return Ok(());
        }
        let phone = self.dice.pick(&phones);
        let exchange = self.below(self.world.exchanges.len());
        let any = format!("{ROOM}@{}", self.world.plan.exchanges[exchange].domain);
        let company = &mut self.world.judge.company;
        let party = company.parties.entry(phone).or_insert(any).clone();
        let Some(seat) = company.seats.get(&phone).cloned() else { return self.join(phone, &party) };
        match self.dice.below(10) {
            0 => self.world.ask(phone, frame("LEAVE", &[("party", &party)])),
            1 => self.join(phone, &party),
            _ if seat.is_in && !seat.waits => self.speak(phone, &party).map(drop),
            _ => Ok(()),
        }
    }

    fn join(&mut self, phone: PhoneNo, party: &str) -> Result<(), Breach> {
        self.world.ask(phone, frame("JOIN", &[("party", party)]))
    }

    /// A phone says something in a party that nobody has said before. Gives its number.
    fn speak(&mut self, phone: PhoneNo, party: &str) -> Result<u64, Breach> {
        let number = self.next_message();
        let data = number.to_string();
        self.world.ask(phone, frame("PARTY_MSG", &[("party", party), ("data", &data)]))?;
        Ok(number)
    }

    /// Somebody asks who is there.
    pub(super) fn look_around(&mut self) -> Result<(), Breach> {
        let phones = self.registered();
        if phones.is_empty() {
            return Ok(());
        }
        let (phone, exchange) = (self.dice.pick(&phones), self.below(self.world.exchanges.len()));
        self.look_at(phone, exchange)
    }

    fn look_at(&mut self, phone: PhoneNo, exchange: usize) -> Result<(), Breach> {
        let query = format!(r#"{{"domain":"{}"}}"#, self.world.plan.exchanges[exchange].domain);
        self.world.ask(phone, frame_with("PRESENCE", &[], "query", &query))
    }

    /// Somebody starts to broadcast.
    pub(super) fn broadcast(&mut self) -> Result<(), Breach> {
        let exchange = self.below(self.world.exchanges.len());
        let address = format!("{RADIO}@{}", self.world.plan.exchanges[exchange].domain);
        let is_there = self.world.phones.iter().any(|phone| phone.alive && phone.address == address);
        if is_there { Ok(()) } else { self.open_for(exchange, address, 3) }
    }

    /// Somebody calls a broadcaster of another exchange.
    pub(super) fn call_radio(&mut self) -> Result<(), Breach> {
        let phones = self.registered();
        if phones.is_empty() {
            return Ok(());
        }
        let (phone, exchange) = (self.dice.pick(&phones), self.below(self.world.exchanges.len()));
        if self.world.phones[phone].exchange == exchange {
            return Ok(());
        }
        let to = format!("{RADIO}@{}", self.world.plan.exchanges[exchange].domain);
        self.dial_to(phone, &to).map(drop)
    }
}

/// Once the links are up.
impl Player {
    /// One from each exchange, all new: together in a party, wherever that is, they all hear each other, and everybody sees who is
    /// there.
    pub(super) fn try_company(&mut self) -> Result<(), Breach> {
        let mut crowd = Vec::new();
        for exchange in 0..self.world.exchanges.len() {
            let address = format!("guest@{}", self.world.plan.exchanges[exchange].domain);
            self.open_for(exchange, address, 0)?;
            crowd.push(self.world.phones.len() - 1);
        }
        self.world.deliver_all()?;
        let host = self.below(self.world.exchanges.len());
        let party = format!("reunion@{}", self.world.plan.exchanges[host].domain);
        for &phone in &crowd {
            self.join(phone, &party)?;
        }
        self.world.deliver_all()?;
        let mut said = Vec::new();
        for &phone in &crowd {
            said.push((phone, self.speak(phone, &party)?));
        }
        self.world.deliver_all()?;
        for (speaker, number) in said {
            let mut hearers = self.world.judge.company.hearers(number).to_vec();
            hearers.sort_unstable();
            let others: Vec<_> = crowd.iter().copied().filter(|&phone| phone != speaker).collect();
            if hearers != others {
                let detail = format!("{speaker} was heard by {hearers:?} of {others:?} in {party}");
                return Err(Breach::new("all in a party hear what is said there", detail));
            }
        }
        crowd.into_iter().try_for_each(|phone| self.try_look(phone, host))
    }

    /// A phone sees who holds an address of an exchange, wherever it asks.
    fn try_look(&mut self, phone: PhoneNo, exchange: usize) -> Result<(), Breach> {
        self.look_at(phone, exchange)?;
        self.world.deliver_all()?;
        let holds = |number: &PhoneNo| {
            let other = &self.world.phones[*number];
            other.alive && other.held_since.is_some() && other.exchange == exchange && *number != phone
        };
        let all = (0..self.world.phones.len()).filter(holds);
        let mut there: Vec<_> = all.map(|number| self.world.phones[number].address.clone()).collect();
        let mut found = self.world.judge.company.found.remove(&phone).unwrap_or_default();
        there.sort_unstable();
        found.sort_unstable();
        let breach = || Breach::new("everybody who is there is seen", format!("{found:?} of {there:?}"));
        if found == there { Ok(()) } else { Err(breach()) }
    }
}
