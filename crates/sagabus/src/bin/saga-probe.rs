//! A process for tests that is killed: sagas, fifty at a time, whose effects are lines of files and rows of a database.
//!
//! `saga-probe DIRECTORY` starts sagas until it is killed. `saga-probe DIRECTORY end` starts none and brings those that are there
//! to their end. It says `opening`, `open`, `S <number>` for a start that was acknowledged, `C <key>` for a call of a handler,
//! `P <id>` for a saga that was cut off too often and is told to go on, and at the end `Z <number> <status>` for each saga.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use sagabus::engines::embedded::{Embedded, Settings};
use sagabus::ledger::By;
use sagabus::saga::{self, Definition, Handlers, SagaId, Status, StepContext, StepError};
use sagabus::saga_store::SagaStore;
use sagabus::sqlite::{Database, FENCES, TABLES, barrier};
use sagabus::{Clock, Error, Result, Sagas, SystemClock};
use serde::Deserialize;
use serde_json::Value;
use tokio_util::task::TaskTracker;

const IN_FLIGHT: usize = 50;
/// How often a saga that does not end is looked at: it may have been paused.
const LOOK: Duration = Duration::from_millis(200);
/// No unique key: a second effect would be a second row.
const MIGRATIONS: &[&str] = &[
    TABLES,
    FENCES,
    "CREATE TABLE effects (action TEXT NOT NULL, key TEXT NOT NULL) STRICT;",
];
/// One step after the other, so that each saga has one handler in flight.
const DEFINITION: &str = "
name: order
steps:
  - { id: reserve, service: probe, action: reserve, compensationAction: undo_reserve }
  - { id: charge, service: probe, action: charge, compensationAction: undo_charge, dependencies: [reserve] }
  - { id: ship, service: probe, action: ship, compensationAction: undo_ship, dependencies: [charge] }
";
const STEPS: [&str; 3] = ["reserve", "charge", "ship"];
const COMPENSATIONS: [&str; 3] = ["undo_reserve", "undo_charge", "undo_ship"];

#[derive(Deserialize)]
struct Input {
    number: u64,
}

/// Where effects go.
#[derive(Clone)]
struct World {
    directory: PathBuf,
    database: Database,
}

impl World {
    /// A file that is only ever appended to, for the effects of one handler.
    fn file(&self, action: &str) -> Result<Arc<File>> {
        let path = self.directory.join(format!("{action}.txt"));
        let file = OpenOptions::new().append(true).create(true).open(path);
        let failed = |error| Error::invalid("no file for effects").with_source(error);
        Ok(Arc::new(file.map_err(failed)?))
    }

    fn handlers(&self) -> Result<Handlers> {
        let mut handlers = Handlers::new();
        for action in STEPS {
            let (world, file) = (self.clone(), self.file(action)?);
            handlers = handlers.handle("probe", action, move |context: StepContext| {
                let (world, file) = (world.clone(), Arc::clone(&file));
                async move {
                    say(&format!("C {}", context.key()));
                    let Input { number } = context.input_as()?;
                    if action == "ship" && number.is_multiple_of(3) {
                        return Err(StepError::Reject("it does not fit".to_owned()));
                    }
                    append(&file, &context.key())?;
                    world.step(action, &context).await?;
                    Ok(())
                }
            });
        }
        for action in COMPENSATIONS {
            let (world, file) = (self.clone(), self.file(action)?);
            handlers = handlers.compensate("probe", action, move |context| {
                let (world, file) = (world.clone(), Arc::clone(&file));
                async move {
                    say(&format!("C {}", context.key()));
                    append(&file, &context.key())?;
                    let (call, key) = (barrier::Call::from(&context), context.key());
                    let taken_back = world.database.call(move |tx| {
                        barrier::compensation(tx, call, |output: Option<Value>| {
                            if output.is_some() {
                                tx.execute("INSERT INTO effects VALUES (?1, ?2)", (action, key))?;
                            }
                            Ok(())
                        })
                    });
                    Ok(taken_back.await?)
                }
            });
        }
        Ok(handlers)
    }

