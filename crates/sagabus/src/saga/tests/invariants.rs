//! What holds for the log of every saga, whatever happened to it.

use std::collections::HashSet;

use super::store::Disk;
use crate::saga::definition::{Compensate, Definition, Order, Step};
use crate::saga::machine::{INTERRUPTIONS_MAX, State};
use crate::saga::record::{Effect, Fact, Outcome, Record, Verb};

/// Checks every saga of the store, and that no event is there twice.
pub(super) fn check(disk: &Disk) {
    check_logs(disk);
    let mut ids = HashSet::new();
    for event in disk.events() {
        event.check().unwrap();
        assert!(ids.insert(event.id.clone()), "event {} twice", event.id);
    }
    for event in disk.events() {
        let cause = event.causation_id;
        assert!(cause.is_none_or(|cause| ids.contains(&cause)));
    }
}

/// Checks every saga of the store.
pub(super) fn check_logs(disk: &Disk) {
    for (stored, records) in disk.stored().iter().zip(disk.records()) {
        fold(&stored.saga, &records);
        check_saga(&records);
    }
}

/// Checks one saga.
pub(super) fn check_records(records: &[Record]) {
    fold("saga", records);
    check_saga(records);
}

pub(super) fn fold(id: &str, records: &[Record]) -> State {
    let read = |json: &bytes::Bytes| Ok(Definition::from_pinned(json)?);
    let mut state = State::first(id.parse().unwrap(), &records[0], read).unwrap();
    for record in &records[1..] {
        state.replay(record).unwrap();
    }
    state
}

/// What has become of one step, by the log.
#[derive(Default)]
struct Seen {
    attempts: u32,
    failures: u32,
    started_at: Option<usize>,
    is_open: bool,
    is_done: bool,
    is_skipped: bool,
    succeeded: bool,
    /// The attempts in doubt.
    doubtful: HashSet<u32>,
    is_late: bool,
    back: Back,
    /// An effect came to light while it was taken back, which is done once more then.
    again: bool,
    /// Times that it, or its compensation, was cut off since the saga came further.
    cuts: (u32, u32),
    /// Its step in the definition.
    origin: usize,
    is_item: bool,
    output: Option<bytes::Bytes>,
}

#[derive(Clone, Copy, Default, PartialEq)]
enum Back {
    #[default]
    Idle,
    Started,
    Waits,
    Stuck,
    Settled,
}

impl Seen {
    /// Whether it is to be taken back.
    fn has_effect(&self, step: &Step) -> bool {
        if step.for_each.is_some() && !self.is_item {
            return false;
        }
        let succeeded = self.succeeded || self.is_late;
        let by_policy = match step.compensate {
            Compensate::Completed => succeeded,
            Compensate::CompletedOrInDoubt => succeeded || !self.doubtful.is_empty(),
            Compensate::Always => self.attempts > 0 || succeeded,
        };
        step.compensation_action.is_some() && by_policy
    }

    fn end(&mut self, attempt: u32, effect: Effect) {
        self.is_open = false;
        if effect == Effect::Unknown {
            self.doubtful.insert(attempt);
        }
    }
}

struct Log {
    definition: Definition,
    seen: Vec<Seen>,
    turned_back: bool,
    is_paused: bool,
    outcome: Option<Outcome>,
    is_closed: bool,
    /// The order in which steps were taken back.
    settled: Vec<usize>,
    starts: usize,
    /// The idempotency keys that it is found by.
    keys: HashSet<String>,
}

fn check_saga(records: &[Record]) {
    let Fact::Created {
        definition,
        idempotency_key,
        ..
    } = &records[0].fact
    else {
        panic!("created by another record");
    };
    let definition = Definition::from_pinned(definition).unwrap();
    let steps = definition.steps().len();
    let mut log = Log {
        definition,
        seen: (0..steps)
            .map(|origin| Seen {
                origin,
                ..Seen::default()
            })
            .collect(),
        turned_back: false,
        is_paused: false,
        outcome: None,
        is_closed: false,
        settled: Vec::new(),
        starts: 0,
        keys: idempotency_key.iter().cloned().collect(),
    };
    for record in records {
        assert!(!log.is_closed || record.fact == Fact::Closed, "{record:?}");
        log.take(&record.fact);
    }
    log.check_end();
}

