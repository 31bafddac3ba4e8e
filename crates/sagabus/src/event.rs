//! What an event is: an envelope that the bus reads, and a payload whose bytes it keeps as received.

pub mod attributes;
mod cause;
pub mod envelope;
mod name;
mod named;
pub(crate) mod strict;
pub mod trace;

use std::borrow::Cow;
use std::collections::BTreeMap;

use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;

pub use cause::Cause;
pub use name::{EventId, EventType};
pub(crate) use name::{TOKENS_MAX, TYPE_BYTES_MAX, UUID_BYTES, is_token};
use named::Named;
pub use strict::{Object, read_json};

use crate::clock::{Clock, Timestamp};
use crate::error::{Error, Result};
use crate::ledger::Priority;
pub use crate::text::{check_visible, hidden, whole_number};
pub use crate::words::json_fault;

/// Largest payload, in bytes (256 KiB): larger things are stored elsewhere and the event carries their id.
pub const DATA_BYTES_MAX: usize = 256 * 1024;
/// Longest `source`, `subject`, `version` or `correlationId`, in bytes.
pub const ATTRIBUTE_BYTES_MAX: usize = 255;
/// Most entries in `metadata`.
pub const METADATA_ENTRIES_MAX: usize = 64;
/// Longest key or value in `metadata`, in bytes.
pub const METADATA_BYTES_MAX: usize = 4096;

/// Something that happened: an envelope and a JSON payload.
///
/// Built by [`Event::new`] from a typed payload, or read from the wire by [`envelope`] or [`attributes`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Names this event for ever; a second publish of the same id within the window is the same event.
    pub id: EventId,
    /// What happened: dot-separated words, such as `sample.created`.
    pub event_type: EventType,
    /// Which service says so.
    pub source: Cow<'static, str>,
    /// What it is about, such as a sample's id; also the ordering key.
    pub subject: Option<String>,
    /// When it happened, by the producer's clock.
    pub time: Timestamp,
    /// Version of the payload's schema, `1.0` unless said otherwise.
    pub version: Cow<'static, str>,
    /// Ties all events of one piece of work together.
    pub correlation_id: Option<String>,
    /// The event that led to this one.
    pub causation_id: Option<EventId>,
    /// How urgent it is to those who handle it.
    pub priority: Priority,
    /// After this time it is not delivered any more.
    pub expires_at: Option<Timestamp>,
    /// Names this publish for ever instead of the id: a second publish of the same source and key within the window is
    /// the same event.
    pub idempotency_key: Option<String>,
    /// More words about the event; the bus hands them on and reads none.
    pub metadata: BTreeMap<String, String>,
    /// The payload: one JSON value, its bytes as received.
    pub data: Bytes,
}

/// The payload of one type of event.
pub trait Payload: Serialize + DeserializeOwned + Send + Sync + 'static {
    /// The event type on the wire, such as `sample.created`.
    const TYPE: &'static str;
    /// The service that publishes it.
    const SOURCE: &'static str;
    /// Version of the payload's schema.
    const VERSION: &'static str = "1.0";

    /// What the event is about; becomes the envelope's `subject`.
    fn subject(&self) -> Option<String> {
        None
    }

    /// Words about the event that those who filter need without the payload; they become entries of `metadata`.
    fn attributes(&self) -> Vec<(&'static str, String)> {
        Vec::new()
    }

    /// Rules that the type alone cannot say.
    ///
    /// # Errors
    /// `Invalid`, naming the field and the limit.
    fn check(&self) -> Result<()> {
        Ok(())
    }
}

impl Event {
    /// A new event that carries `payload`, with an id and time from `clock`.
    ///
    /// # Errors
    /// `Invalid` when the payload breaks a rule of its type or a limit of the envelope.
    pub fn new<P: Payload>(payload: &P, clock: &dyn Clock) -> Result<Self> {
        payload.check()?;
        let data = serde_json::to_vec(payload).map_err(|error| {
            Error::invalid(format!(
                "payload of `{}` cannot be written as JSON",
                P::TYPE
            ))
            .with_source(error)
        })?;
        let mut event = Self::raw(EventType::new(P::TYPE)?, P::SOURCE, data.into(), clock);
        event.version = P::VERSION.into();
        event.subject = payload.subject();
        for (name, value) in payload.attributes() {
            event.metadata.insert(name.to_owned(), value);
        }
        event.check()?;
        Ok(event)
    }

