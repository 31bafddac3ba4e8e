//! A test bed: scripted handlers that write down what they did, and orchestrators on one disk.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::store::{Disk, Fault, TestStore};
use crate::clock::{Clock, TestClock, Timestamp};
use crate::saga::backoff::Backoff;
use crate::saga::{
    CallContext, Definition, Handlers, SagaStatus, Sagas, Settings, Start, Step, StepError,
};

/// What an attempt does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Act {
    /// Takes effect.
    Do,
    /// Takes effect after so many milliseconds, and stops at once when told to.
    DoAfter(u64),
    /// Takes effect after so many milliseconds, deaf to being told to stop.
    DoAfterDeaf(u64),
    /// Fails without effect, may be tried again.
    Retry,
    /// Fails without an effect, since what it needs cannot be had.
    Unavailable,
    /// Fails without effect, for good.
    Reject,
    /// Takes effect and does not know.
    InDoubt,
    /// Takes effect and panics.
    Panic,
    /// Never ends.
    Hang,
}

/// What the handlers do, and what they have done.
#[derive(Debug, Default)]
pub(super) struct World {
    scripts: Mutex<BTreeMap<String, VecDeque<Act>>>,
    /// Every call, such as `a#1` or `undo_a#1`.
    calls: Mutex<Vec<String>>,
    /// Every effect, such as `a` or `undo_a`, with its time.
    effects: Mutex<Vec<(Duration, String)>>,
    /// What every call was given.
    keys: Mutex<Vec<String>>,
    /// The fencing token of every call.
    fences: Mutex<Vec<u64>>,
}

impl World {
    /// The next attempts of `action` do `acts`; those after them take effect.
    pub(super) fn script(&self, action: &str, acts: &[Act]) {
        let acts = acts.iter().copied().collect();
        self.scripts.lock().unwrap().insert(action.to_owned(), acts);
    }

    pub(super) fn calls(&self) -> Vec<String> {
        self.calls.lock().unwrap().clone()
    }

    pub(super) fn effects(&self) -> Vec<String> {
        let effects = self.effects.lock().unwrap();
        effects.iter().map(|(_, effect)| effect.clone()).collect()
    }

    pub(super) fn keys(&self) -> Vec<String> {
        self.keys.lock().unwrap().clone()
    }

    pub(super) fn fences(&self) -> Vec<u64> {
        self.fences.lock().unwrap().clone()
    }

    pub(super) fn count(&self, effect: &str) -> usize {
        let effects = self.effects();
        effects.iter().filter(|done| *done == effect).count()
    }

    async fn act(&self, action: &str, context: &CallContext) -> Result<(), StepError> {
        let call = format!("{action}#{}", context.attempt());
        self.calls.lock().unwrap().push(call);
        self.fences.lock().unwrap().push(context.fence());
        let act = {
            let mut scripts = self.scripts.lock().unwrap();
            let script = scripts.get_mut(action);
            script.and_then(VecDeque::pop_front).unwrap_or(Act::Do)
        };
        let effect = || {
            let now = context.clock().elapsed();
            self.effects.lock().unwrap().push((now, action.to_owned()));
        };
        match act {
            Act::Do => effect(),
            Act::DoAfter(ms) => {
                tokio::select! {
                    () = context.cancelled().cancelled() => {
                        return Err(StepError::Reject("stopped without effect".to_owned()));
                    }
                    () = tokio::time::sleep(Duration::from_millis(ms)) => effect(),
                }
            }
            Act::DoAfterDeaf(ms) => {
                tokio::time::sleep(Duration::from_millis(ms)).await;
                effect();
            }
            Act::Retry => return Err(StepError::Retry(format!("{action} is busy"))),
            Act::Unavailable => {
                return Err(StepError::Unavailable(format!("{action} has no room")));
            }
            Act::Reject => return Err(StepError::Reject(format!("{action} is refused"))),
            Act::InDoubt => {
                effect();
                return Err(StepError::InDoubt(format!("{action} lost its answer")));
            }
            Act::Panic => {
                effect();
                panic!("{action} broke");
            }
            Act::Hang => std::future::pending().await,
        }
        Ok(())
    }
}

/// Orchestrators on one disk, in one world.
#[derive(Debug)]
pub(super) struct Bed {
    pub(super) disk: Arc<Disk>,
    pub(super) world: Arc<World>,
    pub(super) clock: Arc<TestClock>,
    pub(super) settings: Settings,
}

/// Steps that the bed has handlers for.
const STEPS: [&str; 12] = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l"];

impl Bed {
    pub(super) fn new() -> Self {
        let start: Timestamp = "2026-03-01T12:00:00Z".parse().unwrap();
        Self {
            disk: Arc::default(),
            world: Arc::default(),
            clock: Arc::new(TestClock::new(start, 7)),
            settings: Settings {
                compensation_retry: Backoff {
                    first: Duration::from_millis(100),
                    max: Duration::from_secs(1),
                },
                compensation_attempts_max: 3,
                ..Settings::default()
            },
        }
    }

