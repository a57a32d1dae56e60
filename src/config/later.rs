//! Variables that the specification names and that this version does not serve yet: Redis. They have no effect and are warned about. Each later issue removes its lines here and adds its rows to the table
//! of settings. Values are never repeated: they may be tokens or passwords.

use super::error::Warning;
use super::raw::{Given, RawConfig};

/// Variables of the original's compose file, which the exchange itself never reads: nobody is warned.
const COMPOSE_ONLY: [&str; 2] = ["TLS_DOMAIN", "TLS_ROOT"];
/// Everything else of later versions.
const HARMLESS_PREFIXES: [&str; 1] = ["SYSTEMX_REDIS_URL"];

/// Names of later versions that a misspelt variable may have meant.
pub(super) const HINTS: [&str; 1] = ["SYSTEMX_REDIS_URL"];

/// Whether a variable belongs to a later version.
pub(super) fn is_later(variable: &str) -> bool {
    COMPOSE_ONLY.contains(&variable) || HARMLESS_PREFIXES.iter().any(|prefix| variable.starts_with(prefix))
}

/// Whether a line that cannot be parsed speaks of such a variable.
pub(super) fn is_mentioned(line: &str) -> bool {
    line.contains("TLS_") || line.contains("FEDERATION_")
}

/// Sorts what was given for later versions into what stops the start and what is only said.
pub(super) fn check(raw: &RawConfig) -> Vec<Warning> {
    let mut warnings = Vec::new();
    for (variable, given) in raw.later.iter().filter(|(_, given)| !given.value.is_empty()) {
        match judge(variable, given) {
            Verdict::Warn(warning) => warnings.push(warning),
            Verdict::Ignore => {}
        }
    }
    warnings
}

enum Verdict {
    Warn(Warning),
    Ignore,
}

fn judge(variable: &str, given: &Given) -> Verdict {
    if COMPOSE_ONLY.contains(&variable) {
        return Verdict::Ignore;
    }
    let origin = given.origin.clone();
    Verdict::Warn(Warning::NoEffectYet { variable: variable.to_owned(), origin })
}
