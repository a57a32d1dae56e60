//! The listeners of one worker: how they get in, come again, and, some of them, stop reading.
//!
//! Invariant: the audience waits for a listener only while it is in and reads.

use super::{
    ASK_AGAIN, Audience, Client, Closed, Context, Hall, Kind, LOOK, LOOK_EVERY, RETRY, UNTIL_CLOSED, fault,
    reason,
};
use crate::engine::wire;
use crate::frames::client_text;
use crate::scenarios::crowd::Crowd;

/// How far a listener is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Place {
    /// Not registered, or not in.
    Out,
    /// It has dialled or joined; the answer is due.
    Asked,
    /// It hears what is said.
    In,
    /// It was in and does not read.
    Deaf,
}

impl Hall {
    pub(super) fn start_listeners(&mut self, ctx: &mut Context) {
        self.listeners.gather(ctx, self.settings.listeners);
        self.places = vec![Place::Out; self.listeners.len()];
        self.audience = Audience::new(self.listeners.len());
        for listener in 0..self.listeners.len() {
            self.enter_listener(ctx, listener);
        }
    }

    fn enter_listener(&mut self, ctx: &mut Context, listener: usize) {
        let (number, tag, domain) = (self.listeners.number(listener), &self.tag, &self.domain);
        self.listeners.enter(ctx, listener, &format!("listener-{number}-{tag}@{domain}"), "");
    }

    pub(super) fn on_listener_registered(&mut self, ctx: &mut Context, client: Client) {
        let listener = self.listeners.on_registered(client);
        if self.floor {
            self.speak_in("floor");
            return self.let_in(listener);
        }
        self.ask(ctx, listener);
    }

