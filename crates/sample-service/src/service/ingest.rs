//! Takes many samples at once, from a table or a list.
//!
//! Each row is looked at by itself, and all that are good become samples of one submission in one transaction.

use nanopore::sample::foreign::{self, Landing};
use nanopore::sample::{FieldError, FieldErrors, NewProject, NewSample, Origin, Stage};
use sagabus::sqlite::rusqlite::Transaction;
use sagabus::{Error, ErrorKind, Event, EventId, Result};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Map, Value};

use super::{Act, Actor, SampleService, check_named};
use crate::model::{
    Column, NewSubmission, ROWS_MAX, Row, Sample, Submission, SubmissionKind, SubmissionStatus,
};
use crate::repository as rows;

/// How a table or a list is taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ingest {
    /// Id to use, so that a repeated request makes no second submission.
    pub id: Option<String>,
    /// What it is.
    pub kind: SubmissionKind,
    /// Name of the document.
    pub file_name: String,
    /// Names what was sent: the same document has the same, with the same said of its rows.
    pub file_id: String,
    /// The project that it is for.
    pub project_id: Option<String>,
    /// What the rows are called in errors.
    pub rows_are: &'static str,
    /// What becomes of it.
    pub mode: Mode,
}

/// What becomes of rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Nothing is kept; it is said what would be.
    Preview,
    /// All rows are taken, or none if one is wrong.
    All,
    /// The rows that are good are taken.
    Valid,
}

/// What became of a row.
#[derive(Debug, JsonSchema, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RowReport {
    row: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<u64>,
    ok: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    sample_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sample_id: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<FieldError>,
}

/// What became of all.
#[derive(Debug, JsonSchema, Serialize)]
pub(crate) struct Report {
    columns: Vec<Column>,
    rows: Vec<RowReport>,
    accepted: usize,
    refused: usize,
}

impl SampleService {
    /// Takes rows of samples as a submission. Publishes `submission.created`, then for each sample `sample.created`, and what
    /// tells that it stands elsewhere than at the start. Returns the submission, none for a preview, and a report on each row.
    /// A repeat with the same id and content returns the first of both.
    ///
    /// # Errors
    /// `Invalid`, with every wrong field of every row, when all are to be taken and one is wrong, or none is good. `Conflict`
    /// for an id that was used for other content, or a project that is not active.
    ///
    /// # Cancel safety
    /// All is kept with its events or nothing.
    pub async fn ingest(
        &self,
        ingest: Ingest,
        columns: Vec<Column>,
        rows: Vec<Row>,
        actor: Actor,
    ) -> Result<(Option<Submission>, Value)> {
        if rows.is_empty() || rows.len() > ROWS_MAX {
            let text = format!("has {} rows, not 1 to {ROWS_MAX}", rows.len());
            return Err(FieldErrors::one(ingest.rows_are, text).into());
        }
        self.change(actor, move |tx, act| {
            if let Some(first) = first_of_key(tx, &ingest)? {
                let report = first.form.clone().unwrap_or_default();
                return Ok(((Some(first), report), vec![]));
            }
            let project = project(tx, ingest.project_id.as_deref())?;
            let mut report = Report {
                columns,
                rows: Vec::with_capacity(rows.len()),
                accepted: 0,
                refused: 0,
            };
            let mut good = Vec::new();
            let mut errors = FieldErrors::default();
            for (index, row) in rows.into_iter().enumerate() {
                let (line, name) = (row.line, text_of(&row.fields, "sampleName"));
                let told = match check(tx, row, project.as_ref()) {
                    Ok(sample) => {
                        good.push((index, sample));
                        Vec::new()
                    }
                    Err(Refusal::Row(wrong)) => {
                        let prefix = format!("{}[{index}]", ingest.rows_are);
                        errors.0.extend(wrong.clone().inside(&prefix).0);
                        wrong.0
                    }
                    Err(Refusal::Other(error)) => return Err(error),
                };
                report.rows.push(RowReport {
                    row: index,
                    line,
                    ok: told.is_empty(),
                    sample_name: name,
                    sample_id: None,
                    errors: told,
                });
            }
            report.accepted = good.len();
            report.refused = report.rows.len() - good.len();
            if ingest.mode == Mode::Preview {
                return Ok(((None, json_of(&report)?), vec![]));
            }
            if good.is_empty() || (ingest.mode == Mode::All && !errors.0.is_empty()) {
                return Err(Error::invalid("rows cannot be taken").with_source(errors));
            }
            let (submission, events) = act.take(tx, &ingest, good, &mut report)?;
            let report = submission.form.clone().unwrap_or_default();
            Ok(((Some(submission), report), events))
        })
        .await
    }
}

