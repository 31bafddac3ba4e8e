//! Sagas in memory whose steps do nothing, here and in steno, in turns in one run, so that their ratio counts.
//! Both with the allocator of the program (docs/decisions/2026-11-27-allocator-of-the-program.md).
//!
//! `cargo bench -p sagabus --bench steno`; the number of sagas of a round may follow after `--`.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a measurement that cannot go on ends, and prints what it found"
)]

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use sagabus::engines::embedded::Embedded;
use sagabus::saga::{
    self, CompensationContext, Definition, Handlers, Step, StepContext, StepError,
};
use sagabus::{Clock, Sagas, SystemClock};
use steno::{
    Action, ActionContext, ActionError, ActionFunc, ActionRegistry, DagBuilder, InMemorySecStore,
    Node, SagaDag, SagaId, SagaName, SagaType, UndoResult,
};

#[cfg(not(target_env = "msvc"))]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

const ROUNDS: usize = 5;
const IN_FLIGHT: usize = 64;
const SAGAS: usize = 20_000;

fn main() {
    let mut words = std::env::args().skip(1);
    let sagas = words.find_map(|word| word.parse().ok()).unwrap_or(SAGAS);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    println!("{sagas} sagas in memory, {IN_FLIGHT} in flight, median of {ROUNDS} rounds in turns");
    for steps in [4, 10] {
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            ours.push(runtime.block_on(here(steps, sagas)));
            theirs.push(runtime.block_on(there(steps, sagas)));
        }
        let (ours, theirs) = (median(ours), median(theirs));
        println!(
            "{steps:>2} steps in a row: sagabus {ours:>7.0} sagas/s, steno {theirs:>7.0} sagas/s, ratio {:.2}",
            ours / theirs
        );
    }
}

fn median(mut rates: Vec<f64>) -> f64 {
    rates.sort_by(f64::total_cmp);
    rates.get(rates.len() / 2).copied().unwrap_or_default()
}

/// Sagas a second, with `IN_FLIGHT` callers who each start one and wait for its end.
async fn rate<F: Future<Output = ()> + Send>(
    sagas: usize,
    one: impl Fn() -> F + Clone + Send + 'static,
) -> f64 {
    let began = SystemClock.elapsed();
    let mut callers = tokio::task::JoinSet::new();
    let each = sagas.div_ceil(IN_FLIGHT);
    for _ in 0..IN_FLIGHT {
        let one = one.clone();
        callers.spawn(async move {
            for _ in 0..each {
                one().await;
            }
        });
    }
    callers.join_all().await;
    let count = u32::try_from(each * IN_FLIGHT).unwrap();
    f64::from(count) / SystemClock.elapsed().saturating_sub(began).as_secs_f64()
}

async fn here(steps: usize, sagas: usize) -> f64 {
    let handlers = Handlers::new()
        .handle("s", "act", |_: StepContext| {
            std::future::ready(Ok::<(), StepError>(()))
        })
        .compensate("s", "undo", |_: CompensationContext| {
            std::future::ready(Ok::<(), StepError>(()))
        });
    let mut definition = Definition::builder("row");
    for number in 0..steps {
        let mut step = Step::new(format!("step_{number}"))
            .service("s")
            .action("act")
            .compensated_by("undo");
        if number > 0 {
            step = step.after(format!("step_{}", number - 1));
        }
        definition = definition.step(step);
    }
    let definition = Arc::new(definition.build().unwrap());
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let engine = Arc::new(Embedded::in_memory(Arc::clone(&clock)).unwrap());
    let settings = saga::Settings {
        active_max: IN_FLIGHT,
        ..saga::Settings::default()
    };
    let orchestrator = Sagas::builder(engine, clock)
        .settings(settings)
        .handlers(handlers)
        .open()
        .await
        .unwrap();
    let starts = orchestrator.clone();
    let rate = rate(sagas, move || {
        let (sagas, definition) = (starts.clone(), Arc::clone(&definition));
        async move {
            let start = saga::Start::new("{}");
            let id = sagas.start(&definition, start).await.unwrap();
            sagas.wait(&id).await.unwrap();
        }
    })
    .await;
    orchestrator.shutdown(Duration::from_secs(5)).await;
    rate
}

#[derive(Debug)]
struct Row;

impl SagaType for Row {
    type ExecContextType = ();
}

async fn act(_: ActionContext<Row>) -> Result<(), ActionError> {
    Ok(())
}

async fn undo(_: ActionContext<Row>) -> UndoResult {
    Ok(())
}

async fn there(steps: usize, sagas: usize) -> f64 {
    let store = Arc::new(InMemorySecStore::new());
    let client = steno::sec(slog::Logger::root(slog::Discard, slog::o!()), store);
    let action: Arc<dyn Action<Row>> = ActionFunc::new_action("act", act, undo);
    let mut registry = ActionRegistry::new();
    registry.register(Arc::clone(&action));
    let registry = Arc::new(registry);
    let mut graph = DagBuilder::new(SagaName::new("row"));
    for number in 0..steps {
        let name = format!("step_{number}");
        graph.append(Node::action(&name, &name, action.as_ref()));
    }
    let graph = SagaDag::new(graph.build().unwrap(), serde_json::Value::Null);
    let (client, graph) = (Arc::new(client), Arc::new(graph));
    let starts = Arc::clone(&client);
    rate(sagas, move || {
        let (client, graph) = (Arc::clone(&starts), Arc::clone(&graph));
        let registry = Arc::clone(&registry);
        async move {
            let id = SagaId::new_v4();
            let ended = client
                .saga_create(id, Arc::new(()), graph, registry)
                .await
                .unwrap();
            client.saga_start(id).await.unwrap();
            assert!(ended.await.kind.is_ok());
        }
    })
    .await
}
