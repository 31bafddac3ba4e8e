//! Many histories of sagas on a simulated disk, each from a seed.
//!
//! Whatever fails, each saga ends, and leaves of its effects what its end says.
//!
//! Definitions are random; handlers fail, hang, panic, are slow or in doubt; the process is killed, power is lost, syncs fail;
//! operators cancel, pause and retry. A store in between knows what is durable: a handler that is called, told to stop, or an answer
//! that is given before its record is durable breaks the history. `SEED=n` lives one again; `SEEDS=n` says how many there are.

#![expect(
    clippy::indexing_slicing,
    reason = "sagas and steps are numbers below their count"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::future::pending;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use async_trait::async_trait;
use sagabus::clock::TestClock;
use sagabus::engines::embedded::simulation::{Chance, Crash, SagaBug, SimDisk};
use sagabus::engines::embedded::{Embedded, Settings};
use sagabus::ledger::By;
use sagabus::saga::backoff::Backoff;
use sagabus::saga::record::{Effect, Fact, Record, Verb};
use sagabus::saga::{
    self, Action, CallContext, CompensationContext, Definition, Handlers, InFlight, OnInDoubt,
    OnTimeout, Options, Order, SagaId, SagaStatus, Signal, Status, Step, StepContext, StepError,
};
use sagabus::saga_store::{SagaBatch, SagaStore, StoredSaga};
use sagabus::{Bus, Clock, ErrorKind, Sagas, Timestamp, sagatest};
use serde_json::json;

use crate::simulation::{live_all, number};

/// Histories in an ordinary run; each has some eight sagas.
const SEEDS: u64 = 2_000;
/// Sagas that an ordinary run has at least.
const SAGAS_MIN: u64 = 10_000;
/// Histories that are lived twice.
const SEEDS_TWICE: u64 = 50;
/// Histories among which a planted fault must show itself.
const SEEDS_PER_BUG: u64 = 1_000;
/// Longest time of an attempt, and the grace after it.
const TIMEOUT: Duration = Duration::from_secs(1);
/// How often, and how many times, the last life looks whether all sagas are over: far longer than all their delays together.
const LOOK: Duration = Duration::from_secs(30);
const LOOKS_MAX: usize = 200;
/// The name of the one signal that steps wait for.
const SIGNAL: &str = "go";

/// What happened to the effect of a step, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Change {
    Done,
    TakenBack,
}

/// What is durable, what the handlers did, and what broke.
#[derive(Debug, Default)]
struct Notes {
    /// Records that the store has acknowledged or handed back.
    durable: BTreeMap<String, Vec<Record>>,
    definitions: BTreeMap<String, Definition>,
    /// By the key of the step.
    effects: BTreeMap<String, Vec<Change>>,
    /// Attempts whose handler was called, of steps and of compensations.
    called: BTreeSet<(String, u32)>,
    /// Steps whose handler returned an output in this life.
    returned: BTreeSet<String>,
    /// Handlers fail no more.
    is_calm: bool,
    /// The process ends in good order, which tells handlers to stop.
    is_closing: bool,
    calls: u64,
    compensations: u64,
    stops: u64,
    broken: Option<String>,
}

fn lock(notes: &Mutex<Notes>) -> MutexGuard<'_, Notes> {
    notes.lock().unwrap()
}

impl Notes {
    fn must(&mut self, saga: &SagaId, holds: bool, what: impl FnOnce() -> String) {
        if !holds && self.broken.is_none() {
            let records = self
                .durable
                .get(saga.as_str())
                .map_or(&[][..], Vec::as_slice);
            let facts: Vec<_> = records.iter().skip(1).map(|it| &it.fact).collect();
            self.broken = Some(format!("{} {facts:?}", what()));
        }
    }
}

fn at(step: usize) -> u32 {
    u32::try_from(step).unwrap()
}

/// The log of one saga, to be asked what was durable when.
struct Log<'a> {
    definition: &'a Definition,
    records: &'a [Record],
}

