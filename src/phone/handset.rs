//! The phone's main loop: carries values between the session, the link, the terminal and the clock.
//! No decision about calls is made here. It is the only file of the phone that looks at the time.
//! Invariant: actions are performed in the order the session gave them, and the loop never waits for
//! the link, so that link and loop cannot wait for each other.

use std::future::pending;
use std::io::{self, Write};
use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout};

use super::PhoneArgs;
use super::frames::Outgoing;
use super::link::{Endpoint, LinkEvent, Order, keep_up};
use super::prompt::{Prompt, Typed};
use super::report::Report;
use super::session::{Action, Outcome, Session};

/// How often the session looks at the time; heartbeats and retries need no finer one.
const TICK: Duration = Duration::from_secs(1);
/// Orders on their way to the link. Beyond this the exchange has stopped reading.
const ORDERS_MAX: usize = 1_024;
/// Link events not handled yet.
const EVENTS_MAX: usize = 16;
/// How long to wait at the end for the last frames and the close handshake.
const FAREWELL_TIMEOUT: Duration = Duration::from_secs(3);

/// Runs the phone to its end. Call inside a runtime.
pub(super) async fn run(
    args: &PhoneArgs,
    endpoint: Endpoint,
    tls: Option<Arc<ClientConfig>>,
    prompt: Option<Prompt>,
) -> Outcome {
    let (orders, taken_orders) = mpsc::channel(ORDERS_MAX);
    let (sent_events, events) = mpsc::channel(EVENTS_MAX);
    let url = endpoint.to_string();
    tokio::spawn(keep_up(endpoint, tls, !args.no_reconnect, taken_orders, sent_events));
    let interactive = prompt.is_some();
    let mut handset = Handset {
        session: Session::new(args.plan()),
        screen: Screen { prompt, json: args.json },
        orders,
        events,
        reconnect: !args.no_reconnect,
        url,
        link_up: false,
        started: Instant::now(),
    };
    // At the prompt Ctrl-C is a key, not a signal; a signal then ends the process as it ends any other.
    let mut stop = if interactive { Stop::none() } else { Stop::signals() };
    let outcome = handset.run(args.run_seconds.map(Duration::from_secs), &mut stop).await;
    handset.farewell().await;
    outcome
}

struct Handset {
    session: Session,
    screen: Screen,
    orders: mpsc::Sender<Order>,
    events: mpsc::Receiver<LinkEvent>,
    reconnect: bool,
    url: String,
    link_up: bool,
    started: Instant,
}

impl Handset {
    async fn run(&mut self, limit: Option<Duration>, stop: &mut Stop) -> Outcome {
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut link_ended = false;
        let limit = async move { if let Some(limit) = limit { sleep(limit).await } else { pending().await } };
        tokio::pin!(limit);
        loop {
            // Every branch only waits for something that is not lost when another branch is quicker.
            tokio::select! {
                event = self.events.recv(), if !link_ended => match event {
                    Some(event) => self.on_link(event),
                    None => link_ended = true,
                },
                typed = self.screen.typed() => self.on_typed(typed),
                _ = ticks.tick() => self.session.on_tick(self.started.elapsed()),
                () = &mut limit => self.session.stop(),
                () = stop.asked() => self.session.stop(),
            }
            if let Some(outcome) = self.perform() {
                return outcome;
            }
        }
    }

    fn on_link(&mut self, event: LinkEvent) {
        let now = self.started.elapsed();
        match event {
            LinkEvent::Open => {
                self.link_up = true;
                self.session.on_open(now, &self.url);
            }
            LinkEvent::Text(text) => {
                self.screen.frame("in", &text);
                self.session.on_frame(now, &text);
            }
            LinkEvent::Lost { code, reason } => {
                self.link_up = false;
                self.session.on_lost(Report::Lost { code, reason }, !self.reconnect);
            }
            LinkEvent::Failed(error) => self.session.on_lost(Report::Failed { error }, !self.reconnect),
            LinkEvent::Retry(wait) => {
                let in_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
                self.screen.report(&Report::Retry { in_ms });
            }
        }
    }

    fn on_typed(&mut self, typed: Option<Typed>) {
        match typed {
            Some(Typed::Command(command)) => self.session.on_command(command),
            Some(Typed::Usage(form)) => self.screen.report(&Report::Note { text: format!("usage: {form}") }),
            // The terminal is gone.
            None => self.session.stop(),
        }
    }

    /// Does what the session wants done. `Some` when the phone has finished.
    fn perform(&mut self) -> Option<Outcome> {
        let mut outcome = None;
        for action in self.session.actions() {
            match action {
                Action::Say(report) => self.screen.report(&report),
                Action::Send(frame) => self.send(&frame),
                Action::Close(code, reason) => self.order(Order::Close(code, reason)),
                // The first one counts: later ones come from events of the same turn.
                Action::Finish(ended) => outcome = outcome.or(Some(ended)),
            }
        }
        outcome
    }

    fn send(&mut self, frame: &Outgoing) {
        let text = frame.to_text();
        self.screen.frame("out", &text);
        self.order(Order::Text(text));
    }

    fn order(&mut self, order: Order) {
        if self.orders.try_send(order).is_err() {
            self.screen.report(&Report::Note { text: "not sent: the exchange is not reading".to_owned() });
        }
    }

    /// Lets the last frames and the close frame leave. What still arrives is not looked at.
    async fn farewell(&mut self) {
        let closed = async {
            while self.link_up {
                let event = self.events.recv().await;
                self.link_up = !matches!(event, None | Some(LinkEvent::Lost { .. }));
            }
        };
        // An exchange that does not answer in time is left all the same.
        drop(timeout(FAREWELL_TIMEOUT, closed).await);
    }
}

/// Where lines are printed and typed.
struct Screen {
    prompt: Option<Prompt>,
    json: bool,
}

impl Screen {
    fn report(&mut self, report: &Report) {
        if let Some((prompt, address)) = self.prompt.as_ref().zip(report.address()) {
            prompt.known.learn(address);
        }
        self.line(if self.json { report.to_json() } else { report.to_string() });
    }

    /// Prints a frame as it was, in JSON mode only.
    fn frame(&mut self, direction: &str, text: &str) {
        if !self.json || serde_json::from_str::<&serde_json::value::RawValue>(text).is_err() {
            return;
        }
        // In valid JSON a line end can only stand between tokens.
        self.line(format!("{{\"{direction}\":{}}}", text.trim().replace(['\n', '\r'], " ")));
    }

    fn line(&mut self, line: String) {
        let printed = match &mut self.prompt {
            Some(prompt) => prompt.print(line),
            None => {
                let mut stdout = io::stdout().lock();
                writeln!(stdout, "{line}").and_then(|()| stdout.flush())
            }
        };
        // A reader that went away does not end a call: the script's exit status still matters.
        drop(printed);
    }

    async fn typed(&mut self) -> Option<Typed> {
        match &mut self.prompt {
            Some(prompt) => prompt.typed.recv().await,
            None => pending().await,
        }
    }
}

/// SIGINT and SIGTERM.
struct Stop(Option<(Signal, Signal)>);

impl Stop {
    fn none() -> Stop {
        Stop(None)
    }

    fn signals() -> Stop {
        Stop(signal(SignalKind::interrupt()).ok().zip(signal(SignalKind::terminate()).ok()))
    }

    async fn asked(&mut self) {
        let Some((interrupt, terminate)) = &mut self.0 else { return pending().await };
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    }
}

#[cfg(test)]
mod tests;
