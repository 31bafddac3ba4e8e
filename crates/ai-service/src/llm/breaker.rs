//! Stops asking what fails again and again. Pure: times are arguments, since some fixed point.

use std::time::Duration;

/// Failures in a row after which nothing is asked for a while.
const FAILURES_MAX: u32 = 5;

/// Whether something may be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Gate {
    /// It may.
    Open,
    /// Not now.
    Closed,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Asking,
    /// Nothing until then.
    Resting(Duration),
    /// One question tries it; should its outcome never be told, another one may from then on.
    Trying(Duration),
}

/// Counts failures in a row.
#[derive(Clone, Debug)]
pub(super) struct Breaker {
    state: State,
    in_a_row: u32,
    failures: u64,
    open_for: Duration,
}

impl Breaker {
    pub(super) fn new(open_for: Duration) -> Self {
        Self {
            state: State::Asking,
            in_a_row: 0,
            failures: 0,
            open_for,
        }
    }

    /// Asks to ask.
    pub(super) fn ask(&mut self, now: Duration) -> Gate {
        match self.state {
            State::Asking => Gate::Open,
            State::Resting(until) | State::Trying(until) if now < until => Gate::Closed,
            State::Resting(_) | State::Trying(_) => {
                self.state = State::Trying(now + self.open_for);
                Gate::Open
            }
        }
    }

    pub(super) fn succeeded(&mut self) {
        self.state = State::Asking;
        self.in_a_row = 0;
    }

    pub(super) fn failed(&mut self, now: Duration) {
        self.failures = self.failures.saturating_add(1);
        self.in_a_row = self.in_a_row.saturating_add(1);
        let was_tried = matches!(self.state, State::Trying(_));
        if was_tried || self.in_a_row >= FAILURES_MAX {
            self.state = State::Resting(now + self.open_for);
        }
    }

    /// 0: asked, 1: not asked, 2: tried.
    pub(super) fn state(&self, now: Duration) -> u8 {
        match self.state {
            State::Asking => 0,
            State::Resting(until) if now < until => 1,
            State::Resting(_) | State::Trying(_) => 2,
        }
    }

    /// Failures ever.
    pub(super) fn failures(&self) -> u64 {
        self.failures
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn five_failures_in_a_row_stop_the_asking_for_a_minute_and_one_question_decides() {
        let mut breaker = Breaker::new(at(60));
        for _ in 0..4 {
            assert_eq!(breaker.ask(at(0)), Gate::Open);
            breaker.failed(at(0));
        }
        breaker.succeeded();
        for _ in 0..5 {
            assert_eq!((breaker.ask(at(0)), breaker.state(at(0))), (Gate::Open, 0));
            breaker.failed(at(0));
        }
        assert_eq!(
            (breaker.ask(at(59)), breaker.state(at(59))),
            (Gate::Closed, 1)
        );
        assert_eq!(breaker.ask(at(60)), Gate::Open);
        assert_eq!(
            (breaker.ask(at(60)), breaker.state(at(60))),
            (Gate::Closed, 2)
        );
        breaker.failed(at(61));
        assert_eq!(breaker.ask(at(120)), Gate::Closed);
        assert_eq!(breaker.ask(at(121)), Gate::Open);
        // It was dropped, and says nothing: the next one may try.
        assert_eq!(breaker.ask(at(181)), Gate::Open);
        breaker.succeeded();
        assert_eq!((breaker.state(at(181)), breaker.failures()), (0, 10));
    }
}
