//! For the tests of users: a saga and its handlers through every failure, at every step and every append.
//!
//! A [`World`] is what the handlers act on. [`Sweep::run`] brings the same saga to its end again and again, each time in a new world and
//! with another thing that goes wrong: each step fails, is in doubt, hangs, panics, is called twice; so does each compensation; the
//! process ends before and after each append; somebody cancels after each. After each run the world says whether it is as the end of the
//! saga promises, and the saga's records are checked by [`check_log`]. So is what the run shows of them: a start that was acknowledged
//! is in the store; a handler is called for an attempt that is recorded, with the epoch that is; it has the key of its step at each
//! attempt, and sees what was recorded of the steps that it depends on.
//!
//! The paused clock stands still while a handler is at work, so that what it does on another thread, such as that of a database, takes no
//! time limit away. A handler that waits for the clock itself wants [`Sweep::handlers_wait_for_the_clock`].
//!
//! ```
//! use std::sync::{Arc, Mutex};
//! use sagabus::saga::{CompensationContext, Definition, Handlers, SagaStatus, Status, Step, StepContext, StepError};
//! use sagabus::sagatest::{Sweep, World};
//!
//! /// Seats that are taken, by the key of the step.
//! #[derive(Default)]
//! struct Seats(Arc<Mutex<std::collections::BTreeSet<String>>>);
//!
//! impl World for Seats {
//!     fn handlers(&self) -> Handlers {
//!         let (taken, freed) = (Arc::clone(&self.0), Arc::clone(&self.0));
//!         Handlers::new()
//!             .handle("desk", "take_seat", move |context: StepContext| {
//!                 taken.lock().unwrap().insert(context.key());
//!                 async { Ok::<(), StepError>(()) }
//!             })
//!             .compensate("desk", "free_seat", move |context: CompensationContext| {
//!                 freed.lock().unwrap().remove(&context.step_key());
//!                 async { Ok(()) }
//!             })
//!     }
//!
//!     async fn check(&self, ended: &SagaStatus) -> Result<(), String> {
//!         let wanted = if ended.status == Status::Completed { 2 } else { 0 };
//!         let taken = self.0.lock().unwrap().len();
//!         (taken == wanted).then_some(()).ok_or(format!("{taken} seats are taken"))
//!     }
//! }
//!
//! // In a test: #[tokio::test(start_paused = true)]
//! # #[tokio::main(flavor = "current_thread")]
//! pub async fn no_seat_stays_taken_whatever_fails() {
//! #    tokio::time::pause();
//!     let seat = |id| Step::new(id).service("desk").action("take_seat").compensated_by("free_seat");
//!     let definition = Definition::builder("two_seats")
//!         .step(seat("window"))
//!         .step(seat("aisle").after("window"))
//!         .build()
//!         .unwrap();
//!     let report = Sweep::new(definition, async || Seats::default()).run().await;
//!     report.assert_clean();
//!     assert!(report.runs > 20);
//! }
//! # no_seat_stays_taken_whatever_fails();
//! ```

mod calls;
mod fault;
mod inject;
mod laws;
mod store;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

pub use self::fault::{Failure, Fault, Report};
pub use self::laws::{Broken, check_log};
pub use self::store::Moment;

use self::calls::Shown;
use self::inject::{ClockOfHandlers, Injected, Injection, Side};
use self::store::CutStore;
use crate::clock::{Clock, TestClock, Timestamp};
use crate::engines::embedded::Embedded;
use crate::error::Error;
use crate::ledger::By;
use crate::saga::record::Record;
use crate::saga::{
    Approval, Definition, Handlers, SagaId, SagaStatus, Sagas, Settings, Signal, Start, Status,
    StepPhase, Wait,
};
use crate::saga_store::SagaStore;

/// Where the clock of a run begins: 2026-01-01T00:00:00Z.
const START_MS: i64 = 1_767_225_600_000;
/// How often a saga is looked at, and at most how many times: days of the paused clock, far more than its delays.
const LOOK: Duration = Duration::from_secs(15);
const LOOKS_MAX: usize = 20_000;
/// The key of the one saga of a run.
const KEY: &str = "sagatest";

/// What the handlers of a saga act on, made anew for each run.
pub trait World: Send + Sync + 'static {
    /// The handlers, on this world. Asked for again after each crash.
    fn handlers(&self) -> Handlers;

    /// What the saga is started with, as JSON.
    fn input(&self) -> Bytes {
        Bytes::from_static(b"{}")
    }

    /// Whether the world is as the end of the saga promises.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    fn check(&self, ended: &SagaStatus) -> impl Future<Output = Result<(), String>> + Send;
}

