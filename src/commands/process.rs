//! What is asked of the operating system once at start, for the whole process: how many descriptors it may have, and which
//! pages its memory gets. Children that wake handlers spawn inherit both; they can change them back.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Descriptors kept back from connections: listeners, pollers, wake pipes, logs, webhooks, and some room.
const DESCRIPTORS_RESERVED: usize = 256;

/// Raises the soft limit on open descriptors to the hard limit. Returns the limit that holds then; `None`: unlimited.
/// The default soft limit of 1,024 would end an exchange at a thousand connections.
pub fn raise_descriptor_limit() -> Option<u64> {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    // Refused only where the hard limit is above what the kernel takes (macOS): then the old limit stays.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
    getrlimit(Resource::Nofile).current
}

/// The descriptors that `connections_max` connections are short of under this limit; `None` if they fit.
pub fn descriptors_missing(connections_max: Option<usize>, descriptor_limit: Option<u64>) -> Option<u64> {
    let wanted = connections_max?.saturating_add(DESCRIPTORS_RESERVED) as u64;
    wanted.checked_sub(descriptor_limit?).filter(|missing| *missing > 0)
}

/// Switches transparent huge pages off for this process (D13): a peer that announces much and sends little touches one byte
/// per huge page, which makes 2 MiB resident instead of 4 KiB. True if they are off; always false except on Linux.
pub fn disable_huge_pages() -> bool {
    #[cfg(target_os = "linux")]
    {
        rustix::thread::disable_transparent_huge_pages(true).is_ok()
    }
    #[cfg(not(target_os = "linux"))]
    {
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_soft_limit_becomes_the_hard_limit() {
        let hard = getrlimit(Resource::Nofile).maximum;
        assert_eq!(raise_descriptor_limit(), hard);
        assert_eq!(raise_descriptor_limit(), hard);
    }

    #[test]
    fn connections_need_a_descriptor_each_and_some_room() {
        assert_eq!(descriptors_missing(Some(20_000), Some(20_000)), Some(256));
        assert_eq!(descriptors_missing(Some(19_744), Some(20_000)), None);
        assert_eq!(descriptors_missing(None, Some(20_000)), None);
        assert_eq!(descriptors_missing(Some(usize::MAX), None), None);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn huge_pages_are_off_afterwards() {
        assert!(disable_huge_pages());
        assert!(rustix::thread::transparent_huge_pages_are_disabled().expect("the kernel answers"));
    }
}