impl Log<'_> {
    fn position(&self, is: impl Fn(&Fact) -> bool) -> Option<usize> {
        self.records.iter().position(|record| is(&record.fact))
    }

    fn has(&self, is: impl Fn(&Fact) -> bool) -> bool {
        self.position(is).is_some()
    }

    fn started(&self, step: usize, attempt: u32) -> Option<usize> {
        self.position(|fact| {
            let begun = (at(step), attempt);
            matches!(fact, Fact::StepStarted { step, attempt, .. } if (*step, *attempt) == begun)
        })
    }

    fn succeeded(&self, step: usize) -> Option<usize> {
        self.position(
            |fact| matches!(fact, Fact::StepSucceeded { step: other, .. } if *other == at(step)),
        )
    }

    /// An operator did this to the step.
    fn is_touched(&self, step: usize) -> bool {
        self.has(|fact| {
            matches!(fact, Fact::Operated { step: Some(other), verb, .. } if *other == at(step) && *verb != Verb::Retry)
        })
    }

    /// Whether it may have happened, although it did not succeed.
    fn is_in_doubt(&self, step: usize) -> bool {
        let step = at(step);
        let mut is_open = false;
        for record in self.records {
            match &record.fact {
                Fact::StepStarted { step: other, .. } if *other == step => {
                    if is_open {
                        return true;
                    }
                    is_open = true;
                }
                Fact::AttemptFailed {
                    step: other,
                    effect,
                    ..
                }
                | Fact::StepFailed {
                    step: other,
                    effect,
                    ..
                }
                | Fact::ForwardStuck {
                    step: other,
                    effect,
                    ..
                } if *other == step => {
                    if *effect == Effect::Unknown {
                        return true;
                    }
                    is_open = false;
                }
                Fact::LateResult {
                    step: other,
                    output: Some(_),
                    ..
                } if *other == step => return true,
                _ => {}
            }
        }
        // What an operator tried again may have been cut off.
        is_open
            || self.has(|fact| {
                matches!(
                    fact,
                    Fact::Operated {
                        verb: Verb::Retry,
                        ..
                    }
                )
            })
    }

    /// The steps that follow from this one, at any distance.
    fn followers(&self, step: usize) -> Vec<usize> {
        let steps = self.definition.steps();
        let mut found: Vec<usize> = Vec::new();
        for later in step + 1..steps.len() {
            let needs = |id: &String| {
                let needed = steps.iter().position(|other| other.id == *id).unwrap();
                needed == step || found.contains(&needed)
            };
            if steps[later].dependencies.iter().any(needs) {
                found.push(later);
            }
        }
        found
    }

    /// Whether it is known for sure that the step is to be taken back, and is not at this record.
    fn is_unsettled_at(&self, step: usize, place: usize) -> bool {
        let own = &self.definition.steps()[step];
        let before = Log {
            definition: self.definition,
            records: &self.records[..place],
        };
        let settled = before.position(|fact| {
            matches!(fact, Fact::CompensationSucceeded { step: other, .. } if *other == at(step))
        });
        let succeeded = before.succeeded(step).is_some();
        own.compensation_action.is_some()
            && succeeded
            && settled.is_none()
            && !before.is_touched(step)
    }

    fn is_paused_at(&self, place: usize) -> bool {
        let mut is_paused = false;
        for record in &self.records[..place] {
            match &record.fact {
                Fact::Paused { .. }
                | Fact::Operated {
                    verb: Verb::Pause, ..
                } => is_paused = true,
                Fact::Operated {
                    verb: Verb::Resume, ..
                }
                | Fact::TurnedBack { .. }
                | Fact::Ended { .. } => {
                    is_paused = false;
                }
                _ => {}
            }
        }
        is_paused
    }

    /// What is wrong with a call of a step's handler.
    fn wrong_call(&self, step: usize, context: &StepContext) -> Option<String> {
        let Some(started) = self.started(step, context.attempt()) else {
            return Some("is called before that is durable".to_owned());
        };
        let own = &self.definition.steps()[step];
        let turned = self.position(|fact| matches!(fact, Fact::TurnedBack { .. }));
        if turned.is_some_and(|turned| turned < started) {
            return Some("is called after the saga turned back".to_owned());
        }
        if self.is_paused_at(started) {
            return Some("is called while the saga is paused".to_owned());
        }
        if context.key() != format!("{}/{}", context.saga_id(), own.id) {
            return Some(format!("has the key {}", context.key()));
        }
        for id in &own.dependencies {
            let needed = self
                .definition
                .steps()
                .iter()
                .position(|other| other.id == *id)
                .unwrap();
            let succeeded = self.succeeded(needed).is_some_and(|done| done < started);
            if !succeeded && !self.is_touched(needed) {
                return Some(format!("is called before `{id}` is done"));
            }
            let output = self.records.iter().find_map(|record| match &record.fact {
                Fact::StepSucceeded { step, output, .. } if *step == at(needed) => Some(output),
                _ => None,
            });
            if succeeded && context.output(id) != output && !self.is_touched(needed) {
                return Some(format!("does not see the durable output of `{id}`"));
            }
        }
        None
    }

    /// What is wrong with a call of a step's compensation.
    fn wrong_compensation(&self, step: usize, context: &CompensationContext) -> Option<String> {
        let attempt = context.attempt();
        let begun = (at(step), attempt);
        let is_begun = |fact: &Fact| matches!(fact, Fact::CompensationStarted { step, attempt, .. } if (*step, *attempt) == begun);
        let Some(begun) = self.position(is_begun) else {
            return Some("is called before that is durable".to_owned());
        };
        let turned = self.position(|fact| matches!(fact, Fact::TurnedBack { .. }));
        if turned.is_none_or(|turned| turned > begun) {
            return Some("is called before turning back is durable".to_owned());
        }
        if self.is_paused_at(begun) {
            return Some("is called while the saga is paused".to_owned());
        }
        if self.succeeded(step).is_none() && !self.is_in_doubt(step) {
            return Some("takes back what certainly had no effect".to_owned());
        }
        let unsettled = |other: &usize| self.is_unsettled_at(*other, begun);
        if let Some(other) = self.followers(step).into_iter().find(unsettled) {
            return Some(format!(
                "is called before that of step {other}, which follows from it"
            ));
        }
        let is_plain =
            !self.has(|fact| matches!(fact, Fact::LateResult { .. } | Fact::Operated { .. }));
        let first = |step: usize| {
            self.position(
                |fact| matches!(fact, Fact::StepStarted { step: other, .. } if *other == at(step)),
            )
        };
        let is_serial = self.definition.options().compensation == Order::Serial;
        let later = (0..self.definition.steps().len())
            .filter(|other| first(*other) > first(step))
            .find(unsettled);
        match later {
            Some(other) if is_serial && is_plain => Some(format!(
                "is called before that of step {other}, which started later"
            )),
            _ => None,
        }
    }

    /// Whether something durable says that this attempt is to stop.
    fn says_stop(&self, step: usize, attempt: u32) -> bool {
        self.has(|fact| match fact {
            Fact::TurnedBack { .. } | Fact::Ended { .. } => true,
            Fact::AttemptFailed {
                step: other,
                attempt: failed,
                ..
            }
            | Fact::StepFailed {
                step: other,
                attempt: failed,
                ..
            }
            | Fact::ForwardStuck {
                step: other,
                attempt: failed,
                ..
            } => *other == at(step) && *failed == attempt,
            Fact::Operated {
                step: Some(other), ..
            } => *other == at(step),
            _ => false,
        })
    }
}

