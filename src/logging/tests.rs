//! Events in, lines out: the forms, the levels, the streams, the spans and the feed, through the real layer.

use std::cell::Cell;
use std::fmt;
use std::time::Duration;

use tracing::{debug, error, info, info_span, trace, warn};

use super::testing::Captured;
use super::*;

const LIMIT: Duration = Duration::from_secs(10);
/// 2026-11-21T01:44:12.345Z
const NOW_MS: u64 = 1_795_225_452_345;

/// What a scenario wrote.
struct Log {
    out: String,
    err: String,
    feed: Vec<String>,
}

fn log_of(level: LogLevel, format: LogFormat, scenario: impl FnOnce()) -> Log {
    let (out, err) = (Captured::default(), Captured::default());
    let sinks = Sinks { out: Box::new(out.clone()), err: Box::new(err.clone()) };
    let settings = LogSettings { level, format, stream: true, clock_unix_ms: || NOW_MS };
    let desk = Arc::new(LogDesk::new(level));
    let (subscriber, logging) = build(settings, sinks, &desk).expect("a thread can be started");
    tracing::subscriber::with_default(subscriber, scenario);
    assert!(logging.guard.flush(LIMIT));
    let mut feed = logging.feed.expect("the stream is on");
    let feed = feed.drain().lines.iter().map(|line| line.to_string()).collect();
    Log { out: out.text(), err: err.text(), feed }
}

#[test]
fn text_lines_have_the_form_of_the_specification_on_their_streams() {
    let log = log_of(LogLevel::Debug, LogFormat::Text, || {
        debug!(bytes = 12, kind = "MSG", "message");
        info!(line = 7_u64, address = %"a@b.c", ok = true, ratio = 0.5, cause = ?Some(1), "line registered");
        warn!("nobody home");
        error!(delta = -1, "broken");
    });
    assert_eq!(
        log.out,
        "[DEBUG] message {\"bytes\":12,\"kind\":\"MSG\"}\n\
         [INFO] line registered {\"line\":7,\"address\":\"a@b.c\",\"ok\":true,\"ratio\":0.5,\"cause\":\"Some(1)\"}\n"
    );
    assert_eq!(log.err, "[WARN] nobody home\n[ERROR] broken {\"delta\":-1}\n");
}

#[test]
fn json_lines_are_objects_with_time_level_message_and_fields() {
    let log = log_of(LogLevel::Info, LogFormat::Json, || {
        info!(address = "\"\n\u{1b}", level = 3, ratio = f64::NAN, "odd \"one\"");
    });
    let line: serde_json::Value = serde_json::from_str(&log.out).expect("a line is JSON");
    let expected = serde_json::json!({
        "ts": "2026-11-21T01:44:12.345Z", "level": "info", "message": "odd \"one\"",
        "address": "\"\n\u{1b}", "field_level": 3, "ratio": null
    });
    assert_eq!(line, expected);
    assert_eq!(log.out.matches('\n').count(), 1);
}

/// Counts how often it is formatted.
struct Counting<'a>(&'a Cell<u32>);

impl fmt::Display for Counting<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.set(self.0.get() + 1);
        f.write_str("counted")
    }
}

#[test]
fn nothing_below_the_level_is_rendered_written_or_fed() {
    let formatted = Cell::new(0);
    let log = log_of(LogLevel::Warn, LogFormat::Text, || {
        trace!(value = %Counting(&formatted), "trace");
        debug!(value = %Counting(&formatted), "debug");
        info!(value = %Counting(&formatted), "info");
    });
    assert_eq!((formatted.get(), log.out, log.err, log.feed.len()), (0, String::new(), String::new(), 0));
}

#[test]
fn libraries_are_heard_from_warn_on() {
    let log = log_of(LogLevel::Debug, LogFormat::Text, || {
        info!(target: "hyper::client", "chatter");
        info!(target: "systemxyz", "no relation");
        warn!(target: "hyper::client", "trouble");
    });
    assert_eq!((log.out.as_str(), log.err.as_str()), ("", "[WARN] trouble\n"));
    let quiet = log_of(LogLevel::Error, LogFormat::Text, || warn!(target: "hyper::client", "trouble"));
    assert_eq!(quiet.err, "");
}