/// A saga that is run again and again, each time with another fault. Wants a paused clock: its sagas wait for delays and time limits.
#[derive(Clone, Debug)]
pub struct Sweep<F> {
    definition: Definition,
    settings: Settings,
    answers: Vec<(String, Bytes)>,
    clock: ClockOfHandlers,
    world: F,
}

impl<W: World, F: AsyncFn() -> W> Sweep<F> {
    /// Sagas of `definition`, each in a world of its own, which `world` makes.
    pub fn new(definition: Definition, world: F) -> Self {
        Self {
            definition,
            settings: Settings::default(),
            answers: Vec::new(),
            clock: ClockOfHandlers::StandsStill,
            world,
        }
    }

    /// With other settings of the orchestrator.
    #[must_use]
    pub fn settings(mut self, settings: Settings) -> Self {
        self.settings = settings;
        self
    }

    /// Steps that wait for the signal `name` are told `payload`, instead of `null`. People who are asked say yes.
    #[must_use]
    pub fn answer(mut self, name: impl Into<String>, payload: impl Into<Bytes>) -> Self {
        self.answers.push((name.into(), payload.into()));
        self
    }

    /// For handlers that sleep, or set time limits of their own: time goes on while they run. It goes on as well while they wait for another
    /// thread, and may then be over before that has answered.
    #[must_use]
    pub fn handlers_wait_for_the_clock(mut self) -> Self {
        self.clock = ClockOfHandlers::GoesOn;
        self
    }

    /// All runs.
    pub async fn run(&self) -> Report {
        let mut report = Report::default();
        for fault in self.faults_of_steps() {
            self.note(&mut report, fault).await;
        }
        // How many appends there are is known when it has run once.
        let forward = self.appends(Fault::Nothing).await;
        let backward = match self.last_step() {
            Some(last) => self.appends(Fault::StepFails(last)).await,
            None => 0,
        };
        for at in 0..forward {
            self.note(&mut report, Fault::Crash(at, Moment::Before))
                .await;
            self.note(&mut report, Fault::Crash(at, Moment::After))
                .await;
            self.note(&mut report, Fault::Cancel(at)).await;
        }
        for at in 0..backward {
            for moment in [Moment::Before, Moment::After] {
                let fault = Fault::CrashTurningBack(at, moment);
                self.note(&mut report, fault).await;
            }
        }
        report
    }

    async fn note(&self, report: &mut Report, fault: Fault) {
        report.runs += 1;
        if let Err(what) = self.run_one(&fault).await {
            report.failures.push(Failure { fault, what });
        }
    }

    async fn appends(&self, fault: Fault) -> usize {
        // What failed was noted before; there is no more to be learnt of it.
        self.run_one(&fault).await.unwrap_or(0)
    }

    fn faults_of_steps(&self) -> Vec<Fault> {
        let mut faults = vec![Fault::Nothing];
        for (position, step) in self.definition.steps().iter().enumerate() {
            if !self.runs(position) {
                continue;
            }
            let id = || step.id.clone();
            faults.extend([
                Fault::StepFails(id()),
                Fault::StepInDoubt(id()),
                Fault::StepHangs(id()),
                Fault::StepPanics(id()),
                Fault::StepTwice(id()),
            ]);
            if step.compensation_action.is_some() && !self.is_behind_pivot(position) {
                faults.extend([
                    Fault::CompensationFails(id()),
                    Fault::CompensationStuck(id()),
                    Fault::CompensationHangs(id()),
                    Fault::CompensationPanics(id()),
                    Fault::CompensationTwice(id()),
                ]);
            }
        }
        faults
    }

    fn position(&self, id: &str) -> Option<usize> {
        let mut steps = self.definition.steps().iter();
        steps.position(|step| step.id == id)
    }

    /// Whether a handler does the step.
    fn runs(&self, position: usize) -> bool {
        let step = self.definition.steps().get(position);
        step.is_some_and(|step| step.wait.is_none())
    }

    fn is_behind_pivot(&self, position: usize) -> bool {
        let pivot = self.definition.pivot();
        pivot.is_some_and(|pivot| self.definition.ancestors(position).contains(&pivot))
    }

    /// The step whose failure takes the most back: the pivot, or the one with the most before it.
    fn last_step(&self) -> Option<String> {
        let steps = self.definition.steps();
        let last = (0..steps.len())
            .filter(|position| self.runs(*position))
            .max_by_key(|&position| self.definition.ancestors(position).len());
        let position = self.definition.pivot().or(last)?;
        Some(steps.get(position)?.id.clone())
    }

