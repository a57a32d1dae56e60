//! Party lines in the model (section 17).

use crate::exchange::cause::Cause;
use crate::sim::client::{ClientNo, Heard, Want};

use super::Model;

impl Model {
    pub(super) fn ask_party(&mut self, client: ClientNo, want: &Want, registered: bool) {
        if !registered {
            return self.refuse(client, want, Cause::NotRegistered);
        }
        match want {
            Want::Join { party, create_if_missing } => {
                match self.objection_to_join(client, party, *create_if_missing) {
                    Some(cause) => self.refuse(client, want, cause),
                    None => self.join(client, party),
                }
            }
            Want::PartyMessage { party, data } if self.is_member(client, party) => {
                let from = self.address(client);
                for member in self.members(party).into_iter().filter(|&member| member != client) {
                    let (party, from, data) = (party.clone(), from.clone(), data.clone());
                    self.hear(member, Heard::PartyMessage { party, from, data });
                }
            }
            Want::Leave { party } if self.is_member(client, party) => {
                let parties = self.parties.iter_mut().filter(|(name, _)| name == party);
                parties.for_each(|(_, members)| members.retain(|&member| member != client));
                self.parties.retain(|(_, members)| !members.is_empty());
            }
            _ => self.refuse(client, want, Cause::NotInParty),
        }
    }

    fn members(&self, party: &str) -> Vec<ClientNo> {
        let found = self.parties.iter().find(|(name, _)| name == party);
        found.map_or_else(Vec::new, |(_, members)| members.clone())
    }

    fn is_member(&self, client: ClientNo, party: &str) -> bool {
        self.members(party).contains(&client)
    }

    fn objection_to_join(&self, client: ClientNo, party: &str, create: bool) -> Option<Cause> {
        if self.is_member(client, party) {
            return None;
        }
        let mine = self.parties.iter().filter(|(_, members)| members.contains(&client)).count();
        let members = self.members(party).len();
        if mine >= self.limits.parties_per_line_max {
            Some(Cause::TooManyParties)
        } else if members == 0 && !create {
            Some(Cause::NoSuchParty)
        } else {
            (members >= self.limits.party_members_max).then_some(Cause::PartyFull)
        }
    }

    fn join(&mut self, client: ClientNo, party: &str) {
        match self.parties.iter_mut().find(|(name, _)| name == party) {
            Some((_, members)) if members.contains(&client) => {}
            Some((_, members)) => members.push(client),
            None => self.parties.push((party.to_owned(), vec![client])),
        }
        let participants = self.members(party).into_iter().map(|member| self.address(member)).collect();
        self.hear(client, Heard::Joined { party: party.to_owned(), participants });
    }
}
