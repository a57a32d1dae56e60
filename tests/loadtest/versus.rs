//! `vs-floor` as its users run it: small, with the real programs, and without a word about how fast they are.

use serde_json::Value;

use super::loadtest;
use crate::support::Scratch;

/// So small that a busy machine does it in a moment; what is left is whether it hangs together.
const SMALL: [&str; 16] = [
    "--hub",
    env!("CARGO_BIN_EXE_systemx"),
    "--rounds",
    "1",
    "--seconds",
    "0.1",
    "--warmup",
    "0.02",
    "--pairs",
    "4",
    "--clients",
    "20",
    "--listeners",
    "8",
    "--rate",
    "100",
];

/// Runs these figures. Gives what was printed, and the findings.
fn run(figures: &[&str]) -> (String, Value) {
    let folder = Scratch::new();
    let file = folder.path().join("found.json");
    let json = format!("--json={}", file.display());
    let output = loadtest(&[&["vs-floor", &json], &SMALL[..], figures].concat());
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    let found = std::fs::read_to_string(file).expect("it was written");
    (text, serde_json::from_str(&found).expect("it is JSON"))
}

/// All sides of a figure were measured, and every row has its numbers.
fn check(figures: &[&str], sides: &[&str]) {
    let (text, found) = run(figures);
    let readings = found["readings"].as_array().expect("a list");
    let mut measured: Vec<_> = readings.iter().filter_map(|reading| reading["side"].as_str()).collect();
    measured.sort_unstable();
    assert_eq!(measured, sides, "{text}");
    let table = found["table"].as_array().expect("a list");
    let rows: Vec<_> = text.lines().filter(|line| line.starts_with("| ")).skip(1).collect();
    assert_eq!(rows.len(), table.len(), "{text}");
    for (row, line) in rows.iter().zip(table) {
        assert!(
            row.contains(line["what"].as_str().expect("a text")) && !row.contains("not measured"),
            "{row}"
        );
        let value = &line["value"];
        let order = ["least", "median", "greatest"].map(|name| value[name].as_f64());
        assert!(order[0] >= Some(0.0) && order.is_sorted(), "{line:#}");
        let verdicts: &[&str] =
            if line["target"].is_null() { &["no_target"] } else { &["reached", "missed"] };
        assert!(verdicts.contains(&line["verdict"].as_str().expect("a word")), "{line:#}");
    }
}

#[test]
fn hub_and_floor_are_measured_in_turn_and_every_target_has_a_verdict() {
    let sides = ["floor", "floor", "floor", "floor spinning", "hub", "hub", "hub", "hub spinning"];
    check(&["fanout", "heartbeat", "latency"], &sides);
}

#[test]
fn figures_of_the_hub_alone_have_rows_of_their_own() {
    let sides = ["1 match", "10 matches", "100 matches", "hub", "hub", "none stopped", "one stopped"];
    check(&["idle", "slow", "presence", "tail"], &sides);
}

#[test]
fn what_cannot_be_compared_is_said_before_anything_is_started() {
    let output = loadtest(&["vs-floor", "--hub", "/nowhere/systemx", "call"]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && said.contains("/nowhere/systemx"), "{said}");
}

#[test]
fn a_measurement_that_fails_is_told_and_left_out_and_the_run_fails() {
    // More than any system allows a process.
    let many = ["--clients", "4000000000", "idle", "heartbeat"];
    let options = SMALL.iter().filter(|word| !["--clients", "20"].contains(word)).copied();
    let words: Vec<_> = ["vs-floor"].into_iter().chain(options).chain(many).collect();
    let output = loadtest(&words);
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(!output.status.success(), "{said}");
    assert!(said.contains("failed: idle, round 0, hub: 4000000000 connections are wanted"), "{said}");
    let rows: Vec<_> = said.lines().filter(|line| line.starts_with("| ")).skip(1).collect();
    assert!(rows[0].ends_with("| not measured |") && rows[1].starts_with("| heartbeat"), "{said}");
    assert!(!rows[1].contains("not measured"), "{said}");
}
