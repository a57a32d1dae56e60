//! What makes two runs unfit for comparison: another scenario, other options, another machine, faults.

use std::collections::BTreeSet;

use crate::findings::{GENERATOR_WAS_LIMIT, MACHINE_WAS_BUSY};
use crate::results::Results;

/// Options in which two runs may differ and still be compared: they say where to, not what.
const UNIMPORTANT: [&str; 6] = ["json", "report", "seed", "url", "pid", "metrics"];

/// Sentences for the reader, the gravest first.
pub fn warnings(a: &Results, b: &Results) -> Vec<String> {
    let mut found = Vec::new();
    for (name, run) in [("a", a), ("b", b)] {
        if run.faults_total > 0 {
            found.push(format!("{name} has {} faults: its numbers prove nothing", run.faults_total));
        }
        if run.operations == 0 {
            found.push(format!("{name} has completed nothing"));
        }
        for spoilt in [GENERATOR_WAS_LIMIT, MACHINE_WAS_BUSY] {
            if run.notes.iter().any(|note| note.starts_with(spoilt)) {
                found.push(format!("in {name} {spoilt}: see its notes"));
            }
        }
    }
    if a.scenario != b.scenario {
        found.push(format!("the scenarios differ: {} and {}", a.scenario, b.scenario));
    }
    let names: BTreeSet<&String> = a.parameters.keys().chain(b.parameters.keys()).collect();
    for name in names.into_iter().filter(|name| !UNIMPORTANT.contains(&name.replace('-', "_").as_str())) {
        let (first, second) = (a.parameters.get(name), b.parameters.get(name));
        if first != second {
            let shown = |value: Option<&String>| value.map_or("not given", String::as_str).to_owned();
            found.push(format!("{name} differs: {} and {}", shown(first), shown(second)));
        }
    }
    if a.machine != b.machine {
        found.push("the generators ran on different machines or kernels".to_owned());
    }
    if a.generator != b.generator {
        found.push(format!("the generators differ: {} and {}", a.generator, b.generator));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample::{sample, scaled};

    #[test]
    fn another_seed_is_no_reason_to_warn() {
        assert!(warnings(&sample(), &scaled(1.0, 2)).is_empty());
    }

    #[test]
    fn whatever_changes_the_load_is_warned_about() {
        let (a, mut b) = (sample(), sample());
        b.scenario = "msg".into();
        b.parameters.insert("pairs".into(), "8".into());
        b.parameters.insert("size".into(), "64".into());
        b.faults_total = 2;
        b.operations = 0;
        b.notes = [GENERATOR_WAS_LIMIT, MACHINE_WAS_BUSY].map(|note| format!("{note}: 9 %")).to_vec();
        b.machine.processors = 64;
        let found = warnings(&a, &b).join("\n");
        for part in [
            "b has 2 faults",
            "b has completed nothing",
            "in b the generator was the limit",
            "in b the machine was busy",
            "ring and msg",
            "pairs differs: 64 and 8",
            "size differs: not given",
            "machines",
        ] {
            assert!(found.contains(part), "{part}: {found}");
        }
    }
}
