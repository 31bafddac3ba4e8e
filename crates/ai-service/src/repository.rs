//! What is kept, as SQL. All functions work in the caller's transaction; none decides anything.

mod jobs;
mod results;
mod reviews;
mod stats;

use sagabus::Timestamp;
use sagabus::sqlite::rusqlite::types::Type;
use sagabus::sqlite::rusqlite::{self, Row};

pub(crate) use jobs::{
    count_error, get_job, insert_job, job_of_step, list_jobs, open_job_count, open_jobs,
    remove_jobs, stuck_jobs, update_job,
};
pub(crate) use results::{get_result, insert_result, known_result, update_review, withdraw_result};
pub(crate) use reviews::{
    corrections, insert_correction, insert_performance, list_reviews, performance,
};
pub(crate) use stats::stats;

fn time(row: &Row<'_>, column: &str) -> rusqlite::Result<Timestamp> {
    row.get(column).map(Timestamp::from_milliseconds)
}

fn time_option(row: &Row<'_>, column: &str) -> rusqlite::Result<Option<Timestamp>> {
    Ok(row
        .get::<_, Option<i64>>(column)?
        .map(Timestamp::from_milliseconds))
}

/// A stored count or size.
fn count(row: &Row<'_>, column: &str) -> rusqlite::Result<u64> {
    u64::try_from(row.get::<_, i64>(column)?).map_err(damaged)
}

/// A stored word of a closed list.
fn word<T>(row: &Row<'_>, column: &str, from_word: fn(&str) -> Option<T>) -> rusqlite::Result<T> {
    let word: String = row.get(column)?;
    known(column, &word, from_word)
}

fn known<T>(column: &str, word: &str, from_word: fn(&str) -> Option<T>) -> rusqlite::Result<T> {
    from_word(word).ok_or_else(|| damaged(format!("`{column}` has no value `{word}`")))
}

fn json<T: serde::de::DeserializeOwned>(row: &Row<'_>, column: &str) -> rusqlite::Result<T> {
    let text: String = row.get(column)?;
    serde_json::from_str(&text).map_err(damaged)
}

fn damaged(
    error: impl Into<Box<dyn std::error::Error + Send + Sync + 'static>>,
) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(0, Type::Text, error.into())
}

/// A number as SQLite keeps it.
fn stored(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
