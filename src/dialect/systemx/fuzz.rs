//! The fuzz body of the native protocol: a plain function that a fuzzer, a test with seeds and a corpus replay call.
//!
//! Nothing here runs in production. A body panics when a property is broken, and only then.

use std::sync::Arc;

use crate::dialect::json::{Keys, Parsed, Parser};
use crate::exchange::effect::{Effect, Outbox};
use crate::exchange::event::{Event, Request};
use crate::exchange::ids::{LineId, ShardId};
use crate::exchange::limits::{Limits, SpawnPolicy};
use crate::exchange::shard::{Setup, Shard};
use crate::exchange::tie::TieNotice;
use crate::exchange::time::{Moment, Tick};

use super::{
    Bounds, CallNames, Decoder, Notice, Standing, WireError, close_of, encode_named, encode_refusal,
    encoded_len_hint,
};

/// Clients that take turns in saying the lines of an input.
const CLIENTS: usize = 3;
/// Small, so that short inputs reach it.
const BOUNDS: Bounds = Bounds { metadata_bytes_max: 512, traces: true };
/// Time between two frames: a few dozen of them outlast every timer.
const STEP_MS: u64 = 1500;
/// What of a notice's text is not looked at for its length: escapes, and ERROR frames.
const ESCAPE_GROWTH_MAX: usize = 6;
/// Stands in an input for the id of the call that was heard of last, so that calls can be answered and used.
const CALL_MARK: &[u8] = b"$CALL";

/// Any bytes, cut into frames at line ends and said by three clients in turn: decoding returns, whatever decodes is
/// handled by a shard, and every answer is one JSON object of about the length that was foretold.
///
/// # Panics
/// If one of these does not hold.
pub fn hear_any(input: &[u8]) {
    let mut room = Room::new();
    for (turn, frame) in input.split(|&byte| byte == b'\n').enumerate() {
        let frame = room.with_call(frame);
        room.hear(turn % CLIENTS, &frame);
        room.wait();
    }
}

struct Room {
    shard: Shard,
    decoder: Decoder,
    lines: [LineId; CLIENTS],
    now: Moment,
    /// The text of the latest call id.
    call: Vec<u8>,
    names: CallNames,
}

impl Room {
    fn new() -> Self {
        let limits =
            Arc::new(Limits { spawn: SpawnPolicy::Anything, dial_max_attempts: None, ..Limits::default() });
        let mut shard = Shard::new(Setup { id: ShardId::new(0), shards: 1, seed: [1; 32], limits });
        let now = Moment { tick: Tick::from_millis(0), wall_ms: 1 };
        let lines = std::array::from_fn(|_| open(&mut shard, now));
        Self {
            shard,
            decoder: Decoder::new(BOUNDS),
            lines,
            now,
            call: Vec::new(),
            names: CallNames::default(),
        }
    }

    fn with_call(&self, frame: &[u8]) -> Vec<u8> {
        let Some(at) = frame.windows(CALL_MARK.len()).position(|window| window == CALL_MARK) else {
            return frame.to_vec();
        };
        [&frame[..at], &self.call, &frame[at + CALL_MARK.len()..]].concat()
    }

    fn hear(&mut self, client: usize, frame: &[u8]) {
        let line = self.lines[client];
        let standing = Standing { registered: self.shard.is_registered(line), tie: self.shard.is_tie(line) };
        match self.decoder.decode(frame, standing) {
            Ok(request) => self.ask(line, request),
            Err(WireError::Refuse(refusal)) => {
                let mut text = Vec::new();
                encode_refusal(&refusal, &mut text);
                check_json(&text);
            }
            Err(WireError::InvalidAddress | WireError::Close(_)) => {}
        }
    }

    fn ask(&mut self, line: LineId, request: Request<'_>) {
        let mut out = Outbox::default();
        let _ = self.shard.reaches(line, &request);
        self.shard.handle(self.now, Event::Request { line, request }, &mut out);
        self.perform(&out);
        self.shard.check();
    }

