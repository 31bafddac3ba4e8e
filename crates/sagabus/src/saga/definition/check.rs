//! The rules that a definition keeps, and the error that names the step which breaks one.

use std::collections::HashMap;

use super::each::check_pointer;
use super::form::too_deep;
use super::place::{InvalidDefinition, Place};
use super::{
    ConcurrencyKey, DEFINITION_BYTES_MAX, DEPTH_MAX, DURATION_MAX, EVENT_INPUT_PARTS_MAX,
    ID_BYTES_MAX, NAME_BYTES_MAX, Options, STEPS_MAX, Step, WAIT_MAX, Wait,
};
use crate::event::strict;
use crate::text::is_hidden;

/// What is wrong with a definition that is refused. Nothing is stored for it. [`InvalidDefinition`] adds where it is wrong.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DefinitionError {
    /// There is nothing to do.
    #[error("saga `{saga}` has no steps")]
    Empty {
        /// The saga's name.
        saga: String,
    },
    /// More than [`STEPS_MAX`] steps.
    #[error("saga `{saga}` has {steps} steps, more than {STEPS_MAX}")]
    TooManySteps {
        /// The saga's name.
        saga: String,
        /// How many it has.
        steps: usize,
    },
    /// Two steps have one id.
    #[error("step id `{step}` is used twice")]
    Duplicate {
        /// The id.
        step: String,
    },
    /// A step depends on a step that does not exist.
    #[error("step `{step}` depends on `{dependency}`, which is not a step")]
    UnknownDependency {
        /// The step that depends.
        step: String,
        /// The id that no step has.
        dependency: String,
    },
    /// Steps wait for each other; the path starts and ends with the same step.
    #[error("steps depend on each other by `dependencies`: {path}")]
    Cycle {
        /// The circle, such as `a → b → a`: each step depends on the next.
        path: String,
    },
    /// More than one step is the pivot.
    #[error("steps `{first}` and `{second}` are both the `pivot`; there can be one")]
    TwoPivots {
        /// One of them.
        first: String,
        /// Another one.
        second: String,
    },
    /// A time limit of zero would fail every attempt.
    #[error("`{field}` of step `{step}` is zero")]
    ZeroTimeout {
        /// The step.
        step: String,
        /// The field.
        field: &'static str,
    },
    /// A step without a handler has a field that goes with one.
    #[error(
        "step `{step}` waits and is not run: `{field}` is too much, it has `name`, `dependencies` and `pivot` only"
    )]
    NotBare {
        /// The step.
        step: String,
        /// The field.
        field: &'static str,
    },
    /// Where a step takes its items from is written in a way that leads nowhere.
    #[error("`{field}.from` of step `{step}` must be a JSON pointer such as `/samples`")]
    Pointer {
        /// The step.
        step: String,
        /// `forEach` or `child`.
        field: &'static str,
    },
    /// A step reads the output of one that need not be over by then.
    #[error("step `{step}` reads the output of `{before}`, which is not before it")]
    NotBefore {
        /// The step.
        step: String,
        /// The step that has the output.
        before: String,
    },
    /// A step that is a saga has a field that goes with a handler.
    #[error(
        "step `{step}` is a saga of its own: `{field}` is too much, it has `name`, `dependencies`, `pivot`, `data`, `forEach`, `lateBinding`, and what takes it back: `compensationAction` with its `service`, `version`, `compensate`, `compensationTimeout` and `compensationRetryAttempts`"
    )]
    NotOfChild {
        /// The step.
        step: String,
        /// The field.
        field: &'static str,
    },
    /// There are more than [`DEPTH_MAX`] sagas inside each other.
    #[error("step `{step}` has more than {DEPTH_MAX} sagas inside each other")]
    TooDeep {
        /// The step.
        step: String,
    },
    /// The saga of a step has a concurrency key: it could be that of the saga that waits for it, and both would wait for ever.
    #[error("the saga of step `{step}` has a `concurrencyKey`; the saga around it can have one")]
    KeyInside {
        /// The step.
        step: String,
    },
    /// The saga of a step is given two inputs.
    #[error("the saga of step `{step}` has its item as its input, and another one besides")]
    TwoInputs {
        /// The step.
        step: String,
    },
    /// A step waits for no time, or longer than [`WAIT_MAX`].
    #[error("`{field}` of step `{step}` must be 1 millisecond to 366 days")]
    WaitLimit {
        /// The step.
        step: String,
        /// The field.
        field: &'static str,
    },
    /// A time limit of the saga is zero or longer than [`WAIT_MAX`].
    #[error("`{field}` of saga `{saga}` must be 1 millisecond to 366 days")]
    SagaLimit {
        /// The saga's name.
        saga: String,
        /// The field.
        field: &'static str,
    },
    /// A concurrency key names nothing of the input, or has a limit that is none.
    #[error("`{field}` of saga `{saga}` {must}")]
    ConcurrencyKey {
        /// The saga's name.
        saga: String,
        /// The field.
        field: &'static str,
        /// What it must be, and is not.
        must: String,
    },
    /// What events are to carry is no part of an input, is named twice, or is too much.
    #[error(
        "`eventInput` of saga `{saga}` must be up to {EVENT_INPUT_PARTS_MAX} different JSON pointers such as `/sampleId`"
    )]
    EventInput {
        /// The saga's name.
        saga: String,
    },
    /// A duration is longer than [`DURATION_MAX`].
    #[error("`{field}` of step `{step}` is longer than 7 days")]
    TooLong {
        /// The step.
        step: String,
        /// The field.
        field: &'static str,
    },
    /// A name or id is empty, too long, or has characters that it cannot have.
    #[error("`{field}` of `{owner}` must be 1 to {bytes_max} bytes {of}")]
    Name {
        /// The step or saga.
        owner: String,
        /// The field.
        field: &'static str,
        /// The limit.
        bytes_max: usize,
        /// Which characters are taken.
        of: &'static str,
    },
    /// The written form is larger than [`DEFINITION_BYTES_MAX`].
    #[error("definition has {bytes} bytes, more than {DEFINITION_BYTES_MAX}")]
    TooLarge {
        /// Its size.
        bytes: usize,
    },
    /// The JSON or YAML does not have the form of a definition.
    #[error("definition does not fit at `{path}`: {reason}")]
    Unreadable {
        /// Where, such as `steps[1].retryAttempts`.
        path: String,
        /// What is wrong there.
        reason: String,
    },
}

