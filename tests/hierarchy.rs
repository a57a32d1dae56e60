//! Three exchanges as three processes, set up as docs/FEDERATION.md says: calls between all of them, one that is killed,
//! one that is cut off without a word.

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::support::phone::id_of;
use crate::support::{Phone, Process, eventually};

const DOCUMENT: &str = include_str!("../docs/FEDERATION.md");
const PEOPLE: [&str; 3] = ["boss@corp.test", "ann@home.test", "rob@lab.home.test"];
/// Short enough to wait for, long enough for a busy machine.
const QUICK: [(&str, &str); 3] = [
    ("FEDERATION_RECONNECT_DELAY_MS", "100"),
    ("FEDERATION_HEARTBEAT_MS", "500"),
    ("SYSTEMX_HEARTBEAT_TIMEOUT", "5000"),
];

/// The variables of the document's commands, one list for each exchange.
fn commands() -> Vec<Vec<(&'static str, &'static str)>> {
    let chapter = DOCUMENT.split("## A tree of three").nth(1).expect("the document has this chapter");
    let block =
        chapter.split("```sh\n").nth(1).and_then(|rest| rest.split("```").next()).expect("it shows commands");
    let variables = |line: &'static str| {
        let (variables, program) = line.rsplit_once(' ').expect("variables and a program");
        assert_eq!(program, "systemx");
        variables.split(' ').map(|pair| pair.split_once('=').expect("NAME=value")).collect()
    };
    block.lines().map(variables).collect()
}

/// Starts one exchange of the document, with ports that are free instead of the document's.
fn start(number: usize, port: u16, above: Option<&Process>) -> Process {
    let (port, mut environment) = (port.to_string(), commands().swap_remove(number));
    environment.retain(|(name, _)| *name != "SYSTEMX_PORT");
    let url = above.map(|parent| format!("{}/", parent.url()));
    for (name, value) in &mut environment {
        if *name == "FEDERATION_PEER_URL" {
            *value = url.as_deref().expect("it has a parent").to_owned().leak();
        }
    }
    environment.extend(QUICK);
    Process::start_with(&["--port", &port], &environment)
}

/// Office, home and laboratory, linked.
fn tree() -> [Process; 3] {
    let office = start(0, 0, None);
    let home = start(1, 0, Some(&office));
    let lab = start(2, 0, Some(&home));
    for exchange in [&office, &home] {
        exchange.log.wait_for("tie line registered");
    }
    [office, home, lab]
}

fn staff(tree: &[Process; 3]) -> [Phone; 3] {
    [0, 1, 2].map(|number| tree[number].registered(PEOPLE[number]))
}

/// A call that is up. Inside one exchange nobody hears that it rings.
fn call(phones: &mut [Phone; 3], from: usize, to: usize) -> String {
    phones[from].send(json!({"type": "DIAL", "to": PEOPLE[to], "metadata": {"from": from}}));
    let ring = phones[to].expect(json!({"type": "RING", "from": PEOPLE[from], "metadata": {"from": from}}));
    let call = id_of(&ring);
    phones[from].expect(json!({"type": "RING", "to": PEOPLE[to], "call_id": call}));
    phones[to].answer(&call);
    phones[from].expect_exactly(json!({"type": "CONNECTED", "call_id": call, "to": PEOPLE[to]}));
    call
}

/// What comes next but for the answers to heartbeats, which keep the phone alive meanwhile.
fn hears(phone: &mut Phone) -> Value {
    eventually("something is said", || {
        phone.send(json!({"type": "HEARTBEAT"}));
        let frame = phone.next();
        (frame["type"] != "HEARTBEAT_ACK").then_some(frame)
    })
}

#[test]
fn everybody_in_the_tree_can_call_everybody() {
    let tree = tree();
    let mut phones = staff(&tree);
    for (from, to) in [(0, 1), (1, 0), (1, 2), (2, 1), (0, 2), (2, 0)] {
        let call = call(&mut phones, from, to);
        for number in 0..20 {
            phones[from].say(&call, number);
            phones[to].say(&call, -number);
        }
        for number in 0..20 {
            phones[to].expect_msg(&call, PEOPLE[from], json!(number));
            phones[from].expect_msg(&call, PEOPLE[to], json!(-number));
        }
        phones[to].hang_up(&call);
        phones[from].expect_hangup(&call, "normal");
    }
    phones[1].dial("nobody@home.test");
    phones[1].expect_busy("nobody@home.test", "no_such_address");
    phones[0].dial("nobody@lab.home.test");
    phones[0].expect_busy("nobody@lab.home.test", "no_such_address");
    let found = phones[0].presence(json!({"domain": "lab.home.test"}));
    assert_eq!(found.iter().map(|entry| entry["address"].as_str()).collect::<Vec<_>>(), [Some(PEOPLE[2])]);
}

