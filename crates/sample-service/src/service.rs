//! The operations of the sample service. Each change is one transaction with exactly one event.

mod act;
mod bulk;
mod catalogue;
mod decisions;
mod export;
mod extras;
mod flow_cells;
mod holds;
mod ingest;
mod projects;
mod queue;
mod submissions;
mod work;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use nanopore::sample::{ChartField, FieldErrors, Kind, NewSample, Origin, Status};
use sagabus::event::Cause;
use sagabus::sqlite::rusqlite::Transaction;
use sagabus::sqlite::{FENCES, Outbox, TABLES};
use sagabus::{Clock, Error, ErrorKind, EventId, Result, Timestamp};
use serde_json::{Map, Value};

use crate::model::{
    Filter, FormFile, HistoryEntry, Measures, Page, Sample, Statistics, check_said, check_text,
};
use crate::publisher::Publisher;
use crate::repository as rows;

pub(crate) use self::act::Act;
pub use self::bulk::Operation;
use self::catalogue::check_named;
pub use self::export::SheetSample;
pub(crate) use self::export::csv_of;
pub use self::extras::Files;
pub(crate) use self::ingest::Report;
pub use self::ingest::{Ingest, Mode};
pub(crate) use self::submissions::samples_of;

const MIGRATIONS: &[&str] = &[
    TABLES,
    include_str!("tables.sql"),
    FENCES,
    include_str!("work.sql"),
    include_str!("catalogue.sql"),
    include_str!("submissions.sql"),
    include_str!("lives.sql"),
    include_str!("causes.sql"),
    include_str!("archived.sql"),
];
/// What counts as recent in the statistics.
const RECENT: Duration = Duration::from_hours(7 * 24);

/// Who does something, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Actor {
    /// The person, key or service.
    pub user_id: String,
    /// The piece of work it belongs to.
    pub cause: Cause,
}

/// The sample service over its own SQLite file.
#[derive(Clone, Debug)]
pub struct SampleService {
    pub(crate) outbox: Outbox,
    pub(crate) clock: Arc<dyn Clock>,
    files: Option<Arc<dyn Files>>,
}

impl SampleService {
    /// Opens or creates the service's database.
    ///
    /// # Errors
    /// As [`sagabus::sqlite::Database::open`].
    ///
    /// # Cancel safety
    /// As [`sagabus::sqlite::Database::open`].
    pub async fn open(path: impl Into<PathBuf>, clock: Arc<dyn Clock>) -> Result<Self> {
        let database = sagabus::sqlite::Database::open(path, MIGRATIONS).await?;
        Ok(Self {
            outbox: Outbox::new(database),
            clock,
            files: None,
        })
    }

    /// The outbox: its relay must run for events to reach the bus.
    #[must_use]
    pub fn outbox(&self) -> &Outbox {
        &self.outbox
    }

    /// Enters a sample; publishes `sample.created`.
    ///
    /// # Errors
    /// `Invalid`, with every wrong field.
    ///
    /// # Cancel safety
    /// The change is made with its event or not at all.
    pub async fn create(&self, fields: &Map<String, Value>, actor: Actor) -> Result<Sample> {
        self.create_with(fields, None, actor).await
    }

    /// Enters a sample with the form that came with it, if one did: the event names the form, and starts the saga that
    /// reads it.
    ///
    /// # Errors
    /// `Invalid`, with every wrong field.
    ///
    /// # Cancel safety
    /// The change is made with its event or not at all.
    pub async fn create_with(
        &self,
        fields: &Map<String, Value>,
        form: Option<FormFile>,
        actor: Actor,
    ) -> Result<Sample> {
        let fields = NewSample::read(fields, Origin::Entry)?;
        self.change(actor, move |tx, act| {
            check_named(tx, &fields, None)?;
            let id = EventId::generate(act.publisher.clock).to_string();
            let sample = Sample::new(id, fields, act.user_id().to_owned(), act.now);
            rows::insert_sample(tx, &sample)?;
            act.note(tx, &sample, "created", None)?;
            let event = act.publisher.created(&sample, form)?;
            Ok((sample, vec![event]))
        })
        .await
    }

