//! Reading a profile: TOML to steps, each a list of words for the command line and its thresholds.
//!
//! Which scenarios and options exist is asked of clap, so a profile can say what the command line can and nothing else.
//! Invariant: nothing is run before the whole file has been understood.

use clap::Command;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::error::ProfileError;
use super::thresholds::{self, Threshold};
use crate::invocation;

const RUN: &str = "run";
const PASS: &str = "pass";
const NAME: &str = "name";
const SCENARIO: &str = "scenario";
const REPORT_DIR: &str = "report_dir";
/// Options that the runner sets itself.
const OWN: [&str; 3] = ["json", "report", "help"];

/// A profile that has been understood.
#[derive(Debug, PartialEq)]
pub struct Profile {
    /// Where files go, if it says so.
    pub report_dir: Option<String>,
    /// What is run, in order.
    pub steps: Vec<Step>,
}

/// One run.
#[derive(Debug, PartialEq)]
pub struct Step {
    /// Its name; names its files.
    pub name: String,
    /// Scenario and options.
    pub words: Vec<String>,
    /// What has to hold.
    pub thresholds: Vec<Threshold>,
}

/// An option that was given, and in which line.
struct Given {
    name: String,
    value: String,
    line: usize,
}

/// Understands a profile.
pub fn parse(text: &str, program: &Command) -> Result<Profile, ProfileError> {
    let reader = Reader { text, program };
    let table = DeTable::parse(text).map_err(|error| ProfileError::Syntax {
        line: reader.line(error.span().map_or(0, |span| span.start)),
        message: error.message().to_owned(),
    })?;
    reader.profile(table.get_ref())
}

/// Names of options that a scenario has, as a profile writes them.
fn options_of(scenario: &Command) -> Vec<String> {
    let long = scenario.get_arguments().filter_map(clap::Arg::get_long);
    long.filter(|name| !OWN.contains(name)).map(|name| name.replace('-', "_")).collect()
}

/// Whatever drives a server and keeps what it found.
fn scenarios(program: &Command) -> impl Iterator<Item = &Command> {
    let has = |command: &Command, name: &str| command.get_arguments().any(|arg| arg.get_long() == Some(name));
    program.get_subcommands().filter(move |command| has(command, "url") && has(command, "json"))
}

struct Reader<'a> {
    text: &'a str,
    program: &'a Command,
}

