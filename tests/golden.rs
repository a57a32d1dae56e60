//! Transcripts: what clients send and what they get back, through a real shard and the dialect, without sockets.
//!
//! A file in `tests/golden/systemx/` is one conversation, read from top to bottom:
//!
//! ```text
//! # a remark
//! A > {...}                    A sends a frame; a client is there from its first line on
//! A < {...}                    what somebody gets: everything, and each client in this order
//! A < close 4000 sleep         a link is closed
//! A hangs up the line          A closes its socket
//! A drops off                  A's socket dies without a close frame
//! wait 30000                   time passes, in ms
//! wake w@x.test                a wake handler is to be run
//! woken answered               the latest one has ended: answered, failed, timed_out
//! ```
//!
//! `$name` stands for a UUID: the first one met there, and the same one from then on. Between different clients no
//! order is promised (spec section 2); the transcripts show that of the spec.

use std::collections::{BTreeMap, VecDeque};
use std::fs;
use std::path::Path;
use std::sync::Arc;

use systemx::dialect::systemx::{
    Bounds, Decoder, WireError, close_of, encode, encode_invalid_address, encode_refusal, encoded_len_hint,
};
use systemx::exchange::effect::{Effect, Notice};
use systemx::exchange::event::{Loss, WakeOutcome};
use systemx::exchange::ids::WakeRun;
use systemx::exchange::shard::{Setup, Shard};
use systemx::exchange::{Event, Limits, LineId, Moment, Outbox, ShardId, Tick};

const BOUNDS: Bounds = Bounds { metadata_bytes_max: 65_536, traces: true };
/// The wall clock at the start of every transcript.
const WALL_MS: u64 = 1_763_000_000_000;
const UUID_LEN: usize = 36;

#[test]
fn every_transcript_of_the_native_protocol_is_reproduced() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/systemx");
    let entries = fs::read_dir(&folder).expect("the folder is part of the project");
    let mut paths: Vec<_> = entries.map(|entry| entry.expect("a readable entry").path()).collect();
    paths.sort();
    assert!(paths.len() > 5, "{} transcripts", paths.len());
    for path in paths {
        let text = fs::read_to_string(&path).expect("a transcript is text");
        let mut play = Play::new(&path);
        for (number, line) in text.lines().enumerate() {
            play.at = number + 1;
            play.perform(line.trim());
        }
        play.expect_silence();
    }
}

/// One transcript being played.
struct Play {
    file: String,
    at: usize,
    shard: Shard,
    decoder: Decoder,
    now: Moment,
    clients: BTreeMap<String, LineId>,
    /// What has come out and has not been expected yet.
    heard: VecDeque<String>,
    ids: BTreeMap<String, String>,
    runs: Vec<WakeRun>,
}

impl Play {
    fn new(path: &Path) -> Self {
        let limits = Arc::new(Limits::default());
        Self {
            file: path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default(),
            at: 0,
            shard: Shard::new(Setup { id: ShardId::new(0), shards: 1, seed: [42; 32], limits }),
            decoder: Decoder::new(BOUNDS),
            now: Moment { tick: Tick::default(), wall_ms: WALL_MS },
            clients: BTreeMap::new(),
            heard: VecDeque::new(),
            ids: BTreeMap::new(),
            runs: Vec::new(),
        }
    }

    fn perform(&mut self, line: &str) {
        if line.is_empty() || line.starts_with('#') {
            return;
        }
        let is_expected = line.starts_with("wake ") || line.split(' ').nth(1) == Some("<");
        if is_expected {
            return self.expect(line);
        }
        self.expect_silence();
        match line.split_once(' ') {
            Some(("wait", millis)) => self.wait(millis.parse().expect("a number of ms")),
            Some(("woken", outcome)) => self.wake_ends(outcome),
            Some((client, "hangs up the line")) => self.lose(client, Loss::Closed),
            Some((client, "drops off")) => self.lose(client, Loss::Vanished),
            Some((client, sent)) => {
                let frame = sent.strip_prefix("> ").unwrap_or_else(|| panic!("{}: {line}", self.place()));
                self.send(client, frame);
            }
            None => panic!("{}: {line}", self.place()),
        }
    }

    fn place(&self) -> String {
        format!("{}:{}", self.file, self.at)
    }

    /// The next thing that this client got must be this; a new `$name` takes the UUID that stands there.
    fn expect(&mut self, line: &str) {
        let who = |text: &str| text.split(' ').next().map(str::to_owned);
        let next = self.heard.iter().position(|heard| who(heard) == who(line));
        let Some(heard) = next.and_then(|at| self.heard.remove(at)) else {
            panic!("{}: nothing came, not {line}; only {:#?}", self.place(), self.heard)
        };
        let mut wanted = line.to_owned();
        while let Some(at) = wanted.find('$') {
            let length = wanted[at + 1..].find('"').expect("a $name stands alone in a string") + 1;
            let name = wanted[at..at + length].to_owned();
            let Some(here) = heard.get(at..at + UUID_LEN) else { break };
            let is_taken = self.ids.iter().any(|(other, id)| *other != name && id == here);
            assert!(!is_taken, "{}: {here} is no new id\n  heard {heard}", self.place());
            let id = self.ids.entry(name).or_insert_with(|| here.to_owned());
            wanted.replace_range(at..at + length, id);
        }
        assert_eq!(heard, wanted, "{}", self.place());
    }

