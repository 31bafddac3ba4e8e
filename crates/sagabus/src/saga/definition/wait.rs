//! Steps that nobody runs: they wait for a signal, for a person, for the time or for another saga.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Child, Step};

/// What a step waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wait {
    /// A signal of this name; its payload is the output.
    Signal {
        /// The name.
        name: String,
        /// How long.
        limit: Option<WaitLimit>,
    },
    /// A person in this role says yes or no.
    Approval {
        /// The role.
        role: String,
        /// How long.
        limit: Option<WaitLimit>,
    },
    /// So much time goes by.
    Timer(Duration),
    /// A saga that it starts is over.
    Child(Child),
}

/// How long a step waits, and what then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WaitLimit {
    /// How long.
    pub timeout: Duration,
    /// What then.
    pub on_timeout: OnTimeout,
}

/// What becomes of a step that waited too long.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnTimeout {
    /// It has failed for good, without an effect.
    #[default]
    Fail,
    /// It is done, with `null` as its output.
    Complete,
}

impl Wait {
    /// How long the step waits at most.
    pub(crate) fn time(&self) -> Option<Duration> {
        match self {
            Self::Signal { limit, .. } | Self::Approval { limit, .. } => {
                limit.map(|limit| limit.timeout)
            }
            Self::Timer(delay) => Some(*delay),
            Self::Child(_) => None,
        }
    }

    /// What becomes of the step after that.
    pub(crate) fn on_timeout(&self) -> OnTimeout {
        match self {
            Self::Signal { limit, .. } | Self::Approval { limit, .. } => {
                limit.map(|limit| limit.on_timeout).unwrap_or_default()
            }
            Self::Timer(_) => OnTimeout::Complete,
            Self::Child(_) => OnTimeout::Fail,
        }
    }
}

impl Step {
    /// The same step as one that waits for a signal of this name.
    #[must_use]
    pub fn signal(self, name: impl Into<String>) -> Self {
        let name = name.into();
        self.waiting(Wait::Signal { name, limit: None })
    }

    /// The same step as one that waits until a person in this role says yes or no.
    #[must_use]
    pub fn approval(self, role: impl Into<String>) -> Self {
        let role = role.into();
        self.waiting(Wait::Approval { role, limit: None })
    }

    /// The same step as one that waits for so long.
    #[must_use]
    pub fn timer(self, delay: Duration) -> Self {
        self.waiting(Wait::Timer(delay))
    }

    /// The same step, which waits for a signal or a person for so long at most.
    #[must_use]
    pub fn waits_at_most(mut self, timeout: Duration, on_timeout: OnTimeout) -> Self {
        if let Some(Wait::Signal { limit, .. } | Wait::Approval { limit, .. }) = &mut self.wait {
            *limit = Some(WaitLimit {
                timeout,
                on_timeout,
            });
        }
        self
    }

    pub(in crate::saga) fn waiting(mut self, wait: Wait) -> Self {
        self.action.clear();
        self.wait = Some(wait);
        self
    }
}
