//! The load generator's commands on kept findings, as real processes: what they print, which exit code they give, what
//! the page holds. The findings are made here; no server is driven.

use std::process::{Command, Output};

use serde_json::{Value, json};

use crate::support::Scratch;

fn loadtest(arguments: &[&str], folder: &Scratch) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_systemx-loadtest"));
    command.args(arguments).current_dir(folder.path()).output().expect("it runs")
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

/// Findings of so many seconds; `speed` multiplies rates and divides times, `odd` shifts which seconds are slower.
fn findings(seconds: u32, speed: f64, odd: u32) -> Value {
    let spread = |second: u32| 1.0 + f64::from((second * 7 + odd) % 5) / 100.0;
    let slot = |second: u32| {
        let p50 = 92.0 / speed * spread(second);
        json!({"at_s": second + 1, "length_s": 1.0, "operations": (12_000.0 * speed / spread(second)) as u64, "errors": 0,
               "p50_us": p50, "p99_us": p50 * 3.0, "max_us": p50 * 9.0, "connections": 128, "server_anonymous_bytes": null})
    };
    let curve = json!([[0.0, 50.0], [0.5, 92.0], [0.99, 276.0], [1.0, 900.0]]);
    let latency = json!({"count": 1000, "min_us": 50.0, "mean_us": 99.0, "p50_us": 92.0, "p90_us": 150.0,
                         "p99_us": 276.0, "p999_us": 700.0, "max_us": 900.0, "curve": curve});
    json!({"format": 1, "generator": "systemx-loadtest 0.1.0", "scenario": "ring",
           "parameters": {"pairs": "64", "url": "ws://127.0.0.1:8080"}, "started_unix_s": 1_795_236_481,
           "machine": {"processors": 2, "processor": "any", "kernel": "6"}, "measured_s": seconds, "operation": "call",
           "operations": 720_000, "rate_per_s": 12_000.0 * speed, "latencies": {"ring_to_connected": latency},
           "counts": {"connections": 128}, "errors": {}, "faults": [], "faults_total": 0,
           "timeline": (0..seconds).map(slot).collect::<Vec<_>>(), "server": null, "notes": []})
}

fn kept(folder: &Scratch, name: &str, findings: &Value) {
    folder.write(name, &findings.to_string());
}

#[test]
fn equal_runs_are_noise_and_a_slower_one_fails_if_that_is_asked_for() {
    let folder = Scratch::new();
    kept(&folder, "a.json", &findings(30, 1.0, 0));
    kept(&folder, "same.json", &findings(30, 1.0, 3));
    kept(&folder, "slow.json", &findings(30, 0.8, 3));
    let same = loadtest(&["compare", "a.json", "same.json", "--fail-on-worse"], &folder);
    assert!(same.status.success() && said(&same).contains("noise"), "{}", said(&same));
    assert!(!said(&same).contains("worse") && !said(&same).contains("better"), "{}", said(&same));
    let told = loadtest(&["compare", "a.json", "slow.json"], &folder);
    assert!(told.status.success() && said(&told).contains("worse"), "{}", said(&told));
    let code = |percent| {
        loadtest(&["compare", "a.json", "slow.json", "--fail-on-worse", percent], &folder).status.code()
    };
    assert_eq!((code("5"), code("90")), (Some(2), Some(0)));
    let mut faulty = findings(30, 2.0, 3);
    faulty["faults_total"] = json!(1);
    kept(&folder, "faulty.json", &faulty);
    let told = loadtest(&["compare", "a.json", "faulty.json", "--fail-on-worse"], &folder);
    assert_eq!(told.status.code(), Some(2), "{}", said(&told));
    let html = ["compare", "a.json", "slow.json", "--html", "c.html"];
    assert!(loadtest(&html, &folder).status.success());
    let page = std::fs::read_to_string(folder.path().join("c.html")).expect("it was written");
    assert!(page.contains(r#"<td class="worse">worse</td>"#), "a verdict stands out");
}

#[test]
fn a_comparison_for_machines_has_a_verdict_for_each_row() {
    let folder = Scratch::new();
    kept(&folder, "a.json", &findings(30, 1.0, 0));
    kept(&folder, "short.json", &findings(5, 1.0, 0));
    let output = loadtest(&["compare", "a.json", "short.json", "--json"], &folder);
    let told: Value = serde_json::from_slice(&output.stdout).expect("it is JSON");
    let rows = told["judged"].as_array().expect("a list");
    assert!(rows.len() >= 5 && rows.iter().all(|row| row["verdict"] == "cannot_tell"), "{told}");
}

#[test]
fn files_that_are_no_findings_are_refused_by_name() {
    let folder = Scratch::new();
    folder.write("x.json", r#"{"format": 9}"#);
    let output = loadtest(&["report", "x.json"], &folder);
    assert_eq!(output.status.code(), Some(1));
    assert!(said(&output).contains("x.json has format 9"), "{}", said(&output));
}

#[test]
fn a_page_is_whole_loads_nothing_and_holds_no_markup_of_others() {
    let folder = Scratch::new();
    let mut findings = findings(30, 1.0, 0);
    let evil = "<script>alert(1)</script>";
    findings["parameters"][evil] = json!(evil);
    findings["notes"] = json!([evil]);
    findings["faults"] = json!([evil]);
    findings["scenario"] = json!(evil);
    findings["faults_total"] = json!(1);
    kept(&folder, "a.json", &findings);
    let output = loadtest(&["report", "a.json", "--html", "a.html"], &folder);
    assert!(output.status.success(), "{}", said(&output));
    let page = std::fs::read_to_string(folder.path().join("a.html")).expect("it was written");
    assert!(!page.contains("<script>alert") && page.contains("&lt;script&gt;alert"));
    assert!(!page.contains("http://") && !page.contains("https://") && !page.contains(" src="));
    for tag in [
        "html", "head", "body", "main", "header", "section", "figure", "svg", "table", "tr", "th", "td",
        "ul", "li", "div", "script", "style", "title",
    ] {
        let opened = page.matches(&format!("<{tag}>")).count() + page.matches(&format!("<{tag} ")).count();
        assert_eq!(opened, page.matches(&format!("</{tag}>")).count(), "<{tag}>");
    }
}

#[test]
fn a_profile_with_a_slip_is_not_started_and_says_where() {
    let folder = Scratch::new();
    folder.write("p.toml", "# a comment\nreprt_dir = 'x'\n[[run]]\nscenario = 'ring'\n");
    let output = loadtest(&["profile", "p.toml"], &folder);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        said(&output).contains("line 2: unknown key `reprt_dir`. Did you mean `report_dir`?"),
        "{}",
        said(&output)
    );
}
