//! A ladder as a Mermaid sequence diagram, to be put into an issue or a wiki.
//!
//! Names and words may hold anything a client sends: whatever means something to Mermaid is written as its character code.

use std::fmt::Write;

use super::picture::{Picture, span};

/// What is shown of a label, in characters: a diagram is for reading.
const LABEL_CHARS_MAX: usize = 120;

impl Picture {
    /// The ladder in Mermaid's language.
    pub fn to_mermaid(&self) -> String {
        let mut text = String::from("sequenceDiagram\n");
        for (at, party) in self.parties.iter().enumerate() {
            line(&mut text, format_args!("    participant P{at} as {}", escape(party)));
        }
        for rung in &self.rungs {
            let (label, after) = (escape(&rung.label()), span(rung.since_last_us));
            line(&mut text, format_args!("    P{}->>P{}: {label} [+{after}]", rung.from, rung.to));
        }
        text
    }
}

fn line(text: &mut String, arguments: std::fmt::Arguments<'_>) {
    writeln!(text, "{arguments}").expect("a string takes everything");
}

fn escape(text: &str) -> String {
    let mut escaped = String::new();
    for character in text.chars().take(LABEL_CHARS_MAX) {
        match character {
            character if character.is_control() => escaped.push(' '),
            '#' | ';' | ':' | '<' | '>' | '&' | '"' | '%' | '{' | '}' | '[' | ']' | '\\' => {
                write!(escaped, "#{};", u32::from(character)).expect("a string takes everything");
            }
            character => escaped.push(character),
        }
    }
    escaped
}