impl DefinitionError {
    /// The field that is wrong, for what is wrong with one step alone.
    fn field(&self) -> &'static str {
        match self {
            Self::Duplicate { .. } => "id",
            Self::UnknownDependency { .. } | Self::Cycle { .. } => "dependencies",
            Self::ZeroTimeout { field, .. }
            | Self::TooLong { field, .. }
            | Self::SagaLimit { field, .. }
            | Self::WaitLimit { field, .. }
            | Self::ConcurrencyKey { field, .. }
            | Self::Name { field, .. } => field,
            Self::EventInput { .. } => "eventInput",
            Self::TwoPivots { .. } => "pivot",
            Self::Pointer { field, .. }
            | Self::NotBare { field, .. }
            | Self::NotOfChild { field, .. } => field,
            Self::NotBefore { .. } => "dependencies",
            Self::TooDeep { .. } | Self::KeyInside { .. } | Self::TwoInputs { .. } => "child",
            Self::Empty { .. } | Self::TooManySteps { .. } => "steps",
            Self::TooLarge { .. } | Self::Unreadable { .. } => ".",
        }
    }

    pub(super) fn in_step(self, index: usize) -> InvalidDefinition {
        let place = Place::in_step(index, self.field());
        self.at(place)
    }

    pub(super) fn in_definition(self) -> InvalidDefinition {
        let place = Place::of(self.field());
        self.at(place)
    }
}

const OF_ID: &str = "of letters, digits, `_`, `-`, `.`";
const OF_TEXT: &str = "without characters that are not to be seen";

/// Checks every rule; returns the positions of each step's dependencies.
pub(super) fn check(saga: &str, steps: &[Step]) -> Result<Vec<Vec<usize>>, InvalidDefinition> {
    text(saga, "name", saga).map_err(DefinitionError::in_definition)?;
    if steps.len() > STEPS_MAX {
        return Err(DefinitionError::TooManySteps {
            saga: saga.to_owned(),
            steps: steps.len(),
        }
        .in_definition());
    }
    for (index, step) in steps.iter().enumerate() {
        check_step(step).map_err(|fault| fault.in_step(index))?;
        if step.data.as_ref().is_some_and(strict::is_too_deep) {
            let (path, reason) = (format!("steps[{index}].data"), too_deep());
            let place = Place::of(path.as_str());
            return Err(DefinitionError::Unreadable { path, reason }.at(place));
        }
    }
    structure(saga, steps)
}

