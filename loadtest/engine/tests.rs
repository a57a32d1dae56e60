//! The engine with small scenarios of its own against the floor, which sends back what it gets.

use std::net::TcpListener;
use std::sync::{Arc, Mutex};
use std::thread;

use super::run::{self, Outcome, Watch};
use super::timers::{Clock, MILLISECOND, SECOND};
use super::*;
use crate::floor;
use crate::frames::client_text;
use crate::measure::progress::Progress;
use crate::target::Target;

const FIGURES: Figures = Figures { operation: "echo", latencies: &["echo"], counters: &[] };
const FRAMES: u64 = 10;

/// A floor on a thread that lives as long as this process.
fn echo_url() -> String {
    let free = TcpListener::bind("127.0.0.1:0").expect("loopback can be listened on");
    let port = free.local_addr().expect("it is bound").port();
    drop(free);
    thread::spawn(move || floor::serve(port, 0));
    while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
        thread::yield_now();
    }
    format!("ws://127.0.0.1:{port}")
}

fn plan(threads: usize) -> Arc<Plan> {
    Arc::new(Plan {
        target: Target::resolve(&[echo_url()], None, None, false).expect("it is loopback"),
        threads,
        seed: 1,
        tag: "test".to_owned(),
        domain: "load.test".to_owned(),
        token: None,
        clock: Clock::start(),
        warm_up: 0,
        duration: SECOND / 2,
        op_limit: 10 * SECOND,
        connect_limit: 10 * SECOND,
        // The floor does not answer close frames.
        close_limit: 20 * MILLISECOND,
        connects_max: 2,
        spin: false,
        cores: Vec::new(),
    })
}

fn run<S: Scenario + 'static>(plan: &Arc<Plan>, make: impl Fn(Share, &Plan) -> S) -> Outcome {
    let watch = Watch { probe: None, progress: Progress::new(plan.threads, true, 1.0) };
    run::run(plan, watch, 16, make).expect("the floor serves")
}