impl Act<'_> {
    fn take(
        &self,
        tx: &Transaction<'_>,
        ingest: &Ingest,
        good: Vec<(usize, (NewSample, Landing))>,
        report: &mut Report,
    ) -> Result<(Submission, Vec<Event>)> {
        let clock = self.publisher.clock;
        let id = match &ingest.id {
            Some(id) => EventId::new(id.as_str())?,
            None => EventId::generate(clock),
        };
        let document = NewSubmission {
            file_name: ingest.file_name.clone(),
            file_id: ingest.file_id.clone(),
            ..NewSubmission::default()
        };
        rows::insert_submission(tx, id.as_str(), &document, self.now)?;
        rows::set_kind(tx, id.as_str(), ingest.kind, ingest.project_id.as_deref())?;
        let mut submission = rows::get_submission(tx, id.as_str())?;
        submission.status = SubmissionStatus::Accepted;
        submission.sample_count = u32::try_from(good.len()).unwrap_or(u32::MAX);
        let created = self.publisher.submission_created(&submission)?;
        rows::set_event(tx, &submission.id, &created.id)?;
        let mut events = vec![];
        for (index, (fields, landing)) in good {
            let id = EventId::generate(clock).to_string();
            let mut sample = Sample::new(id, fields, self.user_id().to_owned(), self.now);
            sample.submission_id = Some(submission.id.clone());
            rows::insert_sample(tx, &sample)?;
            self.note(tx, &sample, "created", None)?;
            events.push(self.publisher.created(&sample, None)?);
            events.extend(self.land(tx, &mut sample, landing)?);
            if let Some(row) = report.rows.get_mut(index) {
                row.sample_id = Some(sample.id);
            }
        }
        for event in &mut events {
            event.causation_id = Some(created.id.clone());
        }
        events.insert(0, created);
        submission.form = Some(json_of(report)?);
        rows::update_submission(tx, &submission)?;
        // With the counts of its samples.
        Ok((rows::get_submission(tx, &submission.id)?, events))
    }

    /// Puts a sample of elsewhere where it stood.
    fn land(
        &self,
        tx: &Transaction<'_>,
        sample: &mut Sample,
        landing: Landing,
    ) -> Result<Vec<Event>> {
        let mut events = Vec::new();
        if landing.status != sample.status {
            let why = match landing.reason {
                Some(reason) => reason.to_owned(),
                None => format!("imported as `{}`", landing.status),
            };
            let event = match landing.stage {
                None => self.force_sample(tx, sample, landing.status, why)?,
                Some(stage) => self.land_sample(tx, sample, (landing.status, stage), why)?,
            };
            events.push(event);
        }
        if let Some(why) = landing.hold {
            events.push(self.hold(sample, why.to_owned())?);
            sample.touch(self.now);
            rows::update_sample(tx, sample)?;
            self.note(tx, sample, "held", Some(why))?;
        }
        Ok(events)
    }
}

/// Why a row is not taken.
enum Refusal {
    /// What it says is wrong.
    Row(FieldErrors),
    /// It could not be looked at.
    Other(Error),
}