/// Checks what the machine stands on, which holds for every definition that was ever stored; returns the positions of each
/// step's dependencies. A new rule belongs in [`check`].
pub(super) fn structure(saga: &str, steps: &[Step]) -> Result<Vec<Vec<usize>>, InvalidDefinition> {
    if steps.is_empty() {
        return Err(DefinitionError::Empty {
            saga: saga.to_owned(),
        }
        .in_definition());
    }
    let mut positions = HashMap::with_capacity(steps.len());
    for (index, step) in steps.iter().enumerate() {
        if positions.insert(step.id.as_str(), index).is_some() {
            return Err(DefinitionError::Duplicate {
                step: step.id.clone(),
            }
            .in_step(index));
        }
    }
    let dependencies = steps
        .iter()
        .enumerate()
        .map(|(index, step)| resolve((index, step), &positions))
        .collect::<Result<Vec<_>, _>>()?;
    match find_cycle(&dependencies) {
        None => Ok(dependencies),
        Some(cycle) => Err(in_cycle(steps, &cycle)),
    }
}

/// The circle, at the dependency by which its first step waits for its second.
fn in_cycle(steps: &[Step], cycle: &[usize]) -> InvalidDefinition {
    let ids = cycle.iter().filter_map(|&index| steps.get(index));
    let ids: Vec<&str> = ids.map(|step| step.id.as_str()).collect();
    let fault = DefinitionError::Cycle {
        path: ids.join(" → "),
    };
    let first = cycle.first().copied().unwrap_or_default();
    let needs = steps.get(first).map_or(&[][..], |step| &step.dependencies);
    let entry = ids
        .get(1)
        .and_then(|second| needs.iter().position(|need| need == second));
    match entry {
        Some(entry) => fault.at(in_dependencies(first, entry)),
        None => fault.in_step(first),
    }
}

pub(super) fn in_dependencies(step: usize, entry: usize) -> Place {
    Place::in_step(step, &format!("dependencies[{entry}]"))
}

fn check_step(step: &Step) -> Result<(), DefinitionError> {
    id(&step.id, "id", &step.id)?;
    text(&step.id, "name", &step.name)?;
    if !step.service.is_empty() {
        id(&step.id, "service", &step.service)?;
    }
    match &step.wait {
        None => id(&step.id, "action", &step.action)?,
        Some(wait) => check_wait(step, wait)?,
    }
    if let Some(list) = &step.for_each {
        check_pointer(step, "forEach", &list.from)?;
    }
    if let Some(action) = &step.compensation_action {
        id(&step.id, "compensationAction", action)?;
    }
    let limits = [
        ("timeout", step.timeout),
        ("compensationTimeout", step.compensation_timeout),
        ("stepDeadline", step.step_deadline),
        ("queueTimeout", step.queue_timeout),
        ("heartbeat", step.heartbeat),
    ];
    for (field, limit) in limits {
        // The written form counts in milliseconds, so a shorter time is none.
        if limit.is_some_and(|limit| limit.as_millis() == 0) {
            return Err(DefinitionError::ZeroTimeout {
                step: step.id.clone(),
                field,
            });
        }
    }
    for (field, duration) in limits.into_iter().chain([("retryDelay", step.retry_delay)]) {
        if duration.is_some_and(|duration| duration > DURATION_MAX) {
            return Err(DefinitionError::TooLong {
                step: step.id.clone(),
                field,
            });
        }
    }
    Ok(())
}

fn check_wait(step: &Step, wait: &Wait) -> Result<(), DefinitionError> {
    let owner = || step.id.clone();
    match wait {
        Wait::Signal { name, .. } => id(&step.id, "signal.name", name)?,
        Wait::Approval { role, .. } => text(&step.id, "approval.role", role)?,
        Wait::Timer(_) => {}
        Wait::Child(child) => {
            check_pointer(step, "child", &child.from)?;
            return super::child::check(step, child);
        }
    }
    if let Some(field) = step.surplus() {
        let step = owner();
        return Err(DefinitionError::NotBare { step, field });
    }
    let time = wait.time();
    if time.is_some_and(|time| time.as_millis() == 0 || time > WAIT_MAX) {
        return Err(DefinitionError::WaitLimit {
            step: owner(),
            field: match wait {
                Wait::Approval { .. } => "approval.timeout",
                Wait::Timer(_) => "timer.for",
                Wait::Signal { .. } | Wait::Child(_) => "signal.timeout",
            },
        });
    }
    Ok(())
}

