//! The one who speaks: how it gets in, what it is told, and what it says as far as there is room in flight.
//!
//! Only the first worker has it. Invariant: it hears nothing but rings, answers and who has left.

use super::{Client, Context, Enter, Hall, Kind, SENT, UNTIL_CLOSED, fault, reason, wire};
use crate::engine::timers::Nanos;

impl Hall {
    pub(super) fn enter_speaker(&mut self, ctx: &mut Context) {
        let extra = match self.settings.kind {
            Kind::Broadcast => {
                format!(r#","concurrency":"broadcast","max_listeners":{}"#, self.settings.listeners)
            }
            Kind::Party => String::new(),
        };
        let name = &self.speaker_name;
        let register = ctx.plan().register(name, &extra);
        self.speaker = Some(ctx.connect(Enter { register, place: 0 }));
    }

    pub(super) fn on_speaker_in(&mut self, ctx: &mut Context, client: Client) {
        match self.settings.kind {
            Kind::Broadcast => self.stage.speaker_is(true),
            Kind::Party if self.floor => self.stage.speaker_is(true),
            Kind::Party => {
                let join = self.join_frame();
                ctx.send(client, &join);
            }
        }
        if self.floor {
            self.speak_in("floor");
        }
    }

    pub(super) fn on_speaker_frame(&mut self, ctx: &mut Context, payload: &[u8]) {
        let kind = wire::kind(payload);
        match (kind, self.settings.kind) {
            (b"RING", Kind::Broadcast) => {
                self.rings += 1;
                let Some(id) = wire::text(payload, "call_id") else {
                    return fault(ctx, "malformed", payload);
                };
                self.speak_in(&String::from_utf8_lossy(id));
                self.say_due(ctx);
            }
            (b"JOINED", Kind::Party) => {
                let party = self.party();
                self.speak_in(&party);
                self.stage.speaker_is(true);
                self.say_due(ctx);
            }
            (b"HANGUP", Kind::Broadcast) => self.on_listener_hung_up(ctx, payload),
            (b"ERROR", _) => ctx.tally.error("error", &reason(payload)),
            (kind, of) if kind == of.message().as_bytes() => {
                fault(ctx, "misdelivered: the speaker hears itself", payload);
            }
            _ => fault(ctx, "out of turn or doubled", payload),
        }
    }

    /// The server says that a listener is gone: if it was deaf, this is when.
    fn on_listener_hung_up(&mut self, ctx: &mut Context, payload: &[u8]) {
        let name = wire::text(payload, "from").unwrap_or_default();
        let number = std::str::from_utf8(name).ok().and_then(|name| name.split('-').nth(1)?.parse().ok());
        let Some(number) = number else { return fault(ctx, "misdelivered: a HANGUP of nobody", payload) };
        if self.is_deaf(ctx.now(), number) {
            ctx.tally.record(UNTIL_CLOSED, self.deaf_at, ctx.now());
            self.stage.hang_up(number);
        }
    }

    /// Whether a listener, by its number in the run, has stopped reading.
    pub(super) fn is_deaf(&self, now: Nanos, number: usize) -> bool {
        let first = self.settings.deaf.map_or(usize::MAX, |(count, _)| self.settings.listeners - count);
        now >= self.deaf_at && number >= first
    }

    /// Says what is due, as far as there is room in flight.
    pub(super) fn say_due(&mut self, ctx: &mut Context) {
        let (Some(client), Some(form)) = (self.speaker, &self.form) else { return };
        while self.running && self.stage.is_speaker_up() {
            if self.open_loop.as_ref().is_some_and(|open_loop| open_loop.len() == 0) {
                return;
            }
            let Some(number) = self.stage.say() else { return };
            let due = self.open_loop.as_mut().and_then(|open_loop| open_loop.take(ctx));
            let time = due.unwrap_or(ctx.now());
            ctx.tally.count(SENT, 1);
            form.fill(number, time, |template, values| ctx.send_filled(client, template, values));
        }
    }
}
