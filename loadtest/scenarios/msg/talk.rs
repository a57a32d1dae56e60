//! Numbered messages: their form, and the check that each arrives once, in order, whole and in its own call.
//!
//! What comes is compared with what is known to be right, byte by byte: the head of a direction, learnt from its first
//! message, and the common tail. Only what differs is taken apart, to say how.

use crate::engine::timers::Nanos;
use crate::engine::wire::{self, CALL_ID_BYTES, Template};

/// Digits of a message's number.
const NUMBER_DIGITS: usize = 10;
/// Digits of its time, in nanoseconds.
const TIME_DIGITS: usize = 16;
const STAMP_BYTES: usize = NUMBER_DIGITS + TIME_DIGITS;
const HEAD: &str = r#"{"type":"MSG","call_id":""#;
const MIDDLE: &str = r#"","data":""#;

/// A number and a time, as text.
pub type Stamp = [u8; STAMP_BYTES];

/// What all messages of a run have in common.
#[derive(Debug)]
pub struct MessageForm {
    template: Template,
    filler: Vec<u8>,
    /// What follows the stamp in what the server relays; learnt.
    tail: Vec<u8>,
}

impl MessageForm {
    /// The least data that a message can have.
    pub const BYTES_MIN: usize = STAMP_BYTES;

    /// Messages with so many bytes of data.
    pub fn new(bytes: usize) -> Self {
        let filler = vec![b'x'; bytes.saturating_sub(STAMP_BYTES)];
        let mut payload = format!("{HEAD}{:0CALL_ID_BYTES$}{MIDDLE}{:0STAMP_BYTES$}", 0, 0).into_bytes();
        payload.extend_from_slice(&filler);
        payload.extend_from_slice(br#""}"#);
        Self { template: Template::new(&payload), filler, tail: Vec::new() }
    }

    /// What is sent, with [`Self::places`] filled in.
    pub fn template(&self) -> &Template {
        &self.template
    }

    /// A number and a time as they stand in a message.
    pub fn stamp(&self, number: u64, time: Nanos) -> Stamp {
        let mut stamp = [b'0'; STAMP_BYTES];
        write_digits(&mut stamp[..NUMBER_DIGITS], number);
        write_digits(&mut stamp[NUMBER_DIGITS..], time);
        stamp
    }

    /// What is filled in, and where.
    pub fn places<'v>(&self, id: &'v [u8; CALL_ID_BYTES], stamp: &'v Stamp) -> [(usize, &'v [u8]); 2] {
        [(HEAD.len(), id), (HEAD.len() + CALL_ID_BYTES + MIDDLE.len(), stamp)]
    }

    /// The number and the time of a message, or what is wrong with it. `head` is what this direction's messages begin
    /// with, learnt from the first one that is right. `from` is who has to be named as its sender, if anybody.
    pub fn read(
        &mut self,
        head: &mut Vec<u8>,
        payload: &[u8],
        id: &[u8; CALL_ID_BYTES],
        from: Option<&[u8]>,
    ) -> Result<(u64, Nanos), &'static str> {
        let known = !head.is_empty()
            && payload.len() == head.len() + STAMP_BYTES + self.tail.len()
            && payload.starts_with(head)
            && payload.ends_with(&self.tail);
        let at = if known { head.len() } else { self.take_apart(payload, id, from)? };
        let stamp = payload.get(at..at + STAMP_BYTES).ok_or("changed: the data is cut short")?;
        let (number, time) = stamp.split_at(NUMBER_DIGITS);
        let changed = "changed: the data is not as it was sent";
        let found = (read_digits(number).ok_or(changed)?, read_digits(time).ok_or(changed)?);
        if !known {
            head.clear();
            head.extend_from_slice(&payload[..at]);
            self.tail = payload[at + STAMP_BYTES..].to_vec();
        }
        Ok(found)
    }

    /// Looks at every member. Gives where the stamp is.
    fn take_apart(
        &self,
        payload: &[u8],
        id: &[u8; CALL_ID_BYTES],
        from: Option<&[u8]>,
    ) -> Result<usize, &'static str> {
        if wire::call_id(payload).as_ref() != Some(id) {
            return Err("misdelivered: MSG with another call id");
        }
        if from.is_some() && wire::text(payload, "from") != from {
            return Err("misdelivered: MSG from somebody else");
        }
        if from.is_some() && wire::text(payload, "content_type") != Some(b"text") {
            return Err("changed: the content type is not as it was sent");
        }
        let data = wire::text(payload, "data").ok_or("changed: MSG without data")?;
        if data.get(STAMP_BYTES..) != Some(&self.filler) {
            return Err("changed: the data is not as it was sent");
        }
        Ok(data.as_ptr().addr() - payload.as_ptr().addr())
    }
}

/// What one end says to the other.
#[derive(Debug, Default)]
pub struct Way {
    /// Messages sent: the number of the next.
    pub sent: u64,
    /// What is due next at the other end.
    next: u64,
    /// Numbers that were passed over, few or none.
    missing: Vec<u64>,
    /// What its messages begin with; learnt.
    pub head: Vec<u8>,
    /// When something was last received, or sent while nothing was in flight.
    moved: Nanos,
}

/// A message, compared with what was due.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Received {
    /// The next one.
    InOrder {
        /// When it was sent or due.
        time: Nanos,
    },
    /// Another; what that means.
    Otherwise(String),
}

