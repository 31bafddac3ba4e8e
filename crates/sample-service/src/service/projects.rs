//! Projects: what submissions and their samples are for.

use nanopore::sample::{FieldErrors, NewProject, ProjectStatus};
use sagabus::sqlite::rusqlite::Transaction;
use sagabus::{Error, ErrorKind, EventId, Result};
use serde_json::{Map, Value};

use super::{Actor, SampleService, conflict};
use crate::model::{Page, Project};
use crate::repository as rows;

impl SampleService {
    /// Begins a project; publishes `project.created`.
    ///
    /// # Errors
    /// `Invalid`, with every wrong field; `Conflict` when another has its name.
    ///
    /// # Cancel safety
    /// The change is made with its event or not at all.
    pub async fn create_project(
        &self,
        fields: &Map<String, Value>,
        actor: Actor,
    ) -> Result<Project> {
        let fields = NewProject::read(fields)?;
        self.change(actor, move |tx, act| {
            check_name(tx, &fields.name)?;
            let project = Project {
                id: EventId::generate(act.publisher.clock).to_string(),
                version: 1,
                fields,
                created_at: act.now,
                updated_at: act.now,
                created_by: act.user_id().to_owned(),
            };
            rows::put_project(tx, &project)?;
            let event = act.publisher.project_created(&project)?;
            Ok((project, vec![event]))
        })
        .await
    }

    /// Changes fields of a project; publishes `project.updated`, or nothing when nothing changes.
    ///
    /// # Errors
    /// `NotFound`; `Invalid`, with every wrong field; `Conflict` when another has its name or the version is another.
    ///
    /// # Cancel safety
    /// The change is made with its event or not at all.
    pub async fn update_project(
        &self,
        id: String,
        patch: Map<String, Value>,
        expected: Option<u64>,
        actor: Actor,
    ) -> Result<Project> {
        self.change(actor, move |tx, act| {
            let mut project = rows::get_project(tx, &id)?;
            if let Some(version) = expected
                && version != project.version
            {
                let text = format!("project has version {}, not {version}", project.version);
                return Err(Error::new(ErrorKind::Conflict, text));
            }
            let (fields, changes) = project.fields.patched(&patch)?;
            if changes.is_empty() {
                return Ok((project, vec![]));
            }
            if fields.name != project.fields.name {
                check_name(tx, &fields.name)?;
            }
            project.fields = fields;
            project.version += 1;
            project.updated_at = act.now;
            rows::put_project(tx, &project)?;
            let event = act.publisher.project_updated(&project, changes)?;
            Ok((project, vec![event]))
        })
        .await
    }

    /// One project.
    ///
    /// # Errors
    /// `NotFound`.
    ///
    /// # Cancel safety
    /// Safe: only reads.
    pub async fn project(&self, id: String) -> Result<Project> {
        self.read(move |tx| rows::get_project(tx, &id)).await
    }

    /// One page of projects, newest first, and how many there are in all.
    ///
    /// # Errors
    /// As the database says.
    ///
    /// # Cancel safety
    /// Safe: only reads.
    pub async fn projects(
        &self,
        status: Option<ProjectStatus>,
        page: Page,
    ) -> Result<(Vec<Project>, u64)> {
        self.read(move |tx| rows::list_projects(tx, status, page))
            .await
    }
}

fn check_name(tx: &Transaction<'_>, name: &str) -> Result<()> {
    match rows::project_named(tx, name)? {
        None => Ok(()),
        Some(_) => {
            let text = format!("is `{}`, as that of another project", name.escape_debug());
            Err(conflict(
                "project has the name of another",
                FieldErrors::one("name", text),
            ))
        }
    }
}
