//! Random sagas of up to twelve steps in virtual time, event by event beside the naive one.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

use super::model::{End, How, Kind, Model, Stands, Undo};
use super::play::{Play, ok};
use crate::saga::definition::Options;
use crate::saga::handlers::StepError;
use crate::saga::machine::{
    Action, AttemptResult, Command, CompensationPhase, Flight, InFlight, Input, Limit, Phase,
    Stage, Timer,
};
use crate::saga::record::{Effect, Outcome};
use crate::saga::{Compensate, Definition, Order, Step};

const STEPS_MAX: usize = 12;
/// How long an attempt may take; those that take longer say so in their scripts.
const TIMEOUT: u64 = 60;
/// A saga has fewer events than this: at most twelve steps with three attempts and three of their compensations, and a few more.
const EVENTS_MAX: usize = 2_000;

/// How an attempt goes.
#[derive(Clone, Copy, Debug)]
enum Act {
    /// It ends like this after so many milliseconds, unless it is told to stop and listens.
    Ends(How, u64),
    /// It takes too long, and so long after that says this late.
    Late(How, u64),
}

#[derive(Clone, Debug)]
struct StepPlan {
    needs: u16,
    retries: u32,
    undo: Option<Compensate>,
    acts: Vec<Act>,
    /// Whether it goes on although it is told to stop.
    is_deaf: bool,
    undo_acts: Vec<How>,
}

#[derive(Clone, Debug)]
struct Plan {
    steps: Vec<StepPlan>,
    pivot: Option<usize>,
    is_parallel: bool,
    deadline: Option<u64>,
    cancel: Option<u64>,
    crashes: Vec<u64>,
}

impl Plan {
    fn needs(&self, step: usize) -> impl Iterator<Item = usize> {
        let mask = self.steps[step].needs;
        (0..step).filter(move |other| mask & (1 << other) != 0)
    }

    fn definition(&self) -> Definition {
        let options = Options {
            compensation: match self.is_parallel {
                true => Order::Parallel,
                false => Order::Serial,
            },
            deadline: self.deadline.map(Duration::from_millis),
            ..Options::default()
        };
        let builder = Definition::builder("random").options(options);
        let steps = self.steps.iter().enumerate().map(|(at, plan)| {
            let mut own = Step::new(id(at)).service("svc").retries(plan.retries);
            own = own.retry_delay(Duration::from_millis(20));
            if let Some(when) = plan.undo {
                let undo = format!("undo_{}", id(at));
                own = own.compensated_by(undo).compensate(when);
                own = own.compensation_retries(1);
            }
            if self.pivot == Some(at) {
                own = own.pivot();
            }
            self.needs(at).fold(own, |own, need| own.after(id(need)))
        });
        let all = steps.fold(builder, |all, own: Step| all.step(own));
        all.build().unwrap()
    }

    /// The naive one, which works out by itself what is before what.
    fn model(&self) -> Model {
        let mut before: Vec<BTreeSet<usize>> = Vec::new();
        for step in 0..self.steps.len() {
            let needs: Vec<usize> = self.needs(step).collect();
            let far = needs.iter().flat_map(|it| before[*it].clone());
            let all = far.chain(needs.iter().copied()).collect();
            before.push(all);
        }
        if let Some(pivot) = self.pivot {
            // All that does not follow from it comes before it, and so before all that follows.
            let follows = |it: &usize| before[*it].contains(&pivot);
            let (behind, others): (Vec<usize>, Vec<usize>) =
                (0..self.steps.len()).partition(follows);
            let others: BTreeSet<usize> = others.into_iter().filter(|it| *it != pivot).collect();
            for step in behind.into_iter().chain([pivot]) {
                before[step].extend(&others);
            }
        }
        let kinds = self.steps.iter().zip(before).enumerate();
        let kinds = kinds.map(|(at, (plan, before))| Kind {
            before,
            retries: plan.retries,
            undo: plan.undo,
            is_pivot: self.pivot == Some(at),
        });
        Model::begin(kinds.collect(), self.is_parallel, 1)
    }

    fn act(&self, step: usize, attempt: u32) -> Act {
        let acts = &self.steps[step].acts;
        let act = acts.get(attempt as usize - 1);
        act.copied().unwrap_or(Act::Ends(How::Ok, 5))
    }

    fn undo_act(&self, step: usize, attempt: u32) -> How {
        let acts = &self.steps[step].undo_acts;
        acts.get(attempt as usize - 1).copied().unwrap_or(How::Ok)
    }
}

fn id(step: usize) -> String {
    format!("s{step}")
}

