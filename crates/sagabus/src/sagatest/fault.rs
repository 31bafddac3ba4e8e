//! What goes wrong on purpose, and what was wrong after it.

use std::fmt;

use super::Moment;

/// What goes wrong in one run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Nothing.
    Nothing,
    /// A step fails before it does anything.
    StepFails(String),
    /// A step is done and says that it does not know.
    StepInDoubt(String),
    /// A step is done and never answers, until its time is over.
    StepHangs(String),
    /// A step is done and panics.
    StepPanics(String),
    /// A step is done twice.
    StepTwice(String),
    /// A compensation fails once, and is tried again.
    CompensationFails(String),
    /// A compensation is refused, and tried again by an operator.
    CompensationStuck(String),
    /// A step is taken back, and the answer does not arrive in time.
    CompensationHangs(String),
    /// A step is taken back, and its compensation panics.
    CompensationPanics(String),
    /// A step is taken back twice.
    CompensationTwice(String),
    /// The process ends at an append.
    Crash(usize, Moment),
    /// The process ends at an append of a saga that turns back because its last step fails.
    CrashTurningBack(usize, Moment),
    /// Somebody cancels after an append.
    Cancel(usize),
}

impl Fault {
    /// The step at which it is. An item of a list has its number behind it, such as `weigh[0]`, and a step of a child the step that
    /// starts that before it, such as `order/pay`.
    #[must_use]
    pub fn step(&self) -> Option<&str> {
        match self {
            Self::StepFails(step)
            | Self::StepInDoubt(step)
            | Self::StepHangs(step)
            | Self::StepPanics(step)
            | Self::StepTwice(step)
            | Self::CompensationFails(step)
            | Self::CompensationStuck(step)
            | Self::CompensationHangs(step)
            | Self::CompensationPanics(step)
            | Self::CompensationTwice(step) => Some(step),
            Self::Nothing | Self::Crash(..) | Self::CrashTurningBack(..) | Self::Cancel(_) => None,
        }
    }

    /// The step that fails for good.
    pub(super) fn failing_step(&self) -> Option<&str> {
        match self {
            Self::StepFails(step)
            | Self::StepInDoubt(step)
            | Self::StepHangs(step)
            | Self::StepPanics(step) => Some(step),
            _ => None,
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nothing => write!(f, "nothing fails"),
            Self::StepFails(step) => write!(f, "step `{step}` fails"),
            Self::StepInDoubt(step) => write!(f, "step `{step}` is in doubt"),
            Self::StepHangs(step) => write!(f, "step `{step}` hangs"),
            Self::StepPanics(step) => write!(f, "step `{step}` panics"),
            Self::StepTwice(step) => write!(f, "step `{step}` is done twice"),
            Self::CompensationFails(step) => write!(f, "compensation of `{step}` fails once"),
            Self::CompensationStuck(step) => write!(f, "compensation of `{step}` is stuck"),
            Self::CompensationHangs(step) => write!(f, "compensation of `{step}` hangs"),
            Self::CompensationPanics(step) => write!(f, "compensation of `{step}` panics"),
            Self::CompensationTwice(step) => write!(f, "`{step}` is taken back twice"),
            Self::Crash(at, moment) => write!(f, "crash {moment} append {at}"),
            Self::CrashTurningBack(at, moment) => {
                write!(f, "crash {moment} append {at} while turning back")
            }
            Self::Cancel(at) => write!(f, "cancel after append {at}"),
        }
    }
}

/// What was wrong in one run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// What went wrong on purpose.
    pub fault: Fault,
    /// What should not have followed.
    pub what: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.fault, self.what)
    }
}

/// What the runs of a [`Sweep`](super::Sweep) showed.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// How many there were.
    pub runs: usize,
    /// What was wrong.
    pub failures: Vec<Failure>,
}

impl Report {
    /// Nothing was wrong.
    ///
    /// # Panics
    /// When something was, with the step and the run.
    #[track_caller]
    pub fn assert_clean(&self) {
        let failures: Vec<String> = self.failures.iter().map(Failure::to_string).collect();
        assert!(failures.is_empty(), "{}", failures.join("\n"));
    }
}
