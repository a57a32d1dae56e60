//! What must be true of calls across a tree, whatever links die when.
//!
//! The judge follows what phones ask (once their exchange has taken it) and hear, and knows nothing of what goes on between. A
//! dial has one outcome, told once; its end is the end; messages come in order, each once, and all of them before the
//! other party's own goodbye; every reason has a cause. The adversary may do to its own calls what it likes.

use crate::sim::judge::Breach;

use super::company::{Circumstances, Company};
use super::dial::{CALLEE, CALLER, CallEnd, Dial, DialNo, Phone, PhoneNo, Stage, call_named};
use super::frame::Fields;
use super::gathering::RADIO;
use super::link::real_name;
use super::plan::{EVIL_DOMAIN, Weather};

/// What the adversary says, and signs with.
pub const EVIL_WORD: &str = "evil";
/// What a phone's own reasons begin with.
pub const BYE: &str = "bye";

/// Follows a run and complains.
#[derive(Debug)]
pub struct Judge {
    /// All dials, the adversary's included.
    pub dials: Vec<Dial>,
    /// Parties, and questions who is there.
    pub company: Company,
    /// How often something has happened to a link that may end calls.
    pub losses: u64,
    /// How often a congested output has grown, which may end calls too.
    pub presses: u64,
    /// Links whose exchange has not said yet whether it takes them: some of its shards may know of them already.
    pub unsettled: usize,
    /// What time it is, in ms.
    pub now_ms: u64,
    /// The shortest time that an exchange lets a call ring, or wait for a sleeping callee, in ms.
    pub shortest_ring_ms: u64,
    /// Most hops of a dial as long as no link is lost.
    pub hops_max: usize,
    /// What may happen to links.
    pub weather: Weather,
    /// Whether a call may come back to where it was, or find its name taken.
    pub may_loop: bool,
}

/// A rule holds, or is broken in this way.
pub(super) fn must(holds: bool, rule: &'static str, detail: impl FnOnce() -> String) -> Result<(), Breach> {
    if holds { Ok(()) } else { Err(Breach::new(rule, detail())) }
}

/// What phones ask.
impl Judge {
    /// A phone is about to dial; gives the number to send along.
    pub fn new_dial(&mut self, from: &str, to: &str) -> DialNo {
        let is_evil = to.ends_with(EVIL_DOMAIN);
        let (from, to) = (from.to_owned(), to.to_owned());
        self.dials.push(Dial { from, to, is_evil, ..Dial::default() });
        self.dials.len() - 1
    }

    /// A phone's exchange has taken a frame of it.
    pub fn asked(&mut self, phones: &mut [Phone], phone: PhoneNo, fields: &Fields) {
        match fields.kind.as_str() {
            "DIAL" => self.dialled(phones, phone, fields),
            "ANSWER" => {
                let Some((dial, CALLEE)) = self.named(&phones[phone], fields) else { return };
                let dial = &mut self.dials[dial];
                if dial.ends[CALLEE].stage == Stage::Ringing {
                    dial.ends[CALLEE].stage = Stage::Up;
                    dial.answered = true;
                }
            }
            "HANGUP" => {
                let Some((dial, end)) = self.named(&phones[phone], fields) else { return };
                self.hung_up(dial, end, fields.reason.as_deref());
            }
            "MSG" => {
                let Some((dial, end)) = self.named(&phones[phone], fields) else { return };
                let end = &mut self.dials[dial].ends[end];
                if end.stage == Stage::Up {
                    end.said.push(number_of(fields));
                }
            }
            "UNREGISTER" => self.gone(phones, phone, "client_requested"),
            "SLEEP_ACK" => self.gone(phones, phone, "sleep"),
            _ => self.company.asked(&phones[phone], phone, fields, self.presses),
        }
    }

    fn dialled(&mut self, phones: &mut [Phone], phone: PhoneNo, fields: &Fields) {
        let Some(number) = fields.dial else { return };
        let dial = &mut self.dials[number];
        dial.placed_ms = self.now_ms;
        (dial.losses, dial.presses) = (self.losses, self.presses);
        dial.ends[CALLER].phone = Some(phone);
        dial.ends[CALLER].stage = Stage::Dialling;
        phones[phone].calls.push((number, CALLER));
    }

