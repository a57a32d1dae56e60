//! What was given: flags, environment, `.env` and TOML file, merged by precedence, with the place each value came from and
//! nothing checked except that names are known. Nothing here reads the process or a file; all four sources are handed in.
//! An empty value means "the default", and hides what less important sources say.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use clap::{Arg, ArgMatches, Command};

use super::error::{ConfigError, Origin, Warning};
use super::federation::FileFault;
use super::later;
use super::settings::{self, FEDERATION_PREFIX, Kind, SETTINGS, Setting};

/// The variable that names the TOML file.
pub const CONFIG_FILE_ENV: &str = "SYSTEMX_CONFIG";
/// The variable of the phone: the exchange it calls. Known here, so that nobody is warned about it.
const PHONE_URL_ENV: &str = "SYSTEMX_URL";
/// Variables that begin so are ours, and a misspelt one deserves a warning.
const OWN_PREFIX: &str = "SYSTEMX_";
/// The flag that names the TOML file, as clap's id and long name.
const CONFIG_FILE_FLAG: &str = "config";

/// The command line flags of the settings, as they were typed. Clap learns them from the table of settings.
#[derive(Debug, Clone, Default)]
pub struct RawFlags {
    /// The value of each flag that was given, by the setting's name.
    pub values: BTreeMap<&'static str, String>,
    /// `--config FILE`.
    pub config_file: Option<PathBuf>,
}

impl clap::Args for RawFlags {
    fn augment_args(command: Command) -> Command {
        let config_file = Arg::new(CONFIG_FILE_FLAG)
            .long(CONFIG_FILE_FLAG)
            .value_name("FILE")
            .value_parser(clap::value_parser!(PathBuf))
            .help(format!("TOML file with settings; the least important source [{CONFIG_FILE_ENV}]"));
        let flags = SETTINGS.iter().filter(|setting| setting.has_flag());
        flags.fold(command.arg(config_file), |command, setting| command.arg(flag_of(setting)))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl clap::FromArgMatches for RawFlags {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let value = |setting: &Setting| matches.get_one::<String>(setting.name).cloned();
        let flags = SETTINGS.iter().filter(|setting| setting.has_flag());
        let values = flags.filter_map(|setting| Some((setting.name, value(setting)?))).collect();
        Ok(Self { values, config_file: matches.get_one::<PathBuf>(CONFIG_FILE_FLAG).cloned() })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

/// The flag of one setting. A switch may stand alone (`--pin`), and then means true.
fn flag_of(setting: &'static Setting) -> Arg {
    let default = if setting.default.is_empty() { "unset" } else { setting.default };
    let arg = Arg::new(setting.name)
        .long(setting.name.replace('_', "-"))
        .help(format!("{} [{}, default {default}]", setting.help, setting.env));
    match setting.kind {
        Kind::Switch | Kind::ExactSwitch => {
            arg.value_name("BOOL").num_args(0..=1).require_equals(true).default_missing_value("true")
        }
        Kind::Integer { .. } => arg.value_name("N").allow_negative_numbers(true),
        Kind::Host => arg.value_name("ADDRESS"),
        Kind::Listener => arg.value_name("ADDRESS:PORT"),
        Kind::Hosts => arg.value_name("NAMES"),
        Kind::Word(_) => arg.value_name("WORD"),
        Kind::Commands => arg.value_name("PATHS"),
        Kind::File => arg.value_name("FILE"),
        Kind::Url => arg.value_name("URL"),
        Kind::Ratio => arg.value_name("RATIO"),
        Kind::Text | Kind::Hidden | Kind::Tokens => arg.value_name("TEXT"),
        Kind::Origins => arg.value_name("ORIGINS"),
        Kind::Networks => arg.value_name("NETWORKS"),
    }
}

/// A value and where it was said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Given {
    /// The text, trimmed; empty means the default.
    pub value: String,
    /// Where it was said.
    pub origin: Origin,
}

/// One assignment of a `.env` file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DotEnvEntry {
    /// The variable.
    pub variable: String,
    /// Its value, quotes removed.
    pub value: String,
    /// Its line, from 1.
    pub line: usize,
}

/// Everything that was given, and what was wrong or odd about the names.
#[derive(Debug, Default)]
pub struct RawConfig {
    given: BTreeMap<&'static str, Given>,
    /// Variables of later issues, such as `SYSTEMX_AUTH_FILE`, by name.
    pub(super) later: BTreeMap<String, Given>,
    /// What came of reading the file that `FEDERATION_CONFIG` names, if it names one.
    pub federation_file: Option<Result<String, FileFault>>,
    /// What is odd; see [`Warning`].
    pub warnings: Vec<Warning>,
    /// What is wrong; see [`ConfigError`].
    pub errors: Vec<ConfigError>,
}

impl RawConfig {
    /// Merges the sources. Of one variable set twice in `.env`, the later line wins, as in a shell.
    pub fn gather(
        flags: RawFlags,
        env: impl Iterator<Item = (String, String)>,
        dotenv: Option<&str>,
        toml: Option<(&Path, &str)>,
    ) -> Self {
        let mut raw = Self::default();
        // From the least important source to the most important: a later insert replaces an earlier one.
        if let Some((path, text)) = toml {
            raw.add_toml(path, text);
        }
        if let Some(text) = dotenv {
            raw.add_dotenv(text);
        }
        // Sorted, because the order of the environment is nobody's intention and shows in warnings.
        for (variable, value) in env.collect::<BTreeMap<_, _>>() {
            raw.add_variable(variable, &value, Origin::Environment);
        }
        for (name, value) in flags.values {
            raw.insert(name, &value, Origin::Flag);
        }
        raw
    }