    /// Changes fields of a sample; publishes `sample.updated`, or nothing when nothing changes.
    ///
    /// # Errors
    /// `NotFound`; `Invalid`, with every wrong field; `Conflict` when the sample is not of the `expected` version.
    ///
    /// # Cancel safety
    /// The change is made with its event or not at all.
    pub async fn update(
        &self,
        id: String,
        patch: Map<String, Value>,
        expected: Option<u64>,
        actor: Actor,
    ) -> Result<Sample> {
        self.change(actor, move |tx, act| {
            let mut sample = expect(rows::get_sample(tx, &id)?, expected)?;
            let (fields, changes) = sample.fields.patched(&patch)?;
            if changes.is_empty() {
                return Ok((sample, vec![]));
            }
            check_named(tx, &fields, Some(&sample.fields))?;
            sample.fields = fields;
            sample.touch(act.now);
            rows::update_sample(tx, &sample)?;
            let names: Vec<_> = changes.keys().map(String::as_str).collect();
            act.note(tx, &sample, "updated", Some(&names.join(", ")))?;
            let event = act.publisher.updated(&sample, changes)?;
            Ok((sample, vec![event]))
        })
        .await
    }

    /// Gives a sample to a person; publishes `sample.assigned`.
    ///
    /// # Errors
    /// `NotFound`; `Invalid` for a wrong name; `Conflict` when the person has it already, it is archived or the version is another.
    ///
    /// # Cancel safety
    /// The change is made with its event or not at all.
    pub async fn assign(
        &self,
        id: String,
        assigned_to: String,
        library_prep_by: Option<String>,
        expected: Option<u64>,
        actor: Actor,
    ) -> Result<Sample> {
        self.change(actor, move |tx, act| {
            let mut sample = not_archived(expect(rows::get_sample(tx, &id)?, expected)?)?;
            let fields = sample
                .fields
                .assigned(&assigned_to, library_prep_by.as_deref())?;
            if fields == sample.fields {
                return Err(conflict(
                    "sample is assigned already",
                    FieldErrors::one("assignedTo", format!("is `{assigned_to}` already")),
                ));
            }
            let previous = sample.fields.assigned_to.clone();
            sample.fields = fields;
            sample.touch(act.now);
            rows::update_sample(tx, &sample)?;
            act.note(tx, &sample, "assigned", None)?;
            let event = act.publisher.assigned(&sample, previous)?;
            Ok((sample, vec![event]))
        })
        .await
    }

    /// Moves a sample along a legal transition; publishes `sample.status_changed`.
    ///
    /// # Errors
    /// `NotFound`; `Conflict` for an illegal transition, with the legal ones, or when the version is another.
    ///
    /// # Cancel safety
    /// The change is made with its event or not at all.
    pub async fn set_status(
        &self,
        id: String,
        status: Status,
        reason: Option<String>,
        expected: Option<u64>,
        actor: Actor,
    ) -> Result<Sample> {
        check_text("reason", reason.as_deref().unwrap_or_default())?;
        self.change(actor, move |tx, act| {
            let mut sample = expect(rows::get_sample(tx, &id)?, expected)?;
            let event = act.move_sample(tx, &mut sample, status, reason)?;
            let events = act.with_withdrawal(tx, &sample, event)?;
            Ok((sample, events))
        })
        .await
    }

    /// Moves a sample to any other status, also where no legal transition leads; publishes `sample.status_changed`, and the
    /// history says that it was overridden.
    ///
    /// # Errors
    /// `NotFound`; `Invalid` without a reason; `Conflict` when it stands there already or the version is another.
    ///
    /// # Cancel safety
    /// The change is made with its event or not at all.
    pub async fn override_status(
        &self,
        id: String,
        status: Status,
        reason: String,
        expected: Option<u64>,
        actor: Actor,
    ) -> Result<Sample> {
        check_said("reason", &reason)?;
        self.change(actor, move |tx, act| {
            let mut sample = expect(rows::get_sample(tx, &id)?, expected)?;
            let event = act.force_sample(tx, &mut sample, status, reason)?;
            let events = act.with_withdrawal(tx, &sample, event)?;
            Ok((sample, events))
        })
        .await
    }

    /// Deletes a sample that nobody works on; publishes `sample.deleted`. Its history stays.
    ///
    /// # Errors
    /// `NotFound`; `Conflict` while it is in progress or when the version is another.
    ///
    /// # Cancel safety
    /// The change is made with its event or not at all.
    pub async fn delete(&self, id: String, expected: Option<u64>, actor: Actor) -> Result<()> {
        self.change(actor, move |tx, act| {
            let sample = expect(rows::get_sample(tx, &id)?, expected)?;
            if sample.is_in_progress() {
                return Err(conflict(
                    "sample cannot be deleted",
                    FieldErrors::one(
                        "status",
                        format!("is `{}`: it is in progress", sample.status),
                    ),
                ));
            }
            let event = act.remove_sample(tx, &sample)?;
            Ok(((), vec![event]))
        })
        .await
    }

