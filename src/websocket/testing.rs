//! What the decoder's tests need of a client: masked frames, right and wrong ones, and streams made of them.
//!
//! Compiled for tests only.

use std::borrow::Cow;

use proptest::collection::vec;
use proptest::prelude::*;

use super::{Incoming, Message, MessageKind};

pub(super) const CONTINUATION: u8 = 0;
pub(super) const TEXT: u8 = 1;
pub(super) const BINARY: u8 = 2;
pub(super) const CLOSE: u8 = 8;
pub(super) const PING: u8 = 9;
pub(super) const PONG: u8 = 10;
pub(super) const FIN: u8 = 0x80;

/// A client frame; `first` is FIN, reserved bits and opcode together.
pub(super) fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = head(first, payload.len());
    let mask = [0x37, 0xFA, 0x21, 0x3D];
    bytes.extend_from_slice(&mask);
    bytes.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    bytes
}

/// The head of a masked frame up to the mask.
pub(super) fn head(first: u8, len: usize) -> Vec<u8> {
    let mut bytes = vec![first];
    match len {
        0..=125 => bytes.push(0x80 | len as u8),
        126..=0xFFFF => {
            bytes.push(0x80 | 126);
            bytes.extend_from_slice(&(len as u16).to_be_bytes());
        }
        _ => {
            bytes.push(0x80 | 127);
            bytes.extend_from_slice(&(len as u64).to_be_bytes());
        }
    }
    bytes
}

pub(super) fn message(kind: MessageKind, payload: &[u8]) -> Incoming<'static> {
    let payload = payload.to_vec();
    Incoming::Message(match kind {
        MessageKind::Text => Message::Text(Cow::Owned(String::from_utf8(payload).expect("a text is UTF-8"))),
        MessageKind::Binary => Message::Binary(Cow::Owned(payload)),
    })
}

/// A valid stream and what it says.
#[derive(Clone, Debug, Default)]
pub(super) struct Script {
    pub bytes: Vec<u8>,
    pub events: Vec<Incoming<'static>>,
}

/// Messages in one or several frames, with pings and pongs before, after and inside them.
pub(super) fn scripts() -> impl Strategy<Value = Script> {
    vec(parts(), 0..8).prop_map(|parts| {
        let mut script = Script::default();
        parts.iter().for_each(|(kind, fragments, control)| script.add(*kind, fragments, control));
        script
    })
}

type Parts = (MessageKind, Vec<Vec<u8>>, Option<(bool, Vec<u8>)>);

fn parts() -> impl Strategy<Value = Parts> {
    let control = proptest::option::of((any::<bool>(), vec(any::<u8>(), 0..=125)));
    let text = (proptest::string::string_regex("\\PC{0,200}").expect("a valid pattern"), 1..5_usize)
        .prop_map(|(text, fragments)| (MessageKind::Text, cut(text.as_bytes(), fragments)));
    let binary = (vec(any::<u8>(), 0..700), 1..5_usize)
        .prop_map(|(bytes, fragments)| (MessageKind::Binary, cut(&bytes, fragments)));
    (prop_oneof![text, binary], control).prop_map(|((kind, fragments), control)| (kind, fragments, control))
}

/// Cuts into `count` pieces, also in the middle of characters.
fn cut(bytes: &[u8], count: usize) -> Vec<Vec<u8>> {
    (0..count).map(|i| bytes[bytes.len() * i / count..bytes.len() * (i + 1) / count].to_vec()).collect()
}

impl Script {
    fn add(&mut self, kind: MessageKind, fragments: &[Vec<u8>], control: &Option<(bool, Vec<u8>)>) {
        let last = fragments.len() - 1;
        for (i, fragment) in fragments.iter().enumerate() {
            let opcode = match (i, kind) {
                (0, MessageKind::Text) => TEXT,
                (0, MessageKind::Binary) => BINARY,
                _ => CONTINUATION,
            };
            let fin = if i == last { FIN } else { 0 };
            self.bytes.extend(frame(fin | opcode, fragment));
            // With one fragment the control frame follows the message, with more it lies inside.
            if i + 2 == fragments.len() {
                self.add_control(control);
            }
        }
        self.events.push(message(kind, &fragments.concat()));
        if fragments.len() == 1 {
            self.add_control(control);
        }
    }

    fn add_control(&mut self, control: &Option<(bool, Vec<u8>)>) {
        let Some((is_ping, payload)) = control else { return };
        self.bytes.extend(frame(FIN | if *is_ping { PING } else { PONG }, payload));
        let payload = Cow::Owned(payload.clone());
        self.events.push(if *is_ping { Incoming::Ping(payload) } else { Incoming::Pong(payload) });
    }
}
