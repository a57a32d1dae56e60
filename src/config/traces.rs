//! The settings of traces: where calls are sent to as spans, and which of them. The names are OpenTelemetry's own.
//!
//! They are the same in every build, so that `check-config` and the documents are; one that cannot send traces refuses the endpoint.
//! Operators set these variables for all programs of a machine: without an endpoint nothing else is looked at, and what cannot be done
//! stops the start only if it was said to this program, by a flag or its own file; otherwise no traces are sent. Headers are secrets.

use super::Secret;
use super::error::{ConfigError, Origin, Warning};
use super::reader::Reader;
use super::records::{is_in_the_clear, receiver, shown_receiver};
use super::settings::{self, Setting};
use crate::store::traces::{Ratio, Sampling};

/// The cargo feature that it takes to send traces.
const FEATURE: &str = "otlp";
/// Where collectors take traces.
const PATH: [&str; 2] = ["v1", "traces"];

/// Traces are wanted if one of these is set.
const ENDPOINTS: [&Setting; 2] =
    [&settings::OTEL_EXPORTER_OTLP_ENDPOINT, &settings::OTEL_EXPORTER_OTLP_TRACES_ENDPOINT];

/// Where calls are sent to as traces, and which.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TraceSettings {
    /// An http or https URL with its whole path.
    pub url: Secret,
    /// Names and values of the headers that go along.
    pub headers: Vec<(Box<str>, Secret)>,
    /// What this program is called.
    pub service: Box<str>,
    /// Which calls are sent.
    pub sampling: Sampling,
    /// How long the collector may take for a batch.
    pub timeout_ms: u64,
}

pub(super) fn read(reader: &mut Reader<'_>) -> Option<TraceSettings> {
    read_as(cfg!(feature = "otlp"), reader)
}

/// The settings of a program that can send traces, or cannot. What is wrong with those that were said to all programs is a warning.
fn read_as(is_built_in: bool, reader: &mut Reader<'_>) -> Option<TraceSettings> {
    let errors_before = reader.errors.len();
    let traces = read_strictly(is_built_in, reader);
    let errors = reader.errors.split_off(errors_before);
    let is_sound = errors.is_empty();
    for error in errors {
        match for_all_programs(error) {
            Ok(warning) => reader.warnings.push(warning),
            Err(error) => reader.errors.push(error),
        }
    }
    traces.filter(|_| is_sound)
}

/// The warning that stands for an error, if the value was said to all programs of the machine; otherwise the error again.
fn for_all_programs(error: ConfigError) -> Result<Warning, ConfigError> {
    // A `.env` file may belong to several programs too.
    let is_for_all = |origin: &Origin| matches!(origin, Origin::Environment | Origin::DotEnv { .. });
    match error {
        ConfigError::Value { setting, value, origin } if is_for_all(&origin) => {
            Ok(Warning::NoTraces { setting, value, origin, feature: None })
        }
        ConfigError::NotBuiltIn { setting, value, origin, feature } if is_for_all(&origin) => {
            Ok(Warning::NoTraces { setting, value, origin, feature: Some(feature) })
        }
        other => Err(other),
    }
}

fn read_strictly(is_built_in: bool, reader: &mut Reader<'_>) -> Option<TraceSettings> {
    if !reader.has_said(&ENDPOINTS) || is_switched_off(reader) {
        return None;
    }
    let (setting, url) = endpoint(reader)?;
    if !is_built_in {
        let value = shown_receiver(url.reveal()).unwrap_or_default();
        reader.refuse(|origin| ConfigError::NotBuiltIn { setting, value, origin, feature: FEATURE }, setting);
        return None;
    }
    let headers = reader.secret(&settings::OTEL_EXPORTER_OTLP_HEADERS, |text| headers(text).is_some());
    if headers.is_some() && is_in_the_clear(url.reveal()) {
        reader.warnings.push(Warning::TraceHeadersInTheClear);
    }
    // There is one way to send; what matters is that no other is asked for.
    reader.word(&settings::OTEL_EXPORTER_OTLP_PROTOCOL);
    Some(TraceSettings {
        url,
        headers: headers.and_then(|text| self::headers(text.reveal())).unwrap_or_default(),
        service: reader.text(&settings::OTEL_SERVICE_NAME),
        sampling: sampling(reader),
        timeout_ms: reader.amount(&settings::OTEL_EXPORTER_OTLP_TIMEOUT),
    })
}

