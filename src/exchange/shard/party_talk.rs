//! What is said in a party line, and what tie lines say about it (spec sections 17, 19.7).
//!
//! Who is in is `hosting.rs`'s matter. Here words go round: from a member to the host, from the host to all others, each tie
//! line once; and here a party ends whose host is lost. What a tie line says counts for its own members, or as its host's word.

use bytes::Bytes;

use crate::exchange::address::Address;
use crate::exchange::cause::Cause;
use crate::exchange::effect::Outbox;
use crate::exchange::event::{ContentType, Verb};
use crate::exchange::ids::{LineId, PartyId};
use crate::exchange::party::{Except, Member};
use crate::exchange::signal::{AudienceId, News, PartySays, Publication, Signal};
use crate::exchange::tie_party::{PartyTalk, PartyWord, TieTalk};
use crate::exchange::time::Moment;
use crate::exchange::timers::Due;

use super::Shard;
use super::hosting::Wish;

/// Words on their way to everybody in a party.
struct Words {
    from: Address,
    data: Option<Bytes>,
    content_type: Option<ContentType>,
}

/// What is said in a party.
impl Shard {
    pub(super) fn on_party_says(&mut self, words: PartySays, out: &mut Outbox<'_>) {
        let PartySays { line, party, data, content_type } = words;
        let id = self.party_names.get(&party).copied();
        let host = id.and_then(|id| self.parties.get(id.0));
        let member = Member::Line(line);
        let (Some(id), Some(guest)) = (id, host.and_then(|host| host.insider(&member))) else {
            let (verb, cause) = (Verb::PartyMessage, Cause::NotInParty);
            let refused = Signal::PartyRefused { line, party, verb, cause, ticket: None };
            return self.send(line.shard(), refused, out);
        };
        let words = Words { from: guest.address.clone(), data, content_type };
        self.speak(id, Some(line), words, out);
    }

    /// A member says something: the host tells the others.
    fn speak(&mut self, id: PartyId, line: Option<LineId>, words: Words, out: &mut Outbox<'_>) {
        if self.parties.get(id.0).is_some_and(|host| host.upstream.is_some()) {
            let Words { from, data, content_type } = words;
            return self.tell_host(id, PartyWord::Says { from, data, content_type }, out);
        }
        let except = line.map_or(Except::Nobody, Except::Line);
        self.spread(id, line, except, words, out);
    }

    /// Everybody here hears something, and each tie line by which somebody else comes.
    fn spread(
        &mut self,
        id: PartyId,
        line: Option<LineId>,
        except: Except,
        words: Words,
        out: &mut Outbox<'_>,
    ) {
        let Words { from, data, content_type } = words;
        let Some(host) = self.parties.get(id.0) else { return };
        let (party, per_shard) = (host.name.clone(), host.per_shard().to_vec());
        for tie in host.ties_to_tell(&from, line) {
            let (from, data) = (from.detached(), data.clone());
            self.tell_tie(tie, party.detached(), 0, PartyWord::Says { from, data, content_type }, out);
        }
        let news = News::PartyMessage { party, from, data, content_type };
        self.publish(&per_shard, Publication { audience: AudienceId::Party(id), except, news }, out);
    }

    pub(super) fn tell_host(&mut self, id: PartyId, word: PartyWord, out: &mut Outbox<'_>) {
        let host = self.parties.get(id.0);
        let way = host.and_then(|host| Some((host.upstream.as_ref()?.tie, host.name.clone())));
        if let Some((tie, party)) = way {
            self.tell_tie(tie, party, 0, word, out);
        }
    }

    pub(super) fn tell_tie(
        &mut self,
        tie: LineId,
        party: Address,
        ticket: u32,
        word: PartyWord,
        out: &mut Outbox<'_>,
    ) {
        let talk = TieTalk { tie, ticket, talk: PartyTalk { party, word } };
        self.send(tie.shard(), Signal::PartyTold(Box::new(talk)), out);
    }
}

/// What a tie line says.
impl Shard {
    pub(super) fn on_party_heard(&mut self, now: Moment, talk: TieTalk, out: &mut Outbox<'_>) {
        let TieTalk { tie, ticket, talk: PartyTalk { party, word } } = talk;
        if let PartyWord::Join { from, create_if_missing, hops } = word {
            let member = Member::Far { tie, address: from.clone() };
            return self.let_in(
                now,
                party,
                Wish { member, address: from, ticket, create_if_missing, hops },
                out,
            );
        }
        let Some(&id) = self.party_names.get(&party) else { return };
        match word {
            PartyWord::Join { .. } => {}
            PartyWord::Leave { from } => drop(self.let_out(id, &Member::Far { tie, address: from }, out)),
            PartyWord::Says { from, data, content_type } => {
                self.far_says(id, tie, Words { from, data, content_type }, out);
            }
            PartyWord::Joined { to, participants } => {
                if let Some(member) = self.meant_by_host(id, tie, to.as_ref())
                    && self.wait_no_longer(id, &member)
                {
                    self.welcome(id, &member, participants, out);
                }
            }
            PartyWord::Failed { to, cause } => self.host_declines(id, tie, to.as_ref(), cause, out),
        }
    }