    /// Time passes, and whoever was closed comes back.
    fn wait(&mut self) {
        self.now.tick = self.now.tick.plus_millis(STEP_MS);
        let mut out = Outbox::default();
        self.shard.on_deadline(self.now, &mut out);
        self.perform(&out);
    }

    fn perform(&mut self, out: &Outbox<'_>) {
        for effect in &out.effects {
            match effect {
                Effect::Notify { notice, .. } | Effect::Publish { notice, .. } => self.tell(notice),
                Effect::Close { line, cause } => {
                    let _ = close_of(*cause);
                    let seat = self.lines.iter_mut().find(|seat| *seat == line).expect("a line of ours");
                    *seat = open(&mut self.shard, self.now);
                }
                Effect::SendAway { .. } => panic!("nobody begins a drain"),
                Effect::Relocate { .. } | Effect::Signal { .. } => panic!("there is one shard only"),
                Effect::Pause(_)
                | Effect::Resume(_)
                | Effect::Wake { .. }
                | Effect::WakeSettled(_)
                | Effect::Record(_)
                | Effect::Tie { .. }
                | Effect::Stray(_)
                | Effect::KeysWanted => {}
                Effect::CallNamed { call, name } => self.names.add(*call, name.clone()),
                Effect::CallForgotten(call) => self.names.forget(*call),
            }
        }
    }

    fn tell(&mut self, notice: &Notice<'_>) {
        let dial =
            if let Notice::Tie(TieNotice::DialForward(dial)) = notice { Some(&dial.call) } else { None };
        if let Some(call) = dial
            && !call.is_derived()
        {
            self.call = call.text().to_vec();
        }
        if let Notice::Ring { call, .. } | Notice::Connected { call, .. } | Notice::Dialling { call, .. } =
            notice
        {
            let name = self.names.get(*call).filter(|name| name.chars().all(|c| c.is_ascii_alphanumeric()));
            self.call = name.map_or_else(|| call.text().to_vec(), |name| name.as_bytes().to_vec());
        }
        let mut text = Vec::new();
        encode_named(notice, Some(&self.names), &mut text);
        check_json(&text);
        let hint = encoded_len_hint(notice);
        assert!(text.len() <= hint * ESCAPE_GROWTH_MAX, "{} foretold as {hint}", text.len());
    }
}

fn open(shard: &mut Shard, now: Moment) -> LineId {
    shard.open_line(now, false).expect("three lines fit into any shard")
}

/// Payloads may be nested as deep as frames may; two levels more are not ours to parse.
fn check_json(text: &[u8]) {
    const NO_KEYS: Keys = Keys::new(&[]);
    let is_object = match Parser::new().parse(&NO_KEYS, text) {
        Ok(Parsed::Object(_)) => true,
        Ok(Parsed::NotObject) => false,
        Err(_) => serde_json::from_slice::<serde_json::Value>(text).is_ok_and(|json| json.is_object()),
    };
    assert!(is_object, "{}", String::from_utf8_lossy(text));
}

#[cfg(test)]
mod tests {
    use rand_chacha::ChaCha8Rng;
    use rand_chacha::rand_core::{Rng as _, SeedableRng as _};

    use super::*;

    /// Enough to meet every verb in every state often; `SYSTEMX_DIALECT_FUZZ_INPUTS` makes it more.
    const INPUTS: u64 = 3_000;
    const FRAMES_MAX: u64 = 40;
    const MUTATIONS_MAX: u64 = 3;

