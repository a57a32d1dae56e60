//! RFC 6455 as the public conformance suites test it, by their groups, in our own words: on `/echo`, over raw sockets,
//! strictly. A case says what is sent, what must come back, and with which code the server closes if it has to; the
//! stream must then end in order. Each case is run written at once, frame by frame and, if it is small, byte by byte.
//! (Autobahn's own 301 cases, `autobahntestsuite` 0.8.2 on Python 2.7, are run against `/echo` by hand.)

#![expect(clippy::print_stdout, reason = "counts of cases and inputs belong into the output of the tests")]

/// Groups 7: closing.
mod closing;
/// Groups 1 to 5: framing, pings, reserved bits and opcodes, fragments.
mod frames;
/// Groups 9 and 10: sizes and cuts.
mod limits;
/// Group 6: UTF-8.
mod utf8;

use std::time::Duration;

use crate::bad_input::support::*;

/// Cases up to this size are also run byte by byte.
const BYTEWISE_MAX: usize = 600;

/// One case of a suite.
struct Case {
    name: String,
    /// What is sent, in the pieces in which it is written.
    sent: Vec<Vec<u8>>,
    /// What comes back, in this order.
    back: Vec<Seen>,
    /// How it ends.
    ends: Ends,
}

/// How a case ends.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Ends {
    /// The connection is in order, and closed by the client with 1000.
    InOrder,
    /// The server closes with this code.
    Closed(u16),
    /// The client has closed; the server answers with this code, or none.
    Answered(Option<u16>),
}

impl Case {
    fn new(name: impl Into<String>, sent: Vec<Vec<u8>>, back: Vec<Seen>, ends: Ends) -> Self {
        Self { name: name.into(), sent, back, ends }
    }
}

/// How the bytes of a case are written.
#[derive(Clone, Copy, Debug)]
enum Cut {
    Whole,
    Frames,
    Bytes,
}

/// Runs all cases of a group on one exchange; gives the number of runs.
fn run(group: &str, cases: Vec<Case>) {
    let exchange = Exchange::start(&["--echo-endpoint"]);
    let mut runs = 0;
    for case in &cases {
        let len: usize = case.sent.iter().map(Vec::len).sum();
        let cuts = if len <= BYTEWISE_MAX {
            &[Cut::Whole, Cut::Frames, Cut::Bytes][..]
        } else {
            &[Cut::Whole, Cut::Frames]
        };
        for &cut in cuts {
            run_case(&exchange, case, cut);
            runs += 1;
        }
    }
    println!("websocket conformance, {group}: {} cases in {runs} runs, all passed", cases.len());
}

fn run_case(exchange: &Exchange, case: &Case, cut: Cut) {
    let what = format!("{} ({cut:?})", case.name);
    let mut wire = Wire::connect_to(exchange.address, "/echo");
    write(&mut wire, case, cut);
    for expected in &case.back {
        let seen = wire.next();
        assert!(seen == *expected, "{what}: expected {}, seen {}", brief(expected), brief(&seen));
    }
    let code = match case.ends {
        Ends::InOrder => {
            wire.frame(CLOSE, &1000_u16.to_be_bytes());
            Some(1000)
        }
        Ends::Closed(code) => Some(code),
        Ends::Answered(code) => code,
    };
    let seen = wire.next();
    assert!(
        matches!(&seen, Seen::Close(seen, _) if *seen == code),
        "{what}: expected a close {code:?}, seen {}",
        brief(&seen)
    );
    if let Ends::Closed(_) = case.ends {
        // A client answers the close before it goes.
        wire.try_send(&frame(CLOSE, &code.unwrap_or(1000).to_be_bytes()));
    }
    let end = wire.next();
    assert!(end == Seen::End, "{what}: expected the end, seen {}", brief(&end));
}

fn write(wire: &mut Wire, case: &Case, cut: Cut) {
    // The server may have closed before all is out; what comes back tells.
    match cut {
        Cut::Whole => {
            let whole = case.sent.concat();
            // Large echoes are sent while the rest is still being received.
            let mut sending = wire.stream.try_clone().expect("a socket");
            let thread = std::thread::spawn(move || std::io::Write::write_all(&mut sending, &whole).is_ok());
            if case.sent.iter().map(Vec::len).sum::<usize>() <= BYTEWISE_MAX {
                let _ = thread.join();
            }
        }
        Cut::Frames => {
            let pieces = case.sent.clone();
            let mut sending = wire.stream.try_clone().expect("a socket");
            std::thread::spawn(move || {
                pieces.iter().all(|piece| std::io::Write::write_all(&mut sending, piece).is_ok())
            });
        }
        Cut::Bytes => {
            let _ = case.sent.concat().iter().all(|byte| wire.try_send(&[*byte]));
        }
    }
    wire.wait_at_most(Duration::from_secs(60));
}

/// What was seen, short enough to be read.
fn brief(seen: &Seen) -> String {
    let mut text = format!("{seen:?}");
    if text.len() > 200 {
        let end = (0..=200).rev().find(|&end| text.is_char_boundary(end)).unwrap_or(0);
        text.truncate(end);
        text.push_str("...");
    }
    text
}

fn text(text: &str) -> Seen {
    Seen::Text(text.to_owned())
}
