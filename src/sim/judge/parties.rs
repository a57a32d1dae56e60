//! Rules about party lines.
//!
//! Who counts as a member is what the client itself can know: from JOINED to its own LEAVE. What a member says is
//! sure to be heard by everybody who was a member before it was said and still is.

use std::collections::BTreeMap;

use crate::sim::client::{ClientNo, Heard, Want};

use super::{Breach, must};

#[derive(Default, Debug)]
struct Seat {
    member: bool,
    /// How much had been said in the party when it became one.
    since: usize,
    /// The last that it has heard, by speaker: a place in the party's list.
    heard: BTreeMap<ClientNo, usize>,
}

#[derive(Debug)]
struct Words {
    speaker: ClientNo,
    data: String,
    /// Whether the speaker knew itself to be a member.
    sure: bool,
}

/// All parties of a run.
#[derive(Default, Debug)]
pub struct Parties {
    seats: BTreeMap<(String, ClientNo), Seat>,
    said: BTreeMap<String, Vec<Words>>,
}

impl Parties {
    /// A shard has been given a request.
    pub fn note_handed(&mut self, client: ClientNo, want: &Want) {
        match want {
            Want::PartyMessage { party, data } => {
                let sure = self.seats.get(&(party.clone(), client)).is_some_and(|seat| seat.member);
                let words = Words { speaker: client, data: data.clone(), sure };
                self.said.entry(party.clone()).or_default().push(words);
            }
            Want::Leave { party } => {
                self.seats.remove(&(party.clone(), client));
            }
            _ => {}
        }
    }

    /// A client has heard something.
    ///
    /// # Errors
    /// The rule that it breaks.
    pub fn note_heard(&mut self, client: ClientNo, heard: &Heard) -> Result<(), Breach> {
        match heard {
            Heard::Joined { party, .. } => {
                let since = self.said.get(party).map_or(0, Vec::len);
                let seat = self.seats.entry((party.clone(), client)).or_default();
                if !seat.member {
                    *seat = Seat { member: true, since, heard: BTreeMap::new() };
                }
                Ok(())
            }
            Heard::PartyMessage { party, data, .. } => self.message(client, party, data),
            _ => Ok(()),
        }
    }

    fn message(&mut self, client: ClientNo, party: &str, data: &str) -> Result<(), Breach> {
        let seat = self.seats.get_mut(&(party.to_owned(), client)).filter(|seat| seat.member);
        let Some(seat) = seat else {
            return Err(Breach::new(
                "only members hear a party",
                format!("client {client}, {party}, {data}"),
            ));
        };
        let said = self.said.get(party).map_or(&[][..], Vec::as_slice);
        let found = said.iter().enumerate().find(|(_, words)| words.data == data && words.speaker != client);
        let Some((at, words)) = found else {
            return Err(Breach::new(
                "what is heard in a party was said there",
                format!("client {client}, {data}"),
            ));
        };
        let before = seat.heard.insert(words.speaker, at);
        must(before.is_none_or(|before| before < at), "party messages come in order and once", || {
            format!("client {client}, {party}, {data}")
        })?;
        let from = before.map_or(seat.since, |before| before + 1);
        let mut missed = said.get(from..at).unwrap_or_default().iter();
        let missed = missed.rfind(|missed| missed.sure && missed.speaker == words.speaker);
        must(missed.is_none(), "no party message is lost", || format!("client {client} missed {missed:?}"))
    }

    /// Whether a client knows itself to be a member of any.
    pub fn seats(&self, client: ClientNo) -> bool {
        self.seats.iter().any(|((_, by), seat)| *by == client && seat.member)
    }

    /// A client is gone.
    pub fn bury(&mut self, client: ClientNo) {
        self.seats.retain(|(_, by), _| *by != client);
    }

    /// Nothing is on its way: everything sure has been heard.
    ///
    /// # Errors
    /// If something has not.
    pub fn judge_calm(&self, gone: &[bool]) -> Result<(), Breach> {
        for ((party, client), seat) in
            self.seats.iter().filter(|((_, client), seat)| seat.member && !gone[*client])
        {
            let said = self.said.get(party).map_or(&[][..], Vec::as_slice);
            let missed = said.iter().enumerate().skip(seat.since).find(|(at, words)| {
                words.sure
                    && words.speaker != *client
                    && seat.heard.get(&words.speaker).is_none_or(|last| last < at)
            });
            must(missed.is_none(), "no party message is lost", || {
                format!("client {client} of {party} missed {missed:?}")
            })?;
        }
        Ok(())
    }
}
