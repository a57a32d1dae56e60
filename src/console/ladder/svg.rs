//! A ladder as a picture that stands alone: no script, no font, no style sheet from elsewhere.
//!
//! Everything that a client may have sent is escaped; control characters, which XML does not allow, are blanks.

use std::fmt::Write;

use super::picture::{MIDDLE, Picture, Rung, span};

/// Left of the first column, for the times.
const GUTTER: usize = 170;
/// From column to column.
const COLUMN: usize = 260;
/// Above the first rung, for the names.
const HEADER: usize = 60;
/// From rung to rung.
const ROW: usize = 30;
/// Half the width of an arrow's head, and its length.
const HEAD: (usize, usize) = (4, 9);
/// What is shown of a label and of a name, in characters: as many as fit into a column.
const LABEL_CHARS_MAX: usize = 38;

/// The style of every drawing.
pub const SVG_STYLE: &str = "\
svg{background:#fff;font:12px ui-monospace,Menlo,Consolas,monospace}\
.party{font-weight:600;fill:#1a1a1a}.life{stroke:#c4c4c4;stroke-dasharray:3 3}\
.in{stroke:#0b57d0;fill:#0b57d0}.out{stroke:#137333;fill:#137333}\
.label{fill:#1a1a1a;stroke:none}.time{fill:#5f6368}\
@media(prefers-color-scheme:dark){svg{background:#1b1b1d}.party,.label{fill:#e8eaed}.life{stroke:#55575b}\
.in{stroke:#8ab4f8;fill:#8ab4f8}.out{stroke:#81c995;fill:#81c995}.time{fill:#9aa0a6}}";

impl Picture {
    /// The ladder as one SVG document.
    pub fn to_svg(&self) -> String {
        let width = GUTTER + COLUMN * self.parties.len().max(1);
        let height = HEADER + ROW * (self.rungs.len() + 1);
        let mut svg = String::new();
        put(
            &mut svg,
            format_args!(
                r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img">"#
            ),
        );
        put(
            &mut svg,
            format_args!("<title>Ladder of {}</title><style>{SVG_STYLE}</style>", escape(&self.subject)),
        );
        for (at, party) in self.parties.iter().enumerate() {
            let x = middle_of(at);
            let party = shown(party);
            put(
                &mut svg,
                format_args!(r#"<text class="party" x="{x}" y="30" text-anchor="middle">{party}</text>"#),
            );
            put(&mut svg, format_args!(r#"<line class="life" x1="{x}" y1="42" x2="{x}" y2="{height}"/>"#));
        }
        for (row, rung) in self.rungs.iter().enumerate() {
            push_rung(&mut svg, HEADER + ROW * row, rung);
        }
        svg.push_str("</svg>\n");
        svg
    }
}

fn middle_of(column: usize) -> usize {
    GUTTER + COLUMN * column + COLUMN / 2
}

fn push_rung(svg: &mut String, y: usize, rung: &Rung) {
    const TEXT_ABOVE: usize = 5;
    let (start, end) = (middle_of(rung.from), middle_of(rung.to));
    let class = if rung.to == MIDDLE { "in" } else { "out" };
    let tail = if start < end { end - HEAD.1 } else { end + HEAD.1 };
    let (upper, lower) = (y - HEAD.0, y + HEAD.0);
    let (since, after) = (span(rung.since_first_us), span(rung.since_last_us));
    put(svg, format_args!(r#"<text class="time" x="8" y="{lower}">{since} (+{after})</text>"#));
    put(svg, format_args!(r#"<g class="{class}"><line x1="{start}" y1="{y}" x2="{tail}" y2="{y}"/>"#));
    put(svg, format_args!(r#"<path d="M{end} {y}L{tail} {upper}L{tail} {lower}Z"/>"#));
    let (x, text_y, full) = ((start + end) / 2, y - TEXT_ABOVE, rung.label());
    let (title, label) = (escape(&full), shown(&full));
    put(
        svg,
        format_args!(
            r#"<text class="label" x="{x}" y="{text_y}" text-anchor="middle">{label}<title>{title}</title></text></g>"#
        ),
    );
}

fn put(svg: &mut String, arguments: std::fmt::Arguments<'_>) {
    writeln!(svg, "{arguments}").expect("a string takes everything");
}

/// As much of a text as fits.
fn shown(text: &str) -> String {
    if text.chars().count() <= LABEL_CHARS_MAX {
        return escape(text);
    }
    let cut: String = text.chars().take(LABEL_CHARS_MAX - 1).collect();
    escape(&cut) + "…"
}

fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '&' => escaped.push_str("&amp;"),
            '"' => escaped.push_str("&quot;"),
            '\u{fffe}' | '\u{ffff}' => escaped.push(' '),
            character if character.is_control() => escaped.push(' '),
            character => escaped.push(character),
        }
    }
    escaped
}
