//! What holds for the records of every saga, whatever happened to it.

use std::collections::{BTreeMap, BTreeSet};

use crate::saga::machine::State;
use crate::saga::record::{Effect, Fact, Outcome, Record, Verb};
use crate::saga::{Compensate, Definition, Order, SagaId, Step};

/// A law that the records of a saga break.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("record {number}: {law}")]
pub struct Broken {
    /// The record, counted from 0; their number where the whole is wrong.
    pub number: usize,
    /// What should have held.
    pub law: String,
}

/// Checks the records of one saga: it goes forward and then back, never forward again; a step starts when all that it depends on is done;
/// no epoch starts anything after a later one; what had no effect is not taken back; what follows from a step is taken back before it; what has ended stays so, and leaves nothing
/// that was to be taken back. Sagas that an operator ended are not looked at for what they leave.
///
/// # Errors
/// The first law that is broken, with the record that does.
pub fn check_log(definition: &Definition, records: &[Record]) -> Result<(), Broken> {
    let mut log = Log {
        definition,
        items: Vec::new(),
        seen: BTreeMap::new(),
        epoch: 0,
        turned_back: false,
        is_paused: false,
        outcome: None,
        is_touched: false,
        keys: BTreeSet::new(),
    };
    let broken = |number, law: &str| Broken {
        number,
        law: law.to_owned(),
    };
    for (number, record) in records.iter().enumerate() {
        log.take(&record.fact).map_err(|law| broken(number, law))?;
    }
    log.end().map_err(|law| broken(records.len(), law))?;
    fold(records).map_err(|(number, error)| broken(number, &error.chain()))
}

/// The state is the fold of the records, and takes each of them.
fn fold(records: &[Record]) -> Result<(), (usize, crate::Error)> {
    let Some((first, rest)) = records.split_first() else {
        return Ok(());
    };
    let id: SagaId = "log".parse().map_err(|error| (0, error))?;
    let read = |json: &bytes::Bytes| Ok(Definition::from_pinned(json)?);
    let mut state = State::first(id, first, read).map_err(|error| (0, error))?;
    for (number, record) in rest.iter().enumerate() {
        state.replay(record).map_err(|error| (number + 1, error))?;
    }
    Ok(())
}

/// What has become of one step.
#[derive(Default)]
struct Seen {
    attempts: u32,
    order: usize,
    is_open: bool,
    is_done: bool,
    has_succeeded: bool,
    doubtful: BTreeSet<u32>,
    is_late: bool,
    /// It succeeded while it was being taken back.
    is_due_again: bool,
    back: Back,
}

#[derive(Clone, Copy, Default, PartialEq)]
enum Back {
    #[default]
    Idle,
    UnderWay,
    /// An attempt to take it back has failed.
    Waits,
    Settled,
}

struct Log<'a> {
    definition: &'a Definition,
    /// The steps of the definition that the items of lists are of, in the order in which records number them.
    items: Vec<usize>,
    seen: BTreeMap<u32, Seen>,
    /// Of the last process that started something.
    epoch: u64,
    turned_back: bool,
    is_paused: bool,
    outcome: Option<Outcome>,
    /// An operator or a late answer has changed what is to be taken back, or in which order.
    is_touched: bool,
    /// The idempotency keys that it is found by.
    keys: BTreeSet<String>,
}

type Law = Result<(), &'static str>;

fn must(holds: bool, law: &'static str) -> Law {
    holds.then_some(()).ok_or(law)
}

fn position(step: u32) -> usize {
    usize::try_from(step).unwrap_or(usize::MAX)
}

