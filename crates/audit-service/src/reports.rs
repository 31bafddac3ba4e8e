//! Reports of the trail, once or by a schedule, and exports. Each is an entry of the trail, and an event tells of it.

use std::sync::Arc;
use std::time::Duration;

use nanopore::events::audit::{ExportCreated, ReportFormat, ReportGenerated, ReportType};
use nanopore::problem::TooLarge;
use sagabus::event::Cause;
use sagabus::sqlite::rusqlite::Transaction;
use sagabus::{Error, ErrorKind, Event, EventId, Payload, Result, Timestamp};
use serde_json::json;
use sha2::{Digest, Sha256};

use crate::merkle::hex;
use crate::model::{Export, Filter, Made, Order, Schedule, Wanted, filter_of};
use crate::publisher;
use crate::report::{self, ENTRIES_MAX, Report, Summary};
use crate::repository as rows;
use crate::service::{AuditService, alerts, record};

/// The kind of thing that a report is, and an export.
const REPORT: &str = "report";
const EXPORT: &str = "export";
/// What is one entry says of a report's making.
const GENERATED: &str = "audit.report_generated";
const EXPORTED: &str = "audit.export_created";

/// A file that was made, with what tells of it.
#[derive(Debug)]
pub(crate) struct Exported {
    pub(crate) id: String,
    pub(crate) content: Vec<u8>,
    pub(crate) digest: [u8; 32],
    pub(crate) record_count: u64,
}

/// What one report is of.
struct Task {
    schedule_id: Option<String>,
    name: String,
    report_type: ReportType,
    format: ReportFormat,
    filter: Filter,
    order: Order,
}

impl AuditService {
    /// Makes a report; publishes `audit.report_generated`.
    ///
    /// # Errors
    /// `Invalid`, by field.
    ///
    /// # Cancel safety
    /// The report is kept with its entry and events, or not at all.
    pub async fn report_now(&self, wanted: Wanted, cause: Cause) -> Result<Made> {
        let mut filter = filter_of(&wanted.filters)?;
        (filter.from, filter.to) = (Some(wanted.from), Some(wanted.to));
        let task = Task {
            schedule_id: None,
            name: wanted.name,
            report_type: wanted.report_type,
            format: wanted.format,
            filter,
            order: Order {
                author: wanted.author,
                reason: wanted.reason,
            },
        };
        let service = self.clone();
        self.outbox
            .write(move |tx| service.make(tx, task, &cause))
            .await
    }

    /// The reports that were made last, the latest first.
    ///
    /// # Errors
    /// As the database says.
    ///
    /// # Cancel safety
    /// Safe: only reads.
    pub async fn reports(&self) -> Result<Vec<Made>> {
        self.read(rows::reports).await
    }

    /// A report with its file.
    ///
    /// # Errors
    /// `NotFound`. `Corrupt` when the file is not the one whose digest was told when it was made.
    ///
    /// # Cancel safety
    /// Safe: only reads.
    pub async fn report_file(&self, id: String) -> Result<(Made, Vec<u8>)> {
        self.read(move |tx| {
            let (made, content) = rows::report(tx, &id)?;
            if hex(&Sha256::digest(&content)) != made.digest {
                let text = format!(
                    "report `{}` is not what was made: somebody changed it",
                    made.id
                );
                return Err(Error::new(ErrorKind::Corrupt, text));
            }
            Ok((made, content))
        })
        .await
    }

    /// Makes the reports that are due by their schedules, each once however often it was due meanwhile; how many those are.
    ///
    /// # Errors
    /// As the database says.
    ///
    /// # Cancel safety
    /// Each report is made, and its next time set, or neither.
    pub async fn run_due_reports(&self) -> Result<usize> {
        let mut count = 0;
        for schedule in self.declared::<Schedule>().await? {
            if schedule.is_active && self.run_if_due(schedule).await? {
                count += 1;
            }
        }
        Ok(count)
    }

    async fn run_if_due(&self, schedule: Schedule) -> Result<bool> {
        let now = self.clock.now();
        let next = schedule.schedule.next_after(now);
        let known = schedule.clone();
        let due = self.read(move |tx| rows::due(tx, &known)).await?;
        let Some(due) = due else {
            // It is new, or has another time than before.
            let set = move |tx: &Transaction<'_>| rows::set_due(tx, &schedule, next);
            self.in_turn(set).await?;
            return Ok(false);
        };
        if due > now {
            return Ok(false);
        }
        let service = self.clone();
        let cause = Cause::new(None, &*self.clock);
        self.outbox
            .write(move |tx| {
                // As it stands now.
                if rows::due(tx, &schedule)? != Some(due) {
                    return Ok((false, vec![]));
                }
                let task = task_of(&schedule, due, now)?;
                rows::set_due(tx, &schedule, next)?;
                let (_, events) = service.make(tx, task, &cause)?;
                Ok((true, events))
            })
            .await
    }

