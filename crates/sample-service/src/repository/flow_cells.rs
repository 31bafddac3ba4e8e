//! Flow cells, what was done with them and what was on them, as rows.

use nanopore::sample::flow_cell::FlowCellState;
use sagabus::sqlite::rusqlite::{self, OptionalExtension, Row, Transaction};
use sagabus::{Error, ErrorKind, Result};

use super::{time, word};
use crate::model::{FlowCell, FlowCellAct, FlowCellFilter, Page};

/// Most acts of one flow cell in an answer.
const ACTS_MAX: u32 = 1_000;
/// Most flow cells of one sample in an answer.
const OF_SAMPLE_MAX: u32 = 1_000;

pub(crate) fn insert_flow_cell(tx: &Transaction<'_>, it: &FlowCell) -> Result<()> {
    tx.prepare_cached(
        "INSERT INTO flow_cells (id, version, product, state, loads, pores, instrument, position, created_ms, updated_ms, \
         created_by) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
    )?
    .execute((
        &it.id,
        version(it.version),
        &it.product,
        it.state.as_str(),
        it.loads,
        it.pores,
        &it.instrument,
        &it.position,
        it.created_at.milliseconds(),
        it.updated_at.milliseconds(),
        &it.created_by,
    ))?;
    Ok(())
}

/// Replaces the version before this one; another version in its place is a conflict.
pub(crate) fn update_flow_cell(tx: &Transaction<'_>, it: &FlowCell) -> Result<()> {
    let changed = tx
        .prepare_cached(
            "UPDATE flow_cells SET version = ?2, state = ?3, loads = ?4, pores = ?5, instrument = ?6, position = ?7, \
             updated_ms = ?8 WHERE id = ?1 AND version = ?2 - 1",
        )?
        .execute((
            &it.id,
            version(it.version),
            it.state.as_str(),
            it.loads,
            it.pores,
            &it.instrument,
            &it.position,
            it.updated_at.milliseconds(),
        ))?;
    match changed {
        1 => Ok(()),
        _ => Err(Error::new(
            ErrorKind::Conflict,
            format!("flow cell `{}` was changed meanwhile", it.id),
        )),
    }
}

pub(crate) fn find_flow_cell(tx: &Transaction<'_>, id: &str) -> Result<Option<FlowCell>> {
    Ok(tx
        .prepare_cached("SELECT * FROM flow_cells WHERE id = ?1")?
        .query_row([id], read_flow_cell)
        .optional()?)
}

pub(crate) fn get_flow_cell(tx: &Transaction<'_>, id: &str) -> Result<FlowCell> {
    find_flow_cell(tx, id)?.ok_or_else(|| {
        Error::not_found(format!("flow cell `{}` does not exist", id.escape_debug()))
    })
}

/// One page of flow cells, the newest first, and how many there are in all.
pub(crate) fn list_flow_cells(
    tx: &Transaction<'_>,
    filter: &FlowCellFilter,
    page: Page,
) -> Result<(Vec<FlowCell>, u64)> {
    const CONDITION: &str = "WHERE (?1 IS NULL OR state = ?1) AND (?2 IS NULL OR product = ?2)";
    let state = filter.state.map(FlowCellState::as_str);
    let total: i64 = tx.query_row(
        &format!("SELECT count(*) FROM flow_cells {CONDITION}"),
        (state, &filter.product),
        |row| row.get(0),
    )?;
    let offset = i64::try_from(page.offset()).unwrap_or(i64::MAX);
    let mut select = tx.prepare_cached(&format!(
        "SELECT * FROM flow_cells {CONDITION} ORDER BY seq DESC LIMIT ?3 OFFSET ?4"
    ))?;
    let found = select
        .query_map((state, &filter.product, page.limit, offset), read_flow_cell)?
        .collect::<rusqlite::Result<_>>()?;
    Ok((found, u64::try_from(total).unwrap_or(0)))
}

