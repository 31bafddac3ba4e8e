//! Puts the system together: engine, bus, sagas, the three services, and who listens to whom.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use ai_service::AiService;
use ai_service::pdf::PdfReader;
use audit_service::AuditService;
use sagabus::engines::embedded::Embedded;
use sagabus::schema::{Registry, RegistryBuilder};
use sagabus::sqlite::Outbox;
use sagabus::transport::Transport;
use sagabus::{Bus, Clock, Error, ErrorKind, Sagas, SystemClock, saga};
use sample_service::SampleService;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::config::Config;
use crate::files::Uploads;
use crate::machine::Machine;
use crate::start_room;
use crate::steps::{self, Shipped};

/// The databases of the services.
const SAMPLES: &str = "samples";
const AUDIT: &str = "audit";
const AI: &str = "ai";

fn database(dir: &Path, name: &str) -> PathBuf {
    dir.join(format!("{name}.sqlite"))
}

/// The database of the audit trail in a data directory.
pub(crate) fn audit_database(dir: &Path) -> PathBuf {
    database(dir, AUDIT)
}

/// What to put together.
#[derive(Debug)]
pub(crate) struct Plan {
    /// Where everything is kept.
    pub(crate) data_dir: PathBuf,
    pub(crate) config: Config,
    /// A saga step that is to fail, to show what then happens.
    pub(crate) fail_at: Option<String>,
}

/// The running system.
#[derive(Debug)]
pub(crate) struct System {
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) bus: Bus,
    pub(crate) sagas: Sagas,
    pub(crate) samples: SampleService,
    pub(crate) ai: AiService,
    pub(crate) audit: AuditService,
    pub(crate) machine: Arc<Machine>,
    /// The sagas that can be started by name.
    pub(crate) shipped: Shipped,
    /// Submissions with a key are entered one after the other.
    pub(crate) keyed_intake: tokio::sync::Mutex<()>,
    /// Relays of the outboxes, the watch over dead letters, and submissions of the process before that wait for room.
    pub(crate) relays: TaskTracker,
    pub(crate) stop_relays: CancellationToken,
}

impl System {
    /// Opens everything in the plan's directory and goes on with what was unfinished.
    pub(crate) async fn open(plan: Plan) -> Result<Arc<Self>, Error> {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let dir = &plan.data_dir;
        let engine = Arc::new(Embedded::open(
            dir,
            &plan.config.engine,
            Arc::clone(&clock),
        )?);
        let bus = bus(Arc::clone(&engine) as _, &plan.config, &clock)?;
        start_room::give_up(dir, SAMPLES);
        let samples = SampleService::open(database(dir, SAMPLES), Arc::clone(&clock)).await?;
        start_room::give_up(dir, AUDIT);
        let settings = plan.config.audit.clone();
        let audit = AuditService::open(database(dir, AUDIT), settings, Arc::clone(&clock)).await?;
        start_room::give_up(dir, AI);
        let ai = AiService::open(
            database(dir, AI),
            dir.join("uploads"),
            (reader()?, plan.config.ai.clone()),
            Arc::clone(&clock),
        )
        .await?;
        let samples = samples.with_files(Arc::new(Uploads(ai.clone())));
        if bus.condition().is_ok() {
            for name in [SAMPLES, AUDIT, AI] {
                start_room::keep(dir, name);
            }
        }
        samples.subscribe(&bus).await?;
        audit.subscribe(&bus).await?;
        let shipped = Shipped::new(plan.fail_at.as_deref(), plan.config.decision_time)?;
        let handlers = steps::handlers(&samples, &ai, &audit);
        let limits = &plan.config.saga.service_limits;
        Config::check_service_limits(limits, &handlers.actions())?;
        let sagas = Sagas::builder(engine, Arc::clone(&clock))
            .settings(plan.config.saga)
            .handlers(handlers)
            .open()
            .await?;
        steps::start_for_entries(&sagas, &bus, &shipped.entry).await?;
        steps::start_for_reviewed(&sagas, &bus, &shipped.reviewed).await?;
        steps::qc::start_for_failures(&sagas, &bus, &shipped.decision).await?;
        steps::qc::tell_decisions(&sagas, &bus).await?;
        let system = Arc::new(Self {
            clock,
            bus,
            sagas,
            samples,
            ai,
            audit,
            machine: Arc::default(),
            shipped,
            keyed_intake: tokio::sync::Mutex::new(()),
            relays: TaskTracker::new(),
            stop_relays: CancellationToken::new(),
        });
        system.start_work();
        crate::intake::resume(&system).await?;
        Ok(system)
    }

