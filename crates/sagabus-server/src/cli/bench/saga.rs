//! Sagas whose handlers do nothing, in memory and durable, beside what the disk and the bare group-commit loop do in the same run.

mod restart;
mod yardstick;

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use sagabus::engines::embedded::{Embedded, Settings};
use sagabus::saga::{self, Definition, Handlers, Step, StepContext, StepError};
use sagabus::saga_store::SagaStore;
use sagabus::transport::Transport;
use sagabus::{Clock, Sagas, SystemClock};
use serde_json::json;
use tokio::runtime::Runtime;

use super::publish::bare_rate;
use super::{Folder, failed, median, rounded};
use crate::cli::print::say;
use crate::cli::{Failure, Output};

pub(super) use self::restart::hold;

/// Rounds; the median counts.
const ROUNDS: usize = 3;
const IN_FLIGHT: usize = 64;
/// What a saga alone may take beside the syncs of its steps.
const OWN: Duration = Duration::from_micros(300);
/// How long the bare loop runs each time.
const BARE_SPAN: Duration = Duration::from_millis(500);

/// One kind of measurement.
struct Kind {
    name: &'static str,
    is_durable: bool,
    in_flight: usize,
    steps: usize,
    sagas: usize,
}

/// What one round of it showed.
struct Round {
    rate: f64,
    /// Median time from the start of a saga to its end.
    p50: Duration,
    processor: Duration,
    durability: &'static str,
}

pub(super) fn run(
    runtime: &Runtime,
    dir: &Path,
    sagas: usize,
    output: Output,
) -> Result<(), Failure> {
    let folder = Folder::new(dir)?;
    let kind = |name, is_durable, in_flight, steps, sagas| Kind {
        name,
        is_durable,
        in_flight,
        steps,
        sagas,
    };
    // One at a time takes a sync of the disk per step: a few are enough.
    let alone = (sagas / 50).max(1);
    let kinds = [
        kind("memory_64", false, IN_FLIGHT, 4, sagas),
        kind(
            "memory_64_ten_steps",
            false,
            IN_FLIGHT,
            10,
            (sagas / 2).max(1),
        ),
        kind("durable_1", true, 1, 4, alone),
        kind("durable_64", true, IN_FLIGHT, 4, sagas),
    ];
    let mut object = serde_json::Map::new();
    let mut lines = Vec::new();
    let (mut quotients, mut syncs) = (Vec::new(), Vec::new());
    let (mut bare_1, mut bare_64) = (Vec::new(), Vec::new());
    for kind in &kinds {
        let mut rounds = Vec::new();
        for _ in 0..ROUNDS {
            if kind.is_durable && kind.in_flight > 1 {
                let bare = |publishers| {
                    let path = folder.fresh("bare")?;
                    runtime.block_on(bare_rate(&path, publishers, BARE_SPAN))
                };
                bare_1.push(bare(1)?);
                bare_64.push(bare(IN_FLIGHT)?);
            }
            let round = measure(runtime, &folder, kind)?;
            if kind.is_durable && kind.in_flight == 1 {
                let sync = yardstick::sync_p50(&folder.fresh("sync")?)?;
                quotients.push(round.p50.saturating_sub(OWN).as_secs_f64() / sync.as_secs_f64());
                syncs.push(sync.as_secs_f64() * 1e6);
            }
            rounds.push(round);
        }
        let middle = |of: fn(&Round) -> f64| median(rounds.iter().map(of).collect());
        let rate = middle(|round| round.rate);
        let p50 = middle(|round| round.p50.as_secs_f64() * 1e6);
        let processor = middle(|round| round.processor.as_secs_f64() * 1e3) / whole(kind.sagas);
        let durability = rounds.first().map_or("", |round| round.durability);
        let name = kind.name;
        object.insert(format!("sagas_per_second_{name}"), json!(rate.round()));
        object.insert(format!("saga_p50_us_{name}"), json!(p50.round()));
        object.insert(
            format!("processor_ms_per_saga_{name}"),
            json!(rounded(processor)),
        );
        object.insert(format!("durability_{name}"), json!(durability));
        lines.push(format!(
            "{name:<20} {rate:>8.0} sagas/s, p50 {p50:>7.0} µs, {processor:.3} ms of processor each, {durability}"
        ));
        if kind.is_durable && kind.in_flight > 1 {
            let (one, many) = (median(bare_1.clone()), median(bare_64.clone()));
            let (of_one, of_many) = (100.0 * rate / one, 100.0 * rate / many);
            object.insert("bare_commits_per_second_1".to_owned(), json!(one.round()));
            object.insert("bare_commits_per_second_64".to_owned(), json!(many.round()));
            object.insert("percent_of_bare_1".to_owned(), json!(rounded(of_one)));
            object.insert("percent_of_bare_64".to_owned(), json!(rounded(of_many)));
            lines.push(format!(
                "{:<20} {of_one:>7.1} % of the bare loop with one writer ({one:.0} commits/s), {of_many:.1} % with 64 ({many:.0})",
                ""
            ));
        }
    }
    let (quotient, sync) = (median(quotients), median(syncs));
    object.insert("sync_p50_us".to_owned(), json!(sync.round()));
    object.insert("durable_1_syncs".to_owned(), json!(rounded(quotient)));
    lines.push(format!(
        "one durable saga alone takes {quotient:.2} syncs of this disk (p50 {sync:.0} µs) and {} µs",
        OWN.as_micros()
    ));
    let restarted = restart::measure(runtime, &folder)?;
    object.insert("restart_active_sagas".to_owned(), json!(restart::SAGAS));
    object.insert(
        "restart_seconds".to_owned(),
        json!(rounded(restarted.as_secs_f64())),
    );
    lines.push(format!(
        "{} active sagas go on {:.3} s after a start that follows a kill",
        restart::SAGAS,
        restarted.as_secs_f64()
    ));
    match output {
        Output::Json => say!("{}", serde_json::Value::Object(object)),
        Output::Text => {
            say!(
                "sagas of four steps (or ten) whose handlers do nothing, {sagas} of them; durable is a sync before each step goes on"
            );
            for line in lines {
                say!("{line}");
            }
        }
    }
    Ok(())
}

