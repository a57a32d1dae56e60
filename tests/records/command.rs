//! `systemx calls`: what it prints of calls that the test has placed, and what it says when there is nothing to ask.

use std::io::{BufRead, BufReader};
use std::process::{Output, Stdio};

use super::*;
use crate::support::records::fill;

/// Two calls that were answered, one cancelled, two that nobody took.
fn exchange_with_calls(file: &Path) -> (String, String) {
    let rig = Rig::with(&[("call_records", text(file))]);
    let (mut a, mut b) = (rig.registered(A), rig.registered(B));
    let first = brief_call(&mut a, &mut b);
    b.dial(A);
    let second = a.expect_ring(B);
    a.answer(&second);
    b.expect_connected(A);
    b.hang_up(&second);
    a.expect_hangup(&second, "normal");
    a.dial("nobody@elsewhere.test");
    a.expect_busy("nobody@elsewhere.test", "no_such_address");
    a.dial("nobody@elsewhere.test");
    a.expect_busy("nobody@elsewhere.test", "no_such_address");
    a.dial(B);
    let third = b.expect_ring(A);
    a.send(json!({"type": "HANGUP", "call_id": third, "reason": "changed, my \"mind\""}));
    b.expect(json!({"type": "HANGUP"}));
    rig.stop();
    (first, second)
}

#[test]
fn each_filter_finds_the_calls_that_were_placed() {
    let folder = Scratch::new();
    let file = file_in(&folder);
    let (first, _) = exchange_with_calls(&file);
    for (arguments, count) in [
        (&[][..], 5),
        (&["--address", A], 5),
        (&["--from", A], 4),
        (&["--to", A], 1),
        (&["--from", A, "--to", B], 2),
        (&["--domain", "elsewhere.test"], 2),
        (&["--cause", "no_such_address"], 2),
        (&["--failed"], 3),
        (&["--failed", "--to", B], 1),
        (&["--since", "1h"], 5),
        (&["--until", "1h"], 0),
        (&["--since", "2000-01-01", "--until", "2100-01-01T00:00:00+01:00"], 5),
        (&["--limit", "2"], 2),
        (&["--call", &first], 1),
        (&["--call", "no-such-call"], 0),
    ] {
        let json = [arguments, &["--format", "json"]].concat();
        assert_eq!(json_lines(&ask(&file, &json)).len(), count, "{arguments:?}");
        let csv = [arguments, &["--format", "csv"]].concat();
        assert_eq!(ask(&file, &csv).matches("\r\n").count(), count + 1, "{arguments:?}");
        let table = ask(&file, arguments);
        let lines = table.lines().filter(|line| line.starts_with("20")).count();
        assert_eq!(lines, count, "{arguments:?}: {table}");
    }
    // Calls of two shards that ended in the same millisecond have no order.
    let ends = |arguments: &[&str]| {
        json_lines(&ask(&file, &[&["--format", "json", "--limit", "4"], arguments].concat()))
            .iter()
            .map(|record| record["ended_at"].as_u64().expect("a time"))
            .collect::<Vec<_>>()
    };
    let (oldest_first, newest_first) = (ends(&["--oldest-first"]), ends(&[]));
    assert!(oldest_first.is_sorted() && newest_first.is_sorted_by(|one, next| one >= next));
    assert!(oldest_first[0] <= newest_first[0]);
}

#[test]
fn tables_csv_and_sums_say_what_has_happened() {
    let folder = Scratch::new();
    let file = file_in(&folder);
    let (first, _) = exchange_with_calls(&file);
    let table = ask(&file, &["--call", &first]);
    for part in ["ENDED", A, B, "single", "0/0", "0B/0B", "caller", "normal", &first] {
        assert!(table.contains(part), "{part} in {table}");
    }
    let csv = ask(&file, &["--format", "csv", "--failed", "--to", B]);
    assert!(csv.contains(",\"changed, my \"\"mind\"\"\",caller,"), "{csv}");

    let summary = ask(&file, &["--summary"]);
    let words: Vec<Vec<&str>> = summary.lines().map(|line| line.split_whitespace().collect()).collect();
    for line in [
        &["calls", "5"][..],
        &["answered", "2", "(40.0", "%)"],
        &["2", "40.0", "%", "no_such_address"],
        &["2", "40.0", "%", "normal"],
    ] {
        assert!(words.iter().any(|words| words == line), "{line:?} in {summary}");
    }
    let ring = words.iter().find(|words| words.first() == Some(&"ring")).expect("it is summed up");
    assert_eq!((ring[1], ring.len()), ("3", 5), "{summary}");
    assert!(ask(&file, &["--summary", "--to", A]).contains("answered  1 (100.0 %)"));
    let sums = json_lines(&ask(&file, &["--summary", "--format", "json"]));
    assert_eq!(
        (&sums[0]["calls"], &sums[0]["answered"], &sums[0]["ring_calls"]),
        (&json!(5), &json!(2), &json!(3))
    );
    let csv = ask(&file, &["--summary", "--format", "csv"]);
    assert!(csv.contains("\r\ncalls,,5\r\n") && csv.contains("calls,no_such_address,2\r\n"), "{csv}");
}

