//! What must be true of party lines and of PRESENCE across a tree, whatever links die when (spec sections 19.6, 19.7).
//!
//! The judge follows what phones ask (once their exchange has taken it) and hear. A JOIN and a PRESENCE have one answer each. Who is
//! in a party hears what others there say, each word once, in the order of its speaker and under its name; nobody else hears
//! it. Who is put out is told once, for a reason. A phone has one party for life, because ERROR does not say which.

use std::collections::{BTreeMap, VecDeque};

use crate::sim::judge::Breach;

use super::dial::{Phone, PhoneNo};
use super::frame::Fields;
use super::judge::{EVIL_WORD, must};
use super::plan::EVIL_DOMAIN;

/// A phone's place in a party, as far as it knows.
#[derive(Clone, Debug)]
pub struct Seat {
    /// The party.
    pub party: String,
    /// Whether it has been let in.
    pub is_in: bool,
    /// Whether it waits for the answer to a JOIN.
    pub waits: bool,
    /// How often lines had been pressed when it asked for it.
    pub presses: u64,
}

/// Something said in a party.
#[derive(Clone, Debug)]
struct Word {
    party: String,
    speaker: PhoneNo,
    from: String,
    heard_by: Vec<PhoneNo>,
}

/// What the judge knows of the tree.
#[derive(Clone, Copy, Debug)]
pub struct Circumstances {
    /// Whether links are lost, or being set up. That takes a while to be known everywhere.
    pub is_lossy: bool,
    /// Whether there are more ways than one.
    pub may_loop: bool,
    /// How often lines have been pressed.
    pub presses: u64,
}

/// All parties and questions of a run.
#[derive(Default, Debug)]
pub struct Company {
    /// The party of each phone that ever wanted to be in one.
    pub parties: BTreeMap<PhoneNo, String>,
    /// The phones that are in a party, or want to be.
    pub seats: BTreeMap<PhoneNo, Seat>,
    /// What was said, by its number.
    words: BTreeMap<u64, Word>,
    /// The last word that a phone has heard of another one.
    last: BTreeMap<(PhoneNo, PhoneNo), u64>,
    /// The domains that phones have asked for.
    questions: BTreeMap<PhoneNo, VecDeque<String>>,
    /// The addresses in the last answer to each phone.
    pub found: BTreeMap<PhoneNo, Vec<String>>,
}

/// What phones ask.
impl Company {
    /// A phone's exchange has taken a frame of it.
    pub fn asked(&mut self, entry: &Phone, phone: PhoneNo, fields: &Fields, presses: u64) {
        let party = fields.party.clone().unwrap_or_default();
        match fields.kind.as_str() {
            "JOIN" => {
                let seat = Seat { party, is_in: false, waits: true, presses };
                self.seats.entry(phone).or_insert(seat).waits = true;
            }
            "LEAVE" => drop(self.seats.remove(&phone)),
            "PARTY_MSG" => {
                let from = entry.address.clone();
                self.words
                    .insert(number_of(fields), Word { party, speaker: phone, from, heard_by: Vec::new() });
            }
            "PRESENCE" => {
                let domain = fields.domain.clone().unwrap_or_default();
                self.questions.entry(phone).or_default().push_back(domain);
            }
            _ => {}
        }
    }

    /// A phone is gone.
    pub fn gone(&mut self, phone: PhoneNo) {
        self.seats.remove(&phone);
        self.questions.remove(&phone);
    }
}

/// What phones hear.
impl Company {
    /// JOINED.
    ///
    /// # Errors
    /// The rule that it breaks.
    pub fn hears_joined(&mut self, entry: &Phone, phone: PhoneNo, fields: &Fields) -> Result<(), Breach> {
        let seat = self.seats.get_mut(&phone).filter(|seat| seat.waits);
        let Some(seat) = seat.filter(|seat| Some(&seat.party) == fields.party.as_ref()) else {
            return Err(Breach::new("who is let into a party has asked for it", format!("{fields:?}")));
        };
        must(fields.names.contains(&entry.address), "who is let in is among the participants", || {
            format!("{fields:?} at {}", entry.address)
        })?;
        (seat.is_in, seat.waits) = (true, false);
        Ok(())
    }

