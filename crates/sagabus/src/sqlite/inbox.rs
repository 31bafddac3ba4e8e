//! Which events a consumer has taken: marked in the transaction of the effect, so that a redelivery has none.

use std::time::Duration;

use rusqlite::Transaction;

use crate::clock::Timestamp;
use crate::error::Result;
use crate::event::EventId;

/// How long an event is remembered: far longer than an event that was handled can be delivered again.
pub const REMEMBERED: Duration = Duration::from_hours(30 * 24);
/// Old events forgotten with each new one: more than one, so that the inbox shrinks, and few, so that it costs little.
const FORGOTTEN_MAX: u32 = 4;

/// Whether `consumer` sees this event for the first time; marks it as seen.
///
/// Call it in the transaction of the effect: both are kept, or neither. Events older than [`REMEMBERED`] are forgotten
/// on the way.
///
/// # Errors
/// As the database says.
pub fn first_time(
    tx: &Transaction<'_>,
    consumer: &str,
    event: &EventId,
    now: Timestamp,
) -> Result<bool> {
    let added = tx
        .prepare_cached(
            "INSERT INTO inbox (consumer, event_id, seen_ms) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING",
        )?
        .execute((consumer, event.as_str(), now.milliseconds()))?;
    let remembered_ms = i64::try_from(REMEMBERED.as_millis()).unwrap_or(i64::MAX);
    tx.prepare_cached(
        "DELETE FROM inbox WHERE (consumer, event_id) IN \
         (SELECT consumer, event_id FROM inbox WHERE seen_ms < ?1 ORDER BY seen_ms LIMIT ?2)",
    )?
    .execute((
        now.milliseconds().saturating_sub(remembered_ms),
        FORGOTTEN_MAX,
    ))?;
    Ok(added == 1)
}