impl Reader<'_> {
    fn line(&self, offset: usize) -> usize {
        self.text.bytes().take(offset).filter(|byte| *byte == b'\n').count() + 1
    }

    fn profile(&self, table: &DeTable<'_>) -> Result<Profile, ProfileError> {
        let (mut common, mut report_dir) = (Vec::new(), None);
        let mut allowed: Vec<String> = scenarios(self.program).flat_map(options_of).collect();
        allowed.sort();
        allowed.dedup();
        for (key, value) in table.iter().filter(|(key, _)| key.get_ref() != RUN) {
            let given = self.given(key, value)?;
            if given.name == REPORT_DIR {
                report_dir = Some(given.value);
            } else if allowed.contains(&given.name) {
                common.push(given);
            } else {
                let allowed = [RUN, REPORT_DIR].map(str::to_owned).into_iter().chain(allowed).collect();
                return Err(unknown("key", given, allowed));
            }
        }
        let mut steps: Vec<Step> = Vec::new();
        for (line, run) in self.runs(table)? {
            let step = self.step(line, run, &common)?;
            if steps.iter().any(|other| other.name == step.name) {
                return Err(ProfileError::Twice { line, name: step.name });
            }
            steps.push(step);
        }
        Ok(Profile { report_dir, steps })
    }

    fn runs<'t>(&self, table: &'t DeTable<'t>) -> Result<Vec<(usize, &'t DeTable<'t>)>, ProfileError> {
        let missing = ProfileError::Missing { line: 1, what: "there is no [[run]]" };
        let Some(runs) = table.get(RUN) else { return Err(missing) };
        let expected = ProfileError::Value {
            line: self.line(runs.span().start),
            key: RUN.to_owned(),
            expected: "a list of tables, each under [[run]]",
        };
        let DeValue::Array(runs) = runs.get_ref() else { return Err(expected) };
        let tables = runs.iter().map(|run| match run.get_ref() {
            DeValue::Table(table) => Some((self.line(run.span().start), table)),
            _ => None,
        });
        tables.collect::<Option<_>>().ok_or(expected)
    }

    fn step(&self, line: usize, run: &DeTable<'_>, common: &[Given]) -> Result<Step, ProfileError> {
        let mut own = Vec::new();
        for (key, value) in run.iter().filter(|(key, _)| key.get_ref() != PASS) {
            own.push(self.given(key, value)?);
        }
        let take = |own: &mut Vec<Given>, name: &str| {
            own.iter().position(|given| given.name == name).map(|index| own.remove(index))
        };
        let missing = ProfileError::Missing { line, what: "this [[run]] has no `scenario`" };
        let scenario = take(&mut own, SCENARIO).ok_or(missing)?;
        let name = take(&mut own, NAME).map_or_else(|| Ok(scenario.value.clone()), named)?;
        let names: Vec<String> = scenarios(self.program).map(|it| it.get_name().to_owned()).collect();
        let Some(command) = scenarios(self.program).find(|it| it.get_name() == scenario.value) else {
            return Err(unknown("scenario", Given { name: scenario.value.clone(), ..scenario }, names));
        };
        let mut words = vec![scenario.value.clone()];
        words.extend(options(command, common, own)?);
        Ok(Step { name, words, thresholds: self.thresholds(run)? })
    }

    fn thresholds(&self, run: &DeTable<'_>) -> Result<Vec<Threshold>, ProfileError> {
        let Some(pass) = run.get(PASS) else { return Ok(Vec::new()) };
        let line = self.line(pass.span().start);
        let DeValue::Table(pass) = pass.get_ref() else {
            return Err(ProfileError::Value { line, key: PASS.to_owned(), expected: "a table, [run.pass]" });
        };
        let mut found = Vec::new();
        for (key, value) in pass {
            let given = self.given(key, value)?;
            if !thresholds::is_name(&given.name) {
                return Err(unknown("threshold", given, thresholds::allowed()));
            }
            let bound = given.value.parse().ok().filter(|bound: &f64| bound.is_finite() && *bound >= 0.0);
            let Some(bound) = bound else {
                let Given { name: key, line, .. } = given;
                return Err(ProfileError::Value { line, key, expected: "a number that is not below 0" });
            };
            found.push(Threshold { name: given.name, bound });
        }
        Ok(found)
    }

    fn given(
        &self,
        key: &Spanned<std::borrow::Cow<'_, str>>,
        value: &Spanned<DeValue<'_>>,
    ) -> Result<Given, ProfileError> {
        let line = self.line(key.span().start);
        let written = key.get_ref().to_string();
        let expected = "text, a number, true, false or a list of these";
        let Some(value) = as_text(value.get_ref()) else {
            return Err(ProfileError::Value { line, key: written, expected });
        };
        Ok(Given { name: written.replace('-', "_"), value, line })
    }
}

/// The step's options and those common ones that the scenario has and the step does not set.
fn options(command: &Command, common: &[Given], own: Vec<Given>) -> Result<Vec<String>, ProfileError> {
    let allowed = options_of(command);
    let shared = common.iter().filter(|given| allowed.contains(&given.name));
    let shared = shared.filter(|given| own.iter().all(|other| other.name != given.name));
    let mut words: Vec<String> =
        shared.flat_map(|given| invocation::words(&given.name, &given.value)).collect();
    for given in own {
        if !allowed.contains(&given.name) {
            let own = [SCENARIO, NAME, PASS].map(str::to_owned);
            return Err(unknown("key", given, own.into_iter().chain(allowed).collect()));
        }
        words.extend(invocation::words(&given.name, &given.value));
    }
    Ok(words)
}

fn unknown(what: &'static str, given: Given, allowed: Vec<String>) -> ProfileError {
    ProfileError::Unknown { line: given.line, what, name: given.name, allowed }
}

/// A name that is fit for a file's name.
fn named(given: Given) -> Result<String, ProfileError> {
    let fits = |letter: char| letter.is_ascii_alphanumeric() || "-_.".contains(letter);
    if !given.value.is_empty() && given.value.chars().all(fits) && !given.value.starts_with('.') {
        return Ok(given.value);
    }
    let expected = "of letters, digits, `-`, `_` and `.`: it names files";
    Err(ProfileError::Value { line: given.line, key: NAME.to_owned(), expected })
}

