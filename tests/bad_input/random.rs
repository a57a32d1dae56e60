//! Seeded random input: good messages with a few bytes or values changed, frames that are anything, and HTTP that is
//! nearly right. `BAD_INPUTS` says how many (20,000 if unset), `BAD_INPUT_SEED` from which seed; a failing round prints
//! the seed that repeats it. Whatever is sent, the connection must come to an end in order and nobody else may notice.

use super::support::*;

const MESSAGES: [&str; 15] = [
    r#"{"type":"REGISTER","address":"r@random.test","metadata":{"capabilities":["c"],"location":{"lat":1,"lon":2}},"concurrency":"parallel","max_sessions":3}"#,
    r#"{"type":"REGISTER","address":"s@random.test","concurrency":"broadcast","max_listeners":3}"#,
    r#"{"type":"REGISTER","address":"t@random.test","concurrency":"parallel","pool_size":2}"#,
    r#"{"type":"UNREGISTER"}"#,
    r#"{"type":"STATUS","status":"away","auto_sleep":{"idle_timeout_seconds":1,"wake_on_ring":true}}"#,
    r#"{"type":"HEARTBEAT"}"#,
    r#"{"type":"DIAL","to":"r@random.test","metadata":{"a":[1,2,{"b":null}]},"ref":"r"}"#,
    r#"{"type":"DIAL","to":"s@random.test"}"#,
    r#"{"type":"ANSWER","call_id":"00000000-0000-8000-8000-000000000000"}"#,
    r#"{"type":"HANGUP","call_id":"00000000-0000-8000-8000-000000000000","reason":"r"}"#,
    r#"{"type":"MSG","call_id":"00000000-0000-8000-8000-000000000000","data":"d","content_type":"json"}"#,
    r#"{"type":"PRESENCE","limit":5,"query":{"domain":"random.test","capabilities":["c"],"near":{"lat":1,"lon":2,"radius_km":3}}}"#,
    r#"{"type":"JOIN","party":"p@random.test"}"#,
    r#"{"type":"PARTY_MSG","party":"p@random.test","data":{"x":"\u00e9"}}"#,
    r#"{"type":"LEAVE","party":"p@random.test"}"#,
];

/// What a byte or a piece is replaced by.
const PIECES: [&[u8]; 24] = [
    b"null",
    b"1e999",
    b"-",
    b"\"",
    b"{",
    b"}",
    b"[",
    b"]",
    b",",
    b":",
    b"\\",
    b"\\u",
    b"\\ud800",
    b"\0",
    b"\xFF",
    b"\xED\xA0\x80",
    b"true",
    b"0",
    b"\"type\":",
    b"\"call_id\":",
    b"{}",
    b"[[",
    b" ",
    b"\xC3\xA9",
];

/// splitmix64: the smallest generator that is good enough, and the same everywhere.
struct Dice(u64);

impl Dice {
    fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        (self.roll() % end.max(1) as u64) as usize
    }

    fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())]
    }

    /// `bytes` with up to four changes: a byte flipped, a piece put in or over, a stretch cut out or doubled.
    fn mutate(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut bytes = bytes.to_vec();
        for _ in 0..self.below(5) {
            let at = self.below(bytes.len() + 1);
            let until = (at + self.below(12)).min(bytes.len());
            match self.below(5) {
                0 if at < bytes.len() => bytes[at] ^= 1 << self.below(8),
                1 => drop(bytes.splice(at..at, self.pick(&PIECES).iter().copied())),
                2 => drop(bytes.splice(at..until, self.pick(&PIECES).iter().copied())),
                3 => drop(bytes.drain(at..until)),
                _ => {
                    let again = bytes[at..until].to_vec();
                    drop(bytes.splice(at..at, again));
                }
            }
        }
        bytes
    }

    /// A frame that may be good.
    fn frame(&mut self) -> Vec<u8> {
        let first = self.pick(&[
            TEXT,
            BINARY,
            TEXT_BEGINS,
            CONTINUES,
            ENDS,
            PING,
            PONG,
            CLOSE,
            0xC1,
            0x83,
            self.0 as u8,
        ]);
        let len = self.pick(&[0, 1, 2, 3, 125, 126, 127, 65_535, 65_536, self.0 as usize % 300]);
        let payload = self.mutate(&vec![self.0 as u8; len]);
        let mut bytes = frame(first, &payload);
        if self.below(3) == 0 {
            let at = self.below(bytes.len().min(14));
            bytes[at] ^= 1 << self.below(8);
        }
        bytes.truncate(if self.below(8) == 0 { self.below(bytes.len()) } else { bytes.len() });
        bytes
    }
}

