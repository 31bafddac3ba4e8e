//! One history: lives of a process, one after the other, on one disk.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use sagabus::clock::TestClock;
use sagabus::engines::embedded::simulation::{Chance, Crash, SimDisk};
use sagabus::ledger::By;
use sagabus::saga::backoff::Backoff;
use sagabus::saga::record::{Fact, Record, Verb};
use sagabus::saga::{
    self, Action, CompensationContext, Definition, Handlers, InFlight, SagaId, SagaStatus, Signal,
    Status, StepContext,
};
use sagabus::{ErrorKind, Event, Sagas, Timestamp};
use serde_json::json;

use super::counted::Counted;
use super::definition::{random_definition, random_input};
use super::end::check_end;
use super::handlers::{run, take_back};
use super::laws::check_laws;
use super::life::{Birth, Life};
use super::notes::{Notes, lock};
use super::{FAR, LOOK, LOOKS_MAX, OUTERMOST, SIGNAL, TIMEOUT};

/// One in so many histories ends with so many lives in a row that are cut short: more than a step is run again for.
const LOOP_EVERY: u64 = 8;
const LOOP_LIVES: usize = 8;

/// A saga that was, or may have been, started.
#[derive(Debug)]
pub(super) struct Begun {
    definition: Definition,
    input: String,
    /// Where the start was acknowledged.
    id: Option<SagaId>,
}

pub(super) struct History {
    seed: u64,
    chance: Chance,
    disk: SimDisk,
    has_crashes: bool,
    has_power_losses: bool,
    has_failed_syncs: bool,
    has_operators: bool,
    /// Steps are done elsewhere.
    pub(super) has_far: bool,
    notes: Arc<Mutex<Notes>>,
    begun: Vec<Begun>,
    signals: u64,
    now: Timestamp,
    counted: Counted,
    /// How all sagas stood at the end.
    told: Vec<String>,
}

/// What a life is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Course {
    /// To be cut short.
    Faulty,
    /// To be cut short before anything new is done.
    CutShort,
    /// To bring everything to its end.
    Last,
    /// To look whether the records say what the life before said.
    Again,
}

impl History {
    pub(super) fn new(seed: u64) -> Self {
        let mut chance = Chance::new(seed ^ 0x5A6A);
        Self {
            seed,
            disk: SimDisk::new(chance.bits()),
            has_crashes: !chance.one_in(4),
            has_power_losses: chance.one_in(2),
            has_failed_syncs: chance.one_in(3),
            has_operators: chance.one_in(2),
            has_far: !seed.is_multiple_of(4),
            notes: Arc::default(),
            begun: Vec::new(),
            signals: 0,
            now: Timestamp::from_milliseconds(1_767_225_600_000),
            counted: Counted::default(),
            chance,
            told: Vec::new(),
        }
    }

    pub(super) fn live(mut self) -> Counted {
        for _ in 0..1 + self.chance.below(4) {
            self.one_life(Course::Faulty);
        }
        if self.has_crashes && self.seed.is_multiple_of(LOOP_EVERY) {
            lock(&self.notes).is_cut_short = true;
            for _ in 0..LOOP_LIVES {
                self.one_life(Course::CutShort);
            }
            lock(&self.notes).is_cut_short = false;
        }
        self.one_life(Course::Last);
        self.one_life(Course::Again);
        let notes = lock(&self.notes);
        self.counted.calls = notes.calls;
        self.counted.far = notes.far;
        self.counted.compensations = notes.compensations;
        self.counted.stops = notes.stops;
        self.counted.trace = self.disk.trace();
        drop(notes);
        self.counted
    }