impl Way {
    /// Messages under way.
    pub fn in_flight(&self) -> u64 {
        self.sent - self.next
    }

    /// One more was sent.
    pub fn sent(&mut self, now: Nanos) {
        if self.in_flight() == 0 {
            self.moved = now;
        }
        self.sent += 1;
    }

    /// A message with this number came.
    pub fn received(&mut self, number: u64, time: Nanos, now: Nanos) -> Received {
        self.moved = now;
        if number == self.next && number < self.sent {
            self.next += 1;
            return Received::InOrder { time };
        }
        if number >= self.sent {
            return Received::Otherwise(format!("misdelivered: number {number} was never sent"));
        }
        if number > self.next {
            let due = self.next;
            self.missing.extend(due..number);
            self.next = number + 1;
            return Received::Otherwise(format!("lost or late: number {number} came when {due} was due"));
        }
        match self.missing.iter().position(|&missing| missing == number) {
            Some(at) => {
                self.missing.swap_remove(at);
                Received::Otherwise(format!("reordered: number {number} came when {} was due", self.next))
            }
            None => Received::Otherwise(format!("doubled: number {number} came again")),
        }
    }

    /// Whether something is under way and nothing has come for too long.
    pub fn is_late(&self, now: Nanos, limit: Nanos) -> bool {
        self.in_flight() > 0 && now.saturating_sub(self.moved) > limit
    }
}

/// Fills a place with a number, zeros in front.
pub(in crate::scenarios) fn write_digits(place: &mut [u8], mut value: u64) {
    for digit in place.iter_mut().rev() {
        *digit = b'0' + (value % 10) as u8;
        value /= 10;
    }
}

/// The number that is written there, if it is nothing but digits.
pub(in crate::scenarios) fn read_digits(text: &[u8]) -> Option<u64> {
    let mut value = 0_u64;
    for &byte in text {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        value = value * 10 + u64::from(digit);
    }
    Some(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frames;

    const ID: [u8; CALL_ID_BYTES] = [b'7'; CALL_ID_BYTES];

    fn relayed(stamp: &str, id: &str, from: &str, rest: &str) -> Vec<u8> {
        format!(r#"{{"type":"MSG","call_id":"{id}","from":"{from}","data":"{stamp}{rest}","content_type":"text"}}"#)
            .into_bytes()
    }

    #[test]
    fn what_is_sent_carries_its_stamp() {
        let form = MessageForm::new(30);
        let (stamp, mut out) = (form.stamp(42, 1_234_567), Vec::new());
        form.template().push(&mut out, &form.places(&ID, &stamp));
        let mut input = out.as_mut_slice();
        let payload = frames::next(&mut input).expect("it is whole");
        assert_eq!((wire::kind(payload), wire::call_id(payload)), (&b"MSG"[..], Some(ID)));
        assert_eq!(wire::text(payload, "data"), Some(&b"00000000420000000001234567xxxx"[..]));
    }

    #[test]
    fn only_what_is_as_it_was_sent_is_right() {
        let (mut form, mut head) = (MessageForm::new(30), Vec::new());
        let id = "7".repeat(CALL_ID_BYTES);
        let stamp = "00000000050000000000000009";
        for round in 0..2 {
            let right = relayed(stamp, &id, "a@b.c", "xxxx");
            assert_eq!(form.read(&mut head, &right, &ID, Some(b"a@b.c")), Ok((5, 9)), "{round}");
            for (payload, fault) in [
                (relayed(stamp, &"8".repeat(CALL_ID_BYTES), "a@b.c", "xxxx"), "another call id"),
                (relayed(stamp, &id, "c@b.c", "xxxx"), "somebody else"),
                (relayed(stamp, &id, "a@b.c", "xxyx"), "not as it was sent"),
                (relayed(stamp, &id, "a@b.c", "xxxxx"), "not as it was sent"),
                (relayed(&stamp.replace('5', "e"), &id, "a@b.c", "xxxx"), "not as it was sent"),
            ] {
                let found = form.read(&mut head, &payload, &ID, Some(b"a@b.c"));
                assert!(found.is_err_and(|what| what.contains(fault)), "{fault}");
            }
        }
        // Other orders of members are as good.
        let other = format!(
            r#"{{"content_type":"text","data":"{stamp}xxxx","from":"a@b.c","call_id":"{id}","type":"MSG"}}"#
        );
        assert_eq!(form.read(&mut head, other.as_bytes(), &ID, Some(b"a@b.c")), Ok((5, 9)));
    }

    #[test]
    fn lost_late_doubled_and_invented_messages_are_told_apart() {
        let mut way = Way::default();
        (0..8).for_each(|_| way.sent(100));
        assert_eq!(way.received(0, 5, 200), Received::InOrder { time: 5 });
        for (number, what) in
            [(2, "lost or late"), (1, "reordered"), (1, "doubled"), (2, "doubled"), (8, "never sent")]
        {
            let found = way.received(number, 5, 200);
            assert!(
                matches!(&found, Received::Otherwise(text) if text.contains(what)),
                "{number}: {found:?}"
            );
        }
        assert_eq!(way.in_flight(), 5);
        assert!(!way.is_late(1200, 1000) && way.is_late(1201, 1000));
    }
}
