//! Ladders without shards: what is kept of which watch, and how it is drawn.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::watch::PAYLOAD_BYTES_MAX;
use super::*;
use crate::exchange::ids::{CallId, Handle, LegId, LineId, ShardId};
use crate::exchange::time::{Moment, Tick};

const ALICE: &str = "alice@x.test";
const BOB: &str = "bob@x.test";

fn line(slot: u32) -> LineId {
    LineId(Handle::new(ShardId::new(0), slot, 1))
}

fn call(random: u128) -> CallId {
    CallId::mint(LegId(line(1).0), random)
}

fn address(text: &str, payloads: bool) -> Watch {
    Watch { subject: Subject::Address(text.into()), payloads }
}

/// Shards that say everything to one console.
struct Scene {
    filter: Filter,
    sink: StepSink,
    ladders: Ladders,
    told: Arc<AtomicUsize>,
    micros: u64,
}

impl Scene {
    fn new() -> Self {
        let (sink, steps) = step_channel();
        let told = Arc::new(AtomicUsize::new(0));
        let tell = told.clone();
        let publish = move |list: WatchList| tell.store(list.len(), Ordering::Relaxed);
        let ladders = Ladders::new(sink.clone(), steps, Box::new(publish));
        Self { filter: Filter::default(), sink, ladders, told, micros: 0 }
    }

    fn watching(watch: Watch) -> (Self, WatchId) {
        let mut scene = Self::new();
        let id = scene.ladders.begin(watch.clone(), 0).expect("there is room");
        scene.filter.renew([watch].into());
        (scene, id)
    }

    fn frame(&mut self, slot: u32, name: &str, way: Way, sketch: &Sketch<'_>) {
        self.micros += 10;
        let name = Some(name).filter(|name| !name.is_empty());
        let Some(admitted) = self.filter.admit(line(slot), name, sketch) else { return };
        let at = Moment { tick: Tick::from_micros(self.micros), wall_ms: 0 };
        let step = Step::new(at, line(slot), way, sketch, None, &admitted);
        self.filter.give(step, &self.sink);
    }

    fn frames(&mut self, id: WatchId) -> Vec<String> {
        let picture = self.ladders.look(id, 0).expect("it is watched");
        let of = |rung: &Rung| {
            format!("{} > {} {}", picture.parties[rung.from], picture.parties[rung.to], rung.label())
        };
        picture.rungs.iter().map(of).collect()
    }
}

fn msg(call: CallId, payload: &[u8]) -> Sketch<'_> {
    Sketch { frame: "MSG", call: Some(call), payload: Some(payload), ..Sketch::default() }
}

fn naming<'f>(frame: &'static str, call: Option<CallId>, peer: &'f str) -> Sketch<'f> {
    Sketch { frame, call, peer: Some(peer), ..Sketch::default() }
}

#[test]
fn an_address_brings_both_ends_of_its_calls_and_nobody_elses() {
    let (mut scene, id) = Scene::watching(address(ALICE, false));
    let (theirs, other) = (call(1), call(2));
    scene.frame(1, ALICE, Way::In, &naming("DIAL", None, BOB));
    scene.frame(2, BOB, Way::Out, &naming("RING", Some(theirs), ALICE));
    scene.frame(2, BOB, Way::In, &msg(other, b"to somebody else"));
    scene.frame(2, BOB, Way::In, &Sketch { frame: "ANSWER", call: Some(theirs), ..Sketch::default() });
    scene.frame(1, ALICE, Way::Out, &naming("CONNECTED", Some(theirs), BOB));
    scene.frame(2, BOB, Way::In, &msg(theirs, b"secret"));
    scene.frame(3, "carol@x.test", Way::In, &Sketch { frame: "HEARTBEAT", ..Sketch::default() });
    assert_eq!(
        scene.frames(id),
        [
            "alice@x.test > exchange DIAL bob@x.test",
            "exchange > bob@x.test RING alice@x.test",
            "bob@x.test > exchange ANSWER",
            "exchange > alice@x.test CONNECTED bob@x.test",
            "bob@x.test > exchange MSG (6 B)",
        ]
    );
}