impl Log {
    fn step(&self, step: usize) -> &Step {
        &self.definition.steps()[self.seen[step].origin]
    }

    fn progress(&mut self) {
        self.seen.iter_mut().for_each(|seen| seen.cuts = (0, 0));
    }

    /// Whether the pivot has succeeded.
    fn has_passed_pivot(&self) -> bool {
        let pivot = self.definition.pivot();
        pivot.is_some_and(|pivot| self.seen[pivot].succeeded)
    }

    fn followers(&self, step: usize) -> Vec<usize> {
        let steps = 0..self.seen.len();
        steps
            .filter(|&other| {
                let ancestors = self.definition.ancestors(self.seen[other].origin);
                ancestors.contains(&self.seen[step].origin)
            })
            .collect()
    }

    fn take(&mut self, fact: &Fact) {
        let may_follow = matches!(
            fact,
            Fact::Closed
                | Fact::Operated { .. }
                | Fact::LateResult { .. }
                | Fact::CompensationStarted { .. }
                | Fact::CompensationSucceeded { .. }
                | Fact::CompensationAttemptFailed { .. }
                | Fact::CompensationStuck { .. }
        );
        assert!(
            self.outcome.is_none() || may_follow,
            "{fact:?} after the end"
        );
        match fact {
            Fact::Created { .. } | Fact::CompensationResumed | Fact::Signalled { .. } => {}
            Fact::Begun => assert_eq!(self.starts, 0, "begun twice"),
            Fact::Attached { key } => {
                assert!(self.keys.insert(key.clone()), "attached twice");
            }
            Fact::Closed => {
                assert!(self.outcome.is_some(), "closed before its end");
                self.is_closed = true;
            }
            Fact::Paused { .. } => {
                assert!(!self.is_paused, "paused twice");
                self.is_paused = true;
            }
            Fact::Operated {
                verb, step, output, ..
            } => self.operated(*verb, step.map(index), output.as_ref()),
            Fact::StepStarted { step, attempt, .. } => self.started(index(*step), *attempt),
            Fact::Migrated { definition, .. } => self.migrated(definition),
            Fact::Spread { step, count } => self.spread(index(*step), *count),
            Fact::StepSucceeded { step, output, .. } => {
                self.progress();
                self.gathered(index(*step), output);
                let seen = &mut self.seen[index(*step)];
                assert!(!seen.is_done, "succeeded twice");
                (seen.is_open, seen.is_done, seen.succeeded) = (false, true, true);
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
                if matches!(fact, Fact::ForwardStuck { .. }) {
                    assert!(self.has_passed_pivot(), "stuck before the pivot");
                }
                let retries = self.step(index(*step)).retry_attempts;
                let seen = &mut self.seen[index(*step)];
                seen.end(*attempt, *effect);
                let is_uncounted = matches!(
                    fact,
                    Fact::AttemptFailed {
                        is_uncounted: true,
                        ..
                    }
                );
                seen.failures += u32::from(!is_uncounted);
                assert!(seen.failures <= retries + 1, "failed too often");
            }
            Fact::LateResult {
                step,
                attempt,
                output,
                effect,
                ..
            } => {
                let seen = &mut self.seen[index(*step)];
                if output.is_some() {
                    seen.doubtful.insert(*attempt);
                    seen.is_late = true;
                    match seen.back {
                        _ if self.outcome.is_some() => {}
                        Back::Settled => {
                            seen.back = Back::Idle;
                            self.settled.retain(|other| *other != index(*step));
                        }
                        Back::Started => seen.again = true,
                        Back::Idle | Back::Waits | Back::Stuck => {}
                    }
                } else if *effect == Effect::None {
                    seen.doubtful.remove(attempt);
                }
            }
            Fact::TurnedBack { .. } => {
                assert!(!self.turned_back, "turned back twice");
                assert!(!self.has_passed_pivot(), "turned back behind the pivot");
                self.turned_back = true;
                self.is_paused = false;
            }
            Fact::CompensationStarted { step, .. } => self.compensation_started(index(*step)),
            Fact::CompensationSucceeded { step, .. } => {
                self.progress();
                let seen = &mut self.seen[index(*step)];
                if std::mem::take(&mut seen.again) {
                    seen.back = Back::Idle;
                } else {
                    seen.back = Back::Settled;
                    self.settled.push(index(*step));
                }
            }
            Fact::CompensationAttemptFailed { step, .. } => {
                self.seen[index(*step)].back = Back::Waits;
            }
            Fact::CompensationStuck { step, .. } => self.seen[index(*step)].back = Back::Stuck,
            Fact::Ended { outcome, .. } => {
                self.outcome = Some(*outcome);
                self.is_paused = false;
                // What was in flight is dropped, and nobody knows how far it came.
                for seen in self.seen.iter_mut().filter(|seen| seen.is_open) {
                    seen.doubtful.insert(seen.attempts);
                }
            }
        }
    }

