//! The process ends at every append, and at everything that it does to its disk, in every kind of saga, once and twice.
//!
//! Whatever was cut off, each saga ends, or is stuck, as it is without a crash, and nothing is done more often than once for each time
//! that it was cut off while it was done.

mod kinds;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use sagabus::clock::TestClock;
use sagabus::engines::embedded::simulation::{Crash, SagaBug, SimDisk};
use sagabus::ledger::By;
use sagabus::saga::backoff::Backoff;
use sagabus::saga::{
    self, CompensationContext, Handlers, SagaId, SagaStatus, Signal, Status, StepContext, StepError,
};
use sagabus::{ErrorKind, Sagas, Timestamp};
use serde_json::json;

use self::kinds::{Act, KINDS, Kind, Then};
use super::end::check_end;
use super::handlers::{called, called_back, done};
use super::history::told;
use super::laws::check_laws;
use super::life::{Birth, Life};
use super::notes::{Change, Notes, lock};
use super::store::{Cut, When};
use super::{FAR, SIGNAL};

/// What all sagas here are given.
const INPUT: &str = r#"{"sampleId":"S-1","items":[10,20,30]}"#;
/// How often, and how many times, a life looks whether all sagas are over.
const LOOK: Duration = Duration::from_millis(100);
const LOOKS_MAX: usize = 10_000;
/// Of the pairs of crashes, an ordinary run has each that has this number.
const SAMPLE: usize = 61;

/// Where the process ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    /// At an append of sagas.
    Append(usize, When),
    /// At something that it does to its disk, and what the crash takes along.
    Operation(u64, Crash),
}

/// How often each step was done and taken back, over all sagas.
type Counts = BTreeMap<(String, bool), usize>;

/// What came of a kind of saga.
#[derive(Debug, PartialEq, Eq)]
struct Outcome {
    /// How each saga ended, by the name of its definition.
    ends: Vec<(String, Status)>,
    counts: Counts,
}

struct Sweep<'a> {
    kind: &'a Kind,
    disk: SimDisk,
    notes: Arc<Mutex<Notes>>,
    /// How often each action was called.
    calls: Arc<Mutex<BTreeMap<String, usize>>>,
    now: Timestamp,
    /// Lives so far. Each draws other ids.
    lives: AtomicU64,
    /// The sagas whose start was acknowledged.
    begun: Vec<Option<SagaId>>,
}

impl<'a> Sweep<'a> {
    fn new(kind: &'a Kind, seed: u64) -> Self {
        Self {
            kind,
            disk: SimDisk::new(seed),
            notes: Arc::default(),
            calls: Arc::default(),
            now: Timestamp::from_milliseconds(1_767_225_600_000),
            lives: AtomicU64::new(0),
            begun: vec![None; kind.sagas],
        }
    }

    /// A process until its sagas are over or stuck, or until it ends before. Whether it did.
    fn live(&mut self, fault: Option<Fault>) -> bool {
        let (cut, crash) = match fault {
            None => (None, Crash::Process),
            Some(Fault::Append(at, when)) => {
                let cut = Cut {
                    disk: self.disk.clone(),
                    left: AtomicUsize::new(at),
                    when,
                };
                (Some(cut), Crash::Process)
            }
            Some(Fault::Operation(at, crash)) => {
                self.disk.crash_in(at);
                (None, crash)
            }
        };
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(async {
            let began = tokio::time::Instant::now();
            match self.birth(cut).open().await {
                Ok(life) => self.drive(&life.sagas).await,
                Err(error) => assert!(self.disk.is_down(), "{}", error.chain()),
            }
            self.now = self.now.after(began.elapsed());
        });
        let has_crashed = self.disk.is_down();
        drop(runtime);
        let mut notes = lock(&self.notes);
        notes.returned.clear();
        notes.called_far.clear();
        assert_eq!(notes.broken, None);
        drop(notes);
        self.disk
            .restart(if has_crashed { crash } else { Crash::Process });
        has_crashed
    }

