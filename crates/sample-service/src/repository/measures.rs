//! Figures of all samples as SQL.

use sagabus::Result;
use sagabus::sqlite::rusqlite::{self, Transaction};

use crate::model::{Measures, PROCESSING_SECONDS};

/// How many samples there are of each kind, and how long the completed ones took.
pub(crate) fn measures(tx: &Transaction<'_>) -> Result<Measures> {
    let mut measures = Measures::default();
    let mut select = tx.prepare_cached(
        "SELECT sample_type, priority, count(*) FROM samples GROUP BY sample_type, priority",
    )?;
    measures.samples = select
        .query_map([], |row| {
            let count: i64 = row.get(2)?;
            Ok((row.get(0)?, row.get(1)?, u64::try_from(count).unwrap_or(0)))
        })?
        .collect::<rusqlite::Result<_>>()?;
    let mut select = tx.prepare_cached(
        "SELECT (completed_ms - max(submitted_ms, coalesce(received_ms, submitted_ms)) - held_total_ms) / 1000.0 \
         FROM samples WHERE completed_ms IS NOT NULL",
    )?;
    let mut rows = select.query([])?;
    while let Some(row) = rows.next()? {
        let seconds = row.get::<_, f64>(0)?.max(0.0);
        let place = PROCESSING_SECONDS.partition_point(|bound| f64::from(*bound) < seconds);
        if let Some(count) = measures.processing_counts.get_mut(place) {
            *count += 1;
        }
        measures.processing_seconds += seconds;
    }
    Ok(measures)
}
