//! Whether this exchange should be sent new clients: parts that must be up, each with its name and, if it is not, why.
//!
//! Whoever runs a part that clients depend on asks for a [`Part`] once and says when it goes down and comes up again; nothing
//! waits for a reader. Not ready is no alarm by itself: an exchange that drains is not, and does what it should.

use std::borrow::Cow;
use std::sync::Arc;

use parking_lot::Mutex;

/// The parts. Clones are the same.
#[derive(Clone, Default, Debug)]
pub struct Readiness(Arc<Mutex<Vec<PartState>>>);

/// How it stands with a part.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PartState {
    /// Its name.
    pub name: &'static str,
    /// Why it is down; `None`: it is up.
    pub why: Option<Cow<'static, str>>,
}

/// What one part says about itself with. Clones are the same part.
#[derive(Clone, Debug)]
pub struct Part {
    readiness: Readiness,
    at: usize,
}

impl Readiness {
    /// A part that is up.
    pub fn part(&self, name: &'static str) -> Part {
        let mut parts = self.0.lock();
        parts.push(PartState { name, why: None });
        Part { readiness: self.clone(), at: parts.len() - 1 }
    }

    /// How it stands with all of them, in the order in which they were made.
    pub fn parts(&self) -> Vec<PartState> {
        self.0.lock().clone()
    }
}

impl Part {
    /// It is down from now on; `why` is for the operator to read.
    pub fn goes_down(&self, why: impl Into<Cow<'static, str>>) {
        self.note(Some(why.into()));
    }

    /// It is up from now on.
    pub fn comes_up(&self) {
        self.note(None);
    }

    fn note(&self, why: Option<Cow<'static, str>>) {
        if let Some(part) = self.readiness.0.lock().get_mut(self.at) {
            part.why = why;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_part_says_for_itself_whether_it_is_up() {
        let readiness = Readiness::default();
        let (drain, records) = (readiness.part("drain"), readiness.part("records"));
        drain.goes_down("draining since 12:00");
        records.clone().goes_down("disk full");
        records.comes_up();
        let why = Some("draining since 12:00".into());
        let expected = [PartState { name: "drain", why }, PartState { name: "records", why: None }];
        assert_eq!(readiness.parts(), expected);
    }
}
