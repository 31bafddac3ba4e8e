//! What a saga is to do: a graph of named steps, always valid, with one canonical form and its hash.

mod changes;
mod check;
mod child;
mod data;
mod each;
mod event_input;
mod form;
mod key;
mod options;
mod pivot;
mod place;
mod step;
mod surplus;
mod wait;
mod warning;

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use self::pivot::Pivot;

pub use changes::{Changed, Changes};
pub use check::DefinitionError;
pub use child::{Child, DEPTH_MAX};
pub use each::{ForEach, ITEMS_MAX};
pub use event_input::{EVENT_INPUT_BYTES_MAX, EVENT_INPUT_PARTS_MAX, InputParts};
pub use key::{ConcurrencyKey, HOLDERS_MAX, OnConflict};
pub use options::{Compensate, OnInDoubt, Options, Order, PlainErrors};
pub use place::{InvalidDefinition, Place, Position};
pub use step::Step;
pub use wait::{OnTimeout, Wait, WaitLimit};
pub use warning::{Warning, WarningKind};

/// Most steps in one definition.
pub const STEPS_MAX: usize = 1_000;
/// Largest definition in its written form, in bytes (1 MiB): every saga keeps a copy in its first record.
pub const DEFINITION_BYTES_MAX: usize = 1024 * 1024;
/// Longest name of a saga or a step, in bytes.
pub const NAME_BYTES_MAX: usize = 255;
/// Longest step id, service or action, in bytes.
pub const ID_BYTES_MAX: usize = 128;
/// Longest timeout or retry delay (7 days).
pub const DURATION_MAX: Duration = Duration::from_secs(7 * 24 * 3600);
/// Longest time that a saga may wait or take as a whole (366 days).
pub const WAIT_MAX: Duration = Duration::from_secs(366 * 24 * 3600);

/// A named graph of steps. It cannot be changed, is cheap to clone, and exists only if it is valid.
///
/// Two front doors lead to it: [`Definition::builder`] and the JSON or YAML form ([`Definition::from_json`],
/// [`Definition::from_yaml`]). Equal content has an equal [`hash`](Definition::hash), whichever door was taken.
#[derive(Clone)]
pub struct Definition(Arc<Inner>);

struct Inner {
    name: String,
    steps: Vec<Step>,
    options: Options,
    /// Per step, the positions of its dependencies.
    dependencies: Vec<Vec<usize>>,
    pivot: Option<Pivot>,
    has_waits: bool,
    depth: usize,
    canonical: Bytes,
    hash: DefinitionHash,
}

/// SHA-256 of a definition's canonical JSON.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct DefinitionHash(pub(crate) [u8; 32]);

/// Collects the steps of a [`Definition`].
#[derive(Clone, Debug)]
#[must_use]
pub struct Builder {
    name: String,
    steps: Vec<Step>,
    options: Options,
}

impl Builder {
    /// Adds a step.
    pub fn step(mut self, step: Step) -> Self {
        self.steps.push(step);
        self
    }

    /// Sets what holds for all steps.
    pub fn options(mut self, options: Options) -> Self {
        self.options = options;
        self
    }

    /// The definition.
    ///
    /// # Errors
    /// The first rule that is broken, naming the step.
    pub fn build(self) -> Result<Definition, InvalidDefinition> {
        Definition::from_parts((self.name, self.steps, self.options))
    }
}

impl Definition {
    /// A builder for the saga called `name`.
    pub fn builder(name: impl Into<String>) -> Builder {
        Builder {
            name: name.into(),
            steps: Vec::new(),
            options: Options::default(),
        }
    }

    /// The definition of `name` with these steps.
    ///
    /// # Errors
    /// The first rule that is broken, naming the step.
    pub fn from_steps(
        name: impl Into<String>,
        steps: Vec<Step>,
    ) -> Result<Self, InvalidDefinition> {
        Self::from_parts((name.into(), steps, Options::default()))
    }