#[test]
fn one_call_is_watched_by_its_id_alone() {
    let (this, other) = (call(1), call(2));
    let (mut scene, id) = Scene::watching(Watch {
        subject: Subject::call(&this.to_string()).expect("it is an id"),
        payloads: false,
    });
    scene.frame(1, ALICE, Way::In, &msg(this, b"yes"));
    scene.frame(1, ALICE, Way::In, &msg(other, b"no"));
    assert_eq!(scene.frames(id), ["alice@x.test > exchange MSG (3 B)"]);
}

#[test]
fn what_is_said_is_copied_only_if_asked_for_and_only_its_beginning() {
    let long = vec![b'x'; PAYLOAD_BYTES_MAX + 7];
    for (payloads, kept) in [(false, None), (true, Some(PAYLOAD_BYTES_MAX))] {
        let (mut scene, id) = Scene::watching(address(ALICE, payloads));
        scene.frame(1, ALICE, Way::In, &msg(call(1), &long));
        let picture = scene.ladders.look(id, 0).expect("it is watched");
        assert_eq!(picture.rungs[0].payload.as_ref().map(String::len), kept);
        assert_eq!(picture.rungs[0].bytes, long.len());
    }
}

#[test]
fn who_registers_is_known_before_he_has_a_name_and_after() {
    let (mut scene, id) = Scene::watching(address(ALICE, false));
    scene.frame(1, "", Way::In, &naming("REGISTER", None, ALICE));
    let refused =
        Sketch { frame: "REGISTER_FAILED", words: Some("address_in_use".into()), ..Sketch::default() };
    scene.frame(1, "", Way::Out, &refused);
    scene.frame(1, "", Way::In, &Sketch::remark("lost", ""));
    scene.frame(2, "", Way::In, &Sketch::remark("lost", ""));
    assert_eq!(
        scene.frames(id),
        [
            "alice@x.test > exchange REGISTER alice@x.test",
            "exchange > alice@x.test REGISTER_FAILED address_in_use",
            "alice@x.test > exchange lost ",
        ]
    );
}

#[test]
fn watches_and_steps_are_bounded_and_what_nobody_looks_at_ends() {
    let mut scene = Scene::new();
    let ids: Vec<_> = (0..WATCHES_MAX)
        .map(|_| scene.ladders.begin(address(ALICE, false), 0).expect("there is room"))
        .collect();
    assert_eq!(scene.ladders.begin(address(BOB, false), 0), Err(WatchError::TooMany));
    scene.filter.renew([address(ALICE, false)].into());
    for _ in 0..STEPS_MAX + 5 {
        scene.frame(1, ALICE, Way::In, &msg(call(1), b""));
    }
    let picture = scene.ladders.look(ids[0], 0).expect("it is watched");
    assert_eq!((picture.rungs.len(), picture.rungs[0].number), (STEPS_MAX, 6));
    let later = 15 * 60 * 1000 - 1;
    assert!(scene.ladders.look(ids[1], later).is_some());
    assert_eq!(scene.ladders.tend(later + 1).len(), WATCHES_MAX - 1);
    assert_eq!(scene.ladders.list().iter().map(|view| view.id).collect::<Vec<_>>(), [ids[1]]);
    assert!(scene.ladders.end(ids[1]).is_some() && scene.ladders.end(ids[1]).is_none());
    assert_eq!(scene.told.load(Ordering::Relaxed), 0, "the shards know that nothing is watched");
}

#[test]
fn shards_that_say_too_much_wait_for_nobody() {
    let (mut scene, id) = Scene::watching(address(ALICE, false));
    for _ in 0..10_000 {
        scene.frame(1, ALICE, Way::In, &msg(call(1), b""));
    }
    let picture = scene.ladders.look(id, 0).expect("it is watched");
    assert_eq!((picture.rungs.len(), picture.lost), (STEPS_MAX, 10_000 - 3072));
}

