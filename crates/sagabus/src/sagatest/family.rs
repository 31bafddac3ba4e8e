//! The sagas of one run: the one that is swept, and those that its steps start.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::saga::definition::ITEMS_MAX;
use crate::saga::record::{Fact, Record};
use crate::saga::{Definition, SagaId};
use crate::saga_store::SagaBatch;

/// How often the step that starts a child may have been tried again by an operator.
const ATTEMPTS_MAX: u32 = 8;

/// One saga of a run.
#[derive(Clone, Debug)]
pub(super) struct Member {
    pub(super) definition: Definition,
    /// What its steps have before their ids: the step of the saga around it and a slash, or nothing.
    pub(super) prefix: String,
    /// The attempt that has started it.
    pub(super) started_by: Option<StartedBy>,
}

/// An attempt of a step that is a saga.
#[derive(Clone, Debug)]
pub(super) struct StartedBy {
    saga: String,
    step: String,
    attempt: u32,
}

/// The sagas of one run by their ids. Clones are the same.
#[derive(Clone, Debug, Default)]
pub(super) struct Family(Arc<Mutex<BTreeMap<String, Member>>>);

impl Family {
    /// Notes a saga whose first record is in the batch, before anybody acts on it.
    pub(super) fn note(&self, batch: &SagaBatch) {
        let first = batch.records.first().map(|bytes| Record::decode(bytes));
        let Some(Ok(Record {
            fact: Fact::Created {
                definition, parent, ..
            },
            ..
        })) = first
        else {
            return;
        };
        let Ok(definition) = Definition::from_pinned(&definition) else {
            return;
        };
        let mut sagas = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let started_by = parent
            .as_ref()
            .map(|id| started_by(sagas.get(id)?, id, &batch.saga));
        let (prefix, started_by) = match (parent, started_by.flatten()) {
            (Some(id), Some(by)) => {
                let around = sagas.get(&id).map_or("", |it| it.prefix.as_str());
                (format!("{around}{}/", by.step), Some(by))
            }
            (None, None) => (String::new(), None),
            // No step starts such a child.
            _ => return,
        };
        let member = Member {
            definition,
            prefix,
            started_by,
        };
        sagas.insert(batch.saga.clone(), member);
    }

    pub(super) fn get(&self, saga: &str) -> Option<Member> {
        let sagas = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        sagas.get(saga).cloned()
    }
}

/// The step, or the item of one, that has started the child: an id of a child is made of it.
fn started_by(around: &Member, parent: &str, child: &str) -> Option<StartedBy> {
    let by = |step: String| {
        let mut attempts = 1..=ATTEMPTS_MAX;
        let attempt = attempts.find(|&attempt| {
            SagaId::of_child(parent, &step, attempt).is_ok_and(|id| id.as_str() == child)
        })?;
        let saga = parent.to_owned();
        Some(StartedBy {
            saga,
            step,
            attempt,
        })
    };
    let mut steps = around.definition.steps().iter();
    steps.find_map(|step| {
        step.child_definition()?;
        match step.for_each {
            Some(_) => (0..ITEMS_MAX).find_map(|item| by(format!("{}[{item}]", step.id))),
            None => by(step.id.clone()),
        }
    })
}

/// Whether the records of the saga around it say that this attempt began.
pub(super) fn has_begun(
    by: &StartedBy,
    saga: &str,
    definition: &Definition,
    records: &[Record],
) -> bool {
    let steps = definition.steps().iter();
    let mut names: Vec<String> = steps.map(|step| step.id.clone()).collect();
    let name = |names: &[String], step: u32| names.get(usize::try_from(step).ok()?).cloned();
    for record in records {
        match &record.fact {
            Fact::Spread { step, count } => {
                let list = name(&names, *step).unwrap_or_default();
                names.extend((0..*count).map(|item| format!("{list}[{item}]")));
            }
            Fact::StepStarted { step, attempt, .. }
                if (*attempt, saga) == (by.attempt, by.saga.as_str())
                    && name(&names, *step).as_ref() == Some(&by.step) =>
            {
                return true;
            }
            _ => {}
        }
    }
    false
}
