//! How long sagas that a kill cut off take to go on: a process of its own is killed with all of them active.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use sagabus::engines::embedded::{Embedded, Settings};
use sagabus::saga::{self, Handlers, StepContext, StepError};
use sagabus::saga_store::SagaStore;
use sagabus::{Clock, Sagas, SystemClock};
use tokio::runtime::Runtime;
use tokio::sync::Notify;

use super::{Folder, chain};
use crate::cli::Failure;
use crate::cli::bench::failed;
use crate::cli::print::say;

/// Sagas that are active when the process is killed.
pub(super) const SAGAS: usize = 1_000;
/// What the process says when they are.
const READY: &str = "ready";
/// Its steps: it is killed in the second.
const STEPS: usize = 4;

/// Ends with whoever measures, also when that fails.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        // Dead already, but for a failure before.
        let _killed = self.0.kill();
        let _ended = self.0.wait();
    }
}

/// The time from the opening of the log until each saga's handler is called again.
pub(super) fn measure(runtime: &Runtime, folder: &Folder) -> Result<Duration, Failure> {
    let path = folder.fresh("restart")?;
    let program = std::env::current_exe().map_err(failed)?;
    let child = Command::new(program)
        .args(["bench", "saga-hold", "--dir"])
        .arg(&path)
        .stdout(Stdio::piped())
        .spawn()
        .map_err(failed)?;
    let mut child = Killed(child);
    let mut said = String::new();
    if let Some(out) = child.0.stdout.take() {
        BufReader::new(out).read_line(&mut said).map_err(failed)?;
    }
    if said.trim() != READY {
        return Err(failed("the process to be killed did not get ready"));
    }
    child.0.kill().map_err(failed)?;
    child.0.wait().map_err(failed)?;
    runtime.block_on(async {
        let began = SystemClock.elapsed();
        let (sagas, all) = open(&path).await?;
        all.notified().await;
        let elapsed = SystemClock.elapsed().saturating_sub(began);
        sagas.shutdown(Duration::ZERO).await;
        Ok(elapsed)
    })
}

/// Starts sagas that stop in their second step, says so, and waits to be killed.
pub(in crate::cli::bench) fn hold(runtime: &Runtime, dir: &Path) -> Result<(), Failure> {
    runtime.block_on(async {
        let (sagas, all) = open(dir).await?;
        let definition = chain(STEPS)?;
        let mut tasks = tokio::task::JoinSet::new();
        for _ in 0..SAGAS {
            let (sagas, definition) = (sagas.clone(), definition.clone());
            tasks.spawn(async move { sagas.start(&definition, saga::Start::new("{}")).await });
        }
        while let Some(started) = tasks.join_next().await {
            started.map_err(failed)??;
        }
        all.notified().await;
        say!("{READY}");
        std::future::pending().await
    })
}

/// An orchestrator whose handlers do the first step and stay in the second, and who tells when all are there.
async fn open(dir: &Path) -> Result<(Sagas, Arc<Notify>), Failure> {
    let (all, reached) = (Arc::new(Notify::new()), Arc::new(AtomicUsize::new(0)));
    let told = Arc::clone(&all);
    let handlers = Handlers::new().handle("bench", "nothing", move |context: StepContext| {
        let is_held = context.step_id() != "step_0";
        if is_held && reached.fetch_add(1, Ordering::Relaxed) + 1 == SAGAS {
            told.notify_one();
        }
        async move {
            if is_held {
                std::future::pending::<()>().await;
            }
            Ok::<(), StepError>(())
        }
    });
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let engine = Embedded::open(dir, &Settings::default(), Arc::clone(&clock))?;
    let settings = saga::Settings {
        active_max: SAGAS,
        // Longer than anything here.
        step_timeout: Duration::from_hours(1),
        ..saga::Settings::default()
    };
    let sagas = Sagas::builder(Arc::new(engine) as Arc<dyn SagaStore>, clock)
        .settings(settings)
        .handlers(handlers)
        .open()
        .await?;
    Ok((sagas, all))
}