    /// The step whose failure has this one taken back: the pivot or one that follows from it; without such, itself, in doubt.
    fn turned_back_by(&self, position: usize) -> Injection {
        // What fails behind the pivot takes nothing back.
        let follows = |other: &usize| {
            let is_behind = self.is_behind_pivot(*other);
            !is_behind && self.definition.ancestors(*other).contains(&position)
        };
        let pivot = self.definition.pivot().filter(follows);
        let mut steps = (0..self.definition.steps().len()).filter(follows);
        match pivot.or_else(|| steps.find(|other| self.runs(*other))) {
            Some(other) => Injection::new(other, Side::Step, Injected::Fails, 1),
            None => {
                let times = self.attempts(position);
                Injection::new(position, Side::Step, Injected::InDoubt, times)
            }
        }
    }

    /// How many attempts the step has.
    fn attempts(&self, position: usize) -> u32 {
        let step = self.definition.steps().get(position);
        step.map_or(1, |step| step.retry_attempts.saturating_add(1))
    }

    fn injections(&self, fault: &Fault) -> Vec<Injection> {
        let Some(position) = fault.step().and_then(|id| self.position(id)) else {
            return self.injections_of_crash(fault);
        };
        let attempts = self.attempts(position);
        let of_step = |injected, times| vec![Injection::new(position, Side::Step, injected, times)];
        let of_compensation = |injected| {
            vec![
                self.turned_back_by(position),
                Injection::new(position, Side::Compensation, injected, 1),
            ]
        };
        match fault {
            Fault::StepFails(_) => of_step(Injected::Fails, 1),
            Fault::StepInDoubt(_) => of_step(Injected::InDoubt, attempts),
            Fault::StepHangs(_) => of_step(Injected::Hangs, attempts),
            Fault::StepPanics(_) => of_step(Injected::Panics, attempts),
            Fault::StepTwice(_) => of_step(Injected::Twice, 1),
            Fault::CompensationFails(_) => of_compensation(Injected::FailsForNow),
            Fault::CompensationStuck(_) => of_compensation(Injected::Fails),
            Fault::CompensationHangs(_) => of_compensation(Injected::Hangs),
            Fault::CompensationPanics(_) => of_compensation(Injected::Panics),
            Fault::CompensationTwice(_) => of_compensation(Injected::Twice),
            Fault::Nothing | Fault::Crash(..) | Fault::CrashTurningBack(..) | Fault::Cancel(_) => {
                Vec::new()
            }
        }
    }

    fn injections_of_crash(&self, fault: &Fault) -> Vec<Injection> {
        let is_back = matches!(fault, Fault::CrashTurningBack(..));
        let last = self.last_step().filter(|_| is_back);
        let position = last.and_then(|id| self.position(&id));
        // Also after the crash: it fails whenever it is called.
        let fails = |step| Injection::new(step, Side::Step, Injected::Fails, u32::MAX);
        position.map(fails).into_iter().collect()
    }

    /// One run; how many appends it took.
    async fn run_one(&self, fault: &Fault) -> Result<usize, String> {
        let world = (self.world)().await;
        let clock = TestClock::new(Timestamp::from_milliseconds(START_MS), 1);
        let clock: Arc<dyn Clock> = Arc::new(clock);
        let engine = Arc::new(Embedded::in_memory(Arc::clone(&clock)).map_err(said)?);
        let plan = inject::Plan::new(self.injections(fault), self.clock);
        let (cut, cancel_after) = match fault {
            Fault::Crash(at, moment) | Fault::CrashTurningBack(at, moment) => {
                (Some((*at, *moment)), None)
            }
            Fault::Cancel(at) => (None, Some(*at)),
            _ => (None, None),
        };
        let mut appends = 0;
        // With a crash there is a second process, which does not end before the saga does.
        for cut in [cut, None] {
            let store = CutStore::new(Arc::clone(&engine), cut, cancel_after);
            let handlers = inject::wrap(&world.handlers(), &self.definition, &plan);
            let sagas =
                Sagas::builder(Arc::clone(&store) as Arc<dyn SagaStore>, Arc::clone(&clock))
                    .settings(self.settings.clone())
                    .handlers(handlers)
                    .open()
                    .await
                    .map_err(said)?;
            let ended = tokio::select! {
                biased;
                () = store.crashed() => None,
                ended = self.drive(&sagas, world.input(), &store, &plan.shown) => Some(ended),
            };
            // Whatever still runs ends with the process.
            sagas.shutdown(Duration::ZERO).await;
            appends += store.appends();
            let Some(status) = ended.transpose()? else {
                continue;
            };
            self.check(fault, &status, &plan)?;
            self.check_records(&engine, &plan.shown).await?;
            world.check(&status).await?;
            return Ok(appends);
        }
        Err("the process ended twice".to_owned())
    }