    /// Dials or joins, or waits until that can be done.
    fn ask(&mut self, ctx: &mut Context, listener: usize) {
        let frame = match self.settings.kind {
            Kind::Broadcast if !self.stage.is_speaker_up() => return self.look_later(ctx),
            Kind::Broadcast => {
                let to = &self.speaker_name;
                client_text(format!(r#"{{"type":"DIAL","to":"{to}"}}"#).as_bytes())
            }
            Kind::Party => self.join_frame(),
        };
        if let Some(client) = self.listeners.client(listener) {
            self.places[listener] = Place::Asked;
            ctx.send(client, &frame);
        }
    }

    fn look_later(&mut self, ctx: &mut Context) {
        if !std::mem::replace(&mut self.looking, true) {
            ctx.at(ctx.now() + LOOK_EVERY, LOOK);
        }
    }

    /// Those who wait for the speaker dial if it is in.
    pub(super) fn look(&mut self, ctx: &mut Context) {
        self.looking = false;
        for listener in 0..self.places.len() {
            if self.places[listener] == Place::Out && self.listeners.is_up(listener) && !ctx.is_over() {
                self.ask(ctx, listener);
            }
        }
    }

    pub(super) fn on_listener_timer(&mut self, ctx: &mut Context, token: u64) {
        if ctx.is_over() {
            return;
        }
        if Crowd::owns(token) {
            if let Some(listener) = self.listeners.returning(token) {
                self.enter_listener(ctx, listener);
            }
            return;
        }
        let listener = (token & !ASK_AGAIN) as usize;
        if self.places[listener] == Place::Out && self.listeners.is_up(listener) {
            self.ask(ctx, listener);
        }
    }

    pub(super) fn on_listener_frame(&mut self, ctx: &mut Context, client: Client, payload: &[u8]) {
        let listener = self.listeners.member(client);
        let kind = wire::kind(payload);
        match (self.places[listener], kind) {
            (Place::In | Place::Deaf, kind) if kind == self.settings.kind.message().as_bytes() => {
                self.on_message(ctx, listener, payload);
            }
            (Place::Asked, b"CONNECTED" | b"JOINED") => self.on_answered(ctx, listener, payload),
            (Place::Asked, b"BUSY" | b"ERROR") => {
                let what = if kind == b"BUSY" { "busy" } else { "error" };
                ctx.tally.error(what, &reason(payload));
                self.places[listener] = Place::Out;
                ctx.at(ctx.now() + RETRY, ASK_AGAIN | listener as u64);
            }
            (_, b"HANGUP") if ctx.is_over() => {}
            (Place::In | Place::Deaf, b"HANGUP") => {
                ctx.tally.error("hangup", &reason(payload));
                self.reset(ctx, listener);
            }
            _ => fault(ctx, "out of turn or doubled", payload),
        }
    }

    /// The answer says where messages belong.
    fn on_answered(&mut self, ctx: &mut Context, listener: usize, payload: &[u8]) {
        let key = if self.settings.kind == Kind::Broadcast { "call_id" } else { "party" };
        let place = String::from_utf8_lossy(wire::text(payload, key).unwrap_or_default());
        let other = self.form.as_ref().is_some_and(|form| form.place() != place);
        // A call that nobody is in any more is followed by another one.
        if place.is_empty() || other && self.stage.joined() > 0 {
            return fault(ctx, "misdelivered: the call or party is not that of the others", payload);
        }
        self.speak_in(&place);
        self.let_in(listener);
    }

    fn let_in(&mut self, listener: usize) {
        self.places[listener] = Place::In;
        self.audience.join(listener, self.stage.said());
        self.stage.join();
    }

    /// Ends a listener's connection, which then comes again.
    pub(super) fn reset(&mut self, ctx: &mut Context, listener: usize) {
        self.let_out(ctx, listener, Place::Out);
        if let Some(client) = self.listeners.client(listener) {
            ctx.close(client);
        }
    }

    fn let_out(&mut self, ctx: &mut Context, listener: usize, to: Place) {
        if self.places[listener] == Place::In {
            self.stage.leave();
            self.audience.leave(listener);
        }
        self.places[listener] = to;
        self.settle(ctx, None);
    }

    pub(super) fn on_listener_closed(&mut self, ctx: &mut Context, client: Client, why: &Closed) {
        let listener = self.listeners.member(client);
        let was = self.places[listener];
        match why {
            why if was == Place::Deaf && why.is_for_slowness() => {
                // Of a broadcast the speaker knows better when.
                if self.settings.kind == Kind::Party {
                    ctx.tally.record(UNTIL_CLOSED, self.deaf_at, ctx.now());
                }
            }
            Closed::Peer(code)
                if was == Place::In && self.settings.deaf.is_some() && why.is_for_slowness() =>
            {
                let number = self.listeners.number(listener);
                ctx.tally.fault(|| format!("lost: listener {number}, which reads, was closed with {code}"));
            }
            _ => why.count(ctx),
        }
        self.let_out(ctx, listener, Place::Out);
        self.listeners.on_closed(ctx, client);
    }

    /// Those who are to stop reading do.
    pub(super) fn deafen(&mut self, ctx: &mut Context) {
        for listener in 0..self.places.len() {
            let number = self.listeners.number(listener);
            if self.places[listener] != Place::In || !self.is_deaf(ctx.now(), number) {
                continue;
            }
            if let Some(client) = self.listeners.client(listener) {
                ctx.pause_reading(client);
                self.let_out(ctx, listener, Place::Deaf);
            }
        }
    }

    /// Whom the server has closed reads to the end, to see with which code.
    pub(super) fn wake_the_deaf(&mut self, ctx: &mut Context) {
        for listener in 0..self.places.len() {
            if self.places[listener] == Place::Deaf
                && self.stage.has_hung_up(self.listeners.number(listener))
                && let Some(client) = self.listeners.client(listener)
            {
                ctx.resume_reading(client);
            }
        }
    }

    /// All read to the end.
    pub(super) fn undeafen(&mut self, ctx: &mut Context) {
        for listener in 0..self.places.len() {
            if self.places[listener] == Place::Deaf
                && let Some(client) = self.listeners.client(listener)
            {
                ctx.resume_reading(client);
            }
        }
    }

    /// Those who are still connected and may yet be closed by the server.
    pub(super) fn deaf_left(&self) -> usize {
        self.places.iter().filter(|&&place| place == Place::Deaf).count()
    }
}