    fn from_parts((name, steps, options): form::Parts) -> Result<Self, InvalidDefinition> {
        let dependencies = check::check(&name, &steps)?;
        check::check_options(&name, &options).map_err(DefinitionError::in_definition)?;
        let canonical = form::canonical(&name, &steps, &options)?;
        let hash = form::hash(&canonical);
        let whole = Self::assembled((name, steps, options), dependencies, (canonical, hash))?;
        whole.check_sources()?;
        Ok(whole)
    }

    /// Reads `{"name": …, "steps": […]}` with the fields `id`, `name`, `service`, `action`, `compensationAction`, `version`,
    /// `timeout` and `retryDelay` (milliseconds, or text such as `"30s"`), `retryAttempts`, `dependencies`, `data`, `pivot`.
    ///
    /// # Errors
    /// [`DefinitionError::Unreadable`] with the path of what does not fit, an unknown field included; then as
    /// [`Definition::from_steps`]. The place has its line and column.
    pub fn from_json(json: &[u8]) -> Result<Self, InvalidDefinition> {
        form::from_json(json)
            .and_then(Self::from_parts)
            .map_err(|error| match std::str::from_utf8(json) {
                Ok(text) => error.found_in(text),
                Err(_) => error,
            })
    }

    /// Reads the same form written as YAML.
    ///
    /// # Errors
    /// As [`Definition::from_json`].
    pub fn from_yaml(yaml: &str) -> Result<Self, InvalidDefinition> {
        form::from_yaml(yaml)
            .and_then(Self::from_parts)
            .map_err(|error| error.found_in(yaml))
    }

    /// Reads the definition that a stored saga pins. Only what the machine stands on is checked: the form, that ids are
    /// unique, dependencies known, and no circle is there. A rule that was made after the saga was stored does not make it
    /// unreadable. The hash is that of `json` as it is.
    ///
    /// # Errors
    /// [`DefinitionError::Unreadable`], [`Empty`](DefinitionError::Empty), [`Duplicate`](DefinitionError::Duplicate),
    /// [`UnknownDependency`](DefinitionError::UnknownDependency), [`Cycle`](DefinitionError::Cycle) or
    /// [`TwoPivots`](DefinitionError::TwoPivots).
    pub fn from_pinned(json: &[u8]) -> Result<Self, InvalidDefinition> {
        let parts = form::read_json(json, Self::from_stored)?;
        let dependencies = check::structure(&parts.0, &parts.1)?;
        let written = (Bytes::copy_from_slice(json), form::hash(json));
        Self::assembled(parts, dependencies, written)
    }

    /// Of the definition of a child, which is stored inside that of its parent.
    fn from_stored(parts: form::Parts) -> Result<Self, InvalidDefinition> {
        let dependencies = check::structure(&parts.0, &parts.1)?;
        let canonical = form::written(&parts.0, &parts.1, &parts.2)?;
        let hash = form::hash(&canonical);
        Self::assembled(parts, dependencies, (canonical, hash))
    }

    fn assembled(
        (name, steps, options): form::Parts,
        mut dependencies: Vec<Vec<usize>>,
        (canonical, hash): (Bytes, DefinitionHash),
    ) -> Result<Self, InvalidDefinition> {
        let pivot = Pivot::find(&steps, &mut dependencies)?;
        Ok(Self(Arc::new(Inner {
            has_waits: steps.iter().any(|step| step.wait.is_some()),
            depth: child::depth(&steps),
            name,
            steps,
            options,
            dependencies,
            pivot,
            canonical,
            hash,
        })))
    }

