//! Adds an entry at the end of the trail.

use sagabus::sqlite::rusqlite::types::{Value, ValueRef};
use sagabus::sqlite::rusqlite::{Transaction, params_from_iter};
use sagabus::{Result, Timestamp};

use super::{COLUMNS, category, outcome, severity, tree};
use crate::leaf;
use crate::merkle::{self, Hash};
use crate::model::Act;

/// Adds `act` as the next entry and returns its sequence and its leaf.
pub(crate) fn append(
    tx: &Transaction<'_>,
    id: &str,
    act: &Act,
    now: Timestamp,
) -> Result<(u64, Hash)> {
    let index = tree::size(tx)?;
    let seq = index + 1;
    let text = |text: &str| Value::Text(text.to_owned());
    let option = |it: &Option<String>| it.clone().map_or(Value::Null, Value::Text);
    let bytes = |it: &Option<Vec<u8>>| it.clone().map_or(Value::Null, Value::Blob);
    let values = [
        Value::Integer(tree::number(seq)),
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
        option(&act.more.reason),
        option(&act.more.ip_address),
        option(&act.more.user_agent),
        option(&act.more.session_id),
        match act.more.tags.as_slice() {
            [] => Value::Null,
            tags => Value::Text(serde_json::Value::from(tags).to_string()),
        },
        act.more
            .duration_ms
            .map_or(Value::Null, |ms| Value::Integer(ms.into())),
        bytes(&act.more.old_values),
        bytes(&act.more.new_values),
        Value::Blob(act.details.clone()),
    ];
    let leaf = add(tx, index, &values)?;
    Ok((seq, leaf))
}

/// Adds the columns of an entry, and its leaf.
pub(super) fn add(tx: &Transaction<'_>, index: u64, values: &[Value]) -> Result<Hash> {
    let leaf = merkle::leaf(&leaf::bytes(values.iter().map(ValueRef::from)));
    let places = vec!["?"; values.len()].join(", ");
    tx.prepare_cached(&format!(
        "INSERT INTO audit_entries ({COLUMNS}) VALUES ({places})"
    ))?
    .execute(params_from_iter(values))?;
    tree::push(tx, index, leaf)?;
    Ok(leaf)
}
