//! Which times of the wall clock have surely come, on a machine whose clock may be set. Pure.

use std::time::Duration;

use super::Timestamp;

/// Difference between wall clock and monotone clock that is taken as correct at once: clocks are read one after the other,
/// and corrections of this size make nobody early by more.
const STEP: Duration = Duration::from_secs(1);
/// How long a clock that was set ahead must stay so to be believed: time for the one who set it wrongly, or for the
/// service that keeps the clock, to take it back.
pub(crate) const BELIEVED_AFTER: Duration = Duration::from_mins(10);

/// Follows the wall clock, and believes a jump ahead only when it stays.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Steady {
    /// Wall clock and monotone clock when they agreed last.
    agreed: Option<(Timestamp, Duration)>,
    /// Since when the wall clock is off, and by how many milliseconds.
    jump: Option<(Duration, i64)>,
}

impl Steady {
    /// The latest wall time that has surely come, when the wall clock shows `now` and the monotone one `elapsed`. A clock
    /// that was set back is believed at once, since nothing comes early by it.
    pub(crate) fn surely(&mut self, now: Timestamp, elapsed: Duration) -> Timestamp {
        let Some((wall, since)) = self.agreed else {
            self.agreed = Some((now, elapsed));
            return now;
        };
        let steady = wall.after(elapsed.saturating_sub(since));
        let off_ms = now.milliseconds() - steady.milliseconds();
        if is_step(off_ms) {
            self.agreed = Some((now, elapsed));
            self.jump = None;
            return now;
        }
        match self.jump {
            Some((began, ms)) if is_step(off_ms - ms) => {
                if elapsed.saturating_sub(began) >= BELIEVED_AFTER {
                    self.agreed = Some((now, elapsed));
                    self.jump = None;
                    return now;
                }
            }
            _ => self.jump = Some((elapsed, off_ms)),
        }
        now.min(steady)
    }

    /// For how long a time that the wall clock shows may still not be believed; `None` when nothing is in doubt.
    pub(crate) fn doubt(&self, elapsed: Duration) -> Option<Duration> {
        let (began, _) = self.jump?;
        Some(BELIEVED_AFTER.saturating_sub(elapsed.saturating_sub(began)))
    }
}

fn is_step(ms: i64) -> bool {
    Duration::from_millis(ms.unsigned_abs()) <= STEP
}

#[cfg(test)]
mod tests;