    fn hung_up(&mut self, dial: DialNo, end: usize, reason: Option<&str>) {
        let end = &mut self.dials[dial].ends[end];
        // Callers that name their dials are known to give up while it rings.
        let otherwise = if end.stage == Stage::Dialling { "cancelled" } else { "normal" };
        if end.stage != Stage::Over {
            end.stage = Stage::Over;
            end.words = Some(reason.unwrap_or(otherwise).to_owned());
        }
    }

    /// A phone's connection is gone, and with it its calls.
    pub fn gone(&mut self, phones: &mut [Phone], phone: PhoneNo, word: &str) {
        phones[phone].held_since = None;
        self.company.gone(phone);
        for &(dial, end) in &phones[phone].calls {
            let end = &mut self.dials[dial].ends[end];
            if end.stage != Stage::Over {
                end.stage = Stage::Over;
                end.words = Some(word.to_owned());
            }
        }
    }

    /// The adversary places a call of this name. Where two calls of one name meet on a link, from both of its sides, the end of one
    /// is taken for that of the other; that takes somebody who knows a name before the exchanges on the way do.
    pub fn name_taken(&mut self, fields: &Fields) {
        let name = fields.call.as_deref().filter(|_| fields.kind == "DIAL_FORWARD").map(real_name);
        for dial in self.dials.iter_mut().filter(|dial| dial.ends[CALLER].stage == Stage::Dialling) {
            dial.is_mistakable |= name.is_some() && dial.ends[CALLER].id.as_deref().map(real_name) == name;
        }
    }

    fn named(&self, phone: &Phone, fields: &Fields) -> Option<(DialNo, usize)> {
        call_named(phone, &self.dials, fields.call.as_deref()?)
    }
}

/// What phones hear.
impl Judge {
    /// A phone has heard a frame.
    ///
    /// # Errors
    /// The rule that it breaks.
    pub fn heard(&mut self, phones: &mut [Phone], phone: PhoneNo, fields: &Fields) -> Result<(), Breach> {
        match fields.kind.as_str() {
            "REGISTERED" => {
                phones[phone].held_since = Some(self.now_ms);
                Ok(())
            }
            "DIALING" => self.hears_name(&phones[phone], phone, fields),
            "RING" if fields.from.is_some() => self.hears_ring(phones, phone, fields),
            "RING" => self.hears_ring_back(phones, phone, fields),
            "CONNECTED" => self.hears_connected(&phones[phone], fields),
            "BUSY" => self.hears_busy(phones, phone, fields),
            "HANGUP" => self.hears_hang_up(phones, phone, fields),
            "MSG" => self.hears_message(&phones[phone], fields),
            "JOINED" => self.company.hears_joined(&phones[phone], phone, fields),
            "PARTY_MSG" => self.company.hears_word(phone, fields),
            "PRESENCE_RESULT" => self.company.hears_presence(phone, fields),
            "ERROR" if matches!(fields.context.as_deref(), Some("JOIN" | "PARTY_MSG" | "LEAVE")) => {
                self.company.hears_refusal(phone, fields, self.circumstances())
            }
            "ERROR" => Err(Breach::new("nobody is refused what it may ask", format!("{fields:?}"))),
            _ => Ok(()),
        }
    }

    fn hears_name(&mut self, entry: &Phone, phone: PhoneNo, fields: &Fields) -> Result<(), Breach> {
        let rule = "a dial has one name of its own";
        let dial = self.by_reference(phone, fields)?;
        must(!self.has_live(entry, fields), rule, || format!("{fields:?}"))?;
        let end = &mut self.dials[dial].ends[CALLER];
        must(end.id.is_none() && end.stage == Stage::Dialling, rule, || format!("{fields:?} for {end:?}"))?;
        end.id.clone_from(&fields.call);
        Ok(())
    }