    /// What was given for a setting. `None`: nothing, or an empty value, so the default holds.
    pub fn given(&self, setting: &Setting) -> Option<&Given> {
        self.given.get(setting.name).filter(|given| !given.value.is_empty())
    }

    /// The value that holds for a setting, as text, and its origin; for `check-config`.
    pub fn effective(&self, setting: &Setting) -> (String, Origin) {
        match self.given(setting) {
            Some(given) => (given.value.clone(), given.origin.clone()),
            None => (setting.default.to_owned(), Origin::Default),
        }
    }

    /// Whether a variable was given a value, be it a setting or one of a later version.
    pub(super) fn has_said(&self, variable: &str) -> bool {
        let known = settings::by_env(variable).and_then(|setting| self.given(setting));
        known.or_else(|| self.later.get(variable)).is_some_and(|given| !given.value.is_empty())
    }

    fn insert(&mut self, name: &'static str, value: &str, origin: Origin) {
        self.given.insert(name, Given { value: value.trim().to_owned(), origin });
    }

    fn add_variable(&mut self, variable: String, value: &str, origin: Origin) {
        if let Some(setting) = settings::by_env(&variable) {
            return self.insert(setting.name, value, origin);
        }
        if later::is_later(&variable) {
            self.later.insert(variable, Given { value: value.trim().to_owned(), origin });
            return;
        }
        let is_ours = variable.starts_with(OWN_PREFIX) || variable.starts_with(FEDERATION_PREFIX);
        if is_ours && variable != CONFIG_FILE_ENV && variable != PHONE_URL_ENV {
            let nearest = nearest_variable(&variable);
            self.warnings.push(Warning::UnknownVariable { variable, origin, nearest });
        }
    }

    fn add_dotenv(&mut self, text: &str) {
        let (entries, bad_lines) = parse_dotenv(text);
        for entry in entries {
            self.add_variable(entry.variable, &entry.value, Origin::DotEnv { line: entry.line });
        }
        for (line, is_ours) in bad_lines {
            // A `.env` may belong to several programs; only a line about this one must be right.
            if is_ours {
                self.errors.push(ConfigError::DotEnvSyntax { line });
            } else {
                self.warnings.push(Warning::DotEnvLineSkipped { line });
            }
        }
    }

    fn add_toml(&mut self, path: &Path, text: &str) {
        let table = match text.parse::<toml::Table>() {
            Ok(table) => table,
            Err(error) => return self.errors.push(toml_syntax(path, text, &error)),
        };
        for (key, value) in table {
            self.add_toml_key(path, key, &value);
        }
    }

