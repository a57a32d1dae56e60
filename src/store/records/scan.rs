//! Going through the file for a question: which blocks may hold what is asked for, which of their lines, and in what order.
//!
//! SQLite finds the blocks of a time; texts are looked for in their bytes, and only lines that have them all are parsed and judged.
//! Blocks overlap where shards wrote at the same time or the clock was set, so what was found waits until no later block
//! can come before it, and no more of it than is asked for.

use std::borrow::Cow;
use std::collections::BTreeMap;

use memchr::memmem::Finder;
use rusqlite::{Connection, Row};

use super::query::{Filter, Kept, Order};
use super::row;
use super::trouble::Trouble;

/// Hands up to `most` of the records that fit to `each` in order, until that says that it has had enough. How many could not be read.
pub(super) fn each(
    connection: &Connection,
    filter: &Filter,
    order: Order,
    most: usize,
    mut each: impl FnMut(Kept) -> bool,
) -> Result<u64, Trouble> {
    let search = Search::new(filter);
    let mut statement = connection.prepare(question(order)).map_err(of)?;
    let mut blocks = statement.query(search.times.map(row::bounded)).map_err(of)?;
    // By time, block and line; the last comes first.
    let mut found: BTreeMap<[u64; 3], Kept> = BTreeMap::new();
    let (mut left, mut unreadable) = (most, 0);
    while let Some(block) = blocks.next().map_err(of)? {
        // No record of this block or of a later one comes before its bound.
        let bound = rank(order, block.get("bound").map_err(of)?);
        while let Some((place, next)) = found.pop_last() {
            let [time, ..] = place;
            if time <= bound {
                found.insert(place, next);
                break;
            }
            left -= 1;
            if !each(next) || left == 0 {
                return Ok(unreadable);
            }
        }
        let id = block.get("id").map_err(of)?;
        unreadable += search.go_through(block, |number, kept| {
            found.insert([kept.ended_at, id, number].map(|value| rank(order, value)), kept.into_owned());
            if found.len() > left {
                found.pop_first();
            }
        })?;
    }
    while let Some((_, next)) = found.pop_last() {
        if !each(next) {
            break;
        }
    }
    Ok(unreadable)
}

/// Hands all records that fit to `each`, in no order. How many could not be read.
pub(super) fn all(
    connection: &Connection,
    filter: &Filter,
    mut each: impl FnMut(Kept<Cow<'_, str>>),
) -> Result<u64, Trouble> {
    let search = Search::new(filter);
    let mut statement = connection.prepare(question(Order::OldestFirst)).map_err(of)?;
    let mut blocks = statement.query(search.times.map(row::bounded)).map_err(of)?;
    let mut unreadable = 0;
    while let Some(block) = blocks.next().map_err(of)? {
        unreadable += search.go_through(block, |_, kept| each(kept))?;
    }
    Ok(unreadable)
}

fn of(error: rusqlite::Error) -> Trouble {
    Trouble::of(&error)
}

/// Asks for the blocks of a time, in the order of the end that their records come first by.
pub(super) fn question(order: Order) -> &'static str {
    match order {
        Order::NewestFirst => {
            "SELECT id, last_ended_at AS bound, node, lines FROM blocks \
             WHERE last_ended_at >= ?1 AND first_ended_at < ?2 ORDER BY last_ended_at DESC"
        }
        Order::OldestFirst => {
            "SELECT id, first_ended_at AS bound, node, lines FROM blocks \
             WHERE last_ended_at >= ?1 AND first_ended_at < ?2 ORDER BY first_ended_at"
        }
    }
}

/// What is greater comes first.
fn rank(order: Order, value: u64) -> u64 {
    match order {
        Order::NewestFirst => value,
        Order::OldestFirst => !value,
    }
}

/// A filter, and what every line has in it that it lets through.
struct Search<'f> {
    filter: &'f Filter,
    /// From when and until when a call must have ended, in milliseconds since 1970.
    times: [u64; 2],
    texts: Vec<Finder<'static>>,
}

impl<'f> Search<'f> {
    fn new(filter: &'f Filter) -> Self {
        let Filter { address, from, to, domain, since_ms, until_ms, reason, failed: _, call_id } = filter;
        let mut texts = Vec::new();
        for text in [address, from, to, reason, call_id].into_iter().flatten() {
            texts.push(Finder::new(&quoted(text)).into_owned());
        }
        if let Some(domain) = domain {
            // What is before the domain in an address, its opening quote included, is not known.
            texts.push(Finder::new(&quoted(domain)[1..]).into_owned());
        }
        Self { filter, times: [since_ms.unwrap_or(0), until_ms.unwrap_or(u64::MAX)], texts }
    }

