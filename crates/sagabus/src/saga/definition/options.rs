//! Choices that a definition or a step makes about failing and taking back.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::key::ConcurrencyKey;
use crate::ledger::Priority;

/// What holds for all steps of a definition.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// In which order the steps are taken back.
    pub compensation: Order,
    /// What a handler's plain error says about the effect.
    pub plain_errors: PlainErrors,
    /// How long after its start the saga turns back if it has not passed its pivot. After that it is only told of, and
    /// taking back has no limit.
    pub deadline: Option<Duration>,
    /// How long the saga may wait for its turn before it is cancelled.
    pub queue_timeout: Option<Duration>,
    /// How urgent a saga is that does not say so at its start.
    pub priority: Priority,
    /// Which sagas must not run at the same time.
    pub concurrency_key: Option<ConcurrencyKey>,
    /// JSON pointers to the parts of the input that each event of the saga carries, such as `/sampleId`. Whoever reads the
    /// events sees them, so no personal data.
    pub event_input: Vec<String>,
}

/// In which order steps are taken back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Order {
    /// One after the other, the one that started last first.
    #[default]
    Serial,
    /// Each as soon as all that follows from it, at any distance, is taken back.
    Parallel,
}

/// When a step is taken back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Compensate {
    /// When it has succeeded.
    Completed,
    /// When it has succeeded, or it is not known whether it had an effect.
    #[default]
    CompletedOrInDoubt,
    /// Whenever it was started, also when it failed without an effect.
    Always,
}

/// What becomes of a step that the end of the process cut off.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnInDoubt {
    /// It is run again with its key.
    #[default]
    Retry,
    /// It has failed, with an effect that is not known.
    Compensate,
    /// The saga is paused until an operator says how to go on.
    Park,
}

/// What [`StepError::Retry`](crate::saga::StepError::Retry) says about the effect.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PlainErrors {
    /// There was none.
    #[default]
    NoEffect,
    /// There may have been one.
    InDoubt,
}

/// Whether a choice is the one that needs no words.
pub(super) fn is_default<T: Default + PartialEq>(choice: &T) -> bool {
    *choice == T::default()
}
