//! The query of a request: names and values, each said once, by names that the path knows, and encoded as it should be.
//!
//! What is wrong is told and never guessed: a filter that was misspelt, or said twice, would show what nobody asked for.

use super::reply::Answer;

/// What a query says, in its order. What is said to be empty is not said.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Parameters(Vec<(String, String)>);

impl Parameters {
    /// Reads a query that may say these names.
    ///
    /// # Errors
    /// With what is wrong, if it says another name, one of them twice, or what cannot be decoded.
    pub(super) fn of(query: &str, allowed: &[&str]) -> Result<Self, Answer> {
        let mut pairs: Vec<(String, String)> = Vec::new();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let (Some(name), Some(value)) = (field(name), field(value)) else {
                return Err(Answer::bad_request(&format!("{pair:?} is not percent-encoded as it should be")));
            };
            if !allowed.contains(&&*name) {
                return Err(unknown(&name, allowed));
            }
            if pairs.iter().any(|(known, _)| *known == name) {
                return Err(Answer::bad_request(&format!("the parameter {name:?} is given twice")));
            }
            pairs.push((name, value));
        }
        pairs.retain(|(_, value)| !value.is_empty());
        Ok(Self(pairs))
    }

    /// The value of a name, if it is said.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The same as what it means; `why` says what it has to be.
    ///
    /// # Errors
    /// If it means nothing.
    pub(super) fn read<T>(
        &self,
        name: &str,
        why: &str,
        meaning: impl FnOnce(&str) -> Option<T>,
    ) -> Result<Option<T>, Answer> {
        let Some(value) = self.get(name) else { return Ok(None) };
        meaning(value).map(Some).ok_or_else(|| Answer::bad_request(why))
    }
}

fn unknown(name: &str, allowed: &[&str]) -> Answer {
    let known = if allowed.is_empty() { "none here".to_owned() } else { allowed.join(", ") };
    Answer::bad_request(&format!("unknown parameter {name:?}; there are {known}"))
}

/// A name or a value of a query, in which a plus sign is a space.
fn field(text: &str) -> Option<String> {
    decoded(&text.replace('+', " "))
}

/// A text without its percent signs; `None` if they are not followed by two digits, or mean no text.
pub(super) fn decoded(part: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(part.len());
    let mut rest = part.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let mut digit = || char::from(rest.next()?).to_digit(16);
        let (high, low) = (digit()?, digit()?);
        bytes.push((high * 16 + low) as u8);
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_values_are_decoded_and_what_is_empty_is_not_said() {
        let said = Parameters::of("prefix=a%2Bb+c%C3%A9&domain=&&limit", &["prefix", "domain", "limit"]);
        let said = said.expect("all of it makes sense");
        assert_eq!(said.get("prefix"), Some("a+b cé"));
        assert_eq!((said.get("domain"), said.get("limit"), said.get("other")), (None, None, None));
    }

    #[test]
    fn what_makes_no_sense_is_told_and_not_guessed() {
        for (query, words) in [
            ("colour=red", r#"unknown parameter \"colour\"; there are limit, cursor"#),
            ("limit=1&limit=2", r#"the parameter \"limit\" is given twice"#),
            ("limit=&limit=", r#"the parameter \"limit\" is given twice"#),
            ("limit=%zz", "not percent-encoded"),
            ("limit=%4", "not percent-encoded"),
            ("%ff=1", "not percent-encoded"),
        ] {
            let refused = Parameters::of(query, &["limit", "cursor"]).expect_err(query);
            assert_eq!(refused.status(), hyper::StatusCode::BAD_REQUEST, "{query}");
            assert!(refused.body().contains(words), "{query}: {}", refused.body());
        }
        let refused = Parameters::of("x=1", &[]).expect_err("nothing may be said");
        assert!(refused.body().contains("there are none here"), "{}", refused.body());
    }
}
