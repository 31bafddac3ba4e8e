//! The registry as an AsyncAPI 3.0 document. Pure.
//!
//! Each event type is a channel. What is described is the program that has the registry: it receives what is published
//! to it and sends what its subscriptions get. Each version is one message, whose payload is its JSON Schema and whose
//! headers are the attributes of CloudEvents in binary mode.

use serde_json::{Map, Value, json};

use super::{Registry, VersionInfo};

/// What the document says of the program.
#[derive(Clone, Copy, Debug)]
pub struct Info<'a> {
    /// Name of the program.
    pub title: &'a str,
    /// Version of the program.
    pub version: &'a str,
    /// What it is.
    pub description: &'a str,
    /// Where events are taken: host and port, such as `127.0.0.1:8080`.
    pub host: &'a str,
    /// Path of the address at which events are published and read.
    pub path: &'a str,
}

/// Name of the shared schema of headers.
const HEADERS: &str = "cloudEventHeaders";
/// Name of the shared correlation id.
const CORRELATION: &str = "correlation";
/// Name of the server.
const SERVER: &str = "local";

/// The document of all registered types.
#[must_use]
pub fn document(registry: &Registry, info: &Info<'_>) -> Value {
    let mut parts = Parts::default();
    parts.schemas.insert(HEADERS.to_owned(), headers());
    for event_type in registry.types() {
        parts.add(event_type, &registry.versions(event_type));
    }
    let server = json!({
        "host": info.host,
        "pathname": info.path,
        "protocol": "http",
        "description": "The embedded server. Events go in and out as CloudEvents 1.0, structured or binary.",
    });
    json!({
        "asyncapi": "3.0.0",
        "info": {
            "title": info.title,
            "version": info.version,
            "description": info.description,
        },
        "defaultContentType": "application/json",
        "servers": { SERVER: server },
        "channels": parts.channels,
        "operations": parts.operations,
        "components": {
            "schemas": parts.schemas,
            "messages": parts.messages,
            "correlationIds": {
                CORRELATION: {
                    "description": "Ties all events of one piece of work together.",
                    "location": "$message.header#/ce-correlationid",
                },
            },
        },
    })
}

#[derive(Default)]
struct Parts {
    channels: Map<String, Value>,
    operations: Map<String, Value>,
    schemas: Map<String, Value>,
    messages: Map<String, Value>,
}

impl Parts {
    fn add(&mut self, event_type: &str, versions: &[VersionInfo]) {
        let mut of_channel = Map::new();
        let mut of_operation = Vec::new();
        for info in versions {
            let name = format!("{event_type}-{}", info.version);
            of_channel.insert(name.clone(), reference("components/messages", &name));
            of_operation.push(reference(&format!("channels/{event_type}/messages"), &name));
            self.messages
                .insert(name.clone(), message(event_type, &name, info));
            self.schemas.insert(name, payload(info));
        }
        self.channels.insert(
            event_type.to_owned(),
            json!({
                "address": event_type,
                "servers": [reference("servers", SERVER)],
                "messages": of_channel,
            }),
        );
        for (action, method) in [("receive", "POST"), ("send", "GET")] {
            self.operations.insert(
                format!("{action}.{event_type}"),
                json!({
                    "action": action,
                    "channel": reference("channels", event_type),
                    "messages": of_operation,
                    "bindings": { "http": { "method": method, "bindingVersion": "0.3.0" } },
                }),
            );
        }
    }
}

fn reference(place: &str, name: &str) -> Value {
    json!({ "$ref": format!("#/{place}/{name}") })
}

fn message(event_type: &str, name: &str, info: &VersionInfo) -> Value {
    let version = info.version.to_string();
    let mut fixed = Map::new();
    fixed.insert("ce-type".to_owned(), json!({ "const": event_type }));
    let mut version_header = json!({ "type": "string", "examples": [version] });
    if let Some(map) = version_header.as_object_mut() {
        let text = format!("`{version}`, or another minor version of the same major.");
        map.insert("description".to_owned(), text.into());
    }
    fixed.insert("ce-schemaversion".to_owned(), version_header);
    let mut message = json!({
        "name": event_type,
        "title": format!("{event_type} {version}"),
        "contentType": "application/json",
        "correlationId": reference("components/correlationIds", CORRELATION),
        "headers": {
            "allOf": [
                reference("components/schemas", HEADERS),
                { "type": "object", "properties": fixed },
            ],
        },
        "payload": reference("components/schemas", name),
    });
    if let Some(map) = message.as_object_mut() {
        let description = info.schema.as_ref().and_then(|it| it.get("description"));
        if let Some(description) = description {
            map.insert("summary".to_owned(), description.clone());
        }
        if let Some(source) = info.source {
            map.insert("tags".to_owned(), json!([{ "name": source }]));
        }
    }
    message
}

/// The payload's schema; any JSON where only a check is known.
fn payload(info: &VersionInfo) -> Value {
    let mut schema = info.schema.clone().unwrap_or_else(|| json!({}));
    if let Some(map) = schema.as_object_mut() {
        // The document itself says which dialect it is in.
        map.remove("$schema");
    }
    schema
}

/// The attributes of CloudEvents as headers.
fn headers() -> Value {
    let text = |description: &str| json!({ "type": "string", "description": description });
    json!({
        "type": "object",
        "description": "CloudEvents 1.0 attributes in binary mode. Further `ce-` headers are extensions and are kept.",
        "required": ["ce-specversion", "ce-id", "ce-source", "ce-type"],
        "properties": {
            "ce-specversion": { "const": "1.0" },
            "ce-id": text("Names the event for ever; a repeat within the window is the same event."),
            "ce-source": text("Which service says so."),
            "ce-type": text("What happened."),
            "ce-time": { "type": "string", "format": "date-time", "description": "When it happened." },
            "ce-subject": text("What it is about; also the ordering key."),
            "ce-schemaversion": text("Version of the payload's schema, `1.0` where it is left out."),
            "ce-correlationid": text("Ties all events of one piece of work together."),
            "ce-causationid": text("The event that led to this one."),
            "ce-priority": { "enum": ["urgent", "high", "normal", "low"], "description": "How urgent it is, `normal` where it is left out." },
            "ce-expirytime": { "type": "string", "format": "date-time", "description": "Not delivered after this time." },
            "ce-idempotencykey": text("Names this publish instead of the id: a repeat within the window is the same event."),
        },
    })
}