    pub(super) fn handlers(&self) -> Handlers {
        let mut handlers = Handlers::new();
        for id in STEPS {
            let world = Arc::clone(&self.world);
            handlers = handlers.handle("svc", id, move |context| {
                let world = Arc::clone(&world);
                async move {
                    world.keys.lock().unwrap().push(context.key());
                    world.act(&of_item(id, &context), &context).await?;
                    let mut done = serde_json::json!({"done": id, "attempt": context.attempt()});
                    if context.item().is_some() {
                        done["item"] = context.item_as()?;
                    }
                    Ok(done)
                }
            });
            let world = Arc::clone(&self.world);
            handlers = handlers.compensate("svc", &format!("undo_{id}"), move |context| {
                let world = Arc::clone(&world);
                async move {
                    world.keys.lock().unwrap().push(context.key());
                    let action = of_item(&format!("undo_{id}"), &context);
                    world.act(&action, &context).await
                }
            });
        }
        handlers
    }

    pub(super) async fn open(&self) -> Sagas {
        self.open_on(TestStore::new(&self.disk, None)).await
    }

    pub(super) async fn open_on(&self, store: Arc<TestStore>) -> Sagas {
        let builder = Sagas::builder(store, Arc::clone(&self.clock) as Arc<dyn Clock>);
        let builder = builder.settings(self.settings.clone());
        builder.handlers(self.handlers()).open().await.unwrap()
    }

    /// Runs one saga to its end, or until it is stuck.
    pub(super) async fn run(&self, definition: &Definition) -> SagaStatus {
        let sagas = self.open().await;
        let id = sagas.start(definition, input()).await.unwrap();
        let status = settled(&sagas, &id).await;
        sagas.shutdown(Duration::ZERO).await;
        super::invariants::check(&self.disk);
        status
    }

    /// Runs one saga in a process that ends at the given append; then as often as needed in processes without a fault.
    pub(super) async fn run_through(
        &self,
        definition: &Definition,
        faults: &[(usize, Fault)],
        cancel_after: Option<u64>,
    ) -> SagaStatus {
        for &fault in faults {
            let store = TestStore::new(&self.disk, Some(fault));
            let sagas = self.open_on(Arc::clone(&store)).await;
            tokio::select! {
                () = self.drive(&sagas, definition, cancel_after) => {}
                () = store.crashed.cancelled() => {}
            }
            // Whatever still runs ends with the process.
            sagas.shutdown(Duration::ZERO).await;
        }
        let sagas = self.open().await;
        self.drive(&sagas, definition, cancel_after).await;
        let id = sagas
            .start(definition, input().keyed("once"))
            .await
            .unwrap();
        let status = settled(&sagas, &id).await;
        sagas.shutdown(Duration::ZERO).await;
        super::invariants::check(&self.disk);
        status
    }

    async fn drive(&self, sagas: &Sagas, definition: &Definition, cancel_after: Option<u64>) {
        let Ok(id) = sagas.start(definition, input().keyed("once")).await else {
            return;
        };
        if let Some(ms) = cancel_after {
            tokio::time::sleep(Duration::from_millis(ms)).await;
            let _cancelled = sagas.cancel(&id, "changed my mind").await;
        }
        settled(sagas, &id).await;
    }
}

/// The action with the number of the item that it is done for.
fn of_item(action: &str, context: &CallContext) -> String {
    let item = context.step_id().find('[');
    format!("{action}{}", item.map_or("", |at| &context.step_id()[at..]))
}

pub(super) fn input() -> Start {
    Start::new(r#"{"sampleId":"S-1","secret":"p4ss","items":[10,20,30]}"#)
}

/// Waits until a saga is over or stuck.
pub(super) async fn settled(sagas: &Sagas, id: &crate::saga::SagaId) -> SagaStatus {
    loop {
        let status = sagas.status(id).unwrap();
        let is_stuck = matches!(
            status.status,
            crate::saga::Status::CompensationStuck | crate::saga::Status::ForwardStuck
        );
        if status.status.is_final() || is_stuck {
            return status;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// A step of the bed, with a compensation.
pub(super) fn step(id: &str) -> Step {
    Step::new(id)
        .service("svc")
        .compensated_by(format!("undo_{id}"))
}

/// Steps one after the other.
pub(super) fn chain(ids: &[&str]) -> Definition {
    let mut steps: Vec<Step> = Vec::new();
    for id in ids {
        let next = match steps.last() {
            Some(last) => step(id).after(last.id.clone()),
            None => step(id),
        };
        steps.push(next);
    }
    Definition::from_steps("chain", steps).unwrap()
}

pub(super) fn define(steps: Vec<Step>) -> Definition {
    Definition::from_steps("saga", steps).unwrap()
}

/// The type and step of each event, such as `step_failed b`.
pub(super) fn told(disk: &Disk) -> Vec<String> {
    let events = disk.events();
    let tell = |event: &crate::Event| {
        let data: serde_json::Value = serde_json::from_slice(&event.data).unwrap();
        let name = event.event_type.as_str().trim_start_matches("saga.");
        match data.get("stepId") {
            Some(step) => format!("{name} {}", step.as_str().unwrap()),
            None => name.to_owned(),
        }
    };
    events.iter().map(tell).collect()
}
