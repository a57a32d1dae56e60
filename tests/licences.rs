//! Every package that is compiled into the program or its tests must be under a licence that allows shipping it
//! under both of ours. Asks cargo, offline, for this machine's platform.

use std::process::Command;

use serde_json::Value;

/// Permissive licences, which ask for no more than naming the authors.
const ALLOWED: [&str; 12] = [
    "0BSD",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "CC0-1.0",
    "ISC",
    "MIT",
    "Unicode-3.0",
    "Unlicense",
    "Zlib",
];
/// Data under a permissive data licence: Mozilla's list of root certificates.
const ALLOWED_DATA: [(&str, &str); 1] = [("webpki-roots", "CDLA-Permissive-2.0")];

#[test]
fn every_dependency_has_a_licence_on_the_list() {
    let packages = metadata()["packages"].as_array().expect("cargo lists packages").clone();
    assert!(packages.len() > 50, "cargo should list all dependencies, not {}", packages.len());
    let mut faults = Vec::new();
    for package in &packages {
        let name = package["name"].as_str().expect("a package has a name");
        let licence = package["license"].as_str().unwrap_or("none");
        let ours = package["source"].is_null();
        if !ours && !ALLOWED_DATA.contains(&(name, licence)) && !is_allowed(licence) {
            faults.push(format!("{name}: {licence}"));
        }
    }
    assert!(faults.is_empty(), "dependencies with other licences:\n  {}", faults.join("\n  "));
}

fn metadata() -> Value {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let output = Command::new(cargo)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .args(["metadata", "--format-version", "1", "--locked", "--offline", "--filter-platform", &host()])
        .output()
        .expect("cargo runs, since it runs this test");
    assert!(output.status.success(), "cargo metadata: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("cargo prints JSON")
}

/// The platform of this machine; what other platforms need has not been downloaded.
fn host() -> String {
    let rustc = std::env::var("RUSTC").unwrap_or_else(|_| "rustc".to_owned());
    let output = Command::new(rustc).arg("-vV").output().expect("rustc runs, since it compiled this test");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.lines().find_map(|line| line.strip_prefix("host: ")).expect("rustc names its host").to_owned()
}

/// Whether a licence expression (SPDX, or the older form with a slash) can be met with the list: one side of an OR
/// is enough, of an AND both are needed. OR binds weaker.
fn is_allowed(expression: &str) -> bool {
    let expression = expression.replace('/', " OR ");
    let parts = split_outside_parentheses(&expression, " OR ");
    parts.iter().any(|part| split_outside_parentheses(part, " AND ").iter().all(|term| is_term_allowed(term)))
}

fn is_term_allowed(term: &str) -> bool {
    let term = term.trim();
    match term.strip_prefix('(').and_then(|inner| inner.strip_suffix(')')) {
        Some(inner) => is_allowed(inner),
        None => ALLOWED.contains(&term),
    }
}

fn split_outside_parentheses<'a>(text: &'a str, separator: &str) -> Vec<&'a str> {
    let (mut parts, mut depth, mut start) = (Vec::new(), 0, 0);
    for (at, c) in text.char_indices() {
        match c {
            '(' => depth += 1,
            ')' => depth -= 1,
            _ if depth == 0 && at >= start && text[at..].starts_with(separator) => {
                parts.push(&text[start..at]);
                start = at + separator.len();
            }
            _ => {}
        }
    }
    parts.push(&text[start..]);
    parts
}

#[test]
fn expressions_are_understood() {
    for allowed in
        ["MIT", "GPL-3.0 OR MIT", "(MIT OR GPL-3.0) AND Unicode-3.0", "Unlicense/MIT", "MIT AND (ISC)"]
    {
        assert!(is_allowed(allowed), "{allowed}");
    }
    for other in ["GPL-3.0", "MIT AND GPL-3.0", "(MIT OR ISC) AND GPL-3.0", "none", "MPL-2.0"] {
        assert!(!is_allowed(other), "{other}");
    }
}
