//! The certificate that new connections get, and whoever renews it: on demand (SIGHUP), and when its files have changed.
//!
//! Connections that are up keep what they were set up with; nobody is dropped. A file that cannot be used changes nothing
//! but the log. Changes are found by looking at what the paths lead to, through links: that is how cert-manager and
//! Kubernetes replace files, and no watch of the system would notice it on every file system.

use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::RwLock;
use rustls::ServerConfig;
use tracing::{info, warn};

use crate::config::TlsFiles;
use crate::timestamp::Timestamp;

use super::certificate::{Standing, Validity};
use super::{TlsError, server};

/// How often the log says that a certificate ends soon.
const REMIND_EVERY_S: i64 = 86_400;

/// What new connections are set up with. Asked once for each handshake, never for a message.
#[derive(Debug)]
pub struct Credentials {
    config: RwLock<Arc<ServerConfig>>,
    expires_unix_ms: AtomicU64,
}

impl Credentials {
    fn new(config: Arc<ServerConfig>, validity: &Validity) -> Self {
        Self { config: RwLock::new(config), expires_unix_ms: AtomicU64::new(validity.until_unix_ms()) }
    }

    /// What holds now.
    pub fn current(&self) -> Arc<ServerConfig> {
        self.config.read().clone()
    }

    /// When the certificate ends, in milliseconds since 1970.
    pub fn expires_unix_ms(&self) -> u64 {
        self.expires_unix_ms.load(Ordering::Relaxed)
    }

    fn renew(&self, config: Arc<ServerConfig>, validity: &Validity) {
        *self.config.write() = config;
        self.expires_unix_ms.store(validity.until_unix_ms(), Ordering::Relaxed);
    }
}

/// What came of a look at the files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Look {
    /// They are as they were.
    Same,
    /// New connections get what is in them now.
    Renewed,
    /// They cannot be used as they are; the old ones hold.
    Kept,
}

/// Keeps the credentials as their files are. For one thread, which may wait for the files.
#[derive(Debug)]
pub struct Watch {
    files: TlsFiles,
    credentials: Arc<Credentials>,
    /// The files as they were when they were last read, whether they could be used or not.
    seen: Seen,
    validity: Validity,
    reminded_unix_s: i64,
}

impl Watch {
    /// Reads the files for the first time.
    ///
    /// # Errors
    /// If they cannot be used. A certificate whose time is over can; the log says so.
    pub fn start(files: &TlsFiles, now_unix_s: i64) -> Result<Self, TlsError> {
        let seen = Seen::of(files);
        let loaded = server::load(files)?;
        let validity = loaded.validity;
        let credentials = Arc::new(Credentials::new(loaded.config, &validity));
        let watch = Self { files: files.clone(), credentials, seen, validity, reminded_unix_s: now_unix_s };
        watch.tell_validity(now_unix_s);
        Ok(watch)
    }

    /// What connections ask.
    pub fn credentials(&self) -> Arc<Credentials> {
        self.credentials.clone()
    }

    /// When the certificate ends, in milliseconds since 1970.
    pub fn expires_unix_ms(&self) -> u64 {
        self.validity.until_unix_ms()
    }

    /// Reads the files if they are not as they were; once a day says if the certificate ends soon.
    pub fn look(&mut self, now_unix_s: i64) -> Look {
        let look = if Seen::of(&self.files) == self.seen { Look::Same } else { self.reload(now_unix_s) };
        if now_unix_s - self.reminded_unix_s >= REMIND_EVERY_S {
            self.reminded_unix_s = now_unix_s;
            if !matches!(self.validity.standing(now_unix_s), Standing::Good(_)) {
                self.tell_validity(now_unix_s);
            }
        }
        look
    }

    /// Reads the files, whether they have changed or not.
    pub fn reload(&mut self, now_unix_s: i64) -> Look {
        // Looked at before they are read: what changes in between is found at the next look.
        self.seen = Seen::of(&self.files);
        match server::load(&self.files) {
            Ok(loaded) => {
                self.credentials.renew(loaded.config, &loaded.validity);
                (self.validity, self.reminded_unix_s) = (loaded.validity, now_unix_s);
                info!("certificate reloaded: new connections get it");
                self.tell_validity(now_unix_s);
                Look::Renewed
            }
            Err(error) => {
                warn!(%error, "certificate not reloaded: the old one is kept");
                Look::Kept
            }
        }
    }

