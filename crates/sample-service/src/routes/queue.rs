//! The queue, the clock of a sample, and operations on many samples over HTTP.

use std::collections::HashSet;

use axum::Json;
use axum::extract::{Path, State};
use http_api::{Body, Caller, Pairs, Reply};
use nanopore::problem::Problem;
use nanopore::sample::queue::Reading;
use nanopore::sample::{FieldErrors, Priority, Status};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Value, json};

use super::actor::actor;
use super::work::stage;
use crate::model::{QueueEntry, QueueFilter};
use crate::service::{Operation, SampleService};

/// Most samples of one operation.
const IDS_MAX: usize = 100;

type Service = State<SampleService>;

/// One page of the queue.
#[derive(Debug, JsonSchema, Serialize)]
pub(super) struct Queue {
    queue: Vec<QueueEntry>,
    total: u64,
    page: u32,
    limit: u32,
}

pub(super) async fn queue(State(service): Service, Pairs(pairs): Pairs) -> Reply<Json<Queue>> {
    let (filter, page) = QueueFilter::read(pairs)?;
    let (queue, total) = service.queue(filter, page).await?;
    Ok(Json(Queue {
        queue,
        total,
        page: page.page,
        limit: page.limit,
    }))
}

pub(super) async fn turnaround(
    State(service): Service,
    Path(id): Path<String>,
) -> Reply<Json<Reading>> {
    Ok(Json(service.turnaround(id).await?))
}

pub(super) async fn bulk(
    State(service): Service,
    caller: Caller,
    body: Body,
) -> Reply<Json<Value>> {
    let operation = operation(&body)?;
    let ids = ids(&body)?;
    let actor = actor(&caller, &*service.clock);
    let outcomes = service.bulk(&operation, ids, &actor).await;
    let mut succeeded = 0;
    let results: Vec<_> = outcomes
        .into_iter()
        .map(|(id, outcome)| match outcome {
            Ok(sample) => {
                succeeded += 1;
                let (version, status) = sample.map(|it| (it.version, it.status)).unzip();
                json!({"id": id, "ok": true, "version": version, "status": status})
            }
            Err(error) => {
                let problem = Problem::from(&error);
                if problem.status >= 500 {
                    tracing::error!(error = error.chain(), "one of many failed");
                }
                json!({"id": id, "ok": false, "problem": problem})
            }
        })
        .collect();
    let failed = results.len() - succeeded;
    Ok(Json(json!({
        "results": results,
        "succeeded": succeeded,
        "failed": failed,
    })))
}

fn operation(body: &Body) -> Result<Operation, FieldErrors> {
    let word = body.text("operation")?;
    let only = |fields: &[&str]| body.only(&[&["operation", "ids"], fields].concat());
    Ok(match word.as_str() {
        "delete" => {
            only(&[])?;
            Operation::Delete
        }
        "archive" => {
            only(&["reason"])?;
            Operation::Archive {
                reason: body.text_option("reason")?,
            }
        }
        "assign" => {
            only(&["assignedTo", "libraryPrepBy"])?;
            Operation::Assign {
                assigned_to: body.text("assignedTo")?,
                library_prep_by: body.text_option("libraryPrepBy")?,
            }
        }
        "updateStatus" => {
            only(&["status", "reason"])?;
            Operation::UpdateStatus {
                status: one_of("status", &body.text("status")?, Status::from_word)?,
                reason: body.text_option("reason")?,
            }
        }
        "updatePriority" => {
            only(&["priority"])?;
            Operation::UpdatePriority {
                priority: one_of("priority", &body.text("priority")?, Priority::from_word)?,
            }
        }
        "stage" => {
            only(&["stage"])?;
            Operation::Stage {
                stage: stage(&body.text("stage")?)?,
            }
        }
        _ => {
            let text = format!(
                "is `{}`, not one of delete, archive, assign, updateStatus, updatePriority, stage",
                word.escape_debug()
            );
            return Err(FieldErrors::one("operation", text));
        }
    })
}

fn one_of<T>(field: &str, word: &str, from_word: fn(&str) -> Option<T>) -> Result<T, FieldErrors> {
    from_word(word)
        .ok_or_else(|| FieldErrors::one(field, format!("has no value `{}`", word.escape_debug())))
}

/// The ids of the samples, each once.
fn ids(body: &Body) -> Result<Vec<String>, FieldErrors> {
    let Some(list) = body.0.get("ids").and_then(Value::as_array) else {
        return Err(FieldErrors::one("ids", "must be a list of ids"));
    };
    if list.is_empty() || list.len() > IDS_MAX {
        let text = format!("has {} ids, not 1 to {IDS_MAX}", list.len());
        return Err(FieldErrors::one("ids", text));
    }
    let mut met = HashSet::new();
    let mut ids = Vec::with_capacity(list.len());
    let mut errors = FieldErrors::default();
    for (index, id) in list.iter().enumerate() {
        match id.as_str() {
            Some(id) if met.insert(id) => ids.push(id.to_owned()),
            Some(_) => errors.add(format!("ids[{index}]"), "is given twice"),
            None => errors.add(format!("ids[{index}]"), "must be a text"),
        }
    }
    match errors.0.is_empty() {
        true => Ok(ids),
        false => Err(errors),
    }
}
