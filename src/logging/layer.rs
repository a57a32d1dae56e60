//! The layer between `tracing` and the written forms: renders each wanted event once per form and hands it to the writer and
//! the feed. Unwanted events cost one look at a cached flag; their fields are never formatted. Fields of the spans around
//! an event come first (a shard thread's span carries `shard`); fields recorded into a span later are not shown.

use std::sync::Arc;

use tracing::span::{Attributes, Id};
use tracing::subscriber::Interest;
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::LookupSpan;

use super::desk::LogDesk;
use super::feed::{self, LogFeed};
use super::render::Rendered;
use super::writer::{LogWriter, Stream};
use super::{AUDIT_TARGET, LogFormat, LogLevel, START_TARGET};
use crate::timestamp::Timestamp;

/// Events of this crate have targets that begin so. Libraries speak only from warn on: their chatter is not ours to publish.
const OWN_TARGET: &str = "systemx";

/// The fields of a span as the inside of a JSON object, kept with the span.
struct SpanContext(String);

/// Renders events. One is installed for the life of the process.
pub(super) struct LogLayer {
    pub(super) desk: Arc<LogDesk>,
    pub(super) format: LogFormat,
    pub(super) clock_unix_ms: fn() -> u64,
    pub(super) writer: LogWriter,
    pub(super) feed: Option<LogFeed>,
}

impl LogLayer {
    fn is_wanted(&self, metadata: &Metadata<'_>) -> bool {
        [AUDIT_TARGET, START_TARGET].contains(&metadata.target()) || self.is_of_level(metadata)
    }

    fn is_of_level(&self, metadata: &Metadata<'_>) -> bool {
        let level = level_filter(self.desk.level());
        let least = if is_own(metadata.target()) { level } else { LevelFilter::WARN };
        *metadata.level() <= least && *metadata.level() <= level
    }

    fn write(&self, level: Level, rendered: &Rendered, now: Timestamp) {
        let text = match self.format {
            LogFormat::Text => rendered.text(level),
            LogFormat::Json => rendered.json(level, now),
        };
        self.writer.write(Stream::of(level), text);
    }
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for LogLayer {
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        if self.is_wanted(metadata) { Interest::always() } else { Interest::never() }
    }

    fn enabled(&self, metadata: &Metadata<'_>, _: Context<'_, S>) -> bool {
        self.is_wanted(metadata)
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        // What an operator does, and where the exchange is reached, is told at info, whatever the level is.
        Some(level_filter(self.desk.level()).max(LevelFilter::INFO))
    }

    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        let mut rendered = Rendered::default();
        attributes.record(&mut rendered);
        span.extensions_mut().insert(SpanContext(rendered.context));
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let mut rendered = Rendered::default();
        for span in context.event_scope(event).into_iter().flat_map(|scope| scope.from_root()) {
            if let Some(SpanContext(fields)) = span.extensions().get::<SpanContext>() {
                rendered.push_fields(fields);
            }
        }
        event.record(&mut rendered);
        let (level, now) = (*event.metadata().level(), Timestamp((self.clock_unix_ms)()));
        self.desk.note(level, now, kind_of(event, &rendered), &rendered.message, &rendered.context);
        self.write(level, &rendered, now);
        let Some(log_feed) = &self.feed else { return };
        if !rendered.internal && feed::is_fed(event.metadata().target()) && self.is_of_level(event.metadata())
        {
            log_feed.push(Arc::from(rendered.coloured(level, now)));
        }
    }
}

/// What no client can choose of a line: its message, which is a constant in our own source; a library may put anything into its own.
fn kind_of<'a>(event: &Event<'_>, rendered: &'a Rendered) -> &'a str {
    let target = event.metadata().target();
    if is_own(target) { &rendered.message } else { target }
}

fn is_own(target: &str) -> bool {
    target.strip_prefix(OWN_TARGET).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}

fn level_filter(level: LogLevel) -> LevelFilter {
    match level {
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Error => LevelFilter::ERROR,
    }
}
