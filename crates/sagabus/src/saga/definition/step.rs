//! One step of a definition, as Rust writes it.

use std::num::NonZeroU32;
use std::time::Duration;

use super::{Compensate, ForEach, OnInDoubt, Wait};

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
    /// The version of action and compensation action that it is done by, and by no other: sagas in flight keep that of the
    /// definition that they were started with. None: by the handlers that have none.
    pub version: Option<NonZeroU32>,
    /// How long one attempt may take; also holds for the compensation. None:
    /// [`Settings::step_timeout`](crate::saga::Settings).
    pub timeout: Option<Duration>,
    /// How often a failed attempt is tried again: 2 means three attempts.
    pub retry_attempts: u32,
    /// Delay before the first retry, doubled for each further one. None:
    /// [`Settings::step_retry`](crate::saga::Settings).
    pub retry_delay: Option<Duration>,
    /// Ids of the steps that must have succeeded before this one starts.
    pub dependencies: Vec<String>,
    /// Parameters of the step, handed to its handlers as they are.
    pub data: Option<serde_json::Value>,
    /// Whether its success is the point of no return: it starts after all steps that do not follow from it, and what follows
    /// is tried again, by an operator at last, and never taken back.
    pub pivot: bool,
    /// When it is taken back.
    pub compensate: Compensate,
    /// What becomes of it when the end of the process cuts it off.
    pub on_in_doubt: OnInDoubt,
    /// How long one attempt to take it back may take. None: as the step itself.
    pub compensation_timeout: Option<Duration>,
    /// How often a failed attempt to take it back is tried again. None:
    /// [`Settings::compensation_attempts_max`](crate::saga::Settings), less the first.
    pub compensation_retry_attempts: Option<u32>,
    /// How long all attempts and the delays between them may take together.
    pub step_deadline: Option<Duration>,
    /// How long it may take from being ready until its first attempt begins: it waits for a slot at its service, or for a handler.
    /// Then it has failed for good, without an effect.
    pub queue_timeout: Option<Duration>,
    /// How long the handler may go without [`StepContext::heartbeat`](crate::saga::StepContext::heartbeat) before its attempt
    /// has timed out. None: it needs none.
    pub heartbeat: Option<Duration>,
    /// Whether the next attempt may begin while the handler of one that has timed out still ends.
    pub overlap: bool,
    /// Whether the saga may be started without a handler of this step; it is run by a process that has one.
    pub late_binding: bool,
    /// The list for each of whose items it is done.
    pub for_each: Option<ForEach>,
    /// What it waits for instead of being run. Such a step has no action and nothing that goes with one.
    pub wait: Option<Wait>,
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
            version: None,
            timeout: None,
            retry_attempts: 0,
            retry_delay: None,
            dependencies: Vec::new(),
            data: None,
            pivot: false,
            compensate: Compensate::default(),
            on_in_doubt: OnInDoubt::default(),
            compensation_timeout: None,
            compensation_retry_attempts: None,
            step_deadline: None,
            queue_timeout: None,
            heartbeat: None,
            overlap: false,
            late_binding: false,
            for_each: None,
            wait: None,
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

    /// The same step, done and taken back by the handlers of this version: see
    /// [`Handlers::of_version`](crate::saga::Handlers::of_version).
    #[must_use]
    pub fn version(mut self, version: NonZeroU32) -> Self {
        self.version = Some(version);
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

    /// The same step as the point of no return: see [`Step::pivot`](#structfield.pivot).
    #[must_use]
    pub fn pivot(mut self) -> Self {
        self.pivot = true;
        self
    }

    /// The same step, taken back when `compensate` says.
    #[must_use]
    pub fn compensate(mut self, compensate: Compensate) -> Self {
        self.compensate = compensate;
        self
    }

    /// The same step with another answer to being cut off by the end of the process.
    #[must_use]
    pub fn on_in_doubt(mut self, on_in_doubt: OnInDoubt) -> Self {
        self.on_in_doubt = on_in_doubt;
        self
    }

    /// The same step with a limit for each attempt to take it back.
    #[must_use]
    pub fn compensation_timeout(mut self, timeout: Duration) -> Self {
        self.compensation_timeout = Some(timeout);
        self
    }

    /// The same step, whose compensation is tried again `retries` times.
    #[must_use]
    pub fn compensation_retries(mut self, retries: u32) -> Self {
        self.compensation_retry_attempts = Some(retries);
        self
    }

    /// The same step with a limit for all attempts together.
    #[must_use]
    pub fn step_deadline(mut self, limit: Duration) -> Self {
        self.step_deadline = Some(limit);
        self
    }

    /// The same step with a limit for waiting for its first attempt once it is ready.
    #[must_use]
    pub fn queue_timeout(mut self, limit: Duration) -> Self {
        self.queue_timeout = Some(limit);
        self
    }

    /// The same step, whose handler gives a sign of life at least this often.
    #[must_use]
    pub fn heartbeat(mut self, interval: Duration) -> Self {
        self.heartbeat = Some(interval);
        self
    }

    /// The same step, whose next attempt does not wait until the handler of the last one is gone.
    #[must_use]
    pub fn overlap(mut self) -> Self {
        self.overlap = true;
        self
    }

    /// The same step, whose handler may be missing when the saga is started.
    #[must_use]
    pub fn late_binding(mut self) -> Self {
        self.late_binding = true;
        self
    }
}