    fn birth(&self, cut: Option<Cut>) -> Birth<'_> {
        let backoff = Backoff {
            first: Duration::from_millis(50),
            max: Duration::from_secs(2),
        };
        let settings = saga::Settings {
            step_timeout: Duration::from_secs(60),
            active_max: self.kind.active_max,
            cleanup_interval: Duration::from_hours(24 * 365),
            step_retry: backoff,
            compensation_retry: backoff,
            compensation_attempts_max: 3,
            ..saga::Settings::default()
        };
        Birth {
            disk: &self.disk,
            notes: &self.notes,
            clock: Arc::new(TestClock::new(
                self.now,
                self.lives.fetch_add(1, Ordering::Relaxed),
            )),
            settings,
            here: self.handlers("world"),
            far: Some(self.handlers(FAR)),
            cut,
        }
    }

    fn handlers(&self, service: &str) -> Handlers {
        let acts = self.kind.acts;
        let (disk, notes) = (self.disk.clone(), Arc::clone(&self.notes));
        let calls = Arc::clone(&self.calls);
        let step = move |context: StepContext| {
            let (disk, notes, calls) = (disk.clone(), Arc::clone(&notes), Arc::clone(&calls));
            async move {
                let called = called(&disk, &notes, &context).await;
                let act = act_of(acts, &calls, context.step_id());
                let cancelled = context.cancelled();
                let effect = || done(&notes, &called.key);
                act.play(&disk, cancelled, effect).await?;
                Ok::<_, StepError>(json!({ "of": called.key, "attempt": context.attempt() }))
            }
        };
        let (disk, notes) = (self.disk.clone(), Arc::clone(&self.notes));
        let calls = Arc::clone(&self.calls);
        let compensation = move |context: CompensationContext| {
            let (disk, notes, calls) = (disk.clone(), Arc::clone(&notes), Arc::clone(&calls));
            async move {
                called_back(&disk, &notes, &context).await;
                let act = act_of(acts, &calls, &format!("undo_{}", context.step_id()));
                let effect =
                    || lock(&notes).take_back(context.saga_id().as_str(), context.step_id());
                act.play(&disk, context.cancelled(), effect).await
            }
        };
        Handlers::new()
            .handle(service, "do", step)
            .compensate(service, "undo", compensation)
    }

    /// What those do who have the sagas done: they ask until they are answered.
    async fn drive(&mut self, sagas: &Sagas) {
        for number in 0..self.kind.sagas {
            let start = saga::Start::new(INPUT).keyed(format!("saga-{number}"));
            let answer = sagas.start(&(self.kind.definition)(), start).await;
            if self.disk.is_down() {
                return;
            }
            let id = answer.unwrap_or_else(|error| panic!("{}", error.chain()));
            let before = self.begun[number].replace(id.clone());
            assert!(
                before.is_none_or(|before| before == id),
                "two sagas with one key, or one that was acknowledged is lost"
            );
        }
        let mut is_told = self.kind.then.is_none();
        for _ in 0..LOOKS_MAX {
            tokio::time::sleep(LOOK).await;
            if self.disk.is_down() || is_over(sagas) {
                return;
            }
            if !is_told {
                is_told = self.tell(sagas).await;
            }
        }
        panic!("stuck: {:?}", sagas.active());
    }

    /// Does what somebody does from outside; whether it was taken.
    async fn tell(&self, sagas: &Sagas) -> bool {
        let id = self.begun[0].as_ref().unwrap();
        let by = By::new("ann", "as the kind says");
        let answer = match self.kind.then {
            None => return true,
            Some(Then::Cancel) => sagas.cancel(id, "changed my mind").await.map(drop),
            Some(Then::Signal) => {
                let signal = Signal {
                    name: SIGNAL.to_owned(),
                    key: Some("1".to_owned()),
                    payload: "1".into(),
                    by,
                    approval: None,
                };
                sagas.signal(id, signal).await.map(drop)
            }
            Some(Then::Approve) => {
                let yes = saga::Approval {
                    approved: true,
                    role: "lead".to_owned(),
                };
                sagas.approve(id, "w", yes, by).await.map(drop)
            }
        };
        match answer {
            Ok(()) => true,
            // It was taken in a life before this one, or nobody is asked yet.
            Err(error) => {
                let is_known = matches!(error.kind(), ErrorKind::Conflict | ErrorKind::Closed);
                assert!(is_known, "{}", error.chain());
                false
            }
        }
    }

    /// What came of it, once everything that is to hold has been looked at.
    fn outcome(&mut self) -> Outcome {
        let mut all = Vec::new();
        let mut told_before = Vec::new();
        // Twice, so that what the records say is what the process said.
        for _ in 0..2 {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_time()
                .start_paused(true)
                .build()
                .unwrap();
            let events = runtime.block_on(async {
                let Life { bus, sagas } = self.birth(None).open().await.unwrap();
                while !is_over(&sagas) {
                    tokio::time::sleep(LOOK).await;
                }
                all = sagas.history();
                all.extend(sagas.active());
                let told = told(&sagas);
                if told_before.is_empty() {
                    told_before = told;
                } else {
                    assert_eq!(told_before, told, "another state after a restart");
                }
                bus.read(1, 100_000).await.unwrap().events
            });
            drop(runtime);
            self.disk.restart(Crash::Process);
            let notes = lock(&self.notes);
            assert_eq!(notes.broken, None);
            for saga in &all {
                let records = &notes.durable[saga.id.as_str()];
                check_laws(&saga.id, &notes.definitions[saga.id.as_str()], records);
                let is_end = |event: &sagabus::Event| {
                    let kind = event.event_type.as_str();
                    let is_end =
                        matches!(kind, "saga.completed" | "saga.failed" | "saga.cancelled");
                    is_end && event.subject.as_deref() == Some(saga.id.as_str())
                };
                let ends = events.iter().filter(|(_, event)| is_end(event)).count();
                let is_final = saga.status.is_final();
                assert_eq!(ends, usize::from(is_final), "{} tells its end", saga.id);
                if is_final {
                    check_end(&notes, saga);
                }
            }
        }
        let mut ends: Vec<(String, Status)> =
            all.iter().map(|it| (it.name.clone(), it.status)).collect();
        ends.sort_by_key(|(name, status)| (name.clone(), status.to_string()));
        Outcome {
            ends,
            counts: self.counts(),
        }
    }

    fn counts(&self) -> Counts {
        let mut counts = Counts::new();
        for (key, changes) in &lock(&self.notes).effects {
            let (_, step) = key.split_once('/').unwrap();
            for change in changes {
                let is_back = *change == Change::TakenBack;
                *counts.entry((step.to_owned(), is_back)).or_default() += 1;
            }
        }
        counts
    }

    /// The outcome of lives that end so; how many of the faults came.
    fn through(kind: &'a Kind, faults: &[Fault]) -> (Outcome, usize) {
        let seed = faults.iter().fold(0, |sum, fault| match fault {
            Fault::Append(at, when) => sum * 1_000 + *at as u64 * 3 + *when as u64,
            Fault::Operation(at, crash) => sum * 1_000 + *at * 3 + *crash as u64,
        });
        let mut sweep = Self::new(kind, seed);
        let lives = faults.iter().take_while(|fault| sweep.live(Some(**fault)));
        let came = lives.count();
        sweep.live(None);
        (sweep.outcome(), came)
    }
}

