//! What is seen of one run from outside, and what holds of it: the answer to the start, and each call of a handler.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;

use super::inject::Side;
use crate::saga::handlers::CallContext;
use crate::saga::record::{Fact, Record, Verb};
use crate::saga::{CompensationContext, Definition, SagaId, StepContext};
use crate::saga_store::StoredSaga;

/// What one run shows. Clones are the same.
#[derive(Clone, Debug, Default)]
pub(super) struct Shown(Arc<Mutex<Inner>>);

#[derive(Debug, Default)]
struct Inner {
    started: Option<SagaId>,
    calls: Vec<Call>,
}

/// One call of a handler: what it was given.
#[derive(Clone, Debug)]
struct Call {
    saga: SagaId,
    side: Side,
    step_id: String,
    attempt: u32,
    fence: u64,
    key: String,
    /// Of a compensation: the key that the step had.
    step_key: Option<String>,
    /// Of a compensation: what the step returned.
    returned: Option<Bytes>,
    /// What it sees of each step of the definition.
    outputs: Vec<Option<Bytes>>,
}

impl Call {
    fn new(definition: &Definition, side: Side, context: &CallContext, key: String) -> Self {
        let steps = definition.steps().iter();
        Self {
            saga: context.saga_id().clone(),
            side,
            step_id: context.step_id().to_owned(),
            attempt: context.attempt(),
            fence: context.fence(),
            key,
            step_key: None,
            returned: None,
            outputs: steps.map(|it| context.output(&it.id).cloned()).collect(),
        }
    }
}

impl Shown {
    pub(super) fn step(&self, definition: &Definition, context: &StepContext) {
        let call = Call::new(definition, Side::Step, context, context.key());
        self.with(|inner| inner.calls.push(call));
    }

    pub(super) fn compensation(&self, definition: &Definition, context: &CompensationContext) {
        let mut call = Call::new(definition, Side::Compensation, context, context.key());
        call.step_key = Some(context.step_key());
        call.returned = context.step_output().cloned();
        self.with(|inner| inner.calls.push(call));
    }

    /// A start is acknowledged: it is in the store, and so is the one that was acknowledged before a crash.
    pub(super) fn started(&self, id: &SagaId, stored: &[StoredSaga]) -> Result<(), String> {
        let before = self.with(|inner| inner.started.replace(id.clone()));
        if let Some(before) = before.filter(|before| before != id) {
            return Err(format!(
                "saga {before} was started, and with the same key {id} again"
            ));
        }
        let mut stored = stored.iter();
        let own = stored.find(|saga| saga.saga == id.as_str());
        let first = own.and_then(|saga| Record::decode(saga.records.first()?).ok());
        let is_there = first.is_some_and(|first| matches!(first.fact, Fact::Created { .. }));
        is_there
            .then_some(())
            .ok_or_else(|| "a start that was acknowledged is not in the store".to_owned())
    }

    /// What holds for the calls of the handlers of one saga: each is for an attempt that was recorded before, by the process that
    /// recorded it; it has the key of its step, which no other has; and it sees what the steps that it depends on have returned.
    pub(super) fn check(
        &self,
        definition: &Definition,
        saga: &str,
        records: &[Record],
    ) -> Result<(), String> {
        let calls = self.with(|inner| inner.calls.clone());
        let recorded = Recorded::new(definition, records);
        let mut keys = Keys::default();
        for call in calls.iter().filter(|call| call.saga.as_str() == saga) {
            recorded.check(definition, call)?;
            keys.take(call)?;
        }
        Ok(())
    }

