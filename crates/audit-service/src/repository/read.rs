//! Finds, lists and counts entries.

use std::collections::BTreeMap;

use nanopore::events::audit::Actor;
use sagabus::sqlite::rusqlite::types::Value;
use sagabus::sqlite::rusqlite::{self, OptionalExtension, Row, Transaction, params_from_iter};
use sagabus::{Error, Result, Timestamp};

use crate::chain::hex;
use crate::model::{Entry, Filter, Page, Statistics};

/// Whether the trail has an entry for this event.
pub(crate) fn has_event(tx: &Transaction<'_>, event_id: &str) -> Result<bool> {
    Ok(tx
        .prepare_cached("SELECT 1 FROM audit_entries WHERE event_id = ?1")?
        .exists([event_id])?)
}

pub(crate) fn find(tx: &Transaction<'_>, seq: u64) -> Result<Entry> {
    tx.prepare_cached("SELECT * FROM audit_entries WHERE seq = ?1")?
        .query_row([i64::try_from(seq).unwrap_or(-1)], read_entry)
        .optional()?
        .ok_or_else(|| Error::not_found(format!("audit entry {seq} does not exist")))
}

/// The entry at the end of the trail.
pub(crate) fn last(tx: &Transaction<'_>) -> Result<Entry> {
    Ok(tx
        .prepare_cached("SELECT * FROM audit_entries ORDER BY seq DESC LIMIT 1")?
        .query_row([], read_entry)?)
}

/// One page of the entries that `filter` lets through, newest first, and how many there are in all.
pub(crate) fn list(tx: &Transaction<'_>, filter: &Filter, page: Page) -> Result<(Vec<Entry>, u64)> {
    let (condition, mut values) = condition(filter);
    let total: i64 = tx.query_row(
        &format!("SELECT count(*) FROM audit_entries{condition}"),
        params_from_iter(&values),
        |row| row.get(0),
    )?;
    let offset = i64::from(page.page - 1).saturating_mul(page.limit.into());
    values.extend([Value::Integer(page.limit.into()), Value::Integer(offset)]);
    let mut select = tx.prepare(&format!(
        "SELECT * FROM audit_entries{condition} ORDER BY seq DESC LIMIT ? OFFSET ?"
    ))?;
    let entries = select
        .query_map(params_from_iter(&values), read_entry)?
        .collect::<rusqlite::Result<_>>()?;
    Ok((entries, unsigned(total)))
}

/// Counts of the acts done since `from`.
pub(crate) fn statistics(tx: &Transaction<'_>, from: Timestamp) -> Result<Statistics> {
    let from = from.milliseconds();
    let counts = |column: &str, order: &str| -> rusqlite::Result<Vec<(String, u64)>> {
        let mut select = tx.prepare_cached(&format!(
            "SELECT {column} AS word, count(*) FROM audit_entries WHERE time_ms >= ?1 AND word IS NOT NULL \
             GROUP BY word ORDER BY {order}"
        ))?;
        select
            .query_map([from], |row| Ok((row.get(0)?, unsigned(row.get(1)?))))?
            .collect()
    };
    let all = |column: &str| -> rusqlite::Result<BTreeMap<String, u64>> {
        Ok(counts(column, "1")?.into_iter().collect())
    };
    let top = |column: &str| counts(column, "2 DESC, 1 LIMIT 10");
    let events_by_severity = all("severity")?;
    let total_events: u64 = events_by_severity.values().sum();
    let count_of = |word: &str| events_by_severity.get(word).copied().unwrap_or(0);
    let errors = count_of("error") + count_of("critical");
    Ok(Statistics {
        total_events,
        events_by_service: all("service")?,
        events_by_category: all("category")?,
        events_by_date: all("date(time_ms / 1000, 'unixepoch')")?,
        top_users: top("actor_id")?,
        top_actions: top("action")?,
        top_resources: top("resource")?,
        error_rate: percent(errors, total_events),
        events_by_severity,
    })
}

#[expect(clippy::cast_precision_loss, reason = "a percentage for people")]
fn percent(part: u64, whole: u64) -> f64 {
    if whole == 0 {
        0.0
    } else {
        part as f64 * 100.0 / whole as f64
    }
}

fn unsigned(count: i64) -> u64 {
    u64::try_from(count).unwrap_or(0)
}

fn condition(filter: &Filter) -> (String, Vec<Value>) {
    let mut parts = Vec::new();
    let mut values = Vec::new();
    for (column, value) in &filter.equal {
        parts.push(format!("{column} = ?"));
        values.push(Value::Text(value.clone()));
    }
    for (operator, time) in [(">=", filter.from), ("<=", filter.to)] {
        if let Some(time) = time {
            parts.push(format!("time_ms {operator} ?"));
            values.push(Value::Integer(time.milliseconds()));
        }
    }
    if parts.is_empty() {
        (String::new(), values)
    } else {
        (format!(" WHERE {}", parts.join(" AND ")), values)
    }
}

fn read_entry(row: &Row<'_>) -> rusqlite::Result<Entry> {
    let details: Vec<u8> = row.get("details")?;
    let details = serde_json::from_slice(&details)
        .unwrap_or_else(|_| String::from_utf8_lossy(&details).into_owned().into());
    Ok(Entry {
        sequence: unsigned(row.get("seq")?),
        id: row.get("id")?,
        event_id: row.get("event_id")?,
        timestamp: Timestamp::from_milliseconds(row.get("time_ms")?),
        recorded_at: Timestamp::from_milliseconds(row.get("recorded_ms")?),
        actor: Actor {
            id: row.get("actor_id")?,
            email: row.get("actor_email")?,
            service: row.get("service")?,
        },
        action: row.get("action")?,
        resource: row.get("resource")?,
        resource_id: row.get("resource_id")?,
        outcome: row.get("outcome")?,
        severity: row.get("severity")?,
        category: row.get("category")?,
        correlation_id: row.get("correlation_id")?,
        causation_id: row.get("causation_id")?,
        details,
        prev_hash: hex(&row.get::<_, Vec<u8>>("prev_hash")?),
        hash: hex(&row.get::<_, Vec<u8>>("hash")?),
    })
}
