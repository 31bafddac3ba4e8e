//! When alerts told of which entries.

use sagabus::sqlite::rusqlite::Transaction;
use sagabus::{Result, Timestamp};

use super::tree;
use crate::model::{Alert, Told};

/// Whether the alert has told of an entry after this time.
pub(crate) fn has_told(tx: &Transaction<'_>, alert: &Alert, after: Timestamp) -> Result<bool> {
    let told = "SELECT 1 FROM audit_alert_history WHERE alert_id = ?1 AND triggered_ms > ?2";
    Ok(tx
        .prepare_cached(told)?
        .exists((&alert.id, after.milliseconds()))?)
}

/// Notes that the alert has told of an entry.
pub(crate) fn add_told(
    tx: &Transaction<'_>,
    alert: &Alert,
    (audit_id, sequence): (&str, u64),
    now: Timestamp,
) -> Result<()> {
    let recipients = serde_json::Value::from(alert.recipients.as_slice()).to_string();
    tx.prepare_cached(
        "INSERT INTO audit_alert_history (alert_id, audit_id, seq, triggered_ms, recipients) VALUES (?1, ?2, ?3, ?4, ?5)",
    )?
    .execute((&alert.id, audit_id, tree::number(sequence), now.milliseconds(), recipients))?;
    Ok(())
}

/// What alerts told last, the latest first.
pub(crate) fn told(tx: &Transaction<'_>, count_max: u32) -> Result<Vec<Told>> {
    let mut select = tx.prepare_cached(
        "SELECT alert_id, audit_id, seq, triggered_ms, recipients FROM audit_alert_history ORDER BY id DESC LIMIT ?1",
    )?;
    let rows = select.query_map([count_max], |row| {
        let recipients: String = row.get(4)?;
        Ok(Told {
            alert_id: row.get(0)?,
            audit_id: row.get(1)?,
            sequence: u64::try_from(row.get::<_, i64>(2)?).unwrap_or(0),
            triggered_at: Timestamp::from_milliseconds(row.get(3)?),
            recipients: serde_json::from_str(&recipients).unwrap_or_default(),
        })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}
