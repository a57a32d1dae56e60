//! Options as words of a command line: what a profile's step is run with, and how a report says a run is repeated.
//!
//! Only names and values; which options a scenario has is clap's knowledge. Names of options are their long names, with
//! `_` or `-` between words. Invariant: what is printed can be pasted into a shell, whatever a value holds.

use crate::results::Results;

/// The name of this program.
pub const PROGRAM: &str = "systemx-loadtest";

/// The words that give one option a value. `true` is a switch that is set, `false` and an empty value say nothing.
pub fn words(name: &str, value: &str) -> Vec<String> {
    let flag = format!("--{}", name.replace('_', "-"));
    match value {
        "" | "false" => Vec::new(),
        "true" => vec![flag],
        // clap would take the value for another option.
        value if value.starts_with('-') => vec![format!("{flag}={value}")],
        value => vec![flag, value.to_owned()],
    }
}

/// The command that asks for the same run again.
pub fn again(results: &Results) -> String {
    let options = results.parameters.iter().flat_map(|(name, value)| words(name, value));
    let all = [PROGRAM.to_owned(), results.scenario.clone()].into_iter().chain(options);
    line(all)
}

/// Words as a shell takes them.
pub fn line(words: impl Iterator<Item = String>) -> String {
    words.map(|word| quoted(&word)).collect::<Vec<_>>().join(" ")
}

fn quoted(word: &str) -> String {
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "-_./:=,@+%".contains(letter);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample::sample;

    #[test]
    fn options_become_the_words_clap_expects() {
        assert_eq!(words("pairs", "64"), ["--pairs", "64"]);
        assert_eq!(words("cross_shard", "true"), ["--cross-shard"]);
        assert_eq!(words("offset", "-3"), ["--offset=-3"]);
        assert!(words("cross_shard", "false").is_empty() && words("pid", "").is_empty());
    }

    #[test]
    fn a_run_is_repeated_with_its_own_options() {
        let line = again(&sample());
        assert_eq!(line, "systemx-loadtest ring --duration 60 --pairs 64 --seed 1 --url ws://127.0.0.1:8080");
    }

    #[test]
    fn a_value_cannot_leave_its_quotes() {
        let mut results = sample();
        results.parameters = [("url".to_owned(), "ws://x'; rm -rf ~".to_owned())].into();
        assert_eq!(again(&results), r"systemx-loadtest ring --url 'ws://x'\''; rm -rf ~'");
    }
}
