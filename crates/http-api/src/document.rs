//! The OpenAPI 3.1 document of operations.

use std::collections::BTreeMap;

use schemars::generate::SchemaSettings;
use schemars::{Schema, SchemaGenerator};
use serde_json::{Map, Value, json};

use crate::field::Kind;
use crate::operation::{Answer, Body, Operation};

/// Where schemas that are named stand.
const SCHEMAS: &str = "/components/schemas";
/// Media type of problem details (RFC 9457).
const PROBLEM: &str = "application/problem+json";

/// What every operation may refuse with; 415 where a body is packed, even where none is taken.
const REFUSALS: [u16; 6] = [400, 403, 408, 415, 500, 503];
/// What an operation with a body may refuse with besides.
const REFUSALS_OF_BODIES: [u16; 1] = [413];
/// What an operation that changes something may refuse with besides: no room to store it.
const REFUSALS_OF_CHANGES: [u16; 1] = [507];

/// What the document is of.
#[derive(Clone, Copy, Debug)]
pub struct About {
    /// Its title.
    pub title: &'static str,
    /// Version of what it describes.
    pub version: &'static str,
    /// What that is for.
    pub description: &'static str,
    /// Where it is served unless told otherwise.
    pub server: &'static str,
    /// The groups of operations, each with what it is for; of those that have none nothing is said.
    pub tags: &'static [(&'static str, &'static str)],
    /// The schema of problem details.
    pub problem: fn(&mut SchemaGenerator) -> Schema,
}

/// Schemas of what is sent to the server: each stands where it is used.
pub(crate) fn of_requests() -> SchemaGenerator {
    let mut settings = SchemaSettings::draft2020_12().for_deserialize();
    settings.inline_subschemas = true;
    settings.meta_schema = None;
    settings.into_generator()
}

/// Schemas of what the server answers: those that have a name stand once.
fn of_answers() -> SchemaGenerator {
    let mut settings = SchemaSettings::draft2020_12().for_serialize();
    settings.definitions_path = SCHEMAS.into();
    settings.meta_schema = None;
    settings.into_generator()
}

/// The document of these operations, in the order of their paths.
#[must_use]
pub fn document(about: &About, operations: &[Operation]) -> Value {
    let mut answers = of_answers();
    let mut paths: BTreeMap<&str, Map<String, Value>> = BTreeMap::new();
    for operation in operations {
        let described = described(operation, &mut answers);
        let path = paths.entry(&operation.path).or_default();
        path.insert(operation.method.to_lowercase(), described);
    }
    let problem = Kind::Of(about.problem).schema(&mut answers);
    let is_used = |name: &str| operations.iter().any(|it| it.tag == name);
    let tags: Vec<Value> = (about.tags.iter().filter(|(name, _)| is_used(name)))
        .map(|(name, says)| json!({"name": name, "description": says}))
        .collect();
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": about.title,
            "version": about.version,
            "description": about.description,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "jsonSchemaDialect": "https://json-schema.org/draft/2020-12/schema",
        "servers": [{"url": about.server}],
        "tags": tags,
        "paths": paths,
        "components": {
            "responses": {
                "Problem": {
                    "description": "What is wrong, as problem details (RFC 9457)",
                    "content": {PROBLEM: {"schema": problem}},
                },
            },
            "schemas": answers.take_definitions(true),
        },
    })
}

fn described(operation: &Operation, answers: &mut SchemaGenerator) -> Value {
    let mut requests = of_requests();
    let mut responses = Map::new();
    for answer in &operation.answers {
        let key = answer.status.to_string();
        responses.insert(key, answered(answer, answers));
    }
    let refusals = refusals(operation);
    for status in refusals {
        // What an operation answers itself, as readiness does with 503, stands first.
        let problem = json!({"$ref": "#/components/responses/Problem"});
        responses.entry(status.to_string()).or_insert(problem);
    }
    let mut described = json!({
        "operationId": operation.id,
        "tags": [operation.tag],
        "summary": operation.says,
        "parameters": parameters(operation, &mut requests),
        "responses": responses,
    });
    if let (Some(body), Some(fields)) = (&operation.body, described.as_object_mut()) {
        let body = sent(body, &mut requests);
        fields.insert("requestBody".to_owned(), body);
    }
    described
}