/// One connection with some 30 inputs; their number.
fn round(address: std::net::SocketAddr, seed: u64) -> usize {
    let mut dice = Dice(seed);
    let mut wire = Wire::open(address);
    if dice.below(12) == 0 {
        wire.try_send(&dice.mutate(handshake("/").as_bytes()));
        ends(wire, seed);
        return 1;
    }
    wire.send(handshake("/").as_bytes());
    assert!(wire.http_head().starts_with("HTTP/1.1 101 "), "seed {seed}");
    let inputs = if dice.below(6) == 0 { frames(&mut dice) } else { messages(&mut dice) };
    // All at once, or one by one.
    if dice.below(2) == 0 {
        wire.try_send(&inputs.concat());
    } else {
        let _ = inputs.iter().all(|input| wire.try_send(input));
    }
    ends(wire, seed);
    inputs.len()
}

fn messages(dice: &mut Dice) -> Vec<Vec<u8>> {
    let count = 10 + dice.below(50);
    let message = |dice: &mut Dice| {
        let payload = dice.pick(&MESSAGES);
        // Most are good enough JSON to be looked at, else the first would end every round.
        let payload =
            if dice.below(40) == 0 { dice.mutate(payload.as_bytes()) } else { swap_values(dice, payload) };
        frame(if dice.below(4) == 0 { BINARY } else { TEXT }, &payload)
    };
    (0..count).map(|_| message(dice)).collect()
}

fn frames(dice: &mut Dice) -> Vec<Vec<u8>> {
    let count = 1 + dice.below(6);
    (0..count).map(|_| dice.frame()).collect()
}

/// A message with some of its values replaced by values of other types.
fn swap_values(dice: &mut Dice, message: &str) -> Vec<u8> {
    const VALUES: [&str; 14] = [
        "null",
        "true",
        "0",
        "-1",
        "1e999",
        "0.5",
        "\"\"",
        "\"x\"",
        "\"\\u0000\"",
        "[]",
        "{}",
        "[\"c\"]",
        "{\"a\":{}}",
        "\"r@random.test\"",
    ];
    let mut text = message.to_owned();
    for _ in 0..dice.below(3) {
        let ends: Vec<_> = text.match_indices([',', '}']).map(|(at, _)| at).collect();
        let end = dice.pick(&ends);
        if let Some(colon) = text[..end].rfind(':') {
            text.replace_range(colon + 1..end, dice.pick(&VALUES));
        }
    }
    text.into_bytes()
}

/// The connection comes to an end once nothing more will be sent on it.
fn ends(mut wire: Wire, seed: u64) {
    wire.finish_sending();
    let (_, end) = wire.rest();
    assert_ne!(end, Seen::Nothing, "a connection hangs; repeat with BAD_INPUT_SEED={seed} BAD_INPUTS=1");
}

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|value| value.parse().ok()).unwrap_or(default)
}

#[test]
fn random_input_disturbs_nobody() {
    let (most, first) = (number("BAD_INPUTS", 20_000) as usize, number("BAD_INPUT_SEED", 1));
    let scene = Scene::begin(&["--echo-endpoint", "--heartbeat-timeout", "600000"]);
    let (mut inputs, mut seed) = (0, first);
    while inputs < most {
        inputs += round(scene.address(), seed);
        seed += 1;
    }
    println!("{inputs} random inputs on {} connections, seeds {first} to {}", seed - first, seed - 1);
    scene.end();
}