    fn tell_validity(&self, now_unix_s: i64) {
        let (file, expires) = (self.files.certificate.display(), Timestamp(self.expires_unix_ms()));
        match self.validity.standing(now_unix_s) {
            Standing::Good(days_left) => info!(%file, %expires, days_left, "certificate in use"),
            Standing::Ending(days_left) => {
                warn!(%file, %expires, days_left, "certificate ends soon: renew it")
            }
            Standing::Expired => warn!(%file, %expires, "certificate has expired: clients will refuse it"),
            Standing::Early => warn!(%file, "certificate is not valid yet: clients will refuse it"),
        }
    }
}

/// What paths lead to, so that a change shows.
#[derive(Debug, PartialEq, Eq)]
struct Seen([Option<Stamp>; 3]);

#[derive(Debug, PartialEq, Eq)]
struct Stamp {
    device: u64,
    inode: u64,
    len: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Seen {
    fn of(files: &TlsFiles) -> Self {
        let client_ca = files.client_ca.as_deref();
        Self([Some(&*files.certificate), Some(&*files.key), client_ca].map(|path| path.and_then(Stamp::of)))
    }
}

impl Stamp {
    /// `None` if nothing is there.
    fn of(path: &Path) -> Option<Self> {
        let found = std::fs::metadata(path).ok()?;
        Some(Self {
            device: found.dev(),
            inode: found.ino(),
            len: found.len(),
            modified: (found.mtime(), found.mtime_nsec()),
            changed: (found.ctime(), found.ctime_nsec()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Authority, Folder, relink};
    use super::*;

    const NOW_UNIX_S: i64 = 1_900_000_000;

    fn files(certificate: std::path::PathBuf, key: std::path::PathBuf) -> TlsFiles {
        TlsFiles { certificate, key, client_ca: None, client_cert_required: false }
    }

    #[test]
    fn a_change_of_the_files_is_found_and_a_bad_one_is_told_once_and_changes_nothing() {
        let (folder, authority) = (Folder::new(), Authority::new("ca"));
        let (old, new) = (authority.server("a.test"), authority.server("a.test"));
        let files = files(folder.write("cert.pem", &old.chain), folder.write("key.pem", &old.key));
        let mut watch = Watch::start(&files, NOW_UNIX_S).expect("they are fine");
        let credentials = watch.credentials();
        let first = credentials.current();
        assert_eq!(watch.look(NOW_UNIX_S), Look::Same);
        folder.write("cert.pem", &new.chain);
        assert_eq!((watch.look(NOW_UNIX_S), watch.look(NOW_UNIX_S)), (Look::Kept, Look::Same));
        assert!(Arc::ptr_eq(&first, &credentials.current()));
        std::fs::remove_file(&files.key).expect("it is there");
        assert_eq!((watch.look(NOW_UNIX_S), watch.look(NOW_UNIX_S)), (Look::Kept, Look::Same));
        folder.write("key.pem", &new.key);
        assert_eq!((watch.look(NOW_UNIX_S), watch.look(NOW_UNIX_S)), (Look::Renewed, Look::Same));
        assert!(!Arc::ptr_eq(&first, &credentials.current()));
        assert_eq!(credentials.expires_unix_ms(), watch.expires_unix_ms());
    }

    #[test]
    fn a_link_that_leads_elsewhere_is_a_change() {
        let (folder, authority) = (Folder::new(), Authority::new("ca"));
        for name in ["old", "new"] {
            let issued = authority.server("a.test");
            std::fs::create_dir(folder.path(name)).expect("the folder can be written");
            folder.write(&format!("{name}/cert.pem"), &issued.chain);
            folder.write(&format!("{name}/key.pem"), &issued.key);
        }
        let link = folder.path("data");
        relink(&link, &folder.path("old"));
        let mut watch =
            Watch::start(&files(link.join("cert.pem"), link.join("key.pem")), NOW_UNIX_S).expect("fine");
        assert_eq!(watch.look(NOW_UNIX_S), Look::Same);
        relink(&link, &folder.path("new"));
        assert_eq!(watch.look(NOW_UNIX_S), Look::Renewed);
    }

    #[test]
    fn on_demand_the_files_are_read_even_if_they_look_the_same() {
        let (folder, issued) = (Folder::new(), Authority::new("ca").server("a.test"));
        let files = files(folder.write("cert.pem", &issued.chain), folder.write("key.pem", &issued.key));
        let mut watch = Watch::start(&files, NOW_UNIX_S).expect("they are fine");
        assert_eq!(watch.reload(NOW_UNIX_S), Look::Renewed);
    }
}
