//! What is done to one saga of a running server, and what it is told.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use sagabus::event::json_fault;
use serde::Serialize;
use serde_json::value::RawValue;

use super::definition::DefinitionFile;
use crate::cli::Failure;

/// Who, and why.
#[derive(Debug, Args)]
pub(super) struct By {
    /// Who does it; it is stored with the saga
    #[arg(long)]
    author: String,
    /// Why; it is stored with the saga
    #[arg(long)]
    reason: String,
}

/// A body with who and why.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Body<'a> {
    author: &'a str,
    reason: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    step: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    in_flight: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    output: Option<Box<RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    definition: Option<Box<RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    role: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    payload: Option<Box<RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<&'a str>,
}

impl By {
    fn body(&self) -> Body<'_> {
        Body {
            author: &self.author,
            reason: &self.reason,
            ..Body::default()
        }
    }
}

/// Which saga.
#[derive(Debug, Args)]
pub(super) struct Whole {
    /// Id of the saga
    id: String,
    #[command(flatten)]
    by: By,
}

/// Which saga, and what becomes of its handlers.
#[derive(Debug, Args)]
pub(super) struct Cancel {
    /// Id of the saga
    id: String,
    /// What becomes of handlers in flight: `wait` for them, `signal` them to stop and wait 5 s, or `abandon` them
    #[arg(long, value_parser = ["wait", "signal", "abandon"])]
    in_flight: Option<String>,
    #[command(flatten)]
    by: By,
}

/// Which saga, and which step or all.
#[derive(Debug, Args)]
pub(super) struct Stuck {
    /// Id of the saga
    id: String,
    /// Id of the step [default: all that are stuck]
    step: Option<String>,
    #[command(flatten)]
    by: By,
}

/// Which step of which saga.
#[derive(Debug, Args)]
pub(super) struct One {
    /// Id of the saga
    id: String,
    /// Id of the step
    step: String,
    #[command(flatten)]
    by: By,
}

/// Which step of which saga, and what it is said to have returned.
#[derive(Debug, Args)]
pub(super) struct Complete {
    #[command(flatten)]
    one: One,
    /// What it is said to have returned: one JSON value
    #[arg(long)]
    result: String,
}

/// Which saga, and what it is told.
#[derive(Debug, Args)]
pub(super) struct Signal {
    /// Id of the saga
    id: String,
    /// Name of the signal
    name: String,
    /// What a step that waits for it returns: one JSON value
    #[arg(long, default_value = "null")]
    payload: String,
    /// The same signal given again has the same key
    #[arg(long)]
    key: Option<String>,
    #[command(flatten)]
    by: By,
}

/// Who answers which step.
#[derive(Debug, Args)]
pub(super) struct Answer {
    #[command(flatten)]
    one: One,
    /// The role that the step asks for
    #[arg(long)]
    role: String,
}

/// Which saga, and the definition that it goes on with.
#[derive(Debug, Args)]
pub(super) struct Migrate {
    /// Id of the saga
    id: String,
    /// A file with the definition
    #[arg(long)]
    file: PathBuf,
    #[command(flatten)]
    by: By,
}