impl Log<'_> {
    fn of(&mut self, step: u32) -> &mut Seen {
        self.seen.entry(step).or_default()
    }

    /// The position in the definition of a step, or of the one that it is an item of.
    fn origin(&self, step: u32) -> usize {
        let place = position(step).checked_sub(self.definition.steps().len());
        let item = place.and_then(|place| self.items.get(place).copied());
        item.unwrap_or(position(step))
    }

    fn is_item(&self, step: u32) -> bool {
        position(step) >= self.definition.steps().len()
    }

    fn own(&self, step: u32) -> Option<&Step> {
        self.definition.steps().get(self.origin(step))
    }

    /// Whether it is a list as a whole, of which only the items are done.
    fn is_list(&self, step: u32) -> bool {
        let own = self.own(step);
        own.is_some_and(|own| own.for_each.is_some()) && !self.is_item(step)
    }

    fn items_of(&self, step: u32) -> impl Iterator<Item = u32> {
        let first = self.definition.steps().len();
        let items = self.items.iter().enumerate();
        let own = items.filter(move |(_, origin)| **origin == position(step));
        own.filter_map(move |(place, _)| u32::try_from(first + place).ok())
    }

    fn has_passed_pivot(&self) -> bool {
        let pivot = self
            .definition
            .pivot()
            .and_then(|it| u32::try_from(it).ok());
        let seen = pivot.and_then(|pivot| self.seen.get(&pivot));
        seen.is_some_and(|seen| seen.has_succeeded)
    }

    /// Whether the step is one to be taken back.
    fn has_effect(&self, step: u32) -> bool {
        let Some((own, seen)) = self.own(step).zip(self.seen.get(&step)) else {
            return false;
        };
        if self.is_list(step) {
            return false;
        }
        let has_succeeded = seen.has_succeeded || seen.is_late;
        let by_policy = match own.compensate {
            Compensate::Completed => has_succeeded,
            Compensate::CompletedOrInDoubt => has_succeeded || !seen.doubtful.is_empty(),
            Compensate::Always => seen.attempts > 0 || has_succeeded,
        };
        own.compensation_action.is_some() && by_policy
    }

    fn is_unsettled(&self, step: u32) -> bool {
        let back = self.seen.get(&step).map(|seen| seen.back);
        self.has_effect(step) && back != Some(Back::Settled)
    }

    fn take(&mut self, fact: &Fact) -> Law {
        let is_over = self.outcome.is_some();
        match fact {
            Fact::Created {
                idempotency_key, ..
            } => self.keys.extend(idempotency_key.clone()),
            Fact::Attached { key } => {
                must(!is_over, "a start is taken for a saga after its end")?;
                must(self.keys.insert(key.clone()), "a saga has a key twice")?;
            }
            Fact::StepStarted {
                step,
                attempt,
                epoch,
            } => {
                self.begun(*epoch)?;
                must(!is_over, "a step is started after the end")?;
                self.started(*step, *attempt)?;
            }
            Fact::StepSucceeded { step, .. } => {
                must(!is_over, "a step succeeds after the end")?;
                let is_done = |item: u32| self.seen.get(&item).is_some_and(|seen| seen.is_done);
                must(
                    !self.is_list(*step) || self.items_of(*step).all(is_done),
                    "a list is done before its items are",
                )?;
                let seen = self.of(*step);
                must(!seen.is_done, "a step succeeds that is done")?;
                (seen.is_open, seen.is_done, seen.has_succeeded) = (false, true, true);
            }
            Fact::AttemptFailed {
                step,
                attempt,
                effect,
                ..
            }
            | Fact::StepFailed {
                step,
                attempt,
                effect,
                ..
            }
            | Fact::ForwardStuck {
                step,
                attempt,
                effect,
                ..
            } => {
                must(!is_over, "a step fails after the end")?;
                let seen = self.of(*step);
                must(!seen.is_done, "a step fails that is done")?;
                seen.is_open = false;
                if *effect == Effect::Unknown {
                    seen.doubtful.insert(*attempt);
                }
            }
            Fact::LateResult {
                step,
                attempt,
                output,
                effect,
                ..
            } => {
                let is_settled_again = output.is_some() && !is_over;
                self.is_touched = true;
                let seen = self.of(*step);
                if output.is_some() {
                    seen.is_late = true;
                    seen.doubtful.insert(*attempt);
                } else if *effect == Effect::None {
                    seen.doubtful.remove(attempt);
                }
                match seen.back {
                    Back::Settled if is_settled_again => seen.back = Back::Idle,
                    Back::UnderWay if is_settled_again => seen.is_due_again = true,
                    _ => {}
                }
            }
            Fact::Spread { step, count } => {
                must(!is_over, "a list is begun after the end")?;
                must(
                    self.is_list(*step) && self.items_of(*step).next().is_none(),
                    "items are those of a list that is begun once",
                )?;
                self.items.extend((0..*count).map(|_| position(*step)));
            }
            Fact::TurnedBack { .. } => {
                must(!self.turned_back, "a saga turns back twice")?;
                must(!is_over, "a saga turns back after its end")?;
                must(
                    !self.has_passed_pivot(),
                    "a saga turns back behind its pivot",
                )?;
                (self.turned_back, self.is_paused) = (true, false);
            }
            Fact::CompensationStarted { step, epoch, .. } => {
                self.begun(*epoch)?;
                self.compensation_started(*step)?;
            }
            Fact::CompensationSucceeded { step, .. } => {
                let seen = self.of(*step);
                must(
                    seen.back == Back::UnderWay,
                    "a step is taken back that was not begun",
                )?;
                seen.back = match std::mem::take(&mut seen.is_due_again) {
                    true => Back::Idle,
                    false => Back::Settled,
                };
            }
            Fact::CompensationAttemptFailed { step, .. } | Fact::CompensationStuck { step, .. } => {
                self.of(*step).back = Back::Waits
            }
            Fact::Paused { .. } => self.is_paused = true,
            Fact::Operated { verb, step, .. } => self.operated(*verb, *step),
            Fact::Ended { outcome, .. } => {
                must(!is_over, "a saga ends twice")?;
                self.outcome = Some(*outcome);
                for seen in self.seen.values_mut().filter(|seen| seen.is_open) {
                    seen.doubtful.insert(seen.attempts);
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// A process starts something. One of a version before does not say which.
    fn begun(&mut self, epoch: Option<u64>) -> Law {
        let before = std::mem::replace(&mut self.epoch, epoch.unwrap_or_default());
        must(before <= self.epoch, "an epoch that is over appends")
    }

    fn started(&mut self, step: u32, attempt: u32) -> Law {
        must(!self.turned_back, "a step is started after turning back")?;
        must(!self.is_paused, "a step is started while paused")?;
        must(
            self.own(step).is_some(),
            "a step is started that is not there",
        )?;
        for &needed in self.definition.dependencies(self.origin(step)) {
            let needed = u32::try_from(needed).ok().and_then(|it| self.seen.get(&it));
            must(
                needed.is_some_and(|seen| seen.is_done),
                "a step is started before those it depends on are done",
            )?;
        }
        let order = self.seen.len();
        let seen = self.of(step);
        must(!seen.is_done, "a step is started that is done")?;
        must(
            attempt == seen.attempts + 1,
            "an attempt has a number out of turn",
        )?;
        if seen.is_open {
            seen.doubtful.insert(seen.attempts);
        }
        if seen.attempts == 0 {
            seen.order = order;
        }
        (seen.is_open, seen.attempts) = (true, attempt);
        Ok(())
    }

    fn compensation_started(&mut self, step: u32) -> Law {
        let is_repair = self.outcome.is_some();
        must(
            is_repair || self.turned_back,
            "a step is taken back before turning back",
        )?;
        must(!self.is_paused, "a step is taken back while paused")?;
        must(
            self.has_effect(step),
            "a step is taken back that had no effect",
        )?;
        if !is_repair {
            let is_open = self.seen.values().any(|seen| seen.is_open);
            must(!is_open, "a step is taken back while another is not over")?;
            let mut others = self.seen.keys().copied();
            let follows = |other: u32| {
                let ancestors = self.definition.ancestors(self.origin(other));
                ancestors.contains(&self.origin(step))
            };
            let before = others.any(|other| follows(other) && self.is_unsettled(other));
            must(!before, "a step is taken back before what follows from it")?;
            let own = self.seen.get(&step).map(|seen| seen.order);
            let is_serial = self.definition.options().compensation == Order::Serial;
            let mut all = self.seen.iter();
            let later = all.any(|(other, seen)| {
                Some(seen.order) > own && *other != step && self.is_unsettled(*other)
            });
            must(
                !is_serial || self.is_touched || !later,
                "a step is taken back before one that started later",
            )?;
            must(
                self.seen
                    .get(&step)
                    .is_none_or(|seen| seen.back != Back::Settled),
                "a step is taken back twice",
            )?;
        }
        let seen = self.of(step);
        seen.back = Back::UnderWay;
        Ok(())
    }

    fn operated(&mut self, verb: Verb, step: Option<u32>) {
        match verb {
            Verb::Pause => self.is_paused = true,
            Verb::Resume => self.is_paused = false,
            Verb::Cancel
            | Verb::Retry
            | Verb::Abandon
            | Verb::Recompensate
            | Verb::Terminate
            | Verb::Migrate => {}
            Verb::Skip | Verb::ForceDone | Verb::Complete => {
                self.is_touched = true;
                let has_turned_back = self.turned_back;
                let Some(step) = step else { return };
                let seen = self.of(step);
                if has_turned_back {
                    seen.back = Back::Settled;
                    return;
                }
                if verb == Verb::Skip && seen.is_open {
                    seen.doubtful.insert(seen.attempts);
                }
                seen.has_succeeded |= verb == Verb::Complete;
                (seen.is_open, seen.is_done) = (false, true);
            }
        }
    }

    fn end(&self) -> Law {
        let steps = 0..self.definition.steps().len() + self.items.len();
        let steps = steps.filter_map(|it| u32::try_from(it).ok());
        match self.outcome {
            None | Some(Outcome::Failed | Outcome::Terminated) => Ok(()),
            Some(Outcome::Completed) => {
                let mut steps = steps.map(|step| self.seen.get(&step));
                must(!self.turned_back, "a completed saga has turned back")?;
                must(
                    steps.all(|seen| seen.is_some_and(|seen| seen.is_done)),
                    "a completed saga has a step that is not done",
                )
            }
            Some(Outcome::Compensated | Outcome::Cancelled) => {
                let mut steps = steps;
                must(
                    !steps.any(|step| self.is_unsettled(step)),
                    "a saga that is taken back leaves a step that is not",
                )
            }
        }
    }
}
