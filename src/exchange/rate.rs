//! The limit on dials: a fixed window for each line (spec section 9, step 2).
//!
//! The window starts at the first dial; every dial counts, whatever becomes of it, also those turned down.

use super::time::Tick;

/// The dials of one line within its current window. Packed to 12 bytes: every line has one, and eight bytes less of a line
/// are worth more than an aligned read at each dial.
#[derive(Clone, Copy, Default, Debug)]
#[repr(Rust, packed(4))]
pub struct DialWindow {
    start_ms: u64,
    attempts: u32,
}

impl DialWindow {
    /// Counts a dial. Says whether it is within `max` dials of a window of `window_ms`.
    pub fn admit(&mut self, now: Tick, max: u32, window_ms: u64) -> bool {
        let now_ms = now.millis();
        if self.attempts == 0 || now_ms.saturating_sub(self.start_ms) >= window_ms {
            *self = Self { start_ms: now_ms, attempts: 0 };
        }
        self.attempts = self.attempts.saturating_add(1);
        self.attempts <= max
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_dial_after_the_last_allowed_one_is_turned_down_until_the_window_is_over() {
        let mut window = DialWindow::default();
        let at = Tick::from_millis;
        assert!((0..3).all(|n| window.admit(at(5000 + n), 3, 1000)));
        assert!(!window.admit(at(5500), 3, 1000));
        assert!(!window.admit(at(5999), 3, 1000));
        assert!(window.admit(at(6000), 3, 1000));
    }
}
