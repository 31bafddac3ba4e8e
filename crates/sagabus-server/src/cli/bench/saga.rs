//! Four-step sagas whose handlers do nothing, in memory and durable.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use sagabus::engines::embedded::{Embedded, Settings};
use sagabus::saga::{self, Definition, Handlers, Step, StepContext, StepError};
use sagabus::saga_store::SagaStore;
use sagabus::{Clock, Sagas, SystemClock};
use serde_json::json;
use tokio::runtime::Runtime;

use super::{Folder, median};
use crate::cli::print::say;
use crate::cli::{Failure, Output};

/// Rounds; the median counts.
const ROUNDS: usize = 3;

pub(super) fn run(
    runtime: &Runtime,
    dir: &Path,
    sagas: usize,
    output: Output,
) -> Result<(), Failure> {
    let folder = Folder::new(dir)?;
    let mut figures = Vec::new();
    // One at a time takes a sync of the disk per step: a few are enough.
    for (name, is_durable, in_flight, sagas) in [
        ("memory_64", false, 64, sagas),
        ("durable_1", true, 1, (sagas / 50).max(1)),
        ("durable_64", true, 64, sagas),
    ] {
        let mut rates = Vec::new();
        for _ in 0..ROUNDS {
            let clock: Arc<dyn Clock> = Arc::new(SystemClock);
            let engine = if is_durable {
                Embedded::open(&folder.fresh("sagas")?, &Settings::default(), clock)?
            } else {
                Embedded::in_memory(clock)?
            };
            rates.push(runtime.block_on(rate(Arc::new(engine), sagas, in_flight))?);
        }
        figures.push((name, median(rates)));
    }
    match output {
        Output::Json => {
            let object: serde_json::Map<_, _> = figures
                .iter()
                .map(|(name, rate)| (format!("sagas_per_second_{name}"), json!(rate.round())))
                .collect();
            say!("{}", serde_json::Value::Object(object));
        }
        Output::Text => {
            say!(
                "four-step sagas, handlers that do nothing, {sagas} sagas; durable is fsync before each step goes on"
            );
            for (name, rate) in figures {
                say!("{name:<12} {rate:>8.0} sagas/s");
            }
        }
    }
    Ok(())
}

async fn rate(engine: Arc<Embedded>, count: usize, in_flight: usize) -> Result<f64, Failure> {
    let mut handlers = Handlers::new();
    let mut definition = Definition::builder("bench");
    let mut before: Option<String> = None;
    for number in 0..4 {
        let id = format!("step_{number}");
        let action = |_: StepContext| std::future::ready(Ok::<(), StepError>(()));
        handlers = handlers.handle("bench", &id, action);
        let mut step = Step::new(id.as_str()).service("bench").action(id.as_str());
        if let Some(before) = before.replace(id) {
            step = step.after(before);
        }
        definition = definition.step(step);
    }
    let definition = definition
        .build()
        .map_err(|error| Failure::new(error.to_string()))?;
    let settings = saga::Settings {
        active_max: in_flight,
        ..saga::Settings::default()
    };
    let sagas = Sagas::builder(
        Arc::clone(&engine) as Arc<dyn SagaStore>,
        Arc::new(SystemClock),
    )
    .settings(settings)
    .handlers(handlers)
    .open()
    .await?;
    let started = SystemClock.elapsed();
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..in_flight {
        let share = count / in_flight + usize::from(number < count % in_flight);
        let (sagas, definition) = (sagas.clone(), definition.clone());
        tasks.spawn(async move {
            for _ in 0..share {
                let id = sagas.start(&definition, saga::Start::new("{}")).await?;
                sagas.wait(&id).await?;
            }
            Ok::<(), sagabus::Error>(())
        });
    }
    while let Some(ended) = tasks.join_next().await {
        ended.map_err(|error| Failure::new(error.to_string()))??;
    }
    let elapsed = SystemClock.elapsed().saturating_sub(started);
    sagas.shutdown(Duration::from_secs(5)).await;
    let count = u32::try_from(count).unwrap_or(u32::MAX);
    Ok(f64::from(count) / elapsed.as_secs_f64())
}