    fn far_says(&mut self, id: PartyId, tie: LineId, words: Words, out: &mut Outbox<'_>) {
        let Some(host) = self.parties.get(id.0) else { return };
        if host.insider(&Member::Far { tie, address: words.from.clone() }).is_some() {
            return self.speak(id, None, words, out);
        }
        if host.is_led_by(tie) {
            let hasher = self.hasher.clone();
            let mut speakers = indexmap::IndexSet::with_hasher(hasher);
            speakers.extend(host.lines_of(&words.from));
            self.spread(id, None, Except::Lines(speakers), words, out);
        }
    }

    fn meant_by_host(&self, id: PartyId, tie: LineId, to: Option<&Address>) -> Option<Member> {
        self.parties.get(id.0).filter(|host| host.is_led_by(tie))?.meant(to)
    }

    /// The host does not let somebody in, or has put somebody out.
    fn host_declines(
        &mut self,
        id: PartyId,
        tie: LineId,
        to: Option<&Address>,
        cause: Cause,
        out: &mut Outbox<'_>,
    ) {
        let Some(member) = self.meant_by_host(id, tie, to) else { return };
        let waited = self.wait_no_longer(id, &member);
        let (verb, cause) = if waited { (Verb::Join, cause) } else { (Verb::PartyMessage, Cause::PartyLost) };
        self.put_out(id, member, verb, cause, out);
    }

    pub(super) fn put_out(
        &mut self,
        id: PartyId,
        member: Member,
        verb: Verb,
        cause: Cause,
        out: &mut Outbox<'_>,
    ) {
        let Some(party) = self.parties.get(id.0).map(|host| host.name.clone()) else { return };
        if let Some(guest) = self.let_out(id, &member, out) {
            self.turn_down(party, member, guest, verb, cause, out);
        }
    }

    /// Some have waited for the host as long as one may.
    pub(super) fn on_party_due(&mut self, now: Moment, id: PartyId, out: &mut Outbox<'_>) {
        let Some(upstream) = self.parties.get_mut(id.0).and_then(|host| host.upstream.as_mut()) else {
            return;
        };
        upstream.timer = None;
        let over = upstream.waiting.iter().take_while(|(_, until)| **until <= now.tick);
        let over: Vec<Member> = over.map(|(member, _)| member.clone()).collect();
        for member in over {
            self.put_out(id, member, Verb::Join, Cause::Timeout, out);
        }
        let Some(upstream) = self.parties.get_mut(id.0).and_then(|host| host.upstream.as_mut()) else {
            return;
        };
        if let Some((_, &until)) = upstream.waiting.first() {
            upstream.timer = Some(self.timers.set(until, Due::Party(id)));
        }
    }

    /// A tie line is lost: whoever came by it is out, or everybody if it led to the host.
    pub(super) fn on_party_cut(&mut self, tie: LineId, party: &Address, out: &mut Outbox<'_>) {
        let Some(&id) = self.party_names.get(party) else { return };
        let Some(host) = self.parties.get_mut(id.0) else { return };
        if host.is_led_by(tie) {
            return self.lose_party(id, out);
        }
        let gone = host.remove_tie(tie);
        if host.upstream.is_some() {
            let left = host.addresses();
            let gone: Vec<_> = gone.into_iter().filter(|address| !left.contains(address)).collect();
            for from in gone {
                self.tell_host(id, PartyWord::Leave { from }, out);
            }
            self.wait_for_nobody(id);
        }
        self.close_if_empty(id, out);
    }

    fn wait_for_nobody(&mut self, id: PartyId) {
        let Some(upstream) = self.parties.get_mut(id.0).and_then(|host| host.upstream.as_mut()) else {
            return;
        };
        if let Some(timer) = upstream.timer.take_if(|_| upstream.waiting.is_empty()) {
            self.timers.cancel(timer);
        }
    }

    fn lose_party(&mut self, id: PartyId, out: &mut Outbox<'_>) {
        let Some(host) = self.close_party(id) else { return };
        for (member, guest) in host.members() {
            let waits = host.upstream.as_ref().is_some_and(|upstream| upstream.waiting.contains_key(member));
            let verb = if waits { Verb::Join } else { Verb::PartyMessage };
            self.turn_down(host.name.clone(), member.clone(), guest.clone(), verb, Cause::PartyLost, out);
        }
    }
}