/// 19.7, through two links: hosted where the name belongs, heard everywhere once.
#[test]
fn everybody_in_the_tree_can_be_in_one_party() {
    const ROOM: &str = "room@lab.home.test";
    let tree = tree();
    let mut phones = staff(&tree);
    for (number, phone) in phones.iter_mut().enumerate() {
        phone.send(json!({"type": "JOIN", "party": ROOM}));
        let joined = phone.expect(json!({"type": "JOINED", "party": ROOM}));
        assert_eq!(joined["participants"], json!(PEOPLE[..=number]));
    }
    for speaker in 0..phones.len() {
        for number in 0..10 {
            phones[speaker].send(json!({"type": "PARTY_MSG", "party": ROOM, "data": number}));
        }
        for listener in (0..phones.len()).filter(|&listener| listener != speaker) {
            for number in 0..10 {
                let expected =
                    json!({"type": "PARTY_MSG", "party": ROOM, "from": PEOPLE[speaker], "data": number});
                phones[listener].expect_exactly(expected);
            }
        }
        phones[speaker].expect_nothing();
    }
    let [boss, mut ann, mut rob] = phones;
    boss.vanish();
    eventually("the room knows that one has left", || {
        rob.send(json!({"type": "JOIN", "party": ROOM}));
        (rob.next()["participants"] == json!(PEOPLE[1..])).then_some(())
    });
    ann.send(json!({"type": "LEAVE", "party": ROOM}));
    ann.send(json!({"type": "PARTY_MSG", "party": ROOM, "data": 1}));
    ann.expect(json!({"type": "ERROR", "reason": "not_in_party"}));
}

#[test]
fn when_the_one_in_the_middle_is_killed_all_are_told_and_it_is_found_again() {
    let [office, mut home, lab] = tree();
    let address = home.address();
    let (mut boss, mut rob) = (office.registered(PEOPLE[0]), lab.registered(PEOPLE[2]));
    boss.dial(PEOPLE[2]);
    let up = id_of(&rob.expect(json!({"type": "RING"})));
    boss.expect(json!({"type": "RING"}));
    rob.answer(&up);
    boss.expect(json!({"type": "CONNECTED"}));
    let (mut caller, mut callee) = (lab.registered("r2@lab.home.test"), office.registered("b2@corp.test"));
    caller.dial("b2@corp.test");
    let ringing = id_of(&callee.expect(json!({"type": "RING"})));
    caller.expect(json!({"type": "RING"}));

    home.signal(Signal::KILL);
    home.wait();
    boss.expect_hangup(&up, "error");
    rob.expect_hangup(&up, "error");
    caller.expect_busy("b2@corp.test", "unavailable");
    callee.expect_hangup(&ringing, "error");

    let home = start(1, address.port(), Some(&office));
    home.log.wait_for("tie line registered");
    office.log.wait_for("tie line registered");
    let answered = eventually("the way is open again", || {
        boss.dial(PEOPLE[2]);
        let heard = boss.next();
        (heard["type"] == "RING").then(|| id_of(&heard))
    });
    rob.expect(json!({"type": "RING", "call_id": answered}));
}

#[test]
fn when_the_one_in_the_middle_is_cut_off_all_are_told_in_time() {
    let tree = tree();
    let mut phones = staff(&tree);
    let up = call(&mut phones, 0, 2);
    tree[1].signal(Signal::STOP);
    for number in [0, 2] {
        assert_eq!(hears(&mut phones[number]), json!({"type": "HANGUP", "call_id": up, "reason": "error"}));
    }
    // Nobody was told twice, and the way is open again once it is back.
    tree[1].signal(Signal::CONT);
    let [mut boss, _, mut rob] = phones;
    boss.expect_nothing();
    rob.expect_nothing();
    eventually("the way is open again", || {
        boss.dial(PEOPLE[2]);
        (hears(&mut boss)["type"] == "RING").then_some(())
    });
}