    /// Hands the records of a block that fit to `each`, with the number of the line. How many lines were none: the file checks its own
    /// pages no further than that they hang together, so a damaged text is no reason to show nothing of all others.
    fn go_through(&self, block: &Row<'_>, each: impl FnMut(u64, Kept<Cow<'_, str>>)) -> Result<u64, Trouble> {
        let text = |name| block.get_ref(name).map_err(of)?.as_bytes().map_err(|_| Trouble::Corrupt);
        let node = String::from_utf8_lossy(text("node")?);
        Ok(self.go_through_lines(text("lines")?, &node, each))
    }

    fn go_through_lines(
        &self,
        block: &[u8],
        node: &str,
        mut each: impl FnMut(u64, Kept<Cow<'_, str>>),
    ) -> u64 {
        if !self.may_be_in(block) {
            return 0;
        }
        let mut unreadable = 0;
        for (number, line) in (0..).zip(row::lines(block)).filter(|(_, line)| self.may_be_in(line)) {
            match row::decode(line, node) {
                Some(kept) if self.fits(&kept) => each(number, kept),
                Some(_) => {}
                None => unreadable += 1,
            }
        }
        unreadable
    }

    fn may_be_in(&self, bytes: &[u8]) -> bool {
        self.texts.iter().all(|text| text.find(bytes).is_some())
    }

    fn fits(&self, kept: &Kept<Cow<'_, str>>) -> bool {
        let is = |wanted: &Option<String>, text: &str| wanted.as_ref().is_none_or(|wanted| wanted == text);
        let Filter { address, from, to, domain, reason, failed, call_id, .. } = self.filter;
        let [since, until] = self.times;
        (since..until).contains(&kept.ended_at)
            && (is(address, &kept.from) || is(address, &kept.to))
            && is(from, &kept.from)
            && is(to, &kept.to)
            && (is(domain, domain_of(&kept.from)) || is(domain, domain_of(&kept.to)))
            && is(reason, &kept.end_reason)
            && (!failed || kept.answered_at.is_none())
            && is(call_id, &kept.call_id)
    }
}

/// A text as it stands in a row.
fn quoted(text: &str) -> Vec<u8> {
    serde_json::to_vec(text).expect("text always encodes")
}

fn domain_of(address: &str) -> &str {
    address.split_once('@').map_or(address, |(_, domain)| domain)
}

#[cfg(test)]
mod tests {
    use super::super::super::record::tests::record;
    use super::super::pad::Sheet;
    use super::*;
    use crate::store::CallRecord;

    /// A block of so many calls of `from`.
    fn block(from: &str, records: u64) -> Vec<u8> {
        let mut sheet = Sheet::default();
        (0..records).for_each(|number| sheet.add(&CallRecord { from: from.into(), ..record(number) }));
        row::block(sheet.parts().next().expect("it is not empty").0)
    }

    /// Which lines were found, and how many could not be read.
    fn numbers(filter: &Filter, block: &[u8]) -> (Vec<u64>, u64) {
        let mut numbers = Vec::new();
        let unreadable = Search::new(filter).go_through_lines(block, "n", |number, _| numbers.push(number));
        (numbers, unreadable)
    }

    #[test]
    fn only_lines_with_what_is_looked_for_are_parsed_and_those_that_cannot_be_are_counted() {
        let filter = Filter { from: Some("rare@x.test".to_owned()), ..Filter::default() };
        let mut bytes = block("usual@x.test", 2);
        bytes.splice(1..1, *b"no JSON at all,\n");
        assert_eq!(numbers(&filter, &bytes), (vec![], 0), "a block that lacks the text is passed over");
        let rare = block("rare@x.test", 1);
        bytes.splice(1..1, [&rare[1..rare.len() - 1], b",\n"].concat());
        assert_eq!(numbers(&filter, &bytes), (vec![0], 0), "and so are lines");
        assert_eq!(numbers(&Filter::default(), &bytes), (vec![0, 2, 3], 1));
    }

    #[test]
    fn a_text_is_found_however_json_writes_it_and_only_where_it_belongs() {
        let odd = "\"quoted\\\"\n\u{1}é☎";
        let bytes = block(odd, 1);
        let some = |text: &str| Some(text.to_owned());
        for (filter, expected) in [
            (Filter { from: some(odd), ..Filter::default() }, 1),
            (Filter { address: some(odd), ..Filter::default() }, 1),
            (Filter { to: some(odd), ..Filter::default() }, 0),
            (Filter { reason: some("b@test"), ..Filter::default() }, 0),
            (Filter { call_id: some("systemx"), ..Filter::default() }, 0),
            (Filter { domain: some("test"), ..Filter::default() }, 1),
            (Filter { domain: some("est"), ..Filter::default() }, 0),
        ] {
            assert_eq!(numbers(&filter, &bytes).0.len(), expected, "{filter:?}");
        }
    }
}
