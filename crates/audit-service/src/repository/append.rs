//! Adds an entry at the end of the chain.

use sagabus::sqlite::rusqlite::types::{Value, ValueRef};
use sagabus::sqlite::rusqlite::{Transaction, params_from_iter};
use sagabus::{Error, ErrorKind, Result, Timestamp};

use super::{COLUMNS, category, outcome, severity, to_hash};
use crate::chain::{self, Hash};
use crate::model::Act;

/// Adds `act` as the next entry and returns its hash.
pub(crate) fn append(tx: &Transaction<'_>, id: &str, act: &Act, now: Timestamp) -> Result<Hash> {
    let (last, prev) = tx
        .prepare_cached("SELECT seq, hash FROM audit_head")?
        .query_row([], |row| {
            Ok((row.get::<_, i64>(0)?, row.get::<_, Vec<u8>>(1)?))
        })?;
    let prev = to_hash(&prev)?;
    let seq = last
        .checked_add(1)
        .ok_or_else(|| Error::new(ErrorKind::Full, "trail has no more places"))?;
    let text = |text: &str| Value::Text(text.to_owned());
    let option = |it: &Option<String>| it.clone().map_or(Value::Null, Value::Text);
    let mut values = vec![
        Value::Integer(seq),
        text(id),
        option(&act.event_id),
        Value::Integer(act.time.milliseconds()),
        Value::Integer(now.milliseconds()),
        text(&act.service),
        text(&act.action),
        option(&act.actor_id),
        option(&act.actor_email),
        text(&act.resource),
        option(&act.resource_id),
        text(outcome(act.outcome)),
        text(severity(act.severity)),
        text(category(act.category)),
        option(&act.correlation_id),
        option(&act.causation_id),
        Value::Blob(act.details.clone()),
    ];
    let hash = chain::hash(&prev, values.iter().map(ValueRef::from));
    values.push(Value::Blob(prev.to_vec()));
    values.push(Value::Blob(hash.to_vec()));
    let places = vec!["?"; values.len()].join(", ");
    tx.prepare_cached(&format!(
        "INSERT INTO audit_entries ({COLUMNS}, prev_hash, hash) VALUES ({places})"
    ))?
    .execute(params_from_iter(&values))?;
    tx.prepare_cached("UPDATE audit_head SET seq = ?1, hash = ?2")?
        .execute((seq, hash.to_vec()))?;
    Ok(hash)
}
