//! What the log is told of a link: changes of its state, once each. A peer that is down for a day costs one line, and so does
//! one that lets us in and shows us out again every few seconds.

use std::time::Duration;

use tracing::{debug, info, warn};

use crate::config::federation::Peer;

use super::dial::DialError;

/// What was told last.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Told {
    Nothing,
    Up,
    Lost,
    Unreachable,
    /// It comes and goes: nothing more is told until it stays.
    Flapping,
}

/// The standing of one link.
#[derive(Debug)]
pub(super) struct Standing(Told);

impl Standing {
    pub(super) fn new() -> Self {
        Self(Told::Nothing)
    }

    /// It has come up.
    pub(super) fn is_up(&mut self, peer: &Peer) {
        if self.0 == Told::Flapping {
            return debug!(peer = &*peer.id, url = %peer.url, "link is up");
        }
        self.0 = Told::Up;
        info!(peer = &*peer.id, url = %peer.url, "link is up");
    }

    /// It has lasted for a while.
    pub(super) fn is_steady(&mut self, peer: &Peer) {
        if self.0 == Told::Flapping {
            self.0 = Told::Up;
            info!(peer = &*peer.id, url = %peer.url, "link is up, and stays");
        }
    }

    /// It is gone, after it had lasted for a while or before. It is called again after `again_in`, which may be the other
    /// exchange's wish.
    pub(super) fn is_lost(&mut self, peer: &Peer, was_steady: bool, again_in: Duration) {
        let peer = &*peer.id;
        if self.0 == Told::Flapping {
            return debug!(peer, "link lost");
        }
        self.0 = if was_steady { Told::Lost } else { Told::Flapping };
        let what = if was_steady { "link lost" } else { "link lost soon after it came up" };
        warn!(peer, ?again_in, "{what}");
    }

    /// A call has failed.
    pub(super) fn cannot_be_reached(&mut self, peer: &Peer, error: &DialError) {
        let (id, again_in) = (&*peer.id, peer.reconnect_delay);
        if matches!(self.0, Told::Flapping | Told::Unreachable) {
            return debug!(peer = id, %error, "link cannot be set up");
        }
        self.0 = Told::Unreachable;
        warn!(peer = id, url = %peer.url, %error, ?again_in, "link cannot be set up; said once, until that changes");
    }
}

#[cfg(test)]
mod tests {
    use crate::config::federation::PeerUrl;

    use super::*;

    fn peer() -> Peer {
        Peer {
            id: "up".into(),
            url: PeerUrl::parse("ws://up.test").unwrap(),
            domain: "home.test".into(),
            auth: None,
            routes: Box::default(),
            announced: Box::default(),
            reconnect_delay: std::time::Duration::from_secs(5),
            heartbeat: None,
            protocols: Box::default(),
        }
    }

    #[test]
    fn each_change_is_told_once() {
        let (peer, mut standing) = (peer(), Standing::new());
        let down = |standing: &mut Standing| standing.cannot_be_reached(&peer, &DialError::TimedOut);
        down(&mut standing);
        assert_eq!(standing.0, Told::Unreachable);
        standing.is_up(&peer);
        assert_eq!(standing.0, Told::Up);
        standing.is_lost(&peer, true, peer.reconnect_delay);
        assert_eq!(standing.0, Told::Lost);
        down(&mut standing);
        assert_eq!(standing.0, Told::Unreachable);
    }

    #[test]
    fn a_link_that_comes_and_goes_is_told_once_until_it_stays() {
        let (peer, mut standing) = (peer(), Standing::new());
        for _ in 0..3 {
            standing.is_up(&peer);
            standing.is_lost(&peer, false, peer.reconnect_delay);
            standing.cannot_be_reached(&peer, &DialError::TimedOut);
            assert_eq!(standing.0, Told::Flapping);
        }
        standing.is_up(&peer);
        assert_eq!(standing.0, Told::Flapping);
        standing.is_steady(&peer);
        assert_eq!(standing.0, Told::Up);
    }
}
