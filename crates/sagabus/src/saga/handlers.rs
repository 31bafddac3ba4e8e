//! What the steps of sagas really do: handlers, found by service and action.

mod context;
mod error;
mod guard;

use std::collections::hash_map::Entry;
use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;

pub(crate) use context::Call;
pub use context::{CallContext, CompensationContext, EffectClass, StepContext, TurnedBackBy};
pub use error::{BindError, StepError};
pub(crate) use guard::{checked, guarded};

use super::definition::{Definition, Step};
use crate::error::Result;

/// What a handler returns.
pub type StepResult = Result<Output, StepError>;

pub(crate) type Running<T> = Pin<Box<dyn Future<Output = Result<T, StepError>> + Send>>;
pub(crate) type StepHandler = Arc<dyn Fn(StepContext) -> Running<Bytes> + Send + Sync>;
pub(crate) type CompensationHandler = Arc<dyn Fn(CompensationContext) -> Running<()> + Send + Sync>;

/// What a step returned: one JSON value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Output(Bytes);

impl Output {
    /// `value` as JSON.
    ///
    /// # Errors
    /// [`StepError::InDoubt`] when it cannot be written as JSON: what the step did is done by then.
    pub fn json(value: &impl serde::Serialize) -> Result<Self, StepError> {
        serde_json::to_vec(value)
            .map(|json| Self(json.into()))
            .map_err(|error| {
                StepError::InDoubt(format!("output cannot be written as JSON: {error}"))
            })
    }
}

impl From<serde_json::Value> for Output {
    fn from(value: serde_json::Value) -> Self {
        Self(value.to_string().into())
    }
}

impl From<()> for Output {
    fn from((): ()) -> Self {
        Self(Bytes::from_static(b"null"))
    }
}

impl From<Bytes> for Output {
    /// `json` as it is; it is checked to be JSON when the step ends.
    fn from(json: Bytes) -> Self {
        Self(json)
    }
}

/// All handlers of a process.
///
/// A step's handler is looked up by `service` and `action`, then among those of no service by `action`, then by step id.
/// Compensation handlers are looked up the same way with `compensationAction`.
#[derive(Clone, Default)]
pub struct Handlers {
    steps: Table<StepHandler>,
    compensations: Table<CompensationHandler>,
    /// Services whose steps are done by another process or another part of this one.
    elsewhere: BTreeSet<String>,
    /// Names that were registered twice, reported when the orchestrator opens.
    twice: Vec<String>,
}

/// Service (empty for none) to name to handler.
type Table<H> = HashMap<String, HashMap<String, H>>;

impl Handlers {
    /// No handlers.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Calls `handler` for the steps of `service` with `action`. An empty service stands for any: the handler is then found
    /// by action, or by step id.
    #[must_use]
    pub fn handle<F, Fut, O>(mut self, service: &str, action: &str, handler: F) -> Self
    where
        F: Fn(StepContext) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<O, StepError>> + Send + 'static,
        O: Into<Output>,
    {
        let handler: StepHandler = Arc::new(move |context| {
            let running = handler(context);
            Box::pin(async move { Ok(running.await?.into().0) })
        });
        if !insert(&mut self.steps, service, action, handler) {
            self.twice.push(format!("{service}/{action}"));
        }
        self
    }

    /// Calls `handler` to take back the steps of `service` with this `compensationAction`.
    #[must_use]
    pub fn compensate<F, Fut>(mut self, service: &str, action: &str, handler: F) -> Self
    where
        F: Fn(CompensationContext) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<(), StepError>> + Send + 'static,
    {
        let handler: CompensationHandler = Arc::new(move |context| Box::pin(handler(context)));
        if !insert(&mut self.compensations, service, action, handler) {
            self.twice.push(format!("{service}/{action}"));
        }
        self
    }

    /// Has the steps of `service` that have no handler here done where [`Handlers::serve`] serves it: see
    /// [`remote`](crate::saga::remote).
    #[must_use]
    pub fn elsewhere(mut self, service: impl Into<String>) -> Self {
        self.elsewhere.insert(service.into());
        self
    }

    /// These handlers and those of `more`.
    #[must_use]
    pub fn and(mut self, more: Self) -> Self {
        self.twice.extend(more.twice);
        self.elsewhere.extend(more.elsewhere);
        merge(&mut self.steps, more.steps, &mut self.twice);
        merge(&mut self.compensations, more.compensations, &mut self.twice);
        self
    }

    /// Checks that no name was registered twice.
    pub(crate) fn check(&self) -> Result<(), BindError> {
        match self.twice.first() {
            Some(name) => Err(BindError::Twice { name: name.clone() }),
            None => Ok(()),
        }
    }

    /// The handlers of each step of `definition`.
    ///
    /// # Errors
    /// The first step that lacks a handler without `lateBinding`, or has two that fit equally.
    pub(crate) fn bind(&self, definition: &Definition) -> Result<Arc<[Bound]>, BindError> {
        let bound = self.bind_what_is_there(definition);
        for (step, bound) in definition.steps().iter().zip(bound.iter()) {
            let faults = [bound.fault(), bound.compensation_fault()];
            for fault in faults.into_iter().flatten() {
                if !step.late_binding || matches!(fault, BindError::Ambiguous { .. }) {
                    return Err(fault.clone());
                }
            }
            if let Some(child) = step.child_definition().filter(|_| !step.late_binding) {
                self.bind(child)?;
            }
        }
        Ok(bound)
    }