/// The engine, and in front of it who notes what is durable.
#[derive(Debug)]
struct Watched {
    engine: Arc<Embedded>,
    notes: Arc<Mutex<Notes>>,
}

fn decoded(records: &[bytes::Bytes]) -> Vec<Record> {
    records
        .iter()
        .map(|it| Record::decode(it).unwrap())
        .collect()
}

#[async_trait]
impl SagaStore for Watched {
    async fn append(&self, batches: Vec<SagaBatch>) -> sagabus::Result<()> {
        let records: Vec<_> = batches
            .iter()
            .map(|batch| (batch.saga.clone(), decoded(&batch.records)))
            .collect();
        // Others get their turn between the decision and its durability.
        tokio::task::yield_now().await;
        self.engine.append(batches).await?;
        let mut notes = lock(&self.notes);
        for (saga, records) in records {
            if let Some(Fact::Created { definition, .. }) = records.first().map(|it| &it.fact) {
                let definition = Definition::from_pinned(definition).unwrap();
                notes.definitions.insert(saga.clone(), definition);
            }
            notes.durable.entry(saga).or_default().extend(records);
        }
        Ok(())
    }

    fn epoch(&self) -> u64 {
        self.engine.epoch()
    }

    async fn load(&self) -> sagabus::Result<Vec<StoredSaga>> {
        let sagas = self.engine.load().await?;
        let mut notes = lock(&self.notes);
        let mut found = BTreeMap::new();
        for stored in &sagas {
            let records = decoded(&stored.records);
            if let Some(Fact::Created { definition, .. }) = records.first().map(|it| &it.fact) {
                let definition = Definition::from_pinned(definition).unwrap();
                notes.definitions.insert(stored.saga.clone(), definition);
            }
            found.insert(stored.saga.clone(), records);
        }
        for (saga, known) in &notes.durable {
            let kept = found
                .get(saga)
                .is_some_and(|found| found.starts_with(known));
            assert!(kept, "durable records of {saga} are lost");
        }
        notes.durable = found;
        Ok(sagas)
    }
}

/// What happened, in sum.
#[derive(Debug, Default)]
struct Counted {
    trace: u64,
    sagas: u64,
    starts: u64,
    kills: u64,
    power_losses: u64,
    failed_syncs: u64,
    calls: u64,
    compensations: u64,
    stops: u64,
    completed: u64,
    compensated: u64,
    cancelled: u64,
    late_results: u64,
    signals: u64,
    verbs: u64,
    cut_off: u64,
}

impl Counted {
    fn add(&mut self, other: &Self) {
        self.trace ^= other.trace;
        self.sagas += other.sagas;
        self.starts += other.starts;
        self.kills += other.kills;
        self.power_losses += other.power_losses;
        self.failed_syncs += other.failed_syncs;
        self.calls += other.calls;
        self.compensations += other.compensations;
        self.stops += other.stops;
        self.completed += other.completed;
        self.compensated += other.compensated;
        self.cancelled += other.cancelled;
        self.late_results += other.late_results;
        self.signals += other.signals;
        self.verbs += other.verbs;
        self.cut_off += other.cut_off;
    }
}

/// A saga that was, or may have been, started.
#[derive(Debug)]
struct Begun {
    definition: Definition,
    /// Where the start was acknowledged.
    id: Option<SagaId>,
}