    /// Starts what goes on until the end: relays, and what looks after trail, jobs, dead letters and machine.
    fn start_work(&self) {
        for outbox in self.outboxes() {
            let publisher = Arc::new(self.bus.clone());
            let relay =
                outbox
                    .clone()
                    .relay(publisher, Arc::clone(&self.clock), self.stop_relays.clone());
            self.relays.spawn(relay);
        }
        let work = self.audit.clone().work(self.stop_relays.clone());
        self.relays.spawn(work);
        let work = self.ai.clone().work(self.stop_relays.clone());
        self.relays.spawn(work);
        let (letters, stop) = (self.bus.letters(), self.stop_relays.clone());
        self.relays
            .spawn(async move { stop.run_until_cancelled(letters.watch()).await });
        let (machine, stop) = (Arc::clone(&self.machine), self.stop_relays.clone());
        self.relays
            .spawn(async move { stop.run_until_cancelled(machine.watch()).await });
    }

    /// The outboxes of the services.
    pub(crate) fn outboxes(&self) -> [&Outbox; 3] {
        [self.samples.outbox(), self.ai.outbox(), self.audit.outbox()]
    }

    /// The outboxes with their services' names.
    pub(crate) fn named_outboxes(&self) -> [(&'static str, &Outbox); 3] {
        let [samples, ai, audit] = self.outboxes();
        [
            ("sample-service", samples),
            ("ai-service", ai),
            ("audit-service", audit),
        ]
    }

    /// Waits, at most `limit`, until no event is on its way: outboxes are empty and subscriptions have nothing to do.
    pub(crate) async fn quiet(&self, limit: Duration) -> bool {
        let all_quiet = async {
            loop {
                let mut pending = 0;
                for outbox in self.outboxes() {
                    pending += outbox.counts().await.map_or(1, |counts| counts.pending);
                }
                // In this order: what leaves an outbox is in the queue before it is out of the box.
                if pending == 0 && self.bus.stats().queue == 0 {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(limit, all_quiet).await.is_ok()
    }

    /// Stops in order: sagas start nothing more, services finish, outboxes empty themselves, the log closes.
    pub(crate) async fn shutdown(&self, deadline: Duration) -> Stopped {
        let unfinished = self.sagas.shutdown(deadline).await;
        self.ai.shutdown(deadline).await;
        let drained = async {
            for outbox in self.outboxes() {
                if outbox.drain().await.is_err() {
                    return;
                }
            }
        };
        // What is left in an outbox goes out at the next start; a log that has stopped itself takes nothing before it.
        let log_has_stopped = self
            .bus
            .condition()
            .is_err_and(|error| error.kind() == ErrorKind::Closed);
        if !log_has_stopped {
            let _in_time = tokio::time::timeout(deadline, drained).await;
        }
        self.stop_relays.cancel();
        self.relays.close();
        self.relays.wait().await;
        let report = self.bus.shutdown(deadline).await;
        for outbox in self.outboxes() {
            if let Err(error) = outbox.database().close().await {
                tracing::warn!(
                    error = error.chain(),
                    "a service's database did not close well"
                );
            }
        }
        Stopped {
            unfinished_sagas: unfinished,
            cut_handlers: report.cut,
        }
    }
}

/// What was not finished when the system stopped; it goes on at the next start.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stopped {
    pub(crate) unfinished_sagas: usize,
    pub(crate) cut_handlers: usize,
}

/// The reader of uploaded PDFs: this program, started as a worker.
pub(crate) fn reader() -> Result<PdfReader, Error> {
    let program = std::env::current_exe().map_err(|error| {
        Error::invalid("cannot find this program's own file, which reads PDFs").with_source(error)
    })?;
    Ok(PdfReader::new(program, vec!["pdf-worker".to_owned()]))
}

fn bus(engine: Arc<dyn Transport>, config: &Config, clock: &Arc<dyn Clock>) -> Result<Bus, Error> {
    Bus::builder(engine, Arc::clone(clock))
        .settings(config.bus.clone())
        .registry(schemas())
        .build()
}

/// Every event type of the program.
pub(crate) fn schemas() -> RegistryBuilder {
    saga::events::register(nanopore::events::register(Registry::builder()))
}

/// A directory for data, as a person gave it.
pub(crate) fn shown(path: &Path) -> String {
    path.display().to_string()
}
