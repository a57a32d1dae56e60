//! A dial as its parties see it: the two ends, how far each of them is, what each has said and heard.
//!
//! Phones and the judge share it. An end is what one phone knows of the call; the adversary's ends have no phone, and
//! nothing is known about them.

use super::exchange::PortNo;

/// The number of a phone. It is never used again.
pub type PhoneNo = usize;
/// The number of a dial; it travels in the metadata.
pub type DialNo = usize;

/// The caller's end.
pub const CALLER: usize = 0;
/// The callee's end.
pub const CALLEE: usize = 1;

/// How far a call is, as one end sees it.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum Stage {
    /// Its exchange has not heard of it.
    #[default]
    Idle,
    /// The caller waits for an answer.
    Dialling,
    /// The callee is rung.
    Ringing,
    /// It may speak.
    Up,
    /// It has ended it, or was told that it is over.
    Over,
}

/// One end of a call.
#[derive(Clone, Default, Debug)]
pub struct CallEnd {
    /// Whose.
    pub phone: Option<PhoneNo>,
    /// What the call is called there.
    pub id: Option<String>,
    /// How far it is.
    pub stage: Stage,
    /// The numbers of the messages that its exchange has taken from it while the call was up.
    pub said: Vec<u64>,
    /// How many of the other end's it has heard.
    pub heard: usize,
    /// The reason that the other end has to hear, once this one has ended the call.
    pub words: Option<String>,
}

/// A dial.
#[derive(Clone, Default, Debug)]
pub struct Dial {
    /// Whom.
    pub to: String,
    /// Who, by address.
    pub from: String,
    /// When, in ms.
    pub placed_ms: u64,
    /// How many misfortunes of links there had been.
    pub losses: u64,
    /// And how often a congested output had grown.
    pub presses: u64,
    /// The ends.
    pub ends: [CallEnd; 2],
    /// Whether it has been rung back.
    pub rung_back: bool,
    /// Whether the callee has answered.
    pub answered: bool,
    /// How often it went from one exchange to another.
    pub hops: usize,
    /// Whether the adversary has placed a call of the same name while the caller waited.
    pub is_mistakable: bool,
    /// Whether the adversary has placed it, or is called.
    pub is_evil: bool,
}

/// A phone.
#[derive(Debug)]
pub struct Phone {
    /// Where.
    pub exchange: usize,
    /// Its connection there.
    pub port: PortNo,
    /// Whether it has that still.
    pub alive: bool,
    /// The address it holds or wants to hold.
    pub address: String,
    /// Since when it holds it, in ms.
    pub held_since: Option<u64>,
    /// Its ends of calls.
    pub calls: Vec<(DialNo, usize)>,
}

/// Those of a phone's calls that are in one of `stages`.
pub fn calls_in(phone: &Phone, dials: &[Dial], stages: &[Stage]) -> Vec<(DialNo, usize)> {
    let is_in = |&&(dial, end): &&(DialNo, usize)| stages.contains(&dials[dial].ends[end].stage);
    phone.calls.iter().filter(is_in).copied().collect()
}

/// The phone's end of the call that it knows by this id, the newest one.
pub fn call_named(phone: &Phone, dials: &[Dial], id: &str) -> Option<(DialNo, usize)> {
    let has_name = |&&(dial, end): &&(DialNo, usize)| dials[dial].ends[end].id.as_deref() == Some(id);
    phone.calls.iter().rev().find(has_name).copied()
}