/// Whether somebody wants no traces, endpoint or not.
fn is_switched_off(reader: &mut Reader<'_>) -> bool {
    reader.word(&settings::OTEL_SDK_DISABLED).as_deref() == Some("true")
        || reader.word(&settings::OTEL_TRACES_EXPORTER).as_deref() == Some("none")
}

/// Where traces go, and which setting says so.
fn endpoint(reader: &mut Reader<'_>) -> Option<(&'static Setting, Secret)> {
    let base = reader.secret(&settings::OTEL_EXPORTER_OTLP_ENDPOINT, |text| receiver(text).is_some());
    let own = reader.secret(&settings::OTEL_EXPORTER_OTLP_TRACES_ENDPOINT, |text| receiver(text).is_some());
    if let Some(url) = own {
        return Some((&settings::OTEL_EXPORTER_OTLP_TRACES_ENDPOINT, url));
    }
    let mut url = receiver(base?.reveal())?;
    url.path_segments_mut().ok()?.pop_if_empty().extend(PATH);
    Some((&settings::OTEL_EXPORTER_OTLP_ENDPOINT, Secret::new(String::from(url))))
}

fn sampling(reader: &mut Reader<'_>) -> Sampling {
    let sampler = reader.word(&settings::OTEL_TRACES_SAMPLER).unwrap_or_default();
    let (heeds_parent, own) = match sampler.strip_prefix("parentbased_") {
        Some(own) => (true, own),
        None => (false, &*sampler),
    };
    let ratio = match own {
        "always_on" => Ratio::ALL,
        "always_off" => Ratio::NONE,
        _ => reader.ratio(&settings::OTEL_TRACES_SAMPLER_ARG),
    };
    Sampling { heeds_parent, ratio }
}

/// `name=value`, separated by commas; values are percent-encoded, as in W3C baggage. `None` if one is no header.
fn headers(text: &str) -> Option<Vec<(Box<str>, Secret)>> {
    let pairs = text.split(',').map(str::trim).filter(|pair| !pair.is_empty());
    let header = |pair: &str| {
        let (name, value) = pair.split_once('=')?;
        let (name, value) = (name.trim(), decoded(value.trim())?);
        let is_name = !name.is_empty() && name.bytes().all(is_of_name);
        let is_value = value.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic());
        (is_name && is_value).then(|| (name.to_ascii_lowercase().into(), Secret::new(value)))
    };
    pairs.map(header).collect()
}

