//! Projects as rows of their table.

use nanopore::sample::ProjectStatus;
use sagabus::sqlite::rusqlite::{self, OptionalExtension, Row, Transaction};
use sagabus::{Error, Result};

use super::{damaged, time};
use crate::model::{Page, Project};

/// Keeps a project in the place of the version before, or as a new one.
pub(crate) fn put_project(tx: &Transaction<'_>, project: &Project) -> Result<()> {
    let fields = serde_json::to_string(&project.fields)
        .map_err(|error| Error::invalid("project cannot be written as JSON").with_source(error))?;
    tx.prepare_cached(
        "INSERT INTO projects (id, version, fields, created_ms, updated_ms, created_by) VALUES (?1, ?2, ?3, ?4, ?5, ?6) \
         ON CONFLICT (id) DO UPDATE SET version = ?2, fields = ?3, updated_ms = ?5",
    )?
    .execute((
        &project.id,
        i64::try_from(project.version).unwrap_or(i64::MAX),
        fields,
        project.created_at.milliseconds(),
        project.updated_at.milliseconds(),
        &project.created_by,
    ))?;
    Ok(())
}

/// The id of the project of that name.
pub(crate) fn project_named(tx: &Transaction<'_>, name: &str) -> Result<Option<String>> {
    Ok(tx
        .prepare_cached("SELECT id FROM projects WHERE name = ?1")?
        .query_row([name], |row| row.get(0))
        .optional()?)
}

pub(crate) fn find_project(tx: &Transaction<'_>, id: &str) -> Result<Option<Project>> {
    Ok(tx
        .prepare_cached("SELECT * FROM projects WHERE id = ?1")?
        .query_row([id], read_project)
        .optional()?)
}

pub(crate) fn get_project(tx: &Transaction<'_>, id: &str) -> Result<Project> {
    find_project(tx, id)?
        .ok_or_else(|| Error::not_found(format!("project `{}` does not exist", id.escape_debug())))
}

/// One page of projects, newest first, and how many there are in all.
pub(crate) fn list_projects(
    tx: &Transaction<'_>,
    status: Option<ProjectStatus>,
    page: Page,
) -> Result<(Vec<Project>, u64)> {
    let status = status.map(ProjectStatus::as_str);
    let total: i64 = tx.query_row(
        "SELECT count(*) FROM projects WHERE ?1 IS NULL OR status = ?1",
        [status],
        |row| row.get(0),
    )?;
    let offset = i64::try_from(page.offset()).unwrap_or(i64::MAX);
    let mut select = tx.prepare_cached(
        "SELECT * FROM projects WHERE ?1 IS NULL OR status = ?1 ORDER BY seq DESC LIMIT ?2 OFFSET ?3",
    )?;
    let projects = select
        .query_map((status, page.limit, offset), read_project)?
        .collect::<rusqlite::Result<_>>()?;
    Ok((projects, u64::try_from(total).unwrap_or(0)))
}

fn read_project(row: &Row<'_>) -> rusqlite::Result<Project> {
    let fields: String = row.get("fields")?;
    Ok(Project {
        id: row.get("id")?,
        version: u64::try_from(row.get::<_, i64>("version")?).unwrap_or(0),
        fields: serde_json::from_str(&fields).map_err(damaged)?,
        created_at: time(row, "created_ms")?,
        updated_at: time(row, "updated_ms")?,
        created_by: row.get("created_by")?,
    })
}
