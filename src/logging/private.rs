//! A wrapper for what must never reach a log: message data, tokens, wake commands. Code that wants the content says so by
//! calling [`Private::reveal`], which a reviewer can search for; every way of printing shows a length only.

use std::fmt;

/// A value whose `Debug` and `Display` show its length in bytes and nothing else.
#[derive(Clone, PartialEq, Eq)]
pub struct Private<T>(T);

impl<T> Private<T> {
    /// Hides a value from logs.
    pub const fn new(value: T) -> Self {
        Self(value)
    }

    /// The content. Never hand it to a log line or an error.
    pub fn reveal(&self) -> &T {
        &self.0
    }

    /// The content, by value. Never hand it to a log line or an error.
    pub fn into_revealed(self) -> T {
        self.0
    }
}

impl<T: AsRef<[u8]>> fmt::Debug for Private<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<private, {} bytes>", self.0.as_ref().len())
    }
}

impl<T: AsRef<[u8]>> fmt::Display for Private<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn printing_shows_a_length_and_nothing_else() {
        let token = Private::new(String::from("s3cret"));
        assert_eq!(
            format!("{token} {token:?} {token:#?}"),
            "<private, 6 bytes> <private, 6 bytes> <private, 6 bytes>"
        );
        assert_eq!(token.reveal(), "s3cret");
        assert_eq!(format!("{:?}", Some(Private::new(b"\x00\x01"))), "Some(<private, 2 bytes>)");
    }
}
