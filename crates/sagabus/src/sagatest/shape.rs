//! Where faults can be put in a saga, those that its steps start, and the items of their lists.

use std::collections::BTreeMap;

use super::family::Member;
use super::fault::Fault;
use super::inject::{Injected, Injection, Side};
use crate::saga::record::{Fact, Record};
use crate::saga::{Definition, Step};

/// Of a longer list these first items have faults of their own, and the last one.
const ITEMS_FIRST: u32 = 3;

/// The sagas of a run in which nothing fails, the outermost first.
#[derive(Debug)]
pub(super) struct Shape {
    sagas: Vec<Known>,
}

#[derive(Debug)]
struct Known {
    member: Member,
    /// How many items its lists have, by the positions of their steps.
    items: BTreeMap<usize, u32>,
}

/// A step of one of the sagas.
#[derive(Clone, Copy)]
struct Place<'a> {
    saga: &'a Known,
    position: usize,
    step: &'a Step,
}

impl Shape {
    pub(super) fn new(definition: &Definition) -> Self {
        let member = Member {
            definition: definition.clone(),
            prefix: String::new(),
            started_by: None,
        };
        let items = BTreeMap::new();
        let sagas = vec![Known { member, items }];
        Self { sagas }
    }

    /// Notes what the records of a saga say of its lists.
    pub(super) fn take(&mut self, member: Member, records: &[Record]) {
        let mut items = BTreeMap::new();
        for record in records {
            if let Fact::Spread { step, count } = record.fact {
                items.insert(usize::try_from(step).unwrap_or(usize::MAX), count);
            }
        }
        self.sagas
            .retain(|known| known.member.prefix != member.prefix);
        self.sagas.push(Known { member, items });
        self.sagas
            .sort_by(|one, other| one.member.prefix.cmp(&other.member.prefix));
    }

    fn outermost(&self) -> Option<&Known> {
        self.sagas.first()
    }