/// Whether all sagas are over, or stuck.
fn is_over(sagas: &Sagas) -> bool {
    let is_stuck = |saga: &SagaStatus| {
        let stuck = [Status::ForwardStuck, Status::CompensationStuck];
        stuck.contains(&saga.status)
    };
    sagas.active().iter().all(is_stuck)
}

fn act_of(
    acts: &'static [(&'static str, Act)],
    calls: &Mutex<BTreeMap<String, usize>>,
    action: &str,
) -> Act {
    let mut calls = calls.lock().unwrap();
    let calls = calls.entry(action.to_owned()).or_default();
    *calls += 1;
    let act = acts.iter().find(|(name, _)| *name == action);
    act.map_or(Act::Do, |(_, act)| act.in_call(*calls))
}

/// The lives of a kind, cut short at each of these in turn; how many were.
struct Swept {
    runs: usize,
    repeated: usize,
}

impl Kind {
    /// That what came of it is what comes of it without a crash.
    fn check(&self, calm: &Outcome, faults: &[Fault], outcome: &Outcome) -> usize {
        let name = self.name;
        assert_eq!(outcome.ends, calm.ends, "{name}: {faults:?}");
        let mut again = 0;
        for (what, count) in &outcome.counts {
            let once = calm.counts.get(what).copied().unwrap_or_default();
            assert!(
                *count <= once + faults.len(),
                "{name}: {faults:?}: {what:?} {count} times, and {once} without a crash"
            );
            again += count.saturating_sub(once);
        }
        for (what, once) in &calm.counts {
            let count = outcome.counts.get(what).copied().unwrap_or_default();
            assert!(
                count >= *once,
                "{name}: {faults:?}: {what:?} {count} times, and {once} without a crash"
            );
        }
        // Only what was open is done again.
        assert!(
            again <= faults.len() * self.width,
            "{name}: {faults:?}: {:?}, and {:?} without a crash",
            outcome.counts,
            calm.counts
        );
        again
    }

    fn sweep(&self, fault: impl Fn(usize) -> Vec<Fault>) -> Swept {
        let (calm, _) = Sweep::through(self, &[]);
        assert!(calm.ends.iter().any(|(_, it)| *it == self.end), "{calm:?}");
        let mut swept = Swept {
            runs: 0,
            repeated: 0,
        };
        for at in 0.. {
            let mut came_any = false;
            for fault in fault(at) {
                let (outcome, came) = Sweep::through(self, &[fault]);
                came_any |= came > 0;
                swept.runs += came;
                swept.repeated += self.check(&calm, &[fault], &outcome);
            }
            if !came_any {
                return swept;
            }
        }
        swept
    }
}

