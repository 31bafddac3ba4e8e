//! Why a saga that is not over, or a step of it, is not at work.

use std::borrow::Cow;
use std::fmt;

use crate::clock::Timestamp;
use crate::saga::definition::{Order, Wait};
use crate::saga::id::SagaId;
use crate::saga::machine::{CompensationPhase, Phase, Stage, State, StepState};

/// Most ids that are told of; of the others there is a count.
const NAMED_MAX: usize = 3;

/// What a saga, or a step of it, waits for. As text it goes on after "it waits".
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Waits {
    /// As many sagas are active as may be.
    Turn,
    /// As many sagas have its concurrency key as may have it.
    Key {
        /// The one that has had it for longest.
        saga: SagaId,
        /// How many others have it.
        others: usize,
        /// What that one waits for, if no step of it is at work.
        waits: Option<Box<Waits>>,
    },
    /// As many attempts of this service and action are in flight, or have just begun, as may be.
    Slot {
        /// The service.
        service: String,
        /// The action, or what takes it back.
        action: String,
    },
    /// Steps with these ids, or items of it, come first.
    Steps(Vec<String>),
    /// Its next attempt is due then.
    Attempt(Timestamp),
    /// A signal of this name.
    Signal {
        /// The name.
        name: String,
        /// How long.
        until: Option<Timestamp>,
    },
    /// Somebody in this role says yes or no.
    Approval {
        /// The role.
        role: String,
        /// How long.
        until: Option<Timestamp>,
    },
    /// The saga that the step is.
    Child(SagaId),
    /// This time.
    Time(Timestamp),
    /// The handlers of these steps were told to stop.
    Handlers(Vec<String>),
    /// These steps are taken back before it.
    Compensations(Vec<String>),
    /// This process lacks a handler.
    Missing(String),
    /// An operator has to say how to go on, because of this.
    Operator(String),
}

impl fmt::Display for Waits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let until = |f: &mut fmt::Formatter<'_>, until: &Option<Timestamp>| match until {
            Some(until) => write!(f, " until {until}"),
            None => Ok(()),
        };
        match self {
            Self::Turn => f.write_str("for its turn"),
            Self::Key {
                saga,
                others,
                waits,
            } => {
                write!(f, "for its key: saga `{saga}` has it")?;
                if *others > 0 {
                    write!(f, " (and {others} more)")?;
                }
                match waits {
                    Some(waits) => write!(f, " and waits {waits}"),
                    None => Ok(()),
                }
            }
            Self::Slot { service, action } => write!(f, "for a slot of {service}/{action}"),
            Self::Steps(steps) => write!(f, "for {}", Names(steps)),
            Self::Attempt(at) => write!(f, "for its next attempt at {at}"),
            Self::Signal { name, until: at } => {
                write!(f, "for the signal `{name}`")?;
                until(f, at)
            }
            Self::Approval { role, until: at } => {
                write!(f, "for the answer of somebody in the role `{role}`")?;
                until(f, at)
            }
            Self::Child(id) => write!(f, "for saga `{id}`"),
            Self::Time(at) => write!(f, "for the time {at}"),
            Self::Handlers(steps) => write!(f, "for the handlers of {} to end", Names(steps)),
            Self::Compensations(steps) => {
                write!(f, "for {} to be taken back first", Names(steps))
            }
            Self::Missing(fault) => write!(f, "for a handler: {fault}"),
            Self::Operator(reason) => write!(f, "for an operator: {reason}"),
        }
    }
}

struct Names<'a>(&'a [String]);

impl fmt::Display for Names<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let named = self.0.get(..NAMED_MAX).unwrap_or(self.0);
        f.write_str(&named.join(", "))?;
        match self.0.len() - named.len() {
            0 => Ok(()),
            more => write!(f, " and {more} more"),
        }
    }
}

/// What all steps of a saga look at, worked out once.
pub(super) struct Waiting<'a> {
    state: &'a State,
    missing: &'a [(usize, String)],
    slots: &'a [usize],
    paused: Option<&'a str>,
    /// Steps whose handlers were told to stop and have not ended.
    stopping: Vec<usize>,
    /// Steps whose compensation is under way or stuck.
    compensating: Vec<usize>,
}

impl<'a> Waiting<'a> {
    pub(super) fn new(
        state: &'a State,
        (missing, slots): (&'a [(usize, String)], &'a [usize]),
        paused: Option<&'a str>,
    ) -> Self {
        let has_turned_back = state.turned_back.is_some();
        let chosen = |is_one: &dyn Fn(usize, &StepState) -> bool| -> Vec<usize> {
            let steps = state.steps.iter().enumerate();
            let chosen = steps.filter(|(at, step)| has_turned_back && is_one(*at, step));
            chosen.map(|(at, _)| at).collect()
        };
        Self {
            state,
            missing,
            slots,
            paused,
            stopping: chosen(&|at, step| step.phase == Phase::Started && state.wait(at).is_none()),
            compensating: chosen(&|_, step| {
                let back = &step.compensation;
                back.is_under_way() || back.phase == CompensationPhase::Stuck
            }),
        }
    }

    /// What the saga waits for, if no step of it is at work.
    pub(super) fn saga(&self, is_at_work: bool, current: Option<&Waits>) -> Option<Waits> {
        let missing = || {
            let (_, fault) = self.missing.first()?;
            Some(Waits::Missing(fault.clone()))
        };
        let paused = || self.paused.map(|it| Waits::Operator(it.to_owned()));
        let stage = || match self.state.stage {
            Stage::Queued => Some(Waits::Turn),
            Stage::ForwardStuck => {
                let reason = "a step behind the pivot failed for good";
                Some(Waits::Operator(reason.to_owned()))
            }
            Stage::Stuck => {
                let reason = "a compensation cannot be done";
                Some(Waits::Operator(reason.to_owned()))
            }
            Stage::Backward if !self.stopping.is_empty() => {
                Some(Waits::Handlers(self.ids(&self.stopping)))
            }
            Stage::Running | Stage::Backward if !is_at_work => {
                let first = || self.slot(*self.slots.first()?);
                current.cloned().or_else(first)
            }
            Stage::Running | Stage::Backward | Stage::Ended(_) => None,
        };
        if matches!(self.state.stage, Stage::Ended(_)) {
            return None;
        }
        missing().or_else(paused).or_else(stage)
    }