    fn hears_ring(&mut self, phones: &mut [Phone], phone: PhoneNo, fields: &Fields) -> Result<(), Breach> {
        let is_evil = fields.from.as_deref().is_some_and(|from| from.starts_with(EVIL_WORD));
        must(!self.has_live(&phones[phone], fields), "calls at one phone have different names", || {
            format!("{fields:?}")
        })?;
        let number = if is_evil { self.evil_dial(&phones[phone].address) } else { fields.dial };
        let dial = number.and_then(|number| self.dials.get_mut(number));
        let Some(dial) = dial else {
            return Err(Breach::new("what rings was dialled", format!("{fields:?}")));
        };
        let end = &mut dial.ends[CALLEE];
        must(end.phone.is_none(), "a dial rings once", || format!("{fields:?} again, after {end:?}"))?;
        must(dial.to == phones[phone].address, "it rings where it was dialled", || {
            format!("{fields:?}, but {} was dialled", dial.to)
        })?;
        must(is_evil || fields.from.as_deref() == Some(&dial.from), "a ring tells who calls", || {
            format!("{fields:?} is from {}", dial.from)
        })?;
        *end = CallEnd {
            phone: Some(phone),
            id: fields.call.clone(),
            stage: Stage::Ringing,
            ..CallEnd::default()
        };
        phones[phone].calls.extend(number.map(|number| (number, CALLEE)));
        Ok(())
    }

    fn evil_dial(&mut self, to: &str) -> Option<DialNo> {
        let dial = self.new_dial(EVIL_WORD, to);
        self.dials[dial].is_evil = true;
        (self.dials[dial].losses, self.dials[dial].presses) = (self.losses, self.presses);
        Some(dial)
    }

    fn hears_ring_back(&mut self, phones: &[Phone], phone: PhoneNo, fields: &Fields) -> Result<(), Breach> {
        let (number, end) = self.live(&phones[phone], fields)?;
        let dial = &mut self.dials[number];
        let rule = "a caller hears once that it rings, and where";
        let has_rung = dial.is_evil || dial.ends[CALLEE].phone.is_some() || is_rung_unseen(phones, dial);
        let is_first = !dial.rung_back || dial.is_evil;
        let fits = end == CALLER && dial.ends[CALLER].stage == Stage::Dialling;
        let is_told = fields.to.as_deref() == Some(&dial.to);
        must(has_rung && is_first && fits && is_told, rule, || format!("{fields:?} of {dial:?}"))?;
        dial.rung_back = true;
        Ok(())
    }

    fn hears_connected(&mut self, entry: &Phone, fields: &Fields) -> Result<(), Breach> {
        let (number, end) = self.live(entry, fields)?;
        let dial = &mut self.dials[number];
        let fits = end == CALLER && dial.ends[CALLER].stage == Stage::Dialling;
        must(fits, "a call is connected once, and before its end", || format!("{fields:?} of {dial:?}"))?;
        must(dial.answered || dial.is_evil, "who is connected was answered", || {
            format!("{fields:?}, {dial:?}")
        })?;
        must(fields.to.as_deref() == Some(&dial.to), "CONNECTED names whom was dialled", || {
            format!("{fields:?} of {dial:?}")
        })?;
        dial.ends[CALLER].stage = Stage::Up;
        Ok(())
    }

    fn hears_busy(&mut self, phones: &[Phone], phone: PhoneNo, fields: &Fields) -> Result<(), Breach> {
        let number = self.by_reference(phone, fields)?;
        let dial = &self.dials[number];
        let fits = dial.ends[CALLER].stage == Stage::Dialling;
        must(fits, "a dial comes to nothing once, and before its end", || format!("{fields:?} of {dial:?}"))?;
        must(fields.to.as_deref() == Some(&dial.to), "BUSY names whom was dialled", || {
            format!("{fields:?}")
        })?;
        let reason = fields.reason.as_deref().unwrap_or_default();
        must(
            dial.is_evil || self.may_refuse(phones, dial, reason),
            "a dial is refused for a reason",
            || format!("{fields:?} of {dial:?}, {} losses", self.losses),
        )?;
        self.dials[number].ends[CALLER].stage = Stage::Over;
        Ok(())
    }