    /// From here on positions are those of another definition.
    fn migrated(&mut self, definition: &bytes::Bytes) {
        self.progress();
        assert!(!self.turned_back, "another definition after turning back");
        let new = Definition::from_pinned(definition).unwrap();
        let old = std::mem::replace(&mut self.definition, new);
        let new = self.definition.steps();
        let place = |id: &str| new.iter().position(|it| it.id == id);
        let mut before = std::mem::take(&mut self.seen);
        let items = before.split_off(old.steps().len());
        let nothing = |origin| Seen {
            origin,
            ..Seen::default()
        };
        self.seen = (0..new.len()).map(nothing).collect();
        for (step, seen) in old.steps().iter().zip(before) {
            let has_begun = seen.attempts > 0 || seen.is_done;
            match place(&step.id) {
                Some(origin) => {
                    assert!(
                        !has_begun || new[origin] == *step,
                        "what had begun was changed"
                    );
                    self.seen[origin] = Seen { origin, ..seen };
                }
                None => assert!(!has_begun, "what had begun is gone"),
            }
        }
        self.seen.extend(items.into_iter().map(|seen| Seen {
            origin: place(&old.steps()[seen.origin].id).unwrap(),
            ..seen
        }));
    }

    fn items(&self, step: usize) -> impl Iterator<Item = &Seen> {
        let seen = self.seen.iter();
        seen.filter(move |seen| seen.is_item && seen.origin == step)
    }

    fn spread(&mut self, origin: usize, count: u32) {
        assert!(self.step(origin).for_each.is_some() && self.seen[origin].is_open);
        assert_eq!(self.items(origin).count(), 0, "spread twice");
        let item = || Seen {
            origin,
            is_item: true,
            ..Seen::default()
        };
        self.seen.extend((0..count).map(|_| item()));
    }

    /// Notes an output, which for a list is that of all its items in their order.
    fn gathered(&mut self, step: usize, output: &bytes::Bytes) {
        if self.step(step).for_each.is_some() && !self.seen[step].is_item {
            assert!(
                self.items(step).all(|item| item.is_done),
                "gathered too early"
            );
            let outputs = self.items(step).map(|item| match &item.output {
                Some(output) => String::from_utf8(output.to_vec()).unwrap(),
                None => "null".to_owned(),
            });
            let outputs: Vec<String> = outputs.collect();
            assert_eq!(*output, format!("[{}]", outputs.join(",")));
        }
        self.seen[step].output = Some(output.clone());
    }

    fn operated(&mut self, verb: Verb, step: Option<usize>, output: Option<&bytes::Bytes>) {
        if verb != Verb::Pause {
            self.progress();
        }
        match (verb, step) {
            (Verb::Resume, _) => {
                assert!(self.is_paused, "resumed without a pause");
                self.is_paused = false;
            }
            (Verb::Pause, _) => {
                assert!(!self.is_paused, "paused twice");
                self.is_paused = true;
            }
            (Verb::Skip | Verb::ForceDone, Some(step)) if self.turned_back => {
                self.seen[step].back = Back::Settled;
                self.settled.push(step);
            }
            (Verb::Skip, Some(step)) => {
                let seen = &mut self.seen[step];
                if seen.is_open {
                    seen.doubtful.insert(seen.attempts);
                }
                (seen.is_open, seen.is_done, seen.is_skipped) = (false, true, true);
            }
            (Verb::Complete, Some(step)) => {
                let starts = self.starts;
                let seen = &mut self.seen[step];
                (seen.is_open, seen.is_done, seen.succeeded) = (false, true, true);
                seen.started_at.get_or_insert(starts);
                seen.output = output.cloned();
                self.starts += 1;
            }
            (Verb::Retry, step) => {
                for (at, seen) in self.seen.iter_mut().enumerate() {
                    if step.is_none_or(|step| step == at) {
                        seen.failures = 0;
                    }
                }
            }
            _ => {}
        }
    }