    fn with<T>(&self, look: impl FnOnce(&mut Inner) -> T) -> T {
        look(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The keys of the calls so far.
#[derive(Default)]
struct Keys<'a> {
    of: BTreeMap<(Side, &'a str), &'a str>,
    owners: BTreeMap<&'a str, (Side, &'a str)>,
}

impl<'a> Keys<'a> {
    fn take(&mut self, call: &'a Call) -> Result<(), String> {
        let (own, key) = ((call.side, call.step_id.as_str()), call.key.as_str());
        let known = *self.of.entry(own).or_insert(key);
        if known != key {
            return Err(format!("`{}` has the keys {known} and {key}", own.1));
        }
        let owner = *self.owners.entry(key).or_insert(own);
        if owner != own {
            return Err(format!("`{}` and `{}` have the key {key}", owner.1, own.1));
        }
        let of_step = self.of.get(&(Side::Step, own.1));
        match (of_step, &call.step_key) {
            (Some(known), Some(told)) if known != told => Err(format!(
                "`{}` has the key {known}, and its compensation is told {told}",
                own.1
            )),
            _ => Ok(()),
        }
    }
}

/// What the records say of the calls.
struct Recorded {
    /// The id of each step, and the position in the definition of it or of the list that it is an item of.
    steps: Vec<(String, usize)>,
    begun: BTreeSet<(Side, usize, u32, u64)>,
    outputs: BTreeMap<usize, Bytes>,
    late: BTreeSet<usize>,
}

impl Recorded {
    fn new(definition: &Definition, records: &[Record]) -> Self {
        let steps = definition.steps().iter().enumerate();
        let mut it = Self {
            steps: steps.map(|(at, step)| (step.id.clone(), at)).collect(),
            begun: BTreeSet::new(),
            outputs: BTreeMap::new(),
            late: BTreeSet::new(),
        };
        for record in records {
            it.take(&record.fact);
        }
        it
    }

    fn take(&mut self, fact: &Fact) {
        let index = |step: &u32| usize::try_from(*step).unwrap_or(usize::MAX);
        match fact {
            Fact::Spread { step, count } => {
                let list = self.steps.get(index(step)).cloned();
                let Some((id, origin)) = list else { return };
                let items = (0..*count).map(|item| (format!("{id}[{item}]"), origin));
                self.steps.extend(items);
            }
            Fact::StepStarted {
                step,
                attempt,
                epoch: Some(epoch),
            } => {
                let begun = (Side::Step, index(step), *attempt, *epoch);
                self.begun.insert(begun);
            }
            Fact::CompensationStarted {
                step,
                attempt,
                epoch: Some(epoch),
            } => {
                let begun = (Side::Compensation, index(step), *attempt, *epoch);
                self.begun.insert(begun);
            }
            Fact::StepSucceeded { step, output, .. }
            | Fact::Operated {
                verb: Verb::Complete,
                step: Some(step),
                output: Some(output),
                ..
            } => {
                self.outputs.insert(index(step), output.clone());
            }
            Fact::LateResult {
                step,
                output: Some(_),
                ..
            } => {
                self.late.insert(index(step));
            }
            _ => {}
        }
    }

    fn check(&self, definition: &Definition, call: &Call) -> Result<(), String> {
        let id = &call.step_id;
        let step = self.steps.iter().position(|(other, _)| other == id);
        let Some((step, (_, origin))) = step.and_then(|at| Some((at, self.steps.get(at)?))) else {
            return Err(format!("`{id}` is called and is no step of the saga"));
        };
        if !self
            .begun
            .contains(&(call.side, step, call.attempt, call.fence))
        {
            return Err(format!(
                "attempt {} of `{id}` is called with the fencing token {}, and no record says so",
                call.attempt, call.fence
            ));
        }
        let ancestors = definition.ancestors(*origin);
        let others = definition.steps().iter().zip(&call.outputs).enumerate();
        for (at, (other, seen)) in others {
            let returned = self.outputs.get(&at);
            let durable = returned.filter(|_| ancestors.contains(&at));
            if seen.as_ref() != durable {
                return Err(format!(
                    "`{id}` does not see the durable output of `{}`: {seen:?}, not {durable:?}",
                    other.id
                ));
            }
        }
        let returned = self.outputs.get(&step);
        let is_right = call.side == Side::Step
            || call.returned.as_ref() == returned
            || self.late.contains(&step);
        is_right.then_some(()).ok_or_else(|| {
            format!("the compensation of `{id}` does not see the durable output of its step")
        })
    }
}
