//! What one saga has of the slots of services, and what it waits for.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::super::Shared;
use super::super::book::came_at;
use super::super::saga::Saga;
use super::super::slots::{Came, Claim, Slots};
use crate::saga::definition::{Definition, Step};
use crate::saga::machine::{Command, Decision, Direction, Room, State, Wanted};

/// Slots in use and asked for. All are given back when this is dropped, whatever ends its worker.
pub(super) struct Claims {
    shared: Arc<Shared>,
    saga: Arc<Saga>,
    /// The limit of each step of the definition, and of its compensation.
    limits: Vec<(Option<usize>, Option<usize>)>,
    limited: Vec<usize>,
    limited_compensations: Vec<usize>,
    /// What is waited for, with its limit.
    asked: BTreeMap<Wanted, usize>,
    /// What is promised and not in use yet.
    granted: Vec<Wanted>,
    due: Vec<usize>,
    /// When the saga came, once it has asked.
    came: Option<Came>,
    /// The limits of the attempts in flight.
    in_use: BTreeMap<(Wanted, u32), usize>,
    /// Those of attempts that have just ended.
    ended: Vec<usize>,
}

impl Claims {
    pub(super) fn new(shared: Arc<Shared>, saga: &Arc<Saga>) -> Self {
        let mut claims = Self {
            shared,
            saga: Arc::clone(saga),
            limits: Vec::new(),
            limited: Vec::new(),
            limited_compensations: Vec::new(),
            asked: BTreeMap::new(),
            granted: Vec::new(),
            due: Vec::new(),
            came: None,
            in_use: BTreeMap::new(),
            ended: Vec::new(),
        };
        claims.look_up(saga.state().definition());
        claims
    }

    /// Finds the limits of the steps of a definition. Nothing of the saga is in flight.
    pub(super) fn look_up(&mut self, definition: &Definition) {
        if self.shared.settings.service_limits.is_empty() {
            return;
        }
        let limits = &self.shared.limits;
        let of = |step: &Step| {
            let is_run = step.wait.is_none();
            let run = is_run.then(|| limits.of(&step.service, &step.action));
            let back = step.compensation_action.as_ref();
            let back = back.and_then(|action| limits.of(&step.service, action));
            (run.flatten(), back)
        };
        self.limits = definition.steps().iter().map(of).collect();
        let limits = self.limits.iter().enumerate();
        let run = limits.clone().filter(|(_, (run, _))| run.is_some());
        let back = limits.filter(|(_, (_, back))| back.is_some());
        self.limited = run.map(|(step, _)| step).collect();
        self.limited_compensations = back.map(|(step, _)| step).collect();
    }

    /// Whether nothing of the saga has a limit.
    pub(super) fn are_free(&self) -> bool {
        self.limited.is_empty() && self.limited_compensations.is_empty()
    }

