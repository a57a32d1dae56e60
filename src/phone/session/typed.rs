//! What each command typed at the prompt does. Dialling and answering are also used by the flags.
//! Invariant: a command that cannot be carried out says so and changes nothing.

use super::{Action, Session, domain_query};
use crate::phone::calls::{CallState, PhoneCall};
use crate::phone::command::{COMMANDS, Command};
use crate::phone::frames::Outgoing;
use crate::phone::report::Report;

impl Session {
    /// Carries out a command, or says why it cannot.
    pub(in crate::phone) fn on_command(&mut self, command: Command) {
        match command {
            Command::Help => self.help(),
            Command::Calls => self.list_calls(),
            Command::Quit => self.stop(),
            Command::Register(address) => {
                self.address = Some(address);
                if self.open {
                    self.register()
                } else {
                    self.note("not connected; will register when the link is up")
                }
            }
            _ if !self.open => self.note("not connected to the exchange"),
            Command::Dial(to) => drop(self.dial(&to)),
            Command::Answer(number) => match number.or_else(|| self.calls.oldest_ringing()) {
                Some(number) => self.answer(number),
                None => self.note("no call rings"),
            },
            Command::Say(text) => match self.calls.current().map(|call| call.number) {
                Some(number) => self.talk(number, text),
                None => self.note("no call is connected; `help` lists the commands"),
            },
            Command::Switch(number) if self.calls.switch(number) => self.list_calls(),
            Command::Switch(_) => self.note("that call is not connected"),
            Command::HangUp(number) => match number.or_else(|| self.calls.likely()) {
                Some(number) => self.hang_up(number),
                None => self.note("there is no call to hang up"),
            },
            Command::Join(party) => self.send(Outgoing::Join { party }),
            Command::PartySay { party, text } => {
                self.send(Outgoing::PartyMsg { party, data: text, content_type: "text" });
            }
            Command::Leave(party) => {
                self.parties.remove(&party);
                self.send(Outgoing::Leave { party: party.clone() });
                self.say(Report::Left { party });
            }
            Command::Presence(domain) => {
                self.send(Outgoing::Presence { query: domain.and_then(domain_query) })
            }
            Command::SetStatus(status) => self.send(Outgoing::Status { status }),
            Command::Sleep => self.send(Outgoing::SleepAck),
        }
    }

    pub(super) fn dial(&mut self, to: &str) -> u32 {
        self.dials_total += 1;
        let reference = format!("phone-{}", self.dials_total);
        let call = self.calls.placed(to, &reference);
        self.say(Report::Dialing { call, to: to.to_owned() });
        self.send(Outgoing::Dial { to: to.to_owned(), reference });
        call
    }

    pub(super) fn answer(&mut self, number: u32) {
        let ringing = self.calls.numbered(number).filter(|call| call.state == CallState::Ringing);
        let Some(call_id) = ringing.and_then(|call| call.call_id.clone()) else {
            return self.note("that call does not ring");
        };
        self.send(Outgoing::Answer { call_id });
        self.connected(number);
    }

    pub(super) fn talk(&mut self, number: u32, text: String) {
        let Some(call_id) = self.calls.numbered(number).and_then(|call| call.call_id.clone()) else { return };
        self.send(Outgoing::Msg { call_id, data: text, content_type: "text" });
    }

    pub(super) fn hang_up(&mut self, number: u32) {
        let Some(call) = self.calls.numbered_mut(number) else {
            return self.note("there is no such call");
        };
        let with = call.with.clone();
        let announced = std::mem::replace(&mut call.cancelled, true);
        if let Some(call_id) = call.call_id.clone() {
            self.calls.remove(number);
            self.send(Outgoing::Hangup { call_id });
        }
        if !announced {
            self.say(Report::Hangup { call: number, with, reason: "normal".into() });
        }
    }

    fn list_calls(&mut self) {
        let current = self.calls.current().map(|call| call.number);
        let line = |call: &PhoneCall| Report::Call {
            call: call.number,
            with: call.with.clone(),
            state: call.state.word(),
            current: current == Some(call.number),
        };
        let lines: Vec<Report> = self.calls.iter().map(line).collect();
        if lines.is_empty() {
            return self.note("no calls");
        }
        self.out.extend(lines.into_iter().map(Action::Say));
    }

    fn help(&mut self) {
        for (_, form, about) in COMMANDS {
            self.say(Report::Help { form, about });
        }
    }
}
