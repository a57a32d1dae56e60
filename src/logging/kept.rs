//! The last warnings and errors, so kept that one cause cannot crowd out another.
//!
//! What is said again only counts. Whatever is said in other words belongs to a kind, its message, which the program's source has as a
//! constant; a client chooses what is in the fields, never the kind. A kind has a few places, and when all are taken the kind
//! gives way that has most of them. So however much one client provokes, what the exchange says of itself stays.

use super::desk::LoggedLine;

/// Lines that are kept: more than there are kinds, and at most 1.3 MB.
pub const WARNINGS_MAX: usize = 256;
/// Lines of one kind that differ: enough to see who is concerned.
const OF_KIND_MAX: usize = 8;
/// Kinds that are counted; the program has some hundred, and libraries count as one each.
const KINDS_MAX: usize = 512;

/// The lines, the latest last.
#[derive(Debug, Default)]
pub(super) struct Kept {
    lines: Vec<LoggedLine>,
    kinds: Vec<Kind>,
}

/// How often something was said, in whatever words.
#[derive(Debug)]
struct Kind {
    name: Box<str>,
    count: u64,
}

impl Kept {
    /// Keeps a line, or counts it.
    pub(super) fn add(&mut self, mut line: LoggedLine) {
        self.count(&line);
        let is_again = |known: &LoggedLine| {
            known.is_error == line.is_error && known.message == line.message && known.fields == line.fields
        };
        if let Some(at) = self.lines.iter().rposition(is_again) {
            let known = self.lines.remove(at);
            (line.first, line.count) = (known.first, known.count.saturating_add(line.count));
        } else {
            self.make_room(&line.kind);
        }
        self.lines.push(line);
    }

    /// The lines, the latest first, at most so many.
    pub(super) fn latest(&self, most: usize) -> Vec<LoggedLine> {
        let count_of =
            |name: &str| self.kinds.iter().find(|kind| *kind.name == *name).map_or(0, |kind| kind.count);
        let lines = self.lines.iter().rev().take(most).cloned();
        lines.map(|line| LoggedLine { of_kind: count_of(&line.kind).max(line.count), ..line }).collect()
    }

    fn count(&mut self, line: &LoggedLine) {
        if let Some(kind) = self.kinds.iter_mut().find(|kind| kind.name == line.kind) {
            kind.count = kind.count.saturating_add(line.count);
        } else if self.kinds.len() < KINDS_MAX {
            self.kinds.push(Kind { name: line.kind.clone(), count: line.count });
        }
    }

    /// Forgets the oldest line of this kind if it has all its places, or else of the one that has most if none is left.
    fn make_room(&mut self, kind: &str) {
        let places = |kind: &str| self.lines.iter().filter(|line| *line.kind == *kind).count();
        let victim = if places(kind) >= OF_KIND_MAX {
            Some(kind)
        } else if self.lines.len() >= WARNINGS_MAX {
            // The oldest of those that have equally many.
            self.lines.iter().rev().max_by_key(|line| places(&line.kind)).map(|line| &*line.kind)
        } else {
            None
        };
        let oldest = victim.and_then(|kind| self.lines.iter().position(|line| *line.kind == *kind));
        if let Some(at) = oldest {
            self.lines.remove(at);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::timestamp::Timestamp;

    fn line(at: u64, message: &str, fields: &str) -> LoggedLine {
        LoggedLine {
            at: Timestamp(at),
            first: Timestamp(at),
            count: 1,
            of_kind: 1,
            is_error: false,
            kind: message.into(),
            message: message.into(),
            fields: fields.into(),
        }
    }

    #[test]
    fn what_is_said_again_counts_and_says_since_when() {
        let mut kept = Kept::default();
        for at in [10, 20, 30] {
            kept.add(line(at, "disk full", "{}"));
            kept.add(line(at + 1, "shard slow", "{\"shard\":1}"));
        }
        let lines = kept.latest(usize::MAX);
        let shown: Vec<_> =
            lines.iter().map(|line| (&*line.message, line.at.0, line.first.0, line.count)).collect();
        assert_eq!(shown, [("shard slow", 31, 11, 3), ("disk full", 30, 10, 3)]);
    }

    #[test]
    fn however_much_one_client_provokes_what_others_have_said_stays() {
        let mut kept = Kept::default();
        kept.add(line(1, "call records cannot be kept", "{}"));
        for number in 0..100_000 {
            let fields = format!("{{\"peer\":\"127.0.0.1:{number}\"}}");
            kept.add(line(2 + number, "request refused", &fields));
        }
        let lines = kept.latest(usize::MAX);
        assert_eq!(lines.len(), 1 + OF_KIND_MAX);
        assert_eq!((lines[0].count, lines[0].of_kind), (1, 100_000));
        assert_eq!(&*lines.last().expect("it is not empty").message, "call records cannot be kept");
    }

    #[test]
    fn when_all_places_are_taken_the_kind_gives_way_that_has_most() {
        let mut kept = Kept::default();
        for number in 0..2 * WARNINGS_MAX as u64 {
            // Seven kinds that say something new each time, and as many of which each is said once as there are places for.
            let message =
                if number < 57 { format!("loud {}", number % 7) } else { format!("quiet {number}") };
            kept.add(line(number, &message, &format!("{number}")));
            assert!(kept.lines.len() <= WARNINGS_MAX);
        }
        let lines = kept.latest(usize::MAX);
        assert_eq!(lines.len(), WARNINGS_MAX);
        assert_eq!(lines.iter().filter(|line| line.message.starts_with("loud")).count(), 0, "they gave way");
        assert_eq!(&*lines[0].message, format!("quiet {}", 2 * WARNINGS_MAX - 1));
        for number in 0..2 * KINDS_MAX as u64 {
            kept.add(line(number, &format!("more {number}"), ""));
        }
        assert!(kept.kinds.len() <= KINDS_MAX);
    }
}
