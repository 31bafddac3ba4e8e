//! Sagas: work of several services as one graph of steps, brought to its end or taken back.
//!
//! A [`Definition`] names the steps, [`Handlers`] do them, and [`Sagas`] runs them: each step at least once, retried with
//! backoff, bounded by a timeout, in parallel where the graph allows. When a step fails for good or somebody cancels, what
//! was done is taken back, the step that started last first. Every transition is durable before it is acted on, so a saga
//! goes on after a crash where it was; a step that was cut off is run again with the same idempotency key, or, if the saga
//! had turned back, taken back as a step that may have happened.
//!
//! The rules are pure ([`machine`]); what is stored are [`record`]s, whose fold is the state.

pub mod backoff;
pub mod definition;
pub mod events;
pub mod handlers;
mod id;
pub mod machine;
pub mod monitor;
mod orchestrator;
pub mod record;
pub mod remote;
mod service_limit;
mod settings;
mod trigger;
mod turn_waits;
pub mod typed;

pub use crate::ledger::Priority;
pub use definition::{
    Child, Compensate, ConcurrencyKey, Definition, DefinitionError, ForEach, InputParts,
    InvalidDefinition, OnConflict, OnInDoubt, OnTimeout, Options, Order, PlainErrors, Step, Wait,
    WaitLimit, Warning, WarningKind,
};
pub use handlers::{
    BindError, CallContext, CompensationContext, EffectClass, Handlers, Output, StepContext,
    StepError, TurnedBackBy, Versions,
};
pub use id::SagaId;
pub use machine::{ATTACHED_MAX, Action, Answer, Answered, Approval, InFlight, Signal};
pub use monitor::{
    Health, OperatedStatus, SagaStatus, SignalStatus, Stats, Status, StepPhase, StepStatus,
    Unreadable, Waits,
};
pub use orchestrator::{
    ATTRIBUTES_MAX, Builder, Cursor, Earlier, PAGE_MAX, Page, Query, Sagas, Start, Started,
};
pub use service_limit::ServiceLimit;
pub use settings::Settings;
pub use turn_waits::{TurnWaits, WAIT_BOUNDS};
#[cfg(test)]
mod tests;

/// The examples of the guide are tests.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/guides/sagas.md")]
struct Guide;