    /// A process from its start to its end, of whatever kind; its tasks go with it.
    fn one_life(&mut self, course: Course) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        let is_clean = runtime.block_on(async {
            let began = tokio::time::Instant::now();
            let is_clean = match course {
                Course::Faulty => self.act_all().await,
                Course::CutShort => {
                    self.begin_only().await;
                    false
                }
                Course::Last => {
                    self.last().await;
                    true
                }
                Course::Again => {
                    self.look_again().await;
                    true
                }
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
        notes.called_far.clear();
        notes.is_closing = false;
        let broken = notes.broken.take();
        drop(notes);
        assert_eq!(broken, None);
        self.disk.restart(crash);
    }

    async fn open(&mut self) -> sagabus::Result<Life> {
        self.counted.starts += 1;
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
            // Longer than a service elsewhere goes on that is told to stop.
            drain_grace: Duration::from_secs(6),
            ..saga::Settings::default()
        };
        let birth = Birth {
            disk: &self.disk,
            notes: &self.notes,
            clock: Arc::new(TestClock::new(self.now, self.chance.bits())),
            settings,
            here: self.handlers("world"),
            far: self.has_far.then(|| self.handlers(FAR)),
            cut: None,
        };
        birth.open().await
    }

    /// What a service does.
    fn handlers(&self, service: &str) -> Handlers {
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
            .handle(service, "do", step)
            .compensate(service, "undo", compensation)
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
        life.bus.shutdown(Duration::from_secs(1)).await;
        !self.disk.is_down() && !self.disk.has_failed_sync()
    }

    /// A life that goes on with what there is, and not for long.
    async fn begin_only(&mut self) {
        let life = self.open().await;
        let _life = life.unwrap_or_else(|error| panic!("{}", error.chain()));
        let milliseconds = *self.chance.pick(&[1, 10, 50]);
        tokio::time::sleep(Duration::from_millis(milliseconds)).await;
    }

    async fn act(&mut self, sagas: &Sagas) {
        match self.chance.below(16) {
            0 if self.has_crashes => self.disk.crash_in(self.chance.below(30)),
            1 if self.has_failed_syncs => self.disk.fail_sync_in(self.chance.below(6)),
            2 if self.has_operators => {
                let ways = [InFlight::Wait, InFlight::Signal, InFlight::Abandon];
                // Nobody here can drop what a service elsewhere does.
                let ways = if self.has_far { &ways[..2] } else { &ways[..] };
                let in_flight = *self.chance.pick(ways);
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
            let depth = *self.chance.pick(&[0, 1, 1, 1, 2]);
            let definition = random_definition(OUTERMOST, (depth, self.has_far), &mut self.chance);
            let input = random_input(&mut self.chance);
            self.begun.push(Begun {
                definition,
                input,
                id: None,
            });
            self.begun.len() - 1
        };
        let start =
            saga::Start::new(self.begun[number].input.clone()).keyed(format!("saga-{number}"));
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
        let events = life.bus.read(1, 100_000).await.unwrap().events;
        let ids: BTreeSet<_> = events.iter().map(|(_, event)| event.id.clone()).collect();
        assert_eq!(ids.len(), events.len(), "an event is there twice");
        self.look_at_all(&history, &events);
        self.told = told(&life.sagas);
        lock(&self.notes).is_closing = true;
        life.close().await;
    }

    /// Looks at what is left of each saga, and counts it.
    fn look_at_all(&mut self, history: &[SagaStatus], events: &[(u64, Arc<Event>)]) {
        let notes = lock(&self.notes);
        assert_eq!(notes.broken, None);
        for saga in history {
            let records = &notes.durable[saga.id.as_str()];
            check_laws(&saga.id, &notes.definitions[saga.id.as_str()], records);
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
            self.counted.children += u64::from(notes.children.contains_key(saga.id.as_str()));
            let units = notes.log(saga.id.as_str()).units();
            self.counted.items += units.iter().filter(|it| it.item.is_some()).count() as u64;
            let cut_off = saga.steps.iter().any(|step| step.attempts > 3);
            self.counted.cut_off += u64::from(cut_off);
        }
    }

    /// The state of each saga is what follows from its records.
    async fn look_again(&mut self) {
        let life = self.open().await;
        let life = life.unwrap_or_else(|error| panic!("{}", error.chain()));
        assert_eq!(
            told(&life.sagas),
            self.told,
            "another state after a restart"
        );
        lock(&self.notes).is_closing = true;
        life.close().await;
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

/// How all sagas that are over stand.
pub(super) fn told(sagas: &Sagas) -> Vec<String> {
    let mut told: Vec<String> = sagas.history().iter().map(|it| format!("{it:?}")).collect();
    told.sort_unstable();
    told
}