    fn may_refuse(&self, phones: &[Phone], dial: &Dial, reason: &str) -> bool {
        let is_lossy = self.losses > dial.losses;
        match reason {
            "already_in_call" | "dnd" | "busy" => true,
            "unsupported" => dial.to.starts_with(RADIO),
            "no_such_address" => {
                let is_held = |phone: &Phone| {
                    phone.address == dial.to && phone.held_since.is_some_and(|since| since < dial.placed_ms)
                };
                self.weather == Weather::Rough || self.may_loop || !phones.iter().any(is_held)
            }
            "wake_failed" => true,
            "timeout" => self.now_ms >= dial.placed_ms + self.shortest_ring_ms,
            // Not every shard knows of a loss at once.
            "unavailable" => self.weather == Weather::Rough || is_lossy || self.unsettled > 0,
            "loop_detected" => self.may_loop || is_lossy,
            _ => false,
        }
    }

    fn hears_hang_up(&mut self, phones: &[Phone], phone: PhoneNo, fields: &Fields) -> Result<(), Breach> {
        let (number, end) = self.live(&phones[phone], fields)?;
        let dial = &self.dials[number];
        let reason = fields.reason.as_deref().unwrap_or_default();
        must(dial.is_evil || self.may_end(phones, dial, end, reason), "a call ends for a reason", || {
            format!("{fields:?} at end {end} of {dial:?}, {} losses", self.losses)
        })?;
        // A goodbye comes after everything that was said before it.
        let (own, other) = (&dial.ends[end], &dial.ends[1 - end]);
        let is_goodbye = reason.starts_with(BYE) && own.stage == Stage::Up;
        let has_all = own.heard == other.said.len();
        must(dial.is_evil || !is_goodbye || has_all, "all that was said arrives before the goodbye", || {
            format!("{fields:?} at end {end} of {dial:?}")
        })?;
        self.dials[number].ends[end].stage = Stage::Over;
        Ok(())
    }

    fn may_end(&self, phones: &[Phone], dial: &Dial, end: usize, reason: &str) -> bool {
        if end == CALLER && dial.is_mistakable && dial.ends[end].stage == Stage::Dialling {
            return true;
        }
        if dial.ends[1 - end].words.as_deref() == Some(reason) {
            return true;
        }
        match reason {
            "timeout" => {
                // An answer may meet the end of an earlier exchange's patience; the caller is not told of it then.
                let has_rung = self.now_ms >= dial.placed_ms + self.shortest_ring_ms;
                end == CALLEE && dial.ends[CALLER].stage != Stage::Up && has_rung
            }
            // Who waits for an answer hears BUSY `unavailable` instead (section 18.2).
            "error" => self.losses > dial.losses && dial.ends[end].stage != Stage::Dialling,
            "peer_disconnected" if end == CALLER => is_rung_unseen(phones, dial),
            "slow_consumer" => self.presses > dial.presses && dial.ends[end].stage != Stage::Dialling,
            // What a callee hears that was found on another shard when the caller's end was gone already, for whatever reason.
            "cancelled" | "peer_disconnected" => {
                let is_caller_over = dial.ends[CALLER].stage == Stage::Over;
                end == CALLEE && (is_caller_over || self.losses > dial.losses)
            }
            _ => false,
        }
    }

    fn hears_message(&mut self, entry: &Phone, fields: &Fields) -> Result<(), Breach> {
        let (number, at) = self.live(entry, fields)?;
        let dial = &mut self.dials[number];
        must(dial.ends[at].stage == Stage::Up, "only who is connected is spoken to", || {
            format!("{fields:?} at end {at} of {dial:?}")
        })?;
        if dial.is_evil {
            return Ok(());
        }
        let heard = dial.ends[at].heard;
        let is_next = dial.ends[1 - at].said.get(heard) == Some(&number_of(fields));
        must(is_next, "messages come in order, each once, and none is missing", || {
            format!("{fields:?} at end {at} of {dial:?}")
        })?;
        let speaker = if at == CALLER { &dial.to } else { &dial.from };
        must(fields.from.as_ref() == Some(speaker), "a message tells whose it is", || format!("{fields:?}"))?;
        dial.ends[at].heard += 1;
        Ok(())
    }

