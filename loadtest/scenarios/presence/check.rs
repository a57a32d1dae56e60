//! Who registers where, what is asked, and whether an answer names exactly whom it has to.
//!
//! Lines are in groups, one for each domain; an answer is right if it lists the group's lines, each once, with its
//! status and its metadata. Names, domains and capabilities are of this run alone.

use crate::engine::wire::{self, members};

/// What lines are asked for by.
#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
pub enum By {
    /// The part behind the `@`.
    Domain,
    /// An entry of `metadata.capabilities`.
    Capability,
    /// `metadata.location`, within a domain: half of it is far away.
    Near,
}

/// Places are so many degrees apart, and within a group so much less that its radius holds one of both.
const STEP_DEGREES: f64 = 0.5;
const FAR_DEGREES: f64 = 60.0;
const RADIUS_KM: u32 = 20;
/// Groups on one line of latitude.
const COLUMNS: usize = 300;
/// An answer longer than this is checked anew each time.
const KEPT_BYTES_MAX: usize = 1 << 20;

/// Who is where.
#[derive(Clone, Debug)]
pub struct Plan {
    /// What is asked by.
    pub by: By,
    /// Lines that can be found.
    pub connections: usize,
    /// Groups.
    pub domains: usize,
    /// Of the run.
    pub tag: String,
    /// What all names end in.
    pub domain: String,
}

impl Plan {
    fn group_domain(&self, group: usize) -> String {
        format!("d{group}.{}.{}", self.tag, self.domain)
    }

    /// What a line's name has behind its number.
    fn suffix(&self, group: usize) -> String {
        format!("@{}", self.group_domain(group))
    }

    /// A line's name.
    pub fn name(&self, line: usize) -> String {
        format!("line-{line}{}", self.suffix(line % self.domains))
    }

    fn capability(&self, group: usize) -> String {
        format!("skill-{group}-{}", self.tag)
    }

    /// Latitude and longitude of a group; its odd lines are far from it.
    fn place(group: usize) -> (f64, f64) {
        let (row, column) = (group / COLUMNS, group % COLUMNS);
        (row as f64 * STEP_DEGREES % FAR_DEGREES - FAR_DEGREES / 2.0, column as f64 * STEP_DEGREES - 150.0)
    }

    fn is_far(&self, line: usize) -> bool {
        (line / self.domains) % 2 == 1
    }