    /// A new event of any type; `data` must be one JSON value, which publish checks.
    #[must_use]
    pub fn raw(
        event_type: EventType,
        source: impl Into<Cow<'static, str>>,
        data: Bytes,
        clock: &dyn Clock,
    ) -> Self {
        Self {
            id: EventId::generate(clock),
            event_type,
            source: source.into(),
            subject: None,
            time: clock.now(),
            version: "1.0".into(),
            correlation_id: None,
            causation_id: None,
            priority: Priority::Normal,
            expires_at: None,
            idempotency_key: None,
            metadata: BTreeMap::new(),
            data,
        }
    }

    /// The same event about `subject`.
    #[must_use]
    pub fn about(mut self, subject: impl Into<String>) -> Self {
        self.subject = Some(subject.into());
        self
    }

    /// The same event as part of the work named `correlation_id`.
    #[must_use]
    pub fn correlated(mut self, correlation_id: impl Into<String>) -> Self {
        self.correlation_id = Some(correlation_id.into());
        self
    }

    /// The same event as a consequence of `cause`: takes over its correlation id, or its id where it has none.
    #[must_use]
    pub fn caused_by(mut self, cause: &Self) -> Self {
        self.causation_id = Some(cause.id.clone());
        self.correlation_id = Some(
            cause
                .correlation_id
                .clone()
                .unwrap_or_else(|| cause.id.to_string()),
        );
        self
    }

    /// The same event at another level of urgency.
    #[must_use]
    pub fn priority(mut self, priority: Priority) -> Self {
        self.priority = priority;
        self
    }

    /// The same event, not to be delivered after `time`.
    #[must_use]
    pub fn expires_at(mut self, time: Timestamp) -> Self {
        self.expires_at = Some(time);
        self
    }

    /// The same event, named by `key` for deduplication.
    #[must_use]
    pub fn idempotency_key(mut self, key: impl Into<String>) -> Self {
        self.idempotency_key = Some(key.into());
        self
    }

    /// The payload as its type.
    ///
    /// # Errors
    /// `Invalid`, naming the field, when the payload does not fit `P`; also when the event is of another type.
    pub fn payload<P: Payload>(&self) -> Result<P> {
        if self.event_type.as_str() != P::TYPE {
            return Err(Error::invalid(format!(
                "event type is `{}`, not `{}`",
                self.event_type,
                P::TYPE
            )));
        }
        decode(&self.data)
    }

    /// Whether it is not to be handed out just as it comes.
    pub(crate) fn is_special(&self) -> bool {
        self.priority != Priority::Normal || self.expires_at.is_some()
    }

    /// Checks the limits of the envelope, and that everything in its names is to be seen.
    ///
    /// # Errors
    /// `Invalid`, naming the field and the limit, or the field and the character.
    pub fn check(&self) -> Result<()> {
        self.check_as(Named::Envelope)
    }

    /// The same, told in the words of the form that the event came in.
    fn check_as(&self, named: Named<'_>) -> Result<()> {
        self.check_limits_as(named)?;
        for (field, text) in [
            ("id", Some(self.id.as_str())),
            ("source", Some(&*self.source)),
            ("version", Some(&*self.version)),
            ("subject", self.subject.as_deref()),
            ("correlationId", self.correlation_id.as_deref()),
            (
                "causationId",
                self.causation_id.as_ref().map(EventId::as_str),
            ),
            ("idempotencyKey", self.idempotency_key.as_deref()),
        ] {
            text.map_or(Ok(()), |it| check_visible(&named.of(field), it))?;
        }
        if self.idempotency_key.as_deref() == Some("") {
            let name = named.of("idempotencyKey");
            return Err(Error::invalid(format!("`{name}` is empty")));
        }
        let mut keys = self.metadata.keys();
        keys.try_for_each(|it| check_visible(&named.other_metadata(), it))
    }

