//! The style a machine can check. Each test names every place at fault, so that
//! one run is enough to mend them all.

mod source;

use std::path::Path;

use source::{Source, has_word};

/// The core and the dialects are pure: whatever waits, asks the time or draws lots belongs to the shell.
const IMPURE: [&str; 7] = ["tokio", "std::net", "std::thread", "Instant", "SystemTime", "Mutex", "rand::"];
const PURE_FOLDERS: [&str; 2] = ["src/exchange", "src/dialect"];

/// A function fits on a screen.
const FUNCTION_LINES_MAX: usize = 70;
/// Longer functions that may stay, each with its reason: (file, function, reason).
const LONG_FUNCTIONS: [(&str, &str, &str); 0] = [];

/// Files that may contain `unsafe`, each with the gain that pays for it (design decision D14).
const UNSAFE_FILES: [(&str, &str); 3] = [
    ("src/dialect/json/sse2.rs", "SSE2 scan of string contents, measured in benches/parse.rs"),
    ("src/shell/mailer/ring.rs", "io_uring requests borrow their bytes; measured by vs-floor's fan-out"),
    (
        "tests/allocations.rs",
        "an allocator that counts; no other way to see that a message allocates nothing",
    ),
];

/// Marks of work that was put off. Written in two halves: this file is checked too.
const MARKERS: [&str; 4] =
    [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("XX", "X"), concat!("HA", "CK")];

/// What the top level of the project may hold, apart from dot files.
const TOP_LEVEL: [&str; 12] = [
    "Cargo.lock",
    "Cargo.toml",
    "Dockerfile",
    "LICENSE",
    "LICENSE-MIT",
    "README.md",
    "benches",
    "docs",
    "loadtest",
    "src",
    "target",
    "tests",
];

fn assert_none(what: &str, faults: &[String]) {
    assert!(faults.is_empty(), "{what}:\n  {}", faults.join("\n  "));
}

/// Faults of single lines of shipped code, as `file:line: text`.
fn faulty_lines(folder: &str, is_fault: impl Fn(&Source, &str) -> bool) -> Vec<String> {
    let mut faults = Vec::new();
    for source in Source::all_in(folder) {
        let found = source.shipped().filter(|(_, code)| is_fault(&source, code));
        faults.extend(found.map(|(line, code)| format!("{}:{line}: {}", source.path.display(), code.trim())));
    }
    faults
}

#[test]
fn every_file_opens_with_a_paragraph_about_itself() {
    let folders = ["src", "tests", "benches", "loadtest"].map(Source::all_in);
    let faults: Vec<_> = folders
        .iter()
        .flatten()
        .filter(|source| !source.text.starts_with("//!"))
        .map(|source| source.path.display().to_string())
        .collect();
    assert_none("files that do not begin with //!", &faults);
}

#[test]
fn the_core_and_the_dialects_are_pure() {
    let impure = |_: &Source, code: &str| IMPURE.iter().any(|word| has_word(code, word));
    let faults: Vec<_> = PURE_FOLDERS.into_iter().flat_map(|folder| faulty_lines(folder, impure)).collect();
    assert_none("clocks, threads, sockets, locks or randomness in pure code", &faults);
}

#[test]
fn nothing_is_unwrapped_in_shipped_code() {
    let faults = faulty_lines("src", |_, code| code.contains(".unwrap()"));
    assert_none("unwrap() outside tests; handle it, or expect(\"why it cannot fail\")", &faults);
}

#[test]
fn unsafe_stays_in_the_files_that_have_a_reason_for_it() {
    let allowed = |source: &Source| UNSAFE_FILES.iter().any(|(file, _)| source.path == Path::new(file));
    let faults = faulty_lines("src", |source, code| has_word(code, "unsafe") && !allowed(source));
    assert_none("unsafe outside UNSAFE_FILES", &faults);
}

#[test]
fn a_function_fits_on_a_screen() {
    let mut faults = Vec::new();
    for source in Source::all_in("src") {
        let allowed = |name: &str| {
            LONG_FUNCTIONS
                .iter()
                .any(|(file, function, _)| source.path == Path::new(file) && *function == name)
        };
        let long =
            source.functions().into_iter().filter(|f| f.lines > FUNCTION_LINES_MAX && !allowed(&f.name));
        faults.extend(
            long.map(|f| format!("{}:{}: {} has {} lines", source.path.display(), f.line, f.name, f.lines)),
        );
    }
    assert_none("functions over 70 lines", &faults);
}

#[test]
fn no_work_is_put_off_in_the_source() {
    let mut faults = Vec::new();
    for source in ["src", "tests", "benches", "loadtest"].into_iter().flat_map(Source::all_in) {
        for (number, line) in source.text.lines().enumerate() {
            if MARKERS.iter().any(|marker| has_word(line, marker)) {
                faults.push(format!("{}:{}: {}", source.path.display(), number + 1, line.trim()));
            }
        }
    }
    assert_none("leftover markers", &faults);
}

#[test]
fn each_dependency_says_what_it_is_for() {
    let manifest =
        std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml")).expect("it is there");
    let (mut inside, mut above, mut faults) = (false, "", Vec::new());
    for line in manifest.lines() {
        if line.starts_with('[') {
            inside = line.contains("dependencies");
        } else if inside && line.contains('=') && !line.starts_with('#') && !above.starts_with('#') {
            faults.push(line.to_owned());
        }
        above = line;
    }
    assert_none("dependencies without a comment in the line above", &faults);
}

#[test]
fn the_top_level_holds_only_what_belongs_there() {
    let entries = std::fs::read_dir(env!("CARGO_MANIFEST_DIR")).expect("the project is readable");
    let names = entries.map(|entry| entry.expect("readable").file_name().to_string_lossy().into_owned());
    let faults: Vec<_> =
        names.filter(|name| !name.starts_with('.') && !TOP_LEVEL.contains(&name.as_str())).collect();
    assert_none("strangers at the top level", &faults);
}
