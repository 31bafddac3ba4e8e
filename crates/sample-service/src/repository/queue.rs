//! The queue as SQL.

use nanopore::sample::Priority;
use nanopore::sample::queue::head_start_ms;
use sagabus::Result;
use sagabus::sqlite::rusqlite::types::Value;
use sagabus::sqlite::rusqlite::{self, Transaction, params_from_iter};

use super::samples::read_sample;
use crate::model::{Page, QueueFilter, Sample, Show};

/// One page of the queue, first the one whose turn it is, and how many there are in all.
pub(crate) fn queue(
    tx: &Transaction<'_>,
    filter: &QueueFilter,
    page: Page,
) -> Result<(Vec<(u64, Sample)>, u64)> {
    let mut parts = vec!["status IN ('submitted', 'prep', 'sequencing', 'analysis')".to_owned()];
    let mut values = Vec::new();
    parts.push(
        match filter.show {
            Show::Ready => "held_since_ms IS NULL AND received_ms IS NOT NULL",
            Show::Held => "held_since_ms IS NOT NULL",
            Show::Expected => "held_since_ms IS NULL AND received_ms IS NULL",
        }
        .to_owned(),
    );
    if let Some(stage) = filter.stage {
        parts.push("stage = ?".to_owned());
        values.push(Value::Text(stage.as_str().to_owned()));
    }
    if let Some(person) = &filter.assigned_to {
        parts.push("assigned_to = ?".to_owned());
        values.push(Value::Text(person.clone()));
    }
    let condition = parts.join(" AND ");
    let total: i64 = tx.query_row(
        &format!("SELECT count(*) FROM samples WHERE {condition}"),
        params_from_iter(&values),
        |row| row.get(0),
    )?;
    let starts = Priority::ALL.map(|it| format!("WHEN '{it}' THEN {}", head_start_ms(it)));
    let offset = page.offset();
    values.push(Value::Integer(page.limit.into()));
    values.push(Value::Integer(i64::try_from(offset).unwrap_or(i64::MAX)));
    let mut select = tx.prepare(&format!(
        "SELECT * FROM samples WHERE {condition} \
         ORDER BY max(submitted_ms, coalesce(received_ms, submitted_ms)) - CASE priority {} ELSE 0 END, seq \
         LIMIT ? OFFSET ?",
        starts.join(" ")
    ))?;
    let samples: Vec<Sample> = select
        .query_map(params_from_iter(&values), read_sample)?
        .collect::<rusqlite::Result<_>>()?;
    let places = offset.saturating_add(1)..;
    Ok((
        places.zip(samples).collect(),
        u64::try_from(total).unwrap_or(0),
    ))
}
