//! A naive saga: what it is to do, in the plainest words, from the description of sagas and not from the machine.

use std::collections::BTreeSet;

use crate::saga::Compensate;

/// What a step is made of.
#[derive(Clone, Debug)]
pub(super) struct Kind {
    /// All steps before it, at any distance.
    pub(super) before: BTreeSet<usize>,
    pub(super) retries: u32,
    /// When it is taken back; none if there is nothing to take back with.
    pub(super) undo: Option<Compensate>,
    pub(super) is_pivot: bool,
}

/// How an attempt ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum How {
    Ok,
    /// Without effect, may be tried again.
    Retry,
    /// Without effect, for good.
    Reject,
    InDoubt,
    /// Dropped.
    Dropped,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Stands {
    #[default]
    Waits,
    Runs,
    Pauses,
    Done,
    Failed,
    /// Failed behind the pivot.
    Stuck,
    NotRun,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Undo {
    #[default]
    No,
    Runs,
    Pauses,
    Stuck,
    Done,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Unit {
    pub(super) stands: Stands,
    pub(super) attempt: u32,
    failures: u32,
    pub(super) doubt: BTreeSet<u32>,
    /// The attempt that timed out and whose handler is still there.
    pub(super) hangs: Option<u32>,
    place: usize,
    pub(super) undo: Undo,
    pub(super) undo_attempt: u32,
    undo_failures: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    Completed,
    Compensated,
    Cancelled,
}

#[derive(Clone, Debug)]
pub(super) struct Model {
    pub(super) kinds: Vec<Kind>,
    pub(super) is_parallel: bool,
    pub(super) undo_retries: u32,
    pub(super) units: Vec<Unit>,
    places: usize,
    /// Turned back, by a cancel or by something else.
    pub(super) back: Option<End>,
    pub(super) end: Option<End>,
}

impl Model {
    pub(super) fn begin(kinds: Vec<Kind>, is_parallel: bool, undo_retries: u32) -> Self {
        let mut model = Self {
            units: vec![Unit::default(); kinds.len()],
            kinds,
            is_parallel,
            undo_retries,
            places: 0,
            back: None,
            end: None,
        };
        model.go_on();
        model
    }

    fn has_passed_pivot(&self) -> bool {
        let mut all = self.kinds.iter().zip(&self.units);
        all.any(|(kind, unit)| kind.is_pivot && unit.stands == Stands::Done)
    }

    pub(super) fn ended(&mut self, step: usize, how: How) {
        let unit = &mut self.units[step];
        match how {
            How::Ok => unit.stands = Stands::Done,
            How::Reject => self.fail(step),
            How::Retry => self.try_again(step),
            How::InDoubt | How::Dropped => {
                unit.doubt.insert(unit.attempt);
                self.try_again(step);
            }
        }
        self.go_on();
    }

    pub(super) fn timed_out(&mut self, step: usize) {
        let unit = &mut self.units[step];
        unit.hangs = Some(unit.attempt);
        unit.doubt.insert(unit.attempt);
        self.try_again(step);
        self.go_on();
    }

    /// What a handler says after its attempt has timed out, and before the next one.
    pub(super) fn said_late(&mut self, step: usize, how: How) {
        let unit = &mut self.units[step];
        let attempt = unit.hangs.take().unwrap();
        match how {
            How::Ok => unit.stands = Stands::Done,
            How::Retry | How::Reject => drop(unit.doubt.remove(&attempt)),
            How::InDoubt | How::Dropped => {}
        }
        self.go_on();
    }

    fn try_again(&mut self, step: usize) {
        let unit = &mut self.units[step];
        unit.failures += 1;
        if self.back.is_none() && unit.failures <= self.kinds[step].retries {
            unit.stands = Stands::Pauses;
        } else {
            self.fail(step);
        }
    }

    fn fail(&mut self, step: usize) {
        if self.back.is_none() && self.has_passed_pivot() {
            self.units[step].stands = Stands::Stuck;
            return;
        }
        self.units[step].stands = Stands::Failed;
        self.turn_back(End::Compensated);
    }

    fn turn_back(&mut self, end: End) {
        if self.back.is_some() || self.end.is_some() || self.has_passed_pivot() {
            return;
        }
        self.back = Some(end);
        for unit in &mut self.units {
            match unit.stands {
                Stands::Waits => unit.stands = Stands::NotRun,
                Stands::Pauses => unit.stands = Stands::Failed,
                _ => {}
            }
        }
    }

    pub(super) fn cancel(&mut self) {
        self.turn_back(End::Cancelled);
        self.go_on();
    }

    pub(super) fn deadline(&mut self) {
        self.turn_back(End::Compensated);
        self.go_on();
    }

    /// The delay before the next attempt is over.
    pub(super) fn due(&mut self, step: usize) {
        let unit = &mut self.units[step];
        if unit.stands == Stands::Pauses && unit.hangs.is_none() {
            (unit.stands, unit.attempt) = (Stands::Runs, unit.attempt + 1);
        } else if unit.undo == Undo::Pauses {
            (unit.undo, unit.undo_attempt) = (Undo::Runs, unit.undo_attempt + 1);
        }
        self.go_on();
    }

    pub(super) fn undo_ended(&mut self, step: usize, how: How) {
        let most = self.undo_retries;
        let unit = &mut self.units[step];
        unit.undo_failures += u32::from(how != How::Ok);
        unit.undo = match how {
            How::Ok => Undo::Done,
            How::Reject => Undo::Stuck,
            _ if unit.undo_failures > most => Undo::Stuck,
            _ => Undo::Pauses,
        };
        self.go_on();
    }

    /// The process ends, and another one begins.
    pub(super) fn crash(&mut self) {
        for unit in &mut self.units {
            unit.hangs = None;
            if unit.stands == Stands::Runs {
                unit.doubt.insert(unit.attempt);
                match self.back {
                    None => unit.attempt += 1,
                    Some(_) => unit.stands = Stands::Failed,
                }
            }
            unit.undo_attempt += u32::from(unit.undo == Undo::Runs);
        }
        self.go_on();
    }

    /// An operator has all that is stuck tried again.
    pub(super) fn retry_all(&mut self) {
        for unit in &mut self.units {
            if unit.stands == Stands::Stuck {
                (unit.stands, unit.failures) = (Stands::Waits, 0);
            }
            if unit.undo == Undo::Stuck {
                (unit.undo, unit.undo_failures) = (Undo::No, 0);
            }
        }
        self.go_on();
    }

    fn go_on(&mut self) {
        if self.back.is_none() {
            self.start_ready();
        } else {
            self.take_back();
        }
    }

    fn start_ready(&mut self) {
        let done = |units: &[Unit], step: usize| units[step].stands == Stands::Done;
        for step in 0..self.units.len() {
            let before = &self.kinds[step].before;
            let is_ready = before.iter().all(|&it| done(&self.units, it));
            let unit = &mut self.units[step];
            if unit.stands == Stands::Waits && unit.hangs.is_none() && is_ready {
                if unit.attempt == 0 {
                    unit.place = self.places;
                    self.places += 1;
                }
                (unit.stands, unit.attempt) = (Stands::Runs, unit.attempt + 1);
            }
        }
        let mut all = self.units.iter();
        if all.all(|it| it.stands == Stands::Done && it.hangs.is_none()) {
            self.end = Some(End::Completed);
        }
    }

    /// Whether there is something to take back that is not taken back yet.
    pub(super) fn is_owed(&self, step: usize) -> bool {
        let unit = &self.units[step];
        let is_done = unit.stands == Stands::Done;
        unit.undo != Undo::Done
            && self.kinds[step].undo.is_some_and(|when| match when {
                Compensate::Completed => is_done,
                Compensate::CompletedOrInDoubt => is_done || !unit.doubt.is_empty(),
                Compensate::Always => unit.attempt > 0,
            })
    }

    fn take_back(&mut self) {
        // What is in flight is awaited.
        let mut all = self.units.iter();
        if all.any(|it| it.stands == Stands::Runs || it.hangs.is_some()) {
            return;
        }
        let owed = |it: &usize| self.is_owed(*it);
        let owed: Vec<usize> = (0..self.units.len()).filter(owed).collect();
        let is_idle = |step: usize| self.units[step].undo == Undo::No;
        let next: Vec<usize> = if self.is_parallel {
            let is_behind = |step: usize, other: &usize| self.kinds[*other].before.contains(&step);
            let is_free = |step: usize| !owed.iter().any(|other| is_behind(step, other));
            let all = owed.iter().copied();
            all.filter(|it| is_idle(*it) && is_free(*it)).collect()
        } else if owed.iter().all(|it| is_idle(*it)) {
            let last = owed.iter().copied();
            last.max_by_key(|it| self.units[*it].place)
                .into_iter()
                .collect()
        } else {
            Vec::new()
        };
        for step in next {
            let unit = &mut self.units[step];
            (unit.undo, unit.undo_attempt) = (Undo::Runs, unit.undo_attempt + 1);
        }
        if owed.is_empty() {
            self.end = self.back;
        }
    }
}
