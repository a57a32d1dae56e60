//! What is odd about who may come in: origins of web pages and trusted proxies, seen together with other settings.
//!
//! Nothing here stops the start: entries that cannot be read are the reader's affair.

use super::error::Warning;
use super::raw::RawConfig;
use super::{Config, settings};

/// Either of these switches authentication on (spec 23).
const AUTH_VARIABLES: [&str; 2] = ["SYSTEMX_AUTH_FILE", "SYSTEMX_AUTH_TOKENS"];

/// What is worth a word.
pub(super) fn warnings(raw: &RawConfig, config: &Config) -> impl Iterator<Item = Warning> {
    let proxies = &config.trusted_proxies;
    let of_nobody = (config.proxy_protocol && proxies.is_empty()).then_some(Warning::ProxyHeadersOfNobody);
    let of_all = proxies.has_everybody().then_some(Warning::TrustsEverybody);
    [warns_when_open(raw), of_nobody, of_all].into_iter().flatten()
}

/// Any page may connect with what a browser holds, and nobody has said that any should. An operator who has written `*`
/// knows.
fn warns_when_open(raw: &RawConfig) -> Option<Warning> {
    let is_open = raw.given(&settings::ALLOWED_ORIGINS).is_none();
    let has_authentication = AUTH_VARIABLES.iter().any(|variable| raw.has_said(variable));
    (is_open && has_authentication).then_some(Warning::OpenToAnyPage)
}

#[cfg(test)]
mod tests {
    use super::super::RawFlags;
    use super::*;

    fn warns(env: &[(&str, &str)]) -> Option<Warning> {
        let env = env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        warns_when_open(&RawConfig::gather(RawFlags::default(), env, None, None))
    }

    #[test]
    fn authentication_without_a_list_of_origins_is_warned_about() {
        assert_eq!(warns(&[]), None);
        for variable in AUTH_VARIABLES {
            assert_eq!(warns(&[(variable, "/some")]), Some(Warning::OpenToAnyPage), "{variable}");
            assert_eq!(warns(&[(variable, "")]), None);
            for said in ["*", "https://app.corp.test"] {
                assert_eq!(warns(&[(variable, "/some"), ("SYSTEMX_ALLOWED_ORIGINS", said)]), None);
            }
        }
    }
}
