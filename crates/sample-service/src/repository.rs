//! What is kept, as SQL. All functions work in the caller's transaction; none decides anything.

mod catalogue;
mod decisions;
mod extras;
mod flow_cells;
mod measures;
mod projects;
mod queue;
mod samples;
mod steps;
mod submissions;

use sagabus::Timestamp;
use sagabus::sqlite::rusqlite::types::Type;
use sagabus::sqlite::rusqlite::{self, Row};

pub(crate) use catalogue::{count_items, find_item, list_items, put_item};
pub(crate) use decisions::{
    decisions_of, find_decision, insert_decision, list_decisions, open_decision, update_decision,
};
pub(crate) use extras::{
    attachments, delete_attachment, details, get_attachment, insert_attachment, put_details,
};
pub(crate) use flow_cells::{
    add_flow_cell_act, find_flow_cell, flow_cell_acts, flow_cells_of, get_flow_cell,
    insert_flow_cell, list_flow_cells, update_flow_cell,
};
pub(crate) use measures::measures;
pub(crate) use projects::{find_project, get_project, list_projects, project_named, put_project};
pub(crate) use queue::queue;
pub(crate) use samples::{
    add_history, delete_sample, find_sample, get_sample, history, insert_sample, list_samples,
    statistics, update_sample,
};
pub(crate) use steps::{course, steps, update_step};
pub(crate) use submissions::{
    clear_review, delete_received_submission, find_submission, get_submission, insert_submission,
    list_submissions, mark_for_review, set_event, set_kind, update_submission,
};

fn time(row: &Row<'_>, column: &str) -> rusqlite::Result<Timestamp> {
    row.get(column).map(Timestamp::from_milliseconds)
}

fn time_option(row: &Row<'_>, column: &str) -> rusqlite::Result<Option<Timestamp>> {
    Ok(row
        .get::<_, Option<i64>>(column)?
        .map(Timestamp::from_milliseconds))
}

/// A stored word of a closed list.
fn word<T>(row: &Row<'_>, column: &str, from_word: fn(&str) -> Option<T>) -> rusqlite::Result<T> {
    let word: String = row.get(column)?;
    from_word(&word).ok_or_else(|| damaged(format!("`{column}` has no value `{word}`")))
}

fn damaged(
    error: impl Into<Box<dyn std::error::Error + Send + Sync + 'static>>,
) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(0, Type::Text, error.into())
}
