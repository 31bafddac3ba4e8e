//! What a saga is to do: a graph of named steps, always valid, with one canonical form and its hash.

mod changes;
mod check;
mod form;
mod place;
mod warning;

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

pub use changes::{Changed, Changes};
pub use check::DefinitionError;
pub use place::{InvalidDefinition, Place, Position};
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

/// A named graph of steps. It cannot be changed, is cheap to clone, and exists only if it is valid.
///
/// Two front doors lead to it: [`Definition::builder`] and the JSON or YAML form ([`Definition::from_json`],
/// [`Definition::from_yaml`]). Equal content has an equal [`hash`](Definition::hash), whichever door was taken.
#[derive(Clone)]
pub struct Definition(Arc<Inner>);

struct Inner {
    name: String,
    steps: Vec<Step>,
    /// Per step, the positions of its dependencies.
    dependencies: Vec<Vec<usize>>,
    canonical: Bytes,
    hash: DefinitionHash,
}

/// SHA-256 of a definition's canonical JSON.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct DefinitionHash(pub(crate) [u8; 32]);

/// One step of a saga: an action of a service, and what takes it back.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// Names the step within its definition: letters, digits, `_`, `-`, `.`.
    pub id: String,
    /// The step in words, for people.
    pub name: String,
    /// The service that does it.
    pub service: String,
    /// What the service does; finds the handler.
    pub action: String,
    /// What takes the action back; finds the compensation handler. None: there is nothing to take back.
    pub compensation_action: Option<String>,
    /// How long one attempt may take; also holds for the compensation. None: [`Settings::step_timeout`](super::Settings).
    pub timeout: Option<Duration>,
    /// How often a failed attempt is tried again: 2 means three attempts.
    pub retry_attempts: u32,
    /// Delay before the first retry, doubled for each further one. None: [`Settings::step_retry`](super::Settings).
    pub retry_delay: Option<Duration>,
    /// Ids of the steps that must have succeeded before this one starts.
    pub dependencies: Vec<String>,
    /// Parameters of the step, handed to its handlers as they are.
    pub data: Option<serde_json::Value>,
}

impl Step {
    /// A step whose name and action are its id, without a service, dependencies, retries or compensation.
    #[must_use]
    pub fn new(id: impl Into<String>) -> Self {
        let id = id.into();
        Self {
            name: id.clone(),
            service: String::new(),
            action: id.clone(),
            id,
            compensation_action: None,
            timeout: None,
            retry_attempts: 0,
            retry_delay: None,
            dependencies: Vec::new(),
            data: None,
        }
    }

    /// The same step with a name for people.
    #[must_use]
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// The same step, done by `service`.
    #[must_use]
    pub fn service(mut self, service: impl Into<String>) -> Self {
        self.service = service.into();
        self
    }

    /// The same step with another action than its id.
    #[must_use]
    pub fn action(mut self, action: impl Into<String>) -> Self {
        self.action = action.into();
        self
    }

    /// The same step, taken back by `action`.
    #[must_use]
    pub fn compensated_by(mut self, action: impl Into<String>) -> Self {
        self.compensation_action = Some(action.into());
        self
    }

    /// The same step with a limit for each attempt.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// The same step, tried again `retries` times.
    #[must_use]
    pub fn retries(mut self, retries: u32) -> Self {
        self.retry_attempts = retries;
        self
    }

    /// The same step with its own delay before the first retry.
    #[must_use]
    pub fn retry_delay(mut self, delay: Duration) -> Self {
        self.retry_delay = Some(delay);
        self
    }

    /// The same step, started only after `dependency` has succeeded.
    #[must_use]
    pub fn after(mut self, dependency: impl Into<String>) -> Self {
        self.dependencies.push(dependency.into());
        self
    }

    /// The same step with parameters.
    #[must_use]
    pub fn data(mut self, data: serde_json::Value) -> Self {
        self.data = Some(data);
        self
    }
}

/// Collects the steps of a [`Definition`].
#[derive(Clone, Debug)]
#[must_use]
pub struct Builder {
    name: String,
    steps: Vec<Step>,
}

impl Builder {
    /// Adds a step.
    pub fn step(mut self, step: Step) -> Self {
        self.steps.push(step);
        self
    }

    /// The definition.
    ///
    /// # Errors
    /// The first rule that is broken, naming the step.
    pub fn build(self) -> Result<Definition, InvalidDefinition> {
        Definition::from_steps(self.name, self.steps)
    }
}

impl Definition {
    /// A builder for the saga called `name`.
    pub fn builder(name: impl Into<String>) -> Builder {
        Builder {
            name: name.into(),
            steps: Vec::new(),
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
        let name = name.into();
        let dependencies = check::check(&name, &steps)?;
        let canonical = form::canonical(&name, &steps)?;
        let hash = form::hash(&canonical);
        Ok(Self(Arc::new(Inner {
            name,
            steps,
            dependencies,
            canonical,
            hash,
        })))
    }

    /// Reads `{"name": …, "steps": […]}` with the fields `id`, `name`, `service`, `action`, `compensationAction`,
    /// `timeout` and `retryDelay` (milliseconds, or text such as `"30s"`), `retryAttempts`, `dependencies`, `data`.
    ///
    /// # Errors
    /// [`DefinitionError::Unreadable`] with the path of what does not fit, an unknown field included; then as
    /// [`Definition::from_steps`]. The place has its line and column.
    pub fn from_json(json: &[u8]) -> Result<Self, InvalidDefinition> {
        form::from_json(json)
            .and_then(|(name, steps)| Self::from_steps(name, steps))
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
            .and_then(|(name, steps)| Self::from_steps(name, steps))
            .map_err(|error| error.found_in(yaml))
    }

    /// Reads the definition that a stored saga pins. Only what the machine stands on is checked: the form, that ids are
    /// unique, dependencies known, and no circle is there. A rule that was made after the saga was stored does not make it
    /// unreadable. The hash is that of `json` as it is.
    ///
    /// # Errors
    /// [`DefinitionError::Unreadable`], [`Empty`](DefinitionError::Empty), [`Duplicate`](DefinitionError::Duplicate),
    /// [`UnknownDependency`](DefinitionError::UnknownDependency) or [`Cycle`](DefinitionError::Cycle).
    pub fn from_pinned(json: &[u8]) -> Result<Self, InvalidDefinition> {
        let (name, steps) = form::read_json(json)?;
        let dependencies = check::structure(&name, &steps)?;
        Ok(Self(Arc::new(Inner {
            name,
            steps,
            dependencies,
            canonical: Bytes::copy_from_slice(json),
            hash: form::hash(json),
        })))
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

    /// Positions of the direct dependencies of the step at `index`.
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