/// What a ladder is looked at for is how a call begins and ends, and that nothing is missing without a word.
#[test]
fn a_flood_of_messages_leaves_room_for_the_end_of_the_call_and_the_gap_is_told() {
    let (mut scene, id) = Scene::watching(address(ALICE, false));
    for _ in 0..5_000 {
        scene.frame(1, ALICE, Way::In, &msg(call(1), b""));
    }
    let words = Some("normal".into());
    scene.frame(
        1,
        ALICE,
        Way::In,
        &Sketch { frame: "HANGUP", call: Some(call(1)), words, ..Sketch::default() },
    );
    let last = scene.frames(id).pop().expect("there are frames");
    assert_eq!(last, "alice@x.test > exchange [1928 frames left out] HANGUP normal");
    scene.frame(1, ALICE, Way::In, &msg(call(1), b""));
    assert_eq!(scene.frames(id).pop().as_deref(), Some("alice@x.test > exchange MSG"));
}

#[test]
fn rungs_stand_in_the_order_of_time_whichever_shard_was_first() {
    let (mut scene, id) = Scene::watching(address(ALICE, false));
    scene.micros = 5_000;
    scene.frame(1, ALICE, Way::Out, &naming("RING", Some(call(1)), BOB));
    scene.micros = 1_000;
    scene.frame(2, BOB, Way::In, &naming("DIAL", None, ALICE));
    let picture = scene.ladders.look(id, 0).expect("it is watched");
    let spans: Vec<_> = picture.rungs.iter().map(|rung| (rung.frame, rung.since_last_us)).collect();
    assert_eq!(spans, [("DIAL", 0), ("RING", 4_000)]);
    assert_eq!(picture.parties, [BOB, "exchange", ALICE]);
}

/// What clients send reaches neither the page's nor the diagram's language.
#[test]
fn drawings_escape_what_clients_may_have_sent() {
    const EVIL: &str = "<script>alert(1)</script>\n;end%%\u{0}";
    let (mut scene, id) = Scene::watching(address(ALICE, true));
    scene.frame(1, ALICE, Way::In, &naming("DIAL", Some(call(1)), EVIL));
    scene.frame(1, ALICE, Way::In, &msg(call(1), EVIL.as_bytes()));
    let picture = scene.ladders.look(id, 0).expect("it is watched");
    let (svg, mermaid) = (picture.to_svg(), picture.to_mermaid());
    assert!(svg.contains("&lt;script&gt;") && !svg.contains("<script") && !svg.contains('\0'), "{svg}");
    assert_eq!(mermaid.lines().count(), 1 + 2 + 2, "{mermaid}");
    assert!(!mermaid.contains('<') && !mermaid.contains("%%") && !mermaid.contains('\0'), "{mermaid}");
    assert!(mermaid.contains("P0->>P1: MSG#58; #60;script#62;"), "{mermaid}");
}

/// Other exchanges name their calls as they like, and the name is not known in every frame.
#[test]
fn a_call_with_a_name_from_elsewhere_is_watched_by_that_name() {
    const NAME: &str = "their call/1";
    let watch = Watch { subject: Subject::call(NAME).expect("it is a name"), payloads: false };
    let (mut scene, id) = Scene::watching(watch);
    let call = CallId::parse(NAME.as_bytes());
    let sketch = naming("DIAL_FORWARD", Some(call), ALICE);
    let admitted = scene.filter.admit(line(1), Some("pbx"), &sketch).expect("it is watched");
    for name in [None, Some(NAME), None] {
        let at = Moment { tick: Tick::from_micros(1), wall_ms: 0 };
        scene.sink.give(Step::new(at, line(1), Way::In, &sketch, name, &admitted));
    }
    let picture = scene.ladders.look(id, 0).expect("it is watched");
    assert_eq!((picture.subject.as_str(), picture.rungs.len()), (NAME, 3));
    assert_eq!(Subject::call(""), None);
}