    /// Checks that each output which a step reads is there by then.
    fn check_sources(&self) -> Result<(), InvalidDefinition> {
        for (index, step) in self.steps().iter().enumerate() {
            let list = step.for_each.as_ref().and_then(|list| list.step.as_ref());
            let input = match &step.wait {
                Some(Wait::Child(child)) => child.step.as_ref(),
                _ => None,
            };
            let fields = [("forEach", list), ("child", input)];
            for (field, source) in fields {
                let Some(id) = source else {
                    continue;
                };
                let source = self.steps().iter().position(|step| step.id == *id);
                if !source.is_some_and(|source| self.ancestors(index).contains(&source)) {
                    let (step, before) = (step.id.clone(), id.clone());
                    let fault = DefinitionError::NotBefore { step, before };
                    return Err(fault.at(Place::in_step(index, field)));
                }
            }
        }
        Ok(())
    }

    /// How many sagas are inside each other, this one included.
    pub(crate) fn depth(&self) -> usize {
        self.0.depth
    }

    /// What is said in the definition and has no effect.
    #[must_use]
    pub fn warnings(&self) -> Vec<Warning> {
        warning::warnings(self)
    }

    /// What this definition changes of `old`.
    #[must_use]
    pub fn changes_from(&self, old: &Self) -> Changes {
        changes::between(old, self)
    }

    /// What the saga is called.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// The steps, in the order in which they were written.
    #[must_use]
    pub fn steps(&self) -> &[Step] {
        &self.0.steps
    }

    /// What holds for all steps.
    #[must_use]
    pub fn options(&self) -> &Options {
        &self.0.options
    }

    /// A copy of the parts of `input` that the events of its sagas carry; in words why there is none.
    pub(crate) fn event_input(&self, input: &[u8]) -> Result<InputParts, String> {
        event_input::parts(&self.options().event_input, input)
    }

    /// SHA-256 of the canonical JSON.
    #[must_use]
    pub fn hash(&self) -> DefinitionHash {
        self.0.hash
    }

    /// The canonical JSON, which [`Definition::from_json`] reads.
    #[must_use]
    pub fn to_json(&self) -> Bytes {
        self.0.canonical.clone()
    }

    /// Position of the step after whose success the saga is only brought to its end and never taken back.
    pub(crate) fn pivot(&self) -> Option<usize> {
        self.0.pivot.as_ref().map(|pivot| pivot.step)
    }

    /// Whether a step waits for a signal, a person or the time.
    pub(crate) fn has_waits(&self) -> bool {
        self.0.has_waits
    }

    /// Whether the step at `index` follows from the pivot, at any distance.
    pub(crate) fn is_after_pivot(&self, index: usize) -> bool {
        let pivot = self.0.pivot.as_ref();
        pivot.is_some_and(|pivot| pivot.followers.get(index).copied().unwrap_or(false))
    }

    /// Positions of the direct dependencies of the step at `index`; of the pivot, all steps that do not follow from it.
    pub(crate) fn dependencies(&self, index: usize) -> &[usize] {
        self.0.dependencies.get(index).map_or(&[], Vec::as_slice)
    }

    /// Positions of all steps that must have succeeded before the step at `index` starts, ascending.
    pub(crate) fn ancestors(&self, index: usize) -> Vec<usize> {
        let mut found = vec![false; self.0.steps.len()];
        let mut open = self.dependencies(index).to_vec();
        while let Some(next) = open.pop() {
            if let Some(seen) = found.get_mut(next)
                && !*seen
            {
                *seen = true;
                open.extend_from_slice(self.dependencies(next));
            }
        }
        (0..found.len())
            .filter(|&at| found.get(at).copied().unwrap_or(false))
            .collect()
    }
}

impl PartialEq for Definition {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || self.0.canonical == other.0.canonical
    }
}

impl Eq for Definition {}

impl Hash for Definition {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.hash.hash(state);
    }
}

impl fmt::Debug for Definition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Definition")
            .field("name", &self.0.name)
            .field("hash", &self.0.hash)
            .field("steps", &self.0.steps.len())
            .finish()
    }
}

impl fmt::Display for DefinitionHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for DefinitionHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
