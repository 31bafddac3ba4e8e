//! One operation on many samples. Each is changed by itself, with its own event, whatever becomes of the others.

use nanopore::sample::{Priority, Stage, Status};
use sagabus::Result;
use serde_json::Map;

use super::{Actor, SampleService};
use crate::model::Sample;

/// What is done to each sample.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Operation {
    /// It is deleted.
    Delete,
    /// It is archived.
    Archive {
        /// Why.
        reason: Option<String>,
    },
    /// It is given to a person.
    Assign {
        /// Who has it.
        assigned_to: String,
        /// Who prepares the library.
        library_prep_by: Option<String>,
    },
    /// It moves along a legal transition.
    UpdateStatus {
        /// Where to.
        status: Status,
        /// Why.
        reason: Option<String>,
    },
    /// It becomes more or less urgent.
    UpdatePriority {
        /// How urgent.
        priority: Priority,
    },
    /// It goes on by one processing step.
    Stage {
        /// To which one.
        stage: Stage,
    },
}

impl SampleService {
    /// Does `operation` to each of the samples, one after the other; nothing of a sample that was deleted is returned.
    ///
    /// # Cancel safety
    /// Those that were changed stay so, each with its event.
    pub async fn bulk(
        &self,
        operation: &Operation,
        ids: Vec<String>,
        actor: &Actor,
    ) -> Vec<(String, Result<Option<Sample>>)> {
        let mut outcomes = Vec::with_capacity(ids.len());
        for id in ids {
            let outcome = self.one_of_many(operation, id.clone(), actor.clone()).await;
            outcomes.push((id, outcome));
        }
        outcomes
    }

    async fn one_of_many(
        &self,
        operation: &Operation,
        id: String,
        actor: Actor,
    ) -> Result<Option<Sample>> {
        let sample = match operation.clone() {
            Operation::Delete => {
                self.delete(id, None, actor).await?;
                return Ok(None);
            }
            Operation::Archive { reason } => {
                let to = Status::Archived;
                self.set_status(id, to, reason, None, actor).await?
            }
            Operation::Assign {
                assigned_to,
                library_prep_by,
            } => {
                self.assign(id, assigned_to, library_prep_by, None, actor)
                    .await?
            }
            Operation::UpdateStatus { status, reason } => {
                self.set_status(id, status, reason, None, actor).await?
            }
            Operation::UpdatePriority { priority } => {
                let mut patch = Map::new();
                patch.insert("priority".to_owned(), priority.as_str().into());
                self.update(id, patch, None, actor).await?
            }
            Operation::Stage { stage } => self.move_to_stage(id, stage, None, actor).await?,
        };
        Ok(Some(sample))
    }
}