/// A watch that asks for what is said makes the shards copy it; that is nothing for those who did not ask.
#[test]
fn who_did_not_ask_for_what_is_said_is_not_shown_it_though_another_watch_is() {
    let (mut scene, silent) = Scene::watching(address(ALICE, false));
    let curious = scene.ladders.begin(address(ALICE, true), 0).expect("there is room");
    scene.filter.renew([address(ALICE, false), address(ALICE, true)].into());
    scene.frame(1, ALICE, Way::In, &msg(call(1), b"secret"));
    let payload = |id| scene.ladders.look(id, 0).expect("it is watched").rungs[0].payload.clone();
    let [shown, hidden] = [curious, silent].map(payload);
    assert_eq!((shown.as_deref(), hidden), (Some("secret"), None));
}

#[test]
fn a_reader_learns_whether_there_is_anything_new() {
    let (mut scene, id) = Scene::watching(address(ALICE, false));
    assert_eq!(scene.ladders.has_news(id, 0, 0), Some(false));
    scene.frame(1, ALICE, Way::In, &msg(call(1), b""));
    assert_eq!(
        (scene.ladders.has_news(id, 0, 0), scene.ladders.has_news(id, 1, 0)),
        (Some(true), Some(false))
    );
    assert_eq!(scene.ladders.has_news(id, 2, 0), Some(true), "it comes from before a restart");
    assert_eq!(scene.ladders.has_news(id + 1, 0, 0), None);
}

/// A shard that does what the exchange does: of each call one end is watched.
#[test]
fn a_connection_that_is_lost_in_a_watched_call_is_seen_whichever_end_it_is() {
    let this = call(1);
    let by_call = Watch { subject: Subject::call(&this.to_string()).expect("it is an id"), payloads: false };
    for watch in [by_call, address(ALICE, false)] {
        let (mut scene, id) = Scene::watching(watch);
        scene.frame(2, BOB, Way::Out, &naming("RING", Some(this), ALICE));
        scene.frame(3, "carol@x.test", Way::In, &Sketch::remark("lost", ""));
        scene.frame(2, BOB, Way::In, &Sketch::remark("lost", ""));
        scene.frame(1, ALICE, Way::Out, &naming("HANGUP", Some(this), BOB));
        let seen = scene.frames(id);
        assert_eq!(seen[1].trim_end(), "bob@x.test > exchange lost");
        assert_eq!(seen.len(), 3, "{seen:?}");
    }
}

#[test]
fn what_becomes_of_a_line_after_its_watched_call_is_nobodys_business() {
    let this = call(1);
    let (mut scene, id) = Scene::watching(address(ALICE, false));
    scene.frame(2, BOB, Way::Out, &naming("RING", Some(this), ALICE));
    scene.frame(2, BOB, Way::Out, &naming("HANGUP", Some(this), ALICE));
    scene.frame(2, BOB, Way::In, &Sketch::remark("lost", ""));
    assert_eq!(scene.frames(id).len(), 2);
}

/// What others watch costs a call that nobody watches the same few look-ups, however much it is; and nothing if nobody does.
#[test]
fn frames_that_are_not_watched_cost_the_same_however_much_is() {
    let cost = |watches: usize, calls: u128| {
        let mut scene = Scene::new();
        let list: Vec<Watch> =
            (0..watches).map(|number| address(&format!("w{number}@x.test"), true)).collect();
        scene.filter.renew(list.into());
        for number in 0..calls {
            scene.frame(9, "w0@x.test", Way::In, &msg(call(1000 + number), b""));
        }
        scene.filter.looks.set(0);
        scene.frame(1, ALICE, Way::In, &msg(call(1), b"hello"));
        let message = Sketch { peer: Some(ALICE), ..msg(call(1), b"hello") };
        scene.frame(2, BOB, Way::Out, &message);
        scene.filter.looks.get()
    };
    assert_eq!(cost(0, 0), 0);
    assert_eq!(cost(1, 0), 3, "the names");
    assert_eq!(cost(1, 1), 5, "the names, and the call");
    assert_eq!(cost(16, 1000), 5);
}
