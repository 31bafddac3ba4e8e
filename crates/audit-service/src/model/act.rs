//! One act that goes into the trail.

use std::net::IpAddr;

use nanopore::events::audit::{Category, Outcome, Severity};
use nanopore::sample::{FieldErrors, visible};
use sagabus::event::{Payload, json_fault};
use sagabus::saga::remote::{StepReplied, StepRequested};
use sagabus::{Event, Timestamp};
use serde_json::{Map, Value, json};

use super::judge::judge;
use crate::check::RETENTION;

/// Longest text of an act, in characters.
const TEXT_CHARACTERS_MAX: usize = 255;
/// Largest details, in bytes.
const DETAILS_BYTES_MAX: usize = 256 * 1024;
/// Most tags of an act, and the longest.
const TAGS_MAX: usize = 20;
const TAG_CHARACTERS_MAX: usize = 100;
/// What only the trail does begins with this.
const OWN: &str = "audit.";
/// The kind of thing and the action of an entry that says that an event came again whose entry was emptied.
pub(crate) const REPEATED: (&str, &str) = ("event", "audit.event_repeated");

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
    /// What many acts do not have.
    pub more: More,
    /// Everything else, one JSON value, its bytes as received.
    pub details: Vec<u8>,
}

/// What many acts do not have.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct More {
    /// Why it was done.
    pub reason: Option<String>,
    /// From where it was done.
    pub ip_address: Option<String>,
    /// With what program.
    pub user_agent: Option<String>,
    /// In which session.
    pub session_id: Option<String>,
    /// Words to find it by.
    pub tags: Vec<String>,
    /// How long it took.
    pub duration_ms: Option<u32>,
    /// What was there before, a JSON object of the fields that were changed.
    pub old_values: Option<Vec<u8>>,
    /// What is there now.
    pub new_values: Option<Vec<u8>>,
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
            more: More::of_event(&data),
            details: details(event, &data),
        }
    }

    /// That an event came again whose entry was emptied: what it tells is not taken again, but it does not vanish either.
    #[must_use]
    pub(crate) fn repeated(&self, event_id: &str, now: Timestamp) -> Self {
        let (resource, action) = REPEATED;
        Self {
            event_id: None,
            time: now,
            service: RETENTION.1.to_owned(),
            action: action.to_owned(),
            actor_id: None,
            actor_email: None,
            resource: resource.to_owned(),
            resource_id: Some(event_id.to_owned()),
            outcome: Outcome::Success,
            severity: Severity::Warn,
            category: Category::System,
            correlation_id: None,
            causation_id: None,
            more: More::default(),
            details: json!({"type": self.action}).to_string().into_bytes(),
        }
    }

    /// An act that a service reports by itself, done at `now`.
    ///
    /// # Errors
    /// Every field that is wrong, is missing, or does not exist.
    pub fn read(fields: &Map<String, Value>, now: Timestamp) -> Result<Self, FieldErrors> {
        const KNOWN: [&str; 19] = [
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
            "reason",
            "ipAddress",
            "userAgent",
            "sessionId",
            "tags",
            "durationMs",
            "oldValues",
            "newValues",
        ];
        let mut reader = Reader {
            fields,
            errors: FieldErrors::default(),
        };
        let service = reader.name("service");
        let action = reader.name("action");
        let resource = reader.name("resource");
        if action.starts_with(OWN) {
            reader.errors.add(
                "action",
                "begins with `audit.`, which only the trail itself does",
            );
        }
        let act = Self {
            event_id: None,
            time: reader.word("timestamp", now),
            service,
            action,
            actor_id: reader.text("userId"),
            actor_email: reader.text("userEmail"),
            resource,
            resource_id: reader.text("resourceId"),
            outcome: reader.word("outcome", Outcome::Success),
            severity: reader.word("severity", Severity::Info),
            category: reader.word("category", Category::System),
            correlation_id: None,
            causation_id: None,
            more: reader.more(),
            details: fields
                .get("details")
                .map_or_else(|| b"{}".to_vec(), |it| it.to_string().into_bytes()),
        };
        reader.not_large("details", Some(&act.details));
        reader.not_large("oldValues", act.more.old_values.as_deref());
        reader.not_large("newValues", act.more.new_values.as_deref());
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

impl More {
    /// Old and new values and the reason, as far as an event has them: `changes` of fields, or a change of the status or of
    /// who is charged with it.
    fn of_event(data: &Value) -> Self {
        let (mut old, mut new) = (Map::new(), Map::new());
        let mut changed = |field: &str, from: Option<&Value>, to: Option<&Value>| {
            let value = |it: Option<&Value>| it.cloned().unwrap_or(Value::Null);
            old.insert(field.to_owned(), value(from));
            new.insert(field.to_owned(), value(to));
        };
        let changes = data.get("changes").and_then(Value::as_object);
        for (field, change) in changes.into_iter().flatten() {
            changed(field, change.get("oldValue"), change.get("newValue"));
        }
        for (field, from, to) in [
            ("status", "oldStatus", "newStatus"),
            ("assignedTo", "previousAssignee", "assignedTo"),
        ] {
            if let Some(value) = data.get(to) {
                changed(field, data.get(from), Some(value));
            }
        }
        let bytes = |values: Map<String, Value>| {
            (!values.is_empty()).then(|| Value::Object(values).to_string().into_bytes())
        };
        let reason = data.get("reason").and_then(Value::as_str);
        let duration = data.get("durationMs").and_then(Value::as_u64);
        Self {
            reason: reason.map(str::to_owned),
            duration_ms: duration.and_then(|it| u32::try_from(it).ok()),
            old_values: bytes(old),
            new_values: bytes(new),
            ..Self::default()
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
        if let Some(Err(fault)) = text.map(visible) {
            self.errors.add(field, fault);
        }
        text.map(str::to_owned)
    }

    fn more(&mut self) -> More {
        let tags = self.tags();
        More {
            reason: self.text("reason"),
            ip_address: self.address("ipAddress"),
            user_agent: self.text("userAgent"),
            session_id: self.text("sessionId"),
            tags,
            duration_ms: self.milliseconds("durationMs"),
            old_values: self.values("oldValues"),
            new_values: self.values("newValues"),
        }
    }

    fn address(&mut self, field: &str) -> Option<String> {
        let text = self.text(field)?;
        if text.parse::<IpAddr>().is_err() {
            self.errors.add(field, "must be an IP address");
        }
        Some(text)
    }

    /// A JSON object.
    fn values(&mut self, field: &str) -> Option<Vec<u8>> {
        let value = self.fields.get(field).filter(|value| !value.is_null())?;
        if !value.is_object() {
            self.errors.add(field, "must be an object of fields");
        }
        Some(value.to_string().into_bytes())
    }

    fn not_large(&mut self, field: &str, bytes: Option<&[u8]>) {
        let length = bytes.map_or(0, <[u8]>::len);
        if length > DETAILS_BYTES_MAX {
            let text = format!("has {length} bytes, more than {DETAILS_BYTES_MAX}");
            self.errors.add(field, text);
        }
    }

    fn tags(&mut self) -> Vec<String> {
        let Some(value) = self.fields.get("tags").filter(|value| !value.is_null()) else {
            return Vec::new();
        };
        let is_tag = |tag: &&str| (1..=TAG_CHARACTERS_MAX).contains(&tag.chars().count());
        let tags = value.as_array().filter(|list| list.len() <= TAGS_MAX);
        let tags = tags.and_then(|list| {
            let texts = list.iter().map(|it| it.as_str().filter(is_tag));
            texts.map(|it| it.map(str::to_owned)).collect()
        });
        tags.unwrap_or_else(|| {
            let text =
                format!("must be at most {TAGS_MAX} texts of 1 to {TAG_CHARACTERS_MAX} characters");
            self.errors.add("tags", text);
            Vec::new()
        })
    }

    fn milliseconds(&mut self, field: &str) -> Option<u32> {
        let value = self.fields.get(field).filter(|value| !value.is_null())?;
        let number = value.as_u64().and_then(|it| u32::try_from(it).ok());
        if number.is_none() {
            let text = format!("must be a whole number, 0 to {} ms", u32::MAX);
            self.errors.add(field, text);
        }
        number
    }

    /// A word of those that its type has.
    fn word<T: serde::de::DeserializeOwned>(&mut self, field: &str, default: T) -> T {
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