struct History {
    seed: u64,
    chance: Chance,
    disk: SimDisk,
    has_crashes: bool,
    has_power_losses: bool,
    has_failed_syncs: bool,
    has_operators: bool,
    notes: Arc<Mutex<Notes>>,
    begun: Vec<Begun>,
    signals: u64,
    now: Timestamp,
    counted: Counted,
}

/// One life of the process.
struct Life {
    engine: Arc<Embedded>,
    clock: Arc<dyn Clock>,
    sagas: Sagas,
}

impl History {
    fn new(seed: u64) -> Self {
        let mut chance = Chance::new(seed ^ 0x5A6A);
        Self {
            seed,
            disk: SimDisk::new(chance.bits()),
            has_crashes: !chance.one_in(4),
            has_power_losses: chance.one_in(2),
            has_failed_syncs: chance.one_in(3),
            has_operators: chance.one_in(2),
            notes: Arc::default(),
            begun: Vec::new(),
            signals: 0,
            now: Timestamp::from_milliseconds(1_767_225_600_000),
            counted: Counted::default(),
            chance,
        }
    }

    fn live(mut self) -> Counted {
        for _ in 0..1 + self.chance.below(4) {
            self.one_life(false);
        }
        self.one_life(true);
        let notes = lock(&self.notes);
        self.counted.calls = notes.calls;
        self.counted.compensations = notes.compensations;
        self.counted.stops = notes.stops;
        self.counted.trace = self.disk.trace();
        drop(notes);
        self.counted
    }