    /// The handlers of each step of `definition`, or why there is none.
    pub(crate) fn bind_what_is_there(&self, definition: &Definition) -> Arc<[Bound]> {
        let steps = definition.steps().iter();
        steps.map(|step| self.bind_step(step)).collect()
    }

    fn bind_step(&self, step: &Step) -> Bound {
        let run = step
            .wait
            .is_none()
            .then(|| match find(&self.steps, step, &step.action)? {
                Some(handler) => Ok(Place::Here(Arc::clone(handler))),
                None if self.elsewhere.contains(&step.service) => match step.heartbeat {
                    None => Ok(Place::Elsewhere),
                    Some(_) => Err(BindError::Heartbeat {
                        step: step.id.clone(),
                        service: step.service.clone(),
                    }),
                },
                None => Err(BindError::Missing {
                    step: step.id.clone(),
                    service: step.service.clone(),
                    action: step.action.clone(),
                }),
            });
        let compensate = step.compensation_action.as_ref().map(|action| {
            match find(&self.compensations, step, action)? {
                Some(handler) => Ok(Place::Here(Arc::clone(handler))),
                None if self.elsewhere.contains(&step.service) => Ok(Place::Elsewhere),
                None => Err(BindError::MissingCompensation {
                    step: step.id.clone(),
                    service: step.service.clone(),
                    action: action.clone(),
                }),
            }
        });
        Bound { run, compensate }
    }

    /// The handler of a step that is asked for by name.
    pub(crate) fn step(
        &self,
        service: &str,
        action: &str,
        step: &str,
    ) -> Result<Option<StepHandler>, StepError> {
        asked(&self.steps, service, action, step)
    }

    /// The handler of a compensation that is asked for by name.
    pub(crate) fn compensation(
        &self,
        service: &str,
        action: &str,
        step: &str,
    ) -> Result<Option<CompensationHandler>, StepError> {
        asked(&self.compensations, service, action, step)
    }
}

fn asked<H: Clone>(
    table: &Table<H>,
    service: &str,
    action: &str,
    step: &str,
) -> Result<Option<H>, StepError> {
    let named = Step::new(step).service(service);
    let found = find(table, &named, action);
    // It is not known which of the two is meant, and no other attempt tells.
    let found = found.map_err(|error| StepError::Reject(error.to_string()))?;
    Ok(found.cloned())
}

/// Where a handler is.
#[derive(Clone)]
pub(crate) enum Place<H> {
    /// In this process.
    Here(H),
    /// Where a service is served.
    Elsewhere,
}

/// The handlers of one step, or why there is none.
#[derive(Clone)]
pub(crate) struct Bound {
    /// None: it is not run, but waits.
    pub(crate) run: Option<Result<Place<StepHandler>, BindError>>,
    /// None: there is nothing to take back.
    pub(crate) compensate: Option<Result<Place<CompensationHandler>, BindError>>,
}

impl Bound {
    pub(crate) fn fault(&self) -> Option<&BindError> {
        self.run.as_ref()?.as_ref().err()
    }

    pub(crate) fn compensation_fault(&self) -> Option<&BindError> {
        self.compensate.as_ref()?.as_ref().err()
    }

    /// Whether attempts of the step are asked for.
    pub(crate) fn is_elsewhere(&self) -> bool {
        matches!(self.run, Some(Ok(Place::Elsewhere)))
    }

    /// Whether attempts of its compensation are.
    pub(crate) fn compensation_is_elsewhere(&self) -> bool {
        matches!(self.compensate, Some(Ok(Place::Elsewhere)))
    }
}

fn merge<H>(table: &mut Table<H>, more: Table<H>, twice: &mut Vec<String>) {
    for (service, names) in more {
        for (name, handler) in names {
            if !insert(table, &service, &name, handler) {
                twice.push(format!("{service}/{name}"));
            }
        }
    }
}

fn insert<H>(table: &mut Table<H>, service: &str, name: &str, handler: H) -> bool {
    match table
        .entry(service.to_owned())
        .or_default()
        .entry(name.to_owned())
    {
        Entry::Vacant(place) => {
            place.insert(handler);
            true
        }
        Entry::Occupied(_) => false,
    }
}

fn find<'a, H>(table: &'a Table<H>, step: &Step, action: &str) -> Result<Option<&'a H>, BindError> {
    let named = |service: &str, name: &str| table.get(service).and_then(|names| names.get(name));
    if !step.service.is_empty()
        && let Some(handler) = named(&step.service, action)
    {
        return Ok(Some(handler));
    }
    match (named("", action), named("", &step.id)) {
        (Some(_), Some(_)) if action != step.id => Err(BindError::Ambiguous {
            step: step.id.clone(),
            action: action.to_owned(),
        }),
        (by_action, by_id) => Ok(by_action.or(by_id)),
    }
}

impl fmt::Debug for Handlers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = |services: Vec<(&String, Vec<&String>)>| {
            let mut names: Vec<String> = services
                .iter()
                .flat_map(|(service, names)| {
                    names.iter().map(move |name| format!("{service}/{name}"))
                })
                .collect();
            names.sort();
            names
        };
        let steps = self
            .steps
            .iter()
            .map(|(service, names)| (service, names.keys().collect()));
        let compensations = self
            .compensations
            .iter()
            .map(|(service, names)| (service, names.keys().collect()));
        f.debug_struct("Handlers")
            .field("steps", &names(steps.collect()))
            .field("compensations", &names(compensations.collect()))
            .finish()
    }
}
