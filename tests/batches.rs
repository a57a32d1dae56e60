//! Frames for many sockets leave in one system call, or one by one: nobody can tell the difference, whoever among them
//! does not read, or is gone. Real sockets, and an exchange for each way of sending.

use serde_json::{Value, json};

use crate::support::{Phone, Process, address_on};

const STATION: &str = "station@example.test";
const SHARDS: usize = 2;
/// More on one shard than make a batch.
const LISTENERS: usize = 40;
const WORDS: usize = 50;
/// Beyond what the sockets of one that does not read hold, in all.
const WORD_BYTES: usize = 256 << 10;

fn listen(exchange: &Process, station: &mut Phone, number: usize) -> Phone {
    let address = address_on(number % SHARDS, SHARDS, &format!("listener-{number}"));
    let mut phone = exchange.registered(&address);
    phone.dial(STATION);
    phone.expect_connected(STATION);
    station.expect_ring(&address);
    phone
}

/// A deaf one, one that is gone, and the others, who are in calls with each other besides.
fn broadcast_to_all_kinds(exchange: &Process) {
    let mut station = exchange.phone();
    station.register_with(STATION, json!({"concurrency": "broadcast"}));
    let mut phones: Vec<_> = (0..LISTENERS).map(|number| listen(exchange, &mut station, number)).collect();
    let (deaf, gone) = (phones.remove(0), phones.remove(0));
    gone.vanish();
    let session = station.expect(json!({"type": "HANGUP", "reason": "peer_disconnected"}))["call_id"].clone();
    let word = |number: usize| json!({"number": number, "filler": "x".repeat(WORD_BYTES)});
    for number in 0..WORDS {
        station.send(json!({"type": "MSG", "call_id": session, "data": word(number)}));
        for phone in &mut phones {
            let heard = phone.next();
            assert_eq!((&heard["type"], &heard["data"]["number"]), (&json!("MSG"), &json!(number)));
            assert_eq!(heard["data"]["filler"].as_str().map(str::len), Some(WORD_BYTES));
        }
    }
    let cut: Value = station.expect(json!({"type": "HANGUP", "call_id": session}));
    assert_eq!(cut["reason"], "slow_consumer", "of them all only the deaf one is cut: {cut}");
    station.hang_up(session.as_str().expect("ids are text"));
    for phone in &mut phones {
        phone.expect_hangup(session.as_str().expect("ids are text"), "normal");
        phone.expect_nothing();
    }
    drop(deaf);
}

#[test]
fn a_batch_reaches_everybody_and_a_deaf_listener_or_a_lost_one_harms_nobody() {
    broadcast_to_all_kinds(&Process::start(&[]));
}

#[test]
fn without_io_uring_all_is_the_same() {
    broadcast_to_all_kinds(&Process::start_with(&[], &[("SYSTEMX_IO_URING", "false")]));
}

/// The end of a call, which a failed write brings about, concerns others that are written in the same batch.
#[test]
fn a_party_whose_members_call_each_other_hears_everything_once_when_half_of_them_vanish() {
    let exchange = Process::start(&["--shards", "1"]);
    let mut phones: Vec<_> = (0..LISTENERS)
        .map(|number| {
            let mut phone = exchange.registered(&format!("member-{number}@example.test"));
            phone.send(json!({"type": "JOIN", "party": "all@example.test", "create_if_missing": true}));
            phone.expect(json!({"type": "JOINED"}));
            phone
        })
        .collect();
    let mut speaker = phones.remove(0);
    let mut silent = phones.split_off(LISTENERS / 2);
    let calls: Vec<String> = phones
        .iter_mut()
        .zip(&mut silent)
        .enumerate()
        .map(|(number, (phone, callee))| {
            let (from, to) = (number + 1, number + 1 + LISTENERS / 2);
            let [from, to] = [from, to].map(|number| format!("member-{number}@example.test"));
            phone.call(&from, callee, &to)
        })
        .collect();
    for phone in silent {
        phone.vanish();
    }
    for number in 0..WORDS {
        speaker.send(json!({"type": "PARTY_MSG", "party": "all@example.test", "data": number}));
    }
    for (phone, call) in phones.iter_mut().zip(&calls) {
        let (mut heard, mut hung_up) = (0, 0);
        while heard < WORDS || hung_up < 1 {
            let frame = phone.next();
            match frame["type"].as_str() {
                Some("PARTY_MSG") => {
                    assert_eq!(frame["data"], heard, "in order, and once");
                    heard += 1;
                }
                Some("HANGUP") => {
                    assert_eq!(
                        (&frame["call_id"], &frame["reason"]),
                        (&json!(call), &json!("peer_disconnected"))
                    );
                    hung_up += 1;
                }
                _ => panic!("unexpected {frame}"),
            }
        }
        phone.expect_nothing();
    }
}
