//! One act that goes into the trail.

use nanopore::events::audit::{Category, Outcome, Severity};
use nanopore::sample::FieldErrors;
use sagabus::event::{Payload, hidden, json_fault};
use sagabus::saga::remote::{StepReplied, StepRequested};
use sagabus::{Event, Timestamp};
use serde_json::{Map, Value};

use super::judge::judge;

/// Longest text of an act, in characters.
const TEXT_CHARACTERS_MAX: usize = 255;
/// Largest details, in bytes.
const DETAILS_BYTES_MAX: usize = 256 * 1024;

/// Who did what to which thing, and how it ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Act {
    /// The event that tells of it, where one does.
    pub event_id: Option<String>,
    /// When it was done.
    pub time: Timestamp,
    /// The service through which it was done.
    pub service: String,
    /// What was done, such as `sample.created`.
    pub action: String,
    /// Who did it.
    pub actor_id: Option<String>,
    /// The e-mail address of who did it.
    pub actor_email: Option<String>,
    /// The kind of thing.
    pub resource: String,
    /// Which one.
    pub resource_id: Option<String>,
    /// How it ended.
    pub outcome: Outcome,
    /// How serious it is.
    pub severity: Severity,
    /// What sort of act it is.
    pub category: Category,
    /// The piece of work that it belongs to.
    pub correlation_id: Option<String>,
    /// The event that led to it.
    pub causation_id: Option<String>,
    /// Everything else, one JSON value, its bytes as received.
    pub details: Vec<u8>,
}

impl Act {
    /// The act that an event tells of.
    #[must_use]
    pub fn of_event(event: &Event) -> Self {
        let action = event.event_type.as_str();
        let data: Value = serde_json::from_slice(&event.data).unwrap_or_default();
        let judgement = judge(action, &data);
        let text = |field: &str| data.get(field).and_then(Value::as_str).map(str::to_owned);
        let actor = |field: &str| {
            data.pointer(&format!("/actor/{field}"))
                .and_then(Value::as_str)
                .map(str::to_owned)
        };
        Self {
            event_id: Some(event.id.to_string()),
            time: event.time,
            service: event.source.to_string(),
            action: action.to_owned(),
            actor_id: text("userId").or_else(|| actor("id")),
            actor_email: actor("email"),
            resource: action.split('.').next().unwrap_or(action).to_owned(),
            resource_id: event.subject.clone(),
            outcome: judgement.outcome,
            severity: judgement.severity,
            category: judgement.category,
            correlation_id: event.correlation_id.clone(),
            causation_id: event.causation_id.as_ref().map(ToString::to_string),
            details: details(event, &data),
        }
    }

    /// An act that a service reports by itself, done at `now`.
    ///
    /// # Errors
    /// Every field that is wrong, is missing, or does not exist.
    pub fn read(fields: &Map<String, Value>, now: Timestamp) -> Result<Self, FieldErrors> {
        const KNOWN: [&str; 11] = [
            "service",
            "action",
            "resource",
            "resourceId",
            "userId",
            "userEmail",
            "outcome",
            "severity",
            "category",
            "details",
            "timestamp",
        ];
        let mut reader = Reader {
            fields,
            errors: FieldErrors::default(),
        };
        let service = reader.name("service");
        let action = reader.name("action");
        let resource = reader.name("resource");
        let act = Self {
            event_id: None,
            time: reader.json("timestamp", now),
            service,
            action,
            actor_id: reader.text("userId"),
            actor_email: reader.text("userEmail"),
            resource,
            resource_id: reader.text("resourceId"),
            outcome: reader.json("outcome", Outcome::Success),
            severity: reader.json("severity", Severity::Info),
            category: reader.json("category", Category::System),
            correlation_id: None,
            causation_id: None,
            details: fields
                .get("details")
                .map_or_else(|| b"{}".to_vec(), |it| it.to_string().into_bytes()),
        };
        if act.details.len() > DETAILS_BYTES_MAX {
            reader.errors.add(
                "details",
                format!(
                    "has {} bytes, more than {DETAILS_BYTES_MAX}",
                    act.details.len()
                ),
            );
        }
        for field in fields
            .keys()
            .filter(|field| !KNOWN.contains(&field.as_str()))
        {
            reader
                .errors
                .add(field.as_str(), "is not a field of an audit event");
        }
        if reader.errors.0.is_empty() {
            Ok(act)
        } else {
            Err(reader.errors)
        }
    }
}

struct Reader<'a> {
    fields: &'a Map<String, Value>,
    errors: FieldErrors,
}

impl Reader<'_> {
    /// A required name of letters, digits, `_`, `-` and dots.
    fn name(&mut self, field: &str) -> String {
        let Some(text) = self.text(field) else {
            if self.fields.get(field).is_none_or(Value::is_null) {
                self.errors.add(field, "is required");
            }
            return String::new();
        };
        let is_allowed = |it: char| it.is_ascii_alphanumeric() || "_-.".contains(it);
        if !text.chars().all(is_allowed) {
            self.errors
                .add(field, "must be of letters, digits, `_`, `-` and dots");
        }
        text
    }

    fn text(&mut self, field: &str) -> Option<String> {
        let value = self.fields.get(field).filter(|value| !value.is_null())?;
        let text = value.as_str().filter(|text| {
            let characters = text.chars().count();
            (1..=TEXT_CHARACTERS_MAX).contains(&characters)
        });
        if text.is_none() {
            self.errors.add(
                field,
                format!("must be a text of 1 to {TEXT_CHARACTERS_MAX} characters"),
            );
        }
        if let Some(it) = text.and_then(hidden) {
            self.errors.add(
                field,
                format!(
                    "has the character U+{:04X}, which is not to be seen",
                    u32::from(it)
                ),
            );
        }
        text.map(str::to_owned)
    }

    /// A value of a type that says itself what is wrong.
    fn json<T: serde::de::DeserializeOwned>(&mut self, field: &str, default: T) -> T {
        let Some(value) = self.fields.get(field).filter(|value| !value.is_null()) else {
            return default;
        };
        // As text: of what is none, too, it is told which words there are.
        let text = match value {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        serde_json::from_value(text.into()).unwrap_or_else(|error| {
            self.errors.add(field, json_fault(&error));
            default
        })
    }
}

/// What the trail keeps of the data of an event. What a saga and a service ask each other is what handlers are given and
/// return, so it may hold personal data that no event about it has: of that only who, what and how it ended is kept.
fn details(event: &Event, data: &Value) -> Vec<u8> {
    let kept = match event.event_type.as_str() {
        StepRequested::TYPE => ASKED,
        StepReplied::TYPE => REPLIED,
        _ => return event.data.to_vec(),
    };
    let fields = kept.iter().filter_map(|&field| {
        let value = data.get(field)?;
        Some((field.to_owned(), value.clone()))
    });
    Value::Object(fields.collect()).to_string().into_bytes()
}

const ASKED: &[&str] = &[
    "sagaId", "sagaName", "stepId", "service", "action", "version", "attempt", "fence", "deadline",
];
const REPLIED: &[&str] = &[
    "sagaId",
    "stepId",
    "service",
    "attempt",
    "fence",
    "isCompensation",
    "status",
    "error",
];