    /// Takes entries out of the trail; publishes `audit.export_created` with the digest of the file.
    ///
    /// # Errors
    /// `Invalid`, by field, and for more entries than one export has.
    ///
    /// # Cancel safety
    /// The entry that says so is made with its events or not at all.
    pub(crate) async fn export(&self, wanted: Export, cause: Cause) -> Result<Exported> {
        let filter = filter_of(&wanted.filters)?;
        let clock = Arc::clone(&self.clock);
        let service = self.clone();
        self.outbox
            .write(move |tx| {
                let (entries, is_cut) = rows::entries_of(tx, &filter, ReportType::Custom)?;
                if is_cut {
                    let text = format!(
                        "there are more than {} entries, or more than {} MiB of them; ask for fewer with `filters`",
                        entries.len().min(ENTRIES_MAX),
                        report::BYTES_MAX / (1024 * 1024)
                    );
                    return Err(TooLarge(text).into());
                }
                let content = report::write_entries(&entries, wanted.format)?;
                let digest: [u8; 32] = Sha256::digest(&content).into();
                let exported = Exported {
                    id: EventId::generate(&*clock).to_string(),
                    content,
                    digest,
                    record_count: entries.len() as u64,
                };
                let details = json!({
                    "exportId": exported.id, "recordCount": exported.record_count, "digest": hex(&digest),
                    "filters": wanted.filters,
                });
                let told = ExportCreated {
                    export_id: exported.id.clone(),
                    requested_by: wanted.author.clone(),
                    record_count: exported.record_count,
                    digest: hex(&digest),
                };
                let order = Order {
                    author: wanted.author,
                    reason: wanted.reason,
                };
                let about = (EXPORT, exported.id.clone());
                let act = service.own_act(EXPORTED, about, order, (details, &cause));
                let events = told_of(tx, &act, &told, (&service, &cause))?;
                Ok((exported, events))
            })
            .await
    }

    /// Makes a report, keeps it, and notes it in the trail.
    fn make(&self, tx: &Transaction<'_>, task: Task, cause: &Cause) -> Result<(Made, Vec<Event>)> {
        let now = self.clock.now();
        let (entries, is_cut) = rows::entries_of(tx, &task.filter, task.report_type)?;
        let report = Report {
            report_id: EventId::generate(&*self.clock).to_string(),
            name: task.name,
            report_type: task.report_type,
            from: task.filter.from.unwrap_or_default(),
            to: task.filter.to.unwrap_or(now),
            generated_at: now,
            requested_by: task.order.author.clone(),
            summary: Summary::of(&entries, is_cut),
            entries,
        };
        let content = report.write(task.format)?;
        let digest: [u8; 32] = Sha256::digest(&content).into();
        let made = Made {
            id: report.report_id,
            schedule_id: task.schedule_id,
            name: report.name,
            report_type: task.report_type,
            format: task.format,
            from: report.from,
            to: report.to,
            record_count: report.entries.len() as u64,
            requested_by: task.order.author.clone(),
            created_at: now,
            digest: hex(&digest),
        };
        rows::insert_report(tx, &made, &content)?;
        let told = ReportGenerated {
            report_id: made.id.clone(),
            report_type: made.report_type,
            format: made.format,
            period_from: made.from,
            period_to: made.to,
            record_count: made.record_count,
            requested_by: made.requested_by.clone(),
        };
        let about = (REPORT, made.id.clone());
        let details = json!({"report": made, "isCut": is_cut});
        let act = self.own_act(GENERATED, about, task.order, (details, cause));
        let events = told_of(tx, &act, &told, (self, cause))?;
        Ok((made, events))
    }
}

/// The entry, and the events that tell of it and of what was made.
fn told_of<P: Payload>(
    tx: &Transaction<'_>,
    act: &crate::model::Act,
    told: &P,
    (service, cause): (&AuditService, &Cause),
) -> Result<Vec<Event>> {
    let (_, mut events) = record(tx, act, &alerts(tx), &*service.clock)?;
    let told = publisher::event(told, &*service.clock)?.because(cause);
    told.check()?;
    events.push(told);
    Ok(events)
}

/// The report of a schedule that has been due since `due`: of the days before that, up to now.
fn task_of(schedule: &Schedule, due: Timestamp, now: Timestamp) -> Result<Task> {
    let span = Duration::from_hours(24).saturating_mul(schedule.days);
    let span_ms = i64::try_from(span.as_millis()).unwrap_or(i64::MAX);
    let from = due.milliseconds().saturating_sub(span_ms);
    let mut filter = filter_of(&schedule.filters)?;
    filter.from = Some(Timestamp::from_milliseconds(from));
    filter.to = Some(now);
    Ok(Task {
        schedule_id: Some(schedule.id.clone()),
        name: schedule.name.clone(),
        report_type: schedule.report_type,
        format: schedule.format,
        filter,
        order: Order {
            author: schedule.author.clone(),
            reason: schedule.reason.clone(),
        },
    })
}
