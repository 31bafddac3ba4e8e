//! The services of the facility: which there are, which of them a process serves, and what each brings along.

use std::collections::BTreeSet;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use ai_service::AiService;
use audit_service::AuditService;
use clap::ValueEnum;
use http_api::{Api, Operation};
use sagabus::saga::{Definition, Handlers, ServiceLimit};
use sagabus::sqlite::Outbox;
use sagabus::{Bus, Clock, Error, Result};
use sample_service::SampleService;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::config::Config;
use crate::ports::{Submissions, Uploads};
use crate::start_room;

/// A service. One more is one more variant, and what the compiler then asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub(crate) enum Service {
    /// Samples and submissions
    Sample,
    /// The reading of forms
    Ai,
    /// The audit trail
    Audit,
}

impl Service {
    /// All of them.
    pub(crate) const ALL: [Self; 3] = [Self::Sample, Self::Ai, Self::Audit];

    /// What it is called on the command line.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Sample => "sample",
            Self::Ai => "ai",
            Self::Audit => "audit",
        }
    }

    /// What it is called in definitions of sagas, in events and in metrics.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Sample => "sample-service",
            Self::Ai => "ai-service",
            Self::Audit => "audit-service",
        }
    }

    /// The name of its database.
    const fn database(self) -> &'static str {
        match self {
            Self::Sample => "samples",
            Self::Ai => "ai",
            Self::Audit => "audit",
        }
    }

    /// Where its database stands in a data directory.
    pub(crate) fn path(self, dir: &Path) -> PathBuf {
        dir.join(format!("{}.sqlite", self.database()))
    }

    /// How many subscriptions it has.
    const fn subscriptions(self) -> usize {
        match self {
            Self::Sample | Self::Audit => 1,
            Self::Ai => 0,
        }
    }

    /// Its routes, behind their place.
    pub(crate) fn operations(self) -> Vec<Operation> {
        fn behind<S: Clone + Send + Sync + 'static>(
            place: &'static str,
            api: Api<S>,
        ) -> Vec<Operation> {
            let operations = api.into_parts().1.into_iter();
            operations.map(|it| it.behind(place)).collect()
        }
        match self {
            Self::Sample => behind(self.place(), sample_service::routes::api()),
            Self::Ai => behind(self.place(), ai_service::routes::api()),
            Self::Audit => behind(self.place(), audit_service::routes::api()),
        }
    }

    /// What its routes begin with.
    const fn place(self) -> &'static str {
        match self {
            Self::Sample | Self::Ai => "/api",
            Self::Audit => "/api/audit",
        }
    }
}

/// Which services a process serves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Served(BTreeSet<Service>);

impl Served {
    /// All of them.
    pub(crate) fn all() -> Self {
        Self(Service::ALL.into())
    }

    /// These only; all where none is named.
    pub(crate) fn only(services: &[Service]) -> Self {
        match services {
            [] => Self::all(),
            some => Self(some.iter().copied().collect()),
        }
    }

    /// Whether this one is.
    pub(crate) fn has(&self, service: Service) -> bool {
        self.0.contains(&service)
    }

    /// Whether all are.
    pub(crate) fn is_all(&self) -> bool {
        self.left_out().next().is_none()
    }

    /// Those that are not.
    pub(crate) fn left_out(&self) -> impl Iterator<Item = Service> {
        Service::ALL.into_iter().filter(|it| !self.has(*it))
    }

    /// Whether every step of a saga is of a service that is here, or of none.
    pub(crate) fn does(&self, definition: &Definition) -> bool {
        let mut steps = definition.steps().iter();
        steps.all(|step| !self.left_out().any(|it| it.name() == step.service))
    }

    /// How many subscriptions these services have.
    pub(crate) fn subscriptions(&self) -> usize {
        self.0.iter().map(|it| it.subscriptions()).sum()
    }

    /// Those of the limits that are of services that are here, or of none that there is.
    pub(crate) fn limits_of(&self, limits: &[ServiceLimit]) -> Vec<ServiceLimit> {
        let is_left_out =
            |it: &&ServiceLimit| self.left_out().any(|service| service.name() == it.service);
        limits
            .iter()
            .filter(|it| !is_left_out(it))
            .cloned()
            .collect()
    }

    /// What is said of that which is not here.
    pub(crate) fn refusal(&self) -> Error {
        Error::not_found(format!("not served here: this process serves only {self}"))
    }
}

impl fmt::Display for Served {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words: Vec<&str> = self.0.iter().map(|it| it.word()).collect();
        f.write_str(&words.join(" and "))
    }
}

/// The services that are open.
#[derive(Debug)]
pub(crate) struct Services {
    served: Served,
    sample: Option<SampleService>,
    ai: Option<AiService>,
    audit: Option<AuditService>,
}

