//! The processing steps of samples as rows of their table.

use nanopore::sample::{Course, Stage, StepStatus};
use sagabus::sqlite::rusqlite::{self, Row, Transaction};
use sagabus::{Error, ErrorKind, Result, Timestamp};

use super::{damaged, time, time_option, word};
use crate::model::{ProcessingStep, Sample};

/// The eight steps of a new sample.
pub(super) fn insert_steps(tx: &Transaction<'_>, sample_id: &str, now: Timestamp) -> Result<()> {
    let mut insert = tx.prepare_cached(
        "INSERT INTO processing_steps (sample_id, ordinal, stage, status, estimate_hours, updated_ms) \
         VALUES (?1, ?2, ?3, 'pending', ?4, ?5)",
    )?;
    for (ordinal, stage) in (0..).zip(Stage::ALL) {
        let hours = stage.estimate_hours();
        insert.execute((
            sample_id,
            ordinal,
            stage.as_str(),
            hours,
            now.milliseconds(),
        ))?;
    }
    Ok(())
}

pub(super) fn delete_steps(tx: &Transaction<'_>, sample_id: &str) -> Result<()> {
    tx.prepare_cached("DELETE FROM processing_steps WHERE sample_id = ?1")?
        .execute([sample_id])?;
    Ok(())
}

/// The steps of a sample, in their order.
pub(crate) fn steps(tx: &Transaction<'_>, sample_id: &str) -> Result<Vec<ProcessingStep>> {
    let mut select = tx.prepare_cached(
        "SELECT * FROM processing_steps WHERE sample_id = ?1 ORDER BY ordinal LIMIT 8",
    )?;
    let steps = select
        .query_map([sample_id], read_step)?
        .collect::<rusqlite::Result<_>>()?;
    Ok(steps)
}

/// Where the sample is in its work, and its steps.
pub(crate) fn course(
    tx: &Transaction<'_>,
    sample: &Sample,
) -> Result<(Course, Vec<ProcessingStep>)> {
    let steps = steps(tx, &sample.id)?;
    let states: Vec<_> = steps.iter().map(|it| it.step_status).collect();
    let course = Course {
        status: sample.status,
        is_held: sample.hold.is_some(),
        steps: states.try_into().map_err(|_| {
            let text = format!("sample `{}` does not have its eight steps", sample.id);
            Error::new(ErrorKind::Corrupt, text)
        })?,
    };
    Ok((course, steps))
}

pub(crate) fn update_step(
    tx: &Transaction<'_>,
    sample_id: &str,
    step: &ProcessingStep,
) -> Result<()> {
    let results = step.results_data.as_ref().map(serde_json::to_string);
    let results = results
        .transpose()
        .map_err(|error| Error::invalid("results cannot be written as JSON").with_source(error))?;
    tx.prepare_cached(
        "UPDATE processing_steps SET status = ?3, assigned_to = ?4, started_ms = ?5, completed_ms = ?6, \
         estimate_hours = ?7, attempts = ?8, error = ?9, notes = ?10, results = ?11, updated_ms = ?12 \
         WHERE sample_id = ?1 AND stage = ?2",
    )?
    .execute((
        sample_id,
        step.stage.as_str(),
        step.step_status.as_str(),
        &step.assigned_to,
        step.started_at.map(Timestamp::milliseconds),
        step.completed_at.map(Timestamp::milliseconds),
        step.estimated_duration_hours,
        step.attempts,
        &step.error,
        &step.notes,
        results,
        step.updated_at.milliseconds(),
    ))?;
    Ok(())
}

fn read_step(row: &Row<'_>) -> rusqlite::Result<ProcessingStep> {
    let stage = word(row, "stage", Stage::from_word)?;
    let results: Option<String> = row.get("results")?;
    Ok(ProcessingStep {
        stage,
        step_name: stage.title(),
        step_status: word(row, "status", StepStatus::from_word)?,
        assigned_to: row.get("assigned_to")?,
        started_at: time_option(row, "started_ms")?,
        completed_at: time_option(row, "completed_ms")?,
        estimated_duration_hours: row.get("estimate_hours")?,
        attempts: row.get("attempts")?,
        error: row.get("error")?,
        notes: row.get("notes")?,
        results_data: results
            .map(|it| serde_json::from_str(&it))
            .transpose()
            .map_err(damaged)?,
        updated_at: time(row, "updated_ms")?,
    })
}