    const FRAMES: [&str; 47] = [
        r#"{"type":"REGISTER","address":"a@x.test","metadata":{"capabilities":["c","d"],"location":{"lat":1,"lon":2}}}"#,
        r#"{"type":"REGISTER","address":"b@x.test","concurrency":"broadcast","max_listeners":2}"#,
        r#"{"type":"REGISTER","address":"b@x.test","concurrency":"parallel","max_sessions":2,"pool_size":2}"#,
        r#"{"type":"REGISTER","address":"b@x.test","mode":"wake_on_ring","wake_handler":{"type":"webhook","url":"http://w.test/","timeout_seconds":4,"payload":{}}}"#,
        r#"{"type":"REGISTER","address":"c@y.test","mode":"wake_on_ring","wake_handler":{"type":"spawn","command":["/x","y"],"timeout_seconds":4}}"#,
        r#"{"type":"REGISTER","address":"c\u0040y.test"}"#,
        r#"{"type":"UNREGISTER"}"#,
        r#"{"type":"STATUS","status":"dnd"}"#,
        r#"{"type":"STATUS","status":"available","auto_sleep":{"idle_timeout_seconds":1,"wake_on_ring":true}}"#,
        r#"{"type":"HEARTBEAT"}"#,
        r#"{"type":"DIAL","to":"a@x.test","metadata":{"s":"x"}}"#,
        r#"{"type":"DIAL","to":"b@x.test","ref":"r1"}"#,
        r#"{"type":"DIAL","to":"c@y.test"}"#,
        r#"{"type":"ANSWER","call_id":"$CALL"}"#,
        r#"{"type":"ANSWER","call_id":"$CALL"}"#,
        r#"{"type":"HANGUP","call_id":"$CALL","reason":"b\"ye"}"#,
        r#"{"type":"HANGUP","call_id":"$CALL"}"#,
        r#"{"type":"MSG","call_id":"$CALL","data":"hello\n","content_type":"text"}"#,
        r#"{"type":"MSG","call_id":"$CALL","data":{"a":[1,2.5,-3e-2,null,true]},"content_type":"json"}"#,
        r#"{"type":"PRESENCE","query":{"domain":"x.test","capabilities":["c"],"near":{"lat":1,"lon":2,"radius_km":5}}}"#,
        r#"{"type":"PRESENCE","limit":1}"#,
        r#"{"type":"SLEEP_ACK"}"#,
        r#"{"type":"JOIN","party":"p@x.test","create_if_missing":true}"#,
        r#"{"type":"PARTY_MSG","party":"p@x.test","data":[1],"content_type":"binary"}"#,
        r#"{"type":"LEAVE","party":"p@x.test"}"#,
        r#"{"type":"DIAL_FORWARD","call_id":"x","from":"a@x.test","to":"b@x.test"}"#,
        r#"{"type":"DIAL_FORWARD","call_id":"$CALL","from":"a@x.test","to":"z@home.test","metadata":{"timestamp":1}}"#,
        r#"{"type":"REGISTER_PBX","domain":"home.test","routes":["*@home.test","*a*b*.test"],"auth":"t"}"#,
        r#"{"type":"REGISTER_PBX","domain":"other.test","routes":["*"]}"#,
        r#"{"type":"DIAL","to":"z@home.test","metadata":{"authenticated_by":"me","n":1}}"#,
        r#"{"type":"RING","call_id":"$CALL","from":"z@home.test","metadata":[]}"#,
        r#"{"type":"BUSY","call_id":"$CALL","reason":"no\tway"}"#,
        r#"{"type":"CONNECTED","call_id":"$CALL"}"#,
        r#"{"type":"MSG","call_id":"$CALL","from":"y@home.test","data":1}"#,
        r#"{"type":"PRESENCE","query":{"domain":"home.test"}}"#,
        r#"{"type":"PRESENCE_QUERY","query":{"domain":"home.test","near":{"lat":1,"lon":2,"radius_km":5}},"reply_to":"r","query_id":"7"}"#,
        r#"{"type":"PRESENCE_RESULT","addresses":[{"address":"y@home.test","status":"busy","metadata":{}}],"query_id":"q-1"}"#,
        r#"{"type":"JOIN","party":"p@home.test"}"#,
        r#"{"type":"PARTY_MSG","party":"p@home.test","data":1}"#,
        r#"{"type":"JOIN_FORWARD","from":"y@home.test","party":"p@x.test"}"#,
        r#"{"type":"JOIN_FORWARD","from":"a@x.test","party":"p@home.test","create_if_missing":false}"#,
        r#"{"type":"JOINED","party":"p@home.test","participants":["a@x.test","y@home.test"],"to":"a@x.test"}"#,
        r#"{"type":"JOINED","party":"p@home.test","participants":[]}"#,
        r#"{"type":"JOIN_FAILED","party":"p@home.test","reason":"party_full"}"#,
        r#"{"type":"PARTY_MSG","party":"p@x.test","from":"y@home.test","data":[2]}"#,
        r#"{"type":"PARTY_MSG","party":"p@home.test","from":"a@x.test","data":[3]}"#,
        r#"{"type":"LEAVE","party":"p@x.test","from":"y@home.test"}"#,
    ];

