//! Reads Rust source as the style checks need it: the same lines, with comments, strings and characters
//! blanked out, and which of them are tests. A small scanner, not a parser: it knows the tokens that may
//! contain braces and quotes, and matches braces.
//! Invariant: the blanked text has as many lines as the source, so that line numbers can be reported.

use std::path::{Path, PathBuf};

/// One source file.
pub struct Source {
    /// Relative to the project.
    pub path: PathBuf,
    /// As written.
    pub text: String,
    /// Code only, line by line.
    pub lines: Vec<String>,
    /// For each line, whether it belongs to tests.
    pub tested: Vec<bool>,
}

/// A function outside tests.
pub struct Function {
    /// Its first line, counted from 1.
    pub line: usize,
    /// From `fn` to the closing brace.
    pub lines: usize,
    pub name: String,
}

impl Source {
    /// Reads every `.rs` file below a folder of the project, in order of their names.
    pub fn all_in(folder: &str) -> Vec<Source> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let mut paths = Vec::new();
        collect(&root.join(folder), &mut paths);
        paths.sort();
        let read = |path: &PathBuf| {
            let text = std::fs::read_to_string(path).expect("source is readable text");
            Source::new(path.strip_prefix(root).expect("found below the root"), text)
        };
        paths.iter().map(read).collect()
    }

    pub fn new(path: &Path, text: String) -> Source {
        let lines: Vec<String> = blank(&text).lines().map(str::to_owned).collect();
        let own_file =
            path.components().any(|part| part.as_os_str() == "tests") || path.ends_with("tests.rs");
        let tested = if own_file { vec![true; lines.len()] } else { tested_lines(&lines) };
        Source { path: path.to_owned(), text, lines, tested }
    }

    /// The lines of code outside tests, counted from 1.
    pub fn shipped(&self) -> impl Iterator<Item = (usize, &str)> {
        let lines = self.lines.iter().zip(&self.tested).enumerate();
        lines.filter(|(_, (_, tested))| !**tested).map(|(number, (line, _))| (number + 1, line.as_str()))
    }

    /// The functions outside tests that have a body.
    pub fn functions(&self) -> Vec<Function> {
        let mut found = Vec::new();
        for (line, code) in self.shipped() {
            let Some(name) = function_name(code) else { continue };
            let at = code.find("fn ").unwrap_or_default();
            if let Some(end) = body_end(&self.lines, line - 1, at) {
                found.push(Function { line, lines: end + 2 - line, name: name.to_owned() });
            }
        }
        found
    }
}

fn collect(folder: &Path, paths: &mut Vec<PathBuf>) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for path in entries.map(|entry| entry.expect("a folder is readable").path()) {
        if path.is_dir() {
            collect(&path, paths);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            paths.push(path);
        }
    }
}

/// True when `word` stands in the code with no letter, digit or underscore at its open ends.
pub fn has_word(code: &str, word: &str) -> bool {
    let part = |c: char| c.is_alphanumeric() || c == '_';
    code.match_indices(word).any(|(at, _)| {
        let (before, after) = (&code[..at], &code[at + word.len()..]);
        let open_end = word.ends_with(part) && after.starts_with(part);
        let open_start = word.starts_with(part) && before.ends_with(part);
        !open_end && !open_start
    })
}

fn function_name(code: &str) -> Option<&str> {
    let code = code.trim_start();
    let at = code.find("fn ")?;
    let modifiers = ["pub", "pub(crate)", "pub(super)", "const", "async", "unsafe", "extern"];
    let known = |word: &str| modifiers.contains(&word) || word.starts_with("pub(in") || word.starts_with('"');
    if !code[..at].split_whitespace().all(known) {
        return None;
    }
    code[at + "fn ".len()..]
        .split(|c: char| !c.is_alphanumeric() && c != '_')
        .next()
        .filter(|name| !name.is_empty())
}

/// The line, counted from 0, of the brace that closes the first one after a place; `None` if a `;` comes first.
fn body_end(lines: &[String], line: usize, column: usize) -> Option<usize> {
    let (mut depth, mut brackets) = (0, 0);
    for (number, code) in lines.iter().enumerate().skip(line) {
        let start = if number == line { column } else { 0 };
        for c in code[start..].chars() {
            match c {
                '[' | '(' => brackets += 1,
                ']' | ')' => brackets -= 1,
                // Inside brackets it belongs to an array type.
                ';' if depth == 0 && brackets == 0 => return None,
                '{' => depth += 1,
                '}' if depth == 1 => return Some(number),
                '}' => depth -= 1,
                _ => {}
            }
        }
    }
    None
}