    /// The step of this name: that of a child has the step that starts it before its id, and an item its number behind it.
    fn place(&self, name: &str) -> Option<Place<'_>> {
        let (prefix, id) = match name.rfind('/') {
            Some(at) => name.split_at(at + 1),
            None => ("", name),
        };
        let id = id.split('[').next().unwrap_or_default();
        let mut sagas = self.sagas.iter();
        let saga = sagas.find(|saga| saga.member.prefix == prefix)?;
        let mut steps = saga.member.definition.steps().iter().enumerate();
        let (position, step) = steps.find(|(_, step)| step.id == id)?;
        Some(Place {
            saga,
            position,
            step,
        })
    }

    /// Whether nothing that fails there, or in the sagas around it, turns the outermost back.
    pub(super) fn is_behind_pivot(&self, name: &str) -> bool {
        let ends = name.match_indices('/').map(|(at, _)| at);
        let mut around = ends.chain([name.len()]).filter_map(|at| name.get(..at));
        around.any(|name| self.place(name).is_some_and(Place::is_behind_pivot))
    }

    /// All faults at single steps, items and steps of children.
    pub(super) fn faults_of_steps(&self) -> Vec<Fault> {
        let mut faults = vec![Fault::Nothing];
        for saga in &self.sagas {
            for (position, step) in saga.member.definition.steps().iter().enumerate() {
                let place = Place {
                    saga,
                    position,
                    step,
                };
                for name in place.names() {
                    self.faults_at(place, &name, &mut faults);
                }
            }
        }
        faults
    }

    fn faults_at(&self, place: Place<'_>, name: &str, faults: &mut Vec<Fault>) {
        let id = || name.to_owned();
        if place.is_run() {
            faults.extend([
                Fault::StepFails(id()),
                Fault::StepInDoubt(id()),
                Fault::StepHangs(id()),
                Fault::StepPanics(id()),
                Fault::StepTwice(id()),
            ]);
        }
        let is_taken_back = place.step.compensation_action.is_some()
            && !self.is_behind_pivot(name)
            && self.turned_back_by(place, name).is_some();
        if is_taken_back {
            faults.extend([
                Fault::CompensationFails(id()),
                Fault::CompensationStuck(id()),
                Fault::CompensationHangs(id()),
                Fault::CompensationPanics(id()),
                Fault::CompensationTwice(id()),
            ]);
        }
    }

    /// The step whose failure takes the most back: the pivot, or the one with the most before it; of a child, that in it.
    pub(super) fn last_step(&self) -> Option<String> {
        self.last_step_of(self.outermost()?)
    }

    fn last_step_of(&self, saga: &Known) -> Option<String> {
        let definition = &saga.member.definition;
        let names = |position: usize| {
            let step = definition.steps().get(position)?;
            let place = Place {
                saga,
                position,
                step,
            };
            self.failing_at(place)
        };
        let pivot = definition.pivot().and_then(names);
        let last = || {
            let steps = 0..definition.steps().len();
            let steps = steps.filter_map(|position| Some((position, names(position)?)));
            let last = steps.max_by_key(|(position, _)| definition.ancestors(*position).len());
            last.map(|(_, name)| name)
        };
        pivot.or_else(last)
    }

    /// Where a handler fails, so that this step does.
    fn failing_at(&self, place: Place<'_>) -> Option<String> {
        let name = place.names().into_iter().next()?;
        if place.step.child_definition().is_none() {
            return place.is_run().then_some(name);
        }
        let prefix = format!("{name}/");
        let mut sagas = self.sagas.iter();
        let child = sagas.find(|saga| saga.member.prefix == prefix)?;
        self.last_step_of(child)
    }

    /// The step whose failure has this one taken back: the pivot or one that follows from it; without such, itself, in doubt.
    fn turned_back_by(&self, place: Place<'_>, name: &str) -> Option<Injection> {
        let definition = &place.saga.member.definition;
        let failing = |position: usize| {
            let step = definition.steps().get(position)?;
            let other = Place {
                position,
                step,
                ..place
            };
            // What fails behind the pivot takes nothing back.
            let follows = definition.ancestors(position).contains(&place.position);
            let is_one = follows && !other.is_behind_pivot();
            is_one.then(|| self.failing_at(other)).flatten()
        };
        let pivot = definition.pivot().and_then(failing);
        let other = pivot.or_else(|| (0..definition.steps().len()).find_map(failing));
        match other {
            Some(other) => Some(Injection::new(other, Side::Step, Injected::Fails, 1)),
            None => place.is_run().then(|| {
                let times = place.attempts();
                Injection::new(name.to_owned(), Side::Step, Injected::InDoubt, times)
            }),
        }
    }

    pub(super) fn injections(&self, fault: &Fault) -> Vec<Injection> {
        let Some(name) = fault.step() else {
            return self.injections_of_crash(fault);
        };
        let Some(place) = self.place(name) else {
            return Vec::new();
        };
        let attempts = place.attempts();
        let at = |side, injected, times| Injection::new(name.to_owned(), side, injected, times);
        let of_step = |injected, times| vec![at(Side::Step, injected, times)];
        let of_compensation = |injected| {
            let first = self.turned_back_by(place, name).into_iter();
            let second = at(Side::Compensation, injected, 1);
            first.chain([second]).collect()
        };
        match fault {
            Fault::StepFails(_) => of_step(Injected::Fails, 1),
            Fault::StepInDoubt(_) => of_step(Injected::InDoubt, attempts),
            Fault::StepHangs(_) => of_step(Injected::Hangs, attempts),
            Fault::StepPanics(_) => of_step(Injected::Panics, attempts),
            Fault::StepTwice(_) => of_step(Injected::Twice, 1),
            Fault::CompensationFails(_) => of_compensation(Injected::FailsForNow),
            Fault::CompensationStuck(_) => of_compensation(Injected::Fails),
            Fault::CompensationHangs(_) => of_compensation(Injected::Hangs),
            Fault::CompensationPanics(_) => of_compensation(Injected::Panics),
            Fault::CompensationTwice(_) => of_compensation(Injected::Twice),
            Fault::Nothing | Fault::Crash(..) | Fault::CrashTurningBack(..) | Fault::Cancel(_) => {
                Vec::new()
            }
        }
    }

    fn injections_of_crash(&self, fault: &Fault) -> Vec<Injection> {
        let is_back = matches!(fault, Fault::CrashTurningBack(..));
        let last = self.last_step().filter(|_| is_back);
        // Also after the crash: it fails whenever it is called.
        let fails = |step| Injection::new(step, Side::Step, Injected::Fails, u32::MAX);
        last.map(fails).into_iter().collect()
    }
}

impl Place<'_> {
    /// Whether a handler does the step.
    fn is_run(self) -> bool {
        self.step.wait.is_none()
    }

    fn is_behind_pivot(self) -> bool {
        let definition = &self.saga.member.definition;
        let pivot = definition.pivot();
        pivot.is_some_and(|pivot| definition.ancestors(self.position).contains(&pivot))
    }

    /// How many attempts the step has.
    fn attempts(self) -> u32 {
        self.step.retry_attempts.saturating_add(1)
    }

    /// The names under which it is done: its own, or those of its items.
    fn names(self) -> Vec<String> {
        let name = format!("{}{}", self.saga.member.prefix, self.step.id);
        if self.step.for_each.is_none() {
            return vec![name];
        }
        let count = self.saga.items.get(&self.position).copied();
        let count = count.unwrap_or_default();
        let chosen = (0..count).filter(|item| *item < ITEMS_FIRST || item + 1 == count);
        chosen.map(|item| format!("{name}[{item}]")).collect()
    }
}