    /// What the step at `at` waits for.
    pub(super) fn step(&self, at: usize) -> Option<Waits> {
        let state = self.state;
        let own = state.step(at)?;
        let back = &own.compensation;
        let is_over = matches!(state.stage, Stage::Ended(_));
        // Of a saga that is over only what is being repaired goes on.
        if is_over && !(back.is_repair && back.is_under_way()) {
            return None;
        }
        match own.compensation.phase {
            CompensationPhase::Backoff { .. } if self.slots.contains(&at) => return self.slot(at),
            CompensationPhase::Backoff { until } => return Some(Waits::Attempt(until)),
            CompensationPhase::Stuck => {
                let reason = "its compensation failed for good";
                return Some(Waits::Operator(reason.to_owned()));
            }
            CompensationPhase::Started
            | CompensationPhase::Done
            | CompensationPhase::Skipped
            | CompensationPhase::Forced => return None,
            CompensationPhase::Idle => {}
        }
        if state.turned_back.is_some() {
            if own.phase == Phase::Started && state.child(at).is_some() {
                return self.wait(at, own);
            }
            return match state.is_unsettled(at) {
                true => self.before_compensation(at),
                false => None,
            };
        }
        match &own.phase {
            Phase::Pending => self.before_start(at),
            Phase::Started if state.is_list(at) => {
                let items = state.definition().steps().len()..state.steps.len();
                let is_open = |&item: &usize| {
                    let is_done = state.step(item).is_none_or(StepState::is_done);
                    state.origin(item) == at && !is_done
                };
                Some(Waits::Steps(
                    self.ids(&items.filter(is_open).collect::<Vec<_>>()),
                ))
            }
            Phase::Started => self.wait(at, own).or_else(|| self.missing(at)),
            Phase::Backoff { until } => {
                let attempt = || Some(Waits::Attempt(*until));
                self.slot(at).or_else(attempt)
            }
            Phase::Stuck(_) => {
                let reason = "it failed for good behind the pivot";
                Some(Waits::Operator(reason.to_owned()))
            }
            Phase::Succeeded(_) | Phase::Failed(_) | Phase::Skipped | Phase::NotRun => None,
        }
    }

    fn wait(&self, at: usize, own: &StepState) -> Option<Waits> {
        let wait = self.state.wait(at)?;
        let until = wait.time().zip(own.attempt_at);
        let until = until.map(|(time, began)| began.after(time));
        Some(match wait {
            Wait::Signal { name, .. } => Waits::Signal {
                name: name.clone(),
                until,
            },
            Wait::Approval { role, .. } => Waits::Approval {
                role: role.clone(),
                until,
            },
            Wait::Timer(_) => Waits::Time(until?),
            Wait::Child(_) => Waits::Child(self.state.child_id(at).ok()?),
        })
    }

    fn before_start(&self, at: usize) -> Option<Waits> {
        let state = self.state;
        let dependencies = state.definition().dependencies(at).iter().copied();
        let is_open = |&step: &usize| state.step(step).is_some_and(|step| !step.is_done());
        let open: Vec<usize> = dependencies.filter(is_open).collect();
        if !open.is_empty() {
            return Some(Waits::Steps(self.ids(&open)));
        }
        self.before_anything(at)
    }

    fn before_compensation(&self, at: usize) -> Option<Waits> {
        if self.stopping.contains(&at) {
            return None;
        }
        if !self.stopping.is_empty() {
            return Some(Waits::Handlers(self.ids(&self.stopping)));
        }
        let definition = self.state.definition();
        let comes_first = |&step: &usize| match definition.options().compensation {
            Order::Serial => true,
            Order::Parallel => definition.ancestors(step).contains(&at),
        };
        let compensating = self.compensating.iter().copied();
        let first: Vec<usize> = compensating.filter(comes_first).collect();
        if !first.is_empty() {
            return Some(Waits::Compensations(self.ids(&first)));
        }
        self.before_anything(at)
    }

    /// What keeps a handler from being called whose turn it is.
    fn before_anything(&self, at: usize) -> Option<Waits> {
        if self.state.stage == Stage::Queued {
            return Some(Waits::Turn);
        }
        let paused = self.paused.map(|it| Waits::Operator(it.to_owned()));
        let missing = || self.missing(at);
        paused.or_else(missing).or_else(|| self.slot(at))
    }

    /// The slot that the step at `at` waits for.
    fn slot(&self, at: usize) -> Option<Waits> {
        let step = self
            .state
            .step_of(at)
            .filter(|_| self.slots.contains(&at))?;
        let action = match self.state.turned_back {
            None => &step.action,
            Some(_) => step.compensation_action.as_ref()?,
        };
        Some(Waits::Slot {
            service: step.service.clone(),
            action: action.clone(),
        })
    }

    fn missing(&self, at: usize) -> Option<Waits> {
        let mut missing = self.missing.iter();
        let (_, fault) = missing.find(|(step, _)| *step == at)?;
        Some(Waits::Missing(fault.clone()))
    }

    fn ids(&self, steps: &[usize]) -> Vec<String> {
        let ids = steps.iter().map(|&step| self.state.step_id(step));
        ids.map(Cow::into_owned).collect()
    }
}
