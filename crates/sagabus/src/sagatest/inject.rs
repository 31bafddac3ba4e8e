//! Faults in front of a user's handlers.

use std::future::pending;
use std::num::NonZeroU32;
use std::panic::resume_unwind;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;

use super::calls::Shown;
use super::family::{Family, Member};
use crate::saga::handlers::{CallContext, CompensationHandler, Place, StepHandler};
use crate::saga::{CompensationContext, Definition, Handlers, StepContext, StepError};

/// How long the paused clock stands still for one call, in real time: a thread that answers at all has answered by then.
pub(super) const AT_WORK_MAX: Duration = Duration::from_secs(30);

/// What the paused clock does while a handler is at work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ClockOfHandlers {
    StandsStill,
    GoesOn,
}

/// What a call does instead of what the handler alone would.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Injected {
    /// It fails for good before it does anything.
    Fails,
    /// It fails for now before it does anything.
    FailsForNow,
    /// It does its work and does not know.
    InDoubt,
    /// It does its work and never answers.
    Hangs,
    /// It does its work and panics.
    Panics,
    /// It does its work twice.
    Twice,
}

/// Which of the two handlers of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Side {
    Step,
    Compensation,
}

/// A fault at the first calls of one handler.
#[derive(Clone, Debug)]
pub(super) struct Injection {
    /// As [`Fault::step`](super::Fault::step) names it.
    step: String,
    side: Side,
    injected: Injected,
    times: u32,
    is_used: bool,
}

impl Injection {
    pub(super) fn new(step: String, side: Side, injected: Injected, times: u32) -> Self {
        Self {
            step,
            side,
            injected,
            times,
            is_used: false,
        }
    }
}

/// The faults of one run. Clones are the same.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    injections: Arc<Mutex<Vec<Injection>>>,
    clock: ClockOfHandlers,
    /// The step whose handler was at work for longer than the clock stands still.
    too_long: Arc<Mutex<Option<String>>>,
    pub(super) shown: Shown,
    pub(super) family: Family,
}

impl Plan {
    pub(super) fn new(injections: Vec<Injection>, clock: ClockOfHandlers) -> Self {
        Self {
            injections: Arc::new(Mutex::new(injections)),
            clock,
            too_long: Arc::default(),
            shown: Shown::default(),
            family: Family::default(),
        }
    }