/// What is asked of the server for one saga.
trait Order {
    /// The saga's id, and the body.
    fn order(&self) -> Result<(&str, Body<'_>), Failure>;
}

impl Order for Whole {
    fn order(&self) -> Result<(&str, Body<'_>), Failure> {
        Ok((&self.id, self.by.body()))
    }
}

impl Order for Cancel {
    fn order(&self) -> Result<(&str, Body<'_>), Failure> {
        let in_flight = self.in_flight.as_deref();
        let body = self.by.body();
        Ok((&self.id, Body { in_flight, ..body }))
    }
}

impl Order for Stuck {
    fn order(&self) -> Result<(&str, Body<'_>), Failure> {
        let step = self.step.as_deref();
        let body = self.by.body();
        Ok((&self.id, Body { step, ..body }))
    }
}

impl Order for One {
    fn order(&self) -> Result<(&str, Body<'_>), Failure> {
        let step = Some(self.step.as_str());
        let body = self.by.body();
        Ok((&self.id, Body { step, ..body }))
    }
}

impl Order for Complete {
    fn order(&self) -> Result<(&str, Body<'_>), Failure> {
        let (id, body) = self.one.order()?;
        let output = Some(json_of("--result", &self.result)?);
        Ok((id, Body { output, ..body }))
    }
}

impl Order for Migrate {
    fn order(&self) -> Result<(&str, Body<'_>), Failure> {
        let json = DefinitionFile::read(&self.file)?.valid()?.to_json();
        let definition = serde_json::from_slice(&json).map_err(|error| Failure {
            text: format!("the definition is not JSON: {}", json_fault(&error)),
            code: 2,
        })?;
        let body = Body {
            definition: Some(definition),
            ..self.by.body()
        };
        Ok((&self.id, body))
    }
}

impl Order for Signal {
    fn order(&self) -> Result<(&str, Body<'_>), Failure> {
        let body = Body {
            name: Some(&self.name),
            payload: Some(json_of("--payload", &self.payload)?),
            key: self.key.as_deref(),
            ..self.by.body()
        };
        Ok((&self.id, body))
    }
}

impl Order for Answer {
    fn order(&self) -> Result<(&str, Body<'_>), Failure> {
        let (id, body) = self.one.order()?;
        let role = Some(self.role.as_str());
        Ok((id, Body { role, ..body }))
    }
}

/// A JSON value, kept byte for byte.
fn json_of(option: &str, text: &str) -> Result<Box<RawValue>, Failure> {
    serde_json::from_str(text).map_err(|error| Failure {
        text: format!("`{option}` is not JSON: {}", json_fault(&error)),
        code: 2,
    })
}

/// What is done to one saga: a line for each, since its variant, its words and its route are one thing.
macro_rules! verbs {
    ($($(#[$about:meta])* $name:ident($order:ident) => $route:literal;)*) => {
        #[derive(Debug, Subcommand)]
        pub(super) enum Verb {
            $($(#[$about])* #[command(name = $route)] $name($order),)*
        }

        impl Verb {
            /// The last part of the route, and which saga it is with the body.
            pub(super) fn order(&self) -> Result<(&'static str, (&str, Body<'_>)), Failure> {
                Ok(match self {
                    $(Self::$name(order) => ($route, order.order()?),)*
                })
            }
        }
    };
}

verbs! {
    /// Take one back: handlers in flight are told to stop, and what was done is compensated
    Cancel(Cancel) => "cancel";
    /// Try a step, or a compensation, that failed again with all its attempts
    Retry(Stuck) => "retry";
    /// Go on without a step, or without taking it back
    Skip(One) => "skip";
    /// Say that a step is done, and what it returned
    Complete(Complete) => "complete";
    /// Say that a step is taken back, by hand for instance
    ForceDone(One) => "force-done";
    /// Give up a stuck one: it has failed, and what it did stays
    Abandon(Whole) => "abandon";
    /// Take back a step of one that ended with effects left
    Recompensate(One) => "recompensate";
    /// Start nothing more of one; what its handlers in flight do is recorded
    Pause(Whole) => "pause";
    /// Let a paused one go on
    Resume(Whole) => "resume";
    /// End one as it is, and drop its handlers
    Terminate(Whole) => "terminate";
    /// Let one in flight go on with another definition that fits what it has begun; it must be queued, paused or
    /// stuck behind its pivot
    Migrate(Migrate) => "migrate";
    /// Tell one something that a step waits for; the first of a name counts
    Signal(Signal) => "signal";
    /// Say yes for the person that a step asks
    Approve(Answer) => "approve";
    /// Say no for the person that a step asks
    Refuse(Answer) => "refuse";
}
