//! What operators have done: who, what, to whom and with what result. Each entry is a line in the log, which keeps it, and the
//! last ones can be read back.

use std::collections::VecDeque;
use std::net::SocketAddr;

use parking_lot::Mutex;
use tracing::info;

use crate::logging::{AUDIT_TARGET, Timestamp};

/// Entries that can be read back.
pub const AUDIT_LEN_MAX: usize = 256;

/// Who did what the exchange did by itself.
pub const ITSELF: &str = "exchange";

/// Something that an operator did.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Deed {
    /// When.
    pub at: Timestamp,
    /// The address that it came from; `None`: the exchange did it by itself.
    pub who: Option<SocketAddr>,
    /// What.
    pub what: &'static str,
    /// To whom.
    pub whom: Box<str>,
    /// What came of it.
    pub outcome: &'static str,
}

/// The last deeds.
#[derive(Default, Debug)]
pub struct Audit(Mutex<VecDeque<Deed>>);

impl Audit {
    /// Notes a deed, in the log too.
    pub fn note(&self, deed: Deed) {
        let Deed { at: _, who, what, ref whom, outcome } = deed;
        let who = who.map(|who| who.to_string());
        info!(target: AUDIT_TARGET, who = who.as_deref().unwrap_or(ITSELF), action = what, whom = %whom, outcome, "operator's action");
        let mut deeds = self.0.lock();
        if deeds.len() == AUDIT_LEN_MAX {
            deeds.pop_front();
        }
        deeds.push_back(deed);
    }

    /// The last ones, the latest first.
    pub fn latest(&self) -> Vec<Deed> {
        self.0.lock().iter().rev().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_deeds_are_kept_latest_first() {
        let audit = Audit::default();
        let who = Some(SocketAddr::from(([127, 0, 0, 1], 9)));
        for number in 0..AUDIT_LEN_MAX as u64 + 3 {
            let (at, whom) = (Timestamp(number), "a@x.test".into());
            audit.note(Deed { at, who, what: "disconnect", whom, outcome: "done" });
        }
        let deeds = audit.latest();
        assert_eq!((deeds.len(), deeds[0].at.0), (AUDIT_LEN_MAX, AUDIT_LEN_MAX as u64 + 2));
    }
}
