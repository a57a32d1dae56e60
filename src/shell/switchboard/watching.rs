//! What an operator watches: frames that concern somebody on his list are handed to the console as they go by.
//!
//! Where nobody watches, each frame costs a look at an empty place. Nothing is waited for, and nothing that is said is copied
//! unless the watch asks for it.

use crate::console::ladder::{Sketch, Step, WatchList, Way};
use crate::exchange::LineId;
use crate::exchange::effect::Notice;
use crate::exchange::event::Request;

use super::Switchboard;

/// Listeners among whom each is looked at when something is said to many. In larger audiences only those are seen that have
/// been seen before, or a watch would cost the shard a millisecond for each message.
const AUDIENCE_SEARCHED_MAX: usize = 1024;

impl Switchboard {
    /// From now on this is watched.
    pub(super) fn watch(&mut self, list: WatchList) {
        self.filter.renew(list);
    }

    /// A line asks for something.
    pub(super) fn watch_request(&mut self, line: LineId, request: &Request<'_>) {
        if self.filter.is_on() {
            self.watch_frame(line, Way::In, &Sketch::of_request(request));
        }
    }

    /// A line is told something.
    pub(super) fn watch_notice(&mut self, line: LineId, notice: &Notice<'_>) {
        if self.filter.is_on() {
            self.watch_frame(line, Way::Out, &Sketch::of_notice(notice));
        }
    }

    /// Many are told the same.
    pub(super) fn watch_publication(&mut self, lines: &[LineId], notice: &Notice<'_>) {
        if !self.filter.is_on() {
            return;
        }
        let sketch = Sketch::of_notice(notice);
        if lines.len() <= AUDIENCE_SEARCHED_MAX {
            return lines.iter().for_each(|&line| self.watch_frame(line, Way::Out, &sketch));
        }
        for line in self.filter.lines_among(lines) {
            self.watch_frame(line, Way::Out, &sketch);
        }
    }

    /// A line's connection ends, or something was not understood: what has no frame of its own in the core.
    pub(super) fn watch_remark(&mut self, line: LineId, way: Way, frame: &'static str, words: &str) {
        if self.filter.is_on() {
            self.watch_frame(line, way, &Sketch::remark(frame, words));
        }
    }

    fn watch_frame(&mut self, line: LineId, way: Way, sketch: &Sketch<'_>) {
        let Some(admitted) = self.filter.admit(line, self.shard.name_of(line), sketch) else { return };
        let name = admitted.call.and_then(|call| self.call_names.as_ref()?.get(call));
        let step = Step::new(self.clock.now(), line, way, sketch, name, &admitted);
        self.filter.give(step, &self.steps);
    }
}
