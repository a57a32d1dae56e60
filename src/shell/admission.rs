//! Who may connect: caps on connections in all and by address, checked when a connection is accepted, and again when a
//! proxy has said whose it is.
//!
//! Shared by all shards, off the message path. A permit gives its place back when it is dropped, wherever the
//! connection has moved to in the meantime; that of a link to another exchange tells who keeps it up.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;
use std::time::Duration;

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
    Place(Place),
    /// Word to whoever keeps a link up. Links count in no limit: the configuration says how many there are.
    Link { gone: Option<oneshot::Sender<Duration>> },
}

/// The place of one connection.
#[derive(Debug)]
struct Place {
    admission: Arc<Admission>,
    /// The address it counts for; `None` while only its proxy is known.
    ip: Option<IpAddr>,
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

    /// A place for a connection from `ip`, or from a proxy that has not said yet whose it is (`None`: it counts among
    /// all, and for nobody). None is needed where there are no caps.
    pub fn admit(self: &Arc<Self>, ip: Option<IpAddr>) -> Result<Option<Box<Permit>>, Refused> {
        if self.connections_max.is_none() && self.per_ip_max.is_none() {
            return Ok(None);
        }
        let mut taken = self.taken.lock();
        if self.connections_max.is_some_and(|max| taken.all >= max) {
            return Err(Refused::Full);
        }
        let ip = ip.map(subscriber);
        if let Some(ip) = ip {
            taken.add(ip, self.per_ip_max)?;
        }
        taken.all += 1;
        drop(taken);
        Ok(Some(Box::new(Permit(Stake::Place(Place { admission: self.clone(), ip })))))
    }
}

/// What counts as one address: of IPv6 the network of 64 bits that one subscriber gets, who else could take a new one for each
/// connection.
fn subscriber(ip: IpAddr) -> IpAddr {
    const NETWORK_BITS: u32 = 64;
    match ip.to_canonical() {
        IpAddr::V6(ip) => IpAddr::V6(Ipv6Addr::from_bits(ip.to_bits() >> NETWORK_BITS << NETWORK_BITS)),
        ip @ IpAddr::V4(_) => ip,
    }
}

impl Permit {
    /// The permit of a link to another exchange, and what ends when it is dropped.
    pub fn of_link() -> (Box<Self>, oneshot::Receiver<Duration>) {
        let (sender, gone) = oneshot::channel();
        (Box::new(Self(Stake::Link { gone: Some(sender) })), gone)
    }

    /// The other exchange ends its link and has said after how long to come back. That ends with no other connection.
    pub fn come_back_after(&mut self, wait: Duration) {
        if let Stake::Link { gone } = &mut self.0
            && let Some(gone) = gone.take()
        {
            // Nobody may wait for it any more.
            let _ = gone.send(wait);
        }
    }

    /// Counts the connection for `ip` from now on. If that is refused it counts for whom it did.
    pub fn assign(&mut self, ip: IpAddr) -> Result<(), Refused> {
        match &mut self.0 {
            Stake::Place(place) => place.assign(ip),
            Stake::Link { .. } => Ok(()),
        }
    }
}

impl Place {
    fn assign(&mut self, ip: IpAddr) -> Result<(), Refused> {
        let ip = subscriber(ip);
        if self.ip == Some(ip) {
            return Ok(());
        }
        let mut taken = self.admission.taken.lock();
        taken.add(ip, self.admission.per_ip_max)?;
        if let Some(before) = self.ip.replace(ip) {
            taken.remove(before);
        }
        Ok(())
    }
}

impl Taken {
    fn add(&mut self, ip: IpAddr, max: Option<usize>) -> Result<(), Refused> {
        let of_ip = self.by_ip.get(&ip).copied().unwrap_or(0);
        if max.is_some_and(|max| of_ip >= max) {
            return Err(Refused::FullForIp);
        }
        self.by_ip.insert(ip, of_ip + 1);
        Ok(())
    }

    fn remove(&mut self, ip: IpAddr) {
        let Some(of_ip) = self.by_ip.get_mut(&ip) else { return };
        *of_ip -= 1;
        if *of_ip == 0 {
            self.by_ip.remove(&ip);
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.admission.taken.lock();
        taken.all -= 1;
        if let Some(ip) = self.ip {
            taken.remove(ip);
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
        let permits: Vec<_> = (0..2).map(|_| admission.admit(Some(ip)).unwrap()).collect();
        assert_eq!(admission.admit(Some(ip)).err(), Some(Refused::FullForIp));
        let mapped = "::ffff:10.0.0.1".parse().ok();
        assert_eq!(admission.admit(mapped).err(), Some(Refused::FullForIp));
        let third = admission.admit(Some(other)).unwrap();
        assert_eq!(admission.admit(Some(other)).err(), Some(Refused::Full));
        drop((permits, third));
        assert!(admission.taken.lock().by_ip.is_empty());
        assert!(admission.admit(Some(ip)).is_ok());
    }

    #[test]
    fn addresses_of_one_ipv6_network_count_as_one() {
        let admission = Admission::new(None, Some(1));
        let admit = |ip: &str| admission.admit(ip.parse().ok());
        let _first = admit("2001:db8::1").unwrap();
        assert_eq!(admit("2001:db8:0:0:ffff::2").err(), Some(Refused::FullForIp));
        assert!(admit("2001:db8:0:1::1").is_ok());
    }

    #[test]
    fn a_place_counts_for_whom_the_proxy_names() {
        let admission = Admission::new(None, Some(1));
        let (one, other): (IpAddr, IpAddr) = ("10.0.0.1".parse().unwrap(), "10.0.0.2".parse().unwrap());
        let mut proxied = admission.admit(None).unwrap().unwrap();
        assert!(admission.taken.lock().by_ip.is_empty(), "nobody is named yet");
        proxied.assign(one).unwrap();
        proxied.assign(one).unwrap();
        assert_eq!(admission.admit(Some(one)).err(), Some(Refused::FullForIp));
        let mut second = admission.admit(None).unwrap().unwrap();
        assert_eq!(second.assign(one).err(), Some(Refused::FullForIp));
        proxied.assign(other).unwrap();
        second.assign(one).unwrap();
        drop((proxied, second));
        assert!(admission.taken.lock().by_ip.is_empty());
        assert_eq!(admission.taken.lock().all, 0);
    }

    #[test]
    fn a_link_is_known_to_be_gone_when_its_permit_is() {
        let (permit, mut gone) = Permit::of_link();
        assert_eq!(gone.try_recv(), Err(oneshot::error::TryRecvError::Empty));
        drop(permit);
        assert_eq!(gone.try_recv(), Err(oneshot::error::TryRecvError::Closed));
    }
}
