//! The built-in log stream `logs@system.local` (spec section 20): a service that holds a line without a socket.
//!
//! It is a broadcaster like any other to the core. A new listener is greeted after a moment, gets the last lines,
//! and then every line as it occurs. Nothing that is said here may cause a log line that is streamed: what the
//! service does runs under the feed's guard.

use std::collections::VecDeque;

use crate::dialect::json::push_str_escaped;
use crate::exchange::address::{Address, LOG_SERVICE};
use crate::exchange::effect::Notice;
use crate::exchange::event::{Concurrency, ContentType, Event, Profile, Registration, Request};
use crate::exchange::ids::{CallId, LineId};
use crate::exchange::time::{Moment, Tick};
use crate::identity::Credentials;
use crate::logging::FeedReader;

/// Most listeners at a time (spec section 20).
const LISTENERS_MAX: u32 = 1000;
/// Between CONNECTED and the greeting, so that a client has set up its handlers.
const GREETING_MS: u64 = 100;
const METADATA: &str = r#"{"service":"log_stream","description":"SystemX log streaming service"}"#;
const SEPARATOR: &str = "--- live log ---\n";

/// The service.
pub struct LogService {
    line: Option<LineId>,
    feed: FeedReader,
    session: Option<CallId>,
    listeners: usize,
    /// New listeners and when to greet them.
    newcomers: VecDeque<(Tick, LineId, Address)>,
}

/// Something the service says: a JSON string, ready to be relayed.
pub struct Words {
    call: CallId,
    listener: Option<LineId>,
    data: Vec<u8>,
}

impl Words {
    /// The request that says it.
    pub fn event(&self, line: LineId) -> Event<'_> {
        let Self { call, listener, data } = self;
        let request = match listener {
            Some(listener) => Request::Whisper { call: *call, listener: *listener, data },
            None => Request::Message { call: *call, data: Some(data), content_type: ContentType::Text },
        };
        Event::Request { line, request }
    }
}

impl LogService {
    /// A service that streams what `feed` gives.
    pub fn new(feed: FeedReader) -> Self {
        Self { line: None, feed, session: None, listeners: 0, newcomers: VecDeque::new() }
    }

    /// What wakes the service when there are new lines; see [`FeedReader::wake_with`].
    pub fn wake_with(&self, wake: impl Fn() + Send + Sync + 'static) {
        self.feed.wake_with(wake);
    }

    /// The registration of the service's line.
    pub fn register(&mut self, line: LineId) -> Event<'static> {
        self.line = Some(line);
        let address = Address::parse(LOG_SERVICE).expect("the service's own address is one");
        let metadata = Some(bytes::Bytes::from_static(METADATA.as_bytes()));
        let registration = Registration {
            address,
            profile: Profile { metadata, ..Profile::default() },
            concurrency: Concurrency::Broadcast { max_listeners: Some(LISTENERS_MAX) },
            pool_size: None,
            wake: None,
            credentials: Credentials::default(),
        };
        Event::Request { line, request: Request::Register(Box::new(registration)) }
    }

    /// What the exchange tells the service's line.
    pub fn hear(&mut self, now: Moment, line: LineId, notice: &Notice<'_>) {
        if self.line != Some(line) {
            return;
        }
        match notice {
            Notice::Ring { from, call, listener: Some(listener), .. } => {
                self.session = Some(*call);
                self.listeners += 1;
                self.newcomers.push_back((now.tick.plus_millis(GREETING_MS), *listener, from.clone()));
            }
            Notice::HungUp { from, .. } => {
                // Without a name it is the operator, who has ended it for all.
                self.listeners = if from.is_some() { self.listeners.saturating_sub(1) } else { 0 };
                if self.listeners == 0 {
                    self.session = None;
                    self.newcomers.clear();
                }
            }
            _ => {}
        }
    }

    /// The line that it holds, once it has registered.
    pub fn line(&self) -> Option<LineId> {
        self.line
    }

    /// What there is to say now, with the line that says it. New lines wait for the greeting of newcomers, so that each
    /// of these gets the past first, and every line once.
    pub fn speak(&mut self, now: Moment) -> Vec<(LineId, Words)> {
        let Some(line) = self.line else { return Vec::new() };
        let Some(call) = self.session else {
            self.feed.drain();
            return Vec::new();
        };
        if self.newcomers.front().is_some_and(|(at, ..)| *at > now.tick) {
            return Vec::new();
        }
        // What occurred before the first listener was greeted is its past, however late it is looked at.
        if self.newcomers.len() == self.listeners {
            self.feed.drain();
        }
        let mut said = Vec::new();
        let mut say = |listener, text: &str| {
            let mut data = Vec::with_capacity(text.len() + 2);
            push_str_escaped(&mut data, text);
            said.push((line, Words { call, listener, data }));
        };
        // All of them, or a stream of newcomers would hold the lines back for ever.
        for (_, listener, address) in self.newcomers.drain(..) {
            let count = self.feed.recent().len();
            say(
                Some(listener),
                &format!("Welcome to the SystemX log stream, {address}: {count} buffered lines\n"),
            );
            self.feed.recent().for_each(|text| say(Some(listener), text));
            say(Some(listener), SEPARATOR);
        }
        let drained = self.feed.drain();
        if drained.lost > 0 {
            say(None, &format!("[{} log lines lost: too many at a time]\n", drained.lost));
        }
        drained.lines.iter().for_each(|text| say(None, text));
        said
    }

    /// When the next newcomer is to be greeted.
    pub fn next_deadline(&self) -> Option<Tick> {
        self.newcomers.front().map(|(at, ..)| *at)
    }
}