/// Checks what holds for all steps.
pub(super) fn check_options(saga: &str, options: &Options) -> Result<(), DefinitionError> {
    let limits = [
        ("deadline", options.deadline),
        ("queueTimeout", options.queue_timeout),
    ];
    for (field, limit) in limits {
        if limit.is_some_and(|limit| limit.as_millis() == 0 || limit > WAIT_MAX) {
            let saga = saga.to_owned();
            return Err(DefinitionError::SagaLimit { saga, field });
        }
    }
    let key = options.concurrency_key.as_ref();
    if let Some((field, must)) = key.and_then(ConcurrencyKey::fault) {
        let saga = saga.to_owned();
        return Err(DefinitionError::ConcurrencyKey { saga, field, must });
    }
    if !super::event_input::is_valid(&options.event_input) {
        let saga = saga.to_owned();
        return Err(DefinitionError::EventInput { saga });
    }
    Ok(())
}

fn resolve(
    (at, step): (usize, &Step),
    positions: &HashMap<&str, usize>,
) -> Result<Vec<usize>, InvalidDefinition> {
    let mut found = Vec::with_capacity(step.dependencies.len());
    for (entry, dependency) in step.dependencies.iter().enumerate() {
        let Some(&index) = positions.get(dependency.as_str()) else {
            let fault = DefinitionError::UnknownDependency {
                step: step.id.clone(),
                dependency: dependency.clone(),
            };
            return Err(fault.at(in_dependencies(at, entry)));
        };
        if !found.contains(&index) {
            found.push(index);
        }
    }
    Ok(found)
}

fn id(owner: &str, field: &'static str, value: &str) -> Result<(), DefinitionError> {
    let fits = value
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.'));
    named(owner, field, value, (ID_BYTES_MAX, OF_ID), fits)
}

fn text(owner: &str, field: &'static str, value: &str) -> Result<(), DefinitionError> {
    let fits = !value.chars().any(is_hidden);
    named(owner, field, value, (NAME_BYTES_MAX, OF_TEXT), fits)
}

fn named(
    owner: &str,
    field: &'static str,
    value: &str,
    (bytes_max, of): (usize, &'static str),
    fits: bool,
) -> Result<(), DefinitionError> {
    if fits && (1..=bytes_max).contains(&value.len()) {
        return Ok(());
    }
    Err(DefinitionError::Name {
        owner: owner.escape_debug().take(NAME_BYTES_MAX).collect(),
        field,
        bytes_max,
        of,
    })
}

/// A circle of dependencies, its first step repeated at the end.
fn find_cycle(dependencies: &[Vec<usize>]) -> Option<Vec<usize>> {
    // Kahn: take away every step whose dependencies are all taken away; what stays depends on a circle.
    let mut waiting: Vec<usize> = dependencies.iter().map(Vec::len).collect();
    let mut dependents = vec![Vec::new(); dependencies.len()];
    for (step, needs) in dependencies.iter().enumerate() {
        for &need in needs {
            if let Some(list) = dependents.get_mut(need) {
                list.push(step);
            }
        }
    }
    let mut open: Vec<usize> = (0..waiting.len())
        .filter(|&step| waiting.get(step) == Some(&0))
        .collect();
    while let Some(step) = open.pop() {
        for &next in dependents.get(step).into_iter().flatten() {
            if let Some(count) = waiting.get_mut(next) {
                *count = count.saturating_sub(1);
                if *count == 0 {
                    open.push(next);
                }
            }
        }
    }
    let stays = |step: usize| waiting.get(step).is_some_and(|&count| count > 0);
    let mut path = vec![(0..waiting.len()).find(|&step| stays(step))?];
    loop {
        let last = *path.last()?;
        let next = *dependencies.get(last)?.iter().find(|&&need| stays(need))?;
        let seen = path.iter().position(|&step| step == next);
        path.push(next);
        if let Some(start) = seen {
            return Some(path.split_off(start));
        }
    }
}
