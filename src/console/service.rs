//! What the exchange as a whole is up to: whether new clients should be sent here. `/readyz`, the metrics and the service manager say
//! it from here.
//!
//! Written by the operator's loop alone, read by anybody at any time; nobody waits for anybody. A state never goes back.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

/// What the exchange is up to.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Debug)]
pub enum ServiceState {
    /// It lets clients in and serves them.
    #[default]
    Serving,
    /// It lets nobody in any more, and sends its clients away.
    Draining,
    /// It ends what is left, and then itself.
    Stopping,
}

impl ServiceState {
    /// All of them, in their order.
    pub const ALL: [Self; 3] = [Self::Serving, Self::Draining, Self::Stopping];

    /// Its name, for labels and people.
    pub fn name(self) -> &'static str {
        match self {
            Self::Serving => "serving",
            Self::Draining => "draining",
            Self::Stopping => "stopping",
        }
    }

    /// Whether new clients should be sent here.
    pub fn is_ready(self) -> bool {
        self == Self::Serving
    }
}

/// Where the state can be read.
#[derive(Clone, Default, Debug)]
pub struct StateBoard(Arc<AtomicU8>);

impl StateBoard {
    /// The state now.
    pub fn read(&self) -> ServiceState {
        let number = usize::from(self.0.load(Ordering::Acquire));
        ServiceState::ALL.get(number).copied().unwrap_or(ServiceState::Stopping)
    }

    /// A later state begins; an earlier one is ignored.
    pub(crate) fn advance(&self, state: ServiceState) {
        self.0.fetch_max(state as u8, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_never_goes_back() {
        let board = StateBoard::default();
        assert_eq!(board.read(), ServiceState::Serving);
        for (said, state) in [
            (ServiceState::Draining, ServiceState::Draining),
            (ServiceState::Serving, ServiceState::Draining),
            (ServiceState::Stopping, ServiceState::Stopping),
            (ServiceState::Draining, ServiceState::Stopping),
        ] {
            board.advance(said);
            assert_eq!(board.read(), state);
        }
    }
}
