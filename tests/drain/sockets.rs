//! A socket that outlives the exchange, as a service manager's does: whoever connects while one exchange drains, after it has gone
//! and before the next is there waits in the kernel's queue and is served by the next. Two processes one after the other on
//! one inherited socket.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread::JoinHandle;

use rustix::process::Signal;
use serde_json::json;
use tokio_tungstenite::tungstenite::Message;

use super::{activated, hangup, pair, sent_away};
use crate::support::phone::register_frame;
use crate::support::{Phone, eventually};

/// Clients that come at one time.
const CROWD: usize = 8;

/// A client that is let in in the end, and how often it had to come.
struct Guest {
    name: String,
    phone: Phone,
    attempts: usize,
}

/// A client that comes again as long as it is told to, at once, and gets a word each time.
fn comes_in(address: SocketAddr, name: String) -> JoinHandle<Guest> {
    // The kernel answers for an exchange that is not there. Connected here, so that the caller knows when that was.
    let mut stream = Some(TcpStream::connect(address).expect("the socket listens"));
    std::thread::spawn(move || {
        for attempts in 1.. {
            let stream = stream.take().or_else(|| TcpStream::connect(address).ok());
            let mut phone = Phone::over(stream.expect("the socket listens"), b"");
            // Who is sent away need not listen any more.
            let _ = phone.try_send(&register_frame(&name, json!({})));
            match phone.next_message() {
                Ok(Message::Text(text)) => {
                    assert!(text.contains("\"REGISTERED\""), "{text}");
                    return Guest { name, phone, attempts };
                }
                Ok(Message::Close(Some(frame))) => assert_eq!(u16::from(frame.code), 1012, "{frame:?}"),
                other => panic!("{name} has heard {other:?} at attempt {attempts}"),
            }
        }
        unreachable!("nobody comes so often")
    })
}

/// The guest once more, after the first exchange has gone: whom that had let in it has sent away since.
fn stays(mut guest: Guest, address: SocketAddr) -> Guest {
    let _ = guest.phone.try_send(&json!({"type": "HEARTBEAT"}));
    match guest.phone.next_message() {
        Ok(Message::Text(_)) => guest,
        Ok(Message::Close(Some(frame))) if u16::from(frame.code) == 1012 => {
            comes_in(address, guest.name).join().expect("it is let in")
        }
        other => panic!("{} has heard {other:?}", guest.name),
    }
}

#[test]
fn whoever_connects_between_two_exchanges_is_served_by_the_second() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback can be listened on");
    let address = listener.local_addr().expect("it is bound");
    let crowd = |when: &str| -> Vec<_> {
        (0..CROWD).map(|number| comes_in(address, format!("{when}{number}@x.test"))).collect()
    };
    let mut first = activated(&listener, &["--drain-seconds", "60", "--drain-retry-ms", "1000"]);
    let (mut a, mut b, call) = pair(&first, 1);
    // Some of these are let in and sent away, the others wait.
    let early = crowd("early");
    first.signal(Signal::TERM);
    first.log.wait_for("draining");
    let meanwhile = crowd("meanwhile");
    a.say(&call, "the first is still there");
    b.expect(json!({"type": "MSG", "call_id": call}));
    a.hang_up(&call);
    assert_eq!(sent_away(&mut b), [hangup(&call, "normal")]);
    assert_eq!(first.wait().code(), Some(0));
    let late = crowd("late");
    let mut second = activated(&listener, &[]);
    let join = |crowd: Vec<JoinHandle<Guest>>| -> Vec<Guest> {
        let joined = crowd.into_iter().map(|guest| guest.join().expect("nobody is cut off without a word"));
        joined.map(|guest| stays(guest, address)).collect()
    };
    let [mut early, mut meanwhile, mut late] = [early, meanwhile, late].map(join);
    assert!(late.iter().all(|guest| guest.attempts == 1), "there was nobody who could have sent them away");
    // All are lines of the second: the first is gone, and so are its lines.
    let call = |from: &mut Guest, to: &mut Guest, names: [&str; 2]| {
        let call = from.phone.call(names[0], &mut to.phone, names[1]);
        from.phone.hang_up(&call);
        to.phone.expect_hangup(&call, "normal");
    };
    for number in 0..CROWD {
        let names = ["early", "meanwhile", "late"].map(|when| format!("{when}{number}@x.test"));
        call(&mut early[number], &mut meanwhile[number], [&names[0], &names[1]]);
        call(&mut meanwhile[number], &mut late[number], [&names[1], &names[2]]);
    }
    second.signal(Signal::TERM);
    eventually("the second ends", || {
        second.log.all().iter().any(|line| line.contains("stopping")).then_some(())
    });
    late.iter_mut().for_each(|guest| assert_eq!(guest.phone.read_until_close().0, 1001));
    assert_eq!(second.wait().code(), Some(0));
}
