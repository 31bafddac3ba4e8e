//! Finds, lists and counts entries.

use std::collections::BTreeMap;

use nanopore::events::audit::Actor;
use sagabus::sqlite::rusqlite::types::Value;
use sagabus::sqlite::rusqlite::{self, OptionalExtension, Row, Transaction, params_from_iter};
use sagabus::{Error, Result, Timestamp};

use super::{COLUMNS, to_hash, tree};
use crate::merkle::{Hash, hex};
use crate::model::{Entry, Filter, Page, REPEATED, Statistics, Top};

/// Whether the trail has an entry for this event, or one that says that it came again.
pub(crate) fn has_event(tx: &Transaction<'_>, event_id: &str) -> Result<bool> {
    let known = "SELECT 1 FROM audit_entries WHERE event_id = ?1 UNION ALL \
                 SELECT 1 FROM audit_entries WHERE resource = ?2 AND resource_id = ?1 AND action = ?3";
    let (resource, action) = REPEATED;
    Ok(tx
        .prepare_cached(known)?
        .exists((event_id, resource, action))?)
}

/// Whether the entry of this event is said to be emptied.
pub(crate) fn is_emptied(tx: &Transaction<'_>, event_id: &str) -> Result<bool> {
    let known = "SELECT 1 FROM audit_emptied_events WHERE event_id = ?1";
    Ok(tx.prepare_cached(known)?.exists([event_id])?)
}

/// Whether the trail has an entry of this id, with its content.
pub(crate) fn has_entry(tx: &Transaction<'_>, id: &str) -> Result<bool> {
    let known = "SELECT 1 FROM audit_entries WHERE id = ?1";
    Ok(tx.prepare_cached(known)?.exists([id])?)
}

pub(crate) fn find(tx: &Transaction<'_>, seq: u64) -> Result<Entry> {
    let entry = tx
        .prepare_cached(&select("WHERE seq = ?1"))?
        .query_row([tree::number(seq)], read_entry)
        .optional()?;
    entry.ok_or_else(|| match tree::size(tx) {
        Ok(size) if (1..=size).contains(&seq) => {
            Error::not_found(format!("audit entry {seq} was emptied; its leaf is kept"))
        }
        _ => Error::not_found(format!("audit entry {seq} does not exist")),
    })
}

/// Entries with their leaves.
pub(super) fn select(condition: &str) -> String {
    format!(
        "SELECT {COLUMNS}, hash FROM audit_entries LEFT JOIN audit_nodes ON level = 0 AND idx = seq - 1 {condition}"
    )
}

/// Leaf and bytes of entries after `after`, in their order; those that were emptied have no bytes.
pub(crate) fn bytes_after(
    tx: &Transaction<'_>,
    after: u64,
    count: u64,
) -> Result<Vec<(Hash, Option<Vec<u8>>)>> {
    let columns = COLUMNS.replace("seq, id", "coalesce(seq, 0), id");
    let mut select = tx.prepare_cached(&format!(
        "SELECT {columns}, hash FROM audit_nodes LEFT JOIN audit_entries ON seq = idx + 1 \
         WHERE level = 0 AND idx >= ?1 AND idx < ?2 ORDER BY idx"
    ))?;
    let mut rows = select.query((tree::number(after), tree::number(after + count)))?;
    let mut entries = Vec::new();
    while let Some(row) = rows.next()? {
        let leaf = to_hash(row.get_ref("hash")?.as_blob().unwrap_or_default())?;
        let is_emptied = row.get::<_, i64>(0)? == 0;
        let bytes = match is_emptied {
            true => None,
            false => Some(super::verify::bytes(row)?),
        };
        entries.push((leaf, bytes));
    }
    Ok(entries)
}

/// One page of the entries that `filter` lets through, newest first, and how many there are in all.
pub(crate) fn list(tx: &Transaction<'_>, filter: &Filter, page: Page) -> Result<(Vec<Entry>, u64)> {
    let (condition, mut values) = condition(filter);
    let total: i64 = tx.query_row(
        &format!("SELECT count(*) FROM audit_entries {condition}"),
        params_from_iter(&values),
        |row| row.get(0),
    )?;
    let offset = i64::from(page.page - 1).saturating_mul(page.limit.into());
    values.extend([Value::Integer(page.limit.into()), Value::Integer(offset)]);
    let sql = select(&format!("{condition} ORDER BY seq DESC LIMIT ? OFFSET ?"));
    let mut select = tx.prepare(&sql)?;
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
    let top = |column: &str| -> rusqlite::Result<Vec<Top>> {
        let most = counts(column, "2 DESC, 1 LIMIT 10")?.into_iter();
        Ok(most.map(|(name, count)| Top { name, count }).collect())
    };
    let events_by_severity = all("severity")?;
    let total_events: u64 = events_by_severity.values().sum();
    let count_of = |word: &str| events_by_severity.get(word).copied().unwrap_or(0);
    let average_response_time = tx
        .prepare_cached("SELECT avg(duration_ms) FROM audit_entries WHERE time_ms >= ?1")?
        .query_row([from], |row| row.get(0))?;
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
        average_response_time,
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

pub(super) fn condition(filter: &Filter) -> (String, Vec<Value>) {
    let mut parts = Vec::new();
    let mut values = Vec::new();
    for (column, value) in &filter.equal {
        parts.push(format!("{column} = ?"));
        values.push(Value::Text(value.clone()));
    }
    for tag in &filter.tags {
        parts.push("EXISTS (SELECT 1 FROM json_each(tags) WHERE value = ?)".to_owned());
        values.push(Value::Text(tag.clone()));
    }
    if let Some(words) = &filter.words {
        let columns = [
            "action",
            "resource_id",
            "actor_id",
            "actor_email",
            "reason",
            "details",
        ];
        let found = columns.map(|it| format!("instr(lower(CAST({it} AS TEXT)), ?) > 0"));
        parts.push(format!("({})", found.join(" OR ")));
        let words = Value::Text(words.to_lowercase());
        values.extend(columns.map(|_| words.clone()));
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
        (format!("WHERE {}", parts.join(" AND ")), values)
    }
}

pub(super) fn read_entry(row: &Row<'_>) -> rusqlite::Result<Entry> {
    let json = |column: &str| -> rusqlite::Result<serde_json::Value> {
        let bytes: Option<Vec<u8>> = row.get(column)?;
        let bytes = bytes.unwrap_or_else(|| b"null".to_vec());
        let value = serde_json::from_slice(&bytes);
        Ok(value.unwrap_or_else(|_| String::from_utf8_lossy(&bytes).into_owned().into()))
    };
    let tags: Option<String> = row.get("tags")?;
    let leaf: Option<Vec<u8>> = row.get("hash")?;
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
        reason: row.get("reason")?,
        ip_address: row.get("ip_address")?,
        user_agent: row.get("user_agent")?,
        session_id: row.get("session_id")?,
        tags: tags
            .and_then(|it| serde_json::from_str(&it).ok())
            .unwrap_or_default(),
        duration_ms: row.get("duration_ms")?,
        old_values: json("old_values")?,
        new_values: json("new_values")?,
        details: json("details")?,
        hash: hex(&leaf.unwrap_or_default()),
    })
}
