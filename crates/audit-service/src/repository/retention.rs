//! What was laid down for the trail, read from its entries, and the emptying of entries whose time is over.

use std::collections::BTreeMap;

use sagabus::sqlite::rusqlite::types::Value;
use sagabus::sqlite::rusqlite::{Transaction, params_from_iter};
use sagabus::{Error, ErrorKind, Result, Timestamp};

use super::{category, tree};
use crate::model::{Declared, Hold, Policy};

/// Everything of a kind that was laid down and not ended, by name.
///
/// # Errors
/// `Corrupt` for an entry that cannot be read: what is held must be known before anything is emptied.
pub(crate) fn declared<D: Declared>(tx: &Transaction<'_>) -> Result<BTreeMap<String, D>> {
    let [set, lifted] = D::ACTIONS;
    let mut select = tx.prepare_cached(
        "SELECT action, resource_id, details, seq FROM audit_entries \
         WHERE action IN (?1, ?2) AND service = 'audit-service' ORDER BY seq",
    )?;
    let mut rows = select.query((set, lifted))?;
    let mut declared = BTreeMap::new();
    while let Some(row) = rows.next()? {
        let (action, id): (String, String) = (row.get(0)?, row.get(1)?);
        if action == set {
            let details: Vec<u8> = row.get(2)?;
            let read = serde_json::from_slice(&details).map_err(|error| {
                let sequence: i64 = row.get(3).unwrap_or(0);
                let text = format!("audit entry {sequence} lays down what cannot be read");
                Error::new(ErrorKind::Corrupt, text).with_source(error)
            })?;
            declared.insert(id, read);
        } else {
            declared.remove(&id);
        }
    }
    Ok(declared)
}

/// Entries from before `cutoff` that a policy is for and no hold keeps, the oldest first, as ranges of sequences. The trail's
/// own entries stay for good: they say what was emptied.
pub(crate) fn over(
    tx: &Transaction<'_>,
    policy: &Policy,
    holds: &BTreeMap<String, Hold>,
    (cutoff, count_max): (Timestamp, u32),
) -> Result<Vec<(u64, u64)>> {
    let mut sql =
        "SELECT seq FROM audit_entries WHERE recorded_ms < ? AND substr(action, 1, 6) <> 'audit.'"
            .to_owned();
    let mut values = vec![Value::Integer(cutoff.milliseconds())];
    let text = |it: &str| Value::Text(it.to_owned());
    if let Some(of) = policy.category {
        sql.push_str(" AND category = ?");
        values.push(text(category(of)));
    }
    if let Some(of) = &policy.resource {
        sql.push_str(" AND resource = ?");
        values.push(text(of));
    }
    for hold in holds.values() {
        sql.push_str(" AND NOT (1");
        let texts = [
            ("resource", &hold.resource),
            ("resource_id", &hold.resource_id),
            ("actor_id", &hold.actor_id),
        ];
        for (column, of) in texts {
            if let Some(of) = of {
                // `IS`, as a column without a value is not held and must not make the whole unknown.
                sql.extend([" AND ", column, " IS ?"]);
                values.push(text(of));
            }
        }
        for (operator, of) in [(">=", hold.from), ("<=", hold.to)] {
            if let Some(of) = of {
                sql.extend([" AND time_ms ", operator, " ?"]);
                values.push(Value::Integer(of.milliseconds()));
            }
        }
        sql.push(')');
    }
    sql.push_str(" ORDER BY seq LIMIT ?");
    values.push(Value::Integer(count_max.into()));
    let mut select = tx.prepare(&sql)?;
    let mut rows = select.query(params_from_iter(&values))?;
    let mut ranges: Vec<(u64, u64)> = Vec::new();
    while let Some(row) = rows.next()? {
        let seq = u64::try_from(row.get::<_, i64>(0)?).unwrap_or(0);
        match ranges.last_mut() {
            Some((_, last)) if *last + 1 == seq => *last = seq,
            _ => ranges.push((seq, seq)),
        }
    }
    Ok(ranges)
}

/// Takes the content of entries. Their leaves stay, and so does what their events are called, so that none is taken again.
pub(crate) fn empty(tx: &Transaction<'_>, ranges: &[(u64, u64)]) -> Result<()> {
    tx.execute("UPDATE audit_head SET is_emptying = 1", [])?;
    for (from, to) in ranges {
        let range = (tree::number(*from), tree::number(*to));
        tx.prepare_cached(
            "INSERT OR IGNORE INTO audit_emptied_events \
             SELECT event_id FROM audit_entries WHERE seq BETWEEN ?1 AND ?2 AND event_id IS NOT NULL",
        )?
        .execute(range)?;
        tx.prepare_cached("DELETE FROM audit_entries WHERE seq BETWEEN ?1 AND ?2")?
            .execute(range)?;
    }
    tx.execute("UPDATE audit_head SET is_emptying = 0", [])?;
    Ok(())
}