    /// A process from its start to its end, of whatever kind; its tasks go with it.
    fn one_life(&mut self, is_last: bool) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        let is_clean = runtime.block_on(async {
            let began = tokio::time::Instant::now();
            let is_clean = if is_last {
                self.last().await;
                true
            } else {
                self.act_all().await
            };
            self.now = self.now.after(began.elapsed());
            is_clean
        });
        if !is_clean && !self.disk.is_down() {
            self.disk.crash();
        }
        drop(runtime);
        let crash = match () {
            () if is_clean => Crash::Process,
            () if self.has_power_losses && self.chance.one_in(2) => Crash::Power,
            () => *self.chance.pick(&[Crash::Process, Crash::ProcessAndCache]),
        };
        self.counted.failed_syncs += u64::from(self.disk.has_failed_sync());
        self.counted.kills += u64::from(!is_clean && crash != Crash::Power);
        self.counted.power_losses += u64::from(crash == Crash::Power);
        let mut notes = lock(&self.notes);
        notes.returned.clear();
        notes.is_closing = false;
        let broken = notes.broken.take();
        drop(notes);
        assert_eq!(broken, None);
        self.disk.restart(crash);
    }

    async fn open(&mut self) -> sagabus::Result<Life> {
        self.counted.starts += 1;
        let clock: Arc<dyn Clock> = Arc::new(TestClock::new(self.now, self.chance.bits()));
        let settings = Settings {
            segment_bytes: 65_536,
            retention_bytes: u64::MAX,
            ..Settings::default()
        };
        let engine = Embedded::on(Arc::new(self.disk.clone()), &settings, Arc::clone(&clock))?;
        let engine = Arc::new(engine);
        let store = Watched {
            engine: Arc::clone(&engine),
            notes: Arc::clone(&self.notes),
        };
        let backoff = Backoff {
            first: Duration::from_millis(50),
            max: Duration::from_secs(2),
        };
        let settings = saga::Settings {
            step_timeout: TIMEOUT,
            active_max: 3,
            cleanup_interval: Duration::from_hours(24 * 365),
            step_retry: backoff,
            compensation_retry: backoff,
            compensation_attempts_max: 3,
            abort_grace: TIMEOUT,
            drain_grace: TIMEOUT,
            ..saga::Settings::default()
        };
        let sagas = Sagas::builder(Arc::new(store) as Arc<dyn SagaStore>, Arc::clone(&clock))
            .settings(settings)
            .handlers(self.handlers())
            .open()
            .await?;
        Ok(Life {
            engine,
            clock,
            sagas,
        })
    }

    fn handlers(&self) -> Handlers {
        let (seed, disk, notes) = (self.seed, self.disk.clone(), Arc::clone(&self.notes));
        let step = move |context: StepContext| {
            let (disk, notes) = (disk.clone(), Arc::clone(&notes));
            async move { run(seed, &disk, &notes, &context).await }
        };
        let (disk, notes) = (self.disk.clone(), Arc::clone(&self.notes));
        let compensation = move |context: CompensationContext| {
            let (disk, notes) = (disk.clone(), Arc::clone(&notes));
            async move { take_back(seed, &disk, &notes, &context).await }
        };
        Handlers::new()
            .handle("world", "do", step)
            .compensate("world", "undo", compensation)
    }

    /// A life with faults; whether it ended in good order.
    async fn act_all(&mut self) -> bool {
        if self.has_crashes && self.chance.one_in(3) {
            self.disk.crash_in(self.chance.below(40));
        }
        let life = match self.open().await {
            Ok(life) => life,
            Err(error) => {
                let is_excused = self.disk.is_down() || self.disk.has_failed_sync();
                let is_whole = error.kind() != ErrorKind::Corrupt;
                assert!(is_excused && is_whole, "{}", error.chain());
                return false;
            }
        };
        for _ in 0..self.chance.below(30) {
            self.act(&life.sagas).await;
            if self.disk.is_down() || self.disk.has_failed_sync() {
                return false;
            }
        }
        if self.has_crashes && self.chance.one_in(2) {
            return false;
        }
        lock(&self.notes).is_closing = true;
        life.sagas
            .shutdown(Duration::from_millis(self.chance.below(3_000)))
            .await;
        if self.disk.is_down() || self.disk.has_failed_sync() {
            return false;
        }
        let bus = Bus::builder(life.engine, life.clock).build().unwrap();
        bus.shutdown(Duration::from_secs(1)).await;
        !self.disk.is_down() && !self.disk.has_failed_sync()
    }

    async fn act(&mut self, sagas: &Sagas) {
        match self.chance.below(16) {
            0 if self.has_crashes => self.disk.crash_in(self.chance.below(30)),
            1 if self.has_failed_syncs => self.disk.fail_sync_in(self.chance.below(6)),
            2 if self.has_operators => {
                let in_flight =
                    *self
                        .chance
                        .pick(&[InFlight::Wait, InFlight::Signal, InFlight::Abandon]);
                self.operate(sagas, Action::Cancel { in_flight }).await;
            }
            3 if self.has_operators => self.operate(sagas, Action::Pause).await,
            4 if self.has_operators => self.operate(sagas, Action::Resume).await,
            5 if self.has_operators => self.operate(sagas, Action::Retry { step: None }).await,
            6 | 7 => self.signal(sagas).await,
            8..=12 => {
                let milliseconds = *self.chance.pick(&[1, 10, 100, 1_000, 10_000]);
                tokio::time::sleep(Duration::from_millis(milliseconds)).await;
            }
            _ => self.start(sagas).await,
        }
    }

    async fn start(&mut self, sagas: &Sagas) {
        let is_again = !self.begun.is_empty() && self.chance.one_in(6);
        let number = if is_again {
            self.chance.index(self.begun.len())
        } else {
            let definition = random_definition(&mut self.chance);
            self.begun.push(Begun {
                definition,
                id: None,
            });
            self.begun.len() - 1
        };
        let start = saga::Start::new("{}").keyed(format!("saga-{number}"));
        let answer = sagas.start(&self.begun[number].definition, start).await;
        if self.disk.is_down() {
            // It reaches nobody.
            return;
        }
        match answer {
            Ok(id) => {
                let is_durable = lock(&self.notes).durable.contains_key(id.as_str());
                assert!(is_durable, "{id} is acknowledged before it is durable");
                let before = self.begun[number].id.replace(id.clone());
                assert!(
                    before.is_none_or(|before| before == id),
                    "two sagas with one key"
                );
            }
            Err(error) => assert_eq!(error.kind(), ErrorKind::Closed, "{}", error.chain()),
        }
    }

    /// A saga that was started, of any state.
    fn any(&mut self, sagas: &Sagas) -> Option<SagaId> {
        let active = sagas.active();
        (!active.is_empty()).then(|| self.chance.pick(&active).id.clone())
    }

    async fn operate(&mut self, sagas: &Sagas, action: Action) {
        let Some(id) = self.any(sagas) else { return };
        let by = By::new("operator", "as the seed says");
        let answer = sagas.operate(&id, action.clone(), by).await;
        if self.disk.is_down() || answer.is_err() {
            return;
        }
        self.counted.verbs += 1;
        let notes = lock(&self.notes);
        let verb = match action {
            Action::Cancel { .. } => Verb::Cancel,
            Action::Pause => Verb::Pause,
            Action::Resume => Verb::Resume,
            _ => Verb::Retry,
        };
        let says = |fact: &Fact| match fact {
            Fact::Ended { .. } => true,
            Fact::TurnedBack { .. } => verb == Verb::Cancel,
            Fact::Paused { .. } => verb == Verb::Pause,
            Fact::CompensationResumed => verb == Verb::Retry,
            Fact::Operated { verb: done, .. } => *done == verb,
            _ => false,
        };
        let records = &notes.durable[id.as_str()];
        let is_durable = records.iter().any(|record| says(&record.fact));
        assert!(
            is_durable,
            "{action:?} is acknowledged before it is durable"
        );
    }

    async fn signal(&mut self, sagas: &Sagas) {
        let Some(id) = self.any(sagas) else { return };
        self.signals += 1;
        let key = format!("k{}", self.signals);
        let signal = Signal {
            name: SIGNAL.to_owned(),
            key: Some(key.clone()),
            payload: json!({ "signal": self.signals }).to_string().into(),
            by: By::default(),
            approval: None,
        };
        let answer = sagas.signal(&id, signal).await;
        if self.disk.is_down() || answer.is_err() {
            return;
        }
        self.counted.signals += 1;
        let notes = lock(&self.notes);
        let told = notes.durable[id.as_str()]
            .iter()
            .filter_map(|record| match &record.fact {
                Fact::Signalled { key, .. } => key.clone(),
                _ => None,
            });
        let told: Vec<String> = told.collect();
        assert_eq!(
            told,
            [key],
            "a signal is acknowledged before it is durable, or is the second"
        );
    }

    /// A life without faults that brings everything to its end, and a look at what is left.
    async fn last(&mut self) {
        lock(&self.notes).is_calm = true;
        let life = self
            .open()
            .await
            .unwrap_or_else(|error| panic!("{}", error.chain()));
        self.bring_to_the_end(&life.sagas).await;
        let history = life.sagas.history();
        for begun in &self.begun {
            if let Some(id) = &begun.id {
                let is_there = history.iter().any(|saga| saga.id == *id);
                assert!(is_there, "{id} was acknowledged and is lost");
            }
        }
        let bus = Bus::builder(life.engine, life.clock).build().unwrap();
        let events = bus.read(1, 100_000).await.unwrap().events;
        let ids: BTreeSet<_> = events.iter().map(|(_, event)| event.id.clone()).collect();
        assert_eq!(ids.len(), events.len(), "an event is there twice");
        let notes = lock(&self.notes);
        assert_eq!(notes.broken, None);
        for saga in &history {
            let records = &notes.durable[saga.id.as_str()];
            let laws = sagatest::check_log(&notes.definitions[saga.id.as_str()], records);
            laws.unwrap_or_else(|broken| panic!("{}: {broken} {records:?}", saga.id));
            check_end(&notes, saga);
            let ends = events.iter().filter(|(_, event)| {
                let kind = event.event_type.as_str();
                let is_end = matches!(kind, "saga.completed" | "saga.failed" | "saga.cancelled");
                is_end && event.subject.as_deref() == Some(saga.id.as_str())
            });
            assert_eq!(ends.count(), 1, "{} tells of its end", saga.id);
            self.counted.sagas += 1;
            self.counted.completed += u64::from(saga.status == Status::Completed);
            self.counted.compensated += u64::from(saga.status == Status::Compensated);
            self.counted.cancelled += u64::from(saga.status == Status::Cancelled);
            let log = &notes.durable[saga.id.as_str()];
            let late = |record: &&Record| matches!(record.fact, Fact::LateResult { .. });
            self.counted.late_results += log.iter().filter(late).count() as u64;
            let cut_off = saga.steps.iter().any(|step| step.attempts > 3);
            self.counted.cut_off += u64::from(cut_off);
        }
    }

    async fn bring_to_the_end(&mut self, sagas: &Sagas) {
        for _ in 0..LOOKS_MAX {
            let active = sagas.active();
            if active.is_empty() {
                return;
            }
            for saga in active {
                let by = By::new("operator", "to the end");
                match saga.status {
                    Status::Paused => drop(sagas.resume(&saga.id, by).await),
                    Status::ForwardStuck | Status::CompensationStuck => {
                        drop(sagas.retry_compensation(&saga.id).await);
                    }
                    _ => {}
                }
                self.signals += 1;
                let signal = Signal {
                    name: SIGNAL.to_owned(),
                    key: None,
                    payload: "1".into(),
                    by: By::default(),
                    approval: None,
                };
                drop(sagas.signal(&saga.id, signal).await);
            }
            tokio::time::sleep(LOOK).await;
            if let Some(broken) = lock(&self.notes).broken.take() {
                panic!("{broken}");
            }
        }
        panic!("stuck: {:?}", sagas.active());
    }
}