    /// PARTY_MSG.
    ///
    /// # Errors
    /// The rule that it breaks.
    pub fn hears_word(&mut self, phone: PhoneNo, fields: &Fields) -> Result<(), Breach> {
        let told = || format!("{fields:?} at phone {phone}");
        let seat = self.seats.get(&phone).filter(|seat| Some(&seat.party) == fields.party.as_ref());
        must(seat.is_some_and(|seat| seat.is_in), "only who is in a party hears what is said there", told)?;
        if fields.data.as_deref() == Some(EVIL_WORD) {
            let own = format!("{EVIL_WORD}@{EVIL_DOMAIN}");
            return must(fields.from == Some(own), "an exchange speaks for its own participants only", told);
        }
        let number = number_of(fields);
        let Some(word) = self.words.get_mut(&number) else {
            return Err(Breach::new("what is heard in a party was said", told()));
        };
        must(Some(&word.party) == fields.party.as_ref(), "words stay in their party", told)?;
        must(Some(&word.from) == fields.from.as_ref(), "a word in a party tells whose it is", told)?;
        let is_new = word.speaker != phone && !word.heard_by.contains(&phone);
        must(is_new, "others hear what is said in a party, each word once", told)?;
        word.heard_by.push(phone);
        let last = self.last.insert((phone, word.speaker), number);
        must(last < Some(number), "a speaker's words keep their order", told)
    }

    /// ERROR about a party.
    ///
    /// # Errors
    /// The rule that it breaks.
    pub fn hears_refusal(
        &mut self,
        phone: PhoneNo,
        fields: &Fields,
        at: Circumstances,
    ) -> Result<(), Breach> {
        let told = |seat: Option<&Seat>| format!("{fields:?} at phone {phone} with {seat:?} in {at:?}");
        let reason = fields.reason.as_deref().unwrap_or_default();
        let seat = self.seats.get(&phone);
        if reason == "not_in_party" {
            // What was said, or a LEAVE, has met the word that it is out.
            let is_plain = |seat: &Seat| seat.is_in && !at.is_lossy && seat.presses == at.presses;
            let is_plain = seat.is_some_and(is_plain);
            return must(!is_plain, "who is in a party may speak there", || told(seat));
        }
        let rule = "who is put out of a party is told once, and for a reason";
        let Some(seat) = seat else { return Err(Breach::new(rule, told(None))) };
        let fits = match fields.context.as_deref().unwrap_or_default() {
            "JOIN" => seat.waits,
            "PARTY_MSG" => seat.is_in,
            _ => false,
        };
        let is_caused = match reason {
            // Who fills a link is put out by his own exchange, or by one that his words have come to.
            "party_lost" => at.is_lossy || (seat.is_in && at.presses > seat.presses),
            // A second way may have been turned down, and then leads nowhere; and an answer that comes late is taken for that
            // to the next JOIN, because it does not say which it is for.
            "timeout" => at.is_lossy || at.may_loop,
            "loop_detected" | "address_in_use" => at.is_lossy || at.may_loop,
            _ => false,
        };
        must(fits && is_caused, rule, || told(Some(seat)))?;
        self.seats.remove(&phone);
        Ok(())
    }

    /// PRESENCE_RESULT.
    ///
    /// # Errors
    /// The rule that it breaks.
    pub fn hears_presence(&mut self, phone: PhoneNo, fields: &Fields) -> Result<(), Breach> {
        let asked = self.questions.get_mut(&phone).and_then(VecDeque::pop_front);
        let Some(domain) = asked else {
            return Err(Breach::new("a PRESENCE is answered once", format!("{fields:?} at phone {phone}")));
        };
        let is_there = |name: &String| name.rsplit_once('@').is_some_and(|(_, own)| own == domain);
        must(fields.names.iter().all(is_there), "only whom was asked for is listed", || {
            format!("{fields:?} for {domain}")
        })?;
        self.found.insert(phone, fields.names.clone());
        Ok(())
    }
}

/// What is seen from elsewhere.
impl Company {
    /// Everything has come to rest.
    ///
    /// # Errors
    /// If somebody waits still.
    pub fn judge_rest(&self) -> Result<(), Breach> {
        let waiting: Vec<_> = self.seats.iter().filter(|(_, seat)| seat.waits).collect();
        must(waiting.is_empty(), "every JOIN has an answer", || format!("{waiting:?}"))?;
        let open: Vec<_> = self.questions.iter().filter(|(_, domains)| !domains.is_empty()).collect();
        must(open.is_empty(), "every PRESENCE has an answer", || format!("{open:?}"))
    }

    /// Who has heard a word.
    pub fn hearers(&self, number: u64) -> &[PhoneNo] {
        self.words.get(&number).map_or(&[], |word| &word.heard_by)
    }
}

fn number_of(fields: &Fields) -> u64 {
    fields.data.as_deref().and_then(|data| data.parse().ok()).unwrap_or(u64::MAX)
}