    fn expect_silence(&self) {
        assert!(self.heard.is_empty(), "{}: unexpected {:#?}", self.place(), self.heard);
    }

    fn line_of(&mut self, client: &str) -> LineId {
        if let Some(&line) = self.clients.get(client) {
            return line;
        }
        let line = self.shard.open_line(self.now, false).expect("there is room");
        self.clients.insert(client.to_owned(), line);
        line
    }

    fn name_of(&self, line: LineId) -> &str {
        let found = self.clients.iter().find(|(_, other)| **other == line);
        found.map(|(name, _)| name.as_str()).unwrap_or_else(|| panic!("{}: nobody is {line}", self.place()))
    }

    fn send(&mut self, client: &str, frame: &str) {
        let line = self.line_of(client);
        let mut frame = frame.to_owned();
        for (name, id) in &self.ids {
            frame = frame.replace(&format!("{name}\""), &format!("{id}\""));
        }
        let mut text = Vec::new();
        match self.decoder.decode(frame.as_bytes(), self.shard.is_registered(line)) {
            Ok(request) => {
                let mut out = Outbox::default();
                self.shard.handle(self.now, Event::Request { line, request }, &mut out);
                return self.carry_out(&out);
            }
            Err(WireError::Refuse(refusal)) => encode_refusal(&refusal, &mut text),
            Err(WireError::InvalidAddress) => encode_invalid_address(&mut text),
            Err(WireError::Close(why)) => {
                let (code, reason) = why.code_and_reason();
                self.heard.push_back(format!("{client} < close {code} {reason}"));
                return self.lose(client, Loss::Closed);
            }
        }
        self.heard.push_back(format!("{client} < {}", String::from_utf8(text).expect("JSON is text")));
    }

    fn lose(&mut self, client: &str, loss: Loss) {
        let line = self.clients.remove(client).expect("a client that is there");
        let mut out = Outbox::default();
        self.shard.handle(self.now, Event::Lost { line, loss }, &mut out);
        self.carry_out(&out);
    }

    fn wake_ends(&mut self, outcome: &str) {
        let outcome = match outcome {
            "answered" => WakeOutcome::Answered,
            "failed" => WakeOutcome::Failed,
            "timed_out" => WakeOutcome::TimedOut,
            other => panic!("{}: {other}", self.place()),
        };
        let run = *self.runs.last().expect("a handler that runs");
        let mut out = Outbox::default();
        self.shard.handle(self.now, Event::Woken { run, outcome }, &mut out);
        self.carry_out(&out);
    }

    /// Goes from deadline to deadline.
    fn wait(&mut self, millis: u64) {
        let end = self.now.tick.plus_millis(millis);
        while let Some((due, _)) = self.shard.next_deadline().filter(|(due, _)| *due <= end) {
            self.pass_to(due);
            let mut out = Outbox::default();
            self.shard.on_deadline(self.now, &mut out);
            self.carry_out(&out);
        }
        self.pass_to(end);
    }

    fn pass_to(&mut self, tick: Tick) {
        let tick = tick.max(self.now.tick);
        self.now = Moment { tick, wall_ms: WALL_MS + tick.millis() };
    }

    fn carry_out(&mut self, out: &Outbox<'_>) {
        for effect in &out.effects {
            match effect {
                Effect::Notify { line, notice } => self.hear(*line, notice),
                Effect::Publish { lines, notice } => lines.iter().for_each(|&line| self.hear(line, notice)),
                Effect::Close { line, cause } => {
                    let (code, reason) = close_of(*cause);
                    let name = self.name_of(*line).to_owned();
                    self.heard.push_back(format!("{name} < close {code} {reason}"));
                    self.clients.remove(&name);
                }
                Effect::Wake { run, address, .. } => {
                    self.runs.push(*run);
                    self.heard.push_back(format!("wake {address}"));
                }
                Effect::SendAway { .. } => panic!("nobody begins a drain"),
                Effect::Relocate { .. } | Effect::Signal { .. } => panic!("there is one shard only"),
                Effect::Pause(_)
                | Effect::Resume(_)
                | Effect::WakeSettled(_)
                | Effect::Record(_)
                | Effect::CallNamed { .. }
                | Effect::CallForgotten(_)
                | Effect::Tie { .. }
                | Effect::Stray(_)
                | Effect::KeysWanted => {}
            }
        }
    }

    fn hear(&mut self, line: LineId, notice: &Notice<'_>) {
        let mut text = Vec::with_capacity(encoded_len_hint(notice));
        encode(notice, &mut text);
        let text = String::from_utf8(text).expect("JSON is text");
        self.heard.push_back(format!("{} < {text}", self.name_of(line)));
    }
}