    const PIECES: [&str; 24] = [
        "null",
        "true",
        "0",
        "-1",
        "1e308",
        "1e999",
        "0.5",
        "\"\"",
        "\"x\"",
        "[]",
        "{}",
        "[[[[",
        "\\u0000",
        "\\ud800",
        "\"",
        "\\",
        "{\"a\":",
        ",",
        ":",
        "\u{0}",
        "\"__proto__\"",
        "\"c@y.test\"",
        "99999999999999999999",
        "\"type\":\"MSG\",",
    ];

    struct Dice(ChaCha8Rng);

    impl Dice {
        fn below(&mut self, limit: usize) -> usize {
            (self.0.next_u64() % limit as u64) as usize
        }
    }

    fn mutate(frame: &mut Vec<u8>, dice: &mut Dice) {
        let start = dice.below(frame.len() + 1);
        let end = (start + dice.below(12)).min(frame.len());
        match dice.below(4) {
            0 => drop(frame.drain(start..end)),
            1 if start < frame.len() => frame[start] ^= 1 << dice.below(8),
            _ => drop(frame.splice(start..end, PIECES[dice.below(PIECES.len())].bytes())),
        }
    }

    /// Replaces one whole value by another: the frame stays valid, and a field gets a value it does not expect.
    fn retype(frame: &mut Vec<u8>, dice: &mut Dice) {
        let colons: Vec<usize> = (0..frame.len()).filter(|&at| frame[at] == b':').collect();
        let Some(&colon) = colons.get(dice.below(colons.len().max(1))) else { return };
        let ends = |byte: &u8| matches!(byte, b',' | b'}');
        let Some(length) = frame[colon + 1..].iter().position(ends) else { return };
        frame.splice(colon + 1..colon + 1 + length, PIECES[dice.below(12)].bytes());
    }

    #[test]
    fn whatever_three_clients_say_is_answered_and_nothing_breaks() {
        let setting = std::env::var("SYSTEMX_DIALECT_FUZZ_INPUTS").ok().and_then(|text| text.parse().ok());
        for seed in 0..setting.unwrap_or(INPUTS) {
            let mut dice = Dice(ChaCha8Rng::seed_from_u64(seed));
            let mut input = Vec::new();
            for _ in 0..dice.0.next_u64() % FRAMES_MAX {
                let mut frame = FRAMES[dice.below(FRAMES.len())].as_bytes().to_vec();
                match dice.below(4) {
                    0 => (0..dice.0.next_u64() % MUTATIONS_MAX).for_each(|_| mutate(&mut frame, &mut dice)),
                    1 => retype(&mut frame, &mut dice),
                    _ => {}
                }
                input.extend_from_slice(&frame);
                input.push(b'\n');
            }
            hear_any(&input);
        }
    }

    #[test]
    fn odd_inputs_are_answered() {
        let deep = format!("{}1{}", "[".repeat(100_000), "]".repeat(100_000));
        let long = format!(r#"{{"type":"DIAL","to":"{}"}}"#, "a".repeat(100_000));
        for input in
            [&deep, &long, "", "\n\n", "null", "\u{feff}{}", "{\"type\":\"REGISTER\",\"address\":null}"]
        {
            hear_any(input.as_bytes());
        }
        hear_any(&[0xff; 100]);
    }
}