    pub(super) fn room(&self) -> Room<'_> {
        Room {
            limited: &self.limited,
            limited_compensations: &self.limited_compensations,
            granted: &self.granted,
            due: &self.due,
        }
    }

    /// Looks which slots are promised by now.
    pub(super) fn look(&mut self) {
        let slots = self.shared.slots();
        let asked = self.asked.iter();
        let promised = asked.filter(|(wanted, at)| slots.is_promised(**at, &self.claim(**wanted)));
        self.granted = promised.map(|(wanted, _)| *wanted).collect();
    }

    /// Asks for the slots that a decision lacks. Returns whether one was got, so that more of the saga can begin.
    pub(super) fn ask(&mut self, decision: &Decision) -> bool {
        if decision.wanting.is_empty() {
            return false;
        }
        let came = match self.came {
            Some(came) => came,
            None => {
                let number = self.shared.slots().next_number();
                (came_at(&decision.state, &self.shared), number)
            }
        };
        self.came = Some(came);
        let now = self.shared.clock.elapsed();
        let state = &decision.state;
        let mut wanting = Vec::new();
        for &wanted in &decision.wanting {
            if let Some(at) = self.limit(state, wanted) {
                self.asked.insert(wanted, at);
                wanting.push((wanted, at, self.claim(wanted)));
            }
        }
        let mut slots = self.shared.slots();
        for (_, at, claim) in &wanting {
            slots.enter(*at, claim, came, now);
        }
        // In one piece with what has just ended, so that of those who wait the first has the slot, whoever that is.
        let mut given = self.free_ended(&mut slots, now);
        for (_, at, _) in &wanting {
            given.extend(slots.fill_at(*at, now));
        }
        let got = wanting
            .iter()
            .filter(|(_, at, claim)| slots.is_promised(*at, claim));
        let got: Vec<Wanted> = got.map(|(wanted, _, _)| *wanted).collect();
        drop(slots);
        given.retain(|claim| claim.saga != self.saga.id);
        self.ended.clear();
        self.shared.slots_changed(given);
        let got_any = !got.is_empty();
        self.granted.extend(got);
        got_any
    }

    fn free_ended(&self, slots: &mut Slots, now: Duration) -> Vec<Claim> {
        let ended = self.ended.iter();
        ended.flat_map(|at| slots.end(*at, now)).collect()
    }

    /// Takes over what was decided at last: slots of what begins are in use, those that nobody uses are given back.
    pub(super) fn settle(&mut self, decision: &Decision) {
        let now = self.shared.clock.elapsed();
        let mut given;
        {
            let mut slots = self.shared.slots();
            given = self.free_ended(&mut slots, now);
            for (wanted, attempt) in decision.commands.iter().filter_map(begun) {
                self.asked.remove(&wanted);
                if let Some(at) = self.limit(&decision.state, wanted)
                    && self.in_use.insert((wanted, attempt), at).is_none()
                {
                    slots.begin(at, &self.claim(wanted), now);
                }
            }
            let asked = self.asked.iter();
            let left = asked.filter(|(wanted, _)| !decision.wanting.contains(wanted));
            let left: Vec<(Wanted, usize)> = left.map(|(wanted, at)| (*wanted, *at)).collect();
            for (wanted, at) in left {
                self.asked.remove(&wanted);
                given.extend(slots.leave(at, &self.claim(wanted), now));
            }
        }
        self.ended.clear();
        self.granted.clear();
        let waiting = decision.wanting.iter();
        let due = waiting.filter(|wanted| decision.state.is_between_attempts(**wanted));
        self.due = due.map(|wanted| wanted.step).collect();
        self.shared.slots_changed(given);
    }

    /// The handler of an attempt is gone. Its slot is free with what is decided next.
    pub(super) fn end(&mut self, wanted: Wanted, attempt: u32) {
        self.ended.extend(self.in_use.remove(&(wanted, attempt)));
    }

    /// All handlers are gone.
    pub(super) fn end_all(&mut self) {
        self.ended
            .extend(std::mem::take(&mut self.in_use).into_values());
        let now = self.shared.clock.elapsed();
        let given = self.free_ended(&mut self.shared.slots(), now);
        self.ended.clear();
        self.shared.slots_changed(given);
    }

    /// The steps that wait for a slot.
    pub(super) fn waiting(&self) -> Vec<usize> {
        let mut steps: Vec<usize> = self.asked.keys().map(|wanted| wanted.step).collect();
        steps.sort_unstable();
        steps
    }

    fn limit(&self, state: &State, wanted: Wanted) -> Option<usize> {
        let (run, back) = self.limits.get(state.origin(wanted.step))?;
        match wanted.direction {
            Direction::Forward => *run,
            Direction::Backward => *back,
        }
    }

    fn claim(&self, wanted: Wanted) -> Claim {
        Claim {
            saga: self.saga.id.clone(),
            wanted,
        }
    }
}

impl Drop for Claims {
    fn drop(&mut self) {
        self.end_all();
        let now = self.shared.clock.elapsed();
        for (wanted, at) in std::mem::take(&mut self.asked) {
            let claim = self.claim(wanted);
            let given = self.shared.slots().leave(at, &claim, now);
            self.shared.slots_changed(given);
        }
    }
}

/// The attempt that a command lets begin.
fn begun(command: &Command) -> Option<(Wanted, u32)> {
    let (step, attempt, direction) = match command {
        Command::Run { step, attempt } => (*step, *attempt, Direction::Forward),
        Command::Compensate { step, attempt } => (*step, *attempt, Direction::Backward),
        _ => return None,
    };
    Some((Wanted { step, direction }, attempt))
}

#[cfg(test)]
mod tests;
