//! What is said to many: its form, for a broadcast and for a party line, and the check that it comes as it was said.
//!
//! Every message carries its number and the time it was said or due. What comes is compared byte by byte with what a
//! first right message looked like; only what differs is taken apart, to say how.

use crate::engine::timers::Nanos;
use crate::engine::wire::{self, Template};
use crate::scenarios::msg::talk::{read_digits, write_digits};

const NUMBER_DIGITS: usize = 10;
/// Of nanoseconds since the start of the run.
const TIME_DIGITS: usize = 16;
const STAMP_BYTES: usize = NUMBER_DIGITS + TIME_DIGITS;
const CHANGED: &str = "changed: the data is not as it was said";

/// How one speaks to many.
#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
pub enum Kind {
    /// A broadcaster whom the listeners have dialled.
    Broadcast,
    /// A party line that all have joined.
    Party,
}

impl Kind {
    /// The type of its messages.
    pub fn message(self) -> &'static str {
        match self {
            Self::Broadcast => "MSG",
            Self::Party => "PARTY_MSG",
        }
    }

    /// The member of a message that says where it belongs.
    fn place(self) -> &'static str {
        match self {
            Self::Broadcast => "call_id",
            Self::Party => "party",
        }
    }
}

/// The messages of a run.
#[derive(Debug)]
pub struct Form {
    kind: Kind,
    /// The call's id or the party's name.
    place: String,
    template: Template,
    stamp_at: usize,
    filler: Vec<u8>,
    /// What stands before and behind the stamp in what the server relays; learnt.
    head: Vec<u8>,
    tail: Vec<u8>,
}

impl Form {
    /// The least data that a message can have.
    pub const BYTES_MIN: usize = STAMP_BYTES;

    /// Messages with so many bytes of data, said in this call or to this party.
    pub fn new(kind: Kind, place: &str, bytes: usize) -> Self {
        let filler = vec![b'x'; bytes.saturating_sub(STAMP_BYTES)];
        let (word, key) = (kind.message(), kind.place());
        let mut payload = format!(r#"{{"type":"{word}","{key}":"{place}","data":""#).into_bytes();
        let stamp_at = payload.len();
        payload.extend_from_slice(&[b'0'; STAMP_BYTES]);
        payload.extend_from_slice(&filler);
        payload.extend_from_slice(br#"","content_type":"text"}"#);
        let template = Template::new(&payload);
        let (head, tail) = (Vec::new(), Vec::new());
        Self { kind, place: place.to_owned(), template, stamp_at, filler, head, tail }
    }

    /// The call's id or the party's name.
    pub fn place(&self) -> &str {
        &self.place
    }

    /// Hands a message to `say`: the template and what is filled in.
    pub fn fill(&self, number: u64, time: Nanos, say: impl FnOnce(&Template, &[(usize, &[u8])])) {
        let mut stamp = [b'0'; STAMP_BYTES];
        write_digits(&mut stamp[..NUMBER_DIGITS], number);
        write_digits(&mut stamp[NUMBER_DIGITS..], time);
        say(&self.template, &[(self.stamp_at, &stamp)]);
    }

    /// The number and the time of a message, or what is wrong with it. `from`: who has to be named, if anybody.
    pub fn read(&mut self, payload: &[u8], from: Option<&str>) -> Result<(u64, Nanos), &'static str> {
        let known = !self.head.is_empty()
            && payload.len() == self.head.len() + STAMP_BYTES + self.tail.len()
            && payload.starts_with(&self.head)
            && payload.ends_with(&self.tail);
        let at = if known { self.head.len() } else { self.take_apart(payload, from)? };
        let (number, time) = payload[at..at + STAMP_BYTES].split_at(NUMBER_DIGITS);
        let found = (read_digits(number).ok_or(CHANGED)?, read_digits(time).ok_or(CHANGED)?);
        if !known {
            self.head = payload[..at].to_vec();
            self.tail = payload[at + STAMP_BYTES..].to_vec();
        }
        Ok(found)
    }

    /// Looks at every member. Gives where the stamp is.
    fn take_apart(&self, payload: &[u8], from: Option<&str>) -> Result<usize, &'static str> {
        if wire::text(payload, self.kind.place()) != Some(self.place.as_bytes()) {
            return Err("misdelivered: a message of another call or party");
        }
        if from.is_some() && wire::text(payload, "from") != from.map(str::as_bytes) {
            return Err("misdelivered: a message from somebody else");
        }
        if wire::text(payload, "content_type") != Some(b"text") {
            return Err("changed: the content type is not as it was said");
        }
        let data = wire::text(payload, "data").ok_or("changed: a message without data")?;
        if data.get(STAMP_BYTES..) != Some(&self.filler) {
            return Err(CHANGED);
        }
        Ok(data.as_ptr().addr() - payload.as_ptr().addr())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frames;

    const STAMP: &str = "00000000050000000000000009";

    #[test]
    fn what_is_said_can_be_read_for_both_kinds() {
        for kind in [Kind::Broadcast, Kind::Party] {
            let mut form = Form::new(kind, "here@b.c", 40);
            let mut out = Vec::new();
            form.fill(5, 9, |template, values| template.push(&mut out, values));
            let mut input = out.as_mut_slice();
            let said = frames::next(&mut input).expect("it is whole").to_vec();
            assert_eq!(wire::kind(&said), kind.message().as_bytes());
            for _ in 0..2 {
                assert_eq!(form.read(&said, None), Ok((5, 9)));
            }
        }
    }

    #[test]
    fn only_what_is_as_it_was_said_is_right() {
        let mut form = Form::new(Kind::Broadcast, "id", 30);
        let relayed = |id: &str, from: &str, data: &str, content: &str| {
            format!(
                r#"{{"type":"MSG","call_id":"{id}","from":"{from}","data":"{data}","content_type":"{content}"}}"#
            )
        };
        let right = format!("{STAMP}xxxx");
        for _ in 0..2 {
            let payload = relayed("id", "s", &right, "text");
            assert_eq!(form.read(payload.as_bytes(), Some("s")), Ok((5, 9)));
            for (payload, what) in [
                (relayed("ix", "s", &right, "text"), "another call"),
                (relayed("id", "t", &right, "text"), "somebody else"),
                (relayed("id", "s", &right.replace("xxxx", "xxyx"), "text"), "not as it was said"),
                (relayed("id", "s", &right.replace('5', "e"), "text"), "not as it was said"),
                (relayed("id", "s", STAMP, "text"), "not as it was said"),
                (relayed("id", "s", "00", "text"), "not as it was said"),
                (relayed("id", "s", &right, "json"), "content type"),
            ] {
                let found = form.read(payload.as_bytes(), Some("s"));
                assert!(found.is_err_and(|why| why.contains(what)), "{what}: {found:?}");
            }
        }
    }
}