    fn started(&mut self, step: usize, attempt: u32) {
        assert!(!self.turned_back, "started after turning back");
        assert!(!self.is_paused, "started while paused");
        let origin = self.seen[step].origin;
        for &needed in self.definition.dependencies(origin) {
            assert!(self.seen[needed].is_done, "started too early");
        }
        if self.seen[step].is_item {
            assert!(self.seen[origin].is_open, "an item before its list");
            let places = self.step(step).for_each.as_ref().unwrap().concurrency;
            let others = self.items(origin).filter(|item| item.is_open).count();
            let others = others - usize::from(self.seen[step].is_open);
            assert!(others < usize::try_from(places.get()).unwrap(), "too many");
        }
        let starts = self.starts;
        let seen = &mut self.seen[step];
        assert!(!seen.is_done, "started after it was done");
        if seen.is_open {
            seen.doubtful.insert(seen.attempts);
            seen.cuts.0 += 1;
            assert!(seen.cuts.0 <= INTERRUPTIONS_MAX, "run again too often");
        }
        seen.is_open = true;
        seen.attempts += 1;
        assert_eq!(seen.attempts, attempt);
        if seen.started_at.is_none() {
            seen.started_at = Some(starts);
            self.starts += 1;
        }
    }

    fn compensation_started(&mut self, step: usize) {
        let is_open = self.seen.iter().any(|seen| seen.is_open);
        let is_repair = self.outcome.is_some();
        assert!(
            is_repair || self.turned_back && !is_open,
            "taken back too early"
        );
        assert!(!self.is_paused, "taken back while paused");
        assert!(
            self.seen[step].has_effect(self.step(step)),
            "nothing to take back"
        );
        let order = self.definition.options().compensation;
        let has_begun = matches!(self.seen[step].back, Back::Started | Back::Waits);
        for other in self.followers(step) {
            let is_unsettled = self.seen[other].has_effect(self.step(other))
                && self.seen[other].back != Back::Settled;
            // What came to light when this had begun changes its order no more.
            let is_later = has_begun && self.seen[other].is_late;
            assert!(
                is_repair || is_later || !is_unsettled,
                "before what follows from it"
            );
        }
        for (other, seen) in self.seen.iter().enumerate() {
            let is_busy = matches!(seen.back, Back::Started | Back::Waits | Back::Stuck);
            let is_alone = is_repair || order == Order::Parallel || other == step;
            assert!(is_alone || !is_busy, "two at a time");
        }
        let seen = &mut self.seen[step];
        assert!(is_repair || seen.back != Back::Settled, "taken back twice");
        if seen.back == Back::Started {
            seen.cuts.1 += 1;
            assert!(
                seen.cuts.1 <= INTERRUPTIONS_MAX,
                "taken back again too often"
            );
        }
        seen.back = Back::Started;
    }

    fn check_end(&self) {
        let is_open = self.seen.iter().any(|seen| seen.is_open);
        match self.outcome {
            None | Some(Outcome::Failed | Outcome::Terminated) => {}
            Some(Outcome::Completed) => {
                assert!(!self.turned_back && self.seen.iter().all(|seen| seen.is_done));
            }
            Some(Outcome::Compensated | Outcome::Cancelled) => {
                assert!(self.turned_back && !is_open);
                let mut expected: Vec<usize> = (0..self.seen.len())
                    .filter(|&at| self.seen[at].has_effect(self.step(at)))
                    .collect();
                expected.sort_by_key(|&at| std::cmp::Reverse(self.seen[at].started_at));
                let mut settled = self.settled.clone();
                if self.definition.options().compensation == Order::Parallel || self.is_touched() {
                    settled.sort_unstable();
                    expected.sort_unstable();
                }
                assert_eq!(settled, expected, "each taken back once, in its order");
            }
        }
    }

    /// Whether an operator or a late answer has changed the order.
    fn is_touched(&self) -> bool {
        self.seen.iter().any(|seen| seen.is_late || seen.is_skipped)
    }
}

fn index(step: u32) -> usize {
    usize::try_from(step).unwrap()
}
