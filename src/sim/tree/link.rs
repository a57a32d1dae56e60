//! A connection between two exchanges: what is under way in each direction, and what may go wrong.
//!
//! Frames of one direction arrive in order or not at all. A connection that breaks loses what is under way, and each end
//! finds out in its own time; one that is silent delivers nothing and tells nobody; one that is closed by an end delivers
//! what was sent before. A link that renames calls swaps each id for another text, the same way back.

use std::collections::VecDeque;

use super::exchange::PortNo;

/// The end of the exchange that has called.
pub const CALLER: usize = 0;
/// What a renaming link puts before a call's name, or takes away.
const ALIAS: &str = "call/";

/// One end of a connection.
#[derive(Clone, Copy, Debug)]
pub struct End {
    /// At which exchange.
    pub exchange: usize,
    /// Its number there.
    pub port: PortNo,
    /// Whether that exchange has it still.
    pub open: bool,
}

/// Something under way.
#[derive(Debug)]
pub enum Item {
    /// A frame.
    Frame(Vec<u8>),
    /// The other end has closed.
    Fin,
}

/// A connection between two exchanges.
#[derive(Debug)]
pub struct Conn {
    /// Which link it serves.
    pub link: usize,
    /// The caller's end and the other one.
    pub ends: [End; 2],
    /// What is under way to each end.
    pub queues: [VecDeque<Item>; 2],
    /// The exchange that was called has said whether it is a tie line.
    pub settled: bool,
    /// Nothing arrives, and nobody is told.
    pub silent: bool,
    /// Nothing will ever arrive again.
    pub broken: bool,
}

impl Conn {
    /// A connection with nothing under way.
    pub fn new(link: usize, ends: [End; 2]) -> Self {
        Self { link, ends, queues: Default::default(), settled: false, silent: false, broken: false }
    }

    /// An end sends something.
    pub fn send(&mut self, from: usize, item: Item) {
        let to = 1 - from;
        if !self.broken && self.ends[to].open {
            self.queues[to].push_back(item);
        }
    }

    /// An end is gone: nothing arrives there any more.
    pub fn shut(&mut self, end: usize) {
        self.ends[end].open = false;
        self.queues[end].clear();
    }

    /// The connection breaks.
    pub fn break_off(&mut self) {
        self.broken = true;
        self.queues.iter_mut().for_each(VecDeque::clear);
    }

    /// What arrives next at an end, if anything can.
    pub fn take(&mut self, end: usize) -> Option<Item> {
        if self.silent { None } else { self.queues[end].pop_front() }
    }

    /// Whether something can arrive at an end.
    pub fn is_busy(&self, end: usize) -> bool {
        !self.silent && !self.queues[end].is_empty()
    }

    /// Whether both ends have it, and nothing is wrong.
    pub fn is_sound(&self) -> bool {
        !self.broken && !self.silent && self.ends.iter().all(|end| end.open)
    }
}

/// A call's name without what renaming links put before it.
pub fn real_name(name: &str) -> &str {
    name.trim_start_matches(ALIAS)
}

/// The frame with the call's other name. Doing it twice gives the frame again.
pub fn rename_call(frame: Vec<u8>) -> Vec<u8> {
    const LEAD: &[u8] = br#""call_id":""#;
    let Some(lead) = frame.windows(LEAD.len()).position(|window| window == LEAD) else { return frame };
    let (head, tail) = frame.split_at(lead + LEAD.len());
    match tail.strip_prefix(ALIAS.as_bytes()) {
        Some(rest) => [head, rest].concat(),
        None => [head, ALIAS.as_bytes(), tail].concat(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_that_is_renamed_twice_has_its_name_again() {
        let frame = br#"{"type":"ANSWER","call_id":"x"}"#.to_vec();
        let renamed = rename_call(frame.clone());
        assert_eq!(renamed, br#"{"type":"ANSWER","call_id":"call/x"}"#);
        assert_eq!(rename_call(renamed), frame);
        let without = br#"{"type":"HEARTBEAT"}"#.to_vec();
        assert_eq!(rename_call(without.clone()), without);
    }

    #[test]
    fn what_was_sent_before_a_close_arrives_and_what_was_sent_before_a_break_does_not() {
        let end = End { exchange: 0, port: 0, open: true };
        let mut conn = Conn::new(0, [end; 2]);
        conn.send(CALLER, Item::Frame(b"{}".to_vec()));
        conn.shut(CALLER);
        conn.send(CALLER, Item::Fin);
        assert!(matches!(conn.take(1), Some(Item::Frame(_))));
        conn.silent = true;
        assert!(conn.take(1).is_none());
        conn.silent = false;
        assert!(matches!(conn.take(1), Some(Item::Fin)));
        let mut conn = Conn::new(0, [end; 2]);
        conn.send(CALLER, Item::Frame(b"{}".to_vec()));
        conn.break_off();
        assert!(conn.take(1).is_none() && !conn.is_sound());
    }
}