fn plans() -> impl Strategy<Value = Plan> {
    let how = prop_oneof![
        8 => Just(How::Ok),
        3 => Just(How::Retry),
        1 => Just(How::Reject),
        1 => Just(How::InDoubt),
    ];
    let late = prop_oneof![
        Just(How::Ok),
        Just(How::Retry),
        Just(How::InDoubt),
        Just(How::Dropped),
    ];
    let act = prop_oneof![
        6 => (how, 1..TIMEOUT).prop_map(|(how, ms)| Act::Ends(how, ms)),
        1 => (late, 1_u64..50).prop_map(|(how, ms)| Act::Late(how, ms)),
    ];
    let undo = prop_oneof![
        1 => Just(None),
        1 => Just(Some(Compensate::Completed)),
        3 => Just(Some(Compensate::CompletedOrInDoubt)),
        1 => Just(Some(Compensate::Always)),
    ];
    let undo_act = prop_oneof![
        6 => Just(How::Ok),
        2 => Just(How::Retry),
        1 => Just(How::InDoubt),
        1 => Just(How::Reject),
    ];
    let acts = prop::collection::vec(act, 0..4);
    let undo_acts = prop::collection::vec(undo_act, 0..3);
    // About two steps before each.
    let needs = (any::<u16>(), any::<u16>()).prop_map(|(one, other)| one & other);
    let step = (needs, 0_u32..3, undo, acts, any::<bool>(), undo_acts);
    let step = step.prop_map(
        |(needs, retries, undo, acts, is_deaf, undo_acts)| StepPlan {
            needs,
            retries,
            undo,
            acts,
            is_deaf,
            undo_acts,
        },
    );
    let steps = prop::collection::vec(step, 1..=STEPS_MAX);
    let pivot = prop::option::weighted(0.4, 0..STEPS_MAX);
    let time = || prop::option::weighted(0.3, 0_u64..300);
    let crashes = prop::collection::vec(0_u64..400, 0..3);
    let deadline = prop::option::weighted(0.3, 1_u64..400);
    (steps, pivot, any::<bool>(), deadline, time(), crashes).prop_map(
        |(steps, pivot, is_parallel, deadline, cancel, crashes)| Plan {
            pivot: pivot.filter(|it| *it < steps.len()),
            steps,
            is_parallel,
            deadline,
            cancel,
            crashes,
        },
    )
}

/// What happens at a time.
#[derive(Clone, Copy, Debug)]
enum Happens {
    Ends(Flight, How),
    TimesOut(Flight),
    UndoEnds(usize, How),
    Elapses(Timer),
    Cancel,
    Crash,
}

impl Happens {
    /// Whether it is gone with the process.
    fn is_of_process(&self) -> bool {
        !matches!(self, Self::Cancel | Self::Crash)
    }
}

/// A saga, the naive one, and what is to happen, by its time and the order in which it was said.
struct Course<'a> {
    plan: &'a Plan,
    play: Play,
    model: Model,
    agenda: BTreeMap<(u64, usize), Happens>,
    said: usize,
    now: u64,
    has_retried: bool,
}

impl<'a> Course<'a> {
    fn new(plan: &'a Plan) -> Self {
        let mut play = Play::queued(&plan.definition());
        // The limit of the saga counts from its first record.
        let deadline = plan.deadline.map(|at| (at, Happens::Elapses(Timer::Saga)));
        play.give(Input::Begin);
        let mut course = Self {
            plan,
            play,
            model: plan.model(),
            agenda: BTreeMap::new(),
            said: 0,
            now: 0,
            has_retried: false,
        };
        let cancel = plan.cancel.map(|at| (at, Happens::Cancel));
        let crashes = plan.crashes.iter().map(|at| (*at, Happens::Crash));
        for (at, what) in deadline.into_iter().chain(cancel).chain(crashes) {
            course.at(at, what);
        }
        course.obey();
        course
    }

    fn at(&mut self, at: u64, what: Happens) {
        self.said += 1;
        self.agenda.insert((at, self.said), what);
    }

