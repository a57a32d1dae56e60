//! The prompt: reads lines with history and completion in a thread of its own, because reading a
//! terminal blocks. What a line means is decided in `command.rs`, what happens in `session.rs`.
//! Invariant: the thread only ever sends commands; nothing it does depends on the state of a call.

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use rustyline::completion::Completer;
use rustyline::error::ReadlineError;
use rustyline::highlight::Highlighter;
use rustyline::hint::Hinter;
use rustyline::history::FileHistory;
use rustyline::validate::Validator;
use rustyline::{Config, Context, Editor, ExternalPrinter, Helper};
use tokio::sync::mpsc;

use super::command::{COMMANDS, Command, parse};

const PROMPT: &str = "phone> ";
/// Addresses offered for completion. More than a person has use for, and a bound.
const KNOWN_MAX: usize = 10_000;
/// Lines of history kept in the file.
const HISTORY_MAX: usize = 1_000;
/// Commands typed and not carried out yet.
pub(super) const TYPED_MAX: usize = 16;

/// What a typed line has become.
#[derive(Debug)]
pub(super) enum Typed {
    Command(Command),
    /// A command in the wrong form; shows the right one.
    Usage(&'static str),
}

/// The addresses seen so far, shared with completion.
#[derive(Debug, Clone, Default)]
pub(super) struct Known(Arc<Mutex<BTreeSet<String>>>);

impl Known {
    /// Remembers an address for completion.
    pub(super) fn learn(&self, address: &str) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() < KNOWN_MAX && !known.contains(address) {
            known.insert(address.to_owned());
        }
    }

    fn starting_with(&self, start: &str) -> Vec<String> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.range(start.to_owned()..).take_while(|address| address.starts_with(start)).cloned().collect()
    }
}

/// The terminal as the phone's main loop sees it.
pub(super) struct Prompt {
    /// Ends when the person leaves.
    pub typed: mpsc::Receiver<Typed>,
    pub known: Known,
    printer: Option<Box<dyn ExternalPrinter + Send>>,
}

impl Prompt {
    /// Starts the thread. Fails when the terminal cannot be used.
    pub(super) fn start() -> rustyline::Result<Prompt> {
        let config = Config::builder().max_history_size(HISTORY_MAX)?.auto_add_history(true).build();
        let mut editor: Editor<Completion, FileHistory> = Editor::with_config(config)?;
        let known = Known::default();
        editor.set_helper(Some(Completion { known: known.clone() }));
        // Without one, incoming lines are written straight to stdout, which is untidy but works.
        let printer = editor.create_external_printer().ok();
        let (sender, typed) = mpsc::channel(TYPED_MAX);
        thread::Builder::new().name("phone-prompt".to_owned()).spawn(move || read_lines(editor, &sender))?;
        Ok(Prompt { typed, known, printer: printer.map(|printer| Box::new(printer) as _) })
    }

    /// Prints a line above the prompt.
    pub(super) fn print(&mut self, line: String) -> io::Result<()> {
        match &mut self.printer {
            Some(printer) => printer.print(line + "\n").map_err(io::Error::other),
            None => writeln!(io::stdout(), "{line}"),
        }
    }
}

fn read_lines(mut editor: Editor<Completion, FileHistory>, typed: &mpsc::Sender<Typed>) {
    let history = history_file();
    if let Some(file) = &history {
        // No file yet is the normal first start.
        drop(editor.load_history(file));
    }
    loop {
        let line = match editor.readline(PROMPT) {
            Ok(line) => line,
            Err(ReadlineError::Interrupted | ReadlineError::Eof) => "quit".to_owned(),
            Err(_) => break,
        };
        let parsed = match parse(&line) {
            Ok(None) => continue,
            Ok(Some(command)) => Typed::Command(command),
            Err(error) => Typed::Usage(error.form),
        };
        let leaving = matches!(parsed, Typed::Command(Command::Quit));
        // Before the main loop hears of it, since it ends the process.
        if leaving && let Some(file) = &history {
            drop(editor.save_history(file));
        }
        if typed.blocking_send(parsed).is_err() || leaving {
            break;
        }
    }
}

/// `systemx/phone-history` in the XDG state folder; `None`, and then no history between runs, when
/// there is no such folder and none can be made.
fn history_file() -> Option<PathBuf> {
    let absolute = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let state = absolute("XDG_STATE_HOME").or_else(|| Some(absolute("HOME")?.join(".local/state")))?;
    let folder = state.join("systemx");
    fs::create_dir_all(&folder).ok()?;
    Some(folder.join("phone-history"))
}

/// Completes command words, statuses and known addresses.
struct Completion {
    known: Known,
}

impl Completer for Completion {
    type Candidate = String;

    fn complete(
        &self,
        line: &str,
        position: usize,
        _: &Context<'_>,
    ) -> rustyline::Result<(usize, Vec<String>)> {
        Ok(candidates(&self.known, &line[..position]))
    }
}

impl Helper for Completion {}
impl Hinter for Completion {
    type Hint = String;
}
impl Highlighter for Completion {}
impl Validator for Completion {}

/// Where the last word of the line begins, and what it may become.
fn candidates(known: &Known, line: &str) -> (usize, Vec<String>) {
    let start = line
        .rfind(char::is_whitespace)
        .map_or(0, |at| at + line[at..].chars().next().map_or(1, char::len_utf8));
    let (before, word) = (line[..start].trim(), &line[start..]);
    let fixed =
        |words: &[&str]| words.iter().filter(|w| w.starts_with(word)).map(|w| format!("{w} ")).collect();
    let found = match before {
        "" => fixed(&COMMANDS.map(|(name, _, _)| name)),
        "status" => fixed(&["available", "busy", "dnd", "away"]),
        _ => known.starting_with(word),
    };
    (start, found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_word_completes_to_commands_and_later_words_to_known_addresses() {
        let known = Known::default();
        known.learn("bob@x.test");
        known.learn("bea@x.test");
        known.learn("al@x.test");
        assert_eq!(candidates(&known, "di"), (0, vec!["dial ".to_owned()]));
        assert_eq!(candidates(&known, "status b"), (7, vec!["busy ".to_owned()]));
        assert_eq!(candidates(&known, "dial b"), (5, vec!["bea@x.test".to_owned(), "bob@x.test".to_owned()]));
        assert_eq!(candidates(&known, "dial\u{2003}al").1, ["al@x.test"]);
    }
}