fn refusals(operation: &Operation) -> Vec<u16> {
    let mut statuses = REFUSALS.to_vec();
    statuses.extend(&operation.refusals);
    if operation.path.contains('{') {
        statuses.push(404);
    }
    if operation.body.is_some() {
        statuses.extend(REFUSALS_OF_BODIES);
    }
    if operation.method != "GET" {
        statuses.extend(REFUSALS_OF_CHANGES);
    }
    statuses.sort_unstable();
    statuses.dedup();
    statuses
}

/// The parts of the path, the parameters of the query, the headers.
fn parameters(operation: &Operation, requests: &mut SchemaGenerator) -> Vec<Value> {
    let mut parameters = Vec::new();
    for name in places(&operation.path) {
        let known = operation.places.iter().find(|it| it.name == name);
        let (kind, says) = known.map_or((Kind::AnyText, ""), |it| (it.kind, it.says));
        let schema = kind.schema(requests);
        parameters.push(parameter("path", name, &schema, true, says));
    }
    let query = operation.query.map(|it| it.fields(requests));
    for (name, mut schema, is_required) in query.unwrap_or_default() {
        // What may be left out is never sent as `null`.
        without_null(&mut schema);
        let says = schema
            .as_object_mut()
            .and_then(|it| it.remove("description"));
        let says = says.as_ref().and_then(Value::as_str).unwrap_or_default();
        parameters.push(parameter("query", &name, &schema, is_required, says));
    }
    for header in &operation.headers {
        let schema = header.kind.schema(requests);
        parameters.push(parameter(
            "header",
            header.name,
            &schema,
            header.is_required,
            header.says,
        ));
    }
    parameters
}

fn parameter(place: &str, name: &str, schema: &Value, is_required: bool, says: &str) -> Value {
    let mut parameter = json!({
        "name": name,
        "in": place,
        "required": is_required,
        "schema": schema,
    });
    if let (Some(fields), false) = (parameter.as_object_mut(), says.is_empty()) {
        fields.insert("description".to_owned(), says.into());
    }
    parameter
}

/// The names of the parts of a path that differ.
fn places(path: &str) -> impl Iterator<Item = &str> {
    let parts = path.split('/');
    parts.filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'))
}

fn without_null(schema: &mut Value) {
    let Some(fields) = schema.as_object_mut() else {
        return;
    };
    if let Some(Value::Array(types)) = fields.get_mut("type") {
        types.retain(|it| it != "null");
        if let [one] = types.as_slice() {
            let one = one.clone();
            fields.insert("type".to_owned(), one);
        }
    }
    if let Some(Value::Array(options)) = fields.get_mut("anyOf") {
        options.retain(|it| it.get("type").is_none_or(|it| it != "null"));
    }
    fields.remove("default");
}

fn sent(body: &Body, requests: &mut SchemaGenerator) -> Value {
    json!({"required": body.is_required, "content": content(&body.of, requests)})
}

fn answered(answer: &Answer, answers: &mut SchemaGenerator) -> Value {
    let mut answered = json!({"description": answer.says});
    let Some(fields) = answered.as_object_mut() else {
        return answered;
    };
    if !answer.of.is_empty() {
        fields.insert("content".to_owned(), content(&answer.of, answers));
    }
    let headers: Map<String, Value> = (answer.headers.iter())
        .map(|header| {
            let schema = header.kind.schema(answers);
            let of = json!({"description": header.says, "required": true, "schema": schema});
            (header.name.to_owned(), of)
        })
        .collect();
    if !headers.is_empty() {
        fields.insert("headers".to_owned(), headers.into());
    }
    answered
}

fn content(of: &[(&'static str, Kind)], generator: &mut SchemaGenerator) -> Value {
    let content: Map<String, Value> = of
        .iter()
        .map(|(media_type, kind)| {
            let schema = kind.schema(generator);
            ((*media_type).to_owned(), json!({ "schema": schema }))
        })
        .collect();
    content.into()
}

#[cfg(test)]
mod tests;
