//! Which events a consumer has taken: marked in the transaction of the effect, so that a redelivery has none.

use rusqlite::Transaction;

use crate::clock::Timestamp;
use crate::error::Result;
use crate::event::EventId;

/// Whether `consumer` sees this event for the first time; marks it as seen.
///
/// Call it in the transaction of the effect: both are kept, or neither.
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
    Ok(added == 1)
}

/// Forgets events seen before `before`; returns how many. Keep longer than a redelivery can come late.
///
/// # Errors
/// As the database says.
pub fn prune(tx: &Transaction<'_>, before: Timestamp) -> Result<usize> {
    Ok(tx.execute(
        "DELETE FROM inbox WHERE seen_ms < ?1",
        [before.milliseconds()],
    )?)
}