    async fn step(&self, action: &'static str, context: &StepContext) -> Result<Value> {
        let (call, key) = (barrier::Call::from(context), context.key());
        let done = self.database.call(move |tx| {
            barrier::step(tx, call, || {
                tx.execute("INSERT INTO effects VALUES (?1, ?2)", (action, key))?;
                Ok(Value::Null)
            })
        });
        done.await
    }
}

fn append(mut file: &File, key: &str) -> Result<()> {
    // One write: a kill leaves the whole line or none.
    let written = file.write_all(format!("{key}\n").as_bytes());
    written.map_err(|error| Error::invalid("effect cannot be written").with_source(error))
}

/// What is still to be brought to its end, and the number of the next saga.
struct Work {
    found: Mutex<Vec<SagaId>>,
    next: AtomicU64,
    starts: bool,
    definition: Definition,
}

#[tokio::main]
async fn main() -> Result<()> {
    let mut arguments = std::env::args_os().skip(1);
    let usage = || Error::invalid("say `saga-probe DIRECTORY [end]`");
    let directory: PathBuf = arguments.next().ok_or_else(usage)?.into();
    let starts = arguments.next().is_none();
    say("opening");
    let database = Database::open(directory.join("effects.db"), MIGRATIONS).await?;
    let world = World {
        directory: directory.clone(),
        database,
    };
    let sagas = open(&directory, world.handlers()?).await?;
    say("open");
    let numbers = sagas.active().into_iter().chain(sagas.history());
    let numbers = numbers.map(|saga| number(&saga.input));
    let next = numbers.max().map_or(0, |number| number + 1);
    let work = Work {
        found: Mutex::new(sagas.active().into_iter().map(|saga| saga.id).collect()),
        next: AtomicU64::new(next),
        starts,
        definition: Definition::from_yaml(DEFINITION)
            .map_err(|error| Error::invalid(error.to_string()))?,
    };
    let work = Arc::new(work);
    let tasks = TaskTracker::new();
    for _ in 0..IN_FLIGHT {
        let (work, sagas) = (Arc::clone(&work), sagas.clone());
        tasks.spawn(async move {
            if let Err(error) = work_on(&work, &sagas).await {
                say(&format!("E {}", error.chain()));
            }
        });
    }
    tasks.close();
    tasks.wait().await;
    for saga in sagas.active().into_iter().chain(sagas.history()) {
        say(&format!("Z {} {}", number(&saga.input), saga.status));
    }
    sagas.shutdown(Duration::from_secs(5)).await;
    world.database.close().await
}

async fn open(directory: &Path, handlers: Handlers) -> Result<Sagas> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let engine = Embedded::open(
        &directory.join("log"),
        &Settings::default(),
        Arc::clone(&clock),
    )?;
    let settings = saga::Settings {
        active_max: IN_FLIGHT,
        finished_max: usize::MAX,
        // All stay in memory, to be told of at the end.
        cleanup_interval: Duration::from_hours(24),
        ..saga::Settings::default()
    };
    Sagas::builder(Arc::new(engine) as Arc<dyn SagaStore>, clock)
        .settings(settings)
        .handlers(handlers)
        .open()
        .await
}

/// Brings one saga after the other to its end: first those that were found, then new ones.
async fn work_on(work: &Work, sagas: &Sagas) -> Result<()> {
    loop {
        let found = {
            let mut found = work.found.lock().unwrap_or_else(PoisonError::into_inner);
            found.pop()
        };
        let id = match found {
            Some(id) => id,
            None if work.starts => {
                let number = work.next.fetch_add(1, Ordering::Relaxed);
                let start = saga::Start::new(format!(r#"{{"number":{number}}}"#));
                let start = start.keyed(format!("order-{number}"));
                let id = sagas.start(&work.definition, start).await?;
                say(&format!("S {number}"));
                id
            }
            None => return Ok(()),
        };
        while tokio::time::timeout(LOOK, sagas.wait(&id)).await.is_err() {
            if sagas.status(&id)?.status == Status::Paused {
                say(&format!("P {id}"));
                sagas.resume(&id, By::new("probe", "it goes on")).await?;
            }
        }
    }
}

fn number(input: &[u8]) -> u64 {
    serde_json::from_slice::<Input>(input).map_or(0, |input| input.number)
}

fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    // Whoever reads may be gone.
    let _said = writeln!(out, "{line}");
}