    /// A line's metadata, if it has any.
    pub fn metadata(&self, line: usize) -> Option<String> {
        let group = line % self.domains;
        match self.by {
            By::Domain => None,
            By::Capability => Some(format!(r#"{{"capabilities":["any","{}"]}}"#, self.capability(group))),
            By::Near => {
                let (lat, lon) = Self::place(group);
                let lat = if self.is_far(line) { lat + FAR_DEGREES } else { lat };
                Some(format!(r#"{{"location":{{"lat":{lat:.1},"lon":{lon:.1}}}}}"#))
            }
        }
    }

    /// What is asked for a group.
    pub fn query(&self, group: usize) -> String {
        let query = match self.by {
            By::Domain => format!(r#""domain":"{}""#, self.group_domain(group)),
            By::Capability => format!(r#""capabilities":["{}"]"#, self.capability(group)),
            By::Near => {
                let ((lat, lon), domain) = (Self::place(group), self.group_domain(group));
                let near = format!(r#""near":{{"lat":{lat:.1},"lon":{lon:.1},"radius_km":{RADIUS_KM}}}"#);
                format!(r#""domain":"{domain}",{near}"#)
            }
        };
        format!(r#"{{"type":"PRESENCE","query":{{{query}}}}}"#)
    }

    /// The lines that have to be named for a group.
    fn due(&self, group: usize) -> impl Iterator<Item = usize> {
        let all = (group..self.connections).step_by(self.domains);
        all.filter(|&line| self.by != By::Near || !self.is_far(line))
    }
}

/// Answers, checked.
#[derive(Debug)]
pub struct Check {
    plan: Plan,
    /// The last answer of each group that was right: what is the same is right, too.
    kept: Vec<Vec<u8>>,
    /// In which answer a line was named last.
    named: Vec<u32>,
    answers: u32,
}

impl Check {
    /// Nothing has been answered.
    pub fn new(plan: Plan) -> Self {
        let (kept, named) = (vec![Vec::new(); plan.domains], vec![0; plan.connections]);
        Self { plan, kept, named, answers: 0 }
    }

    /// Looks at an answer about a group. `may_miss` says which lines may be missing or not. Gives how many are named.
    pub fn answer(
        &mut self,
        group: usize,
        payload: &[u8],
        may_miss: impl Fn(usize) -> bool,
    ) -> Result<usize, String> {
        if !self.kept[group].is_empty() && self.kept[group] == payload {
            return Ok(self.plan.due(group).count());
        }
        self.answers += 1;
        let (_, list) = members(payload)
            .find(|(name, _)| *name == b"addresses")
            .ok_or("malformed: a PRESENCE_RESULT without addresses")?;
        let suffix = self.plan.suffix(group);
        let mut found = 0;
        for entry in wire::elements(list) {
            self.entry(group, &suffix, entry)?;
            found += 1;
        }
        let missing = self.plan.due(group).find(|&line| self.named[line] != self.answers && !may_miss(line));
        if let Some(line) = missing {
            return Err(format!("lost: line {line} is not named"));
        }
        if found == self.plan.due(group).count() && payload.len() <= KEPT_BYTES_MAX {
            self.kept[group] = payload.to_vec();
        }
        Ok(found)
    }

    /// Looks at one entry.
    fn entry(&mut self, group: usize, suffix: &str, entry: &[u8]) -> Result<(), String> {
        let name = wire::text(entry, "address").and_then(|name| std::str::from_utf8(name).ok());
        let name = name.ok_or("malformed: an entry without an address")?;
        let line: Option<usize> = name
            .strip_prefix("line-")
            .and_then(|rest| rest.strip_suffix(suffix))
            .and_then(|number| number.parse().ok())
            .filter(|&line: &usize| line < self.plan.connections && line % self.plan.domains == group);
        let Some(line) = line.filter(|&line| self.plan.by != By::Near || !self.plan.is_far(line)) else {
            return Err(format!("wrong: {name} does not belong into this answer"));
        };
        if std::mem::replace(&mut self.named[line], self.answers) == self.answers {
            return Err(format!("doubled: {name} is named twice"));
        }
        if wire::text(entry, "status") != Some(b"available") {
            return Err(format!("wrong: {name} has another status"));
        }
        let due = self.plan.metadata(line).unwrap_or_else(|| "{}".to_owned());
        let metadata = members(entry).find(|(key, _)| *key == b"metadata").map(|(_, value)| value);
        if metadata != Some(due.as_bytes()) {
            return Err(format!("changed: {name} has other metadata"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(by: By) -> Plan {
        Plan { by, connections: 7, domains: 2, tag: "t".to_owned(), domain: "b.c".to_owned() }
    }

    fn answer(plan: &Plan, lines: &[usize]) -> String {
        let entry = |&line: &usize| {
            let metadata = plan.metadata(line).unwrap_or_else(|| "{}".to_owned());
            let name = plan.name(line);
            format!(r#"{{"address":"{name}","status":"available","metadata":{metadata}}}"#)
        };
        let entries: Vec<_> = lines.iter().map(entry).collect();
        format!(r#"{{"type":"PRESENCE_RESULT","addresses":[{}]}}"#, entries.join(","))
    }

    #[test]
    fn exactly_the_lines_of_a_group_are_right_in_any_order() {
        for (by, right) in [(By::Domain, &[3, 1, 5][..]), (By::Capability, &[5, 1, 3]), (By::Near, &[5, 1])] {
            let plan = plan(by);
            let mut check = Check::new(plan.clone());
            for _ in 0..2 {
                let found = check.answer(1, answer(&plan, right).as_bytes(), |_| false);
                assert_eq!(found, Ok(right.len()), "{by:?}");
            }
        }
    }

    #[test]
    fn wrong_entries_make_an_answer_wrong() {
        let plan = plan(By::Domain);
        let right = answer(&plan, &[1, 3, 5]);
        for (text, what) in [
            (answer(&plan, &[1, 3]), "lost: line 5"),
            (answer(&plan, &[]), "lost: line 1"),
            (answer(&plan, &[1, 3, 5, 3]), "doubled"),
            (answer(&plan, &[1, 3, 5, 2]), "does not belong"),
            (right.replace("line-3@", "eve@"), "does not belong"),
            (right.replace("available", "busy"), "status"),
            (right.replace(r#""metadata":{}"#, r#""metadata":{"x":1}"#), "metadata"),
            (r#"{"type":"PRESENCE_RESULT"}"#.to_owned(), "without addresses"),
        ] {
            let mut check = Check::new(plan.clone());
            for _ in 0..2 {
                let found = check.answer(1, text.as_bytes(), |_| false);
                assert!(found.as_ref().is_err_and(|why| why.contains(what)), "{what}: {found:?}");
                assert_eq!(check.answer(1, right.as_bytes(), |_| false), Ok(3));
            }
        }
        let mut check = Check::new(plan.clone());
        assert_eq!(check.answer(1, answer(&plan, &[1, 3]).as_bytes(), |line| line == 5), Ok(2));
    }

    #[test]
    fn groups_are_too_far_apart_to_be_taken_for_each_other() {
        let mut places: Vec<_> = (0..1000).map(Plan::place).collect();
        assert!(places.iter().all(|(lat, lon)| lat.abs() <= 90.0 - FAR_DEGREES && lon.abs() <= 150.0));
        places.sort_by(|left, right| left.partial_cmp(right).expect("they are numbers"));
        places.dedup();
        assert_eq!(places.len(), 1000);
    }
}
