//! For the tests of users: a saga and its handlers through every failure, at every step and every append.
//!
//! A [`World`] is what the handlers act on. [`Sweep::run`] brings the same saga to its end again and again, each time in a new world and
//! with another thing that goes wrong: each step fails, is in doubt, hangs, panics, is called twice; so does each compensation; the
//! process ends before and after each append; somebody cancels after each. Items of lists are steps of their own, of a long list the
//! first three and the last, and so are the steps of the sagas that its steps start. After each run the world says whether it is as the end of the
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
mod family;
mod fault;
mod inject;
mod laws;
mod shape;
mod store;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

pub use self::fault::{Failure, Fault, Report};
pub use self::laws::{Broken, check_log};
pub use self::store::Moment;

use self::family::Member;
use self::inject::{ClockOfHandlers, Plan};
use self::shape::Shape;
use self::store::CutStore;
use crate::clock::{Clock, TestClock, Timestamp};
use crate::engines::embedded::Embedded;
use crate::error::Error;
use crate::ledger::By;
use crate::saga::record::Record;
use crate::saga::{
    Approval, Definition, Handlers, SagaStatus, Sagas, Settings, Signal, Start, Status, StepPhase,
    Wait,
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
        // Its lists, its children and how many appends there are is known when it has run once.
        let mut shape = Shape::new(&self.definition);
        let forward = self.first(&mut shape).await;
        for fault in shape.faults_of_steps() {
            self.note(&shape, &mut report, fault).await;
        }
        let backward = match shape.last_step() {
            Some(last) => {
                let run = self.run_one(&shape, &Fault::StepFails(last)).await;
                // What failed was noted before; there is no more to be learnt of it.
                run.map_or(0, |run| run.appends)
            }
            None => 0,
        };
        for at in 0..forward {
            for fault in [
                Fault::Crash(at, Moment::Before),
                Fault::Crash(at, Moment::After),
                Fault::Cancel(at),
            ] {
                self.note(&shape, &mut report, fault).await;
            }
        }
        for at in 0..backward {
            for moment in [Moment::Before, Moment::After] {
                let fault = Fault::CrashTurningBack(at, moment);
                self.note(&shape, &mut report, fault).await;
            }
        }
        report
    }

    /// A run in which nothing fails, to see what there is. What is wrong with it is noted when it is run again.
    async fn first(&self, shape: &mut Shape) -> usize {
        let Ok(run) = self.run_one(shape, &Fault::Nothing).await else {
            return 0;
        };
        for (member, records) in run.sagas {
            shape.take(member, &records);
        }
        run.appends
    }

    async fn note(&self, shape: &Shape, report: &mut Report, fault: Fault) {
        report.runs += 1;
        if let Err(what) = self.run_one(shape, &fault).await {
            report.failures.push(Failure { fault, what });
        }
    }

    async fn run_one(&self, shape: &Shape, fault: &Fault) -> Result<Run, String> {
        let world = (self.world)().await;
        let clock = TestClock::new(Timestamp::from_milliseconds(START_MS), 1);
        let clock: Arc<dyn Clock> = Arc::new(clock);
        let engine = Arc::new(Embedded::in_memory(Arc::clone(&clock)).map_err(said)?);
        let plan = Plan::new(shape.injections(fault), self.clock);
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
            let store = CutStore::new(Arc::clone(&engine), plan.family.clone(), cut, cancel_after);
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
                ended = self.drive(&sagas, world.input(), &store, &plan) => Some(ended),
            };
            let history = sagas.history();
            // Whatever still runs ends with the process.
            sagas.shutdown(Duration::ZERO).await;
            appends += store.appends();
            let Some(status) = ended.transpose()? else {
                continue;
            };
            check(shape, fault, &status, &plan)?;
            check_unsettled(&history, &plan)?;
            let sagas = check_records(&engine, &plan).await?;
            world.check(&status).await?;
            return Ok(Run { appends, sagas });
        }
        Err("the process ended twice".to_owned())
    }

    async fn drive(
        &self,
        sagas: &Sagas,
        input: Bytes,
        store: &CutStore,
        plan: &Plan,
    ) -> Result<SagaStatus, String> {
        let start = Start::new(input).keyed(KEY);
        let id = match sagas.start(&self.definition, start).await {
            Ok(id) => id,
            // The process is gone, and whoever waits for that comes first.
            Err(_) if store.has_crashed() => return std::future::pending().await,
            Err(error) => return Err(said(error)),
        };
        plan.shown
            .started(&id, &store.load().await.map_err(said)?)?;
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
                () = tokio::time::sleep(LOOK) => {
                    for saga in sagas.active() {
                        self.help(sagas, &saga, plan).await;
                    }
                }
            }
        }
        let status = sagas.status(&id).map_err(said)?;
        Err(format!("it does not end: it is {}", status.status))
    }

    /// Does what a saga waits for. What is refused meanwhile is looked at again.
    async fn help(&self, sagas: &Sagas, status: &SagaStatus, plan: &Plan) {
        let id = &status.id;
        let by = || By::new("sagatest", "so that it goes on");
        match status.status {
            Status::Paused => drop(sagas.resume(id, by()).await),
            Status::CompensationStuck | Status::ForwardStuck => {
                drop(sagas.retry_compensation(id).await);
            }
            _ => {}
        }
        let Some(saga) = plan.family.get(id.as_str()) else {
            return;
        };
        let waiting = saga.definition.steps().iter().zip(&status.steps);
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
}

