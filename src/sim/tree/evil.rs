//! The adversary: a tie line with a route of its own, which knows the name of every call that anybody has heard.
//!
//! It names calls that are not its own, in every frame that an exchange may send, and signs what it says. With its own calls
//! it may do as it likes; what it does to them, only their parties may notice.

use crate::sim::dice::Dice;

use super::exchange::PortNo;
use super::frame::{Fields, frame, frame_with};
use super::judge::EVIL_WORD;
use super::plan::EVIL_DOMAIN;

/// How many names of calls it keeps; it forgets the oldest.
const MEMORY: usize = 64;

/// The adversary.
#[derive(Default, Debug)]
pub struct Evil {
    /// Its connection, if it has one.
    pub port: Option<PortNo>,
    /// Names of calls that others have heard.
    overheard: Vec<String>,
    /// Names of calls that came to it.
    own: Vec<String>,
    /// How many names it has made up.
    made_up: usize,
}

impl Evil {
    /// What it says first.
    pub fn introduction() -> Vec<u8> {
        let routes = format!(r#"["*@{EVIL_DOMAIN}"]"#);
        frame_with("REGISTER_PBX", &[("domain", EVIL_DOMAIN)], "routes", &routes)
    }

    /// Somebody has heard something.
    pub fn overhear(&mut self, fields: &Fields) {
        if matches!(fields.kind.as_str(), "DIALING" | "RING") {
            remember(&mut self.overheard, fields);
        }
    }

    /// It is told something itself.
    pub fn hear(&mut self, fields: &Fields) {
        if fields.kind == "DIAL_FORWARD" {
            remember(&mut self.own, fields);
        }
    }

    /// What it says next; `to` is somebody that it might call.
    pub fn choose(&mut self, dice: &mut Dice, to: &str) -> Vec<u8> {
        let call = self.choose_call(dice);
        let call = ("call_id", call.as_str());
        let from = format!("{EVIL_WORD}@{EVIL_DOMAIN}");
        let (reason, from) = (("reason", EVIL_WORD), ("from", from.as_str()));
        match dice.below(9) {
            0 => frame("RING", &[call, from]),
            1 => frame("BUSY", &[call, reason]),
            2 => frame("ANSWER", &[call]),
            3 => frame("CONNECTED", &[call]),
            4 => frame("MSG", &[call, from, ("data", EVIL_WORD)]),
            5 => frame("MSG", &[call, ("from", to), ("data", EVIL_WORD)]),
            6 => frame("HANGUP", &[call, reason]),
            _ => frame("DIAL_FORWARD", &[call, from, ("to", to)]),
        }
    }

    /// What it says next about a party; `other` is somebody who may be in it.
    pub fn intrude(&self, dice: &mut Dice, party: &str, other: &str) -> Vec<u8> {
        let own = format!("{EVIL_WORD}@{EVIL_DOMAIN}");
        let (party, own, other) = (("party", party), ("from", own.as_str()), ("from", other));
        let to = ("to", other.1);
        match dice.below(8) {
            0 | 1 => frame("JOIN_FORWARD", &[party, own]),
            2 => frame("PARTY_MSG", &[party, own, ("data", EVIL_WORD)]),
            3 => frame("PARTY_MSG", &[party, other, ("data", EVIL_WORD)]),
            4 => frame("LEAVE", &[party, other]),
            5 => frame("JOIN_FAILED", &[party, to, ("reason", "forbidden")]),
            6 => frame_with("JOINED", &[party, to], "participants", &format!(r#"["{}"]"#, other.1)),
            _ => frame("LEAVE", &[party, own]),
        }
    }

    fn choose_call(&mut self, dice: &mut Dice) -> String {
        let names = dice.pick(&[&self.overheard, &self.overheard, &self.own]);
        if !names.is_empty() && dice.chance(80) {
            // The newest ones are those that matter.
            let newest = names.len().saturating_sub(1 + dice.below(8) as usize);
            return names[newest].clone();
        }
        self.made_up += 1;
        format!("{EVIL_WORD}-{}", self.made_up / 2)
    }
}

fn remember(names: &mut Vec<String>, fields: &Fields) {
    names.extend(fields.call.clone());
    if names.len() > MEMORY {
        names.remove(0);
    }
}