    /// The call that a phone is told about, which must be one of its own and not over.
    fn live(&self, entry: &Phone, fields: &Fields) -> Result<(DialNo, usize), Breach> {
        let rule = "nobody hears of a call that is over, or not its own";
        let Some((dial, end)) = self.named(entry, fields) else {
            return Err(Breach::new(rule, format!("{fields:?} at {}", entry.address)));
        };
        let (entry, is_over) = (&self.dials[dial], self.dials[dial].ends[end].stage == Stage::Over);
        must(!is_over, rule, || format!("{fields:?} at end {end} of {entry:?}"))?;
        Ok((dial, end))
    }

    fn has_live(&self, entry: &Phone, fields: &Fields) -> bool {
        let named = self.named(entry, fields);
        named.is_some_and(|(dial, end)| self.dials[dial].ends[end].stage != Stage::Over)
    }

    fn by_reference(&self, phone: PhoneNo, fields: &Fields) -> Result<DialNo, Breach> {
        let number = fields.reference.as_deref().and_then(|text| text.parse::<DialNo>().ok());
        let is_own = |&number: &DialNo| {
            self.dials.get(number).is_some_and(|dial| dial.ends[CALLER].phone == Some(phone))
        };
        let own = number.filter(is_own);
        own.ok_or_else(|| Breach::new("outcomes are told to who has dialled", format!("{fields:?}")))
    }
}

/// What is seen from elsewhere.
impl Judge {
    /// A dial goes from one exchange to another.
    ///
    /// # Errors
    /// If it has done so too often.
    pub fn hops(&mut self, number: Option<DialNo>) -> Result<(), Breach> {
        let Some(dial) = number.and_then(|number| self.dials.get_mut(number)) else { return Ok(()) };
        dial.hops += 1;
        // A loss may free a name that the dial has left behind, so that it may come by once more.
        let most = self.hops_max * (1 + (self.losses - dial.losses) as usize);
        must(dial.hops <= most, "a dial does not go in circles", || format!("{dial:?}"))
    }

    /// Everything has come to rest, for longer than any call may ring and any silence may last.
    ///
    /// # Errors
    /// If somebody waits still, or is alone in a call.
    pub fn judge_rest(&self) -> Result<(), Breach> {
        for dial in &self.dials {
            let [caller, callee] = [&dial.ends[CALLER], &dial.ends[CALLEE]].map(|end| end.stage);
            let waits = caller == Stage::Dialling || callee == Stage::Ringing;
            must(!waits, "every dial has an outcome within the ring timeout", || format!("{dial:?}"))?;
            let agrees = (caller == Stage::Up) == (callee == Stage::Up);
            must(agrees || dial.is_evil, "no call outlives its link", || format!("{dial:?}"))?;
        }
        self.company.judge_rest()
    }

    fn circumstances(&self) -> Circumstances {
        let is_lossy = self.weather == Weather::Rough || self.unsettled > 0;
        Circumstances { is_lossy, may_loop: self.may_loop, presses: self.presses }
    }
}

/// The number of a message; what the adversary says has none.
fn number_of(fields: &Fields) -> u64 {
    fields.data.as_deref().and_then(|data| data.parse().ok()).unwrap_or(u64::MAX)
}

/// Whether a dial may have rung somebody who has gone since, before his exchange knew: what it sent, nobody has heard.
fn is_rung_unseen(phones: &[Phone], dial: &Dial) -> bool {
    let is_gone = |phone: &Phone| !phone.alive && phone.address == dial.to;
    dial.ends[CALLEE].phone.is_none() && phones.iter().any(is_gone)
}