/// What one run was.
struct Run {
    appends: usize,
    /// All sagas of it.
    sagas: Vec<(Member, Vec<Record>)>,
}

/// What any saga promises, whatever its world is.
fn check(shape: &Shape, fault: &Fault, status: &SagaStatus, plan: &Plan) -> Result<(), String> {
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
    let failing = fault.failing_step().filter(|id| !shape.is_behind_pivot(id));
    let is_back_by = |id: &str| {
        // Of a child, its own step has failed; of an item, the item or the list.
        let step = id.split('/').next().unwrap_or_default();
        let list = step.split('[').next().unwrap_or_default();
        let named = [step, list]
            .iter()
            .any(|it| error.contains(&format!("`{it}`")));
        status.status == Status::Compensated && named
    };
    let fits = match (fault, failing) {
        (_, Some(id)) => is_back_by(id),
        (Fault::Nothing | Fault::StepTwice(_), None) => status.status == Status::Completed,
        _ => matches!(
            status.status,
            Status::Completed | Status::Compensated | Status::Cancelled
        ),
    };
    fits.then_some(())
        .ok_or_else(|| format!("it is {}: {error}", status.status))
}

/// No saga of a run leaves anything that was to be taken back.
fn check_unsettled(history: &[SagaStatus], plan: &Plan) -> Result<(), String> {
    for saga in history {
        if let Some(step) = saga.unsettled.first() {
            let member = plan.family.get(saga.id.as_str());
            let prefix = member.map(|it| it.prefix).unwrap_or_default();
            return Err(format!("`{prefix}{step}` is not taken back"));
        }
    }
    Ok(())
}

/// The laws of each saga of a run, and of the calls that it made.
async fn check_records(
    engine: &Embedded,
    plan: &Plan,
) -> Result<Vec<(Member, Vec<Record>)>, String> {
    let mut sagas = Vec::new();
    let mut ids = Vec::new();
    for saga in engine.load().await.map_err(said)? {
        let records = saga.records.iter().map(|bytes| Record::decode(bytes));
        let records: Vec<Record> = records.collect::<Result<_, _>>().map_err(said)?;
        let Some(member) = plan.family.get(&saga.saga) else {
            return Err(format!("saga {} was started by no step", saga.saga));
        };
        check_log(&member.definition, &records).map_err(|broken| broken.to_string())?;
        plan.shown.check(&member.definition, &saga.saga, &records)?;
        sagas.push((member, records));
        ids.push(saga.saga);
    }
    for (member, _) in &sagas {
        let Some(by) = &member.started_by else {
            continue;
        };
        let mut all = ids.iter().zip(&sagas);
        let has_begun = all
            .any(|(id, (around, records))| family::has_begun(by, id, &around.definition, records));
        if !has_begun {
            let prefix = &member.prefix;
            return Err(format!("`{prefix}` is a saga that no attempt has started"));
        }
    }
    Ok(sagas)
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "it is what becomes of an error"
)]
fn said(error: Error) -> String {
    error.chain()
}
