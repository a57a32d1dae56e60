//! What a person may type at the prompt, and how a line of text becomes a [`Command`].
//! Pure: no terminal and no session state, so that every line can be tried in a unit test.
//! Invariant: a line that does not begin with a command word is text for the current call, never an error.

use super::frames::Status;

/// One thing a person asks of the phone. Calls are named by their short local number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Command {
    Register(String),
    Dial(String),
    Answer(Option<u32>),
    Say(String),
    Switch(u32),
    HangUp(Option<u32>),
    Join(String),
    PartySay { party: String, text: String },
    Leave(String),
    Presence(Option<String>),
    SetStatus(Status),
    Sleep,
    Calls,
    Help,
    Quit,
}

/// A line that begins with a command word but cannot be carried out; shows the right form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct UsageError {
    /// How the command is written.
    pub form: &'static str,
}

/// Every command: its word, how it is written, and what it does. Help and completion read this table.
pub(super) const COMMANDS: [(&str, &str, &str); 15] = [
    ("register", "register ADDRESS", "take an address, or exchange it for another"),
    ("dial", "dial ADDRESS", "call somebody"),
    ("answer", "answer [CALL]", "answer the call, or the oldest that rings"),
    ("say", "say TEXT", "talk to the current call (plain text does the same)"),
    ("switch", "switch CALL", "make another call the current one"),
    ("hangup", "hangup [CALL]", "end the call, or the current one"),
    ("join", "join PARTY", "join a party line"),
    ("party", "party PARTY TEXT", "talk to a party line"),
    ("leave", "leave PARTY", "leave a party line"),
    ("presence", "presence [DOMAIN]", "list who is there"),
    ("status", "status available|busy|dnd|away", "tell others how you are"),
    ("sleep", "sleep", "go to sleep (needs a wake handler)"),
    ("calls", "calls", "list your calls"),
    ("help", "help", "show this list"),
    ("quit", "quit", "hang up everything and leave"),
];

/// Reads one line. `Ok(None)` for a blank one.
pub(super) fn parse(line: &str) -> Result<Option<Command>, UsageError> {
    let line = line.trim();
    if line.is_empty() {
        return Ok(None);
    }
    let (word, rest) = split_word(line);
    let Some((_, form, _)) = COMMANDS.iter().find(|(name, _, _)| *name == word) else {
        return Ok(Some(Command::Say(line.to_owned())));
    };
    command(word, rest).map(Some).ok_or(UsageError { form })
}

fn command(word: &str, rest: &str) -> Option<Command> {
    Some(match word {
        "register" => Command::Register(one_word(rest)?),
        "dial" => Command::Dial(one_word(rest)?),
        "answer" => Command::Answer(optional_call(rest)?),
        "say" => Command::Say(text(rest)?),
        "switch" => Command::Switch(rest.parse().ok()?),
        "hangup" => Command::HangUp(optional_call(rest)?),
        "join" => Command::Join(one_word(rest)?),
        "party" => {
            let (party, said) = split_word(rest);
            Command::PartySay { party: one_word(party)?, text: text(said)? }
        }
        "leave" => Command::Leave(one_word(rest)?),
        "presence" if rest.is_empty() => Command::Presence(None),
        "presence" => Command::Presence(Some(one_word(rest)?)),
        "status" => Command::SetStatus(status(rest)?),
        "sleep" if rest.is_empty() => Command::Sleep,
        "calls" if rest.is_empty() => Command::Calls,
        "help" => Command::Help,
        "quit" if rest.is_empty() => Command::Quit,
        _ => return None,
    })
}

fn split_word(line: &str) -> (&str, &str) {
    match line.split_once(char::is_whitespace) {
        Some((word, rest)) => (word, rest.trim()),
        None => (line, ""),
    }
}

fn one_word(rest: &str) -> Option<String> {
    let single = !rest.is_empty() && !rest.contains(char::is_whitespace);
    single.then(|| rest.to_owned())
}

fn text(rest: &str) -> Option<String> {
    (!rest.is_empty()).then(|| rest.to_owned())
}

/// `Some(None)`: no call was named, which is fine.
fn optional_call(rest: &str) -> Option<Option<u32>> {
    if rest.is_empty() {
        return Some(None);
    }
    rest.parse().ok().map(Some)
}

fn status(word: &str) -> Option<Status> {
    Some(match word {
        "available" => Status::Available,
        "busy" => Status::Busy,
        "dnd" => Status::Dnd,
        "away" => Status::Away,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(line: &str, expected: Command) {
        assert_eq!(parse(line), Ok(Some(expected)), "{line:?}");
    }

    #[test]
    fn each_command_is_understood() {
        check("register a@x.test", Command::Register("a@x.test".into()));
        check("  dial   b@x.test ", Command::Dial("b@x.test".into()));
        check("answer", Command::Answer(None));
        check("answer 2", Command::Answer(Some(2)));
        check("say  good  morning", Command::Say("good  morning".into()));
        check("switch 3", Command::Switch(3));
        check("hangup", Command::HangUp(None));
        check("join p@x.test", Command::Join("p@x.test".into()));
        check(
            "party p@x.test hello all",
            Command::PartySay { party: "p@x.test".into(), text: "hello all".into() },
        );
        check("leave p@x.test", Command::Leave("p@x.test".into()));
        check("presence", Command::Presence(None));
        check("presence x.test", Command::Presence(Some("x.test".into())));
        check("status dnd", Command::SetStatus(Status::Dnd));
        check("sleep", Command::Sleep);
        check("calls", Command::Calls);
        check("help dial", Command::Help);
        check("quit", Command::Quit);
    }

    #[test]
    fn plain_text_goes_to_the_current_call() {
        check("good morning", Command::Say("good morning".into()));
        check("Dial is a word too", Command::Say("Dial is a word too".into()));
    }

    #[test]
    fn a_blank_line_asks_for_nothing() {
        assert_eq!(parse(" \t "), Ok(None));
    }

    #[test]
    fn a_command_without_what_it_needs_shows_its_form() {
        for line in
            ["dial", "dial a b", "answer two", "say", "switch", "party p@x.test", "status asleep", "quit now"]
        {
            let error = parse(line).expect_err(line);
            assert!(error.form.starts_with(split_word(line).0), "{line:?} gave {:?}", error.form);
        }
    }

    #[test]
    fn every_word_in_the_table_is_a_command() {
        for (word, form, _) in COMMANDS {
            assert!(form.starts_with(word));
            let filled = form.replace(['[', ']'], "").replace("CALL", "1");
            let filled = filled.split('|').next().expect("split gives at least one piece");
            assert!(!matches!(parse(filled), Ok(Some(Command::Say(said))) if said == filled), "{filled:?}");
        }
    }
}