    async fn drive(
        &self,
        sagas: &Sagas,
        input: Bytes,
        store: &CutStore,
        shown: &Shown,
    ) -> Result<SagaStatus, String> {
        let start = Start::new(input).keyed(KEY);
        let id = match sagas.start(&self.definition, start).await {
            Ok(id) => id,
            // The process is gone, and whoever waits for that comes first.
            Err(_) if store.has_crashed() => return std::future::pending().await,
            Err(error) => return Err(said(error)),
        };
        shown.started(&id, &store.load().await.map_err(said)?)?;
        let mut is_cancelled = false;
        for _ in 0..LOOKS_MAX {
            tokio::select! {
                biased;
                ended = sagas.wait(&id) => return ended.map_err(said),
                () = store.cancels(), if !is_cancelled => {
                    is_cancelled = true;
                    // Refused where the saga has passed its pivot.
                    let _refused = sagas.cancel(&id, "the run wants it").await;
                }
                () = tokio::time::sleep(LOOK) => self.help(sagas, &id).await?,
            }
        }
        let status = sagas.status(&id).map_err(said)?;
        Err(format!("it does not end: it is {}", status.status))
    }

    /// Does what a saga waits for. What is refused meanwhile is looked at again.
    async fn help(&self, sagas: &Sagas, id: &SagaId) -> Result<(), String> {
        let status = sagas.status(id).map_err(said)?;
        let by = || By::new("sagatest", "so that it goes on");
        match status.status {
            Status::Paused => drop(sagas.resume(id, by()).await),
            Status::CompensationStuck | Status::ForwardStuck => {
                drop(sagas.retry_compensation(id).await);
            }
            _ => {}
        }
        let waiting = self.definition.steps().iter().zip(&status.steps);
        for (step, _) in waiting.filter(|(_, shown)| shown.phase == StepPhase::Waiting) {
            match &step.wait {
                Some(Wait::Signal { name, .. }) => {
                    drop(sagas.signal(id, self.signal(name, by())).await);
                }
                Some(Wait::Approval { role, .. }) => {
                    let approval = Approval {
                        approved: true,
                        role: role.clone(),
                    };
                    drop(sagas.approve(id, &step.id, approval, by()).await);
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn signal(&self, name: &str, by: By) -> Signal {
        let answer = self.answers.iter().find(|(other, _)| other == name);
        let payload = answer.map(|(_, payload)| payload.clone());
        Signal {
            name: name.to_owned(),
            key: None,
            payload: payload.unwrap_or_else(|| Bytes::from_static(b"null")),
            by,
            approval: None,
        }
    }

    /// What any saga promises, whatever its world is.
    fn check(&self, fault: &Fault, status: &SagaStatus, plan: &inject::Plan) -> Result<(), String> {
        if let Some(step) = plan.too_long() {
            let limit = inject::AT_WORK_MAX.as_secs();
            return Err(format!(
                "a handler of `{step}` was at work for more than {limit} s of real time: if it waits for the clock, say `handlers_wait_for_the_clock`"
            ));
        }
        let error = status.error.as_deref().unwrap_or_default();
        if let Some(unused) = plan.unused() {
            return Err(format!("its fault did not happen: {unused}"));
        }
        let failing = fault.failing_step().filter(|id| {
            let position = self.position(id);
            position.is_some_and(|position| !self.is_behind_pivot(position))
        });
        let is_back_by =
            |id| status.status == Status::Compensated && error.contains(&format!("`{id}`"));
        let fits = match (fault, failing) {
            (_, Some(id)) => is_back_by(id),
            (Fault::Nothing | Fault::StepTwice(_), None) => status.status == Status::Completed,
            _ => matches!(
                status.status,
                Status::Completed | Status::Compensated | Status::Cancelled
            ),
        };
        if !fits {
            return Err(format!("it is {}: {error}", status.status));
        }
        match status.unsettled.first() {
            Some(step) => Err(format!("`{step}` is not taken back")),
            None => Ok(()),
        }
    }

    async fn check_records(&self, engine: &Embedded, shown: &Shown) -> Result<(), String> {
        for saga in engine.load().await.map_err(said)? {
            let records = saga.records.iter().map(|bytes| Record::decode(bytes));
            let records: Vec<Record> = records.collect::<Result<_, _>>().map_err(said)?;
            check_log(&self.definition, &records).map_err(|broken| broken.to_string())?;
            shown.check(&self.definition, &saga.saga, &records)?;
        }
        Ok(())
    }
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "it is what becomes of an error"
)]
fn said(error: Error) -> String {
    error.chain()
}
