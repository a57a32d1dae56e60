//! Variables that the specification names and that this version does not serve yet: TLS, federation, Redis and
//! the console. Whoever sets one that protects the exchange must not get an unprotected exchange, so the start stops;
//! the others have no effect and are warned about. Each later issue removes its lines here and adds its rows to the table
//! of settings. Values are never repeated: they may be tokens or passwords.

use super::error::{ConfigError, Warning};
use super::raw::{Given, RawConfig};

/// Switches TLS on if its value is exactly `true`.
const TLS_ENABLED: &str = "TLS_ENABLED";
/// The other variables of TLS: without `TLS_ENABLED` they mean nothing in the original either, so nobody is warned.
const TLS_DETAILS: [&str; 4] = ["TLS_CERT_PATH", "TLS_KEY_PATH", "TLS_DOMAIN", "TLS_ROOT"];
/// Everything else of later versions.
const HARMLESS_PREFIXES: [&str; 3] = ["FEDERATION_", "SYSTEMX_REDIS_URL", "SYSTEMX_ADMIN"];

/// Names of later versions that a misspelt variable may have meant.
pub(super) const HINTS: [&str; 1] = ["SYSTEMX_REDIS_URL"];

/// Whether a variable belongs to a later version.
pub(super) fn is_later(variable: &str) -> bool {
    variable == TLS_ENABLED
        || TLS_DETAILS.contains(&variable)
        || HARMLESS_PREFIXES.iter().any(|prefix| variable.starts_with(prefix))
}

/// Whether a line that cannot be parsed speaks of such a variable.
pub(super) fn is_mentioned(line: &str) -> bool {
    line.contains("TLS_") || line.contains("FEDERATION_")
}

/// Sorts what was given for later versions into what stops the start and what is only said.
pub(super) fn check(raw: &RawConfig) -> (Vec<ConfigError>, Vec<Warning>) {
    let (mut errors, mut warnings) = (Vec::new(), Vec::new());
    for (variable, given) in raw.later.iter().filter(|(_, given)| !given.value.is_empty()) {
        match judge(variable, given) {
            Verdict::Stop(danger) => {
                let (variable, origin) = (variable.clone(), given.origin.clone());
                errors.push(ConfigError::NotSupported { variable, origin, danger });
            }
            Verdict::Warn(warning) => warnings.push(warning),
            Verdict::Ignore => {}
        }
    }
    (errors, warnings)
}

enum Verdict {
    Stop(&'static str),
    Warn(Warning),
    Ignore,
}

fn judge(variable: &str, given: &Given) -> Verdict {
    if TLS_DETAILS.contains(&variable) {
        return Verdict::Ignore;
    }
    let origin = given.origin.clone();
    match (variable, given.value.as_str()) {
        (TLS_ENABLED, "true") => Verdict::Stop("without encryption"),
        (TLS_ENABLED, "false") => Verdict::Ignore,
        (TLS_ENABLED, value) => Verdict::Warn(Warning::TlsNotEnabled { value: value.to_owned(), origin }),
        _ => Verdict::Warn(Warning::NoEffectYet { variable: variable.to_owned(), origin }),
    }
}
