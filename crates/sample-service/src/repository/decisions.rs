//! Decisions about samples as rows of their table.

use nanopore::sample::{QcDecision, Stage};
use sagabus::sqlite::rusqlite::{self, OptionalExtension, Row, Transaction};
use sagabus::{Error, Result, Timestamp};

use super::{damaged, time, time_option, word};
use crate::model::{Decision, DecisionFilter, DecisionState, Page};

/// Most questions about one sample in an answer.
const OF_SAMPLE_MAX: u32 = 1_000;

pub(crate) fn insert_decision(tx: &Transaction<'_>, it: &Decision) -> Result<()> {
    tx.prepare_cached(
        "INSERT INTO qc_decisions (id, saga_id, sample_id, sample_name, stage, error, state, requested_ms, due_ms, reason, \
         entered_by, ended_ms) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)",
    )?
    .execute((
        &it.id,
        &it.saga_id,
        &it.sample_id,
        &it.sample_name,
        it.stage.as_str(),
        &it.error,
        it.state.as_str(),
        it.requested_at.milliseconds(),
        it.due_at.milliseconds(),
        &it.reason,
        &it.entered_by,
        it.ended_at.map(Timestamp::milliseconds),
    ))?;
    Ok(())
}

pub(crate) fn update_decision(tx: &Transaction<'_>, it: &Decision) -> Result<()> {
    tx.prepare_cached(
        "UPDATE qc_decisions SET state = ?2, overdue_ms = ?3, decision = ?4, author = ?5, reason = ?6, entered_by = ?7, \
         decided_ms = ?8, ended_ms = ?9 WHERE id = ?1",
    )?
    .execute((
        &it.id,
        it.state.as_str(),
        it.overdue_at.map(Timestamp::milliseconds),
        it.decision.map(QcDecision::as_str),
        &it.author,
        &it.reason,
        &it.entered_by,
        it.decided_at.map(Timestamp::milliseconds),
        it.ended_at.map(Timestamp::milliseconds),
    ))?;
    Ok(())
}

pub(crate) fn find_decision(tx: &Transaction<'_>, id: &str) -> Result<Option<Decision>> {
    Ok(tx
        .prepare_cached("SELECT * FROM qc_decisions WHERE id = ?1")?
        .query_row([id], read_decision)
        .optional()?)
}

/// The question about a sample that something is still to be done about.
pub(crate) fn open_decision(tx: &Transaction<'_>, sample_id: &str) -> Result<Option<Decision>> {
    Ok(tx
        .prepare_cached(
            "SELECT * FROM qc_decisions WHERE sample_id = ?1 AND state IN ('waiting', 'decided')",
        )?
        .query_row([sample_id], read_decision)
        .optional()?)
}

/// The questions about a sample, oldest first; also about one that was deleted.
pub(crate) fn decisions_of(tx: &Transaction<'_>, sample_id: &str) -> Result<Vec<Decision>> {
    let mut select = tx.prepare_cached(
        "SELECT * FROM (SELECT * FROM qc_decisions WHERE sample_id = ?1 ORDER BY seq DESC LIMIT ?2) ORDER BY seq",
    )?;
    let found = select
        .query_map((sample_id, OF_SAMPLE_MAX), read_decision)?
        .collect::<rusqlite::Result<_>>()?;
    Ok(found)
}

/// One page of questions, the one that is asked longest first, and how many there are in all.
pub(crate) fn list_decisions(
    tx: &Transaction<'_>,
    filter: DecisionFilter,
    page: Page,
) -> Result<(Vec<Decision>, u64)> {
    const CONDITION: &str =
        "WHERE (?1 IS NULL OR state = ?1) AND (?2 IS NULL OR (overdue_ms IS NOT NULL) = ?2)";
    let state = filter.state.map(DecisionState::as_str);
    let total: i64 = tx.query_row(
        &format!("SELECT count(*) FROM qc_decisions {CONDITION}"),
        (state, filter.is_overdue),
        |row| row.get(0),
    )?;
    let offset = i64::try_from(page.offset()).unwrap_or(i64::MAX);
    let mut select = tx.prepare_cached(&format!(
        "SELECT * FROM qc_decisions {CONDITION} ORDER BY seq LIMIT ?3 OFFSET ?4"
    ))?;
    let found = select
        .query_map(
            (state, filter.is_overdue, page.limit, offset),
            read_decision,
        )?
        .collect::<rusqlite::Result<_>>()?;
    let total = u64::try_from(total).map_err(|_| Error::invalid("count is negative"))?;
    Ok((found, total))
}

fn read_decision(row: &Row<'_>) -> rusqlite::Result<Decision> {
    let decision: Option<String> = row.get("decision")?;
    let decision = decision.map(|word| {
        let known = QcDecision::from_word(&word);
        known.ok_or_else(|| damaged(format!("`decision` has no value `{word}`")))
    });
    Ok(Decision {
        id: row.get("id")?,
        saga_id: row.get("saga_id")?,
        sample_id: row.get("sample_id")?,
        sample_name: row.get("sample_name")?,
        stage: word(row, "stage", Stage::from_word)?,
        error: row.get("error")?,
        state: word(row, "state", DecisionState::from_word)?,
        requested_at: time(row, "requested_ms")?,
        due_at: time(row, "due_ms")?,
        overdue_at: time_option(row, "overdue_ms")?,
        decision: decision.transpose()?,
        author: row.get("author")?,
        reason: row.get("reason")?,
        entered_by: row.get("entered_by")?,
        decided_at: time_option(row, "decided_ms")?,
        ended_at: time_option(row, "ended_ms")?,
    })
}
