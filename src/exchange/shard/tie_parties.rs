//! Party lines across exchanges, on the tie line's shard (spec section 19.7).
//!
//! What a tie line says goes to the home of the party, what the home says goes out. Between them this shard keeps who has a
//! seat by way of the tie line and which parties it leads to, so that it says nothing about parties it has nothing to do
//! with, and its loss is told to those only that it concerns. Without `from` a tie line speaks for itself, as any line.

use std::sync::Arc;

use crate::exchange::address::Address;
use crate::exchange::cause::Cause;
use crate::exchange::effect::{Notice, Outbox};
use crate::exchange::ids::LineId;
use crate::exchange::press::weight;
use crate::exchange::signal::Signal;
use crate::exchange::tie::{Tie, TieNotice};
use crate::exchange::tie_party::{PartyTalk, PartyWord, TieParties, TieTalk};
use crate::exchange::time::Moment;

use super::Shard;

impl Shard {
    /// The other exchange says something about a party.
    pub(super) fn hear_of_party(&mut self, now: Moment, tie: LineId, talk: PartyTalk, out: &mut Outbox<'_>) {
        let PartyTalk { party, word } = talk;
        let members_max = self.limits.party_members_max;
        let Some(parties) = self.tie_parties(tie) else { return };
        let word = match word {
            word @ PartyWord::Join { .. } => return self.seat_far(tie, PartyTalk { party, word }, out),
            PartyWord::Leave { from } => {
                if !parties.rise(&party, &from) {
                    return self.leave_if_own(now, tie, &party, &from, out);
                }
                PartyWord::Leave { from }
            }
            PartyWord::Says { from, data, content_type } => {
                if !parties.leads_to(&party) && parties.ticket(&party, &from).is_none() {
                    if self.address_of(tie) == Some(&from) {
                        self.say_in_party(tie, party.as_str(), data.as_deref(), content_type, out);
                    }
                    return;
                }
                PartyWord::Says { from, data, content_type }
            }
            PartyWord::Joined { .. } | PartyWord::Failed { .. } if !parties.leads_to(&party) => return,
            PartyWord::Joined { to, participants } if participants.len() > members_max => {
                PartyWord::Joined { to, participants: Arc::from(&participants[..members_max]) }
            }
            other => other,
        };
        self.bring_home(tie, 0, party, word, out);
    }

    /// JOIN_FORWARD: somebody there wants into a party here, or beyond.
    fn seat_far(&mut self, tie: LineId, talk: PartyTalk, out: &mut Outbox<'_>) {
        let PartyTalk { party, word } = talk;
        let PartyWord::Join { from, .. } = &word else { return };
        let ticket = self.next_ticket();
        let (kept_party, kept_from) = (party.detached(), from.detached());
        let may_join = self.may_dial_from(tie, from.as_str(), party.as_str());
        let parties = self.tie_parties(tie).filter(|_| may_join);
        if parties.is_some_and(|parties| parties.sit(&kept_party, &kept_from, ticket)) {
            return self.bring_home(tie, ticket, party, word, out);
        }
        let cause = if may_join { Cause::TooManyParties } else { Cause::Forbidden };
        let word = PartyWord::Failed { to: Some(from.clone()), cause };
        out.notify(tie, Notice::Tie(TieNotice::Party(Box::new(PartyTalk { party, word }))));
    }

    fn leave_if_own(
        &mut self,
        now: Moment,
        tie: LineId,
        party: &Address,
        from: &Address,
        out: &mut Outbox<'_>,
    ) {
        if self.address_of(tie) == Some(from) {
            self.leave(now, tie, party.as_str(), out);
        }
    }

    fn bring_home(
        &mut self,
        tie: LineId,
        ticket: u32,
        party: Address,
        word: PartyWord,
        out: &mut Outbox<'_>,
    ) {
        let home = self.home(party.as_str());
        let talk = TieTalk { tie, ticket, talk: PartyTalk { party, word } };
        self.send(home, Signal::PartyHeard(Box::new(talk)), out);
    }

    /// The home of a party has something to say to the other exchange. What it could not know it did not say in vain: the
    /// tie line may be gone, and a participant may have left.
    pub(super) fn on_party_told(&mut self, talk: TieTalk, out: &mut Outbox<'_>) {
        let TieTalk { tie, ticket, talk: PartyTalk { party, word } } = talk;
        let is_congested = self.lines.get(tie.0).is_some_and(|line| line.congested);
        let Some(parties) = self.tie_parties(tie) else {
            if matches!(word, PartyWord::Join { .. }) {
                self.send(self.home(party.as_str()), Signal::PartyCut { tie, party }, out);
            }
            return;
        };
        let is_due = match &word {
            PartyWord::Join { from, .. } => {
                if !parties.lead(&party) {
                    let word = PartyWord::Failed { to: Some(from.clone()), cause: Cause::TooManyParties };
                    return self.bring_home(tie, 0, party, word, out);
                }
                true
            }
            PartyWord::Leave { .. } => parties.leads_to(&party),
            PartyWord::Says { from, data, .. } => {
                let is_due = parties.knows(&party);
                // Nobody presses on a line that takes what it is sent.
                if is_due && is_congested {
                    parties.speakers.count(&party, from, weight(data.as_deref()));
                }
                is_due
            }
            PartyWord::Joined { to, .. } => has_seat(parties, &party, to.as_ref(), ticket),
            PartyWord::Failed { to, .. } => {
                let has_seat = has_seat(parties, &party, to.as_ref(), ticket);
                if let Some(to) = to.as_ref().filter(|_| has_seat) {
                    parties.rise(&party, to);
                }
                has_seat
            }
        };
        if is_due {
            out.notify(tie, Notice::Tie(TieNotice::Party(Box::new(PartyTalk { party, word }))));
        }
    }

    pub(super) fn on_party_done(&mut self, tie: LineId, party: &Address) {
        if let Some(parties) = self.tie_parties(tie) {
            parties.stop_leading(party);
        }
    }

    /// A tie line is lost, and each party that has to do with it hears of it.
    pub(super) fn cut_parties(&mut self, line: LineId, tie: &Tie, out: &mut Outbox<'_>) {
        for party in tie.parties.names() {
            self.send(self.home(party.as_str()), Signal::PartyCut { tie: line, party }, out);
        }
    }

    pub(super) fn tie_parties(&mut self, tie: LineId) -> Option<&mut TieParties> {
        Some(&mut self.lines.get_mut(tie.0)?.tie_mut()?.parties)
    }
}

/// Whether a participant's last JOIN is the one that is answered.
fn has_seat(parties: &TieParties, party: &Address, participant: Option<&Address>, ticket: u32) -> bool {
    participant.and_then(|participant| parties.ticket(party, participant)) == Some(ticket)
}