    pub(super) fn too_long(&self) -> Option<String> {
        let too_long = self.too_long.lock();
        too_long.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Does `work`, while the clock stands still. A paused clock does not move while a thread of the runtime is at work, so one waits here.
    async fn at_work<T>(&self, step: &str, work: impl Future<Output = T>) -> T {
        if self.clock == ClockOfHandlers::GoesOn {
            return work.await;
        }
        let (is_done, done) = mpsc::channel::<()>();
        let (too_long, step) = (Arc::clone(&self.too_long), step.to_owned());
        tokio::task::spawn_blocking(move || {
            // Nothing is ever sent: the other end is dropped when the work is done, or nobody waits for it any more.
            if done.recv_timeout(AT_WORK_MAX) == Err(RecvTimeoutError::Timeout) {
                *too_long.lock().unwrap_or_else(PoisonError::into_inner) = Some(step);
            }
        });
        let answer = work.await;
        drop(is_done);
        answer
    }

    /// The fault of this call.
    fn take(&self, step: &str, side: Side) -> Option<Injected> {
        let mut plan = self
            .injections
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let mut own = plan
            .iter_mut()
            .filter(|it| it.step == step && it.side == side);
        let injection = own.find(|it| it.times > 0)?;
        injection.times -= 1;
        injection.is_used = true;
        Some(injection.injected)
    }

    /// A fault that did not happen. Which steps of a saga that crashes are called again is not known before.
    pub(super) fn unused(&self) -> Option<String> {
        let plan = self
            .injections
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let unused = plan.iter().find(|it| !it.is_used && it.times < u32::MAX);
        unused.map(|it| format!("{:?} of {:?} `{}`", it.injected, it.side, it.step))
    }
}

/// The user's handlers with the faults in front of them. What a definition has no handler for stays so.
pub(super) fn wrap(handlers: &Handlers, definition: &Definition, plan: &Plan) -> Handlers {
    let mut names = Vec::new();
    wrap_all(handlers, definition, plan, &mut names)
}

/// A handler: of which side, its service, action and version.
type Name = (Side, String, String, Option<NonZeroU32>);

fn wrap_all(
    handlers: &Handlers,
    definition: &Definition,
    plan: &Plan,
    names: &mut Vec<Name>,
) -> Handlers {
    let mut wrapped = Handlers::new();
    let bound = handlers.bind_what_is_there(definition);
    for (step, bound) in definition.steps().iter().zip(bound.iter()) {
        let mut is_new = |side, action: &str| {
            let name = (side, step.service.clone(), action.to_owned(), step.version);
            let is_new = !names.contains(&name);
            names.push(name);
            is_new
        };
        if let Some(Ok(Place::Here(handler))) = &bound.run
            && is_new(Side::Step, &step.action)
        {
            let called = Called::new(plan, Arc::clone(handler));
            let own = Handlers::new().handle(&step.service, &step.action, move |context| {
                call(called.clone(), context)
            });
            wrapped = wrapped.and(own.of(step.version));
        }
        if let (Some(Ok(Place::Here(handler))), Some(action)) =
            (&bound.compensate, &step.compensation_action)
            && is_new(Side::Compensation, action)
        {
            let called = Called::new(plan, Arc::clone(handler));
            let own = Handlers::new().compensate(&step.service, action, move |context| {
                compensate(called.clone(), context)
            });
            wrapped = wrapped.and(own.of(step.version));
        }
        if let Some(child) = step.child_definition() {
            wrapped = wrapped.and(wrap_all(handlers, child, plan, names));
        }
    }
    wrapped
}

/// What a call needs.
#[derive(Clone)]
struct Called<H> {
    plan: Plan,
    handler: H,
}

impl<H> Called<H> {
    fn new(plan: &Plan, handler: H) -> Self {
        let plan = plan.clone();
        Self { plan, handler }
    }

    /// The saga whose step it is.
    fn saga(&self, context: &CallContext) -> Result<Member, StepError> {
        let saga = self.plan.family.get(context.saga_id().as_str());
        saga.ok_or_else(|| StepError::Reject("its saga has no record".to_owned()))
    }
}

async fn call(called: Called<StepHandler>, context: StepContext) -> Result<Bytes, StepError> {
    let saga = called.saga(&context)?;
    called.plan.shown.step(&saga.definition, &context);
    let step = format!("{}{}", saga.prefix, context.step_id());
    let injected = called.plan.take(&step, Side::Step);
    fail_before(injected)?;
    let work = async {
        let output = (called.handler)(context.clone()).await?;
        match injected {
            Some(Injected::Twice) => (called.handler)(context).await,
            _ => Ok(output),
        }
    };
    after(injected, called.plan.at_work(&step, work).await?).await
}

async fn compensate(
    called: Called<CompensationHandler>,
    context: CompensationContext,
) -> Result<(), StepError> {
    let saga = called.saga(&context)?;
    let shown = &called.plan.shown;
    shown.compensation(&saga.definition, &context);
    let step = format!("{}{}", saga.prefix, context.step_id());
    let injected = called.plan.take(&step, Side::Compensation);
    fail_before(injected)?;
    let work = async {
        (called.handler)(context.clone()).await?;
        match injected {
            Some(Injected::Twice) => (called.handler)(context).await,
            _ => Ok(()),
        }
    };
    called.plan.at_work(&step, work).await?;
    after(injected, ()).await
}

fn fail_before(injected: Option<Injected>) -> Result<(), StepError> {
    match injected {
        Some(Injected::Fails) => Err(StepError::Reject("the run refuses it".to_owned())),
        Some(Injected::FailsForNow) => Err(StepError::Retry("the run fails it".to_owned())),
        _ => Ok(()),
    }
}

async fn after<T>(injected: Option<Injected>, output: T) -> Result<T, StepError> {
    match injected {
        Some(Injected::InDoubt) => Err(StepError::InDoubt("the run loses its answer".to_owned())),
        Some(Injected::Hangs) => pending().await,
        // Without the message that a panic writes: it is meant.
        Some(Injected::Panics) => resume_unwind(Box::new("the run panics")),
        _ => Ok(output),
    }
}
