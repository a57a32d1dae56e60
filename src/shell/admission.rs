//! Who may connect: caps on connections in all and by address, checked when a connection is accepted.
//!
//! Shared by all shards, off the message path. A permit gives its place back when it is dropped, wherever the
//! connection has moved to in the meantime; that of a link to another exchange tells who keeps it up.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::oneshot;

/// The caps of an exchange.
#[derive(Debug)]
pub struct Admission {
    connections_max: Option<usize>,
    per_ip_max: Option<usize>,
    taken: Mutex<Taken>,
}

#[derive(Default, Debug)]
struct Taken {
    all: usize,
    by_ip: HashMap<IpAddr, usize, ahash::RandomState>,
}

/// What ends with a connection.
#[derive(Debug)]
pub struct Permit(Stake);

#[derive(Debug)]
enum Stake {
    /// The place of a connection that somebody made to this exchange.
    Place { admission: Arc<Admission>, ip: IpAddr },
    /// Word to whoever keeps a link up. Links count in no limit: the configuration says how many there are.
    Link { _gone: oneshot::Sender<()> },
}

impl Permit {
    /// The permit of a link to another exchange, and what ends when it is dropped.
    pub fn of_link() -> (Box<Self>, oneshot::Receiver<()>) {
        let (sender, gone) = oneshot::channel();
        (Box::new(Self(Stake::Link { _gone: sender })), gone)
    }
}

/// Why a connection is not admitted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Refused {
    /// There are as many connections as `SYSTEMX_CONNECTIONS_MAX` allows.
    Full,
    /// There are as many from this address as `SYSTEMX_CONNECTIONS_PER_IP` allows.
    FullForIp,
}

impl Admission {
    /// Caps of `connections_max` in all and `per_ip_max` by address; `None` = no cap.
    pub fn new(connections_max: Option<usize>, per_ip_max: Option<usize>) -> Arc<Self> {
        Arc::new(Self { connections_max, per_ip_max, taken: Mutex::default() })
    }

    /// A place for a connection from `ip`; none is needed where there are no caps.
    pub fn admit(self: &Arc<Self>, ip: IpAddr) -> Result<Option<Box<Permit>>, Refused> {
        if self.connections_max.is_none() && self.per_ip_max.is_none() {
            return Ok(None);
        }
        let mut taken = self.taken.lock();
        if self.connections_max.is_some_and(|max| taken.all >= max) {
            return Err(Refused::Full);
        }
        let ip = ip.to_canonical();
        let of_ip = taken.by_ip.get(&ip).copied().unwrap_or(0);
        if self.per_ip_max.is_some_and(|max| of_ip >= max) {
            return Err(Refused::FullForIp);
        }
        taken.all += 1;
        taken.by_ip.insert(ip, of_ip + 1);
        drop(taken);
        Ok(Some(Box::new(Permit(Stake::Place { admission: self.clone(), ip }))))
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let Stake::Place { admission, ip } = &self.0 else { return };
        let mut taken = admission.taken.lock();
        taken.all -= 1;
        if let Some(of_ip) = taken.by_ip.get_mut(ip) {
            *of_ip -= 1;
            if *of_ip == 0 {
                taken.by_ip.remove(ip);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_free_again_when_its_permit_is_gone() {
        let admission = Admission::new(Some(3), Some(2));
        let ip: IpAddr = "10.0.0.1".parse().unwrap();
        let other: IpAddr = "10.0.0.2".parse().unwrap();
        let permits: Vec<_> = (0..2).map(|_| admission.admit(ip).unwrap()).collect();
        assert_eq!(admission.admit(ip).err(), Some(Refused::FullForIp));
        assert_eq!(admission.admit("::ffff:10.0.0.1".parse().unwrap()).err(), Some(Refused::FullForIp));
        let third = admission.admit(other).unwrap();
        assert_eq!(admission.admit(other).err(), Some(Refused::Full));
        drop((permits, third));
        assert!(admission.taken.lock().by_ip.is_empty());
        assert!(admission.admit(ip).is_ok());
    }

    #[test]
    fn a_link_is_known_to_be_gone_when_its_permit_is() {
        let (permit, mut gone) = Permit::of_link();
        assert_eq!(gone.try_recv(), Err(oneshot::error::TryRecvError::Empty));
        drop(permit);
        assert_eq!(gone.try_recv(), Err(oneshot::error::TryRecvError::Closed));
    }
}
