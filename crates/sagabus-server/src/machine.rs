//! What the process takes of its machine: memory, processors, and how late its timers are.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use sagabus::{Clock, SystemClock, Timestamp};
use tokio::time::{Instant, sleep_until};

/// Time between two looks.
const STEP: Duration = Duration::from_secs(1);
/// Looks that are remembered: what is told covers so many seconds.
const LOOKS: usize = 15;
/// Units of processor time in a second, as Linux tells it to programs whatever it counts in itself (proc(5), `USER_HZ`).
const TICKS_PER_SECOND: f64 = 100.0;

/// Memory that the process has in RAM; 0 where the system does not tell.
pub(crate) fn resident_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .and_then(|rest| rest.trim().strip_suffix(" kB"))
        .and_then(|kilobytes| kilobytes.trim().parse::<u64>().ok())
        .unwrap_or(0)
        * 1024
}

/// Processor time of all threads since the start; zero where the system does not tell.
fn processor_time() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    ticks(&stat).map_or(Duration::ZERO, |ticks| {
        Duration::from_secs_f64(ticks / TICKS_PER_SECOND)
    })
}

/// Fields 14 and 15 of `/proc/PID/stat`: time in the program and in the kernel for it. The second field is the program's
/// name, which may have spaces and brackets.
fn ticks(stat: &str) -> Option<f64> {
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_ascii_whitespace().skip(11);
    let user: u32 = fields.next()?.parse().ok()?;
    let system: u32 = fields.next()?.parse().ok()?;
    Some(f64::from(user) + f64::from(system))
}

/// One look.
#[derive(Clone, Copy, Debug)]
struct Look {
    at: Instant,
    processor_time: Duration,
    late: Duration,
}

/// What is known of the machine.
#[derive(Debug)]
pub(crate) struct Machine {
    began: Timestamp,
    /// The last seconds.
    looks: Mutex<VecDeque<Look>>,
}

impl Default for Machine {
    fn default() -> Self {
        Self {
            began: SystemClock.now(),
            looks: Mutex::default(),
        }
    }
}

impl Machine {
    /// Looks each second, for ever.
    pub(crate) async fn watch(&self) {
        let mut due = Instant::now();
        loop {
            sleep_until(due).await;
            let at = Instant::now();
            self.note(Look {
                at,
                processor_time: processor_time(),
                late: at - due,
            });
            due = at + STEP;
        }
    }

    /// When the process began, in seconds since 1970.
    #[expect(
        clippy::cast_precision_loss,
        reason = "milliseconds of some centuries fit"
    )]
    pub(crate) fn began(&self) -> f64 {
        self.began.milliseconds() as f64 / 1_000.0
    }

    fn note(&self, look: Look) {
        let mut looks = self.looks.lock().unwrap_or_else(PoisonError::into_inner);
        if looks.len() > LOOKS {
            looks.pop_front();
        }
        looks.push_back(look);
    }

    /// Processor time in the last seconds, in hundredths of one processor; 0 in the first second.
    pub(crate) fn processor_percent(&self) -> f64 {
        let looks = self.looks.lock().unwrap_or_else(PoisonError::into_inner);
        let (Some(first), Some(last)) = (looks.front(), looks.back()) else {
            return 0.0;
        };
        let spent = last.processor_time.saturating_sub(first.processor_time);
        let passed = last.at - first.at;
        if passed.is_zero() {
            0.0
        } else {
            spent.as_secs_f64() / passed.as_secs_f64() * 100.0
        }
    }

    /// The most that a timer of the last seconds was late: how long the runtime was busy with something else.
    pub(crate) fn late(&self) -> Duration {
        let looks = self.looks.lock().unwrap_or_else(PoisonError::into_inner);
        looks.iter().map(|look| look.late).max().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processor_time_is_read_behind_a_name_with_spaces_and_brackets() {
        let stat = "7 (a) b (c) S 1 7 7 0 -1 4194304 100 0 0 0 250 50 0 0 20 0 9 0 1 2 3";
        assert_eq!(ticks(stat), Some(300.0));
        assert_eq!(ticks("7 (a"), None);
        assert_eq!(ticks("7 (a) S 1"), None);
    }

    #[test]
    fn a_busy_process_has_used_its_processor_and_a_late_timer_is_told_for_some_seconds() {
        let machine = Machine::default();
        assert_eq!(machine.processor_percent(), 0.0);
        let start = Instant::now();
        for second in 0..40 {
            machine.note(Look {
                at: start + Duration::from_secs(second),
                processor_time: Duration::from_millis(1_500 * second),
                late: Duration::from_millis(if second == 30 { 700 } else { 1 }),
            });
        }
        assert!((machine.processor_percent() - 150.0).abs() < 0.001);
        assert_eq!(machine.late(), Duration::from_millis(700));
    }

    #[test]
    fn the_process_has_memory() {
        assert!(resident_bytes() > 100_000);
    }
}
