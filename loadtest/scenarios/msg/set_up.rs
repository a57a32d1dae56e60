//! How a pair's call comes to stand: DIAL, RING, ANSWER, CONNECTED, and again after a pause if it is refused.
//!
//! What is said in it is not seen here. Invariant: a call stands only after each of these has come in its turn.

use super::{CALL_ID_BYTES, Context, DIAL_AGAIN, End, Msg, RETRY, Stage, Way, client_text, wire};

impl Msg {
    pub(super) fn dial(&mut self, ctx: &mut Context, pair: usize) {
        let to = self.pairs.name(pair, End::Callee);
        let dial = client_text(format!(r#"{{"type":"DIAL","to":"{to}"}}"#).as_bytes());
        (self.talks[pair].stage, self.talks[pair].since) = (Stage::Dialled, ctx.now());
        ctx.send(self.pairs.client(pair, End::Caller), &dial);
    }

    pub(super) fn on_callee_set_up(&mut self, ctx: &mut Context, pair: usize, payload: &[u8]) {
        let kind = wire::kind(payload);
        let is_ring = kind == b"RING" || self.floor && kind == b"DIAL";
        if !is_ring || self.talks[pair].stage != Stage::Dialled {
            return self.fault(ctx, pair, "out of turn or doubled", payload);
        }
        let none = self.floor.then_some([b'0'; CALL_ID_BYTES]);
        let Some(id) = wire::call_id(payload).or(none) else {
            return self.fault(ctx, pair, "malformed: a RING without a call id", payload);
        };
        let talk = &mut self.talks[pair];
        (talk.id, talk.stage, talk.since) = (id, Stage::Answered, ctx.now());
        ctx.send_about(self.pairs.client(pair, End::Callee), &self.answer, &id);
    }

    pub(super) fn on_caller_set_up(&mut self, ctx: &mut Context, pair: usize, payload: &[u8]) {
        let to_callee = wire::text(payload, "to") == Some(self.pairs.name(pair, End::Callee).as_bytes());
        let talk = &mut self.talks[pair];
        match (wire::kind(payload), talk.stage) {
            (b"CONNECTED", Stage::Answered) if wire::call_id(payload) == Some(talk.id) && to_callee => {}
            (b"ANSWER", Stage::Answered) if self.floor => {}
            (b"BUSY", Stage::Dialled | Stage::Answered) => return self.refused(ctx, pair, "busy", payload),
            (b"ERROR", Stage::Dialled | Stage::Answered) => return self.refused(ctx, pair, "error", payload),
            _ => return self.fault(ctx, pair, "misdelivered, doubled or out of turn", payload),
        }
        talk.stage = Stage::Standing;
        talk.ways = [Way::default(), Way::default()];
        talk.pings.clear();
        self.standing += 1;
        if self.running {
            self.begin(ctx, pair);
        }
    }

    fn refused(&mut self, ctx: &mut Context, pair: usize, what: &str, payload: &[u8]) {
        let reason = wire::reason(payload);
        ctx.tally.error(what, &String::from_utf8_lossy(reason));
        self.talks[pair].stage = Stage::Down;
        ctx.at(ctx.now() + RETRY, DIAL_AGAIN | pair as u64);
    }
}
