//! The rules of runs in which not everybody may call everybody: as a rulebook for the exchange, and once more as a
//! few comparisons for the model, which shares no code with the core.

use std::sync::Arc;

use crate::identity::{KeySet, Rulebook, parse_file};

/// Nobody at b.test may call Bob, and Ann nobody at c.test; the last rule allows what the first ones have not denied.
const FILE: &str = r#"{"dial":[
    {"from":"*@b.test","to":"bob@a.test","allow":false},
    {"from":"ann@*","to":"*@c.test","allow":false},
    {"from":"*","to":"*@*.test","allow":true}]}"#;

/// The rules for the exchange.
pub(super) fn rulebook() -> Arc<Rulebook> {
    let (rules, _) = parse_file(FILE).expect("the rules are right");
    Arc::new(Rulebook::new(rules, KeySet::default(), 0))
}

/// The same for the model.
pub(super) fn is_denied(from: &str, to: &str) -> bool {
    let (from, to) = (from.to_lowercase(), to.to_lowercase());
    let to_bob = from.ends_with("@b.test") && to == "bob@a.test";
    to_bob || (from.starts_with("ann@") && to.ends_with("@c.test"))
}