#[test]
fn fields_of_the_spans_around_an_event_come_first() {
    let log = log_of(LogLevel::Info, LogFormat::Text, || {
        let _shard = info_span!("shard", shard = 3).entered();
        let _bare = info_span!("bare").entered();
        info!(line = 1, "line opened");
        info!("idle");
    });
    assert_eq!(log.out, "[INFO] line opened {\"shard\":3,\"line\":1}\n[INFO] idle {\"shard\":3}\n");
}

#[test]
fn the_feed_gets_coloured_lines_of_the_configured_level() {
    let log = log_of(LogLevel::Info, LogFormat::Json, || {
        debug!("unseen");
        info!(line = 1, "line opened");
    });
    let expected = "\x1b[36m[INFO]\x1b[0m \x1b[2m2026-11-21T01:44:12.345Z\x1b[0m line opened {\"line\":1}\n";
    assert_eq!(log.feed, [expected]);
}

#[test]
fn events_caused_by_the_stream_are_written_and_not_fed() {
    let log = log_of(LogLevel::Debug, LogFormat::Text, || {
        debug!(target: LOG_STREAM_TARGET, "replayed");
        debug!(internal = true, bytes = 5, "message sent");
        let guard = unfed();
        debug!("guarded");
        drop(guard);
        debug!(internal = false, "ordinary");
    });
    assert_eq!(
        log.out,
        "[DEBUG] replayed\n[DEBUG] message sent {\"bytes\":5}\n[DEBUG] guarded\n[DEBUG] ordinary\n"
    );
    assert_eq!(log.feed.len(), 1);
    assert!(log.feed.iter().all(|line| line.contains("ordinary")));
}

#[test]
fn a_peer_cannot_break_out_of_its_line_or_make_it_long() {
    let long = "x".repeat(100_000);
    let log = log_of(LogLevel::Info, LogFormat::Text, || {
        info!(address = "a\n[ERROR] forged", text = %long, payload = %Private::new("s3cret"), "line refused");
        let name = "b\n[ERROR] forged";
        info!("hello {name}");
    });
    assert_eq!(log.out.lines().count(), 2);
    assert!(log.out.len() < 2_000);
    assert!(!log.out.contains("s3cret"));
    assert!(log.out.contains("<private, 6 bytes>"));
}

#[test]
fn what_the_operator_does_is_told_at_any_level_and_not_streamed() {
    let log = log_of(LogLevel::Error, LogFormat::Text, || {
        info!(target: AUDIT_TARGET, who = "127.0.0.1:9", "call hung up");
        info!("nothing");
    });
    assert_eq!(log.out, "[INFO] call hung up {\"who\":\"127.0.0.1:9\"}\n");
    assert!(log.feed.is_empty());
}

#[test]
fn the_level_can_be_changed_while_it_runs_and_warnings_are_kept() {
    let (out, err) = (Captured::default(), Captured::default());
    let sinks = Sinks { out: Box::new(out.clone()), err: Box::new(err.clone()) };
    let settings = LogSettings {
        level: LogLevel::Warn,
        format: LogFormat::Text,
        stream: false,
        clock_unix_ms: || NOW_MS,
    };
    let desk = Arc::new(LogDesk::new(settings.level));
    let (subscriber, logging) = build(settings, sinks, &desk).expect("a thread can be started");
    let say = |text: &str| {
        debug!(text, "said");
        warn!(text, "warned");
    };
    tracing::subscriber::with_default(subscriber, || {
        say("one");
        desk.turn_to(LogLevel::Debug);
        say("two");
        desk.turn_to(LogLevel::Error);
        say("three");
    });
    assert!(logging.guard.flush(LIMIT));
    assert_eq!(out.text(), "[DEBUG] said {\"text\":\"two\"}\n");
    let fields: Vec<_> = desk.warnings(9).iter().map(|line| line.fields.to_string()).collect();
    assert_eq!(fields, ["{\"text\":\"two\"}", "{\"text\":\"one\"}"]);
}