    /// One sample.
    ///
    /// # Errors
    /// `NotFound`.
    ///
    /// # Cancel safety
    /// Safe: only reads.
    pub async fn get(&self, id: String) -> Result<Sample> {
        self.read(move |tx| rows::get_sample(tx, &id)).await
    }

    /// One page of the samples that `filter` lets through, most urgent first, and how many there are in all.
    ///
    /// # Errors
    /// As the database says.
    ///
    /// # Cancel safety
    /// Safe: only reads.
    pub async fn list(&self, filter: Filter, page: Page) -> Result<(Vec<Sample>, u64)> {
        self.read(move |tx| rows::list_samples(tx, &filter, page))
            .await
    }

    /// What was done to a sample, oldest first; also to one that was deleted.
    ///
    /// # Errors
    /// `NotFound` when there never was such a sample.
    ///
    /// # Cancel safety
    /// Safe: only reads.
    pub async fn history(&self, id: String) -> Result<Vec<HistoryEntry>> {
        self.read(move |tx| {
            let entries = rows::history(tx, &id)?;
            if entries.is_empty() {
                rows::get_sample(tx, &id)?;
            }
            Ok(entries)
        })
        .await
    }

    /// Counts of all samples.
    ///
    /// # Errors
    /// As the database says.
    ///
    /// # Cancel safety
    /// Safe: only reads.
    pub async fn statistics(&self) -> Result<Statistics> {
        let now = self.clock.now().milliseconds();
        let recent_ms = i64::try_from(RECENT.as_millis()).unwrap_or(i64::MAX);
        let recent = Timestamp::from_milliseconds(now.saturating_sub(recent_ms));
        self.read(move |tx| rows::statistics(tx, recent)).await
    }

    /// Figures of all samples.
    ///
    /// # Errors
    /// As the database says.
    ///
    /// # Cancel safety
    /// Safe: only reads.
    pub async fn measures(&self) -> Result<Measures> {
        self.read(rows::measures).await
    }

    /// The accounts that can pay.
    ///
    /// # Errors
    /// As the database says.
    ///
    /// # Cancel safety
    /// Safe: only reads.
    pub async fn chart_fields(&self) -> Result<Vec<String>> {
        let codes = self.catalogue(Kind::ChartField, Some(true)).await?;
        Ok(codes.into_iter().map(|it| it.name).collect())
    }

    /// Whether this account can pay: it has the form of one and is active.
    ///
    /// # Errors
    /// As the database says.
    ///
    /// # Cancel safety
    /// Safe: only reads.
    pub async fn is_chart_field(&self, code: String) -> Result<bool> {
        let Ok(code) = ChartField::try_from(code) else {
            return Ok(false);
        };
        self.read(move |tx| {
            let item = rows::find_item(tx, Kind::ChartField, code.as_str())?;
            Ok(item.is_some_and(|it| it.is_active))
        })
        .await
    }

    pub(crate) async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Transaction<'_>) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        self.outbox.database().read(work).await
    }

    /// A change by `actor`: `work` returns its events.
    pub(crate) async fn change<T: Send + 'static>(
        &self,
        actor: Actor,
        work: impl FnOnce(&Transaction<'_>, Act<'_>) -> Result<(T, Vec<sagabus::Event>)>
        + Send
        + 'static,
    ) -> Result<T> {
        let clock = Arc::clone(&self.clock);
        self.outbox
            .write(move |tx| {
                let act = Act {
                    publisher: Publisher {
                        actor: &actor,
                        clock: &*clock,
                    },
                    now: clock.now(),
                };
                work(tx, act)
            })
            .await
    }
}

fn expect(sample: Sample, expected: Option<u64>) -> Result<Sample> {
    match expected {
        Some(version) if version != sample.version => Err(Error::new(
            ErrorKind::Conflict,
            format!("sample has version {}, not {version}", sample.version),
        )),
        _ => Ok(sample),
    }
}

/// What is archived is done with; an override of its status takes it back.
fn not_archived(sample: Sample) -> Result<Sample> {
    match sample.status {
        Status::Archived => Err(conflict(
            "sample is archived",
            FieldErrors::one("status", "is `archived`: nothing is done with the sample"),
        )),
        _ => Ok(sample),
    }
}

fn conflict(text: &'static str, errors: FieldErrors) -> Error {
    Error::new(ErrorKind::Conflict, text).with_source(errors)
}
