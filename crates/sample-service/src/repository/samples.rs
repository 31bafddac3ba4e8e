//! Samples, their history, and the counts of all.

use std::collections::BTreeMap;

use nanopore::sample::{Stage, Status};
use sagabus::sqlite::rusqlite::types::Value;
use sagabus::sqlite::rusqlite::{self, OptionalExtension, Row, Transaction, params_from_iter};
use sagabus::{Error, ErrorKind, Result, Timestamp};

use super::extras::delete_extras;
use super::steps::{delete_steps, insert_steps};
use super::{damaged, time, time_option, word};
use crate::model::{Filter, HistoryEntry, Hold, Page, Sample, Statistics};

/// Most entries of one sample's history in an answer.
const HISTORY_MAX: u32 = 1_000;
/// The queue's order: most urgent first, then oldest first.
const QUEUE_ORDER: &str = "CASE priority WHEN 'urgent' THEN 0 WHEN 'high' THEN 1 WHEN 'normal' THEN 2 ELSE 3 END, \
     created_ms, seq";

pub(crate) fn insert_sample(tx: &Transaction<'_>, sample: &Sample) -> Result<()> {
    tx.prepare_cached(
        "INSERT INTO samples (id, version, submission_id, status, fields, submitted_ms, started_ms, completed_ms, \
         created_ms, updated_ms, created_by, stage, received_ms, archived_ms) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)",
    )?
    .execute((
        &sample.id,
        version(sample.version),
        &sample.submission_id,
        sample.status.as_str(),
        fields(sample)?,
        sample.submitted_at.milliseconds(),
        sample.started_at.map(Timestamp::milliseconds),
        sample.completed_at.map(Timestamp::milliseconds),
        sample.created_at.milliseconds(),
        sample.updated_at.milliseconds(),
        &sample.created_by,
        sample.stage.map(Stage::as_str),
        sample.received_at.map(Timestamp::milliseconds),
        sample.archived_at.map(Timestamp::milliseconds),
    ))?;
    insert_steps(tx, &sample.id, sample.created_at)
}

/// Replaces the version before this one; another version in its place is a conflict.
pub(crate) fn update_sample(tx: &Transaction<'_>, sample: &Sample) -> Result<()> {
    let changed = tx
        .prepare_cached(
            "UPDATE samples SET version = ?2, status = ?3, fields = ?4, started_ms = ?5, completed_ms = ?6, \
             updated_ms = ?7, stage = ?8, received_ms = ?9, hold_reason = ?10, held_by = ?11, held_since_ms = ?12, \
             held_total_ms = ?13, archived_ms = ?14 WHERE id = ?1 AND version = ?2 - 1",
        )?
        .execute((
            &sample.id,
            version(sample.version),
            sample.status.as_str(),
            fields(sample)?,
            sample.started_at.map(Timestamp::milliseconds),
            sample.completed_at.map(Timestamp::milliseconds),
            sample.updated_at.milliseconds(),
            sample.stage.map(Stage::as_str),
            sample.received_at.map(Timestamp::milliseconds),
            sample.hold.as_ref().map(|it| it.reason.as_str()),
            sample.hold.as_ref().map(|it| it.held_by.as_str()),
            sample.hold.as_ref().map(|it| it.held_at.milliseconds()),
            i64::try_from(sample.held_ms).unwrap_or(i64::MAX),
            sample.archived_at.map(Timestamp::milliseconds),
        ))?;
    if changed == 0 {
        return Err(Error::new(
            ErrorKind::Conflict,
            format!("sample `{}` was changed in the meantime", sample.id),
        ));
    }
    Ok(())
}

pub(crate) fn delete_sample(tx: &Transaction<'_>, id: &str) -> Result<()> {
    delete_steps(tx, id)?;
    delete_extras(tx, id)?;
    tx.execute("DELETE FROM samples WHERE id = ?1", [id])?;
    Ok(())
}

