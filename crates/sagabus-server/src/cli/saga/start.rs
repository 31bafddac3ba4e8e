//! `sagabus saga start`: starts a saga by the name that the server knows, or by a definition in a file.

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::Args;
use sagabus::event::json_fault;
use serde::Serialize;
use serde_json::value::RawValue;

use super::definition::DefinitionFile;
use crate::cli::Failure;

/// Start a saga.
#[derive(Debug, Args)]
pub(super) struct Start {
    /// Name of a definition that the server knows
    #[arg(required_unless_present = "file", conflicts_with = "file")]
    name: Option<String>,
    /// A file with the definition
    #[arg(long)]
    file: Option<PathBuf>,
    /// What it is started with: one JSON value, usually an object
    #[arg(long, default_value = "{}")]
    context: String,
    /// Ties it to other work
    #[arg(long)]
    correlation_id: Option<String>,
    /// A second start with the same key is the same saga
    #[arg(long)]
    idempotency_key: Option<String>,
    /// Lets it be found, `name=value`; may be given more than once
    #[arg(long, value_parser = attribute)]
    attribute: Vec<(String, String)>,
    /// How urgent it is while it waits for its turn: urgent, high, normal or low
    #[arg(long)]
    priority: Option<String>,
}

fn attribute(text: &str) -> Result<(String, String), String> {
    let pair = text.split_once('=');
    let (name, value) = pair.ok_or("it is not of the form `name=value`")?;
    Ok((name.to_owned(), value.to_owned()))
}

/// What is sent, the context byte for byte.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Body<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    definition: Option<Box<RawValue>>,
    context: &'a RawValue,
    correlation_id: Option<&'a str>,
    idempotency_key: Option<&'a str>,
    attributes: BTreeMap<&'a str, &'a str>,
    priority: Option<&'a str>,
}

impl Start {
    pub(super) fn body(&self) -> Result<Body<'_>, Failure> {
        let wrong = |what: &str, error: &serde_json::Error| Failure {
            text: format!("{what} is not JSON: {}", json_fault(error)),
            code: 2,
        };
        let definition = match &self.file {
            None => None,
            Some(file) => {
                let json = DefinitionFile::read(file)?.valid()?.to_json();
                let raw = serde_json::from_slice(&json);
                Some(raw.map_err(|error| wrong("the definition", &error))?)
            }
        };
        Ok(Body {
            name: self.name.as_deref(),
            definition,
            context: serde_json::from_str(&self.context)
                .map_err(|error| wrong("`--context`", &error))?,
            correlation_id: self.correlation_id.as_deref(),
            idempotency_key: self.idempotency_key.as_deref(),
            attributes: (self.attribute.iter())
                .map(|(name, value)| (name.as_str(), value.as_str()))
                .collect(),
            priority: self.priority.as_deref(),
        })
    }
}