impl Services {
    /// Opens those that are served, each over its own files in `dir`. Of the others nothing is made.
    pub(crate) async fn open(
        served: Served,
        dir: &Path,
        config: &Config,
        clock: &Arc<dyn Clock>,
    ) -> Result<Self> {
        let mut opened = Self {
            served: served.clone(),
            sample: None,
            ai: None,
            audit: None,
        };
        for service in served.0 {
            start_room::give_up(dir, service.database());
            let (path, clock) = (service.path(dir), Arc::clone(clock));
            match service {
                Service::Sample => opened.sample = Some(SampleService::open(path, clock).await?),
                Service::Ai => {
                    let reading = (crate::assemble::reader()?, config.ai.clone());
                    let uploads = dir.join("uploads");
                    opened.ai = Some(AiService::open(path, uploads, reading, clock).await?);
                }
                Service::Audit => {
                    let settings = config.audit.clone();
                    opened.audit = Some(AuditService::open(path, settings, clock).await?);
                }
            }
        }
        if let (Some(sample), Some(ai)) = (opened.sample.clone(), opened.ai.clone()) {
            opened.sample = Some(sample.clone().with_files(Arc::new(Uploads(ai.clone()))));
            opened.ai = Some(ai.with_submissions(Arc::new(Submissions(sample))));
        }
        Ok(opened)
    }

    /// Keeps room for the next start of each.
    pub(crate) fn keep_room(&self, dir: &Path) {
        for service in &self.served.0 {
            start_room::keep(dir, service.database());
        }
    }

    /// Which they are.
    pub(crate) fn served(&self) -> &Served {
        &self.served
    }

    /// The sample service.
    pub(crate) fn sample(&self) -> Result<&SampleService> {
        self.sample.as_ref().ok_or_else(|| self.served.refusal())
    }

    /// The AI service.
    pub(crate) fn ai(&self) -> Result<&AiService> {
        self.ai.as_ref().ok_or_else(|| self.served.refusal())
    }

    /// The audit service.
    pub(crate) fn audit(&self) -> Result<&AuditService> {
        self.audit.as_ref().ok_or_else(|| self.served.refusal())
    }

    /// Each with its outbox.
    pub(crate) fn outboxes(&self) -> Vec<(Service, &Outbox)> {
        let outbox = |service| match service {
            Service::Sample => self.sample.as_ref().map(SampleService::outbox),
            Service::Ai => self.ai.as_ref().map(AiService::outbox),
            Service::Audit => self.audit.as_ref().map(AuditService::outbox),
        };
        let all = Service::ALL.into_iter();
        all.filter_map(|it| Some((it, outbox(it)?))).collect()
    }

    /// Each listens to the events that it is about.
    pub(crate) async fn subscribe(&self, bus: &Bus) -> Result<()> {
        if let Some(samples) = &self.sample {
            samples.subscribe(bus).await?;
        }
        if let Some(audit) = &self.audit {
            audit.subscribe(bus).await?;
        }
        Ok(())
    }

    /// The steps of sagas that they do.
    pub(crate) fn handlers(&self) -> Handlers {
        let mut handlers = Handlers::new();
        if let Some(samples) = &self.sample {
            handlers = samples.bind(handlers);
        }
        if let Some(ai) = &self.ai {
            handlers = ai.bind(handlers);
        }
        if let Some(audit) = &self.audit {
            handlers = audit.bind(handlers);
        }
        handlers
    }

    /// What each does by itself, until `stop` fires.
    pub(crate) fn start_work(&self, tasks: &TaskTracker, stop: &CancellationToken) {
        if let Some(audit) = &self.audit {
            tasks.spawn(audit.clone().work(stop.clone()));
        }
        if let Some(ai) = &self.ai {
            tasks.spawn(ai.clone().work(stop.clone()));
        }
    }

    /// Adds their routes to those of the program.
    pub(crate) fn add_routes(&self, mut api: Api) -> Api {
        if let Some(samples) = &self.sample {
            let routes = sample_service::routes::api().with_state(samples.clone());
            api = api.nest(Service::Sample.place(), routes);
        }
        if let Some(ai) = &self.ai {
            let routes = ai_service::routes::api().with_state(ai.clone());
            api = api.nest(Service::Ai.place(), routes);
        }
        if let Some(audit) = &self.audit {
            let routes = audit_service::routes::api().with_state(audit.clone());
            api = api.nest(Service::Audit.place(), routes);
        }
        api
    }

    /// Takes no more work; what is at work may take until `deadline` is over.
    pub(crate) async fn shutdown(&self, deadline: Duration) {
        if let Some(ai) = &self.ai {
            ai.shutdown(deadline).await;
        }
    }
}

#[cfg(test)]
mod tests;