pub(crate) fn find_sample(tx: &Transaction<'_>, id: &str) -> Result<Option<Sample>> {
    Ok(tx
        .prepare_cached("SELECT * FROM samples WHERE id = ?1")?
        .query_row([id], read_sample)
        .optional()?)
}

pub(crate) fn get_sample(tx: &Transaction<'_>, id: &str) -> Result<Sample> {
    find_sample(tx, id)?
        .ok_or_else(|| Error::not_found(format!("sample `{}` does not exist", id.escape_debug())))
}

/// One page of the samples that `filter` lets through, and how many there are in all.
pub(crate) fn list_samples(
    tx: &Transaction<'_>,
    filter: &Filter,
    page: Page,
) -> Result<(Vec<Sample>, u64)> {
    let (condition, mut values) = condition(filter);
    let total: i64 = tx.query_row(
        &format!("SELECT count(*) FROM samples{condition}"),
        params_from_iter(&values),
        |row| row.get(0),
    )?;
    let offset = i64::try_from(page.offset()).unwrap_or(i64::MAX);
    values.extend([Value::Integer(page.limit.into()), Value::Integer(offset)]);
    let mut select = tx.prepare(&format!(
        "SELECT * FROM samples{condition} ORDER BY {QUEUE_ORDER} LIMIT ? OFFSET ?"
    ))?;
    let samples = select
        .query_map(params_from_iter(&values), read_sample)?
        .collect::<rusqlite::Result<_>>()?;
    Ok((samples, u64::try_from(total).unwrap_or(0)))
}

pub(crate) fn add_history(
    tx: &Transaction<'_>,
    sample: &Sample,
    action: &str,
    notes: Option<&str>,
    (user_id, now): (&str, Timestamp),
) -> Result<()> {
    tx.prepare_cached(
        "INSERT INTO workflow_history (sample_id, action, status, assigned_to, notes, created_ms, created_by) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
    )?
    .execute((
        &sample.id,
        action,
        sample.status.as_str(),
        &sample.fields.assigned_to,
        notes,
        now.milliseconds(),
        user_id,
    ))?;
    Ok(())
}

/// What was done to a sample, oldest first; also to one that was deleted.
pub(crate) fn history(tx: &Transaction<'_>, sample_id: &str) -> Result<Vec<HistoryEntry>> {
    let mut select = tx.prepare_cached(
        "SELECT * FROM (SELECT * FROM workflow_history WHERE sample_id = ?1 ORDER BY seq DESC LIMIT ?2) ORDER BY seq",
    )?;
    let entries = select
        .query_map((sample_id, HISTORY_MAX), |row| {
            Ok(HistoryEntry {
                sample_id: row.get("sample_id")?,
                action: row.get("action")?,
                status: word(row, "status", Status::from_word)?,
                assigned_to: row.get("assigned_to")?,
                notes: row.get("notes")?,
                created_at: time(row, "created_ms")?,
                created_by: row.get("created_by")?,
            })
        })?
        .collect::<rusqlite::Result<_>>()?;
    Ok(entries)
}

/// Counts of all samples: by status, by priority, and since `recent`.
pub(crate) fn statistics(tx: &Transaction<'_>, recent: Timestamp) -> Result<Statistics> {
    let counts = |sql: &str| -> rusqlite::Result<BTreeMap<String, u64>> {
        let mut select = tx.prepare_cached(sql)?;
        select
            .query_map([], |row| Ok((row.get(0)?, row.get::<_, i64>(1)?)))?
            .map(|row| row.map(|(word, count)| (word, u64::try_from(count).unwrap_or(0))))
            .collect()
    };
    let samples_by_status = counts("SELECT status, count(*) FROM samples GROUP BY status")?;
    let samples_by_priority = counts("SELECT priority, count(*) FROM samples GROUP BY priority")?;
    let recent: i64 = tx.query_row(
        "SELECT count(*) FROM samples WHERE submitted_ms >= ?1",
        [recent.milliseconds()],
        |row| row.get(0),
    )?;
    Ok(Statistics {
        total_samples: samples_by_status.values().sum(),
        samples_by_status,
        samples_by_priority,
        recent_samples: u64::try_from(recent).unwrap_or(0),
    })
}