/// The effects that are left are those of a saga that ended so.
fn check_end(notes: &Notes, saga: &SagaStatus) {
    let log = Log {
        definition: &notes.definitions[saga.id.as_str()],
        records: &notes.durable[saga.id.as_str()],
    };
    let signals = log
        .records
        .iter()
        .filter(|it| matches!(it.fact, Fact::Signalled { .. }));
    assert!(signals.count() <= 1, "{} takes a signal twice", saga.id);
    for (number, step) in log.definition.steps().iter().enumerate() {
        let key = format!("{}/{}", saga.id, step.id);
        let changes = notes.effects.get(&key).map_or(&[][..], Vec::as_slice);
        if step.wait.is_some() || log.is_touched(number) {
            continue;
        }
        let is_there = changes.last() == Some(&Change::Done);
        match saga.status {
            Status::Completed => assert!(
                is_there && !changes.contains(&Change::TakenBack),
                "{key} of a completed saga: {changes:?}"
            ),
            Status::Compensated | Status::Cancelled => assert!(
                !is_there || step.compensation_action.is_none(),
                "{key} of a saga that is taken back: {changes:?}"
            ),
            other => panic!("{} ended as {other}", saga.id),
        }
    }
}

fn random_definition(chance: &mut Chance) -> Definition {
    let count = 1 + chance.index(6);
    let pivot = chance.one_in(4).then(|| chance.index(count));
    let mut steps: Vec<Step> = Vec::new();
    for number in 0..count {
        let mut step = Step::new(format!("s{number}"));
        let is_wait = pivot != Some(number) && chance.one_in(8);
        if is_wait {
            let limit = Duration::from_secs(1 + chance.below(30));
            step = match chance.below(3) {
                0 => step.timer(limit),
                1 => step.signal(SIGNAL),
                _ => {
                    let then = *chance.pick(&[OnTimeout::Fail, OnTimeout::Complete]);
                    step.signal(SIGNAL).waits_at_most(limit, then)
                }
            };
        } else {
            step = step
                .service("world")
                .action("do")
                .retries(u32::try_from(chance.below(4)).unwrap());
            if !chance.one_in(4) {
                step = step.compensated_by("undo");
            }
            if chance.one_in(5) {
                step = step.on_in_doubt(OnInDoubt::Compensate);
            }
        }
        for earlier in 0..number {
            if chance.one_in(3) {
                step = step.after(format!("s{earlier}"));
            }
        }
        steps.push(if pivot == Some(number) {
            step.pivot()
        } else {
            step
        });
    }
    let options = Options {
        compensation: *chance.pick(&[Order::Serial, Order::Serial, Order::Parallel]),
        deadline: chance
            .one_in(8)
            .then(|| Duration::from_secs(1 + chance.below(20))),
        ..Options::default()
    };
    let mut definition = Definition::builder("random").options(options);
    for step in steps {
        definition = definition.step(step);
    }
    definition.build().unwrap()
}

