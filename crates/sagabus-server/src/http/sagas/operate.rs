//! What operators do to a saga.

use axum::Json;
use axum::extract::{Path, State};
use http_api::{Reply, Sent};
use sagabus::saga::{Action, Definition, InFlight};
use sagabus::{Error, Result};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::super::App;
use super::super::request::by;
use super::{read_definition, saga_id};
use crate::wire::{self, Include};

/// The verbs of operators.
pub(crate) const VERBS: [&str; 11] = [
    "cancel",
    "retry",
    "skip",
    "force-done",
    "complete",
    "abandon",
    "recompensate",
    "pause",
    "resume",
    "terminate",
    "migrate",
];

/// What an operator says besides the verb.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Said {
    #[schemars(required, with = "String", length(min = 1))]
    author: Option<String>,
    #[schemars(required, with = "String", length(min = 1))]
    reason: Option<String>,
    step: Option<String>,
    #[schemars(with = "Option<serde_json::Value>")]
    output: Option<Box<RawValue>>,
    #[schemars(with = "Option<serde_json::Value>")]
    definition: Option<Box<RawValue>>,
    in_flight: Option<String>,
}

/// `POST /api/sagas/{id}/{verb}`: what an operator does; durable when it is answered.
pub(crate) async fn operate(
    State(app): State<App>,
    Path((id, verb)): Path<(String, String)>,
    Sent(said): Sent<Said>,
) -> Reply<Json<Value>> {
    let by = by(said.author.as_deref(), said.reason.as_deref())?;
    let (id, sagas) = (saga_id(&id)?, &app.system.sagas);
    let status = match verb.as_str() {
        "migrate" => sagas.migrate(&id, &definition_of(said)?, by).await?,
        verb => sagas.operate(&id, action(verb, said)?, by).await?,
    };
    Ok(Json(wire::saga(&status, Include::Nothing)))
}

/// The definition that a saga is to go on with.
fn definition_of(said: Said) -> Result<Definition> {
    said.takes_only(&["definition"])?;
    match said.definition {
        Some(definition) => read_definition(definition.get()),
        None => Err(Error::invalid("`definition` is missing")),
    }
}

impl Said {
    /// A field that the verb does not take is refused.
    fn takes_only(&self, fields: &[&str]) -> Result<()> {
        let given = [
            ("step", self.step.is_some()),
            ("output", self.output.is_some()),
            ("definition", self.definition.is_some()),
            ("inFlight", self.in_flight.is_some()),
        ];
        for (field, is_given) in given {
            if is_given && !fields.contains(&field) {
                return Err(Error::invalid(format!("`{field}` is not for this verb")));
            }
        }
        Ok(())
    }
}

/// The action of a verb.
fn action(verb: &str, said: Said) -> Result<Action> {
    said.takes_only(match verb {
        "cancel" => &["inFlight"],
        "retry" | "skip" | "force-done" | "recompensate" => &["step"],
        "complete" => &["step", "output"],
        "abandon" | "pause" | "resume" | "terminate" => &[],
        other => return Err(no_verb(other)),
    })?;
    let Said {
        step,
        output,
        in_flight,
        ..
    } = said;
    let needed = |step: Option<String>| step.ok_or_else(|| Error::invalid("`step` is missing"));
    Ok(match verb {
        "cancel" => Action::Cancel {
            in_flight: match in_flight.as_deref() {
                None | Some("signal") => InFlight::Signal,
                Some("wait") => InFlight::Wait,
                Some("abandon") => InFlight::Abandon,
                Some(_) => {
                    let text = "`inFlight` is not one of wait, signal, abandon";
                    return Err(Error::invalid(text));
                }
            },
        },
        "retry" => Action::Retry { step },
        "skip" => Action::Skip {
            step: needed(step)?,
        },
        "force-done" => Action::ForceDone {
            step: needed(step)?,
        },
        "complete" => Action::Complete {
            step: needed(step)?,
            output: match output {
                Some(output) => output.get().to_owned().into(),
                None => return Err(Error::invalid("`output` is missing")),
            },
        },
        "abandon" => Action::Abandon,
        "recompensate" => Action::Recompensate {
            step: needed(step)?,
        },
        "pause" => Action::Pause,
        "resume" => Action::Resume,
        "terminate" => Action::Terminate,
        other => return Err(no_verb(other)),
    })
}

fn no_verb(verb: &str) -> Error {
    let verbs = VERBS.join(", ");
    let verb = verb.escape_debug();
    Error::not_found(format!(
        "`{verb}` is nothing that is done to a saga; that is one of {verbs}, signal, approve, refuse"
    ))
}
