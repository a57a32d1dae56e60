//! Status, heartbeats, and going to sleep (spec sections 6 and 7).
//!
//! A line sleeps by SLEEP_ACK, or by itself after an idle time and a notice. What wakes it again is in `wake.rs`.

use crate::exchange::cause::Cause;
use crate::exchange::effect::{Notice, Outbox};
use crate::exchange::event::{AutoSleepChange, Status, Verb};
use crate::exchange::ids::LineId;
use crate::exchange::limits::{SHORTEST_WAIT_MS, SLEEP_NOTICE_MS, TIMER_MS_MAX};
use crate::exchange::line::AutoSleep;
use crate::exchange::time::Moment;
use crate::exchange::timers::Due;

use super::Shard;
use super::departure::Afterlife;

impl Shard {
    /// STATUS. The status counts even if what is said about sleeping makes no sense.
    pub(super) fn set_status(
        &mut self,
        now: Moment,
        line: LineId,
        status: Status,
        change: AutoSleepChange,
        out: &mut Outbox<'_>,
    ) {
        let Some(entry) = self.lines.get_mut(line.0) else { return };
        entry.choose(status);
        if change == AutoSleepChange::Invalid {
            self.refuse(line, Verb::Status, Cause::InvalidAutoSleep, out);
        }
        self.set_auto_sleep(now, line, change);
        self.serve_waiting(now, line, out);
    }

    fn set_auto_sleep(&mut self, now: Moment, line: LineId, change: AutoSleepChange) {
        match change {
            AutoSleepChange::Invalid => {}
            AutoSleepChange::Absent | AutoSleepChange::Off => {
                self.stop_idle_timer(line);
                if let Some(reach) = self.lines.get_mut(line.0).and_then(|entry| entry.reach.as_mut()) {
                    reach.auto_sleep = None;
                }
            }
            AutoSleepChange::After { idle_ms } => {
                self.stop_idle_timer(line);
                let Some(entry) = self.lines.get_mut(line.0) else { return };
                entry.reach_mut().auto_sleep =
                    Some(AutoSleep { idle_ms, timer: None, due: None, pending: false });
                self.restart_idle_timer(now, line);
            }
        }
    }

    /// HEARTBEAT: the one thing that shows that a line is alive.
    pub(super) fn heartbeat(&mut self, now: Moment, line: LineId, out: &mut Outbox<'_>) {
        let Some(entry) = self.lines.get_mut(line.0) else { return };
        entry.heard_s = now.tick.seconds();
        if entry.reach.is_some() {
            self.restart_idle_timer(now, line);
        }
        out.notify(line, Notice::HeartbeatHeard { wall_ms: now.wall_ms });
    }

    /// SLEEP_ACK, also without being asked.
    pub(super) fn sleep_now(&mut self, now: Moment, line: LineId, out: &mut Outbox<'_>) {
        let Some(entry) = self.lines.get(line.0) else { return };
        if entry.address.is_none() {
            return self.refuse(line, Verb::SleepAck, Cause::NotRegistered, out);
        }
        if entry.wake().is_none() {
            return self.refuse(line, Verb::SleepAck, Cause::WakeNotConfigured, out);
        }
        self.dismiss(now, line, Cause::Sleep, Afterlife::Sleeps, out);
    }

    /// Starts the idle time of a line that goes to sleep by itself anew; also calls off a sleep that was announced.
    pub(super) fn restart_idle_timer(&mut self, now: Moment, line: LineId) {
        self.stop_idle_timer(line);
        let Some(setting) = self.lines.get_mut(line.0).and_then(|entry| entry.auto_sleep_mut()) else {
            return;
        };
        let due = now.tick.plus_millis(setting.idle_ms.clamp(SHORTEST_WAIT_MS, TIMER_MS_MAX));
        (setting.timer, setting.due) = (Some(self.timers.set(due, Due::Sleep(line))), Some(due));
    }

    pub(super) fn stop_idle_timer(&mut self, line: LineId) {
        let Some(setting) = self.lines.get_mut(line.0).and_then(|entry| entry.auto_sleep_mut()) else {
            return;
        };
        (setting.pending, setting.due) = (false, None);
        if let Some(timer) = setting.timer.take() {
            self.timers.cancel(timer);
        }
    }

    /// The line moves to another shard: its idle time goes on there.
    pub(super) fn pack_idle_timer(&mut self, line: LineId) {
        let timer = self.lines.get_mut(line.0).and_then(|entry| entry.auto_sleep_mut()?.timer.take());
        if let Some(timer) = timer {
            self.timers.cancel(timer);
        }
    }

    /// The line has arrived from another shard.
    pub(super) fn unpack_idle_timer(&mut self, line: LineId) {
        let Some(setting) = self.lines.get_mut(line.0).and_then(|entry| entry.auto_sleep_mut()) else {
            return;
        };
        setting.timer = setting.due.map(|due| self.timers.set(due, Due::Sleep(line)));
    }

    /// A call has come in: a sleep that was announced does not happen, and the idle time begins anew.
    pub(super) fn call_off_sleep(&mut self, now: Moment, line: LineId) {
        if self.lines.get(line.0).is_some_and(|entry| entry.reach.is_some()) {
            self.restart_idle_timer(now, line);
        }
    }

    /// The idle time, or the time of the notice, is over.
    pub(super) fn on_idle(&mut self, now: Moment, line: LineId, out: &mut Outbox<'_>) {
        let Some(entry) = self.lines.get_mut(line.0) else { return };
        let (in_call, registered) = (entry.in_call(), entry.address.is_some());
        let Some(setting) = entry.auto_sleep_mut() else { return };
        (setting.timer, setting.due) = (None, None);
        if in_call {
            return self.restart_idle_timer(now, line);
        }
        if !registered {
            return;
        }
        if setting.pending {
            return self.dismiss(now, line, Cause::Sleep, Afterlife::Sleeps, out);
        }
        let notice_ms = setting.idle_ms.clamp(*SLEEP_NOTICE_MS.start(), *SLEEP_NOTICE_MS.end());
        let due = now.tick.plus_millis(notice_ms);
        setting.pending = true;
        (setting.timer, setting.due) = (Some(self.timers.set(due, Due::Sleep(line))), Some(due));
        out.notify(line, Notice::SleepPending { seconds: notice_ms / 1000 });
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::exchange::Event;
    use crate::exchange::effect::Effect;
    use crate::exchange::event::Request;
    use crate::exchange::ids::ShardId;
    use crate::exchange::limits::Limits;
    use crate::exchange::shard::Setup;

    #[test]
    fn a_status_counts_although_what_comes_with_it_about_sleeping_is_refused() {
        let limits = Arc::new(Limits::default());
        let mut shard = Shard::new(Setup { id: ShardId::new(0), shards: 1, seed: [7; 32], limits });
        let now = Moment::default();
        let line = shard.open_line(now, false).expect("the shard is empty");
        let request = Request::Status { status: Status::Dnd, auto_sleep: AutoSleepChange::Invalid };
        let mut out = Outbox::default();
        shard.handle(now, Event::Request { line, request }, &mut out);
        let refused = |effect: &Effect<'_>| {
            let Effect::Notify { notice: Notice::Refused { verb, cause }, .. } = effect else { return false };
            *verb == Verb::Status && *cause == Cause::InvalidAutoSleep
        };
        assert!(matches!(&out.effects[..], [effect] if refused(effect)), "{:?}", out.effects);
        assert_eq!(shard.lines.get(line.0).map(|line| line.shown()), Some(Status::Dnd));
    }
}