fn condition(filter: &Filter) -> (String, Vec<Value>) {
    let mut parts = Vec::new();
    let mut values = Vec::new();
    for (column, words) in [
        ("status", &filter.status),
        ("priority", &filter.priority),
        ("sample_type", &filter.sample_type),
        ("flow_cell_type", &filter.flow_cell_type),
    ] {
        if !words.is_empty() {
            let places = vec!["?"; words.len()].join(", ");
            parts.push(format!("{column} IN ({places})"));
            values.extend(words.iter().cloned().map(Value::Text));
        }
    }
    for (column, value) in &filter.equal {
        parts.push(format!("{column} = ?"));
        values.push(Value::Text(value.clone()));
    }
    for (operator, time) in [(">=", filter.from), ("<=", filter.to)] {
        if let Some(time) = time {
            parts.push(format!("submitted_ms {operator} ?"));
            values.push(Value::Integer(time.milliseconds()));
        }
    }
    if let Some(term) = &filter.term {
        let columns = ["sample_name", "submitter_name", "lab_name", "project_id"];
        let any = columns.map(|column| format!("{column} LIKE ? ESCAPE '\\'"));
        parts.push(format!("({})", any.join(" OR ")));
        let pattern = format!("%{}%", escaped(term));
        values.extend(columns.map(|_| Value::Text(pattern.clone())));
    }
    if parts.is_empty() {
        (String::new(), values)
    } else {
        (format!(" WHERE {}", parts.join(" AND ")), values)
    }
}

/// The term as it stands, without the wildcards of LIKE.
fn escaped(term: &str) -> String {
    term.replace('\\', "\\\\")
        .replace('%', "\\%")
        .replace('_', "\\_")
}

pub(super) fn read_sample(row: &Row<'_>) -> rusqlite::Result<Sample> {
    let fields: String = row.get("fields")?;
    Ok(Sample {
        id: row.get("id")?,
        version: u64::try_from(row.get::<_, i64>("version")?).unwrap_or(0),
        submission_id: row.get("submission_id")?,
        status: word(row, "status", Status::from_word)?,
        stage: row
            .get::<_, Option<String>>("stage")?
            .map(|_| word(row, "stage", Stage::from_word))
            .transpose()?,
        hold: read_hold(row)?,
        received_at: time_option(row, "received_ms")?,
        held_ms: u64::try_from(row.get::<_, i64>("held_total_ms")?).unwrap_or(0),
        fields: serde_json::from_str(&fields).map_err(damaged)?,
        submitted_at: time(row, "submitted_ms")?,
        started_at: time_option(row, "started_ms")?,
        completed_at: time_option(row, "completed_ms")?,
        archived_at: time_option(row, "archived_ms")?,
        created_at: time(row, "created_ms")?,
        updated_at: time(row, "updated_ms")?,
        created_by: row.get("created_by")?,
    })
}

fn read_hold(row: &Row<'_>) -> rusqlite::Result<Option<Hold>> {
    let Some(held_at) = time_option(row, "held_since_ms")? else {
        return Ok(None);
    };
    Ok(Some(Hold {
        reason: row.get("hold_reason")?,
        held_by: row.get("held_by")?,
        held_at,
    }))
}

fn fields(sample: &Sample) -> Result<String> {
    serde_json::to_string(&sample.fields)
        .map_err(|error| Error::invalid("sample cannot be written as JSON").with_source(error))
}

fn version(version: u64) -> i64 {
    i64::try_from(version).unwrap_or(i64::MAX)
}
