//! Reports that were made, and when schedules are due, as rows; and the entries of a report.

use nanopore::events::audit::ReportType;
use sagabus::sqlite::rusqlite::{self, OptionalExtension, Row, Transaction, params_from_iter};
use sagabus::{Error, Result, Timestamp};

use super::read::{condition, read_entry, select};
use crate::model::{Entry, Filter, Made, Schedule};
use crate::report::{BYTES_MAX, ENTRIES_MAX, kind, type_word};

/// Most reports of a list.
const LIST_MAX: u32 = 1_000;

/// The newest entries that a report of this type has, and whether there are older ones that have no room.
pub(crate) fn entries_of(
    tx: &Transaction<'_>,
    filter: &Filter,
    of: ReportType,
) -> Result<(Vec<Entry>, bool)> {
    let (mut parts, values) = condition(filter);
    let only = match of {
        ReportType::Activity | ReportType::Custom => None,
        ReportType::Security => Some(
            "(category IN ('security', 'authentication', 'authorization') OR outcome = 'failure' \
             OR severity IN ('error', 'critical'))",
        ),
        ReportType::Compliance => {
            Some("(category = 'data_modification' OR substr(action, 1, 6) = 'audit.')")
        }
        ReportType::Performance => Some("duration_ms IS NOT NULL"),
    };
    if let Some(only) = only {
        let word = if parts.is_empty() { "WHERE" } else { " AND" };
        parts = format!("{parts}{word} {only}");
    }
    let mut select = tx.prepare(&select(&format!("{parts} ORDER BY seq DESC")))?;
    let mut rows = select.query(params_from_iter(&values))?;
    let (mut entries, mut bytes) = (Vec::new(), 0);
    while let Some(row) = rows.next()? {
        let entry = read_entry(row)?;
        bytes += serde_json::to_string(&entry).map_or(0, |it| it.len());
        if entries.len() == ENTRIES_MAX || bytes > BYTES_MAX {
            return Ok((entries, true));
        }
        entries.push(entry);
    }
    Ok((entries, false))
}

pub(crate) fn insert_report(tx: &Transaction<'_>, made: &Made, content: &[u8]) -> Result<()> {
    tx.prepare_cached(
        "INSERT INTO audit_reports (id, schedule_id, name, type, format, from_ms, to_ms, record_count, requested_by, \
         created_ms, digest, content) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)",
    )?
    .execute((
        &made.id,
        &made.schedule_id,
        &made.name,
        type_word(made.report_type),
        kind(made.format).1,
        made.from.milliseconds(),
        made.to.milliseconds(),
        i64::try_from(made.record_count).unwrap_or(i64::MAX),
        &made.requested_by,
        made.created_at.milliseconds(),
        &made.digest,
        content,
    ))?;
    Ok(())
}

/// The reports that were made last, the latest first.
pub(crate) fn reports(tx: &Transaction<'_>) -> Result<Vec<Made>> {
    let mut select = tx.prepare_cached("SELECT * FROM audit_reports ORDER BY seq DESC LIMIT ?1")?;
    let found = select
        .query_map([LIST_MAX], read_report)?
        .collect::<rusqlite::Result<_>>()?;
    Ok(found)
}

/// A report with its file.
pub(crate) fn report(tx: &Transaction<'_>, id: &str) -> Result<(Made, Vec<u8>)> {
    tx.prepare_cached("SELECT * FROM audit_reports WHERE id = ?1")?
        .query_row([id], |row| Ok((read_report(row)?, row.get("content")?)))
        .optional()?
        .ok_or_else(|| Error::not_found(format!("report `{}` does not exist", id.escape_debug())))
}

/// When a schedule is due: none where that is not known, or was known of another time in its place.
pub(crate) fn due(tx: &Transaction<'_>, schedule: &Schedule) -> Result<Option<Timestamp>> {
    let text = String::from(schedule.schedule.clone());
    let next: Option<i64> = tx
        .prepare_cached(
            "SELECT next_ms FROM audit_report_runs WHERE schedule_id = ?1 AND schedule = ?2",
        )?
        .query_row((&schedule.id, text), |row| row.get(0))
        .optional()?
        .flatten();
    Ok(next.map(Timestamp::from_milliseconds))
}

pub(crate) fn set_due(
    tx: &Transaction<'_>,
    schedule: &Schedule,
    next: Option<Timestamp>,
) -> Result<()> {
    tx.prepare_cached(
        "INSERT INTO audit_report_runs (schedule_id, schedule, next_ms) VALUES (?1, ?2, ?3) \
         ON CONFLICT (schedule_id) DO UPDATE SET schedule = ?2, next_ms = ?3",
    )?
    .execute((
        &schedule.id,
        String::from(schedule.schedule.clone()),
        next.map(Timestamp::milliseconds),
    ))?;
    Ok(())
}

fn read_report(row: &Row<'_>) -> rusqlite::Result<Made> {
    let word = |column: &str| -> rusqlite::Result<serde_json::Value> {
        Ok(row.get::<_, String>(column)?.into())
    };
    let damaged = |error: serde_json::Error| {
        rusqlite::Error::FromSqlConversionFailure(0, rusqlite::types::Type::Text, error.into())
    };
    Ok(Made {
        id: row.get("id")?,
        schedule_id: row.get("schedule_id")?,
        name: row.get("name")?,
        report_type: serde_json::from_value(word("type")?).map_err(damaged)?,
        format: serde_json::from_value(word("format")?).map_err(damaged)?,
        from: Timestamp::from_milliseconds(row.get("from_ms")?),
        to: Timestamp::from_milliseconds(row.get("to_ms")?),
        record_count: u64::try_from(row.get::<_, i64>("record_count")?).unwrap_or(0),
        requested_by: row.get("requested_by")?,
        created_at: Timestamp::from_milliseconds(row.get("created_ms")?),
        digest: row.get("digest")?,
    })
}