/// What the name of a header is made of (RFC 9110, tokens).
fn is_of_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes().iter();
    while let Some(&byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let mut digit = || char::from(*rest.next()?).to_digit(16);
        bytes.push((digit()? << 4 | digit()?) as u8);
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::{Config, RawConfig, RawFlags};
    use super::*;

    fn load(env: &[(&str, &str)]) -> Result<(Config, Vec<Warning>), Vec<ConfigError>> {
        let env = env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        Config::load(RawFlags::default(), env, None, None)
    }

    /// Why these, said to all programs, give no traces.
    fn warned(env: &[(&str, &str)]) -> String {
        let (config, warnings) = load(env).expect("it is no reason not to start");
        assert_eq!(config.traces, None);
        let warnings = warnings.iter().filter(|warning| matches!(warning, Warning::NoTraces { .. }));
        warnings.map(ToString::to_string).collect::<Vec<_>>().join("\n")
    }

    /// Why these, said in the file of this program, stop the start.
    fn refused(settings: &[(&str, &str)]) -> String {
        let line = |(name, value): &(&str, &str)| format!("{} = {value:?}\n", name.to_ascii_lowercase());
        let text: String = settings.iter().map(line).collect();
        let file = Some((Path::new("own.toml"), &*text));
        let errors = Config::load(RawFlags::default(), std::iter::empty(), None, file);
        let errors = errors.expect_err("something is wrong");
        errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn without_an_endpoint_there_are_no_traces_whatever_else_is_set() {
        let others = [
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
            ("OTEL_TRACES_SAMPLER", "jaeger_remote"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "nonsense"),
            ("OTEL_TRACES_EXPORTER", "zipkin"),
            ("OTEL_SDK_DISABLED", "perhaps"),
        ];
        assert_eq!(warned(&others), "", "they are for other programs");
    }

    #[test]
    fn who_wants_no_traces_has_none_in_every_build_whatever_else_is_set() {
        let others = [
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:4317"),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
        ];
        for off in
            [("OTEL_TRACES_EXPORTER", "none"), ("OTEL_SDK_DISABLED", "true"), ("OTEL_SDK_DISABLED", "TRUE")]
        {
            assert_eq!(warned(&[&others[..], &[off]].concat()), "", "{off:?}");
        }
        assert_ne!(warned(&[&others[..], &[("OTEL_SDK_DISABLED", "false")]].concat()), "");
    }

    #[test]
    fn an_endpoint_that_is_none_is_refused_in_every_build_and_not_repeated() {
        for url in ["collector.secret:4317", "grpc://secret/", "http://secret@x.test/", "/secret"] {
            let settings = [("OTEL_EXPORTER_OTLP_ENDPOINT", url)];
            for (said, origin) in
                [(warned(&settings), "(environment)"), (refused(&settings), "(file own.toml)")]
            {
                assert!(said.contains("OTEL_EXPORTER_OTLP_ENDPOINT") && said.contains(origin), "{said}");
                assert!(said.contains("must be a URL") && !said.contains("secret"), "{said}");
            }
        }
    }

    /// What a build without traces makes of this: errors and warnings.
    fn without(flags: RawFlags, env: &[(&str, &str)], dotenv: Option<&str>) -> (Vec<String>, Vec<String>) {
        let env = env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let raw = RawConfig::gather(flags, env, dotenv, None);
        let mut reader = Reader::new(&raw);
        assert_eq!(read_as(false, &mut reader), None);
        let errors = reader.errors.iter().map(ToString::to_string).collect();
        (errors, reader.warnings.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn a_build_without_traces_refuses_an_endpoint_of_its_own_and_says_what_to_do() {
        for setting in ENDPOINTS {
            let value = "http://collector.test:4318/s3cret".to_owned();
            let flags = RawFlags { values: [(setting.name, value)].into(), config_file: None };
            let (errors, warnings) = without(flags, &[], None);
            let expected = "\"http://collector.test:4318/...\" (flag) is not allowed; this systemx was built without the \
                            feature otlp: build it with --features otlp, or unset the variable";
            assert_eq!((errors, warnings), (vec![format!("{}: {expected}", setting.env)], vec![]));
        }
    }

    #[test]
    fn a_build_without_traces_goes_on_without_them_if_the_endpoint_is_for_all_programs() {
        let expected = |origin: &str| {
            let why = "this systemx was built without the feature otlp; build it with --features otlp, or set \
                       OTEL_TRACES_EXPORTER=none if none are wanted";
            format!(
                "no traces are sent, for OTEL_EXPORTER_OTLP_ENDPOINT is \"http://c.test:4317/...\" ({origin}): {why}"
            )
        };
        let env = [
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c.test:4317/s3cret"),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
        ];
        assert_eq!(without(RawFlags::default(), &env, None), (vec![], vec![expected("environment")]));
        let dotenv = "OTEL_EXPORTER_OTLP_ENDPOINT=http://c.test:4317/s3cret";
        assert_eq!(without(RawFlags::default(), &[], Some(dotenv)), (vec![], vec![expected(".env line 1")]));
        let off = [&env[..], &[("OTEL_TRACES_EXPORTER", "none")]].concat();
        assert_eq!(without(RawFlags::default(), &off, None), (vec![], vec![]));
    }

    #[cfg(feature = "otlp")]
    mod with_traces {
        use super::*;

        const HERE: (&str, &str) = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:4318");

        fn traces(env: &[(&str, &str)]) -> TraceSettings {
            load(env).expect("nothing is wrong").0.traces.expect("traces are on")
        }

        #[test]
        fn the_defaults_are_those_of_open_telemetry() {
            let TraceSettings { url, headers, service, sampling, timeout_ms } = traces(&[HERE]);
            assert_eq!((url.reveal(), headers.len()), ("http://127.0.0.1:4318/v1/traces", 0));
            assert_eq!((&*service, timeout_ms), ("systemx", 10_000));
            assert_eq!(sampling, Sampling { heeds_parent: true, ratio: Ratio::ALL });
        }

        #[test]
        fn the_path_goes_below_the_endpoint_unless_it_is_that_of_traces() {
            for (endpoint, expected) in [
                ("http://c.test:4318/", "http://c.test:4318/v1/traces"),
                ("https://c.test/otlp", "https://c.test/otlp/v1/traces"),
                ("https://c.test/otlp/", "https://c.test/otlp/v1/traces"),
                ("https://c.test/otlp?key=1", "https://c.test/otlp/v1/traces?key=1"),
            ] {
                assert_eq!(traces(&[("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint)]).url.reveal(), expected);
            }
            let own = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "https://c.test/api/otlp");
            assert_eq!(traces(&[HERE, own]).url.reveal(), "https://c.test/api/otlp");
        }

        #[test]
        fn headers_are_pairs_with_encoded_values() {
            let text = " api-key=s%3D1%2C2 ,, Authorization=Bearer%20x=,empty=";
            let headers = traces(&[HERE, ("OTEL_EXPORTER_OTLP_HEADERS", text)]).headers;
            let headers: Vec<_> = headers.iter().map(|(name, value)| (&**name, value.reveal())).collect();
            assert_eq!(headers, [("api-key", "s=1,2"), ("authorization", "Bearer x="), ("empty", "")]);
            for wrong in [
                "s3cret",
                "=s3cret",
                "a b=s3cret",
                "a=s3cret%",
                "a=s3cret%0d%0a",
                "a=s3cret%ff",
                "a=%+1s3cret",
            ] {
                let said = warned(&[HERE, ("OTEL_EXPORTER_OTLP_HEADERS", wrong)]);
                assert!(said.contains("OTEL_EXPORTER_OTLP_HEADERS") && !said.contains("s3cret"), "{said}");
            }
        }

        #[test]
        fn headers_that_others_can_read_on_the_way_are_warned_about() {
            let warned = |url: &str| {
                let env = [("OTEL_EXPORTER_OTLP_ENDPOINT", url), ("OTEL_EXPORTER_OTLP_HEADERS", "a=b")];
                load(&env).expect("it is allowed").1.contains(&Warning::TraceHeadersInTheClear)
            };
            assert!(
                warned("http://c.test:4318") && !warned("https://c.test") && !warned("http://127.0.0.1:4318")
            );
        }

        #[test]
        fn each_sampler_is_what_its_name_says() {
            let share = ("OTEL_TRACES_SAMPLER_ARG", "0.25");
            let quarter = Ratio::new(0.25).expect("a share");
            for (name, heeds_parent, ratio) in [
                ("parentbased_traceidratio", true, quarter),
                ("parentbased_always_on", true, Ratio::ALL),
                ("parentbased_always_off", true, Ratio::NONE),
                ("traceidratio", false, quarter),
                ("always_on", false, Ratio::ALL),
                ("ALWAYS_OFF", false, Ratio::NONE),
            ] {
                let sampling = traces(&[HERE, share, ("OTEL_TRACES_SAMPLER", name)]).sampling;
                assert_eq!(sampling, Sampling { heeds_parent, ratio }, "{name}");
            }
        }

        #[test]
        fn what_cannot_be_done_stops_the_start_if_it_was_said_to_this_program_and_the_traces_otherwise() {
            for (name, value, allowed) in [
                ("OTEL_TRACES_SAMPLER_ARG", "1.5", "a number from 0 to 1"),
                ("OTEL_TRACES_SAMPLER_ARG", "many", "a number from 0 to 1"),
                ("OTEL_TRACES_SAMPLER", "jaeger_remote", "one of parentbased_traceidratio"),
                ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc", "one of http/protobuf"),
                ("OTEL_EXPORTER_OTLP_TIMEOUT", "0", "a whole number from 1"),
                ("OTEL_TRACES_EXPORTER", "zipkin", "one of otlp, none"),
                ("OTEL_SDK_DISABLED", "1", "one of true, false"),
            ] {
                for said in [warned(&[HERE, (name, value)]), refused(&[HERE, (name, value)])] {
                    assert!(said.contains(name) && said.contains(allowed) && said.contains(value), "{said}");
                }
            }
        }
    }
}