/// The flow cells that a sample was on, the first one first.
pub(crate) fn flow_cells_of(tx: &Transaction<'_>, sample_id: &str) -> Result<Vec<FlowCell>> {
    let mut select = tx.prepare_cached(
        "SELECT * FROM flow_cells WHERE id IN (SELECT flow_cell_id FROM flow_cell_samples WHERE sample_id = ?1) \
         ORDER BY seq LIMIT ?2",
    )?;
    let found = select
        .query_map((sample_id, OF_SAMPLE_MAX), read_flow_cell)?
        .collect::<rusqlite::Result<_>>()?;
    Ok(found)
}

/// Adds to what was done with a flow cell.
pub(crate) fn add_flow_cell_act(tx: &Transaction<'_>, id: &str, act: &FlowCellAct) -> Result<()> {
    tx.prepare_cached(
        "INSERT INTO flow_cell_acts (flow_cell_id, action, load_number, pores, volume, instrument, position, notes, \
         created_ms, created_by) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
    )?
    .execute((
        id,
        &act.action,
        act.load_number,
        act.pores,
        act.volume,
        &act.instrument,
        &act.position,
        &act.notes,
        act.created_at.milliseconds(),
        &act.created_by,
    ))?;
    let mut insert = tx.prepare_cached(
        "INSERT INTO flow_cell_samples (flow_cell_id, load_number, sample_id) VALUES (?1, ?2, ?3)",
    )?;
    for sample_id in &act.sample_ids {
        insert.execute((id, act.load_number, sample_id))?;
    }
    Ok(())
}

/// What was done with a flow cell, oldest first, with the samples of each load.
pub(crate) fn flow_cell_acts(tx: &Transaction<'_>, id: &str) -> Result<Vec<FlowCellAct>> {
    let mut select = tx.prepare_cached(
        "SELECT * FROM (SELECT * FROM flow_cell_acts WHERE flow_cell_id = ?1 ORDER BY seq DESC LIMIT ?2) ORDER BY seq",
    )?;
    let mut acts: Vec<FlowCellAct> = select
        .query_map((id, ACTS_MAX), read_act)?
        .collect::<rusqlite::Result<_>>()?;
    let mut samples = tx.prepare_cached(
        "SELECT sample_id FROM flow_cell_samples WHERE flow_cell_id = ?1 AND load_number = ?2 ORDER BY sample_id",
    )?;
    for act in acts.iter_mut().filter(|it| it.action == "loaded") {
        act.sample_ids = samples
            .query_map((id, act.load_number), |row| row.get(0))?
            .collect::<rusqlite::Result<_>>()?;
    }
    Ok(acts)
}

fn read_act(row: &Row<'_>) -> rusqlite::Result<FlowCellAct> {
    Ok(FlowCellAct {
        action: row.get("action")?,
        load_number: row.get("load_number")?,
        pores: row.get("pores")?,
        volume: row.get("volume")?,
        instrument: row.get("instrument")?,
        position: row.get("position")?,
        notes: row.get("notes")?,
        sample_ids: Vec::new(),
        created_at: time(row, "created_ms")?,
        created_by: row.get("created_by")?,
    })
}

fn read_flow_cell(row: &Row<'_>) -> rusqlite::Result<FlowCell> {
    Ok(FlowCell {
        id: row.get("id")?,
        version: u64::try_from(row.get::<_, i64>("version")?).unwrap_or(0),
        product: row.get("product")?,
        state: word(row, "state", FlowCellState::from_word)?,
        loads: row.get("loads")?,
        pores: row.get("pores")?,
        instrument: row.get("instrument")?,
        position: row.get("position")?,
        created_at: time(row, "created_ms")?,
        updated_at: time(row, "updated_ms")?,
        created_by: row.get("created_by")?,
    })
}

fn version(version: u64) -> i64 {
    i64::try_from(version).unwrap_or(i64::MAX)
}