    /// Checks the limits alone: what an earlier program stored may have names with what is not to be seen.
    pub(crate) fn check_limits(&self) -> Result<()> {
        self.check_limits_as(Named::Envelope)
    }

    fn check_limits_as(&self, named: Named<'_>) -> Result<()> {
        let source = named.of("source");
        within(&source, self.source.len(), ATTRIBUTE_BYTES_MAX)?;
        if self.source.is_empty() {
            return Err(Error::invalid(format!("`{source}` is empty")));
        }
        let version = named.of("version");
        within(&version, self.version.len(), ATTRIBUTE_BYTES_MAX)?;
        for (field, value) in [
            ("subject", &self.subject),
            ("correlationId", &self.correlation_id),
            ("idempotencyKey", &self.idempotency_key),
        ] {
            if let Some(value) = value {
                within(&named.of(field), value.len(), ATTRIBUTE_BYTES_MAX)?;
            }
        }
        let entries = self.metadata.len();
        if entries > METADATA_ENTRIES_MAX {
            let all = named.all_metadata(entries);
            let text = format!("{all}, more than {METADATA_ENTRIES_MAX}");
            return Err(Error::invalid(text));
        }
        for (key, value) in &self.metadata {
            let bytes = key.len().max(value.len());
            if bytes > METADATA_BYTES_MAX {
                let entry = named.entry(key);
                let text = format!("{entry} has {bytes} bytes, more than {METADATA_BYTES_MAX}");
                return Err(Error::invalid(text));
            }
        }
        within("data", self.data.len(), DATA_BYTES_MAX)?;
        strict::check_depth("data", &self.data)
    }
}

/// Checks that `data` is a payload of `P`: what publish does with a type that it knows.
///
/// # Errors
/// `Invalid`, naming the field.
pub fn check_payload<P: Payload>(data: &[u8]) -> Result<()> {
    decode::<P>(data).map(drop)
}

/// Whether two event types are the same; for code that `#[subscriber]` writes, where it runs at compile time.
#[doc(hidden)]
#[must_use]
pub const fn is_same(one: &str, other: &str) -> bool {
    let (mut one, mut other) = (one.as_bytes(), other.as_bytes());
    while let ([first, one_rest @ ..], [second, other_rest @ ..]) = (one, other) {
        if *first != *second {
            return false;
        }
        (one, other) = (one_rest, other_rest);
    }
    one.is_empty() && other.is_empty()
}

/// Reads a payload, checks its own rules, and names the field that does not fit.
///
/// # Errors
/// `Invalid`, naming the field.
pub(crate) fn decode<P: Payload>(data: &[u8]) -> Result<P> {
    let mut reader = serde_json::Deserializer::from_slice(data);
    let payload: P = serde_path_to_error::deserialize(&mut reader).map_err(|error| {
        let reason = error.inner().to_string();
        Error::invalid(format!(
            "payload of `{}` does not fit its type at `{}`: {}",
            P::TYPE,
            field_path(&error.path().to_string(), &reason),
            json_fault(error.inner())
        ))
    })?;
    reader
        .end()
        .map_err(|error| Error::invalid("`data` is more than one JSON value").with_source(error))?;
    payload.check()?;
    Ok(payload)
}

/// Where the payload does not fit. A missing field is reported by its parent, so its name is taken from the reason.
fn field_path(path: &str, reason: &str) -> String {
    let mut field = if path == "." {
        "data".to_owned()
    } else {
        format!("data.{path}")
    };
    let missing = reason
        .strip_prefix("missing field `")
        .and_then(|rest| rest.split('`').next());
    if let Some(name) = missing {
        field.push('.');
        field.push_str(name);
    }
    field
}

fn within(field: &str, bytes: usize, bytes_max: usize) -> Result<()> {
    if bytes > bytes_max {
        return Err(Error::invalid(format!(
            "`{field}` has {bytes} bytes, more than {bytes_max}"
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