    /// Takes up what the machine says is to be done.
    fn obey(&mut self) {
        for command in self.play.commands.clone() {
            match command {
                Command::Run { step, attempt } => {
                    let flight = Flight { step, attempt };
                    match self.plan.act(step, attempt) {
                        Act::Ends(how, ms) => self.at(self.now + ms, Happens::Ends(flight, how)),
                        Act::Late(..) => self.at(self.now + TIMEOUT, Happens::TimesOut(flight)),
                    }
                }
                Command::Compensate { step, attempt } => {
                    let how = self.plan.undo_act(step, attempt);
                    self.at(self.now + 3, Happens::UndoEnds(step, how));
                }
                Command::Arm { timer, delay } => {
                    self.agenda
                        .retain(|_, it| !matches!(it, Happens::Elapses(other) if *other == timer));
                    let delay = u64::try_from(delay.as_millis()).unwrap();
                    self.at(self.now + delay, Happens::Elapses(timer));
                }
                Command::Stop { flight, grace } => self.stop(flight, grace),
                Command::Drop | Command::Child { .. } | Command::CancelChild { .. } => {}
            }
        }
    }

    /// A handler is told to stop: it stops, or is deaf and goes on until it ends or is dropped.
    fn stop(&mut self, flight: Flight, grace: Duration) {
        let grace = self.now + u64::try_from(grace.as_millis()).unwrap();
        let ends = self.agenda.iter().find_map(|(key, it)| match it {
            Happens::Ends(other, how) if *other == flight => Some((*key, Some(*how))),
            Happens::TimesOut(other) if *other == flight => Some((*key, None)),
            _ => None,
        });
        let is_deaf = self.plan.steps[flight.step].is_deaf;
        let late = match self.plan.act(flight.step, flight.attempt) {
            Act::Late(how, ms) => (how, self.now + ms),
            // It is told as its saga turns back.
            Act::Ends(..) if is_deaf => return,
            Act::Ends(..) => (How::Reject, self.now + 1),
        };
        match ends {
            // It is told a second time.
            Some((_, Some(_)))
                if matches!(self.plan.act(flight.step, flight.attempt), Act::Late(..)) => {}
            Some((key, _)) => {
                self.agenda.remove(&key);
                self.at(late.1.min(grace), Happens::Ends(flight, late.0));
            }
            None => self.at(late.1.min(grace), Happens::Ends(flight, late.0)),
        }
    }

    /// What happens next; false when nothing does.
    fn step(&mut self) -> bool {
        let Some(((at, _), what)) = self.agenda.pop_first() else {
            return self.by_hand();
        };
        self.play.now = self.play.now.after(Duration::from_millis(at - self.now));
        self.now = at;
        match what {
            Happens::Ends(Flight { step, attempt }, how) => {
                match self.model.units[step].hangs == Some(attempt) {
                    true => self.model.said_late(step, how),
                    false => self.model.ended(step, how),
                }
                self.play.end_attempt(step, attempt, result(how));
            }
            Happens::TimesOut(Flight { step, attempt }) => {
                self.model.timed_out(step);
                let limit = Limit::Timeout(Duration::from_millis(TIMEOUT));
                self.play.give(Input::TimedOut {
                    step,
                    attempt,
                    limit,
                });
            }
            Happens::UndoEnds(step, how) => {
                self.model.undo_ended(step, how);
                let result = match result(how) {
                    AttemptResult::Ok(_) => Ok(()),
                    AttemptResult::Err(error) => Err(error),
                    AttemptResult::Abandoned => unreachable!("compensations are not dropped"),
                };
                self.play.end_compensation(&id(step), result);
            }
            Happens::Elapses(timer) => {
                match timer {
                    Timer::Retry(step) => self.model.due(step),
                    Timer::Saga => self.model.deadline(),
                    other => panic!("nothing sets {other:?}"),
                }
                self.play.give(Input::Elapsed(timer));
            }
            Happens::Cancel => {
                self.model.cancel();
                let in_flight = InFlight::Signal;
                self.play.operate(Action::Cancel { in_flight });
            }
            Happens::Crash => {
                self.agenda.retain(|_, it| !it.is_of_process());
                self.model.crash();
                self.play.restart();
            }
        }
        true
    }

    /// An operator has what is stuck tried again, once; gives up after that.
    fn by_hand(&mut self) -> bool {
        let is_stuck = matches!(self.play.state.stage, Stage::Stuck | Stage::ForwardStuck);
        if !is_stuck || self.has_retried {
            return false;
        }
        self.has_retried = true;
        self.model.retry_all();
        self.play.operate(Action::Retry { step: None });
        true
    }

