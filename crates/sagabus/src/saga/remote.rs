//! Steps in other services: an event asks for an attempt, and one answers it.
//!
//! A service whose steps are done elsewhere is named with [`Handlers::elsewhere`](super::Handlers::elsewhere). An attempt of
//! such a step is asked for by `saga.step_requested`, which is stored in one commit with the record that starts the attempt, so
//! it is asked for exactly if it was started. The service does it in one line, with
//! [`Handlers::serve`](super::Handlers::serve): its reply, `saga.step_replied`, is stored in one commit with the ack of the
//! request. The orchestrator takes replies with [`Sagas::take_replies`](super::Sagas::take_replies), once each, whether the saga
//! still waits for them or not: a late one does what the table of late answers says, and one with an old fencing token is
//! refused.
//!
//! A handler of a step with a `heartbeat` is heard of by `saga.step_progressed`: each gives its attempt the same time again, and
//! is no record of the saga.
//!
//! A restart of the orchestrator does not cut such an attempt off: it goes on to wait for the reply. Retries, time limits, keys
//! and compensation are those of any step. A saga that turns back tells the service to stop, with `saga.step_stopped`. How long
//! a handler may go on then, and after its deadline, is what the orchestrator says, which waits for as long and a little longer.

mod ask;
mod payload;
mod replies;
mod serve;

use std::time::Duration;

pub(crate) use ask::{Elsewhere, given_bytes, request_bytes_max, step_request, stops};
pub use payload::{ReplyStatus, StepProgressed, StepReplied, StepRequested, StepStopped, TakeBack};

/// Shortest `heartbeat` of a step in another service: within it, up to three events come from there.
pub const HEARTBEAT_MIN: Duration = Duration::from_secs(1);
/// How much longer than its time a handler may be silent until it is told to stop: by then the orchestrator has given its attempt
/// up for that reason, and not for the answer of a handler that was stopped.
const SILENCE_GRACE: Duration = Duration::from_secs(1);
/// How much longer than the grace of its handler the orchestrator waits for the reply of an attempt that is to stop: the handler
/// is told a little later, and its reply has a way too. Only then is the next attempt asked for.
pub(crate) const REPLY_GRACE: Duration = Duration::from_secs(2);