fn position(notes: &Notes, context: &CallContext) -> usize {
    let steps = notes.definitions[context.saga_id().as_str()].steps();
    steps
        .iter()
        .position(|step| step.id == context.step_id())
        .unwrap()
}

fn chance_of(seed: u64, key: &str, attempt: u32) -> Chance {
    let number = key
        .bytes()
        .fold(seed, |sum, byte| sum.rotate_left(7) ^ u64::from(byte));
    Chance::new(number ^ u64::from(attempt) << 32)
}

/// A step's handler: looks at what is durable, and does as the seed says.
async fn run(
    seed: u64,
    disk: &SimDisk,
    notes: &Mutex<Notes>,
    context: &StepContext,
) -> Result<serde_json::Value, StepError> {
    if disk.is_down() {
        // The process is gone already.
        return pending().await;
    }
    let key = format!("{}/{}", context.saga_id(), context.step_id());
    if !lock(notes).durable.contains_key(context.saga_id().as_str()) {
        lock(notes).must(context.saga_id(), false, || {
            format!("{key} is called before its saga is durable")
        });
        return pending().await;
    }
    let (step, is_calm) = {
        let mut notes = lock(notes);
        notes.calls += 1;
        let saga = context.saga_id().as_str();
        let step = position(&notes, context);
        let log = Log {
            definition: &notes.definitions[saga],
            records: &notes.durable[saga],
        };
        let wrong = log.wrong_call(step, context);
        let is_new = notes.called.insert((key.clone(), context.attempt()));
        notes.must(context.saga_id(), is_new, || {
            format!("{key} is called twice with one attempt")
        });
        notes.must(context.saga_id(), wrong.is_none(), || {
            format!("{key} {}", wrong.unwrap_or_default())
        });
        (step, notes.is_calm)
    };
    let effect = || {
        lock(notes)
            .effects
            .entry(key.clone())
            .or_default()
            .push(Change::Done)
    };
    let mut chance = chance_of(seed, &key, context.attempt());
    let what = if is_calm { 15 } else { chance.below(20) };
    let milliseconds = chance.below(900);
    match what {
        0 => return Err(StepError::Reject("never".to_owned())),
        1 | 2 => return Err(StepError::Retry("not yet".to_owned())),
        3 => {
            effect();
            return Err(StepError::InDoubt("no answer".to_owned()));
        }
        4 => {
            effect();
            std::panic::resume_unwind(Box::new("a handler that panics"));
        }
        5 => return pending().await,
        // Deaf, and late.
        6 | 7 => {
            tokio::time::sleep(TIMEOUT + Duration::from_millis(milliseconds)).await;
            if disk.is_down() {
                return pending().await;
            }
            effect();
        }
        8..=10 => {
            let stopped = tokio::select! {
                () = context.cancelled().cancelled() => true,
                () = tokio::time::sleep(Duration::from_millis(2 * milliseconds)) => false,
            };
            if disk.is_down() {
                return pending().await;
            }
            if stopped {
                let has_failed = disk.has_failed_sync();
                let mut notes = lock(notes);
                notes.stops += 1;
                let saga = context.saga_id().as_str();
                let log = Log {
                    definition: &notes.definitions[saga],
                    records: &notes.durable[saga],
                };
                let is_said = log.says_stop(step, context.attempt());
                let is_excused = is_said || notes.is_closing || has_failed;
                notes.must(context.saga_id(), is_excused, || {
                    format!("{key} is told to stop before that is durable")
                });
                return Err(StepError::Reject("stopped without an effect".to_owned()));
            }
            effect();
        }
        11 => {
            effect();
            tokio::time::sleep(Duration::from_millis(milliseconds)).await;
            if disk.is_down() {
                return pending().await;
            }
        }
        _ => effect(),
    }
    lock(notes).returned.insert(key.clone());
    Ok(json!({ "of": key, "attempt": context.attempt() }))
}

