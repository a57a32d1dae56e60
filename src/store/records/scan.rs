//! Going through the file for a question: which blocks may hold what is asked for, which of their lines, and in what order.
//!
//! SQLite finds the blocks of a time; texts are looked for in their bytes, and only lines that have them all are parsed and judged.
//! Blocks overlap where shards wrote at the same time or the clock was set, so what was found waits until no later block
//! can come before it.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::collections::BinaryHeap;

use memchr::memmem::Finder;
use rusqlite::{Connection, Row};

use super::query::{Filter, Kept, Order};
use super::row;
use super::trouble::Trouble;

/// Hands the records that fit to `each` in order, until that says that it has had enough. `goes_on` is asked before each block; it is
/// false if that has ended it.
pub(super) fn each(
    connection: &Connection,
    filter: &Filter,
    order: Order,
    mut goes_on: impl FnMut() -> bool,
    mut each: impl FnMut(Kept) -> bool,
) -> Result<bool, Trouble> {
    let search = Search::new(filter);
    let mut statement = connection.prepare(question(order)).map_err(of)?;
    let mut blocks = statement.query(search.times.map(row::bounded)).map_err(of)?;
    let mut found = BinaryHeap::new();
    while let Some(block) = blocks.next().map_err(of)? {
        if !goes_on() {
            return Ok(false);
        }
        // No record of this block or of a later one comes before its bound.
        let bound = block.get("bound").map_err(of)?;
        while let Some(next) = pop_before(&mut found, rank(order, bound)) {
            if !each(next) {
                return Ok(true);
            }
        }
        let id = block.get("id").map_err(of)?;
        search.go_through(block, |number, kept| {
            let place = [kept.ended_at, id, number].map(|value| rank(order, value));
            found.push(Found { place, kept: kept.into_owned() });
        })?;
    }
    while let Some(found) = found.pop() {
        if !each(found.kept) {
            break;
        }
    }
    Ok(true)
}

/// Hands all records that fit to `each`, in no order.
pub(super) fn all(
    connection: &Connection,
    filter: &Filter,
    mut each: impl FnMut(Kept<Cow<'_, str>>),
) -> Result<(), Trouble> {
    let search = Search::new(filter);
    let mut statement = connection.prepare(question(Order::OldestFirst)).map_err(of)?;
    let mut blocks = statement.query(search.times.map(row::bounded)).map_err(of)?;
    while let Some(block) = blocks.next().map_err(of)? {
        search.go_through(block, |_, kept| each(kept))?;
    }
    Ok(())
}

fn of(error: rusqlite::Error) -> Trouble {
    Trouble::of(&error)
}

/// Asks for the blocks of a time, in the order of the end that their records come first by.
pub(super) fn question(order: Order) -> &'static str {
    match order {
        Order::NewestFirst => {
            "SELECT id, last_ended_at AS bound, node, lines FROM blocks \
             WHERE last_ended_at >= ?1 AND first_ended_at < ?2 ORDER BY last_ended_at DESC, id DESC"
        }
        Order::OldestFirst => {
            "SELECT id, first_ended_at AS bound, node, lines FROM blocks \
             WHERE last_ended_at >= ?1 AND first_ended_at < ?2 ORDER BY first_ended_at, id"
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

/// A record that waits for its turn.
struct Found {
    /// By its time, its block and its line.
    place: [u64; 3],
    kept: Kept,
}

impl PartialEq for Found {
    fn eq(&self, other: &Self) -> bool {
        self.place == other.place
    }
}

impl Eq for Found {}

impl PartialOrd for Found {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Found {
    fn cmp(&self, other: &Self) -> Ordering {
        self.place.cmp(&other.place)
    }
}

fn pop_before(found: &mut BinaryHeap<Found>, bound: u64) -> Option<Kept> {
    let is_due = found.peek().is_some_and(|next| next.place[0] > bound);
    if is_due { found.pop().map(|next| next.kept) } else { None }
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

    /// Hands the records of a block that fit to `each`, with the number of the line.
    fn go_through(&self, block: &Row<'_>, each: impl FnMut(u64, Kept<Cow<'_, str>>)) -> Result<(), Trouble> {
        let text = |name| block.get_ref(name).map_err(of)?.as_bytes().map_err(|_| Trouble::Corrupt);
        let node = std::str::from_utf8(text("node")?).map_err(|_| Trouble::Corrupt)?;
        self.go_through_lines(text("lines")?, node, each)
    }

    fn go_through_lines(
        &self,
        block: &[u8],
        node: &str,
        mut each: impl FnMut(u64, Kept<Cow<'_, str>>),
    ) -> Result<(), Trouble> {
        if !self.may_be_in(block) {
            return Ok(());
        }
        for (number, line) in (0..).zip(row::lines(block)).filter(|(_, line)| self.may_be_in(line)) {
            let kept = row::decode(line, node).ok_or(Trouble::Corrupt)?;
            if self.fits(&kept) {
                each(number, kept);
            }
        }
        Ok(())
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
        let mut block = Vec::new();
        row::block(&sheet.lines, &mut block);
        block
    }

    fn numbers(filter: &Filter, block: &[u8]) -> Result<Vec<u64>, Trouble> {
        let mut numbers = Vec::new();
        Search::new(filter).go_through_lines(block, "n", |number, _| numbers.push(number)).map(|()| numbers)
    }

    #[test]
    fn only_lines_with_what_is_looked_for_are_parsed() {
        let filter = Filter { from: Some("rare@x.test".to_owned()), ..Filter::default() };
        let mut bytes = block("usual@x.test", 2);
        bytes.splice(1..1, *b"no JSON at all,\n");
        assert_eq!(numbers(&filter, &bytes), Ok(Vec::new()), "a block that lacks the text is passed over");
        let rare = block("rare@x.test", 1);
        bytes.splice(1..1, [&rare[1..rare.len() - 1], b",\n"].concat());
        assert_eq!(numbers(&filter, &bytes), Ok(vec![0]), "and so are lines");
        assert_eq!(
            numbers(&Filter::default(), &bytes),
            Err(Trouble::Corrupt),
            "but not by whoever wants all"
        );
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
            assert_eq!(numbers(&filter, &bytes).map(|found| found.len()), Ok(expected), "{filter:?}");
        }
    }
}