fn whole(count: usize) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX))
}

/// Steps in a row.
fn chain(steps: usize) -> Result<Definition, Failure> {
    let mut definition = Definition::builder("bench");
    for number in 0..steps {
        let mut step = Step::new(format!("step_{number}"))
            .service("bench")
            .action("nothing");
        if let Some(before) = number.checked_sub(1) {
            step = step.after(format!("step_{before}"));
        }
        definition = definition.step(step);
    }
    definition
        .build()
        .map_err(|error| Failure::new(error.to_string()))
}

fn measure(runtime: &Runtime, folder: &Folder, kind: &Kind) -> Result<Round, Failure> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let engine = if kind.is_durable {
        Embedded::open(&folder.fresh("sagas")?, &Settings::default(), clock)?
    } else {
        Embedded::in_memory(clock)?
    };
    runtime.block_on(round(Arc::new(engine), kind))
}

async fn round(engine: Arc<Embedded>, kind: &Kind) -> Result<Round, Failure> {
    let nothing = |_: StepContext| std::future::ready(Ok::<(), StepError>(()));
    let handlers = Handlers::new().handle("bench", "nothing", nothing);
    let definition = chain(kind.steps)?;
    let settings = saga::Settings {
        active_max: kind.in_flight,
        ..saga::Settings::default()
    };
    let durability = engine.capabilities().durability.as_str();
    let sagas = Sagas::builder(engine as Arc<dyn SagaStore>, Arc::new(SystemClock))
        .settings(settings)
        .handlers(handlers)
        .open()
        .await?;
    let latencies = Arc::new(Mutex::new(Vec::with_capacity(kind.sagas)));
    let (started, processor) = (SystemClock.elapsed(), yardstick::processor()?);
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..kind.in_flight {
        let share = kind.sagas / kind.in_flight + usize::from(number < kind.sagas % kind.in_flight);
        let (sagas, definition) = (sagas.clone(), definition.clone());
        let latencies = Arc::clone(&latencies);
        tasks.spawn(async move {
            let mut own = Vec::with_capacity(share);
            for _ in 0..share {
                let began = SystemClock.elapsed();
                let id = sagas.start(&definition, saga::Start::new("{}")).await?;
                sagas.wait(&id).await?;
                own.push(SystemClock.elapsed().saturating_sub(began));
            }
            let mut all = latencies.lock().unwrap_or_else(PoisonError::into_inner);
            all.append(&mut own);
            Ok::<(), sagabus::Error>(())
        });
    }
    while let Some(ended) = tasks.join_next().await {
        ended.map_err(failed)??;
    }
    let elapsed = SystemClock.elapsed().saturating_sub(started);
    let processor = yardstick::processor()?.saturating_sub(processor);
    sagas.shutdown(Duration::from_secs(5)).await;
    let mut latencies = latencies.lock().unwrap_or_else(PoisonError::into_inner);
    Ok(Round {
        rate: whole(kind.sagas) / elapsed.as_secs_f64(),
        p50: yardstick::p50(&mut latencies),
        processor,
        durability,
    })
}
