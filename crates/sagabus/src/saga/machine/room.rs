//! Room at services: an attempt of a step whose service has a limit begins when its saga has a slot for it.

use super::{Command, CompensationPhase, Draft, Phase, Stage, State, Timer};
use crate::clock::Timestamp;
use crate::saga::record::{Effect, Fact};

/// Which way an attempt goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Direction {
    /// The step is done.
    Forward,
    /// It is taken back.
    Backward,
}

/// An attempt that would begin if there were a slot for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Wanted {
    /// The step.
    pub step: usize,
    /// Which way.
    pub direction: Direction,
}

/// What a saga has of the slots of services. Without limits there is nothing in it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Room<'a> {
    /// The positions in the definition of the steps whose attempts need a slot.
    pub limited: &'a [usize],
    /// The positions in the definition of the steps whose compensations need one.
    pub limited_compensations: &'a [usize],
    /// The attempts that there is a slot for.
    pub granted: &'a [Wanted],
    /// The steps whose next attempt, or that of their compensation, is due and has had no slot so far.
    pub due: &'a [usize],
}

impl Draft<'_> {
    /// Whether the attempt may begin. If not, it is said that it waits.
    pub(super) fn has_slot(&mut self, step: usize, direction: Direction) -> bool {
        let (origin, room) = (self.state.origin(step), self.facts.room);
        let is_limited = match direction {
            // Of a list, the items are what its service does.
            Direction::Forward => room.limited.contains(&origin) && !self.state.is_list(step),
            Direction::Backward => room.limited_compensations.contains(&origin),
        };
        let wanted = Wanted { step, direction };
        if !is_limited || room.granted.contains(&wanted) {
            return true;
        }
        if !self.wanting.contains(&wanted) {
            self.wanting.push(wanted);
        }
        false
    }

    /// Attempts that were due before and had no slot.
    pub(super) fn begin_due(&mut self) {
        for &step in self.facts.room.due {
            match self.state.stage {
                Stage::Running => self.retry_due(step),
                Stage::Backward => self.compensation_due(step),
                _ => {}
            }
        }
    }

    /// Its turn has come, and all that it could begin with waits for services: it is under way nevertheless.
    pub(super) fn begin_without_room(&mut self) {
        if self.state.stage == Stage::Queued && !self.wanting.is_empty() {
            self.record(Fact::Begun);
        }
    }

    /// Sets the timer of a step that is ready and has not begun.
    pub(super) fn arm_start(&mut self, step: usize) {
        let limit = self.state.step_of(step).and_then(|step| step.queue_timeout);
        if let Some(limit) = limit
            && self.state.waits_for_first_attempt(step)
            && let Some(ready) = self.state.ready_at(step)
            && !self.is_armed(Timer::Start(step))
        {
            self.arm(Timer::Start(step), ready.after(limit), limit);
        }
    }

    fn is_armed(&self, wanted: Timer) -> bool {
        let mut commands = self.commands.iter();
        commands.any(|it| matches!(it, Command::Arm { timer, .. } if *timer == wanted))
    }

    /// Leaves out what, as things stand at last, does not begin anyway.
    pub(super) fn still_wanting(&mut self) -> Vec<Wanted> {
        let state = &self.state;
        let mut wanting = std::mem::take(&mut self.wanting);
        wanting.retain(|wanted| {
            let phase = state.step(wanted.step).map(|own| &own.phase);
            state.paused.is_none()
                && match wanted.direction {
                    Direction::Forward => {
                        let is_open = matches!(phase, Some(Phase::Pending | Phase::Backoff { .. }));
                        state.stage == Stage::Running && is_open
                    }
                    Direction::Backward => state.stage == Stage::Backward,
                }
        });
        wanting
    }

    /// A step has waited too long from being ready: it never begins.
    pub(super) fn start_expired(&mut self, step: usize) {
        let limit = self.state.step_of(step).and_then(|step| step.queue_timeout);
        let granted = Wanted {
            step,
            direction: Direction::Forward,
        };
        if let Some(limit) = limit
            && self.state.waits_for_first_attempt(step)
            && self.state.is_ready(step)
            && !self.facts.room.granted.contains(&granted)
        {
            let error = format!("was ready and did not begin within {limit:?}");
            self.fail_for_good(step, 0, Effect::None, error);
        }
    }
}

impl State {
    fn waits_for_first_attempt(&self, step: usize) -> bool {
        let own = self.step(step);
        // One that an operator has tried again after that waits for as long as it takes.
        own.is_some_and(|own| {
            own.phase == Phase::Pending && own.attempts == 0 && own.ended_at.is_none()
        })
    }

    /// When the step at `position` could have begun, as the records say: the saga's turn had come, all that it depends on was
    /// done, and of a list there was a place for it. None: it is not so far.
    pub(crate) fn ready_at(&self, position: usize) -> Option<Timestamp> {
        let done_at = |step: usize| self.step(step).filter(|it| it.is_done())?.ended_at;
        let Some((list, items, place)) = self.place_in_list(position) else {
            let dependencies = self.dependencies(position).iter();
            let done = dependencies.map(|&step| done_at(step));
            return std::iter::once(self.begun_at)
                .chain(done)
                .try_fold(Timestamp::default(), |last, at| Some(last.max(at?)));
        };
        let began = self.step(list)?.attempt_at?;
        let before = position.checked_sub(items)?;
        let Some(behind) = before.checked_sub(place) else {
            return Some(began);
        };
        // One more item is let in for each that is done.
        let mut done: Vec<Timestamp> = (items..position).filter_map(done_at).collect();
        done.sort_unstable();
        done.get(behind).copied()
    }

    /// Whether the step at `position` waits between two attempts, of itself or of its compensation.
    pub(crate) fn is_between_attempts(&self, wanted: Wanted) -> bool {
        self.step(wanted.step)
            .is_some_and(|own| match wanted.direction {
                Direction::Forward => matches!(own.phase, Phase::Backoff { .. }),
                Direction::Backward => {
                    matches!(own.compensation.phase, CompensationPhase::Backoff { .. })
                }
            })
    }
}
