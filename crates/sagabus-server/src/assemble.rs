//! Puts the system together: engine, bus, sagas, the services, and who listens to whom.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use ai_service::pdf::PdfReader;
use sagabus::engines::embedded::Embedded;
use sagabus::schema::{Registry, RegistryBuilder};
use sagabus::sqlite::Outbox;
use sagabus::transport::Transport;
use sagabus::{Bus, Clock, Error, ErrorKind, Sagas, SystemClock, saga};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::config::Config;
use crate::machine::Machine;
use crate::services::{Served, Services};
use crate::steps::{self, Shipped};

/// What to put together.
#[derive(Debug)]
pub(crate) struct Plan {
    /// Where everything is kept.
    pub(crate) data_dir: PathBuf,
    pub(crate) config: Config,
    /// Which services are opened. The bus is always there.
    pub(crate) served: Served,
    /// A saga step that is to fail, to show what then happens.
    pub(crate) fail_at: Option<String>,
}

/// The running system.
#[derive(Debug)]
pub(crate) struct System {
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) bus: Bus,
    pub(crate) sagas: Sagas,
    pub(crate) services: Services,
    pub(crate) machine: Arc<Machine>,
    /// The sagas that can be started by name.
    pub(crate) shipped: Shipped,
    /// Most streams of events at one time.
    pub(crate) streams_max: usize,
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
        let (dir, config) = (&plan.data_dir, plan.config);
        let shipped = Shipped::new(plan.fail_at.as_deref(), config.decision_time, &plan.served)?;
        // Before anything is made.
        config.check_listeners(plan.served.subscriptions() + shipped.listeners())?;
        let engine = Arc::new(Embedded::open(dir, &config.engine, Arc::clone(&clock))?);
        let bus = bus(Arc::clone(&engine) as _, &config, &clock)?;
        let services = Services::open(plan.served, dir, &config, &clock).await?;
        if bus.condition().is_ok() {
            services.keep_room(dir);
        }
        services.subscribe(&bus).await?;
        let handlers = steps::handlers(&services);
        let limits = services.served().limits_of(&config.saga.service_limits);
        Config::check_service_limits(&limits, &handlers.actions())?;
        let sagas = Sagas::builder(engine, Arc::clone(&clock))
            .settings(config.saga)
            .handlers(handlers)
            .open()
            .await?;
        shipped.listen(&sagas, &bus).await?;
        shipped.tell_what_is_left_out();
        let system = Arc::new(Self {
            clock,
            bus,
            sagas,
            services,
            machine: Arc::default(),
            shipped,
            streams_max: config.streams_max,
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
        self.services.start_work(&self.relays, &self.stop_relays);
        let (letters, stop) = (self.bus.letters(), self.stop_relays.clone());
        self.relays
            .spawn(async move { stop.run_until_cancelled(letters.watch()).await });
        let (machine, stop) = (Arc::clone(&self.machine), self.stop_relays.clone());
        self.relays
            .spawn(async move { stop.run_until_cancelled(machine.watch()).await });
    }

    /// The outboxes of the services.
    pub(crate) fn outboxes(&self) -> impl Iterator<Item = &Outbox> {
        let outboxes = self.services.outboxes().into_iter();
        outboxes.map(|(_, outbox)| outbox)
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
        self.services.shutdown(deadline).await;
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