/// A value as the command line takes it; lists are joined by commas.
fn as_text(value: &DeValue<'_>) -> Option<String> {
    match value {
        DeValue::String(text) => Some(text.to_string()),
        DeValue::Integer(number) => Some(number.to_string()),
        DeValue::Float(number) => Some(number.to_string()),
        DeValue::Boolean(switch) => Some(switch.to_string()),
        DeValue::Array(items) => {
            let items: Option<Vec<String>> = items.iter().map(|item| as_text(item.get_ref())).collect();
            Some(items?.join(","))
        }
        DeValue::Datetime(_) | DeValue::Table(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Arg;

    fn program() -> Command {
        let scenario = |name: &'static str, own: &'static str| {
            let options = ["url", "json", "threads", "seed", "cross-shard", own];
            Command::new(name).args(options.map(|name| Arg::new(name).long(name)))
        };
        let other = Command::new("floor").arg(Arg::new("port").long("port"));
        Command::new("x").subcommands([scenario("ring", "pairs"), scenario("msg", "bytes"), other])
    }

    fn refusal(text: &str) -> String {
        parse(text, &program()).expect_err("it is refused").to_string()
    }

    #[test]
    fn steps_become_words_of_the_command_line() {
        let text = "url = ['ws://127.0.0.1:1', 'ws://127.0.0.1:2']\npairs = 8\nreport_dir = 'out'\n\
                    [[run]]\nscenario = 'ring'\ncross_shard = true\npairs = 64\n[run.pass]\nerrors_max = 0\n\
                    [[run]]\nname = 'large'\nscenario = 'msg'\nbytes = 1_024\n";
        let profile = parse(text, &program()).expect("it is right");
        assert_eq!(profile.report_dir.as_deref(), Some("out"));
        let words: Vec<String> = profile.steps.iter().map(|step| step.words.join(" ")).collect();
        let url = "--url ws://127.0.0.1:1,ws://127.0.0.1:2";
        assert_eq!(
            words,
            [format!("ring {url} --cross-shard --pairs 64"), format!("msg {url} --bytes 1024")]
        );
        assert_eq!((profile.steps[0].name.as_str(), profile.steps[1].name.as_str()), ("ring", "large"));
        assert_eq!(profile.steps[0].thresholds, [Threshold { name: "errors_max".into(), bound: 0.0 }]);
    }

    #[test]
    fn unknown_names_are_told_with_line_and_suggestion() {
        let cases = [
            (
                "thread = 2\n[[run]]\nscenario = 'ring'",
                "line 1: unknown key `thread`. Did you mean `threads`?",
            ),
            (
                "[[run]]\nscenario = 'rign'",
                "line 2: unknown scenario `rign`. Did you mean `ring`? Allowed: ring, msg",
            ),
            ("[[run]]\nscenario = 'ring'\nbytes = 1", "line 3: unknown key `bytes`."),
            (
                "[[run]]\nscenario = 'ring'\n[run.pass]\nerror_max = 0",
                "line 4: unknown threshold `error_max`. Did you mean `errors_max`?",
            ),
            ("[[run]]\nscenario = 'floor'", "line 2: unknown scenario `floor`."),
        ];
        for (text, expected) in cases {
            assert!(refusal(text).starts_with(expected), "{}", refusal(text));
        }
    }

    #[test]
    fn the_example_in_the_documents_is_understood() {
        let more = ["duration", "bytes"].map(|name| Arg::new(name).long(name));
        let ring = |command: Command| command.args(more.clone());
        let msg = |command: Command| {
            command.args([Arg::new("duration").long("duration"), Arg::new("pairs").long("pairs")])
        };
        let program = program().mut_subcommand("ring", ring).mut_subcommand("msg", msg);
        let example = include_str!("../../docs/deploy/loadtest.toml");
        let profile = parse(example, &program).expect("it is right");
        let thresholds: Vec<usize> = profile.steps.iter().map(|step| step.thresholds.len()).collect();
        assert_eq!((profile.report_dir.as_deref(), thresholds), (Some("loadtest-report"), vec![3, 2]));
    }

    #[test]
    fn mistakes_of_form_are_told_with_their_line() {
        assert!(refusal("a = 1\nb = ").starts_with("line 2:"), "{}", refusal("a = 1\nb = "));
        assert_eq!(refusal("seed = 1"), "line 1: there is no [[run]]");
        assert_eq!(refusal("[[run]]\nseed = 1"), "line 1: this [[run]] has no `scenario`");
        let twice = "[[run]]\nscenario = 'ring'\n[[run]]\nscenario = 'ring'";
        assert!(refusal(twice).starts_with("line 3: a second run is called `ring`"), "{}", refusal(twice));
        let bound = "[[run]]\nscenario = 'ring'\n[run.pass]\nerrors_max = 'none'";
        assert!(refusal(bound).starts_with("line 4: `errors_max` has to be a number"), "{}", refusal(bound));
        assert!(refusal("[[run]]\nscenario = 'ring'\nname = '../x'").contains("it names files"));
    }
}
