//! The calls a phone has at the moment, under short local numbers that a person can type.
//! A data structure only: it sends and prints nothing. It holds no more calls than the exchange
//! lets one line have.
//! Invariant: numbers are unique, and the current call, if there is one, is in the book and connected.

use std::collections::BTreeSet;

/// How far a call has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CallState {
    /// Placed by this phone, not answered yet.
    Dialing,
    /// Rings here.
    Ringing,
    /// Both ends may talk.
    Connected,
}

impl CallState {
    /// The word shown to the user.
    pub(super) fn word(self) -> &'static str {
        match self {
            CallState::Dialing => "dialing",
            CallState::Ringing => "ringing",
            CallState::Connected => "connected",
        }
    }
}

/// One call as this phone sees it.
#[derive(Debug, Clone)]
pub(super) struct PhoneCall {
    pub number: u32,
    /// The other end's address; of a broadcast session this phone holds, its own.
    pub with: String,
    pub state: CallState,
    /// Unknown between DIAL and DIALING.
    pub call_id: Option<String>,
    /// What DIALING, CONNECTED and BUSY repeat; only calls this phone placed have one.
    pub reference: Option<String>,
    /// Who listens, when this phone is the broadcaster.
    pub listeners: BTreeSet<String>,
    /// Hung up before its call id was known: hang up as soon as it is.
    pub cancelled: bool,
}

/// All calls of the phone.
#[derive(Debug, Default)]
pub(super) struct CallBook {
    calls: Vec<PhoneCall>,
    current: Option<u32>,
}

impl CallBook {
    /// Enters a call this phone places and returns its number.
    pub(super) fn placed(&mut self, to: &str, reference: &str) -> u32 {
        self.enter(to, CallState::Dialing, None, Some(reference.to_owned()))
    }

    /// Enters a call that reaches this phone and returns its number.
    pub(super) fn reached(&mut self, from: &str, call_id: &str) -> u32 {
        self.enter(from, CallState::Ringing, Some(call_id.to_owned()), None)
    }

    fn enter(
        &mut self,
        with: &str,
        state: CallState,
        call_id: Option<String>,
        reference: Option<String>,
    ) -> u32 {
        let number = self.free_number();
        let with = with.to_owned();
        let listeners = BTreeSet::new();
        self.calls.push(PhoneCall { number, with, state, call_id, reference, listeners, cancelled: false });
        number
    }

    /// The lowest number no call has: a person mostly sees 1, 2 and 3.
    fn free_number(&self) -> u32 {
        let mut number = 1;
        while self.calls.iter().any(|call| call.number == number) {
            number += 1;
        }
        number
    }

    /// Marks a call as connected and makes it the current one. `None` when there is no such call.
    pub(super) fn connect(&mut self, number: u32) -> Option<&mut PhoneCall> {
        let call = self.calls.iter_mut().find(|call| call.number == number)?;
        call.state = CallState::Connected;
        self.current = Some(number);
        Some(call)
    }

    /// Makes a connected call the current one. False when it is not connected.
    pub(super) fn switch(&mut self, number: u32) -> bool {
        let connected = self.numbered(number).is_some_and(|call| call.state == CallState::Connected);
        if connected {
            self.current = Some(number);
        }
        connected
    }

    /// Takes a call out; the newest connected call becomes the current one if it was this.
    pub(super) fn remove(&mut self, number: u32) -> Option<PhoneCall> {
        let place = self.calls.iter().position(|call| call.number == number)?;
        let gone = self.calls.remove(place);
        if self.current == Some(number) {
            let next = self.calls.iter().rev().find(|call| call.state == CallState::Connected);
            self.current = next.map(|call| call.number);
        }
        Some(gone)
    }

    /// Takes all calls out, oldest first.
    pub(super) fn remove_all(&mut self) -> Vec<PhoneCall> {
        self.current = None;
        std::mem::take(&mut self.calls)
    }

    pub(super) fn current(&self) -> Option<&PhoneCall> {
        self.numbered(self.current?)
    }

    pub(super) fn numbered(&self, number: u32) -> Option<&PhoneCall> {
        self.calls.iter().find(|call| call.number == number)
    }

    pub(super) fn numbered_mut(&mut self, number: u32) -> Option<&mut PhoneCall> {
        self.calls.iter_mut().find(|call| call.number == number)
    }

    pub(super) fn with_id(&mut self, call_id: &str) -> Option<&mut PhoneCall> {
        self.calls.iter_mut().find(|call| call.call_id.as_deref() == Some(call_id))
    }

    /// The dialled call an answer belongs to: by reference, or, from an exchange that knows none, the
    /// oldest to that address which is still being dialled.
    pub(super) fn dialled(&mut self, reference: Option<&str>, to: &str) -> Option<&mut PhoneCall> {
        let mut dialling = self.calls.iter_mut().filter(|call| call.state == CallState::Dialing);
        match reference {
            Some(reference) => dialling.find(|call| call.reference.as_deref() == Some(reference)),
            None => dialling.find(|call| call.with == to),
        }
    }

    /// The oldest DIAL the exchange has not reacted to: the one an ERROR about DIAL means, since both
    /// directions keep their order.
    pub(super) fn oldest_unacknowledged(&self) -> Option<u32> {
        let waiting = |call: &&PhoneCall| call.state == CallState::Dialing && call.call_id.is_none();
        self.calls.iter().find(waiting).map(|call| call.number)
    }

    pub(super) fn oldest_ringing(&self) -> Option<u32> {
        self.calls.iter().find(|call| call.state == CallState::Ringing).map(|call| call.number)
    }

    /// The current call, or the newest of all: what `hangup` without a number means.
    pub(super) fn likely(&self) -> Option<u32> {
        self.current.or_else(|| self.calls.last().map(|call| call.number))
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &PhoneCall> {
        self.calls.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lowest_free_number_is_given_again() {
        let mut book = CallBook::default();
        assert_eq!([book.placed("a", "r1"), book.placed("b", "r2"), book.reached("c", "id3")], [1, 2, 3]);
        book.remove(2);
        assert_eq!(book.placed("d", "r4"), 2);
    }

    #[test]
    fn the_newest_connected_call_takes_over_when_the_current_one_ends() {
        let mut book = CallBook::default();
        for from in ["a", "b", "c"] {
            let number = book.reached(from, from);
            book.connect(number);
        }
        book.reached("d", "d");
        book.remove(3);
        assert_eq!(book.current().map(|call| call.number), Some(2));
        assert!(book.switch(1));
        assert!(!book.switch(3), "number 3 only rings no more");
        book.remove(1);
        book.remove(2);
        assert!(book.current().is_none());
        assert_eq!(book.likely(), Some(4));
    }

    #[test]
    fn an_answer_without_reference_means_the_oldest_dial_to_that_address() {
        let mut book = CallBook::default();
        book.placed("b", "r1");
        book.placed("c", "r2");
        book.placed("c", "r3");
        assert_eq!(book.dialled(None, "c").map(|call| call.number), Some(2));
        assert_eq!(book.dialled(Some("r3"), "c").map(|call| call.number), Some(3));
        assert!(book.dialled(Some("r9"), "c").is_none());
    }
}
