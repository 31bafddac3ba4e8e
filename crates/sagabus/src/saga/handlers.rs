//! What the steps of sagas really do: handlers, found by service and action.

mod context;
mod error;
mod guard;

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::future::Future;
use std::num::NonZeroU32;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;

pub(crate) use context::{Call, Served};
pub use context::{CallContext, CompensationContext, EffectClass, StepContext, TurnedBackBy};
pub use error::{BindError, StepError, Versions};
pub(crate) use guard::{checked, guarded};

use super::definition::{Definition, Step};
use super::remote::HEARTBEAT_MIN;
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
/// Compensation handlers are looked up the same way with `compensationAction`. A step with a `version` has only handlers
/// [of that version](Handlers::of_version), and one without a version only those without.
#[derive(Clone, Default)]
pub struct Handlers {
    steps: Table<StepHandler>,
    compensations: Table<CompensationHandler>,
    /// Services whose steps are done by another process or another part of this one.
    elsewhere: BTreeSet<String>,
    /// Names that were registered twice, reported when the orchestrator opens.
    twice: Vec<String>,
}

/// Service (empty for none) to name to version (none for what has none) to handler.
type Table<H> = HashMap<String, HashMap<String, BTreeMap<Option<NonZeroU32>, H>>>;

/// What finds a handler, besides the action.
#[derive(Clone, Copy)]
pub(crate) struct Asked<'a> {
    pub(crate) service: &'a str,
    pub(crate) step: &'a str,
    pub(crate) version: Option<NonZeroU32>,
}

impl<'a> Asked<'a> {
    fn of(step: &'a Step) -> Self {
        Self {
            service: &step.service,
            step: &step.id,
            version: step.version,
        }
    }
}

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
        let twice = insert(&mut self.steps, (service, action, None), handler);
        self.twice.extend(twice);
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
        let twice = insert(&mut self.compensations, (service, action, None), handler);
        self.twice.extend(twice);
        self
    }

    /// The same handlers as those of one version of their actions, for the steps that say it; those that are of a version
    /// already stay so. Several versions stand beside each other, so that a new definition can say the new one while sagas in
    /// flight keep the old one:
    ///
    /// ```
    /// use std::num::NonZeroU32;
    /// use sagabus::saga::{Handlers, StepContext, StepError};
    ///
    /// let first = Handlers::new().handle("lab", "weigh", async |_: StepContext| Ok::<_, StepError>(()));
    /// let second = Handlers::new().handle("lab", "weigh", async |_: StepContext| Ok::<_, StepError>(()));
    /// let two = NonZeroU32::new(2).unwrap();
    /// let _both = first.and(second.of_version(two));
    /// ```
    #[must_use]
    pub fn of_version(mut self, version: NonZeroU32) -> Self {
        set_version(&mut self.steps, version, &mut self.twice);
        set_version(&mut self.compensations, version, &mut self.twice);
        self
    }

    /// The same handlers as those of the version of a step.
    pub(crate) fn of(self, version: Option<NonZeroU32>) -> Self {
        match version {
            Some(version) => self.of_version(version),
            None => self,
        }
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

    /// Service and action of all handlers, of steps and of compensations; the service is empty for those of none.
    #[must_use]
    pub fn actions(&self) -> BTreeSet<(&str, &str)> {
        fn of<H>(table: &Table<H>) -> impl Iterator<Item = (&str, &str)> {
            table.iter().flat_map(|(service, names)| {
                let names = names.keys();
                names.map(move |name| (service.as_str(), name.as_str()))
            })
        }
        of(&self.steps).chain(of(&self.compensations)).collect()
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
        let run =
            step.wait
                .is_none()
                .then(|| match find(&self.steps, Asked::of(step), &step.action)? {
                    Some(handler) => Ok(Place::Here(Arc::clone(handler))),
                    None if self.elsewhere.contains(&step.service) => match step.heartbeat {
                        Some(heartbeat) if heartbeat < HEARTBEAT_MIN => Err(BindError::Heartbeat {
                            step: step.id.clone(),
                            service: step.service.clone(),
                        }),
                        None | Some(_) => Ok(Place::Elsewhere),
                    },
                    None => Err(BindError::Missing {
                        step: step.id.clone(),
                        service: step.service.clone(),
                        action: step.action.clone(),
                        versions: versions(&self.steps, Asked::of(step), &step.action),
                    }),
                });
        let compensate = step.compensation_action.as_ref().map(|action| {
            match find(&self.compensations, Asked::of(step), action)? {
                Some(handler) => Ok(Place::Here(Arc::clone(handler))),
                None if self.elsewhere.contains(&step.service) => Ok(Place::Elsewhere),
                None => Err(BindError::MissingCompensation {
                    step: step.id.clone(),
                    service: step.service.clone(),
                    action: action.clone(),
                    versions: versions(&self.compensations, Asked::of(step), action),
                }),
            }
        });
        Bound { run, compensate }
    }

    /// The handler of a step that is asked for by name.
    pub(crate) fn step(&self, asked: Asked<'_>, action: &str) -> Result<StepHandler, StepError> {
        named(&self.steps, asked, action)
    }

    /// The handler of a compensation that is asked for by name.
    pub(crate) fn compensation(
        &self,
        asked: Asked<'_>,
        action: &str,
    ) -> Result<CompensationHandler, StepError> {
        named(&self.compensations, asked, action)
    }
}