    fn add_toml_key(&mut self, path: &Path, key: String, value: &toml::Value) {
        let origin = Origin::File(path.to_owned());
        let Some(setting) = settings::by_name(&key) else {
            let nearest = settings::nearest(&key, SETTINGS.iter().map(|setting| setting.name));
            return self.errors.push(ConfigError::UnknownKey { key, path: path.to_owned(), nearest });
        };
        match toml_text(value) {
            Some(text) => self.insert(setting.name, &text, origin),
            None => {
                let value = format!("a TOML {}", value.type_str());
                self.errors.push(ConfigError::Value { setting, value, origin });
            }
        }
    }
}

/// The known variable that an unknown one is a slip of. The common prefixes are left out of the comparison: they would make all alike.
fn nearest_variable(variable: &str) -> Option<String> {
    let known = SETTINGS
        .iter()
        .map(|setting| setting.env)
        .chain([CONFIG_FILE_ENV, PHONE_URL_ENV])
        .chain(later::HINTS);
    let bare = |name| str::trim_start_matches(name, OWN_PREFIX).trim_start_matches(FEDERATION_PREFIX);
    let nearest = settings::nearest(bare(variable), known.clone().map(bare))?;
    known.into_iter().find(|name| bare(name) == nearest).map(str::to_owned)
}

/// A TOML value as an operator would write it in the environment; `None` for types no setting has.
fn toml_text(value: &toml::Value) -> Option<String> {
    match value {
        toml::Value::String(text) => Some(text.clone()),
        toml::Value::Integer(number) => Some(number.to_string()),
        toml::Value::Boolean(switch) => Some(switch.to_string()),
        toml::Value::Float(number) => Some(number.to_string()),
        toml::Value::Array(items) => {
            let items: Option<Vec<&str>> = items.iter().map(toml::Value::as_str).collect();
            Some(items?.join(","))
        }
        toml::Value::Datetime(_) | toml::Value::Table(_) => None,
    }
}

fn toml_syntax(path: &Path, text: &str, error: &toml::de::Error) -> ConfigError {
    let offset = error.span().map_or(0, |span| span.start);
    let line = text.bytes().take(offset).filter(|byte| *byte == b'\n').count() + 1;
    ConfigError::FileSyntax { path: path.to_owned(), line, message: error.message().to_owned() }
}

/// The assignments of a `.env` file in their order, and each line that is none with whether it speaks of this program.
/// `$NAME` in a value is replaced as dotenvy does it, from the process's environment; the environment is not changed.
pub fn parse_dotenv(text: &str) -> (Vec<DotEnvEntry>, Vec<(usize, bool)>) {
    let text = text.trim_start_matches('\u{feff}');
    let (mut entries, mut bad_lines) = (Vec::new(), Vec::new());
    // dotenvy does not count lines, so each result is looked for in the text from where the last one was found.
    let mut line_after = 0;
    for item in dotenvy::from_read_iter(text.as_bytes()) {
        match item {
            Ok((variable, value)) => {
                line_after = find_line(text, line_after, |line| assigns(line, &variable));
                entries.push(DotEnvEntry { variable, value, line: line_after });
            }
            Err(dotenvy::Error::LineParse(bad, _)) => {
                let first = bad.lines().next().unwrap_or_default();
                line_after = find_line(text, line_after, |line| line.starts_with(first));
                bad_lines.push((line_after, bad.contains(OWN_PREFIX) || later::is_mentioned(&bad)));
            }
            // Reading from memory cannot fail otherwise; should it, the rest of the file is reported, not guessed.
            Err(_) => {
                bad_lines.push((line_after.max(1), true));
                break;
            }
        }
    }
    (entries, bad_lines)
}

/// The number (from 1) of the first line after `line_after` lines that fits. dotenvy forgets parts of an unfinished quotation, so
/// nothing may be found; then the last line that was found stands for it.
fn find_line(text: &str, line_after: usize, fits: impl Fn(&str) -> bool) -> usize {
    let found = text.lines().enumerate().skip(line_after).find(|(_, line)| fits(line));
    found.map_or(line_after.max(1), |(index, _)| index + 1)
}

fn assigns(line: &str, variable: &str) -> bool {
    let line = line.trim_start();
    let line = line.strip_prefix("export").map_or(line, str::trim_start);
    line.strip_prefix(variable).is_some_and(|rest| rest.trim_start().starts_with('='))
}