/// Marks every item under `#[cfg(test)]` or `#[cfg(all(test, ...))]`.
fn tested_lines(lines: &[String]) -> Vec<bool> {
    let mut tested = vec![false; lines.len()];
    for (number, line) in lines.iter().enumerate() {
        let code = line.trim_start();
        if code.starts_with("#[cfg(test)]") || code.starts_with("#[cfg(all(test") {
            let column = line.find(']').map_or(0, |end| end + 1);
            let end = body_end(lines, number, column).unwrap_or(number + 1).min(lines.len() - 1);
            tested[number..=end].fill(true);
        }
    }
    tested
}

/// The text with the inside of comments, strings and characters replaced by blanks.
pub fn blank(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while !rest.is_empty() {
        let length = literal_len(rest, out.chars().next_back()).unwrap_or(0);
        if length == 0 {
            let next = rest.chars().next().expect("the rest is not empty");
            out.push(next);
            rest = &rest[next.len_utf8()..];
            continue;
        }
        // One blank for a character, whatever its length: only lines have to stay where they are.
        out.extend(rest[..length].chars().map(|c| if c == '\n' { '\n' } else { ' ' }));
        rest = &rest[length..];
    }
    out
}

/// The length of the comment, string or character that begins here.
fn literal_len(rest: &str, before: Option<char>) -> Option<usize> {
    if rest.starts_with("//") {
        return Some(rest.find('\n').unwrap_or(rest.len()));
    }
    if rest.starts_with("/*") {
        return Some(rest.find("*/").map_or(rest.len(), |end| end + 2));
    }
    let in_a_word = before.is_some_and(|c| c.is_alphanumeric() || c == '_');
    if !in_a_word && let Some(length) = raw_string_len(rest) {
        return Some(length);
    }
    match rest.as_bytes()[0] {
        b'"' => Some(quoted_len(rest, '"')),
        b'\'' => char_len(rest),
        _ => None,
    }
}

/// `r"..."`, `r#"..."#` and the same with `b` before it.
fn raw_string_len(rest: &str) -> Option<usize> {
    let inside = rest.strip_prefix('r').or_else(|| rest.strip_prefix("br"))?;
    let hashes = inside.len() - inside.trim_start_matches('#').len();
    let body = inside[hashes..].strip_prefix('"')?;
    let end = format!("\"{}", "#".repeat(hashes));
    Some(rest.len() - body.len() + body.find(&end)? + end.len())
}

fn quoted_len(rest: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, c) in rest.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            c if c == quote => return at + c.len_utf8(),
            _ => {}
        }
    }
    rest.len()
}

/// A character; a lifetime or label is none.
fn char_len(rest: &str) -> Option<usize> {
    let mut inside = rest.chars().skip(1);
    let first = inside.next()?;
    let closed = inside.next() == Some('\'');
    (first == '\\' || closed).then(|| quoted_len(rest, '\''))
}

#[test]
fn comments_and_literals_are_blanked_and_lines_stay() {
    let code =
        "let a = \"{ \\\" }\"; // {\nlet b = r#\"\n}\"#; let c = '{'; let d: &'static str; /* {\n */ x(b'}')";
    let blanked = blank(code);
    assert_eq!(blanked.lines().count(), code.lines().count());
    assert!(!blanked.contains(['{', '}', '"']), "{blanked}");
    assert!(blanked.contains("&'static str"));
}

#[test]
fn functions_are_measured_and_tests_are_not() {
    let code = "pub fn a(x: [u8; 2])\n{\n  b();\n}\ntrait T { }\nfn none();\n#[cfg(test)]\nmod tests {\n fn t() {\n }\n}\n";
    let source = Source::new(Path::new("src/x.rs"), code.to_owned());
    let found: Vec<_> = source.functions().into_iter().map(|f| (f.name, f.line, f.lines)).collect();
    assert_eq!(found, [("a".to_owned(), 1, 4)]);
}

#[test]
fn words_are_whole() {
    assert!(has_word("use std::net;", "std::net"));
    assert!(has_word("rand::random()", "rand::"));
    assert!(!has_word("operand::x", "rand::"));
    assert!(!has_word("InstantLike", "Instant"));
    assert!(!has_word("unsafe_code", "unsafe"));
}
