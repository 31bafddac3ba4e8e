//! The log of one saga: what of it was durable when, and what is wrong with a call.

use bytes::Bytes;
use sagabus::Timestamp;
use sagabus::saga::record::{Effect, Fact, Record, Verb};
use sagabus::saga::{CompensationContext, Definition, Order, Step, StepContext};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::notes::at;

/// The log of one saga, to be asked what was durable when.
pub(super) struct Log<'a> {
    pub(super) definition: &'a Definition,
    pub(super) records: &'a [Record],
}

/// A step, or an item of one that is done for each item of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Unit {
    /// The position of its step in the definition.
    pub(super) origin: usize,
    pub(super) item: Option<usize>,
}

impl Log<'_> {
    /// The steps of the definition, and behind them the items of lists, as records number them.
    pub(super) fn units(&self) -> Vec<Unit> {
        let steps = 0..self.definition.steps().len();
        let mut units: Vec<Unit> = steps.map(|origin| Unit { origin, item: None }).collect();
        for record in self.records {
            if let Fact::Spread { step, count } = record.fact {
                let item = |item| Unit {
                    origin: step as usize,
                    item: Some(item as usize),
                };
                units.extend((0..count).map(item));
            }
        }
        units
    }

    /// What the definition says of a unit.
    pub(super) fn own(&self, unit: usize) -> &Step {
        &self.definition.steps()[self.units()[unit].origin]
    }

    pub(super) fn id(&self, unit: usize) -> String {
        let id = &self.own(unit).id;
        match self.units()[unit].item {
            Some(item) => format!("{id}[{item}]"),
            None => id.clone(),
        }
    }

    /// The step or item of this name, once it is durable that there is one.
    pub(super) fn find(&self, id: &str) -> Option<usize> {
        let mut units = 0..self.units().len();
        units.find(|unit| self.id(*unit) == id)
    }

    pub(super) fn unit(&self, id: &str) -> usize {
        self.find(id).unwrap()
    }

    /// The items of the list that every input has.
    pub(super) fn input_items(&self) -> Vec<Box<RawValue>> {
        #[derive(Deserialize)]
        struct Input {
            items: Vec<Box<RawValue>>,
        }
        let Fact::Created { input, .. } = &self.records[0].fact else {
            return Vec::new();
        };
        let input: Input = serde_json::from_slice(input).unwrap();
        input.items
    }

    /// What an item of a list is done for.
    pub(super) fn item(&self, unit: usize) -> Option<Bytes> {
        let item = self.units()[unit].item?;
        let items = self.input_items();
        Some(Bytes::copy_from_slice(items[item].get().as_bytes()))
    }

    /// Whether it is a list as a whole, which does nothing itself.
    pub(super) fn is_list(&self, unit: usize) -> bool {
        self.own(unit).for_each.is_some() && self.units()[unit].item.is_none()
    }

    /// All that became of it, for whoever looks for what is wrong.
    pub(super) fn facts(&self) -> Vec<(Timestamp, &Fact)> {
        let records = self.records.iter();
        records.map(|record| (record.at, &record.fact)).collect()
    }

    pub(super) fn has_ended(&self) -> bool {
        self.has(|fact| matches!(fact, Fact::Ended { .. }))
    }

    fn position(&self, is: impl Fn(&Fact) -> bool) -> Option<usize> {
        self.records.iter().position(|record| is(&record.fact))
    }

    fn has(&self, is: impl Fn(&Fact) -> bool) -> bool {
        self.position(is).is_some()
    }

    fn started(&self, step: usize, attempt: u32) -> Option<usize> {
        self.position(|fact| {
            let begun = (at(step), attempt);
            matches!(fact, Fact::StepStarted { step, attempt, .. } if (*step, *attempt) == begun)
        })
    }

    pub(super) fn succeeded(&self, step: usize) -> Option<usize> {
        self.position(
            |fact| matches!(fact, Fact::StepSucceeded { step: other, .. } if *other == at(step)),
        )
    }

    /// An operator did this to the step.
    pub(super) fn is_touched(&self, step: usize) -> bool {
        self.has(|fact| {
            matches!(fact, Fact::Operated { step: Some(other), verb, .. } if *other == at(step) && *verb != Verb::Retry)
        })
    }

    /// Whether it may have happened, although it did not succeed.
    fn is_in_doubt(&self, step: usize) -> bool {
        let step = at(step);
        let mut is_open = false;
        for record in self.records {
            match &record.fact {
                Fact::StepStarted { step: other, .. } if *other == step => {
                    if is_open {
                        return true;
                    }
                    is_open = true;
                }
                Fact::AttemptFailed {
                    step: other,
                    effect,
                    ..
                }
                | Fact::StepFailed {
                    step: other,
                    effect,
                    ..
                }
                | Fact::ForwardStuck {
                    step: other,
                    effect,
                    ..
                } if *other == step => {
                    if *effect == Effect::Unknown {
                        return true;
                    }
                    is_open = false;
                }
                Fact::LateResult {
                    step: other,
                    output: Some(_),
                    ..
                } if *other == step => return true,
                _ => {}
            }
        }
        // What an operator tried again may have been cut off.
        is_open
            || self.has(|fact| {
                matches!(
                    fact,
                    Fact::Operated {
                        verb: Verb::Retry,
                        ..
                    }
                )
            })
    }

    /// The units of steps that follow from this one, at any distance.
    fn followers(&self, unit: usize) -> Vec<usize> {
        let steps = self.definition.steps();
        let step = self.units()[unit].origin;
        let mut found: Vec<usize> = Vec::new();
        for later in step + 1..steps.len() {
            let needs = |id: &String| {
                let needed = steps.iter().position(|other| other.id == *id).unwrap();
                needed == step || found.contains(&needed)
            };
            if steps[later].dependencies.iter().any(needs) {
                found.push(later);
            }
        }
        let units = self.units().into_iter().enumerate();
        let units = units.filter(|(_, other)| found.contains(&other.origin));
        units.map(|(unit, _)| unit).collect()
    }

    /// Whether it is known for sure that the step is to be taken back, and is not at this record.
    fn is_unsettled_at(&self, step: usize, place: usize) -> bool {
        let own = self.own(step);
        let before = Log {
            definition: self.definition,
            records: &self.records[..place],
        };
        let settled = before.position(|fact| {
            matches!(fact, Fact::CompensationSucceeded { step: other, .. } if *other == at(step))
        });
        let succeeded = before.succeeded(step).is_some();
        own.compensation_action.is_some()
            && !self.is_list(step)
            && succeeded
            && settled.is_none()
            && !before.is_touched(step)
    }

    fn is_paused_at(&self, place: usize) -> bool {
        let mut is_paused = false;
        for record in &self.records[..place] {
            match &record.fact {
                Fact::Paused { .. }
                | Fact::Operated {
                    verb: Verb::Pause, ..
                } => is_paused = true,
                Fact::Operated {
                    verb: Verb::Resume, ..
                }
                | Fact::TurnedBack { .. }
                | Fact::Ended { .. } => {
                    is_paused = false;
                }
                _ => {}
            }
        }
        is_paused
    }

    /// What is wrong with a call of a step's handler.
    pub(super) fn wrong_call(&self, step: usize, context: &StepContext) -> Option<String> {
        let Some(started) = self.started(step, context.attempt()) else {
            return Some("is called before that is durable".to_owned());
        };
        let own = self.own(step);
        let turned = self.position(|fact| matches!(fact, Fact::TurnedBack { .. }));
        if turned.is_some_and(|turned| turned < started) {
            return Some("is called after the saga turned back".to_owned());
        }
        if self.is_paused_at(started) {
            return Some("is called while the saga is paused".to_owned());
        }
        if context.key() != format!("{}/{}", context.saga_id(), self.id(step)) {
            return Some(format!("has the key {}", context.key()));
        }
        if context.item() != self.item(step).as_ref() {
            return Some(format!("is given the item {:?}", context.item()));
        }
        for id in &own.dependencies {
            let needed = self
                .definition
                .steps()
                .iter()
                .position(|other| other.id == *id)
                .unwrap();
            let succeeded = self.succeeded(needed).is_some_and(|done| done < started);
            if !succeeded && !self.is_touched(needed) {
                return Some(format!("is called before `{id}` is done"));
            }
            let output = self.records.iter().find_map(|record| match &record.fact {
                Fact::StepSucceeded { step, output, .. } if *step == at(needed) => Some(output),
                _ => None,
            });
            if succeeded && context.output(id) != output && !self.is_touched(needed) {
                return Some(format!("does not see the durable output of `{id}`"));
            }
        }
        None
    }

    /// What is wrong with a call of a step's compensation.
    pub(super) fn wrong_compensation(
        &self,
        step: usize,
        context: &CompensationContext,
    ) -> Option<String> {
        let attempt = context.attempt();
        let begun = (at(step), attempt);
        let is_begun = |fact: &Fact| matches!(fact, Fact::CompensationStarted { step, attempt, .. } if (*step, *attempt) == begun);
        let Some(begun) = self.position(is_begun) else {
            return Some("is called before that is durable".to_owned());
        };
        let turned = self.position(|fact| matches!(fact, Fact::TurnedBack { .. }));
        if turned.is_none_or(|turned| turned > begun) {
            return Some("is called before turning back is durable".to_owned());
        }
        if self.is_paused_at(begun) {
            return Some("is called while the saga is paused".to_owned());
        }
        if self.succeeded(step).is_none() && !self.is_in_doubt(step) {
            return Some("takes back what certainly had no effect".to_owned());
        }
        let unsettled = |other: &usize| self.is_unsettled_at(*other, begun);
        if let Some(other) = self.followers(step).into_iter().find(unsettled) {
            return Some(format!(
                "is called before that of step {other}, which follows from it"
            ));
        }
        let is_plain =
            !self.has(|fact| matches!(fact, Fact::LateResult { .. } | Fact::Operated { .. }));
        let first = |step: usize| {
            self.position(
                |fact| matches!(fact, Fact::StepStarted { step: other, .. } if *other == at(step)),
            )
        };
        let is_serial = self.definition.options().compensation == Order::Serial;
        let later = (0..self.units().len())
            .filter(|other| first(*other) > first(step))
            .find(unsettled);
        match later {
            Some(other) if is_serial && is_plain => Some(format!(
                "is called before that of step {other}, which started later"
            )),
            _ => None,
        }
    }

    /// Whether something durable says that this attempt is to stop.
    pub(super) fn says_stop(&self, step: usize, attempt: u32) -> bool {
        self.has(|fact| match fact {
            Fact::TurnedBack { .. } | Fact::Ended { .. } => true,
            Fact::AttemptFailed {
                step: other,
                attempt: failed,
                ..
            }
            | Fact::StepFailed {
                step: other,
                attempt: failed,
                ..
            }
            | Fact::ForwardStuck {
                step: other,
                attempt: failed,
                ..
            } => *other == at(step) && *failed == attempt,
            Fact::Operated {
                step: Some(other), ..
            } => *other == at(step),
            _ => false,
        })
    }
}