    /// Both are at the same place.
    fn compare(&self) {
        let state = &self.play.state;
        let (mut flights, mut undos) = (BTreeSet::new(), BTreeSet::new());
        for (at, (unit, own)) in self.model.units.iter().zip(&state.steps).enumerate() {
            let stands = match own.phase {
                Phase::Pending => Stands::Waits,
                Phase::Started => Stands::Runs,
                Phase::Backoff { .. } => Stands::Pauses,
                Phase::Succeeded(_) => Stands::Done,
                Phase::Failed(_) => Stands::Failed,
                Phase::Stuck(_) => Stands::Stuck,
                Phase::NotRun => Stands::NotRun,
                Phase::Skipped => panic!("nobody skips"),
            };
            assert_eq!((stands, own.attempts), (unit.stands, unit.attempt), "{at}");
            if let Phase::Failed(effect) = own.phase {
                assert_eq!(effect == Effect::None, unit.doubt.is_empty(), "{at}");
            }
            let undo = match own.compensation.phase {
                CompensationPhase::Idle => Undo::No,
                CompensationPhase::Started => Undo::Runs,
                CompensationPhase::Backoff { .. } => Undo::Pauses,
                CompensationPhase::Stuck => Undo::Stuck,
                CompensationPhase::Done => Undo::Done,
                CompensationPhase::Skipped | CompensationPhase::Forced => panic!("nobody skips"),
            };
            let attempts = own.compensation.attempts;
            assert_eq!((undo, attempts), (unit.undo, unit.undo_attempt), "{at}");
            let runs = (unit.stands == Stands::Runs).then_some(unit.attempt);
            flights.extend(runs.into_iter().chain(unit.hangs).map(|it| (at, it)));
            undos.extend((unit.undo == Undo::Runs).then_some(at));
        }
        let in_flight = self.play.in_flight.iter();
        let in_flight: BTreeSet<_> = in_flight.map(|it| (it.step, it.attempt)).collect();
        assert_eq!(in_flight, flights);
        let compensating: BTreeSet<_> = self.play.compensating.iter().copied().collect();
        assert_eq!(compensating, undos);
        let end = match state.stage {
            Stage::Ended(Outcome::Completed) => Some(End::Completed),
            Stage::Ended(Outcome::Compensated) => Some(End::Compensated),
            Stage::Ended(Outcome::Cancelled) => Some(End::Cancelled),
            Stage::Ended(other) => panic!("nobody asks for {other:?}"),
            _ => None,
        };
        assert_eq!(end, self.model.end);
    }
}

fn result(how: How) -> AttemptResult {
    let text = "no".to_owned();
    match how {
        How::Ok => ok(),
        How::Retry => AttemptResult::Err(StepError::Retry(text)),
        How::Reject => AttemptResult::Err(StepError::Reject(text)),
        How::InDoubt => AttemptResult::Err(StepError::InDoubt(text)),
        How::Dropped => AttemptResult::Abandoned,
    }
}

/// How many of the sagas ended in which way.
#[derive(Debug, Default)]
struct Seen {
    completed: usize,
    compensated: usize,
    cancelled: usize,
    stuck: usize,
    behind_pivot: usize,
    events: usize,
}

impl Seen {
    fn run(&mut self, plan: &Plan) {
        let mut course = Course::new(plan);
        course.compare();
        let mut events = 0;
        while course.step() {
            course.obey();
            course.compare();
            events += 1;
            assert!(events < EVENTS_MAX, "it does not end");
        }
        self.events += events;
        match (course.play.state.stage, course.model.end) {
            (Stage::Stuck | Stage::ForwardStuck, None) => self.stuck += 1,
            (_, Some(End::Completed)) => self.completed += 1,
            (_, Some(End::Compensated)) => self.compensated += 1,
            (_, Some(End::Cancelled)) => self.cancelled += 1,
            (stage, None) => panic!("nothing more happens in {stage:?}"),
        }
        self.behind_pivot += usize::from(course.play.state.has_passed_pivot());
        course.play.check();
    }
}

#[test]
fn random_sagas_go_event_by_event_as_the_naive_one_does() {
    let cases = match std::env::var_os("RUN_SLOW") {
        Some(_) => 500_000,
        None => 10_000,
    };
    let config = Config {
        cases,
        failure_persistence: None,
        ..Config::default()
    };
    let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let seen = std::cell::RefCell::new(Seen::default());
    let result = TestRunner::new_with_rng(config, rng).run(&plans(), |plan| {
        seen.borrow_mut().run(&plan);
        Ok(())
    });
    result.unwrap();
    let seen = seen.into_inner();
    println!("{cases} sagas: {seen:?}");
    let least = usize::try_from(cases / 50).unwrap();
    let ends = [seen.completed, seen.compensated, seen.cancelled, seen.stuck];
    assert!(ends.into_iter().all(|it| it > least), "{seen:?}");
    assert!(seen.behind_pivot > least, "{seen:?}");
}