/// The sample of a row, and where it stands; everything that is wrong with the row is told at once.
fn check(
    tx: &Transaction<'_>,
    row: Row,
    project: Option<&NewProject>,
) -> std::result::Result<(NewSample, Landing), Refusal> {
    let Row {
        mut fields,
        mut errors,
        ..
    } = row;
    let is_row = errors
        .0
        .iter()
        .any(|it| it.field == "row" || it.field == "sample");
    if is_row {
        return Err(Refusal::Row(errors));
    }
    let landing = landing(&mut fields).unwrap_or_else(|wrong| {
        errors.0.extend(wrong.0);
        Landing::SUBMITTED
    });
    translate(&mut fields);
    // A cell that could not be read is missing only because of that.
    let unread: Vec<_> = errors.0.iter().map(|it| it.field.clone()).collect();
    let sample = match NewSample::read(&fields, Origin::Entry) {
        Ok(sample) => sample,
        Err(more) => {
            let more = more.0.into_iter().filter(|it| !unread.contains(&it.field));
            errors.0.extend(more);
            return Err(Refusal::Row(errors));
        }
    };
    if let Err(error) = check_named(tx, &sample, None) {
        let wrong = std::error::Error::source(&error)
            .and_then(|source| source.downcast_ref::<FieldErrors>())
            .cloned();
        match wrong {
            Some(wrong) => errors.0.extend(wrong.0),
            None => return Err(Refusal::Other(error)),
        }
    }
    if let Some(project) = project
        && let Err(wrong) = project.check_account(sample.chart_field.as_ref())
    {
        errors.0.extend(wrong.0);
    }
    match errors.0.is_empty() {
        true => Ok((sample, landing)),
        false => Err(Refusal::Row(errors)),
    }
}

/// Takes `status` and `stage` out of the fields, as where the sample stands.
fn landing(fields: &mut Map<String, Value>) -> std::result::Result<Landing, FieldErrors> {
    let mut word = |field: &str| match fields.remove(field) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(FieldErrors::one(field, "must be a text")),
    };
    let (status, stage) = (word("status")?, word("stage")?);
    let stage = stage
        .map(|it| {
            Stage::from_word(it.trim()).ok_or_else(|| {
                FieldErrors::one("stage", format!("has no value `{}`", it.escape_debug()))
            })
        })
        .transpose()?;
    match status {
        None => Ok(Landing::SUBMITTED),
        Some(status) => {
            foreign::landing(&status, stage).map_err(|message| FieldErrors::one("status", message))
        }
    }
}

/// Words of other systems in the words of this one; those without a mapping stay, and are refused by their rule.
fn translate(fields: &mut Map<String, Value>) {
    if let Some((kind, is_material)) =
        text_of(fields, "sampleType").and_then(|it| foreign::sample_type(&it))
    {
        let was = fields.insert("sampleType".to_owned(), kind.as_str().into());
        if is_material && let Some(was) = was {
            fields.entry("material").or_insert(was);
        }
    }
    if let Some(priority) = text_of(fields, "priority").and_then(|it| foreign::priority(&it)) {
        fields.insert("priority".to_owned(), priority.as_str().into());
    }
}

fn text_of(fields: &Map<String, Value>, field: &str) -> Option<String> {
    fields.get(field).and_then(Value::as_str).map(str::to_owned)
}

/// The submission that was made with this id before.
fn first_of_key(tx: &Transaction<'_>, ingest: &Ingest) -> Result<Option<Submission>> {
    let Some(id) = ingest
        .id
        .as_deref()
        .filter(|_| ingest.mode != Mode::Preview)
    else {
        return Ok(None);
    };
    match rows::find_submission(tx, id)? {
        Some(first) if first.file_id != ingest.file_id => {
            let text = format!(
                "submission `{}` was made with this key of another document",
                first.number
            );
            Err(Error::new(ErrorKind::Conflict, text))
        }
        first => Ok(first),
    }
}

/// The project that is named, which must be active.
fn project(tx: &Transaction<'_>, id: Option<&str>) -> Result<Option<NewProject>> {
    let Some(id) = id else { return Ok(None) };
    let project = rows::find_project(tx, id)?.ok_or_else(|| {
        let text = format!("is `{}`, which is no project", id.escape_debug());
        FieldErrors::one("project", text)
    })?;
    if project.fields.status != nanopore::sample::ProjectStatus::Active {
        let status = project.fields.status.as_str();
        let errors = FieldErrors::one("project", format!("is `{status}`, not active"));
        return Err(super::conflict("project takes no submission", errors));
    }
    Ok(Some(project.fields))
}

fn json_of(report: &Report) -> Result<Value> {
    serde_json::to_value(report)
        .map_err(|error| Error::invalid("report cannot be written as JSON").with_source(error))
}