#[test]
fn a_search_that_finds_nothing_says_what_may_be_wrong_with_it() {
    let folder = Scratch::new();
    let file = file_in(&folder);
    exchange_with_calls(&file);
    let search = |arguments: &[&str]| run(&[&["calls", "--file", text(&file)], arguments].concat(), &[]);
    for format in ["table", "csv", "json"] {
        let (output, said) = search(&["--cause", "nope", "--format", format]);
        assert!(output.status.success(), "{said}");
        assert!(
            said.contains("\"nope\", which is none of the exchange's own; those are no_such_address"),
            "{said}"
        );
        let (_, said) = search(&["--cause", "busy", "--format", format]);
        assert_eq!(said, "", "it is a reason, and nothing ended with it");
    }
    let (_, said) = search(&["--cause", "changed, my \"mind\""]);
    assert_eq!(said, "", "something was found");
}

fn run(arguments: &[&str], environment: &[(&str, &str)]) -> (Output, String) {
    let folder = Scratch::new();
    let mut command = systemx(arguments, folder.path());
    let output = command.envs(environment.iter().copied()).output().expect("the program can be run");
    let said = String::from_utf8(output.stderr.clone()).expect("programs print text");
    (output, said)
}

#[test]
fn the_file_of_the_configuration_is_asked_if_none_is_named() {
    let folder = Scratch::new();
    let file = file_in(&folder);
    exchange_with_calls(&file);
    let (output, said) = run(
        &["calls", "--format", "json"],
        &[("SYSTEMX_CALL_RECORDS", text(&file)), ("SYSTEMX_PORT", "wrong")],
    );
    assert!(output.status.success(), "{said}");
    assert_eq!(json_lines(&String::from_utf8_lossy(&output.stdout)).len(), 5);
}

#[test]
fn what_cannot_be_asked_is_told_with_what_to_do() {
    let folder = Scratch::new();
    let notes = folder.write("notes.txt", "these are no call records, though long enough to be looked into");
    let missing = folder.path().join("missing.db");
    for (arguments, code, words) in [
        (&["calls"][..], 2, "set SYSTEMX_CALL_RECORDS"),
        (&["calls", "--file", text(&missing)], 1, "there is no file"),
        (&["calls", "--file", text(&notes)], 1, "is not a file of call records"),
        (&["calls", "--since", "yesterday"], 2, "not a time; give a span until now"),
        (&["calls", "--summary", "--limit", "3"], 2, "cannot be used with"),
        (&["calls", "--limit", "0"], 2, "give one from 1 on"),
        (&["calls", "--format", "xml"], 2, "possible values: table, csv, json"),
    ] {
        let (output, said) = run(arguments, &[]);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {said}");
        assert!(said.contains(words) && !said.contains("panicked"), "{arguments:?}: {said}");
    }
    let old = folder.path().join("calls.db");
    exchange_with_calls(&old);
    let bytes = std::fs::read(&old).expect("readable");
    std::fs::write(&old, [&bytes[..4096], &vec![0x5a; bytes.len() - 4096]].concat()).expect("writable");
    let (output, said) = run(&["calls", "--file", text(&old)], &[]);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("it is damaged; restore a back-up"), "{said}");
}

#[test]
fn a_reader_that_has_seen_enough_ends_it_quietly() {
    let folder = Scratch::new();
    let file = file_in(&folder);
    fill(&file, 20_000, 1_795_219_200_000);
    for format in ["json", "csv"] {
        let arguments = ["calls", "--file", text(&file), "--format", format];
        let mut command = systemx(&arguments, folder.path());
        let mut child =
            command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the program can be run");
        let mut line = String::new();
        // One line is read, and the pipe is closed while megabytes wait.
        BufReader::new(child.stdout.take().expect("piped")).read_line(&mut line).expect("it prints");
        let output = child.wait_with_output().expect("it ends");
        assert!(line.len() > 50 && output.status.success(), "{format}: {line} {output:?}");
        assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{format}");
    }
    assert!(ask(&file, &[]).contains("there are more; --limit 200"), "a table has an end");
}
