//! Pieces of HTML: escaped text, tables.
//!
//! Invariant: text of others (names, parameters, faults, notes) enters a page through [`escape`] only.

/// Text as it may stand between tags and in quoted attributes.
pub fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => escaped += "&amp;",
            '<' => escaped += "&lt;",
            '>' => escaped += "&gt;",
            '"' => escaped += "&quot;",
            '\'' => escaped += "&#39;",
            // Not allowed in a document, escaped or not.
            letter if letter.is_control() && letter != '\n' && letter != '\t' => escaped.push('\u{fffd}'),
            letter => escaped.push(letter),
        }
    }
    escaped
}

/// A table: the first column names the row, the others hold numbers or text.
pub struct Table<'a> {
    /// What it is about, for those who cannot see it.
    pub caption: &'a str,
    /// One heading for each column.
    pub head: &'a [&'a str],
    /// Whether the columns after the first are numbers, set to the right.
    pub numbers: bool,
    /// Cells as text, not escaped.
    pub rows: Vec<Vec<String>>,
}

impl Table<'_> {
    /// The table, in a box that scrolls when the screen is narrower.
    pub fn html(&self) -> String {
        let kind = if self.numbers { "numbers" } else { "words" };
        let caption = escape(self.caption);
        let mut html = format!(
            r#"<div class="scroll" role="region" aria-label="{caption}" tabindex="0"><table class="{kind}"><caption>{caption}</caption><thead><tr>"#
        );
        for heading in self.head {
            html += &format!(r#"<th scope="col">{}</th>"#, escape(heading));
        }
        html += "</tr></thead><tbody>";
        for row in &self.rows {
            html += "<tr>";
            for (index, cell) in row.iter().enumerate() {
                html += &match index {
                    0 => format!(r#"<th scope="row">{}</th>"#, escape(cell)),
                    _ => format!("<td>{}</td>", escape(cell)),
                };
            }
            html += "</tr>";
        }
        html + "</tbody></table></div>"
    }
}

/// A part of the page with its heading.
pub fn section(id: &str, heading: &str, body: &str) -> String {
    let heading = escape(heading);
    format!(r#"<section aria-labelledby="{id}"><h2 id="{id}">{heading}</h2>{body}</section>"#)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_leaves_its_place() {
        let text = escape("<script>\"a\" & 'b'\u{0}</script>");
        assert_eq!(text, "&lt;script&gt;&quot;a&quot; &amp; &#39;b&#39;\u{fffd}&lt;/script&gt;");
    }

    #[test]
    fn cells_of_a_table_are_escaped_and_its_headings_have_a_scope() {
        let rows = vec![vec!["<b>".to_owned(), "1 & 2".to_owned()]];
        let html = Table { caption: "c", head: &["a", "b"], numbers: true, rows }.html();
        assert!(html.contains(r#"<th scope="row">&lt;b&gt;</th><td>1 &amp; 2</td>"#), "{html}");
        assert_eq!(html.matches(r#"<th scope="col">"#).count(), 2);
    }
}