/// Faults that a sweep must find; the histories find all.
const FOUND: [SagaBug; 18] = [
    SagaBug::ForwardAfterCrash,
    SagaBug::DependencyNotAwaited,
    SagaBug::OldestFirst,
    SagaBug::FirstStepKept,
    SagaBug::KeyChanges,
    SagaBug::ObeyedBeforeStored,
    SagaBug::ItemKeysShared,
    SagaBug::ListDoneTooEarly,
    SagaBug::ChildStartedAgain,
    SagaBug::RequestForgotten,
    SagaBug::RequestApart,
    SagaBug::EffectlessTakenBack,
    SagaBug::DoubtForgotten,
    SagaBug::TimerLost,
    SagaBug::SlotLeaked,
    SagaBug::AnsweredBeforeStored,
    SagaBug::ItemForgotten,
    SagaBug::ChildFailurePasses,
];

const WHENS: [When; 3] = [When::Before, When::Torn, When::After];

#[test]
fn a_crash_at_any_append_of_any_kind_of_saga_leaves_it_as_it_must_be() {
    let mut runs = 0;
    for kind in &KINDS {
        let swept = kind.sweep(|at| WHENS.map(|when| Fault::Append(at, when)).to_vec());
        println!(
            "{}: {} crashes, {} repeated",
            kind.name, swept.runs, swept.repeated
        );
        assert!(swept.runs >= 9, "{}", kind.name);
        assert!(swept.repeated > 0, "{}", kind.name);
        runs += swept.runs;
    }
    println!("{runs} crashes at appends");
}

#[test]
fn a_crash_at_anything_done_to_the_disk_leaves_any_kind_of_saga_as_it_must_be() {
    let mut runs = 0;
    for kind in &KINDS {
        let crashes = [Crash::Process, Crash::ProcessAndCache, Crash::Power];
        let swept = kind.sweep(|at| {
            let all = crashes.iter().map(|it| Fault::Operation(at as u64, *it));
            all.collect()
        });
        runs += swept.runs;
    }
    println!("{runs} crashes at what is done to the disk");
    assert!(runs >= 1_000);
}

#[test]
fn a_second_crash_changes_nothing_about_that() {
    let is_slow = std::env::var_os("RUN_SLOW").is_some();
    if !is_slow {
        println!("note: one pair of crashes in {SAMPLE}; all with RUN_SLOW=1");
    }
    let next = AtomicUsize::new(0);
    let runs = AtomicUsize::new(0);
    let work = || {
        while let Some(kind) = KINDS.get(next.fetch_add(1, Ordering::Relaxed)) {
            let (calm, _) = Sweep::through(kind, &[]);
            let mut number = 0;
            for first in 0.. {
                let mut came_any = false;
                for second in 0.. {
                    let mut came_both = false;
                    for (one, other) in WHENS.iter().flat_map(|one| WHENS.map(|it| (*one, it))) {
                        number += 1;
                        let is_wanted = is_slow || number % SAMPLE == 0;
                        let faults = [Fault::Append(first, one), Fault::Append(second, other)];
                        // The first pair says whether there is such an append.
                        if !is_wanted && (one, other) != (When::Before, When::Before) {
                            continue;
                        }
                        let (outcome, came) = Sweep::through(kind, &faults);
                        came_any |= came > 0;
                        came_both |= came > 1;
                        kind.check(&calm, &faults, &outcome);
                        runs.fetch_add(usize::from(came > 1), Ordering::Relaxed);
                    }
                    if !came_both {
                        break;
                    }
                }
                if !came_any {
                    break;
                }
            }
        }
    };
    std::thread::scope(|scope| {
        scope.spawn(work);
        work();
    });
    let runs = runs.into_inner();
    println!("{runs} pairs of crashes");
    assert!(runs >= 500, "{runs}");
}

#[test]
fn faults_planted_into_sagas_are_found_by_a_crash_at_each_append() {
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    let mut missed = Vec::new();
    for bug in FOUND {
        SagaBug::plant(Some(bug));
        let finds = |kind: &&Kind| {
            let sweep = || kind.sweep(|at| WHENS.map(|when| Fault::Append(at, when)).to_vec());
            std::panic::catch_unwind(sweep).is_err()
        };
        let found = KINDS.iter().find(finds);
        SagaBug::plant(None);
        println!("{bug:?}: {}", found.map_or("not found", |kind| kind.name));
        if found.is_none() {
            missed.push(bug);
        }
    }
    std::panic::set_hook(hook);
    assert!(missed.is_empty(), "not found: {missed:?}");
}