fn register(name: &str) -> Enter {
    let text = format!(r#"{{"type":"REGISTER","address":"{name}@load.test"}}"#);
    Enter { register: client_text(text.as_bytes()), place: 0 }
}

/// What a scenario saw, for the test.
type Seen = Arc<Mutex<Vec<String>>>;

/// Sends numbered frames and stops reading after the third, for a while.
struct Pausing {
    client: Option<Client>,
    ready: bool,
    seen: Seen,
    received: u64,
}

impl Scenario for Pausing {
    fn figures(&self) -> Figures {
        FIGURES
    }

    fn start(&mut self, ctx: &mut Context) {
        self.client = Some(ctx.connect(register("pausing")));
    }

    fn is_ready(&self) -> bool {
        self.ready
    }

    fn run(&mut self, ctx: &mut Context) {
        let client = self.client.expect("it was asked for");
        for number in 0..FRAMES {
            ctx.send(client, &client_text(format!("{number}").as_bytes()));
        }
        assert!(ctx.backlog(client) > 0);
    }

    fn on_registered(&mut self, _ctx: &mut Context, _client: Client) {
        self.ready = true;
    }

    fn on_frame(&mut self, ctx: &mut Context, client: Client, payload: &[u8]) {
        self.seen.lock().expect("no test panics").push(String::from_utf8_lossy(payload).into_owned());
        self.received += 1;
        ctx.tally.done();
        if self.received == 3 {
            ctx.pause_reading(client);
            ctx.at(ctx.now() + 50 * MILLISECOND, 7);
        }
    }

    fn on_timer(&mut self, ctx: &mut Context, token: u64) {
        self.seen.lock().expect("no test panics").push(format!("timer {token}, {} in", self.received));
        ctx.resume_reading(self.client.expect("it was asked for"));
    }

    fn on_closed(&mut self, _ctx: &mut Context, _client: Client, why: &Closed) {
        self.seen.lock().expect("no test panics").push(format!("{why:?}"));
    }

    fn stop(&mut self, _ctx: &mut Context) {}

    fn in_flight(&self) -> usize {
        (FRAMES - self.received) as usize
    }

    fn finish(&mut self, _ctx: &mut Context) {}
}

#[test]
fn a_client_that_does_not_read_gets_everything_later_and_in_order() {
    let seen = Seen::default();
    let outcome =
        run(&plan(1), |_, _| Pausing { client: None, ready: false, seen: Arc::clone(&seen), received: 0 });
    let due = ["0", "1", "2", "timer 7, 3 in", "3", "4", "5", "6", "7", "8", "9", "Local"];
    assert_eq!(*seen.lock().expect("no test panics"), due);
    assert_eq!((outcome.ledger.operations, outcome.connections), (FRAMES, 1));
}

/// Clients that come and go: of three, one is closed, one cut, and one stays; another comes for each that is gone.
struct Coming {
    share: Share,
    number: u64,
    seen: Seen,
    open: usize,
}

impl Coming {
    fn connect(&mut self, ctx: &mut Context) {
        self.number += 1;
        ctx.connect(register(&format!("coming-{}-{}", self.share.worker, self.number)));
    }
}

impl Scenario for Coming {
    fn figures(&self) -> Figures {
        FIGURES
    }

    fn start(&mut self, ctx: &mut Context) {
        // More than may be under way at once; one of them is given up before it has begun.
        for _ in 0..3 {
            self.connect(ctx);
        }
        let waiting = ctx.connect(register("never"));
        ctx.close(waiting);
    }

    fn is_ready(&self) -> bool {
        self.open >= 3
    }

    fn run(&mut self, _ctx: &mut Context) {}

    fn on_registered(&mut self, ctx: &mut Context, client: Client) {
        self.open += 1;
        match self.open % 3 {
            0 => {}
            1 => ctx.close(client),
            _ => ctx.cut(client),
        }
        ctx.tally.done();
    }

    fn on_frame(&mut self, _ctx: &mut Context, _client: Client, _payload: &[u8]) {}

    fn on_closed(&mut self, ctx: &mut Context, client: Client, why: &Closed) {
        self.seen.lock().expect("no test panics").push(format!("{why:?}"));
        ctx.send(client, b"to nobody");
        if !ctx.is_over() {
            self.connect(ctx);
        }
    }

    fn stop(&mut self, _ctx: &mut Context) {}

    fn in_flight(&self) -> usize {
        0
    }

    fn finish(&mut self, _ctx: &mut Context) {}
}

#[test]
fn clients_come_and_go_and_each_end_is_told_once() {
    let seen = Seen::default();
    let outcome = run(&plan(2), |share, _| Coming { share, number: 0, seen: Arc::clone(&seen), open: 0 });
    let seen = seen.lock().expect("no test panics");
    // In each worker twelve came until four stayed, and one was given up before it began.
    assert_eq!(*seen, vec!["Local"; 26]);
    assert_eq!((outcome.ledger.faults_total, outcome.ledger.errors.len()), (0, 0));
}

#[test]
fn a_token_is_shown_in_register_whatever_it_holds() {
    let token = r#"a"b\c=="#;
    let plan = plan(1);
    let mut plan = Arc::into_inner(plan).expect("nobody else has it");
    let read = |frame: Vec<u8>| {
        let mut frame = frame;
        let mut input = frame.as_mut_slice();
        let payload = crate::frames::next(&mut input).expect("it is whole");
        serde_json::from_slice::<serde_json::Value>(payload).expect("it is JSON")
    };
    assert!(read(plan.register("a@b.c", "")).get("auth").is_none());
    plan.token = token.parse().ok();
    let said = read(plan.register("a@b.c", r#","mode":"single""#));
    assert_eq!((&said["auth"], &said["mode"]), (&token.into(), &"single".into()));
}

/// Has one client, which leaves before the end.
#[derive(Default)]
struct Leaving {
    ready: bool,
}

impl Scenario for Leaving {
    fn figures(&self) -> Figures {
        FIGURES
    }

    fn start(&mut self, ctx: &mut Context) {
        ctx.connect(register("leaving"));
    }

    fn is_ready(&self) -> bool {
        self.ready
    }

    fn run(&mut self, _ctx: &mut Context) {}

    fn on_registered(&mut self, ctx: &mut Context, client: Client) {
        self.ready = true;
        ctx.cut(client);
    }

    fn on_frame(&mut self, _ctx: &mut Context, _client: Client, _payload: &[u8]) {}

    fn on_closed(&mut self, _ctx: &mut Context, _client: Client, _why: &Closed) {}

    fn stop(&mut self, _ctx: &mut Context) {}

    fn in_flight(&self) -> usize {
        0
    }

    fn finish(&mut self, _ctx: &mut Context) {}
}

#[test]
fn a_run_whose_clients_have_all_gone_does_not_wait_for_their_good_bye() {
    let mut plan = Arc::into_inner(plan(1)).expect("nobody else has it");
    plan.close_limit = 60 * SECOND;
    let begun = std::time::Instant::now();
    run(&Arc::new(plan), |_, _| Leaving::default());
    assert!(begun.elapsed() < std::time::Duration::from_secs(30), "{:?}", begun.elapsed());
}
