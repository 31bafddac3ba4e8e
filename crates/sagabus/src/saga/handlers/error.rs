//! How a handler fails, and why a definition cannot be bound to handlers.

use std::fmt;
use std::num::NonZeroU32;

use crate::error::{Error, ErrorKind};

/// How an attempt of a step or of its compensation failed. The text goes into the log, the status and the events of the
/// saga: it names what failed and holds no personal data.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StepError {
    /// Nothing happened, another attempt may succeed.
    #[error("{0}")]
    Retry(String),
    /// Nothing happened, since what it needs cannot be had for the time being, such as room on a full disk. Tried again after
    /// 1 s to a minute, as often as it takes within the time of its saga; the attempts do not count.
    #[error("{0}")]
    Unavailable(String),
    /// Nothing happened, and another attempt would fail as well.
    #[error("{0}")]
    Reject(String),
    /// It may have happened. Tried again; when it was the last attempt, the step is compensated.
    #[error("{0}")]
    InDoubt(String),
}

impl From<Error> for StepError {
    /// `Invalid`, `NotFound` and `Conflict` are rejections. `Closed`, whose outcome is unknown, is in doubt. All others
    /// are tried again; of these `Full` does not count.
    fn from(error: Error) -> Self {
        let text = error.chain();
        match error.kind() {
            ErrorKind::Invalid | ErrorKind::NotFound | ErrorKind::Conflict => Self::Reject(text),
            ErrorKind::Closed => Self::InDoubt(text),
            ErrorKind::Full => Self::Unavailable(text),
            ErrorKind::Transient | ErrorKind::Fenced | ErrorKind::Corrupt => Self::Retry(text),
        }
    }
}

/// Why a definition cannot be started with the handlers of this process.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BindError {
    /// No handler does the step's action.
    #[error("step `{step}` has no handler for `{service}/{action}`{versions}")]
    Missing {
        /// The step.
        step: String,
        /// Its service.
        service: String,
        /// Its action.
        action: String,
        /// The version of it that is needed, and those that there are.
        versions: Versions,
    },
    /// No handler does the step's compensation.
    #[error("step `{step}` has no compensation handler for `{service}/{action}`{versions}")]
    MissingCompensation {
        /// The step.
        step: String,
        /// Its service.
        service: String,
        /// Its compensation action.
        action: String,
        /// The version of it that is needed, and those that there are.
        versions: Versions,
    },
    /// The step asks for signs of life more often than they come from a service elsewhere.
    #[error(
        "step `{step}` has a `heartbeat` of less than 1 s, and service `{service}` is elsewhere"
    )]
    Heartbeat {
        /// The step.
        step: String,
        /// Its service.
        service: String,
    },
    /// One handler fits the action and another one the step's id.
    #[error("step `{step}` has two handlers: one for its id and one for `{action}`")]
    Ambiguous {
        /// The step.
        step: String,
        /// Its action.
        action: String,
    },
    /// Two handlers have one name and version.
    #[error("handler `{name}` is registered twice")]
    Twice {
        /// Service, action and version.
        name: String,
    },
}

/// The version of an action that is needed, and those that have a handler; none is that of handlers without a version.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Versions {
    /// What is needed.
    pub needed: Option<NonZeroU32>,
    /// What there is, in its order.
    pub there: Vec<Option<NonZeroU32>>,
}

impl fmt::Display for Versions {
    /// What fits behind the name of an action; nothing where there are no versions at all.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.needed {
            Some(version) => write!(f, " of version {version}")?,
            None if self.there.is_empty() => {}
            None => f.write_str(" without a version")?,
        }
        let known: Vec<String> = self
            .there
            .iter()
            .flatten()
            .map(ToString::to_string)
            .collect();
        match (known.is_empty(), self.there.contains(&None)) {
            (true, false) => Ok(()),
            (true, true) => f.write_str(", only one without a version"),
            (false, false) => write!(f, ", only of version {}", known.join(", ")),
            (false, true) => write!(f, ", only of version {} and without one", known.join(", ")),
        }
    }
}

impl From<BindError> for Error {
    fn from(error: BindError) -> Self {
        Self::invalid(error.to_string())
    }
}