/// A compensation's handler.
async fn take_back(
    seed: u64,
    disk: &SimDisk,
    notes: &Mutex<Notes>,
    context: &CompensationContext,
) -> Result<(), StepError> {
    if disk.is_down() {
        return pending().await;
    }
    let key = context.step_key();
    let is_calm = {
        let mut notes = lock(notes);
        notes.compensations += 1;
        let saga = context.saga_id().as_str();
        let step = position(&notes, context);
        let log = Log {
            definition: &notes.definitions[saga],
            records: &notes.durable[saga],
        };
        let wrong = log.wrong_compensation(step, context);
        let is_new = notes.called.insert((context.key(), context.attempt()));
        notes.must(context.saga_id(), is_new, || {
            format!("{} is called twice with one attempt", context.key())
        });
        notes.must(context.saga_id(), wrong.is_none(), || {
            format!("the compensation of {key} {}", wrong.unwrap_or_default())
        });
        let knows = context.step_output().is_some() || !notes.returned.contains(&key);
        notes.must(context.saga_id(), knows, || {
            format!("the compensation of {key} is not given what that returned")
        });
        notes.is_calm
    };
    let mut chance = chance_of(!seed, &key, context.attempt());
    let effect = || {
        lock(notes)
            .effects
            .entry(key.clone())
            .or_default()
            .push(Change::TakenBack)
    };
    match if is_calm { 15 } else { chance.below(16) } {
        0 => Err(StepError::Reject("never".to_owned())),
        1..=3 => Err(StepError::Retry("not yet".to_owned())),
        4 => {
            effect();
            Err(StepError::InDoubt("no answer".to_owned()))
        }
        5 => pending().await,
        6 => {
            tokio::time::sleep(Duration::from_millis(chance.below(900))).await;
            if disk.is_down() {
                return pending().await;
            }
            effect();
            Ok(())
        }
        _ => {
            effect();
            Ok(())
        }
    }
}

fn live(seed: u64) -> Result<Counted, String> {
    let history = std::panic::AssertUnwindSafe(|| History::new(seed).live());
    std::panic::catch_unwind(history).map_err(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        format!("SEED={seed}: {}", text.unwrap_or_default())
    })
}

#[test]
fn sagas_keep_their_promises_in_every_simulated_history() {
    if let Some(seed) = number("SEED") {
        println!("{:#?}", live(seed).unwrap_or_else(|what| panic!("{what}")));
        return;
    }
    let seeds = number("SEEDS").unwrap_or(SEEDS);
    let all = live_all(seeds, live, Counted::add);
    println!("{seeds} histories: {all:#?}");
    assert!(
        all.sagas >= SAGAS_MIN * seeds / SEEDS,
        "{} sagas",
        all.sagas
    );
    for (count, what) in [
        (all.kills, "kills"),
        (all.power_losses, "losses of power"),
        (all.failed_syncs, "failed syncs"),
        (all.compensations, "calls of compensations"),
        (all.stops, "handlers told to stop"),
        (all.completed, "completed sagas"),
        (all.compensated, "compensated sagas"),
        (all.cancelled, "cancelled sagas"),
        (all.late_results, "late results"),
        (all.signals, "signals"),
        (all.verbs, "verbs of operators"),
        (all.cut_off, "sagas with many attempts"),
    ] {
        assert!(count >= seeds / 50, "{count} {what}");
    }
}

#[test]
fn a_seed_lived_twice_is_the_same_history_of_sagas() {
    for seed in 0..SEEDS_TWICE {
        let (first, second) = (live(seed).unwrap(), live(seed).unwrap());
        assert_eq!(first.trace, second.trace, "SEED={seed}");
    }
}

#[test]
fn each_fault_planted_into_sagas_is_found() {
    let mut missed = Vec::new();
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    for bug in SagaBug::ALL {
        SagaBug::plant(Some(bug));
        let found = (0..SEEDS_PER_BUG).find_map(|seed| Some((seed, live(seed).err()?)));
        SagaBug::plant(None);
        match found {
            Some((seed, what)) => println!("{bug:?}: seed {seed}: {:.300}", what),
            None => missed.push(bug),
        }
    }
    std::panic::set_hook(hook);
    assert!(missed.is_empty(), "not found: {missed:?}");
}
