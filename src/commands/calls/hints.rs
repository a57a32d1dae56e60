//! Why a search may have found nothing: what looks like a slip in what was asked for. Pure.

use crate::exchange::address::is_address;
use crate::exchange::cause::Cause;
use crate::store::records::query::Filter;

/// A sentence for each slip; none if nothing looks like one.
pub(super) fn why_nothing(filter: &Filter) -> Vec<String> {
    [reason(filter), times(filter), addresses(filter)].into_iter().flatten().collect()
}

/// Parties may give any reason, so one that we do not know is no mistake; but it may be.
fn reason(filter: &Filter) -> Option<String> {
    let reason = filter.reason.as_deref()?;
    let own: Vec<&str> = Cause::of_calls().iter().map(|cause| cause.name()).collect();
    let sentence = format!(
        "nothing has ended with the reason {reason:?}, which is none of the exchange's own; those are {}. Parties and other exchanges \
         may give others: --summary lists the most frequent",
        own.join(", ")
    );
    (!own.contains(&reason)).then_some(sentence)
}

fn times(filter: &Filter) -> Option<String> {
    let is_empty = filter.since_ms? >= filter.until_ms?;
    is_empty.then(|| "nothing can have ended: --since is not before --until".to_owned())
}

fn addresses(filter: &Filter) -> Option<String> {
    let mut given = [&filter.address, &filter.from, &filter.to].into_iter().flatten();
    let wrong = given.find(|text| !is_address(text))?;
    Some(format!("{wrong:?} is no address; one has a name and a domain, as in alice@example.test"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_are_told_and_what_is_right_is_not() {
        let text = |text: &str| Some(text.to_owned());
        let none = Filter::default;
        for (filter, words) in [
            (Filter { reason: text("nope"), ..none() }, "no_such_address, already_in_call"),
            (Filter { since_ms: Some(5), until_ms: Some(5), ..none() }, "--since is not before --until"),
            (Filter { to: text("alice"), ..none() }, "\"alice\" is no address"),
        ] {
            let said = why_nothing(&filter);
            assert!(said.len() == 1 && said[0].contains(words), "{said:?}");
        }
        let right = Filter {
            reason: text("timeout"),
            address: text("alice@x.test"),
            since_ms: Some(1),
            until_ms: Some(2),
            ..none()
        };
        assert!(why_nothing(&right).is_empty() && why_nothing(&none()).is_empty());
    }
}