fn named<H: Clone>(table: &Table<H>, asked: Asked<'_>, action: &str) -> Result<H, StepError> {
    match find(table, asked, action) {
        Ok(Some(handler)) => Ok(handler.clone()),
        Ok(None) => {
            let (service, versions) = (asked.service, versions(table, asked, action));
            let text = format!("no handler here for `{service}/{action}`{versions}");
            Err(StepError::Retry(text))
        }
        // It is not known which of the two is meant, and no other attempt tells.
        Err(error) => Err(StepError::Reject(error.to_string())),
    }
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
        for (name, versions) in names {
            for (version, handler) in versions {
                twice.extend(insert(table, (&service, &name, version), handler));
            }
        }
    }
}

/// Adds a handler, unless there is one: then it says which.
fn insert<H>(
    table: &mut Table<H>,
    (service, name, version): (&str, &str, Option<NonZeroU32>),
    handler: H,
) -> Option<String> {
    let names = table.entry(service.to_owned()).or_default();
    match names.entry(name.to_owned()).or_default().entry(version) {
        Entry::Vacant(place) => {
            place.insert(handler);
            None
        }
        Entry::Occupied(_) => Some(shown(service, name, version)),
    }
}

/// A handler by its name, as it is shown.
fn shown(service: &str, name: &str, version: Option<NonZeroU32>) -> String {
    let of = version.map(|version| format!(" of version {version}"));
    format!("{service}/{name}{}", of.unwrap_or_default())
}

/// Gives all handlers that have no version this one.
fn set_version<H>(table: &mut Table<H>, version: NonZeroU32, twice: &mut Vec<String>) {
    for (service, names) in table {
        for (name, versions) in names {
            let Some(handler) = versions.remove(&None) else {
                continue;
            };
            match versions.entry(Some(version)) {
                Entry::Vacant(place) => {
                    place.insert(handler);
                }
                Entry::Occupied(_) => twice.push(shown(service, name, Some(version))),
            }
        }
    }
}

fn find<'a, H>(
    table: &'a Table<H>,
    asked: Asked<'_>,
    action: &str,
) -> Result<Option<&'a H>, BindError> {
    let named = |service: &str, name: &str| {
        let versions = table.get(service)?.get(name)?;
        versions.get(&asked.version)
    };
    if !asked.service.is_empty()
        && let Some(handler) = named(asked.service, action)
    {
        return Ok(Some(handler));
    }
    match (named("", action), named("", asked.step)) {
        (Some(_), Some(_)) if action != asked.step => Err(BindError::Ambiguous {
            step: asked.step.to_owned(),
            action: action.to_owned(),
        }),
        (by_action, by_id) => Ok(by_action.or(by_id)),
    }
}

/// Of a handler that is missing: which version is needed, and which there are.
fn versions<H>(table: &Table<H>, asked: Asked<'_>, action: &str) -> Versions {
    let names = [(asked.service, action), ("", action), ("", asked.step)];
    let there = names.into_iter().filter_map(|(service, name)| {
        let versions = table.get(service)?.get(name)?;
        Some(versions.keys().copied())
    });
    let there: BTreeSet<_> = there.flatten().collect();
    Versions {
        needed: asked.version,
        there: there.into_iter().collect(),
    }
}

impl fmt::Debug for Handlers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handlers")
            .field("steps", &names(&self.steps))
            .field("compensations", &names(&self.compensations))
            .finish()
    }
}

fn names<H>(table: &Table<H>) -> Vec<String> {
    let mut shown_names = Vec::new();
    for (service, names) in table {
        for (name, versions) in names {
            shown_names.extend(versions.keys().map(|it| shown(service, name, *it)));
        }
    }
    shown_names.sort();
    shown_names
}
